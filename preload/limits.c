/* Resource limits that would hit us and not the program. A process that may have no more
 * descriptors has none for us to wake the server by: its sockets go native before. And the region
 * is address space, a hundred times what a careful program allows itself: the limit is set, and
 * told, as if the region were not there. */
#include "ioth.h"

#include <sys/resource.h>

#define OURS ((rlim_t)ABI_REGION_SIZE + (8 << 20)) /* and the shim itself */

/* Would the next descriptor be beyond the limit? */
static bool leaves_none(const struct rlimit *limit)
{
	long next = raw(SYS_fcntl, STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	if (next >= 0)
		raw(SYS_close, next);
	else if (next == -EBADF)
		next = STDIN_FILENO;
	return next < 0 || (rlim_t)next >= limit->rlim_cur;
}

static void limit_prepare(int resource, const struct rlimit *limit)
{
	int saved = errno;

	if (resource == RLIMIT_NOFILE && ioth.region && !bad_pointer(limit) && leaves_none(limit))
		sandbox_prepare();
	errno = saved;
}

static rlim_t with_us(rlim_t limit)
{
	return limit < RLIM_INFINITY - OURS ? limit + OURS : limit;
}

static rlim_t without_us(rlim_t limit)
{
	return limit != RLIM_INFINITY && limit > OURS ? limit - OURS : limit;
}

/* The limit to be set for one that the program sets. */
static const struct rlimit *prepared(int resource, const struct rlimit *limit, struct rlimit *room)
{
	limit_prepare(resource, limit);
	if (resource != RLIMIT_AS || !ioth.region || bad_pointer(limit))
		return limit;
	room->rlim_cur = with_us(limit->rlim_cur);
	room->rlim_max = with_us(limit->rlim_max);
	return room;
}

static void told(int resource, struct rlimit *limit)
{
	if (resource != RLIMIT_AS || !ioth.region)
		return;
	limit->rlim_cur = without_us(limit->rlim_cur);
	limit->rlim_max = without_us(limit->rlim_max);
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	struct rlimit room;

	return libc.setrlimit(resource, prepared((int)resource, limit, &room));
}

EXPORT int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
	int r = libc.getrlimit(resource, limit);

	if (r == 0)
		told((int)resource, limit);
	return r;
}

EXPORT int prlimit(pid_t pid, __rlimit_resource_t resource, const struct rlimit *limit,
		   struct rlimit *old)
{
	bool own = pid == 0 || pid == getpid();
	struct rlimit room;
	int r;

	if (own && limit)
		limit = prepared((int)resource, limit, &room);
	r = libc.prlimit(pid, resource, limit, old);
	if (r == 0 && own && old)
		told((int)resource, old);
	return r;
}

/* Theirs is the same struct where long has 64 bits. */
static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "one struct rlimit");
EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
    __attribute__((alias("setrlimit")));
EXPORT int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit)
    __attribute__((alias("getrlimit")));
EXPORT int prlimit64(pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *limit,
		     struct rlimit64 *old) __attribute__((alias("prlimit")));
