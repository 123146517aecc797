// Ends: shutdown by the program, its last close, its death; reset by the peer; and the record given back.
import { EAGAIN, ECONNRESET, EINVAL, ENOTCONN } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { peerIsOpen } from '../ffi/unix-diag.ts'
import {
  FLAG_CLOSED,
  FLAG_LISTENED,
  FLAG_SHUT_RD,
  FLAG_SHUT_WR,
  RECORD,
  RECORD_CONNECTED,
  RECORD_FREE,
  RECORD_OPEN,
  WAIT_CLOSED,
  WAIT_CONNECTED,
} from '../shm/layout.ts'
import { releasePort } from './bind.ts'
import type { Ground } from './ground.ts'
import { LINGER } from './common-options.ts'
import {
  answerWaiters,
  endDead,
  goesOn,
  showDead,
  showEnd,
  showRoom,
  waitsForTurn,
} from './readiness.ts'
import { dropReceiveRing, dropSendRing } from './rings.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { pump } from './transfer.ts'

const SHUT_RD = 0
const SHUT_WR = 1
const SHUT_RDWR = 2
/** Linger of "on, 0 seconds": close resets. The option holds 0 for off, else 1 + seconds. */
const LINGER_ABORT = 1

/** shutdown(2) */
export function shutdownSocket(ground: Ground, s: Stream, how: number): number {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL
  if (s.state === T.LISTENING) {
    if (how !== SHUT_WR) stopListening(ground, s)
    return 0
  }
  if (s.state === T.CONNECTING && s.tcb >= 0) {
    ground.stack.tcp.abort(s.tcb, ground.now)
    failed(ground, s, ECONNRESET)
    return 0
  }
  if (s.state !== T.CONNECTED || s.has(T.DEAD)) return -ENOTCONN
  if (how !== SHUT_WR) {
    s.mark(T.SHUT_RD)
    s.shareFlag(FLAG_SHUT_RD)
    showEnd(ground, s)
  }
  if (how !== SHUT_RD && !s.has(T.SHUT_WR)) {
    s.mark(T.SHUT_WR)
    s.shareFlag(FLAG_SHUT_WR)
    if (s.native) pump(ground, s)
    else if (s.tcb >= 0) ground.stack.tcp.close(s.tcb, ground.now)
    showRoom(ground, s)
    showEnd(ground, s)
  }
  return 0
}

/**
 * No more connections; those still waiting here are reset. Those in the kernel's queue hang up when it goes, unless they
 * have been accepted a moment ago.
 */
export function stopListening(ground: Ground, s: Stream): void {
  ground.stack.tcp.unlisten(s.index, ground.now)
  s.set(T.STATE, T.OPEN)
  s.shareFlag(FLAG_LISTENED)
  s.share(RECORD.state, RECORD_OPEN)
  for (const d of ground.streams)
    if (d !== undefined && d.get(T.LISTENER) === s.index && d.has(T.UNDELIVERED))
      programGone(ground, d)
}

/** Reset, refused or timed out; the TCB is gone. */
export function failed(ground: Ground, s: Stream, errno: number): void {
  const connecting = s.state === T.CONNECTING
  part(ground, s)
  dropSendRing(ground, s)
  if (s.state === T.CLOSING) return release(ground, s)
  if (!connecting) return showDead(ground, s, errno)
  dropReceiveRing(ground, s)
  s.set(T.STATE, T.OPEN)
  s.share(RECORD.state, RECORD_OPEN)
  if (!s.has(T.HOLDS_PORT)) {
    s.set(T.PORT, 0)
    s.unmark(T.BOUND)
  }
  if (s.waiters.some(w => w.wait === WAIT_CONNECTED) && s.fd < 0)
    answerWaiters(ground, s, WAIT_CONNECTED, -errno)
  else {
    if (waitsForTurn(s)) s.mark(T.AWAITS_PLUG)
    showDead(ground, s, errno)
    // Who reads the answer finds the error.
    goesOn(ground, s)
  }
}

/** The TCB is free: both directions ended in peace, or the program had gone. */
export function finished(ground: Ground, s: Stream): void {
  s.shareFlag(FLAG_CLOSED)
  part(ground, s)
  dropSendRing(ground, s)
  if (s.state === T.CLOSING) release(ground, s)
}

/** An epoll event on the server's end. */
export function endEvent(ground: Ground, s: Stream, events: number): void {
  if (s.native) {
    if ((events & libc.EPOLLHUP) !== 0) s.mark(T.HUNG_UP)
    pump(ground, s)
    if (!s.has(T.DEAD)) return
    endDead(ground, s)
    // An accepted socket has neither a name nor, with our end shut down, a hang-up to tell of its close.
    if (s.has(T.SHOWN_BOTH) && accepted(s) && !peerIsOpen(s.fd)) programGone(ground, s)
    return
  }
  if ((events & libc.EPOLLHUP) === 0) return
  // After our own shutdown of both directions HUP alone says nothing; a close is an error here, or the name tells.
  const unsaid = s.has(T.SHOWN_BOTH) && (events & libc.EPOLLERR) === 0
  if (!unsaid || (accepted(s) && !peerIsOpen(s.fd))) programGone(ground, s)
}

/** By a program of ours: in a listener's queue it has no inode yet, as if it were closed. */
const accepted = (s: Stream) => !s.has(T.OWN_NAME) && s.peek(RECORD.state) === RECORD_CONNECTED

/**
 * Native mode: the program's end hung up, and all that it wrote was taken. With both ends shut down for writing that is no
 * close, which then is one more event.
 */
export function hungUp(ground: Ground, s: Stream): void {
  if (!s.has(T.SHOWN_EOF) || s.fd < 0 || !peerIsOpen(s.fd)) return programGone(ground, s)
  s.unmark(T.HUNG_UP)
  if (s.tcb >= 0) ground.stack.tcp.close(s.tcb, ground.now)
}

/** Looks whether a socket whose close may be unseen is still held by anyone. `hinted`: one copy was closed just now. */
export function probe(ground: Ground, s: Stream, hinted = false): void {
  if (!mayBeUnseen(s)) return
  if (s.has(T.OWN_NAME)) {
    if (!s.isSettled(ground.now)) return
    if (!ground.names.alive(s.index, s.generation)) programGone(ground, s)
  } else if (hinted && s.fd >= 0 && (s.native || !peerIsOpen(s.fd))) programGone(ground, s)
  // The event of a dead accepted socket's last close may be missed when threads change. The first copy closed ends the
  // record; what it still had to say, the error, others read as an end.
}

/** Would the program's close not show at our end? */
export const mayBeUnseen = (s: Stream) => s.fd < 0 || s.has(T.SHOWN_BOTH)

/** The last copy of the socket was closed, or its processes have died. */
export function programGone(ground: Ground, s: Stream): void {
  for (const w of s.waiters.splice(0))
    if (w.wait === WAIT_CLOSED) s.waiters.push(w)
    else ground.calls.answer(w.block, -EAGAIN)
  if (s.state === T.LISTENING) stopListening(ground, s)
  const tcp = ground.stack.tcp
  const tcb = s.tcb
  if (tcb < 0) return release(ground, s)
  if (s.state === T.CONNECTING) {
    part(ground, s)
    tcp.abort(tcb, ground.now)
    return release(ground, s)
  }
  s.tx.freeze()
  const taken = s.has(T.OWN_NAME) || s.peek(RECORD.state) === RECORD_CONNECTED
  const unread = s.rx.used > 0 || s.has(T.UNREAD) || !taken
  if (s.options[LINGER] === LINGER_ABORT || unread || s.tx.corrupt) {
    part(ground, s)
    tcp.abort(tcb, ground.now)
    return release(ground, s)
  }
  s.set(T.STATE, T.CLOSING)
  closeEnd(s)
  tcp.detach(tcb, ground.now)
}

function closeEnd(s: Stream): void {
  if (s.fd >= 0) libc.close(s.fd)
  s.set(T.FD, -1)
}

/** Gives back the record and all that is left; a TCB goes on alone. */
export function release(ground: Ground, s: Stream): void {
  part(ground, s)
  for (const w of s.waiters.splice(0)) ground.calls.answer(w.block, 0)
  ground.timed.delete(s)
  ground.owed.delete(s)
  ground.heldEnds.delete(s)
  closeEnd(s)
  dropReceiveRing(ground, s)
  dropSendRing(ground, s)
  releasePort(ground, s)
  s.share(RECORD.state, RECORD_FREE)
  ground.table.free(s.index)
  ground.streams[s.index] = undefined
}

/** The connection's TCB is no longer this socket's. */
export function part(ground: Ground, s: Stream): void {
  if (s.tcb >= 0) ground.recordOf[s.tcb] = -1
  s.set(T.TCB, -1)
}
