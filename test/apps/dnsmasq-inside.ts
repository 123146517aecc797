// dnsmasq as a node of its own: a name server for others, over UDP and TCP, IPv4 and IPv6; and Debian's resolvers as its clients.
import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'

const OPTIONS = [
  '--keep-in-foreground',
  '--conf-file=/dev/null',
  '--pid-file=',
  '--user=',
  '--no-resolv',
  '--no-hosts',
  '--log-facility=-',
  '--local=/lab/',
  '--host-record=five.lab,10.0.0.5,fd00::5',
  '--ptr-record=5.0.0.10.in-addr.arpa,five.lab',
  '--txt-record=long.lab,' + 'x'.repeat(200) + ',' + 'y'.repeat(200) + ',' + 'z'.repeat(200),
]

t.test('dnsmasq, asked by dig, host, getent and wget', async t => {
  const env = runtime(t)
  const ips = ['--ip', '10.0.0.53', '--ip', 'fd00::53']
  const server = iothStart(t, [...ips, 'dnsmasq', ...OPTIONS], { env })
  const ask = async (dns: string, command: string) => {
    const words = ['--ip', '10.0.0.6', '--ip', 'fd00::6', '--dns', dns, '--search', 'lab']
    const { stdout, stderr } = await iothRun([...words, 'sh', '-c', command], { env })
    return stdout + stderr
  }
  const web = ['--ip', '10.0.0.5', 'sh', '-c', `echo up; exec busybox httpd -f -h ${t.testdir()}`]
  await iothStart(t, web, { env }).says(/up/)
  const retry = 'until dig +short +tries=1 +time=1 five.lab; do sleep 0.1; done'
  t.match(await ask('10.0.0.53', retry), /10\.0\.0\.5\n$/)
  t.equal(await ask('fd00::53', 'dig +short AAAA five.lab'), 'fd00::5\n')
  t.equal(await ask('10.0.0.53', 'dig +short +tcp -x 10.0.0.5'), 'five.lab.\n')
  t.match(
    await ask(
      '10.0.0.53',
      'dig +short +ignore +noedns +bufsize=512 TXT long.lab; dig +short TXT long.lab',
    ),
    /z{200}/,
  )
  t.match(
    await ask('fd00::53', 'host five'),
    /five\.lab has address 10\.0\.0\.5\nfive\.lab has IPv6 address fd00::5/,
  )
  t.match(
    await ask('10.0.0.53', 'getent ahosts five'),
    /^10\.0\.0\.5 +STREAM five\.lab\n[^]*\nfd00::5 +STREAM/,
  )
  t.match(await ask('10.0.0.53', 'dig +noall +comments none.lab'), /status: NXDOMAIN/)
  t.match(await ask('10.0.0.53', 'wget -q -O - http://five.lab/; echo $?'), /\n?8\n$/, 'its 404')
  server.signal('SIGTERM')
  t.match(await server.ends(), { status: 0 })
  t.notMatch(server.stderr, /failed|error/i)
})
