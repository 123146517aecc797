import t from 'tap'
import { congestionNamed } from '../../../../src/stack/transport/tcp/congestion.ts'
import { pacingRate, sliceText, updatePacing } from '../../../../src/stack/transport/tcp/pacing.ts'
import { Flow } from '../../../helpers/flow.ts'
import { record, setWord } from '../../../helpers/record.ts'
import { Pair, WIRE_OVERHEAD } from '../../../helpers/tcp-pair.ts'

const MSS = 1000
const OPTION_MAX = 0x7fffffff

/** cwnd 100 segments, 20 ms: 5,000 bytes a ms. */
function flowing(o: {
  ssthresh?: number
  minRtt?: number
  max?: number
  pacing?: number
  sent?: number
}) {
  const tcb = record()
  const { snd } = tcb
  snd.cwnd = 100 * MSS
  snd.ssthresh = o.ssthresh ?? 50 * MSS
  snd.srtt = 20
  snd.minRtt = o.minRtt ?? 20
  tcb.dataSegsOut = o.sent ?? 100
  setWord(tcb, 'maxPacingRate', o.max ?? -1)
  setWord(tcb, 'pacing', o.pacing ?? 1)
  return tcb
}

for (const [name, o, rate] of [
  ['congestion avoidance', {}, 6000],
  ['slow start', { ssthresh: 1 << 30 }, 10_000],
  ['slow start, near ssthresh', { ssthresh: 150 * MSS }, 6000],
  ['SO_MAX_PACING_RATE', { max: 1_000_000 }, 1000],
  ['SO_MAX_PACING_RATE that is more', { max: OPTION_MAX }, 6000],
] as const)
  t.test(`pacingRate(): ${name}`, async t => t.equal(Math.round(pacingRate(flowing(o))), rate))

for (const [name, o, paced] of [
  ['a long round trip', {}, true],
  ['a short round trip', { minRtt: 1.9 }, false],
  ['pacing is off', { pacing: 0 }, false],
  ['the initial window', { sent: 9 }, false],
  ['a short round trip, but SO_MAX_PACING_RATE', { minRtt: 0.1, max: 1000 }, true],
  ['pacing is off, but SO_MAX_PACING_RATE', { pacing: 0, max: 1000 }, true],
  ['SO_MAX_PACING_RATE 0 is none', { pacing: 0, max: 0 }, false],
] as const)
  t.test(`updatePacing(): ${name}`, async t => {
    const tcb = flowing(o)
    updatePacing(tcb)
    t.equal(tcb.snd.paceRate > 0, paced)
  })

for (const [rate, want] of [
  [10, 2 * MSS],
  [6000, 6 * MSS],
  [6999, 6 * MSS],
  [1e6, 1000 * MSS],
] as const)
  t.test(`sliceText(), ${rate} bytes a ms`, async t => {
    const tcb = record()
    tcb.snd.paceRate = rate
    t.equal(sliceText(tcb, MSS), want)
  })

for (const [name, rate, delay] of [
  ['1 MB/s over 1 ms', 1e6, 0.5],
  ['1 MB/s over 50 ms', 1e6, 25],
  ['10 MB/s over 1 ms', 1e7, 0.5],
  ['100 KB/s over 20 ms', 1e5, 10],
] as const)
  t.test(`SO_MAX_PACING_RATE: ${name}`, async t => {
    const pair = new Pair({ seed: 1, delay }, { checksums: false, maxDatagram: 65_535 })
    const flow = new Flow(pair, { maxPacingRate: rate })
    flow.during(1000)
    const got = flow.during(4000) / 4
    t.ok(got > 0.95 * rate && got < 1.02 * rate, `${got} bytes a second`)
    t.ok(flow.snd.cwnd < 8 * (rate / 1000) * (2 * delay) + 100_000, `cwnd ${flow.snd.cwnd}`)
  })

/** How much a flow that just fills a link of 100 Mbit/s and 40 ms makes its queue hold. */
function queueOf(pacing: boolean): { peak: number; share: number } {
  const rate = 1e8
  const bdp = (rate / 8) * 0.04
  const pair = new Pair(
    { seed: 1, delay: 20, rate, queue: 100 * bdp },
    { checksums: false, maxDatagram: 65_535, tuning: { pacing } },
  )
  const flow = new Flow(pair, { congestion: congestionNamed('reno') })
  flow.snd.ssthresh = 0.9 * bdp
  pair.run(() => flow.snd.cwnd > 0.95 * bdp, 5000)
  pair.there.peak = 0
  const got = flow.during(1000)
  const most = (rate / 8) * (1448 / (1448 + 32 + WIRE_OVERHEAD))
  return { peak: pair.there.peak, share: got / most }
}

t.test('a paced flow fills the link and not its queue', async t => {
  const paced = queueOf(true)
  const bursts = queueOf(false)
  t.ok(paced.share > 0.9, `${paced.share}`)
  t.ok(paced.peak < 60_000, `${paced.peak} bytes`)
  t.ok(bursts.peak > 1.5 * paced.peak, `${bursts.peak} bytes without pacing`)
})

t.test('TCP_INFO: pacing_rate and max_pacing_rate', async t => {
  const pair = new Pair({ seed: 1, delay: 10 }, { checksums: false })
  const info = new Uint8Array(248)
  const view = new DataView(info.buffer)
  const flow = new Flow(pair)
  flow.during(500)
  pair.a.tcp.info(flow.tcb, false, info, pair.clock.now)
  const { cwnd, srtt } = flow.snd
  const rate = Number(view.getBigUint64(104, true))
  t.ok(rate >= (1.19 * cwnd * 1000) / srtt && rate <= (2.01 * cwnd * 1000) / srtt, `${rate}`)
  t.equal(view.getBigUint64(112, true), 0xffffffffffffffffn)
  pair.a.tcp.setOption(flow.tcb, 'maxPacingRate', 123_456, pair.clock.now)
  pair.a.tcp.info(flow.tcb, false, info, pair.clock.now)
  t.equal(view.getBigUint64(104, true), 123_456n)
  t.equal(view.getBigUint64(112, true), 123_456n)
})

for (const segments of [2, 3, 10])
  t.test(
    `a cwnd of ${segments} segments that is full grows, though pacing stops us too`,
    async t => {
      const pair = new Pair({ seed: 1, delay: 20 }, { checksums: false, tuning: { pacing: true } })
      const flow = new Flow(pair, { congestion: congestionNamed('reno') })
      flow.during(500)
      flow.snd.cwnd = segments * 1448
      flow.snd.ssthresh = flow.snd.cwnd
      flow.during(200) // what was in flight
      const before = flow.snd.cwnd
      flow.during(2000)
      const grown = (flow.snd.cwnd - before) / 1448
      t.ok(grown > 30 && grown < 51, `by ${grown} segments in 50 round trips`)
    },
  )
