/* Pointers that lead nowhere, in calls that the shim looks into though they are not about sockets.
 */
#include "net.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void *const nowhere[] = {(void *)1, (void *)4096, (void *)-1, (void *)(1ul << 47)};
#define EACH(p)                                                                                    \
	for (size_t i_ = 0; i_ < sizeof(nowhere) / sizeof(*nowhere); i_++)                         \
		for (void *p = nowhere[i_]; p; p = NULL)

CASE("open() and its family: EFAULT")
{
	EACH(path)
	{
		fails(open(path, O_RDONLY), EFAULT);
		fails(openat(AT_FDCWD, path, O_RDONLY), EFAULT);
		fails(open(path, O_RDWR | O_CREAT, 0600), EFAULT);
		fails(creat(path, 0600), EFAULT);
	}
}

CASE("stat() and its family: EFAULT")
{
	struct stat st;

	EACH(path)
	{
		fails(stat(path, &st), EFAULT);
		fails(lstat(path, &st), EFAULT);
		fails(fstatat(AT_FDCWD, path, &st, 0), EFAULT);
		fails(access(path, F_OK), EFAULT);
		fails(faccessat(AT_FDCWD, path, F_OK, 0), EFAULT);
	}
	EACH(p)
	{
		fails(stat("/etc/hosts", p), EFAULT);
		fails(lstat("/etc/hosts", p), EFAULT);
		fails(stat("/sys/class/net", p), EFAULT);
	}
}

CASE("readlink(), chdir(): EFAULT")
{
	char text[64];

	EACH(path)
	{
		fails(readlink(path, text, sizeof(text)), EFAULT);
		fails(readlinkat(AT_FDCWD, path, text, sizeof(text)), EFAULT);
		fails(chdir(path), EFAULT);
		fails(readlink("/proc/self/exe", path, 64), EFAULT);
	}
}

CASE("execve(): EFAULT, and the program goes on")
{
	char *argv[] = {"true", NULL}, *envp[] = {"A=b", NULL};

	EACH(p)
	{
		char *bad[] = {"true", p, NULL};

		fails(execve(p, argv, envp), EFAULT);
		fails(execve("/bin/true", p, envp), EFAULT);
		fails(execve("/bin/true", argv, p), EFAULT);
		fails(execve("/bin/true", bad, envp), EFAULT);
		fails(execve("/bin/true", argv, bad), EFAULT);
	}
}

CASE("execve() without arguments or environment")
{
	pid_t pid = must(fork());
	char *argv[] = {"true", NULL};

	if (pid == 0) {
		execve("/bin/true", argv, NULL);
		_exit(99);
	}
	equal(wait_status(pid), 0);
}

CASE("posix_spawn() of a path that leads nowhere: EFAULT")
{
	char *argv[] = {"true", NULL}, *envp[] = {NULL};
	pid_t pid;

	EACH(path) equal(posix_spawn(&pid, path, NULL, NULL, argv, envp), EFAULT);
}
