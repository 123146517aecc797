/* epoll: the kernel's, but for errors of message sockets, as in poll.c. An event says only what the
 * program gave with the descriptor; which one it was is remembered here. There are a few places,
 * each for many that it could be: of a descriptor that is not found an error is EPOLLIN. Who does
 * not ask for EPOLLIN hears of an error with another event. */
#include "ioth.h"

#define PLACES 1024 /* a power of two */

/* `lock` is odd while somebody writes. */
struct watched {
	uint32_t lock;
	int epoll, fd; /* epoll 0: nobody */
	uint32_t index, generation;
	uint64_t data;
};

static struct watched places[PLACES];
static bool any;

static struct watched *place(int epoll, uint64_t data)
{
	uint64_t hash = (data ^ (uint64_t)(unsigned int)epoll << 20) * 0x9e3779b97f4a7c15u;

	return &places[hash >> 32 & (PLACES - 1)];
}

static void put(struct watched *at, int epoll, int fd, const struct sock *s, uint64_t data)
{
	uint32_t lock = __atomic_load_n(&at->lock, __ATOMIC_RELAXED);

	if (lock & 1 || !__atomic_compare_exchange_n(&at->lock, &lock, lock + 1, false,
						     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&at->epoll, epoll, __ATOMIC_RELAXED);
	__atomic_store_n(&at->fd, fd, __ATOMIC_RELAXED);
	__atomic_store_n(&at->index, s->index, __ATOMIC_RELAXED);
	__atomic_store_n(&at->generation, s->generation, __ATOMIC_RELAXED);
	__atomic_store_n(&at->data, data, __ATOMIC_RELAXED);
	__atomic_store_n(&at->lock, lock + 2, __ATOMIC_RELEASE);
}

/* The message socket behind an event, into *s: its descriptor, or -1. */
static int find(int epoll, uint64_t data, struct sock *s)
{
	const struct watched *at = place(epoll, data);
	uint32_t before = __atomic_load_n(&at->lock, __ATOMIC_ACQUIRE);
	int whose = __atomic_load_n(&at->epoll, __ATOMIC_RELAXED);
	int fd = __atomic_load_n(&at->fd, __ATOMIC_RELAXED);
	uint32_t index = __atomic_load_n(&at->index, __ATOMIC_RELAXED);
	uint32_t generation = __atomic_load_n(&at->generation, __ATOMIC_RELAXED);
	bool same = __atomic_load_n(&at->data, __ATOMIC_RELAXED) == data && whose == epoll;

	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with put()'s releases */
	if (before & 1 || !same || __atomic_load_n(&at->lock, __ATOMIC_RELAXED) != before)
		return -1;
	return fdtab_find(fd, s) && s->index == index && s->generation == generation ? fd : -1;
}

static void forget(int epoll, int fd)
{
	const struct sock none = {0};

	for (size_t i = 0; i < PLACES; i++)
		if (__atomic_load_n(&places[i].fd, __ATOMIC_RELAXED) == fd &&
		    __atomic_load_n(&places[i].epoll, __ATOMIC_RELAXED) == epoll)
			put(&places[i], 0, 0, &none, 0);
}

static void remember(int epoll, int op, int fd, const struct epoll_event *event)
{
	struct sock s;

	if (!fdtab_find(fd, &s) || !sock_is_message(&s))
		return;
	if (op != EPOLL_CTL_ADD)
		forget(epoll, fd);
	if (op == EPOLL_CTL_DEL || unreadable(event, sizeof(*event)))
		return;
	__atomic_store_n(&any, true, __ATOMIC_RELAXED);
	put(place(epoll, event->data.u64), epoll, fd, &s, event->data.u64);
	message_expect_error(&s);
}

EXPORT int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	int saved = errno;

	/* Before: the event may come at once, to another thread. */
	if (ioth_attached())
		remember(epoll, op, fd, event);
	errno = saved;
	return libc.epoll_ctl(epoll, op, fd, event);
}

static void show_errors(int epoll, struct epoll_event *events, int n)
{
	const uint32_t in = EPOLLIN | EPOLLRDNORM;
	int saved = errno;
	struct sock s;

	for (int i = 0; i < n; i++) {
		int fd = find(epoll, events[i].data.u64, &s);

		if (fd < 0 || !message_has_error(&s))
			continue;
		events[i].events |= EPOLLERR;
		if (events[i].events & in && !message_text_waits(fd, &s))
			events[i].events &= ~in;
	}
	errno = saved;
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	int n;

	packet_settle();
	n = libc.epoll_wait(epoll, events, most, timeout);
	if (n > 0 && __atomic_load_n(&any, __ATOMIC_RELAXED))
		show_errors(epoll, events, n);
	return n;
}

EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout,
		       const sigset_t *mask)
{
	int n;

	packet_settle();
	n = libc.epoll_pwait(epoll, events, most, timeout, mask);
	if (n > 0 && __atomic_load_n(&any, __ATOMIC_RELAXED))
		show_errors(epoll, events, n);
	return n;
}

EXPORT int epoll_pwait2(int epoll, struct epoll_event *events, int most,
			const struct timespec *timeout, const sigset_t *mask)
{
	int n;

	packet_settle();
	n = libc.epoll_pwait2(epoll, events, most, timeout, mask);
	if (n > 0 && __atomic_load_n(&any, __ATOMIC_RELAXED))
		show_errors(epoll, events, n);
	return n;
}
