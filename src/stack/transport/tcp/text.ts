// Seventh, process the segment text (RFC 9293 section 3.10.7.4). Text goes into the receive buffer where it belongs, in
// order or not; the program sees it when RCV.NXT has passed it.
import { PSH } from '../../../wire/tcp.ts'
import { abort } from './calls.ts'
import { ackNow } from './challenge.ts'
import { pathMss } from './emit.ts'
import { BYTES_RECEIVED, DELAYED_ACK_AT, HELD, LAST_TEXT, RTO } from './layout.ts'
import * as ranges from './ranges.ts'
import type { Segment } from './segment.ts'
import { type Seq, add, after, before, diff, latest } from './seq.ts'
import { F_ACK_NOW, F_FAST_OPEN, F_FIN_HELD, F_PINGPONG, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { URGENT_DUE, takeUrgentByte } from './urgent.ts'
import { EV_TEXT } from './user.ts'
import { measureRoundTrip } from './window.ts'

/** False: the connection is over. */
export function takeText(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): boolean {
  const { rcv, receive } = tcb
  if (!mayReceive(tcb) || !receive) return unwanted(tcp, tcb, seg, now)
  const offset = diff(seg.seq, rcv.nxt)
  let n = Math.min(seg.textLength, receive.window - offset)
  if (tcb.has(F_FIN_HELD)) n = Math.min(n, diff(rcv.finSeq, seg.seq))
  if (n < seg.textLength) {
    seg.trimBack(Math.max(0, n))
    tcb.mark(F_ACK_NOW)
  }
  if (n <= 0) return true
  const { times, at64 } = tcb
  const last = times[at64 + LAST_TEXT]
  if (last !== 0 && now - last > times[at64 + RTO]) wakeUp(tcb)
  times[at64 + LAST_TEXT] = now
  const size = Math.min(n, pathMss(tcb))
  if (size > rcv.mss) rcv.mss = size
  if (rcv.urgent === URGENT_DUE) takeUrgentByte(tcp, tcb, seg, n)
  if (offset > 0) takeEarly(tcp, tcb, seg, offset, n, now)
  else takeInOrder(tcp, tcb, seg, n, now)
  return true
}

function takeInOrder(tcp: Tcp, tcb: Tcb, seg: Segment, n: number, now: number): void {
  const { rcv, receive, words } = tcb
  receive!.writeAt(0, seg.bytes, seg.text, n)
  const list = tcb.at + HELD
  const holes = ranges.count(words, list) > 0
  let next = add(rcv.nxt, n)
  if (holes) next = behindHeld(tcb, next)
  n = diff(next, rcv.nxt)
  rcv.nxt = next
  receive!.publish(n)
  if (holes) ranges.trim(words, list, next)
  tcb.times[tcb.at64 + BYTES_RECEIVED] += n
  tcp.raise(tcb, EV_TEXT)
  measureRoundTrip(tcb, now)
  if (holes) tcb.mark(F_ACK_NOW)
  else acknowledge(tcp, tcb, seg, now)
}

/** The end of the held range that text up to `next` reaches, or `next`. Ranges do not touch, so there is at most one. */
function behindHeld(tcb: Tcb, next: Seq): Seq {
  const { words } = tcb
  const list = tcb.at + HELD
  for (let i = 0; i < ranges.count(words, list); i++) {
    if (after(ranges.start(words, list, i), next)) continue
    const end = ranges.end(words, list, i)
    if (after(end, next)) return end
  }
  return next
}

/** Text past a hole: held, and acknowledged at once so that the peer learns of the hole (RFC 5681 section 4.2). */
function takeEarly(tcp: Tcp, tcb: Tcb, seg: Segment, offset: number, n: number, now: number): void {
  tcp.counters.outOfOrder++
  tcb.rcv.outOfOrder++
  noteHeld(tcb, seg.seq, add(seg.seq, n))
  // Before a range speaks of it: the bytes past RCV.NXT are nobody's until then.
  tcb.receive!.writeAt(offset, seg.bytes, seg.text, n)
  if (!ranges.addFront(tcb.words, tcb.at + HELD, seg.seq, add(seg.seq, n)))
    tcp.counters.outOfOrderFull++
  ackNow(tcp, tcb, now)
}

/** Text that came twice, as far as that is in one piece: the next acknowledgment says so (RFC 2883). */
export function noteTwice(tcb: Tcb, from: Seq, to: Seq): void {
  tcb.rcv.dupFrom = from
  tcb.rcv.dupTo = to
}

/** [from, to) is held already, in part or as a whole. */
function noteHeld(tcb: Tcb, from: Seq, to: Seq): void {
  const { words } = tcb
  const list = tcb.at + HELD
  for (let i = 0; i < ranges.count(words, list); i++) {
    const start = ranges.start(words, list, i)
    const end = ranges.end(words, list, i)
    if (!before(from, end) || !before(start, to)) continue
    return noteTwice(tcb, latest(from, start), before(end, to) ? end : to)
  }
}

/**
 * At once for more than a full segment, while the peer's cwnd is small, and for what its sender pushes while the program
 * has no answers: if Nagle's algorithm is on there, nothing else comes before it is acknowledged. Else soon, or with
 * what we send. Linux waits with the push until the program has read all there is (tcp_cleanup_rbuf): we are not told.
 */
function acknowledge(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  const { rcv } = tcb
  if (diff(rcv.nxt, rcv.acked) > rcv.mss) {
    tcb.mark(F_ACK_NOW)
    return
  }
  if (seg.has(PSH) && !tcb.has(F_PINGPONG)) {
    tcb.mark(F_ACK_NOW)
    return
  }
  if (rcv.quick > 0 && !tcb.has(F_PINGPONG)) {
    rcv.quick--
    tcb.mark(F_ACK_NOW)
    return
  }
  const { times, at64 } = tcb
  if (times[at64 + DELAYED_ACK_AT] === Infinity)
    times[at64 + DELAYED_ACK_AT] = now + tcp.tuning.delayedAck
}

/** After a pause the peer may have begun again with a small cwnd. */
function wakeUp(tcb: Tcb): void {
  tcb.rcv.quick = 16
}

const mayReceive = (tcb: Tcb): boolean => {
  switch (tcb.state) {
    case 'ESTABLISHED':
    case 'FIN-WAIT-1':
    case 'FIN-WAIT-2':
      return true
    case 'SYN-RECEIVED':
      return tcb.has(F_FAST_OPEN)
    default:
      return false
  }
}

/** Text that nobody will read: after the peer's FIN it is a lie; after the program has gone the peer must know (RFC 1122 4.2.2.13). */
function unwanted(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): boolean {
  seg.trimBack(0)
  if (!mayReceive(tcb)) {
    tcp.counters.textAfterFin++
    return true
  }
  if (tcb.state === 'ESTABLISHED') return false
  tcp.counters.textAfterClose++
  abort(tcp, tcb, now)
  return false
}
