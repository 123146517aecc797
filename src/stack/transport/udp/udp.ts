// UDP (RFC 768, RFC 1122 section 4.1), one per stack. An endpoint is what a socket is: bound to a port and perhaps an
// address, connected to a peer or not. Datagrams go straight through: what arrives is handed to its endpoint's user where
// it lies, what is sent is copied once, into the frame that it leaves in. Nothing waits here and nothing is kept but the
// endpoints, which are the user's to make again when the stack thread was replaced, as listeners are: open(), the
// options, bind() with `again`, connect(), the groups.
import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
} from '../../../base/errno.ts'
import { copy } from '../../../base/bytes.ts'
import { ANY_V4, type Address, LOOPBACK_V4, LOOPBACK_V6 } from '../../../wire/address.ts'
import { IPPROTO_UDP } from '../../../wire/ipv4.ts'
import {
  UDP_CHECKSUM_OFFSET,
  UDP_HEADER_LEN,
  dstPort,
  isWhole,
  srcPort,
  udpChecksum,
  udpLength,
  writeHeader,
} from '../../../wire/udp.ts'
import type { FilterMode, Groups } from '../../net/groups.ts'
import {
  type DatagramPath,
  PMTUDISC_DONT,
  PMTUDISC_INTERFACE,
  type Packet,
  TO_LINK,
  TO_SELF,
} from '../../net/path.ts'
import type { Protocol, Unreachable } from '../../net/protocol.ts'
import { checksumOk } from '../checksum.ts'
import { Ports } from '../ports.ts'
import { newCounters } from './counters.ts'
import { Endpoint, type PortHold } from './endpoint.ts'
import { Lookup } from './lookup.ts'
import * as memberships from './memberships.ts'
import type { Outgoing } from './outgoing.ts'
import { type Paths, RecentPaths } from './paths.ts'
import type { UdpUser } from './user.ts'

/** What UDP asks of IP. */
export interface UdpHost extends Paths {
  isLocal(address: Address): boolean
  isBroadcast(address: Address): boolean
  /** Those of the group's family. */
  groups(group: Address): Groups
  /** Tells the sender that nobody has this port (RFC 1122 section 4.1.3.1). */
  refuse(packet: Packet, now: number): void
}

export interface UdpSetup {
  /** How many endpoints there may be. */
  readonly capacity: number
  /** 32 bits that cannot be guessed. */
  readonly random: () => number
  readonly host: UdpHost
}

/** Header and text: the length field has 16 bits. */
const MAX_LENGTH = 65535

export class Udp implements Protocol {
  readonly takesGroups = true
  readonly ports: Ports
  readonly counters = newCounters()
  private readonly host: UdpHost
  private readonly lookup: Lookup
  private readonly recent: RecentPaths
  private readonly free: Int32Array
  private freeCount: number
  /** Source and destination of the datagram being sent. */
  private readonly words = new Int32Array(8)
  /** And its destination port. */
  private to = 0

  constructor(setup: UdpSetup) {
    const { capacity, random, host } = setup
    this.host = host
    this.ports = new Ports(random)
    this.lookup = new Lookup(capacity, random() | 0, random() | 0)
    this.recent = new RecentPaths(host)
    this.free = Int32Array.from({ length: capacity }, (_, i) => capacity - 1 - i)
    this.freeCount = capacity
  }

  // ---- calls from above ------------------------------------------------------------------------

  /** A new endpoint; undefined: there are too many. */
  open(family: 4 | 6, user: UdpUser): Endpoint | undefined {
    if (this.freeCount === 0) return undefined
    return new Endpoint(this.free[--this.freeCount], user, family)
  }

  /** The endpoint is gone: its port, its groups, its place. Nothing may be asked of it again. */
  close(endpoint: Endpoint): void {
    memberships.leaveAll(group => this.host.groups(group), endpoint)
    this.lookup.remove(endpoint)
    this.dropPort(endpoint)
    this.free[this.freeCount++] = endpoint.slot
  }

  /**
   * Takes an address (unspecified: all) and a port (0: any free one). 0 or a negative errno. `again`: as it was in a stack
   * that is gone; nothing is asked.
   */
  bind(endpoint: Endpoint, address: Address, port: number, again = false): number {
    if (endpoint.localPort !== 0) return -EINVAL
    const any = address.isUnspecified
    if (!again && !any && !this.mayBind(address)) return -EADDRNOTAVAIL
    const result = this.takePort(endpoint, address, port, again)
    if (result < 0) return result
    endpoint.local = address
    endpoint.source = this.sourceOf(endpoint)
    endpoint.addressBound = !any
    endpoint.portBound = port !== 0
    this.lookup.add(endpoint)
    return 0
  }

  /** SO_REUSEADDR or SO_REUSEPORT changed: a port that it has already is shared as they say now (Linux). */
  shareAgain(endpoint: Endpoint): void {
    if (endpoint.held !== undefined) this.moveTo(endpoint, endpoint.local)
  }

  /** From now on datagrams go to this peer, and only its are heard. 0 or a negative errno. */
  connect(endpoint: Endpoint, remote: Address, port: number): number {
    const { words } = this
    write(words, 4, remote)
    // Linux keeps the source that an earlier connect() chose.
    const path = this.route(endpoint, undefined)
    if (typeof path === 'number') return path
    if (path.isBroadcast && !endpoint.broadcast) return -EACCES
    if (endpoint.localPort === 0 && !this.bindAny(endpoint)) return -EAGAIN
    this.lookup.remove(endpoint)
    endpoint.remote = path.dst
    endpoint.remotePort = port
    endpoint.connected = true
    if (endpoint.source.isUnspecified) endpoint.source = path.src
    if (endpoint.local.isUnspecified) this.moveTo(endpoint, path.src)
    this.lookup.add(endpoint)
    return 0
  }

  /** connect(2) with AF_UNSPEC: what bind() did not name is given back (Linux). */
  disconnect(endpoint: Endpoint): void {
    if (!endpoint.connected) return
    this.lookup.remove(endpoint)
    endpoint.connected = false
    endpoint.remote = endpoint.any
    endpoint.remotePort = 0
    if (!endpoint.addressBound) this.moveTo(endpoint, endpoint.any)
    endpoint.source = this.sourceOf(endpoint)
    if (endpoint.portBound) this.lookup.add(endpoint)
    else this.dropPort(endpoint)
  }

  /** How much text was sent: all; or a negative errno. -EAGAIN: the link has no room now, or no port is free. */
  send(endpoint: Endpoint, out: Outgoing): number {
    const path = this.prepare(endpoint, out)
    return typeof path === 'number' ? path : this.transmit(endpoint, out, path)
  }

  /** What send() would say if the link had room; if it would send, how long the text may be for that. */
  check(endpoint: Endpoint, out: Outgoing): number {
    const path = this.prepare(endpoint, out)
    if (typeof path === 'number') return path
    const most = Math.min(MAX_LENGTH, path.maxDatagram - path.headerLength) - UDP_HEADER_LEN
    return out.length > most ? -EMSGSIZE : most
  }

  /** The path that the datagram takes, with its options, or a negative errno; the port is then in this.to. */
  private prepare(endpoint: Endpoint, out: Outgoing): DatagramPath | number {
    const { words } = this
    this.to = endpoint.remotePort
    if (out.named) {
      if (out.port === 0) return -EINVAL
      for (let i = 4; i < 8; i++) words[i] = out.words[i]
      this.to = out.port
    } else if (endpoint.connected) write(words, 4, endpoint.remote)
    else return -EDESTADDRREQ
    if (UDP_HEADER_LEN + out.length > MAX_LENGTH) return -EMSGSIZE
    if (endpoint.localPort === 0 && !this.bindAny(endpoint)) return -EAGAIN
    const path = this.route(endpoint, out)
    if (typeof path === 'number') return path
    if (path.isBroadcast && !endpoint.broadcast) return -EACCES
    const options = endpoint.options(path.dst.isV4 ? 4 : 6)
    path.discover = options.discover
    path.fragmentSize = options.fragmentSize
    return path
  }

  join(member: memberships.Member, group: Address): number {
    return memberships.join(this.host.groups(group), member, group)
  }
  leave(member: memberships.Member, group: Address): number {
    return memberships.leave(this.host.groups(group), member, group)
  }
  joinSource(member: memberships.Member, group: Address, source: Address): number {
    return memberships.joinSource(this.host.groups(group), member, group, source)
  }
  leaveSource(member: memberships.Member, group: Address, source: Address): number {
    return memberships.leaveSource(this.host.groups(group), member, group, source)
  }
  block(member: memberships.Member, group: Address, source: Address): number {
    return memberships.block(this.host.groups(group), member, group, source)
  }
  unblock(member: memberships.Member, group: Address, source: Address): number {
    return memberships.unblock(this.host.groups(group), member, group, source)
  }
  setFilter(
    member: memberships.Member,
    group: Address,
    mode: FilterMode,
    sources: readonly Address[],
  ): number {
    return memberships.setFilter(this.host.groups(group), member, group, mode, sources)
  }

  // ---- events from below -----------------------------------------------------------------------

  arrives(packet: Packet, now: number): void {
    const { counters } = this
    const { bytes, transport: at } = packet
    if (!isWhole(bytes, at, packet.length)) {
      counters.badHeaders++
      return
    }
    const length = udpLength(bytes, at)
    if (!packet.checksumValid && !this.isSumRight(packet, length)) return
    const from = srcPort(bytes, at)
    if (packet.group) return this.groupArrives(packet, from, length, now)
    const endpoint = this.lookup.find(packet, from, dstPort(bytes, at))
    if (endpoint === undefined) {
      counters.noPort++
      this.host.refuse(packet, now)
    } else this.deliver(endpoint, packet, from, length, now)
  }

  /** An ICMP error about a datagram of ours: only where an endpoint has the tuple, and has sent there (RFC 5927). */
  unreachable(error: Unreachable, now: number): boolean {
    const { src, dst } = error
    const answer = {
      family: src.isV4 ? (4 as const) : (6 as const),
      srcWord: (i: number) => dst.word(i),
      dstWord: (i: number) => src.word(i),
    }
    const endpoint = this.lookup.find(answer, error.dstPort, error.srcPort)
    if (endpoint === undefined || !(endpoint.connected || this.hasSent(endpoint, src, dst))) {
      this.counters.icmpIgnored++
      return false
    }
    const options = endpoint.options(answer.family)
    if (error.mtu > 0 && options.discover >= PMTUDISC_INTERFACE) {
      this.counters.icmpIgnored++
      return false
    }
    this.counters.icmpTaken++
    const hard = error.mtu > 0 ? options.discover !== PMTUDISC_DONT : error.hard
    if (options.receiveErrors || (hard && endpoint.connected))
      endpoint.user.failed(endpoint, error, now)
    return true
  }

  // ---- inside ----------------------------------------------------------------------------------

  private isSumRight(packet: Packet, length: number): boolean {
    if (udpChecksum(packet.bytes, packet.transport) === 0) {
      if (packet.family === 4) return true
      this.counters.missingChecksums++
    } else {
      if (checksumOk(packet, IPPROTO_UDP, length)) return true
      this.counters.badChecksums++
    }
    return false
  }

  private groupArrives(packet: Packet, from: number, length: number, now: number): void {
    let wanted = false
    for (const endpoint of this.lookup.onPort(dstPort(packet.bytes, packet.transport)))
      if (endpoint.wantsGroup(packet, from)) {
        wanted = true
        this.deliver(endpoint, packet, from, length, now)
      }
    if (!wanted) this.counters.groupIgnored++
  }

  private deliver(
    endpoint: Endpoint,
    packet: Packet,
    from: number,
    length: number,
    now: number,
  ): void {
    const at = packet.transport + UDP_HEADER_LEN
    if (endpoint.user.arrives(endpoint, packet, from, at, length - UDP_HEADER_LEN, now))
      this.counters.datagramsIn++
    else this.counters.userFull++
  }

  private transmit(endpoint: Endpoint, out: Outgoing, path: DatagramPath): number {
    const length = UDP_HEADER_LEN + out.length
    const v4 = path.dst.isV4
    const options = endpoint.options(v4 ? 4 : 6)
    const multicast = path.isGroup && !path.isBroadcast
    const ttl = out.ttl >= 0 ? out.ttl : multicast ? options.multicastTtl : options.ttl
    // A time to live of 0 does not leave the host (RFC 1112 section 6.1).
    if (multicast) path.copies = (ttl > 0 ? TO_LINK : 0) | (options.multicastLoop ? TO_SELF : 0)
    if (path.headerLength + length > path.maxDatagram) return -EMSGSIZE
    const at = path.open(length)
    if (at < 0) {
      this.counters.noRoom++
      return -EAGAIN
    }
    writeHeader(path.bytes, at, endpoint.localPort, this.to, length)
    copy(path.bytes, at + UDP_HEADER_LEN, out.bytes, out.at, out.length)
    const checksumOffset = endpoint.noCheck && v4 ? -1 : UDP_CHECKSUM_OFFSET
    path.close(length, 0, checksumOffset, out.tos >= 0 ? out.tos : options.tos, ttl)
    this.counters.datagramsOut++
    return out.length
  }

  /** The path to the destination in `words`, from the source that is said, bound, or chosen. */
  private route(endpoint: Endpoint, out: Outgoing | undefined): DatagramPath | number {
    const { words } = this
    if ((words[4] | words[5] | words[7]) === 0) this.meanOurselves(endpoint)
    const v4 = isV4(words, 4)
    if (endpoint.family === 4 ? !v4 : v4 && endpoint.v6only)
      return v4 ? -ENETUNREACH : -EAFNOSUPPORT
    if (out?.sourced) for (let i = 0; i < 4; i++) words[i] = out.words[i]
    else if (!endpoint.source.isUnspecified) write(words, 0, endpoint.source)
    else if (isMulticast(words, v4)) write(words, 0, endpoint.options(v4 ? 4 : 6).multicastSource)
    else {
      words[0] = words[1] = words[3] = 0
      words[2] = v4 ? ANY_V4.c : 0
    }
    if (isV4(words, 0) !== v4) return v4 ? -ENETUNREACH : -EAFNOSUPPORT
    return this.recent.find(words)
  }

  /** Linux: the unspecified address as destination is this host. */
  private meanOurselves(endpoint: Endpoint): void {
    const { words } = this
    if (words[6] !== 0 && words[6] !== ANY_V4.c) return
    const v4 = isV4(words, 4)
    const { source } = endpoint
    const own = !source.isUnspecified && source.isV4 === v4
    write(words, 4, own ? source : v4 ? LOOPBACK_V4 : LOOPBACK_V6)
  }

  /** Has this endpoint a path from `src` to `dst` that was used lately? */
  private hasSent(endpoint: Endpoint, src: Address, dst: Address): boolean {
    const { words } = this
    write(words, 4, dst)
    write(words, 0, src)
    if (this.recent.has(words)) return true
    write(words, 0, endpoint.source.isUnspecified && src.isV4 ? ANY_V4 : endpoint.source)
    return this.recent.has(words)
  }

  private mayBind(address: Address): boolean {
    const { host } = this
    return host.isLocal(address) || address.isMulticast || host.isBroadcast(address)
  }

  /** Nothing can be sent from a group. */
  private sourceOf(endpoint: Endpoint): Address {
    const { local, any } = endpoint
    return local.isMulticast || this.host.isBroadcast(local) ? any : local
  }

  /** A port for who sends without bind(). */
  private bindAny(endpoint: Endpoint): boolean {
    if (this.takePort(endpoint, endpoint.local, 0, false) < 0) return false
    this.lookup.add(endpoint)
    return true
  }

  private takePort(endpoint: Endpoint, address: Address, port: number, again: boolean): number {
    const { ports } = this
    const { v6only, reuse, share } = endpoint
    if (again) ports.hold(address, port, v6only, reuse, 'bound', share)
    const got = again ? port : ports.bind(address, port, v6only, reuse, share)
    if (got < 0) return got
    endpoint.localPort = got
    endpoint.held = { address, v6only, reuse, share }
    return 0
  }

  /** The same port with another address: connect() chose one, or disconnect() gives it back. */
  private moveTo(endpoint: Endpoint, address: Address): void {
    const { reuse, share } = endpoint
    const held: PortHold = { ...endpoint.held!, address, reuse, share }
    this.ports.hold(address, endpoint.localPort, held.v6only, held.reuse, 'bound', held.share)
    const { localPort } = endpoint
    this.dropPort(endpoint)
    endpoint.localPort = localPort
    endpoint.held = held
    endpoint.local = address
  }

  private dropPort(endpoint: Endpoint): void {
    const { held, localPort } = endpoint
    if (held === undefined) return
    this.ports.drop(held.address, localPort, held.v6only, held.reuse, 'bound', held.share)
    endpoint.held = undefined
    endpoint.localPort = 0
  }
}

function write(words: Int32Array, at: number, address: Address): void {
  words[at] = address.a
  words[at + 1] = address.b
  words[at + 2] = address.c
  words[at + 3] = address.d
}

const isV4 = (words: Int32Array, at: number): boolean =>
  words[at] === 0 && words[at + 1] === 0 && words[at + 2] === ANY_V4.c

const isMulticast = (words: Int32Array, v4: boolean): boolean =>
  v4 ? words[7] >>> 28 === 0xe : words[4] >>> 24 === 0xff
