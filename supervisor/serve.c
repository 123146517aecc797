/* From a call's number to what serves it. */
#include "supervisor.h"

static bool is_ioctl(const struct notice *c)
{
	return c->nr == SYS_ioctl;
}

static bool receives(const struct notice *c)
{
	return c->nr == SYS_recvmsg || c->nr == SYS_recvmmsg;
}

/* The descriptor of a call that has one, and what is behind it. 0: a socket of ours. */
static long fetch(struct notice *c)
{
	c->fd = target_fd(c, (int)c->arg[0]);
	/* The kernel has its own word for what is no descriptor; gone, or not for us to see. */
	if (c->fd < 0)
		return PASS;
	if (!target_waits(c))
		return -EINTR;
	/* What was behind this number of ours before. */
	fdtab_forget(c->fd);
	if (!fdtab_find(c->fd, &c->sock))
		return is_ioctl(c) || receives(c) ? 0 : PASS;
	/* Plain calls on it are to be right from here on. */
	sock_go_native(c->fd, &c->sock);
	return 0;
}

long serve(struct notice *c)
{
	long r;

	switch (c->nr) {
	case SYS_socket:
		return serve_socket(c);
	case SYS_openat:
#ifdef SYS_open
	case SYS_open:
#endif
		return serve_open(c);
	case SYS_uname:
		return serve_uname(c);
	default:
		break;
	}
	r = c->fd < 0 ? fetch(c) : 0;
	if (r != 0)
		return r;
	if (!c->sock.rec && receives(c))
		return serve_passing(c);
	switch (c->nr) {
	case SYS_bind:
		return serve_bind(c);
	case SYS_connect:
		return serve_connect(c);
	case SYS_listen:
		return serve_listen(c);
	case SYS_accept:
	case SYS_accept4:
		return serve_accept(c);
	case SYS_shutdown:
		return serve_shutdown(c);
	case SYS_getsockname:
	case SYS_getpeername:
		return serve_name(c);
	case SYS_getsockopt:
		return serve_getsockopt(c);
	case SYS_setsockopt:
		return serve_setsockopt(c);
	case SYS_sendto:
		return serve_sendto(c);
	case SYS_sendmsg:
		return serve_sendmsg(c);
	case SYS_sendmmsg:
		return serve_sendmmsg(c);
	case SYS_recvfrom:
		return serve_recvfrom(c);
	case SYS_recvmsg:
		return serve_recvmsg(c);
	case SYS_recvmmsg:
		return serve_recvmmsg(c);
	case SYS_ioctl:
		return serve_ioctl(c);
	default:
		return PASS;
	}
}

void let_go(struct notice *c)
{
	if (c->caller >= 0)
		raw(SYS_close, c->caller);
	if (c->fd < 0)
		return;
	fdtab_forget(c->fd);
	raw(SYS_close, c->fd);
}

long wait_for(struct notice *c, uint32_t events, int timeout, long otherwise)
{
	if (fd_nonblocking(c->fd))
		return otherwise;
	if (now_ns() >= call_deadline(c->fd, timeout, &c->deadline))
		return otherwise;
	c->events = events;
	return WAIT;
}
