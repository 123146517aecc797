/* The shim's only private header. The essay on fds is in fdtab.c, on rings in ring.c, on waking in
 * doorbell.c, on the two modes in native.c. Functions return >= 0 or a negative errno; ret() makes
 * that libc's -1 and errno at the edge. */
#ifndef IOTH_H
#define IOTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "abi.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Every file is compiled with -fvisibility=hidden; only libc's names are exported. */
#define EXPORT __attribute__((visibility("default")))
/* A second libc name of the same function: __read, __recv, fcntl64. */
#define ALIAS(name, of) EXPORT extern __typeof(of) name __attribute__((alias(#of)))

/* ---- libc.c: the real calls, resolved once ------------------------------------------------------
 * libc.read(fd, ...) is the next definition after ours. Works before our constructor ran. */
#include "libc.h"

/* ---- init.c: this process's place in its stack ---------------------------------------------------- */
struct ioth {
	struct region *region; /* NULL: not attached (no IOTH_STACK, or the server is gone) */
	bool wanted;           /* IOTH_STACK is set: without a region everything fails with ENETDOWN */
	bool native;           /* IOTH_MODE=native, or the plug cannot be calibrated */
	bool handlers;         /* some signal has a handler: mask signals while copying (signal.c) */
	char stack[17];
	char dir[80];
	char prefix[32]; /* "ioth/STACK/", what every name of ours begins with */
};
extern struct ioth ioth;
/* Attached, with a slot, not in a vfork child: may we serve? Attaches a fork child on first use. */
bool ioth_ready(void);
/* Is the region mapped? Attaches if our constructor has not run yet. */
bool ioth_attached(void);
/* This process's slot, never 0 once attached; a fork child gets its own here. 0: the server gives none. */
uint32_t ioth_slot(void);
/* True in a vfork child (memory shared with the parent): only real system calls then. */
bool in_vfork_child(void);
/* The server is dead (header state): calls fail with ENETDOWN. */
bool server_dead(void);
/* Connects fd to the server's socket "conn", "kick" or "ctl": by abstract name, else by path. */
int service_connect(int fd, const char *name);

/* ---- fdtab.c: fd -> socket ------------------------------------------------------------------------- */
struct sock {
	uint32_t index;      /* record */
	uint32_t generation;
	struct record *rec;
};
/* Our socket behind fd, into *s; false: not ours (or unknown to us), libc's business. One look-up
 * when the number is known; asks the kernel for the socket's name when it is not. */
bool fdtab_find(int fd, struct sock *s);
void fdtab_set(int fd, const struct sock *s); /* just made or accepted by us */
void fdtab_forget(int fd);                    /* the number was closed; who has it next is not known */
void fdtab_foreign(int fd);                   /* just made, and not a socket of ours: no need to ask */
void fdtab_copy(int oldfd, int newfd);        /* dup: the copy is what the original is */
void fdtab_forget_all(void);
/* Calls fn for each fd that holds a socket of ours (probing unknown ones up to the highest). */
void fdtab_each(void (*fn)(int fd, struct sock *s, void *arg), void *arg);
/* The abstract address of a record's name, and back: the index, or -1 if it is no name of ours. */
struct sockaddr_un;
socklen_t record_name(struct sockaddr_un *un, uint32_t index, uint32_t generation);
int record_named(const struct sockaddr_un *un, socklen_t len, struct sock *s);

/* ---- ctl.c: calls to the server ---------------------------------------------------------------------- */
struct request {
	uint32_t op;
	uint32_t record, generation; /* in; OP_SOCKET: generation out */
	int32_t arg[6];              /* in and out */
	const void *in;              /* data in */
	uint32_t in_len;
	void *out;                   /* data out, may be NULL */
	uint32_t out_len;            /* room, then the length returned */
	bool interruptible;          /* a signal without SA_RESTART ends it with -EINTR; also cancellable */
	int timeout_ms;              /* 0: none; then -EAGAIN */
};
int ctl_call(struct request *r);
/* Short form: no data. */
int ctl_simple(const struct sock *s, uint32_t op, int32_t arg0, int32_t arg1);
/* Work waits for record i: set its bits, wake the server if it sleeps. */
void post_work(uint32_t index);

/* ---- doorbell.c: tokens, plug, canary, locks; signal.c: the mask --------------------------------------- */
/* 0, or a negative errno: -ENETDOWN when the server is dead and nobody would break a dead holder's lock. */
int lock_take(uint32_t *lock);                         /* waits as long as it takes */
int lock_take_for(uint32_t *lock, int ms);             /* -EAGAIN after so long */
bool lock_try(uint32_t *lock);                         /* spins a few microseconds, then gives up */
void lock_drop(uint32_t *lock);
void sigmask_block(uint64_t *saved);                   /* nothing if the process has no handlers */
void sigmask_restore(const uint64_t *saved);
void signal_has_handler(void);                         /* syscall(SYS_rt_sigaction) set one */
int canary_send(int fd, uint32_t messages);            /* 1: canary; region->plug: canary and plug */
void plug_put(int fd, const struct sock *s);           /* wlock held, send ring full: take POLLOUT away */
void tokens_take(int fd, uint32_t count);              /* rlock held: exactly as many as rung said */
void server_wake(void);                                /* after posting: kick it if it sleeps */

/* ---- ring.c: bytes between program and rings; never blocks ----------------------------------------------- */
/* Up to `len` bytes from the receive ring into iov (peek: leave them). 0: empty or end; look at flags.
 * -ESTALE: the socket is native. */
ssize_t ring_read(int fd, const struct sock *s, const struct iovec *iov, int n, size_t skip, size_t len, bool peek, bool discard);
/* Up to `len` bytes of iov, after the first `skip`, into the send ring, and posts work. 0: full.
 * nonblock: a ring left full is plugged. -ESTALE: native; -EPIPE; -ENOTCONN. */
ssize_t ring_write(int fd, const struct sock *s, const struct iovec *iov, int n, size_t skip, size_t len, bool nonblock, bool more);
/* Fills the send ring by calling fill(dst, room, arg) for each contiguous piece, under the lock
 * (sendfile: pread straight into the ring). Returns bytes, 0 full, or fill's negative errno. */
ssize_t ring_fill(int fd, const struct sock *s, size_t len, bool nonblock, bool more,
		  ssize_t (*fill)(uint8_t *dst, size_t room, void *arg), void *arg);
/* The mirror for splice: calls drain(src, n, arg) on what lies in the receive ring; what it took goes. */
ssize_t ring_drain(int fd, const struct sock *s, size_t len, ssize_t (*drain)(const uint8_t *src, size_t n, void *arg), void *arg);
uint32_t ring_used_rx(const struct sock *s); /* FIONREAD */

/* ---- native.c ---------------------------------------------------------------------------------------------- */
/* Puts the socket into native mode, for good; no byte is lost. Fine to call on any socket of ours. */
int sock_go_native(int fd, const struct sock *s);
bool sock_is_native(const struct sock *s);
/* Before plain calls move text: the small send buffer that held tokens becomes a real one. */
void native_buffer(int fd);

/* ---- one operation per file: socket.c bind.c connect.c listen.c accept.c send.c recv.c shutdown.c close.c ---- */
int sock_open(int family, int type, int protocol, const struct sock *old);
int sock_accept(int fd, const struct sock *s, struct sockaddr *addr, socklen_t *len, int flags);
int sock_connect(int fd, const struct sock *s, const struct sockaddr *addr, socklen_t len);
ssize_t sock_recvmsg(int fd, const struct sock *s, struct msghdr *msg, int flags);
ssize_t sock_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags);
int sock_take_error(const struct sock *s); /* so_error, swapped to 0; a negative errno or 0 */
/* Exchanges what fd is for a fresh socket with the same options: an AF_UNIX socket connects only once. */
int sock_renew(int fd, struct sock *s);
/* After a copy was closed: tells the server what the kernel does not. */
void sock_closed(const struct sock *s);
bool fd_nonblocking(int fd);
int timeout_ms(int fd, int name); /* SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
/* After the last ring operation said full (or empty): sleep until it may go on, as the fd's O_NONBLOCK,
 * MSG_DONTWAIT, SO_SNDTIMEO and SO_RCVTIMEO say. 0, -EAGAIN, -EINTR, or the connection's error. */
int wait_writable(int fd, const struct sock *s, int flags);
int wait_readable(int fd, const struct sock *s, int flags);
/* An EPIPE: SIGPIPE to this thread, unless MSG_NOSIGNAL. */
int broken_pipe(int flags);
void addr_to_sockaddr(const struct abi_addr *a, struct sockaddr *out, socklen_t *len);

/* ---- launching other programs (exec.c, spawn.c) ------------------------------------------------------------------- */
/* Will the program at path (resolved as execve does, following #!) load our shim? */
bool elf_loads_shim(const char *path);

static inline int ret(long r)
{
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}
static inline ssize_t retl(ssize_t r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

#endif
