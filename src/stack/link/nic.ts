// The network interface: frames in, checked and sorted; packets out, to a neighbor's MAC. It knows nothing of IP: what is
// above registers by ethertype, and tells which groups it wants to hear.
import { copy, i32, u16 } from '../../base/bytes.ts'
import { ETHER_HEADER_LEN, emitEthernet } from '../../wire/ethernet.ts'
import type { Mac } from '../../wire/mac.ts'
import { LinkCounters } from './counters.ts'
import type { Neighbor, NeighborLink, WaitingPacket } from './neighbor.ts'
import { CHECKSUM_VALID, type FrameSink } from './sink.ts'
import type { FrameWatcher } from './watcher.ts'

/** Whom a frame was for: us alone, a group that we are in, everybody. */
export const CAST_UNICAST = 0
export const CAST_MULTICAST = 1
export const CAST_BROADCAST = 2

/** Takes the packets of one ethertype: `length` bytes at `at`, padding and all; `cast` is CAST_*. */
export type PacketHandler = (
  bytes: Uint8Array,
  at: number,
  length: number,
  checksumValid: boolean,
  cast: number,
  now: number,
) => void

/** Who wants to know when the link comes and goes. */
export interface LinkUser {
  linkUp(): void
  linkDown(): void
}

/** Until a link says otherwise. */
const DEFAULT_MTU = 1500
const MAX_PACKET = 65535

export class Nic implements NeighborLink {
  readonly mac: Mac
  readonly counters = new LinkCounters()
  /** By ethertype. */
  readonly handlers = new Map<number, PacketHandler>()
  readonly users: LinkUser[] = []
  watcher: FrameWatcher | undefined
  /** Called when the user sets it down. */
  onDown: () => void = () => {}
  sink: FrameSink | undefined
  /** The largest packet that we send. */
  mtu = DEFAULT_MTU
  isUp = true
  private link: FrameSink | undefined
  private linkMtu = DEFAULT_MTU
  private mtuLimit = Infinity
  private wantedMtu = Infinity
  /** The link takes segments longer than its mtu, and leaves the checksum to us. */
  offload = false

  /** The memory of the packet opened last. */
  bytes: Uint8Array
  private frame = 0
  /** Where that packet goes: into the sink, or behind others that wait for a neighbor, or nowhere. */
  private target: 'sink' | 'wait' | 'nowhere' = 'nowhere'
  /** Packets that cannot go into the sink yet, or never, are built here. */
  private readonly scratch = new Uint8Array(ETHER_HEADER_LEN + MAX_PACKET)
  /** How often each group's MAC was joined. */
  private readonly groups = new Map<number, number>()

  constructor(mac: Mac) {
    this.mac = mac
    this.bytes = this.scratch
  }

  /** The link is up, or (undefined) down. What is kept for sending stays, if the new link can take it. */
  setSink(link: FrameSink | undefined): void {
    this.link = link
    this.connect()
  }

  /** The user's wish: while it is not up, the link is as good as down. */
  setUp(up: boolean): void {
    if (up === this.isUp) return
    this.isUp = up
    this.connect()
    if (!up) this.onDown()
  }

  private connect(): void {
    const sink = this.isUp ? this.link : undefined
    this.sink = sink
    if (sink === undefined) {
      for (const user of this.users) user.linkDown()
      return
    }
    this.linkMtu = sink.mtu
    this.limitMtu(this.mtuLimit)
    this.offload = sink.offload
    for (const user of this.users) user.linkUp()
  }

  /** As large as the link, and who configures it, let them be. */
  get maxMtu(): number {
    return Math.min(this.linkMtu, this.mtuLimit)
  }

  /** No packet of ours is to be larger; what others send is bounded by the link alone. */
  limitMtu(mtu: number): void {
    this.mtuLimit = mtu
    this.mtu = Math.min(mtu, this.wantedMtu, this.linkMtu)
  }

  /** The user's wish, which stays when others say otherwise. */
  setMtu(mtu: number): void {
    this.wantedMtu = mtu
    this.limitMtu(this.mtuLimit)
  }

  /** Frames to this group are ours from now on, until leave() was called as often. */
  join(group: Mac): void {
    const key = keyOf(group.high, group.low)
    this.groups.set(key, (this.groups.get(key) ?? 0) + 1)
  }

  leave(group: Mac): void {
    const key = keyOf(group.high, group.low)
    const count = this.groups.get(key)
    if (count === undefined) throw new Error(`Cannot leave group ${key.toString(16)}: not joined`)
    if (count === 1) this.groups.delete(key)
    else this.groups.set(key, count - 1)
  }

  /** A frame of `length` bytes. The link's mtu bounds it, or, where the link segments for us, the gso size says why not. */
  frameArrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksum: number,
    gsoSize: number,
    now: number,
    checksumStart = 0,
    checksumOffset = 0,
  ): void {
    const { counters, mac, watcher } = this
    counters.framesIn++
    counters.bytesIn += length
    if (!this.isUp) {
      counters.linkDown++
      return
    }
    if (length < ETHER_HEADER_LEN) {
      counters.frameTooShort++
      return
    }
    if (length > this.linkMtu + ETHER_HEADER_LEN && !(this.offload && gsoSize > 0)) {
      counters.frameTooLong++
      return
    }
    if (watcher !== undefined)
      watcher.came(bytes, at, length, gsoSize, checksumStart, checksumOffset)
    const high = u16(bytes, at)
    const low = i32(bytes, at + 2)
    let cast = CAST_UNICAST
    if (low !== mac.low || high !== mac.high) {
      if ((high & 0x100) === 0) {
        counters.notOurMac++
        return
      }
      cast = low === -1 && high === 0xffff ? CAST_BROADCAST : CAST_MULTICAST
      if (cast === CAST_MULTICAST && !this.groups.has(keyOf(high, low))) {
        counters.multicastNotJoined++
        return
      }
    }
    const fromHigh = u16(bytes, at + 6)
    const fromLow = i32(bytes, at + 8)
    if ((fromHigh & 0x100) !== 0 || (fromHigh === 0 && fromLow === 0)) {
      counters.badSourceMac++
      return
    }
    if (fromLow === mac.low && fromHigh === mac.high) {
      counters.ownFrame++
      return
    }
    const handler = this.handlers.get(u16(bytes, at + 12))
    if (handler === undefined) {
      counters.unknownEthertype++
      return
    }
    const packet = at + ETHER_HEADER_LEN
    handler(bytes, packet, length - ETHER_HEADER_LEN, checksum === CHECKSUM_VALID, cast, now)
  }

  /** Space for a packet of at most `length` bytes to a neighbor: its offset in `bytes`; -1: no room now. */
  open(neighbor: Neighbor, length: number): number {
    if (neighbor.hasMac) return neighbor.waiting.length > 0 ? -1 : this.openFrame(length)
    if (neighbor.state === 'INCOMPLETE') return this.openScratch('wait')
    return this.openScratch('nowhere')
  }

  /** Sends the packet opened last, or lets it wait. The arguments are FrameSink.close()'s. */
  close(
    neighbor: Neighbor,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const { table, mac } = neighbor
    if (table === undefined) return
    if (this.target !== 'wait') {
      const type = table.resolver.ethertype
      return this.closeFrame(mac, type, length, gsoSize, checksumStart, checksumOffset)
    }
    const bytes = this.scratch.slice(ETHER_HEADER_LEN, ETHER_HEADER_LEN + length)
    table.wait(neighbor, { bytes, gsoSize, checksumStart, checksumOffset })
  }

  /** The same, without a neighbor: for ARP and neighbor discovery. A link that is down takes everything and loses it. */
  openFrame(length: number): number {
    const { sink } = this
    if (sink === undefined) return this.openScratch('nowhere')
    const at = sink.open(ETHER_HEADER_LEN + length)
    if (at < 0) return -1
    this.target = 'sink'
    this.frame = at
    this.bytes = sink.bytes
    return at + ETHER_HEADER_LEN
  }

  closeFrame(
    dst: Mac,
    type: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    if (this.target !== 'sink') {
      if (this.sink === undefined) this.counters.linkDown++
      return
    }
    emitEthernet(this.bytes, this.frame, dst, this.mac, type)
    this.emit(ETHER_HEADER_LEN + length, gsoSize, checksumStart, checksumOffset)
  }

  /** The frame opened last. */
  private emit(
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const { counters, watcher } = this
    counters.framesOut++
    counters.bytesOut += length
    if (watcher !== undefined)
      watcher.went(this.bytes, this.frame, length, gsoSize, checksumStart, checksumOffset)
    this.sink!.close(length, gsoSize, checksumStart, checksumOffset)
  }

  /** A frame of a program's own, link header and all, as it is. False: no room now. */
  sendFrame(bytes: Uint8Array, at: number, length: number): boolean {
    const to = this.openFrame(length - ETHER_HEADER_LEN)
    if (to < 0) return false
    if (this.target !== 'sink') {
      this.counters.linkDown++
      return true
    }
    copy(this.bytes, to - ETHER_HEADER_LEN, bytes, at, length)
    this.emit(length, 0, 0, 0)
    return true
  }

  transmit(neighbor: Neighbor, packet: WaitingPacket): boolean {
    const { bytes, gsoSize, checksumStart, checksumOffset } = packet
    if (!this.offload && (bytes.length > this.mtu || checksumStart !== 0)) {
      this.counters.linkChanged++
      return true
    }
    const at = this.openFrame(bytes.length)
    if (at < 0) return false
    this.bytes.set(bytes, at)
    const type = neighbor.table!.resolver.ethertype
    this.closeFrame(neighbor.mac, type, bytes.length, gsoSize, checksumStart, checksumOffset)
    return true
  }

  private openScratch(target: 'wait' | 'nowhere'): number {
    this.target = target
    this.bytes = this.scratch
    return ETHER_HEADER_LEN
  }
}

/** A MAC as one number, below 2^48. */
const keyOf = (high: number, low: number): number => high * 2 ** 32 + (low >>> 0)
