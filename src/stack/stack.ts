// One TCP/IP stack: link, net and transport put together. The one door for what is above: sockets/, conf/, server/.
//
// Events in, values out. A frame, a call on `tcp`, the passing of time come in, each with `now` (ms on a clock that does
// not go back); frames leave through the sink, readiness through TcpUser, and run() says when it wants to be called
// next. There is no clock in here, no I/O and, but for `random`, nothing that differs from one run to the next.
import { type RandomSource, randomWords } from '../base/random.ts'
import { ANY_V4, ANY_V6, Address } from '../wire/address.ts'
import { type Prefix, formatAddress, formatPrefix } from '../wire/address-text.ts'
import { ICMP_DEST_UNREACHABLE, ICMP_PORT_UNREACH } from '../wire/icmpv4.ts'
import { ICMPV6_DEST_UNREACHABLE, ICMPV6_PORT_UNREACH } from '../wire/icmpv6.ts'
import { IPPROTO_TCP, IPPROTO_UDP } from '../wire/ipv4.ts'
import type { Mac } from '../wire/mac.ts'
import type { ProbeAnswer, ProbeTiming } from './link/arp-probe.ts'
import type { LinkCounters } from './link/counters.ts'
import { Loopback } from './link/loopback.ts'
import { Nic } from './link/nic.ts'
import type { FrameSink } from './link/sink.ts'
import { type AddressOrigin, InterfaceAddress } from './net/addresses.ts'
import type { NetCounters } from './net/counters.ts'
import { Ipv4 } from './net/ipv4.ts'
import { Ipv6 } from './net/ipv6.ts'
import type { Packet, Path } from './net/path.ts'
import type { Route, RouteTable } from './net/route.ts'
import { type SourceCandidate, sortDestinations } from './net/selection.ts'
import { Packets } from './transport/packet/packets.ts'
import { Ping } from './transport/ping/ping.ts'
import { Raw } from './transport/raw/raw.ts'
import type { SenderHost } from './transport/sender.ts'
import { Tcp } from './transport/tcp/tcp.ts'
import type { TcpTuning } from './transport/tcp/tuning.ts'
import type { TcpUser } from './transport/tcp/user.ts'
import { Udp, type UdpHost } from './transport/udp/udp.ts'

export { PROBE_FULL, PROBE_QUICK, type ProbeTiming } from './link/arp-probe.ts'
export { Neighbor, type NeighborTable } from './link/neighbor.ts'
export { CHECKSUM_UNKNOWN, CHECKSUM_VALID, type FrameSink } from './link/sink.ts'
export type { AddressOrigin, AddressState, InterfaceAddress } from './net/addresses.ts'
export type { FilterMode } from './net/groups.ts'
export * from './net/path.ts'
export type { Unreachable } from './net/protocol.ts'
export type { Route, RouteOrigin } from './net/route.ts'
export type { ReceiveBuffer, SendBuffer } from './transport/tcp/buffers.ts'
export { IPPROTO_RAW, RawEndpoint } from './transport/raw/endpoint.ts'
export type { RawUser } from './transport/raw/user.ts'
export { type Subject, newSubject, run as runFilter } from './transport/filter/machine.ts'
export { INSTRUCTION_LEN, MOST_INSTRUCTIONS, AD_MAX } from './transport/filter/opcodes.ts'
export { Program } from './transport/filter/program.ts'
export * from './transport/packet/endpoint.ts'
export type { PacketOut } from './transport/packet/packets.ts'
export { PingEndpoint, type PingUser } from './transport/ping/endpoint.ts'
export type { Sender } from './transport/sender.ts'
export { congestionName, congestionNamed } from './transport/tcp/congestion.ts'
export { deferSeconds, deferTimeouts } from './transport/tcp/options.ts'
export type { TcpOption, TcpSettings } from './transport/tcp/options.ts'
export { TUNING, type TcpTuning } from './transport/tcp/tuning.ts'
export { TCB_BYTES } from './transport/tcp/layout.ts'
export type { State } from './transport/tcp/tcb.ts'
export * from './transport/tcp/user.ts'
export { Endpoint, LOOPBACK_INDEX, NIC_INDEX, interfaceOf } from './transport/udp/endpoint.ts'
export type { FamilyOptions } from './transport/udp/endpoint.ts'
export { Outgoing } from './transport/udp/outgoing.ts'
export type { Member } from './transport/udp/memberships.ts'
export type { UdpUser } from './transport/udp/user.ts'

const UDP_CAPACITY = 16_384

export interface StackSetup {
  readonly mac: Mac
  /** None: the stack has only loopback, until addAddress(). */
  readonly addresses: readonly Prefix[]
  /** The default route's, of its family. */
  readonly gateway?: Address
  /** False: the network makes sure that no two stations have an IPv6 address in common. True unless given. */
  readonly checksDuplicates?: boolean
  /** Fills with bytes that cannot be guessed. */
  readonly random: RandomSource
  readonly tcp: {
    /** TCB_BYTES for each of `capacity` connections: zeros, or what another stack left (then call tcp.recover()). */
    readonly memory: ArrayBuffer | SharedArrayBuffer
    readonly capacity: number
    readonly user: TcpUser
    /** What is to be different from Linux's defaults (tuning.ts). */
    readonly tuning?: Partial<TcpTuning>
  }
  /** How many UDP endpoints there may be: 16,384 unless said otherwise. */
  readonly udpCapacity?: number
}

export interface StackCounters {
  readonly link: LinkCounters
  /** IPv4's and IPv6's. */
  readonly net: NetCounters
  readonly net6: NetCounters
  readonly tcp: Tcp['counters']
  readonly udp: Udp['counters']
  readonly raw: Raw['counters']
  readonly ping: Ping['counters']
  readonly packets: Packets['counters']
}

export class Stack {
  readonly mac: Mac
  readonly nic: Nic
  readonly ipv4: Ipv4
  readonly ipv6: Ipv6
  readonly tcp: Tcp
  readonly udp: Udp
  readonly raw: Raw
  readonly ping: Ping
  readonly packets: Packets
  readonly counters: StackCounters
  private readonly loopback = new Loopback()

  /** Throws one sentence if an address cannot be a host's or the gateway is out of reach. */
  constructor(setup: StackSetup) {
    const { mac, addresses, gateway, random, tcp } = setup
    this.mac = mac
    this.nic = new Nic(mac)
    this.ipv4 = new Ipv4(this.nic, this.loopback, randomWords(random))
    this.ipv6 = new Ipv6(this.nic, this.loopback, randomWords(random))
    this.ipv6.ndp.checksDuplicates = setup.checksDuplicates ?? true
    for (const prefix of addresses) this.addAddress(prefix)
    if (gateway !== undefined) this.addGateway(gateway)
    this.tcp = new Tcp({ ...tcp, random, paths: this })
    this.ipv4.protocols.set(IPPROTO_TCP, this.tcp)
    this.ipv6.protocols.set(IPPROTO_TCP, this.tcp)
    const capacity = setup.udpCapacity ?? UDP_CAPACITY
    this.udp = new Udp({ capacity, random: this.ipv4.random, host: this.udpHost() })
    this.ipv4.protocols.set(IPPROTO_UDP, this.udp)
    this.ipv6.protocols.set(IPPROTO_UDP, this.udp)
    this.raw = new Raw(this.senderHost(), this.ipv4.random)
    this.ipv4.listener = this.raw.v4
    this.ipv6.listener = this.raw.v6
    this.ping = new Ping(this.senderHost(), this.ipv4.random)
    this.ipv4.icmp.pinger = this.ipv6.icmp.pinger = this.ping
    this.packets = new Packets(this.nic, this.loopback, this.ipv4.random)
    this.counters = {
      link: this.nic.counters,
      net: this.ipv4.counters,
      net6: this.ipv6.counters,
      tcp: this.tcp.counters,
      udp: this.udp.counters,
      raw: this.raw.counters,
      ping: this.ping.counters,
      packets: this.packets.counters,
    }
  }

  /** What went through loopback: datagrams, and their octets. */
  get loopbackCounters(): { readonly packets: number; readonly octets: number } {
    return this.loopback
  }

  /** Largest packet on the link. */
  get mtu(): number {
    return this.nic.mtu
  }

  /** Called when another station uses one of our addresses. */
  set onConflict(tell: (address: Address, mac: Mac, now: number) => void) {
    this.ipv4.arp.onConflict = (word, mac, now) => tell(Address.v4(word), mac, now)
    this.ipv6.ndp.onConflict = tell
  }

  /**
   * Takes one more address, at once; its lifetimes are ms of the stack's clock. The first IPv6 address makes the stack
   * speak IPv6 on its link. Throws one sentence if it cannot be a host's.
   */
  addAddress(
    prefix: Prefix,
    origin: AddressOrigin = 'static',
    preferredUntil = Infinity,
    validUntil = Infinity,
  ): InterfaceAddress {
    checkHost(prefix.address)
    const { isV4 } = prefix.address
    if (!isV4) this.ipv6.enable()
    const { addresses } = isV4 ? this.ipv4 : this.ipv6
    const state = isV4 ? 'PREFERRED' : this.ipv6.firstState
    return addresses.add(new InterfaceAddress(prefix, origin, state, preferredUntil, validUntil))
  }

  /** Gives an address up. Connections that have it can send no more. False: there is none like it. */
  removeAddress(address: Address): boolean {
    return (address.isV4 ? this.ipv4 : this.ipv6).addresses.remove(address)
  }

  /** Called when an IPv4 address from DHCP was lost to a station that did not give way; it is not used any more. */
  set onLost(tell: (address: Address, mac: Mac, now: number) => void) {
    this.ipv4.onLost = tell
  }

  /**
   * Asks the link whether somebody has this IPv4 address; the answer comes in a later run(), or frame. PROBE_QUICK unless
   * said otherwise.
   */
  probe(address: Address, answer: ProbeAnswer, timing?: ProbeTiming): void {
    this.ipv4.arp.probes.start(address.d, answer, timing)
  }

  /** A station on the link, or what may be one: it could be a gateway. */
  isNeighbor(address: Address): boolean {
    return (address.isV4 ? this.ipv4 : this.ipv6).isNeighbor(address)
  }

  /** Throws one sentence if the gateway is no neighbor. */
  addRoute(route: Route): void {
    const { gateway } = route
    if (gateway !== undefined) this.checkGateway(gateway)
    this.tableOf(route.destination.address).add(route)
  }

  /** Takes away the routes that match; how many. */
  removeRoutes(matches: (route: Route) => boolean): number {
    return this.ipv4.routes.remove(matches) + this.ipv6.routes.remove(matches)
  }

  private tableOf(address: Address): RouteTable {
    return (address.isV4 ? this.ipv4 : this.ipv6).routes
  }

  /** The default route. */
  private addGateway(gateway: Address): void {
    this.addRoute({
      destination: { address: gateway.isV4 ? ANY_V4 : ANY_V6, prefixLength: 0 },
      gateway,
      source: undefined,
      metric: 0,
      origin: 'static',
      expires: Infinity,
    })
  }

  private checkGateway(gateway: Address): void {
    const family = gateway.isV4 ? this.ipv4 : this.ipv6
    if (this.isNeighbor(gateway)) return
    const networks = family.addresses.all.map(formatInterface).join(', ') || 'loopback'
    throw new Error(
      `Cannot use ${formatAddress(gateway)} as gateway: it is no neighbor on ${networks}`,
    )
  }

  /** The link is up (frames go into `sink`) or, undefined, down. Connections do not notice, but for what is lost. */
  setSink(sink: FrameSink | undefined): void {
    this.nic.setSink(sink)
  }

  /** A frame from the link. `gsoSize`: the segment size, where the frame is longer than the mtu, else 0. The rest is for who watches. */
  frameArrives(
    bytes: Uint8Array,
    offset: number,
    length: number,
    checksum: number,
    gsoSize: number,
    now: number,
    checksumStart = 0,
    checksumOffset = 0,
  ): void {
    this.nic.frameArrives(
      bytes,
      offset,
      length,
      checksum,
      gsoSize,
      now,
      checksumStart,
      checksumOffset,
    )
  }

  /** The station with this MAC has left the network for good: connections to what is behind it end at once. */
  stationGone(mac: Mac, now: number): void {
    const gone = [this.ipv4.arp.neighbors, this.ipv6.neighbors].flatMap(n => n.macGone(mac, now))
    if (gone.length === 0) return
    this.tcp.stationGone(dst => {
      const hop = (dst.isV4 ? this.ipv4 : this.ipv6).hopFor(dst)
      return hop !== undefined && gone.some(address => address.equals(hop))
    }, now)
  }

  /**
   * Does what there is to do: at most `budget` datagrams of loopback, deadlines, what TCP has to send; then tells the
   * user what changed. When to call again: `now` if there is more to do, Infinity if only an event can make work.
   * Call it too when a sink that had no room has some again.
   */
  run(now: number, budget: number): number {
    const { ipv4, ipv6, tcp, loopback } = this
    ipv4.run(now)
    ipv6.run(now)
    let left = budget
    do {
      left = this.loop(now, left)
      tcp.run(now)
    } while (left > 0 && !loopback.isEmpty)
    tcp.flushEvents(now)
    // Packets of this turn may have begun to wait for neighbors that are now to be asked for.
    if (ipv4.next <= now) ipv4.run(now)
    if (ipv6.next <= now) ipv6.run(now)
    if (!loopback.isEmpty) return now
    return Math.max(now, Math.min(ipv4.next, ipv6.next, tcp.nextTimer()))
  }

  /** Another number: paths may differ from what they were. */
  get generation(): number {
    return this.ipv4.generation + this.ipv6.generation
  }

  /** The address is ours, on whatever interface. */
  isLocal(address: Address): boolean {
    return address.isV4 ? this.ipv4.isLocal(address.d) : this.ipv6.isLocal(address)
  }

  /** TCP's way between two addresses (source unspecified: any of ours), or a negative errno. */
  path(src: Address, dst: Address): Path | number {
    return dst.isV4 ? this.ipv4.path(src, dst, IPPROTO_TCP) : this.ipv6.path(src, dst, IPPROTO_TCP)
  }

  /** The best destination first (RFC 6724 section 6), as each would be reached from here. */
  sortDestinations(addresses: readonly Address[]): Address[] {
    const destinations = addresses.map(address => ({ address, source: this.candidate(address) }))
    return sortDestinations(destinations).map(({ address }) => address)
  }

  private candidate(dst: Address): SourceCandidate | undefined {
    const address = this.source(dst)
    if (typeof address === 'number') return undefined
    const entry = (address.isV4 ? this.ipv4 : this.ipv6).addresses.find(address)
    const avoided = entry !== undefined && entry.state !== 'PREFERRED'
    return { address, prefixLength: entry?.prefixLength ?? 128, avoided, ofNextHop: false }
  }

  /** The address that we use towards `dst`, or a negative errno. */
  source(dst: Address): Address | number {
    return dst.isV4 ? this.ipv4.sourceFor(dst) : this.ipv6.sourceFor(dst)
  }

  private udpHost(): UdpHost {
    const { ipv4, ipv6 } = this
    return {
      ...this.groupHost(),
      get generation() {
        return ipv4.generation + ipv6.generation
      },
      path: (src, dst) => (dst.isV4 ? ipv4 : ipv6).path(src, dst, IPPROTO_UDP),
      refuse: (packet, now) => this.refuse(packet, now),
    }
  }

  private senderHost(): SenderHost {
    const { ipv4, ipv6 } = this
    return {
      ...this.groupHost(),
      get generation() {
        return ipv4.generation + ipv6.generation
      },
      path: (src, dst, protocol) => (dst.isV4 ? ipv4 : ipv6).rawPath(src, dst, protocol),
    }
  }

  private groupHost() {
    const { ipv4, ipv6 } = this
    return {
      isLocal: (address: Address) => this.isLocal(address),
      isBroadcast: (address: Address) => address.isV4 && ipv4.isBroadcast(address.d),
      groups: (group: Address) => (group.isV4 ? ipv4 : ipv6).groups,
    }
  }

  /** A datagram came to a port that nobody has. */
  private refuse(packet: Packet, now: number): void {
    const { bytes, ip, transport, length, family } = packet
    const total = transport + length - ip
    if (family === 4) {
      const type = ICMP_DEST_UNREACHABLE
      this.ipv4.icmp.error(bytes, ip, total, type, ICMP_PORT_UNREACH, now)
    } else {
      const type = ICMPV6_DEST_UNREACHABLE
      this.ipv6.icmp.error(bytes, ip, total, type, ICMPV6_PORT_UNREACH, 0, now)
    }
  }

  /** Datagrams that we sent to ourselves, at most `budget`; what is left of it. */
  private loop(now: number, budget: number): number {
    const { loopback } = this
    for (; budget > 0; budget--) {
      const at = loopback.peek()
      if (at < 0) break
      const { family } = loopback
      if (loopback.watcher !== undefined) loopback.came()
      if (family !== 0) {
        const to = family === 4 ? this.ipv4 : this.ipv6
        to.loops(loopback.bytes, at, loopback.length, loopback.raw, now)
      }
      loopback.release()
    }
    return budget
  }
}

function checkHost(address: Address): void {
  const top = address.d >>> 24
  const refused = address.isV4 && (top === 0 || top >= 240)
  if (refused || address.isUnspecified || address.isLoopback || address.isMulticast)
    throw new Error(`Cannot take ${formatAddress(address)}: it is no host's own address`)
}

const formatInterface = ({ address, prefixLength }: InterfaceAddress): string =>
  formatPrefix({ address, prefixLength })
