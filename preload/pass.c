/* Socket calls on what is not ours: AF_UNIX and its like, which are the kernel's business. They are
 * libc's functions but for the mark (raw.h) by which the seccomp filter lets them pass: libc's own
 * would be stopped and looked at, as every socket call is that we may not have seen. Those that
 * wait are cancellation points, as libc makes them: cancellation may strike at any instruction
 * for as long as the system call lasts. */
#include "ioth.h"

#include <pthread.h>
#include <sys/single_threaded.h>

#define CANCELLABLE(call)                                                                          \
	({                                                                                         \
		long r_;                                                                           \
		int type_;                                                                         \
                                                                                                   \
		if (__libc_single_threaded)                                                        \
			r_ = call;                                                                 \
		else {                                                                             \
			pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type_);                \
			r_ = call;                                                                 \
			pthread_setcanceltype(type_, NULL);                                        \
		}                                                                                  \
		retl(r_);                                                                          \
	})

int pass_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return ret(raw(SYS_bind, fd, addr, len));
}

int pass_listen(int fd, int backlog)
{
	return ret(raw(SYS_listen, fd, backlog));
}

int pass_shutdown(int fd, int how)
{
	return ret(raw(SYS_shutdown, fd, how));
}

int pass_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return ret(raw(SYS_getsockname, fd, addr, len));
}

int pass_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return ret(raw(SYS_getpeername, fd, addr, len));
}

int pass_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return ret(raw(SYS_getsockopt, fd, level, name, value, len));
}

int pass_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return ret(raw(SYS_setsockopt, fd, level, name, value, len));
}

int pass_ioctl(int fd, unsigned long request, void *arg)
{
	return ret(raw(SYS_ioctl, fd, request, arg));
}

int pass_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)CANCELLABLE(raw(SYS_connect, fd, addr, len));
}

int pass_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return (int)CANCELLABLE(raw(SYS_accept4, fd, addr, len, flags));
}

ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return CANCELLABLE(raw(SYS_sendmsg, fd, msg, flags));
}

ssize_t pass_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return CANCELLABLE(raw(SYS_recvmsg, fd, msg, flags));
}

int pass_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	return (int)CANCELLABLE(raw(SYS_sendmmsg, fd, messages, n, flags));
}

int pass_recvmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags,
		  struct timespec *timeout)
{
	return (int)CANCELLABLE(raw(SYS_recvmmsg, fd, messages, n, flags, timeout));
}

/* With an address these two have six arguments, and no room for the mark: as messages they have. */

ssize_t pass_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		    socklen_t len)
{
	struct iovec iov = {(void *)buf, n};
	struct msghdr msg = {
	    .msg_name = (void *)addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

	if (!addr)
		return CANCELLABLE(raw(SYS_sendto, fd, buf, n, flags, NULL));
	/* sendmsg() cuts what is too long for an address, or too much text. */
	if (len > sizeof(struct sockaddr_storage) || (ssize_t)n < 0)
		return libc.sendto(fd, buf, n, flags, addr, len);
	return pass_sendmsg(fd, &msg, flags);
}

ssize_t pass_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	struct iovec iov = {buf, n};
	struct msghdr msg = {.msg_name = addr, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (!addr)
		return CANCELLABLE(raw(SYS_recvfrom, fd, buf, n, flags, NULL));
	/* What is wrong the kernel finds in its own order. */
	if ((ssize_t)n < 0 || unwritable(len, sizeof(*len)) || (int)*len < 0)
		return libc.recvfrom(fd, buf, n, flags, addr, len);
	msg.msg_namelen = *len;
	r = pass_recvmsg(fd, &msg, flags);
	if (r >= 0)
		*len = msg.msg_namelen;
	return r;
}
