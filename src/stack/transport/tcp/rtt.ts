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

/** A round trip took `r` ms. */
export function sample(tcb: Tcb, r: number, now: number, delayed = false): void {
  tcb.times[tcb.at64 + L.R] = r
  takeSample(tcb, now, delayed)
}

/**
 * The round trip in R counts (section 2); `delayed`: it is perhaps longer than the path, the acknowledgment may have
 * waited. All of it lies in the record and is used there: a number that
 * is given to a function, or comes from one, goes over the heap.
 */
export function takeSample(tcb: Tcb, now: number, delayed: boolean): void {
  const { snd, times, at64 } = tcb
  if (times[at64 + L.R] <= 0) times[at64 + L.R] = 0.001
  const r = times[at64 + L.R]
  if (times[at64 + L.SRTT] === 0) {
    times[at64 + L.SRTT] = r
    times[at64 + L.RTTVAR] = r / 2
    resetMinRtt(tcb, now)
  } else {
    times[at64 + L.RTTVAR] += (Math.abs(times[at64 + L.SRTT] - r) - times[at64 + L.RTTVAR]) / 4
    times[at64 + L.SRTT] += (r - times[at64 + L.SRTT]) / 8
    if (!delayed || r <= times[at64 + L.MIN_RTT]) updateMinRtt(tcb, now)
  }
  const variance = Math.max(G, 4 * times[at64 + L.RTTVAR])
  times[at64 + L.RTO] = Math.min(RTO_MAX, Math.max(snd.rtoMin, times[at64 + L.SRTT] + variance))
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
