import t from 'tap'

import { networkOffset, Segmenter } from '../../src/wire/segment.ts'
import { random } from '../helpers/random.ts'
import { look, offloadFrame, type FrameShape, type Look } from '../helpers/wire-frame.ts'

const FIN = 1
const PSH = 8
const ACK = 16
const CWR = 128

/** All that a frame is cut into. */
function cut(shape: FrameShape, gsoSize: number, shift = 0): Look[] {
  const { bytes, length, checksumStart, checksumOffset } = offloadFrame(shape)
  const memory = new Uint8Array(shift + length)
  memory.set(bytes, shift)
  const segmenter = new Segmenter()
  if (!segmenter.start(memory, shift, length, gsoSize, checksumStart, checksumOffset)) return []
  const out = new Uint8Array(shift + segmenter.longest)
  const looks: Look[] = []
  let at = 0
  for (let n = segmenter.next(out, shift); n > 0; n = segmenter.next(out, shift)) {
    looks.push(look(out, shift, n, at))
    at += looks[looks.length - 1].text
  }
  if (looks.length !== segmenter.count) throw new Error(`${looks.length}, not ${segmenter.count}`)
  if (Math.max(...looks.map(l => l.length)) !== segmenter.longest) throw new Error('longest')
  return looks
}

for (const [name, shape, gso, texts] of [
  ['IPv4, TCP', { text: 3000 }, 1448, [1448, 1448, 104]],
  ['IPv6, TCP', { v6: true, text: 3000 }, 1428, [1428, 1428, 144]],
  ['as long as a segment', { text: 1448 }, 1448, [1448]],
  ['one byte more', { text: 1449 }, 1448, [1448, 1]],
  ['no text', { text: 0 }, 1448, [0]],
  ['odd segments', { text: 10 }, 3, [3, 3, 3, 1]],
  ['no TCP options', { text: 3000, tcpOptions: 0 }, 1460, [1460, 1460, 80]],
  ['40 bytes of TCP options', { text: 3000, tcpOptions: 40 }, 1420, [1420, 1420, 160]],
  ['IPv4 options', { text: 3000, ipOptions: 40 }, 1400, [1400, 1400, 200]],
  ['IPv6 destination options', { v6: true, text: 3000, ipOptions: 16 }, 1400, [1400, 1400, 200]],
  ['a VLAN tag', { text: 3000, tags: 1 }, 1448, [1448, 1448, 104]],
  ['two VLAN tags, IPv6', { v6: true, text: 3000, tags: 2 }, 1448, [1448, 1448, 104]],
  ['IPv4, UDP', { udp: true, text: 2500 }, 1000, [1000, 1000, 500]],
  ['IPv6, UDP', { v6: true, udp: true, text: 2500 }, 1000, [1000, 1000, 500]],
  ['64 KB', { text: 65_483 }, 1448, [...Array<number>(45).fill(1448), 323]],
] as const)
  for (const shift of [0, 2, 3])
    t.test(`Segmenter, ${name}, at address ${shift}`, async t => {
      const looks = cut(shape, gso, shift)
      t.same(
        looks.map(l => l.text),
        texts,
      )
      for (const l of looks) t.same(l.problems, [])
    })

t.test('sequence numbers and IP ids go on, across their wraps', async t => {
  const looks = cut({ text: 400, seq: 0xffffff9c, id: 0xffff }, 100)
  t.same(
    looks.map(l => l.seq),
    [0xffffff9c, 0, 100, 200],
  )
  t.same(
    looks.map(l => l.id),
    [0xffff, 0, 1, 2],
  )
})

t.test('FIN and PSH are the last segment’s, CWR the first one’s', async t => {
  const looks = cut({ text: 300, flags: ACK | PSH | FIN | CWR }, 100)
  t.same(
    looks.map(l => l.flags),
    [ACK | CWR, ACK, ACK | PSH | FIN],
  )
  t.same(cut({ text: 10, flags: ACK | PSH | FIN | CWR }, 100)[0].flags, ACK | PSH | FIN | CWR)
})

t.test('a whole frame gets its checksum, or is left alone', async t => {
  for (const shape of [{ text: 100 }, { v6: true, text: 101 }, { udp: true, text: 0 }]) {
    const [whole] = cut(shape, 0)
    t.same(whole.problems, [])
  }
  const frame = offloadFrame({ text: 10 })
  const segmenter = new Segmenter()
  t.ok(segmenter.start(frame.bytes, 0, frame.length, 0, 0, 0))
  const out = new Uint8Array(frame.length)
  t.equal(segmenter.next(out, 0), frame.length)
  t.same(out, frame.bytes)
  t.equal(segmenter.next(out, 0), 0)
})

t.test('a UDP checksum that comes to zero is sent as 0xffff', async t => {
  const { bytes, length, checksumStart, checksumOffset } = offloadFrame({ udp: true, text: 2 })
  // What the text must be for the sum of everything to be 0xffff.
  bytes.fill(0, length - 2)
  let sum = 0
  for (let i = checksumStart; i < length; i += 2) sum += bytes[i] * 256 + bytes[i + 1]
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  bytes.set([(0xffff - sum) >>> 8, (0xffff - sum) & 0xff], length - 2)
  const segmenter = new Segmenter()
  segmenter.start(bytes, 0, length, 0, checksumStart, checksumOffset)
  const out = new Uint8Array(length)
  segmenter.next(out, 0)
  t.same([...out.subarray(checksumStart + 6, checksumStart + 8)], [0xff, 0xff])
})

t.test('start() refuses what cannot be cut', async t => {
  const whole = offloadFrame({ text: 3000 })
  const segmenter = new Segmenter()
  const start = (
    change: (b: Uint8Array) => void,
    { gso = 1448, start = whole.checksumStart, offset = whole.checksumOffset, cut = 0 } = {},
  ) => {
    const bytes = whole.bytes.slice()
    change(bytes)
    return segmenter.start(bytes, 0, whole.length - cut, gso, start, offset)
  }
  const same = () => {}
  t.ok(start(same))
  for (const [name, ok] of [
    ['no such type', start(b => b.set([8, 6], 12))],
    ['IPv6 in an IPv4 frame', start(b => b.set([0x86, 0xdd], 12))],
    ['not TCP', start(b => (b[23] = 17))],
    ['a fragment', start(b => (b[20] = 0x20))],
    ['a later fragment', start(b => (b[21] = 1))],
    ['another header length', start(b => (b[14] = 0x46))],
    ['a data offset below 20', start(b => (b[46] = 0x40))],
    ['a data offset past the end', start(b => (b[46] = 0xf0), { cut: 3005 })],
    ['checksum of ICMP', start(same, { offset: 2 })],
    ['checksum start in the IP header', start(same, { start: 33 })],
    ['checksum start past the end', start(same, { start: 60_000 })],
    ['no checksum to finish', start(same, { start: 0 })],
    ['whole, checksum past the end', start(same, { gso: 0, start: whole.length - 17 })],
    ['whole, checksum in the Ethernet header', start(same, { gso: 0, start: 13 })],
  ] as const)
    t.notOk(ok, name)
})

t.test(
  'seed 3: whatever the header says, nothing is thrown and nothing leaves its room',
  async t => {
    const next = random(3)
    const segmenter = new Segmenter()
    const out = new Uint8Array(70_000)
    for (let i = 0; i < 20_000; i++) {
      const v6 = next() % 2 === 0
      const { bytes, checksumStart, checksumOffset } = offloadFrame({ v6, text: next() % 200 })
      for (let k = next() % 3; k > 0; k--) bytes[next() % 60] = next()
      const length = next() % 4 === 0 ? next() % (bytes.length + 1) : bytes.length
      const start = next() % 4 === 0 ? next() % 120 : checksumStart
      const offset = next() % 4 === 0 ? next() % 40 : checksumOffset
      if (!segmenter.start(bytes, 0, length, next() % 300, start, offset)) continue
      let given = 0
      for (let n = segmenter.next(out, 0); n > 0; n = segmenter.next(out, 0)) {
        given++
        if (n > segmenter.longest) t.fail(`${n} bytes, ${segmenter.longest} at most`)
      }
      if (length > 0 && given !== segmenter.count) t.fail(`${given} of ${segmenter.count}`)
    }
    t.pass('done')
  },
)

t.test('networkOffset() looks past two VLAN tags', async t => {
  for (const tags of [0, 1, 2])
    t.equal(networkOffset(offloadFrame({ tags }).bytes, 0), 14 + 4 * tags)
})
