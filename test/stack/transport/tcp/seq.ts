import t from 'tap'
import { add, after, before, diff, latest, seq } from '../../../../src/stack/transport/tcp/seq.ts'
import { acceptable } from '../../../../src/stack/transport/tcp/arrives.ts'

for (const base of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, -1, 0x7ffffff0])
  t.test(`sequence numbers around ${base}`, async t => {
    const a = seq(base)
    const b = add(a, 100)
    t.equal(diff(b, a), 100)
    t.equal(diff(a, b), -100)
    t.ok(before(a, b) && !before(b, a) && !before(a, a))
    t.ok(after(b, a) && !after(a, b) && !after(a, a))
    t.equal(latest(a, b), b)
    t.equal(latest(b, a), b)
    t.equal(add(b, -100), a, 'equal numbers are identical')
    t.equal(seq(base + 2 ** 32), a)
  })

// RFC 9293 section 3.4, the four cases; RCV.NXT 1000 from `base`.
for (const base of [0, 0xfffffff0, 0x7ffffff0])
  for (const [name, from, len, wnd, want] of [
    ['no text, no window, at RCV.NXT', 0, 0, 0, true],
    ['no text, no window, before', -1, 0, 0, false],
    ['no text, no window, behind', 1, 0, 0, false],
    ['no text, at the left edge', 0, 0, 10, true],
    ['no text, the last number', 9, 0, 10, true],
    ['no text, at the right edge', 10, 0, 10, false],
    ['no text, before the left edge', -1, 0, 10, false],
    ['text, no window', 0, 1, 0, false],
    ['text at the left edge', 0, 5, 10, true],
    ['text across the left edge', -5, 6, 10, true],
    ['text up to the left edge', -5, 5, 10, false],
    ['text across the right edge', 9, 5, 10, true],
    ['text behind the right edge', 10, 5, 10, false],
  ] as const)
    t.test(`acceptable() at ${base}, ${name}`, async t => {
      const nxt = seq(base)
      t.equal(acceptable({ seq: add(nxt, from), len }, nxt, wnd), want)
    })
