// Ways out of the stack to the host's network: a program that tries them all finds none, and the host sends no packet.
import { chmodSync, copyFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { IOTH_RUN, iothRun, root, runtime } from '../helpers/ioth-run.ts'
import { Namespace, ip, noTaps, uniqueName } from '../helpers/netns.ts'

const dir = t.testdir()
const SOURCE = join(root, 'test/fixtures/leak.c')
const dynamic = join(dir, 'leak')
const fixed = join(dir, 'leak-static')
const setuid = join(dir, 'leak-setuid')
execFileSync('gcc', ['-O1', SOURCE, '-o', dynamic])
execFileSync('gcc', ['-O1', '-static', SOURCE, '-o', fixed])
copyFileSync(fixed, setuid)
chmodSync(setuid, 0o4755)

/** Passes a UDP socket of the host's to whoever connects. */
const PASSER = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print("ready", flush=True)
while True:
  c, _ = s.accept()
  u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
  socket.send_fds(c, [b"x"], [u.fileno()])
  c.recv(1)
`

const UNREACHED = '192.0.2.1'

/** A host with one interface, whose neighbor is known: what is sent there leaves as a packet. */
function host(t: Test): { namespace: Namespace; sent: () => Promise<number> } {
  const [a, b] = [uniqueName('lk'), uniqueName('lk')]
  ip('link', 'add', a, 'type', 'veth', 'peer', 'name', b)
  const namespace = new Namespace(t)
  execFileSync('ip', [
    'netns',
    'exec',
    namespace.name,
    'sysctl',
    '-qw',
    'net.ipv6.conf.all.disable_ipv6=1',
  ])
  namespace.adopt(b)
  namespace.adopt(a, '192.0.2.2/24')
  namespace.ip('neigh', 'add', UNREACHED, 'lladdr', '02:00:00:00:00:01', 'dev', a)
  const sent = async () =>
    Number(await namespace.run('cat', `/sys/class/net/${a}/statistics/tx_packets`))
  return { namespace, sent }
}

t.test('nothing gets out', { skip: noTaps }, async t => {
  const env = runtime(t)
  const { namespace, sent } = host(t)
  const run = (...words: string[]) =>
    namespace.run(
      'env',
      `XDG_RUNTIME_DIR=${env.XDG_RUNTIME_DIR}`,
      IOTH_RUN,
      '--ip',
      '10.0.0.5',
      ...words,
    )
  const before = await sent()
  for (const [name, program] of [
    ['a dynamic program', [dynamic]],
    ['a static one', [fixed]],
    ['a setuid one', [setuid]],
    ['a static child of a shell', ['sh', '-c', '"$@"; :', 'sh', fixed]],
    ['a static child without an environment', ['env', '-i', fixed]],
  ] as const)
    t.equal(await run('--', ...program, UNREACHED), '', `${name} finds no way`)
  const path = join(dir, 'passer')
  await namespace.start('python3', '-c', PASSER, path).says(/ready/)
  for (const program of [dynamic, fixed])
    t.equal(
      await run('--', program, UNREACHED, path),
      '',
      'a socket that is passed is not received',
    )
  t.equal(await sent(), before, 'no packet')
  t.match(await run('--no-seccomp', '--', fixed, UNREACHED), /socket by system call/, 'unguarded')
  t.ok((await sent()) > before, 'there are packets then')
})

t.test('an inherited socket of the host is refused', async t => {
  const script = `
import socket, subprocess, sys
s = socket.socket()
r = subprocess.run(sys.argv[1:], pass_fds=[s.fileno()], capture_output=True, text=True)
print(r.returncode, s.fileno(), r.stderr)`
  const command = [IOTH_RUN, '--ip', '10.0.0.6', 'true']
  const said = execFileSync('python3', ['-c', script, ...command], { env: runtime(t) })
  t.match(
    String(said),
    /^125 (\d+) ioth-run: cannot hand descriptor \1 to the program: it is a socket of the host's network/,
  )
})

t.test('AF_UNIX, netlink and files are as before', async t => {
  const script =
    'import socket; a,b=socket.socketpair(); a.send(b"x"); print(b.recv(1)); ' +
    'socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)'
  const { stdout, stderr } = await iothRun(['--ip', '10.0.0.7', 'python3', '-c', script], {
    env: runtime(t),
  })
  t.same({ stdout, stderr }, { stdout: "b'x'\n", stderr: '' })
})
