// Urgent data (MSG_OOB). In ring mode the urgent byte lies in the receive ring, where the record's mark tells readers to
// stop and to leave it out; a byte out of band on the AF_UNIX socket is POLLPRI and SIGURG. It counts as no token; the
// program takes it back. In native mode it is the AF_UNIX socket's own urgent byte.
import { EAGAIN, EINVAL, EPIPE } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { URGENT_PEEK, URGENT_RING, URGENT_SEND, URGENT_TAKE } from '../shm/layout.ts'
import type { Call } from './calls.ts'
import type { Ground } from './ground.ts'
import { carriesTokens, showUrgent } from './readiness.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { pump, textArrived } from './transfer.ts'

const FLAGS = libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL

/** The peer says that there is urgent data, or its byte has come. */
export function urgentArrived(ground: Ground, s: Stream): void {
  if (s.native) return textArrived(ground, s)
  showUrgent(ground, s)
}

/** OP_URGENT */
export function urgentCall(ground: Ground, s: Stream, call: Call): number {
  switch (call.arg[0]) {
    case URGENT_SEND:
      return send(ground, s, call.arg[1] & 0xff)
    case URGENT_TAKE:
    case URGENT_PEEK:
      if (s.tcb < 0) return -EINVAL
      return ground.stack.tcp.receiveUrgent(s.tcb, call.arg[0] === URGENT_PEEK)
    case URGENT_RING:
      if (carriesTokens(s)) libc.send(s.fd, libc.scratch, 1, FLAGS)
      return 0
    default:
      return -EINVAL
  }
}

/** The byte goes after all that was written before it; -EAGAIN: there is no room yet. */
function send(ground: Ground, s: Stream, byte: number): number {
  if (s.state === T.CONNECTING) return -EAGAIN
  if (s.state !== T.CONNECTED || s.tcb < 0 || s.has(T.DEAD | T.SHUT_WR)) return -EPIPE
  if (s.native) {
    pump(ground, s)
    if (s.tcb < 0) return -EPIPE
    if (s.fd < 0 || libc.inQueue(s.fd) > 0) return -EAGAIN
  }
  if (s.tx.room === 0) return -EAGAIN
  s.tx.append(byte)
  ground.stack.tcp.urgent(s.tcb, ground.now)
  ground.stack.tcp.send(s.tcb, ground.now, false, s.tx.room === 0)
  return 0
}
