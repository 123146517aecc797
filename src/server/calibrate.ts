// How this kernel accounts for AF_UNIX sockets with the smallest send buffer: what the plug is made of.
import * as libc from '../ffi/libc.ts'
import { unixConnect, unixListen, unixSocket } from '../ffi/unix.ts'

const POLLOUT = 4

/** More 1-byte messages than this to take POLLOUT away, or fewer than 2: we do not know this kernel. */
const MOST = 4

export interface Plugging {
  /** 1-byte messages until a socket is not writable; 0: native mode only. */
  readonly plug: number
  /** What SIOCOUTQ shows for one unread 1-byte message of a socket with a usual buffer. */
  readonly tokenSize: number
}

/** Tries it on a pair of sockets of this name (abstract). */
export function calibrate(name: string): Plugging {
  const listener = unixListen(libc.SOCK_STREAM, name, 1)
  const end = unixSocket(libc.SOCK_STREAM)
  libc.setsockoptInt(end, libc.SOL_SOCKET, libc.SO_SNDBUF, 1)
  unixConnect(end, name)
  const other = libc.accept4(listener, libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK)
  let plug = 0
  while (plug <= MOST && libc.poll(end, POLLOUT, 0) > 0) {
    libc.send(end, libc.scratch, 1, libc.MSG_DONTWAIT)
    plug++
  }
  libc.send(other, libc.scratch, 1, libc.MSG_DONTWAIT)
  const tokenSize = libc.outQueue(other)
  for (const fd of [listener, end, other]) libc.close(fd)
  return { plug: plug >= 2 && plug <= MOST ? plug : 0, tokenSize: Math.max(1, tokenSize) }
}
