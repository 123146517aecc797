/* cc: -fsanitize=thread ring.c ring-read.c iov.c doorbell.c ctl.c native.c fdtab.c vfork.c */
/* The rings of one connection, the tokens and the plug, with the server's side played here. */
#include "peer.h"

/* A reader that loses its swap has copied what the server was writing: it throws that away. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:copy_out\nrace:move_receive_ring\nrace:publish\n";
}

bool fd_nonblocking(int fd)
{
	return must(raw(SYS_fcntl, fd, F_GETFL)) & O_NONBLOCK;
}

static ssize_t get(struct peer *p, void *buf, size_t n)
{
	struct iovec iov = {buf, n};

	return ring_read(p->fd, &p->s, &iov, 1, 0, n, false, false);
}

/* No process here has handlers: nothing is ever held. */
static uint64_t held = SIGNALS_FREE;

static ssize_t put(struct peer *p, const void *buf, size_t n)
{
	struct iovec iov = {(void *)buf, n};

	return ring_write(p->fd, &p->s, &iov, 1, 0, n, true, false, &held);
}

static void pattern(uint8_t *to, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = (uint8_t)((from + i) * 2654435761u >> 24);
}

bool unreadable(const void *p, size_t n)
{
	return n > 0 && !p;
}

bool unwritable(const void *p, size_t n)
{
	return n > 0 && !p;
}

void urgent_unshow(int fd, const struct sock *s)
{
	(void)fd, (void)s;
}

int message_switch_over(int fd, const struct sock *s)
{
	(void)fd, (void)s;
	return -EBADF;
}

CASE("ring_read() across the wrap: each offset, each length, into three buffers")
{
	for (uint32_t start = 0; start < 16; start++)
		for (uint32_t n = 1; n <= 16; n++) {
			struct peer p = peer_open(4, 0xfffffff0u + start);
			uint8_t text[16], got[18] = {0};
			struct iovec iov[3] = {{got, n / 3}, {NULL, 0}, {got + n / 3, 17}};

			pattern(text, start, n);
			equal(publish(&p, text, n), n);
			equal(ring_read(p.fd, &p.s, iov, 3, 0, 17, false, false), n);
			check(memcmp(text, got, n) == 0);
			equal(got[n], 0);
			peer_close(&p);
		}
}

CASE("a short read leaves the ring empty and the socket silent")
{
	struct peer p = peer_open(12, 0);
	char got[20];

	equal(publish(&p, (const uint8_t *)"0123456789", 10), 10);
	equal(polled(p.fd), POLLIN | POLLOUT);
	equal(get(&p, got, 20), 10);
	equal(p.s.rec->rung, 0);
	equal(polled(p.fd), POLLOUT);
	equal(get(&p, got, 20), 0);
	peer_close(&p);
}

CASE("a read that fills its buffer leaves the token; new text rings again, twice at most")
{
	struct peer p = peer_open(12, 0);
	char got[20];

	publish(&p, (const uint8_t *)"0123456789", 10);
	equal(get(&p, got, 5), 5);
	equal(waiting(p.fd), 1);
	equal(p.s.rec->rung, 1);
	publish(&p, (const uint8_t *)"ab", 2);
	equal(waiting(p.fd), 2);
	publish(&p, (const uint8_t *)"cd", 2);
	equal(waiting(p.fd), 2);
	equal(get(&p, got, 20), 9);
	check(memcmp(got, "56789abcd", 9) == 0);
	equal(waiting(p.fd), 0);
	equal(p.s.rec->rung, 0);
	peer_close(&p);
}

CASE("a read of exactly what is there takes the token")
{
	struct peer p = peer_open(12, 0);
	char got[10];

	publish(&p, (const uint8_t *)"0123456789", 10);
	equal(get(&p, got, 10), 10);
	equal(waiting(p.fd), 0);
	equal(p.s.rec->rung, 0);
	peer_close(&p);
}

CASE("a token over an empty ring is taken by the next read")
{
	struct peer p = peer_open(12, 0);
	char got[10];

	p.s.rec->rung = 1;
	must(send(p.end, "t", 1, 0));
	equal(get(&p, got, 10), 0);
	equal(waiting(p.fd), 0);
	peer_close(&p);
}

CASE("tokens_take() waits for the byte that the server is about to send")
{
	struct peer p = peer_open(12, 0);
	pid_t child = must(fork());

	if (child == 0) {
		usleep(20000);
		_exit(send(p.end, "t", 1, 0) != 1);
	}
	tokens_take(p.fd, 1);
	equal(waiting(p.fd), 0);
	must(waitpid(child, NULL, 0));
	close(p.end);
	tokens_take(p.fd, 1); /* the end of the server's socket ends it */
	close(p.fd);
}

CASE("tokens_take() takes as many as it is told, whatever else lies there")
{
	struct peer p = peer_open(12, 0);

	must(send(p.end, "tttttext", 8, 0));
	tokens_take(p.fd, 5);
	equal(waiting(p.fd), 3);
	tokens_take(p.fd, 0);
	equal(waiting(p.fd), 3);
	peer_close(&p);
}

CASE("the last token of a dead connection stays in the socket")
{
	struct peer p = peer_open(12, 0);
	char got[10];

	publish(&p, (const uint8_t *)"x", 1);
	p.s.rec->flags = FLAG_DEAD;
	equal(get(&p, got, 10), 1);
	equal(waiting(p.fd), 1);
	peer_close(&p);
}

CASE("peek leaves text and token, discard takes both and copies nothing")
{
	struct peer p = peer_open(12, 0);
	char got[10] = "..........";
	struct iovec iov = {got, 10};

	publish(&p, (const uint8_t *)"abc", 3);
	equal(ring_read(p.fd, &p.s, &iov, 1, 0, 10, true, false), 3);
	check(memcmp(got, "abc.", 4) == 0);
	equal(waiting(p.fd), 1);
	equal(ring_used_rx(&p.s), 3);
	got[0] = '.';
	equal(ring_read(p.fd, &p.s, NULL, 0, 0, 10, false, true), 3);
	equal(got[0], '.');
	equal(waiting(p.fd), 0);
	peer_close(&p);
}

CASE("work is posted when the head passes rx_notify, once")
{
	struct peer p = peer_open(12, 0xfffffff8u);
	char got[4];

	p.s.rec->rx_notify = 4; /* 12 bytes on, past the wrap */
	publish(&p, (const uint8_t *)"0123456789abcdefghij", 20);
	forget_work();
	get(&p, got, 4);
	get(&p, got, 4);
	check(!work_posted(p.s.index));
	get(&p, got, 4);
	check(work_posted(p.s.index));
	forget_work();
	get(&p, got, 4);
	check(!work_posted(p.s.index));
	peer_close(&p);
}

CASE("a native socket is not read")
{
	struct peer p = peer_open(12, 0);
	char got[4];

	publish(&p, (const uint8_t *)"abc", 3);
	p.s.rec->rx_head |= HEAD_NATIVE;
	equal(get(&p, got, 4), -ESTALE);
	equal(ring_used_rx(&p.s), 0);
	equal(waiting(p.fd), 1);
	peer_close(&p);
}

/* A stream of `total` pattern bytes through a ring that moves now and then. */
struct stream {
	struct peer p;
	uint32_t total;
	uint64_t counts[256]; /* of each byte value, read */
	uint32_t read;
	bool exact; /* one reader: the bytes are in order */
	bool drains;
};

static void *publish_all(void *arg)
{
	struct stream *st = arg;
	uint8_t text[700];
	uint32_t at = 0, moves = 0, seed = 12345;

	while (at < st->total) {
		uint32_t n, want;

		seed = seed * 1664525 + 1013904223;
		want = seed >> 16 & 511 ? (seed >> 20) % sizeof(text) + 1 : 1;
		want = want < st->total - at ? want : st->total - at;
		pattern(text, at, want);
		n = publish(&st->p, text, want);
		at += n;
		if (n == 0)
			sched_yield();
		if ((seed & 0xff) == 0 && moves++ < 200)
			move_receive_ring(&st->p, 10 + moves / 70);
	}
	return NULL;
}

static void count(struct stream *st, const uint8_t *got, size_t n)
{
	uint8_t want[1000];

	if (st->exact) {
		pattern(want, st->read, (uint32_t)n);
		check(memcmp(got, want, n) == 0);
	}
	for (size_t i = 0; i < n; i++)
		__atomic_fetch_add(&st->counts[got[i]], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&st->read, (uint32_t)n, __ATOMIC_RELAXED);
}

/* Takes a part of what it is shown. */
static ssize_t drain_some(const uint8_t *src, size_t n, void *arg)
{
	n = n > 100 ? n - n / 7 : n;
	n = n < 1000 ? n : 1000;
	count(arg, src, n);
	return (ssize_t)n;
}

static void *read_all(void *arg)
{
	struct stream *st = arg;
	uint8_t got[1000];
	uint32_t seed = (uint32_t)(uintptr_t)&got;

	while (__atomic_load_n(&st->read, __ATOMIC_RELAXED) < st->total) {
		ssize_t n;

		seed = seed * 1664525 + 1013904223;
		if (st->drains && seed >> 31) {
			n = ring_drain(st->p.fd, &st->p.s, 900, drain_some, st);
			check(n >= 0);
		} else {
			n = get(&st->p, got, (seed >> 16) % sizeof(got) + 1);
			check(n >= 0);
			count(st, got, (size_t)n);
		}
		if (n == 0 && st->exact && st->read < st->total) {
			struct pollfd in = {.fd = st->p.fd, .events = POLLIN};

			/* An event loop's: whoever found nothing is told when there is something.
			 */
			equal(poll(&in, 1, 10000), 1);
		} else if (n == 0)
			sched_yield();
	}
	return NULL;
}

static void run_stream(struct stream *st, int readers, uint32_t total)
{
	pthread_t server, reader[8];
	uint64_t want[256] = {0};
	char none[1];

	st->p = peer_open(10, 0xffffff00u);
	st->total = total;
	for (int i = 0; i < readers; i++)
		equal(pthread_create(&reader[i], NULL, read_all, st), 0);
	equal(pthread_create(&server, NULL, publish_all, st), 0);
	pthread_join(server, NULL);
	for (int i = 0; i < readers; i++)
		pthread_join(reader[i], NULL);
	check(!tap_failed);
	equal(st->read, total);
	for (uint32_t i = 0; i < total; i++) {
		uint8_t byte;

		pattern(&byte, i, 1);
		want[byte]++;
	}
	check(memcmp(want, st->counts, sizeof(want)) == 0);
	/* Two reads side by side may each have left the other's token; the next one takes it. */
	equal(get(&st->p, none, 1), 0);
	equal(st->p.s.rec->rung, 0);
	equal(waiting(st->p.fd), 0);
	equal(st->p.s.rec->rlock, 0);
	peer_close(&st->p);
}

CASE("one reader that polls when it finds nothing, a ring that moves: every byte, in order")
{
	static struct stream st = {.exact = true};

	run_stream(&st, 1, 400000);
}

/* One reader, told when to begin; and where it is. */
struct round {
	struct peer p;
	uint32_t begun, ended;
	ssize_t got;
};

static void *read_in_rounds(void *arg)
{
	struct round *r = arg;
	char byte;

	for (uint32_t i = 1; i <= 1000; i++) {
		for (int n = 1; __atomic_load_n(&r->begun, __ATOMIC_SEQ_CST) != i; n++)
			n % 1000 ? cpu_relax() : (void)sched_yield();
		r->got = get(&r->p, &byte, 1);
		__atomic_store_n(&r->ended, i, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

CASE("text that comes between the look and the dance is read, or its token stays")
{
	static struct round r;
	pthread_t reader;

	r.p = peer_open(12, 0);
	equal(pthread_create(&reader, NULL, read_in_rounds, &r), 0);
	for (uint32_t i = 1; i <= 1000; i++) {
		char byte;

		/* A token over an empty ring, and the lock held until there is text again. */
		r.p.s.rec->rung = 1;
		r.p.rung_head = (uint32_t)r.p.s.rec->rx_head;
		must(send(r.p.end, "t", 1, 0));
		__atomic_store_n(&r.p.s.rec->rlock, 9u << 19 | 5, __ATOMIC_SEQ_CST);
		__atomic_store_n(&r.begun, i, __ATOMIC_SEQ_CST);
		for (uint32_t spin = 0; spin < i % 100; spin++)
			cpu_relax();
		equal(publish(&r.p, (const uint8_t *)"x", 1), 1);
		__atomic_store_n(&r.p.s.rec->rlock, 0, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&r.ended, __ATOMIC_SEQ_CST) != i)
			sched_yield();
		equal(polled(r.p.fd) & POLLIN, r.got == 0 ? POLLIN : 0);
		if (r.got == 0)
			equal(get(&r.p, &byte, 1), 1);
		equal(polled(r.p.fd) & POLLIN, 0);
	}
	pthread_join(reader, NULL);
	peer_close(&r.p);
}

CASE("four readers, a ring that moves: every byte once")
{
	static struct stream st;

	run_stream(&st, 4, 300000);
}

CASE("three threads that read and splice, a ring that moves: every byte once")
{
	static struct stream st = {.drains = true};

	run_stream(&st, 3, 200000);
}

static ssize_t drain_three(const uint8_t *src, size_t n, void *arg)
{
	check(n >= 3);
	memcpy(arg, src, 3);
	return 3;
}

static ssize_t drain_error(const uint8_t *src, size_t n, void *arg)
{
	(void)src, (void)n, (void)arg;
	return -EPIPE;
}

CASE("ring_drain() takes what its function took, no more")
{
	struct peer p = peer_open(4, 14);
	char got[10] = {0};

	publish(&p, (const uint8_t *)"0123456789", 10);
	equal(ring_drain(p.fd, &p.s, 10, drain_three, got), 3);
	check(memcmp(got, "012", 3) == 0);
	equal(ring_drain(p.fd, &p.s, 10, drain_error, NULL), -EPIPE);
	equal(waiting(p.fd), 1);
	equal(get(&p, got, 10), 7);
	check(memcmp(got, "3456789", 7) == 0);
	equal(waiting(p.fd), 0);
	equal(p.s.rec->rlock, 0);
	peer_close(&p);
}

CASE("a splice that was killed in its work does not keep readers out")
{
	struct peer p = peer_open(12, 0);
	char got[10];

	publish(&p, (const uint8_t *)"abc", 3);
	p.s.rec->rx_head |= HEAD_DRAIN; /* and the server has broken its lock */
	equal(get(&p, got, 10), 3);
	equal(p.s.rec->rx_head >> 32, 0);
	peer_close(&p);
}

CASE("ring_write() across the wrap: each offset, each length, from three buffers")
{
	for (uint32_t start = 0; start < 16; start++)
		for (uint32_t n = 1; n <= 16; n++) {
			struct peer p = peer_open(4, 0xfffffff0u + start);
			uint8_t text[18], got[16];
			struct iovec iov[3] = {
			    {text, 2}, {text + 2, n / 2}, {text + 2 + n / 2, 16}};

			pattern(text, start, 18);
			equal(ring_write(p.fd, &p.s, iov, 3, 2, n, true, false, &held), n);
			equal(consume(&p, got, 16), n);
			check(memcmp(text + 2, got, n) == 0);
			peer_close(&p);
		}
}

CASE("a ring left full takes POLLOUT away, a third of it free gives it back")
{
	struct peer p = peer_open(12, 0);
	static uint8_t text[5000];

	equal(put(&p, text, 4095), 4095);
	equal(polled(p.fd), POLLOUT);
	equal(put(&p, text, 1), 1);
	equal(polled(p.fd), 0);
	equal(p.s.rec->plugged, 1);
	equal(put(&p, text, 1), 0);
	equal(waiting(p.end), PLUG);
	equal(consume(&p, text, 1000), 1000);
	equal(polled(p.fd), 0);
	equal(put(&p, text, 100), 100);
	equal(consume(&p, text, 600), 600);
	equal(polled(p.fd), POLLOUT);
	equal(waiting(p.end), 1); /* the canary */
	peer_close(&p);
}

CASE("a write that is cut short plugs, also for who will wait, and posts work")
{
	struct peer p = peer_open(12, 0);
	static uint8_t text[5000];
	struct iovec iov = {text, 5000};

	forget_work();
	equal(ring_write(p.fd, &p.s, &iov, 1, 0, 5000, false, false, &held), 4096);
	equal(p.s.rec->plugged, 1);
	check(work_posted(p.s.index));
	forget_work();
	equal(ring_write(p.fd, &p.s, &iov, 1, 4096, 904, true, false, &held), 0);
	equal(waiting(p.end), PLUG);
	check(work_posted(p.s.index));
	peer_close(&p);
}

CASE("tx_limit bounds the writer below the ring's size")
{
	struct peer p = peer_open(12, 0);
	static uint8_t text[5000];

	p.s.rec->tx_limit = 1000;
	equal(put(&p, text, 5000), 1000);
	p.s.rec->tx_limit = 500; /* made smaller while full */
	equal(put(&p, text, 5000), 0);
	equal(consume(&p, text, 600), 600);
	equal(put(&p, text, 5000), 100);
	peer_close(&p);
}

CASE("what forbids writing: native, shut, dead, connecting, unconnected, a dead server")
{
	struct peer p = peer_open(12, 0);

	p.s.rec->mode = MODE_NATIVE;
	equal(put(&p, "x", 1), -ESTALE);
	p.s.rec->mode = MODE_RING;
	p.s.rec->flags = FLAG_SHUT_WR;
	equal(put(&p, "x", 1), -EPIPE);
	p.s.rec->flags = FLAG_DEAD;
	equal(put(&p, "x", 1), -EPIPE);
	p.s.rec->flags = 0;
	p.s.rec->state = RECORD_CONNECTING;
	equal(put(&p, "x", 1), 0);
	p.s.rec->state = RECORD_OPEN;
	equal(put(&p, "x", 1), -EPIPE);
	p.s.rec->state = RECORD_CONNECTED;
	ioth.region->state = SERVER_DEAD;
	equal(put(&p, "x", 1), -ECONNRESET);
	ioth.region->state = SERVER_RUNNING;
	equal(put(&p, "x", 1), 1);
	equal(p.s.rec->wlock, 0);
	peer_close(&p);
}

static ssize_t fill_then_fail(uint8_t *dst, size_t room, void *arg)
{
	int *calls = arg;

	if ((*calls)++ > 0)
		return -EIO;
	memset(dst, 'f', room);
	return (ssize_t)room;
}

CASE("ring_fill() gives what came before an error, and then the error")
{
	struct peer p = peer_open(4, 10);
	int calls = 0;

	equal(ring_fill(p.fd, &p.s, 16, true, false, fill_then_fail, &calls, &held), 6);
	equal(ring_fill(p.fd, &p.s, 16, true, false, fill_then_fail, &calls, &held), -EIO);
	equal(p.s.rec->wlock, 0);
	peer_close(&p);
}

/* Four threads write bytes that carry their number and a count. */
struct writers {
	struct peer p;
	uint32_t each;
	uint32_t next;
};

static void *write_all(void *arg)
{
	struct writers *w = arg;
	uint8_t who = (uint8_t)__atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
	uint8_t text[300];

	for (uint32_t at = 0; at < w->each;) {
		uint32_t n = (at * 7 + who) % sizeof(text) + 1;
		ssize_t r;

		n = n < w->each - at ? n : w->each - at;
		for (uint32_t i = 0; i < n; i++)
			text[i] = (uint8_t)(who << 6 | ((at + i) & 63));
		r = put(&w->p, text, n);
		check(r >= 0 || r == -EAGAIN);
		at += r > 0 ? (uint32_t)r : 0;
		if (r <= 0)
			sched_yield();
	}
	return NULL;
}

CASE("four writers: nothing lost, each one's bytes in order, POLLOUT as it should be")
{
	static struct writers w = {.each = 50000};
	pthread_t thread[4];
	uint32_t next[4] = {0}, total = 0;
	uint8_t got[500];

	w.p = peer_open(10, 0xfffff000u);
	for (int i = 0; i < 4; i++)
		equal(pthread_create(&thread[i], NULL, write_all, &w), 0);
	while (total < 4 * w.each) {
		uint32_t n = consume(&w.p, got, total % sizeof(got) + 1);

		for (uint32_t i = 0; i < n; i++)
			equal(got[i] & 63, next[got[i] >> 6]++ & 63);
		total += n;
		if (n == 0)
			sched_yield();
	}
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	show_room(&w.p);
	equal(w.p.s.rec->plugged, 0);
	equal(waiting(w.p.end), 1);
	equal(polled(w.p.fd), POLLOUT);
	equal(w.p.s.rec->wlock, 0);
	peer_close(&w.p);
}

/* An event loop that writes: whoever is turned away waits for an edge. */
static void *write_by_edges(void *arg)
{
	struct writers *w = arg;
	int ep = must(epoll_create1(0));
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
	uint8_t text[1500];

	must(epoll_ctl(ep, EPOLL_CTL_ADD, w->p.fd, &event));
	equal(epoll_wait(ep, &event, 1, 0), 1);
	for (uint32_t at = 0; at < w->each;) {
		uint32_t n = w->each - at < sizeof(text) ? w->each - at : sizeof(text);
		ssize_t r;

		pattern(text, at, n);
		r = put(&w->p, text, n);
		check(r >= 0);
		at += (uint32_t)r;
		if (r < n)
			equal(epoll_wait(ep, &event, 1, 10000), 1);
	}
	close(ep);
	return NULL;
}

CASE("a short write is followed by an edge, whenever the server makes room")
{
	static struct writers w = {.each = 500000};
	pthread_t thread;
	uint8_t got[1024], want[1024];

	w.p = peer_open(10, 77);
	equal(pthread_create(&thread, NULL, write_by_edges, &w), 0);
	for (uint32_t total = 0; total < w.each;) {
		uint32_t n = consume(&w.p, got, 1 + total % 8);

		pattern(want, total, n);
		check(memcmp(got, want, n) == 0);
		total += n;
		show_room(&w.p);
	}
	pthread_join(thread, NULL);
	check(!tap_failed);
	peer_close(&w.p);
}

static uint32_t lock;
static int guarded;

static void *lock_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3000; i++) {
		equal(lock_take(&lock), 0);
		guarded++;
		lock_drop(&lock);
	}
	return NULL;
}

CASE("lock_take() lets one in at a time, of eight")
{
	pthread_t thread[8];

	for (int i = 0; i < 8; i++)
		equal(pthread_create(&thread[i], NULL, lock_often, NULL), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
	equal(guarded, 24000);
	equal(lock, 0);
}

CASE("a lock that was broken and taken by another is not dropped by its first owner")
{
	equal(lock_take(&lock), 0);
	equal(LOCK_SLOT(lock), 1);
	lock = 9u << 19 | 5;
	lock_drop(&lock);
	equal(lock, 9u << 19 | 5);
	lock |= LOCK_WAITERS;
	lock_drop(&lock);
	equal(lock, 9u << 19 | 5 | LOCK_WAITERS);
	equal(lock_try(&lock), false);
	equal(lock_take_for(&lock, 5), -EAGAIN);
	lock = 0;
}

static void *break_later(void *arg)
{
	(void)arg;
	usleep(30000);
	__atomic_store_n(&lock, 0, __ATOMIC_SEQ_CST);
	raw(SYS_futex, &lock, 1 /* FUTEX_WAKE */, 1 << 30);
	return NULL;
}

CASE("a sleeper gets the lock that the server breaks")
{
	pthread_t thread;

	lock = 9u << 19 | 5;
	equal(pthread_create(&thread, NULL, break_later, NULL), 0);
	equal(lock_take(&lock), 0);
	equal(lock & ~LOCK_WAITERS, 1u << 19 | (lock & 0x7ffff));
	lock_drop(&lock);
	equal(lock, 0);
	pthread_join(thread, NULL);
}

CASE("nobody sleeps for a lock when the server is dead, or it is one's own")
{
	equal(lock_take(&lock), 0);
	equal(lock_take(&lock), -EDEADLK);
	lock_drop(&lock);
	lock = 9u << 19 | 5;
	ioth.region->state = SERVER_DEAD;
	equal(lock_take(&lock), -ENETDOWN);
	equal(lock_take_for(&lock, 5), -ENETDOWN);
	ioth.region->state = SERVER_RUNNING;
	lock = 0;
}

CASE("who may not wait leaves a mark on a held lock, and gets an edge when it is dropped")
{
	struct peer p = peer_open(12, 0);

	p.s.rec->wlock = 9u << 19 | 5;
	equal(put(&p, "x", 1), -EAGAIN);
	equal(p.s.rec->contended, 1);
	equal(p.s.rec->plugged, 0);
	p.s.rec->wlock = 0; /* the server broke it; now the next writer does it */
	equal(put(&p, "y", 1), 1);
	equal(p.s.rec->contended, 0);
	equal(p.s.rec->plugged, 1);
	equal(p.s.rec->wlock, 0);
	check(work_posted(p.s.index));
	equal(polled(p.fd), 0);
	show_room(&p);
	equal(polled(p.fd), POLLOUT);
	peer_close(&p);
}

static void *move_a_ring(void *arg)
{
	uint32_t *wlock = arg;

	usleep(30000);
	__atomic_store_n(wlock, 0, __ATOMIC_SEQ_CST);
	raw(SYS_futex, wlock, 1 /* FUTEX_WAKE */, 1 << 30);
	return NULL;
}

CASE("who may not wait waits for the server all the same, which looks at no marks")
{
	struct peer p = peer_open(12, 0);
	pthread_t thread;

	p.s.rec->wlock = LOCK_SERVER;
	equal(pthread_create(&thread, NULL, move_a_ring, &p.s.rec->wlock), 0);
	equal(put(&p, "x", 1), 1);
	pthread_join(thread, NULL);
	equal(p.s.rec->wlock | p.s.rec->contended, 0);
	p.s.rec->wlock = LOCK_SERVER;
	ioth.region->state = SERVER_DEAD;
	check(!lock_try(&p.s.rec->wlock));
	ioth.region->state = SERVER_RUNNING;
	peer_close(&p);
}

static int discard;
static struct peer *switching;

static void serve_native(struct call *c)
{
	equal(c->op, OP_NATIVE);
	discard = c->arg[0];
	/* The server may send text before it answers. */
	if (switching)
		must(send(switching->end, "text", 4, 0));
	answer(c, 0);
}

CASE("going native: canary and plug are to be thrown away, tokens are taken, text stays")
{
	struct peer p = peer_open(12, 0);
	pthread_t server;
	static uint8_t text[4096];
	char got[10];
	int size;
	socklen_t len = sizeof(size);

	equal(put(&p, text, 4096), 4096);
	publish(&p, (const uint8_t *)"abc", 3);
	switching = &p;
	server = serve_calls(serve_native);
	equal(sock_go_native(p.fd, &p.s), 0);
	equal(sock_go_native(p.fd, &p.s), 0);
	stop_serving(server);
	switching = NULL;
	equal(discard, PLUG);
	equal(waiting(p.end), PLUG);
	equal(p.s.rec->rung, 0);
	equal(p.s.rec->plugged, 0);
	equal(p.s.rec->mode, MODE_NATIVE);
	equal(p.s.rec->wlock | p.s.rec->rlock, 0);
	equal(get(&p, got, 10), -ESTALE);
	equal(put(&p, "x", 1), -ESTALE);
	equal(recv(p.fd, got, 10, MSG_DONTWAIT), 4);
	check(memcmp(got, "text", 4) == 0);
	must(getsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &size, &len));
	check(size >= 100000);
	peer_close(&p);
}

static void refuse(struct call *c)
{
	answer(c, -EINVAL);
}

CASE("a server that says no leaves the socket in ring mode; a dead one needs no asking")
{
	struct peer p = peer_open(12, 0);
	pthread_t server = serve_calls(refuse);
	char got[4];

	publish(&p, (const uint8_t *)"abc", 3);
	equal(sock_go_native(p.fd, &p.s), -EINVAL);
	stop_serving(server);
	equal(get(&p, got, 4), 3);
	equal(p.s.rec->wlock | p.s.rec->rlock, 0);
	ioth.region->state = SERVER_DEAD;
	equal(sock_go_native(p.fd, &p.s), 0);
	equal(p.s.rec->wlock | p.s.rec->rlock, 0);
	ioth.region->state = SERVER_RUNNING;
	peer_close(&p);
}

/* A writer in the middle of its text when the socket goes native. */
static void *write_through(void *arg)
{
	struct writers *w = arg;
	uint8_t text[100];

	for (uint32_t at = 0; at < w->each;) {
		uint32_t n = w->each - at < sizeof(text) ? w->each - at : sizeof(text);
		ssize_t r;

		pattern(text, at, n);
		r = put(&w->p, text, n);
		if (r == -ESTALE)
			r = raw(SYS_sendto, w->p.fd, text, n, MSG_NOSIGNAL, NULL, 0);
		check(r >= 0 || r == -EAGAIN);
		at += r > 0 ? (uint32_t)r : 0;
		if (r <= 0)
			sched_yield();
	}
	return NULL;
}

static void serve_quietly(struct call *c)
{
	discard = c->arg[0];
	answer(c, 0);
}

/* Everything that was written before the switch, from the ring, then from the socket. */
static void collect(struct writers *w, uint32_t switch_at)
{
	uint8_t got[200], want[200];
	pthread_t server = serve_calls(serve_quietly);
	bool native = false;
	uint32_t total = 0;

	while (total < w->each) {
		ssize_t n = consume(&w->p, got, 1 + total % 150);

		if (total >= switch_at && !native) {
			equal(sock_go_native(w->p.fd, &w->p.s), 0);
			equal(raw(SYS_recvfrom, w->p.end, want, discard, MSG_DONTWAIT, NULL, NULL),
			      discard);
			native = true;
		}
		if (n == 0 && native)
			n = raw(SYS_recvfrom, w->p.end, got, sizeof(got), MSG_DONTWAIT, NULL, NULL);
		if (n <= 0) {
			sched_yield();
			continue;
		}
		pattern(want, total, (uint32_t)n);
		check(memcmp(got, want, (size_t)n) == 0);
		total += (uint32_t)n;
	}
	stop_serving(server);
}

CASE("going native under a writer at 30 moments: no byte lost, none doubled")
{
	for (uint32_t moment = 0; moment < 30; moment++) {
		static struct writers w;
		pthread_t thread;

		w = (struct writers){.p = peer_open(8, moment * 1000), .each = 6000};
		equal(pthread_create(&thread, NULL, write_through, &w), 0);
		collect(&w, moment * 150);
		pthread_join(thread, NULL);
		check(!tap_failed);
		equal(waiting(w.p.end), 0);
		peer_close(&w.p);
	}
}
