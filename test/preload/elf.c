/* cc: -fsanitize=address,undefined elf.c env.c libc.c */
/* elf_loads_shim(): dynamic programs, static ones, scripts, set-user-id files, broken files. */
#include "ioth.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../conformance/tap.h"

struct ioth ioth;

static char dir[64], path[128];
static uint8_t self[1 << 24];
static size_t self_len;

/* A file with these bytes and this mode; its path lives until the next one. */
static const char *file_with(const void *bytes, size_t n, mode_t mode)
{
	static int count;
	int fd;

	snprintf(path, sizeof(path), "%s/%d", dir, count++);
	fd = must(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	equal(write(fd, bytes, n), (ssize_t)n);
	must(fchmod(fd, mode));
	must(close(fd));
	return path;
}

static const char *text_file(const char *text)
{
	return file_with(text, strlen(text), 0755);
}

/* A copy of this program to spoil. */
static ElfW(Ehdr) * copy(void)
{
	static uint8_t bytes[sizeof(self)];

	memcpy(bytes, self, self_len);
	return (ElfW(Ehdr) *)bytes;
}

static ElfW(Phdr) * header(ElfW(Ehdr) * eh, uint32_t type)
{
	ElfW(Phdr) *ph = (ElfW(Phdr) *)((uint8_t *)eh + eh->e_phoff);

	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == type)
			return &ph[i];
	tap_leave();
}

static const char *program(const ElfW(Ehdr) * eh, mode_t mode)
{
	return file_with(eh, self_len, mode);
}

static const char *static_program(mode_t mode)
{
	ElfW(Ehdr) *eh = copy();

	header(eh, PT_INTERP)->p_type = PT_NULL;
	return program(eh, mode);
}

/* The answer of a child that does `change` first: 1, 0, or -1. */
static int asked_after(void (*change)(void), const char *of)
{
	pid_t pid = must(fork());
	int status;

	if (pid == 0) {
		change();
		_exit(elf_loads_shim(of));
	}
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) && WEXITSTATUS(status) < 2 ? WEXITSTATUS(status) : -1;
}

static void as_we_are(void)
{
}

static void no_new_privs(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void other_effective_uid(void)
{
	if (seteuid(65534) < 0)
		_exit(2);
}

static void other_effective_gid(void)
{
	if (setegid(65534) < 0)
		_exit(2);
}

static void other_uid(void)
{
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(2);
}

CASE("this program, and /bin/sh, by absolute and by relative path")
{
	check(elf_loads_shim("/proc/self/exe"));
	check(elf_loads_shim("/bin/sh"));
	check(elf_loads_shim(program(copy(), 0755)));
	must(chdir(dir));
	check(elf_loads_shim(strrchr(path, '/') + 1));
}

CASE("an open file, also one that only its path is known of")
{
	int fd = must(open(program(copy(), 0755), O_RDONLY | O_CLOEXEC));
	int pathfd = must(open(path, O_PATH | O_CLOEXEC));
	int where = must(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	check(elf_loads_shim_at(fd, ""));
	check(!elf_loads_shim_at(pathfd, ""));
	check(elf_loads_shim_at(where, strrchr(path, '/') + 1));
	static_program(0755);
	check(!elf_loads_shim_at(where, strrchr(path, '/') + 1));
	must(close(fd));
	must(close(pathfd));
	must(close(where));
}

CASE("a static program does not")
{
	check(!elf_loads_shim(static_program(0755)));
}

CASE("another loader, word size or magic does not")
{
	ElfW(Ehdr) *eh = copy();

	((char *)eh)[header(eh, PT_INTERP)->p_offset + 1] ^= 1;
	check(!elf_loads_shim(program(eh, 0755)));
	eh = copy();
	eh->e_ident[EI_CLASS] ^= 3;
	check(!elf_loads_shim(program(eh, 0755)));
	eh = copy();
	eh->e_ident[0] = 0;
	check(!elf_loads_shim(program(eh, 0755)));
	eh = copy();
	eh->e_phentsize++;
	check(!elf_loads_shim(program(eh, 0755)));
}

CASE("a loader's name without its end does not")
{
	ElfW(Ehdr) *eh = copy();

	header(eh, PT_INTERP)->p_filesz--;
	check(!elf_loads_shim(program(eh, 0755)));
	header(eh, PT_INTERP)->p_filesz = 0;
	check(!elf_loads_shim(program(eh, 0755)));
	header(eh, PT_INTERP)->p_filesz = SIZE_MAX;
	check(!elf_loads_shim(program(eh, 0755)));
}

CASE("headers that lie outside the file")
{
	ElfW(Ehdr) *eh = copy();

	eh->e_phoff = self_len;
	check(!elf_loads_shim(program(eh, 0755)));
	eh->e_phoff = UINT64_MAX;
	check(!elf_loads_shim(program(eh, 0755)));
	eh = copy();
	header(eh, PT_INTERP)->p_offset = UINT64_MAX;
	check(!elf_loads_shim(program(eh, 0755)));
}

CASE("cut short at every length up to the loader's name")
{
	ElfW(Ehdr) *eh = copy();
	ElfW(Phdr) *interp = header(eh, PT_INTERP);
	size_t end = interp->p_offset + interp->p_filesz;
	int fd;

	program(eh, 0755);
	fd = must(open(path, O_WRONLY | O_CLOEXEC));
	check(end < 4096);
	for (size_t n = end; n-- > 0;) {
		must(ftruncate(fd, (off_t)n));
		check(!elf_loads_shim_at(AT_FDCWD, path));
	}
	must(close(fd));
}

CASE("a script does what its interpreter does")
{
	char line[512];

	check(elf_loads_shim(text_file("#!/bin/sh\necho\n")));
	check(elf_loads_shim(text_file("#! \t /bin/sh -e\necho\n")));
	check(elf_loads_shim(text_file("#!/bin/sh")));
	snprintf(line, sizeof(line), "#!%s -x\n", static_program(0755));
	check(!elf_loads_shim(text_file(line)));
}

CASE("scripts of scripts, as deep as Linux follows them; deeper, nothing runs")
{
	char line[512];

	static_program(0755);
	for (int depth = 1; depth <= 6; depth++) {
		snprintf(line, sizeof(line), "#!%s\n", path);
		text_file(line);
		equal(elf_loads_shim(path), depth > 5);
		equal(access(path, X_OK), 0);
	}
	/* Linux agrees on the number: ELOOP, not the crash of the spoilt program. */
	fails(execv(path, ((char *[]){path, NULL})), ELOOP);
}

CASE("a script without an interpreter, or whose interpreter is not there")
{
	check(!elf_loads_shim(text_file("#!\n")));
	check(!elf_loads_shim(text_file("#!   \n")));
	check(elf_loads_shim(text_file("#!/nonexistent\n")));
	check(!elf_loads_shim(text_file("#")));
	check(!elf_loads_shim(text_file("")));
	check(!elf_loads_shim(text_file("echo no line of that kind\n")));
}

CASE("nothing would run: missing, not executable, a directory")
{
	check(elf_loads_shim("/nonexistent"));
	check(elf_loads_shim(""));
	check(elf_loads_shim(dir));
	check(elf_loads_shim(static_program(0644)));
	check(!elf_runnable(AT_FDCWD, path));
	must(chmod(path, 0755));
	check(elf_runnable(AT_FDCWD, path));
}

CASE("set-user-id and set-group-id files of others do not, unless no_new_privs is set")
{
	if (geteuid() != 0)
		tap_skip("only root can give files away");
	program(copy(), 0755);
	must(chown(path, 65534, 0));
	must(chmod(path, 04755));
	equal(asked_after(as_we_are, path), 0);
	equal(asked_after(no_new_privs, path), 1);
	equal(asked_after(other_uid, path), 1);
	must(chown(path, 0, 65534));
	must(chmod(path, 02755));
	equal(asked_after(as_we_are, path), 0);
	equal(asked_after(no_new_privs, path), 1);
	must(chmod(path, 02745)); /* without the group's x it means locking */
	equal(asked_after(as_we_are, path), 1);
	must(chown(path, 0, 0));
	must(chmod(path, 06755));
	equal(asked_after(as_we_are, path), 1);
}

CASE("a set-user-id script does: Linux does not heed the bit")
{
	if (geteuid() != 0)
		tap_skip("only root can give files away");
	text_file("#!/bin/sh\n");
	must(chown(path, 65534, 0));
	must(chmod(path, 04755));
	equal(asked_after(as_we_are, path), 1);
}

CASE("a process whose effective and real ids differ does not")
{
	if (geteuid() != 0)
		tap_skip("only root can change ids");
	program(copy(), 0755);
	equal(asked_after(other_effective_uid, path), 0);
	equal(asked_after(other_effective_gid, path), 0);
	equal(asked_after(other_uid, path), 1);
}

CASE("a program that may be run but not read does not")
{
	if (geteuid() != 0)
		tap_skip("only root can change ids");
	program(copy(), 0711);
	equal(asked_after(other_uid, path), 0);
}

static void chroot_there(void)
{
	if (chroot(dir) < 0 || chdir("/") < 0)
		_exit(2);
}

CASE("where the shim is out of reach it does not")
{
	if (geteuid() != 0)
		tap_skip("only root can chroot");
	program(copy(), 0755);
	equal(asked_after(chroot_there, strrchr(path, '/')), 0);
}

CASE("no descriptor is left open")
{
	int before = must(dup(0)), after;

	must(close(before));
	elf_loads_shim("/bin/sh");
	elf_loads_shim(static_program(0755));
	elf_loads_shim(text_file("#!/bin/sh"));
	after = must(dup(0));
	equal(after, before);
	must(close(after));
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (getpid() == tap_pid && system(command) != 0)
		fprintf(stderr, "%s is left over\n", dir);
}

/* Started again with a shim to be found: any library will do. */
__attribute__((constructor)) static void enter(int argc, char **argv)
{
	Dl_info info;
	int fd;

	(void)argc;
	if (!getenv(ENV_SHIM)) {
		if (!dladdr((void *)&dladdr, &info))
			_exit(1);
		setenv(ENV_SHIM, info.dli_fname, 1);
		setenv(ENV_STACK, "1", 1);
		raw(SYS_execve, "/proc/self/exe", argv, environ);
		_exit(1);
	}
	strcpy(dir, "/tmp/ioth-elf-XXXXXX");
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	self_len = (size_t)read(fd, self, sizeof(self));
	close(fd);
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0 || self_len == sizeof(self))
		_exit(1);
	atexit(remove_dir);
}
