import t from 'tap'
import { ECONNREFUSED, ECONNRESET, EPIPE } from '../../../../src/base/errno.ts'
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_ERROR,
  EV_FIN,
} from '../../../../src/stack/transport/tcp/user.ts'
import { ACK, FIN, PSH, RST, SYN, URG } from '../../../../src/wire/tcp.ts'
import type { Fields } from '../../../helpers/segment.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted } from '../../../helpers/tcp-pair.ts'

// ---- CLOSED

for (const [name, incoming, want] of [
  ['SYN', { flags: SYN, seq: 7 }, { flags: RST | ACK, seq: 0, ack: 8 }],
  ['SYN with text', { flags: SYN, seq: 7, text: 'abc' }, { flags: RST | ACK, seq: 0, ack: 11 }],
  ['SYN and FIN', { flags: SYN | FIN, seq: 7 }, { flags: RST | ACK, seq: 0, ack: 9 }],
  ['ACK', { flags: ACK, seq: 7, ack: 99 }, { flags: RST, seq: 99 }],
  ['ACK with text', { flags: ACK, seq: 7, ack: 99, text: 'abc' }, { flags: RST, seq: 99 }],
  ['FIN', { flags: FIN, seq: 0xffffffff }, { flags: RST | ACK, seq: 0, ack: 0 }],
  ['nothing set', { flags: 0, seq: 7 }, { flags: RST | ACK, seq: 0, ack: 7 }],
  ['RST', { flags: RST, seq: 7 }, undefined],
  ['RST and ACK', { flags: RST | ACK, seq: 7, ack: 1 }, undefined],
] as const)
  t.test(`CLOSED, ${name}`, async t => {
    const host = new Host()
    host.arrive({ srcPort: 1000, dstPort: 80, ...incoming })
    const [reply] = host.take()
    if (want) t.match(reply, { ...want, srcPort: 80, dstPort: 1000 })
    else t.equal(reply, undefined)
    t.equal(host.tcp.size, 0)
  })

// ---- SYN-SENT

/** A host that has sent a SYN, and a function that lets a segment arrive, ack relative to its ISS. */
function synSent() {
  const host = new Host()
  const inbox = new Inbox()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), inbox, {}, host.now)
  host.turn()
  const [syn] = host.take()
  return {
    host,
    tcb,
    inbox,
    syn,
    says: (f: Fields) => {
      host.arrive({ srcPort: 80, dstPort: syn.srcPort, ...f, ack: ((f.ack ?? 0) + syn.seq) >>> 0 })
      host.turn()
      return host.take().map(s => ({ ...s, seq: (s.seq - syn.seq) | 0 }))
    },
  }
}

t.test('SYN-SENT, what the SYN says', async t => {
  const { syn } = synSent()
  t.match(syn, { flags: SYN, ack: 0, mss: 1460, wscale: 7, sackOk: true, wnd: 65535 })
  t.equal(syn.ts?.[1], 0)
  t.equal(syn.text.length, 0)
})

for (const [name, incoming, state, want] of [
  [
    'SYN and ACK',
    { flags: SYN | ACK, seq: 7, ack: 1 },
    'ESTABLISHED',
    { flags: ACK, seq: 1, ack: 8 },
  ],
  ['ACK of ISS', { flags: ACK, seq: 7, ack: 0 }, 'SYN-SENT', { flags: RST, seq: 0 }],
  ['ACK past SND.NXT', { flags: ACK, seq: 7, ack: 2 }, 'SYN-SENT', { flags: RST, seq: 2 }],
  [
    'SYN and ACK past SND.NXT',
    { flags: SYN | ACK, seq: 7, ack: 2 },
    'SYN-SENT',
    { flags: RST, seq: 2 },
  ],
  [
    'SYN and ACK before ISS',
    { flags: SYN | ACK, seq: 7, ack: -1 },
    'SYN-SENT',
    { flags: RST, seq: -1 },
  ],
  ['ACK of ISS with RST', { flags: ACK | RST, seq: 7, ack: 0 }, 'SYN-SENT', undefined],
  ['RST without ACK', { flags: RST, seq: 7 }, 'SYN-SENT', undefined],
  ['ACK alone, acceptable', { flags: ACK, seq: 7, ack: 1 }, 'SYN-SENT', undefined],
  ['FIN alone', { flags: FIN, seq: 7 }, 'SYN-SENT', undefined],
  ['SYN', { flags: SYN, seq: 7 }, 'SYN-RECEIVED', { flags: SYN | ACK, seq: 0, ack: 8 }],
  [
    'SYN, ACK and text',
    { flags: SYN | ACK, seq: 7, ack: 1, text: 'abc' },
    'ESTABLISHED',
    { flags: ACK, ack: 11 },
  ],
  [
    'SYN, ACK and FIN',
    { flags: SYN | ACK | FIN, seq: 7, ack: 1, text: 'ab' },
    'CLOSE-WAIT',
    { flags: ACK, ack: 11 },
  ],
  [
    'SYN and ACK across the wrap',
    { flags: SYN | ACK, seq: 0xffffffff, ack: 1 },
    'ESTABLISHED',
    { flags: ACK, seq: 1, ack: 0 },
  ],
] as const)
  t.test(`SYN-SENT, ${name}`, async t => {
    const { host, tcb, says } = synSent()
    const [reply] = says(incoming)
    t.equal(host.tcp.state(tcb), state)
    if (want) t.match(reply, want)
    else t.equal(reply, undefined)
    const connected = state === 'ESTABLISHED' || state === 'CLOSE-WAIT'
    t.equal((host.user.events(tcb) & EV_CONNECTED) !== 0, connected)
  })

t.test('SYN-SENT, RST with an acceptable ACK: ECONNREFUSED', async t => {
  const { host, tcb, says } = synSent()
  t.same(says({ flags: RST | ACK, ack: 1 }), [])
  t.equal(host.user.errno(tcb), ECONNREFUSED)
  t.equal(host.user.events(tcb), EV_ERROR | EV_CLOSED)
  t.equal(host.tcp.size, 0)
})

t.test('SYN-SENT, text in SYN and ACK is delivered', async t => {
  const { inbox, says } = synSent()
  says({ flags: SYN | ACK, seq: 7, ack: 1, text: 'hello' })
  t.equal(inbox.string, 'hello')
})

t.test('simultaneous open', async t => {
  const { host, tcb, says } = synSent()
  says({ flags: SYN, seq: 7 })
  t.match(says({ flags: SYN, seq: 7 }), [{ flags: SYN | ACK }], 'the SYN again is answered')
  t.match(says({ flags: SYN | ACK, seq: 7, ack: 1 }), [{ flags: ACK, seq: 1, ack: 8 }])
  t.equal(host.tcp.state(tcb), 'ESTABLISHED')
  t.same(host.states, ['FREE SYN-SENT', 'SYN-SENT SYN-RECEIVED', 'SYN-RECEIVED ESTABLISHED'])
  t.ok(host.user.events(tcb) & EV_CONNECTED)
})

t.test('SYN-RECEIVED after simultaneous open, RST: ECONNREFUSED', async t => {
  const { host, tcb, says } = synSent()
  says({ flags: SYN, seq: 7 })
  says({ flags: RST, seq: 8 })
  t.equal(host.user.errno(tcb), ECONNREFUSED)
})

t.test('a connection to itself', async t => {
  const host = new Host()
  const out = new Outbox()
  const inbox = new Inbox()
  host.tcp.ports.bind(HERE, 500, false, false)
  const tcb = host.tcp.open(HERE, 500, HERE, 500, out, inbox, {}, host.now)
  host.deliver = bytes => queue.push(bytes)
  const queue: Uint8Array[] = []
  const settle = () => {
    for (let i = 0; i < 20; i++) {
      host.turn()
      for (const b of queue.splice(0)) host.tcp.arrives(host.packet.set(b, HERE, HERE), host.now)
    }
  }
  settle()
  t.equal(host.tcp.state(tcb), 'ESTABLISHED')
  out.write('echo')
  host.tcp.send(tcb, host.now)
  settle()
  t.equal(inbox.string, 'echo')
  host.tcp.close(tcb, host.now)
  settle()
  t.equal(host.tcp.state(tcb), 'TIME-WAIT')
  t.ok(host.states.includes('CLOSING TIME-WAIT'), 'simultaneous close')
})

// ---- SYN-RECEIVED

function synReceived(syn: Fields = {}) {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 7, {})
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99, ...syn })
  host.turn()
  const [synAck] = host.take()
  return {
    host,
    synAck,
    says: (f: Fields) => {
      host.arrive({
        srcPort: 9,
        dstPort: 80,
        seq: 100,
        ...f,
        ack: ((f.ack ?? 0) + synAck.seq) >>> 0,
      })
      host.turn()
      return host.take().map(s => ({ ...s, seq: (s.seq - synAck.seq) | 0 }))
    },
  }
}

t.test('SYN-RECEIVED, SYN and ACK say what the peer can do, too', async t => {
  const all = synReceived({ mss: 1400, wscale: 3, sackOk: true, ts: [5, 0] }).synAck
  t.match(all, { flags: SYN | ACK, ack: 100, mss: 1460, wscale: 7, sackOk: true })
  t.equal(all.ts?.[1], 5)
  const none = synReceived().synAck
  t.match(none, { flags: SYN | ACK, mss: 1460, wscale: -1, sackOk: false })
  t.equal(none.ts, undefined)
})

for (const [name, incoming, state, want] of [
  ['ACK', { flags: ACK, ack: 1 }, 'ESTABLISHED', undefined],
  [
    'ACK and text',
    { flags: ACK | PSH, ack: 1, text: 'GET' },
    'ESTABLISHED',
    { flags: ACK, ack: 103 },
  ],
  ['ACK and FIN', { flags: ACK | FIN, ack: 1 }, 'CLOSE-WAIT', { flags: ACK, ack: 101 }],
  ['ACK of nothing', { flags: ACK, ack: 0 }, 'SYN-RECEIVED', { flags: RST, seq: 0 }],
  ['ACK past SND.NXT', { flags: ACK, ack: 2 }, 'SYN-RECEIVED', { flags: RST, seq: 2 }],
  ['the SYN again', { flags: SYN, seq: 99 }, 'SYN-RECEIVED', { flags: SYN | ACK, ack: 100 }],
  ['another SYN in the window', { flags: SYN, seq: 200 }, 'SYN-RECEIVED', { flags: ACK, ack: 100 }],
  ['RST in the window', { flags: RST, seq: 200 }, 'SYN-RECEIVED', { flags: ACK, ack: 100 }],
  ['RST', { flags: RST, seq: 100 }, 'FREE', undefined],
  [
    'text out of the window',
    { flags: ACK, ack: 1, seq: 99, text: 'x' },
    'SYN-RECEIVED',
    { flags: ACK },
  ],
  ['text without ACK', { flags: 0, text: 'x' }, 'SYN-RECEIVED', undefined],
] as const)
  t.test(`SYN-RECEIVED, ${name}`, async t => {
    const { host, says } = synReceived()
    const [reply] = says(incoming)
    t.equal(host.tcp.state(0), state)
    if (want) t.match(reply, want)
    else t.equal(reply, undefined)
    t.equal(host.user.accepted.length, state === 'ESTABLISHED' || state === 'CLOSE-WAIT' ? 1 : 0)
    if (state === 'FREE') t.equal(host.tcp.size, 0)
  })

t.test('SYN-RECEIVED, text before the last ACK came is delivered with it', async t => {
  const { host, says } = synReceived()
  says({ flags: ACK, ack: 1, text: 'first' })
  t.equal(host.user.accepted[0].in.string, 'first')
})

// ---- the synchronized states

t.test('ESTABLISHED, text in order', async t => {
  const p = accepted(new Host())
  const [ack] = p.says({ text: 'hello' })
  t.match(ack, { flags: ACK, seq: 1, ack: 6 })
  t.equal(p.in.string, 'hello')
})

for (const [name, incoming, want, got] of [
  ['text received before', { seq: -4, text: 'abcd' }, { ack: 1 }, ''],
  ['text partly received before', { seq: -2, text: 'abcdef' }, { ack: 4 }, 'def'],
  ['one byte before RCV.NXT, as a keep-alive', { seq: 0, text: 'x' }, { ack: 1 }, ''],
  ['no text before RCV.NXT, as a keep-alive', { seq: 0 }, { ack: 1 }, ''],
  ['text beyond the window', { seq: 70_000, text: 'abc' }, { ack: 1 }, ''],
] as const)
  t.test(`ESTABLISHED, ${name}`, async t => {
    const p = accepted(new Host())
    const [ack] = p.says(incoming)
    t.match(ack, { flags: ACK, seq: 1, ...want })
    t.equal(p.in.string, got)
    t.equal(p.state, 'ESTABLISHED')
  })

t.test('ESTABLISHED, text across the right edge is cut', async t => {
  const p = accepted(new Host(), { inbox: 8192 })
  p.host.tcp.received(p.tcb, p.host.now)
  p.says({ text: 'x'.repeat(8000) })
  const [ack] = p.says({ seq: 8001, text: 'y'.repeat(500), flags: ACK | FIN })
  t.match(ack, { ack: 8193, wnd: 0 })
  t.equal(p.state, 'ESTABLISHED', 'the FIN lay outside')
  t.equal(p.in.used, 8192)
})

for (const [name, seq, reset] of [
  ['at RCV.NXT', 1, true],
  ['in the window', 2, false],
  ['at the end of the window', 60_000, false],
  ['before RCV.NXT', 0, false],
  ['beyond the window', 70_000, false],
] as const)
  t.test(`ESTABLISHED, RST ${name} (RFC 5961)`, async t => {
    const p = accepted(new Host())
    const replies = p.says({ flags: RST, seq })
    t.equal(p.state, reset ? 'FREE' : 'ESTABLISHED')
    if (reset) t.equal(p.errno, ECONNRESET)
    const inWindow = seq > 1 && seq < 65_536
    t.equal(replies.length, inWindow ? 1 : 0)
    if (inWindow) t.match(replies[0], { flags: ACK, seq: 1, ack: 1 })
  })

for (const seq of [0, 1, 1000, 70_000])
  t.test(`ESTABLISHED, SYN at ${seq}: an ACK, and nothing else (RFC 5961)`, async t => {
    const p = accepted(new Host())
    t.match(p.says({ flags: SYN, seq }), [{ flags: ACK, seq: 1, ack: 1 }])
    t.equal(p.state, 'ESTABLISHED')
  })

t.test('ESTABLISHED, ACK of what was never sent: an ACK, text not taken (RFC 5961)', async t => {
  const p = accepted(new Host())
  t.match(p.says({ ack: 2, text: 'evil' }), [{ flags: ACK, ack: 1 }])
  t.equal(p.in.used, 0)
})

t.test('ESTABLISHED, ACK further back than the largest window: an ACK, text not taken', async t => {
  const p = accepted(new Host())
  p.wnd = 100
  t.match(p.says({ ack: -70_000, text: 'evil' }), [{ flags: ACK, ack: 1 }])
  t.equal(p.in.used, 0)
  p.says({ ack: -5, text: 'fine' })
  t.equal(p.in.string, 'fine')
})

t.test('ESTABLISHED, no ACK bit: dropped', async t => {
  const p = accepted(new Host())
  t.same(p.says({ flags: PSH, text: 'evil' }), [])
  t.equal(p.in.used, 0)
})

t.test('ESTABLISHED, FIN', async t => {
  const p = accepted(new Host())
  t.match(p.says({ flags: ACK | FIN, text: 'bye' }), [{ flags: ACK, ack: 5 }])
  t.equal(p.state, 'CLOSE-WAIT')
  t.ok(p.events & EV_FIN)
  t.match(p.says({ flags: ACK | FIN, seq: 4 }), [{ flags: ACK, ack: 5 }], 'the FIN again')
  p.says({ seq: 5, text: 'more' })
  t.equal(p.in.string, 'bye')
})

t.test('ESTABLISHED, FIN before the text in front of it', async t => {
  const p = accepted(new Host())
  t.match(p.says({ flags: ACK | FIN, seq: 4, text: 'def' }), [{ ack: 1 }])
  t.equal(p.state, 'ESTABLISHED')
  p.says({ seq: 7, text: 'past the end' })
  t.match(p.says({ text: 'abc' }), [{ ack: 8 }])
  t.equal(p.state, 'CLOSE-WAIT')
  t.equal(p.in.string, 'abcdef')
})

t.test('ESTABLISHED, a bare FIN before the text in front of it', async t => {
  const p = accepted(new Host())
  p.says({ flags: ACK | FIN, seq: 4 })
  t.match(p.says({ text: 'abc' }), [{ ack: 5 }])
  t.equal(p.state, 'CLOSE-WAIT')
})

for (const up of [0, 1, 3, 100, 65_535])
  t.test(`ESTABLISHED, URG with pointer ${up}: the text is delivered in line`, async t => {
    const p = accepted(new Host())
    p.says({ flags: ACK | URG, up, text: 'abc' })
    p.says({ flags: ACK | URG | FIN, seq: 4, up, text: 'def' })
    t.equal(p.in.string, 'abcdef')
    t.equal(p.state, 'CLOSE-WAIT')
  })

t.test('CLOSE-WAIT, RST: EPIPE', async t => {
  const p = accepted(new Host())
  p.says({ flags: ACK | FIN })
  p.says({ flags: RST, seq: 2 })
  t.equal(p.errno, EPIPE)
})

// ---- PAWS

t.test('PAWS: text with an older timestamp is not taken, and answered', async t => {
  const p = accepted(new Host(), { ts: true })
  p.says({ ts: [5000, 0], text: 'new' })
  t.match(p.says({ ts: [4999, 0], seq: 4, text: 'old' }), [{ flags: ACK, ack: 4 }])
  t.equal(p.in.string, 'new')
  p.says({ ts: [5000, 0], seq: 4, text: 'same' })
  t.equal(p.in.string, 'same')
  t.equal(p.host.tcp.counters.pawsRejected, 1)
})

t.test('PAWS across the wrap of timestamps', async t => {
  const host = new Host()
  const p = accepted(host, { ts: true })
  let seq = 1
  for (const ts of [0x40000000, 0x7fffffff, 0x80000001, 0xffffffff, 5]) {
    p.says({ ts: [ts, 0], seq, text: 'x' })
    t.equal(p.in.string, 'x', `${ts}`)
    seq++
  }
})

t.test('PAWS: a RST is not subject to it', async t => {
  const p = accepted(new Host(), { ts: true })
  p.says({ ts: [5000, 0], text: 'new' })
  p.says({ ts: [1, 0], flags: RST, seq: 4 })
  t.equal(p.state, 'FREE')
})

t.test('PAWS: after 24 days of silence any timestamp is taken', async t => {
  const host = new Host()
  const p = accepted(host, { ts: true })
  p.says({ ts: [5000, 0], text: 'a' })
  host.clock.advance(24 * 86_400_000 - 1000)
  p.says({ ts: [4000, 0], seq: 2, text: 'b' })
  t.equal(p.in.string, 'a')
  host.clock.advance(2000)
  p.says({ ts: [4000, 0], seq: 2, text: 'b' })
  t.equal(p.in.string, 'b')
})

t.test('timestamps agreed on, and missing: dropped, but a RST counts', async t => {
  const p = accepted(new Host(), { ts: true })
  const bare = { options: [] }
  t.same(p.says({ ...bare, text: 'x' }), [])
  t.equal(p.in.used, 0)
  p.says({ ...bare, flags: RST })
  t.equal(p.state, 'FREE')
})

t.test(
  'tsEcr is the timestamp of the oldest segment not acknowledged (RFC 7323 section 4.3)',
  async t => {
    const p = accepted(new Host(), { ts: true })
    p.says({ ts: [9000, 0], text: 'a' })
    const [dup] = p.says({ ts: [9100, 0], seq: 3, text: 'c' })
    t.equal(dup.ts?.[1], 9000, 'not that of text out of order')
    const [ack] = p.says({ ts: [9050, 0], seq: 2, text: 'b' })
    t.equal(ack.ts?.[1], 9050)
  },
)

t.test('TSval is the time with an offset that differs between connections', async t => {
  const host = new Host()
  const one = accepted(host, { ts: true, port: 1 })
  const two = accepted(host, { ts: true, port: 2 })
  const first = one.says({ ts: [9000, 0], text: 'x' })[0].ts![0]
  const other = two.says({ ts: [9000, 0], text: 'x' })[0].ts![0]
  t.not(first, other)
  t.not(first, host.now)
  host.clock.advance(250)
  t.equal(one.says({ ts: [9000, 0], seq: 2, text: 'x' })[0].ts![0] - first, 250)
})

// ---- the door

t.test('a wrong checksum, a header cut short, options that lie: dropped and counted', async t => {
  const host = new Host()
  const p = accepted(host)
  const { counters } = host.tcp
  host.tcp.arrives(host.packet.set(new Uint8Array(40), THERE, HERE, false), host.now)
  t.equal(counters.badHeaders, 1)
  p.hears({ text: 'x' })
  const bytes = host.packet.bytes
  const bad = bytes.slice()
  host.tcp.arrives(host.packet.set(bad, THERE, HERE, false), host.now)
  t.equal(counters.badChecksums, 1)
  for (let n = 0; n < 20; n++)
    host.tcp.arrives(host.packet.set(bytes.subarray(0, n), THERE, HERE), host.now)
  t.equal(counters.badHeaders, 21)
  p.says({ seq: 2, options: [8, 0, 1, 1], text: 'lie' })
  t.equal(counters.badHeaders, 22)
  t.equal(p.in.string, 'x')
})

t.test('two stacks that say what the other does not expect go quiet', async t => {
  const p = accepted(new Host())
  let replies = 0
  for (let i = 0; i < 1000; i++) {
    replies += p.says({ ack: 50_000 }).length
    replies += p.says({ seq: 90_000 }).length
    p.host.clock.advance(1)
  }
  t.ok(replies <= 4, `${replies} in two seconds`)
})

t.test('challenge ACKs are limited in all, and the limit is not a round number', async t => {
  const host = new Host({ capacity: 3000 })
  const peers = Array.from({ length: 2500 }, (_, i) => accepted(host, { port: 1000 + i }))
  const counts: number[] = []
  for (let second = 0; second < 4; second++) {
    host.clock.advance(1000)
    counts.push(peers.reduce((n, p) => n + p.says({ flags: SYN, seq: 1 }).length, 0))
  }
  for (const n of counts) t.ok(n >= 500 && n <= 1500, `${n}`)
  t.ok(new Set(counts).size > 2)
})
