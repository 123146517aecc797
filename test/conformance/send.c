/* send() and its flags. */
#include "net.h"

static volatile sig_atomic_t pipes;

static void count_pipe(int sig)
{
	(void)sig;
	pipes++;
}

CASE("send() takes everything on a blocking socket, however much")
{
	struct pair p = tcp_pair();
	size_t n = 8 << 20;
	char *buf = malloc(n);
	pid_t pid = child();

	check(buf);
	if (pid == 0) {
		pattern_expect(p.server, n, 30000);
		_exit(0);
	}
	pattern_fill(buf, n, 0);
	equal(send(p.client, buf, n, 0), n);
	reap(pid);
	free(buf);
	close_pair(p);
}

CASE("send() of nothing sends nothing")
{
	struct pair p = tcp_pair();

	equal(send(p.client, "", 0, 0), 0);
	equal(write(p.client, "", 0), 0);
	send_text(p.client, "x");
	expect_text(p.server, "x");
	fails(recv(p.server, (char[1]){0}, 1, MSG_DONTWAIT), EAGAIN);
	close_pair(p);
}

CASE("O_NONBLOCK: send() takes what fits, then EAGAIN; POLLOUT comes back with room")
{
	struct pair p = tcp_pair();
	size_t sent;

	set_nonblock(p.client, true);
	sent = fill(p.client);
	check(sent > 0);
	equal(mask_now(p.client) & POLLOUT, 0);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EAGAIN);
	fails(write(p.client, "x", 1), EAGAIN);
	pattern_expect(p.server, sent, 65536);
	wait_for(p.client, POLLOUT);
	send_text(p.client, "again");
	expect_text(p.server, "again");
	close_pair(p);
}

CASE("O_NONBLOCK: 16 MB by send() and poll(), each byte once")
{
	struct pair p = tcp_pair();
	size_t total = 16 << 20, done = 0;
	static char block[100000];
	pid_t pid = child();

	if (pid == 0) {
		pattern_expect(p.server, total, 20011);
		_exit(0);
	}
	set_nonblock(p.client, true);
	while (done < total) {
		size_t want = total - done < sizeof(block) ? total - done : sizeof(block);
		ssize_t n;

		pattern_fill(block, want, done);
		n = send(p.client, block, want, MSG_NOSIGNAL);
		if (n >= 0)
			done += n;
		else if (errno == EAGAIN)
			wait_for(p.client, POLLOUT);
		else
			must(n);
	}
	reap(pid);
	close_pair(p);
}

CASE("MSG_DONTWAIT on a blocking socket: EAGAIN when full")
{
	struct pair p = tcp_pair();

	fill(p.client);
	fails(send(p.client, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), EAGAIN);
	close_pair(p);
}

static void *read_later(void *arg)
{
	static char sink[65536];

	sleep_ms(30);
	for (;;)
		if (must(recv(*(int *)arg, sink, sizeof(sink), 0)) == 0)
			return NULL;
}

CASE("send() blocks while there is no room")
{
	struct pair p = tcp_pair();
	pthread_t t;

	fill(p.client);
	t = start(read_later, &p.server);
	equal(send(p.client, "x", 1, MSG_NOSIGNAL), 1);
	must(shutdown(p.client, SHUT_WR));
	join(t);
	close_pair(p);
}

CASE("EPIPE raises SIGPIPE once for each call, for write, send, writev and sendmsg")
{
	struct pair p = tcp_pair();
	struct iovec v = {.iov_base = "x", .iov_len = 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	signal(SIGPIPE, count_pipe);
	must(shutdown(p.client, SHUT_WR));
	pipes = 0;
	fails(write(p.client, "x", 1), EPIPE);
	equal(pipes, 1);
	fails(send(p.client, "x", 1, 0), EPIPE);
	equal(pipes, 2);
	fails(writev(p.client, &v, 1), EPIPE);
	equal(pipes, 3);
	fails(sendmsg(p.client, &m, 0), EPIPE);
	equal(pipes, 4);
	signal(SIGPIPE, SIG_DFL);
	close_pair(p);
}

CASE("MSG_NOSIGNAL: EPIPE and no SIGPIPE")
{
	struct pair p = tcp_pair();
	struct iovec v = {.iov_base = "x", .iov_len = 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	signal(SIGPIPE, count_pipe);
	must(shutdown(p.client, SHUT_WR));
	pipes = 0;
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	fails(sendmsg(p.client, &m, MSG_NOSIGNAL), EPIPE);
	equal(pipes, 0);
	signal(SIGPIPE, SIG_DFL);
	close_pair(p);
}

CASE("SIGPIPE kills a program that does not mind it")
{
	struct pair p = tcp_pair();
	pid_t pid;

	must(shutdown(p.client, SHUT_WR));
	pid = child();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		_exit(write(p.client, "x", 1) == -1);
	}
	equal(wait_status(pid), SIGPIPE);
	close_pair(p);
}

CASE("SIGPIPE ignored: EPIPE")
{
	struct pair p = tcp_pair();

	signal(SIGPIPE, SIG_IGN);
	must(shutdown(p.client, SHUT_WR));
	fails(write(p.client, "x", 1), EPIPE);
	signal(SIGPIPE, SIG_DFL);
	close_pair(p);
}

CASE("MSG_MORE: the text waits for more and goes with it")
{
	struct pair p = tcp_pair();

	equal(send(p.client, "head", 4, MSG_MORE), 4);
	equal(send(p.client, "+body", 5, 0), 5);
	expect_text(p.server, "head+body");
	close_pair(p);
}

CASE("MSG_MORE: what nothing follows goes all the same, within a second or so")
{
	struct pair p = tcp_pair();
	double begun = now_ms();

	equal(send(p.client, "alone", 5, MSG_MORE), 5);
	expect_text(p.server, "alone");
	check(now_ms() - begun < 3000);
	close_pair(p);
}

CASE("MSG_MORE, then shutdown(): text and end")
{
	struct pair p = tcp_pair();

	equal(send(p.client, "tail", 4, MSG_MORE), 4);
	must(shutdown(p.client, SHUT_WR));
	expect_text(p.server, "tail");
	expect_eof(p.server);
	close_pair(p);
}

CASE("TCP_CORK holds a short segment, taking the cork out lets it go")
{
	struct pair p = tcp_pair();

	set_int(p.client, IPPROTO_TCP, TCP_CORK, 1);
	send_text(p.client, "cor");
	send_text(p.client, "ked");
	set_int(p.client, IPPROTO_TCP, TCP_CORK, 0);
	expect_text(p.server, "corked");
	close_pair(p);
}

CASE("sendto() on a connected socket ignores the address")
{
	struct sockaddr_in other = here(9);
	struct pair p = tcp_pair();

	equal(sendto(p.client, "anyway", 6, 0, SA(&other), sizeof(other)), 6);
	expect_text(p.server, "anyway");
	close_pair(p);
}

CASE("send() of 1 byte, 10,000 times, in order")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		pattern_expect(p.server, 10000, 4096);
		_exit(0);
	}
	set_int(p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	pattern_send(p.client, 10000, 1);
	reap(pid);
	close_pair(p);
}

CASE("write() to oneself and back in one thread: as much as one buffer holds")
{
	struct pair p = tcp_pair();
	static char buf[4096];

	for (int i = 0; i < 1000; i++) {
		send_all(p.client, buf, sizeof(buf));
		equal(recv_all(p.server, buf, sizeof(buf)), sizeof(buf));
	}
	close_pair(p);
}

/* To a peer that has closed: a write that is answered by a reset, then another. */
static void write_twice(int fd, int flags)
{
	signal(SIGPIPE, SIG_DFL);
	wait_for(fd, POLLIN);
	send_text(fd, "x");
	sleep_ms(200);
	fails(send(fd, "x", 1, flags), EPIPE);
	send(fd, "x", 1, 0);
	_exit(99);
}

CASE("to a peer that closed: the first EPIPE comes with SIGPIPE, the second too")
{
	for (int first = 0; first < 2; first++) {
		struct pair p = tcp_pair();
		pid_t pid;

		must(close(p.server));
		pid = child();
		if (pid == 0)
			write_twice(p.client, first ? 0 : MSG_NOSIGNAL);
		equal(wait_status(pid), SIGPIPE);
		must(close(p.client));
	}
}

static _Atomic pid_t sender;

static void *send_much(void *arg)
{
	static char much[32 << 20];

	sender = thread_id();
	check(send(*(int *)arg, much, sizeof(much), MSG_NOSIGNAL) < (ssize_t)sizeof(much));
	return NULL;
}

CASE("a full buffer at an accepted socket: the peer's FIN and then its reset end send() and poll()")
{
	struct pair p = tcp_pair(), q = tcp_pair();
	pthread_t t = start(send_much, &p.server);

	wait_asleep(&sender);
	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	reset_on_close(p.client);
	must(close(p.client));
	join(t);
	must(close(p.server));

	fill(q.server);
	must(shutdown(q.client, SHUT_WR));
	wait_for(q.server, POLLIN);
	equal(mask_now(q.server) & POLLOUT, 0);
	reset_on_close(q.client);
	must(close(q.client));
	check(poll_mask(q.server, POLLOUT, LONG_MS) & (POLLOUT | POLLHUP));
	fails(send(q.server, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(close(q.server));
}
