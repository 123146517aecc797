// Neighbor discovery messages (RFC 4861 section 4; RFC 4191 and RFC 8106 for what routers say besides). Lengths are
// checked once, here: a message with an option of length 0, or that ends in the middle of one, is none (section 7.1).
// That hop limit and checksum are right is the caller's to know.
import { i32, u16, u32, writeU16, writeU32 } from '../base/bytes.ts'
import { Address, isLinkLocal } from './address.ts'
import type { Prefix } from './address-text.ts'
import { emitName, parseNames } from './domain-name.ts'
import {
  ICMPV6_HEADER_LEN,
  ND_NEIGHBOR_ADVERT,
  ND_NEIGHBOR_SOLICIT,
  ND_REDIRECT,
  ND_ROUTER_ADVERT,
  ND_ROUTER_SOLICIT,
  emitIcmpv6,
} from './icmpv6.ts'
import { Mac } from './mac.ts'

export const ND_OPT_SOURCE_MAC = 1
export const ND_OPT_TARGET_MAC = 2
export const ND_OPT_PREFIX = 3
export const ND_OPT_REDIRECTED = 4
export const ND_OPT_MTU = 5
/** RFC 3971 section 5.3.2, as RFC 7527 uses it. */
export const ND_OPT_NONCE = 14
export const ND_OPT_ROUTE = 24
export const ND_OPT_RDNSS = 25
export const ND_OPT_DNSSL = 31

/** Flags in the second word of a neighbor advertisement. */
export const NA_ROUTER = 0x80000000 | 0
export const NA_SOLICITED = 0x40000000
export const NA_OVERRIDE = 0x20000000

/** A lifetime, in seconds, that never ends. */
export const ND_INFINITE = 0xffffffff

const TARGET_LEN = ICMPV6_HEADER_LEN + 16
const REDIRECT_LEN = ICMPV6_HEADER_LEN + 32
const ROUTER_ADVERT_LEN = 16
const MAC_OPTION_LEN = 8
const NONCE_LEN = 6

/** Of the things that a router may list, so many of each are looked at; no honest one lists more. */
const MAX_LISTED = 64

/** RFC 4191 section 2.1; a reserved value is no preference ('medium') of a router, and no route at all. */
export type RouterPreference = 'low' | 'medium' | 'high'

/** Lifetimes are in seconds. */
export interface PrefixInformation {
  readonly prefix: Prefix
  readonly onLink: boolean
  readonly autonomous: boolean
  readonly validLifetime: number
  readonly preferredLifetime: number
}

export interface RouteInformation {
  readonly prefix: Prefix
  readonly preference: RouterPreference
  readonly lifetime: number
}

export interface RecursiveServers {
  readonly addresses: readonly Address[]
  readonly lifetime: number
}

export interface SearchList {
  readonly names: readonly string[]
  readonly lifetime: number
}

export interface NdOptions {
  sourceMac?: Mac
  targetMac?: Mac
  mtu?: number
  nonce?: Uint8Array
  prefixes: PrefixInformation[]
  routes: RouteInformation[]
  rdnss: RecursiveServers[]
  dnssl: SearchList[]
}

export interface NeighborSolicit {
  readonly target: Address
  readonly sourceMac: Mac | undefined
  readonly nonce: Uint8Array | undefined
}

export interface NeighborAdvert {
  readonly target: Address
  readonly router: boolean
  readonly solicited: boolean
  readonly override: boolean
  readonly targetMac: Mac | undefined
}

export interface RouterAdvert {
  /** 0: not said. */
  readonly hopLimit: number
  readonly managed: boolean
  readonly other: boolean
  readonly preference: RouterPreference
  /** Seconds; 0: not a default router. */
  readonly lifetime: number
  /** Milliseconds; 0: not said. */
  readonly reachableTime: number
  readonly retransTimer: number
  readonly sourceMac: Mac | undefined
  readonly mtu: number | undefined
  readonly prefixes: readonly PrefixInformation[]
  readonly routes: readonly RouteInformation[]
  readonly rdnss: readonly RecursiveServers[]
  readonly dnssl: readonly SearchList[]
}

export interface Redirect {
  /** A better first hop; the destination itself if that is a neighbor. */
  readonly target: Address
  readonly dst: Address
  readonly targetMac: Mac | undefined
}

export function parseNeighborSolicit(
  bytes: Uint8Array,
  at: number,
  length: number,
): NeighborSolicit | undefined {
  const options = begin(bytes, at, length, TARGET_LEN)
  if (options === undefined) return
  const target = Address.read(bytes, at + ICMPV6_HEADER_LEN, 16)
  if (target.isMulticast) return
  return { target, sourceMac: options.sourceMac, nonce: options.nonce }
}

export function parseNeighborAdvert(
  bytes: Uint8Array,
  at: number,
  length: number,
): NeighborAdvert | undefined {
  const options = begin(bytes, at, length, TARGET_LEN)
  if (options === undefined) return
  const target = Address.read(bytes, at + ICMPV6_HEADER_LEN, 16)
  if (target.isMulticast) return
  const flags = i32(bytes, at + 4)
  return {
    target,
    router: (flags & NA_ROUTER) !== 0,
    solicited: (flags & NA_SOLICITED) !== 0,
    override: (flags & NA_OVERRIDE) !== 0,
    targetMac: options.targetMac,
  }
}

/** The sender's MAC, where it says it; undefined if the message is none. */
export function parseRouterSolicit(
  bytes: Uint8Array,
  at: number,
  length: number,
): { readonly sourceMac: Mac | undefined } | undefined {
  const options = begin(bytes, at, length, ICMPV6_HEADER_LEN)
  return options && { sourceMac: options.sourceMac }
}

export function parseRouterAdvert(
  bytes: Uint8Array,
  at: number,
  length: number,
): RouterAdvert | undefined {
  const options = begin(bytes, at, length, ROUTER_ADVERT_LEN)
  if (options === undefined) return
  const flags = bytes[at + 5]
  const { sourceMac, mtu, prefixes, routes, rdnss, dnssl } = options
  return {
    hopLimit: bytes[at + 4],
    managed: (flags & 0x80) !== 0,
    other: (flags & 0x40) !== 0,
    preference: preferenceOf(flags) ?? 'medium',
    lifetime: u16(bytes, at + 6),
    reachableTime: u32(bytes, at + 8),
    retransTimer: u32(bytes, at + 12),
    sourceMac,
    mtu,
    prefixes,
    routes,
    rdnss,
    dnssl,
  }
}

export function parseRedirect(bytes: Uint8Array, at: number, length: number): Redirect | undefined {
  const options = begin(bytes, at, length, REDIRECT_LEN)
  if (options === undefined) return
  const target = Address.read(bytes, at + ICMPV6_HEADER_LEN, 16)
  const dst = Address.read(bytes, at + ICMPV6_HEADER_LEN + 16, 16)
  // Section 8.1: the target is a router's link-local address, or the destination, which is no group.
  if (dst.isMulticast || !(isLinkLocal(target) || target.equals(dst))) return
  return { target, dst, targetMac: options.targetMac }
}

/** Length and code are as they must be, and so are the options. */
function begin(
  bytes: Uint8Array,
  at: number,
  length: number,
  least: number,
): NdOptions | undefined {
  if (length < least || bytes[at + 1] !== 0) return
  return parseNdOptions(bytes, at + least, at + length)
}

/** Those in [at, end); unknown ones, and known ones of a wrong length, are skipped. The first of a kind counts. */
export function parseNdOptions(bytes: Uint8Array, at: number, end: number): NdOptions | undefined {
  const options: NdOptions = { prefixes: [], routes: [], rdnss: [], dnssl: [] }
  while (at < end) {
    if (at + 8 > end) return
    const length = bytes[at + 1] << 3
    if (length === 0 || at + length > end) return
    takeOption(options, bytes, at, length)
    at += length
  }
  return options
}

function takeOption(options: NdOptions, bytes: Uint8Array, at: number, length: number): void {
  switch (bytes[at]) {
    case ND_OPT_SOURCE_MAC:
      if (length === MAC_OPTION_LEN) options.sourceMac ??= Mac.read(bytes, at + 2)
      break
    case ND_OPT_TARGET_MAC:
      if (length === MAC_OPTION_LEN) options.targetMac ??= Mac.read(bytes, at + 2)
      break
    case ND_OPT_PREFIX:
      if (length === 32 && bytes[at + 2] <= 128 && options.prefixes.length < MAX_LISTED)
        options.prefixes.push({
          prefix: { address: Address.read(bytes, at + 16, 16), prefixLength: bytes[at + 2] },
          onLink: (bytes[at + 3] & 0x80) !== 0,
          autonomous: (bytes[at + 3] & 0x40) !== 0,
          validLifetime: u32(bytes, at + 4),
          preferredLifetime: u32(bytes, at + 8),
        })
      break
    case ND_OPT_MTU:
      if (length === 8) options.mtu ??= u32(bytes, at + 4)
      break
    case ND_OPT_NONCE:
      options.nonce ??= bytes.slice(at + 2, at + length)
      break
    case ND_OPT_ROUTE:
      takeRoute(options, bytes, at, length)
      break
    case ND_OPT_RDNSS:
      if (length >= 24 && length % 16 === 8 && options.rdnss.length < MAX_LISTED)
        options.rdnss.push({
          addresses: Array.from({ length: (length - 8) / 16 }, (_, i) =>
            Address.read(bytes, at + 8 + 16 * i, 16),
          ),
          lifetime: u32(bytes, at + 4),
        })
      break
    case ND_OPT_DNSSL:
      if (length >= 16 && options.dnssl.length < MAX_LISTED)
        options.dnssl.push({
          names: parseNames(bytes.subarray(at + 8, at + length)) ?? [],
          lifetime: u32(bytes, at + 4),
        })
      break
  }
}

/** RFC 4191 section 2.3: as many bytes of the prefix as its length needs, or more. */
function takeRoute(options: NdOptions, bytes: Uint8Array, at: number, length: number): void {
  const prefixLength = bytes[at + 2]
  const preference = preferenceOf(bytes[at + 3])
  if (length > 24 || prefixLength > 128 || (prefixLength + 63) >> 6 > (length >> 3) - 1) return
  if (preference === undefined || options.routes.length === MAX_LISTED) return
  const prefix = new Uint8Array(16)
  prefix.set(bytes.subarray(at + 8, at + length))
  options.routes.push({
    prefix: { address: Address.read(prefix, 0, 16), prefixLength },
    preference,
    lifetime: u32(bytes, at + 4),
  })
}

const PREFERENCES = ['medium', 'high', undefined, 'low'] as const
const preferenceOf = (flags: number) => PREFERENCES[(flags >>> 3) & 3]

/** A neighbor solicitation; its length. Without `source` where the IPv6 source is unspecified (DAD). */
export function emitNeighborSolicit(
  bytes: Uint8Array,
  at: number,
  target: Address,
  source?: Mac,
  nonce?: Uint8Array,
): number {
  emitIcmpv6(bytes, at, ND_NEIGHBOR_SOLICIT, 0, 0)
  target.write(bytes, at + ICMPV6_HEADER_LEN)
  let end = at + TARGET_LEN
  if (source !== undefined) end = emitMac(bytes, end, ND_OPT_SOURCE_MAC, source)
  if (nonce !== undefined) {
    bytes[end] = ND_OPT_NONCE
    bytes[end + 1] = 1
    bytes.set(nonce.subarray(0, NONCE_LEN), end + 2)
    end += 8
  }
  return end - at
}

/** A neighbor advertisement with these flags; its length. */
export function emitNeighborAdvert(
  bytes: Uint8Array,
  at: number,
  target: Address,
  flags: number,
  mac?: Mac,
): number {
  emitIcmpv6(bytes, at, ND_NEIGHBOR_ADVERT, 0, flags)
  target.write(bytes, at + ICMPV6_HEADER_LEN)
  const end = at + TARGET_LEN
  return (mac === undefined ? end : emitMac(bytes, end, ND_OPT_TARGET_MAC, mac)) - at
}

/** A router solicitation; its length. */
export function emitRouterSolicit(bytes: Uint8Array, at: number, source?: Mac): number {
  emitIcmpv6(bytes, at, ND_ROUTER_SOLICIT, 0, 0)
  const end = at + ICMPV6_HEADER_LEN
  return (source === undefined ? end : emitMac(bytes, end, ND_OPT_SOURCE_MAC, source)) - at
}

/** A router advertisement; its length. What is not given is not said. */
export function emitRouterAdvert(
  bytes: Uint8Array,
  at: number,
  advert: Partial<RouterAdvert>,
): number {
  emitIcmpv6(bytes, at, ND_ROUTER_ADVERT, 0, 0)
  bytes[at + 4] = advert.hopLimit ?? 0
  bytes[at + 5] =
    (advert.managed ? 0x80 : 0) |
    (advert.other ? 0x40 : 0) |
    preferenceBits(advert.preference ?? 'medium')
  writeU16(bytes, at + 6, advert.lifetime ?? 0)
  writeU32(bytes, at + 8, advert.reachableTime ?? 0)
  writeU32(bytes, at + 12, advert.retransTimer ?? 0)
  let end = at + ROUTER_ADVERT_LEN
  if (advert.sourceMac !== undefined) end = emitMac(bytes, end, ND_OPT_SOURCE_MAC, advert.sourceMac)
  if (advert.mtu !== undefined) {
    writeU32(bytes, end, (ND_OPT_MTU << 24) | (1 << 16))
    writeU32(bytes, end + 4, advert.mtu)
    end += 8
  }
  for (const prefix of advert.prefixes ?? []) end = emitPrefix(bytes, end, prefix)
  for (const route of advert.routes ?? []) end = emitRoute(bytes, end, route)
  for (const { addresses, lifetime } of advert.rdnss ?? []) {
    bytes[end] = ND_OPT_RDNSS
    bytes[end + 1] = 1 + 2 * addresses.length
    writeU16(bytes, end + 2, 0)
    writeU32(bytes, end + 4, lifetime)
    for (const [i, address] of addresses.entries()) address.write(bytes, end + 8 + 16 * i)
    end += 8 + 16 * addresses.length
  }
  for (const { names, lifetime } of advert.dnssl ?? []) {
    const list = names.flatMap(name => [...(emitName(name) ?? [])])
    const length = (8 + list.length + 7) & ~7
    bytes.fill(0, end, end + length)
    bytes[end] = ND_OPT_DNSSL
    bytes[end + 1] = length >> 3
    writeU32(bytes, end + 4, lifetime)
    bytes.set(list, end + 8)
    end += length
  }
  return end - at
}

/** A redirect without the packet that it is about; its length. */
export function emitRedirect(
  bytes: Uint8Array,
  at: number,
  target: Address,
  dst: Address,
  mac?: Mac,
): number {
  emitIcmpv6(bytes, at, ND_REDIRECT, 0, 0)
  target.write(bytes, at + ICMPV6_HEADER_LEN)
  dst.write(bytes, at + ICMPV6_HEADER_LEN + 16)
  const end = at + REDIRECT_LEN
  return (mac === undefined ? end : emitMac(bytes, end, ND_OPT_TARGET_MAC, mac)) - at
}

function emitMac(bytes: Uint8Array, at: number, type: number, mac: Mac): number {
  bytes[at] = type
  bytes[at + 1] = 1
  mac.write(bytes, at + 2)
  return at + MAC_OPTION_LEN
}

function emitPrefix(bytes: Uint8Array, at: number, info: PrefixInformation): number {
  bytes[at] = ND_OPT_PREFIX
  bytes[at + 1] = 4
  bytes[at + 2] = info.prefix.prefixLength
  bytes[at + 3] = (info.onLink ? 0x80 : 0) | (info.autonomous ? 0x40 : 0)
  writeU32(bytes, at + 4, info.validLifetime)
  writeU32(bytes, at + 8, info.preferredLifetime)
  writeU32(bytes, at + 12, 0)
  info.prefix.address.write(bytes, at + 16)
  return at + 32
}

function emitRoute(bytes: Uint8Array, at: number, route: RouteInformation): number {
  bytes[at] = ND_OPT_ROUTE
  bytes[at + 1] = 3
  bytes[at + 2] = route.prefix.prefixLength
  bytes[at + 3] = preferenceBits(route.preference)
  writeU32(bytes, at + 4, route.lifetime)
  route.prefix.address.write(bytes, at + 8)
  return at + 24
}

const preferenceBits = (preference: RouterPreference): number =>
  PREFERENCES.indexOf(preference) << 3
