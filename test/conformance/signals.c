/* Signals that come while a call waits. */
#include "net.h"

#include <sys/time.h>

static _Atomic int caught;
static _Atomic pid_t waiter;
static _Atomic bool returned;

static void note(int sig)
{
	(void)sig;
	caught++;
}

static void handle(int flags)
{
	struct sigaction a = {.sa_handler = note, .sa_flags = flags};

	must(sigaction(SIGUSR1, &a, NULL));
	caught = 0;
	waiter = 0;
	returned = false;
}

/* A call that a thread makes while it is signalled. */
struct call {
	int fd;
	ssize_t (*run)(int fd);
	ssize_t result;
	int error;
	pthread_t thread;
};

static void *run_call(void *arg)
{
	struct call *c = arg;

	waiter = thread_id();
	errno = 0;
	c->result = c->run(c->fd);
	c->error = errno;
	returned = true;
	return NULL;
}

/* Without SA_RESTART: signalled until it returns (a signal may come before the call has begun to
 * wait). */
static struct call interrupted(int fd, ssize_t (*run)(int fd))
{
	struct call c = {.fd = fd, .run = run};

	handle(0);
	c.thread = start(run_call, &c);
	wait_asleep(&waiter);
	while (!returned) {
		equal(pthread_kill(c.thread, SIGUSR1), 0);
		sleep_ms(2);
	}
	join(c.thread);
	check(caught > 0);
	return c;
}

/* With SA_RESTART: signalled three times while it waits; it must still be waiting. */
static void restarts(struct call *c, int fd, ssize_t (*run)(int fd))
{
	*c = (struct call){.fd = fd, .run = run};
	handle(SA_RESTART);
	c->thread = start(run_call, c);
	for (int i = 1; i <= 3; i++) {
		wait_asleep(&waiter);
		equal(pthread_kill(c->thread, SIGUSR1), 0);
		wait_until(caught == i);
	}
	wait_asleep(&waiter);
	check(!returned);
}

static ssize_t do_recv(int fd)
{
	char c;

	return recv(fd, &c, 1, 0);
}

static ssize_t do_read(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static ssize_t do_peek(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK);
}

static ssize_t do_recv_all(int fd)
{
	char buf[10];

	return recv(fd, buf, sizeof(buf), MSG_WAITALL);
}

static ssize_t do_accept(int fd)
{
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

static ssize_t do_send(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL);
}

static char big[32 << 20];

static ssize_t do_send_big(int fd)
{
	return send(fd, big, sizeof(big), MSG_NOSIGNAL);
}

CASE("recv(), read() and MSG_PEEK: EINTR, and nothing is lost")
{
	ssize_t (*run[])(int) = {do_recv, do_read, do_peek};
	struct pair p = tcp_pair();

	for (int i = 0; i < 3; i++) {
		struct call c = interrupted(p.server, run[i]);

		equal(c.result, -1);
		equal(c.error, EINTR);
		send_text(p.client, "kept");
		expect_text(p.server, "kept");
	}
	close_pair(p);
}

CASE("recv(): goes on waiting with SA_RESTART")
{
	struct pair p = tcp_pair();
	struct call c;

	restarts(&c, p.server, do_recv);
	send_text(p.client, "x");
	join(c.thread);
	equal(c.result, 1);
	close_pair(p);
}

CASE("recv() with SO_RCVTIMEO: EINTR even with SA_RESTART")
{
	struct timeval limit = {.tv_sec = 30};
	struct pair p = tcp_pair();
	struct sigaction a = {.sa_handler = note, .sa_flags = SA_RESTART};
	struct call c = {.fd = p.server, .run = do_recv};

	must(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	handle(0);
	must(sigaction(SIGUSR1, &a, NULL));
	c.thread = start(run_call, &c);
	wait_asleep(&waiter);
	while (!returned) {
		equal(pthread_kill(c.thread, SIGUSR1), 0);
		sleep_ms(2);
	}
	join(c.thread);
	equal(c.result, -1);
	equal(c.error, EINTR);
	close_pair(p);
}

CASE("MSG_WAITALL: a signal ends it with what has come")
{
	struct pair p = tcp_pair();
	struct call c;

	send_text(p.client, "half");
	wait_for(p.server, POLLIN);
	c = interrupted(p.server, do_recv_all);
	equal(c.result, 4);
	close_pair(p);
}

CASE("accept(): EINTR, and the next connection is not lost")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client;
	struct call c = interrupted(listener, do_accept);

	equal(c.result, -1);
	equal(c.error, EINTR);
	client = tcp_dial(&where);
	must(close(tcp_accept(listener)));
	must(close(client));
	must(close(listener));
}

CASE("accept(): goes on waiting with SA_RESTART")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client;
	struct call c;

	restarts(&c, listener, do_accept);
	client = tcp_dial(&where);
	join(c.thread);
	must(close(c.result));
	must(close(client));
	must(close(listener));
}

CASE("send() on a full buffer: EINTR, and not a byte went in")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);
	struct call c = interrupted(p.client, do_send);

	equal(c.result, -1);
	equal(c.error, EINTR);
	must(shutdown(p.client, SHUT_WR));
	pattern_expect(p.server, sent, 65536);
	expect_eof(p.server);
	close_pair(p);
}

CASE("send() on a full buffer: goes on waiting with SA_RESTART")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.client);
	struct call c;

	restarts(&c, p.client, do_send);
	pattern_expect(p.server, sent, 65536);
	join(c.thread);
	equal(c.result, 1);
	expect_text(p.server, "x");
	close_pair(p);
}

CASE("send() of more than fits: a signal ends it, and it says what went in")
{
	struct pair p = tcp_pair();
	struct call c;

	pattern_fill(big, sizeof(big), 0);
	c = interrupted(p.client, do_send_big);
	check(c.result > 0 && (size_t)c.result < sizeof(big));
	must(shutdown(p.client, SHUT_WR));
	pattern_expect(p.server, c.result, 65536);
	expect_eof(p.server);
	close_pair(p);
}

static struct sockaddr_in full;

static ssize_t do_connect(int fd)
{
	return connect_to(fd, &full);
}

CASE("connect(): EINTR, and the connection comes about all the same")
{
	int listener = tcp_listener(&full, 0), other[300], n, fd = tcp();
	struct call c;

	for (n = 0; n < 300; n++) {
		other[n] = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		fails(connect_to(other[n], &full), EINPROGRESS);
		if (!(poll_mask(other[n], POLLOUT, 100) & POLLOUT))
			break;
	}
	check(n < 300);
	must(close(other[n])); /* the queue is full, and nobody else waits for it */
	c = interrupted(fd, do_connect);
	equal(c.result, -1);
	equal(c.error, EINTR);
	for (int i = 0; i < n; i++) {
		must(close(tcp_accept(listener)));
		must(close(other[i]));
	}
	wait_for(fd, POLLOUT);
	equal(take_error(fd), 0);
	check(same_name(peer_name(fd), full));
	must(close(fd));
	must(close(listener));
}

CASE("a signal handler leaves errno to the call")
{
	struct pair p = tcp_pair();
	char c;

	handle(0);
	for (int i = 0; i < 100; i++) {
		must(kill(getpid(), SIGUSR1));
		fails(recv(p.server, &c, 1, MSG_DONTWAIT), EAGAIN);
	}
	close_pair(p);
}

static int handler_fd;
static _Atomic int handler_sent, handler_received;

static void send_in_handler(int sig)
{
	int saved = errno;

	(void)sig;
	if (send(handler_fd, "h", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		handler_sent++;
	errno = saved;
}

static void receive_in_handler(int sig)
{
	int saved = errno;
	char c;

	(void)sig;
	if (recv(handler_fd, &c, 1, MSG_DONTWAIT) == 1)
		handler_received++;
	errno = saved;
}

static timer_t every_millisecond(void (*handler)(int))
{
	struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct itimerspec its = {.it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000};
	timer_t timer;

	must(sigaction(SIGUSR2, &a, NULL));
	must(timer_create(CLOCK_MONOTONIC, &e, &timer));
	must(timer_settime(timer, 0, &its, NULL));
	return timer;
}

static void stop_timer(timer_t timer)
{
	must(timer_delete(timer));
	signal(SIGUSR2, SIG_IGN);
}

CASE("a handler that sends on the very socket that is being written: nothing torn, nothing lost")
{
	struct pair p = tcp_pair();
	int m = 0, h = 0;
	int told[2];
	timer_t timer;
	pid_t pid;

	must(pipe2(told, O_CLOEXEC));
	pid = child();
	if (pid == 0) {
		char buf[4096];
		ssize_t n;

		must(close(p.client));
		while ((n = must(recv(p.server, buf, sizeof(buf), 0))) > 0)
			for (ssize_t i = 0; i < n; i++) {
				check(buf[i] == 'm' || buf[i] == 'h');
				*(buf[i] == 'm' ? &m : &h) += 1;
			}
		equal(write(told[1], (int[2]){m, h}, 8), 8);
		_exit(0);
	}
	handler_fd = p.client;
	handler_sent = 0;
	memset(big, 'm', 65536);
	timer = every_millisecond(send_in_handler);
	for (int sent = 0; handler_sent < 100 || sent < 4000000;) {
		ssize_t n = must(send(p.client, big, 1000, MSG_NOSIGNAL));

		sent += n;
		m += n;
	}
	stop_timer(timer);
	must(shutdown(p.client, SHUT_WR));
	reap(pid);
	int got[2];

	equal(read(told[0], got, 8), 8);
	equal(got[0], m);
	equal(got[1], handler_sent);
	must(close(told[0]));
	must(close(told[1]));
	close_pair(p);
}

CASE("a handler that reads the very socket that is being read: every byte to one of them")
{
	struct pair p = tcp_pair();
	int total = 2000000, received = 0;
	static char buf[500];
	timer_t timer;
	pid_t pid = child();

	if (pid == 0) {
		must(close(p.server));
		pattern_send(p.client, total, 3000);
		_exit(0);
	}
	must(close(p.client));
	handler_fd = p.server;
	handler_received = 0;
	timer = every_millisecond(receive_in_handler);
	for (;;) {
		ssize_t n = recv(p.server, buf, sizeof(buf), 0);

		if (n == 0)
			break;
		received += must(n);
	}
	stop_timer(timer);
	reap(pid);
	equal(received + handler_received, total);
	must(close(p.server));
}

static int handler_port;
static _Atomic int handler_pairs;

static void connect_in_handler(int sig)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = handler_port};
	int saved = errno, fd;

	(void)sig;
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd != -1) {
		if (connect(fd, SA(&where), sizeof(where)) == -1 && errno == EINPROGRESS)
			handler_pairs++;
		close(fd);
	}
	errno = saved;
}

CASE("a handler that makes, connects and closes sockets while the program does the same")
{
	struct sockaddr_in any = at("127.0.0.1", 0);
	int listener = tcp();
	timer_t timer;

	must(bind_to(listener, &any));
	must(listen(listener, 1000));
	handler_port = local_name(listener).sin_port;
	handler_pairs = 0;
	timer = every_millisecond(connect_in_handler);
	for (int i = 0; i < 200 || handler_pairs < 20; i++) {
		struct pair p = tcp_pair();

		send_text(p.client, "x");
		expect_text(p.server, "x");
		close_pair(p);
	}
	stop_timer(timer);
	must(close(listener));
}

static sigjmp_buf out;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void *signal_until_returned(void *arg)
{
	wait_asleep(&waiter);
	while (!returned) {
		equal(pthread_kill(*(pthread_t *)arg, SIGUSR1), 0);
		sleep_ms(20);
	}
	return NULL;
}

CASE("siglongjmp() out of a recv() that waits: the socket works on")
{
	struct sigaction a = {.sa_handler = jump};
	struct pair p = tcp_pair();
	pthread_t self = pthread_self();
	static pthread_t t;
	char c;

	returned = false;
	waiter = 0;
	if (!sigsetjmp(out, 1)) {
		must(sigaction(SIGUSR1, &a, NULL));
		t = start(signal_until_returned, &self);
		waiter = thread_id();
		recv(p.server, &c, 1, 0);
		check(!"recv() returned");
	}
	signal(SIGUSR1, SIG_IGN);
	returned = true;
	join(t);
	send_text(p.client, "after the jump");
	expect_text(p.server, "after the jump");
	send_text(p.server, "and back");
	expect_text(p.client, "and back");
	equal(mask_now(p.server), POLLOUT);
	close_pair(p);
}

static void nothing_more(int sig)
{
	(void)sig;
}

CASE("one signal ends a send() that waits, with what went")
{
	struct pair p = tcp_pair();
	struct sigaction act = {.sa_handler = nothing_more};
	struct itimerval once = {.it_value = {.tv_usec = 300000}};
	static char text[64000000];
	pid_t pid = child();
	ssize_t sent;

	if (pid == 0) {
		for (size_t got = 0; got < 4000000;) {
			ssize_t n = recv(p.server, text, 100000, 0);

			if (n <= 0)
				break;
			got += (size_t)n;
			sleep_ms(1);
		}
		pause();
		_exit(0);
	}
	must(sigaction(SIGALRM, &act, NULL));
	must(setitimer(ITIMER_REAL, &once, NULL));
	sent = send(p.client, text, sizeof(text), 0);
	check(sent > 0 && sent < (ssize_t)sizeof(text));
	must(kill(pid, SIGKILL));
	must(waitpid(pid, NULL, 0));
	close_pair(p);
}
