// A UDP port of the stack's own, for a client of conf/. What arrives waits here for the client's next turn: inside the
// arrival of a datagram neither addresses nor endpoints may change.
import {
  type Endpoint,
  Outgoing,
  type Packet,
  type Stack,
  type Unreachable,
  type UdpUser,
} from '../stack/stack.ts'
import { type Address, ANY_V4, ANY_V6 } from '../wire/address.ts'

/** Of datagrams that wait; who sends more in one turn is no server. */
const MAX_WAITING = 16

export class UdpPort implements UdpUser {
  private readonly stack: Stack
  private readonly endpoint: Endpoint
  private readonly outgoing = new Outgoing()
  private waiting: Uint8Array[] = []

  /** The program may have the port, too: it does not know of this one. */
  constructor(stack: Stack, family: 4 | 6, port: number) {
    this.stack = stack
    const endpoint = stack.udp.open(family, this)
    if (endpoint === undefined) throw new Error(`Cannot open UDP port ${port}: too many endpoints`)
    endpoint.reuse = endpoint.share = endpoint.broadcast = true
    endpoint.v6only = family === 6
    const errno = stack.udp.bind(endpoint, family === 4 ? ANY_V4 : ANY_V6, port, true)
    if (errno < 0) throw new Error(`Cannot bind UDP port ${port}: errno ${-errno}`)
    this.endpoint = endpoint
  }

  /** What cannot be sent is lost, as on any link: clients send again. */
  send(bytes: Uint8Array, src: Address, dst: Address, port: number): void {
    this.stack.udp.send(this.endpoint, this.outgoing.text(bytes).from(src).to(dst, port))
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0
  }

  /** All that waits. */
  take(): Uint8Array[] {
    const { waiting } = this
    this.waiting = []
    return waiting
  }

  arrives(_endpoint: Endpoint, packet: Packet, _from: number, at: number, length: number): boolean {
    if (this.waiting.length === MAX_WAITING) return false
    this.waiting.push(packet.bytes.slice(at, at + length))
    return true
  }

  failed(_endpoint: Endpoint, _error: Unreachable): void {}

  close(): void {
    this.stack.udp.close(this.endpoint)
  }
}
