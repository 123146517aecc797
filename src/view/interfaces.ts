// The stack's interfaces and their addresses, as rtnetlink(7) and netdevice(7) know them: loopback, and one link.
import { type InterfaceAddress, LOOPBACK_INDEX, NIC_INDEX, type Stack } from '../stack/stack.ts'
import { Address, LOOPBACK_V4, LOOPBACK_V6, isLinkLocal } from '../wire/address.ts'

export const IFF_UP = 1
export const IFF_BROADCAST = 2
export const IFF_LOOPBACK = 8
export const IFF_RUNNING = 0x40
export const IFF_MULTICAST = 0x1000
export const IFF_LOWER_UP = 0x10000
export const ARPHRD_ETHER = 1
export const ARPHRD_LOOPBACK = 772

/** Linux's; what we send ourselves is bounded by a datagram's 65,535. */
const LOOPBACK_MTU = 65536

export interface InterfaceView {
  readonly index: number
  readonly name: string
  /** ARPHRD_*. */
  readonly type: number
  /** IFF_*. */
  readonly flags: number
  readonly mtu: number
  readonly minMtu: number
  readonly maxMtu: number
  /** Six bytes each. */
  readonly address: Uint8Array
  readonly broadcast: Uint8Array
  readonly carrier: boolean
  readonly counters: InterfaceCounters
}

export interface InterfaceCounters {
  readonly packetsIn: number
  readonly packetsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly errorsIn: number
  readonly droppedIn: number
  readonly droppedOut: number
  readonly multicastIn: number
}

export function interfaces(stack: Stack): InterfaceView[] {
  return [loopback(stack), link(stack)]
}

function loopback(stack: Stack): InterfaceView {
  const { packets, octets } = stack.loopbackCounters
  return {
    index: LOOPBACK_INDEX,
    name: 'lo',
    type: ARPHRD_LOOPBACK,
    flags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP,
    mtu: LOOPBACK_MTU,
    minMtu: 0,
    maxMtu: 0,
    address: new Uint8Array(6),
    broadcast: new Uint8Array(6),
    carrier: true,
    counters: {
      packetsIn: packets,
      packetsOut: packets,
      bytesIn: octets,
      bytesOut: octets,
      errorsIn: 0,
      droppedIn: 0,
      droppedOut: 0,
      multicastIn: 0,
    },
  }
}

function link({ nic, ipv6 }: Stack): InterfaceView {
  const carrier = nic.sink !== undefined
  const { counters: c, mac } = nic
  const address = new Uint8Array(6)
  mac.write(address, 0)
  return {
    index: NIC_INDEX,
    name: 'eth0',
    type: ARPHRD_ETHER,
    flags:
      (nic.isUp ? IFF_UP : 0) |
      IFF_BROADCAST |
      IFF_MULTICAST |
      (carrier ? IFF_RUNNING | IFF_LOWER_UP : 0),
    mtu: nic.mtu,
    minMtu: ipv6.addresses.all.length > 0 ? MIN_MTU_V6 : MIN_MTU,
    maxMtu: nic.maxMtu,
    address,
    broadcast: new Uint8Array(6).fill(0xff),
    carrier,
    counters: {
      packetsIn: c.framesIn,
      packetsOut: c.framesOut,
      bytesIn: c.bytesIn,
      bytesOut: c.bytesOut,
      errorsIn: c.frameTooShort + c.frameTooLong,
      droppedIn: c.unknownEthertype + c.badSourceMac + c.ownFrame,
      droppedOut: c.linkDown + c.linkChanged + c.neighborQueueFull,
      multicastIn: 0,
    },
  }
}

/** ETH_MIN_MTU of Linux. */
const MIN_MTU = 68
/** RFC 8200 section 5. */
const MIN_MTU_V6 = 1280

export const SCOPE_UNIVERSE = 0
export const SCOPE_LINK = 253
export const SCOPE_HOST = 254

export interface AddressView {
  readonly index: number
  readonly address: Address
  readonly prefixLength: number
  readonly broadcast: Address | undefined
  /** SCOPE_*. */
  readonly scope: number
  /** Not the first of its network (IPv4). */
  readonly secondary: boolean
  readonly state: InterfaceAddress['state']
  readonly origin: InterfaceAddress['origin'] | 'loopback'
  /** Seconds from now; Infinity: for ever. */
  readonly preferred: number
  readonly valid: number
}

/** In the order in which they came, interface by interface. `now`: ms of the stack's clock. */
export function addresses({ ipv4, ipv6 }: Stack, now: number): AddressView[] {
  const own = (entry: InterfaceAddress) => linkAddress(entry, now)
  return [
    loopbackAddress(LOOPBACK_V4, 8),
    ...ipv4.addresses.all.map((entry, i, all) => ({
      ...own(entry),
      secondary: all.slice(0, i).some(first => isSameNetwork(first, entry)),
    })),
    loopbackAddress(LOOPBACK_V6, 128),
    // Linux lists addresses of wider scope first: many programs take the first one.
    ...ipv6.addresses.all.map(own).sort((a, b) => a.scope - b.scope),
  ]
}

const isSameNetwork = (a: InterfaceAddress, b: InterfaceAddress): boolean =>
  a.prefixLength === b.prefixLength && a.address.matches(b.address, a.prefixLength)

const loopbackAddress = (address: Address, prefixLength: number): AddressView => ({
  index: LOOPBACK_INDEX,
  address,
  prefixLength,
  broadcast: undefined,
  scope: SCOPE_HOST,
  secondary: false,
  state: 'PREFERRED',
  origin: 'loopback',
  preferred: Infinity,
  valid: Infinity,
})

function linkAddress(entry: InterfaceAddress, now: number): AddressView {
  const { address, prefixLength, broadcast, state, origin } = entry
  const seconds = (until: number) => Math.max(0, Math.round((until - now) / 1000))
  return {
    index: NIC_INDEX,
    address,
    prefixLength,
    broadcast: broadcast === undefined ? undefined : Address.v4(broadcast),
    scope: isLinkLocal(address) ? SCOPE_LINK : SCOPE_UNIVERSE,
    secondary: false,
    state,
    origin,
    preferred: seconds(entry.preferredUntil),
    valid: seconds(entry.validUntil),
  }
}
