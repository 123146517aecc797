// Text and its ends, between TCP and the program: what arrived is shown, what was written is sent.
import * as libc from '../ffi/libc.ts'
import type { Ground } from './ground.ts'
import { pumpIn, pumpOut } from './native.ts'
import {
  answerWaiters,
  goesOn,
  hasRoom,
  showDead,
  showEnd,
  showRoom,
  showText,
  showUrgent,
} from './readiness.ts'
import { RECORD, RECORD_CONNECTED, WAIT_CONNECTED } from '../shm/layout.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

/** Shows everything anew: after attaching, accepting, or a change of threads. */
export function refresh(ground: Ground, s: Stream): void {
  if (s.native && s.state === T.CONNECTED) pump(ground, s)
  if (s.has(T.DEAD)) return showDead(ground, s, s.peek(RECORD.so_error))
  if (s.native || s.state !== T.CONNECTED) return
  if (s.rx.used > 0) showText(ground, s)
  showUrgent(ground, s)
  showRoom(ground, s)
  showEnd(ground, s)
}

/** Native mode: moves what can be moved both ways and tells TCP. */
export function pump(ground: Ground, s: Stream): void {
  const tcp = ground.stack.tcp
  if (s.state === T.CONNECTING || !plugSeen(ground, s)) return
  if (pumpOut(ground, s) && s.tcb >= 0) tcp.received(s.tcb, ground.now)
  switch (pumpIn(ground, s)) {
    case 'more':
      if (s.tcb >= 0) tcp.send(s.tcb, ground.now, false, s.tx.room === 0)
      break
    case 'end':
      // The last close may be an abort: close.ts decides.
      if ((libc.poll(s.fd, libc.POLLIN, 0) & libc.POLLHUP) !== 0 && !s.has(T.SHOWN_EOF))
        s.mark(T.HUNG_UP)
      if (s.tcb >= 0 && !s.has(T.HUNG_UP)) tcp.close(s.tcb, ground.now)
      break
    case 'gone':
      s.mark(T.UNREAD)
      break
    case 'none':
      break
  }
  if (s.has(T.HUNG_UP) && s.has(T.SAW_EOF)) ground.ended.add(s)
}

/** Native mode: are the plug's messages there? Then they are to be thrown away. */
function plugSeen(ground: Ground, s: Stream): boolean {
  if (!s.has(T.AWAITS_PLUG)) return true
  if (s.swap(RECORD.plugged, 0) === 0) return false
  s.unmark(T.AWAITS_PLUG)
  s.set(T.DISCARD, ground.plug)
  return true
}

/** The handshake of our connect is done. */
export function connected(ground: Ground, s: Stream): void {
  s.set(T.STATE, T.CONNECTED)
  // Before the program may write: what TCP_NOTSENT_LOWAT lets it.
  hasRoom(ground, s)
  s.share(RECORD.state, RECORD_CONNECTED)
  answerWaiters(ground, s, WAIT_CONNECTED, 0)
  goesOn(ground, s, 1)
  refresh(ground, s)
}

/** Text has arrived and is published. */
export function textArrived(ground: Ground, s: Stream): void {
  if (!s.native) showText(ground, s)
  else if (pumpOut(ground, s) && s.tcb >= 0) ground.stack.tcp.received(s.tcb, ground.now)
}

/** The peer acknowledged: there is room in the send ring. */
export function roomMade(ground: Ground, s: Stream): void {
  if (s.native) pump(ground, s)
  else showRoom(ground, s)
}

/** The peer's FIN. */
export function endArrived(ground: Ground, s: Stream): void {
  s.mark(T.EOF)
  s.rx.end()
  if (s.native) textArrived(ground, s)
  else showEnd(ground, s)
}
