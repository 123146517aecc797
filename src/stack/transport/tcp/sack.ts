// What the peer holds of the text past SND.UNA: the scoreboard of RFC 6675, as sorted ranges in the TCB.
import { SACKED } from './layout.ts'
import * as ranges from './ranges.ts'
import type { Segment } from './segment.ts'
import { type Seq, after, before, diff, seq } from './seq.ts'
import type { Tcb } from './tcb.ts'

/** DupThresh (RFC 6675 section 2). */
export const DUP_THRESH = 3

/** Takes the blocks of an acknowledgment. True if one says something new. What cannot be is no block. */
export function takeSacks(tcb: Tcb, seg: Segment): boolean {
  const { snd, words } = tcb
  const { sacks, sackCount } = seg.options
  let news = false
  for (let i = 0; i < sackCount; i++) {
    const from = seq(sacks[2 * i])
    const to = seq(sacks[2 * i + 1])
    // Below SND.UNA: a duplicate SACK (RFC 2883), or old.
    if (!after(from, snd.una) || !before(from, snd.max)) continue
    if (!before(from, to) || after(to, snd.max)) continue
    if (ranges.addSorted(words, tcb.at + SACKED, from, to)) news = true
  }
  return news
}

export const hasSacks = (tcb: Tcb): boolean => tcb.words[tcb.at + SACKED] !== 0

/** SND.UNA moved on. */
export function trimSacks(tcb: Tcb): void {
  const { words } = tcb
  const list = tcb.at + SACKED
  if (words[list] === 0) return
  ranges.trim(words, list, tcb.snd.una)
  // The peer acknowledged up to text that it said it holds: it has thrown that away (RFC 2018 section 8).
  if (words[list] > 0 && ranges.start(words, list, 0) === tcb.snd.una) forgetSacks(tcb)
}

export function forgetSacks(tcb: Tcb): void {
  ranges.clear(tcb.words, tcb.at + SACKED)
}

/** IsLost() (RFC 6675 section 4), for all text at once: everything unSACKed before this number is taken as lost. */
export function lostEdge(tcb: Tcb, mss: number): Seq {
  const { words } = tcb
  const list = tcb.at + SACKED
  let bytes = 0
  for (let i = ranges.count(words, list) - 1, above = 1; i >= 0; i--, above++) {
    const from = ranges.start(words, list, i)
    bytes += diff(ranges.end(words, list, i), from)
    if (above >= DUP_THRESH || bytes > (DUP_THRESH - 1) * mss) return from
  }
  return tcb.snd.una
}

/** Where the highest SACKed range begins; SND.UNA if there is none. */
export function highestSack(tcb: Tcb): Seq {
  const { words } = tcb
  const list = tcb.at + SACKED
  const n = ranges.count(words, list)
  return n === 0 ? tcb.snd.una : ranges.start(words, list, n - 1)
}

/** SetPipe() (RFC 6675 section 4): bytes of [SND.UNA, to) that are in the network. */
export function pipe(tcb: Tcb, lost: Seq, to: Seq): number {
  const { words, snd } = tcb
  const list = tcb.at + SACKED
  const n = ranges.count(words, list)
  let total = 0
  let from = snd.una
  for (let i = 0; i <= n; i++) {
    const last = i < n && before(ranges.start(words, list, i), to)
    const end = last ? ranges.start(words, list, i) : to
    if (after(end, from)) {
      total += overlap(from, end, lost, to)
      total += overlap(from, end, snd.una, snd.highRxt)
    }
    if (!last) break
    from = ranges.end(words, list, i)
  }
  return total
}

/** SACKed bytes before `to`. */
export function sackedBefore(tcb: Tcb, to: Seq): number {
  const { words } = tcb
  const list = tcb.at + SACKED
  let total = 0
  for (let i = 0; i < ranges.count(words, list); i++) {
    const from = ranges.start(words, list, i)
    if (!before(from, to)) break
    const end = ranges.end(words, list, i)
    total += diff(before(end, to) ? end : to, from)
  }
  return total
}

/** The first number at or past `from` that is not SACKed. */
export function skipSacked(tcb: Tcb, from: Seq): Seq {
  const { words } = tcb
  const list = tcb.at + SACKED
  for (let i = 0; i < ranges.count(words, list); i++) {
    if (after(ranges.start(words, list, i), from)) break
    const end = ranges.end(words, list, i)
    if (after(end, from)) return end
  }
  return from
}

/** How far it is from `from` to SACKed text, at most `n`. */
export function untilSacked(tcb: Tcb, from: Seq, n: number): number {
  const { words } = tcb
  const list = tcb.at + SACKED
  for (let i = 0; i < ranges.count(words, list); i++) {
    const d = diff(ranges.start(words, list, i), from)
    if (d > 0) return d < n ? d : n
  }
  return n
}

/** Length of what [a, b) and [c, d) have in common. */
function overlap(a: Seq, b: Seq, c: Seq, d: Seq): number {
  const n = diff(before(b, d) ? b : d, after(a, c) ? a : c)
  return n > 0 ? n : 0
}
