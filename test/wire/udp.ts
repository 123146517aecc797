import t from 'tap'
import { finish, pseudoSumV4, sumBytes } from '../../src/wire/checksum.ts'
import * as udp from '../../src/wire/udp.ts'
import { ip } from '../helpers/net.ts'

/** A DNS query, 172.20.2.253:57692 to 8.8.8.8:53, "google.com" A. */
const QUERY = Uint8Array.from(
  Buffer.from(
    'e15c0035002442a8' + 'fe8b010000010000000000000667' + '6f6f676c6503636f6d0000010001',
    'hex',
  ),
)

t.test('fields of a query', async t => {
  t.equal(udp.srcPort(QUERY, 0), 57692)
  t.equal(udp.dstPort(QUERY, 0), 53)
  t.equal(udp.udpLength(QUERY, 0), 36)
  t.equal(udp.udpChecksum(QUERY, 0), 0x42a8)
})

t.test('isWhole() at every length', async t => {
  for (let n = 0; n <= QUERY.length + 4; n++) t.equal(udp.isWhole(QUERY, 0, n), n >= 36, `${n}`)
})

for (const [said, want] of [
  [0, false],
  [7, false],
  [8, true],
  [20, true],
  [36, true],
  [37, false],
  [65535, false],
] as const)
  t.test(`isWhole(), a length of ${said} in a payload of 36`, async t => {
    const bytes = QUERY.slice()
    bytes[4] = said >> 8
    bytes[5] = said
    t.equal(udp.isWhole(bytes, 0, 36), want)
  })

t.test('writeHeader() is read back, at an offset, and its checksum is 0', async t => {
  const bytes = new Uint8Array(12).fill(0xaa)
  udp.writeHeader(bytes, 3, 65535, 1, 65527)
  t.same([...bytes.subarray(3, 11)], [0xff, 0xff, 0, 1, 0xff, 0xf7, 0, 0])
  t.equal(bytes[2], 0xaa)
  t.equal(bytes[11], 0xaa)
})

t.test('the checksum covers pseudo-header, header and text, odd lengths too', async t => {
  const sum = (bytes: Uint8Array) =>
    finish(
      sumBytes(
        bytes,
        0,
        bytes.length,
        pseudoSumV4(ip('10.0.0.1'), ip('10.0.0.2'), 17) + bytes.length,
      ),
    )
  const bytes = new Uint8Array(11)
  udp.writeHeader(bytes, 0, 1000, 2000, 11)
  bytes.set([1, 2, 3], 8)
  // 0a00 0001 + 0a00 0002 + 0011 + 000b + 03e8 + 07d0 + 000b + 0102 + 0300 = 23e4
  t.equal(sum(bytes), 0xdc1b)
  bytes.set([0xdc, 0x1b], 6)
  t.equal(sum(bytes), 0)
})
