/* stdio reads and writes inside glibc: a socket that gets a FILE goes native. The number that
 * fclose() gives back is forgotten, and the one that fopen() takes is a file. */
#include "ioth.h"

EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct sock s;
	int r = fdtab_find(fd, &s) ? sock_go_native(fd, &s) : 0;

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return libc.fdopen(fd, mode);
}
ALIAS(_IO_fdopen, fdopen);

static FILE *opened(FILE *file)
{
	int saved = errno;

	if (file)
		fdtab_foreign(fileno(file));
	errno = saved; /* fileno() of a stream that has none */
	return file;
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
	return opened(libc.fopen(path, mode));
}

EXPORT FILE *fopen64(const char *restrict path, const char *restrict mode)
{
	return opened(libc.fopen64(path, mode));
}

/* ---- closing ---- */

/* What a stream stands on, while it is there to be asked. */
struct under {
	int fd; /* -1: nothing (fmemopen) */
	bool ours;
	struct sock s;
};

static struct under look_under(FILE *file)
{
	struct under u = {.fd = -1};
	int saved = errno;

	u.fd = fileno(file);
	errno = saved;
	u.ours = u.fd >= 0 && fdtab_find(u.fd, &u.s);
	return u;
}

static void closed(const struct under *u)
{
	if (u->fd < 0)
		return;
	fdtab_forget(u->fd);
	if (u->ours)
		sock_closed(&u->s);
}

EXPORT int fclose(FILE *file)
{
	struct under u = look_under(file);
	int r = libc.fclose(file);

	closed(&u);
	return r;
}
ALIAS(_IO_fclose, fclose);

EXPORT FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict file)
{
	struct under u = look_under(file);
	FILE *again = libc.freopen(path, mode, file);

	closed(&u);
	return opened(again);
}

EXPORT FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict file)
{
	struct under u = look_under(file);
	FILE *again = libc.freopen64(path, mode, file);

	closed(&u);
	return opened(again);
}

/* ---- writing to an fd ---- */

/* 0, or a negative errno. */
static int made_native(int fd)
{
	struct sock s;

	return fdtab_find(fd, &s) ? sock_go_native(fd, &s) : 0;
}

EXPORT int vdprintf(int fd, const char *restrict format, va_list args)
{
	int r = made_native(fd);

	return r < 0 ? ret(r) : libc.vdprintf(fd, format, args);
}

EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
	int r = made_native(fd);

	return r < 0 ? ret(r) : libc.__vdprintf_chk(fd, flag, format, args);
}

EXPORT int dprintf(int fd, const char *restrict format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = vdprintf(fd, format, args);
	va_end(args);
	return r;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = __vdprintf_chk(fd, flag, format, args);
	va_end(args);
	return r;
}
