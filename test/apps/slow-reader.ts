// A program that reads slowly, or not at all, slows the other down and loses nothing.
import t from 'tap'

import { runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const SIZE = 30_000_000

/** Sends SIZE bytes (hash at the end of the line), counting what it could write so far. */
const sender = `
import hashlib, random, socket
data = random.Random(1).randbytes(${SIZE})
print(hashlib.sha256(data).hexdigest(), flush=True)
listener = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = listener.accept()
c.sendall(data[:100000])
c.setblocking(False)
at = 100000
while True:
    try: at += c.send(data[at:at + 65536])
    except BlockingIOError: break
print('full', at, flush=True)
c.setblocking(True)
c.sendall(data[at:]); c.close()
print('sent', flush=True)`

const reader = (way: string) => `
import hashlib, socket, time
c = socket.create_connection(('10.0.0.5', 80))
hash = hashlib.sha256()
total = 0
def take(n):
    global total
    piece = c.recv(n)
    hash.update(piece); total += len(piece)
    return piece
${way}
while take(1 << 20): pass
print(total, hash.hexdigest())`

const steadily = `
for _ in range(30):
    end = total + 6400
    while total < end: take(end - total)
    time.sleep(0.1)`
const byOnes = `
for _ in range(20000): take(1)`

for (const [title, way] of [
  ['64 KB in a second for three seconds, then all', steadily],
  ['nothing for three seconds, then all', 'time.sleep(3)'],
  ['single bytes, then all', byOnes],
  ['a small receive buffer', 'c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)'],
  ['recv() of 3 bytes at the border of the window', 'time.sleep(1)\nfor _ in range(2000): take(3)'],
] as const)
  t.test(title, async t => {
    const env = runtime(t)
    const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', sender], { env })
    const [, sum] = await server.says(/^([0-9a-f]{64})\nready\n/)
    await stackServerOf(env, server.pid)
    const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', reader(way)], { env })
    const [, full] = await server.says(/full (\d+)/)
    t.ok(Number(full) < SIZE, `the sender met a full buffer after ${full} bytes`)
    t.match(await client.ends(), { status: 0, stdout: `${SIZE} ${sum}\n`, stderr: '' })
    t.match(await server.ends(), { status: 0, stderr: '' })
    await nothingLeft(t, env)
  })
