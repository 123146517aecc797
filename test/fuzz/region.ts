import t from 'tap'

import { scribble } from '../helpers/scribble.ts'

/** Another one each time, to be given again: `SEED=7 make fuzz`. */
const seed = Number(process.env.SEED ?? Date.now() % 1e9)

for (let i = 0; i < 5; i++)
  t.test(`a program scribbles over its region for 5 s, seed ${seed + i}`, t =>
    scribble(t, seed + i, 5000, 500),
  )
