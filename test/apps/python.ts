// Python's own servers: http.server with threads, asyncio with epoll, and subprocesses that get sockets.
import { readFileSync } from 'node:fs'

import t from 'tap'

import { makeFile, scratch, sha256 } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.test('ThreadingHTTPServer serves files to many', async t => {
  const env = runtime(t)
  const dir = scratch(t)
  const sum = makeFile(`${dir}/file`, 2_000_000)
  const script = `
import http.server, os, socketserver
os.chdir(${JSON.stringify(dir)})
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 50
server = Server(('', 80), http.server.SimpleHTTPRequestHandler)
print('ready', flush=True)
server.serve_forever()`
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', script], { env })
  await server.says(/ready/)
  await stackServerOf(env, server.pid)
  const many = ['--parallel', '--parallel-immediate', '--parallel-max', '30']
  const save = ['-o', `${dir}/got#1`, '-w', '%{http_code}\n', 'http://10.0.0.5/file?[1-30]']
  const got = await iothRun(
    ['--ip', '10.0.0.6', 'curl', '-sS', '--no-progress-meter', ...many, ...save],
    {
      env,
    },
  )
  t.match(got, { status: 0, stdout: '200\n'.repeat(30), stderr: '' })
  for (let i = 1; i <= 30; i++) t.equal(sha256(`${dir}/got${i}`), sum, `${i}`)
  server.signal('SIGTERM')
  t.match(await server.ends(), { signal: 'SIGTERM' })
  await nothingLeft(t, env)
})

t.test('asyncio: 100 conversations in one thread, on both ends', async t => {
  const env = runtime(t)
  const server = `
import asyncio
async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line[::-1].strip() + b'\\n'); await writer.drain()
    writer.close(); await writer.wait_closed()
async def main():
    async with await asyncio.start_server(serve, '10.0.0.5', 80, backlog=128) as s:
        print('ready', flush=True); await s.serve_forever()
asyncio.run(main())`
  const client = `
import asyncio
async def talk(i):
    reader, writer = await asyncio.open_connection('10.0.0.5', 80)
    for round in range(20):
        text = f'{i} {round} ' + 'x' * (i * round)
        writer.write(text.encode() + b'\\n')
        answer = (await reader.readline()).decode().strip()
        assert answer[::-1] == text.strip(), (answer, text)
    writer.close(); await writer.wait_closed()
async def main(): await asyncio.gather(*(talk(i) for i in range(100)))
asyncio.run(asyncio.wait_for(main(), 20)); print('done')`
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', server], { env })
  await program.says(/ready/)
  const got = await iothRun(['--ip', '10.0.0.6', PYTHON, '-c', client], { env })
  t.match(got, { status: 0, stdout: 'done\n', stderr: '' })
  program.signal('SIGINT')
  await program.ends()
})

t.test('an inetd: the socket is a child’s standard input and output', async t => {
  const env = runtime(t)
  const dir = scratch(t)
  const sum = makeFile(`${dir}/file`, 300_000)
  const server = `
import socket, subprocess
s = socket.create_server(('', 80)); print('ready', flush=True)
for command in ['sha256sum'], ['cat'], ['sh', '-c', 'read line; echo "you said $line"']:
    c, _ = s.accept()
    child = subprocess.Popen(command, stdin=c, stdout=c); c.close(); child.wait()`
  const client = `
import socket, sys
def ask(data):
    c = socket.create_connection(('10.0.0.5', 80))
    c.sendall(data); c.shutdown(socket.SHUT_WR)
    got = bytearray()
    while piece := c.recv(65536): got += piece
    return bytes(got)
data = open(sys.argv[1], 'rb').read()
print(ask(data).split()[0].decode())
import threading
def upload(c):
    c.sendall(data); c.shutdown(socket.SHUT_WR)
c = socket.create_connection(('10.0.0.5', 80))
threading.Thread(target=upload, args=(c,)).start()
got = bytearray()
while piece := c.recv(65536): got += piece
print(got == data)
print(ask(b'hello\\n').decode().strip())`
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', server], { env })
  await program.says(/ready/)
  const words = ['--ip', '10.0.0.6', PYTHON, '-c', client, `${dir}/file`]
  t.match(await iothRun(words, { env }), {
    status: 0,
    stdout: `${sum}\nTrue\nyou said hello\n`,
    stderr: '',
  })
  t.match(await program.ends(), { status: 0, stderr: '' })
  t.equal(readFileSync(`${dir}/file`).length, 300_000)
})
