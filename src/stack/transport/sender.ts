// Where the datagrams of raw and ping endpoints go. Each has a path of its own, the last one that it used: nobody else's
// options are in its way.
import { EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EDESTADDRREQ, ENETUNREACH } from '../../base/errno.ts'
import { ANY_V4, ANY_V6, Address, LOOPBACK_V4, LOOPBACK_V6 } from '../../wire/address.ts'
import { admits, isDst, type Groups } from '../net/groups.ts'
import {
  type DatagramPath,
  PMTUDISC_DO,
  PMTUDISC_DONT,
  type Packet,
  TO_LINK,
  TO_SELF,
} from '../net/path.ts'
import type { Unreachable } from '../net/protocol.ts'
import { FamilyOptions, type Membership } from './udp/endpoint.ts'
import { leaveAll } from './udp/memberships.ts'
import type { Outgoing } from './udp/outgoing.ts'

/** What raw and ping endpoints have in common: names and options. Who sets the options has checked them. */
export class Sender {
  readonly family: 4 | 6
  readonly protocol: number
  /** As getsockname(2) and getpeername(2) tell. */
  local: Address
  remote: Address
  connected = false
  /** bind() named an address: disconnect() leaves it. */
  addressBound = false
  /** Where its datagrams come from; unspecified: chosen for each. Not `local` where that is a group or a broadcast address. */
  source: Address
  v6only = false
  reuse = false
  share = false
  /** SO_BROADCAST. */
  broadcast = false
  noCheck = false
  /** SO_BINDTODEVICE. */
  device = 0
  readonly v4 = new FamilyOptions(ANY_V4)
  readonly v6 = new FamilyOptions(ANY_V6)
  readonly memberships: Membership[] = []
  /** The last path. */
  readonly route = new Route()

  constructor(family: 4 | 6, protocol: number) {
    this.family = family
    this.protocol = protocol
    this.local = this.remote = this.source = this.any
  }

  /** The unspecified address of its family. */
  get any(): Address {
    return this.family === 4 ? ANY_V4 : ANY_V6
  }

  get options(): FamilyOptions {
    return this.family === 4 ? this.v4 : this.v6
  }

  /** A datagram for a group is for its members, and for who has not said that it wants its own groups alone. */
  admitsGroup(packet: Packet): boolean {
    for (const membership of this.memberships)
      if (isDst(membership.group, packet)) return admits(membership, packet)
    return this.options.multicastAll
  }

  /** Is the datagram that the error quotes like the last one that it sent? */
  hasSent({ src, dst }: Unreachable): boolean {
    const { path } = this.route
    return path !== undefined && path.dst.equals(dst) && path.src.equals(src)
  }

  /** With IP_RECVERR all errors are told, else hard ones to who is connected (RFC 1122 section 4.1.3.3, Linux). */
  isTold({ hard, mtu }: Unreachable): boolean {
    const { receiveErrors, discover } = this.options
    if (receiveErrors) return true
    if (mtu === 0) return hard && this.connected
    return (
      this.connected && (this.family === 4 ? discover !== PMTUDISC_DONT : discover === PMTUDISC_DO)
    )
  }
}

/** The last path of one endpoint, and for which source and destination it was given. */
class Route {
  path: DatagramPath | undefined
  generation = -1
  readonly kept = new Int32Array(8)
  readonly asked = new Int32Array(8)
}

/** What they ask of IP. */
export interface SenderHost {
  /** Another number: path() may answer differently. */
  readonly generation: number
  /** A new path between two addresses (source unspecified: chosen), or a negative errno. */
  path(src: Address, dst: Address, protocol: number): DatagramPath | number
  isLocal(address: Address): boolean
  isBroadcast(address: Address): boolean
  /** Those of the group's family. */
  groups(group: Address): Groups
}

export class Senders {
  private readonly host: SenderHost
  /** Of the datagram for which find() was called last. */
  ttl = 0
  tos = 0

  constructor(host: SenderHost) {
    this.host = host
  }

  /** 0 or a negative errno. `again`: as it was in a stack that is gone; nothing is asked. */
  bind(endpoint: Sender, address: Address, again = false): number {
    const { host } = this
    const group = address.isMulticast || host.isBroadcast(address)
    if (!again && !address.isUnspecified && !group && !host.isLocal(address)) return -EADDRNOTAVAIL
    endpoint.local = address
    endpoint.source = group ? endpoint.any : address
    endpoint.addressBound = !address.isUnspecified
    return 0
  }

  connect(endpoint: Sender, remote: Address): number {
    const path = this.find(endpoint, undefined, remote)
    if (typeof path === 'number') return path
    endpoint.remote = path.dst
    endpoint.connected = true
    if (endpoint.source.isUnspecified) endpoint.source = path.src
    if (endpoint.local.isUnspecified) endpoint.local = path.src
    return 0
  }

  disconnect(endpoint: Sender): void {
    endpoint.connected = false
    endpoint.remote = endpoint.any
    if (endpoint.addressBound) return
    endpoint.local = endpoint.source = endpoint.any
  }

  /** The endpoint goes. */
  close(endpoint: Sender): void {
    leaveAll(group => this.host.groups(group), endpoint)
  }

  /**
   * The path that a datagram takes, its options set; `ttl` and `tos` of it are then here. Or a negative errno. Without
   * `out`: to `remote`.
   */
  find(
    endpoint: Sender,
    out: Outgoing | undefined,
    remote: Address | undefined,
  ): DatagramPath | number {
    const path = this.lookUp(endpoint, out, remote)
    if (typeof path === 'number') return path
    if (path.isBroadcast && !endpoint.broadcast) return -EACCES
    const { options } = endpoint
    const multicast = path.isGroup && !path.isBroadcast
    this.ttl = multicast ? options.multicastTtl : options.ttl
    if (out !== undefined && out.ttl >= 0) this.ttl = out.ttl
    this.tos = out !== undefined && out.tos >= 0 ? out.tos : options.tos
    path.discover = options.discover
    path.fragmentSize = options.fragmentSize
    // A time to live of 0 does not leave the host (RFC 1112 section 6.1).
    if (multicast)
      path.copies = (this.ttl > 0 ? TO_LINK : 0) | (options.multicastLoop ? TO_SELF : 0)
    return path
  }

  private lookUp(
    endpoint: Sender,
    out: Outgoing | undefined,
    remote: Address | undefined,
  ): DatagramPath | number {
    const { asked } = endpoint.route
    if (remote !== undefined) write(asked, 4, remote)
    else if (out?.named === true) for (let i = 4; i < 8; i++) asked[i] = out.words[i]
    else if (endpoint.connected) write(asked, 4, endpoint.remote)
    else return -EDESTADDRREQ
    const v4 = isV4(asked, 4)
    const none = (asked[4] | asked[5] | asked[7]) === 0 && (v4 || asked[6] === 0)
    // Linux: the unspecified address as destination is this host.
    if (none)
      write(asked, 4, endpoint.source.isUnspecified ? loopbackOf(endpoint) : endpoint.source)
    else if (v4 !== (endpoint.family === 4)) return v4 ? -ENETUNREACH : -EAFNOSUPPORT
    const multicast = v4 ? asked[7] >>> 28 === 0xe : asked[4] >>> 24 === 0xff
    if (out?.sourced === true) for (let i = 0; i < 4; i++) asked[i] = out.words[i]
    else if (endpoint.source.isUnspecified && multicast)
      write(asked, 0, endpoint.options.multicastSource)
    else write(asked, 0, endpoint.source)
    return this.take(endpoint)
  }

  private take(endpoint: Sender): DatagramPath | number {
    const { generation } = this.host
    const { route } = endpoint
    const { asked, kept } = route
    if (route.path !== undefined && route.generation === generation && same(asked, kept))
      return route.path
    const src = new Address(asked[0], asked[1], asked[2], asked[3])
    const dst = new Address(asked[4], asked[5], asked[6], asked[7])
    const path = this.host.path(src, dst, endpoint.protocol)
    if (typeof path === 'number') return path
    route.path = path
    route.generation = generation
    kept.set(asked)
    return path
  }
}

function write(words: Int32Array, at: number, address: Address): void {
  for (let i = 0; i < 4; i++) words[at + i] = address.word(i)
}

const isV4 = (words: Int32Array, at: number): boolean =>
  words[at] === 0 && words[at + 1] === 0 && words[at + 2] === ANY_V4.c

function same(a: Int32Array, b: Int32Array): boolean {
  for (let i = 7; i >= 0; i--) if (a[i] !== b[i]) return false
  return true
}

const loopbackOf = ({ family }: Sender): Address => (family === 4 ? LOOPBACK_V4 : LOOPBACK_V6)
