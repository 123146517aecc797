import t from 'tap'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../../../../src/stack/stack.ts'
import { ETHERTYPE_IPV4 } from '../../../../src/wire/ethernet.ts'
import { ethernet, ipv4Packet, macOf } from '../../../helpers/net.ts'
import { random } from '../../../helpers/random.ts'
import { Node } from '../../../helpers/stacks.ts'
import { UdpSocket } from '../../../helpers/udp.ts'

const DESTINATIONS = ['10.0.0.1', '10.0.0.255', '255.255.255.255', '239.1.2.3', '224.0.0.1']

for (const seed of [1, 2, 3])
  t.test(`20,000 damaged UDP, IGMP and ICMP packets, seed ${seed}`, async t => {
    const node = new Node(1)
    const next = random(seed)
    const sockets = [
      new UdpSocket(node, 4, { reuse: true }),
      new UdpSocket(node, 6, { reuse: true }),
    ]
    sockets[0].bind('0.0.0.0', 7)
    sockets[1].bind('::', 7)
    sockets[0].join('239.1.2.3')
    const peer = new UdpSocket(node)
    peer.connect('10.0.0.2', 9)
    let now = 1000
    for (let i = 0; i < 20_000; i++) {
      const payload = Uint8Array.from({ length: next() % 64 }, () => next())
      const protocol = [17, 17, 2, 1][next() % 4]
      if (protocol === 17) payload.set([0, 9, 0, 7, 0, next() % 64].slice(0, payload.length))
      if (protocol === 2 && payload.length > 0) payload[0] = [0x11, 0x12, 0x16, 0x22][next() % 4]
      if (protocol === 1 && payload.length > 0) payload[0] = [3, 5, 11, 12][next() % 4]
      const dst = DESTINATIONS[next() % DESTINATIONS.length]
      const frame = ethernet(
        macOf(1),
        macOf(2),
        ETHERTYPE_IPV4,
        ipv4Packet(payload, { dst, protocol }),
      )
      if (next() % 4 === 0) frame[14 + (next() % (frame.length - 14))] ^= 1 << (next() % 8)
      const checksum = next() % 2 === 0 ? CHECKSUM_VALID : CHECKSUM_UNKNOWN
      node.stack.frameArrives(frame, 0, frame.length, checksum, 0, now)
      if (i % 64 === 0) node.stack.run((now += 10), 64)
      node.sink.frames = []
    }
    for (const s of sockets)
      for (const { text } of s.got) if (text.length > 56) t.fail(`${text.length} bytes of text`)
    t.ok(sockets[0].got.length > 100, `${sockets[0].got.length} were whole`)
    const { badHeaders, badChecksums } = node.stack.counters.udp
    t.ok(badHeaders > 100 && badChecksums > 100)
    t.ok(node.stack.counters.net.igmpInvalid > 100)
  })
