import t from 'tap'

import { execute, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)

/** Runs ioth-run in a new terminal: types a line of keys when the program says "ready", prints what was seen. */
const terminal = `
import json, os, pty, signal, sys, time
keys = bytes.fromhex(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b''
status = None
typed = not keys
while True:
    try: data = os.read(fd, 4096)
    except OSError: break
    if not data: break
    seen += data
    if not typed and b'ready' in seen:
        os.write(fd, keys); typed = True
        if keys == b'\\x1a':
            _, status = os.waitpid(pid, os.WUNTRACED)
            stopped = os.WIFSTOPPED(status)
            os.kill(pid, signal.SIGCONT)
            seen += b' stopped' if stopped else b' went on'
_, status = os.waitpid(pid, 0)
print(json.dumps({'seen': seen.decode(), 'signal': status & 127, 'status': status >> 8}))
`

async function inTerminal(keys: string, ...command: string[]) {
  const hex = Buffer.from(keys).toString('hex')
  const { stdout } = await execute('python3', ['-c', terminal, hex, ...command], { env })
  return JSON.parse(stdout) as { seen: string; signal: number; status: number }
}

t.test('the program has the terminal', async t => {
  const { seen, status } = await inTerminal('', IOTH_RUN, 'sh', '-c', 'test -t 0 && tty')
  t.match({ seen, status }, { seen: /^\/dev\/pts\/\d+\r\n$/, status: 0 })
})

t.test('terminal settings are left as they were', async t => {
  const plain = await inTerminal('', 'stty', '-a')
  t.same(await inTerminal('', IOTH_RUN, 'stty', '-a'), plain)
})

t.test('session, process group and foreground group are unchanged', async t => {
  // pid (comm) state ppid pgrp session tty_nr tpgid
  const { seen } = await inTerminal('', IOTH_RUN, 'cat', '/proc/self/stat')
  const [pid, , , , pgrp, session, , tpgid] = seen.split(' ')
  t.same([pgrp, session, tpgid], [pid, pid, pid], 'the leader of all three, as without ioth-run')
})

t.test('Ctrl-C ends the program', async t => {
  const { signal } = await inTerminal('\x03', IOTH_RUN, 'sh', '-c', 'echo ready; exec sleep 20')
  t.equal(signal, 2)
})

t.test('Ctrl-Z stops it and fg goes on', async t => {
  const line = 'echo ready; sleep 0.3; echo done'
  const { seen, status } = await inTerminal('\x1a', IOTH_RUN, 'sh', '-c', line)
  t.match(seen, /ready[^]* stopped[^]*done/)
  t.equal(status, 0)
})
