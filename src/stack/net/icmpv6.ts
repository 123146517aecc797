// ICMPv6: echo, the errors that we send and those that we get (RFC 4443). Neighbor discovery and listener discovery are
// messages of it too; who knows them registers by type.
import {
  EACCES,
  ECONNREFUSED,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
  EPROTO,
} from '../../base/errno.ts'
import { i32, u16 } from '../../base/bytes.ts'
import { Address } from '../../wire/address.ts'
import {
  ICMPV6_ADDR_UNREACH,
  ICMPV6_CHECKSUM_OFFSET,
  ICMPV6_DEST_UNREACHABLE,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HEADER_LEN,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  Icmpv6Message,
  ND_REDIRECT,
  emitIcmpv6,
  isIcmpv6Error,
} from '../../wire/icmpv6.ts'
import {
  IPPROTO_ICMPV6,
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_MIN_MTU,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SRC,
} from '../../wire/ipv6.ts'
import { Ipv6Chain } from '../../wire/ipv6-extensions.ts'
import type { NetCounters } from './counters.ts'
import type { PathMtus } from './path-mtu.ts'
import type { Packet, Path } from './path.ts'
import {
  type Listener,
  NO_PINGER,
  type Pinger,
  type Protocol,
  type Unreachable,
} from './protocol.ts'
import { RateLimit } from './rate-limit.ts'

/** What of the quoted packet's transport header an error must have: ports and sequence number. */
const QUOTED_TRANSPORT = 8
/** An error is no larger than any link can carry (section 2.4(c)). */
const MAX_QUOTE = IPV6_MIN_MTU - IPV6_HEADER_LEN - ICMPV6_HEADER_LEN
/** Echo replies that may have been too big for a router; so many are remembered, to believe it. */
const REMEMBERED = 16

/** What ICMPv6 needs of IP. */
export interface Icmpv6Ground {
  readonly counters: NetCounters
  readonly protocols: ReadonlyMap<number, Protocol>
  readonly pathMtus: PathMtus
  /** Raw sockets. */
  readonly listener: Listener
  isLocal(address: Address): boolean
  path(src: Address, dst: Address, protocol: number): Path | number
  random(): number
}

/** Takes messages of one type, their checksum right. */
export type MessageHandler = (packet: Packet, message: Icmpv6Message, now: number) => void

export class Icmpv6 implements Protocol {
  pinger: Pinger = NO_PINGER
  /** By message type, informational ones. */
  readonly handlers = new Map<number, MessageHandler>()
  private readonly ground: Icmpv6Ground
  private readonly limit: RateLimit
  private readonly chain = new Ipv6Chain()
  private readonly largeReplies: { readonly dst: Address; readonly rest: number }[] = []

  constructor(ground: Icmpv6Ground) {
    this.ground = ground
    this.limit = new RateLimit(() => ground.random())
    this.handlers.set(ICMPV6_ECHO_REQUEST, (packet, message) => this.echo(packet, message))
    this.handlers.set(ICMPV6_ECHO_REPLY, (packet, _, now) => {
      if (!this.pinger.replied(packet, now)) ground.counters.icmpIgnored++
    })
  }

  arrives(packet: Packet, now: number): void {
    const { counters } = this.ground
    counters.icmpIn++
    const { bytes, ip, transport, length, checksumValid } = packet
    const message = Icmpv6Message.parse(bytes, ip, transport, length, checksumValid)
    if (message === undefined) counters.icmpMalformed++
    else if (message.isError) this.errorArrives(packet, message, now)
    else {
      const handler = this.handlers.get(message.type)
      if (handler === undefined) counters.icmpIgnored++
      else handler(packet, message, now)
    }
  }

  /** A router that has a smaller mtu than an echo reply of ours is believed; else nobody wants to know. */
  unreachable(error: Unreachable, now: number): boolean {
    const { mtu, dst, seq } = error
    if (this.pinger.unreachable(error, now)) return true
    return mtu > 0 && this.largeReplies.some(reply => reply.rest === seq && reply.dst.equals(dst))
  }

  /**
   * Tells the sender of a packet of `length` bytes at `at` (of which no more than these may be quoted) why it was not
   * taken. Not about an error, not to who is no single host, not about what was for a group unless `tellsGroup`, and not too
   * often (section 2.4(e) and (f)).
   */
  error(
    bytes: Uint8Array,
    at: number,
    length: number,
    type: number,
    code: number,
    rest: number,
    now: number,
    tellsGroup = false,
  ): void {
    const { counters } = this.ground
    const src = Address.read(bytes, at + IPV6_SRC, 16)
    const dst = Address.read(bytes, at + IPV6_DST, 16)
    if (src.isUnspecified || src.isMulticast || (dst.isMulticast && !tellsGroup)) return
    const { chain } = this
    if (chain.skip(bytes, at, length) && chain.protocol === IPPROTO_ICMPV6) {
      if (length <= chain.offset) return
      const about = bytes[at + chain.offset]
      if (isIcmpv6Error(about) || about === ND_REDIRECT) return
    }
    if (!this.limit.allows(now)) {
      counters.icmpRateLimited++
      return
    }
    const quoted = Math.min(length, MAX_QUOTE)
    if (this.send(sourceFrom(dst), src, type, code, rest, bytes, at, quoted))
      counters.icmpErrorsOut++
  }

  /** A packet of ours waited in vain for its neighbor: its sender hears what a router would have told it. */
  undeliverable(packet: Uint8Array, now: number): void {
    const type = ICMPV6_DEST_UNREACHABLE
    this.report(packet, 0, packet.length, type, ICMPV6_ADDR_UNREACH, 0, 0, undefined, now)
  }

  /** Section 4.2: all the data comes back, from the address that it was sent to if that is one host's. */
  private echo(packet: Packet, message: Icmpv6Message): void {
    const { body, bodyLength, rest, bytes } = message
    const dst = packet.src()
    if (dst.isUnspecified) {
      this.ground.counters.martianSource++
      return
    }
    if (bodyLength > MAX_QUOTE) {
      if (this.largeReplies.length === REMEMBERED) this.largeReplies.shift()
      this.largeReplies.push({ dst, rest })
    }
    this.send(sourceFrom(packet.dst()), dst, ICMPV6_ECHO_REPLY, 0, rest, bytes, body, bodyLength)
  }

  private send(
    src: Address,
    dst: Address,
    type: number,
    code: number,
    rest: number,
    bytes: Uint8Array,
    body: number,
    bodyLength: number,
  ): boolean {
    const { counters } = this.ground
    const path = this.ground.path(src, dst, IPPROTO_ICMPV6)
    const length = ICMPV6_HEADER_LEN + bodyLength
    const at = typeof path === 'number' ? -1 : path.open(length)
    if (typeof path === 'number' || at < 0) {
      counters.icmpNoRoom++
      return false
    }
    path.bytes.set(bytes.subarray(body, body + bodyLength), at + ICMPV6_HEADER_LEN)
    emitIcmpv6(path.bytes, at, type, code, rest)
    path.close(length, 0, ICMPV6_CHECKSUM_OFFSET)
    counters.icmpOut++
    return true
  }

  private errorArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters } = this.ground
    counters.icmpErrorsIn++
    const { bytes, body, bodyLength, type, code, rest } = message
    if (type === 0 || type > ICMPV6_PARAMETER_PROBLEM) {
      counters.icmpIgnored++
      return
    }
    if (bodyLength < IPV6_HEADER_LEN || bytes[body] >>> 4 !== 6) {
      counters.icmpErrorNotOurs++
      return
    }
    let mtu = 0
    if (type === ICMPV6_PACKET_TOO_BIG) {
      mtu = rest >>> 0
      // Less than every link carries, or enough for what was too big: a mistake or an attack (RFC 8201 section 4).
      const total = IPV6_HEADER_LEN + u16(bytes, body + IPV6_PAYLOAD_LENGTH)
      if (mtu < IPV6_MIN_MTU || mtu >= total) {
        counters.icmpMalformed++
        return
      }
    }
    const tells = type === ICMPV6_PACKET_TOO_BIG || type === ICMPV6_PARAMETER_PROBLEM
    this.report(bytes, body, bodyLength, type, code, mtu, tells ? rest >>> 0 : 0, packet, now)
  }

  /** Hands an error to the protocol whose packet it quotes, `length` bytes of it. */
  private report(
    bytes: Uint8Array,
    at: number,
    length: number,
    type: number,
    code: number,
    mtu: number,
    info: number,
    by: Packet | undefined,
    now: number,
  ): void {
    const { ground, chain } = this
    const found = chain.skip(bytes, at, length)
    const next = chain.protocol
    const protocol = found ? ground.protocols.get(next) : undefined
    const heard = found && ground.listener.counts[next] > 0
    const src = Address.read(bytes, at + IPV6_SRC, 16)
    const dst = Address.read(bytes, at + IPV6_DST, 16)
    if (
      (protocol === undefined && !heard) ||
      length < chain.offset + QUOTED_TRANSPORT ||
      !ground.isLocal(src)
    ) {
      ground.counters.icmpErrorNotOurs++
      return
    }
    const transport = at + chain.offset
    const [errno, hard] = meaning(type, code)
    const srcPort = u16(bytes, transport)
    const dstPort = u16(bytes, transport + 2)
    const seq = i32(bytes, transport + 4)
    const end = at + length
    const what = { type, code, mtu, info, from: by?.src() ?? src, ttl: by?.ttl ?? -1 }
    const quote = { src, dst, srcPort, dstPort, seq, bytes, ip: at, transport, end }
    const error = { errno, hard, ...what, ...quote }
    const ours = heard && ground.listener.unreachable(error, next, now)
    const known = protocol?.unreachable(error, now) === true || ours
    if (known && mtu > 0) ground.pathMtus.learn(dst, mtu, now)
  }
}

/** From where we answer what was sent to `dst`: unspecified lets address selection choose. */
const sourceFrom = (dst: Address): Address => (dst.isMulticast ? ANY : dst)
const ANY = new Address(0, 0, 0, 0)

/** Errno of destination unreachable by code, and whether it is hard, as Linux has them (icmpv6_err_convert). */
const UNREACHABLE: readonly (readonly [errno: number, hard: boolean])[] = [
  [ENETUNREACH, false],
  [EACCES, true],
  [EHOSTUNREACH, false],
  [EHOSTUNREACH, false],
  [ECONNREFUSED, true],
  [EACCES, true],
  [EACCES, true],
]

function meaning(type: number, code: number): readonly [errno: number, hard: boolean] {
  if (type === ICMPV6_PACKET_TOO_BIG) return [EMSGSIZE, false]
  if (type === ICMPV6_TIME_EXCEEDED) return [EHOSTUNREACH, false]
  if (type === ICMPV6_PARAMETER_PROBLEM) return [EPROTO, true]
  return UNREACHABLE[code] ?? [EPROTO, false]
}
