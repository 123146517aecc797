// The switch is killed under load: the stacks start another and go on.
import { setTimeout as delay } from 'node:timers/promises'

import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { serveSite } from '../helpers/nginx.ts'
import { PYTHON, iothStart, until } from '../helpers/program.ts'
import { nothingLeft, switchOf } from '../helpers/stack-server.ts'
import { transfer } from '../helpers/transfer.ts'

t.test('kill -9 of the switch, twice in a transfer', async t => {
  const env = runtime(t)
  const moving = await transfer(t, env, 300)
  for (const megabytes of [30, 150]) {
    await moving.arrived(megabytes)
    const pid = switchOf(env)!
    process.kill(pid, 'SIGKILL')
    await until('another switch', 15_000, () => anotherSwitch(env, pid))
  }
  await moving.whole(t)
  await nothingLeft(t, env)
})

t.test('SIGTERM to the switch with 50 clients that keep their connections', async t => {
  const env = runtime(t)
  const nginx = await serveSite(t, env)
  nginx.file('file', 200_000)
  const many = ['--parallel', '--parallel-immediate', '--parallel-max', '50']
  const save = ['-o', '/dev/null', '-w', '%{http_code} %{size_download}\n']
  const words = ['curl', '-sS', '--no-progress-meter', ...many, ...save]
  const urls = 'http://10.0.0.5/file?[1-2000]'
  const clients = iothRun(['--ip', '10.0.0.6', ...words, urls], { env })
  await until('requests', 10_000, () => nginx.log('access').split('\n').length > 200)
  const pid = switchOf(env)!
  process.kill(pid, 'SIGTERM')
  await until('another switch', 15_000, () => anotherSwitch(env, pid))
  const { status, stdout, stderr } = await clients
  t.match({ status, stderr }, { status: 0, stderr: '' })
  t.equal(stdout, '200 200000\n'.repeat(2000))
  nginx.program.signal('SIGQUIT')
  t.match(await nginx.program.ends(), { status: 0 })
  await nothingLeft(t, env)
})

t.test(
  'a stack whose program has ended leaves the address to the next, on the next switch, too',
  async t => {
    const env = runtime(t)
    const deaf = `
import socket, sys
s = socket.create_server(('', 7)); print('ready', flush=True)
c, _ = s.accept(); print('accepted', flush=True); sys.stdin.read()`
    const sender = `
import socket
c = socket.create_connection(('10.0.0.5', 7)); c.settimeout(1)
try:
    while True: c.send(bytes(65536))
except TimeoutError: print('full', flush=True)`
    const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', deaf], { env })
    await server.says(/ready/)
    // Its stack lives on: there is text that nobody takes.
    const first = await iothRun(['--ip', '10.0.0.6', PYTHON, '-c', sender], { env })
    t.match(first, { status: 0, stdout: 'full\n' })
    const pid = switchOf(env)!
    process.kill(pid, 'SIGKILL')
    await until('another switch', 15_000, () => anotherSwitch(env, pid))
    await delay(500) // both stacks are back
    t.match(await iothRun(['--ip', '10.0.0.6', 'true'], { env }), { status: 0, stderr: '' })
    server.child.stdin!.end()
    t.match(await server.ends(), { status: 0 })
    await nothingLeft(t, env)
  },
)

function anotherSwitch(env: NodeJS.ProcessEnv, before: number): boolean {
  const now = switchOf(env)
  return now !== undefined && now !== before
}
