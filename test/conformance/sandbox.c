/* A process that takes its own rights away goes on with the connections that it has: so do servers
 * that read what strangers send in a process that may do nothing else. */
#include "net.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>

#define TEXT 300000
#define CALL(nr, action)                                                                           \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

static void no_new_privileges(void)
{
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

#define FILTER(...)                                                                                \
	{                                                                                          \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), __VA_ARGS__ \
	}

/* Only reading and writing, and the end of it. */
static struct sock_filter only_text[] = FILTER(
    CALL(SYS_read, SECCOMP_RET_ALLOW), CALL(SYS_write, SECCOMP_RET_ALLOW),
    CALL(SYS_exit_group, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));

/* Anything but a call that nobody here makes. */
static struct sock_filter lenient[] = FILTER(CALL(SYS_personality, SECCOMP_RET_ERRNO | ENOTTY),
					     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));

/* What a server of datagrams calls, as time servers have it. It is not asked for names of peers. */
#define PASS(nr) CALL(nr, SECCOMP_RET_ALLOW)
static struct sock_filter only_datagrams[] =
    FILTER(PASS(SYS_socket), PASS(SYS_bind), PASS(SYS_connect), PASS(SYS_sendto),
	   PASS(SYS_recvfrom), PASS(SYS_sendmsg), PASS(SYS_recvmsg), PASS(SYS_getsockname),
	   PASS(SYS_getsockopt), PASS(SYS_fcntl), PASS(SYS_read), PASS(SYS_write), PASS(SYS_close),
	   PASS(SYS_futex), PASS(SYS_rt_sigprocmask), PASS(SYS_getpid), PASS(SYS_exit_group),
	   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));

static void shut_in(struct sock_filter *filter, size_t n)
{
	struct sock_fprog program = {(unsigned short)n, filter};

	no_new_privileges();
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

static void shut_in_by_number(struct sock_filter *filter, size_t n)
{
	struct sock_fprog program = {(unsigned short)n, filter};

	no_new_privileges();
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

/* What comes goes back, until the end. By read() and write() only. */
static void echo(int fd)
{
	static char text[4096];
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t done = 0, r; done < n; done += r)
			if ((r = write(fd, text + done, (size_t)(n - done))) <= 0)
				_exit(3);
	_exit(n == 0 ? 0 : 4);
}

/* A connection to a child that first does `retire`, then echoes. */
static void talk_to(void retire(int fd))
{
	struct pair p = tcp_pair();
	pid_t pid = child();
	static char text[TEXT], back[TEXT];

	if (pid == 0) {
		close(p.client);
		retire(p.server);
		echo(p.server);
	}
	close(p.server);
	/* One word at a time: a reader that sleeps is woken each time. */
	for (int i = 0; i < 20; i++) {
		send_text(p.client, "word");
		expect_text(p.client, "word");
	}
	pattern_fill(text, sizeof(text), 0);
	for (size_t done = 0; done < sizeof(text); done += 30000) {
		send_all(p.client, text + done, 30000);
		equal(recv_all(p.client, back, 30000), 30000);
		check(!memcmp(back, text + done, 30000));
	}
	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.client);
	reap(pid);
	close(p.client);
}

/* As sshd before the login: no descriptor is to be had any more, then no call but these. */
static void limits_then_filter(int fd)
{
	const struct rlimit none = {1, 1};

	(void)fd;
	must(setrlimit(RLIMIT_NOFILE, &none));
	shut_in(only_text, sizeof(only_text) / sizeof(only_text[0]));
}

static void filter_by_number(int fd)
{
	(void)fd;
	shut_in_by_number(only_text, sizeof(only_text) / sizeof(only_text[0]));
}

static void no_descriptor_left(int fd)
{
	const struct rlimit none = {0, 0};

	for (int other = 3; other < 1024; other++)
		if (other != fd)
			close(other);
	must(prlimit(0, RLIMIT_NOFILE, &none, NULL));
	fails(dup(fd), EMFILE);
}

CASE("no descriptor left, then a filter that lets read and write pass only")
{
	talk_to(limits_then_filter);
}

CASE("seccomp() by its number")
{
	talk_to(filter_by_number);
}

CASE("RLIMIT_NOFILE of nothing: the connections that there are go on, and at once")
{
	double before = now_ms();

	talk_to(no_descriptor_left);
	check(now_ms() - before < 5000);
}

/* As an FTP server, which has it for the child that speaks with strangers. */
static void little_memory(int fd)
{
	const struct rlimit little = {200 << 20, 200 << 20};
	struct rlimit told;
	char *block;

	(void)fd;
	must(setrlimit(RLIMIT_AS, &little));
	must(getrlimit(RLIMIT_AS, &told));
	equal(told.rlim_cur, little.rlim_cur);
	equal(told.rlim_max, little.rlim_max);
	must(syscall(SYS_prlimit64, 0, RLIMIT_AS, NULL, &told));
	equal(told.rlim_cur, little.rlim_cur);
	block = malloc(50 << 20);
	check(block);
	free(block);
	check(!malloc(400 << 20));
}

CASE("RLIMIT_AS of 200 MB: what is allowed is the program's own")
{
	talk_to(little_memory);
}

/* A child in a network of its own, and then in a directory of its own, uses what it is sent. */
static void apart(int from, const char *dir)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = space,
			     .msg_controllen = sizeof(space)};
	int fd;

	if (chroot(dir) < 0 || chdir("/") < 0)
		_exit(3);
	if (recvmsg(from, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		_exit(4);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)) < 0)
		_exit(5);
	echo(fd);
}

CASE("clone() with CLONE_NEWNET, then chroot(): a connection that is passed works")
{
	struct pair p = tcp_pair();
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = space,
			     .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	char dir[] = "/tmp/sandbox-XXXXXX";
	int ends[2];
	long pid;

	check(mkdtemp(dir));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid = syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0) {
		close(p.client);
		close(p.server);
		apart(ends[1], dir);
	}
	if (pid < 0) {
		rmdir(dir);
		equal(errno, EPERM);
		tap_skip("only root may");
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &p.server, sizeof(int));
	equal(sendmsg(ends[0], &msg, 0), 1);
	close(p.server);
	send_text(p.client, "word");
	expect_text(p.client, "word");
	must(shutdown(p.client, SHUT_WR));
	expect_eof(p.client);
	reap((pid_t)pid);
	rmdir(dir);
	close(p.client);
	close(ends[0]);
	close(ends[1]);
}

CASE("a filter that does not concern sockets: names, options, new connections")
{
	pid_t pid = child();

	if (pid == 0) {
		struct sockaddr_in where;
		int listener = tcp_listener(&where, 5);
		struct pair p = tcp_pair();
		int client, server;

		shut_in(lenient, sizeof(lenient) / sizeof(lenient[0]));
		fails(syscall(SYS_personality, 0xffffffff), ENOTTY);
		check(same_name(local_name(p.client), peer_name(p.server)));
		set_int(p.client, IPPROTO_TCP, TCP_NODELAY, 1);
		equal(get_int(p.client, IPPROTO_TCP, TCP_NODELAY), 1);
		client = tcp_dial(&where);
		server = tcp_accept(listener);
		send_text(client, "new");
		expect_text(server, "new");
		must(shutdown(server, SHUT_WR));
		expect_eof(client);
		_exit(0);
	}
	reap(pid);
}

/* Sends back what comes, to whom it came from, until nothing is in it; then asks on its own. */
static void datagrams(int fd, const struct sockaddr_in *other)
{
	struct sockaddr_in who;
	socklen_t len = sizeof(who);
	char text[100];
	ssize_t n;
	int own;

	shut_in(only_datagrams, sizeof(only_datagrams) / sizeof(only_datagrams[0]));
	while ((n = recvfrom(fd, text, sizeof(text), 0, SA(&who), &len)) > 0)
		if (sendto(fd, text, (size_t)n, 0, SA(&who), len) != n)
			_exit(3);
	own = socket(AF_INET, SOCK_DGRAM, 0);
	if (own < 0 || connect_to(own, other) < 0 || send(own, "ask", 3, 0) != 3)
		_exit(4);
	_exit(recv(own, text, sizeof(text), 0) == 6 && !memcmp(text, "answer", 6) ? 0 : 5);
}

CASE("a filter that lets a server of datagrams go on: names, new sockets, no second of waiting")
{
	int server = must(socket(AF_INET, SOCK_DGRAM, 0)),
	    fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in where = here(0), own = here(0), who;
	socklen_t len = sizeof(who);
	double before;
	char text[100];
	pid_t pid;

	must(bind_to(server, &where));
	must(bind_to(fd, &own));
	where = local_name(server);
	own = local_name(fd);
	pid = child();
	if (pid == 0)
		datagrams(server, &own);
	close(server);
	before = now_ms();
	for (int i = 0; i < 20; i++) {
		equal(sendto(fd, "hello", 5, 0, SA(&where), sizeof(where)), 5);
		wait_for(fd, POLLIN);
		equal(recvfrom(fd, text, sizeof(text), 0, SA(&who), &len), 5);
		check(same_name(who, where));
	}
	must(sendto(fd, "", 0, 0, SA(&where), sizeof(where)));
	wait_for(fd, POLLIN);
	equal(recvfrom(fd, text, sizeof(text), 0, SA(&who), &len), 3);
	equal(sendto(fd, "answer", 6, 0, SA(&who), len), 6);
	reap(pid);
	check(now_ms() - before < 5000);
	close(fd);
}
