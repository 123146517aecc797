// Packet sockets (packet(7)): they see frames of the interfaces, beside whom those are for, and send their own. While there
// is none, nobody watches the interfaces. Numbers are what Linux answers: 0, a length, or a negative errno.
import { EAGAIN, EINVAL, EMSGSIZE, ENETDOWN, ENXIO } from '../../../base/errno.ts'
import { copy, i32, u16, writeU16 } from '../../../base/bytes.ts'
import { ETHER_HEADER_LEN } from '../../../wire/ethernet.ts'
import { type Mac, ZERO_MAC } from '../../../wire/mac.ts'
import { Segmenter } from '../../../wire/segment.ts'
import { LOOPBACK_MTU, type Loopback } from '../../link/loopback.ts'
import type { Nic } from '../../link/nic.ts'
import type { FrameWatcher } from '../../link/watcher.ts'
import { newSubject, run } from '../filter/machine.ts'
import { LOOPBACK_INDEX, NIC_INDEX } from '../udp/endpoint.ts'
import {
  ETH_P_802_2,
  ETH_P_802_3,
  ETH_P_ALL,
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
  PacketEndpoint,
  type PacketUser,
  type SeenFrame,
} from './endpoint.ts'

const ARPHRD_ETHER = 1
const ARPHRD_LOOPBACK = 772
const ETHERTYPE_VLAN = 0x8100
const ETHERTYPE_QINQ = 0x88a8
const VLAN_TAG_LEN = 4
const VLAN_ID = 0xfff
/** Below it the field is a length (IEEE 802.3 clause 3.2.6). */
const LEAST_ETHERTYPE = 1536
const MAC_LEN = 6
/** The largest frame that there is, and some more. */
const SCRATCH = 70_000

/** What a program says of a frame that it sends. */
export interface PacketOut {
  bytes: Uint8Array
  at: number
  length: number
  device: number
  /** For a frame that comes without its link header: its type, and where in `bytes` is who gets it; -1: nobody is named. */
  protocol: number
  to: number
}

export const newCounters = () => ({
  framesOut: 0,
  /** The link had no room. */
  noRoom: 0,
})
export type PacketCounters = ReturnType<typeof newCounters>

export class Packets {
  readonly counters = newCounters()
  private readonly nic: Nic
  private readonly loopback: Loopback
  private readonly endpoints: PacketEndpoint[] = []
  private readonly watchers: readonly [Watcher, Watcher]
  private readonly random: () => number
  /** A frame is put together here, with its link header. */
  private readonly scratch = new Uint8Array(SCRATCH)
  /** Whose frame is being sent: it does not see that itself. */
  private origin: PacketEndpoint | undefined

  constructor(nic: Nic, loopback: Loopback, random: () => number) {
    this.nic = nic
    this.loopback = loopback
    this.random = random
    const show = (frame: SeenFrame) => this.show(frame)
    this.watchers = [
      new Watcher(LOOPBACK_INDEX, ARPHRD_LOOPBACK, ZERO_MAC, show),
      new Watcher(NIC_INDEX, ARPHRD_ETHER, nic.mac, show),
    ]
    nic.onDown = () => this.down()
  }

  open(cooked: boolean, protocol: number, user: PacketUser): PacketEndpoint {
    const endpoint = new PacketEndpoint(user, cooked, protocol)
    this.endpoints.push(endpoint)
    this.watch()
    return endpoint
  }

  close(endpoint: PacketEndpoint): void {
    this.endpoints.splice(this.endpoints.indexOf(endpoint), 1)
    this.watch()
  }

  /** Device 0: any. The caller has seen to it that there is such a device. */
  bind(endpoint: PacketEndpoint, device: number, protocol: number): void {
    endpoint.device = device
    endpoint.protocol = protocol
    this.watch()
  }

  isUp(device: number): boolean {
    return device !== NIC_INDEX || this.nic.isUp
  }

  /** An interface is watched while somebody would hear of its frames. */
  private watch(): void {
    const heard = (device: number) =>
      this.endpoints.some(e => e.protocol !== 0 && (e.device === 0 || e.device === device))
    const [ofLoopback, ofNic] = this.watchers
    this.loopback.watcher = heard(LOOPBACK_INDEX) ? ofLoopback : undefined
    this.nic.watcher = heard(NIC_INDEX) ? ofNic : undefined
  }

  private down(): void {
    for (const { device, user } of this.endpoints) if (device === NIC_INDEX) user.down()
  }

  // ---- arriving

  /** A frame, to all who want it. */
  private show(frame: SeenFrame): void {
    const start = frame.at
    const { length, type, tag, tagType } = frame
    for (const endpoint of this.endpoints) {
      if (endpoint === this.origin || !endpoint.wants(frame)) continue
      if (endpoint.cooked) {
        frame.at = frame.network
        frame.length = start + length - frame.network
      }
      if (tag >= 0 && endpoint.protocol !== ETH_P_ALL) forgetTag(frame)
      const { program } = endpoint.user
      const wanted = program === undefined ? frame.length : run(program, frame, this.random)
      if (wanted > 0) endpoint.user.arrives(frame, Math.min(wanted, frame.length))
      frame.at = start
      frame.length = length
      frame.type = type
      frame.tag = tag
      frame.tagType = tagType
    }
  }

  // ---- sending

  /** What send() would say if the link had room: how long the text may be, or a negative errno. */
  check(endpoint: PacketEndpoint, out: PacketOut): number {
    const { device } = out
    if (device !== LOOPBACK_INDEX && device !== NIC_INDEX) return -ENXIO
    if (!this.isUp(device)) return -ENETDOWN
    const mtu = device === NIC_INDEX ? this.nic.mtu : LOOPBACK_MTU
    const most = endpoint.cooked ? mtu : mtu + ETHER_HEADER_LEN
    // Linux: only an Ethernet link needs to be told who gets it.
    if (endpoint.cooked && out.to < 0 && device === NIC_INDEX) return -EINVAL
    if (out.length > most && !isTagged(endpoint, out, most)) return -EMSGSIZE
    if (!endpoint.cooked && out.length < ETHER_HEADER_LEN) return -EINVAL
    return most
  }

  send(endpoint: PacketEndpoint, out: PacketOut): number {
    const most = this.check(endpoint, out)
    if (most < 0) return most
    const length = endpoint.cooked ? this.wrap(out) : this.take(out)
    this.origin = endpoint
    const sent =
      out.device === NIC_INDEX
        ? this.nic.sendFrame(this.scratch, 0, length)
        : this.loopback.sendFrame(this.scratch, 0, length)
    this.origin = undefined
    if (sent) this.counters.framesOut++
    else this.counters.noRoom++
    return sent ? out.length : -EAGAIN
  }

  private take({ bytes, at, length }: PacketOut): number {
    copy(this.scratch, 0, bytes, at, length)
    return length
  }

  /** Puts its link header before it: from us, to whom it says. */
  private wrap({ bytes, at, length, to, protocol, device }: PacketOut): number {
    const { scratch } = this
    if (to < 0) scratch.fill(0, 0, MAC_LEN)
    else copy(scratch, 0, bytes, to, MAC_LEN)
    const own = device === NIC_INDEX ? this.nic.mac : ZERO_MAC
    own.write(scratch, MAC_LEN)
    writeU16(scratch, 2 * MAC_LEN, protocol)
    copy(scratch, ETHER_HEADER_LEN, bytes, at, length)
    return ETHER_HEADER_LEN + length
  }
}

/** As Linux: who wants one type of frames does not hear of their VLAN, but that it is not ours. */
function forgetTag(frame: SeenFrame): void {
  if ((frame.tag & VLAN_ID) !== 0) frame.type = PACKET_OTHERHOST
  frame.tag = -1
  frame.tagType = 0
}

/** A VLAN tag does not count. */
const isTagged = (endpoint: PacketEndpoint, out: PacketOut, most: number): boolean =>
  !endpoint.cooked &&
  out.length <= most + VLAN_TAG_LEN &&
  u16(out.bytes, out.at + 2 * MAC_LEN) === ETHERTYPE_VLAN

/** Makes one interface's frames what the wire would have. */
class Watcher implements FrameWatcher {
  private readonly frame: SeenFrame = newSubject()
  private readonly device: number
  private readonly hardware: number
  private readonly mac: Mac
  private readonly show: (frame: SeenFrame) => void
  private readonly segmenter = new Segmenter()
  private readonly scratch = new Uint8Array(SCRATCH)

  constructor(device: number, hardware: number, mac: Mac, show: (frame: SeenFrame) => void) {
    this.device = device
    this.hardware = hardware
    this.mac = mac
    this.show = show
  }

  came(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const type = this.typeOf(bytes, at)
    this.see(type, bytes, at, length, gsoSize, checksumStart, checksumOffset)
  }

  went(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    this.see(PACKET_OUTGOING, bytes, at, length, gsoSize, checksumStart, checksumOffset)
  }

  private typeOf(bytes: Uint8Array, at: number): number {
    const { mac } = this
    const high = u16(bytes, at)
    const low = i32(bytes, at + 2)
    if (low === mac.low && high === mac.high) return PACKET_HOST
    if ((high & 0x100) === 0) return PACKET_OTHERHOST
    // Linux: loopback's broadcast address is its own.
    const toAll = low === -1 && high === 0xffff && this.hardware === ARPHRD_ETHER
    return toAll ? PACKET_BROADCAST : PACKET_MULTICAST
  }

  private see(
    type: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    if (gsoSize === 0 && checksumStart === 0) return this.one(type, bytes, at, length)
    const { segmenter, scratch } = this
    // One that lies about itself is shown as it is.
    if (!segmenter.start(bytes, at, length, gsoSize, checksumStart, checksumOffset))
      return this.one(type, bytes, at, length)
    for (let i = segmenter.count; i > 0; i--) this.one(type, scratch, 0, segmenter.next(scratch, 0))
  }

  private one(type: number, bytes: Uint8Array, at: number, length: number): void {
    const { frame } = this
    frame.tag = -1
    frame.tagType = 0
    frame.type = type
    frame.device = this.device
    frame.hardware = this.hardware
    frame.bytes = bytes
    frame.at = frame.link = at
    frame.length = length
    if (type !== PACKET_OUTGOING) this.takeTag(frame)
    frame.network = frame.at + ETHER_HEADER_LEN
    frame.ethertype = protocolOf(frame)
    this.show(frame)
  }

  /** As Linux: the tag of what came is taken out, and told beside the frame. */
  private takeTag(frame: SeenFrame): void {
    const { scratch } = this
    const { bytes, at, length } = frame
    const tagType = u16(bytes, at + 2 * MAC_LEN)
    if (tagType !== ETHERTYPE_VLAN && tagType !== ETHERTYPE_QINQ) return
    if (length < ETHER_HEADER_LEN + VLAN_TAG_LEN) return
    frame.tag = u16(bytes, at + ETHER_HEADER_LEN)
    frame.tagType = tagType
    if (bytes !== scratch) copy(scratch, 0, bytes, at, length)
    scratch.copyWithin(VLAN_TAG_LEN, 0, 2 * MAC_LEN)
    frame.bytes = scratch
    frame.at = frame.link = VLAN_TAG_LEN
    frame.length = length - VLAN_TAG_LEN
  }
}

function protocolOf({ bytes, network, at, length }: SeenFrame): number {
  const type = u16(bytes, network - 2)
  if (type >= LEAST_ETHERTYPE) return type
  const isNovell = at + length >= network + 2 && u16(bytes, network) === 0xffff
  return isNovell ? ETH_P_802_3 : ETH_P_802_2
}
