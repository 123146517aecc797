import t from 'tap'

import { FrameStore } from '../../src/plug/frame-store.ts'
import { random } from '../helpers/random.ts'

const frame = (length: number, tag: number) => new Uint8Array(length).fill(tag)

t.test('frames come out when they are due, those of one time in order', async t => {
  const store = new FrameStore()
  t.equal(store.next, Infinity)
  for (const [tag, due] of [
    [1, 5],
    [2, 3],
    [3, 5],
    [4, 3],
    [5, 9],
  ] as const)
    // prettier-ignore
    t.ok(store.put(frame(60, tag), 0, 60, due, tag, 10 * tag) >= 0)
  t.equal(store.next, 3)
  t.equal(store.size, 5)
  const out: number[] = []
  for (const now of [2.9, 3, 8]) {
    while (store.peek(now)) {
      out.push(store.bytes[store.at])
      t.same([store.length, store.run, store.index], [60, out.at(-1), 10 * (out.at(-1) ?? 0)])
      store.release()
    }
    out.push(0)
  }
  t.same(out, [0, 2, 4, 0, 1, 3, 0])
  t.equal(store.next, 9)
})

t.test(
  'seed 5: 100,000 frames of all sizes, in and out at random: each comes out as it was',
  async t => {
    const next = random(5)
    const store = new FrameStore()
    const bytes = new Uint8Array(70_000)
    const expected: { due: number; order: number; tag: number; length: number }[] = []
    for (let order = 0; order < 100_000; order++) {
      const length = 14 + (next() % 50 === 0 ? next() % 65_535 : next() % 1500)
      const due = next() % 1000
      const tag = next() & 0xff
      bytes[7] = bytes[7 + length - 1] = tag
      if (store.put(bytes, 7, length, due, 0, 0) < 0) t.fail('no room')
      expected.push({ due, order, tag, length })
      if (expected.length < 200) continue
      expected.sort((a, b) => a.due - b.due || a.order - b.order)
      for (const want of expected.splice(0, 150)) {
        if (!store.peek(want.due)) t.fail('nothing is due')
        const got = [store.length, store.bytes[store.at], store.bytes[store.at + store.length - 1]]
        if (got.join() !== [want.length, want.tag, want.tag].join()) t.fail(got.join())
        store.release()
      }
    }
    t.equal(store.size, expected.length)
    t.equal(store.overrun, 0)
  },
)

t.test('memory has an end, and is used again', async t => {
  const store = new FrameStore()
  const bytes = frame(65_549, 1)
  let stored = 0
  for (let round = 0; round < 2; round++) {
    let n = 0
    while (store.put(bytes, 0, bytes.length, n, 0, 0) >= 0) n++
    t.ok(n > 900 && n < 1025, `${n} frames of 64 KB`)
    if (round > 0) t.equal(n, stored)
    stored = n
    while (store.peek(Infinity)) store.release()
  }
  t.equal(store.overrun, 2)
  let small = 0
  while (store.put(bytes, 0, 14, 0, 0, 0) >= 0) small++
  t.equal(small, 131_072, 'nor are there more frames than that')
})
