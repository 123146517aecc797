/* TCP Fast Open (RFC 7413): options, and connect() and send() in one. The kernel that the tests run
 * on gives no cookies (tcp_fastopen is 1): there each connection begins in the ordinary way. Ours
 * does; so what must not go with a SYN comes before the first cookie. */
#include "net.h"

static void refuses(int fd, int name, int value, int error)
{
	fails(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)), error);
}

static ssize_t send_open(int fd, const char *text, int flags, const struct sockaddr_in *to)
{
	return sendto(fd, text, strlen(text), MSG_FASTOPEN | flags, (const struct sockaddr *)to,
		      to ? sizeof(*to) : 0);
}

CASE("TCP_FASTOPEN: 0; the queue's length, at most somaxconn; not when connected")
{
	struct sockaddr_in where;
	int fd = tcp_listener(&where, 5);
	struct pair p = tcp_pair();

	equal(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
	set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, 5);
	equal(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 5);
	set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, 100000);
	equal(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN), 4096);
	refuses(fd, TCP_FASTOPEN, -1, EINVAL);
	refuses(p.client, TCP_FASTOPEN, 5, EINVAL);
	equal(get_int(p.server, IPPROTO_TCP, TCP_FASTOPEN), 0);
	close_pair(p);
	must(close(fd));
}

CASE("TCP_FASTOPEN_CONNECT: 0 or 1, before connect() only")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 5);
	struct pair p = tcp_pair();
	int fd = tcp();

	equal(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 0);
	set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	equal(get_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 1);
	refuses(fd, TCP_FASTOPEN_CONNECT, 2, EINVAL);
	refuses(fd, TCP_FASTOPEN_CONNECT, -1, EINVAL);
	refuses(listener, TCP_FASTOPEN_CONNECT, 1, EINVAL);
	refuses(p.client, TCP_FASTOPEN_CONNECT, 1, EINVAL);
	close_pair(p);
	must(close(listener));
	must(close(fd));
}

CASE("TCP_FASTOPEN_NO_COOKIE: 0 or 1, also of a listener; not when connected")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 5);
	struct pair p = tcp_pair();

	equal(get_int(listener, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE), 0);
	set_int(listener, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1);
	equal(get_int(listener, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE), 1);
	refuses(listener, TCP_FASTOPEN_NO_COOKIE, 2, EINVAL);
	refuses(p.client, TCP_FASTOPEN_NO_COOKIE, 1, EINVAL);
	close_pair(p);
	must(close(listener));
}

CASE("TCP_FASTOPEN_KEY: 16 or 32 bytes")
{
	int fd = tcp();
	char key[32], got[64];
	socklen_t len = sizeof(got);

	memset(key, 'k', sizeof(key));
	fails(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 15), EINVAL);
	fails(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 0), EINVAL);
	must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 16));
	must(getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len));
	equal(len, 16);
	must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 32));
	len = sizeof(got);
	must(getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, got, &len));
	equal(len, 32);
	check(memcmp(got, key, 32) == 0);
	must(close(fd));
}

CASE("MSG_FASTOPEN of a connected socket: EISCONN; to AF_UNSPEC: EOPNOTSUPP; to nowhere: "
     "ECONNREFUSED")
{
	struct pair p = tcp_pair();
	struct sockaddr_in where = peer_name(p.client), nobody = lasting_name();
	struct sockaddr_in none = {.sin_family = AF_UNSPEC};
	int fd = tcp();

	fails(send_open(p.client, "x", MSG_NOSIGNAL, &where), EISCONN);
	fails(send_open(fd, "x", MSG_NOSIGNAL, &none), EOPNOTSUPP);
	fails(send_open(fd, "x", MSG_NOSIGNAL, &nobody), ECONNREFUSED);
	must(close(fd));
	close_pair(p);
}

CASE("MSG_FASTOPEN without waiting: EINPROGRESS, and the text is not sent")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 5), fd = tcp(), peer;

	set_nonblock(fd, true);
	fails(send_open(fd, "lost", 0, &where), EINPROGRESS);
	wait_for(fd, POLLOUT);
	equal(take_error(fd), 0);
	send_text(fd, "kept");
	peer = tcp_accept(listener);
	expect_text(peer, "kept");
	must(close(peer));
	must(close(fd));
	must(close(listener));
}

CASE("sendto() with MSG_FASTOPEN connects and sends, again and again")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 5);

	set_int(listener, IPPROTO_TCP, TCP_FASTOPEN, 5);
	for (int i = 0; i < 3; i++) {
		int fd = tcp(), peer;

		equal(send_open(fd, "hello", 0, &where), 5);
		peer = tcp_accept(listener);
		expect_text(peer, "hello");
		send_text(peer, "world");
		expect_text(fd, "world");
		send_text(fd, "more");
		expect_text(peer, "more");
		check(same_name(peer_name(fd), where));
		must(close(peer));
		expect_eof(fd);
		must(close(fd));
	}
	must(close(listener));
}

CASE("sendmsg() with MSG_FASTOPEN connects and sends")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 5), fd = tcp(), peer;
	struct iovec iov[] = {{(void *)"he", 2}, {(void *)"llo", 3}};
	struct msghdr msg = {
	    .msg_name = &where, .msg_namelen = sizeof(where), .msg_iov = iov, .msg_iovlen = 2};

	equal(sendmsg(fd, &msg, MSG_FASTOPEN), 5);
	peer = tcp_accept(listener);
	expect_text(peer, "hello");
	must(close(peer));
	must(close(fd));
	must(close(listener));
}

CASE("TCP_FASTOPEN_CONNECT: connect(), then write()")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 5);

	set_int(listener, IPPROTO_TCP, TCP_FASTOPEN, 5);
	for (int i = 0; i < 3; i++) {
		int fd = tcp(), peer;

		set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
		must(connect(fd, (struct sockaddr *)&where, sizeof(where)));
		send_text(fd, "hello");
		peer = tcp_accept(listener);
		expect_text(peer, "hello");
		send_text(peer, "world");
		expect_text(fd, "world");
		must(close(peer));
		must(close(fd));
	}
	must(close(listener));
}
