import t from 'tap'
import * as E from '../../../../src/base/errno.ts'
import { u16, writeU16 } from '../../../../src/base/bytes.ts'
import { LOOPBACK_INDEX, NIC_INDEX } from '../../../../src/stack/stack.ts'
import { PMTUDISC_DO } from '../../../../src/stack/stack.ts'
import { checksum } from '../../../../src/wire/checksum.ts'
import { emitIpv4 } from '../../../../src/wire/ipv4.ts'
import { emitIpv6 } from '../../../../src/wire/ipv6.ts'
import { type Frame, addr, ip, typeOf } from '../../../helpers/net.ts'
import { RawSocket } from '../../../helpers/raw.ts'
import { Network, Node } from '../../../helpers/stacks.ts'
import { UdpSocket } from '../../../helpers/udp.ts'

/** A protocol that nobody has. */
const NOBODY = 253
const TEXT = Buffer.from('raw text')
const OWN = '2001:db8::1'

/** Two hosts that know each other's MAC, and what crosses the wire. */
function two(options: ConstructorParameters<typeof Node>[1] = {}) {
  const [one, other] = [
    new Node(1, { addresses: ['10.0.0.1/24', `${OWN}/64`], ...options }),
    new Node(2, { addresses: ['10.0.0.2/24', '2001:db8::2/64'] }),
  ]
  const net = new Network(one, other)
  net.run(5000)
  const frames: Frame[] = []
  const [a, b] = [new RawSocket(one, NOBODY), new RawSocket(one, NOBODY, 6)]
  a.send(TEXT, '10.0.0.2')
  b.send(TEXT, '2001:db8::2')
  net.run(1000)
  a.close()
  b.close()
  net.filter = frame => {
    if (typeOf(frame) === 'ipv4' || u16(frame.bytes, 12) === 0x86dd) frames.push(frame)
    return frame
  }
  return { one, other, net, frames }
}

/** An echo request of ICMP. */
function echo(type = 8, length = 16): Buffer {
  const message = Buffer.alloc(length, 7)
  message.set([type, 0, 0, 0])
  writeU16(message, 2, checksum(message, 0, length))
  return message
}

t.test('IPv4: with its header; IPv6: without', async t => {
  const { one, other, net } = two()
  const [from, to] = [new RawSocket(one, NOBODY), new RawSocket(other, NOBODY)]
  const [from6, to6] = [new RawSocket(one, NOBODY, 6), new RawSocket(other, NOBODY, 6)]
  t.equal(from.send(TEXT, '10.0.0.2'), TEXT.length)
  t.equal(from6.send(TEXT, '2001:db8::2'), TEXT.length)
  net.run(10)
  const [whole] = to.take()
  t.equal(whole.length, 20 + TEXT.length)
  t.same(whole.subarray(20), TEXT)
  t.equal(checksum(whole, 0, 20), 0)
  t.equal(whole[9], NOBODY)
  t.same(to6.take(), [TEXT])
  t.same([from.got, from6.got], [[], []])
})

t.test('each of the protocol gets a copy; TCP, UDP and ICMP get theirs, too', async t => {
  const { one, other, net } = two()
  const udp = new UdpSocket(other)
  udp.bind('0.0.0.0', 53)
  const raws = [17, 17, 6, NOBODY].map(protocol => new RawSocket(other, protocol))
  const sender = new UdpSocket(one)
  sender.send('text', '10.0.0.2', 53)
  net.run(10)
  t.same(udp.texts(), ['text'])
  t.same(
    raws.map(({ got }) => got.length),
    [1, 1, 0, 0],
  )
  raws[0].close()
  sender.send('text', '10.0.0.2', 53)
  net.run(10)
  t.same(
    raws.map(({ got }) => got.length),
    [1, 2, 0, 0],
  )
})

for (const [what, own] of [
  ['10.0.0.1', '10.0.0.1'],
  ['127.0.0.1', '127.0.0.1'],
  ['127.9.9.9', '127.0.0.1'],
])
  t.test(`to ourselves: ${what}, from ${own}`, async t => {
    const { one, net, frames } = two()
    const raw = new RawSocket(one, NOBODY)
    raw.send(TEXT, what)
    net.run(10)
    t.match(raw.got, [{ from: own }])
    t.same(raw.take()[0].subarray(20), TEXT)
    t.same(frames, [])
  })

t.test('an echo request of a raw socket is answered, over the wire and loopback', async t => {
  const { one, net } = two()
  for (const where of ['10.0.0.2', '127.0.0.1']) {
    const raw = new RawSocket(one, 1)
    raw.send(echo(), where)
    net.run(10)
    const replies = raw.take().filter(packet => packet[20] === 0)
    t.equal(replies.length, 1, where)
    t.same(replies[0].subarray(24), echo().subarray(4))
    raw.close()
  }
})

t.test('what comes over loopback from a raw socket is not trusted', async t => {
  const { one, net } = two()
  const udp = new UdpSocket(one)
  udp.bind('0.0.0.0', 53)
  const bad = Buffer.from([0, 1, 0, 53, 0, 9, 1, 1, 65])
  new RawSocket(one, 17).send(bad, '127.0.0.1')
  net.run(10)
  t.same(udp.texts(), [])
  t.equal(one.stack.counters.udp.badChecksums, 1)
})

for (const [what, prepare, heard] of [
  ['nothing', () => {}, true],
  ['its address', (s: RawSocket) => s.bind('10.0.0.2'), true],
  ['loopback', (s: RawSocket) => s.bind('127.0.0.1'), false],
  ['the sender', (s: RawSocket) => s.connect('10.0.0.1'), true],
  ['another peer', (s: RawSocket) => s.connect('10.0.0.9'), false],
  ['the interface', (s: RawSocket) => (s.endpoint.device = NIC_INDEX), true],
  ['another interface', (s: RawSocket) => (s.endpoint.device = LOOPBACK_INDEX), false],
] as const)
  t.test(`bound or connected to ${what}: ${heard ? 'heard' : 'not heard'}`, async t => {
    const { one, other, net } = two()
    const raw = new RawSocket(other, NOBODY)
    prepare(raw)
    new RawSocket(one, NOBODY).send(TEXT, '10.0.0.2')
    net.run(10)
    t.equal(raw.got.length, heard ? 1 : 0)
  })

t.test('who listens makes the protocol known; else the sender hears that it is not', async t => {
  const { one, other, net } = two()
  const raw = new RawSocket(one, NOBODY)
  raw.endpoint.v4.receiveErrors = true
  raw.send(TEXT, '10.0.0.2')
  net.run(10)
  t.match(raw.errors, [{ errno: E.ENOPROTOOPT, hard: true, type: 3, code: 2 }])
  const listener = new RawSocket(other, NOBODY)
  raw.send(TEXT, '10.0.0.2')
  net.run(10)
  t.equal(raw.errors.length, 1)
  listener.close()
  raw.send(TEXT, '10.0.0.2')
  net.run(2000)
  t.equal(raw.errors.length, 2)
})

for (const [what, connected, receiveErrors, told] of [
  ['not connected', false, false, 0],
  ['connected', true, false, 1],
  ['IP_RECVERR', false, true, 1],
] as const)
  t.test(`an error about what it sent, ${what}: told ${told} times`, async t => {
    const { one, net } = two()
    const raw = new RawSocket(one, NOBODY)
    raw.endpoint.v4.receiveErrors = receiveErrors
    if (connected) raw.connect('10.0.0.2')
    raw.send(TEXT, '10.0.0.2')
    net.run(10)
    t.equal(raw.errors.length, told)
    for (const { bytes, ip, transport, end } of raw.errors) {
      t.equal(transport - ip, 20)
      t.same(Buffer.from(bytes.slice(transport, end)), TEXT)
    }
  })

for (const [type, passes] of [
  [0, true],
  [3, false],
  [8, false],
  [31, true],
  [32, true],
  [200, true],
] as const)
  t.test(`ICMP_FILTER: type ${type} ${passes ? 'passes' : 'is kept out'}`, async t => {
    const { one, net } = two()
    const raw = new RawSocket(one, 1)
    raw.endpoint.icmpFilter[0] = (1 << 3) | (1 << 8)
    new RawSocket(one, 1).send(echo(type), '127.0.0.1')
    net.run(10)
    t.equal(
      raw.take().some(packet => packet[20] === type),
      passes,
    )
  })

t.test('ICMP6_FILTER knows all types', async t => {
  const { one, net } = two()
  const raw = new RawSocket(one, 58, 6)
  raw.endpoint.icmpFilter.fill(-1)
  raw.endpoint.icmpFilter[129 >>> 5] &= ~(1 << (129 & 31))
  t.equal(new RawSocket(one, 58, 6).send(echo(128), '::1'), 16)
  net.run(10)
  t.same(
    raw.take().map(([type]) => type),
    [129],
  )
})

for (const [where, what] of [
  ['::1', 'over loopback'],
  ['2001:db8::2', 'over the wire'],
])
  t.test(`IPV6_CHECKSUM ${what}: written, and looked at`, async t => {
    const { one, other, net } = two()
    const to = where === '::1' ? one : other
    const [plain, checks] = [new RawSocket(to, NOBODY, 6), new RawSocket(to, NOBODY, 6)]
    checks.endpoint.checksumOffset = 2
    const from = new RawSocket(one, NOBODY, 6)
    t.equal(from.send(TEXT, where), TEXT.length)
    net.run(10)
    t.same(plain.take(), [TEXT])
    t.same(checks.take(), [])
    t.equal(to.stack.counters.raw.badChecksums, 1)
    from.endpoint.checksumOffset = 2
    from.send(TEXT, where)
    net.run(10)
    const [text] = checks.take()
    t.same(text.subarray(4), TEXT.subarray(4))
    t.notSame(text.subarray(2, 4), TEXT.subarray(2, 4))
    t.equal(from.send(TEXT.subarray(0, 3), where), -E.EINVAL, 'no place for it')
  })

/** A packet that a program has made; length, id, checksum and source are zeros. */
function whole(dst: string, text: Uint8Array, src = '0.0.0.0'): Buffer {
  const packet = Buffer.alloc(20 + text.length)
  emitIpv4(packet, 0, 0, 0, 0, 7, NOBODY, ip(src), ip(dst))
  packet.set(text, 20)
  return packet
}

for (const [src, want] of [
  ['0.0.0.0', '10.0.0.1'],
  ['10.0.0.77', '10.0.0.77'],
])
  t.test(`IP_HDRINCL from ${src}: from ${want}`, async t => {
    const { one, other, net } = two()
    const listener = new RawSocket(other, NOBODY)
    const raw = new RawSocket(one, 255)
    t.equal(raw.endpoint.headerIncluded, true)
    t.equal(raw.send(whole('10.0.0.2', TEXT, src), '10.0.0.2'), 20 + TEXT.length)
    net.run(10)
    t.match(listener.got, [{ from: want, ttl: 7 }])
    const [packet] = listener.take()
    t.equal(u16(packet, 2), 20 + TEXT.length)
    t.not(u16(packet, 4), 0)
    t.equal(checksum(packet, 0, 20), 0)
    t.same(packet.subarray(20), TEXT)
  })

t.test('IP_HDRINCL: where it is sent, and what it says, are two things', async t => {
  const { one, other, net } = two()
  const listener = new RawSocket(other, NOBODY)
  const mine = new RawSocket(one, NOBODY)
  const raw = new RawSocket(one, 255)
  raw.send(whole('10.0.0.77', TEXT), '10.0.0.2')
  raw.send(whole('10.0.0.77', TEXT), '127.0.0.1')
  net.run(10)
  t.same([listener.got, mine.got], [[], []])
  t.equal(one.stack.counters.net.notOurAddress, 1)
})

for (const [what, bytes] of [
  ['version 6', [0x65]],
  ['a header of 4 bytes', [0x41]],
  ['options that lie', [0x46, ...Array(19).fill(0), 130, 9, 0, 0]],
  ['a source route', [0x46, ...Array(19).fill(0), 131, 3, 4, 0]],
  ['a fragment', [0x45, 0, 0, 0, 0, 1, 0x20, 0]],
] as const)
  t.test(`IP_HDRINCL to ourselves, ${what}: nothing comes of it`, async t => {
    const { one, net } = two()
    const listener = new RawSocket(one, NOBODY)
    const packet = whole('127.0.0.1', TEXT)
    packet.set(bytes)
    if (bytes.length < 20) packet.set([7, NOBODY], 8)
    t.equal(new RawSocket(one, 255).send(packet, '127.0.0.1'), packet.length)
    net.run(10)
    t.same(listener.got, [])
  })

t.test('IP_HDRINCL of 10,000 random packets, out and to ourselves: no exception', async t => {
  const { one, net } = two()
  const raw = new RawSocket(one, 255)
  const raw6 = new RawSocket(one, 255, 6)
  let state = 1
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8
  for (let i = 0; i < 10_000; i++) {
    const packet = Buffer.alloc(20 + (random() % 80))
    for (let j = 0; j < packet.length; j++) packet[j] = random()
    if (i % 3 > 0) packet[0] = 0x45
    if (i % 3 > 1) packet.set([127, 0, 0, 1], 16)
    raw.send(packet, i % 2 ? '127.0.0.1' : '10.0.0.2')
    packet[0] = 0x60
    raw6.send(packet, i % 2 ? '::1' : '2001:db8::2')
    if (i % 64 === 0) net.run(10)
  }
  net.run(100)
  t.pass()
})

t.test('IPv6 with its header, as it is', async t => {
  const { one, other, net } = two()
  const listener = new RawSocket(other, NOBODY, 6)
  const packet = Buffer.alloc(40 + TEXT.length)
  emitIpv6(packet, 0, TEXT.length, NOBODY, 3, addr(OWN), addr('2001:db8::2'))
  packet.set(TEXT, 40)
  const raw = new RawSocket(one, 255, 6)
  t.equal(raw.send(packet, '2001:db8::2'), packet.length)
  net.run(10)
  t.match(listener.got, [{ from: OWN, ttl: 3 }])
  t.equal(raw.send(packet.subarray(0, 39), '2001:db8::2'), -E.EINVAL)
})

for (const [what, length, to, options, want] of [
  ['fits', 1480, '10.0.0.2', {}, 1480],
  ['goes in fragments', 1481, '10.0.0.2', {}, 1481],
  ['is the most', 65515, '10.0.0.2', {}, 65515],
  ['is more', 65516, '10.0.0.2', {}, -E.EMSGSIZE],
  ['may not be cut', 1481, '10.0.0.2', { discover: PMTUDISC_DO }, -E.EMSGSIZE],
  ['over loopback', 65515, '127.0.0.1', {}, 65515],
  ['over loopback, more', 65516, '127.0.0.1', {}, -E.EMSGSIZE],
] as const)
  t.test(`${length} bytes, ${what}`, async t => {
    const { one, other, net } = two()
    const listener = new RawSocket(to === '127.0.0.1' ? one : other, NOBODY)
    const raw = new RawSocket(one, NOBODY)
    Object.assign(raw.endpoint.v4, options)
    t.equal(raw.send(Buffer.alloc(length, 5), to), want)
    net.run(10)
    t.same(
      listener.take().map(packet => packet.length - 20),
      want > 0 ? [want] : [],
    )
  })

for (const [what, length] of [
  ['fits', 1500],
  ['is larger than the link takes', 1501],
] as const)
  t.test(`IP_HDRINCL, ${length} bytes, ${what}`, async t => {
    const { one } = two()
    const raw = new RawSocket(one, 255)
    const r = raw.send(whole('10.0.0.2', Buffer.alloc(length - 20)), '10.0.0.2')
    t.equal(r, length > 1500 ? -E.EMSGSIZE : length)
  })

for (const [what, make, want] of [
  ['no peer', (r: RawSocket) => r.send(TEXT), -E.EDESTADDRREQ],
  ['no route', (r: RawSocket) => r.send(TEXT, '192.0.2.1'), -E.ENETUNREACH],
  ['everybody', (r: RawSocket) => r.send(TEXT, '255.255.255.255'), -E.EACCES],
  ['the other family', (r: RawSocket) => r.send(TEXT, '::1'), -E.EAFNOSUPPORT],
  ['bind() to a stranger’s', (r: RawSocket) => r.bind('10.0.0.2'), -E.EADDRNOTAVAIL],
  ['connect() without a route', (r: RawSocket) => r.connect('192.0.2.1'), -E.ENETUNREACH],
] as const)
  t.test(`${what}: ${E.errnoName(-want)}`, async t => {
    t.equal(make(new RawSocket(two().one, NOBODY)), want)
  })

t.test('the user has no room: counted', async t => {
  const { one, net } = two()
  const raw = new RawSocket(one, NOBODY)
  raw.full = true
  raw.send(TEXT, '127.0.0.1')
  net.run(10)
  t.match(one.stack.counters.raw, { datagramsIn: 0, userFull: 1 })
})

t.test('the link has no room: EAGAIN, and it may come again', async t => {
  const { one } = two()
  const raw = new RawSocket(one, NOBODY)
  const all = new RawSocket(one, 255)
  one.sink.room = one.sink.frames.length
  t.equal(raw.send(TEXT, '10.0.0.2'), -E.EAGAIN)
  t.equal(all.send(whole('10.0.0.2', TEXT), '10.0.0.2'), -E.EAGAIN)
  one.sink.room = Infinity
  t.equal(raw.send(TEXT, '10.0.0.2'), TEXT.length)
  t.equal(one.stack.counters.raw.noRoom, 2)
})

t.test('a group: only its members, unless IP_MULTICAST_ALL', async t => {
  const { one, other, net } = two()
  const [member, all, none] = [0, 1, 2].map(() => new RawSocket(other, NOBODY))
  none.endpoint.v4.multicastAll = false
  t.equal(other.stack.udp.join(member.endpoint, addr('239.1.2.3')), 0)
  net.run(10)
  const sender = new RawSocket(one, NOBODY)
  sender.endpoint.v4.multicastLoop = false
  sender.send(TEXT, '239.1.2.3')
  net.run(10)
  t.same(
    [member, all, none].map(({ got }) => got.length),
    [1, 1, 0],
  )
  t.same(sender.got, [])
})
