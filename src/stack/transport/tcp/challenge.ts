// Answers to segments that should not have come. Each tells a forger something and may meet an answer itself, so they
// are limited: those to segments without text to two a second and connection (no two stacks can keep each other busy),
// challenge ACKs (RFC 5961) also in all, by a number a second that nobody can find out by counting (CVE-2016-5696).
import { emitAck } from './emit.ts'
import type { Segment } from './segment.ts'
import { after } from './seq.ts'
import { F_ACK_NOW, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { noteTwice } from './text.ts'

const PER_CONNECTION_MS = 500
/** Challenge ACKs a second in all: between half of this and one and a half times. */
const PER_SECOND = 1000

export const challengeBudget = () => ({ since: -Infinity, left: 0 })

/** An unacceptable segment is acknowledged (RFC 9293 section 3.10.7.4, first). */
export function answerUnacceptable(tcp: Tcp, tcb: Tcb, seg: Segment, now: number): void {
  if (seg.textLength === 0) {
    if (tooSoon(tcp, tcb, now)) return
  } else if (!after(seg.end, tcb.rcv.nxt)) noteTwice(tcb, seg.seq, seg.end)
  ackNow(tcp, tcb, now)
}

/** RFC 5961: whoever sent this, if it is the peer, learns where we are. */
export function challenge(tcp: Tcp, tcb: Tcb, now: number): void {
  const budget = tcp.challenges
  if (now - budget.since >= 1000) {
    budget.since = now
    budget.left = PER_SECOND / 2 + ((tcp.secrets.word() >>> 0) % PER_SECOND)
  }
  if (tooSoon(tcp, tcb, now)) return
  if (budget.left <= 0) {
    tcp.counters.acksSuppressed++
    return
  }
  budget.left--
  tcp.counters.challengeAcks++
  ackNow(tcp, tcb, now)
}

/** At once: a duplicate acknowledgment that waited for others would not be counted as one. */
export function ackNow(tcp: Tcp, tcb: Tcb, now: number): void {
  if (emitAck(tcp, tcb, now)) return
  tcb.mark(F_ACK_NOW)
  tcp.block(tcb)
}

export function tooSoon(tcp: Tcp, tcb: Tcb, now: number): boolean {
  if (tcb.lastOutOfWindow !== 0 && now - tcb.lastOutOfWindow < PER_CONNECTION_MS) {
    tcp.counters.acksSuppressed++
    return true
  }
  tcb.lastOutOfWindow = now
  return false
}
