/* fcntl() and ioctl() on sockets. */
#include "net.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static int ask(int fd, unsigned long request)
{
	int value = -1;

	must(ioctl(fd, request, &value));
	return value;
}

CASE("F_SETFL O_NONBLOCK, there and back")
{
	struct pair p = tcp_pair();
	char c;

	equal(must(fcntl(p.client, F_GETFL)), O_RDWR);
	must(fcntl(p.client, F_SETFL, O_NONBLOCK));
	equal(must(fcntl(p.client, F_GETFL)), O_RDWR | O_NONBLOCK);
	fails(recv(p.client, &c, 1, 0), EAGAIN);
	must(fcntl(p.client, F_SETFL, 0));
	equal(must(fcntl(p.client, F_GETFL)), O_RDWR);
	close_pair(p);
}

CASE("FIONBIO is O_NONBLOCK")
{
	struct pair p = tcp_pair();
	int on = 1, off = 0;
	char c;

	must(ioctl(p.client, FIONBIO, &on));
	equal(must(fcntl(p.client, F_GETFL)), O_RDWR | O_NONBLOCK);
	fails(recv(p.client, &c, 1, 0), EAGAIN);
	must(ioctl(p.client, FIONBIO, &off));
	equal(must(fcntl(p.client, F_GETFL)), O_RDWR);
	close_pair(p);
}

CASE("F_SETFD, FIOCLEX, FIONCLEX")
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));

	must(ioctl(fd, FIOCLEX));
	equal(must(fcntl(fd, F_GETFD)), FD_CLOEXEC);
	must(ioctl(fd, FIONCLEX));
	equal(must(fcntl(fd, F_GETFD)), 0);
	must(fcntl(fd, F_SETFD, FD_CLOEXEC));
	equal(must(fcntl(fd, F_GETFD)), FD_CLOEXEC);
	must(close(fd));
}

CASE("O_NONBLOCK on a listener set by F_SETFL: accept() gives EAGAIN")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1);

	set_nonblock(listener, true);
	fails(accept(listener, NULL, NULL), EAGAIN);
	must(close(listener));
}

CASE("FIONREAD counts what can be read")
{
	struct pair p = tcp_pair();

	equal(ask(p.server, FIONREAD), 0);
	send_text(p.client, "123456");
	wait_until(ask(p.server, FIONREAD) == 6);
	expect_text(p.server, "12");
	equal(ask(p.server, FIONREAD), 4);
	expect_text(p.server, "3456");
	equal(ask(p.server, FIONREAD), 0);
	close_pair(p);
}

CASE("FIONREAD of a large queue: all of it can be read without waiting")
{
	struct pair p = tcp_pair();
	static char buf[300000];
	int n;

	pattern_send(p.client, 60000, 60000);
	wait_until(ask(p.server, FIONREAD) == 60000);
	n = ask(p.server, FIONREAD);
	set_nonblock(p.server, true);
	equal(recv_all(p.server, buf, n), n);
	pattern_check(buf, n, 0);
	close_pair(p);
}

CASE("FIONREAD at the end: 0")
{
	struct pair p = tcp_pair();

	must(shutdown(p.client, SHUT_WR));
	wait_for(p.server, POLLIN);
	equal(ask(p.server, FIONREAD), 0);
	close_pair(p);
}

CASE("FIONREAD of a listener: EINVAL; before connect(): 0")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fresh = tcp(), n;

	fails(ioctl(listener, FIONREAD, &n), EINVAL);
	equal(ask(fresh, FIONREAD), 0);
	must(close(fresh));
	must(close(listener));
}

CASE("SIOCOUTQ and SIOCOUTQNSD: 0 once the peer has acknowledged")
{
	struct pair p = tcp_pair();

	equal(ask(p.client, SIOCOUTQ), 0);
	send_text(p.client, "acknowledge this");
	wait_until(ask(p.client, SIOCOUTQ) == 0);
	equal(ask(p.client, SIOCOUTQNSD), 0);
	close_pair(p);
}

CASE("SIOCOUTQ: what the peer has no room for")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);
	int queued = ask(p.client, SIOCOUTQ);

	check(queued > 0 && (size_t)queued <= sent);
	check(ask(p.client, SIOCOUTQNSD) <= queued);
	wait_until((size_t)ask(p.client, SIOCOUTQ) + ask(p.server, FIONREAD) == sent);
	pattern_expect(p.server, sent, 65536);
	wait_until(ask(p.client, SIOCOUTQ) == 0);
	close_pair(p);
}

CASE("SIOCATMARK without urgent text: 0")
{
	struct pair p = tcp_pair();

	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	equal(ask(p.server, SIOCATMARK), 0);
	close_pair(p);
}

CASE("a terminal's ioctl: ENOTTY")
{
	struct pair p = tcp_pair();
	struct winsize w;

	fails(ioctl(p.client, TIOCGWINSZ, &w), ENOTTY);
	close_pair(p);
}

CASE("F_GETOWN and F_SETOWN")
{
	int fd = tcp();

	equal(fcntl(fd, F_GETOWN), 0);
	must(fcntl(fd, F_SETOWN, getpid()));
	equal(fcntl(fd, F_GETOWN), getpid());
	must(close(fd));
}

CASE("closed numbers: EBADF")
{
	int fd = tcp(), n;

	must(close(fd));
	fails(fcntl(fd, F_GETFL), EBADF);
	fails(fcntl(fd, F_SETFL, O_NONBLOCK), EBADF);
	fails(fcntl(fd, F_GETFD), EBADF);
	fails(fcntl(fd, F_DUPFD, 0), EBADF);
	fails(ioctl(fd, FIONREAD, &n), EBADF);
}
