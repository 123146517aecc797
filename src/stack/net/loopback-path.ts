import type { Address } from '../../wire/address.ts'
import { IPV4_DF, IPV4_HEADER_LEN, emitIpv4 } from '../../wire/ipv4.ts'
import { IPV6_HEADER_LEN, emitIpv6 } from '../../wire/ipv6.ts'
import { LOOPBACK_MTU } from '../link/loopback.ts'
import type { Loopback } from '../link/loopback.ts'
import { type DatagramPath, PMTUDISC_WANT, TO_SELF } from './path.ts'

const DEFAULT_TTL = 64

/** From the stack to itself, IPv4 or IPv6: no neighbor, no checksum, no fragments. */
export class LoopbackPath implements DatagramPath {
  readonly src: Address
  readonly dst: Address
  readonly mtu = LOOPBACK_MTU
  readonly maxDatagram = LOOPBACK_MTU
  readonly headerLength: number
  readonly bytes: Uint8Array
  discover = PMTUDISC_WANT
  copies = TO_SELF
  readonly isGroup = false
  readonly isBroadcast = false
  private readonly loopback: Loopback
  private readonly protocol: number
  private at = 0

  constructor(loopback: Loopback, src: Address, dst: Address, protocol: number) {
    this.loopback = loopback
    this.src = src
    this.dst = dst
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

  close(length: number, _gsoSize = 0, _checksumOffset = -1, tos = 0, ttl = DEFAULT_TTL): void {
    const { bytes, at, src, dst, protocol, headerLength } = this
    if (headerLength === IPV4_HEADER_LEN)
      emitIpv4(bytes, at, headerLength + length, 0, IPV4_DF, ttl, protocol, src.d, dst.d, tos)
    else emitIpv6(bytes, at, length, protocol, ttl, src, dst, tos)
    this.loopback.close(headerLength + length, headerLength === IPV4_HEADER_LEN ? 4 : 6)
  }

  confirm(): void {
    // Nobody is nearer than oneself.
  }
}
