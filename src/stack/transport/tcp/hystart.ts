// HyStart++ (RFC 9406): the first slow start ends when round trips become longer, that is when the queue of the bottleneck
// begins to fill, not when it is full. In case that was only jitter, cwnd first grows at a quarter of the speed for a few
// rounds (conservative slow start, CSS), and slow start goes on if round trips become shorter again.
//
// Our frames carry up to 64 KB, and an acknowledgment as much: a round of 20 such frames has as many samples, where the
// RFC thinks of an acknowledgment for every two segments. So a sample weighs what it acknowledges, but two at least make
// a judgment. There is no limit L on what one acknowledgment gives: bursts are pacing's business, where they matter.
import { news } from './news.ts'
import { before } from './seq.ts'
import type { Snd } from './snd.ts'

// Section 4.3; times in ms.
const MIN_RTT_THRESH = 4
const MAX_RTT_THRESH = 16
const MIN_RTT_DIVISOR = 8
const N_RTT_SAMPLE = 8
const CSS_GROWTH_DIVISOR = 4
const CSS_ROUNDS = 5
/** roundSamples: the round ends with what is on its way when its first acknowledgment comes. */
const BEGINS = -1

/** How much more than in the round before is too much. */
export const rttThreshold = (lastRoundMin: number): number =>
  Math.max(MIN_RTT_THRESH, Math.min(lastRoundMin / MIN_RTT_DIVISOR, MAX_RTT_THRESH))

export function startHystart(snd: Snd): void {
  snd.roundMinRtt = 0
  snd.lastRoundMinRtt = 0
  snd.roundSamples = BEGINS
  snd.cssBaseline = 0
  snd.cssRounds = 0
}

/** An acknowledgment of `acked` bytes came, `news.rtt` ms (0: unknown) after they had been sent. True: slow start is over. */
export function slowStartEnds(snd: Snd, acked: number, mss: number): boolean {
  if (snd.roundSamples === BEGINS) {
    snd.windowEnd = snd.nxt
    snd.roundSamples = 0
  }
  if (news.rtt > 0) sampleRound(snd, acked, mss)
  return !before(snd.una, snd.windowEnd) && roundEnds(snd)
}

/** By how much cwnd grows for `acked` bytes. */
export const slowStartGrowth = (snd: Snd, acked: number): number =>
  snd.cssBaseline === 0 ? acked : Math.ceil(acked / CSS_GROWTH_DIVISOR)

function sampleRound(snd: Snd, acked: number, mss: number): void {
  if (snd.roundMinRtt === 0 || news.rtt < snd.roundMinRtt) snd.roundMinRtt = news.rtt
  snd.roundSamples += Math.max(1, Math.min(Math.floor(acked / (2 * mss)), N_RTT_SAMPLE / 2))
  if (snd.roundSamples < N_RTT_SAMPLE) return
  if (snd.cssBaseline === 0) watch(snd)
  else if (snd.roundMinRtt < snd.cssBaseline) snd.cssBaseline = 0
}

/** A round is what was sent in one round trip. The one in which CSS began counts. */
function roundEnds(snd: Snd): boolean {
  snd.lastRoundMinRtt = snd.roundMinRtt
  snd.roundMinRtt = 0
  snd.roundSamples = BEGINS
  return snd.cssBaseline > 0 && ++snd.cssRounds >= CSS_ROUNDS
}

function watch(snd: Snd): void {
  const last = snd.lastRoundMinRtt
  if (last === 0 || snd.roundMinRtt < last + rttThreshold(last)) return
  snd.cssBaseline = snd.roundMinRtt
  snd.cssRounds = 0
}
