/* getaddrinfo(3). What takes no network (services, protocols, numbers, flags) glibc answers itself:
 * for AI_NUMERICHOST it opens no socket. A name becomes a list by cloning what glibc makes of an
 * address of zeros, once for each address that the server knows. The entries are single malloc()s
 * and the canonical name another, as glibc's are, so freeaddrinfo() is glibc's. */
#include "ioth.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#define KNOWN_FLAGS                                                                                \
	(AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_ADDRCONFIG | AI_V4MAPPED | AI_IDN |       \
	 AI_CANONIDN | 0x300 /* once AI_IDN_ALLOW_UNASSIGNED and such */ | AI_NUMERICSERV |        \
	 AI_ALL)

struct address {
	int family;
	uint32_t scope;
	uint8_t addr[16];
};

static int from_h_errno(int e)
{
	switch (e) {
	case HOST_NOT_FOUND:
		return EAI_NONAME;
	case TRY_AGAIN:
		return EAI_AGAIN;
	case NO_RECOVERY:
		return EAI_FAIL;
	case NO_DATA:
		return EAI_NODATA;
	default:
		return errno == ENOMEM ? EAI_MEMORY : EAI_SYSTEM;
	}
}

/* ---- the list ---- */

static struct addrinfo *entry(const struct addrinfo *like, const struct address *a)
{
	size_t room =
	    a->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	/* Every template has sin_port where sin6_port is. */
	in_port_t port = ((const struct sockaddr_in *)like->ai_addr)->sin_port;
	struct addrinfo *e = calloc(1, sizeof(*e) + room);

	if (!e)
		return NULL;
	e->ai_flags = like->ai_flags;
	e->ai_family = a->family;
	e->ai_socktype = like->ai_socktype;
	e->ai_protocol = like->ai_protocol;
	e->ai_addrlen = (socklen_t)room;
	e->ai_addr = (struct sockaddr *)(e + 1);
	if (a->family == AF_INET) {
		struct sockaddr_in *sin = (struct sockaddr_in *)e->ai_addr;

		sin->sin_family = AF_INET;
		sin->sin_port = port;
		memcpy(&sin->sin_addr, a->addr, sizeof(sin->sin_addr));
	} else {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)e->ai_addr;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = port;
		sin6->sin6_scope_id = a->scope;
		memcpy(&sin6->sin6_addr, a->addr, sizeof(sin6->sin6_addr));
	}
	return e;
}

/* All of the template for each address. `canonical` is the first entry's, or NULL. */
static int make_list(const struct addrinfo *template, const struct address *a, size_t n,
		     const char *canonical, int flags, struct addrinfo **result)
{
	struct addrinfo *head = NULL, **tail = &head;

	for (size_t i = 0; i < n; i++)
		for (const struct addrinfo *like = template; like; like = like->ai_next) {
			*tail = entry(like, a + i);
			if (!*tail)
				goto out;
			(*tail)->ai_flags = flags;
			tail = &(*tail)->ai_next;
		}
	if (canonical) {
		head->ai_canonname = strdup(canonical);
		if (!head->ai_canonname)
			goto out;
	}
	*result = head;
	return 0;
out:
	if (head)
		freeaddrinfo(head);
	return EAI_MEMORY;
}

/* What glibc makes of the service and the kind of socket: an entry for each of them. */
static int make_template(const char *service, const struct addrinfo *hints,
			 struct addrinfo **template)
{
	struct addrinfo h = {.ai_flags = AI_NUMERICHOST | (hints->ai_flags & AI_NUMERICSERV),
			     .ai_family = hints->ai_family,
			     .ai_socktype = hints->ai_socktype,
			     .ai_protocol = hints->ai_protocol};

	return libc.getaddrinfo(h.ai_family == AF_INET6 ? "::" : "0.0.0.0", service, &h, template);
}

/* ---- addresses ---- */

static void map_v4(struct address *a)
{
	memmove(a->addr + 12, a->addr, 4);
	memset(a->addr, 0, 10);
	memset(a->addr + 10, 0xff, 2);
	a->family = AF_INET6;
}

static struct address of_host(const struct abi_host_address *from, bool mapped)
{
	struct address a = {.family = (int)from->family};

	memcpy(a.addr, from->addr, sizeof(a.addr));
	if (mapped && a.family == AF_INET)
		map_v4(&a);
	return a;
}

/* One look-up's addresses behind those that are there already. */
static int add_host(const char *name, int family, bool mapped, struct address **list, size_t *n,
		    char **canonical)
{
	struct address *more;
	struct host h;
	int e = host_by_name(&h, name, family, true);

	if (e != 0)
		return from_h_errno(e);
	more = realloc(*list, (*n + h.addresses + 1) * sizeof(*more));
	if (more)
		*list = more;
	if (!*canonical)
		*canonical = strdup(h.name);
	if (more && *canonical)
		for (uint32_t i = 0; i < h.addresses; i++)
			(*list)[(*n)++] = of_host(h.address + i, mapped);
	host_free(&h);
	return more && *canonical ? 0 : EAI_MEMORY;
}

static bool is_ascii(const char *name)
{
	for (; *name; name++)
		if (*name & 0x80)
			return false;
	return true;
}

/* What glibc makes of two failures: that of both, or that there is a name at least. */
static int neither(int e6, int e4)
{
	bool known6 = e6 == EAI_AGAIN || e6 == EAI_NODATA,
	     known4 = e4 == EAI_AGAIN || e4 == EAI_NODATA;

	if (e6 == e4)
		return e6;
	return known6 && known4 ? EAI_NODATA : EAI_NONAME;
}

static int by_name(const char *name, const struct addrinfo *template, const struct addrinfo *hints,
		   struct addrinfo **result)
{
	bool mapped = hints->ai_family == AF_INET6 && hints->ai_flags & AI_V4MAPPED;
	struct address *list = NULL;
	char *canonical = NULL;
	size_t n = 0;
	int e;

	if (hints->ai_flags & AI_IDN && !is_ascii(name))
		return EAI_IDN_ENCODE;
	e = add_host(name, hints->ai_family, false, &list, &n, &canonical);
	if (mapped && (e != 0 || hints->ai_flags & AI_ALL) && e != EAI_MEMORY) {
		int e4 = add_host(name, AF_INET, true, &list, &n, &canonical);

		if (e4 == 0 || e4 == EAI_MEMORY)
			e = e4;
		else if (e != 0)
			e = neither(e, e4);
	}
	if (e == 0 && n == 0)
		e = EAI_NODATA;
	if (e == 0)
		e = make_list(template, list, n, hints->ai_flags & AI_CANONNAME ? canonical : NULL,
			      hints->ai_flags, result);
	free(canonical);
	free(list);
	return e;
}

/* No name: everybody for who listens, else this host. In the order of RFC 6724: the unspecified
 * addresses of IPv6 have a low precedence there, its loopback the highest. */
static int by_nothing(const struct addrinfo *template, const struct addrinfo *hints,
		      struct addrinfo **result)
{
	bool passive = hints->ai_flags & AI_PASSIVE;
	struct address v4 = {.family = AF_INET}, v6 = {.family = AF_INET6}, list[2];
	size_t n = 0;

	if (!passive) {
		memcpy(v4.addr, "\177\0\0\1", 4);
		v6.addr[15] = 1;
	}
	if (hints->ai_family != AF_INET && !passive)
		list[n++] = v6;
	if (hints->ai_family != AF_INET6)
		list[n++] = v4;
	if (hints->ai_family != AF_INET && passive)
		list[n++] = v6;
	return make_list(template, list, n, NULL, hints->ai_flags, result);
}

/* "fe80::1%eth0": glibc would ask the kernel for the interface. -1: it is no such thing. */
static int by_scope(const char *name, const struct addrinfo *template, const struct addrinfo *hints,
		    struct addrinfo **result)
{
	const char *percent = strchr(name, '%');
	char text[INET6_ADDRSTRLEN];
	struct address a = {.family = AF_INET6};
	size_t n = percent ? (size_t)(percent - name) : sizeof(text);

	if (n >= sizeof(text))
		return -1;
	memcpy(text, name, n);
	text[n] = '\0';
	if (inet_pton(AF_INET6, text, a.addr) != 1 || !scope_parse(a.addr, percent + 1, &a.scope))
		return -1;
	if (hints->ai_family == AF_INET)
		return EAI_ADDRFAMILY;
	return make_list(template, &a, 1, hints->ai_flags & AI_CANONNAME ? name : NULL,
			 hints->ai_flags, result);
}

/* ---- the call ---- */

/* AI_ADDRCONFIG as glibc has it: a family without addresses but loopback is not asked for. */
static int configured(struct addrinfo *hints)
{
	struct request r = {.op = OP_FAMILIES};
	int families = ctl_call(&r);

	hints->ai_flags &= ~AI_ADDRCONFIG;
	if (families < 0)
		return 0;
	if (hints->ai_family == AF_UNSPEC) {
		if (families == FAMILIES_V4)
			hints->ai_family = AF_INET;
		else if (families == FAMILIES_V6)
			hints->ai_family = AF_INET6;
	} else if ((hints->ai_family == AF_INET && !(families & FAMILIES_V4)) ||
		   (hints->ai_family == AF_INET6 && !(families & FAMILIES_V6)))
		return EAI_NONAME;
	return 0;
}

static int resolve(const char *name, const char *service, const struct addrinfo *hints,
		   struct addrinfo **result)
{
	struct addrinfo numeric = *hints;
	struct addrinfo *template;
	int e;

	if (name && !strchr(name, '%')) {
		numeric.ai_flags |= AI_NUMERICHOST;
		e = libc.getaddrinfo(name, service, &numeric, result);
		if (e == 0)
			for (struct addrinfo *a = *result; a; a = a->ai_next)
				a->ai_flags = hints->ai_flags;
		if (e != EAI_NONAME)
			return e;
	}
	e = make_template(service, hints, &template);
	if (e != 0)
		return e;
	if (!name)
		e = by_nothing(template, hints, result);
	else {
		e = by_scope(name, template, hints, result);
		if (e == -1)
			e = hints->ai_flags & AI_NUMERICHOST
				? EAI_NONAME
				: by_name(name, template, hints, result);
	}
	freeaddrinfo(template);
	return e;
}

EXPORT int getaddrinfo(const char *restrict name, const char *restrict service,
		       const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
	struct addrinfo h = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	int saved = errno;
	int e = 0;

	if (!names_ours())
		return libc.getaddrinfo(name, service, hints, result);
	if (name && strcmp(name, "*") == 0)
		name = NULL;
	if (service && strcmp(service, "*") == 0)
		service = NULL;
	if (!name && !service)
		return EAI_NONAME;
	if (hints)
		h = (struct addrinfo){.ai_flags = hints->ai_flags,
				      .ai_family = hints->ai_family,
				      .ai_socktype = hints->ai_socktype,
				      .ai_protocol = hints->ai_protocol};
	if (h.ai_flags & ~KNOWN_FLAGS || (h.ai_flags & AI_CANONNAME && !name))
		return EAI_BADFLAGS;
	/* An entry's flags are the hints' own, AI_ADDRCONFIG too. */
	if (h.ai_flags & AI_ADDRCONFIG)
		e = configured(&h);
	if (e == 0)
		e = resolve(name, service, &h, result);
	if (e != EAI_SYSTEM)
		errno = saved;
	return e;
}
