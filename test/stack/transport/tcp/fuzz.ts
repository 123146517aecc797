// Segments by the hundred thousand that nobody should send. The four things that must hold: nothing throws, what stands
// goes on, memory is bounded, and nothing of one connection shows up in another.
import t from 'tap'
import * as L from '../../../../src/stack/transport/tcp/layout.ts'
import { isConsistent } from '../../../../src/stack/transport/tcp/recover.ts'
import { ACK, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { random } from '../../../helpers/clock.ts'
import { build } from '../../../helpers/segment.ts'
import { HERE, Host, type Peer, THERE, accepted, connected } from '../../../helpers/tcp-pair.ts'

const CAPACITY = 64

function fuzz(seed: number, segments: number) {
  const next = random(seed)
  const host = new Host({ capacity: CAPACITY, seed, maxDatagram: seed % 2 ? 1500 : 65_535 })
  const pick = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]
  const peers = [accepted(host, { port: 1, sackOk: true, ts: true, wscale: 7 })]
  let port = 1
  // A damaged port may have begun a connection that we do not know of.
  const freePort = () => {
    do port++
    while (host.tcp.demux.find(host.packet.set(new Uint8Array(0), THERE, HERE), port, 80) >= 0)
    return port
  }
  /** The connection of this peer, unless it has ended: its record may be another's by now. */
  const live = (p: Peer | undefined) => {
    const tcb = p && host.tcp.live(p.tcb)
    return tcb?.remotePort === p?.port && tcb?.localPort === p?.localPort ? tcb : undefined
  }
  const renew = () =>
    next() < 0.5
      ? accepted(host, {
          port: freePort(),
          sackOk: next() < 0.7,
          ts: next() < 0.5,
          wscale: 7,
          inbox: 1 << 14,
        })
      : connected(host, { sackOk: next() < 0.7, wscale: 3 })
  let longest = 0
  for (let i = 0; i < segments; i++) {
    const k = Math.floor(next() * 8)
    if (!live(peers[k])) peers[k] = renew()
    const p = peers[k]
    const tcb = live(p)
    if (!tcb) continue
    const near = (n: number) =>
      (n + pick([0, 0, 0, 1, -1, 2, 1000, -1000, 65_535, -65_536, 2 ** 31, 2 ** 30])) | 0
    const options = pick([
      undefined,
      undefined,
      Array.from({ length: 4 * Math.floor(next() * 11) }, () =>
        Math.floor(next() * (next() < 0.5 ? 12 : 256)),
      ),
    ])
    const sack = Array.from({ length: Math.floor(next() * 4) }, () => {
      const from = near(tcb.snd.una)
      return [from >>> 0, near(from + 1460) >>> 0] as const
    })
    const bytes = build({
      srcPort: p.port,
      dstPort: p.localPort,
      seq: near(tcb.rcv.nxt) >>> 0,
      ack: near(pick([tcb.snd.una, tcb.snd.max])) >>> 0,
      flags:
        next() < 0.7
          ? pick([ACK, ACK, ACK | FIN, ACK | RST, SYN, SYN | ACK])
          : Math.floor(next() * 256),
      wnd: pick([0, 1, 100, 1000, 65_535]),
      up: pick([0, 1, 65_535]),
      text: new Uint8Array(pick([0, 0, 1, 10, 1460, 5000])).fill(k),
      ...(options
        ? { options }
        : { sack, ts: [next() * 2 ** 31, tcb.snd.tsOffset + host.now] as const }),
    })
    if (next() < 0.05) bytes[Math.floor(next() * bytes.length)] ^= 1 << Math.floor(next() * 8)
    const length = next() < 0.02 ? Math.floor(next() * bytes.length) : bytes.length
    host.tcp.arrives(host.packet.set(bytes.subarray(0, length), THERE, HERE), host.now)
    if (next() < 0.3 && live(p)) {
      if (p.out.length < 100_000) p.out.write(new Uint8Array(Math.floor(next() * 5000)).fill(k))
      host.tcp.send(p.tcb, host.now, next() < 0.2)
    }
    if (next() < 0.1 && live(p)) p.read()
    if (next() < 0.005 && live(p)) host.tcp.close(p.tcb, host.now)
    if (next() < 0.002 && live(p)) host.tcp.detach(p.tcb, host.now)
    if (next() < 0.5) host.turn()
    if (next() < 0.1) host.clock.advance(next() * 300)
    for (const s of host.take()) longest = Math.max(longest, s.text.length)
    for (const q of peers) {
      const tcb = live(q)
      if (tcb && !isConsistent(tcb, tcb.state)) throw new Error(`segment ${i}: ${tcb.state}`)
    }
    if (i % 1000 === 0) {
      host.user.log.length = 0
      host.user.accepted.length = 0
      host.states.length = 0
      for (const slot of host.user.boxes.keys())
        if (!peers.some(q => q?.tcb === slot)) host.user.boxes.delete(slot)
    }
  }
  return { host, longest }
}

for (const seed of [1, 2, 3, 4])
  t.test(`50,000 segments near what is expected, seed ${seed}`, async t => {
    const { host, longest } = fuzz(seed, 50_000)
    t.ok(longest <= (seed % 2 ? 1460 : 65_535))
    t.ok(host.tcp.size <= CAPACITY)
    const p = accepted(host, { port: 9999 })
    p.says({ text: 'fine' })
    t.equal(p.in.string, 'fine')
    for (let slot = 0; slot < CAPACITY; slot++) host.tcp.abort(slot, host.now)
    host.wait(200_000)
    t.equal(host.tcp.size, 0)
    t.equal(host.tcp.orphans, 0)
    t.equal(host.tcp.timers.length, 0)
    t.ok(host.tcp.words.every((w, i) => i % L.TCB_WORDS !== 0 || w === 0))
  })

t.test('20,000 segments of pure noise, seed 5', async t => {
  const next = random(5)
  const host = new Host()
  const p = accepted(host)
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: Math.floor(next() * 80) }, () => next() * 256)
    host.tcp.arrives(host.packet.set(bytes, THERE, HERE, next() < 0.9), host.now)
    host.turn()
    host.take()
  }
  t.match(p.says({ text: 'fine' }), [{ ack: 5 }])
})
