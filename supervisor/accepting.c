/* accept(). The kernel's, on our copy of the listener, but never asleep in it: the caller's
 * O_NONBLOCK is not ours to change, so it is asked whether somebody waits, and a clock ends the
 * sleep in accept() when somebody else was quicker.
 *
 * A caller whom a signal took away between accept() and the answer, or who has no number free,
 * would lose the connection. It is kept for who accepts next on that socket, and a connection of
 * our own takes its place in the queue, so that poll tells of it: accept() drops strangers. */
#include "supervisor.h"

#include <netinet/in.h>
#include <sys/un.h>
#include <sys/time.h>

#define MOST_UNTAKEN 64
#define PATIENCE_US  5000

struct untaken {
	struct sock listener;
	int fd;
	int stand_in; /* our end of what takes its place in the queue */
	socklen_t len;
	struct sockaddr_storage addr;
};

static struct untaken untaken[MOST_UNTAKEN];
static int untaken_count;

static bool same(const struct sock *a, const struct sock *b)
{
	return a->index == b->index && a->generation == b->generation;
}

static void drop(int i)
{
	if (untaken[i].stand_in >= 0)
		raw(SYS_close, untaken[i].stand_in);
	untaken[i] = untaken[--untaken_count];
}

static int stand_in(const struct sock *s)
{
	struct sockaddr_un un;
	socklen_t len = record_name(&un, s->index, s->generation);
	int fd = (int)raw(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	raw(SYS_connect, fd, &un, len);
	return fd;
}

static void keep(const struct notice *c, int fd, const struct sockaddr_storage *addr, socklen_t len)
{
	if (untaken_count == MOST_UNTAKEN) {
		raw(SYS_close, untaken[0].fd);
		drop(0);
	}
	untaken[untaken_count++] = (struct untaken){.listener = c->sock,
						    .fd = fd,
						    .stand_in = stand_in(&c->sock),
						    .len = len,
						    .addr = *addr};
}

static int take_kept(const struct notice *c, struct sockaddr_storage *addr, socklen_t *len)
{
	for (int i = 0; i < untaken_count; i++)
		if (same(&untaken[i].listener, &c->sock)) {
			int fd = untaken[i].fd;

			*addr = untaken[i].addr;
			*len = untaken[i].len;
			drop(i);
			return fd;
		}
	return -EAGAIN;
}

/* Those of listeners that are closed. */
void forget_untaken(void)
{
	for (int i = untaken_count - 1; i >= 0; i--) {
		const struct sock *s = &untaken[i].listener;

		if (__atomic_load_n(&s->rec->generation, __ATOMIC_ACQUIRE) == s->generation &&
		    __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_LISTENING)
			continue;
		raw(SYS_close, untaken[i].fd);
		drop(i);
	}
}

static bool somebody_waits(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* A connection, or a negative errno; -EAGAIN: there is none. */
static int next(struct notice *c, int flags, struct sockaddr_storage *addr, socklen_t *len)
{
	struct itimerval soon = {{0, PATIENCE_US}, {0, PATIENCE_US}}, before;
	int fd = take_kept(c, addr, len);

	if (fd >= 0)
		return fd;
	if (!somebody_waits(c->fd))
		return -EAGAIN;
	setitimer(ITIMER_REAL, &soon, &before);
	fd = sock_accept(c->fd, &c->sock, (struct sockaddr *)addr, len, flags | SOCK_CLOEXEC);
	setitimer(ITIMER_REAL, &before, NULL);
	return fd == -EINTR ? -EAGAIN : fd;
}

static long tell_name(const struct notice *c, const struct sockaddr_storage *addr, socklen_t len)
{
	socklen_t room = 0;

	if (c->arg[1] == 0)
		return 0;
	if (!target_read(c, &room, c->arg[2], sizeof(room)))
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	return target_write(c, c->arg[1], addr, len < room ? len : room) &&
		       target_write(c, c->arg[2], &len, sizeof(len))
		   ? 0
		   : -EFAULT;
}

long serve_accept(struct notice *c)
{
	int flags = c->nr == SYS_accept4 ? (int)c->arg[3] : 0;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	long r;
	int fd;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (sock_is_message(&c->sock))
		return -EOPNOTSUPP;
	if (__atomic_load_n(&c->sock.rec->state, __ATOMIC_ACQUIRE) != RECORD_LISTENING)
		return -EINVAL;
	fd = next(c, flags, &addr, &len);
	if (fd == -EAGAIN)
		return wait_for(c, EPOLLIN, SO_RCVTIMEO, -EAGAIN);
	if (fd < 0)
		return fd;
	fdtab_forget(fd);
	r = tell_name(c, &addr, len);
	if (r == 0)
		r = target_give(c, fd, flags & SOCK_CLOEXEC);
	/* It waits no more, or has no room: the connection is not lost. */
	if (r == -ENOENT || r == -EMFILE || r == -ENFILE) {
		keep(c, fd, &addr, len);
		return r;
	}
	raw(SYS_close, fd);
	return r;
}
