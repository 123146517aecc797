// What DHCP's options hold (RFC 2132, 3397, 3442, 4702). A value that cannot be is undefined: as if it were not there.
import { u16, u32, writeU16, writeU32 } from '../base/bytes.ts'
import { Address, maskV4 } from './address.ts'
import type { Prefix } from './address-text.ts'
import type { DhcpOptions } from './dhcp.ts'
import { emitName, isName, parseNames } from './domain-name.ts'
import type { Mac } from './mac.ts'

export const OPT_SUBNET_MASK = 1
export const OPT_ROUTER = 3
export const OPT_DNS = 6
export const OPT_HOST_NAME = 12
export const OPT_DOMAIN_NAME = 15
export const OPT_MTU = 26
export const OPT_REQUESTED_ADDRESS = 50
export const OPT_LEASE_TIME = 51
export const OPT_SERVER_ID = 54
export const OPT_PARAMETERS = 55
export const OPT_MESSAGE = 56
export const OPT_MAX_SIZE = 57
export const OPT_RENEWAL_TIME = 58
export const OPT_REBINDING_TIME = 59
export const OPT_CLIENT_ID = 61
export const OPT_FQDN = 81
export const OPT_DOMAIN_SEARCH = 119
export const OPT_CLASSLESS_ROUTES = 121

/** Of a list in one message; a resolver uses three servers. */
const MAX_ADDRESSES = 16
const MAX_ROUTES = 64

/** A route by way of a router, or (gateway undefined) to what is on the link. */
export interface DhcpRoute {
  readonly prefix: Prefix
  readonly gateway: Address | undefined
}

/** Seconds, or an mtu: what has the length that such a number has. */
export function readU32(options: DhcpOptions, code: number): number | undefined {
  const value = options.get(code)
  return value?.length === 4 ? u32(value, 0) : undefined
}

export function readU16(options: DhcpOptions, code: number): number | undefined {
  const value = options.get(code)
  return value?.length === 2 ? u16(value, 0) : undefined
}

/** One address, or the first of some. */
export const readAddress = (options: DhcpOptions, code: number): Address | undefined =>
  readAddresses(options, code)[0]

/** Addresses; none if the length is not a multiple of theirs. */
export function readAddresses(options: DhcpOptions, code: number): Address[] {
  const value = options.get(code)
  if (value === undefined || value.length % 4 !== 0) return []
  const addresses: Address[] = []
  for (let i = 0; i < value.length && addresses.length < MAX_ADDRESSES; i += 4)
    addresses.push(Address.read(value, i, 4))
  return addresses
}

/** The prefix length that a mask of ones followed by zeros stands for. */
export function readMask(options: DhcpOptions): number | undefined {
  const mask = readU32(options, OPT_SUBNET_MASK)
  if (mask === undefined) return
  const length = mask === 0xffffffff ? 32 : Math.clz32(~mask)
  return length > 0 && maskV4(length) >>> 0 === mask ? length : undefined
}

/** One domain name as text; servers may end it with a NUL. */
export function readDomain(options: DhcpOptions): string | undefined {
  const value = options.get(OPT_DOMAIN_NAME)
  if (value === undefined) return
  const text = String.fromCharCode(...value.subarray(0, 256)).replace(/\.?\0*$/, '')
  return isName(text) ? text : undefined
}

export function readSearch(options: DhcpOptions): string[] {
  const value = options.get(OPT_DOMAIN_SEARCH)
  return value === undefined ? [] : (parseNames(value, true) ?? [])
}

/** What a server says to people, printable. */
export function readMessage(options: DhcpOptions): string | undefined {
  const value = options.get(OPT_MESSAGE)
  if (value === undefined) return
  return Buffer.from(value.subarray(0, 200))
    .toString('latin1')
    .replace(/[^ -~]/g, '?')
}

/**
 * Classless static routes (RFC 3442); undefined if there are none or a length lies. Bits of a destination beyond its
 * prefix are cleared, as the RFC wants.
 */
export function readRoutes(options: DhcpOptions): DhcpRoute[] | undefined {
  const value = options.get(OPT_CLASSLESS_ROUTES)
  if (value === undefined || value.length === 0) return
  const routes: DhcpRoute[] = []
  for (let at = 0; at < value.length;) {
    const prefixLength = value[at++]
    const significant = (prefixLength + 7) >> 3
    if (prefixLength > 32 || at + significant + 4 > value.length) return
    let word = 0
    for (let i = 0; i < significant; i++) word |= value[at + i] << (24 - 8 * i)
    at += significant
    const router = Address.read(value, at, 4)
    at += 4
    if (routes.length === MAX_ROUTES) break
    routes.push({
      prefix: { address: Address.v4(word & maskV4(prefixLength)), prefixLength },
      gateway: router.isUnspecified ? undefined : router,
    })
  }
  return routes
}

export function writtenU32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  writeU32(bytes, 0, value)
  return bytes
}

export function writtenU16(value: number): Uint8Array {
  const bytes = new Uint8Array(2)
  writeU16(bytes, 0, value)
  return bytes
}

export const writtenAddress = (address: Address): Uint8Array => writtenU32(address.d)

/** A client identifier of type Ethernet (RFC 2132 section 9.14). */
export function ethernetClientId(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(7)
  bytes[0] = 1
  mac.write(bytes, 1)
  return bytes
}

/** RFC 4702: the name on the wire's form (E), and the server is to update its address record (S). */
const FQDN_FLAGS = 0x05

/** Undefined for what is no name. */
export function writtenFqdn(name: string): Uint8Array | undefined {
  const encoded = emitName(name)
  return encoded && Uint8Array.of(FQDN_FLAGS, 0, 0, ...encoded)
}
