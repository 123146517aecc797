/* Raw sockets and ping sockets. On Linux in a network namespace of its own, as root. */
#include "tap.h"

#include "net.h"

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

/* A protocol that nobody has. */
#define NOBODY 253
#define IDENT  0x1234

struct echo {
	struct icmphdr head;
	char text[8];
};

struct packet {
	struct iphdr ip;
	char text[64];
};

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

static struct sockaddr_in6 six(const char *text, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	inet_pton(AF_INET6, text, &a.sin6_addr);
	return a;
}

static int raw4(int protocol)
{
	return must(socket(AF_INET, SOCK_RAW, protocol));
}

static int raw6(int protocol)
{
	return must(socket(AF_INET6, SOCK_RAW, protocol));
}

/* The int of a control message. */
static int control_int(const struct msghdr *msg, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return c->cmsg_len == CMSG_LEN(1) ? *CMSG_DATA(c) : *(int *)CMSG_DATA(c);
	return -1;
}

static int ping4(void)
{
	return must(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

static int ping6(void)
{
	return must(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
}

static struct echo request(int ident, int seq)
{
	struct echo e = {.head = {.type = ICMP_ECHO}, .text = "abcdefg"};

	e.head.un.echo.id = htons((uint16_t)ident);
	e.head.un.echo.sequence = htons((uint16_t)seq);
	e.head.checksum = sum(&e, sizeof(e));
	return e;
}

static ssize_t to4(int fd, const void *data, size_t n, const char *where)
{
	struct sockaddr_in a = at(where, 0);

	return sendto(fd, data, n, 0, SA(&a), sizeof(a));
}

static ssize_t to6(int fd, const void *data, size_t n, const char *where)
{
	struct sockaddr_in6 a = six(where, 0);

	return sendto(fd, data, n, 0, SA(&a), sizeof(a));
}

/* Nothing has come, and nothing comes: what was sent before has had time to. */
static void nothing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	equal(poll(&p, 1, 50), 0);
}

static ssize_t next(int fd, void *buf, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	equal(poll(&p, 1, 5000), 1);
	return recv(fd, buf, n, MSG_DONTWAIT);
}

CASE("which types and protocols there are")
{
	static const struct {
		int family, type, protocol, error;
	} rows[] = {
	    {AF_INET, SOCK_RAW, 0, EPROTONOSUPPORT},
	    {AF_INET6, SOCK_RAW, 0, EPROTONOSUPPORT},
	    {AF_INET, SOCK_RAW, 255, 0},
	    {AF_INET6, SOCK_RAW, 255, 0},
	    {AF_INET, SOCK_RAW, 256, 0},
	    {AF_INET, SOCK_RAW, 263, EINVAL},
	    {AF_INET, SOCK_RAW, IPPROTO_ICMPV6, 0},
	    {AF_INET6, SOCK_RAW, IPPROTO_ICMP, 0},
	    {AF_INET, SOCK_DGRAM, IPPROTO_ICMP, 0},
	    {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, 0},
	    {AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, EPROTONOSUPPORT},
	    {AF_INET6, SOCK_DGRAM, IPPROTO_ICMP, EPROTONOSUPPORT},
	    {AF_INET, SOCK_DGRAM, IPPROTO_RAW, EPROTONOSUPPORT},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int fd = socket(rows[i].family, rows[i].type, rows[i].protocol);

		tap_print("# row %zu", i);
		equal(fd < 0 ? errno : 0, rows[i].error);
		if (fd >= 0) {
			equal(get_int(fd, SOL_SOCKET, SO_TYPE), rows[i].type);
			equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), rows[i].protocol);
			close(fd);
		}
	}
}

CASE("raw ICMP: the request itself and the reply, each with its IP header")
{
	int fd = raw4(IPPROTO_ICMP);
	struct echo e = request(IDENT, 1);
	struct packet p;

	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	for (int i = 0; i < 2; i++) {
		const struct echo *got = (const struct echo *)p.text;

		equal(next(fd, &p, sizeof(p)), sizeof(struct iphdr) + sizeof(e));
		equal(p.ip.version, 4);
		equal(p.ip.ihl, 5);
		equal(ntohs(p.ip.tot_len), sizeof(struct iphdr) + sizeof(e));
		equal(p.ip.protocol, IPPROTO_ICMP);
		equal(p.ip.ttl, 64);
		equal(p.ip.saddr, htonl(INADDR_LOOPBACK));
		equal(sum(&p.ip, sizeof(p.ip)), 0);
		equal(got->head.type, i == 0 ? ICMP_ECHO : ICMP_ECHOREPLY);
		equal(sum(got, sizeof(*got)), 0);
		check(!memcmp(got->text, e.text, sizeof(e.text)));
	}
	nothing(fd);
	close(fd);
}

CASE("every raw socket of the protocol gets a copy; others do not")
{
	int a = raw4(NOBODY), b = raw4(NOBODY), other = raw4(NOBODY - 1);
	char buf[64];

	equal(to4(a, "hello", 5, "127.0.0.1"), 5);
	equal(next(a, buf, sizeof(buf)), 25);
	equal(next(b, buf, sizeof(buf)), 25);
	check(!memcmp(buf + 20, "hello", 5));
	nothing(other);
	close(a);
	close(b);
	close(other);
}

CASE("names: the port is the protocol; recvfrom() tells port 0")
{
	int fd = raw4(NOBODY);
	struct sockaddr_in name = local_name(fd), who;
	struct sockaddr_in here = at("127.0.0.1", 99);
	socklen_t len = sizeof(who);
	char buf[64];

	equal(name.sin_addr.s_addr, 0);
	equal(ntohs(name.sin_port), NOBODY);
	fails(getpeername(fd, SA(&who), &len), ENOTCONN);
	must(bind_to(fd, &here));
	name = local_name(fd);
	equal(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	equal(ntohs(name.sin_port), NOBODY);
	equal(to4(fd, "x", 1, "127.0.0.1"), 1);
	len = sizeof(who);
	equal(recvfrom(fd, buf, sizeof(buf), 0, SA(&who), &len), 21);
	equal(len, sizeof(who));
	equal(who.sin_port, 0);
	equal(who.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(fd);
}

CASE("bind() and connect() choose what is heard")
{
	int fd = raw4(NOBODY), from = raw4(NOBODY);
	struct sockaddr_in one = at("127.0.0.1", 0), two = at("127.0.0.2", 0),
			   away = at("192.0.2.1", 0);
	char buf[64];

	fails(bind_to(fd, &away), EADDRNOTAVAIL);
	must(bind_to(fd, &two));
	equal(to4(from, "no", 2, "127.0.0.1"), 2);
	nothing(fd);
	equal(to4(from, "yes", 3, "127.0.0.2"), 3);
	equal(next(fd, buf, sizeof(buf)), 23);
	must(connect_to(fd, &two));
	equal(to4(from, "no", 2, "127.0.0.2"), 2);
	nothing(fd);
	must(bind_to(from, &two));
	equal(to4(from, "yes", 3, "127.0.0.2"), 3);
	equal(next(fd, buf, sizeof(buf)), 23);
	fails(bind_to(fd, &one), EINVAL);
	equal(send(fd, "self", 4, 0), 4);
	equal(next(fd, buf, sizeof(buf)), 24);
	close(fd);
	close(from);
}

CASE("getpeername() tells the port that connect() was given, and nothing if there was none")
{
	int fd = raw4(NOBODY);
	struct sockaddr_in to = at("127.0.0.1", 7), none = at("127.0.0.1", 0), name;
	socklen_t len = sizeof(name);

	must(connect_to(fd, &none));
	fails(getpeername(fd, SA(&name), &len), ENOTCONN);
	must(connect_to(fd, &to));
	name = peer_name(fd);
	equal(ntohs(name.sin_port), 7);
	equal(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(fd);
}

CASE("send() without a peer, to another family, too much, MSG_OOB")
{
	int fd = raw4(NOBODY);
	struct sockaddr_in6 other = six("::1", 0);
	struct sockaddr_in a = at("127.0.0.1", 0), none = at("127.0.0.1", 0);
	static char big[65536];
	char buf[64];

	none.sin_family = AF_UNSPEC;
	fails(send(fd, "x", 1, 0), EDESTADDRREQ);
	fails(sendto(fd, "x", 1, 0, SA(&other), sizeof(other)), EAFNOSUPPORT);
	fails(sendto(fd, "x", 1, 0, SA(&a), 4), EINVAL);
	fails(sendto(fd, "x", 1, MSG_OOB, SA(&a), sizeof(a)), EOPNOTSUPP);
	fails(to4(fd, big, sizeof(big), "127.0.0.1"), EMSGSIZE);
	fails(to4(fd, big, 65516, "127.0.0.1"), EMSGSIZE);
	equal(to4(fd, big, 65515, "127.0.0.1"), 65515);
	equal(recv(fd, buf, sizeof(buf), MSG_TRUNC), 65535);
	equal(sendto(fd, "x", 1, 0, SA(&none), sizeof(none)), 1);
	equal(next(fd, buf, sizeof(buf)), 21);
	equal(to4(fd, "", 0, "127.0.0.1"), 0);
	equal(next(fd, buf, sizeof(buf)), 20);
	close(fd);
}

CASE("SO_BROADCAST allows to send to everybody")
{
	int fd = raw4(NOBODY);

	errno = 0;
	check(to4(fd, "x", 1, "255.255.255.255") < 0 && (errno == EACCES || errno == ENETUNREACH));
	close(fd);
}

CASE("ICMP_FILTER: a bit for each type that is not wanted")
{
	int fd = raw4(IPPROTO_ICMP), other = raw4(NOBODY);
	struct icmp_filter f = {~(1u << ICMP_ECHOREPLY)}, got = {0};
	socklen_t len = sizeof(got);
	struct echo e = request(IDENT, 1);
	struct packet p;

	must(setsockopt(fd, SOL_RAW, ICMP_FILTER, &f, sizeof(f)));
	must(getsockopt(fd, SOL_RAW, ICMP_FILTER, &got, &len));
	equal(len, sizeof(got));
	equal(got.data, f.data);
	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	next(fd, &p, sizeof(p));
	equal(p.text[0], ICMP_ECHOREPLY);
	nothing(fd);
	fails(setsockopt(other, SOL_RAW, ICMP_FILTER, &f, sizeof(f)), EOPNOTSUPP);
	fails(getsockopt(other, SOL_RAW, ICMP_FILTER, &got, &len), EOPNOTSUPP);
	fails(setsockopt(fd, SOL_RAW, 77, &f, sizeof(f)), ENOPROTOOPT);
	fails(getsockopt(fd, SOL_RAW, 77, &got, &len), ENOPROTOOPT);
	close(fd);
	close(other);
}

CASE("IP_HDRINCL: length and checksum are written, id and source where they are zero")
{
	int fd = raw4(NOBODY), out = raw4(NOBODY);
	struct packet p = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = NOBODY}}, got;

	equal(get_int(out, IPPROTO_IP, IP_HDRINCL), 0);
	set_int(out, IPPROTO_IP, IP_HDRINCL, 1);
	equal(get_int(out, IPPROTO_IP, IP_HDRINCL), 1);
	p.ip.daddr = htonl(INADDR_LOOPBACK);
	p.ip.check = 0x1111;
	p.ip.tot_len = 0x2222;
	memcpy(p.text, "text", 4);
	equal(to4(out, &p, 24, "127.0.0.1"), 24);
	equal(next(fd, &got, sizeof(got)), 24);
	equal(got.ip.ttl, 9);
	equal(ntohs(got.ip.tot_len), 24);
	check(got.ip.id != 0);
	equal(got.ip.saddr, htonl(INADDR_LOOPBACK));
	equal(sum(&got.ip, 20), 0);
	check(!memcmp(got.text, "text", 4));
	p.ip.id = htons(77);
	p.ip.saddr = htonl(INADDR_LOOPBACK + 5);
	equal(to4(out, &p, 24, "127.0.0.1"), 24);
	equal(next(fd, &got, sizeof(got)), 24);
	equal(ntohs(got.ip.id), 77);
	equal(got.ip.saddr, htonl(INADDR_LOOPBACK + 5));
	close(fd);
	close(out);
}

CASE("IP_HDRINCL: a header that is too short, or longer than the packet")
{
	int fd = raw4(NOBODY);
	struct packet p = {.ip = {.version = 4, .ihl = 15, .ttl = 9, .protocol = NOBODY}};

	set_int(fd, IPPROTO_IP, IP_HDRINCL, 1);
	p.ip.daddr = htonl(INADDR_LOOPBACK);
	fails(to4(fd, &p, 19, "127.0.0.1"), EINVAL);
	fails(to4(fd, &p, 59, "127.0.0.1"), EINVAL);
	close(fd);
}

CASE("IPPROTO_RAW sends what begins with a header")
{
	int fd = raw4(IPPROTO_RAW), in = raw4(NOBODY);
	struct packet p = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = NOBODY}}, got;

	equal(get_int(fd, IPPROTO_IP, IP_HDRINCL), 1);
	p.ip.daddr = htonl(INADDR_LOOPBACK);
	equal(to4(fd, &p, 30, "127.0.0.1"), 30);
	equal(next(in, &got, sizeof(got)), 30);
	nothing(fd);
	close(fd);
	close(in);
}

CASE("a TCP segment by hand is answered, and the answer is heard")
{
	struct sockaddr_in where;
	int listener = tcp_listener(&where, 1), fd = raw4(IPPROTO_TCP);
	struct {
		uint32_t src, dst;
		uint16_t protocol, length;
		uint8_t tcp[20];
	} pseudo = {
	    htonl(INADDR_LOOPBACK), htonl(INADDR_LOOPBACK), htons(IPPROTO_TCP), htons(20), {0}};
	uint8_t *t = pseudo.tcp;
	struct packet p;
	uint16_t check_sum;

	t[0] = 0x77, t[1] = 0x77;
	memcpy(t + 2, &where.sin_port, 2);
	t[7] = 100;
	t[12] = 0x50;
	t[13] = 0x02;
	t[15] = 255;
	check_sum = sum(&pseudo, sizeof(pseudo));
	memcpy(t + 16, &check_sum, 2);
	where.sin_port = 0;
	equal(sendto(fd, t, 20, 0, SA(&where), sizeof(where)), 20);
	do
		next(fd, &p, sizeof(p));
	while (p.text[2] != 0x77 || p.text[3] != 0x77);
	equal(p.text[13] & 0x12, 0x12);
	equal(p.text[11], 101);
	close(fd);
	close(listener);
}

CASE("IP_TTL, IP_TOS go out; IP_RECVTTL, IP_RECVTOS, IP_PKTINFO come in")
{
	int fd = raw4(NOBODY), out = raw4(NOBODY);
	char buf[64], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
	set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
	set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
	set_int(out, IPPROTO_IP, IP_TTL, 33);
	set_int(out, IPPROTO_IP, IP_TOS, 0x20);
	equal(to4(out, "x", 1, "127.0.0.1"), 1);
	equal(recvmsg(fd, &msg, 0), 21);
	equal(control_int(&msg, IPPROTO_IP, IP_TTL), 33);
	equal(control_int(&msg, IPPROTO_IP, IP_TOS), 0x20);
	equal(control_int(&msg, IPPROTO_IP, IP_PKTINFO), 1);
	equal(buf[8], 33);
	equal(buf[1], 0x20);
	close(fd);
	close(out);
}

CASE("nobody has the protocol: an error, told with IP_RECVERR and to who is connected")
{
	int fd = raw4(NOBODY), icmp = raw4(IPPROTO_ICMP), loose;
	struct sockaddr_in a = at("127.0.0.1", 0);
	char buf[64], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct sockaddr_in who;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_name = &who,
			     .msg_namelen = sizeof(who),
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct {
		uint32_t no;
		uint8_t origin, type, code, pad;
		uint32_t info, data;
		struct sockaddr_in offender;
	} e;
	struct packet p;

	/* Bound to another address: nobody hears it. */
	must(bind_to(fd, &(struct sockaddr_in){.sin_family = AF_INET,
					       .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)}));
	loose = raw4(NOBODY - 3);
	must(bind_to(loose, &(struct sockaddr_in){.sin_family = AF_INET,
						  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)}));
	equal(to4(loose, "unheard.", 8, "127.0.0.1"), 8);
	next(icmp, &p, sizeof(p));
	equal(p.text[0], ICMP_DEST_UNREACH);
	equal(p.text[1], ICMP_PROT_UNREACH);
	equal(get_int(loose, SOL_SOCKET, SO_ERROR), 0);
	set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	equal(to4(fd, "the text", 8, "127.0.0.1"), 8);
	wait_for(fd, POLLIN | POLLERR);
	check(mask_now(fd) & POLLERR);
	equal(recvmsg(fd, &msg, MSG_ERRQUEUE), 8);
	check(!memcmp(buf, "the text", 8));
	check(msg.msg_flags & MSG_ERRQUEUE);
	equal(who.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	equal(who.sin_port, 0);
	memcpy(&e, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(e));
	equal(e.no, ENOPROTOOPT);
	equal(e.origin, 2);
	equal(e.type, ICMP_DEST_UNREACH);
	equal(e.code, ICMP_PROT_UNREACH);
	equal(e.offender.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	fails(recvmsg(fd, &msg, MSG_ERRQUEUE), EAGAIN);
	equal(mask_now(fd) & (POLLIN | POLLERR), 0);
	set_int(fd, IPPROTO_IP, IP_RECVERR, 0);
	must(connect_to(fd, &a));
	equal(send(fd, "the text", 8, 0), 8);
	wait_for(fd, POLLIN | POLLERR);
	check(mask_now(fd) & POLLERR);
	fails(recv(fd, buf, sizeof(buf), 0), ENOPROTOOPT);
	close(fd);
	close(icmp);
	close(loose);
}

CASE("what nobody reads is bounded by SO_RCVBUF")
{
	int fd = raw4(NOBODY), out = raw4(NOBODY - 1);
	static char big[1000];
	int n = 0;

	close(out);
	out = raw4(NOBODY);
	set_int(fd, SOL_SOCKET, SO_RCVBUF, 8192);
	for (int i = 0; i < 500; i++)
		equal(to4(out, big, sizeof(big), "127.0.0.1"), sizeof(big));
	sleep_ms(100);
	while (recv(fd, big, sizeof(big), MSG_DONTWAIT) > 0)
		n++;
	check(n > 0 && n < 300);
	close(fd);
	close(out);
}

CASE("IPv6 raw: without the header, ICMPv6's checksum is the kernel's")
{
	int fd = raw6(IPPROTO_ICMPV6);
	struct icmp6_hdr e = {.icmp6_type = ICMP6_ECHO_REQUEST}, got;
	struct icmp6_filter f;
	struct sockaddr_in6 who;
	socklen_t len = sizeof(who);

	e.icmp6_id = htons(IDENT);
	ICMP6_FILTER_SETBLOCKALL(&f);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
	must(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof(f)));
	equal(to6(fd, &e, sizeof(e), "::1"), sizeof(e));
	equal(recvfrom(fd, &got, sizeof(got), 0, SA(&who), &len), sizeof(got));
	equal(got.icmp6_type, ICMP6_ECHO_REPLY);
	equal(got.icmp6_id, htons(IDENT));
	check(got.icmp6_cksum != 0);
	equal(who.sin6_port, 0);
	check(IN6_IS_ADDR_LOOPBACK(&who.sin6_addr));
	nothing(fd);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_CHECKSUM), 2);
	fails(setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){4}, 4), EINVAL);
	close(fd);
}

CASE("IPV6_CHECKSUM writes one, and drops what has a wrong one")
{
	int fd = raw6(NOBODY), out = raw6(NOBODY), plain = raw6(NOBODY);
	uint8_t text[8] = {1, 2, 3, 4, 9, 9, 5, 6}, got[16];

	equal(get_int(fd, IPPROTO_IPV6, IPV6_CHECKSUM), -1);
	fails(setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){3}, 4), EINVAL);
	set_int(fd, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	equal(get_int(fd, IPPROTO_IPV6, IPV6_CHECKSUM), 4);
	equal(to6(plain, text, 8, "::1"), 8);
	equal(next(out, got, sizeof(got)), 8);
	nothing(fd);
	set_int(out, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	equal(to6(out, text, 8, "::1"), 8);
	equal(next(fd, got, sizeof(got)), 8);
	check(got[4] != 9 || got[5] != 9);
	equal(got[6], 5);
	fails(to6(out, text, 5, "::1"), EINVAL);
	close(fd);
	close(out);
	close(plain);
}

CASE("IPv6 raw: the destination's port is 0 or the protocol")
{
	int fd = raw6(NOBODY);
	struct sockaddr_in6 a = six("::1", NOBODY), b = six("::1", 9);
	struct sockaddr_in6 mapped = six("::ffff:127.0.0.1", 0), name;
	socklen_t len = sizeof(name);
	char buf[8];

	equal(sendto(fd, "x", 1, 0, SA(&a), sizeof(a)), 1);
	equal(next(fd, buf, sizeof(buf)), 1);
	fails(sendto(fd, "x", 1, 0, SA(&b), sizeof(b)), EINVAL);
	fails(bind(fd, SA(&mapped), sizeof(mapped)), EADDRNOTAVAIL);
	must(getsockname(fd, SA(&name), &len));
	equal(ntohs(name.sin6_port), NOBODY);
	close(fd);
}

CASE("IPv6 raw: hop limit, traffic class and destination by ancillary data")
{
	int fd = raw6(NOBODY), out = raw6(NOBODY);
	char buf[64], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set_int(out, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
	set_int(out, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	equal(to6(out, "x", 1, "::1"), 1);
	equal(recvmsg(fd, &msg, 0), 1);
	equal(control_int(&msg, IPPROTO_IPV6, IPV6_HOPLIMIT), 33);
	equal(control_int(&msg, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
	check(control_int(&msg, IPPROTO_IPV6, IPV6_PKTINFO) != -1);
	close(fd);
	close(out);
}

CASE("ping: ident and checksum are written, the reply comes without an IP header")
{
	int fd = ping4();
	struct echo e = request(1, 7), got;
	struct sockaddr_in who, name = local_name(fd);
	socklen_t len = sizeof(who);

	equal(name.sin_port, 0);
	e.head.checksum = 0x5555;
	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	name = local_name(fd);
	check(name.sin_port != 0);
	equal(recvfrom(fd, &got, sizeof(got), 0, SA(&who), &len), sizeof(got));
	equal(got.head.type, ICMP_ECHOREPLY);
	equal(got.head.un.echo.id, name.sin_port);
	equal(ntohs(got.head.un.echo.sequence), 7);
	equal(sum(&got, sizeof(got)), 0);
	check(!memcmp(got.text, e.text, sizeof(e.text)));
	equal(who.sin_port, 0);
	equal(who.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(fd);
}

CASE("ping: bind() names the ident, which is one socket's")
{
	int fd = ping4(), other = ping4();
	struct sockaddr_in a = at("0.0.0.0", IDENT), any = at("0.0.0.0", 0),
			   away = at("192.0.2.1", 0);
	struct echo e = request(1, 7), got;

	fails(bind_to(fd, &away), EADDRNOTAVAIL);
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	must(bind_to(fd, &a));
	equal(local_name(fd).sin_port, htons(IDENT));
	fails(bind_to(other, &a), EADDRINUSE);
	fails(bind_to(fd, &any), EINVAL);
	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	equal(next(fd, &got, sizeof(got)), sizeof(got));
	equal(got.head.un.echo.id, htons(IDENT));
	nothing(other);
	close(fd);
	must(bind_to(other, &a));
	close(other);
}

CASE("ping: sockets share an ident unless one does not want to; the newest gets the replies")
{
	int fd = ping4(), other = ping4();
	struct sockaddr_in a = at("0.0.0.0", IDENT);
	struct echo e = request(1, 7), got;

	equal(get_int(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	must(bind_to(fd, &a));
	must(bind_to(other, &a));
	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	equal(next(other, &got, sizeof(got)), sizeof(got));
	nothing(fd);
	close(other);
	close(fd);
}

CASE("ping: only echo requests")
{
	int fd = ping4();
	struct echo e = request(1, 7);

	fails(to4(fd, &e, 7, "127.0.0.1"), EINVAL);
	e.head.type = ICMP_ECHOREPLY;
	fails(to4(fd, &e, sizeof(e), "127.0.0.1"), EINVAL);
	e.head.type = ICMP_ECHO;
	e.head.code = 1;
	fails(to4(fd, &e, sizeof(e), "127.0.0.1"), EINVAL);
	e.head.code = 0;
	fails(send(fd, &e, sizeof(e), 0), EDESTADDRREQ);
	fails(sendto(fd, &e, sizeof(e), MSG_OOB, NULL, 0), EOPNOTSUPP);
	equal(to4(fd, &e, 8, "127.0.0.1"), 8);
	close(fd);
}

CASE("ping: connect() and send(); IP_HDRINCL and SOL_RAW are raw sockets'")
{
	int fd = ping4();
	struct sockaddr_in a = at("127.0.0.1", 0);
	struct echo e = request(1, 7), got;

	must(connect_to(fd, &a));
	equal(send(fd, &e, sizeof(e), 0), sizeof(e));
	equal(next(fd, &got, sizeof(got)), sizeof(got));
	check(local_name(fd).sin_port != 0);
	fails(setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &(int){1}, 4), ENOPROTOOPT);
	close(fd);
}

CASE("ping: a raw socket hears the same")
{
	int fd = ping4(), raw = raw4(IPPROTO_ICMP);
	struct echo e = request(1, 7), got;
	struct packet p;

	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	equal(next(fd, &got, sizeof(got)), sizeof(got));
	next(raw, &p, sizeof(p));
	equal(p.text[0], ICMP_ECHO);
	equal(sum(p.text, sizeof(e)), 0);
	next(raw, &p, sizeof(p));
	equal(p.text[0], ICMP_ECHOREPLY);
	close(fd);
	close(raw);
}

CASE("ping: IP_RECVTTL tells the reply's")
{
	int fd = ping4();
	struct echo e = request(1, 7);
	char buf[64], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	equal(recvmsg(fd, &msg, 0), sizeof(e));
	equal(control_int(&msg, IPPROTO_IP, IP_TTL), 64);
	close(fd);
}

CASE("ping over IPv6")
{
	int fd = ping6();
	struct icmp6_hdr e = {.icmp6_type = ICMP6_ECHO_REQUEST}, got;
	struct sockaddr_in6 name, who;
	socklen_t len = sizeof(name);

	e.icmp6_seq = htons(9);
	equal(to6(fd, &e, sizeof(e), "::1"), sizeof(e));
	must(getsockname(fd, SA(&name), &len));
	len = sizeof(who);
	equal(recvfrom(fd, &got, sizeof(got), 0, SA(&who), &len), sizeof(got));
	equal(got.icmp6_type, ICMP6_ECHO_REPLY);
	equal(got.icmp6_id, name.sin6_port);
	equal(got.icmp6_seq, htons(9));
	equal(who.sin6_port, 0);
	e.icmp6_type = ICMP6_ECHO_REPLY;
	fails(to6(fd, &e, sizeof(e), "::1"), EINVAL);
	close(fd);
}

CASE("an ident is one socket's over both families")
{
	int four = ping4(), one = ping6();
	struct sockaddr_in a = at("0.0.0.0", IDENT);
	struct sockaddr_in6 b = six("::", IDENT);

	set_int(four, SOL_SOCKET, SO_REUSEADDR, 0);
	must(bind_to(four, &a));
	fails(bind(one, SA(&b), sizeof(b)), EADDRINUSE);
	close(four);
	close(one);
}

CASE("a fork()ed child reads what its parent asked for")
{
	int fd = ping4();
	struct echo e = request(1, 7), got;
	pid_t pid;

	equal(to4(fd, &e, sizeof(e), "127.0.0.1"), sizeof(e));
	pid = child();
	if (pid == 0) {
		equal(next(fd, &got, sizeof(got)), sizeof(got));
		equal(got.head.type, ICMP_ECHOREPLY);
		_exit(0);
	}
	reap(pid);
	close(fd);
}
