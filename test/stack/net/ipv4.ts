import t from 'tap'
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH } from '../../../src/base/errno.ts'
import { writeU16 } from '../../../src/base/bytes.ts'
import type { NetCounters } from '../../../src/stack/net/counters.ts'
import { Ipv4Path } from '../../../src/stack/net/ipv4-path.ts'
import { LoopbackPath } from '../../../src/stack/net/loopback-path.ts'
import { type Address, ANY_V4 } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { checksum } from '../../../src/wire/checksum.ts'
import { ETHERTYPE_IPV4 } from '../../../src/wire/ethernet.ts'
import { IPV4_DF } from '../../../src/wire/ipv4.ts'
import { BROADCAST_MAC } from '../../../src/wire/mac.ts'
import {
  addr,
  arrive,
  ethernet,
  host,
  ip,
  ipv4Frame,
  ipv4Packet,
  macOf,
  typeOf,
} from '../../helpers/net.ts'

const nonZero = (counters: NetCounters) =>
  Object.fromEntries(Object.entries(counters).filter(([, value]) => value !== 0))

const TEXT = Buffer.from('text')

/** TEXT in a frame with a header changed by `f`, its checksum made right again. */
function framed(f: (header: Uint8Array) => void, headerLength = 20): Uint8Array {
  const packet = new Uint8Array(headerLength + TEXT.length)
  packet.set(ipv4Packet(TEXT).subarray(0, 20))
  packet.set(TEXT, headerLength)
  packet[0] = 0x40 | (headerLength >> 2)
  writeU16(packet, 2, packet.length)
  f(packet)
  writeU16(packet, 10, 0)
  writeU16(packet, 10, checksum(packet, 0, headerLength))
  return ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet)
}

const withOptions = (...options: number[]) =>
  framed(header => header.set(options, 20), 20 + options.length)

const from = (src: string) => ipv4Frame(TEXT, { src })
const to = (dst: string) => ipv4Frame(TEXT, { dst })

for (const [what, frame, want] of [
  ['a plain datagram', ipv4Frame(TEXT), 'arrives'],
  ['DF', ipv4Frame(TEXT, { fragment: IPV4_DF }), 'arrives'],
  ['ttl 1', framed(h => (h[8] = 1)), 'arrives'],
  // RFC 1122 section 3.2.1.7: not to be discarded just because TTL < 2
  ['ttl 0', framed(h => (h[8] = 0)), 'arrives'],
  ['another TOS', framed(h => (h[1] = 0xfc)), 'arrives'],
  ['options that may be ignored', withOptions(1, 7, 3, 0), 'arrives'],
  ['version 6', framed(h => (h[0] = 0x65)), 'badHeader'],
  ['version 0', framed(h => (h[0] = 0x05)), 'badHeader'],
  ['ihl 4', framed(h => (h[0] = 0x44)), 'badHeader'],
  ['ihl past the total length', framed(h => (h[0] = 0x4f)), 'badHeader'],
  ['a total length of 19', framed(h => writeU16(h, 2, 19)), 'badHeader'],
  ['a total length past the frame', framed(h => writeU16(h, 2, 25)), 'badHeader'],
  ['a total length of 0', framed(h => writeU16(h, 2, 0)), 'badHeader'],
  ['bad options', withOptions(7, 0, 0, 0), 'badOptions'],
  ['a source route', withOptions(131, 3, 4, 0), 'sourceRoute'],
  ['from 127.0.0.1', from('127.0.0.1'), 'martianSource'],
  ['from 0.0.0.0', from('0.0.0.0'), 'martianSource'],
  ['from 0.1.2.3', from('0.1.2.3'), 'martianSource'],
  ['from a group', from('224.0.0.1'), 'martianSource'],
  ['from class E', from('240.0.0.1'), 'martianSource'],
  ['from everybody', from('255.255.255.255'), 'martianSource'],
  ['from all of the network', from('10.0.0.255'), 'martianSource'],
  ['from ourselves (LAND)', from('10.0.0.1'), 'martianSource'],
  ['to our loopback address', to('127.0.0.1'), 'notOurAddress'],
  ['to another host', to('10.0.0.3'), 'notOurAddress'],
  ['to 0.0.0.0', to('0.0.0.0'), 'notOurAddress'],
  ['to everybody', to('255.255.255.255'), 'broadcast'],
  ['to all of the network', to('10.0.0.255'), 'broadcast'],
  ['to all hosts', to('224.0.0.1'), 'broadcast'],
  ['to a group', to('239.1.2.3'), 'groupNotJoined'],
  [
    'from 0.0.0.0 to all hosts',
    ipv4Frame(TEXT, { src: '0.0.0.0', dst: '224.0.0.1' }),
    'martianSource',
  ],
  [
    'from 0.0.0.0 to all of the network',
    ipv4Frame(TEXT, { src: '0.0.0.0', dst: '10.0.0.255' }),
    'martianSource',
  ],
  [
    'to us, in a broadcast frame',
    ethernet(BROADCAST_MAC, macOf(2), ETHERTYPE_IPV4, ipv4Packet(TEXT)),
    'linkBroadcast',
  ],
] as const)
  t.test(`Ipv4.arrives(), ${what}: ${want}`, async t => {
    const { nic, ipv4, protocol, sink } = host(1)
    arrive(nic, frame, 5000)
    const { arrived } = protocol
    if (want === 'arrives') {
      t.same(
        arrived.map(a => a.text.toString()),
        ['text'],
      )
      t.same(nonZero(ipv4.counters), { packetsIn: 1 })
    } else {
      t.same(arrived, [])
      t.same(nonZero(ipv4.counters), { packetsIn: 1, [want]: 1 })
    }
    t.same(sink.take(), [], 'nothing is answered')
  })

t.test('Ipv4.arrives(), each bit of the header wrong: badHeaderChecksum or badHeader', async t => {
  const { nic, ipv4, protocol } = host(1)
  for (let bit = 0; bit < 160; bit++) {
    const frame = ipv4Frame(TEXT)
    frame[14 + (bit >> 3)] ^= 1 << (bit & 7)
    arrive(nic, frame, 5000)
  }
  t.same(protocol.arrived, [])
  t.equal(ipv4.counters.badHeaderChecksum + ipv4.counters.badHeader, 160)
})

t.test('Ipv4.arrives(), every truncation: badHeader', async t => {
  const { nic, ipv4, protocol } = host(1)
  const frame = ipv4Frame(TEXT)
  for (let length = 14; length < frame.length; length++) arrive(nic, frame.slice(0, length), 5000)
  t.same(protocol.arrived, [])
  t.equal(ipv4.counters.badHeader, 24)
})

t.test('padding does not reach the protocol, not by one byte', async t => {
  for (const padding of [1, 22, 1000]) {
    const { nic, protocol } = host(1)
    const frame = new Uint8Array(ipv4Frame(TEXT).length + padding).fill(0xee)
    frame.set(ipv4Frame(TEXT))
    arrive(nic, frame, 5000)
    t.same(
      protocol.arrived.map(a => a.text.toString()),
      ['text'],
    )
  }
})

t.test('the protocol sees addresses as words', async t => {
  const { nic, protocol } = host(1)
  arrive(nic, from('200.0.0.2'), 5000)
  const [{ src, dst, loopback, checksumValid }] = protocol.arrived
  t.same([src, dst], [`0:0:65535:${ip('200.0.0.2') >>> 0}`, `0:0:65535:${ip('10.0.0.1')}`])
  t.notOk(loopback)
  t.notOk(checksumValid)
})

for (const [dst, want] of [
  ['10.0.0.2', '10.0.0.1'],
  ['172.16.0.9', '172.16.0.1'],
  ['8.8.8.8', '10.0.0.1'],
  ['10.0.0.1', '10.0.0.1'],
  ['172.16.0.1', '172.16.0.1'],
  ['127.0.0.1', '127.0.0.1'],
  ['127.9.9.9', '127.0.0.1'],
  ['0.0.0.0', -ENETUNREACH],
  ['224.0.0.1', '10.0.0.1'],
  ['255.255.255.255', '10.0.0.1'],
  ['10.0.0.255', '10.0.0.1'],
  ['172.16.15.255', '172.16.0.1'],
] as const)
  t.test(`Ipv4.sourceFor(${dst}) is ${want}`, async t => {
    const { ipv4 } = host(1, ['10.0.0.1/24', '172.16.0.1/20'], '10.0.0.254')
    const got = ipv4.sourceFor(addr(dst))
    t.equal(typeof got === 'number' ? got : formatAddress(got), want)
  })

t.test('two addresses of one network: the first is the source, until it goes', async t => {
  const { ipv4 } = host(1, ['10.0.0.6/24', '10.0.0.7/24', '10.0.0.8/25'])
  const source = () => formatAddress(ipv4.sourceFor(addr('10.0.0.200')) as Address)
  const routes = () => ipv4.routes.all.map(({ source }) => source && formatAddress(source))
  t.equal(source(), '10.0.0.6')
  t.same(routes(), ['10.0.0.8', '10.0.0.6'], 'a route for each network')
  ipv4.addresses.remove(addr('10.0.0.6'))
  t.equal(source(), '10.0.0.7')
  ipv4.addresses.remove(addr('10.0.0.7'))
  t.same(routes(), ['10.0.0.8'])
})

for (const [src, dst, want] of [
  ['10.0.0.1', '10.0.0.2', Ipv4Path],
  ['172.16.0.1', '10.0.0.2', Ipv4Path],
  ['0.0.0.0', '8.8.8.8', Ipv4Path],
  ['10.0.0.1', '240.0.0.1', Ipv4Path],
  ['127.0.0.1', '127.0.0.1', LoopbackPath],
  ['127.0.0.9', '127.8.8.8', LoopbackPath],
  ['10.0.0.1', '127.0.0.1', LoopbackPath],
  ['127.0.0.1', '10.0.0.1', LoopbackPath],
  ['10.0.0.1', '172.16.0.1', LoopbackPath],
  ['0.0.0.0', '10.0.0.1', LoopbackPath],
  ['10.0.0.9', '10.0.0.2', -EADDRNOTAVAIL],
  ['127.0.0.1', '10.0.0.2', -EINVAL],
  ['10.0.0.1', '10.0.0.255', -ENETUNREACH],
  ['10.0.0.1', '239.1.1.1', -ENETUNREACH],
  ['10.0.0.1', '0.0.0.0', -ENETUNREACH],
  ['127.0.0.1', '127.255.255.255', -ENETUNREACH],
] as const)
  t.test(`Ipv4.path(${src}, ${dst})`, async t => {
    const { ipv4 } = host(1, ['10.0.0.1/24', '172.16.0.1/20'], '10.0.0.254')
    const got = ipv4.path(addr(src), addr(dst), 6)
    if (typeof want === 'number') t.equal(got, want)
    else {
      t.ok(got instanceof want)
      t.equal(ipv4.path(addr(src), addr(dst), 6), got, 'the same again')
      t.not(ipv4.path(addr(src), addr(dst), 17), got, 'but not for another protocol')
    }
  })

t.test('without a gateway there is no way but to neighbors; without addresses, none', async t => {
  t.equal(host(1).ipv4.path(ANY_V4, addr('8.8.8.8'), 6), -ENETUNREACH)
  const { ipv4 } = host(1, [])
  t.equal(ipv4.path(ANY_V4, addr('10.0.0.2'), 6), -ENETUNREACH)
  t.ok(ipv4.path(ANY_V4, addr('127.0.0.1'), 6) instanceof LoopbackPath)
})

t.test('what goes through a gateway has its MAC and the far address', async t => {
  const { ipv4, arp, sink } = host(1, ['10.0.0.1/24'], '10.0.0.254')
  arp.neighbors.create(addr('10.0.0.254'), macOf(254))
  const path = ipv4.path(ANY_V4, addr('8.8.8.8'), 6)
  if (typeof path === 'number') return t.fail(`${path}`)
  path.open(8)
  path.close(8, 0, -1)
  const [frame] = sink.take()
  t.equal(typeOf(frame), 'ipv4')
  t.equal(frame.bytes[5], 254)
  t.same([...frame.bytes.subarray(30, 34)], [8, 8, 8, 8])
})
