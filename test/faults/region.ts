import t from 'tap'

import { scribble } from '../helpers/scribble.ts'

for (const seed of [1, 2])
  t.test(`a program scribbles over its region for 1.5 s, seed ${seed}`, t =>
    scribble(t, seed, 1500, 200),
  )
