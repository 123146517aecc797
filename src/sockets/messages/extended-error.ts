// struct sock_extended_err and what stands around it: an entry of the error queue as recvmsg(2) with MSG_ERRQUEUE shows
// it (ip(7), IP_RECVERR). The name is where the datagram was sent, the offender who said that it did not arrive.
import { EMSGSIZE } from '../../base/errno.ts'
import { AF_INET, AF_INET6 } from '../../ffi/libc.ts'
import { MESSAGE_DATA, MESSAGE_SIZE } from '../../shm/layout.ts'
import type { Unreachable } from '../../stack/stack.ts'
import { type Address, ANY_V4, ANY_V6 } from '../../wire/address.ts'
import { IPPROTO_IP, IPPROTO_IPV6 } from '../option-rules.ts'
import type { Ground } from '../ground.ts'
import { writeErrorControl } from './ancillary.ts'
import { deliverError, queueError, wake } from './deliver.ts'
import { MSG_ERRQUEUE } from './flags.ts'
import { RECVERR, RECVERR6 } from './ip-options.ts'
import type { MessageSocket } from './message-socket.ts'
import type { Outbound } from './outbound.ts'

const IP_RECVERR = 11
const IPV6_RECVERR = 25
const SO_EE_ORIGIN_LOCAL = 1
const SO_EE_ORIGIN_ICMP = 2
const SO_EE_ORIGIN_ICMP6 = 3
/** struct sock_extended_err. */
const EE_SIZE = 16
/** As much of the text as a call's answer carries. */
const MOST_TEXT = 128

const words = new Int32Array(4)

/**
 * Tells a program that a datagram of its socket's did not get there. `skip`: how far behind the start of the quoted transport
 * header its text began. `port`: to which one it was sent.
 */
export function reportError(
  ground: Ground,
  m: MessageSocket,
  error: Unreachable,
  skip: number,
  port: number,
): void {
  const told = m.options[error.src.isV4 && m.family !== AF_INET6 ? RECVERR : RECVERR6]
  if (told !== 0) queueError(m, extendedError(ground.messages.outbound, m, error, skip, port))
  deliverError(ground, m, error.errno)
}

/**
 * What send(2) refuses since it is larger than the path takes is in the error queue too, with the path's mtu, and no text;
 * ping(8) and traceroute(8) read it there.
 */
export function reportTooBig(ground: Ground, m: MessageSocket, to: Address, port: number): void {
  if (m.options[to.isV4 && m.family !== AF_INET6 ? RECVERR : RECVERR6] === 0) return
  const { outbound } = ground.messages
  const path = ground.stack.path(to.isV4 ? ANY_V4 : ANY_V6, to)
  outbound.begin(MESSAGE_DATA, MSG_ERRQUEUE)
  writeExtended(
    outbound,
    m,
    to,
    port,
    EMSGSIZE,
    SO_EE_ORIGIN_LOCAL,
    0,
    0,
    typeof path === 'number' ? 0 : path.mtu,
  )
  queueError(m, outbound.bytes.slice(0, MESSAGE_SIZE))
  wake(ground, m)
}

/** Name and struct sock_extended_err. Where in outbound.bytes the offender's name comes, which is zeros. */
function writeExtended(
  head: Outbound,
  m: MessageSocket,
  to: Address,
  port: number,
  errno: number,
  origin: number,
  type: number,
  code: number,
  info: number,
): number {
  words.set([to.a, to.b, to.c, to.d])
  head.nameIp(m.family, words, 0, port)
  const six = m.family === AF_INET6
  const at = head.control(
    six ? IPPROTO_IPV6 : IPPROTO_IP,
    six ? IPV6_RECVERR : IP_RECVERR,
    EE_SIZE + (six ? 28 : 16),
  )
  const { view } = head
  view.setUint32(at, errno, true)
  view.setUint8(at + 4, origin)
  view.setUint8(at + 5, type)
  view.setUint8(at + 6, code)
  view.setUint32(at + 8, info, true)
  return at + EE_SIZE
}

function extendedError(
  head: Outbound,
  m: MessageSocket,
  error: Unreachable,
  skip: number,
  port: number,
): Uint8Array {
  const { dst, from, errno, type, code, info } = error
  const origin = dst.isV4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6
  head.begin(MESSAGE_DATA, MSG_ERRQUEUE)
  writeErrorControl(m, head, error)
  const at = writeExtended(head, m, dst, port, errno, origin, type, code, info)
  words.set([from.a, from.b, from.c, from.d])
  head.sockaddr(at, m.family === AF_INET6 ? AF_INET6 : AF_INET, words, 0, 0)
  const start = Math.min(error.transport + skip, error.end)
  const text = error.bytes.subarray(start, Math.min(error.end, start + MOST_TEXT))
  const whole = new Uint8Array(MESSAGE_SIZE + text.length)
  whole.set(head.bytes.subarray(0, MESSAGE_SIZE))
  whole.set(text, MESSAGE_SIZE)
  return whole
}
