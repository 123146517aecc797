// Explicit congestion notification (RFC 3168): a router marks a packet (CE) instead of losing it, the receiver says so in
// each acknowledgment (ECE) until the sender says that it has reduced cwnd (CWR). All state is bits in one word of the
// record (ecn-bits.ts).
//
// Who asks is tcp_ecn's matter (the setting `ecn`): 0 nobody, 1 we do in our SYNs, 2 (Linux's default) only the peer. A SYN
// that is sent again does not ask any more, in case it was lost for that (section 6.1.1.1), nor does a SYN-ACK agree
// then: if the first one arrived all the same, the peer will be answered, but we do not rely on its doing so.
import { ACK, CWR, ECE, SYN } from '../../../wire/tcp.ts'
import { reduceOnEcho } from './congestion.ts'
import { E_ASKED, E_CWR_DUE, E_ECE_DUE, E_ECHOES, E_REDUCED, E_SEEN, E_SENDS } from './ecn-bits.ts'
import type { Segment } from './segment.ts'
import { after, before, diff } from './seq.ts'
import { F_ACK_NOW, F_PINGPONG, R_NONE, type Tcb } from './tcb.ts'

/** The ECN field of tos. */
const ECN_MASK = 3
export const NOT_ECT = 0
export const ECT_0 = 2
export const CE = 3

/** Control bits for our SYN, or for the SYN-ACK that answers the peer's. */
export function synBits(tcb: Tcb, answer: boolean): number {
  const again = tcb.snd.retries > 0
  if (answer) {
    if (again) tcb.ecn &= ~E_SENDS
    return (tcb.ecn & E_SENDS) !== 0 ? ECE : 0
  }
  if (tcb.ecnMode !== 1 || again) return 0
  tcb.ecn |= E_ASKED
  return ECE | CWR
}

/** The peer's SYN has come to a listener. One that is ECT itself does not know what it asks for. */
export function takeSyn(tcb: Tcb, seg: Segment): void {
  const asks = (seg.control & (SYN | ACK | ECE | CWR)) === (SYN | ECE | CWR)
  if (asks && tcb.ecnMode !== 0 && (seg.tos & ECN_MASK) === NOT_ECT) tcb.ecn = E_SENDS | E_ECHOES
}

/** The answer to our SYN. (One that is only a SYN, in a simultaneous open, agrees to nothing.) */
export function takeSynAck(tcb: Tcb, seg: Segment): void {
  const agreed = (tcb.ecn & E_ASKED) !== 0 && (seg.control & (ACK | ECE | CWR)) === (ACK | ECE)
  tcb.ecn = agreed ? E_SENDS | E_ECHOES : 0
}

/** An acceptable segment of a connection that has agreed, before its ACK and its text are looked at. */
export function takeBits(tcb: Tcb, seg: Segment, mss: number, now: number): void {
  if ((tcb.ecn & E_ECHOES) !== 0) takeMark(tcb, seg)
  if ((tcb.ecn & E_SENDS) !== 0) takeEcho(tcb, seg, mss, now)
}

/** For the receiver (section 6.1.3). The peer's cwnd may be very small now: it waits for every acknowledgment. */
function takeMark(tcb: Tcb, seg: Segment): void {
  const { rcv } = tcb
  if (seg.has(CWR)) {
    tcb.ecn &= ~E_ECE_DUE
    if (seg.textLength > 0) tcb.mark(F_ACK_NOW)
  }
  const mark = seg.tos & ECN_MASK
  if (mark === NOT_ECT) return
  tcb.ecn |= E_SEEN
  if (mark !== CE || (tcb.ecn & E_ECE_DUE) !== 0) return
  tcb.ecn |= E_ECE_DUE
  tcb.unmark(F_PINGPONG)
  rcv.quick = Math.max(rcv.quick, 2)
}

/** For the sender (section 6.1.2). */
function takeEcho(tcb: Tcb, seg: Segment, mss: number, now: number): void {
  const { snd } = tcb
  if (before(seg.ack, snd.una) || after(seg.ack, snd.max)) return
  // Only when text behind what was on its way is acknowledged has the peer seen the CWR that goes with it.
  if ((tcb.ecn & E_REDUCED) !== 0 && after(seg.ack, snd.cwrEnd)) tcb.ecn &= ~E_REDUCED
  if (!seg.has(ECE) || snd.una === snd.max) return
  snd.deliveredCe += Math.ceil(diff(seg.ack, snd.una) / mss)
  // What is being repaired now may have been lost by congestion, whatever else may be found out.
  snd.priorCwnd = 0
  if (snd.recovery !== R_NONE || (tcb.ecn & E_REDUCED) !== 0) return
  tcb.ecn |= E_REDUCED | E_CWR_DUE
  snd.cwrEnd = snd.max
  reduceOnEcho(tcb, mss, now)
}

/** Control bits of a segment; `fresh`: with text that was never sent before. */
export const controlBits = (tcb: Tcb, fresh: boolean): number =>
  ((tcb.ecn & E_ECE_DUE) !== 0 ? ECE : 0) | (fresh && (tcb.ecn & E_CWR_DUE) !== 0 ? CWR : 0)

/** Its ECN field (section 6.1.5: nothing that is sent again, or has no text). */
export const field = (tcb: Tcb, fresh: boolean): number =>
  fresh && (tcb.ecn & E_SENDS) !== 0 ? ECT_0 : NOT_ECT
