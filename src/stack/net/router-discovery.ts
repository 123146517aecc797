// What routers say (RFC 4861 section 6.3): who they are, how preferred (RFC 4191), what is on the link, how large its
// packets are; and redirects (section 8). It becomes routes, which expire by themselves. All lists are bounded: what comes
// beyond is not kept. Addresses and names are for who configures: `onAdvert`.
import { ALL_ROUTERS, ANY_V6, type Address, isLinkLocal } from '../../wire/address.ts'
import type { Prefix } from '../../wire/address-text.ts'
import { type Icmpv6Message, ND_REDIRECT, ND_ROUTER_ADVERT } from '../../wire/icmpv6.ts'
import { IPV6_MIN_MTU } from '../../wire/ipv6.ts'
import {
  ND_INFINITE,
  type RouterAdvert,
  type RouterPreference,
  emitRouterSolicit,
  parseRedirect,
  parseRouterAdvert,
} from '../../wire/ndp.ts'
import type { LinkUser, Nic } from '../link/nic.ts'
import type { Addresses } from './addresses.ts'
import type { NetCounters } from './counters.ts'
import type { Icmpv6 } from './icmpv6.ts'
import { type Ndp, isFromLink, isNoStation } from './ndp.ts'
import type { Packet } from './path.ts'
import { type RouteTable, nextHop } from './route.ts'

const MAX_ROUTERS = 16
const MAX_PREFIXES = 64
/** More specific routes, of each router. */
const MAX_ROUTES = 32
const MAX_REDIRECTS = 64

/** RFC 4861 section 10 and RFC 7559 section 2.2, ms. */
const SOLICIT_INTERVAL = 4_000
const MAX_SOLICIT_INTERVAL = 3_600_000
/** The reachable time is chosen anew so often (section 6.3.4). */
const RERANDOMIZE = 2 * 3_600_000
const MAX_TIME = 3_600_000
/** Linux's: less would make a storm of probes. */
const MIN_RETRANS = 100
const MIN_REACHABLE = 1_000
/** A lower one is meant to cut us off from the world (CVE-2015-2922). */
const MIN_HOP_LIMIT = 32
/** As long as Linux keeps an unused one, ms. */
const REDIRECT_AGE = 600_000

/** Linux's IP6_RT_PRIO_USER for what routers say; the preference is beside it. */
const METRIC: Record<RouterPreference, number> = { high: 1023, medium: 1024, low: 1025 }
/** A router that does not answer comes after those that do (section 6.3.6). */
const UNREACHABLE_METRIC = 1_000_000

interface LearntRoute {
  readonly destination: Prefix
  readonly preference: RouterPreference
  /** ms. */
  readonly expires: number
}

/** A router, and where it leads: one of its routes may be the default route. */
export interface Router {
  readonly address: Address
  reachable: boolean
  routes: readonly LearntRoute[]
}

/** What a router says of a prefix; not `onLink`: only that we may have an address of it. */
export interface LinkPrefix {
  readonly prefix: Prefix
  readonly router: Address
  readonly onLink: boolean
  readonly expires: number
}

export interface RouterGround {
  readonly nic: Nic
  readonly addresses: Addresses
  readonly routes: RouteTable
  readonly counters: NetCounters
  readonly icmp: Icmpv6
  readonly ndp: Ndp
  hopFor(dst: Address): Address | undefined
  random(): number
}

export class RouterDiscovery implements LinkUser {
  /** In the order in which they were first heard. */
  readonly routers: Router[] = []
  readonly prefixes: LinkPrefix[] = []
  /** Of the link, as a router says; Infinity: none did. */
  mtu = Infinity
  /** Of our packets. */
  hopLimit = 64
  /** A valid advertisement, after what it says of routes is done: addresses, servers and names are the caller's. */
  onAdvert: (advert: RouterAdvert, router: Address, now: number) => void = () => {}
  private readonly ground: RouterGround
  private enabled = false
  private up = false
  private solicitAt = Infinity
  private solicitInterval = 0
  private reachableBase = 0
  private rerandomizeAt = Infinity
  private expireAt = Infinity

  constructor(ground: RouterGround) {
    this.ground = ground
    const { icmp, ndp, nic } = ground
    icmp.handlers.set(ND_ROUTER_ADVERT, (p, m, now) => this.advertArrives(p, m, now))
    icmp.handlers.set(ND_REDIRECT, (p, m, now) => this.redirectArrives(p, m, now))
    ndp.onRouterGone = address => this.forget(address)
    ndp.neighbors.onFailed = ({ address }) => this.neighborFailed(address)
    nic.users.push(this)
  }

  /** Listens to routers, and asks for them, from now on; or, false, forgets what they said. */
  enable(listen: boolean): void {
    if (listen === this.enabled) return
    this.enabled = listen
    if (listen && this.up) this.beginSoliciting()
    if (listen) return
    this.solicitAt = Infinity
    this.routers.length = 0
    this.prefixes.length = 0
    this.mtu = Infinity
    this.install()
  }

  /** Has this router advertised a prefix of our address (RFC 6724 rule 5.5)? */
  advertises(router: Address, own: Address): boolean {
    return this.prefixes.some(
      known =>
        known.router.equals(router) && own.matches(known.prefix.address, known.prefix.prefixLength),
    )
  }

  /** When run() has something to do. */
  get next(): number {
    return Math.min(this.solicitAt, this.rerandomizeAt, this.expireAt)
  }

  run(now: number): void {
    if (now >= this.solicitAt) this.solicit(now)
    if (now >= this.rerandomizeAt) this.randomize(now)
    if (now < this.expireAt) return
    this.expire(now)
    this.install()
  }

  linkUp(): void {
    this.up = true
    if (this.enabled) this.beginSoliciting()
  }

  linkDown(): void {
    this.up = false
    this.solicitAt = Infinity
  }

  private beginSoliciting(): void {
    this.solicitInterval = 0
    this.solicitAt = -Infinity
  }

  /** RFC 7559 section 2: for ever, ever less often, until a router answers. */
  private solicit(now: number): void {
    const { ndp, addresses, nic, counters } = this.ground
    const { messages } = ndp
    const doubled = Math.min(2 * this.solicitInterval, MAX_SOLICIT_INTERVAL) || SOLICIT_INTERVAL
    this.solicitInterval = doubled
    this.solicitAt = now + doubled * (0.9 + 0.2 * this.chance())
    const own = addresses.all.find(entry => entry.isAssigned && isLinkLocal(entry.address))
    const at = messages.open(16)
    if (at < 0) return
    // RFC 4429 section 3.2: what may be another's address is tied to no MAC.
    const mac = own === undefined || own.state === 'OPTIMISTIC' ? undefined : nic.mac
    const length = emitRouterSolicit(messages.bytes, at, mac)
    messages.close(length, own?.address ?? ANY_V6, ALL_ROUTERS)
    counters.rsOut++
  }

  /** Sections 6.1.2 and 6.3.4. */
  private advertArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters, ndp } = this.ground
    const { bytes, at, length } = message
    const src = packet.src()
    const advert = isFromLink(packet) ? parseRouterAdvert(bytes, at, length) : undefined
    if (
      advert === undefined ||
      !isLinkLocal(src) ||
      (advert.sourceMac !== undefined && isNoStation(advert.sourceMac))
    ) {
      counters.ndInvalid++
      return
    }
    counters.raIn++
    if (!this.enabled || this.ground.addresses.find(src) !== undefined) {
      counters.ndIgnored++
      return
    }
    this.expire(now)
    this.takeParameters(advert, now)
    this.takePrefixes(advert, src, now)
    this.takeRouter(advert, src, now)
    const neighbor = advert.sourceMac && ndp.heard(src, advert.sourceMac, now)
    if (neighbor !== undefined) neighbor.router = true
    this.install()
    if (advert.lifetime > 0) this.solicitAt = Infinity
    this.onAdvert(advert, src, now)
  }

  private takeParameters(advert: RouterAdvert, now: number): void {
    const { ndp, nic } = this.ground
    const { hopLimit, reachableTime, retransTimer, mtu } = advert
    if (hopLimit >= MIN_HOP_LIMIT) this.hopLimit = hopLimit
    if (retransTimer > 0)
      ndp.neighbors.retransTimer = Math.min(Math.max(retransTimer, MIN_RETRANS), MAX_TIME)
    if (reachableTime > 0 && reachableTime !== this.reachableBase) {
      this.reachableBase = reachableTime
      this.randomize(now)
    }
    if (mtu !== undefined && mtu >= IPV6_MIN_MTU && mtu <= nic.mtu) this.mtu = mtu
  }

  /** Section 6.3.2: uniformly between half and one and a half. */
  private randomize(now: number): void {
    const base = Math.min(Math.max(this.reachableBase, MIN_REACHABLE), MAX_TIME)
    this.ground.ndp.neighbors.reachableTime = base * (0.5 + this.chance())
    this.rerandomizeAt = now + RERANDOMIZE
  }

  private takePrefixes(advert: RouterAdvert, router: Address, now: number): void {
    for (const { prefix, onLink, validLifetime } of advert.prefixes) {
      if (isLinkLocal(prefix.address) || prefix.address.isMulticast) continue
      // What is on the link is so for all: the last word counts, whoever says it (section 6.3.4).
      keepOnly(
        this.prefixes,
        known =>
          !samePrefix(known.prefix, prefix) ||
          !(known.router.equals(router) || (onLink && validLifetime === 0)),
      )
      if (validLifetime === 0) continue
      if (this.prefixes.length >= MAX_PREFIXES) {
        this.ground.counters.routersFull++
        continue
      }
      this.prefixes.push({ prefix, router, onLink, expires: expiry(validLifetime, now) })
    }
  }

  private takeRouter(advert: RouterAdvert, address: Address, now: number): void {
    const { counters } = this.ground
    let router = this.find(address)
    if (router === undefined) {
      if (advert.lifetime === 0 && advert.routes.length === 0) return
      if (this.routers.length >= MAX_ROUTERS) {
        counters.routersFull++
        return
      }
      router = { address, reachable: true, routes: [] }
      this.routers.push(router)
    }
    router.reachable = true
    this.takeRoute(router, DEFAULT, advert.preference, advert.lifetime, now)
    for (const { prefix, preference, lifetime } of advert.routes)
      this.takeRoute(router, prefix, preference, lifetime, now)
  }

  /** RFC 4191 section 3.2: a route to ::/0 is the default route, and has the last word on it. */
  private takeRoute(
    router: Router,
    destination: Prefix,
    preference: RouterPreference,
    lifetime: number,
    now: number,
  ): void {
    router.routes = router.routes.filter(route => !samePrefix(route.destination, destination))
    if (lifetime === 0) return
    if (router.routes.length > MAX_ROUTES) this.ground.counters.routersFull++
    else {
      const route = { destination, preference, expires: expiry(lifetime, now) }
      router.routes = [...router.routes, route]
    }
  }

  private find(address: Address): Router | undefined {
    return this.routers.find(router => router.address.equals(address))
  }

  /** Who says that he is no router any more. */
  private forget(address: Address): void {
    const i = this.routers.findIndex(router => router.address.equals(address))
    if (i >= 0) this.routers.splice(i, 1)
    this.ground.routes.remove(
      ({ origin, gateway }) => origin === 'redirect' && gateway?.equals(address) === true,
    )
    this.install()
  }

  /** Another router is tried, and what a redirect said of this neighbor is no longer so (section 7.3.3). */
  private neighborFailed(address: Address): void {
    this.ground.routes.remove(
      ({ origin, gateway }) => origin === 'redirect' && gateway?.equals(address) === true,
    )
    const router = this.find(address)
    if (router === undefined || !router.reachable) return
    router.reachable = false
    this.install()
  }

  private expire(now: number): void {
    for (const router of this.routers)
      router.routes = router.routes.filter(route => now < route.expires)
    keepOnly(this.prefixes, prefix => now < prefix.expires)
  }

  /** What is known becomes routes. */
  private install(): void {
    const { routes } = this.ground
    keepOnly(this.routers, router => router.routes.length > 0)
    const lives = this.routers.flatMap(router => router.routes)
    this.expireAt = Math.min(...[...lives, ...this.prefixes].map(({ expires }) => expires))
    routes.remove(route => route.origin === 'router-advertisement')
    const origin = 'router-advertisement' as const
    const source = undefined
    for (const { prefix, onLink, expires } of this.prefixes)
      if (onLink)
        routes.add({
          destination: prefix,
          gateway: undefined,
          source,
          metric: 256,
          origin,
          expires,
        })
    const alive = this.routers.some(router => router.reachable)
    for (const { address, reachable, routes: learnt } of this.routers)
      for (const { destination, preference, expires } of learnt) {
        // A more specific route through a dead router is worse than any default route (RFC 4191 section 3.2).
        if (!reachable && alive && destination.prefixLength > 0) continue
        const metric = METRIC[preference] + (reachable ? 0 : UNREACHABLE_METRIC)
        routes.add({ destination, gateway: address, source, metric, origin, expires })
      }
  }

  /** Sections 8.1 and 8.3. */
  private redirectArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters, ndp, routes, addresses } = this.ground
    const { bytes, at, length } = message
    const redirect = isFromLink(packet) ? parseRedirect(bytes, at, length) : undefined
    const src = packet.src()
    if (
      redirect === undefined ||
      !isLinkLocal(src) ||
      (redirect.targetMac !== undefined && isNoStation(redirect.targetMac))
    ) {
      counters.ndInvalid++
      return
    }
    counters.redirectsIn++
    const { dst, target, targetMac } = redirect
    const onLink = target.equals(dst)
    const current = routes.lookup(dst)
    if (
      !this.enabled ||
      current === undefined ||
      !nextHop(current, dst).equals(src) ||
      addresses.find(target) !== undefined
    ) {
      counters.redirectRefused++
      return
    }
    const isSame = (address: Address) => address.equals(dst)
    routes.remove(r => r.origin === 'redirect' && isSame(r.destination.address))
    const known = routes.all.filter(route => route.origin === 'redirect')
    if (known.length >= MAX_REDIRECTS) {
      counters.routersFull++
      return
    }
    const neighbor = targetMac && ndp.heard(target, targetMac, now)
    if (neighbor !== undefined && !onLink) neighbor.router = true
    routes.add({
      destination: { address: dst, prefixLength: 128 },
      gateway: onLink ? undefined : target,
      source: undefined,
      metric: 0,
      origin: 'redirect',
      expires: now + REDIRECT_AGE,
    })
  }

  /** Between 0 and 1. */
  private chance(): number {
    return this.ground.random() / 2 ** 32
  }
}

const DEFAULT: Prefix = { address: ANY_V6, prefixLength: 0 }

const samePrefix = (a: Prefix, b: Prefix): boolean =>
  a.prefixLength === b.prefixLength && a.address.matches(b.address, a.prefixLength)

const expiry = (lifetime: number, now: number): number =>
  lifetime === ND_INFINITE ? Infinity : now + lifetime * 1000

function keepOnly<T>(list: T[], keep: (item: T) => boolean): void {
  const kept = list.filter(keep)
  list.splice(0, list.length, ...kept)
}
