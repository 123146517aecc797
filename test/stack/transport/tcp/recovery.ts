import t from 'tap'
import { ACK } from '../../../../src/wire/tcp.ts'
import { congestionNamed } from '../../../../src/stack/transport/tcp/congestion.ts'
import type { Sent } from '../../../helpers/segment.ts'
import { Host, accepted } from '../../../helpers/tcp-pair.ts'

const MSS = 1000
const RENO = congestionNamed('reno')
const bytes = (n: number) => new Uint8Array(n)
/** Segments as [first, last] in units of the MSS, from 0. */
const spans = (sent: Sent[]) =>
  sent.map(s => [(s.seq - 1) / MSS, (s.seq - 1 + s.text.length) / MSS] as const)
const at = (n: number) => 1 + n * MSS

/** 20 segments on their way, cwnd 20. */
function flying(sackOk: boolean) {
  const p = accepted(new Host(), { mss: MSS, wscale: 7, sackOk, settings: { congestion: RENO } })
  p.out.write(bytes(1000 * MSS))
  p.host.tcp.send(p.tcb, p.host.now)
  p.turn()
  p.host.clock.advance(20)
  const more = p.says({ ack: at(10) })
  t.same(spans(more).at(-1), [29, 30])
  p.host.clock.advance(1)
  return p
}
const snd = (p: ReturnType<typeof flying>) => p.host.tcp.tcb(p.tcb).snd

t.test('NewReno: limited transmit, fast retransmit, PRR, partial and full ACK', async t => {
  const p = flying(false)
  t.same(spans(p.says({ ack: at(10) })), [[30, 31]], 'first duplicate (RFC 3042)')
  t.same(spans(p.says({ ack: at(10) })), [[31, 32]], 'second')
  t.same(spans(p.says({ ack: at(10) })), [[10, 11]], 'third: the segment at SND.UNA')
  t.equal(snd(p).ssthresh, 10 * MSS, 'half of the 20 on their way before')
  let sent: Sent[] = []
  for (let i = 0; i < 15; i++) sent = sent.concat(p.says({ ack: at(10) }))
  t.same(spans(sent)[0], [32, 33], 'new text, for every other segment that has left')
  t.equal(sent.length, 6)
  t.equal(snd(p).cwnd, 10 * MSS, 'as many on their way as ssthresh says')
  const partial = p.says({ ack: at(15) })
  t.same(spans(partial)[0], [15, 16], 'a partial ACK shows the next hole')
  t.equal(snd(p).recovery, 1)
  p.says({ ack: at(38) })
  t.equal(snd(p).recovery, 0)
  t.equal(snd(p).cwnd, 10 * MSS)
  t.equal(p.host.tcp.counters.timeouts, 0)
})

for (const sackOk of [false, true])
  t.test(`what is no duplicate ACK${sackOk ? ', with SACK' : ''}`, async t => {
    for (const not of [{ text: 'x' }, { wnd: 60_000 }]) {
      const p = flying(sackOk)
      for (let i = 0; i < 5; i++) {
        p.says({ ack: at(10), ...not, ...('wnd' in not ? { wnd: 60_000 - i } : { seq: 1 + i }) })
        t.equal(snd(p).dupAcks, 0)
      }
      t.equal(snd(p).sacked + snd(p).lost, 0)
    }
    const idle = accepted(new Host())
    for (let i = 0; i < 5; i++) idle.says({})
    t.equal(idle.host.tcp.tcb(idle.tcb).snd.dupAcks, 0, 'nothing is on its way')
  })

t.test('SACK: only what is missing is sent again', async t => {
  const p = flying(true)
  p.says({ ack: at(10), sack: [[at(11), at(12)]] })
  p.says({ ack: at(10), sack: [[at(11), at(13)]] })
  const again = p.says({
    ack: at(10),
    sack: [
      [at(14), at(16)],
      [at(11), at(13)],
    ],
  })
  t.same(spans(again)[0], [10, 11])
  t.equal(snd(p).recovery, 1)
  const sent: Sent[] = []
  for (let top = 17; top <= 30; top++)
    sent.push(
      ...p.says({
        ack: at(10),
        sack: [
          [at(14), at(top)],
          [at(11), at(13)],
        ],
      }),
    )
  const holes = spans(sent).filter(([a]) => a < 30)
  t.same(holes, [[13, 14]], 'the other hole, once')
  t.ok(sent.length > 1, 'and new text')
  p.says({ ack: at(30) })
  t.equal(p.host.tcp.counters.timeouts, 0)
})

t.test('SACK: more than two segments SACKed are enough, without three duplicates', async t => {
  const p = flying(true)
  t.same(spans(p.says({ ack: at(10), sack: [[at(12), at(15)]] })), [[10, 11]])
  t.equal(snd(p).recovery, 1)
  const exact = flying(true)
  exact.says({ ack: at(10), sack: [[at(12), at(14)]] })
  t.equal(snd(exact).recovery, 0, 'two are not')
})

t.test('SACK: pipe bounds what recovery sends', async t => {
  const p = flying(true)
  const sent = p.says({
    ack: at(10),
    sack: [
      [at(29), at(30)],
      [at(27), at(28)],
      [at(25), at(26)],
    ],
  })
  // ssthresh 10 segments; lost: everything before 25 but for what is SACKed: pipe was 2 (26, 28).
  t.ok(sent.length <= 9, `${sent.length}`)
  t.ok(spans(sent).every(([a]) => a < 25))
})

for (const [name, block] of [
  ['before SND.UNA', [0, 5]],
  ['across SND.UNA', [5, 15]],
  ['at SND.UNA', [10, 12]],
  ['past SND.MAX', [29, 31]],
  ['far away', [2_000_000, 2_000_001]],
  ['inverted', [20, 15]],
  ['empty', [15, 15]],
  ['half the sequence space', [11, 2_147_000]],
  ['round the sequence space', [2_147_400, 2_147_500]],
] as const)
  t.test(`SACK, a block that cannot be: ${name}`, async t => {
    const p = flying(true)
    for (let i = 0; i < 2; i++) p.says({ ack: at(10), sack: [[at(block[0]), at(block[1])]] })
    t.equal(snd(p).sacked, 0)
    p.says({ ack: at(30) })
    t.equal(p.state, 'ESTABLISHED')
  })

t.test('SACK: 10,000 one-byte holes are a bounded list, and the text arrives', async t => {
  const p = accepted(new Host(), { mss: MSS, wscale: 10, sackOk: true, wnd: 65_535 })
  p.out.write(bytes(400 * MSS))
  p.host.tcp.send(p.tcb, p.host.now)
  let sent = p.turn()
  let ack = 0
  while (ack < 300) {
    ack = Math.max(ack, ...spans(sent).map(([, b]) => b))
    sent = p.says({ ack: at(ack) })
  }
  const start = process.hrtime.bigint()
  for (let i = 1; i < 10_000; i++)
    p.says({ ack: at(300), sack: [[at(300) + 2 * i, at(300) + 2 * i + 1]] })
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  t.ok(ms < 5000, `${ms} ms for 10,000`)
  for (let i = 0; i < 200; i++) {
    const { max, iss } = p.host.tcp.tcb(p.tcb).snd
    p.says({ ack: max - iss })
  }
  t.equal(p.out.length, 0)
})

t.test('reneging: text SACKed and then not acknowledged is sent again', async t => {
  const p = flying(true)
  for (let i = 0; i < 3; i++) p.says({ ack: at(10), sack: [[at(11), at(12 + i)]] })
  const sent = p.says({ ack: at(11) })
  const tcb = p.host.tcp.tcb(p.tcb)
  t.equal(tcb.snd.una - tcb.snd.iss, 1 + 11 * MSS)
  const later = [...sent, ...p.wait(3000)]
  t.ok(
    spans(later).some(([a]) => a === 11),
    'the text at SND.UNA goes again',
  )
})

// ---- timeouts

t.test('a timeout: one segment, doubling timers, slow start from there', async t => {
  const p = flying(false)
  const first = p.wait(1100)
  t.same(spans(first)[0], [10, 11])
  t.equal(snd(p).cwnd, MSS)
  t.equal(snd(p).ssthresh, 10 * MSS)
  t.ok(first.length <= 3)
  p.wait(1)
  const tcb = p.host.tcp.tcb(p.tcb)
  t.ok(tcb.snd.backoff > 0)
  p.host.take()
  const fresh = p.says({ ack: at(11) })
  t.same(
    spans(fresh),
    [
      [30, 31],
      [31, 32],
    ],
    'new text, to see whether the old was lost (RFC 5682)',
  )
  const two = p.says({ ack: at(11) })
  t.same(spans(two), [[11, 12]], 'it was: only the new has arrived')
  t.same(spans(p.says({ ack: at(12) })), [[12, 13]])
  t.same(spans(p.says({ ack: at(13) })), [
    [13, 14],
    [14, 15],
  ])
})

t.test('a timeout with SACK: what the peer holds is not sent again', async t => {
  const p = flying(true)
  p.says({ ack: at(10), sack: [[at(12), at(13)]] })
  p.host.take()
  let got: Sent[] = []
  got = got.concat(p.wait(450))
  t.same(spans(got)[0], [10, 11])
  const after = p.says({ ack: at(11) })
  t.same(spans(after)[0], [11, 12])
  const all = [...got, ...after, ...p.says({ ack: at(13) }), ...p.says({ ack: at(16) })]
  t.ok(all.length > 5)
  t.notOk(spans(all).some(([a]) => a === 12))
})

t.test('an acknowledgment of everything after a timeout: nothing is sent again', async t => {
  const p = flying(false)
  p.wait(1100)
  const sent = p.says({ ack: at(30) })
  t.ok(spans(sent).every(([a]) => a >= 30))
})

t.test('ssthresh does not fall with each timeout of the same text', async t => {
  const p = flying(false)
  p.wait(10_000)
  t.ok(snd(p).retries >= 3)
  t.equal(snd(p).ssthresh, 10 * MSS)
})

t.test('duplicates after a timeout do not begin fast retransmit', async t => {
  const p = flying(false)
  p.wait(1100)
  for (let i = 0; i < 5; i++) p.says({ ack: at(10), flags: ACK })
  t.equal(p.host.tcp.counters.fastRecoveries, 0)
})
