import t from 'tap'

import { execute, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)

/** Runs ioth-run in a new terminal: types a line of keys when the program says "ready", prints what was seen. */
const terminal = `
import json, os, pty, sys
keys = bytes.fromhex(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b''
typed = not keys
while True:
    try: data = os.read(fd, 4096)
    except OSError: break
    if not data: break
    seen += data
    if not typed and b'ready' in seen:
        os.write(fd, keys); typed = True
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

/** What a shell with job control does: its child in the foreground group; when that is stopped, goes on with it. */
const shell = `
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0); os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(pid, os.WUNTRACED)
print('stopped by', os.WSTOPSIG(status) if os.WIFSTOPPED(status) else 'nothing', flush=True)
os.kill(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
sys.exit(status >> 8)
`

t.test('Ctrl-Z stops it, and it can go on', async t => {
  const job = [IOTH_RUN, 'sh', '-c', 'echo ready; read x; echo done; exit 4']
  const { seen, status } = await inTerminal('\x1a\n', 'python3', '-c', shell, ...job)
  t.match(seen, /ready[^]*stopped by 20[^]*done/)
  t.equal(status, 4)
})
