// Eighth, check the FIN bit (RFC 9293 section 3.10.7.4), and the states that come after it.
import { ACK, FIN, RST, SYN } from '../../../wire/tcp.ts'
import type { Packet } from '../../net/path.ts'
import { letGo } from './calls.ts'
import { ackNow, answerUnacceptable, challenge } from './challenge.ts'
import { HELD } from './layout.ts'
import { listenArrives } from './listener.ts'
import * as ranges from './ranges.ts'
import type { Segment } from './segment.ts'
import { type Seq, add, after, diff } from './seq.ts'
import { F_ACK_NOW, F_FIN_HELD, F_ORPHAN, F_TIMESTAMPS, F_TS_RECENT, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { EV_FIN, EV_TIME_WAIT } from './user.ts'

/** 2 MSL, ms: Linux's TCP_TIMEWAIT_LEN. */
export const TIME_WAIT_MS = 60_000

/** Takes this segment's FIN, or one that came early, if all text before it is here. */
export function takeFin(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  const { rcv } = tcb
  if (seg.has(FIN) && !tcb.has(F_FIN_HELD)) holdFin(tcb, add(seg.seq, seg.textLength))
  if (!tcb.has(F_FIN_HELD)) return
  if (rcv.finSeq !== rcv.nxt) {
    // With text that came early it is acknowledged by now.
    if (seg.has(FIN) && seg.textLength === 0) tcb.mark(F_ACK_NOW)
    return
  }
  ranges.clear(tcb.words, tcb.at + HELD)
  rcv.nxt = add(rcv.nxt, 1)
  if (after(rcv.nxt, rcv.edge)) rcv.edge = rcv.nxt
  tcb.mark(F_ACK_NOW)
  tcp.raise(tcb, EV_FIN)
  if (tcb.state === 'ESTABLISHED') tcp.enter(tcb, 'CLOSE-WAIT')
  else if (tcb.state === 'FIN-WAIT-1') tcp.enter(tcb, 'CLOSING')
  else if (tcb.state === 'FIN-WAIT-2') timeWait(tcp, tcb, now)
}

/** A FIN, maybe behind text that is missing. Not if we have text from behind it: one of the two is a lie. */
function holdFin(tcb: Tcb, finSeq: Seq): void {
  const list = tcb.at + HELD
  if (after(tcb.rcv.nxt, finSeq)) return
  if (finSeq !== tcb.rcv.nxt)
    for (let i = 0; i < ranges.count(tcb.words, list); i++)
      if (after(ranges.end(tcb.words, list, i), finSeq)) return
  tcb.rcv.finSeq = finSeq
  tcb.mark(F_FIN_HELD)
}

/** The peer has our FIN. False: the connection is over. */
export function finAcknowledged(tcp: Tcp, tcb: Tcb, now: number): boolean {
  switch (tcb.state) {
    case 'FIN-WAIT-1':
      tcp.enter(tcb, 'FIN-WAIT-2')
      if (tcb.has(F_ORPHAN)) letGo(tcp, tcb, now)
      return tcp.live(tcb.slot) !== undefined
    case 'CLOSING':
      timeWait(tcp, tcb, now)
      return true
    case 'LAST-ACK':
      tcp.finish(tcb, 0)
      return false
  }
  return true
}

/**
 * A segment in TIME-WAIT. A RST does not end it (RFC 1337); a SYN that is newer than everything before it may begin the
 * next connection (RFC 9293 section 3.6.1, RFC 6191); a FIN again is acknowledged, and the wait begins anew.
 */
export function takeTimeWaitSegment(
  tcp: Tcp,
  tcb: Tcb,
  packet: Packet,
  seg: Segment,
  now: number,
): void {
  if (seg.has(RST)) return
  if (seg.has(SYN)) {
    const listener = isNewer(tcb, seg)
      ? tcp.listeners.find(packet, seg.dstPort, seg.srcPort)
      : undefined
    if (!listener || seg.has(ACK | FIN)) return challenge(tcp, tcb, now)
    tcp.counters.timeWaitReused++
    const above = add(tcb.snd.max, 65537)
    tcp.finish(tcb, 0)
    return listenArrives(tcp, listener, packet, seg, now, above)
  }
  if (!seg.has(FIN)) return answerUnacceptable(tcp, tcb, seg, now)
  if (seg.end !== tcb.rcv.nxt) return answerUnacceptable(tcp, tcb, seg, now)
  tcb.lingerAt = now + TIME_WAIT_MS
  ackNow(tcp, tcb, now)
}

function timeWait(tcp: Tcp, tcb: Tcb, now: number): void {
  const orphan = tcb.has(F_ORPHAN)
  tcb.clearDeadlines()
  tcp.enter(tcb, 'TIME-WAIT')
  tcb.lingerAt = now + TIME_WAIT_MS
  tcp.retire(tcb)
  tcp.raise(tcb, EV_TIME_WAIT)
  if (orphan) letGo(tcp, tcb, now)
}

function isNewer(tcb: Tcb, seg: Segment): boolean {
  const { rcv } = tcb
  if (tcb.has(F_TIMESTAMPS) && tcb.has(F_TS_RECENT) && seg.options.timestamps) {
    const newer = (seg.options.tsVal - rcv.tsRecent) | 0
    if (newer !== 0) return newer > 0
  }
  return diff(seg.seq, rcv.nxt) > 0
}
