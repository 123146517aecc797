// ICMP for IPv4: echo, the errors that we send (RFC 1122 section 3.2.2, RFC 1812 section 4.3) and those that we get.
import {
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
} from '../../base/errno.ts'
import { i32, u16 } from '../../base/bytes.ts'
import { Address } from '../../wire/address.ts'
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_ECHO,
  ICMP_FRAG_NEEDED,
  ICMP_HEADER_LEN,
  ICMP_HOST_UNREACH,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  IcmpMessage,
  ICMP_ECHO_REPLY,
  emitIcmp,
  isIcmpError,
} from '../../wire/icmpv4.ts'
import { IPPROTO_ICMP, IPV4_HEADER_LEN, Ipv4Packet } from '../../wire/ipv4.ts'
import type { NetCounters } from './counters.ts'
import { MIN_PMTU_V4, type PathMtus } from './path-mtu.ts'
import type { Packet, Path } from './path.ts'
import {
  type Listener,
  NO_PINGER,
  type Pinger,
  type Protocol,
  type Unreachable,
} from './protocol.ts'
import type { Redirects } from './redirects.ts'
import { RateLimit } from './rate-limit.ts'

/** Error messages have at most so many bytes, IP header included (RFC 1812 section 4.3.2.3). */
const MAX_ERROR = 576
/** What of the quoted datagram's transport header an error has at least (RFC 792): ports and sequence number. */
const QUOTED_TRANSPORT = 8

/** RFC 1191 section 7.1: what routers that do not tell may have meant. */
const PLATEAUS = [32000, 17914, 8166, 4352, 2002, 1492, 1006, MIN_PMTU_V4]

/** What ICMP needs of IP. */
export interface IcmpGround {
  readonly counters: NetCounters
  readonly protocols: ReadonlyMap<number, Protocol>
  readonly pathMtus: PathMtus
  readonly redirects: Redirects
  /** Raw sockets. */
  readonly listener: Listener
  isLocal(word: number): boolean
  path(src: Address, dst: Address, protocol: number): Path | number
  random(): number
}

export class Icmp implements Protocol {
  pinger: Pinger = NO_PINGER
  private readonly ground: IcmpGround
  private readonly limit: RateLimit

  constructor(ground: IcmpGround) {
    this.ground = ground
    this.limit = new RateLimit(() => ground.random())
  }

  arrives(packet: Packet, now: number): void {
    const { counters } = this.ground
    counters.icmpIn++
    const { bytes, transport, length, checksumValid } = packet
    const message = IcmpMessage.parse(bytes, transport, length, checksumValid)
    if (message === undefined) counters.icmpMalformed++
    else if (message.type === ICMP_ECHO) this.echo(packet, message)
    else if (message.type === ICMP_SOURCE_QUENCH)
      counters.icmpIgnored++ // RFC 6633
    else if (message.type === ICMP_REDIRECT) this.ground.redirects.arrives(packet, message, now)
    else if (message.isError) this.errorArrives(packet, message, now)
    else if (message.type !== ICMP_ECHO_REPLY || !this.pinger.replied(packet, now))
      counters.icmpIgnored++
  }

  /** Of an echo reply that did not arrive nobody wants to know. */
  unreachable(error: Unreachable, now: number): boolean {
    return this.pinger.unreachable(error, now)
  }

  /**
   * Tells the sender of a datagram of `length` bytes at `at` (of which no more than these may be quoted) why it was
   * not taken: `type` and `code`. Not about an error, not about a fragment but the first (RFC 1122 section
   * 3.2.2), and not too often. What was for a group is not told of.
   */
  error(
    bytes: Uint8Array,
    at: number,
    length: number,
    type: number,
    code: number,
    now: number,
  ): void {
    const { counters } = this.ground
    const about = Ipv4Packet.parse(bytes, at, length)
    if (about === undefined || about.fragmentOffset !== 0 || !this.ground.isLocal(about.dst)) return
    if (about.protocol === IPPROTO_ICMP) {
      if (length <= about.headerLength || isIcmpError(bytes[at + about.headerLength])) return
    }
    if (!this.limit.allows(now)) {
      counters.icmpRateLimited++
      return
    }
    const quoted = Math.min(length, MAX_ERROR - IPV4_HEADER_LEN - ICMP_HEADER_LEN)
    if (this.send(about.dst, about.src, type, code, 0, bytes, at, quoted)) counters.icmpErrorsOut++
  }

  /** A packet of ours waited in vain for its neighbor: its sender hears what a router would have told it. */
  undeliverable(packet: Uint8Array, now: number): void {
    const quoted = Ipv4Packet.parse(packet, 0, packet.length)
    if (quoted !== undefined)
      this.report(
        quoted,
        packet.length,
        ICMP_DEST_UNREACHABLE,
        ICMP_HOST_UNREACH,
        0,
        0,
        undefined,
        now,
      )
  }

  /** RFC 1122 section 3.2.2.6: all the data comes back, and from the address it was sent to. */
  private echo(packet: Packet, message: IcmpMessage): void {
    const { body, bodyLength, rest, bytes } = message
    this.send(
      packet.dstWord(3),
      packet.srcWord(3),
      ICMP_ECHO_REPLY,
      0,
      rest,
      bytes,
      body,
      bodyLength,
    )
  }

  private send(
    src: number,
    dst: number,
    type: number,
    code: number,
    rest: number,
    bytes: Uint8Array,
    body: number,
    bodyLength: number,
  ): boolean {
    const { counters } = this.ground
    const path = this.ground.path(Address.v4(src), Address.v4(dst), IPPROTO_ICMP)
    const length = ICMP_HEADER_LEN + bodyLength
    const at = typeof path === 'number' ? -1 : path.open(length)
    if (typeof path === 'number' || at < 0) {
      counters.icmpNoRoom++
      return false
    }
    path.bytes.set(bytes.subarray(body, body + bodyLength), at + ICMP_HEADER_LEN)
    emitIcmp(path.bytes, at, length, type, code, rest)
    path.close(length, 0, -1)
    counters.icmpOut++
    return true
  }

  private errorArrives(packet: Packet, message: IcmpMessage, now: number): void {
    const { counters } = this.ground
    const { bytes, body, bodyLength, type, code, rest } = message
    counters.icmpErrorsIn++
    const quoted = Ipv4Packet.parse(bytes, body, bodyLength)
    if (quoted === undefined) {
      counters.icmpMalformed++
      return
    }
    let mtu = 0
    if (type === ICMP_DEST_UNREACHABLE && code === ICMP_FRAG_NEEDED) {
      mtu = pathMtu(message.nextHopMtu, quoted.totalLength)
      if (mtu === 0) {
        counters.icmpMalformed++
        return
      }
    }
    const info = type === ICMP_PARAMETER_PROBLEM ? rest >>> 24 : mtu
    this.report(quoted, bodyLength, type, code, mtu, info, packet, now)
  }

  /** Hands an error to the protocol whose datagram it quotes, `length` bytes of it. */
  private report(
    quoted: Ipv4Packet,
    length: number,
    type: number,
    code: number,
    mtu: number,
    info: number,
    by: Packet | undefined,
    now: number,
  ): void {
    const { ground } = this
    const { bytes, at, headerLength } = quoted
    const protocol = ground.protocols.get(quoted.protocol)
    const heard = ground.listener.counts[quoted.protocol] > 0
    const transport = at + headerLength
    if (
      (protocol === undefined && !heard) ||
      quoted.fragmentOffset !== 0 ||
      length < headerLength + QUOTED_TRANSPORT ||
      !ground.isLocal(quoted.src)
    ) {
      ground.counters.icmpErrorNotOurs++
      return
    }
    const [errno, hard] = meaning(type, code)
    const src = Address.v4(quoted.src)
    const dst = Address.v4(quoted.dst)
    const srcPort = u16(bytes, transport)
    const dstPort = u16(bytes, transport + 2)
    const seq = i32(bytes, transport + 4)
    const end = at + length
    const what = { type, code, mtu, info, from: by?.src() ?? src, ttl: by?.ttl ?? -1 }
    const quote = { src, dst, srcPort, dstPort, seq, bytes, ip: at, transport, end }
    const error = { errno, hard, ...what, ...quote }
    const ours = heard && ground.listener.unreachable(error, quoted.protocol, now)
    const known = protocol?.unreachable(error, now) === true || ours
    if (known && mtu > 0) ground.pathMtus.learn(dst, mtu, now)
  }
}

/** The next hop's mtu, guessed where the router did not say; 0: it makes no sense. */
function pathMtu(said: number, totalLength: number): number {
  const mtu = said === 0 ? (PLATEAUS.find(plateau => plateau < totalLength) ?? 0) : said
  if (mtu === 0 || mtu >= totalLength) return 0
  return Math.max(mtu, MIN_PMTU_V4)
}

/** Errno of destination unreachable by code, and whether it is hard, as Linux has them (icmp_err_convert). */
const UNREACHABLE: readonly (readonly [errno: number, hard: boolean])[] = [
  [ENETUNREACH, false],
  [EHOSTUNREACH, false],
  [ENOPROTOOPT, true],
  [ECONNREFUSED, true],
  [EMSGSIZE, false],
  [EOPNOTSUPP, false],
  [ENETUNREACH, true],
  [EHOSTDOWN, true],
  [ENONET, true],
  [ENETUNREACH, true],
  [EHOSTUNREACH, true],
  [ENETUNREACH, false],
  [EHOSTUNREACH, false],
  [EHOSTUNREACH, true],
  [EHOSTUNREACH, true],
  [EHOSTUNREACH, true],
]

function meaning(type: number, code: number): readonly [errno: number, hard: boolean] {
  if (type === ICMP_PARAMETER_PROBLEM) return [EPROTO, true]
  if (type === ICMP_TIME_EXCEEDED) return [EHOSTUNREACH, false]
  return UNREACHABLE[code] ?? [EHOSTUNREACH, false]
}
