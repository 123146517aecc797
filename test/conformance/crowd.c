/* Many threads at one socket, many sockets in one process, and numbers that change their meaning
 * under those who use them. */
#include "net.h"

#include <sys/epoll.h>

#define CROWD 64

/* ---- 64 threads, one socket ---- */

static void *read_some(void *arg)
{
	_Atomic uint64_t *of = ((void **)arg)[1];
	int fd = *(int *)((void **)arg)[0];
	uint8_t buf[700];
	ssize_t n;

	while ((n = must(recv(fd, buf, sizeof(buf), 0))) > 0)
		for (ssize_t i = 0; i < n; i++)
			of[buf[i]]++;
	return NULL;
}

#define MESSAGES 60

struct writer {
	int fd;
	uint8_t letter;
};

static void *write_some(void *arg)
{
	struct writer *w = arg;
	uint8_t buf[2000];

	memset(buf, w->letter, sizeof(buf));
	for (int i = 1; i <= MESSAGES; i++)
		send_all(w->fd, buf, sizeof(buf) * i / MESSAGES);
	return NULL;
}

static size_t written_by_each(void)
{
	size_t n = 0;

	for (int i = 1; i <= MESSAGES; i++)
		n += 2000 * i / MESSAGES;
	return n;
}

struct half {
	int in, out;
	_Atomic uint64_t of[256];
	void *arg[2];
	struct writer w[CROWD];
	pthread_t reader[CROWD], writer[CROWD];
};

static void start_half(struct half *h, int out, int in, int writers, int readers)
{
	h->in = in;
	h->out = out;
	h->arg[0] = &h->in;
	h->arg[1] = h->of;
	for (int i = 0; i < readers; i++)
		h->reader[i] = start(read_some, h->arg);
	for (int i = 0; i < writers; i++) {
		h->w[i] = (struct writer){out, (uint8_t)(1 + i)};
		h->writer[i] = start(write_some, &h->w[i]);
	}
}

static void end_half(struct half *h, int writers, int readers)
{
	for (int i = 0; i < writers; i++)
		join(h->writer[i]);
	must(shutdown(h->out, SHUT_WR));
	for (int i = 0; i < readers; i++)
		join(h->reader[i]);
	for (int i = 0; i < 256; i++)
		equal(h->of[i], i >= 1 && i <= writers ? written_by_each() : 0);
}

static void crowd(int writers, int readers, bool both_ways)
{
	struct pair p = tcp_pair();
	static struct half there, back;

	memset(&there, 0, sizeof(there));
	memset(&back, 0, sizeof(back));
	start_half(&there, p.client, p.server, writers, readers);
	if (both_ways)
		start_half(&back, p.server, p.client, writers, readers);
	end_half(&there, writers, readers);
	if (both_ways)
		end_half(&back, writers, readers);
	close_pair(p);
}

CASE("64 threads write one connection, 64 read it: each byte once")
{
	crowd(CROWD, CROWD, false);
}

CASE("one thread writes a connection that 64 read")
{
	crowd(1, CROWD, false);
}

CASE("16 threads write and 16 read at each of its ends")
{
	crowd(16, 16, true);
}

static _Atomic int datagrams_read;

static void *read_datagrams(void *arg)
{
	_Atomic int *of = ((void **)arg)[1];
	int fd = *(int *)((void **)arg)[0];

	for (;;) {
		int number;

		equal(must(recv(fd, &number, sizeof(number), 0)), sizeof(number));
		if (number < 0)
			return NULL;
		of[number]++;
		datagrams_read++;
	}
}

CASE("64 threads read one datagram socket: each datagram comes to one of them")
{
	enum { N = 2000 };
	static _Atomic int of[N];
	struct sockaddr_in a = here(0);
	int in = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	int out = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	void *arg[2] = {&in, (void *)of};
	pthread_t t[CROWD];

	must(bind_to(in, &a));
	a = local_name(in);
	must(connect_to(out, &a));
	for (int i = 0; i < CROWD; i++)
		t[i] = start(read_datagrams, arg);
	for (int i = 0; i < N; i++) {
		wait_until(i - datagrams_read < 50);
		equal(must(send(out, &i, sizeof(i), 0)), sizeof(i));
	}
	wait_until(datagrams_read == N);
	for (int i = 0; i < CROWD; i++)
		equal(must(send(out, &(int){-1}, sizeof(int), 0)), sizeof(int));
	for (int i = 0; i < CROWD; i++)
		join(t[i]);
	for (int i = 0; i < N; i++)
		equal(of[i], 1);
	must(close(in));
	must(close(out));
}

/* ---- many sockets ---- */

#define MANY 2000

static bool may_have(rlim_t wanted)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < wanted)
		return false;
	limit.rlim_cur = wanted;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	return true;
}

CASE("2,000 sockets in one process, twice: every second is used")
{
	static int fd[MANY];
	struct sockaddr_in where;
	int listener, epoll;

	if (!may_have(MANY + 100))
		tap_skip("RLIMIT_NOFILE is too low");
	listener = tcp_listener(&where, 128);
	for (int round = 0; round < 2; round++) {
		epoll = must(epoll_create1(EPOLL_CLOEXEC));
		for (int i = 0; i < MANY; i++) {
			struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
			int type = i % 4 == 1 ? SOCK_DGRAM : SOCK_STREAM;

			if (i % 4 == 3)
				fd[i] = tcp_accept(listener);
			else
				fd[i] = must(socket(AF_INET, type | SOCK_CLOEXEC, 0));
			if (i % 4 == 2)
				must(connect_to(fd[i], &where));
			must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd[i], &e));
		}
		for (int i = 2; i < MANY; i += 4)
			equal(must(send(fd[i], &i, sizeof(i), 0)), sizeof(i));
		for (int left = MANY / 4; left > 0;) {
			struct epoll_event e[64];
			int n = must(epoll_wait(epoll, e, 64, LONG_MS));

			check(n > 0);
			for (int i = 0; i < n; i++) {
				int at = e[i].data.u32, got;

				/* A socket that is not connected shows HUP. */
				if (at % 4 != 3) {
					must(epoll_ctl(epoll, EPOLL_CTL_DEL, fd[at], NULL));
					continue;
				}
				equal(must(recv(fd[at], &got, sizeof(got), 0)), sizeof(got));
				equal(got, at - 1);
				left--;
			}
		}
		for (int i = 0; i < MANY; i++)
			must(close(fd[i]));
		must(close(epoll));
	}
	must(close(listener));
}

/* ---- what others close ---- */

struct blocked {
	_Atomic pid_t tid;
	int fd;
	ssize_t result;
	int error;
	char buf[64];
	short revents;
	struct sockaddr_in where;
};

static void *in_recv(void *arg)
{
	struct blocked *b = arg;

	b->tid = thread_id();
	b->result = recv(b->fd, b->buf, sizeof(b->buf), 0);
	b->error = errno;
	return NULL;
}

CASE("close() while another thread is in recv(): that gets what comes, then the socket ends")
{
	struct pair p = tcp_pair();
	struct blocked b = {.fd = p.server};
	pthread_t t = start(in_recv, &b);

	wait_asleep(&b.tid);
	must(close(p.server));
	send_text(p.client, "late");
	join(t);
	equal(b.result, 4);
	check(memcmp(b.buf, "late", 4) == 0);
	expect_eof(p.client);
	must(close(p.client));
}

CASE("its number is another connection's by then: that one's text stays its own")
{
	struct pair p = tcp_pair(), q = tcp_pair();
	struct blocked b = {.fd = p.server};
	pthread_t t = start(in_recv, &b);

	wait_asleep(&b.tid);
	equal(must(dup2(q.server, p.server)), p.server);
	send_text(q.client, "new");
	wait_for(q.server, POLLIN);
	send_text(p.client, "old");
	join(t);
	check(b.result != 3 || memcmp(b.buf, "old", 3) == 0);
	equal(mask_now(p.server) & POLLIN, POLLIN);
	expect_text(p.server, "new");
	equal(mask_now(p.server) & POLLIN, 0);
	send_text(q.client, "again");
	wait_for(p.server, POLLIN);
	expect_text(p.server, "again");
	must(close(p.server));
	must(close(p.client));
	close_pair(q);
}

CASE("its number is a pipe's by then: nobody takes what is in it")
{
	struct pair p = tcp_pair();
	struct blocked b = {.fd = p.server};
	pthread_t t = start(in_recv, &b);
	int ends[2];
	char c[8];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	wait_asleep(&b.tid);
	must(dup2(ends[0], p.server));
	equal(must(write(ends[1], "pipe", 4)), 4);
	send_text(p.client, "old");
	join(t);
	check(b.result != 3 || memcmp(b.buf, "old", 3) == 0);
	equal(must(read(p.server, c, sizeof(c))), 4);
	check(memcmp(c, "pipe", 4) == 0);
	must(close(p.server));
	must(close(p.client));
	must(close(ends[0]));
	must(close(ends[1]));
}

static void *in_accept(void *arg)
{
	struct blocked *b = arg;

	b->tid = thread_id();
	b->result = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC);
	b->error = errno;
	return NULL;
}

CASE("close() while another thread is in accept(): that gets the next connection, the last")
{
	struct sockaddr_in where;
	struct blocked b = {.fd = tcp_listener(&where, 4)};
	pthread_t t = start(in_accept, &b);
	int client, refused;

	wait_asleep(&b.tid);
	must(close(b.fd));
	client = tcp_dial(&where);
	join(t);
	must(b.result);
	send_text(client, "hello");
	expect_text(b.result, "hello");
	wait_until(({
		refused = tcp();
		int r = connect_to(refused, &where), error = errno;
		must(close(refused));
		r == -1 && error == ECONNREFUSED;
	}));
	must(close(client));
	must(close(b.result));
}

static void *in_poll(void *arg)
{
	struct blocked *b = arg;
	struct pollfd p = {.fd = b->fd, .events = POLLIN};

	b->tid = thread_id();
	b->result = poll(&p, 1, LONG_MS);
	b->revents = p.revents;
	return NULL;
}

CASE("close() while another thread is in poll(): POLLNVAL when something comes")
{
	struct pair p = tcp_pair();
	struct blocked b = {.fd = p.server};
	pthread_t t = start(in_poll, &b);

	wait_asleep(&b.tid);
	must(close(p.server));
	send_text(p.client, "x");
	join(t);
	equal(b.result, 1);
	equal(b.revents, POLLNVAL);
	must(close(p.client));
}

#define BIG (16 << 20) /* more than the rings of both ends take */

static void *in_send(void *arg)
{
	struct blocked *b = arg;
	char *buf = malloc(BIG);

	check(buf);
	pattern_fill(buf, BIG, 0);
	b->tid = thread_id();
	b->result = send(b->fd, buf, BIG, MSG_NOSIGNAL);
	b->error = errno;
	free(buf);
	return NULL;
}

CASE("close() while another thread is in send(): all of it goes, then the end")
{
	struct pair p = tcp_pair();
	struct blocked b = {.fd = p.client};
	pthread_t t;

	set_int(p.client, SOL_SOCKET, SO_SNDBUF, 100000);
	t = start(in_send, &b);
	wait_asleep(&b.tid);
	must(close(p.client));
	pattern_expect(p.server, BIG, 65536);
	join(t);
	equal(b.result, BIG);
	expect_eof(p.server);
	must(close(p.server));
}

static void *in_connect(void *arg)
{
	struct blocked *b = arg;

	b->tid = thread_id();
	b->result = connect_to(b->fd, &b->where);
	b->error = errno;
	return NULL;
}

CASE("close() while another thread is in connect(): it waits on, as long as it would have")
{
	struct blocked b = {.fd = tcp()};
	struct timeval patience = {.tv_usec = 400000};
	int queued[16], n = 0, listener = tcp_listener(&b.where, 0);
	pthread_t t;
	double begun;

	/* Until the queue is full: SYNs go unanswered then. */
	do {
		queued[n] = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
		connect_to(queued[n], &b.where);
	} while (poll_mask(queued[n++], POLLOUT, 100) == POLLOUT && n < 16);
	must(setsockopt(b.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)));
	begun = now_ms();
	t = start(in_connect, &b);
	wait_asleep(&b.tid);
	must(close(b.fd));
	join(t);
	equal(b.result, -1);
	equal(b.error, EINPROGRESS);
	check(now_ms() - begun >= 390);
	while (n > 0)
		must(close(queued[--n]));
	must(close(listener));
}

/* ---- accept storms ---- */

#define WORKERS 4
#define DIALERS 8
#define DIALS	60

static void serve_exclusively(int listener, int report)
{
	int epoll = must(epoll_create1(EPOLL_CLOEXEC)), served = 0;
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e));
	for (;;) {
		int fd;
		char c;

		must(epoll_wait(epoll, &e, 1, -1));
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1) {
			check(errno == EAGAIN);
			continue;
		}
		equal(must(recv(fd, &c, 1, 0)), 1);
		if (c == 'q')
			break;
		served++;
		send_text(fd, "y");
		must(close(fd));
	}
	equal(must(write(report, &served, sizeof(served))), sizeof(served));
	_exit(0);
}

static void *dial(void *arg)
{
	for (int i = 0; i < DIALS; i++) {
		int fd = tcp_dial(arg);

		send_text(fd, "x");
		expect_text(fd, "y");
		expect_eof(fd);
		must(close(fd));
	}
	return NULL;
}

CASE("EPOLLEXCLUSIVE in 4 processes, 8 threads connect: each connection is served once")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 16), report[2], sum = 0;
	pid_t worker[WORKERS];
	pthread_t t[DIALERS];

	set_nonblock(listener, true);
	must(pipe2(report, O_CLOEXEC));
	for (int i = 0; i < WORKERS; i++) {
		worker[i] = child();
		if (worker[i] == 0)
			serve_exclusively(listener, report[1]);
	}
	for (int i = 0; i < DIALERS; i++)
		t[i] = start(dial, &where);
	for (int i = 0; i < DIALERS; i++)
		join(t[i]);
	for (int i = 0; i < WORKERS; i++) {
		int fd = tcp_dial(&where), served;

		send_text(fd, "q");
		equal(must(read(report[0], &served, sizeof(served))), sizeof(served));
		sum += served;
		must(close(fd));
	}
	for (int i = 0; i < WORKERS; i++)
		reap(worker[i]);
	equal(sum, DIALERS * DIALS);
	must(close(listener));
	must(close(report[0]));
	must(close(report[1]));
}

/* ---- fork ---- */

static _Atomic bool enough;

static void *use_sockets(void *arg)
{
	(void)arg;
	while (!enough) {
		struct pair p = tcp_pair();

		pattern_send(p.client, 3000, 3000);
		pattern_expect(p.server, 3000, 3000);
		close_pair(p);
	}
	return NULL;
}

CASE("fork() while four threads make, use and close sockets: the children's work, too")
{
	pthread_t t[4];

	enough = false;
	for (int i = 0; i < 4; i++)
		t[i] = start(use_sockets, NULL);
	for (int i = 0; i < 40; i++) {
		pid_t pid = child();

		if (pid == 0) {
			struct pair p = tcp_pair();

			pattern_send(p.client, 3000, 3000);
			pattern_expect(p.server, 3000, 3000);
			close_pair(p);
			_exit(0);
		}
		reap(pid);
	}
	enough = true;
	for (int i = 0; i < 4; i++)
		join(t[i]);
}

static void *send_nine(void *arg)
{
	send_all(*(int *)arg, "123456789", 9);
	return NULL;
}

CASE("1,100 threads wait in send(): all else goes on, and all of it arrives")
{
	static pthread_t threads[1100];
	struct pair p = tcp_pair();
	size_t n = sizeof(threads) / sizeof(*threads), text = fill(p.client);
	pthread_attr_t attr;
	struct pair other;

	equal(pthread_attr_init(&attr), 0);
	equal(pthread_attr_setstacksize(&attr, 65536), 0);
	for (size_t i = 0; i < n; i++)
		equal(pthread_create(&threads[i], &attr, send_nine, &p.client), 0);
	sleep_ms(500);
	other = tcp_pair();
	send_text(other.client, "there");
	expect_text(other.server, "there");
	close_pair(other);
	for (size_t got = 0; got < text + 9 * n;) {
		char block[65536];

		got += (size_t)must(recv(p.server, block, sizeof(block), 0));
	}
	for (size_t i = 0; i < n; i++)
		join(threads[i]);
	close_pair(p);
}
