/* Netlink sockets: their names, what becomes of requests, dumps. On Linux in a network namespace of
 * its own, as root. */
#include "tap.h"

#include "net.h"

#include <linux/if.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>

#define SEQ 0x1234567

struct ask {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
		struct inet_diag_req_v2 diag;
		char text[128];
	};
};

static char answer[65536];

static int route_socket(void)
{
	return must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

static struct ask ask(int type, int flags, size_t body)
{
	struct ask a;

	memset(&a, 0, sizeof(a));
	a.head.nlmsg_len = NLMSG_LENGTH(body);
	a.head.nlmsg_type = type;
	a.head.nlmsg_flags = NLM_F_REQUEST | flags;
	a.head.nlmsg_seq = SEQ;
	return a;
}

static void attribute(struct ask *a, int type, const void *data, size_t n)
{
	struct rtattr *r = (struct rtattr *)((char *)a + NLMSG_ALIGN(a->head.nlmsg_len));

	r->rta_type = type;
	r->rta_len = RTA_LENGTH(n);
	memcpy(RTA_DATA(r), data, n);
	a->head.nlmsg_len = NLMSG_ALIGN(a->head.nlmsg_len) + RTA_ALIGN(r->rta_len);
}

static void say(int fd, const struct ask *a)
{
	equal(send(fd, a, a->head.nlmsg_len, 0), a->head.nlmsg_len);
}

/* The next datagram. */
static struct nlmsghdr *hear(int fd, ssize_t *n)
{
	*n = must(recv(fd, answer, sizeof(answer), 0));
	return (struct nlmsghdr *)answer;
}

static struct nlmsgerr *hear_error(int fd)
{
	ssize_t n;
	struct nlmsghdr *h = hear(fd, &n);

	equal(h->nlmsg_type, NLMSG_ERROR);
	equal(h->nlmsg_seq, SEQ);
	return NLMSG_DATA(h);
}

static void set(int fd, int name, int value)
{
	must(setsockopt(fd, SOL_NETLINK, name, &value, sizeof(value)));
}

CASE("getsockname() of a new socket: no port id, no groups")
{
	int fd = route_socket();
	struct sockaddr_nl name = {.nl_pid = 7};
	socklen_t len = sizeof(name);

	must(getsockname(fd, (struct sockaddr *)&name, &len));
	equal(len, sizeof(name));
	equal(name.nl_family, AF_NETLINK);
	equal(name.nl_pid, 0);
	equal(name.nl_groups, 0);
	close(fd);
}

CASE("getpeername(): the kernel")
{
	int fd = route_socket();
	struct sockaddr_nl name = {.nl_pid = 7};
	socklen_t len = sizeof(name);

	must(getpeername(fd, (struct sockaddr *)&name, &len));
	equal(len, sizeof(name));
	equal(name.nl_family, AF_NETLINK);
	equal(name.nl_pid, 0);
	close(fd);
}

CASE("SO_DOMAIN, SO_TYPE, SO_PROTOCOL")
{
	int fd = must(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));

	equal(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_NETLINK);
	equal(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	equal(get_int(fd, SOL_SOCKET, SO_PROTOCOL), NETLINK_SOCK_DIAG);
	close(fd);
}

CASE("bind() to nothing: the process's id first, then another")
{
	int one = route_socket(), two = route_socket();
	struct sockaddr_nl name = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(name);

	must(bind(one, (struct sockaddr *)&name, sizeof(name)));
	must(getsockname(one, (struct sockaddr *)&name, &len));
	equal(name.nl_pid, getpid());
	name.nl_pid = 0;
	must(bind(two, (struct sockaddr *)&name, sizeof(name)));
	must(getsockname(two, (struct sockaddr *)&name, &len));
	check(name.nl_pid != 0 && name.nl_pid != (unsigned)getpid());
	close(one);
	close(two);
}

CASE("bind() to a port id and groups; again to the same only")
{
	int one = route_socket(), two = route_socket();
	struct sockaddr_nl name = {
	    .nl_family = AF_NETLINK, .nl_pid = 77777, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE};
	socklen_t len = sizeof(name);

	must(bind(one, (struct sockaddr *)&name, sizeof(name)));
	fails(bind(two, (struct sockaddr *)&name, sizeof(name)), EADDRINUSE);
	name.nl_groups = RTMGRP_LINK;
	must(bind(one, (struct sockaddr *)&name, sizeof(name)));
	name.nl_pid = 77778;
	fails(bind(one, (struct sockaddr *)&name, sizeof(name)), EINVAL);
	must(getsockname(one, (struct sockaddr *)&name, &len));
	equal(name.nl_pid, 77777);
	equal(name.nl_groups, RTMGRP_LINK);
	close(one);
	close(two);
}

CASE("bind() with a short name, or another family's")
{
	int fd = route_socket();
	struct sockaddr_nl name = {.nl_family = AF_NETLINK};

	fails(bind(fd, (struct sockaddr *)&name, sizeof(name) - 1), EINVAL);
	name.nl_family = AF_INET;
	fails(bind(fd, (struct sockaddr *)&name, sizeof(name)), EINVAL);
	close(fd);
}

CASE("socket(): types and protocols that there are not")
{
	fails(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	fails(socket(AF_NETLINK, SOCK_SEQPACKET, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	fails(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT);
	fails(socket(AF_NETLINK, SOCK_RAW, 77), EPROTONOSUPPORT);
}

CASE("a request that there is not: EOPNOTSUPP, and the request comes back")
{
	int fd = route_socket();
	struct ask a = ask(1000, 0, 20);
	struct nlmsgerr *e;
	ssize_t n;

	strcpy(a.text, "what is this");
	say(fd, &a);
	e = hear_error(fd);
	equal(e->error, -EOPNOTSUPP);
	equal(memcmp(&e->msg, &a, a.head.nlmsg_len), 0);
	equal(((struct nlmsghdr *)answer)->nlmsg_len, NLMSG_LENGTH(sizeof(*e) + 20));
	set(fd, NETLINK_CAP_ACK, 1);
	say(fd, &a);
	equal(hear(fd, &n)->nlmsg_flags, NLM_F_CAPPED);
	equal(n, NLMSG_LENGTH(sizeof(*e)));
	close(fd);
}

CASE("NLM_F_ACK of what is nothing: acknowledged, without text")
{
	int fd = route_socket();
	struct ask a = ask(NLMSG_NOOP, NLM_F_ACK, 20);
	struct nlmsghdr *h;
	ssize_t n;

	say(fd, &a);
	h = hear(fd, &n);
	equal(h->nlmsg_type, NLMSG_ERROR);
	equal(h->nlmsg_flags, NLM_F_CAPPED);
	equal(n, NLMSG_LENGTH(sizeof(struct nlmsgerr)));
	equal(((struct nlmsgerr *)NLMSG_DATA(h))->error, 0);
	equal(((struct nlmsgerr *)NLMSG_DATA(h))->msg.nlmsg_len, a.head.nlmsg_len);
	close(fd);
}

CASE("what does not say that it is a request is acknowledged at most")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg));

	a.head.nlmsg_flags = NLM_F_ACK;
	say(fd, &a);
	equal(hear_error(fd)->error, 0);
	a.head.nlmsg_flags = 0;
	say(fd, &a);
	fails(recv(fd, answer, 1, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

CASE("lengths that lie: no answer")
{
	int fd = route_socket();
	struct ask a = ask(1000, NLM_F_ACK, 20);

	for (unsigned len = 0; len < NLMSG_HDRLEN; len++) {
		a.head.nlmsg_len = len;
		equal(send(fd, &a, 36, 0), 36);
	}
	a.head.nlmsg_len = 37;
	equal(send(fd, &a, 36, 0), 36);
	a.head.nlmsg_len = UINT32_MAX;
	equal(send(fd, &a, 36, 0), 36);
	equal(send(fd, &a, 3, 0), 3);
	fails(recv(fd, answer, 1, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

CASE("no text at all: ENODATA")
{
	int fd = route_socket();

	fails(send(fd, answer, 0, 0), ENODATA);
	close(fd);
}

CASE("two requests in one datagram, each with its answer")
{
	int fd = route_socket();
	struct ask a[2] = {ask(1000, 0, 128), ask(1001, 0, 128)};

	equal(send(fd, a, sizeof(a), 0), sizeof(a));
	equal(hear_error(fd)->msg.nlmsg_type, 1000);
	equal(hear_error(fd)->msg.nlmsg_type, 1001);
	fails(recv(fd, answer, 1, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

CASE("to another process nobody sends")
{
	int fd = route_socket();
	struct ask a = ask(NLMSG_NOOP, 0, 0);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = 4000001};

	fails(sendto(fd, &a, 16, 0, (struct sockaddr *)&to, sizeof(to)), ECONNREFUSED);
	fails(sendto(fd, &a, 16, 0, (struct sockaddr *)&to, 11), EINVAL);
	to.nl_family = AF_INET;
	fails(sendto(fd, &a, 16, 0, (struct sockaddr *)&to, sizeof(to)), EINVAL);
	close(fd);
}

CASE("a dump of links: lo is 1, parts say so, DONE ends it, the kernel sends it")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	struct sockaddr_nl from = {.nl_pid = 7};
	struct sockaddr_nl name;
	socklen_t len = sizeof(name);
	bool lo = false, done = false;

	say(fd, &a);
	must(getsockname(fd, (struct sockaddr *)&name, &len));
	check(name.nl_pid != 0);
	while (!done) {
		struct nlmsghdr *h = (struct nlmsghdr *)answer;
		int n;

		len = sizeof(from);
		n = must(recvfrom(fd, answer, sizeof(answer), MSG_DONTWAIT,
				  (struct sockaddr *)&from, &len));
		equal(len, sizeof(from));
		equal(from.nl_family, AF_NETLINK);
		equal(from.nl_pid, 0);
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct ifinfomsg *link = NLMSG_DATA(h);

			equal(h->nlmsg_seq, SEQ);
			equal(h->nlmsg_pid, name.nl_pid);
			equal(h->nlmsg_flags & NLM_F_MULTI, NLM_F_MULTI);
			if (h->nlmsg_type == NLMSG_DONE) {
				equal(h->nlmsg_len, NLMSG_LENGTH(sizeof(int)));
				done = true;
				break;
			}
			equal(h->nlmsg_type, RTM_NEWLINK);
			if (link->ifi_index == 1)
				lo = link->ifi_flags & IFF_LOOPBACK && link->ifi_type == 772;
		}
	}
	check(lo);
	close(fd);
}

CASE("a dump of routes: DONE comes by itself")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg));
	struct nlmsghdr *h;
	ssize_t n;

	say(fd, &a);
	equal(hear(fd, &n)->nlmsg_type, RTM_NEWROUTE);
	do {
		for (h = (struct nlmsghdr *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			check(h->nlmsg_type != NLMSG_DONE);
	} while ((h = hear(fd, &n))->nlmsg_type != NLMSG_DONE);
	equal(n, NLMSG_LENGTH(sizeof(int)));
	close(fd);
}

CASE("MSG_PEEK and MSG_TRUNC tell the length, a short buffer cuts")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	struct iovec none = {NULL, 0}, some = {answer, 20};
	struct msghdr peek = {.msg_iov = &none, .msg_iovlen = 1};
	struct msghdr cut = {.msg_iov = &some, .msg_iovlen = 1};
	ssize_t n;

	say(fd, &a);
	n = must(recvmsg(fd, &peek, MSG_PEEK | MSG_TRUNC));
	check(n > 100);
	check(peek.msg_flags & MSG_TRUNC);
	equal(recvmsg(fd, &peek, MSG_PEEK | MSG_TRUNC), n);
	equal(recvmsg(fd, &cut, 0), 20);
	check(cut.msg_flags & MSG_TRUNC);
	close(fd);
}

CASE("an answer is there when send() returns: poll() shows it")
{
	int fd = route_socket();
	struct ask a = ask(NLMSG_NOOP, NLM_F_ACK, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	equal(poll(&p, 1, 0), 0);
	say(fd, &a);
	equal(poll(&p, 1, 0), 1);
	equal(p.revents, POLLIN);
	close(fd);
}

CASE("one link by its name; one that is not")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	struct nlmsghdr *h;
	ssize_t n;

	attribute(&a, IFLA_IFNAME, "lo", 3);
	say(fd, &a);
	h = hear(fd, &n);
	equal(h->nlmsg_type, RTM_NEWLINK);
	equal(h->nlmsg_flags, 0);
	equal(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index, 1);
	fails(recv(fd, answer, 1, MSG_DONTWAIT), EAGAIN);
	a = ask(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	attribute(&a, IFLA_IFNAME, "nosuch", 7);
	say(fd, &a);
	equal(hear_error(fd)->error, -ENODEV);
	a = ask(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	a.link.ifi_index = 4711;
	say(fd, &a);
	equal(hear_error(fd)->error, -ENODEV);
	a = ask(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	say(fd, &a);
	equal(hear_error(fd)->error, -EINVAL);
	close(fd);
}

CASE("a dump of IPv4 addresses has 127.0.0.1/8 and none of IPv6")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	bool found = false, done = false;

	a.addr.ifa_family = AF_INET;
	say(fd, &a);
	while (!done) {
		ssize_t got;
		struct nlmsghdr *h = hear(fd, &got);
		int n = (int)got;

		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct ifaddrmsg *addr = NLMSG_DATA(h);
			struct rtattr *r = IFA_RTA(addr);
			int rest = IFA_PAYLOAD(h);

			if ((done = h->nlmsg_type == NLMSG_DONE))
				break;
			equal(addr->ifa_family, AF_INET);
			for (; RTA_OK(r, rest); r = RTA_NEXT(r, rest))
				if (r->rta_type == IFA_LOCAL && addr->ifa_index == 1 &&
				    memcmp(RTA_DATA(r), "\x7f\0\0\1", 4) == 0)
					found = addr->ifa_prefixlen == 8;
		}
	}
	check(found);
	close(fd);
}

CASE("the way to 127.0.0.1 is local, by lo")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETROUTE, 0, sizeof(struct rtmsg));
	struct rtmsg *route;
	struct nlmsghdr *h;
	ssize_t n;

	a.route.rtm_family = AF_INET;
	a.route.rtm_dst_len = 32;
	attribute(&a, RTA_DST, "\x7f\0\0\1", 4);
	say(fd, &a);
	h = hear(fd, &n);
	equal(h->nlmsg_type, RTM_NEWROUTE);
	route = NLMSG_DATA(h);
	equal(route->rtm_type, RTN_LOCAL);
	equal(route->rtm_dst_len, 32);
	check(route->rtm_flags & RTM_F_CLONED);
	close(fd);
}

CASE("a route that is not there is not removed: ESRCH; one over nothing is not made")
{
	int fd = route_socket();
	struct ask a = ask(RTM_DELROUTE, NLM_F_ACK, sizeof(struct rtmsg));

	a.route.rtm_family = AF_INET;
	a.route.rtm_dst_len = 24;
	a.route.rtm_scope = RT_SCOPE_NOWHERE;
	attribute(&a, RTA_DST, "\xc6\x33\x64\0", 4);
	say(fd, &a);
	equal(hear_error(fd)->error, -ESRCH);
	a.head.nlmsg_type = RTM_NEWROUTE;
	a.head.nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
	a.route.rtm_scope = RT_SCOPE_UNIVERSE;
	a.route.rtm_table = RT_TABLE_MAIN;
	a.route.rtm_type = RTN_UNICAST;
	attribute(&a, RTA_GATEWAY, "\xc6\x33\x65\1", 4);
	say(fd, &a);
	equal(hear_error(fd)->error, -ENETUNREACH);
	close(fd);
}

CASE("options: memberships, flags, what there is not")
{
	int fd = route_socket();
	unsigned groups[4] = {0};
	socklen_t len = sizeof(groups);
	int group = 7, none = 99;

	set(fd, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK);
	set(fd, NETLINK_ADD_MEMBERSHIP, group);
	must(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len));
	equal(groups[0], 0x41);
	set(fd, NETLINK_DROP_MEMBERSHIP, group);
	must(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len));
	equal(groups[0], 1);
	fails(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &none, sizeof(none)), EINVAL);
	fails(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &none, 3), EINVAL);
	fails(setsockopt(fd, SOL_NETLINK, 4711, &none, sizeof(none)), ENOPROTOOPT);
	set(fd, NETLINK_PKTINFO, 7);
	equal(get_int(fd, SOL_NETLINK, NETLINK_PKTINFO), 1);
	equal(get_int(fd, SOL_NETLINK, NETLINK_EXT_ACK), 0);
	close(fd);
}

CASE("SO_PASSCRED: what the kernel says has its credentials, zeros")
{
	union {
		struct cmsghdr head;
		char text[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {.iov_base = answer, .iov_len = sizeof(answer)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fd = route_socket(), value = 5;
	struct ask a = ask(NLMSG_NOOP, NLM_F_ACK, 0);
	socklen_t len = sizeof(value);
	struct ucred cred;

	must(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &value, &len));
	equal(value, 0);
	value = 5;
	must(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &value, sizeof(value)));
	must(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &value, &len));
	equal(len, sizeof(value));
	equal(value, 1);
	say(fd, &a);
	must(recvmsg(fd, &msg, 0));
	equal(msg.msg_controllen, sizeof(control));
	equal(control.head.cmsg_level, SOL_SOCKET);
	equal(control.head.cmsg_type, SCM_CREDENTIALS);
	equal(control.head.cmsg_len, CMSG_LEN(sizeof(cred)));
	memcpy(&cred, CMSG_DATA(&control.head), sizeof(cred));
	equal(cred.pid, 0);
	equal(cred.uid, 0);
	equal(cred.gid, 0);
	close(fd);
}

CASE("connect() to the kernel; write() is a request")
{
	int fd = route_socket();
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	struct ask a = ask(NLMSG_NOOP, NLM_F_ACK, 0);

	must(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	equal(write(fd, &a, 16), 16);
	equal(hear_error(fd)->error, 0);
	close(fd);
}

CASE("a dump goes on after fork(), in the child")
{
	int fd = route_socket();
	struct ask a = ask(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	pid_t pid;

	say(fd, &a);
	pid = child();
	if (pid == 0) {
		ssize_t n;

		equal(hear(fd, &n)->nlmsg_type, RTM_NEWLINK);
		_exit(0);
	}
	reap(pid);
	close(fd);
}

CASE("sock_diag: a listener, with the inode that fstat() tells")
{
	int fd = must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG));
	int listener = must(socket(AF_INET, SOCK_STREAM, 0));
	struct ask a = ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(struct inet_diag_req_v2));
	struct sockaddr_in name = at("127.0.0.1", 0);
	socklen_t len = sizeof(name);
	bool done = false, found = false;
	struct stat st;

	must(bind_to(listener, &name));
	must(listen(listener, 5));
	must(getsockname(listener, (struct sockaddr *)&name, &len));
	must(fstat(listener, &st));
	a.diag.sdiag_family = AF_INET;
	a.diag.sdiag_protocol = IPPROTO_TCP;
	a.diag.idiag_states = 1 << 10;
	say(fd, &a);
	while (!done) {
		ssize_t got;
		struct nlmsghdr *h = hear(fd, &got);
		int n = (int)got;

		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct inet_diag_msg *m = NLMSG_DATA(h);

			if ((done = h->nlmsg_type == NLMSG_DONE))
				break;
			equal(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
			equal(m->idiag_state, 10);
			if (m->id.idiag_sport != name.sin_port)
				continue;
			equal(m->id.idiag_src[0], name.sin_addr.s_addr);
			equal(m->idiag_wqueue, 5);
			equal(m->idiag_uid, getuid());
			equal(m->idiag_inode, st.st_ino);
			found = true;
		}
	}
	check(found);
	close(listener);
	close(fd);
}
