/* Message sockets: UDP, raw, ping, packet, netlink. A datagram is one message on a SOCK_SEQPACKET,
 * a head (struct abi_message) and the text behind it; so what waits, who is woken, how long a call
 * blocks, MSG_PEEK and MSG_TRUNC are the kernel's.
 *
 * What send(2) has to say at once (no route, no rights, too long) only the server knows. It is
 * asked before the first message to a destination, and its answer is good until the region's
 * `world` or the record's `checked` moves.
 *
 * In native mode text comes without a head, since who reads it may not know of heads; the server
 * then has one message at a time in the socket, and tells whose it is. */
#include "ioth.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>

#define HEAD	 sizeof(struct abi_message)
#define IOV_MOST 1024 /* UIO_MAXIOV */
#define WHOLE	 (HEAD + ABI_MESSAGE_TEXT)
#define MSG_KEPT (MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC)
#define ANSWERS	 64 /* a power of two */
#define SHOWN	 64 /* of the text, where the server looks at it */

/* ---- what was asked before ---- */

/* A destination and how much text may go there. `lock` is odd while somebody writes. */
struct answer {
	uint32_t lock;
	uint32_t most;
	uint32_t index, generation, world, checked;
	uint32_t name_len;
	uint32_t pad;
	uint32_t name[ABI_MESSAGE_NAME / 4];
};
#define ANSWER_WORDS (sizeof(struct answer) / 4)

static struct answer answers[ANSWERS];

/* The question; ports are all alike, but for 0. */
static bool question(const struct sock *s, const struct abi_message *head, struct answer *q)
{
	/* cppcheck-suppress ctuuninitvar ; it is filled here */
	uint8_t *name = (uint8_t *)q->name;

	memset(q, 0, sizeof(*q));
	q->index = s->index;
	q->generation = s->generation;
	q->world = __atomic_load_n(&ioth.region->world, __ATOMIC_ACQUIRE);
	q->checked = __atomic_load_n(&s->rec->checked, __ATOMIC_ACQUIRE);
	q->name_len = head->name_len;
	memcpy(name, head->name, head->name_len);
	if (head->name_len < 4)
		return head->name_len == 0;
	if (name[2] == 0 && name[3] == 0)
		return false;
	name[2] = name[3] = 0;
	return true;
}

static struct answer *place(const struct answer *q)
{
	uint32_t hash = q->index * 0x9e3779b1u;

	for (size_t i = 0; i < ABI_MESSAGE_NAME / 4; i++)
		hash = (hash ^ q->name[i]) * 0x85ebca6bu;
	return &answers[hash >> 16 & (ANSWERS - 1)];
}

/* How much text may go there as far as we know; 0: nothing is known. */
static uint32_t answered(const struct answer *q)
{
	const struct answer *at = place(q);
	const uint32_t *from = (const uint32_t *)at;
	uint32_t copy[ANSWER_WORDS];
	uint32_t before = __atomic_load_n(&at->lock, __ATOMIC_ACQUIRE);
	const struct answer *a = (const struct answer *)copy;

	if (before & 1)
		return 0;
	for (size_t i = 0; i < ANSWER_WORDS; i++)
		copy[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with remember()'s releases */
	if (__atomic_load_n(&at->lock, __ATOMIC_RELAXED) != before)
		return 0;
	return memcmp(&a->index, &q->index, sizeof(*q) - offsetof(struct answer, index)) == 0
		   ? a->most
		   : 0;
}

static void remember(const struct answer *q, uint32_t most)
{
	struct answer *at = place(q);
	uint32_t *to = (uint32_t *)at;
	const uint32_t *from = (const uint32_t *)q;
	uint32_t lock = __atomic_load_n(&at->lock, __ATOMIC_RELAXED);

	if (lock & 1 || !__atomic_compare_exchange_n(&at->lock, &lock, lock + 1, false,
						     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&at->most, most, __ATOMIC_RELAXED);
	for (size_t i = 2; i < ANSWER_WORDS; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
	__atomic_store_n(&at->lock, lock + 2, __ATOMIC_RELEASE);
}

/* Raw and ping sockets: headers are in the text, so the answer depends on it. */
static bool text_counts(const struct record *rec)
{
	return rec->type == SOCK_RAW || rec->protocol == IPPROTO_ICMP ||
	       rec->protocol == IPPROTO_ICMPV6;
}

/* What send(2) has to say at once: 0 or a negative errno. */
static int may_send(const struct sock *s, const struct abi_message *head, const struct msghdr *msg,
		    size_t len)
{
	struct {
		struct abi_message head;
		uint8_t text[SHOWN];
	} with_text;
	struct request r = {.op = OP_MESSAGE_CHECK,
			    .record = s->index,
			    .generation = s->generation,
			    .arg = {(int)len},
			    .in = head,
			    .in_len = HEAD};
	struct answer q;
	bool shows = text_counts(s->rec);
	bool known =
	    !shows && question(s, head, &q) && head->control_len == 0 && !(head->flags & MSG_OOB);
	int most;

	if (shows) {
		struct cursor c = cursor_at(msg->msg_iov, (int)msg->msg_iovlen, 0);
		size_t n = len < SHOWN ? len : SHOWN;

		memcpy(&with_text.head, head, HEAD);
		copy_in(with_text.text, n, &c);
		r.in = &with_text;
		r.in_len = (uint32_t)(HEAD + n);
	}

	if (known && len > 0 && len <= answered(&q))
		return 0;
	most = ctl_call(&r);
	if (most < 0)
		return most;
	/* Sending may have bound the socket, which moves `checked`: q has it as it was before. */
	if (known)
		remember(&q, (uint32_t)most);
	return 0;
}

/* ---- sending ---- */

/* The head of what a call says. 0 or a negative errno. */
static int head_of(const struct sock *s, const struct msghdr *msg, int flags,
		   struct abi_message *head)
{
	size_t name = msg->msg_name ? msg->msg_namelen : 0;

	memcpy(head->cookie, s->rec->cookie, sizeof(head->cookie));
	head->kind = MESSAGE_DATA;
	head->flags = (uint32_t)(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL));
	head->name_len = head->control_len = 0;
	if (name > 0) {
		if ((int)msg->msg_namelen < 0)
			return -EINVAL;
		if (bad_pointer(msg->msg_name))
			return -EFAULT;
		head->name_len = name < ABI_MESSAGE_NAME ? (uint32_t)name : ABI_MESSAGE_NAME;
		memcpy(head->name, msg->msg_name, head->name_len);
	}
	if (msg->msg_controllen > 0 && msg->msg_control) {
		if (msg->msg_controllen > ABI_MESSAGE_CONTROL)
			return -ENOBUFS;
		if (bad_pointer(msg->msg_control))
			return -EFAULT;
		head->control_len = (uint32_t)msg->msg_controllen;
		memcpy(head->control, msg->msg_control, msg->msg_controllen);
	}
	return 0;
}

/* The program's vector with ours before it; 1024 parts are all that the kernel takes, so the last
 * two of so many become one. NULL: no memory. */
struct joined {
	struct iovec *iov; /* one more than the program's */
	size_t n;
	void *merged;
};

static bool join(struct joined *j, void *head, const struct msghdr *msg)
{
	size_t n = msg->msg_iovlen;
	size_t last;

	j->iov[0] = (struct iovec){head, HEAD};
	memcpy(j->iov + 1, msg->msg_iov, n * sizeof(struct iovec));
	j->n = n + 1;
	j->merged = NULL;
	if (n < IOV_MOST)
		return true;
	last = j->iov[n - 1].iov_len + j->iov[n].iov_len;
	j->merged =
	    mmap(NULL, last + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (j->merged == MAP_FAILED)
		return false;
	j->iov[n - 1] = (struct iovec){j->merged, last};
	j->n = n;
	return true;
}

static void part(const struct joined *j)
{
	if (j->merged)
		munmap(j->merged, j->iov[j->n - 1].iov_len + 1);
}

static void merge(struct joined *j, const struct msghdr *msg)
{
	struct cursor c = cursor_at(msg->msg_iov + msg->msg_iovlen - 2, 2, 0);

	if (j->merged)
		copy_in(j->merged, j->iov[j->n - 1].iov_len, &c);
}

/* With the program's vector behind the head. */
static ssize_t send_joined(int fd, const struct sock *s, struct abi_message *head,
			   const struct msghdr *msg, int flags)
{
	struct iovec parts[msg->msg_iovlen + 1]; /* threads may have little stack */
	struct joined j = {.iov = parts};
	struct msghdr whole = {.msg_iov = parts};
	ssize_t n;
	int r;

	if (!join(&j, head, msg))
		return -ENOMEM;
	merge(&j, msg);
	whole.msg_iovlen = j.n;
	n = pass_sendmsg(fd, &whole, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	r = n < 0 ? -errno : 0;
	part(&j);
	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
		return server_dead() ? -ENETDOWN : -EPIPE;
	/* Linux answers netlink within send(2): what is asked next does not overtake it. */
	if (r == 0 && s->rec->family == AF_NETLINK)
		ctl_simple(s, OP_OUTQ, 0, 0);
	return r < 0 ? r : n - (ssize_t)HEAD;
}

/** sendmsg() of one datagram. */
ssize_t message_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags)
{
	struct abi_message head;
	size_t len;
	int r;

	if (bad_pointer(msg))
		return -EFAULT;
	if (msg->msg_iovlen > IOV_MOST)
		return -EMSGSIZE;
	r = iov_check(msg->msg_iov, msg->msg_iovlen, &len);
	if (r == 0)
		r = head_of(s, msg, flags, &head);
	/* Of what is too much for IPv6 the server tells the error queue, as Linux does. */
	if (r == 0 && len > ABI_MESSAGE_TEXT && s->rec->family != AF_INET6)
		r = -EMSGSIZE;
	if (r == 0)
		r = message_take_error(fd, s);
	if (r == 0 && __atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_SHUT_WR)
		r = -EPIPE;
	if (r == 0)
		r = may_send(s, &head, msg, len);
	if (r == 0 && len > ABI_MESSAGE_TEXT)
		r = -EMSGSIZE;
	if (r < 0)
		return r;
	return send_joined(fd, s, &head, msg, flags);
}

/* ---- receiving ---- */

static void give_name(const struct abi_message *head, struct msghdr *msg)
{
	uint32_t len = head->name_len < ABI_MESSAGE_NAME ? head->name_len : ABI_MESSAGE_NAME;

	if (!msg->msg_name)
		return;
	memcpy(msg->msg_name, head->name, len < msg->msg_namelen ? len : msg->msg_namelen);
	msg->msg_namelen = len;
}

/* As put_cmsg() of the kernel: the last one that begins is cut if it does not fit. MSG_CTRUNC or 0.
 */
static int give_control(const struct abi_message *head, struct msghdr *msg)
{
	uint32_t whole =
	    head->control_len < ABI_MESSAGE_CONTROL ? head->control_len : ABI_MESSAGE_CONTROL;
	size_t room = msg->msg_control ? msg->msg_controllen : 0;
	size_t used = 0;
	int cut = 0;

	for (uint32_t at = 0; at + sizeof(struct cmsghdr) <= whole && !cut;) {
		struct cmsghdr c;
		size_t len, space;

		memcpy(&c, head->control + at, sizeof(c));
		len = c.cmsg_len;
		space = CMSG_ALIGN(len);
		if (len < sizeof(c) || space > whole - at)
			break;
		if (room - used < len)
			cut = MSG_CTRUNC;
		if (room - used < sizeof(c))
			break;
		len = len < room - used ? len : room - used;
		c.cmsg_len = len;
		memcpy((char *)msg->msg_control + used, head->control + at, len);
		memcpy((char *)msg->msg_control + used, &c, sizeof(c));
		used += space < room - used ? space : room - used;
		at += (uint32_t)space;
	}
	msg->msg_controllen = used;
	return cut;
}

/* The kernel's answer when there is nothing more to come. */
static ssize_t over(const struct sock *s, int error)
{
	if (error && error != ECONNRESET)
		return -error;
	if (__atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_SHUT_RD)
		return 0;
	return -ENETDOWN;
}

/* What came without a head, `n` bytes of it, because the socket went native while we waited: text
 * that begins where the head should be. */
static ssize_t unhead(const struct msghdr *msg, const struct abi_message *head, size_t n)
{
	size_t first = n < HEAD ? n : HEAD;
	size_t room;
	uint8_t *text;
	struct cursor c = cursor_at(msg->msg_iov, (int)msg->msg_iovlen, 0);

	if (n <= HEAD) {
		copy_out(&c, (const uint8_t *)head, n);
		return (ssize_t)n;
	}
	iov_check(msg->msg_iov, msg->msg_iovlen, &room);
	n = n < HEAD + room ? n : HEAD + room;
	text = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED)
		return -ENOMEM;
	memcpy(text, head, first);
	copy_in(text + first, n - first, &c);
	c = cursor_at(msg->msg_iov, (int)msg->msg_iovlen, 0);
	copy_out(&c, text, n);
	munmap(text, n);
	return (ssize_t)n;
}

/* One that has a head. The text is in the program's vector already. */
static ssize_t headed(const struct abi_message *head, struct msghdr *msg, size_t n, size_t room,
		      int kernel_flags, int flags)
{
	size_t len = n - HEAD;

	give_name(head, msg);
	msg->msg_flags = (int)head->flags | (len > room ? MSG_TRUNC : kernel_flags & MSG_TRUNC) |
			 give_control(head, msg) | (flags & MSG_CMSG_CLOEXEC);
	return (ssize_t)(flags & MSG_TRUNC || len < room ? len : room);
}

static ssize_t receive_headed(int fd, const struct sock *s, struct msghdr *msg, size_t room,
			      int flags)
{
	struct iovec parts[msg->msg_iovlen + 1];
	struct joined j = {.iov = parts};
	struct abi_message head;
	ssize_t n;
	int r;

	for (;;) {
		struct msghdr whole = {.msg_iov = parts};

		if (!join(&j, &head, msg))
			return -ENOMEM;
		whole.msg_iovlen = j.n;
		n = pass_recvmsg(fd, &whole, (flags & MSG_KEPT) | MSG_TRUNC);
		r = n < 0 ? errno : 0;
		if (j.merged && n > 0) {
			struct cursor c = cursor_at(msg->msg_iov + msg->msg_iovlen - 2, 2, 0);

			copy_out(&c, j.merged, j.iov[j.n - 1].iov_len);
		}
		part(&j);
		if (n <= 0 && !(n == 0 && sock_is_native(s)))
			return over(s, r);
		if ((size_t)n < HEAD ||
		    memcmp(head.cookie, s->rec->cookie, sizeof(head.cookie)) != 0) {
			msg->msg_controllen = msg->msg_namelen = 0;
			msg->msg_flags = 0;
			return unhead(msg, &head, (size_t)n);
		}
		if (head.kind == MESSAGE_DATA) {
			if (__atomic_load_n(&s->rec->rung, __ATOMIC_RELAXED))
				message_forget_error(fd, s);
			return headed(&head, msg, (size_t)n, room, whole.msg_flags, flags);
		}
		r = message_error_told(fd, s, flags);
		if (r < 0)
			return r;
	}
}

/* A native socket: whose the text is, and whether it is an error that has none, the server knows.
 */
static ssize_t receive_bare(int fd, const struct sock *s, struct msghdr *msg, size_t room,
			    int flags)
{
	for (;;) {
		struct abi_message head;
		struct request r = {.op = OP_MESSAGE_NAME,
				    .record = s->index,
				    .generation = s->generation,
				    .out = &head,
				    .out_len = HEAD};
		struct msghdr bare = {.msg_iov = msg->msg_iov, .msg_iovlen = msg->msg_iovlen};
		uint64_t signals;
		char first;
		ssize_t n;
		int e;

		/* Before the sleep: errors are to end it. */
		__atomic_store_n(&s->rec->accepted, 1, __ATOMIC_SEQ_CST);
		e = message_take_error(fd, s);
		if (e < 0)
			return e;
		n = libc.recv(fd, &first, 1, MSG_PEEK | (flags & MSG_DONTWAIT));
		if (n < 0)
			return over(s, errno);
		sigmask_block(&signals);
		e = lock_take(&s->rec->rlock);
		if (e < 0) {
			sigmask_restore(&signals);
			return e;
		}
		e = ctl_call(&r);
		n = e < 0 ? e
			  : pass_recvmsg(fd, &bare, (flags & MSG_KEPT) | MSG_TRUNC | MSG_DONTWAIT);
		if (e == 0 && n < 0)
			n = -errno;
		lock_drop(&s->rec->rlock);
		sigmask_restore(&signals);
		if (n >= 0 && head.kind == MESSAGE_DATA)
			return headed(&head, msg, (size_t)n + HEAD, room, bare.msg_flags, flags);
		if (n >= 0) {
			e = message_error_told(fd, s, flags);
			if (e < 0)
				return e;
			continue;
		}
		if (n != -EAGAIN)
			return over(s, (int)-n);
		if (__atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_SHUT_RD)
			return 0;
		if (flags & MSG_DONTWAIT || fd_nonblocking(fd))
			return -EAGAIN;
	}
}

/* MSG_ERRQUEUE: never waits. */
static ssize_t receive_error(int fd, const struct sock *s, struct msghdr *msg, size_t room)
{
	struct {
		struct abi_message head;
		uint8_t text[sizeof(((struct call *)0)->data) - HEAD];
	} error;
	struct request r = {.op = OP_MESSAGE_ERROR,
			    .record = s->index,
			    .generation = s->generation,
			    .out = &error,
			    .out_len = sizeof(error)};
	struct cursor c = cursor_at(msg->msg_iov, (int)msg->msg_iovlen, 0);
	ssize_t n = ctl_call(&r);
	size_t len;

	if (n < 0)
		return n;
	if (r.out_len < HEAD)
		return -EAGAIN;
	len = r.out_len - HEAD;
	copy_out(&c, error.text, len < room ? len : room);
	/* Linux: the pending error is the next one's, or none; then nothing is to be read either.
	 */
	sock_take_error(s);
	message_forget_error(fd, s);
	return headed(&error.head, msg, r.out_len, room, 0, 0);
}

/** recvmsg() of one datagram. */
ssize_t message_recvmsg(int fd, const struct sock *s, struct msghdr *msg, int flags)
{
	size_t room;
	int r;

	if (bad_pointer(msg))
		return -EFAULT;
	if (msg->msg_iovlen > IOV_MOST)
		return -EMSGSIZE;
	if (msg->msg_name && (int)msg->msg_namelen < 0)
		return -EINVAL;
	r = iov_check(msg->msg_iov, msg->msg_iovlen, &room);
	if (r < 0)
		return r;
	if (msg->msg_name && msg->msg_namelen > 0 && bad_pointer(msg->msg_name))
		return -EFAULT;
	if (flags & MSG_OOB)
		return s->rec->family == AF_PACKET ? -EINVAL : -EOPNOTSUPP;
	/* What comes is in the ring. */
	if (s->rec->ring_size)
		return -EAGAIN;
	if (flags & MSG_ERRQUEUE)
		return receive_error(fd, s, msg, room);
	pthread_testcancel();
	return sock_is_native(s) ? receive_bare(fd, s, msg, room, flags)
				 : receive_headed(fd, s, msg, room, flags);
}

/** FIONREAD: the next datagram's text. */
int message_waiting(int fd, const struct sock *s)
{
	long n = raw(SYS_recvfrom, fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT, NULL);

	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	if (sock_is_native(s))
		return (int)n;
	return n > (long)HEAD ? (int)(n - (long)HEAD) : 0;
}

/** shutdown(): the server says whether there is a peer; the kernel's queues show it. */
int message_shutdown(int fd, const struct sock *s, int how)
{
	int r = ctl_simple(s, OP_SHUTDOWN, how, 0);
	int done = r == 0 || r == -ENOTCONN ? (int)raw(SYS_shutdown, fd, how) : 0;

	return r < 0 ? r : done;
}

/* ---- to native mode ---- */

/* What nobody has read goes back, in order, to come again without heads. */
static void give_back(int fd, const struct sock *s, struct abi_message *buf)
{
	for (;;) {
		long n = raw(SYS_recvfrom, fd, buf, WHOLE, MSG_DONTWAIT, NULL, NULL);

		/* Of a ring's socket: the server sends another. */
		if (n == 1 && s->rec->ring_size) {
			__atomic_store_n(&s->rec->rung, 0, __ATOMIC_SEQ_CST);
			continue;
		}
		if (n < (long)HEAD)
			return;
		if (buf->kind != MESSAGE_DATA)
			continue;
		memcpy(buf->cookie, s->rec->cookie, sizeof(buf->cookie));
		buf->kind = MESSAGE_RETURNED;
		raw(SYS_sendto, fd, buf, n, MSG_NOSIGNAL, NULL, 0);
	}
}

/** With the readers' lock held: the server holds back what arrives meanwhile. */
int message_switch_over(int fd, const struct sock *s)
{
	void *buf = mmap(NULL, WHOLE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (buf == MAP_FAILED)
		return -ENOMEM;
	r = ctl_simple(s, OP_MESSAGE_HOLD, 0, 0);
	if (r == 0) {
		give_back(fd, s, buf);
		r = ctl_simple(s, OP_NATIVE, 0, 0);
	}
	munmap(buf, WHOLE);
	return r;
}
