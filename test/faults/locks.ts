// A process dies that held a lock of a socket which others have, too: they go on.
import t, { type Test } from 'tap'

import * as layout from '../../src/shm/layout.ts'
import { holdLocks } from '../helpers/held-lock.ts'
import { runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart, start } from '../helpers/program.ts'
import { nothingLeft, request, stackServerOf } from '../helpers/stack-server.ts'

const { rlock, wlock } = layout.RECORD

/** A process with a slot of its own in the stack: it says which, and lives until it is killed. */
const MEMBER = `
import socket, struct, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect('\\0' + sys.argv[1]); s.send(bytes.fromhex(sys.argv[2]))
print('slot', struct.unpack_from('<i', s.recv(100), ${layout.CTL_REPLY.slot})[0], flush=True)
time.sleep(60)`

async function locked(t: Test, program: string, says: RegExp) {
  const env = runtime(t)
  const one = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', program], { env })
  await one.says(/ready/)
  const { name } = await stackServerOf(env, one.pid)
  const ask = request(layout.CTL_SLOT, 0, Buffer.alloc(16)).toString('hex')
  const other = start(t, PYTHON, ['-c', MEMBER, `${layout.ABI_NAME_PREFIX}${name}/ctl`, ask])
  const [, slot] = await other.says(/slot (\d+)/)
  // As if a thread of that process had taken them.
  holdLocks(one.pid, (Number(slot) << 19) | 1, [rlock, wlock])
  one.child.stdin!.write('\n')
  await new Promise(resolve => setTimeout(resolve, 300))
  t.notMatch(one.stdout, says, 'it waits for the lock')
  other.signal('SIGKILL')
  await one.says(says)
  one.child.stdin!.end()
  t.match(await one.ends(), { status: 0, stderr: '' })
  await nothingLeft(t, env)
}

t.test('of a stream: write and read', async t =>
  locked(
    t,
    `
import socket, sys
s = socket.create_server(('', 7)); c = socket.create_connection(('127.0.0.1', 7)); d, _ = s.accept()
print('ready', flush=True); sys.stdin.readline()
c.sendall(b'text'); print(d.recv(10), flush=True); sys.stdin.read()`,
    /^b'text'$/m,
  ),
)

t.test('of a datagram socket: going native', async t =>
  locked(
    t,
    `
import socket, subprocess, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 7))
s.sendto(b'one', ('127.0.0.1', 7)); s.sendto(b'two', ('127.0.0.1', 7))
print('ready', flush=True); sys.stdin.readline()
subprocess.run(['busybox', 'dd', 'bs=10', 'count=2'], stdin=s, stderr=subprocess.DEVNULL); sys.stdin.read()`,
    /onetwo/,
  ),
)
