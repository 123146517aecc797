import t from 'tap'
import { Demux } from '../../../src/stack/transport/demux.ts'
import { Address } from '../../../src/wire/address.ts'
import { random } from '../../helpers/clock.ts'
import { FakePacket } from '../../helpers/segment.ts'

const RECORD = 12
const make = (capacity: number) => {
  const words = new Int32Array(capacity * RECORD)
  const store = { words, recordWords: RECORD, local: 0, remote: 4, localPort: 8, remotePort: 9 }
  const demux = new Demux(store, capacity, 0x1234, 0x5678)
  const write = (slot: number, l: Address, lp: number, r: Address, rp: number) => {
    for (let i = 0; i < 4; i++) {
      words[slot * RECORD + i] = l.word(i)
      words[slot * RECORD + 4 + i] = r.word(i)
    }
    words[slot * RECORD + 8] = lp
    words[slot * RECORD + 9] = rp
  }
  const find = (l: Address, lp: number, r: Address, rp: number) =>
    demux.find(new FakePacket().set(new Uint8Array(0), r, l), rp, lp)
  return { demux, write, find }
}
const A = Address.v4(0x0a000001)
const B = Address.v4(0x0a000002)
const V6 = new Address(0x20010db8, 0, 0, 0x0a000001)

t.test('Demux.find() compares the whole tuple', async t => {
  const { demux, write, find } = make(8)
  write(3, A, 80, B, 1000)
  demux.add(3)
  for (let again = 0; again < 2; again++) {
    t.equal(find(A, 80, B, 1000), 3)
    t.equal(find(B, 80, A, 1000), -1)
    t.equal(find(A, 1000, B, 80), -1)
    t.equal(find(A, 80, B, 1001), -1)
    t.equal(find(A, 81, B, 1000), -1)
    t.equal(find(V6, 80, new Address(0x20010db8, 0, 0, 0x0a000002), 1000), -1)
  }
})

t.test('Demux, IPv6: every word counts', async t => {
  const { demux, write, find } = make(8)
  const r = new Address(1, 2, 3, 4)
  write(0, V6, 80, r, 1000)
  demux.add(0)
  t.equal(find(V6, 80, r, 1000), 0)
  for (const other of [
    new Address(9, 2, 3, 4),
    new Address(1, 9, 3, 4),
    new Address(1, 2, 9, 4),
    new Address(1, 2, 3, 9),
  ])
    t.equal(find(V6, 80, other, 1000), -1)
})

t.test('Demux.find() after remove(): not from memory', async t => {
  const { demux, write, find } = make(8)
  write(1, A, 80, B, 1)
  demux.add(1)
  t.equal(find(A, 80, B, 1), 1)
  demux.remove(1)
  t.equal(find(A, 80, B, 1), -1)
  demux.remove(1)
})

t.test('Demux.findLike() finds another record of the same tuple', async t => {
  const { demux, write } = make(8)
  write(1, A, 80, B, 1)
  write(2, A, 80, B, 1)
  t.equal(demux.findLike(2), -1)
  demux.add(1)
  t.equal(demux.findLike(2), 1)
})

t.test(
  'Demux, 60,000 additions, removals and look-ups like a Map, full at times, seed 5',
  async t => {
    const capacity = 64
    const { demux, write, find } = make(capacity)
    const next = random(5)
    const ports = new Map<number, number>()
    for (let i = 0; i < 60_000; i++) {
      const slot = Math.floor(next() * capacity)
      const port = slot * 16 + Math.floor(next() * 16)
      const held = ports.get(slot)
      if (held === undefined) {
        write(slot, A, 80, B, port)
        demux.add(slot)
        ports.set(slot, port)
      } else if (next() < 0.3) {
        demux.remove(slot)
        ports.delete(slot)
      }
      const want = ports.get(slot)
      if (want !== undefined && find(A, 80, B, want) !== slot) return t.fail(`lost ${slot} at ${i}`)
      const absent = find(A, 80, B, 16 * capacity + port)
      if (absent !== -1) return t.fail(`found what is not there: ${absent} at ${i}`)
    }
    t.ok(ports.size > capacity / 2)
  },
)
