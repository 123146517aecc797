// The IPv6 fixed header and the fragment header (RFC 8200 sections 3 and 4.5). What stands between them and the
// transport header is walked in ipv6-extensions.ts.
import { u16, u32, writeU16, writeU32 } from '../base/bytes.ts'
import type { Address } from './address.ts'

export const IPV6_HEADER_LEN = 40
export const IPV6_FRAGMENT_LEN = 8
/** Every link carries at least this (RFC 8200 section 5). */
export const IPV6_MIN_MTU = 1280
/** The largest datagram, header included: payloadLength has 16 bits. */
export const IPV6_MAX_DATAGRAM = IPV6_HEADER_LEN + 65535

export const IPV6_PAYLOAD_LENGTH = 4
export const IPV6_NEXT_HEADER = 6
export const IPV6_HOP_LIMIT = 7
export const IPV6_SRC = 8
export const IPV6_DST = 24

/** Bits of the word at offset 2 of a fragment header; above them the offset, in bytes. */
export const IPV6_MF = 1
export const IPV6_OFFSET_MASK = 0xfff8

export const IPPROTO_HOPOPTS = 0
export const IPPROTO_ROUTING = 43
export const IPPROTO_FRAGMENT = 44
export const IPPROTO_ICMPV6 = 58
export const IPPROTO_NONE = 59
export const IPPROTO_DSTOPTS = 60

/** The packet at `at` is of version 6 and lies wholly within `length` bytes. */
export const isWholeIpv6 = (bytes: Uint8Array, at: number, length: number): boolean =>
  length >= IPV6_HEADER_LEN &&
  bytes[at] >>> 4 === 6 &&
  IPV6_HEADER_LEN + u16(bytes, at + IPV6_PAYLOAD_LENGTH) <= length

export const trafficClassAt = (bytes: Uint8Array, at: number): number =>
  (u16(bytes, at) >>> 4) & 0xff

export const flowLabelAt = (bytes: Uint8Array, at: number): number => u32(bytes, at) & 0xfffff

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

/** Writes a fragment header. `offset` in bytes, a multiple of eight. */
export function emitFragment(
  bytes: Uint8Array,
  at: number,
  nextHeader: number,
  offset: number,
  more: boolean,
  id: number,
): void {
  bytes[at] = nextHeader
  bytes[at + 1] = 0
  writeU16(bytes, at + 2, offset | (more ? IPV6_MF : 0))
  writeU32(bytes, at + 4, id)
}
