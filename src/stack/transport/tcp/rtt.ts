// Round-trip time and retransmission timeout (RFC 6298), with Linux's bounds.
import * as L from './layout.ts'
import { resetMinRtt, updateMinRtt } from './min-rtt.ts'
import { F_TIMED, type Tcb } from './tcb.ts'

export const RTO_INITIAL = 1000
/** RFC 6298 section 5.7: after a SYN was lost, until there is a sample. */
export const RTO_AFTER_LOST_SYN = 3000
export const RTO_MAX = 120_000
/** Clock granularity, ms: that of timestamps. */
const G = 1

/** A round trip took `r` ms (section 2); `delayed`: perhaps longer than the path, the acknowledgment may have waited. */
export function sample(tcb: Tcb, r: number, now: number, delayed = false): void {
  const { snd } = tcb
  if (r <= 0) r = 0.001
  if (snd.srtt === 0) {
    snd.srtt = r
    snd.rttvar = r / 2
    resetMinRtt(tcb, r, now)
  } else {
    snd.rttvar += (Math.abs(snd.srtt - r) - snd.rttvar) / 4
    snd.srtt += (r - snd.srtt) / 8
    if (!delayed || r <= snd.minRtt) updateMinRtt(tcb, r, now)
  }
  snd.rto = Math.min(RTO_MAX, Math.max(snd.rtoMin, snd.srtt + Math.max(G, 4 * snd.rttvar)))
  snd.backoff = 0
}

/** RTO, doubled for each timeout since the last sample (sections 5.5, 5.6). */
export function backedOff(tcb: Tcb): number {
  const { rto, backoff } = tcb.snd
  return backoff === 0 ? rto : Math.min(RTO_MAX, rto * 2 ** Math.min(backoff, 30))
}

/** The retransmission timer runs from now on (section 5). */
export function startTimer(tcb: Tcb, now: number): void {
  const { times, at64, snd } = tcb
  // In place, and backedOff() only when it has something to do: a number that is given goes over the heap.
  times[at64 + L.RETRANSMIT_AT] =
    snd.backoff === 0 ? now + times[at64 + L.RTO] : now + backedOff(tcb)
}

/** Karn: what is sent again is not timed. */
export function stopTiming(tcb: Tcb): void {
  tcb.unmark(F_TIMED)
}
