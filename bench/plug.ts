// What a cable of ours carries between two hosts of the kernel (network namespaces), next to the kernel's own veth pair: one
// TCP connection, Node at both ends. Then a link of a given rate and delay. Needs root.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

import { compare } from './lib/measure.ts'

const IOTH = fileURLToPath(new URL('../cli/ioth.js', import.meta.url))
const SELF = fileURLToPath(import.meta.url)
const ADDRESS = '10.9.0.2'
const BYTES = Number(process.env.BENCH_MB ?? 400) << 20
let count = 0
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)

async function measure(): Promise<void> {
  await compare('kernel to kernel, one TCP connection', 'Gbit/s', ROUNDS, [
    { name: 'veth', measure: () => overVeth(BYTES) },
    { name: 'ioth plug tap tap', measure: () => overPlug('TAP', BYTES) },
    { name: 'ioth plug tap fault{tap}', measure: () => overPlug('fault://{TAP}', BYTES) },
  ])
  for (const [rate, part] of [
    ['100mbit', 40],
    ['1gbit', 4],
  ] as const)
    await compare(`a link of ${rate}`, 'Gbit/s', ROUNDS, [
      {
        name: 'veth, tbf',
        measure: () => overVeth(BYTES / part, `rate ${rate} burst 64k latency 50ms`),
      },
      {
        name: 'ioth plug, rate=',
        measure: () => overPlug(`fault://rate=${rate}{TAP}`, BYTES / part),
      },
      {
        name: 'ioth plug, rate= and 5 ms',
        measure: () => overPlug(`fault://rate=${rate},delay=5{TAP}`, BYTES / part),
      },
    ])
}

/** Makes two interfaces and, when `connect` has joined them, two hosts of them. What the transfer measured. */
async function between(
  make: (a: string, b: string) => void,
  connect: (a: string, b: string) => Promise<() => Promise<void>>,
  bytes: number,
  tbf?: string,
): Promise<number> {
  const id = `${process.pid}${count++}`
  const names = [`bA${id}`, `bB${id}`] as const
  make(...names)
  const disconnect = await connect(...names)
  const hosts = names.map(name => `bench-${name}`)
  for (const [i, host] of hosts.entries()) {
    ip('netns', 'add', host)
    ip('link', 'set', names[i], 'netns', host)
    ip('-n', host, 'addr', 'add', `10.9.0.${i + 1}/24`, 'dev', names[i])
    ip('-n', host, 'link', 'set', names[i], 'up')
    ip('-n', host, 'link', 'set', 'lo', 'up')
  }
  if (tbf !== undefined)
    execFileSync('tc', ['-n', hosts[0], ...`qdisc add dev ${names[0]} root tbf ${tbf}`.split(' ')])
  try {
    const receiver = inHost(hosts[1], 'receive')
    await once(receiver.stdout!, 'data')
    const sender = inHost(hosts[0], 'send', `${bytes}`)
    const [line] = (await once(receiver.stdout!, 'data')) as [Buffer]
    await Promise.all([once(receiver, 'exit'), sender.exitCode ?? once(sender, 'exit')])
    return Number(line)
  } finally {
    await disconnect()
    for (const host of hosts) ip('netns', 'del', host)
  }
}

const overVeth = (bytes: number, tbf?: string) =>
  between(
    (a, b) => ip('link', 'add', a, 'type', 'veth', 'peer', b),
    async () => async () => {},
    bytes,
    tbf,
  )

/** The cable's second plug is `vnl`, where TAP is its interface. */
const overPlug = (vnl: string, bytes: number) =>
  between(
    (a, b) => {
      for (const name of [a, b]) ip('tuntap', 'add', name, 'mode', 'tap')
    },
    async (a, b) => {
      const vnls = [`tap://${a}`, vnl.replace('TAP', `tap://${b}`)]
      const cable = spawn(process.execPath, [IOTH, 'plug', '--verbose', ...vnls], { stdio: ['ignore', 'ignore', 'pipe'] }) // prettier-ignore
      await once(cable.stderr, 'data')
      return async () => {
        cable.kill('SIGTERM')
        await once(cable, 'exit')
      }
    },
    bytes,
  )

function inHost(host: string, ...args: string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', host, process.execPath, SELF, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Takes one connection; prints Gbit/s from its first byte to its end. */
async function receive(): Promise<void> {
  const server = createServer({ highWaterMark: 1 << 20 }, socket => {
    let bytes = 0
    let start = 0
    socket.on('data', chunk => {
      start ||= performance.now()
      bytes += chunk.length
    })
    socket.once('end', () => {
      console.log((bytes * 8) / (performance.now() - start) / 1e6)
      server.close()
    })
  })
  server.listen(5001, ADDRESS)
  await once(server, 'listening')
  console.log('ready')
}

async function send(): Promise<void> {
  const socket = connect(5001, ADDRESS)
  await once(socket, 'connect')
  const chunk = Buffer.alloc(1 << 20, 7)
  for (let left = Number(process.argv[3]); left > 0; left -= chunk.length)
    if (!socket.write(left < chunk.length ? chunk.subarray(0, left) : chunk))
      await once(socket, 'drain')
  socket.end()
  await once(socket, 'close')
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

if (process.argv[2] === 'receive') await receive()
else if (process.argv[2] === 'send') await send()
else if (process.geteuid?.() !== 0 || !existsSync('/dev/net/tun'))
  console.log('skipped: needs root and /dev/net/tun')
else await measure()
