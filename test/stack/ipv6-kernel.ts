// Our stack and the Linux kernel on one link: needs root and /dev/net/tun.
import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { EV_CLOSED, Stack, TCB_BYTES } from '../../src/stack/stack.ts'
import { TapPlug, openTap } from '../../src/plug/tap.ts'
import { formatAddress, parsePrefix } from '../../src/wire/address-text.ts'
import { isLinkLocal } from '../../src/wire/address.ts'
import { addr, macOf } from '../helpers/net.ts'
import { linkLocalOf } from '../helpers/net6.ts'
import { Namespace, ip, makeTap, noTaps } from '../helpers/netns.ts'
import { randomBytes } from '../helpers/random.ts'
import { Program } from '../helpers/stacks.ts'

const skip = noTaps ?? false
const CONNECTIONS = 16
const KERNEL = '2001:db8::2'
const OURS = '2001:db8::1'
const MEGABYTE = 1 << 20

/** A stack at one end of a tap, the kernel of a new namespace at the other; it runs until the test ends. */
function link(t: Test, options: { addresses?: string[]; kernel?: string[]; mtu?: number } = {}) {
  const { addresses = [`${OURS}/64`], kernel = [`${KERNEL}/64`], mtu = 1500 } = options
  const name = makeTap(t)
  ip('link', 'set', name, 'mtu', `${mtu}`)
  const plug = new TapPlug(openTap(`tap://${name}`, name), () => performance.now())
  const ns = new Namespace(t)
  ns.adopt(name, ...kernel)
  const program = new Program()
  const stack = new Stack({
    mac: macOf(1),
    addresses: addresses.map(text => parsePrefix(text)!),
    random: randomBytes(1),
    tcp: {
      memory: new ArrayBuffer(TCB_BYTES * CONNECTIONS),
      capacity: CONNECTIONS,
      user: program,
    },
  })
  program.stack = stack
  stack.setSink(plug.sink)
  let over = false
  let turn = () => {}
  const loop = async () => {
    while (!over) {
      const now = performance.now()
      plug.receive(stack, 64, now)
      turn()
      stack.run(now, 64)
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
  return {
    name,
    ns,
    program,
    stack,
    /** Called in each turn. */
    each: (f: () => void) => void (turn = f),
    /** Waits until it is so, 10 s at most. */
    async until(what: string, done: () => boolean) {
      const end = performance.now() + 10_000
      while (!done()) {
        if (performance.now() > end) throw new Error(`waited in vain until ${what}`)
        await setImmediate()
      }
    },
  }
}

/** A program that reads all of one connection and prints what it was. */
const READ = (address: string) => `
import socket, hashlib
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
s.bind(('${address}', 8080)); s.listen(); print('ready', flush=True)
c, peer = s.accept()
h = hashlib.sha256(); n = 0
while True:
    b = c.recv(65536)
    if not b: break
    h.update(b); n += len(b)
print(n, h.hexdigest(), peer[0])
`
const WRITE = (address: string, size: number) => `
import socket, hashlib, random
random.seed(7)
data = random.randbytes(${size})
c = socket.create_connection(('${address}', 8080))
c.sendall(data); c.shutdown(1); c.recv(1)
print(hashlib.sha256(data).hexdigest())
`

for (const [what, target] of [
  ['to our address', OURS],
  ['to our link-local address', linkLocalOf(1)],
] as const)
  for (const size of [56, 4000])
    t.test(`the kernel pings us, ${what}, ${size} bytes`, { skip }, async t => {
      const { ns, name } = link(t)
      const host = target.startsWith('fe80') ? `${target}%${name}` : target
      const text = await ns.run('ping', '-6', '-n', '-c3', '-i0.05', `-s${size}`, '-W2', host)
      t.match(text, / 0% packet loss/)
    })

t.test('the kernel pings all nodes, and we answer', { skip }, async t => {
  const { ns, name } = link(t)
  const text = await ns.run('ping', '-6', '-n', '-c2', '-i0.2', '-W2', '-L', `ff02::1%${name}`)
  t.match(text, /from (2001:db8::1|fe80::ff:fe00:1)\b/)
})

for (const size of [56, 4000])
  t.test(`we ping the kernel, ${size} bytes`, { skip }, async t => {
    const { stack, until } = link(t)
    const { ipv6 } = stack
    const replies: number[] = []
    ipv6.icmp.handlers.set(129, (_packet, message) => replies.push(message.bodyLength))
    const path = ipv6.path(addr('::'), addr(KERNEL), 58)
    if (typeof path === 'number') return t.fail(`${path}`)
    const at = path.open(8 + size)
    path.bytes.fill(0, at, at + 8 + size)
    path.bytes[at] = 128
    path.close(8 + size, 0, 2)
    await until('it answers', () => replies.length > 0)
    t.same(replies, [size])
  })

for (const mtu of [1500, 1280, 9000])
  t.test(`TCP to the kernel, mtu ${mtu}`, { skip }, async t => {
    const { ns, program, stack, until } = link(t, { mtu })
    const reader = ns.start('python3', '-c', READ('::'))
    await reader.says(/ready/)
    const text = new Uint8Array(8 * MEGABYTE)
    randomBytes(5)(text)
    const connection = program.connect('::', KERNEL, 8080, performance.now())
    if (typeof connection === 'number') return t.fail(`${connection}`)
    program.write(connection, text, performance.now())
    await until('all is sent', () => connection.out.length === 0)
    stack.tcp.close(connection.tcb, performance.now())
    const { stdout } = await reader.ends(10_000)
    t.match(stdout, `${text.length} ${createHash('sha256').update(text).digest('hex')} ${OURS}`)
  })

for (const target of [OURS, linkLocalOf(1)])
  t.test(`TCP from the kernel to ${target}`, { skip }, async t => {
    const { ns, name, program, stack, each } = link(t)
    program.listen('::', 8080)
    const received = createHash('sha256')
    let length = 0
    each(() => {
      const connection = program.accepted.at(0)
      if (connection === undefined || (connection.events & EV_CLOSED) !== 0) return
      length += connection.in.used
      if (connection.in.used > 0) received.update(connection.in.take())
      stack.tcp.received(connection.tcb, performance.now())
      if (length === 8 * MEGABYTE) stack.tcp.close(connection.tcb, performance.now())
    })
    const host = target.startsWith('fe80') ? `${target}%${name}` : target
    const text = await ns.run('python3', '-c', WRITE(host, 8 * MEGABYTE))
    t.equal(text.trim(), received.digest('hex'))
  })

t.test('an address that the kernel has is DUPLICATED', { skip }, async t => {
  const { stack, until } = link(t, { addresses: [`${KERNEL}/64`] })
  const told: string[] = []
  stack.onConflict = address => told.push(formatAddress(address))
  await until('it is told', () => told.length > 0)
  t.same(told, [KERNEL])
  const kept = stack.ipv6.addresses.all.filter(({ isAssigned }) => isAssigned)
  t.ok(kept.every(({ address }) => isLinkLocal(address)))
})

t.test(
  'an address that we have is no longer the kernel’s: its detection hears us',
  { skip },
  async t => {
    const { ns, name, until, stack } = link(t)
    await until(
      'ours is checked',
      () => stack.ipv6.addresses.find(addr(OURS))?.state === 'PREFERRED',
    )
    ns.ip('addr', 'add', `${OURS}/64`, 'dev', name)
    await until('it failed', () => /dadfailed/.test(`${ns.ip('addr', 'show', 'dev', name)}`))
  },
)
