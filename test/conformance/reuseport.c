/* SO_REUSEPORT: groups of listeners on one address and port. */
#include "net.h"

static int member(struct sockaddr_in *where)
{
	int fd = tcp();

	set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	must(bind_to(fd, where));
	if (where->sin_port == 0)
		*where = local_name(fd);
	must(listen(fd, 100));
	return fd;
}

/* Takes what waits; how many. */
static int take_all(int listener)
{
	int n = 0;

	while (poll_mask(listener, POLLIN, 50)) {
		int fd = tcp_accept(listener);

		reset_on_close(fd);
		must(close(fd));
		n++;
	}
	return n;
}

static void dial(struct sockaddr_in *where, int n, int *fds)
{
	for (int i = 0; i < n; i++)
		fds[i] = tcp_dial(where);
}

static void close_all(int n, int *fds)
{
	for (int i = 0; i < n; i++)
		must(close(fds[i]));
}

#define MANY 60

CASE("a group of three: each gets a part of the connections, together all")
{
	struct sockaddr_in where = here(0);
	int members[3], dialled[MANY], sum = 0;

	for (int i = 0; i < 3; i++)
		members[i] = member(&where);
	dial(&where, MANY, dialled);
	for (int i = 0; i < 3; i++) {
		int n = take_all(members[i]);

		check(n > 0);
		sum += n;
	}
	equal(sum, MANY);
	close_all(MANY, dialled);
	close_all(3, members);
}

CASE("a member closes: the others get all that comes after")
{
	struct sockaddr_in where = here(0);
	int members[3], dialled[MANY];

	for (int i = 0; i < 3; i++)
		members[i] = member(&where);
	must(close(members[1]));
	dial(&where, MANY, dialled);
	equal(take_all(members[0]) + take_all(members[2]), MANY);
	close_all(MANY, dialled);
	must(close(members[0]));
	must(close(members[2]));
}

CASE("a member closes: the connections in its queue are reset, no others")
{
	struct sockaddr_in where = here(0);
	int a = member(&where), b = member(&where), dialled[MANY], reset = 0;

	dial(&where, MANY, dialled);
	must(close(a));
	for (int i = 0; i < MANY; i++)
		reset += poll_mask(dialled[i], POLLIN, 20) != 0;
	check(reset > 0);
	equal(take_all(b), MANY - reset);
	close_all(MANY, dialled);
	must(close(b));
}

CASE("a member dies with its process: the others go on")
{
	struct sockaddr_in where = here(0);
	int a = member(&where), ready[2], dialled[MANY];
	char c;
	pid_t pid;

	must(pipe(ready));
	pid = child();
	if (pid == 0) {
		must(close(a));
		member(&where);
		must(write(ready[1], "", 1));
		pause();
	}
	equal(must(read(ready[0], &c, 1)), 1);
	must(kill(pid, SIGKILL));
	wait_status(pid);
	dial(&where, MANY, dialled);
	equal(take_all(a), MANY);
	close_all(MANY, dialled);
	must(close(a));
	must(close(ready[0]));
	must(close(ready[1]));
}

CASE("all must have the option before bind(): else EADDRINUSE")
{
	struct sockaddr_in where = here(0);
	int a = member(&where), b = tcp(), c = tcp();

	fails(bind_to(b, &where), EADDRINUSE);
	set_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
	fails(bind_to(b, &where), EADDRINUSE);
	must(close(a));
	must(bind_to(c, &where));
	must(listen(c, 1));
	set_int(b, SOL_SOCKET, SO_REUSEPORT, 1);
	fails(bind_to(b, &where), EADDRINUSE);
	must(close(b));
	must(close(c));
}

CASE("bound, not listening: the option shares the port, too")
{
	struct sockaddr_in where = here(0);
	int a = tcp(), b = tcp();

	set_int(a, SOL_SOCKET, SO_REUSEPORT, 1);
	set_int(b, SOL_SOCKET, SO_REUSEPORT, 1);
	must(bind_to(a, &where));
	where = local_name(a);
	must(bind_to(b, &where));
	must(listen(a, 1));
	must(close(tcp_dial(&where)));
	must(close(a));
	must(close(b));
}

CASE("a connection of a listener that is gone does not hold the port of the next")
{
	struct sockaddr_in where = here(0);
	int a = member(&where), client = tcp_dial(&where), server = tcp_accept(a), b, plain = tcp();

	must(close(a));
	fails(bind_to(plain, &where), EADDRINUSE);
	b = member(&where);
	send_text(client, "still");
	expect_text(server, "still");
	must(close(client));
	must(close(server));
	must(close(b));
	must(close(plain));
}

CASE("a particular address comes before the unspecified")
{
	struct sockaddr_in where = here(0), any = at("0.0.0.0", 0);
	int a = member(&where), b, dialled[10];

	any.sin_port = where.sin_port;
	b = member(&any);
	dial(&where, 10, dialled);
	equal(take_all(a), 10);
	equal(take_all(b), 0);
	close_all(10, dialled);
	must(close(a));
	must(close(b));
}
