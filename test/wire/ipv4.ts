import t from 'tap'
import { checksum } from '../../src/wire/checksum.ts'
import {
  IPV4_DF,
  IPV4_HEADER_LEN,
  IPV4_MF,
  Ipv4Packet,
  emitIpv4,
  ipv4Options,
} from '../../src/wire/ipv4.ts'
import { ip } from '../helpers/net.ts'

/** A header as Wikipedia's checksum article and many a capture have it. */
const CAPTURED = Uint8Array.from(Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex'))

t.test('Ipv4Packet.parse() of a captured header', async t => {
  const packet = Ipv4Packet.parse(CAPTURED, 0, CAPTURED.length)!
  t.match(
    {
      headerLength: packet.headerLength,
      totalLength: packet.totalLength,
      id: packet.id,
      df: packet.df,
      mf: packet.mf,
      fragmentOffset: packet.fragmentOffset,
      ttl: packet.ttl,
      protocol: packet.protocol,
      src: packet.src,
      dst: packet.dst,
    },
    {
      headerLength: 20,
      totalLength: 115,
      id: 0,
      df: true,
      mf: false,
      fragmentOffset: 0,
      ttl: 64,
      protocol: 17,
      src: ip('192.168.0.1'),
      dst: ip('192.168.0.199'),
    },
  )
})

t.test('emitIpv4() writes the same bytes, checksum and all', async t => {
  const bytes = new Uint8Array(22)
  emitIpv4(bytes, 1, 115, 0, IPV4_DF, 64, 17, ip('192.168.0.1'), ip('192.168.0.199'))
  t.same(bytes.subarray(1, 21), CAPTURED)
})

t.test('emitIpv4() sums right at the extremes', async t => {
  const bytes = new Uint8Array(20)
  for (const [total, id, fragment, src, dst] of [
    [65535, 0xffff, 0xffff, -1, -1],
    [20, 0, 0, 0, 0],
    [1500, 0x1234, IPV4_MF | 185, ip('240.0.0.1'), ip('10.255.255.255')],
  ]) {
    emitIpv4(bytes, 0, total, id, fragment, 255, 255, src, dst)
    t.equal(checksum(bytes, 0, 20), 0)
  }
  const packet = Ipv4Packet.parse(bytes, 0, 20)!
  t.ok(packet.mf)
  t.equal(packet.fragmentOffset, 1480)
})

t.test(
  'Ipv4Packet.parse() refuses every truncation of a header, with and without options',
  async t => {
    for (const headerLength of [20, 24, 60]) {
      const bytes = new Uint8Array(60)
      bytes.set(CAPTURED)
      bytes[0] = 0x40 | (headerLength >> 2)
      for (let length = 0; length < headerLength; length++)
        t.equal(Ipv4Packet.parse(bytes, 0, length), undefined, `${length} of ${headerLength} bytes`)
      t.ok(Ipv4Packet.parse(bytes, 0, headerLength), `${headerLength} bytes`)
    }
  },
)

for (const [what, at, value] of [
  ['version 6', 0, 0x65],
  ['ihl 4', 0, 0x44],
  ['ihl 0', 0, 0x40],
  ['a total length below ihl', 3, 19],
] as const)
  t.test(`Ipv4Packet.parse() refuses ${what}`, async t => {
    const bytes = CAPTURED.slice()
    bytes[2] = 0
    bytes[at] = value
    t.equal(Ipv4Packet.parse(bytes, 0, 20), undefined)
  })

for (const [what, options, want] of [
  ['forty NOPs', new Array<number>(40).fill(1), 'ok'],
  ['end of list, then junk', [0, 7, 255, 255], 'ok'],
  ['record route', [7, 7, 4, 0, 0, 0, 0, 0], 'ok'],
  ['an unknown option of two bytes', [200, 2, 1, 1], 'ok'],
  ['length 0', [7, 0, 0, 0], 'bad'],
  ['length 1', [7, 1, 0, 0], 'bad'],
  ['a length past the header', [7, 5, 0, 0], 'bad'],
  ['a kind without length at the very end', [1, 1, 1, 7], 'bad'],
  ['a length up to the end', [1, 7, 3, 0], 'ok'],
  ['loose source route', [131, 7, 4, 10, 0, 0, 1, 0], 'source-route'],
  ['strict source route', [1, 137, 7, 4, 10, 0, 0, 1], 'source-route'],
  ['source route that is cut short', [131, 7, 4, 10], 'bad'],
] as const)
  t.test(`ipv4Options(): ${what} is ${want}`, async t => {
    const bytes = new Uint8Array(IPV4_HEADER_LEN + options.length + 8).fill(131)
    bytes.set(options, IPV4_HEADER_LEN)
    t.equal(ipv4Options(bytes, 0, IPV4_HEADER_LEN + options.length), want)
  })

t.test('emitIpv4() with DSCP and ECN bits sums those, too', async t => {
  const bytes = new Uint8Array(20)
  emitIpv4(bytes, 0, 20, 0, 0, 64, 6, ip('10.0.0.1'), ip('10.0.0.2'), 0xb9)
  t.equal(bytes[1], 0xb9)
  t.equal(checksum(bytes, 0, 20), 0)
})
