/* cc: sockopt.c names.c ioctl.c creators.c fdtab.c vfork.c vfork.S libc.c pointer.c pass.c */
/* getsockopt, setsockopt, getsockname, getpeername, ioctl: lengths, errors and values as Linux 6.18
 * has them on TCP, and what never reaches the AF_UNIX socket. The server is a stand-in that keeps
 * the last request and gives the answer that a case has set. */
#include "stand-in.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "../conformance/tap.h"

int shown_open(int dir, const char *path, int flags)
{
	(void)dir, (void)path, (void)flags;
	return NOT_SHOWN;
}

void packet_ring_made(int fd)
{
	(void)fd;
}

/* Not static: libc declares the functions under test as leaves, which call nothing of ours. */
struct request asked;
uint8_t asked_data[512];
int asks;
struct {
	int result;
	int arg0;
	uint8_t data[64];
	uint32_t len;
} answer;

/* interfaces.c asks the server (test/conformance/interfaces.c). */
int interface_ioctl(int family, uint32_t request, void *arg)
{
	(void)family;
	(void)request;
	(void)arg;
	return -ENODEV;
}

int ctl_call(struct request *r)
{
	asks++;
	asked = *r;
	if (r->in_len > 0)
		memcpy(asked_data, r->in, r->in_len);
	r->arg[0] = answer.arg0;
	if (r->out && answer.result >= 0) {
		r->out_len = answer.len < r->out_len ? answer.len : r->out_len;
		memcpy(r->out, answer.data, r->out_len);
	}
	return answer.result;
}

int sock_take_error(const struct sock *s)
{
	int e = (int)s->rec->so_error;

	s->rec->so_error = 0;
	return -e;
}

uint32_t ring_until_mark(const struct sock *s)
{
	(void)s;
	return 1234;
}

bool ring_at_mark(const struct sock *s)
{
	return s->rec->urgent != MARK_NONE;
}

int message_take_error(int fd, const struct sock *s)
{
	(void)fd;
	return sock_take_error(s);
}

int message_waiting(int fd, const struct sock *s)
{
	(void)fd, (void)s;
	return -EBADF;
}

static struct record *rec;

/* A fresh connected socket, and a server that has not been asked. */
static int fresh(void)
{
	int fd = must(virtual_socket(1, 0));

	rec = record_of(1);
	rec->local = (struct abi_addr){.family = AF_INET, .port = htons(80), .addr = {10, 0, 0, 5}};
	rec->peer = (struct abi_addr){.family = AF_INET, .port = htons(99), .addr = {10, 0, 0, 6}};
	rec->so_error = 0;
	asks = 0;
	memset(&answer, 0, sizeof(answer));
	return fd;
}

static int value_of(int fd, int level, int name)
{
	int value = -77;
	socklen_t len = sizeof(value);

	must(getsockopt(fd, level, name, &value, &len));
	equal(len, sizeof(value));
	return value;
}

/* What the kernel's own socket has. */
static int kernel_value(int fd, int name)
{
	int value = -77;
	socklen_t len = sizeof(value);

	equal(raw(SYS_getsockopt, fd, SOL_SOCKET, name, &value, &len), 0);
	return value;
}

static void *volatile null; /* the compiler would see a NULL */

/* ---- getsockopt ---- */

CASE("SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN: the record's")
{
	int fd = fresh();

	equal(value_of(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	equal(value_of(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	equal(value_of(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	equal(value_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	rec->state = RECORD_LISTENING;
	equal(value_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	equal(asks, 0);
	must(close(fd));
}

CASE("SO_ERROR is read once, and not by a call that fails")
{
	socklen_t len = (socklen_t)-1;
	int fd = fresh(), value;

	rec->so_error = ECONNREFUSED;
	fails(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len), EINVAL);
	len = sizeof(value);
	fails(getsockopt(fd, SOL_SOCKET, SO_ERROR, null, &len), EFAULT);
	equal(value_of(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	equal(value_of(fd, SOL_SOCKET, SO_ERROR), 0);
	must(close(fd));
}

CASE("getsockopt lengths: short ones get the first bytes, long ones the true length, none nothing")
{
	unsigned char value[8] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
	int fd = fresh();
	socklen_t len = 2;

	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, value, &len));
	equal(len, 2);
	equal(value[0], SOCK_STREAM);
	equal(value[2], 0xee);
	len = 8;
	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, value, &len));
	equal(len, 4);
	equal(value[4], 0xee);
	len = 0;
	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, null, &len));
	equal(len, 0);
	must(close(fd));
}

CASE("getsockopt of the server: its bytes, its length, its error")
{
	unsigned char value[8];
	int fd = fresh();
	socklen_t len = sizeof(value);

	answer.len = 4;
	memcpy(answer.data, "\1\2\3\4", 4);
	must(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, value, &len));
	equal(len, 4);
	equal(memcmp(value, "\1\2\3\4", 4), 0);
	equal(asked.op, OP_GETSOCKOPT);
	equal(asked.record, 1);
	equal(asked.generation, rec->generation);
	equal(asked.arg[0], IPPROTO_TCP);
	equal(asked.arg[1], TCP_NODELAY);
	equal(asked.arg[2], 8);
	len = 100000;
	must(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, &len));
	equal(asked.arg[2], 100000);
	len = (socklen_t)-1;
	must(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, value, &len));
	equal(asked.arg[2], -1);
	len = 8;
	fails(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, null, &len), EFAULT);
	answer.result = -ENOPROTOOPT;
	len = 4;
	fails(getsockopt(fd, SOL_SOCKET, 9999, value, &len), ENOPROTOOPT);
	equal(len, 4);
	fails(getsockopt(fd, SOL_SOCKET, 9999, value, null), EFAULT);
	must(close(fd));
}

CASE("options of AF_UNIX: as TCP answers, and nothing is set")
{
	struct ucred cred = {1, 2, 3};
	socklen_t len = sizeof(cred);
	int fd = fresh(), one = 1;
	char text[64];

	must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	equal(len, sizeof(cred));
	equal(cred.pid, 0);
	equal(cred.uid, (uid_t)-1);
	equal(cred.gid, (gid_t)-1);
	len = sizeof(text);
	fails(getsockopt(fd, SOL_SOCKET, SO_PEERSEC, text, &len), ENOPROTOOPT);
	fails(getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, text, &len), ENODATA);
	fails(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, text, &len), EOPNOTSUPP);
	fails(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), EOPNOTSUPP);
	equal(kernel_value(fd, SO_PASSCRED), 0);
	equal(asks, 0);
	must(close(fd));
}

/* ---- setsockopt ---- */

CASE("SO_SNDBUF and its like go to the server, never to the AF_UNIX socket")
{
	static const int names[] = {SO_SNDBUF,	  SO_RCVBUF,   SO_KEEPALIVE, SO_REUSEADDR,
				    SO_REUSEPORT, SO_PRIORITY, SO_OOBINLINE, SO_SNDBUFFORCE,
				    SO_BROADCAST, SO_RCVLOWAT, SO_MARK};
	int fd = fresh(), value = 65536;
	int snd = kernel_value(fd, SO_SNDBUF), rcv = kernel_value(fd, SO_RCVBUF);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		must(setsockopt(fd, SOL_SOCKET, names[i], &value, sizeof(value)));
		equal(asks, (int)i + 1);
		equal(asked.op, OP_SETSOCKOPT);
		equal(asked.arg[1], names[i]);
		equal(asked.in_len, 4);
		equal(memcmp(asked_data, &value, 4), 0);
	}
	equal(kernel_value(fd, SO_SNDBUF), snd);
	equal(kernel_value(fd, SO_RCVBUF), rcv);
	equal(kernel_value(fd, SO_KEEPALIVE), 0);
	must(close(fd));
}

CASE("SO_RCVTIMEO and SO_SNDTIMEO live on the AF_UNIX socket")
{
	struct timeval set = {.tv_sec = 3}, got = {0};
	socklen_t len = sizeof(got);
	int fd = fresh();

	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &set, sizeof(set)));
	equal(raw(SYS_getsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
	equal(got.tv_sec, 3);
	set.tv_sec = 4;
	must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &set, sizeof(set)));
	must(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &got, &len));
	equal(got.tv_sec, 4);
	fails(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &set, 4), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, null, sizeof(set)), EFAULT);
	equal(asks, 0);
	must(close(fd));
}

CASE("setsockopt lengths and pointers")
{
	int fd = fresh(), one = 1;
	char big[1024] = {0};

	fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, null, 4), EFAULT);
	fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, (socklen_t)-1), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 2), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_TYPE, &one, 1), EINVAL);
	fails(setsockopt(fd, SOL_SOCKET, SO_TYPE, &one, 4), ENOPROTOOPT);
	fails(setsockopt(fd, SOL_SOCKET, SO_DOMAIN, &one, 4), ENOPROTOOPT);
	fails(setsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &one, 4), ENOPROTOOPT);
	fails(setsockopt(fd, SOL_SOCKET, SO_ERROR, &one, 4), ENOPROTOOPT);
	fails(setsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &one, 4), ENOPROTOOPT);
	fails(setsockopt(fd, SOL_SOCKET, SO_PEERCRED, &one, 4), ENOPROTOOPT);
	fails(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, (socklen_t)-1), EINVAL);
	equal(asks, 0);
	must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, null, 4));
	equal(asked.arg[2], 2);
	must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (char *)null + 1, 4));
	equal(asked.arg[2], 1);
	equal(asked.in_len, 4);
	must(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	equal(asked.in_len, 0);
	must(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, big, sizeof(big)));
	equal(asked.in_len, 448);
	answer.result = -EPERM;
	fails(setsockopt(fd, SOL_SOCKET, SO_MARK, &one, 4), EPERM);
	must(close(fd));
}

/* ---- names ---- */

CASE("getsockname and getpeername: the record's, truncated to the room, and not a byte more")
{
	unsigned char longer[64];
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = fresh();

	must(getsockname(fd, (struct sockaddr *)&a, &len));
	equal(len, sizeof(a));
	equal(a.sin_family, AF_INET);
	equal(ntohs(a.sin_port), 80);
	equal(ntohl(a.sin_addr.s_addr), 0x0a000005);
	memset(&a, 0xee, sizeof(a));
	len = 4;
	must(getpeername(fd, (struct sockaddr *)&a, &len));
	equal(len, sizeof(a));
	equal(ntohs(a.sin_port), 99);
	equal(a.sin_addr.s_addr, 0xeeeeeeee);
	len = 0;
	must(getsockname(fd, null, &len));
	equal(len, sizeof(a));
	memset(longer, 0xee, sizeof(longer));
	len = sizeof(longer);
	must(getsockname(fd, (struct sockaddr *)longer, &len));
	equal(len, sizeof(a));
	for (size_t i = sizeof(a); i < sizeof(longer); i++)
		equal(longer[i], 0xee);
	must(close(fd));
}

CASE("getsockname of a socket without a name: the unspecified address of its family")
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);
	int fd = fresh();

	rec->state = RECORD_OPEN;
	rec->local = (struct abi_addr){0};
	must(getsockname(fd, (struct sockaddr *)&a, &len));
	equal(len, sizeof(struct sockaddr_in));
	equal(a.sin6_family, AF_INET);
	rec->family = AF_INET6;
	len = sizeof(a);
	must(getsockname(fd, (struct sockaddr *)&a, &len));
	equal(len, sizeof(a));
	equal(a.sin6_family, AF_INET6);
	must(close(fd));
}

CASE("getpeername: ENOTCONN before, during a connect, and after a reset")
{
	static const uint32_t without[] = {RECORD_OPEN, RECORD_LISTENING, RECORD_CONNECTING};
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = fresh();

	for (size_t i = 0; i < 3; i++) {
		rec->state = without[i];
		fails(getpeername(fd, (struct sockaddr *)&a, &len), ENOTCONN);
		fails(getpeername(fd, null, null), ENOTCONN);
	}
	rec->state = RECORD_CONNECTED;
	rec->flags = FLAG_DEAD;
	fails(getpeername(fd, (struct sockaddr *)&a, &len), ENOTCONN);
	rec->flags = FLAG_EOF;
	must(getpeername(fd, (struct sockaddr *)&a, &len));
	must(close(fd));
}

CASE("names into bad memory: EFAULT also where a page is merely not there; a negative length: "
     "EINVAL")
{
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = fresh();

	fails(getsockname(fd, null, &len), EFAULT);
	fails(getsockname(fd, hole, &len), EFAULT);
	fails(getsockname(fd, (struct sockaddr *)&a, null), EFAULT);
	fails(getpeername(fd, hole, &len), EFAULT);
	len = (socklen_t)-1;
	fails(getsockname(fd, (struct sockaddr *)&a, &len), EINVAL);
	fails(getpeername(fd, (struct sockaddr *)&a, &len), EINVAL);
	munmap(hole, 4096);
	must(close(fd));
}

/* ---- ioctl ---- */

CASE("FIONREAD: the ring's bytes, not the tokens; in native mode the kernel's")
{
	int fd = fresh(), n = -1;

	must(ioctl(fd, FIONREAD, &n));
	equal(n, 1234);
	rec->mode = MODE_NATIVE;
	must(ioctl(fd, FIONREAD, &n));
	equal(n, 0);
	rec->mode = MODE_RING;
	fails(ioctl(fd, FIONREAD, null), EFAULT);
	rec->state = RECORD_LISTENING;
	fails(ioctl(fd, FIONREAD, &n), EINVAL);
	must(close(fd));
}

CASE("SIOCOUTQ and SIOCOUTQNSD: the server's")
{
	int fd = fresh(), n = -1;

	answer.result = 500;
	answer.arg0 = 200;
	must(ioctl(fd, SIOCOUTQ, &n));
	equal(n, 500);
	equal(asked.op, OP_OUTQ);
	must(ioctl(fd, SIOCOUTQNSD, &n));
	equal(n, 200);
	rec->state = RECORD_LISTENING;
	fails(ioctl(fd, SIOCOUTQ, &n), EINVAL);
	fails(ioctl(fd, SIOCOUTQNSD, &n), EINVAL);
	rec->state = RECORD_CONNECTED;
	answer.result = -ENETDOWN;
	fails(ioctl(fd, SIOCOUTQ, &n), ENETDOWN);
	must(close(fd));
}

CASE("SIOCATMARK and sockatmark(): never at the mark")
{
	int fd = fresh(), n = -1;

	must(ioctl(fd, SIOCATMARK, &n));
	equal(n, 0);
	equal(sockatmark(fd), 0);
	must(close(fd));
}

CASE("FIONBIO, FIOCLEX, FIOASYNC, TCGETS: the kernel's")
{
	int fd = fresh(), one = 1;
	char termios[64];

	must(ioctl(fd, FIONBIO, &one));
	check(raw(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK);
	must(ioctl(fd, FIOCLEX));
	equal(raw(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	must(ioctl(fd, FIOASYNC, &one));
	check(raw(SYS_fcntl, fd, F_GETFL) & O_ASYNC);
	fails(ioctl(fd, TCGETS, termios), ENOTTY);
	must(close(fd));
}

CASE("no interface of the host's is seen or touched")
{
	struct ifreq lo = {.ifr_name = "lo"};
	char list[1024];
	struct ifconf conf = {.ifc_len = sizeof(list), .ifc_buf = list};
	int fd = fresh();

	fails(ioctl(fd, SIOCGIFADDR, &lo), ENODEV);
	fails(ioctl(fd, SIOCGIFFLAGS, &lo), ENODEV);
	fails(ioctl(fd, SIOCGIFINDEX, &lo), ENODEV);
	lo.ifr_ifindex = 1;
	fails(ioctl(fd, SIOCGIFNAME, &lo), ENODEV);
	fails(ioctl(fd, SIOCETHTOOL, &lo), ENODEV);
	fails(ioctl(fd, 0x89f0, &lo), ENODEV);
	fails(ioctl(fd, 0x8b01, &lo), ENODEV);
	fails(ioctl(fd, SIOCGIFCONF, &conf), ENODEV);
	fails(ioctl(fd, SIOCSIFFLAGS, &lo), EPERM);
	fails(ioctl(fd, SIOCADDRT, list), EPERM);
	fails(ioctl(fd, SIOCGSKNS), EPERM);
	/* As some callers have it: the number in an int, its sign extended. */
	fails(ioctl(fd, 0xffffffff00000000ul | SIOCGIFADDR, &lo), ENODEV);
	must(close(fd));
}

CASE("files of others: all as the kernel says")
{
	int fds[2], n, one = 1;
	socklen_t len = sizeof(n);

	must(pipe(fds));
	equal(write(fds[1], "abc", 3), 3);
	must(ioctl(fds[0], FIONREAD, &n));
	equal(n, 3);
	fails(getsockopt(fds[0], SOL_SOCKET, SO_TYPE, &n, &len), ENOTSOCK);
	fails(setsockopt(fds[0], SOL_SOCKET, SO_KEEPALIVE, &one, 4), ENOTSOCK);
	fails(getsockname(-1, null, &len), EBADF);
	fails(getpeername(-1, null, &len), EBADF);
	fails(ioctl(-1, FIONREAD, &n), EBADF);
	must(close(fds[0]));
	must(close(fds[1]));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	must(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &one, 4));
	must(getsockopt(fds[0], SOL_SOCKET, SO_DOMAIN, &n, &len));
	equal(n, AF_UNIX);
	must(close(fds[0]));
	must(close(fds[1]));
}
