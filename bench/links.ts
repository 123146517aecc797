// Goodput of our stack, at both ends of a link, beside the kernel's at both ends of the same link: shaped by tbf, delayed,
// losing and reordering by fault://. The same congestion control in both, their transfers in turn. Needs root.
//
//   node dist/bench/links.js [ROUNDS [NAME...]]     10 rounds of every link, or of those whose names contain a NAME
import { type ChildProcess, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { type Cable, Hosts, startReady } from './lib/hosts.ts'
import { compare } from './lib/measure.ts'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const TRANSFER = at('../../bench/lib/transfer.py')
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'
const PORT = 5000

const fault = (parameters: string): Cable => ({ kind: 'fault', parameters })
const links: readonly (readonly [name: string, cable: Cable, bytes: number])[] = [
  ['100 Mbit/s', { kind: 'veth', rate: '100mbit' }, 20 << 20],
  ['1 Gbit/s', { kind: 'veth', rate: '1gbit' }, 200 << 20],
  ['20 ms', fault('delay=20,seed=1'), 40 << 20],
  ['20 ms, loss 0.1 %', fault('delay=20,loss=0.1,seed=2'), 8 << 20],
  ['20 ms, loss 1 %', fault('delay=20,loss=1,seed=3'), 2 << 20],
  ['20 ms, loss 5 %', fault('delay=20,loss=5,seed=4'), 400 << 10],
  ['20 ms, reorder 25 %', fault('delay=20,reorder=25,seed=5'), 8 << 20],
]

if (process.getuid?.() !== 0 || !existsSync('/dev/net/tun')) {
  console.log('links: needs root and /dev/net/tun')
  process.exit(0)
}
const rounds = Number(process.argv[2] ?? 10)
const names = process.argv.slice(3)
const chosen = links.filter(([name]) => names.length === 0 || names.some(n => name.includes(n)))

const dir = mkdtempSync(join(tmpdir(), 'ioth-bench-'))
const env = { ...process.env, XDG_RUNTIME_DIR: dir }
const hosts = new Hosts({ iothRun: at('../cli/ioth-run.js'), ioth: at('../cli/ioth.js') })
const servers: ChildProcess[] = []

/** Goodput in Mbit/s of one transfer from b to a, as its receiver sees it. */
async function transfer(stack: 'kernel' | 'ours', cc: string, bytes: number): Promise<number> {
  const spec = `down,${hosts.b.address(stack, 4)},${PORT},${bytes}`
  const [command, ...words] = [...hosts.a.prefix(stack), PYTHON, TRANSFER, cc, spec]
  const { stdout, stderr } = spawnSync(command, words, { env, encoding: 'utf8', timeout: 120_000 })
  if (stdout === '') throw new Error(`no transfer by ${stack}: ${stderr}`)
  const { whole, seconds } = JSON.parse(stdout) as { whole: boolean; seconds: number }
  await hosts.quiet()
  if (!whole) throw new Error(`the transfer by ${stack} is damaged: ${stdout}`)
  return (bytes * 8) / seconds / 1e6
}

try {
  for (const cc of ['cubic', 'reno']) {
    for (const stack of ['kernel', 'ours'] as const) {
      const words = [...hosts.b.prefix(stack), PYTHON, TRANSFER, 'serve', `${PORT}`, cc]
      servers.push(await startReady(words, { env }))
    }
    for (const [name, cable, bytes] of chosen) {
      await hosts.join(cable)
      await compare(`${name}, ${cc}`, 'Mbit/s', rounds, [
        { name: 'kernel to kernel', measure: () => transfer('kernel', cc, bytes) },
        { name: 'ours to ours', measure: () => transfer('ours', cc, bytes) },
      ])
    }
    for (const server of servers.splice(0)) {
      server.kill()
      await new Promise(resolve => server.once('exit', resolve))
    }
  }
} finally {
  for (const server of servers) server.kill()
  await hosts.close()
  rmSync(dir, { recursive: true, force: true })
}
process.exit(0)
