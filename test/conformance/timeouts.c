/* SO_RCVTIMEO and SO_SNDTIMEO. */
#include "net.h"

static void limit(int fd, int name, int ms)
{
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	must(setsockopt(fd, SOL_SOCKET, name, &t, sizeof(t)));
}

/* The time since `begun` is about ms: never less, though clocks differ by a tick. */
static void took_about(double begun, int ms)
{
	double took = now_ms() - begun;

	check(took >= ms - 5);
	check(took < ms + 5000);
}

CASE("SO_RCVTIMEO: recv() gives EAGAIN after it")
{
	struct pair p = tcp_pair();
	double begun = now_ms();
	char c;

	limit(p.server, SO_RCVTIMEO, 100);
	fails(recv(p.server, &c, 1, 0), EAGAIN);
	took_about(begun, 100);
	close_pair(p);
}

CASE("SO_RCVTIMEO: read() and recvmsg() too")
{
	struct pair p = tcp_pair();
	double begun = now_ms();
	char c;
	struct iovec v = {.iov_base = &c, .iov_len = 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	limit(p.server, SO_RCVTIMEO, 50);
	fails(read(p.server, &c, 1), EAGAIN);
	fails(recvmsg(p.server, &m, 0), EAGAIN);
	took_about(begun, 100);
	close_pair(p);
}

CASE("SO_RCVTIMEO: text in time is read")
{
	struct pair p = tcp_pair();
	pid_t pid;

	limit(p.server, SO_RCVTIMEO, 10000);
	pid = child();
	if (pid == 0) {
		sleep_ms(20);
		send_text(p.client, "in time");
		_exit(0);
	}
	expect_text(p.server, "in time");
	reap(pid);
	close_pair(p);
}

CASE("SO_RCVTIMEO with MSG_WAITALL: what has come by then")
{
	struct pair p = tcp_pair();
	char buf[10];

	limit(p.server, SO_RCVTIMEO, 100);
	send_text(p.client, "half");
	equal(recv(p.server, buf, sizeof(buf), MSG_WAITALL), 4);
	close_pair(p);
}

CASE("SO_RCVTIMEO: nothing is lost by a timeout")
{
	struct pair p = tcp_pair();
	char c;

	limit(p.server, SO_RCVTIMEO, 10);
	for (int i = 0; i < 10; i++) {
		fails(recv(p.server, &c, 1, 0), EAGAIN);
		send_text(p.client, "kept");
		wait_for(p.server, POLLIN);
		expect_text(p.server, "kept");
	}
	close_pair(p);
}

CASE("SO_RCVTIMEO on a listener: accept() gives EAGAIN after it")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client;
	double begun = now_ms();

	limit(listener, SO_RCVTIMEO, 100);
	fails(accept(listener, NULL, NULL), EAGAIN);
	took_about(begun, 100);
	client = tcp_dial(&where);
	must(close(tcp_accept(listener)));
	must(close(client));
	must(close(listener));
}

CASE("SO_SNDTIMEO: send() on a full buffer gives EAGAIN after it")
{
	struct pair p = tcp_pair();
	double begun;
	size_t sent = fill(p.client);

	limit(p.client, SO_SNDTIMEO, 100);
	begun = now_ms();
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EAGAIN);
	took_about(begun, 100);
	pattern_expect(p.server, sent, 65536);
	close_pair(p);
}

CASE("SO_SNDTIMEO: a send() that got some text in says how much")
{
	struct pair p = tcp_pair();
	size_t n = 64 << 20;
	char *buf = malloc(n);
	ssize_t sent;

	check(buf);
	pattern_fill(buf, n, 0);
	limit(p.client, SO_SNDTIMEO, 100);
	sent = send(p.client, buf, n, MSG_NOSIGNAL);
	check(sent > 0 && (size_t)sent < n);
	must(shutdown(p.client, SHUT_WR));
	pattern_expect(p.server, sent, 65536);
	expect_eof(p.server);
	free(buf);
	close_pair(p);
}

CASE("a timeout of 0 is none")
{
	struct pair p = tcp_pair();
	pid_t pid;

	limit(p.server, SO_RCVTIMEO, 20);
	limit(p.server, SO_RCVTIMEO, 0);
	pid = child();
	if (pid == 0) {
		sleep_ms(100);
		send_text(p.client, "patience");
		_exit(0);
	}
	expect_text(p.server, "patience");
	reap(pid);
	close_pair(p);
}

CASE("a timeout belongs to the socket: a copy and a child have it too")
{
	struct pair p = tcp_pair();
	int copy = must(dup(p.server));
	char c;
	pid_t pid;

	limit(p.server, SO_RCVTIMEO, 30);
	fails(recv(copy, &c, 1, 0), EAGAIN);
	pid = child();
	if (pid == 0) {
		fails(recv(p.server, &c, 1, 0), EAGAIN);
		_exit(0);
	}
	reap(pid);
	must(close(copy));
	close_pair(p);
}

CASE("a timeout is no error of the connection")
{
	struct pair p = tcp_pair();
	char c;

	limit(p.server, SO_RCVTIMEO, 10);
	fails(recv(p.server, &c, 1, 0), EAGAIN);
	equal(take_error(p.server), 0);
	equal(mask_now(p.server), POLLOUT);
	close_pair(p);
}

CASE("SO_RCVTIMEO is of the whole call, with MSG_WAITALL too")
{
	struct pair p = tcp_pair();
	struct timeval t = {.tv_usec = 350000};
	pid_t pid = child();
	char text[100];
	ssize_t got;

	if (pid == 0) {
		for (int i = 0; i < 30; i++) {
			if (send(p.client, "x", 1, MSG_NOSIGNAL) < 0)
				break;
			sleep_ms(100);
		}
		_exit(0);
	}
	must(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	got = recv(p.server, text, sizeof(text), MSG_WAITALL);
	check(got >= 1 && got <= 10);
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
	close_pair(p);
}

CASE("SO_SNDTIMEO is of the whole call")
{
	struct pair p = tcp_pair();
	struct timeval t = {.tv_usec = 400000};
	static char text[3000000];
	pid_t pid = child();
	ssize_t sent;

	if (pid == 0) {
		for (int i = 0; i < 300; i++) {
			if (recv(p.server, text, 20000, 0) <= 0)
				break;
			sleep_ms(50);
		}
		_exit(0);
	}
	set_int(p.client, SOL_SOCKET, SO_SNDBUF, 16384);
	must(setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	sent = send(p.client, text, sizeof(text), 0);
	check(sent > 0 && sent < (ssize_t)sizeof(text));
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
	close_pair(p);
}
