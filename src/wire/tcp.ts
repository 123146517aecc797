// The TCP header (RFC 9293 section 3.1). Fields are read where they lie; there is no object per segment.
import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'

export const IPPROTO_TCP = 6
export const TCP_HEADER_LENGTH = 20

export const FIN = 0x01
export const SYN = 0x02
export const RST = 0x04
export const PSH = 0x08
export const ACK = 0x10
export const URG = 0x20
export const ECE = 0x40
export const CWR = 0x80

/** Where the checksum lies in the header. */
export const TCP_CHECKSUM_OFFSET = 16
export const TCP_URGENT_OFFSET = 18

export const srcPort = (b: Uint8Array, at: number): number => u16(b, at)
export const dstPort = (b: Uint8Array, at: number): number => u16(b, at + 2)
export const sequence = (b: Uint8Array, at: number): number => i32(b, at + 4)
export const acknowledgment = (b: Uint8Array, at: number): number => i32(b, at + 8)
/** Header length in bytes, as the data offset field says. */
export const dataOffset = (b: Uint8Array, at: number): number => (b[at + 12] >>> 4) << 2
export const controlBits = (b: Uint8Array, at: number): number => b[at + 13]
export const windowField = (b: Uint8Array, at: number): number => u16(b, at + 14)
export const urgentPointer = (b: Uint8Array, at: number): number => u16(b, at + 18)

/** Is there a whole header, options included, at `at` in a segment of `length` bytes? */
export function isWhole(b: Uint8Array, at: number, length: number): boolean {
  if (length < TCP_HEADER_LENGTH) return false
  const offset = dataOffset(b, at)
  return offset >= TCP_HEADER_LENGTH && offset <= length
}

/** Writes a header without its checksum, which the path adds; `headerLength` counts the options, written separately. */
export function writeHeader(
  b: Uint8Array,
  at: number,
  ports: { readonly localPort: number; readonly remotePort: number },
  seq: number,
  ack: number,
  headerLength: number,
  control: number,
  window: number,
): void {
  writeU16(b, at, ports.localPort)
  writeU16(b, at + 2, ports.remotePort)
  writeU32(b, at + 4, seq)
  writeU32(b, at + 8, ack)
  b[at + 12] = headerLength << 2
  b[at + 13] = control
  writeU16(b, at + 14, window)
  writeU32(b, at + 16, 0)
}
