/* getsockopt() and setsockopt(): IPPROTO_TCP, and TCP_INFO. */
#include "net.h"

enum { ESTABLISHED = 1, FIN_WAIT2 = 5, CLOSED = 7, CLOSE_WAIT = 8, LISTENING = 10 };

static void refuses(int fd, int name, int value, int error)
{
	fails(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)), error);
}

static struct tcp_info info(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	memset(&i, 0xee, sizeof(i));
	must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	equal(len, sizeof(i));
	return i;
}

CASE("TCP_NODELAY, TCP_CORK: 0 at first, 1 once set to anything but 0")
{
	const int names[] = {TCP_NODELAY, TCP_CORK};
	int fd = tcp();

	for (int i = 0; i < 2; i++) {
		equal(get_int(fd, IPPROTO_TCP, names[i]), 0);
		set_int(fd, IPPROTO_TCP, names[i], 17);
		equal(get_int(fd, IPPROTO_TCP, names[i]), 1);
		set_int(fd, IPPROTO_TCP, names[i], 0);
		equal(get_int(fd, IPPROTO_TCP, names[i]), 0);
	}
	must(close(fd));
}

CASE("TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT: 7200, 75, 9; in bounds; else EINVAL")
{
	const struct {
		int name, first, most;
	} o[] = {{TCP_KEEPIDLE, 7200, 32767}, {TCP_KEEPINTVL, 75, 32767}, {TCP_KEEPCNT, 9, 127}};
	int fd = tcp();

	for (int i = 0; i < 3; i++) {
		equal(get_int(fd, IPPROTO_TCP, o[i].name), o[i].first);
		set_int(fd, IPPROTO_TCP, o[i].name, 1);
		equal(get_int(fd, IPPROTO_TCP, o[i].name), 1);
		set_int(fd, IPPROTO_TCP, o[i].name, o[i].most);
		equal(get_int(fd, IPPROTO_TCP, o[i].name), o[i].most);
		refuses(fd, o[i].name, 0, EINVAL);
		refuses(fd, o[i].name, o[i].most + 1, EINVAL);
		equal(get_int(fd, IPPROTO_TCP, o[i].name), o[i].most);
	}
	must(close(fd));
}

CASE("TCP_USER_TIMEOUT: 0; milliseconds; negative EINVAL")
{
	int fd = tcp();

	equal(get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	equal(get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	refuses(fd, TCP_USER_TIMEOUT, -1, EINVAL);
	must(close(fd));
}

CASE("TCP_SYNCNT: 6; 1 to 127")
{
	int fd = tcp();

	equal(get_int(fd, IPPROTO_TCP, TCP_SYNCNT), 6);
	set_int(fd, IPPROTO_TCP, TCP_SYNCNT, 2);
	equal(get_int(fd, IPPROTO_TCP, TCP_SYNCNT), 2);
	refuses(fd, TCP_SYNCNT, 0, EINVAL);
	refuses(fd, TCP_SYNCNT, 128, EINVAL);
	must(close(fd));
}

CASE("TCP_LINGER2: 60; what was set comes back; negative -1")
{
	int fd = tcp();

	equal(get_int(fd, IPPROTO_TCP, TCP_LINGER2), 60);
	set_int(fd, IPPROTO_TCP, TCP_LINGER2, 7);
	equal(get_int(fd, IPPROTO_TCP, TCP_LINGER2), 7);
	set_int(fd, IPPROTO_TCP, TCP_LINGER2, -3);
	equal(get_int(fd, IPPROTO_TCP, TCP_LINGER2), -1);
	must(close(fd));
}

CASE("TCP_MAXSEG: of a connection, and bounds")
{
	struct pair p = tcp_pair();
	int fd = tcp();

	check(get_int(p.client, IPPROTO_TCP, TCP_MAXSEG) >= 536);
	set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
	refuses(fd, TCP_MAXSEG, 10, EINVAL);
	refuses(fd, TCP_MAXSEG, 40000, EINVAL);
	must(close(fd));
	close_pair(p);
}

CASE("TCP_MAXSEG set before connect() holds")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = tcp(), server, mss;

	set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 700);
	must(connect_to(fd, &where));
	server = tcp_accept(listener);
	mss = get_int(server, IPPROTO_TCP, TCP_MAXSEG);
	check(mss > 600 && mss <= 700); /* less by the timestamp option */
	pattern_send(fd, 50000, 50000);
	pattern_expect(server, 50000, 50000);
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("TCP_DEFER_ACCEPT: a connection comes to accept() with its first text")
{
	struct sockaddr_in where;
	int listener = tcp_bound(&where), client, server;

	set_int(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	check(get_int(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 1);
	must(listen(listener, 1));
	client = tcp_dial(&where);
	send_text(client, "GET");
	server = tcp_accept(listener);
	expect_text(server, "GET");
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("TCP_DEFER_ACCEPT: seconds, as timeouts of a SYN-ACK come to")
{
	const int seconds[][2] = {{-1, 0}, {0, 0},   {1, 1},	 {2, 3},       {4, 7},
				  {8, 15}, {60, 63}, {100, 127}, {1000, 1087}, {100000, 29887}};
	int fd = tcp();

	for (int i = 0; i < 10; i++) {
		set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds[i][0]);
		equal(get_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), seconds[i][1]);
	}
	must(close(fd));
}

CASE("TCP_DEFER_ACCEPT: without text nobody is told")
{
	struct sockaddr_in where;
	int listener = tcp_bound(&where), client;

	set_int(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	must(listen(listener, 1));
	client = tcp_dial(&where);
	sleep_ms(100);
	equal(mask_now(listener), 0);
	send_text(client, "x");
	wait_for(listener, POLLIN);
	must(close(client));
	must(close(listener));
}

CASE("TCP_WINDOW_CLAMP: 1152 at least, or none; a connection keeps one")
{
	struct pair p = tcp_pair();
	int fd = tcp();

	set_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 1);
	equal(get_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP), 1152);
	set_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, -5);
	equal(get_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP), 1152);
	set_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0);
	equal(get_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP), 0);
	refuses(p.client, TCP_WINDOW_CLAMP, 0, EINVAL);
	set_int(p.client, IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000);
	equal(get_int(p.client, IPPROTO_TCP, TCP_WINDOW_CLAMP), 5000);
	must(close(fd));
	close_pair(p);
}

CASE("TCP_QUICKACK can be set and asked for")
{
	struct pair p = tcp_pair();

	set_int(p.client, IPPROTO_TCP, TCP_QUICKACK, 1);
	equal(get_int(p.client, IPPROTO_TCP, TCP_QUICKACK), 1);
	set_int(p.client, IPPROTO_TCP, TCP_QUICKACK, 0);
	equal(get_int(p.client, IPPROTO_TCP, TCP_QUICKACK), 0);
	close_pair(p);
}

CASE("TCP_CONGESTION: a name; reno is there; an unknown one: ENOENT")
{
	char name[16];
	socklen_t len = sizeof(name);
	int fd = tcp();

	must(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	check(len > 0 && memchr(name, 0, len));
	must(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	len = sizeof(name);
	must(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	equal(strcmp(name, "reno"), 0);
	fails(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
	must(close(fd));
}

static bool congestion_is(int fd, const char *want)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	must(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	return strcmp(name, want) == 0;
}

CASE("TCP_CONGESTION: before and after connect(); accepted sockets have the listener's of then")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 2), client = tcp(), first, second, late;

	must(setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	must(setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	must(connect_to(client, &where));
	check(congestion_is(client, "reno"));
	must(setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	check(congestion_is(client, "cubic"));
	fails(setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
	check(congestion_is(client, "cubic"));
	first = tcp_accept(listener);
	check(congestion_is(first, "cubic"));
	must(setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	late = tcp_dial(&where);
	second = tcp_accept(listener);
	check(congestion_is(second, "reno"));
	check(congestion_is(first, "cubic"));
	must(write(client, "x", 1) == 1 ? 0 : -1);
	must(close(late));
	must(close(second));
	must(close(first));
	must(close(client));
	must(close(listener));
}

CASE("SO_MAX_PACING_RATE: none at first; tcp_info shows it")
{
	/* tcpi_pacing_rate and tcpi_max_pacing_rate, which glibc's struct tcp_info ends before. */
	uint64_t words[16], pacing, most;
	socklen_t len = sizeof(words);
	struct pair p = tcp_pair();

	equal(get_int(p.client, SOL_SOCKET, SO_MAX_PACING_RATE), -1);
	set_int(p.client, SOL_SOCKET, SO_MAX_PACING_RATE, 1000000);
	equal(get_int(p.client, SOL_SOCKET, SO_MAX_PACING_RATE), 1000000);
	must(getsockopt(p.client, IPPROTO_TCP, TCP_INFO, words, &len));
	pacing = words[13];
	most = words[14];
	equal(most, 1000000);
	check(pacing <= most);
	close_pair(p);
}

CASE("TCP_WINDOW_CLAMP is 0 unless set")
{
	int fd = tcp();

	equal(get_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP), 0);
	must(close(fd));
}

/* Writes until it would block; how much. */
static size_t write_all(int fd)
{
	static char text[1000];
	size_t all = 0;
	ssize_t n;

	while ((n = send(fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
		all += (size_t)n;
	equal(errno, EAGAIN);
	return all;
}

static uint32_t unsent(int fd)
{
	uint32_t words[62] = {0};
	socklen_t len = sizeof(words);

	must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, words, &len));
	return words[36];
}

CASE("TCP_NOTSENT_LOWAT: 0 unless set, and anything can be")
{
	int fd = tcp();

	for (int i = -2; i < 3; i++) {
		equal(get_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), i == -2 ? 0 : i - 1);
		set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, i);
	}
	must(close(fd));
}

/* The peer's window is 4 KB or so: text beyond waits, unsent. */
CASE("TCP_NOTSENT_LOWAT: no more than that is written in advance, OUT comes when half is sent")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client = tcp(), server;
	const int lowat = 16384;
	char text[4096];
	size_t all, got = 0;

	set_int(listener, SOL_SOCKET, SO_RCVBUF, 4096);
	set_int(client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, lowat);
	must(connect(client, (struct sockaddr *)&where, sizeof(where)));
	server = must(accept(listener, NULL, NULL));
	all = write_all(client);
	/* Text that was on its way to the stack is more. */
	for (int i = 0; i < 50; i++, sleep_ms(2))
		all += write_all(client);
	check(all < 65536);
	check(unsent(client) > (uint32_t)lowat / 2 && unsent(client) <= 2 * (uint32_t)lowat);
	equal(poll_mask(client, POLLOUT, 0), 0);
	while (poll_mask(client, POLLOUT, 0) == 0 && got < all) {
		ssize_t n = recv(server, text, sizeof(text), MSG_DONTWAIT);

		if (n > 0)
			got += (size_t)n;
		else
			sleep_ms(1);
	}
	check(unsent(client) * 2 < (uint32_t)lowat);
	check(got >= all / 4);
	set_int(client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0);
	check(write_all(client) > 65536);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("TCP_NOTSENT_LOWAT 1: a blocking writer gets through")
{
	struct pair p = tcp_pair();
	static char text[300000];
	size_t got = 0;
	pid_t writer;

	set_int(p.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1);
	writer = child();
	if (writer == 0)
		_exit(send(p.client, text, sizeof(text), 0) != sizeof(text));
	while (got < sizeof(text))
		got += (size_t)must((int)recv(p.server, text, sizeof(text), 0));
	reap(writer);
	close_pair(p);
}

CASE("an option that does not exist: ENOPROTOOPT")
{
	int fd = tcp(), value;
	socklen_t len = sizeof(value);

	refuses(fd, 9999, 1, ENOPROTOOPT);
	fails(getsockopt(fd, IPPROTO_TCP, 9999, &value, &len), ENOPROTOOPT);
	must(close(fd));
}

CASE("a value too short: EINVAL")
{
	int fd = tcp(), value = 1;

	fails(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 3), EINVAL);
	must(close(fd));
}

CASE("TCP_INFO of a fresh socket and of a listener: their states")
{
	struct sockaddr_in where;
	int fd = tcp(), listener = tcp_listener(&where, 1);

	equal(info(fd).tcpi_state, CLOSED);
	equal(info(listener).tcpi_state, LISTENING);
	must(close(fd));
	must(close(listener));
}

CASE("TCP_INFO of a connection: state, segment sizes, round-trip time, window")
{
	struct pair p = tcp_pair();
	struct tcp_info i;

	for (int n = 0; n < 5; n++) {
		send_text(p.client, "ping");
		expect_text(p.server, "ping");
		send_text(p.server, "pong");
		expect_text(p.client, "pong");
	}
	for (int end = 0; end < 2; end++) {
		i = info(end ? p.server : p.client);
		equal(i.tcpi_state, ESTABLISHED);
		check(i.tcpi_snd_mss >= 536 && i.tcpi_snd_mss <= 65535);
		check(i.tcpi_rcv_mss > 0 && i.tcpi_advmss > 0);
		check(i.tcpi_rtt > 0 && i.tcpi_rtt < 10000000);
		check(i.tcpi_rto >= 200000 && i.tcpi_rto < 10000000);
		check(i.tcpi_snd_cwnd >= 1);
		check(i.tcpi_pmtu >= 576);
		check(i.tcpi_rcv_space > 0);
	}
	close_pair(p);
}

CASE("TCP_INFO after FIN: FIN-WAIT-2 here, CLOSE-WAIT there")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	wait_until(info(p.client).tcpi_state == FIN_WAIT2);
	equal(info(p.server).tcpi_state, CLOSE_WAIT);
	close_pair(p);
}

CASE("TCP_INFO after both FINs: CLOSE on both sides")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.server);
	must(shutdown(p.server, SHUT_WR));
	expect_eof(p.client);
	sleep_ms(50);
	equal(info(p.client).tcpi_state, TCP_CLOSE);
	equal(info(p.server).tcpi_state, TCP_CLOSE);
	close_pair(p);
}

CASE("TCP_INFO counts what is not acknowledged")
{
	struct pair p = tcp_pair();

	send_text(p.client, "count me");
	wait_until(info(p.client).tcpi_unacked == 0);
	expect_text(p.server, "count me");
	close_pair(p);
}

CASE("TCP_INFO cut to the room given")
{
	struct pair p = tcp_pair();
	unsigned char room[8];
	socklen_t len = 2;

	memset(room, 0xee, sizeof(room));
	must(getsockopt(p.client, IPPROTO_TCP, TCP_INFO, room, &len));
	equal(len, 2);
	equal(room[0], ESTABLISHED);
	equal(room[2], 0xee);
	close_pair(p);
}
