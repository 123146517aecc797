import t from 'tap'
import type { NetCounters } from '../../../src/stack/net/counters.ts'
import type { InterfaceAddress } from '../../../src/stack/net/addresses.ts'
import { ND_NEIGHBOR_ADVERT, ND_NEIGHBOR_SOLICIT } from '../../../src/wire/icmpv6.ts'
import { Mac, ZERO_MAC, groupMac } from '../../../src/wire/mac.ts'
import {
  NA_OVERRIDE,
  NA_ROUTER,
  NA_SOLICITED,
  emitNeighborAdvert,
  emitNeighborSolicit,
  parseNeighborAdvert,
  parseNeighborSolicit,
} from '../../../src/wire/ndp.ts'
import { Address, solicitedNode } from '../../../src/wire/address.ts'
import { formatAddress } from '../../../src/wire/address-text.ts'
import { type Frame, addr, arrive, macOf } from '../../helpers/net.ts'
import {
  type Ipv6Fields,
  host6,
  icmp6Frame,
  ipv6Frame,
  know,
  linkLocalOf,
  messageIn,
} from '../../helpers/net6.ts'

const OURS = '2001:db8::1'
const PEER = '2001:db8::2'
const GROUP = formatAddress(solicitedNode(addr(OURS)))

interface Solicit extends Ipv6Fields {
  target?: string
  mac?: Mac | undefined
  nonce?: Uint8Array
}

const solicit = ({ target = OURS, mac, nonce, ...fields }: Solicit = {}) =>
  icmp6Frame((b, at) => emitNeighborSolicit(b, at, addr(target), mac, nonce), {
    dst: GROUP,
    ...fields,
  })

interface Advert extends Ipv6Fields {
  target?: string
  flags?: number
  mac?: Mac | undefined
}

const advert = ({ target = PEER, flags = 0, mac, ...fields }: Advert = {}) =>
  icmp6Frame((b, at) => emitNeighborAdvert(b, at, addr(target), flags, mac), fields)

/** What was sent: type, Ethernet and IP destination, IP source, and what it says. */
function sent(frames: Frame[]) {
  return frames.map(frame => {
    const message = messageIn(frame)
    const { bytes, at, length, type } = message
    const to = Mac.read(frame.bytes, 0)
    const [src, dst] = [22, 38].map(i => formatAddress(Address.read(frame.bytes, i, 16)))
    const hopLimit = frame.bytes[21]
    const said =
      type === ND_NEIGHBOR_SOLICIT
        ? { ns: parseNeighborSolicit(bytes, at, length)! }
        : type === ND_NEIGHBOR_ADVERT
          ? { na: parseNeighborAdvert(bytes, at, length)! }
          : { type }
    return { to, src, dst, hopLimit, ...said }
  })
}

t.test(
  'resolution: three solicitations to the group, a second apart, then what waited is told of',
  async t => {
    const { ipv6, sink, protocol } = host6(1)
    const path = ipv6.path(addr(OURS), addr(PEER), 17)
    if (typeof path === 'number') return t.fail(`${path}`)
    for (const text of ['one', 'two']) {
      const at = path.open(8 + text.length)
      path.bytes.set(Buffer.from(`\0\x01\0\x02....${text}`), at)
      path.close(8 + text.length, 0, -1)
    }
    t.equal(sink.take().length, 0)
    const group = solicitedNode(addr(PEER))
    for (const now of [3000, 4000, 5000]) {
      t.equal(ipv6.ndp.next <= now, true)
      ipv6.run(now - 1)
      ipv6.run(now)
      const frames = sent(sink.take())
      t.match(frames, [
        { to: groupMac(group), src: OURS, dst: formatAddress(group), hopLimit: 255 },
      ])
      t.match(frames[0].ns, { target: addr(PEER), sourceMac: macOf(1), nonce: undefined })
    }
    ipv6.run(6000)
    t.equal(sink.take().length, 0)
    t.match(protocol.errors, [
      { type: 1, code: 3, src: addr(OURS), dst: addr(PEER), srcPort: 1, dstPort: 2 },
      { type: 1, code: 3 },
    ])
  },
)

t.test('resolution: an answer sends what waited, in order', async t => {
  const { ipv6, sink, nic } = host6(1)
  const path = ipv6.path(addr(OURS), addr(PEER), 17)
  if (typeof path === 'number') return t.fail(`${path}`)
  for (const text of ['one', 'two']) {
    const at = path.open(3)
    path.bytes.set(Buffer.from(text), at)
    path.close(3, 0, -1)
  }
  ipv6.run(3000)
  sink.take()
  arrive(nic, advert({ flags: NA_SOLICITED | NA_OVERRIDE, mac: macOf(2) }), 3001)
  const frames = sink.take()
  t.same(
    frames.map(({ bytes }) => [Mac.read(bytes, 0).low, Buffer.from(bytes.slice(54)).toString()]),
    [
      [2, 'one'],
      [2, 'two'],
    ],
  )
  t.equal(ipv6.neighbors.find(addr(PEER))?.state, 'REACHABLE')
})

t.test('resolution uses the source of the packet that waits', async t => {
  const { ipv6, sink } = host6(1)
  const path = ipv6.path(addr(linkLocalOf(1)), addr(PEER), 17)
  if (typeof path === 'number') return t.fail(`${path}`)
  path.open(3)
  path.close(3, 0, -1)
  ipv6.run(3000)
  t.equal(sent(sink.take())[0].src, linkLocalOf(1))
})

t.test('NUD: STALE is used and probed at its own MAC, from 5 s on', async t => {
  const { ipv6, sink, nic } = host6(1)
  arrive(nic, solicit({ mac: macOf(2), dst: OURS }), 2000)
  t.equal(ipv6.neighbors.find(addr(PEER))?.state, 'STALE')
  sink.take()
  const path = ipv6.path(addr(OURS), addr(PEER), 17)
  if (typeof path === 'number') return t.fail(`${path}`)
  path.open(3)
  path.close(3, 0, -1)
  t.equal(sink.take().length, 1)
  t.equal(ipv6.neighbors.find(addr(PEER))?.state, 'DELAY')
  ipv6.run(6999)
  t.equal(sink.take().length, 0)
  ipv6.run(7001)
  t.match(sent(sink.take()), [{ to: macOf(2), dst: PEER, ns: { target: addr(PEER) } }])
})

for (const [what, frame, want] of [
  [
    'to the group',
    solicit({ mac: macOf(2) }),
    { to: macOf(2), src: OURS, dst: PEER, na: { solicited: true, override: true, router: false } },
  ],
  ['to us', solicit({ mac: macOf(2), dst: OURS }), { to: macOf(2), na: { solicited: true } }],
  ['without a MAC: to where the frame came from', solicit(), { to: macOf(2), dst: PEER }],
  [
    'of detection: to all nodes',
    solicit({ src: '::' }),
    { to: new Mac(0x3333, 1), dst: 'ff02::1', na: { solicited: false, override: true } },
  ],
  [
    'for the link-local address',
    solicit({ target: linkLocalOf(1), mac: macOf(2), src: linkLocalOf(2) }),
    { to: macOf(2), src: linkLocalOf(1), dst: linkLocalOf(2) },
  ],
] as const)
  t.test(`a solicitation ${what} is answered`, async t => {
    const { nic, sink } = host6(1)
    arrive(nic, frame, 3000)
    const answers = sent(sink.take())
    t.equal(answers.length, 1)
    t.match(answers[0], { hopLimit: 255, ...want })
    t.match(answers[0].na?.targetMac, macOf(1))
  })

/** Broken in one way each. */
for (const [what, frame, counter] of [
  ['from beyond a router', solicit({ mac: macOf(2), hopLimit: 254 }), 'ndInvalid'],
  ['for a group', solicit({ target: 'ff02::1', mac: macOf(2) }), 'ndInvalid'],
  ['from nobody, with a MAC', solicit({ src: '::', mac: macOf(2) }), 'ndInvalid'],
  ['from nobody, to us alone', solicit({ src: '::', dst: OURS }), 'ndInvalid'],
  ['from nobody, to all nodes', solicit({ src: '::', dst: 'ff02::1' }), 'ndInvalid'],
  ['with a group MAC', solicit({ mac: new Mac(0x0100, 1) }), 'ndInvalid'],
  ['with MAC zero', solicit({ mac: ZERO_MAC }), 'ndInvalid'],
  ['for another', solicit({ target: '2001:db8:1::1', mac: macOf(2) }), 'ndIgnored'],
  ['with an option of length 0', withZeroOption(solicit({ mac: macOf(2) })), 'ndInvalid'],
  ['of damaged text', damaged(solicit({ mac: macOf(2) })), 'icmpMalformed'],
  ['in a fragment', atomic(solicit({ mac: macOf(2) })), 'ndInvalid'],
] as readonly (readonly [string, Uint8Array, keyof NetCounters])[])
  t.test(`a solicitation ${what} is dropped`, async t => {
    const { nic, sink, ipv6 } = host6(1)
    arrive(nic, frame, 3000)
    t.equal(sink.take().length, 0)
    t.equal(ipv6.counters[counter], 1)
    t.notOk(ipv6.neighbors.find(addr(PEER)) !== undefined, 'no entry')
  })

function withZeroOption(frame: Uint8Array): Uint8Array {
  const inner = frame.slice(54)
  inner[25] = 0
  return icmp6Frame(
    (b, at) => {
      b.set(inner, at)
      return inner.length
    },
    { dst: GROUP },
  )
}

function damaged(frame: Uint8Array): Uint8Array {
  frame[60] ^= 1
  return frame
}

/** The same with a fragment header that says that it is no fragment (RFC 6980). */
function atomic(frame: Uint8Array): Uint8Array {
  const header = Buffer.from('3a00000000000001', 'hex')
  return ipv6Frame(Buffer.concat([header, frame.slice(54)]), {
    dst: GROUP,
    next: 44,
    hopLimit: 255,
  })
}

t.test('a known neighbor that solicits from another MAC is STALE there', async t => {
  const host = host6(1)
  know(host, PEER, 2)
  arrive(host.nic, solicit({ mac: macOf(3), dst: OURS }), 3000)
  const neighbor = host.neighbors.find(addr(PEER))!
  t.match([neighbor.state, neighbor.mac.low], ['STALE', 3])
})

/** RFC 4861 section 7.2.5 and appendix C. */
const STATES = {
  INCOMPLETE: (host: ReturnType<typeof host6>) => void host.neighbors.resolve(addr(PEER)),
  REACHABLE: (host: ReturnType<typeof host6>) => know(host, PEER, 2),
  STALE: (host: ReturnType<typeof host6>) => void host.neighbors.create(addr(PEER), macOf(2)),
  FAILED(host: ReturnType<typeof host6>) {
    host.neighbors.resolve(addr(PEER))
    for (let now = 2000; now <= 9000; now += 1000) host.ipv6.run(now)
  },
} as const
const S = NA_SOLICITED
const O = NA_OVERRIDE

for (const [from, flags, mac, state, at] of [
  ['INCOMPLETE', 0, undefined, 'INCOMPLETE', 0],
  ['INCOMPLETE', S, undefined, 'INCOMPLETE', 0],
  ['INCOMPLETE', 0, 2, 'STALE', 2],
  ['INCOMPLETE', O, 2, 'STALE', 2],
  ['INCOMPLETE', S, 2, 'REACHABLE', 2],
  ['INCOMPLETE', S | O, 2, 'REACHABLE', 2],
  ['REACHABLE', 0, 2, 'REACHABLE', 2],
  ['REACHABLE', S, undefined, 'REACHABLE', 2],
  ['REACHABLE', 0, 3, 'STALE', 2],
  ['REACHABLE', S, 3, 'STALE', 2],
  ['REACHABLE', O, 3, 'STALE', 3],
  ['REACHABLE', S | O, 3, 'REACHABLE', 3],
  ['STALE', 0, 2, 'STALE', 2],
  ['STALE', S, 2, 'REACHABLE', 2],
  ['STALE', S, undefined, 'REACHABLE', 2],
  ['STALE', S, 3, 'STALE', 2],
  ['STALE', O, 3, 'STALE', 3],
  ['STALE', S | O, 3, 'REACHABLE', 3],
  ['FAILED', S | O, 3, 'FAILED', 0],
] as const)
  t.test(
    `${from}, advertisement ${flags & S ? 'S' : '-'}${flags & O ? 'O' : '-'} MAC ${mac ?? 'none'}: ${state}`,
    async t => {
      const host = host6(1)
      STATES[from](host)
      const frame = advert({ flags, mac: mac === undefined ? undefined : macOf(mac) })
      arrive(host.nic, frame, 10_000)
      const neighbor = host.neighbors.find(addr(PEER))!
      t.equal(neighbor.state, state)
      t.equal(neighbor.mac.low, at)
    },
  )

t.test('an advertisement of nobody we ask for makes no entry', async t => {
  const { nic, neighbors, ipv6 } = host6(1)
  arrive(nic, advert({ flags: S | O, mac: macOf(2) }), 3000)
  t.equal(neighbors.size, 0)
  t.equal(ipv6.counters.ndIgnored, 1)
})

for (const [what, frame] of [
  ['solicited, to a group', advert({ flags: S, mac: macOf(2), dst: 'ff02::1' })],
  ['from beyond a router', advert({ flags: S, mac: macOf(2), hopLimit: 254 })],
  ['with a group MAC', advert({ flags: S, mac: groupMac(addr(PEER)) })],
] as const)
  t.test(`an advertisement ${what} is dropped`, async t => {
    const host = host6(1)
    host.neighbors.resolve(addr(PEER))
    arrive(host.nic, frame, 3000)
    t.equal(host.neighbors.find(addr(PEER))?.state, 'INCOMPLETE')
    t.equal(host.ipv6.counters.ndInvalid, 1)
  })

t.test('the router flag of an advertisement that is believed is kept', async t => {
  const host = host6(1)
  know(host, PEER, 2)
  arrive(host.nic, advert({ flags: S | NA_ROUTER, mac: macOf(2) }), 3000)
  t.equal(host.neighbors.find(addr(PEER))?.router, true)
  arrive(host.nic, advert({ flags: 0, mac: macOf(3) }), 3000)
  t.equal(host.neighbors.find(addr(PEER))?.router, true, 'not believed')
})

t.test(
  'a flood of 100,000 solicitations keeps the table and known neighbors (RFC 6583)',
  async t => {
    const host = host6(1)
    know(host, PEER, 2)
    for (let i = 0; i < 100_000; i++) {
      const src = `2001:db8::${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}:5`
      if (i < 5000) arrive(host.nic, solicit({ src, mac: macOf(7) }), 3000)
      else host.ipv6.ndp.heard(new Address(0x20010db8, 0, i, 5), macOf(7), 3000)
      host.sink.take()
    }
    t.equal(host.neighbors.size, 1024)
    t.equal(host.neighbors.find(addr(PEER))?.state, 'REACHABLE')
  },
)

t.test('a scan of 100,000 addresses keeps half of the table for others', async t => {
  const { ipv6, neighbors } = host6(1)
  for (let i = 0; i < 100_000; i++) {
    const path = ipv6.path(addr(OURS), new Address(0x20010db8, 0, i, 9), 17)
    if (typeof path === 'number') return t.fail(`${path}`)
    if (path.open(8) >= 0) path.close(8, 0, -1)
  }
  t.ok(neighbors.size <= 512, `${neighbors.size}`)
})

// Duplicate address detection

/** A host that checks, its frames so far taken; its global address. */
function checking(): ReturnType<typeof host6> & { own: InterfaceAddress } {
  const host = host6(1, { checks: true })
  return { ...host, own: host.ipv6.addresses.find(addr(OURS))! }
}

t.test(
  'DAD: one probe for each address from nobody with a nonce; after a second it is ours, and told twice',
  async t => {
    const { ipv6, sink, own } = checking()
    t.equal(own.state, 'OPTIMISTIC')
    ipv6.run(0)
    const probes = sent(sink.take()).filter(({ ns }) => ns !== undefined)
    t.match(probes, [
      { src: '::', dst: formatAddress(solicitedNode(addr(linkLocalOf(1)))), hopLimit: 255 },
      { src: '::', dst: GROUP, ns: { target: addr(OURS), sourceMac: undefined } },
    ])
    t.equal(probes[1].ns?.nonce?.length, 6)
    t.equal(ipv6.ndp.next, 1000)
    ipv6.run(999)
    t.equal(own.state, 'OPTIMISTIC')
    ipv6.run(1000)
    t.equal(own.state, 'PREFERRED')
    for (const now of [1000, 2000]) {
      ipv6.run(now)
      const told = sent(sink.take()).filter(({ na }) => na?.target.equals(addr(OURS)))
      t.match(told, [{ src: OURS, dst: 'ff02::1', na: { override: true, solicited: false } }])
    }
    ipv6.run(4000)
    t.equal(sent(sink.take()).filter(({ na }) => na !== undefined).length, 0)
    t.equal(ipv6.ndp.next, Infinity)
  },
)

t.test('DAD: an address past its preferred lifetime comes out DEPRECATED', async t => {
  const { ipv6, own } = checking()
  own.preferredUntil = 500
  ipv6.run(0)
  ipv6.run(1000)
  t.equal(own.state, 'DEPRECATED')
})

t.test('OPTIMISTIC: answers do not override, questions name no MAC', async t => {
  const { ipv6, sink, nic } = checking()
  ipv6.run(0)
  sink.take()
  arrive(nic, solicit({ mac: macOf(2) }), 10)
  t.match(sent(sink.take()), [{ na: { solicited: true, override: false, targetMac: macOf(1) } }])
  const path = ipv6.path(addr(OURS), addr('2001:db8::3'), 17)
  if (typeof path === 'number') return t.fail(`${path}`)
  path.open(8)
  path.close(8, 0, -1)
  ipv6.run(20)
  t.match(sent(sink.take()), [{ src: OURS, ns: { sourceMac: undefined } }])
})

for (const [what, frame] of [
  ["another station's probe", solicit({ src: '::' })],
  [
    "another station's probe with a nonce",
    solicit({ src: '::', nonce: Uint8Array.of(1, 2, 3, 4, 5, 6) }),
  ],
  [
    "its owner's advertisement",
    advert({ target: OURS, src: OURS, dst: 'ff02::1', flags: O, mac: macOf(2) }),
  ],
  ["its owner's advertisement to us", advert({ target: OURS, src: OURS, dst: 'ff02::1' })],
] as const)
  t.test(`OPTIMISTIC, ${what}: DUPLICATED, told, and never used`, async t => {
    const { ipv6, own, nic, sink } = checking()
    const told: unknown[] = []
    ipv6.ndp.onConflict = (address, mac, now) => told.push(formatAddress(address), mac, now)
    ipv6.run(0)
    arrive(nic, frame, 10)
    t.equal(own.state, 'DUPLICATED')
    t.same(told, [OURS, macOf(2), 10])
    t.notOk(ipv6.isLocal(addr(OURS)))
    ipv6.run(5000)
    t.equal(own.state, 'DUPLICATED')
    sink.take()
    arrive(nic, solicit({ mac: macOf(2) }), 6000)
    t.equal(sent(sink.take()).filter(({ na }) => na !== undefined).length, 0)
  })

t.test('TENTATIVE: it is not used, and who asks for it is not answered', async t => {
  const { ipv6, own, nic, sink } = checking()
  ipv6.addresses.enter(own, 'TENTATIVE')
  t.notOk(ipv6.isLocal(addr(OURS)))
  ipv6.run(0)
  sink.take()
  arrive(nic, solicit({ mac: macOf(2) }), 10)
  t.equal(sink.take().length, 0)
  t.equal(own.state, 'TENTATIVE')
  arrive(nic, solicit({ src: '::' }), 10)
  t.equal(own.state, 'DUPLICATED')
})

t.test(
  'DAD: our own probe that comes back is no conflict; three more go out (RFC 7527)',
  async t => {
    const { ipv6, own, nic, sink } = checking()
    let probes = 0
    for (let now = 0; now < 10_000; now += 500) {
      ipv6.run(now)
      for (const frame of sink.take()) {
        const [{ ns }] = sent([frame])
        if (ns === undefined || !ns.target.equals(addr(OURS))) continue
        probes++
        const looped = frame.bytes.slice()
        macOf(9).write(looped, 6) // a device on the way has put its own MAC there
        arrive(nic, looped, now)
      }
    }
    t.equal(probes, 4)
    t.equal(own.state, 'PREFERRED')
    t.equal(ipv6.counters.dadLoops, 4)
  },
)

t.test(
  'PREFERRED, another station claims it: we keep it and say so, once in 10 s; it is told each time',
  async t => {
    const { ipv6, nic, sink } = host6(1)
    let told = 0
    ipv6.ndp.onConflict = () => told++
    const claim = advert({ target: OURS, src: OURS, dst: 'ff02::1', flags: O, mac: macOf(2) })
    const answers = [3000, 4000, 12_999, 13_000].map(now => {
      arrive(nic, claim, now)
      return sink.take().length
    })
    t.same(answers, [1, 0, 0, 1])
    t.equal(told, 4)
    t.ok(ipv6.isLocal(addr(OURS)))
  },
)

t.test('a new link: addresses are checked again, and used meanwhile', async t => {
  const { ipv6, own, nic, sink } = checking()
  for (let now = 0; now < 3000; now += 500) ipv6.run(now)
  t.equal(own.state, 'PREFERRED')
  nic.setSink(undefined)
  nic.setSink(sink)
  t.equal(own.state, 'OPTIMISTIC')
  sink.take()
  ipv6.run(3000)
  t.equal(sent(sink.take()).filter(({ ns }) => ns?.target.equals(addr(OURS))).length, 1)
})

t.test('without a link nothing is checked and no time runs', async t => {
  const { ipv6, nic } = checking()
  nic.setSink(undefined)
  t.equal(ipv6.ndp.dad.next, Infinity)
})
