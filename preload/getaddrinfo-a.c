/* getaddrinfo_a(3): glibc's asks with its own resolver. Here a list of requests is worked off by a
 * thread of its own, one after the other, or with GAI_WAIT by the caller.
 *
 * A request's state is its __return: EAI_INPROGRESS until there is an answer, which gai_error()
 * (glibc's) reads. What waits for answers is woken by a number that grows with each. */
#include "ioth.h"

#include <linux/futex.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

struct job {
	struct sigevent event; /* SIGEV_NONE if nobody is to be told */
	pid_t caller;
	int n;
	struct gaicb *list[];
};

/* Between being taken up (by the thread) and cancelled (gai_cancel): whoever comes first has it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t answered;

/* Not yet taken up. glibc hides the member's meaning, and leaves five words for it. */
#define WAITING(g) ((g)->__glibc_reserved[0])

static int gai_state(const struct gaicb *g)
{
	return __atomic_load_n(&g->__return, __ATOMIC_ACQUIRE);
}

static void answer(struct gaicb *g, int e)
{
	__atomic_store_n(&g->__return, e, __ATOMIC_RELEASE); /* pairs with gai_state */
	__atomic_fetch_add(&answered, 1, __ATOMIC_SEQ_CST);
	raw(SYS_futex, &answered, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

static bool take(struct gaicb *g)
{
	bool mine;

	pthread_mutex_lock(&lock);
	mine = WAITING(g) != 0;
	WAITING(g) = 0;
	pthread_mutex_unlock(&lock);
	return mine;
}

static void notify(const struct job *job)
{
	const struct sigevent *event = &job->event;
	siginfo_t info = {.si_signo = event->sigev_signo, .si_code = SI_ASYNCNL};

	if (event->sigev_notify == SIGEV_SIGNAL) {
		info.si_pid = job->caller;
		info.si_value = event->sigev_value;
		raw(SYS_rt_sigqueueinfo, job->caller, event->sigev_signo, &info);
	} else if (event->sigev_notify == SIGEV_THREAD)
		event->sigev_notify_function(
		    event->sigev_value); /* this thread is as good as another */
}

static void *work(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < job->n; i++) {
		struct gaicb *g = job->list[i];

		if (g && take(g))
			answer(g, getaddrinfo(g->ar_name, g->ar_service, g->ar_request,
					      &g->ar_result));
	}
	notify(job);
	free(job);
	return NULL;
}

/* A detached thread in which no handler of the program's runs. */
static int start(struct job *job)
{
	sigset_t all, saved;
	pthread_attr_t attr;
	pthread_t thread;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	e = pthread_create(&thread, &attr, work, job);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return e;
}

EXPORT int getaddrinfo_a(int mode, struct gaicb *list[restrict], int n,
			 struct sigevent *restrict event)
{
	struct job *job;

	if (!names_ours())
		return libc.getaddrinfo_a(mode, list, n, event);
	if (mode != GAI_WAIT && mode != GAI_NOWAIT) {
		errno = EINVAL;
		return EAI_SYSTEM;
	}
	job = calloc(1, sizeof(*job) + (size_t)(n > 0 ? n : 0) * sizeof(*list));
	if (!job)
		return EAI_MEMORY;
	job->caller = getpid();
	job->n = n;
	job->event.sigev_notify = SIGEV_NONE;
	if (mode == GAI_NOWAIT && event)
		job->event = *event;
	for (int i = 0; i < n; i++) {
		job->list[i] = list[i];
		if (!list[i])
			continue;
		list[i]->ar_result = NULL;
		WAITING(list[i]) = 1;
		__atomic_store_n(&list[i]->__return, EAI_INPROGRESS, __ATOMIC_RELEASE);
	}
	if (mode == GAI_WAIT) {
		work(job);
		return 0;
	}
	if (start(job) == 0)
		return 0;
	for (int i = 0; i < n; i++)
		if (list[i])
			answer(list[i], EAI_AGAIN);
	free(job);
	return EAI_AGAIN;
}

/** Until one of them is no longer in progress. */
EXPORT int gai_suspend(const struct gaicb *const list[], int n, const struct timespec *timeout)
{
	int64_t end = timeout ? now_ns() + timeout->tv_sec * 1000000000ll + timeout->tv_nsec : 0;

	if (!names_ours())
		return libc.gai_suspend(list, n, timeout);
	for (;;) {
		uint32_t seen = __atomic_load_n(&answered, __ATOMIC_SEQ_CST);
		struct timespec left;
		bool none = true;
		long r;

		for (int i = 0; i < n; i++) {
			if (!list[i])
				continue;
			none = false;
			if (gai_state(list[i]) != EAI_INPROGRESS)
				return 0;
		}
		if (none)
			return EAI_ALLDONE;
		if (timeout) {
			int64_t ns = end - now_ns();

			if (ns <= 0)
				return EAI_AGAIN;
			left = (struct timespec){ns / 1000000000, ns % 1000000000};
		}
		r = raw(SYS_futex, &answered, FUTEX_WAIT_PRIVATE, seen, timeout ? &left : NULL);
		if (r == -EINTR)
			return EAI_INTR;
	}
}

static int cancel(struct gaicb *g)
{
	if (gai_state(g) != EAI_INPROGRESS)
		return EAI_ALLDONE;
	if (!take(g))
		return EAI_NOTCANCELED;
	answer(g, EAI_CANCELED);
	return EAI_CANCELED;
}

/** One that is being worked on goes on. All of them (NULL) are never known. */
EXPORT int gai_cancel(struct gaicb *g)
{
	if (!names_ours())
		return libc.gai_cancel(g);
	return g ? cancel(g) : EAI_NOTCANCELED;
}
