// A raw endpoint: what a raw socket is to the stack (raw(7), ipv6(7)).
import { ICMPV6_CHECKSUM_OFFSET } from '../../../wire/icmpv6.ts'
import { IPPROTO_ICMP } from '../../../wire/ipv4.ts'
import { IPPROTO_ICMPV6 } from '../../../wire/ipv6.ts'
import { admits, isDst, isSrc } from '../../net/groups.ts'
import type { Packet } from '../../net/path.ts'
import { Sender } from '../sender.ts'
import { interfaceOf } from '../udp/endpoint.ts'
import type { RawUser } from './user.ts'

export const IPPROTO_RAW = 255
const IPPROTO_MH = 135
const MH_CHECKSUM_OFFSET = 4

export class RawEndpoint extends Sender {
  readonly user: RawUser
  /** IP_HDRINCL: what is sent begins with the IP header. */
  headerIncluded: boolean
  /** IPV6_CHECKSUM: where in what is sent the checksum is; -1: there is none. */
  checksumOffset = -1
  /** ICMP_FILTER, ICMP6_FILTER: a bit for each type that is not wanted. */
  readonly icmpFilter = new Int32Array(8)

  constructor(user: RawUser, family: 4 | 6, protocol: number) {
    super(family, protocol)
    this.user = user
    this.headerIncluded = protocol === IPPROTO_RAW
    if (family === 6 && protocol === IPPROTO_ICMPV6) this.checksumOffset = ICMPV6_CHECKSUM_OFFSET
    if (family === 6 && protocol === IPPROTO_MH) this.checksumOffset = MH_CHECKSUM_OFFSET
  }

  /** Is a datagram of its protocol for this one too? */
  wants(packet: Packet): boolean {
    if (this.connected && !isSrc(this.remote, packet)) return false
    if (this.device !== 0 && this.device !== interfaceOf(packet)) return false
    if (this.local.isUnspecified || isDst(this.local, packet)) return true
    // Linux, of IPv6: who is bound to one address hears its groups none the less.
    if (this.family === 4 || !packet.group) return false
    for (const membership of this.memberships)
      if (isDst(membership.group, packet)) return admits(membership, packet)
    return false
  }

  /** Does ICMP_FILTER let a message of this type through? IPv4's knows the types below 32 only. */
  admitsType(type: number): boolean {
    if (this.protocol !== (this.family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) return true
    if (this.family === 4 && type >= 32) return true
    return (this.icmpFilter[type >>> 5] & (1 << (type & 31))) === 0
  }
}
