/* bind(): whose port it is. */
#include "net.h"

static int reusing(int option)
{
	int fd = tcp();

	set_int(fd, SOL_SOCKET, option, 1);
	return fd;
}

CASE("bind() to port 0 takes a free port of that address")
{
	struct sockaddr_in a, b, want = here(0);
	int x = tcp_bound(&a), y = tcp_bound(&b);

	equal(a.sin_addr.s_addr, want.sin_addr.s_addr);
	check(a.sin_port != 0 && b.sin_port != 0 && a.sin_port != b.sin_port);
	check(ntohs(a.sin_port) >= 1024);
	must(close(x));
	must(close(y));
}

CASE("bind() to a port in use: EADDRINUSE, and the socket may bind elsewhere")
{
	struct sockaddr_in a, zero = here(0);
	int x = tcp_bound(&a), y = tcp();

	fails(bind_to(y, &a), EADDRINUSE);
	must(bind_to(y, &zero));
	check(local_name(y).sin_port != a.sin_port);
	must(close(x));
	must(close(y));
}

CASE("bind() twice: EINVAL")
{
	struct sockaddr_in a, zero = here(0);
	int fd = tcp_bound(&a);

	fails(bind_to(fd, &zero), EINVAL);
	check(same_name(local_name(fd), a));
	must(close(fd));
}

CASE("bind() of a connected socket: EINVAL")
{
	struct sockaddr_in zero = here(0);
	struct pair p = tcp_pair();

	fails(bind_to(p.client, &zero), EINVAL);
	fails(bind_to(p.server, &zero), EINVAL);
	close_pair(p);
}

CASE("bind() to an address that is not ours: EADDRNOTAVAIL")
{
	struct sockaddr_in a = at("198.51.100.77", 0);
	int fd = tcp();

	fails(bind_to(fd, &a), EADDRNOTAVAIL);
	must(close(fd));
}

CASE("bind() to the wildcard when one address has the port: EADDRINUSE")
{
	struct sockaddr_in a, any;
	int x = tcp_bound(&a), y = tcp();

	any = at("0.0.0.0", ntohs(a.sin_port));
	fails(bind_to(y, &any), EADDRINUSE);
	must(close(x));
	must(bind_to(y, &any));
	must(close(y));
}

CASE("bind() to one address when the wildcard has the port: EADDRINUSE")
{
	struct sockaddr_in any = at("0.0.0.0", 0), a;
	int x = tcp(), y = tcp();

	must(bind_to(x, &any));
	a = here(ntohs(local_name(x).sin_port));
	fails(bind_to(y, &a), EADDRINUSE);
	must(close(x));
	must(close(y));
}

CASE("bind() of the same port on two addresses of ours")
{
	struct sockaddr_in a = at("127.0.0.2", 0), b;
	int x = tcp(), y = tcp();

	must(bind_to(x, &a));
	b = at("127.0.0.3", ntohs(local_name(x).sin_port));
	must(bind_to(y, &b));
	must(listen(x, 1));
	must(listen(y, 1));
	must(close(x));
	must(close(y));
}

CASE("all of 127.0.0.0/8 is ours: a listener on 127.9.8.7 is reached there alone")
{
	struct sockaddr_in a = at("127.9.8.7", 0), other;
	int listener = tcp(), client, server, refused = tcp();

	must(bind_to(listener, &a));
	must(listen(listener, 1));
	a = local_name(listener);
	client = tcp_dial(&a);
	server = tcp_accept(listener);
	check(same_name(local_name(server), a));
	other = at("127.9.8.8", ntohs(a.sin_port));
	fails(connect_to(refused, &other), ECONNREFUSED);
	must(close(refused));
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("a listener on the wildcard is reached on every address of ours")
{
	struct sockaddr_in any = at("0.0.0.0", 0), name;
	const char *ip[] = {"127.0.0.1", "127.1.2.3", test_addr()};
	int listener = tcp();

	must(bind_to(listener, &any));
	must(listen(listener, 4));
	equal(local_name(listener).sin_addr.s_addr, INADDR_ANY);
	for (int i = 0; i < 3; i++) {
		int client, server;

		name = at(ip[i], ntohs(local_name(listener).sin_port));
		client = tcp_dial(&name);
		server = tcp_accept(listener);
		check(same_name(local_name(server), name));
		must(close(client));
		must(close(server));
	}
	must(close(listener));
}

CASE("SO_REUSEADDR on both: one port for two sockets that do not listen")
{
	struct sockaddr_in a = here(0);
	int x = reusing(SO_REUSEADDR), y = reusing(SO_REUSEADDR);

	must(bind_to(x, &a));
	a = local_name(x);
	must(bind_to(y, &a));
	must(close(x));
	must(close(y));
}

CASE("SO_REUSEADDR on one of them only: EADDRINUSE")
{
	struct sockaddr_in a, b = here(0);
	int x = tcp_bound(&a), y = reusing(SO_REUSEADDR), z = tcp();

	fails(bind_to(y, &a), EADDRINUSE);
	must(bind_to(y, &b));
	b = local_name(y);
	fails(bind_to(z, &b), EADDRINUSE);
	must(close(x));
	must(close(y));
	must(close(z));
}

CASE("SO_REUSEADDR does not share a port with a listener")
{
	struct sockaddr_in a = here(0), any;
	int x = reusing(SO_REUSEADDR), y = reusing(SO_REUSEADDR);

	must(bind_to(x, &a));
	must(listen(x, 1));
	a = local_name(x);
	any = at("0.0.0.0", ntohs(a.sin_port));
	fails(bind_to(y, &a), EADDRINUSE);
	fails(bind_to(y, &any), EADDRINUSE);
	must(close(x));
	must(close(y));
}

CASE("SO_REUSEADDR: of two sockets with one port only one may listen")
{
	struct sockaddr_in a = here(0);
	int x = reusing(SO_REUSEADDR), y = reusing(SO_REUSEADDR);

	must(bind_to(x, &a));
	a = local_name(x);
	must(bind_to(y, &a));
	must(listen(x, 1));
	fails(listen(y, 1), EADDRINUSE);
	must(close(x));
	must(listen(y, 1));
	must(close(y));
}

CASE("SO_REUSEPORT on both: one port for two listeners")
{
	struct sockaddr_in a = here(0);
	int x = reusing(SO_REUSEPORT), y = reusing(SO_REUSEPORT), client[20], accepted = 0;

	must(bind_to(x, &a));
	must(listen(x, 20));
	a = local_name(x);
	must(bind_to(y, &a));
	must(listen(y, 20));
	for (int i = 0; i < 20; i++)
		client[i] = tcp_dial(&a);
	while (accepted < 20) {
		struct pollfd p[2] = {{.fd = x, .events = POLLIN}, {.fd = y, .events = POLLIN}};

		check(must(poll(p, 2, LONG_MS)) > 0);
		for (int i = 0; i < 2; i++)
			if (p[i].revents & POLLIN) {
				must(close(tcp_accept(p[i].fd)));
				accepted++;
			}
	}
	for (int i = 0; i < 20; i++)
		must(close(client[i]));
	must(close(x));
	must(close(y));
}

CASE("close() of a bound socket frees its port at once")
{
	struct sockaddr_in a = lasting_name();

	for (int i = 0; i < 200; i++) {
		int fd = tcp();

		must(bind_to(fd, &a));
		must(close(fd));
	}
}

/* The accepted end closes first: it keeps the port in TIME-WAIT. */
static void make_time_wait(struct sockaddr_in *where, bool reuse)
{
	struct sockaddr_in a = here(0);
	int listener = reuse ? reusing(SO_REUSEADDR) : tcp(), client, server;

	must(bind_to(listener, &a));
	must(listen(listener, 1));
	*where = local_name(listener);
	client = tcp_dial(where);
	server = tcp_accept(listener);
	must(shutdown(server, SHUT_WR));
	expect_eof(client);
	must(close(client));
	expect_eof(server);
	must(close(server));
	must(close(listener));
}

CASE("a port with a connection in TIME-WAIT: EADDRINUSE without SO_REUSEADDR")
{
	struct sockaddr_in a;
	int fd = tcp();

	make_time_wait(&a, false);
	fails(bind_to(fd, &a), EADDRINUSE);
	must(close(fd));
}

CASE("a port with a connection in TIME-WAIT: a server with SO_REUSEADDR starts again")
{
	struct sockaddr_in a;
	int listener = reusing(SO_REUSEADDR), client, server;

	make_time_wait(&a, true);
	must(bind_to(listener, &a));
	must(listen(listener, 1));
	client = tcp_dial(&a);
	server = tcp_accept(listener);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("the port of connections whose listener is gone: free only to SO_REUSEADDR")
{
	struct sockaddr_in a = here(0);
	int listener = reusing(SO_REUSEADDR), client, server, plain = tcp(), again;

	must(bind_to(listener, &a));
	must(listen(listener, 1));
	a = local_name(listener);
	client = tcp_dial(&a);
	server = tcp_accept(listener);
	must(close(listener));
	fails(bind_to(plain, &a), EADDRINUSE);
	again = reusing(SO_REUSEADDR);
	must(bind_to(again, &a));
	must(listen(again, 1));
	send_text(client, "still there");
	expect_text(server, "still there");
	must(close(again));
	must(close(plain));
	must(close(client));
	must(close(server));
}

CASE("bind() with too short an address: EINVAL")
{
	struct sockaddr_in a = here(0);
	int fd = tcp();

	fails(bind(fd, SA(&a), sizeof(a) - 1), EINVAL);
	fails(bind(fd, SA(&a), 0), EINVAL);
	must(close(fd));
}

CASE("bind() with another family: EAFNOSUPPORT")
{
	struct sockaddr_in a = here(0);
	int fd = tcp();

	a.sin_family = AF_UNIX;
	fails(bind_to(fd, &a), EAFNOSUPPORT);
	a.sin_family = AF_UNSPEC;
	fails(bind_to(fd, &a), EAFNOSUPPORT);
	must(close(fd));
}

CASE("bind() with AF_UNSPEC and the wildcard is AF_INET")
{
	struct sockaddr_in a = {.sin_family = AF_UNSPEC};
	int fd = tcp();

	must(bind_to(fd, &a));
	equal(local_name(fd).sin_family, AF_INET);
	check(local_name(fd).sin_port != 0);
	must(close(fd));
}

CASE("bind() before connect(): the peer sees that port")
{
	struct sockaddr_in a, where;
	int listener = tcp_listener(&where, 1), client = tcp_bound(&a), server;

	must(connect_to(client, &where));
	server = tcp_accept(listener);
	check(same_name(peer_name(server), a));
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("bind() to the wildcard before connect(): the address is chosen, the port kept")
{
	struct sockaddr_in any = at("0.0.0.0", 0), where;
	int listener = tcp_listener(&where, 1), client = tcp(), port;

	must(bind_to(client, &any));
	port = local_name(client).sin_port;
	must(connect_to(client, &where));
	equal(local_name(client).sin_port, port);
	check(local_name(client).sin_addr.s_addr != INADDR_ANY);
	must(close(client));
	must(close(listener));
}
