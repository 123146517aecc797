// CPython's own network tests (Debian: libpython3.11-testsuite), under ioth-run and as the kernel has them. A module
// runs in a process of its own, which tells of each test before and after; a test that hangs or kills the process
// counts as failed, and the rest of the module goes on without it. What failed runs once more by itself, as CPython's
// own runner has it (regrtest --rerun): some fail by chance (test_ftplib's test_storlines, 1 in 250 on Linux, when a
// read ends within a character).
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

import type { Test } from 'tap'

import { known, type Known } from '../cpython/known.ts'
import { IOTH_RUN, root, runtime, untapped } from './ioth-run.ts'

const PYTHON = '/usr/bin/python3.11'
const SUITE = '/usr/lib/python3.11/test/test_socket.py'
const RUNNER = join(root, 'test/cpython/run.py')
/** A test that has not ended by then hangs. */
const HANGS_AFTER_MS = 90_000
/** Address families of other machines: what the kernel has of them is not the network. */
const LEFT_OUT = ['test.test_socket.*VSOCK*']

export type Leg = 'linux' | 'ring' | 'native'

/** Why the suite cannot run here; undefined: it can. */
export const noSuite: string | undefined =
  existsSync(PYTHON) && existsSync(SUITE)
    ? undefined
    : 'no Python 3.11 with its tests (libpython3.11-testsuite)'

export type Results = Map<string, string>

/**
 * One module (without "test."): an assertion per test, which fails unless known.ts says why it may. `linux`: what the
 * kernel's network gave; a test that it does not skip is not to be skipped.
 */
export async function cpython(t: Test, leg: Leg, module: string, linux?: Results) {
  const results = await runModule(t, leg, module)
  t.ok(results.size > 0, `${module} has tests`)
  const failed = [...results].filter(([name, result]) => !passes(result) && !isKnown(leg, name))
  if (failed.length > 0) {
    for (const [name, result] of failed) t.comment(`again: ${name} (${result})`)
    const only = failed.map(([name]) => name)
    for (const [name, result] of await runModule(t, leg, module, only)) results.set(name, result)
  }
  for (const [name, result] of results) judge(t, leg, name, result, linux?.get(name) ?? 'skip')
  return results
}

function judge(t: Test, leg: Leg, name: string, result: string, linux: string): void {
  const passed = result === 'ok' || (result === 'skip' && linux === 'skip')
  const difference = isKnown(leg, name)
  if (difference === undefined) return void t.ok(passed, name, { diag: { result } })
  if (!passed) return void t.fail(name, { todo: difference.reason })
  if (difference.sometimes) return void t.pass(name)
  t.fail(`${name}: differs no more, known.ts lists it`)
}

const passes = (result: string) => result === 'ok' || result === 'skip'

const isKnown = (leg: Leg, name: string) =>
  leg === 'linux' ? undefined : known.find(k => applies(k, leg, name))

const applies = (k: Known, leg: Leg, name: string) =>
  (k.legs === undefined || k.legs.includes(leg)) && matches(k.test, name.replace(/^test\./, ''))

/** Names with * for anything. */
const matches = (pattern: string, name: string) =>
  new RegExp(`^${pattern.replace(/[.()]/g, '\\$&').replace(/\*/g, '.*')}$`).test(name)

/** `only`: these tests of it; all unless given. */
async function runModule(t: Test, leg: Leg, module: string, only?: string[]): Promise<Results> {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-cpython-'))
  const results = new Map<string, string>()
  const env = runtime(t)
  if (leg === 'native') env.IOTH_MODE = 'native'
  try {
    for (let ended = false; !ended;) {
      const names = join(dir, 'names')
      const left = only?.filter(name => !results.has(name))
      writeFileSync(names, (left ? ['only', ...left] : [...LEFT_OUT, ...results.keys()]).join('\n'))
      const before = results.size
      ended = await runOnce(leg, module, names, dir, env, results)
      if (!ended && results.size === before) {
        results.set(module, 'does not start')
        break
      }
    }
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
  return results
}

/** Runs what the file `names` says. False: it broke off, at a test that is in the results now. */
function runOnce(
  leg: Leg,
  module: string,
  names: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
  results: Results,
): Promise<boolean> {
  const [command, ...args] = untapped(...commandOf(leg), env)
  const child = spawn(command!, [...args, PYTHON, RUNNER, module, names], {
    cwd,
    env,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  let current: string | undefined
  let ended = false
  const kill = () => {
    if (current !== undefined) results.set(current, 'hangs')
    current = undefined
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }
  let late = setTimeout(kill, HANGS_AFTER_MS)
  const lines = createInterface({ input: child.stdio[3] as Readable })
  lines.on('line', line => {
    clearTimeout(late)
    late = setTimeout(kill, HANGS_AFTER_MS)
    const [word, name, ...why] = line.split(' ') as [string, string, ...string[]]
    if (word === 'begin') current = name
    else if (word === 'end') ended = true
    else {
      results.set(name, [word, ...why].join(' '))
      current = undefined
    }
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => {
      clearTimeout(late)
      if (current !== undefined) results.set(current, `ends with ${status ?? signal}`)
      resolve(ended)
    })
  })
}

function commandOf(leg: Leg): [string, string[]] {
  if (leg !== 'linux') return [IOTH_RUN, ['--ip', '10.0.0.5', '--']]
  return ['unshare', ['--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh']]
}
