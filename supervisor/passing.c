/* recvmsg() on an AF_UNIX socket that may bring descriptors: a socket of the host's network among
 * them would be a way out, so they are received here, looked at as the shim does
 * (fdtab_received()), and given on one by one. Only calls with room for control data come here. */
#include "supervisor.h"

#include <linux/seccomp.h>

#define PASSED	253 /* SCM_MAX_FD */
#define CONTROL (CMSG_SPACE(PASSED * sizeof(int)) + 512)

/* The numbers in one control message, in the target's table from here on. How many it got. */
static size_t give_on(const struct notice *c, const struct cmsghdr *h, int *numbers, size_t most,
		      bool cloexec)
{
	size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	size_t given = 0;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
		if (given == i && given < most) {
			numbers[given] = target_put(c, fd, cloexec);
			given += numbers[given] >= 0;
		}
		fdtab_forget(fd);
		raw(SYS_close, fd);
	}
	return given;
}

/* One control message to the target's buffer at `at`, which has so much room: how much it takes, as
 * put_cmsg() of the kernel; less than it needs sets MSG_CTRUNC. */
static size_t put(const struct notice *c, uint64_t at, size_t room, const struct cmsghdr *h,
		  const void *data, size_t len, int *flags)
{
	struct cmsghdr head = *h;

	if (room < sizeof(head)) {
		*flags |= MSG_CTRUNC;
		return 0;
	}
	if (CMSG_LEN(len) > room) {
		*flags |= MSG_CTRUNC;
		len = room - CMSG_LEN(0);
	}
	head.cmsg_len = CMSG_LEN(len);
	target_write(c, at, &head, sizeof(head));
	target_write(c, at + CMSG_LEN(0), data, len);
	return CMSG_SPACE(len) < room ? CMSG_SPACE(len) : room;
}

static void put_all(const struct notice *c, struct msghdr *got, struct msghdr *there, bool cloexec)
{
	uint64_t at = (uintptr_t)there->msg_control;
	size_t room = there->msg_controllen;
	int numbers[PASSED];

	for (struct cmsghdr *h = CMSG_FIRSTHDR(got); h; h = CMSG_NXTHDR(got, h)) {
		size_t used, fits = room > CMSG_LEN(0) ? (room - CMSG_LEN(0)) / sizeof(int) : 0;
		size_t n = h->cmsg_len - CMSG_LEN(0);
		const void *data = CMSG_DATA(h);

		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			size_t most = fits < PASSED ? fits : PASSED;
			size_t given = give_on(c, h, numbers, most, cloexec);

			if (given < n / sizeof(int))
				got->msg_flags |= MSG_CTRUNC;
			if (given == 0)
				continue;
			data = numbers;
			n = given * sizeof(int);
		}
		used = put(c, at, room, h, data, n, &got->msg_flags);
		at += used;
		room -= used;
	}
	there->msg_controllen = at - (uintptr_t)there->msg_control;
}

/* Into the struct msghdr at `at`. PASS: it has no room for control data. */
static long receive(struct notice *c, uint64_t at, int flags)
{
	_Alignas(struct cmsghdr) static uint8_t control[CONTROL];
	static struct iovec parts[IOV_MOST];
	struct sockaddr_storage name;
	struct iovec part = {text, 0};
	struct msghdr there = {0};
	struct msghdr got = {.msg_iov = &part,
			     .msg_iovlen = 1,
			     .msg_name = &name,
			     .msg_namelen = sizeof(name),
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t r;

	if (!target_read(c, &there, at, sizeof(there)))
		return -EFAULT;
	if (!there.msg_control || there.msg_controllen == 0 || there.msg_iovlen > IOV_MOST)
		return PASS;
	r = target_vector(c, parts, &there);
	if (r < 0)
		return r;
	/* Of a longer datagram the rest is lost, as to a short buffer. */
	part.iov_len = (size_t)r < ROOM ? (size_t)r : ROOM;
	r = raw(SYS_recvmsg, c->fd, &got, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (r == -EAGAIN && !(flags & MSG_DONTWAIT))
		return wait_for(c, EPOLLIN, SO_RCVTIMEO, r);
	if (r < 0)
		return r;
	fdtab_received(&got);
	put_all(c, &got, &there, flags & MSG_CMSG_CLOEXEC);
	if (target_scatter(c, parts, there.msg_iovlen, 0, text,
			   (size_t)r < part.iov_len ? (size_t)r : part.iov_len) < 0)
		return -EFAULT;
	if (there.msg_name) {
		socklen_t len =
		    got.msg_namelen < there.msg_namelen ? got.msg_namelen : there.msg_namelen;

		target_write(c, (uintptr_t)there.msg_name, &name, len);
	}
	there.msg_namelen = got.msg_namelen;
	there.msg_flags = (got.msg_flags & ~MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC);
	return target_write(c, at, &there, sizeof(there)) ? r : -EFAULT;
}

long serve_passing(struct notice *c)
{
	unsigned int len;
	long r;

	if (c->nr == SYS_recvmsg)
		return receive(c, c->arg[1], (int)c->arg[2]);
	/* recvmmsg() may always give less than it could: one. */
	if ((unsigned int)c->arg[2] == 0)
		return PASS;
	r = receive(c, c->arg[1], (int)c->arg[3] & ~MSG_WAITFORONE);
	if (r < 0)
		return r;
	len = (unsigned int)r;
	return target_write(c, c->arg[1] + offsetof(struct mmsghdr, msg_len), &len, sizeof(len))
		   ? 1
		   : -EFAULT;
}
