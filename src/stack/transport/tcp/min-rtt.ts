// The shortest round trip of the last minutes, not of all time: a route that changes to a longer path must not leave RACK's
// reordering window and pacing at what the old one was. Kathleen Nichols' windowed minimum, in the form that Linux uses: the
// best sample, and the best since that one and since the second, each with its time, in the connection's record. So what
// comes after the best one, when that is too old, is known without keeping all samples. The second and third are renewed
// after a quarter and a half of the window, so that they lie apart.
import { MIN_RTT, R } from './layout.ts'
import type { Tcb } from './tcb.ts'

/** ms; tcp_min_rtt_wlen. */
export const MIN_RTT_WINDOW = 300_000

/** Offsets from MIN_RTT: a value, and when it was measured. */
const BEST = 0
const SECOND = 2
const THIRD = 4

/** All that was known is forgotten, but for what R says. */
export function resetMinRtt(tcb: Tcb, now: number): void {
  put(tcb, BEST, now)
  put(tcb, SECOND, now)
  put(tcb, THIRD, now)
}

/** A round trip took R. */
export function updateMinRtt(tcb: Tcb, now: number): void {
  const { times } = tcb
  const at = tcb.at64 + MIN_RTT
  const r = times[tcb.at64 + R]
  if (r <= times[at + BEST] || now - times[at + THIRD + 1] > MIN_RTT_WINDOW)
    return resetMinRtt(tcb, now)
  if (r <= times[at + SECOND]) {
    put(tcb, SECOND, now)
    put(tcb, THIRD, now)
  } else if (r <= times[at + THIRD]) put(tcb, THIRD, now)
  const age = now - times[at + BEST + 1]
  if (age > MIN_RTT_WINDOW) {
    moveUp(tcb, now)
    if (now - times[at + BEST + 1] > MIN_RTT_WINDOW) moveUp(tcb, now)
  } else if (times[at + SECOND + 1] === times[at + BEST + 1] && age > MIN_RTT_WINDOW / 4) {
    put(tcb, SECOND, now)
    put(tcb, THIRD, now)
  } else if (times[at + THIRD + 1] === times[at + SECOND + 1] && age > MIN_RTT_WINDOW / 2)
    put(tcb, THIRD, now)
}

/** The best one is too old. */
function moveUp(tcb: Tcb, now: number): void {
  const { times } = tcb
  const at = tcb.at64 + MIN_RTT
  times.copyWithin(at + BEST, at + SECOND, at + THIRD + 2)
  put(tcb, THIRD, now)
}

function put(tcb: Tcb, which: number, now: number): void {
  const { times, at64 } = tcb
  times[at64 + MIN_RTT + which] = times[at64 + R]
  times[at64 + MIN_RTT + which + 1] = now
}
