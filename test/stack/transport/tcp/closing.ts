import t from 'tap'
import { EV_CLOSED, EV_ERROR, EV_FIN, EV_SENT } from '../../../../src/stack/transport/tcp/user.ts'
import { ACK, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { text } from '../../../helpers/segment.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted } from '../../../helpers/tcp-pair.ts'

const close = (p: ReturnType<typeof accepted>) => {
  p.host.tcp.close(p.tcb, p.host.now)
  return p.turn()
}
const detach = (p: ReturnType<typeof accepted>) => {
  p.host.tcp.detach(p.tcb, p.host.now)
  return p.turn()
}

t.test('active close: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, and after 60 s nothing', async t => {
  const p = accepted(new Host())
  t.match(close(p), [{ flags: FIN | ACK, seq: 1 }])
  t.equal(p.state, 'FIN-WAIT-1')
  t.notOk(p.events & EV_SENT)
  p.says({ ack: 2 })
  t.equal(p.state, 'FIN-WAIT-2')
  t.ok(p.events & EV_SENT)
  p.says({ ack: 2, text: 'still talking' })
  t.equal(p.in.string, 'still talking', 'half close')
  t.match(p.says({ seq: 14, ack: 2, flags: FIN | ACK }), [{ flags: ACK, seq: 2, ack: 15 }])
  t.equal(p.state, 'TIME-WAIT')
  t.ok(p.events & EV_FIN)
  p.wait(59_000)
  t.equal(p.state, 'TIME-WAIT')
  t.notOk(p.events & EV_CLOSED)
  p.wait(2000)
  t.equal(p.state, 'FREE')
  t.ok(p.events & EV_CLOSED)
  t.notOk(p.events & EV_ERROR)
  t.same(p.host.states.slice(2), [
    'ESTABLISHED FIN-WAIT-1',
    'FIN-WAIT-1 FIN-WAIT-2',
    'FIN-WAIT-2 TIME-WAIT',
    'TIME-WAIT CLOSED',
    'CLOSED FREE',
  ])
})

t.test('passive close: CLOSE-WAIT, LAST-ACK, nothing', async t => {
  const p = accepted(new Host())
  p.says({ flags: FIN | ACK })
  t.match(p.write('last words'), [{ text: Buffer.from('last words') }])
  t.match(close(p), [{ flags: FIN | ACK, seq: 11, ack: 2 }])
  t.equal(p.state, 'LAST-ACK')
  p.says({ seq: 2, ack: 11 })
  t.equal(p.state, 'LAST-ACK', 'the FIN is not acknowledged yet')
  p.says({ seq: 2, ack: 12 })
  t.equal(p.state, 'FREE')
  t.equal(p.events & (EV_SENT | EV_CLOSED | EV_ERROR), EV_SENT | EV_CLOSED)
  t.equal(p.host.tcp.size, 0)
})

t.test('simultaneous close: CLOSING', async t => {
  const p = accepted(new Host())
  close(p)
  t.match(p.says({ flags: FIN | ACK }), [{ flags: ACK, seq: 2, ack: 2 }])
  t.equal(p.state, 'CLOSING')
  p.says({ seq: 2, ack: 2 })
  t.equal(p.state, 'TIME-WAIT')
})

t.test('FIN-WAIT-1, FIN and the ACK of ours in one segment: TIME-WAIT', async t => {
  const p = accepted(new Host())
  close(p)
  p.says({ flags: FIN | ACK, ack: 2 })
  t.equal(p.state, 'TIME-WAIT')
})

t.test('FIN goes with the last text, once all of it fits', async t => {
  const p = accepted(new Host(), { wnd: 2000 })
  p.out.write('x'.repeat(3000))
  p.host.tcp.send(p.tcb, p.host.now)
  const first = close(p)
  t.same(
    first.map(s => s.flags & FIN),
    first.map(() => 0),
  )
  const sent = first.reduce((n, s) => n + s.text.length, 0)
  const rest = p.says({ ack: sent + 1 })
  t.equal(rest.at(-1)!.flags & FIN, FIN)
  t.equal(rest.at(-1)!.seq + rest.at(-1)!.text.length, 3001)
})

t.test('close() before the handshake is done: the connection never was', async t => {
  const host = new Host()
  const tcb = host.tcp.open(HERE, 0, THERE, 81, new Outbox(), new Inbox(), {}, host.now)
  host.turn()
  host.tcp.close(tcb, host.now)
  host.turn()
  t.equal(host.tcp.state(tcb), 'FREE')
  t.equal(host.user.events(tcb) & (EV_CLOSED | EV_ERROR), EV_CLOSED)
  t.equal(host.tcp.ports.size, 0)
})

t.test('FIN is sent again until acknowledged', async t => {
  const p = accepted(new Host())
  close(p)
  const again = p.wait(1000)
  t.ok(again.length >= 1)
  for (const s of again) t.match(s, { flags: FIN | ACK, seq: 1 })
  p.says({ ack: 2 })
  t.same(p.wait(10_000), [])
})

// ---- TIME-WAIT

const timeWait = (host: Host, o = {}) => {
  const p = accepted(host, o)
  close(p)
  p.says({ ack: 2 })
  p.says({ flags: FIN | ACK, ack: 2 })
  t.equal(p.state, 'TIME-WAIT')
  return p
}

t.test('TIME-WAIT, the FIN again: an ACK, and 60 s anew', async t => {
  const p = timeWait(new Host())
  p.wait(50_000)
  t.match(p.says({ flags: FIN | ACK, ack: 2 }), [{ flags: ACK, seq: 2, ack: 2 }])
  p.wait(50_000)
  t.equal(p.state, 'TIME-WAIT')
  p.wait(11_000)
  t.equal(p.state, 'FREE')
})

t.test('TIME-WAIT, RST: ignored (RFC 1337)', async t => {
  const p = timeWait(new Host())
  t.same(p.says({ flags: RST, seq: 2 }), [])
  t.equal(p.state, 'TIME-WAIT')
})

t.test('TIME-WAIT, text: an ACK, not taken', async t => {
  const p = timeWait(new Host())
  t.match(p.says({ seq: 2, ack: 2, text: 'ghost' }), [{ flags: ACK, ack: 2 }])
  t.equal(p.in.used, 0)
})

for (const [name, syn, reused] of [
  ['a later sequence number', { seq: 100_000 }, true],
  ['an earlier sequence number', { seq: -5 }, false],
] as const)
  t.test(`TIME-WAIT, SYN with ${name}`, async t => {
    const host = new Host()
    const p = timeWait(host)
    const old = p.iss
    const [reply] = p.says({ flags: SYN, mss: 1460, ...syn, ack: -p.iss })
    if (!reused) {
      t.match(reply, { flags: ACK, seq: 2, ack: 2 })
      t.equal(p.state, 'TIME-WAIT')
      return
    }
    t.match(reply, { flags: SYN | ACK })
    t.ok(reply.seq > 2, 'our numbers are later than the old ones')
    t.equal(host.tcp.counters.timeWaitReused, 1)
    t.type(old, 'number')
  })

for (const [name, ts, reused] of [
  ['a later timestamp, earlier number', 50_000, true],
  ['an earlier timestamp, later number', 10, false],
] as const)
  t.test(`TIME-WAIT, SYN with ${name} (RFC 6191)`, async t => {
    const host = new Host({ clock: undefined })
    const p = timeWait(host, { ts: true })
    const seq = reused ? -5 : 100_000
    const [reply] = p.says({ flags: SYN, mss: 1460, ts: [ts, 0], seq, ack: -p.iss })
    t.equal(reply.flags, reused ? SYN | ACK : ACK)
  })

t.test('TIME-WAIT, at most a quarter of all records: the oldest goes', async t => {
  const host = new Host({ capacity: 16 })
  const all = Array.from({ length: 6 }, (_, i) => {
    host.clock.advance(1)
    return timeWait(host, { port: 2000 + i })
  })
  t.equal(all.at(-1)!.state, 'TIME-WAIT')
  t.equal(host.tcp.timeWaits.length, 4)
  t.equal(host.tcp.size, 4)
  t.equal(host.tcp.counters.timeWaitEvicted, 2)
})

t.test('TIME-WAIT makes room when all records are taken', async t => {
  const host = new Host({ capacity: 8 })
  const waiting = timeWait(host)
  detach(waiting)
  const others = Array.from({ length: 8 }, (_, i) => accepted(host, { port: 3000 + i }))
  t.ok(others.every(p => p.state === 'ESTABLISHED'))
  t.equal(host.tcp.counters.timeWaitEvicted, 1)
})

// ---- the program is gone

t.test('detach(): text and FIN are delivered, then TIME-WAIT without a user', async t => {
  const p = accepted(new Host())
  p.out.write('bye')
  p.host.tcp.send(p.tcb, p.host.now)
  const [last] = detach(p)
  t.equal(text(last), 'bye')
  t.equal(last.flags & FIN, FIN)
  t.equal(p.host.tcp.orphans, 1)
  t.notOk(p.events & EV_CLOSED, 'the send buffer is still needed')
  p.says({ ack: 5 })
  t.ok(p.events & EV_CLOSED)
  t.equal(p.state, 'FIN-WAIT-2')
  t.equal(p.host.tcp.orphans, 0)
  p.says({ flags: FIN | ACK, ack: 5 })
  t.equal(p.state, 'TIME-WAIT')
  p.wait(61_000)
  t.equal(p.host.tcp.size, 0)
})

t.test('detach() with text not taken: RST (RFC 2525 section 2.17)', async t => {
  const p = accepted(new Host())
  p.says({ text: 'unread' })
  t.match(detach(p), [{ flags: RST | ACK, seq: 1, ack: 7 }])
  t.equal(p.state, 'FREE')
})

t.test(
  'detach() when all is read but the window was closed: the FIN opens it, the peer sends and hears',
  async t => {
    const p = accepted(new Host(), { inbox: 1000 })
    p.says({ text: 'x'.repeat(1000) })
    p.in.take()
    t.match(detach(p).at(-1), { flags: FIN | ACK, wnd: 1000 })
    t.match(p.says({ seq: 1001, ack: 2, text: 'more' }), [{ flags: RST | ACK }])
    t.equal(p.host.tcp.size, 0)
  },
)

t.test('detach(), then text comes: RST (RFC 1122 section 4.2.2.13)', async t => {
  for (const fin of [false, true]) {
    const p = accepted(new Host())
    detach(p)
    if (fin) p.says({ ack: 2 })
    t.equal(p.state, fin ? 'FIN-WAIT-2' : 'FIN-WAIT-1')
    const replies = p.says({ ack: 2, text: 'too late' })
    t.match(replies, [{ flags: RST | ACK }])
    t.equal(p.host.tcp.size, 0)
  }
})

t.test('detach() in CLOSE-WAIT: LAST-ACK', async t => {
  const p = accepted(new Host())
  p.says({ flags: FIN | ACK })
  detach(p)
  t.equal(p.state, 'LAST-ACK')
  p.says({ seq: 2, ack: 2 })
  t.equal(p.host.tcp.size, 0)
  t.ok(p.events & EV_CLOSED)
})

t.test('detach() in TIME-WAIT lets the user go, not the connection', async t => {
  const p = timeWait(new Host())
  detach(p)
  t.ok(p.events & EV_CLOSED)
  t.equal(p.state, 'TIME-WAIT')
})

t.test('FIN-WAIT-2 of an orphan ends after 60 s, or TCP_LINGER2', async t => {
  for (const [linger2, ms] of [
    [60, 60_000],
    [5, 5000],
  ]) {
    const p = accepted(new Host(), { settings: { linger2 } })
    detach(p)
    p.says({ ack: 2 })
    p.wait(ms - 10)
    t.equal(p.state, 'FIN-WAIT-2')
    p.wait(20)
    t.equal(p.state, 'FREE')
    t.match(p.says({ flags: FIN | ACK, ack: 2 }), [{ flags: RST }], 'a late FIN finds nobody')
  }
})

t.test('FIN-WAIT-2 of a program that lives does not end', async t => {
  const p = accepted(new Host())
  close(p)
  p.says({ ack: 2 })
  p.wait(3_600_000)
  t.equal(p.state, 'FIN-WAIT-2')
})

t.test('TCP_LINGER2 negative: no FIN-WAIT-2 for an orphan', async t => {
  const p = accepted(new Host(), { settings: { linger2: -1 } })
  detach(p)
  t.match(p.says({ ack: 2 }), [{ flags: RST | ACK, seq: 2 }])
  t.equal(p.host.tcp.size, 0)
})

t.test('orphans are limited to a quarter of all records: the next is reset', async t => {
  const host = new Host({ capacity: 8 })
  const all = Array.from({ length: 4 }, (_, i) => accepted(host, { port: 100 + i }))
  const flags = all.map(p => detach(p)[0].flags)
  t.same(flags, [FIN | ACK, FIN | ACK, RST | ACK, RST | ACK])
  t.equal(host.tcp.orphans, 2)
})

// ---- abort

for (const [name, prepare, rst] of [
  ['ESTABLISHED', () => {}, true],
  ['CLOSE-WAIT', (p: ReturnType<typeof accepted>) => p.says({ flags: FIN | ACK }), true],
  ['FIN-WAIT-1', (p: ReturnType<typeof accepted>) => close(p), true],
  ['FIN-WAIT-2', (p: ReturnType<typeof accepted>) => (close(p), p.says({ ack: 2 })), true],
  ['CLOSING', (p: ReturnType<typeof accepted>) => (close(p), p.says({ flags: FIN | ACK })), false],
  ['LAST-ACK', (p: ReturnType<typeof accepted>) => (p.says({ flags: FIN | ACK }), close(p)), false],
  [
    'TIME-WAIT',
    (p: ReturnType<typeof accepted>) => (close(p), p.says({ flags: FIN | ACK, ack: 2 })),
    false,
  ],
] as const)
  t.test(`abort() in ${name}: ${rst ? 'RST' : 'silence'}, no event`, async t => {
    const p = accepted(new Host())
    prepare(p)
    t.equal(p.state, name)
    const before = p.host.user.log.length
    p.host.tcp.abort(p.tcb, p.host.now)
    const sent = p.turn()
    t.equal(sent.length, rst ? 1 : 0)
    if (rst) t.match(sent[0], { flags: RST | ACK })
    t.equal(p.host.tcp.size, 0)
    t.equal(p.host.user.log.length, before)
    t.equal(p.host.tcp.timers.length, 0)
    t.equal(p.host.tcp.nextTimer(), Infinity)
  })

t.test('abort() sends what was written before the RST', async t => {
  const p = accepted(new Host())
  p.out.write('last words')
  p.host.tcp.abort(p.tcb, p.host.now)
  const sent = p.turn()
  t.equal(sent.length, 2)
  t.match(sent[0], { text: Buffer.from('last words') })
  t.match(sent[1], { flags: RST | ACK })
})

t.test('abort() without room on the link: the RST goes later, for a second', async t => {
  for (const turns of [3, 1e6]) {
    const host = new Host()
    const p = accepted(host)
    host.path(HERE, THERE).full = turns
    host.tcp.abort(p.tcb, host.now)
    t.equal(host.tcp.size, 1)
    let sent = 0
    for (let i = 0; i < 20; i++) sent += p.turn().filter(s => s.flags & RST).length
    t.equal(sent, turns === 3 ? 1 : 0)
    host.wait(1100)
    t.equal(host.tcp.size, 0)
  }
})

t.test('a record ended by its peer is free once the user has heard', async t => {
  const p = accepted(new Host())
  p.hears({ flags: RST })
  t.equal(p.state, 'CLOSED')
  t.equal(p.host.tcp.size, 1)
  p.host.tcp.send(p.tcb, p.host.now)
  p.host.tcp.close(p.tcb, p.host.now)
  p.host.tcp.detach(p.tcb, p.host.now)
  p.turn()
  t.equal(p.host.tcp.size, 0)
})

t.test('abort() of a connection that has just ended: no event', async t => {
  const p = accepted(new Host())
  p.hears({ flags: RST })
  p.host.tcp.abort(p.tcb, p.host.now)
  p.turn()
  t.equal(p.events, 0)
  t.equal(p.host.tcp.size, 0)
})

t.test('20,000 connections come and go: nothing is left', async t => {
  const host = new Host({ capacity: 32 })
  for (let i = 0; i < 20_000; i++) {
    const p = accepted(host, { port: 1 + (i % 60_000) })
    if (i % 2) host.tcp.abort(p.tcb, host.now)
    else p.says({ flags: RST })
    host.turn()
    host.user.accepted.length = 0
    host.user.log.length = 0
    host.user.boxes.clear()
    host.states.length = 0
    host.take()
  }
  t.equal(host.tcp.size, 0)
  t.equal(host.tcp.timers.length, 0)
  t.equal(host.tcp.ports.size, 1, 'the listener')
  t.equal(host.tcp.halfOpen.length, 0)
})
