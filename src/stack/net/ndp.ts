// Neighbor discovery (RFC 4861 section 7) over the shared neighbor table: who has which MAC, and that what we have is ours
// alone. What routers say is router-discovery.ts's.
import { ALL_NODES, Address, solicitedNode } from '../../wire/address.ts'
import { ETHERTYPE_IPV6 } from '../../wire/ethernet.ts'
import { type Icmpv6Message, ND_NEIGHBOR_ADVERT, ND_NEIGHBOR_SOLICIT } from '../../wire/icmpv6.ts'
import { IPV6_SRC } from '../../wire/ipv6.ts'
import { Mac } from '../../wire/mac.ts'
import {
  NA_OVERRIDE,
  NA_SOLICITED,
  emitNeighborAdvert,
  emitNeighborSolicit,
  parseNeighborAdvert,
  parseNeighborSolicit,
} from '../../wire/ndp.ts'
import {
  type Neighbor,
  NeighborTable,
  type Resolver,
  type WaitingPacket,
} from '../link/neighbor.ts'
import type { LinkUser, Nic } from '../link/nic.ts'
import type { Addresses, InterfaceAddress } from './addresses.ts'
import type { NetCounters } from './counters.ts'
import { Dad } from './dad.ts'
import type { Icmpv6 } from './icmpv6.ts'
import { LinkMessages, ND_HOP_LIMIT } from './link-messages.ts'
import type { Packet } from './path.ts'

/** A solicitation or advertisement with its option. */
const MESSAGE = 32
/** RFC 5227's for ARP: how often we insist. */
const DEFEND_INTERVAL = 10_000

export interface NdpGround {
  readonly nic: Nic
  readonly addresses: Addresses
  readonly counters: NetCounters
  readonly icmp: Icmpv6
  sourceFor(dst: Address): Address | number
  random(): number
}

export class Ndp implements Resolver, LinkUser {
  readonly ethertype = ETHERTYPE_IPV6
  readonly neighbors: NeighborTable
  readonly messages: LinkMessages
  readonly dad: Dad
  /** False: nobody else can have our addresses, and they need not be asked for (our own switch keeps a registry). */
  checksDuplicates = true
  /** Another station has, or wants, this address of ours; it is DUPLICATED if we had not had it yet. */
  onConflict: (address: Address, mac: Mac, now: number) => void = () => {}
  /** Who was a router says that it is none. */
  onRouterGone: (address: Address) => void = () => {}
  private readonly ground: NdpGround
  private lastDefence = -Infinity

  constructor(ground: NdpGround) {
    this.ground = ground
    const { nic, addresses, counters, icmp } = ground
    this.neighbors = new NeighborTable(nic, this, nic.counters)
    this.messages = new LinkMessages(nic, counters)
    const { messages, neighbors } = this
    this.dad = new Dad({
      addresses,
      messages,
      counters,
      mac: nic.mac,
      get retransTimer() {
        return neighbors.retransTimer
      },
      random: () => ground.random(),
    })
    nic.users.push(this)
    icmp.handlers.set(ND_NEIGHBOR_SOLICIT, (p, m, now) => this.solicitArrives(p, m, now))
    icmp.handlers.set(ND_NEIGHBOR_ADVERT, (p, m, now) => this.advertArrives(p, m, now))
  }

  /** When run() has something to do. */
  get next(): number {
    return Math.min(this.neighbors.next, this.dad.next)
  }

  run(now: number): void {
    this.dad.run(now)
    this.neighbors.run(now)
  }

  linkUp(): void {
    this.dad.linkUp(this.checksDuplicates)
    this.neighbors.relink()
  }

  linkDown(): void {
    this.dad.linkDown()
  }

  /** Asks for a neighbor: all who may have the address, or the MAC that it had (section 7.2.2). */
  solicit(neighbor: Neighbor): void {
    const { messages, ground } = this
    const { address } = neighbor
    const waiting = neighbor.waiting.at(0)
    const src = waiting ? Address.read(waiting.bytes, IPV6_SRC, 16) : ground.sourceFor(address)
    const own = typeof src === 'number' ? undefined : ground.addresses.find(src)
    if (own === undefined || !own.isAssigned) return
    const at = messages.open(MESSAGE)
    if (at < 0) return
    // What may turn out to be another's must not change what others know of it (RFC 4429 section 3.2).
    const mac = own.state === 'OPTIMISTIC' ? undefined : ground.nic.mac
    const length = emitNeighborSolicit(messages.bytes, at, address, mac)
    if (neighbor.hasMac) messages.close(length, own.address, address, neighbor.mac)
    else messages.close(length, own.address, solicitedNode(address))
    ground.counters.nsOut++
  }

  undeliverable(packet: WaitingPacket, now: number): void {
    this.ground.icmp.undeliverable(packet.bytes, now)
  }

  /** The station at `address`, who spoke of its MAC in passing (sections 6.3.4, 7.2.3 and 8.3). */
  heard(address: Address, mac: Mac, now: number): Neighbor | undefined {
    const { neighbors } = this
    const neighbor = neighbors.find(address)
    if (neighbor === undefined) return neighbors.create(address, mac)
    neighbors.learn(neighbor, mac, false, now)
    return neighbor
  }

  /** Section 7.1.1 and 7.2.3. */
  private solicitArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters, addresses } = this.ground
    const solicit = isFromLink(packet)
      ? parseNeighborSolicit(message.bytes, message.at, message.length)
      : undefined
    const src = packet.src()
    const dst = packet.dst()
    const probes = src.isUnspecified
    if (
      solicit === undefined ||
      (probes && (solicit.sourceMac !== undefined || !isSolicitedNode(dst))) ||
      (solicit.sourceMac !== undefined && isNoStation(solicit.sourceMac))
    ) {
      counters.ndInvalid++
      return
    }
    counters.nsIn++
    const entry = addresses.find(solicit.target)
    if (entry === undefined || entry.state === 'DUPLICATED') {
      counters.ndIgnored++
      return
    }
    if (probes && this.dad.isEcho(entry, solicit.nonce)) {
      this.dad.echoed(entry)
      return
    }
    if (entry.state === 'TENTATIVE' || (entry.state === 'OPTIMISTIC' && probes)) {
      // Who only asks for it knows no more than we do (RFC 4862 section 5.4.3).
      if (probes) this.conflict(entry, frameSource(packet), now)
      else counters.ndIgnored++
      return
    }
    if (probes) {
      this.advertise(entry, ALL_NODES, undefined, 0)
      return
    }
    const mac = solicit.sourceMac ?? frameSource(packet)
    if (solicit.sourceMac !== undefined) this.heard(src, mac, now)
    this.advertise(entry, src, mac, NA_SOLICITED)
  }

  /** Section 7.1.2 and 7.2.5. */
  private advertArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters, addresses, nic } = this.ground
    const advert = isFromLink(packet)
      ? parseNeighborAdvert(message.bytes, message.at, message.length)
      : undefined
    if (
      advert === undefined ||
      (advert.solicited && packet.dst().isMulticast) ||
      packet.src().isUnspecified ||
      (advert.targetMac !== undefined && isNoStation(advert.targetMac))
    ) {
      counters.ndInvalid++
      return
    }
    counters.naIn++
    const { target, targetMac } = advert
    const own = addresses.find(target)
    if (own !== undefined) {
      const mac = targetMac ?? frameSource(packet)
      if (!mac.equals(nic.mac)) this.conflict(own, mac, now)
      return
    }
    const neighbor = this.neighbors.find(target)
    const { solicited, override, router } = advert
    if (
      neighbor === undefined ||
      !this.neighbors.advertised(neighbor, targetMac, solicited, override, now)
    ) {
      counters.ndIgnored++
      return
    }
    const wasRouter = neighbor.router
    neighbor.router = router
    if (wasRouter && !router) this.onRouterGone(target)
  }

  /** Somebody else uses an address of ours: he keeps one that we only try; of one that is ours we say so, at times. */
  private conflict(entry: InterfaceAddress, mac: Mac, now: number): void {
    const { counters, addresses } = this.ground
    counters.addressConflicts++
    const { state, address } = entry
    if (state === 'TENTATIVE' || state === 'OPTIMISTIC') addresses.enter(entry, 'DUPLICATED')
    else if (state !== 'DUPLICATED' && now - this.lastDefence >= DEFEND_INTERVAL) {
      this.lastDefence = now
      this.advertise(entry, ALL_NODES, undefined, 0)
    }
    this.onConflict(address, mac, now)
  }

  private advertise(
    entry: InterfaceAddress,
    to: Address,
    mac: Mac | undefined,
    flags: number,
  ): void {
    const { messages, ground } = this
    const at = messages.open(MESSAGE)
    if (at < 0) return
    if (entry.state !== 'OPTIMISTIC') flags |= NA_OVERRIDE
    const own = ground.nic.mac
    const length = emitNeighborAdvert(messages.bytes, at, entry.address, flags, own)
    messages.close(length, entry.address, to, mac)
    ground.counters.naOut++
  }
}

/** From this link, by the hop limit that no router leaves as it is, and not in fragments (RFC 6980). */
export const isFromLink = (packet: Packet): boolean =>
  packet.ttl === ND_HOP_LIMIT && !packet.loopback && !packet.fragmented

/** The MAC in the Ethernet header that lies before an unfragmented packet. */
export const frameSource = (packet: Packet): Mac => Mac.read(packet.bytes, packet.ip - 8)

export const isNoStation = (mac: Mac): boolean => mac.isGroup || mac.isZero

const isSolicitedNode = (dst: Address): boolean =>
  dst.a === (0xff020000 | 0) && dst.b === 0 && dst.c === 1 && dst.d >>> 24 === 0xff
