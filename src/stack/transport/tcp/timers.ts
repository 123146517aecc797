// Deadlines (RFC 9293 section 3.8). Each is a time in the TCB; what is overdue is done in this order, then the
// connection has a turn. How long to try is Linux's: tcp_retries2, tcp_synack_retries, tcp_orphan_retries.
import { ETIMEDOUT } from '../../../base/errno.ts'
import { ACK } from '../../../wire/tcp.ts'
import { abort } from './calls.ts'
import { effectiveMss, emit } from './emit.ts'
import { suspectBlackHole } from './mtu-probe.ts'
import { deferTimeouts } from './options.ts'
import { output } from './output.ts'
import { onTimeout, reorderTimeout } from './recovery.ts'
import { backedOff, RTO_MAX, stopTiming } from './rtt.ts'
import { add } from './seq.ts'
import {
  F_ACK_NOW,
  F_ACTIVE,
  F_DEFERRED,
  F_ORPHAN,
  F_PINGPONG,
  F_PUSH,
  F_RESET_DUE,
  F_SYN_DUE,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { probeTimeout } from './tlp.ts'
import { probeUrgent } from './urgent.ts'

/** The heap's entry for this connection came up: does what is due, if anything is. */
export function expire(tcp: Tcp, tcb: Tcb, now: number): void {
  const { snd, rcv } = tcb
  if (now >= tcb.lingerAt) return lingerTimeout(tcp, tcb)
  if (now >= rcv.delayedAckAt) {
    rcv.delayedAckAt = Infinity
    tcb.mark(F_ACK_NOW)
    // The answer that the acknowledgment waited for did not come.
    tcb.unmark(F_PINGPONG)
  }
  if (now >= snd.corkAt) {
    snd.corkAt = Infinity
    tcb.mark(F_PUSH)
  }
  if (now >= snd.pacedUntil) snd.pacedUntil = Infinity
  if (now >= snd.reorderAt) reorderTimeout(tcp, tcb, effectiveMss(tcb), now)
  // Before the RTO, which begins anew with a probe.
  if (now >= snd.probeAt && !probeTimeout(tcp, tcb, now)) {
    snd.probeAt = now
    return tcp.block(tcb)
  }
  if (now >= snd.retransmitAt && !retransmissionTimeout(tcp, tcb, now)) return
  if (now >= snd.persistAt && !persistTimeout(tcp, tcb, now)) return
  if (now >= tcb.keepAliveAt && !keepAliveTimeout(tcp, tcb, now)) return
  output(tcp, tcb, now)
}

/** Sets, moves or clears the keep-alive deadline after SO_KEEPALIVE or its times have changed. */
export function scheduleKeepAlive(tcb: Tcb, now: number): void {
  const on = tcb.keepAlive !== 0 && tcb.state !== 'SYN-SENT' && tcb.state !== 'SYN-RECEIVED'
  const since = tcb.snd.probes > 0 ? now : tcb.lastHeard
  tcb.keepAliveAt = on
    ? since + 1000 * (tcb.snd.probes > 0 ? tcb.keepIntvl : tcb.keepIdle)
    : Infinity
}

/** TIME-WAIT is over, an orphan's FIN-WAIT-2 too, or the link never had room for a RST. */
function lingerTimeout(tcp: Tcp, tcb: Tcb): void {
  tcb.unmark(F_RESET_DUE)
  if (tcb.state === 'CLOSED') {
    tcb.lingerAt = Infinity
    tcp.discard(tcb)
  } else tcp.finish(tcb, 0)
}

/** RFC 6298 section 5.4 ff. False: the connection is over. */
function retransmissionTimeout(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const { snd } = tcb
  const opening = tcb.state === 'SYN-SENT' || tcb.state === 'SYN-RECEIVED'
  if (!opening && snd.una === snd.max) {
    snd.retransmitAt = Infinity
    return true
  }
  if (snd.retries >= retryLimit(tcp, tcb, opening) || userTimeout(tcb, now)) {
    if (opening) tcp.counters.failedOpens++
    timedOut(tcp, tcb)
    return false
  }
  if (opening) {
    // Who has answered is not asked again while its text is waited for.
    const asks = !tcb.has(F_DEFERRED) || snd.retries >= deferTimeouts(tcb.deferAccept) - 1
    if (asks) tcb.mark(F_SYN_DUE)
    stopTiming(tcb)
  } else {
    suspectBlackHole(tcp, tcb, now)
    onTimeout(tcb, effectiveMss(tcb), now)
  }
  tcp.counters.timeouts++
  snd.totalRto++
  snd.retries++
  snd.backoff++
  snd.retransmitAt = bounded(tcb, now + backedOff(tcb))
  return true
}

function retryLimit(tcp: Tcp, tcb: Tcb, opening: boolean): number {
  const { synAckRetries, orphanRetries, retries } = tcp.tuning
  if (opening && tcb.has(F_ACTIVE)) return tcb.synCnt
  if (opening)
    return tcb.has(F_DEFERRED)
      ? Math.max(synAckRetries, deferTimeouts(tcb.deferAccept))
      : synAckRetries
  if (tcb.has(F_ORPHAN)) return orphanRetries
  // TCP_USER_TIMEOUT decides alone, sooner or later (RFC 5482 section 1).
  return tcb.userTimeout > 0 ? Infinity : retries
}

/** TCP_USER_TIMEOUT (RFC 5482): nothing was acknowledged for so long. */
function userTimeout(tcb: Tcb, now: number): boolean {
  return (
    tcb.userTimeout > 0 && tcb.snd.stalledAt !== 0 && now - tcb.snd.stalledAt >= tcb.userTimeout
  )
}

/** No timer sleeps through the user timeout. */
function bounded(tcb: Tcb, at: number): number {
  const { stalledAt } = tcb.snd
  return tcb.userTimeout > 0 && stalledAt !== 0 ? Math.min(at, stalledAt + tcb.userTimeout) : at
}

/** The peer does not answer. What ICMP said of it is more than that it does not. */
function timedOut(tcp: Tcp, tcb: Tcb): void {
  tcp.counters.abortedOnTimeout++
  tcp.finish(tcb, tcb.softError || ETIMEDOUT)
}

/**
 * The window is closed, or too small for what Nagle and SWS avoidance want to send. A peer that answers probes is asked
 * for ever (RFC 9293 section 3.8.6.1), but not for an orphan, whose text nobody would miss.
 */
function persistTimeout(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const { snd, send } = tcb
  snd.persistAt = Infinity
  if (snd.una !== snd.max) return true
  const { orphanRetries, retries } = tcp.tuning
  const gone = tcb.has(F_ORPHAN) && (snd.backoff >= orphanRetries || snd.probes >= orphanRetries)
  // A probe was sent: also a peer that answers and makes no room is given no more than TCP_USER_TIMEOUT (tcp(7)).
  if (gone || snd.probes >= retries || (snd.backoff > 0 && userTimeout(tcb, now))) {
    timedOut(tcp, tcb)
    return false
  }
  if (snd.wnd > 0 && send && send.length > 0) {
    // There is some room: use it, full segment or not.
    tcb.mark(F_PUSH)
    return true
  }
  probeUrgent(tcp, tcb, now)
  if (!probe(tcp, tcb, now)) {
    snd.persistAt = now
    return true
  }
  snd.probes++
  snd.backoff++
  snd.persistAt = bounded(tcb, now + Math.min(RTO_MAX, backedOff(tcb)))
  return true
}

/** Keep-alive (RFC 9293 section 3.8.4): only while nothing is outstanding, which has its own timer. */
function keepAliveTimeout(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const { snd } = tcb
  const idleUntil = tcb.lastHeard + 1000 * tcb.keepIdle
  if (tcb.keepAlive === 0 || tcb.state === 'TIME-WAIT') {
    tcb.keepAliveAt = Infinity
    return true
  }
  if (snd.una !== snd.max || snd.persistAt !== Infinity || now < idleUntil) {
    tcb.keepAliveAt = now < idleUntil ? idleUntil : now + 1000 * tcb.keepIdle
    return true
  }
  const silent = tcb.userTimeout > 0 && snd.probes > 0 && now - tcb.lastHeard >= tcb.userTimeout
  if (silent || (tcb.userTimeout === 0 && snd.probes >= tcb.keepCnt)) {
    tcp.counters.abortedOnTimeout++
    tcb.error = tcb.softError || ETIMEDOUT
    abort(tcp, tcb, now)
    return false
  }
  if (!probe(tcp, tcb, now)) {
    tcb.keepAliveAt = now
    return true
  }
  snd.probes++
  tcb.keepAliveAt = now + 1000 * tcb.keepIntvl
  return true
}

/** A segment without text, one before SND.UNA: not acceptable, so it is answered. */
function probe(tcp: Tcp, tcb: Tcb, now: number): boolean {
  if (emit(tcp, tcb, add(tcb.snd.una, -1), ACK, 0, effectiveMss(tcb), now)) return true
  tcp.block(tcb)
  return false
}
