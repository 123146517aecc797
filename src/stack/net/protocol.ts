import type { Address } from '../../wire/address.ts'
import type { Packet } from './path.ts'

/** What is above IP: registered with `ip.protocols.set(IPPROTO_TCP, tcp)`. */
export interface Protocol {
  /** Datagrams to groups and to everybody are wanted too. */
  readonly takesGroups?: boolean
  /** A whole datagram for one of our addresses. `packet` is used again when the call returns. */
  arrives(packet: Packet, now: number): void
  /**
   * A datagram of ours did not get there: an ICMP message says so, or the link cannot find the next hop. Whether there is
   * reason to believe that the quoted datagram was ours (RFC 5927): only then a path MTU is learnt from it.
   */
  unreachable(error: Unreachable, now: number): boolean
}

/**
 * Why a datagram did not arrive, and which: as the error quotes it. From the network it may be forged; RFC 5927
 * says what to check before believing it.
 */
export interface Unreachable {
  /** What Linux would tell the program: EHOSTUNREACH, ECONNREFUSED, EMSGSIZE… (positive). */
  readonly errno: number
  /** A hard error by RFC 1122 section 4.2.3.9: trying again is no use. */
  readonly hard: boolean
  /** ICMP type and code; also where the error is our own link's (then host unreachable). */
  readonly type: number
  readonly code: number
  /** Fragmentation needed: what fits, at least 552 (Linux's min_pmtu). Else 0. */
  readonly mtu: number
  /** The quoted datagram's: src is ours. */
  readonly src: Address
  readonly dst: Address
  readonly srcPort: number
  readonly dstPort: number
  /** The quoted third word, TCP's sequence number, signed. */
  readonly seq: number
  /** Who says so: a router, the destination, or we ourselves. */
  readonly from: Address
  /** The time to live (hop limit) that the message had left; -1: there was none, we ourselves know it. */
  readonly ttl: number
  /** What it quotes, from the transport header at `transport` up to `end`; to be copied now. */
  readonly bytes: Uint8Array
  readonly transport: number
  readonly end: number
  /** Where in bytes the quoted IP header is. */
  readonly ip: number
  /** The message's other word: the mtu as it was said, the pointer of a parameter problem. */
  readonly info: number
}

/** Who hears all datagrams of some protocols, beside those that they are for: raw sockets of one family. */
export interface Listener {
  /** How many listen, by protocol number: what a datagram that nobody listens to costs is one look. */
  readonly counts: Int32Array
  /** True: it was for somebody, so the protocol is one that this host has. */
  arrives(packet: Packet, protocol: number, now: number): boolean
  /** As Protocol.unreachable(), for all who listen to `protocol`. */
  unreachable(error: Unreachable, protocol: number, now: number): boolean
}

/** Who sends echo requests, and wants the replies: ping sockets of one family. */
export interface Pinger {
  /** True: somebody waited for it. */
  replied(packet: Packet, now: number): boolean
  unreachable(error: Unreachable, now: number): boolean
}

export const NO_LISTENER: Listener = {
  counts: new Int32Array(256),
  arrives: () => false,
  unreachable: () => false,
}

export const NO_PINGER: Pinger = {
  replied: () => false,
  unreachable: () => false,
}
