// How a stack is to be configured: what the command line and an iothconf string say, in one form. All of it is text and
// numbers, so that it goes to another process or thread as JSON. Each parser throws one sentence; `what` is the option
// as the user wrote it, to begin the sentence with.
import { UserError } from '../base/user-error.ts'
import { Address, isLinkLocal, maskV4 } from '../wire/address.ts'
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Prefix,
} from '../wire/address-text.ts'
import { isName } from '../wire/domain-name.ts'
import { formatMac, parseMac as macOf } from '../wire/mac.ts'
import type { Tuning } from './tcp-tuning.ts'

export interface RouteSettings {
  /** `A/LEN` */
  readonly destination: string
  /** Undefined: on the link. */
  readonly gateway: string | undefined
  readonly metric: number
}

/** Where the last 64 bits of a stateless address come from. */
export type IdentifierKind = 'eui64' | 'stable' | 'hash'

export interface Settings {
  mac: string | undefined
  /** What DHCP servers are told, what 'hash' hashes. */
  name: string | undefined
  /** `A/LEN`, of both families. */
  addresses: string[]
  routes: RouteSettings[]
  dhcp: boolean
  /** Listens to IPv6 routers: routes, mtu, DNS servers. */
  routers: boolean
  /** Makes addresses from their prefixes, and how; undefined: does not. */
  slaac: IdentifierKind | undefined
  /** 'routers': if, and as, a router says. */
  dhcp6: 'no' | 'routers' | 'yes'
  mtu: number | undefined
  tcp: Tuning
  dns: string[]
  search: string[]
  /** resolv.conf(5)'s options. */
  dnsOptions: string[]
}

export const noSettings = (): Settings => ({
  mac: undefined,
  name: undefined,
  addresses: [],
  routes: [],
  dhcp: false,
  routers: false,
  slaac: undefined,
  dhcp6: 'no',
  mtu: undefined,
  tcp: {},
  dns: [],
  search: [],
  dnsOptions: [],
})

/** Does it use IPv6 on the link? */
export const usesIpv6 = ({ addresses, routers, dhcp6 }: Settings): boolean =>
  routers || dhcp6 === 'yes' || addresses.some(address => address.includes(':'))

const refuse = (what: string, why: string): never => {
  throw new UserError(`cannot use ${what}: ${why}`)
}

/** `10.0.0.5`, `10.0.0.5/24`, `fd00::5/64`: an address of ours. */
export function parseOwnAddress(what: string, text: string): string {
  const prefix = parsePrefix(text, 24, 64) ?? refuseNoPrefix(what, text)
  const { address, prefixLength } = prefix
  if (prefixLength === 0) refusePrefixLength(what, address)
  if (address.isV4 && text.includes(':')) refuse(what, 'write an IPv4 address as 10.0.0.5')
  const why = unfitForHost(address) ?? unfitInPrefix(prefix)
  if (why !== undefined) refuse(what, why)
  return formatPrefix(prefix)
}

const refusePrefixLength = (what: string, { isV4 }: Address): never =>
  refuse(what, `the prefix length is 1 to ${isV4 ? 32 : 128}`)

function refuseNoPrefix(what: string, text: string): never {
  const [, host] = /^(.*)\/\d+$/.exec(text) ?? []
  const address = host === undefined ? undefined : parseAddress(host)
  if (address !== undefined) return refusePrefixLength(what, address)
  return refuse(what, 'not an IP address (write 10.0.0.5, 10.0.0.5/24 or fd00::5/64)')
}

/** Why no host may have this address (RFC 1122 section 3.2.1.3, RFC 4291 section 2), if so. */
function unfitForHost(address: Address): string | undefined {
  if (address.isV4 && address.d >>> 24 === 0)
    return 'addresses that begin with 0 mean "this network"'
  if (address.isUnspecified) return 'it means "no address"'
  if (address.isLoopback)
    return `${address.isV4 ? '127.0.0.0/8' : '::1'} is the loopback, which every program has anyway`
  if (address.isMulticast) return 'it is a multicast address'
  if (address.isV4 && address.d >>> 24 >= 240) return 'addresses from 240.0.0.0 on are reserved'
  return undefined
}

/** The first and the last address of an IPv4 network are nobody's (RFC 3021: but for /31). */
function unfitInPrefix({ address, prefixLength }: Prefix): string | undefined {
  if (!address.isV4 || prefixLength > 30) return undefined
  const host = address.d & ~maskV4(prefixLength)
  if (host === 0) return 'it is the address of its network'
  return host === ~maskV4(prefixLength) ? 'it is the broadcast address of its network' : undefined
}

/** A router's address; whether it is on the link is for checkSettings(). */
export function parseRouter(what: string, text: string): string {
  const gateway = parseAddress(text)
  if (gateway === undefined || (gateway.isV4 && text.includes(':')))
    return refuse(what, 'not an IP address (write 10.0.0.1 or fe80::1)')
  const why = unfitForHost(gateway)
  if (why !== undefined) refuse(what, why)
  return formatAddress(gateway)
}

export const defaultRoute = (gateway: string): RouteSettings => ({
  destination: gateway.includes(':') ? '::/0' : '0.0.0.0/0',
  gateway,
  metric: 0,
})

const ROUTE_FORM =
  'write "10.1.0.0/16 via 10.0.0.1", "default via fe80::1" or "10.2.0.0/16 metric 5"'

/** `PREFIX [via GATEWAY] [metric N]`, in iproute2's words. */
export function parseRoute(what: string, text: string): RouteSettings {
  const [to, ...words] = text.trim().split(/\s+/)
  let gateway: string | undefined
  let metric = 0
  while (words.length > 0) {
    const [word, value] = words.splice(0, 2)
    if (value === undefined) refuse(what, `"${word}" needs a value (${ROUTE_FORM})`)
    if (word === 'via' && gateway === undefined) gateway = parseRouter(what, value)
    else if (word === 'metric' && /^[0-9]{1,10}$/.test(value) && Number(value) < 2 ** 32)
      metric = Number(value)
    else refuse(what, `cannot understand "${word} ${value}" (${ROUTE_FORM})`)
  }
  if (to === 'default') {
    if (gateway === undefined)
      return refuse(what, `a default route needs a gateway (${ROUTE_FORM})`)
    return { ...defaultRoute(gateway), metric }
  }
  const destination = parsePrefix(to) ?? refuse(what, `"${to}" is no prefix (${ROUTE_FORM})`)
  const { address, prefixLength } = destination
  if (!address.matches(networkOf(destination), address.isV4 ? 32 : 128))
    refuse(what, `${to} has bits beyond its first ${prefixLength}`)
  if (address.isMulticast || address.isLoopback)
    refuse(what, `no route leads to ${formatPrefix(destination)}`)
  if (gateway !== undefined && gateway.includes(':') === address.isV4)
    refuse(what, `${gateway} is of another family than ${to}`)
  return { destination: formatPrefix(destination), gateway, metric }
}

/** `address` with zeros beyond the prefix. */
function networkOf({ address, prefixLength }: Prefix): Address {
  const { a, b, c, d, isV4 } = address
  const mask = (i: number) => maskV4(Math.min(Math.max(prefixLength - 32 * i, 0), 32))
  if (isV4) return Address.v4(d & mask(0))
  return new Address(a & mask(0), b & mask(1), c & mask(2), d & mask(3))
}

export function parseMac(what: string, text: string): string {
  const mac = text.includes('-') ? undefined : macOf(text)
  if (mac === undefined) return refuse(what, 'not an Ethernet address (write 02:00:00:00:00:05)')
  if (mac.isGroup) refuse(what, 'it is a multicast address (02:… is private)')
  if (mac.isZero) refuse(what, "it is nobody's (02:… is private)")
  return formatMac(mac)
}

/** Against the link's it is checked when that is known. */
export function parseMtu(what: string, text: string): number {
  const mtu = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (mtu < 68 || mtu > 65_535) refuse(what, 'an mtu is 68 to 65535, and with IPv6 at least 1280')
  return mtu
}

/** A host's name, with or without its domain. */
export function parseName(what: string, text: string): string {
  if (!isName(text)) refuse(what, 'not a host name (write www.example.org)')
  return text.replace(/\.$/, '')
}

/** A DNS server's address. */
export function parseServer(what: string, text: string): string {
  const address = parseAddress(text)
  if (address === undefined || address.isUnspecified || address.isMulticast)
    return refuse(what, 'not the address of a server (write 10.0.0.53)')
  return formatAddress(address)
}

/** Words of resolv.conf(5)'s options, and whether they have a number. */
const DNS_OPTIONS = new Map<string, boolean>([
  ['ndots', true],
  ['timeout', true],
  ['attempts', true],
  ['rotate', false],
  ['single-request', false],
  ['single-request-reopen', false],
  ['use-vc', false],
  ['edns0', false],
  ['trust-ad', false],
  ['no-aaaa', false],
])

/** `ndots:2`, `rotate`. */
export function parseDnsOption(what: string, text: string): string {
  const [, word = '', number] = /^([a-z0-9-]+)(?::([0-9]{1,3}))?$/.exec(text) ?? []
  if (DNS_OPTIONS.get(word) !== (number !== undefined))
    refuse(
      what,
      `no such option (${[...DNS_OPTIONS].map(([w, n]) => w + (n ? ':N' : '')).join(' ')})`,
    )
  return text
}

const IP6_FORM = 'write auto, auto,stable, auto,hash or fd00::5/64'

/** `auto[,eui64|,stable|,hash]`, or an address. */
export function takeIp6(settings: Settings, what: string, text: string): void {
  const [auto, ...how] = text.split(',')
  if (auto !== 'auto') {
    const prefix = parsePrefix(text, 24, 64)
    if (prefix === undefined || !text.includes(':'))
      refuse(what, `not an IPv6 address (${IP6_FORM})`)
    settings.addresses.push(parseOwnAddress(what, text))
    return
  }
  const [kind = 'eui64'] = how
  if (how.length > 1 || (kind !== 'eui64' && kind !== 'stable' && kind !== 'hash'))
    return refuse(what, `there is no such identifier (${IP6_FORM})`)
  settings.routers = true
  settings.slaac = kind
  settings.dhcp6 = 'routers'
}

/** What only all options together show to be wrong. */
export function checkSettings(settings: Settings): void {
  const { addresses, routes, name, slaac, mtu } = settings
  if (slaac === 'hash' && name === undefined)
    throw new UserError('cannot make an address from a name: there is none (give --name)')
  if (mtu !== undefined && mtu < 1280 && usesIpv6(settings))
    throw new UserError(`cannot use mtu ${mtu} with IPv6: it needs 1280`)
  const own = addresses.map(text => parsePrefix(text)!)
  for (const [i, text] of addresses.entries())
    if (own.some((prefix, k) => k < i && prefix.address.equals(own[i].address)))
      throw new UserError(`cannot use ${text}: the address is given twice`)
  for (const { gateway } of routes) if (gateway !== undefined) checkGateway(gateway, own, settings)
}

/** On one of our networks, unless only DHCP or a router will tell what our networks are. */
function checkGateway(text: string, own: readonly Prefix[], settings: Settings): void {
  const gateway = parseAddress(text)!
  const what = `gateway ${text}`
  if (own.some(({ address }) => address.equals(gateway)))
    refuse(what, "it is the program's own address")
  if (gateway.isV4 ? settings.dhcp : settings.routers || isLinkLocal(gateway)) return
  const family = own.filter(({ address }) => address.isV4 === gateway.isV4)
  if (family.some(({ address, prefixLength }) => address.matches(gateway, prefixLength))) return
  refuse(
    what,
    family.length > 0
      ? `it is not on the network of --ip ${family.map(formatPrefix).join(' ')}`
      : 'it needs an --ip on its network',
  )
}
