// LISTEN (RFC 9293 section 3.10.7.2): who listens where, and what a SYN begins. A listener has no record: it is the
// user's, who says again where it listens when the thread has changed.
import { ACK, FIN, RST, SYN } from '../../../wire/tcp.ts'
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6, MAX_WINDOW_SHIFT } from '../../../wire/tcp-options.ts'
import type { Address } from '../../../wire/address.ts'
import type { Packet } from '../../net/path.ts'
import { covers } from '../ports.ts'
import { prepare, receiveFrom } from './calls.ts'
import { pathMss } from './emit.ts'
import { MIN_MSS, type TcpSettings } from './options.ts'
import { refuse } from './refuse.ts'
import { RTO_INITIAL } from './rtt.ts'
import type { Segment } from './segment.ts'
import { type Seq, after } from './seq.ts'
import { F_SACK, F_SCALING, F_TIMESTAMPS, F_TS_RECENT, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** The half-open may have this part of all records; then the oldest goes (RFC 4987 section 3.5). */
const HALF_OPEN_SHARE = 4

export interface Listener {
  readonly id: number
  readonly address: Address
  readonly port: number
  readonly v6only: boolean
  readonly settings: Readonly<TcpSettings>
}

export class Listeners {
  private readonly byPort = new Map<number, Listener[]>()

  add(listener: Listener): void {
    const list = this.byPort.get(listener.port)
    if (list) list.push(listener)
    else this.byPort.set(listener.port, [listener])
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

  /** Who listens for this address and port; a particular address comes before the unspecified, IPv4's before IPv6's. */
  find(packet: Packet, port: number): Listener | undefined {
    const list = this.byPort.get(port)
    if (!list) return
    const dst = packet.dst()
    return (
      list.find(l => l.address.equals(dst)) ??
      list.find(l => l.address.isUnspecified && l.address.isV4 && covers(l.address, false, dst)) ??
      list.find(l => l.address.isUnspecified && !l.address.isV4 && covers(l.address, l.v6only, dst))
    )
  }
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
  switch (tcp.user.synArrives(listener.id)) {
    case 'drop':
      counters.synsDropped++
      return
    case 'refuse':
      return refuse(tcp, packet, seg)
  }
  if (tcp.halfOpen.length >= tcp.capacity / HALF_OPEN_SHARE && tcp.halfOpen.oldest) {
    counters.halfOpenEvicted++
    tcp.finish(tcp.halfOpen.oldest, 0)
  }
  const path = tcp.paths.path(packet.dst(), packet.src())
  if (typeof path === 'number') return
  const tcb = tcp.allocate()
  if (!tcb) return
  tcb.setAddresses(packet.dst(), packet.src())
  tcb.localPort = seg.dstPort
  tcb.remotePort = seg.srcPort
  const iss = tcp.secrets.choose(tcb, now)
  const later = above === undefined || after(iss, above) ? iss : above
  prepare(tcp, tcb, path, listener.id, listener.settings, later, now)
  takeSynOptions(tcb, seg, now)
  receiveFrom(tcb, seg.seq, pathMss(tcb))
  tcb.segsIn = 1
  tcb.snd.wnd = seg.wnd
  tcb.snd.maxWnd = seg.wnd
  tcb.snd.wl1 = seg.seq
  tcb.snd.wl2 = later
  tcb.snd.retransmitAt = now + RTO_INITIAL
  tcp.admit(tcb, 'SYN-RECEIVED')
  counters.passiveOpens++
  tcp.arm(tcb)
  tcp.ready.push(tcb.slot)
}

/** What the peer's SYN says it can do. We offer everything, so what it offers is agreed. */
export function takeSynOptions(tcb: Tcb, seg: Segment, now: number): void {
  const { snd, rcv } = tcb
  const { options } = seg
  const fallback = tcb.path!.headerLength === 20 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6
  snd.peerMss = Math.max(MIN_MSS, options.mss || fallback)
  if (options.sackPermitted) tcb.mark(F_SACK)
  if (options.windowShift >= 0) {
    tcb.mark(F_SCALING)
    snd.windShift = Math.min(options.windowShift, MAX_WINDOW_SHIFT)
  } else rcv.windShift = 0
  if (!options.timestamps) return
  tcb.mark(F_TIMESTAMPS | F_TS_RECENT)
  rcv.tsRecent = options.tsVal
  rcv.tsRecentAt = now
}
