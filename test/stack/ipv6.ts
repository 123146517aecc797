// Whole stacks that speak IPv6 on their link.
import t from 'tap'
import { createHash } from 'node:crypto'
import { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH } from '../../src/base/errno.ts'
import { EV_CLOSED } from '../../src/stack/stack.ts'
import { formatAddress } from '../../src/wire/address-text.ts'
import { addr } from '../helpers/net.ts'
import { linkLocalOf } from '../helpers/net6.ts'
import { randomBytes } from '../helpers/random.ts'
import { Network, Node, type NodeOptions } from '../helpers/stacks.ts'

const node = (n: number, options: NodeOptions = {}) =>
  new Node(n, { addresses: [`2001:db8::${n}/64`], ...options })

for (const [what, from, to] of [
  ['global addresses', '2001:db8::1', '2001:db8::2'],
  ['any source', '::', '2001:db8::2'],
  ['link-local addresses', '::', linkLocalOf(2)],
] as const)
  t.test(`TCP over IPv6, ${what}: at once, while addresses are optimistic`, async t => {
    const [a, b] = [node(1), node(2)]
    const network = new Network(a, b)
    t.equal(b.program.listen('::', 80), 0)
    const connection = a.program.connect(from, to, 80, 0)
    if (typeof connection === 'number') return t.fail(`${connection}`)
    a.program.write(connection, 'hello', 0)
    t.ok(network.run(900, () => b.program.accepted.at(0)?.in.used === 5))
    t.equal(network.now, 0)
    t.equal(b.program.accepted[0].in.string, 'hello')
    t.ok(a.stack.ipv6.addresses.all.every(({ state }) => state === 'OPTIMISTIC'))
    network.run(3000)
    t.ok(a.stack.ipv6.addresses.all.every(({ state }) => state === 'PREFERRED'))
  })

for (const [what, options] of [
  ['segments summed by us', {}],
  ['offload', { offload: true }],
  ['the smallest mtu', { mtu: 1280 }],
] as const)
  t.test(`TCP over IPv6, ${what}: a megabyte arrives`, async t => {
    const [a, b] = [node(1, options), node(2, options)]
    const network = new Network(a, b)
    b.program.listen('::', 80)
    const connection = a.program.connect('::', '2001:db8::2', 80, 0)
    if (typeof connection === 'number') return t.fail(`${connection}`)
    const sent = new Uint8Array(1 << 20)
    randomBytes(6)(sent)
    a.program.write(connection, sent, 0)
    const received = createHash('sha256')
    let length = 0
    network.turn = () => {
      const inbox = b.program.accepted.at(0)?.in
      if (inbox === undefined || inbox.used === 0) return false
      length += inbox.used
      received.update(inbox.take())
      b.stack.tcp.received(b.program.accepted[0].tcb, network.now)
      return true
    }
    t.ok(network.run(60_000, () => length === sent.length))
    t.equal(received.digest('hex'), createHash('sha256').update(sent).digest('hex'))
  })

t.test('TCP over IPv6 to a closed port fails with ECONNREFUSED', async t => {
  const [a, b] = [node(1), node(2)]
  const network = new Network(a, b)
  const connection = a.program.connect('::', '2001:db8::2', 81, 0)
  if (typeof connection === 'number') return t.fail(`${connection}`)
  network.run(10)
  t.equal(connection.errno, ECONNREFUSED)
  t.ok(connection.events & EV_CLOSED)
})

t.test(
  'TCP over IPv6 to nobody fails with EHOSTUNREACH when neighbor discovery gives up',
  async t => {
    const a = node(1)
    const network = new Network(a)
    const connection = a.program.connect('::', '2001:db8::99', 80, 0)
    if (typeof connection === 'number') return t.fail(`${connection}`)
    network.run(10_000, () => connection.errno !== 0)
    t.equal(connection.errno, EHOSTUNREACH)
    t.equal(network.now, 3000)
  },
)

t.test('TCP over IPv6 without a route fails with ENETUNREACH; a gateway makes one', async t => {
  const [a, b] = [node(1), node(2)]
  t.equal(a.program.connect('::', '2001:db8:2::1', 80, 0), -ENETUNREACH)
  const destination = { address: addr('::'), prefixLength: 0 }
  const route = {
    destination,
    source: undefined,
    metric: 0,
    origin: 'static',
    expires: Infinity,
  } as const
  t.throws(() => a.stack.addRoute({ ...route, gateway: addr('2001:db8:2::9') }), /no neighbor/)
  t.throws(() => a.stack.addRoute({ ...route, gateway: addr('2001:db8::1') }), /no neighbor/)
  a.stack.addRoute({ ...route, gateway: addr(linkLocalOf(2)) })
  b.stack.addAddress({ address: addr('2001:db8:2::1'), prefixLength: 128 })
  b.program.listen('::', 80)
  const network = new Network(a, b)
  const connection = a.program.connect('::', '2001:db8:2::1', 80, 0)
  t.not(typeof connection, 'number')
  t.ok(network.run(100, () => b.program.accepted.length === 1))
})

t.test('a station that has left the link takes its IPv6 connections with it', async t => {
  const [a, b] = [node(1), node(2)]
  const network = new Network(a, b)
  b.program.listen('::', 80)
  const connection = a.program.connect('::', '2001:db8::2', 80, 0)
  if (typeof connection === 'number') return t.fail(`${connection}`)
  network.run(100, () => b.program.accepted.length === 1)
  a.stack.stationGone(b.stack.mac, network.now)
  network.settle()
  t.ok(connection.events & EV_CLOSED)
})

t.test('an address that another station has is DUPLICATED, and who set it is told', async t => {
  const [a, b] = [node(1), new Node(2, { addresses: ['2001:db8::1/64'] })]
  const network = new Network(a)
  network.run(3000)
  network.nodes.push(b)
  const told: string[] = []
  b.stack.onConflict = (address, mac, now) => told.push(`${address.d} ${mac.low} ${now}`)
  network.run(3000)
  t.same(told, ['1 1 3000'])
  t.equal(b.stack.ipv6.addresses.find(addr('2001:db8::1'))?.state, 'DUPLICATED')
  t.equal(a.stack.ipv6.addresses.find(addr('2001:db8::1'))?.state, 'PREFERRED')
  t.notOk(b.stack.isLocal(addr('2001:db8::1')))
})

t.test('Stack.sortDestinations(): what can be reached first, IPv6 before IPv4', async t => {
  const { stack } = new Node(1, { addresses: ['10.0.0.1/24', '2001:db8::1/64'] })
  const sorted = (...list: string[]) => stack.sortDestinations(list.map(addr)).map(formatAddress)
  for (let now = 0; now <= 2000; now += 500) stack.run(now, 64)
  t.same(sorted('10.0.0.9', '2001:db8::9'), ['2001:db8::9', '10.0.0.9'])
  t.same(sorted('2001:db8:9::1', '10.0.0.9'), ['10.0.0.9', '2001:db8:9::1'], 'no route')
  t.same(sorted('127.0.0.1', '::1'), ['::1', '127.0.0.1'])
  t.same(sorted(), [])
})
