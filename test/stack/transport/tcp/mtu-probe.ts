// Path MTU discovery without ICMP (RFC 4821): a path that swallows what is too long for it and says nothing.
import t from 'tap'
import { Address } from '../../../../src/wire/address.ts'
import { HERE, Inbox, Outbox, Pair, THERE } from '../../../helpers/tcp-pair.ts'

const V6 = new Address(0x20010db8, 0, 0, 1)
const V6_PEER = new Address(0x20010db8, 0, 0, 2)

interface Hole {
  /** The largest datagram that gets through, at this time after the beginning. */
  mtu: (ms: number) => number
  v6?: boolean
  loss?: number
  seed?: number
  mtuProbing?: number
  sack?: boolean
}

/** `size` bytes from a to b, over a path with a hole. */
function transfer(size: number, hole: Hole) {
  const { v6 = false, loss = 0, seed = 40, mtuProbing = 1, sack = true } = hole
  const pair = new Pair({ seed, loss, delay: 5 }, { tuning: { mtuProbing, sack } })
  const [from, to] = v6 ? [V6, V6_PEER] : [HERE, THERE]
  const begun = pair.clock.now
  const deliver = pair.a.deliver!
  const headers = v6 ? 40 : 20
  const lengths: number[] = []
  let swallowed = 0
  pair.a.deliver = (bytes, path, gsoSize, tos, ttl) => {
    lengths.push(bytes.length + headers)
    if (bytes.length + headers > hole.mtu(pair.clock.now - begun)) swallowed++
    else deliver(bytes, path, gsoSize, tos, ttl)
  }
  pair.b.user.maxInbox = 1 << 20
  pair.b.tcp.listen(to, 80, false, 1, {})
  const out = new Outbox()
  const tcb = pair.a.tcp.open(from, 0, to, 80, out, new Inbox(), {}, begun)
  let written = 0
  let read = 0
  const sum = { cwnd: 0 }
  pair.run(() => {
    const n = Math.min(size - written, 300_000 - out.length)
    if (n > 0) {
      out.write(new Uint8Array(n))
      written += n
      pair.a.tcp.send(tcb, pair.clock.now)
    }
    const end = pair.b.user.accepted[0]
    if (end && end.in.used > 0) {
      read += end.in.take().length
      pair.b.tcp.received(end.tcb, pair.clock.now)
    }
    return read === size
  }, 7_200_000)
  const { snd } = pair.a.tcp.tcb(tcb)
  return { pair, read, lengths, swallowed, snd, sum, took: pair.clock.now - begun }
}

for (const [name, hole, least] of [
  ['1,400', { mtu: () => 1400 }, 1400 - 8],
  ['1,400, without SACK', { mtu: () => 1400, sack: false }, 1400 - 8],
  ['1,492', { mtu: () => 1492 }, 1492 - 8],
  ['1,064', { mtu: () => 1064 }, 1064 - 8],
  ['1,000', { mtu: () => 1000 }, 1000 - 8],
  ['576', { mtu: () => 576 }, 552],
  ['552', { mtu: () => 552 }, 552],
  ['1,400, IPv6', { mtu: () => 1400, v6: true }, 1400 - 8],
  ['1,280, IPv6', { mtu: () => 1280, v6: true }, 1280],
] as const)
  t.test(`a black hole above ${name}: found, and the size searched`, async t => {
    const { pair, read, swallowed, snd, lengths } = transfer(15e6, hole)
    t.equal(read, 15e6)
    t.ok(snd.mtuLow >= least && snd.mtuLow <= hole.mtu(), `${snd.mtuLow}`)
    t.ok(pair.a.tcp.counters.mtuBlackHoles >= 1)
    t.ok(swallowed < 100, `${swallowed} swallowed`)
    t.ok(
      lengths.slice(-100).every(n => n <= snd.mtuLow || n <= hole.mtu()),
      'no more is lost in the end',
    )
  })

t.test('lost probes are no congestion', async t => {
  const { pair } = transfer(6e6, { mtu: () => 1400 })
  t.ok(pair.a.tcp.counters.mtuProbes > 4)
  t.equal(pair.a.tcp.counters.fastRecoveries, 0)
  t.equal(pair.a.tcp.counters.timeouts, 4)
})

t.test('nothing gets through the smallest: the size ends at 552', async t => {
  const { read, lengths } = transfer(1e5, { mtu: ms => (ms < 11 ? 1500 : 500) })
  t.ok(read < 1e5)
  t.ok(lengths.includes(552))
  t.ok(lengths.every(n => n >= 552 || n < 100))
})

t.test('a link that was down for 10 s was no black hole: full segments again at once', async t => {
  const { pair, read, snd, lengths } = transfer(6e6, {
    mtu: ms => (ms > 50 && ms < 10_000 ? 0 : 1500),
  })
  t.equal(read, 6e6)
  t.equal(pair.a.tcp.counters.mtuBlackHoles >= 1, true)
  t.equal(snd.mtuLow, 0)
  t.equal(pair.a.tcp.counters.mtuProbes, 1)
  t.ok(lengths.slice(-500).some(n => n === 1500))
})

t.test('the path becomes wider: ten minutes later that is found', async t => {
  const { snd, took } = transfer(3e8, { mtu: ms => (ms < 20_000 ? 1400 : 1500) })
  t.ok(took > 0)
  t.ok(snd.mtuLow === 0 || took < 620_000, `${snd.mtuLow} after ${took} ms`)
})

for (let seed = 50; seed < 56; seed++)
  t.test(`5 % lost, seed ${seed}: no black hole`, async t => {
    const { pair, read } = transfer(1e6, { mtu: () => 1500, loss: 0.05, seed })
    t.equal(read, 1e6)
    t.equal(pair.a.tcp.counters.mtuBlackHoles, 0)
  })

t.test('tcp_mtu_probing 0: full segments to the end', async t => {
  const { pair, lengths, read } = transfer(1e5, { mtu: () => 1400, mtuProbing: 0 })
  t.equal(read, 0)
  t.equal(pair.a.tcp.counters.mtuBlackHoles, 0)
  t.ok(lengths.every(n => n === 1500 || n < 100))
})
