import t from 'tap'
import {
  NLMSG_ERROR,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  attribute,
  attributesIn,
  concat,
  i32s,
  messagesIn,
  netlinkError,
  netlinkMessage,
  textIn,
  u32In,
  u64s,
  zeroEnded,
} from '../../src/wire/netlink.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const show = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

const ACK_OF_7 = '10000000 0100 0500 07000000 00000000'

for (const [name, bytes, want] of [
  ['one message', ACK_OF_7, ['1/7/0']],
  [
    'two, the first padded',
    '11000000 1200 0100 01000000 00000000 aa000000' + ACK_OF_7,
    ['18/1/1', '1/7/0'],
  ],
  ['no padding behind the last', '11000000 1200 0100 01000000 00000000 aa', ['18/1/1']],
  ['a length below the header', '0f000000 1200 0100 01000000 00000000', []],
  ['a length of 0', '00000000 1200 0100 01000000 00000000', []],
  ['a length beyond the datagram', '11000000 1200 0100 01000000 00000000', []],
  ['a length of 2^32 - 1', 'ffffffff 1200 0100 01000000 00000000', []],
  ['a good one before a bad one', `${ACK_OF_7} ffffffff 1200 0100 01000000 00000000`, ['1/7/0']],
  ['less than a header', '10000000 1200', []],
  ['nothing', '', []],
] as const)
  t.test(`messagesIn(): ${name}`, async t => {
    const found = [...messagesIn(hex(bytes))]
    t.same(
      found.map(({ type, seq, body }) => `${type}/${seq}/${body.length}`),
      want,
    )
  })

for (const [name, bytes, want] of [
  ['two', '0800 0100 01020304 0500 0200 aa000000', { 1: '01020304', 2: 'aa' }],
  ['an empty one', '0400 0100', { 1: '' }],
  ['flags of the type are no part of it', '0500 0380 aa', { 3: 'aa' }],
  ['of two with one type the later', '0500 0100 aa000000 0500 0100 bb', { 1: 'bb' }],
  ['a length below the header', '0300 0100 aa000000', {}],
  ['a length beyond the message', '0900 0100 01020304', {}],
  ['rubbish behind good ones', '0500 0100 aa000000 ff', { 1: 'aa' }],
] as const)
  t.test(`attributesIn(): ${name}`, async t => {
    const found = attributesIn(hex(bytes), 0)
    t.same(Object.fromEntries([...found].map(([type, value]) => [type, show(value)])), want)
  })

t.test('what is put together is taken apart again, cut anywhere it gives a beginning', async t => {
  const attributes = [
    attribute(3, zeroEnded('eth0')),
    attribute(4, i32s(1500)),
    attribute(23, u64s(2 ** 40)),
  ]
  const message = netlinkMessage(16, 2, 0xfffffffe, 77, concat(attributes))
  const [found, ...more] = messagesIn(message)
  t.equal(more.length, 0)
  t.match(found, { type: 16, flags: 2, seq: 0xfffffffe, pid: 77 })
  const read = attributesIn(found.body, 0)
  t.equal(textIn(read.get(3)!), 'eth0')
  t.equal(u32In(read.get(4)), 1500)
  t.equal(show(read.get(23)!), '0000000000010000')
  for (let n = 0; n < message.length; n++)
    t.same([...messagesIn(message.subarray(0, n))], [], `${n}`)
  for (let n = 0; n <= found.body.length; n++) {
    const part = attributesIn(found.body.subarray(0, n), 0)
    for (const [type, value] of part) t.equal(show(value), show(read.get(type)!), `${n}`)
  }
})

const [request] = messagesIn(hex('18000000 e803 0100 09000000 00000000 0102030405060708'))

for (const [name, errno, capped, why, flags, text] of [
  ['a failure echoes the request', -95, false, undefined, 0, `a1ffffff${show(request.bytes)}`],
  [
    'capped: its header only',
    -95,
    true,
    undefined,
    NLM_F_CAPPED,
    `a1ffffff${show(request.bytes.subarray(0, 16))}`,
  ],
  [
    'an acknowledgment has the header',
    0,
    false,
    undefined,
    NLM_F_CAPPED,
    `00000000${show(request.bytes.subarray(0, 16))}`,
  ],
  [
    'a sentence follows',
    -95,
    true,
    'no',
    NLM_F_CAPPED | NLM_F_ACK_TLVS,
    `a1ffffff${show(request.bytes.subarray(0, 16))}07000100${'6e6f0000'}`,
  ],
] as const)
  t.test(`netlinkError(): ${name}`, async t => {
    const [found] = messagesIn(netlinkError(request, 5, errno, capped, why))
    t.match(found, { type: NLMSG_ERROR, flags, seq: 9, pid: 5 })
    t.equal(show(found.body), text)
  })
