/* exec: sockets that the next program inherits, by number, as stdin and stdout, into programs that
 * are linked statically, and with an empty environment. */
#define TAP_ROLES
#include "net.h"

#include <libgen.h>
#include <limits.h>

static char self[PATH_MAX], static_echo[PATH_MAX];

__attribute__((constructor)) static void find_self(void)
{
	char dir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n == -1)
		abort();
	self[n] = 0;
	strcpy(dir, self);
	snprintf(static_echo, sizeof(static_echo), "%.4000s/static-echo", dirname(dir));
}

enum { DAEMON = 1, BIN = 2 };

static void expect_ids(uid_t ruid, uid_t euid, uid_t suid, gid_t rgid, gid_t egid, gid_t sgid)
{
	uid_t u[3];
	gid_t g[3];

	must(getresuid(&u[0], &u[1], &u[2]));
	must(getresgid(&g[0], &g[1], &g[2]));
	check(u[0] == ruid && u[1] == euid && u[2] == suid);
	check(g[0] == rgid && g[1] == egid && g[2] == sgid);
}

/* exec of this program: --role fd extra */
static int tap_role(int argc, char **argv)
{
	const char *role = argv[1] + 2;
	int fd = argc > 2 ? atoi(argv[2]) : -1, extra = argc > 3 ? atoi(argv[3]) : 0;
	static char buf[65536];
	ssize_t n;

	if (!strcmp(role, "echo")) {
		while ((n = must(recv(fd, buf, sizeof(buf), 0))) > 0)
			send_all(fd, buf, n);
	} else if (!strcmp(role, "names")) {
		equal(ntohs(peer_name(fd).sin_port), extra);
		equal(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
		equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	} else if (!strcmp(role, "accept")) {
		int server = tcp_accept(fd);

		equal(ntohs(local_name(fd).sin_port), extra);
		send_text(server, "accepted after exec");
	} else if (!strcmp(role, "connect")) {
		struct sockaddr_in where = here(extra);

		must(connect_to(fd, &where));
		send_text(fd, "connected after exec");
	} else if (!strcmp(role, "closed")) {
		fails(fcntl(fd, F_GETFD), EBADF);
	} else if (!strcmp(role, "rest")) {
		for (uint64_t at = extra; (n = must(recv(fd, buf, sizeof(buf), 0))) > 0; at += n)
			pattern_check(buf, n, at);
		send_text(fd, "all of it");
	} else if (!strcmp(role, "continue")) {
		for (int done = 0; done < 500000; done += 5000) {
			pattern_fill(buf, 5000, extra + done);
			send_all(fd, buf, 5000);
		}
	} else if (!strcmp(role, "fresh")) {
		struct pair p = tcp_pair();

		send_text(p.client, "fresh");
		expect_text(p.server, "fresh");
	} else if (!strcmp(role, "ids")) {
		struct pair p = tcp_pair();

		expect_ids(DAEMON, 0, 0, DAEMON, BIN, BIN);
		send_text(p.client, "fresh");
		expect_text(p.server, "fresh");
		check(!getenv("IOTH_IDS"));
	} else {
		return 2;
	}
	return 0;
}

static char *text(int n)
{
	static char room[4][16];
	static int next;
	char *t = room[next++ % 4];

	snprintf(t, sizeof(room[0]), "%d", n);
	return t;
}

/* A copy of fd that exec keeps. */
static int inheritable(int fd)
{
	return must(fcntl(fd, F_DUPFD, 10));
}

/* A child that becomes this program in a role, with fd. The parent keeps nothing of fd. */
static pid_t become(const char *role, int fd, int extra)
{
	pid_t pid = child();

	if (pid == 0) {
		execl(self, self, role, text(inheritable(fd)), text(extra), NULL);
		_exit(96);
	}
	must(close(fd));
	return pid;
}

static void echoes(int fd)
{
	send_text(fd, "hello over there");
	expect_text(fd, "hello over there");
	pattern_send(fd, 100000, 10000);
	pattern_expect(fd, 100000, 7777);
	must(shutdown(fd, SHUT_WR));
	expect_eof(fd);
	must(close(fd));
}

CASE("a connection, by number")
{
	struct pair p = tcp_pair();
	pid_t pid = become("--echo", p.server, 0);

	echoes(p.client);
	reap(pid);
}

CASE("names and options are those from before")
{
	struct pair p = tcp_pair();
	pid_t pid;

	set_int(p.server, IPPROTO_TCP, TCP_NODELAY, 1);
	pid = become("--names", p.server, ntohs(local_name(p.client).sin_port));
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

CASE("a listener: accept() after exec")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4), client;
	pid_t pid = become("--accept", listener, ntohs(where.sin_port));

	client = tcp_dial(&where);
	expect_text(client, "accepted after exec");
	expect_eof(client);
	reap(pid);
	must(close(client));
}

CASE("a listener with connections that wait")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4), client = tcp_dial(&where);
	pid_t pid;

	wait_for(listener, POLLIN);
	pid = become("--accept", listener, ntohs(where.sin_port));
	expect_text(client, "accepted after exec");
	expect_eof(client);
	reap(pid);
	must(close(client));
}

CASE("a socket not yet connected: connect() after exec")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 4), server;
	pid_t pid = become("--connect", tcp(), ntohs(where.sin_port));

	server = tcp_accept(listener);
	expect_text(server, "connected after exec");
	expect_eof(server);
	reap(pid);
	must(close(server));
	must(close(listener));
}

CASE("FD_CLOEXEC: closed by exec, and the peer reads the end")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(close(p.client));
		execl(self, self, "--closed", text(p.server), NULL);
		_exit(96);
	}
	must(close(p.server));
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

CASE("text that came before exec and was not read is read after it")
{
	struct pair p = tcp_pair();
	char buf[1000];
	pid_t pid;

	pattern_send(p.client, 60000, 60000);
	equal(recv_all(p.server, buf, sizeof(buf)), sizeof(buf));
	pattern_check(buf, sizeof(buf), 0);
	pid = become("--rest", p.server, sizeof(buf));
	must(shutdown(p.client, SHUT_WR));
	expect_text(p.client, "all of it");
	reap(pid);
	must(close(p.client));
}

CASE("text that comes before, during and after exec")
{
	struct pair p = tcp_pair();
	size_t total = 20 << 20;
	pid_t writer = child(), pid;
	char buf[5000];

	if (writer == 0) {
		must(close(p.server));
		pattern_send(p.client, total, 30000);
		must(shutdown(p.client, SHUT_WR));
		expect_text(p.client, "all of it");
		_exit(0);
	}
	must(close(p.client));
	equal(recv_all(p.server, buf, sizeof(buf)), sizeof(buf));
	pattern_check(buf, sizeof(buf), 0);
	pid = become("--rest", p.server, sizeof(buf));
	reap(writer);
	reap(pid);
}

CASE("a full send buffer: the next program goes on where this one stopped")
{
	struct pair p = tcp_pair();
	size_t sent = fill(p.server);
	pid_t pid = become("--continue", p.server, sent);

	pattern_expect(p.client, sent + 500000, 65536);
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

CASE("an exec that fails leaves the sockets as they were")
{
	struct pair p = tcp_pair();

	send_text(p.client, "before");
	wait_for(p.server, POLLIN);
	fails(execl("/nonexistent/program", "program", NULL), ENOENT);
	must(fcntl(p.server, F_SETFD, 0));
	fails(execl("/dev/null", "null", NULL), EACCES);
	expect_text(p.server, "before");
	send_text(p.server, "after");
	expect_text(p.client, "after");
	equal(mask_now(p.server), POLLOUT);
	close_pair(p);
}

CASE("every exec: execv, execve, execle, execlp, execvp, execvpe, fexecve")
{
	for (int how = 0; how < 7; how++) {
		struct pair p = tcp_pair();
		pid_t pid = child();

		if (pid == 0) {
			char *fd = text(inheritable(p.server));
			char *argv[] = {self, "--echo", fd, NULL};

			if (how == 0)
				execv(self, argv);
			if (how == 1)
				execve(self, argv, environ);
			if (how == 2)
				execle(self, self, "--echo", fd, NULL, environ);
			if (how == 3)
				execlp(self, self, "--echo", fd, NULL);
			if (how == 4)
				execvp(self, argv);
			if (how == 5)
				execvpe(self, argv, environ);
			fexecve(must(open(self, O_RDONLY | O_CLOEXEC)), argv, environ);
			_exit(96);
		}
		must(close(p.server));
		echoes(p.client);
		reap(pid);
	}
}

CASE("an empty environment: the socket works, and so do new ones")
{
	char *empty[] = {NULL};
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		execle(self, self, "--echo", text(inheritable(p.server)), NULL, empty);
		_exit(96);
	}
	must(close(p.server));
	echoes(p.client);
	reap(pid);
	pid = child();
	if (pid == 0) {
		clearenv();
		execl(self, self, "--fresh", NULL);
		_exit(96);
	}
	reap(pid);
}

CASE("real and effective ids that differ: they stay, and new sockets work")
{
	pid_t pid;

	if (geteuid() != 0)
		tap_skip("only root may");
	pid = child();
	if (pid == 0) {
		must(setresgid(DAEMON, BIN, 0));
		must(setresuid(DAEMON, 0, 0));
		fails(execl("/no/such/program", "program", NULL), ENOENT);
		expect_ids(DAEMON, 0, 0, DAEMON, BIN, 0);
		execl(self, self, "--ids", NULL);
		_exit(96);
	}
	reap(pid);
}

CASE("stdin and stdout of cat")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(dup2(p.server, 0));
		must(dup2(p.server, 1));
		execlp("cat", "cat", NULL);
		_exit(96);
	}
	must(close(p.server));
	echoes(p.client);
	reap(pid);
}

CASE("stdin and stdout of a shell that reads a line and answers")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(dup2(p.server, 0));
		must(dup2(p.server, 1));
		execlp("sh", "sh", "-c", "read a; echo \"first $a\"; read b; echo \"then $b\"",
		       NULL);
		_exit(96);
	}
	must(close(p.server));
	send_text(p.client, "one\ntwo\n");
	expect_text(p.client, "first one\nthen two\n");
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

CASE("a shell that redirects from and to a number")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(dup2(p.server, 7));
		execlp("sh", "sh", "-c", "read a <&7; echo \"got $a\" >&7; cat <&7 >&7", NULL);
		_exit(96);
	}
	must(close(p.server));
	send_text(p.client, "a line\n");
	expect_text(p.client, "got a line\n");
	echoes(p.client);
	reap(pid);
}

CASE("a pipeline of shell programs between sockets")
{
	struct pair p = tcp_pair();
	pid_t pid = child();

	if (pid == 0) {
		must(dup2(p.server, 0));
		must(dup2(p.server, 1));
		execlp("sh", "sh", "-c", "cat | tr a-z A-Z | cat", NULL);
		_exit(96);
	}
	must(close(p.server));
	send_text(p.client, "shout");
	must(shutdown(p.client, SHUT_WR));
	expect_text(p.client, "SHOUT");
	expect_eof(p.client);
	reap(pid);
	must(close(p.client));
}

static void need_static(void)
{
	if (access(static_echo, X_OK) == -1)
		tap_skip("no static C library here");
}

CASE("a statically linked program, by number")
{
	struct pair p;
	pid_t pid;

	need_static();
	p = tcp_pair();
	pid = child();
	if (pid == 0) {
		execl(static_echo, static_echo, text(inheritable(p.server)), NULL);
		_exit(96);
	}
	must(close(p.server));
	echoes(p.client);
	reap(pid);
}

CASE("a statically linked program, as stdin, with text already there")
{
	struct pair p;
	pid_t pid;
	char c;

	need_static();
	p = tcp_pair();
	send_text(p.client, "!already there");
	equal(recv(p.server, &c, 1, 0), 1);
	wait_for(p.server, POLLIN);
	pid = child();
	if (pid == 0) {
		must(dup2(p.server, 0));
		execl(static_echo, static_echo, NULL);
		_exit(96);
	}
	must(close(p.server));
	expect_text(p.client, "already there");
	echoes(p.client);
	reap(pid);
}

CASE("a statically linked program and its parent share a connection in turn")
{
	struct pair p;
	pid_t pid;

	need_static();
	p = tcp_pair();
	send_text(p.server, "parent first");
	expect_text(p.client, "parent first");
	pid = child();
	if (pid == 0) {
		must(close(p.client));
		execl(static_echo, static_echo, text(inheritable(p.server)), NULL);
		_exit(96);
	}
	send_text(p.client, "then the child");
	expect_text(p.client, "then the child");
	must(kill(pid, SIGKILL));
	equal(wait_status(pid), SIGKILL);
	send_text(p.client, "parent again");
	expect_text(p.server, "parent again");
	send_text(p.server, "to the end");
	expect_text(p.client, "to the end");
	close_pair(p);
}
