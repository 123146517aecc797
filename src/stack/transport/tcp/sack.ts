// The SACK option of an acknowledgment (RFC 2018): what the peer holds past SND.UNA goes into the table of flight.ts, what
// it got twice (RFC 2883) to those who want to know. What cannot be is no block.
import * as flight from './flight.ts'
import { news } from './news.ts'
import type { Segment } from './segment.ts'
import { type Seq, after, before, diff, seq } from './seq.ts'
import type { Tcb } from './tcb.ts'
import { noteDuplicate } from './undo.ts'

export function takeSacks(tcb: Tcb, seg: Segment, mss: number): void {
  const { snd } = tcb
  const { sacks, sackCount } = seg.options
  const known = snd.sacked
  let i = takeDuplicate(tcb, seg, mss) ? 1 : 0
  for (; i < sackCount; i++) {
    const from = seq(sacks[2 * i])
    const to = seq(sacks[2 * i + 1])
    if (!after(from, snd.una) || !before(from, snd.max)) continue
    if (!before(from, to) || after(to, snd.max)) continue
    flight.sack(tcb, from, to)
  }
  if (snd.sacked !== known) news.sacked = true
}

/** The first block, if it is below the acknowledgment or within the second, says what arrived twice (RFC 2883 section 4). */
function takeDuplicate(tcb: Tcb, seg: Segment, mss: number): boolean {
  const { snd } = tcb
  const { sacks, sackCount } = seg.options
  const from = seq(sacks[0])
  const to = seq(sacks[1])
  const n = diff(to, from)
  if (n <= 0 || n > snd.maxWnd || !isDuplicate(seg, from, to, sackCount)) return false
  if (after(to, snd.max)) return true
  const segments = Math.ceil(n / mss)
  // More than was ever sent again: the network doubles, and that says nothing.
  if (snd.dsackDups + segments > snd.totalRetrans) return true
  snd.dsackDups += segments
  news.duplicated = n
  news.probeDuplicated = snd.probe !== 0 && segments === 1 && to === snd.probeSeq
  noteDuplicate(tcb, to, n)
  return true
}

function isDuplicate(seg: Segment, from: Seq, to: Seq, sackCount: number): boolean {
  if (before(from, seg.ack)) return true
  if (sackCount < 2) return false
  const { sacks } = seg.options
  return !before(from, seq(sacks[2])) && !after(to, seq(sacks[3]))
}
