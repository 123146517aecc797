// Needs root and /dev/net/tun: the interface's other end is this process's kernel.
import { spawnSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'

import { UserError } from '../../src/base/user-error.ts'
import * as libc from '../../src/ffi/libc.ts'
import { openTap, TapPlug, tapName } from '../../src/plug/tap.ts'
import { parseVnl } from '../../src/plug/vnl.ts'
import { CHECKSUM_VALID } from '../../src/stack/link/sink.ts'
import { ip, makeTap, Namespace, noTaps, uniqueName } from '../helpers/netns.ts'
import { Recorder, send, testFrame } from '../helpers/plug.ts'
import { emitIpv4 } from '../../src/wire/ipv4.ts'
import { look, offloadFrame } from '../helpers/wire-frame.ts'

const skip = noTaps ?? false
const MAC = '02:00:00:00:00:02'

function open(t: Test, name: string): TapPlug {
  const plug = new TapPlug(openTap(`tap://${name}`, name), () => performance.now())
  t.teardown(() => plug.close())
  return plug
}

/** A tap that is up in a namespace of its own, and its other end. 10.0.0.2 of offloadFrame() is its. */
function host(t: Test) {
  const name = makeTap(t)
  const plug = open(t, name)
  const ns = new Namespace(t)
  ip('link', 'set', name, 'address', MAC)
  ns.adopt(name, '10.0.0.2/24')
  ns.ip('neigh', 'add', '10.0.0.1', 'lladdr', '02:00:00:00:00:01', 'dev', name)
  return { name, plug, ns }
}

/** From 10.0.0.1 to 10.0.0.2. */
function echoRequest(): Uint8Array {
  const bytes = new Uint8Array(14 + 20 + 12)
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0])
  emitIpv4(bytes, 14, 32, 1, 0, 64, 1, 0x0a000001, 0x0a000002)
  bytes.set([8, 0, 0xf7, 0xfd, 0, 1, 0, 1], 34)
  return bytes
}

async function receive(plug: TapPlug, want: (bytes: Uint8Array) => boolean) {
  const recorder = new Recorder()
  for (let i = 0; i < 200; i++) {
    while (plug.receive(recorder, 64, 0) > 0);
    const found = recorder.frames.find(({ bytes }) => want(bytes))
    if (found !== undefined) return found
    await delay(10)
  }
  throw new Error('waited in vain')
}

t.test('tapName() takes what the kernel takes', async t => {
  t.equal(tapName(parseVnl('tap://tap0')), 'tap0')
  t.equal(tapName(parseVnl('tap://123456789012345')), '123456789012345')
})

t.test(
  'an echo request written is answered, and a row of segments is read as one',
  { skip },
  async t => {
    const { name, plug, ns } = host(t)
    t.equal(plug.sink.mtu, 1500)
    const request = echoRequest()
    t.ok(send(plug, testFrame(request)))
    const reply = await receive(plug, b => b[23] === 1 && b[34] === 0)
    t.same([...reply.bytes.subarray(0, 6)], [2, 0, 0, 0, 0, 1])
    t.equal(plug.sink.refused, 0)

    // UDP by a program of that host: the kernel leaves the checksum to us.
    ns.start('bash', '-c', `echo hello > /dev/udp/10.0.0.1/9`)
    const datagram = await receive(plug, b => b[23] === 17)
    t.match(datagram, {
      checksum: CHECKSUM_VALID,
      checksumStart: 34,
      checksumOffset: 6,
      gsoSize: 0,
    })
    t.ok(ns.ip('-s', 'link', 'show', name))
  },
)

t.test(
  'a row of segments written reaches the kernel whole, and a bad checksum does not',
  { skip },
  async t => {
    const { plug, ns } = host(t)
    const counters = () => {
      const text = spawnSync('ip', ['netns', 'exec', ns.name, 'cat', '/proc/net/snmp'], { encoding: 'utf8' }).stdout // prettier-ignore
      const [names, values] = text.split('\n').filter(line => line.startsWith('Tcp:'))
      const of = (name: string) => Number(values.split(' ')[names.split(' ').indexOf(name)])
      return { segments: of('InSegs'), errors: of('InErrs') + of('InCsumErrors') }
    }
    const frame = offloadFrame({ text: 30_000 })
    t.ok(send(plug, testFrame(frame.bytes, 1448, frame.checksumStart, frame.checksumOffset)))
    // To a port where nobody listens: a reset for the whole.
    const reset = await receive(plug, b => b[23] === 6)
    t.ok(reset.bytes[47] & 4, 'RST')
    t.same(look(reset.bytes, 0, 14 + reset.bytes[16] * 256 + reset.bytes[17]).flags & 4, 4)
    t.match(counters(), { errors: 0 })
    t.ok(counters().segments > 0)
    const bad = offloadFrame({ text: 100 })
    t.ok(send(plug, testFrame(bad.bytes)), 'its checksum is the pseudo-header’s only')
    await delay(50)
    t.ok(counters().errors > 0)
  },
)

t.test('an interface that is down refuses frames, and the plug lives on', { skip }, async t => {
  const { name, plug, ns } = host(t)
  ns.ip('link', 'set', name, 'down')
  t.ok(send(plug, testFrame(new Uint8Array(60))))
  t.equal(plug.sink.refused, 1)
  t.notOk(plug.broken)
  ns.ip('link', 'set', name, 'up')
  t.ok(send(plug, testFrame(new Uint8Array(60))))
  t.equal(plug.sink.sent, 1)
})

t.test(
  'a frame that the kernel takes not now is kept, and next asks for another attempt',
  { skip },
  async t => {
    const { name, plug, ns } = host(t)
    const TUNSETSNDBUF = 0x400454d4
    libc.scratchView.setInt32(0, 1, true)
    t.equal(libc.ioctl(plug.fd, TUNSETSNDBUF, libc.scratch), 0)
    // Behind a bridge is a link so slow that the kernel keeps our frames, and their memory is ours.
    ns.ip('link', 'add', 'bridge', 'type', 'bridge')
    ns.ip('link', 'add', 'slow', 'type', 'veth', 'peer', 'far')
    for (const dev of [name, 'slow']) ns.ip('link', 'set', dev, 'master', 'bridge')
    for (const dev of ['slow', 'far', 'bridge']) ns.ip('link', 'set', dev, 'up')
    await ns.run(
      'tc',
      ...'qdisc add dev slow root tbf rate 1kbit burst 1600 limit 100000'.split(' '),
    )
    const frame = testFrame(new Uint8Array(1500).fill(2, 0, 11))
    for (let i = 0; plug.sink.waiting === 0; i++) {
      if (i > 20) throw new Error('the kernel takes everything')
      t.ok(send(plug, frame))
    }
    t.equal(plug.sink.open(1500), -1)
    t.ok(plug.next < Infinity)
    t.notOk(plug.broken)
    const { sent } = plug.sink
    await ns.run('tc', ...'qdisc del dev slow root'.split(' '))
    t.ok(plug.sink.open(1500) >= 0)
    t.equal(plug.sink.sent, sent + 1)
    t.equal(plug.next, Infinity)
  },
)

t.test('an interface that is deleted breaks the plug', { skip }, async t => {
  const { name, plug, ns } = host(t)
  ns.ip('link', 'del', name)
  plug.receive(new Recorder(), 1, 0)
  t.ok(plug.broken)
  const other = host(t)
  other.ns.ip('link', 'del', other.name)
  send(other.plug, testFrame(new Uint8Array(60)))
  t.ok(other.plug.broken)
})

t.test('an interface that there is not is made, and goes with the plug', { skip }, async t => {
  const name = uniqueName('tap')
  const numbers = openTap(`tap://${name}`, name)
  t.match(String(ip('link', 'show', name)), name)
  libc.close(numbers.fd)
  t.throws(() => ip('link', 'show', name))
})

t.test('one sentence for an interface that cannot be had', { skip }, async t => {
  const told = (name: string) => {
    try {
      openTap(`tap://${name}`, name)
    } catch (error) {
      if (error instanceof UserError) return error.message
      throw error
    }
    return 'nothing'
  }
  const taken = makeTap(t)
  open(t, taken)
  t.match(told(taken), `Cannot open plug "tap://${taken}": interface ${taken} is in use`)
  t.equal(told('lo'), 'Cannot open plug "tap://lo": interface lo is no tap')
})
