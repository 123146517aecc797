// SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): a hash that nobody can steer without the key.
// SipHash-2-4 makes 64 bits for initial sequence numbers (RFC 6528 wants a keyed pseudorandom function); HalfSipHash-1-3
// makes 32 bits for hash tables whose keys a stranger chooses.

/** SipHash-2-4 of a few messages under one 128-bit key. 64-bit words are pairs of 32-bit halves, low half first. */
export class SipHash {
  private readonly key: Int32Array
  private readonly v = new Int32Array(8)
  /** The last hash. */
  low = 0
  high = 0

  /** `key`: 16 bytes. */
  constructor(key: Uint8Array) {
    this.key = new Int32Array([word(key, 0), word(key, 4), word(key, 8), word(key, 12)])
  }

  /** Hashes bytes[at, at + length) into `low` and `high`. */
  hash(bytes: Uint8Array, at: number, length: number): void {
    const { key, v } = this
    for (let i = 0; i < 8; i++) v[i] = INITIAL[i] ^ key[i & 3]
    const whole = length & ~7
    for (let i = 0; i < whole; i += 8) this.absorb(word(bytes, at + i), word(bytes, at + i + 4))
    let low = 0
    let high = length << 24
    for (let i = whole; i < length; i++) {
      const shift = 8 * (i & 7)
      if (shift < 32) low |= bytes[at + i] << shift
      else high |= bytes[at + i] << (shift - 32)
    }
    this.absorb(low, high)
    v[4] ^= 0xff
    for (let i = 0; i < 4; i++) this.round()
    this.low = v[0] ^ v[2] ^ v[4] ^ v[6]
    this.high = v[1] ^ v[3] ^ v[5] ^ v[7]
  }

  private absorb(low: number, high: number): void {
    const v = this.v
    v[6] ^= low
    v[7] ^= high
    this.round()
    this.round()
    v[0] ^= low
    v[1] ^= high
  }

  /** SipRound. v0 is v[0] and v[1], and so on. */
  private round(): void {
    this.add(0, 2)
    this.add(4, 6)
    this.rotate(2, 13)
    this.rotate(6, 16)
    this.xor(2, 0)
    this.xor(6, 4)
    this.rotate(0, 32)
    this.add(4, 2)
    this.add(0, 6)
    this.rotate(2, 17)
    this.rotate(6, 21)
    this.xor(2, 4)
    this.xor(6, 0)
    this.rotate(4, 32)
  }

  private add(a: number, b: number): void {
    const v = this.v
    const low = (v[a] >>> 0) + (v[b] >>> 0)
    v[a] = low
    v[a + 1] = v[a + 1] + v[b + 1] + (low > 0xffffffff ? 1 : 0)
  }

  private xor(a: number, b: number): void {
    this.v[a] ^= this.v[b]
    this.v[a + 1] ^= this.v[b + 1]
  }

  /** To the left, by at most 32. */
  private rotate(a: number, n: number): void {
    const v = this.v
    const low = v[a]
    const high = v[a + 1]
    v[a] = n === 32 ? high : (low << n) | (high >>> (32 - n))
    v[a + 1] = n === 32 ? low : (high << n) | (low >>> (32 - n))
  }
}

/** HalfSipHash-1-3 of four words under a 64-bit key. */
export function halfSipHash4(
  k0: number,
  k1: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  let v0 = k0
  let v1 = k1
  let v2 = 0x6c796765 ^ k0
  let v3 = 0x74656462 ^ k1
  let m = a
  // Four words, the block that says how many bytes there were, then three rounds to finish.
  for (let i = 0; i < 8; i++) {
    if (i < 5) v3 ^= m
    v0 = (v0 + v1) | 0
    v1 = (v1 << 5) | (v1 >>> 27)
    v1 ^= v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = (v3 << 8) | (v3 >>> 24)
    v3 ^= v2
    v0 = (v0 + v3) | 0
    v3 = (v3 << 7) | (v3 >>> 25)
    v3 ^= v0
    v2 = (v2 + v1) | 0
    v1 = (v1 << 13) | (v1 >>> 19)
    v1 ^= v2
    v2 = (v2 << 16) | (v2 >>> 16)
    if (i >= 5) continue
    v0 ^= m
    if (i === 4) v2 ^= 0xff
    m = i === 0 ? b : i === 1 ? c : i === 2 ? d : 16 << 24
  }
  return v1 ^ v3
}

const INITIAL = new Int32Array([
  0x70736575, 0x736f6d65, 0x6e646f6d, 0x646f7261, 0x6e657261, 0x6c796765, 0x79746573, 0x74656462,
])

/** Little-endian, as the paper reads messages. */
const word = (b: Uint8Array, i: number): number =>
  b[i] | (b[i + 1] << 8) | (b[i + 2] << 16) | (b[i + 3] << 24)
