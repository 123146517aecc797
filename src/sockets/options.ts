// getsockopt(2) and setsockopt(2) of stream sockets, as Linux answers them: length, pointer and value looked at in its
// order. The options are those of option-table.ts; the few that are more than a number are here. Values live in the
// socket's row, so that they outlive the stack thread; those that TCP acts on are handed to it.
import {
  EADDRNOTAVAIL,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
} from '../base/errno.ts'
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import { CALL_DATA_SIZE, RECORD } from '../shm/layout.ts'
import { type TcpSettings, congestionName, congestionNamed } from '../stack/stack.ts'
import type { Call } from './calls.ts'
import { getFilterOption, setFilterOption } from './filters.ts'
import type { Ground } from './ground.ts'
import {
  type Option,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  OPT_CONGESTION,
  OPT_DEVICE,
  OPT_LINGER,
  OPT_MAXSEG,
  OPT_NOTSENT_LOWAT,
  OPT_OOBINLINE,
  OPT_RCVBUF,
  OPT_RCVLOWAT,
  OPT_SNDBUF,
  REFUSED,
  SOL_SOCKET,
  TABLE,
  key,
} from './option-table.ts'
import { showRoom, showText } from './readiness.ts'
import { gateSegments } from './segment-gate.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_LINGER = 13
const SO_BINDTODEVICE = 25
const SO_PEERNAME = 28
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SO_TIMESTAMPING_OLD = 37
const SO_MAX_PACING_RATE = 47
const SO_MEMINFO = 55
const SO_TXTIME = 61
const SO_BINDTOIFINDEX = 62
const SO_TIMESTAMPING_NEW = 65
const TCP_MAXSEG = 2
const TCP_LINGER2 = 8
const TCP_WINDOW_CLAMP = 10
const TCP_INFO = 11
const TCP_QUICKACK = 12
const TCP_CONGESTION = 13
const TCP_TIMESTAMP = 24
const TCP_CC_INFO = 26
const TCP_SAVED_SYN = 28
const TCP_ULP = 31
const TCP_FASTOPEN_KEY = 33
const TCP_ZEROCOPY_RECEIVE = 35
const IP_OPTIONS = 4
const IP_PKTOPTIONS = 9
const IP_MTU = 14
const IP_MULTICAST_IF = 32
const IP_UNICAST_IF = 50
const IP_LOCAL_PORT_RANGE = 51
const IP_PROTOCOL = 52
const IPV6_ADDRFORM = 1
const IPV6_2292PKTOPTIONS = 6
const IPV6_MTU = 24
const IPV6_UNICAST_IF = 76

/** Linux's floors and net.core.[rw]mem_max, doubled where it shows doubled values. */
const SNDBUF_MIN = 2304
const RCVBUF_MIN = 1152
const BUFFER_MAX = 4 << 20
const IPV6_MIN_MTU = 1280
/** SOF_TIMESTAMPING_*: all there are, and those that number what was sent (OPT_ID, OPT_ID_TCP). */
const TIMESTAMPING_ALL = 0x3ffff
const TIMESTAMPING_ID = 0x80
const TIMESTAMPING_ID_TCP = 0x10000
const TCP_INFO_SIZE = 280
/** The one interface, and the node itself. */
const DEVICES = ['lo', 'eth0']

/** call.arg[2] of setsockopt(): can the value be read? */
const UNREADABLE = 1
const NULL = 2

// Columns for what is no row of the table: the last ones of the row.
const OPT_TIMESTAMPING = T.OPTION_COLUMNS - 1
const OPT_PORT_RANGE = T.OPTION_COLUMNS - 2
const OPT_IPV6_MTU = T.OPTION_COLUMNS - 3

const byName = new Map(TABLE.map(o => [key(o.level, o.name), o]))

/** A new socket's values: what TCP acts on is as the stack has it. */
export function defaultOptions(ground: Ground, s: Stream): void {
  const { defaults } = ground.stack.tcp
  const v6 = s.get(T.FAMILY) === AF_INET6
  for (const o of TABLE)
    s.options[o.column] =
      o.tcp === undefined ? ((v6 ? (o.initial6 ?? o.initial) : o.initial) ?? 0) : defaults[o.tcp]
}

/** What TCP is to know when a connection is opened, or one accepted here begins. */
export function tcpSettings(s: Stream): Partial<TcpSettings> {
  const settings: Partial<TcpSettings> = {}
  for (const o of TABLE) if (o.tcp !== undefined) settings[o.tcp] = s.options[o.column]
  return settings
}

/** What readers must know. */
export function shareOptions(s: Stream): void {
  s.share(RECORD.rcvlowat, s.options[OPT_RCVLOWAT])
  s.share(RECORD.oobinline, s.options[OPT_OOBINLINE])
  s.rx.markInLine(s.options[OPT_OOBINLINE] !== 0)
}

// ---- setsockopt(2)

export function setOption(ground: Ground, s: Stream, call: Call): number {
  const [level, name] = call.arg
  const v6 = s.get(T.FAMILY) === AF_INET6
  if (level === IPPROTO_IPV6 && !v6) return -ENOPROTOOPT
  const ofFilter = level === SOL_SOCKET ? setFilterOption(ground, s, call) : undefined
  if (ofFilter !== undefined) {
    if (s.filter !== undefined) gateSegments(ground)
    return ofFilter
  }
  const special = setSpecial(ground, s, call, level, name)
  if (special !== undefined) return special
  const o = byName.get(key(level, name))
  // Short values are wrong before anything else, but for IP's bytes.
  if (call.length < 4 && (level === SOL_SOCKET || level === IPPROTO_TCP)) return -EINVAL
  if (o === undefined) {
    if ((level === SOL_SOCKET || level === IPPROTO_TCP) && call.arg[2] !== 0) return -EFAULT
    if (level === IPPROTO_IPV6 && call.length >= 4 && call.arg[2] === UNREADABLE) return -EFAULT
    return -(REFUSED.get(key(level, name)) ?? ENOPROTOOPT)
  }
  if (level === IPPROTO_IPV6 && call.length < 4 && o.length !== 'any')
    return o.kind === 'fixed' ? -ENOPROTOOPT : -EINVAL
  if (level === IPPROTO_IP && call.length < 1 && o.length === 'byte') return -EINVAL
  if (call.arg[2] !== 0 && !(level === IPPROTO_IPV6 && call.arg[2] === NULL) && call.length > 0)
    if (level !== IPPROTO_IPV6 || call.length >= 4) return -EFAULT
  return setValue(ground, s, o, intOf(call, level))
}

function intOf(call: Call, level: number): number {
  if (call.arg[2] !== 0) return 0
  if (call.length >= 4) return viewOf(call).getInt32(0, true)
  return level === IPPROTO_IP && call.length >= 1 ? call.data[0] : 0
}

const viewOf = (call: Call) => new DataView(call.data.buffer, call.data.byteOffset, CALL_DATA_SIZE)

function setValue(ground: Ground, s: Stream, o: Option, value: number): number {
  if (o.kind === 'fixed') return -ENOPROTOOPT
  if (o.name === 26 && o.level === IPPROTO_IPV6 && s.has(T.BOUND)) return -EINVAL
  if (!maySet(s, o, value)) return -EINVAL
  const stored = o.kind === 'flag' ? Number(value !== 0) : (o.adjust?.(value) ?? value)
  const resets = o.column === OPT_MAXSEG && stored === 0
  const outside = stored < (o.min ?? -0x80000000) || stored > (o.max ?? 0x7fffffff)
  if (!resets && o.kind === 'int' && outside) return -EINVAL
  if (o.refuses !== undefined) return -o.refuses
  return store(ground, s, o, stored)
}

function maySet(s: Stream, o: Option, value: number): boolean {
  const idle = s.state === T.OPEN && !s.has(T.DEAD)
  if (o.name === TCP_WINDOW_CLAMP && o.level === IPPROTO_TCP && value === 0) return idle
  if (o.when === 'idle') return idle
  return o.when !== 'passive' || idle || s.state === T.LISTENING
}

/** The socket has the value, and so has TCP, if it is something to TCP. */
function store(ground: Ground, s: Stream, o: Option, value: number): number {
  const { tcp } = ground.stack
  s.options[o.column] = value
  shareOptions(s)
  if (o.column === OPT_RCVLOWAT && s.state === T.CONNECTED && s.rx.used > 0) showText(ground, s)
  if (o.tcp === undefined) return 0
  if (s.state === T.LISTENING) tcp.setListenerOption(s.index, o.tcp, value)
  if (o.column === OPT_NOTSENT_LOWAT && s.state === T.CONNECTED) showRoom(ground, s)
  const known = o.name === SO_MAX_PACING_RATE && value < -1 ? 0x7fffffff : value
  return s.tcb < 0 ? 0 : tcp.setOption(s.tcb, o.tcp, known, ground.now)
}

/** The options that are more than a number; undefined: it is none of them. */
function setSpecial(
  ground: Ground,
  s: Stream,
  call: Call,
  level: number,
  name: number,
): number | undefined {
  const view = viewOf(call)
  const unreadable = call.arg[2] !== 0
  /** Too short, else not readable, else undefined. */
  const checked = (least: number) =>
    call.length < least ? -EINVAL : unreadable ? -EFAULT : undefined
  switch (key(level, name)) {
    case key(SOL_SOCKET, SO_BINDTODEVICE):
      return unreadable && call.length > 0 ? -EFAULT : setDevice(s, text(call.data, call.length))
    case key(SOL_SOCKET, SO_BINDTOIFINDEX):
      return checked(4) ?? setDeviceIndex(s, view.getInt32(0, true))
    case key(SOL_SOCKET, SO_LINGER):
      return (call.length < 4 ? -EINVAL : unreadable ? -EFAULT : checked(8)) ?? setLinger(s, view)
    case key(SOL_SOCKET, SO_SNDBUF):
    case key(SOL_SOCKET, SO_SNDBUFFORCE):
      return checked(4) ?? setBuffer(s, OPT_SNDBUF, SNDBUF_MIN, view.getInt32(0, true))
    case key(SOL_SOCKET, SO_RCVBUF):
    case key(SOL_SOCKET, SO_RCVBUFFORCE):
      return checked(4) ?? setBuffer(s, OPT_RCVBUF, RCVBUF_MIN, view.getInt32(0, true))
    case key(SOL_SOCKET, SO_TIMESTAMPING_OLD):
    case key(SOL_SOCKET, SO_TIMESTAMPING_NEW):
      return checked(4) ?? setTimestamping(s, view.getInt32(0, true))
    case key(SOL_SOCKET, SO_MAX_PACING_RATE): {
      const wide = call.length >= 8 && view.getInt32(4, true) !== 0
      const o = byName.get(key(level, name))!
      return checked(4) ?? store(ground, s, o, wide ? -1 : view.getInt32(0, true))
    }
    case key(SOL_SOCKET, SO_TXTIME):
      return checked(4) ?? (call.length === 8 ? 0 : -EINVAL)
    case key(IPPROTO_TCP, TCP_CONGESTION):
      return checked(1) ?? setCongestion(ground, s, call)
    case key(IPPROTO_TCP, TCP_ULP): // no kernel module, no TLS in it
      return checked(1) ?? -ENOENT
    case key(IPPROTO_TCP, TCP_FASTOPEN_KEY):
      if (call.length !== 16 && call.length !== 32) return -EINVAL
      if (unreadable) return -EFAULT
      return ground.stack.tcp.fastOpen.setKey(call.data.subarray(0, call.length)) ? 0 : -EINVAL
    case key(IPPROTO_IP, IP_MULTICAST_IF):
      return -EINVAL
    case key(IPPROTO_IP, IP_UNICAST_IF):
      if (unreadable && call.length > 0) return -EFAULT
      if (call.length !== 4) return -EINVAL
      return view.getInt32(0, true) === 0 ? 0 : -EADDRNOTAVAIL
    case key(IPPROTO_IP, IP_LOCAL_PORT_RANGE):
      if (unreadable && call.length > 0) return -EFAULT
      return call.length === 4 ? setPortRange(s, view.getInt32(0, true)) : -EINVAL
    case key(IPPROTO_IPV6, IPV6_MTU):
      if (call.length < 4) return -EINVAL
      return call.arg[2] === UNREADABLE ? -EFAULT : setMtu(s, intOf(call, level))
    case key(IPPROTO_IPV6, IPV6_UNICAST_IF):
      if (call.arg[2] === UNREADABLE && call.length >= 4) return -EFAULT
      if (call.length !== 4) return -EINVAL
      return intOf(call, level) === 0 ? 0 : -EADDRNOTAVAIL
    case key(IPPROTO_IPV6, IPV6_2292PKTOPTIONS):
      return call.length > 0 && unreadable ? -EFAULT : 0
    case key(IPPROTO_IPV6, IPV6_ADDRFORM):
      if (call.length < 4) return -EINVAL
      if (call.arg[2] === UNREADABLE) return -EFAULT
      if (intOf(call, level) !== AF_INET) return -EINVAL
      return s.tcb >= 0 ? -EADDRNOTAVAIL : -ENOTCONN
    default:
      return undefined
  }
}

function setLinger(s: Stream, view: DataView): number {
  const seconds = Math.min(view.getUint32(4, true), 0x7ffffffe)
  const on = view.getInt32(0, true) !== 0
  s.options[OPT_LINGER] = on ? 1 + seconds : 0
  s.share(RECORD.linger, on ? seconds : 0)
  return 0
}

/** Twice the value counts (half is for the kernel's own bookkeeping); so the program gets `value` bytes. */
function setBuffer(s: Stream, column: number, floor: number, value: number): number {
  const bytes = Math.max(floor, Math.min(value < 0 ? BUFFER_MAX : value, BUFFER_MAX))
  s.options[column] = bytes
  if (column === OPT_SNDBUF && s.tx.size > 0) s.tx.limit = bytes
  return 0
}

function setDevice(s: Stream, name: string): number {
  const index = name === '' ? 0 : DEVICES.indexOf(name) + 1
  if (name !== '' && index === 0) return -ENODEV
  s.options[OPT_DEVICE] = index
  return 0
}

function setDeviceIndex(s: Stream, index: number): number {
  if (index < 0) return -EINVAL
  s.options[OPT_DEVICE] = index
  return 0
}

/** Nothing here is stamped; who asks for it waits for stamps that the path does not give, as on many a device. */
function setTimestamping(s: Stream, flags: number): number {
  if ((flags & ~TIMESTAMPING_ALL) !== 0) return -EINVAL
  const numbered = (flags & TIMESTAMPING_ID) !== 0
  if ((flags & TIMESTAMPING_ID_TCP) !== 0 && !numbered) return -EINVAL
  if (numbered && s.tcb < 0) return -EINVAL
  s.options[OPT_TIMESTAMPING] = flags
  return 0
}

/** The least port in the lower half, the greatest in the upper; 0 leaves it as it is. */
function setPortRange(s: Stream, range: number): number {
  const low = range & 0xffff
  const high = range >>> 16
  if (low !== 0 && high !== 0 && low > high) return -EINVAL
  s.options[OPT_PORT_RANGE] = range
  return 0
}

function setMtu(s: Stream, mtu: number): number {
  if (mtu !== 0 && mtu < IPV6_MIN_MTU) return -EINVAL
  s.options[OPT_IPV6_MTU] = mtu
  return 0
}

function setCongestion(ground: Ground, s: Stream, call: Call): number {
  const n = congestionNamed(text(call.data, call.length))
  if (n < 0) return -ENOENT
  return store(ground, s, byName.get(key(IPPROTO_TCP, TCP_CONGESTION))!, n)
}

// ---- getsockopt(2)

/** The value goes into call.out. */
export function getOption(ground: Ground, s: Stream, call: Call): number {
  const [level, name] = call.arg
  const v6 = s.get(T.FAMILY) === AF_INET6
  // Linux takes a negative length for a great one here.
  const room = level === IPPROTO_IPV6 && v6 && call.arg[2] < 0 ? CALL_DATA_SIZE : Math.min(call.arg[2], CALL_DATA_SIZE) // prettier-ignore
  if (room < 0) return -EINVAL
  if (level === IPPROTO_IPV6 && !v6) return -EOPNOTSUPP
  if (
    level !== SOL_SOCKET &&
    level !== IPPROTO_IP &&
    level !== IPPROTO_TCP &&
    level !== IPPROTO_IPV6
  )
    return v6 ? -ENOPROTOOPT : -EOPNOTSUPP
  const ofFilter = level === SOL_SOCKET ? getFilterOption(s, call) : undefined
  if (ofFilter !== undefined) return ofFilter
  const out = new DataView(call.out.buffer, call.out.byteOffset, CALL_DATA_SIZE)
  const special = getSpecial(ground, s, key(level, name), out, call.out, room)
  if (special !== undefined) {
    call.outLength = Math.min(room, Math.max(0, special))
    return Math.min(0, special)
  }
  const o = byName.get(key(level, name))
  if (o === undefined || o.hidden) return -ENOPROTOOPT
  const value = s.options[o.column]
  out.setInt32(0, value, true)
  const short = level === IPPROTO_IP && room > 0 && room < 4 && value >= 0 && value <= 255
  call.outLength = short ? 1 : Math.min(room, 4)
  return 0
}

/** Bytes written to `bytes`, a negative errno, or undefined: it is a number of the table. */
function getSpecial(
  ground: Ground,
  s: Stream,
  option: number,
  out: DataView,
  bytes: Uint8Array,
  room: number,
): number | undefined {
  const { tcp } = ground.stack
  const ints = (...values: number[]) => {
    values.forEach((value, i) => out.setInt32(4 * i, value, true))
    return 4 * values.length
  }
  switch (option) {
    case key(SOL_SOCKET, SO_SNDBUF):
      return ints(2 * (s.options[OPT_SNDBUF] || s.tx.size || 65536))
    case key(SOL_SOCKET, SO_RCVBUF):
      return ints(2 * (s.options[OPT_RCVBUF] || s.rx.size || 65536))
    case key(SOL_SOCKET, SO_LINGER):
      return ints(Number(s.options[OPT_LINGER] > 0), Math.max(0, s.options[OPT_LINGER] - 1))
    case key(SOL_SOCKET, SO_BINDTODEVICE):
      return deviceName(s.options[OPT_DEVICE], bytes, room)
    case key(SOL_SOCKET, SO_BINDTOIFINDEX):
      return ints(s.options[OPT_DEVICE])
    case key(SOL_SOCKET, SO_PEERNAME):
      return peerName(s, bytes, room)
    case key(SOL_SOCKET, SO_TIMESTAMPING_OLD):
    case key(SOL_SOCKET, SO_TIMESTAMPING_NEW):
      return ints(s.options[OPT_TIMESTAMPING], 0)
    case key(SOL_SOCKET, SO_MAX_PACING_RATE): {
      const rate = s.options[byName.get(option)!.column]
      return ints(rate, rate === -1 ? -1 : 0)
    }
    case key(SOL_SOCKET, SO_TXTIME):
      return ints(0, 0)
    case key(SOL_SOCKET, SO_MEMINFO): {
      const [sent, come] = s.tx.size > 0 ? [s.tx.length, s.rx.used] : [0, 0]
      return ints(come, s.rx.size, sent, s.tx.size, 0, 0, 0, 0, 0)
    }
    case key(IPPROTO_TCP, TCP_INFO):
      // What young kernels add, counters of ECN that RFC 9768 makes accurate, is 0 as they have it without.
      bytes.fill(0, tcp.info(s.tcb, s.state === T.LISTENING, bytes, ground.now), TCP_INFO_SIZE)
      return TCP_INFO_SIZE
    case key(IPPROTO_TCP, TCP_CONGESTION):
      bytes.fill(0, 0, 16)
      bytes.set(Buffer.from(congestionName(s.options[OPT_CONGESTION])))
      return 16
    case key(IPPROTO_TCP, TCP_FASTOPEN_KEY): {
      const held = tcp.fastOpen.getKey().subarray(0, room)
      bytes.set(held)
      return held.length
    }
    case key(IPPROTO_TCP, TCP_QUICKACK):
      return s.tcb >= 0 ? ints(tcp.option(s.tcb, 'quickAck')) : undefined
    case key(IPPROTO_TCP, TCP_LINGER2):
      return ints(s.options[byName.get(option)!.column] || tcp.tuning.finTimeout)
    case key(IPPROTO_TCP, TCP_MAXSEG):
      return ints(s.tcb >= 0 ? tcp.maxSegment(s.tcb) : s.options[OPT_MAXSEG] || 536)
    case key(IPPROTO_TCP, TCP_TIMESTAMP):
      return ints(Math.floor(ground.now) | 0)
    // An algorithm that tells nothing, a SYN not saved, no ULP.
    case key(IPPROTO_TCP, TCP_CC_INFO):
    case key(IPPROTO_TCP, TCP_SAVED_SYN):
    case key(IPPROTO_TCP, TCP_ULP):
      return 0
    case key(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE):
      return -EINVAL
    case key(IPPROTO_IP, IP_OPTIONS):
    case key(IPPROTO_IP, IP_PKTOPTIONS):
    case key(IPPROTO_IPV6, IPV6_2292PKTOPTIONS):
      return 0
    case key(IPPROTO_IP, IP_MTU):
    case key(IPPROTO_IPV6, IPV6_MTU):
      return s.tcb >= 0 ? ints(ground.stack.mtu) : -ENOTCONN
    case key(IPPROTO_IP, IP_MULTICAST_IF):
      return ints(0)
    case key(IPPROTO_IP, IP_UNICAST_IF):
      return byteOr(ints(0), room)
    case key(IPPROTO_IP, IP_LOCAL_PORT_RANGE):
      return byteOr(ints(s.options[OPT_PORT_RANGE]), room, s.options[OPT_PORT_RANGE])
    case key(IPPROTO_IP, IP_PROTOCOL):
      return byteOr(ints(s.get(T.PORT)), room, s.get(T.PORT))
    case key(IPPROTO_IPV6, IPV6_ADDRFORM):
      return s.tcb >= 0 ? ints(AF_INET6) : -ENOTCONN
    default:
      return undefined
  }
}

/** Level IP shows what fits into a byte as one where there is no room for more. */
const byteOr = (n: number, room: number, value = 0) =>
  room > 0 && room < 4 && value >= 0 && value <= 255 ? 1 : n

/** The name and its zero byte; nothing if there is no device. */
function deviceName(index: number, bytes: Uint8Array, room: number): number {
  const name = DEVICES[index - 1]
  if (name === undefined) return 0
  if (room < 16) return -EINVAL
  bytes.fill(0, 0, 16)
  bytes.set(Buffer.from(name))
  return name.length + 1
}

/** As getpeername(), but for a room that is too great. */
function peerName(s: Stream, bytes: Uint8Array, room: number): number {
  if (s.state !== T.CONNECTED || s.has(T.DEAD)) return -ENOTCONN
  const name = s.sharedName(RECORD.peer)
  if (room > name.length) return -EINVAL
  bytes.set(name)
  return name.length
}

const text = (bytes: Uint8Array, n: number) => {
  const end = bytes.subarray(0, n).indexOf(0)
  return Buffer.from(bytes.subarray(0, end < 0 ? n : end)).toString('latin1')
}
