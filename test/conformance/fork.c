/* fork(): sockets shared by parent and children. */
#include "net.h"

#include <sys/mman.h>

static void *shared(size_t n)
{
	void *m = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(m != MAP_FAILED);
	return m;
}

/* How often each byte was seen, by anyone. */
struct tally {
	_Atomic uint64_t of[256];
};

static void tally_read(struct tally *t, int fd, size_t chunk)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = must(recv(fd, buf, chunk, 0))) > 0)
		for (ssize_t i = 0; i < n; i++)
			t->of[buf[i]]++;
}

static void tally_is_pattern(struct tally *t, size_t total)
{
	static uint64_t want[256];

	memset(want, 0, sizeof(want));
	for (size_t i = 0; i < total; i++)
		want[pattern(i)]++;
	for (int i = 0; i < 256; i++)
		equal(t->of[i], want[i]);
}

CASE("a child uses a connection of its parent's")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		expect_text(p.server, "to the child");
		send_text(p.server, "from the child");
		_exit(0);
	}
	send_text(p.client, "to the child");
	expect_text(p.client, "from the child");
	reap(pid);
	send_text(p.server, "and the parent");
	expect_text(p.client, "and the parent");
	close_pair(p);
}

CASE("the parent closes its copy, the child goes on")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(close(p.client));
		for (int i = 0; i < 100; i++) {
			expect_text(p.server, "ping");
			send_text(p.server, "pong");
		}
		_exit(0);
	}
	must(close(p.server));
	for (int i = 0; i < 100; i++) {
		send_text(p.client, "ping");
		expect_text(p.client, "pong");
	}
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

CASE("a child that ends does not end the parent's connection")
{
	struct pair p = tcp_pair();

	for (int i = 0; i < 5; i++) {
		pid_t pid = child();

		if (pid == 0)
			_exit(0);
		reap(pid);
	}
	equal(mask_now(p.client), POLLOUT);
	send_text(p.client, "alive");
	expect_text(p.server, "alive");
	close_pair(p);
}

CASE("a child that is killed does not end the parent's connection")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		send_text(p.client, "here");
		for (;;)
			pause();
	}
	expect_text(p.server, "here");
	must(kill(pid, SIGKILL));
	equal(wait_status(pid), SIGKILL);
	send_text(p.client, "alive");
	expect_text(p.server, "alive");
	close_pair(p);
}

CASE("the peer reads the end when the last copy is closed, not before")
{
	struct pair p = tcp_pair();
	int go[2];
	pid_t pid;
	char c;

	must(pipe2(go, O_CLOEXEC));
	pid = child();
	if (pid == 0) {
		must(close(p.client));
		must(close(go[1]));
		equal(read(go[0], &c, 1), 0);
		_exit(0);
	}
	must(close(p.server));
	sleep_ms(30);
	fails(recv(p.client, &c, 1, MSG_DONTWAIT), EAGAIN);
	must(close(go[1]));
	expect_eof(p.client);
	reap(pid);
	must(close(go[0]));
	must(close(p.client));
}

CASE("parent and child read one connection: each byte goes to one of them")
{
	struct pair p = tcp_pair();
	struct tally *t = shared(sizeof(*t));
	size_t total = 4 << 20;
	pid_t reader = child(), writer;

	if (reader == 0) {
		must(close(p.client));
		tally_read(t, p.server, 1000);
		_exit(0);
	}
	writer = child();
	if (writer == 0) {
		must(close(p.server));
		pattern_send(p.client, total, 7000);
		_exit(0);
	}
	must(close(p.client));
	tally_read(t, p.server, 3333);
	reap(reader);
	reap(writer);
	tally_is_pattern(t, total);
	munmap(t, sizeof(*t));
	must(close(p.server));
}

CASE("parent and two children write one connection: every byte arrives once")
{
	struct pair p = tcp_pair();
	struct tally *t = shared(sizeof(*t));
	size_t each = 1 << 20;
	static uint8_t block[10000];
	pid_t writer[3], reader = child();

	if (reader == 0) {
		must(close(p.client));
		tally_read(t, p.server, sizeof(block));
		_exit(0);
	}
	for (int i = 0; i < 3; i++) {
		writer[i] = child();
		if (writer[i] == 0) {
			memset(block, 'a' + i, sizeof(block));
			for (size_t done = 0; done < each;) {
				size_t n = i == 0 ? 1000 : 9999;

				n = each - done < n ? each - done : n;
				send_all(p.client, block, n);
				done += n;
			}
			_exit(0);
		}
	}
	must(close(p.client));
	for (int i = 0; i < 3; i++)
		reap(writer[i]);
	reap(reader);
	for (int i = 0; i < 256; i++)
		equal(t->of[i], i >= 'a' && i <= 'c' ? each : 0);
	munmap(t, sizeof(*t));
	must(close(p.server));
}

/* Accepts, says who it is, and closes, for ever. */
static void serve(int listener)
{
	for (;;) {
		int fd = tcp_accept(listener);
		pid_t me = getpid();

		send_all(fd, &me, sizeof(me));
		must(close(fd));
	}
}

CASE("4 children accept from one listener: 200 connections, each served once")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 64);
	pid_t pid[4];

	for (int i = 0; i < 4; i++) {
		pid[i] = child();
		if (pid[i] == 0)
			serve(listener);
	}
	must(close(listener));
	for (int i = 0; i < 200; i++) {
		int client = tcp_dial(&where);
		pid_t who = 0;

		equal(recv_all(client, &who, sizeof(who)), sizeof(who));
		expect_eof(client);
		check(who == pid[0] || who == pid[1] || who == pid[2] || who == pid[3]);
		must(close(client));
	}
	for (int i = 0; i < 4; i++) {
		must(kill(pid[i], SIGKILL));
		equal(wait_status(pid[i]), SIGKILL);
	}
}

CASE("4 children with a non-blocking listener and poll()")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 64);
	pid_t pid[4];

	set_nonblock(listener, true);
	for (int i = 0; i < 4; i++) {
		pid[i] = child();
		if (pid[i] != 0)
			continue;
		for (;;) {
			int fd;

			wait_for(listener, POLLIN);
			fd = accept(listener, NULL, NULL);
			if (fd == -1) {
				check(errno == EAGAIN);
				continue;
			}
			send_text(fd, "served");
			must(close(fd));
		}
	}
	for (int i = 0; i < 100; i++) {
		int client = tcp_dial(&where);

		expect_text(client, "served");
		expect_eof(client);
		must(close(client));
	}
	for (int i = 0; i < 4; i++) {
		must(kill(pid[i], SIGKILL));
		equal(wait_status(pid[i]), SIGKILL);
	}
	must(close(listener));
}

CASE("a listener lives as long as one process has it")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4), client;
	pid_t pid = child();

	if (pid == 0)
		serve(listener);
	must(close(listener));
	client = tcp_dial(&where);
	wait_for(client, POLLIN);
	must(close(client));
	must(kill(pid, SIGKILL));
	equal(wait_status(pid), SIGKILL);
	client = tcp();
	fails(connect_to(client, &where), ECONNREFUSED);
	must(close(client));
	listener = tcp();
	set_int(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	wait_until(bind_to(listener, &where) == 0 || errno != EADDRINUSE);
	must(close(listener));
}

CASE("a process for each connection, as inetd does")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 20);
	pid_t server = child();

	if (server == 0) {
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			int fd = tcp_accept(listener);
			pid_t pid = must(fork());
			char buf[64];
			ssize_t n;

			if (pid == 0) {
				must(close(listener));
				while ((n = must(recv(fd, buf, sizeof(buf), 0))) > 0)
					send_all(fd, buf, n);
				_exit(0);
			}
			must(close(fd));
		}
	}
	must(close(listener));
	for (int i = 0; i < 50; i++) {
		int client = tcp_dial(&where);

		send_text(client, "echo this");
		must(shutdown(client, SHUT_WR));
		expect_text(client, "echo this");
		expect_eof(client);
		must(close(client));
	}
	must(kill(server, SIGKILL));
	equal(wait_status(server), SIGKILL);
}

CASE("a socket made by a child is its own")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4);
	pid_t pid = child();

	if (pid == 0) {
		int fd = tcp_dial(&where);

		send_text(fd, "grandchild?");
		if (must(fork()) == 0) {
			expect_text(fd, "yes");
			_exit(0);
		}
		must(wait(NULL));
		_exit(0);
	}
	int server = tcp_accept(listener);

	expect_text(server, "grandchild?");
	send_text(server, "yes");
	expect_eof(server);
	reap(pid);
	must(close(server));
	must(close(listener));
}

CASE("O_NONBLOCK set by a child is the parent's too")
{
	struct pair p = tcp_pair();
	pid_t pid = child();
	char c;

	if (pid == 0) {
		set_nonblock(p.client, true);
		_exit(0);
	}
	reap(pid);
	fails(recv(p.client, &c, 1, 0), EAGAIN);
	close_pair(p);
}

CASE("a child connects the socket that its parent made")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = tcp(), server;
	pid_t pid = child();

	if (pid == 0) {
		must(connect_to(fd, &where));
		_exit(0);
	}
	reap(pid);
	server = tcp_accept(listener);
	send_text(fd, "inherited");
	expect_text(server, "inherited");
	must(close(fd));
	must(close(server));
	must(close(listener));
}

static _Atomic bool forking_done;

static void *stream(void *arg)
{
	struct pair *p = arg;

	for (uint64_t at = 0; !forking_done; at += 1000) {
		char buf[1000];

		pattern_fill(buf, sizeof(buf), at);
		send_all(p->client, buf, sizeof(buf));
		equal(recv_all(p->server, buf, sizeof(buf)), sizeof(buf));
		pattern_check(buf, sizeof(buf), at);
	}
	return NULL;
}

CASE("fork() 100 times while another thread sends and receives")
{
	struct pair p = tcp_pair();
	pthread_t t;

	forking_done = false;
	t = start(stream, &p);
	for (int i = 0; i < 100; i++) {
		pid_t pid = child();

		if (pid == 0)
			_exit(0);
		reap(pid);
	}
	forking_done = true;
	join(t);
	close_pair(p);
}
