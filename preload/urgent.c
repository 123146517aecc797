/* Urgent data. The byte is the server's to send, behind what was written before; with the writers'
 * lock held it knows where that ends. Received, it lies in the ring like any other byte, and the
 * record's mark says where: readers stop before it and leave it out (ring-read.c). POLLPRI is a
 * byte that the server sent out of band on the AF_UNIX socket, beside the tokens. Whoever took the
 * urgent byte, or read past it, takes that one back. */
#include "ioth.h"

static int call(const struct sock *s, int what, int byte)
{
	return ctl_simple(s, OP_URGENT, what, byte);
}

static int send_once(int fd, const struct sock *s, uint8_t byte, uint64_t *held)
{
	int r;

	sigmask_hold(held);
	r = lock_take(&s->rec->wlock);
	if (r == 0) {
		r = call(s, URGENT_SEND, byte);
		if (r == -EAGAIN && !sock_is_native(s) &&
		    __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_CONNECTED)
			plug_put(fd, s);
		writer_unlock(fd, s);
	}
	return r;
}

/** 0, or a negative errno; waits for room unless it may not. */
ssize_t urgent_send(int fd, const struct sock *s, uint8_t byte, int flags, bool some,
		    uint64_t *held)
{
	int64_t deadline = 0;
	int r;

	while ((r = send_once(fd, s, byte, held)) == -EAGAIN) {
		r = wait_room(fd, s, flags, some, &deadline, held);
		if (r < 0)
			break;
	}
	return r;
}

/* The byte is out of the queue for good only when an ordinary read has gone past its place. A token
 * that came in between is a token still: the server sends one in its stead. */
void urgent_unshow(int fd, const struct sock *s)
{
	struct record *rec = s->rec;
	uint64_t signals;
	char byte;

	sigmask_block(&signals);
	if (!lock_try(&rec->rlock)) {
		sigmask_restore(&signals);
		return;
	}
	if (__atomic_exchange_n(&rec->urgent_shown, 0, __ATOMIC_SEQ_CST)) {
		raw(SYS_recvfrom, fd, &byte, 1, MSG_OOB | MSG_DONTWAIT, NULL);
		if (raw(SYS_recvfrom, fd, &byte, 1, MSG_DONTWAIT, NULL) == 1)
			call(s, URGENT_RING, 0);
	}
	lock_drop(&rec->rlock);
	sigmask_restore(&signals);
}

/** recv(MSG_OOB): never waits. */
ssize_t urgent_recv(int fd, const struct sock *s, const struct iovec *iov, int n, size_t len,
		    int flags)
{
	struct cursor c = cursor_at(iov, n, 0);
	uint8_t byte;
	int r;

	if (sock_is_native(s)) {
		r = (int)raw(SYS_recvfrom, fd, &byte, 1, flags & (MSG_OOB | MSG_PEEK), NULL);
		if (r <= 0)
			return r;
	} else {
		r = call(s, flags & MSG_PEEK ? URGENT_PEEK : URGENT_TAKE, 0);
		if (r < 0)
			return r;
		byte = (uint8_t)r;
		if (!(flags & MSG_PEEK))
			urgent_unshow(fd, s);
	}
	if (len == 0)
		return 0;
	copy_out(&c, &byte, 1);
	return 1;
}
