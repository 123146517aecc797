/* Pointers that a program gives: the kernel answers EFAULT to those that lead nowhere, and so must
 * who copies in its place. A page is asked for by two system calls that change nothing:
 * rt_sigprocmask() reads eight bytes before it finds that it knows no such `how`; futex(WAKE_OP)
 * adds the bits of 0 to a word, atomically. Pages that answered well are remembered, so that the
 * buffers that a program uses again and again cost a look into a table. Forgetting is not seen: a
 * page that was unmapped since crashes the program that passes it, as it would crash any program
 * that uses it. Only the first and the last page of a buffer are looked at. */
#include "ioth.h"

#include <linux/futex.h>

#define PAGE	 4096ul
#define KNOWN	 1024u
#define READABLE 1ul
#define WRITABLE 2ul

/* By number modulo KNOWN: the page's address, and what is known of it. */
static uintptr_t known[KNOWN];
static bool forbidden; /* the process shut itself in: these calls might kill it */

void pointers_trust(void)
{
	forbidden = true;
}

static uintptr_t *place(uintptr_t page)
{
	return &known[page / PAGE % KNOWN];
}

static bool ask(uintptr_t page, uintptr_t how)
{
	static uint32_t none;
	long r;

	if (how == WRITABLE)
		r = raw(SYS_futex, &none, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, page,
			FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0));
	else
		r = raw(SYS_rt_sigprocmask, ~0u, page, NULL, 8);
	return r != -EFAULT;
}

/* Is the page there, for what is wanted of it? */
static bool good(uintptr_t address, uintptr_t how)
{
	uintptr_t page = address & ~(PAGE - 1);
	uintptr_t seen = __atomic_load_n(place(page), __ATOMIC_RELAXED);
	bool same = (seen & ~(PAGE - 1)) == page;

	if (same && seen & how)
		return true;
	if (page == 0 || (intptr_t)page < 0)
		return false;
	if (forbidden)
		return true;
	if (!ask(page, how))
		return false;
	/* What can be written can be read, here. */
	seen = (same ? seen : page) | how | READABLE;
	__atomic_store_n(place(page), seen, __ATOMIC_RELAXED);
	return true;
}

static bool good_both(const void *p, size_t n, uintptr_t how)
{
	uintptr_t first = (uintptr_t)p;
	uintptr_t last = first + n - 1;

	return n == 0 || (last >= first && good(first, how) &&
			  (first / PAGE == last / PAGE || good(last, how)));
}

bool unreadable(const void *p, size_t n)
{
	return !good_both(p, n, READABLE);
}

/* Of an argv or envp. */
static bool bad_strings(char *const strings[])
{
	for (size_t i = 0; strings; i++) {
		if (unreadable(&strings[i], sizeof(strings[i])))
			return true;
		if (!strings[i])
			break;
		if (bad_pointer(strings[i]))
			return true;
	}
	return false;
}

bool bad_arguments(char *const argv[], char *const envp[])
{
	return bad_strings(argv) || bad_strings(envp);
}

bool unwritable(const void *p, size_t n)
{
	return !good_both(p, n, WRITABLE);
}
