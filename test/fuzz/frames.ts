import t from 'tap'

import { fuzzStack, fuzzSwitch } from '../helpers/frame-fuzz.ts'

/** Others each time, to be given again: `SEED=7 make fuzz`. FRAMES says how many, 10 million unless given. */
const seed = Number(process.env.SEED ?? Date.now() % 1e9)
const frames = Number(process.env.FRAMES ?? 10_000_000)
const ROUND = 200_000
/** Garbage that is not collected yet, bytes. What grows with the rounds is more after some of them. */
const SLACK = 256 << 20

t.setTimeout(4 * 3_600_000)

t.test(
  `${frames} frames that no good station sends, into stacks, seeds from ${seed} on`,
  async t => {
    let first = 0
    for (let round = 0; round * ROUND < frames; round++) {
      const count = Math.min(ROUND, frames - round * ROUND)
      t.ok(fuzzStack(seed + round, count) > 60, `seed ${seed + round}: dropped for many reasons`)
      const { heapUsed, external, arrayBuffers } = process.memoryUsage()
      const used = heapUsed + external + arrayBuffers
      if (round === 2) first = used
      else if (round > 2) t.ok(used < first + SLACK, `${used >> 20} MB are in use`)
    }
  },
)

t.test(`200,000 into a switch, seed ${seed + 1}`, async t => {
  t.ok(fuzzSwitch(seed + 1, 200_000).malformed > 1000)
})
