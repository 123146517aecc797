/* socket(): what it makes and what it refuses. */
#include "net.h"

#include <sys/un.h>

CASE("socket() makes a TCP socket for AF_INET, SOCK_STREAM, 0")
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));

	equal(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	equal(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	must(close(fd));
}

CASE("socket() takes IPPROTO_TCP by name")
{
	int fd = must(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));

	equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	must(close(fd));
}

CASE("socket() without flags: blocking, kept over exec")
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));

	equal(must(fcntl(fd, F_GETFD)), 0);
	equal(must(fcntl(fd, F_GETFL)), O_RDWR);
	must(close(fd));
}

CASE("socket() with SOCK_CLOEXEC sets FD_CLOEXEC alone")
{
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	equal(must(fcntl(fd, F_GETFD)), FD_CLOEXEC);
	equal(must(fcntl(fd, F_GETFL)), O_RDWR);
	must(close(fd));
}

CASE("socket() with SOCK_NONBLOCK sets O_NONBLOCK alone")
{
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	equal(must(fcntl(fd, F_GETFD)), 0);
	equal(must(fcntl(fd, F_GETFL)), O_RDWR | O_NONBLOCK);
	must(close(fd));
}

CASE("socket() with a protocol that is no stream: EPROTONOSUPPORT")
{
	fails(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	fails(socket(AF_INET6, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
}

CASE("socket() with a type that does not exist: EINVAL, ESOCKTNOSUPPORT")
{
	fails(socket(AF_INET, 15, 0), EINVAL);
	fails(socket(AF_INET, 0, 0), ESOCKTNOSUPPORT);
}

CASE("socket() with a flag that does not exist: EINVAL")
{
	fails(socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
}

CASE("socket() with a family that does not exist: EAFNOSUPPORT")
{
	fails(socket(255, SOCK_STREAM, 0), EAFNOSUPPORT);
	fails(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
}

CASE("socket() with a protocol out of range: EINVAL")
{
	fails(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
	fails(socket(AF_INET, SOCK_STREAM, 100000), EINVAL);
}

CASE("socket() gives the lowest free number")
{
	int a = tcp(), b = tcp(), c = tcp();

	must(close(a));
	equal(tcp(), a);
	must(close(c));
	must(close(b));
	equal(tcp(), b);
	must(close(a));
	must(close(b));
}

CASE("socket() at RLIMIT_NOFILE: EMFILE, and works again below it")
{
	struct rlimit saved, low;
	int next = must(dup(0)), fd;

	must(close(next));
	must(getrlimit(RLIMIT_NOFILE, &saved));
	low = saved;
	low.rlim_cur = next;
	must(setrlimit(RLIMIT_NOFILE, &low));
	for (int i = 0; i < 50; i++)
		fails(socket(AF_INET, SOCK_STREAM, 0), EMFILE);
	must(setrlimit(RLIMIT_NOFILE, &saved));
	fd = tcp();
	equal(fd, next);
	must(close(fd));
}

CASE("a socket is a socket to fstat()")
{
	struct stat st;
	int fd = tcp();

	must(fstat(fd, &st));
	check(S_ISSOCK(st.st_mode));
	equal(isatty(fd), 0);
	must(close(fd));
}

CASE("a socket cannot seek: ESPIPE")
{
	char c;
	int fd = tcp();

	fails(lseek(fd, 0, SEEK_CUR), ESPIPE);
	fails(pread(fd, &c, 1, 0), ESPIPE);
	fails(pwrite(fd, &c, 1, 0), ESPIPE);
	must(close(fd));
}

CASE("recv() before connect(): ENOTCONN")
{
	char c;
	int fd = tcp();

	fails(recv(fd, &c, 1, 0), ENOTCONN);
	fails(read(fd, &c, 1), ENOTCONN);
	must(close(fd));
}

CASE("send() before connect(): EPIPE")
{
	int fd = tcp();

	fails(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(close(fd));
}

CASE("5,000 sockets one after the other use nothing up")
{
	for (int i = 0; i < 5000; i++)
		must(close(tcp()));
}

CASE("500 sockets at once")
{
	int fd[500];

	for (int i = 0; i < 500; i++)
		fd[i] = tcp();
	for (int i = 0; i < 500; i++)
		must(close(fd[i]));
}

CASE("socketpair() of AF_INET: EOPNOTSUPP")
{
	int fd[2];

	fails(socketpair(AF_INET, SOCK_STREAM, 0, fd), EOPNOTSUPP);
}

CASE("AF_UNIX sockets are what they always are")
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	equal(get_int(fd[0], SOL_SOCKET, SO_DOMAIN), AF_UNIX);
	must(getsockname(fd[0], SA(&name), &len));
	equal(name.sun_family, AF_UNIX);
	equal(len, sizeof(sa_family_t));
	send_text(fd[0], "unix");
	expect_text(fd[1], "unix");
	must(close(fd[0]));
	expect_eof(fd[1]);
	must(close(fd[1]));
}

CASE("calls on what is no socket: ENOTSOCK; on a closed number: EBADF")
{
	struct sockaddr_in a = here(0);
	int file = must(open("/dev/null", O_RDWR)), closed = must(dup(file)), value = 1;
	socklen_t len = sizeof(a);

	must(close(closed));
	for (int i = 0; i < 2; i++) {
		int fd = i ? closed : file, error = i ? EBADF : ENOTSOCK;

		fails(bind_to(fd, &a), error);
		fails(connect_to(fd, &a), error);
		fails(listen(fd, 1), error);
		fails(accept(fd, NULL, NULL), error);
		fails(accept4(fd, NULL, NULL, 0), error);
		fails(send(fd, "x", 1, 0), error);
		fails(recv(fd, &value, 1, 0), error);
		fails(shutdown(fd, SHUT_WR), error);
		fails(getsockname(fd, SA(&a), &len), error);
		fails(getpeername(fd, SA(&a), &len), error);
		fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), error);
		fails(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), error);
	}
	must(close(file));
}
