// Frames that no good station sends, into a stack and into a switch: captured ones with bits flipped, cut, grown and
// spliced, and pure noise. Nothing may throw, memory stays bounded, and what is honest goes on being served.
import { strict as assert } from 'node:assert'

import { MAX_FRAME } from '../../src/ring/frame-ring.ts'
import { MAX_LEARNT_PER_PORT } from '../../src/switch/mac-table.ts'
import { Switch } from '../../src/switch/switch.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../../src/stack/link/sink.ts'
import { BROADCAST_MAC } from '../../src/wire/mac.ts'
import { emitMldQuery, emitRouterAlert } from '../../src/wire/mldv2.ts'
import {
  NA_OVERRIDE,
  type RouterAdvert,
  emitNeighborAdvert,
  emitRedirect,
  emitRouterAdvert,
} from '../../src/wire/ndp.ts'
import { MTU, TestStation } from './cable.ts'
import { addr, macOf } from './net.ts'
import { icmp6, icmp6Frame, ipv6Frame, linkLocalOf } from './net6.ts'
import { random, randomBytes } from './random.ts'
import { Network, Node, type Connection } from './stacks.ts'

type Next = () => number

/** Sends `count` such frames to a stack that has connections open. Returns how many of its reasons to drop were met. */
export function fuzzStack(seed: number, count: number): number {
  const next = random(seed)
  const node = (n: number) =>
    new Node(n, {
      addresses: [`10.0.0.${n}/24`, `2001:db8::${n}/64`],
      offload: seed % 2 === 1,
    })
  const [a, b] = [node(1), node(2)]
  b.stack.ipv6.routers.enable(true)
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
  serves(net, a, b, '10.0.0.2', seed)
  serves(net, a, b, '2001:db8::2', seed)
  const { ipv6 } = b.stack
  assert(ipv6.routes.all.length <= 16 * 33 + 64 + 64 + 8, 'what routers say is bounded')
  assert(ipv6.neighbors.size <= 1024 && ipv6.reassembly.size <= 64, 'so is what neighbors say')
  return Object.values(countersOf(b.stack.counters)).filter(n => n > 0).length
}

/** A new connection carries text. */
function serves(net: Network, a: Node, b: Node, address: string, seed: number): void {
  const text = Buffer.alloc(10_000)
  randomBytes(seed)(text)
  const before = b.program.accepted.length
  const any = address.includes(':') ? '::' : '0.0.0.0'
  const client = a.program.connect(any, address, 80, net.now)
  assert(typeof client !== 'number', `connect(): ${String(client)}`)
  a.program.write(client, text, net.now)
  assert(
    net.run(60_000, () => (b.program.accepted[before]?.in.used ?? 0) === text.length),
    `a new connection to ${address} carries text`,
  )
  assert(text.equals(b.program.accepted[before]!.in.take()), 'and that text')
}

/** Everything that two stacks say to each other in a short life: ARP and ND, handshake, text, FIN, reset. */
function conversation(net: Network, a: Node, b: Node): Uint8Array[] {
  const frames: Uint8Array[] = []
  net.filter = frame => {
    frames.push(frame.bytes)
    return frame
  }
  b.program.listen('::', 80)
  for (let i = 0; i < 8; i++) {
    const [any, to] = i < 4 ? ['0.0.0.0', '10.0.0.2'] : ['::', '2001:db8::2']
    const client = a.program.connect(any, to, i % 4 < 3 ? 80 : 81, net.now) as Connection
    a.program.write(client, Buffer.alloc(3000 * (i % 4), i), net.now)
    net.run(1000)
    if (i % 4 === 1) a.stack.tcp.close(client.tcb, net.now)
    net.run(1000)
  }
  net.filter = frame => frame
  return [...frames, ...controlFrames()]
}

/** What routers, and who questions, say to station 2. */
function controlFrames(): Uint8Array[] {
  const [src, dst] = [linkLocalOf(9), linkLocalOf(2)]
  const prefix = { address: addr('2001:db8:5::'), prefixLength: 64 }
  const advert: Partial<RouterAdvert> = {
    lifetime: 30,
    hopLimit: 64,
    sourceMac: macOf(9),
    mtu: 1400,
    reachableTime: 30_000,
    retransTimer: 1000,
    prefixes: [
      { prefix, onLink: true, autonomous: true, validLifetime: 60, preferredLifetime: 60 },
    ],
    routes: [{ prefix, preference: 'high', lifetime: 60 }],
    rdnss: [{ addresses: [addr('2001:db8::53')], lifetime: 60 }],
    dnssl: [{ names: ['example.org'], lifetime: 60 }],
  }
  const [target, other] = [addr('2001:db8:7::1'), addr('fe80::8')]
  const alert = new Uint8Array(8 + 28)
  emitRouterAlert(alert, 0)
  emitMldQuery(alert, 8, 1000, addr('::'), [], 2, 125)
  const echo = icmp6(128, 0, 7, new Uint8Array(100))
  return [
    icmp6Frame((b, at) => emitRouterAdvert(b, at, advert), { src, dst: 'ff02::1' }),
    icmp6Frame((b, at) => emitRedirect(b, at, other, target, macOf(8)), { src, dst }),
    icmp6Frame((b, at) => emitNeighborAdvert(b, at, addr(src), NA_OVERRIDE, macOf(9)), {
      src,
      dst,
    }),
    icmp6Frame(echo, { src, dst }),
    icmp6Frame(icmp6(2, 0, 1280, new Uint8Array(1232)), { src, dst }),
    ipv6Frame(alert, { src, dst: 'ff02::1', hopLimit: 1, next: 0 }),
    ipv6Frame(Buffer.from('1100010400000000'.repeat(9), 'hex'), { src, dst, next: 60 }),
    ipv6Frame(Buffer.from(`3a00000900000001${'80'.repeat(80)}`, 'hex'), { src, dst, next: 44 }),
    ipv6Frame(Buffer.from(`3a00000100000001${'80'.repeat(8)}`, 'hex'), { src, dst, next: 44 }),
  ].map(frame => {
    macOf(2).write(frame, 0)
    return frame
  })
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
