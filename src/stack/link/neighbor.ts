// Who has which MAC address, and how sure that is: the states and constants of RFC 4861 section 7.3, which fit
// ARP as well as they fit neighbor discovery. One table for each family. Packets for a neighbor that is still asked for
// wait here, whole.
import { Timers } from '../../base/timers.ts'
import { type Address, ANY_V4 } from '../../wire/address.ts'
import type { Mac } from '../../wire/mac.ts'
import { ZERO_MAC } from '../../wire/mac.ts'
import type { LinkCounters } from './counters.ts'

export type NeighborState = 'INCOMPLETE' | 'REACHABLE' | 'STALE' | 'DELAY' | 'PROBE' | 'FAILED'

/** RFC 4861 section 10, in ms. */
const REACHABLE_TIME = 30_000
const DELAY_FIRST_PROBE_TIME = 5_000
const RETRANS_TIMER = 1_000
const MAX_SOLICIT = 3

const CAPACITY = 1024
/** A program that scans a network must not push out the neighbors it talks to. */
const MAX_INCOMPLETE = CAPACITY / 2
/** They are never put out, so they may not be all. */
const MAX_PERMANENT = CAPACITY / 4
/** What may wait for one neighbor, and for all together. RFC 1122 section 2.3.2.2 asks for one packet. */
const WAITING_FRAMES = 64
const WAITING_BYTES = 256 * 1024
const WAITING_BYTES_TOTAL = 4 * 1024 * 1024

/** An IP packet without its Ethernet header, and what FrameSink.close() will want to know. */
export interface WaitingPacket {
  readonly bytes: Uint8Array
  readonly gsoSize: number
  readonly checksumStart: number
  readonly checksumOffset: number
}

export class Neighbor {
  /** Whose it is; undefined: nobody's. */
  readonly table: NeighborTable | undefined
  /** Place in the table; -1: it was put out, whoever holds it must look the address up again. */
  id: number
  readonly address: Address
  mac: Mac = ZERO_MAC
  state: NeighborState = 'INCOMPLETE'
  /** Frames may go to `mac` with no further thought. */
  ready = false
  waiting: WaitingPacket[] = []
  waitingBytes = 0
  /** Solicitations sent in this state. */
  probes = 0
  /** It said that it forwards packets (RFC 4861's IsRouter). */
  router = false
  /** A user says where it is: nobody else is asked, or believed. Always REACHABLE. */
  permanent = false
  /** When it was last known to hear us. */
  confirmed = 0
  /** Counts up with each look-up that was not `ready`: the smallest is the longest unused. */
  used = 0

  constructor(table: NeighborTable | undefined, id: number, address: Address) {
    this.table = table
    this.id = id
    this.address = address
  }

  get hasMac(): boolean {
    return this.state !== 'INCOMPLETE' && this.state !== 'FAILED'
  }
}

/** Holds the place of a neighbor that is not looked up yet, or for which the table has no room. */
export const NOWHERE: Neighbor = Object.assign(new Neighbor(undefined, -1, ANY_V4), {
  state: 'FAILED' as const,
})

/** Somebody whose MAC needs no question: a group, everybody. */
export function fixedNeighbor(table: NeighborTable, address: Address, mac: Mac): Neighbor {
  const fixed = { state: 'REACHABLE' as const, mac, ready: true }
  return Object.assign(new Neighbor(table, -1, address), fixed)
}

/** What the table asks of the link. */
export interface NeighborLink {
  /** Sends a packet that waited; false: no room now. */
  transmit(neighbor: Neighbor, packet: WaitingPacket): boolean
}

/** How neighbors are asked for: ARP, neighbor discovery. */
export interface Resolver {
  /** Of the packets that wait. */
  readonly ethertype: number
  /** Asks for the neighbor's MAC: everybody, or the MAC that it had. */
  solicit(neighbor: Neighbor): void
  /** The neighbor did not answer; this waited for it. */
  undeliverable(packet: WaitingPacket, now: number): void
}

export class NeighborTable {
  readonly resolver: Resolver
  /** ms; routers may say other ones (RFC 4861 section 6.3.4). */
  reachableTime = REACHABLE_TIME
  retransTimer = RETRANS_TIMER
  /** It does not answer any more. */
  onFailed: (neighbor: Neighbor, now: number) => void = () => {}
  private readonly link: NeighborLink
  private readonly counters: LinkCounters
  private readonly byAddress = new Map<string | number, Neighbor>()
  private readonly slots: (Neighbor | undefined)[] = new Array<undefined>(CAPACITY).fill(undefined)
  private readonly freeIds = Array.from({ length: CAPACITY }, (_, i) => CAPACITY - 1 - i)
  private readonly timers = new Timers(CAPACITY)
  private incomplete = 0
  private permanents = 0
  private waitingBytes = 0
  private uses = 0
  /** Latest time we were told: packets are sent without one. Requests go out at the next run(). */
  private now = 0
  /** They have a MAC again, but the link had no room for all that waited. */
  private blocked: Neighbor[] = []

  constructor(link: NeighborLink, resolver: Resolver, counters: LinkCounters) {
    this.link = link
    this.resolver = resolver
    this.counters = counters
  }

  get size(): number {
    return this.byAddress.size
  }

  /** In no particular order. */
  get all(): Iterable<Neighbor> {
    return this.byAddress.values()
  }

  /** Counts the changes of entries. */
  generation = 0

  /** When run() has something to do. */
  get next(): number {
    return this.timers.next
  }

  find(address: Address): Neighbor | undefined {
    return this.byAddress.get(keyOf(address))
  }

  /** The neighbor to send to now: asks for it if it is unknown. NOWHERE if there is no room to ask. */
  resolve(address: Address): Neighbor {
    const neighbor = this.byAddress.get(keyOf(address))
    if (neighbor === undefined || neighbor.state === 'FAILED') return this.startResolution(address)
    neighbor.used = ++this.uses
    if (neighbor.state === 'STALE') {
      this.enter(neighbor, 'DELAY')
      this.timers.set(neighbor.id, this.now + DELAY_FIRST_PROBE_TIME)
    }
    return neighbor
  }

  /** Makes an entry for a station that spoke to us first (RFC 826: it will want an answer). */
  create(address: Address, mac: Mac): Neighbor | undefined {
    const neighbor = this.add(address)
    if (neighbor === undefined) return
    neighbor.mac = mac
    this.enter(neighbor, 'STALE')
    return neighbor
  }

  /** `neighbor` says that it is at `mac`; `reply`: it said so to us alone, in an answer (RFC 4861 section 7.2.5). */
  learn(neighbor: Neighbor, mac: Mac, reply: boolean, now: number): void {
    this.now = now
    if (neighbor.permanent) return
    const solicited = reply && (neighbor.state === 'INCOMPLETE' || neighbor.state === 'PROBE')
    const changed = !neighbor.hasMac || !neighbor.mac.equals(mac)
    neighbor.mac = mac
    if (solicited) this.reachable(neighbor, now)
    else if (changed) this.stale(neighbor)
    this.flush(neighbor)
  }

  /**
   * A neighbor advertisement (RFC 4861 section 7.2.5), for an entry that is there: `mac` undefined: it does not say where.
   * False: it was not believed.
   */
  advertised(
    neighbor: Neighbor,
    mac: Mac | undefined,
    solicited: boolean,
    override: boolean,
    now: number,
  ): boolean {
    this.now = now
    if (neighbor.permanent) return false
    if (!neighbor.hasMac && (neighbor.state === 'FAILED' || mac === undefined)) return false
    const differs = mac !== undefined && neighbor.hasMac && !mac.equals(neighbor.mac)
    if (differs && !override) {
      if (neighbor.state === 'REACHABLE') this.stale(neighbor)
      return false
    }
    const found = !neighbor.hasMac
    if (mac !== undefined) neighbor.mac = mac
    if (solicited) this.reachable(neighbor, now)
    else if (found || differs) this.stale(neighbor)
    this.flush(neighbor)
    return true
  }

  /** Something above saw that the neighbor hears us (RFC 4861 section 7.3.1). Called for every ACK: quick. */
  confirm(neighbor: Neighbor, now: number): void {
    if (neighbor.state === 'REACHABLE') neighbor.confirmed = now
    else if (neighbor.hasMac && neighbor.id >= 0) this.reachable(neighbor, now)
  }

  /** Keeps a packet until the neighbor is found; the oldest give way (RFC 1122 section 2.3.2.2). */
  wait(neighbor: Neighbor, packet: WaitingPacket): void {
    const length = packet.bytes.length
    while (
      neighbor.waiting.length >= WAITING_FRAMES ||
      (neighbor.waiting.length > 0 && neighbor.waitingBytes + length > WAITING_BYTES)
    ) {
      this.unqueue(neighbor)
      this.counters.neighborQueueFull++
    }
    if (this.waitingBytes + length > WAITING_BYTES_TOTAL) {
      this.counters.neighborQueueFull++
      return
    }
    neighbor.waiting.push(packet)
    neighbor.waitingBytes += length
    this.waitingBytes += length
  }

  /** Expired timers, and what waited for room. */
  run(now: number): void {
    this.now = now
    for (let id = this.timers.take(now); id >= 0; id = this.timers.take(now))
      this.expire(this.slots[id]!, now)
    if (this.blocked.length === 0) return
    const blocked = this.blocked
    this.blocked = []
    for (const neighbor of blocked) this.flush(neighbor)
  }

  /** The link is another one, or up again: nobody is where he was until he says so. */
  relink(): void {
    for (const neighbor of this.byAddress.values()) {
      if (neighbor.state === 'FAILED' || neighbor.permanent) continue
      neighbor.probes = 0
      if (neighbor.hasMac) this.enter(neighbor, 'PROBE')
      this.timers.set(neighbor.id, this.now)
    }
  }

  /** The station with this MAC has left: its addresses. */
  macGone(mac: Mac, now: number): Address[] {
    this.now = now
    const gone = [...this.byAddress.values()].filter(
      n => n.hasMac && !n.permanent && n.mac.equals(mac),
    )
    for (const neighbor of gone) this.fail(neighbor, now)
    return gone.map(neighbor => neighbor.address)
  }

  private startResolution(address: Address): Neighbor {
    if (this.incomplete >= MAX_INCOMPLETE) {
      this.counters.neighborTableFull++
      return NOWHERE
    }
    const neighbor = this.byAddress.get(keyOf(address)) ?? this.add(address)
    if (neighbor === undefined) return NOWHERE
    this.enter(neighbor, 'INCOMPLETE')
    neighbor.used = ++this.uses
    this.timers.set(neighbor.id, this.now)
    return neighbor
  }

  /** A new entry, FAILED until its maker says otherwise; undefined: the table is full of better ones. */
  private add(address: Address): Neighbor | undefined {
    if (this.freeIds.length === 0) this.evict()
    const id = this.freeIds.pop()
    if (id === undefined) {
      this.counters.neighborTableFull++
      return
    }
    const neighbor = new Neighbor(this, id, address)
    neighbor.state = 'FAILED'
    neighbor.used = ++this.uses
    this.slots[id] = neighbor
    this.byAddress.set(keyOf(address), neighbor)
    return neighbor
  }

  /** Puts out the least valuable entry, the longest unused of its kind. Never one for which something waits. */
  private evict(): void {
    const rank = { FAILED: 0, STALE: 1, DELAY: 2, PROBE: 3, REACHABLE: 4, INCOMPLETE: 5 }
    let victim: Neighbor | undefined
    for (const n of this.byAddress.values()) {
      if (n.state === 'INCOMPLETE' || n.permanent || n.waiting.length > 0) continue
      const order = victim && (rank[n.state] - rank[victim.state] || n.used - victim.used)
      if (order === undefined || order < 0) victim = n
    }
    if (victim !== undefined) this.putOut(victim)
  }

  private putOut(victim: Neighbor): void {
    this.timers.clear(victim.id)
    this.slots[victim.id] = undefined
    this.freeIds.push(victim.id)
    this.byAddress.delete(keyOf(victim.address))
    this.enter(victim, 'FAILED')
    victim.id = -1
  }

  /**
   * A user says where `address` is: for ever (`permanent`), or until it is found not to be there. False: there is no room.
   */
  assign(address: Address, mac: Mac, permanent: boolean, now: number): boolean {
    this.now = now
    const known = this.find(address)
    if (permanent && known?.permanent !== true && this.permanents >= MAX_PERMANENT) return false
    const neighbor = known ?? this.add(address)
    if (neighbor === undefined) return false
    if (permanent !== neighbor.permanent) this.permanents += permanent ? 1 : -1
    neighbor.permanent = permanent
    neighbor.mac = mac
    this.timers.clear(neighbor.id)
    if (permanent) this.enter(neighbor, 'REACHABLE')
    else this.stale(neighbor)
    this.flush(neighbor)
    return true
  }

  /** Takes the entry for `address` away; what waits for it is lost. False: there is none. */
  forget(address: Address, now: number): boolean {
    const neighbor = this.find(address)
    if (neighbor === undefined) return false
    if (neighbor.permanent) this.permanents--
    neighbor.permanent = false
    this.fail(neighbor, now)
    this.putOut(neighbor)
    return true
  }

  /** The one place where a state changes. */
  private enter(neighbor: Neighbor, state: NeighborState): void {
    if (neighbor.state === 'INCOMPLETE') this.incomplete--
    if (state === 'INCOMPLETE') this.incomplete++
    neighbor.state = state
    neighbor.probes = 0
    this.generation++
    this.update(neighbor)
  }

  /** STALE is not ready: its next use is to be noticed. */
  private update(neighbor: Neighbor): void {
    neighbor.ready = neighbor.hasMac && neighbor.state !== 'STALE' && neighbor.waiting.length === 0
  }

  private reachable(neighbor: Neighbor, now: number): void {
    neighbor.confirmed = now
    this.enter(neighbor, 'REACHABLE')
    this.timers.set(neighbor.id, now + this.reachableTime)
  }

  /** What waits is a use of it. */
  private stale(neighbor: Neighbor): void {
    this.timers.clear(neighbor.id)
    this.enter(neighbor, 'STALE')
    if (neighbor.waiting.length > 0) this.resolve(neighbor.address)
  }

  private expire(neighbor: Neighbor, now: number): void {
    if (neighbor.state === 'REACHABLE') {
      if (neighbor.confirmed + this.reachableTime > now)
        this.timers.set(neighbor.id, neighbor.confirmed + this.reachableTime)
      else this.enter(neighbor, 'STALE')
      return
    }
    if (neighbor.state === 'DELAY') this.enter(neighbor, 'PROBE')
    if (neighbor.probes === MAX_SOLICIT) {
      this.fail(neighbor, now)
      return
    }
    neighbor.probes++
    this.timers.set(neighbor.id, now + this.retransTimer)
    this.resolver.solicit(neighbor)
  }

  private fail(neighbor: Neighbor, now: number): void {
    this.timers.clear(neighbor.id)
    const waited = neighbor.waiting
    this.waitingBytes -= neighbor.waitingBytes
    neighbor.waiting = []
    neighbor.waitingBytes = 0
    this.enter(neighbor, 'FAILED')
    this.counters.neighborsFailed++
    for (const packet of waited) this.resolver.undeliverable(packet, now)
    this.onFailed(neighbor, now)
  }

  /** Sends what waited, in order; what finds no room stays for the next run(), and newer packets behind it. */
  private flush(neighbor: Neighbor): void {
    if (!neighbor.hasMac) return
    while (neighbor.waiting.length > 0) {
      if (!this.link.transmit(neighbor, neighbor.waiting[0])) {
        if (!this.blocked.includes(neighbor)) this.blocked.push(neighbor)
        break
      }
      this.unqueue(neighbor)
    }
    this.update(neighbor)
  }

  private unqueue(neighbor: Neighbor): void {
    const length = neighbor.waiting.shift()!.bytes.length
    neighbor.waitingBytes -= length
    this.waitingBytes -= length
  }
}

const keyOf = (a: Address): string | number => (a.isV4 ? a.d : `${a.a},${a.b},${a.c},${a.d}`)
