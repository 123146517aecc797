/* The shim's only private header. The essay on fds is in fdtab.c, on rings in ring.c, on waking in
 * doorbell.c, on the two modes in native.c. Functions return >= 0 or a negative errno; ret() makes
 * that libc's -1 and errno at the edge. */
/* Laid out by hand, as the tables that they are. */
/* clang-format off */
#ifndef IOTH_H
#define IOTH_H

#undef _FORTIFY_SOURCE /* the checked twins of libc's functions are ours to define */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "abi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Every file is compiled with -fvisibility=hidden; only libc's names are exported. */
#define EXPORT __attribute__((visibility("default")))
/* A second libc name of the same function: __read, __recv, fcntl64. */
#define ALIAS(name, of) EXPORT extern __typeof(of) name __attribute__((alias(#of), copy(of)))

/* ---- libc.c: the real calls, resolved once ------------------------------------------------------
 * libc.read(fd, ...) is the next definition after ours. Works before our constructor ran. */
#include "libc.h"

/* ---- init.c: this process's place in its stack ---------------------------------------------------- */
enum confined {
	FREE,
	BLIND, /* descriptors that we do not know must be taken for libc's */
	ASIDE, /* nothing is ours any more */
};
struct ioth {
	struct region *region; /* NULL: not attached (no IOTH_STACK, or the server is gone) */
	bool wanted;           /* IOTH_STACK is set: without a region everything fails with ENETDOWN */
	bool native;           /* IOTH_MODE=native, or the plug cannot be calibrated */
	enum confined confined; /* the process shut itself in (sandbox.c) */
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
/* True: certainly not ours. False: fdtab_find() must say. */
bool fdtab_is_foreign(int fd);
/* After a sleep: does the number still mean this socket? Another thread may have closed it. */
bool fdtab_means(int fd, const struct sock *s);
void fdtab_set(int fd, const struct sock *s); /* just made or accepted by us */
void fdtab_forget(int fd);                    /* the number was closed; who has it next is not known */
void fdtab_foreign(int fd);                   /* just made, and not a socket of ours: no need to ask */
bool fdtab_raised(int fd);                    /* native_buffer() has been here */
void fdtab_raise(int fd);
void fdtab_copy(int oldfd, int newfd);        /* dup: the copy is what the original is */
void fdtab_forget_all(void);
void fdtab_close_range(unsigned int first, unsigned int last); /* after close_range() or closefrom() */
/* Calls fn for each fd that holds a socket of ours (probing unknown ones up to the highest). */
void fdtab_each(void (*fn)(int fd, struct sock *s, void *arg), void *arg);
/* The socket of a record, whose generation the caller knows or checks. */
void sock_at(uint32_t index, uint32_t generation, struct sock *s);
/* The abstract address of a record's name, and back: the index, or -1 if it is no name of ours. */
struct sockaddr_un;
socklen_t record_name(struct sockaddr_un *un, uint32_t index, uint32_t generation);
int record_named(const struct sockaddr_un *un, socklen_t len, struct sock *s);

/* ---- pass.c: libc's functions for sockets that are not ours, marked for the seccomp filter ---------------- */
int pass_bind(int fd, const struct sockaddr *addr, socklen_t len);
int pass_listen(int fd, int backlog);
int pass_shutdown(int fd, int how);
int pass_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int pass_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int pass_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int pass_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int pass_ioctl(int fd, unsigned long request, void *arg);
int pass_connect(int fd, const struct sockaddr *addr, socklen_t len);
int pass_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
ssize_t pass_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t pass_recvmsg(int fd, struct msghdr *msg, int flags);
int pass_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags);
int pass_recvmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags, struct timespec *timeout);
ssize_t pass_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len);
ssize_t pass_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len);

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
/* An answer of any length: its length, and *answer, to be given to munmap(); or a negative errno. */
ssize_t ctl_long(struct request *r, uint8_t **answer);

/* ---- host.c: names and addresses, as the server knows them ---------------------------------------------- */
struct host {
	uint8_t *answer; /* to be given back by host_free() */
	size_t length;
	uint32_t addresses, names;
	const struct abi_host_address *address;
	const char *name; /* all of them, each with its zero; the canonical one first */
};
/* Does the stack answer here, and not libc? Without a server it does: by failing. */
bool names_ours(void);
/* 0, or an h_errno; NETDB_INTERNAL: errno says more. */
/* The stack's interfaces and addresses, as the server gave them: to be freed. */
struct node_view {
	uint8_t *answer;
	size_t length;
	uint32_t interfaces, addresses;
	const struct abi_interface *interface;
	const struct abi_interface_address *address;
};
int view_get(struct node_view *v);
void view_free(struct node_view *v);
const struct abi_interface *view_named(const struct node_view *v, const char *name);
const struct abi_interface *view_indexed(const struct node_view *v, uint32_t index);
int interface_ioctl(int family, uint32_t request, void *arg);

int host_by_name(struct host *h, const char *name, int family, bool sorted);
int host_by_address(struct host *h, const void *addr, int family);
void host_free(struct host *h);
bool scope_parse(const uint8_t addr[16], const char *text, uint32_t *scope);
bool scope_counts(const uint8_t addr[16]);

/* ---- paths.c: files that the stack shows in place of the host's ---------------------------------------- */
#define NOT_SHOWN (-4096) /* the host's own is meant */
/* A descriptor of the text that path names, NOT_SHOWN, or a negative errno. */
int shown_open(int dir, const char *path, int flags);
int shown_fopen(const char *path, const char *mode);
/* Below /sys/class/net: where the stack's own stands, in `room` (PATH_MAX); else path as it is. */
const char *sys_moved(const char *path, char *room);

/* ---- doorbell.c: tokens, plug, canary, locks; signal.c: the mask --------------------------------------- */
/* 0, or a negative errno: -ENETDOWN when the server is dead and nobody would break a dead holder's lock. */
int lock_take(uint32_t *lock);                         /* waits as long as it takes */
int lock_take_for(uint32_t *lock, int ms);             /* -EAGAIN after so long */
bool lock_try(uint32_t *lock);                         /* spins some microseconds, then gives up, but not before the server */
void lock_drop(uint32_t *lock);
void sigmask_block(uint64_t *saved);                   /* nothing if the process has no handlers */
void sigmask_restore(uint64_t *saved);                 /* once; then *saved is SIGNALS_FREE */
#define SIGNALS_FREE (1ull << (9 - 1))                 /* no mask that the kernel tells holds SIGKILL */
void sigmask_hold(uint64_t *held);                     /* sigmask_block(), unless they are held already */
void signal_has_handler(void);                         /* syscall(SYS_rt_sigaction) set one */
int canary_send(int fd, uint32_t messages);            /* 1: canary; region->plug: canary and plug */
void plug_put(int fd, const struct sock *s);           /* wlock held, send ring full: take POLLOUT away */
void tokens_take(int fd, uint32_t count);              /* rlock held: exactly as many as rung said */
#define KICK_FD_MIN 500                                /* out of the way of programs that count on the next number */
void server_wake(void);                                /* after posting: kick it if it sleeps */
int64_t now_ns(void);                                  /* monotonic */

/* ---- iov.c: vectors --------------------------------------------------------------------------------------- */
/* As the kernel takes them: 0 and how many bytes, or -EINVAL, -EFAULT. */
int iov_check(const struct iovec *iov, size_t n, size_t *total);
int iov_check_room(const struct iovec *iov, size_t n, size_t *total); /* to be written to */
/* What is left of a vector after its first `skip` bytes, into `rest` (n long): how many parts. */
size_t iov_rest(const struct iovec *iov, int n, size_t skip, struct iovec *rest);
int iov_cut(const struct iovec *iov, int n, size_t len, struct iovec *cut);
/* A place in a vector. */
struct cursor {
	const struct iovec *iov;
	const struct iovec *end;
	size_t offset;
};
struct cursor cursor_at(const struct iovec *iov, int n, size_t skip);
void copy_out(struct cursor *c, const uint8_t *src, size_t n);  /* to the program's buffers */
ssize_t copy_in(uint8_t *dst, size_t room, void *cursor);       /* from them; a ring_fill() function */

/* ---- ring.c, ring-read.c: bytes between program and rings; never blocks ----------------------------------------------- */
uint8_t *ring_at(uint32_t geom);
/* Up to `len` bytes from the receive ring into iov (peek: leave them). 0: empty or end; look at flags.
 * -ESTALE: the socket is native. */
ssize_t ring_read(int fd, const struct sock *s, const struct iovec *iov, int n, size_t skip, size_t len, bool peek, bool discard);
/* Up to `len` bytes of iov, after the first `skip`, into the send ring, and posts work. A ring left full
 * is plugged. 0: full, or still connecting. nonblock: does not wait for a lock held long (nor does it
 * when the fd is non-blocking), -EAGAIN. -ESTALE: native; -EPIPE (sock_broken()); -ECONNRESET: the
 * server died. Signals are held when it returns, in `held`; it is the caller who restores them. */
ssize_t ring_write(int fd, const struct sock *s, const struct iovec *iov, int n, size_t skip, size_t len, bool nonblock, bool more,
		   uint64_t *held);
/* Fills the send ring by calling fill(dst, room, arg) for each contiguous piece, under the lock
 * (sendfile: pread straight into the ring). Returns bytes, 0 full, or fill's negative errno. */
void writer_unlock(int fd, const struct sock *s);                 /* drops wlock */
ssize_t ring_fill(int fd, const struct sock *s, size_t len, bool nonblock, bool more,
		  ssize_t (*fill)(uint8_t *dst, size_t room, void *arg), void *arg, uint64_t *held);
/* The mirror for splice: calls drain(src, n, arg) on what lies in the receive ring; what it took goes. */
ssize_t ring_drain(int fd, const struct sock *s, size_t len, ssize_t (*drain)(const uint8_t *src, size_t n, void *arg), void *arg);
uint32_t ring_used_rx(const struct sock *s);  /* what a read could give */
uint32_t ring_until_mark(const struct sock *s); /* FIONREAD: the same, up to the urgent byte */
bool ring_at_mark(const struct sock *s);        /* the next byte is the urgent one */

/* ---- urgent.c: MSG_OOB ------------------------------------------------------------------------------------------------ */
ssize_t urgent_send(int fd, const struct sock *s, uint8_t byte, int flags, bool some, uint64_t *held);
ssize_t urgent_recv(int fd, const struct sock *s, const struct iovec *iov, int n, size_t len, int flags);
void urgent_unshow(int fd, const struct sock *s); /* takes back the byte that is POLLPRI */

/* ---- native.c ---------------------------------------------------------------------------------------------- */
/* Puts the socket into native mode, for good; no byte is lost. Fine to call on any socket of ours. */
int sock_go_native(int fd, const struct sock *s);
bool sock_is_native(const struct sock *s);
/* Is the record still this socket's? */
bool sock_current(const struct sock *s);
/* Before plain calls move text: the small send buffer that held tokens becomes a real one. */
void native_buffer(int fd);
/* SO_RCVLOWAT and SO_OOBINLINE are then the kernel's, too. */
void native_options(int fd, const struct sock *s);

/* ---- message.c: datagrams, each a message on the AF_UNIX socket --------------------------------------------- */
static inline bool sock_is_message(const struct sock *s)
{
	return s->rec->type != SOCK_STREAM;
}
ssize_t message_recvmsg(int fd, const struct sock *s, struct msghdr *msg, int flags);
ssize_t message_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags);
int message_waiting(int fd, const struct sock *s);
int message_shutdown(int fd, const struct sock *s, int how);
int message_switch_over(int fd, const struct sock *s);

/* ---- message-error.c: what became of datagrams that were sent ------------------------------------------------- */
bool message_has_error(const struct sock *s);
int message_take_error(int fd, const struct sock *s);
int message_error_told(int fd, const struct sock *s, int flags);
void message_forget_error(int fd, const struct sock *s);
bool message_text_waits(int fd, const struct sock *s);
void message_expect_error(const struct sock *s);

/* ---- packet.c: rings of packet sockets ---- */
void packet_ring_made(int fd);
void packet_settle(void);

/* ---- one operation per file: socket.c bind.c connect.c listen.c accept.c send.c recv.c shutdown.c close.c ---- */
int sock_open(int family, int type, int protocol, const struct sock *old, struct sock *s);
int sock_accept(int fd, const struct sock *s, struct sockaddr *addr, socklen_t *len, int flags);
int sock_connect(int fd, const struct sock *s, const struct sockaddr *addr, socklen_t len,
		 int flags);
ssize_t sock_recvmsg(int fd, const struct sock *s, struct msghdr *msg, int flags);
ssize_t sock_sendmsg(int fd, const struct sock *s, const struct msghdr *msg, int flags);
int sock_take_error(const struct sock *s); /* so_error, swapped to 0; a negative errno or 0 */
/* Exchanges what fd is for a fresh socket with the same options: an AF_UNIX socket connects only once. */
int sock_renew(int fd, struct sock *s);
int sock_unused(int fd, struct sock *s); /* the same, if it is needed before connect() or listen() */
/* After a copy was closed: tells the server what the kernel does not. */
void sock_closed(const struct sock *s);
int sock_join_server(int fd, const char *listener);
bool fd_nonblocking(int fd);
void copy_timeouts(int from, int to);
/* An address as the kernel takes it: 0, or -EINVAL, -EFAULT. */
int addr_check(const struct sockaddr *addr, socklen_t len);
int timeout_ms(int fd, int name); /* SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
/* After the last ring operation said full (or empty): sleep until it may go on, as the fd's O_NONBLOCK,
 * MSG_DONTWAIT, SO_SNDTIMEO and SO_RCVTIMEO say. 0: try again; 1: no text will come (wait_readable); or
 * -EAGAIN, -EINTR, the connection's error. */
/* When the call's time is over (SO_RCVTIMEO, SO_SNDTIMEO), ns; *deadline is 0 before it was asked for. */
int64_t call_deadline(int fd, int name, int64_t *deadline);
/* *deadline: when the call's time is over, ns; 0 before the first wait. */
int wait_writable(int fd, const struct sock *s, int flags, int64_t *deadline);
/* The same for a call that holds signals; when it has sent `some`, any signal ends it. */
int wait_room(int fd, const struct sock *s, int flags, bool some, int64_t *deadline, uint64_t *held);
/* Until fd shows one of events, or the time is over (INT64_MAX: never): 0, -EAGAIN; or -EINTR, also when
 * the signal came while they were held. A cancellation point. */
int sleep_held(int fd, short events, int64_t deadline, const uint64_t *held);
int sock_wait(const struct sock *s, enum wait_for what, int limit_ms); /* -EAGAIN: so long */
int wait_readable(int fd, const struct sock *s, int flags);
/* An EPIPE: SIGPIPE to this thread, unless MSG_NOSIGNAL. */
int broken_pipe(int flags);
/* The same, after the connection's own error if that has not been told yet. */
int sock_broken(const struct sock *s, int flags);
void addr_to_sockaddr(const struct abi_addr *a, struct sockaddr *out, socklen_t *len);

/* ---- dup.c, creators.c: numbers that come and go ------------------------------------------------------------ */
int dup_made(int oldfd, int fd);                       /* fd is what a dup() or F_DUPFD of oldfd answered */
void fdtab_received(struct msghdr *msg);               /* after recvmsg(): SCM_RIGHTS in it are new numbers */
int native_before_passing(const struct msghdr *msg);   /* before sendmsg(): SCM_RIGHTS of ours go native */

/* ---- sandbox.c: before the process shuts itself in ------------------------------------------------------------ */
void sandbox_prepare(void);
struct sock_fprog;
enum confined sandbox_under(const struct sock_fprog *filter);
void sandbox_entered(enum confined confined);
/* bpf.c: what a seccomp filter says to a call. */
struct seccomp_data;
uint32_t filter_verdict(const struct sock_fprog *filter, const struct seccomp_data *call);

/* ---- launching other programs: elf.c env.c exec.c; async-signal-safe, and fit for vfork children ---------------- */
/* Will the program at path (resolved as execve does, following #!) load our shim? Or fail on it? */
enum shim_fate { SHIM_IGNORED, SHIM_LOADED, SHIM_REFUSED };
enum shim_fate elf_shim_fate(int dir, const char *path);
bool elf_loads_shim(const char *path);
bool elf_loads_shim_at(int dir, const char *path);
bool elf_runnable(int dir, const char *path);
/* envp with LD_PRELOAD and IOTH_* put back; the result may lie in the calling function's frame. */
#define env_keep(envp)                                                                             \
	__extension__({                                                                            \
		size_t room_ = env_room(envp);                                                     \
		room_ ? env_fill(__builtin_alloca(room_), envp) : (char **)(envp);                 \
	})
/* The same for a program that would fail on the shim: without it. */
#define env_for(envp, fate)                                                                        \
	__extension__({                                                                            \
		char **kept_ = env_keep(envp);                                                     \
		size_t less_ = (fate) == SHIM_REFUSED ? env_room_without(kept_) : 0;               \
		less_ ? env_fill_without(__builtin_alloca(less_), kept_) : kept_;                  \
	})
size_t env_room(char *const envp[]);
char **env_fill(void *room, char *const envp[]);
size_t env_room_without(char *const envp[]);
char **env_fill_without(void *room, char *const envp[]);
bool env_stays(char *const envp[]);
const char *env_shim(void);
void env_restore(void); /* into environ; not async-signal-safe */
/* ids.c: so that ld.so loads the shim, whoever the process is. */
struct ids {
	unsigned int ruid, euid, rgid, egid;
};
size_t ids_room(char *const envp[]);
char **ids_join(struct ids *ids, void *room, char *const envp[]);
void ids_split(const struct ids *ids);
void ids_take(void);
/* Before a program starts that inherits our descriptors: sockets go native unless it will know them. */
enum shim_fate exec_prepare(int dir, const char *path, char *const envp[]);
enum shim_fate exec_prepare_search(const char *file, char *const envp[]);
void exec_hand_over(void);
bool exec_by_loader(const char *path, char *const argv[], char *loader);
const char *exec_found(const char *file, char *path);

/* ---- pointer.c: what the kernel answers EFAULT to, and a copy of ours would crash on ------------------------------ */
bool unreadable(const void *p, size_t n);
bool unwritable(const void *p, size_t n);
bool bad_arguments(char *const argv[], char *const envp[]); /* or a string of them; NULL is none */
void pointers_trust(void);               /* no more questions to the kernel */
static inline bool bad_pointer(const void *p)
{
	return unreadable(p, 1);
}
/* Could this be one of the paths that the stack shows? For the many that are not: "/e", "/p", "/s". */
static inline bool may_be_shown(const char *path)
{
	return !bad_pointer(path) && path[0] == '/' && (path[1] == 'e' || path[1] == 'p' || path[1] == 's');
}

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
