// ioth-launch against a control socket of the test's own.
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'

import t, { type Test } from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { recvWithFds, unixListen } from '../../src/ffi/unix.ts'
import * as layout from '../../src/shm/layout.ts'
import { execute, root, type Result } from '../helpers/ioth-run.ts'

const LAUNCH = `${root}build/ioth-launch`
const token = '000102030405060708090a0b0c0d0e0f'
const dir = t.testdir()
const shim = `${dir}/shim.so`
execFileSync('gcc', ['-shared', '-fPIC', '-x', 'c', '/dev/null', '-o', shim])

/** What the launcher sent: the request's words, and the listener if one came along. */
interface Greeting {
  magic: number
  version: number
  op: number
  arg: number
  token: string
  fds: number[]
}

/** Runs the launcher for a new stack whose server answers with `result` (null: hangs up). */
async function launch(
  t: Test,
  words: string[],
  { result = 0 as number | null, atPath = false, env = {} as NodeJS.ProcessEnv } = {},
): Promise<Result & { greetings: Greeting[] }> {
  const stack = randomBytes(8).toString('hex')
  const fd = unixListen(libc.SOCK_SEQPACKET, atPath ? `${dir}/ctl` : `@ioth/${stack}/ctl`, 4)
  t.ok(fd >= 0, 'control socket')
  const greetings: Greeting[] = []
  const timer = setInterval(() => {
    const greeting = answer(fd, result)
    if (greeting) greetings.push(greeting)
  }, 1)
  t.teardown(() => greetings.forEach(greeting => greeting.fds.forEach(fd => libc.close(fd))))
  const ioth = { IOTH_STACK: stack, IOTH_DIR: dir, IOTH_TOKEN: token, IOTH_SHIM: shim }
  const end = await execute(LAUNCH, words, { env: { ...process.env, ...ioth, ...env } })
  clearInterval(timer)
  libc.close(fd)
  if (atPath) execFileSync('rm', [`${dir}/ctl`])
  return { ...end, greetings }
}

/** Serves one connection, if there is one. */
function answer(listener: number, result: number | null): Greeting | undefined {
  const fd = libc.accept4(listener, libc.SOCK_CLOEXEC)
  if (fd < 0) return
  const message = recvWithFds(fd, 64, 0)
  if (typeof message === 'number') throw new Error(`recvmsg gave errno ${-message}`)
  if (message.bytes.length === 0) return // it gave up before it said anything
  if (result !== null) {
    const reply = new DataView(new ArrayBuffer(layout.CTL_REPLY_SIZE))
    reply.setUint32(layout.CTL_REPLY.magic, layout.ABI_MAGIC, true)
    reply.setInt32(layout.CTL_REPLY.result, result, true)
    libc.scratchBytes.set(new Uint8Array(reply.buffer), 4096)
    libc.send(fd, libc.scratch + 4096, layout.CTL_REPLY_SIZE, 0)
  }
  libc.close(fd)
  const { buffer, byteOffset, byteLength } = message.bytes
  const request = new DataView(buffer, byteOffset, byteLength)
  const word = (at: number) => request.getUint32(at, true)
  return {
    magic: word(layout.CTL_REQUEST.magic),
    version: word(layout.CTL_REQUEST.version),
    op: word(layout.CTL_REQUEST.op),
    arg: word(layout.CTL_REQUEST.arg),
    token: Buffer.from(message.bytes.subarray(layout.CTL_REQUEST.token)).toString('hex'),
    fds: message.fds,
  }
}

/** Epoll's events on a descriptor. */
function pollNow(fd: number): number {
  const epoll = libc.epollCreate()
  const events = new libc.EpollEvents(1)
  libc.epollCtl(epoll, libc.EPOLL_CTL_ADD, fd, libc.EPOLLIN, 0)
  const n = events.wait(epoll, 0)
  libc.close(epoll)
  return n > 0 ? events.events(0) : 0
}

const plain = ['1024', '0', '0', 'serve', 'yes', '--']

t.test('greets the server with the token and the seccomp listener', async t => {
  const { status, stdout, stderr, greetings } = await launch(t, [...plain, 'echo', 'hi'])
  t.match({ status, stdout, stderr }, { status: 0, stdout: 'hi\n', stderr: '' })
  const expected = { magic: layout.ABI_MAGIC, version: layout.ABI_VERSION, op: layout.CTL_LAUNCH }
  t.match(greetings, [{ ...expected, arg: 0, token }])
  t.equal(greetings[0]?.fds.length, 1)
})

t.test('the listener hangs up when the last descendant has ended, not before', async t => {
  const line = '(setsid sleep 0.4 </dev/null >/dev/null 2>&1 &) ; exit 3'
  const { status, greetings } = await launch(t, [...plain, 'sh', '-c', line])
  t.equal(status, 3)
  const listener = greetings[0]!.fds[0]!
  t.equal(pollNow(listener) & libc.EPOLLHUP, 0, 'the daemon lives')
  for (let i = 0; i < 300 && (pollNow(listener) & libc.EPOLLHUP) === 0; i++)
    await new Promise(resolve => setTimeout(resolve, 10))
  t.ok(pollNow(listener) & libc.EPOLLHUP, 'it has ended')
})

t.test('a path serves where the abstract name does not', async t => {
  const { status, greetings } = await launch(t, [...plain, 'true'], { atPath: true })
  t.equal(status, 0)
  t.equal(greetings.length, 1)
})

t.test('under another filter with a listener it says so, and goes on without', async t => {
  const { status, greetings } = await launch(t, [...plain, LAUNCH, ...plain, 'true'])
  t.equal(status, 0)
  t.match(greetings, [
    { arg: 0, fds: [Number] },
    { arg: 1, fds: [] },
  ])
})

t.test('puts the shim before what is in LD_PRELOAD', async t => {
  const show = ['sh', '-c', 'echo "$LD_PRELOAD"']
  t.equal((await launch(t, [...plain, ...show])).stdout, `${shim}\n`)
  const env = { LD_PRELOAD: `${shim}:${shim}` }
  t.equal((await launch(t, [...plain, ...show], { env })).stdout, `${shim}:${shim}:${shim}\n`)
})

t.test('gives limit, blocked and ignored signals as told, real-time ones too', async t => {
  const lines = ['grep', '-E', '^(Sig(Blk|Ign)|Max open)', '/proc/self/status', '/proc/self/limits']
  const { stdout } = await launch(t, [
    '99',
    '8000000000000800',
    '4000000400001001',
    'serve',
    'yes',
    '--',
    ...lines,
  ])
  t.match(stdout, /SigBlk:\t8000000000000800/)
  t.match(stdout, /SigIgn:\t4000000400001001/)
  t.match(stdout, /Max open files +99 /)
})

t.test('a limit too low for the launcher itself is no obstacle', async t => {
  const { greetings, stderr } = await launch(t, ['3', '0', '0', 'serve', 'yes', '--', 'true'])
  t.match(greetings, [{ arg: 0, fds: [Number] }])
  t.notMatch(stderr, 'ioth-run')
})

for (const [title, options, sentence] of [
  ['refused', { result: -13 }, 'the stack server refused: Permission denied'],
  ['hangs up', { result: null }, /^ioth-run: the stack server gave no answer: /],
  ['no token', { env: { IOTH_TOKEN: 'x' } }, /IOTH_TOKEN is not 32 hex digits/],
  ['no server', { env: { IOTH_STACK: 'f' } }, /^ioth-run: cannot reach the stack server at /],
  ['no stack', { env: { IOTH_STACK: '' } }, 'ioth-launch needs IOTH_STACK: run ioth-run instead'],
] as const)
  t.test(`server ${title}: one sentence and 125`, async t => {
    const { status, stdout, stderr } = await launch(t, [...plain, 'echo', 'no'], {
      ...options,
      result: 'result' in options ? options.result : 0,
    })
    t.match({ status, stdout, stderr }, { status: 125, stdout: '', stderr: sentence })
    t.match(stderr, /^[^\n]*\n$/)
  })

for (const [command, status, sentence] of [
  ['nothing-of-this-name', 127, 'no such command in PATH'],
  [`${dir}/nothing`, 127, 'no such file'],
  [dir, 126, 'it is a directory'],
  ['/etc/passwd', 126, 'it may not be executed (chmod +x would do)'],
] as const)
  t.test(`${command.replace(dir, '')} gives ${status}`, async t => {
    const end = await launch(t, [...plain, command])
    t.equal(end.status, status)
    t.equal(end.stderr, `ioth-run: cannot run "${command}": ${sentence}\n`)
  })

t.test('started by hand it names ioth-run', async t => {
  const child = spawn(LAUNCH, [], { stdio: 'ignore' })
  t.same(await once(child, 'exit'), [125, null])
})
