import t from 'tap'
import { pseudoSum, sumBytes } from '../../src/wire/checksum.ts'
import {
  ICMPV6_ECHO_REQUEST,
  Icmpv6Message,
  emitIcmpv6,
  icmpv6Checksum,
  pseudoSumAt,
  sumIcmpv6,
} from '../../src/wire/icmpv6.ts'
import { IPPROTO_ICMPV6, emitIpv6 } from '../../src/wire/ipv6.ts'
import { addr } from '../helpers/net.ts'

/** A neighbor solicitation as a Linux kernel sent it: fe80::1 asks for fe80::2. */
const CAPTURED = Uint8Array.from(
  Buffer.from(
    '6000000000203aff' +
      'fe800000000000000000000000000001' +
      'ff0200000000000000000001ff000002' +
      '8700' +
      '0000' +
      '00000000' + // prettier-ignore
      'fe800000000000000000000000000002' +
      '0101020000000001',
    'hex',
  ),
)

/** ping's first message at an odd place: id 0x1234, sequence number 1. */
const bytes = new Uint8Array(1 + 40 + 16)
emitIpv6(bytes, 1, 16, IPPROTO_ICMPV6, 64, addr('2001:db8::1'), addr('2001:db8::2'))
bytes.set(Buffer.from('datadata'), 49)
emitIcmpv6(bytes, 41, ICMPV6_ECHO_REQUEST, 0, 0x12340001)
sumIcmpv6(bytes, 1, 41, 16)

t.test('emitIcmpv6(), sumIcmpv6() and Icmpv6Message.parse()', async t => {
  const message = Icmpv6Message.parse(bytes, 1, 41, 16)!
  t.equal(message.type, ICMPV6_ECHO_REQUEST)
  t.equal(message.code, 0)
  t.equal(message.rest, 0x12340001)
  t.equal(message.body, 49)
  t.equal(message.bodyLength, 8)
  t.notOk(message.isError)
})

t.test('icmpv6Checksum() is the sum of pseudo-header and message, computed slowly', async t => {
  let sum = 0x20 + 58
  for (let i = 8; i < CAPTURED.length; i += 2) sum += (CAPTURED[i] << 8) | CAPTURED[i + 1]
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  t.equal(icmpv6Checksum(CAPTURED, 0, 40, 32), ~sum & 0xffff)
  const own = CAPTURED.slice()
  sumIcmpv6(own, 0, 40, 32)
  t.equal(icmpv6Checksum(own, 0, 40, 32), 0)
})

t.test('pseudoSumAt() is pseudoSum() of the addresses in the header', async t => {
  const sum = pseudoSum(addr('2001:db8::1'), addr('2001:db8::2'), 58)
  t.equal(sumBytes(bytes, 41, 16, pseudoSumAt(bytes, 1, 58, 16)), sumBytes(bytes, 41, 16, sum + 16))
})

t.test(
  'Icmpv6Message.parse() refuses damage anywhere, unless the sum is known to be right',
  async t => {
    for (const i of [1 + 8, 1 + 39, 41, 42, 43, 44, 45, 56]) {
      const damaged = bytes.slice()
      damaged[i] ^= 4
      t.equal(Icmpv6Message.parse(damaged, 1, 41, 16), undefined, `byte ${i}`)
      t.ok(Icmpv6Message.parse(damaged, 1, 41, 16, true))
    }
  },
)

t.test('Icmpv6Message.parse() refuses every truncation', async t => {
  for (let length = 0; length < 16; length++)
    t.equal(Icmpv6Message.parse(bytes, 1, 41, length), undefined, `${length} bytes`)
  for (let length = 0; length < 8; length++)
    t.equal(Icmpv6Message.parse(bytes, 1, 41, length, true), undefined, `${length}, sum right`)
})

t.test('Icmpv6Message.isError is so for types below 128', async t => {
  for (let type = 0; type < 256; type++)
    t.equal(new Icmpv6Message(Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0), 0, 8).isError, type < 128)
})
