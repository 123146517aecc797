/* The parts of the supervisor, to each other. */
#ifndef IOTH_SUPERVISOR_H
#define IOTH_SUPERVISOR_H

#include "../preload/ioth.h"

/* A system call of a program's, that waits for us. */
struct notice {
	uint64_t id; /* 0: a free place; the kernel's begin anywhere and are never that */
	pid_t tid;   /* the thread that called */
	int nr;
	uint64_t arg[6];
	int fd;		  /* our copy of descriptor arg[0]; -1: not fetched */
	int caller;	  /* a pidfd of tid's, -1: none */
	struct sock sock; /* what it is, if it is ours */
	/* While it is under way. */
	bool served;	  /* now: whoever finds it so was not there when it happened */
	bool begun;	  /* connecting */
	size_t done;	  /* bytes moved */
	unsigned int got; /* messages moved */
	int64_t since;	  /* ns: waiting */
	int64_t look;	  /* ns: when to ask whether it still does */
	bool signalled;	  /* the process had a signal that nobody took */
	int64_t deadline; /* ns; 0: not known yet */
	int64_t end;	  /* ns: recvmmsg()'s own timeout */
	uint32_t events;  /* what it waits for: EPOLLIN, EPOLLOUT */
	struct notice *next;
	struct notice **before;
};

/* What serving a call comes to: a result >= 0, a negative errno, or */
#define PASS	 (-10000L) /* the kernel's own answer is right */
#define WAIT	 (-10001L) /* nothing yet: c->events tell when to try again */
#define ANSWERED (-10002L) /* it has its answer, with a descriptor */

#define IOV_MOST 1024	      /* UIO_MAXIOV */
#define ROOM	 (256u << 10) /* more than a datagram */
extern uint8_t text[ROOM];    /* on its way from one process to another */

/* An address that is not mapped here, in place of one that is not mapped there. */
#define NOWHERE ((void *)8)

int check(void); /* check.c */

/* ---- target.c: the process that called ---- */
extern int listener; /* of the filter */
bool target_waits(const struct notice *c);
pid_t target_process(pid_t tid); /* whose thread it is */
int target_open(pid_t tid);	 /* a pidfd, or a negative errno */
int target_fd(const struct notice *c,
	      int fd); /* a copy, or a negative errno; of -1: -EBADF if we may */
bool target_read(const struct notice *c, void *to, uint64_t from, size_t n);
bool target_write(const struct notice *c, uint64_t to, const void *from, size_t n);
/* Takes in the vector of a message of the target's, checked as the kernel checks it: how many bytes
 * it has, or a negative errno. */
ssize_t target_vector(const struct notice *c, struct iovec parts[IOV_MOST],
		      const struct msghdr *there);
/* A vector of the target's; `skip` bytes of it are passed over. How many bytes, -1: EFAULT. */
ssize_t target_gather(const struct notice *c, void *to, size_t room, const struct iovec *iov,
		      size_t n, size_t skip);
ssize_t target_scatter(const struct notice *c, const struct iovec *iov, size_t n, size_t skip,
		       const void *from, size_t len);
ssize_t target_string(const struct notice *c, char *to, size_t room, uint64_t from);
/* Gives the target a copy of fd as the answer to its call. ANSWERED or a negative errno. */
long target_give(const struct notice *c, int fd, bool cloexec);
/* The number in its table that a copy of fd got, or a negative errno. */
int target_put(const struct notice *c, int fd, bool cloexec);
int target_replace(const struct notice *c, int number, int fd);
void target_signal(const struct notice *c, int sig);
/* A signal waits that may end the call: for this thread, or for any of several. */
enum pending { NO_SIGNAL, OWN_SIGNAL, SHARED_SIGNAL } target_pending(const struct notice *c);

/* ---- serve.c: which call is whose ---- */
long serve(struct notice *c);
void let_go(struct notice *c);
/* WAIT for these events, as long as O_NONBLOCK and the socket's timeout (SO_RCVTIMEO, SO_SNDTIMEO)
 * let; else `otherwise`. */
long wait_for(struct notice *c, uint32_t events, int timeout, long otherwise);

/* ---- sockets.c, connecting.c, accepting.c, messages.c, files.c ---- */
long serve_socket(struct notice *c);
long serve_bind(struct notice *c);
void name_netlink(const struct notice *c); /* before what would give it a name */
long serve_listen(struct notice *c);
long serve_shutdown(struct notice *c);
long serve_name(struct notice *c);
long serve_getsockopt(struct notice *c);
long serve_setsockopt(struct notice *c);
long serve_ioctl(struct notice *c);
long serve_connect(struct notice *c);
long connect_goes_on(struct notice *c);
int renewed(struct notice *c);
long serve_accept(struct notice *c);
void forget_untaken(void);
long serve_sendto(struct notice *c);
long serve_sendmsg(struct notice *c);
long serve_sendmmsg(struct notice *c);
long serve_recvfrom(struct notice *c);
long serve_recvmsg(struct notice *c);
long serve_recvmmsg(struct notice *c);
long serve_passing(struct notice *c);
long serve_open(struct notice *c);
long serve_uname(struct notice *c);

/* -1 and errno as a negative errno. */
static inline long answer_of(long r)
{
	return r < 0 ? -errno : r;
}

#endif
