/* Everything that writes. In ring mode into the send ring; in native mode by the kernel's call,
 * without control data: on TCP it means nothing, on AF_UNIX it would pass descriptors. */
#include "ioth.h"

#include <pthread.h>

#define IOV_MOST 1024 /* UIO_MAXIOV */

/* Waits for the handshake if that is still under way. */
static int native_ready(int fd, const struct sock *s, int flags)
{
	int64_t deadline = 0;

	for (;;) {
		uint32_t state = __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE);
		int r;

		if (state == RECORD_CONNECTED || state == RECORD_DELIVERED_NATIVE)
			return 0;
		if (state != RECORD_CONNECTING)
			return -EPIPE;
		r = wait_writable(fd, s, flags, &deadline);
		if (r < 0)
			return r;
	}
}

static ssize_t send_natively(int fd, const struct sock *s, const struct iovec *iov, int n,
			     size_t skip, int flags)
{
	struct iovec rest[n + 1]; /* threads may have little stack */
	struct msghdr msg = {.msg_iov = rest};
	int r = native_ready(fd, s, flags);
	ssize_t sent;

	if (r < 0)
		return r;
	native_buffer(fd);
	msg.msg_iovlen = iov_rest(iov, n, skip, rest);
	sent = pass_sendmsg(fd, &msg, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

/* Until all is written; less if it may not wait, a signal comes, or SO_SNDTIMEO ends. */
static ssize_t write_all(int fd, const struct sock *s, const struct iovec *iov, int n, size_t len,
			 int flags, uint64_t *held)
{
	int64_t deadline = 0;
	size_t done = 0;
	ssize_t r;

	for (;;) {
		r = ring_write(fd, s, iov, n, done, len - done, flags & MSG_DONTWAIT,
			       flags & MSG_MORE, held);
		if (r == -ESTALE) {
			sigmask_restore(held);
			/* As much as the kernel would have sent. */
			r = send_natively(fd, s, iov, n, done, flags);
			if (r >= 0)
				return (ssize_t)done + r;
		}
		if (r < 0)
			break;
		done += (size_t)r;
		if (done == len)
			break;
		r = wait_room(fd, s, flags, done > 0, &deadline, held);
		if (r == 0 && !fdtab_means(fd, s))
			r = -EBADF;
		if (r < 0)
			break;
	}
	return done > 0 ? (ssize_t)done : r;
}

/* MSG_OOB: the last byte is urgent. */
static ssize_t write_urgent(int fd, const struct sock *s, const struct iovec *iov, int n,
			    size_t len, int flags, uint64_t *held)
{
	struct cursor last = cursor_at(iov, n, len - 1);
	struct iovec text[n + 1];
	ssize_t before = 0;
	uint8_t byte;
	ssize_t r;

	if (len > 1)
		before =
		    write_all(fd, s, text, iov_cut(iov, n, len - 1, text), len - 1, flags, held);
	if (before < (ssize_t)len - 1)
		return before;
	copy_in(&byte, 1, &last);
	r = urgent_send(fd, s, byte, flags, before > 0, held);
	if (r == 0)
		return (ssize_t)len;
	return before > 0 ? before : r;
}

static ssize_t transmit(int fd, const struct sock *s, const struct iovec *iov, int n, size_t len,
			int flags)
{
	uint64_t held = SIGNALS_FREE;
	ssize_t r;

	pthread_testcancel();
	if (flags & MSG_OOB && len > 0)
		r = write_urgent(fd, s, iov, n, len, flags & ~MSG_OOB, &held);
	else
		r = write_all(fd, s, iov, n, len, flags, &held);
	sigmask_restore(&held);
	return r == -EPIPE ? sock_broken(s, flags) : r;
}

/* MSG_FASTOPEN: connect() and send in one, the text with the SYN if the server has a cookie for it.
 */
static ssize_t transmit_to(int fd, const struct sock *s, const struct sockaddr *addr,
			   socklen_t addr_len, const struct iovec *iov, int n, size_t len,
			   int flags)
{
	struct sock joined;
	int r;

	if (!(flags & MSG_FASTOPEN))
		return transmit(fd, s, iov, n, len, flags);
	if (addr && addr_len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNSPEC)
		return -EOPNOTSUPP;
	if (!addr && __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_CONNECTED)
		return -EISCONN;
	r = sock_connect(fd, s, addr, addr ? addr_len : 0, flags);
	if (r < 0)
		return r;
	/* connect() may have exchanged the socket. */
	if (!fdtab_find(fd, &joined))
		return -EBADF;
	return transmit(fd, &joined, iov, n, len, flags & ~MSG_FASTOPEN);
}

/** sendmsg(): TCP takes an address and does not look at it, but for MSG_FASTOPEN. */
ssize_t sock_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags)
{
	size_t len;
	int r;

	if (sock_is_message(s))
		return message_sendmsg(fd, s, msg, flags);
	if (unreadable(msg, sizeof(*msg)))
		return -EFAULT;
	if (msg->msg_iovlen > IOV_MOST)
		return -EMSGSIZE;
	if (msg->msg_name && (int)msg->msg_namelen < 0)
		return -EINVAL;
	r = iov_check(msg->msg_iov, msg->msg_iovlen, &len);
	if (r < 0)
		return r;
	return transmit_to(fd, s, msg->msg_name, msg->msg_namelen, msg->msg_iov,
			   (int)msg->msg_iovlen, len, flags);
}

static ssize_t send_vector(int fd, const struct sock *s, const struct iovec *iov, int n, int flags)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	int saved = errno;
	size_t len;
	ssize_t r;

	if (n < 0 || n > IOV_MOST)
		return retl(-EINVAL);
	if (sock_is_message(s)) {
		r = message_sendmsg(fd, s, &msg, flags);
		errno = saved;
		return retl(r);
	}
	r = iov_check(iov, (size_t)n, &len);
	if (r == 0)
		r = transmit_to(fd, s, NULL, 0, iov, n, len, flags);
	errno = saved;
	return retl(r);
}

static ssize_t send_bytes(int fd, const struct sock *s, const void *buf, size_t n, int flags)
{
	struct iovec iov = {(void *)buf, n};

	if ((ssize_t)n < 0)
		return retl(-EFAULT);
	return send_vector(fd, s, &iov, 1, flags);
}

static __attribute__((noinline)) ssize_t write_sock(int fd, const void *buf, size_t n)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return libc.write(fd, buf, n);
	return send_bytes(fd, &s, buf, n, 0);
}

/* Jumps, as in read(). */
EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	return fdtab_is_foreign(fd) ? libc.write(fd, buf, n) : write_sock(fd, buf, n);
}
ALIAS(__write, write);

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return libc.writev(fd, iov, n);
	return send_vector(fd, &s, iov, n, 0);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct sock s;

	if (offset != -1 || flags & ~(RWF_NOWAIT | RWF_HIPRI | RWF_DSYNC | RWF_SYNC) ||
	    !fdtab_find(fd, &s))
		return libc.pwritev2(fd, iov, n, offset, flags);
	return send_vector(fd, &s, iov, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}
#if __SIZEOF_LONG__ == 8 /* off_t is off64_t */
ALIAS(pwritev64v2, pwritev2);
#else
#error "pwritev2 differs from pwritev64v2 here"
#endif

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_sendto(fd, buf, n, flags, NULL, 0);
	return send_bytes(fd, &s, buf, n, flags);
}
ALIAS(__send, send);

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, __CONST_SOCKADDR_ARG addr,
		      socklen_t len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_sendto(fd, buf, n, flags, addr.__sockaddr__, len);
	if (addr.__sockaddr__ && len > sizeof(struct sockaddr_storage))
		return retl(-EINVAL);
	if (addr.__sockaddr__ && unreadable(addr.__sockaddr__, len))
		return retl(-EFAULT);
	if (flags & MSG_FASTOPEN || sock_is_message(&s)) {
		struct iovec iov = {(void *)buf, n};
		struct msghdr msg = {.msg_name = (void *)addr.__sockaddr__,
				     .msg_namelen = len,
				     .msg_iov = &iov,
				     .msg_iovlen = 1};

		return sendmsg(fd, &msg, flags);
	}
	return send_bytes(fd, &s, buf, n, flags);
}

/* A virtual socket that leaves the process as a descriptor goes native first. */
static int before_passing(const struct msghdr *msg)
{
	if (!ioth_attached() || bad_pointer(msg) || msg->msg_controllen == 0)
		return 0;
	return native_before_passing(msg);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	int saved = errno;
	struct sock s;
	ssize_t r;

	if (!fdtab_find(fd, &s)) {
		r = before_passing(msg);
		return r < 0 ? retl(r) : pass_sendmsg(fd, msg, flags);
	}
	r = sock_sendmsg(fd, &s, msg, flags);
	errno = saved;
	return retl(r);
}

static int send_messages(int fd, const struct sock *s, struct mmsghdr *messages, unsigned int n,
			 int flags)
{
	unsigned int sent = 0;
	ssize_t r = 0;

	if (n > 0 && unwritable(messages, sizeof(*messages)))
		return -EFAULT;
	for (n = n < IOV_MOST ? n : IOV_MOST; sent < n; sent++) {
		r = sock_sendmsg(fd, s, &messages[sent].msg_hdr, flags);
		if (r < 0)
			break;
		messages[sent].msg_len = (unsigned int)r;
	}
	return sent > 0 ? (int)sent : (int)r;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	int saved = errno;
	struct sock s;
	int r = 0;

	if (!fdtab_find(fd, &s)) {
		for (unsigned int i = 0; i < n && r == 0 && !bad_pointer(messages); i++)
			r = before_passing(&messages[i].msg_hdr);
		return r < 0 ? ret(r) : pass_sendmmsg(fd, messages, n, flags);
	}
	r = send_messages(fd, &s, messages, n, flags);
	errno = saved;
	return ret(r);
}
ALIAS(__sendmmsg, sendmmsg);
