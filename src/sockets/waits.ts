// Calls that wait: for a handshake, for room in the send ring, for a lingering close.
import { EINVAL } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { peerIsOpen } from '../ffi/unix-diag.ts'
import { RECORD, WAIT_CLOSED, WAIT_CONNECTED, WAIT_SPACE } from '../shm/layout.ts'
import { LATER, type Call } from './calls.ts'
import type { Ground } from './ground.ts'
import { hasRoom } from './readiness.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

/** A call that waits until something is so. */
export function waitFor(ground: Ground, s: Stream, call: Call): number {
  const wait = call.arg[0]
  if (wait === WAIT_SPACE) {
    if (s.has(T.DEAD | T.SHUT_WR) || s.state !== T.CONNECTED) return 0
    if (hasRoom(ground, s)) return 0
  } else if (wait === WAIT_CONNECTED) {
    if (s.state !== T.CONNECTING) return s.has(T.DEAD) ? -s.swap(RECORD.so_error, 0) : 0
  } else if (wait !== WAIT_CLOSED) return -EINVAL
  else if (s.state !== T.CLOSING && (s.state !== T.CONNECTED || isHeld(s))) return 0
  const until = wait === WAIT_CLOSED ? ground.now + Math.max(0, call.arg[1]) : Infinity
  s.waiters.push({ block: call.block, wait, until })
  if (until !== Infinity) ground.timed.add(s)
  return LATER
}

/** After a close(): has somebody another copy? Only the last close lingers. */
function isHeld(s: Stream): boolean {
  if (s.fd < 0) return false
  if ((libc.poll(s.fd, libc.POLLIN, 0) & libc.POLLHUP) === 0) return true
  return s.has(T.SHOWN_BOTH | T.SHOWN_EOF) && peerIsOpen(s.fd)
}

/** Answers the waits whose time is over. The next time to look, ms. */
export function expireWaits(ground: Ground): number {
  let next = Infinity
  for (const s of ground.timed) {
    const due = s.waiters.filter(w => w.until <= ground.now)
    s.waiters = s.waiters.filter(w => w.until > ground.now)
    for (const w of due) ground.calls.answer(w.block, 0)
    const first = Math.min(Infinity, ...s.waiters.map(w => w.until))
    if (first === Infinity) ground.timed.delete(s)
    next = Math.min(next, first)
  }
  return next
}
