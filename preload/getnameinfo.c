/* getnameinfo(3): services and numbers are glibc's, names the server's. */
#include "ioth.h"

#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

/* Behind a link-local address the interface's name as the stack has it; glibc asks the kernel. */
static void numeric_scope(const struct sockaddr *sa, char host[NI_MAXHOST])
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
	char name[IF_NAMESIZE];
	char *percent = strchr(host, '%');

	if (!percent || sa->sa_family != AF_INET6 || !scope_counts(sin6->sin6_addr.s6_addr))
		return;
	if (if_indextoname(sin6->sin6_scope_id, name))
		snprintf(percent + 1, IF_NAMESIZE, "%s", name);
	else
		snprintf(percent + 1, IF_NAMESIZE, "%u", sin6->sin6_scope_id);
}

/* NI_NOFQDN: without the domain that is the node's own. */
static size_t short_name(const char *name)
{
	char own[HOST_NAME_MAX + 1];
	size_t n = strlen(name), d;
	const char *domain;

	if (gethostname(own, sizeof(own)) < 0)
		return n;
	domain = strchr(own, '.');
	d = domain ? strlen(domain) : 0;
	return d > 1 && n > d && strcasecmp(name + n - d, domain) == 0 ? n - d : n;
}

static int give(char *host, socklen_t room, const char *name, size_t n)
{
	if (n + 1 > room)
		return EAI_OVERFLOW;
	memcpy(host, name, n);
	host[n] = '\0';
	return 0;
}

static int by_name(const struct sockaddr *sa, char *host, socklen_t room, int flags)
{
	const void *addr = sa->sa_family == AF_INET
			       ? (const void *)&((const struct sockaddr_in *)sa)->sin_addr
			       : (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr;
	struct host h;
	int e;

	if (host_by_address(&h, addr, sa->sa_family) != 0)
		return EAI_NONAME;
	e = give(host, room, h.name, flags & NI_NOFQDN ? short_name(h.name) : strlen(h.name));
	host_free(&h);
	return e;
}

EXPORT int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
		       socklen_t host_len, char *restrict service, socklen_t service_len, int flags)
{
	char numeric[NI_MAXHOST];
	int saved = errno;
	int e;

	if (!names_ours() || !host || host_len == 0 || bad_pointer(sa) ||
	    (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return libc.getnameinfo(sa, len, host, host_len, service, service_len, flags);
	e = libc.getnameinfo(sa, len, numeric, sizeof(numeric), service, service_len,
			     (flags | NI_NUMERICHOST) & ~NI_NAMEREQD);
	if (e != 0)
		return e;
	if (!(flags & NI_NUMERICHOST)) {
		e = by_name(sa, host, host_len, flags);
		if (e != EAI_NONAME || flags & NI_NAMEREQD) {
			errno = saved;
			return e;
		}
	}
	numeric_scope(sa, numeric);
	errno = saved;
	return give(host, host_len, numeric, strlen(numeric));
}
