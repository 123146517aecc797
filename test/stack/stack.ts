import t from 'tap'
import {
  EADDRNOTAVAIL,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  ENETUNREACH,
} from '../../src/base/errno.ts'
import { writeU16 } from '../../src/base/bytes.ts'
import {
  CHECKSUM_UNKNOWN,
  CHECKSUM_VALID,
  EV_CLOSED,
  EV_CONNECTED,
  EV_FIN,
  Stack,
  TCB_BYTES,
} from '../../src/stack/stack.ts'
import { parsePrefix } from '../../src/wire/address-text.ts'
import { checksum } from '../../src/wire/checksum.ts'
import { emitIcmp } from '../../src/wire/icmpv4.ts'
import { type Frame, TestSink, addr, arpFrame, arrive, ipv4Frame, macOf } from '../helpers/net.ts'
import { random, randomBytes } from '../helpers/random.ts'
import { type Connection, Network, Node, Program } from '../helpers/stacks.ts'

/** Node 2 listens on port 80, node 1 has connected to it. */
function connected(a = new Node(1), b = new Node(2), to = '10.0.0.2') {
  const net = new Network(...new Set([a, b]))
  b.program.listen('0.0.0.0', 80)
  const client = a.program.connect('0.0.0.0', to, 80, 0) as Connection
  if (!net.run(5000, () => b.program.accepted.length > 0 && client.events > 0))
    throw new Error('no connection')
  return { a, b, net, client, server: b.program.accepted[0] }
}

/** Sends `length` bytes from `a`'s connection to `b`'s; whether they came, in `ms`. */
function transfer(
  net: Network,
  [a, from]: [Node, Connection],
  [b, to]: [Node, Connection],
  length: number,
  ms = 60_000,
): boolean {
  const text = Buffer.alloc(length)
  randomBytes(length)(text)
  const got: Uint8Array[] = []
  let count = 0
  let written = 0
  net.turn = () => {
    if (written < length && from.out.length < 200_000) {
      a.program.write(from, text.subarray(written, written + 100_000), net.now)
      written += 100_000
    }
    const part = to.in.take()
    if (part.length === 0) return false
    got.push(part)
    count += part.length
    b.stack.tcp.received(to.tcb, net.now)
    return true
  }
  net.run(ms, () => count >= length)
  net.turn = () => false
  return Buffer.concat(got).equals(text)
}

/** The counters that say that something was thrown away. */
function drops({ counters: { link, net } }: Stack): Record<string, number> {
  const usual = /^(frames|bytes|packets)(In|Out)$|^arp(In|Out)$|^notOurMac$|^icmp(In|Out)$/
  const all = Object.entries({ ...link, ...net })
  return Object.fromEntries(all.filter(([name, n]) => n !== 0 && !usual.test(name)))
}

for (const [what, options] of [
  ['plain frames', {}],
  ['offload', { offload: true }],
  ['an mtu of 576', { mtu: 576 }],
  ['an mtu of 9000, offload', { mtu: 9000, offload: true }],
] as const)
  t.test(`two stacks, ${what}: connect, a megabyte each way, close`, async t => {
    const { a, b, net, client, server } = connected(new Node(1, options), new Node(2, options))
    t.equal(client.events, EV_CONNECTED)
    t.ok(transfer(net, [a, client], [b, server], 1_000_000))
    t.ok(transfer(net, [b, server], [a, client], 1_000_000))
    a.stack.tcp.close(client.tcb, net.now)
    net.run(1000)
    t.ok(server.events & EV_FIN)
    b.stack.tcp.close(server.tcb, net.now)
    net.run(1000)
    t.ok(server.events & EV_CLOSED)
    t.equal(server.errno, 0)
    for (const { stack } of [a, b]) t.same(drops(stack), {})
    t.equal(a.stack.ipv4.arp.neighbors.find(addr('10.0.0.2'))!.state, 'REACHABLE')
  })

t.test(
  'with offload segments are longer than the mtu, and their checksums are left undone',
  async t => {
    const { a, b, net, client, server } = connected(
      new Node(1, { offload: true }),
      new Node(2, { offload: true }),
    )
    const frames: Frame[] = []
    net.filter = frame => {
      frames.push(frame)
      return frame
    }
    t.ok(transfer(net, [a, client], [b, server], 1_000_000))
    const long = frames.filter(frame => frame.bytes.length > 30_000)
    t.ok(long.length > 10, `${long.length} of ${frames.length}`)
    t.ok(
      long.every(
        frame => frame.gsoSize > 1000 && frame.gsoSize <= 1460 && frame.checksumStart === 34,
      ),
    )
  },
)

for (const address of ['127.0.0.1', '127.3.2.1', '10.0.0.1', '::1', 'fd00::1'])
  t.test(`a stack alone, over ${address}: a megabyte each way`, async t => {
    const a = new Node(1, { addresses: ['10.0.0.1/24', 'fd00::1/64'] })
    const net = new Network(a)
    t.equal(a.program.listen(address.includes(':') ? '::' : '0.0.0.0', 80), 0)
    const client = a.program.connect(
      address.includes(':') ? '::' : '0.0.0.0',
      address,
      80,
      0,
    ) as Connection
    t.ok(net.run(100, () => a.program.accepted.length > 0))
    const [server] = a.program.accepted
    t.ok(transfer(net, [a, client], [a, server], 1_000_000, 1000))
    t.ok(transfer(net, [a, server], [a, client], 1_000_000, 1000))
    t.same(drops(a.stack), {})
    t.equal(a.stack.counters.tcp.retransmitted, 0)
  })

t.test('a stack without addresses has loopback, and nothing else', async t => {
  const a = new Node(1, { addresses: [] })
  const net = new Network(a)
  a.program.listen('127.0.0.1', 80)
  const client = a.program.connect('0.0.0.0', '127.0.0.1', 80, 0) as Connection
  t.ok(net.run(100, () => client.events !== 0))
  t.equal(client.errno, 0)
  t.equal(a.program.connect('0.0.0.0', '10.0.0.2', 80, 0), -ENETUNREACH)
  t.equal(a.program.connect('::', 'fd00::2', 80, 0), -ENETUNREACH)
})

t.test('a connection to a closed port is refused, over loopback and over the wire', async t => {
  const [a, b] = [new Node(1), new Node(2)]
  const net = new Network(a, b)
  for (const to of ['127.0.0.1', '10.0.0.1', '10.0.0.2', '::1']) {
    const local = to.includes(':') ? '::' : '0.0.0.0'
    const client = a.program.connect(local, to, 81, net.now) as Connection
    net.run(1000, () => client.errno !== 0)
    t.equal(client.errno, ECONNREFUSED, to)
  }
})

t.test('a connection to nobody fails with EHOSTUNREACH after 3 s', async t => {
  const net = new Network(new Node(1), new Node(2))
  net.run(2500)
  const client = net.nodes[0].program.connect('0.0.0.0', '10.0.0.77', 80, net.now) as Connection
  const began = net.now
  net.run(10_000, () => client.errno !== 0)
  t.equal(client.errno, EHOSTUNREACH)
  t.equal(net.now - began, 3000)
})

for (const [local, remote, want] of [
  ['0.0.0.0', '8.8.8.8', -ENETUNREACH],
  ['10.0.0.9', '10.0.0.2', -EADDRNOTAVAIL],
  ['0.0.0.0', '255.255.255.255', -ENETUNREACH],
  ['0.0.0.0', '10.0.0.255', -ENETUNREACH],
  ['0.0.0.0', '224.0.0.1', -ENETUNREACH],
] as const)
  t.test(`Stack.path(${local}, ${remote}) is ${want}`, async t => {
    t.equal(new Node(1).stack.path(addr(local), addr(remote)), want)
  })

t.test('Stack.isLocal()', async t => {
  const { stack } = new Node(1, { addresses: ['10.0.0.1/24', 'fd00::1/64'] })
  for (const ours of ['10.0.0.1', '127.0.0.1', '127.1.2.3', '::1', 'fd00::1'])
    t.ok(stack.isLocal(addr(ours)), ours)
  for (const other of ['10.0.0.2', '0.0.0.0', '::', 'fd00::2', '10.0.0.255', '224.0.0.1'])
    t.notOk(stack.isLocal(addr(other)), other)
})

for (const [addresses, gateway, message] of [
  [['224.0.0.1/24'], undefined, /224\.0\.0\.1: it is no host's own address/],
  [['127.0.0.1/8'], undefined, /127\.0\.0\.1/],
  [['0.0.0.0/0'], undefined, /0\.0\.0\.0/],
  [['240.0.0.1/8'], undefined, /240\.0\.0\.1/],
  [['::1/128'], undefined, /::1/],
  [['ff02::1/128'], undefined, /ff02::1/],
  [['10.0.0.1/24'], '10.0.1.1', /10\.0\.1\.1 as gateway: it is no neighbor on 10\.0\.0\.1/],
  [['10.0.0.1/24'], '10.0.0.1', /10\.0\.0\.1 as gateway/],
  [['10.0.0.1/24'], '10.0.0.255', /10\.0\.0\.255 as gateway/],
  [[], '10.0.0.1', /on loopback/],
  [['10.0.0.1/24'], 'fd00::1', /fd00::1 as gateway/],
] as const)
  t.test(`Stack of ${addresses.join()} ${gateway ?? ''} is refused`, async t => {
    const make = () => new Node(1, { addresses: [...addresses], gateway })
    t.throws(make, { message })
  })

t.test('the link goes down and up in the middle of a transfer', async t => {
  const { a, b, net, client, server } = connected()
  let frames = 0
  net.filter = frame => {
    if (++frames === 100) {
      a.stack.setSink(undefined)
      b.stack.setSink(undefined)
    }
    return frame
  }
  t.notOk(transfer(net, [a, client], [b, server], 300_000, 5000))
  t.ok(a.stack.counters.link.linkDown > 0)
  const rest = server.in.take().length
  a.stack.setSink(a.sink)
  b.stack.setSink(b.sink)
  net.turn = () => server.in.take().length > 0
  net.run(20_000, () => client.out.length === 0)
  t.equal(client.out.length, 0, `the rest, ${rest} of it at once`)
  t.equal(client.errno, 0)
})

t.test(
  'a link without room loses nothing, and run() does not ask to be called at once',
  async t => {
    const { a, b, net, client, server } = connected()
    a.sink.room = 0
    a.program.write(client, 'hello', net.now)
    t.ok(a.stack.run(net.now, 64) > net.now)
    t.same(a.sink.frames, [])
    a.sink.room = Infinity
    net.settle()
    t.equal(server.in.string, 'hello')
    t.equal(a.stack.counters.tcp.retransmitted, 0)
    // Little by little.
    a.sink.room = 1
    t.ok(transfer(net, [a, client], [b, server], 100_000))
  },
)

t.test('run() keeps to its budget, and says that there is more', async t => {
  const a = new Node(1)
  const net = new Network(a)
  a.program.listen('0.0.0.0', 80)
  net.run(3000)
  for (let i = 0; i < 10; i++) a.program.connect('0.0.0.0', '127.0.0.1', 80, net.now)
  t.equal(a.stack.run(net.now, 0), net.now)
  const before = a.stack.counters.tcp.segsIn
  t.equal(a.stack.run(net.now, 3), net.now)
  t.equal(a.stack.counters.tcp.segsIn, before + 3)
  net.settle()
  t.equal(a.program.accepted.length, 10)
})

t.test('padding does not become text', async t => {
  const { a, b, net, client, server } = connected()
  net.filter = ({ bytes, ...rest }) => {
    const padded = new Uint8Array(Math.max(60, Math.min(bytes.length + 3, 1514))).fill(0x41)
    padded.set(bytes)
    return { ...rest, bytes: padded }
  }
  a.program.write(client, 'abc', net.now)
  net.run(100)
  t.equal(server.in.string, 'abc')
  t.ok(transfer(net, [b, server], [a, client], 5000))
})

t.test('a damaged segment is dropped, unless its checksum is known to be right', async t => {
  const { a, b, net, client, server } = connected()
  a.program.write(client, 'abc', net.now)
  a.stack.run(net.now, 64)
  const [{ bytes }] = a.sink.take()
  bytes[bytes.length - 1] ^= 1
  b.stack.frameArrives(bytes, 0, bytes.length, CHECKSUM_UNKNOWN, 0, net.now)
  t.equal(server.in.used, 0)
  t.equal(b.stack.counters.tcp.badChecksums, 1)
  b.stack.frameArrives(bytes, 0, bytes.length, CHECKSUM_VALID, 0, net.now)
  t.equal(server.in.string, 'abb')
})

t.test('stationGone() ends the connections to that station, and no others', async t => {
  const [a, b, c] = [new Node(1), new Node(2), new Node(3)]
  const net = new Network(a, b, c)
  for (const node of [a, b, c]) node.program.listen('0.0.0.0', 80)
  const to = ['10.0.0.2', '10.0.0.3', '127.0.0.1'].map(
    address => a.program.connect('0.0.0.0', address, 80, 0) as Connection,
  )
  net.run(100)
  t.same(
    to.map(connection => connection.events),
    [EV_CONNECTED, EV_CONNECTED, EV_CONNECTED],
  )
  a.stack.stationGone(macOf(9), net.now)
  a.stack.stationGone(macOf(2), net.now)
  a.stack.run(net.now, 64)
  t.same(
    to.map(connection => connection.errno),
    [ECONNRESET, 0, 0],
  )
  t.same(a.sink.take(), [], 'and nothing is sent to it')
  a.program.write(to[1], 'still here', net.now)
  net.run(100)
  t.equal(c.program.accepted[0].in.string, 'still here')
})

t.test('stationGone() of the gateway ends what went through it', async t => {
  const router = new Node(9, { addresses: ['10.0.0.9/24', '8.8.8.8/8'] })
  const { a, net, client } = connected(new Node(1, { gateway: '10.0.0.9' }), router, '8.8.8.8')
  a.stack.stationGone(macOf(9), net.now)
  a.stack.run(net.now, 64)
  t.equal(client.errno, ECONNRESET)
})

t.test('onConflict tells who took our address', async t => {
  const { stack } = new Node(1)
  const told: unknown[] = []
  stack.onConflict = (address, mac, now) => told.push([address.d, mac.low, now])
  arrive(stack, arpFrame('request', macOf(7), '10.0.0.1', '10.0.0.1'), 4000)
  t.same(told, [[addr('10.0.0.1').d, 7, 4000]])
})

t.test('a router that says "fragmentation needed" gets smaller segments', async t => {
  const router = new Node(9, { addresses: ['10.0.0.9/24', '8.8.8.8/8'] })
  const a = new Node(1, { gateway: '10.0.0.9' })
  const { net, client, server } = connected(a, router, '8.8.8.8')
  let told = 0
  net.filter = (frame, from) => {
    if (from !== a || frame.bytes.length <= 14 + 1000) return frame
    told++
    const body = frame.bytes.slice(14, 14 + 28)
    const message = new Uint8Array(8 + body.length)
    message.set(body, 8)
    emitIcmp(message, 0, message.length, 3, 4, 1000)
    const reply = ipv4Frame(message, { protocol: 1, src: '10.0.0.9', dst: '10.0.0.1' })
    macOf(9).write(reply, 6)
    arrive(a.stack, reply, net.now)
    return undefined
  }
  t.ok(transfer(net, [a, client], [router, server], 200_000))
  t.ok(told > 0 && told < 50, `told ${told} times`)
})

t.test('two connections to one host share one path', async t => {
  const { stack } = new Node(1)
  const path = stack.path(addr('0.0.0.0'), addr('10.0.0.2'))
  t.equal(stack.path(addr('10.0.0.1'), addr('10.0.0.2')), path)
  const v6 = stack.path(addr('::'), addr('::1'))
  t.equal(stack.path(addr('::1'), addr('::1')), v6)
})

t.test('Stack takes over connections from the memory of another', async t => {
  const { a, b, net, client, server } = connected()
  a.program.write(client, 'before ', net.now)
  net.settle()
  // The thread is gone; sink, memory and buffers are not.
  const program = new Program()
  const stack = new Stack({
    mac: macOf(1),
    addresses: [parsePrefix('10.0.0.1/24')!],
    random: randomBytes(99),
    tcp: {
      memory: a.stack.tcp.words.buffer as ArrayBuffer,
      capacity: a.stack.tcp.capacity,
      user: program,
    },
  })
  program.stack = stack
  const [tcb] = stack.tcp.recover(net.now)
  t.equal(tcb, client.tcb)
  program.connections.set(tcb, client)
  stack.tcp.attach(tcb, client.out, client.in)
  stack.setSink(a.sink)
  Object.assign(a, { stack, program })
  program.write(client, 'after', net.now)
  net.run(1000)
  t.equal(server.in.string, 'before after')
  b.program.write(server, 'and back', net.now)
  net.run(1000)
  t.equal(client.in.string, 'and back')
  t.equal(TCB_BYTES * a.stack.tcp.capacity, stack.tcp.words.byteLength)
})

t.test('40,000 random frames: no throw, bounded, and a connection goes on, seed 21', async t => {
  const { a, b, net, client, server } = connected()
  const next = random(21)
  const bytes = randomBytes(22)
  const { stack } = b
  for (let i = 0; i < 40_000; i++) {
    const length = next() % 3 === 0 ? next() % 64 : next() % 1600
    const frame = new Uint8Array(length)
    bytes(frame)
    if (length >= 14 && next() % 8 > 0) {
      macOf(next() % 3 === 0 ? 0xffffffff : 2).write(frame, 0)
      if (next() % 3 === 0) frame.fill(0xff, 0, 6)
      frame[6] = 2
      writeU16(frame, 12, [0x0800, 0x0806, 0x86dd, next() & 0xffff][next() % 4])
    }
    arrive(stack, frame, net.now + i)
    if (i % 100 === 0) stack.run(net.now + i, 64)
    b.sink.take()
  }
  net.now += 40_000
  t.ok(stack.ipv4.arp.neighbors.size <= 1024)
  t.ok(stack.ipv4.reassembly.size <= 64)
  t.ok(transfer(net, [a, client], [b, server], 10_000))
})

t.test(
  '30,000 damaged copies of real frames: no throw, bounded, nothing forged, seed 23',
  async t => {
    const { a, b, net, client, server } = connected()
    const seen: Uint8Array[] = [
      arpFrame('request', macOf(1), '10.0.0.1', '10.0.0.2'),
      arpFrame('reply', macOf(1), '10.0.0.1', '10.0.0.2', macOf(2)),
    ]
    const echo = new Uint8Array(64)
    emitIcmp(echo, 0, 64, 8, 0, 1)
    for (const [protocol, payload] of [
      [1, echo],
      [47, new Uint8Array(40)],
    ] as const) {
      const frame = ipv4Frame(payload, { protocol, src: '10.0.0.1', dst: '10.0.0.2' })
      macOf(2).write(frame, 0)
      macOf(1).write(frame, 6)
      seen.push(frame)
    }
    net.filter = frame => {
      if (seen.length < 200) seen.push(frame.bytes)
      return frame
    }
    t.ok(transfer(net, [a, client], [b, server], 50_000))
    net.filter = frame => frame
    const next = random(23)
    for (let i = 0; i < 30_000; i++) {
      const frame = seen[next() % seen.length].slice()
      for (let n = next() % 4; n >= 0; n--) {
        // Mostly in the headers, where it matters.
        const at = next() % Math.min(frame.length, next() % 4 === 0 ? 4000 : 80)
        if (at >= 12) frame[at] = next()
      }
      const length = next() % 4 === 0 ? next() % frame.length : frame.length
      const headerLength = (frame[14] & 15) << 2
      if (frame[12] === 8 && frame[13] === 0 && next() % 4 > 0 && 14 + headerLength <= length) {
        writeU16(frame, 24, 0)
        writeU16(frame, 24, checksum(frame, 14, headerLength))
      }
      arrive(b.stack, frame.subarray(0, length), net.now)
      if (i % 50 === 0) b.stack.run(net.now, 64)
      b.sink.take()
    }
    t.ok(b.stack.ipv4.arp.neighbors.size <= 1024)
    t.ok(b.stack.ipv4.reassembly.size <= 64)
    t.ok(b.stack.ipv4.reassembly.memory <= 1024 * 1024)
    t.equal(server.in.used, 0, 'no text came out of it')
    t.ok(b.stack.tcp.size < 10)
    const sink = new TestSink()
    b.stack.setSink(sink)
    b.stack.setSink(b.sink)
    t.ok(transfer(net, [a, client], [b, server], 10_000))
  },
)
