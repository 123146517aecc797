import t from 'tap'
import { hashAddress, hashMac, stableAddress } from '../../src/conf/interface-id.ts'
import { formatAddress, parseAddress } from '../../src/wire/address-text.ts'
import { eui64, formatMac, parseMac } from '../../src/wire/mac.ts'

const ip = (text: string) => parseAddress(text)!

for (const [prefix, mac, want] of [
  // RFC 4291 appendix A.
  ['fd00::', '34:56:78:9a:bc:de', 'fd00::3656:78ff:fe9a:bcde'],
  ['fe80::', '02:00:00:00:00:05', 'fe80::ff:fe00:5'],
  ['fd00:1:2:3::', 'ff:ff:ff:ff:ff:ff', 'fd00:1:2:3:fdff:ffff:feff:ffff'],
] as const)
  t.equal(formatAddress(eui64(ip(prefix), parseMac(mac)!)), want, `eui64() of ${mac}`)

// What libioth's documentation and its users have published.
for (const [base, name, want] of [
  ['2000:760::', 'test.v2.cs.unibo.it', '2000:760::68d6:2fac:95a:5a2e'],
  ['2000:760::', 'test.v2.cs.unibo.it.', '2000:760::68d6:2fac:95a:5a2e'],
  ['fc00::', 'hash.test.local', 'fc00::f4b7:a5a9:259b:fb70'],
  ['fc00::', 'renzo.hash.local', 'fc00::4cc:8049:6765:d03a'],
  ['fc00::', 'hic_sunt_leones.hash.local', 'fc00::9c8f:74b4:705f:6512'],
  ['2001:760:2e00:ff00::', 'renzo.hash.v2.cs.unibo.it', '2001:760:2e00:ff00:6066:4f84:db3e:c9cb'],
  ['2001:760:2e00:ff00::', 'lucia.hash.v2.cs.unibo.it', '2001:760:2e00:ff00:cf1:1fe9:aad4:e838'],
  [
    '2001:760:2e00:ff00::',
    'whatever-you-want.hash.v2.cs.unibo.it',
    '2001:760:2e00:ff00:542d:ffcb:17e:8fa7',
  ],
] as const)
  t.equal(formatAddress(hashAddress(ip(base), name)), want, `hashAddress() of ${name}`)

for (const [base, name, password, slot, want] of [
  ['fc01::', 'renzo.otip', 'mypassword', 51890493, 'fc01::103b:2baf:8539:1e32'],
  ['fc01::', 'renzo.otip', 'mypassword', 51890495, 'fc01::18b5:b8a:5f15:3839'],
  ['fc01::', 'renzo.otip', 'mypassword', 51890593, 'fc01::801f:3538:9ba1:7101'],
  ['fc01::', 'renzo.otip', 'mypassword', 51890606, 'fc01::889:ccb8:ee7:5908'],
  [
    'fd00:add1:5ea7:4a11::',
    'test.otip.v2.cs.unibo.it',
    'secret_password',
    51889486,
    'fd00:add1:5ea7:4a11:78e4:bb37:f7bf:f2cf',
  ],
  [
    '2001:760:2e00:ff00::',
    'renzo.otip',
    'mypassword',
    51746753,
    '2001:760:2e00:ff00:e8be:1b1f:6545:8d12',
  ],
  [
    '2001:760:2e00:ff00::',
    'renzo.otip',
    'mypassword',
    51746754,
    '2001:760:2e00:ff00:64c6:30b9:3f3a:14d7',
  ],
] as const)
  t.equal(
    formatAddress(hashAddress(ip(base), name, password, slot)),
    want,
    `hashAddress() of ${name} at ${slot}`,
  )

t.equal(formatMac(hashMac('test.v2.cs.unibo.it')), '6a:d6:2f:5a:5a:2e')
t.equal(
  formatAddress(eui64(ip('2000:760::'), hashMac('test.v2.cs.unibo.it'))),
  '2000:760::68d6:2fff:fe5a:5a2e',
)
t.not(
  formatAddress(hashAddress(ip('fc00::'), 'A.local')),
  formatAddress(hashAddress(ip('fc00::'), 'a.local')),
  'names hash as they are written',
)

t.test(
  'stableAddress() changes with the prefix, the interface, the attempt, the secret, and with nothing else',
  async t => {
    const secret = new Uint8Array(16).fill(1)
    const of = (prefix: string, iface: string, attempt: number, key: Uint8Array) =>
      formatAddress(stableAddress(ip(prefix), iface, attempt, key))
    const first = of('fd00::', 'nginx', 0, secret)
    t.equal(of('fd00::', 'nginx', 0, secret.slice()), first)
    t.match(first, /^fd00::/)
    const others = [
      of('fd00:0:0:1::', 'nginx', 0, secret).replace('fd00:0:0:1:', 'fd00::'),
      of('fd00::', 'nginx2', 0, secret),
      of('fd00::', 'nginx', 1, secret),
      of('fd00::', 'nginx', 0, new Uint8Array(16)),
    ]
    t.equal(new Set([first, ...others]).size, 5)
  },
)
