// Fifth, check the ACK field (RFC 9293 section 3.10.7.4; RFC 5961 section 5).
import { FIN } from '../../../wire/tcp.ts'
import { challenge } from './challenge.ts'
import { finAcknowledged } from './closing.ts'
import { effectiveMss, tsClock } from './emit.ts'
import * as flight from './flight.ts'
import { news } from './news.ts'
import { BYTES_ACKED, R, REORDER_AT, RETRANSMIT_AT, RTT_AT, SRTT, STALLED_AT } from './layout.ts'
import { noteDelivery } from './rate.ts'
import { onAck } from './recovery.ts'
import { probeArrived } from './mtu-probe.ts'
import { startTimer, takeSample } from './rtt.ts'
import { takeSacks } from './sack.ts'
import type { Segment } from './segment.ts'
import { after, before, diff } from './seq.ts'
import {
  F_FIN_ACKED,
  F_FIN_QUEUED,
  F_FULL,
  F_SACK,
  F_TIMED,
  F_TIMESTAMPS,
  F_URGENT,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { armProbe } from './tlp.ts'
import { forgetUrgent } from './urgent.ts'
import { bufferFor, isShort } from './window.ts'
import { EV_ROOM, EV_SENT } from './user.ts'

/** False: the segment is not to be looked at any further, or the connection is over. */
export function takeAck(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): boolean {
  const { snd } = tcb
  const acked = diff(seg.ack, snd.una)
  if (after(seg.ack, snd.max) || acked < -snd.maxWnd) {
    tcp.counters.badAcks++
    challenge(tcp, tcb, now)
    return false
  }
  snd.probes = 0
  const sacks = tcb.has(F_SACK) && seg.options.sackCount > 0
  // Old: its text counts, of what it says of ours only that something had arrived.
  if (acked < 0) {
    if (sacks) takeNews(tcp, tcb, seg, true, false, now)
    return true
  }
  const moved = takeWindow(tcb, seg)
  // A closed window that is confirmed: the peer lives, and is not to be given up.
  if (snd.wnd === 0) snd.retries = 0
  if (acked > 0) return advance(tcp, tcb, seg, acked, sacks, now)
  if (snd.una === snd.max && !sacks) return true
  const duplicate = snd.una !== snd.max && seg.textLength === 0 && !seg.has(FIN) && !moved
  if (sacks || duplicate) takeNews(tcp, tcb, seg, sacks, duplicate, now)
  return true
}

/** SND.UNA does not move. */
function takeNews(
  tcp: Tcp,
  tcb: Tcb,
  seg: Segment,
  sacks: boolean,
  duplicate: boolean,
  now: number,
): void {
  const mss = effectiveMss(tcb)
  news.begin(tcb, seg, now)
  if (sacks) takeSacks(tcb, seg, mss)
  onAck(tcp, tcb, seg, 0, duplicate, mss, now)
  noteDelivery(tcb, news.delivered, mss, now)
}

/** SND.WND, unless the segment is older than the one it is from. True: it is another. */
function takeWindow(tcb: Tcb, seg: Segment): boolean {
  const { snd } = tcb
  if (after(snd.wl1, seg.seq) || (snd.wl1 === seg.seq && after(snd.wl2, seg.ack))) return false
  const wnd = seg.syn ? seg.wnd : seg.wnd << snd.windShift
  const moved = wnd !== snd.wnd
  snd.wnd = wnd
  snd.wl1 = seg.seq
  snd.wl2 = seg.ack
  if (wnd > snd.maxWnd) snd.maxWnd = wnd
  if (moved) snd.persistAt = Infinity
  return moved
}

/** SND.UNA < SEG.ACK =< SND.MAX */
function advance(
  tcp: Tcp,
  tcb: Tcb,
  seg: Segment,
  acked: number,
  sacks: boolean,
  now: number,
): boolean {
  const { snd, send, times, at64 } = tcb
  const length = send ? send.length : 0
  const fin = acked > length && tcb.has(F_FIN_QUEUED) && !tcb.has(F_FIN_ACKED)
  const text = fin ? acked - 1 : acked
  if (text > length)
    throw new Error(`Cannot take back ${text} bytes of text: ${length} were there (${tcb.slot})`)
  news.begin(tcb, seg, now)
  flight.acknowledge(tcb, seg.ack)
  snd.una = seg.ack
  if (fin) tcb.mark(F_FIN_ACKED)
  if (text > 0) send!.consume(text)
  if (before(snd.nxt, snd.una)) snd.nxt = snd.una
  if (tcb.has(F_URGENT)) forgetUrgent(tcb)
  if (snd.mtuProbe !== 0) probeArrived(tcb, now)
  times[at64 + BYTES_ACKED] += text
  measure(tcb, seg, acked, now)
  snd.retries = 0
  const done = snd.una === snd.max
  if (done) times[at64 + RETRANSMIT_AT] = Infinity
  else startTimer(tcb, now)
  times[at64 + STALLED_AT] = done ? 0 : now
  tcb.softError = 0
  tcb.path!.confirm(now)
  const mss = effectiveMss(tcb)
  if (sacks) takeSacks(tcb, seg, mss)
  onAck(tcp, tcb, seg, acked, false, mss, now)
  noteDelivery(tcb, news.delivered, mss, now)
  if (done) times[at64 + REORDER_AT] = Infinity
  armProbe(tcb, mss, now)
  if (text > 0) {
    tcb.unmark(F_FULL)
    tcp.raise(tcb, EV_ROOM)
    askForRoom(tcp, tcb)
  }
  if (!fin) return true
  tcp.raise(tcb, EV_SENT)
  return finAcknowledged(tcp, tcb, now)
}

/** RFC 6298 section 3; RFC 7323 section 4 for text that was sent more than once. */
function measure(tcb: Tcb, seg: Segment, acked: number, now: number): void {
  const { snd, times, at64 } = tcb
  if (tcb.has(F_TIMED)) {
    if (before(seg.ack, snd.rttSeq)) return
    tcb.unmark(F_TIMED)
    times[at64 + R] = now - times[at64 + RTT_AT]
    return takeSample(tcb, now, acked < effectiveMss(tcb))
  }
  if (!tcb.has(F_TIMESTAMPS) || !seg.options.timestamps || seg.options.tsEcr === 0) return
  const r = (tsClock(tcb, now) - seg.options.tsEcr) | 0
  if (r < 0) return
  times[at64 + R] = Math.max(r, 1)
  takeSample(tcb, now, acked < effectiveMss(tcb))
}

/** A send buffer that holds less than two windows lets the path run dry while the program writes. */
function askForRoom(tcp: Tcp, tcb: Tcb): void {
  const { snd } = tcb
  const wanted = bufferFor(isShort(tcb.times[tcb.at64 + SRTT]), 2 * snd.cwnd, tcp.tuning.wmemMax)
  if (wanted <= snd.wanted) return
  if (tcp.user.growSend(tcb.slot, wanted)) snd.wanted = wanted
}
