// SYN cookies (RFC 4987): what a listener answers when all its room for half-open connections is taken.
import t from 'tap'
import { TCB_BYTES } from '../../../../src/stack/transport/tcp/layout.ts'
import { Address } from '../../../../src/wire/address.ts'
import { ACK, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { FakePath, HERE, Host, THERE, accepted } from '../../../helpers/tcp-pair.ts'
import type { Fields, Sent } from '../../../helpers/segment.ts'

const V6 = new Address(0x20010db8, 0, 0, 1)
const V6_PEER = new Address(0x20010db8, 0, 0, 2)

/** A listener on port 80 whose half-open share is full of SYNs that nobody will acknowledge. */
function flooded(capacity = 64, address = HERE): Host {
  const host = new Host({ capacity, address })
  host.clock.now = 1_000_000
  host.tcp.listen(address, 80, false, 7, {})
  for (let i = 0; i < capacity / 4; i++) {
    const stranger = address.isV4 ? Address.v4(0x0b000000 + i) : new Address(0x20010db8, 1, 0, i)
    host.arrive({ srcPort: 1, dstPort: 80, flags: SYN, seq: i }, stranger, address)
  }
  host.turn()
  host.take()
  return host
}

const peer = (host: Host) => (host.address.isV4 ? THERE : V6_PEER)

function knock(host: Host, f: Fields): Sent {
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99, ...f }, peer(host))
  host.turn()
  return host.take()[0]
}

/** The handshake's ACK, or what the test makes of it. */
function answer(host: Host, synAck: Sent, f: Fields = {}): Sent[] {
  const ts = synAck.ts === undefined ? {} : { ts: [2, synAck.ts[0]] as const }
  const ack = { srcPort: 9, dstPort: 80, flags: ACK, seq: 100, ack: synAck.seq + 1, ...ts, ...f }
  host.arrive(ack, peer(host))
  host.turn()
  return host.take()
}

for (const [name, syn, agreed, address] of [
  ['nothing', {}, { mss: 536 }, HERE],
  ['MSS 88', { mss: 88 }, { mss: 536 }, HERE],
  ['MSS 1299', { mss: 1299 }, { mss: 536 }, HERE],
  ['MSS 1300', { mss: 1300 }, { mss: 1300 }, HERE],
  ['MSS 1450', { mss: 1450 }, { mss: 1440 }, HERE],
  ['MSS 1460', { mss: 1460 }, { mss: 1460 }, HERE],
  ['MSS 65535', { mss: 65535 }, { mss: 1460 }, HERE],
  ['IPv6, nothing', {}, { mss: 1220 }, V6],
  ['IPv6, MSS 1430', { mss: 1430 }, { mss: 1420 }, V6],
  ['IPv6, MSS 9000', { mss: 9000 }, { mss: 8940 }, V6],
  ['scaling and SACK without timestamps', { wscale: 7, sackOk: true }, { mss: 536 }, HERE],
  ['timestamps', { ts: [1, 0] }, { mss: 536, ts: true }, HERE],
  ['timestamps, scaling', { ts: [1, 0], wscale: 9 }, { mss: 536, ts: true, wscale: 9 }, HERE],
  ['timestamps, a shift of 0', { ts: [1, 0], wscale: 0 }, { mss: 536, ts: true, wscale: 0 }, HERE],
  [
    'timestamps, a shift of 14',
    { ts: [1, 0], wscale: 14 },
    { mss: 536, ts: true, wscale: 14 },
    HERE,
  ],
  ['timestamps, SACK', { ts: [1, 0], sackOk: true }, { mss: 536, ts: true, sack: true }, HERE],
  [
    'everything',
    { mss: 1460, ts: [1, 0], wscale: 7, sackOk: true },
    { mss: 1460, ts: true, wscale: 7, sack: true },
    HERE,
  ],
] as const)
  t.test(`a SYN with ${name}: the connection has it without a record`, async t => {
    const host = flooded(64, address)
    const { size } = host.tcp
    const synAck = knock(host, syn)
    const want = { ts: false, wscale: -1, sack: false, ...agreed }
    t.equal(synAck.flags, SYN | ACK)
    t.equal(synAck.ack, 100)
    t.equal(synAck.sackOk, want.sack)
    t.equal(synAck.wscale >= 0, want.wscale >= 0)
    t.equal(synAck.ts !== undefined, want.ts)
    t.equal(host.tcp.size, size)
    t.same(
      answer(host, synAck, { text: 'hello', wnd: 1000 }).map(s => s.flags),
      [ACK],
    )
    const [{ tcb, in: inbox }] = host.user.accepted
    t.equal(inbox.string, 'hello')
    const { snd, rcv } = host.tcp.tcb(tcb)
    // 88 bytes are the least we believe, 536 the least a cookie can tell.
    t.equal(snd.peerMss, want.mss)
    t.equal(snd.wnd, 1000 << Math.max(0, want.wscale))
    t.equal(rcv.windShift === 0, want.wscale < 0)
    t.equal(host.tcp.state(tcb), 'ESTABLISHED')
    t.match(host.tcp.counters, { syncookiesSent: 1, syncookiesRecv: 1, syncookiesFailed: 0 })
  })

for (const [name, change, after] of [
  ['another ACK number', { ack: 1 }, 0],
  ['another sequence number', { seq: 101 }, 0],
  ['another port', { srcPort: 10 }, 0],
  ['two minutes late', {}, 120_000],
  ['ten minutes late', {}, 600_000],
] as const)
  t.test(`the ACK of a cookie, ${name}: RST, no record`, async t => {
    const host = flooded()
    const synAck = knock(host, { mss: 1460 })
    for (let i = 0; i < host.tcp.capacity; i++) if (host.tcp.live(i)) host.tcp.abort(i, host.now)
    host.take()
    host.clock.advance(after)
    const seen = answer(
      host,
      synAck,
      'ack' in change ? { ack: synAck.seq + 1 + change.ack } : change,
    )
    t.match(seen, [{ flags: RST }])
    t.equal(host.tcp.size, 0)
    t.equal(host.tcp.counters.syncookiesFailed, after > 120_000 ? 0 : 1)
  })

for (const [name, flags] of [
  ['RST', ACK | RST],
  ['SYN', ACK | SYN],
  ['no ACK', FIN],
] as const)
  t.test(`the ACK of a cookie with ${name}: no connection`, async t => {
    const host = flooded()
    const synAck = knock(host, {})
    answer(host, synAck, { flags })
    t.equal(host.user.accepted.length, 0)
  })

t.test('a cookie is good for more than a minute, and is the same for a SYN sent again', async t => {
  const host = flooded()
  host.clock.now = 60_000 * 20 + 1000
  const synAck = knock(host, { mss: 1460 })
  t.equal(knock(host, { mss: 1460 }).seq, synAck.seq)
  host.clock.advance(100_000)
  answer(host, synAck)
  t.equal(host.user.accepted.length, 1)
})

t.test('the ACK with text and FIN: both are taken', async t => {
  const host = flooded()
  const synAck = knock(host, { mss: 1460 })
  answer(host, synAck, { flags: ACK | FIN, text: 'bye' })
  t.equal(host.tcp.state(host.user.accepted[0].tcb), 'CLOSE-WAIT')
  t.equal(host.user.accepted[0].in.string, 'bye')
})

t.test('timestamps go on where the cookie ended, never back', async t => {
  for (let ms = 0; ms < 130; ms++) {
    const host = flooded()
    host.clock.advance(ms)
    const synAck = knock(host, { ts: [1, 0], wscale: ms % 15, sackOk: ms % 2 === 0 })
    const [first] = answer(host, synAck, { text: 'x' })
    t.ok(((first.ts![0] - synAck.ts![0]) | 0) >= 0, `${ms}`)
    t.ok(((first.ts![0] - synAck.ts![0]) | 0) < 128, `${ms}`)
  }
})

t.test('the backlog is full when the ACK comes: silence, later the connection', async t => {
  const host = flooded()
  const synAck = knock(host, { mss: 1460 })
  host.user.answer = 'drop'
  t.same(answer(host, synAck), [])
  host.user.answer = 'accept'
  answer(host, synAck)
  t.equal(host.user.accepted.length, 1)
})

t.test('while no cookie is out an ACK is not looked at', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 7, {})
  t.match(answer(host, { ...knock(host, {}), seq: 5 }, { srcPort: 10 }), [{ flags: RST }])
  t.equal(host.tcp.counters.syncookiesFailed, 0)
})

t.test('another thread has other keys: the ACK of an old cookie meets a RST', async t => {
  const host = flooded()
  const synAck = knock(host, { mss: 1460 })
  host.replace()
  host.tcp.listen(HERE, 80, false, 7, {})
  knock(host, { srcPort: 10 })
  t.match(answer(host, synAck), [{ flags: RST }])
  t.equal(host.user.accepted.length, 0)
})

t.test('no link for the SYN-ACK: nothing is counted, nothing kept', async t => {
  const host = flooded()
  host.path(HERE, THERE).full = 1
  const { size } = host.tcp
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99 })
  host.turn()
  t.same(host.take(), [])
  t.equal(host.tcp.size, size)
  t.equal(host.tcp.counters.syncookiesSent, 0)
})

t.test(
  '100,000 SYNs a second for 3 s, a record for 16 of them: others talk, and come in',
  async t => {
    const host = new Host({ capacity: 64 })
    // One path for all the strangers: what is counted here is TCP's.
    let sent: Sent | undefined
    const path = host.path(HERE, THERE)
    const nowhere = new FakePath(HERE, THERE, {}, () => {})
    host.path = (_src, dst) => (dst.equals(THERE) ? path : nowhere)
    const p = accepted(host)
    let talked = 0
    let came = 0
    const stranger = Address.v4(0x0b000001)
    for (let i = 0; i < 300_000; i++) {
      if (i % 100 === 0) host.clock.advance(1)
      host.arrive(
        { srcPort: 1 + (i % 60_000), dstPort: 80, flags: SYN, seq: i, mss: 1460 },
        i % 100 === 0 ? Address.v4(0x0b000000 + i) : stranger,
      )
      if (i % 1000 !== 0) continue
      p.hears({ seq: 1 + talked, text: 'x' })
      talked++
      host.turn()
      host.take()
      if (came >= 20) continue
      sent = knock(host, { srcPort: 100 + came, mss: 1460 })
      answer(host, sent, { srcPort: 100 + came, text: 'me' })
      came++
    }
    t.equal(p.in.string, 'x'.repeat(300))
    t.equal(host.user.accepted.length, 1 + came)
    t.ok(host.user.accepted.slice(1).every(a => a.in.string === 'me'))
    t.ok(host.tcp.size <= 17 + came)
    t.ok(host.tcp.counters.syncookiesSent > 290_000)
    t.equal(host.tcp.counters.halfOpenEvicted, 0)
    t.equal(host.memory.byteLength, 64 * TCB_BYTES)
  },
)
