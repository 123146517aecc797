import t from 'tap'

import { fuzzStack, fuzzSwitch } from '../helpers/frame-fuzz.ts'

/** Another one each time, to be given again: `SEED=7 make fuzz`. */
const seed = Number(process.env.SEED ?? Date.now() % 1e9)

t.test(`200,000 frames that no good station sends, into a stack, seed ${seed}`, async t => {
  t.ok(fuzzStack(seed, 200_000) > 10, 'dropped for many reasons')
})

t.test(`200,000 into a switch, seed ${seed + 1}`, async t => {
  t.ok(fuzzSwitch(seed + 1, 200_000).malformed > 1000)
})
