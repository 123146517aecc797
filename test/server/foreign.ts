// Abstract names have no permissions: another user can connect to each of a stack's and must get nothing by it.
import { readFileSync } from 'node:fs'

import t from 'tap'

import * as layout from '../../src/shm/layout.ts'
import { execute, iothRun, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart, start } from '../helpers/program.ts'
import { nothingLeft, request, stackServerOf } from '../helpers/stack-server.ts'

const skip = process.geteuid!() !== 0 && 'needs root, to become another user'
const NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--']

/** Accepts one honest connection after another, echoes. */
const server = `
import socket
s = socket.create_server(('', 80)); bound = socket.socket(); bound.bind(('', 81))
print('ready', flush=True)
while True:
    c, peer = s.accept(); print('accepted', *peer, flush=True)
    c.sendall(c.recv(100)); kept = c`

const client = `
import socket
c = socket.create_connection(('10.0.0.5', 80), 5); c.sendall(b'hello'); print(c.recv(100).decode())`

/** Connects to each name given and says what it gets: names, then a request as hexadecimal digits. */
const stranger = `
import array, errno, socket, sys
stack, message = sys.argv[1], bytes.fromhex(sys.argv[2])
names = [line.split('@')[1].strip() for line in open('/proc/net/unix') if '@ioth/' + stack in line]
held = []
for name in sorted(set(names)):
    kind = name.split('/')[-1]
    kind = 'record' if '.' in kind else kind
    for type in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
        s = socket.socket(socket.AF_UNIX, type); s.settimeout(2)
        try: s.connect('\\0' + name)
        except OSError as e:
            if e.errno not in (errno.EPROTOTYPE, errno.ECONNREFUSED): print(kind, errno.errorcode[e.errno])
            continue
        held.append(s)
        try:
            s.send(message)
            if type == socket.SOCK_DGRAM: print(kind, 'sent'); continue
            data, ancillary, _, _ = s.recvmsg(100, socket.CMSG_SPACE(16))
            print(kind, data.hex() or 'closed', len(ancillary))
        except TimeoutError: print(kind, 'silence')
        except OSError as e: print(kind, 'closed', 0)
print('done', flush=True); sys.stdin.readline()`

t.test('another user connects to every name of a stack', { skip }, async t => {
  const env = runtime(t)
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', server], { env })
  await program.says(/ready/)
  const stack = await stackServerOf(env, program.pid)
  const ask = () => iothRun(['--ip', '10.0.0.6', PYTHON, '-c', client], { env })
  t.match(await ask(), { status: 0, stdout: 'hello\n' })
  const attach = request(layout.CTL_ATTACH, 0, Buffer.alloc(16)).toString('hex')
  const words = [...NOBODY, PYTHON, '-c', stranger, stack.name, attach]
  const other = start(t, 'setpriv', words, { env: { PATH: process.env.PATH }, cwd: '/' })
  await other.says(/done/, 30_000)
  const found = new Set(other.stdout.trim().split('\n'))
  const reply = Buffer.alloc(layout.CTL_REPLY_SIZE)
  reply.writeUInt32LE(layout.ABI_MAGIC, layout.CTL_REPLY.magic)
  reply.writeInt32LE(-13, layout.CTL_REPLY.result)
  reply.writeUInt32LE(layout.ABI_REGION_SIZE, layout.CTL_REPLY.region_size)
  t.ok(found.has(`ctl ${reply.toString('hex')} 0`), 'attach: EACCES, and no descriptor')
  t.ok(found.has('conn closed 0'), 'conn: hung up')
  t.ok(found.has('msg closed 0'), 'msg: hung up, too')
  t.ok(found.has('kick sent'), 'kick: taken, without effect')
  t.ok(found.has('record closed 0'), 'the listener: hung up, when its program accepts next')
  for (const line of found)
    t.match(line, /^(ctl|conn|msg|kick|record) (sent|closed 0|4|69)|^done$/, line)
  t.equal(program.stdout.match(/accepted/g)?.length, 1, 'accept() did not return for it')
  t.match(await ask(), { status: 0, stdout: 'hello\n' }, 'others are served as before')
  t.match(program.stdout, /^ready\n(accepted 10\.0\.0\.6 \d+\n){2}$/)
  other.child.stdin!.end('\n')
  program.signal('SIGKILL')
  await program.ends()
  await nothingLeft(t, env)
})

t.test('another user can attach with the token, and not with a wrong one', { skip }, async t => {
  const env = runtime(t)
  const script = 'echo ready; read line'
  const program = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', script], { env })
  await program.says(/ready/)
  const stack = await stackServerOf(env, program.pid)
  const environ = readFileSync(`/proc/${program.pid}/environ`, 'latin1').split('\0')
  const token = environ.find(entry => entry.startsWith('IOTH_TOKEN='))!.slice('IOTH_TOKEN='.length)
  const attach = async (digits: string) => {
    const message = request(layout.CTL_ATTACH, 0, Buffer.from(digits, 'hex')).toString('hex')
    const words = [...NOBODY, PYTHON, '-c', stranger, stack.name, message]
    const { stdout } = await execute('setpriv', words, { cwd: '/', input: '\n' })
    const [, reply, fds] = /^ctl ([0-9a-f]{32}) (\d)$/m.exec(stdout) ?? []
    return [Buffer.from(reply ?? '', 'hex').readInt32LE(4), Number(fds)]
  }
  t.same(await attach(token), [0, 1], 'the region comes along')
  for (let i = 0; i < 32; i += 7) {
    const wrong = token.slice(0, i) + (token[i] === '0' ? '1' : '0') + token.slice(i + 1)
    t.same(await attach(wrong), [-13, 0], `digit ${i} is another`)
  }
})

t.test('1000 strangers who connect and say nothing do not keep programs out', async t => {
  const env = runtime(t)
  const script = `
import os, socket
stack = os.environ['IOTH_STACK']
held = []
for i in range(1000):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(f'\\0ioth/{stack}/ctl'); held.append(s)
pid = os.fork()
if pid == 0: os.execlp('${PYTHON}', '${PYTHON}', '-c', 'import socket; socket.create_server(("", 80)); print("served")')
os.waitpid(pid, 0)`
  const got = await iothRun(['--ip', '10.0.0.5', PYTHON, '-c', script], { env })
  t.match(got, { status: 0, stdout: 'served\n', stderr: '' })
  await nothingLeft(t, env)
})
