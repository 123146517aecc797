// How a stack comes by its addresses, routes and mtu, and what goes with them: from what the user says, from DHCP, from
// IPv6's routers. Owned by the stack's thread, which calls run() in each of its turns; what is to outlive the thread is
// `memory`, which goes by way of the main thread to the next one.
import type { Route, Stack } from '../stack/stack.ts'
import { Address, isLinkLocal } from '../wire/address.ts'
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Prefix,
} from '../wire/address-text.ts'
import { eui64, formatMac } from '../wire/mac.ts'
import { Autoconfiguration, type AutoconfigurationMemory } from './autoconfiguration.ts'
import type { DhcpMemory } from './dhcp.ts'
import { DhcpService } from './dhcp-service.ts'
import { hashAddress, stableAddress } from './interface-id.ts'
import { usesIpv6, type RouteSettings, type Settings } from './settings.ts'
import type { Identify } from './slaac.ts'

/** What a stack has, as text: for people, and for who answers resolvers. */
export interface Obtained {
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
  readonly dns: readonly string[]
  readonly search: readonly string[]
  /** Of resolv.conf(5). */
  readonly dnsOptions: readonly string[]
  /** "192.168.0.1, for 3600 s" */
  readonly lease: string | undefined
}

export interface ConfigurationMemory {
  readonly dhcp: DhcpMemory | undefined
  readonly autoconfiguration: AutoconfigurationMemory | undefined
  /** Of routers; they are asked again, but connections go on meanwhile. */
  readonly routes: readonly Route[]
}

export interface ConfigurationSetup {
  readonly settings: Settings
  /** For 'stable' identifiers: what is the user's alone, and what this stack is to the user. */
  readonly secret: Uint8Array
  readonly identity: string
  /** The link is asked whether somebody has the IPv4 addresses that are given, before they are taken (RFC 5227). */
  readonly asks: boolean
  /** 32 random bits. */
  readonly random: () => number
}

/**
 * How long a program's start waits: for a DHCP server, which it cannot do without, for an IPv6 router, and for a DHCPv6 server
 * that a router speaks of.
 */
/** The same where IPv6 has come meanwhile, so that there is a life without: two DISCOVERs go unanswered. */
const DHCP_BESIDE_IPV6_PATIENCE_MS = 6000
/** A link that takes no frames gives no answer: what nobody denied is taken then. */
const PROBE_PATIENCE_MS = 1000
const DHCP_PATIENCE_MS = 10_000
const ROUTER_PATIENCE_MS = 1500
const DHCP6_PATIENCE_MS = 3000
/** How long the end waits for DHCPv6's servers. */
const RELEASE_PATIENCE_MS = 2000
const IPV6_MIN_MTU = 1280
/** Changes are told no more often, however often a router speaks. */
const CHANGE_MS = 100

export class Configuration {
  private readonly stack: Stack
  private readonly setup: ConfigurationSetup
  private readonly dhcp: DhcpService | undefined
  private readonly auto: Autoconfiguration | undefined
  private readonly began: number
  private isUp = false
  private ending = Infinity
  /** Routes whose gateways are no neighbors yet. */
  private waiting: readonly RouteSettings[]
  /** Given addresses about which the link has not answered yet. */
  private asked: Prefix[] = []
  /** The sentence about one that is another's. */
  private denied: string | undefined
  /** Something changed since the last takeChange(), which was then. */
  private isChanged = false
  private takenAt = -Infinity

  /** Takes the addresses and routes that are given, or had been when there was `memory`. */
  constructor(stack: Stack, setup: ConfigurationSetup, now: number, memory?: ConfigurationMemory) {
    const { settings, random } = setup
    const { name, dhcp, dhcp6, routers } = settings
    const changed = () => this.change()
    this.stack = stack
    this.setup = setup
    this.began = now
    // The link-local address is the MAC's in any case: who is on the link sees that anyway, and a neighbor that remembers
    // another MAC for it could not answer.
    if (usesIpv6(settings)) stack.ipv6.enable()
    for (const prefix of settings.addresses.map(text => parsePrefix(text)!))
      if (setup.asks && prefix.address.isV4) this.ask(prefix)
      else stack.addAddress(prefix)
    for (const route of memory?.routes ?? []) stack.addRoute(revived(route))
    this.waiting = settings.routes
    if (dhcp) {
      const client = { mac: stack.mac, random, name }
      this.dhcp = new DhcpService(stack, client, changed, now, memory?.dhcp)
    }
    if (routers || dhcp6 === 'yes') {
      const client = { identify: this.identify, routers, dhcp6, name, random }
      const remembered = memory?.autoconfiguration
      this.auto = new Autoconfiguration(stack, client, changed, now, remembered)
    }
    this.change()
  }

  /** When run() or takeChange() has something to do. */
  get next(): number {
    const change = this.isChanged ? this.takenAt + CHANGE_MS : Infinity
    if (!this.isUp) return change
    const asked = this.asked.length > 0 ? this.began + PROBE_PATIENCE_MS : Infinity
    return Math.min(change, asked, this.dhcp?.next ?? Infinity, this.auto?.next ?? Infinity)
  }

  run(now: number): void {
    if (!this.isUp) return
    if (now >= this.began + PROBE_PATIENCE_MS) for (const prefix of this.asked) this.take(prefix)
    this.dhcp?.run(now)
    this.auto?.run(now)
  }

  /** The link is there; `again`: after it had been away. */
  linkUp(now: number, again: boolean): void {
    this.isUp = true
    if (!again) return
    this.dhcp?.linkUp(now)
    this.auto?.linkUp(now)
  }

  linkDown(): void {
    this.isUp = false
  }

  /** Another station uses `address`. If it had it before us, it is that one's; else the stack has answered. */
  conflict(address: Address, now: number): void {
    if (!address.isV4 && this.stack.ipv6.addresses.find(address)?.isAssigned === false)
      this.auto?.duplicated(address, now)
  }

  /** `address`, which we obtained, is another station's: it goes on in spite of our answer, or has claimed it at our switch. */
  taken(address: Address, now: number): void {
    if (address.isV4) return this.dhcp?.taken(address, now)
    this.stack.removeAddress(address)
    this.auto?.duplicated(address, now)
    this.change()
  }

  /** Why this link, `net`, is none for us, in one sentence. */
  refusal(net: string, linkMtu: number): string | undefined {
    if (this.denied !== undefined) return `${this.denied} on ${net}`
    const { mtu = 0 } = this.setup.settings
    if (mtu <= linkMtu) return undefined
    return `cannot use mtu ${mtu}: the network carries packets of ${linkMtu} bytes`
  }

  /** May the program start? 'late': it must not, since what it was to have does not come. */
  readiness(now: number): 'ready' | 'waiting' | 'late' {
    const waited = now - this.began
    const { routers } = this.setup.settings
    if (this.denied !== undefined) return 'ready'
    if (this.asked.length > 0) return 'waiting'
    if (this.dhcp !== undefined && this.dhcp.lease === undefined) {
      const waits = now - this.dhcp.since
      if (waits < DHCP_BESIDE_IPV6_PATIENCE_MS) return 'waiting'
      if (!this.hasIpv6) return waits < DHCP_PATIENCE_MS ? 'waiting' : 'late'
    }
    if (routers && !this.auto!.heard && waited < ROUTER_PATIENCE_MS) return 'waiting'
    if (this.auto?.awaitsLease && waited < DHCP6_PATIENCE_MS) return 'waiting'
    return 'ready'
  }

  /** A router or a DHCPv6 server has given us an address. */
  private get hasIpv6(): boolean {
    return this.stack.ipv6.addresses.all.some(
      ({ origin, isAssigned }) => isAssigned && origin !== 'static' && origin !== 'link-local',
    )
  }

  private ask(prefix: Prefix): void {
    const { address } = prefix
    this.asked.push(prefix)
    this.stack.probe(address, (free, _now, owner) => {
      if (!this.asked.includes(prefix)) return
      if (free) return this.take(prefix)
      const who = owner === undefined ? 'another station' : formatMac(owner)
      this.denied ??= `cannot take ${formatAddress(address)}: ${who} has it`
    })
  }

  /** Nobody else has it. */
  private take(prefix: Prefix): void {
    this.asked = this.asked.filter(other => other !== prefix)
    this.stack.addAddress(prefix)
    this.change()
  }

  /** When readiness() may be another without an event. */
  readinessNext(now: number): number {
    const { began, dhcp } = this
    const ends = [began + ROUTER_PATIENCE_MS, began + DHCP6_PATIENCE_MS]
    for (const patience of [DHCP_BESIDE_IPV6_PATIENCE_MS, DHCP_PATIENCE_MS])
      if (dhcp !== undefined) ends.push(dhcp.since + patience)
    return Math.min(...ends.filter(end => end > now))
  }

  /** Gives back what was leased; to be called until it is true. */
  release(now: number): boolean {
    if (!this.isUp) return true
    if (this.ending === Infinity) this.ending = now + RELEASE_PATIENCE_MS
    const dhcp = this.dhcp?.release(now) ?? true
    const auto = this.auto?.release(now) ?? true
    return (dhcp && auto) || now >= this.ending
  }

  /** True: what `memory` and `obtained` say has changed since it was true last, some while ago. */
  takeChange(now: number): boolean {
    if (!this.isChanged || now < this.takenAt + CHANGE_MS) return false
    this.isChanged = false
    this.takenAt = now
    return true
  }

  get memory(): ConfigurationMemory {
    return {
      dhcp: this.dhcp?.client.memory,
      autoconfiguration: this.auto?.memory,
      routes: this.stack.ipv6.routes.all.filter(({ origin }) => origin === 'router-advertisement'),
    }
  }

  get obtained(): Obtained {
    const { ipv4, ipv6 } = this.stack
    const { settings } = this.setup
    const lease = this.dhcp?.lease
    const addresses = [...ipv4.addresses.all, ...ipv6.addresses.all]
    const routes = [...ipv4.routes.all, ...ipv6.routes.all]
    return {
      addresses: addresses.filter(({ isAssigned }) => isAssigned).map(formatPrefix),
      routes: routes.filter(({ origin }) => origin !== 'connected').map(formatRoute),
      dns: unique([
        ...settings.dns,
        ...(lease?.dns ?? []).map(formatAddress),
        ...(this.auto?.dns ?? []),
      ]),
      search: unique([...settings.search, ...(lease?.search ?? []), ...(this.auto?.search ?? [])]),
      dnsOptions: settings.dnsOptions,
      lease: lease && formatLease(lease.server, lease.expiresAt - lease.obtainedAt),
    }
  }

  /** Addresses that others are to be kept from: the link-local one is the MAC's affair. */
  get claims(): readonly Address[] {
    const { ipv4, ipv6 } = this.stack
    return [...ipv4.addresses.all, ...ipv6.addresses.all]
      .filter(({ isAssigned, address }) => isAssigned && !isLinkLocal(address))
      .map(({ address }) => address)
  }

  private change(): void {
    this.isChanged = true
    const { settings } = this.setup
    const mtu = Math.min(settings.mtu ?? Infinity, this.dhcp?.lease?.mtu ?? Infinity)
    this.stack.nic.limitMtu(usesIpv6(settings) ? Math.max(mtu, IPV6_MIN_MTU) : mtu)
    this.waiting = this.waiting.filter(route => !this.add(route))
  }

  /** False: the gateway is not to be reached yet. */
  private add({ destination, gateway, metric }: RouteSettings): boolean {
    const via = gateway === undefined ? undefined : parseAddress(gateway)!
    if (via !== undefined && !this.stack.isNeighbor(via)) return false
    this.stack.addRoute({
      destination: parsePrefix(destination)!,
      gateway: via,
      source: undefined,
      metric,
      origin: 'static',
      expires: Infinity,
    })
    return true
  }

  private get identify(): Identify | undefined {
    const { settings, secret, identity } = this.setup
    const { mac } = this.stack
    switch (settings.slaac) {
      case 'eui64':
        return prefix => eui64(prefix, mac)
      case 'stable':
        return (prefix, attempt) => stableAddress(prefix, identity, attempt, secret)
      case 'hash':
        return prefix => hashAddress(prefix, settings.name!)
      case undefined:
        return undefined
    }
  }
}

const unique = (list: readonly string[]): string[] => [...new Set(list)]

const formatRoute = ({ destination, gateway }: Route): string =>
  formatPrefix(destination) + (gateway === undefined ? '' : ` via ${formatAddress(gateway)}`)

const formatLease = (server: Address, ms: number): string =>
  `${formatAddress(server)}, ${ms === Infinity ? 'for ever' : `for ${Math.round(ms / 1000)} s`}`

/** Between threads objects lose their class. */
function revived(route: Route): Route {
  const address = ({ a, b, c, d }: Address) => new Address(a, b, c, d)
  const { destination, gateway, source } = route
  return {
    ...route,
    destination: { ...destination, address: address(destination.address) },
    gateway: gateway && address(gateway),
    source: source && address(source),
  }
}
