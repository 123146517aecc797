// Go, which makes its system calls itself: static, and with the C library beside it (cgo), as server and as client.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'

import t from 'tap'

import { iothRun, root, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const dir = t.testdir()
for (const [name, cgo] of [
  ['static', '0'],
  ['cgo', '1'],
] as const)
  execFileSync('go', ['build', '-o', join(dir, name), join(root, 'test/large/node.go')], {
    env: { ...process.env, CGO_ENABLED: cgo, GO111MODULE: 'off', GOCACHE: join(dir, 'cache') },
  })

const text = Buffer.from(Uint8Array.from({ length: 20_000_000 }, (_, i) => (i * 7) & 255))
const sum = createHash('sha256').update(text).digest('hex')
const expected = [
  `20000000 ${sum}`,
  'datagram from 10.0.0.5:7',
  'lo 65536 [127.0.0.1/8 ::1/128]',
  'eth0 1500 [10.0.0.6/24]',
  '[10.0.0.6] six.lab',
  'dial tcp 10.0.0.5:81: connect: connection refused',
]

for (const [serves, asks] of [
  ['static', 'static'],
  ['static', 'cgo'],
  ['cgo', 'static'],
] as const)
  t.test(`a ${serves} server, a ${asks} client`, async t => {
    const env = runtime(t)
    const server = iothStart(t, ['--ip', '10.0.0.5', join(dir, serves), 'serve'], { env })
    await server.says(/listening \[::\]:80/)
    await stackServerOf(env, server.pid)
    const options = ['--ip', '10.0.0.6', '--name', 'six.lab']
    const got = await iothRun([...options, join(dir, asks), '10.0.0.5'], { env })
    t.match(got, { status: 0, stderr: '' })
    t.same(got.stdout.trim().split('\n'), expected)
    server.signal('SIGTERM')
    t.match(await server.ends(), { signal: 'SIGTERM', stderr: '' })
    await nothingLeft(t, env)
  })
