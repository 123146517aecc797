import t from 'tap'
import { EADDRINUSE } from '../../../src/base/errno.ts'
import { EPHEMERAL_FIRST, EPHEMERAL_LAST, Ports } from '../../../src/stack/transport/ports.ts'
import { ANY_V4, ANY_V6, Address, LOOPBACK_V4, LOOPBACK_V6 } from '../../../src/wire/address.ts'
import { random } from '../../helpers/clock.ts'

const A = Address.v4(0x0a000001)
const B = Address.v4(0x0a000002)
const V6 = new Address(0xfe800000, 0, 0, 1)
const ports = (seed = 1) => {
  const next = random(seed)
  return new Ports(() => (next() * 2 ** 32) | 0)
}

for (const [name, first, second, conflict] of [
  ['the same address', [A, false, false], [A, false, false], true],
  ['two addresses', [A, false, false], [B, false, false], false],
  ['an address after 0.0.0.0', [ANY_V4, false, false], [A, false, false], true],
  ['0.0.0.0 after an address', [A, false, false], [ANY_V4, false, false], true],
  ['both reuse', [A, false, true], [A, false, true], false],
  ['both reuse, 0.0.0.0 and an address', [ANY_V4, false, true], [A, false, true], false],
  ['only the first reuses', [A, false, true], [A, false, false], true],
  ['only the second reuses', [A, false, false], [A, false, true], true],
  [':: after 0.0.0.0', [ANY_V4, false, false], [ANY_V6, false, false], true],
  ['0.0.0.0 after ::', [ANY_V6, false, false], [ANY_V4, false, false], true],
  [':: v6only after 0.0.0.0', [ANY_V4, false, false], [ANY_V6, true, false], false],
  ['0.0.0.0 after :: v6only', [ANY_V6, true, false], [ANY_V4, false, false], false],
  ['an IPv4 address after ::', [ANY_V6, false, false], [A, false, false], true],
  ['an IPv4 address after :: v6only', [ANY_V6, true, false], [A, false, false], false],
  ['an IPv6 address after :: v6only', [ANY_V6, true, false], [V6, true, false], true],
  ['an IPv6 address after 0.0.0.0', [ANY_V4, false, false], [V6, false, false], false],
  ['127.0.0.1 and ::1', [LOOPBACK_V4, false, false], [LOOPBACK_V6, false, false], false],
  [':: and :: v6only', [ANY_V6, false, false], [ANY_V6, true, false], true],
] as const)
  t.test(`Ports.bind(), ${name}`, async t => {
    const p = ports()
    t.equal(p.bind(first[0], 80, first[1], first[2]), 80)
    t.equal(p.bind(second[0], 80, second[1], second[2]), conflict ? -EADDRINUSE : 80)
    t.equal(p.bind(second[0], 81, second[1], second[2]), 81, 'another port is free')
  })

for (const [name, first, second, conflict] of [
  ['both share', [false, true], [false, true], false],
  ['only the first shares', [false, true], [false, false], true],
  ['only the second shares', [false, false], [false, true], true],
  ['one reuses, the other shares', [true, false], [false, true], true],
  ['one does both, the other shares', [true, true], [false, true], false],
  ['one does both, the other reuses', [true, true], [true, false], false],
] as const)
  t.test(`Ports.bind(), SO_REUSEPORT: ${name}`, async t => {
    const p = ports()
    t.equal(p.bind(ANY_V4, 80, false, first[0], first[1]), 80)
    t.equal(p.bind(A, 80, false, second[0], second[1]), conflict ? -EADDRINUSE : 80)
    p.drop(ANY_V4, 80, false, first[0], 'bound', first[1])
    if (!conflict) p.drop(A, 80, false, second[0], 'bound', second[1])
    t.equal(p.size, 0)
  })

t.test('Ports.bind() beside a listener fails even if both reuse', async t => {
  const p = ports()
  p.bind(A, 80, false, true)
  p.hold(A, 80, false, true, 'listening')
  t.equal(p.bind(A, 80, false, true), -EADDRINUSE)
  t.equal(p.bind(B, 80, false, true), 80)
})

t.test('Ports.bind() beside connections, as after a restart: only if both reuse', async t => {
  const p = ports()
  p.hold(A, 80, false, true, 'connection')
  t.equal(p.bind(ANY_V4, 80, false, false), -EADDRINUSE)
  t.equal(p.bind(ANY_V4, 80, false, true), 80)
  p.hold(A, 81, false, false, 'connection')
  t.equal(p.bind(ANY_V4, 81, false, true), -EADDRINUSE)
  p.drop(A, 81, false, false, 'connection')
  t.equal(p.bind(ANY_V4, 81, false, true), 81)
})

t.test('Ports.mayListen(): one listener for an address and port', async t => {
  const p = ports()
  t.ok(p.mayListen(ANY_V4, 80, false))
  p.hold(ANY_V4, 80, false, true, 'listening')
  t.notOk(p.mayListen(A, 80, false))
  t.notOk(p.mayListen(ANY_V6, 80, false))
  t.ok(p.mayListen(ANY_V6, 80, true))
  t.ok(p.mayListen(A, 81, false))
})

t.test('Ports: a port is free when its last user is gone', async t => {
  const p = ports()
  p.bind(A, 80, false, false)
  p.hold(A, 80, false, false, 'connection')
  p.hold(A, 80, false, false, 'connection')
  p.drop(A, 80, false, false, 'bound')
  t.equal(p.bind(A, 80, false, false), -EADDRINUSE)
  p.drop(A, 80, false, false, 'connection')
  t.equal(p.bind(A, 80, false, false), -EADDRINUSE)
  p.drop(A, 80, false, false, 'connection')
  t.equal(p.size, 0)
  t.equal(p.bind(A, 80, false, false), 80)
})

t.test('Ports.mayListen(): beside a listener only if both share', async t => {
  const p = ports()
  p.hold(A, 80, false, false, 'listening', true)
  t.equal(p.mayListen(A, 80, false), false)
  t.equal(p.mayListen(A, 80, false, true), true)
  p.hold(A, 80, false, false, 'listening')
  t.equal(p.mayListen(A, 80, false, true), false)
})

t.test('Ports.drop() of what is not held', async t => {
  t.throws(() => ports().drop(A, 80, false, false, 'bound'), { message: /Cannot drop port 80/ })
})

t.test('Ports.bind(0): random, in the range, free', async t => {
  const p = ports(2)
  const got = new Set<number>()
  for (let i = 0; i < 100; i++) got.add(p.bind(A, 0, false, false))
  t.equal(got.size, 100)
  for (const port of got) t.ok(port >= EPHEMERAL_FIRST && port <= EPHEMERAL_LAST)
  const sorted = [...got].sort((a, b) => a - b)
  t.ok(sorted.at(-1)! - sorted[0] > 10_000, 'not one after the other')
})

t.test('Ports.bind(0) takes the last free port, then fails', async t => {
  const p = ports(3)
  for (let port = EPHEMERAL_FIRST; port <= EPHEMERAL_LAST; port++)
    if (port !== 40_000) p.hold(B, port, false, true, 'connection')
  t.equal(p.bind(A, 0, false, false), 40_000)
  t.equal(p.bind(A, 0, false, false), -EADDRINUSE)
})

t.test(
  'Ports apart: bind(0) prefers odd ports, ephemeral() even ones, and each takes the others',
  async t => {
    const p = new Ports(() => 1, true)
    const bound: number[] = []
    const half = (EPHEMERAL_LAST - EPHEMERAL_FIRST + 1) / 2
    for (let i = 0; i < half; i++) bound.push(p.bind(A, 0, false, false))
    t.ok(bound.every(port => port % 2 === 1))
    t.equal(p.ephemeral(() => true) % 2, 0)
    t.equal(p.bind(A, 0, false, false) % 2, 0)
    t.equal(
      p.ephemeral(port => port % 2 === 1),
      0,
      'all odd ones are bound',
    )
  },
)

t.test('Ports.ephemeral() shares ports between connections, not with sockets', async t => {
  const p = ports(4)
  for (let port = EPHEMERAL_FIRST; port <= EPHEMERAL_LAST; port++)
    p.hold(A, port, false, false, port === 50_000 || port === 50_001 ? 'connection' : 'bound')
  const asked: number[] = []
  const port = p.ephemeral(n => {
    asked.push(n)
    return n === 50_001
  })
  t.equal(port, 50_001)
  t.ok(asked.every(n => n === 50_000 || n === 50_001))
  t.equal(
    p.ephemeral(() => false),
    0,
  )
})
