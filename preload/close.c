/* close() and those that close many. The kernel tells the server when the last copy of a connected
 * socket is gone; of one that it has no end of it is told here, so that it need not wait for its
 * sweep.
 *
 * A number is forgotten twice: before, or a thread that asks about it now would enter what is about
 * to be wrong; after, since one may have asked in between. */
#include "ioth.h"

#include <linux/close_range.h>

#define LINGER_MAX_S                                                                               \
	65535 /* Linux keeps longer ones too; the server counts milliseconds in 31 bits */

/** After the kernel closed a copy. SO_LINGER: waits until what was written is acknowledged. */
void sock_closed(const struct sock *s)
{
	struct record *rec = s->rec;
	uint32_t state = __atomic_load_n(&rec->state, __ATOMIC_ACQUIRE);
	uint32_t flags = __atomic_load_n(&rec->flags, __ATOMIC_ACQUIRE);
	uint32_t linger = __atomic_load_n(&rec->linger, __ATOMIC_ACQUIRE);
	bool ended =
	    flags & FLAG_DEAD || (flags & FLAG_SHUT_WR && flags & (FLAG_EOF | FLAG_SHUT_RD));
	struct request r = {
	    .op = OP_WAIT, .record = s->index, .generation = s->generation, .interruptible = true};

	if (in_vfork_child() || sock_is_message(s) ||
	    __atomic_load_n(&rec->generation, __ATOMIC_ACQUIRE) != s->generation)
		return;
	if (state != RECORD_CONNECTED || ended) {
		/* By now the record may be another's: the generation says whose close it was. */
		__atomic_store_n(&rec->closing, s->generation, __ATOMIC_SEQ_CST);
		post_work(s->index);
	} else if (linger > 0) {
		linger = linger < LINGER_MAX_S ? linger : LINGER_MAX_S;
		r.arg[0] = WAIT_CLOSED;
		r.arg[1] = (int)(linger * 1000);
		r.timeout_ms = r.arg[1];
		ctl_call(&r);
	}
}

EXPORT int close(int fd)
{
	struct sock s;
	int saved = errno;
	int r;

	if (in_vfork_child() || !fdtab_find(fd, &s)) {
		r = libc.close(fd);
		fdtab_forget(fd);
		return r;
	}
	fdtab_forget(fd);
	r = libc.close(fd);
	fdtab_forget(fd);
	if (r == 0) {
		sock_closed(&s);
		errno = saved;
	}
	return r;
}
ALIAS(__close, close);

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	int r = libc.close_range(first, last, flags);

	if (r == 0 && !(flags & CLOSE_RANGE_CLOEXEC))
		fdtab_close_range(first, last);
	return r;
}

EXPORT void closefrom(int first)
{
	libc.closefrom(first);
	fdtab_close_range(first < 0 ? 0 : (unsigned int)first, ~0u);
}
