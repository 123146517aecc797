import t from 'tap'
import { noSettings, type Settings } from '../../src/conf/settings.ts'
import { parseConfString } from '../../src/conf/string.ts'

const none = noSettings()
const auto6 = { routers: true, dhcp6: 'yes' } as const
const via = (gateway: string) => ({
  destination: gateway.includes(':') ? '::/0' : '0.0.0.0/0',
  gateway,
  metric: 0,
})
const NAME = 'test.v2.cs.unibo.it'

for (const [text, want] of [
  ['', {}],
  [' , ;\t\n', {}],
  ['# all of it a comment', {}],
  ['dhcp # the rest\nrd', { dhcp: true, routers: true }],
  ['dhcp4', { dhcp: true }],
  ['dhcpv4', { dhcp: true }],
  ['dhcp6', { dhcp6: 'yes' }],
  ['dhcpv6', { dhcp6: 'yes' }],
  ['rd6', { routers: true }],
  ['slaac', { routers: true, slaac: 'eui64' }],
  ['auto', { dhcp: true, ...auto6 }],
  ['auto4', { dhcp: true }],
  ['autov6', auto6],
  ['auto slaac', { dhcp: true, ...auto6, slaac: 'eui64' }],
  ['auto,-dhcp', auto6],
  ['auto;-dhcp6', { dhcp: true, routers: true }],
  ['auto slaac -rd', { dhcp: true, dhcp6: 'yes' }],
  ['auto,-all', {}],
  ['ip=10.0.0.1,dhcp,-all', {}],
  ['-dhcp,dhcp', { dhcp: true }],
  ['ip=10.0.0.1', { addresses: ['10.0.0.1/24'] }],
  ['ip=10.0.0.1/8 ip=fd00::1', { addresses: ['10.0.0.1/8', 'fd00::1/64'] }],
  ['ip=10.0.0.1 ip=fd00::1 -ip=10.0.0.1/24', { addresses: ['fd00::1/64'] }],
  ['ip=10.0.0.1 gw=10.0.0.254', { addresses: ['10.0.0.1/24'], routes: [via('10.0.0.254')] }],
  ['gw=fe80::1 rd', { routes: [via('fe80::1')], routers: true }],
  ['gw=fe80::1 -gw=fe80::1', {}],
  ['dns=9.9.9.9 dns=fd00::53 -dns=9.9.9.9', { dns: ['fd00::53'] }],
  ['domain=a.org domain=b.org -domain=a.org', { search: ['b.org'] }],
  ['ip=10.0.0.1 dns=9.9.9.9 domain=a.org gw=10.0.0.2 dhcp -static', { dhcp: true }],
  ['mac=02:00:00:00:00:05', { mac: '02:00:00:00:00:05' }],
  ['macaddr=02:00:00:00:00:05', { mac: '02:00:00:00:00:05' }],
  [`fqdn=${NAME}`, { name: NAME }],
  [`eth fqdn=${NAME}`, { name: NAME, mac: '6a:d6:2f:5a:5a:2e' }],
  [`eth fqdn=${NAME} -eth`, { name: NAME }],
  [`eth,mac=02:00:00:00:00:05,fqdn=${NAME}`, { name: NAME, mac: '02:00:00:00:00:05' }],
  [`slaac fqdn=${NAME}`, { name: NAME, routers: true, slaac: 'hash' }],
  ['eth', {}],
  ['iface=vde0 ifindex=2 stack=vdestack dhcp', { dhcp: true }],
  ['"dhcp" \'rd\'', { dhcp: true, routers: true }],
  ['domain="a.org" domain=b\\.org', { search: ['a.org', 'b.org'] }],
] as const)
  t.test(`parseConfString(${JSON.stringify(text)})`, async t => {
    t.same(parseConfString(text).settings, { ...none, ...(want as Partial<Settings>) })
  })

t.equal(parseConfString('vnl=vxvde://239.1.2.3').net, 'vxvde://239.1.2.3')
t.equal(parseConfString("vnl='a, b#c=d'").net, 'a, b#c=d')
t.equal(parseConfString('vnl=a#b').net, 'a#b')
t.equal(parseConfString('debug').verbose, true)
t.equal(parseConfString('debug -debug').verbose, false)

for (const [text, why] of [
  [
    'dchp',
    /^cannot use --conf "dchp": there is no such option \(there are eth dhcp dhcp6 rd slaac .* ip= /,
  ],
  ['static', /no such option/],
  ['-vnl=x', /no such option/],
  ['-', /no such option/],
  ['=x', /no such option/],
  ['constructor', /no such option/],
  ['dhcp=1', /dhcp takes no value/],
  ['ip', /ip= needs a value/],
  ['ip=', /ip= needs a value/],
  ['ip=10.0.0', /^cannot use --conf "ip=10\.0\.0": not an IP address/],
  ['gw=10.0.0.1', /it needs an --ip on its network/],
  ['mac=1', /not an Ethernet address/],
  ['fqdn=a b', /no such option/],
  ["fqdn='a b'", /not a host name/],
  ['dns=x', /not the address of a server/],
  ['vnl="x', /a quote " is not closed/],
] as const)
  t.throws(
    () => parseConfString(text),
    { message: why },
    `parseConfString(${JSON.stringify(text)})`,
  )
