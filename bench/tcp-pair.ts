// What TCP itself costs: two Tcps, a segment's memory handed from one to the other, one thread. Bulk text in segments of
// 64 KB and of 1,448 bytes, with the text copied (send buffer to segment, segment to receive buffer: as in a stack) and
// without (what is left is TCP's own work, both sides).
import { performance } from 'node:perf_hooks'

import { Address } from '../src/wire/address.ts'
import type { Packet, Path } from '../src/stack/net/path.ts'
import type { ReceiveBuffer, SendBuffer } from '../src/stack/transport/tcp/buffers.ts'
import { TCB_BYTES } from '../src/stack/transport/tcp/layout.ts'
import { Tcp } from '../src/stack/transport/tcp/tcp.ts'
import type { TcpUser } from '../src/stack/transport/tcp/user.ts'

const RING = 1 << 20
const SLOT = 1 << 16
const SLOTS = 32

class Source implements SendBuffer {
  readonly length = RING / 2
  private readonly ring = new Uint8Array(RING)
  private readonly copying: boolean
  private head = 0
  constructor(copying: boolean) {
    this.copying = copying
  }
  copy(offset: number, n: number, dst: Uint8Array, at: number): void {
    if (!this.copying) return
    const from = (this.head + offset) & (RING - 1)
    const first = Math.min(n, RING - from)
    dst.set(this.ring.subarray(from, from + first), at)
    if (first < n) dst.set(this.ring.subarray(0, n - first), at + first)
  }
  consume(n: number): void {
    this.head = (this.head + n) & (RING - 1)
  }
}

class Sink implements ReceiveBuffer {
  readonly window = RING / 2
  readonly used = 0
  total = 0
  private readonly ring = new Uint8Array(RING)
  private readonly copying: boolean
  constructor(copying: boolean) {
    this.copying = copying
  }
  writeAt(offset: number, src: Uint8Array, from: number, n: number): void {
    if (!this.copying) return
    const at = (this.total + offset) & (RING - 1)
    const first = Math.min(n, RING - at)
    this.ring.set(src.subarray(from, from + first), at)
    if (first < n) this.ring.set(src.subarray(from + first, from + n), 0)
  }
  publish(n: number): void {
    this.total += n
  }
}

/** One direction of the wire: a few datagrams that lie where they were built. */
class Wire implements Path {
  readonly mtu = 1500
  readonly headerLength = 20
  readonly maxDatagram: number
  readonly bytes = new Uint8Array(new SharedArrayBuffer(SLOT * SLOTS))
  readonly lengths = new Int32Array(SLOTS)
  readonly src: Address
  readonly dst: Address
  head = 0
  tail = 0
  constructor(src: Address, dst: Address, maxDatagram: number) {
    this.src = src
    this.dst = dst
    this.maxDatagram = maxDatagram
  }
  open(): number {
    return this.tail - this.head === SLOTS ? -1 : (this.tail % SLOTS) * SLOT
  }
  close(length: number): void {
    this.lengths[this.tail++ % SLOTS] = length
  }
  confirm(): void {
    // There is nobody to confirm.
  }
}

class Arriving implements Packet {
  readonly bytes: Uint8Array
  readonly ip = 0
  readonly family = 4
  transport = 0
  length = 0
  readonly checksumValid = true
  readonly loopback = false
  readonly fragmented = false
  readonly group = false
  readonly tos = 0
  readonly ttl = 64
  private readonly wire: Wire
  constructor(wire: Wire) {
    this.wire = wire
    this.bytes = wire.bytes
  }
  srcWord(i: number): number {
    return this.wire.src.word(i)
  }
  dstWord(i: number): number {
    return this.wire.dst.word(i)
  }
  src(): Address {
    return this.wire.src
  }
  dst(): Address {
    return this.wire.dst
  }
}

const A = Address.v4(0x0a000001)
const B = Address.v4(0x0a000002)

function bulk(maxDatagram: number, copying: boolean, seconds: number): string {
  const sink = new Sink(copying)
  const there = new Wire(A, B, maxDatagram)
  const back = new Wire(B, A, maxDatagram)
  const arrivingThere = new Arriving(there)
  const arrivingBack = new Arriving(back)
  const user: TcpUser = {
    synArrives: () => 'accept',
    established: tcb => {
      b.attach(tcb, new Source(false), sink)
      accepted = tcb
      return true
    },
    changed: () => {},
    growReceive: () => {},
    growSend: () => true,
  }
  let accepted = -1
  const make = (path: Wire) =>
    new Tcp({
      memory: new SharedArrayBuffer(16 * TCB_BYTES),
      capacity: 16,
      random: bytes => void crypto.getRandomValues(bytes),
      user,
      paths: { path: () => path, source: () => path.src },
    })
  const a = make(there)
  const b = make(back)
  const deliver = (wire: Wire, packet: Arriving, tcp: Tcp, now: number) => {
    while (wire.head < wire.tail) {
      const slot = wire.head % SLOTS
      packet.transport = slot * SLOT
      packet.length = wire.lengths[slot]
      tcp.arrives(packet, now)
      wire.head++
    }
  }
  b.listen(B, 80, false, 1, {})
  const tcb = a.open(A, 0, B, 80, new Source(copying), new Sink(false), {}, performance.now())
  const turn = () => {
    const now = performance.now()
    a.run(now)
    deliver(there, arrivingThere, b, now)
    if (accepted >= 0) b.received(accepted, now)
    b.flushEvents(now)
    b.run(now)
    deliver(back, arrivingBack, a, now)
    a.flushEvents(now)
  }
  const warm = performance.now() + seconds * 300
  while (performance.now() < warm) turn()
  const [segments, bytes, start] = [there.tail + back.tail, sink.total, performance.now()]
  const textSegments = there.tail
  while (performance.now() - start < seconds * 1000) turn()
  const ms = performance.now() - start
  const n = there.tail - textSegments
  if (a.state(tcb) !== 'ESTABLISHED') throw new Error(a.state(tcb))
  const acks = there.tail + back.tail - segments - n
  return [
    `${((sink.total - bytes) / ms / 1e6).toFixed(2)} GB/s`,
    `${((ms * 1e6) / n).toFixed(0)} ns a segment of text, sent, received and acknowledged`,
    `(${((sink.total - bytes) / n).toFixed(0)} bytes each, ${(acks / n).toFixed(2)} acknowledgments)`,
  ].join('  ')
}

const seconds = Number(process.env['BENCH_SECONDS'] ?? 1)
for (const [name, maxDatagram] of [
  ['64 KB', 65535],
  ['1,448 B', 1500],
] as const)
  for (const copying of [false, true])
    console.log(
      `${name.padEnd(8)} ${copying ? 'copied    ' : 'not copied'} ${bulk(maxDatagram, copying, seconds)}`,
    )
