import t from 'tap'
import { BROADCAST_MAC, Mac, ZERO_MAC, formatMac, parseMac } from '../../src/wire/mac.ts'
import { randomBytes } from '../helpers/random.ts'

for (const [text, want] of [
  ['02:00:00:00:00:05', '02:00:00:00:00:05'],
  ['FF-FF-FF-FF-FF-FE', 'ff:ff:ff:ff:ff:fe'],
  ['aa:bb:cc:dd:ee:ff', 'aa:bb:cc:dd:ee:ff'],
  ['', undefined],
  ['2:0:0:0:0:5', undefined],
  ['02:00:00:00:00', undefined],
  ['02:00:00:00:00:05:06', undefined],
  ['02-00:00:00:00:05', undefined],
  ['02:00:00:00:00:0g', undefined],
  ['020000000005', undefined],
] as const)
  t.test(`parseMac(${text}) is ${want}`, async t => {
    const mac = parseMac(text)
    t.equal(mac && formatMac(mac), want)
  })

t.test('Mac.read() and write() are each other’s mirror, equals() sees each bit', async t => {
  const bytes = new Uint8Array(8)
  const mac = parseMac('fe:dc:ba:98:76:54')!
  mac.write(bytes, 1)
  t.ok(Mac.read(bytes, 1).equals(mac))
  for (let bit = 0; bit < 48; bit++) {
    bytes[1 + (bit >> 3)] ^= 1 << (bit & 7)
    t.notOk(Mac.read(bytes, 1).equals(mac), `bit ${bit}`)
    bytes[1 + (bit >> 3)] ^= 1 << (bit & 7)
  }
})

t.test('Mac.isGroup and isZero', async t => {
  t.ok(BROADCAST_MAC.isGroup)
  t.ok(parseMac('01:00:5e:00:00:01')!.isGroup)
  t.notOk(parseMac('02:01:01:01:01:01')!.isGroup)
  t.ok(ZERO_MAC.isZero)
})

t.test('Mac.local() is unicast and locally administered, seed 1', async t => {
  const random = randomBytes(1)
  const seen = new Set<string>()
  for (let i = 0; i < 100; i++) {
    const text = formatMac(Mac.local(random))
    t.equal(parseInt(text.slice(0, 2), 16) & 3, 2)
    seen.add(text)
  }
  t.equal(seen.size, 100)
})
