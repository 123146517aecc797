// RTM_*ROUTE (rtnetlink(7)): the main table, which can be changed, and what Linux would have in its local one. Other tables,
// and kinds of routes that the stack has no use for, are refused rather than forgotten.
import { EEXIST, EINVAL, ENETUNREACH, ENODEV, ENOENT, EOPNOTSUPP, ESRCH } from '../base/errno.ts'
import { LOOPBACK_INDEX, NIC_INDEX, type Route } from '../stack/stack.ts'
import {
  METRIC6_USER,
  RTN_LOCAL,
  RTN_UNICAST,
  RTPROT_BOOT,
  type RouteView,
  TABLE_LOCAL,
  TABLE_MAIN,
  type WayView,
  network,
  route as viewOfRoute,
  routes,
  wayTo,
} from '../view/routes.ts'
import { type Address, ANY_V4, ANY_V6 } from '../wire/address.ts'
import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Attributes,
  type NetlinkMessage,
  attribute,
  attributesIn,
  concat,
  i32s,
  u32In,
  u8s,
  viewOf,
} from '../wire/netlink.ts'
import {
  AF_INET,
  AF_INET6,
  type Answer,
  type Context,
  type Handlers,
  NOTHING,
  type Refusal,
  addressAttribute,
  addressIn,
  familyOf,
  interfaceAt,
  isOf,
  refuse,
} from './request.ts'

export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
const RTM_GETROUTE = 26
/** struct rtmsg. */
const RTMSG_LEN = 12

const RTA_DST = 1
const RTA_SRC = 2
const RTA_IIF = 3
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_PREFSRC = 7
const RTA_METRICS = 8
const RTA_MULTIPATH = 9
const RTA_FLOW = 11
const RTA_CACHEINFO = 12
const RTA_TABLE = 15
const RTA_VIA = 18
const RTA_ENCAP = 22
const RTA_PREF = 20
const RTA_UID = 25
const RTA_NH_ID = 30
/** Attributes whose meaning would be lost. */
const BEYOND_US = [RTA_SRC, RTA_METRICS, RTA_MULTIPATH, RTA_FLOW, RTA_VIA, RTA_ENCAP, RTA_NH_ID]

const RTM_F_CLONED = 0x200
const RTM_F_FIB_MATCH = 0x2000
const RTNH_F_ONLINK = 4
const RTNH_F_LINKDOWN = 16
const RTCF_LOCAL = 0x80000000
const RT_SCOPE_NOWHERE = 255
/** USER_HZ: lifetimes of IPv6 routes are told in these. */
const TICKS = 100
/** So many may be added; each look-up walks the table. */
const MOST = 1024

/** A route as RTM_NEWROUTE tells it. */
export function routeBody(r: RouteView, down: boolean): Uint8Array {
  const { isV4 } = r.destination
  const linkDown = down && r.index === NIC_INDEX && r.type === RTN_UNICAST
  return concat([
    u8s(familyOf(r.destination), r.prefixLength, 0, 0, r.table, r.protocol, r.scope, r.type),
    i32s(linkDown ? RTNH_F_LINKDOWN : 0),
    attribute(RTA_TABLE, i32s(r.table)),
    r.prefixLength === 0 ? NOTHING : addressAttribute(RTA_DST, r.destination),
    isV4 && r.metric === 0 ? NOTHING : attribute(RTA_PRIORITY, i32s(r.metric)),
    addressAttribute(RTA_PREFSRC, r.source),
    addressAttribute(RTA_GATEWAY, r.gateway),
    attribute(RTA_OIF, i32s(r.index)),
    isV4 ? NOTHING : concat([cacheInfo(r.expires), attribute(RTA_PREF, u8s(0))]),
  ])
}

/** struct rta_cacheinfo. */
const cacheInfo = (seconds: number) =>
  attribute(RTA_CACHEINFO, i32s(0, 0, seconds === Infinity ? 0 : seconds * TICKS, 0, 0, 0, 0, 0))

function dump(context: Context, { body }: NetlinkMessage): Iterable<Answer> | Refusal {
  const { stack, now, strict } = context
  if (body.length < RTMSG_LEN) return answers(routes(stack, now).filter(ofFamily(body[0])), false)
  const view = viewOf(body)
  // Cached ways: Linux has none, either, since 3.6.
  if ((view.getUint32(8, true) & RTM_F_CLONED) !== 0) return []
  let list = routes(stack, now).filter(ofFamily(body[0]))
  if (strict) {
    const attributes = attributesIn(body, RTMSG_LEN)
    const table = u32In(attributes.get(RTA_TABLE)) ?? body[4]
    const index = u32In(attributes.get(RTA_OIF)) ?? 0
    if (table !== 0 && table !== TABLE_MAIN && table !== TABLE_LOCAL)
      return refuse(-ENOENT, `ipv${body[0] === AF_INET ? 4 : 6}: FIB table does not exist`)
    list = list.filter(
      r =>
        (table === 0 || r.table === table) &&
        (index === 0 || r.index === index) &&
        (body[5] === 0 || r.protocol === body[5]) &&
        (body[7] === 0 || r.type === body[7]),
    )
  }
  return answers(list, stack.nic.sink === undefined)
}

const ofFamily = (family: number) => (r: RouteView) => isOf(family, r.destination)

function* answers(list: readonly RouteView[], down: boolean): Generator<Answer> {
  for (const r of list) yield { type: RTM_NEWROUTE, body: routeBody(r, down) }
}

// ---- ip route get

function get(context: Context, { body }: NetlinkMessage): Answer | Refusal {
  const { stack, now } = context
  if (body.length < RTMSG_LEN) return refuse(-EINVAL)
  const [family] = body
  if (family !== AF_INET && family !== AF_INET6) return refuse(-EOPNOTSUPP)
  const attributes = attributesIn(body, RTMSG_LEN)
  const any = family === AF_INET ? ANY_V4 : ANY_V6
  const dst = addressIn(attributes.get(RTA_DST), family) ?? any
  const src = addressIn(attributes.get(RTA_SRC), family) ?? any
  if (attributes.has(RTA_IIF)) return refuse(-EOPNOTSUPP)
  const index = u32In(attributes.get(RTA_OIF)) ?? 0
  if (index !== 0 && interfaceAt(stack, index) === undefined) return refuse(-ENODEV)
  const way = wayTo(stack, src, dst)
  if (typeof way === 'number') return refuse(way)
  if (index === LOOPBACK_INDEX && way.index !== index) return refuse(-ENETUNREACH)
  const flags = viewOf(body).getUint32(8, true)
  if ((flags & RTM_F_FIB_MATCH) !== 0 && way.route !== undefined)
    return { type: RTM_NEWROUTE, body: routeBody(viewOfRoute(way.route, now), false) }
  const told = family === AF_INET ? wayBody4(dst, way) : wayBody6(dst, src, way, now)
  return { type: RTM_NEWROUTE, body: told }
}

function wayBody4(dst: Address, way: WayView): Uint8Array {
  return concat([
    u8s(AF_INET, 32, 0, 0, TABLE_MAIN, 0, 0, way.type),
    i32s(RTM_F_CLONED | (way.type === RTN_LOCAL ? RTCF_LOCAL : 0)),
    attribute(RTA_TABLE, i32s(TABLE_MAIN)),
    addressAttribute(RTA_DST, dst),
    attribute(RTA_OIF, i32s(way.index)),
    addressAttribute(RTA_PREFSRC, way.source),
    addressAttribute(RTA_GATEWAY, way.gateway),
    attribute(RTA_UID, i32s(0)),
    cacheInfo(Infinity),
  ])
}

function wayBody6(dst: Address, src: Address, way: WayView, now: number): Uint8Array {
  const entry = way.route && viewOfRoute(way.route, now)
  const local = way.type === RTN_LOCAL
  const table = local ? TABLE_LOCAL : TABLE_MAIN
  return concat([
    u8s(AF_INET6, 128, 128, 0, table, entry?.protocol ?? KERNEL, 0, way.type),
    i32s(0),
    attribute(RTA_TABLE, i32s(table)),
    addressAttribute(RTA_DST, dst),
    addressAttribute(RTA_SRC, src),
    attribute(RTA_OIF, i32s(way.index)),
    addressAttribute(RTA_PREFSRC, way.source),
    addressAttribute(RTA_GATEWAY, way.gateway),
    attribute(RTA_PRIORITY, i32s(entry?.metric ?? (local ? 0 : 256))),
    cacheInfo(entry?.expires ?? Infinity),
    attribute(RTA_PREF, u8s(0)),
  ])
}

const KERNEL = 2

// ---- orders

/** What an order says, checked. */
interface Order {
  readonly family: number
  readonly destination: Address
  readonly prefixLength: number
  readonly gateway: Address | undefined
  readonly source: Address | undefined
  readonly metric: number
  readonly protocol: number
  readonly scope: number
  readonly onLink: boolean
}

function orderIn({ stack }: Context, body: Uint8Array): Order | Refusal {
  if (body.length < RTMSG_LEN) return refuse(-EINVAL)
  const [family, prefixLength, srcLength, tos, table, protocol, scope, type] = body
  if (family !== AF_INET && family !== AF_INET6) return refuse(-EOPNOTSUPP)
  if (prefixLength > (family === AF_INET ? 32 : 128))
    return refuse(-EINVAL, 'Invalid prefix length')
  const attributes = attributesIn(body, RTMSG_LEN)
  const whole = u32In(attributes.get(RTA_TABLE)) ?? table
  if (whole !== 0 && whole !== TABLE_MAIN) return refuse(-EOPNOTSUPP, 'There is no other table')
  if (srcLength !== 0 || tos !== 0 || BEYOND_US.some(attribute => attributes.has(attribute)))
    return refuse(-EOPNOTSUPP)
  if (type !== 0 && type !== RTN_UNICAST) return refuse(-EOPNOTSUPP)
  const any = family === AF_INET ? ANY_V4 : ANY_V6
  const address = addressOf(attributes, RTA_DST, family) ?? any
  const gateway = addressOf(attributes, RTA_GATEWAY, family)
  const source = addressOf(attributes, RTA_PREFSRC, family)
  if (address === 'bad' || gateway === 'bad' || source === 'bad') return refuse(-EINVAL)
  const destination = network(address, prefixLength)
  if (family === AF_INET && !destination.equals(address))
    return refuse(-EINVAL, 'Invalid prefix for given prefix length')
  const index = u32In(attributes.get(RTA_OIF)) ?? 0
  if (index !== 0 && interfaceAt(stack, index) === undefined) return refuse(-ENODEV)
  if (index === LOOPBACK_INDEX) return refuse(-EOPNOTSUPP)
  return {
    family,
    destination,
    prefixLength,
    gateway,
    source,
    metric: u32In(attributes.get(RTA_PRIORITY)) ?? 0,
    protocol,
    scope,
    onLink: (viewOf(body).getUint32(8, true) & RTNH_F_ONLINK) !== 0,
  }
}

function addressOf(attributes: Attributes, type: number, family: number) {
  const bytes = attributes.get(type)
  return bytes === undefined ? undefined : (addressIn(bytes, family) ?? 'bad')
}

const tableOf = ({ stack }: Context, { family }: Order) =>
  (family === AF_INET ? stack.ipv4 : stack.ipv6).routes

function add(context: Context, { flags, body }: NetlinkMessage): Refusal | undefined {
  const order = orderIn(context, body)
  if ('errno' in order) return order
  const { destination, prefixLength, gateway, source, family, protocol } = order
  const { stack } = context
  const metric = order.metric || (family === AF_INET ? 0 : METRIC6_USER)
  if (gateway !== undefined && !order.onLink && !stack.isNeighbor(gateway))
    return family === AF_INET
      ? refuse(-ENETUNREACH, 'Nexthop has invalid gateway')
      : refuse(-ENETUNREACH)
  if (source !== undefined && !stack.isLocal(source))
    return refuse(-EINVAL, family === AF_INET ? 'Invalid prefsrc address' : undefined)
  const table = tableOf(context, order)
  const route: Route = {
    destination: { address: destination, prefixLength },
    gateway,
    source,
    metric,
    origin: 'static',
    protocol: protocol === 0 || protocol === RTPROT_BOOT ? undefined : protocol,
    expires: Infinity,
  }
  const sameKey = (r: Route) => isTo(r, order) && viewOfRoute(r, 0).metric === metric
  const known = table.all.find(sameKey)
  if (known === undefined && (flags & NLM_F_CREATE) === 0) return refuse(-ENOENT)
  if (known !== undefined) {
    if ((flags & NLM_F_EXCL) !== 0) return refuse(-EEXIST)
    if ((flags & NLM_F_REPLACE) !== 0) table.remove(r => r === known)
    else if ((flags & NLM_F_APPEND) === 0 || table.all.some(r => sameKey(r) && isVia(r, gateway)))
      return refuse(-EEXIST)
  }
  if (table.all.length >= MOST) return refuse(-EINVAL, 'There are too many routes')
  table.add(route)
  return undefined
}

function remove(context: Context, { body }: NetlinkMessage): Refusal | undefined {
  const order = orderIn(context, body)
  if ('errno' in order) return order
  const { gateway, source, metric, protocol, scope, family } = order
  const table = tableOf(context, order)
  const victim = table.all.find(r => {
    const view = viewOfRoute(r, 0)
    return (
      isTo(r, order) &&
      (gateway === undefined || isVia(r, gateway)) &&
      (source === undefined || r.source?.equals(source) === true) &&
      (metric === 0 || view.metric === metric) &&
      (protocol === 0 || view.protocol === protocol) &&
      (family === AF_INET6 || scope === RT_SCOPE_NOWHERE || view.scope === scope)
    )
  })
  if (victim === undefined) return refuse(-ESRCH)
  table.remove(r => r === victim)
  return undefined
}

const isTo = ({ destination }: Route, order: Order): boolean =>
  destination.prefixLength === order.prefixLength &&
  destination.address.matches(order.destination, order.prefixLength)

const isVia = ({ gateway }: Route, other: Address | undefined): boolean =>
  gateway === undefined ? other === undefined : other !== undefined && gateway.equals(other)

export const ROUTE_HANDLERS: Handlers = {
  [RTM_NEWROUTE]: { act: add },
  [RTM_DELROUTE]: { act: remove },
  [RTM_GETROUTE]: { act: get, dump },
}
