// ioth doctor: how ioth-run will serve a program, told from its file before anything is started.
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeSync } from 'node:fs'

import { inRoot } from '../src/base/root.ts'
import { checkCommand } from './command.ts'
import { Failure } from './exit.ts'
import { examine, ownLoader, type Examination } from './service.ts'

const USAGE = `usage: ioth doctor PROGRAM [ARGUMENT]...

Says how ioth-run will serve a program, and why. What the program starts is another question.
Ends with 0 if it will have the network of its stack, 1 if it will run without one, 126 or 127
if it cannot be run.
`

const S_ISUID = 0o4000
const S_ISGID = 0o2000
const SUPERVISOR = inRoot('build/ioth-supervisor')

interface Verdict {
  readonly served: boolean
  /** Sentences. */
  readonly why: string[]
}

export function doctor(args: string[]): void {
  const command = parse(args)
  if (command === undefined) return void writeSync(1, USAGE)
  const found = examine(checkCommand(command, process.env['PATH']))
  const { served, why } = judge(found)
  const verdict = served ? 'has the network of its stack' : 'runs without a network'
  writeSync(1, `${command} ${verdict}.\n${[...found.path, ...why].map(l => `  ${l}\n`).join('')}`)
  process.exitCode = served ? 0 : 1
}

/** undefined: the usage is asked for. */
function parse(args: string[]): string | undefined {
  const [command] = args
  if (command === '--help') return undefined
  // Options behind the program are the program's.
  const use = 'ioth doctor --help tells more'
  if (command === undefined) throw new Failure(`no program given (${use})`)
  if (command.startsWith('-')) throw new Failure(`no such option "${command}" (${use})`)
  return command
}

const REFUSED =
  'Its sockets are refused (EAFNOSUPPORT), so that nothing of it goes to the host’s network.'

function judge(found: Examination): Verdict {
  const { service, file, detail } = found
  switch (service) {
    case 'preload': {
      const why = [
        `${file} is dynamic: ioth's library is loaded into it (LD_PRELOAD) and makes its socket calls.`,
      ]
      return { served: true, why: [...why, ...rights(file)] }
    }
    case 'foreign-machine':
      return {
        served: false,
        why: [`${file} is a program for another machine (${detail}).`, REFUSED],
      }
    case 'go':
      return notified(`${file} is written in Go: it makes system calls itself, past the C library.`)
    case 'static':
      return notified(`${file} is static: no library can be loaded into it.`)
    case 'foreign-loader':
      return notified(
        `${file} is for another C library (its loader is ${detail}, ours ${ownLoader()}).`,
      )
  }
}

/** What is served call by call, as the kernel tells of them. */
function notified(why: string): Verdict {
  const hindrance = notificationFails()
  if (hindrance !== undefined) return { served: false, why: [why, hindrance, REFUSED] }
  const how =
    'The kernel stops its socket calls and ioth serves them (seccomp notification), some microseconds each;'
  const rest = 'reading and writing are not stopped, and take one copy more than with the library.'
  return { served: true, why: [why, how, rest, ...yama()] }
}

/** Why the kernel would not do that here. */
function notificationFails(): string | undefined {
  try {
    execFileSync(SUPERVISOR, ['check'], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
    return undefined
  } catch (error) {
    const { stderr } = error as { stderr?: string }
    if (!stderr) throw error
    return `The kernel could tell of its calls, but not here: ${stderr.trim()}.`
  }
}

const YAMA = '/proc/sys/kernel/yama/ptrace_scope'

/** Yama lets the supervisor at the program itself, which allows it, and at nobody else. */
function yama(): string[] {
  if (process.geteuid?.() === 0 || ptraceScope() !== '1') return []
  return [`What it starts itself has no network: kernel.yama.ptrace_scope is 1 (0 would do).`]
}

function ptraceScope(): string {
  try {
    return readFileSync(YAMA, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return '0'
  }
}

function rights(file: string): string[] {
  if ((statSync(file).mode & (S_ISUID | S_ISGID)) === 0) return []
  return ['Its set-user-ID or set-group-ID bit has no effect: it runs with your rights.']
}
