import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import t from 'tap'

import { execute, iothRun, root, runtime } from '../helpers/ioth-run.ts'

const IOTH = join(root, 'dist/cli/ioth.js')
const directory = mkdtempSync(join(tmpdir(), 'ioth-doctor-'))
t.teardown(() => rmSync(directory, { recursive: true }))
t.jobs = 2

/** Whether it can make a socket, in its status. */
const SOURCE =
  '#include <sys/socket.h>\nint main(void) { return socket(AF_INET, SOCK_STREAM, 0) < 0; }\n'

function file(name: string, content: string | Uint8Array, mode = 0o755): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

function compiled(name: string, ...flags: string[]): string {
  const path = join(directory, name)
  execFileSync('gcc', [...flags, '-o', path, '-x', 'c', '-'], { input: SOURCE })
  return path
}

const dynamic = compiled('dynamic')
function changed(name: string, change: (bytes: Buffer) => void, mode = 0o755): string {
  const bytes = readFileSync(dynamic)
  change(bytes)
  return file(name, bytes, mode)
}

const setuid = join(directory, 'setuid')
copyFileSync(dynamic, setuid)
chmodSync(setuid, 0o4755)

const STATIC = /has the network of its stack\.\n.* is static.*\n.*seccomp notification/

/** `runs`: whether ioth-run can run it at all, so that its status tells the truth of the verdict. */
for (const [name, path, status, says, runs] of [
  ['a dynamic program', dynamic, 0, /has the network of its stack\.\n.*LD_PRELOAD/, true],
  ['a static program', compiled('static', '-static'), 0, STATIC, true],
  ['a static PIE', compiled('static-pie', '-static-pie'), 0, STATIC, true],
  ['a set-user-ID program', setuid, 0, /set-user-ID or set-group-ID bit has no effect/, true],
  ['a script', file('script', `#! ${dynamic} x\n`), 0, /is a script for .*dynamic\./, true],
  [
    'a script for a static program',
    file('script-static', `#!${join(directory, 'static')}\n`),
    0,
    /is a script for .*static\.\n.* is static/,
    true,
  ],
  ['a script without #!', file('plain', `exec ${dynamic}\n`), 0, /\/bin\/sh reads it/, true],
  [
    'another C library',
    changed('musl', bytes => bytes.write('/lib/ld-mus', bytes.indexOf('/lib64/ld-l'), 'latin1')),
    0,
    /is for another C library \(its loader is \/lib\/ld-mus/,
    false,
  ],
  [
    '32 bits',
    changed('i386', bytes => (bytes[4] = 1)),
    1,
    /for another machine \(.*, 32 bits\)/,
    false,
  ],
  ['another machine', changed('other', bytes => (bytes[18] = 40)), 1, /\(arm\)/, false],
  [
    'Go',
    changed('go', bytes =>
      bytes.write('.go.buildinfo\0', bytes.indexOf('.note.gnu.property'), 'latin1'),
    ),
    0,
    /is written in Go/,
    false,
  ],
  ['a file cut off', file('cut', readFileSync(dynamic).subarray(0, 100)), 0, /is static/, false],
] as const)
  t.test(name, async t => {
    const told = await execute(IOTH, ['doctor', path])
    t.match(told, { status, stderr: '' })
    t.match(told.stdout, says)
    if (runs)
      t.equal((await iothRun(['--net', 'null://', path], { env: runtime(t) })).status, status)
  })

for (const [name, args, status, says] of [
  [
    'found in PATH',
    ['sh', '-c', 'x'],
    0,
    /^sh has the network of its stack\.\n {2}\S+\/sh is dynamic/,
  ],
  [
    'no such program',
    ['nothing-of-the-kind'],
    127,
    /cannot run "nothing-of-the-kind": no such command in PATH/,
  ],
  ['a directory', [directory], 126, /it is a directory/],
  [
    'a script for nobody',
    [file('orphan', '#!/nowhere/at-all\n')],
    127,
    /cannot run "\/nowhere\/at-all": no such file/,
  ],
  ['no program', [], 125, /no program given/],
  ['an option', ['--frobnicate'], 125, /no such option "--frobnicate"/],
  ['--help', ['--help'], 0, /^usage: ioth doctor/],
] as const)
  t.test(name, async t => {
    const told = await execute(IOTH, ['doctor', ...args])
    t.equal(told.status, status)
    t.match(told.stdout + told.stderr, says)
  })
