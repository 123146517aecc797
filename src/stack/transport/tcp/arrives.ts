// SEGMENT ARRIVES (RFC 9293 section 3.10.7), in its order: sequence number, RST, SYN, ACK, URG, text, FIN. The changes of
// RFC 5961 (blind attacks) and RFC 7323 (PAWS) stand where those RFCs put them.
import { ECONNREFUSED, ECONNRESET, EPIPE } from '../../../base/errno.ts'
import { ACK, IPPROTO_TCP, RST, SYN, URG } from '../../../wire/tcp.ts'
import type { Packet } from '../../net/path.ts'
import { checksumOk } from '../checksum.ts'
import { takeAck } from './ack.ts'
import { answerUnacceptable, challenge, tooSoon } from './challenge.ts'
import { takeFin, takeTimeWaitSegment } from './closing.ts'
import { takeBits } from './ecn.ts'
import { effectiveMss, tsClock } from './emit.ts'
import { establish, offerToUser } from './established.ts'
import { cookieMss, listenArrives, takeCookie } from './listener.ts'
import { deferTimeouts } from './options.ts'
import { refuse } from './refuse.ts'
import { sample } from './rtt.ts'
import type { Segment } from './segment.ts'
import { type Seq, add, after, before, diff } from './seq.ts'
import { synSentArrives } from './syn-sent.ts'
import {
  F_ACK_NOW,
  F_ACTIVE,
  F_DEFERRED,
  F_FAST_OPEN,
  F_SYN_DUE,
  F_TIMESTAMPS,
  F_TS_RECENT,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { noteTwice, takeText } from './text.ts'
import { checkUrgent } from './urgent.ts'

/** TS.Recent is no longer to be believed after so long (RFC 7323 section 5.5), ms. */
const TS_RECENT_AGE = 24 * 86_400_000

export function segmentArrives(tcp: Tcp, packet: Packet, now: number): void {
  const { seg, counters, gate } = tcp
  counters.segsIn++
  if (!seg.parse(packet)) {
    counters.badHeaders++
    return
  }
  if (!checksumOk(packet, IPPROTO_TCP, packet.length)) {
    counters.badChecksums++
    return
  }
  const slot = tcp.demux.find(packet, seg.srcPort, seg.dstPort)
  if (slot < 0) return unexpected(tcp, packet, seg, now)
  if (gate !== undefined && !gate.toConnection(slot, packet)) {
    counters.filtered++
    return
  }
  connectionArrives(tcp, tcp.tcb(slot), packet, seg, now)
}

function connectionArrives(tcp: Tcp, tcb: Tcb, packet: Packet, seg: Segment, now: number): void {
  tcb.busy = 1
  tcb.segsIn++
  if (seg.textLength > 0) tcb.dataSegsIn++
  if (tcb.state === 'SYN-SENT') synSentArrives(tcp, tcb, packet, seg, now)
  else if (tcb.state === 'TIME-WAIT') takeTimeWaitSegment(tcp, tcb, packet, seg, now)
  else otherStates(tcp, tcb, packet, seg, now)
  tcb.busy = 0
  tcp.arm(tcb)
}

/** CLOSED and LISTEN. */
function unexpected(tcp: Tcp, packet: Packet, seg: Segment, now: number): void {
  const src = packet.src()
  if (src.isMulticast || src.isUnspecified || packet.dst().isMulticast || seg.srcPort === 0) {
    tcp.counters.badAddresses++
    return
  }
  const listener = tcp.listeners.find(packet, seg.dstPort, seg.srcPort)
  if (listener) {
    if (tcp.gate?.toListener(listener.id, packet) === false) {
      tcp.counters.filtered++
      return
    }
    const mss = cookieMss(tcp, packet, seg, now)
    if (mss === 0) return listenArrives(tcp, listener, packet, seg, now)
    const tcb = takeCookie(tcp, listener, packet, seg, mss, now)
    if (tcb) connectionArrives(tcp, tcb, packet, seg, now)
    return
  }
  tcp.counters.noConnection++
  refuse(tcp, packet, seg)
}

/** Section 3.10.7.4. */
function otherStates(tcp: Tcp, tcb: Tcb, packet: Packet, seg: Segment, now: number): void {
  if (isRepeatedSyn(tcb, seg)) return repeatSynAck(tcp, tcb, seg, now)
  const crossing = isCrossingSyn(tcb, seg)
  if (crossing) seg.dropSyn()
  if (!checkSequence(tcp, tcb, seg, now)) return
  if (seg.has(RST)) return takeReset(tcp, tcb, seg, now)
  if (seg.has(SYN)) return challenge(tcp, tcb, now)
  if (!seg.has(ACK)) {
    tcp.counters.missingAcks++
    return
  }
  tcb.lastHeard = now
  if (before(seg.seq, tcb.rcv.nxt)) {
    if (seg.textLength > 0) noteTwice(tcb, seg.seq, tcb.rcv.nxt)
    seg.trimFront(diff(tcb.rcv.nxt, seg.seq))
  }
  if (tcb.state === 'SYN-RECEIVED' && !completeHandshake(tcp, tcb, packet, seg, crossing, now))
    return
  if (tcb.ecn !== 0) takeBits(tcb, seg, effectiveMss(tcb), now)
  if (!takeAck(tcp, tcb, seg, now)) return
  if (seg.has(URG)) checkUrgent(tcp, tcb, seg)
  if (seg.textLength > 0 && !takeText(tcp, tcb, seg, now)) return
  takeFin(tcp, tcb, seg, now)
  tcp.ready.push(tcb.slot)
}

/**
 * Simultaneous open (section 3.5, figure 8): the peer's SYN, which we have, again, now with the ACK of ours. Its number
 * is not acceptable any more, but without it a connection to itself would never be established.
 */
function isCrossingSyn(tcb: Tcb, seg: Segment): boolean {
  if (tcb.state !== 'SYN-RECEIVED' || !tcb.has(F_ACTIVE)) return false
  return (seg.control & (SYN | ACK | RST)) === (SYN | ACK) && seg.seq === tcb.rcv.irs
}

/** The peer's SYN again, maybe with text that we do not take before the handshake is done. */
const isRepeatedSyn = (tcb: Tcb, seg: Segment): boolean =>
  tcb.state === 'SYN-RECEIVED' &&
  (seg.control & (SYN | ACK | RST)) === SYN &&
  seg.seq === tcb.rcv.irs

/** It has not got our SYN and ACK, and times the answer to this one. */
function repeatSynAck(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  tcp.counters.outOfWindow++
  if (seg.options.timestamps && tcb.has(F_TIMESTAMPS)) noteTimestamp(tcb, seg, now)
  if (tooSoon(tcp, tcb, now)) return
  tcb.mark(F_SYN_DUE)
  tcp.ready.push(tcb.slot)
}

/** First. What is not acceptable is answered by an acknowledgment, and is not looked at any further. */
function checkSequence(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): boolean {
  const { rcv } = tcb
  if (tcb.has(F_TIMESTAMPS) && !seg.has(RST) && !checkTimestamps(tcp, tcb, seg, now)) return false
  const wnd = Math.max(0, diff(rcv.edge, rcv.nxt))
  if (!acceptable(seg, rcv.nxt, wnd)) {
    if (wnd === 0 && seg.seq === rcv.nxt && !seg.has(RST | SYN)) {
      // "Special allowance should be made to accept valid ACKs": of a window probe, too.
      // A FIN alone needs no room (as in Linux): its sender would repeat it until there is some.
      if (seg.textLength > 0) seg.trimBack(0)
      tcb.mark(F_ACK_NOW)
    } else {
      tcp.counters.outOfWindow++
      if (!seg.has(RST)) answerUnacceptable(tcp, tcb, seg, now)
      return false
    }
  }
  if (seg.options.timestamps && tcb.has(F_TIMESTAMPS) && !after(seg.seq, rcv.acked))
    noteTimestamp(tcb, seg, now)
  return true
}

/** The four-case table. */
export function acceptable(
  seg: { readonly seq: Seq; readonly len: number },
  nxt: Seq,
  wnd: number,
): boolean {
  const from = diff(seg.seq, nxt)
  if (seg.len === 0) return wnd === 0 ? from === 0 : from >= 0 && from < wnd
  if (wnd === 0) return false
  if (from >= 0) return from < wnd
  const last = diff(add(seg.seq, seg.len - 1), nxt)
  return last >= 0 && last < wnd
}

/** RFC 7323 sections 3.2 and 5.3, R1. */
function checkTimestamps(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): boolean {
  const { rcv } = tcb
  const { options } = seg
  if (!options.timestamps) {
    tcp.counters.missingTimestamps++
    return false
  }
  if (!tcb.has(F_TS_RECENT) || ((options.tsVal - rcv.tsRecent) | 0) >= 0) return true
  if (now - rcv.tsRecentAt > TS_RECENT_AGE) {
    tcb.unmark(F_TS_RECENT)
    return true
  }
  tcp.counters.pawsRejected++
  answerUnacceptable(tcp, tcb, seg, now)
  return false
}

/** R3. */
function noteTimestamp(tcb: Tcb, seg: Segment, now: number): void {
  const { rcv } = tcb
  if (tcb.has(F_TS_RECENT) && ((seg.options.tsVal - rcv.tsRecent) | 0) < 0) return
  rcv.tsRecent = seg.options.tsVal
  rcv.tsRecentAt = now
  tcb.mark(F_TS_RECENT)
}

/** Second. Only a RST at RCV.NXT counts (RFC 5961 section 3). */
function takeReset(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  if (seg.seq !== tcb.rcv.nxt) return challenge(tcp, tcb, now)
  tcp.counters.resetsIn++
  if (tcb.has(F_FAST_OPEN)) tcp.fastOpen.wasReset(now)
  else if (tcb.state === 'SYN-RECEIVED') {
    tcp.counters.failedOpens++
    return tcp.finish(tcb, tcb.has(F_ACTIVE) ? ECONNREFUSED : 0)
  }
  // Linux: EPIPE for who was only going to write.
  tcp.finish(tcb, tcb.state === 'CLOSE-WAIT' ? EPIPE : ECONNRESET)
}

/** TCP_DEFER_ACCEPT: an ACK alone does not establish, until SYN-ACKs have been sent for as long as the listener waits. */
const waitsForText = (tcb: Tcb, seg: Segment): boolean =>
  tcb.deferAccept > 0 &&
  seg.len === 0 &&
  tcb.listener >= 0 &&
  tcb.snd.retries < deferTimeouts(tcb.deferAccept)

/** Fifth, SYN-RECEIVED: the ACK of our SYN. */
function completeHandshake(
  tcp: Tcp,
  tcb: Tcb,
  packet: Packet,
  seg: Segment,
  crossing: boolean,
  now: number,
): boolean {
  const { snd } = tcb
  if (!after(seg.ack, snd.iss) || after(seg.ack, snd.max)) {
    tcp.counters.badAcks++
    refuse(tcp, packet, seg)
    return false
  }
  if (waitsForText(tcb, seg)) {
    tcb.mark(F_DEFERRED)
    tcp.counters.acceptsDeferred++
    return false
  }
  if (seg.options.timestamps && snd.retries > 0)
    sample(tcb, (tsClock(tcb, now) - seg.options.tsEcr) | 0, now)
  const known = tcb.has(F_FAST_OPEN)
  establish(tcp, tcb, now)
  if (crossing) tcb.mark(F_ACK_NOW)
  return known || offerToUser(tcp, tcb, now)
}
