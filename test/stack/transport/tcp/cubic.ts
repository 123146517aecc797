import t from 'tap'
import {
  ALPHA,
  BETA,
  C,
  cubic,
  timeToPlateau,
  wCubic,
} from '../../../../src/stack/transport/tcp/cubic.ts'
import { record } from '../../../helpers/record.ts'

const MSS = 1448

/** RFC 9438 as it is written: segments, seconds, an acknowledgment for each segment, nothing cached. */
class Twin {
  cwnd: number
  wMax = 0
  cwndPrior = 0
  wEst = 0
  cwndEpoch = 0
  epoch = -1
  constructor(cwnd: number) {
    this.cwnd = cwnd
  }
  congestion(): void {
    this.cwndPrior = this.cwnd
    this.wMax = this.cwnd < this.wMax ? (this.cwnd * (1 + 0.7)) / 2 : this.cwnd
    this.cwnd = Math.max(2, this.cwnd * 0.7)
    this.epoch = -1
  }
  timeout(): void {
    this.congestion()
    this.wMax = 0
  }
  ack(now: number, rtt: number): void {
    if (this.epoch < 0) {
      this.epoch = now
      this.cwndEpoch = this.cwnd
      this.wEst = this.cwnd
      if (this.wMax < this.cwnd) this.wMax = this.cwnd
    }
    const k = Math.pow((this.wMax - this.cwndEpoch) / 0.4, 1 / 3)
    const w = (t: number) => 0.4 * Math.pow(t - k, 3) + this.wMax
    const t = now - this.epoch
    const alpha = this.wEst >= this.cwndPrior ? 1 : (3 * 0.3) / 1.7
    this.wEst += alpha / this.cwnd
    if (w(t) < this.wEst) {
      this.cwnd = Math.max(this.cwnd, this.wEst)
      return
    }
    const target = Math.min(1.5 * this.cwnd, Math.max(this.cwnd, w(t + rtt)))
    this.cwnd += (target - this.cwnd) / this.cwnd
  }
}

t.test('constants (sections 4.1.2, 4.3, 4.6)', async t => {
  t.equal(C, 0.4)
  t.equal(BETA, 0.7)
  t.ok(Math.abs(ALPHA - 0.529) < 0.001)
})

for (const [wMax, cwnd, k] of [
  [100, 70, 4.217],
  [1000, 700, 9.086],
  [10_000, 7000, 19.574],
  [100, 100, 0],
  [90, 100, 0],
] as const)
  t.test(`K: W_max ${wMax}, cwnd ${cwnd}`, async t => {
    t.ok(Math.abs(timeToPlateau(wMax, cwnd) - k) < 0.001)
    if (k > 0) t.ok(Math.abs(wCubic(0, timeToPlateau(wMax, cwnd), wMax) - cwnd) < 1e-9)
    t.equal(wCubic(timeToPlateau(wMax, cwnd), timeToPlateau(wMax, cwnd), wMax), wMax)
  })

/** Rounds of `rtt` ms: a window of acknowledgments, each of `stretch` segments, evenly spaced. */
function drive(
  rtt: number,
  stretch: number,
  cwnd: number,
  seconds: number,
  events: Record<number, 'loss' | 'timeout'>,
) {
  const tcb = record()
  const { snd } = tcb
  const twin = new Twin(cwnd)
  snd.cwnd = cwnd * MSS
  snd.srtt = rtt
  cubic.start(tcb)
  const samples: { at: number; ours: number; twins: number }[] = []
  const due = Object.entries(events).map(([at, what]) => ({ at: Number(at), what }))
  let next = 1000
  for (let now = 1000; now < 1000 + 1000 * seconds; now = next) {
    const segments = Math.max(1, Math.round(snd.cwnd / MSS))
    next = now + rtt
    for (let i = 0; i < segments; i += stretch)
      cubic.avoid(tcb, Math.min(stretch, segments - i) * MSS, MSS, now + (rtt * i) / segments)
    const theirs = Math.max(1, Math.round(twin.cwnd))
    for (let i = 0; i < theirs; i++) twin.ack((now + (rtt * i) / theirs) / 1000, rtt / 1000)
    samples.push({ at: (next - 1000) / 1000, ours: snd.cwnd / MSS, twins: twin.cwnd })
    while (due.length > 0 && next - 1000 >= due[0].at * 1000) {
      const { what } = due.shift()!
      snd.cwnd = cubic.reduce(tcb, snd.cwnd, MSS, next)
      if (what === 'timeout') cubic.timeout(tcb)
      twin[what === 'loss' ? 'congestion' : 'timeout']()
    }
  }
  return samples
}

for (const [name, rtt, cwnd, seconds, events] of [
  ['convex from the start, 20 ms', 20, 100, 10, {}],
  ['concave, plateau, convex, 100 ms', 100, 1000, 20, { 0.5: 'loss' }],
  ['concave, plateau, convex, 40 ms', 40, 300, 15, { 0.5: 'loss' }],
  ['Reno-friendly: 1 ms', 1, 50, 5, { 0.5: 'loss' }],
  ['Reno-friendly, then cubic: 10 ms', 10, 200, 20, { 0.5: 'loss' }],
  ['fast convergence: two losses in a row', 40, 300, 20, { 0.5: 'loss', 2: 'loss', 4: 'loss' }],
  ['losses far apart', 30, 200, 40, { 0.5: 'loss', 15: 'loss', 30: 'loss' }],
  ['a timeout', 40, 300, 15, { 0.5: 'timeout' }],
  ['a loss, a timeout, a loss', 60, 500, 40, { 0.5: 'loss', 10: 'timeout', 25: 'loss' }],
  ['two segments', 200, 2, 30, { 1: 'loss' }],
] as const)
  for (const stretch of [1, 2, 45])
    t.test(`avoid(), ${name}, an ACK for ${stretch}: as the RFC's formulas say`, async t => {
      const samples = drive(
        rtt,
        stretch,
        cwnd,
        seconds,
        events as Record<number, 'loss' | 'timeout'>,
      )
      for (const { at, ours, twins } of samples) {
        const off = Math.abs(ours - twins) / Math.max(twins, 10)
        if (off > (stretch > 2 ? 0.1 : 0.02)) t.fail(`${at} s: ${ours}, not ${twins}`)
      }
      t.ok(samples.length > 100)
    })

t.test('reduce(): ssthresh from the flight, two segments at least', async t => {
  for (const [flight, want] of [
    [100 * MSS, 70 * MSS],
    [3 * MSS, Math.floor(2.1 * MSS)],
    [2 * MSS, 2 * MSS],
    [0, 2 * MSS],
  ] as const) {
    const tcb = record()
    tcb.snd.cwnd = 100 * MSS
    t.equal(cubic.reduce(tcb, flight, MSS, 1000), Math.max(want, 2 * MSS))
    t.equal(tcb.snd.wMax, 100 * MSS)
    t.equal(tcb.snd.cwndPrior, 100 * MSS)
  }
})

t.test('undo(): W_max, K, epoch, W_est and cwnd_prior are what they were', async t => {
  const tcb = record()
  const { snd } = tcb
  snd.cwnd = 300 * MSS
  snd.srtt = 40
  snd.cwnd = cubic.reduce(tcb, snd.cwnd, MSS, 1000)
  for (let now = 1000; now < 3000; now += 10) cubic.avoid(tcb, 10 * MSS, MSS, now)
  const before = [snd.wMax, snd.k, snd.epoch, snd.wEst, snd.cwndPrior]
  const { cwnd } = snd
  snd.cwnd = cubic.reduce(tcb, snd.cwnd, MSS, 3000)
  cubic.timeout(tcb)
  t.not(snd.wMax, before[0])
  cubic.undo(tcb)
  snd.cwnd = cwnd
  t.same([snd.wMax, snd.k, snd.epoch, snd.wEst, snd.cwndPrior], before)
})

t.test('pause(): t stands still while cwnd is not in use', async t => {
  const run = (pause: number) => {
    const tcb = record()
    const { snd } = tcb
    snd.cwnd = 300 * MSS
    snd.srtt = 40
    snd.cwnd = cubic.reduce(tcb, snd.cwnd, MSS, 1000)
    let now = 1000
    for (; now < 2000; now += 10) cubic.avoid(tcb, 50 * MSS, MSS, now)
    const at = snd.cwnd
    for (let left = pause; left > 0; left -= 10, now += 10) cubic.pause(tcb, now)
    t.equal(snd.cwnd, at)
    for (let i = 0; i < 100; i++, now += 10) cubic.avoid(tcb, 50 * MSS, MSS, now)
    return snd.cwnd
  }
  t.equal(run(60_000), run(0))
})

t.test('avoid(): cwnd ends at 2^30', async t => {
  const tcb = record()
  tcb.snd.cwnd = (1 << 30) - 10
  tcb.snd.srtt = 40
  for (let now = 1000; now < 100_000; now += 100) cubic.avoid(tcb, 1 << 29, MSS, now)
  t.ok(tcb.snd.cwnd <= 1 << 30)
  t.ok(tcb.snd.cwnd > (1 << 30) - 11)
})

for (const [name, spoil] of [
  ['NaN', NaN],
  ['infinite', Infinity],
  ['negative', -1],
] as const)
  t.test(`isSound(): ${name} is not`, async t => {
    const tcb = record()
    t.ok(cubic.isSound(tcb))
    tcb.snd.k = spoil
    t.notOk(cubic.isSound(tcb))
  })
