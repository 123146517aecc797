/* dlsym(). A program that opens libc by its name and asks it for read() (Python's ctypes, FFIs of
 * other languages) is not to get past us: what would be libc's own function of a name that we have
 * is ours. RTLD_NEXT and RTLD_DEFAULT say by the caller's address where to look, so for them libc's
 * dlsym() has to be jumped to, not called; they find us as it is. */
#include "ioth.h"

#include <dlfcn.h>

/* Before it moved from libdl to libc. */
#if defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#else
#define OLDEST "GLIBC_2.2.5"
#endif

typedef void *lookup(void *restrict handle, const char *restrict name);

static lookup *real;

/* Where the object begins that `p` is in. */
static void *base_of(const void *p)
{
	Dl_info info;

	return p && dladdr(p, &info) ? info.dli_fbase : NULL;
}

__attribute__((noinline)) static lookup *find_real(void)
{
	void *found = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");

	if (!found)
		found = dlvsym(RTLD_NEXT, "dlsym", OLDEST);
	real = (lookup *)found;
	return real;
}

/* Ours by this name, in place of libc's. */
static void *ours_for(void *found, const char *name)
{
	static void *self, *libc_base, *own_base;
	Dl_info info;
	void *mine;

	if (!self) {
		libc_base = base_of((void *)libc.read);
		own_base = base_of((void *)&real);
		if (!dladdr((void *)&real, &info))
			return found;
		self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	}
	if (!self || base_of(found) != libc_base)
		return found;
	mine = real(self, name);
	return mine && base_of(mine) == own_base ? mine : found;
}

__attribute__((noinline)) static void *look_up(void *handle, const char *name)
{
	int saved = errno;
	void *found = real(handle, name);

	/* Not when it failed: dlerror() has to tell that. */
	if (found)
		found = ours_for(found, name);
	errno = saved;
	return found;
}

EXPORT void *dlsym(void *restrict handle, const char *restrict name)
{
	if (!real && !find_real())
		return NULL;
	return handle == RTLD_NEXT || handle == RTLD_DEFAULT ? real(handle, name)
							     : look_up(handle, name);
}
