// Sessions: which processes use the stack.
//
// A process attaches when the shim starts in it, over a SOCK_SEQPACKET connection to the control socket: one request,
// one reply, closed. It gets the region (a memory file, by SCM_RIGHTS) and a slot, a small number that stands in every
// lock and call block it takes, so that both can be told from those of others. A fork child has the region mapped
// already and asks for a slot of its own when it first needs one. An exec keeps the pid: the new image attaches anew, and
// what the old one held is nobody's.
//
// Who may: the owner of the server (SO_PEERCRED), or who shows the token that only the program's environment has: a
// daemon that has given up its uid is still the program that was started. Nobody else learns anything.
//
// A slot ends with its process. The server holds a pidfd for it, readable when the process is gone however it went;
// only then the stack thread breaks its locks and takes back its call blocks, and the slot can be another's.
//
// Life. The stack lives as long as any task runs under the launcher's seccomp filter: the filter's listener reports
// POLLHUP when the last one is gone, through fork, setsid, double fork and closed descriptors. Where the kernel gives
// no listener (one filter's listener excludes another's), the last session's end is the end.
import { timingSafeEqual } from 'node:crypto'
import { EACCES, EAGAIN, EINVAL, EPROTO } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { recvWithFds, sendWithFds } from '../ffi/unix.ts'
import {
  ABI_MAGIC,
  ABI_REGION_SIZE,
  ABI_SLOTS,
  ABI_VERSION,
  CTL_ATTACH,
  CTL_FAULT,
  CTL_LAUNCH,
  CTL_REPLY,
  CTL_REPLY_SIZE,
  CTL_REQUEST,
  CTL_REQUEST_SIZE,
  CTL_SLOT,
  FAULT_LOOP,
  FAULT_THROW,
  FAULT_UNCAUGHT,
} from '../shm/layout.ts'

/** Slot 0 says "none", the last one is the server's own in lock words. */
const FIRST_SLOT = 1
const LAST_SLOT = ABI_SLOTS - 2

/** Epoll data of connections that have said nothing yet: this plus the descriptor. Slots are smaller. */
export const SILENT = 0x100000
/** So many of them are kept; then the oldest has to go. Anyone may connect, and a request follows at once. */
const MOST_SILENT = 256

const FAULTS = new Map<number, Fault>([
  [FAULT_THROW, 'throw'],
  [FAULT_LOOP, 'loop'],
  [FAULT_UNCAUGHT, 'uncaught'],
])

export type Fault = 'throw' | 'loop' | 'uncaught'

export interface SessionHooks {
  /** A process is gone, or is another program now: what slot `slot` held is free. */
  slotEnded(slot: number): void
  /** The launcher is about to become the program; `listener`: the seccomp listener, -1 if there is none. */
  launched(listener: number): void
  /** A test asks for a fault. */
  fault(kind: Fault): void
}

interface Session {
  readonly slot: number
  readonly pid: number
  readonly pidfd: number
}

export class Sessions {
  readonly #epoll: number
  readonly #regionFd: number
  readonly #token: Buffer
  readonly #hooks: SessionHooks
  readonly #faults: boolean
  readonly #uid = process.geteuid!()
  readonly #bySlot = new Map<number, Session>()
  readonly #byPid = new Map<number, Session>()
  readonly #silent = new Set<number>()
  #nextSlot = FIRST_SLOT

  constructor(
    epoll: number,
    regionFd: number,
    token: Buffer,
    faults: boolean,
    hooks: SessionHooks,
  ) {
    this.#epoll = epoll
    this.#regionFd = regionFd
    this.#token = token
    this.#faults = faults
    this.#hooks = hooks
  }

  get count(): number {
    return this.#bySlot.size
  }

  /** Takes every connection that waits at the control socket; what has not come yet is waited for in the epoll set. */
  accept(listener: number): void {
    for (;;) {
      const fd = libc.accept4(listener, libc.SOCK_CLOEXEC | libc.SOCK_NONBLOCK)
      if (fd < 0) return
      if (this.#one(fd)) libc.close(fd)
      else this.#await(fd)
    }
  }

  /** The silent connection `fd` has said something, or is gone. */
  spoke(fd: number): void {
    if (!this.#silent.has(fd) || !this.#one(fd)) return
    this.#silent.delete(fd)
    libc.close(fd)
  }

  #await(fd: number): void {
    if (this.#silent.size >= MOST_SILENT)
      for (const oldest of this.#silent) {
        this.#silent.delete(oldest)
        libc.close(oldest)
        break
      }
    this.#silent.add(fd)
    libc.epollCtl(this.#epoll, libc.EPOLL_CTL_ADD, fd, libc.EPOLLIN, SILENT + fd)
  }

  /** The process of `slot` is gone. */
  ended(slot: number): void {
    const session = this.#bySlot.get(slot)
    if (session === undefined) return
    this.#bySlot.delete(slot)
    if (this.#byPid.get(session.pid) === session) this.#byPid.delete(session.pid)
    libc.close(session.pidfd)
    this.#hooks.slotEnded(slot)
  }

  /** Answers the request of this connection. False: there is none yet. */
  #one(fd: number): boolean {
    const got = recvWithFds(fd, CTL_REQUEST_SIZE + 1)
    if (typeof got === 'number') return got !== -EAGAIN
    const { bytes, fds } = got
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const peer = libc.peerCredentials(fd)
    if (
      bytes.length !== CTL_REQUEST_SIZE ||
      view.getUint32(CTL_REQUEST.magic, true) !== ABI_MAGIC ||
      view.getUint32(CTL_REQUEST.version, true) !== ABI_VERSION
    )
      reply(fd, -EPROTO, 0, [])
    else if (peer === undefined || !this.#mayAttach(peer.uid, bytes)) reply(fd, -EACCES, 0, [])
    else {
      const op = view.getUint32(CTL_REQUEST.op, true)
      const arg = view.getUint32(CTL_REQUEST.arg, true)
      if (op === CTL_LAUNCH) {
        this.#hooks.launched(fds.shift() ?? -1)
        reply(fd, 0, 0, [])
      } else if (op === CTL_ATTACH || op === CTL_SLOT) this.#attach(fd, op, peer.pid)
      else if (op === CTL_FAULT && this.#faults) {
        const fault = FAULTS.get(arg)
        if (fault !== undefined) this.#hooks.fault(fault)
        reply(fd, fault === undefined ? -EINVAL : 0, 0, [])
      } else reply(fd, -EPROTO, 0, [])
    }
    for (const extra of fds) libc.close(extra)
    return true
  }

  #mayAttach(uid: number, request: Uint8Array): boolean {
    const token = request.subarray(CTL_REQUEST.token, CTL_REQUEST.token + this.#token.length)
    return uid === this.#uid || timingSafeEqual(token, this.#token)
  }

  #attach(fd: number, op: number, pid: number): void {
    const before = this.#byPid.get(pid)
    // Threads of a fork child may ask at the same time; a program that exec() started, or another process that has the
    // number now, begins anew.
    if (before !== undefined && op === CTL_SLOT && libc.poll(before.pidfd, libc.POLLIN, 0) === 0)
      return reply(fd, 0, before.slot, [])
    if (before !== undefined) this.ended(before.slot)
    const pidfd = libc.pidfdOpen(pid)
    const slot = pidfd < 0 ? -1 : this.#freeSlot()
    if (slot < 0) {
      if (pidfd >= 0) libc.close(pidfd)
      reply(fd, pidfd < 0 ? pidfd : -EAGAIN, 0, [])
      return
    }
    const session = { slot, pid, pidfd }
    this.#bySlot.set(slot, session)
    this.#byPid.set(pid, session)
    libc.epollCtl(this.#epoll, libc.EPOLL_CTL_ADD, pidfd, libc.EPOLLIN, slot)
    reply(fd, 0, slot, op === CTL_ATTACH ? [this.#regionFd] : [])
  }

  #freeSlot(): number {
    for (let tried = 0; tried < LAST_SLOT; tried++) {
      const slot = this.#nextSlot
      this.#nextSlot = slot === LAST_SLOT ? FIRST_SLOT : slot + 1
      if (!this.#bySlot.has(slot)) return slot
    }
    return -1
  }
}

function reply(fd: number, result: number, slot: number, fds: number[]): void {
  const bytes = new Uint8Array(CTL_REPLY_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(CTL_REPLY.magic, ABI_MAGIC, true)
  view.setInt32(CTL_REPLY.result, result, true)
  view.setUint32(CTL_REPLY.slot, slot, true)
  view.setUint32(CTL_REPLY.region_size, ABI_REGION_SIZE, true)
  sendWithFds(fd, bytes, fds)
}
