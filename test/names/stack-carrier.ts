// Questions over two stacks on a wire.
import t from 'tap'

import { StackCarrier } from '../../src/names/stack-carrier.ts'
import type { Endpoint } from '../../src/stack/stack.ts'
import { Outgoing } from '../../src/stack/transport/udp/outgoing.ts'
import { Network, Node } from '../helpers/stacks.ts'
import { addr } from '../helpers/net.ts'

const SERVER = addr('10.0.0.2')
const QUERY = Uint8Array.of(1, 2, 3, 4)

/** Ours, a server, and what ours was told. */
function lab() {
  const [ours, server] = [new Node(1), new Node(2)]
  const network = new Network(ours, server)
  const carrier = new StackCarrier(ours.stack)
  const { program } = ours
  const own = program.changed.bind(program)
  program.changed = (tcb, events, errno) => {
    if (!carrier.changed(tcb, events, network.now)) own(tcb, events, errno)
  }
  const told: string[] = []
  const asker = {
    heard: (message: Uint8Array) => void told.push([...message].join()),
    unreachable: () => void told.push('unreachable'),
  }
  network.turn = () => {
    const busy = !carrier.isIdle
    carrier.run(network.now)
    return busy
  }
  return { ours, server, network, carrier, told, asker }
}

/** Answers at a UDP port: each datagram by the same bytes, doubled. */
function echo(node: Node, port: number, answerFrom = port): void {
  const { udp } = node.stack
  const out = new Outgoing()
  const waiting: (() => void)[] = []
  const user = {
    arrives: (
      _: Endpoint,
      packet: Parameters<typeof udp.arrives>[0],
      from: number,
      at: number,
      n: number,
    ) => {
      const bytes = packet.bytes.slice(at, at + n)
      const src = addr('10.0.0.1')
      waiting.push(() => udp.send(other, out.text(Uint8Array.of(...bytes, ...bytes)).to(src, from)))
      return true
    },
    failed: () => undefined,
  }
  const endpoint = udp.open(4, user)!
  udp.bind(endpoint, addr('0.0.0.0'), port)
  const other = answerFrom === port ? endpoint : udp.open(4, user)!
  if (other !== endpoint) udp.bind(other, addr('0.0.0.0'), answerFrom)
  const run = node.stack.run.bind(node.stack)
  node.stack.run = (now, budget) => {
    for (const send of waiting.splice(0)) send()
    const next = run(now, budget)
    return waiting.length > 0 ? now : next
  }
}

t.test('datagram() hears the server', async t => {
  const { server, network, carrier, told, asker } = lab()
  echo(server, 53)
  const channel = carrier.datagram(SERVER, QUERY, asker)
  network.settle()
  t.same(told, ['1,2,3,4,1,2,3,4'])
  channel?.close(0)
})

t.test('datagram() does not hear another port of the server', async t => {
  const { server, network, carrier, told, asker } = lab()
  echo(server, 53, 54)
  carrier.datagram(SERVER, QUERY, asker)
  network.settle()
  t.same(told, [])
})

t.test('datagram() to where nobody is tells so', async t => {
  const { network, carrier, told, asker } = lab()
  carrier.datagram(SERVER, QUERY, asker)
  network.settle()
  t.same(told, ['unreachable'])
})

t.test('no way to the server: undefined, and nothing is left', async t => {
  const { ours, carrier, asker } = lab()
  for (let i = 0; i < 20_000; i++)
    if (carrier.datagram(addr('192.0.2.1'), QUERY, asker) !== undefined) t.fail('a way')
  t.equal(carrier.connection(addr('192.0.2.1'), QUERY, asker, 0), undefined)
  t.ok(ours.stack.udp.open(4, { arrives: () => true, failed: () => undefined }))
})

t.test('close() gives the port back, and what comes then is not heard', async t => {
  const { server, network, carrier, told, asker } = lab()
  echo(server, 53)
  for (let i = 0; i < 20_000; i++) carrier.datagram(SERVER, QUERY, asker)!.close(0)
  network.settle()
  t.same(told, [])
})

for (const [title, parts, end, accepts, want] of [
  ['whole', [[0, 3, 7, 8, 9]], false, true, '7,8,9'],
  ['in parts', [[0], [3, 7], [8, 9]], false, true, '7,8,9'],
  ['with more behind it', [[0, 3, 7, 8, 9, 1, 1]], false, true, '7,8,9'],
  ['that is no answer', [[0, 3, 7, 8, 9]], false, false, '7,8,9,unreachable'],
  ['cut off', [[0, 3, 7]], true, true, 'unreachable'],
  ['none', [], true, true, 'unreachable'],
] as [string, number[][], boolean, boolean, string][])
  t.test(`connection(): a message, ${title}`, async t => {
    const { server, network, carrier, told } = lab()
    server.program.listen('10.0.0.2', 53)
    const tell = (what: string, closes: boolean) => {
      told.push(what)
      if (closes) channel.close(network.now)
    }
    const asker = {
      heard: (message: Uint8Array) => tell([...message].join(), accepts),
      unreachable: () => tell('unreachable', true),
    }
    const channel = carrier.connection(SERVER, QUERY, asker, 0)!
    network.settle()
    const [accepted] = server.program.accepted
    t.same([...accepted.in.take()], [0, 4, ...QUERY])
    for (const part of parts) {
      server.program.write(accepted, Uint8Array.from(part), network.now)
      network.run(1000)
    }
    if (end) server.stack.tcp.close(accepted.tcb, network.now)
    network.settle()
    t.equal(told.join(), want)
    t.ok(carrier.isIdle)
  })

t.test('connection() to where nobody listens tells so', async t => {
  const { network, carrier, told, asker } = lab()
  carrier.connection(SERVER, QUERY, asker, 0)
  network.settle()
  t.same(told, ['unreachable'])
})
