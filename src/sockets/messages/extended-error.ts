// struct sock_extended_err and what stands around it: an entry of the error queue as recvmsg(2) with MSG_ERRQUEUE shows
// it (ip(7), IP_RECVERR). The name is where the datagram was sent, the offender who said that it did not arrive.
import { AF_INET, AF_INET6 } from '../../ffi/libc.ts'
import { MESSAGE_DATA, MESSAGE_SIZE } from '../../shm/layout.ts'
import type { Unreachable } from '../../stack/stack.ts'
import { IPPROTO_IP, IPPROTO_IPV6 } from '../option-table.ts'
import { MSG_ERRQUEUE } from './flags.ts'
import type { MessageSocket } from './message-socket.ts'
import type { Outbound } from './outbound.ts'

const IP_RECVERR = 11
const IPV6_RECVERR = 25
const SO_EE_ORIGIN_ICMP = 2
const SO_EE_ORIGIN_ICMP6 = 3
const UDP_HEADER_LEN = 8
/** As much of the text as a call's answer carries. */
const MOST_TEXT = 128

const words = new Int32Array(4)

/** `skip`: bytes of the quoted transport header that are not text. */
export function extendedError(
  head: Outbound,
  m: MessageSocket,
  error: Unreachable,
  skip = UDP_HEADER_LEN,
): Uint8Array {
  const { dst, from } = error
  const v4 = dst.isV4
  head.begin(MESSAGE_DATA, MSG_ERRQUEUE)
  words.set([dst.a, dst.b, dst.c, dst.d])
  head.nameIp(m.family, words, 0, error.dstPort)
  const mine = m.family === AF_INET6 ? AF_INET6 : AF_INET
  const level = mine === AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP
  const at = head.control(
    level,
    level === IPPROTO_IP ? IP_RECVERR : IPV6_RECVERR,
    16 + (mine === AF_INET6 ? 28 : 16),
  )
  const { view } = head
  view.setUint32(at, error.errno, true)
  view.setUint8(at + 4, v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6)
  view.setUint8(at + 5, error.type)
  view.setUint8(at + 6, error.code)
  view.setUint32(at + 8, error.mtu, true)
  words.set([from.a, from.b, from.c, from.d])
  head.sockaddr(at + 16, mine, words, 0, 0)
  const start = Math.min(error.transport + skip, error.end)
  const text = error.bytes.subarray(start, Math.min(error.end, start + MOST_TEXT))
  const whole = new Uint8Array(MESSAGE_SIZE + text.length)
  whole.set(head.bytes.subarray(0, MESSAGE_SIZE))
  whole.set(text, MESSAGE_SIZE)
  return whole
}
