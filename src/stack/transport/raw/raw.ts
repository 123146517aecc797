// Raw sockets (raw(7), ipv6(7)): they hear all datagrams of a protocol, beside whom those are for, and send their own.
// Numbers are what Linux answers: 0, a length, or a negative errno.
import { EAGAIN, EINVAL, EMSGSIZE } from '../../../base/errno.ts'
import { copy, i32, u16, writeU16, writeU32 } from '../../../base/bytes.ts'
import type { Address } from '../../../wire/address.ts'
import { checksum, finish, sumBytes } from '../../../wire/checksum.ts'
import { pseudoSumAt } from '../../../wire/icmpv6.ts'
import {
  IPV4_CHECKSUM,
  IPV4_HEADER_LEN,
  IPV4_ID,
  IPV4_MAX_DATAGRAM,
  IPV4_SRC,
  IPV4_TOTAL_LENGTH,
} from '../../../wire/ipv4.ts'
import { IPV6_HEADER_LEN } from '../../../wire/ipv6.ts'
import { type DatagramPath, PMTUDISC_PROBE, type Packet } from '../../net/path.ts'
import type { Listener, Unreachable } from '../../net/protocol.ts'
import { type SenderHost, Senders } from '../sender.ts'
import type { Outgoing } from '../udp/outgoing.ts'
import { RawEndpoint } from './endpoint.ts'
import type { RawUser } from './user.ts'

const PROTOCOLS = 256

export const newCounters = () => ({
  datagramsIn: 0,
  datagramsOut: 0,
  /** A checksum that IPV6_CHECKSUM asked to be looked at. */
  badChecksums: 0,
  /** The user had no room. */
  userFull: 0,
  /** The link had no room. */
  noRoom: 0,
})
export type RawCounters = ReturnType<typeof newCounters>

export class Raw {
  readonly counters = newCounters()
  readonly v4 = new RawListener(this.counters)
  readonly v6 = new RawListener(this.counters)
  private readonly senders: Senders
  private readonly random: () => number
  /** What begins with an IP header of the program's is completed here. */
  private readonly whole = new Uint8Array(IPV4_MAX_DATAGRAM)

  constructor(host: SenderHost, random: () => number) {
    this.senders = new Senders(host)
    this.random = random
  }

  open(family: 4 | 6, protocol: number, user: RawUser): RawEndpoint {
    const endpoint = new RawEndpoint(user, family, protocol)
    this.listenerOf(endpoint).add(endpoint)
    return endpoint
  }

  close(endpoint: RawEndpoint): void {
    this.listenerOf(endpoint).remove(endpoint)
    this.senders.close(endpoint)
  }

  private listenerOf({ family }: RawEndpoint): RawListener {
    return family === 4 ? this.v4 : this.v6
  }

  bind(endpoint: RawEndpoint, address: Address, _port = 0, again = false): number {
    return endpoint.connected ? -EINVAL : this.senders.bind(endpoint, address, again)
  }

  connect(endpoint: RawEndpoint, remote: Address): number {
    return this.senders.connect(endpoint, remote)
  }

  disconnect(endpoint: RawEndpoint): void {
    this.senders.disconnect(endpoint)
  }

  /** What send() would say if the link had room: how long the text may be, or a negative errno. */
  check(endpoint: RawEndpoint, out: Outgoing): number {
    const path = this.senders.find(endpoint, out, undefined)
    if (typeof path === 'number') return path
    if (endpoint.headerIncluded) return this.checkWhole(endpoint, out, path)
    const most = Math.min(IPV4_MAX_DATAGRAM, path.maxDatagram - path.headerLength)
    if (out.length > most) return -EMSGSIZE
    const { checksumOffset } = endpoint
    return endpoint.family === 6 && checksumOffset >= 0 && checksumOffset + 2 > out.length
      ? -EINVAL
      : most
  }

  private checkWhole({ family }: RawEndpoint, out: Outgoing, path: DatagramPath): number {
    path.discover = PMTUDISC_PROBE
    path.fragmentSize = 0
    const most = path.maxDatagram
    if (out.length > most) return -EMSGSIZE
    const least = family === 4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN
    if (out.length < least) return -EINVAL
    return family === 4 && (out.bytes[out.at] & 15) << 2 > out.length ? -EINVAL : most
  }

  send(endpoint: RawEndpoint, out: Outgoing): number {
    const { counters, senders } = this
    const most = this.check(endpoint, out)
    if (most < 0) return most
    const path = endpoint.route.path!
    const sent = endpoint.headerIncluded
      ? this.sendWhole(endpoint, out, path)
      : this.sendText(endpoint, out, path, senders.tos, senders.ttl)
    if (sent) counters.datagramsOut++
    else counters.noRoom++
    return sent ? out.length : -EAGAIN
  }

  private sendText(
    { checksumOffset, family }: RawEndpoint,
    out: Outgoing,
    path: DatagramPath,
    tos: number,
    ttl: number,
  ): boolean {
    const at = path.open(out.length)
    if (at < 0) return false
    copy(path.bytes, at, out.bytes, out.at, out.length)
    path.close(out.length, 0, family === 6 ? checksumOffset : -1, tos, ttl)
    return true
  }

  /** As it is, but for what Linux fills in: IPv4's length and checksum; its id and source where they are zero. */
  private sendWhole({ family }: RawEndpoint, out: Outgoing, path: DatagramPath): boolean {
    const { whole } = this
    const { length } = out
    copy(whole, 0, out.bytes, out.at, length)
    const headerLength = (whole[0] & 15) << 2
    if (family === 4 && headerLength >= IPV4_HEADER_LEN) {
      writeU16(whole, IPV4_TOTAL_LENGTH, length)
      if (u16(whole, IPV4_ID) === 0) writeU16(whole, IPV4_ID, this.random() & 0xffff)
      if (i32(whole, IPV4_SRC) === 0) writeU32(whole, IPV4_SRC, path.src.d)
      writeU16(whole, IPV4_CHECKSUM, 0)
      writeU16(whole, IPV4_CHECKSUM, checksum(whole, 0, headerLength))
    }
    return path.sendWhole(whole, 0, length)
  }
}

/** Those of one family. */
class RawListener implements Listener {
  readonly counts = new Int32Array(PROTOCOLS)
  private readonly counters: RawCounters
  private readonly byProtocol = new Map<number, RawEndpoint[]>()

  constructor(counters: RawCounters) {
    this.counters = counters
  }

  add(endpoint: RawEndpoint): void {
    const { protocol } = endpoint
    const list = this.byProtocol.get(protocol)
    if (list === undefined) this.byProtocol.set(protocol, [endpoint])
    else list.push(endpoint)
    // IPPROTO_MAX is above what a packet can say.
    if (protocol < PROTOCOLS) this.counts[protocol]++
  }

  remove(endpoint: RawEndpoint): void {
    const { protocol } = endpoint
    const list = this.byProtocol.get(protocol)!
    list.splice(list.indexOf(endpoint), 1)
    if (protocol < PROTOCOLS) this.counts[protocol]--
  }

  arrives(packet: Packet, protocol: number, now: number): boolean {
    const list = this.byProtocol.get(protocol)!
    let heard = false
    for (const endpoint of list)
      if (endpoint.wants(packet)) {
        heard = true
        this.deliver(endpoint, packet, now)
      }
    return heard
  }

  private deliver(endpoint: RawEndpoint, packet: Packet, now: number): void {
    const { counters } = this
    const { bytes, ip, transport, length, family } = packet
    if (length > 0 && !endpoint.admitsType(bytes[transport])) return
    if (family === 4 && packet.group && !endpoint.admitsGroup(packet)) return
    if (family === 6 && endpoint.checksumOffset >= 0 && !isSumRight(packet, endpoint.protocol)) {
      counters.badChecksums++
      return
    }
    // IPv4's with its header.
    const at = family === 4 ? ip : transport
    if (endpoint.user.arrives(endpoint, packet, at, transport + length - at, now))
      counters.datagramsIn++
    else counters.userFull++
  }

  /** True: one that hears of it has sent it; any may be told, as Linux does it. */
  unreachable(error: Unreachable, protocol: number, now: number): boolean {
    let ours = false
    for (const endpoint of this.byProtocol.get(protocol)!) {
      if (!isAbout(error, endpoint)) continue
      if (endpoint.hasSent(error)) ours = true
      if (endpoint.isTold(error)) endpoint.user.failed(endpoint, error, now)
    }
    return ours
  }
}

const isAbout = (error: Unreachable, { connected, remote, local }: RawEndpoint): boolean =>
  (!connected || remote.equals(error.dst)) && (local.isUnspecified || local.equals(error.src))

function isSumRight(packet: Packet, protocol: number): boolean {
  const { bytes, ip, transport, length, checksumValid } = packet
  if (checksumValid) return true
  return finish(sumBytes(bytes, transport, length, pseudoSumAt(bytes, ip, protocol, length))) === 0
}
