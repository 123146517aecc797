import t from 'tap'
import { formatAddress } from '../../../src/wire/address-text.ts'
import type { GroupFilter } from '../../../src/stack/net/groups.ts'
import { Address } from '../../../src/wire/address.ts'
import { MLDV2_REPORT, MLD_QUERY, MLD_REPORT, sumIcmpv6 } from '../../../src/wire/icmpv6.ts'
import { Mac } from '../../../src/wire/mac.ts'
import {
  ROUTER_ALERT_LEN,
  emitMldQuery,
  emitMldV1,
  emitRouterAlert,
  hasRouterAlert,
  parseMldReport,
} from '../../../src/wire/mldv2.ts'
import { addr, arrive } from '../../helpers/net.ts'
import { type Ipv6Fields, host6, ipv6Frame, linkLocalOf, messageIn } from '../../helpers/net6.ts'

const GROUP = 'ff05::1234'
const S1 = addr('2001:db8::51')
const S2 = addr('2001:db8::52')
const S3 = addr('2001:db8::53')
const NAMES = ['', 'IN', 'EX', 'TO_IN', 'TO_EX', 'ALLOW', 'BLOCK']
const QUERIER = linkLocalOf(9)

type Host = ReturnType<typeof host6>

/** `TO_EX ff05::1 {…51}` for each record sent; version 1: `report ff05::1`. */
function told(host: Host): string[] {
  return host.sink.take().flatMap(frame => {
    const { type, bytes, at, length } = messageIn(frame)
    if (type === MLDV2_REPORT) {
      return parseMldReport(bytes, at, length)!.map(
        record =>
          `${NAMES[record.type]} ${formatAddress(record.group)} {${record.sources.map(s => (s.d & 255).toString(16)).join()}}`,
      )
    }
    const group = () => formatAddress(Address.read(bytes, at + 8, 16))
    return type === MLD_REPORT ? [`report ${group()}`] : type === 132 ? [`done ${group()}`] : []
  })
}

/** A message behind a router alert, from another station's link-local address. */
function mldFrame(
  emit: (bytes: Uint8Array, at: number) => number,
  fields: Ipv6Fields & { alert?: boolean } = {},
) {
  const { alert = true, ...rest } = fields
  const space = new Uint8Array(3000)
  const ahead = alert ? ROUTER_ALERT_LEN : 0
  if (alert) emitRouterAlert(space, 0)
  const length = emit(space, ahead)
  const frame = ipv6Frame(space.slice(0, ahead + length), {
    src: QUERIER,
    dst: 'ff02::1',
    hopLimit: 1,
    next: alert ? 0 : 58,
    ...rest,
  })
  sumIcmpv6(frame, 14, 54 + ahead, length)
  return frame
}

const query = (delay: number, group = '::', sources: Address[] = [], fields = {}) =>
  mldFrame((b, at) => emitMldQuery(b, at, delay, addr(group), sources, 2, 125), fields)

const query1 = (delay: number, group = '::') =>
  mldFrame((b, at) => emitMldV1(b, at, MLD_QUERY, delay, addr(group)))

/** When runTo() ended last, for each host. */
const clock = new WeakMap<Host['ipv6'], number>()

/** Runs all that is due until `end`. */
function runTo({ ipv6 }: Host, end: number): void {
  const start = clock.get(ipv6) ?? 2000
  for (let now = start; now <= end; now = Math.max(start, ipv6.next)) ipv6.run(now)
  ipv6.run(end)
  clock.set(ipv6, end)
}

const wish = (fields: Partial<GroupFilter> = {}): GroupFilter => ({
  group: addr(GROUP),
  mode: 'EXCLUDE',
  sources: [],
  ...fields,
})

/** A host that is a member of GROUP, which everybody knows; 5 s old. */
function member(filter = wish()) {
  const host = host6(1)
  host.ipv6.groups.add(filter)
  runTo(host, 5000)
  host.sink.take()
  return { ...host, filter }
}

t.test(
  'a new link hears of all groups but all nodes, twice in a second, in one report',
  async t => {
    const host = host6(1, { checks: true })
    host.ipv6.groups.add(wish())
    host.ipv6.groups.add(wish({ group: addr('ff01::5') }))
    host.ipv6.run(0)
    const reports = host.sink.take().filter(frame => messageIn(frame).type === MLDV2_REPORT)
    t.equal(reports.length, 1)
    const { bytes } = reports[0]
    t.equal(formatAddress(Address.read(bytes, 22, 16)), '::', 'our address may be another’s yet')
    t.equal(formatAddress(Address.read(bytes, 38, 16)), 'ff02::16')
    t.same(Mac.read(bytes, 0), new Mac(0x3333, 0x16))
    t.equal(bytes[21], 1, 'hop limit')
    t.ok(hasRouterAlert(bytes, 14))
    host.sink.frames = reports
    const want = ['TO_EX ff02::1:ff00:1 {}', `TO_EX ${GROUP} {}`]
    t.same(new Set(told(host)), new Set(want))
    runTo(host, 999)
    t.same(new Set(told(host)), new Set(want))
    runTo(host, 60_000)
    t.same(told(host), [])
    t.equal(host.ipv6.mld.next, Infinity)
  },
)

t.test('the source is the link-local address once it is ours', async t => {
  const host = host6(1)
  host.ipv6.groups.add(wish())
  host.ipv6.run(3000)
  t.equal(formatAddress(Address.read(host.sink.take()[0].bytes, 22, 16)), linkLocalOf(1))
})

for (const [what, before, after, want] of [
  ['all to but one', {}, { sources: [S1] }, [`BLOCK ${GROUP} {51}`]],
  ['but one to all', { sources: [S1] }, { sources: [] }, [`ALLOW ${GROUP} {51}`]],
  [
    'but one to but another',
    { sources: [S1] },
    { sources: [S2] },
    [`ALLOW ${GROUP} {51}`, `BLOCK ${GROUP} {52}`],
  ],
  [
    'one to two',
    { mode: 'INCLUDE', sources: [S1] },
    { mode: 'INCLUDE', sources: [S1, S2] },
    [`ALLOW ${GROUP} {52}`],
  ],
  [
    'two to one',
    { mode: 'INCLUDE', sources: [S1, S2] },
    { mode: 'INCLUDE', sources: [S2] },
    [`BLOCK ${GROUP} {51}`],
  ],
  [
    'one to all',
    { mode: 'INCLUDE', sources: [S1] },
    { mode: 'EXCLUDE', sources: [] },
    [`TO_EX ${GROUP} {}`],
  ],
  ['all to one', {}, { mode: 'INCLUDE', sources: [S1] }, [`TO_IN ${GROUP} {51}`]],
] as readonly (readonly [string, Partial<GroupFilter>, Partial<GroupFilter>, string[]])[])
  t.test(`a filter changes from ${what}: it is told, and again within a second`, async t => {
    const host = member(wish(before))
    Object.assign(host.filter, after)
    host.ipv6.groups.changed(host.filter)
    host.ipv6.run(6000)
    t.same(told(host), want)
    runTo(host, 7000)
    t.same(told(host), want)
    runTo(host, 70_000)
    t.same(told(host), [])
  })

t.test('sources change, then the mode: only the mode is still told', async t => {
  const host = member()
  host.filter.sources = [S1]
  host.ipv6.groups.changed(host.filter)
  host.filter.mode = 'INCLUDE'
  host.ipv6.groups.changed(host.filter)
  runTo(host, 70_000)
  t.same(told(host), [`TO_IN ${GROUP} {51}`, `TO_IN ${GROUP} {51}`])
})

t.test('leave is told as a filter that includes nothing, twice', async t => {
  const host = member()
  host.ipv6.groups.remove(host.filter)
  runTo(host, 70_000)
  t.same(told(host), [`TO_IN ${GROUP} {}`, `TO_IN ${GROUP} {}`])
})

t.test('join, leave and join again before the second report: what is so then is told', async t => {
  const host = host6(1)
  const filter = wish()
  host.ipv6.groups.add(filter)
  host.ipv6.groups.remove(filter)
  host.ipv6.run(3000)
  t.same(told(host), [`TO_IN ${GROUP} {}`])
  host.ipv6.groups.add(filter)
  runTo(host, 9000)
  t.same(told(host), [`TO_EX ${GROUP} {}`, `TO_EX ${GROUP} {}`])
})

for (const [what, frame, least, most, want] of [
  ['for all groups', query(10_000), 6000, 16_000, ['EX ff02::1:ff00:1 {}', `EX ${GROUP} {51}`]],
  ['for our group', query(1000, GROUP), 6000, 7000, [`EX ${GROUP} {51}`]],
  ['for sources', query(1000, GROUP, [S1, S2]), 6000, 7000, [`IN ${GROUP} {52}`]],
  ['for sources that we exclude', query(1000, GROUP, [S1]), 6000, 7000, []],
  ['for another group', query(1000, 'ff05::9'), 6000, 7000, []],
  ['for all nodes', query(1000, 'ff02::1'), 6000, 7000, []],
] as const)
  t.test(`a query ${what} is answered within its time`, async t => {
    const host = member(wish({ sources: [S1] }))
    arrive(host.nic, frame, 6000)
    if (want.length > 0) {
      const { next } = host.ipv6.mld
      t.ok(next >= least && next < most, `${next}`)
    }
    runTo(host, most)
    t.same(told(host), want)
    runTo(host, 70_000)
    t.same(told(host), [])
  })

t.test('answers are spread over the time that the query gives', async t => {
  const due = Array.from({ length: 40 }, (_, i) => {
    const host = host6(i + 1)
    host.ipv6.groups.add(wish())
    runTo(host, 5000)
    arrive(host.nic, query(10_000), 6000)
    return host.ipv6.mld.next - 6000
  })
  t.ok(
    Math.min(...due) < 2000 && Math.max(...due) > 8000,
    `${Math.min(...due)} ${Math.max(...due)}`,
  )
})

t.test('queries for sources of one group are answered together', async t => {
  const host = member(wish({ mode: 'INCLUDE', sources: [S1, S2, S3] }))
  arrive(host.nic, query(1000, GROUP, [S1]), 6000)
  arrive(host.nic, query(1000, GROUP, [S2]), 6000)
  runTo(host, 7000)
  t.same(told(host), [`IN ${GROUP} {51,52}`])
  arrive(host.nic, query(1000, GROUP, [S1]), 8000)
  arrive(host.nic, query(1000, GROUP), 8000)
  runTo(host, 9000)
  t.same(told(host), [`IN ${GROUP} {51,52,53}`])
})

for (const [what, frame] of [
  ['from beyond a router', query(1000, '::', [], { hopLimit: 2 })],
  ['from a global address', query(1000, '::', [], { src: '2001:db8::9' })],
  ['without router alert', query(1000, '::', [], { alert: false })],
  ['of 25 bytes', mldFrame((b, at) => emitMldV1(b, at, MLD_QUERY, 0, addr('::')) + 1)],
  [
    'with more sources than bytes',
    mldFrame((b, at) => emitMldQuery(b, at, 1, addr(GROUP), [S1], 2, 125) - 16),
  ],
] as const)
  t.test(`a query ${what} is dropped`, async t => {
    const host = member()
    arrive(host.nic, frame, 6000)
    runTo(host, 20_000)
    t.same(told(host), [])
    t.equal(host.ipv6.counters.mldInvalid, 1)
  })

t.test('100,000 queries that want their answer at once get ten a second', async t => {
  const host = member()
  for (let i = 0; i < 100_000; i++) {
    const now = 6000 + i / 100
    arrive(host.nic, query(0, i % 2 ? GROUP : '::'), now)
    if (host.ipv6.next <= now) host.ipv6.run(now)
  }
  const { length } = host.sink.take()
  t.ok(length >= 5 && length <= 11, `${length}`)
})

t.test('10,000 groups are told in reports that fit the link, as it has room', async t => {
  const host = host6(1)
  host.sink.room = 20
  const more = 10_000 - host.ipv6.groups.size
  for (let i = 0; i < more; i++)
    host.ipv6.groups.add(wish({ group: new Address(0xff050000, 0, 1, i) }))
  const heard = new Set<string>()
  for (let now = 3000; now < 6000; now += 10) {
    host.ipv6.run(now)
    t.ok(host.sink.frames.every(({ bytes }) => bytes.length <= 1514))
    for (const record of told(host)) heard.add(record)
  }
  t.ok(heard.size >= 9990, `${heard.size}`)
})

t.test('joining and leaving 50,000 groups keeps 10,000 changes at most', async t => {
  const host = host6(1)
  for (let i = 0; i < 50_000; i++) {
    const filter = wish({ group: new Address(0xff050000, 0, 2, i) })
    host.ipv6.groups.add(filter)
    host.ipv6.groups.remove(filter)
  }
  host.ipv6.run(3000)
  const records = told(host)
  t.equal(records.length, 10_000)
  t.equal(records.at(-1), 'TO_IN ff05::2:0:c34f {}')
})

// Version 1

t.test('a query of version 1: reports of version 1, one for each group, to the group', async t => {
  const host = member()
  arrive(host.nic, query1(1000), 6000)
  runTo(host, 7000)
  const frames = host.sink.take()
  const dst = frames.map(({ bytes }) => formatAddress(Address.read(bytes, 38, 16)))
  t.same(new Set(dst), new Set([GROUP, 'ff02::1:ff00:1']))
  t.ok(frames.every(({ bytes }) => hasRouterAlert(bytes, 14) && bytes[21] === 1))
  host.sink.frames = frames
  t.same(new Set(told(host)), new Set([`report ${GROUP}`, 'report ff02::1:ff00:1']))
})

t.test('version 1: what another reports we do not', async t => {
  const host = member()
  arrive(host.nic, query1(1000), 6000)
  const report = (b: Uint8Array, at: number) => emitMldV1(b, at, MLD_REPORT, 0, addr(GROUP))
  arrive(host.nic, mldFrame(report, { dst: GROUP }), 6000)
  runTo(host, 7000)
  t.same(told(host), ['report ff02::1:ff00:1'])
})

t.test(
  'version 1: join is a report, leave is told to all routers; after 260 s it is version 2 again',
  async t => {
    const host = host6(1)
    runTo(host, 5000)
    arrive(host.nic, query1(0), 6000)
    runTo(host, 6500)
    host.sink.take()
    const filter = wish()
    host.ipv6.groups.add(filter)
    runTo(host, 17_000)
    t.same(told(host), [`report ${GROUP}`, `report ${GROUP}`])
    host.ipv6.groups.remove(filter)
    host.ipv6.run(17_500)
    t.equal(formatAddress(Address.read(host.sink.frames[0].bytes, 38, 16)), 'ff02::2')
    runTo(host, 30_000)
    t.same(told(host), [`done ${GROUP}`], 'RFC 2710 section 4: one')
    runTo(host, 260_000)
    host.ipv6.groups.add(filter)
    runTo(host, 262_000)
    t.match(told(host)[0], 'TO_EX')
  },
)

t.test('version 1 is thought to be there for twice the interval that a querier said', async t => {
  const host = member()
  arrive(
    host.nic,
    mldFrame((b, at) => emitMldQuery(b, at, 0, addr('::'), [], 2, 10)),
    6000,
  )
  runTo(host, 6900)
  arrive(host.nic, query1(0), 7000)
  runTo(host, 7500)
  host.sink.take()
  const before = wish({ group: addr('ff05::7') })
  runTo(host, 26_990)
  host.ipv6.groups.add(before)
  host.ipv6.run(26_990)
  t.same(told(host), ['report ff05::7'])
  const after = wish({ group: addr('ff05::8') })
  runTo(host, 27_000)
  host.ipv6.groups.add(after)
  host.ipv6.run(27_000)
  t.same(told(host), ['TO_EX ff05::8 {}'])
})

t.test('version 1: every answer comes within the time of the query', async t => {
  for (let i = 10; i < 50; i++) {
    const host = host6(i)
    host.ipv6.groups.add(wish())
    runTo(host, 5000)
    host.sink.take()
    arrive(host.nic, query1(1000), 6000)
    runTo(host, 7000)
    t.equal(told(host).length, 2)
    runTo(host, 9000)
    t.same(told(host), [])
  }
})

t.test(
  'only what somebody wants is heard: the nic leaves a group with the last who wants it',
  async t => {
    const host = member()
    const udp = () => ipv6Frame(new Uint8Array(8), { dst: GROUP })
    arrive(host.nic, udp(), 6000)
    t.equal(host.protocol.arrived.length, 1)
    host.filter.sources = [addr('2001:db8::2')]
    host.ipv6.groups.changed(host.filter)
    arrive(host.nic, udp(), 6000)
    t.equal(host.protocol.arrived.length, 1, 'its source is excluded')
    host.ipv6.groups.remove(host.filter)
    arrive(host.nic, udp(), 6000)
    t.equal(host.nic.counters.multicastNotJoined, 1)
  },
)
