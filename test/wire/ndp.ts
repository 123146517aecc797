import t from 'tap'
import {
  NA_OVERRIDE,
  NA_ROUTER,
  NA_SOLICITED,
  ND_INFINITE,
  type RouterAdvert,
  emitNeighborAdvert,
  emitNeighborSolicit,
  emitRedirect,
  emitRouterAdvert,
  emitRouterSolicit,
  parseNdOptions,
  parseNeighborAdvert,
  parseNeighborSolicit,
  parseRedirect,
  parseRouterAdvert,
  parseRouterSolicit,
} from '../../src/wire/ndp.ts'
import { parsePrefix } from '../../src/wire/address-text.ts'
import { addr, macOf } from '../helpers/net.ts'
import { random } from '../helpers/random.ts'

const AT = 3
const memory = () => new Uint8Array(2000).fill(0xa5)
const NONCE = Uint8Array.of(1, 2, 3, 4, 5, 6)

/** Every message with all that it can carry: its bytes, and who reads it. */
const ROUTER: RouterAdvert = {
  hopLimit: 64,
  managed: true,
  other: true,
  preference: 'high',
  lifetime: 1800,
  reachableTime: 30_000,
  retransTimer: 1000,
  sourceMac: macOf(9),
  mtu: 1400,
  prefixes: [
    {
      prefix: parsePrefix('2001:db8:1::/64')!,
      onLink: true,
      autonomous: true,
      validLifetime: ND_INFINITE,
      preferredLifetime: 3600,
    },
    {
      prefix: parsePrefix('2001:db8:2::/48')!,
      onLink: false,
      autonomous: false,
      validLifetime: 1,
      preferredLifetime: 0,
    },
  ],
  routes: [
    { prefix: parsePrefix('2001:db8:3::/48')!, preference: 'low', lifetime: 600 },
    { prefix: parsePrefix('::/0')!, preference: 'medium', lifetime: 0 },
  ],
  rdnss: [{ addresses: [addr('2001:db8::53'), addr('fe80::53')], lifetime: 120 }],
  dnssl: [{ names: ['example.org', 'lan'], lifetime: 60 }],
}

const messages: readonly (readonly [
  what: string,
  emit: (bytes: Uint8Array) => number,
  parse: (bytes: Uint8Array, at: number, length: number) => object | undefined,
  want: object,
])[] = [
  [
    'neighbor solicitation',
    b => emitNeighborSolicit(b, AT, addr('fe80::2'), macOf(1), NONCE),
    parseNeighborSolicit,
    { target: addr('fe80::2'), sourceMac: macOf(1), nonce: NONCE },
  ],
  [
    'neighbor solicitation of DAD',
    b => emitNeighborSolicit(b, AT, addr('fe80::2')),
    parseNeighborSolicit,
    { target: addr('fe80::2'), sourceMac: undefined, nonce: undefined },
  ],
  [
    'neighbor advertisement',
    b => emitNeighborAdvert(b, AT, addr('fe80::2'), NA_SOLICITED | NA_OVERRIDE, macOf(2)),
    parseNeighborAdvert,
    {
      target: addr('fe80::2'),
      router: false,
      solicited: true,
      override: true,
      targetMac: macOf(2),
    },
  ],
  [
    "neighbor advertisement, a router's without its MAC",
    b => emitNeighborAdvert(b, AT, addr('fe80::2'), NA_ROUTER),
    parseNeighborAdvert,
    {
      target: addr('fe80::2'),
      router: true,
      solicited: false,
      override: false,
      targetMac: undefined,
    },
  ],
  [
    'router solicitation',
    b => emitRouterSolicit(b, AT, macOf(1)),
    parseRouterSolicit,
    { sourceMac: macOf(1) },
  ],
  [
    'router solicitation without a MAC',
    b => emitRouterSolicit(b, AT),
    parseRouterSolicit,
    { sourceMac: undefined },
  ],
  ['router advertisement', b => emitRouterAdvert(b, AT, ROUTER), parseRouterAdvert, ROUTER],
  [
    'router advertisement that says nothing',
    b => emitRouterAdvert(b, AT, {}),
    parseRouterAdvert,
    { lifetime: 0, preference: 'medium', mtu: undefined, prefixes: [], rdnss: [] },
  ],
  [
    'redirect to a router',
    b => emitRedirect(b, AT, addr('fe80::9'), addr('2001:db8::1'), macOf(9)),
    parseRedirect,
    { target: addr('fe80::9'), dst: addr('2001:db8::1'), targetMac: macOf(9) },
  ],
  [
    'redirect to a neighbor',
    b => emitRedirect(b, AT, addr('2001:db8::1'), addr('2001:db8::1')),
    parseRedirect,
    { target: addr('2001:db8::1'), dst: addr('2001:db8::1'), targetMac: undefined },
  ],
]

for (const [what, emit, parse, want] of messages) {
  const bytes = memory()
  const length = emit(bytes)

  t.test(`${what}: what is emitted is parsed`, async t => {
    t.match(parse(bytes, AT, length), want)
    t.equal(bytes[AT + length], 0xa5, 'nothing is written behind it')
    t.equal(length % 8, 0)
  })

  t.test(`${what}: a truncation is none, but where an option ends`, async t => {
    let least = length
    for (let n = 0; n < length; n++)
      if (parse(bytes.slice(0, AT + n), AT, n) !== undefined) {
        least = Math.min(n, least)
        t.equal(n % 8, 0, `${n} bytes`)
      }
    t.ok(least >= 8)
  })

  t.test(`${what}: code 1, and an option of length 0, make it none`, async t => {
    const coded = bytes.slice()
    coded[AT + 1] = 1
    t.equal(parse(coded, AT, length), undefined)
    const zero = bytes.slice()
    zero.set([200, 0, 0, 0, 0, 0, 0, 0], AT + length)
    t.equal(parse(zero, AT, length + 8), undefined)
    zero[AT + length + 1] = 1
    t.ok(parse(zero, AT, length + 8), 'an unknown option does not')
    zero[AT + length + 1] = 2
    t.equal(parse(zero, AT, length + 8), undefined, 'an option past the end does')
  })

  t.test(`${what}: random damage throws nothing, seed 61`, async () => {
    const next = random(61)
    for (let round = 0; round < 2000; round++) {
      const damaged = bytes.slice()
      for (let k = 0; k < 4; k++) damaged[AT + (next() % length)] = next()
      parse(damaged, AT, length)
    }
  })
}

for (const [what, parse, length] of [
  ['solicitation', parseNeighborSolicit, 24],
  ['advertisement', parseNeighborAdvert, 24],
] as const)
  t.test(`a neighbor ${what} for a group is none`, async t => {
    const bytes = memory().fill(0)
    addr('ff02::1').write(bytes, AT + 8)
    t.equal(parse(bytes, AT, length), undefined)
  })

for (const [what, target, dst, ok] of [
  ['for a group', 'fe80::9', 'ff05::1', false],
  ['to a global address that is not the destination', '2001:db8::9', '2001:db8::1', false],
  ['to a link-local router', 'fe80::9', '2001:db8::1', true],
] as const)
  t.test(`a redirect ${what} is ${ok ? 'one' : 'none'}`, async t => {
    const bytes = memory()
    const length = emitRedirect(bytes, AT, addr(target), addr(dst))
    t.equal(parseRedirect(bytes, AT, length) !== undefined, ok)
  })

/** One option in hex, and what is made of it. */
for (const [what, hex, want] of [
  ['a MAC of 16 bytes', '0102' + '00'.repeat(14), { sourceMac: undefined }],
  ['the first of two MACs', '0101020000000001' + '0101020000000002', { sourceMac: macOf(1) }],
  ['a prefix of 129 bits', '030481c0' + '00'.repeat(28), { prefixes: [] }],
  ['a prefix of 24 bytes', '030340c0' + '00'.repeat(20), { prefixes: [] }],
  ['an mtu of 16 bytes', '0502' + '00'.repeat(14), { mtu: undefined }],
  [
    'a route of 8 bytes, for ::/0',
    '18010000' + '00000e10',
    { routes: [{ prefix: { prefixLength: 0 }, lifetime: 3600 }] },
  ],
  ['a route of 8 bytes, for a /1', '18010100' + '00000e10', { routes: [] }],
  [
    'a route of 16 bytes, for a /64',
    '18024000' + '00000e10' + '20010db800000001',
    { routes: [{ prefix: parsePrefix('2001:db8:0:1::/64') }] },
  ],
  ['a route of 16 bytes, for a /65', '18024100' + '00000e10' + '20010db800000001', { routes: [] }],
  ['a route of 32 bytes', '18044100' + '00000e10' + '00'.repeat(24), { routes: [] }],
  [
    'a route of the reserved preference',
    '18024010' + '00000e10' + '20010db800000001',
    { routes: [] },
  ],
  ['RDNSS without an address', '19010000' + '00000e10', { rdnss: [] }],
  ['RDNSS of even length', '19020000' + '00000e10' + '00'.repeat(8), { rdnss: [] }],
  ['DNSSL without a name', '1f010000' + '00000e10', { dnssl: [] }],
  [
    'DNSSL with a label past its end',
    '1f020000' + '00000e10' + '0961626364656667',
    { dnssl: [{ names: [] }] },
  ],
  [
    'DNSSL with a pointer to itself',
    '1f020000' + '00000e10' + 'c000000000000000',
    { dnssl: [{ names: [] }] },
  ],
  [
    'DNSSL with a line feed',
    '1f020000' + '00000e10' + '01610a0000000000',
    { dnssl: [{ names: [] }] },
  ],
] as const)
  t.test(`parseNdOptions(), ${what}`, async t => {
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
    t.match(parseNdOptions(bytes, 0, bytes.length), want)
  })

t.test('parseNdOptions() looks at 64 prefixes of 1,000, and at 64 of all else', async t => {
  const prefix = Buffer.from('030440c0' + '00'.repeat(28), 'hex')
  const route = Buffer.from('18010000' + '00000e10', 'hex')
  const rdnss = Buffer.from('19030000' + '00000e10' + '00'.repeat(16), 'hex')
  const dnssl = Buffer.from('1f020000' + '00000e10' + '0161000000000000', 'hex')
  const bytes = Buffer.concat(
    Array.from({ length: 1000 }, () => [prefix, route, rdnss, dnssl]).flat(),
  )
  const options = parseNdOptions(bytes, 0, bytes.length)!
  const { prefixes, routes, rdnss: servers, dnssl: names } = options
  t.same([prefixes.length, routes.length, servers.length, names.length], [64, 64, 64, 64])
})
