// The DHCP client at work: its messages on a port, its probes on the link, its lease in the stack.
import type { Stack } from '../stack/stack.ts'
import type { Address } from '../wire/address.ts'
import type { Prefix } from '../wire/address-text.ts'
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from '../wire/dhcp.ts'
import { DhcpClient, type DhcpAction, type DhcpMemory, type DhcpSetup } from './dhcp.ts'
import type { DhcpLease } from './dhcp-lease.ts'
import { UdpPort } from './udp-port.ts'

/** Behind what the user gave, as Linux's clients have it. */
const METRIC = 100
/** The RELEASE may have to wait until its server's MAC is known. */
const RELEASE_MS = 200

export class DhcpService {
  readonly client: DhcpClient
  /** The lease in use. */
  lease: DhcpLease | undefined
  private readonly stack: Stack
  private readonly port: UdpPort
  private readonly changed: () => void
  /** A server's answer is waited for since then: an address that was taken delays it (RFC 2131 section 3.1, 5). */
  since: number
  private releasedAt = Infinity

  /** `changed`: the lease is another one, or none. */
  constructor(
    stack: Stack,
    setup: DhcpSetup,
    changed: () => void,
    now: number,
    memory?: DhcpMemory,
  ) {
    this.stack = stack
    this.changed = changed
    this.since = now
    this.port = new UdpPort(stack, 4, DHCP_CLIENT_PORT)
    this.client = new DhcpClient(setup, now, memory)
    if (this.client.lease !== undefined) this.use(this.client.lease)
  }

  get next(): number {
    return this.port.isEmpty ? this.client.next : -Infinity
  }

  run(now: number): void {
    for (const bytes of this.port.take()) this.perform(this.client.arrives(bytes, now))
    while (this.client.next <= now) this.perform(this.client.run(now))
  }

  linkUp(now: number): void {
    this.perform(this.client.linkUp(now))
  }

  /** Another station has our address, and keeps it. */
  taken(address: Address, now: number): void {
    if (this.lease?.address.equals(address)) this.perform(this.client.conflict(now))
  }

  /** Gives the lease back. True: the server knows, as far as we can tell. */
  release(now: number): boolean {
    if (this.releasedAt === Infinity) {
      const held = this.lease !== undefined
      // The address stays: the RELEASE comes from it, and may wait for the server's MAC.
      const sends = this.client.release().filter(action => action.do === 'send')
      this.perform(sends)
      this.releasedAt = held ? now : now - RELEASE_MS
    }
    return now >= this.releasedAt + RELEASE_MS
  }

  private perform(actions: readonly DhcpAction[]): void {
    for (const action of actions)
      switch (action.do) {
        case 'send':
          this.port.send(action.bytes, action.src, action.dst, DHCP_SERVER_PORT)
          break
        case 'probe':
          this.stack.probe(action.address, (free, now) => {
            this.perform(this.client.probed(free, now))
            if (!free) this.since = this.client.next
          })
          break
        case 'bound':
          this.use(action.lease)
          this.changed()
          break
        case 'lost':
          this.drop()
          this.changed()
      }
  }

  private use(lease: DhcpLease): void {
    const { stack } = this
    const { address, prefixLength, expiresAt } = lease
    if (this.lease !== undefined && !this.lease.address.equals(address)) this.drop()
    this.lease = lease
    stack.addAddress({ address, prefixLength }, 'dhcp', Infinity, expiresAt)
    stack.removeRoutes(isOurs)
    for (const { prefix, gateway } of lease.routes) {
      if (gateway !== undefined && !stack.isNeighbor(gateway)) this.addRoute(lease, host(gateway))
      this.addRoute(lease, prefix, gateway)
    }
  }

  private addRoute(lease: DhcpLease, destination: Prefix, gateway?: Address): void {
    this.stack.addRoute({
      destination,
      gateway,
      source: lease.address,
      metric: METRIC,
      origin: 'dhcp',
      expires: lease.expiresAt,
    })
  }

  private drop(): void {
    if (this.lease === undefined) return
    this.stack.removeRoutes(isOurs)
    this.stack.removeAddress(this.lease.address)
    this.lease = undefined
  }
}

/**
 * A server that leases an address alone, with mask 255.255.255.255, as those of clouds do, has its gateway on the link all
 * the same: there is no other way to it (systemd-networkd and dhclient's scripts have the same route).
 */
const host = (address: Address): Prefix => ({ address, prefixLength: 32 })

const isOurs = ({ origin }: { readonly origin: string }) => origin === 'dhcp'
