import t, { type Test } from 'tap'
import { ECONNRESET } from '../../../../src/base/errno.ts'
import * as L from '../../../../src/stack/transport/tcp/layout.ts'
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_ERROR,
  EV_FIN,
} from '../../../../src/stack/transport/tcp/user.ts'
import { ACK, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { random } from '../../../helpers/clock.ts'
import {
  HERE,
  Host,
  Inbox,
  Outbox,
  Pair,
  type Peer,
  THERE,
  accepted,
  connected,
} from '../../../helpers/tcp-pair.ts'

/** A new thread takes over, and the user attaches its buffers again. */
function replace(host: Host): number[] {
  const held = host.replace()
  for (const slot of held) {
    const box = host.user.boxes.get(slot)!
    host.tcp.attach(slot, box.out, box.in)
  }
  host.turn()
  return held
}

t.test('a connection goes on: text in flight, text not sent, text out of order', async t => {
  const host = new Host()
  const p = accepted(host, { sackOk: true, wscale: 7 })
  p.write(new Uint8Array(3000))
  p.says({ seq: 11, text: 'later' })
  p.out.write('unsent')
  t.same(replace(host), [p.tcb])
  t.equal(host.tcp.consumed(p.tcb), 0)
  t.equal(host.tcp.published(p.tcb), 0)
  const sent = p.turn()
  p.host.take()
  p.says({ ack: 3001, text: '0123456789' })
  t.equal(p.in.string, '0123456789later')
  t.equal(host.tcp.published(p.tcb), 15)
  t.equal(host.tcp.consumed(p.tcb), 3000)
  t.equal(p.out.length, 6)
  t.type(sent, Array)
  p.says({ ack: 3007, seq: 16 })
  t.equal(p.out.length, 0)
})

t.test('what was lost with the thread is sent again', async t => {
  const host = new Host()
  const p = accepted(host)
  p.write('hello')
  replace(host)
  const again = p.wait(1200)
  t.ok(again.some(s => s.seq === 1 && s.text.length === 5))
})

t.test('events that nobody heard are told again', async t => {
  const host = new Host()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  host.user.boxes.set(tcb, { out: new Outbox(), in: new Inbox() })
  host.turn()
  const [syn] = host.take()
  host.arrive({
    srcPort: 80,
    dstPort: syn.srcPort,
    flags: SYN | ACK | FIN,
    seq: 7,
    ack: syn.seq + 1,
  })
  t.same(host.user.log, [])
  replace(host)
  t.equal(host.user.events(tcb) & (EV_CONNECTED | EV_FIN), EV_CONNECTED | EV_FIN)
  t.equal(host.tcp.state(tcb), 'CLOSE-WAIT')
})

t.test('an end that nobody heard of is told', async t => {
  const host = new Host()
  const p = accepted(host)
  p.hears({ flags: RST })
  t.equal(p.state, 'CLOSED')
  replace(host)
  t.equal(p.errno, ECONNRESET)
  t.equal(p.events, EV_ERROR | EV_CLOSED)
  t.equal(host.tcp.size, 0)
})

t.test('every state survives', async t => {
  const host = new Host({ capacity: 32 })
  const make = (port: number) => accepted(host, { port })
  const close = (p: Peer) => (host.tcp.close(p.tcb, host.now), p.turn())
  const peers = Array.from({ length: 7 }, (_, i) => make(1000 + i))
  const [estab, fin1, fin2, wait, closing, last, time] = peers
  close(fin1)
  close(fin2)
  fin2.says({ ack: 2 })
  wait.says({ flags: FIN | ACK })
  close(closing)
  closing.says({ flags: FIN | ACK })
  last.says({ flags: FIN | ACK })
  close(last)
  close(time)
  time.says({ flags: FIN | ACK, ack: 2 })
  host.arrive({ srcPort: 5, dstPort: 80, flags: SYN, seq: 1 })
  const opening = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), {}, host.now)
  host.user.boxes.set(opening, { out: new Outbox(), in: new Inbox() })
  host.turn()
  host.take()
  const states = Array.from({ length: 9 }, (_, i) => host.tcp.state(i))
  replace(host)
  host.tcp.listen(HERE, 80, false, 7, {})
  t.same(
    Array.from({ length: 9 }, (_, i) => host.tcp.state(i)),
    states,
  )
  t.equal(new Set(states).size, 9)
  t.equal(host.tcp.size, 9)
  t.equal(host.tcp.timeWaits.length, 1)
  t.equal(host.tcp.halfOpen.length, 1)
  host.take()
  t.match(estab.says({ text: 'x' }), [{ ack: 2 }])
  fin1.says({ ack: 2 })
  t.equal(fin1.state, 'FIN-WAIT-2')
  fin2.says({ flags: FIN | ACK, ack: 2 })
  t.equal(fin2.state, 'TIME-WAIT')
  t.match(wait.write('x'), [{ seq: 1 }])
  closing.says({ seq: 2, ack: 2 })
  t.equal(closing.state, 'TIME-WAIT')
  last.says({ seq: 2, ack: 2 })
  t.equal(last.state, 'FREE')
  host.wait(61_000)
  t.equal(time.state, 'FREE')
  t.notOk(host.tcp.ports.bind(HERE, 80, false, true) > 0, 'the port is known to be in use')
})

t.test('orphans and their number survive', async t => {
  const host = new Host()
  const p = accepted(host)
  p.write('x')
  host.tcp.detach(p.tcb, host.now)
  p.turn()
  replace(host)
  t.equal(host.tcp.orphans, 1)
  p.says({ ack: 3 })
  t.equal(host.tcp.orphans, 0)
  t.equal(p.state, 'FIN-WAIT-2')
})

/** A connection whose record says something that cannot be. */
const broken =
  (word: number, value: (tcb: ReturnType<Host['tcp']['tcb']>) => number) =>
  (t: Test): void => {
    const host = new Host()
    const p = accepted(host)
    const other = connected(host)
    const tcb = host.tcp.tcb(p.tcb)
    tcb.words[tcb.at + word] = value(tcb)
    host.take()
    replace(host)
    t.equal(host.tcp.state(p.tcb), 'FREE')
    t.equal(p.errno, ECONNRESET)
    t.match(
      host.take().filter(s => s.flags & RST),
      [{ flags: RST | ACK }],
    )
    t.equal(other.state, 'ESTABLISHED')
    t.match(other.says({ text: 'x' }), [{ ack: 2 }])
    t.equal(host.tcp.counters.recoveryAborts, 1)
  }

for (const [name, word, value] of [
  ['SND.MAX before SND.UNA', L.SND_MAX, tcb => tcb.snd.una - 5],
  ['SND.NXT past SND.MAX', L.SND_NXT, tcb => tcb.snd.max + 5],
  ['SND.NXT before SND.UNA', L.SND_NXT, tcb => tcb.snd.una - 1],
  ['no SYN acknowledged', L.SND_UNA, tcb => tcb.snd.iss],
  ['the right edge before RCV.NXT', L.RCV_EDGE, tcb => tcb.rcv.nxt - 1],
  ['acknowledged what never came', L.RCV_ACKED, tcb => tcb.rcv.nxt + 1],
  ['a negative window', L.SND_WND, () => -1],
  ['a shift of 15', L.SND_WIND_SHIFT, () => 15],
  ['port 0', L.LOCAL_PORT, () => 0],
  ['CLOSE-WAIT without a FIN', L.STATE, () => 7],
  ['too many held ranges', L.HELD, () => 1000],
] as [string, number, (tcb: ReturnType<Host['tcp']['tcb']>) => number][])
  t.test(`recover() aborts a record with ${name}`, async t => broken(word, value)(t))

t.test('recover() frees a record whose state is none', async t => {
  const host = new Host()
  const p = accepted(host)
  host.tcp.words[p.tcb * L.TCB_WORDS] = 99
  replace(host)
  t.equal(host.tcp.size, 0)
  t.equal(p.errno, ECONNRESET)
})

t.test('recover() of noise, seed 8: no throw, nothing trusted, nothing leaked', async t => {
  const next = random(8)
  for (let round = 0; round < 300; round++) {
    const host = new Host({ capacity: 8, seed: round })
    for (let i = 0; i < 4; i++) accepted(host, { port: 100 + i, sackOk: true })
    for (let k = 0; k < 1 + round / 10; k++) {
      const at = Math.floor(next() * 4 * L.TCB_WORDS)
      host.tcp.words[at] = next() < 0.5 ? (next() * 2 ** 32) | 0 : Math.floor(next() * 12)
    }
    replace(host)
    host.wait(5000)
    for (let slot = 0; slot < 8; slot++) host.tcp.abort(slot, host.now)
    host.wait(2000)
    if (host.tcp.size !== 0) t.fail(`${host.tcp.size} left in round ${round}`)
  }
  t.pass()
})

t.test('a connection that three threads in a row ended at is given up', async t => {
  const host = new Host()
  const p = accepted(host)
  for (let i = 0; i < 3; i++) {
    t.equal(p.state, 'ESTABLISHED')
    host.tcp.tcb(p.tcb).busy = 1
    replace(host)
  }
  t.equal(p.errno, ECONNRESET)
})

t.test('… but not if the ends lie far apart', async t => {
  const host = new Host()
  const p = accepted(host)
  for (let i = 0; i < 6; i++) {
    host.tcp.tcb(p.tcb).busy = 1
    replace(host)
    host.wait(61_000)
  }
  t.equal(p.state, 'ESTABLISHED')
})

for (const seed of [1, 2, 3])
  t.test(`megabytes over a bad wire while threads come and go, seed ${seed}`, async t => {
    const pair = new Pair({ seed, loss: 0.02, duplicate: 0.01, jitter: 3 }, { maxDatagram: 65_535 })
    const next = random(seed)
    const data = Uint8Array.from({ length: 2 << 20 }, () => next() * 256)
    pair.b.tcp.listen(THERE, 80, false, 1, {})
    const box = { out: new Outbox(), in: new Inbox() }
    const tcb = pair.a.tcp.open(HERE, 0, THERE, 80, box.out, box.in, {}, pair.clock.now)
    pair.a.user.boxes.set(tcb, box)
    const got: Uint8Array[] = []
    let written = 0
    let read = 0
    let replaced = 0
    pair.run(() => {
      if (next() < 0.2) {
        const host = next() < 0.5 ? pair.a : pair.b
        replace(host)
        if (host === pair.b) host.tcp.listen(THERE, 80, false, 1, {})
        replaced++
      }
      const n = Math.min(data.length - written, 65_536 - box.out.length)
      if (n > 0) {
        box.out.write(data.subarray(written, written + n))
        written += n
        pair.a.tcp.send(tcb, pair.clock.now)
      }
      const there = pair.b.user.accepted[0]
      if (!there) return false
      const piece = there.in.take()
      if (piece.length > 0) got.push(piece)
      read += piece.length
      pair.b.tcp.received(there.tcb, pair.clock.now)
      return read >= data.length
    }, 3_600_000)
    t.ok(Buffer.concat(got).equals(Buffer.from(data)), `${read} bytes`)
    t.ok(replaced > 10, `${replaced} threads`)
  })
