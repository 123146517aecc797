// Our stack and the Linux kernel's at the two ends of a cable that delays, loses, reorders, doubles, damages and slows
// down what it carries: every byte arrives, over IPv4 and IPv6, in both directions, whoever began, and the kernel with
// itself over the same cable. Goodput over these cables is bench/links.ts's.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Cable, Hosts } from '../../bench/lib/hosts.ts'
import { IOTH_RUN, execute, root, runtime, untapped } from '../helpers/ioth-run.ts'
import { PYTHON, start } from '../helpers/program.ts'

const TRANSFER = join(root, 'bench/lib/transfer.py')
const PORT = 5000

const fault = (parameters: string): Cable => ({ kind: 'fault', parameters })

/** Bytes of each transfer: twelve at once, and the worst cables carry little. */
const cables: readonly (readonly [name: string, cable: Cable, bytes: number])[] = [
  ['a cable without faults', { kind: 'veth' }, 4_000_000],
  ['100 Mbit/s, by tbf', { kind: 'veth', rate: '100mbit' }, 1_000_000],
  ['1 Gbit/s, by tbf', { kind: 'veth', rate: '1gbit' }, 4_000_000],
  ['loss of 1 %, by nft', { kind: 'veth', loss: 1 }, 1_000_000],
  ['delay 20 ms', fault('delay=20,seed=1'), 1_000_000],
  ['delay 20 ms, loss 0.1 %', fault('delay=20,loss=0.1,seed=2'), 1_000_000],
  ['delay 20 ms, loss 1 %', fault('delay=20,loss=1,seed=3'), 500_000],
  ['delay 20 ms, loss 5 %', fault('delay=20,loss=5,seed=4'), 200_000],
  ['delay 20 ms, reorder 25 %', fault('delay=20,reorder=25,seed=5'), 1_000_000],
  ['delay 20 ms, duplicate 1 %', fault('delay=20,dup=1,seed=6'), 1_000_000],
  ['delay 20 ms, corrupt 0.1 %', fault('delay=20,corrupt=0.1,seed=7'), 1_000_000],
  [
    'delay 20 ms, loss 1 %, duplicate 1 %, by wirefilter',
    { kind: 'wirefilter', options: '-d 20 -l 1 -D 1' },
    500_000,
  ],
  ['rate 100 Mbit/s', fault('rate=100M,queue=300K,seed=8'), 1_000_000],
  ['rate 1 Gbit/s', fault('rate=1G,queue=1M,seed=9'), 4_000_000],
]

t.setTimeout(300_000)

const why =
  process.getuid?.() !== 0
    ? 'network namespaces are root’s'
    : !existsSync('/dev/net/tun') && 'there is no /dev/net/tun'

t.test('our stack and the kernel’s', { skip: why }, async t => {
  const hosts = new Hosts({ iothRun: IOTH_RUN, ioth: join(root, 'dist/cli/ioth.js') })
  t.teardown(() => hosts.close())
  const env = runtime(t)
  const { a, b } = hosts
  for (const stack of ['kernel', 'ours'] as const) {
    const [command, ...words] = b.prefix(stack)
    const server = start(t, command, [...words, PYTHON, TRANSFER, 'serve', `${PORT}`, 'cubic'], {
      env,
    })
    await server.says(/ready/)
  }
  for (const [name, cable, bytes] of cables)
    await t.test(name, async t => {
      await hosts.join(cable)
      const specs = (stack: 'kernel' | 'ours') =>
        (['down', 'up'] as const).flatMap(direction =>
          ([4, 6] as const).map(
            family => `${direction},${b.address(stack, family)},${PORT},${bytes}`,
          ),
        )
      const run = async (from: 'kernel' | 'ours', to: ('kernel' | 'ours')[]) => {
        const wanted = to.flatMap(specs)
        const [command, ...words] = a.prefix(from)
        const [env_, ...all] = untapped(
          command,
          [...words, PYTHON, TRANSFER, 'cubic', ...wanted],
          env,
        )
        const result = await execute(env_, all, { env })
        const lines = result.stdout.split('\n').filter(Boolean)
        t.equal(lines.length, wanted.length, `${from} to ${to.join(' and ')}: ${result.stderr}`)
        for (const line of lines) t.match(JSON.parse(line), { whole: true, bytes })
      }
      await Promise.all([run('kernel', ['kernel', 'ours']), run('ours', ['kernel'])])
      await hosts.quiet()
    })
})
