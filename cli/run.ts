// ioth-run: reads the command line, starts the stack server, and becomes the program by way of
// ioth-launch: same process, same terminal, same exit status.
import { existsSync, statSync, writeSync } from 'node:fs'
import { basename } from 'node:path'

import { inRoot } from '../src/base/root.ts'
import * as libc from '../src/ffi/libc.ts'
import { parseRunArgs, USAGE } from './args.ts'
import { checkCommand } from './command.ts'
import { EXIT_IOTH, Failure, reporting, version } from './exit.ts'
import { inherited, staysOpen, type Inherited } from './inherited.ts'
import { serviceOf } from './service.ts'
import { startStackServer, type StackReady } from './stack-server.ts'

const S_ISUID = 0o4000

/** All of ioth-run. Does not return when the program starts. */
export const run = () => reporting('ioth-run', main)

async function main(): Promise<void> {
  const words = process.argv.slice(2)
  const args = parseRunArgs(words)
  if (args === 'help') return print(USAGE)
  if (args === 'version') return print(`ioth ${version()}\n`)

  const [command, ...rest] = words.slice(args.command) as [string, ...string[]]
  const file = checkCommand(command, process.env.PATH)
  const parts = installedParts()
  const own = inherited()
  keepIgnoring(own.ignored)
  hideDescriptors()
  const { settings, net, verbose, guard } = args
  const stack = await startStackServer(parts.server, {
    net,
    settings,
    command,
    args: rest,
    pid: process.pid,
    cwd: process.cwd(),
    verbose,
  })
  if (verbose) report(stack, net, command)
  become(parts, own, stack, launchWords(file, guard), own.args.slice(args.command))
}

interface Parts {
  server: string
  shim: string
  launcher: string
}

/** The other pieces of ioth, beside this one in a checkout or under PREFIX/lib/ioth. */
function installedParts(): Parts {
  const parts = {
    server: inRoot('dist/cli/ioth-stack.js'),
    shim: inRoot('build/libioth.so'),
    launcher: inRoot('build/ioth-launch'),
  }
  const others = ['undertaker', 'supervisor'].map(name => inRoot(`build/ioth-${name}`))
  for (const path of [...Object.values(parts), ...others])
    if (!existsSync(path)) throw new Failure(`there is no ${path}: run make first`, EXIT_IOTH)
  if (/[: ]/.test(parts.shim))
    throw new Failure(
      `cannot preload "${parts.shim}": LD_PRELOAD takes no path with a space or colon (move ioth)`,
    )
  return parts
}

/** What the launcher is told of the program: which filter, and whether the shim is put into LD_PRELOAD. */
function launchWords(file: string, guard: boolean): string[] {
  const service = serviceOf(file)
  if (service === 'foreign-machine')
    writeSync(2, `ioth-run: ${file} is a program for another machine: it runs without a network\n`)
  if (isSetId(file))
    writeSync(
      2,
      `ioth-run: ${file} runs with your rights: its set-user-ID bit has no effect here\n`,
    )
  const filter = service === 'preload' ? 'serve' : 'whole'
  return [guard ? filter : 'open', service === 'foreign-loader' ? 'no' : 'yes']
}

function isSetId(file: string): boolean {
  const { mode, uid } = statSync(file)
  return (mode & S_ISUID) !== 0 && uid !== process.geteuid?.()
}

/** Node has made every signal lethal again; nohup's must not kill ioth-run in its last 200 ms either. */
function keepIgnoring(mask: string): void {
  const ignored = BigInt(`0x${mask}`)
  const signals = { SIGHUP: 1n, SIGINT: 2n, SIGQUIT: 3n, SIGTERM: 15n } as const
  for (const [name, number] of Object.entries(signals))
    if ((ignored >> (number - 1n)) & 1n) process.on(name as keyof typeof signals, () => {})
}

/** The server must not hold the program's descriptors open; become() opens them to the program again. */
function hideDescriptors(): void {
  for (const fd of staysOpen()) libc.fcntl(fd, libc.F_SETFD, libc.FD_CLOEXEC)
}

/** Gives the process back what Node changed, and starts the launcher in it. */
function become(
  parts: Parts,
  own: Inherited,
  stack: StackReady,
  words: string[],
  command: string[],
): never {
  for (const fd of own.fds) libc.fcntl(fd, libc.F_SETFD, 0)
  // Node opens /dev/null where a standard descriptor is missing.
  for (const fd of [0, 1, 2]) if (!own.fds.includes(fd)) libc.close(fd)
  const launch = [parts.launcher, own.limit, own.blocked, own.ignored, ...words, '--']
  const error = libc.execve(
    Buffer.from(parts.launcher),
    [...launch.map(word => Buffer.from(word)), ...command.map(word => Buffer.from(word, 'latin1'))],
    environment(own, parts.shim, stack).map(entry => Buffer.from(entry, 'latin1')),
  )
  throw new Failure(`cannot start "${parts.launcher}": execve gave errno ${-error}`)
}

/** The program's environment as it was, with what the shim needs. The launcher puts the shim into LD_PRELOAD. */
function environment(own: Inherited, shim: string, stack: StackReady): string[] {
  const others = own.environment
    .filter(entry => !/^IOTH_(STACK|DIR|TOKEN|SHIM|START|FILE)=/.test(entry))
    .map(entry => (entry.startsWith('LD_PRELOAD=') ? withoutShim(entry) : entry))
    .filter(entry => entry !== 'LD_PRELOAD=')
  return [
    ...others,
    `IOTH_STACK=${stack.stack}`,
    `IOTH_DIR=${latin1(stack.dir)}`,
    `IOTH_TOKEN=${stack.token}`,
    `IOTH_SHIM=${latin1(shim)}`,
  ]
}

/** Under another ioth-run the shim is there already, under this path or another's. */
function withoutShim(entry: string): string {
  const libraries = entry.slice('LD_PRELOAD='.length).split(/[: ]/)
  const others = libraries.filter(library => basename(library) !== 'libioth.so')
  return `LD_PRELOAD=${others.join(':')}`
}

/** UTF-8 as one character per byte, like everything from inherited.ts. */
const latin1 = (text: string) => Buffer.from(text).toString('latin1')

function report(stack: StackReady, net: string, command: string): void {
  const { addresses, routes, dns, search, lease } = stack.obtained
  const where = [stack.mac, ...addresses].join(' ')
  const lines = [
    `${command} is ${where} on ${net} (stack ${stack.stack}, ${stack.dir})`,
    ...routes.map(route => `route ${route}`),
    ...(lease === undefined ? [] : [`leased by ${lease}`]),
    ...(dns.length > 0 ? [`name servers ${dns.join(' ')}`] : []),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
  ]
  writeSync(2, lines.map(line => `ioth-run: ${line}\n`).join(''))
}

function print(text: string): void {
  writeSync(1, text)
}
