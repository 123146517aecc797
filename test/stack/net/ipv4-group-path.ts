import t from 'tap'
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH } from '../../../src/base/errno.ts'
import { u16 } from '../../../src/base/bytes.ts'
import { Ipv4GroupPath, groupMacV4 } from '../../../src/stack/net/ipv4-group-path.ts'
import type { LoopbackPath } from '../../../src/stack/net/loopback-path.ts'
import { PMTUDISC_DO, PMTUDISC_WANT, TO_LINK, TO_SELF } from '../../../src/stack/net/path.ts'
import { finish, pseudoSumV4, sumBytes } from '../../../src/wire/checksum.ts'
import { Ipv4Packet } from '../../../src/wire/ipv4.ts'
import { formatMac } from '../../../src/wire/mac.ts'
import { type Frame, Recorder, addr, host, ip } from '../../helpers/net.ts'

const G = '239.1.2.3'

/** Host 1, a path to a group or to everybody, and what comes back. */
function way(dst = G, addresses?: string[]) {
  const h = host(1, addresses)
  const back = Object.assign(new Recorder(), { takesGroups: true })
  h.ipv4.protocols.set(17, back)
  const path = h.ipv4.path(addr('0.0.0.0'), addr(dst), 17) as Ipv4GroupPath
  const send = (length: number) => {
    const at = path.open(length)
    if (at < 0) return false
    path.bytes.fill(7, at, at + length)
    path.close(length, 0, 6)
    for (let i = h.loopback.peek(); i >= 0; i = h.loopback.peek()) {
      h.ipv4.loops(h.loopback.bytes, i, h.loopback.length, false, 0)
      h.loopback.release()
    }
    return true
  }
  return { ...h, path, back, send }
}

const ipOf = (frame: Frame) => Ipv4Packet.parse(frame.bytes, 14, frame.bytes.length - 14)!
const join = ({ ipv4 }: ReturnType<typeof host>, group = G) =>
  ipv4.groups.add({ group: addr(group), mode: 'EXCLUDE', sources: [] })

// RFC 1112 section 6.4: 32 groups share a MAC.
for (const [group, mac] of [
  ['224.0.0.1', '01:00:5e:00:00:01'],
  ['239.255.255.255', '01:00:5e:7f:ff:ff'],
  ['239.128.2.3', '01:00:5e:00:02:03'],
  ['224.0.2.3', '01:00:5e:00:02:03'],
] as const)
  t.test(`groupMacV4(${group})`, async t => {
    t.equal(formatMac(groupMacV4(ip(group))), mac)
  })

for (const [dst, mac, source] of [
  [G, '01:00:5e:01:02:03', '10.0.0.1'],
  ['255.255.255.255', 'ff:ff:ff:ff:ff:ff', '10.0.0.1'],
  ['10.0.0.255', 'ff:ff:ff:ff:ff:ff', '10.0.0.1'],
  ['10.9.255.255', 'ff:ff:ff:ff:ff:ff', '10.9.0.1'],
] as const)
  t.test(`to ${dst}: at once, to a MAC that nobody is asked for`, async t => {
    const w = way(dst, ['10.0.0.1/24', '10.9.0.1/16'])
    t.ok(w.path instanceof Ipv4GroupPath && w.path.isGroup)
    t.equal(w.path.isBroadcast, dst !== G)
    t.ok(w.path.src.equals(addr(source)))
    w.send(100)
    const [frame, ...rest] = w.sink.take()
    t.same(rest, [])
    t.equal(Buffer.from(frame.bytes.subarray(0, 6)).toString('hex'), mac.replaceAll(':', ''))
    const sum = pseudoSumV4(ip(source), ip(dst), 17) + 100
    t.equal(finish(sumBytes(frame.bytes, 34, 100, sum)), 0, 'the checksum is right')
  })

for (const [name, joined, copies, link, self] of [
  ['joined', true, TO_LINK | TO_SELF, 1, 1],
  ['not joined', false, TO_LINK | TO_SELF, 1, 0],
  ['the link only', true, TO_LINK, 1, 0],
  ['ourselves only', true, TO_SELF, 0, 1],
  ['nobody', true, 0, 0, 0],
] as const)
  for (const length of [100, 4000])
    t.test(`copies, ${name}, ${length} bytes`, async t => {
      const w = way()
      if (joined) join(w)
      w.path.copies = copies
      w.send(length)
      const frames = w.sink.take().filter(f => ipOf(f).protocol === 17)
      t.equal(frames.length, link * Math.ceil(length / 1480))
      t.same(
        w.back.take().map(({ text, loopback }) => [text.length, loopback]),
        self === 1 ? [[length, true]] : [],
      )
    })

t.test('PMTUDISC_WANT: DF where it fits; PMTUDISC_DO: nothing larger', async t => {
  const w = way()
  w.path.discover = PMTUDISC_WANT
  w.send(1480)
  w.send(1481)
  t.same(
    w.sink.take().map(f => ipOf(f).df),
    [true, false, false],
  )
  w.path.discover = PMTUDISC_DO
  t.equal(w.path.maxDatagram, 1500)
  w.send(1481)
  t.same(w.sink.take(), [])
  t.equal(w.ipv4.counters.tooBig, 1)
})

t.test('no room on the link: -1, and nothing comes back either', async t => {
  const w = way()
  join(w)
  w.sink.room = 0
  t.notOk(w.send(100))
  t.same(w.back.take(), [])
  w.path.copies = TO_SELF
  t.ok(w.send(100), 'the link is not asked')
})

t.test('an address that was lost sends no more', async t => {
  const w = way()
  w.ipv4.addresses.remove(addr('10.0.0.1'))
  w.send(100)
  t.same(w.sink.take(), [])
  t.equal(w.ipv4.counters.noRoute, 1)
})

t.test('without an address: from 0.0.0.0', async t => {
  const w = way('255.255.255.255', [])
  w.send(100)
  const [frame] = w.sink.take()
  t.equal(ipOf(frame).src, 0)
  t.equal(u16(frame.bytes, 12), 0x800)
})

t.test(
  'from a loopback address to a group: stays here, whatever IP_MULTICAST_LOOP says',
  async t => {
    const h = host(1)
    const back = Object.assign(new Recorder(), { takesGroups: true })
    h.ipv4.protocols.set(17, back)
    join(h)
    const path = h.ipv4.path(addr('127.0.0.1'), addr(G), 17) as LoopbackPath
    t.ok(path.isGroup)
    path.copies = TO_LINK
    path.open(100)
    path.close(100)
    h.ipv4.loops(h.loopback.bytes, h.loopback.peek(), h.loopback.length, false, 0)
    t.same(
      back.take().map(({ text, loopback }) => [text.length, loopback]),
      [[100, true]],
    )
    t.same(h.sink.take(), [])
  },
)

for (const [src, dst, protocol, want] of [
  ['10.0.0.9', G, 17, -EADDRNOTAVAIL],
  ['127.0.0.1', '10.0.0.255', 17, -EINVAL],
  ['127.0.0.1', G, 6, -ENETUNREACH],
  ['10.0.0.1', G, 6, -ENETUNREACH],
  ['10.0.0.1', '255.255.255.255', 6, -ENETUNREACH],
] as const)
  t.test(`Ipv4.path(${src}, ${dst}) for protocol ${protocol}: ${want}`, async t => {
    t.equal(host(1).ipv4.path(addr(src), addr(dst), protocol), want)
  })
