// How fast text arrives at the peer: what was delivered between two acknowledgments a round trip apart (delivery rate, as
// Cheng, Cardwell et al. estimate it for BBR; a sample for each round trip instead of each segment). A round begins when
// text is sent and nothing was on its way, or when the one before ends, and ends when all is acknowledged that was on
// its way then. If the program had nothing to send meanwhile, the path might have delivered more: such a sample counts
// only if it is more than what is known.
import { pipe } from './flight.ts'
import { before, diff } from './seq.ts'
import type { Tcb } from './tcb.ts'

/** snd.rateState: a round is being measured; it was short of text; so was the one that gave deliveryRate. */
const RUNNING = 1
const SHORT = 2
export const RATE_SHORT = 4

/** New text was sent. */
export function beginRate(tcb: Tcb, now: number): void {
  if ((tcb.snd.rateState & RUNNING) === 0) begin(tcb, now)
}

/** `delivered` bytes more have arrived. */
export function noteDelivery(tcb: Tcb, delivered: number, mss: number, now: number): void {
  const { snd } = tcb
  if (delivered <= 0) return
  snd.delivered += delivered
  if ((snd.rateState & RUNNING) === 0) return
  if (isShort(tcb, mss)) snd.rateState |= SHORT
  if (before(snd.una, snd.rateEnd)) return
  takeSample(tcb, now)
  snd.rateState &= ~RUNNING
  if (snd.una !== snd.max) begin(tcb, now)
}

function begin(tcb: Tcb, now: number): void {
  const { snd } = tcb
  snd.rateFrom = snd.delivered
  snd.rateAt = now
  snd.rateEnd = snd.max
  snd.rateState = (snd.rateState & RATE_SHORT) | RUNNING
}

function takeSample(tcb: Tcb, now: number): void {
  const { snd } = tcb
  const bytes = snd.delivered - snd.rateFrom
  const ms = now - snd.rateAt
  // Faster than a round trip can be: acknowledgments that waited for each other.
  if (ms < snd.minRtt || ms <= 0) return
  const rate = bytes / ms
  const short = (snd.rateState & SHORT) !== 0
  if (short && rate < snd.deliveryRate) return
  snd.deliveryRate = rate
  snd.rateState = short ? snd.rateState | RATE_SHORT : snd.rateState & ~RATE_SHORT
}

/** cwnd would let more go, but there is no more. */
function isShort(tcb: Tcb, mss: number): boolean {
  const { snd, send } = tcb
  const unsent = (send ? send.length : 0) - diff(snd.max, snd.una)
  return unsent < mss && pipe(tcb) < snd.cwnd
}
