// What to send now: SYN, text as far as the window, cwnd, Nagle and silly window avoidance let it go, FIN behind it, or
// a bare acknowledgment. Called when something may have changed; sends nothing that it cannot account for.
import { noteBusy } from './busy.ts'
import { FIN } from '../../../wire/tcp.ts'
import { noteNew } from './account.ts'
import { afterIdle, validateCwnd } from './congestion.ts'
import { E_CWR_DUE } from './ecn-bits.ts'
import { effectiveMss, emit, emitAck, emitReset, emitSyn, maxText, push } from './emit.ts'
import { pipe } from './flight.ts'
import { sliceText, updatePacing } from './pacing.ts'
import { beginRate } from './rate.ts'
import { FRTO_NEW, FRTO_OFF } from './recovery.ts'
import { resend } from './resend.ts'
import { probeMtu } from './mtu-probe.ts'
import { backedOff, stopTiming } from './rtt.ts'
import { add, after, diff, latest } from './seq.ts'
import {
  F_ACK_NOW,
  F_ACTIVE,
  F_CWND_HELD,
  F_FAST_OPEN,
  F_FIN_ACKED,
  F_FIN_QUEUED,
  F_MORE,
  F_PUSH,
  F_RESET_DUE,
  F_SYN_DATA,
  F_SYN_DUE,
  F_SYN_WAITS,
  F_TIMED,
  F_URGENT,
  R_NONE,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** Segments that one connection sends in a turn before others have theirs. */
const BURST = 16
const FEW = 16
/** TCP_CORK and MSG_MORE hold text back this long, ms (tcp(7)). */
const CORK_MS = 200

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
  noteBusy(tcb, effectiveMss(tcb), now)
  if (tcb.has(F_ACK_NOW) && !emitAck(tcp, tcb, now)) tcp.block(tcb)
}

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
  if (diff(snd.nxt, snd.una) >= length && snd.lost === 0 && !finDue(tcb, length)) {
    tcb.unmark(F_PUSH)
    return true
  }
  if (snd.pmtu !== 0 && now >= snd.pmtuUntil) snd.pmtu = 0
  const mss = effectiveMss(tcb)
  if (snd.una === snd.max && snd.lastSent !== 0)
    afterIdle(tcb, mss, now, tcp.tuning.slowStartAfterIdle)
  updatePacing(tcb)
  const burst = snd.lost > 0 ? resend(tcp, tcb, length, mss, BURST, now) : BURST
  if (burst < 0) return false
  const last = snd.max
  const probe = snd.mtuLow > 0 ? probeMtu(tcp, tcb, length, mss, now) : 'done'
  if (probe !== 'done') return probe === 'wait'
  const room = sendNew(tcp, tcb, length, mss, burst, now)
  if (snd.max !== last) beginRate(tcb, now)
  // Whatever stopped us, pacing too: cwnd is the limit if it is full.
  if (pipe(tcb) + mss > snd.cwnd) tcb.mark(F_CWND_HELD)
  if (snd.max !== last || tcb.has(F_CWND_HELD))
    validateCwnd(tcb, mss, now, tcp.tuning.slowStartAfterIdle)
  if (!room || snd.frto !== FRTO_NEW || snd.max !== snd.recover) return room
  // No new text could go that would tell whether the old was lost (RFC 5682 section 2.1 step 2a): it goes again.
  snd.frto = FRTO_OFF
  return resend(tcp, tcb, length, mss, BURST, now) >= 0
}

/** From SND.NXT on, at most `burst` segments; false: the link has no room. */
function sendNew(
  tcp: Tcp,
  tcb: Tcb,
  length: number,
  mss: number,
  burst: number,
  now: number,
): boolean {
  const { snd } = tcb
  for (; burst > 0; burst--) {
    if (snd.paceRate > 0 && now < snd.paceAt) {
      // Not cwnd is the limit now; it is if we get there before the round is over.
      tcb.unmark(F_CWND_HELD)
      snd.pacedUntil = snd.paceAt
      return true
    }
    const n = sendable(tcb, length, mss, now)
    const offset = diff(snd.nxt, snd.una)
    const fin = finDue(tcb, length) && offset + n === length && snd.wnd - offset > n
    if (n === 0 && !fin) {
      tcb.unmark(F_PUSH)
      persist(tcb, length, now)
      return true
    }
    const control = push(n, offset + n === length) | (fin ? FIN : 0)
    if (!emit(tcp, tcb, snd.nxt, control, n, mss, now)) return false
    noteNew(tcp, tcb, n, fin, mss, now)
  }
  tcp.ready.push(tcb.slot)
  return true
}

/** A FIN is to be sent that was not sent before, at SND.NXT or behind it. */
function finDue(tcb: Tcb, length: number): boolean {
  if (!tcb.has(F_FIN_QUEUED) || tcb.has(F_FIN_ACKED)) return false
  return diff(tcb.snd.nxt, tcb.snd.una) <= length
}

/**
 * How much text goes into the next segment. Full segments go as soon as the window and cwnd let them, several in one
 * where the link cuts them up; what is left over goes by Nagle's rule, and by RFC 9293 section 3.8.6.2.1.
 */
function sendable(tcb: Tcb, length: number, mss: number, now: number): number {
  const { snd } = tcb
  const offset = diff(snd.nxt, snd.una)
  const unsent = length - offset
  if (unsent <= 0) {
    tcb.unmark(F_CWND_HELD)
    return 0
  }
  const room = snd.wnd - offset
  const inNetwork = pipe(tcb)
  const allowed = snd.cwnd - inNetwork
  const most = Math.min(unsent, room)
  if (most + inNetwork >= snd.cwnd) tcb.mark(F_CWND_HELD)
  else tcb.unmark(F_CWND_HELD)
  const largest = largestText(tcb, mss)
  let n = Math.min(most, largest)
  const held = allowed < n
  // At least one segment is always in the network.
  if (held) n = inNetwork === 0 ? Math.max(allowed, Math.min(n, mss)) : allowed
  if (n <= 0) return 0
  if (n === unsent) {
    const tail = n % mss
    return tail === 0 || mayGo(tcb, now) ? n : n - tail
  }
  if (n < mss) return held ? (inNetwork === 0 ? n : 0) : silly(tcb, n)
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
const silly = (tcb: Tcb, n: number): number =>
  tcb.has(F_PUSH) || n >= tcb.snd.maxWnd >>> 1 ? n : 0

/**
 * A small part of what window and cwnd hold, while the rest is on its way: its acknowledgments will let a larger piece
 * go at once, and pieces cost more than bytes. Not of a window of a FEW segments: each counts.
 */
function worthWaiting(
  tcb: Tcb,
  n: number,
  largest: number,
  mss: number,
  inNetwork: number,
): boolean {
  const { snd } = tcb
  if (snd.recovery !== R_NONE || inNetwork < FEW * mss || n >= largest) return false
  return 4 * n < Math.min(snd.cwnd, snd.wnd)
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
