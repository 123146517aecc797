// What a sender waits for, and how long: tcp_info's busy_time, rwnd_limited and sndbuf_limited (linux/tcp.h). A sender is
// busy while it has text that is not sent or not acknowledged; the window limits it while it would send more; the send
// buffer does while everything in it is on its way, the program waits for room, and cwnd would let more go.
import { BUSY_FOR, BUSY_AT, BUSY_WITH } from './layout.ts'
import { diff } from './seq.ts'
import { pipe } from './flight.ts'
import { F_FULL, type Tcb } from './tcb.ts'

export const QUIET = 0
export const NETWORK = 1
export const WINDOW = 2
export const BUFFER = 3

/** The connection had its turn. */
export function noteBusy(tcb: Tcb, mss: number, now: number): void {
  const { words, times, at, at64 } = tcb
  const what = limit(tcb, mss)
  const was = words[at + BUSY_WITH]
  if (was === what) return
  if (was !== QUIET) times[at64 + BUSY_FOR + was - 1] += now - times[at64 + BUSY_AT]
  times[at64 + BUSY_AT] = now
  words[at + BUSY_WITH] = what
}

/** Milliseconds of NETWORK, WINDOW or BUFFER so far. */
export function busyFor(tcb: Tcb, what: number, now: number): number {
  const { words, times, at, at64 } = tcb
  const running = words[at + BUSY_WITH] === what ? now - times[at64 + BUSY_AT] : 0
  return times[at64 + BUSY_FOR + what - 1] + running
}

function limit(tcb: Tcb, mss: number): number {
  const { snd, send } = tcb
  const length = send ? send.length : 0
  if (length === 0) return QUIET
  const unsent = length - diff(snd.nxt, snd.una)
  if (unsent > 0) return snd.wnd - diff(snd.nxt, snd.una) < Math.min(unsent, mss) ? WINDOW : NETWORK
  return tcb.has(F_FULL) && pipe(tcb) < snd.cwnd ? BUFFER : NETWORK
}
