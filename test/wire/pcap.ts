import t from 'tap'

import { PCAP_RECORD, pcapHeader, writePcapRecord } from '../../src/wire/pcap.ts'

t.test('pcapHeader(): little-endian, nanoseconds, version 2.4, Ethernet', async t => {
  const want = '4d3cb2a1' + '0200' + '0400' + '00000000' + '00000000' + '00000400' + '01000000'
  t.equal(Buffer.from(pcapHeader(262_144)).toString('hex'), want)
})

t.test('writePcapRecord(): seconds, nanoseconds, captured and whole length', async t => {
  const bytes = Buffer.alloc(4 + PCAP_RECORD)
  writePcapRecord(new DataView(bytes.buffer, bytes.byteOffset), 4, 1_700_000_000_123.5, 96, 1514)
  const fields = [0, 4, 8, 12].map(i => bytes.readUInt32LE(4 + i))
  t.same(fields, [1_700_000_000, 123_500_000, 96, 1514])
})
