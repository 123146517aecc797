/* Which socket is behind a descriptor?
 *
 * The kernel knows: a virtual socket is a real AF_UNIX socket, and one of its two names says which
 * record and which generation it is (abi.h). A descriptor that came by fork, exec, SCM_RIGHTS or
 * dup is found like one that we made. Its name is the peer's for a connection that was accepted
 * (the server's end bears the name), else its own.
 *
 * Asking costs one or two system calls, so the answer is kept in a table by number, and the table
 * is right as long as every call that makes or ends a number tells it: our own sockets are entered,
 * close and its relatives forget, and whatever opens a file says "foreign" (creators.c). A number
 * that was made where we do not see it (inside libc, by a raw system call) is unknown, or stale and
 * about to be found out: an entry that says "ours" holds only while the record has that generation.
 *
 * An entry is one 64-bit word and there are no locks. A thread that asked the kernel enters the
 * answer only if the word is still what it was before: each change of a word counts up its version,
 * so that somebody's close and socket() in between are not overwritten by old news.
 *
 * A vfork child runs in its parent's memory but has descriptors of its own: it reads no entry and
 * writes none, it asks.
 *
 *   63        32 31      18 17          3    2      1     0
 *   | generation |  record  |  version  | raised |  state  | */
#include "ioth.h"

#include <sys/resource.h>
#include <sys/un.h>

#define TABLE	    65536 /* higher numbers are asked about each time */
#define NUMBERS_MIN 1024  /* the usual limit */
#define NUMBERS_MAX (1 << 20)

enum { UNKNOWN = 0, FOREIGN = 1, OURS = 2, STATE = 3 };
#define RAISED	     4ull /* native_buffer() has been here */
#define VERSION_STEP 8ull
#define VERSION_MASK 0x3fff8ull
#define RECORD_SHIFT 18
static_assert(ABI_RECORDS <= 1u << 14, "a record's index has 14 bits");

static uint64_t table[TABLE];
static uint32_t highest; /* no entry beyond it has a meaning */

static uint64_t *entry(int fd)
{
	return (unsigned int)fd < TABLE && !in_vfork_child() ? &table[fd] : NULL;
}

static uint64_t next_version(uint64_t word)
{
	return (word + VERSION_STEP) & VERSION_MASK;
}

static uint64_t ours(const struct sock *s)
{
	return (uint64_t)s->generation << 32 | (uint64_t)s->index << RECORD_SHIFT | OURS;
}

void sock_at(uint32_t index, uint32_t generation, struct sock *s)
{
	s->index = index;
	s->generation = generation;
	s->rec = (struct record *)((char *)ioth.region + ABI_RECORDS_OFFSET) + index;
}

static void sock_of(uint64_t word, struct sock *s)
{
	sock_at(word >> RECORD_SHIFT & (ABI_RECORDS - 1), (uint32_t)(word >> 32), s);
}

bool sock_current(const struct sock *s)
{
	return __atomic_load_n(&s->rec->generation, __ATOMIC_ACQUIRE) == s->generation &&
	       __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) != RECORD_FREE;
}

/* Asks the kernel. 1: ours, 0: not ours, negative: no such descriptor. */
static int probe(int fd, struct sock *s)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	long r = raw(SYS_getpeername, fd, &un, &len);

	if (r == 0 && record_named(&un, len, s) >= 0)
		return sock_current(s);
	if (r < 0 && r != -ENOTCONN && r != -EINVAL)
		return r == -EBADF ? -EBADF : 0;
	len = sizeof(un);
	r = raw(SYS_getsockname, fd, &un, &len);
	return r == 0 && record_named(&un, len, s) >= 0 && sock_current(s);
}

static void reach(uint32_t fd)
{
	uint32_t was = __atomic_load_n(&highest, __ATOMIC_RELAXED);

	while (was < fd && !__atomic_compare_exchange_n(&highest, &was, fd, true, __ATOMIC_RELAXED,
							__ATOMIC_RELAXED))
		;
}

static bool find_unknown(int fd, uint64_t *e, struct sock *s)
{
	uint64_t seen = e ? __atomic_load_n(e, __ATOMIC_ACQUIRE) : 0;
	int r = probe(fd, s);

	if (e && r >= 0)
		reach((uint32_t)fd);
	if (e && r >= 0)
		__atomic_compare_exchange_n(e, &seen,
					    next_version(seen) | (r ? ours(s) : (uint64_t)FOREIGN),
					    false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	return r > 0;
}

/** Known to be libc's business: the first question of the calls that files live on. */
bool fdtab_is_foreign(int fd)
{
	uint64_t *e;

	if (!ioth_attached() || ioth.confined == ASIDE)
		return true;
	e = entry(fd);
	return e && (__atomic_load_n(e, __ATOMIC_ACQUIRE) & STATE) == FOREIGN;
}

/** One look-up when the number is known. */
bool fdtab_find(int fd, struct sock *s)
{
	uint64_t *e;
	uint64_t word;

	if (!ioth_attached() || ioth.confined == ASIDE || fd < 0)
		return false;
	e = entry(fd);
	word = e ? __atomic_load_n(e, __ATOMIC_ACQUIRE) : 0;
	if ((word & STATE) == FOREIGN)
		return false;
	if ((word & STATE) == OURS) {
		sock_of(word, s);
		if (sock_current(s))
			return true;
	}
	return ioth.confined == FREE && find_unknown(fd, e, s);
}

bool fdtab_means(int fd, const struct sock *s)
{
	struct sock now;

	return fdtab_find(fd, &now) && now.index == s->index && now.generation == s->generation;
}

/* Writes a new meaning of a number; the version goes on. */
static void enter(int fd, uint64_t meaning)
{
	uint64_t *e = entry(fd);
	uint64_t seen;

	if (!e || !ioth_attached())
		return;
	if (meaning != UNKNOWN)
		reach((uint32_t)fd);
	seen = __atomic_load_n(e, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(e, &seen, next_version(seen) | meaning, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

void fdtab_set(int fd, const struct sock *s)
{
	enter(fd, ours(s));
}

void fdtab_forget(int fd)
{
	enter(fd, UNKNOWN);
}

void fdtab_foreign(int fd)
{
	enter(fd, FOREIGN);
}

void fdtab_copy(int oldfd, int newfd)
{
	uint64_t *e = entry(oldfd);

	enter(newfd, e ? __atomic_load_n(e, __ATOMIC_ACQUIRE) & ~VERSION_MASK : UNKNOWN);
}

void fdtab_forget_all(void)
{
	uint32_t last = __atomic_load_n(&highest, __ATOMIC_RELAXED);

	for (uint32_t fd = 0; fd <= last; fd++)
		if (__atomic_load_n(&table[fd], __ATOMIC_RELAXED) & STATE)
			fdtab_forget((int)fd);
}

/** The numbers are closed; sockets that we knew among them get what close() gives them. */
void fdtab_close_range(unsigned int first, unsigned int last)
{
	uint32_t reached = __atomic_load_n(&highest, __ATOMIC_RELAXED);

	if (in_vfork_child() || !ioth_attached())
		return;
	for (uint32_t fd = first; fd <= last && fd <= reached; fd++) {
		uint64_t word = __atomic_load_n(&table[fd], __ATOMIC_ACQUIRE);
		struct sock s;

		if ((word & STATE) == UNKNOWN)
			continue;
		fdtab_forget((int)fd);
		if ((word & STATE) != OURS)
			continue;
		sock_of(word, &s);
		if (sock_current(&s))
			sock_closed(&s);
	}
}

bool fdtab_raised(int fd)
{
	uint64_t *e = entry(fd);

	return e && (__atomic_load_n(e, __ATOMIC_RELAXED) & RAISED);
}

void fdtab_raise(int fd)
{
	uint64_t *e = entry(fd);

	if (e && (__atomic_load_n(e, __ATOMIC_RELAXED) & STATE) == OURS)
		__atomic_fetch_or(e, RAISED, __ATOMIC_RELAXED);
}

/* For fdtab_each when /proc cannot be read: all numbers that there may be. The limit may have been
 * higher when they were given. */
static void each_number(void (*fn)(int fd, struct sock *s, void *arg), void *arg)
{
	struct rlimit limit = {0};
	rlim_t end = __atomic_load_n(&highest, __ATOMIC_RELAXED) + 1;
	struct sock s;

	raw(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	if (end < limit.rlim_cur)
		end = limit.rlim_cur;
	if (end < NUMBERS_MIN)
		end = NUMBERS_MIN;
	for (int fd = 0; fd < (int)(end < NUMBERS_MAX ? end : NUMBERS_MAX); fd++)
		if (fdtab_find(fd, &s))
			fn(fd, &s, arg);
}

static int number(const char *digits)
{
	int n = 0;

	if (*digits < '0' || *digits > '9')
		return -1;
	while (*digits >= '0' && *digits <= '9')
		n = n * 10 + (*digits++ - '0');
	return n;
}

/** Each open descriptor that is a socket of ours, as /proc lists them. */
void fdtab_each(void (*fn)(int fd, struct sock *s, void *arg), void *arg)
{
	struct entry {
		uint64_t ino;
		int64_t off;
		uint16_t reclen;
		uint8_t type;
		char name[];
	};
	_Alignas(struct entry) char buf[2048];
	struct sock s;
	long got;
	int dir;

	if (!ioth_attached())
		return;
	dir = (int)raw(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		each_number(fn, arg);
		return;
	}
	while ((got = raw(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		for (long at = 0; at < got;) {
			struct entry *e = (struct entry *)(buf + at);
			int fd = number(e->name);

			at += e->reclen;
			if (fd >= 0 && fd != dir && fdtab_find(fd, &s))
				fn(fd, &s, arg);
		}
	raw(SYS_close, dir);
}

static size_t print(char *to, uint32_t n)
{
	char digits[10];
	size_t len = 0;

	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	for (size_t i = 0; i < len; i++)
		to[i] = digits[len - 1 - i];
	return len;
}

/** The address "\0ioth/STACK/RECORD.GENERATION". */
socklen_t record_name(struct sockaddr_un *un, uint32_t index, uint32_t generation)
{
	size_t n = strlen(ioth.prefix);

	un->sun_family = AF_UNIX;
	un->sun_path[0] = '\0';
	memcpy(un->sun_path + 1, ioth.prefix, n++);
	n += print(un->sun_path + n, index);
	un->sun_path[n++] = '.';
	n += print(un->sun_path + n, generation);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* Decimal digits from *at to `end`, as record_name() prints them; -1: none, or too many. */
static int64_t parse(const char **at, const char *end)
{
	const char *from = *at;
	int64_t n = 0;

	while (*at < end && **at >= '0' && **at <= '9' && *at - from < 10)
		n = n * 10 + (*(*at)++ - '0');
	if (*at == from || (*from == '0' && *at - from > 1))
		return -1;
	return n;
}

int record_named(const struct sockaddr_un *un, socklen_t len, struct sock *s)
{
	const char *at = un->sun_path + 1;
	const char *end = (const char *)un + len;
	size_t n = strlen(ioth.prefix);
	int64_t index, generation;

	if (len > sizeof(*un) || at + n >= end || un->sun_family != AF_UNIX ||
	    un->sun_path[0] != '\0' || memcmp(at, ioth.prefix, n) != 0)
		return -1;
	at += n;
	index = parse(&at, end);
	if (index < 0 || index >= ABI_RECORDS || at == end || *at++ != '.')
		return -1;
	generation = parse(&at, end);
	if (generation < 0 || generation > UINT32_MAX || at != end)
		return -1;
	sock_at((uint32_t)index, (uint32_t)generation, s);
	return (int)index;
}
