// Frames that no good station sends, into a stack and into a switch: captured ones with bits flipped, cut, grown and
// spliced, and pure noise. Nothing may throw, memory stays bounded, and what is honest goes on being served.
import { strict as assert } from 'node:assert'

import { MAX_FRAME } from '../../src/ring/frame-ring.ts'
import { MAX_LEARNT_PER_PORT } from '../../src/switch/mac-table.ts'
import { Switch } from '../../src/switch/switch.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../../src/stack/link/sink.ts'
import { BROADCAST_MAC } from '../../src/wire/mac.ts'
import { MTU, TestStation } from './cable.ts'
import { random, randomBytes } from './random.ts'
import { Network, Node, type Connection } from './stacks.ts'

type Next = () => number

/** Sends `count` such frames to a stack that has connections open. Returns how many of its reasons to drop were met. */
export function fuzzStack(seed: number, count: number): number {
  const next = random(seed)
  const [a, b] = [
    new Node(1, { offload: seed % 2 === 1 }),
    new Node(2, { offload: seed % 2 === 1 }),
  ]
  const net = new Network(a, b)
  const corpus = conversation(net, a, b)
  const memory = Buffer.alloc(MAX_FRAME + 64)
  for (let i = 0; i < count; i++) {
    const length = mutate(next, corpus, memory.subarray(7))
    const checksum = next() % 8 === 0 ? CHECKSUM_VALID : CHECKSUM_UNKNOWN
    const gsoSize = next() % 4 === 0 ? next() % 70_000 : 0
    b.stack.frameArrives(memory, 7, length, checksum, gsoSize, net.now)
    if (i % 64 > 0) continue
    net.now += next() % 2000
    b.stack.run(net.now, 64)
    b.sink.take()
  }
  // Its connections may be gone, by frames that were as good as the peer's; it has to answer new ones. Noise about
  // addresses (ARP) is forgotten when the honest station speaks.
  net.run(120_000)
  const text = Buffer.alloc(10_000)
  randomBytes(seed)(text)
  const before = b.program.accepted.length
  const client = a.program.connect('0.0.0.0', '10.0.0.2', 80, net.now)
  assert(typeof client !== 'number', `connect(): ${String(client)}`)
  a.program.write(client, text, net.now)
  assert(
    net.run(60_000, () => (b.program.accepted[before]?.in.used ?? 0) === text.length),
    'a new connection carries text',
  )
  assert(text.equals(b.program.accepted[before]!.in.take()), 'and that text')
  return Object.values(countersOf(b.stack.counters)).filter(n => n > 0).length
}

/** Everything that two stacks say to each other in a short life: ARP, handshake, text, FIN, reset. */
function conversation(net: Network, a: Node, b: Node): Uint8Array[] {
  const frames: Uint8Array[] = []
  net.filter = frame => {
    frames.push(frame.bytes)
    return frame
  }
  b.program.listen('0.0.0.0', 80)
  for (let i = 0; i < 4; i++) {
    const client = a.program.connect('0.0.0.0', '10.0.0.2', i < 3 ? 80 : 81, net.now) as Connection
    a.program.write(client, Buffer.alloc(3000 * i, i), net.now)
    net.run(1000)
    if (i === 1) a.stack.tcp.close(client.tcb, net.now)
    net.run(1000)
  }
  net.filter = frame => frame
  return frames
}

/** Puts a frame into `out`. Its length. */
function mutate(next: Next, corpus: readonly Uint8Array[], out: Uint8Array): number {
  const kind = next() % 10
  let length = next() % (kind === 0 ? MAX_FRAME : 120)
  if (kind < 2) for (let i = 0; i < length; i++) out[i] = next()
  else {
    const from = corpus[next() % corpus.length]!
    out.set(from)
    length = from.length
    for (let flips = next() % 6; flips > 0; flips--) out[next() % length]! ^= 1 << (next() % 8)
    if (kind === 2) length = next() % (length + 1)
    if (kind === 3) length = Math.min(MAX_FRAME, length + (next() % 3000))
    if (kind === 4) {
      const other = corpus[next() % corpus.length]!
      const at = next() % Math.min(length, other.length)
      out.set(other.subarray(at), at)
      length = other.length
    }
    // A word that says how long something is, or where: the edges.
    const edges = [0, 1, 5, 0x7fff, 0xffff]
    if (kind === 5)
      new DataView(out.buffer, out.byteOffset).setUint16(
        next() % Math.max(1, Math.min(length, 60)),
        edges[next() % edges.length]!,
      )
  }
  return length
}

function countersOf(counters: object): Record<string, number> {
  const flat: Record<string, number> = {}
  for (const [name, value] of Object.entries(counters))
    if (typeof value === 'number') flat[name] = value
    else if (typeof value === 'object' && value !== null)
      for (const [inner, n] of Object.entries(countersOf(value))) flat[`${name}.${inner}`] = n
  return flat
}

/** Sends `count` frames to a switch from one of its three stations. The other two get what they send to each other. */
export function fuzzSwitch(seed: number, count: number): { malformed: number; spoofed: number } {
  const next = random(seed)
  const bridge = new Switch(MTU)
  const stations = [1, 2, 3].map(n => new TestStation(n))
  for (const { port } of stations) bridge.add(port)
  const [bad, a, b] = stations as [TestStation, TestStation, TestStation]
  const settle = (now: number) => {
    while (bridge.turn(now) > 0);
  }
  let honest = 0
  for (let i = 0; i < count; i++) {
    const length = next() % 20 === 0 ? next() % MAX_FRAME : next() % 1600
    const at = bad.sink.open(length)
    assert(at >= 0, 'the ring is emptied')
    const { bytes } = bad.sink
    for (let j = 0; j < Math.min(length, 80); j++) bytes[at + j] = next()
    // Most say they come from where they may, and go to someone.
    const to = [a.mac, b.mac, bad.mac, BROADCAST_MAC][next() % 4]!
    if (next() % 8 > 0 && length >= 12) to.write(bytes, at)
    if (next() % 4 > 0 && length >= 12) (next() % 16 === 0 ? a.mac : bad.mac).write(bytes, at + 6)
    const word = () => (next() % 2 === 0 ? 0 : next() & 0xffff)
    bad.sink.close(length, word(), word(), word())
    settle(i >> 6)
    for (const station of [bad, a, b]) station.received()
    if (i % 16 > 0) continue
    a.send(b.mac, { length: 100 + (i % 1000), tag: i & 0xff })
    settle(i >> 6)
    assert.deepEqual(b.received(), [`2:${100 + (i % 1000)}:${i & 0xff}`])
    honest++
  }
  assert.equal(a.port.received, honest)
  assert(bridge.macs.learnt <= MAX_LEARNT_PER_PORT, 'the MAC table is bounded')
  return { malformed: bad.port.malformed, spoofed: bad.port.spoofed }
}
