import type { Packet } from '../../net/path.ts'
import type { Unreachable } from '../../net/protocol.ts'
import type { RawEndpoint } from './endpoint.ts'

/** Who has a raw endpoint. */
export interface RawUser {
  /**
   * A datagram: `length` bytes at `at` in packet.bytes, of IPv4 with its header, of IPv6 without. They are to be copied now.
   * False: no room. Endpoints may not come or go meanwhile.
   */
  arrives(endpoint: RawEndpoint, packet: Packet, at: number, length: number, now: number): boolean
  /** As UdpUser.failed(). */
  failed(endpoint: RawEndpoint, error: Unreachable, now: number): void
}
