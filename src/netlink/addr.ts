// RTM_*ADDR (rtnetlink(7)): addresses of interfaces.
import { EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV, EOPNOTSUPP } from '../base/errno.ts'
import { NIC_INDEX } from '../stack/stack.ts'
import { type AddressView, addresses } from '../view/interfaces.ts'
import type { Address } from '../wire/address.ts'
import {
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Attributes,
  type NetlinkMessage,
  attribute,
  attributesIn,
  concat,
  i32s,
  u8s,
  viewOf,
  zeroEnded,
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

export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
const RTM_GETADDR = 22
/** struct ifaddrmsg. */
const IFADDRMSG_LEN = 8

const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_LABEL = 3
const IFA_BROADCAST = 4
const IFA_CACHEINFO = 6
const IFA_FLAGS = 8
const IFA_PROTO = 11

const IFA_F_SECONDARY = 1
const IFA_F_OPTIMISTIC = 4
const IFA_F_DADFAILED = 8
const IFA_F_DEPRECATED = 0x20
const IFA_F_TENTATIVE = 0x40
const IFA_F_PERMANENT = 0x80

const STATE_FLAGS: Record<AddressView['state'], number> = {
  TENTATIVE: IFA_F_TENTATIVE,
  OPTIMISTIC: IFA_F_TENTATIVE | IFA_F_OPTIMISTIC,
  PREFERRED: 0,
  DEPRECATED: IFA_F_DEPRECATED,
  DUPLICATED: IFA_F_TENTATIVE | IFA_F_DADFAILED,
}
/** IFAPROT_* of IPv6; 0: not said. */
const PROTOCOL: Record<AddressView['origin'], number> = {
  loopback: 1,
  slaac: 2,
  'link-local': 3,
  static: 0,
  dhcp: 0,
}
const FOR_EVER = 0xffffffff

/** An address as RTM_NEWADDR tells it; `name`: its interface's. */
export function addressBody(a: AddressView, name: string): Uint8Array {
  const flags =
    STATE_FLAGS[a.state] |
    (a.secondary ? IFA_F_SECONDARY : 0) |
    (a.valid === Infinity ? IFA_F_PERMANENT : 0)
  const { isV4 } = a.address
  const proto = PROTOCOL[a.origin]
  return concat([
    u8s(familyOf(a.address), a.prefixLength, flags & 0xff, a.scope),
    i32s(a.index),
    addressAttribute(IFA_ADDRESS, a.address),
    isV4 ? addressAttribute(IFA_LOCAL, a.address) : NOTHING,
    isV4 ? addressAttribute(IFA_BROADCAST, a.broadcast) : NOTHING,
    isV4 ? attribute(IFA_LABEL, zeroEnded(name)) : NOTHING,
    attribute(IFA_FLAGS, i32s(flags)),
    attribute(IFA_CACHEINFO, i32s(lifetime(a.preferred), lifetime(a.valid), 0, 0)),
    proto === 0 || isV4 ? NOTHING : attribute(IFA_PROTO, u8s(proto)),
  ])
}

const lifetime = (seconds: number) => Math.min(seconds, FOR_EVER)

function* dump({ stack, now, strict }: Context, { body }: NetlinkMessage): Generator<Answer> {
  const index = strict && body.length >= IFADDRMSG_LEN ? viewOf(body).getInt32(4, true) : 0
  for (const a of addresses(stack, now)) {
    if (!isOf(body[0], a.address) || (index !== 0 && index !== a.index)) continue
    const { name } = interfaceAt(stack, a.index)!
    yield { type: RTM_NEWADDR, body: addressBody(a, name) }
  }
}

/** What an order names, checked. */
interface Named {
  readonly address: Address
  readonly prefixLength: number
}

function named({ stack }: Context, body: Uint8Array, attributes: Attributes): Named | Refusal {
  if (body.length < IFADDRMSG_LEN) return refuse(-EINVAL)
  const [family, prefixLength] = body
  if (family !== AF_INET && family !== AF_INET6) return refuse(-EOPNOTSUPP)
  const local = addressIn(attributes.get(IFA_LOCAL), family)
  const peer = addressIn(attributes.get(IFA_ADDRESS), family)
  const address = local ?? peer
  if (address === undefined || address.isV4 !== (family === AF_INET)) return refuse(-EINVAL)
  if (prefixLength > (family === AF_INET ? 32 : 128)) return refuse(-EINVAL)
  // There is no point-to-point link.
  if (peer !== undefined && !peer.equals(address)) return refuse(-EOPNOTSUPP)
  const link = interfaceAt(stack, viewOf(body).getInt32(4, true))
  if (link === undefined) return refuse(-ENODEV, `ipv${family === AF_INET ? 4 : 6}: No such device`)
  if (link.index !== NIC_INDEX) return refuse(-EOPNOTSUPP)
  return { address, prefixLength }
}

function add(context: Context, { flags, body }: NetlinkMessage): Refusal | undefined {
  const attributes = attributesIn(body, IFADDRMSG_LEN)
  const to = named(context, body, attributes)
  if ('errno' in to) return to
  const { stack, now } = context
  const lifetimes = lifetimesIn(attributes.get(IFA_CACHEINFO), now)
  if (lifetimes === undefined) return refuse(-EINVAL)
  const { isV4 } = to.address
  const known = (isV4 ? stack.ipv4 : stack.ipv6).addresses.find(to.address)
  const isOther = known !== undefined && known.prefixLength !== to.prefixLength
  if (
    known !== undefined &&
    (isOther || (flags & NLM_F_EXCL) !== 0 || (flags & NLM_F_REPLACE) === 0)
  )
    return refuse(
      -EEXIST,
      isV4 ? 'ipv4: Address already assigned' : 'ipv6: address already assigned',
    )
  if (
    known === undefined &&
    stack.ipv4.addresses.all.length + stack.ipv6.addresses.all.length >= MOST
  )
    return refuse(-EINVAL, 'There are too many addresses')
  try {
    stack.addAddress(to, 'static', lifetimes.preferred, lifetimes.valid)
  } catch (error) {
    return refuse(-EINVAL, (error as Error).message)
  }
  return undefined
}

/** Each packet is compared with all of them. */
const MOST = 256

/** struct ifa_cacheinfo: until when, ms. Undefined: Linux takes no such times. */
function lifetimesIn(info: Uint8Array | undefined, now: number) {
  if (info === undefined) return { preferred: Infinity, valid: Infinity }
  if (info.length < 16) return undefined
  const view = viewOf(info)
  const [preferred, valid] = [view.getUint32(0, true), view.getUint32(4, true)]
  if (valid === 0 || preferred > valid) return undefined
  const until = (seconds: number) => (seconds === FOR_EVER ? Infinity : now + 1000 * seconds)
  return { preferred: until(preferred), valid: until(valid) }
}

function remove(context: Context, { body }: NetlinkMessage): Refusal | undefined {
  const to = named(context, body, attributesIn(body, IFADDRMSG_LEN))
  if ('errno' in to) return to
  const { address, prefixLength } = to
  const { ipv4, ipv6 } = context.stack
  const known = (address.isV4 ? ipv4 : ipv6).addresses.find(address)
  if (known === undefined || known.prefixLength !== prefixLength)
    return refuse(
      -EADDRNOTAVAIL,
      address.isV4 ? 'ipv4: Address not found' : 'ipv6: address not found',
    )
  context.stack.removeAddress(address)
  return undefined
}

export const ADDR_HANDLERS: Handlers = {
  [RTM_NEWADDR]: { act: add },
  [RTM_DELADDR]: { act: remove },
  [RTM_GETADDR]: { dump },
}
