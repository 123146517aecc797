/* AF_INET6 stream sockets: ::1, the wildcard, v4-mapped addresses, IPV6_V6ONLY. */
#include "net.h"

static struct sockaddr_in6 at6(const char *ip, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	check(inet_pton(AF_INET6, ip, &a.sin6_addr) == 1);
	return a;
}

static int tcp6(void)
{
	return must(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int bind6(int fd, const struct sockaddr_in6 *a)
{
	return bind(fd, SA(a), sizeof(*a));
}

static int connect6(int fd, const struct sockaddr_in6 *a)
{
	return connect(fd, SA(a), sizeof(*a));
}

static struct sockaddr_in6 local6(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	must(getsockname(fd, SA(&a), &len));
	equal(len, sizeof(a));
	equal(a.sin6_family, AF_INET6);
	return a;
}

static struct sockaddr_in6 peer6(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	must(getpeername(fd, SA(&a), &len));
	equal(len, sizeof(a));
	equal(a.sin6_family, AF_INET6);
	return a;
}

static bool same6(struct sockaddr_in6 a, struct sockaddr_in6 b)
{
	return a.sin6_port == b.sin6_port && !memcmp(&a.sin6_addr, &b.sin6_addr, 16);
}

static void is_address(struct sockaddr_in6 a, const char *ip)
{
	struct sockaddr_in6 want = at6(ip, 0);

	check(!memcmp(&a.sin6_addr, &want.sin6_addr, 16));
}

static int listener6(const char *ip, bool only, struct sockaddr_in6 *name)
{
	struct sockaddr_in6 a = at6(ip, 0);
	int fd = tcp6();

	set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
	must(bind6(fd, &a));
	must(listen(fd, 4));
	*name = local6(fd);
	return fd;
}

static void talk(int a, int b)
{
	send_text(a, "there");
	expect_text(b, "there");
	send_text(b, "back");
	expect_text(a, "back");
	must(close(a));
	expect_eof(b);
	must(close(b));
}

CASE("a fresh socket: AF_INET6, ::, port 0")
{
	int fd = tcp6();

	equal(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	is_address(local6(fd), "::");
	equal(local6(fd).sin6_port, 0);
	equal(mask_now(fd), POLLOUT | POLLHUP);
	must(close(fd));
}

CASE("::1 to ::1")
{
	struct sockaddr_in6 where;
	int listener = listener6("::1", false, &where), client = tcp6(), server;

	must(connect6(client, &where));
	server = tcp_accept(listener);
	is_address(local6(client), "::1");
	check(same6(peer6(client), where));
	check(same6(local6(server), where));
	check(same6(peer6(server), local6(client)));
	talk(client, server);
	must(close(listener));
}

CASE("accept() fills a sockaddr_in6, and cuts it to the room given")
{
	struct sockaddr_in6 where, peer;
	socklen_t len = sizeof(peer);
	int listener = listener6("::1", false, &where), client = tcp6(), server;

	must(connect6(client, &where));
	server = must(accept(listener, SA(&peer), &len));
	equal(len, sizeof(peer));
	equal(peer.sin6_family, AF_INET6);
	equal(peer.sin6_scope_id, 0);
	check(same6(peer, local6(client)));
	len = 16;
	memset(&peer, 0xee, sizeof(peer));
	must(getpeername(server, SA(&peer), &len));
	equal(len, sizeof(peer));
	equal(peer.sin6_scope_id, 0xeeeeeeee);
	talk(client, server);
	must(close(listener));
}

CASE("connect() to ::1 without a listener: ECONNREFUSED")
{
	struct sockaddr_in6 where = at6("::1", 0);
	int holder = tcp6(), fd = tcp6();

	must(bind6(holder, &where));
	where = local6(holder);
	fails(connect6(fd, &where), ECONNREFUSED);
	must(close(fd));
	must(close(holder));
}

CASE("connect() to :: reaches this host")
{
	struct sockaddr_in6 where;
	int listener = listener6("::", false, &where), client = tcp6();

	must(connect6(client, &where));
	talk(client, tcp_accept(listener));
	must(close(listener));
}

CASE("the wildcard takes IPv4 too, and shows it v4-mapped")
{
	struct sockaddr_in6 where;
	struct sockaddr_in four;
	char mapped[64];
	int listener = listener6("::", false, &where), client, server;

	four = here(ntohs(where.sin6_port));
	client = tcp_dial(&four);
	server = tcp_accept(listener);
	snprintf(mapped, sizeof(mapped), "::ffff:%s", test_addr());
	is_address(local6(server), mapped);
	is_address(peer6(server), mapped);
	equal(peer6(server).sin6_port, local_name(client).sin_port);
	equal(get_int(server, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	talk(client, server);
	must(close(listener));
}

CASE("the wildcard takes ::1")
{
	struct sockaddr_in6 where;
	int listener = listener6("::", false, &where), client = tcp6(), server;

	where = at6("::1", ntohs(where.sin6_port));
	must(connect6(client, &where));
	server = tcp_accept(listener);
	is_address(peer6(server), "::1");
	talk(client, server);
	must(close(listener));
}

CASE("IPV6_V6ONLY: the wildcard refuses IPv4")
{
	struct sockaddr_in6 where;
	struct sockaddr_in four;
	int listener = listener6("::", true, &where), client = tcp();

	four = here(ntohs(where.sin6_port));
	fails(connect_to(client, &four), ECONNREFUSED);
	must(close(client));
	where = at6("::1", ntohs(where.sin6_port));
	client = tcp6();
	must(connect6(client, &where));
	talk(client, tcp_accept(listener));
	must(close(listener));
}

CASE("IPV6_V6ONLY: 0 at first; set and asked for; after bind() EINVAL")
{
	struct sockaddr_in6 a = at6("::", 0);
	int fd = tcp6(), off = 0;

	equal(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	must(bind6(fd, &a));
	fails(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), EINVAL);
	must(close(fd));
}

CASE("both wildcards on one port: EADDRINUSE, unless IPV6_V6ONLY")
{
	struct sockaddr_in any = at("0.0.0.0", 0);
	struct sockaddr_in6 any6;
	int four = tcp(), six = tcp6();

	must(bind_to(four, &any));
	any6 = at6("::", ntohs(local_name(four).sin_port));
	fails(bind6(six, &any6), EADDRINUSE);
	set_int(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	must(bind6(six, &any6));
	must(listen(four, 1));
	must(listen(six, 1));
	must(close(four));
	must(close(six));
}

CASE("the IPv6 wildcard has the port: an IPv4 address may not take it")
{
	struct sockaddr_in6 where;
	struct sockaddr_in four;
	int listener = listener6("::", false, &where), fd = tcp();

	four = here(ntohs(where.sin6_port));
	fails(bind_to(fd, &four), EADDRINUSE);
	must(close(fd));
	must(close(listener));
}

CASE("::1 and 127.0.0.1 are two addresses: one port for each")
{
	struct sockaddr_in6 where;
	struct sockaddr_in four;
	int six = listener6("::1", false, &where), fd = tcp();

	four = at("127.0.0.1", ntohs(where.sin6_port));
	must(bind_to(fd, &four));
	must(listen(fd, 1));
	must(close(fd));
	must(close(six));
}

CASE("connect() to a v4-mapped address is IPv4")
{
	struct sockaddr_in where;
	struct sockaddr_in6 mapped;
	char text[64];
	int listener = tcp_listener(&where, 4), client = tcp6(), server;

	snprintf(text, sizeof(text), "::ffff:%s", test_addr());
	mapped = at6(text, ntohs(where.sin_port));
	must(connect6(client, &mapped));
	server = tcp_accept(listener);
	check(same6(peer6(client), mapped));
	is_address(local6(client), text);
	equal(peer_name(server).sin_port, local6(client).sin6_port);
	equal(peer_name(server).sin_family, AF_INET);
	talk(client, server);
	must(close(listener));
}

CASE("connect() to a v4-mapped address with IPV6_V6ONLY: ENETUNREACH")
{
	struct sockaddr_in6 mapped = at6("::ffff:127.0.0.1", 80);
	int fd = tcp6();

	set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	fails(connect6(fd, &mapped), ENETUNREACH);
	must(close(fd));
}

CASE("bind() to a v4-mapped address, and IPv4 reaches it")
{
	struct sockaddr_in6 mapped = at6("::ffff:127.0.0.1", 0);
	struct sockaddr_in four;
	int listener = tcp6(), client, server;

	must(bind6(listener, &mapped));
	must(listen(listener, 1));
	is_address(local6(listener), "::ffff:127.0.0.1");
	four = at("127.0.0.1", ntohs(local6(listener).sin6_port));
	client = tcp_dial(&four);
	server = tcp_accept(listener);
	is_address(peer6(server), "::ffff:127.0.0.1");
	talk(client, server);
	must(close(listener));
}

CASE("bind() to a v4-mapped address with IPV6_V6ONLY: EINVAL")
{
	struct sockaddr_in6 mapped = at6("::ffff:127.0.0.1", 0);
	int fd = tcp6();

	set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	fails(bind6(fd, &mapped), EINVAL);
	must(close(fd));
}

CASE("bind() to an address that is not ours: EADDRNOTAVAIL")
{
	struct sockaddr_in6 a = at6("2001:db8::77", 0);
	int fd = tcp6();

	fails(bind6(fd, &a), EADDRNOTAVAIL);
	must(close(fd));
}

CASE("addresses too short, or of another family: EINVAL, EAFNOSUPPORT")
{
	struct sockaddr_in6 a = at6("::1", 1);
	struct sockaddr_in four = here(1);
	int fd = tcp6();

	fails(bind(fd, SA(&a), 20), EINVAL);
	fails(connect(fd, SA(&a), 20), EINVAL);
	fails(bind_to(fd, &four), EINVAL);
	fails(connect_to(fd, &four), EINVAL);
	a.sin6_family = AF_INET;
	fails(bind6(fd, &a), EAFNOSUPPORT);
	must(close(fd));
	fd = tcp();
	a.sin6_family = AF_INET6;
	fails(bind6(fd, &a), EAFNOSUPPORT);
	fails(connect6(fd, &a), EAFNOSUPPORT);
	must(close(fd));
}

CASE("a non-blocking connect() to ::1, and refused")
{
	struct sockaddr_in6 good, bad = at6("::1", 0);
	int listener = listener6("::1", false, &good), holder = tcp6();

	must(bind6(holder, &bad));
	bad = local6(holder);
	for (int i = 0; i < 2; i++) {
		int fd = must(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));

		fails(connect6(fd, i ? &bad : &good), EINPROGRESS);
		wait_for(fd, POLLOUT);
		equal(take_error(fd), i ? ECONNREFUSED : 0);
		must(close(fd));
	}
	must(close(listener));
	must(close(holder));
}

CASE("8 MB over ::1")
{
	struct sockaddr_in6 where;
	int listener = listener6("::1", false, &where), client = tcp6(), server;
	pid_t pid;

	must(connect6(client, &where));
	server = tcp_accept(listener);
	pid = child();
	if (pid == 0) {
		pattern_send(client, 8 << 20, 60000);
		_exit(0);
	}
	pattern_expect(server, 8 << 20, 65536);
	reap(pid);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("IPV6_UNICAST_HOPS: 64, 1 to 255 or -1, else EINVAL; IPV6_TCLASS")
{
	int fd = tcp6(), bad = 256;

	equal(get_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
	fails(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &bad, sizeof(bad)), EINVAL);
	set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_TCLASS), 0);
	set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
	must(close(fd));
}

CASE("IPPROTO_IPV6 on an AF_INET socket: ENOPROTOOPT or EOPNOTSUPP")
{
	int fd = tcp(), value = 1;

	equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)), -1);
	check(errno == ENOPROTOOPT || errno == EOPNOTSUPP);
	must(close(fd));
}

CASE("a link-local address without its interface: EINVAL; with an unknown one: ENODEV, ENETUNREACH")
{
	int fd = tcp6();
	struct sockaddr_in6 a = at6("fe80::1", 80);

	fails(bind6(fd, &a), EINVAL);
	fails(connect6(fd, &a), EINVAL);
	fails(connect(fd, SA(&a), 24), EINVAL);
	a.sin6_scope_id = 9999;
	fails(bind6(fd, &a), ENODEV);
	fails(connect6(fd, &a), ENETUNREACH);
	must(close(fd));
}

CASE("sin6_scope_id of a global address does not matter, and is not shown")
{
	struct sockaddr_in6 where;
	int listener = listener6("::1", false, &where), client = tcp6();

	where.sin6_scope_id = 9999;
	must(connect6(client, &where));
	equal(peer6(client).sin6_scope_id, 0);
	equal(local6(client).sin6_scope_id, 0);
	must(close(client));
	must(close(listener));
}
