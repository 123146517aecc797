/* cc: -fsanitize=thread fdtab.c vfork.c vfork.S */
/* Descriptors and the sockets behind them: what is asked, what is remembered, what is found out. */
#include "peer.h"

static struct record *records(void)
{
	return (struct record *)((char *)ioth.region + ABI_RECORDS_OFFSET);
}

/* A socket that bears the name of a record, which lives. */
static int named_socket(uint32_t index, uint32_t generation)
{
	struct sockaddr_un un;
	socklen_t len = record_name(&un, index, generation);
	int fd = must(socket(AF_UNIX, SOCK_STREAM, 0));

	records()[index].generation = generation;
	records()[index].state = RECORD_OPEN;
	must(bind(fd, (struct sockaddr *)&un, len));
	return fd;
}

static int index_of(int fd)
{
	struct sock s;

	return fdtab_find(fd, &s) ? (int)s.index : -1;
}

CASE("record_name() and record_named() are each other's opposite")
{
	static const uint32_t numbers[] = {0, 1, 9, 10, 999, 16383};
	static const uint32_t generations[] = {0, 1, 4294967295u};

	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 3; j++) {
			struct sockaddr_un un;
			struct sock s;
			socklen_t len = record_name(&un, numbers[i], generations[j]);

			equal(record_named(&un, len, &s), numbers[i]);
			equal(s.generation, generations[j]);
			check(s.rec == records() + numbers[i]);
		}
}

CASE("record_named() takes nothing but a record's name")
{
	static const char *const names[] = {
	    "",
	    "ioth/",
	    "ioth/c0ffee/",
	    "ioth/c0ffee/conn",
	    "ioth/c0ffee/1",
	    "ioth/c0ffee/1.",
	    "ioth/c0ffee/.1",
	    "ioth/c0ffee/01.1",
	    "ioth/c0ffee/1.01",
	    "ioth/c0ffee/1.1x",
	    "ioth/c0ffee/1.1.1",
	    "ioth/c0ffee/16384.1",
	    "ioth/c0ffee/1.4294967296",
	    "ioth/c0ffee/-1.1",
	    "ioth/c0ffef/1.1",
	    "ioth/c0ffee/ 1.1",
	    "ioth/c0ffee/99999999999.1",
	    "ioth/c0ffee/1.99999999999",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		size_t n = strlen(names[i]);
		struct sock s;

		memcpy(un.sun_path + 1, names[i], n);
		equal(record_named(&un, offsetof(struct sockaddr_un, sun_path) + 1 + n, &s), -1);
	}
	for (socklen_t len = 0; len < 3; len++)
		equal(record_named(&(struct sockaddr_un){.sun_family = AF_UNIX}, len,
				   &(struct sock){0}),
		      -1);
}

CASE("a name cut off at any place is no record's, or another's")
{
	struct sockaddr_un un;
	struct sock s;
	socklen_t len = record_name(&un, 123, 4567);
	socklen_t first = offsetof(struct sockaddr_un, sun_path) + 1 + strlen("ioth/c0ffee/123.4");

	for (socklen_t n = 0; n < len; n++)
		equal(record_named(&un, n, &s), n < first ? -1 : 123);
}

CASE("a socket that nobody told us of is found by its name, an accepted one by its peer's")
{
	int listener = named_socket(5, 3);
	struct sockaddr_un un;
	socklen_t len = record_name(&un, 5, 3);
	int end = named_socket(6, 8);
	int accepted;

	equal(index_of(listener), 5);
	must(listen(listener, 1));
	must(connect(end, (struct sockaddr *)&un, len));
	accepted = must(accept(listener, NULL, NULL));
	equal(index_of(accepted), 6);
	equal(index_of(listener), 5);
	close(listener);
	close(accepted);
	close(end);
	fdtab_forget_all();
}

CASE("files, other sockets, closed and impossible numbers are none of ours")
{
	int pair[2], fd;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	equal(index_of(pair[0]), -1);
	fd = must(open("/dev/null", O_RDONLY));
	equal(index_of(fd), -1);
	close(fd);
	close(pair[0]);
	close(pair[1]);
	fdtab_forget_all();
	equal(index_of(fd), -1);
	equal(index_of(-1), -1);
	equal(index_of(1 << 20), -1);
	/* What was closed was not remembered as foreign. */
	fd = named_socket(7, 1);
	equal(index_of(fd), 7);
	close(fd);
	fdtab_forget(fd);
}

CASE("what is known is not asked about, until the record's generation is another")
{
	int fd = named_socket(8, 2);

	equal(index_of(fd), 8);
	close(fd); /* unseen */
	equal(must(dup(STDIN_FILENO)), fd);
	equal(index_of(fd), 8);
	records()[8].generation = 3;
	equal(index_of(fd), -1);
	records()[8].generation = 2;
	equal(index_of(fd), -1);
	close(fd);
	fdtab_forget(fd);
	records()[8].state = RECORD_FREE;
	fd = named_socket(8, 2);
	records()[8].state = RECORD_FREE;
	equal(index_of(fd), -1);
	close(fd);
	fdtab_forget(fd);
}

CASE("foreign is foreign, a copy is what its original is, set is set")
{
	int fd = named_socket(9, 1);
	struct sock s;

	fdtab_foreign(fd);
	equal(index_of(fd), -1);
	fdtab_forget(fd);
	equal(index_of(fd), 9);
	fdtab_copy(fd, 300);
	equal(index_of(300), 9);
	sock_at(9, 1, &s);
	fdtab_set(301, &s);
	equal(index_of(301), 9);
	fdtab_raise(301);
	check(fdtab_raised(301));
	fdtab_copy(301, 302);
	check(fdtab_raised(302));
	fdtab_set(301, &s);
	check(!fdtab_raised(301));
	fdtab_forget_all();
	equal(index_of(301), -1);
	equal(index_of(fd), 9);
	close(fd);
	fdtab_forget_all();
}

CASE("fdtab_close_range() forgets a range, and tells of the sockets in it")
{
	struct sock s;

	for (uint32_t i = 10; i < 14; i++) {
		records()[i] = (struct record){.generation = 1, .state = RECORD_OPEN};
		sock_at(i, 1, &s);
		fdtab_set((int)(400 + i), &s);
	}
	fdtab_close_range(411, 412);
	equal(index_of(410), 10);
	equal(index_of(411), -1);
	equal(index_of(412), -1);
	equal(records()[10].closing, 0);
	equal(records()[11].closing, 1);
	equal(records()[12].closing, 1);
	equal(records()[13].closing, 0);
	fdtab_close_range(3, ~0u);
	equal(index_of(413), -1);
	equal(records()[13].closing, 1);
}

static int seen[3];
static void note(int fd, struct sock *s, void *arg)
{
	check(arg == seen);
	check(fd >= 0);
	for (int i = 0; i < 3; i++)
		seen[i] += s->index == (uint32_t)(20 + i);
}

CASE("fdtab_each() finds the known and the unknown")
{
	int fd[3];

	for (int i = 0; i < 3; i++)
		fd[i] = named_socket((uint32_t)(20 + i), 1);
	equal(index_of(fd[0]), 20);
	must(dup2(fd[2], 900));
	fdtab_each(note, seen);
	equal(seen[0], 1);
	equal(seen[1], 1);
	equal(seen[2], 2);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(900);
	fdtab_forget_all();
}

CASE("a vfork child asks, and writes nothing into its parent's table")
{
	int fd = named_socket(30, 1);
	pid_t child;

	fdtab_foreign(fd);
	child = vfork();
	if (child == 0) {
		struct sock s;
		bool ours = in_vfork_child() && fdtab_find(fd, &s) && s.index == 30;

		fdtab_forget(fd);
		_exit(ours ? 0 : 1);
	}
	must(child);
	int status;
	must(waitpid(child, &status, 0));
	equal(status, 0);
	check(!in_vfork_child());
	equal(index_of(fd), -1);
	close(fd);
	fdtab_forget(fd);
}

/* One thread opens, closes and tells; others ask all the time. */
static int shared_fd;
static bool asking;
static void *ask(void *arg)
{
	while (__atomic_load_n(&asking, __ATOMIC_SEQ_CST))
		index_of(shared_fd);
	return arg;
}

CASE("old news never overwrites what the table was told: three threads that ask")
{
	int keep = named_socket(31, 1);
	pthread_t thread[3];
	struct sock s;

	sock_at(31, 1, &s);
	shared_fd = must(fcntl(keep, F_DUPFD, 700));
	asking = true;
	for (int i = 0; i < 3; i++)
		equal(pthread_create(&thread[i], NULL, ask, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		must(dup2(STDIN_FILENO, shared_fd));
		fdtab_foreign(shared_fd);
		equal(index_of(shared_fd), -1);
		fdtab_forget(shared_fd);
		must(dup2(keep, shared_fd));
		fdtab_set(shared_fd, &s);
		equal(index_of(shared_fd), 31);
		fdtab_forget(shared_fd);
	}
	__atomic_store_n(&asking, false, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	close(shared_fd);
	close(keep);
}
