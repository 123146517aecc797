// TCP (RFC 9293), one per stack: the tables, the life of a record, the calls. The rules are next door: arrives.ts for
// segments, output.ts for what to send, timers.ts for deadlines. Nothing here knows a clock, a socket or a link; `now`
// is ms on any clock that does not go back, and the same one for all calls.
//
// Work is put off to run(): a segment that arrives, text that the program adds and a window that opens only mark their
// connection ready, so a batch of frames is answered by one acknowledgment and one burst of text. run() gives each
// ready connection a turn of bounded length. A connection that finds no room on its link waits in `blocked` and has its
// turn again in the next run().
import { EADDRINUSE, EINVAL } from '../../../base/errno.ts'
import { Timers } from '../../../base/timers.ts'
import type { Address } from '../../../wire/address.ts'
import type { Packet, Path } from '../../net/path.ts'
import type { Protocol, Unreachable } from '../../net/protocol.ts'
import { Demux } from '../demux.ts'
import { Ports } from '../ports.ts'
import { segmentArrives } from './arrives.ts'
import type { ReceiveBuffer, SendBuffer } from './buffers.ts'
import * as calls from './calls.ts'
import { SynCookies } from './cookies.ts'
import { newCounters } from './counters.ts'
import { FastOpen } from './fast-open.ts'
import { type Deadline, deadlineOf } from './deadline.ts'
import { stateNumber, writeInfo } from './info.ts'
import * as L from './layout.ts'
import { AgeList } from './list.ts'
import { type Listener, Listeners } from './listener.ts'
import { challengeBudget } from './challenge.ts'
import { output } from './output.ts'
import { recover } from './recover.ts'
import { Secrets } from './secrets.ts'
import { Segment } from './segment.ts'
import { checkOption, type TcpOption, type TcpSettings } from './options.ts'
import { SlotQueue } from './slot-queue.ts'
import {
  F_FAST_OPEN,
  F_HOLDS_PORT,
  F_LISTED,
  F_ORPHAN,
  F_RESET_DUE,
  F_SYN_WAITS,
  F_USER,
  type State,
  Tcb,
} from './tcb.ts'
import { expire } from './timers.ts'
import { TUNING, type TcpTuning, settingsFrom } from './tuning.ts'
import { stationGone, unreachable } from './unreachable.ts'
import { atMark, receiveUrgent, sendUrgent, urgentHere, urgentMark } from './urgent.ts'
import { EV_CLOSED, EV_ERROR, type SegmentGate, type TcpUser } from './user.ts'
import { fitWindow, programTook } from './window.ts'

export interface Paths {
  /** The way from one of our addresses to `dst`, or a negative errno. */
  path(src: Address, dst: Address): Path | number
  /** The address that we use towards `dst`, or a negative errno. */
  source(dst: Address): Address | number
}

export interface TcpSetup {
  /** TCB_BYTES times capacity; all 0, or another Tcp's that is gone (then call recover()). */
  readonly memory: ArrayBuffer | SharedArrayBuffer
  readonly capacity: number
  /** Fills with bytes that cannot be guessed. */
  readonly random: (bytes: Uint8Array) => void
  readonly paths: Paths
  readonly user: TcpUser
  /** What is not as Linux has it. */
  readonly tuning?: Partial<TcpTuning>
}

/** Rcv.Wind.Shift: windows up to 8 MB, in steps of 128 bytes. */
export const WINDOW_SHIFT = 7
/** The window in a SYN, before there are buffers: unscaled, so at most 65,535. */
export const INITIAL_WINDOW = 65535

/** What only waits for its end may have this part of all records. */
const TIME_WAIT_SHARE = 4

export class Tcp implements Protocol {
  readonly capacity: number
  readonly words: Int32Array
  readonly times: Float64Array
  readonly paths: Paths
  user: TcpUser
  readonly secrets: Secrets
  readonly cookies: SynCookies
  readonly fastOpen: FastOpen
  /** A record that is no connection's: a segment can be made from it. */
  readonly scratch = scratchTcb()
  readonly demux: Demux
  readonly ports: Ports
  readonly listeners: Listeners
  readonly timers: Timers
  readonly counters = newCounters()
  readonly tuning: TcpTuning
  /** What a connection begins with if its program says nothing. */
  readonly defaults: Readonly<TcpSettings>
  /** The segment being processed. */
  readonly seg = new Segment()
  readonly challenges = challengeBudget()
  /** Connections with something to send, and those whose link had no room for it. */
  readonly ready: SlotQueue
  readonly blocked: SlotQueue
  /** SYN-RECEIVED that came to listeners; TIME-WAIT, and FIN-WAIT-2 that nobody holds. */
  readonly halfOpen = new AgeList(slot => this.tcb(slot))
  readonly timeWaits = new AgeList(slot => this.tcb(slot))
  orphans = 0
  /** Undefined: all that come are heard. */
  gate: SegmentGate | undefined = undefined
  /** Called at each change of a connection's state, by tests and traces. */
  trace: ((slot: number, from: State, to: State) => void) | undefined = undefined
  private readonly tcbs: (Tcb | undefined)[]
  private readonly free: Int32Array
  private freeCount = 0
  private readonly events: Int32Array
  private readonly eventful: SlotQueue

  constructor(setup: TcpSetup) {
    const { memory, capacity } = setup
    if (memory.byteLength < capacity * L.TCB_BYTES)
      throw new RangeError(
        `Cannot keep ${capacity} connections in ${memory.byteLength} bytes: each takes ${L.TCB_BYTES}`,
      )
    this.capacity = capacity
    this.words = new Int32Array(memory, 0, capacity * L.TCB_WORDS)
    this.times = new Float64Array(memory, 0, (capacity * L.TCB_WORDS) / 2)
    this.paths = setup.paths
    this.user = setup.user
    this.tuning = { ...TUNING, ...setup.tuning }
    this.defaults = settingsFrom(this.tuning)
    this.secrets = new Secrets(setup.random)
    this.cookies = new SynCookies(setup.random)
    this.fastOpen = new FastOpen(setup.random)
    const store = {
      words: this.words,
      recordWords: L.TCB_WORDS,
      local: L.LOCAL,
      remote: L.REMOTE,
      localPort: L.LOCAL_PORT,
      remotePort: L.REMOTE_PORT,
    }
    this.demux = new Demux(store, capacity, this.secrets.tableKey0, this.secrets.tableKey1)
    this.listeners = new Listeners(this.secrets.tableKey0, this.secrets.tableKey1)
    this.ports = new Ports(() => this.secrets.word(), true)
    this.timers = new Timers(capacity)
    this.ready = new SlotQueue(capacity)
    this.blocked = new SlotQueue(capacity)
    this.eventful = new SlotQueue(capacity)
    this.events = new Int32Array(capacity)
    this.tcbs = new Array<Tcb | undefined>(capacity).fill(undefined)
    this.free = new Int32Array(capacity)
    // All: a look at each record would touch a page of memory each, 30 ms.
    for (let slot = capacity - 1; slot >= 0; slot--) this.free[this.freeCount++] = slot
  }

  // ---- events from below -----------------------------------------------------------------------

  /** A datagram whose protocol is TCP. */
  arrives(packet: Packet, now: number): void {
    segmentArrives(this, packet, now)
  }

  /** An ICMP error about a segment of ours. */
  unreachable(error: Unreachable, now: number): boolean {
    return unreachable(this, error, now)
  }

  /** Whoever had these addresses is gone for good: their connections end, and nothing is sent. */
  stationGone(isGone: (dst: Address) => boolean, now: number): void {
    stationGone(this, isGone, now)
  }

  // ---- calls from above (RFC 9293 section 3.9.1) -----------------------------------------------

  /**
   * OPEN, active. `local` may be unspecified (we choose), `localPort` 0 (we choose). The connection's number, or a
   * negative errno. A port other than 0 was bound by the caller before.
   */
  open(
    local: Address,
    localPort: number,
    remote: Address,
    remotePort: number,
    send: SendBuffer,
    receive: ReceiveBuffer,
    settings: Partial<TcpSettings>,
    now: number,
  ): number {
    return calls.open(
      this,
      local,
      localPort,
      remote,
      remotePort,
      send,
      receive,
      { ...this.defaults, ...settings },
      now,
    )
  }

  /** OPEN, passive: SYNs to this address and port come to the user as `id`'s. 0 or a negative errno. */
  listen(
    local: Address,
    port: number,
    v6only: boolean,
    id: number,
    settings: Partial<TcpSettings>,
  ): number {
    if (!this.ports.mayListen(local, port, v6only, settings.share === 1)) return -EADDRINUSE
    const all = { ...this.defaults, ...settings }
    const listener = { id, address: local, port, v6only, settings: all }
    this.listeners.add(listener)
    this.holdListening(listener)
    return 0
  }

  /** For connections that come to this listener from now on. 0 or a negative errno. */
  setListenerOption(id: number, name: TcpOption, value: number): number {
    const bad = checkOption(name, value)
    const l = this.listeners.get(id)
    if (bad < 0 || !l) return bad || -EINVAL
    this.dropListening(l)
    l.settings = { ...l.settings, [name]: value }
    this.holdListening(l)
    return 0
  }

  /** The listener is gone, and with it the connections that nobody has accepted yet. */
  unlisten(id: number, now: number): void {
    const l = this.listeners.remove(id)
    if (!l) return
    this.dropListening(l)
    for (let slot = 0; slot < this.capacity && this.halfOpen.length > 0; slot++) {
      const tcb = this.live(slot)
      if (tcb && tcb.state === 'SYN-RECEIVED' && tcb.listener === id && !tcb.has(F_USER))
        calls.abort(this, tcb, now)
    }
  }

  /** The connection's buffers, and who is told of its events: from established(), and for each survivor of recover(). */
  attach(slot: number, send: SendBuffer, receive: ReceiveBuffer): void {
    const tcb = this.tcb(slot)
    tcb.send = send
    tcb.receive = receive
    tcb.mark(F_USER)
    fitWindow(tcb)
    this.ready.push(slot)
  }

  /**
   * Text was added to the send buffer. `more`: the program says that more comes at once (MSG_MORE). `full`: it wanted to
   * add more than there was room for.
   */
  send(slot: number, _now: number, more = false, full = false): void {
    const tcb = this.live(slot)
    if (tcb) calls.send(this, tcb, more, full)
  }

  /** The last byte that was added to the send buffer is urgent (MSG_OOB). */
  urgent(slot: number, _now: number): void {
    const tcb = this.live(slot)
    if (tcb) sendUrgent(this, tcb)
  }

  /** Text before the urgent byte, counted as published() does; undefined: there is none ahead of the program. */
  urgentMark(slot: number): number | undefined {
    return urgentMark(this.tcb(slot))
  }

  /** SIOCATMARK. */
  atMark(slot: number): boolean {
    return atMark(this.tcb(slot))
  }

  /** POLLPRI: the urgent byte has come, and nobody has taken it. */
  urgentHere(slot: number): boolean {
    return urgentHere(this.tcb(slot))
  }

  /** recv(MSG_OOB): the urgent byte, or a negative errno. */
  receiveUrgent(slot: number, peek: boolean): number {
    return receiveUrgent(this.tcb(slot), peek)
  }

  /** The program took text from the receive buffer. */
  received(slot: number, now: number): void {
    const tcb = this.live(slot)
    if (tcb) programTook(this, tcb, now)
  }

  /** CLOSE: a FIN follows the text that is in the send buffer now. */
  close(slot: number, now: number): void {
    const tcb = this.live(slot)
    if (tcb) calls.close(this, tcb, now)
  }

  /**
   * ABORT: RST to the peer, and no event to the user, whose connection this is no longer. What was written before goes
   * first, as far as the peer's window lets it: on Linux it is on its way already.
   */
  abort(slot: number, now: number): void {
    const tcb = this.tcb(slot)
    if (tcb.state === 'FREE') return
    const talks = tcb.state === 'ESTABLISHED' || tcb.state === 'CLOSE-WAIT'
    if (talks && (tcb.send?.length ?? 0) > calls.inFlight(tcb)) output(this, tcb, now)
    tcb.unmark(F_USER)
    if (tcb.state === 'CLOSED') this.discard(tcb)
    else calls.abort(this, tcb, now)
  }

  /**
   * The program is gone. Text that it did not take makes this an ABORT (RFC 2525 section 2.17), otherwise it is a CLOSE
   * whose rest we do alone. EV_CLOSED says when the send buffer is no longer needed.
   */
  detach(slot: number, now: number): void {
    const tcb = this.live(slot)
    if (tcb) calls.detach(this, tcb, now)
  }

  setOption(slot: number, name: TcpOption, value: number, now: number): number {
    const tcb = this.live(slot)
    return tcb ? calls.setOption(this, tcb, name, value, now) : -EINVAL
  }

  /** An open() whose SYN waits for the first text (TCP_FASTOPEN_CONNECT). */
  waitsForText(slot: number): boolean {
    return this.tcb(slot).has(F_SYN_WAITS)
  }

  option(slot: number, name: TcpOption): number {
    return calls.option(this.tcb(slot), name)
  }

  /** Text that was sent and is not acknowledged. */
  inFlight(slot: number): number {
    return calls.inFlight(this.tcb(slot))
  }

  /** TCP_MAXSEG: text in a full segment. */
  maxSegment(slot: number): number {
    return calls.maxSegment(this.tcb(slot))
  }

  /** struct tcp_info as Linux lays it out, as much of it as `out` takes. Its length. `slot` -1: no connection. */
  info(slot: number, listening: boolean, out: Uint8Array, now: number): number {
    return writeInfo(slot < 0 ? undefined : this.tcb(slot), listening, out, now)
  }

  // ---- what a user may ask ---------------------------------------------------------------------

  state(slot: number): State {
    return this.tcb(slot).state
  }
  localAddress(slot: number): Address {
    return this.tcb(slot).local
  }
  remoteAddress(slot: number): Address {
    return this.tcb(slot).remote
  }
  localPort(slot: number): number {
    return this.tcb(slot).localPort
  }
  remotePort(slot: number): number {
    return this.tcb(slot).remotePort
  }
  /** Those that are not over, users' or nobody's. */
  *connections(): Generator<number> {
    for (let slot = 0; slot < this.capacity; slot++) if (this.live(slot) !== undefined) yield slot
  }
  /** The state's number in linux/tcp_states.h. */
  stateNumber(slot: number): number {
    return stateNumber(this.tcb(slot))
  }
  /** What it waits for, as sock_diag(7) tells it. */
  deadline(slot: number): Deadline {
    return deadlineOf(this.tcb(slot))
  }
  /** Bytes in the send buffer that were never sent (SIOCOUTQNSD). */
  unsent(slot: number): number {
    return calls.unsent(this.tcb(slot))
  }
  /** Text bytes that the peer has acknowledged in all, and that were published in all, modulo 2^32: where buffers stand. */
  consumed(slot: number): number {
    return calls.consumed(this.tcb(slot))
  }
  published(slot: number): number {
    return calls.published(this.tcb(slot))
  }

  // ---- the turn --------------------------------------------------------------------------------

  /** Deadlines that have passed, and one turn for each connection that has something to send. */
  run(now: number): void {
    for (let n = this.timers.length; n > 0; n--) {
      const slot = this.timers.take(now)
      if (slot < 0) break
      this.work(slot, now, expire)
    }
    for (let n = this.blocked.length; n > 0; n--) this.ready.push(this.blocked.shift())
    for (let n = this.ready.length; n > 0; n--) this.work(this.ready.shift(), now, output)
  }

  /** When run() should be called next: -Infinity: at once; Infinity: not before something happens. */
  nextTimer(): number {
    return this.ready.length + this.eventful.length > 0 ? -Infinity : this.timers.next
  }

  /** Tells the user what has changed since the last time. What the user does to connections here is fine. */
  flushEvents(now: number): void {
    for (let n = this.eventful.length; n > 0; n--) {
      const slot = this.eventful.shift()
      const events = this.events[slot]
      const tcb = this.tcb(slot)
      this.events[slot] = 0
      if (events === 0 || !tcb.has(F_USER)) continue
      const errno = (events & EV_ERROR) !== 0 ? tcb.error : 0
      if ((events & EV_CLOSED) !== 0) {
        tcb.unmark(F_USER)
        this.discard(tcb)
      }
      this.user.changed(slot, events, errno, now)
    }
  }

  /**
   * Takes over the memory of a Tcp whose thread ended, on the same clock, before anything else is called. Gives the
   * connections that a user holds: each must be attached again.
   */
  recover(now: number): number[] {
    this.freeCount = 0
    for (let slot = this.capacity - 1; slot >= 0; slot--)
      if (this.isFree(slot)) this.free[this.freeCount++] = slot
    return recover(this, now)
  }

  // ---- for the files of this directory ---------------------------------------------------------

  isFree(slot: number): boolean {
    return this.words[slot * L.TCB_WORDS + L.STATE] === 0
  }

  tcb(slot: number): Tcb {
    return (this.tcbs[slot] ??= new Tcb(this.words, this.times, slot))
  }

  /** The connection with this number, unless it is free or over. */
  live(slot: number): Tcb | undefined {
    const state = this.words[slot * L.TCB_WORDS + L.STATE]
    return state > 1 ? this.tcb(slot) : undefined
  }

  /** Does `f` to a connection, marked busy meanwhile, and sees to its timer. */
  work(slot: number, now: number, f: (tcp: Tcp, tcb: Tcb, now: number) => void): void {
    const tcb = this.tcb(slot)
    if (tcb.state === 'FREE') return
    tcb.busy = 1
    f(this, tcb, now)
    tcb.busy = 0
    this.arm(tcb)
  }

  /** Makes the heap wake us no later than the first deadline. Later is found out when it does. */
  arm(tcb: Tcb): void {
    this.timers.sooner(tcb.slot, tcb.times, tcb.firstDeadline)
  }

  /** An empty record, at the expense of the oldest TIME-WAIT if need be; undefined: there is none. */
  allocate(): Tcb | undefined {
    // One whose user has not let go yet is free only when that has heard of it.
    while (this.freeCount === 0 && this.timeWaits.oldest) this.evictOldest()
    if (this.freeCount === 0) {
      this.counters.noMemory++
      return undefined
    }
    const tcb = this.tcb(this.free[--this.freeCount])
    tcb.clear()
    return tcb
  }

  /** Nobody waits for this connection any more: TIME-WAIT, or FIN-WAIT-2 without a user. Too many: the oldest go. */
  retire(tcb: Tcb): void {
    this.timeWaits.push(tcb)
    while (this.timeWaits.length > this.capacity / TIME_WAIT_SHARE) this.evictOldest()
  }

  private evictOldest(): void {
    this.counters.timeWaitEvicted++
    this.finish(this.timeWaits.oldest!, 0)
  }

  /** Gives back a record that allocate() gave and enter() never saw. */
  unallocate(tcb: Tcb): void {
    this.free[this.freeCount++] = tcb.slot
  }

  /** The record, addresses and ports written, becomes a connection: found by segments, holder of its port. */
  admit(tcb: Tcb, state: State): void {
    this.holdPort(tcb)
    this.enter(tcb, state)
    this.demux.add(tcb.slot)
  }

  private holdListening(l: Listener): void {
    const { reuse, share } = l.settings
    this.ports.hold(l.address, l.port, l.v6only, reuse !== 0, 'listening', share !== 0)
  }

  private dropListening(l: Listener): void {
    const { reuse, share } = l.settings
    this.ports.drop(l.address, l.port, l.v6only, reuse !== 0, 'listening', share !== 0)
  }

  holdPort(tcb: Tcb): void {
    const { reuse, share } = tcb
    this.ports.hold(tcb.local, tcb.localPort, false, reuse !== 0, 'connection', share !== 0)
    tcb.mark(F_HOLDS_PORT)
  }

  dropPort(tcb: Tcb): void {
    if (!tcb.has(F_HOLDS_PORT)) return
    const { reuse, share } = tcb
    this.ports.drop(tcb.local, tcb.localPort, false, reuse !== 0, 'connection', share !== 0)
    tcb.unmark(F_HOLDS_PORT)
  }

  /** The one place where a state changes. */
  enter(tcb: Tcb, state: State): void {
    const from = tcb.state
    if (from === state) return
    if (tcb.has(F_LISTED)) (from === 'SYN-RECEIVED' ? this.halfOpen : this.timeWaits).remove(tcb)
    tcb.state = state
    if (tcb.has(F_FAST_OPEN)) this.countFastOpen(tcb)
    else if (state === 'SYN-RECEIVED' && tcb.listener >= 0) this.halfOpen.push(tcb)
    this.trace?.(tcb.slot, from, state)
  }

  /** It is in SYN-RECEIVED, with a user, or was until now. */
  countFastOpen(tcb: Tcb): void {
    if (tcb.state === 'SYN-RECEIVED') this.fastOpen.pending++
    else {
      this.fastOpen.pending--
      tcb.unmark(F_FAST_OPEN)
    }
  }

  /** The connection is over. The record stays until its user has heard of it and a RST that is due has gone. */
  finish(tcb: Tcb, errno: number): void {
    this.demux.remove(tcb.slot)
    this.dropPort(tcb)
    if (tcb.has(F_ORPHAN)) this.adopt(tcb)
    tcb.error = errno
    this.enter(tcb, 'CLOSED')
    tcb.clearDeadlines()
    tcb.send = undefined
    tcb.receive = undefined
    if (tcb.has(F_USER)) this.raise(tcb, errno === 0 ? EV_CLOSED : EV_CLOSED | EV_ERROR)
    else this.discard(tcb)
  }

  /** No longer an orphan: it has nobody, or nothing, to be delivered. */
  adopt(tcb: Tcb): void {
    tcb.unmark(F_ORPHAN)
    this.orphans--
  }

  /** Frees the record of a connection that is over, as soon as nobody needs it. */
  discard(tcb: Tcb): void {
    if (tcb.state !== 'CLOSED' || tcb.has(F_USER | F_RESET_DUE)) return
    this.enter(tcb, 'FREE')
    this.timers.clear(tcb.slot)
    this.events[tcb.slot] = 0
    tcb.path = undefined
    this.free[this.freeCount++] = tcb.slot
  }

  raise(tcb: Tcb, events: number): void {
    if (!tcb.has(F_USER)) return
    this.events[tcb.slot] |= events
    this.eventful.push(tcb.slot)
  }

  /** The link had no room for this connection's segment. */
  block(tcb: Tcb): void {
    this.counters.noRoom++
    this.blocked.push(tcb.slot)
  }

  /** Records in use. */
  get size(): number {
    return this.capacity - this.freeCount
  }
}

function scratchTcb(): Tcb {
  const memory = new ArrayBuffer(L.TCB_BYTES)
  return new Tcb(new Int32Array(memory), new Float64Array(memory), 0)
}
