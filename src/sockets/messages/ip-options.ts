// Options of message sockets (socket(7), ip(7), ipv6(7)): a table of what each holds and whom it concerns. Values live in
// the socket's row, so that they outlive the stack thread. What only some kinds have is theirs (udp.ts, groups.ts).
import { EINVAL, ENODEV, ENOPROTOOPT, EOPNOTSUPP } from '../../base/errno.ts'
import { AF_INET6 } from '../../ffi/libc.ts'
import { CALL_DATA_SIZE } from '../../shm/layout.ts'
import { Endpoint, type FamilyOptions, LOOPBACK_INDEX, NIC_INDEX } from '../../stack/stack.ts'
import type { Call } from '../calls.ts'
import {
  IPPROTO_IP,
  IPPROTO_IPV6,
  OPT_LINGER,
  OPT_RCVBUF,
  OPT_REUSEADDR,
  OPT_SNDBUF,
  OPT_V6ONLY,
  SOL_SOCKET,
} from '../option-table.ts'
import { sizeEnd } from './deliver.ts'
import type { MessageSocket } from './message-socket.ts'

// Columns of MessageSocket.options that other files look at; 0 to 4 are options.ts's.
export const REUSEPORT = 10
export const TIMESTAMP = 12
export const TIMESTAMP_US = 1
export const TIMESTAMP_NS = 2
export const RXQ_OVFL = 14
export const DEVICE = 17
export const TTL = 19
export const RECVERR = 21
export const PKTINFO = 24
export const RECVTTL = 25
export const RECVTOS = 26
export const RECVORIGDSTADDR = 27
export const MULTICAST_IF = 31
export const MULTICAST_IF_INDEX = 32
export const MULTICAST_IF6 = 36
export const RECVERR6 = 38
export const RECVPKTINFO = 39
export const RECVHOPLIMIT = 40
export const RECVTCLASS = 41
export const RECVORIGDSTADDR6 = 46
export const RECVOPTS = 47
export const RETOPTS = 48
/** Of RFC 2292: what IPV6_RECVPKTINFO and IPV6_RECVHOPLIMIT are now. */
export const OLD_PKTINFO = 70
export const OLD_HOPLIMIT = 71
/** Is 0 and stays so. */
const NO_COLUMN = 109
/** From here on a kind's own. */
export const KIND_COLUMNS = 50

/** What an endpoint of the core has to know; which fields there are, the kind of endpoint says. */
export interface Target {
  readonly v4: FamilyOptions
  readonly v6: FamilyOptions
  reuse: boolean
  share: boolean
  broadcast: boolean
  v6only: boolean
  noCheck: boolean
  device: number
}

/** For sockets whose endpoint has none of it. */
export const NOWHERE: Target = new Endpoint(-1, { arrives: () => false, failed: () => {} }, 4)

interface Option {
  readonly level: number
  readonly name: number
  readonly column: number
  readonly kind: 'flag' | 'int'
  readonly initial?: number
  readonly min?: number
  readonly max?: number
  /** 0 may be set, whatever the least is. */
  readonly zero?: true
  /** What Linux makes of a value before it looks whether it is in range. */
  readonly adjust?: (value: number) => number
  readonly apply?: (target: Target, value: number) => void
  /** May be set before bind(2) only. */
  readonly early?: true
  /** The error of setting it, when the value is in range. */
  readonly refuses?: number
  /** Only to be set. */
  readonly hidden?: true
}

const SO_LINGER = 13
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SO_BINDTODEVICE = 25
const SO_TIMESTAMP = 29
const SO_TIMESTAMPNS = 35
const SO_TIMESTAMP_NEW = 63
const SO_TIMESTAMPNS_NEW = 64
const SO_BINDTOIFINDEX = 62
const IPV6_PKTINFO = 50
const SNDBUF_MIN = 2304
const RCVBUF_MIN = 1152
const BUFFER_MAX = 212_992
const BUFFER_DEFAULT = 212_992

/* prettier-ignore */
const TABLE: Option[] = [
  { level: SOL_SOCKET, name: 2, column: OPT_REUSEADDR, kind: 'flag', apply: (t, v) => void (t.reuse = v !== 0) },   // SO_REUSEADDR
  { level: SOL_SOCKET, name: 5, column: 5, kind: 'flag' },                                     // SO_DONTROUTE
  { level: SOL_SOCKET, name: 6, column: 6, kind: 'flag', apply: (t, v) => void (t.broadcast = v !== 0) },           // SO_BROADCAST
  { level: SOL_SOCKET, name: 9, column: 7, kind: 'flag' },                                     // SO_KEEPALIVE
  { level: SOL_SOCKET, name: 10, column: 8, kind: 'flag' },                                    // SO_OOBINLINE
  { level: SOL_SOCKET, name: 11, column: 15, kind: 'flag', apply: (t, v) => void (t.noCheck = v !== 0) },           // SO_NO_CHECK
  { level: SOL_SOCKET, name: 12, column: 9, kind: 'int' },                                     // SO_PRIORITY
  { level: SOL_SOCKET, name: 15, column: REUSEPORT, kind: 'flag', apply: (t, v) => void (t.share = v !== 0) },      // SO_REUSEPORT
  { level: SOL_SOCKET, name: 18, column: 11, kind: 'int', initial: 1, adjust: v => (v < 0 ? 0x7fffffff : v || 1) }, // SO_RCVLOWAT
  { level: SOL_SOCKET, name: 36, column: 16, kind: 'int' },                                     // SO_MARK
  { level: SOL_SOCKET, name: 40, column: RXQ_OVFL, kind: 'flag' },                             // SO_RXQ_OVFL
  { level: SOL_SOCKET, name: 49, column: 13, kind: 'int', initial: -1 },                       // SO_INCOMING_CPU
  { level: IPPROTO_IP, name: 1, column: 18, kind: 'int', adjust: v => v & 0xff, apply: (t, v) => void (t.v4.tos = v) },  // IP_TOS
  { level: IPPROTO_IP, name: 2, column: TTL, kind: 'int', initial: 64, min: 1, max: 255, adjust: v => (v === -1 ? 64 : v), apply: (t, v) => void (t.v4.ttl = v) }, // IP_TTL
  { level: IPPROTO_IP, name: 6, column: RECVOPTS, kind: 'flag' },                              // IP_RECVOPTS
  { level: IPPROTO_IP, name: 7, column: RETOPTS, kind: 'flag' },                               // IP_RETOPTS
  { level: IPPROTO_IP, name: 8, column: PKTINFO, kind: 'flag' },                               // IP_PKTINFO
  { level: IPPROTO_IP, name: 10, column: 20, kind: 'int', initial: 1, min: 0, max: 5, apply: (t, v) => void (t.v4.discover = v) }, // IP_MTU_DISCOVER
  { level: IPPROTO_IP, name: 11, column: RECVERR, kind: 'flag', apply: (t, v) => void (t.v4.receiveErrors = v !== 0) },  // IP_RECVERR
  { level: IPPROTO_IP, name: 12, column: RECVTTL, kind: 'flag' },                              // IP_RECVTTL
  { level: IPPROTO_IP, name: 13, column: RECVTOS, kind: 'flag' },                              // IP_RECVTOS
  { level: IPPROTO_IP, name: 15, column: 22, kind: 'flag' },                                   // IP_FREEBIND
  { level: IPPROTO_IP, name: 20, column: RECVORIGDSTADDR, kind: 'flag' },                      // IP_RECVORIGDSTADDR
  { level: IPPROTO_IP, name: 24, column: 23, kind: 'flag' },                                   // IP_BIND_ADDRESS_NO_PORT
  { level: IPPROTO_IP, name: 33, column: 28, kind: 'int', initial: 1, min: 0, max: 255, adjust: v => (v === -1 ? 1 : v), apply: (t, v) => void (t.v4.multicastTtl = v) }, // IP_MULTICAST_TTL
  { level: IPPROTO_IP, name: 34, column: 29, kind: 'flag', initial: 1, apply: (t, v) => void (t.v4.multicastLoop = v !== 0) }, // IP_MULTICAST_LOOP
  { level: IPPROTO_IP, name: 49, column: 30, kind: 'int', initial: 1, min: 0, max: 1, apply: (t, v) => void (t.v4.multicastAll = v !== 0) }, // IP_MULTICAST_ALL
  { level: IPPROTO_IPV6, name: 2, column: OLD_PKTINFO, kind: 'flag' },                         // IPV6_2292PKTINFO
  { level: IPPROTO_IPV6, name: 8, column: OLD_HOPLIMIT, kind: 'flag' },                        // IPV6_2292HOPLIMIT
  { level: IPPROTO_IPV6, name: 16, column: 33, kind: 'int', initial: 64, min: 0, max: 255, adjust: v => (v === -1 ? 64 : v), apply: (t, v) => void (t.v6.ttl = v) }, // IPV6_UNICAST_HOPS
  { level: IPPROTO_IPV6, name: 18, column: 34, kind: 'int', initial: 1, min: 0, max: 255, adjust: v => (v === -1 ? 1 : v), apply: (t, v) => void (t.v6.multicastTtl = v) }, // IPV6_MULTICAST_HOPS
  { level: IPPROTO_IPV6, name: 19, column: 35, kind: 'int', initial: 1, min: 0, max: 1, apply: (t, v) => void (t.v6.multicastLoop = v !== 0) }, // IPV6_MULTICAST_LOOP
  { level: IPPROTO_IPV6, name: 23, column: 37, kind: 'int', initial: 1, min: 0, max: 5, apply: (t, v) => void (t.v6.discover = v) }, // IPV6_MTU_DISCOVER
  { level: IPPROTO_IPV6, name: 24, column: 49, kind: 'int', min: 1280, zero: true, apply: (t, v) => void (t.v6.fragmentSize = v) }, // IPV6_MTU, as far as it can be set
  { level: IPPROTO_IPV6, name: 25, column: RECVERR6, kind: 'flag', apply: (t, v) => void (t.v6.receiveErrors = v !== 0) }, // IPV6_RECVERR
  { level: IPPROTO_IPV6, name: 26, column: OPT_V6ONLY, kind: 'flag', early: true, apply: (t, v) => void (t.v6only = v !== 0) }, // IPV6_V6ONLY
  { level: IPPROTO_IPV6, name: 29, column: 44, kind: 'flag', initial: 1, apply: (t, v) => void (t.v6.multicastAll = v !== 0) }, // IPV6_MULTICAST_ALL
  { level: IPPROTO_IPV6, name: 49, column: RECVPKTINFO, kind: 'flag' },                        // IPV6_RECVPKTINFO
  { level: IPPROTO_IPV6, name: 51, column: RECVHOPLIMIT, kind: 'flag' },                       // IPV6_RECVHOPLIMIT
  { level: IPPROTO_IPV6, name: 62, column: 43, kind: 'flag' },                                 // IPV6_DONTFRAG
  { level: IPPROTO_IPV6, name: 66, column: RECVTCLASS, kind: 'flag' },                         // IPV6_RECVTCLASS
  { level: IPPROTO_IPV6, name: 67, column: 42, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 0 : v), apply: (t, v) => void (t.v6.tos = v) }, // IPV6_TCLASS
  { level: IPPROTO_IPV6, name: 74, column: RECVORIGDSTADDR6, kind: 'flag' },                   // IPV6_RECVORIGDSTADDR
  { level: IPPROTO_IPV6, name: 78, column: 45, kind: 'flag' },                                 // IPV6_FREEBIND
  // Kept, and without an effect: what they are about does not happen here. Refused ones have no column of their own.
  { level: SOL_SOCKET, name: 1, column: 110, kind: 'flag' },                                    // SO_DEBUG
  { level: SOL_SOCKET, name: 14, column: 111, kind: 'int', adjust: () => 0 },                   // SO_BSDCOMPAT
  { level: SOL_SOCKET, name: 41, column: 112, kind: 'flag' },                                   // SO_WIFI_STATUS
  { level: SOL_SOCKET, name: 43, column: 113, kind: 'flag' },                                   // SO_NOFCS
  { level: SOL_SOCKET, name: 45, column: 114, kind: 'flag' },                                   // SO_SELECT_ERR_QUEUE
  { level: SOL_SOCKET, name: 46, column: 115, kind: 'int', min: 0 },                            // SO_BUSY_POLL
  { level: SOL_SOCKET, name: 47, column: 116, kind: 'int', initial: -1 },                       // SO_MAX_PACING_RATE
  { level: SOL_SOCKET, name: 53, column: 117, kind: 'flag', hidden: true },                     // SO_CNX_ADVICE
  { level: SOL_SOCKET, name: 56, column: NO_COLUMN, kind: 'int', refuses: ENOPROTOOPT },        // SO_INCOMING_NAPI_ID
  { level: SOL_SOCKET, name: 69, column: 118, kind: 'flag' },                                   // SO_PREFER_BUSY_POLL
  { level: SOL_SOCKET, name: 70, column: 119, kind: 'int', min: 0, max: 65535, hidden: true },  // SO_BUSY_POLL_BUDGET
  { level: SOL_SOCKET, name: 72, column: 120, kind: 'int', min: 0, max: 3 },                    // SO_BUF_LOCK
  { level: SOL_SOCKET, name: 73, column: NO_COLUMN, kind: 'int', min: 0, refuses: EOPNOTSUPP }, // SO_RESERVE_MEM
  { level: SOL_SOCKET, name: 75, column: 121, kind: 'flag' },                                   // SO_RCVMARK
  { level: IPPROTO_IP, name: 5, column: NO_COLUMN, kind: 'int', refuses: EINVAL },              // IP_ROUTER_ALERT
  { level: IPPROTO_IP, name: 18, column: 122, kind: 'flag' },                                   // IP_PASSSEC
  { level: IPPROTO_IP, name: 19, column: 123, kind: 'flag' },                                   // IP_TRANSPARENT
  { level: IPPROTO_IP, name: 21, column: 124, kind: 'int', min: 0, max: 255 },                  // IP_MINTTL, of TCP alone
  { level: IPPROTO_IP, name: 22, column: NO_COLUMN, kind: 'int', refuses: ENOPROTOOPT },        // IP_NODEFRAG
  { level: IPPROTO_IP, name: 23, column: 125, kind: 'flag' },                                   // IP_CHECKSUM
  { level: IPPROTO_IP, name: 25, column: 126, kind: 'flag' },                                   // IP_RECVFRAGSIZE
  { level: IPPROTO_IP, name: 51, column: 127, kind: 'int' },                                    // IP_LOCAL_PORT_RANGE
  { level: IPPROTO_IPV6, name: 3, column: 128, kind: 'flag' },                                  // IPV6_2292HOPOPTS
  { level: IPPROTO_IPV6, name: 4, column: 129, kind: 'flag' },                                  // IPV6_2292DSTOPTS
  { level: IPPROTO_IPV6, name: 5, column: 130, kind: 'flag' },                                  // IPV6_2292RTHDR
  { level: IPPROTO_IPV6, name: 11, column: 131, kind: 'flag' },                                 // IPV6_FLOWINFO
  { level: IPPROTO_IPV6, name: 22, column: NO_COLUMN, kind: 'int', refuses: ENOPROTOOPT },      // IPV6_ROUTER_ALERT
  { level: IPPROTO_IPV6, name: 30, column: 132, kind: 'flag' },                                 // IPV6_ROUTER_ALERT_ISOLATE
  { level: IPPROTO_IPV6, name: 31, column: 133, kind: 'int', min: 0, max: 1 },                  // IPV6_RECVERR_RFC4884
  { level: IPPROTO_IPV6, name: 33, column: 134, kind: 'flag' },                                 // IPV6_FLOWINFO_SEND
  { level: IPPROTO_IPV6, name: 53, column: 135, kind: 'flag' },                                 // IPV6_RECVHOPOPTS
  { level: IPPROTO_IPV6, name: 56, column: 136, kind: 'flag' },                                 // IPV6_RECVRTHDR
  { level: IPPROTO_IPV6, name: 58, column: 137, kind: 'flag' },                                 // IPV6_RECVDSTOPTS
  { level: IPPROTO_IPV6, name: 60, column: 138, kind: 'flag' },                                 // IPV6_RECVPATHMTU
  { level: IPPROTO_IPV6, name: 70, column: 139, kind: 'flag', initial: 1 },                     // IPV6_AUTOFLOWLABEL
  { level: IPPROTO_IPV6, name: 73, column: 140, kind: 'int', min: 0, max: 255 },                // IPV6_MINHOPCOUNT, of TCP alone
  { level: IPPROTO_IPV6, name: 75, column: 141, kind: 'flag' },                                 // IPV6_TRANSPARENT
  { level: IPPROTO_IPV6, name: 77, column: 142, kind: 'flag' },                                 // IPV6_RECVFRAGSIZE
]

const byName = new Map(TABLE.map(o => [o.level * 65536 + o.name, o]))
const find = (m: MessageSocket, level: number, name: number) =>
  level === IPPROTO_IPV6 && m.family !== AF_INET6 ? undefined : byName.get(level * 65536 + name)

/** A new socket's values. */
export function defaultOptions(m: MessageSocket): void {
  for (const o of TABLE) m.options[o.column] = o.initial ?? 0
}

/** A new endpoint, or a new stack thread's, is told all of them. */
export function applyOptions(m: MessageSocket, target: Target): void {
  for (const o of TABLE) o.apply?.(target, m.options[o.column])
  target.device = m.options[DEVICE]
}

/** setsockopt(2). Undefined: none of these. */
export function setIpOption(m: MessageSocket, target: Target, call: Call): number | undefined {
  const [level, name] = call.arg
  const { options } = m
  if (level === SOL_SOCKET) {
    if (name === SO_BINDTODEVICE) return setDevice(m, target, call)
    if (call.length < 4) return -EINVAL
  }
  if (level === IPPROTO_IPV6 && name === IPV6_PKTINFO && m.family === AF_INET6)
    return setPacketInfo(m, call)
  const o = find(m, level, name)
  const value = valueOf(call, level)
  if (level === SOL_SOCKET && o === undefined) {
    if (name === SO_SNDBUF || name === SO_SNDBUFFORCE)
      return setBuffer(m, OPT_SNDBUF, SNDBUF_MIN, value)
    if (name === SO_RCVBUF || name === SO_RCVBUFFORCE)
      return setBuffer(m, OPT_RCVBUF, RCVBUF_MIN, value)
    if (name === SO_LINGER) return setLinger(m, call)
    if (name === SO_TIMESTAMP || name === SO_TIMESTAMP_NEW) return setStamp(m, value, TIMESTAMP_US)
    if (name === SO_TIMESTAMPNS || name === SO_TIMESTAMPNS_NEW)
      return setStamp(m, value, TIMESTAMP_NS)
    if (name === SO_BINDTOIFINDEX) return bindDevice(m, target, value)
    return undefined
  }
  if (o === undefined) return undefined
  if (call.length < (level === IPPROTO_IP ? 1 : 4)) return -EINVAL
  if (o.early && m.get(PORT_COLUMN) !== 0) return -EINVAL
  const stored = o.kind === 'flag' ? Number(value !== 0) : (o.adjust?.(value) ?? value)
  const isAllowed = stored === 0 && o.zero === true
  const isInRange = stored >= (o.min ?? -0x80000000) && stored <= (o.max ?? 0x7fffffff)
  if (o.kind === 'int' && !isInRange && !isAllowed) return -EINVAL
  if (o.refuses !== undefined) return -o.refuses
  options[o.column] = stored
  o.apply?.(target, stored)
  return 0
}

/** IPV6_PKTINFO: Linux takes the interface out of it, and there is but one to send from; the address it only keeps. */
function setPacketInfo(m: MessageSocket, { data, length }: Call): number {
  if (length < 20) return -EINVAL
  const index = new DataView(data.buffer, data.byteOffset, 20).getInt32(16, true)
  const device = m.options[DEVICE]
  return index !== 0 && device !== 0 && index !== device ? -EINVAL : 0
}

/** getsockopt(2). Undefined: none of these. */
export function getIpOption(m: MessageSocket, call: Call): number | undefined {
  const [level, name] = call.arg
  const { options } = m
  if (level === SOL_SOCKET) {
    if (name === SO_SNDBUF) return giveInt(call, 2 * options[OPT_SNDBUF] || BUFFER_DEFAULT)
    if (name === SO_RCVBUF) return giveInt(call, 2 * options[OPT_RCVBUF] || BUFFER_DEFAULT)
    if (name === 19) return giveInt(call, 1) // SO_SNDLOWAT
    if (name === SO_TIMESTAMP || name === SO_TIMESTAMP_NEW)
      return giveInt(call, Number(options[TIMESTAMP] === TIMESTAMP_US))
    if (name === SO_TIMESTAMPNS || name === SO_TIMESTAMPNS_NEW)
      return giveInt(call, Number(options[TIMESTAMP] === TIMESTAMP_NS))
    if (name === SO_BINDTOIFINDEX) return giveInt(call, options[DEVICE])
    if (name === SO_BINDTODEVICE) return giveDevice(m, call)
    if (name === SO_LINGER) {
      const linger = options[OPT_LINGER]
      return giveBytes(call, int32s(Number(linger > 0), Math.max(0, linger - 1)))
    }
  }
  const o = find(m, level, name)
  if (o === undefined || o.hidden) return undefined
  return giveInt(call, options[o.column], level === IPPROTO_IP)
}

/** IP options come as an int or as one byte. */
export function valueOf(call: Call, level: number): number {
  const { data, length } = call
  if (length >= 4) return data[0] | (data[1] << 8) | (data[2] << 16) | (data[3] << 24)
  return level === IPPROTO_IP && length >= 1 ? data[0] : 0
}

/** An int, as much of it as there is room for; `short`: ip(7)'s one byte, if that is enough for it. */
export function giveInt(call: Call, value: number, short = false): number {
  const room = Math.min(call.arg[2], CALL_DATA_SIZE)
  if (short && room > 0 && room < 4 && value >= 0 && value <= 255) {
    call.out[0] = value
    call.outLength = 1
    return 0
  }
  return giveBytes(call, int32s(value))
}

export function giveBytes(call: Call, bytes: Uint8Array): number {
  const n = Math.min(call.arg[2], bytes.length, CALL_DATA_SIZE)
  call.out.set(bytes.subarray(0, n))
  call.outLength = n
  return 0
}

export const int32s = (...values: number[]) => new Uint8Array(Int32Array.from(values).buffer)

/** The row's port (table.ts): bound. */
const PORT_COLUMN = 6

function setBuffer(m: MessageSocket, column: number, floor: number, value: number): number {
  m.options[column] = Math.max(floor, Math.min(value < 0 ? BUFFER_MAX : value, BUFFER_MAX))
  if (column === OPT_RCVBUF) sizeEnd(m)
  return 0
}

function setLinger(m: MessageSocket, call: Call): number {
  if (call.length < 8) return -EINVAL
  const view = new DataView(call.data.buffer, call.data.byteOffset, call.length)
  const on = view.getInt32(0, true) !== 0
  m.options[OPT_LINGER] = on ? 1 + Math.min(view.getUint32(4, true), 0x7ffffffe) : 0
  return 0
}

/** One of the two kinds, or none. */
function setStamp(m: MessageSocket, value: number, kind: number): number {
  m.options[TIMESTAMP] = value !== 0 ? kind : 0
  return 0
}

function setDevice(m: MessageSocket, target: Target, call: Call): number {
  const zero = call.data.subarray(0, call.length).indexOf(0)
  const name = Buffer.from(call.data.subarray(0, zero < 0 ? call.length : zero)).toString('latin1')
  const index = DEVICES.indexOf(name)
  return index < 0 ? -ENODEV : bindDevice(m, target, index)
}

/** By interface index. */
const DEVICES = ['', 'lo', 'eth0']

function bindDevice(m: MessageSocket, target: Target, index: number): number {
  if (index !== 0 && index !== LOOPBACK_INDEX && index !== NIC_INDEX)
    return index < 0 ? -EINVAL : -ENODEV
  m.options[DEVICE] = index
  target.device = index
  return 0
}

function giveDevice(m: MessageSocket, call: Call): number {
  const name = DEVICES[m.options[DEVICE]]
  if (name === '') {
    call.outLength = 0
    return 0
  }
  if (call.arg[2] < 16) return -EINVAL
  return giveBytes(call, Buffer.from(`${name}\0`, 'latin1'))
}
