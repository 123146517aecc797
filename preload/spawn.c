/* posix_spawn, system, popen, wordexp: glibc starts these programs itself, with calls that we do
 * not see. So all is made ready before: the environment, and the sockets that will be inherited. */
#include "ioth.h"

#include "by-loader.h" /* after resolv.h, which renames p_type */

#include <paths.h>
#include <wordexp.h>

/* File actions may change the directory first: then a relative path says nothing yet. */
static bool path_is_open(const char *path, const posix_spawn_file_actions_t *actions)
{
	return actions && !bad_pointer(path) && path[0] != '/';
}

/* A file with capabilities. */
static int spawn_by_loader(pid_t *pid, char *loader, const char *path,
			   const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
			   char *const argv[], char *const envp[])
{
	char *with[BY_LOADER_ARGS + argv_count(argv)];

	argv_by_loader(with, loader, path, argv);
	exec_hand_over();
	return libc.posix_spawn(pid, loader, actions, attr, with, env_keep(envp));
}

EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
		       const posix_spawn_file_actions_t *restrict actions,
		       const posix_spawnattr_t *restrict attr, char *const argv[restrict],
		       char *const envp[restrict])
{
	enum shim_fate fate = SHIM_LOADED;
	char loader[PATH_MAX];

	if (bad_arguments(argv, envp))
		return libc.posix_spawn(pid, path, actions, attr, argv, envp);
	if (path_is_open(path, actions))
		exec_hand_over();
	else if (exec_by_loader(path, argv, loader))
		return spawn_by_loader(pid, loader, path, actions, attr, argv, envp);
	else
		fate = exec_prepare(AT_FDCWD, path, envp);
	return libc.posix_spawn(pid, path, actions, attr, argv, env_for(envp, fate));
}

EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file,
			const posix_spawn_file_actions_t *restrict actions,
			const posix_spawnattr_t *restrict attr, char *const argv[restrict],
			char *const envp[restrict])
{
	char found[PATH_MAX], loader[PATH_MAX];
	const char *path = exec_found(file, found);
	enum shim_fate fate = SHIM_LOADED;

	if (bad_pointer(file) || bad_arguments(argv, envp))
		return libc.posix_spawnp(pid, file, actions, attr, argv, envp);
	if (strchr(file, '/') && path_is_open(file, actions))
		exec_hand_over();
	else if (exec_by_loader(path, argv, loader))
		return spawn_by_loader(pid, loader, path, actions, attr, argv, envp);
	else
		fate = exec_prepare_search(file, envp);
	return libc.posix_spawnp(pid, file, actions, attr, argv, env_for(envp, fate));
}

/* The child's dup2 is glibc's own. It may clear FD_CLOEXEC or land on 0 to 2. */
EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int newfd)
{
	struct sock s;
	int r = fdtab_find(fd, &s) ? sock_go_native(fd, &s) : 0;

	return r < 0 ? -r : libc.posix_spawn_file_actions_adddup2(actions, fd, newfd);
}

/* Before glibc runs the shell with this process's environment. */
static void prepare_shell(void)
{
	env_restore();
	exec_prepare(AT_FDCWD, _PATH_BSHELL, environ);
}

EXPORT int system(const char *command)
{
	prepare_shell();
	return libc.system(command);
}

EXPORT FILE *popen(const char *command, const char *type)
{
	prepare_shell();
	return libc.popen(command, type);
}

EXPORT int wordexp(const char *restrict words, wordexp_t *restrict result, int flags)
{
	prepare_shell();
	return libc.wordexp(words, result, flags);
}
