import t from 'tap'
import {
  CHANGE_TO_EXCLUDE,
  type GroupRecord,
  MODE_IS_INCLUDE,
} from '../../src/wire/group-record.ts'
import { MLD_DONE, MLD_QUERY, MLD_REPORT } from '../../src/wire/icmpv6.ts'
import { emitIpv6 } from '../../src/wire/ipv6.ts'
import { Ipv6Chain } from '../../src/wire/ipv6-extensions.ts'
import {
  MLD_RECORD_LEN,
  emitMldQuery,
  emitMldReport,
  emitMldV1,
  emitRouterAlert,
  hasRouterAlert,
  parseMldQuery,
  parseMldReport,
} from '../../src/wire/mldv2.ts'
import { addr } from '../helpers/net.ts'
import { random } from '../helpers/random.ts'

const GROUP = addr('ff05::1234')
const SOURCES = [addr('2001:db8::1'), addr('2001:db8::2')]
const memory = () => new Uint8Array(200).fill(0xa5)

t.test('emitMldQuery() and parseMldQuery()', async t => {
  const bytes = memory()
  const length = emitMldQuery(bytes, 1, 1000, GROUP, SOURCES, 2, 125)
  t.equal(length, 28 + 32)
  t.same(parseMldQuery(bytes, 1, length), {
    version: 2,
    maxResponseDelay: 1000,
    group: GROUP,
    sources: SOURCES,
    robustness: 2,
    interval: 125,
  })
  for (let n = 0; n < length; n++)
    if (n !== 24) t.equal(parseMldQuery(bytes.slice(0, 1 + n), 1, n), undefined, `${n} bytes`)
})

t.test('emitMldV1() and parseMldQuery(): 24 bytes are of version 1', async t => {
  const bytes = memory()
  t.equal(emitMldV1(bytes, 1, MLD_QUERY, 0xffff, addr('::')), 24)
  t.match(parseMldQuery(bytes, 1, 24), { version: 1, maxResponseDelay: 65535, group: addr('::') })
  for (const type of [MLD_REPORT, MLD_DONE]) {
    emitMldV1(bytes, 1, type, 0, GROUP)
    t.equal(bytes[1], type)
  }
})

for (const [code, want] of [
  [0, 0],
  [32767, 32767],
  [0x8000, 32768],
  [0x8001, 32776],
  [0xffff, 0x1fff << 10],
])
  t.test(`parseMldQuery(), maximum response code ${code} is ${want} ms`, async t => {
    const bytes = memory()
    const length = emitMldQuery(bytes, 0, code, GROUP, [], 0, 0)
    t.equal(parseMldQuery(bytes, 0, length)!.maxResponseDelay, want)
  })

for (const [code, want] of [
  [0, 0],
  [127, 127],
  [128, 128],
  [0xff, 31_744],
])
  t.test(`parseMldQuery(), interval code ${code} is ${want} s`, async t => {
    const bytes = memory()
    const length = emitMldQuery(bytes, 0, 1, GROUP, [], 0, code)
    t.equal(parseMldQuery(bytes, 0, length)!.interval, want)
  })

t.test('parseMldQuery() refuses one for no group, and a general one with sources', async t => {
  const bytes = memory()
  let length = emitMldQuery(bytes, 0, 1000, addr('2001:db8::1'), [], 2, 125)
  t.equal(parseMldQuery(bytes, 0, length), undefined)
  length = emitMldQuery(bytes, 0, 1000, addr('::'), SOURCES, 2, 125)
  t.equal(parseMldQuery(bytes, 0, length), undefined)
})

t.test('emitMldReport() and parseMldReport()', async t => {
  const bytes = memory()
  const records: GroupRecord[] = [
    { type: CHANGE_TO_EXCLUDE, group: GROUP, sources: [] },
    { type: MODE_IS_INCLUDE, group: addr('ff02::2'), sources: SOURCES },
  ]
  const length = emitMldReport(bytes, 1, records)
  t.equal(length, 8 + 2 * MLD_RECORD_LEN + 2 * 16)
  t.same(parseMldReport(bytes, 1, length), records)
  for (let n = 0; n < length; n++)
    t.equal(parseMldReport(bytes.slice(0, 1 + n), 1, n), undefined, `${n} bytes`)
})

t.test('parseMldReport() skips auxiliary data', async t => {
  const bytes = new Uint8Array(8 + 24)
  emitMldReport(bytes, 0, [{ type: CHANGE_TO_EXCLUDE, group: GROUP, sources: [] }])
  bytes[9] = 1
  t.equal(parseMldReport(bytes, 0, 32)!.length, 1)
  t.equal(parseMldReport(bytes, 0, 31), undefined)
})

t.test('parseMldReport() and parseMldQuery() of random bytes, seed 15', async () => {
  const next = random(15)
  for (let round = 0; round < 5000; round++) {
    const bytes = Uint8Array.from({ length: 60 }, () => next() % 5)
    parseMldReport(bytes, 0, next() % 61)
    parseMldQuery(bytes, 0, next() % 61)
  }
})

t.test(
  'emitRouterAlert() writes a header that can be walked, and hasRouterAlert() finds',
  async t => {
    const bytes = new Uint8Array(1 + 48 + 8)
    emitIpv6(bytes, 1, 16, 0, 1, addr('fe80::1'), addr('ff02::16'))
    emitRouterAlert(bytes, 41)
    const chain = new Ipv6Chain()
    t.equal(chain.walk(bytes, 1, 56), 'upper')
    t.same([chain.protocol, chain.offset], [58, 48])
    t.ok(hasRouterAlert(bytes, 1))
    for (const [what, at, value] of [
      ['another next header', 7, 60],
      ['another option', 43, 6],
      ['for RSVP, not MLD', 46, 1],
    ] as const) {
      const other = bytes.slice()
      other[at] = value
      t.notOk(hasRouterAlert(other, 1), what)
    }
  },
)
