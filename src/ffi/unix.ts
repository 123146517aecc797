// AF_UNIX sockets: names, paths, and passing descriptors.
import * as libc from './libc.ts'

/** Where struct sockaddr_un stands in scratch while a call uses it. */
const ADDRESS = 128
const LENGTH = 120
const MSG = 512
const CONTROL = 640
const DATA = 1024
const MAX_FDS = 8

/** Bytes of sun_path that a path may fill, with its final zero (unix(7)). */
export const UNIX_PATH_MAX = 108

/** Puts an address into scratch: `@name` is abstract, anything else a path. Its length; -ENAMETOOLONG. */
function address(name: string): number {
  const bytes = Buffer.from(name)
  if (bytes.length >= UNIX_PATH_MAX) return -36
  libc.scratchView.setUint16(ADDRESS, libc.AF_UNIX, true)
  libc.scratchBytes.set(bytes, ADDRESS + 2)
  if (name.startsWith('@')) {
    libc.scratchBytes[ADDRESS + 2] = 0
    return 2 + bytes.length
  }
  libc.scratchBytes[ADDRESS + 2 + bytes.length] = 0
  return 2 + bytes.length + 1
}

/** A non-blocking, close-on-exec AF_UNIX socket. */
export const unixSocket = (type: number) =>
  libc.socket(libc.AF_UNIX, type | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC, 0)

/** bind(2) to `@abstract` or a path. */
export function unixBind(fd: number, name: string): number {
  const n = address(name)
  return n < 0 ? n : libc.bind(fd, libc.scratch + ADDRESS, n)
}

/** connect(2) to `@abstract` or a path. */
export function unixConnect(fd: number, name: string): number {
  const n = address(name)
  return n < 0 ? n : libc.connect(fd, libc.scratch + ADDRESS, n)
}

/** The peer's name, `@` for abstract; '' if it has none, or a negative errno. */
export function unixPeerName(fd: number): string | number {
  libc.scratchView.setUint32(LENGTH, UNIX_PATH_MAX + 2, true)
  const r = libc.getpeername(fd, libc.scratch + ADDRESS, libc.scratch + LENGTH)
  if (r < 0) return r
  const end = ADDRESS + libc.scratchView.getUint32(LENGTH, true)
  if (end <= ADDRESS + 2) return ''
  const first = libc.scratchBytes[ADDRESS + 2]
  if (first === 0)
    return '@' + Buffer.from(libc.scratchBytes.subarray(ADDRESS + 3, end)).toString('latin1')
  return Buffer.from(libc.scratchBytes.subarray(ADDRESS + 2, end - 1)).toString()
}

/** A listening socket on `@abstract` or a path; negative errno. */
export function unixListen(type: number, name: string, backlog: number): number {
  const fd = unixSocket(type)
  if (fd < 0) return fd
  const r = unixBind(fd, name)
  const l = r < 0 || type === libc.SOCK_DGRAM ? r : libc.listen(fd, backlog)
  if (l < 0) libc.close(fd)
  return l < 0 ? l : fd
}

/** Sends `bytes` with descriptors (SCM_RIGHTS). Bytes sent, or a negative errno. */
export function sendWithFds(fd: number, bytes: Uint8Array, fds: number[]): number {
  const v = libc.scratchView
  libc.scratchBytes.set(bytes, DATA)
  libc.poke64(0, libc.scratch + DATA)
  libc.poke64(8, bytes.length)
  libc.scratchBytes.fill(0, MSG, MSG + 56)
  libc.poke64(MSG + 16, libc.scratch)
  libc.poke64(MSG + 24, 1)
  if (fds.length > 0) {
    libc.poke64(CONTROL, 16 + 4 * fds.length)
    v.setInt32(CONTROL + 8, libc.SOL_SOCKET, true)
    v.setInt32(CONTROL + 12, 1 /* SCM_RIGHTS */, true)
    fds.forEach((f, i) => v.setInt32(CONTROL + 16 + 4 * i, f, true))
    libc.poke64(MSG + 32, libc.scratch + CONTROL)
    libc.poke64(MSG + 40, 16 + ((4 * fds.length + 7) & ~7))
  }
  return libc.sendmsg(fd, libc.scratch + MSG, libc.MSG_NOSIGNAL)
}

/** Receives up to `room` bytes (at most 8 KB) and the descriptors that came along; a negative errno. */
export function recvWithFds(
  fd: number,
  room: number,
  flags = libc.MSG_DONTWAIT,
): { bytes: Uint8Array; fds: number[] } | number {
  const v = libc.scratchView
  libc.poke64(0, libc.scratch + DATA)
  libc.poke64(8, Math.min(room, 8192))
  libc.scratchBytes.fill(0, MSG, MSG + 56)
  libc.poke64(MSG + 16, libc.scratch)
  libc.poke64(MSG + 24, 1)
  libc.poke64(MSG + 32, libc.scratch + CONTROL)
  libc.poke64(MSG + 40, 16 + 4 * MAX_FDS)
  const n = libc.recvmsg(fd, libc.scratch + MSG, flags | libc.MSG_CMSG_CLOEXEC)
  if (n < 0) return n
  const fds: number[] = []
  const end = CONTROL + v.getUint32(MSG + 40, true)
  for (let at = CONTROL; at + 16 <= end;) {
    const length = v.getUint32(at, true)
    if (length < 16) break
    if (v.getInt32(at + 8, true) === libc.SOL_SOCKET && v.getInt32(at + 12, true) === 1)
      for (let i = 16; i + 4 <= length; i += 4) fds.push(v.getInt32(at + i, true))
    at += (length + 7) & ~7
  }
  return { bytes: libc.scratchBytes.slice(DATA, DATA + n), fds }
}
