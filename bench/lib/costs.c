/* What a program pays for its calls. Prints a line for each thing measured: its name, a tab and the
 * time of one, in ns.
 *
 *   costs local DIRECTORY             system calls, files, pipes and AF_UNIX sockets
 *   costs serve {tcp|udp} PORT        prints "ready", then sends back what comes
 *   costs ping {tcp|udp} ADDRESS PORT N
 *   costs within {tcp|udp} PORT N     serve in a child, and ping, by 127.0.0.1
 *   costs filtered PROGRAM ARGUMENT...  runs it with a seccomp filter that allows everything: what
 * the kernel takes for any filter */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LARGE (1 << 20)

static char buffer[LARGE];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(long r, const char *what)
{
	if (r < 0)
		err(1, "%s", what);
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

/* The median of batches: what else ran meanwhile does not count. */
#define BATCHES 15
#define MEASURE(name, times, statement)                                                            \
	do {                                                                                       \
		double each[BATCHES];                                                              \
		for (int batch = 0; batch < BATCHES; batch++) {                                    \
			double start = now_ns();                                                   \
			for (int i = 0; i < (times); i++)                                          \
				statement;                                                         \
			each[batch] = (now_ns() - start) / (times);                                \
		}                                                                                  \
		qsort(each, BATCHES, sizeof(each[0]), compare);                                    \
		printf("%s\t%.1f\n", name, each[BATCHES / 2]);                                     \
	} while (0)

static void whole_read(int fd, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, buffer, n);

		check(got > 0 ? 0 : -1, "read");
		n -= (size_t)got;
	}
}

static void whole_write(int fd, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, buffer, n);

		check(put, "write");
		n -= (size_t)put;
	}
}

static void measure_calls(void)
{
	int zero = open("/dev/zero", O_RDONLY);
	int null = open("/dev/null", O_WRONLY);

	check(zero, "/dev/zero");
	check(null, "/dev/null");
	MEASURE("getppid()", 20000, getppid());
	MEASURE("read() of /dev/zero, 1 byte", 20000, check(read(zero, buffer, 1), "read"));
	MEASURE("write() to /dev/null, 1 byte", 20000, check(write(null, buffer, 1), "write"));
	MEASURE("fcntl(F_GETFL)", 20000, check(fcntl(zero, F_GETFL), "fcntl"));
	MEASURE("dup(), close()", 5000, close(dup(zero)));
	close(zero);
	close(null);
}

static void measure_files(const char *directory)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/file", directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(fd, path);
	whole_write(fd, LARGE);
	lseek(fd, 0, SEEK_SET);
	MEASURE("write() to a file, 64 bytes", 5000, check(write(fd, buffer, 64), "write"));
	lseek(fd, 0, SEEK_SET);
	MEASURE("read() of a file, 64 bytes", 1000, check(read(fd, buffer, 64), "read"));
	MEASURE("lseek(), write() to a file, 1 MB", 20,
		(lseek(fd, 0, SEEK_SET), whole_write(fd, LARGE)));
	MEASURE("lseek(), read() of a file, 1 MB", 20,
		(lseek(fd, 0, SEEK_SET), whole_read(fd, LARGE)));
	close(fd);
	MEASURE("open(), close() of a file", 5000, close(open(path, O_RDONLY)));
	unlink(path);
}

/* A child that sends back each byte that comes from `in`, to `out`. */
static pid_t start_echo(int in, int out, int other1, int other2)
{
	pid_t child = fork();
	char byte;

	check(child, "fork");
	if (child > 0)
		return child;
	close(other1);
	close(other2);
	while (read(in, &byte, 1) == 1)
		check(write(out, &byte, 1), "write");
	_exit(0);
}

/* A child that takes `n` bytes for each one that it sends back. */
static pid_t start_sink(int in, int out, int other1, int other2, size_t n)
{
	pid_t child = fork();
	ssize_t got;
	size_t sum = 0;

	check(child, "fork");
	if (child > 0)
		return child;
	close(other1);
	close(other2);
	while ((got = read(in, buffer, 65536)) > 0) {
		sum += (size_t)got;
		for (; sum >= n; sum -= n)
			check(write(out, buffer, 1), "write");
	}
	_exit(0);
}

static void exchange(int to, int from, size_t n)
{
	whole_write(to, n);
	whole_read(from, 1);
}

static void measure_channel(const char *what, int to, int in, int out, int from)
{
	char name[100];
	pid_t child = start_echo(in, out, to, from);

	snprintf(name, sizeof(name), "%s, 1 byte to and fro", what);
	exchange(to, from, 1);
	MEASURE(name, 1000, exchange(to, from, 1));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = start_sink(in, out, to, from, LARGE);
	snprintf(name, sizeof(name), "%s, 1 MB", what);
	exchange(to, from, LARGE);
	MEASURE(name, 20, exchange(to, from, LARGE));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void measure_channels(void)
{
	int there[2], back[2], pair[2];

	check(pipe(there), "pipe");
	check(pipe(back), "pipe");
	measure_channel("pipe", there[1], there[0], back[1], back[0]);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	measure_channel("AF_UNIX", pair[0], pair[1], pair[1], pair[0]);
}

/* ---- a network ---- */

static int make_socket(const char *protocol)
{
	int tcp = strcmp(protocol, "tcp") == 0;
	int fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	int on = 1;

	check(fd, "socket");
	if (tcp)
		check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	return fd;
}

static int make_server(const char *protocol, int port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = make_socket(protocol);

	check(bind(fd, (struct sockaddr *)&any, sizeof(any)), "bind");
	if (strcmp(protocol, "tcp") == 0)
		check(listen(fd, 8), "listen");
	return fd;
}

static void serve(const char *protocol, int fd)
{
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	ssize_t n;
	int connection;

	if (strcmp(protocol, "udp") == 0)
		while ((n = recvfrom(fd, buffer, LARGE, 0, (struct sockaddr *)&from, &length)) >= 0)
			check(sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length),
			      "sendto");
	for (;;) {
		connection = accept(fd, NULL, NULL);
		check(connection, "accept");
		while ((n = recv(connection, buffer, LARGE, 0)) > 0)
			check(send(connection, buffer, (size_t)n, 0), "send");
		close(connection);
	}
}

static void ping_once(int fd)
{
	check(send(fd, buffer, 1, 0), "send");
	check(recv(fd, buffer, 1, 0), "recv");
}

static void ping(const char *protocol, const char *address, int port, int n)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	char name[100];
	int fd = make_socket(protocol);

	check(inet_pton(AF_INET, address, &to.sin_addr) - 1, address);
	check(connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
	for (int i = 0; i < n; i++) /* until all that runs is compiled */
		ping_once(fd);
	snprintf(name, sizeof(name), "%s", protocol);
	MEASURE(name, n / BATCHES, ping_once(fd));
	close(fd);
}

static void within(const char *protocol, int port, int n)
{
	int fd = make_server(protocol, port);
	pid_t child = fork();

	check(child, "fork");
	if (child == 0)
		serve(protocol, fd);
	close(fd);
	ping(protocol, "127.0.0.1", port, n);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void run_filtered(char **argv)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	check(
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program),
	    "seccomp");
	execv(argv[0], argv);
	err(1, "%s", argv[0]);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "local") == 0) {
		measure_calls();
		measure_files(argv[2]);
		measure_channels();
	} else if (strcmp(what, "serve") == 0 && argc > 3) {
		int fd = make_server(argv[2], atoi(argv[3]));

		puts("ready");
		serve(argv[2], fd);
	} else if (strcmp(what, "ping") == 0 && argc > 5) {
		ping(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	} else if (strcmp(what, "within") == 0 && argc > 4) {
		within(argv[2], atoi(argv[3]), atoi(argv[4]));
	} else if (strcmp(what, "filtered") == 0) {
		run_filtered(argv + 2);
	} else {
		errx(2, "see the top of costs.c");
	}
	return 0;
}
