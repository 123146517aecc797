import t from 'tap'
import { ENOBUFS } from '../../../src/base/errno.ts'
import { type GroupFilter, Groups } from '../../../src/stack/net/groups.ts'
import { Address } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { addr } from '../../helpers/net.ts'
import { FakePacket } from '../../helpers/segment.ts'

const G = addr('239.1.2.3')
const sources = (text: string) =>
  [...text].map(letter => Address.v4(0x0a000000 + letter.charCodeAt(0)))
const filter = (mode: 'INCLUDE' | 'EXCLUDE', text = '', group = G): GroupFilter => ({
  group,
  mode,
  sources: sources(text),
})
const packet = (from: Address, to: Address) => new FakePacket().set(new Uint8Array(), from, to)
const letters = (list: readonly Address[]) => list.map(a => String.fromCharCode(a.d & 255)).join('')

/** Groups, and what they say of changes. */
function groups() {
  const log: string[] = []
  const it = new Groups()
  it.onChange = (group, mode, before) =>
    log.push(`${mode}(${letters(before)}) -> ${group.mode}(${letters(group.sources)})`)
  return { it, log, take: () => log.splice(0) }
}

// RFC 3376 section 3.2, the examples and the corners.
for (const [name, filters, mode, merged] of [
  ['one that excludes nothing', [filter('EXCLUDE')], 'EXCLUDE', ''],
  ['one that includes', [filter('INCLUDE', 'ab')], 'INCLUDE', 'ab'],
  [
    'two that include: the union',
    [filter('INCLUDE', 'ab'), filter('INCLUDE', 'bc')],
    'INCLUDE',
    'abc',
  ],
  [
    'two that exclude: what both do',
    [filter('EXCLUDE', 'abc'), filter('EXCLUDE', 'bcd')],
    'EXCLUDE',
    'bc',
  ],
  [
    'both kinds (example of the RFC)',
    [filter('EXCLUDE', 'abcd'), filter('EXCLUDE', 'bcde'), filter('INCLUDE', 'def')],
    'EXCLUDE',
    'bc',
  ],
  [
    'one that excludes nothing, one that does',
    [filter('EXCLUDE'), filter('EXCLUDE', 'a')],
    'EXCLUDE',
    '',
  ],
] as const)
  t.test(`Groups merges ${name}`, async t => {
    const { it } = groups()
    for (const f of filters) t.equal(it.add(f), 0)
    const group = it.find(G)!
    t.same([group.mode, letters(group.sources)], [mode, merged])
    t.ok(group.isWanted)
  })

t.test('Groups.onChange tells each change of the sum, and no other', async t => {
  const { it, take } = groups()
  const [a, b] = [filter('EXCLUDE', 'ab'), filter('INCLUDE', 'a')]
  it.add(a)
  t.same(take(), ['INCLUDE() -> EXCLUDE(ab)'])
  it.add(b)
  t.same(take(), ['EXCLUDE(ab) -> EXCLUDE(b)'])
  b.sources = sources('x')
  it.changed(b)
  t.same(take(), ['EXCLUDE(b) -> EXCLUDE(ab)'])
  it.changed(b)
  t.same(take(), [])
  it.remove(a)
  t.same(take(), ['EXCLUDE(ab) -> INCLUDE(x)'])
  it.remove(b)
  t.same(take(), ['INCLUDE(x) -> INCLUDE()'])
  t.equal(it.size, 0)
  t.equal(it.find(G), undefined)
})

t.test('Groups.wants() what somebody wants from there', async t => {
  const { it } = groups()
  const v6 = (text: string) => packet(addr('2001:db8::1'), addr(text))
  it.add(filter('EXCLUDE', 'a'))
  it.add(filter('EXCLUDE', '', addr('ff05::1:3')))
  it.add(filter('EXCLUDE', '', addr('ff02::1:3')))
  t.notOk(it.wants(packet(sources('a')[0], G)))
  t.ok(it.has(packet(sources('a')[0], G)))
  t.notOk(it.has(packet(sources('b')[0], addr('239.1.2.4'))))
  t.ok(it.wants(packet(sources('b')[0], G)))
  t.notOk(it.wants(packet(sources('b')[0], addr('239.1.2.4'))))
  t.ok(it.wants(v6('ff05::1:3')))
  t.ok(it.wants(v6('ff02::1:3')))
  t.notOk(it.wants(v6('ff08::1:3')), 'the same last word')
})

t.test('Groups are at most 10,000', async t => {
  const { it } = groups()
  for (let i = 0; i < 10_000; i++)
    if (it.add(filter('EXCLUDE', '', Address.v4(0xe8000000 + i))) !== 0) t.fail(`${i}`)
  t.equal(it.add(filter('EXCLUDE')), -ENOBUFS)
  const again = filter('EXCLUDE', '', Address.v4(0xe8000000))
  t.equal(it.add(again), 0, 'another listener of one')
  it.remove(again)
  t.equal(it.size, 10_000)
  t.equal([...it.all()].length, 10_000)
  t.equal(formatAddress([...it.all()][0].address), '232.0.0.0')
})
