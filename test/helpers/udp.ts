// UDP endpoints of whole stacks, and a user that keeps what it gets.
import { type Endpoint, Outgoing, type Packet, type Unreachable } from '../../src/stack/stack.ts'
import type { UdpUser } from '../../src/stack/stack.ts'
import type { Address } from '../../src/wire/address.ts'
import { formatAddress } from '../../src/wire/address-text.ts'
import { addr } from './net.ts'
import type { Node } from './stacks.ts'

export interface Got {
  text: string
  from: string
  to: string
  ttl: number
  tos: number
  group: boolean
}

export class UdpSocket implements UdpUser {
  readonly node: Node
  readonly endpoint: Endpoint
  readonly got: Got[] = []
  readonly errors: Unreachable[] = []
  full = false

  constructor(node: Node, family: 4 | 6 = 4, options: Partial<Endpoint> = {}) {
    this.node = node
    this.endpoint = node.stack.udp.open(family, this)!
    Object.assign(this.endpoint, options)
  }

  arrives(_: Endpoint, packet: Packet, srcPort: number, at: number, length: number): boolean {
    if (this.full) return false
    const { ttl, tos, group } = packet
    const text = Buffer.from(packet.bytes.slice(at, at + length)).toString('latin1')
    const to = formatAddress(packet.dst())
    this.got.push({ text, from: `${formatAddress(packet.src())}:${srcPort}`, to, ttl, tos, group })
    return true
  }

  failed(_: Endpoint, error: Unreachable): void {
    this.errors.push(error)
  }

  /** Texts that came since the last time. */
  texts(): string[] {
    return this.got.splice(0).map(({ text }) => text)
  }

  bind(address: string, port: number): number {
    return this.node.stack.udp.bind(this.endpoint, addr(address), port)
  }

  connect(address: string, port: number): number {
    return this.node.stack.udp.connect(this.endpoint, addr(address), port)
  }

  /** `to`: address and port, or nothing for the peer. */
  send(text: string | Uint8Array, address?: string, port = 0, from?: string): number {
    const out = new Outgoing().text(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
    if (address !== undefined) out.to(addr(address), port)
    if (from !== undefined) out.from(addr(from))
    return this.node.stack.udp.send(this.endpoint, out)
  }

  sendTo(text: Uint8Array, to: Address, port: number): number {
    return this.node.stack.udp.send(this.endpoint, new Outgoing().text(text).to(to, port))
  }

  join(group: string): number {
    return this.node.stack.udp.join(this.endpoint, addr(group))
  }

  close(): void {
    this.node.stack.udp.close(this.endpoint)
  }

  /** Its name and its peer's. */
  get names(): string {
    const { local, localPort, remote, remotePort, connected } = this.endpoint
    const name = `${formatAddress(local)}:${localPort}`
    return connected ? `${name} ${formatAddress(remote)}:${remotePort}` : name
  }
}
