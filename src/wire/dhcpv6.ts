// DHCPv6 messages between client and server, and the options that a client needs (RFC 8415 sections 8 and 21; RFC 3646,
// 4704, 8415 for what they hold). Relays talk to servers in other messages, which no client sees.
import { u16, u32, writeU16, writeU32 } from '../base/bytes.ts'
import { Address } from './address.ts'
import { emitName, parseNames } from './domain-name.ts'
import type { Mac } from './mac.ts'

export const DHCPV6_CLIENT_PORT = 546
export const DHCPV6_SERVER_PORT = 547
/** ff02::1:2 */
export const ALL_DHCP_AGENTS = new Address(0xff020000, 0, 0, 0x00010002)

/** Types of messages (section 7.3). */
export const SOLICIT = 1
export const ADVERTISE = 2
export const REQUEST = 3
export const CONFIRM = 4
export const RENEW = 5
export const REBIND = 6
export const REPLY = 7
export const RELEASE = 8
export const DECLINE = 9
export const INFORMATION_REQUEST = 11

/** Status codes (section 21.13). */
export const SUCCESS = 0
export const UNSPEC_FAIL = 1
export const NO_ADDRS_AVAIL = 2
export const NO_BINDING = 3
export const NOT_ON_LINK = 4
export const USE_MULTICAST = 5

export const OPT6_CLIENT_ID = 1
export const OPT6_SERVER_ID = 2
export const OPT6_IA_NA = 3
export const OPT6_IA_ADDRESS = 5
export const OPT6_REQUESTED = 6
export const OPT6_PREFERENCE = 7
export const OPT6_ELAPSED = 8
export const OPT6_STATUS = 13
export const OPT6_RAPID_COMMIT = 14
export const OPT6_DNS = 23
export const OPT6_DOMAINS = 24
export const OPT6_REFRESH_TIME = 32
export const OPT6_FQDN = 39
export const OPT6_SOL_MAX_RT = 82
export const OPT6_INF_MAX_RT = 83

const HEADER = 4
/** Section 11.1: a DUID's type and at most 128 bytes. */
const MAX_DUID = 130
const MAX_ADDRESSES = 16
const MAX_LISTED = 16

/** A lifetime, T1 or T2 that never comes. */
export const FOR_EVER = 0xffffffff

export interface LeasedAddress {
  readonly address: Address
  /** Seconds. */
  readonly preferred: number
  readonly valid: number
}

/** An identity association for addresses (section 21.4). */
export interface IaNa {
  readonly iaid: number
  /** Seconds; 0: the client may choose. */
  readonly t1: number
  readonly t2: number
  readonly addresses: readonly LeasedAddress[]
  readonly status: number
}

export interface Dhcpv6Message {
  readonly type: number
  /** 24 bits. */
  readonly xid: number
  readonly clientId?: Uint8Array | undefined
  readonly serverId?: Uint8Array | undefined
  readonly ias: readonly IaNa[]
  readonly preference: number
  readonly status: number
  readonly rapidCommit: boolean
  readonly dns: readonly Address[]
  readonly domains: readonly string[]
  /** Seconds, of what Information-request asks for. */
  readonly refreshTime: number | undefined
  /** Seconds. */
  readonly solMaxRt: number | undefined
  readonly infMaxRt: number | undefined
  /** Option codes that are asked for. */
  readonly requested: readonly number[]
  /** Hundredths of a second. */
  readonly elapsed: number | undefined
  /** Option 39's flags and name. */
  readonly fqdn: { readonly flags: number; readonly name: string } | undefined
}

export type Dhcpv6Fields = Partial<Dhcpv6Message> & Pick<Dhcpv6Message, 'type' | 'xid'>

/** undefined if a length in it lies. */
export function parseDhcpv6(bytes: Uint8Array): Dhcpv6Message | undefined {
  if (bytes.length < HEADER) return
  const message = {
    type: bytes[0],
    xid: u32(bytes, 0) & 0xffffff,
    ias: [] as IaNa[],
    preference: 0,
    status: SUCCESS,
    rapidCommit: false,
    dns: [] as Address[],
    domains: [] as string[],
    refreshTime: undefined as number | undefined,
    solMaxRt: undefined as number | undefined,
    infMaxRt: undefined as number | undefined,
    requested: [] as number[],
    elapsed: undefined as number | undefined,
    fqdn: undefined as Dhcpv6Message['fqdn'],
    clientId: undefined as Uint8Array | undefined,
    serverId: undefined as Uint8Array | undefined,
  }
  const fine = eachOption(bytes, HEADER, (code, value) => {
    switch (code) {
      case OPT6_CLIENT_ID:
        message.clientId ??= duid(value)
        break
      case OPT6_SERVER_ID:
        message.serverId ??= duid(value)
        break
      case OPT6_IA_NA: {
        const ia = parseIa(value)
        if (ia === undefined) return false
        if (message.ias.length < MAX_ADDRESSES) message.ias.push(ia)
        break
      }
      case OPT6_PREFERENCE:
        if (value.length === 1) message.preference = value[0]
        break
      case OPT6_STATUS:
        if (value.length >= 2) message.status = u16(value, 0)
        break
      case OPT6_RAPID_COMMIT:
        message.rapidCommit = true
        break
      case OPT6_DNS:
        if (value.length % 16 === 0) message.dns = first([...message.dns, ...addresses(value)])
        break
      case OPT6_DOMAINS:
        message.domains = first([...message.domains, ...(parseNames(value) ?? [])])
        break
      case OPT6_REFRESH_TIME:
        if (value.length === 4) message.refreshTime = u32(value, 0)
        break
      case OPT6_SOL_MAX_RT:
        if (value.length === 4) message.solMaxRt = u32(value, 0)
        break
      case OPT6_INF_MAX_RT:
        if (value.length === 4) message.infMaxRt = u32(value, 0)
        break
      case OPT6_REQUESTED:
        for (let i = 0; i + 1 < value.length; i += 2) message.requested.push(u16(value, i))
        break
      case OPT6_ELAPSED:
        if (value.length === 2) message.elapsed = u16(value, 0)
        break
      case OPT6_FQDN: {
        const name = value.length > 1 ? parseFqdn(value.subarray(1)) : undefined
        if (name !== undefined) message.fqdn = { flags: value[0], name }
        break
      }
    }
    return true
  })
  return fine ? message : undefined
}

/** Calls `take` for each option of bytes[at, end); false if a length lies or `take` says so. */
function eachOption(
  bytes: Uint8Array,
  at: number,
  take: (code: number, value: Uint8Array) => boolean,
): boolean {
  while (at < bytes.length) {
    if (at + 4 > bytes.length) return false
    const end = at + 4 + u16(bytes, at + 2)
    if (end > bytes.length) return false
    if (!take(u16(bytes, at), bytes.subarray(at + 4, end))) return false
    at = end
  }
  return true
}

/** A server may repeat an option: of all together so many count. */
const first = <T>(list: T[]): T[] => list.slice(0, MAX_LISTED)

const duid = (value: Uint8Array) =>
  value.length > 2 && value.length <= MAX_DUID ? value.slice() : undefined

function addresses(value: Uint8Array): Address[] {
  const list: Address[] = []
  for (let i = 0; i < value.length && list.length < MAX_ADDRESSES; i += 16)
    list.push(Address.read(value, i, 16))
  return list
}

/** An address whose lifetimes contradict each other, or whose own status is no success, is not in it (section 18.2.10). */
function parseIa(value: Uint8Array): IaNa | undefined {
  if (value.length < 12) return
  const found: LeasedAddress[] = []
  let status = SUCCESS
  const fine = eachOption(value, 12, (code, inner) => {
    if (code === OPT6_STATUS && inner.length >= 2) status = u16(inner, 0)
    if (code !== OPT6_IA_ADDRESS) return true
    if (inner.length < 24) return false
    let own = SUCCESS
    const sound = eachOption(inner, 24, (code, deepest) => {
      if (code === OPT6_STATUS && deepest.length >= 2) own = u16(deepest, 0)
      return true
    })
    const preferred = u32(inner, 16)
    const valid = u32(inner, 20)
    if (sound && own === SUCCESS && preferred <= valid && found.length < MAX_ADDRESSES)
      found.push({ address: Address.read(inner, 0, 16), preferred, valid })
    return sound
  })
  if (!fine) return
  const t1 = u32(value, 4)
  const t2 = u32(value, 8)
  return { iaid: u32(value, 0), t1, t2, addresses: found, status }
}

export function emitDhcpv6(fields: Dhcpv6Fields): Uint8Array {
  const parts: Uint8Array[] = []
  const add = (code: number, value: Uint8Array | undefined) => {
    if (value !== undefined) parts.push(option(code, value))
  }
  add(OPT6_CLIENT_ID, fields.clientId)
  add(OPT6_SERVER_ID, fields.serverId)
  for (const ia of fields.ias ?? []) add(OPT6_IA_NA, emitIa(ia))
  if (fields.elapsed !== undefined) add(OPT6_ELAPSED, words16([fields.elapsed]))
  if (fields.requested?.length) add(OPT6_REQUESTED, words16(fields.requested))
  if (fields.rapidCommit) add(OPT6_RAPID_COMMIT, new Uint8Array(0))
  if (fields.preference) add(OPT6_PREFERENCE, Uint8Array.of(fields.preference))
  if (fields.status) add(OPT6_STATUS, words16([fields.status]))
  if (fields.dns?.length) add(OPT6_DNS, joined(fields.dns.map(written)))
  if (fields.domains?.length) add(OPT6_DOMAINS, joined(fields.domains.map(name => emitName(name)!)))
  if (fields.refreshTime !== undefined) add(OPT6_REFRESH_TIME, words32([fields.refreshTime]))
  if (fields.solMaxRt !== undefined) add(OPT6_SOL_MAX_RT, words32([fields.solMaxRt]))
  if (fields.infMaxRt !== undefined) add(OPT6_INF_MAX_RT, words32([fields.infMaxRt]))
  if (fields.fqdn !== undefined) add(OPT6_FQDN, emitFqdn(fields.fqdn.flags, fields.fqdn.name))
  const head = words32([fields.xid & 0xffffff])
  head[0] = fields.type
  return joined([head, ...parts])
}

/** A name without its final zero is a partial one (RFC 4704 section 4.2): here, one without a dot. */
const parseFqdn = (value: Uint8Array) =>
  parseNames(value[value.length - 1] === 0 ? value : joined([value, Uint8Array.of(0)]))?.[0]

function emitFqdn(flags: number, name: string): Uint8Array | undefined {
  const whole = emitName(name)
  if (whole === undefined) return
  return joined([Uint8Array.of(flags), name.includes('.') ? whole : whole.subarray(0, -1)])
}

function emitIa({ iaid, t1, t2, addresses, status }: IaNa): Uint8Array {
  const inner = addresses.map(({ address, preferred, valid }) =>
    option(OPT6_IA_ADDRESS, joined([written(address), words32([preferred, valid])])),
  )
  if (status !== SUCCESS) inner.push(option(OPT6_STATUS, words16([status])))
  return joined([words32([iaid, t1, t2]), ...inner])
}

function option(code: number, value: Uint8Array): Uint8Array {
  return joined([words16([code, value.length]), value])
}

function written(address: Address): Uint8Array {
  const bytes = new Uint8Array(16)
  address.write(bytes, 0)
  return bytes
}

function words16(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(2 * values.length)
  for (const [i, value] of values.entries()) writeU16(bytes, 2 * i, value)
  return bytes
}

function words32(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length)
  for (const [i, value] of values.entries()) writeU32(bytes, 4 * i, value)
  return bytes
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const DUID_LL = 3
const HTYPE_ETHERNET = 1

/** A DUID of the link-layer address alone (section 11.4): a stack remembers nothing that would make another one lasting. */
export const duidOf = (mac: Mac): Uint8Array => {
  const bytes = new Uint8Array(10)
  writeU16(bytes, 0, DUID_LL)
  writeU16(bytes, 2, HTYPE_ETHERNET)
  mac.write(bytes, 4)
  return bytes
}

export const sameDuid = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i])
