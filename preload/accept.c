/* accept(): the kernel's, on the AF_UNIX listener, so blocking, signals, timeouts and who of many
 * gets the connection are the kernel's too. What comes out has a peer whose name says which record
 * it is.
 *
 * Anybody may connect to an abstract address. A connection counts only if its record waits to be
 * delivered, which the server alone can make it do, and is taken by a swap, so only once. */
#include "ioth.h"

#include <netinet/in.h>

#include <sys/un.h>

/* Takes the connection that `peer` names. False: it is none of the server's. */
static bool take(const struct sockaddr_un *peer, socklen_t len, struct sock *s)
{
	uint32_t state = RECORD_DELIVERED;

	if (record_named(peer, len, s) < 0 ||
	    __atomic_load_n(&s->rec->generation, __ATOMIC_ACQUIRE) != s->generation)
		return false;
	/* Pairs with the server's swap to DELIVERED_NATIVE, when the listener goes native
	 * meanwhile. */
	while (!__atomic_compare_exchange_n(&s->rec->state, &state, RECORD_CONNECTED, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		if (state != RECORD_DELIVERED_NATIVE && state != RECORD_DELIVERED)
			return false;
	return true;
}

/* Makes the accepted end what socket() and connect() make theirs. */
static int adopt(int listener, int fd, const struct sock *s)
{
	int least = 1;

	fdtab_set(fd, s);
	copy_timeouts(listener, fd);
	__atomic_store_n(&s->rec->told, 1, __ATOMIC_RELAXED);
	if (sock_is_native(s)) {
		native_buffer(fd);
		native_options(fd, s);
		return 0;
	}
	raw(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	canary_send(fd, 1);
	__atomic_store_n(&s->rec->accepted, 1, __ATOMIC_SEQ_CST);
	post_work(s->index);
	return ioth.native || fd <= STDERR_FILENO ? sock_go_native(fd, s) : 0;
}

/* A connection of the server's, or a negative errno. */
static int take_next(int fd, const struct sock *s, int flags, struct sock *accepted)
{
	for (;;) {
		struct sockaddr_un peer;
		socklen_t len = sizeof(peer);
		int got;

		if (server_dead())
			return -ENETDOWN;
		got = pass_accept4(fd, (struct sockaddr *)&peer, &len, flags);
		if (got < 0 && errno == EAGAIN &&
		    __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) != RECORD_LISTENING)
			return -EINVAL;
		if (got < 0)
			return -errno;
		/* Also when it is a stranger: it took a place in the queue. */
		if (__atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_WANT_ACCEPT)
			post_work(s->index);
		if (take(&peer, len, accepted))
			return got;
		raw(SYS_close, got);
	}
}

int sock_accept(int fd, const struct sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct sock accepted;
	int got = sock_is_message(s) ? -EOPNOTSUPP : take_next(fd, s, flags, &accepted);
	int r;

	if (got < 0)
		return got;
	r = adopt(fd, got, &accepted);
	/* As the kernel: the connection is lost on who gives a bad address. */
	if (r == 0 && addr && unwritable(len, sizeof(*len)))
		r = -EFAULT;
	if (r == 0 && addr && (int)*len < 0)
		r = -EINVAL;
	if (r == 0 && addr &&
	    unwritable(addr, *len < sizeof(struct sockaddr_in) ? *len : sizeof(struct sockaddr_in)))
		r = -EFAULT;
	if (r < 0) {
		raw(SYS_close, got);
		fdtab_forget(got);
		return r;
	}
	if (addr)
		addr_to_sockaddr(&accepted.rec->peer, addr, len);
	return got;
}

static int accept_any(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
	int saved = errno;
	struct sock s;
	int r;

	if (!fdtab_find(fd, &s)) {
		r = pass_accept4(fd, addr.__sockaddr__, len, flags);
		if (r >= 0)
			fdtab_foreign(r);
		return r;
	}
	r = sock_accept(fd, &s, addr.__sockaddr__, len, flags);
	errno = saved;
	return ret(r);
}

EXPORT int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
	return accept_any(fd, addr, len, flags);
}

EXPORT int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
	return accept_any(fd, addr, len, 0);
}
