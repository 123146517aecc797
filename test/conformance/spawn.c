/* vfork(), posix_spawn(), system(), popen(): children that inherit sockets. */
#include "net.h"

#include <spawn.h>

extern char **environ;

/* The socket as a number that a child's command line can name; kept over exec. */
static int shared_number(int fd)
{
	int number = must(fcntl(fd, F_DUPFD, 5));

	check(number < 10); /* a shell takes one digit */
	return number;
}

static void echoes(int fd)
{
	send_text(fd, "through a child");
	expect_text(fd, "through a child");
	must(shutdown(fd, SHUT_WR));
	expect_eof(fd);
	must(close(fd));
}

CASE("vfork() and exec: the socket as stdin and stdout")
{
	struct pair p = tcp_pair();
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(p.server, 0);
		dup2(p.server, 1);
		execlp("cat", "cat", NULL);
		_exit(96);
	}
	must(pid);
	must(close(p.server));
	echoes(p.client);
	reap(pid);
}

CASE("vfork(): the child closes numbers of its own, the parent's stay")
{
	struct pair p = tcp_pair();
	pid_t pid = vfork();

	if (pid == 0) {
		close(p.client);
		close(p.server);
		_exit(0);
	}
	must(pid);
	reap(pid);
	send_text(p.client, "unharmed");
	expect_text(p.server, "unharmed");
	close_pair(p);
}

CASE("vfork(): the child moves numbers about, the parent's stay what they are")
{
	struct pair p = tcp_pair(), q = tcp_pair();
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(p.server, q.server);
		close(p.client);
		_exit(0);
	}
	must(pid);
	reap(pid);
	send_text(p.client, "p");
	expect_text(p.server, "p");
	send_text(q.client, "q");
	expect_text(q.server, "q");
	close_pair(p);
	close_pair(q);
}

CASE("vfork() and a failing exec: the parent's connection goes on")
{
	struct pair p = tcp_pair();
	pid_t pid;

	must(fcntl(p.server, F_SETFD, 0));
	pid = vfork();
	if (pid == 0) {
		execl("/nonexistent/program", "program", NULL);
		_exit(7);
	}
	must(pid);
	equal(wait_status(pid), 7 << 8);
	send_text(p.client, "goes on");
	expect_text(p.server, "goes on");
	close_pair(p);
}

CASE("posix_spawn() with the socket put on stdin and stdout")
{
	struct pair p = tcp_pair();
	posix_spawn_file_actions_t actions;
	char *argv[] = {"cat", NULL};
	pid_t pid;

	equal(posix_spawn_file_actions_init(&actions), 0);
	equal(posix_spawn_file_actions_adddup2(&actions, p.server, 0), 0);
	equal(posix_spawn_file_actions_adddup2(&actions, p.server, 1), 0);
	equal(posix_spawnp(&pid, "cat", &actions, NULL, argv, environ), 0);
	equal(posix_spawn_file_actions_destroy(&actions), 0);
	must(close(p.server));
	echoes(p.client);
	reap(pid);
}

CASE("posix_spawn() with the socket kept by number, and an empty environment")
{
	struct pair p = tcp_pair();
	int number = shared_number(p.server);
	char command[32], *argv[] = {"sh", "-c", command, NULL}, *empty[] = {NULL};
	pid_t pid;

	snprintf(command, sizeof(command), "exec cat <&%d >&%d", number, number);
	equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, empty), 0);
	must(close(p.server));
	must(close(number));
	echoes(p.client);
	reap(pid);
}

CASE("posix_spawn() of nothing that exists: an error, and the connection goes on")
{
	struct pair p = tcp_pair();
	char *argv[] = {"none", NULL};
	pid_t pid;

	equal(posix_spawn(&pid, "/nonexistent/program", NULL, NULL, argv, environ), ENOENT);
	send_text(p.client, "goes on");
	expect_text(p.server, "goes on");
	close_pair(p);
}

CASE("system(): a command writes to the socket between our own writes")
{
	struct pair p = tcp_pair();
	int number = shared_number(p.server);
	char command[32];

	snprintf(command, sizeof(command), "echo from sh >&%d", number);
	send_text(p.server, "before\n");
	equal(system(command), 0);
	send_text(p.server, "after\n");
	expect_text(p.client, "before\nfrom sh\nafter\n");
	must(close(number));
	close_pair(p);
}

CASE("system(): a command reads a line of the socket, we read on")
{
	struct pair p = tcp_pair();
	int number = shared_number(p.server);
	char command[64];

	snprintf(command, sizeof(command), "read a <&%d; test \"$a\" = yours", number);
	send_text(p.client, "yours\nmine\n");
	equal(system(command), 0);
	expect_text(p.server, "mine\n");
	must(close(number));
	close_pair(p);
}

CASE("popen(): a command that reads the socket to its end")
{
	struct pair p = tcp_pair();
	int number = shared_number(p.server);
	char command[32], line[64];
	FILE *f;

	snprintf(command, sizeof(command), "cat <&%d", number);
	f = popen(command, "r");
	check(f);
	must(close(number));
	must(close(p.server));
	send_text(p.client, "a line for popen\n");
	must(shutdown(p.client, SHUT_WR));
	check(fgets(line, sizeof(line), f));
	equal(strcmp(line, "a line for popen\n"), 0);
	check(!fgets(line, sizeof(line), f));
	equal(pclose(f), 0);
	must(close(p.client));
}

CASE("children that inherit nothing leave connections alone")
{
	struct pair p = tcp_pair();

	for (int i = 0; i < 20; i++) {
		equal(system(":"), 0);
		send_text(p.client, "x");
		expect_text(p.server, "x");
	}
	equal(must(fcntl(p.client, F_GETFL)), O_RDWR);
	close_pair(p);
}
