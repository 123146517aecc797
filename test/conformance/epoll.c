/* epoll: level, edge, one-shot, exclusive; registered at any time of a socket's life. */
#include "net.h"

#include <sys/epoll.h>

static volatile sig_atomic_t caught;

static void note(int sig)
{
	(void)sig;
	caught++;
}

static int control(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	return epoll_ctl(ep, op, fd, &e);
}

static int watching(int fd, uint32_t events)
{
	int ep = must(epoll_create1(EPOLL_CLOEXEC));

	must(control(ep, EPOLL_CTL_ADD, fd, events));
	return ep;
}

/* The events of one round, 0 if none comes in time; they must be fd's. */
static uint32_t next_event(int ep, int fd, int timeout_ms)
{
	struct epoll_event e[2];
	int n = must(epoll_wait(ep, e, 2, timeout_ms));

	check(n <= 1);
	if (n == 0)
		return 0;
	equal(e[0].data.fd, fd);
	return e[0].events;
}

/* Long enough for what must not come. */
#define QUIET_MS 40

CASE("level: told again and again until the text is read")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN);

	equal(next_event(ep, p.server, 0), 0);
	send_text(p.client, "xy");
	for (int i = 0; i < 3; i++)
		equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "x");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "y");
	equal(next_event(ep, p.server, 0), 0);
	must(close(ep));
	close_pair(p);
}

CASE("edge: told once for each text that comes")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLET);

	for (int i = 0; i < 20; i++) {
		send_text(p.client, "x");
		equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
		equal(next_event(ep, p.server, i ? 0 : QUIET_MS), 0);
		expect_text(p.server, "x");
	}
	equal(next_event(ep, p.server, QUIET_MS), 0);
	must(close(ep));
	close_pair(p);
}

CASE("edge: reading a part gives no new event, text that comes after it does")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLET);

	send_text(p.client, "abcdef");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "ab");
	equal(next_event(ep, p.server, QUIET_MS), 0);
	send_text(p.client, "ghi");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "cdefghi");
	must(close(ep));
	close_pair(p);
}

CASE("edge: new text gives a new event though the old is unread")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLET);

	send_text(p.client, "1");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	send_text(p.client, "2");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "12");
	must(close(ep));
	close_pair(p);
}

CASE("edge: a loop that reads until a short read misses nothing")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLET);
	size_t total = 4 << 20, done = 0;
	static char buf[16384];
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(p.client, total, 3001);
		_exit(0);
	}
	set_nonblock(p.server, true);
	while (done < total) {
		ssize_t n;

		check(next_event(ep, p.server, LONG_MS) & EPOLLIN);
		do {
			n = recv(p.server, buf, sizeof(buf), 0);
			if (n == -1) {
				check(errno == EAGAIN);
				break;
			}
			pattern_check(buf, n, done);
			done += n;
		} while (n == sizeof(buf));
	}
	reap(pid);
	must(close(ep));
	close_pair(p);
}

CASE("edge: EPOLLOUT when there is room again")
{
	struct pair p = tcp_pair();
	int ep = watching(p.client, EPOLLOUT | EPOLLET);
	size_t sent;
	char byte;

	equal(next_event(ep, p.client, LONG_MS), EPOLLOUT);
	set_nonblock(p.client, true);
	for (int i = 0; i < 3; i++) {
		sent = fill(p.client);
		/* The peer may still make room, more slowly than fill() waits. */
		do {
			while (next_event(ep, p.client, 0))
				;
			pattern_fill(&byte, 1, sent);
		} while (send(p.client, &byte, 1, MSG_NOSIGNAL) == 1 && ++sent);
		equal(errno, EAGAIN);
		pattern_expect(p.server, sent, 65536);
		check(next_event(ep, p.client, LONG_MS) & EPOLLOUT);
		check(poll_mask(p.client, POLLOUT, 0) & POLLOUT);
	}
	must(close(ep));
	close_pair(p);
}

CASE("edge: a writer that waits only for EPOLLOUT gets 16 MB through")
{
	struct pair p = tcp_pair();
	int ep = watching(p.client, EPOLLOUT | EPOLLET);
	size_t total = 16 << 20, done = 0;
	static char block[50000];
	pid_t pid = child();

	if (pid == 0) {
		pattern_expect(p.server, total, 65536);
		_exit(0);
	}
	set_nonblock(p.client, true);
	while (done < total) {
		size_t want = total - done < sizeof(block) ? total - done : sizeof(block);
		ssize_t n;

		pattern_fill(block, want, done);
		n = send(p.client, block, want, MSG_NOSIGNAL);
		if (n >= 0) {
			done += n;
			continue;
		}
		check(errno == EAGAIN);
		check(next_event(ep, p.client, LONG_MS) & EPOLLOUT);
	}
	reap(pid);
	must(close(ep));
	close_pair(p);
}

CASE("edge, EPOLLIN and EPOLLOUT: at most 4 events for each request and answer")
{
	enum { ROUNDS = 500 };
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP), events = 0;
	char c;
	pid_t pid = child();

	if (pid == 0) {
		for (int i = 0; i < ROUNDS; i++) {
			send_text(p.client, "question");
			expect_text(p.client, "answer");
		}
		_exit(0);
	}
	must(close(p.client));
	set_nonblock(p.server, true);
	for (int rounds = 0, got = 0; rounds < ROUNDS;) {
		check(next_event(ep, p.server, LONG_MS));
		events++;
		while (recv(p.server, &c, 1, 0) == 1)
			got++;
		for (; got >= 8; got -= 8, rounds++)
			send_text(p.server, "answer");
	}
	reap(pid);
	check(events <= 4 * ROUNDS);
	must(close(ep));
	must(close(p.server));
}

CASE("one-shot: one event, the next after EPOLL_CTL_MOD")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLONESHOT);

	send_text(p.client, "x");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	send_text(p.client, "y");
	equal(next_event(ep, p.server, QUIET_MS), 0);
	must(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT));
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "xy");
	must(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT));
	equal(next_event(ep, p.server, QUIET_MS), 0);
	send_text(p.client, "z");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	must(close(ep));
	close_pair(p);
}

CASE("EPOLL_CTL_MOD of an edge tells again what is so")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLET);

	send_text(p.client, "x");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	equal(next_event(ep, p.server, QUIET_MS), 0);
	must(control(ep, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLET));
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	must(control(ep, EPOLL_CTL_MOD, p.server, EPOLLOUT | EPOLLET));
	equal(next_event(ep, p.server, LONG_MS), EPOLLOUT);
	must(close(ep));
	close_pair(p);
}

CASE("EEXIST, ENOENT, EBADF, EINVAL")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN), closed = must(dup(0));

	must(close(closed));
	fails(control(ep, EPOLL_CTL_ADD, p.server, EPOLLIN), EEXIST);
	fails(control(ep, EPOLL_CTL_MOD, p.client, EPOLLIN), ENOENT);
	fails(control(ep, EPOLL_CTL_DEL, p.client, 0), ENOENT);
	fails(control(ep, EPOLL_CTL_ADD, closed, EPOLLIN), EBADF);
	fails(control(p.client, EPOLL_CTL_ADD, p.server, EPOLLIN), EINVAL);
	must(control(ep, EPOLL_CTL_DEL, p.server, 0));
	send_text(p.client, "x");
	equal(next_event(ep, p.server, QUIET_MS), 0);
	must(close(ep));
	close_pair(p);
}

CASE("close() takes a socket out; a copy keeps it in")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN), copy = must(dup(p.server));

	must(close(p.server));
	send_text(p.client, "x");
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
	must(close(copy));
	equal(next_event(ep, p.server, 0), 0);
	must(close(ep));
	must(close(p.client));
}

CASE("a fresh socket: EPOLLOUT and EPOLLHUP at once")
{
	int fd = tcp(), ep = watching(fd, EPOLLIN | EPOLLOUT | EPOLLET);

	equal(next_event(ep, fd, 0), EPOLLOUT | EPOLLHUP);
	equal(next_event(ep, fd, 0), 0);
	must(close(ep));
	must(close(fd));
}

CASE("registered before connect(), edge: EPOLLOUT when connected, then text as usual")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), server;
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int ep = watching(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);

	equal(next_event(ep, fd, 0), EPOLLOUT | EPOLLHUP);
	fails(connect_to(fd, &where), EINPROGRESS);
	equal(next_event(ep, fd, LONG_MS), EPOLLOUT);
	equal(take_error(fd), 0);
	server = tcp_accept(listener);
	send_text(server, "x");
	check(next_event(ep, fd, LONG_MS) & EPOLLIN);
	expect_text(fd, "x");
	must(close(server));
	check(next_event(ep, fd, LONG_MS) & EPOLLRDHUP);
	must(close(ep));
	must(close(fd));
	must(close(listener));
}

CASE("a non-blocking connect() over loopback is done when it returns: both ends show at once")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 8);
	int ep = must(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[4];

	must(epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e));
	for (int i = 0; i < 20; i++) {
		int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), server;

		fails(connect_to(fd, &where), EINPROGRESS);
		e = (struct epoll_event){.events = EPOLLOUT, .data.fd = fd};
		must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
		equal(epoll_wait(ep, events, 4, 0), 2);
		equal(take_error(fd), 0);
		server = tcp_accept(listener);
		equal(send(fd, "x", 1, 0), 1);
		expect_text(server, "x");
		must(close(fd));
		must(close(server));
	}
	must(close(ep));
	must(close(listener));
}

CASE("registered before connect(), refused: EPOLLIN EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDHUP")
{
	struct sockaddr_in where;
	int holder = tcp_bound(&where);
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int ep = watching(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);

	next_event(ep, fd, 0);
	fails(connect_to(fd, &where), EINPROGRESS);
	equal(next_event(ep, fd, LONG_MS), EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
	equal(take_error(fd), ECONNREFUSED);
	must(close(ep));
	must(close(fd));
	must(close(holder));
}

static int refused_udp(void)
{
	struct sockaddr_in where = here(0);
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0)),
	    holder = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(bind_to(holder, &where));
	where = local_name(holder);
	must(close(holder));
	sleep_ms(500);
	must(connect_to(fd, &where));
	return fd;
}

CASE("UDP refused, level: EPOLLERR without EPOLLIN again and again, until it is told")
{
	int fd = refused_udp();
	int ep = watching(fd, EPOLLIN);

	for (int i = 0; i < 2; i++) {
		equal(next_event(ep, fd, 0), 0);
		equal(send(fd, "x", 1, 0), 1);
		for (int j = 0; j < 3; j++)
			equal(next_event(ep, fd, LONG_MS), EPOLLERR);
		equal(take_error(fd), ECONNREFUSED);
		equal(next_event(ep, fd, QUIET_MS), 0);
	}
	must(close(ep));
	must(close(fd));
}

CASE("UDP refused, edge: EPOLLERR and EPOLLOUT once; registered late: at once")
{
	int fd = refused_udp();
	int ep = watching(fd, EPOLLIN | EPOLLOUT | EPOLLET), late;

	equal(next_event(ep, fd, 0), EPOLLOUT);
	for (int i = 0; i < 2; i++) {
		uint32_t seen = 0;

		equal(send(fd, "x", 1, 0), 1);
		/* The datagram taken up is an edge, too. */
		for (int j = 0; j < 3 && !(seen & EPOLLERR); j++)
			seen = next_event(ep, fd, LONG_MS);
		equal(seen, EPOLLERR | EPOLLOUT);
		equal(next_event(ep, fd, QUIET_MS), 0);
		late = watching(fd, EPOLLIN);
		equal(next_event(late, fd, 0), EPOLLERR);
		must(control(late, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
		equal(next_event(late, fd, 0), EPOLLERR);
		equal(next_event(late, fd, 0), 0);
		must(close(late));
		equal(take_error(fd), ECONNREFUSED);
	}
	must(close(ep));
	must(close(fd));
}

CASE("UDP refused: EPOLLIN or EPOLLERR wakes who waits, and SO_ERROR tells it")
{
	int fd = refused_udp();
	int ep = watching(fd, EPOLLIN);

	for (int i = 0; i < 3; i++) {
		equal(send(fd, "x", 1, 0), 1);
		check(next_event(ep, fd, LONG_MS) & (EPOLLIN | EPOLLERR));
		equal(take_error(fd), ECONNREFUSED);
	}
	must(close(ep));
	must(close(fd));
}

CASE("registered before a blocking connect(): text as usual")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = tcp(), ep = watching(fd, EPOLLIN), server;

	must(connect_to(fd, &where));
	server = tcp_accept(listener);
	equal(next_event(ep, fd, 0), 0);
	send_text(server, "x");
	equal(next_event(ep, fd, LONG_MS), EPOLLIN);
	must(close(ep));
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("registered before listen(): EPOLLIN when a connection comes")
{
	struct sockaddr_in where;
	int fd = tcp_bound(&where), ep = watching(fd, EPOLLIN | EPOLLET), client;

	equal(next_event(ep, fd, 0), EPOLLHUP);
	must(listen(fd, 4));
	equal(next_event(ep, fd, 0), 0);
	client = tcp_dial(&where);
	equal(next_event(ep, fd, LONG_MS), EPOLLIN);
	must(close(tcp_accept(fd)));
	must(close(client));
	must(close(ep));
	must(close(fd));
}

CASE("a listener, edge: a loop that accepts until EAGAIN gets every connection")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 50), client[50], accepted = 0;
	int ep = watching(listener, EPOLLIN | EPOLLET);

	set_nonblock(listener, true);
	for (int i = 0; i < 50; i++)
		client[i] = tcp_dial(&where);
	while (accepted < 50) {
		int fd;

		equal(next_event(ep, listener, LONG_MS), EPOLLIN);
		while ((fd = accept(listener, NULL, NULL)) != -1) {
			accepted++;
			must(close(fd));
		}
		check(errno == EAGAIN);
	}
	for (int i = 0; i < 50; i++)
		must(close(client[i]));
	must(close(ep));
	must(close(listener));
}

CASE("the peer's FIN: EPOLLIN and EPOLLRDHUP, one edge")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLRDHUP | EPOLLET);

	must(shutdown(p.client, SHUT_WR));
	equal(next_event(ep, p.server, LONG_MS), EPOLLIN | EPOLLRDHUP);
	expect_eof(p.server);
	equal(next_event(ep, p.server, QUIET_MS), 0);
	must(close(ep));
	close_pair(p);
}

CASE("text and FIN: both are told, and both are read")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLRDHUP | EPOLLET);
	uint32_t seen = 0;

	send_text(p.client, "last");
	must(shutdown(p.client, SHUT_WR));
	while (!(seen & EPOLLRDHUP))
		seen |= next_event(ep, p.server, LONG_MS);
	expect_text(p.server, "last");
	expect_eof(p.server);
	must(close(ep));
	close_pair(p);
}

CASE("a reset: EPOLLHUP, though nothing was asked for")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, 0);

	reset_on_close(p.client);
	must(close(p.client));
	check(next_event(ep, p.server, LONG_MS) & EPOLLHUP);
	must(close(ep));
	must(close(p.server));
}

CASE("one socket in two epolls: both are told")
{
	struct pair p = tcp_pair();
	int a = watching(p.server, EPOLLIN), b = watching(p.server, EPOLLIN | EPOLLET);

	send_text(p.client, "x");
	equal(next_event(a, p.server, LONG_MS), EPOLLIN);
	equal(next_event(b, p.server, LONG_MS), EPOLLIN);
	expect_text(p.server, "x");
	equal(next_event(a, p.server, 0), 0);
	must(close(a));
	must(close(b));
	close_pair(p);
}

CASE("an epoll in an epoll")
{
	struct pair p = tcp_pair();
	int inner = watching(p.server, EPOLLIN), outer = watching(inner, EPOLLIN);

	equal(next_event(outer, inner, 0), 0);
	send_text(p.client, "x");
	equal(next_event(outer, inner, LONG_MS), EPOLLIN);
	equal(next_event(inner, p.server, LONG_MS), EPOLLIN);
	must(close(outer));
	must(close(inner));
	close_pair(p);
}

struct server {
	int listener, fd;
	_Atomic bool *stop;
	_Atomic int *accepted;
};

static void *accept_exclusively(void *arg)
{
	struct server *s = arg;
	int ep = watching(s->listener, EPOLLIN | EPOLLEXCLUSIVE);

	while (!*s->stop) {
		if (!next_event(ep, s->listener, 20))
			continue;
		s->fd = accept(s->listener, NULL, NULL);
		if (s->fd == -1) {
			check(errno == EAGAIN);
			continue;
		}
		++*s->accepted;
		must(close(s->fd));
	}
	must(close(ep));
	return NULL;
}

CASE("EPOLLEXCLUSIVE: 4 threads share a listener, every connection is accepted once")
{
	struct sockaddr_in where;
	_Atomic bool stop = false;
	_Atomic int accepted = 0;
	struct server s[4];
	pthread_t t[4];
	int listener = tcp_listener(&where, 100);

	set_nonblock(listener, true);
	for (int i = 0; i < 4; i++) {
		s[i] = (struct server){listener, -1, &stop, &accepted};
		t[i] = start(accept_exclusively, &s[i]);
	}
	for (int i = 0; i < 100; i++) {
		int client = tcp_dial(&where);

		expect_eof(client);
		must(close(client));
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		join(t[i]);
	equal(accepted, 100);
	must(close(listener));
}

CASE("300 connections: each event is the right one's")
{
	struct pair p[300];
	int ep = must(epoll_create1(EPOLL_CLOEXEC)), told = 0;
	static bool seen[300];
	struct epoll_event e[64];

	for (int i = 0; i < 300; i++) {
		struct epoll_event add = {.events = EPOLLIN | EPOLLET, .data.u32 = i};

		p[i] = tcp_pair();
		must(epoll_ctl(ep, EPOLL_CTL_ADD, p[i].server, &add));
	}
	for (int i = 0; i < 300; i += 3)
		send_all(p[i].client, &i, sizeof(i));
	while (told < 100) {
		int n = must(epoll_wait(ep, e, 64, LONG_MS));

		check(n > 0);
		for (int k = 0; k < n; k++) {
			int number, from = e[k].data.u32;

			equal(recv_all(p[from].server, &number, sizeof(number)), sizeof(number));
			equal(number, from);
			check(!seen[from]);
			seen[from] = true;
			told++;
		}
	}
	for (int i = 0; i < 300; i++)
		close_pair(p[i]);
	must(close(ep));
}

CASE("an epoll made before fork() works in the child")
{
	struct pair p = tcp_pair();
	int ep = watching(p.server, EPOLLIN | EPOLLET);
	pid_t pid = child();

	if (pid == 0) {
		equal(next_event(ep, p.server, LONG_MS), EPOLLIN);
		expect_text(p.server, "child");
		_exit(0);
	}
	send_text(p.client, "child");
	reap(pid);
	must(close(ep));
	close_pair(p);
}

CASE("epoll_wait() with a timeout, and epoll_pwait() that lets a blocked signal in")
{
	struct sigaction a = {.sa_handler = note};
	struct pair p = tcp_pair();
	struct epoll_event e;
	int ep = watching(p.server, EPOLLIN);
	double begun = now_ms();
	sigset_t usr1, old;

	equal(epoll_wait(ep, &e, 1, 50), 0);
	check(now_ms() - begun >= 49);
	must(sigaction(SIGUSR1, &a, NULL));
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &usr1, &old));
	caught = 0;
	must(kill(getpid(), SIGUSR1));
	fails(epoll_pwait(ep, &e, 1, LONG_MS, &old), EINTR);
	equal(caught, 1);
	must(sigprocmask(SIG_SETMASK, &old, NULL));
	signal(SIGUSR1, SIG_DFL);
	must(close(ep));
	close_pair(p);
}
