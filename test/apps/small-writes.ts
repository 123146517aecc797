// Programs that write a byte at a time.
import t from 'tap'

import { runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'

const COUNT = 20_000
const pattern = `bytes((i * 7 + i // 251) & 255 for i in range(${COUNT}))`

const sink = `
import socket
s = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = s.accept()
want = ${pattern}
got = bytearray(); reads = 0
while True:
    piece = c.recv(65536)
    if not piece: break
    got += piece; reads += 1
    if ECHO: c.sendall(piece)
print(len(got), got == want, flush=True)
c.close()`

for (const [title, options] of [
  ['with Nagle’s algorithm', ''],
  ['with TCP_NODELAY', 'c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)'],
] as const)
  t.test(`${COUNT} writes of one byte ${title}`, async t => {
    const env = runtime(t)
    const writer = `
import socket
c = socket.create_connection(('10.0.0.5', 80))
${options}
for b in ${pattern}: c.send(bytes((b,)))
c.close()`
    const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', sink.replace('ECHO', 'False')], {
      env,
    })
    await server.says(/ready/)
    const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', writer], { env })
    t.match(await client.ends(), { status: 0, stderr: '' })
    t.match(await server.ends(), { status: 0, stdout: `ready\n${COUNT} True\n`, stderr: '' })
  })

t.test('request and answer of one byte, 2000 times', async t => {
  const env = runtime(t)
  const asker = `
import socket
c = socket.create_connection(('10.0.0.5', 80))
want = ${pattern}
for i in range(2000):
    c.send(want[i:i + 1])
    assert c.recv(10) == want[i:i + 1], i
c.sendall(want[2000:]); c.shutdown(socket.SHUT_WR)
rest = bytearray()
while piece := c.recv(65536): rest += piece
print(rest == want[2000:])`
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', sink.replace('ECHO', 'True')], {
    env,
  })
  await server.says(/ready/)
  const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', asker], { env })
  t.match(await client.ends(), { status: 0, stdout: 'True\n', stderr: '' })
  t.match(await server.ends(), { status: 0, stdout: `ready\n${COUNT} True\n` })
})
