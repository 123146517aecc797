import t from 'tap'
import { ArpMessage } from '../../../src/wire/arp.ts'
import { BROADCAST_MAC, Mac, formatMac } from '../../../src/wire/mac.ts'
import { Address } from '../../../src/wire/address.ts'
import { formatIpv4, parsePrefix } from '../../../src/wire/address-text.ts'
import { Arp } from '../../../src/stack/link/arp.ts'
import { InterfaceAddress } from '../../../src/stack/net/addresses.ts'
import { Nic } from '../../../src/stack/link/nic.ts'
import {
  type Frame,
  TestSink,
  addr,
  arpFrame,
  arrive,
  host,
  interfaceAddress,
  mac,
  macOf,
  typeOf,
} from '../../helpers/net.ts'

/** A frame with ARP in words: "request 10.0.0.1 -> 10.0.0.2 to ff:ff:ff:ff:ff:ff". */
function say(frame: Frame): string {
  const message = ArpMessage.parse(frame.bytes, 14, frame.bytes.length - 14)!
  const to = formatMac(Mac.read(frame.bytes, 0))
  return `${typeOf(frame)} ${formatIpv4(message.spa)} -> ${formatIpv4(message.tpa)} to ${to}`
}

/** ARP on a nic without a link, and nothing above it. */
function bare(...addresses: string[]) {
  const own = addresses.map(interfaceAddress)
  const nic = new Nic(macOf(1))
  const arp = new Arp(
    nic,
    {
      words: () => own.map(({ address }) => address.d),
      has: word => own.some(({ address }) => address.d === word),
      keeps: () => true,
      sourceOnLink: word =>
        own.find(o => o.address.matches(Address.v4(word), o.prefixLength))?.address.d,
    },
    () => 0,
  )
  return { nic, arp }
}

const TWO = '02:00:00:00:00:02'
const ALL = formatMac(BROADCAST_MAC)

t.test('a link that comes up hears two announcements, 2 s apart (RFC 5227)', async t => {
  const { nic, arp } = bare('10.0.0.1/24', '10.9.0.1/16')
  t.equal(arp.next, Infinity)
  const sink = new TestSink()
  nic.setSink(sink)
  t.ok(arp.next <= 100)
  arp.run(100)
  const both = [`request 10.0.0.1 -> 10.0.0.1 to ${ALL}`, `request 10.9.0.1 -> 10.9.0.1 to ${ALL}`]
  t.same(sink.take().map(say), both)
  t.equal(arp.next, 2100)
  arp.run(2099)
  t.same(sink.take(), [])
  arp.run(2100)
  t.same(sink.take().map(say), both)
  t.equal(arp.next, Infinity)
  nic.setSink(undefined)
  nic.setSink(sink)
  arp.run(9000)
  t.equal(sink.take().length, 2, 'and again when it comes up again')
})

t.test('an announcement that found no room is made up for', async t => {
  const { nic, arp } = bare('10.0.0.1/24')
  const sink = new TestSink()
  sink.room = 0
  nic.setSink(sink)
  arp.run(0)
  t.equal(nic.counters.arpNoRoom, 1)
  sink.room = Infinity
  for (const now of [2000, 4000, 6000, 8000]) arp.run(now)
  t.equal(sink.take().length, 2)
})

t.test('a request for us: unicast reply, and an entry for who asked', async t => {
  const { nic, arp, sink } = host(1)
  arrive(nic, arpFrame('request', macOf(2), '10.0.0.2', '10.0.0.1'), 5000)
  t.same(sink.take().map(say), [`reply 10.0.0.1 -> 10.0.0.2 to ${TWO}`])
  t.equal(arp.neighbors.find(addr('10.0.0.2'))!.state, 'STALE')
})

t.test('a probe (RFC 5227) of our address: reply, no entry', async t => {
  const { nic, arp, sink } = host(1)
  arrive(nic, arpFrame('request', macOf(2), '0.0.0.0', '10.0.0.1'), 5000)
  t.same(sink.take().map(say), [`reply 10.0.0.1 -> 0.0.0.0 to ${TWO}`])
  t.equal(arp.neighbors.size, 0)
})

for (const [what, frame] of [
  ['a request for somebody else', arpFrame('request', macOf(2), '10.0.0.2', '10.0.0.3')],
  ['an unsolicited reply to us', arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1))],
  ['a broadcast reply', arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1')],
  ['an announcement', arpFrame('request', macOf(2), '10.0.0.2', '10.0.0.2')],
] as const)
  t.test(`${what}: no answer, no entry`, async t => {
    const { nic, arp, sink } = host(1)
    arrive(nic, frame, 5000)
    t.same(sink.take(), [])
    t.equal(arp.neighbors.size, 0)
    t.equal(nic.counters.arpIn, 1)
  })

t.test('a request from another network: reply, no entry', async t => {
  const { nic, arp, sink } = host(1)
  arrive(nic, arpFrame('request', macOf(2), '192.0.2.7', '10.0.0.1'), 5000)
  t.equal(sink.take().length, 1)
  t.equal(arp.neighbors.size, 0)
})

t.test('an announcement moves an entry that exists', async t => {
  const { nic, arp } = host(1)
  arrive(nic, arpFrame('request', macOf(2), '10.0.0.2', '10.0.0.1'), 5000)
  arrive(nic, arpFrame('request', macOf(9), '10.0.0.2', '10.0.0.2'), 6000)
  const neighbor = arp.neighbors.find(addr('10.0.0.2'))!
  t.ok(neighbor.mac.equals(macOf(9)))
  t.equal(neighbor.state, 'STALE')
})

for (const [what, frame] of [
  ['a multicast sender', arpFrame('request', mac('03:00:00:00:00:02'), '10.0.0.2', '10.0.0.1')],
  ['a multicast address', arpFrame('request', macOf(2), '224.0.0.1', '10.0.0.1')],
  ['a loopback address', arpFrame('request', macOf(2), '127.0.0.1', '10.0.0.1')],
  ['address 0.0.0.9', arpFrame('request', macOf(2), '0.0.0.9', '10.0.0.1')],
  ['the broadcast address', arpFrame('request', macOf(2), '255.255.255.255', '10.0.0.1')],
] as const)
  t.test(`${what} is nobody: dropped and counted`, async t => {
    const { nic, arp, sink } = host(1)
    const good = frame.slice()
    macOf(2).write(good, 6) // the Ethernet source alone would be refused before
    arrive(nic, good, 5000)
    t.same(sink.take(), [])
    t.equal(arp.neighbors.size, 0)
    t.equal(nic.counters.arpMalformed, 1)
  })

t.test('every truncation is dropped and counted', async t => {
  const { nic, sink } = host(1)
  const frame = arpFrame('request', macOf(2), '10.0.0.2', '10.0.0.1')
  for (let length = 14; length < frame.length; length++) arrive(nic, frame.slice(0, length), 5000)
  t.equal(nic.counters.arpMalformed, 28)
  t.same(sink.take(), [])
})

t.test('a conflict is told, and answered once in 10 s (RFC 5227 section 2.4)', async t => {
  const { nic, arp, sink } = host(1)
  const told: string[] = []
  arp.onConflict = (address, mac, now) =>
    told.push(`${formatIpv4(address)} ${formatMac(mac)} ${now}`)
  const claim = arpFrame('request', macOf(2), '10.0.0.1', '10.0.0.9')
  for (const now of [20_000, 20_001, 29_999]) arrive(nic, claim, now)
  t.same(sink.take().map(say), [`request 10.0.0.1 -> 10.0.0.1 to ${ALL}`])
  arrive(nic, arpFrame('reply', macOf(2), '10.0.0.1', '10.0.0.9'), 30_000)
  t.equal(sink.take().length, 1)
  t.equal(nic.counters.arpConflicts, 4)
  t.equal(told.length, 4)
  t.equal(told[0], `10.0.0.1 ${TWO} 20000`)
  t.equal(arp.neighbors.size, 0)
})

for (const [name, times, want] of [
  ['one claim is answered, and no more', [20_000], { sent: 1, lost: [] }],
  ['claims 10 s apart are each answered', [20_000, 30_000, 40_000], { sent: 3, lost: [] }],
  ['a second one within 10 s: given up', [20_000, 29_999], { sent: 1, lost: [29_999] }],
] as const)
  t.test(`an address from DHCP (RFC 5227 section 2.4(b)): ${name}`, async t => {
    const { nic, arp, ipv4, sink } = host(1, [])
    const entry = ipv4.addresses.add(
      new InterfaceAddress(parsePrefix('10.0.0.1/24')!, 'dhcp', 'PREFERRED', Infinity, Infinity),
    )
    for (const now of [4000, 6000]) arp.run(now)
    sink.take()
    const lost: number[] = []
    ipv4.onLost = (address, by, now) => {
      t.equal(formatMac(by), TWO)
      t.ok(address.equals(addr('10.0.0.1')))
      lost.push(now)
    }
    for (const now of times) arrive(nic, arpFrame('reply', macOf(2), '10.0.0.1', '10.0.0.9'), now)
    t.same({ sent: sink.take().length, lost }, want)
    t.equal(entry.state, lost.length > 0 ? 'DUPLICATED' : 'PREFERRED')
    arrive(nic, arpFrame('request', macOf(2), '10.0.0.2', '10.0.0.1'), 60_000)
    t.equal(sink.take().length, lost.length > 0 ? 0 : 1, 'who asks for it')
  })

t.test('our own message, come back by another way, is no conflict', async t => {
  const { nic } = host(1)
  const frame = arpFrame('request', macOf(1), '10.0.0.1', '10.0.0.1')
  macOf(7).write(frame, 6)
  arrive(nic, frame, 5000)
  t.equal(nic.counters.arpConflicts, 0)
})

t.test('two hosts find each other', async t => {
  const { nic, arp, sink } = host(1)
  const n = arp.neighbors.resolve(addr('10.0.0.2'))
  arp.run(5000)
  t.same(sink.take().map(say), [`request 10.0.0.1 -> 10.0.0.2 to ${ALL}`])
  arrive(nic, arpFrame('reply', macOf(2), '10.0.0.2', '10.0.0.1', macOf(1)), 5010)
  t.equal(n.state, 'REACHABLE')
  t.ok(n.mac.equals(macOf(2)))
})
