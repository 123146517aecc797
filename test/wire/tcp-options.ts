import t from 'tap'
import * as options from '../../src/wire/tcp-options.ts'
import { random } from '../helpers/clock.ts'

const parse = (bytes: number[], syn = true) => {
  const o = new options.TcpOptions()
  const ok = o.parse(Uint8Array.from(bytes), 0, bytes.length, syn)
  return {
    ok,
    mss: o.mss,
    shift: o.windowShift,
    sackPermitted: o.sackPermitted,
    ts: o.timestamps ? [o.tsVal, o.tsEcr] : undefined,
    sacks: [...o.sacks.subarray(0, 2 * o.sackCount)],
  }
}
const nothing = { ok: true, mss: 0, shift: -1, sackPermitted: false, ts: undefined, sacks: [] }
const TS = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2]

for (const [name, bytes, syn, want] of [
  ['none', [], true, {}],
  ['MSS', [2, 4, 5, 0xb4], true, { mss: 1460 }],
  ['MSS without SYN', [2, 4, 5, 0xb4], false, {}],
  ['MSS of a wrong length', [2, 3, 5, 1], true, {}],
  ['two MSS: the first counts', [2, 4, 0, 100, 2, 4, 0, 200], true, { mss: 100 }],
  ['window shift', [3, 3, 7], true, { shift: 7 }],
  ['window shift 14', [3, 3, 14], true, { shift: 14 }],
  ['window shift 15 is 14', [3, 3, 15], true, { shift: 14 }],
  ['window shift 255 is 14', [3, 3, 255], true, { shift: 14 }],
  ['window shift without SYN', [3, 3, 7], false, {}],
  ['SACK permitted', [4, 2], true, { sackPermitted: true }],
  ['SACK permitted without SYN', [4, 2], false, {}],
  ['SACK permitted of length 3', [4, 3, 0], true, {}],
  ['timestamps', TS, false, { ts: [1, 2] }],
  ['timestamps the usual way', [1, 1, ...TS], false, { ts: [1, 2] }],
  ['timestamps of length 9', [8, 9, 0, 0, 0, 1, 0, 0, 0], true, {}],
  [
    'two timestamps: the first counts',
    [...TS, 8, 10, 0, 0, 0, 9, 0, 0, 0, 9],
    false,
    { ts: [1, 2] },
  ],
  ['SACK, one block', [5, 10, 0, 0, 0, 1, 0, 0, 0, 2], false, { sacks: [1, 2] }],
  ['SACK above 2^31', [5, 10, 255, 255, 255, 255, 0, 0, 0, 2], false, { sacks: [-1, 2] }],
  ['SACK with SYN', [5, 10, 0, 0, 0, 1, 0, 0, 0, 2], true, {}],
  ['SACK of half a block', [5, 6, 0, 0, 0, 1], false, {}],
  ['SACK of no block', [5, 2], false, {}],
  ['SACK of five blocks', [5, 42, ...new Array<number>(40).fill(1)], false, {}],
  ['unknown kinds are skipped', [253, 4, 1, 2, 254, 2, 2, 4, 5, 0xb4], true, { mss: 1460 }],
  ['nothing after the end of options', [0, 2, 4, 5, 0xb4], true, {}],
  ['40 NOPs', new Array<number>(40).fill(1), true, {}],
  ['a kind without length', [1, 1, 1, 3], true, { ok: false }],
  ['length 0', [3, 0, 7], true, { ok: false }],
  ['length 1', [3, 1, 7], true, { ok: false }],
  ['length beyond the end', [3, 4, 7], true, { ok: false }],
  ['what came before a lie counts', [2, 4, 5, 0xb4, 9, 99], true, { ok: false, mss: 1460 }],
] as const)
  t.test(`TcpOptions.parse(), ${name}`, async t => {
    t.same(parse([...bytes], syn), { ...nothing, ...want })
  })

t.test('TcpOptions.parse() of a SYN, cut short everywhere', async t => {
  const whole = [2, 4, 5, 0xb4, 4, 2, ...TS, 1, 3, 3, 7]
  const ends = new Set([0, 4, 6, 16, 17, 20])
  for (let n = 0; n <= whole.length; n++)
    t.equal(parse(whole.slice(0, n)).ok, ends.has(n), `${n} bytes`)
})

t.test('TcpOptions.parse() forgets the segment before', async t => {
  const o = new options.TcpOptions()
  o.parse(Uint8Array.from([2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 1]), 0, 10, true)
  o.parse(Uint8Array.from([5, 10, 0, 0, 0, 1, 0, 0, 0, 2]), 0, 10, false)
  t.same([o.mss, o.sackPermitted, o.windowShift, o.sackCount], [0, false, -1, 1])
  o.parse(Uint8Array.from([1, 1, ...TS]), 0, 12, false)
  t.same([o.timestamps, o.sackCount], [true, 0])
  o.parse(new Uint8Array(0), 0, 0, false)
  t.same([o.timestamps, o.sackCount], [false, 0])
})

t.test('what is written is read back', async t => {
  const b = new Uint8Array(40)
  let at = options.writeMss(b, 0, 1460)
  at = options.writeSackPermitted(b, at)
  at = options.writeTimestamps(b, at, -5, 6)
  at = options.writeWindowShift(b, at, 9)
  t.equal(at, 24)
  t.same(parse([...b.subarray(0, at)]), {
    ok: true,
    mss: 1460,
    shift: 9,
    sackPermitted: true,
    ts: [-5, 6],
    sacks: [],
  })
  at = options.writeSackHead(b, 0, 2)
  t.equal(at + 16, options.sackOptionLength(2))
  t.equal(options.sackOptionLength(0), 0)
})

t.test(
  'TcpOptions.parse(), 20,000 options of noise, seed 4: ends, and never lies about SACK',
  async t => {
    const next = random(4)
    const o = new options.TcpOptions()
    for (let i = 0; i < 20_000; i++) {
      const n = Math.floor(next() * 41)
      const b = Uint8Array.from({ length: n }, () => next() * (next() < 0.5 ? 12 : 256))
      o.parse(b, 0, n, next() < 0.5)
      if (o.sackCount > 4 || o.windowShift > 14) t.fail(`${[...b].join()}`)
    }
    t.pass()
  },
)

for (const [name, bytes, syn, want] of [
  ['asked for', [34, 2], true, []],
  ['of 4 bytes', [34, 6, 1, 2, 3, 4], true, [1, 2, 3, 4]],
  ['of 16 bytes', [34, 18, ...new Array<number>(16).fill(7)], true, new Array(16).fill(7)],
  ['of 2 bytes', [34, 4, 1, 2], true, undefined],
  ['of 5 bytes', [34, 7, 1, 2, 3, 4, 5], true, undefined],
  ['of 18 bytes', [34, 20, ...new Array<number>(18).fill(7)], true, undefined],
  ['without SYN', [34, 2], false, undefined],
  ['twice: the first counts', [34, 2, 34, 6, 1, 2, 3, 4], true, []],
  ['not there, after one that was', [1], true, undefined],
] as const)
  t.test(`TcpOptions.parse(), a Fast Open cookie ${name}`, async t => {
    const o = new options.TcpOptions()
    o.parse(Uint8Array.of(34, 6, 9, 9, 9, 9), 0, 6, true)
    o.parse(Uint8Array.from(bytes), 0, bytes.length, syn)
    t.same(o.fastOpen < 0 ? undefined : [...o.cookie.subarray(0, o.fastOpen)], want)
  })

t.test('writeCookie() ends on a word, writeTimestamps() has room for SACK permitted', async t => {
  for (const n of [0, 4, 6, 8, 10, 16]) {
    const b = new Uint8Array(40).fill(255)
    const cookie = new Uint8Array(n).fill(3)
    const end = options.writeCookie(b, options.writeTimestamps(b, 0, 5, 6, true), cookie)
    t.equal(end, 12 + options.cookieOptionLength(cookie))
    t.equal(end % 4, 0)
    const o = new options.TcpOptions()
    t.ok(o.parse(b, 0, end, true))
    t.match(o, { sackPermitted: true, timestamps: true, tsVal: 5, tsEcr: 6, fastOpen: n })
  }
})
