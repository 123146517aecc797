import t from 'tap'
import * as E from '../../../src/base/errno.ts'
import type { NetCounters } from '../../../src/stack/net/counters.ts'
import { Address } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { type Frame, addr, arrive, exchange } from '../../helpers/net.ts'
import {
  type Ipv6Fields,
  host6,
  icmp6,
  icmp6Frame,
  ipv6Frame,
  ipv6Packet,
  know,
  linkLocalOf,
  messageIn,
} from '../../helpers/net6.ts'
import { randomBytes } from '../../helpers/random.ts'

const OURS = '2001:db8::1'
const PEER = '2001:db8::2'
const DATA = new Uint8Array(65_527)
randomBytes(3)(DATA)

/** Host 1, which knows station 2's MAC. */
function one(options = {}) {
  const host = host6(1, options)
  know(host, PEER, 2)
  know(host, linkLocalOf(2), 2)
  return host
}

const message = (
  type: number,
  code: number,
  rest: number,
  body: Uint8Array,
  fields: Ipv6Fields = {},
) => icmp6Frame(icmp6(type, code, rest, body), { hopLimit: 64, ...fields })

/** A frame's message in short. */
function said(frame: Frame) {
  const { type, code, rest, bytes, body, bodyLength } = messageIn(frame)
  const [src, dst] = [22, 38].map(i => formatAddress(Address.read(frame.bytes, i, 16)))
  return { src, dst, type, code, rest, body: Buffer.from(bytes.slice(body, body + bodyLength)) }
}

for (const length of [0, 1, 56, 1452, 1453, 3000, 65_527])
  t.test(`echo of ${length} bytes comes back whole`, async t => {
    const [a, b] = [host6(1), host6(2)]
    const replies: Buffer[] = []
    b.ipv6.icmp.handlers.set(129, (_packet, reply) =>
      replies.push(Buffer.from(reply.bytes.slice(reply.at, reply.at + reply.length))),
    )
    const path = b.ipv6.path(addr(PEER), addr(OURS), 58)
    if (typeof path === 'number') return t.fail(`${path}`)
    const at = path.open(8 + length)
    icmp6(128, 0, 0x12345678, DATA.subarray(0, length))(path.bytes, at)
    path.close(8 + length, 0, 2)
    b.ipv6.run(2001)
    exchange(b, a, 2001)
    a.ipv6.run(2002)
    exchange(a, b, 2002)
    t.equal(replies.length, 1)
    t.equal(replies[0].readUInt32BE(4), 0x12345678)
    t.ok(replies[0].subarray(8).equals(DATA.subarray(0, length)))
  })

for (const [what, dst, src, from] of [
  ['to a global address', OURS, PEER, OURS],
  ['to the link-local address', linkLocalOf(1), linkLocalOf(2), linkLocalOf(1)],
  ['to all nodes, from a link-local address', 'ff02::1', linkLocalOf(2), linkLocalOf(1)],
  ['to all nodes, from a global address', 'ff02::1', PEER, OURS],
] as const)
  t.test(`echo ${what} is answered from ${from}`, async t => {
    const { nic, sink } = one()
    arrive(nic, message(128, 0, 7, Buffer.from('abcd'), { src, dst }), 3000)
    t.match(said(sink.take()[0]), { src: from, dst: src, type: 129, code: 0, rest: 7 })
  })

t.test('an echo reply carries no padding of the request', async t => {
  const { nic, sink } = one()
  const frame = new Uint8Array(100).fill(0xee)
  frame.set(message(128, 0, 1, Buffer.from('abcd')))
  arrive(nic, frame, 3000)
  t.equal(sink.take()[0].bytes.length, 14 + 40 + 8 + 4)
})

for (const [what, frame, counter] of [
  ['an echo reply', message(129, 0, 1, DATA.subarray(0, 8)), 'icmpIgnored'],
  ['an unknown informational type', message(200, 0, 1, DATA.subarray(0, 8)), 'icmpIgnored'],
  ['a router solicitation', message(133, 0, 0, DATA.subarray(0, 0)), 'icmpIgnored'],
  ['an unknown error', message(100, 0, 0, ipv6Packet(DATA.subarray(0, 20))), 'icmpIgnored'],
  ['type 0', message(0, 0, 0, ipv6Packet(DATA.subarray(0, 20))), 'icmpIgnored'],
  ['seven bytes', ipv6Frame(new Uint8Array(7), { next: 58 }), 'icmpMalformed'],
  ['a wrong checksum', ipv6Frame(new Uint8Array(16).fill(0x80), { next: 58 }), 'icmpMalformed'],
  ['echo from nobody', message(128, 0, 1, DATA.subarray(0, 8), { src: '::' }), 'martianSource'],
  ['an error that quotes nothing', message(1, 4, 0, DATA.subarray(0, 0)), 'icmpErrorNotOurs'],
  [
    'an error that quotes IPv4',
    message(1, 4, 0, new Uint8Array(60).fill(0x45)),
    'icmpErrorNotOurs',
  ],
] as readonly (readonly [string, Uint8Array, keyof NetCounters])[])
  t.test(`${what} is dropped, and counted`, async t => {
    const { nic, sink, ipv6, protocol } = one()
    arrive(nic, frame, 3000)
    t.equal(sink.take().length, 0)
    t.equal(ipv6.counters[counter], 1)
    t.equal(protocol.errors.length, 0)
  })

// Errors that we send

/** Of a protocol that nobody here has. */
const strange = (fields: Ipv6Fields = {}, length = 100) =>
  ipv6Frame(DATA.subarray(0, length), { next: 99, ...fields })

t.test(
  'an unknown next header is a parameter problem, code 1, which quotes the packet',
  async t => {
    const { nic, sink, ipv6 } = one()
    arrive(nic, strange(), 3000)
    const problem = said(sink.take()[0])
    t.match(problem, { src: OURS, dst: PEER, type: 4, code: 1, rest: 6 })
    t.ok(problem.body.equals(strange().subarray(14)))
    t.match(ipv6.counters, { icmpErrorsOut: 1, noProtocol: 1, parameterProblem: 1 })
  },
)

t.test('an error has at most 1,280 bytes', async t => {
  const { nic, sink } = one()
  arrive(nic, strange({}, 1400), 3000)
  t.equal(sink.take()[0].bytes.length, 14 + 1280)
})

for (const [what, frame] of [
  ['from nobody', strange({ src: '::' })],
  ['to a group', strange({ dst: 'ff02::1' })],
  [
    'behind an option to be skipped, to a group',
    ipv6Frame(Buffer.from('63001e0400000000', 'hex'), { next: 60, dst: 'ff02::1' }),
  ],
] as const)
  t.test(`no error about a packet ${what}`, async t => {
    const { nic, sink } = one()
    arrive(nic, frame, 3000)
    t.equal(sink.take().length, 0)
  })

for (const [type, answered] of [
  [1, false],
  [100, false],
  [127, false],
  [137, false],
  [128, true],
  [129, true],
] as const)
  t.test(
    `Icmpv6.error() about a message of type ${type}: ${answered ? 'sent' : 'silence'}`,
    async t => {
      const { ipv6, sink } = one()
      const about = ipv6Packet(Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0), { next: 58 })
      ipv6.icmp.error(about, 0, about.length, 4, 1, 40, 3000)
      t.equal(sink.take().length === 1, answered)
    },
  )

t.test('Icmpv6.error() about an ICMPv6 message whose type is cut off: silence', async t => {
  const { ipv6, sink } = one()
  const about = ipv6Packet(new Uint8Array(0), { next: 58 })
  ipv6.icmp.error(about, 0, about.length, 4, 1, 40, 3000)
  t.equal(sink.take().length, 0)
})

for (const [action, code, group, tells] of [
  ['00', '1e', false, false],
  ['01', '5e', false, false],
  ['10', '9e', false, true],
  ['11', 'de', false, true],
  ['00', '1e', true, false],
  ['01', '5e', true, false],
  ['10', '9e', true, true],
  ['11', 'de', true, false],
] as const)
  t.test(
    `unknown option of action ${action} to ${group ? 'a group' : 'us'}: ${tells ? 'told' : 'silence'}`,
    async t => {
      const { nic, sink, ipv6, protocol } = one()
      const payload = Buffer.concat([Buffer.from(`1100${code}0400000000`, 'hex'), Buffer.alloc(8)])
      arrive(nic, ipv6Frame(payload, { next: 60, dst: group ? 'ff02::1' : OURS }), 3000)
      const frames = sink.take()
      t.equal(frames.length, tells ? 1 : 0)
      if (tells) t.match(said(frames[0]), { src: OURS, type: 4, code: 2, rest: 42 })
      t.equal(protocol.arrived.length, action === '00' ? 1 : 0)
      t.equal(ipv6.counters.extensionDiscarded, action === '01' ? 1 : 0)
    },
  )

t.test('errors are limited to 50 at once', async t => {
  const { nic, sink, ipv6 } = one()
  for (let i = 0; i < 1000; i++) arrive(nic, strange(), 3000)
  const sent = sink.take().length
  t.ok(sent >= 47 && sent <= 50, `${sent}`)
  t.equal(ipv6.counters.icmpRateLimited, 1000 - sent)
})

// Errors that we get

/** What a router quotes: our packet, maybe with something before the transport header. */
function quoted(fields: Ipv6Fields & { ahead?: string; length?: number } = {}) {
  const { ahead = '', length = 20, ...rest } = fields
  const transport = Buffer.alloc(length)
  Buffer.from('1234005000000007', 'hex').copy(transport)
  const headers = Buffer.from(ahead, 'hex')
  return ipv6Packet(Buffer.concat([headers, transport]), {
    src: OURS,
    dst: '2001:db8:9::9',
    next: 17,
    ...rest,
  })
}

for (const [type, code, errno, hard] of [
  [1, 0, E.ENETUNREACH, false],
  [1, 1, E.EACCES, true],
  [1, 2, E.EHOSTUNREACH, false],
  [1, 3, E.EHOSTUNREACH, false],
  [1, 4, E.ECONNREFUSED, true],
  [1, 5, E.EACCES, true],
  [1, 6, E.EACCES, true],
  [1, 7, E.EPROTO, false],
  [3, 0, E.EHOSTUNREACH, false],
  [3, 1, E.EHOSTUNREACH, false],
  [4, 0, E.EPROTO, true],
  [4, 1, E.EPROTO, true],
] as const)
  t.test(`type ${type} code ${code} is errno ${errno}, ${hard ? 'hard' : 'soft'}`, async t => {
    const { nic, protocol } = one()
    arrive(nic, message(type, code, 0, quoted()), 3000)
    t.match(protocol.errors, [
      { type, code, errno, hard, mtu: 0, src: addr(OURS), dst: addr('2001:db8:9::9'), srcPort: 0x1234, dstPort: 80, seq: 7 }, // prettier-ignore
    ])
  })

for (const [what, body, found] of [
  ['behind destination options', quoted({ next: 60, ahead: '1100010400000000' }), true],
  ['in a first fragment', quoted({ next: 44, ahead: '1100000100000001' }), true],
  ['in a later fragment', quoted({ next: 44, ahead: '1100000900000001' }), false],
  ['cut after seven bytes', quoted({ length: 7 }), false],
  ['cut in the IPv6 header', quoted().slice(0, 39), false],
  [
    'cut in an extension header',
    quoted({ next: 60, ahead: '1100010400000000' }).slice(0, 44),
    false,
  ],
  ['not from us', quoted({ src: PEER }), false],
  ['of an unknown protocol', quoted({ next: 99 }), false],
] as const)
  t.test(
    `an error that quotes a transport header ${what} is ${found ? '' : 'not '}handed on`,
    async t => {
      const { nic, protocol, ipv6 } = one()
      arrive(nic, message(1, 4, 0, body), 3000)
      t.equal(protocol.errors.length, found ? 1 : 0)
      if (found) t.match(protocol.errors[0], { srcPort: 0x1234, dstPort: 80 })
      else t.equal(ipv6.counters.icmpErrorNotOurs, 1)
    },
  )

for (const [mtu, believed] of [
  [0, false],
  [68, false],
  [1279, false],
  [1280, true],
  [1400, true],
  [1500, false],
  [0xffffffff, false],
] as const)
  t.test(
    `packet too big, mtu ${mtu}, about 1,500 bytes: ${believed ? 'learnt' : 'not believed'}`,
    async t => {
      const { nic, protocol, ipv6 } = one()
      const dst = '2001:db8::9'
      const body = quoted({ dst, length: 1460 }).slice(0, 1232)
      arrive(nic, message(2, 0, mtu | 0, body), 3000)
      t.equal(protocol.errors.length, believed ? 1 : 0)
      const path = ipv6.path(addr(OURS), addr(dst), 17)
      if (typeof path === 'number') return t.fail(`${path}`)
      t.equal(path.mtu, believed ? mtu : 1500)
      t.equal(ipv6.counters.icmpMalformed, believed ? 0 : 1)
      ipv6.run(602_999)
      t.equal(path.mtu, believed ? mtu : 1500)
      ipv6.run(603_000)
      t.equal(path.mtu, 1500, 'forgotten after ten minutes')
    },
  )

t.test('packet too big that the protocol does not believe teaches nothing', async t => {
  const { nic, ipv6 } = one()
  ipv6.protocols.set(17, { arrives: () => t.fail('a datagram'), unreachable: () => false })
  arrive(nic, message(2, 0, 1280, quoted({ length: 1460 })), 3000)
  t.equal(ipv6.pathMtus.size, 0)
})

t.test(
  'packet too big about a large echo reply of ours is believed, about another not',
  async t => {
    const { nic, sink, ipv6 } = one()
    arrive(nic, message(128, 0, 0x1234_0001, DATA.subarray(0, 1400)), 3000)
    const reply = sink.take()[0].bytes.slice(14)
    const other = reply.slice()
    other[47] = 2
    arrive(nic, message(2, 0, 1280, other.slice(0, 1232)), 3000)
    t.equal(ipv6.pathMtus.size, 0)
    arrive(nic, message(2, 0, 1280, reply.slice(0, 1232)), 3000)
    t.equal(ipv6.pathMtus.find(addr(PEER)).mtu, 1280)
  },
)

t.test('Icmpv6 under 20,000 random messages, seed 4: no throw, and nothing is learnt', async t => {
  const { nic, ipv6, sink } = one()
  const random = randomBytes(4)
  for (let i = 0; i < 20_000; i++) {
    const body = new Uint8Array(i % 90)
    random(body)
    arrive(nic, message(i % 256, i % 5 ? 0 : i % 7, i, body, { hopLimit: 255 }), 3000)
    sink.take()
  }
  t.equal(ipv6.pathMtus.size, 0)
  t.equal(ipv6.routes.all.filter(route => route.origin !== 'connected').length, 0)
})
