import t from 'tap'
import {
  rttThreshold,
  slowStartEnds,
  slowStartGrowth,
  startHystart,
} from '../../../../src/stack/transport/tcp/hystart.ts'
import { news } from '../../../../src/stack/transport/tcp/news.ts'
import { add } from '../../../../src/stack/transport/tcp/seq.ts'
import { record } from '../../../helpers/record.ts'

const MSS = 1000

for (const [last, want] of [
  [1, 4],
  [32, 4],
  [40, 5],
  [80, 10],
  [128, 16],
  [1000, 16],
] as const)
  t.test(`RttThresh, ${last} ms in the round before`, async t => t.equal(rttThreshold(last), want))

/** A sender in slow start whose rounds are told by their round-trip times, an ACK for `stretch` segments each. */
function sender(stretch: number, cwnd = 40) {
  const { snd } = record()
  snd.cwnd = cwnd * MSS
  snd.nxt = add(snd.una, snd.cwnd)
  startHystart(snd)
  return {
    snd,
    /** All that is on its way is acknowledged, each ACK after the next of `rtts`, the last of them for ever. */
    round(...rtts: number[]): boolean {
      const segments = Math.floor((snd.nxt - snd.una) / MSS)
      for (let i = 0, left = segments; left > 0; i++, left -= stretch) {
        const acked = Math.min(stretch, left) * MSS
        snd.una = add(snd.una, acked)
        news.rtt = rtts[Math.min(i, rtts.length - 1)]
        if (slowStartEnds(snd, acked, MSS)) return true
        snd.cwnd += slowStartGrowth(snd, acked)
        snd.nxt = add(snd.una, snd.cwnd)
      }
      return false
    },
    get css() {
      return snd.cssBaseline > 0
    },
  }
}

for (const stretch of [1, 2, 10]) {
  t.test(`slow start, an ACK for ${stretch}: doubles while round trips stay as long`, async t => {
    const s = sender(stretch)
    for (let i = 0; i < 5; i++) t.notOk(s.round(50))
    t.notOk(s.css)
    t.ok(s.snd.cwnd >= 40 * 32 * MSS)
  })

  t.test(
    `CSS, an ACK for ${stretch}: begins when a round's least is past the threshold`,
    async t => {
      const s = sender(stretch)
      s.round(50)
      s.round(56)
      t.notOk(s.css, '6 ms more than 50 are not enough: 6.25 are')
      s.round(56 + 7)
      t.ok(s.css)
      t.equal(s.snd.cssBaseline, 63)
    },
  )

  t.test(
    `CSS, an ACK for ${stretch}: grows by a quarter, ends slow start after 5 rounds`,
    async t => {
      const s = sender(stretch)
      s.round(20)
      s.round(25)
      t.ok(s.css)
      for (let rounds = 1; rounds < 5; rounds++) {
        const { cwnd } = s.snd
        t.notOk(s.round(25), `round ${rounds}`)
        const grown = s.snd.cwnd / cwnd
        t.ok(grown > 1.1 && grown < 1.3, `${grown}`)
      }
      t.ok(s.round(25))
    },
  )

  t.test(`CSS, an ACK for ${stretch}: slow start goes on if it was jitter`, async t => {
    const s = sender(stretch)
    s.round(20)
    s.round(25)
    t.ok(s.css)
    s.round(25)
    s.round(21)
    t.notOk(s.css)
    const { cwnd } = s.snd
    s.round(21)
    t.ok(s.snd.cwnd > 1.9 * cwnd)
  })
}

t.test('one long round trip among short ones changes nothing', async t => {
  const s = sender(1)
  s.round(20)
  s.round(90, 90, 90, 20)
  t.notOk(s.css)
})

t.test('a round with fewer than 8 samples is no judgment', async t => {
  const s = sender(1, 3)
  s.round(20)
  t.notOk(s.css)
  s.round(90)
  t.notOk(s.css)
})

t.test('one ACK, of whatever much, is no judgment', async t => {
  const s = sender(1000, 40)
  s.round(20)
  s.round(90)
  t.notOk(s.css)
  s.round(20)
  t.equal(s.snd.cwnd, 320 * MSS)
})

t.test('without a sample nothing is judged', async t => {
  const s = sender(1)
  for (let i = 0; i < 6; i++) t.notOk(s.round(0))
  t.notOk(s.css)
})
