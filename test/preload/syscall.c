/* cc: dup.c fcntl.c creators.c sandbox.c limits.c bpf.c syscall.c syscall.S fdtab.c vfork.c vfork.S
 * libc.c pointer.c */
/* syscall(2): numbers that have a function go there, all others to the kernel. */
#include "stand-in.h"

#include <sys/wait.h>

#include "../conformance/tap.h"

int shown_open(int dir, const char *path, int flags)
{
	(void)dir, (void)path, (void)flags;
	return NOT_SHOWN;
}

/* ---- syscall(2) ---- */

CASE("syscall(): six arguments, results and errors as the kernel's")
{
	int zero = must(open("/dev/zero", O_RDONLY));
	char name[] = "/tmp/ioth-numbers-XXXXXX", *map;
	int fd = must(mkstemp(name));
	long page = sysconf(_SC_PAGESIZE);

	must(unlink(name));
	equal(pwrite(fd, "x", 1, 2 * page), 1);
	map = (char *)syscall(SYS_mmap, NULL, page, PROT_READ, MAP_PRIVATE, fd, 2 * page);
	check(map != MAP_FAILED);
	equal(*map, 'x');
	must(syscall(SYS_munmap, map, page));
	equal(syscall(SYS_getpid), getpid());
	fails(syscall(SYS_munmap, 1L, page), EINVAL);
	fails(syscall(-1L), ENOSYS);
	fails(syscall(100000L), ENOSYS);
	fails(syscall(SYS_read, -1, NULL, 0), EBADF);
	errno = 66;
	must(syscall(SYS_getppid));
	equal(errno, 66);
	must(close(zero));
	must(close(fd));
}

CASE("syscall(SYS_dup3), (SYS_fcntl), (SYS_openat): the fd table hears of it")
{
	int fd = must(virtual_socket(26, 0)), a = must(virtual_socket(27, 0));

	equal(record_behind(a), 27);
	forget_log();
	equal(syscall(SYS_dup3, fd, a, 0), a);
	equal(record_behind(a), 26);
	equal(stand_in->closes, 1);
	equal(syscall(SYS_fcntl, fd, F_DUPFD, 130), 130);
	equal(record_behind(130), 26);
	raw(SYS_close, a);
	equal(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), a);
	equal(record_behind(a), -1);
	close_range(fd, 130, 0);
}

CASE("syscall(SYS_rt_sigaction) with a handler is heard of; without one it is not")
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} act = {.handler = (void *)SIG_IGN};

	forget_log();
	must(syscall(SYS_rt_sigaction, SIGUSR1, &act, NULL, sizeof(act.mask)));
	must(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &act, sizeof(act.mask)));
	equal(stand_in->handlers, 0);
	equal((uintptr_t)act.handler, (uintptr_t)SIG_IGN);
	act.handler = (void *)_exit;
	must(syscall(SYS_rt_sigaction, SIGUSR1, &act, NULL, sizeof(act.mask)));
	equal(stand_in->handlers, 1);
	act.handler = (void *)SIG_DFL;
	must(syscall(SYS_rt_sigaction, SIGUSR1, &act, NULL, sizeof(act.mask)));
	fails(syscall(SYS_rt_sigaction, SIGUSR1, 1L, NULL, 8), EFAULT);
}

CASE("syscall(SYS_clone) without shared memory is a fork")
{
	pid_t pid = (pid_t)must(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	int status;

	if (pid == 0)
		_exit(getpid() == (pid_t)syscall(SYS_getpid) ? 5 : 6);
	must(waitpid(pid, &status, 0));
	equal(WEXITSTATUS(status), 5);
}

CASE("io_uring_setup in a stack: ENOSYS")
{
	stand_in_attach();
	fails(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
}
