// The receive window: what to promise (RFC 9293 section 3.8.6), when to say so, and how large the buffer should be
// (dynamic right-sizing, Fisk and Feng 2001, as Linux does it).
import { type Seq, add, after, diff } from './seq.ts'
import { F_ACK_NOW, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** No round trip is shorter than this, ms: the clock may stand still for a batch of segments. */
const MIN_ROUND = 0.01
const SHORT_PATH_MS = 1
const SHORT_PATH_BUFFER = 4 << 20

/** RCV.WND for the next segment, bytes. Never less than promised; more only if it is worth a segment (section 3.8.6.2.2). */
export function windowToOffer(tcb: Tcb): number {
  const { rcv, receive } = tcb
  const left = diff(rcv.edge, rcv.nxt)
  const promised = left > 0 ? left : 0
  if (!receive) return promised
  const room = clamped(tcb, receive.window)
  return room - promised < worthwhile(tcb, room + receive.used) ? promised : room
}

/** The SYN promised a window before there was a buffer. If that is smaller, the first acknowledgment will say so. */
export function fitWindow(tcb: Tcb): void {
  const { rcv, receive } = tcb
  if (!receive || rcv.bytesReceived > 0 || tcb.state === 'SYN-SENT') return
  const room = clamped(tcb, receive.window)
  if (diff(rcv.edge, rcv.nxt) > room) rcv.edge = add(rcv.nxt, room)
}

/** Text was taken by the program: a window that has become twice as large is announced. */
export function programTook(tcp: Tcp, tcb: Tcb, now: number): void {
  const { rcv, receive } = tcb
  if (!receive) return
  const { used } = receive
  rightSize(tcp, tcb, used, now)
  const left = diff(rcv.edge, rcv.nxt)
  const promised = left > 0 ? left : 0
  const room = clamped(tcb, receive.window)
  if (room < 2 * promised || room - promised < worthwhile(tcb, room + used)) return
  tcb.mark(F_ACK_NOW)
  tcp.ready.push(tcb.slot)
}

/**
 * The program goes, having read everything: the FIN offers all the room there is. A peer that found the window closed
 * sends then, and hears by a reset that nobody listens; it would ask for ever.
 */
export function offerAll(tcb: Tcb): void {
  const { rcv, receive } = tcb
  if (!receive) return
  const edge = add(rcv.nxt, clamped(tcb, receive.window))
  if (!after(edge, rcv.edge)) return
  rcv.edge = edge
  tcb.mark(F_ACK_NOW)
}

/** The window is offered up to `edge`. Text past the old edge cannot come before the peer has heard of this. */
export function offered(tcb: Tcb, edge: Seq, now: number): void {
  const { rcv } = tcb
  if (!after(edge, rcv.edge)) return
  if (rcv.rttAt === 0) {
    rcv.rttAt = now
    rcv.rttEdge = rcv.edge
  }
  rcv.edge = edge
}

/** Text has moved RCV.NXT: if it is past the edge that was, a round trip has gone by, at least. */
export function measureRoundTrip(tcb: Tcb, now: number): void {
  const { rcv } = tcb
  if (rcv.rttAt === 0 || !after(rcv.nxt, rcv.rttEdge)) return
  const sample = Math.max(now - rcv.rttAt, MIN_ROUND)
  if (rcv.rtt === 0 || sample < rcv.rtt) rcv.rtt = sample
  rcv.rttAt = 0
}

/** Once in a round trip: did the program take more than in any before? Then the window must hold twice as much. */
function rightSize(tcp: Tcp, tcb: Tcb, used: number, now: number): void {
  const { rcv } = tcb
  if (now - rcv.roundAt < rcv.rtt || rcv.rtt === 0) return
  const taken = diff(rcv.nxt, add(rcv.irs, 1 + used))
  const took = taken - rcv.taken
  rcv.taken = taken
  rcv.roundAt = now
  if (took <= rcv.space) return
  const growth = rcv.space === 0 ? 0 : took / rcv.space - 1
  rcv.space = took
  const twice = 2 * took + 16 * rcv.mss
  // A sender in slow start: its next window is to fit when it comes, and the one after that.
  const wanted = isShort(rcv.rtt) ? twice : twice * (1 + 2 * Math.min(1, growth))
  tcp.user.growReceive(tcb.slot, bufferFor(isShort(rcv.rtt), wanted, tcp.tuning.rmemMax))
}

export const isShort = (rtt: number): boolean => rtt < SHORT_PATH_MS

/** `wanted`, but no more than there may be, and than a short path can use: this much in a ms is 32 Gbit/s. */
export const bufferFor = (short: boolean, wanted: number, most: number): number =>
  Math.min(wanted, short ? Math.min(most, SHORT_PATH_BUFFER) : most)

/** At most TCP_WINDOW_CLAMP, and what the header can say. */
const clamped = (tcb: Tcb, room: number): number => {
  const { clamp, windShift } = tcb.rcv
  const most = 65535 << windShift
  return Math.min(room, clamp > 0 && clamp < most ? clamp : most)
}

/** Half the buffer or a full segment, whichever is less. */
const worthwhile = (tcb: Tcb, buffer: number): number =>
  Math.max(1, Math.min(buffer >>> 1, tcb.rcv.mss))
