// What a socket's filter (SO_ATTACH_FILTER) wants of what arrived over IP, or of a netlink message.
import {
  LOOPBACK_INDEX,
  NIC_INDEX,
  PACKET_HOST,
  PACKET_MULTICAST,
  type Packet,
  newSubject,
  runFilter,
} from '../../stack/stack.ts'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.ts'
import { ARPHRD_ETHER, ARPHRD_LOOPBACK } from '../../view/interfaces.ts'
import type { Ground } from '../ground.ts'
import type { SocketRecord } from '../record.ts'

const subject = newSubject()

/** How many bytes of the `length` at `at`, where the filter begins to see it; 0: it is not for this socket. */
export function wantedOf(
  ground: Ground,
  { filter }: SocketRecord,
  packet: Packet,
  at: number,
  length: number,
): number {
  if (filter === undefined) return length
  subject.bytes = packet.bytes
  subject.at = at
  subject.length = length
  subject.network = packet.ip
  subject.ethertype = packet.family === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6
  subject.type = packet.group ? PACKET_MULTICAST : PACKET_HOST
  subject.device = packet.loopback ? LOOPBACK_INDEX : NIC_INDEX
  subject.hardware = packet.loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER
  return Math.min(length, runFilter(filter, subject, ground.random))
}

/** The same of a message that came over no network: nothing is known of it but its bytes. */
export function wantedOfMessage(
  ground: Ground,
  { filter }: SocketRecord,
  bytes: Uint8Array,
): number {
  if (filter === undefined) return bytes.length
  subject.bytes = bytes
  subject.at = subject.network = 0
  subject.length = bytes.length
  subject.ethertype = subject.type = subject.device = subject.hardware = 0
  return Math.min(bytes.length, runFilter(filter, subject, ground.random))
}
