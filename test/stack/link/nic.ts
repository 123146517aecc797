import t from 'tap'
import { CHECKSUM_UNKNOWN } from '../../../src/stack/link/sink.ts'
import { Nic } from '../../../src/stack/link/nic.ts'
import { BROADCAST_MAC, ZERO_MAC } from '../../../src/wire/mac.ts'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../src/wire/ethernet.ts'
import type { LinkCounters } from '../../../src/stack/link/counters.ts'
import { TestSink, addr, arpFrame, arrive, ethernet, host, mac, macOf } from '../../helpers/net.ts'

/** A nic whose IPv4 notes "length, cast". */
function nic() {
  const nic = new Nic(macOf(1))
  const delivered: string[] = []
  const casts = ['', ' multicast', ' broadcast']
  nic.handlers.set(ETHERTYPE_IPV4, (_bytes, _at, length, valid, cast) =>
    delivered.push(`${length}${casts[cast]}${valid ? ' valid' : ''}`),
  )
  return { nic, delivered }
}

/** The counters that are not 0. */
const nonZero = (counters: LinkCounters) =>
  Object.fromEntries(Object.entries(counters).filter(([, value]) => value !== 0))

const text = new Uint8Array(46)

for (const [what, dst, src, type, want] of [
  ['to us', macOf(1), macOf(2), ETHERTYPE_IPV4, '46'],
  ['to everybody', BROADCAST_MAC, macOf(2), ETHERTYPE_IPV4, '46 broadcast'],
  ['to another station', macOf(3), macOf(2), ETHERTYPE_IPV4, 'notOurMac'],
  ['to ours but for one bit', mac('02:00:00:00:00:81'), macOf(2), ETHERTYPE_IPV4, 'notOurMac'],
  ['to a group', mac('01:00:5e:00:00:01'), macOf(2), ETHERTYPE_IPV4, 'multicastNotJoined'],
  ['from a group', macOf(1), mac('03:00:00:00:00:02'), ETHERTYPE_IPV4, 'badSourceMac'],
  ['from nobody', macOf(1), ZERO_MAC, ETHERTYPE_IPV4, 'badSourceMac'],
  ['from ourselves', BROADCAST_MAC, macOf(1), ETHERTYPE_IPV4, 'ownFrame'],
  ['with a type that nobody takes', macOf(1), macOf(2), ETHERTYPE_IPV6, 'unknownEthertype'],
  ['with a VLAN tag', macOf(1), macOf(2), 0x8100, 'unknownEthertype'],
  ['with a length for a type (802.3)', macOf(1), macOf(2), 46, 'unknownEthertype'],
] as const)
  t.test(`frameArrives(), ${what}: ${want}`, async t => {
    const { nic: n, delivered } = nic()
    arrive(n, ethernet(dst, src, type, text), 0)
    if (want.startsWith('46')) t.same(delivered, [want])
    else {
      t.same(delivered, [])
      t.same(nonZero(n.counters), { framesIn: 1, bytesIn: 60, [want]: 1 })
    }
  })

t.test('frameArrives() of every length below a header', async t => {
  const { nic: n, delivered } = nic()
  const frame = ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, text)
  for (let length = 0; length < 14; length++) arrive(n, frame.slice(0, length), 0)
  t.equal(n.counters.frameTooShort, 14)
  arrive(n, frame.slice(0, 14), 0)
  t.same(delivered, ['0'])
})

for (const [offload, length, gsoSize, want] of [
  [false, 1514, 0, '1500'],
  [false, 1515, 0, 'frameTooLong'],
  [false, 1515, 1460, 'frameTooLong'],
  [true, 1514, 0, '1500'],
  [true, 1515, 0, 'frameTooLong'],
  [true, 65_549, 1460, '65535'],
] as const)
  t.test(
    `a frame of ${length} bytes, gso size ${gsoSize}, offload ${offload}: ${want}`,
    async t => {
      const { nic: n, delivered } = nic()
      n.setSink(new TestSink(1500, offload))
      const bytes = ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, new Uint8Array(length - 14))
      n.frameArrives(bytes, 0, length, CHECKSUM_UNKNOWN, gsoSize, 0)
      if (want === 'frameTooLong') t.equal(n.counters.frameTooLong, 1)
      else t.same(delivered, [want])
    },
  )

t.test('a packet waits for its neighbor, and leaves with the right header', async t => {
  const { nic, arp, sink } = host(1)
  const n = arp.neighbors.resolve(addr('10.0.0.2'))
  const at = nic.open(n, 100)
  nic.bytes.set(Buffer.from('hello'), at)
  nic.close(n, 5, 0, 0, 0)
  t.same(sink.take(), [])
  arrive(nic, arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1)), 5)
  const [frame] = sink.take()
  t.equal(
    Buffer.from(frame.bytes).toString('hex'),
    '020000000002' + '020000000001' + '0800' + Buffer.from('hello').toString('hex'),
  )
})

t.test(
  'open() says -1 while the sink has no room, and while older packets wait for it',
  async t => {
    const { nic, arp, sink } = host(1)
    const n = arp.neighbors.resolve(addr('10.0.0.2'))
    nic.open(n, 10)
    nic.close(n, 10, 0, 0, 0)
    sink.room = 0
    arrive(nic, arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1)), 5)
    t.equal(nic.open(n, 10), -1)
    sink.room = Infinity
    t.equal(nic.open(n, 10), -1, 'not before the older one')
    arp.run(6)
    t.equal(sink.take().length, 1)
    t.ok(nic.open(n, 10) >= 0)
  },
)

t.test('a link that is down takes packets and loses them', async t => {
  const { nic, arp } = host(1)
  const n = arp.neighbors.resolve(addr('10.0.0.2'))
  arp.neighbors.learn(n, macOf(2), true, 0)
  nic.setSink(undefined)
  t.ok(nic.open(n, 100) >= 0)
  nic.close(n, 100, 0, 0, 0)
  t.equal(nic.counters.linkDown, 1)
})

t.test(
  'a packet that waits with its segments uncut does not go into a sink that cannot cut',
  async t => {
    const { nic, arp } = host(1)
    nic.setSink(new TestSink(1500, true))
    const n = arp.neighbors.resolve(addr('10.0.0.2'))
    for (const [length, gsoSize, checksumStart] of [
      [4000, 1460, 34],
      [100, 0, 34],
      [1501, 0, 0],
      [1500, 0, 0],
    ]) {
      nic.open(n, length)
      nic.close(n, length, gsoSize, checksumStart, 16)
    }
    const plain = new TestSink(1500, false)
    nic.setSink(plain)
    arrive(nic, arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1)), 5)
    t.same(
      plain.take().map(f => f.bytes.length),
      [1514],
    )
    t.equal(nic.counters.linkChanged, 3)
  },
)

t.test('a group is heard from join() on, until leave() was called as often', async t => {
  const { nic: n, delivered } = nic()
  const group = mac('01:00:5e:00:00:01')
  const say = () => arrive(n, ethernet(group, macOf(2), ETHERTYPE_IPV4, text), 0)
  n.join(group)
  n.join(mac('01:00:5e:00:00:01'))
  say()
  n.leave(group)
  say()
  n.leave(group)
  say()
  t.same(delivered, ['46 multicast', '46 multicast'])
  t.equal(n.counters.multicastNotJoined, 1)
  t.throws(() => n.leave(group), /Cannot leave group/)
})

t.test('who uses the link is told when it comes and goes', async t => {
  const { nic: n } = nic()
  const told: string[] = []
  n.users.push({ linkUp: () => told.push('up'), linkDown: () => told.push('down') })
  n.setSink(new TestSink())
  n.setSink(undefined)
  t.same(told, ['up', 'down'])
})

t.test(
  'limitMtu() bounds what is sent, before and after the link comes, not what arrives',
  async t => {
    const { nic: n, delivered } = nic()
    n.limitMtu(1400)
    t.equal(n.mtu, 1400)
    n.setSink(new TestSink(1500))
    t.equal(n.mtu, 1400)
    arrive(n, ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, new Uint8Array(1500)), 0)
    t.same(delivered, ['1500'])
    n.limitMtu(9000)
    t.equal(n.mtu, 1500)
    n.setSink(new TestSink(9000))
    t.equal(n.mtu, 9000)
  },
)
