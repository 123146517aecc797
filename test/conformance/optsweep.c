/* Every option number of every level, in every state: what getsockopt() and setsockopt() answer to
 * lengths and pointers of all kinds, a line of "same:" each, which must be as on Linux. Where the
 * content is the machine's or the moment's, only the answer and the length are told. */
#include "net.h"

#include <sys/mman.h>

#define OPTIONS 128

static void *unmapped, *readonly;

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
		return name == IPV6_MTU || name == 59 /* IPV6_PATHMTU */;
	return false;
}

/* Left out, level by level: what is the host's (filters, netfilter, TCP_REPAIR with its rights),
 * what only datagrams have a use for (groups, ancillary data set for all packets), what the headers
 * of packets would carry (options, extension headers), and what is younger than Linux 6.12. */
static bool left_out(int level, int name)
{
	static const int left[][3] = {
	    {SOL_SOCKET, SO_ATTACH_FILTER, SO_DETACH_FILTER},
	    {SOL_SOCKET, SO_LOCK_FILTER, SO_LOCK_FILTER},
	    {SOL_SOCKET, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF},
	    {SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, SO_DETACH_REUSEPORT_BPF},
	    {SOL_SOCKET, SO_ZEROCOPY, SO_ZEROCOPY}, /* text is copied: README */
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
	    {IPPROTO_IP, IP_OPTIONS, IP_OPTIONS},
	    {IPPROTO_IP, IP_IPSEC_POLICY, IP_XFRM_POLICY},
	    {IPPROTO_IP, IP_ADD_MEMBERSHIP, IP_MSFILTER},
	    {IPPROTO_IP, MCAST_JOIN_GROUP, MCAST_MSFILTER},
	    {IPPROTO_IP, 64, 127},
	    {IPPROTO_IPV6, IPV6_2292PKTOPTIONS, IPV6_2292PKTOPTIONS},
	    {IPPROTO_IPV6, IPV6_NEXTHOP, IPV6_NEXTHOP},
	    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, IPV6_ROUTER_ALERT},
	    {IPPROTO_IPV6, IPV6_JOIN_ANYCAST, IPV6_LEAVE_ANYCAST},
	    {IPPROTO_IPV6, 32, 48},
	    {IPPROTO_IPV6, IPV6_PKTINFO, IPV6_PKTINFO},
	    {IPPROTO_IPV6, IPV6_HOPLIMIT, IPV6_HOPLIMIT},
	    {IPPROTO_IPV6, IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS},
	    {IPPROTO_IPV6, IPV6_RTHDR, IPV6_RTHDR},
	    {IPPROTO_IPV6, IPV6_DSTOPTS, IPV6_DSTOPTS},
	    {IPPROTO_IPV6, IPV6_PATHMTU, IPV6_PATHMTU},
	    {IPPROTO_IPV6, 61, 61}, /* IPV6_PATHMTU */
	    {IPPROTO_IPV6, 64, 65},
	    {IPPROTO_IPV6, 68, 69},
	    {IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_ADDR_PREFERENCES},
	    {IPPROTO_IPV6, 80, 127},
	};

	for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++)
		if (level == left[i][0] && name >= left[i][1] && name <= left[i][2])
			return true;
	return false;
}

struct text {
	char line[1000];
	size_t n;
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
	get_badly(t, fd, level, name, t + 1, NULL);
	get_badly(t, fd, level, name, t + 1, unmapped);
	return t->line;
}

static void set(struct text *t, int fd, int level, int name, const void *value, socklen_t len)
{
	add(t, " %d", setsockopt(fd, level, name, value, len) < 0 ? -errno : 0);
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

static int bound(int family)
{
	struct sockaddr_in6 v6 = loopback6();
	struct sockaddr_in v4 = here(0);
	int fd = must(socket(family, SOCK_STREAM, 0));

	must(family == AF_INET ? bind(fd, SA(&v4), sizeof(v4)) : bind(fd, SA(&v6), sizeof(v6)));
	return fd;
}

static struct subject subject(int family, int state)
{
	struct subject s = {.others = {-1, -1}};
	struct sockaddr_storage where;
	socklen_t len = sizeof(where);

	if (state == 0)
		s.fd = must(socket(family, SOCK_STREAM, 0));
	else
		s.fd = bound(family);
	if (state == 2)
		must(listen(s.fd, 1));
	if (state == 3) {
		s.others[0] = bound(family);
		must(listen(s.others[0], 1));
		must(getsockname(s.others[0], SA(&where), &len));
		must(connect(s.fd, SA(&where), len));
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
static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6};

/* All that is the answer for numbers that do not exist is told once. */
static void sweep(int family, int state, const char *what,
		  const char *(*ask)(struct text *t, int fd, int level, int name), bool renew)
{
	static struct text t;
	struct subject s = subject(family, state);

	for (size_t l = 0; l < sizeof(levels) / sizeof(*levels); l++)
		for (int name = 0; name < OPTIONS; name++) {
			if (left_out(levels[l], name))
				continue;
			tap_print("# same: v%d %s %s %d.%d%s", family == AF_INET ? 4 : 6,
				  states[state], what, levels[l], name,
				  ask(&t, s.fd, levels[l], name));
			if (renew) {
				drop(s);
				s = subject(family, state);
			}
		}
	drop(s);
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
	for (int state = 0; state < 4; state++)
		sweep(AF_INET, state, "get", gets, false);
}

CASE("getsockopt() of every number, IPv6")
{
	for (int state = 0; state < 4; state++)
		sweep(AF_INET6, state, "get", gets, false);
}

CASE("setsockopt() of every number, IPv4")
{
	for (int state = 0; state < 4; state++)
		sweep(AF_INET, state, "set", sets, true);
}

CASE("setsockopt() of every number, IPv6")
{
	for (int state = 0; state < 4; state++)
		sweep(AF_INET6, state, "set", sets, true);
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
