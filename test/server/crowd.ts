// Many sockets, many processes, processes that are killed with sockets in use: all that a stack has of anything is given
// back.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import * as layout from '../../src/shm/layout.ts'
import { scratch } from '../helpers/content.ts'
import { iothRun, root, runtime } from '../helpers/ioth-run.ts'
import { PYTHON, iothStart, until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const crowd = join(scratch(t), 'crowd')
const flags = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-O2', '-pthread']
execFileSync('cc', [...flags, join(root, 'test/fixtures/crowd.c'), '-o', crowd])

const hard = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }))
const files = !(hard < layout.ABI_RECORDS + 100) ? false : `RLIMIT_NOFILE is ${hard}`

/** Opens all the sockets that there are, twice; with three of them given back a connection can be made. */
const everySocket = `
import errno, resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
def use():
    a = socket.create_server(('127.0.0.1', 0)); b = socket.create_connection(a.getsockname()); c, _ = a.accept()
    b.sendall(b'x'); assert c.recv(1) == b'x'
for round in range(2):
    held = []
    try:
        while True: held.append(socket.socket(type=(socket.SOCK_STREAM, socket.SOCK_DGRAM)[len(held) % 2]))
    except OSError as e: print(len(held), errno.errorcode[e.errno])
    for s in held[-3:]: s.close()
    use()
    for s in held: s.close()
`

t.jobs = 4 // they mostly wait: a record that a dying process had just been given is looked for after 10 s

t.test('a socket too many: ENFILE; all are given back', { skip: files }, async t => {
  const env = runtime(t)
  const { status, stdout, stderr } = await iothRun(
    ['--ip', '10.0.0.5', PYTHON, '-c', everySocket],
    {
      env,
    },
  )
  const all = `${layout.ABI_RECORDS} ENFILE\n`
  t.same({ status, stdout, stderr }, { status: 0, stdout: all + all, stderr: '' })
  await nothingLeft(t, env)
})

t.test('1,000 processes, each with a connection', async t => {
  const env = runtime(t)
  const said = await iothRun(['--ip', '10.0.0.5', crowd, 'live', '1000'], { env })
  t.match(said, { status: 0, stdout: '1000 served\n', stderr: '' })
  await nothingLeft(t, env)
})

for (const mode of ['ring', 'native'])
  t.test(`150 processes killed in the middle of socket calls, ${mode} mode`, async t => {
    const env: NodeJS.ProcessEnv = { ...runtime(t), ...(mode === 'native' && { IOTH_MODE: mode }) }
    const seed = 1 + Math.floor(Math.random() * 1e6)
    const words = ['--ip', '10.0.0.5', crowd, 'kill', '150', `${seed}`]
    const program = iothStart(t, words, { env })
    const stack = await stackServerOf(env, program.pid)
    await program.says(/killed/)
    t.comment(`seed ${seed}`)
    // The listener is left.
    await until('calls and records to be given back', 20_000, () => {
      const { calls, records } = inUse(stack.pid)
      return calls === 0 && records === 1
    })
    program.child.stdin!.end()
    t.match(await program.ends(), { status: 0, stdout: 'killed\n', stderr: '' })
    await nothingLeft(t, env)
  })

/** Call blocks and records that are not free, in the region of this stack server. */
function inUse(server: number): { calls: number; records: number } {
  const size = layout.ABI_RECORDS_OFFSET + layout.ABI_RECORDS * layout.RECORD_SIZE
  const bytes = Buffer.alloc(size)
  const fd = openSync(regionOf(server), 'r')
  try {
    readSync(fd, bytes, 0, size, 0)
  } finally {
    closeSync(fd)
  }
  const count = (offset: number, step: number, n: number, free: number) => {
    let used = 0
    for (let i = 0; i < n; i++) if (bytes.readUInt32LE(offset + i * step) !== free) used++
    return used
  }
  const { ABI_CALLS_OFFSET, ABI_CALLS, CALL_SIZE, CALL_FREE, RECORD } = layout
  const states = layout.ABI_RECORDS_OFFSET + RECORD.state
  return {
    calls: count(ABI_CALLS_OFFSET, CALL_SIZE, ABI_CALLS, CALL_FREE),
    records: count(states, layout.RECORD_SIZE, layout.ABI_RECORDS, layout.RECORD_FREE),
  }
}

function regionOf(pid: number): string {
  const paths = readdirSync(`/proc/${pid}/fd`).map(fd => `/proc/${pid}/fd/${fd}`)
  const region = paths.find(
    path => statSync(path, { throwIfNoEntry: false })?.size === layout.ABI_REGION_SIZE,
  )
  if (region === undefined) throw new Error(`process ${pid} has no region`)
  return region
}
