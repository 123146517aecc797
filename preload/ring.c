/* Bytes between the program and the two rings of a connection: writing here, reading in
 * ring-read.c. Nothing blocks for the peer.
 *
 * Counters. `head` and `tail` count bytes for ever, modulo 2^32; the size is a power of two. In the
 * send ring the program has the tail, in the receive ring the head.
 *
 * Writing. Several threads and processes may write one socket, so there is a lock, and the
 * program's words (tx_tail, plugged, mode) change under it only. Text is published in pieces, so
 * that the server works on the first while the next is copied. A ring that is left full is plugged:
 * POLLOUT goes, and comes back with an edge when a third of it is free. A writer that may not wait
 * and meets a lock held for long (its holder was stopped) leaves a mark, `contended`; whoever drops
 * the lock next plugs the ring for it, and the server's answer to a plug with room is that very
 * edge. Mark and lock are both sides of "store, then look": the leaver marks and tries the lock
 * once more, the holder drops the lock and looks at the mark. The server, which holds the lock
 * while it moves the ring, looks at none: it is waited for. */
#include "ioth.h"

#define PIECE	   65536u /* published at a time */
#define CONTEND_MS 1

uint8_t *ring_at(uint32_t geom)
{
	return (uint8_t *)ioth.region + GEOM_OFFSET(geom);
}

/* May text be written now? With wlock held. */
static int writable(const struct sock *s)
{
	const struct record *rec = s->rec;
	uint32_t flags = __atomic_load_n(&rec->flags, __ATOMIC_ACQUIRE);

	/* Closed by another thread while we slept: the record may be another socket's. */
	if (!sock_current(s))
		return -EBADF;
	if (__atomic_load_n(&rec->mode, __ATOMIC_ACQUIRE) == MODE_NATIVE)
		return -ESTALE;
	if (flags & (FLAG_DEAD | FLAG_SHUT_WR))
		return -EPIPE;
	if (server_dead())
		return -ECONNRESET;
	switch (__atomic_load_n(&rec->state, __ATOMIC_ACQUIRE)) {
	case RECORD_CONNECTED:
		return 0;
	case RECORD_CONNECTING:
		return -EINPROGRESS;
	default:
		return -EPIPE;
	}
}

/* Room behind the tail. */
static uint32_t room(const struct record *rec)
{
	uint32_t limit = __atomic_load_n(&rec->tx_limit, __ATOMIC_RELAXED);
	/* Pairs with the server's store: what was acknowledged may be written over. */
	uint32_t used = rec->tx_tail - __atomic_load_n(&rec->tx_head, __ATOMIC_ACQUIRE);

	return used < limit ? limit - used : 0;
}

static int writer_lock(int fd, const struct sock *s, bool nonblock)
{
	struct record *rec = s->rec;
	int r = lock_take_for(&rec->wlock, CONTEND_MS);

	if (r != -EAGAIN)
		return r == -EDEADLK ? -EAGAIN : r;
	if (!nonblock && !fd_nonblocking(fd))
		return lock_take(&rec->wlock);
	__atomic_store_n(&rec->contended, 1, __ATOMIC_SEQ_CST); /* pairs with writer_unlock */
	return lock_try(&rec->wlock) ? 0 : -EAGAIN;
}

/** Drops wlock, and gives those an edge who left before it. */
void writer_unlock(int fd, const struct sock *s)
{
	struct record *rec = s->rec;

	lock_drop(&rec->wlock);
	while (__atomic_load_n(&rec->contended, __ATOMIC_SEQ_CST) && lock_try(&rec->wlock)) {
		if (__atomic_exchange_n(&rec->contended, 0, __ATOMIC_SEQ_CST) && !writable(s)) {
			plug_put(fd, s);
			post_work(s->index);
		}
		lock_drop(&rec->wlock);
	}
}

/* As much as fits, with wlock held. *full: the ring was the limit. */
static ssize_t fill_locked(const struct sock *s, size_t len,
			   ssize_t (*fill)(uint8_t *dst, size_t room, void *arg), void *arg,
			   bool *full)
{
	struct record *rec = s->rec;
	uint32_t geom = __atomic_load_n(&rec->tx_geom, __ATOMIC_ACQUIRE);
	size_t done = 0;

	while (done < len && geom != 0) {
		uint32_t size = GEOM_SIZE(geom);
		uint32_t at = rec->tx_tail & (size - 1);
		size_t n = room(rec);
		ssize_t got;

		n = n < len - done ? n : len - done;
		n = n < size - at ? n : size - at;
		n = n < PIECE ? n : PIECE;
		*full = n == 0;
		if (*full)
			break;
		got = fill(ring_at(geom) + at, n, arg);
		if (got < 0 && done == 0)
			return got;
		if (got <= 0)
			break;
		done += (size_t)got;
		/* Pairs with the server's load: it sees the text that the tail covers. */
		__atomic_store_n(&rec->tx_tail, rec->tx_tail + (uint32_t)got, __ATOMIC_SEQ_CST);
		if (done < len)
			post_work(s->index);
		if ((size_t)got < n)
			break;
	}
	return (ssize_t)done;
}

ssize_t ring_fill(int fd, const struct sock *s, size_t len, bool nonblock, bool more,
		  ssize_t (*fill)(uint8_t *dst, size_t room, void *arg), void *arg, uint64_t *held)
{
	struct record *rec = s->rec;
	bool full = false;
	ssize_t r;

	if (sock_is_native(s)) /* for good: no need for the lock */
		return -ESTALE;
	sigmask_hold(held);
	r = writer_lock(fd, s, nonblock);
	if (r < 0)
		return r;
	r = writable(s);
	if (r < 0) {
		r = r == -EINPROGRESS ? 0 : r;
		goto unlock;
	}
	__atomic_store_n(&rec->more, more, __ATOMIC_RELAXED);
	r = fill_locked(s, len, fill, arg, &full);
	/* Also when there is room again by now: who was turned away is owed an edge. */
	if (full || room(rec) == 0)
		plug_put(fd, s);
	/* Also when nothing fitted: the plug wants to be looked at. */
	post_work(s->index);
unlock:
	writer_unlock(fd, s);
	return r;
}

ssize_t ring_write(int fd, const struct sock *s, const struct iovec *iov, int n, size_t skip,
		   size_t len, bool nonblock, bool more, uint64_t *held)
{
	struct cursor c = cursor_at(iov, n, skip);

	return ring_fill(fd, s, len, nonblock, more, copy_in, &c, held);
}
