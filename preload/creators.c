/* Calls that make new numbers of files that are not ours: whatever the fd table thought of the
 * number is void (glibc closes some without our seeing it), and no probe is needed. And numbers
 * that travel over AF_UNIX sockets, in and out. */
#include "ioth.h"

static int made(int fd)
{
	if (fd >= 0)
		fdtab_foreign(fd);
	return fd;
}

/* A file that the stack shows, else the one there is. */
#define OPENED(dir, path, flags, real)                                                             \
	({                                                                                         \
		int shown_ = shown_open(dir, path, flags);                                         \
                                                                                                   \
		made(shown_ == NOT_SHOWN ? (real) : ret(shown_));                                  \
	})

static int made_two(int r, const int fds[2])
{
	if (r == 0) {
		fdtab_foreign(fds[0]);
		fdtab_foreign(fds[1]);
	}
	return r;
}

/* ---- files ---- */

/* The mode is there only if the flags may create; else what stands in its place is harmless. */
#define MODE_AFTER(last)                                                                           \
	({                                                                                         \
		va_list args_;                                                                     \
		unsigned int mode_;                                                                \
                                                                                                   \
		va_start(args_, last);                                                             \
		mode_ = va_arg(args_, unsigned int);                                               \
		va_end(args_);                                                                     \
		mode_;                                                                             \
	})

EXPORT int open(const char *path, int flags, ...)
{
	return OPENED(AT_FDCWD, path, flags, libc.open(path, flags, MODE_AFTER(flags)));
}
ALIAS(__open, open);

EXPORT int open64(const char *path, int flags, ...)
{
	return OPENED(AT_FDCWD, path, flags, libc.open64(path, flags, MODE_AFTER(flags)));
}
ALIAS(__open64, open64);

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	return OPENED(dir, path, flags, libc.openat(dir, path, flags, MODE_AFTER(flags)));
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
	return OPENED(dir, path, flags, libc.openat64(dir, path, flags, MODE_AFTER(flags)));
}

EXPORT int __open_2(const char *path, int flags)
{
	return OPENED(AT_FDCWD, path, flags, libc.__open_2(path, flags));
}

EXPORT int __open64_2(const char *path, int flags)
{
	return OPENED(AT_FDCWD, path, flags, libc.__open64_2(path, flags));
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	return OPENED(dir, path, flags, libc.__openat_2(dir, path, flags));
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
	return OPENED(dir, path, flags, libc.__openat64_2(dir, path, flags));
}

EXPORT int creat(const char *path, mode_t mode)
{
	return OPENED(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, libc.creat(path, mode));
}

EXPORT int creat64(const char *path, mode_t mode)
{
	return OPENED(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, libc.creat64(path, mode));
}

EXPORT int memfd_create(const char *name, unsigned int flags)
{
	return made(libc.memfd_create(name, flags));
}

/* ---- pipes and pairs ---- */

EXPORT int pipe(int fds[2])
{
	return made_two(libc.pipe(fds), fds);
}

EXPORT int pipe2(int fds[2], int flags)
{
	return made_two(libc.pipe2(fds, flags), fds);
}

EXPORT int socketpair(int domain, int type, int protocol, int fds[2])
{
	return made_two(libc.socketpair(domain, type, protocol, fds), fds);
}

/* ---- events ---- */

EXPORT int eventfd(unsigned int count, int flags)
{
	return made(libc.eventfd(count, flags));
}

EXPORT int epoll_create(int size)
{
	return made(libc.epoll_create(size));
}

EXPORT int epoll_create1(int flags)
{
	return made(libc.epoll_create1(flags));
}

EXPORT int timerfd_create(clockid_t clock, int flags)
{
	return made(libc.timerfd_create(clock, flags));
}

EXPORT int signalfd(int fd, const sigset_t *mask, int flags)
{
	return made(libc.signalfd(fd, mask, flags));
}

EXPORT int inotify_init(void)
{
	return made(libc.inotify_init());
}

EXPORT int inotify_init1(int flags)
{
	return made(libc.inotify_init1(flags));
}

/* ---- other processes' files ---- */

/* What it copies may be a virtual socket: forgotten, it will be asked for its name. <sys/pidfd.h>
 * is younger than some libcs, and the function is no more than the system call. */
EXPORT int pidfd_getfd(int pidfd, int fd, unsigned int flags);
int pidfd_getfd(int pidfd, int fd, unsigned int flags)
{
	int copy = ret(raw(SYS_pidfd_getfd, pidfd, fd, flags));

	if (copy >= 0)
		fdtab_forget(copy);
	return copy;
}

static int each_passed(const struct msghdr *msg, int (*fn)(int fd))
{
	/* CMSG_NXTHDR takes it without const, and changes nothing. */
	struct msghdr *m = (struct msghdr *)msg;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		const unsigned char *data = CMSG_DATA(c);
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    c->cmsg_len < CMSG_LEN(0))
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd, r;

			memcpy(&fd, data + i * sizeof(int), sizeof(int));
			r = fn(fd);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int forget_one(int fd)
{
	fdtab_forget(fd);
	return 0;
}

static int make_native(int fd)
{
	struct sock s;

	return fdtab_find(fd, &s) ? sock_go_native(fd, &s) : 0;
}

/* A socket of the host's network, which a program under ioth is not to have. */
static int is_foreign_net(int fd)
{
	int domain = AF_UNIX;
	socklen_t len = sizeof(domain);

	if (raw(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return 0;
	return domain == AF_INET || domain == AF_INET6 || domain == AF_PACKET ? -EACCES : 0;
}

static int close_one(int fd)
{
	return (int)raw(SYS_close, fd);
}

/** After a recvmsg(): the numbers in it are new. What comes with a socket of the host's network is
 * not received at all, as Linux does it when a security module says no: MSG_CTRUNC. */
void fdtab_received(struct msghdr *msg)
{
	if (!msg->msg_controllen)
		return;
	each_passed(msg, forget_one);
	if (!ioth_attached() || each_passed(msg, is_foreign_net) == 0)
		return;
	each_passed(msg, close_one);
	msg->msg_controllen = 0;
	msg->msg_flags |= MSG_CTRUNC;
}

/** Before a sendmsg(): sockets of ours in it may end up with anybody, so they go native. */
int native_before_passing(const struct msghdr *msg)
{
	return msg->msg_controllen ? each_passed(msg, make_native) : 0;
}
