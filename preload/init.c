/* Joining the stack: the environment says which one, its server hands over the region. Plain system
 * calls only: this may run in the middle of another library's constructor, or in a signal handler
 * of a fork child. */
#include "ioth.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/un.h>

struct ioth ioth;

static uint8_t token[16];
/* In a page of its own that fork wipes: a child has no slot until it asks for one, whichever way it
 * was made (fork, _Fork, clone). A vfork child shares it. */
static uint32_t *slot;

enum { FRESH, STARTING, STARTED };
static uint32_t started;
static __thread bool starting __attribute__((tls_model("initial-exec")));

#define CTL_SECONDS 10 /* to answer, before the server counts as gone */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* The stack's name, 1 to 16 hexadecimal digits, into ioth.stack and ioth.prefix. */
static bool take_stack(const char *name)
{
	size_t n = strnlen(name, sizeof(ioth.stack));

	if (n == 0 || n == sizeof(ioth.stack))
		return false;
	for (size_t i = 0; i < n; i++)
		if (hex_digit(name[i]) < 0)
			return false;
	memcpy(ioth.stack, name, n + 1);
	memcpy(ioth.prefix, ABI_NAME_PREFIX, sizeof(ABI_NAME_PREFIX) - 1);
	memcpy(ioth.prefix + sizeof(ABI_NAME_PREFIX) - 1, name, n);
	ioth.prefix[sizeof(ABI_NAME_PREFIX) - 1 + n] = '/';
	return true;
}

static void take_token(const char *hex)
{
	for (size_t i = 0; hex && i < sizeof(token); i++) {
		int high = hex_digit(hex[2 * i]);
		int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);

		if (low < 0)
			return;
		token[i] = (uint8_t)(high << 4 | low);
	}
}

static int connect_to(int fd, const struct sockaddr_un *un, size_t path)
{
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path);
	long r;

	do
		r = raw(SYS_connect, fd, un, len);
	while (r == -EINTR);
	return (int)r;
}

/** The abstract name fails in another network namespace, the path after a chroot. */
int service_connect(int fd, const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t prefix = strlen(ioth.prefix), dir = strlen(ioth.dir), n = strlen(name);
	int r, by_path;

	memcpy(un.sun_path + 1, ioth.prefix, prefix);
	memcpy(un.sun_path + 1 + prefix, name, n);
	r = connect_to(fd, &un, 1 + prefix + n);
	if (r != -ECONNREFUSED || dir == 0)
		return r;
	memcpy(un.sun_path, ioth.dir, dir);
	un.sun_path[dir] = '/';
	memcpy(un.sun_path + dir + 1, name, n + 1);
	by_path = connect_to(fd, &un, dir + 1 + n + 1);
	return by_path == -ENOENT ? r : by_path;
}

/* The memfd that came with the reply, or -1. */
static int passed_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int exchange(int fd, uint32_t op, struct ctl_reply *reply, int *memfd)
{
	struct ctl_request request = {.magic = ABI_MAGIC, .version = ABI_VERSION, .op = op};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {reply, sizeof(*reply)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct timeval limit = {.tv_sec = CTL_SECONDS};
	long r;

	memcpy(request.token, token, sizeof(token));
	raw(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	raw(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	r = service_connect(fd, "ctl");
	if (r < 0)
		return (int)r;
	do
		r = raw(SYS_sendto, fd, &request, sizeof(request), MSG_NOSIGNAL, NULL, 0);
	while (r == -EINTR);
	if (r < 0)
		return (int)r;
	do
		r = raw(SYS_recvmsg, fd, &msg, MSG_CMSG_CLOEXEC);
	while (r == -EINTR);
	if (r < 0)
		return (int)r;
	*memfd = passed_fd(&msg);
	if (r != sizeof(*reply) || reply->magic != ABI_MAGIC)
		return -EPROTO;
	return reply->result;
}

/* The kernel's table of descriptors grows now, while there is one thread: where there are several
 * it waits for all CPUs to have passed through its scheduler, 7 to 30 ms (synchronize_rcu). */
static void room_for_kick(int fd)
{
	long high = raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, KICK_FD_MIN);

	if (high >= 0)
		raw(SYS_close, high);
}

/* One request to the control socket. *memfd: the descriptor that came along, or -1. */
static int ctl_request(uint32_t op, struct ctl_reply *reply, int *memfd)
{
	int fd = (int)raw(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int r;

	*memfd = -1;
	if (fd < 0)
		return fd;
	r = exchange(fd, op, reply, memfd);
	room_for_kick(fd);
	raw(SYS_close, fd);
	return r;
}

/* The region in memfd, if it is what it should be: whole, and sealed so that it stays so. */
static struct region *map_region(int memfd, uint32_t size)
{
	struct region *region;
	struct stat st;

	if (memfd < 0 || size != ABI_REGION_SIZE || raw(SYS_fstat, memfd, &st) < 0 ||
	    st.st_size < (off_t)size || !(raw(SYS_fcntl, memfd, F_GET_SEALS) & F_SEAL_SHRINK))
		return NULL;
	region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd, 0);
	if (region == MAP_FAILED)
		return NULL;
	madvise(region, size, MADV_DONTDUMP);
	if (region->magic == ABI_MAGIC && region->version == ABI_VERSION)
		return region;
	munmap(region, size);
	return NULL;
}

static uint32_t *wiped_page(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, size, MADV_WIPEONFORK) == 0)
		return page;
	munmap(page, size);
	return NULL;
}

static void attach(void)
{
	struct ctl_reply reply = {0};
	struct region *region = NULL;
	const char *mode = getenv(ENV_MODE);
	const char *dir = getenv(ENV_DIR);
	const char *stack = getenv(ENV_STACK);
	int memfd;

	if (!stack)
		return;
	ioth.wanted = true;
	if (!take_stack(stack))
		return;
	if (dir && strnlen(dir, sizeof(ioth.dir)) < sizeof(ioth.dir))
		memcpy(ioth.dir, dir, strlen(dir) + 1);
	take_token(getenv(ENV_TOKEN));
	slot = wiped_page();
	if (slot && ctl_request(CTL_ATTACH, &reply, &memfd) == 0)
		region = map_region(memfd, reply.region_size);
	if (slot && memfd >= 0)
		raw(SYS_close, memfd);
	if (!region || reply.slot == 0)
		return;
	*slot = reply.slot;
	ioth.native = (mode && strcmp(mode, "native") == 0) || region->plug < 2 || region->plug > 4;
	__atomic_store_n(&ioth.region, region, __ATOMIC_RELEASE); /* pairs with ioth_attached */
}

/* stdio and programs that we never see read and write 0 to 2: what lies there is native. */
static void standard_fds_native(void)
{
	struct sock s;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fdtab_find(fd, &s))
			sock_go_native(fd, &s);
}

static void start(void)
{
	uint32_t fresh = FRESH;
	int saved = errno;

	if (starting)
		return;
	if (!__atomic_compare_exchange_n(&started, &fresh, STARTING, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) != STARTED)
			sched_yield();
		return;
	}
	starting = true;
	attach();
	__atomic_store_n(&started, STARTED, __ATOMIC_RELEASE);
	starting = false;
	if (ioth.region)
		standard_fds_native();
	errno = saved;
}

/* Run by ld.so (by-loader.h), a process is called like that; ps(1) is to find it by its own name.
 */
static void take_name(void)
{
	if (getauxval(AT_BASE) == 0)
		libc.prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
}

__attribute__((constructor)) static void init(void)
{
	libc_now();
	take_name();
	start();
	ids_take();
}

/** One load when attached; whoever comes before our constructor attaches. */
bool ioth_attached(void)
{
	if (__atomic_load_n(&ioth.region, __ATOMIC_ACQUIRE))
		return true;
	if (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == STARTED)
		return false;
	start();
	return ioth.region != NULL;
}

/** A fork child asks once. Threads that do so together get the same slot. */
uint32_t ioth_slot(void)
{
	struct ctl_reply reply = {0};
	uint32_t mine, none = 0;
	int memfd;

	if (!ioth_attached())
		return 0;
	mine = __atomic_load_n(slot, __ATOMIC_RELAXED);
	if (mine || server_dead())
		return mine;
	if (ctl_request(CTL_SLOT, &reply, &memfd) < 0)
		return 0;
	if (memfd >= 0)
		raw(SYS_close, memfd);
	if (!__atomic_compare_exchange_n(slot, &none, reply.slot, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return none;
	return reply.slot;
}

bool ioth_ready(void)
{
	return !in_vfork_child() && ioth_slot() != 0;
}

bool server_dead(void)
{
	return __atomic_load_n(&ioth.region->state, __ATOMIC_SEQ_CST) == SERVER_DEAD;
}
