import t from 'tap'
import { NetCounters } from '../../../src/stack/net/counters.ts'
import {
  IPV4_REASSEMBLY_TIME,
  IPV6_REASSEMBLY_TIME,
  Reassembly,
  addIpv4Fragment,
  addIpv6Fragment,
} from '../../../src/stack/net/reassembly.ts'
import { checksum } from '../../../src/wire/checksum.ts'
import { IPV4_MF, Ipv4Packet } from '../../../src/wire/ipv4.ts'
import { emitFragment, emitIpv6 } from '../../../src/wire/ipv6.ts'
import { type Ipv4Fields, addr, arrive, host, ipv4Frame, ipv4Packet } from '../../helpers/net.ts'
import { random, randomBytes } from '../../helpers/random.ts'

const TEXT = new Uint8Array(65_515)
randomBytes(1)(TEXT)

type Piece = readonly [from: number, to: number, more: boolean]

/** A reassembly, and how to put pieces of TEXT into it. */
function assembly() {
  const counters = new NetCounters()
  const expired: number[] = []
  const reassembly = new Reassembly(counters, IPV4_REASSEMBLY_TIME, (_bytes, _at, length) =>
    expired.push(length),
  )
  const add = ([from, to, more]: Piece, now = 0, fields: Ipv4Fields = {}, text = TEXT) => {
    const fragment = (more ? IPV4_MF : 0) | (from >> 3)
    const packet = ipv4Packet(text.subarray(from, to), { ...fields, fragment })
    const whole = addIpv4Fragment(reassembly, packet, 0, 20, packet.length, now)
    return whole && whole.bytes.slice(whole.at, whole.at + whole.totalLength)
  }
  return { reassembly, counters, expired, add }
}

const same = (datagram: Uint8Array | undefined, length: number) =>
  datagram !== undefined && Buffer.from(datagram.subarray(20)).equals(TEXT.subarray(0, length))

for (const [what, pieces] of [
  [
    'two, in order',
    [
      [0, 1480, true],
      [1480, 2000, false],
    ],
  ],
  [
    'two, the last first',
    [
      [1480, 2000, false],
      [0, 1480, true],
    ],
  ],
  [
    'three, the middle last',
    [
      [0, 800, true],
      [1600, 1601, false],
      [800, 1600, true],
    ],
  ],
  [
    'of eight bytes',
    [
      [8, 16, true],
      [0, 8, true],
      [16, 24, true],
      [24, 25, false],
    ],
  ],
  [
    'one twice',
    [
      [0, 800, true],
      [0, 800, true],
      [800, 900, false],
    ],
  ],
  [
    'the last twice',
    [
      [800, 901, false],
      [800, 901, false],
      [0, 800, true],
    ],
  ],
] as readonly (readonly [string, readonly Piece[]])[])
  t.test(`fragments, ${what}: the datagram with the last that was missing`, async t => {
    const { add, reassembly, counters } = assembly()
    const length = Math.max(...pieces.map(([, to]) => to))
    for (const [i, piece] of pieces.entries()) {
      const datagram = add(piece)
      t.equal(datagram !== undefined, i === pieces.length - 1)
      if (datagram === undefined) continue
      t.ok(same(datagram, length))
      const header = Ipv4Packet.parse(datagram, 0, datagram.length)!
      t.match([header.totalLength, header.mf, header.fragmentOffset], [20 + length, false, 0])
      t.equal(checksum(datagram, 0, 20), 0)
    }
    t.equal(counters.reassembled, 1)
    t.same([reassembly.size, reassembly.memory, reassembly.next], [0, 0, Infinity])
  })

for (const [what, pieces] of [
  [
    'in part',
    [
      [0, 800, true],
      [400, 880, true],
    ],
  ],
  [
    'around',
    [
      [400, 480, true],
      [0, 800, true],
    ],
  ],
  [
    'at the front',
    [
      [400, 800, true],
      [0, 408, true],
    ],
  ],
  [
    'at the back',
    [
      [0, 408, true],
      [400, 900, false],
    ],
  ],
  [
    'past the end',
    [
      [800, 900, false],
      [808, 960, true],
    ],
  ],
  [
    'another end, farther',
    [
      [800, 900, false],
      [880, 1000, false],
    ],
  ],
  [
    'another end, nearer',
    [
      [800, 900, false],
      [400, 500, false],
    ],
  ],
  [
    'an end before what came',
    [
      [800, 960, true],
      [400, 500, false],
    ],
  ],
  [
    'the last, shorter',
    [
      [800, 900, false],
      [800, 890, false],
    ],
  ],
] as readonly (readonly [string, readonly Piece[]])[])
  t.test(`overlap, ${what}: the datagram is dropped, and stays so`, async t => {
    const { add, counters, reassembly } = assembly()
    for (const piece of pieces) t.equal(add(piece), undefined)
    t.equal(counters.fragmentOverlap, 1)
    t.equal(reassembly.memory, 0)
    for (let at = 0; at < 1600; at += 80) t.equal(add([at, at + 80, at < 1520]), undefined)
    t.equal(counters.fragmentOfDropped, 20)
    reassembly.run(30_000)
    t.equal(reassembly.size, 0)
    t.equal(counters.reassemblyTimeout, 0)
  })

t.test('the same place with other bytes is an overlap', async t => {
  const { add, counters } = assembly()
  add([0, 800, true])
  add(
    [0, 800, true],
    0,
    {},
    TEXT.map(byte => byte ^ 1),
  )
  t.equal(counters.fragmentOverlap, 1)
})

for (const [what, piece, text] of [
  ['no bytes', [8, 8, true], TEXT],
  ['no multiple of eight', [0, 7, true], TEXT],
  [
    'more than 65,535 bytes in all (ping of death)',
    [65_512, 65_516, false],
    new Uint8Array(66_000),
  ],
] as const)
  t.test(`a fragment with ${what} is dropped alone`, async t => {
    const { add, counters, reassembly } = assembly()
    t.equal(add(piece, 0, {}, text), undefined)
    t.equal(counters.badFragment, 1)
    t.equal(reassembly.size, 0)
  })

t.test('the largest datagram', async t => {
  const { add } = assembly()
  t.equal(add([0, 65_512, true]), undefined)
  t.ok(same(add([65_512, 65_515, false]), 65_515))
})

t.test('fragments of different source, destination, protocol or id are never mixed', async t => {
  const others = [{ src: '10.0.0.3' }, { dst: '10.0.0.9' }, { protocol: 17 }, { id: 2 }]
  const { add, reassembly } = assembly()
  add([0, 800, true])
  for (const other of others) t.equal(add([800, 900, false], 0, other), undefined)
  t.equal(reassembly.size, 5)
  t.ok(same(add([800, 900, false]), 900))
})

t.test('after 30 s it is given up, and told where the first fragment came', async t => {
  const { add, reassembly, counters, expired } = assembly()
  add([0, 800, true], 1000)
  add([800, 1600, true], 2000, { id: 2 })
  add([800, 1600, true], 25_000)
  t.equal(reassembly.next, 31_000, 'from the first fragment on')
  reassembly.run(30_999)
  t.equal(reassembly.size, 2)
  reassembly.run(31_000)
  t.same(expired, [820])
  reassembly.run(32_000)
  t.same(expired, [820])
  t.equal(counters.reassemblyTimeout, 2)
  t.same([reassembly.size, reassembly.memory], [0, 0])
})

t.test('64,000 unfinished datagrams: 64 are kept, the newest, in 1 MB', async t => {
  const { add, reassembly, counters } = assembly()
  for (let id = 0; id < 64_000; id++) add([0, 80, true], 0, { id })
  t.equal(reassembly.size, 64)
  t.equal(counters.reassemblyFull, 64_000 - 64)
  for (let id = 0; id < 200; id++) add([65_504, 65_512, true], 0, { id: 100 + id })
  t.ok(reassembly.memory <= 1024 * 1024, `${reassembly.memory} bytes`)
  t.ok(
    same(
      add([0, 65_504, true], 0, { id: 299 }) ?? add([65_512, 65_515, false], 0, { id: 299 }),
      65_515,
    ),
  )
})

t.test('8,188 fragments of eight bytes, every other one first, make a datagram', async t => {
  const { add, counters } = assembly()
  for (let at = 0; at < 65_496; at += 16) add([at, at + 8, true])
  for (let at = 8; at < 65_496; at += 16) add([at, at + 8, true])
  t.ok(same(add([65_496, 65_504, false]), 65_504))
  t.equal(counters.fragmentsIn, 8188)
})

t.test('Reassembly against any order and doubling, seed 12', async t => {
  const next = random(12)
  const { add, reassembly, counters } = assembly()
  let wrong = 0
  for (let id = 0; id < 200; id++) {
    const length = 9 + (next() % 5000)
    const pieces: Piece[] = []
    for (let from = 0; from < length;) {
      const to = Math.min(length, from + 8 * (1 + (next() % 100)))
      pieces.push([from, to, to < length])
      if (next() % 4 === 0) pieces.push([from, to, to < length])
      from = to
    }
    if (pieces.length === 1) continue
    for (let i = pieces.length - 1; i > 0; i--) {
      const k = next() % (i + 1)
      ;[pieces[i], pieces[k]] = [pieces[k], pieces[i]]
    }
    const whole = pieces.map(piece => add(piece, id, { id })).filter(d => d !== undefined)
    // Twice where every piece came twice.
    if (whole.length === 0 || !whole.every(datagram => same(datagram, length))) wrong++
  }
  t.equal(wrong, 0)
  t.equal(counters.fragmentOverlap, 0)
  reassembly.run(1e6) // what was doubled after the last that was missing
  t.same([reassembly.size, reassembly.memory], [0, 0])
})

t.test('Reassembly under random fragments keeps its bounds, seed 13', async t => {
  const next = random(13)
  const { add, reassembly } = assembly()
  for (let i = 0; i < 50_000; i++) {
    const from = 8 * (next() % 8190)
    const to = Math.min(65_515, from + (next() % 1500))
    add([from, to, next() % 4 > 0], i, { id: next() % 300 })
    if (i % 1000 === 0) reassembly.run(i)
    if (reassembly.memory > 1024 * 1024 || reassembly.size > 64) t.fail('out of bounds')
  }
  reassembly.run(1e6)
  t.same([reassembly.size, reassembly.memory], [0, 0])
})

t.test('what is whole goes to its protocol, with its checksum to be checked', async t => {
  const { nic, protocol } = host(1)
  arrive(nic, ipv4Frame(TEXT.subarray(0, 800), { fragment: IPV4_MF }), 5000)
  arrive(nic, ipv4Frame(TEXT.subarray(800, 900), { fragment: 100 }), 5000)
  const [{ text, checksumValid }] = protocol.arrived
  t.ok(text.equals(TEXT.subarray(0, 900)))
  t.notOk(checksumValid)
})

type Piece6 = readonly [from: number, to: number, more: boolean, id?: number, ahead?: string]

/** An IPv6 packet with extension headers `ahead` (hex, the last names the fragment header) and a fragment of TEXT. */
function ipv6Fragment([from, to, more, id = 7, ahead = '']: Piece6, src = '2001:db8::2') {
  const unfragmentable = Buffer.from(ahead, 'hex')
  const packet = new Uint8Array(48 + unfragmentable.length + to - from)
  const first = unfragmentable.length > 0 ? 60 : 44
  emitIpv6(packet, 0, packet.length - 40, first, 64, addr(src), addr('2001:db8::1'))
  packet.set(unfragmentable, 40)
  emitFragment(packet, 40 + unfragmentable.length, 17, from, more, id)
  packet.set(TEXT.subarray(from, to), 48 + unfragmentable.length)
  return packet
}

function assembly6() {
  const counters = new NetCounters()
  const expired: Buffer[] = []
  const reassembly = new Reassembly(counters, IPV6_REASSEMBLY_TIME, (bytes, at, length) =>
    expired.push(Buffer.from(bytes.slice(at, at + length))),
  )
  const add = (piece: Piece6, now = 0, src?: string) => {
    const packet = ipv6Fragment(piece, src)
    const fragment = 40 + (piece[4]?.length ?? 0) / 2
    const whole = addIpv6Fragment(reassembly, packet, 0, fragment, packet.length, now)
    return typeof whole === 'object'
      ? Buffer.from(whole.bytes.slice(whole.at, whole.at + whole.totalLength))
      : whole
  }
  return { reassembly, counters, expired, add }
}

const PADDING = '2c00010400000000'

for (const [what, pieces, ahead] of [
  [
    'two, in order',
    [
      [0, 1448, true],
      [1448, 2000, false],
    ],
    '',
  ],
  [
    'two, the last first, behind destination options',
    [
      [1448, 2000, false, 7, PADDING],
      [0, 1448, true, 7, PADDING],
    ],
    PADDING,
  ],
  [
    'of which only the first has options',
    [
      [1448, 2000, false],
      [0, 1448, true, 7, PADDING],
    ],
    PADDING,
  ],
] as readonly (readonly [string, readonly Piece6[], string])[])
  t.test(`IPv6 fragments, ${what}: the datagram without fragment header`, async t => {
    const { add, reassembly } = assembly6()
    const datagrams = pieces.map(piece => add(piece))
    t.equal(datagrams[0], undefined)
    const whole = Buffer.from(datagrams[1] as Buffer)
    const headers = 40 + ahead.length / 2
    t.equal(whole.length, headers + 2000)
    t.equal(whole.readUInt16BE(4), whole.length - 40)
    t.equal(whole[6], ahead === '' ? 17 : 60)
    if (ahead !== '') t.equal(whole.toString('hex', 40, 48), ahead.replace(/^2c/, '11'))
    t.ok(whole.subarray(headers).equals(TEXT.subarray(0, 2000)))
    t.same([reassembly.size, reassembly.memory], [0, 0])
  })

t.test('the largest IPv6 datagram has 65,535 bytes behind its header', async t => {
  const { add, counters, reassembly } = assembly6()
  const text = new Uint8Array(65_535)
  for (const [from, to] of [
    [0, 65_528],
    [65_528, 65_535],
  ]) {
    const packet = new Uint8Array(48 + to - from)
    emitIpv6(packet, 0, 0, 44, 64, addr('::2'), addr('::1'))
    emitFragment(packet, 40, 17, from, to < 65_535, 1)
    packet.set(text.subarray(from, to), 48)
    const whole = addIpv6Fragment(reassembly, packet, 0, 40, packet.length, 0)
    if (to === 65_535) t.match(whole, { headerLength: 40, totalLength: 65_575 })
  }
  t.equal(add([65_528, 65_535, false, 9, PADDING]), 'offset')
  t.equal(counters.badFragment, 1)
})

for (const [what, piece, want] of [
  ['no bytes', [8, 8, true], 'empty'],
  ['no bytes, the last', [8, 8, false], 'empty'],
  ['no multiple of eight', [0, 7, true], 'length'],
] as const)
  t.test(`an IPv6 fragment with ${what} is dropped alone`, async t => {
    const { add, counters, reassembly } = assembly6()
    t.equal(add(piece), want)
    t.equal(counters.badFragment, 1)
    t.equal(reassembly.size, 0)
  })

t.test('an IPv6 fragment with more than 256 bytes of headers is dropped', async t => {
  const { add, counters } = assembly6()
  t.equal(add([0, 80, true, 7, `2c1f${'00'.repeat(254)}`]), undefined)
  t.equal(counters.badFragment, 1)
})

t.test(
  'IPv6 fragments of another source or id are never mixed; of another protocol they are',
  async t => {
    const { add, reassembly } = assembly6()
    add([0, 800, true])
    add([800, 900, false], 0, '2001:db8::3')
    add([800, 900, false, 8])
    t.equal(reassembly.size, 3)
    const other = ipv6Fragment([800, 900, false])
    other[40] = 6 // what later fragments say is not looked at
    t.equal(typeof addIpv6Fragment(reassembly, other, 0, 40, other.length, 0), 'object')
  },
)

t.test('IPv6 fragments that overlap end their datagram', async t => {
  const { add, counters, reassembly } = assembly6()
  add([0, 800, true])
  add([400, 1000, false])
  add([800, 1000, false])
  t.same([counters.fragmentOverlap, counters.fragmentOfDropped, reassembly.memory], [1, 1, 0])
})

t.test(
  'an IPv6 datagram is given up after 60 s, and its first fragment shown as it came',
  async t => {
    const { add, reassembly, expired } = assembly6()
    add([0, 80, true, 7, PADDING], 1000)
    add([80, 160, true, 8], 1000)
    reassembly.run(60_999)
    t.equal(reassembly.size, 2)
    reassembly.run(61_000)
    t.equal(expired.length, 1)
    t.ok(expired[0].equals(ipv6Fragment([0, 80, true, 7, PADDING])))
  },
)

const [NOT_ECT, ECT_1, ECT_0, CE] = [0, 1, 2, 3]
for (const [what, fields, want] of [
  ['none marked', [ECT_0, ECT_0, ECT_0], ECT_0],
  ['not for ECN', [NOT_ECT, NOT_ECT, NOT_ECT], NOT_ECT],
  ['the first marked', [CE, ECT_0, ECT_0], CE],
  ['the middle one marked', [ECT_0, CE, ECT_0], CE],
  ['the last marked, ECT(1)', [ECT_1, ECT_1, CE], CE],
  ['all marked', [CE, CE, CE], CE],
  ['ECT(0) and ECT(1): the first one’s', [ECT_0, ECT_1, ECT_1], ECT_0],
  ['a mark where none may be', [NOT_ECT, CE, NOT_ECT], undefined],
  ['one cleared on the way', [ECT_0, ECT_0, NOT_ECT], undefined],
  ['one cleared beside a mark', [CE, ECT_0, NOT_ECT], undefined],
] as const)
  t.test(`ECN of fragments (RFC 3168 section 5.3), ${what}`, async t => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ]) {
      const { reassembly, counters } = assembly()
      let whole
      for (const i of order) {
        const fragment = (i < 2 ? IPV4_MF : 0) | i
        const packet = ipv4Packet(TEXT.subarray(8 * i, 8 * i + 8), { fragment })
        packet[1] = 0x48 | fields[i]
        whole = addIpv4Fragment(reassembly, packet, 0, 20, packet.length, 0)
      }
      t.equal(whole && whole.bytes[whole.at + 1], want === undefined ? undefined : 0x48 | want)
      if (whole !== undefined) t.equal(checksum(whole.bytes, whole.at, 20), 0)
      t.same([counters.fragmentEcn, counters.reassembled], want === undefined ? [1, 0] : [0, 1])
      t.same([reassembly.size, reassembly.memory], [0, 0])
      const six = assembly6()
      let whole6
      for (const i of order) {
        const packet = ipv6Fragment([8 * i, 8 * i + 8, i < 2])
        packet[1] |= fields[i] << 4
        whole6 = addIpv6Fragment(six.reassembly, packet, 0, 40, packet.length, 0)
      }
      if (typeof whole6 === 'string') t.fail(whole6)
      else t.equal(whole6 && (whole6.bytes[whole6.at + 1] >> 4) & 3, want)
    }
  })
