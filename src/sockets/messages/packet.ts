// Packet sockets (packet(7)): frames as the link has them.
import {
  EBUSY,
  EINVAL,
  ENETDOWN,
  ENOBUFS,
  ENODEV,
  ENOPROTOOPT,
  EOPNOTSUPP,
  ESOCKTNOSUPPORT,
} from '../../base/errno.ts'
import { performance } from 'node:perf_hooks'
import * as libc from '../../ffi/libc.ts'
import { RECORD } from '../../shm/layout.ts'
import {
  LOOPBACK_INDEX,
  NIC_INDEX,
  PACKET_OUTGOING,
  type PacketEndpoint,
  type PacketOut,
  type PacketUser,
  type Program,
  type SeenFrame,
} from '../../stack/stack.ts'
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import { giveBytes, giveInt, int32s, intOf, READABLE, SOL_SOCKET, viewOf } from '../option-rules.ts'
import { writeSocketControl } from './ancillary.ts'
import { deliver, deliverError } from './deliver.ts'
import type { Inbound } from './inbound.ts'
import { defaultOptions, getIpOption, NOWHERE, setIpOption } from './ip-options.ts'
import type { Kind, KindOf } from './kind.ts'
import type { MessageSocket } from './message-socket.ts'
import * as P from './packet-options.ts'
import { PacketRing, TP_STATUS_USER, headerLength } from './packet-ring.ts'

export const AF_PACKET = 17
const SOCK_RAW = 3
const PACKET_AUXDATA = 8

const ARPHRD_ETHER = 1
const ARPHRD_LOOPBACK = 772
const MAC_LEN = 6

/** struct sockaddr_ll, and where its fields are. */
const SOCKADDR_LL_LEN = 20
const LL_PROTOCOL = 2
const LL_IFINDEX = 4
const LL_HATYPE = 8
const LL_PKTTYPE = 10
const LL_HALEN = 11
const LL_ADDR = 12

/** struct packet_mreq, and in how many words it is kept: interface, type and length, address, how often. */
const MREQ_LEN = 16
const MREQ_ADDRESS = 8
const MEMBERSHIP_WORDS = 5
const MOST_MEMBERSHIPS = 200
const PACKET_MR_MULTICAST = 0
const PACKET_MR_UNICAST = 3

const TP_STATUS_VLAN_VALID = 0x10
const TP_STATUS_VLAN_TPID_VALID = 0x40
const TP_STATUS_CSUM_VALID = 0x80
const AUXDATA_LEN = 20

const out: PacketOut = {
  bytes: new Uint8Array(0),
  at: 0,
  length: 0,
  device: 0,
  protocol: 0,
  to: -1,
}

class PacketSocket implements Kind, PacketUser {
  private readonly ground: Ground
  private readonly m: MessageSocket
  private readonly endpoint: PacketEndpoint
  private ring: PacketRing | undefined

  constructor(ground: Ground, m: MessageSocket) {
    this.ground = ground
    this.m = m
    const protocol = swap(m.protocol & 0xffff)
    this.endpoint = ground.stack.packets.open(m.type === libc.SOCK_DGRAM, protocol, this)
    if (m.recovering) return
    defaultOptions(m)
    m.notes[0] = 0
    m.options[P.PROTOCOL] = protocol
    this.nameIt()
  }

  // ---- names

  /** getsockname(2)'s. */
  private nameIt(): void {
    const { m, endpoint } = this
    const { device } = endpoint
    const bytes = new Uint8Array(SOCKADDR_LL_LEN)
    const view = new DataView(bytes.buffer)
    view.setUint16(0, AF_PACKET, true)
    view.setUint16(LL_PROTOCOL, endpoint.protocol)
    view.setUint32(LL_IFINDEX, device, true)
    if (device !== 0) {
      view.setUint16(LL_HATYPE, hardwareOf(device), true)
      bytes[LL_HALEN] = MAC_LEN
      if (device === NIC_INDEX) this.ground.stack.mac.write(bytes, LL_ADDR)
    }
    m.shareSockaddr(RECORD.local, bytes)
    m.options[P.PROTOCOL] = endpoint.protocol
    m.options[P.BOUND_DEVICE] = device
  }

  bind(call: Call): number {
    const { endpoint } = this
    const { packets } = this.ground.stack
    if (call.length < SOCKADDR_LL_LEN) return -EINVAL
    const view = new DataView(call.data.buffer, call.data.byteOffset, SOCKADDR_LL_LEN)
    if (view.getUint16(0, true) !== AF_PACKET) return -EINVAL
    const device = view.getInt32(LL_IFINDEX, true)
    if (device !== 0 && !isDevice(device)) return -ENODEV
    const protocol = view.getUint16(LL_PROTOCOL) || endpoint.protocol
    packets.bind(endpoint, device, protocol)
    this.nameIt()
    if (device !== 0 && protocol !== 0 && !packets.isUp(device)) this.down()
    return 0
  }

  connect(): number {
    return -EOPNOTSUPP
  }

  disconnect(): number {
    return -EOPNOTSUPP
  }

  // ---- sending

  check(message: Inbound): number {
    const r = this.prepare(message)
    return r < 0 ? r : this.ground.stack.packets.check(this.endpoint, out)
  }

  send(message: Inbound): number {
    const r = this.prepare(message)
    return r < 0 ? r : Math.min(0, this.ground.stack.packets.send(this.endpoint, out))
  }

  /** Fills `out`. 0 or a negative errno. */
  private prepare(message: Inbound): number {
    const { endpoint } = this
    const { view, nameAt, nameLength } = message
    out.bytes = message.bytes
    out.at = message.at
    out.length = message.length
    out.to = -1
    out.device = endpoint.device
    out.protocol = endpoint.protocol
    if (nameLength === 0) return 0
    if (nameLength < SOCKADDR_LL_LEN) return -EINVAL
    const addressLength = message.bytes[nameAt + LL_HALEN]
    if (nameLength < addressLength + LL_ADDR) return -EINVAL
    out.device = view.getInt32(nameAt + LL_IFINDEX, true)
    out.protocol = view.getUint16(nameAt + LL_PROTOCOL)
    out.to = nameAt + LL_ADDR
    return 0
  }

  // ---- arriving

  arrives(frame: SeenFrame, wanted: number): void {
    const { m, ring } = this
    const isTaken =
      ring === undefined
        ? this.give(frame, wanted)
        : ring.write(frame, wanted, performance.timeOrigin + performance.now(), this)
    m.options[P.SEEN]++
    if (!isTaken) m.options[P.DROPPED]++
  }

  private give(frame: SeenFrame, wanted: number): boolean {
    const { ground, m } = this
    const { outbound } = ground.messages
    outbound.begin()
    this.name(outbound.view, outbound.name(SOCKADDR_LL_LEN), frame)
    writeSocketControl(m, outbound)
    const at =
      m.options[P.AUXDATA] === 0 ? -1 : outbound.control(P.SOL_PACKET, PACKET_AUXDATA, AUXDATA_LEN)
    if (at >= 0) {
      const { view } = outbound
      view.setUint32(at, this.status(frame), true)
      view.setUint32(at + 4, frame.length, true)
      view.setUint32(at + 8, wanted, true)
      view.setUint16(at + 14, frame.network - frame.at, true)
      view.setUint16(at + 16, Math.max(0, frame.tag), true)
      view.setUint16(at + 18, frame.tagType, true)
    }
    return deliver(ground, m, frame.bytes, frame.at, wanted)
  }

  /** TP_STATUS_*. */
  status(frame: SeenFrame): number {
    const came = frame.type === PACKET_OUTGOING ? 0 : TP_STATUS_CSUM_VALID
    const tagged = frame.tag < 0 ? 0 : TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID
    return TP_STATUS_USER | came | tagged
  }

  /** The sockaddr_ll of who sent it. */
  name(view: DataView, at: number, frame: SeenFrame): void {
    view.setUint16(at, AF_PACKET, true)
    view.setUint16(at + LL_PROTOCOL, frame.ethertype)
    view.setInt32(at + LL_IFINDEX, frame.device, true)
    view.setUint16(at + LL_HATYPE, frame.hardware, true)
    view.setUint8(at + LL_PKTTYPE, frame.type)
    view.setUint8(at + LL_HALEN, MAC_LEN)
    for (let i = 0; i < MAC_LEN; i++)
      view.setUint8(at + LL_ADDR + i, frame.bytes[frame.link + MAC_LEN + i])
    view.setUint16(at + LL_ADDR + MAC_LEN, 0)
  }

  /** What waits in the ring is shown to who has just come. */
  more(): void {
    if (this.ring?.isReadable === true) this.ring.ring()
  }

  get program(): Program | undefined {
    return this.m.filter
  }

  down(): void {
    const { ground, m, ring } = this
    if (ring === undefined) return deliverError(ground, m, ENETDOWN)
    // Nobody reads messages where a ring is: poll(2) tells it.
    m.share(RECORD.so_error, ENETDOWN)
    m.forgetChecks()
    ring.ring()
  }

  // ---- options

  setOption(call: Call): number | undefined {
    const { m } = this
    const [level, name] = call.arg
    if (level === SOL_SOCKET) return setIpOption(m, NOWHERE, call)
    if (level !== P.SOL_PACKET) return -ENOPROTOOPT
    if (name === P.PACKET_ADD_MEMBERSHIP || name === P.PACKET_DROP_MEMBERSHIP)
      return this.setMembership(call, name === P.PACKET_ADD_MEMBERSHIP)
    if (name === P.PACKET_RX_RING) return this.setRing(call)
    const option = P.OPTIONS.get(name)
    if (option === undefined) return -ENOPROTOOPT
    if (call.length < 4 || (option.exact && call.length !== 4)) return -EINVAL
    const value = intOf(call)
    if (value < (option.min ?? -0x80000000) || value > (option.max ?? 0x7fffffff)) return -EINVAL
    if (option.early && this.ring !== undefined) return -EBUSY
    m.options[option.column] = option.kind === 'flag' ? Number(value !== 0) : value
    this.endpoint.ignoresOutgoing = m.options[P.IGNORE_OUTGOING] !== 0
    return 0
  }

  getOption(call: Call): number | undefined {
    const { m } = this
    const [level, name, room] = call.arg
    if (level === SOL_SOCKET) return getIpOption(m, call)
    if (level !== P.SOL_PACKET) return -ENOPROTOOPT
    if (room < 0) return -EINVAL
    if (name === P.PACKET_STATISTICS) return this.giveStatistics(call)
    if (name === P.PACKET_HDRLEN) {
      // What is asked for lies where the answer goes.
      const length =
        room < 4
          ? -EINVAL
          : headerLength(call.arg[3] === READABLE ? viewOf(call).getInt32(0, true) : -1)
      return length < 0 ? length : giveInt(call, length)
    }
    const option = P.OPTIONS.get(name)
    if (option === undefined || option.writeOnly) return -ENOPROTOOPT
    return giveInt(call, m.options[option.column])
  }

  /** Frames that the filter let through, and those among them that found no room; both begin again. */
  private giveStatistics(call: Call): number {
    const { options } = this.m
    const { [P.SEEN]: seen, [P.DROPPED]: dropped } = options
    options[P.SEEN] = options[P.DROPPED] = 0
    return giveBytes(call, int32s(seen, dropped))
  }

  /**
   * Every frame of the link comes here, so a membership changes nothing that is heard: they are only counted, as they are told
   * from wrong ones.
   */
  private setMembership(call: Call, joins: boolean): number {
    const { notes } = this.m
    if (call.length < MREQ_LEN) return -EINVAL
    const view = new DataView(call.data.buffer, call.data.byteOffset, MREQ_LEN)
    const device = view.getInt32(0, true)
    const type = view.getUint16(4, true)
    const length = view.getUint16(6, true)
    if (call.length < length + MREQ_ADDRESS || length > MREQ_LEN - MREQ_ADDRESS) return -EINVAL
    if (joins) {
      if (!isDevice(device)) return -ENODEV
      if (length > MAC_LEN) return -EINVAL
    }
    const wanted = [device, type | (length << 16), view.getInt32(8), view.getInt32(12)]
    let i = 0
    const at = () => 1 + i * MEMBERSHIP_WORDS
    for (; i < notes[0]; i++) if (wanted.every((word, n) => notes[at() + n] === word)) break
    if (!joins) {
      if (i === notes[0] || --notes[at() + 4] > 0) return 0
      notes.copyWithin(at(), at() + MEMBERSHIP_WORDS, 1 + notes[0]-- * MEMBERSHIP_WORDS)
      return 0
    }
    const named = type === PACKET_MR_MULTICAST || type === PACKET_MR_UNICAST
    if (i < notes[0]) notes[at() + 4]++
    else if (named && length !== MAC_LEN) return -EINVAL
    else if (i === MOST_MEMBERSHIPS) return -ENOBUFS
    else {
      notes.set([...wanted, 1], at())
      notes[0]++
    }
    return 0
  }

  // ---- the ring

  private setRing(call: Call): number {
    const { ground, m } = this
    if (call.length < 16) return -EINVAL
    const request = new Uint32Array(call.data.slice(0, 16).buffer)
    if (request[1] === 0) {
      if (request[3] !== 0) return -EINVAL
      this.ring?.close()
      this.ring = undefined
      return 0
    }
    const made = PacketRing.make(ground, m, request)
    if (typeof made === 'number') return made
    this.ring = made
    // What has come before is lost, as on Linux.
    m.queue.length = m.queuedBytes = 0
    return 0
  }

  // ---- ends

  close(): void {
    this.ground.stack.packets.close(this.endpoint)
    this.ring?.close()
  }

  recover(): void {
    const { ground, m, endpoint } = this
    const { options } = m
    ground.stack.packets.bind(endpoint, options[P.BOUND_DEVICE], options[P.PROTOCOL])
    endpoint.ignoresOutgoing = options[P.IGNORE_OUTGOING] !== 0
    if (options[P.RING_GEOM] !== 0) this.ring = new PacketRing(ground, m)
  }
}

const swap = (n: number) => ((n & 0xff) << 8) | (n >>> 8)
const isDevice = (index: number) => index === LOOPBACK_INDEX || index === NIC_INDEX
const hardwareOf = (device: number) => (device === NIC_INDEX ? ARPHRD_ETHER : ARPHRD_LOOPBACK)

/** socket(AF_PACKET, …): the kind, or a negative errno. */
export const packetKind = (type: number): KindOf | number =>
  type === libc.SOCK_DGRAM || type === SOCK_RAW ? packetSocket : -ESOCKTNOSUPPORT

const packetSocket = (ground: Ground, m: MessageSocket): Kind => new PacketSocket(ground, m)
