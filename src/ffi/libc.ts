// The calls that Node does not offer, straight from libc. One rule: every function gives a number >= 0 or a negative
// errno; nothing throws. Memory is passed by address, a plain number (user addresses have 47 bits), so that a call
// costs no allocation: koffi needs 200 to 400 ns for it. Small structures are built in `scratch`, a page per thread.
//
// What returns at once is called at once; what may block for long and must not stall a loop, on a thread of libuv's pool
// (waitReadable).
import koffi from 'koffi'

import { ENOSYS, EPERM } from '../base/errno.ts'

const lib = koffi.load('libc.so.6')

/** `value` if it is no failure, else the negative errno of the call just made on this thread. */
const checked = (value: number) => (value < 0 ? -koffi.errno() : value)

const LINUX = {
  x64: { futex: 202, pidfd_open: 434, epoll_pwait2: 441 },
  arm64: { futex: 98, pidfd_open: 434, epoll_pwait2: 441 },
}
const SYS = LINUX[process.arch as 'x64' | 'arm64']
if (SYS === undefined) throw new Error(`ioth runs on x64 and arm64, not on ${process.arch}`)

const raw = {
  syscall: lib.func(
    'int64_t syscall(int64_t, uintptr_t, int64_t, int64_t, uintptr_t, uintptr_t, int64_t)',
  ),
  close: lib.func('int close(int)'),
  read: lib.func('int64_t read(int, uintptr_t, size_t)'),
  write: lib.func('int64_t write(int, uintptr_t, size_t)'),
  readv: lib.func('int64_t readv(int, uintptr_t, int)'),
  writev: lib.func('int64_t writev(int, uintptr_t, int)'),
  recv: lib.func('int64_t recv(int, uintptr_t, size_t, int)'),
  send: lib.func('int64_t send(int, uintptr_t, size_t, int)'),
  sendmsg: lib.func('int64_t sendmsg(int, uintptr_t, int)'),
  recvmsg: lib.func('int64_t recvmsg(int, uintptr_t, int)'),
  socket: lib.func('int socket(int, int, int)'),
  socketpair: lib.func('int socketpair(int, int, int, uintptr_t)'),
  bind: lib.func('int bind(int, uintptr_t, uint32_t)'),
  connect: lib.func('int connect(int, uintptr_t, uint32_t)'),
  listen: lib.func('int listen(int, int)'),
  accept4: lib.func('int accept4(int, uintptr_t, uintptr_t, int)'),
  getpeername: lib.func('int getpeername(int, uintptr_t, uintptr_t)'),
  getsockopt: lib.func('int getsockopt(int, int, int, uintptr_t, uintptr_t)'),
  setsockopt: lib.func('int setsockopt(int, int, int, uintptr_t, uint32_t)'),
  shutdown: lib.func('int shutdown(int, int)'),
  eventfd: lib.func('int eventfd(uint32_t, int)'),
  epoll_create1: lib.func('int epoll_create1(int)'),
  epoll_ctl: lib.func('int epoll_ctl(int, int, int, uintptr_t)'),
  epoll_wait: lib.func('int epoll_wait(int, uintptr_t, int, int)'),
  poll: lib.func('int poll(uintptr_t, unsigned long, int)'),
  memfd_create: lib.func('int memfd_create(const char *, uint32_t)'),
  ftruncate: lib.func('int ftruncate(int, int64_t)'),
  fallocate: lib.func('int fallocate(int, int, int64_t, int64_t)'),
  fcntl: lib.func('int fcntl(int, int, int64_t)'),
  flock: lib.func('int flock(int, int)'),
  mmap: lib.func('uintptr_t mmap(uintptr_t, size_t, int, int, int, int64_t)'),
  ioctl: lib.func('int ioctl(int, uint64_t, uintptr_t)'),
  munmap: lib.func('int munmap(uintptr_t, size_t)'),
  pipe2: lib.func('int pipe2(uintptr_t, int)'),
  execve: lib.func('int execve(uintptr_t, uintptr_t, uintptr_t)'),
  _exit: lib.func('void _exit(int)'),
}

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_SEQPACKET = 5
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_PEERCRED = 17
export const MSG_OOB = 1
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const MSG_CMSG_CLOEXEC = 0x40000000
export const SHUT_RD = 0
export const SHUT_WR = 1
export const SHUT_RDWR = 2
export const LOCK_EX = 2
export const LOCK_NB = 4
export const F_SETFD = 2
export const F_SETFL = 4
export const FD_CLOEXEC = 1
export const O_NONBLOCK = 0o4000
const MAP_FAILED = 2 ** 64

/** Maps `size` bytes of `fd`, shared and without reserving memory (fd -1: private and empty). Address or negative errno. */
export function mmap(fd: number, size: number): number {
  const flags = fd < 0 ? 0x22 /* PRIVATE|ANONYMOUS */ : 0x4001 /* SHARED|NORESERVE */
  const address = Number(raw.mmap(0, size, 3, flags, fd, 0))
  return address >= MAP_FAILED - 4096 || address < 0 ? -koffi.errno() : address
}

export const munmap = (address: number, size: number) => checked(raw.munmap(address, size))

/** The mapped bytes at `address` as an ArrayBuffer: the memory itself, not a copy. */
export const view = (address: number, size: number): ArrayBuffer => koffi.view(address, size)

/** A page and more of this thread's own for arguments: address, bytes, and a view of them. */
export const SCRATCH_SIZE = 16384
export const scratch = mmap(-1, SCRATCH_SIZE)
if (scratch < 0) throw new Error(`no memory for arguments of system calls (errno ${-scratch})`)
export const scratchBytes = new Uint8Array(view(scratch, SCRATCH_SIZE))
export const scratchView = new DataView(scratchBytes.buffer)

/** Writes a 64-bit address or length into scratch. */
export function poke64(at: number, value: number): void {
  scratchView.setUint32(at, value >>> 0, true)
  scratchView.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
}

export const close = (fd: number) => checked(raw.close(fd))
export const read = (fd: number, address: number, n: number) => checked(raw.read(fd, address, n))
export const write = (fd: number, address: number, n: number) => checked(raw.write(fd, address, n))
export const recv = (fd: number, address: number, n: number, flags: number) =>
  checked(raw.recv(fd, address, n, flags))
export const send = (fd: number, address: number, n: number, flags: number) =>
  checked(raw.send(fd, address, n, flags))
export const socket = (family: number, type: number, protocol: number) =>
  checked(raw.socket(family, type, protocol))
export const bind = (fd: number, address: number, n: number) => checked(raw.bind(fd, address, n))
export const connect = (fd: number, address: number, n: number) =>
  checked(raw.connect(fd, address, n))
export const listen = (fd: number, backlog: number) => checked(raw.listen(fd, backlog))
export const accept4 = (fd: number, flags: number) => checked(raw.accept4(fd, 0, 0, flags))
export const getpeername = (fd: number, address: number, length: number) =>
  checked(raw.getpeername(fd, address, length))
export const shutdown = (fd: number, how: number) => checked(raw.shutdown(fd, how))
export const sendmsg = (fd: number, msg: number, flags: number) =>
  checked(raw.sendmsg(fd, msg, flags))
export const recvmsg = (fd: number, msg: number, flags: number) =>
  checked(raw.recvmsg(fd, msg, flags))
export const memfdCreate = (name: string, flags: number) => checked(raw.memfd_create(name, flags))
export const ftruncate = (fd: number, size: number) => checked(raw.ftruncate(fd, size))
export const fcntl = (fd: number, command: number, arg: number) =>
  checked(raw.fcntl(fd, command, arg))
export const ioctl = (fd: number, request: number, arg: number) =>
  checked(raw.ioctl(fd, request, arg))
export const flock = (fd: number, operation: number) => checked(raw.flock(fd, operation))

/** Gives the pages of a memfd's range back; they read as zeros afterwards (fallocate PUNCH_HOLE|KEEP_SIZE). */
export const punchHole = (fd: number, offset: number, length: number) =>
  checked(raw.fallocate(fd, 3, offset, length))

/** Reads into, or writes from, two pieces of memory in one call: a ring's end and its start. */
export function readv2(fd: number, a: number, an: number, b: number, bn: number): number {
  return checked(raw.readv(fd, iovecs(a, an, b, bn), bn > 0 ? 2 : 1))
}
export function writev2(fd: number, a: number, an: number, b: number, bn: number): number {
  return checked(raw.writev(fd, iovecs(a, an, b, bn), bn > 0 ? 2 : 1))
}

function iovecs(a: number, an: number, b: number, bn: number): number {
  poke64(0, a)
  poke64(8, an)
  poke64(16, b)
  poke64(24, bn)
  return scratch
}

const SIOCOUTQ = 0x5411
const FIONREAD = 0x541b

/**
 * What of all that was sent lies unread at the other end of an AF_UNIX socket, in the kernel's accounting (SIOCOUTQ). While
 * it tells of the room that a message left (EPOLLOUT), the kernel still counts one byte of it; messages count even numbers.
 */
export function outQueue(fd: number): number {
  const r = checked(raw.ioctl(fd, SIOCOUTQ, scratch + 72))
  return r < 0 ? r : scratchView.getInt32(72, true) & ~1
}

/** Bytes that lie unread at this end (FIONREAD). */
export function inQueue(fd: number): number {
  const r = checked(raw.ioctl(fd, FIONREAD, scratch + 72))
  return r < 0 ? r : scratchView.getInt32(72, true)
}

/** Wakes up to `n` waiters of a futex word in shared memory. */
export const futexWake = (address: number, n: number) =>
  checked(Number(raw.syscall(SYS.futex, address, 1, n, 0, 0, 0)))

/** A descriptor that becomes readable when process `pid` ends (pidfd_open(2)). */
export const pidfdOpen = (pid: number) =>
  checked(Number(raw.syscall(SYS.pidfd_open, pid, 0, 0, 0, 0, 0)))
export function setsockoptInt(fd: number, level: number, name: number, value: number): number {
  scratchView.setInt32(72, value, true)
  return checked(raw.setsockopt(fd, level, name, scratch + 72, 4))
}

/** Who is at the other end of a connected AF_UNIX socket (SO_PEERCRED); undefined if nobody can be told. */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } | undefined {
  scratchView.setUint32(64, 12, true)
  if (raw.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, scratch + 72, scratch + 64) < 0) return
  return {
    pid: scratchView.getInt32(72, true),
    uid: scratchView.getUint32(76, true),
    gid: scratchView.getUint32(80, true),
  }
}

export const eventfd = () => checked(raw.eventfd(0, SOCK_NONBLOCK | SOCK_CLOEXEC))

/** Adds 1 to an eventfd. */
export function eventfdSignal(fd: number): number {
  poke64(0, 1)
  return write(fd, scratch, 8)
}
/** Empties an eventfd (non-blocking). */
export const eventfdClear = (fd: number) => read(fd, scratch, 8)

/** Both ends of a pipe, close-on-exec: [read, write], or a negative errno. */
export function pipe(): [number, number] | number {
  const r = checked(raw.pipe2(scratch, SOCK_CLOEXEC))
  return r < 0 ? r : [scratchView.getInt32(0, true), scratchView.getInt32(4, true)]
}

/** Two AF_UNIX sockets connected to each other, close-on-exec, or a negative errno. */
export function socketpair(type: number): [number, number] | number {
  const r = checked(raw.socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, scratch))
  return r < 0 ? r : [scratchView.getInt32(0, true), scratchView.getInt32(4, true)]
}

export const EPOLLIN = 1
export const EPOLLOUT = 4
export const EPOLLERR = 8
export const EPOLLHUP = 0x10
export const EPOLLRDHUP = 0x2000
export const EPOLLET = -0x80000000
export const EPOLL_CTL_ADD = 1
export const EPOLL_CTL_DEL = 2
export const EPOLL_CTL_MOD = 3

export const epollCreate = () => checked(raw.epoll_create1(SOCK_CLOEXEC))

/** struct epoll_event is packed on x86-64 only. */
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16
const EVENT_DATA = process.arch === 'x64' ? 4 : 8

/** EPOLL_CTL_ADD, MOD or DEL; `data` (32 bits) comes back with the event. */
export function epollCtl(
  epoll: number,
  operation: number,
  fd: number,
  events: number,
  data: number,
): number {
  scratchView.setInt32(0, events, true)
  poke64(EVENT_DATA, data >>> 0)
  return checked(raw.epoll_ctl(epoll, operation, fd, scratch))
}

let hasPwait2 = true

/** Memory for the answers of one epoll_wait at a time. */
export class EpollEvents {
  readonly capacity: number
  readonly #address: number
  readonly #view: DataView

  constructor(capacity: number) {
    this.capacity = capacity
    this.#address = mmap(-1, capacity * EVENT_SIZE)
    if (this.#address < 0) throw new Error(`no memory for epoll events (errno ${-this.#address})`)
    this.#view = new DataView(view(this.#address, capacity * EVENT_SIZE))
  }
  /**
   * Waits up to `ms` (-1: for ever; 0: looks). The number of events, or a negative errno. A fraction of a millisecond
   * counts where the kernel knows one (epoll_pwait2, Linux 5.11); elsewhere the next whole one does.
   */
  wait(epoll: number, ms: number): number {
    if (ms > 0 && !Number.isInteger(ms) && hasPwait2) {
      const seconds = Math.floor(ms / 1000)
      poke64(0, seconds)
      poke64(8, Math.min(999_999_999, Math.ceil((ms - 1000 * seconds) * 1e6)))
      const n = checked(
        Number(raw.syscall(SYS.epoll_pwait2, epoll, this.#address, this.capacity, scratch, 0, 8)),
      )
      // A container's filter that does not know the call may say EPERM.
      if (n !== -ENOSYS && n !== -EPERM) return n
      hasPwait2 = false
    }
    return checked(raw.epoll_wait(epoll, this.#address, this.capacity, Math.ceil(ms)))
  }
  events(i: number): number {
    return this.#view.getInt32(i * EVENT_SIZE, true)
  }
  data(i: number): number {
    return this.#view.getUint32(i * EVENT_SIZE + EVENT_DATA, true)
  }
}

const POLLFD_SIZE = 8
export const POLLIN = 1
export const POLLHUP = 0x10
export const POLLRDHUP = 0x2000

/** poll(2) on one descriptor, up to `ms`: what is true of it (0: nothing of it in time), or a negative errno. */
export function poll(fd: number, events: number, ms: number): number {
  scratchView.setInt32(0, fd, true)
  scratchView.setInt32(4, events, true)
  const r = checked(raw.poll(scratch, 1, ms))
  return r < 0 ? r : scratchView.getUint16(6, true)
}

/** A struct pollfd that is nobody else's: the thread that polls writes into it. */
let pollfd: DataView | undefined
let pollfdAddress = 0

/**
 * Sleeps until `fd` is readable or has hung up (poll(2) on one descriptor, an epoll one if there are several); the loop
 * goes on. Resolves to 1, or to -1 if poll failed. One at a time.
 */
export function waitReadable(fd: number): Promise<number> {
  if (pollfd === undefined) {
    pollfdAddress = mmap(-1, POLLFD_SIZE)
    if (pollfdAddress < 0) throw new Error(`no memory for poll (errno ${-pollfdAddress})`)
    pollfd = new DataView(view(pollfdAddress, POLLFD_SIZE))
  }
  pollfd.setInt32(0, fd, true)
  pollfd.setInt16(4, POLLIN, true)
  return new Promise((resolve, reject) =>
    raw.poll.async(pollfdAddress, 1, -1, (error: Error | null, ready: number) => {
      if (error) reject(error)
      else resolve(ready)
    }),
  )
}

/** Replaces this process; only comes back, with a negative errno, if that fails. Bytes, because neither
 * arguments nor environment need be UTF-8. */
export function execve(path: Uint8Array, argv: Uint8Array[], env: Uint8Array[]): number {
  const strings = [path, ...argv, ...env]
  const tables = 8 * (argv.length + 1 + env.length + 1)
  const size = strings.reduce((sum, string) => sum + string.length + 1, tables)
  const memory = mmap(-1, size)
  if (memory < 0) return memory
  const bytes = new Uint8Array(view(memory, size))
  const pointers = new BigUint64Array(bytes.buffer, 0, tables / 8)
  let at = tables
  strings.forEach((string, i) => {
    bytes.set(string, at)
    // Slot argv.length stays NULL: it ends argv, and env begins after it.
    if (i > 0) pointers[i <= argv.length ? i - 1 : i] = BigInt(memory + at)
    at += string.length + 1
  })
  const r = checked(raw.execve(memory + tables, memory, memory + 8 * (argv.length + 1)))
  munmap(memory, size)
  return r
}

/** Ends the process at once: no handlers, no waiting for threads. */
export function exitNow(status: number): never {
  raw._exit(status)
  throw new Error('_exit returned')
}
