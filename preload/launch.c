/* ioth-launch LIMIT BLOCKED IGNORED FILTER PRELOAD -- COMMAND [ARG...]
 *
 * The few steps between ioth-run and the user's program, in the process that becomes it. Node has
 * raised the soft limit of open files and reset what the signals do; here the program gets back
 * what it would have had: the limit (a number or "unlimited") and two signal masks, in hexadecimal
 * as /proc/PID/status prints them. Then the seccomp filter (filter.h; FILTER names it), whose
 * listener the stack server gets, and the program itself, with the shim in LD_PRELOAD where PRELOAD
 * is "yes": a loader of another kind would fail on it. Everything opened here is closed here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "abi.h"
#include "by-loader.h"
#include "filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { EXIT_IOTH = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* Before 5.16 a filter also switched on a mitigation that slows the program down. */
#define LISTENER_FLAGS	   (SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW)
#define WAIT_KILLABLE_RECV (1ul << 5) /* SECCOMP_FILTER_FLAG_, younger than some headers */

/* How long the stack server may take to answer. It runs already; only a loaded machine is slow. */
#define ANSWER_SECONDS 20

static void run(char **command);
static void restore_limit(const char *limit);
static void restore_signals(const char *blocked, const char *ignored);
static void refuse_inherited(void);
static enum filter_kind kind_of(const char *word);
static void hand_over(enum filter_kind kind);
static void preload_shim(void);
static int install_filter(enum filter_kind kind);
static int install(enum filter_kind kind, unsigned flags);
static int connect_ctl(void);
static int connect_to(const struct sockaddr_un *addr, socklen_t len);
static void send_launch(int ctl, int listener);
static void receive_answer(int ctl);
static const char *env(const char *name);
static _Noreturn void cannot_run(const char *command, int error);
static _Noreturn __attribute__((format(printf, 2, 3))) void die(int status, const char *format,
								...);

int main(int argc, char **argv)
{
	enum filter_kind kind;

	if (argc < 8 || strcmp(argv[6], "--") != 0)
		die(EXIT_IOTH, "ioth-launch is started by ioth-run: run ioth-run instead");
	kind = kind_of(argv[4]);
	if (kind != FILTER_OPEN)
		refuse_inherited();
	hand_over(kind);
	if (strcmp(argv[5], "yes") == 0)
		preload_shim();
	/* Last: the limit may be too low for the steps above, and a signal could end them. */
	restore_limit(argv[1]);
	restore_signals(argv[2], argv[3]);
	run(argv + 7);
	cannot_run(argv[7], errno);
}

static void run(char **command)
{
	char path[PATH_MAX], loader[PATH_MAX];
	const char *file = strchr(command[0], '/')	   ? command[0]
			   : path_search(command[0], path) ? path
							   : NULL;

	if (file && needs_loader(file, loader)) {
		char *with[BY_LOADER_ARGS + argv_count(command)];

		argv_by_loader(with, loader, file, command);
		execv(loader, with);
	} else
		execvp(command[0], command);
}

static void restore_limit(const char *limit)
{
	struct rlimit r;
	char *end;
	rlim_t soft = RLIM_INFINITY;

	if (strcmp(limit, "unlimited") != 0) {
		soft = strtoull(limit, &end, 10);
		if (end == limit || *end)
			die(EXIT_IOTH, "cannot limit open files to \"%s\": not a number", limit);
	}
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		die(EXIT_IOTH, "cannot read the limit of open files: %s", strerror(errno));
	r.rlim_cur = soft < r.rlim_max ? soft : r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		die(EXIT_IOTH, "cannot limit open files to %s: %s", limit, strerror(errno));
}

static void restore_signals(const char *blocked, const char *ignored)
{
	uint64_t block = strtoull(blocked, NULL, 16);
	uint64_t ignore = strtoull(ignored, NULL, 16);
	/* The kernel's struct sigaction: a handler, then flags and mask, all 0. */
	void (*sa[8])(int) = {SIG_DFL};

	/* The system calls, because libc's functions do not touch 32 and 33. */
	for (int sig = 1; sig <= 64; sig++) {
		sa[0] = ignore >> (sig - 1) & 1 ? SIG_IGN : SIG_DFL;
		syscall(SYS_rt_sigaction, sig, sa, NULL, sizeof(block));
	}
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &block, NULL, sizeof(block));
}

/* A socket of the host's network that lies beyond the standard descriptors would be a way out that
 * nobody sees; 0 to 2 are where the user is (inetd, ssh). */
static void refuse_inherited(void)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	while (fds && (entry = readdir(fds))) {
		int fd = atoi(entry->d_name);
		int domain = AF_UNIX;
		socklen_t len = sizeof(domain);

		if (fd <= STDERR_FILENO ||
		    raw(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
			continue;
		if (domain == AF_INET || domain == AF_INET6 || domain == AF_PACKET)
			die(EXIT_IOTH,
			    "cannot hand descriptor %d to the program: it is a socket of the "
			    "host's "
			    "network (close it, %d>&-, or run with --no-seccomp)",
			    fd, fd);
	}
	if (fds)
		closedir(fds);
}

static enum filter_kind kind_of(const char *word)
{
	if (strcmp(word, "open") == 0)
		return FILTER_OPEN;
	return strcmp(word, "whole") == 0 ? FILTER_WHOLE : FILTER_SERVE;
}

/* Tells the stack server that its program starts now, and gives it the listener to watch. */
static void hand_over(enum filter_kind kind)
{
	int listener = install_filter(kind);
	int ctl = connect_ctl();

	send_launch(ctl, listener);
	if (listener >= 0)
		close(listener);
	receive_answer(ctl);
	close(ctl);
}

/* Puts the shim first into LD_PRELOAD: not before, or this program would load it too. */
static void preload_shim(void)
{
	const char *shim = env(ENV_SHIM);
	const char *others = getenv("LD_PRELOAD");
	char *value;

	if (!others || !*others)
		value = strdup(shim);
	else if (asprintf(&value, "%s:%s", shim, others) < 0)
		value = NULL;
	if (!value || setenv("LD_PRELOAD", value, 1) < 0)
		die(EXIT_IOTH, "cannot set LD_PRELOAD: no memory");
	free(value);
}

/* The filter's listener hangs up when the last task under it is gone. -1 where the kernel gives
 * none: already under a filter with a listener (EBUSY: ioth-run in ioth-run), an older kernel
 * (EINVAL, ENOSYS), a sandbox (EPERM, EACCES). The server then watches this process alone, and
 * sockets are refused that it could have served. */
static int install_filter(enum filter_kind kind)
{
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(EXIT_IOTH, "cannot give up new privileges: %s", strerror(errno));
	listener = install(kind, LISTENER_FLAGS | WAIT_KILLABLE_RECV);
	if (listener < 0) /* before 5.19 a signal may cut a call short that was served */
		listener = install(kind, LISTENER_FLAGS);
	if (listener < 0 && kind != FILTER_OPEN)
		install(FILTER_GUARD, 0);
	/* Under Yama (ptrace_scope 1) the supervisor, which is no parent of ours, needs to be let.
	 */
	if (listener >= 0 && kind != FILTER_OPEN)
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	return listener;
}

static int install(enum filter_kind kind, unsigned flags)
{
	struct filter filter;
	struct sock_fprog program = filter_make(&filter, kind);

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* By abstract name, or by path when this network namespace is not the server's. */
static int connect_ctl(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *stack = env(ENV_STACK);
	const char *dir = env(ENV_DIR);
	int n, fd;

	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, ABI_NAME_PREFIX "%s/ctl", stack);
	if (n >= (int)sizeof(addr.sun_path) - 1)
		die(EXIT_IOTH, "cannot reach the stack server: " ENV_STACK " \"%s\" is too long",
		    stack);
	fd = connect_to(&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
	if (fd >= 0)
		return fd;
	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/ctl", dir);
	if (n >= (int)sizeof(addr.sun_path))
		die(EXIT_IOTH, "cannot reach the stack server: " ENV_DIR " \"%s\" is too long",
		    dir);
	fd = connect_to(&addr, sizeof(addr));
	if (fd < 0)
		die(EXIT_IOTH, "cannot reach the stack server at %s: %s", addr.sun_path,
		    strerror(-fd));
	return fd;
}

static int connect_to(const struct sockaddr_un *addr, socklen_t len)
{
	struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		die(EXIT_IOTH, "cannot reach the stack server: %s", strerror(errno));
	/* Marked: the filter is there already, and nobody yet who would serve it. */
	raw(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	raw(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	error = (int)raw(SYS_connect, fd, addr, len);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static void send_launch(int ctl, int listener)
{
	struct ctl_request request = {
	    .magic = ABI_MAGIC, .version = ABI_VERSION, .op = CTL_LAUNCH, .arg = listener < 0};
	struct iovec iov = {.iov_base = &request, .iov_len = sizeof(request)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	const char *token = env(ENV_TOKEN);
	struct cmsghdr *cmsg;
	long sent;

	for (size_t i = 0; i < sizeof(request.token); i++)
		if (sscanf(token + 2 * i, "%2hhx", &request.token[i]) != 1)
			die(EXIT_IOTH,
			    "cannot greet the stack server: " ENV_TOKEN " is not 32 hex digits");
	if (listener >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &listener, sizeof(listener));
	}
	sent = raw(SYS_sendmsg, ctl, &msg, MSG_NOSIGNAL);
	if (sent != (long)sizeof(request))
		die(EXIT_IOTH, "cannot greet the stack server: %s",
		    strerror(sent < 0 ? (int)-sent : EMSGSIZE));
}

static void receive_answer(int ctl)
{
	struct ctl_reply reply = {0};
	ssize_t n;

	do
		n = recv(ctl, &reply, sizeof(reply), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		die(EXIT_IOTH, "the stack server does not answer: %s", strerror(errno));
	if (n != (ssize_t)sizeof(reply) || reply.magic != ABI_MAGIC)
		die(EXIT_IOTH,
		    "the stack server gave no answer: it has ended, or is not of this version");
	if (reply.result < 0)
		die(EXIT_IOTH, "the stack server refused: %s", strerror(-reply.result));
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	if (!value || !*value)
		die(EXIT_IOTH, "ioth-launch needs %s: run ioth-run instead", name);
	return value;
}

/* The sentences and statuses of cli/command.ts: the command went, or changed, since ioth-run
 * looked. */
static _Noreturn void cannot_run(const char *command, int error)
{
	struct stat st;

	if (error == ENOENT || error == ENOTDIR) {
		if (!strchr(command, '/'))
			die(EXIT_NOT_FOUND, "cannot run \"%s\": no such command in PATH", command);
		if (stat(command, &st) ==
		    0) /* execve's ENOENT is then about a script's or ELF's interpreter */
			die(EXIT_CANNOT_RUN, "cannot run \"%s\": its interpreter is missing",
			    command);
		die(EXIT_NOT_FOUND, "cannot run \"%s\": no such file", command);
	}
	if (stat(command, &st) == 0 && S_ISDIR(st.st_mode))
		die(EXIT_CANNOT_RUN, "cannot run \"%s\": it is a directory", command);
	if (error == EACCES)
		die(EXIT_CANNOT_RUN,
		    "cannot run \"%s\": it may not be executed (chmod +x would do)", command);
	die(EXIT_CANNOT_RUN, "cannot run \"%s\": %s", command, strerror(error));
}

static _Noreturn void die(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("ioth-run: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(status);
}
