import t from 'tap'
import { i32, u16, writeU16 } from '../../../src/base/bytes.ts'
import type { GroupFilter } from '../../../src/stack/net/groups.ts'
import { Address } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { checksum } from '../../../src/wire/checksum.ts'
import { ETHERTYPE_IPV4 } from '../../../src/wire/ethernet.ts'
import {
  type Frame,
  addr,
  arrive,
  ethernet,
  host,
  ip,
  ipv4Packet,
  macOf,
} from '../../helpers/net.ts'

const G = '239.1.2.3'
const TYPES = ['', 'IS_IN', 'IS_EX', 'TO_IN', 'TO_EX', 'ALLOW', 'BLOCK']

/** What an IGMP frame says, header and sums checked: `TO_EX 239.1.2.3(10.0.0.9)`. */
function read(frame: Frame): string {
  const b = frame.bytes
  const igmp = 14 + 24
  const head = `${b[14]}:${b[22]}:${i32(b, 34) >>> 0}`
  if (head !== `${0x46}:1:${0x94040000}`) throw new Error(`header ${head}`)
  if (checksum(b, 14, 24) !== 0 || checksum(b, igmp, b.length - igmp) !== 0) throw new Error('sum')
  const to = formatAddress(Address.v4(i32(b, 30)))
  const mac = Buffer.from(b.subarray(0, 6)).toString('hex')
  const low = (i32(b, 30) & 0x7fffff).toString(16).padStart(6, '0')
  if (mac !== `01005e${low}`) throw new Error(`mac ${mac}`)
  const group = (i: number) => formatAddress(Address.v4(i32(b, i)))
  if (b[igmp] !== 0x22) return `${b[igmp].toString(16)} ${group(igmp + 4)} to ${to}`
  if (to !== '224.0.0.22' || b[15] !== 0xc0) throw new Error(`to ${to}`)
  const records = []
  let i = igmp + 8
  for (let n = u16(b, igmp + 6); n > 0; n--) {
    const count = u16(b, i + 2)
    const sources = Array.from({ length: count }, (_, k) => group(i + 8 + 4 * k)).sort()
    records.push(`${TYPES[b[i]]} ${group(i + 4)}(${sources.join()})`)
    i += 8 + 4 * count
  }
  if (i !== b.length) throw new Error('length')
  return records.join(' ')
}

const isIgmp = (frame: Frame) => u16(frame.bytes, 12) === ETHERTYPE_IPV4 && frame.bytes[23] === 2

/** Host 1, and what it says until a time. */
function one(addresses?: string[]) {
  const it = host(1, addresses)
  let now = 10_000
  const said = () => it.sink.take().filter(isIgmp).map(read)
  return {
    ...it,
    said,
    get now() {
      return now
    },
    /** Lets `ms` pass. What is said meanwhile. */
    pass(ms: number): string[] {
      const end = now + ms
      for (;;) {
        it.ipv4.run(now)
        if (it.ipv4.next > end) break
        now = Math.max(now, it.ipv4.next)
      }
      now = end
      return said()
    },
    hear(bytes: number[], to = '224.0.0.1', ttl = 1) {
      const message = Uint8Array.from(bytes)
      writeU16(message, 2, 0)
      writeU16(message, 2, checksum(message, 0, message.length))
      const packet = ipv4Packet(message, { dst: to, protocol: 2 })
      packet[8] = ttl
      writeU16(packet, 10, 0)
      writeU16(packet, 10, checksum(packet, 0, 20))
      const group = ip(to)
      const mac = [0x01, 0x00, 0x5e, (group >> 16) & 0x7f, (group >> 8) & 255, group & 255]
      const frame = ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet)
      frame.set(mac)
      arrive(it.nic, frame, now)
    },
  }
}

const join = (group: string, mode: 'INCLUDE' | 'EXCLUDE' = 'EXCLUDE', ...sources: string[]) => {
  const filter: GroupFilter = { group: addr(group), mode, sources: sources.map(addr) }
  return filter
}
const octets = (text: string) => text.split('.').map(Number)
const V3 = (max: number, group = '0.0.0.0', ...sources: string[]) => [
  0x11,
  max,
  0,
  0,
  ...octets(group),
  2,
  125,
  0,
  sources.length,
  ...sources.flatMap(octets),
]
const V2 = (max: number, group = '0.0.0.0') => [0x11, max, 0, 0, ...octets(group)]

t.test('a join is told at once and once more, a leave too', async t => {
  const h = one()
  const filter = join(G)
  h.ipv4.groups.add(filter)
  t.same(h.pass(0), [`TO_EX ${G}()`])
  t.same(h.pass(1000), [`TO_EX ${G}()`], 'within a second')
  t.same(h.pass(100_000), [])
  h.ipv4.groups.remove(filter)
  t.same(h.pass(0), [`TO_IN ${G}()`])
  t.same(h.pass(1000), [`TO_IN ${G}()`])
  t.same(h.pass(100_000), [])
})

// RFC 3376 section 5.1, the table of differences.
for (const [name, before, after, want] of [
  [
    'INCLUDE, new sources',
    join(G, 'INCLUDE', '10.0.0.8'),
    ['INCLUDE', '10.0.0.8', '10.0.0.9'],
    `ALLOW ${G}(10.0.0.9)`,
  ],
  [
    'INCLUDE, fewer sources',
    join(G, 'INCLUDE', '10.0.0.8', '10.0.0.9'),
    ['INCLUDE', '10.0.0.9'],
    `BLOCK ${G}(10.0.0.8)`,
  ],
  [
    'INCLUDE, others',
    join(G, 'INCLUDE', '10.0.0.8'),
    ['INCLUDE', '10.0.0.9'],
    `ALLOW ${G}(10.0.0.9) BLOCK ${G}(10.0.0.8)`,
  ],
  ['EXCLUDE, new sources', join(G, 'EXCLUDE'), ['EXCLUDE', '10.0.0.9'], `BLOCK ${G}(10.0.0.9)`],
  ['EXCLUDE, fewer sources', join(G, 'EXCLUDE', '10.0.0.9'), ['EXCLUDE'], `ALLOW ${G}(10.0.0.9)`],
  ['to EXCLUDE', join(G, 'INCLUDE', '10.0.0.8'), ['EXCLUDE', '10.0.0.9'], `TO_EX ${G}(10.0.0.9)`],
  ['to INCLUDE', join(G, 'EXCLUDE'), ['INCLUDE', '10.0.0.9'], `TO_IN ${G}(10.0.0.9)`],
] as const)
  t.test(`a change: ${name}`, async t => {
    const h = one()
    h.ipv4.groups.add(before)
    h.pass(100_000)
    const [mode, ...sources] = after
    before.mode = mode
    before.sources = sources.map(addr)
    h.ipv4.groups.changed(before)
    t.same(h.pass(0), [want])
    t.same(h.pass(1000), [want])
    t.same(h.pass(10_000), [])
  })

t.test('the group of all hosts is not told of', async t => {
  const h = one()
  const filter = join('224.0.0.1')
  h.ipv4.groups.add(filter)
  h.ipv4.groups.remove(filter)
  t.same(h.pass(10_000), [])
})

t.test('a link that comes up hears of all groups', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.pass(10_000)
  h.nic.setSink(undefined)
  h.ipv4.groups.add(join('239.9.9.9'))
  t.same(h.pass(1000), [])
  h.nic.setSink(h.sink)
  t.same(h.pass(0), [`TO_EX ${G}() TO_EX 239.9.9.9()`])
})

t.test('a general query is answered once, within its time', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.ipv4.groups.add(join('232.0.0.1', 'INCLUDE', '10.0.0.9'))
  h.pass(10_000)
  h.hear(V3(100))
  h.hear(V3(100))
  t.same(h.said(), [], 'not at once')
  t.same(h.pass(10_000), [`IS_EX ${G}() IS_IN 232.0.0.1(10.0.0.9)`])
  t.same(h.pass(10_000), [])
})

for (const [name, to, query, want] of [
  ['of a group', G, V3(10, G), [`IS_EX ${G}(10.0.0.8)`]],
  ['of a group that nobody wants', '224.0.0.1', V3(10, '239.1.2.4'), []],
  ['of sources, some excluded', G, V3(10, G, '10.0.0.8', '10.0.0.9'), [`IS_IN ${G}(10.0.0.9)`]],
  ['of sources, all excluded', G, V3(10, G, '10.0.0.8'), []],
  [
    'of included sources',
    '232.0.0.1',
    V3(10, '232.0.0.1', '10.0.0.7', '10.0.0.6'),
    ['IS_IN 232.0.0.1(10.0.0.7)'],
  ],
] as const)
  t.test(`a query ${name}`, async t => {
    const h = one()
    h.ipv4.groups.add(join(G, 'EXCLUDE', '10.0.0.8'))
    h.ipv4.groups.add(join('232.0.0.1', 'INCLUDE', '10.0.0.7'))
    h.pass(10_000)
    h.hear([...query], to)
    t.same(h.pass(1000), want)
    t.same(h.pass(100_000), [])
  })

t.test('queries of sources add up; one of the group is for all', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.pass(10_000)
  h.hear(V3(50, G, '10.0.0.8'), G)
  h.hear(V3(50, G, '10.0.0.9'), G)
  t.same(h.pass(5000), [`IS_IN ${G}(10.0.0.8,10.0.0.9)`])
  h.hear(V3(50, G, '10.0.0.8'), G)
  h.hear(V3(50, G), G)
  t.same(h.pass(5000), [`IS_EX ${G}()`])
})

t.test('a flood of queries that want an answer at once: five answers a second at most', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.pass(10_000)
  let answers = 0
  for (let i = 0; i < 1000; i++) {
    h.hear(V3(0))
    answers += h.pass(1).length
  }
  t.ok(answers >= 1 && answers <= 40, `${answers}`)
})

t.test('10,000 groups: told in messages that fit the link', async t => {
  const h = one()
  for (let i = 0; i < 10_000; i++)
    h.ipv4.groups.add({ group: Address.v4(0xef000000 + i), mode: 'EXCLUDE', sources: [] })
  const said = h.pass(0)
  t.equal(said.length, 55)
  t.equal(said.join(' ').split(' ').length, 20_000)
  h.pass(1000)
  h.hear(V3(10))
  t.equal(h.pass(1000).length, 55)
})

t.test('more sources than fit: included ones in several records, excluded ones cut', async t => {
  const h = one()
  const many = Array.from({ length: 900 }, (_, i) => Address.v4(0x0a010000 + i))
  h.ipv4.groups.add({ group: addr(G), mode: 'INCLUDE', sources: many })
  t.same(
    h.pass(0).map(text => text.split(',').length),
    [365, 365, 170],
  )
  h.pass(10_000)
  h.ipv4.groups.add({ group: addr('239.9.9.9'), mode: 'EXCLUDE', sources: many })
  t.same(
    h.pass(0).map(text => text.split(',').length),
    [365],
  )
})

// ---- older queriers ----------------------------------------------------------------------------

t.test('a version 2 querier gets version 2 reports, to the group, and leaves', async t => {
  const h = one()
  const filter = join(G)
  h.ipv4.groups.add(filter)
  h.pass(10_000)
  h.hear(V2(100))
  t.same(h.pass(20_000), [`16 ${G} to ${G}`])
  const other = join('239.9.9.9')
  h.ipv4.groups.add(other)
  t.same(h.pass(0), ['16 239.9.9.9 to 239.9.9.9'])
  t.same(h.pass(10_000), ['16 239.9.9.9 to 239.9.9.9'], 'once more')
  h.ipv4.groups.remove(filter)
  t.same(h.pass(20_000), [`17 ${G} to 224.0.0.2`])
  h.hear(V2(50, '239.9.9.9'), '239.9.9.9')
  t.same(h.pass(8000), ['16 239.9.9.9 to 239.9.9.9'])
})

t.test('a version 1 querier gets version 1 reports and no leaves', async t => {
  const h = one()
  const filter = join(G)
  h.ipv4.groups.add(filter)
  h.pass(10_000)
  h.hear(V2(0))
  t.same(h.pass(20_000), [`12 ${G} to ${G}`])
  h.ipv4.groups.remove(filter)
  t.same(h.pass(20_000), [])
})

t.test('another host’s report is enough for an older querier', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.pass(10_000)
  h.hear(V2(100))
  h.hear([0x16, 0, 0, 0, ...octets(G)], G)
  t.same(h.pass(20_000), [])
  h.hear(V3(100))
  t.same(h.pass(20_000), [`16 ${G} to ${G}`], 'the next query is answered')
})

t.test('an older querier is forgotten after 2 · 125 s and its response time', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.pass(10_000)
  h.hear(V2(100))
  h.pass(257_000)
  h.hear(V3(10))
  t.same(h.pass(2900), [`16 ${G} to ${G}`])
  h.pass(200)
  h.hear(V3(10))
  t.same(h.pass(1200), [`IS_EX ${G}()`])
})

// ---- what is not believed ----------------------------------------------------------------------

for (const [name, bytes, ttl] of [
  ['from beyond a router', V3(10), 64],
  ['of 9 bytes', [...V2(10), 0], 1],
  ['of 11 bytes', V3(10).slice(0, 11), 1],
  ['with more sources than it has', [...V3(10, G).slice(0, 11), 9], 1],
  ['of 7 bytes', V2(10).slice(0, 7), 1],
] as const)
  t.test(`a query ${name} is dropped`, async t => {
    const h = one()
    h.ipv4.groups.add(join(G))
    h.pass(10_000)
    h.hear([...bytes], '224.0.0.1', ttl)
    t.same(h.pass(10_000), [])
    t.equal(h.ipv4.counters.igmpInvalid, 1)
  })

t.test('a wrong checksum, and an unknown type', async t => {
  const h = one()
  h.ipv4.groups.add(join(G))
  h.pass(10_000)
  const packet = ipv4Packet(Uint8Array.from(V3(10)), { dst: '224.0.0.1', protocol: 2 })
  const frame = ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet)
  frame.set([1, 0, 0x5e, 0, 0, 1])
  frame[22] = 1
  writeU16(frame, 24, 0)
  writeU16(frame, 24, checksum(frame, 14, 20))
  arrive(h.nic, frame, h.now)
  t.equal(h.ipv4.counters.igmpInvalid, 1)
  h.hear([0x99, 0, 0, 0, 0, 0, 0, 0])
  t.same(h.pass(10_000), [])
})

t.test(
  'the source is ours, or 0.0.0.0 while there is none; a querier may have none either',
  async t => {
    const source = (h: ReturnType<typeof one>) => {
      h.ipv4.groups.add(join(G))
      h.ipv4.run(h.now)
      return h.sink
        .take()
        .filter(isIgmp)
        .map(f => [...f.bytes.subarray(26, 30)].join('.'))
    }
    t.same(source(one()), ['10.0.0.1'])
    const h = one([])
    t.same(source(h), ['0.0.0.0'])
    h.pass(10_000)
    const message = Uint8Array.from(V3(10))
    writeU16(message, 2, checksum(message, 0, message.length))
    const packet = ipv4Packet(message, { src: '0.0.0.0', dst: '224.0.0.1', protocol: 2 })
    packet[8] = 1
    writeU16(packet, 10, 0)
    writeU16(packet, 10, checksum(packet, 0, 20))
    const frame = ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, packet)
    frame.set([1, 0, 0x5e, 0, 0, 1])
    arrive(h.nic, frame, h.now)
    t.same(h.pass(2000), [`IS_EX ${G}()`])
  },
)

t.test(
  'a full link: the report waits and is counted; once there is room it goes, and again',
  async t => {
    const h = one()
    h.sink.room = 0
    h.ipv4.groups.add(join(G))
    h.ipv4.run(h.now)
    t.equal(h.ipv4.counters.igmpNoRoom, 1)
    h.sink.room = Infinity
    t.same(h.pass(1000), [`TO_EX ${G}()`, `TO_EX ${G}()`])
  },
)
