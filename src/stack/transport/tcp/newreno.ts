// Congestion avoidance of RFC 5681 section 3.1, as NewReno (RFC 6582) uses it: a segment more in each round trip, half
// the flight after a loss.
import { type Algorithm, CWND_MAX } from './algorithm.ts'
import type { Tcb } from './tcb.ts'

export const newReno: Algorithm = {
  name: 'reno',
  start: countAnew,
  avoid: (tcb, acked, mss) => {
    const { snd } = tcb
    snd.caCount += acked
    if (snd.caCount < snd.cwnd) return
    snd.caCount -= snd.cwnd
    if (snd.caCount > snd.cwnd) snd.caCount = 0
    snd.cwnd = Math.min(CWND_MAX, snd.cwnd + mss)
  },
  pause: () => {},
  // Equation 4.
  reduce: (tcb, flight, mss) => {
    countAnew(tcb)
    return Math.max(flight >>> 1, 2 * mss)
  },
  timeout: () => {},
  undo: () => {},
  isSound: tcb => tcb.snd.caCount >= 0,
}

function countAnew(tcb: Tcb): void {
  tcb.snd.caCount = 0
}
