/* cc: exec.c ids.c spawn.c sandbox.c limits.c bpf.c syscall.c syscall.S env.c elf.c fdtab.c vfork.c
 * vfork.S libc.c pointer.c */
/* Programs that are started, and what a process does to itself: which sockets go native before. */
#include "stand-in.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/wait.h>

#include "../conformance/tap.h"

static const char *hollow; /* a static program that exits with status 7 */
static char *const no_args[] = {"hollow", NULL};

/* ---- other programs ---- */

/* How the child ended. */
static int ended(pid_t pid)
{
	int status;

	must(waitpid(must(pid), &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Two sockets, of which an exec closes the second. */
static void two_sockets(int *stays, int *goes)
{
	*stays = must(virtual_socket(24, 0));
	*goes = must(virtual_socket(25, SOCK_CLOEXEC));
	forget_log();
}

static void only_the_first(int stays, int goes)
{
	check(went_native(stays));
	check(!went_native(goes));
	close_range(stays, goes, 0);
}

CASE("fork and exec of a static program: what it inherits goes native")
{
	int stays, goes;
	pid_t pid;

	two_sockets(&stays, &goes);
	pid = must(fork());
	if (pid == 0) {
		execve(hollow, no_args, environ);
		_exit(1);
	}
	equal(ended(pid), 7);
	only_the_first(stays, goes);
}

CASE("vfork and exec of a static program: what the child has, not what the parent has")
{
	int stays, goes;
	pid_t pid;

	two_sockets(&stays, &goes);
	pid = vfork();
	if (pid == 0) {
		raw(SYS_dup3, goes, 120, 0);
		raw(SYS_close, stays);
		execl(hollow, "hollow", NULL);
		_exit(1);
	}
	equal(ended(pid), 7);
	check(went_native(120));
	check(!went_native(stays) && !went_native(goes));
	equal(record_behind(stays), 24);
	close_range(stays, goes, 0);
}

CASE("exec of a program that loads the shim: nothing")
{
	int stays, goes;
	pid_t pid;

	two_sockets(&stays, &goes);
	pid = must(fork());
	if (pid == 0) {
		execlp("true", "true", NULL);
		_exit(1);
	}
	equal(ended(pid), 0);
	equal(stand_in->natives, 0);
	close_range(stays, goes, 0);
}

CASE("exec into another stack: what it inherits goes native")
{
	char *other[] = {"IOTH_STACK=feed", NULL};
	int stays, goes;
	pid_t pid;

	two_sockets(&stays, &goes);
	pid = must(fork());
	if (pid == 0) {
		execve("/bin/true", no_args, other);
		_exit(1);
	}
	equal(ended(pid), 0);
	only_the_first(stays, goes);
}

CASE("exec of nothing: no socket changes, and errno is right")
{
	int stays, goes;

	two_sockets(&stays, &goes);
	fails(execve("/nonexistent", no_args, environ), ENOENT);
	fails(execvp("no-such-program-at-all", no_args), ENOENT);
	equal(stand_in->natives, 0);
	close_range(stays, goes, 0);
}

CASE("fexecve, execveat, execvp and syscall(SYS_execve) of a static program")
{
	int stays, goes;

	for (int way = 0; way < 4; way++) {
		pid_t pid;

		two_sockets(&stays, &goes);
		pid = must(fork());
		if (pid == 0) {
			if (way == 0)
				fexecve(open(hollow, O_RDONLY | O_CLOEXEC), no_args, environ);
			else if (way == 1)
				execveat(AT_FDCWD, hollow, no_args, environ, 0);
			else if (way == 2)
				execvp(strrchr(hollow, '/') + 1, no_args);
			else
				syscall(SYS_execve, hollow, no_args, environ);
			_exit(1);
		}
		equal(ended(pid), 7);
		only_the_first(stays, goes);
	}
}

CASE("posix_spawn and posix_spawnp: static programs get native sockets, others what they know")
{
	int stays, goes;
	pid_t pid;

	two_sockets(&stays, &goes);
	equal(posix_spawn(&pid, "/bin/true", NULL, NULL, no_args, environ), 0);
	equal(ended(pid), 0);
	equal(stand_in->natives, 0);
	equal(posix_spawn(&pid, hollow, NULL, NULL, no_args, environ), 0);
	equal(ended(pid), 7);
	only_the_first(stays, goes);
	two_sockets(&stays, &goes);
	equal(posix_spawnp(&pid, strrchr(hollow, '/') + 1, NULL, NULL, no_args, environ), 0);
	equal(ended(pid), 7);
	only_the_first(stays, goes);
}

CASE("posix_spawn of a relative path after file actions: in doubt native")
{
	posix_spawn_file_actions_t actions;
	int stays, goes;
	pid_t pid;

	two_sockets(&stays, &goes);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	equal(posix_spawn(&pid, "bin/true", &actions, NULL, no_args, environ), 0);
	equal(ended(pid), 0);
	posix_spawn_file_actions_destroy(&actions);
	only_the_first(stays, goes);
}

CASE("posix_spawn_file_actions_adddup2 of a socket: native, whatever will be started")
{
	posix_spawn_file_actions_t actions;
	int stays, goes;

	two_sockets(&stays, &goes);
	posix_spawn_file_actions_init(&actions);
	equal(posix_spawn_file_actions_adddup2(&actions, goes, 0), 0);
	check(went_native(goes) && !went_native(stays));
	equal(posix_spawn_file_actions_adddup2(&actions, -1, 0), EBADF);
	stand_in->native_answer = -ENETDOWN;
	equal(posix_spawn_file_actions_adddup2(&actions, goes, 0), ENETDOWN);
	posix_spawn_file_actions_destroy(&actions);
	forget_log();
	close_range(stays, goes, 0);
}

CASE("system and popen: /bin/sh loads the shim, so nothing")
{
	int stays, goes;
	FILE *pipe;

	two_sockets(&stays, &goes);
	equal(system("exit 3") >> 8, 3);
	pipe = popen("exit 4", "r");
	equal(pclose(pipe) >> 8, 4);
	equal(stand_in->natives, 0);
	close_range(stays, goes, 0);
}

/* ---- shutting oneself in ---- */

CASE("unshare, setns, prctl(PR_SET_SECCOMP), seccomp: all sockets go native; other prctls: none")
{
	int stays, goes;

	two_sockets(&stays, &goes);
	must(prctl(PR_SET_NAME, "numbers", 0, 0, 0));
	equal(prctl(PR_GET_DUMPABLE), 1);
	equal(stand_in->natives, 0);
	must(unshare(0));
	equal(stand_in->natives, 2);
	check(went_native(goes));
	fails(setns(-1, 0), EBADF);
	equal(stand_in->natives, 4);
	fails(prctl(PR_SET_SECCOMP, 99, 0, 0, 0), EINVAL);
	equal(stand_in->natives, 6);
	fails(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
	equal(stand_in->natives, 8);
	fails(syscall(SYS_unshare, -1), EINVAL);
	equal(stand_in->natives, 10);
	close_range(stays, goes, 0);
}

/* ---- the hollow program ---- */

static const uint8_t exit_7[] = {
#if defined(__x86_64__)
    0xb8, 60,	0, 0, 0, /* mov $60, %eax */
    0xbf, 7,	0, 0, 0, /* mov $7, %edi */
    0x0f, 0x05,		 /* syscall */
#elif defined(__aarch64__)
    0xe0, 0x00, 0x80, 0xd2, /* mov x0, #7 */
    0xa8, 0x0b, 0x80, 0xd2, /* mov x8, #93 */
    0x01, 0x00, 0x00, 0xd4, /* svc #0 */
#endif
};

static bool write_hollow(const char *path)
{
	static const ElfW(Ehdr) none;
	const ElfW(Ehdr) *own = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
	struct {
		ElfW(Ehdr) eh;
		ElfW(Phdr) ph;
		uint8_t code[sizeof(exit_7)];
	} file = {.eh = own ? *own : none};
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0755);
	bool whole;

	file.eh.e_type = ET_EXEC;
	file.eh.e_entry = 0x400000 + offsetof(__typeof__(file), code);
	file.eh.e_phoff = offsetof(__typeof__(file), ph);
	file.eh.e_phnum = 1;
	file.eh.e_shoff = file.eh.e_shnum = file.eh.e_shstrndx = 0;
	file.ph = (ElfW(Phdr)){.p_type = PT_LOAD,
			       .p_flags = PF_R | PF_X,
			       .p_vaddr = 0x400000,
			       .p_paddr = 0x400000,
			       .p_filesz = sizeof(file),
			       .p_memsz = sizeof(file),
			       .p_align = 0x1000};
	memcpy(file.code, exit_7, sizeof(exit_7));
	whole = write(fd, &file, sizeof(file)) == (ssize_t)sizeof(file);
	close(fd);
	return whole;
}

static char dir[64];

static void remove_dir(void)
{
	if (getpid() == tap_pid && (unlink(hollow) < 0 || rmdir(dir) < 0))
		fprintf(stderr, "%s is left over\n", dir);
}

/* Started again with a shim to be found (any library will do) and the hollow program in PATH. */
__attribute__((constructor)) static void enter(int argc, char **argv)
{
	static char path[128];
	Dl_info info;

	(void)argc;
	if (!getenv(ENV_SHIM)) {
		if (!dladdr((void *)&dladdr, &info) ||
		    !mkdtemp(strcpy(dir, "/tmp/ioth-exec-XXXXXX")))
			_exit(1);
		snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
		setenv("PATH", path, 1);
		setenv("HOLLOW", dir, 1);
		setenv(ENV_SHIM, info.dli_fname, 1);
		setenv(ENV_STACK, "1", 1);
		raw(SYS_execve, "/proc/self/exe", argv, environ);
		_exit(1);
	}
	snprintf(dir, sizeof(dir), "%s", getenv("HOLLOW"));
	snprintf(path, sizeof(path), "%s/hollow", dir);
	hollow = path;
	if (!write_hollow(path))
		_exit(1);
	atexit(remove_dir);
}
