// Urgent data (RFC 9293 section 3.8.5, RFC 6093), with Linux's reading of the pointer (tcp_stdurg = 0): it is one past
// the urgent byte, and that byte alone is out of band. Sequence numbers and places in the receive buffer stay in step,
// so the byte lies in line, too; whoever reads leaves it out there, unless SO_OOBINLINE. A newer mark takes the place
// of an older, whose byte is then text like any other.
import { EAGAIN, EINVAL } from '../../../base/errno.ts'
import { ACK, URG } from '../../../wire/tcp.ts'
import { published } from './calls.ts'
import { effectiveMss, emit } from './emit.ts'
import type { Segment } from './segment.ts'
import { type Seq, add, after, before, diff } from './seq.ts'
import { F_ACK_NOW, F_URGENT, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { EV_URGENT } from './user.ts'

/** rcv.urgent: there is no mark; its byte has not come; the program took it; or 256 and the byte. */
export const URGENT_NONE = 0
export const URGENT_DUE = 1
export const URGENT_TAKEN = 2
export const URGENT_BYTE = 256

const FARTHEST = 0xffff

// ---- receiving

/** Sixth, check the URG bit. Marks behind what has come already, or not ahead of the last, are old. */
export function checkUrgent(tcp: Tcp, tcb: Tcb, seg: Segment): void {
  const { rcv } = tcb
  if (!seg.has(URG) || before(seg.urgent, rcv.nxt)) return
  if (tcb.state !== 'ESTABLISHED' && tcb.state !== 'FIN-WAIT-1' && tcb.state !== 'FIN-WAIT-2')
    return
  if (rcv.urgent !== URGENT_NONE && !after(seg.urgent, rcv.up)) return
  rcv.up = seg.urgent
  rcv.urgent = URGENT_DUE
  tcb.receive?.mark?.(diff(rcv.up, rcv.nxt), tcb.oobInline !== 0)
  tcp.raise(tcb, EV_URGENT)
}

/** The first `n` bytes of the text of `seg` are taken: is the one that is due among them? */
export function takeUrgentByte(tcp: Tcp, tcb: Tcb, seg: Segment, n: number): void {
  const { rcv } = tcb
  const offset = diff(rcv.up, seg.seq)
  if (offset < 0 || offset >= n) return
  rcv.urgent = URGENT_BYTE | seg.bytes[seg.text + offset]
  tcp.raise(tcb, EV_URGENT)
}

/** How much text lies before the mark, counted as published() does; undefined: no mark, or the program has passed it. */
export function urgentMark(tcb: Tcb): number | undefined {
  const { rcv } = tcb
  if (rcv.urgent === URGENT_NONE) return
  const mark = diff(rcv.up, add(rcv.irs, 1))
  return ((mark - taken(tcb)) | 0) < 0 ? undefined : mark
}

/** SIOCATMARK: is the urgent byte the next that the program would read? */
export const atMark = (tcb: Tcb): boolean => urgentMark(tcb) === taken(tcb)

const taken = (tcb: Tcb): number => (published(tcb) - (tcb.receive?.used ?? 0)) | 0

/** Has the urgent byte come, and nobody taken it? */
export const urgentHere = (tcb: Tcb): boolean =>
  (tcb.rcv.urgent & URGENT_BYTE) !== 0 && urgentMark(tcb) !== undefined

/** recv(MSG_OOB): the byte, -EAGAIN if it has not come, -EINVAL if there is none, or it was taken, or is in line. */
export function receiveUrgent(tcb: Tcb, peek: boolean): number {
  const { rcv } = tcb
  if (tcb.oobInline !== 0 || rcv.urgent === URGENT_TAKEN || urgentMark(tcb) === undefined)
    return -EINVAL
  if (rcv.urgent === URGENT_DUE) return -EAGAIN
  const byte = rcv.urgent & 0xff
  if (!peek) rcv.urgent = URGENT_TAKEN
  return byte
}

// ---- sending

/** The last byte in the send buffer is urgent. The peer hears of it at once, if its window is closed without text. */
export function sendUrgent(tcp: Tcp, tcb: Tcb): void {
  const { snd, send } = tcb
  if (!send || send.length === 0) return
  snd.up = add(snd.una === snd.iss ? add(snd.iss, 1) : snd.una, send.length)
  tcb.mark(F_URGENT)
  if (tcb.state !== 'SYN-SENT' && tcb.state !== 'SYN-RECEIVED') tcb.mark(F_ACK_NOW)
  tcp.ready.push(tcb.slot)
}

/** SEG.UP for a segment at `from`; 0: nothing urgent is so near. Farther than it can say, it points past all text sent. */
export function urgentPointer(tcb: Tcb, from: Seq): number {
  const { snd } = tcb
  const distance = diff(snd.up, from)
  if (distance <= FARTHEST) return Math.max(0, distance)
  return diff(snd.max, from) < FARTHEST ? FARTHEST : 0
}

/** SND.UNA has moved. */
export function forgetUrgent(tcb: Tcb): void {
  if (!after(tcb.snd.up, tcb.snd.una)) tcb.unmark(F_URGENT)
}

/** Beside a window probe, whose number is not acceptable: a segment that is, and tells of the urgent byte. */
export function probeUrgent(tcp: Tcp, tcb: Tcb, now: number): void {
  if (tcb.has(F_URGENT)) emit(tcp, tcb, tcb.snd.una, ACK, 0, effectiveMss(tcb), now)
}
