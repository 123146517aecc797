import t from 'tap'
import { addresses } from '../../src/view/interfaces.ts'
import { attribute, i32s, u8s } from '../../src/wire/netlink.ts'
import { formatAddress } from '../../src/wire/address-text.ts'
import type { Stack } from '../../src/stack/stack.ts'
import { addr } from '../helpers/net.ts'
import {
  CREATE,
  DUMP,
  EXCL,
  REPLACE,
  addressWish,
  ask,
  attributeOf,
  contextOf,
} from '../helpers/rtnetlink.ts'
import { Node } from '../helpers/stacks.ts'

const NEW = 20
const DEL = 21
const GET = 22
const IFADDRMSG = 8

const node = () => new Node(5, { addresses: ['10.0.0.5/24', 'fd00::5/64'] }).stack
const list = (stack: Stack) =>
  addresses(stack, 0)
    .filter(a => a.index === 2 && a.origin === 'static')
    .map(a => `${formatAddress(a.address)}/${a.prefixLength}${a.secondary ? ' secondary' : ''}`)

for (const [name, wish, flags, said, want] of [
  [
    'another network',
    addressWish('10.7.0.5/16'),
    CREATE | EXCL,
    'done',
    ['10.0.0.5/24', '10.7.0.5/16', 'fd00::5/64'],
  ],
  [
    'the same network: secondary',
    addressWish('10.0.0.6/24'),
    CREATE | EXCL,
    'done',
    ['10.0.0.5/24', '10.0.0.6/24 secondary', 'fd00::5/64'],
  ],
  [
    'IPv6',
    addressWish('fd00::6/64'),
    CREATE | EXCL,
    'done',
    ['10.0.0.5/24', 'fd00::5/64', 'fd00::6/64'],
  ],
  [
    'again',
    addressWish('10.0.0.5/24'),
    CREATE | EXCL,
    'EEXIST: ipv4: Address already assigned',
    undefined,
  ],
  [
    'again, IPv6',
    addressWish('fd00::5/64'),
    CREATE | EXCL,
    'EEXIST: ipv6: address already assigned',
    undefined,
  ],
  ['again, to replace', addressWish('10.0.0.5/24'), CREATE | REPLACE, 'done', undefined],
  [
    'with another length',
    addressWish('10.0.0.5/16'),
    CREATE | REPLACE,
    'EEXIST: ipv4: Address already assigned',
    undefined,
  ],
  [
    'an interface that is not',
    addressWish('10.7.0.5/16', 7),
    CREATE,
    'ENODEV: ipv4: No such device',
    undefined,
  ],
  ['loopback', addressWish('127.0.0.2/8', 1), CREATE, 'EOPNOTSUPP', undefined],
  ['too long', addressWish('10.7.0.5/33'), CREATE, 'EINVAL', undefined],
  [
    'no host’s',
    addressWish('224.0.0.1/24'),
    CREATE,
    "EINVAL: Cannot take 224.0.0.1: it is no host's own address",
    undefined,
  ],
  [
    'no valid lifetime',
    addressWish('10.7.0.5/16', 2, attribute(6, i32s(0, 0, 0, 0))),
    CREATE,
    'EINVAL',
    undefined,
  ],
  [
    'preferred longer than valid',
    addressWish('10.7.0.5/16', 2, attribute(6, i32s(20, 10, 0, 0))),
    CREATE,
    'EINVAL',
    undefined,
  ],
  ['no address', u8s(2, 24, 0, 0, 2, 0, 0, 0), CREATE, 'EINVAL', undefined],
  ['a header cut short', u8s(2, 24, 0, 0, 2, 0, 0), CREATE, 'EINVAL', undefined],
  ['another family', u8s(7, 24, 0, 0, 2, 0, 0, 0), CREATE, 'EOPNOTSUPP', undefined],
] as [string, Uint8Array, number, string, string[] | undefined][])
  t.test(`RTM_NEWADDR: ${name}`, async t => {
    const stack = node()
    t.equal(ask(contextOf(stack), NEW, flags, wish), said)
    t.same(list(stack), want ?? ['10.0.0.5/24', 'fd00::5/64'])
  })

t.test('IPv6 addresses of wider scope come first', async t => {
  const listed = addresses(node(), 0).filter(a => a.index === 2 && !a.address.isV4)
  t.same(
    listed.map(a => a.origin),
    ['static', 'link-local'],
  )
})

t.test('RTM_NEWADDR with lifetimes: dynamic, deprecated, gone', async t => {
  const stack = node()
  const wish = addressWish('10.7.0.5/16', 2, attribute(6, i32s(10, 20, 0, 0)))
  t.equal(ask(contextOf(stack), NEW, CREATE, wish), 'done')
  const found = () => addresses(stack, 5000).find(a => a.address.equals(addr('10.7.0.5')))
  t.match(found(), { preferred: 5, valid: 15, state: 'PREFERRED' })
  stack.run(10_000, 1)
  t.match(found(), { state: 'DEPRECATED' })
  stack.run(20_000, 1)
  t.equal(found(), undefined)
})

for (const [name, wish, said] of [
  ['one that is there', addressWish('10.0.0.5/24'), 'done'],
  ['one that is not', addressWish('10.0.0.7/24'), 'EADDRNOTAVAIL: ipv4: Address not found'],
  ['another length', addressWish('10.0.0.5/16'), 'EADDRNOTAVAIL: ipv4: Address not found'],
  ['IPv6, one that is not', addressWish('fd00::7/64'), 'EADDRNOTAVAIL: ipv6: address not found'],
] as const)
  t.test(`RTM_DELADDR: ${name}`, async t => {
    const stack = node()
    t.equal(ask(contextOf(stack), DEL, 0, wish), said)
    t.equal(stack.isLocal(addr('10.0.0.5')), said !== 'done')
  })

for (const [name, header, strict, want] of [
  ['all', u8s(0), false, ['7f000001', '0a000005', undefined, undefined, undefined]],
  ['IPv4', u8s(2), false, ['7f000001', '0a000005']],
  ['of one interface, strictly', u8s(2, 0, 0, 0, 2, 0, 0, 0), true, ['0a000005']],
  ['of one interface, not strictly', u8s(2, 0, 0, 0, 2, 0, 0, 0), false, ['7f000001', '0a000005']],
] as const)
  t.test(`RTM_GETADDR: ${name}`, async t => {
    const found = ask(contextOf(node(), strict), GET, DUMP, header) as Uint8Array[]
    t.same(
      found.map(body => attributeOf(body, IFADDRMSG, 2)),
      want,
    )
  })
