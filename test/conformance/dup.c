/* dup() and its like: many numbers, one socket. */
#include "net.h"

#include <sys/epoll.h>

static void works_as(int fd, struct pair p)
{
	send_text(fd, "from the copy");
	expect_text(p.server, "from the copy");
	send_text(p.server, "to the copy");
	expect_text(fd, "to the copy");
}

CASE("dup() of a connection")
{
	struct pair p = tcp_pair();
	int copy = must(dup(p.client));

	works_as(copy, p);
	equal(must(fcntl(copy, F_GETFD)), 0);
	must(close(copy));
	close_pair(p);
}

CASE("dup2() onto a free number")
{
	struct pair p = tcp_pair();

	equal(dup2(p.client, 150), 150);
	equal(must(fcntl(150, F_GETFD)), 0);
	works_as(150, p);
	must(close(150));
	close_pair(p);
}

CASE("dup2() onto itself does nothing")
{
	struct pair p = tcp_pair();

	equal(dup2(p.client, p.client), p.client);
	equal(must(fcntl(p.client, F_GETFD)), FD_CLOEXEC);
	works_as(p.client, p);
	close_pair(p);
}

CASE("dup2() onto a connection closes that one")
{
	struct pair p = tcp_pair(), q = tcp_pair();

	equal(dup2(p.client, q.client), q.client);
	expect_eof(q.server);
	works_as(q.client, p);
	must(close(q.client));
	must(close(q.server));
	close_pair(p);
}

CASE("dup2() of a file onto a connection: it is the file now")
{
	struct pair p = tcp_pair();
	int zero = must(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	char c = 'x';

	equal(dup2(zero, p.client), p.client);
	expect_eof(p.server);
	equal(read(p.client, &c, 1), 1);
	equal(c, 0);
	fails(send(p.client, "x", 1, 0), ENOTSOCK);
	must(close(zero));
	close_pair(p);
}

CASE("dup2() of a connection onto a file")
{
	struct pair p = tcp_pair();
	int file = must(open("/dev/null", O_RDWR | O_CLOEXEC));

	equal(dup2(p.client, file), file);
	works_as(file, p);
	must(close(file));
	close_pair(p);
}

CASE("dup2() of a closed number: EBADF, and the target stays")
{
	struct pair p = tcp_pair();

	fails(dup2(999, p.client), EBADF);
	works_as(p.client, p);
	close_pair(p);
}

CASE("dup3() with O_CLOEXEC; onto itself: EINVAL")
{
	struct pair p = tcp_pair();

	equal(dup3(p.client, 151, O_CLOEXEC), 151);
	equal(must(fcntl(151, F_GETFD)), FD_CLOEXEC);
	works_as(151, p);
	fails(dup3(p.client, p.client, 0), EINVAL);
	fails(dup3(p.client, 152, 0x10), EINVAL);
	must(close(151));
	close_pair(p);
}

CASE("F_DUPFD takes the lowest number from the one given")
{
	struct pair p = tcp_pair();

	equal(must(fcntl(p.client, F_DUPFD, 160)), 160);
	equal(must(fcntl(p.client, F_DUPFD, 160)), 161);
	equal(must(fcntl(160, F_GETFD)), 0);
	works_as(161, p);
	must(close(160));
	must(close(161));
	close_pair(p);
}

CASE("F_DUPFD_CLOEXEC")
{
	struct pair p = tcp_pair();
	int copy = must(fcntl(p.client, F_DUPFD_CLOEXEC, 160));

	equal(must(fcntl(copy, F_GETFD)), FD_CLOEXEC);
	works_as(copy, p);
	must(close(copy));
	close_pair(p);
}

CASE("copies share O_NONBLOCK, not FD_CLOEXEC")
{
	struct pair p = tcp_pair();
	int copy = must(dup(p.client));
	char c;

	set_nonblock(copy, true);
	equal(must(fcntl(p.client, F_GETFL)), O_RDWR | O_NONBLOCK);
	fails(recv(p.client, &c, 1, 0), EAGAIN);
	must(fcntl(copy, F_SETFD, FD_CLOEXEC));
	must(fcntl(p.client, F_SETFD, 0));
	equal(must(fcntl(copy, F_GETFD)), FD_CLOEXEC);
	must(close(copy));
	close_pair(p);
}

CASE("copies share options and names")
{
	struct pair p = tcp_pair();
	int copy = must(dup(p.client));

	set_int(copy, IPPROTO_TCP, TCP_NODELAY, 1);
	equal(get_int(p.client, IPPROTO_TCP, TCP_NODELAY), 1);
	check(same_name(local_name(copy), local_name(p.client)));
	check(same_name(peer_name(copy), peer_name(p.client)));
	must(close(copy));
	close_pair(p);
}

CASE("copies read from one stream")
{
	struct pair p = tcp_pair();
	int copy = must(dup(p.server));

	send_text(p.client, "abcd");
	expect_text(p.server, "a");
	expect_text(copy, "b");
	expect_text(p.server, "c");
	expect_text(copy, "d");
	must(close(copy));
	close_pair(p);
}

CASE("close() of one copy leaves the connection, of the last ends it")
{
	struct pair p = tcp_pair();
	int copy[3];

	for (int i = 0; i < 3; i++)
		copy[i] = must(dup(p.client));
	must(close(p.client));
	works_as(copy[0], p);
	must(close(copy[1]));
	works_as(copy[2], p);
	must(close(copy[0]));
	works_as(copy[2], p);
	equal(mask_now(p.server), POLLOUT);
	must(close(copy[2]));
	expect_eof(p.server);
	must(close(p.server));
}

CASE("a copy of an unconnected socket connects both")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = tcp(), copy = must(dup(fd));
	struct pair p = {.client = fd};

	must(connect_to(copy, &where));
	p.server = tcp_accept(listener);
	works_as(fd, p);
	works_as(copy, p);
	must(close(copy));
	close_pair(p);
	must(close(listener));
}

CASE("a copy of a listener accepts, also when the original is closed")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 2), copy = must(dup(listener)), client, server;

	client = tcp_dial(&where);
	must(close(listener));
	server = tcp_accept(copy);
	send_text(client, "in");
	expect_text(server, "in");
	must(close(client));
	must(close(server));
	must(close(copy));
	client = tcp();
	fails(connect_to(client, &where), ECONNREFUSED);
	must(close(client));
}

static int lowest_free(void)
{
	int fd = must(dup(0));

	must(close(fd));
	return fd;
}

/* A socket's number, just closed, which the next call gets. */
static int closed_number(void)
{
	int fd = tcp();

	must(close(fd));
	equal(lowest_free(), fd);
	return fd;
}

CASE("a number used again for a file is a file, and for a socket a socket")
{
	int number = closed_number(), fd;
	char c = 'x';

	fd = must(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	equal(fd, number);
	equal(read(fd, &c, 1), 1);
	equal(c, 0);
	must(close(fd));
	fd = tcp();
	equal(fd, number);
	fails(recv(fd, &c, 1, 0), ENOTCONN);
	must(close(fd));
}

CASE("a number that pipe(), epoll_create1() or socketpair() reuses is theirs")
{
	char c;

	for (int i = 0; i < 3; i++) {
		int lowest = closed_number(), q[2], fd;

		if (i == 0) {
			must(pipe(q));
			equal(q[0], lowest);
			equal(write(q[1], "p", 1), 1);
			equal(read(q[0], &c, 1), 1);
			equal(c, 'p');
			must(close(q[0]));
			must(close(q[1]));
		} else if (i == 1) {
			fd = must(epoll_create1(0));
			equal(fd, lowest);
			fails(read(fd, &c, 1), EINVAL);
			must(close(fd));
		} else {
			must(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
			equal(q[0], lowest);
			send_text(q[0], "u");
			expect_text(q[1], "u");
			must(close(q[0]));
			must(close(q[1]));
		}
	}
}

CASE("a socket as descriptor 0: read() there")
{
	struct pair p = tcp_pair();
	int saved = must(fcntl(0, F_DUPFD_CLOEXEC, 100));
	char buf[5];

	send_text(p.client, "early");
	wait_for(p.server, POLLIN);
	equal(dup2(p.server, 0), 0);
	equal(read(0, buf, 5), 5);
	check(!memcmp(buf, "early", 5));
	send_text(p.client, "later");
	equal(recv_all(0, buf, 5), 5);
	check(!memcmp(buf, "later", 5));
	send_text(p.server, "back");
	expect_text(p.client, "back");
	equal(dup2(saved, 0), 0);
	must(close(saved));
	close_pair(p);
}

CASE("close_range() closes sockets")
{
	struct pair p = tcp_pair();
	int copy = must(fcntl(p.client, F_DUPFD_CLOEXEC, 300));

	must(close(p.client));
	must(close_range(300, 310, 0));
	fails(fcntl(copy, F_GETFD), EBADF);
	expect_eof(p.server);
	must(close(p.server));
}

CASE("closing every number from 3 up, then new sockets work")
{
	pid_t pid = child();

	if (pid == 0) {
		struct pair p;

		must(close_range(3, ~0u, 0));
		p = tcp_pair();
		works_as(p.client, p);
		close_pair(p);
		_exit(0);
	}
	reap(pid);
}
