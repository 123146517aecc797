// Congestion control: how much may be in the network. Here is what all algorithms share: initial window (RFC 6928), slow
// start (RFC 5681), the places where they are asked. How cwnd grows past ssthresh, and how far it falls, is an
// algorithm's, which the record names by number. Entering and leaving recovery is recovery.ts's.
// Bytes acknowledged count, not acknowledgments (RFC 3465), so neither splitting an acknowledgment nor merging many
// changes what the peer is given.
import { newReno } from './newreno.ts'
import { diff } from './seq.ts'
import { F_CWND_LIMITED, type Tcb } from './tcb.ts'

/** No cwnd is larger: windows end at 2^30. */
export const CWND_MAX = 1 << 30

/** What a congestion control algorithm is asked. What it remembers lies in the record. */
export interface Algorithm {
  /** Linux's name for it: TCP_CONGESTION. */
  readonly name: string
  /** A connection begins, or takes up this algorithm: its words in the record. */
  start(tcb: Tcb): void
  /** Congestion avoidance: `acked` bytes were newly acknowledged, cwnd was in use. */
  avoid(tcb: Tcb, acked: number, mss: number, now: number): void
  /** Congestion, with `flight` bytes on their way. The new ssthresh; cwnd is not its business. */
  reduce(tcb: Tcb, flight: number, mss: number, now: number): number
  /** After reduce(): it was a retransmission timeout, cwnd is a segment now. */
  timeout(tcb: Tcb): void
  /** What reduce() was last told was not so. cwnd and ssthresh are what they were. */
  undo(tcb: Tcb): void
  /** Text is sent after `idle` ms of nothing on its way. */
  resume(tcb: Tcb, idle: number): void
}

/** By the number in the record. */
const ALGORITHMS: readonly Algorithm[] = [newReno]

export const isAlgorithm = (n: number): boolean => ALGORITHMS[n] !== undefined

const algorithm = (tcb: Tcb): Algorithm => ALGORITHMS[tcb.snd.congestion]

/** IW (RFC 6928). */
export const initialWindow = (mss: number): number => Math.min(10 * mss, Math.max(2 * mss, 14600))

/** A connection begins. */
export function startCongestion(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  // RFC 5681 section 3.1: a lost SYN makes it one segment.
  snd.cwnd = snd.retries > 0 ? mss : initialWindow(mss)
  snd.ssthresh = CWND_MAX
  algorithm(tcb).start(tcb)
}

/** `acked` bytes are newly acknowledged, and not in fast recovery. */
export function growCwnd(tcb: Tcb, acked: number, mss: number, now: number): void {
  const { snd } = tcb
  // Not while something else than cwnd holds us back (RFC 7661).
  if (!tcb.has(F_CWND_LIMITED)) return
  if (snd.cwnd < snd.ssthresh) {
    // An acknowledgment of much may lead out of slow start: the rest of it counts as in congestion avoidance.
    const most = Math.min(acked, snd.ssthresh - snd.cwnd, CWND_MAX - snd.cwnd)
    snd.cwnd += most
    acked -= most
    if (acked === 0) return
  }
  algorithm(tcb).avoid(tcb, acked, mss, now)
}

/** Congestion was noticed, once for each window of text: ssthresh, and what there was before in case it was not so. */
export function reduceSsthresh(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  snd.priorCwnd = snd.cwnd
  snd.priorSsthresh = snd.ssthresh
  snd.ssthresh = algorithm(tcb).reduce(tcb, diff(snd.max, snd.una), mss, now)
}

/** A retransmission timeout: everything on its way is taken as lost (RFC 5681 section 3.1). */
export function collapseCwnd(tcb: Tcb, mss: number): void {
  tcb.snd.cwnd = mss
  algorithm(tcb).timeout(tcb)
}

/** What led to reduceSsthresh() was no congestion: as if it had not been. */
export function undoReduction(tcb: Tcb): void {
  const { snd } = tcb
  if (snd.priorCwnd === 0) return
  snd.cwnd = Math.max(snd.cwnd, snd.priorCwnd)
  snd.ssthresh = Math.max(snd.ssthresh, snd.priorSsthresh)
  snd.priorCwnd = 0
  algorithm(tcb).undo(tcb)
}

/** Nothing was sent for longer than RTO: what was learned of the path is old (RFC 5681 section 4.1). */
export function afterIdle(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  snd.cwnd = Math.min(snd.cwnd, initialWindow(mss))
  algorithm(tcb).resume(tcb, now - snd.lastSent)
}
