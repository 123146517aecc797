import t from 'tap'
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  ENETUNREACH,
  ENOBUFS,
  EINVAL,
} from '../../../../src/base/errno.ts'
import { DEFAULTS } from '../../../../src/stack/transport/tcp/options.ts'
import { ANY_V4, ANY_V6, Address, LOOPBACK_V6 } from '../../../../src/wire/address.ts'
import { ACK, RST, SYN } from '../../../../src/wire/tcp.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted, connected } from '../../../helpers/tcp-pair.ts'

const syn = (host: Host, f = {}, from = THERE, to = HERE) => {
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99, ...f }, from, to)
  host.turn()
  return host.take()
}
const V6 = new Address(0x20010db8, 0, 0, 1)
const V6_PEER = new Address(0x20010db8, 0, 0, 2)

for (const [name, address, v6only, to, from, found] of [
  ['its own address', HERE, false, HERE, THERE, true],
  ['another address', Address.v4(0x0a000009), false, HERE, THERE, false],
  ['0.0.0.0', ANY_V4, false, HERE, THERE, true],
  [':: takes IPv4', ANY_V6, false, HERE, THERE, true],
  [':: v6only does not', ANY_V6, true, HERE, THERE, false],
  [':: takes IPv6', ANY_V6, true, V6, V6_PEER, true],
  ['0.0.0.0 does not take IPv6', ANY_V4, false, V6, V6_PEER, false],
  ['::1', LOOPBACK_V6, false, LOOPBACK_V6, LOOPBACK_V6, true],
] as const)
  t.test(`LISTEN at ${name}`, async t => {
    const host = new Host()
    t.equal(host.tcp.listen(address, 80, v6only, 1, {}), 0)
    const [reply] = syn(host, {}, from, to)
    t.equal(reply.flags, found ? SYN | ACK : RST | ACK)
    t.ok(reply.src.equals(to))
  })

t.test('the particular listener comes before the general', async t => {
  const host = new Host()
  host.tcp.listen(ANY_V4, 80, false, 1, { reuse: 1 })
  t.equal(host.tcp.listen(HERE, 80, false, 2, {}), -EADDRINUSE)
  host.tcp.listen(ANY_V6, 81, true, 3, {})
  host.tcp.listen(ANY_V4, 81, false, 4, {})
  const p = accepted(host)
  t.equal(host.user.accepted.at(-1)!.listener, 1)
  t.equal(p.state, 'ESTABLISHED')
})

t.test('a connection over IPv6', async t => {
  const host = new Host({ address: V6 })
  host.tcp.listen(ANY_V6, 80, false, 1, {})
  const [synAck] = syn(host, { mss: 9000 }, V6_PEER, V6)
  t.match(synAck, { flags: SYN | ACK, mss: 1440 })
  host.arrive(
    { srcPort: 9, dstPort: 80, flags: ACK, seq: 100, ack: synAck.seq + 1, text: 'six' },
    V6_PEER,
    V6,
  )
  t.equal(host.user.accepted[0].in.string, 'six')
  t.ok(host.tcp.remoteAddress(0).equals(V6_PEER))
})

for (const [name, f, reply] of [
  ['SYN and ACK', { flags: SYN | ACK, ack: 5 }, { flags: RST, seq: 5 }],
  ['ACK', { flags: ACK, ack: 5 }, { flags: RST, seq: 5 }],
  ['SYN and RST', { flags: SYN | RST }, undefined],
  ['SYN and FIN', { flags: SYN | 1 }, undefined],
  ['FIN', { flags: 1 }, undefined],
  ['nothing', { flags: 0 }, undefined],
  ['from port 0', { flags: SYN, srcPort: 0 }, undefined],
] as const)
  t.test(`LISTEN, ${name}`, async t => {
    const host = new Host()
    host.tcp.listen(HERE, 80, false, 1, {})
    const [got] = syn(host, f)
    if (reply) t.match(got, reply)
    else t.equal(got, undefined)
    t.equal(host.tcp.size, 0)
  })

for (const [name, from, to] of [
  ['from a multicast address', Address.v4(0xe0000001), HERE],
  ['from nobody', ANY_V4, HERE],
  ['to a multicast address', THERE, Address.v4(0xe0000001)],
] as const)
  t.test(`SYN ${name}: dropped`, async t => {
    const host = new Host()
    host.tcp.listen(ANY_V4, 80, false, 1, {})
    t.same(syn(host, {}, from, to), [])
    t.equal(host.tcp.size, 0)
  })

t.test('the backlog is full: no answer; the listener is dead: RST', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, {})
  host.user.answer = 'drop'
  t.same(syn(host), [])
  host.user.answer = 'refuse'
  t.match(syn(host), [{ flags: RST | ACK, ack: 100 }])
  t.equal(host.tcp.size, 0)
})

t.test('the user does not take the connection: RST', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, {})
  const [synAck] = syn(host)
  host.user.take = false
  host.arrive({ srcPort: 9, dstPort: 80, flags: ACK, seq: 100, ack: synAck.seq + 1, text: 'x' })
  host.turn()
  t.match(host.take(), [{ flags: RST | ACK }])
  t.equal(host.tcp.size, 0)
  t.same(host.user.log, [])
})

t.test('a user that takes a connection and attaches nothing is told so', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, {})
  const [synAck] = syn(host)
  host.user.established = () => true
  t.throws(
    () => host.arrive({ srcPort: 9, dstPort: 80, flags: ACK, seq: 100, ack: synAck.seq + 1 }),
    { message: /nothing is attached/ },
  )
})

t.test('unlisten(): half-open connections are reset, the port is free, others go on', async t => {
  const host = new Host()
  const p = accepted(host)
  syn(host, { srcPort: 10 })
  host.tcp.unlisten(7, host.now)
  host.turn()
  t.match(host.take(), [{ flags: RST | ACK, dstPort: 10 }])
  t.match(syn(host, { srcPort: 11 }), [{ flags: RST | ACK }])
  t.match(p.says({ text: 'on' }), [{ ack: 3 }])
  t.equal(host.tcp.listen(HERE, 80, false, 8, {}), 0)
})

t.test(
  'a SYN flood: bounded, the oldest half-open go, what stands goes on, who comes gets in',
  async t => {
    const host = new Host({ capacity: 64 })
    const p = accepted(host)
    for (let i = 0; i < 20_000; i++) {
      host.arrive(
        { srcPort: 1 + (i % 60_000), dstPort: 80, flags: SYN, seq: i },
        Address.v4(0x0b000000 + i),
      )
      if (i % 16 === 0) host.turn()
      host.take()
    }
    host.turn()
    host.take()
    t.equal(host.tcp.halfOpen.length, 16)
    t.ok(host.tcp.size <= 17)
    t.match(p.says({ text: 'still here' }), [{ ack: 11 }])
    t.equal(accepted(host, { port: 7 }).state, 'ESTABLISHED')
  },
)

t.test('no record free: the SYN is dropped, and open() says ENOBUFS', async t => {
  const host = new Host({ capacity: 4 })
  for (let i = 0; i < 4; i++) accepted(host, { port: 100 + i })
  t.same(syn(host), [])
  const r = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  t.equal(r, -ENOBUFS)
})

t.test("a listener's settings are those of its connections", async t => {
  const host = new Host()
  const p = accepted(host, { settings: { noDelay: 1, keepIdle: 77 } })
  t.equal(host.tcp.option(p.tcb, 'noDelay'), 1)
  t.equal(host.tcp.option(p.tcb, 'keepIdle'), 77)
  t.equal(host.tcp.option(p.tcb, 'keepCnt'), DEFAULTS.keepCnt)
})

// ---- numbers

t.test('ISNs of 1,000 connections: nothing to see', async t => {
  const host = new Host({ capacity: 2000 })
  host.tcp.listen(HERE, 80, false, 1, {})
  const iss: number[] = []
  for (let i = 0; i < 400; i++) iss.push(syn(host, { srcPort: 1000 + i })[0].seq)
  t.equal(new Set(iss).size, 400)
  const steps = iss.slice(1).map((n, i) => (n - iss[i]) >>> 0)
  t.equal(new Set(steps).size, 399)
  t.ok(steps.filter(s => s > 2 ** 31).length > 140)
  t.ok(steps.filter(s => s < 2 ** 31).length > 140)
  const bits = Array.from({ length: 32 }, (_, b) => iss.filter(n => (n >>> b) & 1).length)
  t.ok(
    bits.every(n => n > 130 && n < 270),
    `${bits.join()}`,
  )
})

t.test('the ISN of one tuple grows with time: 4 µs a step (RFC 6528)', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, {})
  const first = syn(host)[0].seq
  host.arrive({ srcPort: 9, dstPort: 80, flags: RST, seq: 100 })
  host.clock.advance(1000)
  t.equal((syn(host)[0].seq - first) >>> 0, 250_000)
})

t.test('another secret, other ISNs', async t => {
  const iss = [1, 2].map(seed => {
    const host = new Host({ seed })
    host.tcp.listen(HERE, 80, false, 1, {})
    return syn(host)[0].seq
  })
  t.not(iss[0], iss[1])
})

// ---- open()

t.test('open(): what cannot be', async t => {
  const host = new Host()
  const open = (local: Address, localPort: number, remote: Address, port: number) =>
    host.tcp.open(local, localPort, remote, port, new Outbox(), new Inbox(), {}, host.now)
  t.equal(open(HERE, 0, THERE, 0), -EADDRNOTAVAIL)
  t.equal(open(HERE, 0, Address.v4(0xe0000001), 80), -ENETUNREACH)
  t.equal(open(HERE, 0, ANY_V4, 80), -ENETUNREACH)
  t.equal(open(HERE, 0, V6, 80), -ENETUNREACH)
  t.equal(open(HERE, 500, THERE, 80), 0)
  t.equal(open(HERE, 500, THERE, 80), -EADDRNOTAVAIL, 'the same four again')
  t.ok(open(HERE, 500, THERE, 81) > 0)
  t.equal(host.tcp.size, 2)
})

t.test('open() from nowhere in particular takes the address of the route', async t => {
  const host = new Host()
  const tcb = host.tcp.open(ANY_V4, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  t.ok(host.tcp.localAddress(tcb).equals(HERE))
  t.ok(host.tcp.localPort(tcb) >= 32768 && host.tcp.localPort(tcb) <= 60999)
  t.equal(host.tcp.remotePort(tcb), 80)
})

t.test('a port is held by its connection until TIME-WAIT is over', async t => {
  const host = new Host()
  const p = connected(host)
  const bind = (reuse: boolean) => host.tcp.ports.bind(HERE, p.localPort, false, reuse)
  host.tcp.close(p.tcb, host.now)
  p.turn()
  p.says({ ack: 2, flags: ACK | 1 })
  t.equal(p.state, 'TIME-WAIT')
  t.equal(bind(true), -EADDRINUSE)
  host.tcp.setOption(p.tcb, 'reuse', 1, host.now)
  t.equal(bind(false), -EADDRINUSE)
  t.equal(bind(true), p.localPort)
  host.tcp.ports.drop(HERE, p.localPort, false, true, 'bound')
  host.wait(61_000)
  t.equal(bind(false), p.localPort)
})

t.test('setOption(): ranges as setsockopt() has them', async t => {
  const p = accepted(new Host())
  const set = (name: 'keepIdle' | 'maxSeg' | 'keepCnt' | 'linger2', value: number) =>
    p.host.tcp.setOption(p.tcb, name, value, p.host.now)
  for (const [name, value, r] of [
    ['keepIdle', 0, -EINVAL],
    ['keepIdle', 1, 0],
    ['keepIdle', 32767, 0],
    ['keepIdle', 32768, -EINVAL],
    ['keepCnt', 127, 0],
    ['keepCnt', 128, -EINVAL],
    ['maxSeg', 87, -EINVAL],
    ['maxSeg', 88, 0],
    ['maxSeg', 0, 0],
    ['linger2', -1, 0],
  ] as const)
    t.equal(set(name, value), r, `${name} ${value}`)
})
