import t from 'tap'
import { RateLimit } from '../../../src/stack/net/rate-limit.ts'
import { random } from '../../helpers/random.ts'

/** How many of 1,000 at once are let through. */
const burst = (limit: RateLimit, now: number) =>
  Array.from({ length: 1000 }, () => limit.allows(now)).filter(allowed => allowed).length

t.test('RateLimit lets 48 to 50 through at once, and one more each millisecond', async t => {
  const limit = new RateLimit(random(1))
  const first = burst(limit, 0)
  t.ok(first >= 48 && first <= 50, `${first}`)
  let count = 0
  for (let now = 10; now <= 1000; now += 10) count += burst(limit, now)
  t.ok(count > 700 && count <= 1000, `${count} in a second`)
})

t.test('RateLimit: how many are let through differs, so that nobody can count them', async t => {
  const limit = new RateLimit(random(2))
  const counts = new Set(Array.from({ length: 50 }, (_, i) => burst(limit, 1000 * i)))
  t.ok(counts.size > 1)
})
