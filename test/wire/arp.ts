import t from 'tap'
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, ArpMessage, emitArp } from '../../src/wire/arp.ts'
import { formatMac, parseMac } from '../../src/wire/mac.ts'
import { ip } from '../helpers/net.ts'

/** "who-has 10.0.0.2 tell 10.0.0.1", as tcpdump -xx shows it. */
const CAPTURED = Uint8Array.from(
  Buffer.from('00010800060400010242ac1100020a0000010000000000000a000002', 'hex'),
)

t.test('ArpMessage.parse() of a captured request', async t => {
  const message = ArpMessage.parse(CAPTURED, 0, CAPTURED.length)!
  t.equal(message.op, ARP_REQUEST)
  t.equal(formatMac(message.sha), '02:42:ac:11:00:02')
  t.equal(message.spa, ip('10.0.0.1'))
  t.ok(message.tha.isZero)
  t.equal(message.tpa, ip('10.0.0.2'))
})

t.test('emitArp() writes the same bytes', async t => {
  const bytes = new Uint8Array(ARP_LEN + 2)
  const { op, sha, spa, tha, tpa } = ArpMessage.parse(CAPTURED, 0, ARP_LEN)!
  emitArp(bytes, 1, { op, sha, spa, tha, tpa })
  t.same(bytes.subarray(1, 1 + ARP_LEN), CAPTURED)
  t.same([bytes[0], bytes[ARP_LEN + 1]], [0, 0])
})

t.test('ArpMessage.parse() takes padding, refuses every shorter length', async t => {
  const padded = new Uint8Array(46)
  padded.set(CAPTURED)
  t.ok(ArpMessage.parse(padded, 0, 46))
  for (let length = 0; length < ARP_LEN; length++)
    t.equal(ArpMessage.parse(CAPTURED, 0, length), undefined, `${length} bytes`)
})

for (const [what, at, value] of [
  ['hardware type', 1, 6],
  ['protocol type', 2, 0x86],
  ['hardware length', 4, 8],
  ['protocol length', 5, 16],
  ['operation 0', 7, 0],
  ['operation 3 (RARP)', 7, 3],
] as const)
  t.test(`ArpMessage.parse() refuses another ${what}`, async t => {
    const bytes = CAPTURED.slice()
    bytes[at] = value
    t.equal(ArpMessage.parse(bytes, 0, ARP_LEN), undefined)
  })

t.test('a reply is parsed too', async t => {
  const bytes = new Uint8Array(ARP_LEN)
  const sha = parseMac('02:00:00:00:00:01')!
  const tha = parseMac('02:00:00:00:00:02')!
  emitArp(bytes, 0, { op: ARP_REPLY, sha, spa: ip('10.0.0.1'), tha, tpa: ip('255.255.255.255') })
  const message = ArpMessage.parse(bytes, 0, ARP_LEN)!
  t.equal(message.op, ARP_REPLY)
  t.ok(message.tha.equals(tha))
  t.equal(message.tpa, -1)
})
