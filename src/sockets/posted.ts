// Work posted for one socket: text written or read, a plug put in, accepted, maybe closed.
import { ECONNRESET, EINVAL } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { RECORD } from '../shm/layout.ts'
import type { Call } from './calls.ts'
import { failed, mayBeUnseen, probe } from './close.ts'
import type { Ground } from './ground.ts'
import { endDead, showEnd, showRoom } from './readiness.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { pump, refresh } from './transfer.ts'

/** Looks at all of it. */
export function work(ground: Ground, s: Stream): void {
  if (s.has(T.DELIVERED) && s.peek(RECORD.accepted) === 1) {
    s.unmark(T.DELIVERED)
    refresh(ground, s)
  }
  if (s.swap(RECORD.closing, 0) >>> 0 === s.generation && mayBeUnseen(s))
    return probe(ground, s, true)
  if (s.has(T.DEAD)) endDead(ground, s)
  if (s.tcb < 0) {
    if (s.has(T.EOF) && !s.native && !s.has(T.SHOWN_EOF)) showEnd(ground, s)
    return
  }
  const tcp = ground.stack.tcp
  if (s.native) pump(ground, s)
  else if (s.state === T.CONNECTED) {
    tcp.send(s.tcb, ground.now, s.peek(RECORD.more) !== 0, s.tx.room === 0)
    s.rx.askForNotice()
    tcp.received(s.tcb, ground.now)
    if (s.rx.corrupt || s.tx.corrupt) return corrupt(ground, s)
    showRoom(ground, s)
    if (s.has(T.EOF) && !s.has(T.SHOWN_EOF)) showEnd(ground, s)
  }
}

/** The program wrote nonsense into its region: it loses this connection. */
function corrupt(ground: Ground, s: Stream): void {
  ground.counters.corruptRings++
  const tcb = s.tcb
  if (tcb >= 0) ground.stack.tcp.abort(tcb, ground.now)
  failed(ground, s, ECONNRESET)
}

/** SIOCOUTQ: bytes not acknowledged; arg0 out: of these not yet sent. */
export function outQueue(ground: Ground, s: Stream, call: Call): number {
  if (s.state === T.LISTENING) return -EINVAL
  call.arg[0] = s.tcb >= 0 ? ground.stack.tcp.unsent(s.tcb) : 0
  const waiting = s.native && s.fd >= 0 ? Math.max(0, libc.inQueue(s.fd) - s.get(T.DISCARD)) : 0
  call.arg[0] += waiting
  return (s.tx.size > 0 ? s.tx.length : 0) + waiting
}
