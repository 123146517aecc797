import { constants } from 'node:os'
import t from 'tap'
import * as errno from '../../src/base/errno.ts'

t.test('errno.ts has the numbers of this Linux', async t => {
  const table: Record<string, unknown> = { ...errno }
  let compared = 0
  for (const [name, value] of Object.entries(constants.errno)) {
    if (!(name in table)) continue
    t.equal(table[name], value, name)
    compared++
  }
  t.ok(compared > 50, `${compared} numbers compared`)
})

t.test('errnoName() names positive and negative numbers, and says so when it cannot', async t => {
  t.equal(errno.errnoName(errno.ECONNREFUSED), 'ECONNREFUSED')
  t.equal(errno.errnoName(-errno.ETIMEDOUT), 'ETIMEDOUT')
  t.equal(errno.errnoName(-4711), 'errno 4711')
})
