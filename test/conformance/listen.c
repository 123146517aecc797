/* listen() and its backlog. */
#include "net.h"

CASE("listen() on an unbound socket takes a port")
{
	int fd = tcp(), client;
	struct sockaddr_in a;

	must(listen(fd, 1));
	a = local_name(fd);
	equal(a.sin_addr.s_addr, INADDR_ANY);
	check(a.sin_port != 0);
	a = here(ntohs(a.sin_port));
	client = tcp_dial(&a);
	must(close(client));
	must(close(fd));
}

CASE("listen() shows in SO_ACCEPTCONN")
{
	struct sockaddr_in a;
	int fd = tcp_bound(&a);

	equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	must(listen(fd, 1));
	equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	must(close(fd));
}

CASE("listen() again changes the backlog and nothing else")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1), client = tcp_dial(&a), server;

	must(listen(fd, 10));
	check(same_name(local_name(fd), a));
	server = tcp_accept(fd);
	check(same_name(peer_name(server), local_name(client)));
	must(close(client));
	must(close(server));
	must(close(fd));
}

CASE("listen() on a connected socket: EINVAL")
{
	struct pair p = tcp_pair();

	fails(listen(p.client, 1), EINVAL);
	fails(listen(p.server, 1), EINVAL);
	close_pair(p);
}

CASE("connect() on a listener: EISCONN")
{
	struct sockaddr_in a, b;
	int x = tcp_listener(&a, 1), y = tcp_listener(&b, 1);

	fails(connect_to(x, &b), EISCONN);
	must(close(x));
	must(close(y));
}

CASE("listen() with backlog 0: a connection still comes through")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 0), client = tcp_dial(&a), server = tcp_accept(fd);

	send_text(client, "hello");
	expect_text(server, "hello");
	must(close(client));
	must(close(server));
	must(close(fd));
}

CASE("listen() with a negative backlog means the most")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, -1), client[50];

	for (int i = 0; i < 50; i++)
		client[i] = tcp_dial(&a);
	for (int i = 0; i < 50; i++)
		must(close(tcp_accept(fd)));
	for (int i = 0; i < 50; i++)
		must(close(client[i]));
	must(close(fd));
}

CASE("a connection and its text wait for accept()")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 5), client = tcp_dial(&a), server;

	send_text(client, "early");
	must(close(client));
	wait_for(fd, POLLIN);
	server = tcp_accept(fd);
	expect_text(server, "early");
	expect_eof(server);
	must(close(server));
	must(close(fd));
}

CASE("accept() gives connections in the order in which they came")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 64), client[64];

	for (int i = 0; i < 64; i++)
		client[i] = tcp_dial(&a);
	for (int i = 0; i < 64; i++) {
		int server = tcp_accept(fd);

		equal(peer_name(server).sin_port, local_name(client[i]).sin_port);
		must(close(server));
		must(close(client[i]));
	}
	must(close(fd));
}

CASE("connections beyond the backlog come through once accept() makes room")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1), client[4];

	for (int i = 0; i < 4; i++) {
		client[i] = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		fails(connect_to(client[i], &a), EINPROGRESS);
	}
	for (int i = 0; i < 4; i++) {
		wait_for(fd, POLLIN);
		must(close(tcp_accept(fd)));
	}
	for (int i = 0; i < 4; i++) {
		wait_for(client[i], POLLOUT);
		equal(take_error(client[i]), 0);
		must(close(client[i]));
	}
	must(close(fd));
}

CASE("recv() on a listener: ENOTCONN; send(): EPIPE; getpeername(): ENOTCONN")
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char c;
	int fd = tcp_listener(&a, 1);

	fails(recv(fd, &c, 1, 0), ENOTCONN);
	fails(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	fails(getpeername(fd, SA(&a), &len), ENOTCONN);
	must(close(fd));
}

CASE("shutdown(SHUT_RD) ends listening: connect() is refused, accept() fails with EINVAL")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1), client = tcp();

	must(shutdown(fd, SHUT_RD));
	fails(connect_to(client, &a), ECONNREFUSED);
	fails(accept(fd, NULL, NULL), EINVAL);
	must(close(client));
	must(close(fd));
}

CASE("shutdown(SHUT_RD) of a non-blocking listener: EINVAL, POLLOUT and POLLHUP as a fresh socket")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1);

	set_nonblock(fd, true);
	fails(accept(fd, NULL, NULL), EAGAIN);
	must(shutdown(fd, SHUT_RD));
	fails(accept(fd, NULL, NULL), EINVAL);
	equal(mask_now(fd), POLLOUT | POLLHUP);
	equal(poll_mask(fd, POLLIN, -1), POLLHUP);
	must(listen(fd, 1));
	equal(mask_now(fd), 0);
	fails(accept(fd, NULL, NULL), EAGAIN);
	must(close(fd));
}

CASE("shutdown(SHUT_RD), then listen() again")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1), client, server;

	must(shutdown(fd, SHUT_RD));
	must(listen(fd, 1));
	a = here(ntohs(local_name(fd).sin_port));
	client = tcp_dial(&a);
	server = tcp_accept(fd);
	send_text(server, "again");
	expect_text(client, "again");
	must(close(client));
	must(close(server));
	must(close(fd));
}

CASE("shutdown(SHUT_WR) leaves a listener as it is")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1), client;

	must(shutdown(fd, SHUT_WR));
	client = tcp_dial(&a);
	must(close(tcp_accept(fd)));
	must(close(client));
	must(close(fd));
}

static _Atomic pid_t accepting;

static void *accept_until_shut(void *arg)
{
	accepting = thread_id();
	fails(accept(*(int *)arg, NULL, NULL), EINVAL);
	return NULL;
}

CASE("shutdown(SHUT_RD) wakes a thread in accept() with EINVAL")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1);
	pthread_t t = start(accept_until_shut, &fd);

	wait_asleep(&accepting);
	must(shutdown(fd, SHUT_RD));
	join(t);
	must(close(fd));
}

CASE("close() of a listener: connect() is refused")
{
	struct sockaddr_in a;
	int fd = tcp_listener(&a, 1), client = tcp();

	must(close(fd));
	fails(connect_to(client, &a), ECONNREFUSED);
	must(close(client));
}

CASE("close() of a listener leaves its connections alone")
{
	struct pair p = tcp_pair(); /* its listener is closed */

	send_text(p.client, "there");
	expect_text(p.server, "there");
	send_text(p.server, "back");
	expect_text(p.client, "back");
	close_pair(p);
}

CASE("close() of a listener resets the connections that wait")
{
	struct sockaddr_in a;
	char c;
	int fd = tcp_listener(&a, 5), client = tcp_dial(&a);

	must(close(fd));
	fails(recv(client, &c, 1, 0), ECONNRESET);
	must(close(client));
}

CASE("listen() by two processes at once, on one socket")
{
	for (int round = 0; round < 50; round++) {
		struct sockaddr_in a;
		int fd = tcp_bound(&a), client, server, start[2], status;
		pid_t children[2];
		char c;

		must(pipe(start));
		for (int i = 0; i < 2; i++)
			if ((children[i] = child()) == 0) {
				close(start[1]);
				_exit(read(start[0], &c, 1) || listen(fd, 5) ? errno : 0);
			}
		must(close(start[0]));
		must(close(start[1]));
		for (int i = 0; i < 2; i++) {
			equal(must(waitpid(children[i], &status, 0)), children[i]);
			equal(status, 0);
		}
		client = tcp_dial(&a);
		server = tcp_accept(fd);
		check(same_name(local_name(fd), a));
		must(close(client));
		must(close(server));
		must(close(fd));
	}
}
