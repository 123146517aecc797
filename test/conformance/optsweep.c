/* Every option number of every level, in every state: what getsockopt() and setsockopt() answer to
 * lengths and pointers of all kinds, a line of "same:" each, which must be as on Linux. Where the
 * content is the machine's or the moment's, only the answer and the length are told. */
#include "net.h"

#include <sys/mman.h>

#define OPTIONS 128

static void *unmapped, *readonly;

/* What is swept. */
struct kind {
	const char *name;
	int family;
	int type;
	int protocol;
	int level; /* its own; of another's one option is asked */
};

static const struct kind stream4 = {"v4", AF_INET, SOCK_STREAM, 0, IPPROTO_TCP};
static const struct kind stream6 = {"v6", AF_INET6, SOCK_STREAM, 0, IPPROTO_TCP};
static const struct kind datagram4 = {"udp", AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP};
static const struct kind datagram6 = {"udp6", AF_INET6, SOCK_DGRAM, 0, IPPROTO_UDP};
static const struct kind raw4 = {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP, SOL_RAW};
static const struct kind raw6 = {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, SOL_RAW};
static const struct kind ping4 = {"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, IPPROTO_IP};
static const struct kind ping6 = {"ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, IPPROTO_IPV6};

/* Content that no two runs share. */
static bool varies(int level, int name)
{
	static const int socket_level[] = {
	    SO_COOKIE,		 SO_NETNS_COOKIE, SO_MEMINFO, SO_INCOMING_CPU,
	    SO_INCOMING_NAPI_ID, SO_SNDBUF,	  SO_RCVBUF, /* they grow */
	    SO_PEERCRED,	 SO_PEERNAME,
	};

	if (level == SOL_SOCKET)
		for (size_t i = 0; i < sizeof(socket_level) / sizeof(*socket_level); i++)
			if (name == socket_level[i])
				return true;
	if (level == IPPROTO_TCP)
		return name == TCP_INFO || name == TCP_CC_INFO || name == TCP_MAXSEG ||
		       name == TCP_TIMESTAMP || name == TCP_WINDOW_CLAMP ||
		       name == TCP_FASTOPEN_KEY || name == TCP_SAVED_SYN;
	if (level == IPPROTO_IP)
		return name == IP_MTU || name == 52 /* IP_PROTOCOL: the port */;
	if (level == IPPROTO_IPV6)
		return name == IPV6_MTU || name == 61 /* IPV6_PATHMTU */;
	return false;
}

struct range {
	int level, first, last;
};

/* The host's (filters, netfilter, TCP_REPAIR with its rights), what is younger than Linux 6.12, and
 * what this stack has not: README. */
static const struct range never[] = {
    {SOL_SOCKET, SO_ATTACH_FILTER, SO_DETACH_FILTER},
    {SOL_SOCKET, SO_PEEK_OFF, SO_PEEK_OFF},
    {SOL_SOCKET, SO_LOCK_FILTER, SO_LOCK_FILTER},
    {SOL_SOCKET, SO_ATTACH_BPF, SO_ATTACH_BPF},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, SO_ATTACH_REUSEPORT_EBPF}, /* by number */
    {SOL_SOCKET, SO_ZEROCOPY, SO_ZEROCOPY},
    {SOL_SOCKET, 78, 84},
    {SOL_SOCKET, SO_RESERVE_MEM, SO_RESERVE_MEM}, /* as the control groups say */
    {IPPROTO_TCP, TCP_CONGESTION, TCP_MD5SIG},
    {IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OPTIONS},
    {IPPROTO_TCP, TCP_TIMESTAMP, TCP_TIMESTAMP},
    {IPPROTO_TCP, TCP_CC_INFO, TCP_CC_INFO},
    {IPPROTO_TCP, TCP_REPAIR_WINDOW, TCP_REPAIR_WINDOW},
    {IPPROTO_TCP, TCP_MD5SIG_EXT, TCP_FASTOPEN_KEY},
    {IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, TCP_ZEROCOPY_RECEIVE},
    {IPPROTO_TCP, 38, 42},
    {IPPROTO_TCP, 44, 127},
    {IPPROTO_IP, 64, 127},
    {IPPROTO_IPV6, IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS},
    {IPPROTO_IPV6, IPV6_DSTOPTS, IPV6_DSTOPTS},
    {IPPROTO_IPV6, 64, 65},
    {IPPROTO_IPV6, 68, 69},
    {IPPROTO_IPV6, 80, 127},
};

/* Groups, which streams have not. */
static const struct range groups[] = {
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, MCAST_MSFILTER},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, MCAST_MSFILTER},
};

static bool in(const struct range *ranges, size_t n, int level, int name)
{
	for (size_t i = 0; i < n; i++)
		if (level == ranges[i].level && name >= ranges[i].first && name <= ranges[i].last)
			return true;
	return false;
}

static bool left_out(const struct kind *kind, int level, int name)
{
	return in(never, sizeof(never) / sizeof(*never), level, name) ||
	       (kind->type == SOCK_STREAM &&
		in(groups, sizeof(groups) / sizeof(*groups), level, name));
}

static bool is_own(const struct kind *kind, int level)
{
	return level == SOL_SOCKET || level == kind->level ||
	       (level == IPPROTO_IP && kind != &raw6) ||
	       (level == IPPROTO_IPV6 && kind->family == AF_INET6);
}

struct text {
	char line[1000];
	size_t n;
	bool own;     /* the socket has the level */
	bool changed; /* setsockopt() said yes */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	t->n += vsnprintf(t->line + t->n, sizeof(t->line) - t->n, format, args);
	va_end(args);
	check(t->n < sizeof(t->line));
}

/* The answer: an errno, or the length and the content. */
static void get(struct text *t, int fd, int level, int name, int room)
{
	uint8_t value[1024];
	socklen_t len = room;

	memset(value, 0xee, sizeof(value));
	if (getsockopt(fd, level, name, value, &len) < 0) {
		add(t, " -%d", errno);
		return;
	}
	add(t, " %d", (int)len);
	if (varies(level, name) || room > (int)sizeof(value))
		return;
	add(t, ":");
	for (int i = 0; i < (int)len && i < 16; i++)
		add(t, "%02x", value[i]);
}

static void get_badly(struct text *t, int fd, int level, int name, void *value, socklen_t *len)
{
	add(t, " %d", getsockopt(fd, level, name, value, len) < 0 ? -errno : 0);
}

static const char *gets(struct text *t, int fd, int level, int name)
{
	const int rooms[] = {0, 1, 2, 3, 4, 8, 16, 64, 1024, -1};
	socklen_t len = 64;

	t->n = 0;
	t->line[0] = 0;
	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++)
		get(t, fd, level, name, rooms[i]);
	add(t, " |");
	get_badly(t, fd, level, name, NULL, &len);
	len = 64;
	get_badly(t, fd, level, name, (void *)-1, &len);
	len = 64;
	get_badly(t, fd, level, name, unmapped, &len);
	len = 64;
	get_badly(t, fd, level, name, readonly, &len);
	if (t->own) {
		get_badly(t, fd, level, name, t + 1, NULL);
		get_badly(t, fd, level, name, t + 1, unmapped);
	}
	return t->line;
}

static void set(struct text *t, int fd, int level, int name, const void *value, socklen_t len)
{
	int r = setsockopt(fd, level, name, value, len);

	add(t, " %d", r < 0 ? -errno : 0);
	t->changed = t->changed || r == 0;
}

static const char *sets(struct text *t, int fd, int level, int name)
{
	const int values[] = {0, 1, -1, 2, 5, 88, 255, 256, 65536, 0x7fffffff, (int)0x80000000};
	const int lengths[] = {0, 1, 2, 3, 8, 12, 16, 40, 256, 1024, -1};
	static const uint8_t zeros[1024];

	t->n = 0;
	t->line[0] = 0;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		set(t, fd, level, name, &values[i], sizeof(int));
		get(t, fd, level, name, 8);
	}
	add(t, " |");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		set(t, fd, level, name, zeros, lengths[i]);
	add(t, " |");
	set(t, fd, level, name, NULL, 0);
	set(t, fd, level, name, NULL, 4);
	set(t, fd, level, name, NULL, 64);
	set(t, fd, level, name, (void *)-1, 4);
	set(t, fd, level, name, unmapped, 4);
	set(t, fd, level, name, unmapped, 64);
	set(t, fd, level, name, unmapped, 1);
	return t->line;
}

/* A socket in one of the states, and what keeps it there. */
struct subject {
	int fd;
	int others[2];
};

static struct sockaddr_in6 loopback6(void)
{
	return (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

static int bound(const struct kind *kind)
{
	struct sockaddr_in6 v6 = loopback6();
	struct sockaddr_in v4 = here(0);
	int fd = must(socket(kind->family, kind->type, kind->protocol));

	must(kind->family == AF_INET ? bind(fd, SA(&v4), sizeof(v4))
				     : bind(fd, SA(&v6), sizeof(v6)));
	return fd;
}

static struct subject subject(const struct kind *kind, int state)
{
	struct subject s = {.others = {-1, -1}};
	struct sockaddr_storage where;
	socklen_t len = sizeof(where);

	if (state == 0)
		s.fd = must(socket(kind->family, kind->type, kind->protocol));
	else
		s.fd = bound(kind);
	if (state == 2)
		must(listen(s.fd, 1));
	if (state == 3) {
		s.others[0] = bound(kind);
		if (kind->type == SOCK_STREAM)
			must(listen(s.others[0], 1));
		must(getsockname(s.others[0], SA(&where), &len));
		must(connect(s.fd, SA(&where), len));
	}
	if (state == 3 && kind->type == SOCK_STREAM) {
		s.others[1] = must(accept(s.others[0], NULL, NULL));
		reset_on_close(s.others[1]);
	}
	return s;
}

static void drop(struct subject s)
{
	for (int i = 1; i >= 0; i--)
		if (s.others[i] >= 0)
			must(close(s.others[i]));
	must(close(s.fd));
}

static const char *const states[] = {"fresh", "bound", "listening", "connected"};
static const int levels[] = {SOL_SOCKET,   IPPROTO_IP,	IPPROTO_TCP,
			     IPPROTO_IPV6, IPPROTO_UDP, SOL_RAW};

static void sweep_state(const struct kind *kind, int state, const char *what,
			const char *(*ask)(struct text *t, int fd, int level, int name))
{
	static struct text t;
	struct subject s = subject(kind, state);

	for (size_t l = 0; l < sizeof(levels) / sizeof(*levels); l++)
		for (int name = is_own(kind, levels[l]) ? 0 : OPTIONS - 1; name < OPTIONS; name++) {
			if (left_out(kind, levels[l], name) && is_own(kind, levels[l]))
				continue;
			t.own = is_own(kind, levels[l]) && levels[l] != SOL_RAW;
			t.changed = false;
			tap_print("# same: %s %s %s %d.%d%s", kind->name, states[state], what,
				  levels[l], name, ask(&t, s.fd, levels[l], name));
			if (t.changed) {
				drop(s);
				s = subject(kind, state);
			}
		}
	drop(s);
}

static void sweep(const struct kind *kind, const char *what,
		  const char *(*ask)(struct text *t, int fd, int level, int name))
{
	for (int state = 0; state < 4; state++)
		if (state == 0 || state == 3 || kind->type == SOCK_STREAM)
			sweep_state(kind, state, what, ask);
}

static void map_bad_pages(void)
{
	unmapped = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(unmapped != MAP_FAILED);
	readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(readonly != MAP_FAILED);
}

CASE("getsockopt() of every number, IPv4")
{
	map_bad_pages();
	sweep(&stream4, "get", gets);
}

CASE("getsockopt() of every number, IPv6")
{
	sweep(&stream6, "get", gets);
}

CASE("setsockopt() of every number, IPv4")
{
	sweep(&stream4, "set", sets);
}

CASE("setsockopt() of every number, IPv6")
{
	sweep(&stream6, "set", sets);
}

CASE("getsockopt() of every number, UDP")
{
	sweep(&datagram4, "get", gets);
	sweep(&datagram6, "get", gets);
}

CASE("setsockopt() of every number, UDP")
{
	sweep(&datagram4, "set", sets);
	sweep(&datagram6, "set", sets);
}

CASE("getsockopt() and setsockopt() of every number, raw sockets")
{
	sweep(&raw4, "get", gets);
	sweep(&raw6, "get", gets);
	sweep(&raw4, "set", sets);
	sweep(&raw6, "set", sets);
}

CASE("getsockopt() and setsockopt() of every number, ping sockets")
{
	sweep(&ping4, "get", gets);
	sweep(&ping6, "get", gets);
	sweep(&ping4, "set", sets);
	sweep(&ping6, "set", sets);
}

/* Netlink, packet, VSOCK and SMC sockets are as the host and its modules have them. */
static bool host_family(int family)
{
	return family == AF_NETLINK || family == AF_PACKET || family == AF_VSOCK || family == 44 ||
	       family == 43;
}

/* Datagram and raw sockets have programs of their own. */
static bool other_kind(int family, int type)
{
	return (family == AF_INET || family == AF_INET6) &&
	       (type == SOCK_DGRAM || type == SOCK_RAW || type == SOCK_PACKET);
}

CASE("socket() of every family, type and protocol")
{
	for (int family = 0; family < 48; family++)
		for (int type = 0; type < 12; type++) {
			static struct text t;

			if (host_family(family) || other_kind(family, type))
				continue;
			t.n = 0;
			t.line[0] = 0;
			for (int protocol = -1; protocol < 264; protocol++) {
				int fd = socket(family, type, protocol);

				if (fd >= 0)
					close(fd);
				else if (t.n < sizeof(t.line) - 10)
					add(&t, " %d:%d", protocol, errno);
			}
			tap_print("# same: socket %d %d%s", family, type, t.line);
		}
}
