/* A conformance program: cases in order, one line of TAP 14 each.
 *
 *	CASE("accept() fills the peer's address")
 *	{
 *		...
 *		equal(ntohs(peer.sin_port), port);
 *	}
 *
 * A failed check ends its case, from wherever it is called: the main thread, a thread (which ends)
 * or a forked child (which exits with status 99, for reap() to see). Then the next case runs.
 * PROGRAM TEXT runs only the cases whose title holds TEXT. */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A hang is a failure. */
#define TAP_SECONDS 60

struct tap_case {
	const char *title;
	void (*run)(void);
	struct tap_case *next;
};

static struct tap_case *tap_cases, **tap_last = &tap_cases;
static const char *tap_title = "before the first case";
static int tap_number;
static volatile bool tap_failed;
static const char *tap_skipped;
static jmp_buf tap_next;
static pid_t tap_pid;
static pthread_t tap_thread;

#define CASE(title)	       CASE_LINE(title, __LINE__)
#define CASE_LINE(title, line) CASE_NAMED(title, line)
#define CASE_NAMED(text, line)                                                                     \
	static void case_##line(void);                                                             \
	__attribute__((constructor)) static void register_##line(void)                             \
	{                                                                                          \
		static struct tap_case self = {text, case_##line, NULL};                           \
                                                                                                   \
		*tap_last = &self;                                                                 \
		tap_last = &self.next;                                                             \
	}                                                                                          \
	static void case_##line(void)

/* One write per line: no buffer for a fork to copy. */
__attribute__((format(printf, 1, 2))) static void tap_print(const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(98);
}

__attribute__((noreturn)) static void tap_leave(void)
{
	if (getpid() != tap_pid)
		_exit(99);
	tap_failed = true;
	if (!pthread_equal(pthread_self(), tap_thread))
		pthread_exit(NULL);
	longjmp(tap_next, 1);
}

__attribute__((noreturn, unused)) static void tap_skip(const char *why)
{
	tap_skipped = why;
	longjmp(tap_next, 1);
}

#define FAIL_AT(...)                                                                               \
	do {                                                                                       \
		tap_print(__VA_ARGS__);                                                            \
		tap_leave();                                                                       \
	} while (0)

#define check(expr)                                                                                \
	do {                                                                                       \
		if (!(expr))                                                                       \
			FAIL_AT("# %s:%d: %s (errno %d, %s)", __FILE__, __LINE__, #expr, errno,    \
				strerror(errno));                                                  \
	} while (0)

#define equal(got, want)                                                                           \
	do {                                                                                       \
		long long got_ = (got), want_ = (want);                                            \
		if (got_ != want_)                                                                 \
			FAIL_AT("# %s:%d: %s is %lld (0x%llx), not %lld (0x%llx) (errno %d)",      \
				__FILE__, __LINE__, #got, got_, got_, want_, want_, errno);        \
	} while (0)

/* The call gives -1 and this errno. */
#define fails(call, error)                                                                         \
	do {                                                                                       \
		long long got_ = (errno = 0, call);                                                \
		if (got_ != -1 || errno != (error))                                                \
			FAIL_AT("# %s:%d: %s gave %lld, errno %d (%s), not -1, %s", __FILE__,      \
				__LINE__, #call, got_, errno, strerror(errno), #error);            \
	} while (0)

/* The value of a call that must not give -1. */
#define must(call)                                                                                 \
	({                                                                                         \
		__typeof__(call) got_ = (call);                                                    \
		if (got_ == (__typeof__(call))-1)                                                  \
			FAIL_AT("# %s:%d: %s failed: %s", __FILE__, __LINE__, #call,               \
				strerror(errno));                                                  \
		got_;                                                                              \
	})

static void tap_hung(int sig)
{
	(void)sig;
	tap_print("not ok %d - %s", tap_number, tap_title);
	tap_print("# still running after %d seconds", TAP_SECONDS);
	tap_print("Bail out! %s hangs", tap_title);
	_exit(1);
}

static bool tap_run(const struct tap_case *c)
{
	tap_number++;
	tap_title = c->title;
	tap_failed = false;
	tap_skipped = NULL;
	if (!setjmp(tap_next))
		c->run();
	if (tap_skipped)
		tap_print("ok %d - %s # SKIP %s", tap_number, c->title, tap_skipped);
	else
		tap_print("%sok %d - %s", tap_failed ? "not " : "", tap_number, c->title);
	return !tap_failed;
}

/* What a program does when it is started again as a child: PROGRAM --ROLE argument... */
#ifdef TAP_ROLES
static int tap_role(int argc, char **argv);
#endif

int main(int argc, char **argv)
{
	int failed = 0;

#ifdef TAP_ROLES
	if (argc > 1 && !strncmp(argv[1], "--", 2))
		return tap_role(argc, argv);
#endif
	tap_pid = getpid();
	tap_thread = pthread_self();
	signal(SIGALRM, tap_hung);
	alarm(TAP_SECONDS);
	tap_print("TAP version 14");
	for (const struct tap_case *c = tap_cases; c; c = c->next)
		if (argc < 2 || strstr(c->title, argv[1]))
			failed += !tap_run(c);
	tap_print("1..%d", tap_number);
	return failed != 0;
}

#endif
