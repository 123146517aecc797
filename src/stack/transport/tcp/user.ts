// What TCP asks of those who use it (the user of RFC 9293 section 3.9.1), and tells them.
import type { Packet } from '../../net/path.ts'

/** The handshake is done (active open). */
export const EV_CONNECTED = 1
/** Text was published. */
export const EV_TEXT = 2
/** The peer acknowledged text: the send buffer has room. With TCP_NOTSENT_LOWAT also: text was sent. */
export const EV_ROOM = 4
/** The peer's FIN: no more text comes. */
export const EV_FIN = 8
/** The connection failed; `errno` says why. EV_CLOSED comes with it. */
export const EV_ERROR = 16
/** The last event: TCP forgets the user, touches its buffers no more, and gives the number to others. */
export const EV_CLOSED = 32
/** Urgent data: the peer says that there is some, and again when its byte is here (SIGURG, POLLPRI). */
export const EV_URGENT = 128
/** Everything sent is acknowledged, our FIN too: what a close() that lingers waits for. */
export const EV_SENT = 64
/** Both FINs are acknowledged, and ours was first. */
export const EV_TIME_WAIT = 256

/** Who says of segments that came for a connection or a listener whether TCP hears of them (SO_ATTACH_FILTER). */
export interface SegmentGate {
  toConnection(tcb: number, packet: Packet): boolean
  toListener(id: number, packet: Packet): boolean
}

export interface TcpUser {
  /** A SYN for this listener: take it, ignore it (the backlog is full), or refuse it (the listener is dead: RST). */
  synArrives(listener: number): 'accept' | 'drop' | 'refuse'
  /** The handshake is done for a connection of this listener: calls tcp.attach(tcb, …), or answers false (it is reset). */
  established(tcb: number, listener: number, now: number): boolean
  /** Something changed: EV_* bits. At most once per connection and Tcp.flushEvents(), from nowhere else. */
  changed(tcb: number, events: number, errno: number, now: number): void
  /** The program reads as fast as the receive window lets the peer send: `wanted` bytes would be better. */
  growReceive(tcb: number, wanted: number): void
  /** The path holds more than the send buffer does: `wanted` bytes would be better. False: not now, ask again. */
  growSend(tcb: number, wanted: number): boolean
}
