/* Sleeping and waking.
 *
 * Waking the server. The stack thread sleeps in epoll_wait; before it does it sets `asleep` and
 * looks for work once more. A poster sets its bits and then looks at `asleep`: store, then look, on
 * both sides, so one of the two sees the other. Whoever swaps `asleep` from 1 to 0 sends the kick,
 * one byte to the server's datagram address, so there is one per sleep. The socket for it is opened
 * on first use under a high number. Programs close descriptors that they did not open: its
 * SO_COOKIE is looked at before each use, so that a number that means something else now is never
 * written to. A fork child goes on using it, it is the same socket; a vfork child, whose numbers
 * its parent's memory knows nothing of, may do so while the cookie is right and opens one for the
 * moment otherwise.
 *
 * Waking the program. Its poll and epoll look at the AF_UNIX socket of each virtual one, so
 * readiness is bytes in that socket's two queues, every one a message of its own and counted:
 *
 * - tokens, in the program's queue: the server counts `rung` up and sends a byte. A reader that
 *   found the ring empty takes back exactly as many as `rung` said (ring-read.c);
 *
 * - the canary and the plug, in the server's queue. The program's send buffer is so small that
 *   region->plug messages make it unwritable. One of them, the canary, always stays: a server that
 *   closes with it unread resets the socket, and that is how a dead connection looks. The others,
 *   the plug, take POLLOUT away while the send ring is full or the connection is being made; the
 *   server reads exactly those to give it back.
 *
 * Locks. The owner is a process slot and a number of the thread, never a tid: the server knows when
 * the process of a slot dies and breaks its locks then, and nobody else ever does. A waiter sleeps
 * in slices to see the death of the server itself. Dropping is a swap of our own word only, so that
 * a lock that was broken and taken by another is left alone. */
#include "ioth.h"

#include <linux/futex.h>
#include <poll.h>
#include <time.h>

#define SLICE_MS   100
#define LOCK_SPINS 200 /* some microseconds: as long as a copy takes */
#define THREADS	   0x7ffffu

enum { NO_KICK = 0, OPENING = -1 };
static int kick_fd; /* or NO_KICK, OPENING */
static uint64_t kick_cookie;

static int kick_socket(void)
{
	int fd = (int)raw(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return fd;
	r = service_connect(fd, "kick");
	if (r == 0)
		return fd;
	raw(SYS_close, fd);
	return r;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return raw(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static int send_kick(int fd)
{
	long r = raw(SYS_sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);

	return r == -EAGAIN ? 0 : (int)r; /* full of kicks: it will wake up */
}

/* The socket kept for kicks, if its number still means it. */
static int kept_socket(void)
{
	int fd = __atomic_load_n(&kick_fd, __ATOMIC_ACQUIRE); /* pairs with keep() */

	if (fd <= 0 || cookie_of(fd) != __atomic_load_n(&kick_cookie, __ATOMIC_RELAXED))
		return -EBADF;
	return fd;
}

/* Keeps `fd` for the next kicks, under a high number. False: it is the caller's to close. */
static bool keep(int fd)
{
	int was = __atomic_load_n(&kick_fd, __ATOMIC_RELAXED);
	int high;

	if (in_vfork_child() || was == OPENING || kept_socket() >= 0 ||
	    !__atomic_compare_exchange_n(&kick_fd, &was, OPENING, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return false;
	high = (int)raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, KICK_FD_MIN);
	if (high < 0 && fd > STDERR_FILENO)
		high = fd; /* RLIMIT_NOFILE is low */
	fdtab_foreign(high);
	__atomic_store_n(&kick_cookie, cookie_of(high), __ATOMIC_RELAXED);
	__atomic_store_n(&kick_fd, high < 0 ? NO_KICK : high, __ATOMIC_RELEASE);
	return high == fd;
}

static int kick(void)
{
	int fd = kept_socket();
	int r = fd < 0 ? fd : send_kick(fd);

	if (r >= 0)
		return 0;
	fd = kick_socket();
	if (fd < 0)
		return fd;
	r = send_kick(fd);
	if (!keep(fd))
		raw(SYS_close, fd);
	return r < 0 ? r : 0;
}

/** To be called after the work was made visible. When no kick can be sent (no descriptor is left)
 * the server finds the work itself, it never sleeps longer than a second; the next poster tries
 * again. */
void server_wake(void)
{
	struct region *region = ioth.region;
	uint64_t saved;

	if (__atomic_load_n(&region->asleep, __ATOMIC_SEQ_CST) == 0)
		return;
	/* A handler that posts work must not find `asleep` 0 and the kick not yet sent. */
	sigmask_block(&saved);
	if (__atomic_exchange_n(&region->asleep, 0, __ATOMIC_SEQ_CST) == 1 && kick() < 0)
		__atomic_store_n(&region->asleep, 1, __ATOMIC_SEQ_CST);
	sigmask_restore(&saved);
}

/** `messages` bytes into the server's queue, each a message. */
int canary_send(int fd, uint32_t messages)
{
	for (uint32_t i = 0; i < messages; i++) {
		long r;

		do
			r = raw(SYS_sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		while (r == -EINTR);
		if (r < 0)
			return (int)r;
	}
	return 0;
}

/** A plug that cannot be sent meets a server's end that is closed: POLLOUT stays, as it should. */
void plug_put(int fd, const struct sock *s)
{
	if (__atomic_load_n(&s->rec->plugged, __ATOMIC_ACQUIRE))
		return;
	canary_send(fd, ioth.region->plug - 1);
	/* Pairs with the server's swap: it reads the messages after it saw this. */
	__atomic_store_n(&s->rec->plugged, 1, __ATOMIC_SEQ_CST);
}

/** Between its swap of `rung` and its send the server may be a moment behind; its end closing ends
 * the wait. */
void tokens_take(int fd, uint32_t count)
{
	while (count > 0) {
		char bytes[64];
		struct pollfd in = {.fd = fd, .events = POLLIN};
		long r = raw(SYS_recvfrom, fd, bytes, count < sizeof(bytes) ? count : sizeof(bytes),
			     MSG_DONTWAIT, NULL, NULL);

		if (r > 0)
			count -= (uint32_t)r;
		else if (r == -EAGAIN)
			raw(SYS_ppoll, &in, 1, NULL, NULL, 0);
		else if (r != -EINTR)
			return;
	}
}

/* ---- locks
 * ------------------------------------------------------------------------------------------------------
 */
static __thread uint32_t thread __attribute__((tls_model("initial-exec")));

/* This thread in a lock word, or 0: the server gave us no slot. */
static uint32_t owner(void)
{
	static uint32_t last;
	uint32_t slot = ioth_slot();

	if (!thread)
		thread = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED) % THREADS + 1;
	return slot ? slot << 19 | thread : 0;
}

static bool swap_free(uint32_t *lock, uint32_t mine)
{
	uint32_t seen = 0;

	return __atomic_compare_exchange_n(lock, &seen, mine, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static bool spin(uint32_t *lock, uint32_t mine)
{
	for (int i = 0; i < LOCK_SPINS; i++) {
		if (__atomic_load_n(lock, __ATOMIC_RELAXED) == 0 && swap_free(lock, mine))
			return true;
		cpu_relax();
	}
	return false;
}

/* Sleeps up to `ms` for the lock. Whoever slept takes it with the waiters' bit: others may sleep
 * on. */
static int sleep_for(uint32_t *lock, uint32_t mine, int ms)
{
	struct timespec slice = {.tv_nsec = ms * 1000000L};
	uint32_t seen = __atomic_load_n(lock, __ATOMIC_RELAXED);

	if (seen == 0)
		return swap_free(lock, mine | LOCK_WAITERS) ? 0 : -EAGAIN;
	if ((seen & ~LOCK_WAITERS) == mine)
		return -EDEADLK; /* a handler, set after the lock was taken, in the thread that
				    holds it */
	if (!(seen & LOCK_WAITERS) &&
	    !__atomic_compare_exchange_n(lock, &seen, seen | LOCK_WAITERS, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return -EAGAIN;
	raw(SYS_futex, lock, FUTEX_WAIT, seen | LOCK_WAITERS, &slice);
	return swap_free(lock, mine | LOCK_WAITERS) ? 0 : -EAGAIN;
}

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

int lock_take(uint32_t *lock)
{
	uint32_t mine = owner();
	int r;

	if (!mine)
		return -ENETDOWN;
	if (swap_free(lock, mine) || spin(lock, mine))
		return 0;
	while ((r = sleep_for(lock, mine, SLICE_MS)) == -EAGAIN)
		if (server_dead())
			return -ENETDOWN;
	return r;
}

int lock_take_for(uint32_t *lock, int ms)
{
	uint32_t mine = owner();
	int64_t end;
	int r;

	if (!mine)
		return -ENETDOWN;
	if (swap_free(lock, mine) || spin(lock, mine))
		return 0;
	end = now_ns() + ms * 1000000L;
	do
		r = sleep_for(lock, mine, ms);
	while (r == -EAGAIN && !server_dead() && now_ns() < end);
	return r == -EAGAIN && server_dead() ? -ENETDOWN : r;
}

/** The server holds it while it moves a ring, which takes a moment even when it has to wait for a
 * processor; and it looks at no marks of those who left. So it is waited for. */
bool lock_try(uint32_t *lock)
{
	uint32_t mine = owner();

	while (mine && !swap_free(lock, mine) && !spin(lock, mine)) {
		uint32_t seen = __atomic_load_n(lock, __ATOMIC_RELAXED);

		if (seen != 0 && LOCK_SLOT(seen) != LOCK_SLOT(LOCK_SERVER))
			return false;
		if (sleep_for(lock, mine, SLICE_MS) == 0)
			return true;
		if (server_dead())
			return false;
	}
	return mine != 0;
}

/** Pairs with the swap that takes it. A word that is not ours was broken: then it is another's. */
void lock_drop(uint32_t *lock)
{
	uint32_t mine = owner();
	uint32_t seen = mine;

	while (
	    !__atomic_compare_exchange_n(lock, &seen, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		if ((seen & ~LOCK_WAITERS) != mine)
			return;
	if (seen & LOCK_WAITERS)
		raw(SYS_futex, lock, FUTEX_WAKE, 1);
}
