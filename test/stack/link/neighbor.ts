import t from 'tap'
import { LinkCounters } from '../../../src/stack/link/counters.ts'
import {
  NOWHERE,
  type Neighbor,
  type NeighborState,
  NeighborTable,
  type WaitingPacket,
} from '../../../src/stack/link/neighbor.ts'
import { Address } from '../../../src/wire/address.ts'
import { addr, macOf } from '../../helpers/net.ts'

const A = addr('10.0.0.2')
/** The `n`th address from A on. */
const nth = (n: number) => Address.v4(A.d + n)
const FIRST = macOf(2)
const OTHER = macOf(3)

/** A table, and what it asked of its link. */
function table() {
  const asked: string[] = []
  const sent: number[] = []
  const lost: number[] = []
  const link = {
    room: Infinity,
    transmit(_: Neighbor, packet: WaitingPacket) {
      if (link.room <= 0) return false
      link.room--
      sent.push(packet.bytes[0])
      return true
    },
  }
  const resolver = {
    ethertype: 0x0800,
    solicit(n: Neighbor) {
      asked.push(n.hasMac ? 'unicast' : 'broadcast')
    },
    undeliverable(packet: WaitingPacket) {
      lost.push(packet.bytes[0])
    },
  }
  const counters = new LinkCounters()
  return {
    neighbors: new NeighborTable(link, resolver, counters),
    link,
    counters,
    asked,
    sent,
    lost,
  }
}

const packet = (mark: number, length = 60): WaitingPacket => ({
  bytes: new Uint8Array(length).fill(mark),
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
})

/** A table whose neighbor A is in a state, at the time 100,000. */
function inState(state: NeighborState) {
  const all = table()
  const { neighbors, asked } = all
  neighbors.run(100_000)
  const n = neighbors.resolve(A)
  if (state === 'FAILED') for (const now of [100_000, 101_000, 102_000, 103_000]) neighbors.run(now)
  if (state === 'REACHABLE') neighbors.learn(n, FIRST, true, 100_000)
  if (state === 'STALE' || state === 'DELAY' || state === 'PROBE')
    neighbors.learn(n, FIRST, false, 100_000)
  if (state === 'DELAY' || state === 'PROBE') neighbors.resolve(A)
  if (state === 'PROBE') neighbors.run(105_000)
  if (n.state !== state) throw new Error(`wanted ${state}, made ${n.state}`)
  asked.length = 0
  return { ...all, n }
}

t.test('resolve() asks everybody once a second, three times, then fails what waits', async t => {
  const { neighbors, asked, lost, counters } = table()
  const n = neighbors.resolve(A)
  t.equal(n.state, 'INCOMPLETE')
  t.notOk(n.ready)
  neighbors.wait(n, packet(1))
  neighbors.wait(n, packet(2))
  const at = []
  for (let now = 0; now <= 5000; now += 250) {
    neighbors.run(now)
    while (asked.length > 0) at.push([now, asked.shift()])
    if (lost.length > 0 && n.state === 'FAILED' && at.at(-1)![0] !== 'failed')
      at.push(['failed', now])
  }
  t.same(at, [
    [0, 'broadcast'],
    [1000, 'broadcast'],
    [2000, 'broadcast'],
    ['failed', 3000],
  ])
  t.same(lost, [1, 2])
  t.equal(counters.neighborsFailed, 1)
  t.equal(neighbors.next, Infinity)
})

t.test('resolve() of a FAILED neighbor begins anew', async t => {
  const { neighbors, n, asked } = inState('FAILED')
  t.equal(neighbors.resolve(A), n)
  t.equal(n.state, 'INCOMPLETE')
  neighbors.run(200_000)
  t.same(asked, ['broadcast'])
})

t.test('a request goes out at the next run(), however old the table’s time is', async t => {
  const { neighbors, asked } = table()
  neighbors.run(10)
  neighbors.resolve(A)
  t.ok(neighbors.next <= 5_000)
  neighbors.run(5_000)
  neighbors.run(5_999)
  t.equal(asked.length, 1)
  neighbors.run(6_000)
  t.equal(asked.length, 2)
})

// RFC 4861 section 7.2.5 and appendix C, as far as they fit ARP.
for (const [before, reply, mac, after] of [
  ['INCOMPLETE', true, FIRST, 'REACHABLE'],
  ['INCOMPLETE', false, FIRST, 'STALE'],
  ['REACHABLE', true, FIRST, 'REACHABLE'],
  ['REACHABLE', false, FIRST, 'REACHABLE'],
  ['REACHABLE', false, OTHER, 'STALE'],
  ['REACHABLE', true, OTHER, 'STALE'],
  ['STALE', false, FIRST, 'STALE'],
  ['STALE', true, FIRST, 'STALE'],
  ['STALE', false, OTHER, 'STALE'],
  ['DELAY', false, FIRST, 'DELAY'],
  ['DELAY', false, OTHER, 'STALE'],
  ['PROBE', false, FIRST, 'PROBE'],
  ['PROBE', true, FIRST, 'REACHABLE'],
  ['PROBE', true, OTHER, 'REACHABLE'],
  ['PROBE', false, OTHER, 'STALE'],
  ['FAILED', true, FIRST, 'STALE'],
] as const)
  t.test(
    `${before}, ${reply ? 'reply to us' : 'other message'} with ${mac === FIRST ? 'the first' : 'another'} MAC: ${after}`,
    async t => {
      const { neighbors, n } = inState(before)
      neighbors.learn(n, mac, reply, 106_000)
      t.equal(n.state, after)
      t.ok(n.mac.equals(mac))
      t.equal(n.ready, after !== 'STALE')
    },
  )

for (const [before, after] of [
  ['INCOMPLETE', 'INCOMPLETE'],
  ['REACHABLE', 'REACHABLE'],
  ['STALE', 'REACHABLE'],
  ['DELAY', 'REACHABLE'],
  ['PROBE', 'REACHABLE'],
  ['FAILED', 'FAILED'],
] as const)
  t.test(`${before}, confirm(): ${after}`, async t => {
    const { neighbors, n } = inState(before)
    neighbors.confirm(n, 106_000)
    t.equal(n.state, after)
  })

t.test('REACHABLE lasts for 30 s after the last confirm()', async t => {
  const { neighbors, n } = inState('REACHABLE')
  neighbors.run(129_999)
  t.equal(n.state, 'REACHABLE')
  neighbors.confirm(n, 129_999)
  neighbors.run(130_000)
  t.equal(n.state, 'REACHABLE')
  neighbors.run(159_998)
  t.equal(n.state, 'REACHABLE')
  neighbors.run(159_999)
  t.equal(n.state, 'STALE')
  t.notOk(n.ready, 'its next use is noticed')
})

t.test('STALE, used: DELAY for 5 s, three unicast probes, FAILED', async t => {
  const { neighbors, n, asked } = inState('STALE')
  neighbors.resolve(A)
  t.equal(n.state, 'DELAY')
  t.ok(n.ready)
  neighbors.run(104_999)
  t.same(asked, [])
  for (const now of [105_000, 106_000, 107_000]) {
    neighbors.run(now)
    t.equal(n.state, 'PROBE')
    t.ok(n.ready)
  }
  t.same(asked, ['unicast', 'unicast', 'unicast'])
  neighbors.run(108_000)
  t.equal(n.state, 'FAILED')
  t.notOk(n.ready)
})

t.test('STALE, not used: nothing is asked', async t => {
  const { neighbors, n, asked } = inState('STALE')
  t.equal(neighbors.next, Infinity)
  neighbors.run(1e9)
  t.same(asked, [])
  t.equal(n.state, 'STALE')
})

t.test('what waited goes out in order when the MAC is learnt', async t => {
  const { neighbors, n, sent } = inState('INCOMPLETE')
  for (const mark of [1, 2, 3]) neighbors.wait(n, packet(mark))
  neighbors.learn(n, FIRST, false, 100_100)
  t.same(sent, [1, 2, 3])
  t.equal(n.state, 'DELAY', 'STALE was used')
  t.ok(n.ready)
})

t.test('what finds no room goes out at a later run(), before anything newer', async t => {
  const { neighbors, n, sent, link } = inState('INCOMPLETE')
  for (const mark of [1, 2, 3]) neighbors.wait(n, packet(mark))
  link.room = 1
  neighbors.learn(n, FIRST, true, 100_100)
  t.same(sent, [1])
  t.notOk(n.ready)
  neighbors.run(100_200)
  t.same(sent, [1])
  link.room = Infinity
  neighbors.run(100_300)
  t.same(sent, [1, 2, 3])
  t.ok(n.ready)
})

t.test('wait() keeps 64 packets for one neighbor, the newest', async t => {
  const { neighbors, n, sent, counters } = inState('INCOMPLETE')
  for (let mark = 0; mark < 100; mark++) neighbors.wait(n, packet(mark))
  t.equal(counters.neighborQueueFull, 36)
  neighbors.learn(n, FIRST, true, 100_100)
  t.equal(sent.length, 64)
  t.same([sent[0], sent[63]], [36, 99])
})

t.test('wait() keeps 256 KB for one neighbor, 4 MB for all', async t => {
  const { neighbors, n, counters } = inState('INCOMPLETE')
  for (let i = 0; i < 10; i++) neighbors.wait(n, packet(i, 65_535))
  t.ok(n.waitingBytes <= 256 * 1024)
  t.equal(n.waiting.length, 4)
  const all = []
  for (let i = 0; i < 100; i++) {
    const other = neighbors.resolve(nth(1 + i))
    all.push(other)
    for (let k = 0; k < 4; k++) neighbors.wait(other, packet(k, 65_535))
  }
  const bytes = all.reduce((sum, other) => sum + other.waitingBytes, n.waitingBytes)
  t.ok(bytes <= 4 * 1024 * 1024 && bytes > 4 * 1024 * 1024 - 65_536, `${bytes} bytes`)
  t.ok(counters.neighborQueueFull > 0)
  for (let now = 100_000; now < 105_000; now += 1000) neighbors.run(now)
  const late = neighbors.resolve(nth(300))
  neighbors.wait(late, packet(1))
  t.equal(late.waiting.length, 1, 'failed neighbors gave their memory back')
})

t.test('the table never grows past 1024, and half of it at most is INCOMPLETE', async t => {
  const { neighbors, counters } = table()
  for (let i = 0; i < 5000; i++) neighbors.resolve(nth(i))
  t.equal(neighbors.size, 512)
  t.equal(neighbors.resolve(nth(6000)), NOWHERE)
  t.ok(counters.neighborTableFull > 0)
  for (let i = 0; i < 5000; i++)
    if (!neighbors.find(nth(1e6 + i))) neighbors.create(nth(1e6 + i), FIRST)
  t.equal(neighbors.size, 1024)
})

t.test(
  'a full table gives up FAILED, then STALE, the longest unused first, not who is REACHABLE',
  async t => {
    const { neighbors } = table()
    const keep = neighbors.resolve(A)
    neighbors.learn(keep, FIRST, true, 0)
    const failed = neighbors.resolve(nth(1))
    for (const now of [0, 1000, 2000, 3000]) neighbors.run(now)
    t.equal(failed.state, 'FAILED')
    for (let i = 0; neighbors.size < 1024; i++) neighbors.create(nth(1000 + i), OTHER)
    neighbors.create(nth(9000), OTHER)
    t.equal(neighbors.find(nth(1)), undefined)
    t.equal(failed.id, -1)
    for (let i = 0; i < 100; i++) neighbors.create(nth(10_000 + i), OTHER)
    t.equal(neighbors.find(nth(1000)), undefined)
    t.equal(neighbors.find(nth(1099)), undefined)
    t.ok(neighbors.find(nth(1100)))
    t.equal(neighbors.find(A), keep)
  },
)

t.test('an entry that was put out is not ready, and resolve() makes another', async t => {
  const { neighbors } = table()
  neighbors.create(A, FIRST)
  const old = neighbors.resolve(A)
  t.ok(old.ready)
  for (let i = 0; i < 2000; i++) neighbors.learn(neighbors.resolve(nth(1000 + i)), OTHER, true, 0)
  t.notOk(old.ready)
  const now = neighbors.resolve(A)
  t.not(now, old)
  t.equal(now.state, 'INCOMPLETE')
  neighbors.confirm(old, 5)
  t.notOk(old.ready, 'and confirm() does not wake it')
})

t.test('relink() probes whom it knew and asks again for whom it asked', async t => {
  const { neighbors, asked } = table()
  neighbors.run(50)
  neighbors.create(A, FIRST)
  const n = neighbors.find(A)!
  neighbors.resolve(nth(1))
  neighbors.run(100)
  asked.length = 0
  neighbors.relink()
  t.equal(n.state, 'PROBE')
  t.ok(n.ready, 'packets still go to the old MAC meanwhile')
  neighbors.run(200)
  t.same(asked.sort(), ['broadcast', 'unicast'])
})

t.test('macGone() fails every neighbor at that MAC, and gives their addresses', async t => {
  const { neighbors, link, lost } = table()
  for (const [i, mac] of [FIRST, OTHER, FIRST].entries())
    neighbors.learn(neighbors.resolve(nth(i)), mac, true, 0)
  neighbors.resolve(nth(3))
  link.room = 0
  const blocked = neighbors.resolve(nth(4))
  neighbors.wait(blocked, packet(7))
  neighbors.learn(blocked, FIRST, true, 0)
  t.same(neighbors.macGone(FIRST, 10), [A, nth(2), nth(4)])
  t.equal(neighbors.find(A)!.state, 'FAILED')
  t.equal(neighbors.find(nth(1))!.state, 'REACHABLE')
  t.equal(neighbors.find(nth(3))!.state, 'INCOMPLETE')
  t.same(lost, [7])
  t.same(neighbors.macGone(FIRST, 10), [])
})
