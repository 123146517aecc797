import t from 'tap'

import { execute, iothRun, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)

for (const status of [0, 1, 7, 125, 255])
  t.test(`the program's exit status ${status} is ioth-run's`, async t => {
    t.match(await iothRun(['sh', '-c', `exit ${status}`], { env }), { status, stderr: '' })
  })

for (const signal of ['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGPIPE', 'SIGXFSZ'] as const)
  t.test(`a program killed by ${signal} is seen as killed by it`, async t => {
    const { signal: seen } = await iothRun(['sh', '-c', `kill -${signal.slice(3)} $$`], { env })
    t.equal(seen, signal)
  })

t.test('the pid that was started is the program, and signals reach it', async t => {
  let pid = 0
  const { stdout, signal } = await execute('python3', ['-c', program, IOTH_RUN], {
    env,
    started: p => (pid = p),
  })
  t.equal(signal, null)
  t.same(JSON.parse(stdout), { same: true, signal: 15 })
  t.not(pid, 0)
})

/** Starts a shell under ioth-run that tells its pid, sends that a SIGTERM, tells what became of it. */
const program = `
import json, subprocess, sys
p = subprocess.Popen([sys.argv[1], 'sh', '-c', 'echo $$; exec sleep 20'], stdout=subprocess.PIPE)
pid = int(p.stdout.readline())
p.terminate()
print(json.dumps({'same': pid == p.pid, 'signal': -p.wait()}))
`

t.test('a shell reports 143 for it', async t => {
  const line = `"$1" sh -c 'kill -TERM $$' ; echo $?`
  const { stdout } = await execute('sh', ['-c', line, 'sh', IOTH_RUN], { env })
  t.equal(stdout, '143\n')
})

t.test('the program has no children that it did not start', async t => {
  const wait = `
import os
try: print(os.wait())
except ChildProcessError: print('none')`
  t.match(await iothRun(['python3', '-c', wait], { env }), { status: 0, stdout: 'none\n' })
})
