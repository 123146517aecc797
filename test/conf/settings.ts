import t from 'tap'
import {
  checkSettings,
  noSettings,
  parseDnsOption,
  parseMtu,
  parseName,
  parseOwnAddress,
  parseRoute,
  parseRouter,
  parseServer,
  takeIp6,
  type Settings,
} from '../../src/conf/settings.ts'

for (const [text, want] of [
  ['10.0.0.5', '10.0.0.5/24'],
  ['10.0.0.5/8', '10.0.0.5/8'],
  ['10.0.0.4/31', '10.0.0.4/31'],
  ['10.0.0.5/32', '10.0.0.5/32'],
  ['fd00::5', 'fd00::5/64'],
  ['FD00:0::5/128', 'fd00::5/128'],
  ['fe80::5', 'fe80::5/64'],
] as const)
  t.equal(parseOwnAddress('x', text), want, `parseOwnAddress() of ${text}`)

for (const [text, why] of [
  ['10.0.0', /^cannot use x: not an IP address \(write 10\.0\.0\.5/],
  ['fd00::5/129', /the prefix length is 1 to 128/],
  ['fd00::5/0', /the prefix length is 1 to 128/],
  ['10.0.0.5/0', /the prefix length is 1 to 32/],
  ['::ffff:10.0.0.5', /write an IPv4 address as/],
  ['0.0.0.5', /begin with 0/],
  ['::', /no address/],
  ['::1', /^cannot use x: ::1 is the loopback/],
  ['ff02::1', /multicast/],
  ['240.0.0.1', /reserved/],
  ['10.0.0.0', /the address of its network/],
  ['10.0.0.255', /the broadcast address of its network/],
  ['10.0.0.3/30', /the broadcast address/],
] as const)
  t.throws(() => parseOwnAddress('x', text), { message: why }, `parseOwnAddress() of ${text}`)

for (const [text, destination, gateway, metric] of [
  ['default via 10.0.0.1', '0.0.0.0/0', '10.0.0.1', 0],
  ['default via fe80::1 metric 7', '::/0', 'fe80::1', 7],
  ['10.1.0.0/16 via 10.0.0.1', '10.1.0.0/16', '10.0.0.1', 0],
  ['10.1.2.3 metric 4294967295 via 10.0.0.1', '10.1.2.3/32', '10.0.0.1', 4294967295],
  ['  10.1.0.0/16\tmetric  5 ', '10.1.0.0/16', undefined, 5],
  ['fd01::/48 via fd00::1', 'fd01::/48', 'fd00::1', 0],
  ['0.0.0.0/0 via 10.0.0.1', '0.0.0.0/0', '10.0.0.1', 0],
] as const)
  t.same(parseRoute('x', text), { destination, gateway, metric }, `parseRoute() of "${text}"`)

for (const [text, why] of [
  ['', /^cannot use x: "" is no prefix \(write "10\.1\.0\.0\/16 via/],
  ['default', /a default route needs a gateway/],
  ['default via', /"via" needs a value/],
  ['default via gw', /not an IP address/],
  ['default via 10.0.0.1 via 10.0.0.2', /cannot understand "via 10\.0\.0\.2"/],
  ['default via 10.0.0.1 dev eth0', /cannot understand "dev eth0"/],
  ['10.1.0.0/16 metric -1', /cannot understand "metric -1"/],
  ['10.1.0.0/16 metric 4294967296', /cannot understand/],
  ['10.1.0.1/16 via 10.0.0.1', /10\.1\.0\.1\/16 has bits beyond its first 16/],
  ['fd01:0:0:1::/48', /has bits beyond its first 48/],
  ['10.1.0.0/16 via fe80::1', /another family/],
  ['fd01::/48 via 10.0.0.1', /another family/],
  ['224.0.0.0/4', /no route leads to/],
  ['127.0.0.0/8 via 10.0.0.1', /no route leads to/],
  ['10.1.0.0/33', /no prefix/],
] as const)
  t.throws(() => parseRoute('x', text), { message: why }, `parseRoute() of "${text}"`)

t.equal(parseRouter('x', 'FE80::1'), 'fe80::1')
t.throws(() => parseRouter('x', '127.0.0.1'), { message: /loopback/ })
t.throws(() => parseRouter('x', '::ffff:10.0.0.1'), { message: /not an IP address/ })
t.equal(parseServer('x', '127.0.0.1'), '127.0.0.1', 'a name server on loopback may be ours')
t.throws(() => parseServer('x', '0.0.0.0'), { message: /not the address of a server/ })
t.equal(parseName('x', 'www.example.org.'), 'www.example.org')
t.throws(() => parseName('x', 'a b'), { message: /not a host name/ })
for (const text of ['67', '65536', '-1', '1e3', '', '0x500', '999999'])
  t.throws(
    () => parseMtu('x', text),
    { message: /an mtu is 68 to 65535/ },
    `parseMtu() of "${text}"`,
  )
t.equal(parseMtu('x', '68'), 68)

const ip6 = (text: string) => {
  const settings = noSettings()
  takeIp6(settings, 'x', text)
  const { addresses, routers, slaac, dhcp6 } = settings
  return { addresses, routers, slaac, dhcp6 }
}
const auto = { addresses: [], routers: true, dhcp6: 'routers' }
t.same(ip6('auto'), { ...auto, slaac: 'eui64' })
t.same(ip6('auto,stable'), { ...auto, slaac: 'stable' })
t.same(ip6('auto,hash'), { ...auto, slaac: 'hash' })
t.same(ip6('fd00::5'), { addresses: ['fd00::5/64'], routers: false, slaac: undefined, dhcp6: 'no' })
for (const text of [
  '10.0.0.5',
  '::ffff:10.0.0.5',
  'automatic',
  'auto,',
  'auto,x',
  'auto,stable,hash',
  'fd00::5,stable',
])
  t.throws(() => ip6(text), { message: /^cannot use x/ }, `--ip6 ${text}`)

for (const [what, settings, why] of [
  ['a hash without a name', { slaac: 'hash' }, /there is none \(give --name\)/],
  ['an mtu too small for routers', { mtu: 1279, routers: true }, /it needs 1280/],
  ['an mtu too small for an address', { mtu: 1279, addresses: ['fd00::5/64'] }, /it needs 1280/],
  ['an address twice', { addresses: ['10.0.0.5/24', '10.0.0.5/16'] }, /given twice/],
  ['a gateway without an address', { routes: ['10.0.0.1'] }, /it needs an --ip on its network/],
  [
    'a gateway of another family',
    { addresses: ['10.0.0.5/24'], routes: ['fd00::1'] },
    /it needs an --ip/,
  ],
  [
    'a gateway elsewhere',
    { addresses: ['10.0.0.5/24'], routes: ['10.0.1.1'] },
    /it is not on the network of --ip 10\.0\.0\.5\/24/,
  ],
  [
    'itself as gateway',
    { addresses: ['10.0.0.5/24'], routes: ['10.0.0.5'] },
    /the program's own address/,
  ],
] as const)
  t.test(`checkSettings(), ${what}`, async t => {
    const routes = ('routes' in settings ? settings.routes : []).map(gateway => ({
      destination: 'x',
      gateway,
      metric: 0,
    }))
    t.throws(() => checkSettings({ ...noSettings(), ...(settings as Partial<Settings>), routes }), {
      message: why,
    })
  })

for (const [what, settings, gateway] of [
  ['on a network of ours', { addresses: ['10.0.0.5/24', '10.9.0.5/16'] }, '10.9.1.1'],
  ['that DHCP will tell of', { dhcp: true }, '10.9.1.1'],
  ['link-local', {}, 'fe80::1'],
  ['that routers will tell of', { routers: true }, 'fd00::1'],
] as const)
  t.doesNotThrow(() => {
    const routes = [{ destination: 'x', gateway, metric: 0 }]
    checkSettings({ ...noSettings(), ...(settings as Partial<Settings>), routes })
  }, `checkSettings(), a gateway ${what}`)

for (const text of ['ndots:2', 'rotate', 'timeout:1', 'no-aaaa'])
  t.equal(parseDnsOption('x', text), text, `parseDnsOption() of ${text}`)
for (const text of [
  '',
  'ndots',
  'ndots:',
  'ndots:x',
  'rotate:1',
  'nosuch',
  'ndots:1000',
  '__proto__',
])
  t.throws(() => parseDnsOption('x', text), { message: /^cannot use x: no such option/ })
