/* Rings of packet sockets (PACKET_RX_RING, packet_mmap of the kernel's documentation): memory that
 * the program maps, with a word in each slot that says whose it is. The memory is the region's, and
 * mmap() maps it once more.
 *
 * To the kernel's poll() such a socket is readable as long as the slot that was filled last is the
 * program's. Ours is an AF_UNIX socket: a token makes it readable, one at a time. When the program
 * gave the slot back nobody knows, so the token is taken where it would be seen, before a wait. */
#include "ioth.h"

#include <poll.h>

#define RINGS_MOST 16 /* of one process, whose tokens are taken back */

/* Descriptors that got a ring, or 0. They may be something else by now. */
static int rings[RINGS_MOST];
static bool any;

/** The descriptor has got a ring. */
void packet_ring_made(int fd)
{
	__atomic_store_n(&any, true, __ATOMIC_RELAXED);
	for (int i = 0; i < RINGS_MOST; i++) {
		int none = 0;

		if (__atomic_load_n(&rings[i], __ATOMIC_RELAXED) == fd ||
		    __atomic_compare_exchange_n(&rings[i], &none, fd, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return;
	}
}

/* Is the slot that was filled last still the program's? */
static bool is_filled(const struct record *rec)
{
	uint32_t last = __atomic_load_n(&rec->rx_tail, __ATOMIC_ACQUIRE);

	return __atomic_load_n((uint32_t *)((char *)ioth.region + last), __ATOMIC_SEQ_CST) != 0;
}

/* Takes `count` tokens, and what came before there was a ring. One may still be on its way; none
 * comes if the stack thread ended between counting and sending. */
static void take(int fd, uint32_t count)
{
	struct timespec left = {.tv_nsec = 100 * 1000000L};
	struct pollfd in = {.fd = fd, .events = POLLIN};
	char scrap;

	while (count > 0) {
		/* Of five arguments, so that it bears the mark (raw.h): MSG_TRUNC is looked at. */
		long n =
		    raw(SYS_recvfrom, fd, &scrap, sizeof(scrap), MSG_DONTWAIT | MSG_TRUNC, NULL);

		if (n > 0)
			count -= n == sizeof(scrap);
		else if (n != -EAGAIN || raw(SYS_ppoll, &in, 1, &left, NULL, 0) == 0)
			return;
	}
}

/* `rung` counts the tokens in the socket, and the one on its way: the server adds one before it
 * sends it, if there was none; whoever takes them subtracts before. What the server writes after
 * that, it sends one for; what it wrote before we see. Pairs with PacketRing.ring() in
 * src/sockets/messages/packet-ring.ts. */
static void settle(int fd, const struct sock *s)
{
	struct record *rec = s->rec;
	uint64_t signals;
	uint32_t count;

	if (rec->ring_size == 0 || is_filled(rec) ||
	    __atomic_load_n(&rec->so_error, __ATOMIC_ACQUIRE) != 0)
		return;
	sigmask_block(&signals);
	if (lock_take(&rec->rlock) < 0)
		goto restore;
	count = __atomic_load_n(&rec->rung, __ATOMIC_ACQUIRE);
	__atomic_sub_fetch(&rec->rung, count, __ATOMIC_SEQ_CST);
	if (is_filled(rec))
		__atomic_add_fetch(&rec->rung, count, __ATOMIC_SEQ_CST);
	else
		take(fd, count);
	lock_drop(&rec->rlock);
restore:
	sigmask_restore(&signals);
}

/** Before a wait: sockets whose rings are empty are made unreadable. */
void packet_settle(void)
{
	int saved = errno;
	struct sock s;

	if (!__atomic_load_n(&any, __ATOMIC_RELAXED) || !ioth_attached())
		return;
	for (int i = 0; i < RINGS_MOST; i++) {
		int fd = __atomic_load_n(&rings[i], __ATOMIC_RELAXED);

		if (fd == 0)
			continue;
		if (fdtab_find(fd, &s) && s.rec->family == AF_PACKET)
			settle(fd, &s);
		else
			__atomic_store_n(&rings[i], 0, __ATOMIC_RELAXED);
	}
	errno = saved;
}

EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	packet_settle();
	return libc.select(n, in, out, except, timeout);
}
ALIAS(__select, select);

EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
		   const sigset_t *mask)
{
	packet_settle();
	return libc.pselect(n, in, out, except, timeout, mask);
}

/* As packet_mmap() of the kernel. */
static void *map_ring(const struct sock *s, void *where, size_t size, int flags, off_t offset)
{
	char *ring = (char *)ioth.region + GEOM_OFFSET(s->rec->rx_geom);
	int how = MREMAP_MAYMOVE | (flags & MAP_FIXED ? MREMAP_FIXED : 0);

	if (s->rec->ring_size == 0 || size != s->rec->ring_size || offset != 0)
		return (void *)-EINVAL;
	/* Of no length: a second mapping of what is shared. */
	return (void *)raw(SYS_mremap, ring, 0, size, how, where);
}

static bool is_ring(int fd, int flags, struct sock *s)
{
	if (fd < 0 || flags & MAP_ANONYMOUS || (flags & MAP_TYPE) == MAP_PRIVATE || !ioth.region)
		return false;
	return fdtab_find(fd, s) && s->rec->family == AF_PACKET;
}

EXPORT void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
	int saved = errno;
	struct sock s;
	bool ours = is_ring(fd, flags, &s);
	void *p = ours ? map_ring(&s, where, size, flags, offset)
		       : (void *)raw(SYS_mmap, where, size, protection, flags, fd, offset);

	errno = saved;
	if ((uintptr_t)p < (uintptr_t)-4095)
		return p;
	errno = (int)-(intptr_t)p;
	return MAP_FAILED;
}
ALIAS(mmap64, mmap);
