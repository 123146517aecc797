/* cc: env.c exec.c ids.c spawn.c elf.c fdtab.c sandbox.c limits.c bpf.c syscall.c syscall.S vfork.c
 * vfork.S libc.c pointer.c */
/* Whatever the program did to its environment, the next one has LD_PRELOAD and IOTH_*. Every
 * function that starts a program is asked to start env(1) with nothing. There is no stack behind
 * all this. */
#include "stand-in.h"

#include <dlfcn.h>
#include <sys/wait.h>

#include "../conformance/tap.h"

#define STACK "IOTH_STACK=0123456789abcdef"
#define DIR_  "IOTH_DIR=/run/ioth/x"
#define TOKEN "IOTH_TOKEN=00112233445566778899aabbccddeeff"

static char *const nothing[] = {NULL};
static char shim[4096];
static const char *volatile no_path; /* the compiler would see a NULL */
static char *const env_argv[] = {"env", NULL};

#define ENV "/usr/bin/env"

static void with_execve(void)
{
	execve(ENV, env_argv, nothing);
}

static void with_no_envp(void)
{
	syscall(SYS_execve, ENV, env_argv, NULL);
}

static void with_syscall(void)
{
	syscall(SYS_execve, ENV, env_argv, nothing);
}

static void with_execveat(void)
{
	execveat(AT_FDCWD, ENV, env_argv, nothing, 0);
}

static void with_fexecve(void)
{
	fexecve(open(ENV, O_RDONLY | O_CLOEXEC), env_argv, nothing);
}

static void with_execvpe(void)
{
	execvpe("env", env_argv, nothing);
}

static void with_execle(void)
{
	execle(ENV, "env", NULL, nothing);
}

static void with_execv(void)
{
	clearenv();
	execv(ENV, env_argv);
}

static void with_execvp(void)
{
	clearenv();
	execvp("env", env_argv);
}

static void with_execl(void)
{
	environ = NULL;
	execl(ENV, "env", NULL);
}

static void with_execlp(void)
{
	static char *none[] = {NULL};

	environ = none;
	execlp("env", "env", NULL);
}

static void with_overwritten_strings(void)
{
	/* As setproctitle() does. */
	for (char **e = environ; *e; e++)
		memset(*e, 0, strlen(*e));
	execv(ENV, env_argv);
}

static void wait_and_leave(pid_t pid)
{
	waitpid(pid, NULL, 0);
	_exit(0);
}

static void with_posix_spawn(void)
{
	pid_t pid;

	if (posix_spawn(&pid, ENV, NULL, NULL, env_argv, nothing) == 0)
		wait_and_leave(pid);
}

static void with_posix_spawnp(void)
{
	pid_t pid;

	if (posix_spawnp(&pid, "env", NULL, NULL, env_argv, nothing) == 0)
		wait_and_leave(pid);
}

static void with_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(ENV, env_argv, nothing);
		_exit(1);
	}
	wait_and_leave(pid);
}

static void with_system(void)
{
	clearenv();
	_exit(system(ENV) != 0);
}

static void with_popen(void)
{
	char line[4096];
	FILE *pipe;

	clearenv();
	pipe = popen(ENV, "r");
	while (pipe && fgets(line, sizeof(line), pipe))
		fputs(line, stdout);
	fflush(stdout);
	_exit(0);
}

static void with_wordexp(void)
{
	wordexp_t words;

	clearenv();
	if (wordexp("$(" ENV ")", &words, 0) == 0)
		for (size_t i = 0; i < words.we_wordc; i++)
			puts(words.we_wordv[i]);
	fflush(stdout);
	_exit(0);
}

/* What `launch` printed, and how it ended. */
static const char *output_of(void (*launch)(void))
{
	static char text[65536];
	size_t n = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) < 0)
		return "";
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		launch();
		_exit(99);
	}
	close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status == 0 ? text : "";
}

/* How often `line` is in the text, as a line of its own. */
static int lines(const char *text, const char *line)
{
	size_t n = strlen(line);
	int count = 0;

	for (const char *at = text; (at = strstr(at, line)); at += n)
		count += (at == text || at[-1] == '\n') && at[n] == '\n';
	return count;
}

static bool whole(const char *text)
{
	char preload[5000], path[5000];

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", shim);
	snprintf(path, sizeof(path), "IOTH_SHIM=%s", shim);
	return lines(text, STACK) == 1 && lines(text, DIR_) == 1 && lines(text, TOKEN) == 1 &&
	       lines(text, path) == 1 && lines(text, preload) == 1 && !strstr(text, "IOTH_MODE");
}

CASE("execve with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_execve)));
}

CASE("syscall(SYS_execve) with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_syscall)));
}

CASE("syscall(SYS_execve) with a null pointer for environment: the next program stays in the stack")
{
	check(whole(output_of(with_no_envp)));
}

CASE("execveat with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_execveat)));
}

CASE("fexecve with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_fexecve)));
}

CASE("execvpe with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_execvpe)));
}

CASE("execle with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_execle)));
}

CASE("execv after clearenv(): the next program stays in the stack")
{
	check(whole(output_of(with_execv)));
}

CASE("execvp after clearenv(): the next program stays in the stack")
{
	check(whole(output_of(with_execvp)));
}

CASE("execl after environ = NULL: the next program stays in the stack")
{
	check(whole(output_of(with_execl)));
}

CASE("execlp with another environ: the next program stays in the stack")
{
	check(whole(output_of(with_execlp)));
}

CASE("execv after the strings were overwritten: the next program stays in the stack")
{
	check(whole(output_of(with_overwritten_strings)));
}

CASE("posix_spawn with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_posix_spawn)));
}

CASE("posix_spawnp with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_posix_spawnp)));
}

CASE("vfork and execve with an empty environment: the next program stays in the stack")
{
	check(whole(output_of(with_vfork)));
}

CASE("system after clearenv(): the next program stays in the stack")
{
	check(whole(output_of(with_system)));
}

CASE("popen after clearenv(): the next program stays in the stack")
{
	check(whole(output_of(with_popen)));
}

CASE("wordexp after clearenv(): the next program stays in the stack")
{
	check(whole(output_of(with_wordexp)));
}

/* The kept environment as text, one line each. */
static const char *kept_text(char *const envp[])
{
	static char text[65536];
	char **kept = env_keep(envp);
	char *at = text;

	*at = '\0';
	for (; *kept; kept++)
		at += sprintf(at, "%s\n", *kept);
	return text;
}

static const char *with_shim(const char *format)
{
	static char text[4][9000];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(text[turn], sizeof(text[turn]), format, shim, shim);
	return text[turn];
}

CASE("an environment that lacks nothing is passed as it is")
{
	char *envp[] = {"A=1",
			STACK,
			DIR_,
			TOKEN,
			(char *)with_shim("IOTH_SHIM=%s"),
			(char *)with_shim("LD_PRELOAD=/x.so:%s /y.so"),
			NULL};

	equal(env_room(envp), 0);
	check(env_keep(envp) == envp);
	check(env_stays(envp));
}

CASE("one that leads into another stack is left alone")
{
	char *envp[] = {"IOTH_STACK=feedfeedfeedfeed", "A=1", NULL};

	equal(env_room(envp), 0);
	check(!env_stays(envp));
}

CASE("one that lacks a few gets those, once")
{
	char *preload = (char *)with_shim("LD_PRELOAD=%s");
	char *envp[] = {STACK, preload, (char *)with_shim("IOTH_SHIM=%s"), "A=1", NULL};
	const char *text = kept_text(envp);

	check(whole(text));
	equal(lines(text, "A=1"), 1);
}

CASE("LD_PRELOAD of its own: the shim goes before the value that ld.so would take, the last")
{
	char *envp[] = {"LD_PRELOAD=/a.so", "X=y", "LD_PRELOAD=/b.so /c.so", NULL};
	const char *text = kept_text(envp);

	equal(lines(text, with_shim("LD_PRELOAD=%s:/b.so /c.so")), 1);
	check(!strstr(text, "/a.so"));
	equal(lines(text, "X=y"), 1);
}

CASE("LD_PRELOAD with a path that only begins like the shim's")
{
	char *envp[] = {(char *)with_shim("LD_PRELOAD=%sx"), NULL};

	equal(lines(kept_text(envp), with_shim("LD_PRELOAD=%s:%sx")), 1);
}

CASE("LD_PRELOAD that is empty, or only separators")
{
	equal(lines(kept_text((char *[]){"LD_PRELOAD=", NULL}), with_shim("LD_PRELOAD=%s")), 1);
	equal(lines(kept_text((char *[]){"LD_PRELOAD= ::", NULL}), with_shim("LD_PRELOAD=%s: ::")),
	      1);
}

CASE("names that only begin alike are the program's")
{
	char *envp[] = {"IOTH_STACKS=1", "IOTH_STACK_=2", "LD_PRELOADED=3", "IOTH_STACK", "", NULL};
	const char *text = kept_text(envp);

	check(whole(text));
	equal(lines(text, "IOTH_STACKS=1"), 1);
	equal(lines(text, "LD_PRELOADED=3"), 1);
	check(env_stays(envp));
}

CASE("errno is kept, and errors are the kernel's")
{
	errno = 77;
	env_room(nothing);
	env_stays(nothing);
	equal(errno, 77);
	fails(execve("/nonexistent/x", env_argv, nothing), ENOENT);
	fails(execve("/", env_argv, nothing), EACCES);
	fails(execve(no_path, env_argv, nothing), EFAULT);
	fails(execvp("", env_argv), ENOENT);
	fails(execvp("no-such-program-at-all", env_argv), ENOENT);
	equal(posix_spawn(&(pid_t){0}, "/nonexistent", NULL, NULL, env_argv, nothing), ENOENT);
}

/* LD_PRELOAD names a library that every program here has anyway. Runs before the shim's
 * constructors or after them: this image does not live to use what they found. */
__attribute__((constructor)) static void enter(int argc, char **argv)
{
	const char *stack = getenv("IOTH_STACK");
	const char *path;
	Dl_info info;

	(void)argc;
	if (stack && strcmp(stack, strchr(STACK, '=') + 1) == 0) {
		snprintf(shim, sizeof(shim), "%s", getenv("IOTH_SHIM"));
		return;
	}
	if (!dladdr((void *)&dladdr, &info))
		_exit(1);
	snprintf(shim, sizeof(shim), "%s", info.dli_fname);
	path = with_shim("IOTH_SHIM=%s");
	raw(SYS_execve, "/proc/self/exe", argv,
	    ((const char *[]){"PATH=/usr/bin:/bin", STACK, DIR_, TOKEN, path,
			      with_shim("LD_PRELOAD=%s"), NULL}));
	_exit(1);
}
