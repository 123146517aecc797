// CPython's own network tests (Debian: libpython3.11-testsuite), under ioth-run and as the kernel has them. A module
// runs in a process of its own, which tells of each test before and after; a test that hangs or kills the process
// counts as failed, and the rest of the module goes on without it.
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
  for (const [name, result] of results) judge(t, leg, name, result, linux?.get(name) ?? 'skip')
  return results
}

function judge(t: Test, leg: Leg, name: string, result: string, linux: string): void {
  const passed = result === 'ok' || (result === 'skip' && linux === 'skip')
  const difference = leg === 'linux' ? undefined : known.find(k => applies(k, leg, name))
  if (difference === undefined) return void t.ok(passed, name, { diag: { result } })
  if (!passed) return void t.fail(name, { todo: difference.reason })
  if (difference.sometimes) return void t.pass(name)
  t.fail(`${name}: differs no more, known.ts lists it`)
}

const applies = (k: Known, leg: Leg, name: string) =>
  (k.legs === undefined || k.legs.includes(leg)) && matches(k.test, name.replace(/^test\./, ''))

/** Names with * for anything. */
const matches = (pattern: string, name: string) =>
  new RegExp(`^${pattern.replace(/[.()]/g, '\\$&').replace(/\*/g, '.*')}$`).test(name)

async function runModule(t: Test, leg: Leg, module: string): Promise<Results> {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-cpython-'))
  const results = new Map<string, string>()
  const env = runtime(t)
  if (leg === 'native') env.IOTH_MODE = 'native'
  try {
    for (let ended = false; !ended;) {
      const skip = join(dir, 'skip')
      writeFileSync(skip, [...LEFT_OUT, ...results.keys()].join('\n'))
      const before = results.size
      ended = await runOnce(leg, module, skip, dir, env, results)
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

/** Runs what is not in `skip`. False: it broke off, at a test that is in the results now. */
function runOnce(
  leg: Leg,
  module: string,
  skip: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
  results: Results,
): Promise<boolean> {
  const [command, ...args] = untapped(...commandOf(leg), env)
  const child = spawn(command!, [...args, PYTHON, RUNNER, module, skip], {
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
    const [word, name] = line.split(' ') as [string, string]
    if (word === 'begin') current = name
    else if (word === 'end') ended = true
    else {
      results.set(name, word)
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
