/* The seccomp filter of a program and of all its descendants. Three things hang on it.
 *
 * Its listener tells the stack server when the last of them has ended.
 *
 * It is the leak guard: whatever a program does that the shim does not see (a raw system call, a
 * static binary, io_uring), no socket of the host's network can come into being. What leads to no
 * network is harmless: AF_UNIX, of which the shim makes its sockets, AF_ALG, and netlink that tells
 * of devices and processes. Families that nobody thinks of are refused as by a kernel that was
 * built without them. io_uring makes sockets without a call to socket(), so it is not there.
 *
 * And it sends the socket calls that the shim has not made to the supervisor (supervisor/), which
 * serves them: those are the ones without the mark (raw.h). Reading, writing and waiting it lets
 * pass, also send() and recv(): these are right on a socket in native mode. Where there can be no
 * supervisor, internet sockets are refused instead.
 *
 * Programs of the other architectures that the CPU runs get none: i386 has socket() and, before it,
 * socketcall(), whose arguments lie in memory, where a filter cannot look; x32 is not there at all.
 *
 * A filter looks at a few words per system call. The kernel runs it once over each number that it
 * asks nothing else of, and remembers (since 5.11); others cost 12 ns and more. */
#ifndef IOTH_FILTER_H
#define IOTH_FILTER_H

#include "netlink.h"
#include "raw.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum filter_kind {
	FILTER_OPEN,  /* refuses nothing; its listener tells the end all the same (--no-seccomp) */
	FILTER_GUARD, /* refuses */
	FILTER_SERVE, /* and has a supervisor */
	FILTER_WHOLE, /* which sees files as well: for programs that no shim is loaded into */
};

#define FILTER_MOST 128

/* A filter in the making: jumps lead to labels, which are put in their place at the end. */
enum filter_label {
	LABEL_NEXT,
	LABEL_ALLOW,
	LABEL_NOTIFY,
	LABEL_UNLESS_MARKED, /* to the supervisor unless it has the mark */
	LABEL_SOCKET,
	LABEL_NETLINK,
	LABEL_SEND_RECV,
	LABEL_IOCTL,
	LABEL_OTHER_MACHINE,
	LABEL_NO_FAMILY,
	LABEL_NO_CALL,
	LABELS,
};

struct filter {
	struct sock_filter code[FILTER_MOST];
	struct {
		unsigned char yes, no;
	} to[FILTER_MOST];
	unsigned char at[LABELS];
	unsigned short length;
};

static inline void filter_put(struct filter *f, struct sock_filter one, enum filter_label yes,
			      enum filter_label no)
{
	f->to[f->length].yes = (unsigned char)yes;
	f->to[f->length].no = (unsigned char)no;
	f->code[f->length++] = one;
}

static inline void filter_load(struct filter *f, size_t offset)
{
	filter_put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset), 0,
		   0);
}

#define FILTER_LOAD(f, field) filter_load(f, offsetof(struct seccomp_data, field))
/* Arguments have 64 bits; on little-endian machines the low half comes first. */
#define FILTER_LOAD_HIGH(f, field) filter_load(f, offsetof(struct seccomp_data, field) + 4)

static inline void filter_if(struct filter *f, int test, unsigned value, enum filter_label yes,
			     enum filter_label no)
{
	filter_put(
	    f, (struct sock_filter)BPF_JUMP((unsigned short)(BPF_JMP | test | BPF_K), value, 0, 0),
	    yes, no);
}

static inline void filter_is(struct filter *f, unsigned value, enum filter_label yes)
{
	filter_if(f, BPF_JEQ, value, yes, LABEL_NEXT);
}

/* first <= word <= last */
static inline void filter_within(struct filter *f, unsigned first, unsigned last,
				 enum filter_label yes)
{
	f->to[f->length].no = 0;
	/* Below it: over the next one, which is a jump of one. */
	filter_put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 1), 0, 0);
	filter_if(f, BPF_JGT, last, LABEL_NEXT, yes);
}

static inline void filter_answer(struct filter *f, unsigned answer)
{
	filter_put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer), 0, 0);
}

static inline void filter_label(struct filter *f, enum filter_label label)
{
	f->at[label] = (unsigned char)f->length;
}

static inline void filter_link(struct filter *f)
{
	for (int i = 0; i < f->length; i++) {
		if (f->to[i].yes)
			f->code[i].jt = (unsigned char)(f->at[f->to[i].yes] - i - 1);
		if (f->to[i].no)
			f->code[i].jf = (unsigned char)(f->at[f->to[i].no] - i - 1);
	}
}

/* ---- what is looked at ---- */

/* Calls on a descriptor that may be a virtual socket. */
static const unsigned short filter_marked[] = {
    SYS_connect,     SYS_bind,	      SYS_listen,     SYS_accept,     SYS_accept4,
    SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_shutdown,
    SYS_sendmsg,     SYS_recvmsg,     SYS_sendmmsg,   SYS_recvmmsg,
};

#define IO_URING_SETUP 425 /* everywhere */

#if defined(__x86_64__)
#define FILTER_ARCH	AUDIT_ARCH_X86_64
#define X32_BIT		0x40000000u
#define I386_SOCKETCALL 102
#define I386_SOCKET	359
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#else
#error "the leak guard does not know this architecture"
#endif

static inline void filter_numbers(struct filter *f, enum filter_kind kind)
{
	FILTER_LOAD(f, arch);
	filter_if(f, BPF_JEQ, FILTER_ARCH, LABEL_NEXT, LABEL_OTHER_MACHINE);
	FILTER_LOAD(f, nr);
#if defined(__x86_64__)
	filter_if(f, BPF_JGE, X32_BIT, LABEL_NO_CALL, LABEL_NEXT);
#endif
	filter_is(f, IO_URING_SETUP, LABEL_NO_CALL);
	filter_is(f, SYS_socket, LABEL_SOCKET);
	if (kind >= FILTER_SERVE) {
		for (size_t i = 0; i < sizeof(filter_marked) / sizeof(*filter_marked); i++)
			filter_is(f, filter_marked[i], LABEL_UNLESS_MARKED);
		filter_is(f, SYS_sendto, LABEL_SEND_RECV);
		filter_is(f, SYS_recvfrom, LABEL_SEND_RECV);
		filter_is(f, SYS_ioctl, LABEL_IOCTL);
	}
	if (kind == FILTER_WHOLE) {
		filter_is(f, SYS_openat, LABEL_UNLESS_MARKED);
#ifdef SYS_open
		filter_is(f, SYS_open, LABEL_UNLESS_MARKED);
#endif
		filter_is(f, SYS_uname, LABEL_UNLESS_MARKED);
	}
	filter_answer(f, SECCOMP_RET_ALLOW);
}

static inline void filter_socket(struct filter *f, enum filter_kind kind)
{
	enum filter_label net = kind >= FILTER_SERVE ? LABEL_NOTIFY : LABEL_NO_FAMILY;

	filter_label(f, LABEL_SOCKET);
	FILTER_LOAD(f, args[0]);
	filter_is(f, AF_UNIX, LABEL_ALLOW);
	filter_is(f, AF_ALG, LABEL_ALLOW);
	filter_if(f, BPF_JEQ, AF_NETLINK, LABEL_NETLINK, net);
	filter_label(f, LABEL_NETLINK);
	FILTER_LOAD(f, args[2]);
	for (size_t i = 0; i < sizeof(beside_networks); i++)
		filter_is(f, beside_networks[i], LABEL_ALLOW);
	filter_if(f, BPF_JEQ, NETLINK_ROUTE, net, net);
}

static inline void filter_served(struct filter *f)
{
	/* send() and recv() are these without an address; some of their flags AF_UNIX has not. */
	filter_label(f, LABEL_SEND_RECV);
	FILTER_LOAD(f, args[4]);
	filter_if(f, BPF_JEQ, 0, LABEL_NEXT, LABEL_NOTIFY);
	FILTER_LOAD_HIGH(f, args[4]);
	filter_if(f, BPF_JEQ, 0, LABEL_NEXT, LABEL_NOTIFY);
	FILTER_LOAD(f, args[3]);
	filter_if(f, BPF_JSET, MSG_OOB | MSG_TRUNC | MSG_MORE | MSG_ERRQUEUE | MSG_FASTOPEN,
		  LABEL_UNLESS_MARKED, LABEL_ALLOW);
	/* Interfaces, routes, wireless, and what waits to be sent. */
	filter_label(f, LABEL_IOCTL);
	FILTER_LOAD(f, args[1]);
	filter_is(f, SIOCOUTQ, LABEL_UNLESS_MARKED);
	filter_within(f, SIOCADDRT, 0x89ff, LABEL_UNLESS_MARKED);
	filter_within(f, 0x8b00, 0x8bff, LABEL_UNLESS_MARKED);
	filter_answer(f, SECCOMP_RET_ALLOW);
	filter_label(f, LABEL_UNLESS_MARKED);
	FILTER_LOAD(f, args[5]);
	filter_if(f, BPF_JEQ, RAW_MARK, LABEL_ALLOW, LABEL_NOTIFY);
	filter_label(f, LABEL_NOTIFY);
	filter_answer(f, SECCOMP_RET_USER_NOTIF);
}

static inline void filter_other_machine(struct filter *f)
{
	filter_label(f, LABEL_OTHER_MACHINE);
#if defined(__x86_64__)
	/* i386, for which AF_UNIX is the same; the supervisor would not know its structures. */
	FILTER_LOAD(f, nr);
	filter_is(f, I386_SOCKETCALL, LABEL_NO_CALL);
	filter_is(f, IO_URING_SETUP, LABEL_NO_CALL);
	filter_if(f, BPF_JEQ, I386_SOCKET, LABEL_NEXT, LABEL_ALLOW);
	FILTER_LOAD(f, args[0]);
	filter_is(f, AF_UNIX, LABEL_ALLOW);
	filter_if(f, BPF_JEQ, AF_ALG, LABEL_ALLOW, LABEL_NO_FAMILY);
#else
	/* A 32-bit one that the CPU might run is not there. */
	filter_answer(f, SECCOMP_RET_ERRNO | ENOSYS);
#endif
}

/* The filter, in *f; for seccomp(2) and prctl(2). */
static inline struct sock_fprog filter_make(struct filter *f, enum filter_kind kind)
{
	f->length = 0;
	if (kind != FILTER_OPEN) {
		filter_numbers(f, kind);
		filter_socket(f, kind);
		if (kind >= FILTER_SERVE)
			filter_served(f);
		filter_other_machine(f);
		filter_label(f, LABEL_NO_FAMILY);
		filter_answer(f, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
		filter_label(f, LABEL_NO_CALL);
		filter_answer(f, SECCOMP_RET_ERRNO | ENOSYS);
	}
	filter_label(f, LABEL_ALLOW);
	filter_answer(f, SECCOMP_RET_ALLOW);
	filter_link(f);
	return (struct sock_fprog){.len = f->length, .filter = f->code};
}

#endif
