// Python's forking and multiprocessing servers, its XML-RPC, and its TLS.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { makeFile, scratch } from '../helpers/content.ts'
import { execute, iothRun, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

/** A server that is ready, a client that prints "done". */
async function pair(
  t: Test,
  server: string,
  client: string,
  args: string[] = [],
  clientArgs = args,
): Promise<void> {
  const env = runtime(t)
  const dir = scratch(t)
  for (const [name, text] of [
    ['server.py', server],
    ['client.py', client],
  ] as const)
    writeFileSync(join(dir, name), text)
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, join(dir, 'server.py'), ...args], {
    env,
  })
  await program.says(/ready/)
  await stackServerOf(env, program.pid)
  const words = ['--ip', '10.0.0.6', PYTHON, join(dir, 'client.py'), ...clientArgs]
  t.match(await iothRun(words, { env }), { status: 0, stdout: 'done\n', stderr: '' })
  program.signal('SIGTERM')
  t.match(await program.ends(), { signal: 'SIGTERM', stderr: '' })
  await nothingLeft(t, env)
}

const READ_ALL = `
def read_all(c):
    got = bytearray()
    while piece := c.recv(65536): got += piece
    return bytes(got)`

t.test('ForkingTCPServer: a child for each of 40 connections, 8 at once', t =>
  pair(
    t,
    `
import os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(f'{os.getpid()} '.encode() + line[::-1].strip() + b'\\n')
class Server(socketserver.ForkingTCPServer):
    request_queue_size = 50
    allow_reuse_address = True
with Server(('', 80), Handler) as s:
    print('ready', flush=True); s.serve_forever(poll_interval=0.05)`,
    `
import socket
from concurrent.futures import ThreadPoolExecutor
def talk(i):
    with socket.create_connection(('10.0.0.5', 80)) as c, c.makefile('rw') as f:
        pids = set()
        for round in range(10):
            text = f'{i} {round} ' + 'x' * (i * round * 10)
            f.write(text + '\\n'); f.flush()
            pid, answer = f.readline().split(' ', 1)
            assert answer.strip()[::-1] == text.strip(), (answer, text)
            pids.add(pid)
        assert len(pids) == 1
        return pids.pop()
with ThreadPoolExecutor(8) as pool: pids = set(pool.map(talk, range(40)))
assert len(pids) == 40, pids
print('done')`,
  ),
)

t.test('multiprocessing: a pool accepts from one listener, connections go by pickle, managers', t =>
  pair(
    t,
    `
import multiprocessing as mp, multiprocessing.managers, os, signal, socket, threading
def accepts(listener):
    while True:
        c, _ = listener.accept()
        with c: c.sendall(b'%d' % os.getpid())
def takes(pipe):
    while True:
        c = pipe.recv()
        with c: c.sendall(c.recv(10).upper())
if __name__ == '__main__':
    fork, spawn = mp.get_context('fork'), mp.get_context('spawn')
    listener = socket.create_server(('', 80), backlog=50)
    for context, n in (fork, 3), (spawn, 1):
        for _ in range(n): context.Process(target=accepts, args=(listener,), daemon=True).start()
    end, pipe = spawn.Pipe(duplex=False); spawn.Process(target=takes, args=(end,), daemon=True).start()
    passes = socket.create_server(('', 81))
    def hand_over():
        while True:
            c, _ = passes.accept()
            pipe.send(c); c.close()
    threading.Thread(target=hand_over, daemon=True).start()
    class Manager(mp.managers.BaseManager): pass
    shared = {}
    Manager.register('shared', lambda: shared, exposed=['__getitem__', '__setitem__', '__len__'])
    server = Manager(('10.0.0.5', 82), b'secret').get_server()
    def finish(*_):
        for p in mp.active_children(): p.kill(); p.join()
        signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, finish)
    print('ready', flush=True); server.serve_forever()`,
    `
import multiprocessing.managers as mm, socket
from concurrent.futures import ThreadPoolExecutor${READ_ALL}
def ask(i):
    with socket.create_connection(('10.0.0.5', 80)) as c: return read_all(c)
with ThreadPoolExecutor(10) as pool: pids = list(pool.map(ask, range(100)))
assert all(p.isdigit() for p in pids) and len(set(pids)) <= 4
for i in range(10):
    with socket.create_connection(('10.0.0.5', 81)) as c:
        c.sendall(b'text %d' % i); assert read_all(c) == b'TEXT %d' % i
class Manager(mm.BaseManager): pass
Manager.register('shared')
m = Manager(('10.0.0.5', 82), b'secret'); m.connect(); shared = m.shared()
for i in range(50): shared[i] = 'x' * i * 1000
assert len(shared) == 50 and shared[49] == 'x' * 49000
print('done')`,
  ),
)

t.test('XML-RPC: values, binary data, faults, introspection', t =>
  pair(
    t,
    `
from socketserver import ThreadingMixIn
from xmlrpc.server import SimpleXMLRPCServer
class Server(ThreadingMixIn, SimpleXMLRPCServer): daemon_threads = True
s = Server(('', 80), logRequests=False, allow_none=True, use_builtin_types=True)
s.register_function(lambda *a: list(a), 'echo'); s.register_function(lambda x: 1 // x, 'divide')
s.register_introspection_functions(); s.register_multicall_functions()
print('ready', flush=True); s.serve_forever()`,
    `
import xmlrpc.client as x
with x.ServerProxy('http://10.0.0.5/', allow_none=True, use_builtin_types=True) as p:
    for value in (1, 'text', None, 2.5, b'\\0' * 200000, {'a': [1, {'b': True}]}): assert p.echo(value) == [value]
    try: p.divide(0); assert False
    except x.Fault as e: assert 'ZeroDivisionError' in e.faultString
    assert 'echo' in p.system.listMethods()
    many = x.MultiCall(p)
    for i in range(100): many.echo(i)
    assert list(many()) == [[i] for i in range(100)]
print('done')`,
  ),
)

t.test(
  'TLS: http.server and urllib; asyncio both ways at once, and an upgraded stream',
  async t => {
    const dir = scratch(t)
    const [key, cert] = [join(dir, 'key'), join(dir, 'cert')]
    const words =
      'req -x509 -newkey rsa:2048 -nodes -subj /CN=lab -addext subjectAltName=IP:10.0.0.5'
    t.match(await execute('openssl', [...words.split(' '), '-keyout', key, '-out', cert]), {
      status: 0,
    })
    makeFile(join(dir, 'file'), 1_000_000)
    await pair(
      t,
      `
import asyncio, functools, http.server, ssl, sys, threading
dir = sys.argv[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(dir + '/cert', dir + '/key')
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('', 443), functools.partial(Handler, directory=dir))
s.socket = context.wrap_socket(s.socket, server_side=True)
threading.Thread(target=s.serve_forever, daemon=True).start()
async def echo(reader, writer):
    while piece := await reader.read(65536):
        writer.write(piece); await writer.drain()
    writer.close()
async def upgrade(reader, writer):
    assert await reader.readline() == b'STARTTLS\\n'
    writer.write(b'go\\n'); await writer.drain(); await writer.start_tls(context)
    writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
async def main():
    await asyncio.start_server(echo, '', 444, ssl=context); await asyncio.start_server(upgrade, '', 445)
    print('ready', flush=True); await asyncio.Event().wait()
asyncio.run(main())`,
      `
import asyncio, ssl, sys, urllib.request
dir = sys.argv[1]
context = ssl.create_default_context(cafile=dir + '/cert'); want = open(dir + '/file', 'rb').read()
for _ in range(3):
    with urllib.request.urlopen('https://10.0.0.5/file', context=context) as r: assert r.read() == want
async def echo():
    reader, writer = await asyncio.open_connection('10.0.0.5', 444, ssl=context)
    async def send():
        writer.write(want); await writer.drain()
    sending = asyncio.ensure_future(send())
    assert await reader.readexactly(len(want)) == want
    await sending; writer.close()
async def upgrade():
    reader, writer = await asyncio.open_connection('10.0.0.5', 445)
    writer.write(b'STARTTLS\\n'); assert await reader.readline() == b'go\\n'
    if not hasattr(writer, 'start_tls'): return
    await writer.start_tls(context, server_hostname='10.0.0.5')
    writer.write(b'text\\n'); assert await reader.readline() == b'TEXT\\n'; writer.close()
async def main(): await asyncio.gather(*(echo() for _ in range(5)), upgrade())
asyncio.run(asyncio.wait_for(main(), 20))
print('done')`,
      [dir],
    )
  },
)
