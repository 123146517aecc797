import t from 'tap'
import { MIN_PMTU_V4, MIN_PMTU_V6, PathMtus } from '../../../src/stack/net/path-mtu.ts'
import { Address } from '../../../src/wire/address.ts'
import { addr } from '../../helpers/net.ts'

const A = addr('10.0.0.9')
const B = addr('2001:db8::9')
const TEN_MINUTES = 600_000

for (const [name, floor, told, want] of [
  ['what it is told', MIN_PMTU_V4, [1400], 1400],
  ['the smaller of two', MIN_PMTU_V4, [1400, 1300], 1300],
  ['the smaller of two, however late the other', MIN_PMTU_V4, [1300, 1400], 1300],
  ['no less than 552', MIN_PMTU_V4, [68], 552],
  ['no less than 1280 for IPv6', MIN_PMTU_V6, [0], 1280],
] as const)
  t.test(`PathMtus.learn() keeps ${name}`, async t => {
    const mtus = new PathMtus(floor)
    for (const mtu of told) mtus.learn(A, mtu, 0)
    t.equal(mtus.find(A).mtu, want)
    t.equal(mtus.find(B).mtu, Infinity, 'of others nothing is known')
  })

t.test('PathMtus.run() forgets after ten minutes, and tells who holds it', async t => {
  const mtus = new PathMtus(MIN_PMTU_V6)
  mtus.learn(A, 1400, 1000)
  mtus.learn(B, 1300, 2000)
  const held = mtus.find(A)
  t.equal(mtus.next, 1000 + TEN_MINUTES)
  mtus.run(999 + TEN_MINUTES)
  t.equal(held.mtu, 1400)
  mtus.run(1000 + TEN_MINUTES)
  t.equal(held.mtu, Infinity)
  t.equal(mtus.find(B).mtu, 1300)
  t.equal(mtus.next, 2000 + TEN_MINUTES)
})

t.test('PathMtus.learn() of the same again is believed for another ten minutes', async t => {
  const mtus = new PathMtus(MIN_PMTU_V4)
  mtus.learn(A, 1400, 0)
  mtus.learn(B, 1400, 5)
  mtus.learn(A, 1400, 10)
  mtus.run(TEN_MINUTES + 5)
  t.equal(mtus.find(A).mtu, 1400)
  t.equal(mtus.find(B).mtu, Infinity)
})

t.test(
  'PathMtus.generation changes with what find() answers, not with what it ignores',
  async t => {
    const mtus = new PathMtus(MIN_PMTU_V4)
    mtus.learn(A, 1300, 0)
    const { generation } = mtus
    mtus.learn(A, 1400, 0)
    t.equal(mtus.generation, generation)
    mtus.learn(A, 1200, 0)
    t.not(mtus.generation, generation)
  },
)

t.test('PathMtus is bounded: the oldest goes, and its holder knows', async t => {
  const mtus = new PathMtus(MIN_PMTU_V4)
  mtus.learn(Address.v4(0), 1400, 0)
  const held = mtus.find(Address.v4(0))
  for (let i = 1; i < 5000; i++) mtus.learn(Address.v4(i), 1400, i)
  t.equal(mtus.size, 1024)
  t.equal(held.mtu, Infinity)
  t.equal(mtus.find(Address.v4(4999)).mtu, 1400)
})
