// Every parser of foreign bytes, fed with damaged good messages and with noise. None may throw (those of a user's text: but
// for the one sentence), none may read past the message it was given, and each takes no longer than its input is.
import { strict as assert } from 'node:assert'

import { UserError } from '../../src/base/user-error.ts'
import { parseConfString } from '../../src/conf/string.ts'
import { VnetHeader } from '../../src/plug/vnet-header.ts'
import { parseVnl } from '../../src/plug/vnl.ts'
import {
  emitHello,
  messageLength,
  parseClaim,
  parseHello,
  parseTaken,
  parseWelcome,
} from '../../src/switch/ctl.ts'
import { parseAddress, parsePrefix } from '../../src/wire/address-text.ts'
import { ArpMessage } from '../../src/wire/arp.ts'
import { BOOTREPLY, DHCPACK, emitDhcp, parseDhcp } from '../../src/wire/dhcp.ts'
import { readAddresses, readDomain, readRoutes, readSearch } from '../../src/wire/dhcp-options.ts'
import { REPLY, emitDhcpv6, parseDhcpv6 } from '../../src/wire/dhcpv6.ts'
import { emitName, parseNames } from '../../src/wire/domain-name.ts'
import { IgmpMessage } from '../../src/wire/igmp.ts'
import { Ipv4Packet, ipv4Options } from '../../src/wire/ipv4.ts'
import { Ipv6Chain } from '../../src/wire/ipv6-extensions.ts'
import { IcmpMessage } from '../../src/wire/icmpv4.ts'
import { emitMldQuery, parseMldQuery, parseMldReport } from '../../src/wire/mldv2.ts'
import {
  attribute,
  attributesIn,
  concat,
  i32s,
  messagesIn,
  netlinkMessage,
} from '../../src/wire/netlink.ts'
import {
  emitRouterAdvert,
  parseNdOptions,
  parseNeighborAdvert,
  parseNeighborSolicit,
  parseRedirect,
  parseRouterAdvert,
} from '../../src/wire/ndp.ts'
import { Segmenter } from '../../src/wire/segment.ts'
import { TcpOptions } from '../../src/wire/tcp-options.ts'
import { isWhole, udpLength } from '../../src/wire/udp.ts'
import { addr, ipv4Frame, macOf } from './net.ts'
import { random } from './random.ts'

/** What is around the message: a parser that looks there finds nonsense, and another answer when it changes. */
const MARGIN = 64
const MOST = 1600

/** Parses `length` bytes at `at`; what it gives is compared, so it holds all that was read. */
type Parse = (bytes: Uint8Array, at: number, length: number) => unknown

const part = (bytes: Uint8Array, at: number, length: number) => bytes.slice(at, at + length)
const text = (bytes: Uint8Array, at: number, length: number) =>
  Buffer.from(part(bytes, at, length)).toString('latin1')

/** The user's own sentence, or a value. */
function orSentence(parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
}

const options = new TcpOptions()
const chain = new Ipv6Chain()
const segmenter = new Segmenter()
const header = new VnetHeader()

const written = (emit: (bytes: Uint8Array, at: number) => number) => {
  const space = new Uint8Array(MOST)
  return space.slice(0, emit(space, 0))
}

export const parsers: Record<string, { parse: Parse; corpus: () => Uint8Array[] }> = {
  ARP: {
    parse: (b, at, n) => ArpMessage.parse(b, at, n)?.tpa,
    corpus: () => [
      Buffer.from('0001080006040001020000000002' + '0a000002' + '00'.repeat(10), 'hex'),
    ],
  },
  'IPv4 header and options': {
    parse: (b, at, n) => {
      const packet = Ipv4Packet.parse(b, at, n)
      return packet && [packet.totalLength, packet.dst, ipv4Options(b, at, packet.headerLength)]
    },
    corpus: () => [
      ipv4Frame(new Uint8Array(40)).slice(14),
      Buffer.from('4800'.padEnd(64, '8307'), 'hex'),
    ],
  },
  'IPv6 extension headers': {
    parse: (b, at, n) => (n < 40 ? 0 : [chain.walk(b, at, n), chain.offset, chain.protocol]),
    corpus: () => [
      Buffer.from(
        '60000000002000ff' +
          '00'.repeat(32) +
          '3c00050200000100' +
          '2b00010400000000' +
          '0600000000000000',
        'hex',
      ),
    ],
  },
  ICMP: {
    parse: (b, at, n) => IcmpMessage.parse(b, at, n, true)?.body,
    corpus: () => [new Uint8Array(40)],
  },
  IGMP: {
    parse: (b, at, n) => {
      const m = IgmpMessage.parse(b, at, n)
      return (
        m && [m.version, m.maxResponse, m.sourceCount, m.sourceCount && m.source(m.sourceCount - 1)]
      )
    },
    corpus: () => [
      Buffer.from('1164ee9b00000000', 'hex'),
      Buffer.from('1100000000000000027d0001c0000201', 'hex'),
    ],
  },
  'neighbor discovery': {
    parse: (b, at, n) =>
      [parseNeighborSolicit, parseNeighborAdvert, parseRouterAdvert, parseRedirect].map(parse =>
        parse(b, at, n),
      ),
    corpus: () => [
      written((b, at) =>
        emitRouterAdvert(b, at, {
          sourceMac: macOf(1),
          mtu: 1400,
          rdnss: [{ lifetime: 600, addresses: [addr('2001:db8::53')] }],
          dnssl: [{ lifetime: 600, names: ['example.org', 'a.b.c'] }],
          routes: [{ prefix: parsePrefix('2001:db8:1::/48')!, preference: 'low', lifetime: 6 }],
        }),
      ),
    ],
  },
  'neighbor discovery options': {
    parse: (b, at, n) => parseNdOptions(b, at, at + n),
    corpus: () => [Buffer.from('010102000000000105010000000005dc', 'hex')],
  },
  MLD: {
    parse: (b, at, n) => [parseMldQuery(b, at, n), parseMldReport(b, at, n)],
    corpus: () => [
      written((b, at) => emitMldQuery(b, at, 1000, addr('ff15::1'), [addr('2001:db8::7')], 2, 125)),
    ],
  },
  UDP: {
    parse: (b, at, n) => isWhole(b, at, n) && text(b, at, udpLength(b, at)),
    corpus: () => [Buffer.from('0035003500100000' + '00'.repeat(8), 'hex')],
  },
  'TCP options': {
    parse: (b, at, n) => [
      options.parse(b, at, at + Math.min(n, 40), true),
      options.mss,
      options.windowShift,
      options.tsVal,
      [...options.sacks.subarray(0, 2 * options.sackCount)],
      options.fastOpen,
    ],
    corpus: () => [Buffer.from('020405b40402080a000000010000000001030307', 'hex')],
  },
  DHCP: {
    parse: (b, at, n) => {
      const m = parseDhcp(part(b, at, n))
      return (
        m && [
          m.yiaddr,
          readAddresses(m.options, 6),
          readRoutes(m.options),
          readSearch(m.options),
          readDomain(m.options),
        ]
      )
    },
    corpus: () => [
      emitDhcp({
        op: BOOTREPLY,
        type: DHCPACK,
        xid: 7,
        chaddr: macOf(1),
        options: new Map([
          [1, Buffer.from('ffffff00', 'hex')],
          [6, Buffer.from('0a0000010a000002', 'hex')],
          [119, Buffer.from('076578616d706c65036f7267000377777' + '7c000', 'hex')],
          [121, Buffer.from('180a000a0a0000010a0000fe', 'hex')],
        ]),
      }),
    ],
  },
  DHCPv6: {
    parse: (b, at, n) => parseDhcpv6(part(b, at, n)),
    corpus: () => [
      emitDhcpv6({ type: REPLY, xid: 7, dns: [addr('2001:db8::53')], domains: ['example.org'] }),
    ],
  },
  'domain names': {
    parse: (b, at, n) => [parseNames(part(b, at, n), true), parseNames(part(b, at, n))],
    corpus: () => [emitName('a.very.long.example.org')!, Buffer.from('03777777c000', 'hex')],
  },
  'offload headers': {
    parse: (b, at, n) =>
      n < 10 ? 0 : [header.parse(b, at, n - 10), header.gsoSize, header.checksumStart],
    corpus: () => [
      Buffer.concat([
        Buffer.from('01013200b4052200' + '1000', 'hex'),
        ipv4Frame(new Uint8Array(100)),
      ]),
    ],
  },
  'frames to be cut': {
    parse: (b, at, n) =>
      segmenter.start(b, at, n, 1 + (b[at] & 255), 34, 16) && [segmenter.count, segmenter.longest],
    corpus: () => [ipv4Frame(new Uint8Array(1000))],
  },
  netlink: {
    parse: (b, at, n) => {
      const found = [...messagesIn(b.subarray(at, at + n))]
      if (found.length === 0) return undefined
      return found.map(({ type, seq, body }) => [type, seq, [...attributesIn(body, 8)].map(String)])
    },
    corpus: () => [
      netlinkMessage(
        20,
        5,
        7,
        0,
        concat([i32s(2, 2), attribute(2, i32s(5)), attribute(4, i32s(1))]),
      ),
      concat([
        netlinkMessage(18, 1, 1, 0, i32s(0)),
        netlinkMessage(22, 1, 2, 0, new Uint8Array(33)),
      ]),
    ],
  },
  'messages to a switch': {
    parse: (b, at, n) => {
      const message = Buffer.from(part(b, at, n))
      if (messageLength(message) !== n) return messageLength(message)
      return [parseHello(message), parseClaim(message), parseWelcome(message), parseTaken(message)]
    },
    corpus: () => [
      emitHello({
        mac: macOf(1),
        addresses: [addr('10.0.0.1'), addr('fd00::1')],
        pid: 7,
        command: 'true',
      }),
    ],
  },
  'addresses as text': {
    parse: (b, at, n) => [parseAddress(text(b, at, n)), parsePrefix(text(b, at, n))],
    corpus: () => ['10.0.0.5/24', 'fe80::1', '::ffff:10.0.0.5/96'].map(s => Buffer.from(s)),
  },
  'VNLs as text': {
    parse: (b, at, n) => orSentence(() => parseVnl(text(b, at, n))),
    corpus: () =>
      ['switch://lab', 'fault://loss=1,delay=20+5N{pcap:///x{tap://t0}}', 'vde:///a[x=1/y]'].map(
        s => Buffer.from(s),
      ),
  },
  'configuration as text': {
    parse: (b, at, n) => orSentence(() => parseConfString(text(b, at, n))),
    corpus: () =>
      ['eth,dhcp,ip=10.0.0.5/24 gw="10.0.0.1"', "fqdn='a.b' rd slaac # what"].map(s =>
        Buffer.from(s),
      ),
  },
}

/** Parses `count` damaged messages. How many of them gave something. */
export function fuzzParser(name: string, seed: number, count: number): number {
  const { parse, corpus } = parsers[name]
  const next = random(seed)
  const messages = corpus()
  const bytes = new Uint8Array(MOST + 2 * MARGIN)
  let given = 0
  for (let i = 0; i < count; i++) {
    const length = damage(next, messages, bytes)
    const before = JSON.stringify(parse(bytes, MARGIN, length) ?? null)
    if (before !== 'null') given++
    if (i % 16 > 0) continue
    // What lies around it says something else.
    for (let k = 0; k < MARGIN; k++) bytes[k] ^= 0xff
    for (let k = MARGIN + length; k < bytes.length; k++) bytes[k] ^= 0xff
    const after = JSON.stringify(parse(bytes, MARGIN, length) ?? null)
    assert.equal(after, before, `${name} looks past the ${length} bytes of its message`)
  }
  return given
}

/** Puts a message at MARGIN; its length. */
function damage(next: () => number, messages: readonly Uint8Array[], bytes: Uint8Array): number {
  const kind = next() % 8
  if (kind === 0) {
    const length = next() % 200
    for (let i = 0; i < length; i++) bytes[MARGIN + i] = next()
    return length
  }
  const from = messages[next() % messages.length]
  bytes.set(from, MARGIN)
  let length = from.length
  for (let n = next() % 5; n > 0; n--) {
    const at = MARGIN + (next() % Math.max(1, length))
    bytes[at] = [bytes[at] ^ (1 << (next() % 8)), 0, 1, 0xff, next()][next() % 5]
  }
  if (kind === 1) length = next() % (length + 1)
  if (kind === 2) {
    const more = next() % Math.min(300, MOST - length + 1)
    for (let i = 0; i < more; i++) bytes[MARGIN + length + i] = next() % 3 === 0 ? 0 : next()
    length += more
  }
  if (kind === 3 && length > 1) {
    const at = next() % length
    bytes.copyWithin(MARGIN + at, MARGIN + (next() % length), MARGIN + length)
  }
  return length
}
