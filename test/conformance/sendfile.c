/* sendfile(): from a file into a socket. */
#include "net.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

/* A file in memory of n bytes of the pattern. */
static int file_of(size_t n)
{
	static char block[65536];
	int fd = must(memfd_create("sendfile", MFD_CLOEXEC));

	for (size_t done = 0; done < n;) {
		size_t want = n - done < sizeof(block) ? n - done : sizeof(block);

		pattern_fill(block, want, done);
		equal(write(fd, block, want), want);
		done += want;
	}
	must(lseek(fd, 0, SEEK_SET));
	return fd;
}

static void expect_pattern_from(int fd, size_t n, uint64_t from)
{
	char *buf = malloc(n);

	check(buf);
	equal(recv_all(fd, buf, n), n);
	pattern_check(buf, n, from);
	free(buf);
}

CASE("without an offset: reads at the file's own, and moves it")
{
	struct pair p = tcp_pair();
	int file = file_of(1000);

	must(lseek(file, 100, SEEK_SET));
	equal(sendfile(p.client, file, NULL, 300), 300);
	equal(lseek(file, 0, SEEK_CUR), 400);
	expect_pattern_from(p.server, 300, 100);
	must(close(file));
	close_pair(p);
}

CASE("with an offset: reads there, moves it, and leaves the file's own")
{
	struct pair p = tcp_pair();
	off_t offset = 200;
	int file = file_of(1000);

	equal(sendfile(p.client, file, &offset, 300), 300);
	equal(offset, 500);
	equal(lseek(file, 0, SEEK_CUR), 0);
	expect_pattern_from(p.server, 300, 200);
	must(close(file));
	close_pair(p);
}

CASE("beyond the end of the file: what there is, then 0")
{
	struct pair p = tcp_pair();
	off_t offset = 900;
	int file = file_of(1000);

	equal(sendfile(p.client, file, &offset, 5000), 100);
	equal(sendfile(p.client, file, &offset, 5000), 0);
	equal(offset, 1000);
	expect_pattern_from(p.server, 100, 900);
	must(close(file));
	close_pair(p);
}

CASE("of nothing: 0")
{
	struct pair p = tcp_pair();
	int file = file_of(10);

	equal(sendfile(p.client, file, NULL, 0), 0);
	equal(lseek(file, 0, SEEK_CUR), 0);
	must(close(file));
	close_pair(p);
}

CASE("32 MB on a blocking socket")
{
	struct pair p = tcp_pair();
	size_t total = 32 << 20, done = 0;
	int file = file_of(total);
	pid_t pid = child();

	if (pid == 0) {
		pattern_expect(p.server, total, 65536);
		_exit(0);
	}
	while (done < total) {
		ssize_t n = must(sendfile(p.client, file, NULL, total - done));

		check(n > 0);
		done += n;
	}
	reap(pid);
	must(close(file));
	close_pair(p);
}

CASE("8 MB on a non-blocking socket: part by part, EAGAIN between, offset exact")
{
	struct pair p = tcp_pair();
	size_t total = 8 << 20;
	off_t offset = 0;
	int file = file_of(total), full = 0;
	pid_t pid;

	set_nonblock(p.client, true);
	pid = child();
	if (pid == 0) {
		sleep_ms(20);
		pattern_expect(p.server, total, 65536);
		_exit(0);
	}
	while ((size_t)offset < total) {
		off_t before = offset;
		ssize_t n = sendfile(p.client, file, &offset, total - offset);

		if (n == -1) {
			check(errno == EAGAIN);
			equal(offset, before);
			full++;
			wait_for(p.client, POLLOUT);
		} else {
			equal(offset, before + n);
		}
	}
	check(full > 0);
	reap(pid);
	must(close(file));
	close_pair(p);
}

CASE("non-blocking, without an offset: the file's own moves by what went")
{
	struct pair p = tcp_pair();
	size_t total = 16 << 20;
	off_t at = 0;
	int file = file_of(total);
	ssize_t n;

	set_nonblock(p.client, true);
	for (;;) {
		n = sendfile(p.client, file, NULL, total - at);
		if (n <= 0)
			break;
		at += n;
		equal(lseek(file, 0, SEEK_CUR), at);
	}
	check(n == -1 && errno == EAGAIN);
	equal(lseek(file, 0, SEEK_CUR), at);
	check(at > 0);
	expect_pattern_from(p.server, at, 0);
	must(close(file));
	close_pair(p);
}

CASE("between send() and send(): in order")
{
	struct pair p = tcp_pair();
	int file = must(memfd_create("body", MFD_CLOEXEC));

	equal(write(file, "BODY", 4), 4);
	must(lseek(file, 0, SEEK_SET));
	equal(send(p.client, "head ", 5, MSG_MORE), 5);
	equal(sendfile(p.client, file, NULL, 4), 4);
	send_text(p.client, " tail");
	expect_text(p.server, "head BODY tail");
	must(close(file));
	close_pair(p);
}

CASE("a file that shrinks: what there is")
{
	struct pair p = tcp_pair();
	int file = file_of(100000);

	must(ftruncate(file, 10));
	equal(sendfile(p.client, file, NULL, 100000), 10);
	expect_pattern_from(p.server, 10, 0);
	must(close(file));
	close_pair(p);
}

CASE("a socket to read from: EINVAL")
{
	struct pair p = tcp_pair();
	int file = file_of(10);

	send_text(p.client, "x");
	wait_for(p.server, POLLIN);
	fails(sendfile(file, p.server, NULL, 1), EINVAL);
	must(close(file));
	close_pair(p);
}

CASE("a negative offset: EINVAL; a file not open for reading: EBADF")
{
	struct pair p = tcp_pair();
	off_t offset = -1;
	int file = file_of(10), sink = must(open("/dev/null", O_WRONLY | O_CLOEXEC));

	fails(sendfile(p.client, file, &offset, 1), EINVAL);
	fails(sendfile(p.client, sink, NULL, 1), EBADF);
	fails(sendfile(p.client, -1, NULL, 1), EBADF);
	must(close(file));
	must(close(sink));
	close_pair(p);
}

CASE("after SHUT_WR: EPIPE and SIGPIPE, and the file's offset stays")
{
	struct pair p = tcp_pair();
	int file = file_of(10);

	signal(SIGPIPE, SIG_IGN);
	must(shutdown(p.client, SHUT_WR));
	fails(sendfile(p.client, file, NULL, 10), EPIPE);
	equal(lseek(file, 0, SEEK_CUR), 0);
	signal(SIGPIPE, SIG_DFL);
	must(close(file));
	close_pair(p);
}

CASE("not connected: an error, and the file's offset stays")
{
	int fd = tcp(), file = file_of(10);

	signal(SIGPIPE, SIG_IGN);
	fails(sendfile(fd, file, NULL, 10), EPIPE);
	equal(lseek(file, 0, SEEK_CUR), 0);
	signal(SIGPIPE, SIG_DFL);
	must(close(file));
	must(close(fd));
}

CASE("file to file is as ever")
{
	int from = file_of(1000), to = must(memfd_create("copy", MFD_CLOEXEC));

	equal(sendfile(to, from, NULL, 1000), 1000);
	equal(lseek(to, 0, SEEK_CUR), 1000);
	must(close(from));
	must(close(to));
}
