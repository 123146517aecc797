// DNS messages (RFC 1035 section 4). The parts that decide whether an answer is one to our question are looked at here,
// byte by byte, and that every record lies within the message: dns-packet, which then reads them, takes what is cut short
// for zeros, and throws at names that are too long or go around in circles. Nothing a server sends gets past these gates
// but as one of the values below.
import { decode } from 'dns-packet'
import type { Answer, RecordType } from 'dns-packet'
import { u16, writeU16 } from '../base/bytes.ts'
import type { Address } from '../wire/address.ts'
import { parseAddress } from '../wire/address-text.ts'
import { emitName, isName } from '../wire/domain-name.ts'

export const TYPE_A = 1
export const TYPE_PTR = 12
export const TYPE_AAAA = 28
export type LookupType = typeof TYPE_A | typeof TYPE_PTR | typeof TYPE_AAAA
export const CLASS_IN = 1

export const FORMERR = 1
export const SERVFAIL = 2
export const NXDOMAIN = 3
export const NOTIMP = 4
export const REFUSED = 5

export const HEADER = 12
const QR = 0x80
const TC = 0x02
const RD = 0x01
const AD = 0x20
const TYPE_OPT = 41
const OPT_LENGTH = 11
/** Type, class, time to live, length. */
const RECORD_HEADER = 10
/** What we say that we take in one datagram (glibc's RESOLV_EDNS_BUFFER_SIZE). */
const EDNS_SIZE = 1200
const MAX_CHAIN = 16
const MAX_ADDRESSES = 256
/** RFC 8767 section 4, RFC 2308 section 5; s. */
const MAX_TTL = 86_400
const MAX_NEGATIVE_TTL = 3600

export interface QueryOptions {
  readonly edns0: boolean
  readonly trustAd: boolean
}

/** A question of ours, with id 0. Undefined: there can be no such name. */
export function makeQuery(
  name: string,
  type: number,
  klass: number,
  { edns0, trustAd }: QueryOptions,
): Uint8Array | undefined {
  const qname = name === '.' || name === '' ? new Uint8Array(1) : emitName(name)
  if (qname === undefined) return undefined
  const query = new Uint8Array(HEADER + qname.length + 4 + (edns0 ? OPT_LENGTH : 0))
  query[2] = RD
  query[3] = trustAd ? AD : 0
  query[5] = 1
  query.set(qname, HEADER)
  writeU16(query, HEADER + qname.length, type)
  writeU16(query, HEADER + qname.length + 2, klass)
  if (!edns0) return query
  const at = HEADER + qname.length + 4
  query[11] = 1
  writeU16(query, at + 1, TYPE_OPT)
  writeU16(query, at + 3, EDNS_SIZE)
  return query
}

/** The same without EDNS0, for a server that does not know it. */
export function withoutEdns(query: Uint8Array): Uint8Array {
  const plain = query.slice(0, query.length - OPT_LENGTH)
  plain[11] = 0
  return plain
}

/** Where the one question of a query ends; -1: it is no query that can be asked for a program. */
export function questionEnd(query: Uint8Array): number {
  if (query.length < HEADER + 5 || (query[2] & QR) !== 0 || u16(query, 4) !== 1) return -1
  let at = HEADER
  while (at < query.length && query[at] !== 0) {
    if (query[at] > 63) return -1
    at += 1 + query[at]
  }
  return at + 5 <= query.length && at - HEADER < 255 ? at + 5 : -1
}

/** Is it an answer to this query: id, opcode, and the question, in whatever case? */
export function answers(message: Uint8Array, query: Uint8Array): boolean {
  if (message.length < HEADER || message.length > 65_535) return false
  if (u16(message, 0) !== u16(query, 0) || (message[2] & QR) === 0) return false
  if (((message[2] ^ query[2]) & 0x78) !== 0) return false
  // Servers that cannot read a query may leave the question out.
  if (u16(message, 4) === 0) return rcode(message) === FORMERR || rcode(message) === NOTIMP
  const end = questionEnd(query)
  if (u16(message, 4) !== 1 || message.length < end) return false
  for (let i = HEADER; i < end; i++) if (lowerCase(message[i]) !== lowerCase(query[i])) return false
  return true
}

const lowerCase = (byte: number) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte)

export const rcode = (message: Uint8Array): number => message[3] & 15
export const isTruncated = (message: Uint8Array): boolean => (message[2] & TC) !== 0
export const answerCount = (message: Uint8Array): number => u16(message, 6)

/** What a resolver that is not trusted says of authenticity is not passed on (resolv.conf(5), trust-ad). */
export function clearAd(message: Uint8Array): void {
  message[3] &= ~AD
}

/** What a server said to a question for addresses, or for an address's name. */
export interface Found {
  readonly status: 'found' | 'no-data' | 'no-name' | 'server-failed' | 'failed'
  /** What the name is called at the end of its chain of aliases. */
  readonly canonical: string
  readonly aliases: readonly string[]
  readonly addresses: readonly Address[]
  /** PTR's. */
  readonly names: readonly string[]
  /** How long it may be remembered, s. */
  readonly ttl: number
}

export const FAILED: Found = {
  status: 'failed',
  canonical: '',
  aliases: [],
  addresses: [],
  names: [],
  ttl: 0,
}

/** Reads an answer that answers() let pass. Undefined: it is malformed. */
export function read(message: Uint8Array, name: string, type: LookupType): Found | undefined {
  const code = rcode(message)
  if (code === SERVFAIL) return { ...FAILED, status: 'server-failed' }
  if (code !== 0 && code !== NXDOMAIN) return FAILED
  if (!isWhole(message)) return undefined
  let packet
  try {
    packet = decode(Buffer.from(message.buffer, message.byteOffset, message.length))
  } catch {
    // The caller counts it.
    return undefined
  }
  const found = follow(packet.answers ?? [], name, type)
  if (found.addresses.length > 0 || found.names.length > 0) return found
  const ttl = negativeTtl(packet.authorities ?? [])
  return { ...found, status: code === NXDOMAIN ? 'no-name' : 'no-data', ttl }
}

/** Do all records that it promises lie within it, addresses at their right length? Names are dns-packet's. */
function isWhole(message: Uint8Array): boolean {
  const records = u16(message, 6) + u16(message, 8) + u16(message, 10)
  let at = skipName(message, HEADER) + 4
  for (let i = 0; i < records; i++) {
    at = skipName(message, at)
    if (at + RECORD_HEADER > message.length) return false
    const type = u16(message, at)
    const length = u16(message, at + 8)
    if ((type === TYPE_A && length !== 4) || (type === TYPE_AAAA && length !== 16)) return false
    at += RECORD_HEADER + length
  }
  return at <= message.length
}

/** Where the name at `at` ends; past the message if it does not. */
function skipName(message: Uint8Array, at: number): number {
  while (at < message.length) {
    const length = message[at]
    if (length === 0) return at + 1
    if (length >= 0xc0) return at + 2
    at += 1 + length
  }
  return message.length + 1
}

/** From the name along its aliases; what the chain does not lead to is nobody's business (RFC 5452 section 6). */
function follow(records: readonly Answer[], name: string, type: LookupType): Found {
  const wanted = { [TYPE_A]: 'A', [TYPE_AAAA]: 'AAAA', [TYPE_PTR]: 'PTR' }[type] as RecordType
  const aliases: string[] = []
  const addresses: Address[] = []
  const names: string[] = []
  let owner = name
  let ttl = MAX_TTL
  for (let step = 0; step < MAX_CHAIN; step++) {
    let alias: string | undefined
    for (const record of records) {
      if (!same(record.name, owner) || !('data' in record)) continue
      if (record.type !== wanted && record.type !== 'CNAME') continue
      if ('class' in record && record.class !== 'IN') continue
      const data = String(record.data)
      if (record.type === 'CNAME') alias ??= isName(data) ? data : undefined
      else if (type === TYPE_PTR) {
        if (!isName(data)) continue
        names.push(data)
      } else {
        const address = addressOf(data, type)
        if (address !== undefined && addresses.length < MAX_ADDRESSES) addresses.push(address)
      }
      ttl = Math.min(ttl, record.ttl ?? 0)
    }
    if (addresses.length > 0 || names.length > 0 || alias === undefined) break
    aliases.push(owner)
    owner = alias
  }
  return { status: 'found', canonical: owner, aliases, addresses, names, ttl }
}

function addressOf(text: string, type: LookupType): Address | undefined {
  const address = parseAddress(text)
  if (address === undefined) return undefined
  // An AAAA record may hold an IPv4-mapped address, which is none of IPv6.
  return address.isV4 === (type === TYPE_A) ? address : undefined
}

const same = (a: string, b: string) =>
  a.replace(/\.$/, '').toLowerCase() === b.replace(/\.$/, '').toLowerCase()

/** RFC 2308 section 5; without a SOA record it is not remembered. */
function negativeTtl(authorities: readonly Answer[]): number {
  for (const record of authorities)
    if (record.type === 'SOA')
      return Math.min(record.ttl ?? 0, record.data.minimum ?? 0, MAX_NEGATIVE_TTL)
  return 0
}

/** The name whose PTR records say what an address is called (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseName(address: Address): string {
  const bytes = new Uint8Array(16)
  address.write(bytes, 0)
  if (address.isV4) return `${[...bytes.subarray(12)].reverse().join('.')}.in-addr.arpa`
  const nibbles = [...bytes].flatMap(byte => [byte >>> 4, byte & 15]).reverse()
  return `${nibbles.map(nibble => nibble.toString(16)).join('.')}.ip6.arpa`
}
