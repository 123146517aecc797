import t from 'tap'
import { LOOPBACK_MTU, Loopback } from '../../../src/stack/link/loopback.ts'
import { random } from '../../helpers/random.ts'

t.test('Loopback gives datagrams back in order, with length and family', async t => {
  const loopback = new Loopback()
  t.ok(loopback.isEmpty)
  t.equal(loopback.peek(), -1)
  for (const [text, family] of [
    ['one', 4],
    ['', 6],
    ['three', 6],
  ] as const) {
    const at = loopback.open(100)
    loopback.bytes.set(Buffer.from(text), at)
    loopback.close(text.length, family)
  }
  const seen = []
  for (let at = loopback.peek(); at >= 0; at = loopback.peek()) {
    const { length, family } = loopback
    seen.push([Buffer.from(loopback.bytes.subarray(at, at + length)).toString(), family])
    loopback.release()
  }
  t.same(seen, [
    ['one', 4],
    ['', 6],
    ['three', 6],
  ])
  t.ok(loopback.isEmpty)
})

t.test('Loopback.open() says -1 when full, and what was taken out makes room', async t => {
  const loopback = new Loopback()
  let count = 0
  while (loopback.open(LOOPBACK_MTU) >= 0) {
    loopback.close(LOOPBACK_MTU, 4)
    count++
  }
  t.ok(count >= 14, `${count} of the largest datagrams`)
  loopback.peek()
  loopback.release()
  loopback.peek()
  loopback.release()
  t.ok(loopback.open(LOOPBACK_MTU) >= 0)
})

t.test('Loopback.open() without close() leaves nothing, wherever the end is', async t => {
  const loopback = new Loopback()
  for (let i = 0; i < 100; i++) {
    t.ok(loopback.open(60_000) >= 0)
    t.equal(loopback.peek(), -1)
    t.ok(loopback.isEmpty)
    loopback.open(30_000)
    loopback.close(30_000, 4)
    loopback.peek()
    t.equal(loopback.length, 30_000)
    loopback.release()
  }
})

t.test('Loopback keeps every byte over 20,000 random datagrams, seed 11', async t => {
  const next = random(11)
  const loopback = new Loopback()
  const queued: { length: number; mark: number }[] = []
  let wrong = 0
  let full = 0
  for (let i = 0; i < 20_000; i++) {
    if (next() % 5 < 3) {
      const length = next() % 3 === 0 ? LOOPBACK_MTU - (next() % 9) : next() % 2000
      const at = loopback.open(length)
      if (at < 0) {
        full++
        continue
      }
      const mark = next() & 0xff
      if (length > 0) loopback.bytes[at] = loopback.bytes[at + length - 1] = mark
      loopback.close(length, 4)
      queued.push({ length, mark })
    } else {
      const at = loopback.peek()
      const first = queued.shift()
      if (first === undefined) {
        if (at >= 0) wrong++
        continue
      }
      const { bytes, length } = loopback
      if (length !== first.length) wrong++
      if (length > 0 && (bytes[at] !== first.mark || bytes[at + length - 1] !== first.mark)) wrong++
      loopback.release()
    }
  }
  t.equal(wrong, 0)
  t.ok(full > 0, `full ${full} times`)
})
