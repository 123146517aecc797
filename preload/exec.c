/* exec and its family: the new program stays in our stack, whatever became of the environment, and
 * the sockets that it inherits are such as it can use. All of this works in a signal handler and in
 * a vfork child: only system calls, only the caller's stack. */
#include "ioth.h"

#include "by-loader.h" /* after resolv.h, which renames p_type */

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
enum shim_fate exec_prepare(int dir, const char *path, char *const envp[])
{
	enum shim_fate fate = SHIM_LOADED;
	int saved = errno;

	if (ioth.region && !bad_pointer(path)) {
		fate = elf_shim_fate(dir, path);
		if (fate != SHIM_LOADED || !env_stays(envp))
			exec_hand_over();
	}
	errno = saved;
	return fate;
}

/** The same for a program that is looked for in PATH. */
enum shim_fate exec_prepare_search(const char *file, char *const envp[])
{
	char path[PATH_MAX];

	if (!ioth.region)
		return SHIM_LOADED;
	file = exec_found(file, path);
	return file ? exec_prepare(AT_FDCWD, file, envp) : SHIM_LOADED;
}

/** Is a program that is to be run one that its loader has to run (by-loader.h)? */
bool exec_by_loader(const char *path, char *const argv[], char *loader)
{
	return ioth.region && path && !bad_pointer(path) && argv && !bad_pointer(argv) &&
	       needs_loader(path, loader);
}

/** What execvp() runs as `file`; NULL: there is none. */
const char *exec_found(const char *file, char *path)
{
	if (bad_pointer(file) || strchr(file, '/'))
		return file;
	return *file && path_search(file, path) ? path : NULL;
}

/* `call`, with an environment `env` that is right for the program. */
#define EXECUTE(fate, envp, call)                                                                  \
	__extension__({                                                                            \
		enum shim_fate fate_ = (fate);                                                     \
		char **env = env_for(envp, fate_);                                                 \
		bool stays = ioth.region && fate_ == SHIM_LOADED && env_stays(envp);               \
		size_t room_ids = stays ? ids_room(env) : 0;                                       \
		struct ids ids;                                                                    \
		int result;                                                                        \
		if (room_ids)                                                                      \
			env = ids_join(&ids, __builtin_alloca(room_ids), env);                     \
		result = call;                                                                     \
		if (room_ids)                                                                      \
			ids_split(&ids);                                                           \
		result;                                                                            \
	})

static int execve_by_loader(char *loader, const char *path, char *const argv[], char *const envp[])
{
	char *with[BY_LOADER_ARGS + argv_count(argv)];

	argv_by_loader(with, loader, path, argv);
	exec_hand_over();
	return EXECUTE(SHIM_LOADED, envp, libc.execve(loader, with, env));
}

/* Of bad arguments the kernel says what is wrong. */
EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	char loader[PATH_MAX];

	if (bad_arguments(argv, envp))
		return libc.execve(path, argv, envp);
	if (exec_by_loader(path, argv, loader))
		return execve_by_loader(loader, path, argv, envp);
	return EXECUTE(exec_prepare(AT_FDCWD, path, envp), envp, libc.execve(path, argv, env));
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	if (bad_arguments(argv, envp))
		return libc.execveat(dir, path, argv, envp, flags);
	return EXECUTE(exec_prepare(dir, path, envp), envp,
		       libc.execveat(dir, path, argv, env, flags));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	if (bad_arguments(argv, envp))
		return libc.fexecve(fd, argv, envp);
	return EXECUTE(exec_prepare(fd, "", envp), envp, libc.fexecve(fd, argv, env));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	char path[PATH_MAX], loader[PATH_MAX];

	if (bad_arguments(argv, envp))
		return libc.execvpe(file, argv, envp);
	if (exec_by_loader(exec_found(file, path), argv, loader))
		return execve_by_loader(loader, exec_found(file, path), argv, envp);
	return EXECUTE(exec_prepare_search(file, envp), envp, libc.execvpe(file, argv, env));
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
