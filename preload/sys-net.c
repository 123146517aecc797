/* /sys/class/net, shown as the stack has it. Programs list that directory, follow its links and
 * open what is in it by relative names, so it is a tree of real files, which the server writes in
 * its own directory (src/server/sys-tree.ts); here its path is put in place of /sys. After a
 * chroot, or as another user, it is out of reach, as /sys mostly is. */
#include "ioth.h"

#include <limits.h>

static const char *const trees[] = {"/sys/class/net", "/sys/devices/virtual/net"};

#define SYS "/sys"

static bool in_a_tree(const char *path)
{
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		size_t n = strlen(trees[i]);

		if (strncmp(path, trees[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return false;
}

/* The path of what stands for /sys, brought up to date; false: there is none. */
static bool find_root(char *root, size_t size)
{
	struct request r = {.op = OP_SHOW, .in = SYS, .in_len = sizeof(SYS) - 1};
	ssize_t length;
	uint8_t *text;

	length = ctl_long(&r, &text);
	if (length < 0)
		return false;
	if ((size_t)length < size) {
		memcpy(root, text, (size_t)length);
		root[length] = '\0';
	}
	munmap(text, (size_t)length + 1);
	return (size_t)length < size;
}

const char *sys_moved(const char *path, char *room)
{
	int saved = errno;
	size_t n;

	if (!may_be_shown(path) || !in_a_tree(path) || !ioth_ready() || !find_root(room, PATH_MAX))
		return path;
	errno = saved;
	n = strlen(room);
	if (n + strlen(path + strlen(SYS)) >= PATH_MAX)
		return path;
	strcpy(room + n, path + strlen(SYS));
	return room;
}

/* ---- what else has a path to give ---- */

EXPORT ssize_t readlink(const char *restrict path, char *restrict buf, size_t n)
{
	char room[PATH_MAX];

	return libc.readlink(sys_moved(path, room), buf, n);
}

EXPORT ssize_t __readlink_chk(const char *path, char *buf, size_t n, size_t space)
{
	char room[PATH_MAX];

	return libc.__readlink_chk(sys_moved(path, room), buf, n, space);
}

EXPORT ssize_t readlinkat(int dir, const char *restrict path, char *restrict buf, size_t n)
{
	char room[PATH_MAX];

	return libc.readlinkat(dir, sys_moved(path, room), buf, n);
}

EXPORT ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t n, size_t space)
{
	char room[PATH_MAX];

	return libc.__readlinkat_chk(dir, sys_moved(path, room), buf, n, space);
}

/* The name that it has in /sys, again. */
static char *moved_back(char *resolved, const char *moved, const char *path)
{
	size_t root = strlen(moved) - strlen(path + strlen(SYS));

	if (resolved && strncmp(resolved, moved, root) == 0) {
		memmove(resolved + strlen(SYS), resolved + root, strlen(resolved + root) + 1);
		memcpy(resolved, SYS, strlen(SYS));
	}
	return resolved;
}

EXPORT char *realpath(const char *restrict path, char *restrict resolved)
{
	char room[PATH_MAX];
	const char *moved = sys_moved(path, room);
	char *found = libc.realpath(moved, resolved);

	return moved == path ? found : moved_back(found, moved, path);
}

EXPORT char *__realpath_chk(const char *path, char *resolved, size_t space)
{
	char room[PATH_MAX];
	const char *moved = sys_moved(path, room);
	char *found = libc.__realpath_chk(moved, resolved, space);

	return moved == path ? found : moved_back(found, moved, path);
}

EXPORT char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}

EXPORT int chdir(const char *path)
{
	char room[PATH_MAX];

	return libc.chdir(sys_moved(path, room));
}

EXPORT DIR *opendir(const char *path)
{
	char room[PATH_MAX];

	return libc.opendir(sys_moved(path, room));
}

EXPORT int scandir(const char *restrict path, struct dirent ***restrict list,
		   int (*filter)(const struct dirent *),
		   int (*compare)(const struct dirent **, const struct dirent **))
{
	char room[PATH_MAX];

	return libc.scandir(sys_moved(path, room), list, filter, compare);
}

EXPORT int scandir64(const char *restrict path, struct dirent64 ***restrict list,
		     int (*filter)(const struct dirent64 *),
		     int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	char room[PATH_MAX];

	return libc.scandir64(sys_moved(path, room), list, filter, compare);
}
