// IGMP: who wants which groups. Version 3 (RFC 3376 section 4), and what older hosts and routers say (RFC 2236, RFC 1112).
import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'
import { checksum } from './checksum.ts'
import type { GroupRecord } from './group-record.ts'

export const IPPROTO_IGMP = 2

export const IGMP_QUERY = 0x11
export const IGMP_V1_REPORT = 0x12
export const IGMP_V2_REPORT = 0x16
export const IGMP_V2_LEAVE = 0x17
export const IGMP_V3_REPORT = 0x22

/** Of versions 1 and 2, and of a version 3 report without its records. */
export const IGMP_HEADER_LEN = 8
const V3_QUERY_LEN = 12
/** Of a group record without its sources. */
export const IGMP_RECORD_LEN = 8

/** Version 1 has no field for it (RFC 2236 section 4), ms. */
const V1_MAX_RESPONSE = 10_000

/** An IGMP message where it lies. */
export class IgmpMessage {
  readonly bytes: Uint8Array
  readonly at: number
  readonly length: number

  constructor(bytes: Uint8Array, at: number, length: number) {
    this.bytes = bytes
    this.at = at
    this.length = length
  }

  /** The message at `at`; undefined if it is cut short, its checksum wrong, or it is a query whose lengths lie. */
  static parse(bytes: Uint8Array, at: number, length: number): IgmpMessage | undefined {
    if (length < IGMP_HEADER_LEN || checksum(bytes, at, length) !== 0) return
    const message = new IgmpMessage(bytes, at, length)
    if (message.type !== IGMP_QUERY || length === IGMP_HEADER_LEN) return message
    if (length < V3_QUERY_LEN || V3_QUERY_LEN + 4 * message.sourceCount > length) return
    return message
  }

  get type(): number {
    return this.bytes[this.at]
  }
  /** The group that this is about; 0 in a general query. */
  get group(): number {
    return i32(this.bytes, this.at + 4)
  }

  /** Of a query: the querier's version (RFC 3376 section 7.1). */
  get version(): 1 | 2 | 3 {
    if (this.length >= V3_QUERY_LEN) return 3
    return this.bytes[this.at + 1] === 0 ? 1 : 2
  }
  /** Of a query: how long the answer may take, ms. */
  get maxResponse(): number {
    const code = this.bytes[this.at + 1]
    if (this.length >= V3_QUERY_LEN) return 100 * floatingPoint(code)
    return code === 0 ? V1_MAX_RESPONSE : 100 * code
  }
  /** Of a version 3 query: the querier's robustness variable, 0 if it does not say; its interval, s. */
  get robustness(): number {
    return this.bytes[this.at + 8] & 7
  }
  get interval(): number {
    return floatingPoint(this.bytes[this.at + 9])
  }
  get sourceCount(): number {
    return this.length < V3_QUERY_LEN ? 0 : u16(this.bytes, this.at + 10)
  }
  source(i: number): number {
    return i32(this.bytes, this.at + V3_QUERY_LEN + 4 * i)
  }
}

/** Codes from 128 on are numbers with an exponent (RFC 3376 section 4.1.1). */
const floatingPoint = (code: number): number =>
  code < 128 ? code : ((code & 15) | 16) << (((code >>> 4) & 7) + 3)

/** Writes a message of version 1 or 2, IGMP_HEADER_LEN bytes. */
export function emitIgmp(bytes: Uint8Array, at: number, type: number, group: number): void {
  writeU32(bytes, at, type << 24)
  writeU32(bytes, at + 4, group)
  writeU16(bytes, at + 2, checksum(bytes, at, IGMP_HEADER_LEN))
}

/** Writes a version 3 report of these records; its length. */
export function emitV3Report(
  bytes: Uint8Array,
  at: number,
  records: readonly GroupRecord[],
): number {
  let i = at + IGMP_HEADER_LEN
  for (const { type, group, sources } of records) {
    writeU32(bytes, i, (type << 24) | sources.length)
    writeU32(bytes, i + 4, group.d)
    i += IGMP_RECORD_LEN
    for (const source of sources) {
      writeU32(bytes, i, source.d)
      i += 4
    }
  }
  writeU32(bytes, at, IGMP_V3_REPORT << 24)
  writeU32(bytes, at + 4, records.length)
  writeU16(bytes, at + 2, checksum(bytes, at, i - at))
  return i - at
}
