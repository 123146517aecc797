// Raw and ping endpoints of whole stacks, and users that keep what they get.
import {
  Outgoing,
  type Packet,
  type PingEndpoint,
  type RawEndpoint,
  type Unreachable,
} from '../../src/stack/stack.ts'
import { formatAddress } from '../../src/wire/address-text.ts'
import { addr } from './net.ts'
import type { Node } from './stacks.ts'

abstract class Keeper {
  readonly got: { text: Buffer; from: string; ttl: number }[] = []
  readonly errors: Unreachable[] = []
  full = false

  arrives(_: unknown, packet: Packet, at: number, length: number): boolean {
    if (this.full) return false
    const text = Buffer.from(packet.bytes.slice(at, at + length))
    this.got.push({ text, from: formatAddress(packet.src()), ttl: packet.ttl })
    return true
  }

  failed(_: unknown, error: Unreachable): void {
    this.errors.push(error)
  }

  /** What came since the last time. */
  take(): Buffer[] {
    return this.got.splice(0).map(({ text }) => text)
  }
}

const outgoing = (text: Uint8Array, to?: string): Outgoing => {
  const out = new Outgoing().text(text)
  return to === undefined ? out : out.to(addr(to), 0)
}

export class RawSocket extends Keeper {
  readonly node: Node
  readonly endpoint: RawEndpoint

  constructor(node: Node, protocol: number, family: 4 | 6 = 4, options: Partial<RawEndpoint> = {}) {
    super()
    this.node = node
    this.endpoint = node.stack.raw.open(family, protocol, this)
    Object.assign(this.endpoint, options)
  }

  bind(address: string): number {
    return this.node.stack.raw.bind(this.endpoint, addr(address))
  }
  connect(address: string): number {
    return this.node.stack.raw.connect(this.endpoint, addr(address))
  }
  send(text: Uint8Array, to?: string): number {
    return this.node.stack.raw.send(this.endpoint, outgoing(text, to))
  }
  close(): void {
    this.node.stack.raw.close(this.endpoint)
  }
}

export class PingSocket extends Keeper {
  readonly node: Node
  readonly endpoint: PingEndpoint

  constructor(node: Node, family: 4 | 6 = 4, options: Partial<PingEndpoint> = {}) {
    super()
    this.node = node
    this.endpoint = node.stack.ping.open(family, this)
    Object.assign(this.endpoint, options)
  }

  bind(address: string, ident: number): number {
    return this.node.stack.ping.bind(this.endpoint, addr(address), ident)
  }
  connect(address: string): number {
    return this.node.stack.ping.connect(this.endpoint, addr(address))
  }
  send(text: Uint8Array, to?: string): number {
    return this.node.stack.ping.send(this.endpoint, outgoing(text, to))
  }
  close(): void {
    this.node.stack.ping.close(this.endpoint)
  }
}
