/* splice(): between pipe and socket. */
#include "net.h"

static void make_pipe(int fd[2])
{
	must(pipe2(fd, O_CLOEXEC));
}

CASE("pipe to socket")
{
	struct pair p = tcp_pair();
	int q[2];

	make_pipe(q);
	equal(write(q[1], "through a pipe", 14), 14);
	equal(splice(q[0], NULL, p.client, NULL, 14, 0), 14);
	expect_text(p.server, "through a pipe");
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("socket to pipe")
{
	struct pair p = tcp_pair();
	int q[2];
	char buf[20];

	make_pipe(q);
	send_text(p.client, "into a pipe");
	wait_for(p.server, POLLIN);
	equal(splice(p.server, NULL, q[1], NULL, 100, 0), 11);
	equal(read(q[0], buf, sizeof(buf)), 11);
	check(!memcmp(buf, "into a pipe", 11));
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("socket to pipe: only as much as asked for, the rest stays")
{
	struct pair p = tcp_pair();
	int q[2];
	char buf[4];

	make_pipe(q);
	send_text(p.client, "abcdefgh");
	wait_for(p.server, POLLIN);
	equal(splice(p.server, NULL, q[1], NULL, 4, 0), 4);
	equal(read(q[0], buf, 4), 4);
	check(!memcmp(buf, "abcd", 4));
	expect_text(p.server, "efgh");
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("socket to pipe at the end: 0")
{
	struct pair p = tcp_pair();
	int q[2];

	make_pipe(q);
	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	equal(splice(p.server, NULL, q[1], NULL, 100, 0), 0);
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("an empty non-blocking socket: EAGAIN")
{
	struct pair p = tcp_pair();
	int q[2];

	make_pipe(q);
	set_nonblock(p.server, true);
	fails(splice(p.server, NULL, q[1], NULL, 100, 0), EAGAIN);
	fails(splice(p.server, NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("a full pipe with SPLICE_F_NONBLOCK: EAGAIN, and no text is lost")
{
	struct pair p = tcp_pair();
	static char block[1 << 20];
	int q[2];
	ssize_t n;

	make_pipe(q);
	must(fcntl(q[1], F_SETFL, O_NONBLOCK));
	do
		n = write(q[1], block, sizeof(block));
	while (n > 0);
	check(n == -1 && errno == EAGAIN);
	send_text(p.client, "kept");
	wait_for(p.server, POLLIN);
	fails(splice(p.server, NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	expect_text(p.server, "kept");
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("an empty pipe whose writers are gone: 0")
{
	struct pair p = tcp_pair();
	int q[2];

	make_pipe(q);
	must(close(q[1]));
	equal(splice(q[0], NULL, p.client, NULL, 100, 0), 0);
	must(close(q[0]));
	close_pair(p);
}

CASE("a full non-blocking socket: EAGAIN, and the pipe keeps its text")
{
	struct pair p = tcp_pair();
	int q[2];
	size_t sent;
	char c;

	make_pipe(q);
	equal(write(q[1], "z", 1), 1);
	sent = fill(p.client);
	set_nonblock(p.client, true);
	fails(splice(q[0], NULL, p.client, NULL, 1, 0), EAGAIN);
	pattern_expect(p.server, sent, 65536);
	wait_for(p.client, POLLOUT);
	equal(splice(q[0], NULL, p.client, NULL, 1, 0), 1);
	equal(recv(p.server, &c, 1, 0), 1);
	equal(c, 'z');
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("an offset on a socket, or no pipe at all: EINVAL")
{
	struct pair p = tcp_pair();
	loff_t offset = 0;
	int q[2];

	make_pipe(q);
	fails(splice(p.server, &offset, q[1], NULL, 1, 0), EINVAL);
	fails(splice(p.server, NULL, p.client, NULL, 1, 0), EINVAL);
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

CASE("SPLICE_F_MORE: what follows goes with it")
{
	struct pair p = tcp_pair();
	int q[2];

	make_pipe(q);
	equal(write(q[1], "spliced", 7), 7);
	equal(splice(q[0], NULL, p.client, NULL, 7, SPLICE_F_MORE), 7);
	send_text(p.client, " and sent");
	expect_text(p.server, "spliced and sent");
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}

static void proxy(int from, int to)
{
	int q[2];

	make_pipe(q);
	for (;;) {
		ssize_t n = must(splice(from, NULL, q[1], NULL, 65536, SPLICE_F_MOVE));

		if (n == 0)
			break;
		while (n > 0)
			n -= must(splice(q[0], NULL, to, NULL, n, SPLICE_F_MOVE));
	}
	must(shutdown(to, SHUT_WR));
}

CASE("8 MB through a splicing proxy")
{
	struct pair a = tcp_pair(), b = tcp_pair();
	size_t total = 8 << 20;
	pid_t carrier = child(), source;

	if (carrier == 0) {
		proxy(a.server, b.client);
		_exit(0);
	}
	source = child();
	if (source == 0) {
		pattern_send(a.client, total, 40000);
		must(shutdown(a.client, SHUT_WR));
		_exit(0);
	}
	pattern_expect(b.server, total, 65536);
	expect_eof(b.server);
	reap(carrier);
	reap(source);
	close_pair(a);
	close_pair(b);
}

static void *feed_later(void *arg)
{
	sleep_ms(20);
	send_text(*(int *)arg, "late");
	return NULL;
}

CASE("socket to pipe blocks until text comes")
{
	struct pair p = tcp_pair();
	int q[2];
	pthread_t t;

	make_pipe(q);
	t = start(feed_later, &p.client);
	equal(splice(p.server, NULL, q[1], NULL, 100, 0), 4);
	join(t);
	must(close(q[0]));
	must(close(q[1]));
	close_pair(p);
}
