// 400 MB from nginx (sendfile, from memory) to wget: over the kernel's loopback, and between two stacks over the switch.
// The kernel's congestion control is cubic where that can be chosen (root: in a network namespace of its own).
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { randomFillSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { compare } from './lib/measure.ts'

const SIZE = 400 << 20
const ROUNDS = 5
const IOTH_RUN = fileURLToPath(new URL('../cli/ioth-run.js', import.meta.url))
const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const dir = mkdtempSync(join(memory, 'ioth-bench-'))
const namespace = `ioth-bench-${process.pid}`
const servers: ChildProcess[] = []
const env = {
  ...process.env,
  LC_ALL: 'C',
  XDG_RUNTIME_DIR: dir,
  PATH: `${process.env.PATH}:/usr/sbin`,
}

process.on('exit', () => {
  for (const server of servers) server.kill()
  if (kernel.length > 0) spawnSync('ip', ['netns', 'del', namespace])
  rmSync(dir, { recursive: true, force: true })
})

/** A prefix for commands that use the kernel's loopback with cubic. */
const kernel = kernelNamespace()

function kernelNamespace(): string[] {
  const run = (words: string) =>
    spawnSync(words.split(' ')[0], words.split(' ').slice(1)).status === 0
  if (process.getuid?.() !== 0 || !run(`ip netns add ${namespace}`)) return []
  const lo = 'dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic'
  run(`ip -n ${namespace} link set lo up`)
  run(`ip -n ${namespace} route replace local 127.0.0.0/8 ${lo}`)
  run(`ip -n ${namespace} route replace local 127.0.0.1 ${lo}`)
  return ['ip', 'netns', 'exec', namespace]
}

function writeFile(): void {
  const www = join(dir, 'www')
  mkdirSync(www)
  const block = randomFillSync(Buffer.alloc(1 << 20))
  writeFileSync(join(www, 'file'), Buffer.concat(Array<Buffer>(SIZE >> 20).fill(block)))
}

/** Starts nginx on `listen` behind a prefix. */
async function nginx(name: string, listen: string, prefix: string[]): Promise<void> {
  const home = join(dir, name)
  mkdirSync(home)
  const config = `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; pid ${home}/pid;
    error_log ${home}/error.log; events {}
    http { access_log off; sendfile on; server { listen ${listen}; root ${dir}/www; }
      client_body_temp_path ${home}/a; proxy_temp_path ${home}/b; fastcgi_temp_path ${home}/c;
      uwsgi_temp_path ${home}/d; scgi_temp_path ${home}/e; }`
  writeFileSync(join(home, 'conf'), config)
  const words = [...prefix, 'nginx', '-p', home, '-e', `${home}/error.log`, '-c', `${home}/conf`]
  servers.push(spawn(words[0], words.slice(1), { env, stdio: ['ignore', 'ignore', 'inherit'] }))
  for (let tries = 0; tries < 100 && !existsSync(join(home, 'pid')); tries++) await delay(50)
}

/** MB/s (2^20) that wget reports. */
async function wget(url: string, prefix: string[]): Promise<number> {
  const words = [
    ...prefix,
    'wget',
    '-t',
    '1',
    '-T',
    '20',
    '--no-proxy',
    '--progress=dot:giga',
    '-O',
    '/dev/null',
    url,
  ]
  const child = spawn(words[0], words.slice(1), { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', more => (text += more))
  const status = await new Promise(resolve => child.once('close', resolve))
  const rate = /\(([0-9.]+) ([KMG])B\/s\)/.exec(text)
  if (status !== 0 || rate === null) throw new Error(`wget ${url} failed: ${text.slice(-300)}`)
  return Number(rate[1]) * { K: 1 / 1024, M: 1, G: 1024 }[rate[2] as 'K' | 'M' | 'G']
}

writeFile()
const virtual = (ip: string) => [IOTH_RUN, '--ip', ip]
await nginx('kernel', '127.0.0.1:8977', kernel)
await nginx('switch', '80', virtual('10.0.0.5'))
await compare(`wget ${SIZE >> 20} MB from nginx`, 'MB/s', ROUNDS, [
  {
    name: kernel.length > 0 ? 'kernel loopback, cubic' : 'kernel loopback',
    measure: () => wget('http://127.0.0.1:8977/file', kernel),
  },
  {
    name: 'ioth, two stacks',
    measure: () => wget('http://10.0.0.5/file', virtual('10.0.0.6')),
  },
])
process.exit(0)
