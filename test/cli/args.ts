import t from 'tap'

import { parseRunArgs, type RunArgs } from '../../cli/args.ts'

const parse = (line: string) => parseRunArgs(line.split(' ').filter(Boolean)) as RunArgs

t.test('parseRunArgs() fills in what is not given', async t => {
  t.same(parse('nginx -g daemon'), {
    addresses: [],
    mac: undefined,
    gateway: undefined,
    net: 'switch://default',
    verbose: false,
    command: 0,
  })
})

for (const [line, want] of [
  ['--ip 10.0.0.5 nginx', { addresses: ['10.0.0.5/24'], command: 2 }],
  ['--ip=10.0.0.5 nginx', { addresses: ['10.0.0.5/24'], command: 1 }],
  ['--ip 10.0.0.5/8 --ip 192.168.1.1/30 x', { addresses: ['10.0.0.5/8', '192.168.1.1/30'] }],
  ['--ip 10.0.0.5/32 x', { addresses: ['10.0.0.5/32'] }],
  ['--mac 02:AB:00:00:00:05 x', { mac: '02:ab:00:00:00:05' }],
  ['--ip 10.0.0.5 --gateway 10.0.0.1 x', { gateway: '10.0.0.1' }],
  ['--ip 10.0.0.5/16 --ip 10.9.0.5 --gateway 10.9.0.1 x', { gateway: '10.9.0.1' }],
  ['--net switch://lab x', { net: 'switch://lab' }],
  ['--net /tmp/lab x', { net: '/tmp/lab' }],
  ['--net ./lab x', { net: `${process.cwd()}/lab` }],
  ['--verbose x', { verbose: true }],
  ['-- x --ip y', { command: 1 }],
  ['--verbose -- --odd', { command: 2 }],
  ['curl --verbose --ip 1', { command: 0, verbose: false, addresses: [] }],
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
  ['--ipp 10.0.0.5 x', /^unknown option "--ipp" \(there are --ip --mac/],
  ['-v x', /^unknown option "-v"/],
  ['--toString x', /^unknown option "--toString"/],
  ['--verbose=1 x', /^option --verbose takes no value, not "1"/],
  ['--ip', /^option --ip needs a value \(--ip 10\.0\.0\.5\)/],
  ['--ip --mac 02:00:00:00:00:01 x', /^option --ip needs a value/],
  ['--ip -- x', /^option --ip needs a value/],
  ['--net= x', /^option --net needs a value/],
  ['--net a --net b x', /^option --net is given twice: "a" and "b"/],
  ['--ip 10.0.0 x', /^cannot use --ip "10\.0\.0": not an IPv4 address/],
  ['--ip 10.0.0.256 x', /^cannot use --ip "10\.0\.0\.256": not an IPv4 address/],
  ['--ip 10.0.0.05 x', /not an IPv4 address/],
  ['--ip 10.0.0.5/33 x', /not an IPv4 address/],
  ['--ip 10.0.0.5/ x', /not an IPv4 address/],
  ['--ip 10.0.0.5/24/1 x', /not an IPv4 address/],
  ['--ip 10.0.0.5/0 x', /^cannot use --ip "10\.0\.0\.5\/0": the prefix length is 1 to 32/],
  ['--ip fd00::5 x', /^cannot use --ip "fd00::5": networks carry IPv4 only/],
  ['--ip ::ffff:10.0.0.5 x', /networks carry IPv4 only/],
  ['--ip 0.0.0.0 x', /begin with 0/],
  ['--ip 127.0.0.2 x', /loopback/],
  ['--ip 224.0.0.1 x', /multicast/],
  ['--ip 255.255.255.255 x', /reserved/],
  ['--mac 02:00:00:00:00 x', /^cannot use --mac "02:00:00:00:00": not an Ethernet address/],
  ['--mac 2:0:0:0:0:1 x', /not an Ethernet address/],
  ['--mac 01:00:5e:00:00:01 x', /multicast address/],
  ['--mac 00:00:00:00:00:00 x', /it is nobody's/],
  ['--gateway 10.0.0.1 x', /^cannot use --gateway "10\.0\.0\.1": it needs an --ip/],
  ['--ip 10.0.0.5 --gateway 10.0.1.1 x', /it is not on the network of --ip 10\.0\.0\.5\/24/],
  ['--ip 10.0.0.5 --gateway 10.0.0.5 x', /it is the program's own address/],
  ['--ip 10.0.0.5 --gateway gw x', /^cannot use --gateway "gw": not an IPv4 address/],
  ['--ip 10.0.0.5 --gateway fe80::1 x', /not an IPv4 address/],
] as const)
  t.throws(() => parse(line), { message: sentence, status: 125 }, `ioth-run ${line}`)
