/* getsockname and getpeername: out of the record, which the server keeps. The kernel would tell the
 * names that the AF_UNIX socket has. */
#include "ioth.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <netpacket/packet.h>

/* How long a name is, as the kernel gives it. */
static socklen_t name_length(const struct abi_addr *a)
{
	switch (a->family) {
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	case AF_NETLINK:
		return sizeof(struct sockaddr_nl);
	case AF_PACKET:
		return offsetof(struct sockaddr_ll, sll_addr) +
		       ((const struct sockaddr_ll *)(const void *)a)->sll_halen;
	default:
		return sizeof(struct sockaddr_in);
	}
}

/** As much of the address as fits, and its whole length. Of other families it is in the record as
 * it is. */
void addr_to_sockaddr(const struct abi_addr *a, struct sockaddr *out, socklen_t *len)
{
	struct sockaddr_in6 v6 = {
	    .sin6_family = AF_INET6, .sin6_port = a->port, .sin6_scope_id = a->scope_id};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = a->port};
	const void *from = a->family == AF_INET6  ? (const void *)&v6
			   : a->family == AF_INET ? (const void *)&v4
						  : (const void *)a;
	socklen_t whole = name_length(a);

	memcpy(&v6.sin6_addr, a->addr, sizeof(v6.sin6_addr));
	memcpy(&v4.sin_addr, a->addr, sizeof(v4.sin_addr));
	memcpy(out, from, *len < whole ? *len : whole);
	*len = whole;
}

/* Lets the kernel write the beginning of its own name there first, exactly as far as ours will
 * reach: a bad pointer or length fails as it should. */
static int kernel_accepts(int fd, struct sockaddr *addr, const socklen_t *len, socklen_t whole)
{
	socklen_t room;

	if (bad_pointer(len))
		return -EFAULT;
	room = *len;
	if ((int)room > (int)whole)
		room = whole;
	return pass_getsockname(fd, addr, &room) < 0 ? -errno : 0;
}

static int give_name(int fd, const struct abi_addr *name, const struct record *rec,
		     struct sockaddr *addr, socklen_t *len)
{
	struct abi_addr a = *name;
	int saved = errno;
	int r;

	if (a.family == AF_UNSPEC) /* not bound yet: the unspecified address */
		a.family = rec->family;
	r = kernel_accepts(fd, addr, len, name_length(&a));
	if (r < 0)
		return r;
	errno = saved;
	addr_to_sockaddr(&a, addr, len);
	return 0;
}

/* As inet_getname() of Linux: connecting, reset, refused and closed ones (also in TIME-WAIT) have
 * no peer, nor have those of datagrams whose peer has port 0. */
static bool has_peer(const struct record *rec)
{
	bool ip = rec->family == AF_INET || rec->family == AF_INET6;

	if (ip && rec->peer.port == 0)
		return false;
	switch (__atomic_load_n(&rec->state, __ATOMIC_ACQUIRE)) {
	case RECORD_CONNECTED:
	case RECORD_DELIVERED:
	case RECORD_DELIVERED_NATIVE:
		return !(__atomic_load_n(&rec->flags, __ATOMIC_ACQUIRE) &
			 (FLAG_DEAD | FLAG_CLOSED));
	default:
		return false;
	}
}

EXPORT int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_getsockname(fd, addr.__sockaddr__, len);
	return ret(give_name(fd, &s.rec->local, s.rec, addr.__sockaddr__, len));
}

EXPORT int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_getpeername(fd, addr.__sockaddr__, len);
	if (s.rec->family == AF_PACKET)
		return ret(-EOPNOTSUPP);
	/* Netlink's is the kernel, connected or not. */
	if (!has_peer(s.rec) && s.rec->family != AF_NETLINK)
		return ret(-ENOTCONN);
	return ret(give_name(fd, &s.rec->peer, s.rec, addr.__sockaddr__, len));
}
