import t from 'tap'
import { CHUNK_MAX_LOG2, CHUNK_MIN_LOG2, Chunks } from '../../src/shm/chunks.ts'
import { ABI_CHUNKS_OFFSET, ABI_REGION_SIZE } from '../../src/shm/layout.ts'
import { random } from '../helpers/random.ts'

const CAPACITY = ABI_REGION_SIZE - ABI_CHUNKS_OFFSET

t.test(
  'alloc() gives aligned chunks that do not overlap, free() takes them back (seed 1)',
  async t => {
    const chunks = new Chunks()
    const draw = random(1)
    const next = () => draw() / 2 ** 32
    const live = new Map<number, number>()
    let bad = 0
    for (let i = 0; i < 20_000; i++) {
      if (next() < 0.5 || live.size === 0) {
        const log2 = CHUNK_MIN_LOG2 + Math.floor(next() * (CHUNK_MAX_LOG2 - CHUNK_MIN_LOG2 + 1))
        const offset = chunks.alloc(log2)
        if (offset < 0) continue
        if (offset % 2 ** log2 !== 0 || offset < ABI_CHUNKS_OFFSET) bad++
        if (offset + 2 ** log2 > ABI_REGION_SIZE || live.has(offset)) bad++
        live.set(offset, log2)
      } else {
        const offset = [...live.keys()][Math.floor(next() * live.size)]!
        chunks.free(offset)
        live.delete(offset)
      }
    }
    const sorted = [...live].sort((a, b) => a[0] - b[0])
    for (let i = 1; i < sorted.length; i++)
      if (sorted[i - 1]![0] + 2 ** sorted[i - 1]![1] > sorted[i]![0]) bad++
    t.equal(bad, 0)
    t.equal(
      chunks.used,
      sorted.reduce((sum, [, log2]) => sum + 2 ** log2, 0),
    )

    const again = new Chunks()
    t.ok(
      sorted.every(([offset, log2]) => again.claim(offset, log2)),
      'claim() rebuilds the same',
    )
    t.equal(again.used, chunks.used)
    t.notOk(again.claim(sorted[0]![0], sorted[0]![1]), 'a chunk is claimed once')
    for (const [offset] of sorted) again.free(offset)
    t.equal(again.used, 0)
    let all = 0
    while (again.alloc(CHUNK_MAX_LOG2) >= 0) all += 2 ** CHUNK_MAX_LOG2
    t.equal(all, CAPACITY, 'everything has merged again')
  },
)

t.test('alloc() gives -1 when the region is full', async t => {
  const chunks = new Chunks()
  while (chunks.alloc(CHUNK_MAX_LOG2) >= 0);
  t.equal(chunks.used, CAPACITY)
  t.equal(chunks.alloc(CHUNK_MIN_LOG2), -1)
})

t.test('free() of a chunk that is not allocated throws', async t => {
  const chunks = new Chunks()
  const offset = chunks.alloc(16)
  chunks.free(offset)
  t.throws(() => chunks.free(offset), /not allocated/)
})

t.test('trim() punches what is free, once, and nothing that is in use again', async t => {
  const chunks = new Chunks()
  const punched: number[] = []
  const a = chunks.alloc(16)
  const b = chunks.alloc(16)
  chunks.free(a)
  chunks.free(b)
  const again = chunks.alloc(16)
  chunks.trim(offset => punched.push(offset))
  t.same(
    punched,
    [a, b].filter(x => x !== again),
  )
  chunks.trim(offset => punched.push(offset))
  t.equal(punched.length, 1)
  for (let i = 0; i < 3; i++) chunks.free(chunks.alloc(20))
  chunks.trim(offset => punched.push(offset))
  t.equal(punched.length, 2, 'freed three times')
})
