// The stack's routes as rtnetlink(7) knows them, in the order in which Linux tells them. The core keeps the main table only; what
// it knows without a table (loopback, its own and broadcast addresses, link-local and group destinations) is shown as the
// entries of Linux that say the same.
import {
  LOOPBACK_INDEX,
  NIC_INDEX,
  type Route,
  type RouteOrigin,
  type Stack,
} from '../stack/stack.ts'
import { Address, LOOPBACK_V4, LOOPBACK_V6, isLinkLocal, maskV4 } from '../wire/address.ts'
import { SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE } from './interfaces.ts'

export const TABLE_MAIN = 254
export const TABLE_LOCAL = 255
export const RTN_UNICAST = 1
export const RTN_LOCAL = 2
export const RTN_BROADCAST = 3
export const RTN_MULTICAST = 5
export const RTPROT_REDIRECT = 1
export const RTPROT_KERNEL = 2
export const RTPROT_BOOT = 3
export const RTPROT_RA = 9
export const RTPROT_DHCP = 16

const PROTOCOL: Record<RouteOrigin, number> = {
  connected: RTPROT_KERNEL,
  static: RTPROT_BOOT,
  'router-advertisement': RTPROT_RA,
  redirect: RTPROT_REDIRECT,
  dhcp: RTPROT_DHCP,
}
/** IP6_RT_PRIO_USER and IP6_RT_PRIO_KERN of Linux. */
export const METRIC6_USER = 1024
const METRIC6_KERNEL = 256

export interface RouteView {
  /** Host bits are 0. */
  readonly destination: Address
  readonly prefixLength: number
  readonly gateway: Address | undefined
  readonly source: Address | undefined
  /** The interface's. */
  readonly index: number
  readonly metric: number
  /** TABLE_*. */
  readonly table: number
  /** RTPROT_*. */
  readonly protocol: number
  readonly scope: number
  /** RTN_*. */
  readonly type: number
  /** Seconds from now; Infinity: for ever. */
  readonly expires: number
}

/** IPv4's, then IPv6's; of each the main table before the local one. `now`: ms of the stack's clock. */
export function routes(stack: Stack, now: number): RouteView[] {
  const { ipv4, ipv6 } = stack
  const main4 = ipv4.routes.all.filter(route => !isOwnAddress(route)).map(r => route(r, now))
  const main6 = ipv6.routes.all.map(r => route(r, now))
  return [
    ...main4.sort(inOrder),
    ...local4(stack).sort(inOrder),
    ...[...main6, ...linkLocal6(stack)].sort(inOrder6),
    ...local6(stack).sort(inOrder6),
  ]
}

/** An address of /32 has no network, and no route in Linux's main table. */
const isOwnAddress = ({ origin, destination }: Route) =>
  origin === 'connected' && destination.prefixLength === 32

/** One of the main table. */
export function route(r: Route, now: number): RouteView {
  const { destination, gateway, source, origin } = r
  const { isV4 } = destination.address
  const onLink = gateway === undefined
  const known = origin === 'router-advertisement' && onLink ? RTPROT_KERNEL : PROTOCOL[origin]
  return {
    destination: network(destination.address, destination.prefixLength),
    prefixLength: destination.prefixLength,
    gateway,
    source,
    index: NIC_INDEX,
    metric: isV4 ? r.metric : r.metric || METRIC6_USER,
    table: TABLE_MAIN,
    protocol: r.protocol ?? known,
    scope: isV4 && onLink ? SCOPE_LINK : SCOPE_UNIVERSE,
    type: RTN_UNICAST,
    expires: Math.max(0, Math.round((r.expires - now) / 1000)),
  }
}

/** The address without its host part. */
export function network(address: Address, length: number): Address {
  if (address.isV4) return Address.v4(address.d & maskV4(length))
  const word = (i: number) => address.word(i) & maskV4(Math.min(Math.max(length - 32 * i, 0), 32))
  return new Address(word(0), word(1), word(2), word(3))
}

function local(
  type: number,
  destination: Address,
  prefixLength: number,
  source: Address | undefined,
  index: number,
  metric = 0,
): RouteView {
  const scope = type === RTN_LOCAL ? SCOPE_HOST : SCOPE_LINK
  return {
    destination,
    prefixLength,
    gateway: undefined,
    source,
    index,
    metric,
    table: TABLE_LOCAL,
    protocol: RTPROT_KERNEL,
    scope: destination.isV4 ? scope : SCOPE_UNIVERSE,
    type,
    expires: Infinity,
  }
}

function local4({ ipv4 }: Stack): RouteView[] {
  const lo = LOOPBACK_V4
  const list = [
    local(RTN_LOCAL, Address.v4(0x7f000000), 8, lo, LOOPBACK_INDEX),
    local(RTN_LOCAL, lo, 32, lo, LOOPBACK_INDEX),
    local(RTN_BROADCAST, Address.v4(0x7fffffff), 32, lo, LOOPBACK_INDEX),
  ]
  for (const { address, broadcast, isAssigned } of ipv4.addresses.all) {
    if (!isAssigned) continue
    list.push(local(RTN_LOCAL, address, 32, address, NIC_INDEX))
    if (broadcast === undefined) continue
    list.push(local(RTN_BROADCAST, Address.v4(broadcast), 32, address, NIC_INDEX))
  }
  return list
}

function local6({ ipv6 }: Stack): RouteView[] {
  const list = [local(RTN_LOCAL, LOOPBACK_V6, 128, undefined, LOOPBACK_INDEX)]
  const own = ipv6.addresses.all.filter(({ isAssigned }) => isAssigned)
  for (const { address } of own) list.push(local(RTN_LOCAL, address, 128, undefined, NIC_INDEX))
  if (ipv6.addresses.all.length > 0)
    list.push(local(RTN_MULTICAST, GROUPS_V6, 8, undefined, NIC_INDEX, METRIC6_KERNEL))
  return list
}

const GROUPS_V6 = new Address(0xff000000, 0, 0, 0)
const LINK_LOCAL = new Address(0xfe800000, 0, 0, 0)

function linkLocal6({ ipv6 }: Stack): RouteView[] {
  if (!ipv6.addresses.all.some(({ address }) => isLinkLocal(address))) return []
  const destination = { address: LINK_LOCAL, prefixLength: 64 }
  const rest = { gateway: undefined, source: undefined, metric: METRIC6_KERNEL, expires: Infinity }
  return [route({ destination, origin: 'connected', ...rest }, 0)]
}

const byAddress = (a: Address, b: Address): number =>
  (a.a >>> 0) - (b.a >>> 0) ||
  (a.b >>> 0) - (b.b >>> 0) ||
  (a.c >>> 0) - (b.c >>> 0) ||
  (a.d >>> 0) - (b.d >>> 0)

/** As fib_trie walks: by address, the longer prefix first. */
const inOrder = (a: RouteView, b: RouteView): number =>
  byAddress(a.destination, b.destination) || b.prefixLength - a.prefixLength || a.metric - b.metric

/** As fib6 walks: the default route is the root, told last. */
const inOrder6 = (a: RouteView, b: RouteView): number =>
  Number(a.prefixLength === 0) - Number(b.prefixLength === 0) || inOrder(a, b)

/** Where a datagram to `dst` goes. */
export interface WayView {
  readonly type: number
  readonly index: number
  readonly gateway: Address | undefined
  readonly source: Address
  /** The entry of the main table that leads there. */
  readonly route: Route | undefined
}

/** The way to `dst` from `src` (unspecified: any of ours), or a negative errno. */
export function wayTo(stack: Stack, src: Address, dst: Address): WayView | number {
  const family = dst.isV4 ? stack.ipv4 : stack.ipv6
  const chosen = src.isUnspecified ? stack.source(dst) : src
  if (typeof chosen === 'number') return chosen
  const none = { gateway: undefined, source: chosen, route: undefined }
  if (stack.isLocal(dst)) return { ...none, type: RTN_LOCAL, index: LOOPBACK_INDEX }
  if (dst.isMulticast) return { ...none, type: RTN_MULTICAST, index: NIC_INDEX }
  if (dst.isV4 && stack.ipv4.isBroadcast(dst.d))
    return { ...none, type: RTN_BROADCAST, index: NIC_INDEX }
  const path = stack.path(chosen, dst)
  if (typeof path === 'number') return path
  const found = family.routes.lookup(dst)
  return {
    type: RTN_UNICAST,
    index: NIC_INDEX,
    gateway: found?.gateway,
    source: chosen,
    route: found,
  }
}
