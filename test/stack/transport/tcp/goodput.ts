// What loss, reordering, duplication and damage cost, in virtual time: twenty seconds of one flow with CUBIC over a round
// trip of 40 ms. With the loss rate p a window is some 1.2 / sqrt(p) segments (Mathis et al. 1997), which is 11, 3.5 and
// 1.6 Mbit/s here for 0.1, 1 and 5 %; everything else must fill the link.
import t from 'tap'
import { Flow } from '../../../helpers/flow.ts'
import { type Faults, Pair } from '../../../helpers/tcp-pair.ts'

const MS = 20_000

/** Mbit/s; of what went again, segments that need not have; timeouts. */
function run(faults: Faults) {
  const pair = new Pair(
    { delay: 20, ...faults },
    { checksums: faults.corrupt !== undefined, maxDatagram: 65_535 },
  )
  const flow = new Flow(pair)
  const bytes = flow.during(MS)
  const { counters } = pair.a.tcp
  const lost = pair.there.lost + pair.b.tcp.counters.badChecksums + pair.b.tcp.counters.badHeaders
  return {
    mbits: (bytes * 8) / MS / 1000,
    needless: counters.retransmitted - lost,
    lost,
    timeouts: counters.timeouts,
    counters,
  }
}

for (const [name, faults, least, needless, timeouts] of [
  ['nothing', { seed: 1, rate: 1e8, queue: 100_000 }, 90, 5, 0],
  ['nothing', { seed: 2, rate: 1e7, queue: 50_000 }, 9.4, 5, 0],
  ['0.1 % lost', { seed: 3, rate: 1e8, queue: 100_000, loss: 0.001 }, 11, 5, 0],
  ['1 % lost', { seed: 4, rate: 1e8, queue: 100_000, loss: 0.01 }, 3, 5, 0],
  ['1 % lost', { seed: 5, rate: 1e7, queue: 50_000, loss: 0.01 }, 2.9, 5, 0],
  ['5 % lost', { seed: 6, rate: 1e7, queue: 50_000, loss: 0.05 }, 1, 12, 4],
  ['25 % not delayed', { seed: 7, rate: 1e8, queue: 500_000, reorder: 0.25 }, 90, 500, 0],
  ['25 % not delayed', { seed: 8, rate: 1e7, queue: 50_000, reorder: 0.25 }, 9, 160, 0],
  ['delays of 20 to 25 ms', { seed: 9, rate: 1e7, queue: 50_000, jitter: 5 }, 9, 40, 0],
  ['1 % doubled', { seed: 10, rate: 1e7, queue: 50_000, duplicate: 0.01 }, 9.4, 5, 0],
  ['0.1 % damaged', { seed: 11, rate: 1e7, queue: 50_000, corrupt: 0.001 }, 8.5, 5, 0],
] as const)
  t.test(`goodput, ${name}, ${faults.rate / 1e6} Mbit/s, seed ${faults.seed}`, async t => {
    const got = run(faults)
    t.ok(got.mbits > least, `${got.mbits.toFixed(2)} Mbit/s`)
    t.ok(got.needless <= needless, `${got.needless} needless, ${got.lost} lost`)
    t.ok(got.timeouts <= timeouts, `${got.timeouts} timeouts`)
  })

t.test('reordering, once it is known, costs nothing: 25 % not delayed, seed 12', async t => {
  const pair = new Pair({ delay: 20, seed: 12, rate: 1e7, queue: 1e6, reorder: 0.25 })
  const flow = new Flow(pair, { windowClamp: 100_000 })
  flow.during(10_000)
  const { counters } = pair.a.tcp
  const before = { ...counters }
  flow.during(10_000)
  t.equal(pair.there.lost, 0)
  t.ok(flow.snd.reordSeen > 100)
  t.ok(
    counters.retransmitted - before.retransmitted <= 3,
    `${counters.retransmitted - before.retransmitted} again`,
  )
  t.equal(counters.timeouts, 0)
})
