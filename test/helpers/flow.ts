// Flows without bytes: what a sender and a receiver of endless text look like to TCP, for transfers in virtual time whose
// text nobody reads.
import type { ReceiveBuffer, SendBuffer } from '../../src/stack/transport/tcp/buffers.ts'
import type { TcpSettings } from '../../src/stack/transport/tcp/options.ts'
import { type Host, HERE, type Pair, THERE } from './tcp-pair.ts'

/** Always so much to send. */
export class Endless implements SendBuffer {
  length: number
  consumed = 0
  constructor(length = 1 << 28) {
    this.length = length
  }
  copy(): void {
    // Zeros will do.
  }
  consume(n: number): void {
    this.consumed += n
  }
}

/** Takes everything at once. */
export class Drain implements ReceiveBuffer {
  readonly window: number
  readonly used = 0
  total = 0
  constructor(window = 1 << 23) {
    this.window = window
  }
  writeAt(): void {
    // Nobody reads it.
  }
  publish(n: number): void {
    this.total += n
  }
}

/** A connection from pair.a to pair.b that sends for ever. */
export class Flow {
  readonly pair: Pair
  readonly source: SendBuffer
  readonly drain = new Drain()
  readonly tcb: number

  constructor(pair: Pair, settings: Partial<TcpSettings> = {}, source: SendBuffer = new Endless()) {
    this.pair = pair
    this.source = source
    pair.b.user.established = slot => {
      pair.b.tcp.attach(slot, new Endless(0), this.drain)
      return true
    }
    if (!pair.b.tcp.listeners.find(pair.b.packet.set(new Uint8Array(20), HERE, THERE), 80, 1))
      pair.b.tcp.listen(THERE, 80, false, 1, settings)
    const { tcp } = pair.a
    this.tcb = tcp.open(HERE, 0, THERE, 80, source, new Drain(), settings, pair.clock.now)
    if (this.tcb < 0) throw new Error(`open: ${this.tcb}`)
    pair.run(() => tcp.state(this.tcb) === 'ESTABLISHED', 5000)
    pair.run(() => this.drain.total > 0, 5000)
  }
  get snd() {
    return (this.pair.a as Host).tcp.tcb(this.tcb).snd
  }
  /** Bytes that arrive in the next `ms`. */
  during(ms: number): number {
    const before = this.drain.total
    this.pair.run(() => false, ms)
    return this.drain.total - before
  }
}
