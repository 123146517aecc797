/* res_query and its family (resolver(3)): the server asks, what comes back is the DNS message. */
#include "ioth.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

#define TC 0x02 /* in the third byte of a message */

/* How long the answer is, what fits of it in `answer`; or -1 and an h_errno. */
static int ask(struct request *r, unsigned char *answer, int room, int *h_err)
{
	uint8_t *message;
	ssize_t length = ctl_long(r, &message);

	if (length < 0) {
		*h_err = length == -ENETDOWN ? TRY_AGAIN : NETDB_INTERNAL;
		errno = (int)-length;
		return -1;
	}
	*h_err = r->arg[1];
	if (room > 0 && length > 0)
		memcpy(answer, message, (size_t)(length < room ? length : room));
	if (room > 2 && length > room)
		answer[2] |= TC;
	munmap(message, (size_t)length + 1);
	if (*h_err == TRY_AGAIN && length == 0)
		errno = ETIMEDOUT;
	return *h_err == 0 ? (int)length : -1;
}

static int query(const char *name, int class, int type, bool search, unsigned char *answer,
		 int room, int *h_err)
{
	size_t n = strnlen(name, NS_MAXDNAME);
	struct request r = {
	    .op = OP_QUERY, .arg = {class, type, search}, .in = name, .in_len = (uint32_t)n};

	if (n == NS_MAXDNAME || n > sizeof(((struct call *)0)->data)) {
		*h_err = NO_RECOVERY;
		return -1;
	}
	return ask(&r, answer, room, h_err);
}

static int query_domain(const char *name, const char *domain, int class, int type,
			unsigned char *answer, int room, int *h_err)
{
	char whole[2 * NS_MAXDNAME + 2];
	size_t n = strnlen(name, NS_MAXDNAME);
	size_t d = domain ? strnlen(domain, NS_MAXDNAME) : 0;

	if (n + d + 1 >= NS_MAXDNAME) {
		*h_err = NO_RECOVERY;
		return -1;
	}
	memcpy(whole, name, n);
	if (domain) {
		whole[n] = '.';
		memcpy(whole + n + 1, domain, d);
		whole[n + 1 + d] = '\0';
	} else
		whole[n > 0 && name[n - 1] == '.' ? n - 1 : n] = '\0';
	return query(whole, class, type, false, answer, room, h_err);
}

static int send_query(const unsigned char *message, int length, unsigned char *answer, int room)
{
	struct request r = {.op = OP_SEND, .in = message, .in_len = (uint32_t)length};
	int h_err;

	if (length < (int)sizeof(HEADER) || (size_t)length > sizeof(((struct call *)0)->data)) {
		errno = length < (int)sizeof(HEADER) ? EINVAL : EMSGSIZE;
		return -1;
	}
	return ask(&r, answer, room, &h_err);
}

static int told(res_state state, int r, int h_err)
{
	if (state)
		state->res_h_errno = h_err;
	h_errno = h_err;
	return r;
}

/* ---- as libc names them: plain ones for the thread's state, n for one of the program's own ----
 */

#define TWIN(name) ALIAS(__##name, name)

EXPORT int res_query(const char *name, int class, int type, unsigned char *answer, int room)
{
	int h_err, r;

	if (!names_ours())
		return libc.res_query(name, class, type, answer, room);
	r = query(name, class, type, false, answer, room, &h_err);
	return told(NULL, r, h_err);
}
TWIN(res_query);

EXPORT int res_nquery(res_state state, const char *name, int class, int type, unsigned char *answer,
		      int room)
{
	int h_err, r;

	if (!names_ours())
		return libc.res_nquery(state, name, class, type, answer, room);
	r = query(name, class, type, false, answer, room, &h_err);
	return told(state, r, h_err);
}
TWIN(res_nquery);

EXPORT int res_search(const char *name, int class, int type, unsigned char *answer, int room)
{
	int h_err, r;

	if (!names_ours())
		return libc.res_search(name, class, type, answer, room);
	r = query(name, class, type, true, answer, room, &h_err);
	return told(NULL, r, h_err);
}
TWIN(res_search);

EXPORT int res_nsearch(res_state state, const char *name, int class, int type,
		       unsigned char *answer, int room)
{
	int h_err, r;

	if (!names_ours())
		return libc.res_nsearch(state, name, class, type, answer, room);
	r = query(name, class, type, true, answer, room, &h_err);
	return told(state, r, h_err);
}
TWIN(res_nsearch);

EXPORT int res_querydomain(const char *name, const char *domain, int class, int type,
			   unsigned char *answer, int room)
{
	int h_err, r;

	if (!names_ours())
		return libc.res_querydomain(name, domain, class, type, answer, room);
	r = query_domain(name, domain, class, type, answer, room, &h_err);
	return told(NULL, r, h_err);
}
TWIN(res_querydomain);

EXPORT int res_nquerydomain(res_state state, const char *name, const char *domain, int class,
			    int type, unsigned char *answer, int room)
{
	int h_err, r;

	if (!names_ours())
		return libc.res_nquerydomain(state, name, domain, class, type, answer, room);
	r = query_domain(name, domain, class, type, answer, room, &h_err);
	return told(state, r, h_err);
}
TWIN(res_nquerydomain);

EXPORT int res_send(const unsigned char *message, int length, unsigned char *answer, int room)
{
	if (!names_ours())
		return libc.res_send(message, length, answer, room);
	return send_query(message, length, answer, room);
}
TWIN(res_send);

EXPORT int res_nsend(res_state state, const unsigned char *message, int length,
		     unsigned char *answer, int room)
{
	if (!names_ours())
		return libc.res_nsend(state, message, length, answer, room);
	return send_query(message, length, answer, room);
}
TWIN(res_nsend);
