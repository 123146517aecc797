// Congestion control: slow start and congestion avoidance (RFC 5681, initial window of RFC 6928), recovery from loss by
// NewReno (RFC 6582) or with SACK (RFC 6675). Bytes acknowledged count, not acknowledgments (RFC 3465), so neither
// splitting an acknowledgment nor merging many changes what the peer is given.
import { R_FAST, R_LOSS, R_NONE, F_CWND_LIMITED, F_RESEND, F_SACK, type Tcb } from './tcb.ts'
import { stopTiming } from './rtt.ts'
import { DUP_THRESH, forgetSacks, hasSacks, lostEdge } from './sack.ts'
import { after, before, diff } from './seq.ts'
import type { Tcp } from './tcp.ts'

/** No cwnd is larger: windows end at 2^30. */
const CWND_MAX = 1 << 30

/** IW (RFC 6928). */
export const initialWindow = (mss: number): number => Math.min(10 * mss, Math.max(2 * mss, 14600))

/** A connection begins. */
export function startCongestion(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  // RFC 5681 section 3.1: a lost SYN makes it one segment.
  snd.cwnd = snd.retries > 0 ? mss : initialWindow(mss)
  snd.ssthresh = CWND_MAX
  snd.recover = snd.una
  snd.highRxt = snd.una
  snd.recovery = R_NONE
}

/** `acked` bytes are newly acknowledged, SND.UNA has moved. */
export function onAdvance(tcb: Tcb, acked: number, mss: number): void {
  const { snd } = tcb
  const fresh = !after(snd.highRxt, snd.una)
  snd.dupAcks = 0
  if (fresh) snd.highRxt = snd.una
  if (snd.recovery === R_NONE) return grow(tcb, acked, acked, mss)
  if (!before(snd.una, snd.recover)) return endRecovery(tcb, acked, mss)
  if (snd.recovery === R_LOSS) return grow(tcb, acked, 2 * mss, mss)
  // A partial acknowledgment (RFC 6582 section 3.2 step 5): the next hole is at SND.UNA.
  if (!tcb.has(F_SACK) || fresh) tcb.mark(F_RESEND)
  if (!tcb.has(F_SACK)) snd.cwnd = Math.max(mss, snd.cwnd - acked + (acked >= mss ? mss : 0))
}

/** An acknowledgment that says that text got through, but not the next in order. */
export function onDuplicate(tcp: Tcp, tcb: Tcb, mss: number): void {
  const { snd } = tcb
  snd.dupAcks++
  if (snd.recovery === R_FAST && !tcb.has(F_SACK)) snd.cwnd = Math.min(CWND_MAX, snd.cwnd + mss)
  if (snd.recovery !== R_NONE) return
  const lost = tcb.has(F_SACK) && hasSacks(tcb) && after(lostEdge(tcb, mss), snd.una)
  if (snd.dupAcks < DUP_THRESH && !lost) return
  tcp.counters.fastRecoveries++
  snd.ssthresh = halfFlight(tcb, mss)
  snd.cwnd = tcb.has(F_SACK) ? snd.ssthresh : snd.ssthresh + DUP_THRESH * mss
  snd.caCount = 0
  snd.recover = snd.max
  snd.highRxt = snd.una
  snd.recovery = R_FAST
  stopTiming(tcb)
  tcb.mark(F_RESEND)
}

/** The retransmission timer expired (RFC 5681 section 3.1, equation 4; RFC 6582 section 4; RFC 6675 section 5.1). */
export function onTimeout(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  if (snd.recovery !== R_LOSS) snd.ssthresh = halfFlight(tcb, mss)
  // The scoreboard tells what need not go again; if it led to a second timeout, it is not to be believed (RFC 2018).
  else forgetSacks(tcb)
  snd.cwnd = mss
  snd.caCount = 0
  snd.dupAcks = 0
  snd.recovery = R_LOSS
  snd.recover = snd.max
  snd.highRxt = snd.una
  snd.nxt = snd.una
  tcb.unmark(F_RESEND)
  stopTiming(tcb)
}

/** Nothing was sent for longer than RTO: what was learned of the path is old (RFC 5681 section 4.1). */
export function afterIdle(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  snd.cwnd = Math.min(snd.cwnd, initialWindow(mss))
  snd.caCount = 0
}

function grow(tcb: Tcb, acked: number, most: number, mss: number): void {
  const { snd } = tcb
  // Not while something else than cwnd holds us back (RFC 7661).
  if (!tcb.has(F_CWND_LIMITED)) return
  if (snd.cwnd < snd.ssthresh) {
    snd.cwnd = Math.min(CWND_MAX, snd.cwnd + Math.min(acked, most))
    return
  }
  snd.caCount += acked
  if (snd.caCount < snd.cwnd) return
  snd.caCount -= snd.cwnd
  if (snd.caCount > snd.cwnd) snd.caCount = 0
  snd.cwnd = Math.min(CWND_MAX, snd.cwnd + mss)
}

/** A full acknowledgment: everything sent before the loss was noticed has arrived. */
function endRecovery(tcb: Tcb, acked: number, mss: number): void {
  const { snd } = tcb
  const flight = diff(snd.max, snd.una)
  if (snd.recovery === R_FAST && tcb.has(F_SACK)) snd.cwnd = snd.ssthresh
  else if (snd.recovery === R_FAST) snd.cwnd = Math.min(snd.ssthresh, Math.max(flight, mss) + mss)
  else grow(tcb, acked, 2 * mss, mss)
  snd.recovery = R_NONE
  snd.caCount = 0
  tcb.unmark(F_RESEND)
}

const halfFlight = (tcb: Tcb, mss: number): number =>
  Math.max(diff(tcb.snd.max, tcb.snd.una) >>> 1, 2 * mss)
