// SEGMENT ARRIVES in SYN-SENT (RFC 9293 section 3.10.7.3).
import { ECONNREFUSED } from '../../../base/errno.ts'
import { ACK, RST, SYN } from '../../../wire/tcp.ts'
import type { Packet } from '../../net/path.ts'
import { receiveFrom } from './calls.ts'
import { takeFin } from './closing.ts'
import { takeSynAck } from './ecn.ts'
import { pathMss, tsClock } from './emit.ts'
import { establish } from './established.ts'
import { takeSynOptions } from './listener.ts'
import { refuse } from './refuse.ts'
import { resendSynText } from './recovery.ts'
import { sample } from './rtt.ts'
import type { Segment } from './segment.ts'
import { after, diff } from './seq.ts'
import { F_ACK_NOW, F_SYN_DATA, F_SYN_DUE, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { takeText } from './text.ts'
import { checkUrgent } from './urgent.ts'
import { EV_CONNECTED, EV_ROOM } from './user.ts'

export function synSentArrives(
  tcp: Tcp,
  tcb: Tcb,
  packet: Packet,
  seg: Segment,
  now: number,
): void {
  const { snd } = tcb
  if (seg.has(ACK) && (!after(seg.ack, snd.iss) || after(seg.ack, snd.max))) {
    tcp.counters.badAcks++
    return refuse(tcp, packet, seg)
  }
  if (seg.has(RST)) {
    if (!seg.has(ACK)) return
    tcp.counters.resetsIn++
    tcp.counters.failedOpens++
    return tcp.finish(tcb, ECONNREFUSED)
  }
  if (!seg.has(SYN)) return
  takeSynOptions(tcp, tcb, seg, now)
  takeSynAck(tcb, seg)
  receiveFrom(tcb, seg.seq, pathMss(tcb))
  tcb.lastHeard = now
  snd.wnd = seg.wnd
  snd.maxWnd = seg.wnd
  snd.wl1 = seg.seq
  snd.wl2 = seg.has(ACK) ? seg.ack : snd.iss
  if (!seg.has(ACK)) {
    // Simultaneous open: our SYN again, with an ACK.
    tcp.enter(tcb, 'SYN-RECEIVED')
    tcb.mark(F_SYN_DUE)
    tcp.ready.push(tcb.slot)
    return
  }
  if (seg.options.timestamps && snd.retries > 0)
    sample(tcb, (tsClock(tcb, now) - seg.options.tsEcr) | 0, now)
  if (tcb.fastOpenConnect !== 0) tcp.fastOpen.learn(tcb, seg, snd.retries > 0, now)
  establish(tcp, tcb, now)
  if (tcb.has(F_SYN_DATA)) takeSynDataAck(tcp, tcb, seg, now)
  tcp.raise(tcb, EV_CONNECTED)
  tcb.mark(F_ACK_NOW)
  tcp.ready.push(tcb.slot)
  seg.dropSyn()
  checkUrgent(tcp, tcb, seg)
  if (seg.textLength > 0 && !takeText(tcp, tcb, seg, now)) return
  takeFin(tcp, tcb, seg, now)
}

/** What of the text that went with the SYN the peer took; the rest is sent again at once (RFC 7413 section 4.2.2). */
function takeSynDataAck(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  const { snd } = tcb
  const taken = diff(seg.ack, snd.una)
  if (taken > 0) {
    tcb.send!.consume(taken)
    snd.una = seg.ack
    snd.bytesAcked += taken
    tcp.counters.fastOpens++
    tcp.raise(tcb, EV_ROOM)
  } else {
    tcb.unmark(F_SYN_DATA)
    tcp.counters.fastOpensFailed++
  }
  resendSynText(tcb, now)
  if (snd.una !== snd.max) return
  snd.retransmitAt = Infinity
  snd.stalledAt = 0
}
