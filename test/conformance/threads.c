/* Threads that share sockets. */
#include "net.h"

#define THREADS 8

struct tally {
	int fd;
	size_t chunk;
	_Atomic uint64_t *of;
};

static void *tally_read(void *arg)
{
	struct tally *t = arg;
	uint8_t *buf = malloc(t->chunk);
	ssize_t n;

	check(buf);
	while ((n = must(recv(t->fd, buf, t->chunk, 0))) > 0)
		for (ssize_t i = 0; i < n; i++)
			t->of[buf[i]]++;
	free(buf);
	return NULL;
}

struct job {
	int fd;
	uint8_t letter;
	size_t size, count;
};

static void *send_messages(void *arg)
{
	struct job *j = arg;
	uint8_t *buf = malloc(j->size);

	check(buf);
	memset(buf, j->letter, j->size);
	for (size_t i = 0; i < j->count; i++)
		send_all(j->fd, buf, j->size);
	free(buf);
	return NULL;
}

static void many_readers(size_t chunk)
{
	struct pair p = tcp_pair();
	_Atomic uint64_t of[256] = {0};
	static uint64_t want[256];
	struct tally t = {p.server, chunk, of};
	pthread_t reader[THREADS];
	size_t total = 3000000;

	for (int i = 0; i < THREADS; i++)
		reader[i] = start(tally_read, &t);
	pattern_send(p.client, total, 11111);
	must(shutdown(p.client, SHUT_WR));
	for (int i = 0; i < THREADS; i++)
		join(reader[i]);
	memset(want, 0, sizeof(want));
	for (size_t i = 0; i < total; i++)
		want[pattern(i)]++;
	for (int i = 0; i < 256; i++)
		equal(of[i], want[i]);
	close_pair(p);
}

CASE("8 threads read one connection: each byte goes to one of them")
{
	many_readers(16384);
}

CASE("8 threads read one connection a few bytes at a time")
{
	many_readers(50);
}

static void many_writers(size_t size, size_t count)
{
	struct pair p = tcp_pair();
	_Atomic uint64_t of[256] = {0};
	struct tally t = {p.server, 65536, of};
	struct job job[THREADS];
	pthread_t writer[THREADS], reader = start(tally_read, &t);

	for (int i = 0; i < THREADS; i++) {
		job[i] = (struct job){p.client, 'a' + i, size, count};
		writer[i] = start(send_messages, &job[i]);
	}
	for (int i = 0; i < THREADS; i++)
		join(writer[i]);
	must(shutdown(p.client, SHUT_WR));
	join(reader);
	for (int i = 0; i < 256; i++)
		equal(of[i], i >= 'a' && i < 'a' + THREADS ? size * count : 0);
	close_pair(p);
}

CASE("8 threads write 1-byte messages to one connection: nothing is lost")
{
	many_writers(1, 3000);
}

CASE("8 threads write 64 KB messages to one connection: nothing is lost")
{
	many_writers(65536, 20);
}

CASE("small messages that fit the buffer are not torn")
{
	struct pair p = tcp_pair();
	struct job job[4];
	pthread_t writer[4];
	uint8_t record[50];

	for (int i = 0; i < 4; i++) {
		job[i] = (struct job){p.client, 'a' + i, sizeof(record), 100};
		writer[i] = start(send_messages, &job[i]);
	}
	for (int i = 0; i < 4; i++)
		join(writer[i]);
	for (int i = 0; i < 400; i++) {
		equal(recv_all(p.server, record, sizeof(record)), sizeof(record));
		for (size_t b = 1; b < sizeof(record); b++)
			equal(record[b], record[0]);
	}
	close_pair(p);
}

static void *pattern_out(void *arg)
{
	pattern_send(*(int *)arg, 8 << 20, 32768);
	must(shutdown(*(int *)arg, SHUT_WR));
	return NULL;
}

static void *pattern_in(void *arg)
{
	pattern_expect(*(int *)arg, 8 << 20, 32768);
	expect_eof(*(int *)arg);
	return NULL;
}

CASE("one thread reads, one writes, at both ends")
{
	struct pair p = tcp_pair();
	pthread_t t[4] = {start(pattern_out, &p.client), start(pattern_in, &p.client),
			  start(pattern_out, &p.server), start(pattern_in, &p.server)};

	for (int i = 0; i < 4; i++)
		join(t[i]);
	close_pair(p);
}

static void *own_connections(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		struct pair p = tcp_pair();

		pattern_send(p.client, 5000, 5000);
		pattern_expect(p.server, 5000, 5000);
		close_pair(p);
	}
	return NULL;
}

CASE("8 threads make, use and close connections of their own")
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		t[i] = start(own_connections, NULL);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
}

struct accepting {
	int listener;
	_Atomic int *accepted;
};

static void *accept_many(void *arg)
{
	struct accepting *a = arg;

	for (;;) {
		int fd = tcp_accept(a->listener);
		char c;

		equal(recv(fd, &c, 1, 0), 1);
		send_text(fd, "y");
		must(close(fd));
		if (c == 'q')
			return NULL;
		++*a->accepted;
	}
}

CASE("8 threads accept from one listener, 4 threads connect")
{
	struct sockaddr_in where;
	_Atomic int accepted = 0;
	struct accepting a = {tcp_listener(&where, 32), &accepted};
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		t[i] = start(accept_many, &a);
	for (int i = 0; i < 200 + THREADS; i++) {
		int fd = tcp_dial(&where);

		send_text(fd, i < 200 ? "x" : "q");
		expect_text(fd, "y");
		must(close(fd));
	}
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	equal(accepted, 200);
	must(close(a.listener));
}

/* What a thread that is to be cancelled does. */
struct victim {
	_Atomic pid_t tid;
	int fd;
	bool writes;
};

static void *blocks(void *arg)
{
	struct victim *v = arg;
	char c = 'x';

	v->tid = thread_id();
	for (;;) {
		ssize_t n = v->writes ? send(v->fd, &c, 1, 0) : recv(v->fd, &c, 1, 0);

		check(n == 1);
	}
}

static void *accepts(void *arg)
{
	struct victim *v = arg;

	v->tid = thread_id();
	accept(v->fd, NULL, NULL);
	return NULL;
}

static void cancel(pthread_t t, struct victim *v)
{
	void *result;

	wait_asleep(&v->tid);
	equal(pthread_cancel(t), 0);
	equal(pthread_join(t, &result), 0);
	check(result == PTHREAD_CANCELED);
}

CASE("pthread_cancel() of a thread in recv(): the connection goes on")
{
	struct pair p = tcp_pair();
	struct victim v = {.fd = p.server};

	cancel(start(blocks, &v), &v);
	send_text(p.client, "for the next reader");
	expect_text(p.server, "for the next reader");
	close_pair(p);
}

CASE("pthread_cancel() of a thread in send(): the connection goes on")
{
	struct pair p = tcp_pair();
	struct victim v = {.fd = p.client, .writes = true};
	size_t sent = fill(p.client);
	char c;

	cancel(start(blocks, &v), &v);
	pattern_expect(p.server, sent, 65536);
	while (recv(p.server, &c, 1, MSG_DONTWAIT) == 1)
		equal(c, 'x');
	send_text(p.client, "!");
	do
		equal(recv(p.server, &c, 1, 0), 1);
	while (c == 'x');
	equal(c, '!');
	close_pair(p);
}

CASE("pthread_cancel() of a thread in accept(): the next one gets the connection")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client;
	struct victim v = {.fd = listener};

	cancel(start(accepts, &v), &v);
	client = tcp_dial(&where);
	must(close(tcp_accept(listener)));
	must(close(client));
	must(close(listener));
}

static _Atomic bool churn_done;

static void *churn(void *arg)
{
	(void)arg;
	while (!churn_done) {
		int fd = must(open("/dev/null", O_RDWR | O_CLOEXEC)), q[2];

		equal(write(fd, "x", 1), 1);
		must(close(fd));
		must(pipe2(q, O_CLOEXEC));
		equal(write(q[1], "y", 1), 1);
		equal(read(q[0], (char[1]){0}, 1), 1);
		must(close(q[0]));
		must(close(q[1]));
	}
	return NULL;
}

CASE("numbers that files and sockets take turns in, by four threads")
{
	pthread_t t[2], u[2];

	churn_done = false;
	for (int i = 0; i < 2; i++) {
		t[i] = start(churn, NULL);
		u[i] = start(own_connections, NULL);
	}
	for (int i = 0; i < 2; i++)
		join(u[i]);
	churn_done = true;
	for (int i = 0; i < 2; i++)
		join(t[i]);
}

static void *with_little_stack(void *arg)
{
	struct pair *p = arg;
	struct sockaddr_in name = here(0);
	int udp = must(socket(AF_INET, SOCK_DGRAM, 0));
	char text[8];

	must(bind_to(udp, &name));
	name = local_name(udp);
	for (int i = 0; i < 2; i++) {
		equal(send(p->client, "abc", 3, 0), 3);
		equal(recv(p->server, text, 3, MSG_WAITALL), 3);
		equal(write(p->server, "abc", 3), 3);
		equal(read(p->client, text, 3), 3);
		equal(send(p->client, "abc", 3, MSG_OOB), 3);
		equal(recv(p->server, text, 2, MSG_TRUNC), 2);
		equal(sendto(udp, "hi", 2, 0, SA(&name), sizeof(name)), 2);
		equal(recv(udp, text, sizeof(text), 0), 2);
	}
	must(close(udp));
	return NULL;
}

CASE("a thread with as little stack as there may be")
{
	struct pair p = tcp_pair();
	pthread_attr_t attr;
	pthread_t thread;

	equal(pthread_attr_init(&attr), 0);
	equal(pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN)), 0);
	equal(pthread_create(&thread, &attr, with_little_stack, &p), 0);
	join(thread);
	close_pair(p);
}
