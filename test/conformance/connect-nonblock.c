/* connect() on a non-blocking socket. */
#include "net.h"

static int nonblocking(void)
{
	return must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/* A connect() that stays undecided: to a listener whose queue is full. Those that filled it are in
 * others[]. */
struct undecided {
	int fd, listener, count, others[300];
	struct sockaddr_in where;
};

static void undecided_make(struct undecided *u)
{
	u->listener = tcp_listener(&u->where, 0);
	for (u->count = 0; u->count < 300; u->count++) {
		int fd = nonblocking();

		fails(connect_to(fd, &u->where), EINPROGRESS);
		if (!(poll_mask(fd, POLLOUT, 100) & POLLOUT)) {
			u->fd = fd;
			return;
		}
		u->others[u->count] = fd;
	}
	FAIL_AT("# 300 connections fit a backlog of 0");
}

static void undecided_close(struct undecided *u)
{
	must(close(u->fd));
	for (int i = 0; i < u->count; i++)
		must(close(u->others[i]));
	must(close(u->listener));
}

CASE("EINPROGRESS, then POLLOUT, then SO_ERROR 0")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = nonblocking(), server;

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLOUT);
	equal(mask_now(fd), POLLOUT);
	equal(take_error(fd), 0);
	check(same_name(peer_name(fd), where));
	server = tcp_accept(listener);
	send_text(fd, "connected");
	expect_text(server, "connected");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("EINPROGRESS, and the socket has its name")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = nonblocking();

	fails(connect_to(fd, &where), EINPROGRESS);
	check(local_name(fd).sin_port != 0);
	equal(local_name(fd).sin_addr.s_addr, where.sin_addr.s_addr);
	must(close(fd));
	must(close(listener));
}

CASE("connect() again once connected: 0 once, then EISCONN")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = nonblocking();

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLOUT);
	must(connect_to(fd, &where));
	fails(connect_to(fd, &where), EISCONN);
	must(close(fd));
	must(close(listener));
}

CASE("refused: POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP, and SO_ERROR once")
{
	struct sockaddr_in where;
	int holder = tcp_bound(&where), fd = nonblocking();

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_mask(fd, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	equal(take_error(fd), ECONNREFUSED);
	equal(take_error(fd), 0);
	must(close(fd));
	must(close(holder));
}

CASE("refused: the mask without POLLRDHUP asked for")
{
	struct sockaddr_in where;
	int holder = tcp_bound(&where), fd = nonblocking();

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLERR);
	equal(poll_mask(fd, POLLIN | POLLOUT, 0), POLLIN | POLLOUT | POLLERR | POLLHUP);
	equal(poll_mask(fd, 0, 0), POLLERR | POLLHUP);
	must(close(fd));
	must(close(holder));
}

CASE("refused: recv() tells it once, then the end")
{
	struct sockaddr_in where;
	char c;
	int holder = tcp_bound(&where), fd = nonblocking();

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLERR);
	fails(recv(fd, &c, 1, 0), ECONNREFUSED);
	equal(recv(fd, &c, 1, 0), 0);
	equal(take_error(fd), 0);
	must(close(fd));
	must(close(holder));
}

CASE("refused: send() tells it once, then EPIPE")
{
	struct sockaddr_in where;
	int holder = tcp_bound(&where), fd = nonblocking();

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLERR);
	fails(send(fd, "x", 1, MSG_NOSIGNAL), ECONNREFUSED);
	fails(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(close(fd));
	must(close(holder));
}

CASE("refused: connect() again tells it; the one after that connects")
{
	struct sockaddr_in where;
	int listener = tcp_bound(&where), fd = nonblocking(), server;

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLERR);
	fails(connect_to(fd, &where), ECONNREFUSED);
	must(listen(listener, 1));
	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLOUT);
	equal(take_error(fd), 0);
	server = tcp_accept(listener);
	send_text(server, "retried");
	wait_for(fd, POLLIN);
	expect_text(fd, "retried");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("refused, SO_ERROR taken: connect() again on the same number")
{
	struct sockaddr_in where;
	int listener = tcp_bound(&where), fd = nonblocking(), tries = 0;

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLERR);
	equal(take_error(fd), ECONNREFUSED);
	must(listen(listener, 1));
	/* Linux tells of the old connection once more: ECONNABORTED, as SO_ERROR is taken. */
	while (connect_to(fd, &where) == -1 && errno != EINPROGRESS) {
		check(errno == ECONNABORTED);
		equal(tries++, 0);
	}
	wait_for(fd, POLLOUT);
	equal(take_error(fd), 0);
	check(same_name(peer_name(fd), where));
	must(close(fd));
	must(close(listener));
}

CASE("undecided: poll says nothing")
{
	struct undecided u;

	undecided_make(&u);
	equal(mask_now(u.fd), 0);
	undecided_close(&u);
}

CASE("undecided: connect() again: EALREADY")
{
	struct undecided u;

	undecided_make(&u);
	fails(connect_to(u.fd, &u.where), EALREADY);
	undecided_close(&u);
}

CASE("undecided: send() and recv(): EAGAIN; getpeername(): ENOTCONN; SO_ERROR 0")
{
	struct undecided u;
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	char c;

	undecided_make(&u);
	fails(send(u.fd, "x", 1, MSG_NOSIGNAL), EAGAIN);
	fails(recv(u.fd, &c, 1, 0), EAGAIN);
	fails(getpeername(u.fd, SA(&name), &len), ENOTCONN);
	equal(take_error(u.fd), 0);
	undecided_close(&u);
}

CASE("undecided: accept() at the other end lets it through")
{
	struct undecided u;
	int server;

	undecided_make(&u);
	for (int i = 0; i < u.count; i++)
		must(close(tcp_accept(u.listener)));
	wait_for(u.fd, POLLOUT);
	equal(take_error(u.fd), 0);
	wait_for(u.listener, POLLIN);
	server = tcp_accept(u.listener);
	check(same_name(peer_name(server), local_name(u.fd)));
	must(close(server));
	undecided_close(&u);
}

CASE("undecided: connect() to AF_UNSPEC gives it up")
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sockaddr_in where;
	struct undecided u;
	int listener = tcp_listener(&where, 1);

	undecided_make(&u);
	must(connect(u.fd, &nowhere, sizeof(nowhere)));
	fails(connect_to(u.fd, &where), EINPROGRESS);
	wait_for(u.fd, POLLOUT);
	equal(take_error(u.fd), 0);
	must(close(listener));
	undecided_close(&u);
}

CASE("a blocking connect() with SO_SNDTIMEO gives up with EINPROGRESS, and goes on")
{
	struct timeval limit = {.tv_usec = 100000};
	struct undecided u;
	double begun;
	int fd = tcp();

	undecided_make(&u);
	must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
	begun = now_ms();
	fails(connect_to(fd, &u.where), EINPROGRESS);
	check(now_ms() - begun >= 90);
	equal(mask_now(fd), 0);
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLOUT},
				      {.fd = u.listener, .events = POLLIN}};

		check(must(poll(p, 2, LONG_MS)) > 0);
		if (p[0].revents)
			break;
		must(close(tcp_accept(u.listener)));
	}
	equal(take_error(fd), 0);
	must(close(fd));
	undecided_close(&u);
}

CASE("O_NONBLOCK cleared once connected: recv() blocks for the text")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = nonblocking(), server;
	pid_t pid;

	fails(connect_to(fd, &where), EINPROGRESS);
	wait_for(fd, POLLOUT);
	set_nonblock(fd, false);
	server = tcp_accept(listener);
	pid = child();
	if (pid == 0) {
		sleep_ms(20);
		send_text(server, "late");
		_exit(0);
	}
	expect_text(fd, "late");
	reap(pid);
	must(close(fd));
	must(close(server));
	must(close(listener));
}

CASE("100 at once, half of them refused: each its own verdict")
{
	struct sockaddr_in good, bad;
	int listener = tcp_listener(&good, 100), holder = tcp_bound(&bad);
	struct pollfd p[100];

	for (int i = 0; i < 100; i++) {
		p[i].fd = nonblocking();
		p[i].events = POLLOUT;
		fails(connect_to(p[i].fd, i % 2 ? &bad : &good), EINPROGRESS);
	}
	for (int i = 0; i < 100; i++) {
		wait_for(p[i].fd, POLLOUT);
		equal(take_error(p[i].fd), i % 2 ? ECONNREFUSED : 0);
		must(close(p[i].fd));
	}
	must(close(listener));
	must(close(holder));
}

CASE("undecided: shutdown() ends it with ECONNRESET")
{
	for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
		struct undecided u;

		undecided_make(&u);
		must(shutdown(u.fd, how));
		wait_for(u.fd, POLLHUP);
		equal(poll_mask(u.fd, POLLIN | POLLOUT, 0) & (POLLOUT | POLLERR | POLLHUP),
		      POLLOUT | POLLERR | POLLHUP);
		equal(take_error(u.fd), ECONNRESET);
		fails(shutdown(u.fd, how), ENOTCONN);
		undecided_close(&u);
	}
}
