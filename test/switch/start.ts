import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'

import { inRoot } from '../../src/base/root.ts'
import { UserError } from '../../src/base/user-error.ts'
import * as libc from '../../src/ffi/libc.ts'
import { unixConnect, unixSocket } from '../../src/ffi/unix.ts'
import { parseNetwork, type Network } from '../../src/plug/network.ts'
import { PortPlug } from '../../src/plug/port.ts'
import { CTL_CLAIM, CTL_RELEASE } from '../../src/switch/ctl.ts'
import { changeClaims, joinNetwork } from '../../src/switch/start.ts'
import { Address } from '../../src/wire/address.ts'
import { Mac } from '../../src/wire/mac.ts'

const isRoot = process.geteuid?.() === 0
const STATION = inRoot('test/fixtures/station.mjs')
const SWITCH = inRoot('dist/cli/ioth-switch.js')
// Switches and stations are run as built: `make` comes first.
// The switches that the tests leave behind end soon.
process.env.IOTH_SWITCH_LINGER = '200'

const ip = (n: number) => Address.v4(0x0a000000 | n)
const hello = (n: number, addresses = [ip(n)]) => ({
  mac: new Mac(0x0200, n),
  addresses,
  pid: process.pid,
  command: `station${n}`,
})

/** A network of the test's own, in a directory that goes with it. */
function network(t: Test, name = 'net'): Network {
  const base = mkdtempSync(join(tmpdir(), 'ioth-switch-'))
  t.teardown(async () => {
    for (const pid of switches(base)) process.kill(pid, 'SIGKILL')
    rmSync(base, { recursive: true, force: true })
  })
  return { name, directory: join(base, name), own: false }
}

/** The switches that serve the directory, or one below it. */
function switches(directory: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
        return (
          words.some(word => word.includes('ioth-switch.')) &&
          words.some(word => word.startsWith(directory))
        )
      } catch {
        return false // it ended between the two looks
      }
    })
    .map(Number)
}

async function plugInto(
  t: Test,
  network: Network,
  n: number,
  addresses = [ip(n)],
): Promise<PortPlug> {
  const plug = new PortPlug(await joinNetwork(network, hello(n, addresses)))
  let open = true
  const close = plug.close.bind(plug)
  plug.close = () => {
    if (open) close()
    open = false
  }
  t.teardown(() => plug.close())
  return plug
}

/** The sentence with which the promise is refused. */
async function told(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'nothing'
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await delay(5)
  }
}

/** What arrives at the plug: "from:length", "gone:n". Waits for as many. */
async function arrivals(plug: PortPlug, count: number): Promise<string[]> {
  const got: string[] = []
  const handler = {
    frameArrives(bytes: Uint8Array, at: number, length: number) {
      got.push(`${Mac.read(bytes, at + 6).low}:${length}`)
    },
    stationGone(mac: Mac) {
      got.push(`gone:${mac.low}`)
    },
  }
  await until(`${count} arrivals`, () => {
    plug.receive(handler, 100, 0)
    return got.length >= count
  })
  return got
}

function send(plug: PortPlug, from: number, to: number, length: number): void {
  const at = plug.sink.open(length)
  new Mac(0x0200, to).write(plug.sink.bytes, at)
  new Mac(0x0200, from).write(plug.sink.bytes, at + 6)
  plug.sink.close(length, 0, 0, 0)
  plug.flush()
}

const hungUp = (fd: number) => (libc.poll(fd, libc.POLLRDHUP, 0) & libc.POLLRDHUP) !== 0

function station(network: Network, mac: string, address?: string): ChildProcess {
  const words = [STATION, network.directory, mac, ...(address ? [address] : [])]
  return spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] })
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.setEncoding('utf8')
  for await (const chunk of child.stdout ?? []) {
    text += chunk
    if (text.includes('\n')) break
  }
  return text.split('\n')[0]
}

t.test(
  'joinNetwork() starts a switch; stations reach each other; it ends when the last has left',
  async t => {
    const net = network(t)
    const a = await plugInto(t, net, 1)
    const b = await plugInto(t, net, 2)
    t.equal(switches(net.directory).length, 1)
    t.equal(statSync(net.directory).mode & 0o777, 0o700)
    t.equal(statSync(join(net.directory, 'ctl')).mode & 0o777, 0o600)
    send(a, 1, 2, 60)
    t.same(await arrivals(b, 1), ['1:60'])
    t.ok(b.arm())
    send(a, 1, 2, 1514)
    t.ok(libc.poll(b.fd, libc.POLLIN, 5000) & libc.POLLIN, 'the doorbell')
    b.wake()
    t.same(await arrivals(b, 1), ['1:1514'])
    a.close()
    t.same(await arrivals(b, 1), ['gone:1'])
    await plugInto(t, net, 1)
    b.close()
    for (const plug of [await plugInto(t, net, 3)]) plug.close()
    t.equal(switches(net.directory).length, 1, 'one is still there')
  },
)

t.test('a switch on demand ends soon after its last port, and another one starts', async t => {
  const net = network(t)
  for (let i = 0; i < 2; i++) {
    const plug = await plugInto(t, net, 1)
    const [pid] = switches(net.directory)
    plug.close()
    await until(
      'the switch ends',
      () => !existsSync(`/proc/${pid}`) || switches(net.directory).length === 0,
    )
    t.same(
      readdirSync(net.directory).filter(name => name === 'ctl'),
      [],
    )
    t.equal(readFileSync(join(net.directory, 'log'), 'utf8'), '', 'silence is success')
  }
})

t.test('joining over and over while the switch is ending never fails', async t => {
  process.env.IOTH_SWITCH_LINGER = '0'
  t.teardown(() => (process.env.IOTH_SWITCH_LINGER = '200'))
  const net = network(t)
  for (let i = 0; i < 6; i++) {
    const plug = await plugInto(t, net, 1)
    t.ok(plug.sink.open(60) >= 0)
    plug.close()
    await delay(i * 3)
  }
})

t.test('8 starters at once: exactly one switch', async t => {
  const net = network(t)
  const plugs = await Promise.all(Array.from({ length: 8 }, (_, i) => plugInto(t, net, i + 1)))
  t.equal(switches(net.directory).length, 1)
  send(plugs[0], 1, 8, 60)
  t.same(await arrivals(plugs[7], 1), ['1:60'])
})

t.test('8 starters at once, each a process: exactly one switch, all of them on it', async t => {
  const net = network(t)
  mkdirSync(net.directory, { mode: 0o700 })
  const stations = Array.from({ length: 8 }, (_, i) => station(net, `02:00:00:00:01:0${i}`))
  t.teardown(() => stations.forEach(child => child.kill('SIGKILL')))
  t.same(await Promise.all(stations.map(firstLine)), Array(8).fill('joined'))
  t.equal(switches(net.directory).length, 1)
  const plug = await plugInto(t, net, 1)
  for (const child of stations) child.kill('SIGKILL')
  t.same(
    (await arrivals(plug, 8)).sort(),
    Array.from({ length: 8 }, (_, i) => `gone:${256 + i}`),
  )
})

t.test('a claimed address is refused at once, with its owner', async t => {
  const net = network(t)
  await plugInto(t, net, 5)
  const want = `Cannot take 10.0.0.5 on network "net": 02:00:00:00:00:05 (station5, pid ${process.pid}) has it`
  t.equal(await told(joinNetwork(net, hello(6, [ip(6), ip(5)]))), want)
  t.match(
    await told(joinNetwork(net, hello(5, []))),
    /^Cannot take 02:00:00:00:00:05 on network "net": /,
  )
  await plugInto(t, net, 6)
})

t.test('changeClaims(): an address more, an address less', async t => {
  const net = network(t)
  const a = await plugInto(t, net, 1)
  const b = await plugInto(t, net, 2)
  await changeClaims(net, a.controlFd, CTL_CLAIM, [ip(11), ip(12)])
  t.match(
    await told(changeClaims(net, b.controlFd, CTL_CLAIM, [ip(12)])),
    /^Cannot take 10\.0\.0\.12 .*station1/,
  )
  await changeClaims(net, a.controlFd, CTL_RELEASE, [ip(12)])
  await changeClaims(net, b.controlFd, CTL_CLAIM, [ip(12)])
  const many = Array.from({ length: 63 }, (_, i) => ip(1000 + i))
  t.match(
    await told(changeClaims(net, b.controlFd, CTL_CLAIM, many)),
    /refuses: a port may have 64/,
  )
  await until('and it is cut off', () => hungUp(b.controlFd))
})

t.test('a station killed: its addresses are free at once, the others are told', async t => {
  const net = network(t)
  const a = await plugInto(t, net, 1)
  const child = station(net, '02:00:00:00:00:07', '10.0.0.7')
  t.equal(await firstLine(child), 'joined')
  t.match(await told(joinNetwork(net, hello(8, [ip(7)]))), new RegExp(`station, pid ${child.pid}`))
  child.kill('SIGKILL')
  await once(child, 'exit')
  await plugInto(t, net, 7, [ip(7)])
  t.same(await arrivals(a, 1), ['gone:7'])
})

t.test('the switch killed: ports hang up, stations join again, one of them starts it', async t => {
  const net = network(t)
  const before = await Promise.all([1, 2, 3].map(n => plugInto(t, net, n)))
  const [pid] = switches(net.directory)
  process.kill(pid, 'SIGKILL')
  await until('hang-up', () => before.every(plug => hungUp(plug.controlFd)))
  for (const plug of before) plug.close()
  const after = await Promise.all([1, 2, 3].map(n => plugInto(t, net, n)))
  t.equal(switches(net.directory).filter(other => other !== pid).length, 1)
  send(after[0], 1, 2, 60)
  t.same(await arrivals(after[1], 1), ['1:60'])
})

t.test('SIGTERM ends a switch, and it takes its socket along', async t => {
  const net = network(t)
  const plug = await plugInto(t, net, 1)
  process.kill(switches(net.directory)[0], 'SIGTERM')
  await until('hang-up', () => hungUp(plug.controlFd))
  await until('the end', () => switches(net.directory).length === 0)
  t.notOk(existsSync(join(net.directory, 'ctl')))
})

t.test('a port that breaks its rings is unplugged, and the log says so', async t => {
  const net = network(t)
  const a = await plugInto(t, net, 1)
  const b = await plugInto(t, net, 2)
  a.sink.notice(1, new Uint8Array(6))
  a.flush()
  await until('hang-up', () => hungUp(a.controlFd))
  t.same(await arrivals(b, 1), ['gone:1'])
  t.match(
    readFileSync(join(net.directory, 'log'), 'utf8'),
    /the port of station1 \(\d+\) broke the rules/,
  )
})

t.test('ctl: foreign words, other versions, nothing at all', async t => {
  const net = network(t)
  await plugInto(t, net, 1)
  const talk = (bytes: Uint8Array) => {
    const fd = unixSocket(libc.SOCK_STREAM)
    t.equal(unixConnect(fd, join(net.directory, 'ctl')), 0)
    t.teardown(() => libc.close(fd))
    libc.scratchBytes.set(bytes)
    if (bytes.length > 0)
      t.equal(libc.send(fd, libc.scratch, bytes.length, libc.MSG_NOSIGNAL), bytes.length)
    return fd
  }
  const vde = talk(Buffer.from('cefaedfe0300000000000000', 'hex'))
  await until('VDE is hung up on', () => hungUp(vde))
  t.equal(libc.recv(vde, libc.scratch, 100, libc.MSG_DONTWAIT), 0)
  const future = talk(Buffer.from('706f727402000000010000001000000000', 'hex').subarray(0, 16))
  await until('an answer', () => hungUp(future))
  const n = libc.recv(future, libc.scratch, 100, libc.MSG_DONTWAIT)
  t.match(Buffer.from(libc.scratchBytes.subarray(16, n)).toString(), /speaks version 1 .* not 2/)
  const silent = Array.from({ length: 80 }, () => talk(new Uint8Array(0)))
  await until('the oldest silent ones are hung up on', () => silent.filter(hungUp).length >= 16)
  await plugInto(t, net, 2)
})

t.test('who may write the directory may join', async t => {
  for (const [mode, want] of [
    [0o700, 0o600],
    [0o755, 0o644],
    [0o770, 0o660],
    [0o777, 0o666],
  ]) {
    const net = network(t)
    mkdirSync(net.directory)
    chmodSync(net.directory, mode)
    await plugInto(t, net, 1)
    t.equal(statSync(join(net.directory, 'ctl')).mode & 0o777, want)
  }
})

t.test(
  'another user: refused with one sentence, or let in',
  { skip: !isRoot && 'needs root' },
  async t => {
    const as = async <T>(uid: number, act: () => Promise<T>) => {
      process.seteuid?.(uid)
      try {
        return await act()
      } finally {
        process.seteuid?.(0)
      }
    }
    const net = network(t)
    await plugInto(t, net, 1)
    chmodSync(join(net.directory, '..'), 0o755)
    const ctl = join(net.directory, 'ctl')
    t.equal(
      await as(65534, () => told(joinNetwork(net, hello(2)))),
      `Cannot join network "net": permission denied for "${ctl}" (who may write its directory may join)`,
    )
    const idle = network(t)
    mkdirSync(idle.directory, { mode: 0o755 })
    chmodSync(join(idle.directory, '..'), 0o755)
    t.match(
      await as(65534, () => told(joinNetwork(idle, hello(2)))),
      /^Cannot make ".*\/lock": permission denied$/,
    )
    const shared = network(t)
    mkdirSync(shared.directory)
    chmodSync(shared.directory, 0o777)
    chmodSync(join(shared.directory, '..'), 0o755)
    const a = await plugInto(t, shared, 1)
    const b = await as(65534, () => plugInto(t, shared, 2))
    send(b, 2, 1, 60)
    t.same(await arrivals(a, 1), ['2:60'])
  },
)

t.test('what cannot be a network: one sentence', async t => {
  const net = network(t)
  writeFileSync(net.directory, '')
  t.match(
    await told(joinNetwork(net, hello(1))),
    /^Cannot open network "net": ".*" is no directory$/,
  )
  const orphan = { ...net, directory: join(net.directory, '..', 'missing', 'net') }
  t.match(
    await told(joinNetwork(orphan, hello(1))),
    /^Cannot make network "net": .*no such file or directory$/,
  )
  const odd = network(t)
  mkdirSync(join(odd.directory, 'ctl'), { recursive: true })
  t.match(await told(joinNetwork(odd, hello(1))), /Cannot (join|start) .*net".*/)
})

t.test('someone else’s switch in the directory is left alone', async t => {
  const net = network(t)
  mkdirSync(net.directory)
  const other = createServer(socket => socket.end()).listen(join(net.directory, 'ctl'))
  t.teardown(() => other.close())
  t.match(
    await told(joinNetwork(net, hello(1))),
    /^Cannot join network "net": what listens on ".*ctl" is no switch of ioth$/,
  )
  const byHand = spawn(process.execPath, [SWITCH, net.directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  byHand.stderr.setEncoding('utf8').on('data', text => (said += text))
  t.same(await once(byHand, 'close'), [125, null])
  t.match(said, /^ioth-switch: cannot serve network ".*": ".*ctl" is something else's\n$/)
})

t.test('a directory whose name is too long for a socket address', async t => {
  const net = network(t, 'n'.repeat(120))
  const a = await plugInto(t, net, 1)
  const b = await plugInto(t, net, 2)
  send(a, 1, 2, 60)
  t.same(await arrivals(b, 1), ['1:60'])
})

t.test('a switch that is out of descriptors refuses, goes on, and recovers', async t => {
  const net = network(t)
  const script = 'ulimit -n 48; exec "$@"'
  const child = spawn(
    '/bin/sh',
    ['-c', script, 'sh', process.execPath, SWITCH, `${net.directory}/`],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  child.stderr.resume()
  t.teardown(() => child.kill('SIGKILL'))
  await until('the switch listens', () => existsSync(join(net.directory, 'ctl')))
  const plugs: PortPlug[] = []
  let said = ''
  for (let n = 1; said === '' && n < 48; n++)
    said = await joinNetwork(net, hello(n)).then(
      numbers => (plugs.push(new PortPlug(numbers)), ''),
      (error: Error) => error.message,
    )
  t.match(
    said,
    /^Cannot join network "net": its switch refuses: it cannot make a port: too many open files$/,
  )
  t.ok(plugs.length > 2, `${plugs.length} ports`)
  send(plugs[0], 1, 2, 60)
  t.same(await arrivals(plugs[1], 1), ['1:60'])
  for (const plug of plugs.splice(2)) plug.close()
  await plugInto(t, net, 60)
  for (const plug of plugs) plug.close()
})

t.test(
  'ioth-switch by hand: stays, refuses a second one, ends on SIGINT with status 0',
  async t => {
    const net = network(t)
    const start = () =>
      spawn(process.execPath, [SWITCH, net.directory], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    const first = start()
    t.teardown(() => first.kill('SIGKILL'))
    await until('the switch listens', () => existsSync(join(net.directory, 'ctl')))
    ;(await plugInto(t, net, 1)).close()
    const second = start()
    let said = ''
    second.stderr.setEncoding('utf8').on('data', text => (said += text))
    t.same(await once(second, 'close'), [125, null])
    t.match(said, /^ioth-switch: cannot serve network ".*": a switch serves it already\n$/)
    await delay(300)
    ;(await plugInto(t, net, 1)).close()
    first.kill('SIGINT')
    t.same(await once(first, 'close'), [0, null])
  },
)

t.test('ioth-switch: --help, --version, mistakes', async t => {
  const run = async (...words: string[]) => {
    const child = spawn(process.execPath, [SWITCH, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', text => (out += text))
    child.stderr.setEncoding('utf8').on('data', text => (err += text))
    const [status] = (await once(child, 'close')) as [number]
    return { status, out, err }
  }
  const [help, version, nothing, unknown, scheme] = await Promise.all([
    run('--help'),
    run('--version'),
    run(),
    run('--loud', 'x'),
    run('tapp://x'),
  ])
  t.match(help, { status: 0, out: /^usage: ioth-switch /, err: '' })
  t.match(version, { status: 0, out: /^ioth \d+\.\d+\.\d+\n$/, err: '' })
  t.match(nothing, {
    status: 125,
    out: '',
    err: /^ioth-switch: one network is wanted, 0 are given/,
  })
  t.match(unknown, { status: 125, out: '', err: /--loud/ })
  t.match(scheme, {
    status: 125,
    err: 'ioth-switch: cannot open plug "tapp://x": a switch is wanted (switch://NAME, or a directory)\n',
  })
})

t.test('parseNetwork() and joinNetwork() make the directories of a named network', async t => {
  const { directory } = network(t)
  mkdirSync(directory, { mode: 0o700 })
  const named = parseNetwork('switch://lab', () => directory)
  await plugInto(t, named, 1)
  for (const path of ['net', 'net/lab'])
    t.equal(statSync(join(directory, path)).mode & 0o777, 0o700)
})
