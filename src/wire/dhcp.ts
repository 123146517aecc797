// DHCP messages (RFC 2131 section 2) and their options as code and bytes (RFC 2132). What an option's bytes mean is in
// dhcp-options.ts.
import { u16, u32, writeU16, writeU32 } from '../base/bytes.ts'
import { Address, ANY_V4 } from './address.ts'
import { Mac } from './mac.ts'

export const DHCP_SERVER_PORT = 67
export const DHCP_CLIENT_PORT = 68

export const BOOTREQUEST = 1
export const BOOTREPLY = 2

/** Types of messages (option 53). */
export const DHCPDISCOVER = 1
export const DHCPOFFER = 2
export const DHCPREQUEST = 3
export const DHCPDECLINE = 4
export const DHCPACK = 5
export const DHCPNAK = 6
export const DHCPRELEASE = 7
export const DHCPINFORM = 8

const SNAME = 44
const FILE = 108
const COOKIE = 236
const OPTIONS = 240
const MAGIC = 0x63825363
/** BOOTP's size: some relays drop what is shorter (RFC 1542 section 2.1). */
const MIN_MESSAGE = 300
const BROADCAST = 0x8000
const HTYPE_ETHERNET = 1

const PAD = 0
const END = 255
const OVERLOAD = 52
const MESSAGE_TYPE = 53

export type DhcpOptions = ReadonlyMap<number, Uint8Array>

export interface DhcpMessage {
  readonly op: number
  /** Option 53. */
  readonly type: number
  readonly xid: number
  readonly secs: number
  /** The client cannot take a unicast packet yet (section 4.1). */
  readonly broadcast: boolean
  readonly ciaddr: Address
  readonly yiaddr: Address
  readonly siaddr: Address
  readonly giaddr: Address
  readonly chaddr: Mac
  /** Without 53 and 52. */
  readonly options: DhcpOptions
}

/** What differs from zero in a message to be sent. */
export type DhcpFields = Partial<DhcpMessage> & Pick<DhcpMessage, 'op' | 'type' | 'xid' | 'chaddr'>

/** undefined if it is no DHCP message for Ethernet, or a length in it lies. */
export function parseDhcp(bytes: Uint8Array): DhcpMessage | undefined {
  if (bytes.length < OPTIONS || u32(bytes, COOKIE) !== MAGIC) return
  if (bytes[1] !== HTYPE_ETHERNET || bytes[2] !== 6) return
  const options = parseOptions(bytes)
  const type = options?.get(MESSAGE_TYPE)
  if (options === undefined || type?.length !== 1) return
  options.delete(MESSAGE_TYPE)
  options.delete(OVERLOAD)
  return {
    op: bytes[0],
    type: type[0],
    xid: u32(bytes, 4),
    secs: u16(bytes, 8),
    broadcast: (u16(bytes, 10) & BROADCAST) !== 0,
    ciaddr: Address.read(bytes, 12, 4),
    yiaddr: Address.read(bytes, 16, 4),
    siaddr: Address.read(bytes, 20, 4),
    giaddr: Address.read(bytes, 24, 4),
    chaddr: Mac.read(bytes, 28),
    options,
  }
}

/** Options in the order in which RFC 3396 section 5 joins the parts of one: the options field, then file, then sname. */
function parseOptions(bytes: Uint8Array): Map<number, Uint8Array> | undefined {
  const options = new Map<number, Uint8Array>()
  if (!takeOptions(options, bytes, OPTIONS, bytes.length)) return
  const overload = options.get(OVERLOAD)
  if (overload === undefined) return options
  if (overload.length !== 1) return
  if ((overload[0] & 1) !== 0 && !takeOptions(options, bytes, FILE, COOKIE)) return
  if ((overload[0] & 2) !== 0 && !takeOptions(options, bytes, SNAME, FILE)) return
  return options
}

/** The end option may be missing (it often is where file or sname hold options); a length past the end is a lie. */
function takeOptions(
  options: Map<number, Uint8Array>,
  bytes: Uint8Array,
  at: number,
  end: number,
): boolean {
  while (at < end) {
    const code = bytes[at++]
    if (code === PAD) continue
    if (code === END) return true
    if (at >= end || at + 1 + bytes[at] > end) return false
    const part = bytes.subarray(at + 1, at + 1 + bytes[at])
    const before = options.get(code)
    options.set(code, before === undefined ? part : joined(before, part))
    at += 1 + part.length
  }
  return true
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** A whole message; an option longer than 255 bytes goes in parts (RFC 3396). */
export function emitDhcp(fields: DhcpFields): Uint8Array {
  const options = fields.options ?? new Map<number, Uint8Array>()
  let length = OPTIONS + 3 + 1
  for (const value of options.values())
    length += value.length + 2 * Math.max(1, Math.ceil(value.length / 255))
  const bytes = new Uint8Array(Math.max(length, MIN_MESSAGE))
  bytes[0] = fields.op
  bytes[1] = HTYPE_ETHERNET
  bytes[2] = 6
  writeU32(bytes, 4, fields.xid)
  writeU16(bytes, 8, fields.secs ?? 0)
  writeU16(bytes, 10, fields.broadcast ? BROADCAST : 0)
  writeU32(bytes, 12, (fields.ciaddr ?? ANY_V4).d)
  writeU32(bytes, 16, (fields.yiaddr ?? ANY_V4).d)
  writeU32(bytes, 20, (fields.siaddr ?? ANY_V4).d)
  writeU32(bytes, 24, (fields.giaddr ?? ANY_V4).d)
  fields.chaddr.write(bytes, 28)
  writeU32(bytes, COOKIE, MAGIC)
  let at = emitOption(bytes, OPTIONS, MESSAGE_TYPE, Uint8Array.of(fields.type))
  for (const [code, value] of options) at = emitOption(bytes, at, code, value)
  bytes[at] = END
  return bytes
}

function emitOption(bytes: Uint8Array, at: number, code: number, value: Uint8Array): number {
  let done = 0
  do {
    const part = value.subarray(done, done + 255)
    bytes[at] = code
    bytes[at + 1] = part.length
    bytes.set(part, at + 2)
    at += 2 + part.length
    done += 255
  } while (done < value.length)
  return at
}
