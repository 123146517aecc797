// What a DHCP server's ACK gives a client: an address for a while, and what goes with it.
import { Address, maskV4 } from '../wire/address.ts'
import type { DhcpMessage } from '../wire/dhcp.ts'
import {
  OPT_DNS,
  OPT_LEASE_TIME,
  OPT_MTU,
  OPT_REBINDING_TIME,
  OPT_RENEWAL_TIME,
  OPT_ROUTER,
  OPT_SERVER_ID,
  readAddress,
  readAddresses,
  readDomain,
  readMask,
  readRoutes,
  readSearch,
  readU16,
  readU32,
  type DhcpRoute,
} from '../wire/dhcp-options.ts'

export interface DhcpLease {
  readonly address: Address
  readonly prefixLength: number
  readonly server: Address
  readonly routes: readonly DhcpRoute[]
  readonly dns: readonly Address[]
  readonly search: readonly string[]
  /** What the server says the link can carry, if it says so. */
  readonly mtu: number | undefined
  /** When it was asked for, T1, T2 and the end, on the client's clock; all Infinity for a lease without end. */
  readonly obtainedAt: number
  readonly renewAt: number
  readonly rebindAt: number
  readonly expiresAt: number
}

const FOR_EVER = 0xffffffff
/** Less than every IPv4 host must take (RFC 791), and a cheap way to cripple one. */
const MIN_MTU = 576

/** The lease of an ACK to a request sent at `requestedAt` (RFC 2131 section 4.4.5); undefined if it gives none. */
export function leaseOf(ack: DhcpMessage, requestedAt: number): DhcpLease | undefined {
  const { options, yiaddr } = ack
  const server = readAddress(options, OPT_SERVER_ID)
  const seconds = readU32(options, OPT_LEASE_TIME)
  if (server === undefined || !isHost(server) || !seconds) return
  const prefixLength = readMask(options) ?? classOf(yiaddr)
  if (!isHost(yiaddr) || isEdge(yiaddr, prefixLength)) return
  const mtu = readU16(options, OPT_MTU)
  const domain = readDomain(options)
  const search = readSearch(options)
  return {
    address: yiaddr,
    prefixLength,
    server,
    routes: routesOf(ack),
    dns: readAddresses(options, OPT_DNS).filter(isHost),
    search: search.length > 0 || domain === undefined ? search : [domain],
    mtu: mtu !== undefined && mtu >= MIN_MTU ? mtu : undefined,
    obtainedAt: requestedAt,
    ...times(ack, seconds, requestedAt),
  }
}

/** T1 < T2 < end, or the defaults: 0.5 and 0.875 of the lease. */
function times(ack: DhcpMessage, seconds: number, from: number) {
  if (seconds === FOR_EVER) return { renewAt: Infinity, rebindAt: Infinity, expiresAt: Infinity }
  let t2 = readU32(ack.options, OPT_REBINDING_TIME) ?? 0
  if (t2 === 0 || t2 >= seconds) t2 = 0.875 * seconds
  let t1 = readU32(ack.options, OPT_RENEWAL_TIME) ?? 0
  if (t1 === 0 || t1 >= t2) t1 = Math.min(0.5 * seconds, 0.875 * t2)
  return { renewAt: from + 1000 * t1, rebindAt: from + 1000 * t2, expiresAt: from + 1000 * seconds }
}

/**
 * Classless routes, or else the routers (RFC 3442: with the former the latter do not count). A server can draw traffic
 * away with them; so it can with a router. Who does not trust the network's servers does not say --dhcp.
 */
function routesOf({ options, yiaddr }: DhcpMessage): DhcpRoute[] {
  const usable = ({ gateway }: DhcpRoute) =>
    gateway === undefined || (isHost(gateway) && !gateway.equals(yiaddr))
  const classless = readRoutes(options)
  if (classless !== undefined) return classless.filter(route => usable(route) && leads(route))
  return readAddresses(options, OPT_ROUTER)
    .map(gateway => ({ prefix: { address: Address.v4(0), prefixLength: 0 }, gateway }))
    .filter(usable)
    .slice(0, 1)
}

/** To where a host's packets may go: not to itself, not to all. */
const leads = ({ prefix: { address, prefixLength } }: DhcpRoute) =>
  prefixLength === 0 || (!address.isLoopback && address.d >>> 24 !== 0 && address.d >>> 28 < 0xe)

/** What one host can have as its address (RFC 1122 section 3.2.1.3). */
export const isHost = (address: Address): boolean => {
  const top = address.d >>> 24
  return top !== 0 && top !== 127 && top < 224
}

/** The prefix length of an address without a mask: its class's. */
function classOf(address: Address): number {
  const top = address.d >>> 24
  return top < 128 ? 8 : top < 192 ? 16 : 24
}

/** The network's broadcast address, or the network itself: nobody's. */
function isEdge(address: Address, prefixLength: number): boolean {
  if (prefixLength > 30) return false
  const host = address.d & ~maskV4(prefixLength)
  return host === 0 || host === ~maskV4(prefixLength)
}
