import t from 'tap'
import { attribute, i32s, u8s, zeroEnded } from '../../src/wire/netlink.ts'
import { DUMP, CREATE, EXCL, ask, attributeOf, contextOf } from '../helpers/rtnetlink.ts'
import { Node } from '../helpers/stacks.ts'

const NEW = 16
const DEL = 17
const GET = 18
const IFINFOMSG = 16
const UP = 1

const node = (ipv6 = false) =>
  new Node(5, { addresses: ipv6 ? ['10.0.0.5/24', 'fd00::5/64'] : ['10.0.0.5/24'] }).stack
/** struct ifinfomsg. */
const head = (index: number, flags = 0, change = 0) => i32s(0, index, flags, change)
const mtu = (n: number) => attribute(4, i32s(n))
const name = (text: string) => attribute(3, zeroEnded(text))

t.test('RTM_GETLINK, a dump: lo and eth0', async t => {
  const found = ask(contextOf(node()), GET, DUMP, head(0)) as Uint8Array[]
  t.same(
    found.map(body => Buffer.from(attributeOf(body, IFINFOMSG, 3)!, 'hex').toString()),
    ['lo\0', 'eth0\0'],
  )
  t.equal(attributeOf(found[1], IFINFOMSG, 4), 'dc050000')
  t.equal(attributeOf(found[1], IFINFOMSG, 1), '020000000005')
  t.equal(attributeOf(found[1], IFINFOMSG, 23)?.length, 400)
})

t.test('RTM_GETLINK without statistics', async t => {
  const [found] = ask(contextOf(node()), GET, 0, head(2), attribute(29, i32s(8))) as Uint8Array[]
  t.equal(attributeOf(found, IFINFOMSG, 23), undefined)
})

for (const [title, said, type, flags, ...body] of [
  ['a smaller mtu', 'done', NEW, 0, head(2), mtu(1400)],
  ['by name', 'done', NEW, 0, head(0), name('eth0'), mtu(1400)],
  ['its mtu', 'done', NEW, 0, head(2), mtu(1500)],
  ['a mtu below the least', 'EINVAL: mtu less than device minimum', NEW, 0, head(2), mtu(67)],
  ['a mtu beyond the link', 'EINVAL: mtu greater than device maximum', NEW, 0, head(2), mtu(1501)],
  ['of loopback', 'EOPNOTSUPP', NEW, 0, head(1), mtu(1400)],
  ['another name', 'EOPNOTSUPP', NEW, 0, head(2), name('wan')],
  ['another MAC', 'EOPNOTSUPP', NEW, 0, head(2), attribute(1, u8s(2, 0, 0, 0, 0, 9))],
  ['its own MAC', 'done', NEW, 0, head(2), attribute(1, u8s(2, 0, 0, 0, 0, 5))],
  ['promiscuous', 'EOPNOTSUPP', NEW, 0, head(2, 0x100, 0x100)],
  ['down', 'done', NEW, 0, head(2, 0, UP)],
  ['up, which it is', 'done', NEW, 0, head(2, UP, UP)],
  ['loopback down', 'EOPNOTSUPP', NEW, 0, head(1, 0, UP)],
  ['nothing named', 'ENODEV', NEW, 0, head(0)],
  ['one that is not', 'ENODEV', NEW, 0, head(7), mtu(1400)],
  ['a new one', 'EOPNOTSUPP: Unknown device type', NEW, CREATE | EXCL, head(0), name('dummy0')],
  ['a new one that is there', 'EEXIST', NEW, CREATE | EXCL, head(0), name('eth0')],
  ['cut short', 'EINVAL', NEW, 0, i32s(0, 2, 0)],
  ['to take it away', 'EOPNOTSUPP', DEL, 0, head(2)],
  ['to take away one that is not', 'ENODEV', DEL, 0, head(7)],
] as [string, string, number, number, ...Uint8Array[]][])
  t.test(`RTM_NEWLINK, RTM_DELLINK: ${title}`, async t => {
    t.equal(ask(contextOf(node()), type, flags, ...body), said)
  })

t.test('an mtu that was set holds, whatever the configuration says later', async t => {
  const stack = node()
  ask(contextOf(stack), NEW, 0, head(2), mtu(1400))
  stack.nic.limitMtu(Infinity)
  t.equal(stack.mtu, 1400)
  ask(contextOf(stack), NEW, 0, head(2), mtu(1500))
  t.equal(stack.mtu, 1500)
})

t.test('with IPv6 the least mtu is 1280 (RFC 8200 section 5)', async t => {
  const said = ask(contextOf(node(true)), NEW, 0, head(2), mtu(1279))
  t.equal(said, 'EINVAL: mtu less than device minimum')
})

t.test('a link that is down sends and hears nothing, and is up again', async t => {
  const node = new Node(5)
  const { stack } = node
  ask(contextOf(stack), NEW, 0, head(2, 0, UP))
  stack.run(0, 1)
  node.sink.take()
  const { framesOut, linkDown } = stack.counters.link
  stack.probe(stack.ipv4.addresses.all[0].address, () => {})
  stack.run(1000, 1)
  t.equal(stack.counters.link.framesOut, framesOut)
  stack.frameArrives(new Uint8Array(60), 0, 60, 0, 0, 1000)
  t.equal(stack.counters.link.linkDown > linkDown, true)
  t.equal(stack.counters.link.badSourceMac, 0)
  ask(contextOf(stack), NEW, 0, head(2, UP, UP))
  t.equal(stack.nic.sink, node.sink)
})
