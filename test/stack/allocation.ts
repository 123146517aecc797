// The packet path allocates nothing: a million segments, a million datagrams, and what the heap says of them.
import v8 from 'node:v8'
import t from 'tap'
import {
  type FrameSink,
  Outgoing,
  type ReceiveBuffer,
  type SendBuffer,
  Stack,
  TCB_BYTES,
  type TcpUser,
  type UdpUser,
} from '../../src/stack/stack.ts'
import { parsePrefix } from '../../src/wire/address-text.ts'
import { addr, macOf } from '../helpers/net.ts'
import { randomBytes } from '../helpers/random.ts'

const FRAMES = 256
const SLOT = 2048

/** Frames in slots of one array: the wire allocates nothing itself. */
class Slots implements FrameSink {
  readonly mtu = 1500
  readonly maxFrame = 1514
  readonly offload = false
  readonly bytes = new Uint8Array(FRAMES * SLOT)
  readonly lengths = new Int32Array(FRAMES)
  count = 0

  open(): number {
    return this.count === FRAMES ? -1 : this.count * SLOT + 2
  }

  close(length: number): void {
    this.lengths[this.count++] = length
  }

  /** Hands all frames on. */
  flush(to: Stack, now: number): void {
    const n = this.count
    for (let i = 0; i < n; i++)
      to.frameArrives(this.bytes, i * SLOT + 2, this.lengths[i], 0, 0, now)
    this.count = 0
  }
}

/** As much text as anybody wants, and nobody keeps it. */
class Endless implements SendBuffer, ReceiveBuffer {
  readonly length = 1 << 20
  readonly window = 1 << 20
  readonly used = 0
  copy(): void {
    // Whatever lies there is the text.
  }
  consume(): void {
    // There is always more.
  }
  writeAt(): void {
    // Nobody reads it.
  }
  publish(): void {
    // Nobody reads it.
  }
}

class Host implements TcpUser, UdpUser {
  readonly stack: Stack
  readonly sink = new Slots()
  readonly text = new Endless()
  datagrams = 0

  constructor(n: number) {
    this.stack = new Stack({
      mac: macOf(n),
      addresses: [parsePrefix(`10.0.0.${n}/24`)!],
      random: randomBytes(n),
      tcp: { memory: new ArrayBuffer(TCB_BYTES * 16), capacity: 16, user: this },
    })
    this.stack.setSink(this.sink)
  }

  synArrives(): 'accept' {
    return 'accept'
  }
  established(tcb: number): boolean {
    this.stack.tcp.attach(tcb, this.text, this.text)
    return true
  }
  changed(): void {
    // Endless.
  }
  growReceive(): void {
    // It is large enough.
  }
  growSend(): boolean {
    return true
  }
  arrives(): boolean {
    this.datagrams++
    return true
  }
  failed(): void {
    // Nothing does.
  }
}

/** Two hosts on a wire, a millisecond per turn. */
class Pair {
  readonly a = new Host(1)
  readonly b = new Host(2)
  now = 1000
  turns = 0

  turn(): void {
    this.turns++
    this.now++
    this.a.stack.run(this.now, 64)
    this.b.stack.run(this.now, 64)
    this.a.sink.flush(this.b.stack, this.now)
    this.b.sink.flush(this.a.stack, this.now)
  }
}

/** Bytes that the heap gave while `work` was done, those of garbage collections too. */
function allocated(work: () => void): number {
  const profiler = new v8.GCProfiler()
  profiler.start()
  let last = process.memoryUsage().heapUsed
  work()
  const end = process.memoryUsage().heapUsed
  let bytes = 0
  for (const { beforeGC, afterGC } of profiler.stop()!.statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - last
    last = afterGC.heapStatistics.usedHeapSize
  }
  return bytes + end - last
}

/**
 * Bytes for each of `count` packets that `work` carries, without what turns cost that carry none: the deadlines that are
 * looked at are numbers on the heap.
 */
function perPacket(pair: Pair, count: number, work: (count: number) => void): number {
  work(count / 4) // until it is compiled for good
  const idle = allocated(() => {
    for (let i = 0; i < 100_000; i++) pair.turn()
  })
  const { turns } = pair
  const bytes = allocated(() => work(count))
  return (bytes - (idle / 100_000) * (pair.turns - turns)) / count
}

t.test('a million TCP segments and their acknowledgments: at most 4 bytes each', async t => {
  const pair = new Pair()
  const { a, b } = pair
  t.equal(b.stack.tcp.listen(addr('10.0.0.2'), 80, false, 80, {}), 0)
  const options = [a.text, a.text, {}] as const
  const tcb = a.stack.tcp.open(addr('0.0.0.0'), 0, addr('10.0.0.2'), 80, ...options, pair.now)
  t.ok(tcb >= 0)
  const { counters } = b.stack.tcp
  const segments = (count: number) => {
    for (const until = counters.segsIn + count; counters.segsIn < until;) {
      a.stack.tcp.send(tcb, pair.now)
      pair.turn()
    }
  }
  const bytes = perPacket(pair, 1_000_000, segments)
  t.comment(`${bytes} bytes per segment`)
  t.ok(bytes < 4, `${bytes} bytes per segment`)
  t.equal(a.stack.tcp.counters.retransmitted, 0)
})

for (const [length, most] of [
  [32, 4],
  [1400, 120],
] as const)
  t.test(`a million UDP datagrams of ${length} bytes: at most ${most} bytes each`, async t => {
    const pair = new Pair()
    const { a, b } = pair
    const from = a.stack.udp.open(4, a)!
    const to = b.stack.udp.open(4, b)!
    b.stack.udp.bind(to, addr('0.0.0.0'), 7)
    const out = new Outgoing().text(new Uint8Array(length)).to(addr('10.0.0.2'), 7)
    const send = (count: number) => {
      for (let i = 0; i < count; i++) {
        if (i % 50 === 0) pair.turn()
        a.stack.udp.send(from, out)
      }
      pair.turn()
    }
    send(1)
    for (let i = 0; i < 10; i++) pair.turn()
    const before = b.datagrams
    const bytes = perPacket(pair, 1_000_000, send)
    // Longer text is copied through a view, which is quicker than byte by byte.
    t.ok(bytes < most, `${bytes} bytes per datagram`)
    t.equal(b.datagrams - before, 1_250_000)
  })
