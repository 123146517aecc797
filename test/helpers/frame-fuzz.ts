// Frames that no good station sends, into a stack and into a switch: captured ones with bits flipped, cut, grown and
// spliced, and pure noise. Nothing may throw, memory stays bounded, and what is honest goes on being served.
import { strict as assert } from 'node:assert'

import { MAX_FRAME } from '../../src/ring/frame-ring.ts'
import { MAX_LEARNT_PER_PORT } from '../../src/switch/mac-table.ts'
import { Switch } from '../../src/switch/switch.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../../src/stack/link/sink.ts'
import { parsePrefix } from '../../src/wire/address-text.ts'
import { checksum, finish, sumBytes } from '../../src/wire/checksum.ts'
import { BROADCAST_MAC } from '../../src/wire/mac.ts'
import { emitMldQuery, emitRouterAlert } from '../../src/wire/mldv2.ts'
import {
  NA_OVERRIDE,
  emitNeighborAdvert,
  emitNeighborSolicit,
  emitRedirect,
  emitRouterAdvert,
} from '../../src/wire/ndp.ts'
import { MTU, TestStation } from './cable.ts'
import { addr, ipv4Frame, macOf } from './net.ts'
import { icmp6, icmp6Frame, ipv6Frame } from './net6.ts'
import { random, randomBytes } from './random.ts'
import { Network, Node, type Connection } from './stacks.ts'
import { UdpSocket } from './udp.ts'

type Next = () => number

/**
 * Sends `count` such frames to a stack that has connections, UDP endpoints and groups, and listens to routers. Returns how
 * many of its reasons to drop were met.
 */
export function fuzzStack(seed: number, count: number): number {
  const next = random(seed)
  const offload = seed % 2 === 1
  const addresses = (n: number) => [`10.0.0.${n}/24`, `fd00::${n}/64`]
  const a = new Node(1, { offload, addresses: addresses(1) })
  const b = new Node(2, { offload, addresses: addresses(2) })
  const net = new Network(a, b)
  b.stack.ipv6.routers.enable(true)
  const sockets = [new UdpSocket(b, 6), new UdpSocket(b, 4)]
  sockets[0].bind('::', 53)
  sockets[1].join('224.1.2.3')
  sockets[0].join('ff15::1234')
  const corpus = [...conversation(net, a, b), ...routersAndGroups()]
  const memory = Buffer.alloc(MAX_FRAME + 64)
  const space = memory.subarray(7)
  for (let i = 0; i < count; i++) {
    const length = mutate(next, corpus, space)
    // A frame that is wrong in one place gets further when its sums are right.
    if (next() % 4 > 0) mend(space, length)
    const checksum = next() % 8 === 0 ? CHECKSUM_VALID : CHECKSUM_UNKNOWN
    const gsoSize = next() % 4 === 0 ? next() % 70_000 : 0
    b.stack.frameArrives(memory, 7, length, checksum, gsoSize, net.now)
    if (i % 64 > 0) continue
    net.now += next() % 2000
    b.stack.run(net.now, 64)
    b.sink.take()
    for (const socket of sockets) {
      socket.got.length = 0
      socket.errors.length = 0
    }
    checkBounds(b)
  }
  // Its connections may be gone, by frames that were as good as the peer's, and so may its link's mtu or its neighbors;
  // it has to answer new ones. What noise said of addresses is forgotten when the honest station speaks.
  net.run(120_000)
  for (const from of ['10.0.0.1', 'fd00::1']) carriesText(net, a, b, from, seed)
  return Object.values(countersOf(b.stack.counters)).filter(n => n > 0).length
}

/** Everything that strangers fill. */
function checkBounds({ stack }: Node): void {
  const { ipv4, ipv6, tcp } = stack
  assert(ipv4.arp.neighbors.size <= 1024 && ipv6.neighbors.size <= 1024, 'neighbors')
  for (const { reassembly } of [ipv4, ipv6])
    assert(reassembly.size <= 64 && reassembly.memory <= 1024 * 1024, 'fragments')
  assert(ipv6.addresses.all.length <= 64, 'addresses')
  assert(ipv6.routes.all.length <= 256, 'routes')
  assert(tcp.size <= tcp.capacity, 'connections')
}

function carriesText(net: Network, a: Node, b: Node, from: string, seed: number): void {
  const to = from.replace(/1$/, '2')
  const text = Buffer.alloc(10_000)
  randomBytes(seed)(text)
  const before = b.program.accepted.length
  const client = a.program.connect(from, to, 80, net.now)
  assert(typeof client !== 'number', `connect(): ${String(client)}`)
  a.program.write(client, text, net.now)
  assert(
    net.run(60_000, () => (b.program.accepted[before]?.in.used ?? 0) === text.length),
    `a new connection to ${to} carries text`,
  )
  assert(text.equals(b.program.accepted[before]!.in.take()), 'and that text')
}

/** Everything that two stacks say to each other in a short life: ARP, handshake, text, FIN, reset, datagrams. */
function conversation(net: Network, a: Node, b: Node): Uint8Array[] {
  const frames: Uint8Array[] = []
  net.filter = frame => {
    if (frame.bytes.length < 4000) frames.push(frame.bytes)
    return frame
  }
  b.program.listen('::', 80)
  for (const [from, to] of [
    ['10.0.0.1', '10.0.0.2'],
    ['fd00::1', 'fd00::2'],
  ]) {
    for (let i = 0; i < 4; i++) {
      const client = a.program.connect(from, to, i < 3 ? 80 : 81, net.now) as Connection
      a.program.write(client, Buffer.alloc(700 * i, i), net.now)
      net.run(1000)
      if (i === 1) a.stack.tcp.close(client.tcb, net.now)
      net.run(1000)
    }
    const socket = new UdpSocket(a, from.includes(':') ? 6 : 4)
    for (const [port, length] of [
      [53, 100],
      [54, 10],
      [53, 3500],
    ])
      socket.send(new Uint8Array(length), to, port)
    net.run(1000)
  }
  net.filter = frame => frame
  return frames
}

/** What routers and groups' queriers say, and echo requests, all to station 2. */
function routersAndGroups(): Uint8Array[] {
  const router = 'fe80::9'
  const all = { src: router, dst: 'ff02::1', hopLimit: 255 }
  const us = { src: 'fd00::1', dst: 'fd00::2', hopLimit: 255 }
  const advert = (b: Uint8Array, at: number) =>
    emitRouterAdvert(b, at, {
      hopLimit: 64,
      lifetime: 1800,
      sourceMac: macOf(9),
      mtu: 1400,
      prefixes: [
        {
          prefix: parsePrefix('2001:db8::/64')!,
          onLink: true,
          autonomous: true,
          validLifetime: 3600,
          preferredLifetime: 1800,
        },
      ],
      rdnss: [{ lifetime: 600, addresses: [addr('2001:db8::53')] }],
      dnssl: [{ lifetime: 600, names: ['example.org'] }],
      routes: [{ prefix: parsePrefix('2001:db8:1::/48')!, preference: 'high', lifetime: 600 }],
    })
  const alert = new Uint8Array(8 + 44)
  emitRouterAlert(alert, 0)
  emitMldQuery(alert, 8, 1000, addr('ff15::1234'), [addr('2001:db8::7')], 2, 125)
  const v6 = [
    icmp6Frame(advert, all, macOf(9)),
    icmp6Frame((b, at) => emitRedirect(b, at, addr('fe80::8'), addr('2001:db8:2::1'), macOf(8)), {
      ...all,
      dst: 'fd00::2',
    }),
    icmp6Frame((b, at) => emitNeighborSolicit(b, at, addr('fd00::2'), macOf(1)), us),
    icmp6Frame((b, at) => emitNeighborAdvert(b, at, addr('fd00::1'), NA_OVERRIDE, macOf(1)), us),
    ipv6Frame(alert, { ...all, hopLimit: 1, next: 0 }, macOf(9)),
    icmp6Frame(icmp6(128, 0, 7, new Uint8Array(56)), us),
    icmp6Frame(icmp6(2, 0, 1280, new Uint8Array(1232)), us),
    ipv6Frame(Buffer.from('1100010400000000'.repeat(9), 'hex'), { ...us, next: 60 }),
    ipv6Frame(Buffer.from(`3a00000900000001${'80'.repeat(80)}`, 'hex'), { ...us, next: 44 }),
    ipv6Frame(Buffer.from(`3a00000100000001${'80'.repeat(8)}`, 'hex'), { ...us, next: 44 }),
  ]
  const v4 = [
    [1, '080000000001000100000000'],
    [2, '1164000000000000'],
    [2, '11640000e001020302140001' + '0a000009'],
    [47, '0000080045000000'],
  ] as const
  return [
    ...v6,
    ...v4.map(([protocol, hex]) =>
      ipv4Frame(Buffer.from(hex, 'hex'), { protocol, src: '10.0.0.1', dst: '10.0.0.2' }),
    ),
  ].map(frame => {
    if ((frame[0] & 1) === 0) macOf(2).write(frame, 0)
    return frame
  })
}

/** Puts a frame into `out`. Its length. */
function mutate(next: Next, corpus: readonly Uint8Array[], out: Uint8Array): number {
  const kind = next() % 12
  let length = next() % (kind === 0 ? MAX_FRAME : 120)
  if (kind < 2) {
    for (let i = 0; i < length; i++) out[i] = next()
    return length
  }
  const from = corpus[next() % corpus.length]!
  out.set(from)
  length = from.length
  // Mostly where it matters: in the headers.
  const flip = () => next() % Math.min(length, next() % 4 === 0 ? length : 110)
  for (let flips = next() % 6; flips > 0; flips--) out[flip()]! ^= 1 << (next() % 8)
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
  if (kind === 6) length = insertExtension(next, out, length)
  return length
}

/** Behind the fixed IPv6 header one more, of some type and length; its text is what follows. The new length. */
function insertExtension(next: Next, out: Uint8Array, length: number): number {
  if (length < 54 || out[12] !== 0x86 || length + 64 > MAX_FRAME) return length
  const types = [0, 43, 44, 50, 51, 59, 60, 135, 255]
  const size = 8 * (1 + (next() % 3))
  out.copyWithin(54 + size, 54, length)
  for (let i = 54; i < 54 + size; i++) out[i] = next() % 2 === 0 ? 0 : next()
  out[54] = out[20]
  out[55] = size / 8 - 1
  out[20] = types[next() % types.length]
  const view = new DataView(out.buffer, out.byteOffset)
  view.setUint16(18, view.getUint16(18) + size)
  return length + size
}

/** Makes the sums of a frame with TCP, UDP or ICMP right, as far as its lengths let one find them. */
function mend(out: Uint8Array, length: number): void {
  if (length < 34) return
  const view = new DataView(out.buffer, out.byteOffset)
  const isV4 = out[12] === 0x08 && out[13] === 0
  if (!isV4 && (length < 54 || out[12] !== 0x86 || out[13] !== 0xdd)) return
  const header = isV4 ? (out[14] & 15) << 2 : 40
  const at = 14 + header
  const total = isV4 ? view.getUint16(16) - header : view.getUint16(18)
  if (header < 20 || total < 8 || at + total > length) return
  if (isV4) {
    view.setUint16(24, 0)
    view.setUint16(24, checksum(out, 14, header))
  }
  const protocol = out[isV4 ? 23 : 20]
  const place = { 1: 2, 2: 2, 6: 16, 17: 6, 58: 2 }[protocol]
  if (place === undefined || place + 2 > total) return
  view.setUint16(at + place, 0)
  const bare = isV4 && protocol <= 2
  const start = bare ? 0 : sumBytes(out, isV4 ? 26 : 22, isV4 ? 8 : 32, protocol + total)
  view.setUint16(at + place, finish(sumBytes(out, at, total, start)))
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
