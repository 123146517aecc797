/* Many: connections at once, one after the other, and one port used again and again. */
#include "net.h"

CASE("10,000 times close(), bind() and listen() on one port")
{
	struct sockaddr_in where = lasting_name();

	for (int i = 0; i < 10000; i++) {
		int fd = tcp();

		must(bind_to(fd, &where));
		must(listen(fd, 1));
		if (i == 9999)
			must(close(tcp_dial(&where)));
		must(close(fd));
	}
}

CASE("1,000 times: listen, connect, accept, close all, the next server takes the port")
{
	struct sockaddr_in where = lasting_name();

	for (int i = 0; i < 1000; i++) {
		int listener = tcp(), client, server;

		set_int(listener, SOL_SOCKET, SO_REUSEADDR, 1);
		must(bind_to(listener, &where));
		must(listen(listener, 1));
		client = tcp_dial(&where);
		server = tcp_accept(listener);
		must(close(listener));
		must(close(server));
		expect_eof(client);
		must(close(client));
	}
}

CASE("500 connections at once, a byte each way on every one, in any order")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 10), client[500], server[500];
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < 1100) {
		limit.rlim_cur = 1100;
		must(setrlimit(RLIMIT_NOFILE, &limit));
	}
	for (int i = 0; i < 500; i++) {
		client[i] = tcp_dial(&where);
		server[i] = tcp_accept(listener);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 500; i++) {
			int n = i * 7 % 500;

			send_all(client[n], &n, sizeof(n));
		}
		for (int i = 499; i >= 0; i--) {
			int n;

			equal(recv_all(server[i], &n, sizeof(n)), sizeof(n));
			equal(peer_name(server[i]).sin_port, local_name(client[n]).sin_port);
			send_all(server[i], &n, sizeof(n));
		}
		for (int i = 0; i < 500; i++) {
			int n;

			equal(recv_all(client[i], &n, sizeof(n)), sizeof(n));
			equal(n, i);
		}
	}
	for (int i = 0; i < 500; i++) {
		must(close(client[i]));
		must(close(server[i]));
	}
	must(close(listener));
}

CASE("3,000 short connections whose client closes first")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 10);
	pid_t pid = child();

	if (pid == 0) {
		for (int i = 0; i < 3000; i++) {
			int fd = tcp_dial(&where);

			send_text(fd, "hi");
			must(shutdown(fd, SHUT_WR));
			expect_eof(fd);
			must(close(fd));
		}
		_exit(0);
	}
	for (int i = 0; i < 3000; i++) {
		int fd = tcp_accept(listener);

		expect_text(fd, "hi");
		expect_eof(fd);
		must(close(fd));
	}
	reap(pid);
	must(close(listener));
}

CASE("3,000 short connections whose server closes first")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 10);
	pid_t pid = child();

	if (pid == 0) {
		for (int i = 0; i < 3000; i++) {
			int fd = tcp_dial(&where);

			expect_text(fd, "bye");
			expect_eof(fd);
			must(close(fd));
		}
		_exit(0);
	}
	for (int i = 0; i < 3000; i++) {
		int fd = tcp_accept(listener);

		send_text(fd, "bye");
		must(close(fd));
	}
	reap(pid);
	must(close(listener));
}

CASE("2,000 connections reset by linger 0: no port stays behind")
{
	struct sockaddr_in where, name = lasting_name();
	int listener = tcp_listener(&where, 10);

	for (int i = 0; i < 2000; i++) {
		int client = tcp(), server;
		char c;

		must(bind_to(client, &name));
		must(connect_to(client, &where));
		server = tcp_accept(listener);
		reset_on_close(client);
		must(close(client));
		fails(recv(server, &c, 1, 0), ECONNRESET);
		must(close(server));
	}
	must(close(listener));
}

CASE("bind() gives an odd port, connect() an even one: nobody connects to himself by chance")
{
	for (int i = 0; i < 100; i++) {
		struct pair p = tcp_pair();

		equal(ntohs(local_name(p.server).sin_port) % 2, 1);
		equal(ntohs(local_name(p.client).sin_port) % 2, 0);
		close_pair(p);
	}
}
