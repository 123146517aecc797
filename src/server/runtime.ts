// The user's runtime directory: what lives no longer than the machine is up. Networks (net/NAME) and the private
// directories of running stacks (stack/ID).
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { getSystemErrorMap } from 'node:util'

import { EINTR, EWOULDBLOCK } from '../base/errno.ts'
import { UserError } from '../base/user-error.ts'
import * as libc from '../ffi/libc.ts'

/** A stack's directory. Its file `pid` is locked (flock) through `lock` for as long as the owner lives. */
export interface StackDirectory {
  readonly path: string
  readonly lock: number
}

const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants

/**
 * `$XDG_RUNTIME_DIR/ioth`, or /tmp/ioth-UID where there is none; made if it is missing. Throws a UserError if it is not
 * the user's alone: whoever can write there could take the place of a stack.
 */
export function runtimeDirectory(env: NodeJS.ProcessEnv = process.env, tmp = '/tmp'): string {
  const base = env.XDG_RUNTIME_DIR
  const path =
    base !== undefined && isAbsolute(base)
      ? join(base, 'ioth')
      : join(tmp, `ioth-${process.geteuid?.()}`)
  makePrivate(path)
  return path
}

/** Makes the directory of stack `id` below the runtime directory. */
export function createStackDirectory(runtime: string, id: string): StackDirectory {
  const parent = join(runtime, 'stack')
  makePrivate(parent)
  const path = join(parent, id)
  mkdirSync(path, { mode: 0o700 })
  for (;;) {
    const lock = lockPid(path, O_CREAT, libc.LOCK_EX, 'ENOENT')
    if (lock !== undefined) {
      writeSync(lock, `${process.pid}\n`)
      return { path, lock }
    }
    // A sweep met the directory before it was locked, and took it for an abandoned one.
    failing(() => mkdirSync(path, { mode: 0o700 }), 'EEXIST')
  }
}

/** Removes the directories of stacks whose owner is gone and whose undertaker did not get to it. */
export function sweepStackDirectories(runtime: string): void {
  const parent = join(runtime, 'stack')
  for (const id of entries(parent)) {
    const path = join(parent, id)
    if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) continue
    // Without a pid file it is half removed, or half made. Its maker begins again if it is gone then; what that one
    // has put there since, a locked pid file, is not among the names.
    const names = entries(path)
    const abandoned = !names.includes('pid')
    const lock = abandoned
      ? undefined
      : lockPid(path, 0, libc.LOCK_EX | libc.LOCK_NB, ...NO_PID_FILE)
    if (abandoned || lock !== undefined) removeFlat(path, abandoned ? names : entries(path))
    if (lock !== undefined) closeSync(lock)
  }
}

/** How opening it fails if something else stands in its place; such a directory is not ours to sweep. */
const NO_PID_FILE = ['ENOENT', 'ELOOP', 'EISDIR', 'EACCES', 'ENXIO']

/** `path` as a directory of the user's own and nobody else's; made if it is missing. */
function makePrivate(path: string): void {
  const failure = failing(
    () => mkdirSync(path, { mode: 0o700 }),
    'EEXIST',
    'EACCES',
    'ENOENT',
    'ENOTDIR',
    'EROFS',
  )
  if (failure !== undefined && failure.code !== 'EEXIST')
    throw new UserError(
      `Cannot make directory "${path}": ${reason(failure)} (XDG_RUNTIME_DIR is to name a directory of yours)`,
    )
  const stat = lstatSync(path)
  const problem = !stat.isDirectory()
    ? 'it is no directory'
    : stat.uid !== process.geteuid?.()
      ? `it belongs to user ${stat.uid}`
      : (stat.mode & 0o077) !== 0
        ? 'others have access to it (chmod 700 would end that)'
        : undefined
  if (problem !== undefined) throw new UserError(`Cannot use directory "${path}": ${problem}`)
}

/** The stack's pid file, locked; undefined: it is not there (any more), or locked already. */
function lockPid(
  directory: string,
  create: number,
  operation: number,
  ...absent: string[]
): number | undefined {
  let fd = -1
  const flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | create
  const failure = failing(
    () => {
      fd = openSync(join(directory, 'pid'), flags, 0o600)
    },
    ...absent,
  )
  if (failure !== undefined) return
  const locked = libc.flock(fd, operation)
  if (locked === 0 && fstatSync(fd).nlink > 0) return fd
  closeSync(fd)
  if (locked < 0 && locked !== -EWOULDBLOCK && locked !== -EINTR)
    throw new Error(`Cannot lock "${directory}/pid": flock gave errno ${-locked}`)
  return undefined
}

/** Removes a directory and these files in it; what is a directory in it, or new, stays and keeps it. */
function removeFlat(path: string, names: readonly string[]): void {
  rmSync(join(path, 'sys'), { recursive: true, force: true }) // sys-tree.ts
  for (const name of names) failing(() => unlinkSync(join(path, name)), 'ENOENT', 'EISDIR', 'EPERM')
  failing(() => rmdirSync(path), 'ENOENT', 'ENOTEMPTY')
}

function entries(path: string): string[] {
  let names: string[] = []
  failing(() => {
    names = readdirSync(path)
  }, 'ENOENT')
  return names
}

/** Runs `action`. The error if it is one of these, undefined if there was none; others are thrown on. */
function failing(action: () => void, ...codes: string[]): NodeJS.ErrnoException | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return error as NodeJS.ErrnoException
  }
}

const reason = (error: NodeJS.ErrnoException) =>
  getSystemErrorMap().get(error.errno ?? 0)?.[1] ?? error.message
