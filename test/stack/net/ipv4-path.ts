import t from 'tap'
import { u16, writeU16 } from '../../../src/base/bytes.ts'
import { Address } from '../../../src/wire/address.ts'
import type { Ipv4Path } from '../../../src/stack/net/ipv4-path.ts'
import { EHOSTUNREACH } from '../../../src/base/errno.ts'
import { checksum, finish, fold, pseudoSumV4, sumBytes } from '../../../src/wire/checksum.ts'
import { Ipv4Packet } from '../../../src/wire/ipv4.ts'
import {
  type Frame,
  TestSink,
  addr,
  arpFrame,
  arrive,
  exchange,
  host,
  ip,
  macOf,
  typeOf,
} from '../../helpers/net.ts'
import { randomBytes } from '../../helpers/random.ts'

const A = ip('10.0.0.1')
const B = ip('10.0.0.2')

/** Host 1, a path from it to host 2 whose MAC it knows, into a sink. */
function way({ protocol = 6, mtu = 1500, offload = false, known = true } = {}) {
  const one = host(1)
  const sink = new TestSink(mtu, offload)
  one.nic.setSink(sink)
  one.arp.run(10_000)
  one.arp.run(12_000)
  sink.take()
  if (known)
    one.arp.neighbors.learn(one.arp.neighbors.resolve(Address.v4(B)), macOf(2), true, 12_000)
  const path = one.ipv4.path(addr('10.0.0.1'), addr('10.0.0.2'), protocol) as Ipv4Path
  return { ...one, sink, path }
}

/** Sends `length` bytes of seeded text behind nothing; the text. */
function send(path: Ipv4Path, length: number, gsoSize = 0, checksumOffset = 16): Uint8Array {
  const text = new Uint8Array(length)
  randomBytes(length)(text)
  const at = path.open(length)
  if (at < 0) throw new Error('no room')
  path.bytes.set(text, at)
  path.close(length, gsoSize, checksumOffset)
  return text
}

const ipOf = (frame: Frame) => Ipv4Packet.parse(frame.bytes, 14, frame.bytes.length - 14)!

t.test('a segment leaves with MACs, header, both checksums', async t => {
  for (const length of [20, 21, 60, 777, 1480]) {
    const { path, sink } = way()
    const text = send(path, length)
    const [frame] = sink.take()
    const { bytes } = frame
    t.equal(bytes.length, 34 + length)
    t.equal(Buffer.from(bytes.subarray(0, 14)).toString('hex'), '0200000000020200000000010800')
    const header = ipOf(frame)
    t.equal(checksum(bytes, 14, 20), 0)
    t.match(
      [header.headerLength, header.totalLength, header.id, header.df, header.mf, header.protocol],
      [20, 20 + length, 0, true, false, 6],
    )
    t.same([header.ttl, header.src, header.dst], [64, A, B])
    t.equal(finish(sumBytes(bytes, 34, length, pseudoSumV4(A, B, 6) + length)), 0)
    text.set(bytes.subarray(50, 52), 16)
    t.same(bytes.subarray(34), text, 'and nothing else is changed')
    t.same([frame.gsoSize, frame.checksumStart], [0, 0])
  }
})

t.test('with offload the checksum is left to the link, with the pseudo-header summed', async t => {
  const { path, sink } = way({ offload: true })
  send(path, 1480)
  send(path, 65_515, 1448)
  const frames = sink.take()
  for (const [i, length] of [1480, 65_515].entries()) {
    const { bytes, checksumStart, checksumOffset } = frames[i]
    t.same([checksumStart, checksumOffset], [34, 16])
    t.equal(u16(bytes, 50), fold(pseudoSumV4(A, B, 6) + length))
    // What the kernel does with it (virtio's NEEDS_CSUM) gives a right sum.
    writeU16(bytes, 50, finish(sumBytes(bytes, 34, length, 0)))
    t.equal(finish(sumBytes(bytes, 34, length, pseudoSumV4(A, B, 6) + length)), 0)
  }
  t.same(
    frames.map(f => f.gsoSize),
    [0, 1448],
  )
})

t.test('mtu and maxDatagram follow the link', async t => {
  const { path, nic } = way()
  t.same([path.mtu, path.maxDatagram, path.headerLength], [1500, 1500, 20])
  nic.setSink(new TestSink(9000, true))
  t.same([path.mtu, path.maxDatagram], [9000, 65_535])
  nic.setSink(undefined)
  t.same([path.mtu, path.maxDatagram], [9000, 65_535], 'of a link that is down, as it was')
  nic.setSink(new TestSink(1400, false))
  t.same([path.mtu, path.maxDatagram], [1400, 1400])
})

t.test('a gso size that is not needed is not told', async t => {
  const { path, sink } = way({ offload: true })
  send(path, 1000, 1448)
  t.equal(sink.take()[0].gsoSize, 0)
})

t.test('what is longer than the link takes by now is dropped and counted', async t => {
  for (const offload of [false, true]) {
    const { path, sink, ipv4 } = way({ mtu: 1400, offload })
    send(path, 1480)
    t.same(sink.take(), [])
    t.equal(ipv4.counters.tooBig, 1)
    send(path, 1380)
    t.equal(sink.take().length, 1)
  }
})

t.test('a gso frame never goes to a sink without offload', async t => {
  const { path, nic } = way({ offload: true, known: false })
  send(path, 30_000, 1448)
  const plain = new TestSink()
  nic.setSink(plain)
  send(path, 30_000, 1448)
  arrive(nic, arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1)), 12_001)
  t.same(plain.take().map(typeOf), [])
})

t.test('open() is -1 while the link has no room, and then nothing is lost', async t => {
  const { path, sink } = way()
  sink.room = 0
  t.equal(path.open(100), -1)
  sink.room = 1
  send(path, 100)
  t.equal(path.open(100), -1)
  t.equal(sink.take().length, 1)
})

t.test('a first packet waits for the neighbor; the path goes on with what was learnt', async t => {
  const { path, nic, arp, sink } = way({ known: false })
  send(path, 40)
  send(path, 41)
  t.same(sink.take(), [])
  arp.run(12_000)
  t.same(sink.take().map(typeOf), ['request'])
  arrive(nic, arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1)), 12_001)
  t.same(
    sink.take().map(f => f.bytes.length),
    [74, 75],
  )
  send(path, 42)
  t.same(
    sink.take().map(f => f.bytes.length),
    [76],
  )
})

t.test(
  'a path survives its neighbor: failed, back with another MAC, the link down and up',
  async t => {
    const { path, nic, arp, sink } = way()
    send(path, 40)
    arp.neighbors.macGone(macOf(2), 13_000)
    sink.take()
    send(path, 40)
    arp.run(13_000)
    t.same(sink.take().map(typeOf), ['request'])
    arrive(nic, arpFrame('reply', macOf(7), '10.0.0.2', '10.0.0.1', macOf(1)), 13_001)
    t.same(
      sink.take().map(f => f.bytes[5]),
      [7],
    )
    nic.setSink(undefined)
    send(path, 40)
    t.equal(nic.counters.linkDown, 1)
    nic.setSink(sink)
    send(path, 40)
    t.same(sink.take().map(typeOf), ['ipv4'])
  },
)

t.test('confirm() keeps the neighbor REACHABLE', async t => {
  const { path, arp } = way()
  const neighbor = arp.neighbors.find(Address.v4(B))!
  send(path, 40)
  for (let now = 12_000; now < 112_000; now += 10_000) {
    path.confirm(now)
    arp.run(now)
    t.equal(neighbor.state, 'REACHABLE')
  }
  arp.run(200_000)
  t.equal(neighbor.state, 'STALE')
})

t.test('who waits for a neighbor in vain hears EHOSTUNREACH', async t => {
  const { path, arp, protocol } = way({ known: false })
  const at = path.open(20)
  path.bytes.set([0x12, 0x34, 0, 80, 0x80, 0, 0, 7], at)
  path.close(20, 0, 16)
  for (const now of [12_000, 13_000, 14_000, 15_000]) arp.run(now)
  const [{ src, dst, ...error }] = protocol.errors
  t.match(error, {
    errno: EHOSTUNREACH,
    hard: false,
    type: 3,
    code: 1,
    mtu: 0,
    srcPort: 0x1234,
    dstPort: 80,
    seq: 0x80000007 | 0,
  })
  t.same([src.d, dst.d], [A, B])
  t.equal(protocol.errors.length, 1)
})

t.test(
  'a protocol without DF: fragments of the right size, one id, whole at the other end',
  async t => {
    for (const [length, mtu] of [
      [1481, 1500],
      [2960, 1500],
      [2961, 1500],
      [65_515, 1500],
      [65_515, 576],
      [100, 68],
    ]) {
      const { path, sink, nic } = way({ protocol: 17, mtu })
      const two = host(2)
      const seen = two.protocol
      two.ipv4.protocols.set(17, seen)
      const text = send(path, length, 0, 6)
      const { frames } = sink
      const most = (mtu - 20) & ~7
      t.equal(frames.length, Math.ceil(length / most), `${length} bytes, mtu ${mtu}`)
      t.equal(new Set(frames.map(f => ipOf(f).id)).size, 1)
      t.ok(frames.every(f => f.bytes.length <= mtu + 14 && !ipOf(f).df))
      t.same(
        frames.map(f => ipOf(f).mf),
        frames.map((_, i) => i < frames.length - 1),
      )
      two.nic.setSink(new TestSink(mtu))
      exchange({ sink, station: nic }, { sink: two.nic.sink as TestSink, station: two.nic }, 12_000)
      const [{ text: got }] = seen.arrived
      t.equal(finish(sumBytes(got, 0, length, pseudoSumV4(A, B, 17) + length)), 0)
      text.set(got.subarray(6, 8), 6)
      t.ok(Buffer.from(text).equals(got))
    }
  },
)

t.test('fragments that find no room end their datagram', async t => {
  const { path, sink, ipv4 } = way({ protocol: 17 })
  sink.room = 2
  send(path, 6000, 0, -1)
  t.equal(sink.take().length, 2)
  t.equal(ipv4.counters.fragmentNoRoom, 1)
})

t.test('datagrams that may be fragmented have ids that nobody can foretell', async t => {
  const { path, sink } = way({ protocol: 17 })
  for (let i = 0; i < 100; i++) send(path, 40, 0, -1)
  const ids = sink.take().map(f => ipOf(f).id)
  t.ok(new Set(ids).size > 95)
  t.ok(ids.filter((id, i) => i > 0 && id - ids[i - 1] === 1).length < 5)
})

t.test('a datagram of more than 65,535 bytes is the caller’s mistake', async t => {
  t.throws(() => way({ protocol: 17 }).path.open(65_516), RangeError)
})

for (const length of [20, 3000])
  t.test(`close() of ${length} bytes with tos and ttl: in every packet`, async t => {
    const { path, sink } = way({ protocol: 17 })
    path.open(length)
    path.close(length, 0, -1, 0xb8, 3)
    const frames = sink.take()
    t.ok(frames.length >= 1)
    for (const frame of frames) {
      t.equal(frame.bytes[15], 0xb8)
      t.equal(ipOf(frame).ttl, 3)
      t.equal(checksum(frame.bytes, 14, 20), 0)
    }
  })

t.test(
  'a path takes another next hop when the routes have changed, and none when its source is gone',
  async t => {
    const { path, sink, ipv4, arp } = way()
    const gateway = addr('10.0.0.254')
    arp.neighbors.learn(arp.neighbors.resolve(gateway), macOf(254), true, 12_000)
    const to = () => {
      send(path, 20)
      return sink.take().map(frame => frame.bytes[5])
    }
    t.same(to(), [2])
    ipv4.routes.add({
      destination: { address: addr('10.0.0.2'), prefixLength: 32 },
      gateway,
      source: undefined,
      metric: 0,
      origin: 'static',
      expires: Infinity,
    })
    t.same(to(), [254])
    ipv4.routes.remove(({ origin }) => origin === 'static')
    t.same(to(), [2])
    ipv4.addresses.remove(addr('10.0.0.1'))
    t.same(to(), [])
    t.equal(ipv4.counters.noRoute, 1)
  },
)
