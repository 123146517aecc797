// Programs that are killed or stopped: their peers see what Linux would show.
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

import t from 'tap'

import { scratch, sha256 } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { children, serveSite } from '../helpers/nginx.ts'
import { PYTHON, iothStart, until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'
import { transfer } from '../helpers/transfer.ts'

t.test('kill -9 of a server whose stack lives on', async t => {
  const env = runtime(t)
  const server = `
import socket, time
s = socket.create_server(('', 80)); print('ready', flush=True)
kept = [s.accept()[0] for _ in range(2)]; print('accepted', flush=True); time.sleep(60)`
  const client = `
import errno, socket, sys
def tell(f, *a):
    try: return repr(f(*a))
    except OSError as e: return errno.errorcode[e.errno]
idle = socket.create_connection(('10.0.0.5', 80))
unread = socket.create_connection(('10.0.0.5', 80)); unread.sendall(b'never read')
print('sent', flush=True); sys.stdin.readline()
print(tell(idle.recv, 10), tell(unread.recv, 10))
print(tell(socket.create_connection, ('10.0.0.5', 80), 5))`
  const keep = `"$0" -c "$1" & echo "pid $!"; wait; echo waited; read line`
  const shell = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', keep, PYTHON, server], { env })
  const [, pid] = await shell.says(/pid (\d+)/)
  await shell.says(/ready/)
  const asker = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', client], { env })
  await asker.says(/sent/)
  await shell.says(/accepted/)
  await delay(100) // "never read" arrives
  process.kill(Number(pid), 'SIGKILL')
  await shell.says(/waited/)
  asker.child.stdin!.end('go\n')
  const { stdout } = await asker.ends()
  t.equal(stdout, `sent\nb'' ECONNRESET\nECONNREFUSED\n`, 'FIN; RST: text unread; RST: no listener')
  shell.child.stdin!.end('\n')
  t.match(await shell.ends(), { status: 0 })
  await nothingLeft(t, env)
})

t.test('kill -9 in the middle of socket(): the stack ends with its program', async t => {
  const env = runtime(t)
  const program = `
import socket
print('ready', flush=True)
while True: socket.socket(socket.AF_INET, KIND).close()`
  const makers = ['SOCK_STREAM', 'SOCK_DGRAM'].flatMap((kind, i) =>
    Array.from({ length: 4 }, (_, j) => {
      const words = [PYTHON, '-c', program.replace('KIND', `socket.${kind}`)]
      return iothStart(t, ['--net', 'null://', '--ip', `10.0.0.${10 * i + j + 1}`, ...words], {
        env,
      })
    }),
  )
  for (const maker of makers) await maker.says(/ready/)
  for (const maker of makers) maker.signal('SIGKILL')
  // Less than the ten seconds after which a socket that nobody came for is given up.
  await nothingLeft(t, env, 5000)
})

t.test('kill -9 of a sender: what it wrote arrives, all of it, and then FIN', async t => {
  const env = runtime(t)
  const sender = `
import socket, sys, time
s = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = s.accept(); c.setblocking(False); total = 0
piece = bytes(range(256)) * 256
while True:
    try: total += c.send(piece[total % 256:])
    except BlockingIOError: break
print('wrote', total, flush=True); time.sleep(60)`
  const reader = `
import socket, sys
c = socket.create_connection(('10.0.0.5', 80)); sys.stdin.readline()
got = bytearray()
while piece := c.recv(1 << 20): got += piece
print(len(got), all(got[i:i + 256] == bytes(range(256)) for i in range(0, len(got) - 256, 256)))`
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', sender], { env })
  await server.says(/ready/)
  await stackServerOf(env, server.pid)
  const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', reader], { env })
  const [, wrote] = await server.says(/wrote (\d+)/)
  server.signal('SIGKILL')
  t.match(await server.ends(), { signal: 'SIGKILL' })
  client.child.stdin!.end('read\n')
  t.match(await client.ends(), { status: 0, stdout: `${wrote} True\n`, stderr: '' })
  await nothingLeft(t, env)
})

t.test('kill -9 of a receiver: the sender gets ECONNRESET or EPIPE at once', async t => {
  const env = runtime(t)
  const moving = await transfer(t, env, 2000)
  await moving.arrived(20)
  moving.client.signal('SIGKILL')
  t.match(await moving.server.ends(5000), {
    status: 1,
    stderr: /ConnectionResetError|BrokenPipeError/,
  })
  await nothingLeft(t, env)
})

t.test('kill -9 of a worker: nginx starts another, and of its connections none hangs', async t => {
  const env = runtime(t)
  const nginx = await serveSite(t, env)
  const sum = nginx.file('file', 50_000_000)
  const dir = scratch(t)
  const many = ['--parallel', '--parallel-immediate', '--parallel-max', '20', '--max-time', '20']
  const words = ['curl', '-s', ...many, '--limit-rate', '20M', '-o', `${dir}/#1`]
  const clients = iothRun(['--ip', '10.0.0.6', ...words, 'http://10.0.0.5/file?[1-20]'], { env })
  await until('transfers', 10_000, () => existsSync(`${dir}/20`))
  const before = children(nginx.program.pid)
  process.kill(before[0]!, 'SIGKILL')
  await until('another worker', 10_000, () => {
    const now = children(nginx.program.pid)
    return now.length === 2 && !now.includes(before[0]!)
  })
  const fresh = ['curl', '-sS', '-o', `${dir}/fresh`, 'http://10.0.0.5/file']
  t.match(await iothRun(['--ip', '10.0.0.7', ...fresh], { env }), { status: 0, stderr: '' })
  t.equal(sha256(`${dir}/fresh`), sum)
  const { status } = await clients
  t.ok(
    [0, 18, 52, 56].includes(status!),
    `curl: ${status} (partial file, no reply, or reset; no timeout)`,
  )
  const isWhole = (path: string) => existsSync(path) && sha256(path) === sum
  const whole = Array.from({ length: 20 }, (_, i) => isWhole(`${dir}/${i + 1}`))
  t.ok(whole.some(Boolean), 'those of the other worker are whole')
  nginx.program.signal('SIGQUIT')
  t.match(await nginx.program.ends(), { status: 0 })
  await nothingLeft(t, env)
})

t.test('SIGSTOP of one of two processes that share a socket: the other goes on', async t => {
  const env = runtime(t)
  const server = `
import os, socket
s = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = s.accept()
pid = os.fork()
if pid == 0:
    while piece := c.recv(65536): c.sendall(piece)
    os._exit(0)
print('child', pid, flush=True)
while piece := c.recv(65536): c.sendall(piece)
print('end', flush=True); os.wait()`
  const client = `
import socket, sys
c = socket.create_connection(('10.0.0.5', 80))
def echo(n):
    c.sendall(bytes(n)); got = 0
    while got < n: got += len(c.recv(65536))
    print('echoed', flush=True)
for line in sys.stdin: echo(int(line))
c.shutdown(socket.SHUT_WR)
print(c.recv(10), flush=True)`
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', server], { env })
  await program.says(/ready/)
  await stackServerOf(env, program.pid)
  const peer = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', client], { env })
  const [, child] = await program.says(/child (\d+)/)
  const echoed = (times: number) => peer.says(new RegExp(`^(echoed\n){${times}}`), 10_000)
  peer.child.stdin!.write('100000\n')
  await echoed(1)
  for (const [i, pid] of [Number(child), program.pid].entries()) {
    process.kill(pid, 'SIGSTOP')
    for (let j = 0; j < 5; j++) {
      peer.child.stdin!.write('100000\n')
      await echoed(2 + i * 5 + j)
    }
    process.kill(pid, 'SIGCONT')
  }
  peer.child.stdin!.end()
  t.match(await peer.ends(), { status: 0, stdout: /b''\n$/ })
  t.match(await program.ends(), { status: 0, stdout: /end\n$/, stderr: '' })
  await nothingLeft(t, env)
})

t.test('kill -9 in the middle of reading and writing, 20 times: others go on', async t => {
  const env = runtime(t)
  // Eight processes share one connection and copy from it; each that dies may hold a lock of it.
  const server = `
import os, signal, socket, time
s = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = s.accept()
def copy():
    while piece := c.recv(4096): c.sendall(piece)
    os._exit(0)
def begin():
    pid = os.fork()
    if pid == 0: copy()
    return pid
pids = [begin() for _ in range(4)]
for i in range(20):
    time.sleep(0.02); victim = pids.pop(0)
    os.kill(victim, signal.SIGKILL); os.waitpid(victim, 0); pids.append(begin())
print('enough', flush=True)
for pid in pids: os.waitpid(pid, 0)
print('end', flush=True)`
  const client = `
import socket, threading
c = socket.create_connection(('10.0.0.5', 80)); stop = False
def write():
    while not stop: c.sendall(bytes(100000))
    c.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=write); thread.start()
total = 0
import sys
threading.Thread(target=lambda: (sys.stdin.readline(), globals().update(stop=True)), daemon=True).start()
while piece := c.recv(1 << 20): total += len(piece)
print(total > 0)`
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', server], { env })
  await program.says(/ready/)
  await stackServerOf(env, program.pid)
  const peer = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', client], { env })
  await program.says(/enough/)
  peer.child.stdin!.end('stop\n')
  t.match(await peer.ends(), { status: 0, stdout: 'True\n', stderr: '' })
  t.match(await program.ends(), { status: 0, stdout: /end\n$/, stderr: '' })
  await nothingLeft(t, env)
})
