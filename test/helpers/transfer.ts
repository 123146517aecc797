// A transfer between two programs for a fault to fall into: what was sent must arrive, every byte.
import type { Test } from 'tap'

import { PYTHON, iothStart, type Program } from './program.ts'

export interface Transfer {
  readonly server: Program
  readonly client: Program
  /** Until so many megabytes have arrived. */
  arrived(megabytes: number): Promise<unknown>
  /** Asserts that all has arrived as it was sent and both programs ended well. */
  whole(t: Test): Promise<void>
}

/** Sends MB megabytes to whoever connects, then their SHA-256 to standard output. No two pieces are equal. */
const SENDER = `
import hashlib, random, socket, sys
megabytes = int(sys.argv[1])
listener = socket.create_server(('', 80)); print('ready', flush=True)
c, _ = listener.accept()
piece = bytearray(random.Random(1).randbytes(1 << 20)); hash = hashlib.sha256()
for i in range(megabytes):
    piece[:4] = i.to_bytes(4, 'big')
    hash.update(piece); c.sendall(piece)
c.close()
print(hash.hexdigest(), flush=True)`

const RECEIVER = `
import hashlib, socket
c = socket.create_connection(('10.0.0.5', 80)); hash = hashlib.sha256()
total = 0
while piece := c.recv(1 << 18):
    hash.update(piece)
    if (total >> 20) != (total + len(piece)) >> 20: print('at', (total >> 20) + 1, flush=True)
    total += len(piece)
print(hash.hexdigest(), total, flush=True)`

/** From 10.0.0.5 to 10.0.0.6. */
export async function transfer(
  t: Test,
  env: NodeJS.ProcessEnv,
  megabytes: number,
): Promise<Transfer> {
  const send = ['--ip', '10.0.0.5', PYTHON, '-c', SENDER, `${megabytes}`]
  const server = iothStart(t, send, { env })
  await server.says(/ready/)
  const client = iothStart(t, ['--ip', '10.0.0.6', PYTHON, '-c', RECEIVER], { env })
  const arrived = (n: number) => client.says(new RegExp(`^at ${n}$`, 'm'), 60_000)
  await arrived(1)
  return {
    server,
    client,
    arrived,
    whole: async t => {
      const sent = await server.ends(60_000)
      const received = await client.ends(60_000)
      t.match(sent, { status: 0, signal: null, stderr: '' })
      t.match(received, { status: 0, signal: null, stderr: '' })
      const [, want] = /^([0-9a-f]{64})$/m.exec(sent.stdout) ?? []
      const [, got, total] = /^([0-9a-f]{64}) (\d+)$/m.exec(received.stdout) ?? []
      t.equal(Number(total), megabytes << 20)
      t.equal(got, want, 'every byte')
    },
  }
}
