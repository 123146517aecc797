import t from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import { parseNetwork } from '../../src/plug/network.ts'

const runtime = () => '/run/user/7/ioth'

t.test('parseNetwork(): names, paths', async t => {
  for (const [vnl, name, directory, own] of [
    ['switch://default', 'default', '/run/user/7/ioth/net/default', true],
    ['switch://', 'default', '/run/user/7/ioth/net/default', true],
    ['switch://lab-2.b_c', 'lab-2.b_c', '/run/user/7/ioth/net/lab-2.b_c', true],
    ['switch:///srv/net', '/srv/net', '/srv/net', false],
    ['/srv/net/', '/srv/net/', '/srv/net', false],
    ['./net', './net', `${process.cwd()}/net`, false],
  ] as const)
    t.same(parseNetwork(vnl, runtime), { name, directory, own }, vnl)
})

t.test('parseNetwork(): one sentence for what it is not', async t => {
  for (const [vnl, message] of [
    ['tap://x', 'Cannot open plug "tap://x": a switch is wanted (switch://NAME, or a directory)'],
    ['switch://x{null://}', /a switch wraps no other plug/],
    ['switch://x[port=3]', /a switch has no option "port"/],
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
      told(() => parseNetwork(vnl, runtime)),
      message,
      vnl,
    )
  }
})

t.test('parseNetwork() asks for the runtime directory only when it needs it', async t => {
  const never = () => t.fail('asked') as never
  t.equal(parseNetwork('/srv/net', never).directory, '/srv/net')
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
