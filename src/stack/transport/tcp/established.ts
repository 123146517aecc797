// The handshake is done.
import { abort } from './calls.ts'
import { effectiveMss } from './emit.ts'
import { resendSynText, startRecovery } from './recovery.ts'
import { RTO_AFTER_LOST_SYN, sample } from './rtt.ts'
import { add } from './seq.ts'
import { F_ACTIVE, F_FAST_OPEN, F_FIN_QUEUED, F_TIMED, F_USER, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { scheduleKeepAlive } from './timers.ts'
import { EV_CONNECTED } from './user.ts'

/** Our SYN is acknowledged, the peer's was taken before. */
export function establish(tcp: Tcp, tcb: Tcb, now: number): void {
  const { snd, rcv } = tcb
  snd.una = add(snd.iss, 1)
  snd.nxt = snd.max
  snd.sml = snd.una
  if (tcb.has(F_TIMED)) sample(tcb, now - snd.rttAt, now)
  tcb.unmark(F_TIMED)
  if (snd.retries > 0 && snd.srtt === 0) snd.rto = RTO_AFTER_LOST_SYN
  // Behind a SYN-ACK text is on its way (RFC 7413).
  if (!tcb.has(F_FAST_OPEN)) {
    startRecovery(tcb, effectiveMss(tcb))
    resendSynText(tcb, now)
  }
  snd.retries = 0
  snd.backoff = 0
  const quiet = snd.una === snd.max
  snd.retransmitAt = quiet ? Infinity : now + snd.rto
  snd.stalledAt = quiet ? 0 : now
  rcv.roundAt = now
  tcb.path!.confirm(now)
  tcp.enter(tcb, tcb.has(F_FIN_QUEUED) ? 'FIN-WAIT-1' : 'ESTABLISHED')
  scheduleKeepAlive(tcb, now)
}

/** SYN-RECEIVED is over: a listener's user takes the connection, or it is reset. False: it is over. */
export function offerToUser(tcp: Tcp, tcb: Tcb, now: number): boolean {
  if (tcb.has(F_ACTIVE)) {
    tcp.raise(tcb, EV_CONNECTED)
    return true
  }
  if (tcp.user.established(tcb.slot, tcb.listener, now)) {
    if (tcp.live(tcb.slot) && !tcb.has(F_USER))
      throw new Error(`Cannot go on with connection ${tcb.slot}: accepted, but nothing is attached`)
    // The user may have ended it meanwhile.
    return tcp.live(tcb.slot) !== undefined
  }
  tcb.unmark(F_USER)
  if (tcp.live(tcb.slot)) abort(tcp, tcb, now)
  return false
}
