// The UDP header (RFC 768). Fields are read where they lie; there is no object per datagram.
import { u16, writeU16, writeU32 } from '../base/bytes.ts'

export const UDP_HEADER_LEN = 8
/** Where the checksum lies in the header. */
export const UDP_CHECKSUM_OFFSET = 6

export const srcPort = (b: Uint8Array, at: number): number => u16(b, at)
export const dstPort = (b: Uint8Array, at: number): number => u16(b, at + 2)
/** Header and text, as the header says. */
export const udpLength = (b: Uint8Array, at: number): number => u16(b, at + 4)
/** 0: the sender computed none (IPv4 only, RFC 768). */
export const udpChecksum = (b: Uint8Array, at: number): number => u16(b, at + UDP_CHECKSUM_OFFSET)

/**
 * Is there a whole datagram at `at` in an IP payload of `length` bytes? It may be shorter than that (RFC 768 says nothing
 * of what lies behind it), not longer. A length of 0, which a jumbogram has (RFC 2675), is none.
 */
export function isWhole(b: Uint8Array, at: number, length: number): boolean {
  if (length < UDP_HEADER_LEN) return false
  const said = udpLength(b, at)
  return said >= UDP_HEADER_LEN && said <= length
}

/** Writes a header without its checksum, which the path adds; `length` counts the header. */
export function writeHeader(
  b: Uint8Array,
  at: number,
  srcPort: number,
  dstPort: number,
  length: number,
): void {
  writeU16(b, at, srcPort)
  writeU16(b, at + 2, dstPort)
  writeU32(b, at + 4, length << 16)
}
