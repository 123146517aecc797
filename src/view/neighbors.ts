// The stack's neighbors as rtnetlink(7) knows them: ARP's and neighbor discovery's.
import { NIC_INDEX, type Neighbor, type Stack } from '../stack/stack.ts'
import type { Address } from '../wire/address.ts'

export const NUD_INCOMPLETE = 1
export const NUD_REACHABLE = 2
export const NUD_STALE = 4
export const NUD_DELAY = 8
export const NUD_PROBE = 16
export const NUD_FAILED = 32
export const NUD_NOARP = 64
export const NUD_PERMANENT = 128

const NUD: Record<Neighbor['state'], number> = {
  INCOMPLETE: NUD_INCOMPLETE,
  REACHABLE: NUD_REACHABLE,
  STALE: NUD_STALE,
  DELAY: NUD_DELAY,
  PROBE: NUD_PROBE,
  FAILED: NUD_FAILED,
}

export interface NeighborView {
  readonly index: number
  readonly address: Address
  /** Six bytes; undefined: not known. */
  readonly mac: Uint8Array | undefined
  /** NUD_*. */
  readonly state: number
  readonly router: boolean
  readonly probes: number
  /** Seconds since it was last known to hear us. */
  readonly confirmed: number
}

export function neighbors({ ipv4, ipv6 }: Stack, now: number): NeighborView[] {
  return [...ipv4.arp.neighbors.all, ...ipv6.neighbors.all].map(n => neighbor(n, now))
}

export function neighbor(n: Neighbor, now: number): NeighborView {
  let mac: Uint8Array | undefined
  if (n.hasMac) n.mac.write((mac = new Uint8Array(6)), 0)
  return {
    index: NIC_INDEX,
    address: n.address,
    mac,
    state: n.permanent ? NUD_PERMANENT : NUD[n.state],
    router: n.router,
    probes: n.probes,
    confirmed: Math.max(0, Math.round((now - n.confirmed) / 1000)),
  }
}
