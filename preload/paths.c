/* Files that tell of the network, shown as the stack has them: programs with resolvers of their own
 * read /etc/resolv.conf. The server writes the text when it is asked for, and the program gets it
 * in a memfd: that needs neither a path, which a chroot takes away, nor rights, which a daemon
 * gives up. Nothing can be written there: the host's files are not the program's to change through
 * a view.
 *
 * Which paths are shown is said twice, here (a few comparisons for every open()) and by the server,
 * which may still say that the host's own is meant. Only absolute paths, as resolvers write them.
 */
#include "ioth.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *const shown[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};

/* Of /proc/net. */
static const char *const shown_net[] = {"arp", "dev",  "if_inet6", "ipv6_route", "route",
					"tcp", "tcp6", "udp",	   "udp6",	 "unix"};

static bool is_one_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* What follows /proc/net/ in a path, also where that is /proc/self/net/, /proc/thread-self/net/ or
 * /proc/PID/net/ of whatever process: of our tree all are in one network, and the host's is
 * nobody's business here. NULL: it is another path. */
static const char *in_proc_net(const char *path)
{
	static const char proc[] = "/proc/";
	const char *p = path + sizeof(proc) - 1;

	if (strncmp(path, proc, sizeof(proc) - 1) != 0)
		return NULL;
	if (strncmp(p, "net/", 4) == 0)
		return p + 4;
	if (strncmp(p, "self/", 5) != 0 && strncmp(p, "thread-self/", 12) != 0 &&
	    strspn(p, "0123456789") != strcspn(p, "/"))
		return NULL;
	p = strchr(p, '/');
	return p && strncmp(p, "/net/", 5) == 0 ? p + 5 : NULL;
}

/* The path by which the server knows the file, in `known` where it is another one; NULL: it is the
 * host's. */
static const char *shown_path(const char *path, char known[64])
{
	const char *name;

	if (!may_be_shown(path))
		return NULL;
	if (is_one_of(shown, sizeof(shown) / sizeof(*shown), path))
		return path;
	name = in_proc_net(path);
	if (!name || !is_one_of(shown_net, sizeof(shown_net) / sizeof(*shown_net), name))
		return NULL;
	snprintf(known, 64, "/proc/net/%s", name);
	return known;
}

/* Reading only, and nothing is made. */
static int flags_fit(int flags)
{
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
		return -EROFS;
	return flags & O_DIRECTORY ? -ENOTDIR : 0;
}

/* A descriptor of `text` that reads from its beginning, opened with `flags`. */
static int text_fd(const char *name, const uint8_t *text, size_t length, int flags)
{
	int fd = (int)raw(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char self[32];
	int again;

	if (fd < 0)
		return fd;
	for (size_t at = 0; at < length;) {
		long n = raw(SYS_pwrite64, fd, text + at, length - at, at);

		if (n <= 0) {
			raw(SYS_close, fd);
			return n < 0 ? (int)n : -EIO;
		}
		at += (size_t)n;
	}
	raw(SYS_fchmod, fd, 0444);
	raw(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	again = (int)raw(SYS_openat, AT_FDCWD, self, flags & ~(O_CREAT | O_NOFOLLOW));
	if (again < 0) { /* no /proc: then it is not opened for reading only, but reads alike */
		if (!(flags & O_CLOEXEC))
			raw(SYS_fcntl, fd, F_SETFD, 0);
		return fd;
	}
	raw(SYS_close, fd);
	return again;
}

int shown_open(int dir, const char *path, int flags)
{
	struct request r = {.op = OP_SHOW};
	char known[64], room[PATH_MAX];
	uint8_t *text;
	ssize_t length;
	int fd;

	(void)dir; /* the path is absolute */
	if (sys_moved(path, room) == room) {
		fd = flags_fit(flags & ~O_DIRECTORY);
		return fd < 0 ? fd : (int)raw(SYS_openat, AT_FDCWD, room, flags & ~O_CREAT);
	}
	path = shown_path(path, known);
	if (!path || !ioth_ready())
		return NOT_SHOWN;
	r.in = path;
	r.in_len = (uint32_t)strlen(path);
	length = ctl_long(&r, &text);
	if (length == -EOPNOTSUPP || length == -ENETDOWN)
		return NOT_SHOWN;
	if (length < 0)
		return (int)length;
	fd = flags_fit(flags);
	if (fd == 0)
		fd = text_fd(strrchr(path, '/') + 1, text, (size_t)length, flags);
	munmap(text, (size_t)length + 1);
	return fd;
}

int shown_fopen(const char *path, const char *mode)
{
	bool writes;

	if (!may_be_shown(path))
		return NOT_SHOWN;
	writes = mode[0] != 'r' || strchr(mode, '+');
	return shown_open(AT_FDCWD, path,
			  (writes ? O_RDWR : O_RDONLY) | (strchr(mode, 'e') ? O_CLOEXEC : 0));
}

/* ---- stat and its family ---- */

/* Calls `call` on a descriptor of the shown file; what it says, or NOT_SHOWN. */
#define ON_SHOWN(path, fd, call)                                                                   \
	({                                                                                         \
		int saved_ = errno;                                                                \
		int fd = shown_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);                         \
		int result_ = fd;                                                                  \
                                                                                                   \
		if (fd >= 0) {                                                                     \
			result_ = (int)raw call;                                                   \
			raw(SYS_close, fd);                                                        \
			errno = saved_;                                                            \
		}                                                                                  \
		result_;                                                                           \
	})

#define STAT(name, ...)                                                                            \
	{                                                                                          \
		char room[PATH_MAX];                                                               \
		int r;                                                                             \
                                                                                                   \
		path = sys_moved(path, room);                                                      \
		r = ON_SHOWN(path, fd, (SYS_fstat, fd, st));                                       \
                                                                                                   \
		return r == NOT_SHOWN ? libc.name(__VA_ARGS__) : ret(r);                           \
	}

EXPORT int stat(const char *restrict path, struct stat *restrict st) STAT(stat, path, st)

    EXPORT int stat64(const char *restrict path, struct stat64 *restrict st) STAT(stat64, path, st)

	EXPORT int lstat(const char *restrict path, struct stat *restrict st) STAT(lstat, path, st)

	    EXPORT
    int lstat64(const char *restrict path, struct stat64 *restrict st) STAT(lstat64, path, st)

	EXPORT int fstatat(int dir, const char *restrict path, struct stat *restrict st, int flags)
	    STAT(fstatat, dir, path, st, flags)

		EXPORT
    int fstatat64(int dir, const char *restrict path, struct stat64 *restrict st, int flags)
	STAT(fstatat64, dir, path, st, flags)

    /* What programs call that were built with an older libc. */
    EXPORT int __xstat(int version, const char *path, struct stat *st)
	STAT(__xstat, version, path, st)

	    EXPORT int __xstat64(int version, const char *path, struct stat64 *st)
		STAT(__xstat64, version, path, st)

		    EXPORT int __lxstat(int version, const char *path, struct stat *st)
			STAT(__lxstat, version, path, st)

			    EXPORT int __lxstat64(int version, const char *path, struct stat64 *st)
				STAT(__lxstat64, version, path, st)

				    EXPORT
    int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags)
	STAT(__fxstatat, version, dir, path, st, flags)

	    EXPORT
    int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags)
	STAT(__fxstatat64, version, dir, path, st, flags)

	    EXPORT int statx(int dir, const char *restrict path, int flags, unsigned int mask,
			     struct statx *restrict st)
{
	char room[PATH_MAX];
	int r;

	path = sys_moved(path, room);
	r = ON_SHOWN(path, fd, (SYS_statx, fd, "", AT_EMPTY_PATH, mask, st));

	return r == NOT_SHOWN ? libc.statx(dir, path, flags, mask, st) : ret(r);
}

/* Readable by all, and no more. */
static int shown_access(const char *path, int mode)
{
	int r = ON_SHOWN(path, fd, (SYS_lseek, fd, 0, SEEK_CUR));

	if (r < 0)
		return r;
	if (mode & ~(R_OK | W_OK | X_OK))
		return -EINVAL;
	return mode & W_OK ? -EROFS : mode & X_OK ? -EACCES : 0;
}

EXPORT int access(const char *path, int mode)
{
	char room[PATH_MAX];
	int r;

	path = sys_moved(path, room);
	r = shown_access(path, mode);

	return r == NOT_SHOWN ? libc.access(path, mode) : ret(r);
}

EXPORT int eaccess(const char *path, int mode)
{
	char room[PATH_MAX];
	int r;

	path = sys_moved(path, room);
	r = shown_access(path, mode);

	return r == NOT_SHOWN ? libc.eaccess(path, mode) : ret(r);
}
ALIAS(euidaccess, eaccess);

EXPORT int faccessat(int dir, const char *path, int mode, int flags)
{
	char room[PATH_MAX];
	int r;

	path = sys_moved(path, room);
	r = shown_access(path, mode);

	return r == NOT_SHOWN ? libc.faccessat(dir, path, mode, flags) : ret(r);
}
