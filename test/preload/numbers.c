/* cc: dup.c fcntl.c creators.c stdio.c fdtab.c vfork.c vfork.S libc.c */
/* Numbers that come and go: what the fd table thinks after dup, fcntl, fclose, open..., and which
 * sockets go native because of it. Numbers are closed by raw calls where a close that nobody saw is
 * meant. */
#include "stand-in.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "../conformance/tap.h"

int shown_open(int dir, const char *path, int flags)
{
	(void)dir, (void)path, (void)flags;
	return NOT_SHOWN;
}

int shown_fopen(const char *path, const char *mode)
{
	(void)path, (void)mode;
	return NOT_SHOWN;
}

static int closed_record(uint32_t i)
{
	return i < stand_in->closes ? (int)stand_in->closed[i] : -1;
}

/* A number that the table believes to be record `index`, and that nobody has. */
static int stale(uint32_t index)
{
	int fd = must(virtual_socket(index, 0));

	equal(record_behind(fd), index);
	raw(SYS_close, fd);
	return fd;
}

/* `fd` is not believed to be a socket of ours; closed by a raw call again. */
static void is_foreign(int fd, int number)
{
	equal(fd, number);
	equal(record_behind(fd), -1);
	raw(SYS_close, fd);
}

/* ---- dup ---- */

CASE("dup, dup2, dup3, F_DUPFD, F_DUPFD_CLOEXEC: the copy is the same socket")
{
	int fd = must(virtual_socket(3, 0));

	forget_log();
	equal(record_behind(must(dup(fd))), 3);
	equal(record_behind(must(dup2(fd, 100))), 3);
	equal(record_behind(must(dup3(fd, 101, O_CLOEXEC))), 3);
	equal(record_behind(must(fcntl(fd, F_DUPFD, 102))), 3);
	equal(record_behind(must(fcntl(fd, F_DUPFD_CLOEXEC, 103))), 3);
	equal(must(fcntl(101, F_GETFD)), FD_CLOEXEC);
	equal(must(fcntl(103, F_GETFD)), FD_CLOEXEC);
	equal(must(fcntl(102, F_GETFD)), 0);
	equal(stand_in->natives, 0);
	equal(stand_in->closes, 0);
	close_range(fd, 200, 0);
}

CASE("dup of a file over a stale number: a file")
{
	int number = stale(4);

	is_foreign(must(dup(STDIN_FILENO)), number);
	number = stale(4);
	is_foreign(must(fcntl(STDIN_FILENO, F_DUPFD, number)), number);
	number = stale(4);
	is_foreign(must(dup2(STDIN_FILENO, number)), number);
}

CASE("dup2 onto a socket closes that one; onto itself nothing happens")
{
	int a = must(virtual_socket(5, 0)), b = must(virtual_socket(6, 0));

	forget_log();
	equal(dup2(b, b), b);
	equal(stand_in->closes, 0);
	equal(dup2(a, b), b);
	equal(stand_in->closes, 1);
	equal(closed_record(0), 6);
	equal(record_behind(b), 5);
	equal(dup2(STDIN_FILENO, b), b);
	equal(closed_record(1), 5);
	equal(record_behind(b), -1);
	close_range(a, b, 0);
}

CASE("dup2 and dup3 that fail change nothing")
{
	int fd = must(virtual_socket(7, 0));

	forget_log();
	fails(dup2(999, fd), EBADF);
	fails(dup3(fd, fd, 0), EINVAL);
	fails(dup3(STDIN_FILENO, fd, 0x4000), EINVAL);
	fails(dup2(fd, -1), EBADF);
	fails(fcntl(fd, F_DUPFD, -1), EINVAL);
	fails(dup(-1), EBADF);
	equal(record_behind(fd), 7);
	equal(stand_in->closes, 0);
	equal(stand_in->natives, 0);
	raw(SYS_close, fd);
}

CASE("onto 0, 1 and 2: native first; a socket that cannot is not put there")
{
	int fd = must(virtual_socket(8, 0)), saved = must(dup(STDIN_FILENO));

	forget_log();
	stand_in->native_answer = -ENETDOWN;
	fails(dup2(fd, STDIN_FILENO), ENETDOWN);
	check(isatty(STDIN_FILENO) == isatty(saved));
	stand_in->native_answer = 0;
	equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	equal(stand_in->natives, 2);
	equal(record_behind(STDIN_FILENO), 8);
	must(dup2(saved, STDIN_FILENO));
	equal(closed_record(0), 8);
	close_range(fd, saved, 0);
}

CASE("dup() to a number up to 2 that happens to be free: native too")
{
	int fd = must(virtual_socket(9, 0)), saved = must(dup(STDIN_FILENO));

	forget_log();
	raw(SYS_close, STDIN_FILENO);
	equal(dup(fd), STDIN_FILENO);
	equal(stand_in->natives, 1);
	raw(SYS_close, STDIN_FILENO);
	equal(fcntl(fd, F_DUPFD, 0), STDIN_FILENO);
	equal(stand_in->natives, 2);
	raw(SYS_close, STDIN_FILENO);
	stand_in->native_answer = -ENETDOWN;
	fails(dup(fd), ENETDOWN);
	equal(raw(SYS_fcntl, STDIN_FILENO, F_GETFD), -EBADF);
	stand_in->native_answer = 0;
	must(dup2(saved, STDIN_FILENO));
	close_range(fd, saved, 0);
}

CASE("a record that was freed and used again is not the socket that it was")
{
	int fd = must(virtual_socket(10, 0));

	equal(record_behind(fd), 10);
	record_of(10)->generation++;
	equal(record_behind(fd), -1);
	raw(SYS_close, fd);
}

CASE("a vfork child's dup2 changes nothing for its parent")
{
	int a = must(virtual_socket(11, 0)), b = must(virtual_socket(12, 0)), status;
	pid_t pid;

	equal(record_behind(a), 11);
	equal(record_behind(b), 12);
	forget_log();
	pid = vfork();
	if (pid == 0) {
		dup2(a, b);
		dup2(STDIN_FILENO, a);
		fcntl(b, F_DUPFD, 0);
		_exit(record_behind(b) == 11 && record_behind(a) == -1 ? 0 : 1);
	}
	must(waitpid(pid, &status, 0));
	equal(status, 0);
	equal(record_behind(a), 11);
	equal(record_behind(b), 12);
	equal(stand_in->closes, 0);
	close_range(a, b, 0);
}

/* ---- calls that make files ---- */

CASE("open and its kin over a stale number: a file")
{
	int n = stale(13), dir = must(open("/", O_PATH));

	raw(SYS_close, dir);
	is_foreign(open("/dev/null", O_RDONLY), n);
	n = stale(13);
	is_foreign(open64("/dev/null", O_RDONLY), n);
	n = stale(13);
	is_foreign(openat(AT_FDCWD, "/dev/null", O_RDONLY), n);
	n = stale(13);
	is_foreign(openat64(AT_FDCWD, "/dev/null", O_RDONLY), n);
	n = stale(13);
	is_foreign(__open_2("/dev/null", O_RDONLY), n);
	n = stale(13);
	is_foreign(__openat64_2(AT_FDCWD, "/dev/null", O_RDONLY), n);
	n = stale(13);
	is_foreign(creat("/dev/null", 0600), n);
	n = stale(13);
	is_foreign(memfd_create("x", 0), n);
}

CASE("eventfd, epoll_create, timerfd_create, signalfd, inotify_init over a stale number: a file")
{
	sigset_t none;
	int n = stale(14);

	sigemptyset(&none);
	is_foreign(eventfd(0, 0), n);
	n = stale(14);
	is_foreign(epoll_create(1), n);
	n = stale(14);
	is_foreign(epoll_create1(0), n);
	n = stale(14);
	is_foreign(timerfd_create(CLOCK_MONOTONIC, 0), n);
	n = stale(14);
	is_foreign(signalfd(-1, &none, 0), n);
	n = stale(14);
	is_foreign(inotify_init(), n);
	n = stale(14);
	is_foreign(inotify_init1(0), n);
}

CASE("pipe, pipe2, socketpair over stale numbers: files")
{
	int fds[2], a, b;

	for (int i = 0; i < 3; i++) {
		a = must(virtual_socket(15, 0));
		b = must(virtual_socket(16, 0));
		equal(record_behind(a) + record_behind(b), 31);
		close_range(a, b, 0);
		if (i == 0)
			must(pipe(fds));
		else if (i == 1)
			must(pipe2(fds, O_CLOEXEC));
		else
			must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		is_foreign(fds[0], a);
		is_foreign(fds[1], b);
	}
}

CASE("open() with a mode makes the file with it; without, errors are the kernel's")
{
	char name[] = "/tmp/ioth-numbers-XXXXXX";
	struct stat st;
	int fd = must(mkstemp(name));

	must(close(fd));
	must(unlink(name));
	umask(0);
	fd = must(open(name, O_WRONLY | O_CREAT | O_EXCL, 0641));
	must(fstat(fd, &st));
	equal(st.st_mode & 07777, 0641);
	must(close(fd));
	fails(open(name, O_WRONLY | O_CREAT | O_EXCL, 0641), EEXIST);
	must(unlink(name));
	fails(open(name, O_RDONLY), ENOENT);
}

/* ---- stdio ---- */

CASE("fdopen: native first; fclose: the socket was closed")
{
	int fd = must(virtual_socket(17, 0));
	FILE *file;

	forget_log();
	stand_in->native_answer = -ENETDOWN;
	errno = 0;
	check(!fdopen(fd, "r") && errno == ENETDOWN);
	stand_in->native_answer = 0;
	file = fdopen(fd, "r+");
	check(file);
	equal(stand_in->natives, 2);
	equal(stand_in->closes, 0);
	equal(fclose(file), 0);
	equal(stand_in->closes, 1);
	equal(closed_record(0), 17);
	equal(record_behind(fd), -1);
}

CASE("fopen over a stale number, freopen over a socket's: files")
{
	int n = stale(18);
	FILE *file = fopen("/dev/null", "r");

	check(file);
	equal(fileno(file), n);
	equal(record_behind(n), -1);
	equal(fclose(file), 0);
	n = must(virtual_socket(18, 0));
	file = fdopen(n, "r");
	forget_log();
	file = freopen("/dev/null", "r", file);
	check(file);
	equal(closed_record(0), 18);
	equal(fileno(file), n);
	equal(record_behind(n), -1);
	equal(fclose(file), 0);
}

CASE("streams without a number: fclose leaves all alone")
{
	char text[16];
	FILE *file = fmemopen(text, sizeof(text), "r");

	forget_log();
	errno = 55;
	equal(fclose(file), 0);
	equal(errno, 55);
	equal(stand_in->closes, 0);
}

CASE("dprintf, vdprintf and their checked twins: native first")
{
	int fd = must(virtual_socket(19, 0));

	forget_log();
	fails(dprintf(fd, "%d", 1), ENOTCONN);
	equal(stand_in->natives, 1);
	fails(__dprintf_chk(fd, 1, "%d", 1), ENOTCONN);
	equal(stand_in->natives, 2);
	raw(SYS_close, fd);
	equal(dprintf(must(open("/dev/null", O_WRONLY)), "%s", "four"), 4);
}

/* ---- passing ---- */

/* A message with these descriptors in it, after something else. */
static struct msghdr *passing(const int *fds, size_t n)
{
	static _Alignas(struct cmsghdr) char control[256];
	static struct msghdr msg;
	struct cmsghdr *c;

	memset(control, 0, sizeof(control));
	msg = (struct msghdr){.msg_control = control,
			      .msg_controllen =
				  CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(n * sizeof(int))};
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(struct ucred));
	c = CMSG_NXTHDR(&msg, c);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return &msg;
}

CASE("SCM_RIGHTS out: each socket of ours goes native; an error stops it")
{
	int a = must(virtual_socket(20, 0)), b = must(virtual_socket(21, 0));
	struct msghdr none = {0};

	forget_log();
	equal(native_before_passing(passing((int[]){a, STDIN_FILENO, b, 999}, 4)), 0);
	equal(stand_in->natives, 2);
	check(went_native(a) && went_native(b));
	stand_in->native_answer = -ENETDOWN;
	equal(native_before_passing(passing(&a, 1)), -ENETDOWN);
	equal(native_before_passing(&none), 0);
	forget_log();
	close_range(a, b, 0);
}

CASE("SCM_RIGHTS in: the numbers are asked about again")
{
	int number = stale(22), fd = must(virtual_socket(23, 0));
	struct msghdr none = {0};

	equal(fd, number);
	fdtab_received(passing(&fd, 1));
	fdtab_received(&none);
	equal(record_behind(fd), 23);
	raw(SYS_close, fd);
}
