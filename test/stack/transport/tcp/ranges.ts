import t from 'tap'
import { RANGES } from '../../../../src/stack/transport/tcp/layout.ts'
import * as ranges from '../../../../src/stack/transport/tcp/ranges.ts'
import { add, diff, seq } from '../../../../src/stack/transport/tcp/seq.ts'
import { random } from '../../../helpers/clock.ts'

const LIST = 3
const make = () => new Int32Array(LIST + 1 + 2 * RANGES + 1)
const BASE = seq(0xffffff00)
const at = (n: number) => add(BASE, n)
const show = (w: Int32Array) =>
  Array.from({ length: ranges.count(w, LIST) }, (_, i) => [
    diff(ranges.start(w, LIST, i), BASE),
    diff(ranges.end(w, LIST, i), BASE),
  ])

for (const [name, add1, front] of [
  [
    'apart',
    [
      [10, 20],
      [30, 40],
    ],
    [
      [30, 40],
      [10, 20],
    ],
  ],
  [
    'apart, backwards',
    [
      [30, 40],
      [10, 20],
    ],
    [
      [10, 20],
      [30, 40],
    ],
  ],
  [
    'touching',
    [
      [10, 20],
      [20, 30],
    ],
    [[10, 30]],
  ],
  [
    'touching in front',
    [
      [20, 30],
      [10, 20],
    ],
    [[10, 30]],
  ],
  [
    'inside',
    [
      [10, 40],
      [20, 30],
    ],
    [[10, 40]],
  ],
  [
    'around',
    [
      [20, 30],
      [10, 40],
    ],
    [[10, 40]],
  ],
  [
    'over two',
    [
      [10, 20],
      [30, 40],
      [15, 35],
    ],
    [[10, 40]],
  ],
  [
    'between two',
    [
      [10, 20],
      [30, 40],
      [20, 30],
    ],
    [[10, 40]],
  ],
  [
    'to the second of three',
    [
      [10, 20],
      [30, 40],
      [50, 60],
      [40, 45],
    ],
    [
      [30, 45],
      [50, 60],
      [10, 20],
    ],
  ],
  [
    'across the wrap',
    [
      [250, 260],
      [260, 300],
    ],
    [[250, 300]],
  ],
] as const)
  t.test(`ranges, ${name}`, async t => {
    const w = make()
    for (const [from, to] of add1) ranges.addFront(w, LIST, at(from), at(to))
    t.same(show(w), front)
  })

t.test('trim() cuts, drops and keeps the order', async t => {
  const w = make()
  for (const [from, to] of [
    [50, 60],
    [10, 20],
    [30, 40],
  ])
    ranges.addFront(w, LIST, at(from), at(to))
  ranges.trim(w, LIST, at(35))
  t.same(show(w), [
    [35, 40],
    [50, 60],
  ])
  ranges.trim(w, LIST, at(60))
  t.same(show(w), [])
})

t.test('a full list takes what it can join, and nothing else', async t => {
  const w = make()
  for (let i = 0; i < RANGES; i++) t.ok(ranges.addFront(w, LIST, at(10 * i), at(10 * i + 5)))
  const before = show(w)
  t.notOk(ranges.addFront(w, LIST, at(10 * RANGES), at(10 * RANGES + 5)))
  t.same(show(w), before)
  t.ok(ranges.addFront(w, LIST, at(5), at(10)))
  t.equal(ranges.count(w, LIST), RANGES - 1)
  t.equal(w.at(-1), 0, 'nothing behind the list is touched')
  t.equal(w[LIST - 1], 0)
})

t.test('valid()', async t => {
  const w = make()
  for (const [from, to] of [
    [30, 40],
    [10, 20],
  ])
    ranges.addFront(w, LIST, at(from), at(to))
  t.ok(ranges.valid(w, LIST, at(10), at(40)))
  t.notOk(ranges.valid(w, LIST, at(11), at(40)), 'too low')
  t.notOk(ranges.valid(w, LIST, at(10), at(39)), 'too high')
  for (const [i, value] of [
    [LIST, RANGES + 1],
    [LIST, -1],
    [LIST + 1, at(20)],
    [LIST + 3, at(20)],
    [LIST + 3, at(15)],
  ]) {
    const broken = w.slice()
    broken[i] = value
    t.notOk(ranges.valid(broken, LIST, at(0), at(40)), `${i} = ${value}`)
  }
})

t.test('20,000 random ranges like a set of numbers, seed 6', async t => {
  const next = random(6)
  const w = make()
  const set = new Set<number>()
  for (let i = 0; i < 20_000; i++) {
    const from = Math.floor(next() * 190)
    const to = from + 1 + Math.floor(next() * 6)
    if (next() < 0.02) {
      for (const n of set) if (n < from) set.delete(n)
      ranges.trim(w, LIST, at(from))
    } else {
      ranges.addFront(w, LIST, at(from), at(to))
      for (let n = from; n < to; n++) set.add(n)
    }
    const got = new Set(show(w).flatMap(([x, y]) => Array.from({ length: y - x }, (_, k) => x + k)))
    if (got.size !== set.size || [...got].some(n => !set.has(n))) return t.fail(`at ${i}`)
    if (!ranges.valid(w, LIST, at(0), at(200))) return t.fail(`not valid at ${i}`)
  }
  t.pass()
})
