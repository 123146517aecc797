/* What the programs share: addresses, pairs of connected sockets, threads and children. All of it
 * is ordinary sockets; nothing here knows whose TCP it is. Nothing takes for granted that what one
 * end did is seen at the other at once: what must happen is waited for, by poll. */
#ifndef NET_H
#define NET_H

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "tap.h"

#pragma GCC diagnostic ignored "-Wunused-function"

/* Far above what anything here takes: what has not come by then does not come. */
#define LONG_MS 20000

#define SA(address) ((struct sockaddr *)(address))

static struct sockaddr_in at(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	check(inet_pton(AF_INET, ip, &a.sin_addr) == 1);
	return a;
}

/* The address under test: TEST_ADDR, an interface's own, else 127.0.0.1. (Another of 127.0.0.0/8
 * will not do: connections to it come from 127.0.0.1.) */
static const char *test_addr(void)
{
	const char *ip = getenv("TEST_ADDR");

	return ip ? ip : "127.0.0.1";
}

static struct sockaddr_in here(int port)
{
	return at(test_addr(), port);
}

static int bind_to(int fd, const struct sockaddr_in *where)
{
	return bind(fd, SA(where), sizeof(*where));
}

static int connect_to(int fd, const struct sockaddr_in *where)
{
	return connect(fd, SA(where), sizeof(*where));
}

static struct sockaddr_in local_name(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	must(getsockname(fd, SA(&a), &len));
	equal(len, sizeof(a));
	return a;
}

static struct sockaddr_in peer_name(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	must(getpeername(fd, SA(&a), &len));
	equal(len, sizeof(a));
	return a;
}

static bool same_name(struct sockaddr_in a, struct sockaddr_in b)
{
	return a.sin_family == b.sin_family && a.sin_port == b.sin_port &&
	       a.sin_addr.s_addr == b.sin_addr.s_addr;
}

static int tcp(void)
{
	return must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void set_int(int fd, int level, int name, int value)
{
	must(setsockopt(fd, level, name, &value, sizeof(value)));
}

static int get_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	must(getsockopt(fd, level, name, &value, &len));
	equal(len, sizeof(value));
	return value;
}

static int take_error(int fd)
{
	return get_int(fd, SOL_SOCKET, SO_ERROR);
}

static void set_nonblock(int fd, bool on)
{
	int flags = must(fcntl(fd, F_GETFL));

	must(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

/* A socket bound to a free port of the address under test; its name goes to *where. */
static int tcp_bound(struct sockaddr_in *where)
{
	struct sockaddr_in a = here(0);
	int fd = tcp();

	must(bind_to(fd, &a));
	*where = local_name(fd);
	return fd;
}

static int tcp_listener(struct sockaddr_in *where, int backlog)
{
	int fd = tcp_bound(where);

	must(listen(fd, backlog));
	return fd;
}

/* A free port outside the range that bind() to port 0 and connect() choose from: for cases that
 * give their port back and take it again, which others may not do in between. */
static struct sockaddr_in lasting_name(void)
{
	for (int port = 20000 + getpid() % 8000; port < 32000; port++) {
		struct sockaddr_in a = here(port);
		int fd = tcp(), taken = bind_to(fd, &a);

		must(close(fd));
		if (taken == 0)
			return a;
	}
	FAIL_AT("# no port is free");
}

static int tcp_dial(const struct sockaddr_in *where)
{
	int fd = tcp();

	must(connect_to(fd, where));
	return fd;
}

static int tcp_accept(int listener)
{
	return must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

/* Two ends of one connection. */
struct pair {
	int client; /* connected */
	int server; /* accepted */
};

static struct pair tcp_pair(void)
{
	struct sockaddr_in where;
	struct pair p;
	int listener = tcp_listener(&where, 1);

	p.client = tcp_dial(&where);
	p.server = tcp_accept(listener);
	must(close(listener));
	return p;
}

static void close_pair(struct pair p)
{
	must(close(p.client));
	must(close(p.server));
}

/* Makes close() send a reset. */
static void reset_on_close(int fd)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

#define ALL_EVENTS (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

static int poll_mask(int fd, int events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n == -1 && errno == EINTR);
	must(n);
	equal(n, p.revents != 0);
	return p.revents;
}

/* What poll says now. */
static int mask_now(int fd)
{
	return poll_mask(fd, ALL_EVENTS, 0);
}

/* Waits for these events (of which POLLHUP and POLLERR need not be asked for). */
static void wait_for(int fd, int events)
{
	int got = poll_mask(fd, events, LONG_MS);

	if ((got & events) == 0)
		FAIL_AT("# fd %d: no event of 0x%x came, poll says 0x%x", fd, events, got);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void sleep_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&t, &t) == -1)
		check(errno == EINTR);
}

/* Until what poll cannot tell is so. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		double end_ = now_ms() + LONG_MS;                                                  \
		while (!(condition)) {                                                             \
			if (now_ms() > end_)                                                       \
				FAIL_AT("# %s:%d: never came true: %s", __FILE__, __LINE__,        \
					#condition);                                               \
			sleep_ms(1);                                                               \
		}                                                                                  \
	} while (0)

/* The mask that poll says once it is complete: TCP's news come one by one. */
#define wait_mask(fd, want)                                                                        \
	do {                                                                                       \
		double end_ = now_ms() + LONG_MS;                                                  \
		while (mask_now(fd) != (want) && now_ms() < end_)                                  \
			sleep_ms(1);                                                               \
		equal(mask_now(fd), want);                                                         \
	} while (0)

/* The byte at place i of a stream: every byte of i counts, so that a lost, doubled or swapped block
 * of any size shows. */
static inline uint8_t pattern(uint64_t i)
{
	i *= 0x9e3779b97f4a7c15ull;
	return i >> 56;
}

static void pattern_fill(void *buf, size_t n, uint64_t from)
{
	uint8_t *b = buf;

	for (size_t i = 0; i < n; i++)
		b[i] = pattern(from + i);
}

static void pattern_check(const void *buf, size_t n, uint64_t from)
{
	const uint8_t *b = buf;

	for (size_t i = 0; i < n; i++)
		if (b[i] != pattern(from + i))
			FAIL_AT("# byte %llu of the stream is wrong",
				(unsigned long long)(from + i));
}

static void send_all(int fd, const void *buf, size_t n)
{
	for (size_t done = 0; done < n;)
		done += must(send(fd, (const char *)buf + done, n - done, MSG_NOSIGNAL));
}

/* Exactly n bytes, or as many as come before the end. */
static size_t recv_all(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = must(recv(fd, (char *)buf + done, n - done, 0));

		if (got == 0)
			break;
		done += got;
	}
	return done;
}

static void send_text(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

/* The next bytes are these. */
static void expect_text(int fd, const char *text)
{
	char buf[256];
	size_t n = strlen(text);

	check(n < sizeof(buf));
	equal(recv_all(fd, buf, n), n);
	buf[n] = 0;
	if (strcmp(buf, text))
		FAIL_AT("# read \"%s\", not \"%s\"", buf, text);
}

static void expect_eof(int fd)
{
	char c;

	equal(must(recv(fd, &c, 1, 0)), 0);
}

static void pattern_send(int fd, size_t total, size_t chunk)
{
	char *buf = malloc(chunk);

	check(buf);
	for (size_t done = 0; done < total;) {
		size_t n = total - done < chunk ? total - done : chunk;

		pattern_fill(buf, n, done);
		send_all(fd, buf, n);
		done += n;
	}
	free(buf);
}

static void pattern_expect(int fd, size_t total, size_t chunk)
{
	char *buf = malloc(chunk);

	check(buf);
	for (size_t done = 0; done < total;) {
		size_t n = total - done < chunk ? total - done : chunk;
		ssize_t got = must(recv(fd, buf, n, 0));

		if (got == 0)
			FAIL_AT("# the stream ends after %zu of %zu bytes", done, total);
		pattern_check(buf, got, done);
		done += got;
	}
	free(buf);
}

/* Writes until not one byte more goes in, in three looks 25 ms apart: TCP may still be carrying
 * text from one end's buffer to the other's. The send buffer is given a size, so that it does not
 * grow later: what is full stays full. Returns the bytes that went in. */
static size_t fill(int fd)
{
	static char block[65536];
	size_t total = 0, n = sizeof(block);

	set_int(fd, SOL_SOCKET, SO_SNDBUF, 100000);
	for (int quiet = 0; quiet < 3;) {
		ssize_t sent;

		pattern_fill(block, n, total);
		sent = send(fd, block, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0) {
			total += sent;
			quiet = 0;
			continue;
		}
		check(sent == -1 && errno == EAGAIN);
		if (n > 1) {
			n = 1;
			continue;
		}
		n = sizeof(block);
		quiet++;
		sleep_ms(25);
	}
	return total;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t t;

	equal(pthread_create(&t, NULL, run, arg), 0);
	return t;
}

static void join(pthread_t t)
{
	equal(pthread_join(t, NULL), 0);
}

static pid_t thread_id(void)
{
	return syscall(SYS_gettid);
}

/* Until that thread sleeps in the kernel, in ten looks one after the other: there is no event for
 * "it has begun to block". */
static void wait_asleep(const _Atomic pid_t *tid)
{
	int asleep = 0;

	wait_until(*tid != 0);
	wait_until(({
		char path[64], line[512], *state;
		int fd;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", *tid);
		fd = must(open(path, O_RDONLY | O_CLOEXEC));
		n = must(read(fd, line, sizeof(line) - 1));
		must(close(fd));
		line[n] = 0;
		state = strrchr(line, ')');
		check(state);
		asleep = state[2] == 'S' ? asleep + 1 : 0;
		asleep == 10;
	}));
}

/* fork(); the child does not outlive this process. */
static pid_t child(void)
{
	pid_t pid = must(fork());

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != tap_pid)
			_exit(97);
	}
	return pid;
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		check(errno == EINTR);
	return status;
}

static void reap(pid_t pid)
{
	equal(wait_status(pid), 0);
}

#endif
