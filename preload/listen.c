/* listen(): the AF_UNIX socket becomes a listener itself, and the server connects to it once for
 * each connection that stands. First the kernel's, then the server's: it must not find the door
 * shut. */
#include "ioth.h"

static int sock_listen(int fd, struct sock *s, int backlog)
{
	long r = sock_is_message(s) ? -EOPNOTSUPP : sock_unused(fd, s);

	if (r == 0)
		r = raw(SYS_listen, fd, backlog);
	return r < 0 ? (int)r : ctl_simple(s, OP_LISTEN, backlog, 0);
}

EXPORT int listen(int fd, int backlog)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_listen(fd, backlog);
	return ret(sock_listen(fd, &s, backlog));
}
