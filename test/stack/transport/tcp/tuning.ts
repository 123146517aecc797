import t from 'tap'
import { ACK, SYN } from '../../../../src/wire/tcp.ts'
import { settingsFrom, TUNING, type TcpTuning } from '../../../../src/stack/transport/tcp/tuning.ts'
import type { Fields, Sent } from '../../../helpers/segment.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted, connected } from '../../../helpers/tcp-pair.ts'

const everything: Fields = { mss: 1460, wscale: 7, sackOk: true, ts: [1, 0] }

function syn(tuning: Partial<TcpTuning>): Sent {
  const host = new Host({ tuning })
  host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  host.turn()
  return host.take()[0]
}

function synAck(tuning: Partial<TcpTuning>): Sent {
  const host = new Host({ tuning })
  host.tcp.listen(HERE, 80, false, 7, {})
  host.arrive({ srcPort: 4000, dstPort: 80, flags: SYN, ...everything })
  host.turn()
  return host.take()[0]
}

const offers = (s: Sent) => ({
  sack: s.sackOk,
  timestamps: s.ts !== undefined,
  windowScaling: s.wscale >= 0,
})

for (const off of [undefined, 'sack', 'timestamps', 'windowScaling'] as const)
  t.test(
    `${off ?? 'nothing'} is off: not in a SYN, not in the answer to one that has all`,
    async t => {
      const tuning = off ? { [off]: false } : {}
      const want = { sack: true, timestamps: true, windowScaling: true, ...tuning }
      t.same(offers(syn(tuning)), want)
      t.same(offers(synAck(tuning)), want)
    },
  )

t.test('timestamps are off: segments without are taken', async t => {
  const p = accepted(new Host({ tuning: { timestamps: false } }), { ts: true })
  p.says({ text: 'abc' })
  t.equal(p.in.string, 'abc')
  t.equal(p.write('x').at(-1)!.ts, undefined)
})

t.test('settingsFrom(): what sockets begin with', async t => {
  const s = settingsFrom({
    ...TUNING,
    congestion: 'reno',
    ecn: 1,
    pacing: false,
    initCwnd: 3,
    rtoMin: 50,
    synRetries: 2,
    keepAliveTime: 11,
    keepAliveInterval: 12,
    keepAliveProbes: 13,
    finTimeout: 14,
    userTimeout: 15,
  })
  t.match(s, {
    congestion: 1,
    ecn: 1,
    pacing: 0,
    initCwnd: 3,
    rtoMin: 50,
    synCnt: 2,
    keepIdle: 11,
    keepIntvl: 12,
    keepCnt: 13,
    linger2: 14,
    userTimeout: 15,
  })
})

t.test('initCwnd: the first flight', async t => {
  for (const initCwnd of [1, 3, 20]) {
    const p = connected(new Host({ tuning: { initCwnd } }), { mss: 1000 })
    const sent = p.write(new Uint8Array(100_000))
    t.equal(
      sent.reduce((n, s) => n + s.text.length, 0),
      1000 * initCwnd,
    )
  }
})

t.test('rtoMin: when text goes again', async t => {
  for (const rtoMin of [50, 200, 1000]) {
    const p = connected(new Host({ tuning: { rtoMin } }), { mss: 1000 })
    for (let i = 1; i <= 60; i++) {
      p.write('x')
      p.says({ ack: 1 + i })
    }
    const { snd } = p.host.tcp.tcb(p.tcb)
    t.equal(snd.rto, rtoMin)
  }
})

t.test('delayedAck: how long an acknowledgment waits', async t => {
  for (const delayedAck of [5, 40, 400]) {
    const p = accepted(new Host({ tuning: { delayedAck } }))
    p.host.tcp.setOption(p.tcb, 'quickAck', 0, p.host.now)
    t.equal(p.says({ text: 'a' }).length, 0)
    t.equal(p.wait(delayedAck - 1).length, 0)
    t.equal(p.wait(2).length, 1)
  }
})

for (const [name, tuning, times] of [
  ['synAckRetries', { synAckRetries: 2 }, 3],
  ['synAckRetries, as Linux', {}, 6],
] as const)
  t.test(`${name}: SYN-ACKs in all`, async t => {
    const host = new Host({ tuning })
    host.tcp.listen(HERE, 80, false, 7, {})
    host.arrive({ srcPort: 4000, dstPort: 80, flags: SYN, mss: 1460 })
    host.wait(200_000)
    t.equal(host.take().filter(s => (s.flags & (SYN | ACK)) === (SYN | ACK)).length, times)
  })

t.test('synRetries: SYNs in all', async t => {
  const host = new Host({ tuning: { synRetries: 1 } })
  host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  host.wait(60_000)
  t.equal(host.take().length, 2)
})

t.test('retries: text is given up', async t => {
  const p = connected(new Host({ tuning: { retries: 2 } }))
  p.write('x')
  t.equal(p.wait(60_000).length, 2)
  t.equal(p.state, 'FREE')
})

for (const [synCookies, records, cookies] of [
  [0, 1, 0],
  [1, 1, 0],
  [2, 0, 1],
] as const)
  t.test(`synCookies ${synCookies}: a SYN while there is room`, async t => {
    const host = new Host({ tuning: { synCookies } })
    host.tcp.listen(HERE, 80, false, 7, {})
    host.arrive({ srcPort: 4000, dstPort: 80, flags: SYN, mss: 1460 })
    host.turn()
    t.equal(host.tcp.size, records)
    t.equal(host.tcp.counters.syncookiesSent, cookies)
    t.equal(host.take().length, 1)
  })

t.test('synCookies 0: when there is none the oldest half-open connection goes', async t => {
  const host = new Host({ tuning: { synCookies: 0 }, capacity: 16 })
  host.tcp.listen(HERE, 80, false, 7, {})
  for (let i = 0; i < 8; i++) host.arrive({ srcPort: 4000 + i, dstPort: 80, flags: SYN, mss: 1460 })
  host.turn()
  t.equal(host.tcp.counters.syncookiesSent, 0)
  t.equal(host.tcp.counters.halfOpenEvicted, 4)
})

for (const [fastOpen, listener, early] of [
  [0x003, 5, false],
  [0x202, 5, true],
  [0x200, 5, false],
  [0x202, 0, false],
  [0x602, 0, true],
] as const)
  t.test(
    `fastOpen 0x${fastOpen.toString(16)}, TCP_FASTOPEN ${listener}: a SYN with text, no cookie`,
    async t => {
      const host = new Host({ tuning: { fastOpen } })
      host.tcp.listen(HERE, 80, false, 7, { fastOpen: listener })
      host.arrive({ srcPort: 4000, dstPort: 80, flags: SYN, mss: 1460, text: 'hello' })
      host.turn()
      t.equal(host.user.accepted.length, Number(early))
    },
  )

for (const [fastOpen, carries] of [
  [0, false],
  [1, false],
  [5, true],
] as const)
  t.test(`fastOpen ${fastOpen}: text with our SYN, no cookie`, async t => {
    const host = new Host({ tuning: { fastOpen } })
    const out = new Outbox()
    out.write('hello')
    host.tcp.open(HERE, 0, THERE, 80, out, new Inbox(), { fastOpenConnect: 1 }, host.now)
    host.turn()
    t.equal(host.take()[0].text.length > 0, carries)
  })
