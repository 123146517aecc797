/* Names and addresses, asked of the server. glibc's own resolver would ask the host's network,
 * through sockets that no preload sees. */
#include "ioth.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

bool names_ours(void)
{
	ioth_attached();
	return ioth.wanted;
}

/* The server's word is checked: other processes of the stack can write where it stands. */
static bool unpack(struct host *h)
{
	const struct abi_host *head = (const struct abi_host *)h->answer;
	size_t at = sizeof(*head);
	uint32_t names = 0;

	if (h->length < at)
		return false;
	h->addresses = head->addresses;
	h->names = head->names;
	if (h->addresses > (h->length - at) / sizeof(*h->address))
		return false;
	h->address = (const struct abi_host_address *)(h->answer + at);
	at += h->addresses * sizeof(*h->address);
	h->name = (const char *)h->answer + at;
	for (; at < h->length; at++)
		names += h->answer[at] == 0;
	return h->names > 0 && names == h->names && h->answer[h->length - 1] == 0;
}

static int failed(int e)
{
	if (e == -ENETDOWN)
		return TRY_AGAIN;
	errno = -e;
	return NETDB_INTERNAL;
}

static int ask(struct host *h, struct request *r)
{
	ssize_t length = ctl_long(r, &h->answer);

	if (length < 0)
		return failed((int)length);
	h->length = (size_t)length;
	if (r->arg[1] == 0 && unpack(h))
		return 0;
	host_free(h);
	return r->arg[1] > 0 ? r->arg[1] : NO_RECOVERY;
}

int host_by_name(struct host *h, const char *name, int family, bool sorted)
{
	struct request r = {.op = OP_LOOKUP, .arg = {family, sorted}, .in = name};
	size_t n = strnlen(name, NS_MAXDNAME);

	if (n == 0 || n == NS_MAXDNAME || n > sizeof(((struct call *)0)->data))
		return HOST_NOT_FOUND;
	r.in_len = (uint32_t)n;
	return ask(h, &r);
}

int host_by_address(struct host *h, const void *addr, int family)
{
	struct request r = {.op = OP_REVERSE,
			    .arg = {family},
			    .in = addr,
			    .in_len = family == AF_INET ? sizeof(struct in_addr)
							: sizeof(struct in6_addr)};

	return ask(h, &r);
}

void host_free(struct host *h)
{
	munmap(h->answer, h->length + 1);
}

/** Link-local: the address alone does not tell the interface. */
bool scope_counts(const uint8_t addr[16])
{
	const struct in6_addr *a = (const struct in6_addr *)addr;

	return IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_MC_LINKLOCAL(a);
}

/** What stands behind a '%': an interface's name where the scope is a link, or a number. */
bool scope_parse(const uint8_t addr[16], const char *text, uint32_t *scope)
{
	unsigned long long n;
	char *end;

	if (scope_counts(addr)) {
		*scope = if_nametoindex(text);
		if (*scope)
			return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	n = strtoull(text, &end, 10);
	*scope = (uint32_t)n;
	return *end == '\0' && n <= UINT32_MAX;
}
