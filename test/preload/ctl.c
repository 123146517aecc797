/* cc: -fsanitize=thread ctl.c doorbell.c fdtab.c vfork.c */
/* Calls to the server, given up or not, and the kicks that wake it. */
#include "peer.h"

#include <sys/resource.h>

static struct sock sock = {.index = 40, .generation = 9};

static int blocks_in_use(void)
{
	int n = 0;

	for (uint32_t i = 0; i < ABI_CALLS; i++)
		n += __atomic_load_n(&call_block(i)->word, __ATOMIC_SEQ_CST) != CALL_FREE;
	return n;
}

static void echo(struct call *c)
{
	for (uint32_t i = 0; i < c->data_len; i++)
		c->data[i] ^= 1;
	for (int i = 0; i < 6; i++)
		c->arg[i] = -c->arg[i];
	c->generation = c->record + c->generation + c->op;
	answer(c, c->arg[0]);
}

CASE("ctl_call() carries arguments and data there and back")
{
	pthread_t server = serve_calls(echo);
	char out[448];
	struct request r = {.op = OP_GETSOCKOPT,
			    .record = 40,
			    .generation = 9,
			    .arg = {-5, 2, 3, 4, 5, 6},
			    .in = "abc",
			    .in_len = 3,
			    .out = out,
			    .out_len = sizeof(out)};

	equal(ctl_call(&r), 5);
	equal(r.generation, 40 + 9 + OP_GETSOCKOPT);
	equal(r.arg[5], -6);
	equal(r.out_len, 3);
	check(memcmp(out, "`cb", 3) == 0);
	r.out_len = 2;
	equal(ctl_call(&r), -5);
	equal(r.out_len, 2);
	r.in_len = 449;
	equal(ctl_call(&r), -EINVAL);
	equal(ctl_simple(&sock, OP_LISTEN, 22, 0), -22);
	equal(blocks_in_use(), 0);
	stop_serving(server);
}

static void never(struct call *c)
{
	(void)c;
}

static void handler(int sig)
{
	(void)sig;
}

static pthread_t main_thread;
static bool poking;
static void *poke(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&poking, __ATOMIC_SEQ_CST)) {
		usleep(5000);
		pthread_kill(main_thread, SIGUSR1);
	}
	return NULL;
}

static pthread_t poke_me(int flags)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
	pthread_t thread;

	must(sigaction(SIGUSR1, &act, NULL));
	main_thread = pthread_self();
	poking = true;
	equal(pthread_create(&thread, NULL, poke, NULL), 0);
	return thread;
}

static void stop_poking(pthread_t thread)
{
	__atomic_store_n(&poking, false, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
}

CASE("a signal ends an interruptible call with EINTR, and the block comes back")
{
	pthread_t server = serve_calls(never);
	pthread_t poker = poke_me(0);
	struct request r = {.op = OP_WAIT, .interruptible = true};

	equal(ctl_call(&r), -EINTR);
	stop_poking(poker);
	while (blocks_in_use())
		sched_yield();
	stop_serving(server);
}

static int64_t answer_at;
static void answer_late(struct call *c)
{
	/* Posted once, looked at often. */
	if (now_ns() >= answer_at)
		answer(c, 7);
	else {
		uint32_t i = (uint32_t)(c - call_block(0));

		__atomic_fetch_or(&ioth.region->call_dirty[i / 32], 1u << i % 32, __ATOMIC_SEQ_CST);
		__atomic_fetch_or(&ioth.region->call_top, 1u << i / 32, __ATOMIC_SEQ_CST);
	}
}

CASE("signals do not end a call that is not interruptible, nor with SA_RESTART one that is")
{
	pthread_t server = serve_calls(answer_late);
	struct request r = {.op = OP_WAIT};

	for (int restart = 0; restart < 2; restart++) {
		pthread_t poker = poke_me(restart ? SA_RESTART : 0);

		answer_at = now_ns() + 60000000;
		r.interruptible = restart;
		equal(ctl_call(&r), 7);
		stop_poking(poker);
	}
	equal(blocks_in_use(), 0);
	stop_serving(server);
}

CASE("a call with a limit ends with EAGAIN, not before its time")
{
	pthread_t server = serve_calls(never);
	struct request r = {.op = OP_WAIT, .timeout_ms = 40};
	int64_t start = now_ns();

	equal(ctl_call(&r), -EAGAIN);
	check(now_ns() - start >= 40000000);
	while (blocks_in_use())
		sched_yield();
	stop_serving(server);
}

static void *call_and_be_cancelled(void *arg)
{
	struct request r = {.op = OP_WAIT, .interruptible = true};

	ctl_call(&r);
	return arg;
}

CASE("a thread that waits in a call can be cancelled, and the block comes back")
{
	pthread_t server = serve_calls(never);
	pthread_t thread;
	void *result;

	equal(pthread_create(&thread, NULL, call_and_be_cancelled, NULL), 0);
	while (blocks_in_use() == 0)
		sched_yield();
	usleep(10000);
	equal(pthread_cancel(thread), 0);
	equal(pthread_join(thread, &result), 0);
	check(result == PTHREAD_CANCELED);
	while (blocks_in_use())
		sched_yield();
	stop_serving(server);
}

/* The undertaker's work. */
static void *bury(void *arg)
{
	usleep(20000);
	__atomic_store_n(&ioth.region->state, SERVER_DEAD, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < ABI_CALLS; i++) {
		uint32_t *word = &call_block(i)->word;
		uint32_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);

		if ((seen & 0xff) == CALL_POSTED || (seen & 0xff) == CALL_CLAIMED)
			__atomic_store_n(word, (seen & ~0xffu) | CALL_DEAD, __ATOMIC_SEQ_CST);
		raw(SYS_futex, word, 1 /* FUTEX_WAKE */, 1);
	}
	return arg;
}

CASE("the server's death ends calls under way with ENETDOWN, and later ones at once")
{
	pthread_t undertaker;
	struct request r = {.op = OP_WAIT};

	equal(pthread_create(&undertaker, NULL, bury, NULL), 0);
	equal(ctl_call(&r), -ENETDOWN);
	pthread_join(undertaker, NULL);
	equal(ctl_call(&r), -ENETDOWN);
	ioth.region->state = SERVER_RUNNING;
	for (uint32_t i = 0; i < ABI_CALLS; i++)
		call_block(i)->word = CALL_FREE;
}

CASE("without a slot there are no calls")
{
	struct request r = {.op = OP_WAIT};

	slot_of_thread = 0;
	equal(ctl_call(&r), -ENETDOWN);
	slot_of_thread = 1;
}

static void *call_often(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)&arg;

	for (int i = 0; i < 500; i++) {
		struct request r = {.op = OP_WAIT, .arg = {i}};
		int n;

		seed = seed * 1664525 + 1013904223;
		r.timeout_ms = (seed >> 28) == 0;
		n = ctl_call(&r);
		check(n == -i || (n == -EAGAIN && r.timeout_ms));
	}
	return NULL;
}

static void answer_some(struct call *c)
{
	static uint32_t seed = 99;

	seed = seed * 1664525 + 1013904223;
	if (seed >> 28 < 2)
		usleep(600);
	echo(c);
}

CASE("four threads, answers that race with the caller's patience: no answer lost or swapped")
{
	pthread_t server = serve_calls(answer_some);
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		equal(pthread_create(&thread[i], NULL, call_often, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	while (blocks_in_use())
		sched_yield();
	stop_serving(server);
}

CASE("all blocks taken: a call waits for one")
{
	pthread_t server = serve_calls(echo);

	for (uint32_t i = 0; i < ABI_CALLS; i++)
		call_block(i)->word = CALL_CLAIMED | 9 << 8;
	answer_at = now_ns() + 20000000;
	if (must(fork()) == 0) {
		usleep(20000);
		__atomic_store_n(&call_block(77)->word, CALL_FREE, __ATOMIC_SEQ_CST);
		_exit(0);
	}
	equal(ctl_simple(&sock, OP_LISTEN, 5, 0), -5);
	must(wait(NULL));
	stop_serving(server);
	for (uint32_t i = 0; i < ABI_CALLS; i++)
		call_block(i)->word = CALL_FREE;
}

CASE("post_work() sets all three bits, whatever they were")
{
	for (uint32_t i = 0; i < ABI_RECORDS; i += 1021) {
		forget_work();
		post_work(i);
		check(work_posted(i));
		ioth.region->work_summary[i / 1024] = 0;
		post_work(i);
		check(work_posted(i));
	}
	post_work(ABI_RECORDS - 1);
	check(work_posted(ABI_RECORDS - 1));
	forget_work();
}

static int kicks;

static int listen_for_kicks(void)
{
	struct sockaddr_un un;
	socklen_t len = service_address(&un, "kick");
	int fd = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));

	must(bind(fd, (struct sockaddr *)&un, len));
	return fd;
}

static int kicks_heard(int fd)
{
	char byte;
	int n = 0;

	while (recv(fd, &byte, 1, 0) == 1)
		n++;
	kicks += n;
	return n;
}

/* The number that is open now and was not before. */
static int new_fd(int from)
{
	for (int fd = from; fd < 1024; fd++)
		if (raw(SYS_fcntl, fd, F_GETFD) >= 0)
			return fd;
	return -1;
}

CASE("one kick per sleep, by a socket under a high number that is closed on exec")
{
	int server = listen_for_kicks();
	int fd;

	post_work(5);
	equal(kicks_heard(server), 0);
	ioth.region->asleep = 1;
	post_work(5);
	equal(ioth.region->asleep, 0);
	equal(kicks_heard(server), 1);
	post_work(6);
	equal(kicks_heard(server), 0);
	fd = new_fd(500);
	check(fd >= 500);
	equal(raw(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	ioth.region->asleep = 1;
	post_work(5);
	equal(kicks_heard(server), 1);
	equal(new_fd(fd + 1), -1);
	close(server);
}

CASE("a number that the program has closed and used for something else is never written to")
{
	int server = listen_for_kicks();
	int fd = new_fd(500);
	int pair[2], fresh;
	char byte;

	check(fd >= 500);
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	must(dup2(pair[0], fd));
	ioth.region->asleep = 1;
	post_work(5);
	equal(kicks_heard(server), 1);
	fails(recv(pair[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
	fresh = new_fd(fd + 1);
	check(fresh > fd);
	close(fd);
	ioth.region->asleep = 1;
	post_work(5);
	equal(kicks_heard(server), 1);
	equal(new_fd(fresh + 1), -1);
	close(pair[0]);
	close(pair[1]);
	close(server);
}

CASE("no server to hear the kick, or no descriptor left: it is asked for again")
{
	struct rlimit was, tight;
	int server;

	ioth.region->asleep = 1;
	post_work(5);
	equal(ioth.region->asleep, 1);
	server = listen_for_kicks();
	close(new_fd(500));
	must(getrlimit(RLIMIT_NOFILE, &was));
	tight = was;
	tight.rlim_cur = 3;
	must(setrlimit(RLIMIT_NOFILE, &tight));
	post_work(5);
	must(setrlimit(RLIMIT_NOFILE, &was));
	equal(ioth.region->asleep, 1);
	equal(kicks_heard(server), 0);
	post_work(5);
	equal(ioth.region->asleep, 0);
	equal(kicks_heard(server), 1);
	close(server);
}

CASE("a queue full of kicks is kick enough")
{
	int server = listen_for_kicks();

	for (int i = 0; i < 500; i++) {
		ioth.region->asleep = 1;
		post_work(5);
		equal(ioth.region->asleep, 0);
	}
	check(kicks_heard(server) > 0);
	close(server);
}
