// Urgent data (RFC 9293 section 3.8.5, RFC 6093) as Linux has it with tcp_stdurg = 0: the pointer is one past the byte.
import t from 'tap'
import { EAGAIN, EINVAL } from '../../../../src/base/errno.ts'
import { EV_TEXT, EV_URGENT } from '../../../../src/stack/transport/tcp/user.ts'
import { ACK, FIN, PSH, RST, SYN, URG } from '../../../../src/wire/tcp.ts'
import type { Fields } from '../../../helpers/segment.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted, connected } from '../../../helpers/tcp-pair.ts'

const NONE = -EINVAL
const DUE = -EAGAIN
const code = (s: string) => s.charCodeAt(0)
const urg = (seq: number, up: number, text = '', more = 0): Fields => ({
  flags: ACK | URG | more,
  seq,
  up,
  text,
})

// ---- receiving

for (const [name, segments, mark, byte, text] of [
  ['on the last byte', [urg(1, 3, 'abc')], 2, code('c'), 'abc'],
  ['on the first byte', [urg(1, 1, 'abc')], 0, code('a'), 'abc'],
  ['pointer 0: as 1', [urg(1, 0, 'abc')], 0, code('a'), 'abc'],
  ['past the text, which has not come', [urg(1, 7, 'abc')], 6, DUE, 'abc'],
  [
    'past the text, then it comes',
    [urg(1, 5, 'abc'), { seq: 4, text: 'de' }],
    4,
    code('e'),
    'abcde',
  ],
  ['without text', [urg(1, 1)], 0, DUE, ''],
  ['without text, then it comes', [urg(1, 1), { seq: 1, text: 'x' }], 0, code('x'), 'x'],
  ['as far as it can be', [urg(1, 65535, 'abc')], 65534, DUE, 'abc'],
  ['farther than the window', [{ seq: 1, text: 'ab' }, urg(3, 65535)], 65536, DUE, 'ab'],
  ['before what has come', [{ seq: 1, text: 'abc' }, urg(2, 1, 'bcd')], undefined, NONE, 'abcd'],
  ['behind text that came before', [{ seq: 1, text: 'ab' }, urg(1, 3, 'abc')], 2, code('c'), 'abc'],
  [
    'behind the window, on an old segment',
    [{ seq: 1, text: 'abc' }, urg(1, 2, 'ab')],
    undefined,
    NONE,
    'abc',
  ],
  ['several, each farther', [urg(1, 1, 'ab'), urg(3, 2, 'cd')], 3, code('d'), 'abcd'],
  ['several, the second nearer', [urg(1, 9, 'ab'), urg(3, 1, 'cd')], 8, DUE, 'abcd'],
  ['several, the same again', [urg(1, 9, 'ab'), urg(3, 7, 'cd')], 8, DUE, 'abcd'],
  [
    'several, before the first byte came',
    [urg(1, 5), urg(1, 3), { seq: 1, text: 'abcde' }],
    4,
    code('e'),
    'abcde',
  ],
  ['out of order', [urg(3, 2, 'cd'), { seq: 1, text: 'ab' }], 3, code('d'), 'abcd'],
  [
    'out of order, twice',
    [urg(3, 2, 'cd'), urg(3, 2, 'cd'), { seq: 1, text: 'ab' }],
    3,
    code('d'),
    'abcd',
  ],
  [
    'told before, come out of order',
    [urg(1, 4), { seq: 3, text: 'cd' }, { seq: 1, text: 'ab' }],
    3,
    code('d'),
    'abcd',
  ],
  ['with FIN', [urg(1, 3, 'abc', FIN)], 2, code('c'), 'abc'],
  ['with FIN, on the FIN', [urg(1, 4, 'abc', FIN)], 3, DUE, 'abc'],
  ['with FIN and no text', [urg(1, 1, '', FIN)], 0, DUE, ''],
  ['after FIN', [{ seq: 1, text: 'a', flags: ACK | FIN }, urg(3, 1)], undefined, NONE, 'a'],
  ['a pointer and no URG', [{ seq: 1, text: 'abc', up: 2 }], undefined, NONE, 'abc'],
] as [string, Fields[], number | undefined, number, string][])
  for (const irs of [5000, 0xfffffffe, 0xffffffff - 3, 0x7ffffffe])
    t.test(`URG ${name}, IRS ${irs}`, async t => {
      const host = new Host()
      const p = accepted(host, { irs })
      const { tcp } = host
      for (const f of segments) p.says(f)
      t.equal(tcp.urgentMark(p.tcb), mark)
      t.equal(tcp.receiveUrgent(p.tcb, true), byte)
      t.equal(tcp.receiveUrgent(p.tcb, false), byte)
      t.equal(tcp.receiveUrgent(p.tcb, false), byte >= 0 ? NONE : byte, 'once')
      t.equal((p.events & EV_URGENT) !== 0, mark !== undefined)
      t.equal(tcp.atMark(p.tcb), mark === 0)
      if (mark !== undefined && mark <= text.length) {
        p.read(mark)
        t.ok(tcp.atMark(p.tcb))
        t.equal(p.in.string, text.slice(mark))
      } else t.equal(p.in.string, text)
      t.notOk(tcp.atMark(p.tcb) && mark !== p.in.tail)
    })

t.test('the mark is forgotten when the program has passed it, the byte with it', async t => {
  const p = accepted(new Host())
  const { tcp } = p.host
  p.says(urg(1, 2, 'abc'))
  p.read(1)
  t.ok(tcp.atMark(p.tcb))
  t.equal(tcp.receiveUrgent(p.tcb, true), code('b'))
  p.read(1)
  t.notOk(tcp.atMark(p.tcb))
  t.equal(tcp.urgentMark(p.tcb), undefined)
  t.equal(tcp.receiveUrgent(p.tcb, true), NONE)
  p.says(urg(4, 1, 'd'))
  t.equal(tcp.urgentMark(p.tcb), 3)
  t.equal(tcp.receiveUrgent(p.tcb, false), code('d'))
})

t.test('EV_URGENT: for the mark, and for its byte', async t => {
  const p = accepted(new Host())
  const heard = () => p.host.user.log.splice(0).map(e => e.events)
  p.says(urg(1, 2))
  t.same(heard(), [EV_URGENT])
  p.says(urg(1, 2))
  t.same(heard(), [])
  p.says({ seq: 1, text: 'ab' })
  t.same(heard(), [EV_URGENT | EV_TEXT])
})

t.test('SO_OOBINLINE: no byte beside the text', async t => {
  const p = accepted(new Host(), { settings: { oobInline: 1 } })
  p.says(urg(1, 2, 'abc'))
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), NONE)
  t.equal(p.host.tcp.urgentMark(p.tcb), 1)
  p.host.tcp.setOption(p.tcb, 'oobInline', 0, p.host.now)
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), code('b'))
})

t.test('a window of 0: the mark is heard, its byte is not taken', async t => {
  const p = accepted(new Host(), { inbox: 4 })
  p.says({ seq: 1, text: 'full' })
  p.says(urg(5, 1))
  t.equal(p.host.tcp.urgentMark(p.tcb), 4)
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), DUE)
  p.says(urg(5, 1, '!'))
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), DUE)
  t.equal(Buffer.from(p.read()).toString(), 'full')
  t.ok(p.host.tcp.atMark(p.tcb))
  p.turn()
  p.says(urg(5, 1, '!'))
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), code('!'))
})

t.test('a window that ends before the byte: it is due until it is taken', async t => {
  const p = accepted(new Host(), { inbox: 4 })
  p.says(urg(1, 6, 'abcdef'))
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), DUE)
  t.equal(Buffer.from(p.read()).toString(), 'abcd')
  p.turn()
  p.says({ seq: 5, text: 'ef' })
  t.equal(p.host.tcp.receiveUrgent(p.tcb, false), code('f'))
})

for (const [name, f] of [
  ['RST', { flags: RST | URG, up: 1, seq: 2 }],
  ['SYN', { flags: SYN | URG, up: 1, seq: 1 }],
  ['no ACK', { flags: URG, up: 1, text: 'x' }],
  ['an old number', { flags: ACK | URG, up: 1, seq: -100, text: 'x' }],
  ['a number past the window', { flags: ACK | URG, up: 1, seq: 70_000, text: 'x' }],
  ['a bad acknowledgment', { flags: ACK | URG, up: 1, ack: 70_000, text: 'x' }],
] as [string, Fields][])
  t.test(`URG on a segment that is not acceptable, ${name}: nothing`, async t => {
    const p = accepted(new Host())
    p.says(f)
    t.equal(p.host.tcp.urgentMark(p.tcb), undefined)
    t.equal(p.state, 'ESTABLISHED')
  })

t.test('URG on a SYN-ACK with text', async t => {
  const host = new Host()
  const out = new Outbox()
  const inbox = new Inbox()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, out, inbox, {}, host.now)
  host.turn()
  const [syn] = host.take()
  const ack = syn.seq + 1
  host.arrive({ srcPort: 80, dstPort: syn.srcPort, seq: 7, ack, ...urg(7, 3, 'xyz', SYN) })
  t.equal(host.tcp.urgentMark(tcb), 1)
  t.equal(host.tcp.receiveUrgent(tcb, false), code('y'))
})

t.test(
  'another thread: mark, byte and what was taken are as they were; the event comes again',
  async t => {
    const host = new Host()
    const p = accepted(host)
    p.says(urg(1, 3, 'abc'))
    host.user.log.length = 0
    host.replace()
    host.tcp.attach(p.tcb, p.out, p.in)
    host.turn()
    t.ok((p.events & EV_URGENT) !== 0)
    t.equal(host.tcp.urgentMark(p.tcb), 2)
    t.equal(host.tcp.receiveUrgent(p.tcb, false), code('c'))
    host.replace()
    host.tcp.attach(p.tcb, p.out, p.in)
    t.equal(host.tcp.receiveUrgent(p.tcb, false), NONE)
  },
)

// ---- sending

const pointers = (sent: readonly { flags: number; up: number; seq: number }[]) =>
  sent.map(s => [s.seq, (s.flags & URG) !== 0, s.up])

function writeUrgent(p: ReturnType<typeof accepted>, text: string | Uint8Array) {
  p.out.write(text)
  p.host.tcp.urgent(p.tcb, p.host.now)
  return p.turn()
}

t.test('urgent(): URG and a pointer one past the last byte, until it is acknowledged', async t => {
  const p = accepted(new Host())
  const sent = writeUrgent(p, 'abc')
  t.match(sent, [{ flags: ACK | PSH | URG, up: 3, seq: 1 }])
  t.same(pointers(p.write(new Uint8Array(1460))), [[4, false, 0]], 'text behind it is not urgent')
  t.same(pointers(p.wait(1200)).slice(0, 1), [[1, true, 3]], 'sent again')
  p.says({ ack: 2, seq: 1, text: 'x' })
  p.says({ ack: 4, seq: 2 })
  t.ok(p.says({ ack: 1464, seq: 2, text: 'x' }).every(s => (s.flags & URG) === 0))
})

t.test('urgent() in a long buffer: the pointer shrinks from segment to segment', async t => {
  const p = accepted(new Host())
  t.same(pointers(writeUrgent(p, new Uint8Array(3000))), [
    [1, true, 3000],
    [1461, true, 1540],
    [2921, true, 80],
  ])
})

t.test('urgent() where the link cuts up segments: one at a time', async t => {
  const p = accepted(new Host({ maxDatagram: 65_535 }))
  t.ok(writeUrgent(p, new Uint8Array(6000)).every(s => s.gsoSize === 0))
  p.says({ ack: 6001 })
  t.ok(p.write(new Uint8Array(6000)).some(s => s.gsoSize > 0))
})

t.test('urgent() twice: the later counts', async t => {
  const p = accepted(new Host())
  writeUrgent(p, 'a')
  t.same(pointers(writeUrgent(p, 'b')), [[2, true, 1]])
  t.same(pointers(p.wait(1200)).slice(0, 1), [[1, true, 2]])
})

t.test('urgent() is not held back by Nagle, TCP_CORK or MSG_MORE', async t => {
  const p = accepted(new Host(), { settings: { cork: 1 } })
  t.equal(p.write('a', true).length, 0)
  t.same(pointers(writeUrgent(p, 'b')), [[1, true, 2]])
  t.same(pointers(writeUrgent(p, 'c')), [[3, true, 1]])
})

t.test(
  'urgent() farther away than 64 KB: the pointer says as far as it can, past all text sent',
  async t => {
    const p = accepted(new Host(), { mss: 1460 })
    const sent = writeUrgent(p, new Uint8Array(100_000))
    t.equal(sent.length, 10)
    t.ok(sent.every(s => s.up === 65535 && (s.flags & URG) !== 0))
  },
)

t.test('urgent() into a closed window: told at once, and with each probe', async t => {
  const p = accepted(new Host())
  p.says({ wnd: 0 })
  t.same(pointers(writeUrgent(p, 'abc')), [[1, true, 3]])
  const probes = p.wait(400)
  t.same(pointers(probes), [
    [1, true, 3],
    [0, true, 4],
  ])
  p.says({ wnd: 1000 })
  t.same(pointers(p.says({ ack: 4 })), [])
})

t.test('urgent() with nothing in the buffer: nothing', async t => {
  const p = accepted(new Host())
  p.host.tcp.urgent(p.tcb, p.host.now)
  t.same(p.turn(), [])
})

t.test('SYN-SENT, urgent(): told when the connection stands', async t => {
  const host = new Host()
  const out = new Outbox()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, out, new Inbox(), {}, host.now)
  out.write('early')
  host.tcp.urgent(tcb, host.now)
  host.turn()
  const [syn] = host.take()
  t.equal(syn.flags, SYN)
  host.arrive({ srcPort: 80, dstPort: syn.srcPort, flags: SYN | ACK, seq: 7, ack: syn.seq + 1 })
  host.turn()
  t.match(host.take(), [{ flags: ACK | PSH | URG, up: 5 }])
})

t.test('urgent() across the wrap of sequence numbers', async t => {
  for (let i = 0; i < 40; i++) {
    const host = new Host()
    const p = connected(host)
    const { snd } = host.tcp.tcb(p.tcb)
    const shift = (0xfffffffe - i - snd.una) | 0
    for (const field of ['iss', 'una', 'nxt', 'max', 'sml', 'wl2'] as const)
      snd[field] = ((snd[field] + shift) | 0) as typeof snd.una
    p.out.write(new Uint8Array(30))
    host.tcp.urgent(p.tcb, host.now)
    host.turn()
    const [s] = host.take()
    t.equal(s.up, 30)
    host.arrive({
      srcPort: 80,
      dstPort: p.localPort,
      seq: 5001,
      ack: (s.seq + 30) >>> 0,
      flags: ACK,
    })
    host.turn()
    t.same(
      pointers(p.write(new Uint8Array(1460))).map(x => x[1]),
      [false],
    )
  }
})
