/* A connection that the peer resets: who is told what, and in which order. */
#include "net.h"

#include <sys/ioctl.h>

static volatile sig_atomic_t pipes;

static void count_pipe(int sig)
{
	(void)sig;
	pipes++;
}

/* A connection whose peer has just reset it; the news is here. */
static int was_reset(void)
{
	struct pair p = tcp_pair();

	reset_on_close(p.server);
	must(close(p.server));
	wait_for(p.client, POLLHUP);
	return p.client;
}

CASE("recv(): ECONNRESET once, then the end")
{
	char c;
	int fd = was_reset();

	fails(recv(fd, &c, 1, 0), ECONNRESET);
	expect_eof(fd);
	expect_eof(fd);
	must(close(fd));
}

CASE("read(): ECONNRESET once, then the end")
{
	char c;
	int fd = was_reset();

	fails(read(fd, &c, 1), ECONNRESET);
	equal(read(fd, &c, 1), 0);
	must(close(fd));
}

CASE("send(): the error once without SIGPIPE, then EPIPE with it")
{
	int fd = was_reset();
	ssize_t n;

	signal(SIGPIPE, count_pipe);
	pipes = 0;
	n = send(fd, "x", 1, 0);
	check(n == -1 && (errno == ECONNRESET || errno == EPIPE));
	if (errno == ECONNRESET)
		equal(pipes, 0);
	pipes = 0;
	fails(send(fd, "x", 1, 0), EPIPE);
	equal(pipes, 1);
	signal(SIGPIPE, SIG_DFL);
	must(close(fd));
}

CASE("recv() has told it: send() says EPIPE")
{
	char c;
	int fd = was_reset();

	fails(recv(fd, &c, 1, 0), ECONNRESET);
	fails(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(close(fd));
}

CASE("SO_ERROR: ECONNRESET once, then 0, and recv() gives the end")
{
	int fd = was_reset();

	equal(take_error(fd), ECONNRESET);
	equal(take_error(fd), 0);
	expect_eof(fd);
	must(close(fd));
}

CASE("poll: POLLHUP, POLLRDHUP, POLLIN and POLLOUT stay")
{
	char c;
	int fd = was_reset(), want = POLLIN | POLLOUT | POLLRDHUP | POLLHUP;

	equal(mask_now(fd) & ~POLLERR, want);
	fails(recv(fd, &c, 1, 0), ECONNRESET);
	equal(mask_now(fd) & ~POLLERR, want);
	must(close(fd));
}

CASE("text that came before the reset can be read")
{
	struct pair p = tcp_pair();
	char c;

	send_text(p.server, "kept");
	wait_for(p.client, POLLIN);
	reset_on_close(p.server);
	must(close(p.server));
	wait_for(p.client, POLLHUP);
	expect_text(p.client, "kept");
	fails(recv(p.client, &c, 1, 0), ECONNRESET);
	expect_eof(p.client);
	must(close(p.client));
}

CASE("what was written before a close that resets arrives")
{
	for (int i = 0; i < 50; i++) {
		struct pair p = tcp_pair();
		char c;

		send_text(p.server, "never read");
		wait_for(p.client, POLLIN);
		if (i % 2)
			reset_on_close(p.client);
		send_text(p.client, "last words");
		must(close(p.client));
		expect_text(p.server, "last words");
		fails(recv(p.server, &c, 1, 0), ECONNRESET);
		expect_eof(p.server);
		must(close(p.server));
	}
}

CASE("all that arrived before the reset can be read, then ECONNRESET")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.server), got = 0;
	static char block[65536];
	ssize_t n;

	reset_on_close(p.server);
	must(close(p.server));
	while ((n = recv(p.client, block, sizeof(block), 0)) > 0) {
		pattern_check(block, n, got);
		got += n;
	}
	equal(n, -1);
	equal(errno, ECONNRESET);
	check(got <= sent);
	expect_eof(p.client);
	must(close(p.client));
}

static _Atomic pid_t sleeper;

static void *recv_until_reset(void *arg)
{
	char c;

	sleeper = thread_id();
	fails(recv(*(int *)arg, &c, 1, 0), ECONNRESET);
	return NULL;
}

CASE("a thread in recv() wakes with ECONNRESET")
{
	struct pair p = tcp_pair();
	pthread_t t;

	sleeper = 0;
	t = start(recv_until_reset, &p.client);
	wait_asleep(&sleeper);
	reset_on_close(p.server);
	must(close(p.server));
	join(t);
	must(close(p.client));
}

static void *send_until_reset(void *arg)
{
	static char block[100000];
	ssize_t n;

	sleeper = thread_id();
	do
		n = send(*(int *)arg, block, sizeof(block), MSG_NOSIGNAL);
	while (n > 0);
	check(n == -1 && (errno == ECONNRESET || errno == EPIPE));
	return NULL;
}

CASE("a thread in send() wakes with ECONNRESET or EPIPE")
{
	struct pair p = tcp_pair();
	pthread_t t;

	fill(p.client);
	sleeper = 0;
	t = start(send_until_reset, &p.client);
	wait_asleep(&sleeper);
	reset_on_close(p.server);
	must(close(p.server));
	join(t);
	must(close(p.client));
}

CASE("the peer reads half, then closes: send() fails in the end, never hangs")
{
	struct pair p = tcp_pair();
	pid_t pid = child();
	static char block[65536];
	ssize_t n;

	if (pid == 0) {
		must(close(p.client));
		pattern_expect(p.server, 300000, 1000);
		_exit(0);
	}
	must(close(p.server));
	for (uint64_t done = 0;; done += n) {
		pattern_fill(block, sizeof(block), done);
		n = send(p.client, block, sizeof(block), MSG_NOSIGNAL);
		if (n == -1)
			break;
	}
	check(errno == ECONNRESET || errno == EPIPE);
	reap(pid);
	must(close(p.client));
}

CASE("write to a peer that closed: the first goes, a later one fails, SIGPIPE at last")
{
	struct pair p = tcp_pair();
	ssize_t n = 1;

	signal(SIGPIPE, count_pipe);
	pipes = 0;
	must(close(p.server));
	expect_eof(p.client);
	equal(write(p.client, "1", 1), 1);
	wait_for(p.client, POLLHUP);
	for (int i = 0; i < 3 && pipes == 0; i++)
		n = write(p.client, "2", 1);
	equal(n, -1);
	equal(errno, EPIPE);
	equal(pipes, 1);
	signal(SIGPIPE, SIG_DFL);
	must(close(p.client));
}

CASE("after a reset the socket connects anew")
{
	struct sockaddr_in where;
	char c;
	int listener = tcp_listener(&where, 1), fd = was_reset(), server;
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	fails(recv(fd, &c, 1, 0), ECONNRESET);
	must(connect(fd, &nowhere, sizeof(nowhere)));
	must(connect_to(fd, &where));
	server = tcp_accept(listener);
	send_text(fd, "anew");
	expect_text(server, "anew");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("100 connections reset at once: each is told")
{
	struct pair p[100];
	char c;

	for (int i = 0; i < 100; i++)
		p[i] = tcp_pair();
	for (int i = 0; i < 100; i++) {
		reset_on_close(p[i].server);
		must(close(p[i].server));
	}
	for (int i = 0; i < 100; i++) {
		fails(recv(p[i].client, &c, 1, 0), ECONNRESET);
		must(close(p[i].client));
	}
}
