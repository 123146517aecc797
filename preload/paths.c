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

#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *const shown[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};

static bool is_shown(const char *path)
{
	if (bad_pointer(path) || path[0] != '/')
		return false;
	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++)
		if (strcmp(path, shown[i]) == 0)
			return true;
	return false;
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
	struct request r = {.op = OP_SHOW, .in = path};
	uint8_t *text;
	ssize_t length;
	int fd;

	(void)dir; /* the path is absolute */
	if (!is_shown(path) || !ioth_ready())
		return NOT_SHOWN;
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
	bool writes = mode[0] != 'r' || strchr(mode, '+');

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
		int r = ON_SHOWN(path, fd, (SYS_fstat, fd, st));                                   \
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
	int r = ON_SHOWN(path, fd, (SYS_statx, fd, "", AT_EMPTY_PATH, mask, st));

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
	int r = shown_access(path, mode);

	return r == NOT_SHOWN ? libc.access(path, mode) : ret(r);
}

EXPORT int eaccess(const char *path, int mode)
{
	int r = shown_access(path, mode);

	return r == NOT_SHOWN ? libc.eaccess(path, mode) : ret(r);
}
ALIAS(euidaccess, eaccess);

EXPORT int faccessat(int dir, const char *path, int mode, int flags)
{
	int r = shown_access(path, mode);

	return r == NOT_SHOWN ? libc.faccessat(dir, path, mode, flags) : ret(r);
}
