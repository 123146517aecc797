/* Everything that reads. In ring mode out of the receive ring; in native mode by the kernel's call,
 * with the errors and flags of TCP put in place of AF_UNIX's. */
#include "ioth.h"

#include <poll.h>
#include <pthread.h>

#define IOV_MOST 1024 /* UIO_MAXIOV */
#define LOOK_NS	 1000000

/* Until `len` bytes are thrown away, or as many as there are without waiting once some are. */
static ssize_t discard_natively(int fd, size_t len, int flags)
{
	char scrap[1024];
	size_t done = 0;

	while (done < len) {
		size_t n = len - done < sizeof(scrap) ? len - done : sizeof(scrap);
		int wait = done && !(flags & MSG_WAITALL) ? MSG_DONTWAIT : 0;
		ssize_t r = libc.recv(fd, scrap, n, (flags & ~MSG_TRUNC) | wait);

		if (r <= 0)
			return done ? (ssize_t)done : r;
		done += (size_t)r;
		if (flags & MSG_PEEK)
			break;
	}
	return (ssize_t)done;
}

/* What the kernel said, in TCP's words. An end of which the record knows nothing is the server's.
 */
static ssize_t native_end(const struct sock *s, ssize_t n)
{
	int error = n < 0 ? errno : 0;
	uint32_t flags = __atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE);
	int e;

	if (n > 0)
		return n;
	if (n < 0 && error != ECONNRESET)
		return error == EINVAL ? -ENOTCONN : -error;
	if (flags & FLAG_EOF)
		return 0;
	e = sock_take_error(s);
	if (e < 0 || flags & (FLAG_DEAD | FLAG_SHUT_RD) ||
	    __atomic_load_n(&s->rec->generation, __ATOMIC_ACQUIRE) != s->generation)
		return e;
	return -ECONNRESET;
}

static ssize_t receive_natively(int fd, const struct sock *s, const struct iovec *iov, int n,
				size_t skip, size_t len, int flags)
{
	struct iovec rest[n + 1]; /* threads may have little stack */
	struct msghdr msg = {.msg_iov = rest};
	uint32_t state = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE);

	if ((state == RECORD_OPEN || state == RECORD_LISTENING) &&
	    !(__atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_DEAD))
		return -ENOTCONN;
	if (state == RECORD_CONNECTED)
		native_buffer(fd);
	if (flags & MSG_TRUNC)
		return native_end(s, discard_natively(fd, len, flags));
	msg.msg_iovlen = iov_rest(iov, n, skip, rest);
	return native_end(s,
			  pass_recvmsg(fd, &msg, flags & (MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT)));
}

static bool may_come(const struct sock *s)
{
	return !(__atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) &
		 (FLAG_EOF | FLAG_SHUT_RD | FLAG_DEAD));
}

/* Who has read `some`, or whose time (the kernel's SO_RCVTIMEO is of one wait and would begin anew
 * with each) is limited, sleeps with signals held. And there are waits that no token ends: with
 * SO_RCVLOWAT none comes for less, and less may be what is still wanted; what was peeked at stays,
 * and its token with it. Then it is looked each ms. */
static int wait_more(int fd, const struct sock *s, int flags, bool some, int64_t *deadline,
		     uint64_t *held)
{
	bool low = __atomic_load_n(&s->rec->rcvlowat, __ATOMIC_RELAXED) > 1;
	bool stays = some && flags & MSG_PEEK;
	int64_t look;
	int r;

	if (!some && !low &&
	    (!(flags & MSG_WAITALL) || call_deadline(fd, SO_RCVTIMEO, deadline) == INT64_MAX)) {
		sigmask_restore(held);
		return wait_readable(fd, s, flags);
	}
	if (flags & MSG_DONTWAIT || fd_nonblocking(fd) || (stays && !may_come(s)))
		return stays ? 1 : wait_readable(fd, s, flags | MSG_DONTWAIT);
	r = stays ? -EAGAIN : wait_readable(fd, s, flags | MSG_DONTWAIT);
	if (r != -EAGAIN)
		return r;
	call_deadline(fd, SO_RCVTIMEO, deadline);
	if (!stays && !low)
		return sleep_held(fd, POLLIN, *deadline, held);
	look = now_ns() + LOOK_NS;
	if (look > *deadline)
		return sleep_held(-1, 0, *deadline, held);
	r = sleep_held(-1, 0, look, held);
	return r == -EAGAIN ? 0 : r;
}

/* How much ends the wait: all with MSG_WAITALL, else SO_RCVLOWAT, and at least a byte. */
static size_t enough(const struct sock *s, size_t len, int flags)
{
	uint32_t least = __atomic_load_n(&s->rec->rcvlowat, __ATOMIC_RELAXED);

	if (!(flags & MSG_WAITALL) && least < len)
		len = least;
	return len > 0 ? len : 1;
}

static ssize_t read_enough(int fd, const struct sock *s, const struct iovec *iov, int n, size_t len,
			   int flags, uint64_t *held)
{
	bool peek = flags & MSG_PEEK;
	int64_t deadline = 0;
	size_t done = 0;

	for (;;) {
		size_t least = enough(s, len, flags);
		ssize_t r;

		if (peek)
			done = 0;
		if (least > 1 && done + ring_used_rx(s) < least)
			sigmask_hold(held);
		r = ring_read(fd, s, iov, n, done, len - done, peek, flags & MSG_TRUNC);
		if (r == -ESTALE) {
			sigmask_restore(held);
			r = receive_natively(fd, s, iov, n, done, len - done, flags);
			return r < 0 && done ? (ssize_t)done : (ssize_t)done + r;
		}
		if (r < 0)
			return done ? (ssize_t)done : r;
		done += (size_t)r;
		if (done >= least || (len == 0 && ring_used_rx(s) > 0) || (done && ring_at_mark(s)))
			return (ssize_t)done;
		r = wait_more(fd, s, flags, done > 0, &deadline, held);
		/* What came is read, but tokens are not taken from somebody else's socket. */
		if (r >= 0 && !fdtab_means(fd, s))
			fd = -1;
		if (r == 1)
			return (ssize_t)done;
		if (r < 0)
			return done ? (ssize_t)done : r;
	}
}

/* The text of a stream: up to `len` bytes, all of them with MSG_WAITALL. */
static ssize_t receive(int fd, const struct sock *s, const struct iovec *iov, int n, size_t len,
		       int flags)
{
	uint64_t held = SIGNALS_FREE;
	ssize_t r;

	if (flags & MSG_OOB)
		return urgent_recv(fd, s, iov, n, len, flags);
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	pthread_testcancel();
	r = read_enough(fd, s, iov, n, len, flags, &held);
	sigmask_restore(&held);
	return r;
}

/** recvmsg(): messages have an address and control data, TCP has no address to tell and no control
 * data. */
ssize_t sock_recvmsg(int fd, const struct sock *s, struct msghdr *msg, int flags)
{
	size_t len;
	ssize_t r;

	if (sock_is_message(s))
		return message_recvmsg(fd, s, msg, flags);
	if (unwritable(msg, sizeof(*msg)))
		return -EFAULT;
	if (msg->msg_iovlen > IOV_MOST)
		return -EMSGSIZE;
	r = iov_check_room(msg->msg_iov, msg->msg_iovlen, &len);
	if (r == 0)
		r = receive(fd, s, msg->msg_iov, (int)msg->msg_iovlen, len, flags);
	if (r < 0)
		return r;
	if (msg->msg_name)
		msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = (flags & MSG_CMSG_CLOEXEC) | (r > 0 ? flags & MSG_OOB : 0);
	return r;
}

/* The edge: what all the names below do with a socket of ours. read() and readv() of nothing give 0
 * whatever the socket is; recv() of nothing does not. */
static ssize_t receive_vector(int fd, const struct sock *s, const struct iovec *iov, int n,
			      bool file, int flags)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	int saved = errno;
	size_t len;
	ssize_t r;

	if (n < 0 || n > IOV_MOST)
		return retl(-EINVAL);
	if (sock_is_message(s)) {
		r = file ? iov_check(iov, (size_t)n, &len) : 0;
		if (r == 0 && (!file || len > 0))
			r = message_recvmsg(fd, s, &msg, flags);
		errno = saved;
		return retl(r);
	}
	/* Where text is thrown away there need not be room for it. */
	r = flags & MSG_TRUNC ? 0 : iov_check_room(iov, (size_t)n, &len);
	if (flags & MSG_TRUNC)
		len = iov->iov_len;
	if (r == 0 && (len > 0 || !file))
		r = receive(fd, s, iov, n, len, flags);
	errno = saved;
	return retl(r);
}

static ssize_t receive_bytes(int fd, const struct sock *s, void *buf, size_t n, bool file,
			     int flags)
{
	struct iovec iov = {buf, n};

	if ((ssize_t)n < 0)
		return retl(-EFAULT);
	return receive_vector(fd, s, &iov, 1, file, flags);
}

static __attribute__((noinline)) ssize_t read_sock(int fd, void *buf, size_t n)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return libc.read(fd, buf, n);
	return receive_bytes(fd, &s, buf, n, true, 0);
}

/* Both are jumps. A frame of ours that libc returned through after the system call would cost 20 ns
 * (the CPU's return predictions are gone by then), the look-up costs 4. */
EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	return fdtab_is_foreign(fd) ? libc.read(fd, buf, n) : read_sock(fd, buf, n);
}
ALIAS(__read, read);

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t space)
{
	struct sock s;

	if (n > space || !fdtab_find(fd, &s))
		return libc.__read_chk(fd, buf, n, space);
	return receive_bytes(fd, &s, buf, n, true, 0);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return libc.readv(fd, iov, n);
	return receive_vector(fd, &s, iov, n, true, 0);
}

/* At -1 the file's own position: readv() with flags. Any other a socket does not have. */
EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct sock s;

	if (offset != -1 || flags & ~(RWF_NOWAIT | RWF_HIPRI) || !fdtab_find(fd, &s))
		return libc.preadv2(fd, iov, n, offset, flags);
	return receive_vector(fd, &s, iov, n, true, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}
#if __SIZEOF_LONG__ == 8 /* off_t is off64_t */
ALIAS(preadv64v2, preadv2);
#else
#error "preadv2 differs from preadv64v2 here"
#endif

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_recvfrom(fd, buf, n, flags, NULL, NULL);
	return receive_bytes(fd, &s, buf, n, false, flags);
}
ALIAS(__recv, recv);

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t space, int flags)
{
	struct sock s;

	if (n > space || !fdtab_find(fd, &s))
		return libc.__recv_chk(fd, buf, n, space, flags);
	return receive_bytes(fd, &s, buf, n, false, flags);
}

static ssize_t receive_from(int fd, const struct sock *s, void *buf, size_t n, int flags,
			    struct sockaddr *addr, socklen_t *len)
{
	struct iovec iov = {buf, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = addr};
	int saved = errno;
	ssize_t r;

	if (sock_is_message(s)) {
		if (addr && bad_pointer(len))
			return retl(-EFAULT);
		msg.msg_namelen = addr ? *len : 0;
		r = (ssize_t)n < 0 ? -EFAULT : message_recvmsg(fd, s, &msg, flags);
		if (r >= 0 && addr)
			*len = msg.msg_namelen;
		errno = saved;
		return retl(r);
	}
	r = receive_bytes(fd, s, buf, n, false, flags);
	if (r < 0 || !addr)
		return r;
	if (unwritable(len, sizeof(*len)))
		return retl(-EFAULT);
	*len = 0;
	return r;
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags, __SOCKADDR_ARG addr,
			socklen_t *restrict len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_recvfrom(fd, buf, n, flags, addr.__sockaddr__, len);
	return receive_from(fd, &s, buf, n, flags, addr.__sockaddr__, len);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t space, int flags,
			      struct sockaddr *addr, socklen_t *len)
{
	struct sock s;

	if (n > space)
		return libc.__recvfrom_chk(fd, buf, n, space, flags, addr, len);
	if (!fdtab_find(fd, &s))
		return pass_recvfrom(fd, buf, n, flags, addr, len);
	return receive_from(fd, &s, buf, n, flags, addr, len);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	int saved = errno;
	struct sock s;
	ssize_t r;

	if (!fdtab_find(fd, &s)) {
		r = pass_recvmsg(fd, msg, flags);
		if (r >= 0 && msg->msg_controllen > 0)
			fdtab_received(msg);
		return r;
	}
	r = sock_recvmsg(fd, &s, msg, flags);
	errno = saved;
	return retl(r);
}

/* The timeout is looked at between messages only, as Linux does, and tells what is left of it. */
static int receive_messages(int fd, const struct sock *s, struct mmsghdr *messages, unsigned int n,
			    int flags, struct timespec *timeout)
{
	int64_t left = timeout ? timeout->tv_sec * 1000000000ll + timeout->tv_nsec : 0;
	int64_t end = timeout ? now_ns() + left : 0;
	unsigned int got = 0;
	ssize_t r = 0;

	if (timeout && (timeout->tv_sec < 0 || (uint64_t)timeout->tv_nsec >= 1000000000u))
		return -EINVAL;
	if (n > 0 && unwritable(messages, sizeof(*messages)))
		return -EFAULT;
	while (got < n && (got == 0 || !timeout || left > 0)) {
		r = sock_recvmsg(fd, s, &messages[got].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		messages[got++].msg_len = (unsigned int)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		left = timeout ? end - now_ns() : 0;
		if (r == 0 && !sock_is_message(s))
			break; /* the end of a stream would be read n times */
	}
	if (timeout) {
		left = left > 0 ? left : 0;
		timeout->tv_sec = left / 1000000000;
		timeout->tv_nsec = left % 1000000000;
	}
	return got > 0 ? (int)got : (int)r;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags,
		    struct timespec *timeout)
{
	int saved = errno;
	struct sock s;
	int r;

	if (!fdtab_find(fd, &s)) {
		r = pass_recvmmsg(fd, messages, n, flags, timeout);
		for (int i = 0; i < r; i++)
			if (messages[i].msg_hdr.msg_controllen > 0)
				fdtab_received(&messages[i].msg_hdr);
		return r;
	}
	r = receive_messages(fd, &s, messages, n, flags, timeout);
	errno = saved;
	return ret(r);
}
