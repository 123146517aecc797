/* getaddrinfo, getnameinfo and gethostby* for all that needs no name server: what they answer, in
 * which order, and how they fail. */
#include "net.h"

#include <netdb.h>
#include <semaphore.h>

static char text[8192];

static void say(const char *format, ...)
{
	size_t n = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - n, format, args);
	va_end(args);
}

/* A list in words. */
static const char *list(int e, struct addrinfo *a)
{
	char host[NI_MAXHOST], service[NI_MAXSERV];

	text[0] = 0;
	if (e) {
		say("%s", gai_strerror(e));
		return text;
	}
	for (struct addrinfo *i = a; i; i = i->ai_next) {
		getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof(host), service, sizeof(service),
			    NI_NUMERICHOST | NI_NUMERICSERV);
		say("%s %s %d %d %d %x", host, service, i->ai_family, i->ai_socktype,
		    i->ai_protocol, i->ai_flags);
		if (i->ai_canonname)
			say(" %s", i->ai_canonname);
		say(i->ai_next ? ", " : "");
	}
	freeaddrinfo(a);
	return text;
}

struct row {
	const char *title, *name, *service;
	int flags, family, type, protocol;
	const char *want;
};

#define N  AI_NUMERICHOST
#define S  SOCK_STREAM
#define V4 AF_INET
#define V6 AF_INET6
#define U  IPPROTO_UDP
#define T  IPPROTO_TCP

static const struct row rows[] = {
    {"getaddrinfo: a number, all kinds", "10.1.2.3", "80", 0, 0, 0, 0,
     "10.1.2.3 80 2 1 6 0, 10.1.2.3 80 2 2 17 0, 10.1.2.3 80 2 3 0 0"},
    {"getaddrinfo: IPv6, a service by name", "fd00::5", "http", 0, 0, S, 0, "fd00::5 80 10 1 6 0"},
    {"getaddrinfo: a number of fewer parts", "10.258", NULL, 0, V4, S, 0, "10.0.1.2 0 2 1 6 0"},
    {"getaddrinfo: hexadecimal", "0x7f000001", NULL, 0, V4, S, 0, "127.0.0.1 0 2 1 6 0"},
    {"getaddrinfo: AI_CANONNAME of a number", "10.1.2.3", NULL, AI_CANONNAME, V4, S, 0,
     "10.1.2.3 0 2 1 6 2 10.1.2.3"},
    {"getaddrinfo: AI_V4MAPPED", "10.1.2.3", NULL, AI_V4MAPPED, V6, S, 0,
     "::ffff:10.1.2.3 0 10 1 6 8"},
    {"getaddrinfo: IPv4 for AF_INET6", "10.1.2.3", NULL, 0, V6, S, 0,
     "Address family for hostname not supported"},
    {"getaddrinfo: IPv6 for AF_INET", "::1", NULL, 0, V4, S, 0,
     "Address family for hostname not supported"},
    {"getaddrinfo: no name, AI_PASSIVE", NULL, "80", AI_PASSIVE, 0, S, 0,
     "0.0.0.0 80 2 1 6 1, :: 80 10 1 6 1"},
    {"getaddrinfo: no name", NULL, "80", 0, 0, S, 0, "::1 80 10 1 6 0, 127.0.0.1 80 2 1 6 0"},
    {"getaddrinfo: no name, AF_INET", NULL, "80", 0, V4, S, 0, "127.0.0.1 80 2 1 6 0"},
    {"getaddrinfo: no name, AF_INET6, AI_PASSIVE", NULL, "80", AI_PASSIVE, V6, S, 0,
     ":: 80 10 1 6 1"},
    {"getaddrinfo: a star is no name", "*", "80", 0, V4, S, 0, "127.0.0.1 80 2 1 6 0"},
    {"getaddrinfo: nothing at all", NULL, NULL, 0, 0, 0, 0, "Name or service not known"},
    {"getaddrinfo: two stars", "*", "*", 0, 0, 0, 0, "Name or service not known"},
    {"getaddrinfo: a name with AI_NUMERICHOST", "localhost", "80", N, 0, S, 0,
     "Name or service not known"},
    {"getaddrinfo: a service by name with AI_NUMERICSERV", "10.1.2.3", "http", AI_NUMERICSERV, 0, S,
     0, "Name or service not known"},
    {"getaddrinfo: an unknown service", "10.1.2.3", "nosuchservice", 0, 0, S, 0,
     "Servname not supported for ai_socktype"},
    {"getaddrinfo: an unknown service, any type", "localhost", "nosuchservice", 0, 0, 0, 0,
     "Servname not supported for ai_socktype"},
    {"getaddrinfo: a service of another protocol", "10.1.2.3", "tftp", 0, 0, S, 0,
     "Servname not supported for ai_socktype"},
    {"getaddrinfo: a service of both", "10.1.2.3", "domain", 0, V4, 0, 0,
     "10.1.2.3 53 2 1 6 0, 10.1.2.3 53 2 2 17 0"},
    {"getaddrinfo: a service for SOCK_RAW", "10.1.2.3", "80", 0, V4, SOCK_RAW, 0,
     "Servname not supported for ai_socktype"},
    {"getaddrinfo: SOCK_RAW", "10.1.2.3", NULL, 0, V4, SOCK_RAW, IPPROTO_ICMP,
     "10.1.2.3 0 2 3 1 0"},
    {"getaddrinfo: SOCK_STREAM and IPPROTO_UDP", "10.1.2.3", "80", 0, V4, S, U,
     "ai_socktype not supported"},
    {"getaddrinfo: IPPROTO_UDP alone", "10.1.2.3", "80", 0, V4, 0, U, "10.1.2.3 80 2 2 17 0"},
    {"getaddrinfo: an unknown protocol", "10.1.2.3", "80", 0, V4, 0, 255,
     "Servname not supported for ai_socktype"},
    {"getaddrinfo: an unknown type", "10.1.2.3", "80", 0, V4, 77, 0, "ai_socktype not supported"},
    {"getaddrinfo: an unknown family", "10.1.2.3", "80", 0, AF_UNIX, S, 0,
     "ai_family not supported"},
    {"getaddrinfo: an unknown flag", "10.1.2.3", "80", 0x4000000, V4, S, 0,
     "Bad value for ai_flags"},
    {"getaddrinfo: AI_CANONNAME without a name", NULL, "80", AI_CANONNAME, V4, S, 0,
     "Bad value for ai_flags"},
    {"getaddrinfo: an empty name", "", "80", 0, V4, S, 0, "Name or service not known"},
    {"getaddrinfo: an empty service", "10.1.2.3", "", 0, V4, S, 0, "10.1.2.3 0 2 1 6 0"},
    {"getaddrinfo: a large port", "10.1.2.3", "65616", 0, V4, S, T, "10.1.2.3 80 2 1 6 0"},
    {"getaddrinfo: a number with a scope", "fe80::1%7", NULL, 0, 0, S, 0, "fe80::1%7 0 10 1 6 0"},
    {"getaddrinfo: the loopback interface as scope", "fe80::1%lo", NULL, 0, 0, S, 0,
     "fe80::1%lo 0 10 1 6 0"},
    {"getaddrinfo: a scope of no interface", "fe80::1%nosuch", NULL, N, 0, S, 0,
     "Name or service not known"},
    {"getaddrinfo: a name as scope of a global address", "fd00::1%lo", NULL, N, 0, S, 0,
     "Name or service not known"},
    {"getaddrinfo: a scope for AF_INET", "fe80::1%7", NULL, 0, V4, S, 0,
     "Address family for hostname not supported"},
    {"getaddrinfo: localhost", "localhost", "80", 0, V4, S, 0, "127.0.0.1 80 2 1 6 0"},
    {"getaddrinfo: localhost, AI_CANONNAME", "localhost", "80", AI_CANONNAME, V4, S, 0,
     "127.0.0.1 80 2 1 6 2 localhost"},
    {"getaddrinfo: localhost in capitals", "LocalHost", "80", 0, V4, S, 0, "127.0.0.1 80 2 1 6 0"},
    {"getaddrinfo: two kinds of an address of the hosts file", "localhost", "53", 0, V4, 0, 0,
     "127.0.0.1 53 2 1 6 0, 127.0.0.1 53 2 2 17 0, 127.0.0.1 53 2 3 0 0"},
};

static char host[NI_MAXHOST], service[NI_MAXSERV];
static const struct sockaddr_in sin = {.sin_family = AF_INET,
				       .sin_port = __builtin_bswap16(80),
				       .sin_addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK)};
static const struct sockaddr *const sa = (const struct sockaddr *)&sin;
static const in_addr_t loopback = __builtin_bswap32(INADDR_LOOPBACK);
static struct hostent *h, e, *result;
static char buf[512];
static int err;

static void run_row(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = rows + i;
		struct addrinfo hints = {.ai_flags = r->flags,
					 .ai_family = r->family,
					 .ai_socktype = r->type,
					 .ai_protocol = r->protocol};
		struct addrinfo *a = NULL;
		int error;

		if (r->title != tap_title)
			continue;
		errno = 77;
		error = getaddrinfo(r->name, r->service, &hints, &a);
		list(error, a);
		if (strcmp(text, r->want) != 0)
			FAIL_AT("# got %s, not %s", text, r->want);
	}
}

__attribute__((constructor)) static void register_rows(void)
{
	static struct tap_case cases[sizeof(rows) / sizeof(*rows)];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		cases[i] = (struct tap_case){rows[i].title, run_row, NULL};
		*tap_last = &cases[i];
		tap_last = &cases[i].next;
	}
}

CASE("getnameinfo of the loopback's http")
{
	check(getnameinfo(sa, sizeof(sin), host, sizeof(host), service, sizeof(service), 0) == 0 &&
	      strcmp(host, "localhost") == 0 && strcmp(service, "http") == 0);
}

CASE("getnameinfo in numbers")
{
	check(getnameinfo(sa, sizeof(sin), host, sizeof(host), NULL, 0, NI_NUMERICHOST) == 0 &&
	      strcmp(host, "127.0.0.1") == 0);
}

CASE("getnameinfo without room")
{
	check(getnameinfo(sa, sizeof(sin), host, 4, NULL, 0, 0) == EAI_OVERFLOW);
}

CASE("getnameinfo of half an address")
{
	check(getnameinfo(sa, 4, host, sizeof(host), NULL, 0, 0) == EAI_FAMILY);
}

CASE("getnameinfo of nothing")
{
	check(getnameinfo(sa, sizeof(sin), NULL, 0, NULL, 0, NI_NAMEREQD) == EAI_NONAME);
}

CASE("getnameinfo with an unknown flag")
{
	check(getnameinfo(sa, sizeof(sin), host, sizeof(host), NULL, 0, 0x4000) == EAI_BADFLAGS);
}

CASE("getnameinfo of an unknown family")
{
	struct sockaddr_in other = {.sin_family = 77};

	check(getnameinfo((struct sockaddr *)&other, sizeof(other), host, sizeof(host), NULL, 0,
			  0) == EAI_FAMILY);
}

CASE("gethostbyname of localhost")
{
	h = gethostbyname("localhost");
	check(h && strcmp(h->h_name, "localhost") == 0 && h->h_addrtype == AF_INET &&
	      h->h_length == 4 && memcmp(h->h_addr_list[0], &loopback, 4) == 0);
}

CASE("gethostbyname of a number")
{
	h = gethostbyname("10.1.2.3");
	check(h && strcmp(h->h_name, "10.1.2.3") == 0 && !h->h_aliases[0] && !h->h_addr_list[1]);
}

CASE("gethostbyname of a number too large")
{
	check(!gethostbyname("10.1.2.300") && h_errno == HOST_NOT_FOUND);
}

CASE("gethostbyname2 of an IPv6 address")
{
	h = gethostbyname2("fd00::5", AF_INET6);
	check(h && h->h_length == 16 && h->h_addrtype == AF_INET6);
}

CASE("gethostbyname of an IPv6 address")
{
	check(!gethostbyname("fd00::5") && h_errno == HOST_NOT_FOUND);
}

CASE("gethostbyaddr of loopback")
{
	h = gethostbyaddr(&loopback, 4, AF_INET);
	check(h && strcmp(h->h_name, "localhost") == 0 &&
	      memcmp(h->h_addr_list[0], &loopback, 4) == 0);
}

CASE("gethostbyaddr of the unspecified address")
{
	check(!gethostbyaddr(&in6addr_any, 16, AF_INET6) && h_errno == HOST_NOT_FOUND);
}

CASE("gethostbyname_r without room")
{
	check(gethostbyname_r("localhost", &e, buf, 8, &result, &err) == ERANGE && !result &&
	      err == NETDB_INTERNAL);
}

CASE("gethostbyname_r with room")
{
	check(gethostbyname_r("localhost", &e, buf, sizeof(buf), &result, &err) == 0 &&
	      result == &e);
}

CASE("gethostbyaddr_r")
{
	check(gethostbyaddr_r(&loopback, 4, AF_INET, &e, buf, sizeof(buf), &result, &err) == 0 &&
	      result == &e && strcmp(e.h_name, "localhost") == 0);
}

static struct gaicb requests[3];
static struct gaicb *asked[] = {&requests[0], NULL, &requests[1], &requests[2]};
static sem_t told;

static void ask_three(void)
{
	static const char *const names[] = {"localhost", "10.1.2.3", "fd00::5"};
	static const struct addrinfo any;

	for (int i = 0; i < 3; i++)
		requests[i] =
		    (struct gaicb){.ar_name = names[i], .ar_service = "80", .ar_request = &any};
}

static void expect_three(void)
{
	for (int i = 0; i < 3; i++) {
		equal(gai_error(&requests[i]), 0);
		check(requests[i].ar_result);
		freeaddrinfo(requests[i].ar_result);
	}
}

CASE("getaddrinfo_a with GAI_WAIT")
{
	ask_three();
	equal(getaddrinfo_a(GAI_WAIT, asked, 4, NULL), 0);
	expect_three();
	equal(gai_cancel(&requests[0]), EAI_ALLDONE);
}

CASE("getaddrinfo_a with GAI_NOWAIT, and gai_suspend")
{
	const struct gaicb *one[1];

	ask_three();
	equal(getaddrinfo_a(GAI_NOWAIT, asked, 4, NULL), 0);
	for (int i = 0; i < 3; i++) {
		one[0] = &requests[i];
		while (gai_error(&requests[i]) == EAI_INPROGRESS) {
			int e = gai_suspend(one, 1, NULL);

			check(e == 0 || e == EAI_ALLDONE);
		}
	}
	expect_three();
}

static void tell(union sigval value)
{
	if (value.sival_int == 77)
		sem_post(&told);
}

CASE("getaddrinfo_a with GAI_NOWAIT calls a function when all is done")
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD,
				 .sigev_notify_function = tell,
				 .sigev_value.sival_int = 77};

	sem_init(&told, 0, 0);
	ask_three();
	equal(getaddrinfo_a(GAI_NOWAIT, asked, 4, &event), 0);
	must(sem_wait(&told));
	expect_three();
}

CASE("getaddrinfo_a in an unknown mode")
{
	equal(getaddrinfo_a(77, asked, 4, NULL), EAI_SYSTEM);
	equal(errno, EINVAL);
}

CASE("gai_suspend on nothing")
{
	equal(gai_suspend(NULL, 0, NULL), EAI_ALLDONE);
}
