// From the program to the stack: what lies at our end of a message socket.
import { EAGAIN } from '../../base/errno.ts'
import * as libc from '../../ffi/libc.ts'
import { MESSAGE, MESSAGE_DATA, MESSAGE_RETURNED, MESSAGE_SIZE } from '../../shm/layout.ts'
import type { Ground } from '../ground.ts'
import * as T from '../table.ts'
import { OVERHEAD, flush, receiveBuffer } from './deliver.ts'
import { QUIET } from './flags.ts'
import type { MessageSocket } from './message-socket.ts'

/** Messages of one socket in one turn. */
const PER_TURN = 64

/** An epoll event on our end. */
export function messageEvent(ground: Ground, m: MessageSocket, events: number): void {
  takeMessages(ground, m)
  if (ground.messages.sockets[m.index] !== m) return
  if ((events & libc.EPOLLOUT) !== 0 && m.fd >= 0) flush(ground, m)
  if ((events & libc.EPOLLHUP) !== 0) gone(ground, m)
}

/** HUP: closed, or shut down in both directions by the program; then its name tells when it goes. */
function gone(ground: Ground, m: MessageSocket): void {
  m.mark(T.SHOWN_BOTH)
  if (ground.names.alive(m.index, m.generation, libc.SOCK_SEQPACKET)) return
  closeMessageSocket(ground, m)
}

/** A close that no event told: after shutdown(2) of both directions, or before the socket ever came to us. */
export function probeMessages(ground: Ground, m: MessageSocket): void {
  if (ground.names.alive(m.index, m.generation, libc.SOCK_SEQPACKET)) return
  closeMessageSocket(ground, m)
}

/** Takes what is there, up to a turn's worth; before a call is served, all that was sent before it. */
export function takeMessages(ground: Ground, m: MessageSocket, most = PER_TURN): void {
  const { messages } = ground
  if (m.waiting !== undefined && !sendWaiting(ground, m)) return
  messages.unread.delete(m)
  for (let i = 0; m.fd >= 0; i++) {
    if (i === most) return void messages.unread.add(m)
    const { stage } = messages
    const n = libc.recv(m.fd, stage.address, stage.bytes.length, QUIET)
    if (n < 0 || (n === 0 && !isEmptyText(m))) return
    if (!takeOne(ground, m, n)) return
  }
}

/** 0 bytes are an end, or a datagram of no text from who writes no heads. */
const isEmptyText = (m: MessageSocket) =>
  m.native && (libc.poll(m.fd, libc.POLLRDHUP, 0) & (libc.POLLRDHUP | libc.POLLHUP)) === 0

/** False: it has to wait. */
function takeOne(ground: Ground, m: MessageSocket, n: number): boolean {
  const { inbound, stage } = ground.messages
  const headed = n >= MESSAGE_SIZE && bearsCookie(m, stage.view)
  if (headed) inbound.headed(stage.bytes, 0, n - MESSAGE_SIZE)
  else inbound.bare(stage.bytes, 0, n)
  if (inbound.kind === MESSAGE_RETURNED) {
    takeBack(m, stage.bytes.slice(0, n))
    return true
  }
  if (m.kind.send(inbound) !== -EAGAIN) return true
  m.waiting = stage.bytes.slice(0, n)
  m.waitingIsBare = !headed
  ground.messages.blocked.add(m)
  return false
}

/** Nobody has read it: it comes again, bare. What a program says came back, more than there can have been, is not kept. */
function takeBack(m: MessageSocket, message: Uint8Array): void {
  if (!m.held || m.queuedBytes > 2 * receiveBuffer(m)) return
  message[MESSAGE.kind] = MESSAGE_DATA
  m.queue.splice(m.returned++, 0, message)
  m.queuedBytes += message.length + OVERHEAD
}

function bearsCookie(m: MessageSocket, view: DataView): boolean {
  for (let i = 0; i < 16; i += 4)
    if (view.getInt32(MESSAGE.cookie + i, true) !== m.cookie[i / 4]) return false
  return true
}

/** The message that found no room, again. False: there is none yet. */
export function sendWaiting(ground: Ground, m: MessageSocket): boolean {
  const { inbound, blocked } = ground.messages
  const bytes = m.waiting
  if (bytes === undefined) return true
  if (m.waitingIsBare) inbound.bare(bytes, 0, bytes.length)
  else inbound.headed(bytes, 0, bytes.length - MESSAGE_SIZE)
  if (m.kind.send(inbound) === -EAGAIN) return false
  m.waiting = undefined
  blocked.delete(m)
  return true
}

/** Once a turn: those that waited for room on the link, or for their turn. When to come again, ms. */
export function goOn(ground: Ground): number {
  const { blocked, unread, news } = ground.messages
  news?.tell(ground.now)
  for (const m of blocked) takeMessages(ground, m)
  for (const m of unread) takeMessages(ground, m)
  if (unread.size > 0) return ground.now
  return blocked.size > 0 ? ground.now + 1 : Infinity
}

/** The last copy is gone: what it sent has gone out, or goes nowhere. */
export function closeMessageSocket(ground: Ground, m: MessageSocket): void {
  const { messages, table } = ground
  m.kind.close()
  messages.blocked.delete(m)
  messages.unread.delete(m)
  if (m.fd >= 0) libc.close(m.fd)
  m.retire()
  messages.sockets[m.index] = undefined
  table.free(m.index)
}
