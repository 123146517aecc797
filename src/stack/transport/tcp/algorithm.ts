// What a congestion control algorithm is asked (congestion.ts). What it remembers of a connection lies in the record.
import type { Tcb } from './tcb.ts'

/** No cwnd is larger: windows end at 2^30. */
export const CWND_MAX = 1 << 30

/** The largest number that is one's in the record: a constant, for those that congestion.ts is built on. */
export const CONGESTION_LAST = 1

export interface Algorithm {
  /** Linux's name for it: TCP_CONGESTION. */
  readonly name: string
  /** A connection begins, or takes up this algorithm: its words in the record. */
  start(tcb: Tcb): void
  /** Congestion avoidance: `acked` bytes were newly acknowledged, cwnd was in use. */
  avoid(tcb: Tcb, acked: number, mss: number, now: number): void
  /** Until now, since avoid() was last called, cwnd was not in use: nothing was learned of the path. */
  pause(tcb: Tcb, now: number): void
  /** Congestion, with `flight` bytes on their way. The new ssthresh; cwnd is not its business. */
  reduce(tcb: Tcb, flight: number, mss: number, now: number): number
  /** After reduce(): it was a retransmission timeout, cwnd is a segment now. */
  timeout(tcb: Tcb): void
  /** What reduce() was last told was not so. cwnd and ssthresh are what they were. */
  undo(tcb: Tcb): void
  /** Can what the record says be so (after the thread has changed)? */
  isSound(tcb: Tcb): boolean
}
