import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { iothRun, IOTH_RUN, runtime, untapped, type Result } from '../helpers/ioth-run.ts'
import { start, until } from '../helpers/program.ts'

const env = runtime(t)

/** Binds each address given, prints 0 or the errno's name. */
const bind = `
import errno, socket, sys
for address in sys.argv[1:]:
    try: socket.socket().bind((address, 0)); print(0)
    except OSError as e: print(errno.errorcode[e.errno])`

for (const [options, addresses, want] of [
  ['', ['127.0.0.1', '0.0.0.0', '10.0.0.5'], '0 0 EADDRNOTAVAIL'],
  ['--ip 10.0.0.5', ['10.0.0.5', '127.0.0.1', '10.0.0.6'], '0 0 EADDRNOTAVAIL'],
  [
    '--ip 10.0.0.5/8 --ip 192.168.7.6/30',
    ['10.0.0.5', '192.168.7.6', '192.168.7.5'],
    '0 0 EADDRNOTAVAIL',
  ],
] as const)
  t.test(`${options || 'no --ip'}: the program has these addresses and no other`, async t => {
    const words = options.split(' ').filter(Boolean)
    const { stdout, stderr } = await iothRun([...words, 'python3', '-c', bind, ...addresses], {
      env,
    })
    t.equal(stdout.trim().replaceAll('\n', ' '), want)
    t.equal(stderr, '')
  })

/** Prints "ready", accepts one connection, prints who came, answers with what it is called itself. */
const server = `
import socket
s = socket.socket()
s.bind(('0.0.0.0', 80)); s.listen(); print('ready', flush=True)
c, peer = s.accept()
print(peer[0], flush=True)
c.sendall(c.getsockname()[0].encode()); c.close()`
const server6 = server
  .replace('socket.socket()', 'socket.socket(socket.AF_INET6)')
  .replace('0.0.0.0', '::')
const client = `
import socket, sys
c = socket.create_connection((sys.argv[1], 80), 10)
print(c.getsockname()[0], c.recv(100).decode())`

t.test('two programs on one network see each other under their addresses', async t => {
  const a = await serve(t, ['--ip', '10.0.0.5'], env)
  const b = await iothRun(['--ip', '10.0.0.6', 'python3', '-c', client, '10.0.0.5'], { env })
  t.match(b, { status: 0, stdout: '10.0.0.6 10.0.0.5\n', stderr: '' })
  t.match(await a.ended, { status: 0, stdout: 'ready\n10.0.0.6\n' })
})

for (const [what, env6] of [
  ['', env],
  [', native mode', { ...env, IOTH_MODE: 'native' }],
] as const)
  t.test(`two programs see each other under their IPv6 addresses${what}`, async t => {
    const a = await serve(t, ['--ip', 'fd00::5/64'], env6, undefined, server6)
    const options = ['--ip', 'fd00::6/64', '--ip', '10.0.0.6', 'python3', '-c', client]
    const b = await iothRun([...options, 'fd00::5'], { env: env6 })
    t.match(b, { status: 0, stdout: 'fd00::6 fd00::5\n', stderr: '' })
    t.match(await a.ended, { status: 0, stdout: 'ready\nfd00::6\n' })
  })

t.test('--gateway does not keep neighbors from each other', async t => {
  const a = await serve(t, ['--ip', '10.0.0.5', '--gateway', '10.0.0.1'], env)
  const options = ['--ip', '10.0.0.6', '--gateway', '10.0.0.1']
  const b = await iothRun([...options, 'python3', '-c', client, '10.0.0.5'], { env })
  t.match(b, { status: 0, stdout: '10.0.0.6 10.0.0.5\n' })
  t.match(await a.ended, { status: 0 })
})

t.test('an address is taken once per network', async t => {
  const a = await serve(t, ['--ip', '10.0.0.5'], env)
  const second = await iothRun(['--ip', '10.0.0.5', 'true'], { env })
  t.equal(second.status, 125)
  t.match(
    second.stderr,
    /^ioth-run: [^\n]*10\.0\.0\.5[^\n]*python3[^\n]*\n$/,
    'one sentence, the owner in it',
  )
  await iothRun(['--ip', '10.0.0.6', 'python3', '-c', client, '10.0.0.5'], { env })
  t.match(await a.ended, { status: 0 })
  const third = await iothRun(['--ip', '10.0.0.5', 'true'], { env })
  t.equal(third.status, 0, 'and is free again when its owner has ended')
})

t.test('the same address on two networks is two nodes', async t => {
  const a = await serve(t, ['--net', 'switch://a', '--ip', '10.0.0.5'], env)
  const b = await serve(t, ['--net', 'switch://b', '--ip', '10.0.0.5'], env)
  for (const [net, ip, waiting] of [
    ['a', '10.0.0.7', a],
    ['b', '10.0.0.8', b],
  ] as const) {
    const options = ['--net', `switch://${net}`, '--ip', ip]
    await iothRun([...options, 'python3', '-c', client, '10.0.0.5'], { env })
    t.match(await waiting.ended, { stdout: `ready\n${ip}\n` })
  }
})

t.test('--net takes a directory, relative or absolute', async t => {
  const cwd = t.testdir()
  const a = await serve(t, ['--net', './lab', '--ip', '10.0.0.5'], env, cwd)
  const options = ['--net', `${cwd}/lab`, '--ip', '10.0.0.6']
  const b = await iothRun([...options, 'python3', '-c', client, '10.0.0.5'], { env })
  t.match(b, { status: 0, stdout: '10.0.0.6 10.0.0.5\n' })
  t.match(await a.ended, { status: 0 })
})

t.test('--mac is what the network knows the program by', async t => {
  const options = ['--verbose', '--ip', '10.0.0.5', '--mac', '02:00:5E:10:00:01']
  const { status, stderr } = await iothRun([...options, 'true'], { env })
  t.equal(status, 0)
  t.match(stderr, /^ioth-run: true is 02:00:5e:10:00:01 10\.0\.0\.5\/24 on switch:\/\/default/)
})

t.test('without --mac it is a private unicast address, another each time', async t => {
  const seen = new Set<string>()
  for (let i = 0; i < 3; i++) {
    const { stderr } = await iothRun(['--verbose', '--ip', '10.0.0.5', 'true'], { env })
    const [mac] = /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(stderr) ?? ['']
    t.equal(parseInt(mac.slice(0, 2), 16) & 3, 2, `${mac} is locally administered, unicast`)
    seen.add(mac)
  }
  t.equal(seen.size, 3)
})

/** Starts the server program; resolves when it listens; `ended` is its end. */
async function serve(
  t: Test,
  options: string[],
  env: NodeJS.ProcessEnv,
  cwd?: string,
  program = server,
) {
  const [command, ...words] = untapped(IOTH_RUN, [...options, 'python3', '-c', program], env)
  const child = spawn(command!, words, { env, cwd, stdio: 'pipe' })
  t.teardown(() => child.kill('SIGKILL'))
  const result: Result = { status: null, signal: null, stdout: '', stderr: '' }
  const ended = new Promise<Result>(resolve =>
    child.once('close', (status, signal) => resolve({ ...result, status, signal })),
  )
  child.stderr.setEncoding('utf8').on('data', text => (result.stderr += text))
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', text => {
      result.stdout += text
      if (result.stdout.includes('ready')) resolve()
    })
    void ended.then(() => reject(new Error(`the server did not start: ${result.stderr}`)))
  })
  return { ended }
}

t.test('ioth-run that ends while it waits for a lease leaves no server', async t => {
  const own = runtime(t)
  const program = start(t, IOTH_RUN, ['--dhcp', '--net', 'null://', 'true'], { env: own })
  const stacks = join(own.XDG_RUNTIME_DIR!, 'ioth/stack')
  const pid = await until('the server', 10_000, () => {
    const [name] = existsSync(stacks) ? readdirSync(stacks) : []
    const file = join(stacks, name ?? '', 'pid')
    return existsSync(file) && Number(readFileSync(file, 'utf8'))
  })
  program.signal('SIGKILL')
  await until(
    'its end',
    5000,
    () => !existsSync(`/proc/${pid}`) && readdirSync(stacks).length === 0,
  )
  t.pass('long before it would have given up')
})
