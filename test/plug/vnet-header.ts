import t from 'tap'

import { VNET_HEADER, VnetHeader, writeVnetHeader } from '../../src/plug/vnet-header.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../../src/stack/link/sink.ts'
import { random } from '../helpers/random.ts'
import { offloadFrame, type FrameShape } from '../helpers/wire-frame.ts'

const NEEDS_CSUM = 1
const DATA_VALID = 2
const [NONE, TCPV4, UDP, TCPV6, UDP_L4] = [0, 1, 3, 4, 5]
const ECN = 0x80

interface Fields {
  flags?: number
  type?: number
  headerLength?: number
  size?: number
  start?: number
  offset?: number
}

function header({
  flags = 0,
  type = 0,
  headerLength = 0,
  size = 0,
  start = 0,
  offset = 0,
}: Fields) {
  const bytes = Buffer.alloc(VNET_HEADER + 3)
  bytes[3] = flags
  bytes[4] = type
  bytes.writeUInt16LE(headerLength, 5)
  bytes.writeUInt16LE(size, 7)
  bytes.writeUInt16LE(start, 9)
  bytes.writeUInt16LE(offset, 11)
  return bytes
}

for (const [name, fields, want] of [
  ['nothing', {}, { checksum: CHECKSUM_UNKNOWN, gsoSize: 0, checksumStart: 0, checksumOffset: 0 }],
  ['checked by the card', { flags: DATA_VALID }, { checksum: CHECKSUM_VALID, checksumStart: 0 }],
  [
    'a checksum undone',
    { flags: NEEDS_CSUM, start: 34, offset: 16 },
    { checksum: CHECKSUM_VALID, gsoSize: 0, checksumStart: 34, checksumOffset: 16 },
  ],
  [
    'a row of segments',
    { flags: NEEDS_CSUM, type: TCPV4, size: 1448, start: 34, offset: 16 },
    { gsoSize: 1448 },
  ],
  [
    'with CWR, IPv6',
    { flags: NEEDS_CSUM, type: TCPV6 | ECN, size: 1428, start: 54, offset: 16 },
    { gsoSize: 1428 },
  ],
  [
    'a row of datagrams',
    { flags: NEEDS_CSUM, type: UDP_L4, size: 1000, start: 34, offset: 6 },
    { gsoSize: 1000 },
  ],
  [
    'a header length that lies is not looked at',
    { flags: NEEDS_CSUM, type: TCPV4, size: 9, start: 34, offset: 16, headerLength: 9999 },
    { gsoSize: 9 },
  ],
] as const)
  // prettier-ignore
  t.test(`VnetHeader.parse(), ${name}`, async t => {
    const parsed = new VnetHeader()
    t.ok(parsed.parse(header(fields), 3, 2000))
    t.match(parsed, want)
  })

for (const [name, fields, length] of [
  ['shorter than Ethernet', {}, 13],
  ['segments of nothing', { flags: NEEDS_CSUM, type: TCPV4, size: 0, start: 34, offset: 16 }, 2000],
  ['segments with checksums done', { type: TCPV4, size: 1448 }, 2000],
  ['IP fragments', { flags: NEEDS_CSUM, type: UDP, size: 1448, start: 34, offset: 6 }, 2000],
  ['an unknown kind', { flags: NEEDS_CSUM, type: 77, size: 1448, start: 34, offset: 16 }, 2000],
  [
    'TCP by UDP’s checksum',
    { flags: NEEDS_CSUM, type: TCPV4, size: 1448, start: 34, offset: 6 },
    2000,
  ],
  [
    'UDP by TCP’s checksum',
    { flags: NEEDS_CSUM, type: UDP_L4, size: 1448, start: 34, offset: 16 },
    2000,
  ],
  [
    'a TCP header past the end',
    { flags: NEEDS_CSUM, type: TCPV4, size: 1, start: 34, offset: 16 },
    53,
  ],
  ['a checksum past the end', { flags: NEEDS_CSUM, start: 34, offset: 16 }, 51],
  ['a checksum far past the end', { flags: NEEDS_CSUM, start: 0xffff, offset: 0xffff }, 2000],
  ['a checksum in the Ethernet header', { flags: NEEDS_CSUM, start: 13, offset: 0 }, 2000],
] as const)
  // prettier-ignore
  t.test(`VnetHeader.parse() refuses ${name}`, async t => {
    t.notOk(new VnetHeader().parse(header(fields), 3, length))
  })

for (const [name, shape, size, type] of [
  ['IPv4', { text: 3000 }, 1448, TCPV4],
  ['IPv6', { v6: true, text: 3000 }, 1428, TCPV6],
  ['IPv6 behind a VLAN tag', { v6: true, text: 3000, tags: 1 }, 1428, TCPV6],
  ['CWR', { text: 3000, flags: 0x90 }, 1448, TCPV4 | ECN],
  ['UDP', { text: 3000, udp: true }, 1000, UDP_L4],
  ['no longer than a segment', { text: 1448 }, 1448, NONE],
  ['no row', { text: 100 }, 0, NONE],
] as [string, FrameShape, number, number][])
  t.test(`writeVnetHeader(), ${name}: what parse() reads`, async t => {
    const frame = offloadFrame(shape)
    const bytes = Buffer.alloc(20 + frame.length, 0xff)
    bytes.set(frame.bytes, 20)
    const { length, checksumStart, checksumOffset } = frame
    writeVnetHeader(bytes, 5, 20, length, size, checksumStart, checksumOffset)
    t.equal(bytes[6], type)
    t.equal(bytes.readUInt16LE(7), type === NONE ? 0 : frame.header)
    const parsed = new VnetHeader()
    t.ok(parsed.parse(bytes, 5, length))
    t.match(parsed, { gsoSize: type === NONE ? 0 : size, checksumStart, checksumOffset })
  })

t.test('writeVnetHeader() of a finished frame is all zeros', async t => {
  const bytes = Buffer.alloc(100, 0xff)
  writeVnetHeader(bytes, 2, 12, 60, 0, 0, 0)
  t.same([...bytes.subarray(2, 12)], Array(10).fill(0))
  t.equal(bytes[1] & bytes[12], 0xff)
})

t.test('seed 4: of a random header that passes, checksum and segments lie within', async t => {
  const next = random(4)
  const parsed = new VnetHeader()
  const bytes = new Uint8Array(VNET_HEADER)
  let passed = 0
  for (let i = 0; i < 200_000; i++) {
    for (let k = 0; k < VNET_HEADER; k++) bytes[k] = next() % 4 === 0 ? next() : next() % 40
    const length = next() % 200
    if (!parsed.parse(bytes, 0, length)) continue
    passed++
    const { checksumStart, checksumOffset, gsoSize } = parsed
    if (checksumStart + checksumOffset + 2 > length) t.fail('checksum outside')
    if (gsoSize > 0 && checksumStart === 0) t.fail('a row without checksum')
  }
  t.ok(passed > 1000, `${passed}`)
})
