import t from 'tap'
import { formatAddress, parseAddress } from '../../src/wire/address-text.ts'
import {
  BOOTREPLY,
  BOOTREQUEST,
  DHCPACK,
  DHCPDISCOVER,
  DHCPOFFER,
  emitDhcp,
  parseDhcp,
} from '../../src/wire/dhcp.ts'
import { formatMac, parseMac } from '../../src/wire/mac.ts'

const MAC = parseMac('02:00:00:00:00:05')!
const ip = (text: string) => parseAddress(text)!

/** The fields behind chaddr are zeros: 240 bytes up to the options. */
const HEAD = Buffer.alloc(240)
HEAD.set(Buffer.from('02010600deadbeef00028000', 'hex'))
HEAD.set(Buffer.from('0a0000010a0000020a0000030a000004020000000005', 'hex'), 12)
HEAD.set(Buffer.from('63825363', 'hex'), 236)
const message = (options: string, file = '', sname = '') => {
  const bytes = Buffer.concat([HEAD, Buffer.from(options.replaceAll(' ', ''), 'hex')])
  bytes.set(Buffer.from(file.replaceAll(' ', ''), 'hex'), 108)
  bytes.set(Buffer.from(sname.replaceAll(' ', ''), 'hex'), 44)
  return Uint8Array.from(bytes)
}
const optionsOf = (bytes: Uint8Array) => {
  const parsed = parseDhcp(bytes)
  return (
    parsed &&
    Object.fromEntries([...parsed.options].map(([c, v]) => [c, Buffer.from(v).toString('hex')]))
  )
}

t.test('parseDhcp() of an offer', async t => {
  const parsed = parseDhcp(message('350102 3604c0a80001 ff'))!
  t.equal(parsed.op, BOOTREPLY)
  t.equal(parsed.type, DHCPOFFER)
  t.equal(parsed.xid, 0xdeadbeef)
  t.equal(parsed.secs, 2)
  t.equal(parsed.broadcast, true)
  t.same([parsed.ciaddr, parsed.yiaddr, parsed.siaddr, parsed.giaddr].map(formatAddress), [
    '10.0.0.1',
    '10.0.0.2',
    '10.0.0.3',
    '10.0.0.4',
  ])
  t.equal(formatMac(parsed.chaddr), '02:00:00:00:00:05')
  t.same([...parsed.options.keys()], [54])
})

t.test('emitDhcp() and parseDhcp() are each other’s inverse', async t => {
  const fields = {
    op: BOOTREQUEST,
    type: DHCPDISCOVER,
    xid: 0x80000001,
    secs: 7,
    broadcast: true,
    ciaddr: ip('10.0.0.1'),
    yiaddr: ip('10.0.0.2'),
    siaddr: ip('10.0.0.3'),
    giaddr: ip('255.0.0.4'),
    chaddr: MAC,
    options: new Map([
      [55, Uint8Array.of(1, 3, 6)],
      [80, new Uint8Array(0)],
      [119, new Uint8Array(600).fill(7)],
    ]),
  }
  t.same(parseDhcp(emitDhcp(fields)), fields)
})

t.test('emitDhcp() is as long as BOOTP wants, and gives a long option in parts of 255', async t => {
  const short = emitDhcp({ op: BOOTREQUEST, type: DHCPDISCOVER, xid: 1, chaddr: MAC })
  t.equal(short.length, 300)
  t.same(short.subarray(240, 244), Uint8Array.of(53, 1, DHCPDISCOVER, 255))
  const options = new Map([[119, new Uint8Array(300).fill(7)]])
  const long = emitDhcp({ op: BOOTREQUEST, type: DHCPACK, xid: 1, chaddr: MAC, options })
  t.same([long[243], long[244], long[500], long[501]], [119, 255, 119, 45])
  t.equal(long[long.length - 1], 255)
  t.equal(long.length, 240 + 3 + 2 + 255 + 2 + 45 + 1)
})

for (const [what, bytes, want] of [
  ['an option before its type', message('0104ffffff00 350105 ff'), { 1: 'ffffff00' }],
  ['pads', message('00 00 350105 00 0104ffffff00 00 ff'), { 1: 'ffffff00' }],
  ['no end', message('350105 0104ffffff00'), { 1: 'ffffff00' }],
  ['something behind the end', message('350105 ff 0104ffffff00'), {}],
  ['an empty option', message('350105 5000 ff'), { 80: '' }],
  ['the parts of one option joined', message('350105 770161 770262 63 ff'), { 119: '616263' }],
  ['a type of two bytes', message('35020505 ff'), undefined],
  ['two types', message('350105 350106 ff'), undefined],
  ['no type', message('0104ffffff00 ff'), undefined],
  ['a length past the end', message('350105 0105ffffff00'), undefined],
  ['a code without a length', message('350105 01'), undefined],
  ['options in file', message('350105 340101 ff', '0104ffffff00 ff'), { 1: 'ffffff00' }],
  ['file without overload', message('350105 ff', '0104ffffff00 ff'), {}],
  ['options in sname', message('350105 340102 ff', '', '0104ffffff00 ff'), { 1: 'ffffff00' }],
  [
    'parts in options, file, sname in this order',
    message('350105 340103 770161 ff', '770162 ff', '770163 ff'),
    { 119: '616263' },
  ],
  ['the type in file', message('340101 ff', '350105 ff'), {}],
  ['a length past file', message('350105 340101 ff', `01${'ff'.repeat(127)}`), undefined],
  ['a length past sname', message('350105 340102 ff', '', `0140${'00'.repeat(62)}`), undefined],
  ['an overload of two bytes', message('350105 34020101 ff'), undefined],
  [
    'an overload in an overload does not count',
    message('350105 340101 ff', '340102 ff', '010100'),
    {},
  ],
] as const)
  t.test(`parseDhcp(), ${what}`, async t => t.same(optionsOf(bytes), want))

for (const [what, at, value] of [
  ['another hardware type', 1, 6],
  ['another hardware length', 2, 16],
  ['another cookie', 239, 0],
] as const)
  t.test(`parseDhcp() refuses ${what}`, async t => {
    const bytes = message('350105 ff')
    t.ok(parseDhcp(bytes))
    bytes[at] = value
    t.equal(parseDhcp(bytes), undefined)
  })

t.test('parseDhcp() refuses every cut before the type is whole', async t => {
  const whole = message('0104ffffff00 350105 ff')
  for (let n = 0; n < 249; n++) t.equal(parseDhcp(whole.slice(0, n)), undefined, `${n} bytes`)
  t.ok(parseDhcp(whole.slice(0, 249)))
})
