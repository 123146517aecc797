// More bytes, more connections, more changes of threads than there is time for in `make test`.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

import t from 'tap'

import { sha256, scratch } from '../helpers/content.ts'
import { IOTH_RUN, iothRun, runtime } from '../helpers/ioth-run.ts'
import { serveSite } from '../helpers/nginx.ts'
import { start } from '../helpers/program.ts'
import { injectFault, nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.test('1 GB by wget', async t => {
  const env = runtime(t)
  const nginx = await serveSite(t, env)
  const sum = nginx.file('file', 1e9)
  const dir = scratch(t)
  const words = ['--ip', '10.0.0.6', 'wget', '-q', '-O', `${dir}/file`, 'http://10.0.0.5/file']
  t.match(await start(t, IOTH_RUN, words, { env }).ends(120_000), { status: 0, stderr: '' })
  t.equal(sha256(`${dir}/file`), sum)
  nginx.program.signal('SIGQUIT')
  t.match(await nginx.program.ends(), { status: 0 })
  await nothingLeft(t, env)
})

t.test('4 GB in 40 files, by 8 at a time, while the stack thread throws once in 10 s', async t => {
  const env = { ...runtime(t), IOTH_FAULTS: '1' }
  const nginx = await serveSite(t, env)
  const sum = nginx.file('file', 100_000_000)
  const stack = await stackServerOf(env, nginx.program.pid)
  const timer = setInterval(() => injectFault(stack, 'throw'), 10_000)
  t.teardown(() => clearInterval(timer))
  const dir = scratch(t)
  for (let round = 0; round < 5; round++) {
    const many = ['--no-progress-meter', '--parallel', '--parallel-max', '8', '-o', `${dir}/#1`]
    const words = ['--ip', '10.0.0.6', 'curl', '-sS', ...many, 'http://10.0.0.5/file?[1-8]']
    const got = await start(t, IOTH_RUN, words, { env }).ends(120_000)
    t.match(got, { status: 0, stderr: '' })
    for (let i = 1; i <= 8; i++) t.equal(sha256(join(dir, `${i}`)), sum, `${round}.${i}`)
  }
  clearInterval(timer)
  nginx.program.signal('SIGQUIT')
  await nginx.program.ends()
  await nothingLeft(t, env)
})

const skip = spawnSync('wrk', ['-v']).error !== undefined && 'there is no wrk'

t.test('wrk: 64 connections for 20 s, no error', { skip }, async t => {
  const env = runtime(t)
  await serveSite(t, env)
  const words = ['--ip', '10.0.0.6', 'wrk', '-t', '2', '-c', '64', '-d', '20', 'http://10.0.0.5/']
  const { stdout } = await iothRun(words, { env })
  t.comment(stdout)
  t.match(stdout, /Requests\/sec/)
  t.notMatch(stdout, /Socket errors|Non-2xx/)
})
