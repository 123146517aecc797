/* Errors of message sockets: so_error, and what waits in the error queue. The kernel has no way to
 * show one on an AF_UNIX socket that lives on, so a message without text, the token, makes it
 * readable, and poll.c and epoll.c put POLLERR in its place.
 *
 * In ring mode `rung` is 1 while a token lies in the socket or is on its way: who takes one sets it
 * to 0 before he looks at so_error; the server sets so_error, swaps `rung` to 1, and sends one if
 * it was 0. In native mode the server knows by itself what lies there. */
#include "ioth.h"

#include <sys/ioctl.h>

#define HEAD sizeof(struct abi_message)

static uint32_t queued(const struct sock *s)
{
	return __atomic_load_n(&s->rec->errors, __ATOMIC_ACQUIRE);
}

/** What Linux shows as POLLERR. */
bool message_has_error(const struct sock *s)
{
	return queued(s) > 0 || __atomic_load_n(&s->rec->so_error, __ATOMIC_SEQ_CST) != 0;
}

static bool token_is_next(int fd, const struct sock *s)
{
	struct abi_message head;
	struct request r = {.op = OP_MESSAGE_NAME,
			    .record = s->index,
			    .generation = s->generation,
			    .out = &head,
			    .out_len = HEAD};

	if (sock_is_native(s))
		/* cppcheck-suppress uninitvar ; ctl_call() fills it */
		return ctl_call(&r) == 0 && head.kind == MESSAGE_ERROR;
	return raw(SYS_recvfrom, fd, &head, HEAD, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) ==
		   (long)HEAD &&
	       memcmp(head.cookie, s->rec->cookie, sizeof(head.cookie)) == 0 &&
	       head.kind == MESSAGE_ERROR;
}

static void set_rung(const struct sock *s, uint32_t rung)
{
	if (s->rec->ring_size == 0)
		__atomic_store_n(&s->rec->rung, rung, __ATOMIC_SEQ_CST);
}

/** A token that nobody needs any more, as the errors were told another way; one that lies behind
 * text goes when that is read. (Somebody who reads at the same time may take it first; then we take
 * what is behind it, as a full queue would.) */
void message_forget_error(int fd, const struct sock *s)
{
	uint64_t signals;
	char scrap;

	if (message_has_error(s))
		return;
	sigmask_block(&signals);
	if (lock_take(&s->rec->rlock) < 0)
		goto restore;
	if (token_is_next(fd, s)) {
		set_rung(s, 0);
		if (message_has_error(s))
			set_rung(s, 1); /* the server may have counted on it */
		else
			raw(SYS_recvfrom, fd, &scrap, 1, MSG_DONTWAIT, NULL, NULL);
	}
	lock_drop(&s->rec->rlock);
restore:
	sigmask_restore(&signals);
}

/** so_error, 0 or negative, for a call that takes no message. */
int message_take_error(int fd, const struct sock *s)
{
	int e = sock_take_error(s);

	if (e < 0)
		message_forget_error(fd, s);
	return e;
}

/** The same for one that came upon the token, which is taken also where a peek found it. */
int message_error_told(int fd, const struct sock *s, int flags)
{
	char scrap;

	if (flags & MSG_PEEK)
		raw(SYS_recvfrom, fd, &scrap, sizeof(scrap), MSG_DONTWAIT, NULL, NULL);
	set_rung(s, 0);
	return sock_take_error(s);
}

/** The socket is readable and has an error: is there anything but the token? */
bool message_text_waits(int fd, const struct sock *s)
{
	int n = 0;

	/* Of all that lies there. */
	if (pass_ioctl(fd, FIONREAD, &n) < 0 || n != (sock_is_native(s) ? 0 : (int)HEAD))
		return true;
	return !token_is_next(fd, s);
}

/** Before a sleep that an error is to end: in native mode only who says that he knows of errors is
 * woken by one. */
void message_expect_error(const struct sock *s)
{
	if (sock_is_native(s))
		__atomic_store_n(&s->rec->accepted, 1, __ATOMIC_SEQ_CST);
}
