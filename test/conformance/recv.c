/* recv() and its flags. */
#include "net.h"

CASE("recv() gives what is there, not what was asked for")
{
	struct pair p = tcp_pair();
	char buf[100];

	send_text(p.client, "seven b");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, buf, sizeof(buf), 0), 7);
	close_pair(p);
}

CASE("recv() piece by piece")
{
	struct pair p = tcp_pair();

	send_text(p.client, "abcdefghij");
	expect_text(p.server, "a");
	expect_text(p.server, "bcd");
	expect_text(p.server, "efghij");
	fails(recv(p.server, (char[1]){0}, 1, MSG_DONTWAIT), EAGAIN);
	close_pair(p);
}

CASE("recv() after the end gives 0 each time")
{
	struct pair p = tcp_pair();

	must(close(p.client));
	for (int i = 0; i < 3; i++)
		expect_eof(p.server);
	must(close(p.server));
}

CASE("read() of 0 bytes returns 0 at once")
{
	struct pair p = tcp_pair();
	char c;

	equal(read(p.server, &c, 0), 0);
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(read(p.server, &c, 0), 0);
	expect_text(p.server, "x");
	close_pair(p);
}

CASE("MSG_DONTWAIT on a blocking socket: EAGAIN")
{
	struct pair p = tcp_pair();
	char c;

	fails(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
	equal(must(fcntl(p.server, F_GETFL)), O_RDWR);
	close_pair(p);
}

CASE("O_NONBLOCK: recv() and read() give EAGAIN")
{
	struct pair p = tcp_pair();
	char c;

	set_nonblock(p.server, true);
	fails(recv(p.server, &c, 1, 0), EAGAIN);
	fails(read(p.server, &c, 1), EAGAIN);
	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(read(p.server, &c, 1), 1);
	fails(read(p.server, &c, 1), EAGAIN);
	close_pair(p);
}

CASE("MSG_PEEK leaves the text")
{
	struct pair p = tcp_pair();
	char buf[16] = "";

	send_text(p.client, "peekaboo");
	wait_for(p.server, POLLIN);
	for (int i = 0; i < 3; i++) {
		equal(recv(p.server, buf, sizeof(buf), MSG_PEEK), 8);
		equal(memcmp(buf, "peekaboo", 8), 0);
	}
	equal(recv(p.server, buf, 4, MSG_PEEK), 4);
	expect_text(p.server, "peek");
	equal(recv(p.server, buf, sizeof(buf), MSG_PEEK), 4);
	equal(memcmp(buf, "aboo", 4), 0);
	expect_text(p.server, "aboo");
	fails(recv(p.server, buf, 1, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
	close_pair(p);
}

CASE("MSG_PEEK leaves poll ready")
{
	struct pair p = tcp_pair();
	char c;

	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, &c, 1, MSG_PEEK), 1);
	equal(mask_now(p.server), POLLIN | POLLOUT);
	expect_text(p.server, "x");
	equal(mask_now(p.server), POLLOUT);
	close_pair(p);
}

static void *send_later(void *arg)
{
	sleep_ms(20);
	send_text(*(int *)arg, "later");
	return NULL;
}

CASE("MSG_PEEK waits for text")
{
	struct pair p = tcp_pair();
	char buf[16];
	pthread_t t = start(send_later, &p.client);

	equal(recv(p.server, buf, sizeof(buf), MSG_PEEK), 5);
	join(t);
	expect_text(p.server, "later");
	close_pair(p);
}

CASE("MSG_PEEK at the end gives 0")
{
	struct pair p = tcp_pair();
	char c;

	must(shutdown(p.client, SHUT_WR));
	equal(recv(p.server, &c, 1, MSG_PEEK), 0);
	equal(recv(p.server, &c, 1, MSG_PEEK), 0);
	close_pair(p);
}

static void *send_slowly(void *arg)
{
	for (int i = 0; i < 10; i++) {
		sleep_ms(2);
		send_text(*(int *)arg, "0123456789");
	}
	return NULL;
}

CASE("MSG_WAITALL waits for every byte")
{
	struct pair p = tcp_pair();
	char buf[100];
	pthread_t t = start(send_slowly, &p.client);

	equal(recv(p.server, buf, sizeof(buf), MSG_WAITALL), 100);
	for (int i = 0; i < 100; i++)
		equal(buf[i], '0' + i % 10);
	join(t);
	close_pair(p);
}

CASE("MSG_WAITALL of a megabyte")
{
	struct pair p = tcp_pair();
	size_t n = 1 << 20;
	char *buf = malloc(n);
	pid_t pid = child();

	check(buf);
	if (pid == 0) {
		pattern_send(p.client, n, 10000);
		_exit(0);
	}
	equal(recv(p.server, buf, n, MSG_WAITALL), n);
	pattern_check(buf, n, 0);
	reap(pid);
	free(buf);
	close_pair(p);
}

CASE("MSG_WAITALL ends short at the end")
{
	struct pair p = tcp_pair();
	char buf[100];

	send_text(p.client, "short");
	must(shutdown(p.client, SHUT_WR));
	equal(recv(p.server, buf, sizeof(buf), MSG_WAITALL), 5);
	equal(recv(p.server, buf, sizeof(buf), MSG_WAITALL), 0);
	close_pair(p);
}

CASE("MSG_WAITALL with MSG_DONTWAIT gives what is there")
{
	struct pair p = tcp_pair();
	char buf[100];

	send_text(p.client, "there");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, buf, sizeof(buf), MSG_WAITALL | MSG_DONTWAIT), 5);
	close_pair(p);
}

CASE("MSG_TRUNC throws text away")
{
	struct pair p = tcp_pair();

	send_text(p.client, "unwanted wanted");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, NULL, 9, MSG_TRUNC), 9);
	expect_text(p.server, "wanted");
	close_pair(p);
}

CASE("MSG_OOB without urgent text: EINVAL")
{
	struct pair p = tcp_pair();
	char c;

	fails(recv(p.server, &c, 1, MSG_OOB), EINVAL);
	close_pair(p);
}

CASE("recvfrom() of a stream gives no address")
{
	struct pair p = tcp_pair();
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char c;

	send_text(p.client, "x");
	equal(recvfrom(p.server, &c, 1, 0, SA(&from), &len), 1);
	equal(len, 0);
	close_pair(p);
}

CASE("recv() blocks until text comes")
{
	struct pair p = tcp_pair();
	pthread_t t = start(send_later, &p.client);

	expect_text(p.server, "later");
	join(t);
	close_pair(p);
}

CASE("recv() of text that comes byte by byte keeps its order")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		pattern_send(p.client, 20000, 1);
		_exit(0);
	}
	pattern_expect(p.server, 20000, 777);
	reap(pid);
	close_pair(p);
}

CASE("SO_RCVLOWAT: recv() waits for that many")
{
	struct pair p = tcp_pair();
	char buf[100];
	pthread_t t;

	set_int(p.server, SOL_SOCKET, SO_RCVLOWAT, 100);
	equal(get_int(p.server, SOL_SOCKET, SO_RCVLOWAT), 100);
	t = start(send_slowly, &p.client);
	equal(recv(p.server, buf, sizeof(buf), 0), 100);
	join(t);
	close_pair(p);
}

CASE("SO_RCVLOWAT: poll tells of that many, recv() that does not wait takes less")
{
	struct pair p = tcp_pair();
	char buf[20];

	set_int(p.server, SOL_SOCKET, SO_RCVLOWAT, 10);
	send_text(p.client, "12345");
	equal(poll_mask(p.server, POLLIN, 50), 0);
	equal(recv(p.server, buf, sizeof(buf), MSG_DONTWAIT), 5);
	send_text(p.client, "123456789");
	equal(poll_mask(p.server, POLLIN, 50), 0);
	send_text(p.client, "0");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, buf, 1, 0), 1);
	equal(mask_now(p.server) & POLLIN, 0);
	set_int(p.server, SOL_SOCKET, SO_RCVLOWAT, 9);
	wait_for(p.server, POLLIN);
	expect_text(p.server, "234567890");
	close_pair(p);
}

CASE("SO_RCVLOWAT: the end, too, ends the wait")
{
	struct pair p = tcp_pair();
	char buf[20];

	set_int(p.server, SOL_SOCKET, SO_RCVLOWAT, 10);
	send_text(p.client, "12345");
	must(close(p.client));
	wait_for(p.server, POLLIN);
	equal(recv(p.server, buf, sizeof(buf), 0), 5);
	expect_eof(p.server);
	must(close(p.server));
}

CASE("MSG_PEEK | MSG_WAITALL of more than there is: not waited for where nothing comes")
{
	struct pair p = tcp_pair();
	char text[16];

	send_text(p.client, "abc");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, text, 10, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT), 3);
	set_nonblock(p.server, true);
	equal(recv(p.server, text, 10, MSG_PEEK | MSG_WAITALL), 3);
	set_nonblock(p.server, false);
	must(shutdown(p.client, SHUT_WR));
	equal(recv(p.server, text, 10, MSG_PEEK | MSG_WAITALL), 3);
	equal(recv(p.server, text, 10, MSG_WAITALL), 3);
	close_pair(p);
}

CASE("MSG_PEEK | MSG_WAITALL with SO_RCVTIMEO")
{
	struct pair p = tcp_pair();
	struct timeval t = {.tv_usec = 200000};
	char text[16];

	must(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	send_text(p.client, "abc");
	wait_for(p.server, POLLIN);
	equal(recv(p.server, text, 10, MSG_PEEK | MSG_WAITALL), 3);
	close_pair(p);
}
