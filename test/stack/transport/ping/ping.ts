import t from 'tap'
import * as E from '../../../../src/base/errno.ts'
import { u16, writeU16 } from '../../../../src/base/bytes.ts'
import { checksum } from '../../../../src/wire/checksum.ts'
import { PingSocket, RawSocket } from '../../../helpers/raw.ts'
import { Network, Node } from '../../../helpers/stacks.ts'

const IDENT = 0x1234

function two() {
  const [one, other] = [
    new Node(1, { addresses: ['10.0.0.1/24', '2001:db8::1/64'] }),
    new Node(2, { addresses: ['10.0.0.2/24', '2001:db8::2/64'] }),
  ]
  const net = new Network(one, other)
  net.run(5000)
  return { one, other, net }
}

/** A request as programs make it: ident and checksum are nonsense. */
function request(family: 4 | 6 = 4, seq = 1, length = 24): Buffer {
  const message = Buffer.alloc(length, 3)
  message.set([family === 4 ? 8 : 128, 0, 0x99, 0x99, 0x77, 0x77])
  writeU16(message, 6, seq)
  return message
}

for (const [where, family] of [
  ['10.0.0.2', 4],
  ['10.0.0.1', 4],
  ['127.0.0.1', 4],
  ['2001:db8::2', 6],
  ['2001:db8::1', 6],
  ['::1', 6],
] as const)
  t.test(`a request to ${where} and its reply`, async t => {
    const { one, net } = two()
    const ping = new PingSocket(one, family)
    t.equal(ping.send(request(family, 7), where), 24)
    net.run(1000)
    t.match(ping.got, [{ from: where, ttl: 64 }])
    const [reply] = ping.take()
    t.equal(reply[0], family === 4 ? 0 : 129)
    t.equal(u16(reply, 4), ping.endpoint.ident)
    t.equal(u16(reply, 6), 7)
    t.same(reply.subarray(8), request(family).subarray(8))
    if (family === 4) t.equal(checksum(reply, 0, reply.length), 0)
    t.match(one.stack.counters.ping, { requestsOut: 1, repliesIn: 1 })
  })

t.test('in fragments, and the most', async t => {
  const { one, net } = two()
  const ping = new PingSocket(one)
  ping.send(request(4, 1, 8), '10.0.0.2')
  net.run(1000)
  ping.take()
  for (const length of [1480, 1481, 65515]) {
    t.equal(ping.send(request(4, 1, length), '10.0.0.2'), length)
    net.run(10)
    t.same(
      ping.take().map(reply => reply.length),
      [length],
    )
  }
  t.equal(ping.send(request(4, 1, 65516), '10.0.0.2'), -E.EMSGSIZE)
})

for (const [what, make, want] of [
  ['seven bytes', () => request().subarray(0, 7), -E.EINVAL],
  ['a reply', () => Buffer.from([0, ...request().subarray(1)]), -E.EINVAL],
  ['an error', () => Buffer.from([3, ...request().subarray(1)]), -E.EINVAL],
  ['a code', () => Buffer.from([8, 1, ...request().subarray(2)]), -E.EINVAL],
  ['a request of IPv6', () => request(6), -E.EINVAL],
  ['eight bytes', () => request().subarray(0, 8), 8],
] as const)
  t.test(`sends requests only: ${what} is ${want < 0 ? 'refused' : 'sent'}`, async t => {
    t.equal(new PingSocket(two().one).send(make(), '127.0.0.1'), want)
  })

t.test('without a peer or a route', async t => {
  const ping = new PingSocket(two().one)
  t.equal(ping.send(request()), -E.EDESTADDRREQ)
  t.equal(ping.send(request(), '192.0.2.1'), -E.ENETUNREACH)
  t.equal(ping.bind('192.0.2.1', 0), -E.EINVAL, 'it has its ident by now')
  t.equal(new PingSocket(two().one).bind('192.0.2.1', 0), -E.EADDRNOTAVAIL)
})

for (const [what, shared, want] of [
  ['both share', [true, true], 0],
  ['the first does not', [false, true], -E.EADDRINUSE],
  ['the second does not', [true, false], -E.EADDRINUSE],
] as const)
  t.test(`an ident twice, ${what}`, async t => {
    const { one, net } = two()
    const first = new PingSocket(one, 4, { reuse: shared[0] })
    const second = new PingSocket(one, 4, { reuse: shared[1] })
    const six = new PingSocket(one, 6, { reuse: shared[1] })
    t.equal(first.bind('0.0.0.0', IDENT), 0)
    t.equal(second.bind('0.0.0.0', IDENT), want)
    t.equal(six.bind('::', IDENT), want, 'of the other family, too')
    t.equal(second.endpoint.ident, want === 0 ? IDENT : 0)
    first.send(request(), '127.0.0.1')
    net.run(10)
    t.same([first.got.length, second.got.length], want === 0 ? [0, 1] : [1, 0], 'the newest’s')
    second.close()
    six.close()
    first.close()
    t.equal(new PingSocket(one).bind('0.0.0.0', IDENT), 0, 'free again')
  })

t.test('idents of their own, as many as there are', async t => {
  const { one } = two()
  const all = new Set<number>()
  let last = 0
  for (let i = 0; i < 65535; i++) {
    const ping = new PingSocket(one)
    last = ping.bind('0.0.0.0', 0)
    if (last < 0) break
    all.add(ping.endpoint.ident)
  }
  t.equal(last, 0)
  t.equal(all.size, 65535)
  t.notOk(all.has(0))
  t.equal(new PingSocket(one).bind('0.0.0.0', 0), -E.EAGAIN)
})

for (const [what, prepare, heard] of [
  ['an address of its own', (p: PingSocket) => p.bind('10.0.0.1', IDENT), true],
  ['another one', (p: PingSocket) => p.bind('127.0.0.1', IDENT), false],
] as const)
  t.test(`bound to ${what}: a reply to 10.0.0.1 is ${heard ? '' : 'not '}heard`, async t => {
    const { one, other, net } = two()
    const ping = new PingSocket(one)
    prepare(ping)
    const reply = request()
    reply[0] = 0
    writeU16(reply, 4, IDENT)
    writeU16(reply, 2, 0)
    writeU16(reply, 2, checksum(reply, 0, reply.length))
    new RawSocket(other, 1).send(reply, '10.0.0.1')
    net.run(1000)
    t.equal(ping.got.length, heard ? 1 : 0)
  })

t.test('disconnect() gives back what bind() did not name', async t => {
  const { one } = two()
  const { ping } = one.stack
  const [named, unnamed] = [new PingSocket(one), new PingSocket(one)]
  named.bind('0.0.0.0', IDENT)
  for (const socket of [named, unnamed]) {
    t.equal(socket.connect('10.0.0.2'), 0)
    t.not(socket.endpoint.ident, 0)
    ping.disconnect(socket.endpoint)
  }
  t.equal(named.endpoint.ident, IDENT)
  t.equal(unnamed.endpoint.ident, 0)
})

for (const [what, options, told] of [
  ['with IP_RECVERR', { receiveErrors: true }, 1],
  ['else, since it may pass', {}, 0],
] as const)
  t.test(`nobody has the address: told ${what}`, async t => {
    const { one, net } = two()
    const ping = new PingSocket(one)
    Object.assign(ping.endpoint.v4, options)
    ping.connect('10.0.0.9')
    ping.send(request(4, 5))
    net.run(10_000)
    t.equal(ping.errors.length, told)
    for (const { errno, bytes, transport, end } of ping.errors) {
      t.equal(errno, E.EHOSTUNREACH)
      t.same([bytes[transport], u16(bytes, transport + 4), u16(bytes, transport + 6)], [8, ping.endpoint.ident, 5]) // prettier-ignore
      t.equal(end - transport, 24)
    }
  })

t.test('the user has no room: counted', async t => {
  const { one, net } = two()
  const ping = new PingSocket(one)
  ping.full = true
  ping.send(request(), '127.0.0.1')
  net.run(10)
  t.match(one.stack.counters.ping, { requestsOut: 1, repliesIn: 0, userFull: 1 })
})
