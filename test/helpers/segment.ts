// Segments as tests write and read them: seg({ flags: SYN, seq: 7 }) to bytes, and bytes to the same fields.
import { i32, u16, u32, writeU16, writeU32 } from '../../src/base/bytes.ts'
import type { Packet } from '../../src/stack/net/path.ts'
import { fold, pseudoSum, sumBytes } from '../../src/wire/checksum.ts'
import { Address } from '../../src/wire/address.ts'
import { IPPROTO_TCP, TCP_HEADER_LENGTH } from '../../src/wire/tcp.ts'

export interface Fields {
  srcPort?: number
  dstPort?: number
  seq?: number
  ack?: number
  flags?: number
  wnd?: number
  up?: number
  /** Of the packet: DSCP and ECN. */
  tos?: number
  mss?: number
  wscale?: number
  sackOk?: boolean
  ts?: readonly [number, number]
  sack?: readonly (readonly [number, number])[]
  /** A Fast Open option: [] asks for a cookie. */
  cookie?: readonly number[]
  /** Options as they stand, instead of all of the above. */
  options?: readonly number[]
  text?: string | Uint8Array
}

/** What a segment of ours looked like. */
export interface Sent {
  readonly srcPort: number
  readonly dstPort: number
  readonly seq: number
  readonly ack: number
  readonly flags: number
  readonly wnd: number
  readonly up: number
  readonly mss: number
  readonly wscale: number
  readonly sackOk: boolean
  readonly ts: readonly [number, number] | undefined
  readonly sack: readonly (readonly [number, number])[]
  /** A Fast Open option: [] asks for a cookie. */
  readonly cookie: readonly number[] | undefined
  readonly text: Uint8Array
  readonly gsoSize: number
  readonly tos: number
  readonly ttl: number
  readonly src: Address
  readonly dst: Address
}

export const text = (s: Sent): string => Buffer.from(s.text).toString('latin1')

/** The bytes of a segment, checksum not filled in. */
export function build(f: Fields): Uint8Array {
  const options = f.options ? [...f.options] : optionBytes(f)
  while (options.length % 4 !== 0) options.push(1)
  const body = typeof f.text === 'string' ? Buffer.from(f.text, 'latin1') : (f.text ?? [])
  const header = TCP_HEADER_LENGTH + options.length
  const b = new Uint8Array(header + body.length)
  writeU16(b, 0, f.srcPort ?? 0)
  writeU16(b, 2, f.dstPort ?? 0)
  writeU32(b, 4, f.seq ?? 0)
  writeU32(b, 8, f.ack ?? 0)
  b[12] = header << 2
  b[13] = f.flags ?? 0
  writeU16(b, 14, f.wnd ?? 65535)
  writeU16(b, 18, f.up ?? 0)
  b.set(options, TCP_HEADER_LENGTH)
  b.set(body, header)
  return b
}

function optionBytes(f: Fields): number[] {
  const o: number[] = []
  const word = (n: number) => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]
  if (f.mss !== undefined) o.push(2, 4, f.mss >> 8, f.mss & 255)
  if (f.wscale !== undefined) o.push(1, 3, 3, f.wscale)
  if (f.sackOk) o.push(1, 1, 4, 2)
  if (f.ts) o.push(1, 1, 8, 10, ...word(f.ts[0]), ...word(f.ts[1]))
  if (f.cookie) o.push(34, 2 + f.cookie.length, ...f.cookie)
  if (f.sack && f.sack.length > 0)
    o.push(1, 1, 5, 2 + 8 * f.sack.length, ...f.sack.flatMap(([a, b]) => [...word(a), ...word(b)]))
  return o
}

/** The fields of a segment that our side sent. */
export function read(
  b: Uint8Array,
  src: Address,
  dst: Address,
  gsoSize: number,
  tos = 0,
  ttl = 64,
): Sent {
  const header = (b[12] >> 4) * 4
  let mss = 0
  let wscale = -1
  let sackOk = false
  let ts: [number, number] | undefined
  let cookie: number[] | undefined
  const sack: [number, number][] = []
  for (let i = TCP_HEADER_LENGTH; i < header;) {
    if (b[i] === 0) break
    if (b[i] === 1) {
      i++
      continue
    }
    const n = b[i + 1]
    if (b[i] === 2) mss = u16(b, i + 2)
    if (b[i] === 3) wscale = b[i + 2]
    if (b[i] === 4) sackOk = true
    if (b[i] === 8) ts = [i32(b, i + 2), i32(b, i + 6)]
    if (b[i] === 5) for (let k = i + 2; k < i + n; k += 8) sack.push([u32(b, k), u32(b, k + 4)])
    if (b[i] === 34) cookie = [...b.slice(i + 2, i + n)]
    i += n
  }
  return {
    srcPort: u16(b, 0),
    dstPort: u16(b, 2),
    seq: u32(b, 4),
    ack: u32(b, 8),
    flags: b[13],
    wnd: u16(b, 14),
    up: u16(b, 18),
    mss,
    wscale,
    sackOk,
    ts,
    sack,
    cookie,
    text: b.slice(header),
    gsoSize,
    tos,
    ttl,
    src,
    dst,
  }
}

/** A datagram as IP hands it up. */
export class FakePacket implements Packet {
  bytes: Uint8Array = new Uint8Array(0)
  ip = 0
  family: 4 | 6 = 4
  transport = 0
  length = 0
  checksumValid = true
  loopback = false
  fragmented = false
  group = false
  tos = 0
  ttl = 64
  from = new Address(0, 0, 0, 0)
  to = new Address(0, 0, 0, 0)

  set(bytes: Uint8Array, from: Address, to: Address, checksumValid = true, tos = 0): this {
    this.tos = tos
    this.bytes = bytes
    this.length = bytes.length
    this.from = from
    this.to = to
    this.family = to.isV4 ? 4 : 6
    this.checksumValid = checksumValid
    return this
  }
  srcWord(i: number): number {
    return this.from.word(i)
  }
  dstWord(i: number): number {
    return this.to.word(i)
  }
  src(): Address {
    return this.from
  }
  dst(): Address {
    return this.to
  }
}

/** The checksum that a segment should have, its own field taken as 0. */
export function checksumOf(b: Uint8Array, src: Address, dst: Address): number {
  const sum = sumBytes(b, 0, b.length, pseudoSum(src, dst, IPPROTO_TCP) + b.length)
  const field = u16(b, 16)
  return ~fold(sum + (~field & 0xffff)) & 0xffff
}
