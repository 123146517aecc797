// A stack that sits on a plug of another kind than a switch port, when its thread fails or the plug's other end goes.
import t from 'tap'

import { runtime } from '../helpers/ioth-run.ts'
import { ip, makeTap, Namespace, noTaps } from '../helpers/netns.ts'
import { iothStart, PYTHON, until, type Program } from '../helpers/program.ts'
import { injectFault, stackServerOf } from '../helpers/stack-server.ts'

const skip = noTaps ?? false

/** Answers each connection with the digest of what came. */
const server = `
import hashlib, socket
listener = socket.create_server(('10.9.0.1', 80)); print('ready', flush=True)
while True:
    c, _ = listener.accept(); digest = hashlib.sha256()
    while piece := c.recv(1 << 18): digest.update(piece)
    c.sendall(digest.hexdigest().encode()); c.close()`

/** Sends megabytes, says at which it is, and whether the digest is right. */
const client = `
import hashlib, random, socket, sys
c = socket.create_connection(('10.9.0.1', 80)); digest = hashlib.sha256()
piece = bytearray(random.Random(1).randbytes(1 << 20))
for i in range(int(sys.argv[1])):
    piece[:4] = i.to_bytes(4, 'big'); digest.update(piece); c.sendall(piece)
    print('at', i, flush=True)
c.shutdown(socket.SHUT_WR)
print('whole' if c.recv(64).decode() == digest.hexdigest() else 'damaged', flush=True)`

async function whole(t: Parameters<typeof runtime>[0], program: Program): Promise<void> {
  const { status, stdout, stderr } = await program.ends(60_000)
  t.equal(status, 0, stderr)
  t.match(stdout, /\nwhole\n$/)
}

t.test(
  'on a tap: the stack thread throws twice, then the interface is deleted',
  { skip },
  async t => {
    const env: NodeJS.ProcessEnv = { ...runtime(t), IOTH_FAULTS: '1' }
    const tap = makeTap(t)
    const us = iothStart(t, ['--ip', '10.9.0.1', '--net', `tap://${tap}`, PYTHON, '-c', server], { env }) // prettier-ignore
    await us.says(/ready/)
    const B = new Namespace(t)
    B.adopt(tap, '10.9.0.2/24')
    const stack = await stackServerOf(env, us.pid)
    const sender = B.start(PYTHON, '-c', client, '200')
    for (const megabytes of [20, 100]) {
      await sender.says(new RegExp(`^at ${megabytes}$`, 'm'), 60_000)
      t.equal(injectFault(stack, 'throw'), 0)
    }
    await whole(t, sender)

    B.ip('link', 'del', tap)
    // The stack makes it anew; somebody has to bring it to its place.
    await until('another interface', 10_000, () => String(ip('link')).includes(`${tap}:`))
    B.adopt(tap, '10.9.0.2/24')
    await whole(t, B.start(PYTHON, '-c', client, '10'))
  },
)

t.test(
  'seed 2, behind a faulty link: the stack threads throw, and nothing more is lost',
  async t => {
    const env: NodeJS.ProcessEnv = { ...runtime(t), IOTH_FAULTS: '1' }
    const net = 'fault://delay=1,loss=0.1,seed=2{switch://lab}'
    const us = iothStart(t, ['--ip', '10.9.0.1', '--net', net, PYTHON, '-c', server], { env })
    await us.says(/ready/)
    const them = iothStart(t, ['--ip', '10.9.0.2', '--net', net, PYTHON, '-c', client, '30'], {
      env,
    })
    for (const [i, megabytes] of [4, 11, 18].entries()) {
      await them.says(new RegExp(`^at ${megabytes}$`, 'm'), 60_000)
      const { pid } = i % 2 === 0 ? us : them
      t.equal(injectFault(await stackServerOf(env, pid), 'throw'), 0)
    }
    await whole(t, them)
  },
)
