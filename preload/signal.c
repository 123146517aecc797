/* Signals. A handler may call read or write on the very socket whose lock the interrupted code
 * holds, so whoever holds one blocks signals; but only in a process that has handlers at all. This
 * file sees the first one being set.
 *
 * A call that has moved some text and wants more is ended by a signal, whenever that came: Linux
 * looks for a pending one before it sleeps. So such a call holds signals from its first byte on,
 * and lets them in only as long as it sleeps (sleep_held() in wait.c).
 *
 * The faults are left alone: a program's SIGSEGV handler may have to map in the very buffer that we
 * copy from. */
#include "ioth.h"

#define BIT(sig) (1ull << ((sig)-1))
#define FAULTS	 (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS))

/** The kernel's mask, so that libc's own two signals (cancellation, setuid) wait too. */
void sigmask_block(uint64_t *saved)
{
	const uint64_t all = ~FAULTS;

	*saved = SIGNALS_FREE;
	if (__atomic_load_n(&ioth.handlers, __ATOMIC_RELAXED))
		raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, sizeof(all));
}

void sigmask_restore(uint64_t *saved)
{
	const uint64_t mask = *saved;

	*saved = SIGNALS_FREE;
	if (mask != SIGNALS_FREE)
		raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

void sigmask_hold(uint64_t *held)
{
	if (*held == SIGNALS_FREE)
		sigmask_block(held);
}

void signal_has_handler(void)
{
	__atomic_store_n(&ioth.handlers, true, __ATOMIC_RELAXED);
}

static sighandler_t noted(sighandler_t handler)
{
	if (handler != SIG_DFL && handler != SIG_IGN && handler != SIG_ERR)
		signal_has_handler();
	return handler;
}

EXPORT int sigaction(int sig, const struct sigaction *restrict act, struct sigaction *restrict old)
{
	if (act)
		noted(act->sa_handler);
	return libc.sigaction(sig, act, old);
}
ALIAS(__sigaction, sigaction);

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return libc.signal(sig, noted(handler));
}

EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return libc.ssignal(sig, noted(handler));
}

EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return libc.bsd_signal(sig, noted(handler));
}

EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return libc.sysv_signal(sig, noted(handler));
}

EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return libc.__sysv_signal(sig, noted(handler));
}

EXPORT sighandler_t sigset(int sig, sighandler_t handler)
{
	return libc.sigset(sig, noted(handler));
}
