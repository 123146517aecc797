import t from 'tap'
import { MIN_RTT_WINDOW } from '../../../../src/stack/transport/tcp/min-rtt.ts'
import { backedOff, sample } from '../../../../src/stack/transport/tcp/rtt.ts'
import { Host, accepted } from '../../../helpers/tcp-pair.ts'

const bytes = (n: number) => new Uint8Array(n)
const peer = (o = {}) => {
  const p = accepted(new Host(), o)
  const tcb = p.host.tcp.tcb(p.tcb)
  tcb.snd.srtt = 0
  tcb.snd.rto = 1000
  return { p, tcb, snd: tcb.snd }
}

t.test('the first sample, and the next (RFC 6298 section 2)', async t => {
  const { tcb, snd } = peer()
  sample(tcb, 400, 0)
  t.equal(snd.srtt, 400)
  t.equal(snd.rttvar, 200)
  t.equal(snd.rto, 1200)
  sample(tcb, 800, 0)
  t.equal(snd.rttvar, 250)
  t.equal(snd.srtt, 450)
  t.equal(snd.rto, 1450)
  t.equal(snd.minRtt, 400)
})

t.test(
  'an acknowledgment that may have been delayed does not lengthen the shortest round trip',
  async t => {
    const { tcb, snd } = peer()
    sample(tcb, 20, 0)
    sample(tcb, 60, MIN_RTT_WINDOW + 1, true)
    t.equal(snd.minRtt, 20)
    sample(tcb, 19, MIN_RTT_WINDOW + 2, true)
    t.equal(snd.minRtt, 19, 'but shortens it')
    sample(tcb, 60, 2 * MIN_RTT_WINDOW + 3)
    t.equal(snd.minRtt, 60)
  },
)

t.test('RTO is at least 200 ms and at most 120 s', async t => {
  const { tcb, snd } = peer()
  sample(tcb, 0.05, 0)
  t.equal(snd.rto, 200)
  snd.srtt = 0
  sample(tcb, 100_000, 0)
  t.equal(snd.rto, 120_000)
  snd.backoff = 40
  t.equal(backedOff(tcb), 120_000)
})

t.test('one segment per round trip is timed', async t => {
  const { p, snd } = peer()
  p.write(bytes(1460))
  p.host.clock.advance(30)
  p.write(bytes(1460))
  p.host.clock.advance(20)
  p.says({ ack: 1461 })
  t.equal(snd.srtt, 50)
  p.host.clock.advance(500)
  p.says({ ack: 2921 })
  t.equal(snd.srtt, 50, 'the second was not')
})

t.test('Karn: text sent again is not timed', async t => {
  const { p, snd } = peer()
  p.write(bytes(100))
  p.wait(1100)
  p.says({ ack: 101 })
  t.equal(snd.srtt, 0)
  t.ok(snd.backoff > 0, 'and the timer stays backed off')
  p.write(bytes(100))
  p.host.clock.advance(30)
  p.says({ ack: 201 })
  t.equal(snd.srtt, 30)
  t.equal(snd.backoff, 0)
})

t.test('with timestamps text sent again is timed, too (RFC 7323)', async t => {
  const { p, snd } = peer({ ts: true })
  p.write(bytes(100))
  const again = p.wait(1010)
  const echo = again.at(-1)!.ts![0]
  p.host.clock.advance(40)
  p.says({ ack: 101, ts: [9000, echo] })
  t.ok(snd.srtt >= 40 && snd.srtt <= 60, `${snd.srtt}`)
  t.equal(snd.backoff, 0)
})

t.test('a timestamp that we never sent is no sample', async t => {
  const { p, snd } = peer({ ts: true })
  p.write(bytes(100))
  const again = p.wait(1010)
  p.says({ ack: 101, ts: [9000, again.at(-1)!.ts![0] + 1_000_000] })
  t.equal(snd.srtt, 0)
})

t.test('the timer is restarted by what is acknowledged, and stopped by all', async t => {
  const { p, snd } = peer()
  p.write(bytes(1460))
  p.write(bytes(1460))
  p.host.clock.advance(100)
  p.says({ ack: 1461 })
  t.ok(snd.retransmitAt > p.host.now + 190)
  p.says({ ack: 2921 })
  t.equal(snd.retransmitAt, Infinity)
  t.same(p.wait(10_000), [])
})
