import { createHash } from 'node:crypto'

import t from 'tap'

import { execute, iothRun, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)

t.test('standard input and output are the program’s own pipes', async t => {
  const input = Array.from({ length: 200_000 }, (_, i) => `${i}\n`).join('')
  const { stdout, stderr } = await iothRun(['cat'], { env, input })
  t.equal(sha(stdout), sha(input), `${input.length} bytes`)
  t.equal(stderr, '')
})

t.test('standard error stays apart', async t => {
  const { stdout, stderr } = await iothRun(['sh', '-c', 'echo out; echo err >&2'], { env })
  t.match({ stdout, stderr }, { stdout: 'out\n', stderr: 'err\n' })
})

t.test('a reader that goes away ends the writer with SIGPIPE', async t => {
  const line = `{ "$1" yes; echo "$?" >&2; } | head -n 1`
  const { stdout, stderr } = await execute('sh', ['-c', line, 'sh', IOTH_RUN], { env })
  t.match({ stdout, stderr }, { stdout: 'y\n', stderr: '141\n' })
})

t.test('a daemon does not keep the shell waiting', async t => {
  const line = `"$1" sh -c 'sleep 5 >/dev/null 2>&1 & echo up'`
  const begin = process.hrtime.bigint()
  const { stdout } = await execute('sh', ['-c', line, 'sh', IOTH_RUN], { env })
  t.equal(stdout, 'up\n')
  t.ok(Number(process.hrtime.bigint() - begin) < 4e9, 'and the pipe was closed by everybody else')
})

const sha = (text: string) => createHash('sha256').update(text).digest('hex')
