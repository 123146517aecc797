// What the program's poll, select and epoll see. They look at a real AF_UNIX socket; this file makes that socket
// readable, writable, hung up when the virtual one is (the table stands in the README of the design: a byte for IN, the
// plug against OUT, shutdown for FIN, close for a reset).
//
// Ring mode only; in native mode the bytes themselves do it (native.ts).
//
// Tokens. `rung` counts the bytes in the program's socket. The server adds one before it sends; a reader that found
// the ring empty takes them, under the reader's lock: swap rung to 0, look at the ring again, receive exactly as many.
// One token is enough for level-triggered pollers. Edge-triggered programs that did not read everything are to have an
// edge for new text, as on Linux: another token is sent if the head has moved since, or a millisecond has passed (a
// program may wait for more without reading); what comes within the millisecond is rung after it.
import { EINPROGRESS } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { tellsOfPeers } from '../ffi/unix-diag.ts'
import { FLAG_DEAD, RECORD, WAIT_CONNECTED, WAIT_SPACE } from '../shm/layout.ts'
import type { Ground } from './ground.ts'
import { OPT_NOTSENT_LOWAT, OPT_RCVLOWAT } from './option-table.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

/** As many 1-byte messages fit into any AF_UNIX socket (net.core.wmem_default is 200 KB, a message takes 768 bytes). */
export const MOST_TOKENS = 128

/** May the program's socket carry tokens now? The acceptor has said so, or the program connected it. */
export const carriesTokens = (s: Stream) =>
  s.fd >= 0 && !s.native && !s.has(T.DELIVERED | T.UNDELIVERED)

/** There is text to read: rings, unless the program knows already. */
export function showText(ground: Ground, s: Stream): void {
  if (!carriesTokens(s) || s.has(T.DEAD)) return
  // Less than SO_RCVLOWAT is not shown, nor is the urgent byte alone.
  if (s.rx.readable < s.options[OPT_RCVLOWAT]) return
  const rung = s.peek(RECORD.rung)
  const head = s.rx.head
  const now = Math.floor(ground.now) | 0
  if (rung !== 0 && head === s.get(T.RUNG_HEAD) && now === s.get(T.RUNG_AT)) {
    ground.owed.add(s)
    return
  }
  if (rung < 0 || rung >= MOST_TOKENS) return
  // Pairs with the reader's swap to 0, preload/ring-read.c; nobody else adds.
  if (!s.compareSwap(RECORD.rung, rung, rung + 1) && !s.compareSwap(RECORD.rung, 0, 1)) return
  s.set(T.RUNG_HEAD, head)
  s.set(T.RUNG_AT, now)
  libc.send(s.fd, libc.scratch, 1, libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL)
}

/** POLLPRI, while the urgent byte is there. */
export function showUrgent(ground: Ground, s: Stream): void {
  if (s.tcb < 0 || !carriesTokens(s) || s.has(T.DEAD)) return
  if (!ground.stack.tcp.urgentHere(s.tcb)) return
  s.share(RECORD.urgent_shown, 1)
  const flags = libc.MSG_OOB | libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL
  libc.send(s.fd, libc.scratch, 1, flags)
}

/** Rings those that were to wait for the next millisecond. When to come again, ms. */
export function ringOwed(ground: Ground): number {
  const now = Math.floor(ground.now) | 0
  for (const s of ground.owed) {
    if (s.get(T.RUNG_AT) === now) continue
    ground.owed.delete(s)
    if (s.peek(RECORD.rung) !== 0 && s.rx.used > 0) showText(ground, s)
  }
  return ground.owed.size === 0 ? Infinity : ground.now + 1
}

/** TCP_NOTSENT_LOWAT, however small, lets a piece be written at once, as Linux lets a page. */
const UNSENT_PIECE = 4096

/**
 * Room in the send ring for a writer who found none: a third of it, and with TCP_NOTSENT_LOWAT, which keeps the ring to
 * what is on its way and that much more, half of that (Linux's tcp_stream_memory_free()).
 */
export function hasRoom(ground: Ground, s: Stream): boolean {
  const { tx } = s
  const lowat = s.options[OPT_NOTSENT_LOWAT]
  if (lowat <= 0 || s.tcb < 0) {
    tx.keepTo(Infinity)
    return tx.roomy
  }
  const sent = ground.stack.tcp.inFlight(s.tcb)
  tx.keepTo(sent + Math.max(lowat, UNSENT_PIECE))
  return tx.roomy && 2 * (tx.length - sent) < lowat
}

/** Room in the send ring, or none at all to come: takes the plug out, wakes sleeping writers. */
export function showRoom(ground: Ground, s: Stream): void {
  if (hasRoom(ground, s) || s.has(T.DEAD | T.SHUT_WR)) {
    unplug(ground, s)
    answerWaiters(ground, s, WAIT_SPACE, 0)
  }
}

/** Reads exactly the plug's messages. The swap pairs with plug_put(): the messages lie in the socket before it is 1. */
export function unplug(ground: Ground, s: Stream): void {
  if (s.fd < 0 || s.native || s.peek(RECORD.plugged) === 0) return
  if (s.swap(RECORD.plugged, 0) === 0) return
  s.unmark(T.AWAITS_PLUG)
  libc.recv(s.fd, libc.scratch, ground.plug - 1, libc.MSG_DONTWAIT)
}

/** How long the end may be held back from a program that has not begun to read, ms. */
const END_HELD_MS = 200

/**
 * The peer sent FIN and all its text is published, or the program wants no more: IN and RDHUP; with our own FIN sent, HUP
 * too.
 *
 * After this shutdown nothing can be passed on natively any more, and a program that has not begun to read may be about
 * to hand the socket to one that reads natively. So the end waits for its first read, but not for long: there are
 * programs that look only for RDHUP.
 */
export function showEnd(ground: Ground, s: Stream): void {
  if (s.fd < 0 || !s.has(T.EOF | T.SHUT_RD)) return
  if (s.native) {
    if (s.has(T.SHOWN_EOF) || (s.rx.used > 0 && !s.has(T.SHUT_RD))) return
    s.mark(T.SHOWN_EOF)
    libc.shutdown(s.fd, libc.SHUT_WR)
  } else if (!s.has(T.SHUT_RD) && s.rx.used > 0 && s.rx.head === 0 && isHeld(ground, s)) {
    s.rx.askForNotice(1)
  } else if (s.has(T.SHUT_WR)) shutBoth(s)
  else if (!s.has(T.SHOWN_EOF)) {
    s.mark(T.SHOWN_EOF)
    libc.shutdown(s.fd, libc.SHUT_WR)
  }
}

function isHeld(ground: Ground, s: Stream): boolean {
  const until = ground.heldEnds.get(s)
  if (until === undefined) ground.heldEnds.set(s, ground.now + END_HELD_MS)
  return until === undefined || until > ground.now
}

/** Shows the ends that were held back long enough. When to come again, ms. */
export function showHeldEnds(ground: Ground): number {
  let next = Infinity
  for (const [s, until] of ground.heldEnds) {
    if (until > ground.now) next = Math.min(next, until)
    else {
      showEnd(ground, s)
      ground.heldEnds.delete(s)
    }
  }
  return next
}

/**
 * Both directions are over: IN OUT RDHUP HUP. Our own end shows HUP then, too, and would not show the program's close. A
 * byte stays in the program's queue (the gravestone, which no reader counts), and closing a socket with something unread
 * is ECONNRESET at the other end: that tells. After SHUT_WR there can be no gravestone. Then a name tells, and of an
 * accepted socket, which has none of its own, unix_diag; where the kernel has none that is left without HUP.
 */
function shutBoth(s: Stream): void {
  if (s.has(T.SHOWN_BOTH)) return
  if (!s.has(T.SHOWN_EOF)) {
    // It fails when the program has closed just now. Then the event that says so is on its way, and must count.
    if (libc.send(s.fd, libc.scratch, 1, libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL) < 0) return
    s.mark(T.SHOWN_BOTH)
    libc.shutdown(s.fd, libc.SHUT_RDWR)
  } else if (s.has(T.OWN_NAME) || tellsOfPeers(s.fd)) {
    s.mark(T.SHOWN_BOTH)
    libc.shutdown(s.fd, libc.SHUT_RD)
  }
}

/**
 * The connection is gone: so_error has the cause. A socket whose name the program holds is closed with the canary
 * unread, which is IN OUT RDHUP HUP ERR, and its end is found by a probe of the name. An accepted one has no name of its
 * own: it is shut down (no ERR). In native mode the program may still read what has arrived before that.
 */
export function showDead(ground: Ground, s: Stream, errno: number): void {
  s.mark(T.DEAD)
  s.share(RECORD.so_error, errno)
  s.shareFlag(FLAG_DEAD)
  answerWaiters(ground, s, WAIT_SPACE, 0)
  answerWaiters(ground, s, WAIT_CONNECTED, -errno)
  endDead(ground, s)
}

/** Closes or shuts the server's end of a dead connection, in native mode after all that arrived was passed on. */
export function endDead(ground: Ground, s: Stream): void {
  if (s.fd < 0 || (s.native && s.rx.used > 0)) return
  // Closed before the plug lies in it, it would show no error; work is posted when it does.
  if (s.has(T.AWAITS_PLUG) && s.peek(RECORD.plugged) === 0) return
  if (s.has(T.OWN_NAME)) {
    libc.close(s.fd)
    s.set(T.FD, -1)
  } else if (!s.native) {
    // Left without HUP perhaps, but not without OUT.
    unplug(ground, s)
    shutBoth(s)
  } else if (!s.has(T.SHOWN_BOTH)) {
    s.mark(T.SHOWN_BOTH)
    libc.shutdown(s.fd, libc.SHUT_RDWR)
  }
}

/** What a non-blocking connect() over loopback waits for: the end of its turn, by which most are connected. */
export const WAIT_TURN = 0

export const waitsForTurn = (s: Stream) => s.waiters.some(w => w.wait === WAIT_TURN)

/** A non-blocking connect() is answered, and the program puts the plug in; `result`: 1 if it is connected. */
export function goesOn(ground: Ground, s: Stream, result = -EINPROGRESS): void {
  if (!waitsForTurn(s)) return
  s.mark(T.AWAITS_PLUG)
  answerWaiters(ground, s, WAIT_TURN, result)
}

/** Answers every call that waits for `wait`. */
export function answerWaiters(ground: Ground, s: Stream, wait: number, result: number): void {
  if (s.waiters.length === 0) return
  const due = s.waiters.filter(w => w.wait === wait)
  s.waiters = s.waiters.filter(w => w.wait !== wait)
  for (const w of due) ground.calls.answer(w.block, result)
}
