// IPv6 output: a datagram built in the frame that it leaves in.
import { copy, writeU16 } from '../../base/bytes.ts'
import type { Address } from '../../wire/address.ts'
import { finish, fold, pseudoSum, sumBytes } from '../../wire/checksum.ts'
import { ETHER_HEADER_LEN } from '../../wire/ethernet.ts'
import {
  IPPROTO_FRAGMENT,
  IPV6_FRAGMENT_LEN,
  IPV6_HEADER_LEN,
  IPV6_MAX_DATAGRAM,
  emitFragment,
  emitIpv6,
} from '../../wire/ipv6.ts'
import { groupMac } from '../../wire/mac.ts'
import { IPPROTO_TCP } from '../../wire/tcp.ts'
import { LOOPBACK_MTU, type Loopback } from '../link/loopback.ts'
import { NOWHERE, type NeighborTable, fixedNeighbor } from '../link/neighbor.ts'
import type { Nic } from '../link/nic.ts'
import type { NetCounters } from './counters.ts'
import type { PathMtu, PathMtus } from './path-mtu.ts'
import { defaultDiscovery, mayFragment, pathLimit } from './discovery.ts'
import { type DatagramPath, TO_LINK, TO_SELF } from './path.ts'

/** The largest packet that the link's own memory takes as one. */
const MAX_UNFRAGMENTED = 65535

/** What paths share: one stack's way out. */
export interface Ipv6Output {
  readonly nic: Nic
  readonly loopback: Loopback
  readonly neighbors: NeighborTable
  /** Another number: addresses or routes have changed. */
  readonly generation: number
  readonly pathMtus: PathMtus
  readonly counters: NetCounters
  /** Largest packet on the link: the nic's, or less where a router says so. */
  readonly mtu: number
  /** Of packets for which nobody says another. */
  readonly hopLimit: number
  /** A datagram that is cut into fragments, or thrown away, is built here. */
  readonly scratch: Uint8Array
  random(): number
  /** Is the address ours? */
  isLocal(address: Address): boolean
  /** Who gets packets for `dst` on the link; undefined: nobody. */
  hopFor(dst: Address): Address | undefined
}

export class Ipv6Path implements DatagramPath {
  readonly src: Address
  readonly dst: Address
  readonly headerLength = IPV6_HEADER_LEN
  bytes: Uint8Array
  private readonly output: Ipv6Output
  private readonly nic: Nic
  private readonly protocol: number
  /** TCP cuts its text to the path's mtu itself, or lets the link do it: what is larger is a mistake. */
  private readonly segments: boolean
  private readonly raw: boolean
  readonly isGroup: boolean
  readonly isBroadcast = false
  discover: number
  fragmentSize = 0
  copies = TO_LINK
  /** One for the path: nobody can foretell it, and routers keep its packets together (RFC 6437 section 3). */
  private readonly flowLabel: number
  private hop: Address | undefined
  private generation = -1
  private known: PathMtu
  private knownGeneration: number
  private readonly pseudo: number
  private neighbor = NOWHERE
  private at = 0
  private target: 'nic' | 'fragments' | 'self' | 'nowhere' = 'nowhere'

  /** `raw`: a raw socket's own, whose text is not trusted when it comes back to us, nor cut as TCP's. */
  constructor(output: Ipv6Output, src: Address, dst: Address, protocol: number, raw = false) {
    this.output = output
    this.nic = output.nic
    this.src = src
    this.dst = dst
    this.protocol = protocol
    this.segments = protocol === IPPROTO_TCP && !raw
    this.raw = raw
    this.isGroup = dst.isMulticast
    this.discover = defaultDiscovery(protocol)
    this.flowLabel = output.random() & 0xfffff
    this.pseudo = pseudoSum(src, dst, protocol)
    this.bytes = output.scratch
    this.known = output.pathMtus.find(dst)
    this.knownGeneration = output.pathMtus.generation
  }

  get mtu(): number {
    const { pathMtus } = this.output
    if (this.knownGeneration !== pathMtus.generation) {
      this.knownGeneration = pathMtus.generation
      this.known = pathMtus.find(this.dst)
    }
    return Math.min(this.output.mtu, this.known.mtu)
  }

  get maxDatagram(): number {
    if (mayFragment(this.discover)) return IPV6_MAX_DATAGRAM
    return this.segments && this.nic.offload ? MAX_UNFRAGMENTED : this.limit
  }

  /** What is larger is cut, or not sent. */
  private get limit(): number {
    const most = pathLimit(this.discover, this.mtu, this.output.mtu)
    return this.fragmentSize > 0 ? Math.min(most, this.fragmentSize) : most
  }

  open(length: number): number {
    const total = IPV6_HEADER_LEN + length
    if (this.generation !== this.output.generation) this.reroute()
    if (this.isGroup && (this.copies & TO_LINK) === 0) return this.openScratch(total, 'self')
    if (total > this.limit && !(this.segments && this.nic.offload))
      return this.openScratch(total, mayFragment(this.discover) ? 'fragments' : 'nowhere')
    if (!this.neighbor.ready && !this.resolve()) return this.openNowhere()
    const at = this.nic.open(this.neighbor, total)
    if (at < 0) return -1
    this.target = 'nic'
    this.bytes = this.nic.bytes
    this.at = at
    return at + IPV6_HEADER_LEN
  }

  close(
    length: number,
    gsoSize: number,
    checksumOffset: number,
    tos = 0,
    ttl = this.output.hopLimit,
  ): void {
    const total = IPV6_HEADER_LEN + length
    if (this.hop === undefined) {
      this.output.counters.noRoute++
      return
    }
    if (this.target === 'self') {
      if (this.raw && checksumOffset >= 0) this.sum(IPV6_HEADER_LEN, length, checksumOffset)
      return this.closeSelf(length, tos, ttl)
    }
    if (this.target === 'fragments') return this.closeFragments(length, checksumOffset, tos, ttl)
    // The mtu became smaller since the sender chose this length.
    if (this.target === 'nowhere' || (total > this.limit && gsoSize === 0)) {
      this.output.counters.tooBig++
      return
    }
    const { bytes, at, nic, protocol, src, dst, flowLabel } = this
    let checksumStart = 0
    if (checksumOffset >= 0) {
      // What comes back to us is looked at.
      if (nic.offload && !(this.raw && this.isGroup)) {
        checksumStart = ETHER_HEADER_LEN + IPV6_HEADER_LEN
        writeU16(bytes, at + IPV6_HEADER_LEN + checksumOffset, fold(this.pseudo + length))
      } else this.sum(at + IPV6_HEADER_LEN, length, checksumOffset)
    }
    emitIpv6(bytes, at, length, protocol, ttl, src, dst, tos, flowLabel)
    if (this.isGroup && (this.copies & TO_SELF) !== 0) this.loop(bytes, at, total)
    this.output.counters.packetsOut++
    const segmentSize = total > this.limit ? gsoSize : 0
    nic.close(this.neighbor, total, segmentSize, checksumStart, checksumOffset)
  }

  sendWhole(bytes: Uint8Array, at: number, length: number): boolean {
    const { output, nic } = this
    if (this.generation !== output.generation) this.reroute()
    const toSelf = this.isGroup && (this.copies & TO_SELF) !== 0
    const toLink = !this.isGroup || (this.copies & TO_LINK) !== 0
    if (toLink && !this.neighbor.ready && !this.resolve()) {
      output.counters.noRoute++
      return true
    }
    const to = toLink ? nic.open(this.neighbor, length) : 0
    if (to < 0) return false
    if (toSelf) this.loop(bytes, at, length)
    if (!toLink) return true
    copy(nic.bytes, to, bytes, at, length)
    output.counters.packetsOut++
    nic.close(this.neighbor, length, 0, 0, 0)
    return true
  }

  confirm(now: number): void {
    this.output.neighbors.confirm(this.neighbor, now)
  }

  /** Routes or addresses have changed since the last packet. */
  private reroute(): void {
    const { output, src, dst } = this
    this.generation = output.generation
    this.hop = output.isLocal(src) ? output.hopFor(dst) : undefined
    this.neighbor = NOWHERE
  }

  /** Looks the next hop's MAC up. False: there is no next hop. */
  private resolve(): boolean {
    const { hop } = this
    const { neighbors } = this.output
    if (hop === undefined) return false
    this.neighbor = hop.isMulticast
      ? fixedNeighbor(neighbors, hop, groupMac(hop))
      : neighbors.resolve(hop)
    return true
  }

  private openNowhere(): number {
    this.target = 'nowhere'
    this.bytes = this.output.scratch
    return IPV6_HEADER_LEN
  }

  private openScratch(total: number, target: 'fragments' | 'self' | 'nowhere'): number {
    if (total > IPV6_MAX_DATAGRAM)
      throw new RangeError(
        `Cannot open ${total} bytes: a datagram has at most ${IPV6_MAX_DATAGRAM}`,
      )
    this.target = target
    this.bytes = this.output.scratch
    return IPV6_HEADER_LEN
  }

  /** To nobody but ourselves: what lies in scratch. */
  private closeSelf(length: number, tos: number, ttl: number): void {
    const { scratch } = this.output
    emitIpv6(scratch, 0, length, this.protocol, ttl, this.src, this.dst, tos, this.flowLabel)
    this.loop(scratch, 0, IPV6_HEADER_LEN + length)
  }

  /** Back to ourselves too; lost when loopback is full, as it would be on the way to any other host. */
  private loop(bytes: Uint8Array, from: number, total: number): void {
    const { loopback, counters } = this.output
    const at = total > LOOPBACK_MTU ? -1 : loopback.open(total)
    if (at < 0) {
      counters.loopNoRoom++
      return
    }
    copy(loopback.bytes, at, bytes, from, total)
    loopback.close(total, 6, this.raw, true)
  }

  /** A sum of zero means in UDP that there is none, which IPv6 does not allow (RFC 8200 section 8.1). */
  private sum(at: number, length: number, checksumOffset: number): void {
    writeU16(this.bytes, at + checksumOffset, 0)
    const sum = finish(sumBytes(this.bytes, at, length, this.pseudo + length))
    writeU16(this.bytes, at + checksumOffset, sum === 0 ? 0xffff : sum)
  }

  /** RFC 8200 section 4.5: all but the last carry a multiple of eight bytes. */
  private closeFragments(length: number, checksumOffset: number, tos: number, ttl: number): void {
    const { nic, output, limit, src, dst, flowLabel } = this
    const { counters, scratch } = output
    if (checksumOffset >= 0) this.sum(IPV6_HEADER_LEN, length, checksumOffset)
    if (this.isGroup && (this.copies & TO_SELF) !== 0) this.closeSelf(length, tos, ttl)
    const id = output.random()
    const headers = IPV6_HEADER_LEN + IPV6_FRAGMENT_LEN
    const most = (limit - headers) & ~7
    for (let offset = 0; offset < length; offset += most) {
      const n = Math.min(most, length - offset)
      if (!this.neighbor.ready && !this.resolve()) {
        counters.noRoute++
        return
      }
      const at = nic.open(this.neighbor, headers + n)
      if (at < 0) {
        counters.fragmentNoRoom++
        return
      }
      const from = IPV6_HEADER_LEN + offset
      nic.bytes.set(scratch.subarray(from, from + n), at + headers)
      const payload = IPV6_FRAGMENT_LEN + n
      emitIpv6(nic.bytes, at, payload, IPPROTO_FRAGMENT, ttl, src, dst, tos, flowLabel)
      const more = offset + n < length
      emitFragment(nic.bytes, at + IPV6_HEADER_LEN, this.protocol, offset, more, id)
      counters.fragmentsOut++
      nic.close(this.neighbor, headers + n, 0, 0, 0)
    }
    counters.packetsOut++
  }
}
