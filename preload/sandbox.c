/* What a process does to itself that the shim may not survive: another namespace hides the server's
 * addresses, a seccomp filter of its own forbids the calls that rings need. Plain read, write and
 * poll it will keep for itself, so all sockets go native before. */
#include "ioth.h"

#include <linux/seccomp.h>
#include <sched.h>

static void go_native(int fd, struct sock *s, void *arg)
{
	(void)arg;
	sock_go_native(fd, s);
}

/** Every socket that this process has, whether it will pass it on or not. */
void sandbox_prepare(void)
{
	int saved = errno;

	if (ioth.region && !server_dead())
		fdtab_each(go_native, NULL);
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

EXPORT int prctl(int option, ...)
{
	unsigned long a, b, c, d;
	va_list args;

	va_start(args, option);
	a = va_arg(args, unsigned long);
	b = va_arg(args, unsigned long);
	c = va_arg(args, unsigned long);
	d = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_SECCOMP) {
		sandbox_prepare();
		pointers_trust();
	}
	return libc.prctl(option, a, b, c, d);
}
