/* gethostname and uname say the stack's name, where it was given one (ioth-run --name). */
#include "ioth.h"

#include <limits.h>
#include <sys/utsname.h>

/* Its length; 0: the host's name is meant. The server wrote it before anybody attached. */
static size_t nodename(char name[HOST_NAME_MAX + 1])
{
	size_t n;

	if (!ioth_attached())
		return 0;
	n = strnlen((const char *)ioth.region->nodename, HOST_NAME_MAX);
	memcpy(name, ioth.region->nodename, n);
	name[n] = '\0';
	return n;
}

EXPORT int gethostname(char *buf, size_t room)
{
	char name[HOST_NAME_MAX + 1];
	size_t n = nodename(name) + 1;

	if (n == 1)
		return libc.gethostname(buf, room);
	/* As glibc: what fits, without a zero then. */
	memcpy(buf, name, room < n ? room : n);
	return room < n ? ret(-ENAMETOOLONG) : 0;
}

EXPORT int __gethostname_chk(char *buf, size_t room, size_t size)
{
	if (size < room)
		return libc.__gethostname_chk(buf, room, size); /* which ends the program */
	return gethostname(buf, room);
}

EXPORT int uname(struct utsname *names)
{
	char name[HOST_NAME_MAX + 1];
	int r = libc.uname(names);

	if (r == 0 && nodename(name) > 0)
		memcpy(names->nodename, name, sizeof(name));
	return r;
}
