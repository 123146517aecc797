/* Calls to the server: a block of the region is filled and posted by setting bits, and the caller
 * sleeps on the block's word. Nothing is queued, so nothing can be left half-linked by a process
 * that is killed; the word carries the slot of its owner, and the server takes back what a dead one
 * held.
 *
 * A handler that interrupts us and makes a call of its own simply claims a second block. */
#include "ioth.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/single_threaded.h>
#include <time.h>

#define DATA_SIZE sizeof(((struct call *)0)->data)
/* While the server is awake, on another CPU, an answer takes a few microseconds; sleeping and being
 * woken costs as much again. */
#define SPINS 100

struct posted {
	struct call *call;
	uint32_t index;
	uint32_t word; /* as it was posted */
};

static __thread uint32_t hint __attribute__((tls_model("initial-exec")));

static struct call *calls(void)
{
	return (struct call *)((char *)ioth.region + ABI_CALLS_OFFSET);
}

/* The block's bit, then the group's: call_dirty before call_top, as the server swaps the other way.
 */
static void announce(uint32_t index)
{
	struct region *region = ioth.region;

	__atomic_fetch_or(&region->call_dirty[index / 32], 1u << index % 32, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&region->call_top, 1u << index / 32, __ATOMIC_SEQ_CST);
}

/* Calls that wait for others have no more blocks than that: what they wait for takes calls, too. */
#define WAITERS_MOST (ABI_CALLS - 128)

/* A block of ours, waiting for one as long as all are in use; who would wait in it is told -EBUSY.
 */
static int claim(uint32_t slot, bool waits, struct posted *p)
{
	const struct timespec pause = {.tv_nsec = 100000};
	uint32_t most = waits ? WAITERS_MOST : ABI_CALLS;

	for (;;) {
		if (server_dead())
			return -ENETDOWN;
		if (!hint)
			hint = 1 + (uint32_t)((uintptr_t)&hint >> 12) * 7; /* a thread's own */
		for (uint32_t i = 0; i < most; i++) {
			uint32_t index = (hint + i) % most;
			uint32_t seen = CALL_FREE;

			p->call = calls() + index;
			if (!__atomic_compare_exchange_n(&p->call->word, &seen,
							 CALL_CLAIMED | slot << 8, false,
							 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				continue;
			hint =
			    index + ABI_CALLS * WAITERS_MOST; /* not 0, and the same modulo both */
			p->index = index;
			p->word = CALL_POSTED | slot << 8;
			return 0;
		}
		if (waits)
			return -EBUSY;
		raw(SYS_nanosleep, &pause, NULL);
	}
}

/* False: the server died first. */
static bool post(struct posted *p, const struct request *r)
{
	struct call *c = p->call;
	uint32_t claimed = (p->word & ~0xffu) | CALL_CLAIMED;

	c->op = r->op;
	c->record = r->record;
	c->generation = r->generation;
	memcpy(c->arg, r->arg, sizeof(c->arg));
	c->data_len = r->in_len;
	if (r->in_len > 0)
		memcpy(c->data, r->in, r->in_len);
	/* Pairs with the server's look at the word after it swapped the bits; the CAS loses to the
	 * undertaker only. */
	if (!__atomic_compare_exchange_n(&c->word, &claimed, p->word, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	announce(p->index);
	return true;
}

/* Gives up a posted call. False: too late, there is an answer. */
static bool abandon(struct posted *p)
{
	uint32_t seen = p->word;

	if (!__atomic_compare_exchange_n(&p->call->word, &seen, (p->word & ~0xffu) | CALL_ABANDONED,
					 false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
		return false;
	announce(p->index);
	server_wake();
	return true;
}

static void cancelled(void *arg)
{
	struct posted *p = arg;
	uint32_t done = (p->word & ~0xffu) | CALL_DONE;

	if (!abandon(p))
		__atomic_compare_exchange_n(&p->call->word, &done, CALL_FREE, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static long futex_wait(const struct posted *p, const struct timespec *deadline)
{
	/* Without a deadline a plain FUTEX_WAIT, which SA_RESTART handlers leave asleep. */
	if (!deadline)
		return raw(SYS_futex, &p->call->word, FUTEX_WAIT, p->word, NULL);
	return raw(SYS_futex, &p->call->word, FUTEX_WAIT_BITSET, p->word, deadline, NULL,
		   FUTEX_BITSET_MATCH_ANY);
}

/* The same, as a cancellation point: like libc's, by letting cancellation strike at any instruction
 * for as long as the system call lasts. */
static long futex_wait_cancellable(struct posted *p, const struct timespec *deadline)
{
	int type;
	long r;

	if (__libc_single_threaded)
		return futex_wait(p, deadline);
	pthread_cleanup_push(cancelled, p);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = futex_wait(p, deadline);
	pthread_setcanceltype(type, NULL);
	pthread_cleanup_pop(0);
	return r;
}

/* Until the word is no longer what was posted. */
static int await(struct posted *p, const struct request *r)
{
	struct timespec deadline;

	if (r->timeout_ms > 0) {
		int64_t end = now_ns() + r->timeout_ms * 1000000ll;

		deadline.tv_sec = end / 1000000000;
		deadline.tv_nsec = end % 1000000000;
	}
	for (;;) {
		const struct timespec *until = r->timeout_ms > 0 ? &deadline : NULL;
		long e = r->interruptible ? futex_wait_cancellable(p, until) : futex_wait(p, until);

		if (__atomic_load_n(&p->call->word, __ATOMIC_ACQUIRE) != p->word)
			return 0;
		if (e == -ETIMEDOUT && abandon(p))
			return -EAGAIN;
		if (e == -EINTR && r->interruptible && abandon(p))
			return -EINTR;
	}
}

static int take_answer(struct posted *p, struct request *r)
{
	struct call *c = p->call;
	uint32_t word =
	    __atomic_load_n(&c->word, __ATOMIC_ACQUIRE); /* pairs with the server's CAS */
	int result = c->result;

	if ((word & 0xff) != CALL_DONE)
		return -ENETDOWN;
	r->generation = c->generation;
	memcpy(r->arg, c->arg, sizeof(r->arg));
	if (r->out) {
		uint32_t n = c->data_len < DATA_SIZE ? c->data_len : DATA_SIZE;

		r->out_len = n < r->out_len ? n : r->out_len;
		memcpy(r->out, c->data, r->out_len);
	}
	__atomic_store_n(&c->word, CALL_FREE, __ATOMIC_RELEASE);
	return result;
}

/** One request, one reply. */
int ctl_call(struct request *r)
{
	struct posted p;
	uint32_t slot = ioth_slot();
	int e;

	if (slot == 0)
		return -ENETDOWN;
	if (r->in_len > DATA_SIZE)
		return -EINVAL;
	e = claim(slot, r->interruptible, &p);
	if (e < 0)
		return e;
	if (!post(&p, r))
		return -ENETDOWN;
	server_wake();
	for (int i = 0; i < SPINS && __atomic_load_n(&p.call->word, __ATOMIC_RELAXED) == p.word;
	     i++)
		cpu_relax();
	/* The undertaker writes the state, then turns POSTED blocks into DEAD ones: a post that it
	 * did not see sees the state. */
	if (server_dead() && abandon(&p))
		return -ENETDOWN;
	if (__atomic_load_n(&p.call->word, __ATOMIC_ACQUIRE) == p.word) {
		e = await(&p, r);
		if (e < 0)
			return e;
	}
	return take_answer(&p, r);
}

/** The first block may be all of it; the rest comes in as many calls as it needs. */
ssize_t ctl_long(struct request *r, uint8_t **answer)
{
	uint8_t first[DATA_SIZE], *whole;
	size_t at;
	int length;

	r->out = first;
	r->out_len = sizeof(first);
	length = ctl_call(r);
	if (length < 0)
		return length;
	whole = mmap(NULL, (size_t)length + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	if (whole == MAP_FAILED)
		return -ENOMEM;
	at = r->out_len < (size_t)length ? r->out_len : (size_t)length;
	memcpy(whole, first, at);
	while (at < (size_t)length) {
		struct request rest = {.op = OP_REST,
				       .arg = {r->arg[0], (int32_t)at},
				       .out = whole + at,
				       .out_len = (uint32_t)((size_t)length - at)};
		int e = ctl_call(&rest);

		if (e < 0 || rest.out_len == 0) {
			munmap(whole, (size_t)length + 1);
			return e < 0 ? e : -EPROTO;
		}
		at += rest.out_len;
	}
	*answer = whole;
	return length;
}

int ctl_simple(const struct sock *s, uint32_t op, int32_t arg0, int32_t arg1)
{
	struct request r = {
	    .op = op, .record = s->index, .generation = s->generation, .arg = {arg0, arg1}};

	return ctl_call(&r);
}

/** All three bits always, whatever they are: another poster may have been killed between them, and
 * the record's words were written just before. Each pairs with the server's swap, from the top
 * down. */
void post_work(uint32_t index)
{
	struct region *region = ioth.region;

	__atomic_fetch_or(&region->work_dirty[index / 32], 1u << index % 32, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&region->work_summary[index / 1024], 1u << index / 32 % 32,
			  __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&region->work_top, 1u << index / 1024, __ATOMIC_SEQ_CST);
	server_wake();
}
