import t from 'tap'
import { SYN } from '../../../../src/wire/tcp.ts'
import { Host, accepted, connected } from '../../../helpers/tcp-pair.ts'

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
