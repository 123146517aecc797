/* The server's side in C: of the region, of a connection and of the calls, by the same rules as
 * src/ring/byte-ring.ts, src/sockets/readiness.ts and src/sockets/calls.ts. The shim's own sources
 * are linked in; what would bring libc's names along is stood in for here. */
#ifndef PEER_H
#define PEER_H

#include "ioth.h"

#include <poll.h>
#include <sys/un.h>

#include "../conformance/tap.h"

#define REGION_SIZE (ABI_CHUNKS_OFFSET + (64u << 20))
#define PLUG	    2

struct ioth ioth = {.stack = "c0ffee", .prefix = "ioth/c0ffee/"};
static __thread uint32_t slot_of_thread = 1;

bool ioth_attached(void)
{
	return ioth.region;
}

uint32_t ioth_slot(void)
{
	return slot_of_thread;
}

bool server_dead(void)
{
	return __atomic_load_n(&ioth.region->state, __ATOMIC_SEQ_CST) == SERVER_DEAD;
}

void sigmask_block(uint64_t *saved)
{
	*saved = 0;
}

void sigmask_restore(uint64_t *saved)
{
	(void)saved;
}

void sigmask_hold(uint64_t *held)
{
	(void)held;
}

void sock_closed(const struct sock *s)
{
	s->rec->closing = 1;
}

static socklen_t service_address(struct sockaddr_un *un, const char *name)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "%s%d-%s",
				    ioth.prefix, getpid(), name));
}

int service_connect(int fd, const char *name)
{
	struct sockaddr_un un;
	socklen_t len = service_address(&un, name);

	return (int)raw(SYS_connect, fd, &un, len);
}

__attribute__((constructor)) static void region_open(void)
{
	ioth.region = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ioth.region->plug = PLUG;
	ioth.region->state = SERVER_RUNNING;
}

/* Memory for a ring: never given back, so that who reads an old one is found out. */
__attribute__((unused)) static uint32_t chunk(uint32_t log2)
{
	static uint32_t next = ABI_CHUNKS_OFFSET;
	uint32_t size = log2 < 12 ? 4096 : 1u << log2;
	uint32_t at = __atomic_fetch_add(&next, size, __ATOMIC_RELAXED);

	check(at + size <= REGION_SIZE);
	return at / 4096 << 5 | log2;
}

struct peer {
	struct sock s;
	int fd;	 /* the program's end */
	int end; /* the server's */
	uint32_t rung_head;
};

/* A connection whose counters begin at `start`; rings of 2^log2 bytes. */
__attribute__((unused)) static struct peer peer_open(uint32_t log2, uint32_t start)
{
	static uint32_t index;
	struct peer p;
	int pair[2], least = 1;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	p.fd = pair[0];
	p.end = pair[1];
	p.rung_head = start;
	must(setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)));
	sock_at(++index, 7, &p.s);
	memset(p.s.rec, 0, sizeof(*p.s.rec));
	p.s.rec->generation = 7;
	p.s.rec->type = SOCK_STREAM;
	p.s.rec->state = RECORD_CONNECTED;
	p.s.rec->accepted = 1;
	p.s.rec->rx_head = p.s.rec->rx_tail = p.s.rec->tx_head = p.s.rec->tx_tail = start;
	p.s.rec->rx_notify = start + 0x40000000;
	p.s.rec->rx_geom = chunk(log2);
	p.s.rec->tx_geom = chunk(log2);
	p.s.rec->tx_limit = 1u << log2;
	equal(canary_send(p.fd, 1), 0);
	return p;
}

__attribute__((unused)) static void peer_close(struct peer *p)
{
	close(p->fd);
	close(p->end);
}

/* Bytes that wait in a socket's queue. */
__attribute__((unused)) static int waiting(int fd)
{
	int n;

	must(ioctl(fd, FIONREAD, &n));
	return n;
}

__attribute__((unused)) static short polled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	must(poll(&p, 1, 0));
	return p.revents;
}

__attribute__((unused)) static void show_text(struct peer *p)
{
	struct record *rec = p->s.rec;
	uint32_t rung = __atomic_load_n(&rec->rung, __ATOMIC_SEQ_CST);
	uint32_t head = (uint32_t)__atomic_load_n(&rec->rx_head, __ATOMIC_SEQ_CST);
	uint32_t none = 0;

	if (rung > 1 || (rung == 1 && head == p->rung_head))
		return;
	if (!__atomic_compare_exchange_n(&rec->rung, &rung, rung + 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST) &&
	    !__atomic_compare_exchange_n(&rec->rung, &none, 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	p->rung_head = head;
	raw(SYS_sendto, p->end, "t", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

/* As many of the bytes as fit. */
__attribute__((unused)) static uint32_t publish(struct peer *p, const uint8_t *bytes, uint32_t n)
{
	struct record *rec = p->s.rec;
	uint32_t size = GEOM_SIZE(rec->rx_geom);
	uint32_t head = (uint32_t)__atomic_load_n(&rec->rx_head, __ATOMIC_SEQ_CST);
	uint32_t tail = rec->rx_tail;
	uint32_t room = size - (tail - head);

	n = n < room ? n : room;
	for (uint32_t i = 0; i < n; i++)
		ring_at(rec->rx_geom)[(tail + i) & (size - 1)] = bytes[i];
	__atomic_store_n(&rec->rx_tail, tail + n, __ATOMIC_SEQ_CST);
	if (n > 0)
		show_text(p);
	return n;
}

/* To another place of 2^log2 bytes, not fewer than before; the old one is scribbled over. */
__attribute__((unused)) static void move_receive_ring(struct peer *p, uint32_t log2)
{
	struct record *rec = p->s.rec;
	uint32_t old = rec->rx_geom, fresh = chunk(log2);
	uint32_t head = (uint32_t)__atomic_load_n(&rec->rx_head, __ATOMIC_SEQ_CST);

	for (uint32_t at = head; at != rec->rx_tail; at++)
		ring_at(fresh)[at & ((1u << log2) - 1)] = ring_at(old)[at & (GEOM_SIZE(old) - 1)];
	__atomic_store_n(&rec->rx_geom, fresh, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&rec->rx_head, HEAD_EPOCH, __ATOMIC_SEQ_CST);
	memset(ring_at(old), 0xee, GEOM_SIZE(old));
}

/* The plug goes out when there is room again. */
__attribute__((unused)) static void show_room(struct peer *p)
{
	struct record *rec = p->s.rec;
	uint32_t used = __atomic_load_n(&rec->tx_tail, __ATOMIC_SEQ_CST) - rec->tx_head;
	char bytes[PLUG];

	if ((rec->tx_limit - used) * 3 >= rec->tx_limit &&
	    __atomic_load_n(&rec->plugged, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&rec->plugged, 0, __ATOMIC_SEQ_CST))
		raw(SYS_recvfrom, p->end, bytes, PLUG - 1, MSG_DONTWAIT, NULL, NULL);
}

/* Takes up to n written bytes, as if the other end of the world had acknowledged them. */
__attribute__((unused)) static uint32_t consume(struct peer *p, uint8_t *to, uint32_t n)
{
	struct record *rec = p->s.rec;
	uint32_t size = GEOM_SIZE(rec->tx_geom);
	uint32_t head = rec->tx_head;
	uint32_t used = __atomic_load_n(&rec->tx_tail, __ATOMIC_SEQ_CST) - head;

	check(used <= size);
	n = n < used ? n : used;
	for (uint32_t i = 0; i < n; i++)
		to[i] = ring_at(rec->tx_geom)[(head + i) & (size - 1)];
	__atomic_store_n(&rec->tx_head, head + n, __ATOMIC_SEQ_CST);
	show_room(p);
	return n;
}

__attribute__((unused)) static bool work_posted(uint32_t index)
{
	struct region *r = ioth.region;
	uint32_t bits = __atomic_load_n(&r->work_dirty[index / 32], __ATOMIC_SEQ_CST);

	return bits >> index % 32 & 1 &&
	       __atomic_load_n(&r->work_summary[index / 1024], __ATOMIC_SEQ_CST) >>
		       (index / 32 % 32) &
		   1 &&
	       __atomic_load_n(&r->work_top, __ATOMIC_SEQ_CST) >> (index / 1024) & 1;
}

__attribute__((unused)) static void forget_work(void)
{
	struct region *r = ioth.region;

	__atomic_store_n(&r->work_top, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 16; i++)
		__atomic_store_n(&r->work_summary[i], 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 512; i++)
		__atomic_store_n(&r->work_dirty[i], 0, __ATOMIC_SEQ_CST);
}

__attribute__((unused)) static struct call *call_block(uint32_t i)
{
	return (struct call *)((char *)ioth.region + ABI_CALLS_OFFSET) + i;
}

/* An answer, unless the caller has given up. */
__attribute__((unused)) static void answer(struct call *c, int result)
{
	uint32_t word = __atomic_load_n(&c->word, __ATOMIC_SEQ_CST);

	c->result = result;
	if ((word & 0xff) == CALL_POSTED &&
	    __atomic_compare_exchange_n(&c->word, &word, (word & ~0xffu) | CALL_DONE, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		raw(SYS_futex, &c->word, 1 /* FUTEX_WAKE */, 1);
	else if ((word & 0xff) == CALL_ABANDONED)
		__atomic_store_n(&c->word, CALL_FREE, __ATOMIC_SEQ_CST);
}

/* Hands each posted call to `serve`; what was given up is free. */
__attribute__((unused)) static void take_calls(void (*serve)(struct call *c))
{
	uint32_t top = __atomic_exchange_n(&ioth.region->call_top, 0, __ATOMIC_SEQ_CST);

	for (; top; top &= top - 1) {
		int group = __builtin_ctz(top);
		uint32_t dirty =
		    __atomic_exchange_n(&ioth.region->call_dirty[group], 0, __ATOMIC_SEQ_CST);

		for (; dirty; dirty &= dirty - 1) {
			struct call *c = call_block((uint32_t)(group * 32 + __builtin_ctz(dirty)));
			uint32_t word = __atomic_load_n(&c->word, __ATOMIC_SEQ_CST);

			if ((word & 0xff) == CALL_POSTED)
				serve(c);
			else if ((word & 0xff) == CALL_ABANDONED)
				__atomic_store_n(&c->word, CALL_FREE, __ATOMIC_SEQ_CST);
		}
	}
}

/* The server's thread: answers calls until it is told to stop. */
static bool serving_stops;
static void *serving(void *serve)
{
	while (!__atomic_load_n(&serving_stops, __ATOMIC_SEQ_CST)) {
		take_calls((void (*)(struct call *))serve);
		sched_yield();
	}
	return NULL;
}

__attribute__((unused)) static pthread_t serve_calls(void (*serve)(struct call *c))
{
	pthread_t thread;

	__atomic_store_n(&serving_stops, false, __ATOMIC_SEQ_CST);
	equal(pthread_create(&thread, NULL, serving, (void *)serve), 0);
	return thread;
}

__attribute__((unused)) static void stop_serving(pthread_t thread)
{
	__atomic_store_n(&serving_stops, true, __ATOMIC_SEQ_CST);
	equal(pthread_join(thread, NULL), 0);
}

#endif
