/* connect() on a blocking socket. */
#include "net.h"

/* A port that refuses, and that nobody else takes: bound, not listening. */
static int refusing(struct sockaddr_in *where)
{
	return tcp_bound(where);
}

CASE("connect() names both ends")
{
	struct sockaddr_in where, name;
	int listener = tcp_listener(&where, 1), client = tcp_dial(&where), server;

	server = tcp_accept(listener);
	name = local_name(client);
	check(name.sin_port != 0);
	equal(name.sin_addr.s_addr, where.sin_addr.s_addr);
	check(same_name(peer_name(client), where));
	check(same_name(local_name(server), where));
	check(same_name(peer_name(server), name));
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("connect() to a port without a listener: ECONNREFUSED")
{
	struct sockaddr_in where;
	int holder = refusing(&where), fd = tcp();

	fails(connect_to(fd, &where), ECONNREFUSED);
	equal(take_error(fd), 0);
	must(close(fd));
	must(close(holder));
}

CASE("connect() refused, then again on the same socket once somebody listens")
{
	struct sockaddr_in where;
	int listener = refusing(&where), fd = tcp(), server;

	for (int i = 0; i < 3; i++)
		fails(connect_to(fd, &where), ECONNREFUSED);
	must(listen(listener, 1));
	must(connect_to(fd, &where));
	server = tcp_accept(listener);
	send_text(fd, "at last");
	expect_text(server, "at last");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("connect() refused, then recv(): ENOTCONN, and send(): EPIPE")
{
	struct sockaddr_in where;
	char c;
	int holder = refusing(&where), fd = tcp();

	fails(connect_to(fd, &where), ECONNREFUSED);
	fails(recv(fd, &c, 1, 0), ENOTCONN);
	fails(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(close(fd));
	must(close(holder));
}

CASE("connect() refused keeps the address and port that bind() gave")
{
	struct sockaddr_in where, name;
	int holder = refusing(&where), fd = tcp_bound(&name);

	fails(connect_to(fd, &where), ECONNREFUSED);
	equal(local_name(fd).sin_addr.s_addr, name.sin_addr.s_addr);
	must(close(fd));
	must(close(holder));
}

CASE("connect() to port 0: ECONNREFUSED")
{
	struct sockaddr_in where = here(0);
	int fd = tcp();

	fails(connect_to(fd, &where), ECONNREFUSED);
	must(close(fd));
}

CASE("connect() of a connected socket: EISCONN")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 2), fd = tcp_dial(&where), server;

	fails(connect_to(fd, &where), EISCONN);
	server = tcp_accept(listener);
	fails(connect_to(server, &where), EISCONN);
	send_text(fd, "unharmed");
	expect_text(server, "unharmed");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("connect() to AF_UNSPEC dissolves a connection; the socket connects again")
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sockaddr_in where, name;
	socklen_t len = sizeof(name);
	char c;
	int listener = tcp_listener(&where, 2), fd = tcp_dial(&where), server;

	server = tcp_accept(listener);
	must(connect(fd, &nowhere, sizeof(nowhere)));
	fails(getpeername(fd, SA(&name), &len), ENOTCONN);
	fails(recv(server, &c, 1, 0), ECONNRESET);
	must(close(server));
	must(connect_to(fd, &where));
	server = tcp_accept(listener);
	send_text(server, "second");
	expect_text(fd, "second");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("connect() to AF_UNSPEC on a socket that was never connected")
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	int fd = tcp();

	must(connect(fd, &nowhere, sizeof(nowhere)));
	must(close(fd));
}

CASE("connect() with another family: EAFNOSUPPORT")
{
	struct sockaddr_in where = here(1);
	int fd = tcp();

	where.sin_family = AF_UNIX;
	fails(connect_to(fd, &where), EAFNOSUPPORT);
	must(close(fd));
}

CASE("connect() with too short an address: EINVAL")
{
	struct sockaddr_in where = here(1);
	int fd = tcp();

	fails(connect(fd, SA(&where), sizeof(where) - 1), EINVAL);
	fails(connect(fd, SA(&where), 1), EINVAL);
	must(close(fd));
}

CASE("connect() to a broadcast or multicast address: ENETUNREACH")
{
	const char *ip[] = {"255.255.255.255", "224.0.0.1"};

	for (int i = 0; i < 2; i++) {
		struct sockaddr_in where = at(ip[i], 80);
		int fd = tcp();

		fails(connect_to(fd, &where), ENETUNREACH);
		must(close(fd));
	}
}

CASE("connect() to 0.0.0.0 reaches this host")
{
	struct sockaddr_in any = at("0.0.0.0", 0);
	int listener = tcp(), client, server;

	must(bind_to(listener, &any));
	must(listen(listener, 1));
	any = local_name(listener);
	client = tcp_dial(&any);
	server = tcp_accept(listener);
	check(peer_name(client).sin_addr.s_addr != INADDR_ANY);
	check(same_name(peer_name(client), local_name(server)));
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("connect() of a socket to itself: a simultaneous open")
{
	struct sockaddr_in where;
	int fd = tcp_bound(&where);

	must(connect_to(fd, &where));
	check(same_name(peer_name(fd), where));
	send_text(fd, "mirror");
	expect_text(fd, "mirror");
	must(close(fd));
}

CASE("connect() twice with one local port: to another place, fine; to the same: EADDRNOTAVAIL")
{
	struct sockaddr_in one, two, name = here(0);
	int x = tcp_listener(&one, 2), y = tcp_listener(&two, 2), fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = tcp();
		set_int(fd[i], SOL_SOCKET, SO_REUSEADDR, 1);
		must(bind_to(fd[i], &name));
		name = local_name(fd[i]);
	}
	must(connect_to(fd[0], &one));
	must(connect_to(fd[1], &two));
	fails(connect_to(fd[2], &two), EADDRNOTAVAIL);
	for (int i = 0; i < 3; i++)
		must(close(fd[i]));
	must(close(x));
	must(close(y));
}

CASE("connect() picks a port of the ephemeral range, each time another while they live")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 200), fd[200];
	static bool taken[65536];

	for (int i = 0; i < 200; i++) {
		int port;

		fd[i] = tcp_dial(&where);
		port = ntohs(local_name(fd[i]).sin_port);
		check(port >= 1024 && !taken[port]);
		taken[port] = true;
	}
	for (int i = 0; i < 200; i++)
		must(close(fd[i]));
	must(close(listener));
}

CASE("connect() from 127.0.0.1 by default, from another loopback address if bound to it")
{
	struct sockaddr_in where = at("127.0.0.1", 0), from = at("127.5.5.5", 0);
	int listener = tcp(), client, server;

	must(bind_to(listener, &where));
	must(listen(listener, 2));
	where = local_name(listener);
	client = tcp_dial(&where);
	server = tcp_accept(listener);
	equal(peer_name(server).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	must(close(client));
	must(close(server));
	client = tcp();
	must(bind_to(client, &from));
	must(connect_to(client, &where));
	server = tcp_accept(listener);
	equal(peer_name(server).sin_addr.s_addr, from.sin_addr.s_addr);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("connect() 1,000 times, one after the other, each with a byte there and back")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1);

	for (int i = 0; i < 1000; i++) {
		int client = tcp_dial(&where), server = tcp_accept(listener);

		send_text(client, "q");
		expect_text(server, "q");
		send_text(server, "a");
		expect_text(client, "a");
		must(close(client));
		must(close(server));
	}
	must(close(listener));
}
