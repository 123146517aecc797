// IPv4 (RFC 791 as RFC 1122 section 3.2.1 wants it from a host): what arrives, and where what leaves goes.
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH } from '../../base/errno.ts'
import { i32, u16 } from '../../base/bytes.ts'
import { Address, ANY_V4, LOOPBACK_V4 } from '../../wire/address.ts'
import { checksum } from '../../wire/checksum.ts'
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
import type { Loopback } from '../link/loopback.ts'
import { Arp } from '../link/arp.ts'
import { CAST_BROADCAST, type Nic } from '../link/nic.ts'
import { ETHERTYPE_IPV4 } from '../../wire/ethernet.ts'
import { Addresses, type InterfaceAddress } from './addresses.ts'
import { NetCounters } from './counters.ts'
import { Icmp } from './icmp.ts'
import { Ipv4Path } from './ipv4-path.ts'
import type { Ipv4Output } from './ipv4-path.ts'
import { LoopbackPath } from './loopback-path.ts'
import { ArrivedPacket } from './packet.ts'
import { PathCache } from './path-cache.ts'
import { MIN_PMTU_V4, PathMtus } from './path-mtu.ts'
import type { Path } from './path.ts'
import type { Protocol } from './protocol.ts'
import { IPV4_REASSEMBLY_TIME, Reassembly, addIpv4Fragment } from './reassembly.ts'
import { RouteTable, nextHop } from './route.ts'

export class Ipv4 implements Ipv4Output {
  readonly protocols = new Map<number, Protocol>()
  readonly counters = new NetCounters()
  readonly icmp: Icmp
  readonly reassembly: Reassembly
  readonly nic: Nic
  readonly arp: Arp
  readonly addresses = new Addresses()
  readonly routes = new RouteTable()
  readonly pathMtus = new PathMtus(MIN_PMTU_V4)
  readonly random: () => number
  readonly scratch = new Uint8Array(IPV4_MAX_DATAGRAM)
  private readonly loopback: Loopback
  private readonly paths = new PathCache()
  private readonly packet = new ArrivedPacket()

  constructor(nic: Nic, loopback: Loopback, random: () => number) {
    this.nic = nic
    this.loopback = loopback
    this.random = random
    this.icmp = new Icmp(this)
    this.protocols.set(IPPROTO_ICMP, this.icmp)
    this.reassembly = new Reassembly(
      this.counters,
      IPV4_REASSEMBLY_TIME,
      (bytes, at, length, now) => {
        const code = ICMP_REASSEMBLY_TIME_EXCEEDED
        this.icmp.error(bytes, at, length, ICMP_TIME_EXCEEDED, code, now)
      },
    )
    this.addresses.onChange = (address, gone) => this.addressChanged(address, gone)
    this.arp = new Arp(nic, this.arpAddresses())
    this.arp.onUndeliverable = (packet, now) => this.icmp.undeliverable(packet, now)
    nic.handlers.set(ETHERTYPE_IPV4, (bytes, at, length, checksumValid, cast, now) =>
      this.arrives(bytes, at, length, checksumValid, cast === CAST_BROADCAST, now),
    )
  }

  /** Counts the changes after which a next hop, or a source address, may be another. */
  get generation(): number {
    return this.addresses.generation + this.routes.generation
  }

  /** When run() has something to do. */
  get next(): number {
    const { arp, addresses, routes, pathMtus, reassembly } = this
    return Math.min(arp.next, addresses.next, routes.next, pathMtus.next, reassembly.next)
  }

  run(now: number): void {
    this.addresses.run(now)
    this.routes.run(now)
    this.pathMtus.run(now)
    this.arp.run(now)
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
    const route = this.isUnicast(word) ? this.routes.lookup(dst) : undefined
    if (route === undefined) return -ENETUNREACH
    // Linux's inet_select_addr(): the route's, else one on the next hop's network, else the first there is.
    const { addresses } = this
    const other = addresses.onLinkWith(nextHop(route, dst)) ?? addresses.all.find(a => a.isAssigned)
    const source = route.source ?? other?.address
    return source ?? -EADDRNOTAVAIL
  }

  /** Who gets packets for `dst` on the link; undefined: nobody, or ourselves. */
  hopFor(dst: Address): Address | undefined {
    if (this.isLocal(dst.d) || !this.isUnicast(dst.d)) return undefined
    const route = this.routes.lookup(dst)
    return route && nextHop(route, dst)
  }

  /** A station on one of our networks, or what may be one. */
  isNeighbor(address: Address): boolean {
    return (
      this.addresses.onLinkWith(address) !== undefined &&
      !this.addresses.hasWord(address.d) &&
      !this.addresses.isDirectedBroadcast(address.d)
    )
  }

  /** The path between two addresses for one protocol (source unspecified: any of ours); a negative errno. */
  path(src: Address, dst: Address, protocol: number): Path | number {
    if (src.equals(ANY_V4)) {
      const chosen = this.sourceFor(dst)
      if (typeof chosen === 'number') return chosen
      src = chosen
    }
    this.paths.keepTo(this.generation)
    const known = this.paths.find(src, dst, protocol)
    if (known !== undefined) return known
    const path = this.makePath(src, dst, protocol)
    if (typeof path !== 'number') this.paths.keep(path, protocol)
    return path
  }

  private makePath(src: Address, dst: Address, protocol: number): Path | number {
    if (!this.isLocal(src.d)) return -EADDRNOTAVAIL
    if (this.isLocal(dst.d) && this.isUnicast(dst.d))
      return new LoopbackPath(this.loopback, src, dst, protocol)
    if (this.hopFor(dst) === undefined) return -ENETUNREACH
    if (src.isLoopback) return -EINVAL
    return new Ipv4Path(this, src, dst, protocol, protocol === IPPROTO_TCP)
  }

  /** One host's address: not "this network", a group, or everybody. */
  private isUnicast(word: number): boolean {
    const top = word >>> 24
    if (top === 0 || (top >= 224 && top < 240) || word === 0x7f000000 || word === 0x7fffffff)
      return false
    return !this.isBroadcast(word)
  }

  /** Everybody on this link, or on one of our networks (RFC 1122 section 3.2.1.3). */
  private isBroadcast(word: number): boolean {
    return word === -1 || this.addresses.isDirectedBroadcast(word)
  }

  /** Each address brings the route to its network. */
  private addressChanged(entry: InterfaceAddress, gone: boolean): void {
    const { address, prefixLength } = entry
    this.routes.remove(
      route =>
        route.origin === 'connected' &&
        route.source?.equals(address) === true &&
        route.destination.prefixLength === prefixLength,
    )
    if (gone || !entry.isAssigned) return
    this.routes.add({
      destination: { address, prefixLength },
      gateway: undefined,
      source: address,
      metric: 0,
      origin: 'connected',
      expires: Infinity,
    })
    this.arp.announce()
  }

  private arpAddresses() {
    const { addresses } = this
    return {
      *words() {
        for (const entry of addresses.all) if (entry.isAssigned) yield entry.address.d
      },
      has: (word: number) => addresses.hasWord(word),
      sourceOnLink: (word: number) => addresses.onLinkWith(Address.v4(word))?.address.d,
    }
  }

  /** A packet from the link. `broadcast`: its frame was for everybody. */
  arrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksumValid: boolean,
    broadcast: boolean,
    now: number,
  ): void {
    const { counters } = this
    counters.packetsIn++
    if (length < IPV4_HEADER_LEN || bytes[at] >>> 4 !== 4) {
      counters.badHeader++
      return
    }
    const headerLength = (bytes[at] & 15) << 2
    const totalLength = u16(bytes, at + IPV4_TOTAL_LENGTH)
    if (headerLength < IPV4_HEADER_LEN || totalLength < headerLength || totalLength > length) {
      counters.badHeader++
      return
    }
    if (checksum(bytes, at, headerLength) !== 0) {
      counters.badHeaderChecksum++
      return
    }
    if (headerLength > IPV4_HEADER_LEN) {
      const options = ipv4Options(bytes, at, headerLength)
      if (options !== 'ok') {
        if (options === 'bad') counters.badOptions++
        else counters.sourceRoute++
        return
      }
    }
    if (!this.isStation(i32(bytes, at + IPV4_SRC))) {
      counters.martianSource++
      return
    }
    const dst = i32(bytes, at + IPV4_DST)
    if (!this.addresses.hasWord(dst)) {
      // The strong host model (RFC 1122 section 3.3.4.2): loopback's addresses are not this interface's.
      if (dst >>> 28 === 0xe || this.isBroadcast(dst)) counters.broadcast++
      else counters.notOurAddress++
      return
    }
    if (broadcast) {
      counters.linkBroadcast++
      return
    }
    if ((u16(bytes, at + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) === 0) {
      this.deliver(bytes, at, headerLength, totalLength, checksumValid, false, now)
      return
    }
    const whole = addIpv4Fragment(this.reassembly, bytes, at, headerLength, totalLength, now)
    if (whole !== undefined)
      this.deliver(whole.bytes, whole.at, whole.headerLength, whole.totalLength, false, false, now)
  }

  /** A datagram that we sent to ourselves: what it says is true. */
  loops(bytes: Uint8Array, at: number, length: number, now: number): void {
    this.deliver(bytes, at, IPV4_HEADER_LEN, length, true, true, now)
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
    now: number,
  ): void {
    const protocol = this.protocols.get(bytes[at + IPV4_PROTOCOL])
    if (protocol === undefined) {
      this.counters.noProtocol++
      this.icmp.error(bytes, at, totalLength, ICMP_DEST_UNREACHABLE, ICMP_PROTOCOL_UNREACH, now)
      return
    }
    const { packet } = this
    packet.bytes = bytes
    packet.ip = at
    packet.transport = at + headerLength
    packet.length = totalLength - headerLength
    packet.checksumValid = checksumValid
    packet.loopback = loopback
    protocol.arrives(packet, now)
  }
}

const isLoopback = (word: number): boolean => word >>> 24 === 127
