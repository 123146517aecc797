// The Internet checksum (RFC 1071). A sum is kept as a number that folds to 16 bits in network order; pieces are
// added in any order, and every piece but the last has an even length.
import type { Address } from './address.ts'

/** Adds the 16-bit words of a range to `sum`; an odd last byte counts as the high half of a word. Gives 16 bits. */
export function sumBytes(bytes: Uint8Array, at: number, length: number, sum: number): number {
  // The bulk is read 32 bits at a time in the machine's own order: the sum of swapped words is the swapped sum
  // (RFC 1071 section 2(B)). From an odd address the words straddle the halves: the same swap once more.
  const end = at + length
  let odd = false
  let own = 0
  if (length >= 64) {
    if (((bytes.byteOffset + at) & 1) === 1) {
      odd = true
      sum = swap(fold(sum)) + bytes[at++]
    }
    if (((bytes.byteOffset + at) & 2) === 2) {
      sum += (bytes[at] << 8) | bytes[at + 1]
      at += 2
    }
    const count = (end - at) >> 2
    own = sumWords(wordsOf(bytes), (bytes.byteOffset + at) >> 2, count)
    if (LITTLE_ENDIAN) own = swap(own)
    at += count << 2
  }
  for (; at + 1 < end; at += 2) sum += (bytes[at] << 8) | bytes[at + 1]
  if (at < end) sum += bytes[at] << 8
  sum = fold(sum + own)
  return odd ? swap(sum) : sum
}

/** Folds the carries of a sum of less than 2^47 back in: 16 bits. */
export function fold(sum: number): number {
  if (sum > 0xffffffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000)
  sum = (sum & 0xffff) + (sum >>> 16)
  return (sum & 0xffff) + (sum >>> 16)
}

/** What goes into a header's checksum field: the complement of the folded sum. */
export const finish = (sum: number): number => ~fold(sum) & 0xffff

/** The checksum of one range. 0 if the range holds its own, correct checksum. */
export const checksum = (bytes: Uint8Array, at: number, length: number): number =>
  finish(sumBytes(bytes, at, length, 0))

/** Sum of a pseudo-header's constant part: both addresses and the protocol. Add the length, then the rest. */
export function pseudoSum(src: Address, dst: Address, protocol: number): number {
  return src.isV4
    ? pseudoSumV4(src.d, dst.d, protocol)
    : fold(
        half(src.a) +
          half(src.b) +
          half(src.c) +
          half(src.d) +
          half(dst.a) +
          half(dst.b) +
          half(dst.c) +
          half(dst.d) +
          protocol,
      )
}

/** The same for IPv4 addresses as words (RFC 9293 section 3.1). */
export const pseudoSumV4 = (src: number, dst: number, protocol: number): number =>
  half(src) + half(dst) + protocol

const half = (word: number): number => (word >>> 16) + (word & 0xffff)

const swap = (sum: number): number => ((sum & 0xff) << 8) | (sum >>> 8)

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** Sum of 32-bit words, folded to 16 bits. A datagram has at most 2^14 of them: a double holds the exact sum. */
function sumWords(words: Uint32Array, i: number, count: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  const end = i + count
  for (; i + 3 < end; i += 4) {
    s0 += words[i]
    s1 += words[i + 1]
    s2 += words[i + 2]
    s3 += words[i + 3]
  }
  for (; i < end; i++) s0 += words[i]
  return fold(s0 + s1 + s2 + s3)
}

/** The last few buffers seen as words: a stack reads and writes the same two rings all the time. */
const CACHED = 4
const seen: Uint32Array[] = []
let oldest = 0

function wordsOf(bytes: Uint8Array): Uint32Array {
  const buffer = bytes.buffer
  for (const words of seen) if (words.buffer === buffer) return words
  const words = new Uint32Array(buffer, 0, buffer.byteLength >> 2)
  seen[oldest] = words
  oldest = (oldest + 1) % CACHED
  return words
}
