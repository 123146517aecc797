// connect(2), and the program's end of the AF_UNIX socket that comes with it.
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EISCONN,
  ENETUNREACH,
} from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import {
  RECORD,
  RECORD_CONNECTED,
  RECORD_CONNECTING,
  RECORD_OPEN,
  WAIT_CONNECTED,
} from '../shm/layout.ts'
import { LOOPBACK_V4, LOOPBACK_V6, type Address } from '../wire/address.ts'
import { familyOf } from './bind.ts'
import { LATER, type Call } from './calls.ts'
import { part } from './close.ts'
import type { Ground } from './ground.ts'
import { watch } from './native.ts'
import { OPT_V6ONLY } from './option-rules.ts'
import { tcpSettings } from './options.ts'
import { answerWaiters, WAIT_TURN } from './readiness.ts'
import { dropReceiveRing, dropSendRing, placeRings } from './rings.ts'
import { connectScope, parseSockaddr } from './sockaddr.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'
import { refresh } from './transfer.ts'

/**
 * connect(2): 0, LATER, -EINPROGRESS, or what Linux says. The second argument is 1 for MSG_FASTOPEN.
 *
 * On Linux a handshake over loopback is done when a non-blocking connect() returns, and programs with one loop count on
 * it: they see that they are connected before, or when, their listener has something. So it is answered when this turn
 * has sent and taken all packets: with 1 if it is connected, else with -EINPROGRESS.
 */
export function connectSocket(ground: Ground, s: Stream, call: Call): number {
  const to = parseSockaddr(call.data, call.length, s.get(T.FAMILY))
  if (typeof to === 'number') return to
  if (s.state === T.CONNECTING) return -EALREADY
  if (s.state !== T.OPEN || s.has(T.DEAD)) return -EISCONN
  const remote = to.address.isUnspecified ? loopbackLike(to.address) : to.address
  if (remote.isV4 && familyOf(s) === 6 && s.options[OPT_V6ONLY] !== 0) return -ENETUNREACH
  const scope = connectScope(to, s.local)
  if (scope < 0) return scope
  if (to.port === 0) return -ECONNREFUSED
  const placed = placeRings(ground, s)
  if (placed < 0) return placed
  const settings = { ...tcpSettings(s), ...(call.arg[1] === 1 ? { fastOpenConnect: 1 } : {}) }
  const open = () =>
    ground.stack.tcp.open(s.local, s.get(T.PORT), remote, to.port, s.tx, s.rx, settings, ground.now)
  let tcb = open()
  if ((tcb === -EADDRNOTAVAIL || tcb === -EADDRINUSE) && ground.reclaimPort(s.get(T.PORT)))
    tcb = open()
  if (tcb < 0) {
    dropReceiveRing(ground, s)
    dropSendRing(ground, s)
    return tcb
  }
  join(ground, s, tcb)
  s.set(T.STATE, T.CONNECTING)
  s.local = ground.stack.tcp.localAddress(tcb)
  s.set(T.PORT, ground.stack.tcp.localPort(tcb))
  s.shareName(RECORD.local, s.local, s.get(T.PORT))
  s.shareName(RECORD.peer, remote, to.port)
  if (ground.stack.tcp.waitsForText(tcb)) {
    // What the program writes goes with the SYN: to it the connection stands (RFC 7413).
    s.set(T.STATE, T.CONNECTED)
    s.share(RECORD.state, RECORD_CONNECTED)
    return 0
  }
  s.share(RECORD.state, RECORD_CONNECTING)
  if (call.arg[0] !== 1) {
    if (!ground.stack.isLocal(remote)) {
      s.mark(T.AWAITS_PLUG)
      return -EINPROGRESS
    }
    ground.begun.push(s)
    s.waiters.push({ block: call.block, wait: WAIT_TURN, until: Infinity })
    return LATER
  }
  s.waiters.push({ block: call.block, wait: WAIT_CONNECTED, until: Infinity })
  return LATER
}

const loopbackLike = (a: Address) => (a.isV4 ? LOOPBACK_V4 : LOOPBACK_V6)

export function join(ground: Ground, s: Stream, tcb: number): void {
  s.set(T.TCB, tcb)
  ground.recordOf[tcb] = s.index
}

/** The program's end has connected to ours, `fd`: the socket can show things from now on. */
export function attachEnd(ground: Ground, s: Stream, fd: number): void {
  if (s.fd >= 0) return void libc.close(fd)
  s.set(T.FD, fd)
  watch(ground, s, libc.EPOLL_CTL_ADD)
  refresh(ground, s)
}

/** connect(2) to AF_UNSPEC: gives the connection up, the socket is as new. */
export function disconnectSocket(ground: Ground, s: Stream): number {
  if (s.tcb >= 0) {
    const tcb = s.tcb
    part(ground, s)
    ground.stack.tcp.abort(tcb, ground.now)
  }
  answerWaiters(ground, s, WAIT_CONNECTED, -ECONNRESET)
  dropReceiveRing(ground, s)
  dropSendRing(ground, s)
  s.set(T.STATE, T.OPEN)
  s.share(RECORD.state, RECORD_OPEN)
  return 0
}
