/* Calls that are answered at once. */
#include "supervisor.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sockios.h>

#define VALUE_MOST 32768 /* the longest that an option takes: a filter of 4096 instructions */

long serve_socket(struct notice *c)
{
	int type = (int)c->arg[1];
	static bool said;
	long r;
	int fd;

	if (target_fd(c, -1) == -EPERM) {
		if (!said)
			fprintf(
			    stderr,
			    "ioth-supervisor: process %d may not be served: the kernel does not "
			    "let us at "
			    "its descriptors (ptrace(2), Yama, a container's seccomp profile)\n",
			    c->tid);
		said = true;
		return -EAFNOSUPPORT;
	}
	fd = socket((int)c->arg[0], type | SOCK_CLOEXEC, (int)c->arg[2]);
	if (fd < 0)
		return -errno;
	r = target_give(c, fd, type & SOCK_CLOEXEC);
	fdtab_forget(fd);
	raw(SYS_close, fd);
	return r;
}

/* To a netlink socket that leaves its name to the kernel it gives the caller's process id, if that
 * is free: the server would take ours. */
static long bind_netlink(const struct notice *c, struct sockaddr_nl *name, socklen_t len)
{
	name->nl_pid = (uint32_t)target_process(c->tid);
	if (bind(c->fd, (struct sockaddr *)name, len) == 0)
		return 0;
	name->nl_pid = 0;
	return answer_of(bind(c->fd, (struct sockaddr *)name, len));
}

void name_netlink(const struct notice *c)
{
	struct sockaddr_nl name = {.nl_family = AF_NETLINK};
	const struct sockaddr_nl *now = (const void *)&c->sock.rec->local;

	if (c->sock.rec->family == AF_NETLINK && now->nl_pid == 0)
		bind_netlink(c, &name, sizeof(name));
}

long serve_bind(struct notice *c)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = (socklen_t)c->arg[2];
	bool there = len > sizeof(addr) || target_read(c, &addr, c->arg[1], len);
	struct sockaddr_nl *name = (struct sockaddr_nl *)&addr;

	if (there && c->sock.rec->family == AF_NETLINK && len >= sizeof(*name) && name->nl_pid == 0)
		return bind_netlink(c, name, len);
	return answer_of(bind(c->fd, there ? (struct sockaddr *)&addr : NOWHERE, len));
}

long serve_listen(struct notice *c)
{
	long r = answer_of(listen(c->fd, (int)c->arg[1]));
	int e = renewed(c);

	return e < 0 ? e : r;
}

long serve_shutdown(struct notice *c)
{
	return answer_of(shutdown(c->fd, (int)c->arg[1]));
}

/* getsockname(), getpeername() */
long serve_name(struct notice *c)
{
	struct sockaddr_storage addr;
	socklen_t room = 0, len;
	long r;

	bool known = target_read(c, &room, c->arg[2], sizeof(room));

	len = !known || (int)room < (int)sizeof(addr) ? room : sizeof(addr);
	r = c->nr == SYS_getsockname
		? getsockname(c->fd, (struct sockaddr *)&addr, known ? &len : NOWHERE)
		: getpeername(c->fd, (struct sockaddr *)&addr, known ? &len : NOWHERE);
	if (r < 0)
		return -errno;
	return target_write(c, c->arg[1], &addr, len < room ? len : room) &&
		       target_write(c, c->arg[2], &len, sizeof(len))
		   ? 0
		   : -EFAULT;
}

long serve_getsockopt(struct notice *c)
{
	static uint8_t value[VALUE_MOST];
	socklen_t len = 0;
	bool known = target_read(c, &len, c->arg[4], sizeof(len));
	/* The lengths of some are not in bytes. */
	bool filter = (int)c->arg[1] == SOL_SOCKET && (int)c->arg[2] == SO_GET_FILTER;
	size_t unit = filter ? sizeof(struct sock_filter) : 1;
	socklen_t asked;
	int r;

	if (known && (int)len > (int)(VALUE_MOST / unit))
		len = (socklen_t)(VALUE_MOST / unit);
	/* What it reads and what it leaves as it is. */
	if (known && (int)len > 0 && !filter && !target_read(c, value, c->arg[3], len))
		return getsockopt(c->fd, (int)c->arg[1], (int)c->arg[2], NOWHERE, &len) < 0 ? -errno
											    : 0;
	asked = len;
	r = getsockopt(c->fd, (int)c->arg[1], (int)c->arg[2], value, known ? &len : NOWHERE);
	if (r < 0)
		return -errno;
	if (filter && asked == 0)
		unit = 0;
	return target_write(c, c->arg[3], value, len * unit) &&
		       target_write(c, c->arg[4], &len, sizeof(len))
		   ? r
		   : -EFAULT;
}

/* SO_ATTACH_FILTER's value leads to the instructions. */
static bool fetch_filter(const struct notice *c, void *value, socklen_t len)
{
	static struct sock_filter code[BPF_MAXINSNS];
	struct sock_fprog program;

	if (len < sizeof(program))
		return true;
	memcpy(&program, value, sizeof(program));
	if (!program.filter)
		return true;
	if (program.len <= BPF_MAXINSNS &&
	    !target_read(c, code, (uintptr_t)program.filter, program.len * sizeof(*code)))
		return false;
	program.filter = code;
	memcpy(value, &program, sizeof(program));
	return true;
}

/* SO_ATTACH_BPF's value is a descriptor of the target's: it is exchanged for a copy, or -1. */
static int fetch_descriptor(const struct notice *c, void *value)
{
	int fd;

	memcpy(&fd, value, sizeof(fd));
	fd = target_fd(c, fd);
	fd = fd < 0 ? -1 : fd;
	memcpy(value, &fd, sizeof(fd));
	return fd;
}

long serve_setsockopt(struct notice *c)
{
	static uint8_t value[VALUE_MOST];
	int level = (int)c->arg[1], name = (int)c->arg[2];
	socklen_t len = (socklen_t)c->arg[4];
	size_t n = (int)len < 0 ? 0 : len < VALUE_MOST ? len : VALUE_MOST;
	const void *given = value;
	int copy = -1;
	long r;

	/* Nobody sees the target map memory: to it there are no rings. */
	if (level == SOL_PACKET && (name == PACKET_RX_RING || name == PACKET_TX_RING))
		return -ENOPROTOOPT;
	if (c->arg[3] == 0)
		given = NULL;
	else if (!target_read(c, value, c->arg[3], n))
		given = NOWHERE;
	else if (level == SOL_SOCKET &&
		 (name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF) &&
		 !fetch_filter(c, value, len))
		return -EFAULT;
	else if (level == SOL_SOCKET && name == SO_ATTACH_BPF && n >= sizeof(int))
		copy = fetch_descriptor(c, value);
	r = answer_of(
	    setsockopt(c->fd, level, name, given, (int)len < VALUE_MOST ? len : VALUE_MOST));
	if (copy >= 0)
		raw(SYS_close, copy);
	return r;
}

/* SIOCGIFCONF: a list of interfaces, to where its argument leads. */
static long serve_ifconf(const struct notice *c)
{
	static uint8_t list[VALUE_MOST];
	struct ifconf there = {0}, here;

	if (!target_read(c, &there, c->arg[2], sizeof(there)))
		return -EFAULT;
	here = there;
	here.ifc_buf = there.ifc_buf ? (char *)list : NULL;
	if (here.ifc_len > VALUE_MOST)
		here.ifc_len = VALUE_MOST;
	if (ioctl(c->fd, SIOCGIFCONF, &here) < 0)
		return -errno;
	there.ifc_len = here.ifc_len;
	if (there.ifc_buf && !target_write(c, (uintptr_t)there.ifc_buf, list, (size_t)here.ifc_len))
		return -EFAULT;
	return target_write(c, c->arg[2], &there, sizeof(there)) ? 0 : -EFAULT;
}

long serve_ioctl(struct notice *c)
{
	uint32_t request = (uint32_t)c->arg[1];
	size_t size =
	    request == SIOCOUTQ || request == SIOCOUTQNSD ? sizeof(int) : sizeof(struct ifreq);
	union {
		struct ifreq interface;
		uint8_t room[256]; /* of other structures the beginning */
	} arg = {.room = {0}};
	bool there;
	int r;

	if (!c->sock.rec) {
		int domain = 0;
		socklen_t len = sizeof(domain);

		/* Interfaces: an AF_UNIX socket would tell the host's. */
		raw(SYS_getsockopt, c->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
		if (domain != AF_UNIX || request == SIOCOUTQ || request == SIOCOUTQNSD)
			return PASS;
	}
	if (request == SIOCGIFCONF)
		return serve_ifconf(c);
	there = target_read(c, &arg, c->arg[2], size);
	r = ioctl(c->fd, request, there ? (void *)&arg : NOWHERE);
	if (r < 0)
		return -errno;
	return target_write(c, c->arg[2], &arg, size) ? r : -EFAULT;
}
