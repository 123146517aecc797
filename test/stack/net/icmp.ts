import t from 'tap'
import * as E from '../../../src/base/errno.ts'
import { writeU16 } from '../../../src/base/bytes.ts'
import type { Path } from '../../../src/stack/net/path.ts'
import { checksum } from '../../../src/wire/checksum.ts'
import { emitIcmp, IcmpMessage } from '../../../src/wire/icmpv4.ts'
import { IPV4_MF, Ipv4Packet } from '../../../src/wire/ipv4.ts'
import { ETHERTYPE_IPV4 } from '../../../src/wire/ethernet.ts'
import { BROADCAST_MAC } from '../../../src/wire/mac.ts'
import {
  type Frame,
  type Ipv4Fields,
  addr,
  arrive,
  ethernet,
  exchange,
  host,
  ip,
  ipv4Frame,
  ipv4Packet,
  macOf,
} from '../../helpers/net.ts'
import { randomBytes } from '../../helpers/random.ts'

/** An ICMP message. */
function icmp(type: number, code: number, rest: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + body.length)
  bytes.set(body, 8)
  emitIcmp(bytes, 0, bytes.length, type, code, rest)
  return bytes
}

/** Host 1, which knows the MAC of host 2. */
function one() {
  const it = host(1)
  it.arp.neighbors.learn(it.arp.neighbors.resolve(addr('10.0.0.2')), macOf(2), true, 2000)
  return it
}

/** The ICMP message in a frame, checked. */
function messageIn(frame: Frame) {
  const { bytes } = frame
  const header = Ipv4Packet.parse(bytes, 14, bytes.length - 14)!
  const message = IcmpMessage.parse(bytes, 34, header.totalLength - 20)!
  const body = bytes.subarray(message.body, message.body + message.bodyLength)
  return { header, type: message.type, code: message.code, rest: message.rest, body }
}

const DATA = new Uint8Array(65_507)
randomBytes(3)(DATA)

for (const length of [0, 1, 56, 1472, 1473, 3000, 65_507])
  t.test(`echo of ${length} bytes comes back whole`, async t => {
    const [a, b] = [host(1), host(2)]
    // Station 2 sends it as a plain ping would: fragmented to the mtu.
    const message = icmp(8, 0, 0x12345678, DATA.subarray(0, length))
    const replies: Buffer[] = []
    b.ipv4.protocols.set(1, {
      arrives: ({ bytes, transport, length }) =>
        replies.push(Buffer.from(bytes.slice(transport, transport + length))),
      unreachable: () => t.fail('unreachable'),
    })
    const path = b.ipv4.path(addr('10.0.0.2'), addr('10.0.0.1'), 1)
    if (typeof path === 'number') return t.fail(`${path}`)
    const at = path.open(message.length)
    path.bytes.set(message, at)
    path.close(message.length, 0, -1)
    b.arp.run(2001)
    exchange(b, a, 2001)
    a.arp.run(2002)
    exchange(a, b, 2002)
    t.equal(replies.length, 1)
    t.same([replies[0][0], replies[0][1]], [0, 0])
    t.equal(replies[0].readUInt32BE(4), 0x12345678)
    t.equal(checksum(replies[0], 0, replies[0].length), 0)
    t.ok(replies[0].subarray(8).equals(DATA.subarray(0, length)))
  })

t.test('an echo reply carries no padding of the request', async t => {
  const { nic, sink } = one()
  const frame = new Uint8Array(60).fill(0xee)
  frame.set(ipv4Frame(icmp(8, 0, 1, Buffer.from('abcd')), { protocol: 1 }))
  arrive(nic, frame, 5000)
  const [reply] = sink.take()
  t.equal(reply.bytes.length, 14 + 20 + 8 + 4)
  t.equal(Buffer.from(messageIn(reply).body).toString(), 'abcd')
})

for (const [what, frame, counter] of [
  [
    'echo to everybody',
    ipv4Frame(icmp(8, 0, 1, DATA.subarray(0, 8)), { protocol: 1, dst: '10.0.0.255' }),
    'broadcast',
  ],
  ['an echo reply', ipv4Frame(icmp(0, 0, 1, DATA.subarray(0, 8)), { protocol: 1 }), 'icmpIgnored'],
  [
    'a timestamp request',
    ipv4Frame(icmp(13, 0, 1, DATA.subarray(0, 12)), { protocol: 1 }),
    'icmpIgnored',
  ],
  [
    'source quench',
    ipv4Frame(icmp(4, 0, 0, ipv4Packet(DATA.subarray(0, 8))), { protocol: 1 }),
    'icmpIgnored',
  ],
  [
    'an unknown type',
    ipv4Frame(icmp(200, 0, 0, DATA.subarray(0, 8)), { protocol: 1 }),
    'icmpIgnored',
  ],
  ['a message of seven bytes', ipv4Frame(new Uint8Array(7), { protocol: 1 }), 'icmpMalformed'],
  [
    'a wrong checksum',
    ipv4Frame(
      icmp(8, 0, 1, DATA.subarray(0, 8)).map((b, i) => (i === 9 ? b ^ 1 : b)),
      { protocol: 1 },
    ),
    'icmpMalformed',
  ],
] as const)
  t.test(`${what}: no answer, ${counter}`, async t => {
    const { nic, sink, ipv4, protocol } = one()
    arrive(nic, frame, 5000)
    t.same(sink.take(), [])
    t.same(protocol.errors, [])
    t.equal(ipv4.counters[counter], 1)
  })

t.test('a protocol that nobody has: protocol unreachable, with what was sent', async t => {
  for (const length of [0, 8, 100, 528, 529, 1400]) {
    const { nic, sink } = one()
    const packet = ipv4Packet(DATA.subarray(0, length), { protocol: 47 })
    arrive(nic, ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet), 5000)
    const [frame] = sink.take()
    const { header, type, code, rest, body } = messageIn(frame)
    t.same([type, code, rest, header.src, header.dst], [3, 2, 0, ip('10.0.0.1'), ip('10.0.0.2')])
    t.ok(frame.bytes.length - 14 <= 576)
    t.ok(Buffer.from(body).equals(packet.subarray(0, Math.min(packet.length, 548))))
  }
})

for (const [what, fields, payload, dstMac] of [
  ['a broadcast', { protocol: 47, dst: '10.0.0.255' }, DATA.subarray(0, 8), macOf(1)],
  ['a group', { protocol: 47, dst: '224.0.0.1' }, DATA.subarray(0, 8), macOf(1)],
  ['a broadcast frame', { protocol: 47 }, DATA.subarray(0, 8), BROADCAST_MAC],
  ['from a group', { protocol: 47, src: '224.0.0.1' }, DATA.subarray(0, 8), macOf(1)],
  ['a lonely fragment', { protocol: 47, fragment: 10 }, DATA.subarray(0, 8), macOf(1)],
] as readonly (readonly [string, Ipv4Fields, Uint8Array, typeof BROADCAST_MAC])[])
  t.test(`no error about ${what}`, async t => {
    const { nic, sink, ipv4 } = one()
    const packet = ipv4Packet(payload, fields)
    arrive(nic, ethernet(dstMac, macOf(2), ETHERTYPE_IPV4, packet), 5000)
    ipv4.reassembly.run(1e6)
    t.same(sink.take(), [])
  })

t.test('Icmp.error() is silent about errors and later fragments, not about an echo', async t => {
  for (const [packet, want] of [
    [ipv4Packet(icmp(3, 1, 0, DATA.subarray(0, 28)), { protocol: 1 }), 0],
    [ipv4Packet(icmp(11, 0, 0, DATA.subarray(0, 28)), { protocol: 1 }), 0],
    [ipv4Packet(new Uint8Array(0), { protocol: 1 }), 0],
    [ipv4Packet(DATA.subarray(0, 8), { fragment: 1 }), 0],
    [ipv4Packet(icmp(8, 0, 0, DATA.subarray(0, 8)), { protocol: 1, fragment: IPV4_MF }), 1],
    [ipv4Packet(DATA.subarray(0, 8)), 1],
  ] as const) {
    const { ipv4, sink } = one()
    ipv4.icmp.error(packet, 0, packet.length, 11, 1, 5000)
    t.equal(sink.take().length, want)
  }
})

t.test('reassembly that ran out of time: time exceeded, if the first fragment came', async t => {
  const { nic, ipv4, sink } = one()
  arrive(nic, ipv4Frame(DATA.subarray(0, 64), { id: 1, fragment: IPV4_MF }), 5000)
  arrive(nic, ipv4Frame(DATA.subarray(64, 80), { id: 2, fragment: 8 }), 5000)
  ipv4.reassembly.run(35_000)
  const frames = sink.take()
  t.equal(frames.length, 1)
  const { type, code, body } = messageIn(frames[0])
  t.same([type, code], [11, 1])
  t.ok(Buffer.from(body.subarray(20)).equals(DATA.subarray(0, 64)))
})

t.test(
  'errors are limited: a burst of 50 or a few less, then 1000 a second or a few less',
  async t => {
    const { nic, sink, ipv4 } = one()
    const frame = ipv4Frame(DATA.subarray(0, 8), { protocol: 47 })
    const told = (now: number) => {
      for (let i = 0; i < 200; i++) arrive(nic, frame, now)
      return sink.take().length
    }
    const burst = told(5000)
    t.ok(burst >= 48 && burst <= 50, `${burst}`)
    t.equal(told(5000), 0)
    t.equal(ipv4.counters.icmpRateLimited, 400 - burst)
    const later = told(5020)
    t.ok(later >= 18 && later <= 20, `${later} after 20 ms`)
    const rested = told(99_000)
    t.ok(rested >= 48 && rested <= 50)
  },
)

t.test('an answer that finds no room is counted', async t => {
  const { nic, sink, ipv4 } = one()
  sink.room = 0
  arrive(nic, ipv4Frame(icmp(8, 0, 1, DATA.subarray(0, 8)), { protocol: 1 }), 5000)
  t.equal(ipv4.counters.icmpNoRoom, 1)
})

/** What our TCP sent, as an error quotes it: ports 0x1234 and 80, sequence number 0x80000001. */
function quoted(fields: Ipv4Fields = {}, length = 8): Uint8Array {
  const transport = new Uint8Array(length)
  transport.set([0x12, 0x34, 0, 80, 0x80, 0, 0, 1].slice(0, length))
  return ipv4Packet(transport, { src: '10.0.0.1', dst: '8.8.8.8', ...fields })
}

const error = (type: number, code: number, rest: number, body: Uint8Array) =>
  ipv4Frame(icmp(type, code, rest, body), { protocol: 1, src: '10.0.0.254' })

// Linux's icmp_err_convert.
for (const [type, code, errno, hard] of [
  [3, 0, E.ENETUNREACH, false],
  [3, 1, E.EHOSTUNREACH, false],
  [3, 2, E.ENOPROTOOPT, true],
  [3, 3, E.ECONNREFUSED, true],
  [3, 5, E.EOPNOTSUPP, false],
  [3, 6, E.ENETUNREACH, true],
  [3, 7, E.EHOSTDOWN, true],
  [3, 8, E.ENONET, true],
  [3, 9, E.ENETUNREACH, true],
  [3, 10, E.EHOSTUNREACH, true],
  [3, 11, E.ENETUNREACH, false],
  [3, 12, E.EHOSTUNREACH, false],
  [3, 13, E.EHOSTUNREACH, true],
  [3, 14, E.EHOSTUNREACH, true],
  [3, 15, E.EHOSTUNREACH, true],
  [3, 16, E.EHOSTUNREACH, false],
  [11, 0, E.EHOSTUNREACH, false],
  [11, 1, E.EHOSTUNREACH, false],
  [12, 0, E.EPROTO, true],
] as const)
  t.test(`an error of type ${type}, code ${code} is ${E.errnoName(errno)}`, async t => {
    const { nic, protocol, sink } = one()
    arrive(nic, error(type, code, 0, quoted()), 5000)
    const [{ src, dst, from, bytes, ip: header, transport, end, ...rest }] = protocol.errors
    const ports = { srcPort: 0x1234, dstPort: 80, seq: 0x80000001 | 0 }
    t.same(rest, { errno, hard, type, code, mtu: 0, info: 0, ttl: 64, ...ports })
    t.equal(header, transport - 20)
    t.same([src.d, dst.d], [ip('10.0.0.1'), ip('8.8.8.8')])
    t.same(Buffer.from(bytes.subarray(transport, end)), Buffer.from(quoted().subarray(20)))
    t.ok(from.isV4)
    t.same(sink.take(), [])
  })

/** A quoted datagram that says it was longer. */
function long(totalLength: number): Uint8Array {
  const packet = quoted()
  writeU16(packet, 2, totalLength)
  return packet
}

for (const [what, mtu, totalLength, want] of [
  ['1400', 1400, 1500, 1400],
  ['552', 552, 1500, 552],
  ['a mtu below Linux’s least', 68, 1500, 552],
  ['the mtu it had', 1500, 1500, undefined],
  ['a larger one', 9000, 1500, undefined],
  ['nothing (RFC 1191 section 7.1)', 0, 1500, 1492],
  ['nothing, of a datagram of 1492', 0, 1492, 1006],
  ['nothing, of a large one', 0, 65_535, 32_000],
  ['nothing, of a small one', 0, 500, undefined],
] as const)
  t.test(`fragmentation needed, told ${what}: ${want ?? 'ignored'}`, async t => {
    const { nic, protocol, ipv4 } = one()
    arrive(nic, error(3, 4, mtu, long(totalLength)), 5000)
    t.same(
      protocol.errors.map(e => [e.errno, e.mtu]),
      want ? [[E.EMSGSIZE, want]] : [],
    )
    t.equal(ipv4.counters.icmpMalformed, want ? 0 : 1)
  })

for (const believes of [true, false])
  t.test(`fragmentation needed, ${believes ? '' : 'not '}believed by the protocol`, async t => {
    const { nic, protocol, ipv4 } = host(1, ['10.0.0.1/24'], '10.0.0.254')
    const path = ipv4.path(addr('10.0.0.1'), addr('8.8.8.8'), 6) as Path
    protocol.believes = believes
    arrive(nic, error(3, 4, 1400, long(1500)), 5000)
    t.equal(path.mtu, believes ? 1400 : 1500)
    t.equal((ipv4.path(addr('10.0.0.1'), addr('8.8.8.8'), 17) as Path).mtu, path.mtu, 'for all')
    t.equal((ipv4.path(addr('10.0.0.1'), addr('8.8.8.9'), 6) as Path).mtu, 1500, 'of this path')
    ipv4.run(5000 + 600_000)
    t.equal(path.mtu, 1500, 'for ten minutes')
  })

for (const [what, body] of [
  ['of another host', quoted({ src: '10.0.0.7' })],
  ['of a protocol that we do not have', quoted({ protocol: 47 })],
  ['a later fragment', quoted({ fragment: 5 })],
  ['seven bytes of its transport header', quoted({}, 7)],
] as const)
  t.test(`an error that quotes a datagram ${what} is not ours`, async t => {
    const { nic, protocol, ipv4 } = one()
    arrive(nic, error(3, 3, 0, body), 5000)
    t.same(protocol.errors, [])
    t.equal(ipv4.counters.icmpErrorNotOurs, 1)
  })

t.test('an error that quotes too little is dropped at every length', async t => {
  const { nic, protocol, ipv4 } = one()
  const body = quoted()
  for (let length = 0; length < body.length; length++)
    arrive(nic, error(3, 3, 0, body.subarray(0, length)), 5000)
  t.same(protocol.errors, [])
  t.equal(ipv4.counters.icmpMalformed + ipv4.counters.icmpErrorNotOurs, body.length)
})

t.test('two hosts: what has no protocol comes back as an error to its sender', async t => {
  const [a, b] = [host(1), host(2)]
  a.ipv4.protocols.set(47, a.protocol)
  const path = a.ipv4.path(addr('10.0.0.1'), addr('10.0.0.2'), 47)
  if (typeof path === 'number') return t.fail(`${path}`)
  const at = path.open(8)
  path.bytes.set([0, 1, 0, 2, 0, 0, 0, 3], at)
  path.close(8, 0, -1)
  a.arp.run(3000)
  exchange(a, b, 3000)
  t.match(a.protocol.errors, [{ errno: E.ENOPROTOOPT, srcPort: 1, dstPort: 2, seq: 3 }])
})
