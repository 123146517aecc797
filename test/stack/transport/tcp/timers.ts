import t from 'tap'
import { ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT } from '../../../../src/base/errno.ts'
import { EV_CLOSED, EV_ERROR } from '../../../../src/stack/transport/tcp/user.ts'
import { ACK, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { HERE, Host, Inbox, Outbox, THERE, accepted } from '../../../helpers/tcp-pair.ts'
import { unquoted } from '../../../helpers/unquoted.ts'

const bytes = (n: number) => new Uint8Array(n)

const opened = (settings = {}) => {
  const host = new Host()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), settings, host.now)
  host.turn()
  return { host, tcb }
}

/** When each segment was sent, ms from now, over `ms`. */
function times(host: Host, ms: number): number[] {
  const start = host.now
  const out: number[] = []
  const end = start + ms
  host.take()
  for (;;) {
    host.turn()
    for (let n = host.take().length; n > 0; n--) out.push(Math.round(host.now - start))
    const next = host.tcp.nextTimer()
    if (next > end) break
    host.clock.now = Math.max(next, host.now)
  }
  host.clock.now = end
  return out
}

// ---- opening

t.test('SYN is sent again after 1, 3, 7, 15, 31 and 63 s; connect fails after 127 s', async t => {
  const { host, tcb } = opened()
  t.same(times(host, 126_900), [1000, 3000, 7000, 15_000, 31_000, 63_000])
  t.equal(host.tcp.state(tcb), 'SYN-SENT')
  host.wait(200)
  t.equal(host.user.errno(tcb), ETIMEDOUT)
  t.equal(host.user.events(tcb), EV_ERROR | EV_CLOSED)
  t.equal(host.tcp.size, 0)
})

t.test('TCP_SYNCNT', async t => {
  const { host, tcb } = opened({ synCnt: 2 })
  t.same(times(host, 6900), [1000, 3000])
  host.wait(200)
  t.equal(host.user.errno(tcb), ETIMEDOUT)
})

t.test('connect without room on the link fails some time', async t => {
  const host = new Host()
  host.path(HERE, THERE).full = 1e9
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), { synCnt: 3 }, host.now)
  host.wait(20_000)
  t.equal(host.user.errno(tcb), ETIMEDOUT)
})

t.test('SYN and ACK are sent again after 1, 3, 7, 15, 31 s, and forgotten after 63 s', async t => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, {})
  host.arrive({ srcPort: 9, dstPort: 80, flags: SYN, seq: 99 })
  host.turn()
  t.same(times(host, 62_900), [1000, 3000, 7000, 15_000, 31_000])
  t.equal(host.tcp.size, 1)
  host.wait(200)
  t.equal(host.tcp.size, 0)
  t.same(host.user.log, [])
})

t.test(
  'after a lost SYN the timer is 3 s and cwnd one segment (RFC 6298 5.7, RFC 5681 3.1)',
  async t => {
    const { host, tcb } = opened()
    host.wait(1500)
    const [syn] = host.take()
    host.arrive({
      srcPort: 80,
      dstPort: syn.srcPort,
      flags: SYN | ACK,
      seq: 9,
      ack: syn.seq + 1,
      mss: 1460,
    })
    const { snd } = host.tcp.tcb(tcb)
    t.equal(snd.rto, 3000)
    t.equal(snd.cwnd, 1460)
  },
)

t.test('with timestamps the round trip is known even so', async t => {
  const { host, tcb } = opened()
  host.wait(1500)
  const syn = host.take().at(-1)!
  host.clock.advance(20)
  const ts = [7, syn.ts![0]] as const
  host.arrive({
    srcPort: 80,
    dstPort: syn.srcPort,
    flags: SYN | ACK,
    seq: 9,
    ack: syn.seq + 1,
    mss: 1460,
    ts,
  })
  const { snd } = host.tcp.tcb(tcb)
  t.ok(snd.srtt > 0 && snd.srtt < 600, `${snd.srtt}`)
  t.ok(snd.rto < 3000)
})

// ---- text

t.test(
  'text is sent 15 times again, in growing intervals of at most 120 s; then ETIMEDOUT',
  async t => {
    const p = accepted(new Host())
    p.write('hello?')
    const when = times(p.host, 3_000_000)
    t.equal(when.length, 15)
    const gaps = when.map((w, i) => w - (when[i - 1] ?? 0))
    for (let i = 1; i < gaps.length; i++)
      t.ok(
        Math.abs(gaps[i] - Math.min(120_000, 2 * gaps[i - 1])) <= 1,
        `${gaps[i]} after ${gaps[i - 1]}`,
      )
    t.equal(p.errno, ETIMEDOUT)
    t.equal(p.state, 'FREE')
    t.same(p.host.take(), [], 'no RST: nobody is there')
  },
)

t.test('an orphan tries 8 times', async t => {
  const p = accepted(new Host())
  p.host.tcp.detach(p.tcb, p.host.now)
  p.turn()
  t.equal(times(p.host, 3_000_000).length, 8)
  t.equal(p.host.tcp.size, 0)
})

t.test('TCP_USER_TIMEOUT', async t => {
  const p = accepted(new Host(), { settings: { userTimeout: 5000 } })
  p.write('hello?')
  p.wait(4990)
  t.equal(p.state, 'ESTABLISHED')
  p.wait(20)
  t.equal(p.errno, ETIMEDOUT)
})

t.test('TCP_USER_TIMEOUT counts from the last acknowledgment', async t => {
  const p = accepted(new Host(), { settings: { userTimeout: 5000 } })
  p.write(bytes(1000))
  p.write(bytes(1000))
  p.wait(4000)
  p.says({ ack: 1001 })
  p.wait(4000)
  t.equal(p.state, 'ESTABLISHED')
  p.wait(1100)
  t.equal(p.errno, ETIMEDOUT)
})

t.test('a soft error is what is told at the end', async t => {
  const p = accepted(new Host(), { settings: { userTimeout: 5000 } })
  p.write('hello?')
  const { localPort } = p
  const error = {
    errno: EHOSTUNREACH,
    hard: false,
    type: 3,
    code: 1,
    mtu: 0,
    src: HERE,
    dst: THERE,
    ...unquoted(THERE),
  }
  p.host.tcp.unreachable(
    { ...error, srcPort: localPort, dstPort: p.port, seq: p.iss + 1 },
    p.host.now,
  )
  p.wait(6000)
  t.equal(p.errno, EHOSTUNREACH)
})

// ---- zero window

const closedWindow = (o = {}) => {
  const p = accepted(new Host(), o)
  p.wnd = 0
  p.says({})
  p.write('waiting')
  return p
}

t.test('zero window: probes in growing intervals, for ever while they are answered', async t => {
  const p = closedWindow()
  let probes = 0
  let last = 0
  const start = p.host.now
  for (let i = 0; i < 300; i++) {
    p.host.clock.now = p.host.tcp.nextTimer()
    const sent = p.turn()
    for (const s of sent) {
      t.match(s, { seq: 0, flags: ACK })
      t.equal(s.text.length, 0)
      probes++
      const gap = p.host.now - start - last
      last = p.host.now - start
      t.ok(gap <= 120_001, `${gap}`)
      p.says({})
    }
  }
  t.ok(probes > 290)
  t.equal(p.state, 'ESTABLISHED')
  p.wnd = 100
  t.match(p.says({}), [{ seq: 1, text: Buffer.from('waiting') }])
})

t.test('zero window: a lost update is found out by a probe', async t => {
  const p = closedWindow()
  t.match(p.wait(300), [{ seq: 0 }])
  p.wnd = 5000
  t.match(p.says({}), [{ text: Buffer.from('waiting') }])
})

t.test('zero window, and nobody answers: ETIMEDOUT after 15 probes', async t => {
  const p = closedWindow()
  const when = times(p.host, 4_000_000)
  t.equal(when.length, 15)
  t.equal(p.errno, ETIMEDOUT)
})

t.test('zero window, and TCP_USER_TIMEOUT', async t => {
  const p = closedWindow({ settings: { userTimeout: 3000 } })
  p.wait(2900)
  t.equal(p.state, 'ESTABLISHED')
  p.wait(200)
  t.equal(p.errno, ETIMEDOUT)
})

t.test('zero window, an orphan: not for ever, even if it is answered', async t => {
  const p = closedWindow()
  p.host.tcp.detach(p.tcb, p.host.now)
  for (let i = 0; i < 60 && p.host.tcp.size > 0; i++) {
    p.host.clock.now = p.host.tcp.nextTimer()
    if (p.turn().length > 0 && p.host.tcp.size > 0) p.says({})
  }
  t.equal(p.host.tcp.size, 0)
})

t.test('zero window: a FIN waits, too', async t => {
  const p = accepted(new Host())
  p.wnd = 0
  p.says({})
  p.host.tcp.close(p.tcb, p.host.now)
  t.same(p.turn(), [])
  t.match(p.wait(300), [{ seq: 0, flags: ACK }])
  p.wnd = 1
  t.match(p.says({}), [{ seq: 1, flags: FIN | ACK }])
})

t.test('our own zero window: probes are answered, the text behind it is not taken', async t => {
  const p = accepted(new Host(), { inbox: 4096 })
  p.says({ text: bytes(4096) })
  t.match(p.says({ seq: 4097, text: 'x' }), [{ ack: 4097, wnd: 0 }])
  t.match(p.says({ seq: 4096 }), [{ ack: 4097, wnd: 0 }])
  p.write('y')
  p.says({ seq: 4097, ack: 2, text: 'x' })
  t.equal(p.out.length, 0, 'the acknowledgment in it counts')
  t.equal(p.in.used, 4096)
  p.read()
  t.match(p.turn(), [{ ack: 4097, wnd: 4096 }], 'the update')
})

// ---- keep-alive

t.test(
  'keep-alive: after KEEPIDLE, every KEEPINTVL, KEEPCNT times; then RST and ETIMEDOUT',
  async t => {
    const p = accepted(new Host(), {
      settings: { keepAlive: 1, keepIdle: 10, keepIntvl: 2, keepCnt: 3 },
    })
    const start = p.host.now
    const when: number[] = []
    while (p.state === 'ESTABLISHED' && p.host.now - start < 60_000) {
      p.host.clock.now = p.host.tcp.nextTimer()
      for (const s of p.turn()) {
        when.push(Math.round((p.host.now - start) / 1000))
        t.equal(s.flags, when.length <= 3 ? ACK : RST | ACK)
        t.equal(s.seq, when.length <= 3 ? 0 : 1)
      }
    }
    t.same(when, [10, 12, 14, 16])
    t.equal(p.errno, ETIMEDOUT)
  },
)

t.test('keep-alive: an answer begins it anew', async t => {
  const p = accepted(new Host(), {
    settings: { keepAlive: 1, keepIdle: 10, keepIntvl: 2, keepCnt: 3 },
  })
  for (let i = 0; i < 10; i++) {
    t.equal(p.wait(10_100).length, 1)
    p.says({})
  }
  t.equal(p.state, 'ESTABLISHED')
})

t.test('keep-alive: off by default; two hours when it is on', async t => {
  const p = accepted(new Host())
  t.same(p.wait(10_000_000), [])
  p.host.tcp.setOption(p.tcb, 'keepAlive', 1, p.host.now)
  p.host.turn()
  p.host.take()
  p.says({ text: 'x' })
  p.host.take()
  const sent = p.wait(7_199_000)
  t.same(
    sent.filter(s => s.seq === 0),
    [],
  )
  t.equal(p.wait(2000).filter(s => s.seq === 0).length, 1)
})

t.test('keep-alive, switched on and off again', async t => {
  const p = accepted(new Host())
  const { tcp } = p.host
  tcp.setOption(p.tcb, 'keepIdle', 5, p.host.now)
  tcp.setOption(p.tcb, 'keepAlive', 1, p.host.now)
  tcp.setOption(p.tcb, 'keepAlive', 0, p.host.now)
  t.same(p.wait(100_000), [])
})

t.test('keep-alive of the peer is answered', async t => {
  const p = accepted(new Host())
  for (const text of ['', 'x']) {
    p.host.clock.advance(1000)
    t.match(p.says({ seq: 0, text }), [{ flags: ACK, seq: 1, ack: 1 }])
  }
})

// ---- the heap

t.test('a quiet connection sets no timer', async t => {
  const p = accepted(new Host())
  p.write('x')
  p.says({ ack: 2, text: 'y' })
  p.wait(5000)
  t.equal(p.host.tcp.nextTimer(), Infinity)
})

t.test('refused: ECONNREFUSED, and no timer', async t => {
  const { host, tcb } = opened()
  const [syn] = host.take()
  host.arrive({ srcPort: 80, dstPort: syn.srcPort, flags: RST | ACK, ack: syn.seq + 1 })
  host.turn()
  t.equal(host.user.errno(tcb), ECONNREFUSED)
  t.equal(host.tcp.nextTimer(), Infinity)
})
