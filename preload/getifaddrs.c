/* getifaddrs(3): each interface with its hardware address and counters, then each address, in one
 * piece of memory, as glibc gives them. */
#include "ioth.h"

#include <linux/if_link.h>
#include <netpacket/packet.h>

/* An entry and all that it points to. */
struct entry {
	struct ifaddrs ifa; /* first: what is freed is the first entry */
	char name[IFNAMSIZ];
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_ll link;
	} addr, mask, peer;
	struct rtnl_link_stats stats;
};

static void link_addr(struct sockaddr_ll *ll, const struct abi_interface *i, const uint8_t *mac)
{
	*ll = (struct sockaddr_ll){.sll_family = AF_PACKET,
				   .sll_ifindex = (int)i->index,
				   .sll_hatype = (uint16_t)i->type,
				   .sll_halen = 6};
	memcpy(ll->sll_addr, mac, 6);
}

static void describe_link(struct entry *e, const struct abi_interface *i)
{
	link_addr(&e->addr.link, i, i->address);
	link_addr(&e->peer.link, i, i->broadcast);
	e->stats = (struct rtnl_link_stats){.rx_packets = (uint32_t)i->packets_in,
					    .tx_packets = (uint32_t)i->packets_out,
					    .rx_bytes = (uint32_t)i->bytes_in,
					    .tx_bytes = (uint32_t)i->bytes_out,
					    .rx_errors = (uint32_t)i->errors_in,
					    .rx_dropped = (uint32_t)i->dropped_in,
					    .tx_dropped = (uint32_t)i->dropped_out,
					    .multicast = (uint32_t)i->multicast_in};
	e->ifa.ifa_data = &e->stats;
	e->ifa.ifa_broadaddr = &e->peer.any;
}

static void mask_bytes(uint8_t *out, uint32_t prefix)
{
	for (; prefix >= 8; prefix -= 8)
		*out++ = 0xff;
	if (prefix > 0)
		*out = (uint8_t)(0xff << (8 - prefix));
}

static void describe_v4(struct entry *e, const struct abi_interface_address *a)
{
	static const uint8_t none[4];
	const uint8_t *peer = memcmp(a->broadcast, none, 4) == 0 ? a->addr : a->broadcast;

	e->addr.v4 = e->mask.v4 = e->peer.v4 = (struct sockaddr_in){.sin_family = AF_INET};
	memcpy(&e->addr.v4.sin_addr, a->addr, 4);
	memcpy(&e->peer.v4.sin_addr, peer, 4);
	mask_bytes((uint8_t *)&e->mask.v4.sin_addr, a->prefix);
	e->ifa.ifa_netmask = &e->mask.any;
	e->ifa.ifa_broadaddr = &e->peer.any;
}

static void describe_v6(struct entry *e, const struct abi_interface_address *a)
{
	e->addr.v6 = e->mask.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
	memcpy(&e->addr.v6.sin6_addr, a->addr, 16);
	if (scope_counts(a->addr))
		e->addr.v6.sin6_scope_id = a->index;
	mask_bytes(e->mask.v6.sin6_addr.s6_addr, a->prefix);
	e->ifa.ifa_netmask = &e->mask.any;
}

static struct entry *begin(struct entry *e, const struct abi_interface *i)
{
	memcpy(e->name, i->name, IFNAMSIZ);
	e->ifa.ifa_name = e->name;
	e->ifa.ifa_flags = i->flags;
	e->ifa.ifa_addr = &e->addr.any;
	e->ifa.ifa_next = &e[1].ifa;
	return e;
}

static uint32_t fill(struct entry *e, const struct node_view *v)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < v->interfaces; k++)
		describe_link(begin(&e[n++], &v->interface[k]), &v->interface[k]);
	for (uint32_t k = 0; k < v->addresses; k++) {
		const struct abi_interface_address *a = &v->address[k];
		const struct abi_interface *i = view_indexed(v, a->index);

		if (!i)
			continue;
		if (a->family == AF_INET)
			describe_v4(begin(&e[n++], i), a);
		else
			describe_v6(begin(&e[n++], i), a);
	}
	return n;
}

EXPORT int getifaddrs(struct ifaddrs **out)
{
	struct entry *list;
	struct node_view v;
	int e;

	if (!ioth_attached())
		return libc.getifaddrs(out);
	e = view_get(&v);
	if (e < 0)
		return ret(e);
	list = calloc(v.interfaces + v.addresses, sizeof(*list));
	if (list) {
		list[fill(list, &v) - 1].ifa.ifa_next = NULL;
		*out = &list->ifa;
	}
	view_free(&v);
	return list ? 0 : -1;
}

/* Whether a process is attached does not change: the list is from above, or from glibc. */
EXPORT void freeifaddrs(struct ifaddrs *first)
{
	if (ioth_attached())
		free(first);
	else
		libc.freeifaddrs(first);
}
