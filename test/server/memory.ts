// Connections that are over hold no memory: not of the region, not of the server.
import { readFileSync, readdirSync, statSync } from 'node:fs'

import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart, until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const server = `
import socket, threading
s = socket.create_server(('', 80), backlog=512); print('ready', flush=True)
def serve():
    while True:
        c, _ = s.accept()
        if data := c.recv(100): c.sendall(data * 2000)
        c.close()
for _ in range(8): threading.Thread(target=serve, daemon=True).start()
import time; time.sleep(300)`

/** COUNT connections in sequence in each of 8 threads; every second is closed by this side first. */
const client = (count: number) => `
import socket, threading
failed = []
def ask(n):
    try:
        for i in range(n):
            c = socket.create_connection(('10.0.0.5', 80), 20)
            c.sendall(b'x' * 10); got = 0
            while got < 20000: got += len(c.recv(65536))
            if i % 2: c.recv(1)
            c.close()
    except Exception as e: failed.append(repr(e))
threads = [threading.Thread(target=ask, args=(${count / 8},)) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(failed)`

t.test('10,000 connections opened and closed', async t => {
  const env = runtime(t)
  const program = iothStart(t, ['--ip', '10.0.0.5', PYTHON, '-c', server], { env })
  await program.says(/ready/)
  const { pid } = await stackServerOf(env, program.pid)
  const rest = resident(pid)
  t.comment(`a stack server at rest: ${mega(rest)} MB resident`)
  t.ok(rest < 90e6, `${mega(rest)} MB are less than 90`)
  const ask = async (count: number) => {
    const words = ['--ip', '10.0.0.6', PYTHON, '-c', client(count)]
    t.match(await iothRun(words, { env }), { status: 0, stdout: '[]\n' }, `${count} connections`)
  }
  await ask(400)
  await settled(pid)
  const before = { region: regionBytes(pid), resident: resident(pid), fds: descriptors(pid) }
  await ask(10_000)
  await settled(pid)
  const after = { region: regionBytes(pid), resident: resident(pid), fds: descriptors(pid) }
  t.comment(`region ${before.region} and ${after.region} bytes`)
  t.comment(`resident ${mega(before.resident)} and ${mega(after.resident)} MB`)
  t.ok(after.region <= before.region + 512 * 1024, 'the region is what it was')
  t.ok(after.resident < before.resident + 60e6, 'and so is the server, but for what V8 keeps')
  t.equal(after.fds, before.fds, 'no descriptor is left open')
  program.signal('SIGKILL')
  await program.ends()
  await nothingLeft(t, env)
})

/** Memory that nobody uses is given back in the sweep of each second. */
async function settled(pid: number): Promise<void> {
  let last = -1
  let since = performance.now()
  await until('the region to settle', 15_000, () => {
    const now = regionBytes(pid)
    if (now !== last) since = performance.now()
    last = now
    return performance.now() - since > 2500
  })
}

/** Blocks in use of the process's memory file. */
function regionBytes(pid: number): number {
  const files = readdirSync(`/proc/${pid}/fdinfo`).map(fd => statSync(`/proc/${pid}/fd/${fd}`))
  const region = files.find(file => file.size === 0x80000000)
  if (region === undefined) throw new Error(`process ${pid} has no region`)
  return region.blocks * 512
}

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length

/** Private memory: the region is shared with the programs, and counted by itself. */
function resident(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  const shmem = /^RssShmem:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  const rss = /^Rss:\s+(\d+)/m.exec(text)
  return 1024 * (Number(rss?.[1]) - Number(shmem?.[1]))
}

const mega = (bytes: number) => (bytes / 1e6).toFixed(1)
