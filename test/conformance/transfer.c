/* Text of every size, both ways; what arrives is compared byte by byte. */
#include "net.h"

static const size_t sizes[] = {1,    2,	   3,	  127,	 1459,	1460,	1461,	2920,	4095,
			       4096, 4097, 65535, 65536, 65537, 131071, 262144, 1000003};

static void across(int from, int to, size_t n)
{
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(from, n, n);
		_exit(0);
	}
	pattern_expect(to, n, 65536);
	reap(pid);
}

CASE("sizes from 1 byte to a megabyte, to the server and to the client")
{
	struct pair p = tcp_pair();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		across(p.client, p.server, sizes[i]);
		across(p.server, p.client, sizes[i]);
	}
	close_pair(p);
}

CASE("64 MB to the server")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(p.client, 64 << 20, 1 << 20);
		_exit(0);
	}
	pattern_expect(p.server, 64 << 20, 1 << 20);
	reap(pid);
	close_pair(p);
}

CASE("64 MB to the client")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(p.server, 64 << 20, 100000);
		_exit(0);
	}
	pattern_expect(p.client, 64 << 20, 65536);
	reap(pid);
	close_pair(p);
}

CASE("16 MB both ways at the same time, by one poll() loop at each end")
{
	struct pair p = tcp_pair();
	const size_t total = 16 << 20;
	pid_t pid = child();
	int fd = pid ? p.client : p.server;
	size_t in = 0, out = 0;
	static char buf[70000];

	set_nonblock(fd, true);
	while (in < total || out < total) {
		int events = (in < total ? POLLIN : 0) | (out < total ? POLLOUT : 0);
		int now = poll_mask(fd, events, LONG_MS);

		check(now & events);
		if (now & POLLIN) {
			ssize_t n = must(recv(fd, buf, sizeof(buf), 0));

			check(n > 0);
			pattern_check(buf, n, in);
			in += n;
		}
		if (now & POLLOUT) {
			size_t want = total - out < sizeof(buf) ? total - out : sizeof(buf);

			pattern_fill(buf, want, out);
			out += must(send(fd, buf, want, MSG_NOSIGNAL));
		}
	}
	if (pid == 0)
		_exit(0);
	reap(pid);
	close_pair(p);
}

CASE("32 MB there and back through an echo")
{
	struct pair p = tcp_pair();
	const size_t total = 32 << 20;
	pid_t echo = child(), writer;

	if (echo == 0) {
		static char buf[30000];
		ssize_t n;

		must(close(p.client));
		while ((n = must(recv(p.server, buf, sizeof(buf), 0))) > 0)
			send_all(p.server, buf, n);
		_exit(0);
	}
	must(close(p.server));
	writer = child();
	if (writer == 0) {
		pattern_send(p.client, total, 45000);
		must(shutdown(p.client, SHUT_WR));
		_exit(0);
	}
	pattern_expect(p.client, total, 65536);
	expect_eof(p.client);
	reap(echo);
	reap(writer);
	must(close(p.client));
}

CASE("a half-close echo: the answer comes after the whole question")
{
	struct pair p = tcp_pair();
	const size_t total = 100000;
	char *buf = malloc(total + 1);
	pid_t pid = child();

	check(buf);
	if (pid == 0) {
		must(close(p.client));
		equal(recv_all(p.server, buf, total + 1), total);
		send_all(p.server, buf, total);
		_exit(0);
	}
	must(close(p.server));
	pattern_send(p.client, total, 9999);
	must(shutdown(p.client, SHUT_WR));
	pattern_expect(p.client, total, 65536);
	expect_eof(p.client);
	reap(pid);
	free(buf);
	must(close(p.client));
}

CASE("a slow reader: small reads with pauses, the window closes and opens")
{
	struct pair p = tcp_pair();
	const size_t total = 6 << 20;
	static char buf[65536];
	size_t at = 0;
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(p.client, total, 65536);
		_exit(0);
	}
	while (at < total) {
		ssize_t n = must(recv(p.server, buf, at % 2 ? 65536 : 333, 0));

		check(n > 0);
		pattern_check(buf, n, at);
		at += n;
		if (at < 600000)
			sleep_ms(1);
	}
	reap(pid);
	close_pair(p);
}

CASE("a reader that lets the buffer fill ten times")
{
	struct pair p = tcp_pair();
	size_t sent;

	for (int i = 0; i < 10; i++) {
		sent = fill(p.client);
		pattern_expect(p.server, sent, 50000);
	}
	close_pair(p);
}

CASE("a writer of single bytes, 50,000, with Nagle's algorithm and without")
{
	for (int nodelay = 0; nodelay < 2; nodelay++) {
		struct pair p = tcp_pair();
		pid_t pid = child();

		if (pid == 0) {
			set_int(p.client, IPPROTO_TCP, TCP_NODELAY, nodelay);
			pattern_send(p.client, 50000, 1);
			_exit(0);
		}
		pattern_expect(p.server, 50000, 4096);
		reap(pid);
		close_pair(p);
	}
}

CASE("a reader of single bytes, 200,000")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(p.client, 200000, 65536);
		_exit(0);
	}
	pattern_expect(p.server, 200000, 1);
	reap(pid);
	close_pair(p);
}

/* Park and Miller's: the same sizes in every run. */
static uint32_t next_random(uint32_t *seed)
{
	return *seed = (uint64_t)*seed * 48271 % 2147483647;
}

CASE("random sizes of read and write, seed 20240229, 8 MB")
{
	struct pair p = tcp_pair();
	const size_t total = 8 << 20;
	static char buf[40000];
	uint32_t seed = 20240229;
	pid_t pid = child();

	if (pid == 0) {
		for (size_t at = 0; at < total;) {
			size_t n = next_random(&seed) % sizeof(buf) + 1;

			n = total - at < n ? total - at : n;
			pattern_fill(buf, n, at);
			send_all(p.client, buf, n);
			at += n;
		}
		_exit(0);
	}
	for (size_t at = 0; at < total;) {
		ssize_t n = must(recv(p.server, buf, next_random(&seed) % sizeof(buf) + 1, 0));

		check(n > 0);
		pattern_check(buf, n, at);
		at += n;
	}
	reap(pid);
	close_pair(p);
}

CASE("4 transfers of 8 MB side by side")
{
	struct pair p[4];
	pid_t writer[4], reader[4];

	for (int i = 0; i < 4; i++)
		p[i] = tcp_pair();
	for (int i = 0; i < 4; i++) {
		writer[i] = child();
		if (writer[i] == 0) {
			pattern_send(p[i].client, 8 << 20, 20000 + i);
			_exit(0);
		}
		reader[i] = child();
		if (reader[i] == 0) {
			pattern_expect(p[i].server, 8 << 20, 30000 + i);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		reap(writer[i]);
		reap(reader[i]);
		close_pair(p[i]);
	}
}

CASE("question and answer, 3,000 times, of sizes around a segment's")
{
	struct pair p = tcp_pair();
	static char buf[3000];
	pid_t pid = child();

	if (pid == 0) {
		for (int i = 0; i < 3000; i++) {
			equal(recv_all(p.server, buf, i), i);
			pattern_check(buf, i, i);
			send_all(p.server, &i, sizeof(i));
		}
		_exit(0);
	}
	for (int i = 0; i < 3000; i++) {
		int told;

		pattern_fill(buf, i, i);
		send_all(p.client, buf, i);
		equal(recv_all(p.client, &told, sizeof(told)), sizeof(told));
		equal(told, i);
	}
	reap(pid);
	close_pair(p);
}
