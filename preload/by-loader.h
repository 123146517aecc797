/* Files with capabilities (setcap(8)), as Debian's ping is one. Here nobody gets them
 * (no_new_privs), and still ld.so ignores LD_PRELOAD for a user who is not root, since the kernel
 * says AT_SECURE: the program would have no network. Run by its loader (ld.so(8)) it is a file like
 * any other, and has the same rights as before: none. Only system calls, for vfork children too. */
#ifndef IOTH_BY_LOADER_H
#define IOTH_BY_LOADER_H

#include "raw.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of struct vfs_cap_data, linux/capability.h. */
#define CAP_EFFECTIVE 1
#define CAP_DATA_SIZE 24

/* What comes before the program's own arguments: loader, --argv0, its name, its path. */
#define BY_LOADER_ARGS 4

static inline bool pread_all(int fd, void *to, size_t n, uint64_t at)
{
	return raw(SYS_pread64, fd, to, n, at) == (long)n;
}

/* The loader of an ELF program; false: it has none. */
static inline bool loader_of(int fd, char loader[PATH_MAX])
{
	ElfW(Ehdr) eh;
	ElfW(Phdr) ph;

	if (!pread_all(fd, &eh, sizeof(eh), 0) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_phentsize != sizeof(ph))
		return false;
	for (int i = 0; i < eh.e_phnum; i++) {
		if (!pread_all(fd, &ph, sizeof(ph), eh.e_phoff + (uint64_t)i * sizeof(ph)))
			return false;
		if (ph.p_type == PT_INTERP)
			return ph.p_filesz <= PATH_MAX &&
			       pread_all(fd, loader, ph.p_filesz, ph.p_offset) &&
			       strnlen(loader, ph.p_filesz) < ph.p_filesz;
	}
	return false;
}

/* Will the kernel say AT_SECURE because of the file's capabilities? */
static inline bool capable_file(int fd)
{
	uint8_t data[CAP_DATA_SIZE];

	return raw(SYS_getuid) != 0 &&
	       raw(SYS_fgetxattr, fd, "security.capability", data, sizeof(data)) > 0 &&
	       data[0] & CAP_EFFECTIVE;
}

/* Is the program at `path` to be run by its loader? By which one. */
static inline bool needs_loader(const char *path, char loader[PATH_MAX])
{
	bool needs;
	int fd;

	if (!strchr(path, '/') || raw(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return false;
	fd = (int)raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	needs = capable_file(fd) && loader_of(fd, loader);
	raw(SYS_close, fd);
	return needs;
}

/* The file that a search along PATH finds first, as execvp() does it; false: none. */
static inline bool path_search(const char *file, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	size_t len = strlen(file);
	struct stat st;

	for (const char *at = dirs ? dirs : "/bin:/usr/bin";; at++) {
		size_t n = strcspn(at, ":");

		if (n + 1 + len < PATH_MAX) {
			memcpy(path, at, n);
			path[n] = '/';
			memcpy(path + n + !!n, file, len + 1);
			if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 &&
			    fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode))
				return true;
		}
		at += n;
		if (!*at)
			return false;
	}
}

/* Pointers in an argv, with its NULL. */
static inline size_t argv_count(char *const argv[])
{
	size_t n = 0;

	while (argv && argv[n])
		n++;
	return n + 1;
}

/* `with` has room for BY_LOADER_ARGS and argv's pointers. */
static inline void argv_by_loader(char **with, char *loader, const char *path, char *const argv[])
{
	size_t n = argv_count(argv);
	bool named = n > 1;

	with[0] = loader;
	with[1] = "--argv0";
	with[2] = named ? argv[0] : "";
	with[3] = (char *)path;
	for (size_t i = 1; i < n; i++)
		with[3 + i] = argv[i];
	with[named ? 2 + n : 4] = NULL;
}

#endif
