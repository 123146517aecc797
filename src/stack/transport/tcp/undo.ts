// Was what was sent again not lost at all? The peer tells by timestamps (Eifel, RFC 3522): an acknowledgment that comes
// after a retransmission and echoes a time before it answers the original; or by DSACK (RFC 2883, RFC 3708): everything
// that was sent again has arrived twice. Then cwnd and ssthresh are what they were before (RFC 4015), as in Linux.
import { undoReduction } from './congestion.ts'
import * as flight from './flight.ts'
import { news } from './news.ts'
import { type Seq, after } from './seq.ts'
import type { Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/**
 * cwnd was reduced, for the `first` time since all was well; what is sent again from now on may prove needless. What went
 * again before and is still on its way counts as well: an answer to it must not be taken for one to an original.
 */
export function mayBeUndone(tcb: Tcb, first: boolean): void {
  const { snd } = tcb
  snd.undo = 1
  snd.undoFrom = snd.una
  snd.undoBytes = flight.againLength(tcb)
  snd.undoArmed = snd.undoBytes > 0 ? 1 : 0
  if (first && snd.undoArmed === 0) snd.resentAt = 0
}

/** `n` bytes have gone again. */
export function notePending(tcb: Tcb, n: number, now: number): void {
  const { snd } = tcb
  snd.undoBytes += n
  snd.undoArmed = 1
  if (snd.resentAt === 0) snd.resentAt = now
}

/** Text up to `to` arrived twice. */
export function noteDuplicate(tcb: Tcb, to: Seq, n: number): void {
  const { snd } = tcb
  if (snd.undo === 0 || !after(to, snd.undoFrom) || after(to, snd.max)) return
  snd.undoBytes = Math.max(0, snd.undoBytes - n)
}

/** Everything that went again since has arrived twice. */
export const allDuplicated = (tcb: Tcb): boolean =>
  tcb.snd.undo !== 0 && tcb.snd.undoArmed !== 0 && tcb.snd.undoBytes === 0

/** The acknowledgment at hand answers an original: nothing that went again had been heard of then. */
export const answersOriginal = (tcb: Tcb): boolean =>
  tcb.snd.undo !== 0 && tcb.snd.resentAt !== 0 && news.echoesBefore(tcb, tcb.snd.resentAt)

export function undo(tcp: Tcp, tcb: Tcb): void {
  tcp.counters.undone++
  undoReduction(tcb)
  tcb.snd.undo = 0
}
