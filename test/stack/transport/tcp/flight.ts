import t from 'tap'
import * as flight from '../../../../src/stack/transport/tcp/flight.ts'
import { RUNS, TCB_WORDS } from '../../../../src/stack/transport/tcp/layout.ts'
import { news } from '../../../../src/stack/transport/tcp/news.ts'
import { add, diff } from '../../../../src/stack/transport/tcp/seq.ts'
import { Tcb } from '../../../../src/stack/transport/tcp/tcb.ts'
import { random } from '../../../helpers/clock.ts'

/** A record with `n` bytes in flight, sent at `now`, from just before the wrap on. */
function make(n = 0, now = 0) {
  const memory = new ArrayBuffer(4 * TCB_WORDS * 2)
  const tcb = new Tcb(new Int32Array(memory), new Float64Array(memory), 1)
  tcb.clear()
  const { snd } = tcb
  snd.una = add(snd.una, -50)
  snd.max = snd.una
  const zero = snd.una
  const at = (k: number) => add(zero, k)
  const send = (to: number, when: number) => {
    snd.max = at(to)
    flight.sent(tcb, snd.max, when)
  }
  if (n > 0) send(n, now)
  news.begin(tcb, undefined, now)
  const show = () =>
    Array.from({ length: flight.last(tcb) - flight.first(tcb) }, (_, k) => {
      const i = flight.first(tcb) + k
      const s = flight.state(tcb, i)
      const letters = ['S', 'L', 'A'].filter((_, b) => (s & (1 << b)) !== 0).join('')
      return `${diff(flight.end(tcb, i), zero)}${letters}`
    }).join(' ')
  const ack = (to: number) => {
    flight.acknowledge(tcb, at(to))
    snd.una = at(to)
  }
  return { tcb, snd, at, send, show, ack }
}

t.test('sent() joins what goes within a 64th of a round trip', async t => {
  const f = make()
  f.snd.srtt = 64
  f.send(10, 0)
  f.send(20, 1)
  f.send(30, 1.5)
  f.send(40, 2)
  f.send(50, 2.6)
  t.equal(f.show(), '20 40 50')
  t.equal(flight.time(f.tcb, 1), 1.5, 'the time of the first byte')
})

for (const [name, blocks, want, bytes] of [
  ['in the middle', [[10, 20]], '10 20S 100', 10],
  ['to the end', [[90, 100]], '90 100S', 10],
  ['more of it', [[10, 20], [10, 30]], '10 30S 100', 20], // prettier-ignore
  ['more of it in front', [[20, 30], [10, 30]], '10 30S 100', 20], // prettier-ignore
  ['the same again', [[10, 20], [10, 20]], '10 20S 100', 10], // prettier-ignore
  ['a part of it', [[10, 40], [20, 30]], '10 40S 100', 30], // prettier-ignore
  ['touching', [[10, 20], [20, 30]], '10 30S 100', 20], // prettier-ignore
  ['between two', [[10, 20], [30, 40], [20, 30]], '10 40S 100', 30], // prettier-ignore
  ['over two', [[10, 20], [30, 40], [15, 35]], '10 40S 100', 30], // prettier-ignore
  ['over all', [[10, 20], [30, 40], [1, 100]], '1 100S', 99], // prettier-ignore
  ['from one to nowhere', [[10, 20], [30, 40], [15, 25]], '10 25S 30 40S 100', 25], // prettier-ignore
] as const)
  t.test(`sack() ${name}`, async t => {
    const f = make(100)
    for (const [from, to] of blocks) flight.sack(f.tcb, f.at(from), f.at(to))
    t.equal(f.show(), want)
    t.equal(f.snd.sacked, bytes)
    t.equal(news.delivered, bytes, 'each byte arrives once')
    t.equal(flight.pipe(f.tcb), 100 - bytes)
  })

t.test('acknowledge() takes off runs, and part of one', async t => {
  const f = make(10, 0)
  f.send(20, 5)
  f.send(30, 10)
  flight.sack(f.tcb, f.at(12), f.at(18))
  f.ack(15)
  t.equal(f.show(), '18S 20 30')
  t.equal(f.snd.sacked, 3)
  t.equal(news.delivered, 6 + 12)
  f.ack(30)
  t.equal(f.show(), '')
  t.equal(news.delivered, 30)
  f.send(40, 11)
  t.equal(f.show(), '40')
})

t.test('lost, and sent again', async t => {
  const f = make(100)
  f.snd.srtt = 64
  flight.sack(f.tcb, f.at(40), f.at(60))
  flight.markLost(f.tcb, 0)
  flight.markLost(f.tcb, 1)
  t.equal(f.show(), '40L 60S 100', 'not what the peer holds')
  t.equal(f.snd.lost, 40)
  t.equal(flight.nextLost(f.tcb, 0), 0)
  t.equal(flight.lostLength(f.tcb, 0, 1000), 40)
  t.equal(flight.lostLength(f.tcb, 0, 15), 15)
  flight.sentAgain(f.tcb, f.at(0), f.at(15), 50)
  flight.sentAgain(f.tcb, f.at(15), f.at(25), 50.5)
  t.equal(f.show(), '25A 40L 60S 100')
  t.equal(flight.againLength(f.tcb), 25)
  flight.sentAgain(f.tcb, f.at(25), f.at(40), 60)
  t.equal(f.show(), '25A 40A 60S 100', 'another time')
  t.equal(f.snd.lost, 0)
  flight.markLost(f.tcb, flight.first(f.tcb))
  t.ok(news.lostAgain)
  t.equal(f.show(), '25LA 40A 60S 100')
  flight.unmarkLost(f.tcb)
  t.equal(flight.pipe(f.tcb), 80)
})

t.test('markFrontLost()', async t => {
  const f = make(100)
  flight.markFrontLost(f.tcb, 30)
  t.equal(f.show(), '30L 100')
  flight.markFrontLost(f.tcb, 200)
  t.equal(f.show(), '30L 100L')
})

t.test('forgetSacks()', async t => {
  const f = make(100)
  flight.sack(f.tcb, f.at(10), f.at(20))
  flight.forgetSacks(f.tcb)
  t.equal(f.show(), '10 20A 100')
  t.equal(f.snd.sacked, 0)
})

t.test('text that was sent once arrives behind later text: reordered', async t => {
  const f = make(100)
  flight.sack(f.tcb, f.at(50), f.at(60))
  t.notOk(news.reordered)
  news.begin(f.tcb, undefined, 1)
  flight.sack(f.tcb, f.at(20), f.at(30))
  t.ok(news.reordered)
  t.equal(news.lowest, f.at(20))
  news.begin(f.tcb, undefined, 1)
  f.ack(10)
  t.equal(news.lowest, f.at(0))
  const again = make(100)
  flight.sack(again.tcb, again.at(50), again.at(60))
  flight.markFrontLost(again.tcb, 10)
  flight.sentAgain(again.tcb, again.at(0), again.at(10), 5)
  news.begin(again.tcb, undefined, 10)
  again.ack(10)
  t.notOk(news.reordered, 'not if it was sent again')
})

t.test('RACK: what was sent last of all that arrived', async t => {
  const f = make(10, 0)
  f.send(20, 5)
  f.send(30, 10)
  news.begin(f.tcb, undefined, 30)
  flight.sack(f.tcb, f.at(10), f.at(20))
  t.equal(f.snd.rackAt, 5)
  t.equal(f.snd.rackSeq, f.at(20))
  t.equal(f.snd.rackRtt, 25)
  news.begin(f.tcb, undefined, 31)
  f.ack(10)
  t.equal(f.snd.rackAt, 5, 'an earlier one moves nothing back')
  f.snd.minRtt = 20
  flight.sentAgain(f.tcb, f.at(20), f.at(30), 40)
  news.begin(f.tcb, undefined, 50)
  f.ack(30)
  t.equal(f.snd.rackAt, 5, 'an answer too soon is one to the first time')
})

t.test('a full table: text always finds its place, a SACK block not', async t => {
  const f = make()
  f.send(10_000, 0)
  for (let i = 0; i < 2000; i++) flight.sack(f.tcb, f.at(3 * i + 1), f.at(3 * i + 2))
  const n = flight.last(f.tcb) - flight.first(f.tcb)
  t.ok(n < RUNS && n > RUNS - 40, `${n}`)
  t.equal(f.snd.sacked, (n - 1) / 2)
  f.send(10_001, 100)
  for (let i = 0; i < 2000; i++) f.send(10_002 + i, 100 + i)
  t.ok(flight.last(f.tcb) <= RUNS)
  t.equal(flight.end(f.tcb, flight.last(f.tcb) - 1), f.snd.max)
  f.ack(12_001)
  t.equal(f.snd.sacked, 0)
  t.equal(f.show(), '')
})

t.test('rebuild() believes what holds together, and nothing else', async t => {
  const f = make(100)
  flight.sack(f.tcb, f.at(10), f.at(20))
  flight.markLost(f.tcb, 0)
  const was = f.show()
  f.snd.sacked = -7
  f.snd.lost = 99
  flight.rebuild(f.tcb, 10)
  t.equal(f.show(), was)
  t.equal(f.snd.sacked, 10)
  t.equal(f.snd.lost, 10)
  f.snd.max = f.at(120)
  flight.rebuild(f.tcb, 10)
  t.equal(f.show(), '120', 'sent, but not written down')
  t.equal(f.snd.sacked + f.snd.lost, 0)
  f.snd.una = f.snd.max
  flight.rebuild(f.tcb, 10)
  t.equal(f.show(), '')
})

t.test('50,000 random events like an array of bytes, seed 3', async t => {
  const next = random(3)
  const f = make()
  const { tcb, snd } = f
  let now = 0
  let una = 0
  let max = 0
  /** By number: 1 SACKed, 2 lost, 4 again; undefined before una. */
  let model: number[] = []
  const pick = (n: number) => Math.floor(next() * n)
  for (let step = 0; step < 50_000; step++) {
    now += pick(3)
    snd.srtt = 64 * pick(3)
    news.begin(tcb, undefined, now)
    let delivered = 0
    const what = next()
    if (what < 0.35 && max - una < 4000) {
      const n = 1 + pick(40)
      max += n
      f.send(max, now)
      for (let k = 0; k < n; k++) model.push(0)
    } else if (what < 0.45) {
      const n = pick(Math.min(60, max - una) + 1)
      for (let k = 0; k < n; k++) if ((model[k] & 1) === 0) delivered++
      model = model.slice(n)
      una += n
      f.ack(una)
    } else if (what < 0.75 && max - una > 2) {
      const from = 1 + pick(max - una - 1)
      const to = from + 1 + pick(Math.min(30, max - una - from))
      const room = flight.last(tcb) - flight.first(tcb) < RUNS - 32
      for (let k = from; k < to && room; k++) {
        if ((model[k] & 1) === 0) delivered++
        model[k] = 1
      }
      if (room) flight.sack(tcb, f.at(una + from), f.at(una + to))
    } else if (what < 0.85 && max > una) {
      const n = pick(flight.last(tcb) - flight.first(tcb))
      const i = flight.first(tcb) + n
      const from = diff(flight.start(tcb, i), snd.una)
      const to = diff(flight.end(tcb, i), snd.una)
      flight.markLost(tcb, i)
      for (let k = from; k < to; k++) if ((model[k] & 1) === 0) model[k] |= 2
    } else if (snd.lost > 0) {
      const i = flight.nextLost(tcb, flight.first(tcb))
      const n = flight.lostLength(tcb, i, 1 + pick(30))
      const from = flight.start(tcb, i)
      flight.sentAgain(tcb, from, add(from, n), now)
      for (let k = 0; k < n; k++) model[diff(from, snd.una) + k] = 4
    }
    if (news.delivered !== delivered) return t.fail(`${step}: delivered ${news.delivered}`)
    if (step % 7 !== 0) continue
    const got: number[] = []
    for (let i = flight.first(tcb); i < flight.last(tcb); i++)
      for (let k = diff(flight.end(tcb, i), flight.start(tcb, i)); k > 0; k--)
        got.push(flight.state(tcb, i))
    if (got.length !== model.length || got.some((s, k) => s !== model[k]))
      return t.fail(`${step}: ${f.show()}`)
    const count = (bit: number) => model.filter(s => (s & bit) !== 0).length
    if (snd.sacked !== count(1) || snd.lost !== count(2))
      return t.fail(`${step}: ${snd.sacked} SACKed, ${snd.lost} lost`)
  }
  t.ok(max > 10_000, `${max} bytes`)
})
