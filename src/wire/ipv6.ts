// The IPv6 fixed header (RFC 8200 section 3).
import { u16, writeU16, writeU32 } from '../base/bytes.ts'
import type { Address } from './address.ts'

export const IPV6_HEADER_LEN = 40

export const IPV6_PAYLOAD_LENGTH = 4
export const IPV6_NEXT_HEADER = 6
export const IPV6_HOP_LIMIT = 7
export const IPV6_SRC = 8
export const IPV6_DST = 24

/** The packet at `at` is of version 6 and lies wholly within `length` bytes. */
export const isWholeIpv6 = (bytes: Uint8Array, at: number, length: number): boolean =>
  length >= IPV6_HEADER_LEN &&
  bytes[at] >>> 4 === 6 &&
  IPV6_HEADER_LEN + u16(bytes, at + IPV6_PAYLOAD_LENGTH) <= length

/** Writes a header at `at`. */
export function emitIpv6(
  bytes: Uint8Array,
  at: number,
  payloadLength: number,
  nextHeader: number,
  hopLimit: number,
  src: Address,
  dst: Address,
  trafficClass = 0,
  flowLabel = 0,
): void {
  writeU32(bytes, at, 0x60000000 | (trafficClass << 20) | flowLabel)
  writeU16(bytes, at + IPV6_PAYLOAD_LENGTH, payloadLength)
  bytes[at + IPV6_NEXT_HEADER] = nextHeader
  bytes[at + IPV6_HOP_LIMIT] = hopLimit
  src.write(bytes, at + IPV6_SRC)
  dst.write(bytes, at + IPV6_DST)
}
