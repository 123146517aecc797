// Recovery from loss: when text is taken as lost, and what that does to cwnd until it is repaired. NewReno (RFC 6582), or
// with SACK (RFC 6675). By how much ssthresh falls and cwnd grows afterwards is congestion.ts's.
import { CWND_MAX } from './algorithm.ts'
import { collapseCwnd, growCwnd, reduceSsthresh, startCongestion } from './congestion.ts'
import { stopTiming } from './rtt.ts'
import { DUP_THRESH, forgetSacks, hasSacks, lostEdge } from './sack.ts'
import { after, before, diff } from './seq.ts'
import { F_RESEND, F_SACK, R_FAST, R_LOSS, R_NONE, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** A connection begins. */
export function startRecovery(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  startCongestion(tcb, mss)
  snd.recover = snd.una
  snd.highRxt = snd.una
  snd.recovery = R_NONE
}

/** `acked` bytes are newly acknowledged, SND.UNA has moved. */
export function onAdvance(tcb: Tcb, acked: number, mss: number, now: number): void {
  const { snd } = tcb
  const fresh = !after(snd.highRxt, snd.una)
  snd.dupAcks = 0
  if (fresh) snd.highRxt = snd.una
  if (snd.recovery === R_NONE) return growCwnd(tcb, acked, mss, now)
  if (!before(snd.una, snd.recover)) return endRecovery(tcb, acked, mss, now)
  if (snd.recovery === R_LOSS) return growCwnd(tcb, Math.min(acked, 2 * mss), mss, now)
  // A partial acknowledgment (RFC 6582 section 3.2 step 5): the next hole is at SND.UNA.
  if (!tcb.has(F_SACK) || fresh) tcb.mark(F_RESEND)
  if (!tcb.has(F_SACK)) snd.cwnd = Math.max(mss, snd.cwnd - acked + (acked >= mss ? mss : 0))
}

/** An acknowledgment that says that text got through, but not the next in order. */
export function onDuplicate(tcp: Tcp, tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  snd.dupAcks++
  if (snd.recovery === R_FAST && !tcb.has(F_SACK)) snd.cwnd = Math.min(CWND_MAX, snd.cwnd + mss)
  if (snd.recovery !== R_NONE) return
  const lost = tcb.has(F_SACK) && hasSacks(tcb) && after(lostEdge(tcb, mss), snd.una)
  if (snd.dupAcks < DUP_THRESH && !lost) return
  tcp.counters.fastRecoveries++
  reduceSsthresh(tcb, mss, now)
  snd.cwnd = tcb.has(F_SACK) ? snd.ssthresh : snd.ssthresh + DUP_THRESH * mss
  snd.recover = snd.max
  snd.highRxt = snd.una
  snd.recovery = R_FAST
  stopTiming(tcb)
  tcb.mark(F_RESEND)
}

/** The retransmission timer expired (RFC 5681 section 3.1, equation 4; RFC 6582 section 4; RFC 6675 section 5.1). */
export function onTimeout(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  if (snd.recovery !== R_LOSS) reduceSsthresh(tcb, mss, now)
  // The scoreboard tells what need not go again; if it led to a second timeout, it is not to be believed (RFC 2018).
  else forgetSacks(tcb)
  collapseCwnd(tcb, mss)
  snd.dupAcks = 0
  snd.recovery = R_LOSS
  snd.recover = snd.max
  snd.highRxt = snd.una
  snd.nxt = snd.una
  tcb.unmark(F_RESEND)
  stopTiming(tcb)
}

/** A full acknowledgment: everything sent before the loss was noticed has arrived. */
function endRecovery(tcb: Tcb, acked: number, mss: number, now: number): void {
  const { snd } = tcb
  const flight = diff(snd.max, snd.una)
  if (snd.recovery === R_FAST && tcb.has(F_SACK)) snd.cwnd = snd.ssthresh
  else if (snd.recovery === R_FAST) snd.cwnd = Math.min(snd.ssthresh, Math.max(flight, mss) + mss)
  else growCwnd(tcb, Math.min(acked, 2 * mss), mss, now)
  snd.recovery = R_NONE
  tcb.unmark(F_RESEND)
}
