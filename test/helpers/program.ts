// Programs that run beside a test: started, watched by what they print, ended with the test.
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

import type { Test } from 'tap'

import { IOTH_RUN, untapped, type Result } from './ioth-run.ts'

/** Not a version manager's script in PATH: another uid may run this one, and its pid is the interpreter's. */
export const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

export class Program {
  readonly child: ChildProcess
  readonly pid: number
  readonly ended: Promise<Result>
  stdout = ''
  stderr = ''
  over = false

  constructor(child: ChildProcess) {
    this.child = child
    if (child.pid === undefined) throw new Error(`cannot start ${child.spawnfile}`)
    this.pid = child.pid
    child.stdout?.setEncoding('utf8').on('data', text => (this.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', text => (this.stderr += text))
    child.stdin?.on('error', () => {})
    this.ended = new Promise(resolve =>
      child.once('close', (status, signal) => {
        this.over = true
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr })
      }),
    )
  }

  /** Until standard output matches. Throws when the program ends first, or after `ms`. */
  says(pattern: RegExp, ms = 20_000): Promise<RegExpExecArray> {
    return until(`${this.child.spawnargs.join(' ')} to print ${pattern}`, ms, () => {
      const match = pattern.exec(this.stdout)
      if (match === null && this.over)
        throw new Error(`it ended without ${pattern}: ${this.stdout}${this.stderr}`)
      return match
    })
  }

  /** The program's end, which is to come within `ms`. */
  ends(ms = 20_000): Promise<Result> {
    return within(ms, `the end of ${this.child.spawnargs.join(' ')}`, this.ended)
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }
}

/** Starts a program; what is left of it when the test is over is killed. */
export function start(
  t: Test,
  command: string,
  args: string[],
  options: SpawnOptions = {},
): Program {
  const [env, ...words] = untapped(command, args, options.env)
  const program = new Program(spawn(env!, words, { stdio: 'pipe', detached: true, ...options }))
  t.teardown(() => {
    // Its children, too: a session of its own is a process group of its own.
    for (const signal of ['SIGCONT', 'SIGKILL'] as const)
      if (!program.over) killGroup(program.pid, signal)
  })
  return program
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Starts ioth-run with these arguments. Its pid is the program's. */
export const iothStart = (t: Test, args: string[], options?: SpawnOptions) =>
  start(t, IOTH_RUN, args, options)

/** Calls `look` until it gives something. Throws after `ms`. */
export async function until<T>(
  what: string,
  ms: number,
  look: () => T | null | undefined | false,
): Promise<T> {
  const deadline = performance.now() + ms
  for (;;) {
    const found = look()
    if (found !== null && found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`)
    await delay(5)
  }
}

/** What `promise` gives, if it does so within `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
