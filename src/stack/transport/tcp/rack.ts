// RACK (RFC 8985 section 6): text is lost if text that was sent later has arrived, and it has had a round trip and the
// reordering window since to arrive, too. So that neither reordering nor a lost retransmission need be guessed from
// counts of duplicates. Thresholds and their adaptation are Linux's.
import * as flight from './flight.ts'
import { news } from './news.ts'
import { before, diff } from './seq.ts'
import { R_NONE, type Tcb } from './tcb.ts'

/** DupThresh (RFC 6675 section 2): segments by which text may be overtaken, as long as we know no better. */
export const DUP_THRESH = 3
const MAX_REORDERING = 300
/** What the reordering window grows to, in steps of a quarter round trip, and for how many recoveries it stays so. */
const MAX_STEPS = 255
const PERSIST = 16
/** The timer comes this much later than it need, ms: Linux's TCP_TIMEOUT_MIN. */
const PATIENCE = 2

/** Nothing is known of the path. */
export function resetRack(tcb: Tcb): void {
  const { snd } = tcb
  snd.fack = snd.una
  snd.rackAt = 0
  snd.rackSeq = snd.una
  snd.rackRtt = 0
  snd.reorderSteps = 1
  snd.reorderPersist = 0
  snd.reordering = DUP_THRESH
  snd.reordSeen = 0
}

/** RACK_detect_loss(): marks what is lost, and sets the timer for what may be. */
export function detectLoss(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  const patience = snd.rackRtt + reorderingWindow(tcb, mss)
  const { rackAt, rackSeq } = snd
  let wait = 0
  const n = flight.last(tcb)
  for (let i = flight.first(tcb); i < n; i++) {
    const state = flight.state(tcb, i)
    if ((state & (flight.SACKED | flight.LOST)) !== 0) continue
    const when = flight.time(tcb, i)
    // The clock may stand still while a batch of segments is looked at.
    if (state === flight.AGAIN && when === now) continue
    if (when > rackAt || (when === rackAt && !before(flight.end(tcb, i), rackSeq))) continue
    const left = when + patience - now
    if (left <= 0) flight.markLost(tcb, i)
    else if (left > wait) wait = left
  }
  snd.reorderAt = wait > 0 ? now + wait + PATIENCE : Infinity
}

/** RACK_update_reo_wnd(). 0 as long as nothing was ever reordered, and it is clear that something is lost. */
function reorderingWindow(tcb: Tcb, mss: number): number {
  const { snd } = tcb
  if (snd.reordSeen === 0) {
    if (snd.recovery !== R_NONE || snd.sacked > (snd.reordering - 1) * mss) return 0
  }
  return Math.min((snd.minRtt / 4) * snd.reorderSteps, snd.srtt)
}

/** Text arrived late: by how many segments? */
export function noteReordering(tcb: Tcb, mss: number): void {
  if (!news.reordered) return
  const { snd } = tcb
  const segments = Math.ceil(diff(news.fack, news.lowest) / mss)
  if (segments > snd.reordering) snd.reordering = Math.min(segments, MAX_REORDERING)
  snd.reordSeen++
}

/** Text arrived twice: it was not lost, only late. A larger window, once in a round trip. */
export function widenWindow(tcb: Tcb, now: number): void {
  const { snd } = tcb
  if (news.duplicated === 0 || news.probeDuplicated || snd.reordSeen === 0) return
  if (snd.widenedAt !== 0 && now - snd.widenedAt < snd.srtt) return
  snd.widenedAt = now
  snd.reorderSteps = Math.min(MAX_STEPS, snd.reorderSteps + 1)
  snd.reorderPersist = PERSIST
}

/** What was taken as lost arrived: the window is far too small. Where it begins as a quarter of very little, steps are, too. */
export function doubleWindow(tcb: Tcb, now: number): void {
  const { snd } = tcb
  snd.widenedAt = now
  snd.reorderSteps = Math.min(MAX_STEPS, 2 * snd.reorderSteps)
  snd.reorderPersist = PERSIST
}

/** A recovery is over: after some of them the window is as small as it was. */
export function narrowWindow(tcb: Tcb): void {
  const { snd } = tcb
  if (snd.reorderPersist > 0 && --snd.reorderPersist === 0) snd.reorderSteps = 1
}
