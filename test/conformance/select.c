/* select() and pselect(). */
#include "net.h"

#include <sys/select.h>

static volatile sig_atomic_t caught;

static void note(int sig)
{
	(void)sig;
	caught++;
}

struct sets {
	fd_set r, w, x;
};

static struct sets of(int fd)
{
	struct sets s;

	FD_ZERO(&s.r);
	FD_ZERO(&s.w);
	FD_ZERO(&s.x);
	FD_SET(fd, &s.r);
	FD_SET(fd, &s.w);
	FD_SET(fd, &s.x);
	return s;
}

static int select_now(int fd, struct sets *s)
{
	struct timeval none = {0};

	*s = of(fd);
	return select(fd + 1, &s->r, &s->w, &s->x, &none);
}

CASE("a connection: writable; with text readable; at the end readable")
{
	struct pair p = tcp_pair();
	struct sets s;

	equal(select_now(p.server, &s), 1);
	check(FD_ISSET(p.server, &s.w) && !FD_ISSET(p.server, &s.r) && !FD_ISSET(p.server, &s.x));
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(select_now(p.server, &s), 2);
	check(FD_ISSET(p.server, &s.r) && FD_ISSET(p.server, &s.w));
	expect_text(p.server, "x");
	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	equal(select_now(p.server, &s), 2);
	check(FD_ISSET(p.server, &s.r));
	close_pair(p);
}

CASE("a listener: readable when a connection waits")
{
	struct sockaddr_in where;
	struct sets s;
	int listener = tcp_listener(&where, 1), client;

	equal(select_now(listener, &s), 0);
	client = tcp_dial(&where);
	wait_for(listener, POLLIN);
	equal(select_now(listener, &s), 1);
	check(FD_ISSET(listener, &s.r));
	must(close(client));
	must(close(listener));
}

CASE("a full send buffer: not writable")
{
	struct pair p = tcp_pair();
	struct sets s;

	fill(p.client);
	equal(select_now(p.client, &s), 0);
	close_pair(p);
}

CASE("a non-blocking connect(): writable when connected; refused: readable and writable")
{
	struct sockaddr_in good, bad;
	int listener = tcp_listener(&good, 1), holder = tcp_bound(&bad);

	for (int i = 0; i < 2; i++) {
		int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		struct sets s = of(fd);

		fails(connect_to(fd, i ? &bad : &good), EINPROGRESS);
		if (i)
			wait_for(fd, POLLERR);
		equal(select(fd + 1, &s.r, &s.w, &s.x, NULL), i ? 2 : 1);
		check(FD_ISSET(fd, &s.w) && !FD_ISSET(fd, &s.x));
		equal(FD_ISSET(fd, &s.r) != 0, i);
		equal(take_error(fd), i ? ECONNREFUSED : 0);
		must(close(fd));
	}
	must(close(listener));
	must(close(holder));
}

CASE("UDP refused: readable and writable, not exceptional")
{
	struct sockaddr_in where = here(0);
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0)),
	    holder = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct timeval long_time = {.tv_sec = 5};
	struct sets s = of(fd);

	must(bind_to(holder, &where));
	where = local_name(holder);
	must(close(holder));
	sleep_ms(20);
	must(connect_to(fd, &where));
	equal(send(fd, "x", 1, 0), 1);
	equal(select(fd + 1, &s.r, NULL, &s.x, &long_time), 1);
	check(FD_ISSET(fd, &s.r));
	equal(select_now(fd, &s), 2);
	check(FD_ISSET(fd, &s.r) && FD_ISSET(fd, &s.w));
	equal(take_error(fd), ECONNREFUSED);
	equal(select_now(fd, &s), 1);
	must(close(fd));
}

CASE("a reset connection: readable and writable, not exceptional")
{
	struct pair p = tcp_pair();
	struct sets s;

	reset_on_close(p.client);
	must(close(p.client));
	wait_for(p.server, POLLHUP);
	equal(select_now(p.server, &s), 2);
	check(FD_ISSET(p.server, &s.r) && FD_ISSET(p.server, &s.w) && !FD_ISSET(p.server, &s.x));
	must(close(p.server));
}

CASE("numbers up to FD_SETSIZE")
{
	struct pair p = tcp_pair();
	int high = must(fcntl(p.server, F_DUPFD_CLOEXEC, FD_SETSIZE - 1));
	struct sets s;

	equal(high, FD_SETSIZE - 1);
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(select_now(high, &s), 2);
	check(FD_ISSET(high, &s.r) && FD_ISSET(high, &s.w));
	must(close(high));
	close_pair(p);
}

CASE("a timeout: 0 after it, the sets empty, no time left")
{
	struct pair p = tcp_pair();
	struct timeval t = {.tv_usec = 50000};
	double begun = now_ms();
	fd_set r;

	FD_ZERO(&r);
	FD_SET(p.server, &r);
	equal(select(p.server + 1, &r, NULL, NULL, &t), 0);
	check(now_ms() - begun >= 49);
	check(!FD_ISSET(p.server, &r));
	equal(t.tv_sec, 0);
	equal(t.tv_usec, 0);
	close_pair(p);
}

CASE("text before the timeout: the time left is told")
{
	struct pair p = tcp_pair();
	struct timeval t = {.tv_sec = 10};
	fd_set r;

	FD_ZERO(&r);
	FD_SET(p.server, &r);
	send_text(p.client, "x");
	equal(select(p.server + 1, &r, NULL, NULL, &t), 1);
	check(t.tv_sec < 10 && t.tv_sec >= 3);
	close_pair(p);
}

CASE("a closed number: EBADF")
{
	struct timeval none = {0};
	int closed = must(dup(0));
	fd_set r;

	must(close(closed));
	FD_ZERO(&r);
	FD_SET(closed, &r);
	fails(select(closed + 1, &r, NULL, NULL, &none), EBADF);
}

CASE("no sets: a sleep")
{
	struct timeval t = {.tv_usec = 30000};
	double begun = now_ms();

	equal(select(0, NULL, NULL, NULL, &t), 0);
	check(now_ms() - begun >= 29);
}

static void *send_later(void *arg)
{
	sleep_ms(20);
	send_text(*(int *)arg, "x");
	return NULL;
}

CASE("select() wakes when text comes")
{
	struct pair p = tcp_pair();
	pthread_t t = start(send_later, &p.client);
	fd_set r;

	FD_ZERO(&r);
	FD_SET(p.server, &r);
	equal(select(p.server + 1, &r, NULL, NULL, NULL), 1);
	join(t);
	close_pair(p);
}

CASE("pselect() lets a blocked signal in, and only while it waits")
{
	struct sigaction a = {.sa_handler = note};
	struct pair p = tcp_pair();
	struct timespec t = {.tv_sec = 10};
	sigset_t usr1, old, during;
	fd_set r;

	must(sigaction(SIGUSR1, &a, NULL));
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &usr1, &old));
	caught = 0;
	must(kill(getpid(), SIGUSR1));
	during = old;
	FD_ZERO(&r);
	FD_SET(p.server, &r);
	fails(pselect(p.server + 1, &r, NULL, NULL, &t, &during), EINTR);
	equal(caught, 1);
	must(sigprocmask(SIG_SETMASK, &old, NULL));
	signal(SIGUSR1, SIG_DFL);
	close_pair(p);
}
