// UDP of our stack and of the Linux kernel on one link: needs root and /dev/net/tun.
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import * as E from '../../src/base/errno.ts'
import { TapPlug, openTap } from '../../src/plug/tap.ts'
import { addr } from '../helpers/net.ts'
import { Node } from '../helpers/stacks.ts'
import { Namespace, makeTap, noTaps } from '../helpers/netns.ts'
import { UdpSocket } from '../helpers/udp.ts'

const skip = noTaps ?? false
const LENGTHS = [0, 1, 1472, 1473, 65507]

/** Our stack (10.0.0.1, 2001:db8::1) at one end of a tap, the kernel (…2) at the other. */
function link(t: Test) {
  const name = makeTap(t)
  const plug = new TapPlug(openTap(`tap://${name}`, name), () => performance.now())
  const ns = new Namespace(t)
  ns.adopt(name, '10.0.0.2/24', '2001:db8::2/64')
  ns.ip('route', 'add', 'default', 'dev', name)
  const node = new Node(1, { addresses: ['10.0.0.1/24', '2001:db8::1/64'] })
  node.stack.setSink(plug.sink)
  let over = false
  const loop = async () => {
    while (!over) {
      const now = performance.now()
      plug.receive(node.stack, 64, now)
      node.stack.run(now, 64)
      plug.flush()
      await setImmediate()
    }
    plug.close()
  }
  const ended = loop()
  t.teardown(async () => {
    over = true
    await ended
  })
  /** Waits until it is so, 10 s at most. */
  const until = async (what: string, done: () => boolean) => {
    const end = performance.now() + 10_000
    while (!done()) {
      if (performance.now() > end) throw new Error(`waited in vain until ${what}`)
      await setImmediate()
    }
  }
  return { node, ns, until, python: (program: string) => ns.run('python3', '-c', program) }
}

const ECHO = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 7)); print('ready', flush=True)
while True:
    text, peer = s.recvfrom(65535)
    s.sendto(text, peer)
`

for (const [family, kernel] of [
  [4, '10.0.0.2'],
  [6, '2001:db8::2'],
] as const)
  t.test(`IPv${family}: the kernel echoes what we send, of every length`, { skip }, async t => {
    const { node, ns, until } = link(t)
    const echo = ns.start('python3', '-c', ECHO)
    await until('it is ready', () => echo.stdout.includes('ready'))
    const s = new UdpSocket(node, family)
    t.equal(s.connect(kernel, 7), 0)
    for (const length of LENGTHS) {
      const text = Buffer.alloc(length, `${length} bytes `)
      // The first goes while neighbors are asked for; nothing is lost meanwhile.
      t.equal(s.send(text), length)
      await until(`${length} bytes come back`, () => s.got.length > 0)
      t.same(s.texts(), [text.toString('latin1')])
    }
    t.equal(node.stack.counters.udp.badChecksums, 0)
  })

for (const [family, us] of [
  ['AF_INET', '10.0.0.1'],
  ['AF_INET6', '2001:db8::1'],
] as const)
  t.test(
    `we echo what the kernel sends, ${family}; a closed port is refused`,
    { skip },
    async t => {
      const { node, python } = link(t)
      const s = new UdpSocket(node, 6)
      t.equal(s.bind('::', 7), 0)
      s.arrives = (_endpoint, packet, port, at, length) => {
        const out = packet.bytes.slice(at, at + length)
        const to = packet.src()
        queueMicrotask(() => s.sendTo(out, to, port))
        return true
      }
      const said = await python(`
import socket
s = socket.socket(socket.${family}, socket.SOCK_DGRAM); s.settimeout(5)
s.connect(('${us}', 7))
for n in ${JSON.stringify(LENGTHS)}:
    text = bytes(i * 7 & 255 for i in range(n))
    s.send(text)
    assert s.recv(65535) == text, n
s.connect(('${us}', 8)); s.send(b'x')
try: s.recv(1)
except ConnectionRefusedError: print('refused')
`)
      t.match(said, /refused/)
    },
  )

t.test('a closed port of the kernel’s: ECONNREFUSED', { skip }, async t => {
  const { node, until } = link(t)
  for (const [family, kernel] of [
    [4, '10.0.0.2'],
    [6, '2001:db8::2'],
  ] as const) {
    const s = new UdpSocket(node, family)
    s.connect(kernel, 9)
    s.send('x')
    await until('the kernel tells', () => s.errors.length > 0)
    t.equal(s.errors[0].errno, E.ECONNREFUSED)
  }
})

t.test('groups and broadcasts, both ways', { skip }, async t => {
  const { node, ns, until } = link(t)
  const s = new UdpSocket(node, 4, { broadcast: true })
  s.bind('0.0.0.0', 7)
  t.equal(s.join('239.1.2.3'), 0)
  const kernel = ns.start(
    'python3',
    '-c',
    `
import socket
r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); r.settimeout(5)
r.bind(('0.0.0.0', 7))
r.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.4') + socket.inet_aton('10.0.0.2'))
r.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
print('ready', flush=True)
for want in ('to group', 'to all', 'to network'): print(r.recv(99).decode() == want, flush=True)
for dst in ('239.1.2.3', '239.1.2.9', '255.255.255.255', '10.0.0.255'): r.sendto(dst.encode(), (dst, 7))
`,
  )
  await until('it is ready', () => kernel.stdout.includes('ready'))
  s.send('to group', '239.1.2.4', 7)
  s.send('to all', '255.255.255.255', 7)
  s.send('to network', '10.0.0.255', 7)
  const texts = () => s.got.map(({ text }) => text).filter(text => !text.startsWith('to '))
  await until('all have come', () => texts().length >= 3)
  t.same(texts(), ['239.1.2.3', '255.255.255.255', '10.0.0.255'])
  await until('it has said so', () => (kernel.stdout.match(/True|False/g) ?? []).length >= 3)
  t.equal((kernel.stdout.match(/True/g) ?? []).length, 3)
})

t.test('the kernel’s path MTU is believed, and what does not fit is cut', { skip }, async t => {
  const { node, ns, until, python } = link(t)
  // A router in the namespace: beyond it the link carries 1280.
  const far = makeTap(t)
  ns.adopt(far, '10.9.0.2/24')
  ns.ip('link', 'set', far, 'mtu', '1280')
  await python(`open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')`)
  node.stack.addRoute({
    destination: { address: addr('0.0.0.0'), prefixLength: 0 },
    gateway: addr('10.0.0.2'),
    source: undefined,
    metric: 0,
    origin: 'static',
    expires: Infinity,
  })
  const s = new UdpSocket(node)
  s.connect('10.9.0.9', 9)
  s.send(new Uint8Array(1400))
  await until('the router tells', () => s.errors.some(e => e.mtu > 0))
  t.match(
    s.errors.find(e => e.mtu > 0),
    { errno: E.EMSGSIZE, mtu: 1280 },
  )
  const before = node.stack.counters.net.fragmentsOut
  t.equal(s.send(new Uint8Array(1400)), 1400)
  t.equal(node.stack.counters.net.fragmentsOut - before, 2)
})
