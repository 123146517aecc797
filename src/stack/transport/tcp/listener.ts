// LISTEN (RFC 9293 section 3.10.7.2): who listens where, and what a SYN begins. A listener has no record: it is the
// user's, who says again where it listens when the thread has changed.
import { halfSipHash4 } from '../../../base/siphash.ts'
import { ACK, FIN, RST, SYN } from '../../../wire/tcp.ts'
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6, MAX_WINDOW_SHIFT } from '../../../wire/tcp-options.ts'
import type { Address } from '../../../wire/address.ts'
import type { Packet, Path } from '../../net/path.ts'
import { covers } from '../ports.ts'
import { prepare, receiveFrom } from './calls.ts'
import { readOptions, stampOptions } from './cookies.ts'
import { takeSyn } from './ecn.ts'
import { effectiveMss, emitSyn, pathMss } from './emit.ts'
import { offerToUser } from './established.ts'
import { startRecovery } from './recovery.ts'
import { MIN_MSS, type TcpSettings } from './options.ts'
import { refuse } from './refuse.ts'
import { RTO_INITIAL } from './rtt.ts'
import type { Segment } from './segment.ts'
import { type Seq, add, after } from './seq.ts'
import {
  F_FAST_OPEN,
  F_GIVE_COOKIE,
  F_SACK,
  F_SCALING,
  F_SYN_DATA,
  F_SYN_DUE,
  F_TIMESTAMPS,
  F_TS_RECENT,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { takeText } from './text.ts'

/** The half-open may have this part of all records. More are answered by cookies (RFC 4987 section 3.6). */
const HALF_OPEN_SHARE = 4
/** Bits of tcp_fastopen. */
const TFO_SERVER = 2
const TFO_SERVER_NO_COOKIE = 0x200
const TFO_ALL_LISTENERS = 0x400
const SOMAXCONN = 4096

export interface Listener {
  readonly id: number
  readonly address: Address
  readonly port: number
  readonly v6only: boolean
  settings: Readonly<TcpSettings>
}

export class Listeners {
  private readonly byPort = new Map<number, Listener[]>()
  private readonly k0: number
  private readonly k1: number

  /** The keys choose among those that share a port. */
  constructor(k0: number, k1: number) {
    this.k0 = k0
    this.k1 = k1
  }

  add(listener: Listener): void {
    const list = this.byPort.get(listener.port)
    if (list) list.push(listener)
    else this.byPort.set(listener.port, [listener])
  }

  get(id: number): Listener | undefined {
    for (const list of this.byPort.values()) {
      const found = list.find(l => l.id === id)
      if (found) return found
    }
    return
  }

  remove(id: number): Listener | undefined {
    for (const [port, list] of this.byPort) {
      const i = list.findIndex(l => l.id === id)
      if (i < 0) continue
      const [listener] = list.splice(i, 1)
      if (list.length === 0) this.byPort.delete(port)
      return listener
    }
    return
  }

  /**
   * Who listens for this address and port; a particular address comes before the unspecified, IPv4's before IPv6's. Of
   * those that share it (SO_REUSEPORT) a hash of the peer's address and port chooses: the same one for as long as none
   * comes or goes.
   */
  find(packet: Packet, port: number, srcPort: number): Listener | undefined {
    const list = this.byPort.get(port)
    if (!list) return
    const dst = packet.dst()
    let best = 0
    let count = 0
    for (const l of list) {
      const fit = fits(l, dst)
      if (fit > best) count = 0
      best = Math.max(best, fit)
      if (fit === best) count++
    }
    if (best === 0) return
    let chosen = count > 1 ? this.choose(packet, srcPort, count) : 0
    for (const l of list) if (fits(l, dst) === best && chosen-- === 0) return l
    return
  }

  private choose(packet: Packet, srcPort: number, count: number): number {
    const { k0, k1 } = this
    const high = packet.family === 6 ? packet.srcWord(0) ^ packet.srcWord(1) ^ packet.srcWord(2) : 0
    return (halfSipHash4(k0, k1, high, packet.srcWord(3), packet.dstWord(3), srcPort) >>> 0) % count
  }
}

/** How well a listener fits an address; 0: not at all. */
function fits(l: Listener, dst: Address): number {
  if (l.address.equals(dst)) return 3
  if (!l.address.isUnspecified) return 0
  if (l.address.isV4) return covers(l.address, false, dst) ? 2 : 0
  return covers(l.address, l.v6only, dst) ? 1 : 0
}

/** A segment for a listener. `above`: our numbers begin past this (a TIME-WAIT that it takes the place of). */
export function listenArrives(
  tcp: Tcp,
  listener: Listener,
  packet: Packet,
  seg: Segment,
  now: number,
  above?: Seq,
): void {
  const { counters } = tcp
  if (seg.has(RST)) return
  if (seg.has(ACK)) return refuse(tcp, packet, seg)
  if (!seg.has(SYN)) return
  if (seg.has(FIN)) {
    counters.synFins++
    return
  }
  const begins = beginsAt(tcp, listener, packet, seg)
  if (begins === undefined) return
  listener = begins
  const path = tcp.paths.path(packet.dst(), packet.src())
  if (typeof path === 'number') return
  const { synCookies } = tcp.tuning
  const full = tcp.halfOpen.length >= tcp.capacity / HALF_OPEN_SHARE
  const cookie = synCookies === 2 || (full && synCookies === 1)
  if (cookie && above === undefined) return sendCookie(tcp, listener, packet, seg, path, now)
  if (full && tcp.halfOpen.oldest) {
    counters.halfOpenEvicted++
    tcp.finish(tcp.halfOpen.oldest, 0)
  }
  const tcb = tcp.allocate()
  if (!tcb) return
  const iss = nameTuple(tcp, tcb, packet, seg, now)
  const later = above === undefined || after(iss, above) ? iss : above
  prepare(tcb, path, listener.id, listener.settings, later, now)
  takeSynOptions(tcp, tcb, seg, now)
  takeSyn(tcb, seg)
  receiveFrom(tcb, seg.seq, pathMss(tcb))
  const early = opensFast(tcp, tcb, listener, seg, now)
  if (early) tcb.mark(F_FAST_OPEN)
  beginHalfOpen(tcp, tcb, seg, seg.seq, now)
  tcp.ready.push(tcb.slot)
  if (early) takeSynData(tcp, tcb, seg, now)
}

/** RFC 7413 section 4.2: may the program have this connection now? If not, maybe there is a cookie for the next one. */
function opensFast(tcp: Tcp, tcb: Tcb, listener: Listener, seg: Segment, now: number): boolean {
  const { settings } = listener
  const { options } = seg
  const bits = tcp.tuning.fastOpen
  const most = settings.fastOpen || ((bits & TFO_ALL_LISTENERS) !== 0 ? SOMAXCONN : 0)
  if (most === 0 || (bits & TFO_SERVER) === 0) return false
  const cookieless = settings.fastOpenNoCookie !== 0 || (bits & TFO_SERVER_NO_COOKIE) !== 0
  const free = cookieless && seg.textLength > 0
  if (options.fastOpen < 0 && !free) return false
  const verdict = free ? 'good' : tcp.fastOpen.check(tcb, options)
  if (verdict !== 'good') tcb.mark(F_GIVE_COOKIE)
  if (verdict === 'bad') return false
  return tcp.fastOpen.mayBegin(most, now)
}

/** The program gets the connection, and the text of its SYN; what it writes may go before the handshake is done. */
function takeSynData(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  const { snd } = tcb
  snd.una = add(snd.iss, 1)
  snd.nxt = snd.una
  snd.max = snd.una
  snd.sml = snd.una
  tcp.counters.fastOpens++
  startRecovery(tcb, effectiveMss(tcb))
  if (!offerToUser(tcp, tcb, now)) return
  seg.dropSyn()
  if (seg.textLength === 0) return
  tcb.mark(F_SYN_DATA)
  takeText(tcp, tcb, seg, now)
}

/** A group of more listeners than this, all dead at once, refuses what a living one would take. */
const MOST_DEAD = 64

/** Which listener the user lets begin, after a SYN or the ACK of a cookie: of a group another, if this one is dead. */
function beginsAt(
  tcp: Tcp,
  listener: Listener,
  packet: Packet,
  seg: Segment,
): Listener | undefined {
  let next: Listener | undefined = listener
  for (let i = 0; i < MOST_DEAD && next !== undefined; i++) {
    const word = tcp.user.synArrives(next.id)
    if (word === 'accept') return next
    if (word === 'drop') {
      tcp.counters.synsDropped++
      return
    }
    const other = tcp.listeners.find(packet, seg.dstPort, seg.srcPort)
    next = other === next ? undefined : other
  }
  refuse(tcp, packet, seg)
  return
}

/** Writes addresses and ports; gives the number that such a connection begins with now. */
function nameTuple(tcp: Tcp, tcb: Tcb, packet: Packet, seg: Segment, now: number): Seq {
  tcb.setAddresses(packet.dst(), packet.src())
  tcb.localPort = seg.dstPort
  tcb.remotePort = seg.srcPort
  return tcp.secrets.choose(tcb, now)
}

function beginHalfOpen(tcp: Tcp, tcb: Tcb, seg: Segment, irs: Seq, now: number): void {
  const { snd } = tcb
  tcb.segsIn = 1
  snd.wnd = seg.wnd
  snd.maxWnd = seg.wnd
  snd.wl1 = irs
  snd.wl2 = snd.iss
  snd.retransmitAt = now + RTO_INITIAL
  tcp.admit(tcb, 'SYN-RECEIVED')
  tcp.counters.passiveOpens++
  tcp.arm(tcb)
}

/** A SYN-ACK, and no record: lost if the link has no room. */
function sendCookie(
  tcp: Tcp,
  listener: Listener,
  packet: Packet,
  seg: Segment,
  path: Path,
  now: number,
): void {
  const tcb = tcp.scratch
  tcb.clear()
  nameTuple(tcp, tcb, packet, seg, now)
  const iss = tcp.cookies.make(packet, seg, announcedMss(seg, path), now)
  prepare(tcb, path, listener.id, listener.settings, iss, now)
  takeSynOptions(tcp, tcb, seg, now)
  takeSyn(tcb, seg)
  stampOptions(tcb, now)
  receiveFrom(tcb, seg.seq, pathMss(tcb))
  tcb.state = 'SYN-RECEIVED'
  if (emitSyn(tcp, tcb, now) >= 0) tcp.counters.syncookiesSent++
}

/** What a segment says of its sender's MSS if it is the ACK of a SYN-ACK that was a cookie; 0: it is not. */
export function cookieMss(tcp: Tcp, packet: Packet, seg: Segment, now: number): number {
  if (seg.has(SYN | RST) || !seg.has(ACK) || !tcp.cookies.areOut(now)) return 0
  const mss = tcp.cookies.check(packet, seg, now)
  if (mss === 0) tcp.counters.syncookiesFailed++
  return mss
}

/** The record that there would be, in SYN-RECEIVED, as if it had been there since the SYN. Undefined: not now. */
export function takeCookie(
  tcp: Tcp,
  listener: Listener,
  packet: Packet,
  seg: Segment,
  mss: number,
  now: number,
): Tcb | undefined {
  const path = tcp.paths.path(packet.dst(), packet.src())
  if (typeof path === 'number') return
  const begins = beginsAt(tcp, listener, packet, seg)
  if (begins === undefined) return
  listener = begins
  const tcb = tcp.allocate()
  if (!tcb) return
  const irs = add(seg.seq, -1)
  nameTuple(tcp, tcb, packet, seg, now)
  prepare(tcb, path, listener.id, listener.settings, add(seg.ack, -1), now)
  tcb.snd.peerMss = mss
  readOptions(tcb, seg)
  if (!tcb.has(F_SCALING)) tcb.rcv.windShift = 0
  takeFirstTimestamp(tcb, seg, now)
  receiveFrom(tcb, irs, pathMss(tcb))
  tcb.snd.nxt = seg.ack
  tcb.snd.max = seg.ack
  tcb.unmark(F_SYN_DUE)
  beginHalfOpen(tcp, tcb, seg, irs, now)
  tcp.counters.syncookiesRecv++
  return tcb
}

/** What the peer's SYN says it can do: agreed, if we can and are let. */
export function takeSynOptions(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  const { snd, rcv } = tcb
  const { options } = seg
  const { sack, timestamps, windowScaling } = tcp.tuning
  snd.peerMss = announcedMss(seg, tcb.path!)
  if (options.sackPermitted && sack) tcb.mark(F_SACK)
  if (options.windowShift >= 0 && windowScaling) {
    tcb.mark(F_SCALING)
    snd.windShift = Math.min(options.windowShift, MAX_WINDOW_SHIFT)
  } else rcv.windShift = 0
  if (timestamps) takeFirstTimestamp(tcb, seg, now)
}

function takeFirstTimestamp(tcb: Tcb, seg: Segment, now: number): void {
  if (!seg.options.timestamps) return
  tcb.mark(F_TIMESTAMPS | F_TS_RECENT)
  tcb.rcv.tsRecent = seg.options.tsVal
  tcb.rcv.tsRecentAt = now
}

/** The MSS option, or the default without one. */
function announcedMss(seg: Segment, path: Path): number {
  const fallback = path.headerLength === 20 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6
  return Math.max(MIN_MSS, seg.options.mss || fallback)
}
