// Java: its HTTP server and client, NIO, sockets with timeouts, datagrams. Both from one source file each, as they stand.
import { join } from 'node:path'

import t from 'tap'

import { iothRun, root, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const source = (name: string) => join(root, `test/large/${name}.java`)

for (const mode of ['ring', 'native'])
  t.test(`HttpServer and HttpClient, selectors, datagrams, in ${mode} mode`, async t => {
    const env = { ...runtime(t), IOTH_MODE: mode }
    const server = iothStart(t, ['--ip', '10.0.0.5', 'java', source('Server')], { env })
    await server.says(/ready/)
    await stackServerOf(env, server.pid)
    const got = await iothRun(['--ip', '10.0.0.6', 'java', source('Client')], { env })
    t.match(got, { status: 0, stdout: 'done\n', stderr: '' })
    server.signal('SIGTERM')
    t.match(await server.ends(), { status: 143, stderr: '' })
    await nothingLeft(t, env)
  })
