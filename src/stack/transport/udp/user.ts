import type { Packet } from '../../net/path.ts'
import type { Unreachable } from '../../net/protocol.ts'
import type { Endpoint } from './endpoint.ts'

/** Who has an endpoint: a datagram socket's ring, the DHCP client. */
export interface UdpUser {
  /**
   * A datagram for this endpoint: `length` bytes of text at `at` in packet.bytes. They are to be copied now: packet and
   * bytes are used again. False: no room. Endpoints may not come or go meanwhile.
   */
  arrives(
    endpoint: Endpoint,
    packet: Packet,
    srcPort: number,
    at: number,
    length: number,
    now: number,
  ): boolean
  /**
   * A datagram of this endpoint's did not get there: its pending error is error.errno. Told if it is a hard error and the
   * endpoint connected (RFC 1122 section 4.1.3.3 as Linux reads it), or with IP_RECVERR always.
   */
  failed(endpoint: Endpoint, error: Unreachable, now: number): void
}
