// Pacing: text goes evenly over a round trip, not in bursts as large as an acknowledgment lets go, which the queue of a
// bottleneck would have to hold. The rate is Linux's (tcp_update_pacing_rate): twice what cwnd and round-trip time make
// while slow start doubles cwnd, 1.2 times that later, so that cwnd remains what limits us.
//
// Where round trips are short there is nothing to spread: a switch of ours turns a segment of 64 KB round within a few
// tens of microseconds, and a turn of the stack's loop is longer than what there would be to wait. So a connection is
// paced only if its shortest round trip is at least PACED_RTT, or if its program has set SO_MAX_PACING_RATE.
//
// Time is granted in slices: a slice's worth of text is sent at once, in segments no longer than that, and the loop may
// come late by CREDIT before anything is lost of the rate.
import { diff } from './seq.ts'
import type { Tcb } from './tcb.ts'

/** ms. */
export const PACED_RTT = 2
const SLICE = 1
/** At least, and as a part of a round trip. */
const CREDIT = 2
const CREDIT_SHARE = 1 / 4
/** tcp_pacing_ss_ratio, tcp_pacing_ca_ratio. */
const SLOW_START_RATIO = 2
const AVOIDANCE_RATIO = 1.2
/** The initial window goes as it is. */
const FREE_SEGMENTS = 10

/** What TCP_INFO shows, whether it is heeded or not: bytes a ms; Infinity: unknown, and not limited. */
export function pacingRate(tcb: Tcb): number {
  const { snd, maxPacingRate } = tcb
  const most = maxPacingRate > 0 ? maxPacingRate / 1000 : Infinity
  if (snd.srtt === 0) return most
  const ratio = snd.cwnd < snd.ssthresh / 2 ? SLOW_START_RATIO : AVOIDANCE_RATIO
  return Math.min(most, (ratio * Math.max(snd.cwnd, diff(snd.max, snd.una))) / snd.srtt)
}

/** The connection has its turn: snd.paceRate, 0 if it is not paced. */
export function updatePacing(tcb: Tcb): void {
  const { snd } = tcb
  const far = tcb.pacing !== 0 && snd.minRtt >= PACED_RTT
  const paced = (far && tcb.dataSegsOut >= FREE_SEGMENTS) || tcb.maxPacingRate > 0
  const rate = paced ? pacingRate(tcb) : 0
  snd.paceRate = rate === Infinity ? 0 : rate
}

/** Text of the largest segment: what goes in a slice, but two full ones at least. */
export const sliceText = (tcb: Tcb, mss: number): number =>
  mss * Math.max(2, Math.floor((tcb.snd.paceRate * SLICE) / mss))

/** `n` bytes of text have gone. */
export function chargePace(tcb: Tcb, n: number, now: number): void {
  const { snd } = tcb
  const credit = Math.max(CREDIT, snd.srtt * CREDIT_SHARE)
  snd.paceAt = Math.max(snd.paceAt, now - credit) + n / snd.paceRate
}
