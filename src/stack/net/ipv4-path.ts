// IPv4 output: a datagram built in the frame that it leaves in.
import { copy, writeU16 } from '../../base/bytes.ts'
import type { Address } from '../../wire/address.ts'
import { finish, fold, pseudoSumV4, sumBytes } from '../../wire/checksum.ts'
import { ETHER_HEADER_LEN } from '../../wire/ethernet.ts'
import {
  IPPROTO_TCP,
  IPV4_DF,
  IPV4_HEADER_LEN,
  IPV4_MAX_DATAGRAM,
  IPV4_MF,
  emitIpv4,
} from '../../wire/ipv4.ts'
import type { Arp } from '../link/arp.ts'
import { NOWHERE, type Neighbor } from '../link/neighbor.ts'
import type { Nic } from '../link/nic.ts'
import type { NetCounters } from './counters.ts'
import { defaultDiscovery, dontFragment, mayFragment, pathLimit } from './discovery.ts'
import type { PathMtu, PathMtus } from './path-mtu.ts'
import { type DatagramPath, TO_LINK } from './path.ts'

export const DEFAULT_TTL = 64

/** What paths share: one stack's way out. */
export interface Ipv4Output {
  readonly nic: Nic
  readonly arp: Arp
  /** Another number: addresses or routes have changed. */
  readonly generation: number
  readonly pathMtus: PathMtus
  readonly counters: NetCounters
  /** A datagram that is cut into fragments, or thrown away, is built here. */
  readonly scratch: Uint8Array
  random(): number
  /** Is the address ours? */
  isLocal(word: number): boolean
  /** Who gets packets for `dst` on the link; undefined: nobody. */
  hopFor(dst: Address): Address | undefined
}

export class Ipv4Path implements DatagramPath {
  readonly src: Address
  readonly dst: Address
  readonly headerLength = IPV4_HEADER_LEN
  bytes: Uint8Array
  private readonly output: Ipv4Output
  private readonly nic: Nic
  private readonly protocol: number
  /** TCP cuts its text to the path's mtu itself, or lets the link do it: its datagrams are never fragmented (RFC 1191). */
  private readonly segments: boolean
  discover: number
  fragmentSize = 0
  copies = TO_LINK
  readonly isGroup = false
  readonly isBroadcast = false
  private hop: Address | undefined
  private generation = -1
  private known: PathMtu
  private knownGeneration: number
  private readonly pseudo: number
  private neighbor = NOWHERE
  private at = 0
  private target: 'nic' | 'fragments' | 'nowhere' = 'nowhere'

  /** `raw`: a raw socket's own, which is cut like any other even where it carries TCP. */
  constructor(output: Ipv4Output, src: Address, dst: Address, protocol: number, raw = false) {
    this.output = output
    this.nic = output.nic
    this.src = src
    this.dst = dst
    this.protocol = protocol
    this.segments = protocol === IPPROTO_TCP && !raw
    this.discover = defaultDiscovery(protocol)
    this.pseudo = pseudoSumV4(src.d, dst.d, protocol)
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
    return Math.min(this.nic.mtu, this.known.mtu)
  }

  get maxDatagram(): number {
    if (this.segments && this.nic.offload) return IPV4_MAX_DATAGRAM
    return mayFragment(this.discover) ? IPV4_MAX_DATAGRAM : this.limit
  }

  /** What is larger is cut, or not sent. */
  private get limit(): number {
    return pathLimit(this.discover, this.mtu, this.nic.mtu)
  }

  open(length: number): number {
    const total = IPV4_HEADER_LEN + length
    if (this.generation !== this.output.generation) this.reroute()
    if (total > this.limit && !(this.segments && this.nic.offload)) return this.openScratch(total)
    if (!this.neighbor.ready && !this.resolve()) return this.openNowhere()
    const at = this.nic.open(this.neighbor, total)
    if (at < 0) return -1
    this.target = 'nic'
    this.bytes = this.nic.bytes
    this.at = at
    return at + IPV4_HEADER_LEN
  }

  close(length: number, gsoSize: number, checksumOffset: number, tos = 0, ttl = DEFAULT_TTL): void {
    const total = IPV4_HEADER_LEN + length
    if (this.target === 'fragments') return this.closeFragments(length, checksumOffset, tos, ttl)
    if (this.hop === undefined) {
      this.output.counters.noRoute++
      return
    }
    // The mtu became smaller since the sender chose this length.
    if (this.target === 'nowhere' || (total > this.limit && gsoSize === 0)) {
      this.output.counters.tooBig++
      return
    }
    const { bytes, at, nic } = this
    let checksumStart = 0
    if (checksumOffset >= 0) {
      if (nic.offload) {
        checksumStart = ETHER_HEADER_LEN + IPV4_HEADER_LEN
        writeU16(bytes, at + IPV4_HEADER_LEN + checksumOffset, fold(this.pseudo + length))
      } else this.sum(at + IPV4_HEADER_LEN, length, checksumOffset)
    }
    const flags = dontFragment(this.discover) ? IPV4_DF : 0
    // The id means something only where there may be fragments (RFC 6864 section 4.1).
    const id = flags !== 0 ? 0 : this.output.random() & 0xffff
    emitIpv4(bytes, at, total, id, flags, ttl, this.protocol, this.src.d, this.dst.d, tos)
    this.output.counters.packetsOut++
    nic.close(this.neighbor, total, total > this.limit ? gsoSize : 0, checksumStart, checksumOffset)
  }

  sendWhole(bytes: Uint8Array, at: number, length: number): boolean {
    const { output, nic } = this
    if (this.generation !== output.generation) this.reroute()
    if (!this.neighbor.ready && !this.resolve()) {
      output.counters.noRoute++
      return true
    }
    const to = nic.open(this.neighbor, length)
    if (to < 0) return false
    copy(nic.bytes, to, bytes, at, length)
    output.counters.packetsOut++
    nic.close(this.neighbor, length, 0, 0, 0)
    return true
  }

  confirm(now: number): void {
    this.output.arp.neighbors.confirm(this.neighbor, now)
  }

  /** Routes or addresses have changed since the last packet. */
  private reroute(): void {
    const { output, src, dst } = this
    this.generation = output.generation
    this.hop = output.isLocal(src.d) ? output.hopFor(dst) : undefined
    this.neighbor = NOWHERE
  }

  /** Looks the next hop's MAC up. False: there is no next hop. */
  private resolve(): boolean {
    if (this.hop === undefined) return false
    this.neighbor = this.output.arp.neighbors.resolve(this.hop)
    return true
  }

  private openNowhere(): number {
    this.target = 'nowhere'
    this.bytes = this.output.scratch
    return IPV4_HEADER_LEN
  }

  private openScratch(total: number): number {
    if (total > IPV4_MAX_DATAGRAM)
      throw new RangeError(
        `Cannot open ${total} bytes: a datagram has at most ${IPV4_MAX_DATAGRAM}`,
      )
    this.target = mayFragment(this.discover) ? 'fragments' : 'nowhere'
    this.bytes = this.output.scratch
    return IPV4_HEADER_LEN
  }

  /** A sum of zero says in UDP that there is none (RFC 768). */
  private sum(at: number, length: number, checksumOffset: number): void {
    writeU16(this.bytes, at + checksumOffset, 0)
    const sum = finish(sumBytes(this.bytes, at, length, this.pseudo + length))
    writeU16(this.bytes, at + checksumOffset, sum === 0 && !this.segments ? 0xffff : sum)
  }

  private closeFragments(length: number, checksumOffset: number, tos: number, ttl: number): void {
    const { output, protocol, src, dst } = this
    if (checksumOffset >= 0) this.sum(IPV4_HEADER_LEN, length, checksumOffset)
    if (!this.neighbor.ready && !this.resolve()) output.counters.noRoute++
    else sendFragments(output, this.neighbor, src.d, dst.d, protocol, length, this.limit, tos, ttl)
  }
}

/**
 * Sends the `length` bytes that lie behind the place for a header in `scratch`, in packets of at most `mtu` (RFC 791
 * "Fragmentation"): all but the last carry a multiple of eight bytes.
 */
export function sendFragments(
  output: Ipv4Output,
  neighbor: Neighbor,
  src: number,
  dst: number,
  protocol: number,
  length: number,
  mtu: number,
  tos: number,
  ttl: number,
): void {
  const { nic, counters, scratch } = output
  const id = output.random() & 0xffff
  const most = (mtu - IPV4_HEADER_LEN) & ~7
  for (let offset = 0; offset < length; offset += most) {
    const n = Math.min(most, length - offset)
    const at = nic.open(neighbor, IPV4_HEADER_LEN + n)
    if (at < 0) {
      counters.fragmentNoRoom++
      return
    }
    copy(nic.bytes, at + IPV4_HEADER_LEN, scratch, IPV4_HEADER_LEN + offset, n)
    const word = (offset + n < length ? IPV4_MF : 0) | (offset >> 3)
    const total = IPV4_HEADER_LEN + n
    emitIpv4(nic.bytes, at, total, id, word, ttl, protocol, src, dst, tos)
    counters.fragmentsOut++
    nic.close(neighbor, total, 0, 0, 0)
  }
  counters.packetsOut++
}
