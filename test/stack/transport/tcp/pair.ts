// Two Tcps, a wire that does what a seed says, megabytes in virtual time: every byte arrives, once, in order, both
// connections end as they should, and nothing is left.
import t from 'tap'
import { EV_FIN } from '../../../../src/stack/transport/tcp/user.ts'
import { random } from '../../../helpers/clock.ts'
import {
  type Faults,
  HERE,
  Inbox,
  Outbox,
  Pair,
  THERE,
  type WireOptions,
} from '../../../helpers/tcp-pair.ts'

/** Both sides send `size` bytes in random pieces, read in random pieces, then close. Virtual ms, and the pair. */
function exchange(faults: Faults, wire: WireOptions, size: number, seqStart?: number) {
  const pair = new Pair(faults, wire)
  const next = random(faults.seed + 100)
  pair.a.user.maxInbox = 1 << 20
  pair.b.user.maxInbox = 1 << 20
  pair.b.tcp.listen(THERE, 80, false, 1, {})
  const start = pair.clock.now
  if (seqStart !== undefined) pair.clock.now = seqStart
  const box = { out: new Outbox(), in: new Inbox() }
  const tcb = pair.a.tcp.open(HERE, 0, THERE, 80, box.out, box.in, {}, pair.clock.now)
  pair.a.user.boxes.set(tcb, box)
  const sides = [pair.a, pair.b].map(host => ({
    host,
    data: Uint8Array.from({ length: size }, () => next() * 256),
    written: 0,
    got: [] as Uint8Array[],
    read: 0,
    closed: false,
  }))
  const ends = () => [
    { tcb, ...box },
    pair.b.user.accepted[0] as undefined | { tcb: number; out: Outbox; in: Inbox },
  ]
  const begun = pair.clock.now
  pair.run(() => {
    ends().forEach((end, i) => {
      if (!end) return
      const side = sides[i]
      const { tcp } = side.host
      const n = Math.min(size - side.written, 1 + Math.floor(next() * 30_000))
      if (end.out.length < 200_000 && n > 0) {
        end.out.write(side.data.subarray(side.written, side.written + n))
        side.written += n
        tcp.send(end.tcb, pair.clock.now, next() < 0.1)
      }
      const open = tcp.state(end.tcb) !== 'SYN-SENT'
      if (side.written === size && !side.closed && open) {
        side.closed = true
        tcp.close(end.tcb, pair.clock.now)
      }
      const piece = end.in.take(next() < 0.3 ? Math.floor(next() * 5000) : undefined)
      if (piece.length === 0) return
      side.got.push(piece)
      side.read += piece.length
      tcp.received(end.tcb, pair.clock.now)
    })
    return (
      sides.every(s => s.read === size && s.closed) &&
      pair.a.tcp.live(tcb)?.state !== 'ESTABLISHED' &&
      ends().every((end, i) => end && (sides[i].host.user.events(end.tcb) & EV_FIN) !== 0)
    )
  }, 7_200_000)
  const took = pair.clock.now - begun
  pair.run(() => false, 200_000)
  const whole = sides.every((s, i) => Buffer.concat(s.got).equals(Buffer.from(sides[1 - i].data)))
  return { pair, whole, took, start, read: sides.map(s => s.read) }
}

for (const [name, faults, wire, size] of [
  ['a good wire', { seed: 1 }, {}, 2e6],
  ['a good wire, 64 KB segments', { seed: 2 }, { maxDatagram: 65_535 }, 4e6],
  ['a good wire without checksums', { seed: 3 }, { checksums: false }, 1e6],
  ['5 % lost', { seed: 4, loss: 0.05 }, {}, 1e6],
  ['20 % lost', { seed: 5, loss: 0.2 }, {}, 2e5],
  ['5 % lost, 64 KB segments', { seed: 6, loss: 0.05 }, { maxDatagram: 65_535 }, 3e6],
  ['reordered', { seed: 7, jitter: 20 }, {}, 1e6],
  ['doubled', { seed: 8, duplicate: 0.3 }, {}, 1e6],
  ['damaged', { seed: 9, corrupt: 0.05 }, {}, 1e6],
  ['no room', { seed: 10, noRoom: 0.3 }, {}, 1e6],
  [
    'all at once',
    { seed: 11, loss: 0.03, jitter: 5, duplicate: 0.05, corrupt: 0.03, noRoom: 0.1 },
    {},
    1e6,
  ],
  [
    'all at once',
    { seed: 12, loss: 0.03, jitter: 5, duplicate: 0.05, corrupt: 0.03, noRoom: 0.1 },
    { maxDatagram: 65_535 },
    2e6,
  ],
  [
    'all at once',
    { seed: 13, loss: 0.1, jitter: 50, duplicate: 0.05, corrupt: 0.03, noRoom: 0.1 },
    {},
    3e5,
  ],
  ['a long way', { seed: 14, delay: 100, loss: 0.001 }, {}, 3e6],
  ['an mtu of 576', { seed: 15, loss: 0.01 }, { mtu: 576 }, 5e5],
  ['an mtu of 65,535', { seed: 16, loss: 0.01 }, { mtu: 65_535 }, 4e6],
] as const)
  t.test(`megabytes both ways, ${name}, seed ${faults.seed}`, async t => {
    const { pair, whole, read } = exchange(faults, wire, size)
    t.ok(whole, `${read.join(' and ')} of ${size} bytes`)
    for (const host of [pair.a, pair.b]) {
      t.equal(host.tcp.size, 0)
      t.equal(host.tcp.timers.length, 0)
      t.equal(host.tcp.ready.length + host.tcp.blocked.length, 0)
      t.equal(host.tcp.counters.abortedOnTimeout, 0)
    }
    t.equal(pair.a.tcp.ports.size, 0)
  })

t.test('a good wire needs no retransmission, and is used', async t => {
  const { pair, took } = exchange({ seed: 20, delay: 5 }, {}, 2e6)
  t.equal(pair.a.tcp.counters.retransmitted + pair.b.tcp.counters.retransmitted, 0)
  t.ok(took < 2000, `2 MB each way in ${took} ms at a round trip of 10`)
})

t.test('one lost segment in a hundred costs no timeout most of the time', async t => {
  const { pair } = exchange({ seed: 21, delay: 5, loss: 0.005 }, {}, 2e6)
  const { timeouts, fastRecoveries } = pair.a.tcp.counters
  t.ok(fastRecoveries > 3 * timeouts, `${fastRecoveries} fast recoveries, ${timeouts} timeouts`)
})
