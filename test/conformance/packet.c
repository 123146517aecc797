/* Packet sockets, and classic BPF filters on them and on others. On Linux in a network namespace of
 * its own, as root, with an Ethernet interface eth0. */
#include "tap.h"

#include "net.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/select.h>

/* For experiments (IEEE 802): nobody else sends it. */
#define OURS 0x88b5

static int packet(int type, int protocol)
{
	return must(socket(AF_PACKET, type | SOCK_CLOEXEC, htons((uint16_t)protocol)));
}

static struct sockaddr_ll link_name(const char *device, int protocol)
{
	return (struct sockaddr_ll){.sll_family = AF_PACKET,
				    .sll_protocol = htons((uint16_t)protocol),
				    .sll_ifindex = device ? (int)if_nametoindex(device) : 0};
}

static int bind_link(int fd, const char *device, int protocol)
{
	struct sockaddr_ll a = link_name(device, protocol);

	return bind(fd, SA(&a), sizeof(a));
}

/* Bound before it hears anything. */
static int packet_on(const char *device, int type, int protocol)
{
	int fd = packet(type, 0);

	must(bind_link(fd, device, protocol));
	return fd;
}

/* A datagram on loopback, with an Ethernet header before it and a text of `n` bytes 0, 1, 2... */
struct frame {
	struct ether_header ether;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t text[1500];
} __attribute__((packed));

#define HEADERS (sizeof(struct ether_header) + sizeof(struct iphdr) + sizeof(struct udphdr))

static uint16_t sum(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t s = 0;

	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static struct frame datagram(const struct sockaddr_in *from, const struct sockaddr_in *to, size_t n)
{
	struct frame f = {.ether = {.ether_type = htons(ETHERTYPE_IP)}};

	f.ip = (struct iphdr){.version = 4,
			      .ihl = 5,
			      .ttl = 64,
			      .protocol = IPPROTO_UDP,
			      .tot_len = htons((uint16_t)(HEADERS - 14 + n)),
			      .saddr = from->sin_addr.s_addr,
			      .daddr = to->sin_addr.s_addr};
	f.ip.check = sum(&f.ip, sizeof(f.ip));
	f.udp = (struct udphdr){
	    .source = from->sin_port, .dest = to->sin_port, .len = htons((uint16_t)(8 + n))};
	for (size_t i = 0; i < n; i++)
		f.text[i] = (uint8_t)i;
	return f;
}

static int udp_bound(struct sockaddr_in *name)
{
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	*name = at("127.0.0.1", 0);
	must(bind_to(fd, name));
	*name = local_name(fd);
	return fd;
}

/* `n` bytes 0, 1, 2... from a new socket to itself. */
static void text_of(size_t n)
{
	struct sockaddr_in name;
	int fd = udp_bound(&name);
	uint8_t text[1500];

	for (size_t i = 0; i < n; i++)
		text[i] = (uint8_t)i;
	equal(must(sendto(fd, text, n, 0, SA(&name), sizeof(name))), (ssize_t)n);
	/* Else somebody might find it closed, and say so. */
	equal(must(recv(fd, text, sizeof(text), 0)), (ssize_t)n);
	close(fd);
}

/* Nothing has come, and nothing comes: what was sent before has had time to. */
static void nothing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	equal(poll(&p, 1, 50), 0);
}

static ssize_t next_from(int fd, void *buf, size_t n, int flags, struct sockaddr_ll *from)
{
	socklen_t len = sizeof(*from);
	ssize_t got;

	wait_for(fd, POLLIN);
	got = must(recvfrom(fd, buf, n, MSG_DONTWAIT | flags, SA(from), &len));
	equal(len, sizeof(*from));
	return got;
}

static ssize_t next(int fd, void *buf, size_t n)
{
	struct sockaddr_ll from;

	return next_from(fd, buf, n, 0, &from);
}

static void *control_of(struct msghdr *msg, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return CMSG_DATA(c);
	FAIL_AT("# no control message %d of level %d", type, level);
}

CASE("which types there are, and what they say of themselves")
{
	static const struct {
		int type, protocol, error;
	} rows[] = {
	    {SOCK_RAW, ETH_P_ALL, 0},
	    {SOCK_DGRAM, ETH_P_IP, 0},
	    {SOCK_RAW, 0, 0},
	    {SOCK_RAW, 0xffff, 0},
	    {SOCK_STREAM, ETH_P_ALL, ESOCKTNOSUPPORT},
	    {SOCK_SEQPACKET, ETH_P_ALL, ESOCKTNOSUPPORT},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int fd = socket(AF_PACKET, rows[i].type, htons((uint16_t)rows[i].protocol));

		tap_print("# row %zu", i);
		equal(fd < 0 ? errno : 0, rows[i].error);
		if (fd < 0)
			continue;
		equal(get_int(fd, SOL_SOCKET, SO_TYPE), rows[i].type);
		equal(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_PACKET);
		equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), 0);
		equal(mask_now(fd), POLLOUT);
		close(fd);
	}
}

CASE("getsockname(): the protocol; the interface and its address when bound to one")
{
	struct sockaddr_ll name;
	socklen_t len = sizeof(name);
	struct ifreq request = {.ifr_name = "eth0"};
	int fd = packet(SOCK_RAW, OURS);

	must(getsockname(fd, SA(&name), &len));
	equal(len, 12);
	equal(name.sll_family, AF_PACKET);
	equal(name.sll_protocol, htons(OURS));
	equal(name.sll_ifindex, 0);
	equal(name.sll_hatype, 0);
	equal(name.sll_halen, 0);
	must(bind_link(fd, "lo", ETH_P_IP));
	len = sizeof(name);
	must(getsockname(fd, SA(&name), &len));
	equal(len, 18);
	equal(name.sll_protocol, htons(ETH_P_IP));
	equal(name.sll_ifindex, (int)if_nametoindex("lo"));
	equal(name.sll_hatype, ARPHRD_LOOPBACK);
	equal(name.sll_pkttype, 0);
	equal(name.sll_halen, 6);
	must(bind_link(fd, "eth0", OURS));
	len = 14;
	memset(&name, 0xee, sizeof(name));
	must(getsockname(fd, SA(&name), &len));
	equal(len, 18);
	equal(name.sll_addr[2], 0xee);
	len = sizeof(name);
	must(getsockname(fd, SA(&name), &len));
	must(ioctl(fd, SIOCGIFHWADDR, &request));
	equal(request.ifr_hwaddr.sa_family, ARPHRD_ETHER);
	equal(name.sll_hatype, ARPHRD_ETHER);
	equal(memcmp(name.sll_addr, request.ifr_hwaddr.sa_data, 6), 0);
	close(fd);
}

CASE("bind(): what it takes and what it does not")
{
	int fd = packet(SOCK_RAW, OURS);
	struct sockaddr_ll a = link_name("lo", OURS), name;
	struct sockaddr_in in = at("127.0.0.1", 0);
	socklen_t len = sizeof(name);

	fails(bind(fd, SA(&a), sizeof(a) - 1), EINVAL);
	fails(bind(fd, SA(&in), sizeof(in)), EINVAL);
	a.sll_family = AF_INET;
	fails(bind(fd, SA(&a), sizeof(a)), EINVAL);
	a.sll_family = AF_PACKET;
	a.sll_ifindex = 4711;
	fails(bind(fd, SA(&a), sizeof(a)), ENODEV);
	a.sll_ifindex = -1;
	fails(bind(fd, SA(&a), sizeof(a)), ENODEV);
	must(bind_link(fd, "lo", 0)); /* the protocol stays */
	must(getsockname(fd, SA(&name), &len));
	equal(name.sll_protocol, htons(OURS));
	must(bind_link(fd, NULL, ETH_P_ALL));
	len = sizeof(name);
	must(getsockname(fd, SA(&name), &len));
	equal(name.sll_protocol, htons(ETH_P_ALL));
	equal(name.sll_ifindex, 0);
	close(fd);
}

CASE("calls that mean nothing here")
{
	int fd = packet(SOCK_DGRAM, OURS);
	struct sockaddr_ll a = link_name("lo", OURS);
	socklen_t len = sizeof(a);
	char byte;

	fails(connect(fd, SA(&a), sizeof(a)), EOPNOTSUPP);
	fails(listen(fd, 1), EOPNOTSUPP);
	fails(accept(fd, NULL, NULL), EOPNOTSUPP);
	fails(shutdown(fd, SHUT_RDWR), EOPNOTSUPP);
	fails(getpeername(fd, SA(&a), &len), EOPNOTSUPP);
	fails(recv(fd, &byte, 1, MSG_OOB), EINVAL);
	fails(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

CASE("ETH_P_ALL on lo: what goes out, and the same as it comes in")
{
	int fd = packet_on("lo", SOCK_RAW, ETH_P_ALL);
	struct sockaddr_ll from;
	struct frame f;
	static const uint8_t zeros[6];

	text_of(10);
	for (int i = 0; i < 2; i++) {
		memset(&f, 0xee, sizeof(f));
		memset(&from, 0xee, sizeof(from));
		equal(next_from(fd, &f, sizeof(f), 0, &from), HEADERS + 10);
		equal(from.sll_family, AF_PACKET);
		equal(from.sll_protocol, htons(ETH_P_IP));
		equal(from.sll_ifindex, (int)if_nametoindex("lo"));
		equal(from.sll_hatype, ARPHRD_LOOPBACK);
		equal(from.sll_pkttype, i == 0 ? PACKET_OUTGOING : PACKET_HOST);
		equal(from.sll_halen, 6);
		equal(memcmp(from.sll_addr, zeros, 6), 0);
		equal(memcmp(f.ether.ether_dhost, zeros, 6), 0);
		equal(memcmp(f.ether.ether_shost, zeros, 6), 0);
		equal(f.ether.ether_type, htons(ETHERTYPE_IP));
		equal(f.ip.protocol, IPPROTO_UDP);
		equal(f.ip.tot_len, htons(HEADERS - 14 + 10));
		equal(f.text[9], 9);
	}
	nothing(fd);
	close(fd);
}

CASE("one ethertype: only what comes in; another: nothing; 0: nothing until bind()")
{
	int ip = packet_on("lo", SOCK_RAW, ETH_P_IP);
	int arp = packet_on("lo", SOCK_RAW, ETH_P_ARP);
	int other = packet_on("eth0", SOCK_RAW, ETH_P_IP);
	int none = packet(SOCK_RAW, 0);
	struct sockaddr_ll from;
	struct frame f;

	text_of(10);
	equal(next_from(ip, &f, sizeof(f), 0, &from), HEADERS + 10);
	equal(from.sll_pkttype, PACKET_HOST);
	nothing(ip);
	nothing(arp);
	nothing(other);
	nothing(none);
	must(bind_link(none, NULL, ETH_P_IP));
	text_of(11);
	equal(next(none, &f, sizeof(f)), HEADERS + 11);
	close(ip);
	close(arp);
	close(other);
	close(none);
}

CASE("SOCK_DGRAM: without the link header, also where it is told of")
{
	int fd = packet_on("lo", SOCK_DGRAM, ETH_P_ALL);
	struct sockaddr_ll from;
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[100];
	} d;

	text_of(7);
	for (int i = 0; i < 2; i++) {
		equal(next_from(fd, &d, sizeof(d), 0, &from), HEADERS - 14 + 7);
		equal(d.ip.version, 4);
		equal(d.udp.len, htons(15));
		equal(from.sll_pkttype, i == 0 ? PACKET_OUTGOING : PACKET_HOST);
		equal(from.sll_protocol, htons(ETH_P_IP));
	}
	close(fd);
}

CASE("IPv6 on lo")
{
	int fd = packet_on("lo", SOCK_DGRAM, ETH_P_IPV6);
	int udp = must(socket(AF_INET6, SOCK_DGRAM, 0));
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	struct sockaddr_ll from;
	uint8_t got[100];

	a.sin6_addr = in6addr_loopback;
	equal(must(sendto(udp, "abc", 3, 0, SA(&a), sizeof(a))), 3);
	equal(next_from(fd, got, sizeof(got), 0, &from), 51);
	equal(from.sll_protocol, htons(ETH_P_IPV6));
	equal(got[0] >> 4, 6);
	equal(memcmp(got + 48, "abc", 3), 0);
	close(udp);
	close(fd);
}

CASE("a frame sent to lo: its sender sees it come, others also go; IPv4 takes it for a martian")
{
	struct sockaddr_in name, from = at("127.0.0.1", 4711);
	int udp = udp_bound(&name), fd = packet_on("lo", SOCK_RAW, ETH_P_ALL);
	int other = packet_on("lo", SOCK_RAW, ETH_P_ALL);
	struct frame f = datagram(&from, &name, 20), got;
	struct sockaddr_ll ll;

	equal(must(send(fd, &f, HEADERS + 20, 0)), HEADERS + 20);
	equal(next_from(fd, &got, sizeof(got), 0, &ll), HEADERS + 20);
	equal(ll.sll_pkttype, PACKET_HOST);
	equal(memcmp(&got, &f, HEADERS + 20), 0);
	nothing(fd);
	nothing(udp);
	next_from(other, &got, sizeof(got), 0, &ll);
	equal(ll.sll_pkttype, PACKET_OUTGOING);
	next_from(other, &got, sizeof(got), 0, &ll);
	equal(ll.sll_pkttype, PACKET_HOST);
	close(udp);
	close(fd);
	close(other);
}

CASE("a frame on lo for somebody else is nobody's; of a type that nobody has, too")
{
	struct sockaddr_in name, from = at("127.0.0.1", 4711);
	int udp = udp_bound(&name), fd = packet_on("lo", SOCK_RAW, ETH_P_ALL);
	struct frame f = datagram(&from, &name, 20), got;
	struct sockaddr_ll ll;

	f.ether.ether_dhost[5] = 7;
	must(send(fd, &f, HEADERS + 20, 0));
	next_from(fd, &got, sizeof(got), 0, &ll);
	equal(ll.sll_pkttype, PACKET_OTHERHOST);
	memset(f.ether.ether_dhost, 0xff, 6);
	must(send(fd, &f, HEADERS + 20, 0));
	next_from(fd, &got, sizeof(got), 0, &ll);
	equal(ll.sll_pkttype, PACKET_MULTICAST); /* loopback's broadcast address is all zeros */
	f.ether.ether_dhost[0] = 0x33;
	f.ether.ether_type = htons(OURS);
	must(send(fd, &f, HEADERS + 20, 0));
	next_from(fd, &got, sizeof(got), 0, &ll);
	equal(ll.sll_pkttype, PACKET_MULTICAST);
	equal(ll.sll_protocol, htons(OURS));
	nothing(udp);
	close(udp);
	close(fd);
}

CASE("a length in place of the type: ETH_P_802_2, and ETH_P_802_3 where no LLC header follows")
{
	int fd = packet_on("lo", SOCK_RAW, ETH_P_ALL), llc = packet_on("lo", SOCK_RAW, ETH_P_802_2);
	uint8_t f[60] = {[12] = 0, [13] = 46, [14] = 0x42};
	struct sockaddr_ll ll;

	must(send(fd, f, sizeof(f), 0));
	next_from(fd, f, sizeof(f), 0, &ll);
	equal(ll.sll_protocol, htons(ETH_P_802_2));
	next_from(llc, f, sizeof(f), 0, &ll);
	equal(ll.sll_protocol, htons(ETH_P_802_2));
	f[14] = f[15] = 0xff;
	must(send(fd, f, sizeof(f), 0));
	next_from(fd, f, sizeof(f), 0, &ll);
	equal(ll.sll_protocol, htons(ETH_P_802_3));
	nothing(llc);
	close(fd);
	close(llc);
}

CASE("sendto() of SOCK_DGRAM: the stack writes the link header")
{
	int fd = packet(SOCK_DGRAM, 0), seen = packet_on("eth0", SOCK_RAW, ETH_P_ALL);
	struct sockaddr_ll to = link_name("eth0", OURS), ll;
	struct ifreq request = {.ifr_name = "eth0"};
	struct sock_filter only[] = {
	    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OURS, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog filter = {4, only};
	struct ether_header *ether;
	char frame[100];

	must(setsockopt(seen, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
	/* Others' frames may have come before the filter. */
	while (recv(seen, frame, sizeof(frame), MSG_DONTWAIT) >= 0)
		;
	memcpy(to.sll_addr, "\2\0\0\0\0\7", 6);
	fails(sendto(fd, "abc", 3, 0, SA(&to), sizeof(to) - 1), EINVAL);
	equal(must(sendto(fd, "abc", 3, 0, SA(&to), sizeof(to))), 3);
	equal(next_from(seen, frame, sizeof(frame), 0, &ll), 17);
	ether = (struct ether_header *)frame;
	must(ioctl(fd, SIOCGIFHWADDR, &request));
	equal(memcmp(ether->ether_dhost, "\2\0\0\0\0\7", 6), 0);
	equal(memcmp(ether->ether_shost, request.ifr_hwaddr.sa_data, 6), 0);
	equal(memcmp(ll.sll_addr, request.ifr_hwaddr.sa_data, 6), 0);
	equal(ether->ether_type, htons(OURS));
	equal(memcmp(frame + 14, "abc", 3), 0);
	equal(ll.sll_pkttype, PACKET_OUTGOING);
	equal(ll.sll_hatype, ARPHRD_ETHER);
	to.sll_ifindex = 4711;
	fails(sendto(fd, "abc", 3, 0, SA(&to), sizeof(to)), ENXIO);
	close(fd);
	close(seen);
}

CASE("send() of a socket that is bound to no interface: ENXIO")
{
	int fd = packet(SOCK_DGRAM, OURS);

	fails(send(fd, "abc", 3, 0), ENXIO);
	close(fd);
}

CASE("send() without an address of SOCK_DGRAM, on Ethernet: EINVAL")
{
	int fd = packet_on("eth0", SOCK_DGRAM, OURS);

	fails(send(fd, "abc", 3, 0), EINVAL);
	close(fd);
}

CASE("send(): frames too long, too short; text too long")
{
	static char big[70000];
	int raw = packet(SOCK_RAW, 0), fd = packet(SOCK_DGRAM, 0);
	struct sockaddr_ll to = link_name("eth0", OURS);
	struct ifreq request = {.ifr_name = "eth0"};
	size_t mtu;

	must(ioctl(fd, SIOCGIFMTU, &request));
	mtu = (size_t)request.ifr_mtu;
	to.sll_halen = 6;
	big[12] = OURS >> 8;
	big[13] = OURS & 0xff;
	equal(must(sendto(raw, big, mtu + 14, 0, SA(&to), sizeof(to))), (ssize_t)mtu + 14);
	fails(sendto(raw, big, mtu + 15, 0, SA(&to), sizeof(to)), EMSGSIZE);
	equal(must(sendto(raw, big, 14, 0, SA(&to), sizeof(to))), 14);
	fails(sendto(raw, big, 13, 0, SA(&to), sizeof(to)), EINVAL);
	fails(sendto(raw, big, 0, 0, SA(&to), sizeof(to)), EINVAL);
	equal(must(sendto(fd, big, mtu, 0, SA(&to), sizeof(to))), (ssize_t)mtu);
	fails(sendto(fd, big, mtu + 1, 0, SA(&to), sizeof(to)), EMSGSIZE);
	fails(sendto(fd, big, sizeof(big), 0, SA(&to), sizeof(to)), EMSGSIZE);
	equal(must(sendto(fd, big, 0, 0, SA(&to), sizeof(to))), 0);
	/* A VLAN tag comes on top. */
	big[12] = (char)0x81;
	big[13] = 0;
	equal(must(sendto(raw, big, mtu + 18, 0, SA(&to), sizeof(to))), (ssize_t)mtu + 18);
	fails(sendto(raw, big, mtu + 19, 0, SA(&to), sizeof(to)), EMSGSIZE);
	close(raw);
	close(fd);
}

CASE("PACKET_IGNORE_OUTGOING")
{
	int fd = packet_on("lo", SOCK_DGRAM, ETH_P_ALL);
	struct sockaddr_ll from;
	char got[100];

	fails(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &(int){2}, 4), EINVAL);
	set_int(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	equal(get_int(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING), 1);
	text_of(7);
	next_from(fd, got, sizeof(got), 0, &from);
	equal(from.sll_pkttype, PACKET_HOST);
	nothing(fd);
	close(fd);
}

CASE("MSG_TRUNC and MSG_PEEK")
{
	int fd = packet_on("lo", SOCK_DGRAM, ETH_P_IP);
	struct sockaddr_ll from;
	char got[10];
	struct iovec part = {got, sizeof(got)};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};

	text_of(100);
	equal(next_from(fd, got, 10, MSG_PEEK, &from), 10);
	equal(next_from(fd, got, 10, MSG_PEEK | MSG_TRUNC, &from), 128);
	equal(must(recvmsg(fd, &msg, 0)), 10);
	equal(msg.msg_flags & MSG_TRUNC, MSG_TRUNC);
	nothing(fd);
	close(fd);
}

CASE("PACKET_AUXDATA: lengths, and where the network header is; SO_TIMESTAMP")
{
	int fd = packet_on("lo", SOCK_RAW, ETH_P_IP);
	char got[50], control[200];
	struct iovec part = {got, sizeof(got)};
	struct msghdr msg = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 200};
	struct tpacket_auxdata *aux;
	struct sock_filter half[] = {BPF_STMT(BPF_RET | BPF_K, 60)};
	struct sock_fprog filter = {1, half};
	struct timeval *stamp;

	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
	set_int(fd, SOL_PACKET, PACKET_AUXDATA, 5);
	equal(get_int(fd, SOL_PACKET, PACKET_AUXDATA), 1);
	set_int(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	text_of(100);
	wait_for(fd, POLLIN);
	equal(must(recvmsg(fd, &msg, MSG_TRUNC)), 60);
	aux = control_of(&msg, SOL_PACKET, PACKET_AUXDATA);
	equal(aux->tp_len, HEADERS + 100);
	equal(aux->tp_snaplen, 60);
	equal(aux->tp_mac, 0);
	equal(aux->tp_net, 14);
	equal(aux->tp_vlan_tci, 0);
	equal(aux->tp_status & (TP_STATUS_USER | TP_STATUS_VLAN_VALID), TP_STATUS_USER);
	stamp = control_of(&msg, SOL_SOCKET, SCM_TIMESTAMP);
	check(llabs(time(NULL) - stamp->tv_sec) < 60);
	close(fd);
}

CASE("a VLAN tag is taken out of what comes, and told beside it")
{
	int fd = packet_on("lo", SOCK_RAW, ETH_P_ALL), sender = packet_on("lo", SOCK_RAW, 0);
	int one = packet_on("lo", SOCK_RAW, OURS);
	struct sockaddr_ll ll;
	uint8_t f[60] = {[12] = 0x81,	   [13] = 0,	       [14] = 0x20, [15] = 5,
			 [16] = OURS >> 8, [17] = OURS & 0xff, [18] = 'x'};
	uint8_t got[100], control[200];
	struct iovec part = {got, sizeof(got)};
	struct msghdr msg = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 200};
	struct tpacket_auxdata *aux;

	set_int(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	must(send(sender, f, sizeof(f), 0));
	/* On its way out it is part of the frame. */
	equal(next(fd, got, sizeof(got)), 60);
	wait_for(fd, POLLIN);
	equal(must(recvmsg(fd, &msg, 0)), 56);
	equal(got[12] << 8 | got[13], OURS);
	equal(got[14], 'x');
	aux = control_of(&msg, SOL_PACKET, PACKET_AUXDATA);
	equal(aux->tp_status & (TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID),
	      TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID);
	equal(aux->tp_vlan_tci, 0x2005);
	equal(aux->tp_vlan_tpid, ETH_P_8021Q);
	/* Who asked for the type of what is in it. */
	equal(next_from(one, got, sizeof(got), 0, &ll), 56);
	equal(ll.sll_pkttype, PACKET_OTHERHOST);
	equal(ll.sll_protocol, htons(OURS));
	close(one);
	close(fd);
	close(sender);
}

CASE("PACKET_STATISTICS counts what the filter lets through, and begins again")
{
	int fd = packet_on("lo", SOCK_RAW, ETH_P_IP);
	struct tpacket_stats s = {77, 77};
	struct sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog filter = {1, none};
	socklen_t len = sizeof(s);
	char got[10];

	for (int i = 0; i < 3; i++)
		text_of(7);
	for (int i = 0; i < 3; i++)
		next(fd, got, sizeof(got));
	must(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &len));
	equal(len, sizeof(s));
	equal(s.tp_packets, 3);
	equal(s.tp_drops, 0);
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
	text_of(7);
	nothing(fd);
	must(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &len));
	equal(s.tp_packets, 0);
	close(fd);
}

CASE("memberships")
{
	int fd = packet(SOCK_RAW, 0);
	int index = (int)if_nametoindex("eth0");
	const struct {
		int name, device, type, length, size, error;
	} rows[] = {
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 16, 0},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 16, 0},
	    {PACKET_DROP_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 16, 0},
	    {PACKET_DROP_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 16, 0},
	    {PACKET_DROP_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 16, 0},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_ALLMULTI, 0, 16, 0},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_MULTICAST, 6, 16, 0},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_MULTICAST, 5, 16, EINVAL},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_MULTICAST, 7, 16, EINVAL},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_UNICAST, 6, 16, 0},
	    {PACKET_ADD_MEMBERSHIP, 4711, PACKET_MR_PROMISC, 0, 16, ENODEV},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_PROMISC, 0, 15, EINVAL},
	    {PACKET_ADD_MEMBERSHIP, index, PACKET_MR_PROMISC, 9, 16, EINVAL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct packet_mreq m = {rows[i].device,
					(unsigned short)rows[i].type,
					(unsigned short)rows[i].length,
					{1, 0, 0x5e, 0, 0, 9}};
		int r = setsockopt(fd, SOL_PACKET, rows[i].name, &m, (socklen_t)rows[i].size);

		tap_print("# row %zu", i);
		equal(r < 0 ? errno : 0, rows[i].error);
	}
	close(fd);
}

CASE("options: what there is, which sizes they have")
{
	int fd = packet(SOCK_RAW, 0), value = TPACKET_V2;
	socklen_t len = sizeof(value);
	char byte = 0;

	must(getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &value, &len));
	equal(value, sizeof(struct tpacket2_hdr));
	value = TPACKET_V1;
	must(getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &value, &len));
	equal(value, sizeof(struct tpacket_hdr));
	value = 99;
	fails(getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &value, &len), EINVAL);
	len = 2;
	fails(getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &value, &len), EINVAL);
	equal(get_int(fd, SOL_PACKET, PACKET_VERSION), TPACKET_V1);
	set_int(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	equal(get_int(fd, SOL_PACKET, PACKET_VERSION), TPACKET_V2);
	fails(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &(int){7}, 4), EINVAL);
	fails(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &(int){0}, 3), EINVAL);
	set_int(fd, SOL_PACKET, PACKET_RESERVE, 4);
	equal(get_int(fd, SOL_PACKET, PACKET_RESERVE), 4);
	fails(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &byte, 1), EINVAL);
	fails(setsockopt(fd, SOL_PACKET, 99, &value, 4), ENOPROTOOPT);
	fails(setsockopt(fd, IPPROTO_IP, IP_TTL, &value, 4), ENOPROTOOPT);
	len = sizeof(value);
	fails(getsockopt(fd, SOL_PACKET, 99, &value, &len), ENOPROTOOPT);
	fails(getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &len), ENOPROTOOPT);
	close(fd);
}

CASE("SIOCGIF*: interfaces")
{
	int fd = packet(SOCK_DGRAM, 0);
	struct ifreq request = {.ifr_name = "lo"};

	must(ioctl(fd, SIOCGIFINDEX, &request));
	equal(request.ifr_ifindex, (int)if_nametoindex("lo"));
	must(ioctl(fd, SIOCGIFNAME, &request));
	equal(strcmp(request.ifr_name, "lo"), 0);
	must(ioctl(fd, SIOCGIFHWADDR, &request));
	equal(request.ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
	must(ioctl(fd, SIOCGIFFLAGS, &request));
	check(request.ifr_flags & IFF_LOOPBACK);
	must(ioctl(fd, SIOCGIFADDR, &request));
	strcpy(request.ifr_name, "none9");
	fails(ioctl(fd, SIOCGIFINDEX, &request), ENODEV);
	close(fd);
}

/* ---- filters ---- */

static int attach(int fd, struct sock_filter *code, unsigned short n)
{
	struct sock_fprog filter = {n, code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

CASE("SO_ATTACH_FILTER: what is no filter")
{
	static struct sock_filter many[4097];
	static struct sock_filter backwards[] = {BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff),
						 BPF_STMT(BPF_RET | BPF_K, 1)};
	static struct sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_IMM, 1)};
	int fd = packet(SOCK_RAW, 0);
	struct sock_fprog one = {1, many};

	for (int i = 0; i < 4097; i++)
		many[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 7);
	fails(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &one, sizeof(one) - 1), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, (void *)16, sizeof(one)), EFAULT);
	fails(attach(fd, NULL, 1), EINVAL);
	fails(attach(fd, (void *)16, 1), EFAULT);
	fails(attach(fd, many, 0), EINVAL);
	fails(attach(fd, many, 4097), EINVAL);
	fails(attach(fd, backwards, 2), EINVAL);
	fails(attach(fd, endless, 1), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4), ENOENT);
	must(attach(fd, many, 4096));
	must(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
	fails(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4), ENOENT);
	close(fd);
}

CASE("SO_GET_FILTER gives it back, counted in instructions")
{
	static struct sock_filter code[300], got[300];
	static const int types[] = {SOCK_RAW, SOCK_DGRAM, SOCK_STREAM};

	for (int i = 0; i < 299; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, i * 1234567);
	code[299] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? packet(types[i], 0) : must(socket(AF_INET, types[i], 0));
		socklen_t len = 0;

		tap_print("# type %d", types[i]);
		must(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
		equal(len, 0);
		must(attach(fd, code, 300));
		must(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
		equal(len, 300);
		len = 299;
		fails(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len), EINVAL);
		len = 300;
		must(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len));
		equal(len, 300);
		equal(memcmp(got, code, sizeof(code)), 0);
		close(fd);
	}
}

CASE("SO_LOCK_FILTER: it stays as it is")
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
	int fd = packet(SOCK_RAW, 0);

	equal(get_int(fd, SOL_SOCKET, SO_LOCK_FILTER), 0);
	must(attach(fd, all, 1));
	set_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	set_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	equal(get_int(fd, SOL_SOCKET, SO_LOCK_FILTER), 1);
	fails(attach(fd, all, 1), EPERM);
	fails(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4), EPERM);
	fails(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){0}, 4), EPERM);
	close(fd);
}

CASE("SO_ATTACH_BPF: descriptors that are no programs; SO_BPF_EXTENSIONS")
{
	int fd = packet(SOCK_RAW, 0), file = must(open("/dev/null", O_RDONLY | O_CLOEXEC));

	fails(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &(int){-1}, 4), EBADF);
	fails(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &file, 4), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, (long[]){1}, 8), EINVAL);
	check(get_int(fd, SOL_SOCKET, SO_BPF_EXTENSIONS) >= SKF_AD_VLAN_TPID + 4);
	close(file);
	close(fd);
}

#define ANC(what) (uint32_t)(SKF_AD_OFF + (what))

CASE("what programs make of a frame: as many bytes of it come")
{
	static const struct {
		const char *name;
		int want;
		struct sock_filter code[6];
	} rows[] = {
	    {"a constant", 40, {BPF_STMT(BPF_RET | BPF_K, 40)}},
	    {"more than there is", HEADERS + 100, {BPF_STMT(BPF_RET | BPF_K, 0xffffffff)}},
	    {"nothing", 0, {BPF_STMT(BPF_RET | BPF_K, 0)}},
	    {"len",
	     (HEADERS + 100) / 2,
	     {BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),
	      BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"a byte",
	     77,
	     {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, HEADERS + 77), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"past the end",
	     0,
	     {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, HEADERS + 100), BPF_STMT(BPF_RET | BPF_K, 40)}},
	    {"half past the end",
	     0,
	     {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, HEADERS + 99), BPF_STMT(BPF_RET | BPF_K, 40)}},
	    {"behind X",
	     64,
	     {BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14), BPF_STMT(BPF_LD | BPF_B | BPF_IND, 64 + 22),
	      BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"X below 0",
	     31,
	     {BPF_STMT(BPF_LDX | BPF_IMM, 0xffffffff),
	      BPF_STMT(BPF_LD | BPF_B | BPF_IND, HEADERS + 32), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"division by X of 0",
	     0,
	     {BPF_STMT(BPF_LD | BPF_IMM, 40), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
	      BPF_STMT(BPF_RET | BPF_K, 40)}},
	    {"unsigned division",
	     15,
	     {BPF_STMT(BPF_LD | BPF_IMM, 0xf0000000),
	      BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0x10000000), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"shift by X of 35",
	     40,
	     {BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_LDX | BPF_IMM, 35),
	      BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"negation",
	     40,
	     {BPF_STMT(BPF_LD | BPF_IMM, -40), BPF_STMT(BPF_ALU | BPF_NEG, 0),
	      BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"jump on more, unsigned",
	     40,
	     {BPF_STMT(BPF_LD | BPF_IMM, 0x80000000), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1),
	      BPF_STMT(BPF_RET | BPF_K, 40), BPF_STMT(BPF_RET | BPF_K, 50)}},
	    {"cells",
	     40,
	     {BPF_STMT(BPF_LD | BPF_IMM, 40), BPF_STMT(BPF_ST, 15), BPF_STMT(BPF_LD | BPF_IMM, 1),
	      BPF_STMT(BPF_LD | BPF_MEM, 15), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"SKF_NET_OFF",
	     20,
	     {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_NET_OFF + 2),
	      BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 108), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"SKF_LL_OFF",
	     0x80,
	     {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_LL_OFF + 12),
	      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"SKF_NET_OFF past the end",
	     0,
	     {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + 126),
	      BPF_STMT(BPF_RET | BPF_K, 40)}},
	    {"PROTOCOL",
	     0x80,
	     {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANC(SKF_AD_PROTOCOL)),
	      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"PKTTYPE",
	     40,
	     {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ANC(SKF_AD_PKTTYPE)),
	      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 40), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"IFINDEX",
	     41,
	     {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANC(SKF_AD_IFINDEX)),
	      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 40), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"HATYPE",
	     72,
	     {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ANC(SKF_AD_HATYPE)),
	      BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 700), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"VLAN_TAG_PRESENT",
	     40,
	     {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ANC(SKF_AD_VLAN_TAG_PRESENT)),
	      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 40), BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"PAY_OFFSET",
	     HEADERS,
	     {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANC(SKF_AD_PAY_OFFSET)),
	      BPF_STMT(BPF_RET | BPF_A, 0)}},
	    {"ALU_XOR_X",
	     40,
	     {BPF_STMT(BPF_LD | BPF_IMM, 41), BPF_STMT(BPF_LDX | BPF_IMM, 1),
	      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ANC(SKF_AD_ALU_XOR_X)),
	      BPF_STMT(BPF_RET | BPF_A, 0)}},
	};
	int fd = packet_on("lo", SOCK_RAW, ETH_P_IP);
	int all = packet_on("lo", SOCK_RAW, ETH_P_IP);
	char got[300];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sock_filter code[6];
		unsigned short n = 0;
		ssize_t came;

		memcpy(code, rows[i].code, sizeof(code));
		for (int k = 0; k < 6; k++)
			if (BPF_CLASS(code[k].code) == BPF_RET)
				n = (unsigned short)(k + 1);
		tap_print("# %s", rows[i].name);
		must(attach(fd, code, n));
		text_of(100);
		/* It has come to both, or to the other alone. */
		equal(next(all, got, sizeof(got)), HEADERS + 100);
		came = recv(fd, got, sizeof(got), MSG_DONTWAIT);
		equal(came < 0 ? 0 : came, rows[i].want);
	}
	close(fd);
	close(all);
}

CASE("filters of others: UDP's begins at its header, and leaves that whole")
{
	struct sockaddr_in name;
	int fd = udp_bound(&name);
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
				     BPF_STMT(BPF_RET | BPF_A, 0)};
	char got[100];

	must(attach(fd, code, 2));
	must(sendto(fd, "\0nothing", 8, 0, SA(&name), sizeof(name)));
	must(sendto(fd, "\1", 1, 0, SA(&name), sizeof(name)));
	must(sendto(fd, "\nabcdefg", 8, 0, SA(&name), sizeof(name)));
	must(sendto(fd, "xabcdefg", 8, 0, SA(&name), sizeof(name)));
	wait_for(fd, POLLIN);
	equal(must(recv(fd, got, sizeof(got), MSG_TRUNC)), 0);
	equal(must(recv(fd, got, sizeof(got), 0)), 2);
	equal(must(recv(fd, got, sizeof(got), 0)), 8);
	nothing(fd);
	close(fd);
}

CASE("filters of others: a raw socket's begins at the IP header, IPv6's behind it")
{
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20 + 8),
				     BPF_STMT(BPF_RET | BPF_A, 0)};
	struct sock_filter code6[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 2),
				      BPF_STMT(BPF_RET | BPF_A, 0)};
	int fd = must(socket(AF_INET, SOCK_RAW, 253)), six = must(socket(AF_INET6, SOCK_RAW, 253));
	struct sockaddr_in name = at("127.0.0.1", 0);
	struct sockaddr_in6 name6 = {.sin6_family = AF_INET6};
	char got[100];

	name6.sin6_addr = in6addr_loopback;
	must(attach(fd, code, 2));
	must(attach(six, code6, 2));
	must(sendto(fd, "01234567\0", 10, 0, SA(&name), sizeof(name)));
	must(sendto(fd, "01234567\x1a_", 10, 0, SA(&name), sizeof(name)));
	wait_for(fd, POLLIN);
	equal(must(recv(fd, got, sizeof(got), 0)), 26);
	nothing(fd);
	must(sendto(six, "01\0", 4, 0, SA(&name6), sizeof(name6)));
	must(sendto(six, "01\3_", 4, 0, SA(&name6), sizeof(name6)));
	wait_for(six, POLLIN);
	equal(must(recv(six, got, sizeof(got), 0)), 3);
	nothing(six);
	close(fd);
	close(six);
}

CASE("filters of others: a ping socket's begins at the ICMP header")
{
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
				     BPF_STMT(BPF_RET | BPF_A, 0)};
	int fd = must(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	struct sockaddr_in name = at("127.0.0.1", 0);
	char echo[16] = {ICMP_ECHO}, got[100];

	must(attach(fd, code, 2));
	must(sendto(fd, echo, 16, 0, SA(&name), sizeof(name)));
	echo[8] = 12;
	must(sendto(fd, echo, 16, 0, SA(&name), sizeof(name)));
	wait_for(fd, POLLIN);
	equal(must(recv(fd, got, sizeof(got), 0)), 12);
	nothing(fd);
	close(fd);
}

CASE("filters of others: TCP does not hear of segments that its filter does not want")
{
	/* Those whose text begins with x; what carries none passes. */
	struct sock_filter code[] = {BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0),
				     BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
				     BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
				     BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3c),
				     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 3, 0),
				     BPF_STMT(BPF_MISC | BPF_TAX, 0),
				     BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
				     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 1, 0),
				     BPF_STMT(BPF_RET | BPF_K, 0xffff),
				     BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), client, server;
	char got[10];

	must(attach(listener, code, 10));
	client = tcp_dial(&where);
	server = tcp_accept(listener);
	must(send(client, "a", 1, 0));
	equal(must(recv(server, got, sizeof(got), 0)), 1);
	must(send(client, "x", 1, 0));
	nothing(server);
	/* The connection has it from its listener. */
	must(setsockopt(server, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
	equal(must(recv(server, got, sizeof(got), 0)), 1);
	equal(got[0], 'x');
	close(client);
	close(server);
	close(listener);
}

/* ---- rings ---- */

struct ring {
	int fd;
	uint8_t *map;
	struct tpacket_req request;
	unsigned at;
};

/* Skips the case where mmap() is not to be seen. */
/* It sees UDP over IPv4 alone: connections of earlier cases may still be ending. */
static struct ring ring_on(int type, int version, unsigned frames)
{
	struct sock_filter udp[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
		     (uint32_t)SKF_NET_OFF + offsetof(struct iphdr, protocol)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
	struct ring r = {.fd = packet(type, 0)};

	set_int(r.fd, SOL_PACKET, PACKET_VERSION, version);
	r.request = (struct tpacket_req){.tp_block_size = 4096,
					 .tp_block_nr = frames / 2,
					 .tp_frame_size = 2048,
					 .tp_frame_nr = frames};
	if (setsockopt(r.fd, SOL_PACKET, PACKET_RX_RING, &r.request, sizeof(r.request)) < 0) {
		equal(errno, ENOPROTOOPT);
		close(r.fd);
		tap_skip("no rings here");
	}
	r.map = must(mmap(NULL, frames * 2048, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0));
	must(attach(r.fd, udp, 4));
	must(bind_link(r.fd, "lo", ETH_P_IP));
	return r;
}

static void ring_close(struct ring *r)
{
	must(munmap(r->map, r->request.tp_frame_nr * 2048));
	close(r->fd);
}

static struct tpacket2_hdr *slot(struct ring *r)
{
	return (struct tpacket2_hdr *)(r->map + r->at * 2048);
}

static bool is_full(struct ring *r)
{
	return __atomic_load_n(&slot(r)->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

static void give_back(struct ring *r)
{
	__atomic_store_n(&slot(r)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->at = (r->at + 1) % r->request.tp_frame_nr;
}

CASE("TPACKET_V2: poll() wakes, the slot tells, and is given back")
{
	struct ring r = ring_on(SOCK_RAW, TPACKET_V2, 4);

	nothing(r.fd);
	for (int i = 0; i < 9; i++) {
		struct tpacket2_hdr *h = slot(&r);
		struct sockaddr_ll *ll = (void *)((uint8_t *)h + TPACKET_ALIGN(sizeof(*h)));
		struct frame *f;

		check(!is_full(&r));
		text_of(20 + (size_t)i);
		wait_for(r.fd, POLLIN);
		wait_until(is_full(&r));
		equal(h->tp_len, HEADERS + 20 + i);
		equal(h->tp_snaplen, HEADERS + 20 + i);
		equal(h->tp_net, h->tp_mac + 14);
		equal(h->tp_net, TPACKET_ALIGN(TPACKET2_HDRLEN + 16));
		check(labs((long)time(NULL) - h->tp_sec) < 60);
		check(h->tp_nsec < 1000000000);
		f = (void *)((uint8_t *)h + h->tp_mac);
		equal(f->udp.len, htons((uint16_t)(28 + i)));
		equal(f->text[19], 19);
		equal(ll->sll_pkttype, PACKET_HOST);
		equal(ll->sll_protocol, htons(ETH_P_IP));
		equal(ll->sll_halen, 6);
		equal(mask_now(r.fd) & POLLIN, POLLIN);
		give_back(&r);
		equal(mask_now(r.fd) & POLLIN, 0);
		nothing(r.fd);
	}
	ring_close(&r);
}

static int selected(int fd)
{
	struct timeval none = {0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return must(select(fd + 1, &set, NULL, NULL, &none));
}

CASE("select() and epoll see a ring as poll() does")
{
	struct ring r = ring_on(SOCK_RAW, TPACKET_V2, 4);
	struct epoll_event e = {.events = EPOLLIN};
	int set = must(epoll_create1(EPOLL_CLOEXEC));

	must(epoll_ctl(set, EPOLL_CTL_ADD, r.fd, &e));
	for (int i = 0; i < 6; i++) {
		equal(selected(r.fd), 0);
		equal(must(epoll_wait(set, &e, 1, 0)), 0);
		text_of(20);
		equal(must(epoll_wait(set, &e, 1, 5000)), 1);
		wait_until(is_full(&r));
		equal(selected(r.fd), 1);
		equal(must(epoll_wait(set, &e, 1, 0)), 1);
		give_back(&r);
		if (i & 1)
			equal(selected(r.fd), 0);
	}
	close(set);
	ring_close(&r);
}

CASE("TPACKET_V1, without link headers")
{
	struct ring r = ring_on(SOCK_DGRAM, TPACKET_V1, 4);
	struct tpacket_hdr *h = (struct tpacket_hdr *)r.map;
	struct iphdr *ip;

	text_of(20);
	wait_for(r.fd, POLLIN);
	wait_until(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER);
	equal(h->tp_len, HEADERS - 14 + 20);
	equal(h->tp_mac, h->tp_net);
	equal(h->tp_net, TPACKET_ALIGN(TPACKET_HDRLEN) + 16);
	check(labs((long)time(NULL) - h->tp_sec) < 60);
	check(h->tp_usec < 1000000);
	ip = (void *)((uint8_t *)h + h->tp_net);
	equal(ip->protocol, IPPROTO_UDP);
	ring_close(&r);
}

CASE("a ring that is full: what comes is dropped, and counted; the next slot tells")
{
	struct ring r = ring_on(SOCK_RAW, TPACKET_V2, 4);
	struct tpacket_stats s;
	socklen_t len = sizeof(s);
	int all = packet_on("lo", SOCK_RAW, ETH_P_IP);
	char got[10];

	for (int i = 0; i < 7; i++) {
		text_of(20);
		next(all, got, sizeof(got));
	}
	must(getsockopt(r.fd, SOL_PACKET, PACKET_STATISTICS, &s, &len));
	equal(s.tp_packets, 7);
	equal(s.tp_drops, 3);
	for (int i = 0; i < 4; i++) {
		check(is_full(&r));
		give_back(&r);
	}
	check(!is_full(&r));
	for (int i = 0; i < 5; i++)
		text_of(20);
	for (int i = 0; i < 4; i++) {
		wait_until(is_full(&r));
		give_back(&r);
	}
	text_of(20);
	wait_until(is_full(&r));
	check(slot(&r)->tp_status & TP_STATUS_LOSING);
	ring_close(&r);
	close(all);
}

CASE("a slot that is too small has the beginning")
{
	struct ring r = ring_on(SOCK_RAW, TPACKET_V2, 4);
	struct tpacket_req none = {0};
	struct sockaddr_in name;
	int udp = udp_bound(&name);
	static char text[3000];

	must(sendto(udp, text, sizeof(text), 0, SA(&name), sizeof(name)));
	wait_until(is_full(&r));
	equal(slot(&r)->tp_len, HEADERS + 3000);
	equal(slot(&r)->tp_snaplen, 2048 - slot(&r)->tp_mac);
	must(munmap(r.map, 4 * 2048));
	must(setsockopt(r.fd, SOL_PACKET, PACKET_RX_RING, &none, sizeof(none)));
	close(r.fd);
	close(udp);
}

CASE("poll() in another thread wakes, time after time")
{
	struct ring r = ring_on(SOCK_RAW, TPACKET_V2, 8);
	pid_t pid = child();

	if (pid == 0) {
		for (int i = 0; i < 200; i++)
			text_of(50);
		_exit(0);
	}
	for (int i = 0, seen = 0; seen < 200; i++) {
		struct tpacket_stats s;
		socklen_t len = sizeof(s);

		wait_for(r.fd, POLLIN);
		while (is_full(&r)) {
			seen++;
			give_back(&r);
		}
		must(getsockopt(r.fd, SOL_PACKET, PACKET_STATISTICS, &s, &len));
		seen += (int)s.tp_drops;
	}
	reap(pid);
	nothing(r.fd);
	ring_close(&r);
}

CASE("PACKET_RX_RING and mmap(): what is no ring")
{
	int fd = packet(SOCK_RAW, 0);
	static const struct {
		struct tpacket_req request;
		int error;
	} rows[] = {
	    {{.tp_block_size = 4095, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 1},
	     EINVAL},
	    {{.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 3},
	     EINVAL},
	    {{.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2047, .tp_frame_nr = 2},
	     EINVAL},
	    {{.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 48, .tp_frame_nr = 85},
	     EINVAL},
	    {{.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 8192, .tp_frame_nr = 0},
	     EINVAL},
	    {{.tp_block_nr = 0, .tp_frame_nr = 2}, EINVAL},
	    {{.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4}, 0},
	    {{.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4},
	     EBUSY},
	};
	void *p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r = setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &rows[i].request,
				   sizeof(rows[i].request));

		if (r < 0 && errno == ENOPROTOOPT)
			tap_skip("no rings here");
		tap_print("# row %zu", i);
		equal(r < 0 ? errno : 0, rows[i].error);
	}
	fails(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &rows[6].request, 15), EINVAL);
	fails(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &(int){1}, 4), EBUSY);
	fails(setsockopt(fd, SOL_PACKET, PACKET_RESERVE, &(int){1}, 4), EBUSY);
	fails((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	fails((long)mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 4096), EINVAL);
	p = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	must(munmap(p, 8192));
	close(fd);
	fd = packet(SOCK_RAW, 0);
	fails((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	close(fd);
}
