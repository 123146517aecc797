// SEGMENT ARRIVES in SYN-SENT (RFC 9293 section 3.10.7.3).
import { ECONNREFUSED } from '../../../base/errno.ts'
import { ACK, RST, SYN } from '../../../wire/tcp.ts'
import type { Packet } from '../../net/path.ts'
import { receiveFrom } from './calls.ts'
import { takeFin } from './closing.ts'
import { pathMss, tsClock } from './emit.ts'
import { establish } from './established.ts'
import { takeSynOptions } from './listener.ts'
import { refuse } from './refuse.ts'
import { sample } from './rtt.ts'
import type { Segment } from './segment.ts'
import { after } from './seq.ts'
import { F_ACK_NOW, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { takeText } from './text.ts'
import { checkUrgent } from './urgent.ts'
import { EV_CONNECTED } from './user.ts'

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
  takeSynOptions(tcb, seg, now)
  receiveFrom(tcb, seg.seq, pathMss(tcb))
  tcb.lastHeard = now
  snd.wnd = seg.wnd
  snd.maxWnd = seg.wnd
  snd.wl1 = seg.seq
  snd.wl2 = seg.has(ACK) ? seg.ack : snd.iss
  if (!seg.has(ACK)) {
    // Simultaneous open: our SYN again, with an ACK.
    tcp.enter(tcb, 'SYN-RECEIVED')
    snd.nxt = snd.iss
    tcp.ready.push(tcb.slot)
    return
  }
  if (seg.options.timestamps && snd.retries > 0)
    sample(tcb, (tsClock(tcb, now) - seg.options.tsEcr) | 0)
  establish(tcp, tcb, now)
  tcp.raise(tcb, EV_CONNECTED)
  tcb.mark(F_ACK_NOW)
  tcp.ready.push(tcb.slot)
  seg.dropSyn()
  checkUrgent(tcp, tcb, seg)
  if (seg.textLength > 0 && !takeText(tcp, tcb, seg, now)) return
  takeFin(tcp, tcb, seg, now)
}
