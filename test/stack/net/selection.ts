import t from 'tap'
import {
  type SourceCandidate,
  chooseSource,
  commonPrefix,
  policyOf,
  scopeOf,
  sortDestinations,
} from '../../../src/stack/net/selection.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { addr } from '../../helpers/net.ts'

/** `2001:db8::1/64`, then what is special: deprecated, or of a prefix of the next hop. */
function candidate(text: string): SourceCandidate {
  const [prefix, ...words] = text.split(' ')
  const [address, length] = prefix.split('/')
  return {
    address: addr(address),
    prefixLength: Number(length ?? (address.includes(':') ? 64 : 24)),
    avoided: words.includes('deprecated'),
    ofNextHop: words.includes('hop'),
  }
}

for (const [rule, dst, candidates, want] of [
  // RFC 6724 section 10.1, but for what home and temporary addresses decide.
  ['appropriate scope', '2001:db8:1::1', ['2001:db8:3::1', 'fe80::1'], '2001:db8:3::1'],
  ['appropriate scope, multicast', 'ff05::1', ['2001:db8:3::1', 'fe80::1'], '2001:db8:3::1'],
  ['same address, though deprecated', '2001:db8:1::1', ['2001:db8:1::1 deprecated', '2001:db8:2::1'], '2001:db8:1::1'], // prettier-ignore
  ['same address, though of link scope', 'fe80::1', ['fe80::2 deprecated', '2001:db8:1::1'], 'fe80::2'], // prettier-ignore
  ['longest matching prefix', '2001:db8:1::1', ['2001:db8:1::2', '2001:db8:3::2'], '2001:db8:1::2'], // prettier-ignore
  ['the same in the other order', '2001:db8:1::1', ['2001:db8:3::2', '2001:db8:1::2'], '2001:db8:1::2'], // prettier-ignore
  ['matching label', '2002:c633:6401::1', ['2002:c633:6401::5', '2001:db8:1::2'], '2002:c633:6401::5'], // prettier-ignore
  ['matching label, unique local', 'fd11::1', ['2001:db8::1', 'fd22::1'], 'fd22::1'],
  ['avoid deprecated', '2001:db8:1::1', ['2001:db8:1::2 deprecated', '2001:db8:3::2'], '2001:db8:3::2'], // prettier-ignore
  ['scope comes before deprecation', '2001:db8:1::1', ['fe80::1', '2001:db8:1::2 deprecated'], '2001:db8:1::2'], // prettier-ignore
  ['the smaller of two scopes that reach', 'fe80::9', ['2001:db8:1::2', 'fe80::1'], 'fe80::1'],
  ['the larger of two that do not', 'ff0e::1', ['fec0::1', 'fe80::1'], 'fec0::1'],
  ['5.5: of a prefix of the next hop', '2001:db8:1::1', ['2001:db8:1::2', '2001:db8:3::2 hop'], '2001:db8:3::2'], // prettier-ignore
  ['no farther than the own prefix', '2001:db8:1::1:1', ['2001:db8:1:0:1::2/32', '2001:db8:1::2/32'], '2001:db8:1:0:1::2'], // prettier-ignore
  ['the first of equals', '2001:db8:9::1', ['2001:db8:1::1/32', '2001:db8:1::2/32'], '2001:db8:1::1'], // prettier-ignore
  ['IPv4', '10.1.2.3', ['192.168.0.1', '10.1.9.9/16'], '10.1.9.9'],
] as const)
  t.test(`chooseSource(), ${rule}`, async t => {
    const chosen = chooseSource(addr(dst), candidates.map(candidate))
    t.equal(formatAddress(chosen!.address), want)
  })

t.test('chooseSource() of none is none', async t => {
  t.equal(chooseSource(addr('::1'), []), undefined)
})

for (const [rule, destinations, want] of [
  // RFC 6724 section 10.2. Each destination with the source that it would have.
  ['matching scope', ['2001:db8:1::1 < 2001:db8:1::2', '198.51.100.121 < 169.254.13.78'], [0, 1]],
  ['matching scope, IPv4 first', ['2001:db8:1::1 < fe80::1', '198.51.100.121 < 198.51.100.117'], [1, 0]], // prettier-ignore
  ['higher precedence', ['2001:db8:1::1 < 2001:db8:1::2', '10.1.2.3 < 10.1.2.4'], [0, 1]],
  ['higher precedence, in the other order', ['10.1.2.3 < 10.1.2.4', '2001:db8:1::1 < 2001:db8:1::2'], [1, 0]], // prettier-ignore
  ['smaller scope', ['2001:db8:1::1 < 2001:db8:1::2', 'fe80::1 < fe80::2'], [1, 0]],
  ['avoid deprecated', ['2001:db8:1::1 < 2001:db8:1::2 deprecated', '2001:db8:2::1 < 2001:db8:2::2'], [1, 0]], // prettier-ignore
  ['longest matching prefix', ['2001:db8:1::1 < 2001:db8:1::2', '2001:db8:3ffe::1 < 2001:db8:3f44::2'], [0, 1]], // prettier-ignore
  ['longest, the other way', ['2001:db8:3ffe::1 < 2001:db8:3f44::2', '2001:db8:1::1 < 2001:db8:1::2'], [1, 0]], // prettier-ignore
  ['matching label', ['2002:c633:6401::1 < 2002:c633:6401::2', '2001:db8:1::1 < 2002:c633:6401::2'], [0, 1]], // prettier-ignore
  ['higher precedence, 6to4', ['2002:c633:6401::1 < 2002:c633:6401::2', '2001:db8:1::1 < 2001:db8:1::2'], [1, 0]], // prettier-ignore
  ['unusable', ['2001:db8:1::1', '10.1.2.3 < 10.1.2.4'], [1, 0]],
  ['two unusable keep their order', ['2001:db8:1::1', '10.1.2.3'], [0, 1]],
  ['IPv4 keeps its order: prefixes are compared in a family', ['10.2.0.1 < 10.1.0.1/8', '10.1.0.9 < 10.1.0.1/8'], [0, 1]], // prettier-ignore
] as const)
  t.test(`sortDestinations(), ${rule}`, async t => {
    const list = destinations.map((text, i) => {
      const [address, source] = text.split(' < ')
      return { i, address: addr(address), source: source ? candidate(source) : undefined }
    })
    t.same(
      sortDestinations(list).map(({ i }) => i),
      want,
    )
  })

for (const [text, scope] of [
  ['::1', 2],
  ['fe80::1', 2],
  ['febf::1', 2],
  ['fec0::1', 5],
  ['fd00::1', 14],
  ['2001:db8::1', 14],
  ['ff01::1', 1],
  ['ff02::1', 2],
  ['ff35::1', 5],
  ['ff0e::1', 14],
  ['127.0.0.1', 2],
  ['169.254.1.1', 2],
  ['10.0.0.1', 14],
] as const)
  t.test(`scopeOf(${text}) is ${scope}`, async t => {
    t.equal(scopeOf(addr(text)), scope)
  })

for (const [text, precedence, label] of [
  ['::1', 50, 0],
  ['2001:db8::1', 40, 1],
  ['10.0.0.1', 35, 4],
  ['2002::1', 30, 2],
  ['2001::1', 5, 5],
  ['fd00::1', 3, 13],
  ['::a00:1', 1, 3],
  ['fec0::1', 1, 11],
  ['3ffe::1', 1, 12],
] as const)
  t.test(`policyOf(${text}): precedence ${precedence}, label ${label}`, async t => {
    t.match(policyOf(addr(text)), { precedence, label })
  })

t.test('commonPrefix()', async t => {
  for (const [a, b, want] of [
    ['::', '::', 128],
    ['2001:db8::', '2001:db8::1', 127],
    ['2001:db8::', 'a001:db8::', 0],
    ['2001:db8:0:1::', '2001:db8::', 63],
    ['10.0.0.1', '10.0.0.1', 32],
    ['10.0.0.1', '10.1.0.1', 15],
  ] as const)
    t.equal(commonPrefix(addr(a), addr(b)), want, `${a} ${b}`)
})
