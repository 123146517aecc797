import t from 'tap'

import * as E from '../../../../src/base/errno.ts'
import { u16 } from '../../../../src/base/bytes.ts'
import {
  ETH_P_ALL,
  LOOPBACK_INDEX,
  NIC_INDEX,
  type PacketEndpoint,
  type PacketUser,
  type Program,
  type SeenFrame,
} from '../../../../src/stack/stack.ts'
import { LOOPBACK_V4 } from '../../../../src/wire/address.ts'
import { finish, pseudoSumV4, sumBytes } from '../../../../src/wire/checksum.ts'
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../../src/wire/ethernet.ts'
import { program } from '../../../helpers/bpf.ts'
import { arrive } from '../../../helpers/net.ts'
import { Network, Node } from '../../../helpers/stacks.ts'
import { UdpSocket } from '../../../helpers/udp.ts'

const HOST = 0
const BROADCAST = 1
const MULTICAST = 2
const OTHERHOST = 3
const OUTGOING = 4
/** For experiments (IEEE 802). */
const OURS = 0x88b5

interface Seen {
  bytes: Uint8Array
  type: number
  ethertype: number
  device: number
  tag: number
}

class PacketSocket implements PacketUser {
  readonly endpoint: PacketEndpoint
  readonly node: Node
  readonly program: Program | undefined
  readonly seen: Seen[] = []
  downs = 0

  constructor(
    node: Node,
    protocol: number,
    options: { cooked?: boolean; device?: number; program?: Program } = {},
  ) {
    this.node = node
    this.program = options.program
    this.endpoint = node.stack.packets.open(options.cooked ?? false, 0, this)
    node.stack.packets.bind(this.endpoint, options.device ?? 0, protocol)
  }

  arrives({ bytes, at, type, ethertype, device, tag }: SeenFrame, wanted: number): void {
    this.seen.push({ bytes: bytes.slice(at, at + wanted), type, ethertype, device, tag })
  }

  down(): void {
    this.downs++
  }

  take(): Seen[] {
    return this.seen.splice(0)
  }

  send(bytes: Uint8Array, device = NIC_INDEX, to = -1): number {
    const out = { bytes, at: 0, length: bytes.length, device, protocol: OURS, to }
    return this.node.stack.packets.send(this.endpoint, out)
  }

  close(): void {
    this.node.stack.packets.close(this.endpoint)
  }
}

function two(offload = false) {
  const [one, other] = [new Node(1, { offload }), new Node(2, { offload })]
  const net = new Network(one, other)
  net.run(5000)
  return { one, other, net }
}

/** A frame of OURS. */
function frame(to: string, text = 'text', tag = ''): Uint8Array {
  const type = OURS.toString(16)
  return Buffer.concat([
    Buffer.from(`${to}020000000099${tag}${type}`, 'hex'),
    Buffer.from(text.padEnd(46)),
  ])
}
const macOf = (node: Node): string => {
  const bytes = new Uint8Array(6)
  node.stack.mac.write(bytes, 0)
  return Buffer.from(bytes).toString('hex')
}

/** The checksum of an IPv4 packet's text is right. */
function isSummed(bytes: Uint8Array): boolean {
  const length = u16(bytes, 16) - 20
  const word = (i: number) => new DataView(bytes.buffer, bytes.byteOffset).getInt32(i)
  const pseudo = pseudoSumV4(word(26), word(30), bytes[23]) + length
  return finish(sumBytes(bytes, 34, length, pseudo)) === 0
}

t.test('nobody watches an interface without need', async t => {
  const { one } = two()
  const { nic, packets } = one.stack
  const watched = () => [nic.watcher !== undefined, isWatched(one)]
  t.same(watched(), [false, false])
  const socket = new PacketSocket(one, 0)
  t.same(watched(), [false, false], 'protocol 0')
  packets.bind(socket.endpoint, LOOPBACK_INDEX, ETH_P_ALL)
  t.same(watched(), [false, true], 'loopback')
  packets.bind(socket.endpoint, NIC_INDEX, ETH_P_ALL)
  t.same(watched(), [true, false], 'the link')
  packets.bind(socket.endpoint, 0, ETHERTYPE_ARP)
  t.same(watched(), [true, true], 'any')
  socket.close()
  t.same(watched(), [false, false], 'closed')
})

/** What goes over loopback is summed for who watches. */
function isWatched(node: Node): boolean {
  const path = node.stack.path(LOOPBACK_V4, LOOPBACK_V4)
  if (typeof path === 'number') throw new Error(`no path: ${path}`)
  const at = path.open(20)
  path.bytes.fill(0, at, at + 20)
  path.close(20, 0, 16)
  const summed = u16(path.bytes, at + 16) !== 0
  node.stack.run(0, 64)
  return summed
}
t.test('ETH_P_ALL: both ways, whoever it is for; others: what comes, of one type', async t => {
  const { one, other, net } = two()
  const all = new PacketSocket(one, ETH_P_ALL)
  const arp = new PacketSocket(one, ETHERTYPE_ARP)
  const none = new PacketSocket(one, ETHERTYPE_IPV6)
  const lo = new PacketSocket(one, ETH_P_ALL, { device: LOOPBACK_INDEX })
  const [from, to] = [new UdpSocket(one), new UdpSocket(other)]
  to.bind('0.0.0.0', 7)
  from.send('text', '10.0.0.2', 7)
  net.run(1000)
  t.same(to.texts(), ['text'])
  t.same(
    all.take().map(({ type, ethertype, device }) => [type, ethertype, device]),
    [
      [OUTGOING, ETHERTYPE_ARP, NIC_INDEX],
      [HOST, ETHERTYPE_ARP, NIC_INDEX],
      [OUTGOING, ETHERTYPE_IPV4, NIC_INDEX],
    ],
  )
  t.same(
    arp.take().map(({ type }) => type),
    [HOST],
  )
  all.endpoint.ignoresOutgoing = true
  for (const mac of [macOf(one), 'ffffffffffff', '333300000001', '020000000077'])
    arrive(one.stack, frame(mac), net.now)
  t.same(
    all.take().map(({ type }) => type),
    [HOST, BROADCAST, MULTICAST, OTHERHOST],
  )
  t.same([...none.take(), ...lo.take()], [])
})

t.test('cooked: without the link header', async t => {
  const { one, net } = two()
  const cooked = new PacketSocket(one, OURS, { cooked: true })
  const raw = new PacketSocket(one, OURS)
  arrive(one.stack, frame(macOf(one), 'hello'), net.now)
  t.same(Buffer.from(cooked.take()[0].bytes).toString().trim(), 'hello')
  t.same(raw.take()[0].bytes, new Uint8Array(frame(macOf(one), 'hello')))
})

t.test('rows of segments are cut, and all checksums are right, in both directions', async t => {
  const { one, other, net } = two(true)
  const sockets = [one, other].map(node => new PacketSocket(node, ETH_P_ALL))
  const text = Buffer.alloc(50_000, 'abc')
  other.program.listen('10.0.0.2', 80)
  const connection = one.program.connect('0.0.0.0', '10.0.0.2', 80, net.now)
  if (typeof connection === 'number') throw new Error(`connect: ${connection}`)
  let longest = 0
  net.filter = sent => {
    longest = Math.max(longest, sent.bytes.length)
    return sent
  }
  one.program.write(connection, text, net.now)
  net.run(10_000)
  t.ok(longest > 1514, 'there are rows')
  for (const socket of sockets) {
    const frames = socket.take().filter(({ ethertype }) => ethertype === ETHERTYPE_IPV4)
    t.ok(frames.length > 34)
    t.ok(frames.every(({ bytes }) => bytes.length <= 1514))
    t.ok(frames.every(({ bytes }) => isSummed(bytes)))
    const texts = frames
      .filter(({ bytes }) => bytes.length > 100)
      .map(({ bytes }) => Buffer.from(bytes.subarray(34 + (bytes[46] >> 4) * 4)))
    t.same(Buffer.concat(texts), text)
  }
})

t.test('loopback: what goes out comes in, summed, and answers too', async t => {
  const { one, net } = two()
  const socket = new PacketSocket(one, ETH_P_ALL)
  const [from, to] = [new UdpSocket(one), new UdpSocket(one)]
  to.bind('10.0.0.1', 7)
  from.send('text', '10.0.0.1', 7)
  net.run(10)
  const frames = socket.take()
  t.same(
    frames.map(({ type, device }) => [type, device]),
    [
      [OUTGOING, LOOPBACK_INDEX],
      [HOST, LOOPBACK_INDEX],
    ],
  )
  t.ok(frames.every(({ bytes }) => isSummed(bytes)))
  t.same(to.texts(), ['text'])
})

t.test("a copy of a group's datagram for ourselves is no frame of loopback", async t => {
  const { one, net } = two()
  const socket = new PacketSocket(one, ETH_P_ALL)
  const from = new UdpSocket(one)
  from.send('text', '224.0.0.1', 7)
  net.run(10)
  t.same(
    socket.take().map(({ device }) => device),
    [NIC_INDEX],
  )
})

t.test('the VLAN tag of what comes is told beside it; of what goes out it is part', async t => {
  const { one, net } = two()
  const all = new PacketSocket(one, ETH_P_ALL)
  const ours = new PacketSocket(one, OURS)
  arrive(one.stack, frame(macOf(one), 'hello', '81002005'), net.now)
  const [seen] = all.take()
  t.same([seen.tag, seen.ethertype, seen.type], [0x2005, OURS, HOST])
  t.same(seen.bytes, new Uint8Array(frame(macOf(one), 'hello')))
  const [other] = ours.take()
  t.same([other.tag, other.ethertype, other.type], [-1, OURS, OTHERHOST])
  ours.send(frame(macOf(one), 'hello', '81002005'))
  t.same([all.take()[0].tag, all.take().length], [-1, 0])
})

t.test('a filter: how much is wanted, or nothing', async t => {
  const { one, net } = two()
  const some = new PacketSocket(one, OURS, { program: program([6, 20]) })
  const none = new PacketSocket(one, OURS, { program: program([6, 0]) })
  const more = new PacketSocket(one, OURS, { cooked: true, program: program([6, 0xffff]) })
  arrive(one.stack, frame(macOf(one)), net.now)
  t.same(
    [some, none, more].map(s => s.take().map(({ bytes }) => bytes.length)),
    [[20], [], [46]],
  )
})

t.test('send(): its own frame only others see; it arrives as it is', async t => {
  const { one, other } = two()
  const [sender, watcher] = [new PacketSocket(one, ETH_P_ALL), new PacketSocket(one, ETH_P_ALL)]
  const sent = frame(macOf(other))
  t.equal(sender.send(sent), sent.length)
  t.same(sender.take(), [])
  t.same(watcher.take()[0], { bytes: new Uint8Array(sent), type: OUTGOING, ethertype: OURS, device: NIC_INDEX, tag: -1 }) // prettier-ignore
  t.same(Buffer.from(one.sink.take()[0].bytes), sent)
})

t.test('send() of a cooked one writes the link header', async t => {
  const { one, other } = two()
  const sender = new PacketSocket(one, OURS, { cooked: true })
  const bytes = Buffer.concat([Buffer.from('text'), Buffer.from(macOf(other), 'hex')])
  const out = { bytes, at: 0, length: 4, device: NIC_INDEX, protocol: OURS, to: 4 }
  t.equal(one.stack.packets.send(sender.endpoint, out), 4)
  const want = `${macOf(other)}${macOf(one)}88b5${Buffer.from('text').toString('hex')}`
  t.equal(Buffer.from(one.sink.take()[0].bytes).toString('hex'), want)
})

t.test('send(): what cannot go', async t => {
  const { one, other } = two()
  const raw = new PacketSocket(one, 0)
  const cooked = new PacketSocket(one, 0, { cooked: true })
  const bytes = frame(macOf(other))
  t.equal(raw.send(bytes, 4711), -E.ENXIO)
  t.equal(raw.send(bytes.subarray(0, 13)), -E.EINVAL)
  t.equal(raw.send(new Uint8Array(1515)), -E.EMSGSIZE)
  t.equal(cooked.send(bytes), -E.EINVAL, 'to nobody')
  one.sink.room = 0
  t.equal(raw.send(bytes), -E.EAGAIN)
  t.equal(one.stack.packets.counters.noRoom, 1)
  one.stack.setSink(undefined)
  t.equal(raw.send(bytes), bytes.length, 'a link that is down loses it')
  const bound = new PacketSocket(one, 0, { device: NIC_INDEX })
  one.stack.nic.setUp(false)
  t.equal(raw.send(bytes), -E.ENETDOWN)
  t.same([bound.downs, raw.downs], [1, 0])
})
