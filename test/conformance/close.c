/* close(): FIN, reset, linger. */
#include "net.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

CASE("close() sends what was written, then the end")
{
	struct pair p = tcp_pair();

	send_text(p.client, "goodbye");
	must(close(p.client));
	expect_text(p.server, "goodbye");
	expect_eof(p.server);
	must(close(p.server));
}

CASE("close() with a full send buffer: all of it arrives")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);

	must(close(p.client));
	pattern_expect(p.server, sent, 65536);
	expect_eof(p.server);
	must(close(p.server));
}

CASE("close() twice: EBADF; so do all calls on the closed number")
{
	struct pair p = tcp_pair();
	char c;

	must(close(p.client));
	fails(close(p.client), EBADF);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EBADF);
	fails(recv(p.client, &c, 1, 0), EBADF);
	fails(fcntl(p.client, F_GETFL), EBADF);
	fails(shutdown(p.client, SHUT_WR), EBADF);
	must(close(p.server));
}

CASE("close() with text unread resets: the peer gets ECONNRESET")
{
	struct pair p = tcp_pair();
	char c;

	send_text(p.client, "never read");
	wait_for(p.server, POLLIN);
	must(close(p.server));
	fails(recv(p.client, &c, 1, 0), ECONNRESET);
	must(close(p.client));
}

CASE("close() with everything read does not reset")
{
	struct pair p = tcp_pair();

	send_text(p.client, "all read");
	expect_text(p.server, "all read");
	must(close(p.server));
	expect_eof(p.client);
	must(close(p.client));
}

CASE("SO_LINGER 0: close() resets")
{
	struct pair p = tcp_pair();
	char c;

	reset_on_close(p.client);
	must(close(p.client));
	fails(recv(p.server, &c, 1, 0), ECONNRESET);
	must(close(p.server));
}

CASE("SO_LINGER 0 after the peer's FIN: no error for anyone, and the port is free")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client = tcp_dial(&where), server, again = tcp();

	server = tcp_accept(listener);
	must(close(listener));
	must(shutdown(client, SHUT_WR));
	expect_eof(server);
	reset_on_close(server);
	must(close(server));
	must(close(client));
	wait_until(bind_to(again, &where) == 0);
	must(close(again));
}

static void linger_for(int fd, int seconds)
{
	struct linger l = {.l_onoff = 1, .l_linger = seconds};

	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

CASE("SO_LINGER n: close() gives up after n seconds, and the text arrives all the same")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);
	double begun = now_ms(), took;

	linger_for(p.client, 1);
	must(close(p.client));
	took = now_ms() - begun;
	check(took >= 900 && took < 5000);
	pattern_expect(p.server, sent, 65536);
	expect_eof(p.server);
	must(close(p.server));
}

static _Atomic pid_t closer;

static void *close_it(void *arg)
{
	closer = thread_id();
	must(close(*(int *)arg));
	return NULL;
}

CASE("SO_LINGER n: close() returns once the peer has taken the text")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);
	double begun = now_ms();
	pthread_t t;

	linger_for(p.client, 30);
	t = start(close_it, &p.client);
	wait_asleep(&closer);
	pattern_expect(p.server, sent, 65536);
	expect_eof(p.server);
	join(t);
	check(now_ms() - begun < 15000);
	must(close(p.server));
}

CASE("SO_LINGER n with nothing to send: close() returns at once")
{
	struct pair p = tcp_pair();
	double begun = now_ms();

	linger_for(p.client, 30);
	must(close(p.client));
	check(now_ms() - begun < 5000);
	expect_eof(p.server);
	must(close(p.server));
}

CASE(
    "SO_LINGER n where another process has the socket: close() returns at once, the last one waits")
{
	struct pair p = tcp_pair();
	double begun = now_ms();
	pid_t pid;
	int told[2];

	linger_for(p.server, 30);
	must(pipe(told));
	pid = child();
	if (pid == 0) {
		must(close(p.client));
		must(close(told[0]));
		expect_text(p.server, "go");
		fill(p.server);
		must(write(told[1], "x", 1));
		must(close(p.server));
		_exit(now_ms() - begun < 15000 ? 0 : 3);
	}
	must(close(told[1]));
	must(close(p.server));
	check(now_ms() - begun < 5000);
	send_text(p.client, "go");
	equal(read(told[0], (char[1]){0}, 1), 1);
	for (char buf[65536]; must(recv(p.client, buf, sizeof(buf), 0)) > 0;)
		;
	reap(pid);
	must(close(told[0]));
	must(close(p.client));
}

CASE("what a program wrote arrives after it has exited")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(close(p.server));
		pattern_send(p.client, 100000, 1000);
		_exit(0);
	}
	must(close(p.client));
	reap(pid);
	pattern_expect(p.server, 100000, 4096);
	expect_eof(p.server);
	must(close(p.server));
}

CASE("a program that is killed: its peers read the end")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(close(p.server));
		send_text(p.client, "alive");
		for (;;)
			pause();
	}
	must(close(p.client));
	expect_text(p.server, "alive");
	must(kill(pid, SIGKILL));
	expect_eof(p.server);
	equal(wait_status(pid), SIGKILL);
	must(close(p.server));
}

CASE("a program that is killed in the middle of send(): the text goes up to a point, then the end")
{
	struct pair p = tcp_pair();
	static char buf[65536];
	uint64_t at = 0;
	pid_t pid = child();
	bool killed = false;

	if (pid == 0) {
		must(close(p.server));
		pattern_send(p.client, (size_t)1 << 40, 50000);
		_exit(0);
	}
	must(close(p.client));
	for (;;) {
		ssize_t n = recv(p.server, buf, sizeof(buf), 0);

		if (n == 0)
			break;
		must(n);
		pattern_check(buf, n, at);
		at += n;
		if (at > 3000000 && !killed) {
			must(kill(pid, SIGKILL));
			killed = true;
		}
	}
	equal(wait_status(pid), SIGKILL);
	must(close(p.server));
}

CASE("a program that is killed with text unread resets")
{
	struct pair p = tcp_pair();
	char c;
	pid_t pid = child();

	if (pid == 0) {
		must(close(p.client));
		for (;;)
			pause();
	}
	must(close(p.server));
	send_text(p.client, "unread");
	wait_until(({
		int queued;

		must(ioctl(p.client, SIOCOUTQ, &queued));
		queued == 0;
	}));
	must(kill(pid, SIGKILL));
	equal(wait_status(pid), SIGKILL);
	fails(recv(p.client, &c, 1, 0), ECONNRESET);
	must(close(p.client));
}

CASE("close() of a socket that was never connected")
{
	struct sockaddr_in where;

	must(close(tcp()));
	must(close(tcp_bound(&where)));
}

CASE("close() while text of the peer is on its way: the peer gets a reset, then EPIPE")
{
	struct pair p = tcp_pair();
	ssize_t n;

	must(close(p.server));
	expect_eof(p.client);
	send_text(p.client, "too late");
	wait_for(p.client, POLLHUP);
	n = send(p.client, "x", 1, MSG_NOSIGNAL);
	check(n == -1 && errno == EPIPE);
	must(close(p.client));
}

CASE("72 connections wait to be accepted, each is answered and closed: none of the others is lost")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 100), client[72], server;

	for (int i = 0; i < 72; i++)
		client[i] = tcp_dial(&where);
	for (int i = 0; i < 72; i++) {
		server = tcp_accept(listener);
		send_text(server, "ok");
		must(shutdown(server, SHUT_WR));
		/* The order of accept() is that of connect(). */
		expect_text(client[i], "ok");
		expect_eof(client[i]);
		must(close(client[i]));
		wait_for(server, POLLHUP);
		expect_eof(server);
		must(close(server));
	}
	must(close(listener));
}
