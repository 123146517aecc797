// Whole stacks on one wire, in virtual time, and a program on each.
import { Stack, type StackSetup, TCB_BYTES, type TcpUser } from '../../src/stack/stack.ts'
import { EV_CLOSED } from '../../src/stack/stack.ts'
import { DEFAULTS } from '../../src/stack/transport/tcp/options.ts'
import { parsePrefix } from '../../src/wire/address-text.ts'
import { type Frame, TestSink, addr, arrive, macOf } from './net.ts'
import { randomBytes } from './random.ts'
import { Inbox, Outbox } from './tcp-pair.ts'

const CONNECTIONS = 256

export interface Connection {
  readonly tcb: number
  readonly out: Outbox
  readonly in: Inbox
  events: number
  errno: number
}

/** A program that accepts what comes to it, and keeps all it is told. */
export class Program implements TcpUser {
  stack!: Stack
  readonly connections = new Map<number, Connection>()
  /** The connections that came to listeners, in order. */
  readonly accepted: Connection[] = []

  connect(local: string, remote: string, port: number, now: number): Connection | number {
    const out = new Outbox()
    const inbox = new Inbox()
    const { tcp } = this.stack
    const tcb = tcp.open(addr(local), 0, addr(remote), port, out, inbox, DEFAULTS, now)
    return tcb < 0 ? tcb : this.keep(tcb, out, inbox)
  }

  listen(local: string, port: number): number {
    return this.stack.tcp.listen(addr(local), port, false, port, DEFAULTS)
  }

  write(connection: Connection, text: Uint8Array | string, now: number): void {
    connection.out.write(text)
    this.stack.tcp.send(connection.tcb, now)
  }

  synArrives(): 'accept' {
    return 'accept'
  }

  established(tcb: number): boolean {
    const connection = this.keep(tcb, new Outbox(), new Inbox())
    this.accepted.push(connection)
    this.stack.tcp.attach(tcb, connection.out, connection.in)
    return true
  }

  changed(tcb: number, events: number, errno: number): void {
    const connection = this.connections.get(tcb)!
    connection.events |= events
    if (errno !== 0) connection.errno = errno
    if ((events & EV_CLOSED) !== 0) this.connections.delete(tcb)
  }

  growReceive(tcb: number, wanted: number): void {
    this.connections.get(tcb)!.in.grow(wanted)
  }

  growSend(): boolean {
    return true // an Outbox grows by itself
  }

  private keep(tcb: number, out: Outbox, inbox: Inbox): Connection {
    const connection = { tcb, out, in: inbox, events: 0, errno: 0 }
    this.connections.set(tcb, connection)
    return connection
  }
}

export interface NodeOptions {
  addresses?: string[]
  gateway?: string
  mtu?: number
  offload?: boolean
}

/** Station number n: 10.0.0.n/24 unless told otherwise. */
export class Node {
  readonly stack: Stack
  readonly program = new Program()
  readonly sink: TestSink
  next = 0

  constructor(n: number, options: NodeOptions = {}) {
    const { addresses = [`10.0.0.${n}/24`], gateway, mtu, offload } = options
    const setup: StackSetup = {
      mac: macOf(n),
      addresses: addresses.map(text => parsePrefix(text)!),
      random: randomBytes(n),
      tcp: {
        memory: new ArrayBuffer(TCB_BYTES * CONNECTIONS),
        capacity: CONNECTIONS,
        user: this.program,
      },
      ...(gateway !== undefined && { gateway: addr(gateway) }),
    }
    this.stack = new Stack(setup)
    this.program.stack = this.stack
    this.sink = new TestSink(mtu, offload)
    this.stack.setSink(this.sink)
  }
}

/** A wire that carries each frame to all other stations. */
export class Network {
  readonly nodes: Node[]
  now = 0
  /** What becomes of a frame: itself, another, or nothing. */
  filter: (frame: Frame, from: Node) => Frame | undefined = frame => frame
  /** Called after each turn of all nodes: what programs do. Whether they did anything. */
  turn: () => boolean = () => false

  constructor(...nodes: Node[]) {
    this.nodes = nodes
  }

  /** Runs until nothing is left to do at this moment. */
  settle(): void {
    for (let turns = 0; ; turns++) {
      if (turns > 100_000) throw new Error(`no end at ${this.now} ms`)
      for (const node of this.nodes) node.next = node.stack.run(this.now, 64)
      let busy = this.turn()
      for (const node of this.nodes)
        for (const sent of node.sink.take()) {
          const frame = this.filter(sent, node)
          busy = true
          if (frame === undefined) continue
          for (const other of this.nodes) if (other !== node) arrive(other.stack, frame, this.now)
        }
      if (!busy && this.nodes.every(node => node.next > this.now)) return
    }
  }

  /** Lets time pass, from deadline to deadline, until `until` is so or `ms` are over; whether it became so. */
  run(ms: number, until: () => boolean = () => false): boolean {
    const end = this.now + ms
    for (;;) {
      this.settle()
      if (until()) return true
      const next = Math.min(...this.nodes.map(node => node.next))
      if (next > end) break
      this.now = Math.max(this.now, next)
    }
    this.now = end
    return false
  }
}
