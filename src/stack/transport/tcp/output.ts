// What to send now: SYN, text as far as the window, cwnd, Nagle and silly window avoidance let it go, FIN behind it, or
// a bare acknowledgment. Called when something may have changed; sends nothing that it cannot account for.
import { ACK, FIN } from '../../../wire/tcp.ts'
import { afterIdle, validateCwnd } from './congestion.ts'
import { E_CWR_DUE } from './ecn-bits.ts'
import { effectiveMss, emit, emitAck, emitReset, emitSyn, maxText, push } from './emit.ts'
import { sliceText, updatePacing } from './pacing.ts'
import { backedOff, stopTiming } from './rtt.ts'
import {
  hasSacks,
  highestSack,
  lostEdge,
  pipe,
  sackedBefore,
  skipSacked,
  untilSacked,
} from './sack.ts'
import { type Seq, add, after, before, diff, latest } from './seq.ts'
import {
  F_ACK_NOW,
  F_ACTIVE,
  F_CWND_HELD,
  F_FAST_OPEN,
  F_FIN_ACKED,
  F_FIN_QUEUED,
  F_MORE,
  F_PINGPONG,
  F_PUSH,
  F_RESEND,
  F_RESET_DUE,
  F_SACK,
  F_SYN_DATA,
  F_SYN_DUE,
  F_SYN_WAITS,
  F_TIMED,
  F_URGENT,
  R_FAST,
  R_LOSS,
  R_NONE,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** Segments that one connection sends in a turn before others have theirs. */
const BURST = 16
/** TCP_CORK and MSG_MORE hold text back this long, ms (tcp(7)). */
const CORK_MS = 200
/** Text sent this soon after text came is an answer to it, ms: Linux's TCP_ATO_MIN. */
const ANSWER_MS = 40

/** The connection's turn. */
export function output(tcp: Tcp, tcb: Tcb, now: number): void {
  switch (tcb.state) {
    case 'CLOSED':
      return sendDueReset(tcp, tcb, now)
    case 'SYN-SENT':
    case 'SYN-RECEIVED':
      if (tcb.has(F_SYN_DUE) && !sendSyn(tcp, tcb, now)) return tcp.block(tcb)
      if (tcb.has(F_FAST_OPEN) && !sendText(tcp, tcb, now)) return tcp.block(tcb)
      break
    case 'ESTABLISHED':
    case 'CLOSE-WAIT':
    case 'FIN-WAIT-1':
    case 'CLOSING':
    case 'LAST-ACK':
      if (!sendText(tcp, tcb, now)) return tcp.block(tcb)
  }
  if (tcb.has(F_ACK_NOW) && !emitAck(tcp, tcb, now)) tcp.block(tcb)
}

/** The number of our FIN, queued and not acknowledged: behind all text. */
const finSeq = (tcb: Tcb, length: number): Seq => add(tcb.snd.una, length)

function sendDueReset(tcp: Tcp, tcb: Tcb, now: number): void {
  if (!tcb.has(F_RESET_DUE)) return
  if (!emitReset(tcp, tcb, now)) return tcp.block(tcb)
  tcb.unmark(F_RESET_DUE)
  tcb.clearDeadlines()
  tcp.discard(tcb)
}

/** False: the link has no room. */
function sendSyn(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const { snd } = tcb
  if (tcb.has(F_SYN_WAITS) && (!tcb.send || tcb.send.length === 0)) return true
  const n = emitSyn(tcp, tcb, now)
  if (n < 0) return false
  tcb.unmark(F_SYN_DUE | F_SYN_WAITS)
  if (n > 0) {
    tcb.mark(F_SYN_DATA)
    snd.bytesSent += n
  }
  snd.max = latest(snd.max, add(snd.iss, 1 + n))
  snd.nxt = snd.max
  if (snd.retries === 0) {
    tcb.mark(F_TIMED)
    snd.rttSeq = snd.nxt
    snd.rttAt = now
  } else {
    stopTiming(tcb)
    snd.totalRetrans++
  }
  // Sent again: the timer that said so has set the next one.
  if (snd.retries === 0) snd.retransmitAt = now + backedOff(tcb)
  if (tcb.has(F_ACTIVE) && snd.stalledAt === 0) snd.stalledAt = now
  return true
}

/** False: the link has no room. */
function sendText(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const { snd, send } = tcb
  const length = send ? send.length : 0
  // Nothing new, nothing to send again: the most frequent case, an acknowledgment for a quiet sender.
  if (diff(snd.nxt, snd.una) >= length && snd.recovery === R_NONE && !finDue(tcb, length)) {
    tcb.unmark(F_PUSH)
    return true
  }
  if (snd.pmtu !== 0 && now >= snd.pmtuUntil) snd.pmtu = 0
  const mss = effectiveMss(tcb)
  if (snd.una === snd.max && snd.lastSent !== 0)
    afterIdle(tcb, mss, now, tcp.tuning.slowStartAfterIdle)
  if (tcb.has(F_RESEND) && !resend(tcp, tcb, length, mss, now)) return false
  if (snd.recovery === R_FAST && hasSacks(tcb) && !sendLost(tcp, tcb, mss, now)) return false
  updatePacing(tcb)
  const last = snd.max
  const room = sendNew(tcp, tcb, length, mss, now)
  if (snd.max !== last) validateCwnd(tcb, mss, now, tcp.tuning.slowStartAfterIdle)
  return room
}

/** From SND.NXT on; false: the link has no room. */
function sendNew(tcp: Tcp, tcb: Tcb, length: number, mss: number, now: number): boolean {
  const { snd } = tcb
  for (let burst = 0; burst < BURST; burst++) {
    if (snd.paceRate > 0 && now < snd.paceAt) {
      // Not cwnd is the limit now; it is if we get there before the round is over.
      tcb.unmark(F_CWND_HELD)
      snd.pacedUntil = snd.paceAt
      return true
    }
    if (snd.nxt !== snd.max) snd.nxt = skipSacked(tcb, snd.nxt)
    const n = sendable(tcb, length, mss, now)
    const offset = diff(snd.nxt, snd.una)
    const fin =
      finDue(tcb, length) &&
      offset + n === length &&
      (snd.wnd - offset > n || before(snd.nxt, snd.max))
    if (n === 0 && !fin) {
      tcb.unmark(F_PUSH)
      persist(tcb, length, now)
      return true
    }
    const control = push(n, offset + n === length) | (fin ? FIN : 0)
    if (!emit(tcp, tcb, snd.nxt, control, n, mss, now)) return false
    account(tcp, tcb, n, fin, mss, now)
  }
  tcp.ready.push(tcb.slot)
  return true
}

/** A FIN is to be sent, at SND.NXT or behind it. */
function finDue(tcb: Tcb, length: number): boolean {
  if (!tcb.has(F_FIN_QUEUED) || tcb.has(F_FIN_ACKED)) return false
  return !after(tcb.snd.nxt, finSeq(tcb, length))
}

/**
 * How much text goes into the next segment. Full segments go as soon as the window and cwnd let them, several in one
 * where the link cuts them up; what is left over goes by Nagle's rule, and by RFC 9293 section 3.8.6.2.1.
 */
function sendable(tcb: Tcb, length: number, mss: number, now: number): number {
  const { snd } = tcb
  const offset = diff(snd.nxt, snd.una)
  const again = before(snd.nxt, snd.max)
  const unsent = length - offset
  if (unsent <= 0) return 0
  let room = snd.wnd - offset
  // Text that the peer once had room for is sent again even if it has taken the room back (section 3.8.6).
  if (again && offset === 0 && room < mss) room = Math.min(mss, diff(snd.max, snd.una))
  const inNetwork = flight(tcb, mss, offset)
  const allowed = allowance(tcb, mss) - inNetwork
  const most = Math.min(unsent, room)
  if (most + inNetwork >= snd.cwnd) tcb.mark(F_CWND_HELD)
  else tcb.unmark(F_CWND_HELD)
  const largest = largestText(tcb, mss)
  let n = Math.min(most, largest)
  if (again) n = Math.min(n, untilSacked(tcb, snd.nxt, n))
  const held = allowed < n
  // At least one segment is always in the network.
  if (held) n = inNetwork === 0 ? Math.max(allowed, Math.min(n, mss)) : allowed
  if (n <= 0) return 0
  if (n === unsent) {
    const tail = n % mss
    return tail === 0 || again || mayGo(tcb, now) ? n : n - tail
  }
  // Up to text that the peer holds: no more than that is missing.
  if (again && n === untilSacked(tcb, snd.nxt, n + 1)) return n
  if (n < mss) return held ? (inNetwork === 0 ? n : 0) : silly(tcb, n, again)
  n -= n % mss
  return worthWaiting(tcb, n, largest, mss, inNetwork) ? 0 : n
}

/** Text of the largest segment to be sent now. CWR stands on one packet, whoever cuts up what is longer. */
function largestText(tcb: Tcb, mss: number): number {
  if ((tcb.ecn & E_CWR_DUE) !== 0) return mss
  const most = maxText(tcb, mss)
  return tcb.snd.paceRate === 0 ? most : Math.min(most, sliceText(tcb, mss))
}

/** What is less than a full segment and all there is: may it go? */
function mayGo(tcb: Tcb, now: number): boolean {
  const { snd } = tcb
  if (tcb.has(F_PUSH | F_FIN_QUEUED | F_URGENT)) return true
  if (tcb.cork !== 0 || tcb.has(F_MORE)) {
    if (snd.corkAt === Infinity) snd.corkAt = now + CORK_MS
    return false
  }
  // Nagle with Minshall's refinement, as Linux has it: one segment that is not full may be on its way.
  return tcb.noDelay !== 0 || !after(snd.sml, snd.una)
}

/** Less than a full segment because of the window: only if it is half of the largest the peer ever had. */
const silly = (tcb: Tcb, n: number, again: boolean): number =>
  again || tcb.has(F_PUSH) || n >= tcb.snd.maxWnd >>> 1 ? n : 0

/**
 * A small part of what window and cwnd hold, while the rest is on its way: its acknowledgments will let a larger piece
 * go at once, and pieces cost more than bytes.
 */
function worthWaiting(
  tcb: Tcb,
  n: number,
  largest: number,
  mss: number,
  inNetwork: number,
): boolean {
  const { snd } = tcb
  if (snd.recovery !== R_NONE || inNetwork < 4 * mss || n >= largest) return false
  return 4 * n < Math.min(snd.cwnd, snd.wnd)
}

/** Bytes that are in the network, as far as we can tell. */
function flight(tcb: Tcb, mss: number, offset: number): number {
  const { snd } = tcb
  if (!hasSacks(tcb)) return offset
  if (snd.recovery === R_FAST) return pipe(tcb, lostEdge(tcb, mss), snd.max)
  return offset - sackedBefore(tcb, snd.nxt)
}

/** cwnd, and a segment for each of the first two duplicate acknowledgments (RFC 3042). */
function allowance(tcb: Tcb, mss: number): number {
  const { snd } = tcb
  if (snd.recovery !== R_NONE || snd.dupAcks === 0 || tcb.has(F_SACK)) return snd.cwnd
  return snd.cwnd + Math.min(2, snd.dupAcks) * mss
}

/** The segment at SND.UNA again, whatever cwnd says: fast retransmit. */
function resend(tcp: Tcp, tcb: Tcb, length: number, mss: number, now: number): boolean {
  const { snd } = tcb
  const sent = diff(snd.max, snd.una)
  if (sent === 0) {
    tcb.unmark(F_RESEND)
    return true
  }
  const n = untilSacked(tcb, snd.una, Math.min(mss, length, sent))
  const fin = n === length && sent > length
  if (!emit(tcp, tcb, snd.una, push(n, n === length) | (fin ? FIN : 0), n, mss, now)) return false
  tcb.unmark(F_RESEND)
  snd.highRxt = latest(snd.highRxt, add(snd.una, n))
  resent(tcp, tcb, n, now)
  return true
}

/** NextSeg() (RFC 6675 section 4), rules 1 and, if no new text can go, 3: the holes below what is SACKed. */
function sendLost(tcp: Tcp, tcb: Tcb, mss: number, now: number): boolean {
  const { snd } = tcb
  const lost = lostEdge(tcb, mss)
  const most = maxText(tcb, mss)
  const newText = diff(snd.max, snd.una) < Math.min(tcb.send ? tcb.send.length : 0, snd.wnd)
  const edge = newText ? lost : latest(lost, highestSack(tcb))
  for (;;) {
    const from = skipSacked(tcb, latest(snd.highRxt, snd.una))
    const allowed = snd.cwnd - pipe(tcb, lost, snd.max)
    if (!before(from, edge) || allowed < mss) return true
    let n = untilSacked(tcb, from, Math.min(most, diff(edge, from)))
    if (n > allowed) n = allowed - (allowed % mss)
    if (!emit(tcp, tcb, from, ACK, n, mss, now)) return false
    snd.highRxt = add(from, n)
    resent(tcp, tcb, n, now)
  }
}

/** Text (and FIN) at SND.NXT has gone. */
function account(tcp: Tcp, tcb: Tcb, n: number, fin: boolean, mss: number, now: number): void {
  const { snd, rcv } = tcb
  const from = snd.nxt
  snd.nxt = add(from, fin ? n + 1 : n)
  if (n % mss !== 0) snd.sml = latest(snd.sml, snd.nxt)
  snd.persistAt = Infinity
  snd.corkAt = Infinity
  if (before(from, snd.max)) {
    if (after(snd.nxt, snd.max)) snd.max = snd.nxt
    if (snd.recovery === R_LOSS) snd.highRxt = latest(snd.highRxt, snd.nxt)
    return resent(tcp, tcb, n, now)
  }
  snd.max = snd.nxt
  tcb.dataSegsOut += n > mss ? Math.ceil(n / mss) : 1
  snd.bytesSent += n
  if (!tcb.has(F_TIMED)) {
    tcb.mark(F_TIMED)
    snd.rttSeq = snd.nxt
    snd.rttAt = now
  }
  if (snd.retransmitAt === Infinity) snd.retransmitAt = now + backedOff(tcb)
  if (snd.stalledAt === 0) snd.stalledAt = now
  snd.lastSent = now
  if (now - rcv.lastText < ANSWER_MS) tcb.mark(F_PINGPONG)
}

function resent(tcp: Tcp, tcb: Tcb, n: number, now: number): void {
  const { snd } = tcb
  stopTiming(tcb)
  tcp.counters.retransmitted++
  tcb.dataSegsOut++
  snd.totalRetrans++
  snd.bytesRetrans += n
  snd.bytesSent += n
  snd.lastSent = now
  if (snd.retransmitAt === Infinity) snd.retransmitAt = now + backedOff(tcb)
}

/** Text or FIN waits for the window, and nothing is on its way that would tell of it (section 3.8.6.1). */
function persist(tcb: Tcb, length: number, now: number): void {
  const { snd } = tcb
  if (snd.una !== snd.max || snd.persistAt !== Infinity || snd.corkAt !== Infinity) return
  if (length === 0 && !finDue(tcb, length)) return
  snd.backoff = 0
  snd.persistAt = now + backedOff(tcb)
  if (snd.stalledAt === 0) snd.stalledAt = now
}
