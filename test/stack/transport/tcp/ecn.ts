import t from 'tap'
import { ACK, CWR, ECE, FIN, RST, SYN } from '../../../../src/wire/tcp.ts'
import { E_ECHOES, E_SENDS } from '../../../../src/stack/transport/tcp/ecn-bits.ts'
import { Address } from '../../../../src/wire/address.ts'
import { Flow } from '../../../helpers/flow.ts'
import type { Fields, Sent } from '../../../helpers/segment.ts'
import {
  HERE,
  Host,
  Inbox,
  Outbox,
  Pair,
  Peer,
  THERE,
  WIRE_OVERHEAD,
  connected,
} from '../../../helpers/tcp-pair.ts'

const MSS = 1000
const bytes = (n: number) => new Uint8Array(n)
const ecnOf = (s: Sent) => s.tos & 3
const ecnFlags = (s: Sent | undefined) => s!.flags & (ECE | CWR)

/** A host that has sent its SYN. */
function opening(ecn: number) {
  const host = new Host()
  const tcb = host.tcp.open(HERE, 0, THERE, 80, new Outbox(), new Inbox(), { ecn }, host.now)
  host.turn()
  return { host, tcb, syn: host.take()[0] }
}

for (const [ecn, want] of [
  [0, 0],
  [1, ECE | CWR],
  [2, 0],
] as const)
  t.test(`SYN, tcp_ecn ${ecn}`, async t => {
    const { host, syn } = opening(ecn)
    t.equal(ecnFlags(syn), want)
    t.equal(ecnOf(syn), 0, 'never ECT')
    host.wait(1100)
    t.equal(ecnFlags(host.take().at(-1)), 0, 'sent again without (section 6.1.1.1)')
  })

for (const [name, ecn, flags, agreed] of [
  ['ECE', 1, ECE, true],
  ['nothing', 1, 0, false],
  ['ECE and CWR, as a host that only copies bits', 1, ECE | CWR, false],
  ['CWR', 1, CWR, false],
  ['ECE that nobody asked for', 2, ECE, false],
] as const)
  t.test(`SYN-SENT, a SYN-ACK with ${name}`, async t => {
    const { host, tcb, syn } = opening(ecn)
    host.arrive({
      srcPort: 80,
      dstPort: syn.srcPort,
      flags: SYN | ACK | flags,
      seq: 5000,
      ack: syn.seq + 1,
      mss: MSS,
    })
    host.turn()
    t.equal(host.tcp.tcb(tcb).ecn, agreed ? E_SENDS | E_ECHOES : 0)
  })

t.test('SYN-SENT, a SYN-ACK with ECE after the SYN was sent again', async t => {
  const { host, tcb, syn } = opening(1)
  host.wait(1100)
  host.arrive({
    srcPort: 80,
    dstPort: syn.srcPort,
    flags: SYN | ACK | ECE,
    seq: 5000,
    ack: syn.seq + 1,
  })
  t.equal(host.tcp.tcb(tcb).ecn, E_SENDS | E_ECHOES, 'the first one had arrived')
})

const listening = (ecn: number, f: Fields) => {
  const host = new Host()
  host.tcp.listen(HERE, 80, false, 1, { ecn })
  host.arrive({ srcPort: 4000, dstPort: 80, flags: SYN, seq: 100, mss: MSS, ...f })
  host.turn()
  return { host, synAck: host.take()[0] }
}

for (const [name, ecn, f, want] of [
  ['asks', 2, { flags: SYN | ECE | CWR }, ECE],
  ['asks, tcp_ecn 1', 1, { flags: SYN | ECE | CWR }, ECE],
  ['asks, tcp_ecn 0', 0, { flags: SYN | ECE | CWR }, 0],
  ['does not ask', 1, { flags: SYN }, 0],
  ['ECE only', 2, { flags: SYN | ECE }, 0],
  ['CWR only', 2, { flags: SYN | CWR }, 0],
  ['asks, and is ECT itself', 2, { flags: SYN | ECE | CWR, tos: 2 }, 0],
] as const)
  t.test(`LISTEN, a SYN that ${name}`, async t => {
    const { synAck } = listening(ecn, f)
    t.equal(ecnFlags(synAck), want)
    t.equal(ecnOf(synAck), 0, 'never ECT')
  })

t.test(
  'SYN-RECEIVED, the SYN-ACK is sent again: without ECE, and then we do not send ECT',
  async t => {
    const { host, synAck } = listening(2, { flags: SYN | ECE | CWR })
    host.wait(1100)
    t.equal(ecnFlags(host.take().at(-1)), 0)
    host.arrive({ srcPort: 4000, dstPort: 80, flags: ACK, seq: 101, ack: synAck.seq + 1 })
    host.turn()
    const { tcb, out } = host.user.accepted[0]
    out.write('x')
    host.tcp.send(tcb, host.now)
    host.turn()
    t.equal(ecnOf(host.take().at(-1)!), 0)
    host.arrive({
      srcPort: 4000,
      dstPort: 80,
      seq: 101,
      ack: synAck.seq + 1,
      flags: ACK,
      text: 'x',
      tos: 3,
    })
    host.turn()
    t.equal(
      ecnFlags(host.take().at(-1)),
      ECE,
      'a peer that had the first one is answered all the same',
    )
  },
)

/** An established connection that agreed to ECN. */
function agreed(): Peer {
  const { host, tcb, syn } = opening(1)
  const box = host.tcp.tcb(tcb)
  const peer = new Peer(host, {
    tcb,
    out: box.send as Outbox,
    in: box.receive as Inbox,
    localPort: syn.srcPort,
    port: 80,
    iss: syn.seq,
    irs: 5000,
    ts: false,
  })
  peer.says({ flags: SYN | ACK | ECE, seq: 0, mss: MSS, sackOk: true })
  return peer
}

t.test('ECT(0): new text only', async t => {
  const p = agreed()
  const sent = p.write(bytes(3 * MSS))
  t.same(sent.map(ecnOf), [2, 2, 2])
  const again = p.wait(1100)
  t.ok(again.length > 0)
  t.same([...new Set(again.map(ecnOf))], [0], 'not what is sent again')
  p.says({ ack: 1 + 3 * MSS })
  t.same(p.says({ text: 'abc', ack: 1 + 3 * MSS }).map(ecnOf), [0], 'not an acknowledgment')
  p.host.tcp.close(p.tcb, p.host.now)
  const fin = p.turn()
  t.equal(fin[0].flags & FIN, FIN)
  t.same(fin.map(ecnOf), [0], 'not a FIN alone')
})

t.test('ECT(0): not a probe of a closed window, not a RST', async t => {
  const p = agreed()
  p.says({ wnd: 0 })
  p.write('x')
  const probes = p.wait(1000)
  t.ok(probes.length > 0)
  t.ok(probes.every(s => ecnOf(s) === 0))
  p.host.tcp.abort(p.tcb, p.host.now)
  const rst = p.turn().at(-1)!
  t.equal(rst.flags & (RST | ECE | CWR), RST)
  t.equal(ecnOf(rst), 0)
})

t.test('without agreement nothing is ECT, CE says nothing, ECE neither', async t => {
  const p = connected(new Host(), { mss: MSS })
  t.same(p.write(bytes(MSS)).map(ecnOf), [0])
  p.says({ ack: 1 + MSS, text: 'x', tos: 3 })
  const { snd, ecn } = p.host.tcp.tcb(p.tcb)
  t.equal(ecn, 0)
  const { cwnd } = snd
  p.write(bytes(MSS))
  p.says({ seq: 2, ack: 1 + 2 * MSS, flags: ACK | ECE })
  t.ok(snd.cwnd >= cwnd)
})

t.test('receiver: CE, then ECE with everything until CWR', async t => {
  const p = agreed()
  t.same(p.says({ text: 'a', tos: 2 }).map(ecnFlags), [0], 'ECT is not CE')
  const first = p.says({ seq: 2, text: 'b', tos: 3 })
  t.same(first.map(ecnFlags), [ECE], 'at once')
  t.same(p.says({ seq: 3, text: 'c', tos: 2 }).map(ecnFlags), [ECE])
  t.same(p.write('answer').map(ecnFlags), [ECE], 'also with text')
  t.same(p.says({ seq: 4, ack: 7, text: 'd', tos: 2, flags: ACK | CWR }).map(ecnFlags), [0])
  const both = p.says({ seq: 5, ack: 7, text: 'e', tos: 3, flags: ACK | CWR })
  t.same(both.map(ecnFlags), [ECE], 'marked again, and CWR for the time before')
})

t.test('receiver: CE on what is not acceptable', async t => {
  const p = agreed()
  p.says({ seq: 500_000, text: 'b', tos: 3 })
  t.same(p.says({ text: 'c', tos: 2 }).map(ecnFlags), [0])
})

t.test('sender: ECE reduces cwnd once for each window, CWR on the next new segment', async t => {
  const p = agreed()
  const { snd } = p.host.tcp.tcb(p.tcb)
  p.out.write(bytes(1000 * MSS))
  p.host.tcp.send(p.tcb, p.host.now)
  p.turn()
  p.says({ ack: 1 + 10 * MSS })
  t.equal(snd.max - snd.iss - 1, 30 * MSS)
  p.says({ ack: 1 + 12 * MSS, flags: ACK | ECE })
  t.equal(snd.cwnd, 14 * MSS, '0.7 of the 20 on their way')
  t.equal(snd.ssthresh, 14 * MSS)
  const sent: Sent[] = []
  for (let n = 13; n <= 30; n++) {
    sent.push(...p.says({ ack: 1 + n * MSS, flags: ACK | ECE }))
    t.equal(snd.cwnd, 14 * MSS, `${n}: not again, and no growth`)
  }
  t.equal(ecnFlags(sent[0]), CWR)
  t.equal(sent[0].seq, 1 + 30 * MSS)
  t.equal(sent[0].text.length, MSS, 'alone, not in something that is cut up')
  t.ok(
    sent.slice(1).every(s => ecnFlags(s) === 0),
    'once',
  )
  p.says({ ack: 1 + 31 * MSS, flags: ACK | ECE })
  t.ok(snd.cwnd < 14 * MSS, 'ECE behind CWR is new congestion')
})

t.test('sender: a loss in a window that an ECE was for does not reduce again', async t => {
  const p = agreed()
  const { snd } = p.host.tcp.tcb(p.tcb)
  p.out.write(bytes(1000 * MSS))
  p.host.tcp.send(p.tcb, p.host.now)
  p.turn()
  p.says({ ack: 1 + 10 * MSS })
  p.says({ ack: 1 + 12 * MSS, flags: ACK | ECE })
  const { ssthresh } = snd
  for (let i = 1; i < 5; i++)
    p.says({ ack: 1 + 12 * MSS, sack: [[1 + 13 * MSS, 1 + (13 + i) * MSS]], flags: ACK | ECE })
  t.equal(p.host.tcp.counters.fastRecoveries, 1)
  t.equal(snd.ssthresh, ssthresh)
})

t.test('sender: CWR follows a loss, too', async t => {
  const p = agreed()
  p.out.write(bytes(1000 * MSS))
  p.host.tcp.send(p.tcb, p.host.now)
  p.turn()
  const sent: Sent[] = []
  for (let i = 1; i < 10; i++) sent.push(...p.says({ sack: [[1 + MSS, 1 + (1 + i) * MSS]] }))
  sent.push(...p.says({ ack: 1 + 10 * MSS }))
  const again = sent.findIndex(s => s.seq <= 10 * MSS)
  const behind = sent.slice(again).filter(s => s.seq > 10 * MSS)
  t.same(
    sent.filter(s => ecnFlags(s) === CWR),
    [behind[0]],
  )
})

t.test('a router that marks instead of losing: nothing is lost, the link is full', async t => {
  const rate = 1e8
  const pair = new Pair(
    { seed: 5, delay: 10, rate, queue: 4_000_000, mark: 300_000 },
    { checksums: false, maxDatagram: 65_535, tuning: { ecn: 1 } },
  )
  const flow = new Flow(pair)
  flow.during(3000)
  const got = flow.during(5000)
  t.ok(pair.there.marked > 0)
  t.equal(pair.there.lost, 0)
  t.equal(pair.a.tcp.counters.retransmitted, 0)
  const most = (rate / 8) * 5 * (1448 / (1448 + 32 + WIRE_OVERHEAD))
  t.ok(got > 0.95 * most, `${((100 * got) / most).toFixed(1)} %`)
  const info = new Uint8Array(248)
  pair.a.tcp.info(flow.tcb, false, info, pair.clock.now)
  const view = new DataView(info.buffer)
  t.equal(info[5] & 8, 8, 'TCPI_OPT_ECN')
  t.ok(view.getUint32(196, true) > 0, 'tcpi_delivered_ce')
  pair.b.tcp.info(0, false, info, pair.clock.now)
  t.equal(info[5] & 24, 24, 'the receiver has seen ECT')
})

for (const [name, address, settings, want] of [
  ['IPv4', HERE, { tos: 0x10, ttl: 7, trafficClass: 0x20, hops: 9 }, [0x10, 7]],
  ['IPv4, the defaults', HERE, {}, [0, 64]],
] as const)
  t.test(`tos and ttl of what is sent: ${name}`, async t => {
    const host = new Host({ address })
    const p = connected(host, { settings: { ...settings, noDelay: 1 } })
    const sent = p.write('x')
    t.same([sent[0].tos, sent[0].ttl], want)
    const { tcb } = p
    host.tcp.setOption(tcb, 'tos', 0x48, host.now)
    host.tcp.setOption(tcb, 'ttl', 3, host.now)
    t.same([p.write('y')[0]].map(s => [s.tos, s.ttl])[0], [0x48, 3])
  })

t.test('traffic class and hop limit of what is sent: IPv6', async t => {
  const [here, there] = [new Address(0xfd000000, 0, 0, 1), new Address(0xfd000000, 0, 0, 2)]
  const host = new Host({ address: here })
  const settings = { tos: 0x10, ttl: 7, trafficClass: 0x20, hops: 9 }
  host.tcp.open(here, 0, there, 80, new Outbox(), new Inbox(), settings, host.now)
  host.turn()
  t.same(
    host.take().map(s => [s.tos, s.ttl]),
    [[0x20, 9]],
  )
})
