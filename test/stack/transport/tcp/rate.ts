import t from 'tap'
import { Endless, Flow } from '../../../helpers/flow.ts'
import { Outbox, Pair, WIRE_OVERHEAD, type Faults } from '../../../helpers/tcp-pair.ts'

/** What TCP_INFO says after `ms`. */
function rateAfter(faults: Faults, ms: number, source = new Endless(), maxDatagram = 65_535) {
  const pair = new Pair(faults, { checksums: false, maxDatagram })
  const flow = new Flow(pair, {}, source)
  flow.during(ms)
  const info = new Uint8Array(248)
  pair.a.tcp.info(flow.tcb, false, info, pair.clock.now)
  const view = new DataView(info.buffer)
  return {
    flow,
    rate: Number(view.getBigUint64(160, true)),
    appLimited: (info[7] & 1) !== 0,
    delivered: view.getUint32(192, true),
  }
}

for (const [name, faults] of [
  ['100 Mbit/s, 20 ms', { seed: 1, delay: 10, rate: 1e8, queue: 1e6 }],
  ['10 Mbit/s, 60 ms', { seed: 1, delay: 30, rate: 1e7, queue: 2e5 }],
  ['1 Gbit/s, 4 ms', { seed: 1, delay: 2, rate: 1e9, queue: 4e6 }],
] as const)
  t.test(`delivery rate of a full link: ${name}`, async t => {
    const { rate, appLimited } = rateAfter(faults, 3000)
    const most = (faults.rate / 8) * (1448 / (1448 + 32 + WIRE_OVERHEAD))
    t.ok(rate > 0.93 * most && rate < 1.05 * most, `${rate} of ${most}`)
    t.notOk(appLimited)
  })

t.test('delivery rate with 1 % loss: what arrives, not what is sent', async t => {
  const { rate, flow } = rateAfter({ seed: 7, delay: 10, rate: 2e7, queue: 1e5, loss: 0.01 }, 5000)
  const before = flow.drain.total
  const got = flow.during(1000) + flow.drain.total - before
  t.ok(rate < 2e7 / 8, `${rate}`)
  t.ok(rate > got / 10)
})

t.test('a program that is slower than the path: app-limited, and what it did send', async t => {
  const source = new Outbox()
  source.write(new Uint8Array(1000))
  const pair = new Pair({ seed: 1, delay: 10 }, { checksums: false })
  const flow = new Flow(pair, { noDelay: 1 }, source)
  for (let i = 0; i < 50; i++) {
    source.write(new Uint8Array(1000))
    pair.a.tcp.send(flow.tcb, pair.clock.now)
    pair.run(() => false, 30)
  }
  const info = new Uint8Array(248)
  pair.a.tcp.info(flow.tcb, false, info, pair.clock.now)
  const view = new DataView(info.buffer)
  t.equal(info[7] & 1, 1)
  const rate = Number(view.getBigUint64(160, true))
  t.ok(rate >= 49_000 && rate <= 67_000, `1,000 bytes in 20 ms, or 2,000 in 30: ${rate} a second`)
})
