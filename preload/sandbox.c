/* What a process does to itself that the shim may not survive: another namespace hides the server's
 * addresses, a seccomp filter of its own forbids the calls that rings need. Plain read, write and
 * poll it will keep for itself, so all sockets go native before.
 *
 * A filter that does not even let us do what serving a socket takes (sshd's before the login) is
 * the end of our services: from then on whatever the program calls is the kernel's, as it was
 * called. Text goes on; names, options and new connections are not ours any more. One that lets us
 * do that, but not ask whose a descriptor is, makes us take unknown ones for libc's. */
#include "ioth.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

static void go_native(int fd, struct sock *s, void *arg)
{
	(void)arg;
	sock_go_native(fd, s);
}

/** Every socket that this process has, whether it will pass it on or not. */
void sandbox_prepare(void)
{
	int saved = errno;

	if (ioth.region && ioth.confined != ASIDE && !server_dead()) {
		ioth_slot();
		fdtab_each(go_native, NULL);
	}
	errno = saved;
}

EXPORT int unshare(int flags)
{
	sandbox_prepare();
	return libc.unshare(flags);
}

EXPORT int setns(int fd, int type)
{
	sandbox_prepare();
	return libc.setns(fd, type);
}

struct wish {
	int nr;
	uint64_t args[4];
};

static bool lets_pass(const struct sock_fprog *filter, const struct wish *wish)
{
	struct seccomp_data call = {.nr = wish->nr, .arch = ARCH};

	memcpy(call.args, wish->args, sizeof(wish->args));
	return (filter_verdict(filter, &call) & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW;
}

/* What serving a socket takes, but for what every program needs. */
static bool serves_under(const struct sock_fprog *filter)
{
	static const struct wish needed[] = {
	    {SYS_socket, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK}},
	    {SYS_connect, {0}},
	    {SYS_getsockopt, {KICK_FD_MIN, SOL_SOCKET, SO_COOKIE}},
	    {SYS_sendto, {KICK_FD_MIN, 0, 1, MSG_DONTWAIT | MSG_NOSIGNAL}},
	    {SYS_recvfrom, {KICK_FD_MIN, 0, 1, MSG_DONTWAIT}},
	    {SYS_sendmsg, {0}},
	    {SYS_recvmsg, {0}},
	    {SYS_fcntl, {KICK_FD_MIN, F_GETFL}},
	    {SYS_rt_sigprocmask, {SIG_SETMASK}},
	    {SYS_futex, {0, FUTEX_WAIT}},
	    {SYS_futex, {0, FUTEX_WAKE, 1}},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!lets_pass(filter, &needed[i]))
			return false;
	return true;
}

/* What it takes to ask whether an unknown descriptor is ours. */
static bool may_ask_under(const struct sock_fprog *filter)
{
	return lets_pass(filter, &(struct wish){SYS_getpeername, {0}}) &&
	       lets_pass(filter, &(struct wish){SYS_getsockname, {0}});
}

/** Before a filter is set up: what it will mean to us. (Strict mode is no question: the kernel
 * refuses it to who has a filter already, as all do here.) */
enum confined sandbox_under(const struct sock_fprog *filter)
{
	sandbox_prepare();
	pointers_trust();
	if (bad_pointer(filter) || (serves_under(filter) && may_ask_under(filter)))
		return FREE;
	return serves_under(filter) ? BLIND : ASIDE;
}

/** Once it is there. */
void sandbox_entered(enum confined confined)
{
	if (confined > ioth.confined)
		ioth.confined = confined;
}

EXPORT int prctl(int option, ...)
{
	unsigned long a, b, c, d;
	enum confined under = FREE;
	va_list args;
	int r;

	va_start(args, option);
	a = va_arg(args, unsigned long);
	b = va_arg(args, unsigned long);
	c = va_arg(args, unsigned long);
	d = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_SECCOMP)
		under = sandbox_under(a == SECCOMP_MODE_FILTER ? (const void *)b : NULL);
	r = libc.prctl(option, a, b, c, d);
	if (r == 0)
		sandbox_entered(under);
	return r;
}
