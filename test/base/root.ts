import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

import { inRoot, root } from '../../src/base/root.ts'

t.test('root is where package.json is', async t => {
  t.ok(existsSync(join(root, 'package.json')))
  t.equal(inRoot('src/base/root.ts'), join(root, 'src/base/root.ts'))
  t.ok(existsSync(inRoot('src/base/root.ts')))
})
