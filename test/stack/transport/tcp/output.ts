import t from 'tap'
import { ACK, FIN, PSH, SYN } from '../../../../src/wire/tcp.ts'
import { type Sent, text } from '../../../helpers/segment.ts'
import { HERE, Host, THERE, accepted } from '../../../helpers/tcp-pair.ts'

const MSS = 1460
const lengths = (sent: Sent[]) => sent.map(s => s.text.length)
const bytes = (n: number) => new Uint8Array(n).map((_, i) => i)
const total = (sent: Sent[]) => lengths(sent).reduce((a, b) => a + b, 0)

// ---- Nagle, TCP_NODELAY, TCP_CORK, MSG_MORE

t.test('text goes at once when nothing is on its way', async t => {
  const p = accepted(new Host())
  t.match(p.write('GET /'), [{ flags: ACK | PSH, seq: 1, text: Buffer.from('GET /') }])
})

t.test('Nagle: one segment that is not full is on its way, the next waits for its ACK', async t => {
  const p = accepted(new Host())
  p.write('a')
  t.same(p.write('b'), [])
  t.same(p.write('c'), [])
  t.same(p.says({ ack: 2 }).map(text), ['bc'])
})

t.test('Nagle does not hold back what fills the send buffer, as there can be no more', async t => {
  const p = accepted(new Host())
  p.write('first')
  t.same(p.write('second', false, true).map(text), ['second'])
  t.same(p.write('third').map(text), [], 'Nagle again')
})

t.test(
  'a send buffer that could not grow is asked for again with the next acknowledgment',
  async t => {
    const host = new Host()
    const asked: number[] = []
    let grows = false
    host.user.growSend = () => {
      asked.push(host.now)
      return grows
    }
    const p = accepted(host)
    for (let i = 1; i <= 4; i++) {
      p.write('x')
      p.says({ ack: 1 + i })
      if (i === 2) grows = true
    }
    t.equal(asked.length, 3)
  },
)

t.test('Nagle: full segments do not wait', async t => {
  const p = accepted(new Host())
  p.write('a')
  t.same(lengths(p.write(bytes(MSS))), [MSS])
  t.same(lengths(p.write(bytes(MSS + 10))), [MSS])
  t.same(lengths(p.says({ ack: 2 })), [10])
})

t.test('Nagle as Minshall has it: a last piece follows full segments at once', async t => {
  const p = accepted(new Host())
  t.same(lengths(p.write(bytes(3 * MSS + 10))), [MSS, MSS, MSS, 10])
  t.same(lengths(p.write(bytes(10))), [])
})

t.test('TCP_NODELAY', async t => {
  const p = accepted(new Host(), { settings: { noDelay: 1 } })
  for (const c of ['a', 'b', 'c']) t.same(p.write(c).map(text), [c])
})

t.test('TCP_NODELAY set while text waits lets it go', async t => {
  const p = accepted(new Host())
  p.write('a')
  p.write('b')
  p.host.tcp.setOption(p.tcb, 'noDelay', 1, p.host.now)
  t.same(p.turn().map(text), ['b'])
})

t.test('TCP_CORK: full segments only, and the rest when it is taken off', async t => {
  const p = accepted(new Host(), { settings: { cork: 1 } })
  t.same(p.write('head'), [])
  t.same(lengths(p.write(bytes(MSS))), [MSS])
  t.same(p.wait(100), [])
  p.host.tcp.setOption(p.tcb, 'cork', 0, p.host.now)
  t.same(lengths(p.turn()), [4])
  t.same(p.write('next').map(text), [], 'Nagle again')
})

t.test('TCP_CORK holds text for 200 ms', async t => {
  const p = accepted(new Host(), { settings: { cork: 1 } })
  p.write('head')
  t.same(p.wait(199), [])
  t.same(p.wait(2).map(text), ['head'])
  p.says({ ack: 5 })
  p.write('tail')
  t.same(p.wait(199), [], 'and the next again')
  t.same(p.wait(2).map(text), ['tail'])
})

t.test('MSG_MORE: with the next text, or after 200 ms', async t => {
  const p = accepted(new Host())
  t.same(p.write('head', true), [])
  t.same(p.write('body').map(text), ['headbody'])
  p.says({ ack: 9 })
  t.same(p.write('alone', true), [])
  t.same(p.wait(201).map(text), ['alone'])
})

t.test('close() takes the cork off', async t => {
  const p = accepted(new Host(), { settings: { cork: 1 } })
  p.write('head')
  p.host.tcp.close(p.tcb, p.host.now)
  t.match(p.turn(), [{ flags: ACK | PSH | FIN, text: Buffer.from('head') }])
})

// ---- windows

t.test('no more than the window', async t => {
  const p = accepted(new Host(), { wnd: 5000 })
  t.equal(total(p.write(bytes(20_000))), 3 * MSS)
  t.same(p.wait(150), [])
  t.equal(total(p.says({ ack: 3 * MSS + 1 })), 3 * MSS)
})

t.test('a scaled window', async t => {
  const p = accepted(new Host(), { wnd: 1000, wscale: 4 })
  t.equal(total(p.write(bytes(50_000))), 10 * MSS, 'the initial window of cwnd; 16,000 from now on')
})

t.test('SWS: what is less than a segment and half of the window waits', async t => {
  const p = accepted(new Host(), { wnd: 4000 })
  t.same(lengths(p.write(bytes(10_000))), [MSS, MSS])
  p.wnd = 1000
  t.same(lengths(p.says({ ack: 2 * MSS + 1 })), [], '1000 of at most 4000')
  t.same(lengths(p.wait(1500)).slice(0, 1), [1000], 'until the persist timer')
})

t.test('SWS: half of the largest window is enough', async t => {
  const p = accepted(new Host(), { wnd: 1000 })
  t.same(lengths(p.write(bytes(3000))), [1000])
  p.wnd = 500
  t.same(lengths(p.says({ ack: 1001 })), [500])
  p.wnd = 499
  t.same(lengths(p.says({ ack: 1501 })), [])
})

t.test('the window is not taken from an older segment', async t => {
  const p = accepted(new Host())
  p.says({ text: 'later', wnd: 3000 })
  p.says({ wnd: 65_535, seq: -10, text: 'older text' + 'later' })
  t.equal(total(p.write(bytes(20_000))), 2 * MSS)
})

t.test('a window that shrinks below what is on its way: nothing new, and no harm', async t => {
  const p = accepted(new Host())
  p.write(bytes(8 * MSS))
  p.wnd = 1000
  t.same(p.says({ ack: MSS + 1 }), [])
  const again = p.wait(1000)
  t.ok(again.length > 0, 'what is outstanding is sent again all the same')
  t.ok(again.every(s => s.seq === MSS + 1))
  p.wnd = 65_535
  p.says({ ack: 8 * MSS + 1 })
  t.equal(total(p.write(bytes(MSS))), MSS)
})

// ---- cwnd

t.test('the initial window is ten segments, and doubles in a round trip', async t => {
  const p = accepted(new Host(), { wscale: 7 })
  t.equal(total(p.write(bytes(100 * MSS))), 10 * MSS)
  t.equal(total(p.says({ ack: 10 * MSS + 1 })), 20 * MSS)
  t.equal(total(p.says({ ack: 30 * MSS + 1 })), 40 * MSS)
})

t.test('splitting an acknowledgment gains nothing', async t => {
  const p = accepted(new Host(), { wscale: 7 })
  p.write(bytes(100 * MSS))
  let sent = 0
  for (let i = 1; i <= 10 * 20; i++) sent += total(p.says({ ack: 1 + (i * MSS) / 20 }))
  t.ok(sent <= 20 * MSS, `${sent / MSS} segments for ten`)
})

t.test('cwnd does not grow while the program is what is slow', async t => {
  const p = accepted(new Host(), { wscale: 7 })
  let ack = 1
  for (let i = 0; i < 50; i++) {
    p.write(bytes(MSS))
    ack += MSS
    p.says({ ack })
  }
  t.equal(total(p.write(bytes(100 * MSS))), 10 * MSS)
})

t.test('after a pause cwnd is the initial window again', async t => {
  const p = accepted(new Host(), { wscale: 7 })
  p.write(bytes(10 * MSS))
  p.says({ ack: 10 * MSS + 1 })
  p.write(bytes(20 * MSS))
  p.says({ ack: 30 * MSS + 1 })
  p.wait(5000)
  t.equal(total(p.write(bytes(100 * MSS))), 10 * MSS)
})

// ---- segments that the link cuts up

t.test('64 KB segments: multiples of the MSS, with its size; the rest alone', async t => {
  const p = accepted(new Host({ maxDatagram: 65_535 }), { wscale: 7 })
  const sent = p.write(bytes(10 * MSS))
  t.match(sent, [{ gsoSize: MSS, flags: ACK | PSH }])
  t.equal(sent[0].text.length, 10 * MSS)
  const more = p.says({ ack: 10 * MSS + 1 })
  t.same(more, [])
  const last = p.write(bytes(2 * MSS + 7))
  t.match(last, [{ gsoSize: MSS }])
  t.equal(last[0].text.length, 2 * MSS + 7)
  p.says({ ack: 12 * MSS + 8 })
  t.match(p.write(bytes(7)), [{ gsoSize: 0 }])
})

t.test('64 KB segments are never longer than the path takes', async t => {
  for (const ts of [false, true]) {
    const host = new Host({ maxDatagram: 65_535 })
    const p = accepted(host, { wscale: 10, wnd: 65_535, ts })
    let acked = 1
    let longest = 0
    p.out.write(bytes(4 << 20))
    host.tcp.send(p.tcb, host.now)
    for (let i = 0; i < 100; i++) {
      const sent = i === 0 ? p.turn() : p.says({ ack: acked })
      for (const s of sent) {
        longest = Math.max(longest, s.text.length)
        if (acked < 3 << 20) t.equal(s.text.length % (ts ? MSS - 12 : MSS), 0)
        acked = s.seq + s.text.length
      }
    }
    t.equal(longest, (ts ? 45 : 44) * (ts ? MSS - 12 : MSS))
  }
})

t.test('a small part of a large window waits for more', async t => {
  const p = accepted(new Host({ maxDatagram: 65_535 }), { wscale: 7, wnd: 400 })
  p.out.write(bytes(1 << 20))
  p.host.tcp.send(p.tcb, p.host.now)
  let acked = 1
  for (const s of p.turn()) acked = s.seq + s.text.length
  for (let i = 0; i < 4; i++) for (const s of p.says({ ack: acked })) acked = s.seq + s.text.length
  t.same(p.says({ ack: acked - 30 * MSS }), [])
  t.equal(total(p.says({ ack: acked - 20 * MSS })), 15 * MSS)
})

t.test('one connection does not take the whole turn', async t => {
  const host = new Host()
  const busy = accepted(host, { port: 1, wscale: 14 })
  const quiet = accepted(host, { port: 2 })
  busy.out.write(bytes(1 << 20))
  quiet.out.write('hello')
  let acked = 1
  for (let i = 0; i < 6; i++)
    for (const s of i ? busy.says({ ack: acked }) : busy.write('x')) acked = s.seq + s.text.length
  host.tcp.send(quiet.tcb, host.now)
  busy.hears({ ack: acked })
  host.tcp.run(host.now)
  const turn = host.take()
  t.equal(turn.filter(s => s.dstPort === 1).length, 16)
  t.equal(turn.filter(s => s.dstPort === 2).length, 1)
  t.equal(host.tcp.nextTimer(), -Infinity, 'and there is more')
})

// ---- no room

t.test('no room on the link: nothing is lost, no timer is charged', async t => {
  const host = new Host()
  const p = accepted(host)
  const path = host.path(HERE, THERE)
  path.full = 3
  p.out.write(bytes(3 * MSS))
  host.tcp.send(p.tcb, host.now)
  host.tcp.run(host.now)
  t.ok(host.tcp.nextTimer() > host.now, 'not again before something happens')
  t.equal(host.tcp.blocked.length, 1)
  t.same(p.turn(), [])
  t.same(p.turn(), [])
  t.same(lengths(p.turn()), [MSS, MSS, MSS])
  path.full = 2
  t.same(p.says({ text: 'abc', ack: 3 * MSS + 1 }), [])
  t.same(p.turn(), [])
  t.match(p.turn(), [{ flags: ACK, ack: 4 }])
  t.equal(host.tcp.counters.timeouts, 0)
})

t.test('no room for SYN, and for SYN and ACK', async t => {
  const host = new Host()
  const path = host.path(HERE, THERE)
  path.full = 2
  host.tcp.open(HERE, 0, THERE, 80, accepted(new Host()).out, accepted(new Host()).in, {}, host.now)
  host.turn()
  host.turn()
  t.same(host.take(), [])
  host.turn()
  t.match(host.take(), [{ flags: SYN }])
  host.tcp.listen(HERE, 80, false, 1, {})
  path.full = 1
  host.arrive({ srcPort: 5, dstPort: 80, flags: SYN, seq: 1 })
  host.turn()
  t.same(host.take(), [])
  host.turn()
  t.match(host.take(), [{ flags: SYN | ACK }])
})

// ---- acknowledgments

t.test(
  'a quiet receiver: at once for the first sixteen, then every second full segment',
  async t => {
    const p = accepted(new Host(), { inbox: 1 << 20 })
    let seq = 1
    const one = () => {
      const replies = p.says({ seq, text: bytes(MSS) })
      seq += MSS
      return replies.length
    }
    let early = 0
    for (let i = 0; i < 16; i++) early += one()
    t.equal(early, 16)
    const later = Array.from({ length: 8 }, one)
    t.same(later, [0, 1, 0, 1, 0, 1, 0, 1])
  },
)

t.test('an odd segment is acknowledged after 40 ms', async t => {
  const p = accepted(new Host(), { settings: { quickAck: 0 } })
  t.same(p.says({ text: 'x' }), [])
  t.same(p.wait(39), [])
  t.match(p.wait(2), [{ flags: ACK, ack: 2 }])
})

t.test('an acknowledgment goes with the answer', async t => {
  const p = accepted(new Host(), { settings: { quickAck: 0 } })
  t.same(p.says({ text: 'question' }), [])
  t.match(p.write('answer'), [{ ack: 9, text: Buffer.from('answer') }])
  t.same(p.wait(39), [])
})

t.test('many segments in a turn are acknowledged once, a 64 KB segment at once', async t => {
  const p = accepted(new Host(), { inbox: 1 << 20, settings: { quickAck: 0 } })
  let seq = 1
  for (let i = 0; i < 10; i++) {
    p.hears({ seq, text: bytes(MSS) })
    seq += MSS
  }
  t.match(p.turn(), [{ ack: seq }])
  t.match(p.says({ seq, text: bytes(40 * MSS) }), [{ ack: seq + 40 * MSS }])
})

t.test('TCP_QUICKACK set while an acknowledgment waits lets it go', async t => {
  const p = accepted(new Host(), { settings: { quickAck: 0 } })
  p.says({ text: 'x' })
  p.host.tcp.setOption(p.tcb, 'quickAck', 1, p.host.now)
  t.match(p.turn(), [{ ack: 2 }])
})

// ---- MSS

for (const [name, mss, mtu, want] of [
  ['the peer is smaller', 1000, 1500, 1000],
  ['the path is smaller', 9000, 1500, 1460],
  ['none: 536', 0, 1500, 536],
  ['48 is taken as 88', 48, 1500, 88],
  ['1 is taken as 88', 1, 1500, 88],
] as const)
  t.test(`MSS, ${name}`, async t => {
    const host = new Host({ mtu })
    host.tcp.listen(HERE, 80, false, 1, {})
    host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99, ...(mss ? { mss } : {}) })
    host.turn()
    const [synAck] = host.take()
    t.equal(synAck.mss, mtu - 40)
    host.arrive({ srcPort: 9, dstPort: 80, flags: ACK, seq: 100, ack: synAck.seq + 1 })
    const { tcb, out } = host.user.accepted[0]
    out.write(bytes(20_000))
    host.tcp.send(tcb, host.now)
    host.turn()
    const sent = host.take()
    t.equal(sent[0].text.length, want)
    t.equal(host.tcp.maxSegment(tcb), want)
  })

t.test('TCP_MAXSEG bounds what we send and announce', async t => {
  const host = new Host()
  const p = accepted(host, { settings: { maxSeg: 500 } })
  t.same(lengths(p.write(bytes(1000))), [500, 500])
})
