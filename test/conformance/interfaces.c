/* Interfaces as programs ask for them: net/if.h, getifaddrs(), ioctl() (netdevice(7)), /proc/net.
 */
#include "net.h"

#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>

CASE("if_nametoindex() and if_indextoname(): lo is 1")
{
	char name[IFNAMSIZ];

	equal(if_nametoindex("lo"), 1);
	check(if_indextoname(1, name) == name);
	check(strcmp(name, "lo") == 0);
}

CASE("if_nametoindex() of a name that nothing has: ENODEV")
{
	equal(if_nametoindex("nothing"), 0);
	equal(errno, ENODEV);
	equal(if_nametoindex(""), 0);
	equal(errno, ENODEV);
}

CASE("if_indextoname() of a number that nothing has: ENXIO")
{
	char name[IFNAMSIZ];

	check(!if_indextoname(999999, name));
	equal(errno, ENXIO);
	check(!if_indextoname(0, name));
	equal(errno, ENXIO);
}

CASE("if_nameindex(): each once, lo among them, a zero entry at the end")
{
	struct if_nameindex *list = if_nameindex();
	int n = 0, lo = 0;

	check(list);
	for (; list[n].if_index; n++) {
		lo += strcmp(list[n].if_name, "lo") == 0;
		equal(if_nametoindex(list[n].if_name), list[n].if_index);
	}
	equal(lo, 1);
	check(!list[n].if_name);
	if_freenameindex(list);
}

/* The entry of lo with an address of `family`. */
static struct ifaddrs *of_lo(struct ifaddrs *list, int family)
{
	for (; list; list = list->ifa_next)
		if (strcmp(list->ifa_name, "lo") == 0 && list->ifa_addr &&
		    list->ifa_addr->sa_family == family)
			return list;
	return NULL;
}

CASE("getifaddrs(): 127.0.0.1/8 and ::1/128 on lo, which is up")
{
	struct ifaddrs *list, *a;
	struct sockaddr_in *v4;
	struct sockaddr_in6 *v6;

	must(getifaddrs(&list));
	a = of_lo(list, AF_INET);
	check(a);
	equal(a->ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST),
	      IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	v4 = (struct sockaddr_in *)a->ifa_addr;
	equal(v4->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	equal(v4->sin_port, 0);
	v4 = (struct sockaddr_in *)a->ifa_netmask;
	equal(v4->sin_addr.s_addr, htonl(0xff000000));
	v4 = (struct sockaddr_in *)a->ifa_broadaddr;
	equal(v4->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	a = of_lo(list, AF_INET6);
	check(a);
	v6 = (struct sockaddr_in6 *)a->ifa_addr;
	check(IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
	equal(v6->sin6_scope_id, 0);
	v6 = (struct sockaddr_in6 *)a->ifa_netmask;
	for (int i = 0; i < 16; i++)
		equal(v6->sin6_addr.s6_addr[i], 0xff);
	freeifaddrs(list);
	freeifaddrs(NULL);
}

CASE("getifaddrs(): an AF_PACKET entry for each interface comes first, with its counters")
{
	struct ifaddrs *list, *a;
	struct sockaddr_ll *ll;

	must(getifaddrs(&list));
	equal(list->ifa_addr->sa_family, AF_PACKET);
	a = of_lo(list, AF_PACKET);
	check(a && a->ifa_data && !a->ifa_netmask);
	ll = (struct sockaddr_ll *)a->ifa_addr;
	equal(ll->sll_ifindex, 1);
	equal(ll->sll_hatype, ARPHRD_LOOPBACK);
	equal(ll->sll_halen, 6);
	freeifaddrs(list);
}

static int of_name(int fd, unsigned long request, const char *name, struct ifreq *req)
{
	memset(req, 0, sizeof(*req));
	strcpy(req->ifr_name, name);
	return ioctl(fd, request, req);
}

CASE("ioctl(): flags, MTU, index, hardware address, queue, metric of lo")
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq req;

	must(of_name(fd, SIOCGIFFLAGS, "lo", &req));
	equal(req.ifr_flags & 0xffff, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	must(of_name(fd, SIOCGIFMTU, "lo", &req));
	equal(req.ifr_mtu, 65536);
	must(of_name(fd, SIOCGIFINDEX, "lo", &req));
	equal(req.ifr_ifindex, 1);
	must(of_name(fd, SIOCGIFHWADDR, "lo", &req));
	equal(req.ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
	must(of_name(fd, SIOCGIFTXQLEN, "lo", &req));
	equal(req.ifr_qlen, 1000);
	must(of_name(fd, SIOCGIFMETRIC, "lo", &req));
	equal(req.ifr_metric, 0);
	check(strcmp(req.ifr_name, "lo") == 0);
	must(close(fd));
}

CASE("ioctl(): address, netmask, broadcast of lo")
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in *a;
	struct ifreq req;

	a = (struct sockaddr_in *)&req.ifr_addr;
	must(of_name(fd, SIOCGIFADDR, "lo", &req));
	equal(a->sin_family, AF_INET);
	equal(a->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	must(of_name(fd, SIOCGIFNETMASK, "lo", &req));
	equal(a->sin_addr.s_addr, htonl(0xff000000));
	must(of_name(fd, SIOCGIFBRDADDR, "lo", &req));
	equal(a->sin_addr.s_addr, 0);
	must(of_name(fd, SIOCGIFDSTADDR, "lo", &req));
	equal(a->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	must(close(fd));
}

CASE("SIOCGIFNAME")
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq req = {.ifr_ifindex = 1};

	must(ioctl(fd, SIOCGIFNAME, &req));
	check(strcmp(req.ifr_name, "lo") == 0);
	req.ifr_ifindex = 999999;
	fails(ioctl(fd, SIOCGIFNAME, &req), ENODEV);
	must(close(fd));
}

CASE("ioctl() on what is not there: ENODEV")
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq req;

	fails(of_name(fd, SIOCGIFFLAGS, "nothing", &req), ENODEV);
	fails(of_name(fd, SIOCGIFADDR, "nothing", &req), ENODEV);
	fails(of_name(fd, SIOCGIFMTU, "", &req), ENODEV);
	must(close(fd));
}

CASE("ioctl() and bad pointers: EFAULT")
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));

	fails(ioctl(fd, SIOCGIFFLAGS, NULL), EFAULT);
	fails(ioctl(fd, SIOCGIFADDR, (void *)1), EFAULT);
	fails(ioctl(fd, SIOCGIFCONF, NULL), EFAULT);
	must(close(fd));
}

CASE("SIOCGIFCONF: the length that is needed, then the list, then what fits")
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq list[64];
	struct ifconf conf = {.ifc_len = 0};
	int needed;

	must(ioctl(fd, SIOCGIFCONF, &conf));
	needed = conf.ifc_len;
	check(needed >= (int)sizeof(*list) && needed % (int)sizeof(*list) == 0);
	conf = (struct ifconf){.ifc_len = sizeof(list), .ifc_req = list};
	must(ioctl(fd, SIOCGIFCONF, &conf));
	equal(conf.ifc_len, needed);
	check(strcmp(list[0].ifr_name, "lo") == 0);
	equal(((struct sockaddr_in *)&list[0].ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	conf = (struct ifconf){.ifc_len = sizeof(*list) - 1, .ifc_req = list};
	must(ioctl(fd, SIOCGIFCONF, &conf));
	equal(conf.ifc_len, 0);
	must(close(fd));
}

CASE("an AF_INET6 socket knows interfaces, and no IPv4 addresses of theirs")
{
	int fd = must(socket(AF_INET6, SOCK_DGRAM, 0));
	struct ifreq req;

	must(of_name(fd, SIOCGIFINDEX, "lo", &req));
	equal(req.ifr_ifindex, 1);
	fails(of_name(fd, SIOCGIFADDR, "lo", &req), ENOTTY);
	must(close(fd));
}

CASE("an AF_UNIX socket knows interfaces")
{
	int fd = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	struct ifreq req;

	must(of_name(fd, SIOCGIFFLAGS, "lo", &req));
	equal(req.ifr_flags & 0xffff, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	fails(of_name(fd, SIOCGIFMTU, "nothing", &req), ENODEV);
	must(close(fd));
}

CASE("a file and a pipe know no interfaces")
{
	int fd = must(open("/dev/null", O_RDONLY)), ends[2];
	struct ifreq req;

	fails(of_name(fd, SIOCGIFFLAGS, "lo", &req), ENOTTY);
	must(close(fd));
	must(pipe(ends));
	fails(of_name(ends[0], SIOCGIFFLAGS, "lo", &req), ENOTTY);
	must(close(ends[0]));
	must(close(ends[1]));
}

/* Lines of the file, and whether one contains `text`. */
static int lines_with(const char *path, const char *text, int *lines)
{
	FILE *f = fopen(path, "re");
	char line[512];
	int n = 0;

	check(f);
	*lines = 0;
	while (fgets(line, sizeof(line), f)) {
		++*lines;
		n += strstr(line, text) != NULL;
	}
	fclose(f);
	return n;
}

CASE("/proc/net: dev, if_inet6, route, by all its names")
{
	static const char *const dirs[] = {"/proc/net", "/proc/self/net", "/proc/thread-self/net"};
	char path[64];
	int lines;

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/dev", dirs[i]);
		equal(lines_with(path, "    lo:", &lines), 1);
		check(lines >= 3);
		snprintf(path, sizeof(path), "%s/if_inet6", dirs[i]);
		equal(lines_with(path, "00000000000000000000000000000001 01 80 10 80       lo",
				 &lines),
		      1);
		snprintf(path, sizeof(path), "%s/route", dirs[i]);
		equal(lines_with(path, "Iface\tDestination\tGateway \tFlags", &lines), 1);
	}
	snprintf(path, sizeof(path), "/proc/%d/net/arp", getpid());
	equal(lines_with(path, "IP address       HW type", &lines), 1);
}
