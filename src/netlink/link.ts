// RTM_*LINK (rtnetlink(7)): interfaces. There are two, none can be made; the link's mtu can be set, and whether it is up.
import { EEXIST, EINVAL, ENODEV, EOPNOTSUPP } from '../base/errno.ts'
import { type InterfaceView, IFF_LOOPBACK, IFF_UP, interfaces } from '../view/interfaces.ts'
import {
  NLM_F_EXCL,
  NLM_F_CREATE,
  type Attributes,
  type NetlinkMessage,
  attribute,
  attributesIn,
  concat,
  i32s,
  textIn,
  u32In,
  u64s,
  u8s,
  viewOf,
  zeroEnded,
} from '../wire/netlink.ts'
import { type Answer, type Context, type Handlers, type Refusal, refuse } from './request.ts'

export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
const RTM_GETLINK = 18
const RTM_SETLINK = 19
/** struct ifinfomsg. */
const IFINFOMSG_LEN = 16

const IFLA_ADDRESS = 1
const IFLA_BROADCAST = 2
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_QDISC = 6
const IFLA_STATS = 7
const IFLA_TXQLEN = 13
const IFLA_OPERSTATE = 16
const IFLA_LINKMODE = 17
const IFLA_STATS64 = 23
const IFLA_AF_SPEC = 26
const IFLA_GROUP = 27
const IFLA_EXT_MASK = 29
const IFLA_PROMISCUITY = 30
const IFLA_NUM_TX_QUEUES = 31
const IFLA_NUM_RX_QUEUES = 32
const IFLA_CARRIER = 33
const IFLA_CARRIER_CHANGES = 35
const IFLA_ALLMULTI = 61
const IFLA_MIN_MTU = 50
const IFLA_MAX_MTU = 51
const IFLA_ALT_IFNAME = 53
const RTEXT_FILTER_SKIP_STATS = 8
/** RFC 2863's. */
const IF_OPER_UNKNOWN = 0
const IF_OPER_DOWN = 2
const IF_OPER_UP = 6
/** Attributes that RTM_NEWLINK may have beside what it sets. */
const HARMLESS = [IFLA_IFNAME, IFLA_ALT_IFNAME, IFLA_EXT_MASK, IFLA_MTU]

/** A link as RTM_NEWLINK tells it. */
export function linkBody(link: InterfaceView, withStatistics: boolean): Uint8Array {
  const head = new Uint8Array(IFINFOMSG_LEN)
  const view = viewOf(head)
  view.setUint16(2, link.type, true)
  view.setInt32(4, link.index, true)
  view.setUint32(8, link.flags, true)
  const u32 = (type: number, value: number) => attribute(type, i32s(value))
  const u8 = (type: number, value: number) => attribute(type, u8s(value))
  const isLoopback = (link.flags & IFF_LOOPBACK) !== 0
  const state = isLoopback ? IF_OPER_UNKNOWN : link.carrier ? IF_OPER_UP : IF_OPER_DOWN
  return concat([
    head,
    attribute(IFLA_IFNAME, zeroEnded(link.name)),
    u32(IFLA_TXQLEN, 1000),
    u8(IFLA_OPERSTATE, state),
    u8(IFLA_LINKMODE, 0),
    u32(IFLA_MTU, link.mtu),
    u32(IFLA_MIN_MTU, link.minMtu),
    u32(IFLA_MAX_MTU, link.maxMtu),
    u32(IFLA_GROUP, 0),
    u32(IFLA_PROMISCUITY, 0),
    u32(IFLA_ALLMULTI, 0),
    u32(IFLA_NUM_TX_QUEUES, 1),
    u32(IFLA_NUM_RX_QUEUES, 1),
    u8(IFLA_CARRIER, Number(link.carrier)),
    u32(IFLA_CARRIER_CHANGES, 0),
    attribute(IFLA_ADDRESS, link.address),
    attribute(IFLA_BROADCAST, link.broadcast),
    ...(withStatistics ? statistics(link) : []),
    attribute(IFLA_QDISC, zeroEnded('noqueue')),
  ])
}

/** struct rtnl_link_stats64, and the same of 32 bits. */
function statistics({ counters: c }: InterfaceView): Uint8Array[] {
  const numbers = [
    c.packetsIn,
    c.packetsOut,
    c.bytesIn,
    c.bytesOut,
    c.errorsIn,
    0,
    c.droppedIn,
    c.droppedOut,
    c.multicastIn,
  ]
  const of = (length: number) => Array.from({ length }, (_, i) => numbers[i] ?? 0)
  return [attribute(IFLA_STATS64, u64s(...of(25))), attribute(IFLA_STATS, i32s(...of(24)))]
}

const wantsStatistics = (attributes: Attributes) =>
  ((u32In(attributes.get(IFLA_EXT_MASK)) ?? 0) & RTEXT_FILTER_SKIP_STATS) === 0

function* dump({ stack }: Context, { body }: NetlinkMessage): Generator<Answer> {
  // rtnl_dump_all() asks with a header of one byte.
  const attributes = attributesIn(body, IFINFOMSG_LEN)
  for (const link of interfaces(stack))
    yield { type: RTM_NEWLINK, body: linkBody(link, wantsStatistics(attributes)) }
}

/** The link that a request names, by index or by name. */
function named({ stack }: Context, body: Uint8Array, attributes: Attributes) {
  const index = viewOf(body).getInt32(4, true)
  const name = attributes.get(IFLA_IFNAME) ?? attributes.get(IFLA_ALT_IFNAME)
  if (index < 0 || (index === 0 && name === undefined)) return refuse(-EINVAL)
  const all = interfaces(stack)
  const found = all.find(link => (index > 0 ? link.index === index : link.name === textIn(name!)))
  return found ?? refuse(-ENODEV)
}

function get(context: Context, { body }: NetlinkMessage): Answer | Refusal {
  if (body.length < IFINFOMSG_LEN) return refuse(-EINVAL)
  const attributes = attributesIn(body, IFINFOMSG_LEN)
  const link = named(context, body, attributes)
  if ('errno' in link) return link
  return { type: RTM_NEWLINK, body: linkBody(link, wantsStatistics(attributes)) }
}

function set(context: Context, { type, flags, body }: NetlinkMessage): Refusal | undefined {
  if (body.length < IFINFOMSG_LEN) return refuse(-EINVAL)
  const attributes = attributesIn(body, IFINFOMSG_LEN)
  const link = named(context, body, attributes)
  if ('errno' in link) {
    // RTM_NEWLINK that names nothing: iproute2 asks so whether there is such a request.
    if (type === RTM_NEWLINK && link.errno === -EINVAL && (flags & NLM_F_CREATE) === 0)
      return refuse(-ENODEV)
    if (type !== RTM_NEWLINK || (flags & NLM_F_CREATE) === 0) return link
    return refuse(-EOPNOTSUPP, 'Unknown device type')
  }
  if (type === RTM_NEWLINK && (flags & NLM_F_EXCL) !== 0) return refuse(-EEXIST)
  return change(context, link, body, attributes)
}

/** All of it, or nothing. */
function change(
  { stack }: Context,
  link: InterfaceView,
  body: Uint8Array,
  attributes: Attributes,
): Refusal | undefined {
  const view = viewOf(body)
  const flags = view.getUint32(8, true)
  // Old programs say nothing of what is to be changed (rtnl_dev_get_flags() of Linux).
  const changed = (flags ^ link.flags) & (view.getUint32(12, true) || (flags === 0 ? 0 : -1))
  const mtu = u32In(attributes.get(IFLA_MTU)) ?? link.mtu
  const name = attributes.get(IFLA_IFNAME)
  if (name !== undefined && textIn(name) !== link.name) return refuse(-EOPNOTSUPP)
  for (const [type, value] of attributes)
    if (!HARMLESS.includes(type) && !isSame(type, value, link)) return refuse(-EOPNOTSUPP)
  const isLoopback = (link.flags & IFF_LOOPBACK) !== 0
  if ((changed & ~IFF_UP & SETTABLE) !== 0 || (isLoopback && (changed & IFF_UP) !== 0))
    return refuse(-EOPNOTSUPP)
  if (mtu !== link.mtu) {
    if (mtu < link.minMtu) return refuse(-EINVAL, 'mtu less than device minimum')
    if (isLoopback) return refuse(-EOPNOTSUPP)
    if (mtu > link.maxMtu) return refuse(-EINVAL, 'mtu greater than device maximum')
    stack.nic.setMtu(mtu)
  }
  if ((changed & IFF_UP) !== 0) stack.nic.setUp((flags & IFF_UP) !== 0)
  return undefined
}

/** IFF_NOARP, PROMISC, ALLMULTI, MULTICAST, DYNAMIC: what dev_change_flags() of Linux looks at. */
const SETTABLE = 0x80 | 0x100 | 0x200 | 0x1000 | 0x8000

/** What is to become what it is. */
const isSame = (type: number, value: Uint8Array, link: InterfaceView): boolean =>
  (type === IFLA_ADDRESS && Buffer.compare(value, link.address) === 0) ||
  (type === IFLA_TXQLEN && u32In(value) === 1000) ||
  (type === IFLA_AF_SPEC && value.length === 0)

function remove(context: Context, { body }: NetlinkMessage): Refusal {
  if (body.length < IFINFOMSG_LEN) return refuse(-EINVAL)
  const link = named(context, body, attributesIn(body, IFINFOMSG_LEN))
  return 'errno' in link ? link : refuse(-EOPNOTSUPP)
}

export const LINK_HANDLERS: Handlers = {
  [RTM_NEWLINK]: { act: set },
  [RTM_SETLINK]: { act: set },
  [RTM_DELLINK]: { act: remove },
  [RTM_GETLINK]: { act: get, dump },
}
