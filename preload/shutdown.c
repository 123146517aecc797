/* shutdown(): the server's, which shows it to poll and wakes who sleeps. In native mode it is the
 * kernel's: the end of what is written comes after the text in the socket, and the server finds it
 * there. A listener's sleepers are the kernel's to wake. */
#include "ioth.h"

static bool alive(const struct sock *s)
{
	return __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_CONNECTED &&
	       !(__atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_DEAD);
}

static int shutdown_natively(int fd, const struct sock *s, int how)
{
	int r = how == SHUT_WR ? 0 : ctl_simple(s, OP_SHUTDOWN, SHUT_RD, 0);

	return r < 0 ? r : (int)raw(SYS_shutdown, fd, how);
}

static int sock_shutdown(int fd, const struct sock *s, int how)
{
	bool listens = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_LISTENING;
	int r;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (sock_is_message(s))
		return message_shutdown(fd, s, how);
	if (sock_is_native(s) && alive(s))
		return shutdown_natively(fd, s, how);
	r = ctl_simple(s, OP_SHUTDOWN, how, 0);
	if (r == 0 && listens && how != SHUT_WR)
		raw(SYS_shutdown, fd, SHUT_RDWR); /* HUP, which poll.c makes a fresh socket's */
	return r;
}

EXPORT int shutdown(int fd, int how)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_shutdown(fd, how);
	return ret(sock_shutdown(fd, &s, how));
}
