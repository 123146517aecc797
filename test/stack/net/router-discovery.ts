import t from 'tap'
import type { NetCounters } from '../../../src/stack/net/counters.ts'
import { formatAddress, parsePrefix } from '../../../src/wire/address-text.ts'
import { ND_ROUTER_SOLICIT } from '../../../src/wire/icmpv6.ts'
import { Mac } from '../../../src/wire/mac.ts'
import {
  NA_OVERRIDE,
  NA_SOLICITED,
  ND_INFINITE,
  type PrefixInformation,
  type RouterAdvert,
  emitNeighborAdvert,
  emitRedirect,
  emitRouterAdvert,
  parseRouterSolicit,
} from '../../../src/wire/ndp.ts'
import { addr, arrive, macOf } from '../../helpers/net.ts'
import {
  type Ipv6Fields,
  host6,
  icmp6Frame,
  know,
  linkLocalOf,
  messageIn,
} from '../../helpers/net6.ts'

const OUT = '2001:db8:9::9'

/** A host that listens to routers, its first solicitation sent; 3 s old. */
function listening(options = {}) {
  const host = host6(1, options)
  const adverts: { advert: RouterAdvert; router: string; now: number }[] = []
  host.ipv6.routers.onAdvert = (advert, router, now) =>
    adverts.push({ advert, router: formatAddress(router), now })
  host.ipv6.routers.enable(true)
  host.ipv6.run(3000)
  host.sink.take()
  return { ...host, adverts, routers: host.ipv6.routers }
}

/** Station n, 9 unless given, says it. */
const advert = (said: Partial<RouterAdvert>, n = 9, fields: Ipv6Fields = {}) =>
  icmp6Frame((b, at) => emitRouterAdvert(b, at, { sourceMac: macOf(n), lifetime: 1800, ...said }), {
    src: linkLocalOf(n),
    dst: 'ff02::1',
    ...fields,
  })

const prefix = (text: string, fields: Partial<PrefixInformation> = {}): PrefixInformation => ({
  prefix: parsePrefix(text)!,
  onLink: true,
  autonomous: true,
  validLifetime: 7200,
  preferredLifetime: 3600,
  ...fields,
})

const hop = (host: ReturnType<typeof host6>, dst = OUT) => {
  const to = host.ipv6.hopFor(addr(dst))
  return to && formatAddress(to)
}

t.test(
  'solicitations: at once, then after 4 s, 8 s … up to an hour, a tenth more or less, for ever (RFC 7559)',
  async t => {
    const { ipv6, sink } = host6(1)
    ipv6.routers.enable(true)
    const times: number[] = []
    let now = 3000
    while (times.length < 14) {
      ipv6.run(now)
      for (const frame of sink.take()) {
        if (messageIn(frame).type !== ND_ROUTER_SOLICIT) continue
        times.push(now)
        t.same(Mac.read(frame.bytes, 0), new Mac(0x3333, 2))
        const { bytes, at, length } = messageIn(frame)
        t.match(parseRouterSolicit(bytes, at, length), { sourceMac: macOf(1) })
      }
      now = ipv6.next
    }
    const gaps = times.slice(1).map((time, i) => time - times[i])
    for (const [i, gap] of gaps.entries()) {
      const want = Math.min(4000 * 2 ** i, 3_600_000)
      t.ok(gap >= 0.9 * want && gap <= 1.1 * want, `${gap} for ${want}`)
    }
    t.equal(times[0], 3000)
  },
)

t.test('a solicitation from an optimistic address names no MAC (RFC 4429)', async t => {
  const { ipv6, sink } = host6(1, { checks: true })
  ipv6.routers.enable(true)
  ipv6.run(0)
  const solicits = sink
    .take()
    .map(messageIn)
    .filter(({ type }) => type === ND_ROUTER_SOLICIT)
  t.match(
    solicits.map(({ bytes, at, length }) => parseRouterSolicit(bytes, at, length)),
    [{ sourceMac: undefined }],
  )
})

t.test('an answer ends the solicitations; one of no default router does not', async t => {
  const { ipv6, nic, routers } = listening()
  t.ok(routers.next < 10_000)
  arrive(nic, advert({ lifetime: 0 }), 3001)
  t.ok(routers.next < 10_000)
  arrive(nic, advert({}), 3002)
  ipv6.run(100_000)
  t.equal(routers.next, 1_803_002, 'its lifetime')
})

t.test('without a link there are none; with the next link they begin anew', async t => {
  const { nic, routers, sink, ipv6 } = listening()
  nic.setSink(undefined)
  t.equal(routers.next, Infinity)
  nic.setSink(sink)
  ipv6.run(5000)
  t.equal(sink.take().filter(frame => messageIn(frame).type === ND_ROUTER_SOLICIT).length, 1)
})

t.test('an advertisement makes a default route and a neighbor, and is handed on', async t => {
  const host = listening()
  const said = { rdnss: [{ addresses: [addr('2001:db8::53')], lifetime: 600 }], managed: true }
  arrive(host.nic, advert(said), 4000)
  t.equal(hop(host), linkLocalOf(9))
  t.match(host.neighbors.find(addr(linkLocalOf(9))), {
    state: 'STALE',
    router: true,
    mac: macOf(9),
  })
  t.match(host.adverts, [{ advert: said, router: linkLocalOf(9), now: 4000 }])
})

t.test('the default route lasts as long as the router says', async t => {
  const host = listening()
  arrive(host.nic, advert({ lifetime: 10 }), 4000)
  host.ipv6.run(13_999)
  t.equal(hop(host), linkLocalOf(9))
  host.ipv6.run(14_000)
  t.equal(hop(host), undefined)
  t.equal(host.routers.routers.length, 0)
})

t.test('lifetime 0 ends it at once', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  arrive(host.nic, advert({ lifetime: 0 }), 5000)
  t.equal(hop(host), undefined)
})

for (const [what, frame, counter] of [
  ['from a global address', advert({}, 9, { src: '2001:db8::9' }), 'ndInvalid'],
  ['from nobody', advert({ sourceMac: undefined }, 9, { src: '::' }), 'ndInvalid'],
  ['from beyond a router', advert({}, 9, { hopLimit: 254 }), 'ndInvalid'],
  ['with a group MAC', advert({ sourceMac: new Mac(0x100, 1) }), 'ndInvalid'],
  ['from our own address', advert({}, 1), 'martianSource'],
] as readonly (readonly [string, Uint8Array, keyof NetCounters])[])
  t.test(`an advertisement ${what} is dropped`, async t => {
    const host = listening()
    arrive(host.nic, frame, 4000)
    t.equal(hop(host), undefined)
    t.equal(host.adverts.length, 0)
    t.equal(host.ipv6.counters[counter], 1)
  })

t.test('not enabled: advertisements are ignored', async t => {
  const host = host6(1)
  arrive(host.nic, advert({ prefixes: [prefix('2001:db8:5::/64')] }), 4000)
  t.equal(hop(host), undefined)
  t.equal(hop(host, '2001:db8:5::1'), undefined)
})

t.test('enable(false) forgets all', async t => {
  const host = listening()
  arrive(host.nic, advert({ mtu: 1300, prefixes: [prefix('2001:db8:5::/64')] }), 4000)
  host.routers.enable(false)
  t.same([hop(host), hop(host, '2001:db8:5::1'), host.ipv6.mtu], [undefined, undefined, 1500])
})

// Of several routers

for (const [what, said, want] of [
  ['the first of equals', [{}, {}], 8],
  ['high before medium', [{}, { preference: 'high' }], 9],
  ['medium before low', [{ preference: 'low' }, {}], 9],
] as const)
  t.test(`two routers, ${what}`, async t => {
    const host = listening()
    for (const [i, one] of said.entries()) arrive(host.nic, advert(one, 8 + i), 4000)
    t.equal(hop(host), linkLocalOf(want))
  })

t.test(
  'a router that does not answer gives way to one that does, until it is heard again',
  async t => {
    const host = listening()
    arrive(
      host.nic,
      advert(
        {
          routes: [{ prefix: parsePrefix('2001:db8:9::/48')!, preference: 'high', lifetime: 600 }],
        },
        8,
      ),
      4000,
    )
    arrive(host.nic, advert({}, 9), 4000)
    t.equal(hop(host), linkLocalOf(8))
    const path = host.ipv6.path(addr('2001:db8::1'), addr(OUT), 17)
    if (typeof path === 'number') return t.fail(`${path}`)
    for (let now = 4000; now <= 13_000; now += 500) {
      path.open(8)
      path.close(8, 0, -1)
      host.ipv6.run(now)
    }
    t.equal(host.neighbors.find(addr(linkLocalOf(8)))?.state, 'FAILED')
    t.equal(hop(host), linkLocalOf(9), 'also for its own, more specific route (RFC 4191)')
    host.sink.take()
    path.open(8)
    path.close(8, 0, -1)
    t.same(Mac.read(host.sink.take()[0].bytes, 0), macOf(9), 'the path has found the other')
    arrive(host.nic, advert({}, 8), 14_000)
    t.equal(hop(host), linkLocalOf(8))
  },
)

t.test('the only router is tried again though it does not answer', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  host.neighbors.resolve(addr(linkLocalOf(9)))
  for (let now = 5000; now < 20_000; now += 1000) host.ipv6.run(now)
  t.equal(host.neighbors.find(addr(linkLocalOf(9)))?.state, 'FAILED')
  t.equal(hop(host), linkLocalOf(9))
})

t.test('a neighbor that says that it is no router any more loses its routes', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  const said = icmp6Frame(
    (b, at) => emitNeighborAdvert(b, at, addr(linkLocalOf(9)), NA_OVERRIDE, macOf(9)),
    { src: linkLocalOf(9), dst: 'ff02::1' },
  )
  arrive(host.nic, said, 5000)
  t.equal(hop(host), undefined)
})

t.test('17 routers: 16 are kept', async t => {
  const host = listening()
  for (let n = 8; n < 25; n++) arrive(host.nic, advert({}, n), 4000)
  t.equal(host.routers.routers.length, 16)
  t.equal(host.ipv6.counters.routersFull, 1)
})

// More specific routes (RFC 4191)

const route = (text: string, lifetime = 600) => ({
  prefix: parsePrefix(text)!,
  preference: 'medium' as const,
  lifetime,
})

t.test('a more specific route goes before the default route, for its lifetime', async t => {
  const host = listening()
  arrive(host.nic, advert({}, 8), 4000)
  arrive(host.nic, advert({ lifetime: 0, routes: [route('2001:db8:9::/48', 60)] }, 9), 4000)
  t.same([hop(host), hop(host, '2001:db8:8::1')], [linkLocalOf(9), linkLocalOf(8)])
  host.ipv6.run(64_000)
  t.equal(hop(host), linkLocalOf(8))
})

t.test('a route to ::/0 has the last word on the default route', async t => {
  const host = listening()
  arrive(host.nic, advert({ routes: [route('::/0', 0)] }), 4000)
  t.equal(hop(host), undefined)
})

t.test('1,000 routes and 1,000 prefixes: 32 and 64 are kept', async t => {
  const host = listening({ offload: true, addresses: [] })
  for (let i = 0; i < 1000; i += 20) {
    const names = Array.from({ length: 20 }, (_, k) => `2001:db8:${(i + k).toString(16)}::/48`)
    arrive(host.nic, advert({ routes: names.map(name => route(name)) }), 4000)
    arrive(host.nic, advert({ prefixes: names.map(name => prefix(name)) }), 4000)
  }
  t.equal(host.ipv6.routes.all.length, 1 + 32 + 64)
  t.ok(host.ipv6.counters.routersFull > 1800)
})

// Prefixes

t.test('a prefix is on the link for its lifetime', async t => {
  const host = listening()
  arrive(
    host.nic,
    advert({ lifetime: 0, prefixes: [prefix('2001:db8:5::/64', { validLifetime: 60 })] }),
    4000,
  )
  t.equal(hop(host, '2001:db8:5::1'), '2001:db8:5::1')
  host.ipv6.run(63_999)
  t.equal(hop(host, '2001:db8:5::1'), '2001:db8:5::1')
  host.ipv6.run(64_000)
  t.equal(hop(host, '2001:db8:5::1'), undefined)
})

for (const [what, info, onLink] of [
  ['for ever', { validLifetime: ND_INFINITE }, true],
  ['not on the link', { onLink: false }, false],
  ['of lifetime 0', { validLifetime: 0 }, false],
  ['link-local', { prefix: parsePrefix('fe80::/10')! }, false],
  ['of 0 bits', { prefix: parsePrefix('::/0')! }, true],
  ['of 128 bits', { prefix: parsePrefix('2001:db8:5::1/128')! }, true],
] as const)
  t.test(`a prefix ${what}: ${onLink ? '' : 'not '}on the link`, async t => {
    const host = listening()
    arrive(host.nic, advert({ lifetime: 0, prefixes: [prefix('2001:db8:5::/64', info)] }), 4000)
    host.ipv6.run(7_000_000)
    t.equal(host.ipv6.hopFor(addr('2001:db8:5::1')) !== undefined, onLink)
  })

t.test('a prefix that another router ends has ended', async t => {
  const host = listening()
  arrive(host.nic, advert({ prefixes: [prefix('2001:db8:5::/64')] }, 8), 4000)
  arrive(host.nic, advert({ prefixes: [prefix('2001:db8:5::/64', { validLifetime: 0 })] }, 9), 4000)
  t.equal(hop(host, '2001:db8:5::1'), linkLocalOf(8))
})

t.test('the source is of a prefix that the next hop advertised (RFC 6724 rule 5.5)', async t => {
  const host = listening({ addresses: ['2001:db8:9::1/64', '2001:db8:5::1/64'] })
  arrive(host.nic, advert({ prefixes: [prefix('2001:db8:5::/64', { onLink: false })] }), 4000)
  const source = host.ipv6.sourceFor(addr('2001:db8:9:1::1'))
  t.equal(typeof source === 'number' ? source : formatAddress(source), '2001:db8:5::1')
})

// Parameters

for (const [said, want] of [
  [0, 64],
  [1, 64],
  [31, 64],
  [32, 32],
  [128, 128],
  [255, 255],
])
  t.test(`hop limit ${said} is ${want}`, async t => {
    const host = listening()
    arrive(host.nic, advert({ hopLimit: said }), 4000)
    t.equal(host.ipv6.hopLimit, want)
    know(host, '2001:db8::2', 2)
    const path = host.ipv6.path(addr('::'), addr('2001:db8::2'), 17)
    if (typeof path === 'number') return t.fail(`${path}`)
    path.open(8)
    path.close(8, 0, -1)
    t.equal(host.sink.take()[0].bytes[21], want)
  })

for (const [said, want] of [
  [0, 1500],
  [1279, 1500],
  [1280, 1280],
  [1400, 1400],
  [1501, 1500],
  [0xffffffff, 1500],
])
  t.test(`mtu ${said} is ${want}`, async t => {
    const host = listening()
    arrive(host.nic, advert({ mtu: said }), 4000)
    t.equal(host.ipv6.mtu, want)
  })

t.test(
  'reachable time is about what the router says, retransmission exactly, within bounds',
  async t => {
    const host = listening()
    for (const [reachable, retrans, least, most, timer] of [
      [0, 0, 30_000, 30_000, 1000],
      [60_000, 2000, 30_000, 90_000, 2000],
      [1, 1, 500, 1500, 100],
      [0xffffffff, 0xffffffff, 1_800_000, 5_400_000, 3_600_000],
    ]) {
      arrive(host.nic, advert({ reachableTime: reachable, retransTimer: retrans }), 4000)
      const { reachableTime, retransTimer } = host.neighbors
      t.ok(reachableTime >= least && reachableTime <= most, `${reachableTime}`)
      t.equal(retransTimer, timer)
    }
  },
)

// Redirects

const redirect = (
  target: string,
  dst: string,
  mac: Mac | undefined = undefined,
  fields: Ipv6Fields = {},
) =>
  icmp6Frame((b, at) => emitRedirect(b, at, addr(target), addr(dst), mac), {
    src: linkLocalOf(9),
    ...fields,
  })

t.test('a redirect from our router to another is followed, for its destination only', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  arrive(host.nic, redirect('fe80::8', OUT, macOf(8)), 5000)
  t.same([hop(host), hop(host, '2001:db8:9::8')], ['fe80::8', linkLocalOf(9)])
  t.match(host.neighbors.find(addr('fe80::8')), { state: 'STALE', mac: macOf(8), router: true })
  host.ipv6.run(605_000)
  t.equal(hop(host), linkLocalOf(9), 'for ten minutes')
})

t.test('a redirect to the destination itself: it is on the link', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  arrive(host.nic, redirect(OUT, OUT, macOf(8)), 5000)
  t.equal(hop(host), OUT)
  t.match(host.neighbors.find(addr(OUT)), { router: false })
})

t.test('a path that is in use follows a redirect', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  const path = host.ipv6.path(addr('2001:db8::1'), addr(OUT), 6)
  if (typeof path === 'number') return t.fail(`${path}`)
  for (const want of [9, 8]) {
    path.open(20)
    path.close(20, 0, 16)
    t.equal(Mac.read(host.sink.take()[0].bytes, 0).low, want)
    arrive(host.nic, redirect('fe80::8', OUT, macOf(8)), 5000)
  }
})

t.test('a redirect to who does not answer is forgotten', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  arrive(host.nic, redirect('fe80::8', OUT), 5000)
  host.neighbors.resolve(addr('fe80::8'))
  for (let now = 5000; now < 15_000; now += 1000) host.ipv6.run(now)
  t.equal(hop(host), linkLocalOf(9))
})

for (const [what, frame, counter] of [
  [
    'from who is not our router for it',
    redirect('fe80::8', OUT, macOf(8), { src: linkLocalOf(7) }),
    'redirectRefused',
  ],
  [
    'for a destination on the link',
    redirect('fe80::8', '2001:db8::5', macOf(8)),
    'redirectRefused',
  ],
  ['to ourselves', redirect(linkLocalOf(1), OUT), 'redirectRefused'],
  [
    'from a global address',
    redirect('fe80::8', OUT, macOf(8), { src: '2001:db8::9' }),
    'ndInvalid',
  ],
  ['from beyond a router', redirect('fe80::8', OUT, macOf(8), { hopLimit: 64 }), 'ndInvalid'],
  ['to a global address', redirect('2001:db8::8', OUT, macOf(8)), 'ndInvalid'],
  ['for a group', redirect('fe80::8', 'ff0e::1', macOf(8)), 'ndInvalid'],
  ['with a group MAC', redirect('fe80::8', OUT, new Mac(0x100, 1)), 'ndInvalid'],
] as readonly (readonly [string, Uint8Array, keyof NetCounters])[])
  t.test(`a redirect ${what} is dropped`, async t => {
    const host = listening()
    arrive(host.nic, advert({}), 4000)
    arrive(host.nic, frame, 5000)
    t.equal(hop(host), linkLocalOf(9))
    t.equal(host.ipv6.counters[counter], 1)
  })

t.test('1,000 redirects: 64 are kept', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  for (let i = 0; i < 1000; i++)
    arrive(host.nic, redirect('fe80::8', `2001:db8:9::${i.toString(16)}`), 5000)
  t.equal(host.ipv6.routes.all.filter(({ origin }) => origin === 'redirect').length, 64)
  t.equal(host.ipv6.counters.routersFull, 936)
})

t.test('a router that answers probes stays reachable', async t => {
  const host = listening()
  arrive(host.nic, advert({}), 4000)
  host.neighbors.resolve(addr(linkLocalOf(9)))
  host.ipv6.run(9001)
  const answer = icmp6Frame(
    (b, at) =>
      emitNeighborAdvert(
        b,
        at,
        addr(linkLocalOf(9)),
        NA_SOLICITED | NA_OVERRIDE | (0x80000000 | 0),
        macOf(9),
      ),
    { src: linkLocalOf(9), dst: linkLocalOf(1) },
  )
  arrive(host.nic, answer, 9002)
  t.match(host.neighbors.find(addr(linkLocalOf(9))), { state: 'REACHABLE', router: true })
  t.equal(hop(host), linkLocalOf(9))
})
