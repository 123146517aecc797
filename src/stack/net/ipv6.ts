// IPv6 (RFC 8200 as RFC 8504 wants it from a node): what arrives, and where what leaves goes. On the link it is spoken
// from enable() on; ::1 is there always.
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH } from '../../base/errno.ts'
import { i32, u16 } from '../../base/bytes.ts'
import { ALL_NODES, Address, LOOPBACK_V6, isLinkLocal, solicitedNode } from '../../wire/address.ts'
import { ETHERTYPE_IPV6 } from '../../wire/ethernet.ts'
import {
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_REASSEMBLY_TIME_EXCEEDED,
  ICMPV6_TIME_EXCEEDED,
  ND_NEIGHBOR_ADVERT,
  ND_NEIGHBOR_SOLICIT,
} from '../../wire/icmpv6.ts'
import { IPPROTO_TCP, TCP_HEADER_LENGTH } from '../../wire/tcp.ts'
import {
  IPPROTO_ICMPV6,
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_MAX_DATAGRAM,
  IPV6_MF,
  IPV6_NEXT_HEADER,
  IPV6_OFFSET_MASK,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SRC,
  isWholeIpv6,
} from '../../wire/ipv6.ts'
import {
  Ipv6Chain,
  PROBLEM_FIELD,
  PROBLEM_INCOMPLETE_CHAIN,
  PROBLEM_NEXT_HEADER,
  type Walk,
} from '../../wire/ipv6-extensions.ts'
import { eui64, groupMac } from '../../wire/mac.ts'
import type { Loopback } from '../link/loopback.ts'
import type { NeighborTable } from '../link/neighbor.ts'
import { CAST_UNICAST, type Nic } from '../link/nic.ts'
import { type AddressState, Addresses, InterfaceAddress } from './addresses.ts'
import { NetCounters } from './counters.ts'
import { type Group, type GroupFilter, Groups } from './groups.ts'
import { Icmpv6 } from './icmpv6.ts'
import { Ipv6Path, type Ipv6Output } from './ipv6-path.ts'
import { LoopbackPath } from './loopback-path.ts'
import { Mld } from './mld.ts'
import { Ndp } from './ndp.ts'
import { ArrivedPacket } from './packet.ts'
import { PathCache } from './path-cache.ts'
import { MIN_PMTU_V6, PathMtus } from './path-mtu.ts'
import type { DatagramPath } from './path.ts'
import { NO_LISTENER, type Listener, type Protocol } from './protocol.ts'
import { IPV6_REASSEMBLY_TIME, Reassembly, addIpv6Fragment } from './reassembly.ts'
import { RouteTable, nextHop } from './route.ts'
import { RouterDiscovery } from './router-discovery.ts'
import { type SourceCandidate, chooseSource, scopeOf } from './selection.ts'

/** Of UDP and ICMPv6. */
const SHORT_HEADER_LENGTH = 8

export class Ipv6 implements Ipv6Output {
  readonly protocols = new Map<number, Protocol>()
  listener: Listener = NO_LISTENER
  readonly counters = new NetCounters()
  readonly addresses = new Addresses()
  readonly routes = new RouteTable()
  readonly groups = new Groups()
  readonly pathMtus = new PathMtus(MIN_PMTU_V6)
  readonly icmp: Icmpv6
  readonly ndp: Ndp
  readonly mld: Mld
  readonly routers: RouterDiscovery
  readonly reassembly: Reassembly
  readonly nic: Nic
  readonly random: () => number
  readonly scratch = new Uint8Array(IPV6_MAX_DATAGRAM)
  readonly loopback: Loopback
  private readonly paths = new PathCache()
  private readonly packet = new ArrivedPacket()
  private readonly chain = new Ipv6Chain()
  /** The solicited-node groups of our addresses. */
  private readonly solicited = new Map<InterfaceAddress, GroupFilter>()
  private enabled = false

  constructor(nic: Nic, loopback: Loopback, random: () => number) {
    this.nic = nic
    this.loopback = loopback
    this.random = random
    this.packet.family = 6
    this.icmp = new Icmpv6(this)
    this.protocols.set(IPPROTO_ICMPV6, this.icmp)
    this.ndp = new Ndp(this)
    this.routers = new RouterDiscovery(this)
    this.reassembly = new Reassembly(
      this.counters,
      IPV6_REASSEMBLY_TIME,
      (bytes, at, length, now) => {
        const code = ICMPV6_REASSEMBLY_TIME_EXCEEDED
        this.icmp.error(bytes, at, length, ICMPV6_TIME_EXCEEDED, code, 0, now)
      },
    )
    this.addresses.onChange = (entry, gone) => this.addressChanged(entry, gone)
    this.mld = new Mld({
      nic,
      addresses: this.addresses,
      groups: this.groups,
      counters: this.counters,
      icmp: this.icmp,
      messages: this.ndp.messages,
      random,
    })
    this.groups.onChange = (group, mode, sources) => {
      this.groupChanged(group, mode === 'EXCLUDE' || sources.length > 0)
      this.mld.changed(group, mode, sources)
    }
  }

  /**
   * Speaks IPv6 on the link from now on, with a link-local address: `linkLocal`, else the MAC's (RFC 4291 appendix A).
   * Once more: nothing changes.
   */
  enable(linkLocal: Address = eui64(LINK_LOCAL, this.nic.mac)): void {
    if (this.enabled) return
    this.enabled = true
    this.nic.handlers.set(ETHERTYPE_IPV6, (bytes, at, length, checksumValid, cast, now) =>
      this.arrives(bytes, at, length, checksumValid, cast, now),
    )
    this.groups.add({ group: ALL_NODES, mode: 'EXCLUDE', sources: [] })
    const prefix = { address: linkLocal, prefixLength: 64 }
    const state = this.firstState
    this.addresses.add(new InterfaceAddress(prefix, 'link-local', state, Infinity, Infinity))
  }

  /** Of a new address: it is used at once, and meanwhile others are asked whether it is theirs. */
  get firstState(): AddressState {
    return this.ndp.checksDuplicates ? 'OPTIMISTIC' : 'PREFERRED'
  }

  /** Largest packet on the link. */
  get mtu(): number {
    return Math.min(this.nic.mtu, this.routers.mtu)
  }

  get hopLimit(): number {
    return this.routers.hopLimit
  }

  get neighbors(): NeighborTable {
    return this.ndp.neighbors
  }

  /** Counts the changes after which a next hop, or a source address, may be another. */
  get generation(): number {
    return this.addresses.generation + this.routes.generation
  }

  /** When run() has something to do. */
  get next(): number {
    const { ndp, mld, routers, addresses, routes, pathMtus, reassembly } = this
    const soon = Math.min(ndp.next, mld.next, routers.next, addresses.next, routes.next)
    return Math.min(soon, pathMtus.next, reassembly.next)
  }

  run(now: number): void {
    this.addresses.run(now)
    this.routers.run(now)
    this.routes.run(now)
    this.pathMtus.run(now)
    this.mld.run(now)
    this.ndp.run(now)
    this.reassembly.run(now)
  }

  /** ::1, or an address of our nic. */
  isLocal(address: Address): boolean {
    return address.equals(LOOPBACK_V6) || this.addresses.has(address)
  }

  /** The source address for packets to `dst` that have none (RFC 6724); a negative errno if there is no way. */
  sourceFor(dst: Address): Address | number {
    if (this.isLocal(dst)) return dst
    const hop = this.hopFor(dst)
    if (hop === undefined) return -ENETUNREACH
    const { source } = (dst.isMulticast ? undefined : this.routes.lookup(dst)) ?? {}
    return source ?? chooseSource(dst, this.candidates(hop))?.address ?? -EADDRNOTAVAIL
  }

  /** Who gets packets for `dst` on the link; undefined: nobody, or ourselves. */
  hopFor(dst: Address): Address | undefined {
    if (!this.enabled || dst.isV4 || dst.isUnspecified || this.isLocal(dst)) return undefined
    if (dst.isMulticast) return scopeOf(dst) >= 2 ? dst : undefined
    if (isLinkLocal(dst)) return dst
    const route = this.routes.lookup(dst)
    return route && nextHop(route, dst)
  }

  /** A station on the link, or what may be one. */
  isNeighbor(address: Address): boolean {
    return !address.isMulticast && this.hopFor(address)?.equals(address) === true
  }

  /** The path between two addresses for one protocol (source unspecified: any of ours); a negative errno. */
  path(src: Address, dst: Address, protocol: number): DatagramPath | number {
    if (src.isUnspecified) {
      const chosen = this.sourceFor(dst)
      if (typeof chosen === 'number') return chosen
      src = chosen
    }
    this.paths.keepTo(this.generation)
    const known = this.paths.find(src, dst, protocol)
    if (known !== undefined) return known
    const path = this.makePath(src, dst, protocol, false)
    if (typeof path !== 'number') this.paths.keep(path, protocol)
    return path
  }

  /** The same for one raw socket, which shares it with nobody. */
  rawPath(src: Address, dst: Address, protocol: number): DatagramPath | number {
    if (src.isUnspecified) {
      const chosen = this.sourceFor(dst)
      if (typeof chosen === 'number') return chosen
      src = chosen
    }
    return this.makePath(src, dst, protocol, true)
  }

  private makePath(
    src: Address,
    dst: Address,
    protocol: number,
    raw: boolean,
  ): DatagramPath | number {
    if (!this.isLocal(src)) return -EADDRNOTAVAIL
    if (this.isLocal(dst)) return new LoopbackPath(this.loopback, src, dst, protocol, raw)
    if (this.hopFor(dst) === undefined) return -ENETUNREACH
    if (src.isLoopback) return -EINVAL
    return new Ipv6Path(this, src, dst, protocol, raw)
  }

  private *candidates(hop: Address): Iterable<SourceCandidate & { address: Address }> {
    for (const { address, prefixLength, state, isAssigned } of this.addresses.all)
      if (isAssigned)
        yield {
          address,
          prefixLength,
          avoided: state !== 'PREFERRED',
          ofNextHop: this.routers.advertises(hop, address),
        }
  }

  /** An address brings its solicited-node group, and a static one the route to its network. */
  private addressChanged(entry: InterfaceAddress, gone: boolean): void {
    const { solicited, groups, ndp, routes } = this
    const filter = solicited.get(entry)
    if (gone && filter !== undefined) {
      groups.remove(filter)
      solicited.delete(entry)
    } else if (!gone && filter === undefined) {
      const group = solicitedNode(entry.address)
      const wish: GroupFilter = { group, mode: 'EXCLUDE', sources: [] }
      if (groups.add(wish) === 0) solicited.set(entry, wish)
    }
    if (gone) ndp.dad.forget(entry)
    else ndp.dad.changed(entry)
    routes.remove(({ origin }) => origin === 'connected')
    for (const { address, prefixLength, origin, isAssigned } of this.addresses.all)
      // That others have addresses of a prefix does not mean that they are on the link (RFC 5942).
      if (isAssigned && origin === 'static')
        routes.add({
          destination: { address, prefixLength },
          gateway: undefined,
          source: undefined,
          metric: 256,
          origin: 'connected',
          expires: Infinity,
        })
  }

  private groupChanged(group: Group, wasWanted: boolean): void {
    if (group.isWanted === wasWanted) return
    const mac = groupMac(group.address)
    if (wasWanted) this.nic.leave(mac)
    else this.nic.join(mac)
  }

  /** A packet from the link. */
  arrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksumValid: boolean,
    cast: number,
    now: number,
  ): void {
    const { counters, addresses } = this
    counters.packetsIn++
    if (!isWholeIpv6(bytes, at, length)) {
      counters.badHeader++
      return
    }
    if (!this.isStation(bytes, at)) {
      counters.martianSource++
      return
    }
    if (bytes[at + IPV6_DST] === 0xff) {
      // Scope 0 is reserved, and scope 1 never leaves an interface (RFC 4291 section 2.7).
      if ((bytes[at + IPV6_DST + 1] & 15) < 2 || !this.hears(bytes, at)) {
        counters.broadcast++
        return
      }
    } else if (!addresses.hasAt(bytes, at + IPV6_DST)) {
      // The strong host model: ::1 is not this interface's.
      counters.notOurAddress++
      return
    } else if (cast !== CAST_UNICAST) {
      counters.linkBroadcast++
      return
    }
    const total = IPV6_HEADER_LEN + u16(bytes, at + IPV6_PAYLOAD_LENGTH)
    this.input(bytes, at, total, checksumValid, false, false, now)
  }

  /** A datagram that we sent to ourselves: what it says is true, unless a program wrote it (`raw`). */
  loops(bytes: Uint8Array, at: number, length: number, raw: boolean, now: number): void {
    this.counters.packetsIn++
    if (!isWholeIpv6(bytes, at, length)) {
      this.counters.badHeader++
      return
    }
    if (bytes[at + IPV6_DST] === 0xff && !this.hears(bytes, at)) return
    // Where it was sent, and what it says, are two things.
    if (
      raw &&
      bytes[at + IPV6_DST] !== 0xff &&
      !this.isLocal(Address.read(bytes, at + IPV6_DST, 16))
    ) {
      this.counters.notOurAddress++
      return
    }
    const total = IPV6_HEADER_LEN + u16(bytes, at + IPV6_PAYLOAD_LENGTH)
    this.input(bytes, at, total, !raw, true, false, now)
  }

  /** Does anybody here want what is for this packet's group? From whom is another question: routers ask here too. */
  private hears(bytes: Uint8Array, at: number): boolean {
    const { packet } = this
    packet.bytes = bytes
    packet.ip = at
    return this.groups.has(packet)
  }

  /** Another host may send from this address: not a group, ourselves, or an IPv4 address (RFC 4291, RFC 6890). */
  private isStation(bytes: Uint8Array, at: number): boolean {
    const src = at + IPV6_SRC
    if (bytes[src] === 0xff) return false
    const high = i32(bytes, src) | i32(bytes, src + 4)
    const c = i32(bytes, src + 8)
    if (high === 0 && (c === 0xffff || (c === 0 && i32(bytes, src + 12) === 1))) return false
    // Who has an address of ours too is to be heard in neighbor discovery.
    if (!this.addresses.hasAt(bytes, src)) return true
    const type = bytes[at + IPV6_HEADER_LEN]
    const isNeighborDiscovery = type === ND_NEIGHBOR_SOLICIT || type === ND_NEIGHBOR_ADVERT
    return (
      bytes[at + IPV6_NEXT_HEADER] === IPPROTO_ICMPV6 &&
      u16(bytes, at + IPV6_PAYLOAD_LENGTH) > 0 &&
      isNeighborDiscovery
    )
  }

  /** Goes through the extension headers. `fragmented`: it was put together. */
  private input(
    bytes: Uint8Array,
    at: number,
    total: number,
    checksumValid: boolean,
    loopback: boolean,
    fragmented: boolean,
    now: number,
  ): void {
    const walk = this.chain.walk(bytes, at, total)
    if (walk === 'upper') this.deliver(bytes, at, total, checksumValid, loopback, fragmented, now)
    else if (walk !== 'fragment') this.refuse(bytes, at, total, walk, now)
    else if (fragmented) this.counters.badFragment++
    else this.fragmentArrives(bytes, at, total, checksumValid, loopback, now)
  }

  /** RFC 8200 section 4.5. */
  private fragmentArrives(
    bytes: Uint8Array,
    at: number,
    total: number,
    checksumValid: boolean,
    loopback: boolean,
    now: number,
  ): void {
    const { chain, counters } = this
    const fragment = chain.offset
    const word = u16(bytes, at + fragment + 2)
    const first = (word & IPV6_OFFSET_MASK) === 0
    if (first && (word & IPV6_MF) === 0) {
      // It is the whole datagram, and has nothing to do with others of the same id (RFC 6946).
      const walk = chain.resume(bytes, at, total)
      if (walk === 'upper') this.deliver(bytes, at, total, checksumValid, loopback, true, now)
      else if (walk === 'fragment') counters.badFragment++
      else this.refuse(bytes, at, total, walk, now)
      return
    }
    if (first && !this.hasWholeChain(bytes, at, total)) {
      counters.badFragment++
      this.tell(bytes, at, total, PROBLEM_INCOMPLETE_CHAIN, 0, false, now)
      return
    }
    const whole = addIpv6Fragment(this.reassembly, bytes, at, fragment, total, now)
    if (whole === 'length')
      this.tell(bytes, at, total, PROBLEM_FIELD, IPV6_PAYLOAD_LENGTH, false, now)
    else if (whole === 'offset')
      this.tell(bytes, at, total, PROBLEM_FIELD, fragment + 2, false, now)
    else if (typeof whole === 'object')
      this.input(whole.bytes, whole.at, whole.totalLength, false, loopback, true, now)
  }

  /** A first fragment has all headers up to the transport's (RFC 7112). */
  private hasWholeChain(bytes: Uint8Array, at: number, total: number): boolean {
    const { chain } = this
    if (!chain.skipRest(bytes, at, total)) return false
    const least = chain.protocol === IPPROTO_TCP ? TCP_HEADER_LENGTH : SHORT_HEADER_LENGTH
    return !this.protocols.has(chain.protocol) || chain.offset + least <= total
  }

  private refuse(bytes: Uint8Array, at: number, total: number, walk: Walk, now: number): void {
    const { counters, chain } = this
    if (walk === 'problem')
      this.tell(bytes, at, total, chain.code, chain.pointer, chain.tellsGroup, now)
    else if (walk === 'none') counters.noNextHeader++
    else if (walk === 'discard') counters.extensionDiscarded++
    else counters.badHeader++
  }

  private tell(
    bytes: Uint8Array,
    at: number,
    total: number,
    code: number,
    pointer: number,
    tellsGroup: boolean,
    now: number,
  ): void {
    this.counters.parameterProblem++
    const type = ICMPV6_PARAMETER_PROBLEM
    this.icmp.error(bytes, at, total, type, code, pointer, now, tellsGroup)
  }

  private deliver(
    bytes: Uint8Array,
    at: number,
    total: number,
    checksumValid: boolean,
    loopback: boolean,
    fragmented: boolean,
    now: number,
  ): void {
    const { packet, chain, counters, listener } = this
    const number = chain.protocol
    const protocol = this.protocols.get(number)
    const listens = listener.counts[number] > 0
    if (protocol === undefined && !listens) return this.refuseProtocol(bytes, at, total, now)
    if (chain.protocol !== IPPROTO_ICMPV6 && isUnspecifiedAt(bytes, at + IPV6_SRC)) {
      counters.martianSource++
      return
    }
    if (chain.protocol === IPPROTO_TCP && bytes[at + IPV6_DST] === 0xff) {
      counters.broadcast++
      return
    }
    packet.bytes = bytes
    packet.ip = at
    const group = bytes[at + IPV6_DST] === 0xff
    if (group && chain.protocol !== IPPROTO_ICMPV6 && !this.groups.wants(packet)) {
      counters.broadcast++
      return
    }
    packet.transport = at + chain.offset
    packet.length = total - chain.offset
    packet.checksumValid = checksumValid
    packet.loopback = loopback
    packet.fragmented = fragmented
    packet.group = group
    const heard = listens && listener.arrives(packet, number, now)
    if (protocol !== undefined) protocol.arrives(packet, now)
    else if (!heard) this.refuseProtocol(bytes, at, total, now)
  }

  private refuseProtocol(bytes: Uint8Array, at: number, total: number, now: number): void {
    this.counters.noProtocol++
    this.tell(bytes, at, total, PROBLEM_NEXT_HEADER, this.chain.pointer, false, now)
  }
}

const LINK_LOCAL = new Address(0xfe800000, 0, 0, 0)

const isUnspecifiedAt = (bytes: Uint8Array, i: number): boolean =>
  (i32(bytes, i) | i32(bytes, i + 4) | i32(bytes, i + 8) | i32(bytes, i + 12)) === 0
