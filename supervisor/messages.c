/* Sending and receiving with addresses, control data or flags of their own. What has none of these
 * never comes here, or passes: on a socket in native mode the kernel's call is right.
 *
 * Text goes through a buffer of ours, piece by piece: a stream's call that waits until all is sent
 * remembers how far it got. */
#include "supervisor.h"

#include <linux/errqueue.h>
#include <netinet/in.h>

#define CONTROL 512u /* more than the server takes or gives */

/* A message of the target's, and ours in its place. */
struct message {
	struct msghdr there; /* its pointers are the target's */
	struct msghdr here;
	struct iovec parts[IOV_MOST];
	struct iovec part;
	struct sockaddr_storage name;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL];
	size_t whole; /* bytes in the target's vector */
};

static struct message m;

static long take_vector(const struct notice *c)
{
	ssize_t n = target_vector(c, m.parts, &m.there);

	if (n < 0)
		return n;
	m.whole = (size_t)n;
	m.part = (struct iovec){text, m.whole};
	m.here = (struct msghdr){.msg_iov = &m.part, .msg_iovlen = 1};
	return 0;
}

/* Of a call that gives a buffer and an address. */
static void take_buffer(uint64_t buf, uint64_t n, uint64_t name, socklen_t name_len)
{
	m.there =
	    (struct msghdr){.msg_name = (void *)name, .msg_namelen = name_len, .msg_iovlen = 1};
	m.parts[0] = (struct iovec){(void *)buf, n};
	m.whole = n;
	m.part = (struct iovec){text, n};
	m.here = (struct msghdr){.msg_iov = &m.part, .msg_iovlen = 1};
}

/* ---- sending ---- */

/* The name and control data that go out. 0 or a negative errno. */
static long take_extras(const struct notice *c)
{
	size_t n = m.there.msg_controllen;

	if (m.there.msg_name && m.there.msg_namelen > 0) {
		if ((int)m.there.msg_namelen < 0)
			return -EINVAL;
		m.here.msg_namelen =
		    m.there.msg_namelen < sizeof(m.name) ? m.there.msg_namelen : sizeof(m.name);
		if (!target_read(c, &m.name, (uintptr_t)m.there.msg_name, m.here.msg_namelen))
			return -EFAULT;
		m.here.msg_name = &m.name;
	}
	if (m.there.msg_control && n > 0) {
		if (!target_read(c, m.control, (uintptr_t)m.there.msg_control,
				 n < CONTROL ? n : CONTROL))
			return -EFAULT;
		m.here.msg_control = m.control;
		m.here.msg_controllen = n;
	}
	return 0;
}

static bool may_wait(const struct notice *c, int flags)
{
	return !(flags & MSG_DONTWAIT) && !fd_nonblocking(c->fd);
}

/* One datagram. */
static long send_datagram(struct notice *c, int flags)
{
	long r;

	/* Of what is too much for any the text does not matter. */
	if (m.whole <= ROOM && target_gather(c, text, ROOM, m.parts, m.there.msg_iovlen, 0) < 0)
		return -EFAULT;
	r = sock_sendmsg(c->fd, &c->sock, &m.here, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r == -EAGAIN && may_wait(c, flags))
		return wait_for(c, EPOLLOUT, SO_SNDTIMEO, r);
	return r;
}

/* The next piece of a stream's text. */
static long send_piece(struct notice *c, int flags)
{
	size_t left = m.whole - c->done;
	size_t n = left < ROOM ? left : ROOM;

	if (target_gather(c, text, n, m.parts, m.there.msg_iovlen, c->done) < 0)
		return -EFAULT;
	m.part.iov_len = n;
	if (n < left)
		flags &= ~MSG_OOB; /* the last byte of all is urgent */
	return sock_sendmsg(c->fd, &c->sock, &m.here, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* MSG_FASTOPEN, first time: connects, or begins to. */
static long send_first(struct notice *c, int flags)
{
	long r = send_piece(c, flags);
	int e = renewed(c);

	if (e < 0)
		return e;
	c->begun = true;
	return r == -EINPROGRESS && may_wait(c, flags) ? connect_goes_on(c) : r;
}

static long send_stream(struct notice *c, int flags)
{
	bool opens = flags & MSG_FASTOPEN;
	long r;

	if (!opens && !(flags & (MSG_OOB | MSG_ZEROCOPY)) && c->done == 0 &&
	    c->nr != SYS_sendmmsg && !m.here.msg_name && !m.here.msg_control)
		return PASS;
	if (opens && !c->begun) {
		r = send_first(c, flags);
		if (r < 0)
			return r;
		c->done += (size_t)r;
	} else if (opens && c->done == 0) {
		r = connect_goes_on(c);
		if (r != 0)
			return r;
	}
	for (;;) {
		if (c->done == m.whole && c->done > 0)
			return (long)c->done;
		r = send_piece(c, flags & ~MSG_FASTOPEN);
		if (r < 0)
			break;
		c->done += (size_t)r;
		if (m.whole == 0)
			return 0;
	}
	if (r == -EAGAIN && may_wait(c, flags))
		return wait_for(c, EPOLLOUT, SO_SNDTIMEO, c->done ? (long)c->done : r);
	if (c->done)
		return (long)c->done;
	if (r == -EPIPE && !(flags & MSG_NOSIGNAL))
		target_signal(c, SIGPIPE);
	return r;
}

/* What is in `m`. */
static long send_taken(struct notice *c, int flags)
{
	long r = take_extras(c);

	if (r < 0)
		return r;
	name_netlink(c);
	return sock_is_message(&c->sock) ? send_datagram(c, flags) : send_stream(c, flags);
}

long serve_sendto(struct notice *c)
{
	socklen_t len = c->arg[4] ? (socklen_t)c->arg[5] : 0;

	if (len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if ((ssize_t)c->arg[2] < 0)
		return -EFAULT;
	take_buffer(c->arg[1], c->arg[2], c->arg[4], len);
	return send_taken(c, (int)c->arg[3]);
}

long serve_sendmsg(struct notice *c)
{
	long r;

	if (!target_read(c, &m.there, c->arg[1], sizeof(m.there)))
		return -EFAULT;
	r = take_vector(c);
	return r < 0 ? r : send_taken(c, (int)c->arg[2]);
}

long serve_sendmmsg(struct notice *c)
{
	unsigned int n = (unsigned int)c->arg[2] < IOV_MOST ? (unsigned int)c->arg[2] : IOV_MOST;
	long r = 0;

	for (; c->got < n; c->got++, c->done = 0) {
		uint64_t at = c->arg[1] + c->got * sizeof(struct mmsghdr);
		unsigned int sent;

		r = target_read(c, &m.there, at, sizeof(m.there)) ? take_vector(c) : -EFAULT;
		if (r == 0)
			r = send_taken(c, (int)c->arg[3]);
		if (r < 0)
			break;
		sent = (unsigned int)r;
		if (!target_write(c, at + offsetof(struct mmsghdr, msg_len), &sent, sizeof(sent)))
			return -EFAULT;
	}
	return r == WAIT || c->got == 0 ? r : (long)c->got;
}

/* ---- receiving ---- */

/* Room for what comes with the text. */
static void make_room(void)
{
	if (m.there.msg_name) {
		m.here.msg_name = &m.name;
		m.here.msg_namelen = (int)m.there.msg_namelen < (int)sizeof(m.name)
					 ? m.there.msg_namelen
					 : sizeof(m.name);
	}
	if (m.there.msg_control && m.there.msg_controllen > 0) {
		m.here.msg_control = m.control;
		m.here.msg_controllen =
		    m.there.msg_controllen < CONTROL ? m.there.msg_controllen : CONTROL;
	}
}

/* Text, name and control data to where the target wants them. */
static bool deliver(struct notice *c, size_t n)
{
	size_t room = m.here.msg_name && m.here.msg_namelen < m.there.msg_namelen
			  ? m.here.msg_namelen
			  : m.there.msg_namelen;

	n = n < m.whole - c->done ? n : m.whole - c->done;
	if (target_scatter(c, m.parts, m.there.msg_iovlen, c->done, text, n) < 0)
		return false;
	if (m.here.msg_name && !target_write(c, (uintptr_t)m.there.msg_name, &m.name, room))
		return false;
	return target_write(c, (uintptr_t)m.there.msg_control, m.control, m.here.msg_controllen);
}

/* One datagram, or what a stream has; MSG_WAITALL goes on until the vector is full. */
static long receive_taken(struct notice *c, int flags)
{
	bool whole = flags & MSG_WAITALL && !sock_is_message(&c->sock) && !(flags & MSG_PEEK);

	if ((int)m.there.msg_namelen < 0 && m.there.msg_name)
		return -EINVAL;
	for (;;) {
		size_t left = m.whole - c->done;
		long r;

		make_room();
		m.part.iov_len = left < ROOM ? left : ROOM;
		r = sock_recvmsg(c->fd, &c->sock, &m.here, (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
		if (r == -EAGAIN && may_wait(c, flags) && !(flags & MSG_ERRQUEUE))
			return wait_for(c, EPOLLIN, SO_RCVTIMEO, c->done ? (long)c->done : r);
		if (r < 0)
			return c->done ? (long)c->done : r;
		if (!(flags & MSG_TRUNC && !sock_is_message(&c->sock)) && !deliver(c, (size_t)r))
			return -EFAULT;
		c->done += (size_t)r;
		if (!whole || r == 0 || c->done >= m.whole)
			return (long)c->done;
	}
}

long serve_recvfrom(struct notice *c)
{
	socklen_t len = 0;
	long r;

	if ((ssize_t)c->arg[2] < 0)
		return -EFAULT;
	if (c->arg[4] && !target_read(c, &len, c->arg[5], sizeof(len)))
		return -EFAULT;
	take_buffer(c->arg[1], c->arg[2], c->arg[4], len);
	r = receive_taken(c, (int)c->arg[3]);
	if (r >= 0 && c->arg[4] && !target_write(c, c->arg[5], &m.here.msg_namelen, sizeof(len)))
		return -EFAULT;
	return r;
}

/* The lengths and flags of a message that was received, into the target's struct msghdr at `at`. */
static bool tell_lengths(const struct notice *c, uint64_t at)
{
	return target_write(c, at + offsetof(struct msghdr, msg_namelen), &m.here.msg_namelen,
			    sizeof(m.here.msg_namelen)) &&
	       target_write(c, at + offsetof(struct msghdr, msg_controllen), &m.here.msg_controllen,
			    sizeof(m.here.msg_controllen)) &&
	       target_write(c, at + offsetof(struct msghdr, msg_flags), &m.here.msg_flags,
			    sizeof(m.here.msg_flags));
}

static long receive_message(struct notice *c, uint64_t at, int flags)
{
	bool own = flags & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC);
	long r;

	if (!target_read(c, &m.there, at, sizeof(m.there)))
		return -EFAULT;
	if (!sock_is_message(&c->sock) && !own && !m.there.msg_name && c->nr == SYS_recvmsg)
		return PASS;
	r = take_vector(c);
	if (r == 0)
		r = receive_taken(c, flags);
	if (r >= 0 && !tell_lengths(c, at))
		return -EFAULT;
	return r;
}

long serve_recvmsg(struct notice *c)
{
	return receive_message(c, c->arg[1], (int)c->arg[2]);
}

/* recvmmsg()'s own timeout: looked at between messages only, as Linux does. 0 or a negative errno.
 */
static long take_timeout(struct notice *c)
{
	struct timespec t = {0};

	if (c->end || !c->arg[4])
		return 0;
	if (!target_read(c, &t, c->arg[4], sizeof(t)))
		return -EFAULT;
	if (t.tv_sec < 0 || (uint64_t)t.tv_nsec >= 1000000000u)
		return -EINVAL;
	c->end = now_ns() + t.tv_sec * 1000000000ll + t.tv_nsec;
	return 0;
}

static void tell_time_left(const struct notice *c)
{
	int64_t left = c->end - now_ns();
	struct timespec t = {.tv_sec = left > 0 ? left / 1000000000 : 0,
			     .tv_nsec = left > 0 ? left % 1000000000 : 0};

	if (c->end)
		target_write(c, c->arg[4], &t, sizeof(t));
}

long serve_recvmmsg(struct notice *c)
{
	unsigned int n = (unsigned int)c->arg[2];
	int flags = (int)c->arg[3];
	long r = take_timeout(c);

	while (r >= 0 && c->got < n && (c->got == 0 || !c->end || now_ns() < c->end)) {
		uint64_t at = c->arg[1] + c->got * sizeof(struct mmsghdr);
		unsigned int len;
		bool more = flags & MSG_WAITFORONE && c->got > 0;

		r = receive_message(c, at, (flags & ~MSG_WAITFORONE) | (more ? MSG_DONTWAIT : 0));
		if (r < 0)
			break;
		len = (unsigned int)r;
		if (!target_write(c, at + offsetof(struct mmsghdr, msg_len), &len, sizeof(len)))
			return -EFAULT;
		c->got++;
		c->done = 0;
		if (r == 0 && !sock_is_message(&c->sock))
			break; /* the end of a stream would be read n times */
	}
	if (r == WAIT)
		return r;
	tell_time_left(c);
	return c->got ? (long)c->got : r;
}
