/* ioctl on a virtual socket: what asks about bytes in flight, and about interfaces, which are not
 * the host's. Flags and ownership (FIONBIO, FIOCLEX, FIOASYNC, SIOCSPGRP...) belong to the real
 * file. */
#include "ioth.h"

#include <linux/sockios.h>

static bool listening(const struct sock *s)
{
	return __atomic_load_n(&s->rec->state, __ATOMIC_ACQUIRE) == RECORD_LISTENING;
}

static int give(int value, int *arg)
{
	if (unwritable(arg, sizeof(*arg)))
		return -EFAULT;
	*arg = value;
	return 0;
}

/* Native: the kernel holds the text. In ring mode it holds tokens. */
static int bytes_to_read(int fd, const struct sock *s, int *arg)
{
	if (listening(s))
		return -EINVAL;
	if (sock_is_message(s)) {
		int n = message_waiting(fd, s);

		return n < 0 ? n : give(n, arg);
	}
	if (sock_is_native(s))
		return pass_ioctl(fd, FIONREAD, arg) < 0 ? -errno : 0;
	return give((int)ring_until_mark(s), arg);
}

/* SIOCOUTQ: not acknowledged; SIOCOUTQNSD: not even sent. */
static int bytes_to_send(const struct sock *s, bool unsent, int *arg)
{
	struct request r = {.op = OP_OUTQ, .record = s->index, .generation = s->generation};
	int queued;

	if (listening(s))
		return -EINVAL;
	queued = ctl_call(&r);
	if (queued < 0)
		return queued;
	return give(unsent ? r.arg[0] : queued, arg);
}

/* Interfaces, routes, ARP, bridges, private device calls, wireless: none of the host's. Changes are
 * refused. */
static int interfaces(int family, uint32_t request, void *arg)
{
	switch (request) {
	case SIOCADDRT:
	case SIOCDELRT:
	case SIOCSIFLINK:
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMEM:
	case SIOCSIFMTU:
	case SIOCSIFNAME:
	case SIOCSIFHWADDR:
	case SIOCSIFENCAP:
	case SIOCSIFSLAVE:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCSIFPFLAGS:
	case SIOCDIFADDR:
	case SIOCSIFHWBROADCAST:
	case SIOCSIFBR:
	case SIOCSIFTXQLEN:
	case SIOCSIFMAP:
	case SIOCDARP:
	case SIOCSARP:
	case SIOCGSKNS: /* would open the host's network namespace */
		return -EPERM;
	case SIOCRTMSG:
		return -ENOTTY;
	case SIOCGARP:
		return -ENXIO;
	default:
		return interface_ioctl(family, request, arg);
	}
}

/* AF_UNIX sockets answer for interfaces, too: the host's would be told. */
static bool is_unix(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	return pass_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

#define SIOC_FIRST	    SIOCADDRT
#define SIOC_LAST	    0x89ffu /* SIOCDEVPRIVATE and its fifteen followers */
#define SIOC_WIRELESS_FIRST 0x8b00u
#define SIOC_WIRELESS_LAST  0x8bffu

/* For ioctls that are ours to answer: true, with the answer. */
static bool answered(int fd, uint32_t request, void *arg, int *answer)
{
	struct sock s;
	bool bytes = request == FIONREAD || request == SIOCOUTQ || request == SIOCOUTQNSD ||
		     request == SIOCATMARK;

	/* The common ones (terminals, FIONBIO) leave here, without looking at the fd. */
	if (!bytes && !(request >= SIOC_FIRST && request <= SIOC_LAST) &&
	    !(request >= SIOC_WIRELESS_FIRST && request <= SIOC_WIRELESS_LAST))
		return false;
	if (!fdtab_find(fd, &s)) {
		int saved = errno;
		bool ours = !bytes && ioth_attached() && is_unix(fd);

		errno = saved;
		if (ours)
			*answer = interfaces(AF_UNIX, request, arg);
		return ours;
	}
	switch (request) {
	case FIONREAD:
		*answer = bytes_to_read(fd, &s, arg);
		break;
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		*answer = bytes_to_send(&s, request == SIOCOUTQNSD, arg);
		break;
	case SIOCATMARK:
		if (sock_is_native(&s))
			return false;
		*answer = give(ring_at_mark(&s), arg);
		break;
	default:
		*answer = interfaces(s.rec->family, request, arg);
	}
	return true;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int answer;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	/* The kernel looks at 32 bits; callers that keep the number in an int extend its sign. */
	if (answered(fd, (uint32_t)request, arg, &answer))
		return ret(answer);
	return pass_ioctl(fd, request, arg);
}

EXPORT int sockatmark(int fd)
{
	int mark;

	return ioctl(fd, SIOCATMARK, &mark) < 0 ? -1 : mark;
}
