import fs, {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  chownSync,
  closeSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import {
  createStackDirectory,
  runtimeDirectory,
  sweepStackDirectories,
} from '../../src/server/runtime.ts'

function scratch(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-runtime-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const isRoot = process.geteuid?.() === 0

t.test('runtimeDirectory(): where', async t => {
  const dir = scratch(t)
  t.equal(runtimeDirectory({ XDG_RUNTIME_DIR: dir }), join(dir, 'ioth'))
  t.equal(statSync(join(dir, 'ioth')).mode & 0o777, 0o700)
  t.equal(runtimeDirectory({ XDG_RUNTIME_DIR: dir }), join(dir, 'ioth'), 'a second time')
  const own = join(dir, `ioth-${process.geteuid?.()}`)
  t.equal(runtimeDirectory({}, dir), own)
  t.equal(runtimeDirectory({ XDG_RUNTIME_DIR: 'relative' }, dir), own, 'the XDG rule: ignore it')
  t.equal(runtimeDirectory({ XDG_RUNTIME_DIR: '' }, dir), own)
})

t.test('runtimeDirectory() refuses what is not the user’s alone', async t => {
  const refuse = (env: NodeJS.ProcessEnv, message: RegExp) => {
    t.match(
      told(() => runtimeDirectory(env)),
      message,
    )
  }
  const open = scratch(t)
  mkdirSync(join(open, 'ioth'))
  chmodSync(join(open, 'ioth'), 0o755)
  refuse(
    { XDG_RUNTIME_DIR: open },
    /^Cannot use directory ".*\/ioth": others have access to it \(chmod 700/,
  )
  const link = scratch(t)
  symlinkSync(scratch(t), join(link, 'ioth'))
  refuse({ XDG_RUNTIME_DIR: link }, /it is no directory/)
  const file = scratch(t)
  writeFileSync(join(file, 'ioth'), '')
  refuse({ XDG_RUNTIME_DIR: file }, /it is no directory/)
  refuse(
    { XDG_RUNTIME_DIR: join(file, 'missing') },
    /^Cannot make directory .*no such file or directory/,
  )
  if (!isRoot) return
  const foreign = scratch(t)
  mkdirSync(join(foreign, 'ioth'), { mode: 0o700 })
  chownSync(join(foreign, 'ioth'), 65534, 65534)
  refuse({ XDG_RUNTIME_DIR: foreign }, /it belongs to user 65534/)
})

t.test(
  'another user’s XDG_RUNTIME_DIR is refused with a sentence',
  { skip: !isRoot && 'needs root' },
  async t => {
    const dir = scratch(t)
    process.seteuid?.(65534)
    try {
      t.match(
        told(() => runtimeDirectory({ XDG_RUNTIME_DIR: dir })),
        /permission denied/,
      )
    } finally {
      process.seteuid?.(0)
    }
  },
)

t.test('createStackDirectory(): private, with the owner’s pid, locked', async t => {
  const runtime = runtimeDirectory({ XDG_RUNTIME_DIR: scratch(t) })
  const { path, lock } = createStackDirectory(runtime, '0123456789abcdef')
  t.equal(path, join(runtime, 'stack', '0123456789abcdef'))
  t.equal(statSync(path).mode & 0o777, 0o700)
  t.equal(readFileSync(join(path, 'pid'), 'utf8'), `${process.pid}\n`)
  t.throws(() => createStackDirectory(runtime, '0123456789abcdef'), { code: 'EEXIST' })
  sweepStackDirectories(runtime)
  t.ok(existsSync(join(path, 'pid')), 'a sweep leaves the living alone')
  closeSync(lock)
  sweepStackDirectories(runtime)
  t.notOk(existsSync(path))
})

t.test('sweepStackDirectories(): what the dead left, no more', async t => {
  const base = scratch(t)
  const runtime = runtimeDirectory({ XDG_RUNTIME_DIR: base })
  sweepStackDirectories(runtime)
  const living = createStackDirectory(runtime, 'living')
  const make = (id: string, ...files: string[]) => {
    const path = join(runtime, 'stack', id)
    mkdirSync(path)
    for (const file of files) writeFileSync(join(path, file), '')
    return path
  }
  make('dead', 'pid', 'ctl', 'log')
  make('half-removed', 'log')
  make('half-made')
  const deep = make('deep', 'pid', 'log')
  mkdirSync(join(deep, 'sub'))
  writeFileSync(join(deep, 'sub', 'file'), 'stays')
  const outside = join(base, 'outside')
  mkdirSync(outside)
  writeFileSync(join(outside, 'pid'), 'precious')
  symlinkSync(outside, join(runtime, 'stack', 'link'))
  const victim = make('victim', 'pid')
  symlinkSync(join(outside, 'pid'), join(victim, 'link'))
  const trap = make('trap')
  symlinkSync(join(outside, 'pid'), join(trap, 'pid'))
  sweepStackDirectories(runtime)
  t.same(readdirSync(join(runtime, 'stack')).sort(), ['deep', 'link', 'living', 'trap'])
  t.same(readdirSync(deep), ['sub'])
  t.equal(readFileSync(join(outside, 'pid'), 'utf8'), 'precious')
  closeSync(living.lock)
})

t.test('a directory that is being made while a sweep looks at it stays', async t => {
  const runtime = runtimeDirectory({ XDG_RUNTIME_DIR: scratch(t) })
  const path = join(runtime, 'stack', 'new')
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(join(runtime, 'stack'), 0o700)
  const { readdirSync: real } = fs
  const between = ((directory: string) => {
    const names = real(directory)
    // Its maker goes on as soon as it was seen without a pid file.
    if (directory === path && names.length === 0) writeFileSync(join(path, 'pid'), '1\n')
    return names
  }) as typeof real
  fs.readdirSync = between
  syncBuiltinESMExports()
  try {
    sweepStackDirectories(runtime)
  } finally {
    fs.readdirSync = real
    syncBuiltinESMExports()
  }
  t.same(real(path), ['pid'])
})

t.test('the lock goes with the process that holds it, however it ends', async t => {
  const runtime = runtimeDirectory({ XDG_RUNTIME_DIR: scratch(t) })
  const path = join(runtime, 'stack', 'killed')
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(join(runtime, 'stack'), 0o700)
  writeFileSync(join(path, 'pid'), '')
  const { signal } = spawnSync('flock', ['-x', join(path, 'pid'), 'sh', '-c', 'kill -9 $PPID $$'])
  t.equal(signal, 'SIGKILL')
  sweepStackDirectories(runtime)
  t.notOk(existsSync(path))
})

/** The sentence that the user is told. */
function told(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'nothing'
}
