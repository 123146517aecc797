// ioth-undertaker with a region, a directory and a listener of the test's own.
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'

import t, { type Test } from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { unixListen } from '../../src/ffi/unix.ts'
import * as layout from '../../src/shm/layout.ts'
import { recordWord, Region } from '../../src/shm/region.ts'
import { root } from '../helpers/ioth-run.ts'

/** A stack whose server is the test: die() is its end. */
async function bury(t: Test) {
  const stack = randomBytes(8).toString('hex')
  const dir = `${t.testdir()}/stack`
  mkdirSync(dir)
  const region = Region.create()
  const [life, server] = libc.pipe() as [number, number]
  t.teardown(() => libc.close(region.fd))
  const undertaker = spawn(`${root}build/ioth-undertaker`, ['3', '4', stack, dir], {
    stdio: ['ignore', 'ignore', 'inherit', region.fd, life],
  })
  libc.close(life)
  await asleep(undertaker, 'ioth-undertaker')
  const die = async () => {
    libc.close(server)
    const [status] = (await once(undertaker, 'exit')) as [number]
    t.equal(status, 0, 'the undertaker ends well')
  }
  return { stack, dir, region, undertaker, die }
}

/** Until the process sleeps, under its own name: the undertaker in read(), another in futex(). */
async function asleep(child: ChildProcess, name: string): Promise<void> {
  const status = () => readFileSync(`/proc/${child.pid}/status`, 'latin1')
  for (let i = 0; i < 5000; i++) {
    if (new RegExp(`^Name:\t${name}[^]*^State:\tS`, 'm').test(status())) return
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  throw new Error(`${name} does not come to rest`)
}

const callWord = (i: number) => (layout.ABI_CALLS_OFFSET + i * layout.CALL_SIZE) / 4

t.test('the server is declared dead only when it is, signals or not', async t => {
  const { region, undertaker, die } = await bury(t)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) undertaker.kill(signal)
  await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(undertaker.exitCode, null, 'it lives')
  t.equal(region.words[layout.REGION.state / 4], layout.SERVER_STARTING)
  await die()
  t.equal(region.words[layout.REGION.state / 4], layout.SERVER_DEAD)
})

t.test('calls in flight fail, answers that are there stay', async t => {
  const { region, die } = await bury(t)
  const slot = 7 << 8
  const states = [
    [layout.CALL_CLAIMED, layout.CALL_DEAD],
    [layout.CALL_POSTED, layout.CALL_DEAD],
    [layout.CALL_ABANDONED, layout.CALL_DEAD],
    [layout.CALL_DONE, layout.CALL_DONE],
  ] as const
  states.forEach(([state], i) => (region.words[callWord(1020 + i)] = state | slot))
  await die()
  states.forEach(([, want], i) => t.equal(region.words[callWord(1020 + i)], want | slot))
  t.equal(region.words[callWord(5)], layout.CALL_DEAD, 'a free block can be claimed no more')
})

/** Maps the region at descriptor 3 and waits on the futex word given, whose value is also given. */
const sleeper = `
import ctypes, mmap, platform, sys
at, value = int(sys.argv[1]), int(sys.argv[2])
memory = mmap.mmap(3, 0x1000000)
word = ctypes.c_uint32.from_buffer(memory, at)
print('ready', flush=True)
number = {'x86_64': 202, 'aarch64': 98}[platform.machine()]
r = ctypes.CDLL(None).syscall(number, ctypes.byref(word), 0, ctypes.c_uint32(value), None, None, 0)
print('woken' if r == 0 else 'refused')`

for (const [title, offset, value] of [
  ['a call', layout.ABI_CALLS_OFFSET + 9 * layout.CALL_SIZE, layout.CALL_POSTED],
  ['a lock', recordWord(77) * 4 + layout.RECORD.wlock, layout.LOCK_WAITERS + 9],
] as const)
  t.test(`whoever sleeps on ${title} is woken`, async t => {
    const { region, die } = await bury(t)
    region.words[offset / 4] = value | 0
    const stdio = ['ignore', 'pipe', 'inherit', region.fd] as const
    const child = spawn('python3', ['-c', sleeper, `${offset}`, `${value}`], { stdio: [...stdio] })
    t.teardown(() => child.kill('SIGKILL'))
    let said = ''
    child.stdout!.setEncoding('utf8').on('data', text => (said += text))
    while (!said.includes('ready')) await once(child.stdout!, 'data')
    await asleep(child, 'python3')
    const end = once(child, 'close')
    await die()
    await end
    t.equal(said, 'ready\nwoken\n')
  })

t.test('listeners get a connection, others none', async t => {
  const { stack, region, die } = await bury(t)
  const listeners = [layout.RECORD_LISTENING, layout.RECORD_OPEN].map((state, i) => {
    const record = 16000 + i
    region.words[recordWord(record) + layout.RECORD.generation / 4] = 4_000_000_000 | 0
    region.words[recordWord(record) + layout.RECORD.state / 4] = state
    return unixListen(libc.SOCK_STREAM, `@ioth/${stack}/${record}.4000000000`, 8)
  })
  t.ok(listeners.every(fd => fd >= 0))
  await die()
  const [woken, silent] = listeners.map(fd => libc.accept4(fd, libc.SOCK_CLOEXEC))
  t.ok(woken! >= 0, 'LISTENING')
  t.equal(silent, -11, 'OPEN: EAGAIN')
  for (const fd of [...listeners, woken!]) libc.close(fd)
})

t.test('the directory goes, with the files that a server leaves', async t => {
  const { dir, die } = await bury(t)
  for (const name of ['ctl', 'conn', 'kick', 'log', 'pid', 'lock'])
    writeFileSync(`${dir}/${name}`, '')
  await die()
  t.notOk(existsSync(dir))
})

t.test('what it does not know stays, and symbolic links are not followed', async t => {
  const { dir, die } = await bury(t)
  const outside = `${t.testdirName}/outside`
  mkdirSync(outside)
  writeFileSync(`${outside}/ctl`, '')
  writeFileSync(`${dir}/mine`, '')
  symlinkSync(`${outside}/ctl`, `${dir}/ctl`)
  mkdirSync(`${dir}/log`)
  await die()
  t.same(readdirSync(dir).sort(), ['log', 'mine'])
  t.ok(existsSync(`${outside}/ctl`))
})

t.test('a descriptor that is no region is refused', async t => {
  const child = spawn(`${root}build/ioth-undertaker`, ['0', '0', 'x', '/nowhere'], {
    stdio: 'ignore',
  })
  t.same(await once(child, 'exit'), [125, null])
})
