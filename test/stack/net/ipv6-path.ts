import t from 'tap'
import { u16, u32 } from '../../../src/base/bytes.ts'
import type { Ipv6Path } from '../../../src/stack/net/ipv6-path.ts'
import { finish, fold, pseudoSum, sumBytes } from '../../../src/wire/checksum.ts'
import { Mac } from '../../../src/wire/mac.ts'
import { type Frame, addr, arrive, exchange, macOf } from '../../helpers/net.ts'
import { host6, know, linkLocalOf } from '../../helpers/net6.ts'
import { randomBytes } from '../../helpers/random.ts'

const OURS = addr('2001:db8::1')
const PEER = addr('2001:db8::2')

/** Host 1, and a path from it to station 2, whose MAC it knows. */
function way({ protocol = 6, mtu = 1500, offload = false, known = true } = {}) {
  const one = host6(1, { mtu, offload })
  if (known) know(one, PEER, 2)
  const path = one.ipv6.path(OURS, PEER, protocol) as Ipv6Path
  return { ...one, path }
}

/** Sends `length` bytes of seeded text behind nothing; the text. */
function send(path: Ipv6Path, length: number, gsoSize = 0, checksumOffset = 16): Uint8Array {
  const text = new Uint8Array(length)
  randomBytes(length)(text)
  const at = path.open(length)
  if (at < 0) throw new Error('no room')
  path.bytes.set(text, at)
  path.close(length, gsoSize, checksumOffset)
  return text
}

const flowLabel = ({ bytes }: Frame) => u32(bytes, 14) & 0xfffff

t.test('a segment leaves with MACs, header and checksum', async t => {
  for (const length of [20, 21, 60, 777, 1460]) {
    const { path, sink } = way()
    const text = send(path, length)
    const [frame] = sink.take()
    const { bytes } = frame
    t.equal(bytes.length, 54 + length)
    t.equal(Buffer.from(bytes.subarray(0, 14)).toString('hex'), '02000000000202000000000186dd')
    t.same([bytes[14] >> 4, u16(bytes, 18), bytes[20], bytes[21]], [6, length, 6, 64])
    t.equal(finish(sumBytes(bytes, 54, length, pseudoSum(OURS, PEER, 6) + length)), 0)
    text.set(bytes.subarray(70, 72), 16)
    t.same(bytes.subarray(54), text, 'and nothing else is changed')
    t.same([frame.gsoSize, frame.checksumStart], [0, 0])
  }
})

t.test('with offload the checksum is left to the link, with the pseudo-header summed', async t => {
  const { path, sink } = way({ offload: true })
  t.equal(path.maxDatagram, 65_535)
  send(path, 1460)
  send(path, 65_495, 1428)
  const frames = sink.take()
  for (const [i, length] of [1460, 65_495].entries()) {
    const { bytes, gsoSize, checksumStart, checksumOffset } = frames[i]
    t.same([gsoSize, checksumStart, checksumOffset], [i * 1428, 54, 16])
    t.equal(u16(bytes, 70), fold(pseudoSum(OURS, PEER, 6) + length))
  }
})

t.test('traffic class and hop limit are what the caller says', async t => {
  const { path, sink } = way()
  path.open(20)
  path.close(20, 0, 16, 0xb9, 3)
  const [{ bytes }] = sink.take()
  t.same([(u16(bytes, 14) >> 4) & 0xff, bytes[21]], [0xb9, 3])
})

t.test('the flow label is one for a path, and another for another', async t => {
  const { path, sink, ipv6 } = way()
  send(path, 20)
  send(path, 20)
  const [a, b] = sink.take().map(flowLabel)
  t.equal(a, b)
  know({ ipv6 }, linkLocalOf(3), 3)
  const other = ipv6.path(addr('::'), addr(linkLocalOf(3)), 6) as Ipv6Path
  send(other, 20)
  t.not(flowLabel(sink.take()[0]), a)
})

t.test('a TCP segment larger than the mtu, without offload, goes nowhere', async t => {
  const { path, sink, ipv6 } = way()
  send(path, 1461)
  t.equal(sink.take().length, 0)
  t.equal(ipv6.counters.tooBig, 1)
})

for (const length of [1460, 1461, 1448 + 1448, 3000, 65_535])
  t.test(`a datagram of ${length} bytes arrives whole, in fragments where it must`, async t => {
    const { path, sink, station, nic } = way({ protocol: 17 })
    const b = host6(2)
    know(b, OURS, 1)
    const text = send(path, length, 0, 6)
    const frames = sink.frames
    t.equal(frames.length, length <= 1460 ? 1 : Math.ceil(length / 1448))
    t.ok(frames.every(({ bytes }) => bytes.length <= 1514))
    const ids = new Set(frames.map(({ bytes }) => u32(bytes, 58)))
    if (frames.length > 1) t.equal(ids.size, 1)
    exchange({ sink, station }, b, 3000)
    t.equal(b.protocol.arrived.length, 1)
    const got = b.protocol.arrived[0].text
    t.equal(finish(sumBytes(got, 0, length, pseudoSum(OURS, PEER, 17) + length)), 0)
    text.set(got.subarray(6, 8), 6)
    t.ok(got.equals(text))
    t.ok(nic.counters.framesOut > 0)
  })

t.test('two datagrams in fragments have different ids', async t => {
  const { path, sink } = way({ protocol: 17 })
  send(path, 2000)
  send(path, 2000)
  t.equal(new Set(sink.take().map(({ bytes }) => u32(bytes, 58))).size, 2)
})

t.test(
  'fragments are as small as the path needs, and a datagram of the path mtu is whole',
  async t => {
    const { path, sink, ipv6 } = way({ protocol: 17 })
    ipv6.pathMtus.learn(PEER, 1300, 3000)
    t.equal(path.mtu, 1300)
    send(path, 1260)
    t.same(
      sink.take().map(({ bytes }) => bytes.length),
      [1314],
    )
    send(path, 1261)
    t.same(
      sink.take().map(({ bytes }) => bytes.length),
      [14 + 48 + 1248, 14 + 48 + 13],
    )
  },
)

t.test('fragmentSize: smaller than the path needs, never larger', async t => {
  const { path, sink } = way({ protocol: 17 })
  for (const [size, length, frames] of [
    [1280, 1240, [14 + 40 + 1240]],
    [1280, 1241, [14 + 48 + 1232, 14 + 48 + 9]],
    [9000, 1461, [14 + 48 + 1448, 14 + 48 + 13]],
    [0, 1460, [14 + 40 + 1460]],
  ] as const) {
    path.fragmentSize = size
    send(path, length)
    t.same(
      sink.take().map(({ bytes }) => bytes.length),
      frames,
      `${length} bytes with ${size}`,
    )
  }
})

t.test('a UDP sum of zero is sent as 0xffff', async t => {
  const { path, sink } = way({ protocol: 17 })
  const at = path.open(8)
  path.bytes.fill(0, at, at + 8)
  // The sum of all but this word is its complement.
  const rest = finish(pseudoSum(OURS, PEER, 17) + 8)
  path.bytes[at] = rest >> 8
  path.bytes[at + 1] = rest
  path.close(8, 0, 6)
  t.equal(u16(sink.take()[0].bytes, 60), 0xffff)
})

t.test('a group needs no neighbor: its MAC is 33:33 and its last four bytes', async t => {
  const { ipv6, sink, neighbors } = way()
  const before = neighbors.size
  const path = ipv6.path(addr('::'), addr('ff02::1:2'), 17) as Ipv6Path
  send(path, 20, 0, 6)
  t.same(Mac.read(sink.take()[0].bytes, 0), new Mac(0x3333, 0x10002))
  t.equal(neighbors.size, before)
})

t.test('an address that is gone sends nothing more; the way back brings it back', async t => {
  const { path, sink, ipv6 } = way()
  const entry = ipv6.addresses.find(OURS)!
  ipv6.addresses.remove(OURS)
  send(path, 20)
  t.equal(sink.take().filter(({ bytes }) => bytes[20] === 6).length, 0)
  t.equal(ipv6.counters.noRoute, 1)
  ipv6.addresses.add(entry)
  send(path, 20)
  t.equal(sink.take().filter(({ bytes }) => bytes[20] === 6).length, 1)
})

t.test('no room on the link: open() says so, and later works', async t => {
  const { path, sink } = way()
  sink.room = 0
  t.equal(path.open(20), -1)
  sink.room = 1
  send(path, 20)
  t.equal(sink.take().length, 1)
})

t.test('open() of more than a datagram throws', async t => {
  const { path } = way({ protocol: 17 })
  t.throws(() => path.open(65_536), RangeError)
})

t.test('confirm() keeps the neighbor reachable', async t => {
  const { path, ipv6, neighbors, nic, sink } = way()
  send(path, 20)
  path.confirm(20_000)
  ipv6.run(40_000)
  t.equal(neighbors.find(PEER)?.state, 'REACHABLE')
  ipv6.run(60_000)
  t.equal(neighbors.find(PEER)?.state, 'STALE')
  arrive(nic, sink.take()[0], 60_000)
  t.equal(nic.counters.notOurMac, 1)
  t.same(macOf(1), nic.mac)
})
