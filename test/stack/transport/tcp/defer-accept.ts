// TCP_DEFER_ACCEPT (tcp(7)): a listener is given a connection when its first text is there.
import t from 'tap'
import { deferSeconds, deferTimeouts } from '../../../../src/stack/transport/tcp/options.ts'
import { ACK, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { HERE, Host } from '../../../helpers/tcp-pair.ts'

function waiting(deferAccept: number) {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 7, { deferAccept })
  const says = (f: object) => {
    host.arrive({ srcPort: 9, dstPort: 80, seq: 100, ack: iss + 1, flags: ACK, ...f })
    host.turn()
    return host.take().map(s => s.flags)
  }
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99 })
  host.turn()
  const iss = host.take()[0].seq
  return { host, says, accepted: () => host.user.accepted.length }
}

for (const [seconds, timeouts, shown] of [
  [0, 0, 0],
  [1, 1, 1],
  [2, 2, 3],
  [3, 2, 3],
  [4, 3, 7],
  [8, 4, 15],
  [30, 5, 31],
  [60, 6, 63],
  [100, 7, 127],
  [200, 8, 247],
  [1000, 15, 1087],
  [100_000, 255, 29_887],
] as const)
  t.test(`${seconds} s are ${timeouts} timeouts, shown as ${shown}, as Linux does`, async t => {
    t.equal(deferTimeouts(seconds), timeouts)
    t.equal(deferSeconds(deferTimeouts(seconds)), shown)
  })

t.test('SYN-RECEIVED, ACK: nobody is told, no SYN-ACK again; text: accepted', async t => {
  const { host, says, accepted } = waiting(10)
  t.same(says({}), [])
  host.wait(6_900)
  t.same(host.take(), [])
  t.equal(accepted(), 0)
  t.same(says({ text: 'GET' }), [ACK])
  t.equal(host.user.accepted[0].in.string, 'GET')
  t.equal(host.tcp.counters.acceptsDeferred, 1)
})

t.test('SYN-RECEIVED, no text for so long: the SYN-ACK again, and its ACK is enough', async t => {
  const { host, says, accepted } = waiting(3)
  says({})
  host.wait(2_900)
  t.same(host.take(), [])
  host.wait(200)
  t.same(
    host.take().map(s => s.flags),
    [SYN | ACK],
  )
  t.equal(accepted(), 0)
  says({})
  t.equal(accepted(), 1)
})

for (const [name, f] of [
  ['text at once', { text: 'x' }],
  ['FIN at once', { flags: ACK | FIN }],
] as const)
  t.test(`SYN-RECEIVED, ${name}: accepted`, async t => {
    const { says, accepted } = waiting(10)
    says(f)
    t.equal(accepted(), 1)
  })

t.test('SYN-RECEIVED, ACK and then RST: gone', async t => {
  const { host, says, accepted } = waiting(10)
  says({})
  says({ flags: RST })
  t.equal(host.tcp.size, 0)
  t.equal(accepted(), 0)
})

t.test('SYN-RECEIVED, ACK and then silence: gone after both limits', async t => {
  const { host, says } = waiting(3)
  says({})
  host.wait(64_000)
  t.equal(host.tcp.size, 0)
})
