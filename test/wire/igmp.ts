import t from 'tap'
import { checksum } from '../../src/wire/checksum.ts'
import { writeU16 } from '../../src/base/bytes.ts'
import { ALLOW_NEW_SOURCES, CHANGE_TO_EXCLUDE } from '../../src/wire/group-record.ts'
import * as igmp from '../../src/wire/igmp.ts'
import { addr, ip } from '../helpers/net.ts'

const { IgmpMessage } = igmp

/** A message of these bytes, summed, at an odd place. */
function message(...bytes: number[]): Uint8Array {
  const b = Uint8Array.of(0xee, ...bytes)
  writeU16(b, 3, 0)
  writeU16(b, 3, checksum(b, 1, b.length - 1))
  return b
}
const parse = (b: Uint8Array, length = b.length - 1) => IgmpMessage.parse(b, 1, length)

for (const [name, bytes, version, maxResponse] of [
  ['version 1', [0x11, 0, 0, 0, 0, 0, 0, 0], 1, 10_000],
  ['version 2', [0x11, 100, 0, 0, 0, 0, 0, 0], 2, 10_000],
  ['version 2, 25.5 s', [0x11, 255, 0, 0, 0, 0, 0, 0], 2, 25_500],
  ['version 3', [0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0], 3, 10_000],
  ['version 3, at once', [0x11, 0, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0], 3, 0],
  ['version 3, 12.7 s', [0x11, 127, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0], 3, 12_700],
  ['version 3, exponent 0', [0x11, 0x80, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0], 3, 12_800],
  ['version 3, the longest', [0x11, 0xff, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0], 3, 3_174_400],
] as const)
  t.test(`IgmpMessage, a query of ${name}`, async t => {
    const query = parse(message(...bytes))!
    t.equal(query.type, igmp.IGMP_QUERY)
    t.equal(query.version, version)
    t.equal(query.maxResponse, maxResponse)
    t.equal(query.sourceCount, 0)
    t.equal(query.group, 0)
  })

const SOURCES = message(0x11, 10, 0, 0, 239, 1, 2, 3, 0x0a, 0x8f, 0, 2, 10, 0, 0, 1, 10, 0, 0, 2)

t.test('IgmpMessage, a query for two sources of a group', async t => {
  const query = parse(SOURCES)!
  t.equal(query.group, ip('239.1.2.3'))
  t.equal(query.robustness, 2)
  t.equal(query.interval, 248)
  t.equal(query.sourceCount, 2)
  t.equal(query.source(0), ip('10.0.0.1'))
  t.equal(query.source(1), ip('10.0.0.2'))
})

t.test('IgmpMessage.parse() refuses every truncation', async t => {
  for (let length = 0; length < SOURCES.length - 1; length++) {
    t.equal(parse(SOURCES, length), undefined, `${length} bytes, sum wrong`)
    const cut = message(...SOURCES.subarray(1, 1 + length), ...(length < 4 ? [0, 0, 0] : []))
    const want = length === 8
    t.equal(parse(cut, length) !== undefined, want, `${length} bytes, sum right`)
  }
})

t.test(
  'IgmpMessage.parse() refuses more sources than there are, takes what lies behind',
  async t => {
    const query = [0x11, 10, 0, 0, 239, 1, 2, 3, 2, 125]
    for (const [count, words, ok] of [
      [1, 0, false],
      [0xffff, 3, false],
      [3, 2, false],
      [2, 2, true],
      [1, 2, true],
    ] as const) {
      const b = message(...query, count >> 8, count & 255, ...new Array<number>(4 * words).fill(9))
      t.equal(parse(b) !== undefined, ok, `${count} in ${words}`)
    }
  },
)

t.test('IgmpMessage.parse() refuses a wrong checksum', async t => {
  const b = SOURCES.slice()
  b[12] ^= 4
  t.equal(parse(b), undefined)
})

t.test('emitIgmp() is read back', async t => {
  const b = new Uint8Array(10).fill(0xaa)
  igmp.emitIgmp(b, 1, igmp.IGMP_V2_LEAVE, ip('239.1.2.3'))
  const leave = IgmpMessage.parse(b, 1, 8)!
  t.equal(leave.type, igmp.IGMP_V2_LEAVE)
  t.equal(leave.group, ip('239.1.2.3'))
  t.same([b[0], b[9]], [0xaa, 0xaa])
})

t.test('emitV3Report() writes the report of RFC 3376 section 4.2', async t => {
  const b = new Uint8Array(28)
  const length = igmp.emitV3Report(b, 0, [
    { type: CHANGE_TO_EXCLUDE, group: addr('239.1.2.3'), sources: [] },
    { type: ALLOW_NEW_SOURCES, group: addr('232.0.0.1'), sources: [addr('10.0.0.9')] },
  ])
  t.equal(length, 28)
  t.equal(checksum(b, 0, 28), 0)
  b[2] = b[3] = 0
  t.equal(
    Buffer.from(b).toString('hex'),
    '22000000' + '00000002' + '04000000' + 'ef010203' + '05000001' + 'e8000001' + '0a000009',
  )
})
