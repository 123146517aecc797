/* The same calls by syscall(), as some programs and run-time systems make them. */
#include "net.h"

CASE("socket, bind, listen, connect, accept4, by number")
{
	struct sockaddr_in a = here(0);
	socklen_t len = sizeof(a);
	int listener = must(syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int client = must(syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), server;

	must(syscall(SYS_bind, listener, &a, sizeof(a)));
	must(syscall(SYS_listen, listener, 1));
	must(syscall(SYS_getsockname, listener, &a, &len));
	must(syscall(SYS_connect, client, &a, sizeof(a)));
	server = must(syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC));
	len = sizeof(a);
	must(syscall(SYS_getpeername, server, &a, &len));
	check(same_name(a, local_name(client)));
	send_text(client, "x");
	expect_text(server, "x");
	must(syscall(SYS_close, client));
	expect_eof(server);
	must(syscall(SYS_close, server));
	must(syscall(SYS_close, listener));
}

CASE("sendto, recvfrom, read, write, readv, writev, by number")
{
	struct pair p = tcp_pair();
	char buf[16];
	struct iovec out = {.iov_base = "vector", .iov_len = 6};
	struct iovec in = {.iov_base = buf, .iov_len = sizeof(buf)};

	equal(syscall(SYS_sendto, p.client, "sendto", 6, MSG_NOSIGNAL, NULL, 0), 6);
	expect_text(p.server, "sendto");
	equal(syscall(SYS_write, p.client, "write", 5), 5);
	expect_text(p.server, "write");
	equal(syscall(SYS_writev, p.client, &out, 1), 6);
	wait_for(p.server, POLLIN);
	equal(syscall(SYS_recvfrom, p.server, buf, sizeof(buf), MSG_PEEK, NULL, NULL), 6);
	equal(syscall(SYS_read, p.server, buf, 3), 3);
	check(!memcmp(buf, "vec", 3));
	equal(syscall(SYS_readv, p.server, &in, 1), 3);
	check(!memcmp(buf, "tor", 3));
	fails(syscall(SYS_recvfrom, p.server, buf, 1, MSG_DONTWAIT, NULL, NULL), EAGAIN);
	close_pair(p);
}

CASE("sendmsg, recvmsg, shutdown, by number")
{
	struct pair p = tcp_pair();
	char buf[16];
	struct iovec out = {.iov_base = "message", .iov_len = 7};
	struct iovec in = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {.msg_iov = &out, .msg_iovlen = 1};

	equal(syscall(SYS_sendmsg, p.client, &m, 0), 7);
	wait_for(p.server, POLLIN);
	m.msg_iov = &in;
	equal(syscall(SYS_recvmsg, p.server, &m, 0), 7);
	must(syscall(SYS_shutdown, p.client, SHUT_WR));
	equal(syscall(SYS_recvmsg, p.server, &m, 0), 0);
	close_pair(p);
}

CASE("setsockopt, getsockopt, fcntl, ioctl, dup, dup3, by number")
{
	struct pair p = tcp_pair();
	int on = 1, got = 0, copy;
	socklen_t len = sizeof(got);

	must(syscall(SYS_setsockopt, p.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	must(syscall(SYS_getsockopt, p.client, IPPROTO_TCP, TCP_NODELAY, &got, &len));
	equal(got, 1);
	must(syscall(SYS_fcntl, p.client, F_SETFL, O_NONBLOCK));
	fails(syscall(SYS_read, p.client, &got, 1), EAGAIN);
	copy = must(syscall(SYS_dup, p.client));
	equal(syscall(SYS_dup3, p.client, 170, O_CLOEXEC), 170);
	must(syscall(SYS_close, p.client));
	send_text(copy, "a");
	send_text(170, "b");
	expect_text(p.server, "ab");
	must(close(copy));
	must(syscall(SYS_close, 170));
	expect_eof(p.server);
	must(close(p.server));
}

CASE("what is no socket's business passes through")
{
	int q[2];
	char c;

	equal(syscall(SYS_getpid), getpid());
	must(syscall(SYS_pipe2, q, O_CLOEXEC));
	equal(syscall(SYS_write, q[1], "p", 1), 1);
	equal(syscall(SYS_read, q[0], &c, 1), 1);
	equal(c, 'p');
	fails(syscall(SYS_close, 987654), EBADF);
	fails(syscall(100000), ENOSYS);
	must(close(q[0]));
	must(close(q[1]));
}
