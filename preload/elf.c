/* Will a program load our shim? ld.so does it, so the program must be dynamic, with the loader that
 * we were started by (another one is another libc or another word size, and fails on the shim, or
 * complains), and not run with more rights than its caller's, since ld.so then ignores LD_PRELOAD.
 * Read from the file, as execve will: "#!" leads to the interpreter. In doubt the answer is no,
 * which costs speed and nothing else. Only system calls: this runs in signal handlers and in vfork
 * children. */
#include "ioth.h"

#include "by-loader.h" /* after resolv.h, which renames p_type */

#include <limits.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define SCRIPT_LINE  256 /* BINPRM_BUF_SIZE: what Linux reads of a "#!" line */
#define SCRIPT_DEPTH 5	 /* interpreters of interpreters, before Linux says ELOOP */

/* This process's own loader; empty: unknown, or a static program that somehow has us. */
static char loader[PATH_MAX];

__attribute__((constructor)) static void loader_save(void)
{
	const ElfW(Phdr) *ph = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	unsigned long n = getauxval(AT_PHNUM);
	uintptr_t bias = 0;

	for (unsigned long i = 0; ph && i < n; i++)
		if (ph[i].p_type == PT_PHDR)
			bias = (uintptr_t)ph - ph[i].p_vaddr;
	for (unsigned long i = 0; ph && i < n; i++)
		if (ph[i].p_type == PT_INTERP && ph[i].p_memsz <= sizeof(loader))
			memcpy(loader, (const void *)(bias + ph[i].p_vaddr), ph[i].p_memsz);
}

/* Reads exactly n bytes at `at`. */
static bool read_at(int fd, void *to, size_t n, uint64_t at)
{
	return libc.pread64(fd, to, n, (off64_t)at) == (ssize_t)n;
}

static bool same_loader(int fd, const ElfW(Phdr) * interp)
{
	char path[PATH_MAX];

	return loader[0] && interp->p_filesz <= sizeof(path) &&
	       read_at(fd, path, interp->p_filesz, interp->p_offset) &&
	       strnlen(path, interp->p_filesz) < interp->p_filesz && strcmp(path, loader) == 0;
}

static enum shim_fate dynamic(int fd)
{
	ElfW(Ehdr) eh;
	ElfW(Phdr) ph;

	if (!read_at(fd, &eh, sizeof(eh), 0) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return SHIM_IGNORED;
	if (eh.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return SHIM_REFUSED;
	if (eh.e_phentsize != sizeof(ph))
		return SHIM_IGNORED;
	for (int i = 0; i < eh.e_phnum; i++) {
		if (!read_at(fd, &ph, sizeof(ph), eh.e_phoff + (uint64_t)i * sizeof(ph)))
			return SHIM_IGNORED;
		if (ph.p_type == PT_INTERP)
			return same_loader(fd, &ph) ? SHIM_LOADED : SHIM_REFUSED;
	}
	return SHIM_IGNORED;
}

/* The kernel will say AT_SECURE: the ids differ after exec, or the file brings capabilities. */
static bool secure(int fd, const struct stat *st)
{
	uid_t euid = geteuid();
	gid_t egid = getegid();

	if (libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
		if (st->st_mode & S_ISUID)
			euid = st->st_uid;
		if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			egid = st->st_gid;
		if (fgetxattr(fd, "security.capability", NULL, 0) > 0)
			return true;
	} else if (capable_file(fd))
		return true;
	return euid != getuid() || egid != getgid();
}

/* The interpreter of a script, in `line`; NULL: not a script, or a line that Linux refuses too. */
static const char *interpreter(int fd, char line[SCRIPT_LINE + 1])
{
	ssize_t n = libc.pread64(fd, line, SCRIPT_LINE, 0);
	char *path = line + 2;

	if (n < 2 || line[0] != '#' || line[1] != '!')
		return NULL;
	line[n] = '\0';
	path += strspn(path, " \t");
	path[strcspn(path, " \t\n")] = '\0';
	return *path ? path : NULL;
}

static enum shim_fate program_fate(int dir, const char *path, int depth);

/* The same for an open file; scripts are followed. */
static enum shim_fate image_fate(int fd, int depth)
{
	char line[SCRIPT_LINE + 1];
	const char *next = interpreter(fd, line);
	enum shim_fate fate;
	struct stat st;

	if (next)
		return depth == SCRIPT_DEPTH ? SHIM_LOADED
					     : program_fate(AT_FDCWD, next, depth + 1);
	fate = dynamic(fd);
	if (fate == SHIM_LOADED && (fstat(fd, &st) < 0 || secure(fd, &st)))
		return SHIM_IGNORED;
	return fate;
}

static enum shim_fate program_fate(int dir, const char *path, int depth)
{
	enum shim_fate fate;
	int fd;

	if (!elf_runnable(dir, path))
		return SHIM_LOADED;
	fd = libc.openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return SHIM_IGNORED; /* may be run, but not read */
	fate = image_fate(fd, depth);
	libc.close(fd);
	return fate;
}

/* After a chroot, ld.so does not find the shim. */
static bool shim_in_reach(void)
{
	return faccessat(AT_FDCWD, env_shim(), R_OK, AT_EACCESS) == 0;
}

/** A file that execve would take. */
bool elf_runnable(int dir, const char *path)
{
	struct stat st;

	return faccessat(dir, path, X_OK, AT_EACCESS) == 0 && fstatat(dir, path, &st, 0) == 0 &&
	       S_ISREG(st.st_mode);
}

/** What execveat of this program does with our shim; SHIM_LOADED also when nothing would run. An
 * empty path is the file open as `dir`. */
enum shim_fate elf_shim_fate(int dir, const char *path)
{
	enum shim_fate fate = *path || dir < 0 ? program_fate(dir, path, 0) : image_fate(dir, 0);

	return fate == SHIM_LOADED && !shim_in_reach() ? SHIM_IGNORED : fate;
}

bool elf_loads_shim_at(int dir, const char *path)
{
	return elf_shim_fate(dir, path) == SHIM_LOADED;
}

bool elf_loads_shim(const char *path)
{
	return elf_loads_shim_at(AT_FDCWD, path);
}
