// The stack thread fails under load. If it throws, another takes up its connections; if it hangs, the stack ends.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { LOCK_SERVER, RECORD } from '../../src/shm/layout.ts'
import { holdLocks } from '../helpers/held-lock.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { nothingLeft, injectFault, stackServerOf } from '../helpers/stack-server.ts'
import { transfer } from '../helpers/transfer.ts'
import { PYTHON, iothStart, until } from '../helpers/program.ts'

/** Empty when it is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

const faulty = (t: Parameters<typeof runtime>[0]) => ({ ...runtime(t), IOTH_FAULTS: '1' })

for (const [title, ends] of [
  ['of the sender', ['server']],
  ['of the receiver', ['client']],
  ['of both', ['server', 'client']],
] as const)
  t.test(`the stack thread ${title} throws four times: not a byte is lost`, async t => {
    const env = faulty(t)
    const moving = await transfer(t, env, 300)
    const stacks = await Promise.all(ends.map(end => stackServerOf(env, moving[end].pid)))
    for (const megabytes of [20, 80, 140, 200]) {
      await moving.arrived(megabytes)
      for (const stack of stacks) t.equal(injectFault(stack, 'throw'), 0)
    }
    await moving.arrived(220)
    for (const stack of stacks) {
      const log = readFileSync(join(stack.dir, 'log'), 'latin1')
      t.equal(log.match(/thrown as a test asked/g)?.length, 4, 'it was replaced')
    }
    await moving.whole(t)
    await nothingLeft(t, env)
  })

t.test('the stack thread throws while it moves a ring: the next one drops its lock', async t => {
  const env = faulty(t)
  const moving = await transfer(t, env, 60)
  const stack = await stackServerOf(env, moving.server.pid)
  // As if the server had taken the writers' locks.
  holdLocks(moving.server.pid, LOCK_SERVER, [RECORD.wlock])
  t.equal(injectFault(stack, 'throw'), 0)
  await moving.whole(t)
  await nothingLeft(t, env)
})

/** A UDP server in a group, connected to nobody, and a client that is connected. */
const udpEcho = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.0.0.5', 7))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + bytes(4))
print('ready', flush=True)
while True:
    text, peer = s.recvfrom(100)
    s.sendto(text, peer)
`
const udpClient = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect(('10.0.0.5', 7))
print('ready', flush=True)
for line in sys.stdin:
    for _ in range(10):
        s.send(line.encode())
        try:
            print(s.recv(100).decode().strip(), s.getsockname()[0], flush=True)
            break
        except TimeoutError:
            pass
`

t.test('UDP sockets are what they were after the thread has changed', async t => {
  const env = faulty(t)
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', udpEcho], { env })
  await server.says(/ready/)
  const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', udpClient], { env })
  await client.says(/ready/)
  const stacks = [await stackServerOf(env, server.pid), await stackServerOf(env, client.pid)]
  for (const word of ['first', 'second', 'third']) {
    client.child.stdin!.write(`${word}\n`)
    await client.says(new RegExp(`${word} 10\\.0\\.0\\.6`))
    for (const stack of stacks) t.equal(injectFault(stack, 'throw'), 0)
    await Promise.all(
      stacks.map(stack =>
        until('another thread', 10_000, () =>
          /thrown as a test asked/.test(readFileSync(join(stack.dir, 'log'), 'latin1')),
        ),
      ),
    )
  }
  client.child.stdin!.end('last\n')
  await client.says(/last 10\.0\.0\.6/)
})

/** A ping socket with an ident of its own, and a raw one that hears replies only; requests from the one, twice. */
const pings = `
import socket, struct, sys
p = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)
p.bind(('0.0.0.0', 77))
r = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
r.setsockopt(255, 1, struct.pack('I', 0xffffffff & ~1))
h = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
h.setsockopt(0, 3, 1)
h.connect(('127.0.0.1', 0))
print('ready', flush=True)
for line in sys.stdin:
    for s in (p, r): s.settimeout(1)
    for _ in range(10):
        try:
            p.sendto(struct.pack('!BBHHH', 8, 0, 0, 0, 1) + line.encode(), ('127.0.0.1', 0))
            text, raw = p.recv(100), r.recv(100)
            break
        except TimeoutError:
            pass
    names = p.getsockname()[1], r.getsockname()[1], h.getsockname()
    print(text[8:].decode().strip(), text[0], raw[20], names, h.getsockopt(0, 3), flush=True)
`

t.test('ping and raw sockets are what they were after the thread has changed', async t => {
  const env = faulty(t)
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', pings], { env })
  await program.says(/ready/)
  const stack = await stackServerOf(env, program.pid)
  for (const word of ['first', 'second', 'third']) {
    program.child.stdin!.write(`${word}\n`)
    await program.says(new RegExp(`${word} 0 0 \\(77, 1, \\('127.0.0.1', 253\\)\\) 1`))
    t.equal(injectFault(stack, 'throw'), 0)
  }
  program.child.stdin!.end('last\n')
  await program.says(/last 0 0 \(77, 1, \('127.0.0.1', 253\)\) 1/)
})

/**
 * A packet socket with a filter, and one with a ring: what they see of a datagram over loopback. The filter wants 50 bytes of
 * IPv4, the ring is TPACKET_V1's.
 */
const captures = `
import ctypes, mmap, select, socket, struct, sys
packets = lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
code = b''.join(struct.pack('HBBI', *i) for i in [
    (0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (6, 0, 0, 50), (6, 0, 0, 0)])
memory = ctypes.create_string_buffer(code)
f = packets()
f.setsockopt(socket.SOL_SOCKET, 26, struct.pack('HL', 4, ctypes.addressof(memory)))
f.setsockopt(263, 23, 1)
f.bind(('lo', 3))
r = packets()
r.setsockopt(263, 5, struct.pack('IIII', 4096, 2, 2048, 4))
ring = mmap.mmap(r.fileno(), 8192)
r.bind(('lo', 0x800))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(('127.0.0.1', 0))
slot = 0
print('ready', flush=True)
for line in sys.stdin:
    f.settimeout(1)
    for _ in range(10):
        u.sendto(line.encode().ljust(40), u.getsockname())
        try:
            text, name = f.recvfrom(100)
            break
        except TimeoutError:
            pass
    while not select.select([r], [], [], 10)[0]: pass
    at = 2048 * slot
    status, length, snap, mac = struct.unpack_from('LIIH', ring, at)
    word = ring[at + mac + 42:at + mac + 42 + len(line) - 1].decode()
    ring[at:at + 8] = bytes(8)
    slot = (slot + 1) % 4
    print(word, len(text), name[0], name[2], status & 1, length, f.getsockname()[:2], flush=True)
`

t.test(
  'packet sockets, filters and rings are what they were after the thread has changed',
  async t => {
    const env = faulty(t)
    const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', captures], { env })
    await program.says(/ready/)
    const stack = await stackServerOf(env, program.pid)
    for (const word of ['first', 'second', 'third']) {
      program.child.stdin!.write(`${word}\n`)
      await program.says(new RegExp(`${word} 50 lo 0 1 82 \\('lo', 3\\)`))
      t.equal(injectFault(stack, 'throw'), 0)
    }
    program.child.stdin!.end('last\n')
    await program.says(/last 50 lo 0 1 82 \('lo', 3\)/)
  },
)

/** Listens twice, accepts, connects and sleeps through a change of threads in every way a program may sleep. */
const sleepers = `
import os, select, socket, sys, threading, time
listener = socket.create_server(('', 80))
idle = socket.create_server(('', 81))
done = []
def waits_in_accept():
    c, _ = idle.accept(); done.append('accept ' + c.recv(10).decode())
def waits_in_recv(c): done.append('recv ' + c.recv(10).decode())
def waits_in_epoll(c):
    e = select.epoll(); e.register(c, select.EPOLLIN | select.EPOLLET)
    e.poll(); done.append('epoll ' + c.recv(10).decode())
def waits_in_send(c): c.sendall(b'x' * 20000000); done.append('send'); c.close()
threads = [threading.Thread(target=waits_in_accept)]
print('ready', flush=True)
for target in waits_in_recv, waits_in_epoll, waits_in_send:
    c, _ = listener.accept(); threads.append(threading.Thread(target=target, args=(c,)))
for thread in threads: thread.start()
time.sleep(0.3); print('asleep', flush=True)
for thread in threads: thread.join()
print(*sorted(done), sep='\\n')`

const waker = `
import socket, sys
c = [socket.create_connection(('10.0.0.5', 80)) for _ in range(3)]
print('connected', flush=True)
sys.stdin.readline()
c[0].send(b'one'); c[1].send(b'two')
total = 0
while piece := c[2].recv(1 << 20): total += len(piece)
print(total)
d = socket.create_connection(('10.0.0.5', 81)); d.send(b'three'); d.close()`

t.test('programs asleep in accept, recv, epoll_wait and send do not notice', async t => {
  const env = faulty(t)
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', sleepers], { env })
  await server.says(/ready/)
  const stack = await stackServerOf(env, server.pid)
  const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', waker], { env })
  await client.says(/connected/)
  await server.says(/asleep/)
  for (let i = 0; i < 2; i++) t.equal(injectFault(stack, 'throw'), 0)
  client.child.stdin!.end('go\n')
  t.match(await client.ends(), { status: 0, stdout: 'connected\n20000000\n', stderr: '' })
  t.match(await server.ends(), {
    status: 0,
    stdout: 'ready\nasleep\naccept three\nepoll two\nrecv one\nsend\n',
    stderr: '',
  })
  await nothingLeft(t, env)
})

/** Four processes share one connection and echo it; each line on standard input kills one and starts another. */
const mortals = `
import os, signal, socket, sys
s = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = s.accept()
def copy():
    while piece := c.recv(4096): c.sendall(piece)
    os._exit(0)
def begin():
    pid = os.fork()
    if pid == 0: copy()
    return pid
pids = [begin() for _ in range(4)]
print('echoing', flush=True)
while sys.stdin.readline():
    os.kill(pids[0], signal.SIGKILL); os.waitpid(pids.pop(0), 0); pids.append(begin())
    print('killed', flush=True)
for pid in pids: os.waitpid(pid, 0)
print('end', flush=True)`

const talker = `
import socket, sys, threading
c = socket.create_connection(('10.0.0.5', 80)); stop = threading.Event()
def write():
    while not stop.is_set(): c.sendall(bytes(100000))
    c.shutdown(socket.SHUT_WR)
threading.Thread(target=write).start()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
total = 0
while piece := c.recv(1 << 20): total += len(piece)
print(total > 0)`

t.test('processes that die while the stack thread is replaced: what they held is free', async t => {
  const env = faulty(t)
  const server = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', mortals], { env })
  await server.says(/ready/)
  const stack = await stackServerOf(env, server.pid)
  const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', talker], { env })
  await server.says(/echoing/)
  for (let i = 1; i <= 8; i++) {
    t.equal(injectFault(stack, 'throw'), 0)
    server.child.stdin!.write('kill\n')
    await server.says(new RegExp(`(killed\n){${i}}`))
  }
  client.child.stdin!.end('stop\n')
  server.child.stdin!.end()
  t.match(await client.ends(), { status: 0, stdout: 'True\n', stderr: '' })
  t.match(await server.ends(), { status: 0, stdout: /end\n$/, stderr: '' })
  await nothingLeft(t, env)
})

t.test('a stack thread that never comes back: errors within seconds, no program hangs', async t => {
  const env = faulty(t)
  const moving = await transfer(t, env, 2000)
  await moving.arrived(20)
  const stack = await stackServerOf(env, moving.server.pid)
  injectFault(stack, 'loop')
  const server = await moving.server.ends(8000)
  t.equal(server.status, 1)
  t.match(server.stderr, /(ConnectionResetError|BrokenPipeError|OSError)/)
  const client = await moving.client.ends(8000)
  t.equal(client.status, 1, 'its peer is told by the switch')
  t.match(client.stderr, /(ConnectionResetError|OSError|TimeoutError)/)
  await nothingLeft(t, env)
  t.match(
    await iothRun(['--ip', '10.0.0.5', 'true'], { env }),
    { status: 0 },
    'the address is free',
  )
})

t.test('more throws in a minute than bugs alone explain end the stack', async t => {
  const env = faulty(t)
  const wait = 'import socket; socket.create_server(("", 80)).accept()'
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', wait], { env })
  const stack = await stackServerOf(env, program.pid)
  const thrown = () => read(join(stack.dir, 'log')).match(/thrown as a test asked/g)?.length ?? 0
  for (let i = 0; i < 11; i++) {
    t.equal(injectFault(stack, 'throw'), 0)
    // The eleventh takes the log with it.
    await until('the throw', 10_000, () => thrown() > i || program.over)
  }
  t.match(await program.ends(), { status: 1, stderr: /OSError/ })
  await nothingLeft(t, env)
})

t.test('without IOTH_FAULTS nobody can ask for a fault', async t => {
  const env = runtime(t)
  const program = iothStart(t, ['--ip', '10.0.0.5', 'sleep', '60'], { env })
  const stack = await stackServerOf(env, program.pid)
  t.equal(injectFault(stack, 'throw'), -71, 'EPROTO')
})
