// Accepted connections that the peer resets, of programs that end without a close: nothing may stay of them.
import { readFileSync } from 'node:fs'
import t from 'tap'

import { runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart, until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const SERVER = `
import os, select, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
s = socket.create_server(('', 80), backlog=64); print('ready', flush=True)
while True:
    c, _ = s.accept()
    if os.fork():
        c.close(); continue
    s.close(); c.send(b'y'); p = select.poll(); p.register(c, 0)
    p.poll(); print('dead', flush=True); os._exit(0)`
const CLIENT = `
import socket, struct, sys
for i in range(20):
    c = socket.create_connection(('10.0.0.5', 80)); c.recv(1)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()
print('done', flush=True); sys.stdin.read()`

for (const mode of ['ring', 'native'])
  t.test(`in ${mode} mode`, async t => {
    const env = { ...runtime(t), IOTH_MODE: mode }
    const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', SERVER], { env })
    await server.says(/ready/)
    const { name } = await stackServerOf(env, server.pid)
    const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', CLIENT], { env })
    await client.says(/done/)
    await server.says(/(dead\n){20}/)
    // Connected (03), at our end, by the listener's names.
    const connected = new RegExp(`\\b03 +\\d+ @ioth/${name}/\\d+\\.\\d+$`, 'm')
    await until(
      'their ends to go',
      5000,
      () => !connected.test(readFileSync('/proc/net/unix', 'latin1')),
    )
    server.signal('SIGTERM')
    t.match(await server.ends(), { signal: 'SIGTERM' })
    client.child.stdin!.end()
    t.match(await client.ends(), { status: 0, stderr: '' })
    await nothingLeft(t, env)
  })
