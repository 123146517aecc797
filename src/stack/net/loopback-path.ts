import { copy, writeU16 } from '../../base/bytes.ts'
import type { Address } from '../../wire/address.ts'
import { IPPROTO_TCP, IPV4_DF, IPV4_HEADER_LEN, emitIpv4 } from '../../wire/ipv4.ts'
import { finish, pseudoSumV4, sumBytes } from '../../wire/checksum.ts'
import { pseudoSumAt } from '../../wire/icmpv6.ts'
import { IPPROTO_ICMPV6, IPV6_HEADER_LEN, emitIpv6 } from '../../wire/ipv6.ts'
import { LOOPBACK_MTU } from '../link/loopback.ts'
import type { Loopback } from '../link/loopback.ts'
import { type DatagramPath, PMTUDISC_WANT, TO_SELF } from './path.ts'

const DEFAULT_TTL = 64

/** From the stack to itself or a group on its loopback, IPv4 or IPv6: no neighbor, no fragments, and nobody looks at checksums. */
export class LoopbackPath implements DatagramPath {
  readonly src: Address
  readonly dst: Address
  readonly mtu = LOOPBACK_MTU
  readonly maxDatagram = LOOPBACK_MTU
  readonly headerLength: number
  readonly bytes: Uint8Array
  discover = PMTUDISC_WANT
  fragmentSize = 0
  copies = TO_SELF
  readonly isGroup: boolean
  readonly isBroadcast = false
  private readonly loopback: Loopback
  private readonly protocol: number
  private readonly raw: boolean
  private at = 0

  /** `raw`: a raw socket's own; what it carries is not trusted when it comes back. */
  constructor(loopback: Loopback, src: Address, dst: Address, protocol: number, raw = false) {
    this.loopback = loopback
    this.raw = raw
    this.src = src
    this.dst = dst
    this.isGroup = dst.isMulticast
    this.protocol = protocol
    this.headerLength = src.isV4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN
    this.bytes = loopback.bytes
  }

  open(length: number): number {
    if (this.headerLength + length > LOOPBACK_MTU)
      throw new RangeError(`Cannot open ${length} bytes: a datagram has at most ${LOOPBACK_MTU}`)
    this.at = this.loopback.open(this.headerLength + length)
    return this.at < 0 ? -1 : this.at + this.headerLength
  }

  close(length: number, _gsoSize = 0, checksumOffset = -1, tos = 0, ttl = DEFAULT_TTL): void {
    const { bytes, at, src, dst, protocol, headerLength } = this
    if (headerLength === IPV4_HEADER_LEN)
      emitIpv4(bytes, at, headerLength + length, 0, IPV4_DF, ttl, protocol, src.d, dst.d, tos)
    else emitIpv6(bytes, at, length, protocol, ttl, src, dst, tos)
    // Nobody checks what others than raw sockets send, but those see it, and who watches the interface.
    if (checksumOffset >= 0) {
      if (this.loopback.watcher !== undefined) this.sum(length, checksumOffset)
      else if (headerLength === IPV6_HEADER_LEN && (this.raw || protocol === IPPROTO_ICMPV6))
        this.sum(length, checksumOffset)
    }
    this.loopback.close(headerLength + length, headerLength === IPV4_HEADER_LEN ? 4 : 6, this.raw)
  }

  sendWhole(bytes: Uint8Array, from: number, length: number): boolean {
    const at = this.loopback.open(length)
    if (at < 0) return false
    copy(this.bytes, at, bytes, from, length)
    this.loopback.close(length, this.headerLength === IPV4_HEADER_LEN ? 4 : 6, true)
    return true
  }

  confirm(): void {
    // Nobody is nearer than oneself.
  }

  /** The checksum of the upper layer (RFC 8200 section 8.1); zero would mean in UDP that there is none (RFC 768). */
  private sum(length: number, checksumOffset: number): void {
    const { bytes, at, src, dst, protocol, headerLength } = this
    const text = at + headerLength
    const pseudo =
      headerLength === IPV4_HEADER_LEN
        ? pseudoSumV4(src.d, dst.d, protocol) + length
        : pseudoSumAt(bytes, at, protocol, length)
    writeU16(bytes, text + checksumOffset, 0)
    const sum = finish(sumBytes(bytes, text, length, pseudo))
    writeU16(bytes, text + checksumOffset, sum === 0 && protocol !== IPPROTO_TCP ? 0xffff : sum)
  }
}
