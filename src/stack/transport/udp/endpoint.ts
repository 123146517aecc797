// A UDP endpoint: what a socket is to UDP. The options are plain fields with Linux's defaults; who sets them has checked
// them. Names and indices change only through Udp.
import { ANY_V4, ANY_V6, type Address } from '../../../wire/address.ts'
import { type FilterMode, type GroupFilter, admits, isDst, isSrc } from '../../net/groups.ts'
import { PMTUDISC_WANT, type Packet } from '../../net/path.ts'
import type { UdpUser } from './user.ts'

/** Interface indices, as SO_BINDTODEVICE and IP_PKTINFO have them; 0: any. */
export const LOOPBACK_INDEX = 1
export const NIC_INDEX = 2

/** Options that IPv4 and IPv6 each have of their own (SOL_IP, SOL_IPV6). */
export class FamilyOptions {
  ttl = 64
  tos = 0
  discover = PMTUDISC_WANT
  /** IPV6_MTU. */
  fragmentSize = 0
  multicastTtl = 1
  multicastLoop = true
  /** IP_MULTICAST_ALL: groups that somebody else joined are heard too. */
  multicastAll = true
  /** IP_MULTICAST_IF: the source of datagrams to groups; unspecified: chosen. */
  multicastSource: Address
  /** IP_RECVERR: errors are told that are not hard, or when not connected. */
  receiveErrors = false

  constructor(any: Address) {
    this.multicastSource = any
  }
}

export class Endpoint {
  /** Its place in Udp's tables. */
  readonly slot: number
  readonly user: UdpUser
  readonly family: 4 | 6
  /** As getsockname(2) tells. */
  local: Address
  localPort = 0
  /** As getpeername(2) tells, if connected. */
  remote: Address
  remotePort = 0
  connected = false
  /** Where its datagrams come from; unspecified: chosen for each. Not `local` where that is a group or a broadcast address. */
  source: Address

  v6only = false
  /** SO_REUSEADDR and SO_REUSEPORT. */
  reuse = false
  share = false
  /** SO_BROADCAST. */
  broadcast = false
  /** SO_NO_CHECK: no checksum over IPv4. */
  noCheck = false
  /** SO_BINDTODEVICE. */
  device = 0
  readonly v4 = new FamilyOptions(ANY_V4)
  readonly v6 = new FamilyOptions(ANY_V6)
  readonly memberships: Membership[] = []

  /** bind() named an address, a port: disconnect() leaves them. */
  addressBound = false
  portBound = false
  /** How ports.ts has the port. */
  held: PortHold | undefined
  /** In the table of connected endpoints; else among the others of its port. */
  indexed = false

  constructor(slot: number, user: UdpUser, family: 4 | 6) {
    this.slot = slot
    this.user = user
    this.family = family
    this.local = this.remote = this.source = this.any
  }

  /** The unspecified address of its family. */
  get any(): Address {
    return this.family === 4 ? ANY_V4 : ANY_V6
  }

  options(family: 4 | 6): FamilyOptions {
    return family === 4 ? this.v4 : this.v6
  }

  /**
   * How well a datagram for one address fits; 0: not at all. The peer's counts most, then one for the very address, one
   * bound to the interface, one of the same family.
   */
  score(packet: Received, srcPort: number): number {
    let score = packet.family === this.family ? 2 : 1
    if (this.local.isUnspecified) {
      if (!this.hears(packet.family)) return 0
    } else if (isDst(this.local, packet)) score += 8
    else return 0
    if (this.connected) {
      if (this.remotePort !== srcPort || !isSrc(this.remote, packet)) return 0
      score += 16
    }
    if (this.device === 0) return score
    return this.device === interfaceOf(packet) ? score + 4 : 0
  }

  /** Is a datagram to a group or to everybody, and to its port, for this one too? */
  wantsGroup(packet: Packet, srcPort: number): boolean {
    if (this.connected && (this.remotePort !== srcPort || !isSrc(this.remote, packet))) return false
    if (this.local.isUnspecified ? !this.hears(packet.family) : !isDst(this.local, packet))
      return false
    if (this.device !== 0 && this.device !== interfaceOf(packet)) return false
    if (!isMulticast(packet)) return true
    for (const membership of this.memberships)
      if (isDst(membership.group, packet)) return admits(membership, packet)
    return this.options(packet.family).multicastAll
  }

  /** Does its unspecified address stand for this family's? */
  private hears(family: 4 | 6): boolean {
    return this.local.isV4 ? family === 4 : family === 6 || !this.v6only
  }
}

export interface PortHold {
  readonly address: Address
  readonly v6only: boolean
  readonly reuse: boolean
  readonly share: boolean
}

/** What an endpoint wants to hear of a group (RFC 3376 section 3.1). */
export class Membership implements GroupFilter {
  readonly group: Address
  mode: FilterMode
  sources: readonly Address[]

  constructor(group: Address, mode: FilterMode, sources: readonly Address[]) {
    this.group = group
    this.mode = mode
    this.sources = sources
  }
}

/** What tells whose a datagram is. */
export type Received = Pick<Packet, 'family' | 'srcWord' | 'dstWord'>

/** Where a datagram came in; one from ourselves where its destination is an address of (Linux). */
export const interfaceOf = (packet: Received): number =>
  isLoopbackDst(packet) ? LOOPBACK_INDEX : NIC_INDEX

const isLoopbackDst = (packet: Received): boolean =>
  packet.family === 4
    ? packet.dstWord(3) >>> 24 === 127
    : (packet.dstWord(0) | packet.dstWord(1) | packet.dstWord(2)) === 0 && packet.dstWord(3) === 1

const isMulticast = (packet: Packet): boolean =>
  packet.family === 4 ? packet.dstWord(3) >>> 28 === 0xe : packet.dstWord(0) >>> 24 === 0xff
