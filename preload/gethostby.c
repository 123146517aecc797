/* gethostbyname and its family: a struct hostent and all that it points to in one buffer. */
#include "ioth.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

/* What goes into the buffer. */
struct content {
	const char *name; /* and `aliases` more behind it */
	uint32_t aliases;
	int family;
	uint32_t addresses;
	const struct abi_host_address *address;
};

static size_t size_of(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

/* Pointers first, then addresses, then names. 0 or ERANGE. */
static int pack(const struct content *c, struct hostent *ent, char *buf, size_t room)
{
	size_t align = -(uintptr_t)buf & (sizeof(void *) - 1);
	size_t pointers = c->aliases + 1 + c->addresses + 1, size = size_of(c->family);
	size_t names = 0, n = 0;
	char **at = (char **)(void *)(buf + align);
	char *byte;

	for (uint32_t i = 0; i <= c->aliases; i++)
		names += strlen(c->name + names) + 1;
	if (room < align + pointers * sizeof(*at) + c->addresses * size + names)
		return ERANGE;
	byte = (char *)(at + pointers);
	ent->h_addrtype = c->family;
	ent->h_length = (int)size;
	ent->h_addr_list = at;
	for (uint32_t i = 0; i < c->addresses; i++, byte += size) {
		memcpy(byte, c->address[i].addr, size);
		*at++ = byte;
	}
	*at++ = NULL;
	memcpy(byte, c->name, names);
	ent->h_name = byte;
	ent->h_aliases = at;
	for (uint32_t i = 0; i < c->aliases; i++) {
		n += strlen(byte + n) + 1;
		*at++ = byte + n;
	}
	*at = NULL;
	return 0;
}

/* An address in numbers: 0 and it, or an h_errno; -1: it is a name. */
static int numeric(const char *name, int family, struct abi_host_address *a)
{
	struct in_addr v4;
	const char *p = name;

	a->family = (uint32_t)family;
	if (strchr(name, ':'))
		return inet_pton(AF_INET6, name, a->addr) != 1 ? -1
		       : family == AF_INET6		       ? 0
							       : HOST_NOT_FOUND;
	while ((*p >= '0' && *p <= '9') || *p == '.')
		p++;
	if (p == name || *p || p[-1] == '.' || *name == '.')
		return -1;
	if (family == AF_INET6 || !inet_aton(name, &v4))
		return HOST_NOT_FOUND;
	memcpy(a->addr, &v4, sizeof(v4));
	return 0;
}

/* The error of glibc's reentrant functions: none where the answer is that there is no such host. */
static int failed(int h_err, struct hostent **result, int *h_errnop)
{
	*result = NULL;
	*h_errnop = h_err;
	if (h_err == HOST_NOT_FOUND || h_err == NO_DATA) {
		errno = ENOENT;
		return 0;
	}
	if (h_err == TRY_AGAIN)
		return errno = EAGAIN;
	return h_err == NETDB_INTERNAL && errno ? errno : (errno = EINVAL);
}

static int packed(const struct content *c, struct hostent *ent, char *buf, size_t room,
		  struct hostent **result, int *h_errnop)
{
	if (pack(c, ent, buf, room) != 0) {
		*result = NULL;
		*h_errnop = NETDB_INTERNAL;
		return errno = ERANGE;
	}
	*h_errnop = 0;
	*result = ent;
	return 0;
}

static int by_name(const char *name, int family, struct hostent *ent, char *buf, size_t room,
		   struct hostent **result, int *h_errnop)
{
	struct abi_host_address own;
	struct content c = {.name = name, .family = family, .addresses = 1, .address = &own};
	struct host h;
	int e;

	if (family != AF_INET && family != AF_INET6) {
		errno = EAFNOSUPPORT;
		return failed(NETDB_INTERNAL, result, h_errnop);
	}
	e = numeric(name, family, &own);
	if (e == 0)
		return packed(&c, ent, buf, room, result, h_errnop);
	if (e < 0)
		e = host_by_name(&h, name, family, false);
	if (e != 0)
		return failed(e, result, h_errnop);
	c = (struct content){h.name, h.names - 1, family, h.addresses, h.address};
	e = packed(&c, ent, buf, room, result, h_errnop);
	host_free(&h);
	return e;
}

static int by_address(const void *addr, socklen_t len, int family, struct hostent *ent, char *buf,
		      size_t room, struct hostent **result, int *h_errnop)
{
	struct abi_host_address own = {.family = (uint32_t)family};
	struct content c;
	struct host h;
	int e;

	if ((family != AF_INET && family != AF_INET6) || len != size_of(family)) {
		errno = family == AF_INET || family == AF_INET6 ? EINVAL : EAFNOSUPPORT;
		return failed(NETDB_INTERNAL, result, h_errnop);
	}
	memcpy(own.addr, addr, len);
	if (family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)own.addr))
		return failed(HOST_NOT_FOUND, result, h_errnop);
	e = host_by_address(&h, addr, family);
	if (e != 0)
		return failed(e, result, h_errnop);
	c = (struct content){h.name, h.names - 1, family, 1, &own};
	e = packed(&c, ent, buf, room, result, h_errnop);
	host_free(&h);
	return e;
}

/* ---- reentrant ---- */

EXPORT int gethostbyname2_r(const char *restrict name, int family, struct hostent *restrict ent,
			    char *restrict buf, size_t room, struct hostent **restrict result,
			    int *restrict h_errnop)
{
	if (!names_ours())
		return libc.gethostbyname2_r(name, family, ent, buf, room, result, h_errnop);
	return by_name(name, family, ent, buf, room, result, h_errnop);
}

EXPORT int gethostbyname_r(const char *restrict name, struct hostent *restrict ent,
			   char *restrict buf, size_t room, struct hostent **restrict result,
			   int *restrict h_errnop)
{
	if (!names_ours())
		return libc.gethostbyname_r(name, ent, buf, room, result, h_errnop);
	return by_name(name, AF_INET, ent, buf, room, result, h_errnop);
}

EXPORT int gethostbyaddr_r(const void *restrict addr, socklen_t len, int family,
			   struct hostent *restrict ent, char *restrict buf, size_t room,
			   struct hostent **restrict result, int *restrict h_errnop)
{
	if (!names_ours())
		return libc.gethostbyaddr_r(addr, len, family, ent, buf, room, result, h_errnop);
	return by_address(addr, len, family, ent, buf, room, result, h_errnop);
}

/* ---- with a buffer of libc's: each call overwrites what the last one of its name gave ---- */

struct kept {
	pthread_mutex_t lock;
	struct hostent ent;
	char *buf;
	size_t room;
};

/* Calls `call`, which names ent, buf, room and result, with a larger buffer as long as it wants
 * one. */
#define WITH_KEPT(call)                                                                            \
	{                                                                                          \
		static struct kept kept = {.lock = PTHREAD_MUTEX_INITIALIZER};                     \
		struct hostent *ent = &kept.ent, *result = NULL;                                   \
		int e = ERANGE;                                                                    \
                                                                                                   \
		pthread_mutex_lock(&kept.lock);                                                    \
		while (e == ERANGE) {                                                              \
			char *buf = kept.buf;                                                      \
			size_t room = kept.room;                                                   \
                                                                                                   \
			e = (call);                                                                \
			if (e != ERANGE || h_errno != NETDB_INTERNAL)                              \
				break;                                                             \
			buf = realloc(kept.buf, room ? 2 * room : 1024);                           \
			if (!buf)                                                                  \
				break;                                                             \
			kept.buf = buf;                                                            \
			kept.room = room ? 2 * room : 1024;                                        \
		}                                                                                  \
		pthread_mutex_unlock(&kept.lock);                                                  \
		return result;                                                                     \
	}

static struct hostent *name_kept(const char *name)
    WITH_KEPT(by_name(name, AF_INET, ent, buf, room, &result, &h_errno))

	static struct hostent *name2_kept(const char *name, int family)
	    WITH_KEPT(by_name(name, family, ent, buf, room, &result, &h_errno))

		static struct hostent *address_kept(const void *addr, socklen_t len, int family)
		    WITH_KEPT(by_address(addr, len, family, ent, buf, room, &result, &h_errno))

			EXPORT struct hostent *gethostbyname(const char *name)
{
	return names_ours() ? name_kept(name) : libc.gethostbyname(name);
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
	return names_ours() ? name2_kept(name, family) : libc.gethostbyname2(name, family);
}

EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len, int family)
{
	return names_ours() ? address_kept(addr, len, family)
			    : libc.gethostbyaddr(addr, len, family);
}
