/* Signals that come while a call waits. */
#include "net.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
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

static unsigned long signal_mask(void)
{
	unsigned long mask;
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	memcpy(&mask, &set, sizeof(mask)); /* what the kernel knows of it */
	return mask;
}

static void *run_call(void *arg)
{
	struct call *c = arg;
	unsigned long mask = signal_mask();

	waiter = thread_id();
	errno = 0;
	c->result = c->run(c->fd);
	c->error = errno;
	returned = true;
	equal(signal_mask(), mask);
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

#define QUEUED_MOST 300

/* One at `full` whose queue holds no more, and the n connections in it. */
static int full_listener(int other[QUEUED_MOST], int *n)
{
	int listener = tcp_listener(&full, 0);

	for (*n = 0; *n < QUEUED_MOST; ++*n) {
		int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

		other[*n] = fd;
		fails(connect_to(fd, &full), EINPROGRESS);
		if (!(poll_mask(fd, POLLOUT, 100) & POLLOUT)) {
			must(close(fd)); /* nobody else waits for a place */
			return listener;
		}
	}
	check(!"full");
	return -1;
}

CASE("connect(): EINTR, and the connection comes about all the same")
{
	int other[QUEUED_MOST], n, listener = full_listener(other, &n), fd = tcp();
	struct call c;

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

#define JUMPS	 1200  /* out of each call */
#define JUMPS_MS 10000 /* where that takes long, fewer */

static ssize_t do_poll(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
}

static ssize_t do_getsockopt(int fd)
{
	while (take_error(fd) == 0)
		;
	return 0;
}

static void jump_out(timer_t timer, int i, int fd, ssize_t (*run)(int fd))
{
	struct itimerspec when = {.it_value.tv_nsec = 50000 + i * 7919 % 300000};

	if (sigsetjmp(out, 1))
		return;
	must(timer_settime(timer, 0, &when, NULL));
	run(fd);
	check(!"a call that waits returned");
}

static double time_pairs(void)
{
	double from = now_ms();

	for (int i = 0; i < 100; i++) {
		struct pair p = tcp_pair();

		send_text(p.client, "x");
		expect_text(p.server, "x");
		close_pair(p);
	}
	return now_ms() - from;
}

static void *jump_out_of_all(void *arg)
{
	struct sigaction a = {.sa_handler = jump};
	struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	struct sockaddr_in where;
	struct pair p = tcp_pair(), q = tcp_pair();
	int other[QUEUED_MOST], n, listener = tcp_listener(&where, 1);
	int busy = full_listener(other, &n);
	double before = time_pairs(), from;
	timer_t timer;

	(void)arg;
	e._sigev_un._tid = thread_id();
	must(sigaction(SIGUSR1, &a, NULL));
	must(timer_create(CLOCK_MONOTONIC, &e, &timer));
	fill(q.client);
	from = now_ms();
	for (int i = 0; i < JUMPS && now_ms() - from < JUMPS_MS; i++) {
		int fd = tcp();

		jump_out(timer, i, p.server, do_recv);
		jump_out(timer, i, p.server, do_recv_all);
		jump_out(timer, i, q.client, do_send);
		jump_out(timer, i, listener, do_accept);
		jump_out(timer, i, fd, do_connect);
		jump_out(timer, i, p.server, do_poll);
		jump_out(timer, i, p.server, do_getsockopt);
		must(close(fd));
	}
	must(timer_delete(timer));
	signal(SIGUSR1, SIG_IGN);
	check(time_pairs() < 5 * before + 200);
	send_text(p.client, "after the jumps");
	expect_text(p.server, "after the jumps");
	pattern_expect(q.server, 65536, 65536);
	while (n > 0)
		must(close(other[--n]));
	must(close(busy));
	must(close(listener));
	close_pair(p);
	close_pair(q);
	return NULL;
}

CASE("siglongjmp() out of calls that wait, a thousand times each: all works on, as fast")
{
	jump_out_of_all(NULL);
}

CASE("siglongjmp() out of them in a thread, which ends well")
{
	join(start(jump_out_of_all, NULL));
}

/* Tries of one call each, and a peer that sends exactly one signal while it moves text. A call that
 * it does not end gets another, LATE_MS later. */
#define TRIES	40
#define LATE_MS 3000

static _Atomic int late;

static void note_late(int sig)
{
	(void)sig;
	late++;
}

struct peer {
	pid_t pid;
	int tell[2]; /* how much the call has moved, all tries together */
	int told[2]; /* a byte: the next may begin */
};

/* What the call has moved. */
static size_t hear(const struct peer *peer)
{
	struct pollfd in = {.fd = peer->tell[0], .events = POLLIN};
	size_t total;

	if (poll(&in, 1, LATE_MS) == 0)
		must(kill(getppid(), SIGUSR2));
	equal(read(peer->tell[0], &total, sizeof(total)), sizeof(total));
	return total;
}

static void start_peer(struct peer *peer, int fd, void (*run)(const struct peer *peer, int fd))
{
	must(pipe2(peer->tell, O_CLOEXEC));
	must(pipe2(peer->told, O_CLOEXEC));
	peer->pid = child();
	if (peer->pid == 0) {
		run(peer, fd);
		_exit(0);
	}
}

static void end_peer(const struct peer *peer)
{
	reap(peer->pid);
	for (int i = 0; i < 2; i++) {
		must(close(peer->tell[i]));
		must(close(peer->told[i]));
	}
}

/* Reads as much as the call wrote; signals on the way, and reads no more until that has ended it.
 */
static void read_and_signal(const struct peer *peer, int fd)
{
	static char buf[65536];
	size_t got = 0;

	for (int i = 0; i < TRIES; i++) {
		size_t from = got, upto = from + 50000 * (i + 1);

		while (got < upto)
			got += must(recv(fd, buf, sizeof(buf), 0));
		must(kill(getppid(), SIGUSR1));
		upto = hear(peer);
		while (got < upto)
			got += must(recv(fd, buf, sizeof(buf), 0));
		equal(got, upto);
		equal(write(peer->told[1], "", 1), 1);
	}
}

#define WRITTEN (4 << 20) /* in each try; far more than lies in the buffers */
#define CHUNK	16384

static void write_and_signal(const struct peer *peer, int fd)
{
	static char buf[CHUNK];

	for (int i = 0; i < TRIES; i++) {
		for (int at = 0; at < WRITTEN; at += CHUNK) {
			if (at == WRITTEN - (i + 1) * CHUNK)
				must(kill(getppid(), SIGUSR1));
			send_all(fd, buf, CHUNK);
		}
		hear(peer);
		equal(write(peer->told[1], "", 1), 1);
	}
}

/* Every other time with SA_RESTART: a call that has moved something does not begin anew. */
static ssize_t try_call(int i, int fd, ssize_t (*run)(int fd))
{
	struct sigaction a = {.sa_handler = note_late};
	unsigned long mask = signal_mask();
	ssize_t n;

	handle(i % 2 ? SA_RESTART : 0);
	must(sigaction(SIGUSR2, &a, NULL));
	late = 0;
	n = must(run(fd));
	equal(signal_mask(), mask);
	equal(late, 0);
	equal(caught, 1);
	check(n > 0 && (size_t)n < sizeof(big));
	return n;
}

static void tell(const struct peer *peer, size_t total)
{
	char next;

	equal(write(peer->tell[1], &total, sizeof(total)), sizeof(total));
	equal(read(peer->told[0], &next, 1), 1);
}

static void ended_while_it_sends(ssize_t (*run)(int fd))
{
	struct pair p = tcp_pair();
	struct peer peer;
	size_t total = 0;

	start_peer(&peer, p.server, read_and_signal);
	for (int i = 0; i < TRIES; i++) {
		total += try_call(i, p.client, run);
		tell(&peer, total);
	}
	end_peer(&peer);
	close_pair(p);
}

CASE("one signal while send() copies ends it, with what went")
{
	ended_while_it_sends(do_send_big);
}

static ssize_t do_writev_big(int fd)
{
	struct iovec iov[2] = {{big, 1000}, {big, sizeof(big) - 1000}};

	return writev(fd, iov, 2);
}

CASE("one signal while writev() copies ends it, with what went")
{
	ended_while_it_sends(do_writev_big);
}

static int big_file;

static ssize_t do_sendfile_big(int fd)
{
	off_t at = 0;

	return sendfile(fd, big_file, &at, sizeof(big));
}

CASE("one signal while sendfile() copies ends it, with what went")
{
	big_file = must(memfd_create("big", MFD_CLOEXEC));
	must(ftruncate(big_file, sizeof(big)));
	ended_while_it_sends(do_sendfile_big);
	must(close(big_file));
}

static ssize_t do_recv_big(int fd)
{
	return recv(fd, big, sizeof(big), MSG_WAITALL);
}

static void ended_while_it_receives(const struct timeval *limit)
{
	struct pair p = tcp_pair();
	struct peer peer;

	set_int(p.client, SOL_SOCKET, SO_SNDBUF, 65536);
	set_int(p.server, SOL_SOCKET, SO_RCVBUF, 65536);
	must(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, limit, sizeof(*limit)));
	start_peer(&peer, p.client, write_and_signal);
	for (int i = 0; i < TRIES; i++) {
		size_t n = try_call(i, p.server, do_recv_big);

		while (n < WRITTEN)
			n += must(recv(p.server, big, WRITTEN - n, 0));
		tell(&peer, n);
	}
	end_peer(&peer);
	close_pair(p);
}

CASE("one signal while recv(MSG_WAITALL) copies ends it, with what came")
{
	ended_while_it_receives(&(struct timeval){0});
}

CASE("one signal while recv(MSG_WAITALL) with SO_RCVTIMEO copies ends it, with what came")
{
	ended_while_it_receives(&(struct timeval){.tv_sec = 30});
}
