// The switch as a process: takes the network's lock, listens, serves until told to end or until nobody is left.
import { lstatSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turnOfLibuv } from 'node:timers/promises'

import { describeErrno, ECONNREFUSED } from '../base/errno.ts'
import { UserError } from '../base/user-error.ts'
import * as libc from '../ffi/libc.ts'
import { unixBind, unixConnect, unixSocket } from '../ffi/unix.ts'
import type { Network } from '../plug/network.ts'
import { isLock, lockNetwork, makeNetworkDirectory, share, withCtl } from './directory.ts'
import { SwitchServer, type ServeOptions } from './serve.ts'

const BACKLOG = 1024
/** Where a starter leaves the lock. */
const LOCK_FD = 3

/** Serves the network in this process. Resolves when it has ended. Throws a UserError if it cannot begin. */
export async function runSwitch(network: Network, options: ServeOptions): Promise<void> {
  process.umask(0o077)
  makeNetworkDirectory(network)
  const { directory } = network
  const lock = isLock(directory, LOCK_FD) ? LOCK_FD : lockNetwork(directory)
  if (lock === undefined)
    throw new UserError(`Cannot serve network "${network.name}": a switch serves it already`)
  const server = new SwitchServer(listen(network), options)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.once(signal, () => {
      server.ended = true
    })
  do {
    // The first turn is for libuv to begin listening for signals.
    await turnOfLibuv()
    server.run(1000)
  } while (!server.ended)
  // First the name, then the socket: who comes now finds nothing, or is hung up on, and tries again. The lock goes with
  // the process.
  withCtl(directory, path => unlinkSync(path))
  server.close()
}

/** Listens on the directory's ctl. We have the lock, so a switch that left one behind is dead. */
function listen({ name, directory }: Network): number {
  return withCtl(directory, path => {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat !== undefined) {
      if (!stat.isSocket() || !isDead(path))
        throw new UserError(
          `Cannot serve network "${name}": "${join(directory, 'ctl')}" is something else's`,
        )
      unlinkSync(path)
    }
    const fd = unixSocket(libc.SOCK_STREAM)
    if (fd < 0) throw new UserError(`Cannot serve network "${name}": ${describeErrno(fd)}`)
    const bound = unixBind(fd, path)
    if (bound < 0)
      throw new UserError(
        `Cannot serve network "${name}": cannot make "${join(directory, 'ctl')}": ${describeErrno(bound)}`,
      )
    share(directory, path)
    const r = libc.listen(fd, BACKLOG)
    if (r < 0) throw new UserError(`Cannot serve network "${name}": ${describeErrno(r)}`)
    return fd
  })
}

/** Does nobody listen there? A switch of VDE knows nothing of our lock. */
function isDead(path: string): boolean {
  const fd = unixSocket(libc.SOCK_STREAM)
  const r = unixConnect(fd, path)
  libc.close(fd)
  return r === -ECONNREFUSED
}
