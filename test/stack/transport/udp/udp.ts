import t from 'tap'
import * as E from '../../../../src/base/errno.ts'
import { writeU16 } from '../../../../src/base/bytes.ts'
import {
  CHECKSUM_UNKNOWN,
  Outgoing,
  PMTUDISC_DO,
  PMTUDISC_DONT,
  PMTUDISC_INTERFACE,
  PMTUDISC_OMIT,
  PMTUDISC_PROBE,
  PMTUDISC_WANT,
} from '../../../../src/stack/stack.ts'
import { finish, pseudoSumV4, sumBytes } from '../../../../src/wire/checksum.ts'
import { ETHERTYPE_IPV4 } from '../../../../src/wire/ethernet.ts'
import { Ipv4Packet } from '../../../../src/wire/ipv4.ts'
import { writeHeader } from '../../../../src/wire/udp.ts'
import { type Frame, addr, ethernet, ip, ipv4Packet, macOf, typeOf } from '../../../helpers/net.ts'
import { Network, Node } from '../../../helpers/stacks.ts'
import { UdpSocket } from '../../../helpers/udp.ts'

/** Two hosts that know each other's MAC, and a wire that keeps what crosses it. */
function two(options: ConstructorParameters<typeof Node>[1] = {}) {
  const [one, other] = [new Node(1, options), new Node(2)]
  const net = new Network(one, other)
  net.run(3000)
  const [greeting, discard] = [new UdpSocket(one), new UdpSocket(other)]
  discard.bind('0.0.0.0', 9)
  greeting.send('who', '10.0.0.2', 9)
  net.run(1000)
  greeting.close()
  discard.close()
  const frames: Frame[] = []
  net.filter = frame => {
    if (typeOf(frame) === 'ipv4') frames.push(frame)
    return frame
  }
  return { one, other, net, frames }
}

/** A datagram from 10.0.0.2 port 2000 as the wire has it. `checksum` undefined: the right one. */
function datagram(
  text: string,
  { port = 1000, src = '10.0.0.2', dst = '10.0.0.1', checksum = -1, length = -1, srcPort = 2000 },
): Uint8Array {
  const bytes = new Uint8Array(8 + text.length)
  writeHeader(bytes, 0, srcPort, port, length < 0 ? bytes.length : length)
  bytes.set(Buffer.from(text, 'latin1'), 8)
  const said = length < 0 ? bytes.length : Math.min(length, bytes.length)
  const sum = finish(sumBytes(bytes, 0, said, pseudoSumV4(ip(src), ip(dst), 17) + said))
  writeU16(bytes, 6, checksum < 0 ? sum : checksum)
  const packet = ipv4Packet(bytes, { src, dst, protocol: 17 })
  return ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet)
}

const into = (node: Node, frame: Uint8Array, now = 5000) =>
  node.stack.frameArrives(frame, 0, frame.length, CHECKSUM_UNKNOWN, 0, now)

// packetimpact: udp_socket_send_recv, generic_dgram_socket_send_recv
t.test('a datagram there and one back, its every length to 1472 a frame', async t => {
  const { one, other, net, frames } = two()
  const [client, server] = [new UdpSocket(one), new UdpSocket(other)]
  t.equal(server.bind('0.0.0.0', 53), 0)
  for (const length of [0, 1, 2, 63, 64, 65, 1471, 1472]) {
    const text = Buffer.alloc(length, length).toString('latin1')
    t.equal(client.send(text, '10.0.0.2', 53), length)
    net.run(10)
    const [got] = server.got.splice(0)
    t.equal(got.text, text)
    t.equal(got.to, '10.0.0.2')
    const [address, port] = got.from.split(':')
    t.equal(address, '10.0.0.1')
    t.equal(server.send(text, address, Number(port)), length)
    net.run(10)
    t.same(client.texts(), [text])
  }
  t.equal(frames.length, 16)
  t.match(one.stack.counters.udp, { datagramsIn: 8, datagramsOut: 9, noPort: 0, badChecksums: 0 })
})

for (const length of [1473, 8192, 65507])
  t.test(`a datagram of ${length} goes in fragments and comes whole`, async t => {
    const { one, other, net, frames } = two()
    const [client, server] = [new UdpSocket(one), new UdpSocket(other)]
    server.bind('0.0.0.0', 53)
    const text = Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8))
    t.equal(client.send(text, '10.0.0.2', 53), length)
    net.run(10)
    t.same(server.texts(), [Buffer.from(text).toString('latin1')])
    t.equal(frames.length, Math.ceil((length + 8) / 1480))
  })

t.test('65,507 is the most', async t => {
  const { one } = two()
  const client = new UdpSocket(one)
  t.equal(client.send(new Uint8Array(65508), '10.0.0.2', 53), -E.EMSGSIZE)
  t.equal(client.send(new Uint8Array(70000), '10.0.0.2', 53), -E.EMSGSIZE)
  t.equal(client.send(new Uint8Array(65508), '127.0.0.1', 53), -E.EMSGSIZE, 'over loopback too')
})

for (const [name, frame, want] of [
  ['a right checksum', datagram('text', {}), 'text'],
  ['no checksum', datagram('text', { checksum: 0 }), 'text'],
  ['a wrong checksum', datagram('text', { checksum: 0x1234 }), 'badChecksums'],
  ['a length of 0', datagram('text', { length: 0 }), 'badHeaders'],
  ['a length of 7', datagram('text', { length: 7 }), 'badHeaders'],
  ['a length of 8', datagram('text', { length: 8 }), ''],
  ['a length below the payload', datagram('text', { length: 10 }), 'te'],
  ['a length past the payload', datagram('text', { length: 13 }), 'badHeaders'],
  ['source port 0', datagram('text', { srcPort: 0 }), 'text'],
  ['a closed port', datagram('text', { port: 1001 }), 'noPort'],
] as const)
  t.test(`Udp.arrives(), ${name}`, async t => {
    const { one } = two()
    const server = new UdpSocket(one)
    server.bind('0.0.0.0', 1000)
    const before = { ...one.stack.counters.udp }
    into(one, frame)
    const { counters } = one.stack.udp
    if (counters.datagramsIn > before.datagramsIn) t.same(server.texts(), [want])
    else {
      t.same(server.texts(), [])
      t.equal(counters[want as 'noPort'], before[want as 'noPort'] + 1)
    }
  })

t.test('a header cut short at every length', async t => {
  const { one } = two()
  const server = new UdpSocket(one)
  server.bind('0.0.0.0', 1000)
  for (let length = 0; length < 8; length++) {
    const packet = ipv4Packet(new Uint8Array(length), { protocol: 17 })
    into(one, ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet))
  }
  t.equal(one.stack.counters.udp.badHeaders, 8)
})

t.test('the user has no room: userFull', async t => {
  const { one } = two()
  const server = new UdpSocket(one)
  server.bind('0.0.0.0', 1000)
  server.full = true
  into(one, datagram('text', {}))
  t.equal(one.stack.counters.udp.userFull, 1)
})

t.test('a checksum that would be 0 is sent as 0xffff; SO_NO_CHECK sends 0', async t => {
  const { one, other, net, frames } = two()
  const [client, server] = [new UdpSocket(one), new UdpSocket(other)]
  client.bind('10.0.0.1', 1000)
  server.bind('0.0.0.0', 2000)
  const probe = new Uint8Array(10)
  writeHeader(probe, 0, 1000, 2000, 10)
  const rest = finish(sumBytes(probe, 0, 10, pseudoSumV4(ip('10.0.0.1'), ip('10.0.0.2'), 17) + 10))
  client.send(Uint8Array.of(rest >> 8, rest), '10.0.0.2', 2000)
  client.endpoint.noCheck = true
  client.send('ab', '10.0.0.2', 2000)
  net.run(10)
  t.same(
    frames.map(f => f.bytes.subarray(40, 42)),
    [Uint8Array.of(255, 255), Uint8Array.of(0, 0)],
  )
  t.equal(server.texts().length, 2)
})

// ---- whose it is -------------------------------------------------------------------------------

const ALONE = { reuse: true }
for (const [name, sockets, from, to, want] of [
  ['wildcard', [['0.0.0.0', 7]], '10.0.0.2', '10.0.0.1', 0],
  // packetimpact: udp_any_addr_recv_unicast
  [
    'an address beats the wildcard',
    [
      ['0.0.0.0', 7],
      ['10.0.0.1', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    1,
  ],
  [
    'whichever is older',
    [
      ['10.0.0.1', 7],
      ['0.0.0.0', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    0,
  ],
  ['another address', [['127.0.0.1', 7]], '10.0.0.2', '10.0.0.1', -1],
  ['another port', [['0.0.0.0', 8]], '10.0.0.2', '10.0.0.1', -1],
  [
    'connected beats an address',
    [
      ['10.0.0.1', 7, '10.0.0.2'],
      ['10.0.0.1', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    0,
  ],
  [
    'connected to another',
    [
      ['10.0.0.1', 7, '10.0.0.3'],
      ['0.0.0.0', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    1,
  ],
  ['connected to another, alone', [['10.0.0.1', 7, '10.0.0.3']], '10.0.0.2', '10.0.0.1', -1],
  [
    'of equals the newest',
    [
      ['0.0.0.0', 7],
      ['0.0.0.0', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    1,
  ],
  [':: hears IPv4', [['::', 7]], '10.0.0.2', '10.0.0.1', 0],
  [
    '0.0.0.0 beats ::',
    [
      ['0.0.0.0', 7],
      ['::', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    0,
  ],
  [
    'a mapped address beats 0.0.0.0',
    [
      ['0.0.0.0', 7],
      ['::ffff:10.0.0.1', 7],
    ],
    '10.0.0.2',
    '10.0.0.1',
    1,
  ],
] as const)
  t.test(`Udp.arrives(), whose it is: ${name}`, async t => {
    const { one } = two()
    const all = sockets.map(([address, port, peer]) => {
      const socket = new UdpSocket(one, address.includes(':') ? 6 : 4, ALONE)
      t.equal(socket.bind(address, port), 0)
      if (peer !== undefined) t.equal(socket.connect(peer, 2000), 0)
      return socket
    })
    into(one, datagram('x', { port: 7, src: from, dst: to }))
    t.equal(
      all.findIndex(s => s.got.length > 0),
      want,
    )
    t.equal(all.filter(s => s.got.length > 0).length, want < 0 ? 0 : 1)
  })

t.test('IPV6_V6ONLY does not hear IPv4', async t => {
  const { one } = two()
  const six = new UdpSocket(one, 6, { v6only: true })
  six.bind('::', 7)
  into(one, datagram('x', { port: 7 }))
  t.same(six.got, [])
})

t.test('SO_BINDTODEVICE: loopback’s and the nic’s', async t => {
  const { one } = two()
  const lo = new UdpSocket(one, 4, { ...ALONE, device: 1 })
  const nic = new UdpSocket(one, 4, { ...ALONE, device: 2 })
  lo.bind('0.0.0.0', 7)
  nic.bind('0.0.0.0', 7)
  into(one, datagram('link', { port: 7 }))
  const client = new UdpSocket(one)
  client.send('self', '127.0.0.1', 7)
  // Linux: of the interface that has the address, whatever way it takes.
  client.send('own', '10.0.0.1', 7)
  one.stack.run(5000, 10)
  t.same([lo.texts(), nic.texts()], [['self'], ['link', 'own']])
})

t.test('two connected alike: the second has its turn when the first is closed', async t => {
  const { one } = two()
  const [a, b] = [new UdpSocket(one, 4, ALONE), new UdpSocket(one, 4, ALONE)]
  for (const s of [a, b]) {
    s.bind('10.0.0.1', 7)
    s.connect('10.0.0.2', 2000)
  }
  into(one, datagram('1', { port: 7 }))
  a.close()
  into(one, datagram('2', { port: 7 }))
  t.same([a.texts(), b.texts()], [['1'], ['2']])
  b.close()
  into(one, datagram('3', { port: 7 }))
  t.equal(one.stack.counters.udp.noPort, 1)
})

t.test('SO_REUSEPORT spreads flows, and keeps each with one', async t => {
  const { one } = two()
  const group = Array.from({ length: 4 }, () => new UdpSocket(one, 4, { share: true }))
  for (const s of group) t.equal(s.bind('0.0.0.0', 7), 0)
  for (let round = 0; round < 3; round++)
    for (let port = 1; port <= 400; port++)
      into(one, datagram(`${port}`, { port: 7, srcPort: port }))
  const texts = group.map(s => s.texts())
  for (const [i, list] of texts.entries()) {
    t.ok(list.length > 200 && list.length < 400, `${list.length} of 1200`)
    for (const [k, other] of texts.entries())
      if (k !== i) t.notOk(other.some(text => list.includes(text)))
  }
})

// ---- names -------------------------------------------------------------------------------------

t.test('bind(): addresses that are ours, groups, everybody', async t => {
  const { one } = two()
  for (const [address, want] of [
    ['0.0.0.0', 0],
    ['10.0.0.1', 0],
    ['127.0.0.1', 0],
    ['127.1.2.3', 0],
    ['224.1.2.3', 0],
    ['255.255.255.255', 0],
    ['10.0.0.255', 0],
    ['10.0.0.2', -E.EADDRNOTAVAIL],
    ['8.8.8.8', -E.EADDRNOTAVAIL],
  ] as const) {
    const socket = new UdpSocket(one)
    t.equal(socket.bind(address, 7), want, address)
    if (want === 0) t.equal(socket.bind(address, 8), -E.EINVAL, 'once')
    socket.close()
  }
})

t.test('bind() to a port in use: EADDRINUSE, until it is closed', async t => {
  const { one } = two()
  const [a, b] = [new UdpSocket(one), new UdpSocket(one)]
  a.bind('0.0.0.0', 7)
  t.equal(b.bind('10.0.0.1', 7), -E.EADDRINUSE)
  a.close()
  t.equal(b.bind('10.0.0.1', 7), 0)
})

t.test('connect() and disconnect() names', async t => {
  const { one } = two()
  const s = new UdpSocket(one)
  t.equal(s.connect('10.0.0.2', 53), 0)
  const { localPort } = s.endpoint
  t.ok(localPort >= 32768 && localPort < 61000)
  t.equal(s.names, `10.0.0.1:${localPort} 10.0.0.2:53`)
  one.stack.udp.disconnect(s.endpoint)
  t.equal(s.names, '0.0.0.0:0', 'what bind() did not name is given back')
  t.equal(one.stack.udp.ports.size, 0)

  t.equal(s.bind('0.0.0.0', 7), 0)
  s.connect('10.0.0.2', 53)
  t.equal(s.names, '10.0.0.1:7 10.0.0.2:53')
  const other = new UdpSocket(one)
  t.equal(other.bind('127.0.0.1', 7), 0, 'only its own address is taken')
  other.close()
  s.connect('10.0.0.3', 54)
  t.equal(s.names, '10.0.0.1:7 10.0.0.3:54')
  one.stack.udp.disconnect(s.endpoint)
  t.equal(s.names, '0.0.0.0:7')
  into(one, datagram('x', { port: 7 }))
  t.same(s.texts(), ['x'], 'and everybody is heard again')
  s.close()
  t.equal(one.stack.udp.ports.size, 0)
})

for (const [name, call, want] of [
  ['connect() to nowhere', (s: UdpSocket) => s.connect('8.8.8.8', 1), -E.ENETUNREACH],
  ['connect() to everybody', (s: UdpSocket) => s.connect('255.255.255.255', 1), -E.EACCES],
  ['send() to nobody', (s: UdpSocket) => s.send('x'), -E.EDESTADDRREQ],
  ['send() to port 0', (s: UdpSocket) => s.send('x', '10.0.0.2', 0), -E.EINVAL],
  ['send() to nowhere', (s: UdpSocket) => s.send('x', '8.8.8.8', 1), -E.ENETUNREACH],
  ['send() to everybody', (s: UdpSocket) => s.send('x', '255.255.255.255', 1), -E.EACCES],
  ['send() to all of a network', (s: UdpSocket) => s.send('x', '10.0.0.255', 1), -E.EACCES],
  [
    'send() from an address not ours',
    (s: UdpSocket) => s.send('x', '10.0.0.2', 1, '10.0.0.9'),
    -E.EADDRNOTAVAIL,
  ],
  ['send() of IPv6 from IPv4', (s: UdpSocket) => s.send('x', '::1', 1), -E.EAFNOSUPPORT],
] as const)
  t.test(`${name}: ${E.errnoName(-want)}`, async t => {
    const { one, net, frames } = two()
    t.equal(call(new UdpSocket(one)), want)
    net.run(10)
    t.same(frames, [])
  })

t.test('connect() to 0.0.0.0 and to :: is to ourselves', async t => {
  const { one } = two()
  const four = new UdpSocket(one)
  four.connect('0.0.0.0', 7)
  t.match(four.names, /^127\.0\.0\.1:\d+ 127\.0\.0\.1:7$/)
  const six = new UdpSocket(one, 6)
  six.connect('::', 7)
  t.match(six.names, /^::1:\d+ ::1:7$/)
})

t.test('no port is free: EAGAIN for who does not bind, EADDRINUSE for who does', async t => {
  const { one } = two()
  const ports = one.stack.udp.ports
  for (let port = 32768; port <= 60999; port++)
    ports.hold(addr('0.0.0.0'), port, false, false, 'bound')
  t.equal(new UdpSocket(one).send('x', '10.0.0.2', 1), -E.EAGAIN)
  t.equal(new UdpSocket(one).connect('10.0.0.2', 1), -E.EAGAIN)
  t.equal(new UdpSocket(one).bind('0.0.0.0', 0), -E.EADDRINUSE)
})

t.test('bind() with `again` asks nothing: endpoints of a stack that is gone', async t => {
  const { one } = two()
  const { udp } = one.stack
  const [a, b] = [new UdpSocket(one), new UdpSocket(one)]
  t.equal(udp.bind(a.endpoint, addr('0.0.0.0'), 7, true), 0)
  t.equal(udp.bind(b.endpoint, addr('0.0.0.0'), 7, true), 0)
  a.close()
  b.close()
  t.equal(udp.ports.size, 0)
})

t.test('there are at most so many endpoints, and a closed one makes room', async t => {
  const { one } = two()
  const { udp } = one.stack
  const all = []
  for (let e = udp.open(4, new UdpSocket(one)); e !== undefined; e = udp.open(4, all[0].user))
    all.push(e)
  t.equal(all.length, 16_383)
  udp.close(all[5])
  t.ok(udp.open(4, all[0].user))
  t.equal(udp.open(4, all[0].user), undefined)
})

t.test('TTL, TOS: the endpoint’s, and what one datagram says', async t => {
  const { one, other, net } = two()
  const [client, server] = [new UdpSocket(one), new UdpSocket(other)]
  server.bind('0.0.0.0', 53)
  client.send('default', '10.0.0.2', 53)
  client.endpoint.v4.ttl = 7
  client.endpoint.v4.tos = 0x10
  client.send('own', '10.0.0.2', 53)
  const out = new Outgoing().text(Buffer.from('said')).to(addr('10.0.0.2'), 53)
  out.ttl = 9
  out.tos = 0xb8
  one.stack.udp.send(client.endpoint, out)
  net.run(10)
  t.same(
    server.got.map(({ text, ttl, tos }) => [text, ttl, tos]),
    [
      ['default', 64, 0],
      ['own', 7, 0x10],
      ['said', 9, 0xb8],
    ],
  )
})

t.test('the source is chosen for each destination, or said', async t => {
  const { one, net } = two({ addresses: ['10.0.0.1/24', '10.0.9.1/24'], gateway: '10.0.9.254' })
  const s = new UdpSocket(one)
  const sources: string[] = []
  net.filter = frame => {
    if (typeOf(frame) === 'request') sources.push(frame.bytes.slice(28, 32).join('.'))
    return undefined
  }
  s.send('x', '10.0.0.9', 1)
  s.send('x', '10.0.9.9', 1)
  s.send('x', '8.8.8.8', 1)
  s.send('x', '10.0.0.8', 1, '10.0.9.1')
  net.run(0)
  t.same(sources.sort(), ['10.0.0.1', '10.0.0.1', '10.0.9.1', '10.0.9.1'])
})

// ---- errors ------------------------------------------------------------------------------------

// packetimpact: udp_icmp_error_propagation
t.test(
  'a closed port: ECONNREFUSED to who is connected, to others only with IP_RECVERR',
  async t => {
    const { one, net } = two()
    const [connected, plain, told] = [new UdpSocket(one), new UdpSocket(one), new UdpSocket(one)]
    told.endpoint.v4.receiveErrors = true
    connected.connect('10.0.0.2', 9)
    connected.send('x')
    plain.send('x', '10.0.0.2', 9)
    told.send('x', '10.0.0.2', 9)
    net.run(10)
    t.same(
      [connected, plain, told].map(s => s.errors.map(e => [e.errno, e.type, e.code, e.dstPort])),
      [[[E.ECONNREFUSED, 3, 3, 9]], [], [[E.ECONNREFUSED, 3, 3, 9]]],
    )
  },
)

t.test('a closed port of ours: over loopback too', async t => {
  const { one, net } = two()
  const s = new UdpSocket(one)
  s.connect('127.0.0.1', 9)
  s.send('x')
  net.run(10)
  t.same(
    s.errors.map(e => e.errno),
    [E.ECONNREFUSED],
  )
})

t.test('a neighbor that does not answer is no hard error', async t => {
  const { one, net } = two()
  const [plain, told] = [new UdpSocket(one), new UdpSocket(one)]
  told.endpoint.v4.receiveErrors = true
  for (const s of [plain, told]) {
    s.connect('10.0.0.77', 9)
    s.send('x')
  }
  net.run(5000)
  t.same(plain.errors, [])
  t.same(
    told.errors.map(e => e.errno),
    [E.EHOSTUNREACH],
  )
})

/** An ICMP error about a datagram from one to another, told by a router or by a liar. */
function tell(
  node: Node,
  { type = 3, code = 3, mtu = 0, srcPort = 0, dstPort = 9, dst = '10.0.0.2', length = 100 },
): void {
  const quoted = new Uint8Array(8)
  writeHeader(quoted, 0, srcPort, dstPort, length)
  const packet = ipv4Packet(quoted, { src: '10.0.0.1', dst, protocol: 17 })
  writeU16(packet, 2, 20 + length)
  const message = new Uint8Array(8 + packet.length)
  message.set(packet, 8)
  message[0] = type
  message[1] = code
  writeU16(message, 6, mtu)
  writeU16(message, 2, finish(sumBytes(message, 0, message.length, 0)))
  const error = ipv4Packet(message, { src: '10.0.0.2', protocol: 1 })
  into(node, ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, error))
}

for (const [name, fields, believed] of [
  ['of the tuple', {}, true],
  ['from another port of ours', { srcPort: 1 }, false],
  ['to another port', { dstPort: 10 }, false],
  ['to another host', { dst: '10.0.0.3' }, false],
] as const)
  t.test(`Udp.unreachable(), connected, ${name}: ${believed ? '' : 'not '}believed`, async t => {
    const { one } = two()
    const s = new UdpSocket(one)
    s.connect('10.0.0.2', 9)
    const before = { ...one.stack.counters.udp }
    tell(one, { srcPort: s.endpoint.localPort, ...fields })
    t.equal(s.errors.length, believed ? 1 : 0)
    const { icmpTaken, icmpIgnored } = one.stack.counters.udp
    t.equal(icmpTaken - before.icmpTaken, believed ? 1 : 0)
    t.equal(icmpIgnored - before.icmpIgnored, believed ? 0 : 1)
  })

t.test('Udp.unreachable(), not connected: believed where it has sent to', async t => {
  const { one } = two()
  const s = new UdpSocket(one)
  s.endpoint.v4.receiveErrors = true
  s.bind('0.0.0.0', 53)
  const about = { srcPort: 53, dst: '10.0.0.3', mtu: 1400, code: 4, length: 1480 }
  tell(one, about)
  t.same(s.errors, [])
  s.send('x', '10.0.0.3', 9)
  tell(one, about)
  t.same(
    s.errors.map(e => [e.errno, e.mtu]),
    [[E.EMSGSIZE, 1400]],
  )
})

for (const [name, discover, fits, tooLong, told] of [
  ['DONT', PMTUDISC_DONT, [0, 1], [0, 2], []],
  ['WANT', PMTUDISC_WANT, [1, 1], [0, 2], [E.EMSGSIZE]],
  ['DO', PMTUDISC_DO, [1, 1], -E.EMSGSIZE, [E.EMSGSIZE]],
  ['PROBE', PMTUDISC_PROBE, [1, 1], [1, 1], [E.EMSGSIZE]],
  ['INTERFACE', PMTUDISC_INTERFACE, [0, 1], [0, 1], []],
  ['OMIT', PMTUDISC_OMIT, [0, 1], [0, 1], []],
] as const)
  t.test(`IP_PMTUDISC_${name}: what is sent, and a router’s 1400`, async t => {
    const { one, net, frames } = two()
    const s = new UdpSocket(one)
    s.endpoint.v4.discover = discover
    s.connect('10.0.0.2', 9)
    const sent = (length: number) => {
      frames.length = 0
      const result = s.send(new Uint8Array(length))
      if (result < 0) return result
      one.stack.run(net.now, 10)
      const mine = one.sink.take()
      const df = Ipv4Packet.parse(mine[0].bytes, 14, 100)!.df
      return [df ? 1 : 0, mine.length]
    }
    t.same(sent(1472), fits, '1500')
    t.same(
      sent(1473),
      fits[0] === 1 && discover !== PMTUDISC_WANT
        ? -E.EMSGSIZE
        : discover === PMTUDISC_INTERFACE
          ? -E.EMSGSIZE
          : [0, 2],
      '1501',
    )
    tell(one, { srcPort: s.endpoint.localPort, code: 4, mtu: 1400, length: 1480 })
    t.same(
      s.errors.map(e => e.errno),
      told,
    )
    t.same(sent(1372), fits, '1400')
    t.same(sent(1373), tooLong, '1401')
  })

t.test('send() to a link without room: EAGAIN, nothing is lost or half sent', async t => {
  const { one } = two()
  const s = new UdpSocket(one)
  one.sink.room = 0
  t.equal(s.send('x', '10.0.0.2', 9), -E.EAGAIN)
  one.sink.room = 1
  t.equal(s.send('x', '10.0.0.2', 9), 1)
  t.equal(one.stack.counters.udp.noRoom, 1)
})

t.test('port unreachable is rate limited', async t => {
  const { one } = two()
  for (let i = 0; i < 500; i++) into(one, datagram('x', { port: 1001 }))
  const errors = one.sink.take().filter(f => typeOf(f) === 'ipv4').length
  t.ok(errors > 20 && errors <= 50, `${errors}`)
})

// ---- groups ------------------------------------------------------------------------------------

t.test('a broadcast reaches all endpoints of the port, and ourselves', async t => {
  const { one, other, net } = two()
  const receivers = [
    new UdpSocket(one, 4, ALONE),
    new UdpSocket(other, 4, ALONE),
    new UdpSocket(other, 4, ALONE),
  ]
  for (const s of receivers) t.equal(s.bind('0.0.0.0', 7), 0)
  const bound = new UdpSocket(other, 4, ALONE)
  bound.bind('10.0.0.2', 7)
  const toAll = new UdpSocket(other, 4, ALONE)
  toAll.bind('10.0.0.255', 7)
  const client = new UdpSocket(one, 4, { broadcast: true })
  for (const dst of ['255.255.255.255', '10.0.0.255']) {
    t.equal(client.send(dst, dst, 7), dst.length)
    net.run(10)
    for (const s of receivers) t.match(s.got.splice(0), [{ text: dst, to: dst, group: true }])
    t.same(bound.got, [], 'bound to its own address')
    t.equal(toAll.got.splice(0).length, dst === '10.0.0.255' ? 1 : 0)
  }
  t.equal(one.stack.counters.net.icmpErrorsIn, 0)
})

t.test('a broadcast to a closed port is not answered', async t => {
  const { one, other, net } = two()
  new UdpSocket(one, 4, { broadcast: true }).send('x', '255.255.255.255', 7)
  net.run(10)
  t.equal(other.stack.counters.udp.groupIgnored, 1)
  t.equal(other.stack.counters.net.icmpErrorsOut, 0)
})

t.test('a host without addresses can ask everybody, and be answered', async t => {
  const [one, other] = [new Node(1, { addresses: [] }), new Node(2)]
  const net = new Network(one, other)
  const client = new UdpSocket(one, 4, { broadcast: true })
  const server = new UdpSocket(other, 4, { broadcast: true })
  client.bind('0.0.0.0', 68)
  server.bind('0.0.0.0', 67)
  t.equal(client.send('discover', '255.255.255.255', 67), 8)
  net.run(3000)
  t.match(server.got, [{ text: 'discover', from: '0.0.0.0:68', to: '255.255.255.255' }])
  server.send('offer', '255.255.255.255', 68)
  net.run(3000)
  t.match(client.got, [{ text: 'offer', from: '10.0.0.2:67' }])
})

t.test('a group: who joined, with TTL 1, and no other', async t => {
  const { one, other, net, frames } = two()
  const [joined, not] = [new UdpSocket(other, 4, ALONE), new UdpSocket(other, 4, ALONE)]
  not.endpoint.v4.multicastAll = false
  for (const s of [joined, not]) s.bind('0.0.0.0', 7)
  t.equal(joined.join('239.1.2.3'), 0)
  const client = new UdpSocket(one)
  client.send('yes', '239.1.2.3', 7)
  client.send('no', '239.1.2.4', 7)
  net.run(10)
  t.match(joined.got, [{ text: 'yes', to: '239.1.2.3', ttl: 1, group: true }])
  t.same(not.got, [])
  const mine = frames.filter(f => Ipv4Packet.parse(f.bytes, 14, 60)!.protocol === 17)
  t.equal(Buffer.from(mine[0].bytes.subarray(0, 6)).toString('hex'), '01005e010203')
  t.equal(one.stack.counters.udp.groupIgnored, 0, 'nobody here joined')
})

for (const [name, set, here, there] of [
  ['as they are', {}, 1, 1],
  ['IP_MULTICAST_LOOP off', { multicastLoop: false }, 0, 1],
  ['IP_MULTICAST_TTL 0', { multicastTtl: 0 }, 1, 0],
  ['TTL 0, no loop', { multicastTtl: 0, multicastLoop: false }, 0, 0],
  ['IP_MULTICAST_TTL 255', { multicastTtl: 255 }, 1, 1],
] as const)
  t.test(`a group that both joined, ${name}`, async t => {
    const { one, other, net } = two()
    const [a, b] = [new UdpSocket(one), new UdpSocket(other)]
    for (const s of [a, b]) {
      s.bind('0.0.0.0', 7)
      s.join('239.1.2.3')
    }
    Object.assign(a.endpoint.v4, set)
    t.equal(a.send('x', '239.1.2.3', 7), 1)
    net.run(10)
    t.same([a.got.length, b.got.length], [here, there])
  })

t.test('a large datagram to a group goes in fragments, and whole to ourselves', async t => {
  const { one, other, net } = two()
  const [a, b] = [new UdpSocket(one), new UdpSocket(other)]
  for (const s of [a, b]) {
    s.bind('0.0.0.0', 7)
    s.join('239.1.2.3')
  }
  const text = 'abcdefgh'.repeat(1000)
  a.send(text, '239.1.2.3', 7)
  net.run(10)
  t.same([a.texts(), b.texts()], [[text], [text]])
})

t.test('IP_MULTICAST_ALL: who did not join hears what others joined', async t => {
  const { one, other, net } = two()
  const [joined, all, none] = [1, 2, 3].map(() => new UdpSocket(other, 4, ALONE))
  none.endpoint.v4.multicastAll = false
  for (const s of [joined, all, none]) s.bind('0.0.0.0', 7)
  joined.join('239.1.2.3')
  new UdpSocket(one).send('x', '239.1.2.3', 7)
  net.run(10)
  t.same(
    [joined, all, none].map(s => s.got.length),
    [1, 1, 0],
  )
})

t.test('source filters: included, blocked, and at the interface', async t => {
  const { one, other, net } = two({ addresses: ['10.0.0.1/24', '10.0.0.11/24'] })
  const { udp } = other.stack
  const [some, most] = [new UdpSocket(other, 4, ALONE), new UdpSocket(other, 4, ALONE)]
  for (const s of [some, most]) s.bind('0.0.0.0', 7)
  const group = addr('232.1.2.3')
  t.equal(udp.joinSource(some.endpoint, group, addr('10.0.0.1')), 0)
  const client = new UdpSocket(one)
  const both = () => {
    for (const from of ['10.0.0.1', '10.0.0.11']) client.send(from, '232.1.2.3', 7, from)
    net.run(10)
    return [some.texts(), most.texts()]
  }
  const [a, b] = ['10.0.0.1', '10.0.0.11']
  t.same(both(), [[a], [a]], 'IP_MULTICAST_ALL hears what the interface lets in')
  t.equal(udp.join(most.endpoint, group), 0)
  t.same(both(), [[a], [a, b]])
  t.equal(udp.block(most.endpoint, group, addr(a)), 0)
  t.same(both(), [[a], [b]])
  t.equal(udp.unblock(most.endpoint, group, addr(a)), 0)
  t.same(both(), [[a], [a, b]])
  t.equal(udp.leaveSource(some.endpoint, group, addr(a)), 0)
  t.equal(udp.leave(most.endpoint, group), 0)
  t.same(both(), [[], []])
})

t.test('memberships: what Linux answers', async t => {
  const { one } = two()
  const { udp } = one.stack
  const { endpoint } = new UdpSocket(one)
  const [g, s, s2] = [addr('232.1.2.3'), addr('10.0.0.9'), addr('10.0.0.8')]
  t.equal(udp.join(endpoint, addr('10.0.0.1')), -E.EINVAL, 'no group')
  t.equal(udp.join(endpoint, addr('ff02::1:3')), -E.EINVAL, 'of another family')
  t.equal(udp.leave(endpoint, g), -E.EADDRNOTAVAIL)
  t.equal(udp.block(endpoint, g, s), -E.EINVAL)
  t.equal(udp.setFilter(endpoint, g, 'INCLUDE', [s]), -E.EINVAL)
  t.equal(udp.join(endpoint, g), 0)
  t.equal(udp.join(endpoint, g), -E.EADDRINUSE)
  t.equal(udp.block(endpoint, g, s), 0)
  t.equal(udp.block(endpoint, g, s), -E.EADDRNOTAVAIL)
  t.equal(udp.joinSource(endpoint, g, s2), -E.EINVAL, 'the mode is another')
  t.equal(udp.unblock(endpoint, g, s2), -E.EADDRNOTAVAIL)
  t.equal(udp.unblock(endpoint, g, s), 0)
  t.equal(udp.joinSource(endpoint, g, s2), 0, 'nothing was blocked')
  t.equal(udp.joinSource(endpoint, g, s), 0)
  t.equal(udp.leaveSource(endpoint, g, s), 0)
  t.equal(udp.leaveSource(endpoint, g, s2), 0)
  t.equal(udp.leave(endpoint, g), -E.EADDRNOTAVAIL, 'the last source was the end')
  t.equal(udp.join(endpoint, g), 0)
  const many = Array.from({ length: 65 }, (_, i) => addr(`10.9.0.${i}`))
  t.equal(udp.setFilter(endpoint, g, 'EXCLUDE', many), -E.ENOBUFS)
  t.equal(udp.setFilter(endpoint, g, 'EXCLUDE', many.slice(0, 64)), 0)
  t.equal(udp.block(endpoint, g, s), -E.ENOBUFS)
  t.equal(udp.setFilter(endpoint, g, 'INCLUDE', []), 0)
  t.equal(one.stack.ipv4.groups.size, 0)
  udp.join(endpoint, g)
  udp.close(endpoint)
  t.equal(one.stack.ipv4.groups.size, 0, 'close() leaves')
})

// packetimpact: udp_discard_mcast_source_addr
for (const src of [
  '224.0.0.1',
  '239.9.9.9',
  '255.255.255.255',
  '10.0.0.255',
  '0.0.0.0',
  '127.0.0.1',
])
  t.test(`a datagram from ${src} is dropped`, async t => {
    const { one } = two()
    const s = new UdpSocket(one)
    s.bind('0.0.0.0', 1000)
    into(one, datagram('x', { src }))
    t.same(s.got, [])
    t.equal(one.stack.counters.net.martianSource, 1)
  })

// ---- IPv6 within the stack ---------------------------------------------------------------------

t.test('IPv6 over loopback', async t => {
  const { one, net } = two()
  const [a, b] = [new UdpSocket(one, 6), new UdpSocket(one, 6)]
  b.bind('::1', 7)
  t.equal(a.send('six', '::1', 7), 3)
  net.run(10)
  t.match(b.got, [{ text: 'six', from: /^::1:/, to: '::1' }])
  const dual = new UdpSocket(one, 6)
  dual.bind('::', 8)
  const four = new UdpSocket(one)
  four.send('four', '127.0.0.1', 8)
  net.run(10)
  t.match(dual.got, [{ text: 'four', to: '127.0.0.1' }])
  dual.send('back', '127.0.0.1', four.endpoint.localPort)
  net.run(10)
  t.same(four.texts(), ['back'])
})

for (const [name, options, bound, dst, want] of [
  ['V6ONLY to IPv4', { v6only: true }, undefined, '127.0.0.1', -E.ENETUNREACH],
  ['bound to ::1, to IPv4', {}, '::1', '127.0.0.1', -E.ENETUNREACH],
  ['bound to IPv4, to ::1', {}, '127.0.0.1', '::1', -E.EAFNOSUPPORT],
] as const)
  t.test(`IPv6 endpoint, ${name}: ${E.errnoName(-want)}`, async t => {
    const { one } = two()
    const s = new UdpSocket(one, 6, options)
    if (bound !== undefined) t.equal(s.bind(bound, 7), 0)
    t.equal(s.send('x', dst, 9), want)
  })

t.test('IPv6 on the link: a datagram, its answer, and a closed port', async t => {
  const [one, other] = [6, 7].map(n => new Node(n, { addresses: [`2001:db8::${n}/64`] }))
  const net = new Network(one, other)
  net.run(3000)
  const [client, server] = [new UdpSocket(one, 6), new UdpSocket(other, 6)]
  server.bind('::', 53)
  const text = 'x'.repeat(5000)
  t.equal(client.send(text, '2001:db8::7', 53), 5000)
  client.connect('2001:db8::7', 54)
  client.send('closed')
  net.run(1000)
  t.match(server.got, [{ text, from: /^2001:db8::6:/, to: '2001:db8::7' }])
  t.same(
    client.errors.map(e => e.errno),
    [E.ECONNREFUSED],
  )
})

for (const [name, set, here, there] of [
  ['as they are', {}, 1, 1],
  ['IPV6_MULTICAST_LOOP off', { multicastLoop: false }, 0, 1],
  ['IPV6_MULTICAST_HOPS 0', { multicastTtl: 0 }, 1, 0],
] as const)
  t.test(`an IPv6 group that both joined, ${name}`, async t => {
    const [one, other] = [6, 7].map(n => new Node(n, { addresses: [`2001:db8::${n}/64`] }))
    const net = new Network(one, other)
    net.run(3000)
    const [a, b] = [new UdpSocket(one, 6), new UdpSocket(other, 6)]
    for (const s of [a, b]) {
      s.bind('::', 7)
      t.equal(s.join('ff15::1234'), 0)
    }
    Object.assign(a.endpoint.v6, set)
    for (const text of ['short', 'long'.repeat(1000)]) {
      t.equal(a.send(text, 'ff15::1234', 7), text.length)
      net.run(10)
      t.same([a.texts().length, b.texts().length], [here, there], `${text.length}`)
    }
  })
