/* shutdown(): the server's, which shows it to poll and wakes who sleeps. In native mode the kernel
 * is told too, and first: the end of what is written must come after the text in the socket. A
 * listener's sleepers are the kernel's to wake. */
#include "ioth.h"

static int sock_shutdown(int fd, const struct sock *s, int how)
{
	uint32_t state = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE);
	int r;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (sock_is_native(s) && state == RECORD_CONNECTED && how != SHUT_RD)
		raw(SYS_shutdown, fd, SHUT_WR);
	r = ctl_simple(s, OP_SHUTDOWN, how, 0);
	if (r == 0 && state == RECORD_LISTENING && how != SHUT_WR)
		raw(SYS_shutdown, fd, SHUT_RD);
	return r;
}

EXPORT int shutdown(int fd, int how)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return libc.shutdown(fd, how);
	return ret(sock_shutdown(fd, &s, how));
}
