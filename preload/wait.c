/* Sleeping until a socket may go on, and the errors that end it. A reader sleeps in the kernel, on
 * the AF_UNIX socket, peeking for a token: signals, SA_RESTART, SO_RCVTIMEO, O_NONBLOCK and
 * cancellation are then what they are for any socket. A writer sleeps in a call to the server. Who
 * has moved something already sleeps in ppoll(). */
#include "ioth.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#define DANCE_MS 1 /* longer than another reader needs to take its tokens */

bool fd_nonblocking(int fd)
{
	long flags = raw(SYS_fcntl, fd, F_GETFL);

	return flags >= 0 && flags & O_NONBLOCK;
}

int timeout_ms(int fd, int name)
{
	struct timeval t = {0};
	socklen_t len = sizeof(t);
	int64_t ms;

	if (raw(SYS_getsockopt, fd, SOL_SOCKET, name, &t, &len) < 0)
		return 0;
	ms = (int64_t)t.tv_sec * 1000 + (t.tv_usec + 999) / 1000;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

int sock_take_error(const struct sock *s)
{
	if (__atomic_load_n(&s->rec->so_error, __ATOMIC_RELAXED) == 0)
		return 0;
	return -(int)__atomic_exchange_n(&s->rec->so_error, 0, __ATOMIC_ACQ_REL);
}

int broken_pipe(int flags)
{
	if (!(flags & MSG_NOSIGNAL))
		raw(SYS_tgkill, raw(SYS_getpid), raw(SYS_gettid), SIGPIPE);
	return -EPIPE;
}

int sock_broken(const struct sock *s, int flags)
{
	int e = sock_take_error(s);

	return e && e != -EPIPE ? e : broken_pipe(flags);
}

/* A cancellation point. */
static int pause_ms(int ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000L};
	long r = raw(SYS_nanosleep, &pause, NULL);

	pthread_testcancel();
	return (int)r;
}

int sock_wait(const struct sock *s, enum wait_for what, int limit_ms)
{
	int64_t end = limit_ms > 0 ? now_ns() + limit_ms * 1000000ll : INT64_MAX;
	bool decided = false;

	for (;;) {
		struct request r = {.op = OP_WAIT,
				    .record = s->index,
				    .generation = s->generation,
				    .arg = {(int)what},
				    .interruptible = !decided,
				    .timeout_ms = limit_ms};
		int e = ctl_call(&r);

		if (e != -EBUSY)
			return e;
		/* Without a call, of which there is a number for all: too many wait. */
		e = pause_ms(10);
		if (e < 0)
			return e;
		if (what == WAIT_SPACE)
			return 0; /* the caller looks */
		decided = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) != RECORD_CONNECTING;
		if (!decided && now_ns() >= end)
			return -EAGAIN;
	}
}

int64_t call_deadline(int fd, int name, int64_t *deadline)
{
	if (*deadline == 0) {
		int ms = timeout_ms(fd, name);

		*deadline = ms > 0 ? now_ns() + ms * 1000000ll : INT64_MAX;
	}
	return *deadline;
}

/* What is left of a call's time, ms; 0: it has as long as it takes. */
static int time_left(int fd, int name, int64_t *deadline)
{
	int64_t now = now_ns();

	if (call_deadline(fd, name, deadline) == INT64_MAX)
		return 0;
	return *deadline > now ? (int)((*deadline - now + 999999) / 1000000) : -EAGAIN;
}

int wait_writable(int fd, const struct sock *s, int flags, int64_t *deadline)
{
	uint32_t state = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE);
	int r;

	if (flags & MSG_DONTWAIT || fd_nonblocking(fd))
		return -EAGAIN;
	r = time_left(fd, SO_SNDTIMEO, deadline);
	if (r < 0)
		return r;
	r = sock_wait(s, state == RECORD_CONNECTING ? WAIT_CONNECTED : WAIT_SPACE, r);
	return r < 0 ? r : 0;
}

int sleep_held(int fd, short events, int64_t deadline, const uint64_t *held)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left = deadline == INT64_MAX ? 0 : deadline - now_ns();
	struct timespec limit = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	sigset_t mask;
	int n;

	if (left < 0)
		return -EAGAIN;
	memcpy(&mask, held, sizeof(*held)); /* all that the kernel looks at */
	n = libc.ppoll(&p, 1, deadline == INT64_MAX ? NULL : &limit,
		       *held == SIGNALS_FREE ? NULL : &mask);
	if (n < 0)
		return -errno;
	return n > 0 ? 0 : -EAGAIN;
}

int wait_room(int fd, const struct sock *s, int flags, bool some, int64_t *deadline, uint64_t *held)
{
	if (!some) {
		sigmask_restore(held);
		return wait_writable(fd, s, flags, deadline);
	}
	if (flags & MSG_DONTWAIT || fd_nonblocking(fd))
		return -EAGAIN;
	/* The ring was left full, so it is plugged: POLLOUT comes back when there is room. */
	return sleep_held(fd, POLLOUT, call_deadline(fd, SO_SNDTIMEO, deadline), held);
}

/* Is there text, an end, an error? -EINPROGRESS: nothing yet. */
static int readable(const struct sock *s)
{
	const struct record *rec = s->rec;
	uint32_t state = __atomic_load_n(&rec->state, __ATOMIC_ACQUIRE);
	/* Before the look at the ring: text that the end covers is seen. */
	uint32_t flags = __atomic_load_n(&rec->flags, __ATOMIC_ACQUIRE);
	int e;

	if (sock_is_native(s) || ring_used_rx(s) > 0)
		return 0;
	if (flags & (FLAG_EOF | FLAG_SHUT_RD))
		return 1;
	if (flags & FLAG_DEAD) {
		e = sock_take_error(s);
		return e ? e : 1;
	}
	if (state != RECORD_CONNECTED && state != RECORD_CONNECTING)
		return -ENOTCONN;
	return -EINPROGRESS;
}

/* A token lies in the socket, but the ring is empty: whoever emptied it is about to take it. */
static void let_dance(const struct sock *s)
{
	uint64_t signals;

	sigmask_block(&signals);
	if (lock_take_for(&s->rec->rlock, DANCE_MS) == 0)
		lock_drop(&s->rec->rlock);
	sigmask_restore(&signals);
}

/* The kernel does not know the socket as connected: another thread's blocking connect is under way,
 * or just about to tell the kernel. */
static int wait_connected(int fd, const struct sock *s, int flags)
{
	int r;

	if (flags & MSG_DONTWAIT || fd_nonblocking(fd))
		return -EAGAIN;
	r = sock_wait(s, WAIT_CONNECTED, timeout_ms(fd, SO_RCVTIMEO));
	sched_yield();
	return r;
}

int wait_readable(int fd, const struct sock *s, int flags)
{
	bool over = false;

	for (;;) {
		int saved = errno;
		char token;
		ssize_t n;
		int r = readable(s);

		if (r != -EINPROGRESS)
			return r;
		if (over)
			return -ECONNRESET; /* the server is gone without a word */
		n = libc.recv(fd, &token, 1, MSG_PEEK | (flags & MSG_DONTWAIT));
		r = n < 0 ? errno : 0;
		errno = saved;
		if (n > 0) {
			r = readable(s);
			if (r != -EINPROGRESS)
				return r;
			let_dance(s);
			return 0;
		}
		if (r == EINVAL) {
			r = wait_connected(fd, s, flags);
			if (r < 0)
				return r;
		} else if (n < 0 && r != ECONNRESET)
			return -r;
		else
			over = true;
	}
}
