// What a connection waits for, as inet_diag of Linux tells it: one timer, the number of tries so far.
import type { Tcb } from './tcb.ts'

export interface Deadline {
  /** 1 retransmission, 2 keep-alive (or SYN-ACK), 3 TIME-WAIT, 4 zero-window probe; 0: nothing. */
  readonly timer: number
  /** ms of the stack's clock. */
  readonly at: number
  readonly tries: number
}

export function deadlineOf(tcb: Tcb): Deadline {
  const { snd } = tcb
  if (tcb.state === 'TIME-WAIT') return { timer: 3, at: tcb.lingerAt, tries: 0 }
  const resend = Math.min(snd.retransmitAt, snd.probeAt, snd.reorderAt)
  if (resend < Infinity) return { timer: 1, at: resend, tries: snd.retries }
  if (snd.persistAt < Infinity) return { timer: 4, at: snd.persistAt, tries: snd.probes }
  if (tcb.keepAliveAt < Infinity) return { timer: 2, at: tcb.keepAliveAt, tries: snd.probes }
  return { timer: 0, at: Infinity, tries: 0 }
}
