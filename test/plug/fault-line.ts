import t from 'tap'

import { u32, writeU32 } from '../../src/base/bytes.ts'
import { FaultLine } from '../../src/plug/fault-line.ts'
import { NO_FAULT, type FaultDirection } from '../../src/plug/fault-parameters.ts'

/** A line, and what came out of it. */
class Bench {
  readonly line: FaultLine
  /** Tag and time of arrival. */
  readonly arrived: [number, number][] = []
  readonly bytes: Uint8Array[] = []
  /** Frames are wanted, not only their tags. */
  keep = false

  constructor(faults: Partial<FaultDirection>, seed = 1) {
    this.line = new FaultLine({ ...NO_FAULT, queue: Infinity, ...faults }, seed, 0)
  }

  /** Sends frames with these times, tagged 0, 1, 2…; takes each when it is due. */
  run(times: readonly number[], length = 100): this {
    const frame = new Uint8Array(length)
    for (const [i, now] of times.entries()) {
      this.take(now)
      writeU32(frame, 0, i)
      this.line.enter(frame, 0, length, now)
    }
    this.take(Infinity)
    return this
  }

  take(now: number): void {
    const { store } = this.line
    for (let next = store.next; next <= now && next < Infinity; next = store.next) {
      store.peek(next)
      this.arrived.push([u32(store.bytes, store.at), next])
      if (this.keep) this.bytes.push(store.bytes.slice(store.at, store.at + store.length))
      store.release()
    }
  }

  get tags(): number[] {
    return this.arrived.map(([tag]) => tag)
  }
}

const every = (ms: number, n: number) => Array.from({ length: n }, (_, i) => i * ms)

for (const [name, faults, times, length, arrived] of [
  [
    'a perfect link',
    {},
    [0, 1, 1],
    100,
    [
      [0, 0],
      [1, 1],
      [2, 1],
    ],
  ],
  [
    'a delay',
    { delay: 20 },
    [0, 1, 5],
    100,
    [
      [0, 20],
      [1, 21],
      [2, 25],
    ],
  ],
  [
    'a rate: one after the other',
    { rate: 800 },
    [0, 0, 10],
    100,
    [
      [0, 1],
      [1, 2],
      [2, 11],
    ],
  ],
  [
    'a rate and a delay',
    { rate: 800, delay: 5 },
    [0, 0, 10],
    100,
    [
      [0, 6],
      [1, 7],
      [2, 16],
    ],
  ],
  [
    'a queue of two frames, and the one that is being sent',
    { rate: 800, queue: 200 },
    [0, 0, 0, 0, 0, 2.5, 2.5],
    100,
    [
      [0, 1],
      [1, 2],
      [2, 3],
      [5, 4],
      [6, 5],
    ],
  ],
  [
    'no queue',
    { rate: 800, queue: 0 },
    [0, 0, 1],
    100,
    [
      [0, 1],
      [2, 2],
    ],
  ],
  [
    'the sender’s interface',
    { speed: 800 },
    [0, 0, 0],
    100,
    [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
  ],
  [
    'interface and link',
    { speed: 1600, rate: 800 },
    [0, 0],
    100,
    [
      [0, 1.5],
      [1, 2.5],
    ],
  ],
  ['an mtu that it just fits', { mtu: 86 }, [0], 100, [[0, 0]]],
  ['an mtu that is smaller', { mtu: 85 }, [0], 100, []],
  ['loss of everything', { loss: 1 }, [0, 1], 100, []],
  [
    'all twice',
    { dup: 1, delay: 3 },
    [0, 1],
    100,
    [
      [0, 3],
      [0, 3],
      [1, 4],
      [1, 4],
    ],
  ],
  [
    'all ahead of the delay',
    { reorder: 1, delay: 3 },
    [0, 1],
    100,
    [
      [0, 0],
      [1, 1],
    ],
  ],
] as const)
  // prettier-ignore
  t.test(`FaultLine: ${name}`, async t =>
    t.same(new Bench(faults).run(times, length).arrived, arrived),
  )

for (const normal of [false, true])
  t.test(
    `seed 1: jitter, ${normal ? 'normal' : 'uniform'}: mean, deviation, bounds, order kept`,
    async t => {
      const n = 50_000
      const bench = new Bench({ delay: 100, jitter: 50, normal }).run(every(500, n))
      const delays = bench.arrived.map(([tag, time]) => time - 500 * tag)
      const mean = delays.reduce((a, b) => a + b) / n
      const deviation = Math.sqrt(delays.reduce((sum, d) => sum + (d - mean) ** 2, 0) / n)
      t.ok(Math.abs(mean - 100) < 0.6, `mean ${mean}`)
      t.ok(Math.abs(deviation - (normal ? 50 / 3 : 50 / Math.sqrt(3))) < 0.5, `${deviation}`)
      const outside = delays.filter(d => d < 50 || d > 150).length
      t.ok(normal ? outside < 0.004 * n : outside === 0, `${outside} outside`)
      t.equal(bench.tags.join(), every(1, n).join())
    },
  )

t.test('seed 1: jitter with frames close together: order is kept, unless nofifo', async t => {
  const times = every(1, 2000)
  t.same(new Bench({ delay: 100, jitter: 50 }).run(times).tags, times)
  const { tags } = new Bench({ delay: 100, jitter: 50, fifo: false }).run(times)
  t.not(tags.join(), times.join())
  t.same([...tags].sort((a, b) => a - b), times, 'nothing is lost') // prettier-ignore
})

t.test(
  'seed 1: a jitter larger than the delay never brings a frame before it was sent',
  async t => {
    const bench = new Bench({ delay: 1, jitter: 50, fifo: false }).run(every(1000, 1000))
    t.ok(bench.arrived.every(([tag, time]) => time >= 1000 * tag))
  },
)

for (const loss of [0.001, 0.01, 0.05, 0.5])
  t.test(`seed 1: ${100 * loss} % loss`, async t => {
    const n = 200_000
    const { line } = new Bench({ loss }).run(every(1, n))
    const tolerance = 4 * Math.sqrt(n * loss * (1 - loss))
    t.ok(Math.abs(line.lost - n * loss) < tolerance, `${line.lost} of ${n}`)
  })

for (const [loss, lostburst] of [
  [0.01, 5],
  [0.1, 3],
  [0.5, 10],
  [0.5, 1],
] as const)
  // prettier-ignore
  t.test(`seed 1: ${100 * loss} % loss in bursts of ${lostburst}`, async t => {
    const n = 400_000
    const bench = new Bench({ loss, lostburst }).run(every(1, n))
    const share = bench.line.lost / n
    t.ok(Math.abs(share / loss - 1) < 0.06, `${share}`)
    let bursts = 0
    let last = -1
    for (const tag of [...bench.tags, n]) {
      if (tag > last + 1) bursts++
      last = tag
    }
    const mean = bench.line.lost / bursts
    t.ok(Math.abs(mean / lostburst - 1) < 0.06, `bursts of ${mean}`)
  })

t.test('seed 1: duplicates and frames ahead of the delay, as often as said', async t => {
  const n = 100_000
  const bench = new Bench({ dup: 0.01, reorder: 0.25, delay: 10 }).run(every(1, n))
  t.ok(Math.abs(bench.line.duplicated - 1000) < 130, `${bench.line.duplicated}`)
  t.ok(Math.abs(bench.line.reordered / (n + bench.line.duplicated) - 0.25) < 0.006)
  t.equal(bench.arrived.length, n + bench.line.duplicated)
  const ahead = bench.arrived.filter(([tag, time]) => time === tag).length
  t.equal(ahead, bench.line.reordered)
})

/** Bits that are not 0 behind the tag. */
function ones(bytes: Uint8Array): number {
  let count = 0
  for (let i = 4; i < bytes.length; i++)
    for (let byte = bytes[i]; byte !== 0; byte &= byte - 1) count++
  return count
}

/** Like new Bench(faults).run(…), frames kept. */
function keeping(
  faults: Partial<FaultDirection>,
  times: readonly number[],
  length = 100,
  seed = 1,
) {
  const bench = new Bench(faults, seed)
  bench.keep = true
  return bench.run(times, length)
}

t.test('seed 1: corrupt turns one bit of a frame over, anywhere in it', async t => {
  const n = 20_000
  const length = 64
  const bench = keeping({ corrupt: 0.1 }, every(1, n), length)
  t.ok(Math.abs(bench.line.damaged - 0.1 * n) < 180, `${bench.line.damaged}`)
  const hits = new Set<number>()
  for (const bytes of bench.bytes) {
    if (ones(bytes) > 1) t.fail('two bits')
    bytes.subarray(4).forEach((byte, i) => byte !== 0 && hits.add(8 * i + Math.log2(byte)))
  }
  t.ok(hits.size > 450, `${hits.size} of ${8 * (length - 4)} places`)
})

t.test('seed 1: damage, 800 bits of a megabyte', async t => {
  const n = 20_000
  const { line, bytes } = keeping({ damage: 800 / 2 ** 23 }, every(1, n), 1000)
  const want = (800 * n * 1000) / 2 ** 20
  t.ok(Math.abs(line.damaged - want) < 4 * Math.sqrt(want), `${line.damaged}, ${want} wanted`)
  const seen = bytes.reduce((sum, frame) => sum + ones(frame), 0)
  t.ok(line.damaged - seen < 0.02 * want, `${seen} seen behind the tag`)
})

t.test('the same seed gives the same fate, another seed another', async t => {
  const faults = { delay: 10, jitter: 5, loss: 0.1, lostburst: 2, dup: 0.1, reorder: 0.1, corrupt: 0.1, fifo: false, rate: 1000 } // prettier-ignore
  const run = (seed: number) => {
    const bench = keeping(faults, every(1, 3000), 100, seed)
    return bench.arrived.join() + bench.bytes.map(bytes => bytes.join()).join()
  }
  t.equal(run(7), run(7))
  t.not(run(7), run(8))
})

t.test('seed 7: which frames are lost does not depend on the other faults', async t => {
  const left = (faults: Partial<FaultDirection>) =>
    new Set(new Bench({ loss: 0.3, lostburst: 3, ...faults }, 7).run(every(1, 1000)).tags)
  const alone = left({})
  t.ok(alone.size < 1000)
  t.same(left({ dup: 0.5, delay: 10, jitter: 5, reorder: 0.2, fifo: false }), alone)
})

t.test('a disowned frame: what was damaged belongs to no row of segments', async t => {
  const line = new FaultLine({ ...NO_FAULT, corrupt: 1 }, 1, 0)
  line.enter(new Uint8Array(60), 0, 60, 0, 5, 3)
  t.ok(line.store.peek(0))
  t.equal(line.store.run, 0)
  const sound = new FaultLine(NO_FAULT, 1, 0)
  sound.enter(new Uint8Array(60), 0, 60, 0, 5, 3)
  sound.store.peek(0)
  t.same([sound.store.run, sound.store.index], [5, 3])
})
