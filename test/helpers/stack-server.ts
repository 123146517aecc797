// The stack server behind a program under ioth-run: where it is, faults for it, and what it leaves behind.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

import type { Test } from 'tap'

import * as libc from '../../src/ffi/libc.ts'
import { recvWithFds, sendWithFds, unixConnect, unixSocket } from '../../src/ffi/unix.ts'
import * as layout from '../../src/shm/layout.ts'
import { until } from './program.ts'

export interface StackServer {
  /** 16 hexadecimal digits */
  readonly name: string
  readonly dir: string
  readonly pid: number
}

/** Names of the stacks that tests of this process have looked at, and where they are. */
const seen = new Map<string, string>()

/** The stack that serves process `pid`: both have its region, or, in a static program, the environment tells. */
export async function stackServerOf(env: NodeJS.ProcessEnv, pid: number): Promise<StackServer> {
  const parent = join(env.XDG_RUNTIME_DIR!, 'ioth/stack')
  const found = await until(`process ${pid} to have a stack`, 20_000, () => {
    const [, region] = /\s(\d+)\s+\/memfd:ioth/.exec(read(`/proc/${pid}/maps`)) ?? []
    const told = /(?:^|\0)IOTH_DIR=([^\0]+)/.exec(read(`/proc/${pid}/environ`))?.[1]
    if (region === undefined && told !== undefined)
      return { name: basename(told), dir: told, pid: Number(read(join(told, 'pid'))) }
    if (region === undefined) return
    for (const name of entries(parent)) {
      const dir = join(parent, name)
      const server = Number(read(join(dir, 'pid')))
      const files = entries(`/proc/${server}/fd`).map(fd => inode(`/proc/${server}/fd/${fd}`))
      if (files.includes(region)) return { name, dir, pid: server }
    }
    return undefined
  })
  seen.set(found.name, parent)
  return found
}

const FAULT = {
  throw: layout.FAULT_THROW,
  loop: layout.FAULT_LOOP,
  uncaught: layout.FAULT_UNCAUGHT,
} as const

/** Asks a server that was started with IOTH_FAULTS=1 for a fault. Its answer: 0, or a negative errno. */
export const injectFault = (stack: StackServer, kind: keyof typeof FAULT) =>
  ctl(stack, layout.CTL_FAULT, FAULT[kind])

/** One control message to a stack server. The answer's result; -ECONNRESET (-104) when there is none. */
export function ctl(stack: StackServer, op: number, arg: number, token = Buffer.alloc(16)): number {
  const fd = unixSocket(libc.SOCK_SEQPACKET)
  try {
    const connected = unixConnect(fd, `@${layout.ABI_NAME_PREFIX}${stack.name}/ctl`)
    if (connected < 0) return connected
    sendWithFds(fd, request(op, arg, token), [])
    if (libc.poll(fd, libc.POLLIN, 5000) <= 0) throw new Error('the stack server does not answer')
    const got = recvWithFds(fd, layout.CTL_REPLY_SIZE)
    if (typeof got === 'number') return got
    for (const passed of got.fds) libc.close(passed)
    if (got.bytes.length !== layout.CTL_REPLY_SIZE) return -104
    return new DataView(got.bytes.buffer).getInt32(layout.CTL_REPLY.result, true)
  } finally {
    libc.close(fd)
  }
}

/** struct ctl_request */
export function request(
  op: number,
  arg: number,
  token: Uint8Array,
  magic = layout.ABI_MAGIC,
  version = layout.ABI_VERSION,
): Buffer {
  const bytes = Buffer.alloc(layout.CTL_REQUEST_SIZE)
  bytes.writeUInt32LE(magic, layout.CTL_REQUEST.magic)
  bytes.writeUInt32LE(version, layout.CTL_REQUEST.version)
  bytes.writeUInt32LE(op, layout.CTL_REQUEST.op)
  bytes.writeUInt32LE(arg, layout.CTL_REQUEST.arg)
  bytes.set(token.subarray(0, 16), layout.CTL_REQUEST.token)
  return bytes
}

/** The pid of the switch of the default network that was started on demand; undefined: there is none just now. */
export const switchOf = (env: NodeJS.ProcessEnv): number | undefined =>
  processes(env.XDG_RUNTIME_DIR!)
    .filter(line => line.includes('/ioth-switch.js --on-demand '))
    .map(line => Number(line.split(' ')[0]))[0]

/** Asserts that the programs under `env`, all of them ended, have left nothing: no process, name, file or memory. */
export async function nothingLeft(t: Test, env: NodeJS.ProcessEnv, ms = 20_000): Promise<void> {
  let left: string[] = []
  try {
    await until('everything to end', ms, () => {
      left = leftovers(env.XDG_RUNTIME_DIR!)
      return left.length === 0
    })
  } catch {
    // `left` says what.
  }
  t.same(left, [], 'nothing is left')
}

function leftovers(runtime: string): string[] {
  return [
    ...processes(runtime),
    ...stackNames(runtime),
    ...entries(join(runtime, 'ioth/stack')).map(name => `stack/${name}`),
    ...entries(join(runtime, 'ioth')).filter(name => name.startsWith('start-')),
  ]
}

/** Processes of this runtime directory. Shared memory is in files without a name: it goes with the last of them. */
function processes(runtime: string): string[] {
  const found: string[] = []
  for (const pid of entries('/proc').filter(name => /^\d+$/.test(name))) {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
    if (command === '' || Number(pid) === process.pid) continue
    const own = read(`/proc/${pid}/environ`).split('\0').includes(`XDG_RUNTIME_DIR=${runtime}`)
    if (own || command.includes(`${runtime}/`)) found.push(`${pid} ${command}`)
  }
  return found
}

function stackNames(runtime: string): string[] {
  const parent = join(runtime, 'ioth/stack')
  const names = [...read('/proc/net/unix').matchAll(/@ioth\/([0-9a-f]{16})\/\S*/g)]
  return names.filter(([, stack]) => seen.get(stack!) === parent).map(([name]) => name)
}

function inode(path: string): string | undefined {
  try {
    return String(statSync(path).ino)
  } catch {
    return undefined
  }
}

/** Empty for what is not there, or ends just now. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
