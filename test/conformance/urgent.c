/* Urgent data: MSG_OOB, SIOCATMARK, SO_OOBINLINE, POLLPRI, SIGURG. */
#include "net.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static void send_urgent(int fd, const char *text)
{
	equal(must(send(fd, text, strlen(text), MSG_OOB | MSG_NOSIGNAL)), strlen(text));
}

/* The urgent byte has come. */
static void wait_urgent(int fd)
{
	wait_for(fd, POLLPRI);
}

static void expect_urgent(int fd, char want)
{
	char c;

	equal(must(recv(fd, &c, 1, MSG_OOB)), 1);
	equal(c, want);
}

static int at_mark(int fd)
{
	int mark = -1;

	must(ioctl(fd, SIOCATMARK, &mark));
	equal(must(sockatmark(fd)), mark);
	return mark;
}

static int readable_bytes(int fd)
{
	int n = -1;

	must(ioctl(fd, FIONREAD, &n));
	return n;
}

/* One read, of which exactly this must come. */
static void expect_read(int fd, const char *want)
{
	char buf[100];
	ssize_t n;

	wait_for(fd, POLLIN);
	n = must(recv(fd, buf, sizeof(buf) - 1, 0));
	buf[n] = 0;
	if (strcmp(buf, want))
		FAIL_AT("# read \"%s\", not \"%s\"", buf, want);
}

CASE("nothing urgent: recv(MSG_OOB) fails with EINVAL, not at the mark, no POLLPRI")
{
	struct pair p = tcp_pair();
	char c;

	fails(recv(p.server, &c, 1, MSG_OOB), EINVAL);
	equal(at_mark(p.server), 0);
	equal(mask_now(p.server) & POLLPRI, 0);
	close_pair(p);
}

CASE("one urgent byte: POLLPRI until it is taken, once")
{
	struct pair p = tcp_pair();
	char c;

	send_urgent(p.client, "!");
	wait_urgent(p.server);
	equal(recv(p.server, &c, 1, MSG_OOB | MSG_PEEK), 1);
	equal(c, '!');
	expect_urgent(p.server, '!');
	fails(recv(p.server, &c, 1, MSG_OOB), EINVAL);
	fails(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
	equal(mask_now(p.server) & (POLLPRI | POLLIN), 0);
	close_pair(p);
}

CASE("recvmsg(MSG_OOB) says MSG_OOB in msg_flags")
{
	struct pair p = tcp_pair();
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	send_urgent(p.client, "?");
	wait_urgent(p.server);
	equal(must(recvmsg(p.server, &msg, MSG_OOB)), 1);
	equal(c, '?');
	check(msg.msg_flags & MSG_OOB);
	close_pair(p);
}

CASE("a read stops at the mark, the next leaves the urgent byte out")
{
	struct pair p = tcp_pair();

	send_text(p.client, "before");
	send_urgent(p.client, "!");
	send_text(p.client, "after");
	wait_urgent(p.server);
	equal(at_mark(p.server), 0);
	expect_read(p.server, "before");
	equal(at_mark(p.server), 1);
	expect_urgent(p.server, '!');
	expect_read(p.server, "after");
	equal(at_mark(p.server), 0);
	close_pair(p);
}

CASE("FIONREAD counts to the mark")
{
	struct pair p = tcp_pair();

	send_text(p.client, "before");
	send_urgent(p.client, "!");
	send_text(p.client, "after");
	wait_urgent(p.server);
	equal(readable_bytes(p.server), 6);
	close_pair(p);
}

CASE("MSG_WAITALL stops at the mark, too")
{
	struct pair p = tcp_pair();
	char buf[20] = "";

	send_text(p.client, "before");
	send_urgent(p.client, "!");
	send_text(p.client, "after");
	wait_urgent(p.server);
	equal(must(recv(p.server, buf, 11, MSG_WAITALL)), 6);
	equal(strcmp(buf, "before"), 0);
	equal(must(recv(p.server, buf, 5, MSG_WAITALL)), 5);
	equal(strncmp(buf, "after", 5), 0);
	close_pair(p);
}

CASE("of several bytes the last is urgent, the others are text")
{
	struct pair p = tcp_pair();

	send_urgent(p.client, "abc");
	wait_urgent(p.server);
	expect_text(p.server, "ab");
	expect_urgent(p.server, 'c');
	close_pair(p);
}

CASE("who reads past the mark has lost the urgent byte")
{
	struct pair p = tcp_pair();
	char c;

	send_text(p.client, "x");
	send_urgent(p.client, "!");
	send_text(p.client, "y");
	wait_urgent(p.server);
	expect_text(p.server, "xy");
	fails(recv(p.server, &c, 1, MSG_OOB), EINVAL);
	fails(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
	equal(mask_now(p.server) & (POLLPRI | POLLIN), 0);
	close_pair(p);
}

CASE("SO_OOBINLINE: the byte is text, and the mark is before it")
{
	struct pair p = tcp_pair();
	char c;

	set_int(p.server, SOL_SOCKET, SO_OOBINLINE, 1);
	send_text(p.client, "ab");
	send_urgent(p.client, "c");
	send_text(p.client, "de");
	wait_urgent(p.server);
	fails(recv(p.server, &c, 1, MSG_OOB), EINVAL);
	expect_read(p.server, "ab");
	equal(at_mark(p.server), 1);
	expect_text(p.server, "cde");
	equal(at_mark(p.server), 0);
	equal(mask_now(p.server) & POLLPRI, 0);
	close_pair(p);
}

CASE("SO_OOBINLINE of the listener goes to what it accepts")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client, server;

	set_int(listener, SOL_SOCKET, SO_OOBINLINE, 1);
	client = tcp_dial(&where);
	server = tcp_accept(listener);
	send_urgent(client, "abc");
	expect_text(server, "abc");
	must(close(client));
	must(close(server));
	must(close(listener));
}

static volatile sig_atomic_t urgent_signals;

static void on_urgent(int sig)
{
	(void)sig;
	urgent_signals++;
}

CASE("SIGURG to the owner that F_SETOWN names")
{
	struct pair p = tcp_pair();

	signal(SIGURG, on_urgent);
	must(fcntl(p.server, F_SETOWN, getpid()));
	equal(must(fcntl(p.server, F_GETOWN)), getpid());
	send_urgent(p.client, "!");
	wait_until(urgent_signals > 0);
	expect_urgent(p.server, '!');
	signal(SIGURG, SIG_DFL);
	close_pair(p);
}

CASE("select(): in the set of exceptions")
{
	struct pair p = tcp_pair();
	struct timeval limit = {.tv_sec = LONG_MS / 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(p.server, &set);
	send_urgent(p.client, "!");
	equal(must(select(p.server + 1, NULL, NULL, &set, &limit)), 1);
	check(FD_ISSET(p.server, &set));
	expect_urgent(p.server, '!');
	close_pair(p);
}

CASE("a second mark while the program stands at the first: the first byte is lost")
{
	struct pair p = tcp_pair();
	char c;

	send_urgent(p.client, "1");
	wait_urgent(p.server);
	send_urgent(p.client, "2");
	send_text(p.client, "x");
	wait_until(recv(p.server, &c, 1, MSG_OOB | MSG_PEEK) == 1 && c == '2');
	expect_read(p.server, "x");
	close_pair(p);
}

CASE("a second mark before the program is at the first: the first byte is text")
{
	struct pair p = tcp_pair();
	char c;

	send_text(p.client, "a");
	send_urgent(p.client, "1");
	wait_urgent(p.server);
	send_urgent(p.client, "2");
	send_text(p.client, "x");
	wait_until(recv(p.server, &c, 1, MSG_OOB | MSG_PEEK) == 1 && c == '2');
	expect_read(p.server, "a1");
	expect_read(p.server, "x");
	close_pair(p);
}

CASE("a thousand times, both ways, with text around it")
{
	struct pair p = tcp_pair();

	for (int i = 0; i < 1000; i++) {
		int from = i & 1 ? p.client : p.server, to = i & 1 ? p.server : p.client;
		char byte[2] = {'A' + i % 26};

		send_text(from, "text");
		send_urgent(from, byte);
		wait_urgent(to);
		expect_urgent(to, byte[0]);
		expect_text(to, "text");
	}
	close_pair(p);
}

CASE("not connected: EPIPE or ENOTCONN, as for text")
{
	int fd = tcp();

	equal(send(fd, "x", 1, MSG_OOB | MSG_NOSIGNAL), -1);
	check(errno == EPIPE || errno == ENOTCONN);
	must(close(fd));
}

CASE("the last byte before close() arrives")
{
	struct pair p = tcp_pair();

	send_urgent(p.client, "!");
	must(close(p.client));
	wait_urgent(p.server);
	expect_urgent(p.server, '!');
	expect_eof(p.server);
	must(close(p.server));
}
