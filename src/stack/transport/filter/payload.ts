// SKF_AD_PAY_OFFSET: where a packet's text begins, behind all headers that are known.
import { u16 } from '../../../base/bytes.ts'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../wire/ethernet.ts'
import {
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_FRAGMENT,
  IPV4_HEADER_LEN,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
} from '../../../wire/ipv4.ts'
import {
  IPPROTO_DSTOPTS,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMPV6,
  IPPROTO_ROUTING,
  IPV6_HEADER_LEN,
  IPV6_NEXT_HEADER,
} from '../../../wire/ipv6.ts'
import { TCP_HEADER_LENGTH, dataOffset } from '../../../wire/tcp.ts'
import type { Subject } from './machine.ts'

const SHORT_HEADER = 8
const EXTENSIONS = new Set([IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS])

/** From s.at on; 0 where nothing is known of what follows the link header. */
export function payloadOffset(s: Subject): number {
  const end = s.at + s.length
  const network = s.network
  if (s.ethertype === ETHERTYPE_IPV4) {
    if (network + IPV4_HEADER_LEN > end) return 0
    const header = (s.bytes[network] & 15) << 2
    if (header < IPV4_HEADER_LEN) return 0
    const later = (u16(s.bytes, network + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) !== 0
    return behind(s, later ? -1 : s.bytes[network + IPV4_PROTOCOL], network + header, end)
  }
  if (s.ethertype !== ETHERTYPE_IPV6 || network + IPV6_HEADER_LEN > end) return 0
  let next = s.bytes[network + IPV6_NEXT_HEADER]
  let at = network + IPV6_HEADER_LEN
  for (; EXTENSIONS.has(next) && at + SHORT_HEADER <= end; at += (s.bytes[at + 1] + 1) << 3)
    next = s.bytes[at]
  return behind(s, next, at, end)
}

/** Behind the transport header at `at`. */
function behind(s: Subject, protocol: number, at: number, end: number): number {
  let length = 0
  if (protocol === IPPROTO_TCP)
    length =
      at + TCP_HEADER_LENGTH <= end ? Math.max(TCP_HEADER_LENGTH, dataOffset(s.bytes, at)) : 0
  else if (protocol === IPPROTO_UDP || protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6)
    length = SHORT_HEADER
  return Math.min(at + length, end) - s.at
}
