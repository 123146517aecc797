// Ping sockets (icmp(7)): echo requests for programs without rights to anything else. The stack writes ident and checksum;
// replies go to whose ident they bear. Numbers are what Linux answers: 0, a length, or a negative errno.
import { EADDRINUSE, EAGAIN, EINVAL, EMSGSIZE } from '../../../base/errno.ts'
import { copy, u16, writeU16 } from '../../../base/bytes.ts'
import type { Address } from '../../../wire/address.ts'
import { checksum } from '../../../wire/checksum.ts'
import { ICMP_ECHO, ICMP_HEADER_LEN } from '../../../wire/icmpv4.ts'
import { ICMPV6_CHECKSUM_OFFSET, ICMPV6_ECHO_REQUEST } from '../../../wire/icmpv6.ts'
import { IPV4_MAX_DATAGRAM } from '../../../wire/ipv4.ts'
import type { Packet } from '../../net/path.ts'
import type { Pinger, Unreachable } from '../../net/protocol.ts'
import { type SenderHost, Senders } from '../sender.ts'
import type { Outgoing } from '../udp/outgoing.ts'
import { PingEndpoint, type PingUser } from './endpoint.ts'

const CHECKSUM = 2
const IDENT = 4
const IDENTS = 0x10000

export const newCounters = () => ({
  repliesIn: 0,
  requestsOut: 0,
  /** The user had no room. */
  userFull: 0,
  /** The link had no room. */
  noRoom: 0,
})

export class Ping implements Pinger {
  readonly counters = newCounters()
  private readonly senders: Senders
  private readonly random: () => number
  /** One ident is one program's, be it over IPv4 or IPv6 (Linux), unless all who have it share it. */
  private readonly byIdent = new Map<number, PingEndpoint[]>()

  constructor(host: SenderHost, random: () => number) {
    this.senders = new Senders(host)
    this.random = random
  }

  open(family: 4 | 6, user: PingUser): PingEndpoint {
    return new PingEndpoint(user, family)
  }

  close(endpoint: PingEndpoint): void {
    this.dropIdent(endpoint)
    this.senders.close(endpoint)
  }

  /** `ident` 0: any free one. `again`: as it was in a stack that is gone; nothing is asked. */
  bind(endpoint: PingEndpoint, address: Address, ident: number, again = false): number {
    if (endpoint.ident !== 0) return -EINVAL
    const was = endpoint.local
    const r = this.senders.bind(endpoint, address, again)
    if (r < 0) return r
    const taken = this.takeIdent(endpoint, ident, again)
    if (taken < 0) {
      this.senders.bind(endpoint, was, true)
      return taken
    }
    endpoint.identBound = ident !== 0
    return 0
  }

  connect(endpoint: PingEndpoint, remote: Address): number {
    const taken = this.haveIdent(endpoint)
    return taken < 0 ? taken : this.senders.connect(endpoint, remote)
  }

  disconnect(endpoint: PingEndpoint): void {
    this.senders.disconnect(endpoint)
    if (!endpoint.identBound) this.dropIdent(endpoint)
  }

  /** What send() would say if the link had room: how long the text may be, or a negative errno. */
  check(endpoint: PingEndpoint, out: Outgoing): number {
    if (out.length > IPV4_MAX_DATAGRAM) return -EMSGSIZE
    if (!isRequest(endpoint, out)) return -EINVAL
    const taken = this.haveIdent(endpoint)
    if (taken < 0) return taken
    const path = this.senders.find(endpoint, out, undefined)
    if (typeof path === 'number') return path
    const most = Math.min(IPV4_MAX_DATAGRAM, path.maxDatagram - path.headerLength)
    return out.length > most ? -EMSGSIZE : most
  }

  send(endpoint: PingEndpoint, out: Outgoing): number {
    const { counters, senders } = this
    const most = this.check(endpoint, out)
    if (most < 0) return most
    const path = endpoint.route.path!
    const { length } = out
    const at = path.open(length)
    if (at < 0) {
      counters.noRoom++
      return -EAGAIN
    }
    const { bytes } = path
    copy(bytes, at, out.bytes, out.at, length)
    writeU16(bytes, at + CHECKSUM, 0)
    writeU16(bytes, at + IDENT, endpoint.ident)
    if (endpoint.family === 4) writeU16(bytes, at + CHECKSUM, checksum(bytes, at, length))
    const checksumOffset = endpoint.family === 4 ? -1 : ICMPV6_CHECKSUM_OFFSET
    path.close(length, 0, checksumOffset, senders.tos, senders.ttl)
    counters.requestsOut++
    return length
  }

  replied(packet: Packet, now: number): boolean {
    const { counters } = this
    const { bytes, transport, length } = packet
    const list = this.byIdent.get(u16(bytes, transport + IDENT))
    if (list === undefined) return false
    // The newest's (Linux).
    for (let i = list.length - 1; i >= 0; i--) {
      const endpoint = list[i]
      if (!endpoint.wants(packet)) continue
      if (endpoint.user.arrives(endpoint, packet, transport, length, now)) counters.repliesIn++
      else counters.userFull++
      return true
    }
    return false
  }

  unreachable(error: Unreachable, now: number): boolean {
    const { bytes, transport, src } = error
    const family = src.isV4 ? 4 : 6
    if (bytes[transport] !== requestOf(family) || bytes[transport + 1] !== 0) return false
    const endpoint = this.byIdent
      .get(error.seq >>> 16)
      ?.findLast(e => e.family === family && (e.local.isUnspecified || e.local.equals(src)))
    if (endpoint === undefined) return false
    if (endpoint.isTold(error)) endpoint.user.failed(endpoint, error, now)
    return endpoint.hasSent(error)
  }

  private haveIdent(endpoint: PingEndpoint): number {
    return endpoint.ident === 0 ? this.takeIdent(endpoint, 0, false) : 0
  }

  private takeIdent(endpoint: PingEndpoint, ident: number, again: boolean): number {
    const { byIdent } = this
    const wanted = ident === 0 ? this.freeIdent() : ident
    if (wanted === 0) return -EAGAIN
    const list = byIdent.get(wanted)
    const shares = (other: PingEndpoint) => other.reuse && endpoint.reuse
    if (list !== undefined && !again && !list.every(shares)) return -EADDRINUSE
    if (list === undefined) byIdent.set(wanted, [endpoint])
    else list.push(endpoint)
    endpoint.ident = wanted
    return 0
  }

  /** One that nobody can guess; 0: there is none. */
  private freeIdent(): number {
    const first = this.random() & (IDENTS - 1)
    for (let i = 0; i < IDENTS; i++) {
      const ident = (first + i) & (IDENTS - 1)
      if (ident !== 0 && !this.byIdent.has(ident)) return ident
    }
    return 0
  }

  private dropIdent(endpoint: PingEndpoint): void {
    const { ident } = endpoint
    const list = this.byIdent.get(ident)
    if (ident === 0 || list === undefined) return
    if (list.length === 1) this.byIdent.delete(ident)
    else list.splice(list.indexOf(endpoint), 1)
    endpoint.ident = 0
  }
}

const requestOf = (family: 4 | 6) => (family === 4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST)

/** Nothing else may be sent. */
const isRequest = ({ family }: PingEndpoint, { bytes, at, length }: Outgoing): boolean =>
  length >= ICMP_HEADER_LEN && bytes[at] === requestOf(family) && bytes[at + 1] === 0
