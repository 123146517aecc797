/* Calls to the server: a block of the region is filled and posted by setting bits, and the caller
 * sleeps on the block's word. Nothing is queued, so nothing can be left half-linked by a process
 * that is killed; the word carries the slot of its owner, and the server takes back what a dead one
 * held.
 *
 * A handler that interrupts us and makes a call of its own simply claims a second block. One that
 * leaves by siglongjmp() leaves ours open; so a thread notes the calls that it has open and where
 * their frames are, and gives those back, when it makes its next, whose frames are gone. (A
 * pthread_cleanup_push() would be left on the thread's list, with a frame that is no more.) */
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
	int depth;     /* its place in open_calls */
};

/* The calls of this thread that are open, each made by a handler that interrupted the one before.
 */
#define NESTED_MOST 8
static __thread struct {
	int n;
	struct open {
		uintptr_t frame;
		uint32_t index;
		uint32_t word; /* 0: given back */
	} at[NESTED_MOST];
} open_calls __attribute__((tls_model("initial-exec")));
static __thread bool closes_at_exit __attribute__((tls_model("initial-exec")));
static pthread_key_t exit_key;
static bool has_exit_key;

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

/* Before a handler of this thread looks. */
#define in_order() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* A handler may go on elsewhere by swapcontext(), where our frame looks like one that is gone. */
static bool is_open(const struct posted *p, uintptr_t frame)
{
	const struct open *o = &open_calls.at[p->depth];

	return p->depth >= NESTED_MOST ||
	       (o->frame == frame && o->index == p->index && o->word == p->word);
}

/* Again if a handler came in between, which has used the same place. */
static void note_open(const struct posted *p, uintptr_t frame)
{
	do {
		if (p->depth < NESTED_MOST)
			open_calls.at[p->depth] = (struct open){frame, p->index, p->word};
		in_order();
		open_calls.n = p->depth + 1;
		in_order();
	} while (!is_open(p, frame));
}

/* Before the block is given back: from then on it may be another thread's. */
static void note_closed(const struct posted *p)
{
	in_order();
	if (p->depth < NESTED_MOST)
		open_calls.at[p->depth].word = 0;
	in_order();
}

static void give_back(const struct open *o)
{
	struct posted p = {.call = calls() + o->index, .index = o->index, .word = o->word};
	uint32_t done = (p.word & ~0xffu) | CALL_DONE;
	uint32_t claimed = (p.word & ~0xffu) | CALL_CLAIMED;

	if (!abandon(&p) && !__atomic_compare_exchange_n(&p.call->word, &done, CALL_FREE, false,
							 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		__atomic_compare_exchange_n(&p.call->word, &claimed, CALL_FREE, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Those from the `from`th on. A fork child's copy of its parent's are the parent's. */
static void close_open(int from, uint32_t slot)
{
	for (int i = from; i < NESTED_MOST && i < open_calls.n; i++) {
		struct open o = open_calls.at[i];

		open_calls.at[i].word = 0;
		if (o.word != 0 && o.word >> 8 == slot)
			give_back(&o);
	}
	open_calls.n = from;
}

/* Frames of calls that are still open lie above that of the new one; but a handler may have a stack
 * of its own. */
static void close_left(uintptr_t frame, uint32_t slot)
{
	stack_t alt = {0};
	int live = 0;

	raw(SYS_sigaltstack, NULL, &alt);
	for (; live < NESTED_MOST && live < open_calls.n; live++) {
		const struct open *o = &open_calls.at[live];
		bool here = frame - (uintptr_t)alt.ss_sp < alt.ss_size;
		bool there = o->frame - (uintptr_t)alt.ss_sp < alt.ss_size;

		if (here == there ? o->frame <= frame : there)
			break;
	}
	if (live < NESTED_MOST)
		close_open(live, slot);
}

static void thread_ends(void *arg)
{
	(void)arg;
	if (open_calls.n > 0)
		close_open(0, ioth_slot());
}

__attribute__((constructor)) static void make_exit_key(void)
{
	has_exit_key = pthread_key_create(&exit_key, thread_ends) == 0;
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
 * for as long as the system call lasts. What it leaves open is given back when the thread ends. */
static long futex_wait_cancellable(const struct posted *p, const struct timespec *deadline)
{
	int type;
	long r;

	if (__libc_single_threaded)
		return futex_wait(p, deadline);
	if (!closes_at_exit)
		closes_at_exit = has_exit_key && pthread_setspecific(exit_key, &open_calls) == 0;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = futex_wait(p, deadline);
	pthread_setcanceltype(type, NULL);
	return r;
}

/* -EINTR, -EAGAIN; or 0 when there is an answer after all. */
static int give_up(struct posted *p, uintptr_t frame, int error)
{
	note_closed(p);
	if (abandon(p))
		return error;
	note_open(p, frame);
	return 0;
}

/* Until the word is no longer what was posted. */
static int await(struct posted *p, const struct request *r, uintptr_t frame)
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

		if (!is_open(p, frame))
			return -EINTR;
		if (__atomic_load_n(&p->call->word, __ATOMIC_ACQUIRE) != p->word)
			return 0;
		if (e == -ETIMEDOUT)
			e = give_up(p, frame, -EAGAIN);
		else
			e = e == -EINTR && r->interruptible ? give_up(p, frame, -EINTR) : 0;
		if (e < 0)
			return (int)e;
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
	note_closed(p);
	__atomic_store_n(&c->word, CALL_FREE, __ATOMIC_RELEASE);
	return result;
}

static int converse(struct posted *p, struct request *r, uintptr_t frame)
{
	int e;

	if (!post(p, r))
		return -ENETDOWN;
	server_wake();
	for (int i = 0; i < SPINS && __atomic_load_n(&p->call->word, __ATOMIC_RELAXED) == p->word;
	     i++)
		cpu_relax();
	/* The undertaker writes the state, then turns POSTED blocks into DEAD ones: a post that it
	 * did not see sees the state. */
	if (server_dead()) {
		e = give_up(p, frame, -ENETDOWN);
		if (e < 0)
			return e;
	}
	if (__atomic_load_n(&p->call->word, __ATOMIC_ACQUIRE) == p->word) {
		e = await(p, r, frame);
		if (e < 0)
			return e;
	}
	return take_answer(p, r);
}

/** One request, one reply. */
int ctl_call(struct request *r)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	struct posted p;
	uint32_t slot = ioth_slot();
	int e;

	if (slot == 0)
		return -ENETDOWN;
	if (r->in_len > DATA_SIZE)
		return -EINVAL;
	if (open_calls.n > 0)
		close_left(frame, slot);
	p.depth = open_calls.n;
	e = claim(slot, r->interruptible, &p);
	if (e < 0)
		return e;
	note_open(&p, frame);
	e = converse(&p, r, frame);
	note_closed(&p);
	open_calls.n = p.depth;
	return e;
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
