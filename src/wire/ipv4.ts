// The IPv4 header (RFC 791). The packet path reads it by the offsets below; Ipv4Packet is for the rare ones.
import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'
import { finish } from './checksum.ts'

export const IPV4_HEADER_LEN = 20
/** The largest datagram: totalLength has 16 bits. */
export const IPV4_MAX_DATAGRAM = 65535

/** DSCP (RFC 2474) and ECN (RFC 3168). */
export const IPV4_TOS = 1
export const IPV4_TOTAL_LENGTH = 2
export const IPV4_ID = 4
export const IPV4_FRAGMENT = 6
export const IPV4_TTL = 8
export const IPV4_PROTOCOL = 9
export const IPV4_CHECKSUM = 10
export const IPV4_SRC = 12
export const IPV4_DST = 16

/** Bits of the word at IPV4_FRAGMENT; below them the offset in units of eight bytes. */
export const IPV4_DF = 0x4000
export const IPV4_MF = 0x2000
export const IPV4_OFFSET_MASK = 0x1fff

export const IPPROTO_ICMP = 1
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17

const IPOPT_EOL = 0
const IPOPT_NOP = 1
const IPOPT_LSRR = 131
const IPOPT_SSRR = 137

/**
 * What an IPv4 header's options say: 'source-route' must not be accepted (RFC 6274 section 3.13.2.3), 'bad' has a
 * length that lies. All others a host may ignore (RFC 1122 section 3.2.1.8).
 */
export function ipv4Options(
  bytes: Uint8Array,
  at: number,
  headerLength: number,
): 'ok' | 'bad' | 'source-route' {
  const end = at + headerLength
  for (let i = at + IPV4_HEADER_LEN; i < end;) {
    const kind = bytes[i]
    if (kind === IPOPT_EOL) break
    if (kind === IPOPT_NOP) {
      i++
      continue
    }
    if (i + 1 >= end || bytes[i + 1] < 2 || i + bytes[i + 1] > end) return 'bad'
    if (kind === IPOPT_LSRR || kind === IPOPT_SSRR) return 'source-route'
    i += bytes[i + 1]
  }
  return 'ok'
}

/** An IPv4 packet where it lies, maybe cut short behind its header, as ICMP quotes it. */
export class Ipv4Packet {
  readonly bytes: Uint8Array
  readonly at: number

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes
    this.at = at
  }

  /** The packet at `at`; undefined if its header is cut short, of another version, or its lengths lie. */
  static parse(bytes: Uint8Array, at: number, length: number): Ipv4Packet | undefined {
    if (length < IPV4_HEADER_LEN || bytes[at] >>> 4 !== 4) return
    const packet = new Ipv4Packet(bytes, at)
    const { headerLength } = packet
    if (headerLength < IPV4_HEADER_LEN || headerLength > length) return
    return packet.totalLength < headerLength ? undefined : packet
  }

  get headerLength(): number {
    return (this.bytes[this.at] & 15) << 2
  }
  get totalLength(): number {
    return u16(this.bytes, this.at + IPV4_TOTAL_LENGTH)
  }
  get id(): number {
    return u16(this.bytes, this.at + IPV4_ID)
  }
  get df(): boolean {
    return (u16(this.bytes, this.at + IPV4_FRAGMENT) & IPV4_DF) !== 0
  }
  get mf(): boolean {
    return (u16(this.bytes, this.at + IPV4_FRAGMENT) & IPV4_MF) !== 0
  }
  /** In bytes. */
  get fragmentOffset(): number {
    return (u16(this.bytes, this.at + IPV4_FRAGMENT) & IPV4_OFFSET_MASK) << 3
  }
  get ttl(): number {
    return this.bytes[this.at + IPV4_TTL]
  }
  get protocol(): number {
    return this.bytes[this.at + IPV4_PROTOCOL]
  }
  get src(): number {
    return i32(this.bytes, this.at + IPV4_SRC)
  }
  get dst(): number {
    return i32(this.bytes, this.at + IPV4_DST)
  }
}

/**
 * Writes a header without options at `at`, checksum and all. `fragment` is the word with DF, MF and the offset.
 * Arguments, not an object: every packet that leaves comes by here.
 */
export function emitIpv4(
  bytes: Uint8Array,
  at: number,
  totalLength: number,
  id: number,
  fragment: number,
  ttl: number,
  protocol: number,
  src: number,
  dst: number,
  tos = 0,
): void {
  const first = 0x4500 | tos
  writeU16(bytes, at, first)
  writeU16(bytes, at + IPV4_TOTAL_LENGTH, totalLength)
  writeU16(bytes, at + IPV4_ID, id)
  writeU16(bytes, at + IPV4_FRAGMENT, fragment)
  const ttlProtocol = (ttl << 8) | protocol
  writeU16(bytes, at + IPV4_TTL, ttlProtocol)
  const addresses = (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff)
  writeU16(
    bytes,
    at + IPV4_CHECKSUM,
    finish(first + totalLength + id + fragment + ttlProtocol + addresses),
  )
  writeU32(bytes, at + IPV4_SRC, src)
  writeU32(bytes, at + IPV4_DST, dst)
}
