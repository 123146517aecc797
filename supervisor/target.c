/* The process that called: its memory, its descriptors. Its number may be another process's as soon
 * as it is gone, so what was fetched by number counts only if the call still waits afterwards. */
#include "supervisor.h"

#include <linux/seccomp.h>
#include <sys/uio.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* since 6.9 */
#endif

int listener;
uint8_t text[ROOM];

bool target_waits(const struct notice *c)
{
	return raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &c->id) == 0;
}

/* What /proc/TID/NAME says, as far as there is room; "" if there is none. */
static void proc_text(pid_t tid, const char *name, char *text, size_t room)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	fd = (int)raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = raw(SYS_read, fd, text, room - 1);
		raw(SYS_close, fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

/* The number in a line "NAME:\tNUMBER" of such a text. */
static uint64_t number_of(const char *text, const char *name, int base)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

#define STATUS_ROOM 4096

pid_t target_process(pid_t tid)
{
	char text[STATUS_ROOM];

	proc_text(tid, "status", text, sizeof(text));
	return (pid_t)number_of(text, "\nTgid:", 10);
}

enum pending target_pending(const struct notice *c)
{
	char text[STATUS_ROOM];
	uint64_t blocked, own, shared;

	proc_text(c->tid, "status", text, sizeof(text));
	blocked = number_of(text, "\nSigBlk:", 16);
	own = number_of(text, "\nSigPnd:", 16) & ~blocked;
	shared = number_of(text, "\nShdPnd:", 16) & ~blocked;
	if (own || (shared && number_of(text, "\nThreads:", 10) == 1))
		return OWN_SIGNAL;
	return shared ? SHARED_SIGNAL : NO_SIGNAL;
}

int target_open(pid_t tid)
{
	static bool threads_too = true;
	int fd = -EINVAL;

	if (threads_too)
		fd = (int)raw(SYS_pidfd_open, tid, PIDFD_THREAD);
	if (fd != -EINVAL)
		return fd;
	threads_too = false;
	fd = (int)raw(SYS_pidfd_open, tid, 0);
	if (fd >= 0 || fd == -ESRCH)
		return fd;
	return (int)raw(SYS_pidfd_open, target_process(tid), 0);
}

int target_fd(const struct notice *c, int fd)
{
	int pidfd = target_open(c->tid);
	int copy;

	if (pidfd < 0)
		return pidfd;
	copy = (int)raw(SYS_pidfd_getfd, pidfd, fd, 0);
	raw(SYS_close, pidfd);
	return copy;
}

bool target_read(const struct notice *c, void *to, uint64_t from, size_t n)
{
	struct iovec here = {to, n}, there = {(void *)from, n};

	return n == 0 || process_vm_readv(c->tid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

bool target_write(const struct notice *c, uint64_t to, const void *from, size_t n)
{
	struct iovec here = {(void *)from, n}, there = {(void *)to, n};

	return n == 0 || process_vm_writev(c->tid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

ssize_t target_vector(const struct notice *c, struct iovec parts[IOV_MOST],
		      const struct msghdr *there)
{
	const size_t most = 0x7ffff000; /* MAX_RW_COUNT */
	size_t n = there->msg_iovlen, whole = 0;

	if (n > IOV_MOST)
		return -EMSGSIZE;
	if (!target_read(c, parts, (uintptr_t)there->msg_iov, n * sizeof(*parts)))
		return -EFAULT;
	for (size_t i = 0; i < n; i++) {
		size_t len = parts[i].iov_len;

		if ((ssize_t)len < 0)
			return -EINVAL;
		whole += len < most - whole ? len : most - whole;
	}
	return (ssize_t)whole;
}

ssize_t target_gather(const struct notice *c, void *to, size_t room, const struct iovec *iov,
		      size_t n, size_t skip)
{
	struct iovec rest[IOV_MOST];
	struct iovec here = {to, room};
	size_t parts = iov_rest(iov, (int)n, skip, rest);
	size_t whole = 0;

	for (size_t i = 0; i < parts; i++)
		whole += rest[i].iov_len;
	if (whole == 0 || room == 0)
		return 0;
	whole = whole < room ? whole : room;
	return process_vm_readv(c->tid, &here, 1, rest, parts, 0) == (ssize_t)whole ? (ssize_t)whole
										    : -1;
}

ssize_t target_scatter(const struct notice *c, const struct iovec *iov, size_t n, size_t skip,
		       const void *from, size_t len)
{
	struct iovec rest[IOV_MOST];
	struct iovec here = {(void *)from, len};
	size_t parts = iov_rest(iov, (int)n, skip, rest);

	if (len == 0)
		return 0;
	return process_vm_writev(c->tid, &here, 1, rest, parts, 0) == (ssize_t)len ? (ssize_t)len
										   : -1;
}

/* A string, cut at `room`: its length, or -1. Read up to the ends of pages: what follows need not
 * be there. */
ssize_t target_string(const struct notice *c, char *to, size_t room, uint64_t from)
{
	size_t n = 0;

	while (n < room) {
		size_t piece = 4096 - (from + n) % 4096;
		const char *zero;

		piece = piece < room - n ? piece : room - n;
		if (!target_read(c, to + n, from + n, piece))
			return -1;
		zero = memchr(to + n, '\0', piece);
		if (zero)
			return zero - to;
		n += piece;
	}
	return (ssize_t)n;
}

static long add(const struct notice *c, int fd, int number, uint32_t flags, bool cloexec)
{
	struct seccomp_notif_addfd how = {.id = c->id,
					  .srcfd = (uint32_t)fd,
					  .newfd = (uint32_t)number,
					  .newfd_flags = cloexec ? O_CLOEXEC : 0,
					  .flags = flags};

	return raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ADDFD, &how);
}

long target_give(const struct notice *c, int fd, bool cloexec)
{
	long r = add(c, fd, 0, SECCOMP_ADDFD_FLAG_SEND, cloexec);

	return r < 0 ? r : ANSWERED;
}

int target_put(const struct notice *c, int fd, bool cloexec)
{
	return (int)add(c, fd, 0, 0, cloexec);
}

/* Is this descriptor of the target's closed by exec? */
static bool closed_by_exec(const struct notice *c, int number)
{
	char name[32], text[256];

	snprintf(name, sizeof(name), "fdinfo/%d", number);
	proc_text(c->tid, name, text, sizeof(text));
	return number_of(text, "flags:", 8) & O_CLOEXEC;
}

int target_replace(const struct notice *c, int number, int fd)
{
	long r = add(c, fd, number, SECCOMP_ADDFD_FLAG_SETFD, closed_by_exec(c, number));

	return r < 0 ? (int)r : 0;
}

void target_signal(const struct notice *c, int sig)
{
	raw(SYS_tkill, c->tid, sig);
}
