// A new connection of ours in the place of a TIME-WAIT of ours (RFC 6191, tcp_tw_reuse).
import t from 'tap'
import { EADDRNOTAVAIL } from '../../../../src/base/errno.ts'
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../../../../src/stack/transport/ports.ts'
import type { Address } from '../../../../src/wire/address.ts'
import { LOOPBACK_V4 } from '../../../../src/wire/address.ts'
import { ACK, FIN, SYN } from '../../../../src/wire/tcp.ts'
import { HERE, Host, Inbox, Outbox, THERE } from '../../../helpers/tcp-pair.ts'

/** A connection of ours from port 500 to port 80 that is in TIME-WAIT. */
function timeWait(o: { twReuse?: number; ts?: boolean; remote?: Address; port?: number } = {}) {
  const remote = o.remote ?? THERE
  const host = new Host({ tuning: { twReuse: o.twReuse ?? 1 } })
  host.clock.now = 50_000
  const open = (port = o.port ?? 500) =>
    host.tcp.open(HERE, port, remote, 80, new Outbox(), new Inbox(), {}, host.now)
  const tcb = open()
  host.turn()
  const [syn] = host.take()
  const says = (f: object) => {
    const ts = o.ts === false ? {} : { ts: [host.now | 0, 0] as const }
    host.arrive({ srcPort: 80, dstPort: syn.srcPort, ack: syn.seq + 1, ...ts, ...f }, remote)
    host.turn()
    return host.take()
  }
  says({ flags: SYN | ACK, seq: 7 })
  host.tcp.detach(tcb, host.now)
  host.turn()
  host.take()
  says({ flags: ACK | FIN, seq: 8, ack: syn.seq + 2 })
  return { host, tcb, syn, open, state: host.tcp.state(tcb) }
}

for (const [name, o, after, ok] of [
  ['timestamps, more than a second', {}, 1001, true],
  ['timestamps, a second', {}, 1000, false],
  ['no timestamps', { ts: false }, 30_000, false],
  ['tcp_tw_reuse 0', { twReuse: 0 }, 30_000, false],
  ['tcp_tw_reuse 2, to another host', { twReuse: 2 }, 30_000, false],
  ['tcp_tw_reuse 2, over loopback', { twReuse: 2, remote: LOOPBACK_V4 }, 1001, true],
  ['its time is over', { twReuse: 0 }, 60_001, true],
] as const)
  t.test(`TIME-WAIT in the way of open(), ${name}: ${ok ? 'gives way' : 'stays'}`, async t => {
    const { host, syn, open, state } = timeWait(o)
    t.equal(state, 'TIME-WAIT')
    host.wait(after)
    host.take()
    const tcb = open()
    if (!ok) return t.equal(tcb, -EADDRNOTAVAIL)
    host.turn()
    const [next] = host.take()
    t.equal(host.tcp.state(tcb), 'SYN-SENT')
    t.ok(((next.seq - syn.seq - 2) | 0) > 65_535, 'numbers past the old ones')
    t.ok(((next.ts![0] - syn.ts![0]) | 0) > 0, 'and times')
    t.equal(host.tcp.size, 1)
    t.equal(host.tcp.counters.timeWaitReused, after > 60_000 ? 0 : 1)
  })

t.test('open() from any port takes a TIME-WAIT only if there is no other', async t => {
  const { host, open } = timeWait({ port: EPHEMERAL_FIRST })
  host.wait(2000)
  t.ok(open(0) >= 0)
  t.equal(host.tcp.counters.timeWaitReused, 0)
  for (let port = EPHEMERAL_FIRST + 1; port <= EPHEMERAL_LAST; port++)
    host.tcp.ports.hold(HERE, port, false, false, 'bound')
  const tcb = open(0)
  t.equal(host.tcp.localPort(tcb), EPHEMERAL_FIRST)
  t.equal(host.tcp.counters.timeWaitReused, 1)
  t.equal(open(0), -EADDRNOTAVAIL)
})
