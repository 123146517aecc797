import t from 'tap'
import { ReceiveRing, SendRing } from '../../src/ring/byte-ring.ts'
import { ABI_CHUNKS_OFFSET, LOCK_SERVER, RECORD } from '../../src/shm/layout.ts'
import { recordWord, Region } from '../../src/shm/region.ts'
import { random } from '../helpers/random.ts'

const RECORD_NUMBER = 7
const PLACE = ABI_CHUNKS_OFFSET
const OTHER = ABI_CHUNKS_OFFSET + 0x10000
const LOG2 = 12
const SIZE = 4096

const region = Region.create()
const word = (field: number) => recordWord(RECORD_NUMBER) + field / 4
const bytes = (n: number, from = 0) =>
  Uint8Array.from({ length: n }, (_, i) => (from + i * 7) & 0xff)

function receiveRing(start: number): ReceiveRing {
  const ring = new ReceiveRing(region, RECORD_NUMBER)
  region.words[word(RECORD.rx_head)] = start | 0
  region.words[word(RECORD.rx_head) + 1] = 0
  ring.place(PLACE, LOG2, start, start, false)
  return ring
}

/** What a program would read, from its own words. */
function readAll(ring: ReceiveRing): number[] {
  const head = region.words[word(RECORD.rx_head)]
  const tail = region.words[word(RECORD.rx_tail)]
  const out: number[] = []
  for (let c = head; c !== tail; c = (c + 1) | 0)
    out.push(region.bytes[ring.offset + (c & (ring.size - 1))])
  Atomics.store(region.words, word(RECORD.rx_head), tail)
  return out
}

for (const start of [0, SIZE - 5, 0x7fffffff - 3, -4]) {
  t.test(
    `ReceiveRing.writeAt() out of order, publish() shows it; counters from ${start}`,
    async t => {
      const ring = receiveRing(start)
      const text = bytes(3000)
      ring.writeAt(1000, text, 1000, 2000)
      t.same(readAll(ring), [])
      ring.writeAt(0, text, 0, 1000)
      ring.publish(3000)
      t.equal(ring.used, 3000)
      t.equal(ring.window, SIZE - 3000)
      t.same(readAll(ring), [...text])
      t.equal(ring.used, 0)
      t.equal(ring.window, SIZE)
    },
  )

  t.test(`SendRing.copy() and consume(); counters from ${start}`, async t => {
    const ring = new SendRing(region, RECORD_NUMBER)
    region.words[word(RECORD.tx_tail)] = start | 0
    ring.place(PLACE, LOG2, start, start, false)
    const text = bytes(SIZE)
    for (let i = 0; i < SIZE; i++) region.bytes[PLACE + ((start + i) & (SIZE - 1))] = text[i]
    Atomics.store(region.words, word(RECORD.tx_tail), (start + SIZE) | 0)
    t.equal(ring.length, SIZE)
    t.equal(ring.room, 0)
    const got = new Uint8Array(2000)
    ring.copy(1500, 1990, got, 10)
    t.same([...got.subarray(10)], [...text.subarray(1500, 3490)])
    ring.consume(SIZE)
    t.equal(ring.length, 0)
    t.equal(region.words[word(RECORD.tx_head)], (start + SIZE) | 0)
  })
}

t.test(
  'ReceiveRing.moveTo() keeps text, what lies past the tail, and makes old readers fail',
  async t => {
    const ring = receiveRing(SIZE - 100)
    const text = bytes(3000, 3)
    ring.writeAt(0, text, 0, 1000)
    ring.publish(1000)
    ring.writeAt(500, text, 1500, 1500)
    const epoch = region.words[word(RECORD.rx_head) + 1]
    ring.moveTo(OTHER, 14)
    t.equal(ring.window, 16384 - 1000)
    t.not(region.words[word(RECORD.rx_head) + 1], epoch)
    ring.writeAt(0, text, 1000, 500)
    ring.publish(2000)
    t.same(readAll(ring), [...text])
  },
)

t.test('SendRing.moveTo() waits for the writer', async t => {
  const ring = new SendRing(region, RECORD_NUMBER)
  region.words[word(RECORD.tx_tail)] = 0
  ring.place(PLACE, LOG2, 0, 0, false)
  const text = bytes(SIZE, 9)
  region.bytes.set(text, PLACE)
  Atomics.store(region.words, word(RECORD.tx_tail), SIZE)
  t.equal(ring.length, SIZE)
  ring.consume(100)
  region.words[word(RECORD.wlock)] = (3 << 19) | 1
  t.notOk(ring.moveTo(OTHER, 13), 'a program is writing')
  region.words[word(RECORD.wlock)] = 0
  t.ok(ring.moveTo(OTHER, 13))
  t.equal(region.words[word(RECORD.wlock)], 0)
  t.equal(LOCK_SERVER >>> 19, 0xfff)
  const got = new Uint8Array(SIZE - 100)
  ring.copy(0, got.length, got, 0)
  t.same([...got], [...text.subarray(100)])
  t.equal(ring.room, 8192 - (SIZE - 100))
})

for (const [name, head] of [
  ['ahead of the tail', 11],
  ['before what was read', -1],
  ['far away', 0x40000000],
] as const)
  t.test(`a head ${name} is not believed`, async t => {
    const ring = receiveRing(0)
    ring.writeAt(0, bytes(10), 0, 10)
    ring.publish(10)
    region.words[word(RECORD.rx_head)] = head
    t.equal(ring.head, 0)
    t.ok(ring.corrupt)
  })

for (const [name, tail] of [
  ['beyond the size', SIZE + 1],
  ['before what was written', 4],
  ['before the head', -1],
] as const)
  t.test(`a tail ${name} is not believed`, async t => {
    const ring = new SendRing(region, RECORD_NUMBER)
    region.words[word(RECORD.tx_tail)] = 0
    ring.place(PLACE, LOG2, 0, 0, false)
    region.words[word(RECORD.tx_tail)] = 5
    t.equal(ring.length, 5)
    region.words[word(RECORD.tx_tail)] = tail
    t.equal(ring.length, 5)
    t.ok(ring.corrupt)
  })

t.test('a program that scribbles never makes a ring reach outside its place (seed 5)', async t => {
  const next = random(5)
  const ring = receiveRing(0)
  const out = new SendRing(region, RECORD_NUMBER)
  out.place(OTHER, LOG2, 0, 0, false)
  const guard = region.bytes.slice(PLACE + SIZE, OTHER)
  let wild = 0
  for (let i = 0; i < 20_000; i++) {
    region.words[word(RECORD.rx_head)] = next() | 0
    region.words[word(RECORD.tx_tail)] = next() | 0
    region.words[word(RECORD.rx_geom)] = next() | 0
    region.words[word(RECORD.tx_head)] = next() | 0
    if (ring.window > SIZE || out.length > SIZE || out.room > SIZE) wild++
    const n = Math.min(ring.window, 50)
    ring.writeAt(0, bytes(n), 0, n)
    ring.publish(n)
  }
  t.equal(wild, 0)
  t.same(region.bytes.slice(PLACE + SIZE, OTHER), guard)
})
