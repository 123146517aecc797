/* dup, dup2, dup3: the copy shares the struct file, so it is the same socket; the fd table learns
 * it. A number that is overwritten was closed. Numbers 0 to 2 are read and written by stdio and by
 * programs that we never see: what comes to lie there goes native first. */
#include "ioth.h"

/* The copy `fd` of `oldfd` was just made, or it is an error. */
static int copied(int oldfd, int fd)
{
	struct sock s;
	int r;

	if (fd < 0)
		return fd;
	fdtab_copy(oldfd, fd);
	if (fd > STDERR_FILENO || !fdtab_find(fd, &s))
		return fd;
	r = sock_go_native(fd, &s);
	if (r == 0)
		return fd;
	libc.close(fd);
	fdtab_forget(fd);
	return ret(r);
}

/** The new number of a dup() or F_DUPFD: the lowest free one, whatever that is. */
int dup_made(int oldfd, int fd)
{
	return in_vfork_child() ? fd : copied(oldfd, fd);
}

/* dup2 and dup3: call it, then mind what lay at newfd before. */
static int dup_onto(int oldfd, int newfd, int (*call)(int oldfd, int newfd, int flags), int flags)
{
	struct sock s, old;
	bool replaces;
	int r;

	if (in_vfork_child() || oldfd == newfd)
		return call(oldfd, newfd, flags);
	if ((unsigned int)newfd <= STDERR_FILENO && fdtab_find(oldfd, &s)) {
		r = sock_go_native(oldfd, &s);
		if (r < 0)
			return ret(r);
	}
	replaces = fdtab_find(newfd, &old);
	r = call(oldfd, newfd, flags);
	if (r < 0)
		return r;
	fdtab_copy(oldfd, newfd);
	if (replaces)
		sock_closed(&old);
	return r;
}

static int call_dup2(int oldfd, int newfd, int flags)
{
	(void)flags;
	return libc.dup2(oldfd, newfd);
}

static int call_dup3(int oldfd, int newfd, int flags)
{
	return libc.dup3(oldfd, newfd, flags);
}

EXPORT int dup(int oldfd)
{
	return dup_made(oldfd, libc.dup(oldfd));
}

EXPORT int dup2(int oldfd, int newfd)
{
	return dup_onto(oldfd, newfd, call_dup2, 0);
}
ALIAS(__dup2, dup2);

EXPORT int dup3(int oldfd, int newfd, int flags)
{
	return dup_onto(oldfd, newfd, call_dup3, flags);
}
