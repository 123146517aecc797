import t from 'tap'

import { fuzzParser, parsers } from '../helpers/parser-fuzz.ts'

/** Others each time, to be given again: `SEED=7 make fuzz`. */
const seed = Number(process.env.SEED ?? Date.now() % 1e9)

for (const name of Object.keys(parsers))
  t.test(`a million damaged messages: ${name}, seed ${seed}`, async t => {
    t.ok(fuzzParser(name, seed, 1_000_000) > 1000, 'and some are messages all the same')
  })
