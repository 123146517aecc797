import t from 'tap'
import { Address, maskV4 } from '../../src/wire/address.ts'
import { parseAddress } from '../../src/wire/address-text.ts'

const at = (text: string) => parseAddress(text)!

t.test('Address.read() and write() are each other’s mirror', async t => {
  const bytes = new Uint8Array(20)
  const address = at('2001:db8::ff:1')
  address.write(bytes, 3)
  t.ok(Address.read(bytes, 3, 16).equals(address))
  t.same(
    [0, 1, 2, 3].map(i => address.word(i)),
    [address.a, address.b, address.c, address.d],
  )
  t.ok(Address.read(Uint8Array.of(9, 10, 0, 0, 5), 1, 4).equals(at('10.0.0.5')))
})

for (const [text, want] of [
  ['0.0.0.0', 'v4 unspecified'],
  ['::', 'unspecified'],
  ['127.0.0.1', 'v4 loopback'],
  ['127.255.255.254', 'v4 loopback'],
  ['128.0.0.1', 'v4'],
  ['::1', 'loopback'],
  ['::2', ''],
  ['224.0.0.1', 'v4 multicast'],
  ['239.255.255.255', 'v4 multicast'],
  ['240.0.0.1', 'v4'],
  ['ff02::1', 'multicast'],
  ['::127.0.0.1', ''],
] as const)
  t.test(`Address ${text} is ${want || 'plain'}`, async t => {
    const a = at(text)
    const kinds = [
      a.isV4 && 'v4',
      a.isUnspecified && 'unspecified',
      a.isLoopback && 'loopback',
      a.isMulticast && 'multicast',
    ]
    t.equal(kinds.filter(Boolean).join(' '), want)
  })

for (const [a, b, length, want] of [
  ['10.0.0.5', '10.0.0.200', 24, true],
  ['10.0.0.5', '10.0.1.5', 24, false],
  ['10.0.0.5', '10.0.1.5', 23, true],
  ['10.0.0.5', '200.0.1.5', 0, true],
  ['10.0.0.5', '10.0.0.4', 32, false],
  ['10.0.0.5', '::10.0.0.5', 0, false],
  ['2001:db8::1', '2001:db8::2', 64, true],
  ['2001:db8::1', '2001:db8::2', 127, false],
  ['2001:db8::2', '2001:db8::3', 127, true],
  ['2001:db8::1', '2001:db8:0:1::1', 64, false],
  ['2001:db8::1', 'fe80::1', 0, true],
] as const)
  t.test(`Address ${a} matches ${b} in ${length} bits: ${want}`, async t => {
    t.equal(at(a).matches(at(b), length), want)
  })

t.test('maskV4() at both ends', async t => {
  t.equal(maskV4(0), 0)
  t.equal(maskV4(1), 0x80000000 | 0)
  t.equal(maskV4(24) >>> 0, 0xffffff00)
  t.equal(maskV4(32), -1)
})
