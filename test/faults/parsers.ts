import t from 'tap'

import { fuzzParser, parsers } from '../helpers/parser-fuzz.ts'

for (const name of Object.keys(parsers))
  t.test(`20,000 damaged messages: ${name}, seed 5`, async t => {
    t.ok(fuzzParser(name, 5, 20_000) > 100, 'and some are messages all the same')
  })
