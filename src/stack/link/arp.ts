// ARP (RFC 826) and the defence of our addresses (RFC 5227).
import { ETHERTYPE_ARP, ETHERTYPE_IPV4 } from '../../wire/ethernet.ts'
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, ArpMessage, emitArp } from '../../wire/arp.ts'
import { BROADCAST_MAC, ZERO_MAC } from '../../wire/mac.ts'
import type { Mac } from '../../wire/mac.ts'
import { Address } from '../../wire/address.ts'
import { ArpProbes } from './arp-probe.ts'
import { type Neighbor, NeighborTable, type Resolver, type WaitingPacket } from './neighbor.ts'
import { CAST_UNICAST, type LinkUser, type Nic } from './nic.ts'

/** RFC 5227 section 1.1, in ms. */
const ANNOUNCE_NUM = 2
const ANNOUNCE_INTERVAL = 2_000
const DEFEND_INTERVAL = 10_000

/** What ARP needs to know of our IPv4 addresses, all of them words. */
export interface ArpAddresses {
  /** Those that are to be announced and defended. */
  words(): Iterable<number>
  has(word: number): boolean
  /** To be kept whatever others say: RFC 5227 section 2.4(c), else (b). */
  keeps(word: number): boolean
  /** What we are to `word`; undefined: that is not on this link. */
  sourceOnLink(word: number): number | undefined
}

export class Arp implements Resolver, LinkUser {
  readonly ethertype = ETHERTYPE_IPV4
  readonly neighbors: NeighborTable
  /** For addresses that are not ours yet. */
  readonly probes: ArpProbes
  /** A packet that waited for a neighbor in vain. */
  onUndeliverable: (packet: Uint8Array, now: number) => void = () => {}
  /** Another station claims one of our addresses. */
  onConflict: (address: number, mac: Mac, now: number) => void = () => {}
  /** It goes on after we defended the address, which is not to be kept at all costs: it is given up. */
  onLost: (address: number, mac: Mac, now: number) => void = () => {}
  private readonly nic: Nic
  private readonly addresses: ArpAddresses
  private announcements = 0
  private nextAnnouncement = Infinity
  /** When somebody last claimed each of our addresses, and when we last said that it is ours. */
  private readonly claims = new Map<number, number>()
  private readonly defences = new Map<number, number>()

  /** `random`: 32 bits. */
  constructor(nic: Nic, addresses: ArpAddresses, random: () => number) {
    this.nic = nic
    this.addresses = addresses
    this.neighbors = new NeighborTable(nic, this, nic.counters)
    this.probes = new ArpProbes(random, word =>
      this.send(BROADCAST_MAC, ARP_REQUEST, 0, ZERO_MAC, word),
    )
    nic.users.push(this)
    nic.handlers.set(ETHERTYPE_ARP, (bytes, at, length, _valid, cast, now) =>
      this.arrives(bytes, at, length, cast === CAST_UNICAST, now),
    )
  }

  /** When run() has something to do. Packets that wait for room do not count: the sink tells when there is some. */
  get next(): number {
    return Math.min(this.nextAnnouncement, this.probes.next, this.neighbors.next)
  }

  linkUp(): void {
    this.probes.linkUp()
    this.announce()
    this.neighbors.relink()
  }

  linkDown(): void {
    this.probes.linkDown()
    this.nextAnnouncement = Infinity
  }

  /** Tells everybody where our addresses are, twice (RFC 5227 section 2.3); from the next run() on. */
  announce(): void {
    this.announcements = ANNOUNCE_NUM
    this.nextAnnouncement = -Infinity
  }

  run(now: number): void {
    if (now >= this.nextAnnouncement) this.runAnnouncements(now)
    this.probes.run(now)
    this.neighbors.run(now)
  }

  private runAnnouncements(now: number): void {
    let told = true
    for (const word of this.addresses.words()) told = this.sendAnnouncement(word) && told
    if (told) this.announcements--
    this.nextAnnouncement = this.announcements > 0 ? now + ANNOUNCE_INTERVAL : Infinity
  }

  /** Asks for a neighbor: everybody, or the MAC it had when it was last heard of. */
  solicit(neighbor: Neighbor): void {
    const spa = this.addresses.sourceOnLink(neighbor.address.d)
    if (spa === undefined) return
    const dst = neighbor.hasMac ? neighbor.mac : BROADCAST_MAC
    this.send(dst, ARP_REQUEST, spa, ZERO_MAC, neighbor.address.d)
  }

  undeliverable(packet: WaitingPacket, now: number): void {
    this.onUndeliverable(packet.bytes, now)
  }

  /** RFC 826 "Packet Reception". `toUs`: the frame came to our MAC, not to everybody's. */
  arrives(bytes: Uint8Array, at: number, length: number, toUs: boolean, now: number): void {
    const { nic, neighbors, addresses } = this
    const { counters } = nic
    const message = ArpMessage.parse(bytes, at, length)
    if (message === undefined || !isStation(message)) {
      counters.arpMalformed++
      return
    }
    counters.arpIn++
    const { op, sha, spa, tpa } = message
    this.probes.heard(spa, tpa, sha, nic.mac, now)
    if (addresses.has(spa)) {
      if (!sha.equals(nic.mac)) this.conflict(spa, sha, now)
      return
    }
    const forUs = addresses.has(tpa)
    const from = Address.v4(spa)
    const neighbor = neighbors.find(from)
    if (neighbor !== undefined) neighbors.learn(neighbor, sha, op === ARP_REPLY && toUs, now)
    else if (op === ARP_REQUEST && forUs && addresses.sourceOnLink(spa) !== undefined)
      neighbors.create(from, sha)
    if (op === ARP_REQUEST && forUs) this.send(sha, ARP_REPLY, tpa, sha, spa)
  }

  /** Somebody else uses our address: we say that it is ours, but not in a loop (RFC 5227 section 2.4). */
  private conflict(address: number, mac: Mac, now: number): void {
    const { claims, defences, nic } = this
    nic.counters.arpConflicts++
    const again = now - (claims.get(address) ?? -Infinity) < DEFEND_INTERVAL
    claims.set(address, now)
    this.onConflict(address, mac, now)
    if (again && !this.addresses.keeps(address)) {
      claims.delete(address)
      this.onLost(address, mac, now)
      return
    }
    if (now - (defences.get(address) ?? -Infinity) < DEFEND_INTERVAL) return
    defences.set(address, now)
    this.sendAnnouncement(address)
  }

  /** The address is ours no more. */
  forget(address: number): void {
    this.claims.delete(address)
    this.defences.delete(address)
  }

  private sendAnnouncement(address: number): boolean {
    return this.send(BROADCAST_MAC, ARP_REQUEST, address, ZERO_MAC, address)
  }

  private send(dst: Mac, op: number, spa: number, tha: Mac, tpa: number): boolean {
    const { nic } = this
    const at = nic.openFrame(ARP_LEN)
    if (at < 0) {
      nic.counters.arpNoRoom++
      return false
    }
    emitArp(nic.bytes, at, { op, sha: nic.mac, spa, tha, tpa })
    nic.closeFrame(dst, ETHERTYPE_ARP, ARP_LEN, 0, 0, 0)
    nic.counters.arpOut++
    return true
  }
}

/** The sender can be a station: no group MAC, and an address that one host may have (0: a probe, RFC 5227). */
function isStation({ sha, spa }: ArpMessage): boolean {
  const top = spa >>> 24
  return !sha.isGroup && !sha.isZero && (spa === 0 || (top !== 0 && top !== 127 && top < 224))
}
