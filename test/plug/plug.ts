import t from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import { parseVnl } from '../../src/plug/plug.ts'

const runtime = () => '/run/user/7/ioth'

t.test('parseVnl(): names, paths', async t => {
  for (const [vnl, name, directory, own] of [
    ['switch://default', 'default', '/run/user/7/ioth/net/default', true],
    ['switch://', 'default', '/run/user/7/ioth/net/default', true],
    ['switch://lab-2.b_c', 'lab-2.b_c', '/run/user/7/ioth/net/lab-2.b_c', true],
    ['switch:///srv/net', '/srv/net', '/srv/net', false],
    ['/srv/net/', '/srv/net/', '/srv/net', false],
    ['./net', './net', `${process.cwd()}/net`, false],
  ] as const)
    t.same(parseVnl(vnl, runtime), { name, directory, own }, vnl)
})

t.test('parseVnl(): one sentence for what it is not', async t => {
  for (const [vnl, message] of [
    ['tapp://x', 'Cannot open network "tapp://x": no such plug (switch)'],
    ['lab', /"lab": neither a VNL nor a path \(switch:\/\/NAME/],
    ['', /neither/],
    ['switch://..', /a name has up to 64/],
    ['switch://.hidden', /does not begin with "\."/],
    ['switch://a/b', /a name has/],
    ['switch://a b', /a name has/],
    [`switch://${'x'.repeat(65)}`, /a name has/],
    ['switch://a\nb', /a name has/],
  ] as const) {
    t.match(
      told(() => parseVnl(vnl, runtime)),
      message,
      vnl,
    )
  }
})

t.test('parseVnl() asks for the runtime directory only when it needs it', async t => {
  const never = () => t.fail('asked') as never
  t.equal(parseVnl('/srv/net', never).directory, '/srv/net')
})

/** The sentence that the user is told. */
function told(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'nothing'
}
