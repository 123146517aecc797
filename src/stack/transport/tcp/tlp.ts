// Tail loss probe (RFC 8985 section 7): when the last segments of a flight are lost nothing comes after them that could
// tell. So after two round trips of silence one more segment goes, new text or the last again, and its acknowledgment
// shows what is missing; long before, and without what, a retransmission timeout would do.
import { FIN } from '../../../wire/tcp.ts'
import { noteNew, noteAgain } from './account.ts'
import { reduceSsthresh } from './congestion.ts'
import { effectiveMss, emit, push } from './emit.ts'
import { news } from './news.ts'
import { RTO_INITIAL, backedOff } from './rtt.ts'
import * as L from './layout.ts'
import type { Segment } from './segment.ts'
import { add, after, before, diff } from './seq.ts'
import { F_SACK, R_NONE, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** snd.probe */
const NONE = 0
const NEW = 1
const AGAIN = 2
/** Linux's TCP_TIMEOUT_MIN, ms. */
const PATIENCE = 2

/** Sets the deadline; none if RACK's timer is there, or nothing is outstanding, or a probe already is. */
export function armProbe(tcb: Tcb, mss: number, now: number): void {
  const { snd, times, at64 } = tcb
  const flight = diff(snd.max, snd.una)
  if (
    flight === 0 ||
    snd.recovery !== R_NONE ||
    snd.sacked > 0 ||
    snd.probe !== NONE ||
    !tcb.has(F_SACK)
  ) {
    times[at64 + L.PROBE_AT] = Infinity
    return
  }
  const srtt = times[at64 + L.SRTT]
  // With only one segment to acknowledge the peer may delay that (RFC 8985 section 7.2, WCDelAckT).
  const patience = srtt === 0 ? RTO_INITIAL : flight <= mss ? snd.rtoMin : PATIENCE
  times[at64 + L.PROBE_AT] = now + 2 * srtt + patience
  // At the time of the RTO it is a probe that goes, and the RTO begins anew.
  if (times[at64 + L.PROBE_AT] > times[at64 + L.RETRANSMIT_AT])
    times[at64 + L.PROBE_AT] = times[at64 + L.RETRANSMIT_AT]
}

/** The deadline has passed. False: the link has no room. */
export function probeTimeout(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const { snd, send } = tcb
  snd.probeAt = Infinity
  const flight = diff(snd.max, snd.una)
  if (flight === 0 || snd.recovery !== R_NONE || snd.probe !== NONE) return true
  const mss = effectiveMss(tcb)
  const length = send ? send.length : 0
  const fresh = Math.min(mss, length - flight, snd.wnd - flight)
  if (fresh > 0) {
    if (!emit(tcp, tcb, snd.max, push(fresh, flight + fresh === length), fresh, mss, now))
      return false
    noteNew(tcp, tcb, fresh, false, mss, now)
    snd.probe = NEW
  } else {
    const all = Math.min(mss, flight)
    const fin = flight > length
    const text = fin ? all - 1 : all
    const from = add(snd.max, -all)
    // Only in a record that lies (recover.ts).
    if (flight - (fin ? 1 : 0) > length) return true
    if (!emit(tcp, tcb, from, push(text, true) | (fin ? FIN : 0), text, mss, now)) return false
    noteAgain(tcp, tcb, from, all, text, mss, now)
    snd.probe = AGAIN
  }
  tcp.counters.lossProbes++
  snd.probeSeq = snd.max
  snd.retransmitAt = now + backedOff(tcb)
  return true
}

/** An acknowledgment while a probe is outstanding (section 7.4.2): if the probe repaired something, cwnd falls. */
export function probeAnswered(
  tcb: Tcb,
  seg: Segment,
  acked: number,
  mss: number,
  now: number,
): void {
  const { snd } = tcb
  if (before(seg.ack, snd.probeSeq)) return
  if (snd.probe === NEW || news.probeDuplicated) snd.probe = NONE
  else if (after(seg.ack, snd.probeSeq)) {
    snd.probe = NONE
    reduceSsthresh(tcb, mss, now)
    snd.priorCwnd = 0
    snd.cwnd = snd.ssthresh
  } else if (acked === 0 && !news.sacked && seg.textLength === 0) snd.probe = NONE
}
