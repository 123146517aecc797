// A packet endpoint: what a packet socket is to the stack (packet(7)).
import type { Subject } from '../filter/machine.ts'
import type { Program } from '../filter/program.ts'

/** Everything, also what goes out. */
export const ETH_P_ALL = 0x0003
/** IEEE 802.3 with a length in place of a type: Novell's, and with an LLC header. */
export const ETH_P_802_3 = 0x0001
export const ETH_P_802_2 = 0x0004

/** sll_pkttype: whom a frame is for, or that we sent it. */
export const PACKET_HOST = 0
export const PACKET_BROADCAST = 1
export const PACKET_MULTICAST = 2
export const PACKET_OTHERHOST = 3
export const PACKET_OUTGOING = 4

/** Who has a packet endpoint. */
export interface PacketUser {
  /**
   * A frame, of which the first `wanted` bytes from frame.at on are to be copied now. It is as the wire would have it: rows of
   * segments are cut, checksums done. Endpoints may not come or go meanwhile.
   */
  arrives(frame: SeenFrame, wanted: number): void
  /** The interface that it is bound to was set down. */
  down(): void
  /** What says which frames it wants, and how much of them; undefined: all. */
  readonly program: Program | undefined
}

/** `at`: where a frame begins for the endpoint, with its link header or behind it. One object serves for all. */
export interface SeenFrame extends Subject {
  /** Where the link header is whose source tells who sent it. */
  link: number
}

export class PacketEndpoint {
  readonly user: PacketUser
  /** Without link headers, on the way in and out (SOCK_DGRAM). */
  readonly cooked: boolean
  /** An ethertype, or ETH_P_*; 0: it hears nothing. */
  protocol: number
  /** The interface that it is bound to; 0: any. */
  device = 0
  ignoresOutgoing = false

  constructor(user: PacketUser, cooked: boolean, protocol: number) {
    this.user = user
    this.cooked = cooked
    this.protocol = protocol
  }

  wants(frame: SeenFrame): boolean {
    if (this.device !== 0 && this.device !== frame.device) return false
    if (this.protocol === ETH_P_ALL) return frame.type !== PACKET_OUTGOING || !this.ignoresOutgoing
    return this.protocol === frame.ethertype && frame.type !== PACKET_OUTGOING
  }
}
