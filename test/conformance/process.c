/* What a program finds about itself when it starts. The lines "# same: ..." must be the same
 * however it was started; the one who runs this compares them. */
#include "net.h"

#include <sys/resource.h>

extern char **environ;

CASE("resource limits")
{
	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		struct rlimit r;

		must(getrlimit(i, &r));
		tap_print("# same: rlimit %d: %llu %llu", i, (unsigned long long)r.rlim_cur,
			  (unsigned long long)r.rlim_max);
	}
}

CASE("signals blocked, ignored and caught")
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	check(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6) ||
		    !strncmp(line, "SigCgt", 6) || !strncmp(line, "ShdPnd", 6) ||
		    !strncmp(line, "Cpus_allowed:", 13)) {
			line[strcspn(line, "\n")] = 0;
			tap_print("# same: %s", line);
		}
	fclose(f);
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction a;

		if (sig == SIGALRM || sigaction(sig, NULL, &a) == -1)
			continue;
		if (a.sa_handler != SIG_DFL)
			tap_print("# same: signal %d is %s", sig,
				  a.sa_handler == SIG_IGN ? "ignored" : "caught");
	}
}

CASE("open descriptors and their flags")
{
	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags != -1)
			tap_print("# same: descriptor %d: %d, %#o", fd, flags,
				  must(fcntl(fd, F_GETFL)));
	}
}

/* Names and a sum of the values: what is in an environment is not for a log. */
CASE("environment")
{
	for (char **e = environ; *e; e++) {
		size_t name = strcspn(*e, "=");
		uint64_t sum = 0;

		if (!strncmp(*e, "LD_PRELOAD=", 11) || !strncmp(*e, "IOTH_", 5))
			continue;
		for (const char *c = *e + name; *c; c++)
			sum = (sum ^ (uint8_t)*c) * 0x100000001b3ull;
		tap_print("# same: %.*s %016llx", (int)name, *e, (unsigned long long)sum);
	}
}

CASE("directory, umask, niceness, session, controlling terminal, parent's death signal")
{
	char *dir = getcwd(NULL, 0);
	int death = -1;

	check(dir);
	tap_print("# same: directory %s", dir);
	free(dir);
	tap_print("# same: umask %03o", umask(022));
	tap_print("# same: niceness %d", getpriority(PRIO_PROCESS, 0));
	tap_print("# same: leads its group: %d, its session: %d", getpgrp() == getpid(),
		  getsid(0) == getpid());
	must(prctl(PR_GET_PDEATHSIG, &death));
	tap_print("# same: death signal %d, dumpable %d, timer slack %d", death,
		  prctl(PR_GET_DUMPABLE), prctl(PR_GET_TIMERSLACK));
	tap_print("# same: uid %d %d, gid %d %d", getuid(), geteuid(), getgid(), getegid());
}

CASE("one thread, and no children")
{
	DIR *d = opendir("/proc/self/task");
	int threads = 0;
	struct dirent *e;

	check(d);
	while ((e = readdir(d)))
		threads += e->d_name[0] != '.';
	closedir(d);
	equal(threads, 1);
	fails(waitpid(-1, NULL, WNOHANG), ECHILD);
}
