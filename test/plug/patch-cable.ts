import t, { type Test } from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { PatchCable } from '../../src/plug/patch-cable.ts'
import { testFrame, TestPlug, type TestFrame } from '../helpers/plug.ts'
import { look, offloadFrame, type FrameShape } from '../helpers/wire-frame.ts'

interface Link {
  mtu?: number
  offload?: boolean
  udp?: boolean
}

function bench(t: Test, linkA: Link = {}, linkB: Link = {}) {
  const fds: number[] = []
  const make = ({ udp = false, ...link }: Link) => {
    const control = libc.socketpair(libc.SOCK_STREAM)
    if (typeof control === 'number') throw new Error('no sockets')
    const fd = libc.eventfd()
    fds.push(fd, ...control)
    const plug = new TestPlug({ ...link, fd, controlFd: control[0] })
    plug.sendsUdpSegments = udp
    return { plug, peer: control[1] }
  }
  const [a, b] = [make(linkA), make(linkB)]
  const cable = new PatchCable(a.plug, b.plug, () => performance.now())
  t.teardown(() => {
    cable.close()
    for (const fd of fds) libc.close(fd)
  })
  return { a: a.plug, b: b.plug, peerA: a.peer, cable }
}

function row(shape: FrameShape, gsoSize: number): TestFrame {
  const { bytes, checksumStart, checksumOffset } = offloadFrame(shape)
  return testFrame(bytes, gsoSize, checksumStart, checksumOffset)
}

const plain = (length: number) => testFrame(new Uint8Array(length).fill(9))
const lengths = (plug: TestPlug) => plug.sink.sent.map(({ bytes, gsoSize }) => [bytes.length, gsoSize]) // prettier-ignore

t.test('what comes out of one plug goes into the other, as it is', async t => {
  const { a, b, cable } = bench(t)
  const there = [plain(60), row({ text: 30_000 }, 1448), row({ text: 100 }, 0)]
  const back = [row({ v6: true, text: 5000 }, 1428), plain(1514)]
  a.coming.push(...there)
  b.coming.push(...back)
  t.equal(cable.run(0), undefined)
  t.same(b.sink.sent, there)
  t.same(a.sink.sent, back)
  t.match(cable.there, { frames: 3, bytes: there.reduce((n, f) => n + f.bytes.length, 0) })
})

for (const [name, frame, link, sent, counter] of [
  ['a smaller mtu: segments for it', row({ text: 3000 }, 1448), { mtu: 1300 }, [[3066, 1248]], ''],
  [
    'a smaller mtu and no offload: cut for it',
    row({ text: 3000 }, 1448),
    { mtu: 1300, offload: false },
    [
      [1314, 0],
      [1314, 0],
      [570, 0],
    ],
    '',
  ],
  ['a larger mtu: the segments stay', row({ text: 3000 }, 1448), { mtu: 9000 }, [[3066, 1448]], ''],
  [
    'no offload: cut',
    row({ text: 3000 }, 1448),
    { offload: false },
    [
      [1514, 0],
      [1514, 0],
      [170, 0],
    ],
    '',
  ],
  ['no offload: summed', row({ text: 100 }, 0), { offload: false }, [[166, 0]], ''],
  [
    'datagrams for who takes none in rows: cut',
    row({ udp: true, text: 2000 }, 1000),
    {},
    [
      [1042, 0],
      [1042, 0],
    ],
    '',
  ],
  [
    'datagrams for who takes rows',
    row({ udp: true, text: 2000 }, 1000),
    { udp: true },
    [[2042, 1000]],
    '',
  ],
  [
    'datagrams too long for the mtu',
    row({ udp: true, text: 2000 }, 1000),
    { mtu: 900, udp: true },
    [],
    'tooLong',
  ],
  ['a frame too long for the mtu', plain(1514), { mtu: 1499 }, [], 'tooLong'],
  ['a frame as long as the mtu', plain(1514), {}, [[1514, 0]], ''],
  [
    'a frame behind a VLAN tag',
    testFrame(offloadFrame({ tags: 1, text: 1448 }).bytes),
    {},
    [[1518, 0]],
    '',
  ],
  ['an mtu smaller than the headers', row({ text: 3000 }, 1448), { mtu: 50 }, [], 'tooLong'],
  [
    'a row that cannot be cut',
    { ...row({ text: 3000 }, 1448), checksumStart: 35 },
    { offload: false },
    [],
    'malformed',
  ],
] as [string, TestFrame, Link, number[][], '' | 'tooLong' | 'malformed'][])
  // prettier-ignore
  t.test(`PatchCable, ${name}`, async t => {
    const { a, b, cable } = bench(t, {}, link)
    a.coming.push(frame)
    cable.run(0)
    t.same(lengths(b), sent)
    const { tooLong, malformed, overrun } = cable.there
    t.same({ tooLong, malformed, overrun }, { tooLong: 0, malformed: 0, overrun: 0, ...(counter !== '' && { [counter]: 1 }) }) // prettier-ignore
    if (sent.every(([, gsoSize]) => gsoSize === 0) && frame.checksumStart > 0) {
      let at = 0
      for (const { bytes } of b.sink.sent) {
        const piece = look(bytes, 0, bytes.length, at)
        t.same(piece.problems, [])
        at += piece.text
      }
    }
  })

t.test('rows of datagrams are asked for: what comes can be cut', async t => {
  const { a, b } = bench(t)
  t.same([a.asked, b.asked], [1, 1])
})

t.test('no room: frames stay where they came from, and go when there is some', async t => {
  const { a, b, cable } = bench(t)
  b.sink.room = 2
  for (let i = 0; i < 5; i++) a.coming.push(plain(60))
  // The doorbell rings on: nobody may be kept awake by it.
  libc.eventfdSignal(a.fd)
  const start = performance.now()
  cable.run(100)
  t.ok(performance.now() - start >= 99)
  t.ok(a.woken < 5, `woken ${a.woken} times`)
  t.equal(b.sink.sent.length, 2)
  t.equal(a.coming.length, 3)
  b.sink.room = Infinity
  cable.run(0)
  t.equal(b.sink.sent.length, 5)
  t.equal(cable.there.overrun, 0)
})

t.test('both ways without room: it looks again soon, and does not spin', async t => {
  const { a, b, cable } = bench(t)
  a.sink.room = b.sink.room = 0
  a.coming.push(plain(60))
  b.coming.push(plain(60))
  for (const { fd } of [a, b]) libc.eventfdSignal(fd)
  cable.run(50)
  t.ok(a.woken > 0 && a.woken < 60, `woken ${a.woken} times`)
  a.sink.room = b.sink.room = 1
  cable.run(3)
  t.same([a.sink.sent.length, b.sink.sent.length], [1, 1])
})

t.test('it sleeps until a plug’s time, to the fraction of a millisecond', async t => {
  const { a, cable } = bench(t)
  const start = performance.now()
  let woken = 0
  a.next = start + 20.4
  const { wake } = a
  a.wake = () => {
    woken ||= performance.now()
    a.next = Infinity
    wake.call(a)
  }
  cable.run(60)
  t.ok(woken - start >= 20.4, `after ${woken - start} ms`)
})

t.test('run() names the plug whose other end is gone', async t => {
  const { a, b, peerA, cable } = bench(t)
  t.equal(cable.run(0), undefined)
  libc.shutdown(peerA, libc.SHUT_RDWR)
  t.equal(cable.run(1000), a)
  b.broken = true
  t.equal(cable.run(1000), b)
})

t.test(
  'frames and room that come in any order: nothing is lost, and the order is kept',
  async t => {
    const { a, b, cable } = bench(t)
    let tag = 0
    for (let i = 0; i < 300; i++) {
      for (let k = 0; k < (i * 7) % 5; k++) a.coming.push(testFrame(new Uint8Array(60).fill(tag++)))
      b.sink.room = (i * 3) % 4
      cable.run(0)
    }
    b.sink.room = Infinity
    cable.run(0)
    t.same(
      b.sink.sent.map(({ bytes }) => bytes[0]),
      Array.from({ length: tag }, (_, i) => i & 0xff),
    )
  },
)
