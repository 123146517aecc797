// What a program pays for being run by ioth-run: system calls, files, pipes, AF_UNIX; its start; round trips of one byte.
// Each thing is measured plain, and with ioth-run, in turn. All on one CPU, where a message's way can be counted in
// switches from one process to the next; the starts on all.
//
//   node dist/bench/costs.js [ROUNDS [local|start|trips...]]
import { type ChildProcess, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { startReady } from './lib/hosts.ts'
import { compare, compareAll } from './lib/measure.ts'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const IOTH_RUN = at('../cli/ioth-run.js')
const TRIPS = 6000
const PORT = 7007
const rounds = Number(process.argv[2] ?? 9)
const parts = process.argv.slice(3)

const dir = mkdtempSync(join(tmpdir(), 'ioth-bench-'))
const costs = join(dir, 'costs')
const cpu = String(availableParallelism() - 1)
const children: ChildProcess[] = []
process.on('exit', () => {
  for (const child of children) child.kill()
  rmSync(dir, { recursive: true, force: true })
})

const flags = ['-std=c11', '-O2', '-D_GNU_SOURCE', '-o', costs]
if (spawnSync('cc', [...flags, at('../../bench/lib/costs.c')], { stdio: 'inherit' }).status !== 0)
  throw new Error('costs.c is not to be built')

const environment = (runtime: string) => ({ ...process.env, XDG_RUNTIME_DIR: runtime })
const virtual = (ip: string) => [IOTH_RUN, '--ip', ip]
const pinned = (words: string[]) => ['taskset', '-c', cpu, ...words]

/** What a command prints: names and numbers. */
function run(words: string[]): Map<string, number> {
  const env = environment(dir)
  const { stdout, status } = spawnSync(words[0], words.slice(1), {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${words.join(' ')} ended with status ${status}`)
  const lines = stdout.trim().split('\n')
  return new Map(lines.map(line => line.split('\t')).map(([name, n]) => [name, Number(n)]))
}

async function local(): Promise<void> {
  const measure = (prefix: string[]) => async () => run(pinned([...prefix, costs, 'local', dir]))
  await compareAll('calls that are no sockets of ours', 'ns', rounds, [
    { name: 'plain', measure: measure([]) },
    { name: 'with an empty seccomp filter', measure: measure([costs, 'filtered']) },
    { name: 'ioth-run', measure: measure(virtual('10.0.0.5')) },
  ])
}

/** The time of a command, ms. */
function time(words: string[], runtime: string): number {
  const start = performance.now()
  const env = environment(runtime)
  const { status } = spawnSync(words[0], words.slice(1), { env, stdio: 'inherit' })
  if (status !== 0) throw new Error(`${words.join(' ')} ended with status ${status}`)
  return performance.now() - start
}

async function start(): Promise<void> {
  const other = [...virtual('10.0.0.9'), 'sh', '-c', 'echo ready; exec sleep 1000']
  const keeper = await startReady(other, { env: environment(dir) })
  children.push(keeper)
  await compare('start and end of true', 'ms', rounds, [
    { name: 'plain', measure: async () => time(['true'], dir) },
    { name: 'node -e 0', measure: async () => time(['node', '-e', '0'], dir) },
    {
      name: 'ioth-run, the switch running',
      measure: async () => time([...virtual('10.0.0.5'), 'true'], dir),
    },
    {
      name: 'ioth-run, no switch yet',
      measure: async () => time([...virtual('10.0.0.5'), 'true'], mkdtempSync(join(dir, 'cold-'))),
    },
  ])
  keeper.kill()
}

async function trips(protocol: 'tcp' | 'udp'): Promise<void> {
  const words = pinned([...virtual('10.0.0.7'), costs, 'serve', protocol, String(PORT)])
  const server = await startReady(words, { env: environment(dir) })
  children.push(server)
  const within = (prefix: string[]) => async () =>
    run(pinned([...prefix, costs, 'within', protocol, String(PORT), String(TRIPS)])).get(
      protocol,
    )! / 1000
  const ping = [costs, 'ping', protocol, '10.0.0.7', String(PORT), String(TRIPS)]
  await compare(`one byte to and fro, ${protocol}`, 'µs', rounds, [
    { name: 'plain, loopback', measure: within([]) },
    { name: 'ioth-run, loopback', measure: within(virtual('10.0.0.5')) },
    {
      name: 'two ioth-run, over the switch',
      measure: async () => run(pinned([...virtual('10.0.0.6'), ...ping])).get(protocol)! / 1000,
    },
  ])
  server.kill()
}

const wanted = (part: string) => parts.length === 0 || parts.includes(part)
if (wanted('local')) await local()
if (wanted('start')) await start()
if (wanted('trips')) for (const protocol of ['udp', 'tcp'] as const) await trips(protocol)
process.exit(0)
