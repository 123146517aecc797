/* The real functions behind the names that we export. libc.read(fd, ...) is the next definition of
 * read after ours, resolved on first use, whoever comes first; during the resolving itself (dlsym
 * may allocate, and an allocator may open files) the plain system call stands in. */
#ifndef IOTH_LIBC_H
#define IOTH_LIBC_H

#include <aio.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <wordexp.h>
#include <sched.h>
#include <unistd.h>

#include "raw.h"

/* Declared nowhere, or only where the fortified headers are. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr,
		       socklen_t *len);
int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list args);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t room);
ssize_t __readlink_chk(const char *path, char *buf, size_t n, size_t space);
ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t n, size_t space);
char *__realpath_chk(const char *path, char *resolved, size_t space);
int __gethostname_chk(char *buf, size_t room, size_t size);
int __xstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat(int version, const char *path, struct stat *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags);
sighandler_t bsd_signal(int sig, sighandler_t handler);

/* Every name whose real function some file needs. */
/* clang-format off */
#define LIBC_SYMBOLS(X)                                                                   \
	X(socket) X(socketpair) X(read) X(readv) X(preadv2) X(preadv64v2) X(__read_chk)   \
	X(recv) X(recvfrom) X(__recv_chk) X(__recvfrom_chk) X(write) X(writev)            \
	X(pwritev2) X(pwritev64v2) X(send) X(sendto) X(sendfile) X(sendfile64)            \
	X(splice) X(tee) X(pread) X(pread64) X(close) X(close_range) X(closefrom)         \
	X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) X(open) X(open64) X(openat)            \
	X(openat64) X(creat) X(creat64) X(__open_2) X(__open64_2) X(__openat_2)           \
	X(__openat64_2) X(pipe) X(pipe2) X(eventfd) X(epoll_create) X(epoll_create1)      \
	X(timerfd_create) X(signalfd) X(memfd_create) X(inotify_init) X(inotify_init1)    \
	X(select) X(pselect) X(epoll_ctl) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2)    \
	X(fopen) X(fopen64) X(fdopen) X(freopen) X(freopen64) X(fclose) X(opendir)        \
	X(fdopendir) X(closedir) X(popen) X(pclose) X(system) X(wordexp) X(poll)          \
	X(tmpfile) X(tmpfile64) X(dprintf) X(vdprintf) X(__dprintf_chk)                   \
	X(__vdprintf_chk) X(aio_read) X(aio_read64) X(aio_write) X(aio_write64)           \
	X(lio_listio) X(lio_listio64) X(execv) X(execve) X(execvp) X(execvpe) X(execveat)             \
	X(fexecve) X(posix_spawn) X(posix_spawnp) X(posix_spawn_file_actions_adddup2)     \
	X(fork) X(_Fork) X(unshare) X(setns) X(prctl) X(setrlimit) X(getrlimit) X(prlimit)              \
	X(syscall) X(sigaction) X(signal)                                                 \
	X(ssignal) X(bsd_signal) X(sysv_signal) X(__sysv_signal) X(sigset)                \
	X(getifaddrs) X(freeifaddrs) X(if_nametoindex) X(if_indextoname)                  \
	X(if_nameindex) X(if_freenameindex) X(stat) X(stat64) X(lstat) X(lstat64)         \
	X(fstatat) X(fstatat64) X(__xstat) X(__xstat64) X(__lxstat) X(__lxstat64)         \
	X(__fxstatat) X(__fxstatat64) X(statx) X(access) X(eaccess) X(faccessat)          \
	X(gethostname) X(__gethostname_chk) X(uname) X(getaddrinfo) X(getnameinfo)        \
	X(getaddrinfo_a) X(gai_suspend) X(gai_cancel) X(gethostbyname)                    \
	X(gethostbyname2) X(gethostbyaddr) X(gethostbyname_r) X(gethostbyname2_r)         \
	X(gethostbyaddr_r) X(res_query) X(res_search) X(res_querydomain) X(res_send)      \
	X(res_nquery) X(res_nsearch) X(res_nquerydomain) X(res_nsend) X(ppoll)            \
	X(__poll_chk) X(__ppoll_chk) X(readlink) X(__readlink_chk) X(readlinkat)          \
	X(__readlinkat_chk) X(realpath) X(__realpath_chk) X(chdir) X(scandir)             \
	X(scandir64)
/* clang-format on */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
struct libc_calls {
#define X(name) __typeof__(name) *name;
	LIBC_SYMBOLS(X)
#undef X
};
#pragma GCC diagnostic pop

extern struct libc_calls libc_resolved;
extern bool libc_ready;
const struct libc_calls *libc_resolve(void);

#define libc (*libc_now())
static inline const struct libc_calls *libc_now(void)
{
	/* Acquire: pairs with the release in libc_resolve. */
	if (__builtin_expect(__atomic_load_n(&libc_ready, __ATOMIC_ACQUIRE), 1))
		return &libc_resolved;
	return libc_resolve();
}

#endif
