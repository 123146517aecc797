/* getsockname() and getpeername(). */
#include "net.h"

CASE("getsockname() of a fresh socket: 0.0.0.0, port 0")
{
	int fd = tcp();
	struct sockaddr_in a = local_name(fd);

	equal(a.sin_family, AF_INET);
	equal(a.sin_addr.s_addr, INADDR_ANY);
	equal(a.sin_port, 0);
	must(close(fd));
}

CASE("getsockname() writes sin_zero as zeros and not one byte more")
{
	struct sockaddr_in where;
	unsigned char room[32];
	socklen_t len = sizeof(room);
	int fd = tcp_bound(&where);

	memset(room, 0xee, sizeof(room));
	must(getsockname(fd, SA(room), &len));
	equal(len, 16);
	for (int i = 8; i < 16; i++)
		equal(room[i], 0);
	for (int i = 16; i < 32; i++)
		equal(room[i], 0xee);
	must(close(fd));
}

CASE("getsockname() cuts to the room given and tells the length")
{
	struct sockaddr_in where;
	unsigned char room[16];
	socklen_t len = 4;
	int fd = tcp_bound(&where);

	memset(room, 0xee, sizeof(room));
	must(getsockname(fd, SA(room), &len));
	equal(len, 16);
	equal(memcmp(room, &where, 4), 0);
	for (int i = 4; i < 16; i++)
		equal(room[i], 0xee);
	len = 0;
	must(getsockname(fd, SA(room), &len));
	equal(len, 16);
	must(close(fd));
}

CASE("getsockname() and getpeername() with a negative length: EINVAL")
{
	struct pair p = tcp_pair();
	struct sockaddr_in a;
	socklen_t len = -1;

	fails(getsockname(p.client, SA(&a), &len), EINVAL);
	len = -1;
	fails(getpeername(p.client, SA(&a), &len), EINVAL);
	close_pair(p);
}

CASE("getpeername() cuts to the room given and tells the length")
{
	struct pair p = tcp_pair();
	struct sockaddr_in peer = peer_name(p.client);
	unsigned char room[16];
	socklen_t len = 7;

	memset(room, 0xee, sizeof(room));
	must(getpeername(p.client, SA(room), &len));
	equal(len, 16);
	equal(memcmp(room, &peer, 7), 0);
	equal(room[7], 0xee);
	close_pair(p);
}

CASE("getpeername() before connect(): ENOTCONN")
{
	struct sockaddr_in where;
	socklen_t len = sizeof(where);
	int fresh = tcp(), bound = tcp_bound(&where), listener = tcp_listener(&where, 1);

	fails(getpeername(fresh, SA(&where), &len), ENOTCONN);
	fails(getpeername(bound, SA(&where), &len), ENOTCONN);
	fails(getpeername(listener, SA(&where), &len), ENOTCONN);
	must(close(fresh));
	must(close(bound));
	must(close(listener));
}

CASE("the names of both ends agree")
{
	struct pair p = tcp_pair();

	check(same_name(local_name(p.client), peer_name(p.server)));
	check(same_name(peer_name(p.client), local_name(p.server)));
	close_pair(p);
}

CASE("getpeername() after the peer's FIN: still known")
{
	struct pair p = tcp_pair();
	struct sockaddr_in peer = peer_name(p.client);

	must(close(p.server));
	expect_eof(p.client);
	check(same_name(peer_name(p.client), peer));
	must(close(p.client));
}

CASE("getpeername() after both ends' FINs: ENOTCONN")
{
	for (int i = 0; i < 2; i++) {
		struct pair p = tcp_pair();
		int first = i ? p.client : p.server, second = i ? p.server : p.client;
		struct sockaddr_in a;
		socklen_t len = sizeof(a);

		must(shutdown(first, SHUT_WR));
		expect_eof(second);
		peer_name(first);
		peer_name(second);
		must(shutdown(second, SHUT_WR));
		expect_eof(first);
		sleep_ms(50);
		fails(getpeername(first, SA(&a), &len), ENOTCONN);
		fails(getpeername(second, SA(&a), &len), ENOTCONN);
		local_name(first);
		close_pair(p);
	}
}

CASE("getpeername() after a reset: ENOTCONN")
{
	struct pair p = tcp_pair();
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	reset_on_close(p.server);
	must(close(p.server));
	wait_for(p.client, POLLHUP);
	fails(getpeername(p.client, SA(&a), &len), ENOTCONN);
	must(close(p.client));
}

CASE("getsockname() of a listener stays while connections come and go")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4);

	for (int i = 0; i < 4; i++) {
		int client = tcp_dial(&where), server = tcp_accept(listener);

		check(same_name(local_name(listener), where));
		must(close(client));
		must(close(server));
	}
	must(close(listener));
}

CASE("getsockname() in a child, of a copy and of a number given by another")
{
	struct pair p = tcp_pair();
	struct sockaddr_in local = local_name(p.client), peer = peer_name(p.client);
	pid_t pid = child();

	if (pid == 0) {
		int copy = must(fcntl(p.client, F_DUPFD, 200));

		check(same_name(local_name(copy), local));
		check(same_name(peer_name(copy), peer));
		_exit(0);
	}
	reap(pid);
	close_pair(p);
}
