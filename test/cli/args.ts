import t from 'tap'

import { noSettings } from '../../src/conf/settings.ts'
import { parseRunArgs, type RunArgs } from '../../cli/args.ts'

const parse = (line: string) => parseRunArgs(line.split(' ').filter(Boolean)) as RunArgs

t.test('parseRunArgs() fills in what is not given', async t => {
  t.same(parse('nginx -g daemon'), {
    settings: noSettings(),
    net: 'switch://default',
    verbose: false,
    guard: true,
    command: 0,
  })
})

/** "…" in a line is one word. */
const words = (line: string) => Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), ([, a, b]) => a ?? b)
const via = (gateway: string, metric = 0) => ({
  destination: gateway.includes(':') ? '::/0' : '0.0.0.0/0',
  gateway,
  metric,
})

for (const [line, want] of [
  ['--ip 10.0.0.5 x', { addresses: ['10.0.0.5/24'] }],
  ['--ip 10.0.0.5/8 --ip 192.168.1.1/30 x', { addresses: ['10.0.0.5/8', '192.168.1.1/30'] }],
  ['--ip 10.0.0.5/32 x', { addresses: ['10.0.0.5/32'] }],
  ['--ip fd00::5 x', { addresses: ['fd00::5/64'] }],
  ['--ip6 fd00::5/48 --ip fd01::5 x', { addresses: ['fd01::5/64', 'fd00::5/48'] }],
  ['--ip6 auto x', { routers: true, slaac: 'eui64', dhcp6: 'routers' }],
  [
    '--ip6 auto,stable --ip6 fd00::5 x',
    { routers: true, slaac: 'stable', addresses: ['fd00::5/64'] },
  ],
  ['--ip6 auto,hash --name www.lab x', { slaac: 'hash', name: 'www.lab' }],
  ['--mac 02:AB:00:00:00:05 x', { mac: '02:ab:00:00:00:05' }],
  ['--ip 10.0.0.5 --gateway 10.0.0.1 x', { routes: [via('10.0.0.1')] }],
  ['--ip 10.0.0.5/16 --ip 10.9.0.5 --gateway 10.9.0.1 x', { routes: [via('10.9.0.1')] }],
  [
    '--ip 10.0.0.5 --gateway fe80::1 --gateway 10.0.0.1 x',
    { routes: [via('fe80::1'), via('10.0.0.1')] },
  ],
  ['--dhcp x', { dhcp: true }],
  [
    '--dhcp --route "default via 10.0.0.1 metric 7" x',
    { dhcp: true, routes: [via('10.0.0.1', 7)] },
  ],
  [
    '--ip 10.0.0.5 --route 10.1.0.0/16 x',
    { routes: [{ destination: '10.1.0.0/16', gateway: undefined, metric: 0 }] },
  ],
  ['--mtu 1400 x', { mtu: 1400 }],
  [
    '--dns 10.0.0.53 --dns fd00::53 --search lab --search b.lab. x',
    { dns: ['10.0.0.53', 'fd00::53'], search: ['lab', 'b.lab'] },
  ],
  ['--dns-option ndots:2 --dns-option rotate x', { dnsOptions: ['ndots:2', 'rotate'] }],
  [
    '--conf "ip=10.0.0.5 dhcp" --ip fd00::5 x',
    { dhcp: true, addresses: ['10.0.0.5/24', 'fd00::5/64'] },
  ],
  ['--conf mac=02:00:00:00:00:01 --mac 02:00:00:00:00:02 x', { mac: '02:00:00:00:00:02' }],
  ['--conf ip=10.0.0.5 --conf gw=10.0.0.1 x', { routes: [via('10.0.0.1')] }],
] as const)
  t.test(`parseRunArgs() of ${line}`, async t => {
    const { settings } = parseRunArgs(words(line)) as RunArgs
    t.match(settings, want)
    for (const [key, value] of Object.entries(want))
      if (Array.isArray(value)) t.equal(settings[key as 'addresses'].length, value.length, key)
  })

for (const [line, want] of [
  ['--ip 10.0.0.5 nginx', { command: 2 }],
  ['--ip=10.0.0.5 nginx', { command: 1 }],
  ['--conf vnl=switch://a x', { net: 'switch://a' }],
  ['--conf vnl=switch://a --net switch://b x', { net: 'switch://b' }],
  ['--conf debug x', { verbose: true }],
  ['--net switch://lab x', { net: 'switch://lab' }],
  ['--net /tmp/lab x', { net: '/tmp/lab' }],
  ['--net ./lab x', { net: `${process.cwd()}/lab` }],
  ['--verbose x', { verbose: true }],
  ['--no-seccomp x', { guard: false }],
  ['-- x --ip y', { command: 1 }],
  ['--verbose -- --odd', { command: 2 }],
  ['curl --verbose --ip 1', { command: 0, verbose: false }],
  ['sh -c --help', { command: 0 }],
] as const)
  t.test(`parseRunArgs() of "${line}"`, async t => t.match(parse(line), want))

t.equal(parseRunArgs(['--help', 'x']), 'help', '--help wins over a command')
t.equal(parseRunArgs(['--version']), 'version', '--version needs no command')
t.type(parse('x --help'), 'object', "--help after the command is the command's")

for (const [line, sentence] of [
  ['', /^no command given/],
  ['--ip 10.0.0.5', /^no command given/],
  ['--ip 10.0.0.5 --', /^no command given/],
  ['--ipp 10.0.0.5 x', /^unknown option "--ipp" \(there are --ip --ip6/],
  ['-v x', /^unknown option "-v"/],
  ['--toString x', /^unknown option "--toString"/],
  ['--verbose=1 x', /^option --verbose takes no value, not "1"/],
  ['--ip', /^option --ip needs a value \(--ip 10\.0\.0\.5\)/],
  ['--ip --mac 02:00:00:00:00:01 x', /^option --ip needs a value/],
  ['--ip -- x', /^option --ip needs a value/],
  ['--net= x', /^option --net needs a value/],
  ['--net a --net b x', /^option --net is given twice: "a" and "b"/],
  ['--ip 10.0.0 x', /^cannot use --ip "10\.0\.0": not an IP address/],
  ['--ip 10.0.0.256 x', /^cannot use --ip "10\.0\.0\.256": not an IP address/],
  ['--ip 10.0.0.05 x', /not an IP address/],
  ['--ip 10.0.0.5/33 x', /the prefix length is 1 to 32/],
  ['--ip 10.0.0.5/ x', /not an IP address/],
  ['--ip 10.0.0.5/24/1 x', /not an IP address/],
  ['--ip 10.0.0.5/0 x', /^cannot use --ip "10\.0\.0\.5\/0": the prefix length is 1 to 32/],
  ['--ip fd00::/0 x', /the prefix length is 1 to 128/],
  ['--ip ::ffff:10.0.0.5 x', /write an IPv4 address as 10/],
  ['--ip 0.0.0.0 x', /begin with 0/],
  ['--ip 127.0.0.2 x', /loopback/],
  ['--ip 224.0.0.1 x', /multicast/],
  ['--ip 255.255.255.255 x', /reserved/],
  ['--mac 02:00:00:00:00 x', /^cannot use --mac "02:00:00:00:00": not an Ethernet address/],
  ['--mac 2:0:0:0:0:1 x', /not an Ethernet address/],
  ['--mac 01:00:5e:00:00:01 x', /multicast address/],
  ['--mac 00:00:00:00:00:00 x', /it is nobody's/],
  ['--gateway 10.0.0.1 x', /^cannot use gateway 10\.0\.0\.1: it needs an --ip/],
  ['--ip 10.0.0.5 --gateway 10.0.1.1 x', /it is not on the network of --ip 10\.0\.0\.5\/24/],
  ['--ip 10.0.0.5 --gateway 10.0.0.5 x', /it is the program's own address/],
  ['--ip 10.0.0.5 --gateway gw x', /^cannot use --gateway "gw": not an IP address/],
  ['--ip 10.0.0.5 --gateway fd00::1 x', /it needs an --ip/],
  ['--ip6 10.0.0.5 x', /^cannot use --ip6 "10\.0\.0\.5": not an IPv6 address/],
  ['--ip6 auto,hash x', /there is none \(give --name\)/],
  ['--ip6 x', /^no command/],
  ['--route x y', /^cannot use --route "x": "x" is no prefix/],
  ['--mtu 1 x', /^cannot use --mtu "1": an mtu is 68/],
  ['--mtu 1279 --ip6 auto x', /it needs 1280/],
  ['--mtu 1400 --mtu 1500 x', /^option --mtu is given twice/],
  ['--name a..b x', /^cannot use --name "a\.\.b": not a host name/],
  ['--dhcp=1 x', /^option --dhcp takes no value/],
  ['--conf dchp x', /^cannot use --conf "dchp": there is no such option/],
] as const)
  t.throws(() => parse(line), { message: sentence, status: 125 }, `ioth-run ${line}`)
