// Questions over the stack's own UDP and TCP. What arrives waits for run(): inside the arrival of a datagram neither
// endpoints nor connections may come or go.
import { u16, writeU16 } from '../base/bytes.ts'
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_ERROR,
  EV_FIN,
  EV_TEXT,
  type Endpoint,
  Outgoing,
  type Packet,
  type ReceiveBuffer,
  type SendBuffer,
  type Stack,
  type UdpUser,
} from '../stack/stack.ts'
import { ANY_V4, ANY_V6, type Address } from '../wire/address.ts'
import { EAGAIN } from '../base/errno.ts'
import type { Asker, Carrier, Channel } from './carrier.ts'

const DNS_PORT = 53
/** Messages that wait for one question; a server sends one. */
const MOST_WAITING = 8
/** A message and its length. */
const STREAM_BYTES = 65_535 + 2

interface Source {
  deliver(now: number): void
}

export class StackCarrier implements Carrier {
  private readonly stack: Stack
  private readonly outgoing = new Outgoing()
  private readonly connections = new Map<number, Connection>()
  private ready = new Set<Source>()

  constructor(stack: Stack) {
    this.stack = stack
  }

  datagram(server: Address, query: Uint8Array, asker: Asker): Channel | undefined {
    const { udp } = this.stack
    const port = new DatagramPort(asker, source => this.ready.add(source))
    const endpoint = udp.open(server.isV4 ? 4 : 6, port)
    if (endpoint === undefined) return undefined
    const close = () => {
      port.isOpen = false
      udp.close(endpoint)
    }
    let sent = udp.connect(endpoint, server, DNS_PORT)
    if (sent >= 0) sent = udp.send(endpoint, this.outgoing.text(query))
    if (sent >= 0 || sent === -EAGAIN) return { close }
    close()
    return undefined
  }

  connection(server: Address, query: Uint8Array, asker: Asker, now: number): Channel | undefined {
    const { tcp } = this.stack
    const connection = new Connection(asker, query)
    const any = server.isV4 ? ANY_V4 : ANY_V6
    const tcb = tcp.open(any, 0, server, DNS_PORT, connection.out, connection.in, {}, now)
    if (tcb < 0) return undefined
    this.connections.set(tcb, connection)
    return {
      close: now => {
        connection.isOpen = false
        // A number that was given back may be another's.
        if (this.connections.get(tcb) !== connection) return
        this.connections.delete(tcb)
        tcp.abort(tcb, now)
      },
    }
  }

  /** TCP's event, if the connection is one of ours. */
  changed(tcb: number, events: number, now: number): boolean {
    const connection = this.connections.get(tcb)
    if (connection === undefined) return false
    if ((events & EV_CONNECTED) !== 0) this.stack.tcp.send(tcb, now)
    if ((events & (EV_TEXT | EV_FIN | EV_ERROR | EV_CLOSED)) !== 0) this.ready.add(connection)
    if ((events & (EV_FIN | EV_ERROR | EV_CLOSED)) !== 0) connection.isOver = true
    if ((events & EV_CLOSED) !== 0) this.connections.delete(tcb)
    return true
  }

  get isIdle(): boolean {
    return this.ready.size === 0
  }

  /** Tells what has arrived. */
  run(now: number): void {
    while (this.ready.size > 0) {
      const { ready } = this
      this.ready = new Set()
      for (const source of ready) source.deliver(now)
    }
  }
}

/** One question's own port: only its server is heard there. */
class DatagramPort implements UdpUser, Source {
  isOpen = true
  private readonly asker: Asker
  private readonly wake: (source: Source) => void
  private messages: Uint8Array[] = []
  private hasFailed = false

  constructor(asker: Asker, wake: (source: Source) => void) {
    this.asker = asker
    this.wake = wake
  }

  arrives(_endpoint: Endpoint, packet: Packet, _from: number, at: number, length: number): boolean {
    if (this.messages.length === MOST_WAITING) return false
    this.messages.push(packet.bytes.slice(at, at + length))
    this.wake(this)
    return true
  }

  failed(): void {
    this.hasFailed = true
    this.wake(this)
  }

  deliver(now: number): void {
    const { messages } = this
    this.messages = []
    for (const message of messages) if (this.isOpen) this.asker.heard(message, now)
    if (this.isOpen && this.hasFailed) this.asker.unreachable(now)
  }
}

class Connection implements Source {
  readonly out: SendBuffer
  readonly in = new StreamIn()
  isOpen = true
  /** Nothing more comes. */
  isOver = false
  private readonly asker: Asker

  constructor(asker: Asker, query: Uint8Array) {
    this.asker = asker
    this.out = streamOut(query)
  }

  deliver(now: number): void {
    if (!this.isOpen) return
    const message = this.in.message
    if (message !== undefined) {
      this.asker.heard(message, now)
      // What was no answer is followed by none.
      if (this.isOpen) this.asker.unreachable(now)
    } else if (this.isOver) this.asker.unreachable(now)
  }
}

/** The message behind its length (RFC 1035 section 4.2.2). */
function streamOut(query: Uint8Array): SendBuffer {
  let bytes = new Uint8Array(2 + query.length)
  writeU16(bytes, 0, query.length)
  bytes.set(query, 2)
  return {
    get length() {
      return bytes.length
    },
    copy: (offset, n, dst, at) => dst.set(bytes.subarray(offset, offset + n), at),
    consume: n => {
      bytes = bytes.slice(n)
    },
  }
}

/** As much as one message and its length. */
class StreamIn implements ReceiveBuffer {
  private readonly bytes = new Uint8Array(STREAM_BYTES)
  used = 0

  get window(): number {
    return STREAM_BYTES - this.used
  }

  writeAt(offset: number, src: Uint8Array, from: number, n: number): void {
    this.bytes.set(src.subarray(from, from + n), this.used + offset)
  }

  publish(n: number): void {
    this.used += n
  }

  /** The whole message, once it is there. */
  get message(): Uint8Array | undefined {
    if (this.used < 2) return undefined
    const length = u16(this.bytes, 0)
    return this.used < 2 + length ? undefined : this.bytes.slice(2, 2 + length)
  }
}
