// radvd speaks as a router to programs of ours: prefixes, lifetimes, names, routes, and the router's end.
import t from 'tap'

import { dissect, Lab } from '../helpers/lab.ts'
import { noTaps } from '../helpers/netns.ts'
import { PYTHON, until, type Program } from '../helpers/program.ts'

const skip = noTaps ?? false
t.jobs = 3

/** Answers each line "ADDRESS" with what a connect of UDP to it says: the source address, or an error's name. */
const SOURCES = `
import errno, socket, sys
for line in sys.stdin:
  s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
  s.setblocking(False)
  try:
    s.connect((line.strip(), 9))
  except BlockingIOError: print(s.getsockname()[0], flush=True)
  except OSError as e: print(errno.errorcode[e.errno], flush=True)
  s.close()
`

async function radvd(lab: Lab, options: string): Promise<Program> {
  const text = `interface ${lab.tap} {
    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 60;
    ${options}
  };`
  const conf = lab.write('radvd.conf', text)
  await lab.host.run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1')
  const words = ['-n', '-C', conf, '-p', lab.path('radvd.pid'), '-m', 'stderr', '-d', '3']
  const program = lab.host.start('radvd', ...words)
  await until('radvd', 10_000, () => {
    if (program.over) throw new Error(program.stderr)
    return program.stderr.includes('version')
  })
  return program
}

/** The source address that the program has towards `address`, or why it has none. */
async function source(program: Program, address: string): Promise<string> {
  const before = program.stdout.length
  program.child.stdin!.write(`${address}\n`)
  return until(
    `the way to ${address}`,
    5000,
    () => /^(.+)\n/.exec(program.stdout.slice(before))?.[1],
  )
}

t.test('--ip6 auto: what a router says becomes addresses, routes and names', { skip }, async t => {
  const lab = await Lab.open(t, 'fd07::1/64')
  await radvd(
    lab,
    `
    AdvLinkMTU 1400;
    prefix fd07::/64 { AdvValidLifetime 3600; AdvPreferredLifetime 1800; };
    prefix fd08::/64 { AdvOnLink off; };
    prefix fd09::/64 { AdvAutonomous off; };
    route fd0a::/48 { AdvRouteLifetime 600; };
    RDNSS fd07::53 fd07::54 {};
    DNSSL a.lab b.lab {};`,
  )
  const words = ['--ip6', 'auto', '--mac', '02:00:00:00:07:07', 'cat', '/etc/resolv.conf', '-']
  const { program, capture } = lab.run(...words)
  const said = await lab.obtained(program)
  t.match(said, ' fd07::ff:fe00:707/64 ')
  t.match(said, ' fd08::ff:fe00:707/64 ')
  t.notMatch(said, ' fd09::ff')
  for (const line of [
    'route fd07::/64\n',
    'route fd09::/64\n',
    'route fd0a::/48 via fe80::',
    'route ::/0 via fe80::',
    'name servers fd07::53 fd07::54\n',
    'search a.lab b.lab\n',
  ])
    t.match(said, line)
  t.notMatch(said, 'route fd08::/64\n', 'a prefix that is not on the link')
  t.match(await lab.host.run('ping', '-c', '2', '-i', '0.2', 'fd07::ff:fe00:707'), / 2 received/)
  program.child.stdin!.end()
  t.equal((await program.ends()).status, 0)
  const told = 'nameserver fd07::53\nnameserver fd07::54\nsearch a.lab b.lab\n'
  t.equal(program.stdout, told, 'at its start, too')
  t.equal(dissect(capture, 'icmpv6', 'icmpv6.type').wrong, '')
})

t.test(
  '--ip6 auto: a prefix that is no longer preferred, and a router that ends',
  { skip },
  async t => {
    const lab = await Lab.open(t, 'fd07::1/64', 'fd08::1/64')
    const router = await radvd(
      lab,
      `
    prefix fd07::/64 { AdvPreferredLifetime 1800; };
    prefix fd08::/64 { AdvPreferredLifetime 0; AdvValidLifetime 7200; };`,
    )
    const { program } = lab.run(
      '--ip6',
      'auto',
      '--mac',
      '02:00:00:00:07:07',
      PYTHON,
      '-c',
      SOURCES,
    )
    await lab.obtained(program)
    t.equal(await source(program, 'fd07::9'), 'fd07::ff:fe00:707')
    t.equal(await source(program, 'fd99::9'), 'fd07::ff:fe00:707', 'through the router')
    router.signal('SIGTERM')
    await router.ends()
    // Its last word is that it is no router any more.
    let answer = ''
    for (let i = 0; i < 50 && answer !== 'ENETUNREACH'; i++)
      answer = await source(program, 'fd99::9')
    t.equal(answer, 'ENETUNREACH')
    t.equal(await source(program, 'fd07::9'), 'fd07::ff:fe00:707', 'the addresses stay')
  },
)

t.test('--ip6 auto,stable: the same address each time, and not the MAC’s', { skip }, async t => {
  const lab = await Lab.open(t, 'fd07::1/64')
  const env = { XDG_STATE_HOME: lab.path('state') }
  Object.assign(lab.env, env)
  await radvd(lab, 'prefix fd07::/64 {};')
  const address = async (...words: string[]) => {
    const { program } = lab.run('--ip6', 'auto,stable', ...words)
    const said = await lab.obtained(program)
    program.child.stdin!.end()
    await program.ends()
    return / (fd07:\S+)\/64 /.exec(said)?.[1]
  }
  const first = await address('cat')
  t.match(first, /^fd07::/)
  t.equal(await address('--mac', '02:00:00:00:07:07', 'cat'), first)
  t.not(await address('--name', 'other', 'cat'), first)
})
