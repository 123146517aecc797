/* exec and its family: the new program stays in our stack, whatever became of the environment, and
 * the sockets that it inherits are such as it can use. All of this works in a signal handler and in
 * a vfork child: only system calls, only the caller's stack. */
#include "ioth.h"

#include <limits.h>

static void hand_over(int fd, struct sock *s, void *arg)
{
	int flags = libc.fcntl(fd, F_GETFD);

	(void)arg;
	if (flags >= 0 && !(flags & FD_CLOEXEC))
		sock_go_native(fd, s);
}

/** Every socket that a program inherits from us becomes one that plain read and write work on. */
void exec_hand_over(void)
{
	int saved = errno;

	if (ioth.region && !server_dead())
		fdtab_each(hand_over, NULL);
	errno = saved;
}

/** Before a program starts: if it will not have the shim, or not our stack, it is handed over to.
 */
void exec_prepare(int dir, const char *path, char *const envp[])
{
	int saved = errno;

	if (ioth.region && !bad_pointer(path) && !(env_stays(envp) && elf_loads_shim_at(dir, path)))
		exec_hand_over();
	errno = saved;
}

/* The file that a search along PATH finds first, as execvp() does it; false: none. */
static bool search(const char *file, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	size_t len = strlen(file);

	for (const char *at = dirs ? dirs : "/bin:/usr/bin";; at++) {
		size_t n = strcspn(at, ":");

		if (n + 1 + len < PATH_MAX) {
			memcpy(path, at, n);
			path[n] = '/';
			memcpy(path + n + !!n, file, len + 1);
			if (elf_runnable(AT_FDCWD, path))
				return true;
		}
		at += n;
		if (!*at)
			return false;
	}
}

/** The same for a program that is looked for in PATH. */
void exec_prepare_search(const char *file, char *const envp[])
{
	char path[PATH_MAX];

	if (!ioth.region)
		return;
	if (strchr(file, '/'))
		exec_prepare(AT_FDCWD, file, envp);
	else if (*file && search(file, path))
		exec_prepare(AT_FDCWD, path, envp);
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	exec_prepare(AT_FDCWD, path, envp);
	return libc.execve(path, argv, env_keep(envp));
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	exec_prepare(dir, path, envp);
	return libc.execveat(dir, path, argv, env_keep(envp), flags);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	exec_prepare(fd, "", envp);
	return libc.fexecve(fd, argv, env_keep(envp));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	exec_prepare_search(file, envp);
	return libc.execvpe(file, argv, env_keep(envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* ---- the ones with the arguments spread out ---- */

/* Pointers that an argv for these arguments takes: with the first, and the NULL. */
static size_t argv_size(const char *first, va_list *args)
{
	va_list scan;
	size_t n = 1;

	va_copy(scan, *args);
	for (const char *arg = first; arg; arg = va_arg(scan, const char *))
		n++;
	va_end(scan);
	return n;
}

/* Fills it; `args` is then past the NULL. */
static void argv_fill(char **argv, const char *first, va_list *args)
{
	size_t n = 0;

	for (const char *arg = first; arg; arg = va_arg(*args, const char *))
		argv[n++] = (char *)arg;
	argv[n] = NULL;
}

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list args;

	va_start(args, arg);
	char *argv[argv_size(arg, &args)];
	argv_fill(argv, arg, &args);
	va_end(args);
	return execve(path, argv, environ);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	va_list args;

	va_start(args, arg);
	char *argv[argv_size(arg, &args)];
	argv_fill(argv, arg, &args);
	envp = va_arg(args, char *const *);
	va_end(args);
	return execve(path, argv, envp);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list args;

	va_start(args, arg);
	char *argv[argv_size(arg, &args)];
	argv_fill(argv, arg, &args);
	va_end(args);
	return execvpe(file, argv, environ);
}
