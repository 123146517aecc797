// The routing table of one family: longest prefix first, then the smallest metric, then the older route. `generation` counts
// changes: a path that remembers its next hop looks it up again when the table has changed since.
import { type Address } from '../../wire/address.ts'
import type { Prefix } from '../../wire/address-text.ts'

export type RouteOrigin = 'connected' | 'static' | 'router-advertisement' | 'redirect' | 'dhcp'

export interface Route {
  readonly destination: Prefix
  /** The next hop; undefined: the destination is on the link itself. */
  readonly gateway: Address | undefined
  /** The source address for packets that have none yet; undefined: chosen for each destination. */
  readonly source: Address | undefined
  readonly metric: number
  readonly origin: RouteOrigin
  /** RTPROT_* of who added it, where that is not what its origin says. */
  readonly protocol?: number
  /** ms of the stack's clock; Infinity: for ever. */
  readonly expires: number
}

export class RouteTable {
  private routes: Route[] = []
  generation = 0

  get all(): readonly Route[] {
    return this.routes
  }

  /** Adds a route, in place of one with the same destination, gateway, metric and origin. */
  add(route: Route): void {
    const others = this.routes.filter(other => !sameRoute(other, route))
    // The sort is stable: among equals the older one comes first.
    this.routes = [...others, route].sort(
      (a, b) => b.destination.prefixLength - a.destination.prefixLength || a.metric - b.metric,
    )
    this.generation++
  }

  /** Takes away what `matches`; how many. */
  remove(matches: (route: Route) => boolean): number {
    const before = this.routes.length
    this.routes = this.routes.filter(route => !matches(route))
    if (this.routes.length !== before) this.generation++
    return before - this.routes.length
  }

  /** The route to `dst`; undefined: there is none. */
  lookup(dst: Address): Route | undefined {
    for (const route of this.routes)
      if (dst.matches(route.destination.address, route.destination.prefixLength)) return route
    return undefined
  }

  /** When run() has something to do. */
  get next(): number {
    return this.routes.reduce((next, { expires }) => Math.min(next, expires), Infinity)
  }

  run(now: number): void {
    if (now >= this.next) this.remove(({ expires }) => now >= expires)
  }
}

/** Who gets a packet for `dst` by this route: the gateway, or `dst` itself. */
export const nextHop = (route: Route, dst: Address): Address => route.gateway ?? dst

const sameRoute = (a: Route, b: Route): boolean =>
  a.origin === b.origin &&
  a.metric === b.metric &&
  a.destination.prefixLength === b.destination.prefixLength &&
  a.destination.address.matches(b.destination.address, a.destination.prefixLength) &&
  (a.gateway === undefined
    ? b.gateway === undefined
    : b.gateway !== undefined && a.gateway.equals(b.gateway))
