/* What tells of the network and the node, for programs that no shim is loaded into: files that are
 * shown as the stack has them (preload/paths.c), and the node's name. */
#include "supervisor.h"

#include <sys/utsname.h>

#define PATH_ROOM 64 /* no path that is shown is longer */

long serve_open(struct notice *c)
{
	bool at = c->nr == SYS_openat;
	int flags = (int)c->arg[at ? 2 : 1];
	char path[PATH_ROOM];
	ssize_t n = target_string(c, path, sizeof(path), c->arg[at ? 1 : 0]);
	long r;
	int fd;

	if (n < 0 || n == PATH_ROOM || path[0] != '/')
		return PASS;
	fd = shown_open(AT_FDCWD, path, flags | O_CLOEXEC);
	if (fd < 0)
		return fd == NOT_SHOWN ? PASS : fd;
	r = target_give(c, fd, flags & O_CLOEXEC);
	raw(SYS_close, fd);
	return r;
}

long serve_uname(struct notice *c)
{
	struct utsname name;

	if (ioth.region->nodename[0] == '\0')
		return PASS;
	if (uname(&name) < 0)
		return -errno;
	return target_write(c, c->arg[0], &name, sizeof(name)) ? 0 : -EFAULT;
}
