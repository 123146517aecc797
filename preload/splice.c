/* splice between a pipe and a virtual socket. The rings are locked while they are filled, so the
 * pipe must not block then: it is waited for before, and read and written with RWF_NOWAIT.
 * Everything that is an error, or moves nothing, is left to the kernel, which needs no bytes to
 * know. */
#include "ioth.h"

#include <sys/stat.h>

#define FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

struct pipe_end {
	int fd;
	bool nonblock;
	bool stopped; /* it was empty (or full), or at its end */
};

/* A pipe's end of this kind (O_RDONLY, O_WRONLY)? */
static bool is_pipe(int fd, int mode)
{
	int flags = libc.fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || ((flags & O_ACCMODE) != mode && (flags & O_ACCMODE) != O_RDWR))
		return false;
	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* 1: ready, or an error that the call will meet; 0: no writer is left; or a negative errno. */
static int await_pipe(const struct pipe_end *end, short events)
{
	static const struct timespec at_once;
	struct pollfd p = {.fd = end->fd, .events = events};
	/* Signals may be held where it does not wait, and locks: no cancellation point. */
	int n =
	    end->nonblock ? (int)raw(SYS_ppoll, &p, 1, &at_once, NULL, 0) : libc.poll(&p, 1, -1);

	if (n < 0)
		return end->nonblock ? n : -errno;
	if (n == 0)
		return -EAGAIN;
	return p.revents != POLLHUP;
}

/* A kernel without RWF_NOWAIT on pipes (before 6.4): poll has just said that a page can move. */
#define PAGE 4096u

static ssize_t read_pipe(uint8_t *dst, size_t room, void *arg)
{
	struct pipe_end *end = arg;
	struct iovec iov = {.iov_base = dst, .iov_len = room};
	ssize_t n = raw(SYS_preadv2, end->fd, &iov, 1, -1, -1, RWF_NOWAIT);
	int waiting;

	if (n == -EOPNOTSUPP) {
		if (raw(SYS_ioctl, end->fd, FIONREAD, &waiting) == 0 && waiting > 0)
			n = raw(SYS_read, end->fd, dst,
				room < (size_t)waiting ? room : (size_t)waiting);
		else
			n = -EAGAIN;
	}
	if (n < 0 && n != -EAGAIN)
		return n;
	end->stopped = n <= 0;
	return n < 0 ? 0 : n;
}

static ssize_t write_pipe(const uint8_t *src, size_t n, void *arg)
{
	struct pipe_end *end = arg;
	struct iovec iov = {.iov_base = (void *)src, .iov_len = n};
	ssize_t written = raw(SYS_pwritev2, end->fd, &iov, 1, -1, -1, RWF_NOWAIT);

	if (written == -EOPNOTSUPP) {
		if (await_pipe(&(struct pipe_end){.fd = end->fd, .nonblock = true}, POLLOUT) == 1)
			written = raw(SYS_write, end->fd, src, n < PAGE ? n : PAGE);
		else
			written = -EAGAIN;
	}
	if (written < 0 && written != -EAGAIN)
		return written;
	end->stopped = written < 0;
	return written < 0 ? 0 : written;
}

/* The kernel's own splice. It says of an AF_UNIX socket what TCP says in other words. */
static ssize_t natively(int in, int out, int fd, const struct sock *s, size_t len,
			unsigned int flags)
{
	ssize_t n;
	int e;

	native_buffer(fd);
	n = libc.splice(in, NULL, out, NULL, len, flags);
	if (n >= 0)
		return n;
	e = errno;
	if (e == EINVAL)
		return -ENOTCONN;
	n = e == ECONNRESET || e == EPIPE ? sock_take_error(s) : 0;
	return n < 0 ? n : -e;
}

/* Waits for the pipe's first bytes, then sends what there is: never waits for more of them. */
static ssize_t to_socket(struct pipe_end *pipe, int fd, const struct sock *s, size_t len,
			 unsigned int flags)
{
	bool nonblock = fd_nonblocking(fd);
	uint64_t held = SIGNALS_FREE;
	int64_t deadline = 0;
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		if (!pipe->nonblock)
			sigmask_restore(&held);
		n = await_pipe(pipe, POLLIN);
		if (n <= 0)
			break;
		pipe->stopped = false;
		n = ring_fill(fd, s, len - done, nonblock, flags & SPLICE_F_MORE, read_pipe, pipe,
			      &held);
		if (n == -ESTALE) {
			sigmask_restore(&held);
			n = natively(pipe->fd, fd, fd, s, len - done, flags);
			return done ? (ssize_t)done + (n > 0 ? n : 0) : n;
		}
		if (n == 0 && !pipe->stopped)
			n = wait_room(fd, s, 0, done > 0, &deadline, &held);
		if (n < 0)
			break;
		done += (size_t)n;
		pipe->nonblock |= done > 0;
	}
	sigmask_restore(&held);
	if (done > 0)
		return (ssize_t)done;
	return n == -EPIPE ? sock_broken(s, 0) : n;
}

/* Waits for room in the pipe, then for the socket's first bytes, and moves what there is of both.
 */
static ssize_t to_pipe(int fd, const struct sock *s, struct pipe_end *pipe, size_t len,
		       unsigned int flags)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		n = await_pipe(pipe, POLLOUT);
		if (n < 0)
			break;
		pipe->stopped = false;
		n = ring_drain(fd, s, len - done, write_pipe, pipe);
		if (n == -ESTALE) {
			n = natively(fd, pipe->fd, fd, s, len - done, flags);
			return done ? (ssize_t)done + (n > 0 ? n : 0) : n;
		}
		if (n == 0 && !pipe->stopped) {
			if (done > 0)
				break;
			n = wait_readable(fd, s, 0);
			if (n == 1)
				return 0; /* the end */
		}
		if (n < 0)
			break;
		done += (size_t)n;
		pipe->nonblock |= done > 0;
	}
	return done > 0 ? (ssize_t)done : n;
}

EXPORT ssize_t splice(int fd_in, off64_t *off_in, int fd_out, off64_t *off_out, size_t len,
		      unsigned int flags)
{
	struct sock in, out;
	bool from = fdtab_find(fd_in, &in);
	bool to = fdtab_find(fd_out, &out);
	struct pipe_end pipe = {.fd = from ? fd_out : fd_in};
	int saved = errno;
	ssize_t n;

	if ((from && sock_is_message(&in)) || (to && sock_is_message(&out)))
		return retl(-EINVAL);
	if (from == to || off_in || off_out || len == 0 || (flags & ~(unsigned int)FLAGS) ||
	    !is_pipe(pipe.fd, from ? O_WRONLY : O_RDONLY)) {
		errno = saved;
		return libc.splice(fd_in, off_in, fd_out, off_out, len, flags);
	}
	pipe.nonblock = flags & SPLICE_F_NONBLOCK || fd_nonblocking(pipe.fd);
	n = to ? to_socket(&pipe, fd_out, &out, len, flags)
	       : to_pipe(fd_in, &in, &pipe, len, flags);
	if (n >= 0)
		errno = saved;
	return retl(n);
}
