import t from 'tap'

import { MAX_FRAME } from '../../src/ring/frame-ring.ts'
import { AGEING } from '../../src/switch/mac-table.ts'
import { Switch } from '../../src/switch/switch.ts'
import { BROADCAST_MAC, Mac, ZERO_MAC } from '../../src/wire/mac.ts'
import { MTU, TestStation } from '../helpers/cable.ts'
import { random } from '../helpers/random.ts'

/** A switch with stations 1 to n; those of `bridges` are bridges. */
function network(n: number, ...bridges: number[]) {
  const bridge = new Switch(MTU)
  const stations = Array.from(
    { length: n },
    (_, i) => new TestStation(i + 1, bridges.includes(i + 1)),
  )
  for (const { port } of stations) bridge.add(port)
  const settle = (now = 0) => {
    while (bridge.turn(now) > 0);
  }
  return { bridge, stations, settle }
}

t.test('a frame goes to its registered station alone, whole', async t => {
  const { stations, settle } = network(3)
  const [a, b, c] = stations
  for (const length of [14, 60, 1514]) a.send(b.mac, { length, tag: 9 })
  a.send(b.mac, { length: MAX_FRAME, tag: 7, gsoSize: 1448 })
  settle()
  t.same(b.received(), ['1:14:0', '1:60:9', '1:1514:9', `1:${MAX_FRAME}:7`])
  t.same(c.received(), [])
  t.equal(a.port.received, 4)
  t.equal(b.port.to.frames, 4)
  a.send(a.mac)
  settle()
  t.same([...a.received(), ...b.received(), ...c.received()], [], 'to oneself: nowhere')
})

t.test('broadcast, multicast and unknown addresses go to all others', async t => {
  const { stations, settle } = network(3)
  const [a, b, c] = stations
  for (const mac of [BROADCAST_MAC, new Mac(0x3333, 1), new Mac(0x0a00, 77)]) a.send(mac)
  settle()
  for (const other of [b, c]) t.same(other.received(), ['1:60:0', '1:60:0', '1:60:0'])
  t.same(a.received(), [])
})

t.test('stations behind a bridge are learnt, followed when they move, and age', async t => {
  const { stations, settle } = network(3, 2, 3)
  const [a, b, c] = stations
  const guest = new Mac(0x0a00, 99)
  b.send(a.mac, { from: guest })
  settle()
  a.send(guest, { tag: 1 })
  settle()
  t.same([b.received(), c.received()], [['1:60:1'], []])
  c.send(BROADCAST_MAC, { from: guest })
  settle()
  a.received()
  b.received()
  a.send(guest, { tag: 2 })
  settle(AGEING)
  t.same([b.received(), c.received()], [[], ['1:60:2']])
  a.send(guest, { tag: 3 })
  settle(AGEING + 1)
  t.same([b.received(), c.received()], [['1:60:3'], ['1:60:3']])
})

t.test('what is no frame, or carries another’s address, is dropped and counted', async t => {
  const { bridge, stations, settle } = network(2)
  const [a, b] = stations
  a.send(b.mac, { from: new Mac(0x0300, 5) })
  a.send(b.mac, { from: ZERO_MAC })
  a.send(b.mac, { length: MTU + 19 })
  a.send(b.mac, { length: 9000, gsoSize: 9000 })
  const at = a.sink.open(13)
  b.mac.write(a.sink.bytes, at)
  a.sink.close(13, 0, 0, 0)
  settle()
  t.equal(a.port.malformed, 5)
  a.send(BROADCAST_MAC, { from: b.mac })
  settle()
  t.equal(a.port.spoofed, 1)
  a.send(BROADCAST_MAC, { from: new Mac(0x0a00, 1) })
  settle()
  t.equal(a.port.spoofed, 2, 'nor one that is nobody’s')
  t.same(b.received(), [])
  a.send(b.mac)
  settle()
  t.same(b.received(), ['1:60:0'], 'the port goes on')
  t.same(bridge.broken, [])
})

t.test('a full receiver loses frames; the sender and the others go on', async t => {
  const { stations, settle } = network(3)
  const [a, b, c] = stations
  let sent = 0
  for (let round = 0; round < 8; round++) {
    while (a.send(round % 2 === 0 ? b.mac : BROADCAST_MAC, { length: 1514 })) sent++
    settle()
    c.received()
  }
  t.equal(a.port.received, sent)
  t.equal(b.port.to.frames + b.port.overrun, sent)
  t.ok(b.port.overrun > sent / 2)
  t.equal(c.port.overrun, 0)
  t.equal(a.port.overrun, 0)
})

t.test('a turn serves all ports, whatever one sends', async t => {
  const { bridge, stations } = network(4)
  const [a, b, c, d] = stations
  while (a.send(BROADCAST_MAC, { length: 1514 }));
  c.send(d.mac, { tag: 5 })
  bridge.turn(0)
  t.ok(d.received().includes('3:60:5'))
  t.ok(a.port.received < 100, `${a.port.received} frames of the flood`)
  b.received()
})

t.test('doorbells: for sleepers only, one per batch', async t => {
  const { bridge, stations, settle } = network(3)
  const [a, b, c] = stations
  t.ok(b.reader.arm())
  for (let i = 0; i < 10; i++) a.send(b.mac)
  for (let i = 0; i < 10; i++) a.send(c.mac)
  settle()
  t.equal(b.rung, 1)
  t.equal(c.rung, 0, 'awake')
  t.equal(b.received().length, 10)
  t.ok(bridge.arm())
  a.send(b.mac)
  t.ok(a.sink.mustRing(), 'the switch sleeps')
  t.equal(bridge.turn(0), 0, 'and looks at nobody who did not ring')
  bridge.wake(a.port)
  settle()
  t.equal(b.received().length, 1)
  a.send(b.mac)
  t.notOk(bridge.arm(), 'something came meanwhile')
})

t.test('a sender that waits for room is rung', async t => {
  const { stations, settle } = network(2)
  const [a, b] = stations
  while (a.send(b.mac, { length: 1514 }));
  t.ok(a.sink.armRoom())
  settle()
  t.equal(a.rung, 1)
  a.sink.disarmRoom()
  t.ok(a.send(b.mac))
})

t.test('remove(): the others are told, the address is free, frames to it are flooded', async t => {
  const { bridge, stations, settle } = network(3)
  const [a, b, c] = stations
  t.ok(c.reader.arm())
  bridge.remove(b.port)
  t.same(a.received(), ['gone:2'])
  t.same(c.received(), ['gone:2'])
  t.equal(c.rung, 1)
  c.reader.disarm()
  a.send(b.mac)
  settle()
  t.same(c.received(), ['1:60:0'])
  t.same(b.received(), [])
  const again = new TestStation(2)
  bridge.add(again.port)
  a.send(again.mac)
  settle()
  t.same(again.received(), ['1:60:0'])
  t.equal(bridge.ports.length, 3)
})

t.test(
  'a bridge leaves: what was behind it is forgotten, and nobody is told of its end',
  async t => {
    const { bridge, stations, settle } = network(3, 2)
    const [a, b, c] = stations
    b.send(a.mac)
    b.send(a.mac, { from: new Mac(0x0a00, 99) })
    settle()
    t.same(a.received(), ['2:60:0', '99:60:0'])
    a.send(b.mac)
    settle()
    t.same([b.received(), c.received()], [['1:60:0'], []])
    bridge.remove(b.port)
    t.same([a.received(), c.received()], [[], []])
    a.send(b.mac)
    a.send(new Mac(0x0a00, 99))
    settle()
    t.same(c.received(), ['1:60:0', '1:60:0'])
  },
)

t.test('a bridge may not send from the address of a station of this switch', async t => {
  const { stations, settle } = network(3, 2)
  const [a, b, c] = stations
  b.send(a.mac, { from: c.mac })
  settle()
  t.same(a.received(), [])
  t.equal(b.port.spoofed, 1)
})

t.test('a notice reaches a station whose ring is full', async t => {
  const { bridge, stations, settle } = network(3)
  const [a, b, c] = stations
  for (let i = 0; i < 3; i++) {
    while (a.send(b.mac, { length: 1514 }));
    settle()
  }
  t.ok(b.port.overrun > 0)
  bridge.remove(c.port)
  t.equal(b.received().pop(), 'gone:3')
})

t.test('a port that breaks its rings is put aside; the others go on', async t => {
  const { bridge, stations, settle } = network(3)
  const [a, b, c] = stations
  new Int32Array(a.memory)[0] = 8
  b.send(c.mac)
  settle()
  t.same(bridge.broken, [a.port])
  t.ok(a.port.broken)
  bridge.wake(a.port)
  settle()
  t.same(bridge.broken, [a.port], 'named once')
  t.same(c.received(), ['2:60:0'])
  t.ok(bridge.arm(), 'the switch can sleep')

  b.sink.notice(1, new Uint8Array(6))
  bridge.wake(b.port)
  settle()
  t.same(bridge.broken, [a.port, b.port], 'notices are the switch’s to send')
})

t.test('a receiver that lies about its ring is put aside', async t => {
  const { bridge, stations, settle } = network(2)
  const [a, b] = stations
  new Int32Array(b.memory, b.reader.bytes.byteOffset - 4096)[16] = 8
  for (let i = 0; i < 5; i++) {
    while (a.send(b.mac, { length: 1514 }));
    settle()
  }
  t.same(bridge.broken, [b.port])
})

for (const seed of [1, 2, 3])
  t.test(`seed ${seed}: stations that scribble at random harm only themselves`, async t => {
    const next = random(seed)
    const { bridge, stations } = network(6)
    const [a, b, ...hostile] = stations
    let delivered = 0
    for (let round = 0; round < 300; round++) {
      for (const { memory, sink } of hostile) {
        if (!sink.broken && sink.open(60) >= 0) sink.close(next() % 70, next(), next(), next())
        const words = new Int32Array(memory)
        for (let i = next() % 8; i > 0; i--) {
          const where = next() % 16 === 0 ? next() % 64 : 1024 + (next() % 8192)
          words[where] = next() % 3 === 0 ? next() : next() & 0xffff
        }
      }
      a.send(b.mac, { tag: round & 0xff, length: 60 + (round % 100) })
      while (bridge.turn(0) > 0);
      bridge.arm()
      for (const { port } of stations) bridge.wake(port)
      if (b.received().includes(`1:${60 + (round % 100)}:${round & 0xff}`)) delivered++
    }
    t.equal(delivered, 300)
    t.notOk(a.port.broken)
    t.notOk(b.port.broken)
    t.ok(bridge.broken.every(port => hostile.some(station => station.port === port)))
    t.ok(bridge.broken.length > 0, `${bridge.broken.length} put aside`)
  })
