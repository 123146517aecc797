/* ioth-supervisor LISTENER MEMORY
 * ioth-supervisor check
 *
 * Serves the socket calls that the shim does not see: those of static programs, of programs for
 * another C library, of Go, libc's own, raw system calls. The seccomp filter (preload/filter.h)
 * stops them, the kernel tells us here (seccomp_unotify(2)) and lets the caller sleep until we
 * answer.
 *
 * A virtual socket is a real AF_UNIX socket, known by its name, with everything about it in the
 * region; what a call does to it can be done by any process that has the region and a copy of the
 * descriptor. So we are one more process that the shim is part of: we fetch a copy of the caller's
 * descriptor (pidfd_getfd(2)), read its arguments (process_vm_readv(2)), call the very function
 * that the shim would have called in it, write back what it says and answer. A new socket is made
 * here and put into the caller's table (SECCOMP_IOCTL_NOTIF_ADDFD). All sockets made or touched
 * here are in native mode, where plain read, write, poll and epoll are right, so that those are
 * never stopped.
 *
 * One thread serves all, so no call may sleep in here: each is tried without waiting, and what
 * cannot go on yet waits in our epoll set, with its copy of the descriptor. A caller that is killed
 * is told of by its pidfd, so that no copy of ours keeps open what it had. One that gets a signal
 * stops waiting for us, and nobody tells: ten times a second we ask whether they still wait.
 *
 * It lives until the last task under the filter has ended. It is started by the stack server when
 * the first call comes, and again when it died; it goes on when the server is dead, so that
 * programs are told (ENETDOWN) and do not hang. The kernel tells of a call once: those that wait
 * lie in a memory file that the server keeps, so that the next supervisor goes on with them. The
 * one in whose serving the last one died fails. */
#include "supervisor.h"

#include <linux/seccomp.h>
#include <sys/time.h>

/* How long a signal may wait until the call that it is to end is looked at. */
#define LOOK_MIN_MS 10
#define LOOK_MAX_MS 250
#define MOST_SEEN   64
#define MOST_CALLS  16384 /* at once; 3 MB, touched as needed */
#define ERESTARTSYS 512	  /* the kernel's own */
/* In what epoll tells of a call: not the socket is ready, but the thread has ended. */
#define CALLER_ENDED 1u

static int epoll;
static struct notice *waiting;
static struct notice *table;
static int64_t soonest = INT64_MAX; /* ns: when one of those that wait has to be looked at */

static void wake(int sig)
{
	(void)sig; /* ends a sleep in the kernel with EINTR */
}

static void answer(const struct notice *c, long result)
{
	struct seccomp_notif_resp resp = {.id = c->id};

	if (result == ANSWERED)
		return;
	if (result == PASS)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0)
		resp.error = (int)result;
	else
		resp.val = result;
	/* ENOENT: it does not wait any more. */
	raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/* When this one has to be looked at, ns. */
static int64_t due(const struct notice *c)
{
	return c->look < c->deadline ? c->look : c->deadline;
}

static void put_aside(struct notice *c)
{
	c->since = now_ns();
	c->look = c->since + LOOK_MIN_MS * 1000000ll;
	if (due(c) < soonest)
		soonest = due(c);
	c->next = waiting;
	c->before = &waiting;
	if (waiting)
		waiting->before = &c->next;
	waiting = c;
}

static void take_up(struct notice *c)
{
	*c->before = c->next;
	if (c->next)
		c->next->before = c->before;
}

static void end(struct notice *c)
{
	if (c->before) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
		if (c->caller >= 0)
			epoll_ctl(epoll, EPOLL_CTL_DEL, c->caller, NULL);
		take_up(c);
	}
	let_go(c);
	c->id = 0;
}

/* Until it waits or is done. */
static void go_on(struct notice *c)
{
	struct epoll_event event = {.data.ptr = c};
	long result;

	c->served = true;
	result = serve(c);
	c->served = false;
	if (result != WAIT) {
		answer(c, result);
		end(c);
		return;
	}
	event.events = c->events | EPOLLONESHOT;
	if (c->before) {
		epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
		return;
	}
	put_aside(c);
	epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
	c->caller = target_open(c->tid);
	event = (struct epoll_event){.events = EPOLLIN, .data.u64 = (uintptr_t)c | CALLER_ENDED};
	epoll_ctl(epoll, EPOLL_CTL_ADD, c->caller, &event);
}

/* A free place in the table. */
static struct notice *place(void)
{
	static size_t next;

	for (size_t i = 0; i < MOST_CALLS; i++) {
		struct notice *c = table + next++ % MOST_CALLS;

		if (c->id == 0)
			return c;
	}
	return NULL;
}

/* What the supervisor before this one left. */
static void take_over(void)
{
	for (struct notice *c = table; c < table + MOST_CALLS; c++) {
		if (c->id == 0)
			continue;
		c->fd = c->caller = -1;
		c->before = NULL;
		if (c->served) {
			answer(c, -EIO);
			c->id = 0;
		} else if (target_waits(c))
			go_on(c);
		else
			c->id = 0;
	}
}

/* The next call. */
static void take_call(void)
{
	union {
		struct seccomp_notif notif;
		char room[1024]; /* kernels to come may say more */
	} seen = {.room = {0}};
	const struct itimerval soon = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
	struct notice *c;
	long r;

	/* A caller that gave up meanwhile leaves nothing to take, and us asleep. */
	setitimer(ITIMER_REAL, &soon, NULL);
	r = raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &seen.notif);
	setitimer(ITIMER_REAL, &never, NULL);
	if (r < 0)
		return;
	c = place();
	if (!c) {
		answer(&(struct notice){.id = seen.notif.id}, -ENOBUFS);
		return;
	}
	memset(c, 0, sizeof(*c));
	c->id = seen.notif.id;
	c->tid = (pid_t)seen.notif.pid;
	c->nr = seen.notif.data.nr;
	for (int i = 0; i < 6; i++)
		c->arg[i] = seen.notif.data.args[i];
	c->fd = c->caller = -1;
	go_on(c);
}

/* Should this call end because of a signal? With what its call would end on Linux; else WAIT. */
static long interrupted(struct notice *c)
{
	enum pending pending = target_pending(c);
	bool again = c->signalled;

	c->signalled = pending == SHARED_SIGNAL;
	/* One for all threads is another's, unless it stays. */
	if (pending == NO_SIGNAL || (pending == SHARED_SIGNAL && !again))
		return WAIT;
	if (c->got || c->done)
		return c->got ? (long)c->got : (long)c->done;
	/* To which the kernel gives SA_RESTART's meaning, if it has a signal for this thread. */
	return pending == OWN_SIGNAL && c->deadline == INT64_MAX ? -ERESTARTSYS : -EINTR;
}

/* The longer a call waits, the less often it is looked at. */
static int64_t until_look(int64_t waited)
{
	int64_t ms = waited / 8000000;

	return (ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms) * 1000000ll;
}

/* Drops it if it waits no more, lets it go on if its time is over. */
static void look_at(struct notice *c, int64_t now)
{
	long result;

	c->look = now + until_look(now - c->since);
	if (!target_waits(c)) {
		end(c);
	} else if (now >= c->deadline) {
		go_on(c);
	} else if ((result = interrupted(c)) != WAIT) {
		answer(c, result);
		end(c);
	}
}

static void look_around(void)
{
	int64_t now = now_ns();

	if (now < soonest)
		return;
	soonest = INT64_MAX;
	for (struct notice *c = waiting, *next; c; c = next) {
		next = c->next;
		if (due(c) <= now)
			look_at(c, now);
		if (c->before && due(c) < soonest)
			soonest = due(c);
	}
	forget_untaken();
}

/* Milliseconds until then, for epoll_wait(). */
static int until_soonest(void)
{
	int64_t left = (soonest - now_ns()) / 1000000 + 1;

	return soonest == INT64_MAX ? -1 : left > 0 ? (int)left : 0;
}

static _Noreturn void run(void)
{
	struct epoll_event seen[MOST_SEEN];

	for (;;) {
		int n = epoll_wait(epoll, seen, MOST_SEEN, until_soonest());
		bool call = false, ended = false;

		/* First, so that what the dead had open is closed before anybody asks for it. */
		for (int i = 0; i < n; i++) {
			struct notice *c = (void *)(seen[i].data.u64 & ~CALLER_ENDED);

			if (!(seen[i].data.u64 & CALLER_ENDED))
				continue;
			ended = true;
			if (c->id != 0)
				look_at(c, now_ns());
		}
		if (ended)
			forget_untaken();
		look_around();
		for (int i = 0; i < n; i++) {
			struct notice *c = seen[i].data.ptr;

			if (seen[i].data.u64 & CALLER_ENDED)
				continue;
			if (c && c->id != 0)
				go_on(c);
			else if (!c && seen[i].events & EPOLLHUP)
				exit(0);
			else if (!c)
				call = true;
		}
		/* Last: the places in the table that became free above are named in `seen`. */
		if (call)
			take_call();
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = wake};
	struct epoll_event event = {.events = EPOLLIN};

	if (argc == 2 && strcmp(argv[1], "check") == 0)
		return check();
	if (argc != 3) {
		fputs("ioth-supervisor is started by the stack server: run ioth-run instead\n",
		      stderr);
		return 125;
	}
	listener = atoi(argv[1]);
	table = mmap(NULL, MOST_CALLS * sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED,
		     atoi(argv[2]), 0);
	if (table == MAP_FAILED) {
		fprintf(stderr, "ioth-supervisor: cannot map descriptor %s: %s\n", argv[2],
			strerror(errno));
		return 1;
	}
	if (!ioth_ready()) {
		fputs("ioth-supervisor: cannot join the stack\n", stderr);
		return 1;
	}
	pointers_trust();
	sigaction(SIGALRM, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
		fprintf(stderr, "ioth-supervisor: cannot watch descriptor %d: %s\n", listener,
			strerror(errno));
		return 1;
	}
	take_over();
	run();
}
