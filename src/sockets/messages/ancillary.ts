// Ancillary data (cmsg(3)) of sockets over IP: what a program says of one datagram it sends, what it is told of one that
// arrives (ip(7), ipv6(7), socket(7), udp(7)).
import { performance } from 'node:perf_hooks'
import { copy } from '../../base/bytes.ts'
import { EINVAL, ENODEV } from '../../base/errno.ts'
import { AF_INET, AF_INET6 } from '../../ffi/libc.ts'
import {
  LOOPBACK_INDEX,
  NIC_INDEX,
  type Outgoing,
  type Packet,
  type Unreachable,
  interfaceOf,
} from '../../stack/stack.ts'
import { IPV4_HEADER_LEN } from '../../wire/ipv4.ts'
import * as C from '../common-options.ts'
import { IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET } from '../option-rules.ts'
import type { Inbound } from './inbound.ts'
import * as O from './ip-options.ts'
import type { MessageSocket } from './message-socket.ts'
import type { Outbound } from './outbound.ts'

const HEADER = 16
const SOL_UDP = 17
const V4_MAPPED = 0xffff

const SCM_RIGHTS = 1
const SCM_CREDENTIALS = 2
const SO_TIMESTAMP = 29
const SO_TIMESTAMPNS = 35
const SO_MARK = 36
const SO_TIMESTAMPING = 37
const SO_RXQ_OVFL = 40
const SO_TXTIME = 61
const SO_TIMESTAMP_NEW = 63
const SO_TIMESTAMPNS_NEW = 64
const SO_TIMESTAMPING_NEW = 65
/** By the kinds of common-options.ts. */
const STAMP_TYPES = [0, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW]
/** SOF_TIMESTAMPING_RX_SOFTWARE and SOFTWARE: packets that come are stamped, and the stamp is told. */
const STAMPS = 0x18
const IP_TOS = 1
const IP_TTL = 2
const IP_RECVOPTS = 6
const IP_RETOPTS = 7
const IP_PKTINFO = 8
const IP_ORIGDSTADDR = 20
const IPV6_2292PKTINFO = 2
const IPV6_2292HOPLIMIT = 8
const IPV6_PKTINFO = 50
const IPV6_HOPLIMIT = 52
const IPV6_DONTFRAG = 62
const IPV6_TCLASS = 67
const IPV6_ORIGDSTADDR = 74
const UDP_SEGMENT = 103

/** What ancillary data said beside what Outgoing holds. */
export interface Said {
  /** UDP_SEGMENT: bytes of text in each datagram; 0: not said. */
  segment: number
}

/** Takes what a program says of one datagram into `out` and `said`. 0 or a negative errno. */
export function readControl(message: Inbound, out: Outgoing, said: Said): number {
  const { view } = message
  let at = message.controlAt
  const end = at + message.controlLength
  while (at + HEADER <= end) {
    const length = view.getUint32(at, true)
    if (length < HEADER || view.getUint32(at + 4, true) !== 0 || at + length > end) return -EINVAL
    const level = view.getInt32(at + 8, true)
    const type = view.getInt32(at + 12, true)
    const r = readOne(message, level, type, at + HEADER, length - HEADER, out, said)
    if (r < 0) return r
    at += (length + 7) & ~7
  }
  return 0
}

function readOne(
  { view, bytes }: Inbound,
  level: number,
  type: number,
  at: number,
  length: number,
  out: Outgoing,
  said: Said,
): number {
  if (level === SOL_SOCKET) return SOCKET_TYPES.has(type) ? 0 : -EINVAL
  if (level === SOL_UDP) {
    if (type !== UDP_SEGMENT || length !== 2) return -EINVAL
    said.segment = view.getUint16(at, true)
    return 0
  }
  if (level === IPPROTO_IP) {
    if (type === IP_PKTINFO) {
      if (length !== 12) return -EINVAL
      const source = view.getInt32(at + 4)
      return from(out, view.getInt32(at, true), 0, 0, source === 0 ? 0 : V4_MAPPED, source)
    }
    if (type === IP_TTL) {
      if (length !== 4) return -EINVAL
      out.ttl = view.getInt32(at, true)
      return out.ttl >= 1 && out.ttl <= 255 ? 0 : -EINVAL
    }
    if (type !== IP_TOS || (length !== 4 && length !== 1)) return -EINVAL
    const tos = length === 4 ? view.getInt32(at, true) : bytes[at]
    out.tos = tos
    return tos >= 0 && tos <= 255 ? 0 : -EINVAL
  }
  if (level === IPPROTO_IPV6) {
    if (type === IPV6_PKTINFO) {
      if (length < 20) return -EINVAL
      const w = (i: number) => view.getInt32(at + 4 * i)
      return from(out, view.getInt32(at + 16, true), w(0), w(1), w(2), w(3))
    }
    if (type === IPV6_HOPLIMIT || type === IPV6_TCLASS) {
      const value = length === 4 ? view.getInt32(at, true) : -2
      if (value < -1 || value > 255) return -EINVAL
      if (type === IPV6_HOPLIMIT) out.ttl = value
      else out.tos = value
      return 0
    }
    if (type !== IPV6_DONTFRAG || length !== 4) return -EINVAL
    return [0, 1].includes(view.getInt32(at, true)) ? 0 : -EINVAL
  }
  return 0
}

/** Descriptors and credentials mean nothing here, and Linux lets them pass. */
const SOCKET_TYPES = new Set([SCM_RIGHTS, SCM_CREDENTIALS, SO_MARK, SO_TIMESTAMPING, SO_TXTIME])

/** The source, unspecified: as the socket has it. */
function from(out: Outgoing, device: number, a: number, b: number, c: number, d: number): number {
  if (device !== 0 && device !== LOOPBACK_INDEX && device !== NIC_INDEX) return -ENODEV
  if ((a | b | c | d) === 0) return 0
  out.words[0] = a
  out.words[1] = b
  out.words[2] = c
  out.words[3] = d
  out.sourced = true
  return 0
}

const words = new Int32Array(4)

/** What a program is told of a datagram that arrived, as its options say. */
export function writeControl(
  m: MessageSocket,
  head: Outbound,
  packet: Packet,
  dstPort: number,
): void {
  const { options } = m
  writeSocketControl(m, head)
  if (m.family === AF_INET6) writeControl6(options, head, packet, dstPort)
  if (packet.family === 6) return
  if (options[O.PKTINFO] !== 0) {
    const at = head.control(IPPROTO_IP, IP_PKTINFO, 12)
    const to = packet.dstWord(3)
    if (at >= 0) {
      head.view.setInt32(at, interfaceOf(packet), true)
      // The address that an answer would come from: of a group or everybody's datagram the socket's own choice.
      head.view.setInt32(at + 4, packet.group ? 0 : to)
      head.view.setInt32(at + 8, to)
    }
  }
  if (options[O.RECVTTL] !== 0) head.controlInt(IPPROTO_IP, IP_TTL, packet.ttl)
  if (options[O.RECVTOS] !== 0) {
    const at = head.control(IPPROTO_IP, IP_TOS, 1)
    if (at >= 0) head.bytes[at] = packet.tos
  }
  if (options[O.RECVOPTS] !== 0) writeOptions(head, IP_RECVOPTS, packet)
  if (options[O.RETOPTS] !== 0) writeOptions(head, IP_RETOPTS, packet)
  if (options[O.RECVORIGDSTADDR] !== 0)
    original(head, IPPROTO_IP, IP_ORIGDSTADDR, AF_INET, packet, dstPort)
}

/** The options of an IPv4 header. Source routes, which an answer had to turn around, do not come this far. */
function writeOptions(head: Outbound, type: number, { bytes, ip, transport }: Packet): void {
  const length = transport - ip - IPV4_HEADER_LEN
  if (length === 0) return
  const at = head.control(IPPROTO_IP, type, length)
  if (at >= 0) copy(head.bytes, at, bytes, ip + IPV4_HEADER_LEN, length)
}

function writeControl6(options: Int32Array, head: Outbound, packet: Packet, dstPort: number): void {
  if (options[O.RECVPKTINFO] !== 0) writePacketInfo(head, IPV6_PKTINFO, packet)
  if (options[O.OLD_PKTINFO] !== 0) writePacketInfo(head, IPV6_2292PKTINFO, packet)
  if (packet.family === 4) return
  if (options[O.RECVHOPLIMIT] !== 0) head.controlInt(IPPROTO_IPV6, IPV6_HOPLIMIT, packet.ttl)
  if (options[O.OLD_HOPLIMIT] !== 0) head.controlInt(IPPROTO_IPV6, IPV6_2292HOPLIMIT, packet.ttl)
  if (options[O.RECVTCLASS] !== 0) head.controlInt(IPPROTO_IPV6, IPV6_TCLASS, packet.tos)
  if (options[O.RECVORIGDSTADDR6] !== 0)
    original(head, IPPROTO_IPV6, IPV6_ORIGDSTADDR, AF_INET6, packet, dstPort)
}

function writePacketInfo(head: Outbound, type: number, packet: Packet): void {
  const at = head.control(IPPROTO_IPV6, type, 20)
  if (at < 0) return
  for (let i = 0; i < 4; i++) head.view.setInt32(at + 4 * i, packet.dstWord(i))
  head.view.setInt32(at + 16, interfaceOf(packet), true)
}

/** What a program is told of the message that brought an error: time stamps, and its time to live. */
export function writeErrorControl(m: MessageSocket, head: Outbound, error: Unreachable): void {
  const { options } = m
  writeSocketControl(m, head)
  if (error.ttl < 0) return
  if (error.dst.isV4) {
    if (options[O.RECVTTL] !== 0) head.controlInt(IPPROTO_IP, IP_TTL, error.ttl)
    return
  }
  if (options[O.RECVHOPLIMIT] !== 0) head.controlInt(IPPROTO_IPV6, IPV6_HOPLIMIT, error.ttl)
  if (options[O.OLD_HOPLIMIT] !== 0) head.controlInt(IPPROTO_IPV6, IPV6_2292HOPLIMIT, error.ttl)
}

function original(
  head: Outbound,
  level: number,
  type: number,
  family: number,
  packet: Packet,
  port: number,
): void {
  const at = head.control(level, type, family === AF_INET6 ? 28 : 16)
  if (at < 0) return
  for (let i = 0; i < 4; i++) words[i] = packet.dstWord(i)
  head.sockaddr(at, family, words, 0, port)
}

/** Time stamps and losses: every kind of socket has them. */
export function writeSocketControl(m: MessageSocket, head: Outbound): void {
  const { options } = m
  if (options[C.TIMESTAMP] !== 0) writeStamp(head, options[C.TIMESTAMP])
  if ((options[C.TIMESTAMPING] & STAMPS) === STAMPS) writeStamps(head, options)
  if (options[O.RXQ_OVFL] !== 0 && m.drops > 0) head.controlInt(SOL_SOCKET, SO_RXQ_OVFL, m.drops)
}

/** SCM_TIMESTAMP and its kin. */
function writeStamp(head: Outbound, kind: number): void {
  const type = STAMP_TYPES[kind]
  const at = head.control(SOL_SOCKET, type, 16)
  const nanoseconds = kind === C.TIMESTAMP_NS || kind === C.TIMESTAMP_NS_NEW
  if (at >= 0) writeTime(head, at, nanoseconds ? 1e6 : 1e3)
}

/** SCM_TIMESTAMPING: three times, of which the first is software's. */
function writeStamps(head: Outbound, options: Int32Array): void {
  const type = options[C.TIMESTAMPING_NEW] === 0 ? SO_TIMESTAMPING : SO_TIMESTAMPING_NEW
  const at = head.control(SOL_SOCKET, type, 48)
  if (at >= 0) writeTime(head, at, 1e6)
}

/** struct timeval or timespec, of 64 bits each. `units`: in a millisecond. */
function writeTime({ view }: Outbound, at: number, units: number): void {
  const ms = performance.timeOrigin + performance.now()
  const seconds = Math.floor(ms / 1000)
  view.setUint32(at, seconds >>> 0, true)
  view.setUint32(at + 4, Math.floor(seconds / 2 ** 32), true)
  view.setUint32(at + 8, Math.floor((ms - 1000 * seconds) * units), true)
}
