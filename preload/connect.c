/* connect(). The server makes the TCP connection; the AF_UNIX socket is then connected to the
 * server's "conn" and shows it. An AF_UNIX socket connects only once, so a socket whose
 * non-blocking connect failed, or that gives its connection up, is exchanged for a new one under
 * the same number.
 *
 * Blocking: the call to the server lasts until the handshake is decided; if that fails nothing was
 * connected and the socket is as good as before. A signal or SO_SNDTIMEO turns it into a
 * non-blocking one. Non-blocking: connected at once, with the plug in the socket until the
 * handshake is done. */
#include "ioth.h"

#include <poll.h>
#include <time.h>

#define AWAIT_OUT_S	1
#define BACKLOG_FULL_MS 5000 /* the server accepts in each turn: longer, and it is not well */

/** Connects to the server's listener, which may be full for a moment. */
int sock_join_server(int fd, const char *listener)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int r = service_connect(fd, listener);

	for (int i = 0; i < BACKLOG_FULL_MS && r == -EAGAIN && !server_dead(); i++) {
		server_wake();
		raw(SYS_nanosleep, &pause, NULL);
		r = service_connect(fd, listener);
	}
	return r;
}

/* Connects the AF_UNIX socket. `connecting`: the handshake is not done. */
static int join(int fd, const struct sock *s, bool connecting)
{
	struct record *rec = s->rec;
	int r = sock_join_server(fd, "conn");
	uint64_t signals;

	if (r < 0) {
		ctl_simple(s, OP_DISCONNECT, 0, 0);
		return server_dead() ? -ENETDOWN : -ENOBUFS;
	}
	/* Under the lock: a change to native mode counts the messages. */
	sigmask_block(&signals);
	r = lock_take(&rec->wlock);
	if (r < 0)
		goto restore;
	if (sock_is_native(s)) {
		canary_send(fd, connecting ? ioth.region->plug : 0);
		if (!connecting)
			native_buffer(fd);
	} else {
		canary_send(fd, connecting ? ioth.region->plug : 1);
		__atomic_store_n(&rec->accepted, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&rec->plugged, connecting, __ATOMIC_SEQ_CST);
	writer_unlock(fd, s);
	post_work(s->index);
restore:
	sigmask_restore(&signals);
	return r;
}

/* A connect is under way. */
static int connect_again(int fd, const struct sock *s)
{
	int e, ms;

	if (fd_nonblocking(fd))
		return -EALREADY;
	ms = timeout_ms(fd, SO_SNDTIMEO);
	e = sock_wait(s, WAIT_CONNECTED, ms);
	__atomic_store_n(&s->rec->told, 1, __ATOMIC_RELAXED);
	return e == -EAGAIN && ms > 0 ? -EALREADY : e;
}

/* Connected over loopback before connect() returns, as on Linux: poll() is to say so at once. The
 * server takes the plug out, which is the edge that the program waits for. */
static void await_out(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct timespec limit = {.tv_sec = AWAIT_OUT_S};

	raw(SYS_ppoll, &p, 1, &limit, NULL, 0);
}

static int connect_to(int fd, const struct sock *s, const struct sockaddr *addr, socklen_t len,
		      int flags)
{
	bool blocking = !(flags & MSG_DONTWAIT) && !fd_nonblocking(fd);
	struct request r = {.op = OP_CONNECT,
			    .record = s->index,
			    .generation = s->generation,
			    .arg = {blocking, (flags & MSG_FASTOPEN) != 0},
			    .in = addr,
			    .in_len = len,
			    .interruptible = blocking,
			    .timeout_ms = blocking ? timeout_ms(fd, SO_SNDTIMEO) : 0};
	bool begins = false, done;
	int e, joined;

	__atomic_store_n(&s->rec->told, 0, __ATOMIC_RELAXED);
	e = ctl_call(&r);
	if (e == -EBUSY) {
		/* Too many wait in calls: begun, and waited for as for one under way. */
		begins = true;
		r.arg[0] = r.interruptible = false;
		r.timeout_ms = 0;
		e = ctl_call(&r);
	}
	done = e == 1;
	if (done || (e == -EAGAIN && r.timeout_ms > 0))
		e = -EINPROGRESS;
	if (e < 0 && e != -EINPROGRESS && e != -EINTR)
		return e;
	if (!fdtab_means(fd, s)) {
		ctl_simple(s, OP_DISCONNECT, 0, 0);
		return e;
	}
	joined = join(fd, s, e < 0);
	if (joined < 0)
		return joined;
	if (done)
		await_out(fd);
	if (e == -EINPROGRESS && begins) {
		e = connect_again(fd, s);
		return e == -EALREADY ? -EINPROGRESS : e;
	}
	if (e == 0)
		__atomic_store_n(&s->rec->told, 1, __ATOMIC_RELAXED);
	return e;
}

/* The first connect() after a non-blocking one tells how that went, if it failed with its error or,
 * when SO_ERROR took that, with ECONNABORTED. */
static bool untold(const struct sock *s)
{
	return __atomic_exchange_n(&s->rec->told, 1, __ATOMIC_RELAXED) == 0;
}

static int disconnect(int fd, struct sock *s)
{
	bool used = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) != RECORD_OPEN ||
		    __atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_DEAD;
	int r = ctl_simple(s, OP_DISCONNECT, 0, 0);

	return r == 0 && used ? sock_renew(fd, s) : r;
}

/* Whom datagrams go to: to the kernel nothing changes. */
static int connect_message(const struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct request r = {.op = OP_CONNECT,
			    .record = s->index,
			    .generation = s->generation,
			    .in = addr,
			    .in_len = len};

	return ctl_call(&r);
}

/** connect(), states in the order in which Linux asks. MSG_FASTOPEN and MSG_DONTWAIT as in send().
 */
int sock_connect(int fd, const struct sock *sock, const struct sockaddr *addr, socklen_t len,
		 int flags)
{
	struct sock s = *sock;
	int r = addr_check(addr, len);

	if (r < 0)
		return r;
	if (sock_is_message(&s))
		return connect_message(&s, addr, len);
	if (addr->sa_family == AF_UNSPEC)
		return disconnect(fd, &s);
	switch (__atomic_load_n(&s.rec->state, __ATOMIC_ACQUIRE)) {
	case RECORD_CONNECTED:
	case RECORD_DELIVERED_NATIVE:
		return untold(&s) ? 0 : -EISCONN;
	case RECORD_CONNECTING:
		return connect_again(fd, &s);
	case RECORD_LISTENING:
		return -EISCONN;
	default:
		break;
	}
	if (__atomic_load_n(&s.rec->flags, __ATOMIC_ACQUIRE) & FLAG_DEAD && untold(&s)) {
		r = sock_take_error(&s);
		return r ? r : -ECONNABORTED;
	}
	r = sock_unused(fd, &s);
	if (r < 0)
		return r;
	return connect_to(fd, &s, addr, len, flags);
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	int saved = errno;
	struct sock s;
	int r;

	if (!fdtab_find(fd, &s))
		return pass_connect(fd, addr.__sockaddr__, len);
	r = sock_connect(fd, &s, addr.__sockaddr__, len, 0);
	errno = saved;
	return ret(r);
}
ALIAS(__connect, connect);
