// The network interface: frames in, checked and sorted; packets out, to a neighbor's MAC.
import { i32, u16 } from '../../base/bytes.ts'
import {
  ETHER_HEADER_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  emitEthernet,
} from '../../wire/ethernet.ts'
import type { Mac } from '../../wire/mac.ts'
import { Arp } from './arp.ts'
import { LinkCounters } from './counters.ts'
import { NeighborTable } from './neighbor.ts'
import type { NeighborLink, WaitingPacket, Neighbor } from './neighbor.ts'
import { CHECKSUM_VALID } from './sink.ts'
import type { FrameSink } from './sink.ts'

/** One of the interface's IPv4 addresses, as words. */
export interface InterfaceAddress {
  readonly word: number
  readonly mask: number
  /** The network's directed broadcast; undefined where there is none (RFC 3021: /31, and /32). */
  readonly broadcast: number | undefined
}

/** Until a link says otherwise. */
const DEFAULT_MTU = 1500
const MAX_PACKET = 65535

export class Nic implements NeighborLink {
  readonly mac: Mac
  readonly addresses: readonly InterfaceAddress[]
  readonly counters = new LinkCounters()
  readonly neighbors: NeighborTable
  readonly arp: Arp
  sink: FrameSink | undefined
  mtu = DEFAULT_MTU
  /** The link takes segments longer than its mtu, and leaves the checksum to us. */
  offload = false

  /** The memory of the packet opened last. */
  bytes: Uint8Array
  private frame = 0
  /** Where that packet goes: into the sink, or behind others that wait for a neighbor, or nowhere. */
  private target: 'sink' | 'wait' | 'nowhere' = 'nowhere'
  /** Packets that cannot go into the sink yet, or never, are built here. */
  private readonly scratch = new Uint8Array(ETHER_HEADER_LEN + MAX_PACKET)

  /** Takes IPv4 packets; `broadcast`: the frame was for everybody. Set by who puts the stack together. */
  deliverIpv4: (
    bytes: Uint8Array,
    at: number,
    length: number,
    checksumValid: boolean,
    broadcast: boolean,
    now: number,
  ) => void = () => {
    this.counters.unknownEthertype++
  }
  /** A packet that waited for a neighbor in vain. */
  onUndeliverable: (packet: Uint8Array, now: number) => void = () => {}
  /** Another station claims one of our addresses. */
  onConflict: (address: number, mac: Mac, now: number) => void = () => {}

  constructor(mac: Mac, addresses: readonly InterfaceAddress[]) {
    this.mac = mac
    this.addresses = addresses
    this.bytes = this.scratch
    this.neighbors = new NeighborTable(this, this.counters)
    this.arp = new Arp(this)
  }

  /** The link is up, or (undefined) down. What is kept for sending stays, if the new link can take it. */
  setSink(sink: FrameSink | undefined): void {
    this.sink = sink
    if (sink === undefined) {
      this.arp.silence()
      return
    }
    this.mtu = sink.mtu
    this.offload = sink.offload
    this.arp.announce()
    this.neighbors.relink()
  }

  hasAddress(word: number): boolean {
    for (const address of this.addresses) if (address.word === word) return true
    return false
  }

  isOnLink(word: number): boolean {
    return this.sourceFor(word) !== undefined
  }

  /** Our address on the network of `word`. */
  sourceFor(word: number): number | undefined {
    for (const { word: own, mask } of this.addresses) if (((own ^ word) & mask) === 0) return own
    return undefined
  }

  /** Everybody on this link, or on one of our networks (RFC 1122 section 3.2.1.3). */
  isBroadcast(word: number): boolean {
    if (word === -1) return true
    for (const { broadcast } of this.addresses) if (broadcast === word) return true
    return false
  }

  /** A frame of `length` bytes. The link's mtu bounds it, or, where the link segments for us, the gso size says why not. */
  frameArrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksum: number,
    gsoSize: number,
    now: number,
  ): void {
    const { counters, mac } = this
    counters.framesIn++
    counters.bytesIn += length
    if (length < ETHER_HEADER_LEN) {
      counters.frameTooShort++
      return
    }
    if (length > this.mtu + ETHER_HEADER_LEN && !(this.offload && gsoSize > 0)) {
      counters.frameTooLong++
      return
    }
    const high = u16(bytes, at)
    const low = i32(bytes, at + 2)
    const toUs = low === mac.low && high === mac.high
    const broadcast = low === -1 && high === 0xffff
    if (!toUs && !broadcast) {
      if ((high & 0x100) !== 0) counters.multicastNotJoined++
      else counters.notOurMac++
      return
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
    const packet = at + ETHER_HEADER_LEN
    const type = u16(bytes, at + 12)
    if (type === ETHERTYPE_IPV4)
      this.deliverIpv4(
        bytes,
        packet,
        length - ETHER_HEADER_LEN,
        checksum === CHECKSUM_VALID,
        broadcast,
        now,
      )
    else if (type === ETHERTYPE_ARP)
      this.arp.arrives(bytes, packet, length - ETHER_HEADER_LEN, toUs, now)
    else if (type === ETHERTYPE_IPV6) counters.ipv6++
    else counters.unknownEthertype++
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
    if (this.target !== 'wait')
      return this.closeFrame(
        neighbor.mac,
        ETHERTYPE_IPV4,
        length,
        gsoSize,
        checksumStart,
        checksumOffset,
      )
    const bytes = this.scratch.slice(ETHER_HEADER_LEN, ETHER_HEADER_LEN + length)
    this.neighbors.wait(neighbor, { bytes, gsoSize, checksumStart, checksumOffset })
  }

  /** The same, without a neighbor: for ARP itself. A link that is down takes everything and loses it. */
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
    this.counters.framesOut++
    this.counters.bytesOut += ETHER_HEADER_LEN + length
    this.sink!.close(ETHER_HEADER_LEN + length, gsoSize, checksumStart, checksumOffset)
  }

  /** When run() has something to do. Packets that wait for room do not count: the sink tells when there is some. */
  get next(): number {
    return Math.min(this.neighbors.next, this.arp.next)
  }

  run(now: number): void {
    this.arp.run(now)
    this.neighbors.run(now)
  }

  solicit(neighbor: Neighbor): void {
    this.arp.solicit(neighbor)
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
    this.closeFrame(
      neighbor.mac,
      ETHERTYPE_IPV4,
      bytes.length,
      gsoSize,
      checksumStart,
      checksumOffset,
    )
    return true
  }

  undeliverable(packet: WaitingPacket, now: number): void {
    this.onUndeliverable(packet.bytes, now)
  }

  private openScratch(target: 'wait' | 'nowhere'): number {
    this.target = target
    this.bytes = this.scratch
    return ETHER_HEADER_LEN
  }
}
