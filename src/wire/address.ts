import { writeU32 } from '../base/bytes.ts'

/** An IP address, IPv4 as v4-mapped IPv6 (::ffff:a.b.c.d): four 32-bit words in network order, signed. Immutable. */
export class Address {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number

  constructor(a: number, b: number, c: number, d: number) {
    this.a = a | 0
    this.b = b | 0
    this.c = c | 0
    this.d = d | 0
  }

  /** From an IPv4 address as one 32-bit word (network order read big-endian). */
  static v4(word: number): Address {
    return new Address(0, 0, 0xffff, word)
  }

  /** From 4 or 16 bytes at `i`. */
  static read(bytes: Uint8Array, i: number, length: 4 | 16): Address {
    const w = (k: number) =>
      (bytes[k]! << 24) | (bytes[k + 1]! << 16) | (bytes[k + 2]! << 8) | bytes[k + 3]!
    return length === 4 ? Address.v4(w(i)) : new Address(w(i), w(i + 4), w(i + 8), w(i + 12))
  }

  /** IPv4 (v4-mapped). */
  get isV4(): boolean {
    return this.a === 0 && this.b === 0 && this.c === 0xffff
  }

  /** 0.0.0.0 or ::. */
  get isUnspecified(): boolean {
    return this.d === 0 && (this.isV4 || (this.a | this.b | this.c) === 0)
  }

  /** 127.0.0.0/8 or ::1. */
  get isLoopback(): boolean {
    if (this.isV4) return this.d >>> 24 === 127
    return (this.a | this.b | this.c) === 0 && this.d === 1
  }

  /** 224.0.0.0/4 or ff00::/8. */
  get isMulticast(): boolean {
    return this.isV4 ? this.d >>> 28 === 0xe : this.a >>> 24 === 0xff
  }

  equals(o: Address): boolean {
    return this.d === o.d && this.a === o.a && this.b === o.b && this.c === o.c
  }

  /** The words in order: `word(3)` is an IPv4 address. */
  word(i: number): number {
    return i === 3 ? this.d : i === 0 ? this.a : i === 1 ? this.b : this.c
  }

  /** Writes all 16 bytes at `i`. */
  write(bytes: Uint8Array, i: number): void {
    writeU32(bytes, i, this.a)
    writeU32(bytes, i + 4, this.b)
    writeU32(bytes, i + 8, this.c)
    writeU32(bytes, i + 12, this.d)
  }

  /** The first `length` bits (of 32 for IPv4, of 128 for IPv6) are those of `o`. */
  matches(o: Address, length: number): boolean {
    if (this.isV4 !== o.isV4) return false
    if (this.isV4) return ((this.d ^ o.d) & maskV4(length)) === 0
    for (let i = 0; i < 4; i++, length -= 32)
      if (((this.word(i) ^ o.word(i)) & maskV4(Math.min(Math.max(length, 0), 32))) !== 0)
        return false
    return true
  }
}

/** A word whose first `length` bits (0 to 32) are set. */
export const maskV4 = (length: number): number => (length === 0 ? 0 : (-1 << (32 - length)) | 0)

export const ANY_V4 = Address.v4(0)
export const ANY_V6 = new Address(0, 0, 0, 0)
export const LOOPBACK_V4 = Address.v4(0x7f000001)
export const LOOPBACK_V6 = new Address(0, 0, 0, 1)
export const ALL_NODES = new Address(0xff020000, 0, 0, 1)
export const ALL_ROUTERS = new Address(0xff020000, 0, 0, 2)
/** All MLDv2-capable routers (RFC 3810 section 5.2.14). */
export const ALL_MLDV2_ROUTERS = new Address(0xff020000, 0, 0, 0x16)

/** fe80::/10 (RFC 4291 section 2.5.6). */
export const isLinkLocal = (address: Address): boolean => address.a >>> 22 === 0xfe80 >>> 6

/** The group that whoever has `address` listens to (RFC 4291 section 2.7.1). */
export const solicitedNode = (address: Address): Address =>
  new Address(0xff020000, 0, 1, 0xff000000 | (address.d & 0xffffff))
