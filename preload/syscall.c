/* syscall(2): a program that calls the kernel by number means what the function of that name does,
 * so the numbers that have a function here go to it, and all others to the kernel, untouched
 * (syscall.S tells why that is not done in C). */
#include "ioth.h"

#include <linux/seccomp.h>
#include <sys/utsname.h>

#define P(x) ((void *)(x))
#define I(x) ((int)(x))
#define U(x) ((unsigned int)(x))
#define Z(x) ((size_t)(x))

#define FUNCTIONS(X)                                                                               \
	X(SYS_socket, socket(I(a), I(b), I(c)))                                                    \
	X(SYS_socketpair, socketpair(I(a), I(b), I(c), P(d)))                                      \
	X(SYS_bind, bind(I(a), P(b), U(c)))                                                        \
	X(SYS_connect, connect(I(a), P(b), U(c)))                                                  \
	X(SYS_listen, listen(I(a), I(b)))                                                          \
	X(SYS_accept, accept(I(a), P(b), P(c)))                                                    \
	X(SYS_accept4, accept4(I(a), P(b), P(c), I(d)))                                            \
	X(SYS_shutdown, shutdown(I(a), I(b)))                                                      \
	X(SYS_getsockname, getsockname(I(a), P(b), P(c)))                                          \
	X(SYS_getpeername, getpeername(I(a), P(b), P(c)))                                          \
	X(SYS_getsockopt, getsockopt(I(a), I(b), I(c), P(d), P(e)))                                \
	X(SYS_setsockopt, setsockopt(I(a), I(b), I(c), P(d), U(e)))                                \
	X(SYS_read, read(I(a), P(b), Z(c)))                                                        \
	X(SYS_readv, readv(I(a), P(b), I(c)))                                                      \
	X(SYS_recvfrom, recvfrom(I(a), P(b), Z(c), I(d), P(e), P(f)))                              \
	X(SYS_recvmsg, recvmsg(I(a), P(b), I(c)))                                                  \
	X(SYS_recvmmsg, recvmmsg(I(a), P(b), U(c), I(d), P(e)))                                    \
	X(SYS_write, write(I(a), P(b), Z(c)))                                                      \
	X(SYS_writev, writev(I(a), P(b), I(c)))                                                    \
	X(SYS_sendto, sendto(I(a), P(b), Z(c), I(d), P(e), U(f)))                                  \
	X(SYS_sendmsg, sendmsg(I(a), P(b), I(c)))                                                  \
	X(SYS_sendmmsg, sendmmsg(I(a), P(b), U(c), I(d)))                                          \
	X(SYS_sendfile, sendfile(I(a), I(b), P(c), Z(d)))                                          \
	X(SYS_splice, splice(I(a), P(b), I(c), P(d), Z(e), U(f)))                                  \
	X(SYS_close, close(I(a)))                                                                  \
	X(SYS_close_range, close_range(U(a), U(b), I(c)))                                          \
	X(SYS_dup, dup(I(a)))                                                                      \
	X(SYS_dup3, dup3(I(a), I(b), I(c)))                                                        \
	X(SYS_fcntl, fcntl(I(a), I(b), P(c)))                                                      \
	X(SYS_ioctl, ioctl(I(a), (unsigned long)b, P(c)))                                          \
	X(SYS_openat, openat(I(a), P(b), I(c), U(d)))                                              \
	X(SYS_faccessat, faccessat(I(a), P(b), I(c), 0))                                           \
	X(SYS_statx, statx(I(a), P(b), I(c), U(d), P(e)))                                          \
	X(SYS_uname, uname(P(a)))                                                                  \
	X(SYS_pipe2, pipe2(P(a), I(b)))                                                            \
	X(SYS_eventfd2, eventfd(U(a), I(b)))                                                       \
	X(SYS_epoll_create1, epoll_create1(I(a)))                                                  \
	X(SYS_timerfd_create, timerfd_create(I(a), I(b)))                                          \
	X(SYS_memfd_create, memfd_create(P(a), U(b)))                                              \
	X(SYS_inotify_init1, inotify_init1(I(a)))                                                  \
	X(SYS_execve, execve(P(a), P(b), P(c)))                                                    \
	X(SYS_execveat, execveat(I(a), P(b), P(c), P(d), I(e)))                                    \
	X(SYS_unshare, unshare(I(a)))                                                              \
	X(SYS_setns, setns(I(a), I(b)))                                                            \
	X(SYS_prctl, prctl(I(a), b, c, d, e))                                                      \
	X(SYS_setrlimit, setrlimit(I(a), P(b)))                                                    \
	X(SYS_getrlimit, getrlimit(I(a), P(b)))                                                    \
	X(SYS_prlimit64, prlimit(I(a), I(b), P(c), P(d)))

#ifdef SYS_open /* the numbers that newer architectures have not */
#define OLD_FUNCTIONS(X)                                                                           \
	X(SYS_open, open(P(a), I(b), U(c)))                                                        \
	X(SYS_access, access(P(a), I(b)))                                                          \
	X(SYS_creat, creat(P(a), U(b)))                                                            \
	X(SYS_pipe, pipe(P(a)))                                                                    \
	X(SYS_dup2, dup2(I(a), I(b)))                                                              \
	X(SYS_eventfd, eventfd(U(a), 0))                                                           \
	X(SYS_epoll_create, epoll_create(I(a)))                                                    \
	X(SYS_inotify_init, inotify_init())
#else
#define OLD_FUNCTIONS(X)
#endif

/* These make a descriptor, or change what we must know of, and have no function to go to. */
#define OTHERS(X)                                                                                  \
	X(SYS_signalfd4, new_fd(raw(nr, a, b, c, d))) /* the kernel's sigset is smaller */         \
	X(SYS_openat2, new_fd(raw(nr, a, b, c, d)))                                                \
	X(SYS_open_by_handle_at, new_fd(raw(nr, a, b, c)))                                         \
	X(SYS_pidfd_open, new_fd(raw(nr, a, b)))                                                   \
	X(SYS_pidfd_getfd, new_fd(raw(nr, a, b, c)))                                               \
	X(SYS_perf_event_open, new_fd(raw(nr, a, b, c, d, e)))                                     \
	X(SYS_fanotify_init, new_fd(raw(nr, a, b)))                                                \
	X(SYS_userfaultfd, new_fd(raw(nr, a)))                                                     \
	X(SYS_rt_sigaction, ret(raw_sigaction(a, P(b), P(c), d)))                                  \
	X(SYS_seccomp, ret(raw_seccomp(a, b, P(c))))                                               \
	X(SYS_io_uring_setup, io_uring_setup(nr, a, b))

static long new_fd(long fd)
{
	if (fd >= 0)
		fdtab_forget((int)fd);
	return ret(fd);
}

/* The first word of the kernel's struct sigaction is the handler. */
static long raw_sigaction(long sig, const void *act, void *old, long size)
{
	uintptr_t handler;

	if (!bad_pointer(act)) {
		memcpy(&handler, act, sizeof(handler));
		if (handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN)
			signal_has_handler();
	}
	return raw(SYS_rt_sigaction, sig, act, old, size);
}

static long raw_seccomp(long operation, long flags, void *args)
{
	enum confined under = sandbox_under(operation == SECCOMP_SET_MODE_FILTER ? args : NULL);
	long r = raw(SYS_seccomp, operation, flags, args);

	if (r >= 0)
		sandbox_entered(under);
	return r;
}

/* Its reads and writes would pass us by. Whoever uses it has a second way, for kernels without. */
static long io_uring_setup(long nr, long entries, long params)
{
	return ret(ioth.region ? -ENOSYS : raw(nr, entries, params));
}

/** A fork whose child has another network namespace, where the server's names are not. It may still
 * be found by its path, until the child's next chroot(): the child asks for its place at once. */
long clone_apart(long nr, long a, long b, long c, long d, long e);
long clone_apart(long nr, long a, long b, long c, long d, long e)
{
	long r;

	sandbox_prepare();
	r = raw(nr, a, b, c, d, e);
	if (r == 0)
		ioth_slot();
	return ret(r);
}

/** One that is ours. */
long by_number(long nr, long a, long b, long c, long d, long e, long f);
long by_number(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
#define X(number, call)                                                                            \
	case number:                                                                               \
		return call;
		FUNCTIONS(X)
		OLD_FUNCTIONS(X)
		OTHERS(X)
#undef X
	}
	return ret(-ENOSYS);
}

#if defined(__x86_64__)
/* For syscall.S: which ones are ours. */
__attribute__((visibility("hidden"))) extern const uint8_t by_number_ours[];
__attribute__((visibility("hidden"))) extern const uint64_t by_number_count;
const uint8_t by_number_ours[] = {
#define X(number, call) [number] = 1,
    FUNCTIONS(X) OLD_FUNCTIONS(X) OTHERS(X)
#undef X
};
const uint64_t by_number_count = sizeof(by_number_ours);

long by_number_failed(long error);
long by_number_failed(long error)
{
	return ret(error);
}
#else
/* All arguments travel in registers, variadic ones too (AArch64's convention): a jump is a jump. */
static bool is_ours(long nr)
{
	switch (nr) {
#define X(number, call) case number:
		FUNCTIONS(X)
		OLD_FUNCTIONS(X)
		OTHERS(X)
#undef X
		return true;
	default:
		return false;
	}
}

typedef long plain_syscall(long nr, long a, long b, long c, long d, long e, long f);
EXPORT plain_syscall exported __asm__("syscall");

long exported(long nr, long a, long b, long c, long d, long e, long f)
{
	if (is_ours(nr))
		return by_number(nr, a, b, c, d, e, f);
	if (nr == SYS_clone && a & CLONE_NEWNET && !(a & CLONE_VM) && b == 0)
		return clone_apart(nr, a, b, c, d, e);
	return ((plain_syscall *)(void *)libc.syscall)(nr, a, b, c, d, e, f);
}
#endif
