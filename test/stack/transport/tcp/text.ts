import t from 'tap'
import { HELD, RANGES } from '../../../../src/stack/transport/tcp/layout.ts'
import { ACK, FIN } from '../../../../src/wire/tcp.ts'
import { random } from '../../../helpers/clock.ts'
import { Host, accepted } from '../../../helpers/tcp-pair.ts'

const digits = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String((from + i) % 10)).join('')

for (const irs of [5000, 0xffffffff, 0xfffffff0, 0x7ffffff8]) {
  t.test(
    `text out of order, ISN ${irs}: each piece acknowledged, delivered when the hole fills`,
    async t => {
      const p = accepted(new Host(), { irs, sackOk: true })
      t.match(p.says({ seq: 11, text: digits(10, 20) }), [{ ack: 1, sack: [[11, 21]] }])
      t.match(p.says({ seq: 31, text: digits(30, 40) }), [
        {
          ack: 1,
          sack: [
            [31, 41],
            [11, 21],
          ],
        },
      ])
      t.equal(p.in.used, 0)
      t.match(p.says({ seq: 1, text: digits(0, 10) }), [{ ack: 21, sack: [[31, 41]] }])
      t.equal(p.in.string, digits(0, 20))
      t.match(p.says({ seq: 21, text: digits(20, 30) }), [{ ack: 41, sack: [] }])
      t.equal(p.in.string, digits(20, 40))
    },
  )

  t.test(`a segment over several held ranges, ISN ${irs}`, async t => {
    const p = accepted(new Host(), { irs, sackOk: true })
    for (const from of [5, 15, 25]) p.says({ seq: from + 1, text: digits(from, from + 5) })
    t.match(p.says({ text: digits(0, 28) }), [{ ack: 31, sack: [] }])
    t.equal(p.in.string, digits(0, 30))
  })
}

t.test('SACK: the latest block first, at most three with timestamps and four without', async t => {
  for (const ts of [true, false]) {
    const p = accepted(new Host(), { sackOk: true, ts })
    let last
    for (const from of [10, 30, 50, 70, 90]) [last] = p.says({ seq: from, text: 'xxxxx' })
    const all = [
      [90, 95],
      [70, 75],
      [50, 55],
      [30, 35],
    ]
    t.same(last!.sack, all.slice(0, ts ? 3 : 4))
    t.match(p.says({ seq: 35, text: 'xx' }), [
      {
        sack: [
          [30, 37],
          [90, 95],
        ],
      },
    ])
  }
})

t.test('SACK not agreed on: no blocks, but duplicate acknowledgments', async t => {
  const p = accepted(new Host())
  for (let i = 1; i < 5; i++)
    t.match(p.says({ seq: 10 * i, text: 'xxxxx' }), [{ ack: 1, sack: [] }])
})

t.test('SACK goes with text that leaves room for it', async t => {
  const p = accepted(new Host(), { sackOk: true })
  p.says({ seq: 10, text: 'xxxxx' })
  t.match(p.write('short'), [{ sack: [[10, 15]] }])
  p.says({ ack: 6, seq: 10, text: 'xxxxx' })
  t.match(p.write(new Uint8Array(1460)), [{ sack: [] }])
})

t.test('10,000 one-byte holes: a bounded list, and still every byte in the end', async t => {
  const p = accepted(new Host(), { sackOk: true })
  const tcb = p.host.tcp.tcb(p.tcb)
  for (let i = 1; i <= 10_000; i++) p.hears({ seq: 2 * i, text: 'x' })
  p.turn()
  t.equal(tcb.words[tcb.at + HELD], RANGES)
  t.equal(p.host.tcp.counters.outOfOrderFull, 10_000 - RANGES)
  p.says({ text: 'y'.repeat(20_001) })
  t.equal(p.in.used, 20_001)
  t.equal(tcb.words[tcb.at + HELD], 0)
})

t.test('text across the right edge of the window, out of order: what fits', async t => {
  const p = accepted(new Host(), { inbox: 1000, sackOk: true })
  p.host.tcp.received(p.tcb, p.host.now)
  p.says({ text: 'a' })
  t.match(p.says({ seq: 992, text: digits(0, 20) }), [{ sack: [[992, 1001]] }])
})

t.test('a million bytes in random pieces, order and repetition, seed 7', async t => {
  const next = random(7)
  const p = accepted(new Host(), { irs: 0xfff80000, sackOk: true, inbox: 1 << 16 })
  const data = Uint8Array.from({ length: 1 << 20 }, () => next() * 256)
  const got: Uint8Array[] = []
  let taken = 0
  for (let i = 0; taken < data.length && i < 200_000; i++) {
    const tcb = p.host.tcp.tcb(p.tcb)
    const nxt = (tcb.rcv.nxt - tcb.rcv.irs - 1) | 0
    const room = Math.min(p.in.window, data.length - nxt)
    const from = Math.max(0, nxt + (next() < 0.4 ? 0 : Math.floor(next() * room) - 2000))
    const n = Math.floor(next() * 3000)
    p.hears({ seq: from + 1, text: data.subarray(from, from + n) })
    if (next() < 0.2) {
      const piece = p.read()
      got.push(piece)
      taken += piece.length
    }
    if (i % 50 === 0) p.turn()
  }
  t.equal(taken, data.length)
  t.ok(Buffer.concat(got).equals(Buffer.from(data)))
})

t.test('a held FIN, and text that says it goes on', async t => {
  const p = accepted(new Host())
  p.says({ flags: ACK | FIN, seq: 11, text: 'end' })
  p.says({ seq: 1, text: 'x'.repeat(50) })
  t.equal(p.state, 'CLOSE-WAIT')
  t.equal(p.in.used, 13, 'not past the FIN')
})

t.test('another FIN, elsewhere, changes nothing', async t => {
  const p = accepted(new Host())
  p.says({ flags: ACK | FIN, seq: 11 })
  p.says({ flags: ACK | FIN, seq: 6 })
  p.says({ seq: 1, text: 'x'.repeat(10) })
  t.equal(p.in.used, 10)
  t.equal(p.state, 'CLOSE-WAIT')
})
