/* A stack without a server: records in private memory, and sockets that bear their names. What
 * would have been told to the server is written down in memory that forked children share. */
#ifndef STAND_IN_H
#define STAND_IN_H

#include "ioth.h"

#include <sys/un.h>

#define LOG_SIZE 256

struct stand_in {
	int native[LOG_SIZE]; /* descriptors that went native, in order */
	uint32_t natives;
	uint32_t closed[LOG_SIZE]; /* records of which a copy was closed */
	uint32_t closes;
	uint32_t handlers; /* signal_has_handler() calls */
	int native_answer; /* of sock_go_native() */
};

static struct stand_in *stand_in;

struct ioth ioth;

bool ioth_attached(void)
{
	return ioth.region;
}

uint32_t ioth_slot(void)
{
	return 1;
}

bool server_dead(void)
{
	return ioth.region->state == SERVER_DEAD;
}

int sock_go_native(int fd, const struct sock *s)
{
	uint32_t n = __atomic_fetch_add(&stand_in->natives, 1, __ATOMIC_SEQ_CST);

	s->rec->mode = MODE_NATIVE;
	stand_in->native[n % LOG_SIZE] = fd;
	return stand_in->native_answer;
}

bool sock_is_native(const struct sock *s)
{
	return s->rec->mode == MODE_NATIVE;
}

void sock_closed(const struct sock *s)
{
	stand_in->closed[__atomic_fetch_add(&stand_in->closes, 1, __ATOMIC_SEQ_CST) % LOG_SIZE] =
	    s->index;
}

void signal_has_handler(void)
{
	stand_in->handlers++;
}

static void *shared(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
}

__attribute__((constructor)) static void stand_in_open(void)
{
	stand_in = shared(sizeof(*stand_in));
}

__attribute__((unused)) static void forget_log(void)
{
	memset(stand_in, 0, sizeof(*stand_in));
}

/* Is fd among those that went native? */
__attribute__((unused)) static bool went_native(int fd)
{
	for (uint32_t i = 0; i < stand_in->natives; i++)
		if (stand_in->native[i] == fd)
			return true;
	return false;
}

/* From now on there is a stack. */
__attribute__((unused)) static struct region *stand_in_attach(void)
{
	if (!ioth.region) {
		snprintf(ioth.stack, sizeof(ioth.stack), "%x", getpid());
		snprintf(ioth.prefix, sizeof(ioth.prefix), ABI_NAME_PREFIX "%s/", ioth.stack);
		ioth.region = shared(ABI_CHUNKS_OFFSET);
		ioth.region->state = SERVER_RUNNING;
		ioth.region->plug = 2;
	}
	return ioth.region;
}

__attribute__((unused)) static struct record *record_of(uint32_t index)
{
	stand_in_attach();
	return (struct record *)((char *)ioth.region + ABI_RECORDS_OFFSET) + index;
}

/* A socket that the kernel knows as this record, in its next generation; the fd table does not
 * know. */
__attribute__((unused)) static int virtual_socket(uint32_t index, int flags)
{
	struct record *rec = record_of(index);
	struct sockaddr_un un;
	socklen_t len;
	int fd = (int)raw(SYS_socket, AF_UNIX, SOCK_STREAM | flags, 0);

	rec->generation++;
	rec->state = RECORD_CONNECTED;
	rec->mode = MODE_RING;
	rec->flags = 0;
	rec->family = AF_INET;
	rec->type = SOCK_STREAM;
	rec->protocol = 6;
	fdtab_forget(fd);
	len = record_name(&un, index, rec->generation);
	return raw(SYS_bind, fd, &un, len) == 0 ? fd : -1;
}

/* The record behind fd, as the shim sees it; -1: none. */
__attribute__((unused)) static int record_behind(int fd)
{
	struct sock s;

	return fdtab_find(fd, &s) ? (int)s.index : -1;
}

#endif
