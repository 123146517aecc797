// Socket options: which there are, what they hold, how Linux answers (socket(7), tcp(7), ip(7), ipv6(7)). A table; what
// is not in it is ENOPROTOOPT, as for a kernel that was built without it. Values live in the socket's row, so that
// they outlive the stack thread; those that TCP acts on are handed to it.
import { EINVAL, ENODEV, ENOENT, ENOPROTOOPT, ENOTCONN } from '../base/errno.ts'
import { AF_INET6 } from '../ffi/libc.ts'
import { CALL_DATA_SIZE, RECORD } from '../shm/layout.ts'
import {
  type TcpOption,
  type TcpSettings,
  congestionName,
  congestionNamed,
  deferSeconds,
  deferTimeouts,
} from '../stack/stack.ts'
import type { Call } from './calls.ts'
import type { Ground } from './ground.ts'
import { showRoom } from './readiness.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

export const SOL_SOCKET = 1
export const IPPROTO_IP = 0
export const IPPROTO_TCP = 6
export const IPPROTO_IPV6 = 41

// Columns of Stream.options that other files look at.
export const OPT_REUSEADDR = 0
export const OPT_V6ONLY = 1
/** 0: autotuned; else bytes asked for with SO_SNDBUF, SO_RCVBUF (getsockopt shows twice that, as Linux). */
export const OPT_SNDBUF = 2
export const OPT_RCVBUF = 3
/** 0: off; else 1 + seconds. */
export const OPT_LINGER = 4
export const OPT_NOTSENT_LOWAT = 25
const OPT_MAXSEG = 35
const OPT_CONGESTION = 37
export const OPT_FASTOPEN = 39
const OPT_FASTOPEN_CONNECT = 40

const SO_LINGER = 13
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SO_BINDTODEVICE = 25
const SO_MAX_PACING_RATE = 47
const TCP_INFO = 11
const TCP_CONGESTION = 13
const TCP_MAXSEG = 2
const TCP_QUICKACK = 12
const TCP_WINDOW_CLAMP = 10
const TCP_FASTOPEN = 23
const TCP_FASTOPEN_KEY = 33
const IP_OPTIONS = 4
const IP_MTU = 14

/** Linux's floors and net.core.[rw]mem_max, doubled where it shows doubled values. */
const SNDBUF_MIN = 2304
const RCVBUF_MIN = 1152
const BUFFER_MAX = 4 << 20
/** Half of Linux's SOCK_MIN_RCVBUF. */
const CLAMP_MIN = 1152
const SOMAXCONN = 4096

interface Option {
  readonly level: number
  readonly name: number
  readonly column: number
  /** 'flag' shows 0 or 1 whatever was set. */
  readonly kind: 'flag' | 'int'
  readonly initial?: number
  readonly min?: number
  readonly max?: number
  readonly tcp?: TcpOption
  /** What Linux makes of a value before it looks whether it is in range. */
  readonly adjust?: (value: number) => number
  /** Can be read only. */
  readonly fixed?: true
  /** In which states it may be set: 'idle': before connect(), 'passive': and while listening. Else -EINVAL. */
  readonly when?: 'idle' | 'passive'
  /** Only AF_INET6 sockets have it. */
  readonly v6?: true
}

/* prettier-ignore */
const TABLE: Option[] = [
  { level: SOL_SOCKET, name: 2, column: OPT_REUSEADDR, kind: 'flag', tcp: 'reuse' },      // SO_REUSEADDR
  { level: SOL_SOCKET, name: 5, column: 5, kind: 'flag' },                                // SO_DONTROUTE
  { level: SOL_SOCKET, name: 6, column: 6, kind: 'flag' },                                // SO_BROADCAST
  { level: SOL_SOCKET, name: 9, column: 7, kind: 'flag', tcp: 'keepAlive' },              // SO_KEEPALIVE
  { level: SOL_SOCKET, name: 10, column: 8, kind: 'flag', tcp: 'oobInline' },             // SO_OOBINLINE
  { level: SOL_SOCKET, name: 12, column: 9, kind: 'int', min: 0, max: 6 },                // SO_PRIORITY
  { level: SOL_SOCKET, name: 15, column: 10, kind: 'flag' },                              // SO_REUSEPORT
  { level: SOL_SOCKET, name: 18, column: 11, kind: 'int', initial: 1 },                   // SO_RCVLOWAT
  { level: SOL_SOCKET, name: 19, column: 36, kind: 'int', initial: 1, fixed: true },     // SO_SNDLOWAT
  { level: SOL_SOCKET, name: 29, column: 12, kind: 'flag' },                              // SO_TIMESTAMP
  { level: SOL_SOCKET, name: 49, column: 13, kind: 'int', initial: -1 },                  // SO_INCOMING_CPU
  { level: SOL_SOCKET, name: SO_MAX_PACING_RATE, column: 38, kind: 'int', adjust: v => (v < 0 ? -1 : v), tcp: 'maxPacingRate' },
  { level: IPPROTO_TCP, name: 1, column: 14, kind: 'flag', tcp: 'noDelay' },              // TCP_NODELAY
  { level: IPPROTO_TCP, name: 3, column: 15, kind: 'flag', tcp: 'cork' },                 // TCP_CORK
  { level: IPPROTO_TCP, name: 4, column: 16, kind: 'int', min: 1, max: 32767, tcp: 'keepIdle' },
  { level: IPPROTO_TCP, name: 5, column: 17, kind: 'int', min: 1, max: 32767, tcp: 'keepIntvl' },
  { level: IPPROTO_TCP, name: 6, column: 18, kind: 'int', min: 1, max: 127, tcp: 'keepCnt' },
  { level: IPPROTO_TCP, name: 7, column: 19, kind: 'int', min: 1, max: 127, tcp: 'synCnt' },
  { level: IPPROTO_TCP, name: 8, column: 20, kind: 'int', max: 120, adjust: v => (v < 0 ? -1 : v), tcp: 'linger2' },
  { level: IPPROTO_TCP, name: 9, column: 21, kind: 'int', adjust: v => deferSeconds(deferTimeouts(v)), tcp: 'deferAccept' }, // TCP_DEFER_ACCEPT
  { level: IPPROTO_TCP, name: 10, column: 22, kind: 'int', adjust: v => (v === 0 ? 0 : Math.max(v, CLAMP_MIN)), tcp: 'windowClamp' },  // TCP_WINDOW_CLAMP
  { level: IPPROTO_TCP, name: 12, column: 23, kind: 'flag', tcp: 'quickAck' }, // TCP_QUICKACK
  { level: IPPROTO_TCP, name: 18, column: 24, kind: 'int', min: 0, tcp: 'userTimeout' },  // TCP_USER_TIMEOUT
  { level: IPPROTO_TCP, name: 25, column: OPT_NOTSENT_LOWAT, kind: 'int', tcp: 'notSentLowat' }, // TCP_NOTSENT_LOWAT
  { level: IPPROTO_TCP, name: TCP_FASTOPEN, column: OPT_FASTOPEN, kind: 'int', min: 0, adjust: v => Math.min(v, SOMAXCONN), tcp: 'fastOpen', when: 'passive' },
  { level: IPPROTO_TCP, name: 30, column: OPT_FASTOPEN_CONNECT, kind: 'int', min: 0, max: 1, tcp: 'fastOpenConnect', when: 'idle' }, // TCP_FASTOPEN_CONNECT
  { level: IPPROTO_TCP, name: 34, column: 41, kind: 'int', min: 0, max: 1, tcp: 'fastOpenNoCookie', when: 'passive' }, // TCP_FASTOPEN_NO_COOKIE
  { level: IPPROTO_IP, name: 1, column: 26, kind: 'int', adjust: v => v & 0xfc, tcp: 'tos' },              // IP_TOS
  { level: IPPROTO_IP, name: 2, column: 27, kind: 'int', min: 1, max: 255, adjust: v => (v === -1 ? 64 : v), tcp: 'ttl' }, // IP_TTL
  { level: IPPROTO_IP, name: 10, column: 28, kind: 'int', initial: 1, min: 0, max: 5 },   // IP_MTU_DISCOVER
  { level: IPPROTO_IP, name: 11, column: 29, kind: 'flag' },                              // IP_RECVERR
  { level: IPPROTO_IP, name: 15, column: 30, kind: 'flag' },                              // IP_FREEBIND
  { level: IPPROTO_IP, name: 24, column: 31, kind: 'flag' },                              // IP_BIND_ADDRESS_NO_PORT
  { level: IPPROTO_IPV6, name: 16, column: 32, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 64 : v), v6: true, tcp: 'hops' }, // IPV6_UNICAST_HOPS
  { level: IPPROTO_IPV6, name: 25, column: 33, kind: 'flag', v6: true },                  // IPV6_RECVERR
  { level: IPPROTO_IPV6, name: 26, column: OPT_V6ONLY, kind: 'flag', v6: true },          // IPV6_V6ONLY
  { level: IPPROTO_IPV6, name: 67, column: 34, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 0 : v > 255 ? v : v & 0xfc), v6: true, tcp: 'trafficClass' }, // IPV6_TCLASS
  { level: IPPROTO_TCP, name: TCP_CONGESTION, column: OPT_CONGESTION, kind: 'int', tcp: 'congestion' },
  { level: IPPROTO_TCP, name: TCP_MAXSEG, column: OPT_MAXSEG, kind: 'int', min: 88, max: 32767, tcp: 'maxSeg' },
]

const byName = new Map(TABLE.map(o => [o.level * 65536 + o.name, o]))
const find = (s: Stream, level: number, name: number) => {
  const o = byName.get(level * 65536 + name)
  return o?.v6 && s.get(T.FAMILY) !== AF_INET6 ? undefined : o
}

/** A new socket's values: what TCP acts on is as the stack has it. */
export function defaultOptions(ground: Ground, s: Stream): void {
  const { defaults } = ground.stack.tcp
  for (const o of TABLE)
    s.options[o.column] = o.tcp === undefined ? (o.initial ?? 0) : defaults[o.tcp]
}

/** What TCP is to know when a connection is opened, or one accepted here begins. */
export function tcpSettings(s: Stream): Partial<TcpSettings> {
  const settings: Partial<TcpSettings> = {}
  for (const o of TABLE) if (o.tcp !== undefined) settings[o.tcp] = s.options[o.column]
  return settings
}

/** setsockopt(2) */
export function setOption(ground: Ground, s: Stream, call: Call): number {
  const level = call.arg[0]
  const name = call.arg[1]
  const view = new DataView(call.data.buffer, call.data.byteOffset, call.length)
  if (level === SOL_SOCKET && name === SO_LINGER) return setLinger(s, view)
  if (level === SOL_SOCKET && name === SO_BINDTODEVICE) return setDevice(call)
  if (level === IPPROTO_TCP && name === TCP_CONGESTION) return setCongestion(ground, s, call)
  if (level === IPPROTO_TCP && name === TCP_FASTOPEN_KEY)
    return ground.stack.tcp.fastOpen.setKey(call.data.subarray(0, call.length)) ? 0 : -EINVAL
  if (call.length < 4 && !(call.length >= 1 && level === IPPROTO_IP)) return -EINVAL
  const value = call.length >= 4 ? view.getInt32(0, true) : call.data[0]
  if (level === SOL_SOCKET && (name === SO_SNDBUF || name === SO_SNDBUFFORCE))
    return setBuffer(s, OPT_SNDBUF, SNDBUF_MIN, value)
  if (level === SOL_SOCKET && (name === SO_RCVBUF || name === SO_RCVBUFFORCE))
    return setBuffer(s, OPT_RCVBUF, RCVBUF_MIN, value)
  const o = find(s, level, name)
  if (o === undefined || o.fixed) return -ENOPROTOOPT
  if (o.name === 26 && o.level === IPPROTO_IPV6 && s.has(T.BOUND)) return -EINVAL
  if (!maySet(s, o, value)) return -EINVAL
  const stored = o.kind === 'flag' ? Number(value !== 0) : (o.adjust?.(value) ?? value)
  const resets = o.column === OPT_MAXSEG && stored === 0
  if (
    !resets &&
    o.kind === 'int' &&
    (stored < (o.min ?? -0x80000000) || stored > (o.max ?? 0x7fffffff))
  )
    return -EINVAL
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
  if (o.tcp === undefined) return 0
  if (s.state === T.LISTENING) tcp.setListenerOption(s.index, o.tcp, value)
  if (o.column === OPT_NOTSENT_LOWAT && s.state === T.CONNECTED) showRoom(ground, s)
  return s.tcb < 0 ? 0 : tcp.setOption(s.tcb, o.tcp, value, ground.now)
}

function setLinger(s: Stream, view: DataView): number {
  if (view.byteLength < 8) return -EINVAL
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

/** The one interface there is has the name that the stack gives it. */
function setDevice(call: Call): number {
  const name = text(call.data, call.length)
  return name === '' || name === 'eth0' || name === 'lo' ? 0 : -ENODEV
}

function setCongestion(ground: Ground, s: Stream, call: Call): number {
  const n = congestionNamed(text(call.data, call.length))
  if (n < 0) return -ENOENT
  return store(ground, s, find(s, IPPROTO_TCP, TCP_CONGESTION)!, n)
}

/** getsockopt(2): the value goes into call.out. */
export function getOption(ground: Ground, s: Stream, call: Call): number {
  const level = call.arg[0]
  const name = call.arg[1]
  const room = Math.min(call.arg[2], CALL_DATA_SIZE)
  if (room < 0) return -EINVAL
  const out = new DataView(call.out.buffer, call.out.byteOffset, CALL_DATA_SIZE)
  const int = (value: number) => {
    out.setInt32(0, value, true)
    call.outLength = Math.min(room, 4)
    return 0
  }
  if (level === SOL_SOCKET) {
    if (name === SO_SNDBUF) return int(2 * (s.options[OPT_SNDBUF] || s.tx.size || 65536))
    if (name === SO_RCVBUF) return int(2 * (s.options[OPT_RCVBUF] || s.rx.size || 65536))
    if (name === SO_LINGER) {
      out.setInt32(0, Number(s.options[OPT_LINGER] > 0), true)
      out.setInt32(4, Math.max(0, s.options[OPT_LINGER] - 1), true)
      call.outLength = Math.min(room, 8)
      return 0
    }
    if (name === SO_BINDTODEVICE) {
      call.outLength = 0
      return 0
    }
  }
  if (level === IPPROTO_TCP) {
    const { tcp } = ground.stack
    if (name === TCP_INFO) {
      const n = tcp.info(s.tcb, s.state === T.LISTENING, call.out, ground.now)
      call.outLength = Math.min(room, n)
      return 0
    }
    if (name === TCP_CONGESTION) {
      call.out.fill(0, 0, 16)
      call.out.set(Buffer.from(congestionName(s.options[OPT_CONGESTION])))
      call.outLength = Math.min(room, 16)
      return 0
    }
    if (name === TCP_FASTOPEN_KEY) {
      const key = tcp.fastOpen.getKey().subarray(0, room)
      call.out.set(key)
      call.outLength = key.length
      return 0
    }
    if (name === TCP_QUICKACK && s.tcb >= 0) return int(tcp.option(s.tcb, 'quickAck'))
    if (name === TCP_MAXSEG && s.tcb >= 0) return int(tcp.maxSegment(s.tcb))
    if (name === TCP_MAXSEG) return int(s.options[OPT_MAXSEG] || 536)
  }
  if (level === IPPROTO_IP && name === IP_OPTIONS) {
    call.outLength = 0
    return 0
  }
  if (level === IPPROTO_IP && name === IP_MTU) return s.tcb >= 0 ? int(ground.stack.mtu) : -ENOTCONN
  const o = find(s, level, name)
  if (o === undefined) return -ENOPROTOOPT
  return int(s.options[o.column])
}

const text = (bytes: Uint8Array, n: number) => {
  const end = bytes.subarray(0, n).indexOf(0)
  return Buffer.from(bytes.subarray(0, end < 0 ? n : end)).toString('latin1')
}
