// A ping endpoint: who sends echo requests, and gets the replies to them (icmp(7), IPPROTO_ICMP with SOCK_DGRAM).
import type { Packet } from '../../net/path.ts'
import type { Unreachable } from '../../net/protocol.ts'
import { isDst } from '../../net/groups.ts'
import { IPPROTO_ICMP } from '../../../wire/ipv4.ts'
import { IPPROTO_ICMPV6 } from '../../../wire/ipv6.ts'
import { Sender } from '../sender.ts'
import { interfaceOf } from '../udp/endpoint.ts'

export class PingEndpoint extends Sender {
  readonly user: PingUser
  /** What its requests are known by, the port of its name; 0: none yet. */
  ident = 0
  /** bind() named it: disconnect() leaves it. */
  identBound = false

  constructor(user: PingUser, family: 4 | 6) {
    super(family, family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
    this.user = user
  }

  /** A reply to its ident, is it for this one? */
  wants(packet: Packet): boolean {
    if (packet.family !== this.family) return false
    if (this.device !== 0 && this.device !== interfaceOf(packet)) return false
    return this.local.isUnspecified || isDst(this.local, packet)
  }
}

/** Who has a ping endpoint. */
export interface PingUser {
  /** The reply: `length` bytes at `at` in packet.bytes, from the ICMP header on. They are to be copied now. False: no room. */
  arrives(endpoint: PingEndpoint, packet: Packet, at: number, length: number, now: number): boolean
  /** As UdpUser.failed(). */
  failed(endpoint: PingEndpoint, error: Unreachable, now: number): void
}
