// ICMP for IPv4 (RFC 792; RFC 1191 for the next hop's mtu).
import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'
import { checksum } from './checksum.ts'

export const ICMP_HEADER_LEN = 8

export const ICMP_ECHO_REPLY = 0
export const ICMP_DEST_UNREACHABLE = 3
export const ICMP_SOURCE_QUENCH = 4
export const ICMP_REDIRECT = 5
export const ICMP_ECHO = 8
export const ICMP_TIME_EXCEEDED = 11
export const ICMP_PARAMETER_PROBLEM = 12

/** Codes of destination unreachable. */
export const ICMP_NET_UNREACH = 0
export const ICMP_HOST_UNREACH = 1
export const ICMP_PROTOCOL_UNREACH = 2
export const ICMP_PORT_UNREACH = 3
export const ICMP_FRAG_NEEDED = 4

/** Codes of time exceeded. */
export const ICMP_TTL_EXCEEDED = 0
export const ICMP_REASSEMBLY_TIME_EXCEEDED = 1

/** An ICMP message where it lies. */
export class IcmpMessage {
  readonly bytes: Uint8Array
  readonly at: number
  readonly length: number

  constructor(bytes: Uint8Array, at: number, length: number) {
    this.bytes = bytes
    this.at = at
    this.length = length
  }

  /** The message at `at`; undefined if it is cut short or, where that is to be checked, its checksum wrong. */
  static parse(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksumValid = false,
  ): IcmpMessage | undefined {
    if (length < ICMP_HEADER_LEN) return
    if (!checksumValid && checksum(bytes, at, length) !== 0) return
    return new IcmpMessage(bytes, at, length)
  }

  get type(): number {
    return this.bytes[this.at]
  }
  get code(): number {
    return this.bytes[this.at + 1]
  }
  /** The second word: an echo's id and sequence number, or 0. */
  get rest(): number {
    return i32(this.bytes, this.at + 4)
  }
  /** Of fragmentation needed: the next hop's mtu; 0 from a router older than RFC 1191. */
  get nextHopMtu(): number {
    return u16(this.bytes, this.at + 6)
  }
  /** Where the quoted datagram, or an echo's data, begins. */
  get body(): number {
    return this.at + ICMP_HEADER_LEN
  }
  get bodyLength(): number {
    return this.length - ICMP_HEADER_LEN
  }
  /** An error about a datagram, which it quotes; no error may be sent about one (RFC 1122 section 3.2.2). */
  get isError(): boolean {
    return isIcmpError(this.type)
  }
}

export const isIcmpError = (type: number): boolean =>
  type === ICMP_DEST_UNREACHABLE ||
  type === ICMP_SOURCE_QUENCH ||
  type === ICMP_REDIRECT ||
  type === ICMP_TIME_EXCEEDED ||
  type === ICMP_PARAMETER_PROBLEM

/** Puts the header before the `length - ICMP_HEADER_LEN` bytes that lie at `at + ICMP_HEADER_LEN`, and sums it all. */
export function emitIcmp(
  bytes: Uint8Array,
  at: number,
  length: number,
  type: number,
  code: number,
  rest: number,
): void {
  bytes[at] = type
  bytes[at + 1] = code
  writeU16(bytes, at + 2, 0)
  writeU32(bytes, at + 4, rest)
  writeU16(bytes, at + 2, checksum(bytes, at, length))
}
