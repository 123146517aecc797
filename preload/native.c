/* The two modes. In ring mode text goes through the rings and the AF_UNIX socket carries tokens
 * only; in native mode text goes through the AF_UNIX socket and the server moves it to and from the
 * rings, so that anybody's plain read and write are right. A socket changes once, from the first to
 * the second, and no byte may be lost or doubled. With both locks held nobody of ours writes text
 * or takes tokens:
 *
 * - HEAD_NATIVE in rx_head: readers, who have no lock, fail their swap from here on. What is in the
 *   receive ring is the server's to deliver.
 *
 * - Our queue at the server's end holds the canary and perhaps the plug, nothing else. `plugged` is
 *   swapped to 0, so the server will not take the plug out; the call says how many messages to
 *   throw away. After them everything is text.
 *
 * - The call. Then the server reads the socket as text and sends text into it. Its tokens lie
 *   before that text: as many as `rung` says are taken.
 *
 * - The mode, for the writers that wait for the lock, and both locks dropped.
 *
 * A thread that sleeps for a token wakes up at the first text, peeks only, and sees the mode. */
#include "ioth.h"

#define BUFFER (1 << 20) /* the kernel doubles it and caps it at net.core.wmem_max */

bool sock_is_native(const struct sock *s)
{
	return __atomic_load_n(&s->rec->mode, __ATOMIC_ACQUIRE) == MODE_NATIVE;
}

static bool connected(const struct sock *s)
{
	return __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_CONNECTED;
}

/** Only the program's end can. Not before the connection stands: a small buffer is what makes the
 * plug take POLLOUT away. */
void native_buffer(int fd)
{
	int size = 0;
	socklen_t len = sizeof(size);

	if (fdtab_raised(fd))
		return;
	if (raw(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 &&
	    size < BUFFER / 16) {
		size = BUFFER;
		raw(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	fdtab_raise(fd);
}

void native_options(int fd, const struct sock *s)
{
	int lowat = (int)__atomic_load_n(&s->rec->rcvlowat, __ATOMIC_RELAXED);
	int in_line = (int)__atomic_load_n(&s->rec->oobinline, __ATOMIC_RELAXED);

	if (lowat > 1)
		raw(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
	if (in_line)
		raw(SYS_setsockopt, fd, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof(in_line));
}

static int switch_over(int fd, const struct sock *s)
{
	struct record *rec = s->rec;
	uint32_t plugged, rung;
	int r;

	__atomic_fetch_or(&rec->rx_head, HEAD_NATIVE, __ATOMIC_SEQ_CST);
	plugged = __atomic_exchange_n(&rec->plugged, 0, __ATOMIC_SEQ_CST);
	if (connected(s))
		native_buffer(fd);
	r = ctl_simple(s, OP_NATIVE, (int)(rec->accepted + (plugged ? ioth.region->plug - 1 : 0)),
		       0);
	if (r < 0 && r != -ENETDOWN) {
		__atomic_store_n(&rec->plugged, plugged, __ATOMIC_SEQ_CST);
		__atomic_fetch_and(&rec->rx_head, ~HEAD_NATIVE, __ATOMIC_SEQ_CST);
		return r;
	}
	rung = __atomic_exchange_n(&rec->rung, 0, __ATOMIC_SEQ_CST);
	tokens_take(fd, rung);
	/* A byte that was POLLPRI would be taken for the urgent one. */
	if (__atomic_exchange_n(&rec->urgent_shown, 0, __ATOMIC_SEQ_CST))
		raw(SYS_recvfrom, fd, &(char){0}, 1, MSG_OOB | MSG_DONTWAIT, NULL);
	native_options(fd, s);
	__atomic_store_n(&rec->mode, MODE_NATIVE, __ATOMIC_RELEASE);
	return 0;
}

/** For good. A server that is dead needs no word of it: the kernel shows the end by itself. */
int sock_go_native(int fd, const struct sock *s)
{
	struct record *rec = s->rec;
	uint64_t signals;
	int r;

	if (sock_is_native(s)) {
		if (connected(s) && !sock_is_message(s))
			native_buffer(fd);
		return 0;
	}
	sigmask_block(&signals);
	r = lock_take(&rec->wlock);
	if (r < 0)
		goto restore;
	r = lock_take(&rec->rlock);
	if (r < 0)
		goto unlock;
	if (!sock_is_native(s))
		r = sock_is_message(s) ? message_switch_over(fd, s) : switch_over(fd, s);
	lock_drop(&rec->rlock);
unlock:
	writer_unlock(fd, s);
restore:
	sigmask_restore(&signals);
	return r == -ENETDOWN ? 0 : r;
}
