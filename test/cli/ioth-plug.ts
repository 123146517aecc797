// ioth plug, between hosts of the kernel (network namespaces) and between those and ours.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'

import { execute, IOTH_RUN, root, runtime, type Result } from '../helpers/ioth-run.ts'
import { ip, makeTap, Namespace, noTaps, uniqueName } from '../helpers/netns.ts'
import { switchOf } from '../helpers/stack-server.ts'
import { iothStart, PYTHON, start, until, type Program } from '../helpers/program.ts'

const IOTH = join(root, 'dist/cli/ioth.js')
const TRANSFER = join(root, 'test/fixtures/transfer.py')
const skip = noTaps ?? false

const ioth = (...args: string[]) => execute(IOTH, args)

/** A cable that is up. */
async function plug(t: Test, env: NodeJS.ProcessEnv, ...vnls: string[]): Promise<Program> {
  const program = start(t, IOTH, ['plug', '--verbose', ...vnls], { env })
  await until('the cable', 20_000, () => {
    if (program.over) throw new Error(program.stderr)
    return program.stderr.includes('are connected')
  })
  return program
}

/** Two hosts of the kernel, 10.9.0.1 and 10.9.0.2, and a cable with `words` between them; `TAP` is the second one. */
async function hosts(t: Test, vnl = 'TAP') {
  const env = runtime(t)
  const [a, b] = [makeTap(t), makeTap(t)]
  const cable = await plug(t, env, `tap://${a}`, vnl.replace('TAP', `tap://${b}`))
  const [A, B] = [new Namespace(t), new Namespace(t)]
  A.adopt(a, '10.9.0.1/24', 'fd09::1/64')
  B.adopt(b, '10.9.0.2/24', 'fd09::2/64')
  return { A, B, a, b, cable, env }
}

async function stop(t: Test, cable: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<string> {
  cable.signal(signal)
  const { status, stderr } = await cable.ends()
  t.equal(status, 0, stderr)
  return stderr
}

/** Sends from one program to another; both must have seen the same bytes. How long it took, s. */
async function transfer(
  t: Test,
  from: (...args: string[]) => Program,
  to: (...args: string[]) => Program,
  address: string,
  bytes: number,
): Promise<number> {
  const receiver = to('recv', address, '5001')
  await receiver.says(/ready/)
  const sender = from('send', address, '5001', `${bytes}`, '1')
  const [sent, received] = await Promise.all([sender.ends(120_000), receiver.ends(120_000)])
  t.equal(sent.status, 0, sent.stderr)
  t.equal(received.status, 0, received.stderr)
  const [count, , digest] = sent.stdout.trim().split(' ')
  t.equal(Number(count), bytes)
  const got = received.stdout.trim().split('\n').at(-1)!.split(' ')
  t.same([got[0], got[2]], [count, digest], `${bytes} bytes to ${address}`)
  return Number(got[1])
}

const inside =
  (ns: Namespace) =>
  (...args: string[]) =>
    ns.start(PYTHON, TRANSFER, ...args)

async function ping(ns: Namespace, ...args: string[]) {
  const text = await ns.run('sh', '-c', `ping -q ${args.join(' ')} || true`)
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? []
  const [, least, mean] = /= ([\d.]+)\/([\d.]+)\//.exec(text) ?? []
  return {
    sent: Number(sent),
    received: Number(received),
    least: Number(least),
    mean: Number(mean),
  }
}

t.test('ioth --help, --version, and mistakes', async t => {
  for (const [args, want] of [
    [['--help'], { status: 0, stdout: /^usage: ioth COMMAND/, stderr: '' }],
    [['--version'], { status: 0, stdout: /^ioth \d+\.\d+\.\d+\n$/, stderr: '' }],
    [['plug', '--help'], { status: 0, stdout: /^usage: ioth plug/, stderr: '' }],
    [[], { status: 125, stderr: 'ioth: no command given (there are: plug doctor)\n' }],
    [
      ['plugg'],
      { status: 125, stderr: 'ioth: no such command "plugg" (there are: plug doctor)\n' },
    ],
    [
      ['toString'],
      { status: 125, stderr: 'ioth: no such command "toString" (there are: plug doctor)\n' },
    ],
    [['plug'], { status: 125, stderr: /^ioth: plug takes two plugs, 0 are given \(.*\)\n$/ }],
    [['plug', 'null://'], { status: 125, stderr: /^ioth: plug takes two plugs, 1 are given/ }],
    [['plug', '--loud', 'null://', 'null://'], { status: 125, stderr: /^ioth: .*--loud.*\n$/ }],
    [
      ['plug', 'tapp://x', 'null://'],
      {
        status: 125,
        stderr: 'ioth: cannot open plug "tapp://x": no such plug (switch tap null fault pcap)\n',
      },
    ],
    [
      ['plug', 'null://', 'x'],
      { status: 125, stderr: /^ioth: cannot open plug "x": neither a VNL nor a path .*\n$/ },
    ],
    [
      ['plug', 'null://', 'fault://loss=1{tap://a'],
      { status: 125, stderr: /^ioth: .*a "\{" without its "\}"\n$/ },
    ],
    [
      ['plug', 'null://', 'fault://lost=1{null://}'],
      { status: 125, stderr: /^ioth: .*no such fault "lost" .*\n$/ },
    ],
    [
      ['plug', 'switch://lab', 'fault://loss=1{switch://lab}'],
      { status: 125, stderr: 'ioth: cannot connect network "lab" with itself\n' },
    ],
    [
      ['plug', 'null://', 'tap://lo/lo'],
      { status: 125, stderr: /^ioth: .*an interface's name.*\n$/ },
    ],
    [
      ['plug', 'null://', 'pcap:///no/such/x{null://}'],
      {
        status: 125,
        stderr: /^ioth: .*cannot write "\/no\/such\/x": no such file or directory\n$/,
      },
    ],
  ] as const)
    // prettier-ignore
    t.match(await ioth(...args), want as Partial<Result>, args.join(' '))
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  t.test(`${signal} ends it with status 0`, async t => {
    const cable = await plug(t, runtime(t), 'null://', 'null://')
    t.match(await stop(t, cable, signal), /from "null:\/\/": 0 frames/)
  })

t.test('without rights: one sentence', { skip }, async t => {
  const env = runtime(t)
  const taps = [makeTap(t), uniqueName('none')]
  for (const name of taps) {
    const { status, stderr } = await execute('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, IOTH, 'plug', 'null://', `tap://${name}`], { env }) // prettier-ignore
    t.equal(status, 125)
    t.match(stderr, /^ioth: cannot open plug "tap:\/\/\w+": (cannot open \/dev\/net\/tun: permission denied|not permitted \(.*\))\n$/) // prettier-ignore
  }
  const dir = t.testdir()
  const { stderr } = await execute('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, IOTH, 'plug', 'null://', `${dir}/`], { env }) // prettier-ignore
  t.match(stderr, /^ioth: [^\n]*permission denied[^\n]*\n$/)
})

t.test(
  'kernel to kernel: rows of segments cross whole, IPv4 and IPv6, both directions',
  { skip },
  async t => {
    const { A, B, cable } = await hosts(t)
    const bytes = 50_000_000
    await transfer(t, inside(A), inside(B), '10.9.0.2', bytes)
    await transfer(t, inside(B), inside(A), 'fd09::1', bytes)
    const report = await stop(t, cable)
    const counts = [...report.matchAll(/: (\d+) frames, (\d+) bytes; lost: 0 too long, 0 malformed, 0 without room/g)] // prettier-ignore
    t.equal(counts.length, 2, report)
    for (const [, frames, all] of counts)
      t.ok(Number(all) / Number(frames) > 3000, `${all} bytes in ${frames} frames`)
  },
)

t.test('delay=20: 40 ms there and back', { skip }, async t => {
  const { A, cable } = await hosts(t, 'fault://delay=20{TAP}')
  await ping(A, '-c 1 10.9.0.2')
  const { received, least } = await ping(A, '-c 10 -i 0.1 10.9.0.2')
  t.equal(received, 10)
  t.ok(least >= 40 && least < 43, `${least} ms`)
  await stop(t, cable)
})

t.test('loss=10: of 2,000 pings 81 % come back', { skip }, async t => {
  const { A, cable } = await hosts(t, 'fault://loss=10,seed=7{TAP}')
  await A.run('ping', '-c', '20', '-i', '0.05', '10.9.0.2')
  const { sent, received } = await ping(A, '-f -c 2000 10.9.0.2')
  t.equal(sent, 2000)
  t.ok(Math.abs(received - 1620) < 80, `${received} of ${sent}`)
  const report = await stop(t, cable)
  for (const way of ['out', 'in']) {
    const [, entered, lost] = new RegExp(` ${way}: (\\d+) frames, (\\d+) lost`).exec(report) ?? []
    t.ok(Math.abs(Number(lost) / Number(entered) - 0.1) < 0.025, `${way}: ${lost} of ${entered}`)
  }
})

t.test('rate=20mbit: 5 MB take two seconds', { skip }, async t => {
  const { A, B, cable } = await hosts(t, 'fault://rate=20mbit{TAP}')
  const seconds = await transfer(t, inside(A), inside(B), '10.9.0.2', 5_000_000)
  t.ok(seconds > 1.9 && seconds < 3.5, `${seconds} s`)
  await stop(t, cable)
})

t.test('seed 3: a bad link, and every byte arrives', { skip }, async t => {
  const words = 'delay=5+2,loss=1,lostburst=2,dup=1,reorder=5,corrupt=0.1,seed=3'
  const { A, B, cable } = await hosts(t, `fault://${words}{TAP}`)
  for (const [from, to, address] of [
    [A, B, '10.9.0.2'],
    [B, A, 'fd09::1'],
  ] as const)
    // prettier-ignore
    await transfer(t, inside(from), inside(to), address, 5_000_000)
  const report = await stop(t, cable)
  t.match(report, /seed 3\n/)
  for (const what of ['lost', 'doubled', 'ahead', 'bits damaged'])
    t.match(report, new RegExp(` [1-9]\\d* ${what}`), what)
})

/** Sends twenty datagrams of 1,000 bytes in two system calls (UDP_SEGMENT); takes as many. */
const DATAGRAMS = `
import socket, sys
what, address = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
if what == 'recv':
    s.bind((address, 5002)); s.settimeout(20); print('ready', flush=True)
    got = [s.recv(65536) for _ in range(20)]
    print(all(got[i] == bytes([i]) * 1000 for i in range(20)))
else:
    s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
    for half in 0, 10:
        s.sendto(b''.join(bytes([half + i]) * 1000 for i in range(10)), (address, 5002))`

for (const vnl of ['TAP', 'fault://delay=1{TAP}'])
  t.test(`rows of UDP datagrams reach the kernel as datagrams: ${vnl}`, { skip }, async t => {
    const { A, B, cable } = await hosts(t, vnl)
    for (const address of ['10.9.0.2', 'fd09::2']) {
      const receiver = B.start(PYTHON, '-c', DATAGRAMS, 'recv', address)
      await receiver.says(/ready/)
      await A.run('ping', '-c', '1', '-W', '5', address)
      await A.run(PYTHON, '-c', DATAGRAMS, 'send', address)
      t.match(await receiver.ends(), { status: 0, stdout: 'ready\nTrue\n' })
    }
    const report = await stop(t, cable)
    t.match(report, /lost: 0 too long, 0 malformed, 0 without room/)
  })

t.test('different MTUs: segments are cut for the smaller one', { skip }, async t => {
  const env = runtime(t)
  const [a, b] = [makeTap(t), makeTap(t)]
  const [A, B] = [new Namespace(t), new Namespace(t)]
  ip('link', 'set', b, 'mtu', '1300')
  const cable = await plug(t, env, `tap://${a}`, `tap://${b}`)
  A.adopt(a, '10.9.0.1/24')
  B.adopt(b, '10.9.0.2/24')
  await transfer(t, inside(A), inside(B), '10.9.0.2', 5_000_000)
  await stop(t, cable)
})

/** What tshark says of the frames that pass a filter, a line each. */
async function dissect(t: Test, file: string, filter: string, ...fields: string[]) {
  const checks = ['ip', 'tcp', 'udp'].flatMap(p => ['-o', `${p}.check_checksum:TRUE`])
  const { status, stdout, stderr } = await execute('tshark', ['-r', file, ...checks, '-Y', filter, ...fields]) // prettier-ignore
  t.equal(status, 0, stderr)
  return stdout.trim().split('\n').filter(Boolean)
}

/** No frame is malformed, or has a bad checksum. */
async function isSound(t: Test, file: string): Promise<void> {
  const bad = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6'].map(p => `${p}.checksum.status == "Bad"`)
  t.same(await dissect(t, file, `_ws.malformed || ${bad.join(' || ')}`), [])
}

t.test('pcap://: what tshark sees is whole', { skip }, async t => {
  const file = `${t.testdir()}/x.pcap`
  const { A, B, cable } = await hosts(t, `pcap://${file}{TAP}`)
  await transfer(t, inside(A), inside(B), '10.9.0.2', 1_000_000)
  await transfer(t, inside(B), inside(A), 'fd09::1', 1_000_000)
  await ping(A, '-c 1 10.9.0.2')
  await stop(t, cable)
  await isSound(t, file)
  const lengths = await dissect(t, file, 'tcp', '-T', 'fields', '-e', 'frame.len')
  t.ok(lengths.length > 1400, `${lengths.length} segments`)
  t.ok(Math.max(...lengths.map(Number)) <= 1514)
  t.same(await dissect(t, file, 'tcp.analysis.lost_segment || tcp.analysis.out_of_order'), [])
  t.ok((await dissect(t, file, 'icmp')).length >= 2)
})

t.test('an interface that is deleted ends it, with one sentence', { skip }, async t => {
  const { B, b, cable } = await hosts(t)
  B.ip('link', 'del', b)
  const { status, stderr } = await cable.ends()
  t.equal(status, 125)
  t.match(stderr, new RegExp(`\nioth: the other end of "tap://${b}" is gone\n$`))
})

/** A program on a host of ours. */
const ours =
  (t: Test, env: NodeJS.ProcessEnv, address: string, net: string) =>
  (...args: string[]) =>
    iothStart(t, ['--ip', address, '--net', net, PYTHON, TRANSFER, ...args], { env })

t.test(
  'our stack to the kernel and back, through a switch and a faulty cable',
  { skip },
  async t => {
    const env = runtime(t)
    const tap = makeTap(t)
    const cable = await plug(
      t,
      env,
      'switch://lab',
      `fault://delay=2,loss=0.5,seed=5{tap://${tap}}`,
    )
    const B = new Namespace(t)
    B.adopt(tap, '10.9.0.2/24')
    const us = ours(t, env, '10.9.0.1', 'switch://lab')
    await transfer(t, us, inside(B), '10.9.0.2', 10_000_000)
    await transfer(t, inside(B), us, '10.9.0.1', 10_000_000)
    const report = await stop(t, cable)
    t.match(report, / [1-9]\d* lost/)
  },
)

t.test('our stack directly on a tap, and what a capture has of it', { skip }, async t => {
  const env = runtime(t)
  const tap = makeTap(t)
  const file = `${t.testdir()}/z.pcap`
  const us = ours(t, env, '10.9.0.1', `pcap://${file}{tap://${tap}}`)
  const receiver = us('recv', '10.9.0.1', '5001')
  await receiver.says(/ready/)
  const B = new Namespace(t)
  B.adopt(tap, '10.9.0.2/24')
  const sender = inside(B)('send', '10.9.0.1', '5001', '5000000', '1')
  const [sent, received] = await Promise.all([sender.ends(60_000), receiver.ends(60_000)])
  t.equal(sent.status, 0, sent.stderr)
  t.equal(received.stdout.split(' ').at(-1), sent.stdout.split(' ').at(-1))
  await until('the capture', 10_000, () => statSync(file).size > 5_000_000)
  await isSound(t, file)
})

t.test('an address that a host of the link has is refused', { skip }, async t => {
  const env = runtime(t)
  const tap = makeTap(t)
  const B = new Namespace(t)
  B.adopt(tap, '10.9.0.2/24')
  const [mac] = /(?<=ether )\S+/.exec(String(B.ip('link', 'show', tap)))!
  for (const net of [`tap://${tap}`, `fault://delay=1{tap://${tap}}`]) {
    for (const [address, status, stderr] of [
      ['10.9.0.2', 125, `ioth-run: cannot take 10.9.0.2: ${mac} has it on ${net}\n`],
      ['10.9.0.1', 0, ''],
    ]) {
      const program = B.start('env', `XDG_RUNTIME_DIR=${env.XDG_RUNTIME_DIR}`, IOTH_RUN, '--ip', `${address}`, '--net', net, 'true') // prettier-ignore
      const ended = await program.ends()
      t.equal(ended.status, status)
      t.equal(ended.stderr, stderr)
    }
  }
})

t.test('our stacks behind faulty links, each its own, and a capture', async t => {
  const env = runtime(t)
  const file = `${t.testdir()}/y.pcap`
  const a = ours(t, env, '10.9.0.1', 'fault://delay=3,loss=1,seed=1{switch://lab}')
  const b = ours(t, env, '10.9.0.2', `pcap://${file}[snap=96]{switch://lab}`)
  await transfer(t, a, b, '10.9.0.2', 5_000_000)
  await until('the capture', 10_000, () => existsSync(file) && statSync(file).size > 100_000)
  t.equal(readFileSync(file).readUInt32LE(0), 0xa1b23c4d)
})

t.test('a switch that is killed: the cable plugs in again', { skip }, async t => {
  const env = runtime(t)
  const tap = makeTap(t)
  const cable = await plug(t, env, 'switch://lab', `tap://${tap}`)
  const B = new Namespace(t)
  B.adopt(tap, '10.9.0.2/24')
  const us = ours(t, env, '10.9.0.1', 'switch://lab')
  await transfer(t, us, inside(B), '10.9.0.2', 100_000)
  process.kill(switchOf(env)!, 'SIGKILL')
  await until('the loss', 10_000, () => cable.stderr.includes('is gone'))
  await delay(500)
  await transfer(t, us, inside(B), '10.9.0.2', 100_000)
  await stop(t, cable)
})
