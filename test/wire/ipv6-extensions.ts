import t from 'tap'
import { Ipv6Chain } from '../../src/wire/ipv6-extensions.ts'
import { emitIpv6 } from '../../src/wire/ipv6.ts'
import { addr } from '../helpers/net.ts'
import { random } from '../helpers/random.ts'

const HOP = 0
const TCP = 6
const ROUTING = 43
const FRAGMENT = 44
const ESP = 50
const AH = 51
const NONE = 59
const DST = 60

/** Headers of the chain as [type, what stands behind its next header field in hex]; text of 8 bytes behind them. */
function packet(chain: (readonly [number, string])[], last: number): Uint8Array {
  const bodies = chain.map(([, hex], i) =>
    Buffer.from([(chain[i + 1]?.[0] ?? last).toString(16).padStart(2, '0'), hex].join(''), 'hex'),
  )
  const payload = Buffer.concat([...bodies, Buffer.alloc(8, 0x77)])
  const bytes = new Uint8Array(43 + payload.length).fill(0x5a)
  emitIpv6(bytes, 3, payload.length, chain[0]?.[0] ?? last, 64, addr('fe80::2'), addr('fe80::1'))
  bytes.set(payload, 43)
  return bytes
}

/** An options header of eight bytes: these six. */
const opts = (hex: string) => `00${hex}`
const PAD = opts('010400000000')
const ALERT = opts('050200000100')
const RH0 = '020001' + '00000000' + '20010db8000000000000000000000001' // one segment left
const SPENT = '020000' + '00000000' + '20010db8000000000000000000000001'

const rows: readonly (readonly [
  what: string,
  bytes: Uint8Array,
  verdict: string,
  offset?: number,
  pointer?: number,
  code?: number,
  tellsGroup?: boolean,
])[] = [
  ['no extension header', packet([], TCP), 'upper', 40, 6],
  ['hop-by-hop with PadN', packet([[HOP, PAD]], TCP), 'upper', 48, 40],
  ['hop-by-hop with six Pad1', packet([[HOP, opts('000000000000')]], TCP), 'upper', 48, 40],
  ['router alert', packet([[HOP, ALERT]], 58), 'upper', 48, 40],
  ['PadN of no bytes', packet([[HOP, opts('050200000100')]], TCP), 'upper', 48, 40],
  ['destination options', packet([[DST, PAD]], TCP), 'upper', 48, 40],
  [
    'all in the order of RFC 8200',
    packet([[HOP, PAD], [DST, PAD], [ROUTING, SPENT], [DST, PAD]], TCP), // prettier-ignore
    'upper',
    88,
    80,
  ],
  ['no next header, with data behind it', packet([], NONE), 'none', 40],
  ['no next header behind options', packet([[DST, PAD]], NONE), 'none', 48],
  ['ESP ends the chain', packet([], ESP), 'upper', 40, 6],
  ['AH ends the chain', packet([[DST, PAD]], AH), 'upper', 48, 40],
  ['a fragment', packet([[FRAGMENT, '00000100000001']], TCP), 'fragment', 40],
  ['a fragment behind hop-by-hop', packet([[HOP, PAD], [FRAGMENT, '00000100000001']], TCP), 'fragment', 48], // prettier-ignore

  ['hop-by-hop behind destination options', packet([[DST, PAD], [HOP, PAD]], TCP), 'problem', 48, 40, 1, false], // prettier-ignore
  ['hop-by-hop twice', packet([[HOP, PAD], [HOP, PAD]], TCP), 'problem', 48, 40, 1, false], // prettier-ignore
  ['routing type 0 with segments left', packet([[ROUTING, RH0]], TCP), 'problem', 40, 42, 0, false],
  ['an unknown routing type with segments left', packet([[ROUTING, '00fd07' + '00000000']], TCP), 'problem', 40, 42, 0, false], // prettier-ignore
  ['an unknown routing type without', packet([[ROUTING, '00fd00' + '00000000']], TCP), 'upper', 48, 40], // prettier-ignore

  ['unknown option, action 00: skip', packet([[DST, opts('1e0400000000')]], TCP), 'upper', 48, 40],
  ['unknown option, action 01: discard', packet([[DST, opts('5e0400000000')]], TCP), 'discard'],
  ['unknown option, action 10: tell always', packet([[DST, opts('9e0400000000')]], TCP), 'problem', 40, 42, 2, true], // prettier-ignore
  ['unknown option, action 11: tell who sent it to one', packet([[DST, opts('de0400000000')]], TCP), 'problem', 40, 42, 2, false], // prettier-ignore
  ['the same behind padding', packet([[DST, opts('00de03000000')]], TCP), 'problem', 40, 43, 2, false], // prettier-ignore
  ['a jumbogram', packet([[HOP, opts('c20400010000')]], TCP), 'problem', 40, 42, 2, false],
  ['an option of length 0', packet([[DST, opts('1e0000000000')]], TCP), 'upper', 48, 40],
  ['an option past the end of its header', packet([[DST, opts('1e0500000000')]], TCP), 'truncated'],
  ['an option without a length', packet([[DST, opts('01030000001e')]], TCP), 'truncated'],
  ['a header past the end of the packet', packet([[DST, 'ff010400000000']], TCP), 'truncated'],
  ['eight bytes of padding', packet([[DST, '01' + '0006000000000000' + '010400000000'.slice(0, 12)]], TCP), 'discard'], // prettier-ignore
  ['eight options', packet([[DST, '02' + '1e00'.repeat(8) + '1e04000000000000'.slice(0, 0) + '010400000000']], TCP), 'upper', 64, 40], // prettier-ignore
  ['nine options', packet([[DST, '02' + '1e00'.repeat(9) + '01020000']], TCP), 'discard'],
  ['eight headers', packet(Array.from({ length: 8 }, () => [DST, PAD] as const), TCP), 'upper', 104, 96], // prettier-ignore
  [
    'nine headers',
    packet(
      Array.from({ length: 9 }, () => [DST, PAD] as const),
      TCP,
    ),
    'discard',
  ],
  ['a hundred headers', packet(Array.from({ length: 100 }, () => [DST, PAD] as const), TCP), 'discard'], // prettier-ignore
]

for (const [what, bytes, verdict, offset, pointer, code, tellsGroup] of rows)
  t.test(`Ipv6Chain.walk(), ${what}`, async t => {
    const chain = new Ipv6Chain()
    t.equal(chain.walk(bytes, 3, bytes.length - 3), verdict)
    if (offset !== undefined) t.equal(chain.offset, offset, 'offset')
    if (pointer !== undefined) t.equal(chain.pointer, pointer, 'pointer')
    if (code !== undefined) t.equal(chain.code, code, 'code')
    if (tellsGroup !== undefined) t.equal(chain.tellsGroup, tellsGroup, 'tellsGroup')
  })

t.test('Ipv6Chain.walk() at every truncation gives a verdict and looks no further', async t => {
  const whole = packet([[HOP, ALERT], [DST, PAD], [ROUTING, SPENT], [FRAGMENT, '00000100000001']], TCP) // prettier-ignore
  const chain = new Ipv6Chain()
  for (let length = 40; length < 88; length++) {
    const cut = whole.slice(0, 3 + length)
    t.equal(chain.walk(cut, 3, length), 'truncated', `${length} bytes`)
  }
  t.equal(chain.walk(whole, 3, 88), 'fragment')
})

t.test('Ipv6Chain.skip() finds the transport behind anything', async t => {
  const chain = new Ipv6Chain()
  const whole = packet([[HOP, ALERT], [DST, opts('de0400000000')], [ROUTING, RH0], [FRAGMENT, '00000100000001']], TCP) // prettier-ignore
  t.ok(chain.skip(whole, 3, whole.length - 3))
  t.same([chain.protocol, chain.offset], [TCP, 40 + 8 + 8 + 24 + 8])
  for (let length = 40; length < 88; length++)
    t.notOk(chain.skip(whole.slice(0, 3 + length), 3, length), `${length} bytes`)
})

t.test('Ipv6Chain.skip() finds no transport in a later fragment', async t => {
  const later = packet([[FRAGMENT, '00000900000001']], TCP)
  t.notOk(new Ipv6Chain().skip(later, 3, later.length - 3))
})

t.test('Ipv6Chain.skipRest() sees whether a first fragment has the whole chain', async t => {
  const chain = new Ipv6Chain()
  for (const [what, inner, want] of [
    ['the transport header', [], true],
    ['options that end in it', [[DST, PAD]], true],
    ['options that end beyond it', [[DST, '03' + '010400000000']], false],
  ] as const) {
    const bytes = packet([[FRAGMENT, '00000100000001'], ...inner], TCP)
    t.equal(chain.walk(bytes, 3, bytes.length - 3), 'fragment')
    t.equal(chain.skipRest(bytes, 3, bytes.length - 3), want, what)
  }
})

t.test(
  'Ipv6Chain, a million random bytes, seed 8: no throw, and nothing beyond the packet',
  async t => {
    const next = random(8)
    const chain = new Ipv6Chain()
    const types = [HOP, ROUTING, FRAGMENT, DST, TCP, NONE]
    for (let round = 0; round < 10_000; round++) {
      const bytes = Uint8Array.from({ length: 100 }, () => (next() % 3 === 0 ? types[next() % 6] : next() % 9)) // prettier-ignore
      bytes[6] = types[next() % 6]
      const verdict = chain.walk(bytes, 0, 100)
      if (chain.offset > 100) t.fail(`offset ${chain.offset} after ${verdict}`)
      chain.skip(bytes, 0, 100)
    }
  },
)
