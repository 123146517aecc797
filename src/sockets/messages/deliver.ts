// From the stack to the program: the message in ground.messages.outbound, or out of the socket's queue.
import { EAGAIN } from '../../base/errno.ts'
import { copy } from '../../base/bytes.ts'
import * as libc from '../../ffi/libc.ts'
import { MESSAGE_DATA, MESSAGE_ERROR, MESSAGE_SIZE, MESSAGE, RECORD } from '../../shm/layout.ts'
import type { Ground } from '../ground.ts'
import { OPT_RCVBUF } from '../option-rules.ts'
import type { MessageSocket } from './message-socket.ts'
import { QUIET } from './flags.ts'

/** As net.core.rmem_default: what may wait for a program that said nothing. */
const RCVBUF_DEFAULT = 212_992
/** What Linux counts for a small datagram beside its text (SKB_TRUESIZE). */
export const OVERHEAD = 768
/** The error queue's most. */
const MOST_ERRORS = 64
/** Any message of ours has room in a send buffer of this size. */
const LEAST_SNDBUF = 1 << 17

/**
 * The message that was begun in outbound, with `length` bytes of text at bytes[at]: they are copied. False: there is no
 * room, it is lost and counted.
 */
export function deliver(
  ground: Ground,
  m: MessageSocket,
  bytes: Uint8Array,
  at: number,
  length: number,
): boolean {
  const { outbound } = ground.messages
  copy(outbound.bytes, MESSAGE_SIZE, bytes, at, length)
  // A reader that waits while the socket goes native sees by it what is a head.
  for (let i = 0; i < 4; i++) outbound.view.setInt32(MESSAGE.cookie + 4 * i, m.cookie[i], true)
  const total = MESSAGE_SIZE + length
  if (m.queue.length === 0 && pass(m, outbound.stage.address, outbound.bytes, total)) return true
  if (m.queuedBytes + total + OVERHEAD > Math.max(receiveBuffer(m), total + OVERHEAD)) {
    m.drops++
    return false
  }
  m.queue.push(outbound.bytes.slice(0, total))
  m.queuedBytes += total + OVERHEAD
  return true
}

/** To the kernel, if it is its turn and there is room. */
function pass(m: MessageSocket, address: number, bytes: Uint8Array, total: number): boolean {
  if (m.fd < 0 || m.held) return false
  if (!m.native) return libc.send(m.fd, address, total, QUIET) !== -EAGAIN
  if (kindOf(bytes) !== MESSAGE_DATA && !mayWake(m)) return true
  if (m.inFlight !== undefined && libc.outQueue(m.fd) > 0) return false
  m.inFlight = bytes.slice(0, MESSAGE_SIZE)
  const r = libc.send(m.fd, address + MESSAGE_SIZE, total - MESSAGE_SIZE, QUIET)
  if (r < 0) m.inFlight = undefined
  return r !== -EAGAIN
}

const kindOf = (bytes: Uint8Array) => bytes[MESSAGE.kind]

/**
 * Natively an error is an empty message, which the shim and the supervisor tell from a datagram, and a plain read does
 * not. On Linux who has a peer is told of an error by any call, so there it is better than nothing; others are told if
 * they ask. One that was queued may have been told meanwhile.
 */
const mayWake = (m: MessageSocket) => hasError(m) && (m.connected || m.peek(RECORD.accepted) !== 0)

export const hasError = (m: MessageSocket) => m.errors.length > 0 || m.peek(RECORD.so_error) !== 0

/** The program has read something, or can read now: what waits goes on. */
export function flush(ground: Ground, m: MessageSocket): void {
  const { outbound } = ground.messages
  while (m.queue.length > 0) {
    const message = m.queue[0]
    outbound.bytes.set(message)
    if (!pass(m, outbound.stage.address, outbound.bytes, message.length)) break
    m.queue.shift()
    m.queuedBytes -= message.length + OVERHEAD
  }
  if (m.queue.length === 0) m.kind.more?.()
  if (m.native && m.inFlight !== undefined && libc.outQueue(m.fd) === 0) m.inFlight = undefined
}

/** A process that held a lock of the socket's has died: it may have been taking a packet ring's token, or going native. */
export function lockBroken(ground: Ground, m: MessageSocket): void {
  const hasToken = m.peek(RECORD.ring_size) !== 0 && m.fd >= 0 && libc.outQueue(m.fd) > 0
  m.share(RECORD.rung, Number(hasToken))
  m.held = false
  flush(ground, m)
}

/** An asynchronous error: send(2), recv(2) and SO_ERROR tell it, and poll(2) wakes. */
export function deliverError(ground: Ground, m: MessageSocket, errno: number): void {
  m.share(RECORD.so_error, errno)
  m.forgetChecks()
  wake(ground, m)
}

/** The message that makes the program's socket readable, unless one lies there. */
export function wake(ground: Ground, m: MessageSocket): void {
  const { outbound } = ground.messages
  if (m.native ? isToldNatively(m) : m.swap(RECORD.rung, 1) !== 0) return
  outbound.begin(MESSAGE_ERROR)
  if (!deliver(ground, m, outbound.bytes, 0, 0) && !m.native) m.share(RECORD.rung, 0)
}

function isToldNatively(m: MessageSocket): boolean {
  if (m.queue.some(message => kindOf(message) === MESSAGE_ERROR)) return true
  const { inFlight } = m
  return inFlight !== undefined && kindOf(inFlight) === MESSAGE_ERROR && libc.outQueue(m.fd) > 0
}

/** For recvmsg(2) with MSG_ERRQUEUE: a head as that shows it, and what is quoted. */
export function queueError(m: MessageSocket, error: Uint8Array): void {
  if (m.errors.length >= MOST_ERRORS) m.errors.shift()
  m.errors.push(error)
  m.share(RECORD.errors, m.errors.length)
}

/** The oldest of them. */
export function takeError(m: MessageSocket): Uint8Array | undefined {
  const error = m.errors.shift()
  m.share(RECORD.errors, m.errors.length)
  return error
}

/** SO_RCVBUF in bytes, as Linux counts: twice what was asked for. */
export const receiveBuffer = (m: MessageSocket): number =>
  2 * m.options[OPT_RCVBUF] || RCVBUF_DEFAULT

/** The kernel's part of it: what lies in the program's socket is bounded by our end's send buffer. */
export function sizeEnd(m: MessageSocket): void {
  if (m.fd < 0) return
  const wanted = Math.max(LEAST_SNDBUF, receiveBuffer(m)) / 2
  libc.setsockoptInt(m.fd, libc.SOL_SOCKET, libc.SO_SNDBUF, wanted)
}
