// Native mode: the program's plain read and write do the rest. The server moves bytes between a connection's two rings
// and the server's end of its AF_UNIX socket, whose buffers are then a part of the connection's.
import { EAGAIN } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { HEAD_NATIVE_HIGH, MODE_NATIVE, RECORD } from '../shm/layout.ts'
import type { Ground } from './ground.ts'
import type { MessageSocket } from './messages/message-socket.ts'
import { hasRoom, showEnd } from './readiness.ts'
import type { SocketRecord } from './record.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

export const NATIVE_EVENTS = libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLRDHUP | libc.EPOLLET
export const RING_EVENTS = libc.EPOLLRDHUP | libc.EPOLLET

/** The record says so to every program: readers and writers use the AF_UNIX socket. */
export function shareNative(s: Stream): void {
  s.mark(T.NATIVE)
  s.share(RECORD.mode, MODE_NATIVE)
  s.share(RECORD.rx_head + 4, HEAD_NATIVE_HIGH | 0)
}

/** The rings are the server's from here on. */
export function takeRings(s: Stream): void {
  s.rx.goNative()
  s.tx.goNative()
  remember(s)
}

/** From the receive ring into the program's socket, as much as it takes. True if anything moved. */
export function pumpOut(ground: Ground, s: Stream): boolean {
  if (s.fd < 0 || s.has(T.DELIVERED | T.UNDELIVERED)) return false
  let moved = false
  for (;;) {
    const n = s.rx.drainTo(s.fd)
    if (n <= 0) break
    moved = true
  }
  if (moved) remember(s)
  if (s.has(T.EOF) && s.rx.used === 0) showEnd(ground, s)
  return moved
}

/** 'more' came in, 'end' of what the program writes, it is 'gone' (reset), or nothing 'none'. */
export type PumpedIn = 'none' | 'more' | 'end' | 'gone'

/** From the program's socket into the send ring, as much as fits. */
export function pumpIn(ground: Ground, s: Stream): PumpedIn {
  if (s.fd < 0 || s.has(T.DEAD | T.SAW_EOF)) return 'none'
  let pumped: PumpedIn = 'none'
  while (s.get(T.DISCARD) > 0) {
    const n = libc.recv(s.fd, libc.scratch, s.get(T.DISCARD), libc.MSG_DONTWAIT)
    if (n === -EAGAIN) return 'none'
    if (n <= 0) break
    s.set(T.DISCARD, s.get(T.DISCARD) - n)
  }
  // As in ring mode a writer that found everything full goes on when there is room again, not with each byte.
  if (!hasRoom(ground, s) && libc.inQueue(s.fd) > s.tx.room) return 'none'
  for (;;) {
    const n = s.tx.fillFrom(s.fd)
    if (n === -EAGAIN) break
    if (n <= 0) {
      s.mark(T.SAW_EOF)
      pumped = n === 0 ? 'end' : 'gone'
      break
    }
    pumped = 'more'
  }
  remember(s)
  // shutdown(SHUT_WR) by a call: its text may still lie here, and end comes after it.
  if (s.has(T.SHUT_WR) && !s.has(T.SAW_EOF) && libc.inQueue(s.fd) === 0) {
    s.mark(T.SAW_EOF)
    return 'end'
  }
  return pumped
}

/** The counters that only the server has now: a new thread must find them. */
function remember(s: Stream): void {
  s.set(T.RX_HEAD, s.rx.head)
  s.set(T.TX_TAIL, s.tx.tail)
}

/** The epoll subscription as the mode wants it; MOD also brings back edges that were missed. */
export function watch(ground: Ground, s: Stream | MessageSocket, operation: number): void {
  const carriesText = s.native || s.get(T.STATE) === T.MESSAGES
  const events = carriesText ? NATIVE_EVENTS : RING_EVENTS
  libc.epollCtl(ground.epoll, operation, s.fd, events, epollData(s))
}

/** A record's number and the low bits of its generation: an event of a socket long closed is not taken for a new one's. */
export const epollData = (s: SocketRecord) => s.index | ((s.generation & 0x1ffff) << 14)
