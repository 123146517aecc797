// Multicast listener discovery, version 2 (RFC 3810) and what is left of version 1 (RFC 2710).
import { u16, writeU16, writeU32 } from '../base/bytes.ts'
import { Address } from './address.ts'
import type { GroupRecord } from './group-record.ts'
import { ICMPV6_HEADER_LEN, MLDV2_REPORT, MLD_QUERY, emitIcmpv6 } from './icmpv6.ts'
import { IPPROTO_HOPOPTS, IPPROTO_ICMPV6, IPV6_HEADER_LEN, IPV6_NEXT_HEADER } from './ipv6.ts'
import { OPT_ROUTER_ALERT } from './ipv6-extensions.ts'

/** A version 1 message, and the head of a version 2 query. */
export const MLD_LEN = 24
const MLDV2_QUERY_LEN = 28
/** Of a group record without its sources. */
export const MLD_RECORD_LEN = 20

export interface MldQuery {
  readonly version: 1 | 2
  /** The longest delay of an answer, in ms. */
  readonly maxResponseDelay: number
  /** :: in a general query. */
  readonly group: Address
  /** Of a query for some sources only. */
  readonly sources: readonly Address[]
  /** Robustness and interval (s) of the querier; 0: not said. */
  readonly robustness: number
  readonly interval: number
}

/** The query of `length` bytes at `at`; undefined: it is none (section 8.1), or its number of sources lies. */
export function parseMldQuery(bytes: Uint8Array, at: number, length: number): MldQuery | undefined {
  if (length < MLD_LEN || (length > MLD_LEN && length < MLDV2_QUERY_LEN)) return
  const group = Address.read(bytes, at + ICMPV6_HEADER_LEN, 16)
  if (!group.isMulticast && !group.isUnspecified) return
  const code = u16(bytes, at + 4)
  const none = { sources: [], robustness: 0, interval: 0 }
  if (length === MLD_LEN) return { version: 1, maxResponseDelay: code, group, ...none }
  const count = u16(bytes, at + 26)
  if (MLDV2_QUERY_LEN + 16 * count > length || (count > 0 && group.isUnspecified)) return
  return {
    version: 2,
    maxResponseDelay: floating(code, 15, 12),
    group,
    sources: addressesAt(bytes, at + MLDV2_QUERY_LEN, count),
    robustness: bytes[at + 24] & 7,
    interval: floating(bytes[at + 25], 7, 4),
  }
}

/** The records of a version 2 report; undefined: their numbers lie. */
export function parseMldReport(
  bytes: Uint8Array,
  at: number,
  length: number,
): GroupRecord[] | undefined {
  if (length < ICMPV6_HEADER_LEN) return
  const end = at + length
  const records: GroupRecord[] = []
  let i = at + ICMPV6_HEADER_LEN
  for (let left = u16(bytes, at + 6); left > 0; left--) {
    if (i + MLD_RECORD_LEN > end) return
    const count = u16(bytes, i + 2)
    const size = MLD_RECORD_LEN + 16 * count + 4 * bytes[i + 1]
    if (i + size > end) return
    const group = Address.read(bytes, i + 4, 16)
    records.push({ type: bytes[i], group, sources: addressesAt(bytes, i + MLD_RECORD_LEN, count) })
    i += size
  }
  return records
}

/** A number of more bits than the field has (sections 5.1.3 and 5.1.9): a leading 1, 3 bits exponent, mantissa. */
function floating(code: number, top: number, exponentAt: number): number {
  if (code >>> top === 0) return code
  const mantissa = (code & ((1 << exponentAt) - 1)) | (1 << exponentAt)
  return mantissa << (((code >>> exponentAt) & 7) + 3)
}

const addressesAt = (bytes: Uint8Array, at: number, count: number): Address[] =>
  Array.from({ length: count }, (_, i) => Address.read(bytes, at + 16 * i, 16))

/** A version 2 report of these records; its length. */
export function emitMldReport(
  bytes: Uint8Array,
  at: number,
  records: readonly GroupRecord[],
): number {
  emitIcmpv6(bytes, at, MLDV2_REPORT, 0, records.length)
  let i = at + ICMPV6_HEADER_LEN
  for (const { type, group, sources } of records) {
    writeU16(bytes, i, type << 8)
    writeU16(bytes, i + 2, sources.length)
    group.write(bytes, i + 4)
    i += MLD_RECORD_LEN
    for (const source of sources) {
      source.write(bytes, i)
      i += 16
    }
  }
  return i - at
}

/** A version 1 query, report or done; its length. */
export function emitMldV1(
  bytes: Uint8Array,
  at: number,
  type: number,
  maxResponseDelay: number,
  group: Address,
): number {
  emitIcmpv6(bytes, at, type, 0, maxResponseDelay << 16)
  group.write(bytes, at + ICMPV6_HEADER_LEN)
  return MLD_LEN
}

/** A version 2 query, its codes as they go on the wire; its length. */
export function emitMldQuery(
  bytes: Uint8Array,
  at: number,
  maxResponseCode: number,
  group: Address,
  sources: readonly Address[],
  robustness: number,
  intervalCode: number,
): number {
  emitMldV1(bytes, at, MLD_QUERY, maxResponseCode, group)
  bytes[at + 24] = robustness
  bytes[at + 25] = intervalCode
  writeU16(bytes, at + 26, sources.length)
  for (const [i, source] of sources.entries()) source.write(bytes, at + MLDV2_QUERY_LEN + 16 * i)
  return MLDV2_QUERY_LEN + 16 * sources.length
}

/** The hop-by-hop header that all MLD messages have (section 5, RFC 2711): router alert, padding. */
export const ROUTER_ALERT_LEN = 8

export function emitRouterAlert(bytes: Uint8Array, at: number): void {
  bytes[at] = IPPROTO_ICMPV6
  bytes[at + 1] = 0
  writeU32(bytes, at + 2, (OPT_ROUTER_ALERT << 24) | (2 << 16))
  writeU16(bytes, at + 6, 0x0100) // PadN of no bytes
}

/** Does the packet at `ip`, whose headers were walked, ask routers to look at its MLD? Else it is none (section 6.2). */
export function hasRouterAlert(bytes: Uint8Array, ip: number): boolean {
  if (bytes[ip + IPV6_NEXT_HEADER] !== IPPROTO_HOPOPTS) return false
  const from = ip + IPV6_HEADER_LEN
  const end = from + ((bytes[from + 1] + 1) << 3)
  for (let i = from + 2; i + 3 < end;) {
    if (bytes[i] === OPT_ROUTER_ALERT && bytes[i + 1] === 2) return u16(bytes, i + 2) === 0
    i += bytes[i] === 0 ? 1 : 2 + bytes[i + 1]
  }
  return false
}
