// Listening sockets. The program's end is a real AF_UNIX listener: for each connection that TCP has established the
// server connects to it once, from an end that bears the new connection's name, and accept(), epoll, EPOLLEXCLUSIVE,
// children that inherited it are the kernel's business.
import { EADDRINUSE, EAGAIN, EINVAL } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { unixBind, unixConnect, unixSocket } from '../ffi/unix.ts'
import {
  FLAG_LISTENED,
  FLAG_WANT_ACCEPT,
  RECORD,
  RECORD_DELIVERED,
  RECORD_DELIVERED_NATIVE,
  RECORD_LISTENING,
} from '../shm/layout.ts'
import { bindTo } from './bind.ts'
import { probe, programGone, release } from './close.ts'
import { join } from './connect.ts'
import { copyFilter } from './filters.ts'
import type { Ground } from './ground.ts'
import { shareNative, takeRings, watch } from './native.ts'
import { OPT_V6ONLY } from './option-rules.ts'
import { OPT_FASTOPEN } from './option-table.ts'
import { shareOptions, tcpSettings } from './options.ts'
import { newStream } from './open.ts'
import { placeRings } from './rings.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { refresh } from './transfer.ts'

const SOMAXCONN = 4096

/** listen(2): takes a port if bind() has not, and lets TCP answer SYNs. Again: only the backlog changes. */
export function listenSocket(ground: Ground, s: Stream, backlog: number): number {
  const length = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog
  if (s.state === T.LISTENING) {
    s.set(T.BACKLOG, length)
    return 0
  }
  if (s.state !== T.OPEN || s.has(T.DEAD)) return -EINVAL
  let r = s.has(T.BOUND) ? 0 : bindTo(ground, s, s.local, 0)
  if (r >= 0) r = listen(ground, s)
  if (r === -EADDRINUSE && ground.reclaimPort(s.get(T.PORT))) r = listen(ground, s)
  if (r < 0) {
    s.shareFlag(FLAG_LISTENED)
    return r
  }
  s.unshareFlag(FLAG_LISTENED)
  s.set(T.STATE, T.LISTENING)
  s.set(T.BACKLOG, length)
  s.share(RECORD.state, RECORD_LISTENING)
  return 0
}

/** Registers with TCP; also after a change of threads. */
export function listen(ground: Ground, s: Stream): number {
  return ground.stack.tcp.listen(
    s.local,
    s.get(T.PORT),
    s.options[OPT_V6ONLY] !== 0,
    s.index,
    tcpSettings(s),
  )
}

/** A SYN has come for the listener. */
export function synArrives(ground: Ground, s: Stream | undefined): 'accept' | 'drop' | 'refuse' {
  if (s === undefined || s.state !== T.LISTENING) return 'refuse'
  // In a flood of them, once a turn.
  if (s.probedAt !== ground.now) probe(ground, s)
  s.probedAt = ground.now
  if (ground.streams[s.index] !== s) return 'refuse'
  return (ground.undelivered.get(s.index)?.length ?? 0) > s.get(T.BACKLOG) ? 'drop' : 'accept'
}

/** A handshake is done: makes the connection's socket and puts it into the listener's queue. False: reset it. */
export function established(ground: Ground, tcb: number, listener: Stream | undefined): boolean {
  if (listener === undefined || listener.state !== T.LISTENING) return false
  const s = newStream(ground, listener.get(T.FAMILY), T.DELIVERED)
  if (s === undefined) return false
  const tcp = ground.stack.tcp
  s.options.set(listener.options)
  copyFilter(ground, listener, s)
  s.options[OPT_FASTOPEN] = 0
  shareOptions(s)
  s.set(T.LISTENER, listener.index)
  s.share(RECORD.linger, listener.peek(RECORD.linger))
  if (placeRings(ground, s) < 0) {
    release(ground, s)
    return false
  }
  s.set(T.STATE, T.CONNECTED)
  s.local = tcp.localAddress(tcb)
  s.set(T.PORT, tcp.localPort(tcb))
  s.shareName(RECORD.local, s.local, s.get(T.PORT))
  s.shareName(RECORD.peer, tcp.remoteAddress(tcb), tcp.remotePort(tcb))
  s.share(RECORD.listener, listener.index)
  join(ground, s, tcb)
  tcp.attach(tcb, s.tx, s.rx)
  if (listener.native) {
    shareNative(s)
    takeRings(s)
    s.unmark(T.DELIVERED)
  }
  s.share(RECORD.state, s.native ? RECORD_DELIVERED_NATIVE : RECORD_DELIVERED)
  if (deliver(ground, s, listener)) return true
  release(ground, s)
  return false
}

/** Connects to the program's listener. False when that is dead. */
function deliver(ground: Ground, s: Stream, listener: Stream): boolean {
  const fd = unixSocket(libc.SOCK_STREAM)
  if (fd < 0) return queue(ground, s, listener)
  const named = unixBind(fd, ground.names.of(s.index, s.generation))
  if (named < 0) {
    ground.counters.squattedNames++
    libc.close(fd)
    return false
  }
  const r = unixConnect(fd, ground.names.of(listener.index, listener.generation))
  if (r < 0) {
    libc.close(fd)
    return r === -EAGAIN ? queue(ground, s, listener) : false
  }
  s.unmark(T.UNDELIVERED)
  s.set(T.FD, fd)
  watch(ground, s, libc.EPOLL_CTL_ADD)
  refresh(ground, s)
  return true
}

/** The listener's backlog is full: the connection waits here until the program accepts one. */
function queue(ground: Ground, s: Stream, listener: Stream): boolean {
  if (!s.has(T.UNDELIVERED)) {
    s.mark(T.UNDELIVERED)
    const waiting = ground.undelivered.get(listener.index)
    if (waiting === undefined) ground.undelivered.set(listener.index, [s])
    else waiting.push(s)
  }
  listener.shareFlag(FLAG_WANT_ACCEPT)
  return true
}

/** The program has accepted something, or a second has passed: tries again, oldest first. */
export function deliverWaiting(ground: Ground, listener: Stream): void {
  const waiting = ground.undelivered.get(listener.index)
  if (waiting === undefined) return
  listener.unshareFlag(FLAG_WANT_ACCEPT)
  while (waiting.length > 0) {
    const s = waiting[0]
    if (ground.streams[s.index] === s && s.has(T.UNDELIVERED)) {
      if (!deliver(ground, s, listener)) programGone(ground, s)
      else if (s.has(T.UNDELIVERED)) return
    }
    waiting.shift()
  }
  ground.undelivered.delete(listener.index)
}
