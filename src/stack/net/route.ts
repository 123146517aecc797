// The IPv4 routing table: longest prefix first, then the smallest metric.
import { maskV4 } from '../../wire/address.ts'

/** Addresses are words. */
export interface Route {
  readonly prefix: number
  readonly prefixLength: number
  /** The next hop; undefined: the destination is on the link itself. */
  readonly gateway: number | undefined
  /** The source address for packets that have none yet. */
  readonly source: number
  readonly metric: number
}

export class RouteTable {
  private routes: Route[] = []

  add(route: Route): void {
    const prefix = route.prefix & maskV4(route.prefixLength)
    this.routes = [...this.routes, { ...route, prefix }].sort(
      (a, b) => b.prefixLength - a.prefixLength || a.metric - b.metric,
    )
  }

  /** The route to `dst`; undefined: there is none. */
  lookup(dst: number): Route | undefined {
    for (const route of this.routes)
      if (((dst ^ route.prefix) & maskV4(route.prefixLength)) === 0) return route
    return undefined
  }
}

/** Who gets a packet for `dst` by this route: the gateway, or `dst` itself. */
export const nextHop = (route: Route, dst: number): number => route.gateway ?? dst
