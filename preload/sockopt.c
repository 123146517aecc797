/* getsockopt and setsockopt. What the socket is, the record says; the two timeouts steer the waits
 * in the kernel, so they live on the AF_UNIX socket itself; all else is the server's. Nothing else
 * may reach the AF_UNIX socket: its SO_SNDBUF is what makes the plug work. */
#include "ioth.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdio.h>

#define CALL_DATA_MAX ((int)sizeof(((struct call *)0)->data))

#define OPT_FLOWLABEL_MGR 32 /* linux/in6.h, which does not go with netinet/in.h */

/* Younger than some kernel headers. */
#define OPT_PASSPIDFD  76
#define OPT_PEERPIDFD  77
#define OPT_PASSRIGHTS 83

/* Whether a value that cannot be read matters is the server's to say. */
enum { VALUE_READABLE = 0, VALUE_UNREADABLE = 1, VALUE_NULL = 2 };

/* Both layouts of struct timeval that a 64-bit kernel knows, and numbers that identify the file. */
static bool kept_by_kernel(int name)
{
	switch (name) {
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO_NEW:
	case SO_COOKIE:
	case SO_NETNS_COOKIE:
		return true;
	default:
		return false;
	}
}

/* Credentials travel on AF_UNIX and netlink only; what Linux 6.18 says on TCP. */
static bool lacks_credentials(const struct sock *s, int name)
{
	switch (name) {
	case SO_PASSCRED:
		return s->rec->family != AF_NETLINK;
	case SO_PASSSEC:
	case OPT_PASSPIDFD:
	case OPT_PASSRIGHTS:
		return true;
	default:
		return false;
	}
}

/* ---- getsockopt ---- */

/* The room in bytes, in the kernel's order: a length that cannot be read, one that is negative. */
static int room_for(const socklen_t *len)
{
	if (unwritable(len, sizeof(*len)))
		return -EFAULT;
	return (int)*len < 0 ? -EINVAL : (int)*len;
}

static int give(const void *value, int size, void *val, socklen_t *len)
{
	int n = room_for(len);

	if (n < 0)
		return n;
	if (n > size)
		n = size;
	if (unwritable(val, (size_t)n))
		return -EFAULT;
	if (n > 0)
		memcpy(val, value, (size_t)n);
	*len = (socklen_t)n;
	return 0;
}

static int give_int(int value, void *val, socklen_t *len)
{
	return give(&value, sizeof(value), val, len);
}

/* Reading it clears it, so only when the caller can take it. */
static int give_error(int fd, const struct sock *s, void *val, socklen_t *len)
{
	int n = room_for(len);

	if (n < 0)
		return n;
	if (unwritable(val, n < (int)sizeof(int) ? (size_t)n : sizeof(int)))
		return -EFAULT;
	n = sock_is_message(s) ? message_take_error(fd, s) : sock_take_error(s);
	return give_int(-n, val, len);
}

/* What exactly is asked for lies where the answer goes. */
static bool asks_by_value(int level, int name)
{
	switch (level) {
	case SOL_PACKET:
		return name == PACKET_HDRLEN;
	case IPPROTO_IP:
		return name == IP_MSFILTER || name == MCAST_MSFILTER;
	case IPPROTO_IPV6:
		return name == MCAST_MSFILTER || name == OPT_FLOWLABEL_MGR;
	default:
		return false;
	}
}

/* A negative length is the server's to refuse: it is a matter of the level. */
static int ask_server(const struct sock *s, int level, int name, void *val, socklen_t *len)
{
	uint8_t value[CALL_DATA_MAX];
	struct request r = {
	    .op = OP_GETSOCKOPT,
	    .record = s->index,
	    .generation = s->generation,
	    .arg = {level, name},
	    .out = value,
	    .out_len = sizeof(value),
	};
	int n;

	if (unwritable(len, sizeof(*len)))
		return -EFAULT;
	r.arg[2] = (int)*len;
	if (asks_by_value(level, name)) {
		socklen_t asked = *len < CALL_DATA_MAX ? *len : CALL_DATA_MAX;

		r.arg[3] = unreadable(val, asked) ? VALUE_UNREADABLE : VALUE_READABLE;
		r.in = val;
		r.in_len = r.arg[3] == VALUE_READABLE ? asked : 0;
	}
	n = ctl_call(&r);
	if (n < 0)
		return n;
	if (unwritable(val, r.out_len))
		return -EFAULT;
	if (r.out_len > 0)
		memcpy(val, value, r.out_len);
	*len = r.out_len;
	return 0;
}

/* SO_GET_FILTER: what is counted, also in *len, are instructions. */
static int give_filter(const struct sock *s, void *val, socklen_t *len)
{
	struct request r = {.op = OP_GETSOCKOPT,
			    .record = s->index,
			    .generation = s->generation,
			    .arg = {SOL_SOCKET, SO_GET_FILTER}};
	struct sock_filter code[BPF_MAXINSNS];
	int room = room_for(len);
	int n = BPF_MAXINSNS;

	if (room < 0)
		return room;
	for (size_t at = 0; at < (size_t)n * sizeof(*code); at += r.out_len) {
		r.arg[2] = CALL_DATA_MAX;
		r.arg[3] = (int)at;
		r.out = (uint8_t *)code + at;
		r.out_len = (uint32_t)(sizeof(code) - at);
		n = ctl_call(&r);
		if (n < 0)
			return n;
		if (r.out_len == 0)
			break;
	}
	if (n > 0 && room > 0) {
		if (room < n)
			return -EINVAL;
		if (unwritable(val, (size_t)n * sizeof(*code)))
			return -EFAULT;
		memcpy(val, code, (size_t)n * sizeof(*code));
	}
	*len = (socklen_t)n;
	return 0;
}

static int sock_getsockopt(int fd, const struct sock *s, int level, int name, void *val,
			   socklen_t *len)
{
	static const struct ucred nobody = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
	struct record *rec = s->rec;

	int n;

	if (level == IPPROTO_IPV6 && rec->family != AF_INET6)
		return -EOPNOTSUPP; /* whatever the pointers */
	if (level != SOL_SOCKET)
		return ask_server(s, level, name, val, len);
	if (kept_by_kernel(name))
		return pass_getsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
	n = room_for(len);
	if (n < 0)
		return n;
	if (lacks_credentials(s, name))
		return -EOPNOTSUPP;
	switch (name) {
	case SO_TYPE:
		return give_int(rec->type, val, len);
	case SO_DOMAIN:
		return give_int(rec->family, val, len);
	case SO_PROTOCOL:
		return give_int((int)rec->protocol, val, len);
	case SO_ACCEPTCONN:
		return give_int(__atomic_load_n(&rec->state, __ATOMIC_ACQUIRE) == RECORD_LISTENING,
				val, len);
	case SO_ERROR:
		return give_error(fd, s, val, len);
	case SO_PEERCRED:
		return give(&nobody, sizeof(nobody), val, len);
	case SO_PEERSEC:
		return -ENOPROTOOPT;
	case SO_PEERGROUPS:
	case OPT_PEERPIDFD:
		return -ENODATA;
	case SO_GET_FILTER:
		return give_filter(s, val, len);
	default:
		return ask_server(s, level, name, val, len);
	}
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict val, socklen_t *restrict len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_getsockopt(fd, level, name, val, len);
	return ret(sock_getsockopt(fd, &s, level, name, val, len));
}

/* ---- setsockopt ---- */

static int tell_server(const struct sock *s, int level, int name, const void *val, socklen_t len)
{
	socklen_t n = len < CALL_DATA_MAX ? len : CALL_DATA_MAX;
	int state = !val ? VALUE_NULL : unreadable(val, n) ? VALUE_UNREADABLE : VALUE_READABLE;
	static const uint8_t nothing[CALL_DATA_MAX];
	struct request r = {
	    .op = OP_SETSOCKOPT,
	    .record = s->index,
	    .generation = s->generation,
	    .arg = {level, name, state},
	    .in = state == VALUE_READABLE ? val : nothing,
	    .in_len = n,
	};
	int answer;

	if ((int)len < 0)
		return -EINVAL;
	answer = ctl_call(&r);
	return answer < 0 ? answer : 0;
}

/* SO_ATTACH_FILTER: the value leads to the instructions, of which a call carries a part. */
static int attach_filter(const struct sock *s, const void *val, socklen_t len)
{
	struct sock_fprog program;
	struct request r = {.op = OP_SETSOCKOPT, .record = s->index, .generation = s->generation};
	uint32_t total;
	int number = 0;

	if (len != sizeof(program))
		return -EINVAL;
	if (unreadable(val, sizeof(program)))
		return -EFAULT;
	memcpy(&program, val, sizeof(program));
	/* What is no program is the server's to refuse. */
	total = program.filter && program.len <= BPF_MAXINSNS
		    ? (uint32_t)(program.len * sizeof(*program.filter))
		    : 0;
	if (unreadable(program.filter, total))
		return -EFAULT;
	for (uint32_t at = 0; at == 0 || at < total; at += r.in_len) {
		r.in = (const uint8_t *)program.filter + at;
		r.in_len = total - at < CALL_DATA_MAX ? total - at : CALL_DATA_MAX;
		memcpy(r.arg, (int[]){SOL_SOCKET, SO_ATTACH_FILTER, 0, number, (int)total, 0},
		       sizeof(r.arg));
		number = ctl_call(&r);
		if (number < 0 || total == 0)
			return number;
	}
	return 0;
}

/* SO_ATTACH_BPF and its kin of SO_REUSEPORT: the program is the kernel's; the server is told of its
 * descriptor whether it is one. */
static int attach_extended(const struct sock *s, int name, const void *val, socklen_t len)
{
	struct request r = {.op = OP_SETSOCKOPT,
			    .record = s->index,
			    .generation = s->generation,
			    .arg = {SOL_SOCKET, name},
			    .in = val,
			    .in_len = len < CALL_DATA_MAX ? len : CALL_DATA_MAX};
	static const char program[] = "anon_inode:bpf-prog";
	char path[32], what[sizeof(program) - 1];
	int fd;
	long n;

	memcpy(&fd, val, sizeof(fd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = raw(SYS_readlinkat, AT_FDCWD, path, what, sizeof(what));
	r.arg[3] = n < 0							   ? EBADF
		   : n != sizeof(what) || memcmp(what, program, sizeof(what)) != 0 ? EINVAL
										   : 0;
	return ctl_call(&r);
}

static int sock_setsockopt(int fd, const struct sock *s, int level, int name, const void *val,
			   socklen_t len)
{
	if (level != SOL_SOCKET || name == SO_BINDTODEVICE) {
		int r = tell_server(s, level, name, val, len);

		if (r == 0 && level == SOL_PACKET && name == PACKET_RX_RING)
			packet_ring_made(fd);
		return r;
	}
	if (kept_by_kernel(name))
		return pass_setsockopt(fd, level, name, val, len) < 0 ? -errno : 0;
	if ((int)len < (int)sizeof(int))
		return -EINVAL;
	if (unreadable(val, sizeof(int)))
		return -EFAULT;
	if (lacks_credentials(s, name))
		return -EOPNOTSUPP;
	switch (name) {
	case SO_ATTACH_FILTER:
		return attach_filter(s, val, len);
	case SO_ATTACH_BPF:
	case SO_ATTACH_REUSEPORT_EBPF:
		return attach_extended(s, name, val, len);
	case SO_TYPE:
	case SO_DOMAIN:
	case SO_PROTOCOL:
	case SO_ACCEPTCONN:
	case SO_ERROR:
	case SO_PEERCRED:
	case SO_PEERSEC:
	case SO_PEERGROUPS:
	case OPT_PEERPIDFD:
		return -ENOPROTOOPT;
	case SO_RCVLOWAT:
	case SO_OOBINLINE: {
		int r = tell_server(s, level, name, val, len);

		if (r == 0 && sock_is_native(s))
			raw(SYS_setsockopt, fd, level, name, val, len);
		return r;
	}
	default:
		return tell_server(s, level, name, val, len);
	}
}

EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_setsockopt(fd, level, name, val, len);
	return ret(sock_setsockopt(fd, &s, level, name, val, len));
}
