// RTM_*NEIGH (rtnetlink(7), arp(7)): whom the link's resolvers know.
import { EEXIST, EINVAL, ENODEV, ENOENT, ENOBUFS, EOPNOTSUPP } from '../base/errno.ts'
import { NIC_INDEX, type NeighborTable } from '../stack/stack.ts'
import {
  NUD_NOARP,
  NUD_PERMANENT,
  type NeighborView,
  neighbor,
  neighbors,
} from '../view/neighbors.ts'
import type { Address } from '../wire/address.ts'
import { Mac } from '../wire/mac.ts'
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Attributes,
  type NetlinkMessage,
  attribute,
  attributesIn,
  concat,
  i32s,
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

export const RTM_NEWNEIGH = 28
export const RTM_DELNEIGH = 29
const RTM_GETNEIGH = 30
/** struct ndmsg. */
const NDMSG_LEN = 12

const NDA_DST = 1
const NDA_LLADDR = 2
const NDA_CACHEINFO = 3
const NDA_PROBES = 4
const NTF_PROXY = 8
const NTF_ROUTER = 0x80
const RTN_UNICAST = 1
const TICKS = 100

/** A neighbor as RTM_NEWNEIGH tells it. */
export function neighborBody(n: NeighborView): Uint8Array {
  const head = new Uint8Array(NDMSG_LEN)
  const view = viewOf(head)
  head[0] = familyOf(n.address)
  view.setInt32(4, n.index, true)
  view.setUint16(8, n.state, true)
  head[10] = n.router ? NTF_ROUTER : 0
  head[11] = RTN_UNICAST
  const age = n.confirmed * TICKS
  return concat([
    head,
    addressAttribute(NDA_DST, n.address),
    n.mac === undefined ? NOTHING : attribute(NDA_LLADDR, n.mac),
    attribute(NDA_PROBES, i32s(n.probes)),
    attribute(NDA_CACHEINFO, i32s(age, age, age, 0)),
  ])
}

function* dump({ stack, now, strict }: Context, { body }: NetlinkMessage): Generator<Answer> {
  const whole = body.length >= NDMSG_LEN
  if (whole && (body[10] & NTF_PROXY) !== 0) return
  const index = strict && whole ? viewOf(body).getInt32(4, true) : 0
  for (const n of neighbors(stack, now))
    if (isOf(body[0], n.address) && (index === 0 || index === n.index))
      yield { type: RTM_NEWNEIGH, body: neighborBody(n) }
}

interface Named {
  readonly address: Address
  readonly table: NeighborTable
  readonly attributes: Attributes
}

function named({ stack }: Context, { body }: NetlinkMessage): Named | Refusal {
  if (body.length < NDMSG_LEN) return refuse(-EINVAL)
  const [family] = body
  if (family !== AF_INET && family !== AF_INET6) return refuse(-EOPNOTSUPP)
  if ((body[10] & NTF_PROXY) !== 0) return refuse(-EOPNOTSUPP)
  const attributes = attributesIn(body, NDMSG_LEN)
  const address = addressIn(attributes.get(NDA_DST), family)
  if (address === undefined) return refuse(-EINVAL, 'Network address not specified')
  const link = interfaceAt(stack, viewOf(body).getInt32(4, true))
  if (link === undefined) return refuse(-ENODEV)
  if (link.index !== NIC_INDEX) return refuse(-EOPNOTSUPP)
  const table = family === AF_INET ? stack.ipv4.arp.neighbors : stack.ipv6.neighbors
  return { address, table, attributes }
}

function get(context: Context, request: NetlinkMessage): Answer | Refusal {
  const to = named(context, request)
  if ('errno' in to) return to
  const found = to.table.find(to.address)
  if (found === undefined) return refuse(-ENOENT, 'Neighbour entry not found')
  return { type: RTM_NEWNEIGH, body: neighborBody(neighbor(found, context.now)) }
}

function add(context: Context, request: NetlinkMessage): Refusal | undefined {
  const to = named(context, request)
  if ('errno' in to) return to
  const { address, table, attributes } = to
  const { flags, body } = request
  const known = table.find(address)
  if (known === undefined && (flags & NLM_F_CREATE) === 0) return refuse(-ENOENT)
  if (known !== undefined && (flags & NLM_F_EXCL) !== 0) return refuse(-EEXIST)
  const given = attributes.get(NDA_LLADDR)
  if (given !== undefined && given.length < 6) return refuse(-EINVAL, 'Invalid link address')
  const mac = given === undefined ? known?.mac : macIn(given)
  // Nothing is asked for by way of this.
  if (mac === undefined) return refuse(-EINVAL)
  if (known?.hasMac === true && (flags & NLM_F_REPLACE) === 0 && !known.mac.equals(mac))
    return refuse(-EEXIST)
  const permanent = (viewOf(body).getUint16(8, true) & (NUD_PERMANENT | NUD_NOARP)) !== 0
  return table.assign(address, mac, permanent, context.now) ? undefined : refuse(-ENOBUFS)
}

const macIn = (b: Uint8Array) => new Mac((b[0] << 8) | b[1], viewOf(b).getInt32(2))

function remove(context: Context, request: NetlinkMessage): Refusal | undefined {
  const to = named(context, request)
  if ('errno' in to) return to
  return to.table.forget(to.address, context.now) ? undefined : refuse(-ENOENT)
}

export const NEIGH_HANDLERS: Handlers = {
  [RTM_NEWNEIGH]: { act: add },
  [RTM_DELNEIGH]: { act: remove },
  [RTM_GETNEIGH]: { act: get, dump },
}
