import t from 'tap'
import { CONGESTION_LAST } from '../../../../src/stack/transport/tcp/algorithm.ts'
import {
  congestionName,
  congestionNamed,
  initialWindow,
} from '../../../../src/stack/transport/tcp/congestion.ts'
import { Flow } from '../../../helpers/flow.ts'
import { Host, Pair, WIRE_OVERHEAD, accepted, connected } from '../../../helpers/tcp-pair.ts'

const MSS = 1448
const bytes = (n: number) => new Uint8Array(n)

t.test('congestionNamed()', async t => {
  for (const name of ['cubic', 'reno']) t.equal(congestionName(congestionNamed(name)), name)
  for (const name of ['', 'bbr', 'Cubic', 'cubic ']) t.equal(congestionNamed(name), -1)
  t.ok(congestionName(CONGESTION_LAST))
  t.throws(() => congestionName(CONGESTION_LAST + 1))
})

for (const [segments, mss, want] of [
  [10, 1460, 14600],
  [10, 1000, 10_000],
  [10, 4000, 14_600],
  [10, 9000, 18_000],
  [2, 1460, 2920],
  [40, 1460, 58_400],
] as const)
  t.test(`initialWindow(), ${segments} segments of ${mss} bytes (RFC 6928)`, async t =>
    t.equal(initialWindow(segments, mss), want),
  )

for (const [name, host, o, want] of [
  ['the default', {}, {}, 'cubic'],
  ["the stack's", { tuning: { congestion: 'reno' } }, {}, 'reno'],
  [
    "the connection's",
    { tuning: { congestion: 'reno' } },
    { settings: { congestion: 0 } },
    'cubic',
  ],
] as const)
  t.test(`algorithm: ${name}`, async t => {
    const active = connected(new Host(host), o)
    t.equal(congestionName(active.host.tcp.option(active.tcb, 'congestion')), want)
    const passive = accepted(new Host(host), o)
    t.equal(congestionName(passive.host.tcp.option(passive.tcb, 'congestion')), want)
  })

t.test(
  'algorithm: the next connection of a listener takes what was set after listen()',
  async t => {
    const p = accepted(new Host())
    p.host.tcp.setListenerOption(7, 'congestion', congestionNamed('reno'))
    const second = accepted(p.host, { port: 40_001 })
    t.equal(p.host.tcp.option(p.tcb, 'congestion'), congestionNamed('cubic'))
    t.equal(p.host.tcp.option(second.tcb, 'congestion'), congestionNamed('reno'))
  },
)

t.test('algorithm: survives a change of the thread', async t => {
  const p = accepted(new Host(), { settings: { congestion: congestionNamed('reno') } })
  p.host.replace()
  t.equal(p.host.tcp.option(p.tcb, 'congestion'), congestionNamed('reno'))
})

t.test('an unknown algorithm for a stack', async t => {
  t.throws(() => new Host({ tuning: { congestion: 'vegas' } }), /"vegas".*cubic reno/)
})

for (const congestion of ['cubic', 'reno'])
  for (const [name, rate, seconds] of [
    ['100 Mbit/s', 1e8, 10],
    ['1 Gbit/s', 1e9, 4],
  ] as const)
    t.test(
      `${congestion}, ${name}, 20 ms: leaves slow start before overflow, uses 95 %`,
      async t => {
        const bdp = (rate / 8) * 0.02
        const pair = new Pair(
          { seed: 1, delay: 10, rate, queue: 16 * bdp },
          { checksums: false, maxDatagram: 65_535 },
        )
        const flow = new Flow(pair, { congestion: congestionNamed(congestion) })
        pair.run(() => flow.snd.ssthresh < 1 << 30, 3000)
        t.ok(flow.snd.ssthresh < 1 << 30, 'slow start ended')
        t.equal(pair.there.lost, 0, 'without a loss')
        t.equal(pair.a.tcp.counters.timeouts + pair.a.tcp.counters.fastRecoveries, 0)
        t.ok(flow.snd.cwnd > 0.95 * bdp, `cwnd ${flow.snd.cwnd} of ${bdp}`)
        const got = flow.during(1000 * seconds)
        const most = (rate / 8) * seconds * (MSS / (MSS + 32 + WIRE_OVERHEAD))
        t.ok(got > 0.95 * most, `${((100 * got) / most).toFixed(1)} %`)
      },
    )

t.test('two cubic flows, one of them 2 s late, share 20 Mbit/s', async t => {
  const pair = new Pair({ seed: 3, delay: 10, rate: 2e7, queue: 50_000 }, { checksums: false })
  const first = new Flow(pair)
  first.during(2000)
  const second = new Flow(pair)
  second.during(10_000)
  const [a, b] = [first.drain.total, second.drain.total]
  second.during(60_000)
  const shares = [first.drain.total - a, second.drain.total - b]
  const fairness = (shares[0] + shares[1]) ** 2 / (2 * (shares[0] ** 2 + shares[1] ** 2))
  t.ok(fairness > 0.9, `Jain's index ${fairness.toFixed(3)}, ${shares}`)
  const most = (2e7 / 8) * 60 * (MSS / (MSS + 32 + WIRE_OVERHEAD))
  t.ok(shares[0] + shares[1] > 0.95 * most, `${(shares[0] + shares[1]) / most}`)
})

// ---- a cwnd that is not used

/** cwnd 40 segments, all of it acknowledged. */
function grown(tuning = {}) {
  const p = accepted(new Host({ tuning }), { mss: 1000, wscale: 7 })
  for (let acked = 0; p.host.tcp.tcb(p.tcb).snd.cwnd < 40_000;) {
    acked += p.host.tcp.tcb(p.tcb).snd.cwnd
    p.write(bytes(p.host.tcp.tcb(p.tcb).snd.cwnd))
    p.host.wait(20)
    p.says({ ack: 1 + acked })
  }
  p.write(bytes(0))
  const { snd } = p.host.tcp.tcb(p.tcb)
  t.equal(snd.cwnd, 40_000)
  t.equal(snd.una, snd.max)
  return { p, snd }
}

for (const [name, idle, tuning, cwnd] of [
  ['less than RTO', 150, {}, 40_000],
  ['one RTO', 1.5, {}, 20_000],
  ['two', 2.5, {}, 10_000],
  ['many', 1000, {}, 10_000],
  ['many, tcp_slow_start_after_idle 0', 1000, { slowStartAfterIdle: false }, 40_000],
] as const)
  t.test(`after idle (RFC 5681 section 4.1): ${name}`, async t => {
    const { p, snd } = grown(tuning)
    p.host.wait(idle >= 100 && idle < 1000 ? idle : idle * snd.rto)
    p.write(bytes(100))
    t.equal(snd.cwnd, cwnd)
    t.ok(cwnd === 40_000 || snd.ssthresh >= 30_000, 'slow start leads back to three quarters')
  })

t.test('cwnd that the program does not need does not grow', async t => {
  const { p, snd } = grown()
  for (let i = 0, acked = snd.una - snd.iss - 1; i < 5; i++) {
    p.write(bytes(5000))
    p.host.wait(20)
    acked += 5000
    p.says({ ack: 1 + acked })
  }
  t.equal(snd.cwnd, 40_000)
})

t.test('cwnd that was not needed for an RTO falls towards what is in use (RFC 2861)', async t => {
  const { p, snd } = grown()
  const seen: number[] = []
  for (let i = 0, acked = snd.una - snd.iss - 1; i < 60; i++) {
    p.write(bytes(12_000))
    p.host.wait(20)
    acked += 12_000
    p.says({ ack: 1 + acked })
    if (seen.at(-1) !== snd.cwnd) seen.push(snd.cwnd)
  }
  t.same(seen.slice(0, 2), [40_000, 26_000])
  t.ok(
    seen.slice(1).every(cwnd => cwnd >= 12_000 && cwnd <= 2 * 12_000 + 12_000),
    `${seen}: slow start stops at twice what is in use`,
  )
})
