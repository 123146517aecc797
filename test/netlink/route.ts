import t from 'tap'
import { attribute, u8s } from '../../src/wire/netlink.ts'
import { formatAddress } from '../../src/wire/address-text.ts'
import { routes } from '../../src/view/routes.ts'
import { addr } from '../helpers/net.ts'
import {
  APPEND,
  CREATE,
  DUMP,
  EXCL,
  REPLACE,
  ask,
  attributeOf,
  contextOf,
  routeWish,
  type RouteWish,
} from '../helpers/rtnetlink.ts'
import { Node } from '../helpers/stacks.ts'

const NEW = 24
const DEL = 25
const GET = 26

const node = () =>
  new Node(5, { addresses: ['10.0.0.5/24', 'fd00::5/64'], gateway: '10.0.0.1' }).stack

const main = (stack: ReturnType<typeof node>) =>
  routes(stack, 0)
    .filter(r => r.table === 254)
    .map(
      r =>
        `${formatAddress(r.destination)}/${r.prefixLength}` +
        (r.gateway === undefined ? '' : ` via ${formatAddress(r.gateway)}`) +
        ` ${r.protocol}/${r.metric}`,
    )

const FIRST = [
  '0.0.0.0/0 via 10.0.0.1 3/0',
  '10.0.0.0/24 2/0',
  'fd00::/64 2/256',
  'fe80::/64 2/256',
]

t.test('routes() tells them in the order of Linux, the default route of IPv6 last', async t => {
  const stack = node()
  ask(contextOf(stack), NEW, CREATE, routeWish({ to: '::/0', via: 'fd00::1' }))
  t.same(main(stack), [...FIRST, '::/0 via fd00::1 3/1024'])
})

for (const [name, wish, flags, said, added] of [
  [
    'a network behind a neighbor',
    { to: '10.9.0.0/16', via: '10.0.0.9' },
    CREATE | EXCL,
    'done',
    '10.9.0.0/16 via 10.0.0.9 3/0',
  ],
  [
    'a network on the link',
    { to: '10.9.0.0/16', index: 2, scope: 253 },
    CREATE | EXCL,
    'done',
    '10.9.0.0/16 3/0',
  ],
  [
    'its protocol is kept',
    { to: '10.9.0.0/16', via: '10.0.0.9', protocol: 4 },
    CREATE,
    'done',
    '10.9.0.0/16 via 10.0.0.9 4/0',
  ],
  [
    'with a metric beside an older one',
    { to: '0.0.0.0/0', via: '10.0.0.2', metric: 7 },
    CREATE | EXCL,
    'done',
    '0.0.0.0/0 via 10.0.0.2 3/7',
  ],
  [
    'appended to an equal one',
    { to: '0.0.0.0/0', via: '10.0.0.2' },
    CREATE | APPEND,
    'done',
    '0.0.0.0/0 via 10.0.0.2 3/0',
  ],
  [
    'IPv6 has a metric without asking',
    { to: '2001:db8::/32', via: 'fd00::1' },
    CREATE | EXCL,
    'done',
    '2001:db8::/32 via fd00::1 3/1024',
  ],
  [
    'IPv6: bits of the host count for nothing',
    { to: '2001:db8::1/32', via: 'fd00::1' },
    CREATE,
    'done',
    '2001:db8::/32 via fd00::1 3/1024',
  ],
  [
    'on the link by order',
    { to: '10.9.0.0/16', via: '10.7.7.7', flags: 4, index: 2 },
    CREATE,
    'done',
    '10.9.0.0/16 via 10.7.7.7 3/0',
  ],
  [
    'a gateway that is no neighbor',
    { to: '10.9.0.0/16', via: '10.7.7.7' },
    CREATE,
    'ENETUNREACH: Nexthop has invalid gateway',
    '',
  ],
  [
    'a second one with NLM_F_EXCL',
    { to: '0.0.0.0/0', via: '10.0.0.2' },
    CREATE | EXCL,
    'EEXIST',
    '',
  ],
  ['a second one without', { to: '0.0.0.0/0', via: '10.0.0.2' }, CREATE, 'EEXIST', ''],
  ['without NLM_F_CREATE', { to: '10.9.0.0/16', via: '10.0.0.9' }, 0, 'ENOENT', ''],
  [
    'bits of the host',
    { to: '10.9.0.1/16', via: '10.0.0.9' },
    CREATE,
    'EINVAL: Invalid prefix for given prefix length',
    '',
  ],
  [
    'longer than an address',
    { to: '10.9.0.0/33', via: '10.0.0.9' },
    CREATE,
    'EINVAL: Invalid prefix length',
    '',
  ],
  [
    'a source that is not ours',
    { to: '10.9.0.0/16', via: '10.0.0.9', source: '10.0.0.6' },
    CREATE,
    'EINVAL: Invalid prefsrc address',
    '',
  ],
  [
    'another table',
    { to: '10.9.0.0/16', via: '10.0.0.9', table: 7 },
    CREATE,
    'EOPNOTSUPP: There is no other table',
    '',
  ],
  ['a black hole', { to: '10.9.0.0/16', type: 6 }, CREATE, 'EOPNOTSUPP', ''],
  ['an interface that is not', { to: '10.9.0.0/16', index: 3 }, CREATE, 'ENODEV', ''],
  ['by loopback', { to: '10.9.0.0/16', index: 1 }, CREATE, 'EOPNOTSUPP', ''],
  [
    'metrics',
    { to: '10.9.0.0/16', via: '10.0.0.9', more: attribute(8, u8s()) },
    CREATE,
    'EOPNOTSUPP',
    '',
  ],
  [
    'a gateway of three bytes',
    { to: '10.9.0.0/16', more: attribute(5, u8s(1, 2, 3)) },
    CREATE,
    'EINVAL',
    '',
  ],
] as [string, RouteWish, number, string, string][])
  t.test(`RTM_NEWROUTE: ${name}`, async t => {
    const stack = node()
    t.equal(ask(contextOf(stack), NEW, flags, routeWish(wish)), said)
    t.same(
      main(stack).filter(r => !FIRST.includes(r)),
      added === '' ? [] : [added],
    )
  })

t.test('RTM_NEWROUTE with NLM_F_REPLACE puts one in place of another', async t => {
  const stack = node()
  const wish = routeWish({ to: '0.0.0.0/0', via: '10.0.0.2' })
  t.equal(ask(contextOf(stack), NEW, CREATE | REPLACE, wish), 'done')
  t.equal(main(stack)[0], '0.0.0.0/0 via 10.0.0.2 3/0')
  t.equal(main(stack).length, FIRST.length)
})

for (const [name, wish, said] of [
  ['by its destination', { to: '0.0.0.0/0', scope: 255 }, 'done'],
  ['by its gateway', { to: '0.0.0.0/0', via: '10.0.0.1' }, 'done'],
  ['another gateway', { to: '0.0.0.0/0', via: '10.0.0.2' }, 'ESRCH'],
  ['another length', { to: '0.0.0.0/1', scope: 255 }, 'ESRCH'],
  ['another metric', { to: '0.0.0.0/0', metric: 5 }, 'ESRCH'],
  ['another protocol', { to: '0.0.0.0/0', protocol: 4 }, 'ESRCH'],
  ['another scope', { to: '0.0.0.0/0', scope: 253 }, 'ESRCH'],
] as [string, RouteWish, string][])
  t.test(`RTM_DELROUTE: ${name}`, async t => {
    const stack = node()
    t.equal(ask(contextOf(stack), DEL, 0, routeWish(wish)), said)
    t.equal(main(stack).length, FIRST.length - Number(said === 'done'))
  })

t.test('RTM_NEWROUTE: there is an end to them', async t => {
  const stack = node()
  let said: unknown = 'done'
  let n = 0
  for (; said === 'done' && n < 5000; n++)
    said = ask(
      contextOf(stack),
      NEW,
      CREATE,
      routeWish({ to: `10.${128 + (n >> 8)}.${n & 255}.0/24`, via: '10.0.0.9' }),
    )
  t.equal(said, 'EINVAL: There are too many routes')
  t.ok(n > 1000 && n < 1100)
})

const RTMSG = 12
for (const [dst, type, via, source, index] of [
  ['10.0.0.9', 1, undefined, '0a000005', '02000000'],
  ['8.8.8.8', 1, '0a000001', '0a000005', '02000000'],
  ['10.0.0.5', 2, undefined, '0a000005', '01000000'],
  ['127.0.0.1', 2, undefined, '7f000001', '01000000'],
  ['10.0.0.255', 3, undefined, '0a000005', '02000000'],
  ['224.0.0.1', 5, undefined, '0a000005', '02000000'],
] as const)
  t.test(`RTM_GETROUTE: the way to ${dst}`, async t => {
    const [way] = ask(contextOf(node()), GET, 0, routeWish({ to: `${dst}/32` })) as Uint8Array[]
    t.equal(way[7], type)
    t.equal(attributeOf(way, RTMSG, 5), via)
    t.equal(attributeOf(way, RTMSG, 7), source)
    t.equal(attributeOf(way, RTMSG, 4), index)
  })

t.test('RTM_GETROUTE: nowhere', async t => {
  const { stack } = new Node(5)
  t.equal(ask(contextOf(stack), GET, 0, routeWish({ to: '8.8.8.8/32' })), 'ENETUNREACH')
})

for (const [name, wish, strict, count] of [
  ['all of both families', u8s(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), true, 13],
  ['the header of one byte', u8s(2), false, 7],
  ['IPv4, main table', u8s(2, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0), true, 2],
  ['IPv4, local table', u8s(2, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0), true, 5],
  ['a table is not looked at unless strict', u8s(2, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0), false, 7],
  ['IPv4, by the kernel', u8s(2, 0, 0, 0, 254, 2, 0, 0, 0, 0, 0, 0), true, 1],
  ['cached ones', u8s(2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0), true, 0],
] as const)
  t.test(`RTM_GETROUTE, a dump: ${name}`, async t => {
    const list = ask(contextOf(node(), strict), GET, DUMP, wish)
    t.equal(list.length, count)
  })

t.test('RTM_GETROUTE, a dump of a table that is not', async t => {
  const wish = u8s(2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0)
  t.equal(ask(contextOf(node()), GET, DUMP, wish), 'ENOENT: ipv4: FIB table does not exist')
})

t.test('a route that was added is used', async t => {
  const stack = node()
  ask(contextOf(stack), NEW, CREATE, routeWish({ to: '10.9.0.0/16', via: '10.0.0.9' }))
  t.same(stack.ipv4.hopFor(addr('10.9.1.1')), addr('10.0.0.9'))
  ask(contextOf(stack), DEL, 0, routeWish({ to: '10.9.0.0/16' }))
  t.same(stack.ipv4.hopFor(addr('10.9.1.1')), addr('10.0.0.1'))
})
