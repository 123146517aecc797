// ICMPv6 (RFC 4443).
import { i32, writeU16, writeU32 } from '../base/bytes.ts'
import { finish, sumBytes } from './checksum.ts'
import { IPPROTO_ICMPV6, IPV6_SRC } from './ipv6.ts'

export const ICMPV6_HEADER_LEN = 8
/** Where the checksum lies in the message. */
export const ICMPV6_CHECKSUM_OFFSET = 2

export const ICMPV6_DEST_UNREACHABLE = 1
export const ICMPV6_PACKET_TOO_BIG = 2
export const ICMPV6_TIME_EXCEEDED = 3
export const ICMPV6_PARAMETER_PROBLEM = 4
export const ICMPV6_ECHO_REQUEST = 128
export const ICMPV6_ECHO_REPLY = 129
export const MLD_QUERY = 130
export const MLD_REPORT = 131
export const MLD_DONE = 132
export const ND_ROUTER_SOLICIT = 133
export const ND_ROUTER_ADVERT = 134
export const ND_NEIGHBOR_SOLICIT = 135
export const ND_NEIGHBOR_ADVERT = 136
export const ND_REDIRECT = 137
export const MLDV2_REPORT = 143

/** Codes of destination unreachable. */
export const ICMPV6_NO_ROUTE = 0
export const ICMPV6_ADM_PROHIBITED = 1
export const ICMPV6_BEYOND_SCOPE = 2
export const ICMPV6_ADDR_UNREACH = 3
export const ICMPV6_PORT_UNREACH = 4
export const ICMPV6_POLICY_FAIL = 5
export const ICMPV6_REJECT_ROUTE = 6

/** Codes of time exceeded. */
export const ICMPV6_HOP_LIMIT_EXCEEDED = 0
export const ICMPV6_REASSEMBLY_TIME_EXCEEDED = 1

/** An ICMPv6 message where it lies. */
export class Icmpv6Message {
  readonly bytes: Uint8Array
  readonly at: number
  readonly length: number

  constructor(bytes: Uint8Array, at: number, length: number) {
    this.bytes = bytes
    this.at = at
    this.length = length
  }

  /**
   * The message at `at` of the packet whose header is at `ip`; undefined if it is cut short or, where that is to be
   * checked, its checksum wrong. Messages of four bytes there are none.
   */
  static parse(
    bytes: Uint8Array,
    ip: number,
    at: number,
    length: number,
    checksumValid = false,
  ): Icmpv6Message | undefined {
    if (length < ICMPV6_HEADER_LEN) return
    if (!checksumValid && icmpv6Checksum(bytes, ip, at, length) !== 0) return
    return new Icmpv6Message(bytes, at, length)
  }

  get type(): number {
    return this.bytes[this.at]
  }
  get code(): number {
    return this.bytes[this.at + 1]
  }
  /** The second word: an echo's id and sequence number, an mtu, a pointer, flags. */
  get rest(): number {
    return i32(this.bytes, this.at + 4)
  }
  /** Where the quoted packet, or an echo's data, begins. */
  get body(): number {
    return this.at + ICMPV6_HEADER_LEN
  }
  get bodyLength(): number {
    return this.length - ICMPV6_HEADER_LEN
  }
  /** Types below 128 are errors (section 2.1); no error may be sent about one. */
  get isError(): boolean {
    return isIcmpv6Error(this.type)
  }
}

export const isIcmpv6Error = (type: number): boolean => type < 128

/** Sum of the pseudo-header (RFC 8200 section 8.1) of the packet at `ip` for `length` bytes of `protocol`. */
export const pseudoSumAt = (
  bytes: Uint8Array,
  ip: number,
  protocol: number,
  length: number,
): number => sumBytes(bytes, ip + IPV6_SRC, 32, protocol + length)

/** What goes into the checksum field, if it is zero; 0 if it holds the right one. */
export const icmpv6Checksum = (bytes: Uint8Array, ip: number, at: number, length: number): number =>
  finish(sumBytes(bytes, at, length, pseudoSumAt(bytes, ip, IPPROTO_ICMPV6, length)))

/** Writes the head of a message; its checksum, 0 here, is the path's or sumIcmpv6()'s. */
export function emitIcmpv6(
  bytes: Uint8Array,
  at: number,
  type: number,
  code: number,
  rest: number,
): void {
  bytes[at] = type
  bytes[at + 1] = code
  writeU16(bytes, at + ICMPV6_CHECKSUM_OFFSET, 0)
  writeU32(bytes, at + 4, rest)
}

/** Completes the message at `at`, the last of all, of the packet at `ip`. */
export function sumIcmpv6(bytes: Uint8Array, ip: number, at: number, length: number): void {
  writeU16(bytes, at + ICMPV6_CHECKSUM_OFFSET, 0)
  writeU16(bytes, at + ICMPV6_CHECKSUM_OFFSET, icmpv6Checksum(bytes, ip, at, length))
}
