/* Could programs be served here? Asked by `ioth doctor` before any is started. */
#include "supervisor.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

/* "ioth-supervisor check": 0, or 1 with the reason on standard error. */
int check(void)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = 1, .filter = allow};
	int pipes[2], pidfd;
	long r;
	pid_t child;

	if (pipe(pipes) < 0)
		return 1;
	child = fork();
	if (child == 0) {
		char end;

		close(pipes[1]);
		_exit(read(pipes[0], &end, 1) != 0);
	}
	pidfd = (int)raw(SYS_pidfd_open, child, 0);
	r = pidfd < 0 ? pidfd : raw(SYS_pidfd_getfd, pidfd, pipes[0], 0);
	if (r < 0) {
		fprintf(stderr, "descriptors of other processes cannot be had (pidfd_getfd: %s)\n",
			strerror((int)-r));
		return 1;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	r = raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (r < 0) {
		fprintf(stderr, "it gives no listener (seccomp: %s)\n", strerror((int)-r));
		return 1;
	}
	return 0;
}
