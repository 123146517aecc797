// Starts the stack server and waits for its first line. It must not become the program's child: ioth-run's
// process turns into the program, and a wait() there would wait for the server as well. So a shell starts
// it in the background and ends at once.
//
// node:child_process and not execa: importing execa takes longer (130 ms) than all the rest of ioth-run.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readSync, renameSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

import type { Obtained } from '../src/conf/configuration.ts'
import type { Settings } from '../src/conf/settings.ts'
import * as libc from '../src/ffi/libc.ts'
import { runtimeDirectory } from '../src/server/runtime.ts'
import { Failure } from './exit.ts'

/** What `ioth-stack` gets as its one argument. */
export interface StackRequest {
  net: string
  settings: Settings
  command: string
  args: string[]
  /** ioth-run's process, which becomes the program. */
  pid: number
  cwd: string
  verbose: boolean
}

/** What it answers when the stack is up. */
export interface StackReady {
  ok: true
  stack: string
  dir: string
  token: string
  mac: string
  obtained: Obtained
}

interface StackRefused {
  ok: false
  message: string
  status: number
}

const PATIENCE_MS = 30_000

/** Starts `script` (ioth-stack.js) with `request`. Throws the server's own sentence when it refuses. */
export async function startStackServer(script: string, request: StackRequest): Promise<StackReady> {
  // Here until there is the stack's directory; the log of a server that broke off stays for the user.
  const log = join(runtimeDirectory(), `start-${process.pid}.log`)
  // Not stdio's 'pipe': Node's sockets set O_NONBLOCK on standard error when they end.
  const pipe = libc.pipe()
  if (typeof pipe === 'number') throw new Failure(`cannot make a pipe: errno ${-pipe}`)
  const [ready, server] = pipe
  const shell = spawnServer(script, request, log, server)
  closeSync(server)
  await once(shell, 'exit') // or it would stay as the program's zombie
  const answer = parse(readLine(ready), log)
  closeSync(ready)
  if (answer.ok) {
    renameSync(log, join(answer.dir, 'log'))
    return answer
  }
  unlinkSync(log)
  throw new Failure(answer.message, answer.status)
}

/** A shell that starts the server, whose descriptor 3 is `ready`. */
function spawnServer(
  script: string,
  request: StackRequest,
  log: string,
  ready: number,
): ChildProcess {
  const out = openSync(log, 'w', 0o600)
  const shell = ['-c', '"$@" &', 'sh', process.execPath, script, JSON.stringify(request)]
  try {
    return spawn('/bin/sh', shell, {
      cwd: '/',
      detached: true,
      stdio: ['ignore', out, out, ready],
      env: serverEnvironment(),
    })
  } finally {
    closeSync(out)
  }
}

/** What is meant for the program, or for the stack outside when ioth-run runs under ioth-run, is not for the server. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const programs = /^(LD_PRELOAD|NODE_.*|IOTH_(START|FILE|STACK|DIR|TOKEN|SHIM))$/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !programs.test(name)))
}

/** What the server writes to `pipe`, up to a newline or its end. Undefined: nothing in time. */
function readLine(pipe: number): string | undefined {
  const deadline = Date.now() + PATIENCE_MS
  const epoll = libc.epollCreate()
  libc.epollCtl(epoll, libc.EPOLL_CTL_ADD, pipe, libc.EPOLLIN, 0)
  const events = new libc.EpollEvents(1)
  const chunk = Buffer.alloc(4096)
  let text = ''
  while (!text.includes('\n')) {
    const left = deadline - Date.now()
    if (left <= 0) return
    if (events.wait(epoll, left) <= 0) continue
    const n = readSync(pipe, chunk)
    if (n === 0) break
    text += chunk.toString('utf8', 0, n)
  }
  libc.close(epoll)
  return text
}

function parse(line: string | undefined, log: string): StackReady | StackRefused {
  if (line === undefined)
    throw new Failure(`the stack server did not start in time; its log is ${log}`)
  try {
    return JSON.parse(line) as StackReady | StackRefused
  } catch {
    throw new Failure(`the stack server did not start; its log is ${log}`)
  }
}
