import t from 'tap'
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH } from '../../../src/base/errno.ts'
import type { NetCounters } from '../../../src/stack/net/counters.ts'
import { ETHERTYPE_IPV6 } from '../../../src/wire/ethernet.ts'
import { emitFragment } from '../../../src/wire/ipv6.ts'
import { BROADCAST_MAC, groupMac } from '../../../src/wire/mac.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { addr, arrive, ethernet, interfaceAddress, macOf } from '../../helpers/net.ts'
import {
  type Ipv6Fields,
  host6,
  ipv6Frame,
  ipv6Packet,
  know,
  linkLocalOf,
  messageIn,
} from '../../helpers/net6.ts'
import { random, randomBytes } from '../../helpers/random.ts'

const OURS = '2001:db8::1'
const TEXT = new Uint8Array(66_000)
randomBytes(1)(TEXT)
const UDP = TEXT.subarray(0, 30)

function one() {
  const host = host6(1)
  know(host, '2001:db8::2', 2)
  return host
}

for (const [what, frame, length] of [
  ['to our address', ipv6Frame(UDP), 30],
  ['to our link-local address', ipv6Frame(UDP, { src: linkLocalOf(2), dst: linkLocalOf(1) }), 30],
  ['to all nodes', ipv6Frame(UDP, { dst: 'ff02::1' }), 30],
  ['with padding behind it', Buffer.concat([ipv6Frame(UDP), Buffer.alloc(9)]), 30],
  ['without a byte', ipv6Frame(new Uint8Array(0)), 0],
  [
    'behind options',
    ipv6Frame(Buffer.concat([Buffer.from('1100010400000000', 'hex'), UDP]), { next: 60 }),
    30,
  ],
  [
    'in an atomic fragment',
    ipv6Frame(Buffer.concat([Buffer.from('1100000000000007', 'hex'), UDP]), { next: 44 }),
    30,
  ],
] as const)
  t.test(`a datagram ${what} is delivered`, async t => {
    const { nic, protocol } = one()
    arrive(nic, frame, 3000)
    t.equal(protocol.arrived.length, 1)
    t.ok(protocol.arrived[0].text.equals(UDP.subarray(0, length)))
  })

/** Frames with one byte of the packet changed. */
function changed(at: number, value: number): Uint8Array {
  const frame = ipv6Frame(UDP)
  frame[14 + at] = value
  return frame
}

for (const [what, frame, counter] of [
  ['of version 4', changed(0, 0x45), 'badHeader'],
  ['whose length lies', changed(5, 31), 'badHeader'],
  ['from a group', ipv6Frame(UDP, { src: 'ff02::1' }), 'martianSource'],
  ['from ::1', ipv6Frame(UDP, { src: '::1' }), 'martianSource'],
  ['from an IPv4 address', ipv6Frame(UDP, { src: '10.0.0.2' }), 'martianSource'],
  ['from ourselves (LAND)', ipv6Frame(UDP, { src: OURS }), 'martianSource'],
  [
    'from ourselves, an echo request',
    ipv6Frame(Uint8Array.of(128, 0, 0, 0), { src: OURS, next: 58 }),
    'martianSource',
  ],
  ['from nobody', ipv6Frame(UDP, { src: '::' }), 'martianSource'],
  ['to ::1', ipv6Frame(UDP, { dst: '::1' }), 'notOurAddress'],
  ['to nobody', ipv6Frame(UDP, { dst: '::' }), 'notOurAddress'],
  ['to an IPv4 address', ipv6Frame(UDP, { dst: '10.0.0.1' }), 'notOurAddress'],
  ['to another', ipv6Frame(UDP, { dst: '2001:db8::3' }), 'notOurAddress'],
  [
    'to a group that nobody joined, with a MAC that somebody did',
    ipv6Frame(UDP, { dst: 'ff05::1' }),
    'broadcast',
  ],
  ['to a group of scope 0', ipv6Frame(UDP, { dst: 'ff00::1' }), 'broadcast'],
  ['to a group of scope 1', ipv6Frame(UDP, { dst: 'ff01::1' }), 'broadcast'],
  ['to a group, TCP', ipv6Frame(UDP, { dst: 'ff02::1', next: 6 }), 'broadcast'],
  [
    'to us, in a broadcast frame',
    ethernet(BROADCAST_MAC, macOf(2), ETHERTYPE_IPV6, ipv6Packet(UDP)),
    'linkBroadcast',
  ],
  [
    'to us, in a multicast frame',
    ethernet(groupMac(addr('ff02::1')), macOf(2), ETHERTYPE_IPV6, ipv6Packet(UDP)),
    'linkBroadcast',
  ],
  ['of no next header', ipv6Frame(UDP, { next: 59 }), 'noNextHeader'],
  ['with a jumbo option and no length', jumbo(), 'badHeader'],
  [
    'with 100 extension headers',
    ipv6Frame(Buffer.from('3c00010400000000'.repeat(100), 'hex'), { next: 60 }),
    'extensionDiscarded',
  ],
  [
    'with an extension header past its end',
    ipv6Frame(Buffer.from('11ff010400000000', 'hex'), { next: 60 }),
    'badHeader',
  ],
  [
    'with routing type 0',
    ipv6Frame(Buffer.from(`1102000100000000${'20010db8'.repeat(4)}`, 'hex'), { next: 43 }),
    'parameterProblem',
  ],
  [
    'with hop-by-hop options second',
    ipv6Frame(Buffer.from('00000104000000001100010400000000', 'hex'), { next: 60 }),
    'parameterProblem',
  ],
  [
    'with two fragment headers',
    ipv6Frame(Buffer.from('2c000000000000011100000000000001', 'hex'), { next: 44 }),
    'badFragment',
  ],
] as readonly (readonly [string, Uint8Array, keyof NetCounters])[])
  t.test(`a packet ${what} is dropped, and counted`, async t => {
    const { nic, protocol, ipv6 } = one()
    ipv6.groups.add({ group: addr('ff02::2:1'), mode: 'EXCLUDE', sources: [] })
    arrive(nic, frame, 3000)
    t.equal(protocol.arrived.length, 0)
    t.equal(ipv6.counters[counter], 1)
  })

function jumbo(): Uint8Array {
  const frame = ipv6Frame(Buffer.from('1100c20400010000', 'hex'), { next: 0 })
  frame[14 + 5] = 0
  return frame
}

t.test('a frame cut at every length throws nothing and delivers nothing', async t => {
  const { nic, protocol } = one()
  const whole = ipv6Frame(
    Buffer.concat([Buffer.from('2c000502000001001100000000000007', 'hex'), UDP]),
    { next: 0 },
  )
  for (let length = 0; length < whole.length; length++) arrive(nic, whole.slice(0, length), 3000)
  t.equal(protocol.arrived.length, 0)
  arrive(nic, whole, 3000)
  t.equal(protocol.arrived.length, 1)
})

t.test('not enabled: IPv6 is an unknown ethertype', async t => {
  const { nic } = one()
  nic.handlers.delete(ETHERTYPE_IPV6)
  arrive(nic, ipv6Frame(UDP), 3000)
  t.equal(nic.counters.unknownEthertype, 1)
})

// Fragments

interface Fragment extends Ipv6Fields {
  id?: number
}

function fragment(from: number, to: number, more: boolean, { id = 7, ...fields }: Fragment = {}) {
  const payload = new Uint8Array(8 + to - from)
  emitFragment(payload, 0, 17, from, more, id)
  payload.set(TEXT.subarray(from, to), 8)
  return ipv6Frame(payload, { next: 44, ...fields })
}

t.test('fragments in any order are the datagram, its checksum to be checked', async t => {
  const { nic, protocol } = one()
  for (const frame of [fragment(1448, 2000, false), fragment(0, 1448, true)])
    arrive(nic, frame, 3000)
  t.equal(protocol.arrived.length, 1)
  t.ok(protocol.arrived[0].text.equals(TEXT.subarray(0, 2000)))
  t.notOk(protocol.arrived[0].checksumValid)
})

t.test('an atomic fragment is none of a datagram with its id (RFC 6946)', async t => {
  const { nic, protocol, ipv6 } = one()
  arrive(nic, fragment(1448, 2000, false), 3000)
  arrive(nic, fragment(0, 100, false), 3000)
  t.equal(protocol.take().length, 1)
  t.equal(ipv6.reassembly.size, 1)
  arrive(nic, fragment(0, 1448, true), 3000)
  t.equal(protocol.take()[0].text.length, 2000)
})

for (const [what, frames, code, pointer] of [
  ['of no multiple of eight bytes', [fragment(0, 1447, true)], 0, 4],
  ['that ends past 65,535 bytes', [fragment(65_528, 65_536, false)], 0, 42],
  ['without the whole UDP header', [fragment(0, 0, true)], 3, 0],
  [
    'without the whole chain',
    [ipv6Frame(Buffer.from('3c000001000000071101010400000000', 'hex'), { next: 44 })],
    3,
    0,
  ],
] as const)
  t.test(`a first fragment ${what} is a parameter problem, code ${code}`, async t => {
    const { nic, sink, ipv6 } = one()
    for (const frame of frames) arrive(nic, frame, 3000)
    const { type, code: told, rest } = messageIn(sink.take()[0])
    t.same([type, told, rest], [4, code, pointer])
    t.equal(ipv6.reassembly.size, 0)
    t.equal(ipv6.counters.badFragment, 1)
  })

t.test('fragments that overlap end their datagram in silence (RFC 5722)', async t => {
  const { nic, sink, protocol, ipv6 } = one()
  for (const frame of [
    fragment(0, 800, true),
    fragment(792, 1600, false),
    fragment(800, 1600, false),
  ])
    arrive(nic, frame, 3000)
  t.equal(protocol.arrived.length, 0)
  t.equal(ipv6.counters.fragmentOverlap, 1)
  ipv6.run(70_000)
  t.equal(sink.take().length, 0)
})

for (const [what, first] of [
  ['the first', true],
  ['no first', false],
] as const)
  t.test(
    `a datagram that is not whole after 60 s, ${what} fragment seen: ${first ? 'told' : 'silence'}`,
    async t => {
      const { nic, sink, ipv6 } = one()
      const frame = first ? fragment(0, 800, true) : fragment(800, 1600, false)
      arrive(nic, frame, 3000)
      ipv6.run(62_999)
      t.equal(ipv6.counters.reassemblyTimeout, 0)
      know({ ipv6 }, '2001:db8::2', 2, 62_999)
      ipv6.run(63_000)
      const frames = sink.take()
      t.equal(frames.length, first ? 1 : 0)
      if (!first) return
      const { type, code, bytes, body, bodyLength } = messageIn(frames[0])
      t.same([type, code], [3, 1])
      t.ok(Buffer.from(bytes.slice(body, body + bodyLength)).equals(frame.slice(14)))
    },
  )

t.test('two fragments whose joint is a fragment: it is not unpacked again', async t => {
  const { nic, protocol, ipv6 } = one()
  const inner = Buffer.concat([Buffer.from('1100000000000009', 'hex'), UDP.subarray(0, 24)])
  for (const [from, to] of [
    [0, 16],
    [16, 32],
  ]) {
    const payload = new Uint8Array(8 + to - from)
    emitFragment(payload, 0, 44, from, to < 32, 5)
    payload.set(inner.subarray(from, to), 8)
    arrive(nic, ipv6Frame(payload, { next: 44 }), 3000)
  }
  t.equal(protocol.arrived.length, 0)
  t.equal(ipv6.counters.badFragment, 1)
})

t.test('20,000 random chains and fragments, seed 6: no throw, memory bounded', async t => {
  const { nic, ipv6, sink } = one()
  const next = random(6)
  const types = [0, 43, 44, 60, 6, 17, 58, 59, 99]
  for (let i = 0; i < 20_000; i++) {
    const payload = Uint8Array.from({ length: next() % 120 }, () =>
      next() % 2 ? types[next() % 9] : next() % 4,
    )
    arrive(nic, ipv6Frame(payload, { next: types[next() % 9] }), i)
    sink.take()
  }
  ipv6.run(20_000)
  t.ok(ipv6.reassembly.memory <= 1 << 20)
  t.ok(ipv6.reassembly.size <= 64)
})

// Ways out

for (const [what, src, dst, want] of [
  ['to our link', '::', '2001:db8::9', OURS],
  ['to a link-local address', '::', 'fe80::9', linkLocalOf(1)],
  ['to a group of the link', '::', 'ff02::5', linkLocalOf(1)],
  ['to a group of wider scope', '::', 'ff0e::5', OURS],
  ['to ::1', '::', '::1', '::1'],
  ['to ourselves', '::', OURS, OURS],
  ['beyond the link', '::', '2001:db8:1::1', -ENETUNREACH],
  ['to nobody', '::', '::', -ENETUNREACH],
  ['to a group of this interface', '::', 'ff01::1', -ENETUNREACH],
  ['from another', '2001:db8::9', '2001:db8::9', -EADDRNOTAVAIL],
  ['from ::1', '::1', '2001:db8::9', -EINVAL],
  ['from our link-local address', linkLocalOf(1), '2001:db8::9', linkLocalOf(1)],
] as const)
  t.test(`Ipv6.path() ${what}`, async t => {
    const { ipv6 } = one()
    const path = ipv6.path(addr(src), addr(dst), 6)
    t.equal(typeof path === 'number' ? path : formatAddress(path.src), want)
    if (typeof path !== 'number')
      t.equal(ipv6.path(addr(src), addr(dst), 6), path, 'the same again')
  })

t.test('Ipv6.path() follows the longest prefix, then the smallest metric', async t => {
  const { ipv6 } = one()
  const add = (text: string, gateway: string, metric: number) =>
    ipv6.routes.add({
      destination: { address: addr(text.split('/')[0]), prefixLength: Number(text.split('/')[1]) },
      gateway: addr(gateway),
      source: undefined,
      metric,
      origin: 'static',
      expires: Infinity,
    })
  add('::/0', 'fe80::1', 10)
  add('::/0', 'fe80::2', 5)
  add('2001:db8:1::/48', 'fe80::3', 100)
  t.same(ipv6.hopFor(addr('2001:db8:2::1')), addr('fe80::2'))
  t.same(ipv6.hopFor(addr('2001:db8:1::1')), addr('fe80::3'))
  t.same(ipv6.hopFor(addr('2001:db8::9')), addr('2001:db8::9'))
})

t.test('an address and its network are gone with removeAddress(); its group too', async t => {
  const { ipv6, nic } = one()
  ipv6.addresses.add(interfaceAddress('2001:db8:5::aa:1/64'))
  const group = addr('ff02::1:ffaa:1')
  t.ok(ipv6.groups.find(group))
  t.ok(ipv6.hopFor(addr('2001:db8:5::9')))
  ipv6.addresses.remove(addr('2001:db8:5::aa:1'))
  t.notOk(ipv6.groups.find(group))
  t.equal(ipv6.hopFor(addr('2001:db8:5::9')), undefined)
  arrive(nic, ipv6Frame(UDP, { dst: 'ff02::1:ffaa:1' }), 3000)
  t.equal(nic.counters.multicastNotJoined, 1)
})
