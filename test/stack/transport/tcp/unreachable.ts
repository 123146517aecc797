import t from 'tap'
import {
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
} from '../../../../src/base/errno.ts'
import { ACK, SYN } from '../../../../src/wire/tcp.ts'
import { unquoted } from '../../../helpers/unquoted.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted, connected } from '../../../helpers/tcp-pair.ts'

const error = (errno: number, code: number, mtu = 0) => ({
  errno,
  hard: code === 2 || code === 3,
  type: 3,
  code,
  mtu,
  src: HERE,
  dst: THERE,
  ...unquoted(THERE),
})
const bytes = (n: number) => new Uint8Array(n)

const synSent = () => {
  const host = new Host()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  host.turn()
  const [syn] = host.take()
  const tell = (
    errno: number,
    code: number,
    f: { seq?: number; srcPort?: number; dstPort?: number } = {},
  ) => {
    host.tcp.unreachable(
      {
        ...error(errno, code),
        srcPort: f.srcPort ?? syn.srcPort,
        dstPort: f.dstPort ?? 80,
        seq: ((f.seq ?? 0) + syn.seq) | 0,
      },
      host.now,
    )
    host.turn()
  }
  return { host, tcb, tell }
}

for (const [errno, code] of [
  [ECONNREFUSED, 3],
  [EHOSTUNREACH, 1],
  [ENETUNREACH, 0],
])
  t.test(`SYN-SENT, unreachable (code ${code}): connect fails`, async t => {
    const { host, tcb, tell } = synSent()
    tell(errno, code)
    t.equal(host.user.errno(tcb), errno)
    t.equal(host.tcp.size, 0)
  })

for (const f of [{ seq: 1 }, { seq: -1 }, { seq: 100_000 }, { srcPort: 1 }, { dstPort: 81 }])
  t.test(
    `SYN-SENT, an error that quotes what we did not send, ${JSON.stringify(f)}: ignored`,
    async t => {
      const { host, tcb, tell } = synSent()
      tell(ECONNREFUSED, 3, f)
      t.equal(host.tcp.state(tcb), 'SYN-SENT')
      t.equal(host.tcp.counters.icmpIgnored, 1)
    },
  )

t.test('ESTABLISHED, a hard error: nothing happens (RFC 5927)', async t => {
  const p = accepted(new Host())
  p.write('x')
  for (const code of [0, 1, 2, 3])
    p.host.tcp.unreachable(
      { ...error(ECONNREFUSED, code), srcPort: 80, dstPort: p.port, seq: (p.iss + 1) | 0 },
      p.host.now,
    )
  p.turn()
  t.equal(p.state, 'ESTABLISHED')
  t.equal(p.errno, 0)
  p.says({ ack: 2, text: 'on' })
  t.equal(p.in.string, 'on')
})

t.test('SYN-RECEIVED of a listener, an error: the handshake goes on', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, {})
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99 })
  host.turn()
  const [{ seq }] = host.take()
  host.tcp.unreachable(
    { ...error(ECONNREFUSED, 3), srcPort: 80, dstPort: 9, seq: seq | 0 },
    host.now,
  )
  host.arrive({ srcPort: 9, dstPort: 80, flags: ACK, seq: 100, ack: seq + 1 })
  t.equal(host.user.accepted.length, 1)
})

t.test('fragmentation needed: smaller segments, the same text again, cwnd as it was', async t => {
  const p = accepted(new Host())
  const { snd } = p.host.tcp.tcb(p.tcb)
  t.same(
    p.write(bytes(4380)).map(s => s.text.length),
    [1460, 1460, 1460],
  )
  const { cwnd } = snd
  p.host.tcp.unreachable(
    { ...error(EMSGSIZE, 4, 1000), srcPort: 80, dstPort: p.port, seq: (p.iss + 1) | 0 },
    p.host.now,
  )
  const again = p.turn()
  t.equal(again[0].seq, 1)
  t.ok(again.every(s => s.text.length <= 960))
  t.equal(
    again.reduce((n, s) => n + s.text.length, 0),
    4380,
  )
  t.equal(snd.cwnd, cwnd)
  p.says({ ack: 4381 })
  t.same(
    p.write(bytes(960)).map(s => s.text.length),
    [960],
  )
  p.says({ ack: 4381 + 960 })
  p.wait(601_000)
  t.same(
    p.write(bytes(1460)).map(s => s.text.length),
    [1460],
    'ten minutes later it is tried again',
  )
})

t.test(
  'fragmentation needed, larger than what is known, or about nothing on its way: ignored',
  async t => {
    const p = accepted(new Host())
    p.write(bytes(3000))
    const tell = (mtu: number, seq: number) => {
      p.host.tcp.unreachable(
        { ...error(EMSGSIZE, 4, mtu), srcPort: 80, dstPort: p.port, seq: (p.iss + seq) | 0 },
        p.host.now,
      )
      return p.turn()
    }
    tell(1000, 1)
    t.same(tell(1200, 1), [])
    t.same(tell(600, 4000), [])
    t.same(tell(600, 0), [])
  },
)

t.test('stationGone(): connections to it end at once, others do not, nothing is sent', async t => {
  const host = new Host()
  const p = accepted(host)
  const waiting = connected(host)
  const opening = host.tcp.open(HERE, 0, THERE, 81, new Outbox(), new Inbox(), {}, host.now)
  host.turn()
  host.take()
  host.tcp.stationGone(dst => dst.equals(HERE), host.now)
  host.turn()
  t.equal(p.state, 'ESTABLISHED')
  host.tcp.stationGone(dst => dst.equals(THERE), host.now)
  host.turn()
  t.same(host.take(), [])
  t.equal(p.errno, ECONNRESET)
  t.equal(waiting.errno, ECONNRESET)
  t.equal(host.user.errno(opening), EHOSTUNREACH)
  t.equal(host.tcp.size, 0)
})
