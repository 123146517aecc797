// A network is a directory. In it: `ctl`, where stations connect; `lock`, held (flock) by the switch for as long as it
// lives and by whoever is about to start it; `log`, what the switch said. Only the holder of the lock makes or removes
// `ctl`. The lock file is never removed: two processes would hold two locks of one name.
//
// The right to write the directory is the right to join: ctl has the directory's permissions, and connecting to a
// socket needs write permission. A directory of mode 0755 is its owner's, 0770 its group's.
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

import { describeErrno, EINTR, EWOULDBLOCK } from '../base/errno.ts'
import { UserError } from '../base/user-error.ts'
import * as libc from '../ffi/libc.ts'
import { UNIX_PATH_MAX } from '../ffi/unix.ts'
import type { Network } from '../plug/network.ts'

const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } =
  constants
const O_PATH = 0o10000000

/** Makes the directory if it is missing; throws a UserError if it cannot be one of a network. */
export function makeNetworkDirectory(network: Network): void {
  const { directory } = network
  try {
    if (network.own) mkdirSync(dirname(directory), { recursive: true, mode: 0o700 })
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST')
      throw new UserError(
        `Cannot make network "${network.name}": directory "${directory}": ${describe(error)}`,
      )
  }
  let isDirectory = false
  try {
    isDirectory = statSync(directory).isDirectory()
  } catch (error) {
    throw new UserError(`Cannot open network "${network.name}": "${directory}": ${describe(error)}`)
  }
  if (!isDirectory)
    throw new UserError(`Cannot open network "${network.name}": "${directory}" is no directory`)
}

/** The lock, held until the descriptor's last copy is closed; undefined: someone else holds it. */
export function lockNetwork(directory: string): number | undefined {
  const path = join(directory, 'lock')
  const fd = openOrCreate(path)
  for (;;) {
    const r = libc.flock(fd, libc.LOCK_EX | libc.LOCK_NB)
    if (r === 0) return fd
    if (r === -EINTR) continue
    closeSync(fd)
    if (r === -EWOULDBLOCK) return undefined
    throw new UserError(`Cannot lock "${path}": ${describeErrno(r)}`)
  }
}

/** Is descriptor `fd` the directory's lock file, as a starter hands it over? */
export function isLock(directory: string, fd: number): boolean {
  try {
    const [a, b] = [fstatSync(fd), lstatSync(join(directory, 'lock'))]
    return a.dev === b.dev && a.ino === b.ino
  } catch (error) {
    if (['EBADF', 'ENOENT'].includes(codeOf(error))) return false
    throw error
  }
}

/** A new log for a switch about to start; the one before it stays as log.old. undefined: there may be none. */
export function openLog(directory: string): number | undefined {
  const path = join(directory, 'log')
  try {
    if (lstatSync(path, { throwIfNoEntry: false })) renameSync(path, join(directory, 'log.old'))
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL, 0o600)
  } catch (error) {
    // The directory may let us join and yet not write, or hold another user's log.
    if (['EACCES', 'EPERM', 'EEXIST', 'EROFS'].includes(codeOf(error))) return undefined
    throw error
  }
}

/** Gives a file made in the directory the directory's permissions, for those who may write it. */
export function share(directory: string, path: string): void {
  const { mode, gid } = statSync(directory)
  let bits = mode & 0o666
  if ((bits & 0o060) !== 0 && statSync(path).gid !== gid) {
    try {
      chownSync(path, -1 >>> 0, gid)
    } catch (error) {
      if (codeOf(error) !== 'EPERM') throw error
      bits &= ~0o060
    }
  }
  chmodSync(path, bits | 0o600)
}

/** Calls `use` with a name for the directory's ctl that fits into a socket address. */
export function withCtl<T>(directory: string, use: (path: string) => T): T {
  const path = join(directory, 'ctl')
  if (Buffer.byteLength(path) < UNIX_PATH_MAX) return use(path)
  const fd = openSync(directory, O_DIRECTORY | O_PATH)
  try {
    return use(`/proc/self/fd/${fd}/ctl`)
  } finally {
    closeSync(fd)
  }
}

function describe(error: unknown): string {
  const { errno } = error as NodeJS.ErrnoException
  return errno === undefined ? String(error) : describeErrno(errno)
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''

/** In two steps, because O_CREAT on another's file in a shared directory may be forbidden (fs.protected_regular). */
function openOrCreate(path: string): number {
  const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
  for (;;) {
    try {
      return openSync(path, flags)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT')
        throw new UserError(`Cannot open "${path}": ${describe(error)}`)
    }
    try {
      const fd = openSync(path, flags | O_CREAT | O_EXCL, 0o600)
      share(dirname(path), path)
      return fd
    } catch (error) {
      if (codeOf(error) !== 'EEXIST')
        throw new UserError(`Cannot make "${path}": ${describe(error)}`)
    }
  }
}
