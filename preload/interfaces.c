/* Interfaces by name and index, and what ioctl() tells of them (netdevice(7)): the stack's. */
#include "ioth.h"

#include <linux/sockios.h>
#include <net/if_arp.h>

/** Asks the server each time, as the kernel is asked: addresses come and go. */
int view_get(struct node_view *v)
{
	struct request r = {.op = OP_INTERFACES};
	const struct abi_interfaces *head;
	ssize_t length;

	if (!ioth_ready())
		return -ENETDOWN;
	length = ctl_long(&r, &v->answer);
	if (length < 0)
		return (int)length;
	head = (const struct abi_interfaces *)(void *)v->answer;
	v->length = (size_t)length;
	v->interfaces = head->interfaces;
	v->addresses = head->addresses;
	v->interface = (const struct abi_interface *)(const void *)(head + 1);
	v->address =
	    (const struct abi_interface_address *)(const void *)(v->interface + v->interfaces);
	return 0;
}

void view_free(struct node_view *v)
{
	munmap(v->answer, v->length + 1);
}

const struct abi_interface *view_named(const struct node_view *v, const char *name)
{
	for (uint32_t i = 0; i < v->interfaces; i++)
		if (strncmp(v->interface[i].name, name, IFNAMSIZ) == 0)
			return &v->interface[i];
	return NULL;
}

const struct abi_interface *view_indexed(const struct node_view *v, uint32_t index)
{
	for (uint32_t i = 0; i < v->interfaces; i++)
		if (v->interface[i].index == index)
			return &v->interface[i];
	return NULL;
}

/* ---- net/if.h ---- */

EXPORT unsigned int if_nametoindex(const char *name)
{
	const struct abi_interface *i;
	struct node_view v;
	unsigned int index;
	int e;

	if (!ioth_attached())
		return libc.if_nametoindex(name);
	e = view_get(&v);
	if (e < 0) {
		errno = -e;
		return 0;
	}
	i = view_named(&v, name);
	index = i ? i->index : 0;
	view_free(&v);
	if (index == 0)
		errno = ENODEV;
	return index;
}

EXPORT char *if_indextoname(unsigned int index, char name[IFNAMSIZ])
{
	const struct abi_interface *i;
	struct node_view v;
	int e;

	if (!ioth_attached())
		return libc.if_indextoname(index, name);
	e = view_get(&v);
	if (e == 0) {
		i = view_indexed(&v, index);
		if (i)
			memcpy(name, i->name, IFNAMSIZ);
		e = i ? 0 : -ENXIO;
		view_free(&v);
	}
	if (e == 0)
		return name;
	errno = -e;
	return NULL;
}

/* The list and its names in one piece; a zero entry ends it. */
EXPORT struct if_nameindex *if_nameindex(void)
{
	struct if_nameindex *list;
	struct node_view v;
	char *names;
	int e;

	if (!ioth_attached())
		return libc.if_nameindex();
	e = view_get(&v);
	if (e < 0) {
		errno = -e;
		return NULL;
	}
	list = malloc((v.interfaces + 1) * sizeof(*list) + v.interfaces * IFNAMSIZ);
	if (list) {
		names = (char *)(list + v.interfaces + 1);
		for (uint32_t i = 0; i < v.interfaces; i++) {
			list[i].if_index = v.interface[i].index;
			list[i].if_name = names + i * IFNAMSIZ;
			memcpy(list[i].if_name, v.interface[i].name, IFNAMSIZ);
		}
		list[v.interfaces] = (struct if_nameindex){0};
	}
	view_free(&v);
	return list;
}

EXPORT void if_freenameindex(struct if_nameindex *list)
{
	if (ioth_attached())
		free(list);
	else
		libc.if_freenameindex(list);
}

/* ---- ioctl ---- */

static void put_v4(struct sockaddr *out, const uint8_t addr[4])
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	memcpy(&in.sin_addr, addr, sizeof(in.sin_addr));
	memcpy(out, &in, sizeof(in));
}

static const struct abi_interface_address *first_v4(const struct node_view *v, uint32_t index)
{
	for (uint32_t i = 0; i < v->addresses; i++)
		if (v->address[i].index == index && v->address[i].family == AF_INET)
			return &v->address[i];
	return NULL;
}

/* SIOCGIFCONF: an entry for each IPv4 address. Without a buffer, how much room they need. */
static int list_v4(const struct node_view *v, void *arg)
{
	struct ifconf conf;
	int used = 0;

	if (unwritable(arg, sizeof(conf)))
		return -EFAULT;
	memcpy(&conf, arg, sizeof(conf));
	if (conf.ifc_buf && conf.ifc_len > 0 && unwritable(conf.ifc_buf, (size_t)conf.ifc_len))
		return -EFAULT;
	for (uint32_t i = 0; i < v->addresses; i++) {
		const struct abi_interface_address *a = &v->address[i];
		const struct abi_interface *of = view_indexed(v, a->index);
		struct ifreq entry = {0};

		if (a->family != AF_INET || !of)
			continue;
		if (conf.ifc_buf) {
			if (conf.ifc_len - used < (int)sizeof(entry))
				break;
			memcpy(entry.ifr_name, of->name, IFNAMSIZ);
			put_v4(&entry.ifr_addr, a->addr);
			memcpy(conf.ifc_buf + used, &entry, sizeof(entry));
		}
		used += (int)sizeof(entry);
	}
	conf.ifc_len = used;
	memcpy(arg, &conf, sizeof(conf));
	return 0;
}

/* What depends on an IPv4 address. */
static int of_v4(const struct node_view *v, const struct abi_interface *i, uint32_t request,
		 struct ifreq *req)
{
	const struct abi_interface_address *a = first_v4(v, i->index);
	uint32_t mask;

	if (!a)
		return -EADDRNOTAVAIL;
	switch (request) {
	case SIOCGIFNETMASK:
		mask = a->prefix ? htonl(UINT32_MAX << (32 - a->prefix)) : 0;
		put_v4(&req->ifr_netmask, (const uint8_t *)&mask);
		break;
	case SIOCGIFBRDADDR:
		put_v4(&req->ifr_broadaddr, a->broadcast);
		break;
	default: /* SIOCGIFADDR, SIOCGIFDSTADDR: no link of ours is from point to point */
		put_v4(&req->ifr_addr, a->addr);
	}
	return 0;
}

#define TXQLEN 1000

static int of_link(const struct abi_interface *i, uint32_t request, struct ifreq *req)
{
	switch (request) {
	case SIOCGIFFLAGS:
		req->ifr_flags = (short)i->flags;
		return 0;
	case SIOCGIFMTU:
		req->ifr_mtu = (int)i->mtu;
		return 0;
	case SIOCGIFINDEX:
		req->ifr_ifindex = (int)i->index;
		return 0;
	case SIOCGIFHWADDR:
		memset(&req->ifr_hwaddr, 0, sizeof(req->ifr_hwaddr));
		req->ifr_hwaddr.sa_family = (sa_family_t)i->type;
		memcpy(req->ifr_hwaddr.sa_data, i->address, 6);
		return 0;
	case SIOCGIFTXQLEN:
		req->ifr_qlen = TXQLEN;
		return 0;
	case SIOCGIFMETRIC:
		req->ifr_metric = 0;
		return 0;
	case SIOCGIFMAP:
		memset(&req->ifr_map, 0, sizeof(req->ifr_map));
		return 0;
	case SIOCGIFNAME:
		memcpy(req->ifr_name, i->name, IFNAMSIZ);
		return 0;
	case SIOCGIFMEM:
	case SIOCGIFENCAP:
	case SIOCGIFSLAVE:
	case SIOCGIFCOUNT:
		return -ENOTTY;
	default: /* drivers' own, ethtool, bridges, bonds, tunnels, wireless */
		return -EOPNOTSUPP;
	}
}

static bool is_about_v4(uint32_t request)
{
	return request == SIOCGIFADDR || request == SIOCGIFNETMASK || request == SIOCGIFBRDADDR ||
	       request == SIOCGIFDSTADDR;
}

/** SIOCGIF* and what drivers answer, for a socket of `family`. */
int interface_ioctl(int family, uint32_t request, void *arg)
{
	bool v4 = family == AF_INET || family == AF_PACKET;
	const struct abi_interface *i;
	struct ifreq req;
	struct node_view v;
	int e;

	if (is_about_v4(request) && !v4)
		return -ENOTTY;
	if (request != SIOCGIFCONF && unwritable(arg, sizeof(req)))
		return -EFAULT;
	e = view_get(&v);
	if (e < 0)
		return e;
	if (request == SIOCGIFCONF) {
		e = list_v4(&v, arg);
	} else {
		memcpy(&req, arg, sizeof(req));
		req.ifr_name[IFNAMSIZ - 1] = '\0';
		if (v4) /* a label: the name of an address of the interface */
			req.ifr_name[strcspn(req.ifr_name, ":")] = '\0';
		i = request == SIOCGIFNAME ? view_indexed(&v, (uint32_t)req.ifr_ifindex)
					   : view_named(&v, req.ifr_name);
		e = !i			   ? -ENODEV
		    : is_about_v4(request) ? of_v4(&v, i, request, &req)
					   : of_link(i, request, &req);
		if (e == 0) {
			if (request != SIOCGIFNAME)
				memcpy(req.ifr_name, arg, IFNAMSIZ);
			memcpy(arg, &req, sizeof(req));
		}
	}
	view_free(&v);
	return e;
}
