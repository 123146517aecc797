import t from 'tap'
import { attribute, concat, i32s, u16s, u8s } from '../../src/wire/netlink.ts'
import { NUD_PERMANENT, NUD_STALE, neighbors } from '../../src/view/neighbors.ts'
import { formatAddress } from '../../src/wire/address-text.ts'
import type { Stack } from '../../src/stack/stack.ts'
import { addr, macOf } from '../helpers/net.ts'
import {
  CREATE,
  DUMP,
  EXCL,
  REPLACE,
  address,
  ask,
  attributeOf,
  contextOf,
} from '../helpers/rtnetlink.ts'
import { Node } from '../helpers/stacks.ts'

const NEW = 28
const DEL = 29
const GET = 30
const NDMSG = 12

const node = () => new Node(5, { addresses: ['10.0.0.5/24', 'fd00::5/64'] }).stack
/** struct ndmsg and attributes; MACs end in `mac`. */
function wish(dst: string, mac: number | undefined, state = NUD_PERMANENT, index = 2): Uint8Array {
  const family = dst.includes(':') ? 10 : 2
  const head = concat([u8s(family, 0, 0, 0), i32s(index), u16s(state), u8s(0, 0)])
  const lladdr = mac === undefined ? [] : [attribute(2, u8s(2, 0, 0, 0, 0, mac))]
  return concat([head, address(1, dst), ...lladdr])
}
const list = (stack: Stack) =>
  neighbors(stack, 0).map(n => `${formatAddress(n.address)} ${n.mac?.join(':')} ${n.state}`)

t.test('a permanent neighbor is not asked for, not believed, not put out', async t => {
  const stack = node()
  t.equal(ask(contextOf(stack), NEW, CREATE | EXCL, wish('10.0.0.9', 9)), 'done')
  t.same(list(stack), ['10.0.0.9 2:0:0:0:0:9 128'])
  const { neighbors: table } = stack.ipv4.arp
  const found = table.find(addr('10.0.0.9'))!
  table.learn(found, macOf(8), true, 1000)
  for (let i = 0; i < 2000; i++) table.create(addr(`10.1.${i >> 8}.${i & 255}`), macOf(7))
  stack.run(1e7, 1)
  t.same(list(stack)[0], '10.0.0.9 2:0:0:0:0:9 128')
  t.equal(table.macGone(macOf(9), 1e7).length, 0)
  t.equal(table.resolve(addr('10.0.0.9')).ready, true)
})

t.test('there is an end to permanent ones', async t => {
  const stack = node()
  let said: unknown = 'done'
  let n = 0
  for (; said === 'done' && n < 5000; n++)
    said = ask(contextOf(stack), NEW, CREATE, wish(`10.0.${n >> 8}.${n & 255}`, 9))
  t.equal(said, 'ENOBUFS')
  t.equal(n, 257)
  t.equal(ask(contextOf(stack), DEL, 0, wish('10.0.0.7', undefined)), 'done')
  t.equal(ask(contextOf(stack), NEW, CREATE, wish('10.7.7.7', 9)), 'done')
})

for (const [name, said, type, flags, body] of [
  ['one that is there', 'EEXIST', NEW, CREATE | EXCL, wish('10.0.0.9', 9)],
  ['another MAC, to replace', 'done', NEW, CREATE | REPLACE, wish('10.0.0.9', 7)],
  ['another MAC, not to replace', 'EEXIST', NEW, CREATE, wish('10.0.0.9', 7)],
  ['no MAC for a new one', 'EINVAL', NEW, CREATE, wish('10.0.0.8', undefined)],
  ['without NLM_F_CREATE', 'ENOENT', NEW, 0, wish('10.0.0.8', 8)],
  ['an interface that is not', 'ENODEV', NEW, CREATE, wish('10.0.0.8', 8, NUD_PERMANENT, 7)],
  ['loopback', 'EOPNOTSUPP', NEW, CREATE, wish('10.0.0.8', 8, NUD_PERMANENT, 1)],
  ['cut short', 'EINVAL', NEW, CREATE, u8s(2, 0, 0, 0)],
  ['to take it away', 'done', DEL, 0, wish('10.0.0.9', undefined)],
  ['to take away one that is not', 'ENOENT', DEL, 0, wish('10.0.0.8', undefined)],
  [
    'to get one that is not',
    'ENOENT: Neighbour entry not found',
    GET,
    0,
    wish('10.0.0.8', undefined),
  ],
] as [string, string, number, number, Uint8Array][])
  t.test(`RTM_*NEIGH: ${name}`, async t => {
    const stack = node()
    ask(contextOf(stack), NEW, CREATE, wish('10.0.0.9', 9))
    t.equal(ask(contextOf(stack), type, flags, body), said)
  })

t.test('RTM_NEWNEIGH, stale: asked whether it is there when it is used', async t => {
  const stack = node()
  ask(contextOf(stack), NEW, CREATE, wish('fd00::9', 9, NUD_STALE))
  t.same(list(stack), ['fd00::9 2:0:0:0:0:9 4'])
  t.equal(stack.ipv6.neighbors.resolve(addr('fd00::9')).state, 'DELAY')
})

t.test('RTM_GETNEIGH: both families, or one', async t => {
  const stack = node()
  ask(contextOf(stack), NEW, CREATE, wish('10.0.0.9', 9))
  ask(contextOf(stack), NEW, CREATE, wish('fd00::9', 9))
  t.equal(ask(contextOf(stack), GET, DUMP, u8s(0)).length, 2)
  const [six, ...none] = ask(contextOf(stack), GET, DUMP, u8s(10)) as Uint8Array[]
  t.equal(attributeOf(six, NDMSG, 2), '020000000009')
  t.equal(none.length, 0)
  const proxies = u8s(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0)
  t.equal(ask(contextOf(stack), GET, DUMP, proxies).length, 0)
})
