/* shutdown(): one direction at a time. Masks as Linux's tcp_poll() gives them. */
#include "net.h"

CASE("shutdown() before connect(): ENOTCONN")
{
	struct sockaddr_in where;
	int fresh = tcp(), bound = tcp_bound(&where);

	fails(shutdown(fresh, SHUT_WR), ENOTCONN);
	fails(shutdown(fresh, SHUT_RD), ENOTCONN);
	fails(shutdown(bound, SHUT_RDWR), ENOTCONN);
	must(close(fresh));
	must(close(bound));
}

CASE("shutdown() of no direction: EINVAL")
{
	struct pair p = tcp_pair();

	fails(shutdown(p.client, 3), EINVAL);
	fails(shutdown(p.client, -1), EINVAL);
	send_text(p.client, "open");
	expect_text(p.server, "open");
	close_pair(p);
}

CASE("SHUT_WR: the peer reads what was sent, then the end")
{
	struct pair p = tcp_pair();
	char c;

	send_text(p.client, "last words");
	must(shutdown(p.client, SHUT_WR));
	expect_text(p.server, "last words");
	expect_eof(p.server);
	equal(recv(p.server, &c, 1, MSG_DONTWAIT), 0);
	close_pair(p);
}

CASE("SHUT_WR: the other direction goes on")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	for (int i = 0; i < 100; i++) {
		send_text(p.server, "answer");
		expect_text(p.client, "answer");
	}
	must(close(p.server));
	expect_eof(p.client);
	must(close(p.client));
}

CASE("SHUT_WR of a megabyte not yet sent: all of it comes before the end")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);

	must(shutdown(p.client, SHUT_WR));
	pattern_expect(p.server, sent, 65536);
	expect_eof(p.server);
	close_pair(p);
}

CASE("send() after SHUT_WR: EPIPE")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), EPIPE);
	close_pair(p);
}

CASE("SHUT_WR twice")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	close_pair(p);
}

CASE("SHUT_RD: recv() gives the end, send() goes on")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_RD));
	expect_eof(p.client);
	expect_eof(p.client);
	send_text(p.client, "still writing");
	expect_text(p.server, "still writing");
	close_pair(p);
}

CASE("SHUT_RD: what had come can still be read, then the end")
{
	struct pair p = tcp_pair();

	send_text(p.server, "before");
	wait_for(p.client, POLLIN);
	must(shutdown(p.client, SHUT_RD));
	expect_text(p.client, "before");
	expect_eof(p.client);
	close_pair(p);
}

CASE("SHUT_RD: the peer notices nothing")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_RD));
	send_text(p.server, "into the void");
	sleep_ms(20);
	equal(mask_now(p.server), POLLOUT);
	send_text(p.server, "again");
	close_pair(p);
}

CASE("SHUT_RDWR: the peer's end, and ours")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_RDWR));
	expect_eof(p.server);
	expect_eof(p.client);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	close_pair(p);
}

CASE("SHUT_RD and SHUT_WR one after the other is SHUT_RDWR")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_RD));
	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	equal(mask_now(p.client), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	close_pair(p);
}

static _Atomic pid_t reader;

static void *read_the_end(void *arg)
{
	reader = thread_id();
	expect_eof(*(int *)arg);
	return NULL;
}

static void wakes_reader(int how)
{
	struct pair p = tcp_pair();
	pthread_t t;

	reader = 0;
	t = start(read_the_end, &p.client);
	wait_asleep(&reader);
	must(shutdown(p.client, how));
	join(t);
	close_pair(p);
}

CASE("SHUT_RD wakes a thread in recv()")
{
	wakes_reader(SHUT_RD);
}

CASE("SHUT_RDWR wakes a thread in recv()")
{
	wakes_reader(SHUT_RDWR);
}

static _Atomic pid_t writer;

static void *write_until_epipe(void *arg)
{
	char c = 'x';

	writer = thread_id();
	fails(send(*(int *)arg, &c, 1, MSG_NOSIGNAL), EPIPE);
	return NULL;
}

CASE("SHUT_WR wakes a thread in send() with EPIPE")
{
	struct pair p = tcp_pair();
	pthread_t t;

	fill(p.client);
	t = start(write_until_epipe, &p.client);
	wait_asleep(&writer);
	must(shutdown(p.client, SHUT_WR));
	join(t);
	close_pair(p);
}

CASE("shutdown() in a child is the parent's too")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(shutdown(p.client, SHUT_WR));
		_exit(0);
	}
	reap(pid);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	expect_eof(p.server);
	close_pair(p);
}

CASE("shutdown() of a copy is every copy's")
{
	struct pair p = tcp_pair();
	int copy = must(dup(p.client));

	must(shutdown(copy, SHUT_WR));
	must(close(copy));
	expect_eof(p.server);
	fails(send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
	close_pair(p);
}

CASE("shutdown() after a reset: ENOTCONN")
{
	struct pair p = tcp_pair();

	reset_on_close(p.server);
	must(close(p.server));
	wait_for(p.client, POLLHUP);
	fails(shutdown(p.client, SHUT_WR), ENOTCONN);
	must(close(p.client));
}

CASE("mask after SHUT_WR: POLLOUT")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	sleep_ms(5);
	equal(mask_now(p.client), POLLOUT);
	close_pair(p);
}

CASE("mask after SHUT_RD: POLLIN POLLOUT POLLRDHUP")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_RD));
	equal(mask_now(p.client), POLLIN | POLLOUT | POLLRDHUP);
	close_pair(p);
}

CASE("mask after the peer's SHUT_WR: POLLIN POLLOUT POLLRDHUP, also once the end is read")
{
	struct pair p = tcp_pair();

	must(shutdown(p.server, SHUT_WR));
	wait_mask(p.client, POLLIN | POLLOUT | POLLRDHUP);
	expect_eof(p.client);
	equal(mask_now(p.client), POLLIN | POLLOUT | POLLRDHUP);
	close_pair(p);
}

CASE("mask after both ends' SHUT_WR: POLLHUP too, on both")
{
	struct pair p = tcp_pair();

	must(shutdown(p.server, SHUT_WR));
	expect_eof(p.client);
	must(shutdown(p.client, SHUT_WR));
	wait_mask(p.client, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	wait_mask(p.server, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	close_pair(p);
}

CASE("mask after SHUT_RDWR: POLLIN POLLOUT POLLRDHUP POLLHUP")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_RDWR));
	equal(mask_now(p.client), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	close_pair(p);
}

CASE("both ends SHUT_WR at the same time, text in both directions")
{
	struct pair p = tcp_pair();

	send_text(p.client, "to server");
	send_text(p.server, "to client");
	must(shutdown(p.client, SHUT_WR));
	must(shutdown(p.server, SHUT_WR));
	expect_text(p.client, "to client");
	expect_text(p.server, "to server");
	expect_eof(p.client);
	expect_eof(p.server);
	close_pair(p);
}

CASE("after SHUT_WR by both it is still that socket, until it is closed")
{
	struct pair p = tcp_pair();
	struct sockaddr_in client = local_name(p.client), server = local_name(p.server);

	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	must(shutdown(p.server, SHUT_WR));
	expect_eof(p.client);
	for (int i = 0; i < 50; i++) {
		check(same_name(local_name(p.client), client));
		check(same_name(local_name(p.server), server));
		usleep(2000);
	}
	equal(get_int(p.server, SOL_SOCKET, SO_ERROR), 0);
	expect_eof(p.server);
	close_pair(p);
}
