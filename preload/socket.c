/* socket(): a record from the server, and an AF_UNIX socket that bears its name. */
#include "ioth.h"
#include "netlink.h"

#include <sys/un.h>

#define TRIES	     8 /* names that someone else has bound: each time a new record */
#define TYPE_FLAGS   (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define SOCK_MAX     11
#define PROTOCOL_MAX 263 /* IPPROTO_MAX of Linux 6 */

/* The AF_UNIX socket of a record; a message socket's is connected to the server, a stream's is of
 * the least send buffer that there is: a few one-byte messages make it unwritable. That has to be
 * before anybody can see the socket, later it would be an edge.
 */
static int unix_socket(const struct sock *s, int type)
{
	struct sockaddr_un un;
	socklen_t len = record_name(&un, s->index, s->generation);
	bool stream = ABI_UNIX_TYPE(type & ~TYPE_FLAGS) == SOCK_STREAM;
	int least = 1;
	int fd = (int)raw(SYS_socket, AF_UNIX,
			  ABI_UNIX_TYPE(type & ~TYPE_FLAGS) | (type & TYPE_FLAGS), 0);
	long r;

	if (fd < 0)
		return fd;
	if (stream)
		raw(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	r = raw(SYS_bind, fd, &un, len);
	if (r == 0 && !stream)
		r = sock_join_server(fd, "msg");
	if (r == 0) {
		__atomic_store_n(&s->rec->named, 1, __ATOMIC_SEQ_CST);
		return fd;
	}
	raw(SYS_close, fd);
	return (int)r;
}

/** Makes the socket *s; `old`: one whose options and local name it takes over. The descriptor. */
int sock_open(int family, int type, int protocol, const struct sock *old, struct sock *s)
{
	int fd = -EADDRINUSE;

	for (int i = 0; i < TRIES && fd == -EADDRINUSE; i++) {
		struct request r = {.op = OP_SOCKET,
				    .arg = {family, type & ~TYPE_FLAGS, protocol,
					    ioth.native ? MODE_NATIVE : MODE_RING,
					    old ? 1 + (int)old->index : 0,
					    old ? (int)old->generation : 0}};
		int index = ctl_call(&r);

		if (index < 0)
			return index;
		sock_at((uint32_t)index, r.generation, s);
		fd = unix_socket(s, type);
		if (fd < 0)
			ctl_simple(s, OP_RETIRE, 0, 0);
	}
	if (fd >= 0)
		fdtab_set(fd, s);
	return fd;
}

static void copy_timeout(int from, int to, int name)
{
	struct timeval t;
	socklen_t len = sizeof(t);

	if (raw(SYS_getsockopt, from, SOL_SOCKET, name, &t, &len) == 0 && (t.tv_sec || t.tv_usec))
		raw(SYS_setsockopt, to, SOL_SOCKET, name, &t, len);
}

/** What the kernel keeps for the AF_UNIX socket and TCP hands down. */
void copy_timeouts(int from, int to)
{
	copy_timeout(from, to, SO_RCVTIMEO);
	copy_timeout(from, to, SO_SNDTIMEO);
}

/** An AF_UNIX socket that was connected, or listened, can do neither again: one that shall is
 * exchanged first. That it listens does not say so: another process may be about to tell the
 * server. */
int sock_unused(int fd, struct sock *s)
{
	uint32_t used = FLAG_DEAD | FLAG_LISTENED;

	if (__atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) != RECORD_OPEN)
		return 0;
	return __atomic_load_n(&s->rec->flags, __ATOMIC_ACQUIRE) & used ? sock_renew(fd, s) : 0;
}

int sock_renew(int fd, struct sock *s)
{
	long status = raw(SYS_fcntl, fd, F_GETFL);
	long flags = raw(SYS_fcntl, fd, F_GETFD);
	struct sock fresh;
	int made;
	long r;

	made = sock_open(s->rec->family,
			 s->rec->type | SOCK_CLOEXEC | (status & O_NONBLOCK ? SOCK_NONBLOCK : 0),
			 (int)s->rec->protocol, s, &fresh);
	if (made < 0)
		return made;
	copy_timeouts(fd, made);
	r = raw(SYS_dup3, made, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	raw(SYS_close, made);
	fdtab_forget(made);
	if (r < 0)
		return (int)r;
	fdtab_set(fd, &fresh);
	sock_closed(s);
	*s = fresh;
	return 0;
}

static bool is_beside_networks(int protocol)
{
	for (size_t i = 0; i < sizeof(beside_networks); i++)
		if (protocol == beside_networks[i])
			return true;
	return false;
}

/* Families that lead to no network: the kernel may have them. The host's interfaces, routes and
 * sockets are not the program's: for netlink of these there is the server.
 */
static bool harmless(int family, int protocol)
{
	return family == AF_UNIX || family == AF_ALG ||
	       (family == AF_NETLINK && is_beside_networks(protocol));
}

static int open_virtual(int family, int type, int protocol)
{
	struct sock s;
	int fd;

	if (type & ~(0xf | TYPE_FLAGS))
		return -EINVAL;
	if (family < 0 || family >= AF_MAX)
		return -EAFNOSUPPORT;
	if ((type & 0xf) >= SOCK_MAX)
		return -EINVAL;
	if (family != AF_INET && family != AF_INET6 && family != AF_PACKET && family != AF_NETLINK)
		return -EAFNOSUPPORT;
	/* Of AF_PACKET it is an ethertype, in network order. */
	if (family != AF_PACKET && (protocol < 0 || protocol >= PROTOCOL_MAX))
		return -EINVAL;
	if (!ioth_attached())
		return -ENETDOWN;
	fd = sock_open(family, type, protocol, NULL, &s);
	/* Where programs that we never see, and stdio, read and write. */
	if (fd >= 0 && fd <= STDERR_FILENO)
		sock_go_native(fd, &s);
	return fd;
}

EXPORT int socket(int family, int type, int protocol)
{
	int fd;

	if ((!ioth_attached() && !ioth.wanted) || harmless(family, protocol)) {
		fd = libc.socket(family, type, protocol);
		if (fd >= 0)
			fdtab_foreign(fd);
		return fd;
	}
	return ret(open_virtual(family, type, protocol));
}
ALIAS(__socket, socket);
