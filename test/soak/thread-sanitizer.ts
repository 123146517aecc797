// The shim in real programs under ThreadSanitizer. What the sanitizer's own runtime calls before it is ready (open, close,
// mmap, getrlimit and what they call) stays as it is; the rest of the shim is instrumented.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import t from 'tap'

import { root, runtime } from '../helpers/ioth-run.ts'
import { start } from '../helpers/program.ts'

const run = promisify(execFile)
const out = join(root, 'build/thread-sanitizer')
const FLAGS = '-std=c11 -D_GNU_SOURCE -O1 -g -pthread'.split(' ')
const SANITIZED = new Set(
  ['accept', 'bind', 'connect', 'ctl', 'doorbell', 'iov', 'listen', 'message', 'native', 'poll']
    .concat([
      'recv',
      'ring-read',
      'ring',
      'send',
      'sendfile',
      'shutdown',
      'splice',
      'urgent',
      'wait',
    ])
    .map(name => `${name}.c`),
)
/** Threads in one process: the sanitizer gives up at a fork with threads. */
const PROGRAMS = ['accept', 'packet', 'poll', 'recv', 'reuseport', 'send', 'threads', 'udp']

/**
 * A reader copies out of a ring that may be written meanwhile, and throws it away if it was (ring-read.c). And what orders
 * a ring's uses is done by the server, which the sanitizer does not see.
 */
const SUPPRESSIONS = 'race:copy_out\nrace:copy_in\n'

/** A checkout of its own, whose shim is instrumented. */
async function build(): Promise<void> {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(join(out, 'build'), { recursive: true })
  cpSync(join(root, 'dist'), join(out, 'dist'), { recursive: true })
  for (const name of ['node_modules', 'package.json'])
    symlinkSync(join(root, name), join(out, name))
  for (const name of ['launch', 'undertaker', 'supervisor'])
    symlinkSync(join(root, `build/ioth-${name}`), join(out, `build/ioth-${name}`))
  const sources = readdirSync(join(root, 'preload')).filter(
    file => /\.[cS]$/.test(file) && !['launch.c', 'undertaker.c'].includes(file),
  )
  const objects = sources.map(file => join(out, `${file}.o`))
  for (const [i, file] of sources.entries()) {
    // message.c has a fence, which the sanitizer takes for nothing.
    const own = SANITIZED.has(file) ? ['-fsanitize=thread', '-Wno-tsan'] : []
    const words = ['-fPIC', '-fvisibility=hidden', ...own, '-c', join(root, 'preload', file)]
    await run('gcc', [...FLAGS, ...words, '-o', objects[i]!])
  }
  const library = join(out, 'build/libioth.so')
  await run('gcc', ['-shared', '-pthread', '-fsanitize=thread', ...objects, '-ldl', '-o', library])
  for (const program of PROGRAMS) {
    const source = join(root, `test/conformance/${program}.c`)
    await run('gcc', [...FLAGS, '-fsanitize=thread', source, '-o', join(out, program)])
  }
  writeFileSync(join(out, 'suppressions'), SUPPRESSIONS)
}

t.test('no races in the shim', async t => {
  await build()
  const options = `report_thread_leaks=0 suppressions=${join(out, 'suppressions')}`
  const env = { ...runtime(t), TSAN_OPTIONS: options }
  for (const program of PROGRAMS) {
    const words = ['--ip', '10.0.0.5', join(out, program)]
    const ended = await start(t, join(out, 'dist/cli/ioth-run.js'), words, { env }).ends(120_000)
    t.match(ended, { signal: null, stdout: /^ok 1 /m }, program)
    t.notMatch(ended.stderr, /ThreadSanitizer/, program)
  }
})
