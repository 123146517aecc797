// What ICMP, or our own link, says of a segment that we sent (RFC 1122 section 4.2.3.9, RFC 5927, RFC 1191). Anyone can
// say so: only errors that quote a number we have outstanding are looked at, and none ends a connection that stands.
import { ECONNRESET, EHOSTUNREACH } from '../../../base/errno.ts'
import type { Address } from '../../../wire/address.ts'
import type { Unreachable } from '../../net/protocol.ts'
import { effectiveMss } from './emit.ts'
import { resendAll } from './recovery.ts'
import { before, seq } from './seq.ts'
import { F_ACTIVE, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** How long a smaller path MTU is believed, ms (RFC 1191 section 6.3). */
const PMTU_AGE = 600_000

export function unreachable(tcp: Tcp, error: Unreachable, now: number): boolean {
  const { src, dst } = error
  const tuple = {
    family: src.isV4 ? (4 as const) : (6 as const),
    srcWord: (i: number) => dst.word(i),
    dstWord: (i: number) => src.word(i),
  }
  const slot = tcp.demux.find(tuple, error.dstPort, error.srcPort)
  const tcb = slot < 0 ? undefined : tcp.live(slot)
  if (!tcb || !isOutstanding(tcb, error.seq)) {
    tcp.counters.icmpIgnored++
    return false
  }
  tcp.counters.icmpTaken++
  if (error.mtu > 0) {
    lowerMtu(tcp, tcb, error.mtu, now)
    return true
  }
  const opening = tcb.state === 'SYN-SENT' || (tcb.state === 'SYN-RECEIVED' && tcb.has(F_ACTIVE))
  if (!opening) {
    tcb.softError = error.errno
    return true
  }
  tcp.counters.failedOpens++
  tcp.finish(tcb, error.errno)
  return true
}

/** The stations that had these addresses have left the link for good. */
export function stationGone(tcp: Tcp, isGone: (dst: Address) => boolean, _now: number): void {
  for (let slot = 0; slot < tcp.capacity; slot++) {
    const tcb = tcp.live(slot)
    if (!tcb || !isGone(tcb.remote)) continue
    if (tcb.state === 'TIME-WAIT') tcp.finish(tcb, 0)
    else tcp.finish(tcb, tcb.state === 'SYN-SENT' ? EHOSTUNREACH : ECONNRESET)
  }
}

function isOutstanding(tcb: Tcb, quoted: number): boolean {
  const { snd } = tcb
  const s = seq(quoted)
  return !before(s, snd.una) && before(s, snd.max)
}

/** What was too long is sent again in smaller segments, which is no sign of congestion. */
function lowerMtu(tcp: Tcp, tcb: Tcb, mtu: number, now: number): void {
  const { snd } = tcb
  if (mtu >= (snd.pmtu || 65536)) return
  const sent = effectiveMss(tcb)
  snd.pmtu = mtu
  snd.pmtuUntil = now + PMTU_AGE
  if (effectiveMss(tcb) >= sent) return
  if (tcb.state !== 'SYN-SENT' && tcb.state !== 'SYN-RECEIVED') resendAll(tcb)
  tcp.ready.push(tcb.slot)
}
