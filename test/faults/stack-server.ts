// The stack server dies: the power cut of its host. Its programs get errors at once, wherever they sleep, and so do their
// peers on the network; nothing is left, and the address is free.
import t, { type Test } from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart, start } from '../helpers/program.ts'
import {
  injectFault,
  nothingLeft,
  stackServerOf,
  type StackServer,
} from '../helpers/stack-server.ts'
import { transfer } from '../helpers/transfer.ts'

/** In each way a program may wait for its stack: prints what comes of it, and nobody may wait for ever. */
const programs = {
  'recv() on a connection': `socket.create_connection(('10.0.0.6', 80)).recv(100)`,
  'send() on a full buffer': `socket.create_connection(('10.0.0.6', 80)).sendall(bytes(50000000))`,
  'poll() on a connection': `
c = socket.create_connection(('10.0.0.6', 80))
p = select.poll(); p.register(c, select.POLLIN); sys.stderr.write(str(p.poll())); c.recv(1)`,
  'accept()': `socket.create_server(('', 81)).accept()`,
  'epoll_wait() on a listener': `
s = socket.create_server(('', 82)); s.setblocking(False)
e = select.epoll(); e.register(s, select.EPOLLIN | select.EPOLLET); e.poll(); s.accept()`,
  'connect() to an address that drops what comes': `
socket.socket().connect(('10.0.0.6', 82))`,
} as const

/** Accepts on port 80 and reads only when told to; on port 82 a backlog of nothing, full: SYNs are dropped. */
const peer = `
import errno, socket, sys
s = socket.create_server(('', 80))
full = socket.create_server(('', 82), backlog=0)
mine = [socket.socket() for _ in range(3)]
for c in mine: c.setblocking(False); c.connect_ex(('10.0.0.6', 82))
print('ready', flush=True)
kept = [s.accept()[0] for _ in range(3)]
print('accepted', flush=True); sys.stdin.readline()
for c in kept:
    try:
        while c.recv(1 << 20): pass
        print('EOF', flush=True)
    except OSError as e: print(errno.errorcode[e.errno], flush=True)`

for (const [title, kill] of [
  ['SIGKILL', (stack: StackServer) => process.kill(stack.pid, 'SIGKILL')],
  ['SIGTERM', (stack: StackServer) => process.kill(stack.pid, 'SIGTERM')],
  ['an error nobody caught', (stack: StackServer) => injectFault(stack, 'uncaught')],
] as const)
  t.test(`the stack server ends by ${title}`, async t => {
    const env = { ...runtime(t), IOTH_FAULTS: '1' }
    const other = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', peer], { env })
    await other.says(/ready/)
    const script = `
import errno, os, select, socket, sys, time
names = ${JSON.stringify(Object.keys(programs))}
codes = ${JSON.stringify(Object.values(programs))}
children = {}
for name, code in zip(names, codes):
    pid = os.fork()
    if pid == 0:
        try: exec(code); result = 'nothing'
        except OSError as e: result = errno.errorcode[e.errno]
        os.write(1, f'{name}: {result}\\n'.encode()); os._exit(0)
    children[pid] = name
time.sleep(1); print('asleep', flush=True)
for _ in children: os.wait()
print('over', flush=True)
try: socket.socket(); print('a socket')
except OSError as e: print('socket():', errno.errorcode[e.errno])`
    const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', script], { env })
    await other.says(/accepted/)
    await program.says(/asleep/)
    kill(await stackServerOf(env, program.pid))
    // Long enough for a loaded machine; a timeout of TCP's would be a minute.
    const { stdout } = await program.ends(5000)
    const errors = new Map(stdout.split('\n').map(line => line.split(': ') as [string, string]))
    for (const name of Object.keys(programs))
      t.match(errors.get(name), /^(ENETDOWN|ECONNRESET|EPIPE|ECONNABORTED)$/, name)
    t.equal(errors.get('socket()'), 'ENETDOWN')
    other.child.stdin!.end('read\n')
    const peers = await other.ends(5000)
    const told = peers.stdout.split('\n').slice(2, 5)
    t.equal(told.length, 3)
    for (const error of told) t.match(error, /^(ECONNRESET|EHOSTUNREACH|ENETRESET|EHOSTDOWN)$/)
    await nothingLeft(t, env)
    await isFree(t, env)
  })

t.test(
  'the stack server of a receiver is killed: the sender is told, in the middle of it',
  async t => {
    const env = runtime(t)
    const moving = await transfer(t, env, 2000)
    await moving.arrived(20)
    process.kill((await stackServerOf(env, moving.client.pid)).pid, 'SIGKILL')
    t.match(await moving.client.ends(5000), { status: 1, stderr: /ConnectionResetError|OSError/ })
    t.match(await moving.server.ends(5000), { status: 1, stderr: /Error/ })
    await nothingLeft(t, env)
  },
)

t.test('programs that end after their stack server end as they would have', async t => {
  const env = runtime(t)
  const script = 'echo ready; read line; echo "$line"; exit 42'
  const program = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', script], { env })
  await program.says(/ready/)
  process.kill((await stackServerOf(env, program.pid)).pid, 'SIGKILL')
  program.child.stdin!.end('still here\n')
  t.match(await program.ends(), { status: 42, stdout: 'ready\nstill here\n', stderr: '' })
  await nothingLeft(t, env)
})

/** Another program can have the address, and be reached there. */
async function isFree(t: Test, env: NodeJS.ProcessEnv): Promise<void> {
  const serve = 'import socket; s = socket.create_server(("", 80)); print("ready", flush=True)'
  const again = iothStart(
    t,
    ['--ip', '10.0.0.5', PYTHON, '-c', `${serve}; s.accept()[0].recv(1)`],
    { env },
  )
  await again.says(/ready/)
  const ask = `import socket; socket.create_connection(('10.0.0.5', 80), 5)`
  t.match(await iothRun(['--ip', '10.0.0.6', PYTHON, '-c', ask], { env }), {
    status: 0,
    stderr: '',
  })
  t.match(await again.ends(), { status: 0 })
}

t.test(
  'a stack server that is stopped for 4 seconds: the transfer waits, then goes on',
  async t => {
    const env = runtime(t)
    const moving = await transfer(t, env, 200)
    await moving.arrived(20)
    const { pid } = await stackServerOf(env, moving.server.pid)
    process.kill(pid, 'SIGSTOP')
    const pause = start(t, 'sleep', ['4'])
    await pause.ends()
    t.notOk(moving.client.over)
    t.notMatch(moving.client.stdout, /^at 200$/m, 'it did not go on without it')
    process.kill(pid, 'SIGCONT')
    await moving.whole(t)
    await nothingLeft(t, env)
  },
)
