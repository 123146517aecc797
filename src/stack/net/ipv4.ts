// IPv4 (RFC 791 as RFC 1122 section 3.2.1 wants it from a host): what arrives, and where what leaves goes.
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH } from '../../base/errno.ts'
import { i32, u16 } from '../../base/bytes.ts'
import { Address, ANY_V4, LOOPBACK_V4 } from '../../wire/address.ts'
import type { Prefix } from '../../wire/address-text.ts'
import { checksum } from '../../wire/checksum.ts'
import { IPPROTO_IGMP } from '../../wire/igmp.ts'
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_PROTOCOL_UNREACH,
  ICMP_REASSEMBLY_TIME_EXCEEDED,
  ICMP_TIME_EXCEEDED,
} from '../../wire/icmpv4.ts'
import {
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_HEADER_LEN,
  IPV4_MAX_DATAGRAM,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SRC,
  IPV4_TOTAL_LENGTH,
  ipv4Options,
} from '../../wire/ipv4.ts'
import type { Mac } from '../../wire/mac.ts'
import type { Loopback } from '../link/loopback.ts'
import { Arp } from '../link/arp.ts'
import { CAST_UNICAST, type Nic } from '../link/nic.ts'
import { ETHERTYPE_IPV4 } from '../../wire/ethernet.ts'
import { Addresses, type InterfaceAddress } from './addresses.ts'
import { NetCounters } from './counters.ts'
import { type FilterMode, type Group, Groups } from './groups.ts'
import { Icmp } from './icmp.ts'
import { ALL_HOSTS, Igmp } from './igmp.ts'
import { Ipv4GroupPath, groupMacV4 } from './ipv4-group-path.ts'
import { Ipv4Path } from './ipv4-path.ts'
import type { Ipv4Output } from './ipv4-path.ts'
import { LoopbackPath } from './loopback-path.ts'
import { ArrivedPacket } from './packet.ts'
import { PathCache } from './path-cache.ts'
import { MIN_PMTU_V4, PathMtus } from './path-mtu.ts'
import type { DatagramPath } from './path.ts'
import { NO_LISTENER, type Listener, type Protocol } from './protocol.ts'
import { IPV4_REASSEMBLY_TIME, Reassembly, addIpv4Fragment } from './reassembly.ts'
import { Redirects } from './redirects.ts'
import { type Route, RouteTable, nextHop } from './route.ts'

export class Ipv4 implements Ipv4Output {
  readonly protocols = new Map<number, Protocol>()
  listener: Listener = NO_LISTENER
  readonly counters = new NetCounters()
  readonly icmp: Icmp
  readonly igmp: Igmp
  readonly reassembly: Reassembly
  readonly nic: Nic
  readonly arp: Arp
  readonly addresses = new Addresses()
  readonly routes = new RouteTable()
  readonly pathMtus = new PathMtus(MIN_PMTU_V4)
  readonly groups = new Groups()
  readonly redirects: Redirects
  readonly random: () => number
  /** An address of ours was lost to another station (RFC 5227 section 2.4(b)). */
  onLost: (address: Address, mac: Mac, now: number) => void = () => {}
  readonly scratch = new Uint8Array(IPV4_MAX_DATAGRAM)
  private readonly loopback: Loopback
  private readonly paths = new PathCache()
  private readonly packet = new ArrivedPacket()

  constructor(nic: Nic, loopback: Loopback, random: () => number) {
    this.nic = nic
    this.loopback = loopback
    this.random = random
    this.redirects = new Redirects(this)
    this.icmp = new Icmp(this)
    this.protocols.set(IPPROTO_ICMP, this.icmp)
    this.igmp = new Igmp(this)
    this.protocols.set(IPPROTO_IGMP, this.igmp)
    this.reassembly = new Reassembly(
      this.counters,
      IPV4_REASSEMBLY_TIME,
      (bytes, at, length, now) => {
        const code = ICMP_REASSEMBLY_TIME_EXCEEDED
        this.icmp.error(bytes, at, length, ICMP_TIME_EXCEEDED, code, now)
      },
    )
    this.addresses.onChange = (address, gone) => this.addressChanged(address, gone)
    this.arp = new Arp(nic, this.arpAddresses(), random)
    this.arp.neighbors.onFailed = ({ address }) => this.redirects.forget(address)
    this.arp.onLost = (word, mac, now) => this.addressLost(word, mac, now)
    this.arp.onUndeliverable = (packet, now) => this.icmp.undeliverable(packet, now)
    nic.join(groupMacV4(ALL_HOSTS))
    this.groups.onChange = (group, mode, sources) => this.groupChanged(group, mode, sources)
    nic.handlers.set(ETHERTYPE_IPV4, (bytes, at, length, checksumValid, cast, now) =>
      this.arrives(bytes, at, length, checksumValid, cast !== CAST_UNICAST, now),
    )
  }

  /** Counts the changes after which a next hop, or a source address, may be another. */
  get generation(): number {
    return this.addresses.generation + this.routes.generation
  }

  /** When run() has something to do. */
  get next(): number {
    const { arp, igmp, addresses, routes, pathMtus, reassembly } = this
    const soon = Math.min(arp.next, igmp.next, addresses.next, routes.next)
    return Math.min(soon, pathMtus.next, reassembly.next)
  }

  run(now: number): void {
    this.addresses.run(now)
    this.routes.run(now)
    this.pathMtus.run(now)
    this.arp.run(now)
    this.igmp.run(now)
    this.reassembly.run(now)
  }

  /** 127.0.0.0/8, or an address of our nic. */
  isLocal(word: number): boolean {
    return isLoopback(word) || this.addresses.hasWord(word)
  }

  /** The source address for packets to `dst` that have none; a negative errno if there is no way. */
  sourceFor(dst: Address): Address | number {
    const word = dst.d
    if (isLoopback(word)) return LOOPBACK_V4
    if (this.addresses.hasWord(word)) return dst
    if (this.isBroadcast(word) || isMulticast(word)) return this.groupSource(word)
    const route = this.isUnicast(word) ? this.routes.lookup(dst) : undefined
    if (route === undefined) return -ENETUNREACH
    return this.routeSource(route, dst) ?? -EADDRNOTAVAIL
  }

  /** Linux's inet_select_addr(): the route's, else one on the next hop's network, else the first there is. */
  private routeSource(route: Route, dst: Address): Address | undefined {
    const { addresses } = this
    const other = addresses.onLinkWith(nextHop(route, dst)) ?? this.firstAddress()
    return route.source ?? other?.address
  }

  /** What IGMP says it is. */
  get reportSource(): number {
    return this.firstAddress()?.address.d ?? 0
  }

  private firstAddress(): InterfaceAddress | undefined {
    const assigned = this.addresses.all.filter(entry => entry.isAssigned)
    return assigned.find(entry => entry.state !== 'DEPRECATED') ?? assigned[0]
  }

  /** There is one link, so groups need no route; who has no address yet sends from 0.0.0.0 (RFC 1122 section 3.2.1.3). */
  private groupSource(word: number): Address {
    const network = this.addresses.all.find(entry => entry.isAssigned && entry.broadcast === word)
    if (network !== undefined) return network.address
    const route = this.routes.lookup(Address.v4(word))
    const source = route === undefined ? undefined : this.routeSource(route, Address.v4(word))
    return source ?? this.firstAddress()?.address ?? ANY_V4
  }

  /** Who gets packets for `dst` on the link; undefined: nobody, or ourselves. */
  hopFor(dst: Address): Address | undefined {
    if (this.isLocal(dst.d) || !this.isUnicast(dst.d)) return undefined
    const route = this.routes.lookup(dst)
    return route && nextHop(route, dst)
  }

  /** A station on the link, or what may be one. */
  isNeighbor(address: Address): boolean {
    return this.hopFor(address)?.equals(address) === true
  }

  /** Have we sent datagrams of this protocol there lately? */
  hasPath(src: Address, dst: Address, protocol: number): boolean {
    this.paths.keepTo(this.generation)
    return this.paths.find(src, dst, protocol) !== undefined
  }

  /** The path between two addresses for one protocol (source unspecified: any of ours); a negative errno. */
  path(src: Address, dst: Address, protocol: number): DatagramPath | number {
    if (src.equals(ANY_V4)) {
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
    if (src.equals(ANY_V4)) {
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
    const group = this.isBroadcast(dst.d) || isMulticast(dst.d)
    if (!this.isLocal(src.d) && !(group && src.isUnspecified)) return -EADDRNOTAVAIL
    const stays = src.isLoopback && isMulticast(dst.d) && (protocol !== IPPROTO_TCP || raw)
    if (stays || (this.isLocal(dst.d) && this.isUnicast(dst.d)))
      return new LoopbackPath(this.loopback, src, dst, protocol, raw)
    if (!group && this.hopFor(dst) === undefined) return -ENETUNREACH
    if (group && protocol === IPPROTO_TCP && !raw) return -ENETUNREACH
    if (src.isLoopback) return -EINVAL
    if (group) return new Ipv4GroupPath(this, this.loopback, src, dst, protocol, raw)
    return new Ipv4Path(this, src, dst, protocol, raw)
  }

  /** One host's address: not "this network", a group, or everybody. */
  private isUnicast(word: number): boolean {
    const top = word >>> 24
    if (top === 0 || (top >= 224 && top < 240) || word === 0x7f000000 || word === 0x7fffffff)
      return false
    return !this.isBroadcast(word)
  }

  /** Everybody on this link, or on one of our networks (RFC 1122 section 3.2.1.3). */
  isBroadcast(word: number): boolean {
    return word === -1 || this.addresses.isDirectedBroadcast(word)
  }

  /** Another station has it, and does not give way: not used from now on. The rest is for who gave it to us. */
  private addressLost(word: number, mac: Mac, now: number): void {
    const entry = this.addresses.find(Address.v4(word))
    if (entry === undefined) return
    this.addresses.enter(entry, 'DUPLICATED')
    this.onLost(entry.address, mac, now)
  }

  /** The first address of a network brings the route to it; when it goes, the next one does. */
  private addressChanged(entry: InterfaceAddress, gone: boolean): void {
    const { address, prefixLength } = entry
    const isHere = (other: Prefix) =>
      other.prefixLength === prefixLength && other.address.matches(address, prefixLength)
    const first = this.addresses.all.find(other => other.isAssigned && isHere(other))
    const isSecondary = !gone && entry.isAssigned && entry !== first
    if (gone) this.arp.forget(address.d)
    this.redirects.forget()
    if (!isSecondary)
      this.routes.remove(route => route.origin === 'connected' && isHere(route.destination))
    if (!isSecondary && first !== undefined)
      this.routes.add({
        destination: { address: first.address, prefixLength },
        gateway: undefined,
        source: first.address,
        metric: 0,
        origin: 'connected',
        expires: Infinity,
      })
    if (!gone && entry.isAssigned) this.arp.announce()
  }

  private arpAddresses() {
    const { addresses } = this
    return {
      *words() {
        for (const entry of addresses.all) if (entry.isAssigned) yield entry.address.d
      },
      has: (word: number) => addresses.hasWord(word),
      keeps: (word: number) => addresses.find(Address.v4(word))?.origin !== 'dhcp',
      sourceOnLink: (word: number) => this.linkSource(Address.v4(word))?.d,
    }
  }

  /** What we are to a station on the link: our address on its network, else that of the route that has it on the link. */
  private linkSource(station: Address): Address | undefined {
    const own = this.addresses.onLinkWith(station)
    if (own !== undefined) return own.address
    const route = this.routes.lookup(station)
    if (route === undefined || route.gateway !== undefined) return undefined
    return this.routeSource(route, station)
  }

  private groupChanged(group: Group, mode: FilterMode, sources: readonly Address[]): void {
    const was = mode === 'EXCLUDE' || sources.length > 0
    const mac = groupMacV4(group.address.d)
    if (group.isWanted && !was) this.nic.join(mac)
    else if (was && !group.isWanted) this.nic.leave(mac)
    this.igmp.changed(group, mode, sources)
  }

  /** A packet from the link. `toGroup`: its frame was for more than us. */
  arrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksumValid: boolean,
    toGroup: boolean,
    now: number,
  ): void {
    const { counters } = this
    counters.packetsIn++
    if (!this.isWellFormed(bytes, at, length)) return
    const src = i32(bytes, at + IPV4_SRC)
    const dst = i32(bytes, at + IPV4_DST)
    const group = isMulticast(dst) || this.isBroadcast(dst)
    if (!this.isStation(src) && !(src === 0 && mayComeFromNobody(dst, bytes[at + IPV4_PROTOCOL]))) {
      counters.martianSource++
      return
    }
    if (group ? isMulticast(dst) && !this.hears(bytes, at) : !this.addresses.hasWord(dst)) {
      // The strong host model (RFC 1122 section 3.3.4.2): loopback's addresses are not this interface's.
      if (group) counters.groupNotJoined++
      else counters.notOurAddress++
      return
    }
    if (toGroup && !group) {
      counters.linkBroadcast++
      return
    }
    this.assemble(bytes, at, checksumValid, false, group, now)
  }

  /** Version, lengths, checksum, options; else it is counted. */
  private isWellFormed(bytes: Uint8Array, at: number, length: number): boolean {
    const { counters } = this
    if (length < IPV4_HEADER_LEN || bytes[at] >>> 4 !== 4) {
      counters.badHeader++
      return false
    }
    const headerLength = (bytes[at] & 15) << 2
    const totalLength = u16(bytes, at + IPV4_TOTAL_LENGTH)
    if (headerLength < IPV4_HEADER_LEN || totalLength < headerLength || totalLength > length) {
      counters.badHeader++
      return false
    }
    if (checksum(bytes, at, headerLength) !== 0) {
      counters.badHeaderChecksum++
      return false
    }
    if (headerLength === IPV4_HEADER_LEN) return true
    const options = ipv4Options(bytes, at, headerLength)
    if (options === 'bad') counters.badOptions++
    else if (options === 'source-route') counters.sourceRoute++
    return options === 'ok'
  }

  /** A well-formed packet, or the datagram whose last fragment it is. */
  private assemble(
    bytes: Uint8Array,
    at: number,
    checksumValid: boolean,
    loopback: boolean,
    group: boolean,
    now: number,
  ): void {
    const headerLength = (bytes[at] & 15) << 2
    const totalLength = u16(bytes, at + IPV4_TOTAL_LENGTH)
    if ((u16(bytes, at + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) === 0) {
      this.deliver(bytes, at, headerLength, totalLength, checksumValid, loopback, group, now)
      return
    }
    const whole = addIpv4Fragment(this.reassembly, bytes, at, headerLength, totalLength, now)
    if (whole !== undefined) {
      const { headerLength, totalLength } = whole
      this.deliver(whole.bytes, whole.at, headerLength, totalLength, false, loopback, group, now)
    }
  }

  /** Does anybody here want this packet, which is for a group? */
  private hears(bytes: Uint8Array, at: number): boolean {
    if (i32(bytes, at + IPV4_DST) === ALL_HOSTS) return true
    const { packet } = this
    packet.bytes = bytes
    packet.ip = at
    // Routers ask from addresses that nobody listens to.
    if (bytes[at + IPV4_PROTOCOL] === IPPROTO_IGMP) return this.groups.has(packet)
    return this.groups.wants(packet)
  }

  /** A datagram that we sent to ourselves: what it says is true, unless a program wrote it (`raw`). */
  loops(bytes: Uint8Array, at: number, length: number, raw: boolean, now: number): void {
    if (raw && !this.isWellFormed(bytes, at, length)) return
    const dst = i32(bytes, at + IPV4_DST)
    const group = isMulticast(dst) || this.isBroadcast(dst)
    if (isMulticast(dst) && !this.hears(bytes, at)) return
    // Where it was sent, and what it says, are two things.
    if (raw && !group && !this.isLocal(dst)) {
      this.counters.notOurAddress++
      return
    }
    if (raw) this.assemble(bytes, at, false, true, group, now)
    else this.deliver(bytes, at, IPV4_HEADER_LEN, length, true, true, group, now)
  }

  /** Another host may send from this address (RFC 1122 section 3.2.1.3, RFC 6890). */
  private isStation(src: number): boolean {
    const top = src >>> 24
    if (top === 0 || top === 127 || top >= 224) return false
    return !this.addresses.hasWord(src) && !this.isBroadcast(src)
  }

  private deliver(
    bytes: Uint8Array,
    at: number,
    headerLength: number,
    totalLength: number,
    checksumValid: boolean,
    loopback: boolean,
    group: boolean,
    now: number,
  ): void {
    const { packet, listener, counters } = this
    const number = bytes[at + IPV4_PROTOCOL]
    const protocol = this.protocols.get(number)
    packet.bytes = bytes
    packet.ip = at
    packet.transport = at + headerLength
    packet.length = totalLength - headerLength
    packet.checksumValid = checksumValid
    packet.loopback = loopback
    packet.group = group
    const heard = listener.counts[number] > 0 && listener.arrives(packet, number, now)
    if (protocol !== undefined && (!group || protocol.takesGroups === true))
      return protocol.arrives(packet, now)
    if (heard) return
    if (group) counters.broadcast++
    else {
      counters.noProtocol++
      this.icmp.error(bytes, at, totalLength, ICMP_DEST_UNREACHABLE, ICMP_PROTOCOL_UNREACH, now)
    }
  }
}

const isLoopback = (word: number): boolean => word >>> 24 === 127
const isMulticast = (word: number): boolean => word >>> 28 === 0xe

/** Who has no address yet asks everybody for one; switches ask for groups (RFC 4541 section 2.1.1). */
const mayComeFromNobody = (dst: number, protocol: number): boolean =>
  dst === -1 || (isMulticast(dst) && protocol === IPPROTO_IGMP)
