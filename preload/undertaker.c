/* ioth-undertaker REGIONFD LIFEFD STACK DIR
 *
 * Outlives the stack server, to do what a dead one cannot: however the server ends, kill -9 and the
 * OOM killer included, the kernel closes its end of the pipe LIFEFD. Then the programs of the stack
 * see what a power cut shows: calls in flight fail, whoever sleeps is woken, and the next look at
 * the region's state says SERVER_DEAD. Connections need no help: their other ends went with the
 * server.
 *
 * Nothing is freed or reused here. A call block stays CALL_DEAD, so a thread that was about to post
 * one finds it so. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "abi.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* What a stack server leaves in its directory. */
static const char *const files[] = {"ctl", "conn", "msg", "kick", "log", "pid", "lock"};

/* A thread that had claimed a call block when the server died may post it a little later; it looks
 * at the state once more before it sleeps. The second pass is for one that looked just before. */
static const struct timespec between_passes = {.tv_nsec = 50 * 1000 * 1000};

struct grave {
	int fd;		       /* the region's memfd */
	struct region *region; /* all of it, mapped; only pages in use are touched */
	const char *stack;
};

static void ignore_signals(void);
static struct region *map_region(int fd);
static void wait_for_death(int life);
static void fail_calls(struct region *region);
static void wake_records(const struct grave *grave);
static void wake_lock(struct region *region, size_t offset, uint32_t word);
static void ring_listener(const char *stack, uint32_t index, uint32_t generation);
static void keep_log(int dir, const char *stack);
static void remove_directory(int dir, const char *path);
static void futex_wake_all(uint32_t *word);
static int number(const char *text);

int main(int argc, char **argv)
{
	struct grave grave;
	int dir;

	if (argc != 5) {
		fputs("usage: ioth-undertaker REGIONFD LIFEFD STACK DIR\n", stderr);
		return 125;
	}
	ignore_signals();
	grave.fd = number(argv[1]);
	grave.region = map_region(grave.fd);
	grave.stack = argv[3];
	/* Held from now on: what is removed later is in this directory, whatever its path says
	 * then. */
	dir = open(argv[4], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	wait_for_death(number(argv[2]));

	/* Pairs with the shim's look at the state between posting a call and sleeping. */
	__atomic_store_n(&grave.region->state, SERVER_DEAD, __ATOMIC_SEQ_CST);
	for (int pass = 0; pass < 2; pass++) {
		fail_calls(grave.region);
		wake_records(&grave);
		if (pass == 0)
			nanosleep(&between_passes, NULL);
	}
	if (dir >= 0) {
		keep_log(dir, grave.stack);
		remove_directory(dir, argv[4]);
	}
	return 0;
}

/* A Ctrl-C or a closing terminal must end the programs first and this process last. */
static void ignore_signals(void)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_IGN);
}

static struct region *map_region(int fd)
{
	int flags = MAP_SHARED | MAP_NORESERVE;
	struct region *region = mmap(NULL, ABI_REGION_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (region == MAP_FAILED) {
		fprintf(stderr, "ioth-undertaker: cannot map the region: %s\n", strerror(errno));
		exit(125);
	}
	if (region->magic != ABI_MAGIC || region->version != ABI_VERSION) {
		fprintf(stderr, "ioth-undertaker: descriptor %d is no region of this version\n",
			fd);
		exit(125);
	}
	return region;
}

/* Nobody writes to the pipe; its end is the news. */
static void wait_for_death(int life)
{
	char byte;
	ssize_t n;

	do
		n = read(life, &byte, 1);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		fprintf(stderr, "ioth-undertaker: cannot watch descriptor %d: %s\n", life,
			strerror(errno));
		exit(125);
	}
}

/* Whoever waits for an answer finds CALL_DEAD and wakes; a block that is free can be claimed no
 * more. */
static void fail_calls(struct region *region)
{
	struct call *calls = (struct call *)((char *)region + ABI_CALLS_OFFSET);

	for (uint32_t i = 0; i < ABI_CALLS; i++) {
		uint32_t *word = &calls[i].word;
		uint32_t old = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		uint32_t state = old & 0xff;

		/* An answer that is there stays: DONE is the caller's to read. */
		while (state != CALL_DONE && state != CALL_DEAD &&
		       !__atomic_compare_exchange_n(word, &old, (old & ~0xffu) | CALL_DEAD, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
			state = old & 0xff;
		if (state != CALL_FREE)
			futex_wake_all(word);
	}
}

/* Sleepers on locks, and in accept() or poll() on listeners. The records are read with pread(): it
 * does not bring pages into being that were never used, as looking at the mapping would. */
static void wake_records(const struct grave *grave)
{
	struct record page[8];

	for (uint32_t first = 0; first < ABI_RECORDS; first += 8) {
		off_t offset = (off_t)ABI_RECORDS_OFFSET + (off_t)first * (off_t)sizeof(*page);

		if (pread(grave->fd, page, sizeof(page), offset) != (ssize_t)sizeof(page))
			return; /* the size is sealed: there is nothing beyond */
		for (uint32_t i = 0; i < 8; i++) {
			size_t at = (size_t)offset + i * sizeof(*page);

			wake_lock(grave->region, at + offsetof(struct record, wlock),
				  page[i].wlock);
			wake_lock(grave->region, at + offsetof(struct record, rlock),
				  page[i].rlock);
			if (page[i].state == RECORD_LISTENING)
				ring_listener(grave->stack, first + i, page[i].generation);
		}
	}
}

static void wake_lock(struct region *region, size_t offset, uint32_t word)
{
	if (word & LOCK_WAITERS)
		futex_wake_all((uint32_t *)((char *)region + offset));
}

/* A connection from nobody: accept() returns, the shim drops it and looks at the server's state. A
 * full backlog needs none. */
static void ring_listener(const char *stack, uint32_t index, uint32_t generation)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t room = sizeof(addr.sun_path) - 1;
	int n =
	    snprintf(addr.sun_path + 1, room, ABI_NAME_PREFIX "%s/%u.%u", stack, index, generation);
	int fd;

	if (n < 0 || (size_t)n >= room)
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0 &&
	    errno != EAGAIN && errno != ECONNREFUSED)
		fprintf(stderr, "ioth-undertaker: cannot wake listener %u: %s\n", index,
			strerror(errno));
	close(fd);
}

/* A server that ends as it should says nothing. What one said that broke off stays for the user, as
 * STACK.log in the runtime directory. */
static void keep_log(int dir, const char *stack)
{
	char kept[64];
	struct stat st;

	if (fstatat(dir, "log", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size == 0)
		return;
	snprintf(kept, sizeof(kept), "../../%s.log", stack);
	renameat(dir, "log", dir, kept);
}

/* What stands for /sys (src/server/sys-tree.ts), if a program asked for it. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* Known names only, then the directory, which stays if anything else is in it. */
static void remove_directory(int dir, const char *path)
{
	char sys[PATH_MAX];

	snprintf(sys, sizeof(sys), "%s/sys", path);
	nftw(sys, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		unlinkat(dir, files[i], 0);
	rmdir(path);
}

static void futex_wake_all(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > INT_MAX) {
		fprintf(stderr, "ioth-undertaker: \"%s\" is no descriptor\n", text);
		exit(125);
	}
	return (int)n;
}
