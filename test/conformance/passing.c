/* SCM_RIGHTS: sockets handed to another process. */
#include "net.h"

/* A channel to hand sockets over, and a process at its other end that has nothing of ours. */
struct other {
	pid_t pid;
	int channel;
};

static void hand_over(int channel, const int *fd, int n)
{
	char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
	struct iovec v = {.iov_base = "f", .iov_len = 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
	struct cmsghdr *c;

	m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fd, sizeof(int) * n);
	equal(sendmsg(channel, &m, MSG_NOSIGNAL), 1);
}

static void take_over(int channel, int *fd, int n, int flags)
{
	char control[CMSG_SPACE(sizeof(int) * 8)], byte;
	struct iovec v = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	equal(recvmsg(channel, &m, flags), 1);
	c = CMSG_FIRSTHDR(&m);
	check(c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS);
	equal(c->cmsg_len, CMSG_LEN(sizeof(int) * n));
	memcpy(fd, CMSG_DATA(c), sizeof(int) * n);
}

static struct other start_other(void (*run)(int channel))
{
	struct other o;
	int u[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u));
	o.channel = u[0];
	o.pid = child();
	if (o.pid == 0) {
		must(close(u[0]));
		run(u[1]);
		_exit(0);
	}
	must(close(u[1]));
	return o;
}

static void end_other(struct other o)
{
	reap(o.pid);
	must(close(o.channel));
}

static void echo_one(int channel)
{
	char buf[4096];
	ssize_t n;
	int fd;

	take_over(channel, &fd, 1, 0);
	while ((n = must(recv(fd, buf, sizeof(buf), 0))) > 0)
		send_all(fd, buf, n);
}

CASE("a connection: the receiver uses it, the sender closes its copy")
{
	struct other o = start_other(echo_one);
	struct pair p = tcp_pair();

	hand_over(o.channel, &p.server, 1);
	must(close(p.server));
	pattern_send(p.client, 50000, 5000);
	pattern_expect(p.client, 50000, 65536);
	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.client);
	end_other(o);
	must(close(p.client));
}

CASE("text that waits goes with the connection")
{
	struct other o = start_other(echo_one);
	struct pair p = tcp_pair();

	send_text(p.client, "read by us, waiting for you");
	expect_text(p.server, "read by us, ");
	wait_for(p.server, POLLIN);
	hand_over(o.channel, &p.server, 1);
	must(close(p.server));
	expect_text(p.client, "waiting for you");
	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.client);
	end_other(o);
	must(close(p.client));
}

static void accept_and_greet(int channel)
{
	int listener, fd;

	take_over(channel, &listener, 1, 0);
	equal(get_int(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
	fd = tcp_accept(listener);
	send_text(fd, "welcome");
}

CASE("a listener: the receiver accepts")
{
	struct sockaddr_in where;
	struct other o = start_other(accept_and_greet);
	int listener = tcp_listener(&where, 4), client = tcp_dial(&where);

	hand_over(o.channel, &listener, 1);
	must(close(listener));
	expect_text(client, "welcome");
	end_other(o);
	must(close(client));
}

static void connect_it(int channel)
{
	struct sockaddr_in where;
	int fd;

	equal(recv_all(channel, &where, sizeof(where)), sizeof(where));
	take_over(channel, &fd, 1, 0);
	must(connect_to(fd, &where));
	send_text(fd, "connected elsewhere");
}

CASE("a socket not yet connected: the receiver connects it")
{
	struct sockaddr_in where;
	struct other o = start_other(connect_it);
	int listener = tcp_listener(&where, 4), fd = tcp(), server;

	send_all(o.channel, &where, sizeof(where));
	hand_over(o.channel, &fd, 1);
	server = tcp_accept(listener);
	expect_text(server, "connected elsewhere");
	end_other(o);
	check(same_name(peer_name(fd), where));
	must(close(fd));
	expect_eof(server);
	must(close(server));
	must(close(listener));
}

static void check_names(int channel)
{
	struct sockaddr_in names[2];
	int fd;

	equal(recv_all(channel, names, sizeof(names)), sizeof(names));
	take_over(channel, &fd, 1, MSG_CMSG_CLOEXEC);
	equal(must(fcntl(fd, F_GETFD)), FD_CLOEXEC);
	equal(must(fcntl(fd, F_GETFL)), O_RDWR | O_NONBLOCK);
	check(same_name(local_name(fd), names[0]));
	check(same_name(peer_name(fd), names[1]));
	equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
}

CASE("names, options and O_NONBLOCK go with it; MSG_CMSG_CLOEXEC")
{
	struct other o = start_other(check_names);
	struct pair p = tcp_pair();
	struct sockaddr_in names[2] = {local_name(p.server), peer_name(p.server)};

	set_int(p.server, IPPROTO_TCP, TCP_NODELAY, 1);
	set_nonblock(p.server, true);
	send_all(o.channel, names, sizeof(names));
	hand_over(o.channel, &p.server, 1);
	end_other(o);
	close_pair(p);
}

static void number_them(int channel)
{
	int fd[4];

	take_over(channel, fd, 4, 0);
	for (int i = 0; i < 4; i++) {
		char digit = '0' + i;

		send_all(fd[i], &digit, 1);
	}
}

CASE("four in one message")
{
	struct other o = start_other(number_them);
	struct pair p[4];
	int fd[4];

	for (int i = 0; i < 4; i++) {
		p[i] = tcp_pair();
		fd[i] = p[i].server;
	}
	hand_over(o.channel, fd, 4);
	for (int i = 0; i < 4; i++) {
		char digit[2] = {'0' + i};

		expect_text(p[i].client, digit);
		close_pair(p[i]);
	}
	end_other(o);
}

CASE("to ourselves: one more copy")
{
	struct pair p = tcp_pair();
	int u[2], copy;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u));
	hand_over(u[0], &p.server, 1);
	take_over(u[1], &copy, 1, 0);
	check(copy != p.server);
	send_text(p.client, "ab");
	expect_text(p.server, "a");
	expect_text(copy, "b");
	must(close(p.server));
	send_text(copy, "still open");
	expect_text(p.client, "still open");
	must(close(copy));
	expect_eof(p.client);
	must(close(p.client));
	must(close(u[0]));
	must(close(u[1]));
}

CASE("under way and held by nobody: the connection lives; thrown away: it ends")
{
	struct pair p = tcp_pair();
	int u[2];
	char c;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u));
	hand_over(u[0], &p.server, 1);
	must(close(p.server));
	sleep_ms(30);
	fails(recv(p.client, &c, 1, MSG_DONTWAIT), EAGAIN);
	must(close(u[0]));
	must(close(u[1]));
	expect_eof(p.client);
	must(close(p.client));
}

static void read_after_parent(int channel)
{
	int fd;

	take_over(channel, &fd, 1, 0);
	expect_text(fd, "for the receiver");
	send_text(channel, "k");
	expect_text(channel, "k");
	send_text(fd, "R");
}

CASE("sender and receiver use it in turn")
{
	struct other o = start_other(read_after_parent);
	struct pair p = tcp_pair();

	send_text(p.server, "S1");
	expect_text(p.client, "S1");
	hand_over(o.channel, &p.server, 1);
	send_text(p.client, "for the receiver");
	expect_text(o.channel, "k");
	send_text(p.client, "for the sender");
	expect_text(p.server, "for the sender");
	send_text(p.server, "S2");
	expect_text(p.client, "S2");
	send_text(o.channel, "k");
	expect_text(p.client, "R");
	end_other(o);
	close_pair(p);
}

static void serve_many(int channel)
{
	for (int i = 0; i < 100; i++) {
		int fd;

		take_over(channel, &fd, 1, 0);
		send_text(fd, "served");
		must(close(fd));
	}
}

CASE("a dispatcher: 100 accepted connections handed to a worker")
{
	struct sockaddr_in where;
	struct other o = start_other(serve_many);
	int listener = tcp_listener(&where, 4);

	for (int i = 0; i < 100; i++) {
		int client = tcp_dial(&where), server = tcp_accept(listener);

		hand_over(o.channel, &server, 1);
		must(close(server));
		expect_text(client, "served");
		expect_eof(client);
		must(close(client));
	}
	end_other(o);
	must(close(listener));
}
