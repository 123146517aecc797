// IPv6 as the network's routers say (RFC 4861, 4862, 8106): addresses from their prefixes, names' servers, and whether
// DHCPv6 is to be asked for either. Routes, mtu and hop limit are the stack's own (net/router-discovery.ts).
import type { Stack } from '../stack/stack.ts'
import { type Address, isLinkLocal } from '../wire/address.ts'
import { formatAddress } from '../wire/address-text.ts'
import { ALL_DHCP_AGENTS, DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT } from '../wire/dhcpv6.ts'
import { ND_INFINITE, type RouterAdvert } from '../wire/ndp.ts'
import { Dhcpv6Client, type Dhcpv6Action, type Dhcpv6Memory } from './dhcpv6.ts'
import type { Dhcpv6Lease, Dhcpv6Names } from './dhcpv6-lease.ts'
import { type Formed, type Identify, Slaac, type SlaacAddress } from './slaac.ts'
import { UdpPort } from './udp-port.ts'

export interface AutoconfigurationSetup {
  /** Makes addresses from prefixes so; undefined: makes none. */
  readonly identify: Identify | undefined
  readonly routers: boolean
  readonly dhcp6: 'no' | 'routers' | 'yes'
  readonly name: string | undefined
  readonly random: () => number
}

export interface AutoconfigurationMemory {
  readonly slaac: readonly Formed[]
  readonly dhcp6:
    { readonly stateful: boolean; readonly client: Dhcpv6Memory | undefined } | undefined
  readonly servers: readonly Learnt[]
  readonly domains: readonly Learnt[]
}

/** An address of a server, or a domain, until when. */
interface Learnt {
  readonly text: string
  readonly expires: number
}

/** A resolver asks three, and searches a few. */
const MAX_LEARNT = 8

export class Autoconfiguration {
  /** A router has been heard. */
  heard = false
  private readonly stack: Stack
  private readonly setup: AutoconfigurationSetup
  private readonly changed: () => void
  private readonly slaac: Slaac | undefined
  private client: Dhcpv6Client | undefined
  private stateful = false
  private port: UdpPort | undefined
  private lease: Dhcpv6Lease | undefined
  private names: Dhcpv6Names | undefined
  private servers: readonly Learnt[]
  private domains: readonly Learnt[]

  /** `changed`: addresses, routes or names are others. */
  constructor(
    stack: Stack,
    setup: AutoconfigurationSetup,
    changed: () => void,
    now: number,
    memory?: AutoconfigurationMemory,
  ) {
    const { identify, routers, dhcp6 } = setup
    this.stack = stack
    this.setup = setup
    this.changed = changed
    this.servers = memory?.servers ?? []
    this.domains = memory?.domains ?? []
    if (identify !== undefined) this.slaac = new Slaac(identify, memory?.slaac)
    for (const formed of this.slaac?.memory ?? []) if (formed.validUntil > now) this.put(formed)
    if (memory?.dhcp6 !== undefined) this.ask(memory.dhcp6.stateful, now, memory.dhcp6.client)
    else if (dhcp6 === 'yes') this.ask(true, now)
    if (!routers) return
    stack.ipv6.routers.onAdvert = (advert, _router, now) => this.advertised(advert, now)
    stack.ipv6.routers.enable(true)
  }

  get memory(): AutoconfigurationMemory {
    const { client, stateful, slaac, servers, domains } = this
    const dhcp6 = client && { stateful, client: client.memory }
    return { slaac: slaac?.memory ?? [], dhcp6, servers, domains }
  }

  /** An address is to come from DHCPv6 that has not come yet. */
  get awaitsLease(): boolean {
    return this.client !== undefined && this.stateful && this.lease === undefined
  }

  get dns(): readonly string[] {
    const leased = this.lease?.names ?? this.names
    return [...this.servers.map(({ text }) => text), ...(leased?.dns ?? []).map(formatAddress)]
  }

  get search(): readonly string[] {
    const leased = this.lease?.names ?? this.names
    return [...this.domains.map(({ text }) => text), ...(leased?.search ?? [])]
  }

  get next(): number {
    if (this.port?.isEmpty === false) return -Infinity
    let next = this.client?.next ?? Infinity
    for (const { expires } of this.servers) next = Math.min(next, expires)
    for (const { expires } of this.domains) next = Math.min(next, expires)
    return next
  }

  run(now: number): void {
    if (now < this.next) return
    const { client, port, servers, domains } = this
    if (client !== undefined) {
      for (const bytes of port!.take()) this.perform(client.arrives(bytes, now))
      while (client.next <= now) this.perform(client.run(now))
    }
    this.servers = servers.filter(({ expires }) => expires > now)
    this.domains = domains.filter(({ expires }) => expires > now)
    if (this.servers.length < servers.length || this.domains.length < domains.length) this.changed()
  }

  linkUp(now: number): void {
    if (this.client !== undefined) this.perform(this.client.linkUp(now))
  }

  /** Detection found that `address` is another station's. */
  duplicated(address: Address, now: number): void {
    if (this.client !== undefined) this.perform(this.client.conflict(address, now))
    const next = this.slaac?.duplicated(address, now)
    if (next === undefined) return
    this.stack.removeAddress(address)
    this.put(next)
    this.changed()
  }

  /** Gives back what DHCPv6 gave. True: the server knows, or does not answer. */
  release(now: number): boolean {
    const { client } = this
    if (client === undefined) return true
    if (client.state !== 'RELEASED' && client.state !== 'RELEASING')
      // The addresses stay: connections may still be ending.
      this.perform(client.release(now).filter(action => action.do === 'send'))
    return client.state === 'RELEASED'
  }

  private advertised(advert: RouterAdvert, now: number): void {
    this.heard = true
    for (const info of advert.prefixes) {
      const made = this.slaac?.advertised(info, now)
      if (made !== undefined) this.put(made)
    }
    for (const { addresses, lifetime } of advert.rdnss)
      for (const address of addresses)
        if (!address.isUnspecified && !address.isMulticast)
          this.servers = learnt(this.servers, formatAddress(address), lifetime, now)
    for (const { names, lifetime } of advert.dnssl)
      for (const name of names) this.domains = learnt(this.domains, name, lifetime, now)
    if (this.setup.dhcp6 === 'routers') this.follow(advert, now)
    this.changed()
  }

  /** Flags M and O. What a router said once is not taken back (RFC 4862 appendix C): another one may think otherwise. */
  private follow({ managed, other }: RouterAdvert, now: number): void {
    if (managed && !this.stateful) this.ask(true, now)
    else if (other && this.client === undefined) this.ask(false, now)
  }

  private ask(stateful: boolean, now: number, memory?: Dhcpv6Memory): void {
    const { mac } = this.stack
    const { random, name } = this.setup
    this.port ??= new UdpPort(this.stack, 6, DHCPV6_CLIENT_PORT)
    this.stateful = stateful
    this.client = new Dhcpv6Client({ mac, random, stateful, name }, now, memory)
    this.names = this.client.names
    if (this.client.lease !== undefined) this.use(this.client.lease)
  }

  private perform(actions: readonly Dhcpv6Action[]): void {
    for (const action of actions) {
      if (action.do === 'send') this.send(action.bytes)
      else if (action.do === 'bound') this.use(action.lease)
      else if (action.do === 'informed') this.names = action.names
      else this.drop([])
      if (action.do !== 'send') this.changed()
    }
  }

  private send(bytes: Uint8Array): void {
    const own = this.stack.ipv6.addresses.all
    const src = own.find(({ address, isAssigned }) => isAssigned && isLinkLocal(address))
    if (src !== undefined) this.port!.send(bytes, src.address, ALL_DHCP_AGENTS, DHCPV6_SERVER_PORT)
  }

  private use(lease: Dhcpv6Lease): void {
    this.drop(lease.addresses.map(({ address }) => address))
    this.lease = lease
    // That the server leases it does not say what else is on the link (RFC 8415 section 18.2.10.1).
    for (const { address, preferredUntil, validUntil } of lease.addresses)
      this.stack.addAddress({ address, prefixLength: 128 }, 'dhcp', preferredUntil, validUntil)
  }

  /** Gives up what the lease gave, but for what stays. */
  private drop(stays: readonly Address[]): void {
    for (const { address } of this.lease?.addresses ?? [])
      if (!stays.some(other => other.equals(address))) this.stack.removeAddress(address)
    this.lease = undefined
  }

  private put({ address, preferredUntil, validUntil }: SlaacAddress): void {
    this.stack.addAddress({ address, prefixLength: 64 }, 'slaac', preferredUntil, validUntil)
  }
}

/** `list` with `text` for so many seconds; 0 takes it away. */
function learnt(
  list: readonly Learnt[],
  text: string,
  lifetime: number,
  now: number,
): readonly Learnt[] {
  const expires = lifetime === ND_INFINITE ? Infinity : now + 1000 * lifetime
  if (lifetime === 0) return list.filter(other => other.text !== text)
  if (list.some(other => other.text === text))
    return list.map(other => (other.text === text ? { text, expires } : other))
  return list.length < MAX_LEARNT ? [...list, { text, expires }] : list
}
