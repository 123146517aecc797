import t from 'tap'
import { SYN } from '../../../../src/wire/tcp.ts'
import {
  HERE,
  Host,
  Inbox,
  Outbox,
  Pair,
  THERE,
  accepted,
  connected,
} from '../../../helpers/tcp-pair.ts'

const bytes = (n: number) => new Uint8Array(n)

t.test('the window follows the buffer, scaled', async t => {
  const p = accepted(new Host(), { wscale: 2, inbox: 1 << 20 })
  const [ack] = p.says({ text: bytes(1000) })
  t.equal(ack.wnd, Math.floor(((1 << 20) - 1000) / 128))
  const small = accepted(new Host(), { wscale: 2, inbox: 4096 })
  t.equal(small.says({ text: bytes(1000) })[0].wnd, Math.floor(3096 / 128))
})

t.test('without window scaling at most 65,535', async t => {
  const p = accepted(new Host(), { inbox: 1 << 20 })
  t.equal(p.says({ text: bytes(1000) })[0].wnd, 65_535)
})

t.test(
  'a buffer smaller than the window of SYN and ACK: the first acknowledgment says so',
  async t => {
    const p = accepted(new Host(), { inbox: 8192 })
    t.match(p.says({ text: 'x' }), [{ wnd: 8191 }])
    t.match(p.says({ seq: 10_000, text: 'y' }), [{ ack: 2 }])
    t.equal(p.in.used, 1)
  },
)

t.test('the window in our SYN is the buffer, unscaled', async t => {
  const host = new Host()
  connected(host, { inbox: 3000 })
  host.take()
  const p = connected(new Host(), { inbox: 1 << 20, wscale: 3 })
  t.equal(p.says({ text: 'x' })[0].wnd, Math.floor(((1 << 20) - 1) / 128))
  t.equal(p.says({ flags: SYN })[0].wnd > 0, true)
})

t.test('what was promised stays promised', async t => {
  const p = accepted(new Host(), { inbox: 10_000 })
  const [first] = p.says({ text: bytes(100) })
  const edge = first.ack + first.wnd
  const [second] = p.says({ seq: 101, text: bytes(100) })
  t.equal(second.ack + second.wnd, edge)
  p.read(50)
  const [third] = p.says({ seq: 201, text: bytes(100) })
  t.equal(third.ack + third.wnd, edge, 'silly: 50 more is not worth saying')
})

t.test('SWS: an update when half of the buffer, or a segment, is free again', async t => {
  const p = accepted(new Host(), { inbox: 4000 })
  let seq = 1
  for (let i = 0; i < 4; i++, seq += 1000) p.says({ seq, text: bytes(1000) })
  t.equal(p.in.window, 0)
  p.read(100)
  t.same(p.turn(), [])
  p.read(500)
  t.same(p.turn(), [])
  p.read(400)
  t.match(p.turn(), [{ ack: 4001, wnd: 1000 }])
  p.read(500)
  t.same(p.turn(), [], 'not twice as much as the peer knows of')
  p.read(1500)
  t.match(p.turn(), [{ wnd: 3000 }])
})

t.test('TCP_WINDOW_CLAMP', async t => {
  const p = accepted(new Host(), { inbox: 1 << 16, settings: { windowClamp: 2000 } })
  t.match(p.says({ text: 'x' }), [{ wnd: 1999 }])
})

/** Text comes for `rounds` round trips of `rtt` ms, as much as the window allows; the program takes `share` of it. */
function stream(rounds: number, rtt: number, share: number) {
  const host = new Host()
  host.user.maxInbox = 4 << 20
  const p = accepted(host, { wscale: 7, inbox: 1 << 16 })
  let seq = 1
  let sizes: number[] = []
  for (let i = 0; i < rounds; i++) {
    const tcb = host.tcp.tcb(p.tcb)
    const window = Math.min((tcb.rcv.edge - tcb.rcv.nxt) | 0, 1 << 20)
    const pieces = Math.ceil(window / 60_000)
    for (let k = 0; k < pieces; k++) {
      const n = Math.min(60_000, window - k * 60_000)
      p.hears({ seq, text: bytes(n) })
      seq += n
    }
    p.turn()
    host.clock.advance(rtt)
    p.in.take(Math.floor(p.in.used * share))
    host.tcp.received(p.tcb, host.now)
    p.turn()
    sizes = [...sizes, p.in.size]
  }
  return sizes
}

t.test('right-sizing: the buffer grows while the program takes all there is', async t => {
  const sizes = stream(20, 10, 1)
  t.equal(sizes[0], 1 << 16)
  t.ok(sizes.at(-1)! >= 1 << 20, `${sizes.at(-1)}`)
})

t.test('right-sizing: not for a program that reads slowly', async t => {
  const sizes = stream(20, 10, 0.1)
  t.ok(sizes.at(-1)! <= 1 << 17, `${sizes.at(-1)}`)
})

// ---- autotuning

/** A transfer at `rate` bit/s over a way that takes `delay` ms, both buffers as large as TCP asks for. */
function transfer(rate: number, delay: number, ms: number) {
  const pair = new Pair(
    { seed: 30, delay, rate, queue: 16e6 },
    { maxDatagram: 65_535, checksums: false },
  )
  pair.b.user.maxInbox = 1 << 25
  pair.b.tcp.listen(THERE, 80, false, 1, {})
  const out = new Outbox()
  let room = 65_536
  pair.a.user.growSend = (_tcb, wanted) => {
    room = Math.max(room, wanted)
    return true
  }
  const tcb = pair.a.tcp.open(HERE, 0, THERE, 80, out, new Inbox(), {}, pair.clock.now)
  const piece = new Uint8Array(65_536)
  const begun = pair.clock.now
  let read = 0
  const readAt: number[] = []
  pair.run(() => {
    const n = Math.min(piece.length, room - out.length)
    if (n > 0) {
      out.write(piece.subarray(0, n))
      pair.a.tcp.send(tcb, pair.clock.now)
    }
    const end = pair.b.user.accepted[0]
    if (end && end.in.used > 0) {
      read += end.in.take().length
      pair.b.tcp.received(end.tcb, pair.clock.now)
    }
    readAt[Math.floor((pair.clock.now - begun) / (2 * delay))] = read
    return pair.clock.now - begun > ms
  })
  return { readAt, room, window: pair.b.user.accepted[0].in.size }
}

t.test('1 Gbit/s, 40 ms: buffers do not hold slow start back, full rate in 12 rounds', async t => {
  const { readAt, room, window } = transfer(1e9, 20, 520)
  const rounds = readAt.slice(1).map((n, i) => n - readAt[i])
  t.ok(rounds[11] > 0.9 * 5e6, `bytes by round: ${rounds.join()}`)
  t.ok(room >= 5e6 && room <= 8 << 20)
  t.ok(window >= 5e6 && window <= 8 << 20)
})

t.test('10 Gbit/s, 0.1 ms: no more than such a path can use', async t => {
  const { room, window } = transfer(1e10, 0.05, 20)
  t.ok(room <= 4 << 20, `${room}`)
  t.ok(window <= 4 << 20, `${window}`)
})
