// What a DHCPv6 server's Reply gives a client: addresses for a while, and the names' servers.
import type { Address } from '../wire/address.ts'
import { FOR_EVER, SUCCESS, type Dhcpv6Message, type IaNa } from '../wire/dhcpv6.ts'

export interface Dhcpv6Address {
  readonly address: Address
  /** On the client's clock. */
  readonly preferredUntil: number
  readonly validUntil: number
}

export interface Dhcpv6Lease {
  readonly addresses: readonly Dhcpv6Address[]
  readonly serverId: Uint8Array
  readonly names: Dhcpv6Names
  /** T1, T2 and the end of the last address. */
  readonly renewAt: number
  readonly rebindAt: number
  readonly expiresAt: number
}

export interface Dhcpv6Names {
  readonly dns: readonly Address[]
  readonly search: readonly string[]
}

/** However short the lifetimes, a server is asked again no sooner. */
const MIN_T1_MS = 1000

/** The association of ours in `message`, if it is sound (section 21.4: T1 past T2 is not). */
export function iaOf(message: Dhcpv6Message, iaid: number): IaNa | undefined {
  const ia = message.ias.find(ia => ia.iaid === iaid)
  return ia === undefined || (ia.t1 > ia.t2 && ia.t2 > 0) ? undefined : ia
}

/** What `message` gives at `now`; undefined if that is no address. */
export function leaseOf(
  message: Dhcpv6Message,
  iaid: number,
  now: number,
): Dhcpv6Lease | undefined {
  const ia = iaOf(message, iaid)
  if (message.serverId === undefined || message.status !== SUCCESS) return
  if (ia === undefined || ia.status !== SUCCESS) return
  const given = ia.addresses.filter(({ address, valid }) => valid > 0 && isHost(address))
  if (given.length === 0) return
  // The shortest that there is; an address that is deprecated already asks for no hurry.
  const shortest = Math.min(...given.map(({ preferred, valid }) => preferred || valid))
  const t2 = ia.t2 || (shortest === FOR_EVER ? FOR_EVER : 0.8 * shortest)
  const t1 = ia.t1 || (t2 === FOR_EVER ? FOR_EVER : Math.min(0.5 * shortest, 0.625 * t2))
  const renewAt = Math.max(after(now, t1), now + MIN_T1_MS)
  return {
    addresses: given.map(({ address, preferred, valid }) => ({
      address,
      preferredUntil: after(now, preferred),
      validUntil: after(now, valid),
    })),
    serverId: message.serverId,
    names: namesOf(message),
    renewAt,
    rebindAt: Math.max(after(now, t2), renewAt),
    expiresAt: Math.max(...given.map(({ valid }) => after(now, valid))),
  }
}

export const namesOf = ({ dns, domains }: Dhcpv6Message): Dhcpv6Names => ({
  dns: dns.filter(isHost),
  search: domains,
})

const after = (now: number, seconds: number) =>
  seconds === FOR_EVER ? Infinity : now + 1000 * seconds

const isHost = (address: Address) =>
  !address.isUnspecified && !address.isLoopback && !address.isMulticast && !address.isV4
