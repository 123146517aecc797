/* accept() and accept4(). */
#include "net.h"

CASE("accept() fills the peer's address")
{
	struct sockaddr_in where, peer = {0};
	socklen_t len = sizeof(peer);
	int listener = tcp_listener(&where, 1), client = tcp_dial(&where), server;

	server = must(accept(listener, SA(&peer), &len));
	equal(len, sizeof(peer));
	check(same_name(peer, local_name(client)));
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept() cuts the address to the room given and tells its length")
{
	struct sockaddr_in where;
	unsigned char room[16];
	socklen_t len = 4;
	int listener = tcp_listener(&where, 1), client = tcp_dial(&where), server;
	uint16_t port;

	memset(room, 0xee, sizeof(room));
	server = must(accept(listener, SA(room), &len));
	equal(len, sizeof(struct sockaddr_in));
	memcpy(&port, room + 2, 2);
	equal(port, local_name(client).sin_port);
	for (int i = 4; i < 16; i++)
		equal(room[i], 0xee);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept() gives a blocking socket, kept over exec, whatever the listener is")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client, server;

	set_nonblock(listener, true);
	must(fcntl(listener, F_SETFD, FD_CLOEXEC));
	client = tcp_dial(&where);
	wait_for(listener, POLLIN);
	server = must(accept(listener, NULL, NULL));
	equal(must(fcntl(server, F_GETFL)), O_RDWR);
	equal(must(fcntl(server, F_GETFD)), 0);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept4() sets the flags asked for, each alone")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 2), client = tcp_dial(&where), server;

	server = must(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	equal(must(fcntl(server, F_GETFL)), O_RDWR | O_NONBLOCK);
	equal(must(fcntl(server, F_GETFD)), 0);
	must(close(client));
	must(close(server));
	client = tcp_dial(&where);
	server = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	equal(must(fcntl(server, F_GETFL)), O_RDWR);
	equal(must(fcntl(server, F_GETFD)), FD_CLOEXEC);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept4() with a flag that does not exist: EINVAL")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1);

	fails(accept4(listener, NULL, NULL, 1), EINVAL);
	must(close(listener));
}

CASE("accept() on a non-blocking listener without connections: EAGAIN")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1);

	set_nonblock(listener, true);
	fails(accept(listener, NULL, NULL), EAGAIN);
	must(close(listener));
}

CASE("accept() on a socket that does not listen: EINVAL")
{
	struct sockaddr_in where;
	struct pair p = tcp_pair();
	int fresh = tcp(), bound = tcp_bound(&where);

	fails(accept(fresh, NULL, NULL), EINVAL);
	fails(accept(bound, NULL, NULL), EINVAL);
	fails(accept(p.client, NULL, NULL), EINVAL);
	fails(accept(p.server, NULL, NULL), EINVAL);
	close_pair(p);
	must(close(fresh));
	must(close(bound));
}

CASE("accept() gives an ordinary connected socket")
{
	struct pair p = tcp_pair();

	equal(get_int(p.server, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	equal(get_int(p.server, SOL_SOCKET, SO_DOMAIN), AF_INET);
	equal(get_int(p.server, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	equal(get_int(p.server, SOL_SOCKET, SO_ACCEPTCONN), 0);
	equal(take_error(p.server), 0);
	equal(mask_now(p.server), POLLOUT);
	close_pair(p);
}

CASE("accept() hands on the listener's TCP_NODELAY, SO_KEEPALIVE, SO_LINGER, TCP_KEEPIDLE")
{
	struct linger l = {.l_onoff = 1, .l_linger = 7};
	struct sockaddr_in where;
	socklen_t len = sizeof(l);
	int listener = tcp_bound(&where), client, server;

	set_int(listener, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(listener, IPPROTO_TCP, TCP_KEEPIDLE, 123);
	must(setsockopt(listener, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	must(listen(listener, 1));
	client = tcp_dial(&where);
	server = tcp_accept(listener);
	equal(get_int(server, IPPROTO_TCP, TCP_NODELAY), 1);
	equal(get_int(server, SOL_SOCKET, SO_KEEPALIVE), 1);
	equal(get_int(server, IPPROTO_TCP, TCP_KEEPIDLE), 123);
	must(getsockopt(server, SOL_SOCKET, SO_LINGER, &l, &len));
	equal(l.l_onoff, 1);
	equal(l.l_linger, 7);
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept() hands on the listener's SO_RCVTIMEO, and it works")
{
	struct timeval limit = {.tv_usec = 50000}, got;
	struct sockaddr_in where;
	socklen_t len = sizeof(got);
	double begun;
	char c;
	int listener = tcp_listener(&where, 1), client, server;

	must(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	client = tcp_dial(&where);
	server = tcp_accept(listener);
	must(getsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	equal(got.tv_sec, 0);
	check(got.tv_usec >= 50000 && got.tv_usec < 60000);
	begun = now_ms();
	fails(recv(server, &c, 1, 0), EAGAIN);
	check(now_ms() - begun >= 45);
	must(close(client));
	must(close(server));
	must(close(listener));
}

static void *dial_later(void *where)
{
	sleep_ms(30);
	return (void *)(intptr_t)tcp_dial(where);
}

CASE("accept() blocks until a connection comes")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), server;
	pthread_t t = start(dial_later, &where);
	void *client;

	server = tcp_accept(listener);
	equal(pthread_join(t, &client), 0);
	equal(peer_name(server).sin_port, local_name((intptr_t)client).sin_port);
	must(close((intptr_t)client));
	must(close(server));
	must(close(listener));
}

static _Atomic pid_t waiting[2];

struct acceptor {
	int listener, index, server;
};

static void *accept_one(void *arg)
{
	struct acceptor *a = arg;

	waiting[a->index] = thread_id();
	a->server = tcp_accept(a->listener);
	return NULL;
}

CASE("accept() by two threads: one connection each")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 2), client[2];
	struct acceptor a[2] = {{listener, 0, -1}, {listener, 1, -1}};
	pthread_t t[2] = {start(accept_one, &a[0]), start(accept_one, &a[1])};

	wait_asleep(&waiting[0]);
	wait_asleep(&waiting[1]);
	client[0] = tcp_dial(&where);
	client[1] = tcp_dial(&where);
	join(t[0]);
	join(t[1]);
	check(a[0].server != a[1].server);
	check(peer_name(a[0].server).sin_port != peer_name(a[1].server).sin_port);
	for (int i = 0; i < 2; i++) {
		must(close(client[i]));
		must(close(a[i].server));
	}
	must(close(listener));
}

CASE("accept() of a connection that the peer has closed: its text, then the end")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client = tcp_dial(&where), server;

	send_text(client, "gone already");
	must(close(client));
	server = tcp_accept(listener);
	expect_text(server, "gone already");
	expect_eof(server);
	must(close(server));
	must(close(listener));
}

/* Whether accept() still hands out a connection that was reset in the queue is the system's affair
 * (Linux does); the next one must come. */
CASE("a connection reset in the queue does not keep the next one away")
{
	struct sockaddr_in where;
	char c;
	int listener = tcp_listener(&where, 4), dead = tcp_dial(&where), client, server;

	reset_on_close(dead);
	must(close(dead));
	client = tcp_dial(&where);
	send_text(client, "L");
	for (;;) {
		server = tcp_accept(listener);
		if (recv(server, &c, 1, 0) == 1)
			break;
		must(close(server));
	}
	equal(c, 'L');
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept() at RLIMIT_NOFILE: EMFILE, and the connection waits on")
{
	struct sockaddr_in where;
	struct rlimit saved, low;
	int listener = tcp_listener(&where, 1), client = tcp_dial(&where), next, server;

	wait_for(listener, POLLIN);
	next = must(dup(0));
	must(close(next));
	must(getrlimit(RLIMIT_NOFILE, &saved));
	low = saved;
	low.rlim_cur = next;
	must(setrlimit(RLIMIT_NOFILE, &low));
	fails(accept(listener, NULL, NULL), EMFILE);
	fails(accept(listener, NULL, NULL), EMFILE);
	must(setrlimit(RLIMIT_NOFILE, &saved));
	equal(poll_mask(listener, POLLIN, 0), POLLIN);
	server = tcp_accept(listener);
	check(same_name(peer_name(server), local_name(client)));
	must(close(client));
	must(close(server));
	must(close(listener));
}

CASE("accept() 100 times: nobody gets another's text")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 100), client[100];

	for (int i = 0; i < 100; i++) {
		client[i] = tcp_dial(&where);
		send_all(client[i], &i, sizeof(i));
	}
	for (int i = 0; i < 100; i++) {
		int server = tcp_accept(listener), told;

		equal(recv_all(server, &told, sizeof(told)), sizeof(told));
		equal(peer_name(server).sin_port, local_name(client[told]).sin_port);
		must(close(client[told]));
		must(close(server));
	}
	must(close(listener));
}
