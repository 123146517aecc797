/* getsockopt() and setsockopt(): SOL_SOCKET and IPPROTO_IP. */
#include "net.h"

static void refuses(int fd, int level, int name, int value, int error)
{
	fails(setsockopt(fd, level, name, &value, sizeof(value)), error);
}

CASE("switches: 0 at first, 1 once set to anything but 0")
{
	const int names[] = {SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT,
			     SO_OOBINLINE, SO_BROADCAST, SO_TIMESTAMP};
	int fd = tcp();

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		equal(get_int(fd, SOL_SOCKET, names[i]), 0);
		set_int(fd, SOL_SOCKET, names[i], 5);
		equal(get_int(fd, SOL_SOCKET, names[i]), 1);
		set_int(fd, SOL_SOCKET, names[i], 0);
		equal(get_int(fd, SOL_SOCKET, names[i]), 0);
	}
	must(close(fd));
}

CASE("SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR cannot be set: ENOPROTOOPT")
{
	const int names[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR};
	int fd = tcp();

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		refuses(fd, SOL_SOCKET, names[i], 1, ENOPROTOOPT);
	must(close(fd));
}

CASE("an option that does not exist: ENOPROTOOPT")
{
	int fd = tcp(), value;
	socklen_t len = sizeof(value);

	refuses(fd, SOL_SOCKET, 9999, 1, ENOPROTOOPT);
	fails(getsockopt(fd, SOL_SOCKET, 9999, &value, &len), ENOPROTOOPT);
	must(close(fd));
}

CASE("a level that does not exist: setting ENOPROTOOPT, getting EOPNOTSUPP or ENOPROTOOPT")
{
	int fd = tcp(), value;
	socklen_t len = sizeof(value);

	refuses(fd, 9999, 1, 1, ENOPROTOOPT);
	equal(getsockopt(fd, 9999, 1, &value, &len), -1);
	check(errno == EOPNOTSUPP || errno == ENOPROTOOPT);
	must(close(fd));
}

CASE("a value too short: EINVAL")
{
	struct linger l = {0};
	int fd = tcp(), value = 1;

	fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 3), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l) - 1), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value)), EINVAL);
	must(close(fd));
}

CASE("getsockopt() cuts to the room given, and tells the length of a value when there is more")
{
	int fd = tcp();
	unsigned char room[16];
	socklen_t len = 1;

	memset(room, 0xee, sizeof(room));
	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, room, &len));
	equal(len, 1);
	equal(room[0], SOCK_STREAM);
	equal(room[1], 0xee);
	len = sizeof(room);
	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, room, &len));
	equal(len, sizeof(int));
	equal(room[4], 0xee);
	len = 0;
	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, room, &len));
	equal(len, 0);
	len = -1;
	fails(getsockopt(fd, SOL_SOCKET, SO_TYPE, room, &len), EINVAL);
	must(close(fd));
}

CASE("SO_LINGER: off at first; what was set comes back")
{
	struct linger l = {.l_onoff = 9, .l_linger = 9};
	socklen_t len = sizeof(l);
	int fd = tcp();

	must(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	equal(len, sizeof(l));
	equal(l.l_onoff, 0);
	l = (struct linger){.l_onoff = 1, .l_linger = 42};
	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	l = (struct linger){0};
	must(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	equal(l.l_onoff, 1);
	equal(l.l_linger, 42);
	l = (struct linger){0};
	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	must(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	equal(l.l_onoff, 0);
	must(close(fd));
}

CASE("SO_SNDBUF and SO_RCVBUF: a default, and twice what was set")
{
	const int names[] = {SO_SNDBUF, SO_RCVBUF};
	int fd = tcp();

	for (int i = 0; i < 2; i++) {
		check(get_int(fd, SOL_SOCKET, names[i]) >= 16384);
		set_int(fd, SOL_SOCKET, names[i], 50000);
		equal(get_int(fd, SOL_SOCKET, names[i]), 100000);
		set_int(fd, SOL_SOCKET, names[i], 1);
		check(get_int(fd, SOL_SOCKET, names[i]) > 1000);
		check(get_int(fd, SOL_SOCKET, names[i]) < 10000);
	}
	must(close(fd));
}

CASE("SO_SNDBUF and SO_RCVBUF beyond the limit are cut, not refused")
{
	int fd = tcp();

	set_int(fd, SOL_SOCKET, SO_SNDBUF, 1 << 30);
	check(get_int(fd, SOL_SOCKET, SO_SNDBUF) >= 100000);
	set_int(fd, SOL_SOCKET, SO_RCVBUF, 1 << 30);
	check(get_int(fd, SOL_SOCKET, SO_RCVBUF) >= 100000);
	must(close(fd));
}

CASE("small SO_SNDBUF and SO_RCVBUF bound what is under way, and all of it arrives")
{
	struct sockaddr_in where;
	int listener = tcp_bound(&where), client = tcp(), server;
	size_t sent;
	pid_t pid;

	set_int(listener, SOL_SOCKET, SO_RCVBUF, 8192);
	must(listen(listener, 1));
	set_int(client, SOL_SOCKET, SO_SNDBUF, 8192);
	must(connect_to(client, &where));
	server = tcp_accept(listener);
	sent = fill(client);
	check(sent >= 1000 && sent <= 200000);
	pattern_expect(server, sent, 1000);
	pid = child();
	if (pid == 0) {
		pattern_send(client, 1000000, 33333);
		_exit(0);
	}
	pattern_expect(server, 1000000, 5000);
	reap(pid);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("SO_RCVTIMEO and SO_SNDTIMEO: none at first; what was set comes back")
{
	const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};
	int fd = tcp();

	for (int i = 0; i < 2; i++) {
		struct timeval t = {.tv_sec = 9};
		socklen_t len = sizeof(t);

		must(getsockopt(fd, SOL_SOCKET, names[i], &t, &len));
		equal(len, sizeof(t));
		equal(t.tv_sec, 0);
		equal(t.tv_usec, 0);
		t = (struct timeval){.tv_sec = 3, .tv_usec = 500000};
		must(setsockopt(fd, SOL_SOCKET, names[i], &t, sizeof(t)));
		must(getsockopt(fd, SOL_SOCKET, names[i], &t, &len));
		equal(t.tv_sec, 3);
		equal(t.tv_usec, 500000);
		t.tv_usec = 1000000;
		fails(setsockopt(fd, SOL_SOCKET, names[i], &t, sizeof(t)), EDOM);
	}
	must(close(fd));
}

CASE("SO_ERROR of a healthy socket: 0")
{
	struct pair p = tcp_pair();

	equal(take_error(p.client), 0);
	equal(take_error(p.server), 0);
	close_pair(p);
}

CASE("SO_RCVLOWAT and SO_SNDLOWAT are 1; SO_SNDLOWAT cannot be set")
{
	int fd = tcp();

	equal(get_int(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
	equal(get_int(fd, SOL_SOCKET, SO_SNDLOWAT), 1);
	refuses(fd, SOL_SOCKET, SO_SNDLOWAT, 2, ENOPROTOOPT);
	must(close(fd));
}

CASE("SO_PRIORITY")
{
	int fd = tcp();

	equal(get_int(fd, SOL_SOCKET, SO_PRIORITY), 0);
	set_int(fd, SOL_SOCKET, SO_PRIORITY, 4);
	equal(get_int(fd, SOL_SOCKET, SO_PRIORITY), 4);
	must(close(fd));
}

CASE("SO_PEERCRED of a TCP connection: nobody")
{
	struct pair p = tcp_pair();
	struct ucred who;
	socklen_t len = sizeof(who);

	must(getsockopt(p.client, SOL_SOCKET, SO_PEERCRED, &who, &len));
	equal(len, sizeof(who));
	equal(who.pid, 0);
	equal((int)who.uid, -1);
	equal((int)who.gid, -1);
	close_pair(p);
}

CASE("IP_TTL: 64, 1 to 255, else EINVAL; -1 is the default again")
{
	int fd = tcp();

	equal(get_int(fd, IPPROTO_IP, IP_TTL), 64);
	set_int(fd, IPPROTO_IP, IP_TTL, 7);
	equal(get_int(fd, IPPROTO_IP, IP_TTL), 7);
	refuses(fd, IPPROTO_IP, IP_TTL, 0, EINVAL);
	refuses(fd, IPPROTO_IP, IP_TTL, 256, EINVAL);
	set_int(fd, IPPROTO_IP, IP_TTL, -1);
	equal(get_int(fd, IPPROTO_IP, IP_TTL), 64);
	must(close(fd));
}

CASE("IP_TOS, also as one byte; TCP keeps the ECN bits to itself")
{
	int fd = tcp();
	unsigned char tos = 0x08;

	equal(get_int(fd, IPPROTO_IP, IP_TOS), 0);
	set_int(fd, IPPROTO_IP, IP_TOS, 0x10);
	equal(get_int(fd, IPPROTO_IP, IP_TOS), 0x10);
	must(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, 1));
	equal(get_int(fd, IPPROTO_IP, IP_TOS), 0x08);
	set_int(fd, IPPROTO_IP, IP_TOS, 0x13);
	equal(get_int(fd, IPPROTO_IP, IP_TOS), 0x10);
	must(close(fd));
}

CASE("IP_RECVERR, IP_MTU_DISCOVER")
{
	int fd = tcp();

	equal(get_int(fd, IPPROTO_IP, IP_RECVERR), 0);
	set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	equal(get_int(fd, IPPROTO_IP, IP_RECVERR), 1);
	set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	equal(get_int(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DO);
	refuses(fd, IPPROTO_IP, IP_MTU_DISCOVER, 77, EINVAL);
	must(close(fd));
}

CASE("options set before connect() and listen() hold after")
{
	struct sockaddr_in where;
	int listener = tcp_bound(&where), client = tcp(), server;

	set_int(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(client, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(client, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(client, IPPROTO_IP, IP_TTL, 33);
	must(listen(listener, 1));
	must(connect_to(client, &where));
	server = tcp_accept(listener);
	equal(get_int(listener, SOL_SOCKET, SO_KEEPALIVE), 1);
	equal(get_int(client, SOL_SOCKET, SO_KEEPALIVE), 1);
	equal(get_int(client, IPPROTO_TCP, TCP_NODELAY), 1);
	equal(get_int(client, IPPROTO_IP, IP_TTL), 33);
	must(close(client));
	must(close(server));
	must(close(listener));
}
