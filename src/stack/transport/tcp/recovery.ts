// Recovery from loss: what an acknowledgment or a timeout means for the text in flight, and when cwnd is reduced for it.
// rack.ts and, without SACK, duplicate acknowledgments (RFC 6582) say what is lost; prr.ts brings cwnd down; undo.ts and
// F-RTO (RFC 5682) find that it need not have been; congestion.ts knows by how much, resend.ts sends again. In the order
// of Linux's tcp_fastretrans_alert(), whose states are ours: R_NONE (open, disorder), R_FAST, R_LOSS.
import { collapseCwnd, growCwnd, reduceSsthresh, startCongestion } from './congestion.ts'
import * as flight from './flight.ts'
import { news } from './news.ts'
import { onlyProbeLost } from './mtu-probe.ts'
import { reduceCwnd, startReduction } from './prr.ts'
import {
  DUP_THRESH,
  detectLoss,
  doubleWindow,
  narrowWindow,
  noteReordering,
  resetRack,
  widenWindow,
} from './rack.ts'
import { stopTiming } from './rtt.ts'
import type { Segment } from './segment.ts'
import { add, after, before, diff } from './seq.ts'
import { F_PUSH, F_SACK, R_FAST, R_LOSS, R_NONE, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { probeAnswered } from './tlp.ts'
import { allDuplicated, answersOriginal, mayBeUndone, undo } from './undo.ts'

/** snd.frto: after a timeout we look whether it was needed; the next text to go is new (RFC 5682 section 2.1, 2b). */
export const FRTO_OFF = 0
const FRTO_ON = 1
export const FRTO_NEW = 2

/** How long a peer may take to acknowledge what it SACKed before it is taken to have thrown it away, ms. */
const RENEGING_MS = 10

/** A connection begins. */
export function startRecovery(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  startCongestion(tcb, mss)
  flight.empty(tcb)
  resetRack(tcb)
  snd.recover = add(snd.una, -1)
  snd.recovery = R_NONE
}

/** The thread has changed: what there is to find out about the text in flight is found out again. */
export function recoverAnew(tcb: Tcb): void {
  const { snd } = tcb
  flight.unmarkLost(tcb)
  resetRack(tcb)
  snd.recover = add(snd.una, -1)
  snd.recovery = R_NONE
  snd.dupAcks = 0
  snd.priorCwnd = 0
  snd.undo = 0
  snd.frto = FRTO_OFF
  snd.probe = 0
}

/**
 * An acknowledgment whose numbers and SACK blocks flight.ts has taken. `acked`: by how much SND.UNA moved;
 * `duplicate`: it did not, and nothing else in the segment is new.
 */
export function onAck(
  tcp: Tcp,
  tcb: Tcb,
  seg: Segment,
  acked: number,
  duplicate: boolean,
  mss: number,
  now: number,
): void {
  const { snd } = tcb
  const sackOk = tcb.has(F_SACK)
  if (!sackOk) countDuplicates(tcb, acked, duplicate, mss)
  if (snd.probe !== 0) probeAnswered(tcb, seg, acked, mss, now)
  // Nothing is missing: the most frequent case.
  if (snd.recovery === R_NONE && snd.sacked === 0 && news.duplicated === 0 && !news.reordered)
    return growCwnd(tcb, news.delivered, mss, now)
  const advanced = acked > 0
  const reduced = snd.recovery === R_FAST
  noteReordering(tcb, mss)
  widenWindow(tcb, now)
  if (snd.recovery === R_FAST) inFastRecovery(tcp, tcb, advanced)
  else if (snd.recovery === R_LOSS) afterTimeout(tcp, tcb, advanced, duplicate)
  else if (allDuplicated(tcb)) undo(tcp, tcb)
  if (sackOk) detectLoss(tcb, mss, now)
  else if (isHoleAtFront(tcb, advanced)) flight.markFrontLost(tcb, mss)
  if (snd.lost > 0 && !(snd.mtuProbe !== 0 && onlyProbeLost(tcb))) {
    const again = snd.recovery === R_LOSS && news.lostAgain
    if (snd.recovery === R_NONE || again) enterRecovery(tcp, tcb, mss, now)
  }
  if (snd.recovery === R_FAST) reduceCwnd(tcb, news.delivered, advanced, mss)
  else if (!reduced && (advanced || snd.reordering > DUP_THRESH))
    growCwnd(tcb, news.delivered, mss, now)
  if (advanced && isReneging(tcb)) snd.retransmitAt = now + Math.max(snd.srtt / 2, RENEGING_MS)
}

/** RACK's reordering timer: what was only late is lost now. */
export function reorderTimeout(tcp: Tcp, tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  snd.reorderAt = Infinity
  if (snd.una === snd.max) return
  news.begin(tcb, undefined, now)
  detectLoss(tcb, mss, now)
  if (news.lost === 0 || (snd.mtuProbe !== 0 && onlyProbeLost(tcb))) return
  if (snd.recovery === R_NONE || (snd.recovery === R_LOSS && news.lostAgain))
    enterRecovery(tcp, tcb, mss, now)
  if (snd.recovery === R_FAST) reduceCwnd(tcb, mss, false, mss)
}

/** The retransmission timer expired (RFC 5681 section 3.1; RFC 8985 section 6.3: not what was sent only just now). */
export function onTimeout(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  const first = snd.recovery === R_NONE
  if (isReneging(tcb)) flight.forgetSacks(tcb)
  if (!tcb.has(F_SACK)) snd.sacked = 0
  // Once for each window of text.
  if (first || !after(snd.recover, snd.una) || (snd.recovery === R_LOSS && snd.retries === 0)) {
    reduceSsthresh(tcb, mss, now)
    mayBeUndone(tcb, first)
  }
  for (let i = flight.first(tcb); i < flight.last(tcb); i++)
    if (i === flight.first(tcb) || flight.time(tcb, i) + snd.rackRtt <= now) flight.markLost(tcb, i)
  collapseCwnd(tcb, mss)
  snd.cwnd = flight.pipe(tcb) + mss
  snd.dupAcks = 0
  snd.recovery = R_LOSS
  snd.recover = snd.max
  snd.frto = first || snd.retries > 0 ? FRTO_ON : FRTO_OFF
  snd.probe = 0
  snd.probeAt = Infinity
  stopTiming(tcb)
}

/** All text in flight is to be sent again, for another reason than congestion: it was too long for the path. */
export function resendAll(tcb: Tcb): void {
  const { snd } = tcb
  if (snd.una === snd.max) return
  for (let i = flight.first(tcb); i < flight.last(tcb); i++) flight.markLost(tcb, i)
  repairOnly(tcb)
}

/** What is marked lost is sent again; cwnd stays as it is. */
export function repairOnly(tcb: Tcb): void {
  const { snd } = tcb
  snd.undo = 0
  snd.frto = FRTO_OFF
  snd.recovery = R_LOSS
  snd.recover = snd.max
  snd.probe = 0
  snd.probeAt = Infinity
  snd.reorderAt = Infinity
  stopTiming(tcb)
}

/** [SND.UNA, SND.MAX) went with our SYN, and the peer did not take it (RFC 7413 section 4.2.2). */
export function resendSynText(tcb: Tcb, now: number): void {
  flight.empty(tcb)
  tcb.snd.recovery = R_NONE
  if (tcb.snd.una === tcb.snd.max) return
  flight.sent(tcb, tcb.snd.max, now)
  resendAll(tcb)
}

function enterRecovery(tcp: Tcp, tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  tcp.counters.fastRecoveries++
  reduceSsthresh(tcb, mss, now)
  mayBeUndone(tcb, snd.recovery === R_NONE)
  startReduction(tcb)
  snd.recover = snd.max
  snd.recovery = R_FAST
  snd.frto = FRTO_OFF
  snd.probe = 0
  snd.probeAt = Infinity
  stopTiming(tcb)
}

function inFastRecovery(tcp: Tcp, tcb: Tcb, advanced: boolean): void {
  const { snd } = tcb
  const over = !before(snd.una, snd.recover)
  const original = advanced && answersOriginal(tcb)
  if (original || allDuplicated(tcb)) {
    if (original) doubleWindow(tcb, news.now)
    undo(tcp, tcb)
    flight.unmarkLost(tcb)
  } else if (over) snd.cwnd = snd.ssthresh
  else return
  leave(tcb)
}

/** F-RTO (RFC 5682), and the end of R_LOSS. */
function afterTimeout(tcp: Tcp, tcb: Tcb, advanced: boolean, duplicate: boolean): void {
  const { snd } = tcb
  const over = !before(snd.una, snd.recover)
  if (advanced && (answersOriginal(tcb) || allDuplicated(tcb))) return undoTimeout(tcp, tcb)
  if (snd.frto !== FRTO_OFF) {
    snd.frto = FRTO_ON
    // Step 3b: text that was sent only once has arrived, so not all of it was lost.
    if (news.original) return undoTimeout(tcp, tcb)
    if (after(snd.max, snd.recover)) {
      // Step 3a: only the new text has.
      if (news.sacked || duplicate) snd.frto = FRTO_OFF
    } else if (advanced && !over) {
      const length = tcb.send ? tcb.send.length : 0
      const more = Math.min(length, snd.wnd) > diff(snd.max, snd.una)
      snd.frto = more ? FRTO_NEW : FRTO_OFF
      if (more) return tcb.mark(F_PUSH)
    }
  }
  if (over) leave(tcb)
}

function undoTimeout(tcp: Tcp, tcb: Tcb): void {
  tcp.counters.spuriousTimeouts++
  flight.unmarkLost(tcb)
  undo(tcp, tcb)
  // cwnd is what it was, and no more.
  news.delivered = 0
  leave(tcb)
}

function leave(tcb: Tcb): void {
  const { snd } = tcb
  snd.recovery = R_NONE
  snd.frto = FRTO_OFF
  if (!tcb.has(F_SACK)) {
    snd.sacked = 0
    snd.dupAcks = 0
  }
  narrowWindow(tcb)
}

/**
 * Without SACK each duplicate acknowledgment stands for a segment that has arrived; an acknowledgment of more ends the
 * hole at SND.UNA, and the rest of it was counted before (RFC 6937 section 3, DeliveredData).
 */
function countDuplicates(tcb: Tcb, acked: number, duplicate: boolean, mss: number): void {
  const { snd } = tcb
  const known = snd.sacked
  if (acked > 0) {
    snd.dupAcks = 0
    news.delivered = Math.max(acked - known, Math.min(acked, mss))
    snd.sacked = snd.recovery === R_FAST ? Math.max(0, known - Math.max(0, acked - mss)) : 0
    // So that RECOVER, which isHoleAtFront() asks for, does not fall behind by half of all numbers.
    if (snd.recovery === R_NONE && after(snd.una, snd.recover)) snd.recover = add(snd.una, -1)
    return
  }
  if (!duplicate) return
  snd.dupAcks++
  if (snd.recovery === R_LOSS && !after(snd.max, snd.recover)) return
  const room = diff(snd.max, snd.una) - Math.max(snd.lost, mss) - known
  const n = Math.max(0, Math.min(mss, room))
  snd.sacked += n
  news.delivered += n
}

/** RFC 6582 section 3.2: the third duplicate, unless it may be one of what was sent again before; a partial ACK. */
function isHoleAtFront(tcb: Tcb, advanced: boolean): boolean {
  const { snd } = tcb
  if (snd.recovery === R_FAST) return advanced
  return (
    snd.recovery === R_NONE && !advanced && after(snd.una, snd.recover) && snd.dupAcks >= DUP_THRESH
  )
}

const isReneging = (tcb: Tcb): boolean =>
  flight.first(tcb) < flight.last(tcb) &&
  (flight.state(tcb, flight.first(tcb)) & flight.SACKED) !== 0
