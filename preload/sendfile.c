/* sendfile to a virtual socket: the file is read straight into the send ring, one copy. Errors come
 * in the order in which Linux looks for them. */
#include "ioth.h"

#define RW_MAX 0x7ffff000ll /* MAX_RW_COUNT: no call moves more */

/* At one go, that is under the writer's lock: small enough to let the server start on it. */
#define PIECE (256u << 10)

struct source {
	int fd;
	bool positioned; /* from `at`; else from the file's own position, which moves */
	off64_t at;
	bool end;
};

static ssize_t read_into(uint8_t *dst, size_t room, void *arg)
{
	struct source *file = arg;
	/* Under the lock: no cancellation point. */
	ssize_t n = file->positioned ? raw(SYS_pread64, file->fd, dst, room, file->at)
				     : raw(SYS_read, file->fd, dst, room);

	if (n < 0)
		return n == -EISDIR ? -EINVAL : n;
	file->at += n;
	file->end = n == 0;
	return n;
}

/* A file that can be sent is one that has positions. */
static int open_source(struct source *file, int fd, const off64_t *offset, size_t count)
{
	*file = (struct source){.fd = fd, .positioned = offset};
	if (offset && unwritable(offset, sizeof(*offset)))
		return -EFAULT;
	if (libc.fcntl(fd, F_GETFL) < 0)
		return -EBADF;
	if (lseek64(fd, 0, SEEK_CUR) < 0)
		return offset ? -ESPIPE : -EINVAL;
	if (offset)
		file->at = *offset;
	return file->at < 0 || (ssize_t)count < 0 ? -EINVAL : 0;
}

/* What the rings did not take goes the native way, the kernel's own sendfile. It would not know
 * that a handshake is under way, nor why a connection ended: sending nothing asks that first. */
static ssize_t send_natively(int fd, const struct sock *s, struct source *file, size_t count)
{
	static const struct msghdr nothing;
	ssize_t n = sock_take_error(s);

	if (n == 0)
		n = sock_sendmsg(fd, s, &nothing, 0);
	if (n < 0)
		return n;
	native_buffer(fd);
	n = libc.sendfile64(fd, file->fd, file->positioned ? &file->at : NULL, count);
	return n < 0 ? -errno : n;
}

static ssize_t send_from(int fd, const struct sock *s, struct source *file, size_t count)
{
	uint64_t held = SIGNALS_FREE;
	bool nonblock = fd_nonblocking(fd);
	int64_t deadline = 0;
	size_t done = 0;
	ssize_t n = 0;

	while (done < count && !file->end) {
		size_t piece = count - done < PIECE ? count - done : PIECE;

		n = ring_fill(fd, s, piece, nonblock, false, read_into, file, &held);
		if (n == -ESTALE) {
			sigmask_restore(&held);
			n = send_natively(fd, s, file, count - done);
			return n >= 0 ? (ssize_t)done + n : done ? (ssize_t)done : n;
		}
		if (n == 0 && !file->end)
			n = wait_room(fd, s, 0, done > 0, &deadline, &held);
		if (n < 0)
			break;
		done += (size_t)n;
	}
	sigmask_restore(&held);
	if (done > 0)
		return (ssize_t)done;
	return n == -EPIPE ? sock_broken(s, 0) : n;
}

/* What the file has there becomes one datagram, as it does in Linux. */
static ssize_t send_datagram(int fd, const struct sock *s, struct source *file, size_t count)
{
	uint8_t text[4096];
	struct iovec iov = {text, sizeof(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = 0;
	size_t done;

	for (done = 0; done < count; done += (size_t)n) {
		size_t left = count - done;

		n = read_into(text, left < sizeof(text) ? left : sizeof(text), file);
		if (n <= 0)
			break;
		iov.iov_len = (size_t)n;
		n = message_sendmsg(fd, s, &msg, left > (size_t)n ? MSG_MORE : 0);
		if (n < 0)
			break;
	}
	return done > 0 ? (ssize_t)done : n;
}

EXPORT ssize_t sendfile64(int out_fd, int in_fd, off64_t *offset, size_t count)
{
	struct source file;
	struct sock s;
	int saved = errno;
	ssize_t n;

	if (!fdtab_find(out_fd, &s))
		return libc.sendfile64(out_fd, in_fd, offset, count);
	n = open_source(&file, in_fd, offset, count);
	if (n < 0)
		return retl(n);
	n = sock_is_message(&s) ? send_datagram(out_fd, &s, &file, count)
				: send_from(out_fd, &s, &file, count < RW_MAX ? count : RW_MAX);
	if (n < 0)
		return retl(n);
	if (offset)
		*offset = file.at;
	errno = saved;
	return n;
}
#if __SIZEOF_LONG__ == 8 /* off_t is off64_t */
ALIAS(sendfile, sendfile64);
#else
#error "sendfile differs from sendfile64 here"
#endif
