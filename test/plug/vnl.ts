import t from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import { absoluteVnl, parseVnl } from '../../src/plug/vnl.ts'

/** The VNL without its text, the inner one as a list. */
function parts(text: string): unknown[] {
  const { scheme, address, options, inner } = parseVnl(text)
  return [scheme, address, options, ...(inner === undefined ? [] : [parts(inner.text)])]
}

for (const [vnl, want] of [
  ['switch://lab', ['switch', 'lab', []]],
  ['tap://tap0', ['tap', 'tap0', []]],
  ['null://', ['null', '', []]],
  ['Switch://Lab', ['switch', 'Lab', []]],
  ['/srv/net', ['switch', '/srv/net', []]],
  ['./net', ['switch', `${process.cwd()}/net`, []]],
  [
    'fault://loss=1,delay=20,seed=7{switch://lab}',
    ['fault', 'loss=1,delay=20,seed=7', [], ['switch', 'lab', []]],
  ],
  ['fault://loss=1%{/srv/net}', ['fault', 'loss=1%', [], ['switch', '/srv/net', []]]],
  ['x://a[b=1/c/d=e=f]', ['x', 'a', [['b', '1'], ['c', ''], ['d', 'e=f']]]], // prettier-ignore
  ['x://a[]{y://}', ['x', 'a', [], ['y', '', []]]],
  ['udp://[::1]:5->[::2]:6', ['udp', '[::1]:5->[::2]:6', []]],
  ['pcap://%7B%2fx%c3%a9%', ['pcap', '{/xé%', []]],
  ['a://1{b://2[x]{c://3{d://4}}}', ['a', '1', [], ['b', '2', [['x', '']], ['c', '3', [], ['d', '4', []]]]]], // prettier-ignore
] as const)
  t.test(`parseVnl() of "${vnl}"`, async t => t.same(parts(vnl), want))

for (const [vnl, why] of [
  ['', 'neither a VNL nor a path (switch://NAME, or a directory with a slash)'],
  ['lab', 'neither a VNL nor a path (switch://NAME, or a directory with a slash)'],
  ['fault://loss=1{tap://a', 'a "{" without its "}"'],
  ['fault://loss=1{tap://a{}', 'a "{" without its "}"'],
  ['fault://loss=1tap://a}', 'a "}" without its "{"'],
  ['fault://{tap://a}x', '"x" behind the last "}"'],
  ['fault://{tap://a}{tap://b}', '"{tap://b}" behind the last "}"'],
] as const)
  t.test(`parseVnl() of "${vnl}" is refused`, async t =>
    t.equal(
      told(() => parseVnl(vnl)),
      `Cannot open plug "${vnl}": ${why}`,
    ),
  )

t.test('parseVnl() names the inner VNL that is wrong', async t => {
  t.equal(
    told(() => parseVnl('a://{b://{}}')),
    'Cannot open plug "": neither a VNL nor a path (switch://NAME, or a directory with a slash)',
  )
})

t.test('parseVnl() of too many plugs in each other is refused', async t => {
  const nested = (depth: number): string => (depth === 0 ? 'null://' : `x://{${nested(depth - 1)}}`)
  t.ok(parseVnl(nested(7)))
  t.match(
    told(() => parseVnl(nested(8))),
    /more than 8 plugs in each other$/,
  )
})

for (const [vnl, want] of [
  ['switch://lab', 'switch://lab'],
  ['./lab', `${process.cwd()}/lab`],
  ['/srv/lab', '/srv/lab'],
  ['pcap://x{lab/}', `pcap://${process.cwd()}/x{${process.cwd()}/lab}`],
  ['pcap:///tmp/%7B[snap=96]{fault://loss=1{tap://a}}', 'pcap:///tmp/%7B[snap=96]{fault://loss=1{tap://a}}'], // prettier-ignore
] as const)
  t.test(`absoluteVnl() of "${vnl}"`, async t => t.equal(absoluteVnl(vnl), want))

function told(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'nothing'
}
