/* poll() and ppoll(): masks in each state, timeouts, signals. Masks are Linux's tcp_poll(). */
#include "net.h"

static volatile sig_atomic_t caught;

static void note(int sig)
{
	(void)sig;
	caught++;
}

CASE("a fresh socket: POLLOUT and POLLHUP")
{
	int fd = tcp();

	equal(mask_now(fd), POLLOUT | POLLHUP);
	must(close(fd));
}

CASE("a bound socket: POLLOUT and POLLHUP")
{
	struct sockaddr_in where;
	int fd = tcp_bound(&where);

	equal(mask_now(fd), POLLOUT | POLLHUP);
	must(close(fd));
}

CASE("a listener: nothing, then POLLIN while connections wait")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4), client[2];

	equal(mask_now(listener), 0);
	client[0] = tcp_dial(&where);
	client[1] = tcp_dial(&where);
	wait_for(listener, POLLIN);
	equal(mask_now(listener), POLLIN);
	must(close(tcp_accept(listener)));
	wait_for(listener, POLLIN);
	must(close(tcp_accept(listener)));
	equal(mask_now(listener), 0);
	must(close(client[0]));
	must(close(client[1]));
	must(close(listener));
}

CASE("a connection: POLLOUT; with text POLLIN too; read: POLLOUT")
{
	struct pair p = tcp_pair();

	equal(mask_now(p.client), POLLOUT);
	equal(mask_now(p.server), POLLOUT);
	send_text(p.client, "xy");
	wait_for(p.server, POLLIN);
	equal(mask_now(p.server), POLLIN | POLLOUT);
	expect_text(p.server, "x");
	equal(mask_now(p.server), POLLIN | POLLOUT);
	expect_text(p.server, "y");
	equal(mask_now(p.server), POLLOUT);
	close_pair(p);
}

CASE("POLLRDNORM and POLLWRNORM go with POLLIN and POLLOUT")
{
	struct pair p = tcp_pair();
	int all = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLPRI;

	equal(poll_mask(p.server, all, 0), POLLOUT | POLLWRNORM);
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(poll_mask(p.server, all, 0), POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
	close_pair(p);
}

CASE("only what is asked for is told, but for POLLHUP, POLLERR, POLLNVAL")
{
	struct pair p = tcp_pair();

	equal(poll_mask(p.server, 0, 0), 0);
	equal(poll_mask(p.server, POLLIN, 0), 0);
	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	equal(poll_mask(p.server, 0, 0), 0);
	equal(poll_mask(p.server, POLLRDHUP, 0), POLLRDHUP);
	close_pair(p);
}

CASE("an end that shuts down after its peer: POLLHUP")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	must(shutdown(p.server, SHUT_WR));
	equal(poll_mask(p.server, 0, 1000), POLLHUP);
	equal(mask_now(p.server), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	close_pair(p);
}

CASE("a full send buffer: no POLLOUT; room again: POLLOUT")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);

	equal(mask_now(p.client), 0);
	pattern_expect(p.server, sent, 65536);
	wait_for(p.client, POLLOUT);
	equal(mask_now(p.client), POLLOUT);
	close_pair(p);
}

CASE("a full send buffer of a blocking socket, filled without MSG_DONTWAIT: no POLLOUT either")
{
	struct pair p = tcp_pair();
	struct timeval brief = {.tv_usec = 50000};
	static char block[65536];
	ssize_t n;
	size_t sent = 0;

	must(setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief)));
	for (;;) {
		pattern_fill(block, sizeof(block), sent);
		n = send(p.client, block, sizeof(block), MSG_NOSIGNAL);
		if (n == -1)
			break;
		sent += n;
	}
	equal(errno, EAGAIN);
	equal(mask_now(p.client), 0);
	pattern_expect(p.server, sent, 65536);
	wait_for(p.client, POLLOUT);
	close_pair(p);
}

CASE("POLLOUT means that something can be sent")
{
	struct pair p = tcp_pair();
	static char sink[100000];
	char c = 'x';

	set_nonblock(p.client, true);
	set_nonblock(p.server, true);
	fill(p.client);
	for (int i = 0; i < 200; i++) {
		wait_for(p.server, POLLIN);
		check(recv(p.server, sink, sizeof(sink), 0) > 0);
		if (mask_now(p.client) & POLLOUT)
			equal(send(p.client, &c, 1, MSG_NOSIGNAL), 1);
		else if (mask_now(p.server) == POLLOUT)
			wait_for(p.client, POLLOUT);
		if (!(mask_now(p.server) & POLLIN))
			fill(p.client);
	}
	close_pair(p);
}

CASE("a negative number is passed over, a closed one is POLLNVAL")
{
	struct pair p = tcp_pair();
	int closed = must(dup(0));
	struct pollfd f[3] = {{.fd = -1, .events = POLLIN},
			      {.fd = closed, .events = POLLIN},
			      {.fd = p.client, .events = POLLOUT}};

	must(close(closed));
	equal(poll(f, 3, 0), 2);
	equal(f[0].revents, 0);
	equal(f[1].revents, POLLNVAL);
	equal(f[2].revents, POLLOUT);
	close_pair(p);
}

CASE("a timeout: 0 after it, not before")
{
	struct pair p = tcp_pair();
	struct pollfd f = {.fd = p.client, .events = POLLIN};
	double begun = now_ms();

	equal(poll(&f, 1, 80), 0);
	check(now_ms() - begun >= 79);
	equal(poll(&f, 1, 0), 0);
	close_pair(p);
}

static void *send_later(void *arg)
{
	sleep_ms(20);
	send_text(*(int *)arg, "x");
	return NULL;
}

CASE("poll() wakes when text comes")
{
	struct pair p = tcp_pair();
	pthread_t t = start(send_later, &p.client);

	equal(poll_mask(p.server, POLLIN, -1), POLLIN);
	join(t);
	close_pair(p);
}

static void *close_later(void *arg)
{
	sleep_ms(20);
	must(close(*(int *)arg));
	return NULL;
}

CASE("poll() for POLLRDHUP wakes when the peer closes")
{
	struct pair p = tcp_pair();
	pthread_t t = start(close_later, &p.client);

	equal(poll_mask(p.server, POLLRDHUP, -1), POLLRDHUP);
	join(t);
	must(close(p.server));
}

CASE("poll() for nothing wakes when the peer resets")
{
	struct pair p = tcp_pair();
	pthread_t t;

	reset_on_close(p.client);
	t = start(close_later, &p.client);
	check(poll_mask(p.server, 0, -1) & POLLHUP);
	join(t);
	must(close(p.server));
}

static void *read_everything_later(void *arg)
{
	static char sink[65536];

	sleep_ms(20);
	while (must(recv(*(int *)arg, sink, sizeof(sink), 0)) > 0)
		;
	return NULL;
}

CASE("poll() wakes when there is room to send")
{
	struct pair p = tcp_pair();
	pthread_t t;

	fill(p.client);
	t = start(read_everything_later, &p.server);
	equal(poll_mask(p.client, POLLOUT, -1), POLLOUT);
	must(shutdown(p.client, SHUT_WR));
	join(t);
	close_pair(p);
}

CASE("200 connections in one poll(): the one with text")
{
	struct pair p[200];
	struct pollfd f[200];

	for (int i = 0; i < 200; i++) {
		p[i] = tcp_pair();
		f[i] = (struct pollfd){.fd = p[i].server, .events = POLLIN};
	}
	equal(poll(f, 200, 0), 0);
	for (int i = 0; i < 200; i += 37) {
		send_text(p[i].client, "x");
		equal(poll(f, 200, LONG_MS), 1);
		for (int n = 0; n < 200; n++)
			equal(f[n].revents, n == i ? POLLIN : 0);
		expect_text(p[i].server, "x");
	}
	for (int i = 0; i < 200; i++)
		close_pair(p[i]);
}

CASE("one socket twice in one poll()")
{
	struct pair p = tcp_pair();
	struct pollfd f[2] = {{.fd = p.server, .events = POLLIN},
			      {.fd = p.server, .events = POLLOUT}};

	equal(poll(f, 2, 0), 1);
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(poll(f, 2, 0), 2);
	close_pair(p);
}

CASE("sockets, pipes and AF_UNIX sockets in one poll()")
{
	struct pair p = tcp_pair();
	struct pollfd f[3];
	int q[2], u[2];

	must(pipe2(q, O_CLOEXEC));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u));
	f[0] = (struct pollfd){.fd = p.server, .events = POLLIN};
	f[1] = (struct pollfd){.fd = q[0], .events = POLLIN};
	f[2] = (struct pollfd){.fd = u[0], .events = POLLIN};
	equal(poll(f, 3, 0), 0);
	equal(write(q[1], "x", 1), 1);
	send_text(u[1], "x");
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(poll(f, 3, 0), 3);
	for (int i = 0; i < 2; i++) {
		must(close(q[i]));
		must(close(u[i]));
	}
	close_pair(p);
}

CASE("poll() and a signal: EINTR, with SA_RESTART too")
{
	struct sigaction a = {.sa_handler = note, .sa_flags = SA_RESTART};
	struct pair p = tcp_pair();
	struct pollfd f = {.fd = p.server, .events = POLLIN};
	struct timespec soon = {.tv_nsec = 20000000};
	struct itimerspec its = {.it_value = soon, .it_interval = soon};
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t timer;

	must(sigaction(SIGUSR1, &a, NULL));
	must(timer_create(CLOCK_MONOTONIC, &e, &timer));
	must(timer_settime(timer, 0, &its, NULL));
	fails(poll(&f, 1, -1), EINTR);
	must(timer_delete(timer));
	signal(SIGUSR1, SIG_DFL);
	close_pair(p);
}

CASE("ppoll() lets a blocked signal in, and only while it waits")
{
	struct sigaction a = {.sa_handler = note};
	struct pair p = tcp_pair();
	struct pollfd f = {.fd = p.server, .events = POLLIN};
	struct timespec t = {.tv_sec = 10};
	sigset_t usr1, old, during;

	must(sigaction(SIGUSR1, &a, NULL));
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &usr1, &old));
	caught = 0;
	must(kill(getpid(), SIGUSR1));
	equal(poll(&f, 1, 0), 0);
	equal(caught, 0);
	during = old;
	fails(ppoll(&f, 1, &t, &during), EINTR);
	equal(caught, 1);
	must(sigprocmask(SIG_SETMASK, &old, NULL));
	signal(SIGUSR1, SIG_DFL);
	close_pair(p);
}

CASE("ppoll() with a timeout")
{
	struct pair p = tcp_pair();
	struct pollfd f = {.fd = p.server, .events = POLLIN};
	struct timespec t = {.tv_nsec = 50000000};
	double begun = now_ms();

	equal(ppoll(&f, 1, &t, NULL), 0);
	check(now_ms() - begun >= 49);
	send_text(p.client, "x");
	t.tv_sec = 10;
	equal(ppoll(&f, 1, &t, NULL), 1);
	close_pair(p);
}
