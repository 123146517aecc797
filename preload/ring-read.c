/* Reading from the receive ring. It takes no lock: copy, then compare-and-swap the whole 64-bit
 * rx_head; who loses copies again. Its upper half changes when the server moved the ring meanwhile
 * (HEAD_EPOCH), when the socket went native (HEAD_NATIVE), and while a splice is at work
 * (HEAD_DRAIN): what is written to a pipe cannot be taken back, so there the others wait.
 *
 * The empty dance. poll must say "readable" exactly while there is text, so whoever finds the ring
 * empty takes the server's tokens out of the socket: under rlock, swap `rung` to 0, look at the
 * ring again. Text that the look does not show rings anew, since the server finds rung 0; its byte
 * comes on top of those that we answer for. So
 *
 * - empty still: take as many bytes as `rung` said, what came since stays;
 *
 * - not empty, and the caller wants more: copy it, and the ring is empty;
 *
 * - not empty, and the buffer is full: swap `rung` back from 0, the bytes stay where they are. If
 *   that fails the server rang anew, its byte is enough, ours are taken.
 *
 * A read that is short has left the ring empty and the socket silent, which event loops count on,
 * and the next text is an edge. With rung 0 there is nothing to take and no system call to make. */
#include "ioth.h"

#define DRAIN_MAX 16384u /* a splice's copy lies on the stack */

/* What a reader sees at one moment. */
struct view {
	uint64_t head; /* with the upper half */
	uint32_t geom;
	uint32_t used;
};

/* Waits for the splice that holds rlock; one that died in it left HEAD_DRAIN behind. */
static int await_drain(struct record *rec)
{
	uint64_t signals;
	int r;

	sigmask_block(&signals);
	r = lock_take(&rec->rlock);
	if (r == 0) {
		__atomic_fetch_and(&rec->rx_head, ~HEAD_DRAIN, __ATOMIC_SEQ_CST);
		lock_drop(&rec->rlock);
	}
	sigmask_restore(&signals);
	return r;
}

/* The urgent mark, as a distance from where v begins: what is before it can be read in one piece;
 * at it, *skip says whether that byte is to be left out. How many bytes a read may take. */
static uint32_t until_mark(const struct record *rec, const struct view *v, uint32_t *skip)
{
	/* Pairs with the server's mark(), which comes before the text is published. */
	uint32_t mark = __atomic_load_n(&rec->urgent, __ATOMIC_ACQUIRE);
	int32_t ahead;

	*skip = 0;
	if (mark == MARK_NONE)
		return v->used;
	ahead = (int32_t)(rec->urgent_at - (uint32_t)v->head);
	if (ahead == 0 && mark == MARK_OUT && v->used > 0) {
		*skip = 1;
		return v->used - 1;
	}
	return ahead > 0 && (uint32_t)ahead < v->used ? (uint32_t)ahead : v->used;
}

/* A consistent look at the ring. `draining`: the splice's own. -ESTALE: native. */
static int look(struct record *rec, struct view *v, bool draining)
{
	for (;;) {
		/* Pairs with the server's addition to the epoch: the place is not older than it. */
		v->head = __atomic_load_n(&rec->rx_head, __ATOMIC_SEQ_CST);
		v->geom = __atomic_load_n(&rec->rx_geom, __ATOMIC_ACQUIRE);
		/* Pairs with publish(): text up to the tail is there. */
		v->used = __atomic_load_n(&rec->rx_tail, __ATOMIC_SEQ_CST) - (uint32_t)v->head;
		if (v->head & HEAD_NATIVE)
			return -ESTALE;
		if ((v->head & HEAD_DRAIN) && !draining) {
			int r = await_drain(rec);

			if (r < 0)
				return r;
			continue;
		}
		if (v->geom == 0)
			v->used = 0;
		/* More than fits: another reader moved on between the two loads. */
		if (v->geom == 0 || v->used <= GEOM_SIZE(v->geom))
			return 0;
	}
}

/* Up to n bytes of what v shows, to the cursor (NULL: nowhere). */
static void copy_view(const struct view *v, struct cursor *to, uint32_t n)
{
	uint32_t size = GEOM_SIZE(v->geom);
	uint32_t at = (uint32_t)v->head & (size - 1);
	uint32_t first = n < size - at ? n : size - at;

	if (!to)
		return;
	copy_out(to, ring_at(v->geom) + at, first);
	copy_out(to, ring_at(v->geom), n - first);
}

/* Takes n bytes of what v shows. False: somebody was quicker, or the ring moved. */
static bool advance(const struct sock *s, struct view *v, uint32_t n)
{
	struct record *rec = s->rec;
	uint64_t next = (v->head & ~(uint64_t)UINT32_MAX) | (uint32_t)(v->head + n);
	int32_t before, after;

	/* Pairs with the server's load of the head: what was read may be written over. */
	if (!__atomic_compare_exchange_n(&rec->rx_head, &v->head, next, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false;
	/* Pairs with notifyAt(), which looks at the head after it stored this. */
	after = (int32_t)((uint32_t)next - __atomic_load_n(&rec->rx_notify, __ATOMIC_SEQ_CST));
	before = (int32_t)((uint32_t)after - n);
	if (after >= 0 && before < 0)
		post_work(s->index);
	return true;
}

/* Everything that a read wants: where to, from where on, how much. */
struct wish {
	const struct iovec *iov;
	int n;
	size_t skip;
	size_t len;
	bool peek;
	bool discard;
};

/* Copies what is there, up to the wish. *empty: at the last look nothing was left. */
static ssize_t copy_some(const struct sock *s, const struct wish *w, size_t done, bool *empty)
{
	struct view v;

	for (;;) {
		struct cursor c = cursor_at(w->iov, w->n, w->skip + done);
		size_t want = w->len - done;
		uint32_t n, some, skip, left;
		struct view text;
		int r = look(s->rec, &v, false);

		if (r < 0)
			return r;
		if (!sock_current(s))
			return -EBADF;
		some = until_mark(s->rec, &v, &skip);
		n = want < some ? (uint32_t)want : some;
		left = v.used - skip - (w->peek ? 0 : n);
		*empty = left == 0 || left < __atomic_load_n(&s->rec->rcvlowat, __ATOMIC_RELAXED);
		if (n == 0)
			return 0;
		text = v;
		text.head += skip;
		copy_view(&text, w->discard ? NULL : &c, n);
		/* Peeking swaps the head for itself: not moved, not read by another, so what was
		 * copied is right. */
		if (advance(s, &v, w->peek ? 0 : n + skip))
			return n;
	}
}

/* The ring was seen empty and tokens lie in the socket: see above. Bytes read on the way. */
static ssize_t dance(int fd, const struct sock *s, const struct wish *w, size_t done)
{
	struct record *rec = s->rec;
	size_t from = done;
	uint32_t rung, none = 0;
	uint64_t signals;
	bool empty;
	ssize_t n;

	sigmask_block(&signals);
	/* Held by another reader: it dances. By a mode switch: it takes the tokens. */
	if (!lock_try(&rec->rlock)) {
		sigmask_restore(&signals);
		return 0;
	}
	/* Pairs with the server's swap from 0: it sends after that. A dead connection's last token
	 * stays, it tells the server when the program closes. */
	rung = __atomic_load_n(&rec->flags, __ATOMIC_ACQUIRE) & FLAG_DEAD
		   ? 0
		   : __atomic_exchange_n(&rec->rung, 0, __ATOMIC_SEQ_CST);
	if (rung > 0) {
		n = copy_some(s, w, done, &empty);
		if (n > 0 && !w->peek)
			done += (size_t)n;
		if (n < 0 || empty ||
		    !__atomic_compare_exchange_n(&rec->rung, &none, rung, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_RELAXED))
			tokens_take(fd, rung);
	}
	lock_drop(&rec->rlock);
	sigmask_restore(&signals);
	return (ssize_t)(done - from);
}

static bool passed_mark(const struct sock *s)
{
	uint32_t head = (uint32_t)__atomic_load_n(&s->rec->rx_head, __ATOMIC_ACQUIRE);

	return (int32_t)(head - s->rec->urgent_at) > 0;
}

ssize_t ring_read(int fd, const struct sock *s, const struct iovec *iov, int n, size_t skip,
		  size_t len, bool peek, bool discard)
{
	struct wish w = {iov, n, skip, len, peek, discard};
	bool empty;
	ssize_t done = copy_some(s, &w, 0, &empty);
	ssize_t more;

	/* Read past the urgent byte, nothing else is shown. */
	if (done >= 0 && empty && __atomic_load_n(&s->rec->urgent_shown, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&s->rec->urgent, __ATOMIC_ACQUIRE) != MARK_NONE && passed_mark(s))
		urgent_unshow(fd, s);
	/* The look said empty; rung 0 then means that nothing lies in the socket that is not newer.
	 */
	if (done < 0 || !empty || fd < 0 || __atomic_load_n(&s->rec->rung, __ATOMIC_SEQ_CST) == 0)
		return done;
	more = dance(fd, s, &w, (size_t)done);
	return done + more;
}

/* ---- splice
 * ------------------------------------------------------------------------------------------------------
 */
/* Copies up to n bytes and keeps other readers out, as long as rlock is held. 0: empty. */
static ssize_t hold(struct record *rec, uint8_t *copy, uint32_t n)
{
	struct iovec iov = {copy, n};
	struct view v;

	for (;;) {
		struct cursor c = cursor_at(&iov, 1, 0);
		int r = look(rec, &v, true);

		n = n < v.used ? n : v.used;
		if (r < 0 || n == 0)
			return r;
		copy_view(&v, &c, n);
		if (__atomic_compare_exchange_n(&rec->rx_head, &v.head, v.head | HEAD_DRAIN, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return n;
	}
}

/* Lets go, having taken n bytes; only the server's moves of the ring can come between. */
static void let_go(const struct sock *s, uint32_t n)
{
	struct view v;

	do
		look(s->rec, &v, true);
	while (!advance(s, &v, n));
	__atomic_fetch_and(&s->rec->rx_head, ~HEAD_DRAIN, __ATOMIC_SEQ_CST);
}

static ssize_t drain_locked(const struct sock *s, size_t len,
			    ssize_t (*drain)(const uint8_t *src, size_t n, void *arg), void *arg)
{
	uint8_t copy[DRAIN_MAX];
	size_t done = 0;

	while (done < len) {
		uint32_t want = len - done < sizeof(copy) ? (uint32_t)(len - done) : sizeof(copy);
		ssize_t n = hold(s->rec, copy, want);
		ssize_t took;

		if (n <= 0)
			return done ? (ssize_t)done : n;
		took = drain(copy, (size_t)n, arg);
		let_go(s, took > 0 ? (uint32_t)took : 0);
		if (took > 0)
			done += (size_t)took;
		if (took < n)
			return done ? (ssize_t)done : took;
	}
	return (ssize_t)done;
}

ssize_t ring_drain(int fd, const struct sock *s, size_t len,
		   ssize_t (*drain)(const uint8_t *src, size_t n, void *arg), void *arg)
{
	uint64_t signals;
	ssize_t done;
	ssize_t r;

	sigmask_block(&signals);
	done = lock_take(&s->rec->rlock);
	if (done == 0) {
		done = drain_locked(s, len, drain, arg);
		lock_drop(&s->rec->rlock);
	}
	sigmask_restore(&signals);
	if (done < 0)
		return done;
	/* A read of nothing: the empty dance, should it be empty. */
	r = ring_read(fd, s, NULL, 0, 0, 0, false, true);
	return r < 0 && done == 0 ? r : done;
}

uint32_t ring_used_rx(const struct sock *s)
{
	struct view v;
	uint32_t skip;

	if (look(s->rec, &v, false) < 0)
		return 0;
	until_mark(s->rec, &v, &skip);
	return v.used - skip;
}

uint32_t ring_until_mark(const struct sock *s)
{
	struct view v;
	uint32_t skip;

	return look(s->rec, &v, false) < 0 ? 0 : until_mark(s->rec, &v, &skip);
}

bool ring_at_mark(const struct sock *s)
{
	return __atomic_load_n(&s->rec->urgent, __ATOMIC_ACQUIRE) != MARK_NONE &&
	       s->rec->urgent_at == (uint32_t)__atomic_load_n(&s->rec->rx_head, __ATOMIC_ACQUIRE);
}
