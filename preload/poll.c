/* poll() and ppoll(): the kernel's, but for errors of message sockets (message-error.c) and
 * listeners that were shut down. The token makes such a socket readable, and here is said why. Who
 * does not ask for POLLIN hears of an error that is there already, and is not woken by one that
 * comes. */
#include "ioth.h"

#include <limits.h>

/* Before the sleep. True: one is there already. */
static bool expect_errors(struct pollfd *fds, nfds_t n)
{
	bool pending = false;
	struct sock s;

	packet_settle();
	if (!ioth_attached() || n > INT_MAX || unreadable(fds, n * sizeof(*fds)))
		return false;
	for (nfds_t i = 0; i < n; i++)
		if (fdtab_find(fds[i].fd, &s) && sock_is_message(&s)) {
			message_expect_error(&s);
			pending |= message_has_error(&s);
		}
	return pending;
}

/* A listener that was shut down is as good as new, the AF_UNIX one is not. */
static bool listens_no_more(const struct sock *s)
{
	return __atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & FLAG_LISTENED;
}

static int correct(struct pollfd *fds, nfds_t n, int ready)
{
	const short in = POLLIN | POLLRDNORM;
	struct sock s;

	if (ready < 0 || !ioth_attached())
		return ready;
	for (nfds_t i = 0; i < n; i++) {
		if (!fdtab_find(fds[i].fd, &s))
			continue;
		if (!sock_is_message(&s)) {
			if (fds[i].revents & POLLHUP && listens_no_more(&s))
				fds[i].revents =
				    (short)(POLLHUP | (fds[i].events & (POLLOUT | POLLWRNORM)));
			continue;
		}
		if (!message_has_error(&s))
			continue;
		ready += fds[i].revents == 0;
		fds[i].revents |= POLLERR;
		if (fds[i].revents & in && !message_text_waits(fds[i].fd, &s))
			fds[i].revents &= (short)~in;
	}
	return ready;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	int saved = errno;
	bool pending = expect_errors(fds, n);

	errno = saved;
	return correct(fds, n, libc.poll(fds, n, pending ? 0 : timeout));
}
ALIAS(__poll, poll);

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	int saved = errno;
	bool pending = expect_errors(fds, n);

	errno = saved;
	return correct(fds, n, libc.__poll_chk(fds, n, pending ? 0 : timeout, room));
}

static const struct timespec at_once;

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int saved = errno;
	bool pending = expect_errors(fds, n);

	errno = saved;
	return correct(fds, n, libc.ppoll(fds, n, pending ? &at_once : timeout, mask));
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		       const sigset_t *mask, size_t room)
{
	int saved = errno;
	bool pending = expect_errors(fds, n);

	errno = saved;
	return correct(fds, n, libc.__ppoll_chk(fds, n, pending ? &at_once : timeout, mask, room));
}
