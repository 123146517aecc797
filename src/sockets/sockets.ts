// The virtual sockets of one stack, between the programs' calls and TCP. In each turn the stack thread takes the calls
// and the work that programs posted; what TCP has to report comes back through TcpUser.
//
// Everything here can be built a second time over the same memories: recover() finds the sockets, their connections,
// listeners and the calls that wait as the thread before this one left them.
import { EBADF, EINVAL, EOPNOTSUPP } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { unixPeerName } from '../ffi/unix.ts'
import { Chunks } from '../shm/chunks.ts'
import * as A from '../shm/layout.ts'
import type { Region } from '../shm/region.ts'
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_ERROR,
  EV_FIN,
  EV_ROOM,
  EV_TEXT,
  EV_TIME_WAIT,
  EV_URGENT,
  type Stack,
  type TcpUser,
} from '../stack/stack.ts'
import { Calls, type Call } from './calls.ts'
import { bindSocket } from './bind.ts'
import {
  endEvent,
  failed,
  finished,
  hungUp,
  probe,
  release,
  shutdownSocket,
  mayBeUnseen,
} from './close.ts'
import { attachEnd, connectSocket, disconnectSocket } from './connect.ts'
import { deliverWaiting, established, listenSocket, synArrives } from './listener.ts'
import { goNative } from './mode.ts'
import { openSocket } from './open.ts'
import { outQueue, work } from './posted.ts'
import { recountTokens, recover, served } from './recovery.ts'
import { connected, endArrived, roomMade, textArrived } from './transfer.ts'
import { urgentArrived, urgentCall } from './urgent.ts'
import { expireWaits, waitFor } from './waits.ts'
import type { Ground, SocketCounters } from './ground.ts'
import { Messages } from './messages/messages.ts'
import { AF_NETLINK } from './messages/netlink.ts'
import { attachMessages, claimPacketRings, recoverMessages } from './messages/open.ts'
import { serveMessageCall } from './messages/serve.ts'
import { lockBroken } from './messages/deliver.ts'
import { goOn, messageEvent, probeMessages } from './messages/take.ts'
import { Names } from './names.ts'
import { getOption, setOption } from './options.ts'
import { freeWritten, growReceive, growSend } from './rings.ts'
import { goesOn, ringOwed, showHeldEnds, WAIT_TURN } from './readiness.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { Uploads } from './uploads.ts'
import { isPosted, repairWork, takeWork } from './work.ts'

/** Names looked at in one sweep; with more sockets, later sweeps go on. */
const PROBES_PER_SWEEP = 2000
const EVENTS_AT_ONCE = 256

/** Who answers the calls that are about no socket, and has connections that are nobody's sockets. */
export interface Services {
  /** A result, LATER, or undefined: there is no such call. */
  serve(call: Call, now: number): number | undefined
  /** The caller of a call that was put off has given up. */
  forget(block: number): void
  /** An event of TCP's; true: of a connection of theirs. */
  changed(tcb: number, events: number, now: number): boolean
}

export interface SocketsOptions {
  readonly region: Region
  /** Private memories: the table (table.ts), the calls' stages (calls.ts). */
  readonly tableMemory: ArrayBufferLike
  readonly callsMemory: ArrayBufferLike
  readonly tcbCapacity: number
  /** The stack's name: 16 hexadecimal digits. */
  readonly name: string
  readonly plug: number
  readonly tokenSize: number
  readonly epoll: number
  /** 32 bits that cannot be guessed. */
  readonly random: () => number
  /** Makes the stack whose connections these sockets show. */
  readonly makeStack: (user: TcpUser) => Stack
}

export class Sockets implements TcpUser {
  readonly ground: Ground
  readonly #region: Region
  readonly #events = new libc.EpollEvents(EVENTS_AT_ONCE)
  readonly #specials: ((events: number) => void)[] = []
  #services: Services | undefined
  #probed = 0
  #generation = -1
  readonly #serve = (call: Call) => this.#dispatch(call)
  readonly #forget = (block: number) => this.#forgetWait(block)
  readonly #work = (record: number) => this.#workOn(record)

  constructor(options: SocketsOptions) {
    const { region } = options
    const counters: SocketCounters = {
      corruptRings: 0,
      strangers: 0,
      staleCalls: 0,
      squattedNames: 0,
      noRecords: 0,
      noMemory: 0,
    }
    this.#region = region
    this.ground = {
      region,
      table: new T.SocketTable(options.tableMemory),
      chunks: new Chunks(),
      calls: new Calls(region, options.callsMemory),
      names: new Names(options.name),
      stack: options.makeStack(this),
      streams: new Array<Stream | undefined>(A.ABI_RECORDS).fill(undefined),
      messages: new Messages(),
      uploads: new Uploads(),
      recordOf: new Int32Array(options.tcbCapacity).fill(-1),
      timed: new Set(),
      ended: new Set(),
      owed: new Set(),
      heldEnds: new Map(),
      writtenTo: [],
      undelivered: new Map(),
      begun: [],
      reclaimPort: port => this.#reclaimPort(port),
      reclaimRecords: () => this.#reclaimRecords(),
      random: options.random,
      tokenSize: options.tokenSize,
      epoll: options.epoll,
      plug: options.plug,
      counters,
      now: 0,
    }
  }

  /** To be called before recover(). */
  provide(services: Services): void {
    this.#services = services
  }

  // ---- a turn

  /** Takes what programs posted. How many things there were. */
  takePosted(now: number): number {
    this.ground.now = now
    for (const s of this.ground.begun.splice(0)) goesOn(this.ground, s)
    const n = this.ground.calls.take(this.#serve, this.#forget) + takeWork(this.#region, this.#work)
    this.#reap()
    goOn(this.ground)
    this.#tellWorld()
    return n
  }

  /** Paths have changed: what programs remember of destinations counts no more. */
  #tellWorld(): void {
    const { generation } = this.ground.stack
    if (generation === this.#generation) return
    this.#generation = generation
    Atomics.add(this.#region.words, A.REGION.world / 4, 1)
  }

  /** Has a program posted anything that takePosted() has not seen? */
  get posted(): boolean {
    return isPosted(this.#region)
  }

  /** Another descriptor to watch beside the sockets' own ends; `handle` gets its events. */
  watch(fd: number, events: number, handle: (events: number) => void): void {
    const id = this.#specials.push(handle) - 1
    // The old thread of this process may have watched it in the same set.
    libc.epollCtl(this.ground.epoll, libc.EPOLL_CTL_DEL, fd, 0, 0)
    const r = libc.epollCtl(this.ground.epoll, libc.EPOLL_CTL_ADD, fd, events, 0x80000000 | id)
    if (r < 0) throw new Error(`Cannot watch descriptor ${fd}: epoll_ctl gave errno ${-r}`)
  }

  unwatch(fd: number): void {
    libc.epollCtl(this.ground.epoll, libc.EPOLL_CTL_DEL, fd, 0, 0)
  }

  /** Sleeps up to `ms` for events (0: only looks) and acts on them. How many there were. */
  poll(ms: number): number {
    const n = this.#events.wait(this.ground.epoll, ms)
    // Copied first: a handler may poll again.
    const ready: number[] = []
    for (let i = 0; i < n; i++) ready.push(this.#events.data(i), this.#events.events(i))
    for (let i = 0; i < ready.length; i += 2) {
      const data = ready[i]
      if (data >= 0x80000000) {
        this.#specials[data & 0x7fffffff]?.(ready[i + 1])
        continue
      }
      const s = this.ground.streams[data & 0x3fff]
      const m = this.ground.messages.sockets[data & 0x3fff]
      if (s !== undefined && (s.generation & 0x1ffff) === data >>> 14)
        endEvent(this.ground, s, ready[i + 1])
      else if (m !== undefined && (m.generation & 0x1ffff) === data >>> 14)
        messageEvent(this.ground, m, ready[i + 1])
    }
    this.#reap()
    return Math.max(0, n)
  }

  /** A program's socket has connected to the server's listener: whose is it? */
  accepted(fd: number): void {
    const name = unixPeerName(fd)
    const who = typeof name === 'string' ? this.ground.names.parse(name) : undefined
    const m = who === undefined ? undefined : this.ground.messages.sockets[who.record]
    if (m !== undefined && m.generation === who?.generation)
      return attachMessages(this.ground, m, fd)
    const s = who === undefined ? undefined : this.ground.streams[who.record]
    if (
      s === undefined ||
      s.generation !== who?.generation ||
      !s.has(T.OWN_NAME) ||
      s.state === T.LISTENING ||
      s.state === T.CLOSING
    ) {
      this.ground.counters.strangers++
      libc.close(fd)
      return
    }
    attachEnd(this.ground, s, fd)
  }

  /** Once a second: sockets whose holders died unseen, memory nobody uses, posts cut short. */
  sweep(now: number): void {
    const ground = this.ground
    ground.now = now
    repairWork(this.#region)
    for (let looked = 0, i = 0; i < A.ABI_RECORDS && looked < PROBES_PER_SWEEP; i++) {
      const index = this.#probed++ % A.ABI_RECORDS
      const s = ground.streams[index]
      const m = ground.messages.sockets[index]
      if (m !== undefined && (m.fd < 0 || m.has(T.SHOWN_BOTH)) && m.isSettled(now)) {
        looked++
        probeMessages(ground, m)
      }
      if (s === undefined || !mayBeUnseen(s) || !s.has(T.OWN_NAME)) continue
      if (s.state === T.CLOSING) continue
      looked++
      probe(ground, s)
    }
    for (const index of [...ground.undelivered.keys()]) {
      const s = ground.streams[index]
      if (s !== undefined) deliverWaiting(ground, s)
    }
    freeWritten(ground)
    ground.chunks.trim((offset, size) => void libc.punchHole(this.#region.fd, offset, size))
  }

  /** Answers waits whose time is over; when the next is due, ms. */
  expire(now: number): number {
    this.ground.now = now
    const { ground } = this
    const waits = ground.timed.size === 0 ? Infinity : expireWaits(ground)
    const tokens = ground.owed.size === 0 ? Infinity : ringOwed(ground)
    const ends = ground.heldEnds.size === 0 ? Infinity : showHeldEnds(ground)
    return Math.min(waits, tokens, ends, goOn(ground))
  }

  /** Process `slot` has ended or begun anew: its locks are broken, its calls are nobody's. */
  slotEnded(slot: number): void {
    this.#breakLocks(slot)
    for (const s of this.ground.streams) if (s?.makerEnded(slot)) probe(this.ground, s)
    for (const m of this.ground.messages.sockets)
      if (m?.makerEnded(slot)) probeMessages(this.ground, m)
    this.ground.calls.reclaim(slot, this.#forget)
  }

  #breakLocks(slot: number): void {
    for (const s of this.ground.streams) {
      const wrote = s?.breakLock(A.RECORD.wlock, slot) === true
      const read = s?.breakLock(A.RECORD.rlock, slot) === true
      if (read) recountTokens(this.ground, s)
      if (read || wrote) work(this.ground, s)
    }
    for (const m of this.ground.messages.sockets) {
      const wrote = m?.breakLock(A.RECORD.wlock, slot) === true
      const read = m?.breakLock(A.RECORD.rlock, slot) === true
      if (read || wrote) lockBroken(this.ground, m!)
    }
  }

  /** Nothing is left to send for programs that are gone. */
  get drained(): boolean {
    return this.ground.table.inUse === 0
  }

  #reap(): void {
    for (const s of this.ground.ended) {
      this.ground.ended.delete(s)
      if (this.ground.streams[s.index] === s) hungUp(this.ground, s)
    }
  }

  // ---- calls

  #dispatch(call: Call): number {
    const ground = this.ground
    if (call.op === A.OP_SOCKET) return openSocket(ground, call)
    const m = call.record < A.ABI_RECORDS ? ground.messages.sockets[call.record] : undefined
    if (m !== undefined && m.generation === call.generation) {
      // Netlink sockets have the name of their process, and answers to what was sent at once: their end may have
      // connected a moment ago.
      if (m.fd < 0 && m.family === AF_NETLINK) this.poll(0)
      return serveMessageCall(ground, m, call)
    }
    const served = this.#services?.serve(call, ground.now)
    if (served !== undefined) return served
    const s = call.record < A.ABI_RECORDS ? ground.streams[call.record] : undefined
    if (s === undefined || s.generation !== call.generation) {
      ground.counters.staleCalls++
      return -EBADF
    }
    // The program's end may have connected a moment ago.
    if (s.fd < 0 && s.state === T.CONNECTED) this.poll(0)
    switch (call.op) {
      case A.OP_RETIRE:
        ground.counters.squattedNames++
        release(ground, s)
        return 0
      case A.OP_BIND:
        return bindSocket(ground, s, call)
      case A.OP_CONNECT:
        return connectSocket(ground, s, call)
      case A.OP_LISTEN:
        return listenSocket(ground, s, call.arg[0])
      case A.OP_SHUTDOWN:
        return shutdownSocket(ground, s, call.arg[0])
      case A.OP_SETSOCKOPT:
        return setOption(ground, s, call)
      case A.OP_GETSOCKOPT:
        return getOption(ground, s, call)
      case A.OP_WAIT:
        return waitFor(ground, s, call)
      case A.OP_NATIVE:
        return goNative(ground, s, call.arg[0])
      case A.OP_DISCONNECT:
        return disconnectSocket(ground, s)
      case A.OP_OUTQ:
        return outQueue(ground, s, call)
      case A.OP_URGENT:
        return urgentCall(ground, s, call)
      default:
        return call.op > 0 ? -EOPNOTSUPP : -EINVAL
    }
  }

  #workOn(record: number): void {
    const s = this.ground.streams[record]
    if (s === undefined) return
    if (s.state === T.LISTENING) deliverWaiting(this.ground, s)
    work(this.ground, s)
  }

  /** The caller has given up: a connect goes on without it, as a non-blocking one. */
  #forgetWait(block: number): void {
    this.#services?.forget(block)
    for (const s of this.ground.streams) {
      const given = s?.waiters.find(w => w.block === block)
      if (s === undefined || given === undefined) continue
      s.waiters = s.waiters.filter(w => w !== given)
      if (given.wait === A.WAIT_CONNECTED || given.wait === WAIT_TURN) s.mark(T.AWAITS_PLUG)
    }
  }

  // ---- TcpUser

  synArrives(listener: number): 'accept' | 'drop' | 'refuse' {
    return synArrives(this.ground, this.ground.streams[listener])
  }

  established(tcb: number, listener: number, now: number): boolean {
    this.ground.now = now
    return established(this.ground, tcb, this.ground.streams[listener])
  }

  changed(tcb: number, events: number, errno: number, now: number): void {
    const ground = this.ground
    const s = ground.streams[ground.recordOf[tcb]]
    ground.now = now
    if (this.#services?.changed(tcb, events, now) === true) return
    if (s === undefined || s.tcb !== tcb) return
    if ((events & EV_CONNECTED) !== 0) connected(ground, s)
    if ((events & EV_TEXT) !== 0) textArrived(ground, s)
    if ((events & EV_URGENT) !== 0) urgentArrived(ground, s)
    if ((events & EV_FIN) !== 0) endArrived(ground, s)
    if ((events & EV_ROOM) !== 0) roomMade(ground, s)
    if (ground.streams[s.index] !== s) return
    if ((events & EV_TIME_WAIT) !== 0) s.shareFlag(A.FLAG_CLOSED)
    if ((events & EV_ERROR) !== 0) failed(ground, s, errno)
    else if ((events & EV_CLOSED) !== 0) finished(ground, s)
    this.#reap()
  }

  growReceive(tcb: number, wanted: number): void {
    const s = this.ground.streams[this.ground.recordOf[tcb]]
    if (s !== undefined) growReceive(this.ground, s, wanted)
  }

  growSend(tcb: number, wanted: number): boolean {
    const s = this.ground.streams[this.ground.recordOf[tcb]]
    return s !== undefined && growSend(this.ground, s, wanted)
  }

  /** Takes up the sockets of the thread before this one. */
  recover(now: number): void {
    this.ground.now = now
    this.ground.table.recover()
    claimPacketRings(this.ground)
    recover(this.ground)
    recoverMessages(this.ground)
    this.#breakLocks(A.LOCK_SERVER >>> 19)
    this.ground.calls.recover(call => this.#dispatch(served(call)))
    repairWork(this.#region)
  }

  /** Closes are posted as work, or are events of our ends. */
  #reclaimRecords(): void {
    takeWork(this.#region, this.#work)
    this.poll(0)
  }

  /** Are those alive who hold `port`? */
  #reclaimPort(port: number): boolean {
    if (port === 0) return false
    let freed = this.poll(0) > 0
    for (const s of this.ground.streams)
      if (s !== undefined && s.get(T.PORT) === port && s.state !== T.CLOSING) {
        probe(this.ground, s)
        if (this.ground.streams[s.index] !== s) freed = true
      }
    for (const m of this.ground.messages.sockets)
      if (m !== undefined && m.get(T.PORT) === port && m.has(T.SHOWN_BOTH)) {
        probeMessages(this.ground, m)
        if (this.ground.messages.sockets[m.index] !== m) freed = true
      }
    return freed
  }
}
