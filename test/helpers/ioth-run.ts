// Runs programs under ioth-run, and the same programs without it, each test file on networks of its own.
import { spawn, type SpawnOptions } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import type { Test } from 'tap'

import { inRoot } from '../../src/base/root.ts'

export const root = inRoot('./')
export const IOTH_RUN = join(root, 'dist/cli/ioth-run.js')

export interface Result {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface Options extends SpawnOptions {
  input?: string
  /** Called with the pid as soon as there is one. */
  started?: (pid: number) => void
}

/** A runtime directory that goes with the test, and the environment that names it. */
export function runtime(t: Test): NodeJS.ProcessEnv {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-test-'))
  t.teardown(() => {
    const failures = stackFailures(dir)
    return remove(dir, 50).then(() => {
      if (failures.length > 0) throw new Error(failures.join('\n'))
    })
  })
  const env: NodeJS.ProcessEnv = { ...process.env, XDG_RUNTIME_DIR: dir, IOTH_SWITCH_LINGER: '100' }
  for (const name of ['NODE_OPTIONS', 'IOTH_MODE', 'LD_PRELOAD']) Reflect.deleteProperty(env, name)
  return env
}

/** A stack whose thread fails goes on with another one: programs may not see it, its log does. */
function stackFailures(dir: string): string[] {
  const texts = namesUnder(dir)
    .filter(name => /(^|\/|\.)log$/.test(name))
    .map(name => textOf(join(dir, name)))
  const failures = texts.flatMap(text => text.match(/^stack thread: .*(\n +at .*)*/gm) ?? [])
  return failures.filter(failure => !failure.includes('thrown as a test asked'))
}

/** Again, if a directory goes meanwhile. */
function namesUnder(dir: string): string[] {
  for (;;)
    try {
      return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !existsSync(dir)) throw error
    }
}

/** Nothing, if it is gone meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** A stack that is ending may leave its log meanwhile. */
async function remove(dir: string, tries: number): Promise<void> {
  try {
    rmSync(dir, { recursive: true, force: true })
  } catch (error) {
    if (tries === 0) throw error
    await delay(50)
    await remove(dir, tries - 1)
  }
}

/** The program's end: never rejects, kills what takes longer than 30 s. */
export function execute(command: string, args: string[], options: Options = {}): Promise<Result> {
  const { input, started, ...spawnOptions } = options
  return new Promise((resolve, reject) => {
    const [env, ...words] = untapped(command, args, options.env)
    const child = spawn(env!, words, { stdio: 'pipe', ...spawnOptions })
    const result: Result = { status: null, signal: null, stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', text => (result.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', text => (result.stderr += text))
    child.stdin?.on('error', () => {}).end(input ?? '')
    const late = setTimeout(() => child.kill('SIGKILL'), 30_000)
    child.once('error', reject)
    if (child.pid !== undefined) started?.(child.pid)
    const settle = (status: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(late)
      resolve({ ...result, status, signal })
    }
    child.once('close', settle)
    // A daemon that holds the pipes keeps 'close' from coming.
    child.once('exit', (status, signal) => setTimeout(settle, 1000, status, signal).unref())
  })
}

/** tap adds to the environment of what a test spawns, so that every Node loads its hooks: env(1) takes it out again. */
export function untapped(command: string, args: string[], env?: NodeJS.ProcessEnv): string[] {
  const hooks = 'CWD EXCLUDE COVERAGE COV_FILES COV_EXCLUDE_FILES COV_EXCLUDE ROOT PARENT'.split(
    ' ',
  )
  const names = ['NODE_OPTIONS', ...hooks.map(name => `_TAPJS_PROCESSINFO_${name}_`)]
  const wanted = env?.NODE_OPTIONS === undefined ? [] : [`NODE_OPTIONS=${env.NODE_OPTIONS}`]
  return ['/usr/bin/env', ...names.map(name => `--unset=${name}`), ...wanted, command, ...args]
}

/** ioth-run with these arguments. */
export const iothRun = (args: string[], options?: Options) => execute(IOTH_RUN, args, options)
