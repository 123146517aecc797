// IPv6 within the stack: ::1 and our own addresses, over loopback. On the link IPv6 is not spoken; nic.ts counts it.
import { EADDRNOTAVAIL, ENETUNREACH } from '../../base/errno.ts'
import { u16 } from '../../base/bytes.ts'
import { LOOPBACK_V6 } from '../../wire/address.ts'
import type { Address } from '../../wire/address.ts'
import {
  IPV6_HEADER_LEN,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  isWholeIpv6,
} from '../../wire/ipv6.ts'
import { Addresses } from './addresses.ts'
import type { Loopback } from '../link/loopback.ts'
import type { NetCounters } from './counters.ts'
import { LoopbackPath } from './loopback-path.ts'
import { ArrivedPacket } from './packet.ts'
import { PathCache } from './path-cache.ts'
import type { Path } from './path.ts'
import type { Protocol } from './protocol.ts'
import { RouteTable } from './route.ts'

export class Ipv6 {
  readonly addresses = new Addresses()
  readonly routes = new RouteTable()
  readonly protocols = new Map<number, Protocol>()
  private readonly loopback: Loopback
  private readonly counters: NetCounters
  private readonly paths = new PathCache()
  private readonly packet = new ArrivedPacket()

  constructor(loopback: Loopback, counters: NetCounters) {
    this.loopback = loopback
    this.counters = counters
    this.packet.family = 6
  }

  /** ::1, or an address that the stack was given. */
  isLocal(address: Address): boolean {
    return address.equals(LOOPBACK_V6) || this.addresses.has(address)
  }

  sourceFor(dst: Address): Address | number {
    return this.isLocal(dst) ? dst : -ENETUNREACH
  }

  /** As Ipv4.path(); every path is within the stack. */
  path(src: Address, dst: Address, protocol: number): Path | number {
    if (!this.isLocal(dst)) return -ENETUNREACH
    const from = src.isUnspecified ? dst : src
    this.paths.keepTo(this.addresses.generation)
    const known = this.paths.find(from, dst, protocol)
    if (known !== undefined) return known
    if (!this.isLocal(from)) return -EADDRNOTAVAIL
    const path = new LoopbackPath(this.loopback, from, dst, protocol)
    this.paths.keep(path, protocol)
    return path
  }

  /** A datagram that we sent to ourselves: no extension headers, and nobody to tell of an unknown protocol. */
  loops(bytes: Uint8Array, at: number, length: number, now: number): void {
    const { counters, packet } = this
    counters.packetsIn++
    if (!isWholeIpv6(bytes, at, length)) {
      counters.badHeader++
      return
    }
    const protocol = this.protocols.get(bytes[at + IPV6_NEXT_HEADER])
    if (protocol === undefined) {
      counters.noProtocol++
      return
    }
    packet.bytes = bytes
    packet.ip = at
    packet.transport = at + IPV6_HEADER_LEN
    packet.length = u16(bytes, at + IPV6_PAYLOAD_LENGTH)
    packet.checksumValid = true
    packet.loopback = true
    protocol.arrives(packet, now)
  }
}
