import t from 'tap'

import {
  CTL_BRIDGE,
  CTL_CLAIM,
  CTL_DONE,
  CTL_HELLO,
  CTL_TAKEN,
  emitBridge,
  emitClaim,
  emitDone,
  emitHello,
  emitRefused,
  emitTaken,
  emitWelcome,
  MAX_MESSAGE,
  messageLength,
  messageType,
  parseBridge,
  parseClaim,
  parseHello,
  parseRefused,
  parseTaken,
  parseWelcome,
} from '../../src/switch/ctl.ts'
import { MAX_CLAIMS } from '../../src/switch/registry.ts'
import { parseAddress } from '../../src/wire/address-text.ts'
import { Address } from '../../src/wire/address.ts'
import { Mac, parseMac } from '../../src/wire/mac.ts'
import { random } from '../helpers/random.ts'

const address = (text: string) => {
  const parsed = parseAddress(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const hello = {
  mac: parseMac('02:00:00:00:00:05') ?? new Mac(0, 0),
  addresses: [address('10.0.0.5'), address('fd00::5')],
  pid: 123,
  command: 'nginx',
}

t.test('what is emitted is parsed', async t => {
  t.same(parseHello(emitHello(hello)), hello)
  t.equal(messageType(emitHello(hello)), CTL_HELLO)
  t.same(parseBridge(emitBridge({ pid: 7, command: 'ioth plug' })), {
    pid: 7,
    command: 'ioth plug',
  })
  t.equal(messageType(emitBridge({ pid: 7, command: '' })), CTL_BRIDGE)
  t.same(parseClaim(emitClaim(CTL_CLAIM, hello.addresses)), hello.addresses)
  t.same(parseWelcome(emitWelcome({ ringSize: 2 << 20, mtu: 1500 })), {
    ringSize: 2 << 20,
    mtu: 1500,
  })
  const taken = { address: hello.addresses[0], mac: hello.mac, pid: 5, command: 'sh' }
  t.same(parseTaken(emitTaken(taken)), taken)
  t.same(parseTaken(emitTaken({ ...taken, address: undefined })), { ...taken, address: undefined })
  t.equal(messageType(emitTaken(taken)), CTL_TAKEN)
  t.equal(parseRefused(emitRefused('it is full')), 'it is full')
  t.equal(messageType(emitDone()), CTL_DONE)
  const many = {
    ...hello,
    addresses: Array.from({ length: MAX_CLAIMS }, (_, i) => Address.v4(0x0a000001 + i)),
  }
  t.same(parseHello(emitHello(many)), many)
  t.throws(
    () => emitHello({ ...many, addresses: [...many.addresses, hello.addresses[0]] }),
    RangeError,
  )
})

t.test('messageLength(): a stream cut anywhere, foreign words, lengths that lie', async t => {
  const whole = emitHello(hello)
  for (let n = 0; n < whole.length; n++)
    t.equal(messageLength(whole.subarray(0, n)), 0, `${n} bytes`)
  t.equal(messageLength(whole), whole.length)
  t.equal(messageLength(Buffer.concat([whole, whole])), whole.length)
  t.equal(messageLength(Buffer.from('cefaedfe03000000', 'hex')), -1, 'VDE’s request')
  for (const length of [0, 15, MAX_MESSAGE + 1, 0xffffffff]) {
    const lying = Buffer.from(whole)
    lying.writeUInt32LE(length, 12)
    t.equal(messageLength(lying), -1, `length ${length}`)
  }
  const longest = emitHello({ ...hello, command: 'x'.repeat(5000) })
  t.equal(messageLength(longest), longest.length, 'a long command is cut')
})

t.test('parseHello() refuses what no station has', async t => {
  for (const [name, change] of [
    ['a multicast MAC', { mac: new Mac(0x0100, 1) }],
    ['no MAC', { mac: new Mac(0, 0) }],
    ['a multicast address', { addresses: [address('224.0.0.1')] }],
    ['0.0.0.0', { addresses: [address('0.0.0.0')] }],
    ['loopback', { addresses: [address('127.0.0.1')] }],
    ['::1', { addresses: [address('::1')] }],
  ] as const)
    t.equal(parseHello(emitHello({ ...hello, ...change })), undefined, name)
  const more = emitHello(hello)
  more.writeUInt16LE(60, 26)
  t.equal(parseHello(more), undefined, 'more addresses than there are')
})

t.test('a command is fit for a terminal', async t => {
  const nasty = parseHello(emitHello({ ...hello, command: 'a\u001b[2Jb\nc\u202e' }))
  t.equal(nasty?.command, 'a?[2Jb?c?')
})

t.test('seed 1: truncated and scribbled messages are parsed or refused, never more', async t => {
  const next = random(1)
  const messages = [
    emitHello(hello),
    emitBridge(hello),
    emitClaim(CTL_CLAIM, hello.addresses),
    emitTaken({ ...hello, address: hello.addresses[1] }),
    emitWelcome({ ringSize: 1, mtu: 2 }),
  ]
  for (let i = 0; i < 5000; i++) {
    const message = Buffer.from(messages[i % messages.length])
    for (let k = next() % 4; k > 0; k--) message[16 + (next() % (message.length - 16))] = next()
    const cut = message.subarray(0, 16 + (next() % (message.length - 15)))
    for (const parse of [
      parseHello,
      parseBridge,
      parseClaim,
      parseTaken,
      parseWelcome,
      parseRefused,
    ])
      parse(cut)
    const addresses = parseHello(cut)?.addresses ?? parseClaim(cut) ?? []
    if (addresses.length > MAX_CLAIMS) t.fail(`${addresses.length} addresses`)
  }
  t.pass('nothing was thrown')
})
