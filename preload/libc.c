/* The table of real functions. Resolved all at once (dlsym later, in a fork child of a threaded
 * program, could meet a lock that nobody will open), by whoever comes first: our constructor, or
 * another library's that runs before it. */
#include "ioth.h"

#include <dlfcn.h>

struct libc_calls libc_resolved;
bool libc_ready;
static __thread bool resolving __attribute__((tls_model("initial-exec")));

static long done(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

static ssize_t raw_read(int fd, void *buf, size_t n)
{
	return done(raw(SYS_read, fd, buf, n));
}

static ssize_t raw_write(int fd, const void *buf, size_t n)
{
	return done(raw(SYS_write, fd, buf, n));
}

static ssize_t raw_readv(int fd, const struct iovec *iov, int n)
{
	return done(raw(SYS_readv, fd, iov, n));
}

static ssize_t raw_writev(int fd, const struct iovec *iov, int n)
{
	return done(raw(SYS_writev, fd, iov, n));
}

static ssize_t raw_pread(int fd, void *buf, size_t n, off_t offset)
{
	return done(raw(SYS_pread64, fd, buf, n, offset));
}

static int raw_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	unsigned int mode;

	va_start(args, flags);
	mode = va_arg(args, unsigned int);
	va_end(args);
	return (int)done(raw(SYS_openat, dir, path, flags, mode));
}

static int raw_open(const char *path, int flags, ...)
{
	va_list args;
	unsigned int mode;

	va_start(args, flags);
	mode = va_arg(args, unsigned int);
	va_end(args);
	return (int)done(raw(SYS_openat, AT_FDCWD, path, flags, mode));
}

static int raw_close(int fd)
{
	return (int)done(raw(SYS_close, fd));
}

static int raw_fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	return (int)done(raw(SYS_fcntl, fd, cmd, arg));
}

static int raw_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	/* The kernel's struct differs, and nobody needs it this early. */
	(void)sig, (void)act, (void)old;
	errno = ENOSYS;
	return -1;
}

static long raw_libc_syscall(long nr, ...)
{
	va_list args;
	long a[6];

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	return done(raw(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* Called instead of what has no stand-in. */
static long not_yet(void)
{
	errno = ENOSYS;
	return -1;
}

static struct libc_calls stand_in = {
    .read = raw_read,
    .write = raw_write,
    .readv = raw_readv,
    .writev = raw_writev,
    .pread = raw_pread,
    .pread64 = raw_pread,
    .open = raw_open,
    .open64 = raw_open,
    .openat = raw_openat,
    .openat64 = raw_openat,
    .close = raw_close,
    .fcntl = raw_fcntl,
    .fcntl64 = raw_fcntl,
    .sigaction = raw_sigaction,
    .syscall = raw_libc_syscall,
};

static const char *const names[] = {
#define X(name) #name,
    LIBC_SYMBOLS(X)
#undef X
};
#define COUNT (sizeof(names) / sizeof(names[0]))
static_assert(sizeof(struct libc_calls) == COUNT * sizeof(void *), "a table of pointers");

/** The table, for one who found it unresolved. Threads may do it twice, with the same outcome. */
const struct libc_calls *libc_resolve(void)
{
	void **to = (void **)&libc_resolved;
	void **early = (void **)&stand_in;
	int saved = errno;

	if (resolving)
		return &stand_in;
	resolving = true;
	for (size_t i = 0; i < COUNT; i++)
		if (!early[i])
			__atomic_store_n(&early[i], (void *)not_yet, __ATOMIC_RELAXED);
	for (size_t i = 0; i < COUNT; i++) {
		void *real = dlsym(RTLD_NEXT, names[i]);

		/* A name that this libc lacks: nobody who was linked against it can call it. */
		__atomic_store_n(&to[i], real ? real : (void *)not_yet, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&libc_ready, true, __ATOMIC_RELEASE); /* pairs with libc_now */
	resolving = false;
	errno = saved;
	return &libc_resolved;
}
