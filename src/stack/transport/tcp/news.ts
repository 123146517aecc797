// What one acknowledgment, or the reordering timer, says of the text in flight: filled by flight.ts while it takes runs
// off or marks them, read by who decides what that means. One object, used again for each.
import { tsClock } from './emit.ts'
import { type Seq, after, before, diff, latest, seq } from './seq.ts'
import type { Segment } from './segment.ts'
import { F_TIMESTAMPS, type Tcb } from './tcb.ts'

export const news = {
  now: 0,
  /** Bytes that arrived, as we learn only now: DeliveredData (RFC 6937). */
  delivered: 0,
  /** How long ago the latest of it that was sent only once had been sent, ms; 0: there is none. */
  rtt: 0,
  /** Bytes that are taken as lost since; text among them that had been sent again. */
  lost: 0,
  lostAgain: false,
  /** A SACK block said something new. */
  sacked: false,
  /** Text from before RECOVER arrived that was sent only once. */
  original: false,
  /** Text that was sent only once arrived after later text: the lowest of it. */
  reordered: false,
  lowest: seq(0),
  /** Bytes that arrived twice (RFC 2883), and whether they were those of a tail loss probe. */
  duplicated: 0,
  probeDuplicated: false,
  /** TSecr; 0: there was none. */
  tsEcr: 0,
  /** The highest number that had arrived before. */
  fack: seq(0),

  begin(tcb: Tcb, seg: Segment | undefined, now: number): void {
    this.now = now
    this.delivered = 0
    this.rtt = 0
    this.lost = 0
    this.lostAgain = false
    this.sacked = false
    this.original = false
    this.reordered = false
    this.duplicated = 0
    this.probeDuplicated = false
    this.tsEcr = seg && seg.options.timestamps && tcb.has(F_TIMESTAMPS) ? seg.options.tsEcr : 0
    this.fack = tcb.snd.fack
  },

  /** Text sent at `when`, for the first time or again, arrived: RACK_update() (RFC 8985 section 6.2 step 2). */
  arrived(tcb: Tcb, from: Seq, to: Seq, when: number, again: boolean): void {
    const { snd } = tcb
    this.delivered += diff(to, from)
    snd.fack = latest(snd.fack, to)
    const rtt = this.now - when
    if (again) {
      // Whether it was the first or the last time nobody knows, except if too soon for the last.
      if (rtt < snd.minRtt || this.echoesBefore(tcb, when)) return
    } else {
      this.rtt = rtt
      if (!after(to, snd.recover)) this.original = true
      if (before(from, this.fack) && (!this.reordered || before(from, this.lowest))) {
        this.reordered = true
        this.lowest = from
      }
    }
    snd.rackRtt = rtt
    if (when > snd.rackAt || (when === snd.rackAt && after(to, snd.rackSeq))) {
      snd.rackAt = when
      snd.rackSeq = to
    }
  },

  /** The segment that this answers was sent before `when` (RFC 3522). */
  echoesBefore(tcb: Tcb, when: number): boolean {
    return this.tsEcr !== 0 && ((this.tsEcr - tsClock(tcb, when)) | 0) < 0
  },
}
