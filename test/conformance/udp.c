/* UDP sockets: datagrams, names, errors, ancillary data, readiness. */
#include "tap.h"

#include "net.h"

#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

static int udp(void)
{
	return must(socket(AF_INET, SOCK_DGRAM, 0));
}

static int udp_bound(struct sockaddr_in *where)
{
	int fd = udp();
	struct sockaddr_in any = here(0);

	must(bind_to(fd, &any));
	*where = local_name(fd);
	return fd;
}

static void to(int fd, const char *text, const struct sockaddr_in *where)
{
	equal(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)where, sizeof(*where)),
	      strlen(text));
}

static void wait_in(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	equal(poll(&p, 1, 5000), 1);
}

static ssize_t from(int fd, char *buf, size_t n, struct sockaddr_in *who)
{
	socklen_t len = sizeof(*who);

	return recvfrom(fd, buf, n, 0, (struct sockaddr *)who, &len);
}

CASE("a datagram arrives with its sender's name")
{
	struct sockaddr_in a, b, who;
	int x = udp_bound(&a), y = udp_bound(&b);
	char buf[16];

	to(x, "hello", &b);
	equal(from(y, buf, sizeof(buf), &who), 5);
	check(same_name(who, a));
	check(!memcmp(buf, "hello", 5));
	close(x);
	close(y);
}

CASE("datagrams keep their bounds and order; an empty one is one")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char buf[16];

	to(x, "one", &b);
	to(x, "", &b);
	to(x, "three", &b);
	equal(recv(y, buf, sizeof(buf), 0), 3);
	equal(recv(y, buf, sizeof(buf), 0), 0);
	equal(recv(y, buf, sizeof(buf), 0), 5);
	close(x);
	close(y);
}

CASE("what does not fit the buffer is cut off; MSG_TRUNC tells how long it was")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char buf[4];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	to(x, "0123456789", &b);
	to(x, "0123456789", &b);
	equal(recv(y, buf, sizeof(buf), MSG_TRUNC), 10);
	equal(recvmsg(y, &msg, 0), 4);
	equal(msg.msg_flags, MSG_TRUNC);
	fails(recv(y, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	close(x);
	close(y);
}

CASE("MSG_PEEK leaves the datagram, FIONREAD tells its length")
{
	struct sockaddr_in b, who;
	int x = udp(), y = udp_bound(&b), n = -1;
	char buf[16];

	to(x, "four", &b);
	wait_in(y);
	must(ioctl(y, FIONREAD, &n));
	equal(n, 4);
	equal(recv(y, buf, 2, MSG_PEEK), 2);
	equal(from(y, buf, sizeof(buf), &who), 4);
	must(ioctl(y, FIONREAD, &n));
	equal(n, 0);
	close(x);
	close(y);
}

CASE("a fresh socket: no name, no peer, nothing to read, writable")
{
	int x = udp();
	struct sockaddr_in name = local_name(x);
	socklen_t len = sizeof(name);
	char c;

	equal(name.sin_port, 0);
	equal(name.sin_addr.s_addr, INADDR_ANY);
	fails(getpeername(x, (struct sockaddr *)&name, &len), ENOTCONN);
	fails(recv(x, &c, 1, MSG_DONTWAIT), EAGAIN);
	fails(send(x, "x", 1, 0), EDESTADDRREQ);
	equal(mask_now(x), POLLOUT);
	close(x);
}

CASE("sendto() binds a socket that has no port")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);

	to(x, "x", &b);
	check(local_name(x).sin_port != 0);
	equal(local_name(x).sin_addr.s_addr, INADDR_ANY);
	close(x);
	close(y);
}

CASE("connect() names the peer and chooses an address; AF_UNSPEC takes both back")
{
	struct sockaddr_in b;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(none);
	int x = udp(), y = udp_bound(&b);

	must(connect_to(x, &b));
	check(same_name(peer_name(x), b));
	equal(local_name(x).sin_addr.s_addr, b.sin_addr.s_addr);
	must(connect(x, &none, sizeof(none)));
	fails(getpeername(x, &none, &len), ENOTCONN);
	equal(local_name(x).sin_port, 0);
	close(x);
	close(y);
}

CASE("a connected socket hears only its peer")
{
	struct sockaddr_in a, b;
	int x = udp_bound(&a), y = udp_bound(&b), z = udp();
	char buf[16];

	must(connect_to(x, &b));
	to(z, "stranger", &a);
	to(y, "peer", &a);
	equal(recv(x, buf, sizeof(buf), 0), 4);
	fails(recv(x, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	close(x);
	close(y);
	close(z);
}

CASE("ECONNREFUSED is told to a connected sender, once")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char c;

	close(y);
	sleep_ms(20);
	must(connect_to(x, &b));
	equal(send(x, "x", 1, 0), 1);
	equal(poll(&(struct pollfd){.fd = x, .events = POLLIN}, 1, 2000), 1);
	fails(recv(x, &c, 1, 0), ECONNREFUSED);
	fails(recv(x, &c, 1, MSG_DONTWAIT), EAGAIN);
	equal(send(x, "x", 1, 0), 1);
	sleep_ms(50);
	equal(take_error(x), ECONNREFUSED);
	equal(take_error(x), 0);
	equal(send(x, "x", 1, 0), 1);
	sleep_ms(50);
	fails(send(x, "x", 1, 0), ECONNREFUSED);
	close(x);
}

/* A socket whose peer's port nobody has. */
static int udp_to_nobody(void)
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);

	close(y);
	sleep_ms(20);
	must(connect_to(x, &b));
	return x;
}

CASE("ECONNREFUSED: POLLERR and POLLOUT, no POLLIN, until it is told")
{
	int x = udp_to_nobody();
	char c;

	for (int i = 0; i < 3; i++) {
		equal(mask_now(x), POLLOUT);
		equal(send(x, "x", 1, 0), 1);
		equal(poll_mask(x, POLLIN, 2000), POLLERR);
		equal(mask_now(x), POLLERR | POLLOUT);
		equal(poll_mask(x, 0, 0), POLLERR);
		if (i == 0)
			equal(take_error(x), ECONNREFUSED);
		else if (i == 1)
			fails(recv(x, &c, 1, 0), ECONNREFUSED);
		else
			fails(send(x, "x", 1, 0), ECONNREFUSED);
	}
	equal(mask_now(x), POLLOUT);
	close(x);
}

CASE("ECONNREFUSED with text waiting: POLLERR and POLLIN, and the text stays")
{
	struct sockaddr_in a, b;
	int x = udp_bound(&a), y = udp_bound(&b), n;
	char buf[8];

	must(connect_to(x, &b));
	to(y, "one", &a);
	to(y, "three", &a);
	wait_for(x, POLLIN);
	close(y);
	sleep_ms(20);
	equal(send(x, "x", 1, 0), 1);
	sleep_ms(50);
	equal(mask_now(x), POLLERR | POLLIN | POLLOUT);
	equal(take_error(x), ECONNREFUSED);
	equal(mask_now(x), POLLIN | POLLOUT);
	must(ioctl(x, FIONREAD, &n));
	equal(n, 3);
	equal(recv(x, buf, sizeof(buf), 0), 3);
	wait_for(x, POLLIN);
	equal(recv(x, buf, sizeof(buf), 0), 5);
	equal(mask_now(x), POLLOUT);
	equal(send(x, "x", 1, 0), 1);
	equal(poll_mask(x, POLLIN, 2000), POLLERR);
	close(x);
}

CASE("1,000 datagrams refused, none of the errors taken: what comes then is received")
{
	struct sockaddr_in a, b;
	int x = udp_bound(&a), y = udp_bound(&b);
	char buf[8];

	must(connect_to(x, &b));
	close(y);
	sleep_ms(20);
	for (int i = 0; i < 1000; i++)
		send(x, "x", 1, 0);
	sleep_ms(50);
	y = udp();
	set_int(y, SOL_SOCKET, SO_REUSEADDR, 1);
	must(bind_to(y, &b));
	to(y, "here", &a);
	sleep_ms(50);
	take_error(x);
	equal(recv(x, buf, sizeof(buf), 0), 4);
	equal(mask_now(x), POLLOUT);
	close(x);
	close(y);
}

CASE("ECONNREFUSED wakes who waits in poll(), and SO_ERROR tells it")
{
	int x = udp_to_nobody();

	for (int i = 0; i < 3; i++) {
		double begun = now_ms();

		equal(send(x, "x", 1, 0), 1);
		equal(poll(&(struct pollfd){.fd = x, .events = POLLIN}, 1, 5000), 1);
		check(now_ms() - begun < 2000);
		equal(take_error(x), ECONNREFUSED);
		equal(mask_now(x), POLLOUT);
	}
	close(x);
}

CASE("groups on the loopback interface: joined there, they hear who sends there")
{
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	struct ip_mreq group = {.imr_multiaddr = {htonl(0xef010203)}, .imr_interface = lo};
	struct sockaddr_in to, from;
	socklen_t len = sizeof(from);
	int x = udp(), y = udp();
	char buf[8];

	must(bind_to(x, &(struct sockaddr_in){.sin_family = AF_INET}));
	to = local_name(x);
	to.sin_addr = group.imr_multiaddr;
	must(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
	must(setsockopt(y, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	for (int loop = 1; loop >= 0; loop--) {
		set_int(y, IPPROTO_IP, IP_MULTICAST_LOOP, loop);
		equal(sendto(y, "hi", 2, 0, SA(&to), sizeof(to)), 2);
		wait_for(x, POLLIN);
		equal(recvfrom(x, buf, sizeof(buf), 0, SA(&from), &len), 2);
		equal(from.sin_addr.s_addr, lo.s_addr);
	}
	close(y);
	y = udp();
	must(bind_to(y, &(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = lo}));
	equal(sendto(y, "bound", 5, 0, SA(&to), sizeof(to)), 5);
	wait_for(x, POLLIN);
	equal(recv(x, buf, sizeof(buf), 0), 5);
	must(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
	close(x);
	close(y);
}

CASE("bad destinations fail at once")
{
	int x = udp();
	struct sockaddr_in where = here(0);
	static char big[70000];

	fails(sendto(x, "x", 1, 0, (struct sockaddr *)&where, sizeof(where)), EINVAL);
	where.sin_port = htons(9);
	fails(sendto(x, "x", 1, 0, (struct sockaddr *)&where, 3), EINVAL);
	where.sin_family = AF_INET6;
	fails(sendto(x, "x", 1, 0, (struct sockaddr *)&where, sizeof(where)), EAFNOSUPPORT);
	where.sin_family = AF_INET;
	fails(sendto(x, big, 65508, 0, (struct sockaddr *)&where, sizeof(where)), EMSGSIZE);
	fails(sendto(x, big, 70000, 0, (struct sockaddr *)&where, sizeof(where)), EMSGSIZE);
	fails(sendto(x, "x", 1, MSG_OOB, (struct sockaddr *)&where, sizeof(where)), EOPNOTSUPP);
	close(x);
}

CASE("65,507 bytes are one datagram")
{
	static char big[65507], got[65535];
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);

	pattern_fill(big, sizeof(big), 0);
	equal(sendto(x, big, sizeof(big), 0, (struct sockaddr *)&b, sizeof(b)), sizeof(big));
	equal(recv(y, got, sizeof(got), 0), sizeof(big));
	pattern_check(got, sizeof(big), 0);
	close(x);
	close(y);
}

CASE("a bound port is taken, by SO_REUSEADDR or SO_REUSEPORT of both it is shared")
{
	struct sockaddr_in b;
	int y = udp_bound(&b), x = udp(), z;

	fails(bind_to(x, &b), EADDRINUSE);
	set_int(x, SOL_SOCKET, SO_REUSEADDR, 1);
	fails(bind_to(x, &b), EADDRINUSE);
	set_int(y, SOL_SOCKET, SO_REUSEADDR, 1);
	must(bind_to(x, &b));
	fails(bind_to(x, &b), EINVAL);
	close(x);
	close(y);
	z = udp();
	x = udp();
	set_int(z, SOL_SOCKET, SO_REUSEPORT, 1);
	set_int(x, SOL_SOCKET, SO_REUSEPORT, 1);
	must(bind_to(z, &b));
	must(bind_to(x, &b));
	close(x);
	close(z);
}

CASE("listen() and accept() are not for datagrams; shutdown() wants a peer")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char c;

	fails(listen(x, 5), EOPNOTSUPP);
	fails(accept(x, NULL, NULL), EOPNOTSUPP);
	fails(shutdown(x, SHUT_RD), ENOTCONN);
	must(connect_to(x, &b));
	must(shutdown(x, SHUT_WR));
	fails(send(x, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(shutdown(x, SHUT_RD));
	equal(recv(x, &c, 1, 0), 0);
	close(x);
	close(y);
}

CASE("SO_RCVTIMEO ends a wait, O_NONBLOCK and MSG_DONTWAIT do not begin one")
{
	struct sockaddr_in b;
	int y = udp_bound(&b);
	struct timeval t = {.tv_usec = 50000};
	char c;
	double t0;

	must(setsockopt(y, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	t0 = now_ms();
	fails(recv(y, &c, 1, 0), EAGAIN);
	check(now_ms() - t0 > 40);
	fails(recv(y, &c, 1, MSG_DONTWAIT), EAGAIN);
	set_nonblock(y, true);
	fails(recv(y, &c, 1, 0), EAGAIN);
	close(y);
}

CASE("recvmsg() tells address, TTL, TOS and time as the options say")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b), seen = 0;
	char buf[8];
	union {
		char space[256];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};

	set_int(y, IPPROTO_IP, IP_PKTINFO, 1);
	set_int(y, IPPROTO_IP, IP_RECVTTL, 1);
	set_int(y, IPPROTO_IP, IP_RECVTOS, 1);
	set_int(y, SOL_SOCKET, SO_TIMESTAMP, 1);
	set_int(x, IPPROTO_IP, IP_TOS, 0x10);
	set_int(x, IPPROTO_IP, IP_TTL, 17);
	to(x, "x", &b);
	equal(recvmsg(y, &msg, 0), 1);
	equal(msg.msg_flags, 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP) {
			struct timeval tv;

			memcpy(&tv, CMSG_DATA(c), sizeof(tv));
			check(labs(tv.tv_sec - time(NULL)) <= 2);
			seen |= 1;
		} else if (c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			equal(info.ipi_addr.s_addr, b.sin_addr.s_addr);
			equal(info.ipi_spec_dst.s_addr, b.sin_addr.s_addr);
			equal(info.ipi_ifindex, 1);
			seen |= 2;
		} else if (c->cmsg_type == IP_TTL) {
			int ttl;

			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
			equal(ttl, 17);
			seen |= 4;
		} else if (c->cmsg_type == IP_TOS) {
			equal(c->cmsg_len, CMSG_LEN(1));
			equal(*(uint8_t *)CMSG_DATA(c), 0x10);
			seen |= 8;
		}
	}
	equal(seen, 15);
	close(x);
	close(y);
}

/* The software's time of SCM_TIMESTAMPING, or of a younger name's struct timeval. */
static void stamped_as(int option, int value, int type, size_t len)
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char c, control[128];
	struct iovec iov = {&c, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *head;
	int64_t seconds;

	set_int(y, SOL_SOCKET, option, value);
	/* Linux begins to stamp some time after it was asked. */
	for (int i = 0; i < 500; i++) {
		msg.msg_controllen = sizeof(control);
		to(x, "x", &b);
		equal(recvmsg(y, &msg, 0), 1);
		if (msg.msg_controllen > 0)
			break;
		sleep_ms(10);
	}
	head = CMSG_FIRSTHDR(&msg);
	check(head);
	equal(head->cmsg_level, SOL_SOCKET);
	equal(head->cmsg_type, type);
	equal(head->cmsg_len, CMSG_LEN(len));
	memcpy(&seconds, CMSG_DATA(head), sizeof(seconds));
	check(labs(seconds - time(NULL)) <= 2);
	close(x);
	close(y);
}

CASE("SO_TIMESTAMPING and the younger names of SO_TIMESTAMP and SO_TIMESTAMPNS")
{
	int rx_software = 1 << 3, software = 1 << 4;

	stamped_as(SO_TIMESTAMPING, rx_software | software, SO_TIMESTAMPING, 48);
	stamped_as(SO_TIMESTAMPING_NEW, rx_software | software, SO_TIMESTAMPING_NEW, 48);
	stamped_as(SO_TIMESTAMP_NEW, 1, SO_TIMESTAMP_NEW, 16);
	stamped_as(SO_TIMESTAMPNS_NEW, 1, SO_TIMESTAMPNS_NEW, 16);
}

CASE("getsourcefilter(): the mode and the sources of a group")
{
	int x = udp();
	struct ip_mreq_source m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.4"),
				   .imr_interface.s_addr = inet_addr("127.0.0.1"),
				   .imr_sourceaddr.s_addr = inet_addr("10.9.8.7")};
	struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr = m.imr_multiaddr};
	struct sockaddr_storage sources[2];
	struct in_addr source;
	uint32_t mode = 9, n = 1;

	must(setsockopt(x, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof(m)));
	must(getipv4sourcefilter(x, m.imr_interface, m.imr_multiaddr, &mode, &n, &source));
	equal(mode, MCAST_INCLUDE);
	equal(n, 1);
	equal(source.s_addr, m.imr_sourceaddr.s_addr);
	n = 2;
	must(getsourcefilter(x, 1, SA(&group), sizeof(group), &mode, &n, sources));
	equal(mode, MCAST_INCLUDE);
	equal(n, 1);
	equal(((struct sockaddr_in *)&sources[0])->sin_addr.s_addr, m.imr_sourceaddr.s_addr);
	n = 0;
	must(getsourcefilter(x, 1, SA(&group), sizeof(group), &mode, &n, sources));
	equal(n, 1);
	group.sin_addr.s_addr = inet_addr("239.1.2.5");
	fails(getsourcefilter(x, 1, SA(&group), sizeof(group), &mode, &n, sources), EADDRNOTAVAIL);
	close(x);
}

CASE("control data that finds no room is cut off, and MSG_CTRUNC says so")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char buf[8];
	union {
		char space[24];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};

	set_int(y, IPPROTO_IP, IP_PKTINFO, 1);
	to(x, "x", &b);
	equal(recvmsg(y, &msg, 0), 1);
	equal(msg.msg_flags, MSG_CTRUNC);
	equal(msg.msg_controllen, 24);
	close(x);
	close(y);
}

CASE("sendmsg() with IP_PKTINFO and IP_TTL says where from, and how far")
{
	struct sockaddr_in b, who;
	int x = udp(), y = udp_bound(&b);
	char buf[8];
	union {
		char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {(char *)"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_name = &b,
			     .msg_namelen = sizeof(b),
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct in_pktinfo info = {.ipi_spec_dst = b.sin_addr};

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	equal(sendmsg(x, &msg, 0), 1);
	equal(from(y, buf, sizeof(buf), &who), 1);
	equal(who.sin_addr.s_addr, b.sin_addr.s_addr);
	c->cmsg_len = 3;
	fails(sendmsg(x, &msg, 0), EINVAL);
	c->cmsg_len = CMSG_LEN(4);
	c->cmsg_type = 99;
	fails(sendmsg(x, &msg, 0), EINVAL);
	close(x);
	close(y);
}

CASE("IP_RECVERR keeps who said what in the error queue")
{
	struct sockaddr_in b, who = {0};
	int x = udp(), y = udp_bound(&b);
	char buf[8];
	union {
		char space[256];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_name = &who,
			     .msg_namelen = sizeof(who),
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	/* linux/errqueue.h does not go with every libc's headers. */
	struct {
		uint32_t error;
		uint8_t origin, type, code, pad;
		uint32_t info, data;
		struct sockaddr_in offender;
	} e;
	struct cmsghdr *c;

	close(y);
	sleep_ms(20);
	set_int(x, IPPROTO_IP, IP_RECVERR, 1);
	fails(recvmsg(x, &msg, MSG_ERRQUEUE), EAGAIN);
	to(x, "lost", &b);
	sleep_ms(50);
	equal(recvmsg(x, &msg, MSG_ERRQUEUE), 4);
	check(!memcmp(buf, "lost", 4));
	equal(msg.msg_flags, MSG_ERRQUEUE);
	check(same_name(who, b));
	c = CMSG_FIRSTHDR(&msg);
	check(c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR);
	memcpy(&e, CMSG_DATA(c), sizeof(e));
	equal(e.error, ECONNREFUSED);
	equal(e.origin, 2);
	equal(e.type, 3);
	equal(e.code, 3);
	equal(e.offender.sin_addr.s_addr, b.sin_addr.s_addr);
	fails(recvmsg(x, &msg, MSG_ERRQUEUE), EAGAIN);
	close(x);
}

CASE("sendmmsg() and recvmmsg() move several at once")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char text[4][2] = {"a", "b", "c", "d"}, buf[4][8];
	struct iovec out[4], in[4];
	struct mmsghdr send[4] = {0}, got[4] = {0};

	must(connect_to(x, &b));
	for (int i = 0; i < 4; i++) {
		out[i] = (struct iovec){text[i], 1};
		in[i] = (struct iovec){buf[i], 8};
		send[i].msg_hdr.msg_iov = &out[i];
		send[i].msg_hdr.msg_iovlen = 1;
		got[i].msg_hdr.msg_iov = &in[i];
		got[i].msg_hdr.msg_iovlen = 1;
	}
	equal(sendmmsg(x, send, 4, 0), 4);
	for (int n = 0; n < 4;) {
		int r = must(recvmmsg(y, got + n, 4 - n, MSG_WAITFORONE, NULL));

		for (int i = n; i < n + r; i++)
			equal(got[i].msg_len, 1);
		n += r;
	}
	check(buf[0][0] == 'a' && buf[3][0] == 'd');
	close(x);
	close(y);
}

CASE("MSG_MORE and UDP_CORK join texts into one datagram")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b);
	char buf[16];

	must(connect_to(x, &b));
	equal(send(x, "ab", 2, MSG_MORE), 2);
	equal(send(x, "cd", 2, 0), 2);
	equal(recv(y, buf, sizeof(buf), 0), 4);
	check(!memcmp(buf, "abcd", 4));
	set_int(x, IPPROTO_UDP, UDP_CORK, 1);
	equal(send(x, "1", 1, 0), 1);
	equal(send(x, "2", 1, 0), 1);
	set_int(x, IPPROTO_UDP, UDP_CORK, 0);
	equal(recv(y, buf, sizeof(buf), 0), 2);
	close(x);
	close(y);
}

CASE("IPV6_MTU: what it can be set to; how large the path is, only a connected socket knows")
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(six), room = sizeof(int);
	int x = must(socket(AF_INET6, SOCK_DGRAM, 0)), y = must(socket(AF_INET6, SOCK_DGRAM, 0));
	static char text[3000], buf[sizeof(text)];
	int mtu;

	for (size_t i = 0; i < 3; i++)
		set_int(x, IPPROTO_IPV6, IPV6_MTU, (int[]){0, 9000, 1280}[i]);
	for (size_t i = 0; i < 3; i++) {
		mtu = (int[]){1279, 1, -1}[i];
		fails(setsockopt(x, IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof(mtu)), EINVAL);
	}
	mtu = 1280;
	fails(setsockopt(x, IPPROTO_IPV6, IPV6_MTU, &mtu, 3), EINVAL);
	fails(getsockopt(x, IPPROTO_IPV6, IPV6_MTU, &mtu, &room), ENOTCONN);
	must(bind(y, SA(&six), sizeof(six)));
	must(getsockname(y, SA(&six), &len));
	must(connect(x, SA(&six), sizeof(six)));
	check(get_int(x, IPPROTO_IPV6, IPV6_MTU) >= 65535);
	pattern_fill(text, sizeof(text), 0);
	equal(send(x, text, sizeof(text), 0), sizeof(text));
	wait_in(y);
	equal(recv(y, buf, sizeof(buf), 0), sizeof(buf));
	check(!memcmp(text, buf, sizeof(text)));
	close(x);
	close(y);
}

CASE("AF_INET6 sockets speak IPv4 by mapped addresses, unless IPV6_V6ONLY")
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6}, who;
	struct sockaddr_in four = at("127.0.0.1", 0);
	socklen_t len = sizeof(six);
	int y = must(socket(AF_INET6, SOCK_DGRAM, 0)), x = udp(), z;
	char buf[8], text[64];

	must(bind(y, (struct sockaddr *)&six, sizeof(six)));
	must(getsockname(y, (struct sockaddr *)&six, &len));
	equal(len, sizeof(six));
	four.sin_port = six.sin6_port;
	to(x, "four", &four);
	len = sizeof(who);
	equal(recvfrom(y, buf, sizeof(buf), 0, (struct sockaddr *)&who, &len), 4);
	check(!strcmp(inet_ntop(AF_INET6, &who.sin6_addr, text, sizeof(text)), "::ffff:127.0.0.1"));
	equal(sendto(y, "back", 4, 0, (struct sockaddr *)&who, sizeof(who)), 4);
	equal(recv(x, buf, sizeof(buf), 0), 4);
	z = must(socket(AF_INET6, SOCK_DGRAM, 0));
	set_int(z, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	fails(sendto(z, "x", 1, 0, (struct sockaddr *)&who, sizeof(who)), ENETUNREACH);
	close(x);
	close(y);
	close(z);
}

CASE("epoll: an edge for what comes after all was read")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b), ep = must(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	char buf[8];

	must(epoll_ctl(ep, EPOLL_CTL_ADD, y, &e));
	equal(epoll_wait(ep, &e, 1, 0), 0);
	to(x, "1", &b);
	equal(epoll_wait(ep, &e, 1, 5000), 1);
	equal(epoll_wait(ep, &e, 1, 20), 0);
	equal(recv(y, buf, sizeof(buf), 0), 1);
	fails(recv(y, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	to(x, "2", &b);
	equal(epoll_wait(ep, &e, 1, 5000), 1);
	close(ep);
	close(x);
	close(y);
}

CASE("a forked child and a dup share the socket; a closed copy does not close it")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b), d = must(dup(y));
	char buf[8];
	pid_t pid;

	close(y);
	pid = child();
	if (pid == 0) {
		equal(recv(d, buf, sizeof(buf), 0), 2);
		_exit(0);
	}
	to(x, "hi", &b);
	reap(pid);
	to(x, "you", &b);
	equal(recv(d, buf, sizeof(buf), 0), 3);
	close(d);
	close(x);
}

CASE("datagrams that wait are read in order by who has the socket as standard input")
{
	struct sockaddr_in b;
	int x = udp(), y = udp_bound(&b), saved = dup(STDIN_FILENO);
	char buf[8];

	for (int i = 0; i < 5; i++)
		to(x, (const char *[]){"1", "22", "333", "", "55555"}[i], &b);
	wait_in(y);
	must(dup2(y, STDIN_FILENO));
	to(x, "6", &b);
	equal(read(STDIN_FILENO, buf, sizeof(buf)), 1);
	equal(recv(y, buf, sizeof(buf), 0), 2);
	equal(read(STDIN_FILENO, buf, sizeof(buf)), 3);
	equal(read(STDIN_FILENO, buf, sizeof(buf)), 0);
	equal(read(STDIN_FILENO, buf, sizeof(buf)), 5);
	equal(recv(STDIN_FILENO, buf, sizeof(buf), 0), 1);
	fails(recv(y, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	if (saved >= 0)
		must(dup2(saved, STDIN_FILENO));
	else
		close(STDIN_FILENO);
	close(saved);
	close(x);
	close(y);
}

CASE("read() and write() on a connected socket")
{
	struct sockaddr_in a, b;
	int x = udp_bound(&a), y = udp_bound(&b);
	char buf[8];

	must(connect_to(x, &b));
	must(connect_to(y, &a));
	equal(write(x, "text", 4), 4);
	equal(read(y, buf, sizeof(buf)), 4);
	equal(read(y, buf, 0), 0);
	close(x);
	close(y);
}

CASE("2,000 datagrams of a sender that waits for answers all arrive")
{
	struct sockaddr_in a, b;
	int x = udp_bound(&a), y = udp_bound(&b);
	char buf[8];

	must(connect_to(x, &b));
	must(connect_to(y, &a));
	for (int i = 0; i < 2000; i++) {
		equal(send(x, &i, sizeof(i), 0), sizeof(i));
		equal(recv(y, buf, sizeof(buf), 0), sizeof(i));
		check(!memcmp(buf, &i, sizeof(i)));
		equal(send(y, &i, sizeof(i), 0), sizeof(i));
		equal(recv(x, buf, sizeof(buf), 0), sizeof(i));
	}
	close(x);
	close(y);
}

CASE("groups: joined once, left once, only groups")
{
	int x = udp();
	struct ip_mreq m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3")};

	must(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	fails(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), EADDRINUSE);
	must(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	fails(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)), EADDRNOTAVAIL);
	m.imr_multiaddr.s_addr = inet_addr("10.1.2.3");
	fails(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), EINVAL);
	fails(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, 3), EINVAL);
	close(x);
}

CASE("options: what a fresh socket says of itself")
{
	int x = udp();

	equal(get_int(x, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	equal(get_int(x, SOL_SOCKET, SO_DOMAIN), AF_INET);
	equal(get_int(x, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	equal(get_int(x, SOL_SOCKET, SO_ERROR), 0);
	equal(get_int(x, SOL_SOCKET, SO_BROADCAST), 0);
	equal(get_int(x, IPPROTO_IP, IP_TTL), 64);
	equal(get_int(x, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	equal(get_int(x, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
	equal(get_int(x, IPPROTO_UDP, UDP_CORK), 0);
	set_int(x, SOL_SOCKET, SO_RCVBUF, 50000);
	equal(get_int(x, SOL_SOCKET, SO_RCVBUF), 100000);
	close(x);
}

static void *shut_later(void *arg)
{
	sleep_ms(100);
	fails(shutdown(*(int *)arg, SHUT_RDWR), ENOTCONN);
	return NULL;
}

CASE("shutdown() of a socket without a peer: ENOTCONN, and it is shut: who waits wakes up")
{
	struct sockaddr_in name;
	int fd = udp_bound(&name);
	pthread_t thread = start(shut_later, &fd);
	char text[8];

	equal(recv(fd, text, sizeof(text), 0), 0);
	join(thread);
	equal(poll_mask(fd, POLLIN, 0) & (POLLIN | POLLHUP), POLLIN | POLLHUP);
	fails(sendto(fd, "x", 1, MSG_NOSIGNAL, SA(&name), sizeof(name)), EPIPE);
	must(close(fd));
}

CASE("SO_PRIORITY: 0 to 6 for all, more for who has the rights")
{
	int fd = udp();

	set_int(fd, SOL_SOCKET, SO_PRIORITY, 6);
	equal(get_int(fd, SOL_SOCKET, SO_PRIORITY), 6);
	if (geteuid() == 0) {
		set_int(fd, SOL_SOCKET, SO_PRIORITY, 7);
		equal(get_int(fd, SOL_SOCKET, SO_PRIORITY), 7);
	}
	must(close(fd));
}

/* Level, name, what it is at first, what it is when it was set to 1. */
static void keeps(int fd, const int option[4])
{
	int one = 1;

	equal(get_int(fd, option[0], option[1]), option[2]);
	must(setsockopt(fd, option[0], option[1], &one, sizeof(one)));
	equal(get_int(fd, option[0], option[1]), option[3]);
}

CASE("options that are kept: what was set comes back")
{
	static const int kept[][4] = {
	    {SOL_SOCKET, SO_DEBUG, 0, 1},
	    {SOL_SOCKET, SO_BSDCOMPAT, 0, 0},
	    {SOL_SOCKET, SO_WIFI_STATUS, 0, 1},
	    {SOL_SOCKET, SO_NOFCS, 0, 1},
	    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, 0, 1},
	    {SOL_SOCKET, SO_BUSY_POLL, 0, 1},
	    {SOL_SOCKET, SO_MAX_PACING_RATE, -1, 1},
	    {SOL_SOCKET, SO_PREFER_BUSY_POLL, 0, 1},
	    {SOL_SOCKET, SO_BUF_LOCK, 0, 1},
	    {IPPROTO_IP, IP_PASSSEC, 0, 1},
	    {IPPROTO_IP, IP_TRANSPARENT, 0, 1},
	    {IPPROTO_IP, IP_MINTTL, 0, 1},
	    {IPPROTO_IP, IP_CHECKSUM, 0, 1},
	    {IPPROTO_IP, IP_RECVFRAGSIZE, 0, 1},
	    {IPPROTO_IPV6, IPV6_2292HOPOPTS, 0, 1},
	    {IPPROTO_IPV6, IPV6_2292DSTOPTS, 0, 1},
	    {IPPROTO_IPV6, IPV6_RECVHOPOPTS, 0, 1},
	    {IPPROTO_IPV6, IPV6_RECVRTHDR, 0, 1},
	    {IPPROTO_IPV6, IPV6_RECVDSTOPTS, 0, 1},
	    {IPPROTO_IPV6, IPV6_RECVPATHMTU, 0, 1},
	    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1, 1},
	    {IPPROTO_IPV6, IPV6_MINHOPCOUNT, 0, 1},
	    {IPPROTO_IPV6, IPV6_TRANSPARENT, 0, 1},
	    {IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 0, 1},
	};
	int four, six;

	if (geteuid() != 0)
		tap_skip("some are root's");
	four = udp();
	six = must(socket(AF_INET6, SOCK_DGRAM, 0));
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		keeps(kept[i][0] == IPPROTO_IPV6 ? six : four, kept[i]);
	must(close(four));
	must(close(six));
}
