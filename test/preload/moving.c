/* cc: sendfile.c splice.c fdtab.c vfork.c vfork.S libc.c pointer.c pass.c */
/* sendfile and splice over stand-ins for the rings: what is taken from files and pipes, in which
 * pieces, what waits for what, and errors in Linux's order. */
#include "stand-in.h"

#include <pthread.h>

#include "../conformance/tap.h"

/* Not static: libc declares sendfile() as a leaf, which calls nothing of ours. */
struct {
	uint8_t data[1 << 20];
	size_t len;	/* bytes in it */
	size_t size;	/* room in all */
	size_t taken;	/* of what was in it, by the peer */
	int fill_error; /* instead of filling */
	int wait_error; /* instead of waiting */
	int waits;
	bool more;
	bool nonblock;
	bool ended; /* the receive ring: no more will come */
	int take_error;
	int nothings; /* messages of no length that were sent */
	int buffers;  /* native_buffer() calls */
	int broken;
} ring;

ssize_t ring_fill(int fd, const struct sock *s, size_t len, bool nonblock, bool more,
		  ssize_t (*fill)(uint8_t *dst, size_t room, void *arg), void *arg, uint64_t *held)
{
	size_t room = ring.size - ring.len, done = 0;

	(void)fd, (void)s, (void)held;
	ring.more = more;
	ring.nonblock = nonblock;
	if (ring.fill_error)
		return ring.fill_error;
	room = room < len ? room : len;
	/* In two pieces, as when the ring wraps. */
	for (size_t n = (room + 1) / 2; done < room; n = room - done) {
		ssize_t got = fill(ring.data + ring.len, n, arg);

		if (got < 0)
			return done ? (ssize_t)done : got;
		ring.len += (size_t)got;
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	return (ssize_t)done;
}

ssize_t ring_drain(int fd, const struct sock *s, size_t len,
		   ssize_t (*drain)(const uint8_t *src, size_t n, void *arg), void *arg)
{
	size_t left = ring.len - ring.taken;
	ssize_t n;

	(void)fd, (void)s;
	if (ring.fill_error)
		return ring.fill_error;
	left = left < len ? left : len;
	n = left ? drain(ring.data + ring.taken, left, arg) : 0;
	ring.taken += n > 0 ? (size_t)n : 0;
	return n;
}

/* The peer reads it all. */
int wait_room(int fd, const struct sock *s, int flags, bool some, int64_t *deadline, uint64_t *held)
{
	(void)s, (void)flags, (void)some, (void)deadline, (void)held;
	ring.waits++;
	if (ring.wait_error || fd_nonblocking(fd))
		return ring.wait_error ? ring.wait_error : -EAGAIN;
	ring.size += ring.len - ring.taken;
	ring.taken = ring.len;
	return 0;
}

/* Text comes. */
int wait_readable(int fd, const struct sock *s, int flags)
{
	(void)s, (void)flags;
	ring.waits++;
	if (ring.ended)
		return 1;
	if (ring.wait_error || fd_nonblocking(fd))
		return ring.wait_error ? ring.wait_error : -EAGAIN;
	memcpy(ring.data + ring.len, "late", 4);
	ring.len += 4;
	return 0;
}

void sigmask_restore(uint64_t *saved)
{
	(void)saved;
}

bool fd_nonblocking(int fd)
{
	return raw(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK;
}

int sock_take_error(const struct sock *s)
{
	(void)s;
	return ring.take_error;
}

int sock_broken(const struct sock *s, int flags)
{
	(void)s, (void)flags;
	ring.broken++;
	return -EPIPE;
}

ssize_t sock_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags)
{
	(void)fd, (void)s, (void)flags;
	ring.nothings += msg->msg_iovlen == 0;
	return 0;
}

ssize_t message_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags)
{
	return sock_sendmsg(fd, s, msg, flags);
}

void native_buffer(int fd)
{
	(void)fd;
	ring.buffers++;
}

static int fresh(size_t size)
{
	memset(&ring, 0, sizeof(ring));
	ring.size = size;
	return must(virtual_socket(2, 0));
}

static void set_nonblocking(int fd)
{
	equal(raw(SYS_fcntl, fd, F_SETFL, O_NONBLOCK), 0);
}

/* A file of n bytes, each its position modulo 251. */
static int file_of(size_t n)
{
	static uint8_t bytes[1 << 20];
	int fd = must(memfd_create("moving", MFD_CLOEXEC));

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i % 251);
	equal(pwrite(fd, bytes, n, 0), (ssize_t)n);
	return fd;
}

static void holds(size_t from, size_t n)
{
	equal(ring.len, n);
	for (size_t i = 0; i < n; i++)
		equal(ring.data[i], (from + i) % 251);
}

static void closed(int a, int b)
{
	must(close(a));
	must(close(b));
}

/* ---- sendfile ---- */

CASE("sendfile with an offset: from there, the offset moves, the file's position does not")
{
	int s = fresh(100000), f = file_of(5000);
	off_t offset = 1000;

	equal(sendfile(s, f, &offset, 3000), 3000);
	equal(offset, 4000);
	equal(lseek(f, 0, SEEK_CUR), 0);
	holds(1000, 3000);
	equal(ring.waits, 0);
	closed(s, f);
}

CASE("sendfile without one: the file's position moves, by as much as was sent")
{
	int s = fresh(700), f = file_of(5000);

	must(lseek(f, 100, SEEK_SET));
	set_nonblocking(s);
	equal(sendfile(s, f, NULL, 3000), 700);
	equal(lseek(f, 0, SEEK_CUR), 800);
	holds(100, 700);
	fails(sendfile(s, f, NULL, 3000), EAGAIN);
	equal(lseek(f, 0, SEEK_CUR), 800);
	check(ring.nonblock);
	closed(s, f);
}

CASE("sendfile to a blocking socket: all of it, waiting for room; past the end of the file, what "
     "there is")
{
	int s = fresh(700), f = file_of(500000);
	off_t offset = 0;

	equal(sendfile(s, f, &offset, 400000), 400000);
	check(ring.waits > 0 && !ring.nonblock);
	holds(0, 400000);
	ring.len = ring.taken = 0;
	equal(sendfile(s, f, &offset, 1 << 30), 100000);
	equal(offset, 500000);
	holds(400000, 100000);
	equal(sendfile(s, f, &offset, 10), 0);
	equal(sendfile(s, f, &offset, 0), 0);
	closed(s, f);
}

CASE("sendfile that is interrupted: what was sent, then the error")
{
	int s = fresh(700), f = file_of(5000);
	off_t offset = 0;

	ring.wait_error = -EINTR;
	equal(sendfile(s, f, &offset, 3000), 700);
	equal(offset, 700);
	fails(sendfile(s, f, &offset, 3000), EINTR);
	equal(offset, 700);
	closed(s, f);
}

CASE("sendfile to a socket that is shut: sock_broken() says")
{
	int s = fresh(700), f = file_of(50);

	ring.fill_error = -EPIPE;
	fails(sendfile(s, f, NULL, 10), EPIPE);
	equal(ring.broken, 1);
	closed(s, f);
}

CASE("sendfile, native: the kernel's, with the buffer raised and the handshake waited for")
{
	int s = fresh(700), f = file_of(5000), peer = must(socket(AF_UNIX, SOCK_STREAM, 0)), got;
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	uint8_t bytes[200];
	off_t offset = 20;

	must(listen(s, 1));
	must(getsockname(s, (struct sockaddr *)&name, &len));
	must(connect(peer, (struct sockaddr *)&name, len));
	got = must(accept(s, NULL, NULL));
	ring.fill_error = -ESTALE;
	equal(record_behind(peer), 2); /* by the name of its peer, as an accepted one */
	equal(sendfile(peer, f, &offset, 100), 100);
	equal(offset, 120);
	equal(read(got, bytes, sizeof(bytes)), 100);
	equal(bytes[0], 20);
	equal(ring.nothings, 1);
	equal(ring.buffers, 1);
	ring.take_error = -ECONNRESET;
	fails(sendfile(peer, f, &offset, 100), ECONNRESET);
	equal(offset, 120);
	must(close(got));
	closed(peer, s);
	must(close(f));
}

CASE("sendfile from what is no file: errors as Linux has them, and nothing is sent")
{
	int s = fresh(700), f = file_of(50), pipes[2], dir = must(open("/", O_RDONLY));
	int out = must(open("/dev/null", O_WRONLY)), zero = must(open("/dev/zero", O_RDONLY));
	off_t offset = 0, before = -1;

	must(pipe(pipes));
	fails(sendfile(s, pipes[0], NULL, 10), EINVAL);
	fails(sendfile(s, pipes[0], &offset, 10), ESPIPE);
	fails(sendfile(s, s, NULL, 10), EINVAL);
	fails(sendfile(s, s, &offset, 10), ESPIPE);
	fails(sendfile(s, dir, NULL, 10), EINVAL);
	fails(sendfile(s, out, NULL, 10), EBADF);
	fails(sendfile(s, -1, NULL, 10), EBADF);
	fails(sendfile(s, f, &before, 10), EINVAL);
	fails(sendfile(s, f, (off_t *)8, 10), EFAULT);
	fails(sendfile(s, f, NULL, (size_t)-1), EINVAL);
	fails(sendfile(pipes[1], s, NULL, 10), EINVAL);
	equal(ring.len, 0);
	equal(sendfile(s, zero, NULL, 10), 10);
	closed(pipes[0], pipes[1]);
	closed(s, f);
	closed(dir, zero);
	must(close(out));
}

/* ---- splice ---- */

static void piped(int fds[2], const char *text)
{
	must(pipe2(fds, O_CLOEXEC));
	equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
}

CASE("splice from a pipe: what it has, without waiting for more")
{
	int s = fresh(700), fds[2];

	piped(fds, "hello");
	equal(splice(fds[0], NULL, s, NULL, 100, SPLICE_F_MORE), 5);
	equal(ring.len, 5);
	equal(memcmp(ring.data, "hello", 5), 0);
	check(ring.more);
	equal(write(fds[1], "again", 5), 5);
	equal(splice(fds[0], NULL, s, NULL, 3, 0), 3);
	check(!ring.more);
	equal(splice(fds[0], NULL, s, NULL, 3, 0), 2);
	fails(splice(fds[0], NULL, s, NULL, 3, SPLICE_F_NONBLOCK), EAGAIN);
	set_nonblocking(fds[0]);
	fails(splice(fds[0], NULL, s, NULL, 3, 0), EAGAIN);
	must(close(fds[1]));
	equal(splice(fds[0], NULL, s, NULL, 3, 0), 0);
	closed(fds[0], s);
}

static void *write_late(void *fd)
{
	const struct timespec moment = {.tv_nsec = 20000000};

	nanosleep(&moment, NULL);
	if (write(*(int *)fd, "slow", 4) != 4)
		abort();
	return NULL;
}

CASE("splice from an empty pipe waits for its first bytes, not under the ring's lock")
{
	int s = fresh(700), fds[2];
	pthread_t writer;

	piped(fds, "");
	equal(pthread_create(&writer, NULL, write_late, &fds[1]), 0);
	equal(splice(fds[0], NULL, s, NULL, 100, 0), 4);
	equal(pthread_join(writer, NULL), 0);
	closed(fds[0], fds[1]);
	must(close(s));
}

CASE("splice to a full socket: waits, or leaves the rest in the pipe")
{
	int s = fresh(4), fds[2], n;

	piped(fds, "0123456789");
	equal(splice(fds[0], NULL, s, NULL, 10, 0), 10);
	check(ring.waits > 0);
	equal(memcmp(ring.data, "0123456789", 10), 0);
	equal(write(fds[1], "abcdef", 6), 6);
	ring.size = ring.len + 4;
	set_nonblocking(s);
	equal(splice(fds[0], NULL, s, NULL, 10, 0), 4);
	fails(splice(fds[0], NULL, s, NULL, 10, 0), EAGAIN);
	must(ioctl(fds[0], FIONREAD, &n));
	equal(n, 2);
	ring.fill_error = -EPIPE;
	fails(splice(fds[0], NULL, s, NULL, 10, 0), EPIPE);
	equal(ring.broken, 1);
	closed(fds[0], fds[1]);
	must(close(s));
}

CASE("splice from a socket: what it has, up to what the pipe takes")
{
	int s = fresh(0), fds[2], size;
	char bytes[16];

	piped(fds, "");
	ring.len = 200000;
	equal(splice(s, NULL, fds[1], NULL, 10, 0), 10);
	size = must(fcntl(fds[1], F_GETPIPE_SZ));
	check(splice(s, NULL, fds[1], NULL, 200000, 0) >= size - 4096);
	equal(ring.waits, 0);
	fails(splice(s, NULL, fds[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
	closed(fds[0], fds[1]);
	piped(fds, "");
	ring.len = ring.taken = 0;
	equal(splice(s, NULL, fds[1], NULL, 10, 0), 4);
	equal(ring.waits, 1);
	equal(read(fds[0], bytes, sizeof(bytes)), 4);
	equal(memcmp(bytes, "late", 4), 0);
	closed(fds[0], fds[1]);
	must(close(s));
}

CASE("splice from an empty socket: SPLICE_F_NONBLOCK is the pipe's, O_NONBLOCK the socket's; the "
     "end is 0")
{
	int s = fresh(0), fds[2];

	piped(fds, "");
	equal(splice(s, NULL, fds[1], NULL, 10, SPLICE_F_NONBLOCK), 4);
	set_nonblocking(s);
	fails(splice(s, NULL, fds[1], NULL, 10, 0), EAGAIN);
	ring.wait_error = -ENOTCONN;
	fails(splice(s, NULL, fds[1], NULL, 10, 0), ENOTCONN);
	ring.ended = true;
	equal(splice(s, NULL, fds[1], NULL, 10, 0), 0);
	closed(fds[0], fds[1]);
	must(close(s));
}

CASE("splice to a pipe that nobody reads: EPIPE and SIGPIPE, and the text stays")
{
	int s = fresh(0), fds[2];

	signal(SIGPIPE, SIG_IGN);
	piped(fds, "");
	must(close(fds[0]));
	ring.len = 10;
	fails(splice(s, NULL, fds[1], NULL, 10, 0), EPIPE);
	equal(ring.taken, 0);
	closed(fds[1], s);
	signal(SIGPIPE, SIG_DFL);
}

CASE("splice that cannot be: errors as Linux has them, and nothing is moved")
{
	int s = fresh(700), fds[2], f = file_of(10), n;
	off_t offset = 0;

	piped(fds, "abc");
	ring.len = 3;
	fails(splice(f, &offset, s, NULL, 10, 0), EINVAL);
	fails(splice(fds[0], &offset, s, NULL, 10, 0), ESPIPE);
	fails(splice(fds[0], NULL, s, &offset, 10, 0), EINVAL);
	fails(splice(s, &offset, fds[1], NULL, 10, 0), EINVAL);
	fails(splice(fds[0], NULL, s, NULL, 10, 0x100), EINVAL);
	fails(splice(s, NULL, s, NULL, 10, 0), EINVAL);
	fails(splice(s, NULL, fds[0], NULL, 10, 0), EBADF);
	fails(splice(fds[1], NULL, s, NULL, 10, SPLICE_F_NONBLOCK), EBADF);
	fails(copy_file_range(f, NULL, s, NULL, 10, 0), EINVAL);
	equal(splice(fds[0], NULL, s, NULL, 0, 0), 0);
	equal(ring.len, 3);
	equal(ring.taken, 0);
	must(ioctl(fds[0], FIONREAD, &n));
	equal(n, 3);
	closed(fds[0], fds[1]);
	closed(s, f);
}
