import { isIP } from 'node:net'
import t from 'tap'
import { Address } from '../../src/wire/address.ts'
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
} from '../../src/wire/address-text.ts'
import { random } from '../helpers/random.ts'

const round = (text: string) => {
  const address = parseAddress(text)
  return address && formatAddress(address)
}

for (const [text, want] of [
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['10.0.0.5', '10.0.0.5'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:DB8::8:800:200C:417A', '2001:db8::8:800:200c:417a'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['::ffff:10.0.0.5', '10.0.0.5'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['1:2:3:4:5:6:7.8.9.10', '1:2:3:4:5:6:708:90a'],
  ['0001:2::', '1:2::'],
] as const)
  t.test(`parseAddress(${text}) is printed ${want}`, async t => t.equal(round(text), want))

for (const text of [
  ...['', '1', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.256', '1.2.3.-4', ' 1.2.3.4', '1.2.3.4 '],
  ...['1.2.3.', '.1.2.3', '0x7f.1', '1.2.3.4/8', '1..2.3', ':', ':::', '1:2', '1:2:3:4:5:6:7'],
  ...[
    '1:2:3:4:5:6:7:8:9',
    '::1::',
    '1:2:3:4::5:6:7:8',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7:',
    '::%eth0',
  ],
  ...['::1.2.3', '1.2.3.4::', '::1.2.3.4:5', '[::1]', '1:2:3:4:5:6:7:1.2.3.4', ':1:2:3:4:5:6:7'],
])
  t.test(`parseAddress(${JSON.stringify(text)}) refuses`, async t => {
    t.equal(parseAddress(text), undefined)
  })

t.test('parseAddress() agrees with node:net on 5,000 random strings, seed 5', async t => {
  const next = random(5)
  const alphabet = ['1', '0', 'f', '25', '::', ':', '.', ':', '.', 'ffff', '10.0.0.1']
  let valid = 0
  for (let i = 0; i < 5000; i++) {
    let text = ''
    for (let n = 1 + (next() % 12); n > 0; n--) text += alphabet[next() % alphabet.length]
    const mine = parseAddress(text) !== undefined
    if (mine) valid++
    if (mine !== (isIP(text) !== 0)) t.fail(text)
  }
  t.ok(valid > 50, `${valid} of them valid`)
})

t.test('formatAddress() of random words parses back, seed 6', async t => {
  const next = random(6)
  const word = () => (next() % 3 === 0 ? 0 : next() & (next() % 2 ? 0xffff : -1))
  for (let i = 0; i < 500; i++) {
    const address = new Address(word(), word(), word(), word())
    if (!parseAddress(formatAddress(address))?.equals(address)) t.fail(formatAddress(address))
  }
})

for (const [text, want] of [
  ['10.0.0.5/24', '10.0.0.5/24'],
  ['10.0.0.5', '10.0.0.5/24'],
  ['10.0.0.5/0', '10.0.0.5/0'],
  ['::1/128', '::1/128'],
  ['::1', '::1/64'],
  ['10.0.0.5/33', undefined],
  ['10.0.0.5/', undefined],
  ['10.0.0.5/024', undefined],
  ['10.0.0.5/8/8', undefined],
  ['10.0.0.5/-1', undefined],
  ['::/129', undefined],
  ['/24', undefined],
] as const)
  t.test(`parsePrefix(${text}) is ${want}`, async t => {
    const prefix = parsePrefix(text, 24, 64)
    t.equal(prefix && formatPrefix(prefix), want)
  })
