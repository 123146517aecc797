/* The seccomp filter of a program and of all its descendants. Its listener tells the stack server
 * when the last of them has ended; its rules are the leak guard: whatever a program does that the
 * shim does not see (a raw system call, a static binary, io_uring), no socket of the host's network
 * can come into being.
 *
 * The shim makes AF_UNIX sockets only, and what leads to no network is harmless: AF_ALG, and netlink,
 * which moves no packets. Everything else, also the families that nobody thinks of, is refused as by
 * a kernel that was built without it. io_uring makes sockets without a call to socket(), so it is not
 * there. Programs of the other architectures that the CPU runs are held to the same: i386 has socket()
 * and, before it, socketcall(), whose arguments lie in memory, where a filter cannot look; x32 is not
 * there at all.
 *
 * A filter looks at a few words per system call; what is not named here costs 12 ns. */
#ifndef IOTH_FILTER_H
#define IOTH_FILTER_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LOAD(field)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what)  BPF_STMT(BPF_RET | BPF_K, what)
#define IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define FROM(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, yes, no)
#define REFUSE(error) ANSWER(SECCOMP_RET_ERRNO | (error))
#define ALLOW	      ANSWER(SECCOMP_RET_ALLOW)

/* socket(family, …): the low half of the first argument, on little-endian machines. */
#define FAMILY_OR_REFUSE                                                                           \
	LOAD(args[0]), IS(AF_UNIX, 3, 0), IS(AF_NETLINK, 2, 0), IS(AF_ALG, 1, 0),                  \
	    REFUSE(EAFNOSUPPORT), ALLOW

#if defined(__x86_64__)
#define X32_BIT		    0x40000000u
#define I386_SOCKETCALL	    102
#define I386_SOCKET	    359
#define IO_URING_SETUP	    425 /* everywhere */

static const struct sock_filter guard_filter[] = {
    LOAD(arch),
    IS(AUDIT_ARCH_X86_64, 0, 13),
    LOAD(nr),
    FROM(X32_BIT, 0, 1),
    REFUSE(ENOSYS),
    IS(SYS_socket, 3, 0),
    IS(IO_URING_SETUP, 0, 1),
    REFUSE(ENOSYS),
    ALLOW,
    FAMILY_OR_REFUSE,
    /* not x86-64: i386 */
    LOAD(nr),
    IS(I386_SOCKET, 4, 0),
    IS(I386_SOCKETCALL, 1, 0),
    IS(IO_URING_SETUP, 0, 1),
    REFUSE(ENOSYS),
    ALLOW,
    FAMILY_OR_REFUSE,
};
#else
#define IO_URING_SETUP 425

/* One architecture: a 32-bit one that the CPU might run is not there. */
#if defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the leak guard does not know this architecture"
#endif
static const struct sock_filter guard_filter[] = {
    LOAD(arch),
    IS(ARCH, 1, 0),
    REFUSE(ENOSYS),
    LOAD(nr),
    IS(SYS_socket, 3, 0),
    IS(IO_URING_SETUP, 0, 1),
    REFUSE(ENOSYS),
    ALLOW,
    FAMILY_OR_REFUSE,
};
#endif

/* --no-seccomp: nothing is refused, and the listener tells the end all the same. */
static const struct sock_filter open_filter[] = {ALLOW};

#endif
