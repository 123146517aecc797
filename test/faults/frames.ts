import t from 'tap'

import { fuzzStack, fuzzSwitch } from '../helpers/frame-fuzz.ts'

for (const seed of [1, 2])
  t.test(`100,000 frames that no good station sends, into a stack, seed ${seed}`, async t => {
    t.ok(fuzzStack(seed, 100_000) > 60, 'dropped for many reasons')
  })

t.test('20,000 into a switch, seed 3', async t => {
  const { malformed, spoofed } = fuzzSwitch(3, 20_000)
  t.ok(malformed > 100, `${malformed} malformed`)
  t.ok(spoofed > 100, `${spoofed} spoofed`)
})
