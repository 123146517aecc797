// Error numbers as Linux has them (asm-generic/errno.h): the program that reads them is a Linux program,
// whatever machine a test of ours runs on. Functions give them negative; 0 and above is success.
import { getSystemErrorMap } from 'node:util'

export const EPERM = 1 as const
export const ENOENT = 2 as const
export const ESRCH = 3 as const
export const EINTR = 4 as const
export const EIO = 5 as const
export const ENXIO = 6 as const
export const EBADF = 9 as const
export const EAGAIN = 11 as const
export const ENOMEM = 12 as const
export const EACCES = 13 as const
export const EFAULT = 14 as const
export const EBUSY = 16 as const
export const EEXIST = 17 as const
export const ENODEV = 19 as const
export const ENOTDIR = 20 as const
export const EISDIR = 21 as const
export const EINVAL = 22 as const
export const ENFILE = 23 as const
export const EMFILE = 24 as const
export const ENOTTY = 25 as const
export const ESPIPE = 29 as const
export const EPIPE = 32 as const
export const ERANGE = 34 as const
export const ENAMETOOLONG = 36 as const
export const ENOSYS = 38 as const
export const ENODATA = 61 as const
export const ENONET = 64 as const
export const EPROTO = 71 as const
export const EOVERFLOW = 75 as const
export const EBADFD = 77 as const
export const EILSEQ = 84 as const
export const ENOTSOCK = 88 as const
export const EDESTADDRREQ = 89 as const
export const EMSGSIZE = 90 as const
export const EPROTOTYPE = 91 as const
export const ENOPROTOOPT = 92 as const
export const EPROTONOSUPPORT = 93 as const
export const ESOCKTNOSUPPORT = 94 as const
export const EOPNOTSUPP = 95 as const
export const EPFNOSUPPORT = 96 as const
export const EAFNOSUPPORT = 97 as const
export const EADDRINUSE = 98 as const
export const EADDRNOTAVAIL = 99 as const
export const ENETDOWN = 100 as const
export const ENETUNREACH = 101 as const
export const ENETRESET = 102 as const
export const ECONNABORTED = 103 as const
export const ECONNRESET = 104 as const
export const ENOBUFS = 105 as const
export const EISCONN = 106 as const
export const ENOTCONN = 107 as const
export const ESHUTDOWN = 108 as const
export const ETIMEDOUT = 110 as const
export const ECONNREFUSED = 111 as const
export const EHOSTDOWN = 112 as const
export const EHOSTUNREACH = 113 as const
export const EALREADY = 114 as const
export const EINPROGRESS = 115 as const
export const ESTALE = 116 as const
export const ECANCELED = 125 as const
export const EWOULDBLOCK = EAGAIN

const names = new Map<number, string>([
  [EPERM, 'EPERM'],
  [ENOENT, 'ENOENT'],
  [ESRCH, 'ESRCH'],
  [EINTR, 'EINTR'],
  [EIO, 'EIO'],
  [ENXIO, 'ENXIO'],
  [EBADF, 'EBADF'],
  [EAGAIN, 'EAGAIN'],
  [ENOMEM, 'ENOMEM'],
  [EACCES, 'EACCES'],
  [EFAULT, 'EFAULT'],
  [EBUSY, 'EBUSY'],
  [EEXIST, 'EEXIST'],
  [ENODEV, 'ENODEV'],
  [ENOTDIR, 'ENOTDIR'],
  [EISDIR, 'EISDIR'],
  [EINVAL, 'EINVAL'],
  [ENFILE, 'ENFILE'],
  [EMFILE, 'EMFILE'],
  [ENOTTY, 'ENOTTY'],
  [ESPIPE, 'ESPIPE'],
  [EPIPE, 'EPIPE'],
  [ERANGE, 'ERANGE'],
  [ENAMETOOLONG, 'ENAMETOOLONG'],
  [ENOSYS, 'ENOSYS'],
  [ENODATA, 'ENODATA'],
  [ENONET, 'ENONET'],
  [EPROTO, 'EPROTO'],
  [EOVERFLOW, 'EOVERFLOW'],
  [EBADFD, 'EBADFD'],
  [EILSEQ, 'EILSEQ'],
  [ENOTSOCK, 'ENOTSOCK'],
  [EDESTADDRREQ, 'EDESTADDRREQ'],
  [EMSGSIZE, 'EMSGSIZE'],
  [EPROTOTYPE, 'EPROTOTYPE'],
  [ENOPROTOOPT, 'ENOPROTOOPT'],
  [EPROTONOSUPPORT, 'EPROTONOSUPPORT'],
  [ESOCKTNOSUPPORT, 'ESOCKTNOSUPPORT'],
  [EOPNOTSUPP, 'EOPNOTSUPP'],
  [EPFNOSUPPORT, 'EPFNOSUPPORT'],
  [EAFNOSUPPORT, 'EAFNOSUPPORT'],
  [EADDRINUSE, 'EADDRINUSE'],
  [EADDRNOTAVAIL, 'EADDRNOTAVAIL'],
  [ENETDOWN, 'ENETDOWN'],
  [ENETUNREACH, 'ENETUNREACH'],
  [ENETRESET, 'ENETRESET'],
  [ECONNABORTED, 'ECONNABORTED'],
  [ECONNRESET, 'ECONNRESET'],
  [ENOBUFS, 'ENOBUFS'],
  [EISCONN, 'EISCONN'],
  [ENOTCONN, 'ENOTCONN'],
  [ESHUTDOWN, 'ESHUTDOWN'],
  [ETIMEDOUT, 'ETIMEDOUT'],
  [ECONNREFUSED, 'ECONNREFUSED'],
  [EHOSTDOWN, 'EHOSTDOWN'],
  [EHOSTUNREACH, 'EHOSTUNREACH'],
  [EALREADY, 'EALREADY'],
  [EINPROGRESS, 'EINPROGRESS'],
  [ESTALE, 'ESTALE'],
  [ECANCELED, 'ECANCELED'],
])

/** `'ECONNREFUSED'` for 111 or -111; `'errno 4711'` for a number that has no name here. */
export function errnoName(errno: number): string {
  return names.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`
}

/** What the system says about errno (given negative), in its words. */
export const describeErrno = (errno: number): string =>
  getSystemErrorMap().get(errno)?.[1] ?? `errno ${-errno}`
