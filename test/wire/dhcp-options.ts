import t from 'tap'
import { formatAddress, formatPrefix } from '../../src/wire/address-text.ts'
import {
  ethernetClientId,
  readAddress,
  readAddresses,
  readDomain,
  readMask,
  readMessage,
  readRoutes,
  readSearch,
  readU16,
  readU32,
  writtenAddress,
  writtenFqdn,
} from '../../src/wire/dhcp-options.ts'
import { parseMac } from '../../src/wire/mac.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const option = (code: number, value: string) => new Map([[code, hex(value)]])
const none = new Map<number, Uint8Array>()

t.equal(readU32(option(51, '00000e10'), 51), 3600)
t.equal(readU32(option(51, 'ffffffff'), 51), 0xffffffff)
t.equal(readU32(option(51, '000e10'), 51), undefined, 'three bytes are no number')
t.equal(readU16(option(26, '05dc'), 26), 1500)
t.equal(readU16(none, 26), undefined)
t.equal(formatAddress(readAddress(option(54, '0a000001 0a000002'), 54)!), '10.0.0.1')
t.equal(readAddress(option(54, '0a0000'), 54), undefined)
t.same(readAddresses(option(6, '0a00000108'), 6), [], 'five bytes are no addresses')
t.equal(readAddresses(option(6, '0a000001'.repeat(17)), 6).length, 16)

for (const [mask, length] of [
  ['ffffff00', 24],
  ['ffffffff', 32],
  ['80000000', 1],
  ['fffffffe', 31],
  ['00000000', undefined],
  ['ff00ff00', undefined],
  ['00ffffff', undefined],
  ['ffff', undefined],
] as const)
  t.equal(readMask(option(1, mask)), length, `readMask() of ${mask}`)

for (const [text, want] of [
  ['example.org', 'example.org'],
  ['example.org.', 'example.org'],
  ['example.org\0', 'example.org'],
  ['a b', undefined],
  ['x\nnameserver 6.6.6.6', undefined],
  ['', undefined],
] as const)
  t.equal(
    readDomain(new Map([[15, Uint8Array.from(Buffer.from(text))]])),
    want,
    `readDomain() of ${JSON.stringify(text)}`,
  )

t.same(readSearch(option(119, '036c616200 0163c000')), ['lab', 'c.lab'])
t.same(readSearch(option(119, '0561')), [])
t.equal(readMessage(new Map([[56, Uint8Array.from(Buffer.from('no\x1b[2J'))]])), 'no?[2J')

for (const [what, value, want] of [
  ['a default route', '00 0a000001', ['0.0.0.0/0 10.0.0.1']],
  ['RFC 3442: 10.0.0.0/8', '08 0a 0a000001', ['10.0.0.0/8 10.0.0.1']],
  ['RFC 3442: 10.17.0.0/16', '10 0a11 0a000001', ['10.17.0.0/16 10.0.0.1']],
  ['RFC 3442: 10.27.129.0/24', '18 0a1b81 0a000001', ['10.27.129.0/24 10.0.0.1']],
  ['RFC 3442: 10.229.0.128/25', '19 0ae50080 0a000001', ['10.229.0.128/25 10.0.0.1']],
  ['RFC 3442: 10.198.122.47/32', '20 0ac67a2f 0a000001', ['10.198.122.47/32 10.0.0.1']],
  ['bits beyond the prefix', '09 0aff 0a000001', ['10.128.0.0/9 10.0.0.1']],
  ['a router of zeros: on the link', '10 a9fe 00000000', ['169.254.0.0/16 link']],
  ['two', '00 0a000001 08 0b 0a000002', ['0.0.0.0/0 10.0.0.1', '11.0.0.0/8 10.0.0.2']],
  ['a length of 33', '21 0a0000000 0a000001', undefined],
  ['a router cut short', '00 0a0000', undefined],
  ['a destination cut short', '20 0a00', undefined],
  ['one and a half', '00 0a000001 08', undefined],
  ['nothing', '', undefined],
] as const)
  t.test(`readRoutes(), ${what}`, async t =>
    t.same(
      readRoutes(option(121, value))?.map(
        ({ prefix, gateway }) =>
          `${formatPrefix(prefix)} ${gateway ? formatAddress(gateway) : 'link'}`,
      ),
      want,
    ),
  )

t.equal(readRoutes(option(121, '000a000001'.repeat(65)))!.length, 64)
t.equal(readRoutes(none), undefined)

t.same(ethernetClientId(parseMac('02:00:00:00:00:05')!), hex('01 020000000005'))
t.same(writtenAddress(readAddress(option(54, 'c0a80001'), 54)!), hex('c0a80001'))
t.same(writtenFqdn('a.bc'), hex('05 00 00 01 61 02 62 63 00'))
t.equal(writtenFqdn('a b'), undefined)
