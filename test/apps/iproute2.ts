// ip(8) and ss(8) of iproute2, unmodified: what they show is the stack's, what they change is changed there.
import t, { type Test } from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { Shell } from '../helpers/shell.ts'

const node = ['--ip', '10.0.0.5/24', '--ip', 'fd00::5/64', '--gateway', '10.0.0.1']

t.jobs = 3

/** What a program prints, on a node of its own. */
async function run(t: Test, ...command: string[]): Promise<string> {
  const { status, stdout, stderr } = await iothRun([...node, ...command], { env: runtime(t) })
  t.equal(stderr, '')
  t.equal(status, 0)
  return stdout
}

t.test('ip -j addr', async t => {
  const [lo, eth0] = JSON.parse(await run(t, 'ip', '-j', 'addr'))
  t.match(lo, { ifindex: 1, ifname: 'lo', mtu: 65536, flags: ['LOOPBACK', 'UP', 'LOWER_UP'] })
  t.match(lo.addr_info, [
    { family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host', label: 'lo' },
    { family: 'inet6', local: '::1', prefixlen: 128, scope: 'host' },
  ])
  t.match(eth0, {
    ifindex: 2,
    ifname: 'eth0',
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: 1500,
    operstate: 'UP',
    link_type: 'ether',
  })
  t.match(eth0.addr_info, [
    { local: '10.0.0.5', prefixlen: 24, broadcast: '10.0.0.255', scope: 'global', label: 'eth0' },
    { local: 'fd00::5', prefixlen: 64, scope: 'global', valid_life_time: 4294967295 },
    { local: /^fe80::/, prefixlen: 64, scope: 'link' },
  ])
})

const ROUTES = [
  { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
  {
    dst: '10.0.0.0/24',
    dev: 'eth0',
    protocol: 'kernel',
    scope: 'link',
    prefsrc: '10.0.0.5',
    flags: [],
  },
]
const kernel6 = { dev: 'eth0', protocol: 'kernel', metric: 256, flags: [], pref: 'medium' }
const local = { type: 'local', protocol: 'kernel', flags: [] }

/** As the kernel answers in a network namespace with these addresses and routes. */
const SHOWN = [
  ['route', ROUTES],
  [
    '-6 route',
    [
      { dst: 'fd00::/64', ...kernel6 },
      { dst: 'fe80::/64', ...kernel6 },
    ],
  ],
  [
    '-4 route show table local',
    [
      { ...local, dst: '10.0.0.5', dev: 'eth0', scope: 'host', prefsrc: '10.0.0.5' },
      {
        ...local,
        type: 'broadcast',
        dst: '10.0.0.255',
        dev: 'eth0',
        scope: 'link',
        prefsrc: '10.0.0.5',
      },
      { ...local, dst: '127.0.0.0/8', dev: 'lo', scope: 'host', prefsrc: '127.0.0.1' },
      { ...local, dst: '127.0.0.1', dev: 'lo', scope: 'host', prefsrc: '127.0.0.1' },
      {
        ...local,
        type: 'broadcast',
        dst: '127.255.255.255',
        dev: 'lo',
        scope: 'link',
        prefsrc: '127.0.0.1',
      },
    ],
  ],
  [
    'rule',
    [
      { priority: 0, src: 'all', table: 'local' },
      { priority: 32766, src: 'all', table: 'main' },
      { priority: 32767, src: 'all', table: 'default' },
    ],
  ],
  ['neigh', []],
  [
    'route get 10.0.0.9',
    [{ dst: '10.0.0.9', dev: 'eth0', prefsrc: '10.0.0.5', flags: [], uid: 0, cache: [] }],
  ],
  [
    'route get 8.8.8.8',
    [
      {
        dst: '8.8.8.8',
        gateway: '10.0.0.1',
        dev: 'eth0',
        prefsrc: '10.0.0.5',
        flags: [],
        uid: 0,
        cache: [],
      },
    ],
  ],
  [
    'route get 10.0.0.5',
    [
      {
        type: 'local',
        dst: '10.0.0.5',
        dev: 'lo',
        prefsrc: '10.0.0.5',
        flags: [],
        uid: 0,
        cache: ['local'],
      },
    ],
  ],
  ['route get fd00::9', [{ dst: 'fd00::9', from: '::', ...kernel6, prefsrc: 'fd00::5' }]],
] as const

/** As the kernel's. */
const REFUSED = [
  ['route add 10.1.0.0/16 via 10.9.9.9', 'Error: Nexthop has invalid gateway.'],
  ['route add default via 10.0.0.1', 'RTNETLINK answers: File exists'],
  ['route del 10.77.0.0/16', 'RTNETLINK answers: No such process'],
  ['-6 route del 2001::/64', 'RTNETLINK answers: No such process'],
  ['addr add 10.0.0.5/24 dev eth0', 'Error: ipv4: Address already assigned.'],
  ['addr del 10.0.0.77/24 dev eth0', 'Error: ipv4: Address not found.'],
  ['addr add 10.0.0.6/24 dev nosuch', 'Cannot find device "nosuch"'],
  ['link set eth0 mtu 10', 'Error: mtu less than device minimum.'],
  ['link set eth0 mtu 100000', 'Error: mtu greater than device maximum.'],
  ['link show nosuch', 'Device "nosuch" does not exist.'],
  ['link del lo', 'RTNETLINK answers: Operation not supported'],
  ['link add dummy0 type dummy', 'Error: Unknown device type.'],
  ['neigh del 10.0.0.99 dev eth0', 'RTNETLINK answers: No such file or directory'],
  ['neigh get 10.0.0.77 dev eth0', 'Error: Neighbour entry not found.'],
] as const

t.test('ip shows what there is, and refuses what is wrong', async t => {
  const shell = new Shell(t, runtime(t), ...node)
  for (const [words, want] of SHOWN)
    t.same(JSON.parse(await shell.ask(t, `ip -j ${words}`)), want, words)
  for (const [words, said] of REFUSED) {
    const { status, text } = await shell.run(`ip ${words}`)
    t.equal(text.trim(), said, words)
    t.not(status, 0)
  }
  await shell.exit(t)
})

t.test('ip changes addresses, routes, neighbors and the link', async t => {
  const said = await run(
    t,
    'sh',
    '-c',
    `set -e
ip addr add 10.7.0.5/16 dev eth0
ip route add 10.9.0.0/16 via 10.7.0.9 proto static metric 5
ip route replace default via 10.0.0.2
ip neigh add 10.7.0.9 lladdr 02:00:00:00:00:09 dev eth0
ip link set eth0 mtu 1400
ip -br -4 addr show eth0; ip route; ip neigh; cat /dev/null; ip -o link show eth0
ip neigh del 10.7.0.9 dev eth0; ip route flush proto static; ip addr del 10.7.0.5/16 dev eth0
ip neigh; ip route; ip link set eth0 down; ip -o link show eth0; ip link set eth0 up; ip -o link show eth0`,
  )
  const lines = said.split('\n').map(line => line.trim().replace(/\\.*/, '').trim())
  t.match(lines, [
    /^eth0 +UP +10\.0\.0\.5\/24 10\.7\.0\.5\/16$/,
    'default via 10.0.0.2 dev eth0',
    '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5',
    '10.7.0.0/16 dev eth0 proto kernel scope link src 10.7.0.5',
    '10.9.0.0/16 via 10.7.0.9 dev eth0 proto static metric 5',
    '10.7.0.9 dev eth0 lladdr 02:00:00:00:00:09 PERMANENT',
    /^2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 .* state UP/,
    'default via 10.0.0.2 dev eth0',
    '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5',
    /^2: eth0: <BROADCAST,MULTICAST> mtu 1400 .* state DOWN/,
    /^2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 .* state UP/,
    '',
  ])
})

t.test('an address that was added is bound to and connected to', async t => {
  const script = `
import socket, subprocess
s = socket.socket()
try: s.bind(('10.7.0.5', 80))
except OSError as e: print(e.strerror)
subprocess.check_call(['ip', 'addr', 'add', '10.7.0.5/16', 'dev', 'eth0'])
s.bind(('10.7.0.5', 80)); s.listen()
print(socket.create_connection(('10.7.0.5', 80)).getpeername())`
  const stdout = await run(t, 'python3', '-c', script)
  t.equal(stdout, "Cannot assign requested address\n('10.7.0.5', 80)\n")
})

t.test('ip monitor tells what another ip changes', async t => {
  const said = await run(
    t,
    'sh',
    '-c',
    `ip monitor all >"$XDG_RUNTIME_DIR/monitor" & monitor=$!
while ! ss -a >/dev/null || ! ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev eth0 nud stale 2>/dev/null; do :; done
until grep -q NEIGH "$XDG_RUNTIME_DIR/monitor"; do
  ip neigh del 10.0.0.7 dev eth0; ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev eth0 nud stale; sleep 0.05
done
ip addr add 10.7.0.5/16 dev eth0; ip addr del 10.7.0.5/16 dev eth0; ip link set eth0 mtu 1400
n=0; until grep -q 'mtu 1400' "$XDG_RUNTIME_DIR/monitor" || [ $((n += 1)) -gt 100 ]; do sleep 0.05; done
kill $monitor; wait $monitor 2>/dev/null; cat "$XDG_RUNTIME_DIR/monitor"; rm "$XDG_RUNTIME_DIR/monitor"`,
  )
  for (const line of [
    /^\[ADDR\]2: eth0 +inet 10\.7\.0\.5\/16/m,
    /^\[ROUTE\]10\.7\.0\.0\/16 dev eth0 proto kernel scope link src 10\.7\.0\.5/m,
    /^\[ADDR\]Deleted 2: eth0 +inet 10\.7\.0\.5\/16/m,
    /^\[ROUTE\]Deleted 10\.7\.0\.0\/16/m,
    /^\[LINK\]2: eth0: .* mtu 1400/m,
  ])
    t.match(said, line)
})

t.test('ss shows sockets, whose they are, and what TCP knows', async t => {
  const script = `
import os, socket, subprocess
l = socket.socket(); l.bind(('10.0.0.5', 80)); l.listen(7)
c = socket.create_connection(('10.0.0.5', 80)); a, _ = l.accept(); c.send(b'x' * 1000)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('0.0.0.0', 53))
six = socket.socket(socket.AF_INET6); six.bind(('fd00::5', 81)); six.listen()
print(os.getpid(), c.getsockname()[1])
for words in ['-Htunap', '-Hti state established', '-Htln sport = :81', '-Hx']:
    print('--'); print(subprocess.check_output(['ss'] + words.split(), text=True), end='')`
  const stdout = await run(t, 'python3', '-c', script)
  const [first, all, info, port, unix] = stdout.split('--\n')
  const [pid, local] = first.trim().split(' ')
  const user = String.raw`users:\(\("python3",pid=${pid},fd=\d+\)\)`
  for (const line of [
    String.raw`udp +UNCONN +0 +0 +0\.0\.0\.0:53 +0\.0\.0\.0:\* +${user}`,
    String.raw`tcp +LISTEN +0 +7 +10\.0\.0\.5:80 +0\.0\.0\.0:\* +${user}`,
    String.raw`tcp +ESTAB +0 +0 +10\.0\.0\.5:${local} +10\.0\.0\.5:80 +${user}`,
    String.raw`tcp +ESTAB +1000 +0 +10\.0\.0\.5:80 +10\.0\.0\.5:${local} +${user}`,
    String.raw`tcp +LISTEN +0 +128 +\[fd00::5\]:81 +\[::\]:\* +${user}`,
  ])
    t.match(all, new RegExp(`^${line}`, 'm'))
  t.match(info, /cubic wscale:7,7 .* bytes_sent:1000/)
  t.match(port, /^LISTEN +0 +128 +\[fd00::5\]:81/)
  t.equal(port.split('\n').length, 2)
  t.equal(unix, '')
})

t.test('a thousand sockets: ss reads them all', async t => {
  const script = `
import resource, socket, subprocess
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
keep = []
for port in range(1000, 2000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('10.0.0.5', port)); keep.append(s)
print(len(subprocess.check_output(['ss', '-Huan']).splitlines()))`
  const stdout = await run(t, 'python3', '-c', script)
  t.equal(stdout, '1000\n')
})

t.test('without heads (native mode) the same is shown', async t => {
  const native = { env: { ...runtime(t), IOTH_MODE: 'native' } }
  const { stdout } = await iothRun(
    [...node, 'sh', '-c', 'ip -br addr; ip route; ss -Htuan'],
    native,
  )
  t.match(stdout, /^lo +UNKNOWN +127\.0\.0\.1\/8 ::1\/128 *\neth0 +UP +10\.0\.0\.5\/24 /)
  t.match(stdout, /^default via 10\.0\.0\.1 dev eth0/m)
})
