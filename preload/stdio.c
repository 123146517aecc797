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

/* A stream of a descriptor that is ours to give, or to close. */
static FILE *shown_stream(int fd, const char *mode)
{
	FILE *file;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	file = libc.fdopen(fd, mode);
	if (!file)
		raw(SYS_close, fd);
	return file;
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
	int shown = shown_fopen(path, mode);

	return opened(shown == NOT_SHOWN ? libc.fopen(path, mode) : shown_stream(shown, mode));
}

EXPORT FILE *fopen64(const char *restrict path, const char *restrict mode)
{
	int shown = shown_fopen(path, mode);

	return opened(shown == NOT_SHOWN ? libc.fopen64(path, mode) : shown_stream(shown, mode));
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

#define SHOWN_PATH 32
/* What freopen() is to open: it takes no descriptor. */
static const char *shown_path(int fd, const char *path, char *room)
{
	if (fd == NOT_SHOWN)
		return path;
	snprintf(room, SHOWN_PATH, "/proc/self/fd/%d", fd);
	return room;
}

EXPORT FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict file)
{
	struct under u = look_under(file);
	char shown[SHOWN_PATH];
	int fd = path ? shown_fopen(path, mode) : NOT_SHOWN;
	FILE *again = libc.freopen(shown_path(fd, path, shown), mode, file);

	closed(&u);
	if (fd >= 0)
		raw(SYS_close, fd);
	return opened(again);
}

EXPORT FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict file)
{
	struct under u = look_under(file);
	char shown[SHOWN_PATH];
	int fd = path ? shown_fopen(path, mode) : NOT_SHOWN;
	FILE *again = libc.freopen64(shown_path(fd, path, shown), mode, file);

	closed(&u);
	if (fd >= 0)
		raw(SYS_close, fd);
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
