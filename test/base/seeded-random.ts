import t from 'tap'

import { SeededRandom } from '../../src/base/seeded-random.ts'

t.test('the same seed and stream give the same numbers, others do not', async t => {
  const words = (seed: number, stream = 0) => {
    const random = new SeededRandom(seed, stream)
    return Array.from({ length: 100 }, () => random.word())
  }
  t.same(words(7), words(7))
  const all = [words(7), words(8), words(7, 1), words(7 + 2 ** 32)]
  t.equal(new Set(all.flat()).size, 400, 'no word in common')
})

t.test('seed 1: fraction() is uniform, normal() is normal, failures() is geometric', async t => {
  const random = new SeededRandom(1)
  const n = 200_000
  const buckets = new Array<number>(10).fill(0)
  for (let i = 0; i < n; i++) buckets[Math.floor(10 * random.fraction())]++
  for (const count of buckets) t.ok(Math.abs(count - n / 10) < 600, `${count} of ${n}`)
  let [sum, squares, beyond] = [0, 0, 0]
  for (let i = 0; i < n; i++) {
    const x = random.normal()
    sum += x
    squares += x * x
    if (Math.abs(x) > 3) beyond++
  }
  t.ok(Math.abs(sum / n) < 0.01, `mean ${sum / n}`)
  t.ok(Math.abs(squares / n - 1) < 0.02, `variance ${squares / n}`)
  t.ok(Math.abs(beyond / n - 0.0027) < 0.0005, `${beyond} beyond three deviations`)
  let failures = 0
  for (let i = 0; i < n; i++) failures += random.failures(0.01)
  t.ok(Math.abs(failures / n - 99) < 1.5, `${failures / n} failures in the mean`)
  t.equal(random.failures(0), Infinity)
  t.equal(random.failures(1), 0)
})
