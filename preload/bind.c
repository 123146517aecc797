/* bind(): the server's decision, the AF_UNIX socket keeps the name of its record. */
#include "ioth.h"

/** As the kernel takes an address: 0, -EINVAL or -EFAULT. */
int addr_check(const struct sockaddr *addr, socklen_t len)
{
	if (len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (unreadable(addr, len))
		return -EFAULT;
	return len < sizeof(sa_family_t) ? -EINVAL : 0;
}

static int sock_bind(const struct sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct request r = {.op = OP_BIND,
			    .record = s->index,
			    .generation = s->generation,
			    .in = addr,
			    .in_len = len};
	int e = addr_check(addr, len);

	return e < 0 ? e : ctl_call(&r);
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	struct sock s;

	if (!fdtab_find(fd, &s))
		return pass_bind(fd, addr.__sockaddr__, len);
	return ret(sock_bind(&s, addr.__sockaddr__, len));
}
