/* fcntl: the file behind a virtual socket is real, so its flags, owner and signal are the kernel's.
 * Only the new numbers are ours to know. */
#include "ioth.h"

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;
	int r;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	r = libc.fcntl(fd, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return dup_made(fd, r);
	return r;
}
#if __SIZEOF_LONG__ == 8 /* off_t is 64 bits wide: the kernel has one fcntl */
ALIAS(fcntl64, fcntl);
#else
#error "fcntl64 differs from fcntl here"
#endif
ALIAS(__fcntl, fcntl);
