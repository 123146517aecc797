import t from 'tap'
import {
  IPV6_HEADER_LEN,
  emitFragment,
  emitIpv6,
  flowLabelAt,
  isWholeIpv6,
  trafficClassAt,
} from '../../src/wire/ipv6.ts'
import { addr } from '../helpers/net.ts'

t.test('emitIpv6() writes the fixed header', async t => {
  const bytes = new Uint8Array(42)
  emitIpv6(bytes, 1, 0x1234, 6, 64, addr('2001:db8::1'), addr('::1'))
  t.equal(
    Buffer.from(bytes).toString('hex'),
    '00' +
      '60000000' +
      '12340640' +
      '20010db8000000000000000000000001' +
      '0'.repeat(31) +
      '1' +
      '00',
  )
})

t.test('isWholeIpv6() refuses another version and every truncation', async t => {
  const bytes = new Uint8Array(60)
  emitIpv6(bytes, 0, 20, 6, 64, addr('::1'), addr('::1'))
  for (let length = 0; length < IPV6_HEADER_LEN + 20; length++)
    t.notOk(isWholeIpv6(bytes, 0, length), `${length} bytes`)
  t.ok(isWholeIpv6(bytes, 0, 60))
  bytes[0] = 0x45
  t.notOk(isWholeIpv6(bytes, 0, 60))
})

t.test('emitIpv6() writes traffic class and flow label, which are read back', async t => {
  const bytes = new Uint8Array(40)
  emitIpv6(bytes, 0, 0, 59, 1, addr('::1'), addr('::1'), 0xb9, 0xfedcb)
  t.equal(Buffer.from(bytes.subarray(0, 4)).toString('hex'), '6b9fedcb')
  t.equal(trafficClassAt(bytes, 0), 0xb9)
  t.equal(flowLabelAt(bytes, 0), 0xfedcb)
})

t.test('emitFragment() writes the fragment header', async t => {
  const bytes = new Uint8Array(9).fill(0xff)
  emitFragment(bytes, 1, 17, 1448, true, 0xdeadbeef)
  t.equal(Buffer.from(bytes).toString('hex'), 'ff' + '110005a9' + 'deadbeef')
  emitFragment(bytes, 1, 6, 65528, false, 1)
  t.equal(Buffer.from(bytes).toString('hex'), 'ff' + '0600fff8' + '00000001')
})
