/* connect(). The kernel connects an AF_UNIX socket once, so a socket that tries again is exchanged
 * for another one under the same number, here as in the shim (preload/connect.c): the caller is
 * given it. A blocking connect is a non-blocking one that is waited for. */
#include "supervisor.h"

/* After a call that may have exchanged what our copy is for another socket: the caller gets that,
 * too. 0 or a negative errno. */
int renewed(struct notice *c)
{
	struct sock now;

	if (!fdtab_find(c->fd, &now) ||
	    (now.index == c->sock.index && now.generation == c->sock.generation))
		return 0;
	c->sock = now;
	return target_replace(c, (int)c->arg[0], c->fd);
}

/* The handshake is under way, or was. */
long connect_goes_on(struct notice *c)
{
	struct record *rec = c->sock.rec;
	int error;

	if (__atomic_load_n(&rec->state, __ATOMIC_ACQUIRE) == RECORD_CONNECTING)
		return wait_for(c, EPOLLOUT, SO_SNDTIMEO, c->begun ? -EINPROGRESS : -EALREADY);
	__atomic_store_n(&rec->told, 1, __ATOMIC_RELAXED);
	error = sock_take_error(&c->sock);
	if (error)
		return error;
	if (__atomic_load_n(&rec->flags, __ATOMIC_ACQUIRE) & FLAG_DEAD)
		return -ECONNABORTED;
	sock_go_native(c->fd, &c->sock);
	return 0;
}

long serve_connect(struct notice *c)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = (socklen_t)c->arg[2];
	bool there = len > sizeof(addr) || target_read(c, &addr, c->arg[1], len);
	bool waits = !sock_is_message(&c->sock) && !fd_nonblocking(c->fd);
	int r, e;

	if (c->deadline)
		return connect_goes_on(c);
	name_netlink(c);
	if (waits && there && len >= sizeof(addr.ss_family) && addr.ss_family != AF_UNSPEC &&
	    __atomic_load_n(&c->sock.rec->state, __ATOMIC_ACQUIRE) == RECORD_CONNECTING)
		return connect_goes_on(c);
	r = sock_connect(c->fd, &c->sock, there ? (struct sockaddr *)&addr : NOWHERE, len,
			 MSG_DONTWAIT);
	e = renewed(c);
	if (e < 0)
		return e;
	c->begun = true;
	return r == -EINPROGRESS && waits ? connect_goes_on(c) : r;
}
