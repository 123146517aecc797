// dnsmasq serves addresses to programs of ours: DHCP, router advertisements, DHCPv6.
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'

import { dissect, Lab } from '../helpers/lab.ts'
import { Namespace, noTaps, uniqueName } from '../helpers/netns.ts'
import { until } from '../helpers/program.ts'
import { injectFault, stackServerOf } from '../helpers/stack-server.ts'
import { iothRun } from '../helpers/ioth-run.ts'

const skip = noTaps ?? false
t.jobs = 4

const RANGE = '--dhcp-range=10.7.0.50,10.7.0.60,2m'
/** DHCP's message types in order. */
const types = (capture: string) => {
  const { wrong, lines } = dissect(capture, 'dhcp', 'dhcp.option.dhcp')
  const names = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE']
  return { wrong, types: lines.map(line => names[Number(line)]).join(' ') }
}
const leases = (lab: Lab) =>
  lab
    .read('leases')
    .split('\n')
    .filter(line => line.includes(' 10.7.'))

t.test(
  '--dhcp: a lease, its routes and names, our name in the server’s leases, and RELEASE',
  { skip },
  async t => {
    const lab = await Lab.open(t, '10.7.0.1/24')
    const options = [
      '--domain=lab',
      '--dhcp-option=3,10.7.0.1',
      '--dhcp-option=6,10.7.0.1,10.7.0.2',
      '--dhcp-option=26,1400',
      '--dhcp-option=119,a.lab,b.lab',
    ]
    await lab.dnsmasq(RANGE, '--no-ping', ...options)
    const { program, capture } = lab.run('--dhcp', '--name', 'web.lab', 'cat')
    const said = await lab.obtained(program)
    const address = / (10\.7\.0\.5\d|10\.7\.0\.60)\/24 /.exec(said)?.[1] ?? t.fail(said)
    for (const line of [
      /route 0\.0\.0\.0\/0 via 10\.7\.0\.1\n/,
      /name servers 10\.7\.0\.1 10\.7\.0\.2\n/,
      /search a\.lab b\.lab\n/,
      /leased by 10\.7\.0\.1, for 120 s\n/,
    ])
      t.match(said, line)
    t.match(leases(lab)[0], new RegExp(` ${address} web 01:`))
    t.match(await lab.host.run('ping', '-c', '2', '-i', '0.2', `${address}`), / 2 received/)
    program.child.stdin!.end()
    t.equal((await program.ends()).status, 0)
    await until('the release', 5000, () => leases(lab).length === 0)
    t.same(types(capture), { wrong: '', types: 'DISCOVER OFFER REQUEST ACK RELEASE' })
  },
)

t.test('--dhcp: classless routes instead of the router (RFC 3442)', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24')
  await lab.dnsmasq(
    RANGE,
    '--no-ping',
    '--dhcp-option=3,10.7.0.1',
    '--dhcp-option=121,10.9.0.0/16,10.7.0.2,192.0.2.0/24,10.7.0.3',
  )
  const { program } = lab.run('--dhcp', 'cat')
  const said = await lab.obtained(program)
  t.match(said, /route 10\.9\.0\.0\/16 via 10\.7\.0\.2\n/)
  t.match(said, /route 192\.0\.2\.0\/24 via 10\.7\.0\.3\n/)
  t.notMatch(said, '0.0.0.0/0')
})

t.test('--dhcp: renewed at T1; refused then, and another address', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24')
  const short = [
    '--dhcp-option=58,3s',
    '--dhcp-option=59,100s',
    '--no-ping',
    '--dhcp-authoritative',
  ]
  const first = await lab.dnsmasq(RANGE, ...short)
  const { program, capture } = lab.run('--dhcp', 'cat')
  await lab.obtained(program)
  await until('two renewals', 15_000, () => first.stderr.split('DHCPACK').length > 3)
  first.signal('SIGTERM')
  await first.ends()
  lab.write('leases', '')
  const second = await lab.dnsmasq('--dhcp-range=10.7.0.150,10.7.0.160,2m', ...short)
  await until('another address', 20_000, () => /DHCPACK\S* 10\.7\.0\.1[56]/.test(second.stderr))
  t.match(second.stderr, /DHCPNAK/)
  // The address is ours after its probes.
  await until('an answer', 5000, () => leases(lab).length === 1)
  const [, , address] = leases(lab)[0].split(' ')
  await delay(1000)
  t.match(await lab.host.run('ping', '-c', '2', '-i', '0.2', address), / 2 received/)
  t.equal(types(capture).wrong, '')
  const { lines } = dissect(
    capture,
    'dhcp.option.dhcp == 3 && ip.dst == 10.7.0.1',
    'ip.src',
    'dhcp.ip.client',
  )
  t.ok(lines.length >= 2, 'renewals go to the server alone')
  for (const line of lines) t.match(line, /^(10\.7\.0\.\d+) \1$/)
})

t.test('--dhcp: an address that another station has is declined', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24')
  const mac = '02:00:00:00:07:07'
  await lab.dnsmasq(RANGE, '--no-ping', `--dhcp-host=${mac},10.7.0.50`)
  const squatter = lab.run('--ip', '10.7.0.50/24', 'cat')
  await lab.obtained(squatter.program)
  const { program, capture } = lab.run('--dhcp', '--mac', mac, 'cat')
  const said = await lab.obtained(program)
  t.match(said, / 10\.7\.0\.(5[1-9]|60)\/24 /)
  t.same(types(capture), {
    wrong: '',
    types: 'DISCOVER OFFER REQUEST ACK DECLINE DISCOVER OFFER REQUEST ACK',
  })
})

t.test('--dhcp: beside busybox udhcpc, each with an address of its own', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24')
  await lab.dnsmasq('--dhcp-range=10.7.0.50,10.7.0.51,2m', '--no-ping')
  const { host, tap } = await lab.another()
  const script = lab.write(
    'script',
    `#!/bin/sh\n[ "$1" != bound ] || ip addr add $ip/24 dev ${tap}\n`,
  )
  chmodSync(script, 0o755)
  const theirs = host.start('busybox', 'udhcpc', '-f', '-n', '-R', '-i', tap, '-s', script)
  const ours = lab.run('--dhcp', 'cat')
  const address = / (10\.7\.0\.5[01])\/24 /.exec(await lab.obtained(ours.program))?.[1]
  const other = address === '10.7.0.50' ? '10.7.0.51' : '10.7.0.50'
  await until('their lease', 20_000, () => theirs.stderr.includes(`lease of ${other} obtained`))
  t.match(await host.run('ping', '-c', '2', '-i', '0.2', `${address}`), / 2 received/)
  theirs.signal('SIGTERM')
  await theirs.ends()
  await until('their release', 5000, () => leases(lab).length === 1)
  t.match(leases(lab)[0], ` ${address} `)
  t.equal(types(ours.capture).wrong, '')
})

t.test('--dhcp: behind a relay', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24')
  const far = new Namespace(t)
  const [near, there] = [uniqueName('va'), uniqueName('vb')]
  lab.host.ip('link', 'add', near, 'type', 'veth', 'peer', 'name', there)
  lab.host.ip('link', 'set', there, 'netns', far.name)
  lab.host.ip('addr', 'add', '10.8.0.2/24', 'dev', near)
  lab.host.ip('link', 'set', near, 'up')
  far.ip('addr', 'add', '10.8.0.1/24', 'dev', there)
  far.ip('link', 'set', there, 'up')
  far.ip('route', 'add', '10.7.0.0/24', 'via', '10.8.0.2')
  await lab.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  const server = await lab.dnsmasqIn(
    far,
    '--port=0',
    '--dhcp-range=10.7.0.50,10.7.0.60,255.255.255.0,2m',
    '--no-ping',
    '--dhcp-option=3,10.7.0.1',
    '--dhcp-option=58,3s',
    '--dhcp-option=59,100s',
  )
  const relay = lab.host.start(
    'dnsmasq',
    '--no-daemon',
    '--conf-file=/dev/null',
    '--port=0',
    '--log-facility=-',
    '--user=root',
    '--pid-file=',
    '--dhcp-relay=10.7.0.1,10.8.0.1',
  )
  await until('the relay', 10_000, () => relay.stderr.includes('DHCP relay'))
  const { program, capture } = lab.run('--dhcp', 'cat')
  const said = await lab.obtained(program)
  t.match(said, / 10\.7\.0\.(5\d|60)\/24 /)
  t.match(said, /leased by 10\.8\.0\.1, /)
  // Renewals go to the server itself, through the router.
  await until('a renewal', 10_000, () => server.stderr.split('DHCPACK').length > 2)
  program.child.stdin!.end()
  await program.ends()
  await until('the release', 5000, () => leases(lab).length === 0)
  t.equal(types(capture).wrong, '')
})

t.test('--dhcp without a server', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24')
  const { program } = lab.run('--dhcp', 'cat')
  const began = performance.now()
  const { status, stderr } = await program.ends(30_000)
  t.equal(status, 125)
  t.match(stderr, /^ioth-run: no DHCP server answered on pcap:.*\n$/)
  t.ok(performance.now() - began < 15_000)
})

t.test(
  '--ip6 auto: a managed network gives an address by DHCPv6, and gets it back',
  { skip },
  async t => {
    const lab = await Lab.open(t, 'fd07::1/64')
    await lab.dnsmasq('--enable-ra', '--dhcp-range=fd07::100,fd07::1ff,64,2m', '--domain=lab')
    const { program, capture } = lab.run('--ip6', 'auto', '--name', 'web.lab', 'cat')
    const said = await lab.obtained(program)
    const address = / (fd07::1[0-9a-f]{2})\/128 /.exec(said)?.[1] ?? t.fail(said)
    t.match(said, /route fd07::\/64\n.*route ::\/0 via fe80::/s)
    t.match(lab.read('leases'), new RegExp(` ${address} web `))
    t.match(await lab.host.run('ping', '-c', '2', '-i', '0.2', `${address}`), / 2 received/)
    program.child.stdin!.end()
    await program.ends()
    await until('the release', 5000, () => !lab.read('leases').includes(`${address}`))
    const { wrong, lines } = dissect(capture, 'dhcpv6', 'dhcpv6.msgtype')
    t.equal(wrong, '')
    // Its answer to the Release may come as the stack ends.
    t.same(lines.slice(0, 3), ['1', '7', '8'], 'Solicit, Reply (rapid commit), Release')
  },
)

t.test('--ip6 auto: addresses without a server, names by stateless DHCPv6', { skip }, async t => {
  const lab = await Lab.open(t, 'fd07::1/64')
  const server = await lab.dnsmasq(
    '--enable-ra',
    '--dhcp-range=fd07::,ra-stateless',
    '--dhcp-option=option6:domain-search,a.lab',
  )
  const { program, capture } = lab.run('--ip6', 'auto', '--mac', '02:00:00:00:07:07', 'cat')
  const said = await lab.obtained(program)
  t.match(said, / fd07::ff:fe00:707\/64 /)
  t.match(await lab.host.run('ping', '-c', '2', '-i', '0.2', 'fd07::ff:fe00:707'), / 2 received/)
  await until('the question', 5000, () => server.stderr.includes('DHCPINFORMATION-REQUEST'))
  await delay(200)
  const { wrong, lines } = dissect(capture, 'dhcpv6', 'dhcpv6.msgtype')
  t.equal(wrong, '')
  t.same(lines, ['11', '7'], 'Information-request, Reply')
})

t.test(
  '--conf: the same in iothconf’s words, with addresses that come from a name',
  { skip },
  async t => {
    const lab = await Lab.open(t, 'fd07::1/64', '10.7.0.1/24')
    await lab.dnsmasq('--enable-ra', '--dhcp-range=fd07::,ra-only', RANGE, '--no-ping')
    const { program } = lab.run('--conf', 'eth,dhcp,rd,slaac,fqdn=test.v2.cs.unibo.it', 'cat')
    const said = await lab.obtained(program)
    t.match(said, ' is 6a:d6:2f:5a:5a:2e 10.7.0.')
    t.match(said, ' fd07::68d6:2fac:95a:5a2e/64 ')
    t.match(leases(lab)[0], / test 01:6a:d6:2f:5a:5a:2e$/)
  },
)

t.test('a lease outlives the stack’s thread, and is nobody else’s', { skip }, async t => {
  const lab = await Lab.open(t, '10.7.0.1/24', 'fd07::1/64')
  Object.assign(lab.env, { IOTH_FAULTS: '1' })
  await lab.dnsmasq(RANGE, '--no-ping', '--enable-ra', '--dhcp-range=fd07::100,fd07::1ff,64,2m')
  const { program, capture } = lab.run('--dhcp', '--ip6', 'auto', 'cat')
  const said = await lab.obtained(program)
  const address = / (10\.7\.0\.\d+)\/24 /.exec(said)![1]
  const address6 = / (fd07::1[0-9a-f]{2})\/128 /.exec(said)![1]
  const ping = async () => {
    for (const to of [address, address6])
      t.match(await lab.host.run('ping', '-c', '2', '-i', '0.2', to), / 2 received/, to)
  }
  for (const taken of [address, address6]) {
    const other = await iothRun(['--ip', taken, '--net', 'switch://lab', 'true'], { env: lab.env })
    t.equal(other.status, 125)
    t.match(other.stderr, new RegExp(`cannot take ${taken} on network "lab": .* has it`))
  }
  const stack = await stackServerOf(lab.env, program.pid)
  t.equal(injectFault(stack, 'throw'), 0)
  await ping()
  t.match(
    readFileSync(join(stack.dir, 'log'), 'latin1'),
    /thrown as a test asked/,
    'it was replaced',
  )
  // Nothing was asked for again.
  t.equal(types(capture).types, 'DISCOVER OFFER REQUEST ACK')
  program.child.stdin!.end()
  await program.ends()
  await until('the release', 5000, () => leases(lab).length === 0)
})
