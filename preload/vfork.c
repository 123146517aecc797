/* Are we in a vfork child? Such a child has descriptors of its own but its parent's memory: nothing
 * that we know about the process may be changed there. (posix_spawn's child never calls us.) */
#include "ioth.h"

/* How deep: a vfork child may vfork. Counted in vfork.S. */
__thread uint32_t vforks __attribute__((tls_model("initial-exec"), visibility("hidden")));

bool in_vfork_child(void)
{
	return vforks > 0;
}

#if defined(__x86_64__)
/** The end of vfork.S when the system call failed. */
int vfork_failed(int error);
int vfork_failed(int error)
{
	return ret(error);
}
#else
/* Without a wrapper that leaves the stack alone, a copy of the memory: slower, and as good. */
EXPORT pid_t vfork(void)
{
	return libc.fork();
}
ALIAS(__vfork, vfork);
#endif
