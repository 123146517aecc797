// IPv4 output to a group or to everybody: out of the link to a MAC that needs no question, and back to ourselves
// (RFC 1112 sections 6 and 7). The datagram is built in memory of ours, since it may have two places to go to.
import { copy, writeU16 } from '../../base/bytes.ts'
import type { Address } from '../../wire/address.ts'
import { finish, pseudoSumV4, sumBytes } from '../../wire/checksum.ts'
import { IPV4_DF, IPV4_HEADER_LEN, IPV4_MAX_DATAGRAM, emitIpv4 } from '../../wire/ipv4.ts'
import { BROADCAST_MAC, Mac } from '../../wire/mac.ts'
import type { Loopback } from '../link/loopback.ts'
import { type Neighbor, fixedNeighbor } from '../link/neighbor.ts'
import { defaultDiscovery, dontFragment, mayFragment } from './discovery.ts'
import { DEFAULT_TTL, type Ipv4Output, sendFragments } from './ipv4-path.ts'
import { type DatagramPath, TO_LINK, TO_SELF } from './path.ts'

export class Ipv4GroupPath implements DatagramPath {
  readonly src: Address
  readonly dst: Address
  readonly headerLength = IPV4_HEADER_LEN
  readonly bytes: Uint8Array
  readonly isGroup = true
  readonly isBroadcast: boolean
  discover: number
  fragmentSize = 0
  copies = TO_LINK | TO_SELF
  private readonly output: Ipv4Output
  private readonly loopback: Loopback
  private readonly protocol: number
  private readonly pseudo: number
  private readonly neighbor: Neighbor
  private readonly raw: boolean

  /** `raw`: a raw socket's own, whose text is not trusted when it comes back to us. */
  constructor(
    output: Ipv4Output,
    loopback: Loopback,
    src: Address,
    dst: Address,
    protocol: number,
    raw = false,
  ) {
    this.output = output
    this.raw = raw
    this.loopback = loopback
    this.src = src
    this.dst = dst
    this.protocol = protocol
    this.isBroadcast = !dst.isMulticast
    this.discover = defaultDiscovery(protocol)
    this.bytes = output.scratch
    this.pseudo = pseudoSumV4(src.d, dst.d, protocol)
    const mac = this.isBroadcast ? BROADCAST_MAC : groupMacV4(dst.d)
    this.neighbor = fixedNeighbor(output.arp.neighbors, dst, mac)
  }

  get mtu(): number {
    return this.output.nic.mtu
  }

  get maxDatagram(): number {
    return mayFragment(this.discover) ? IPV4_MAX_DATAGRAM : this.mtu
  }

  open(length: number): number {
    const { nic } = this.output
    const total = IPV4_HEADER_LEN + length
    if (total > IPV4_MAX_DATAGRAM)
      throw new RangeError(
        `Cannot open ${total} bytes: a datagram has at most ${IPV4_MAX_DATAGRAM}`,
      )
    // Opened to see whether there is room; close() does it again.
    if ((this.copies & TO_LINK) !== 0 && nic.open(this.neighbor, Math.min(total, this.mtu)) < 0)
      return -1
    return IPV4_HEADER_LEN
  }

  close(length: number, _gso: number, checksumOffset: number, tos = 0, ttl = DEFAULT_TTL): void {
    const { output, bytes, protocol, src, dst, neighbor, mtu } = this
    const { counters, nic } = output
    const total = IPV4_HEADER_LEN + length
    const fits = total <= mtu
    if (!fits && !mayFragment(this.discover)) {
      counters.tooBig++
      return
    }
    // Who still has this path may have lost the address.
    if (src.d !== 0 && !output.isLocal(src.d)) {
      counters.noRoute++
      return
    }
    if (checksumOffset >= 0) this.sum(length, checksumOffset)
    const flags = fits && dontFragment(this.discover) ? IPV4_DF : 0
    const id = flags !== 0 ? 0 : output.random() & 0xffff
    emitIpv4(bytes, 0, total, id, flags, ttl, protocol, src.d, dst.d, tos)
    if ((this.copies & TO_SELF) !== 0) this.loop(bytes, 0, total)
    if ((this.copies & TO_LINK) === 0) return
    if (!fits) return sendFragments(output, neighbor, src.d, dst.d, protocol, length, mtu, tos, ttl)
    const at = nic.open(neighbor, total)
    if (at < 0) {
      counters.fragmentNoRoom++
      return
    }
    copy(nic.bytes, at, bytes, 0, total)
    counters.packetsOut++
    nic.close(neighbor, total, 0, 0, 0)
  }

  sendWhole(bytes: Uint8Array, at: number, length: number): boolean {
    const { output, neighbor } = this
    const { nic, counters } = output
    const toLink = (this.copies & TO_LINK) !== 0
    const to = toLink ? nic.open(neighbor, length) : 0
    if (to < 0) return false
    if ((this.copies & TO_SELF) !== 0) this.loop(bytes, at, length)
    if (!toLink) return true
    copy(nic.bytes, to, bytes, at, length)
    counters.packetsOut++
    nic.close(neighbor, length, 0, 0, 0)
    return true
  }

  confirm(): void {
    // That one of a group hears us says nothing of the others.
  }

  /** Lost when loopback is full, as it would be on the way to any other host. */
  private loop(bytes: Uint8Array, from: number, total: number): void {
    const { loopback } = this
    const at = loopback.open(total)
    if (at < 0) {
      this.output.counters.loopNoRoom++
      return
    }
    copy(loopback.bytes, at, bytes, from, total)
    loopback.close(total, 4, this.raw, true)
  }

  private sum(length: number, checksumOffset: number): void {
    const at = IPV4_HEADER_LEN + checksumOffset
    writeU16(this.bytes, at, 0)
    const sum = finish(sumBytes(this.bytes, IPV4_HEADER_LEN, length, this.pseudo + length))
    writeU16(this.bytes, at, sum === 0 ? 0xffff : sum)
  }
}

/** RFC 1112 section 6.4: the group's last 23 bits. */
export const groupMacV4 = (group: number): Mac => new Mac(0x0100, 0x5e000000 | (group & 0x7fffff))
