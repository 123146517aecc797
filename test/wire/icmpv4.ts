import t from 'tap'
import { checksum } from '../../src/wire/checksum.ts'
import { ICMP_ECHO, IcmpMessage, emitIcmp } from '../../src/wire/icmpv4.ts'

/** ping's first message: id 0x1234, sequence number 1. */
const bytes = new Uint8Array(17)
bytes.set(Buffer.from('datadata'), 9)
emitIcmp(bytes, 1, 16, ICMP_ECHO, 0, 0x12340001)

t.test('emitIcmp() and IcmpMessage.parse()', async t => {
  t.equal(checksum(bytes, 1, 16), 0)
  const message = IcmpMessage.parse(bytes, 1, 16)!
  t.equal(message.type, ICMP_ECHO)
  t.equal(message.code, 0)
  t.equal(message.rest, 0x12340001)
  t.equal(message.nextHopMtu, 1)
  t.equal(message.body, 9)
  t.equal(message.bodyLength, 8)
  t.notOk(message.isError)
})

t.test('IcmpMessage.parse() refuses a wrong checksum, unless it is known to be right', async t => {
  const damaged = bytes.slice()
  damaged[12] ^= 1
  t.equal(IcmpMessage.parse(damaged, 1, 16), undefined)
  t.ok(IcmpMessage.parse(damaged, 1, 16, true))
})

t.test('IcmpMessage.parse() refuses every truncation', async t => {
  for (let length = 0; length < 16; length++)
    t.equal(IcmpMessage.parse(bytes, 1, length), undefined, `${length} bytes`)
  for (let length = 0; length < 8; length++)
    t.equal(IcmpMessage.parse(bytes, 1, length, true), undefined, `${length} bytes, sum right`)
})

t.test('IcmpMessage.isError is so for 3, 4, 5, 11 and 12 only', async t => {
  const errors = []
  for (let type = 0; type < 256; type++) {
    const message = new IcmpMessage(Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0), 0, 8)
    if (message.isError) errors.push(type)
  }
  t.same(errors, [3, 4, 5, 11, 12])
})
