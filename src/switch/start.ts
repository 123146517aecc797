// Joining a network: connect to its switch, starting one if there is none.
//
// Any number of stations may do so at once, and a switch may just be ending. Whoever finds nobody listening tries to take
// the network's lock. Who gets it starts a switch and hands it the descriptor: there is no moment between the two in which
// the lock is free. All others try to connect again until somebody listens, or the lock is free because the start failed.
// A connection that ends before an answer came met a switch that was ending: it is tried again, too.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { describeErrno, EACCES, EAGAIN, ECONNREFUSED, EINTR, ENOENT } from '../base/errno.ts'
import { inRoot } from '../base/root.ts'
import { UserError } from '../base/user-error.ts'
import * as libc from '../ffi/libc.ts'
import { recvWithFds, sendWithFds, unixConnect, unixSocket } from '../ffi/unix.ts'
import type { Network } from '../plug/network.ts'
import type { PortNumbers } from '../plug/port.ts'
import { formatAddress } from '../wire/address-text.ts'
import type { Address } from '../wire/address.ts'
import { formatMac } from '../wire/mac.ts'
import {
  CTL_DONE,
  CTL_REFUSED,
  CTL_TAKEN,
  CTL_WELCOME,
  emitClaim,
  emitBridge,
  emitHello,
  messageLength,
  messageType,
  parseRefused,
  parseTaken,
  parseWelcome,
  type Bridge,
  type CTL_CLAIM,
  type CTL_RELEASE,
  type Hello,
} from './ctl.ts'
import { lockNetwork, makeNetworkDirectory, openLog, withCtl } from './directory.ts'

/** Long enough for a loaded machine to start Node. */
const PATIENCE_MS = 15_000
/** A switch that ends takes no connection for some milliseconds; what goes on hanging up is no switch of ours. */
const HANGING_UP_MS = 2000
/** What a waiting process sleeps between two attempts. */
const RETRY_MS = 3

/**
 * Plugs into the network, as a station or as a bridge. Everything a PortPlug needs; the descriptors are the caller's. Throws
 * a UserError if an address is taken, or if there is no switch and none can be started.
 */
export async function joinNetwork(network: Network, hello: Hello | Bridge): Promise<PortNumbers> {
  makeNetworkDirectory(network)
  const { directory } = network
  const deadline = performance.now() + PATIENCE_MS
  let started: ChildProcess | undefined
  let hangingUpSince: number | undefined
  while (performance.now() < deadline) {
    const fd = connect(directory)
    if (fd >= 0) {
      const port = await greet(network, fd, hello, deadline)
      if (port !== undefined) return port
      hangingUpSince ??= performance.now()
      if (performance.now() - hangingUpSince > HANGING_UP_MS)
        throw new UserError(
          `Cannot join network "${network.name}": what listens on "${join(directory, 'ctl')}" is no switch of ioth`,
        )
    } else if (fd === -ENOENT || fd === -ECONNREFUSED) {
      if (started === undefined) started = startSwitch(directory)
      else if (started.exitCode === 0)
        started = undefined // it waited, and we were too late
      else if (started.exitCode !== null || started.signalCode !== null)
        throw new UserError(
          `Cannot start the switch of network "${network.name}": ${lastWords(directory, started)}`,
        )
    } else if (fd !== -EAGAIN && fd !== -EINTR) throw new UserError(unreachable(network, fd))
    await delay(RETRY_MS)
  }
  throw new UserError(
    `Cannot join network "${network.name}": its switch does not answer (it has ${join(directory, 'lock')} open)`,
  )
}

/** Another station has an address, or the MAC. */
export class TakenError extends UserError {}

/** Claims more addresses for a port (CTL_CLAIM), or gives some back (CTL_RELEASE). Throws a TakenError if one is taken. */
export async function changeClaims(
  network: Network,
  control: number,
  type: typeof CTL_CLAIM | typeof CTL_RELEASE,
  addresses: readonly Address[],
): Promise<void> {
  const message = emitClaim(type, addresses)
  const sent = sendWithFds(control, message, [])
  const deadline = performance.now() + PATIENCE_MS
  const reply = sent === message.length ? await receive(network, control, deadline) : undefined
  if (reply === undefined)
    throw new UserError(`Cannot change addresses on network "${network.name}": its switch is gone`)
  for (const fd of reply.fds) libc.close(fd)
  refusal(network, reply.message)
  if (messageType(reply.message) !== CTL_DONE) throw new UserError(nonsense(network))
}

/** A connection to the switch, or a negative errno: -ENOENT and -ECONNREFUSED when there is none. */
function connect(directory: string): number {
  const fd = unixSocket(libc.SOCK_STREAM)
  if (fd < 0) return fd
  const r = withCtl(directory, path => unixConnect(fd, path))
  if (r >= 0) return fd
  libc.close(fd)
  return r
}

/** Says hello. The port; undefined if the other end hung up without a word. */
async function greet(
  network: Network,
  control: number,
  hello: Hello | Bridge,
  deadline: number,
): Promise<PortNumbers | undefined> {
  let fds: number[] = []
  try {
    const message = 'mac' in hello ? emitHello(hello) : emitBridge(hello)
    if (sendWithFds(control, message, []) !== message.length) return hangUp([control])
    const reply = await receive(network, control, deadline)
    if (reply === undefined) return hangUp([control])
    fds = reply.fds
    refusal(network, reply.message)
    const welcome =
      messageType(reply.message) === CTL_WELCOME ? parseWelcome(reply.message) : undefined
    if (welcome === undefined || fds.length !== 2) throw new UserError(nonsense(network))
    return { memfd: fds[0], ...welcome, doorbell: fds[1], control }
  } catch (error) {
    hangUp([control, ...fds])
    throw error
  }
}

function hangUp(fds: number[]): undefined {
  for (const fd of fds) libc.close(fd)
}

/** One message, and what came with it; undefined at the connection's end. */
async function receive(
  network: Network,
  control: number,
  deadline: number,
): Promise<{ message: Buffer; fds: number[] } | undefined> {
  let message = Buffer.alloc(0)
  const fds: number[] = []
  try {
    while (performance.now() < deadline) {
      // An answer takes microseconds; a switch that is stopped must not stop us for longer than this.
      if (libc.poll(control, libc.POLLIN, 50) <= 0) {
        await delay(RETRY_MS)
        continue
      }
      const got = recvWithFds(control, 4096)
      if (got === -EAGAIN || got === -EINTR) continue
      if (typeof got === 'number' || got.bytes.length === 0) return hangUp(fds)
      message = Buffer.concat([message, got.bytes])
      fds.push(...got.fds)
      const length = messageLength(message)
      if (length < 0) throw new UserError(nonsense(network))
      if (length > 0) return { message: message.subarray(0, length), fds }
    }
    throw new UserError(`Cannot join network "${network.name}": its switch does not answer`)
  } catch (error) {
    hangUp(fds)
    throw error
  }
}

/** Throws what the user is told if the message says no. */
function refusal(network: Network, message: Buffer): void {
  if (messageType(message) === CTL_REFUSED)
    throw new UserError(
      `Cannot join network "${network.name}": its switch refuses: ${parseRefused(message)}`,
    )
  if (messageType(message) !== CTL_TAKEN) return
  const taken = parseTaken(message)
  if (taken === undefined) throw new UserError(nonsense(network))
  const { address, mac, pid, command } = taken
  const what = address === undefined ? formatMac(mac) : formatAddress(address)
  throw new TakenError(
    `Cannot take ${what} on network "${network.name}": ${formatMac(mac)} (${command}, pid ${pid}) has it`,
  )
}

/** Starts a switch if nobody else is about to; undefined if so. */
function startSwitch(directory: string): ChildProcess | undefined {
  const lock = lockNetwork(directory)
  if (lock === undefined) return undefined
  const log = openLog(directory)
  try {
    const child = spawn(process.execPath, [script, '--on-demand', directory], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log ?? 'ignore', log ?? 'ignore', lock],
      env: environment(),
    })
    // It outlives us; and a failed spawn shows as an exit code, which is looked at.
    child.on('error', () => {})
    child.unref()
    return child
  } finally {
    closeSync(lock)
    if (log !== undefined) closeSync(log)
  }
}

const script = inRoot('dist/cli/ioth-switch.js')

/** The switch serves many: what one station's environment holds (tokens, preloads) is not for it. */
function environment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'XDG_RUNTIME_DIR', 'IOTH_SWITCH_LINGER']
  return Object.fromEntries(
    names.filter(name => process.env[name] !== undefined).map(name => [name, process.env[name]]),
  )
}

/** What a switch that did not come up left in its log. */
function lastWords(directory: string, child: ChildProcess): string {
  const how =
    child.signalCode === null ? `it ended with status ${child.exitCode}` : `${child.signalCode}`
  try {
    const lines = readFileSync(join(directory, 'log'), 'utf8').trim().split('\n')
    return lines[lines.length - 1] || how
  } catch {
    return `${how} (and there is no log)`
  }
}

function unreachable({ name, directory }: Network, errno: number): string {
  const ctl = join(directory, 'ctl')
  if (errno === -EACCES)
    return `Cannot join network "${name}": permission denied for "${ctl}" (who may write its directory may join)`
  return `Cannot join network "${name}": cannot connect to "${ctl}": ${describeErrno(errno)}`
}

const nonsense = ({ name }: Network) =>
  `Cannot join network "${name}": its switch gives an answer that makes no sense`
