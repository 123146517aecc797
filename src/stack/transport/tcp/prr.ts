// Proportional Rate Reduction (RFC 6937): cwnd falls to ssthresh in step with what arrives, so that sending never stops
// and never bursts. Below ssthresh as much goes as has arrived (conservation), and one segment more for each
// acknowledgment that shows that a retransmission got through and nothing else was lost (slow start), as in Linux.
import { pipe } from './flight.ts'
import { news } from './news.ts'
import type { Tcb } from './tcb.ts'

export function startReduction(tcb: Tcb): void {
  tcb.snd.prrFrom = tcb.snd.cwnd
  tcb.snd.prrDelivered = 0
  tcb.snd.prrOut = 0
}

/** `delivered` bytes more have arrived. SND.UNA has `advanced` or not. */
export function reduceCwnd(tcb: Tcb, delivered: number, advanced: boolean, mss: number): void {
  const { snd } = tcb
  if (delivered <= 0) return
  snd.prrDelivered += delivered
  const inNetwork = pipe(tcb)
  const below = snd.ssthresh - inNetwork
  let n: number
  if (below < 0) n = Math.ceil((snd.ssthresh * snd.prrDelivered) / snd.prrFrom) - snd.prrOut
  else {
    n = Math.max(snd.prrDelivered - snd.prrOut, delivered)
    if (advanced && news.lost === 0) n += mss
    if (n > below) n = below
  }
  // The first retransmission goes whatever there is in the network.
  const least = snd.prrOut === 0 ? mss : 0
  snd.cwnd = inNetwork + (n > least ? n : least)
}
