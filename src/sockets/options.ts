// getsockopt(2) and setsockopt(2) of stream sockets, as Linux answers them. The options are those of option-table.ts; what
// is more than a number is here, as far as it is a stream's alone. Values live in the socket's row, so that they outlive
// the stack thread; those that TCP acts on are handed to it.
import { EFAULT, EINVAL, ENOENT, ENOPROTOOPT, EOPNOTSUPP } from '../base/errno.ts'
import { AF_INET6 } from '../ffi/libc.ts'
import { RECORD } from '../shm/layout.ts'
import { type TcpSettings, congestionName, congestionNamed } from '../stack/stack.ts'
import type { Call } from './calls.ts'
import { LINGER } from './common-options.ts'
import { getFilterOption, setFilterOption } from './filters.ts'
import type { Ground } from './ground.ts'
import {
  checkRange,
  checkValue,
  giveBytes,
  giveInt,
  int32s,
  intOf,
  isUnreadable6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  key,
  OPT_RCVBUF,
  OPT_SNDBUF,
  READABLE,
  roomOf,
  SOL_SOCKET,
  storedOf,
  textOf,
  wrong,
} from './option-rules.ts'
import {
  type Option,
  OPT_CONGESTION,
  OPT_MAXSEG,
  OPT_NOTSENT_LOWAT,
  OPT_OOBINLINE,
  OPT_RCVLOWAT,
  REFUSED,
  refusesGroups,
  TABLE,
} from './option-table.ts'
import { showRoom, showText } from './readiness.ts'
import { gateSegments } from './segment-gate.ts'
import { giveGroupFilter, giveIpFilter } from './source-filter.ts'
import type { Stream } from './stream.ts'
import {
  defaultStructured,
  getStructured,
  type Owner,
  pacingRate,
  setStructured,
} from './structured-options.ts'
import * as T from './table.ts'

const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_LINGER = 13
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SO_MAX_PACING_RATE = 47
const TCP_MAXSEG = 2
const TCP_LINGER2 = 8
const TCP_WINDOW_CLAMP = 10
const TCP_INFO = 11
const TCP_QUICKACK = 12
const TCP_CONGESTION = 13
const TCP_REPAIR_QUEUE = 20
const TCP_QUEUE_SEQ = 21
const TCP_TIMESTAMP = 24
const TCP_CC_INFO = 26
const TCP_SAVED_SYN = 28
const TCP_REPAIR_WINDOW = 29
const TCP_ULP = 31
const TCP_FASTOPEN_KEY = 33
const TCP_ZEROCOPY_RECEIVE = 35
const IP_MULTICAST_IF = 32
const IP_MSFILTER = 41
const MCAST_MSFILTER = 48
const IPV6_V6ONLY = 26

/** Linux's floors and net.core.[rw]mem_max, doubled where it shows doubled values. */
const SNDBUF_MIN = 2304
const RCVBUF_MIN = 1152
const BUFFER_MAX = 4 << 20
/** As much as a first ring. */
const DEFAULT_BUFFER = 65536
const TCP_INFO_SIZE = 280
const CC_NAME_LEN = 16

const byName = new Map(TABLE.map(o => [key(o.level, o.name), o]))

/** A new socket's values: what TCP acts on is as the stack has it. */
export function defaultOptions(ground: Ground, s: Stream): void {
  const { defaults } = ground.stack.tcp
  const v6 = s.get(T.FAMILY) === AF_INET6
  defaultStructured(s)
  for (const o of TABLE)
    s.options[o.column] =
      o.tcp === undefined ? ((v6 ? (o.initial6 ?? o.initial) : o.initial) ?? 0) : defaults[o.tcp]
}

/** What TCP is to know when a connection is opened, or one accepted here begins. */
export function tcpSettings(s: Stream): Partial<TcpSettings> {
  const settings: Partial<TcpSettings> = { maxPacingRate: pacingRate(s) }
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
  if (level === IPPROTO_IPV6 && s.get(T.FAMILY) !== AF_INET6) return -ENOPROTOOPT
  const ofFilter = level === SOL_SOCKET ? setFilterOption(ground, s, call) : undefined
  if (ofFilter !== undefined) {
    if (s.filter !== undefined) gateSegments(ground)
    return ofFilter
  }
  if (!LEVELS.includes(level)) return -ENOPROTOOPT
  if (isUnreadable6(call)) return -EFAULT
  const ofGroup = refusesGroups(level, name, call.length)
  if (ofGroup < 0) return ofGroup
  const special = setSpecial(ground, s, call) ?? setShared(ground, s, call)
  if (special !== undefined) return special
  const o = byName.get(key(level, name))
  const bad = checkValue(o, call)
  if (o === undefined || bad < 0)
    return bad === -ENOPROTOOPT ? -(REFUSED.get(key(level, name)) ?? ENOPROTOOPT) : bad
  return setValue(ground, s, o, intOf(call))
}

function setValue(ground: Ground, s: Stream, o: Option, value: number): number {
  if (o.kind === 'fixed') return -ENOPROTOOPT
  if (o.name === IPV6_V6ONLY && o.level === IPPROTO_IPV6 && s.has(T.BOUND)) return -EINVAL
  if (!maySet(s, o, value)) return -EINVAL
  const stored = storedOf(o, value)
  const resets = o.column === OPT_MAXSEG && stored === 0
  const bad = resets ? 0 : checkRange(o, stored)
  return bad < 0 ? bad : store(ground, s, o, stored)
}

/** What common-options.ts keeps, and TCP or the program's side has to know. */
function setShared(ground: Ground, s: Stream, call: Call): number | undefined {
  const r = setStructured(owner(ground, s), call)
  if (r !== 0) return r
  if (call.arg[0] !== SOL_SOCKET) return 0
  if (call.arg[1] === SO_LINGER) s.share(RECORD.linger, Math.max(0, s.options[LINGER] - 1))
  if (call.arg[1] === SO_MAX_PACING_RATE && s.tcb >= 0)
    return ground.stack.tcp.setOption(s.tcb, 'maxPacingRate', pacingRate(s), ground.now)
  return 0
}

function owner(ground: Ground, s: Stream): Owner {
  const { tx, rx } = s
  const room = 2 * s.options[OPT_RCVBUF] || rx.size || DEFAULT_BUFFER
  const sendRoom = 2 * s.options[OPT_SNDBUF] || tx.size || DEFAULT_BUFFER
  return {
    s,
    isStream: true,
    hasForm: true,
    connected: s.state === T.CONNECTED && !s.has(T.DEAD),
    mtu: () => (s.tcb >= 0 ? ground.stack.mtu : undefined),
    memory: tx.size > 0 ? [rx.used, room, tx.length, sendRoom, 0] : [0, room, 0, sendRoom, 0],
  }
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
  return s.tcb < 0 ? 0 : tcp.setOption(s.tcb, o.tcp, value, ground.now)
}

/** The options that are more than a number; undefined: it is none of them. */
function setSpecial(ground: Ground, s: Stream, call: Call): number | undefined {
  switch (key(call.arg[0], call.arg[1])) {
    case key(SOL_SOCKET, SO_SNDBUF):
    case key(SOL_SOCKET, SO_SNDBUFFORCE):
      return wrong(call, 4) ?? setBuffer(s, OPT_SNDBUF, SNDBUF_MIN, intOf(call))
    case key(SOL_SOCKET, SO_RCVBUF):
    case key(SOL_SOCKET, SO_RCVBUFFORCE):
      return wrong(call, 4) ?? setBuffer(s, OPT_RCVBUF, RCVBUF_MIN, intOf(call))
    case key(IPPROTO_TCP, TCP_CONGESTION):
      return wrong(call, 1) ?? setCongestion(ground, s, call)
    case key(IPPROTO_TCP, TCP_ULP): // no kernel module, no TLS in it
      return wrong(call, 1) ?? -ENOENT
    case key(IPPROTO_TCP, TCP_FASTOPEN_KEY):
      if (call.length !== 16 && call.length !== 32) return -EINVAL
      if (call.arg[2] !== READABLE) return -EFAULT
      return ground.stack.tcp.fastOpen.setKey(call.data.subarray(0, call.length)) ? 0 : -EINVAL
    default:
      return undefined
  }
}

/** Twice the value counts (half is for the kernel's own bookkeeping); so the program gets `value` bytes. */
function setBuffer(s: Stream, column: number, floor: number, value: number): number {
  const bytes = Math.max(floor, Math.min(value < 0 ? BUFFER_MAX : value, BUFFER_MAX))
  s.options[column] = bytes
  if (column === OPT_SNDBUF && s.tx.size > 0) s.tx.limit = bytes
  return 0
}

function setCongestion(ground: Ground, s: Stream, call: Call): number {
  const n = congestionNamed(textOf(call))
  if (n < 0) return -ENOENT
  return store(ground, s, byName.get(key(IPPROTO_TCP, TCP_CONGESTION))!, n)
}

// ---- getsockopt(2)

/** The value goes into call.out. */
export function getOption(ground: Ground, s: Stream, call: Call): number {
  const [level, name] = call.arg
  const v6 = s.get(T.FAMILY) === AF_INET6
  if (level === IPPROTO_IPV6 && !v6) return -EOPNOTSUPP
  if (!LEVELS.includes(level)) return v6 ? -ENOPROTOOPT : -EOPNOTSUPP
  if (roomOf(call) < 0) return -EINVAL
  const ofFilter = level === SOL_SOCKET ? getFilterOption(s, call) : undefined
  const special = ofFilter ?? getSpecial(ground, s, call) ?? getStructured(owner(ground, s), call)
  if (special !== undefined) return special
  const o = byName.get(key(level, name))
  return o === undefined || o.hidden ? -ENOPROTOOPT : giveInt(call, s.options[o.column])
}

const LEVELS = [SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6]

/** undefined: it is a number of the table. */
function getSpecial(ground: Ground, s: Stream, call: Call): number | undefined {
  const { tcp } = ground.stack
  const column = () => s.options[byName.get(key(call.arg[0], call.arg[1]))!.column]
  switch (key(call.arg[0], call.arg[1])) {
    case key(SOL_SOCKET, SO_SNDBUF):
      return giveInt(call, 2 * (s.options[OPT_SNDBUF] || s.tx.size || DEFAULT_BUFFER))
    case key(SOL_SOCKET, SO_RCVBUF):
      return giveInt(call, 2 * (s.options[OPT_RCVBUF] || s.rx.size || DEFAULT_BUFFER))
    case key(IPPROTO_TCP, TCP_INFO):
      return giveInfo(ground, s, call)
    case key(IPPROTO_TCP, TCP_CONGESTION): {
      const name = new Uint8Array(CC_NAME_LEN)
      name.set(Buffer.from(congestionName(s.options[OPT_CONGESTION])))
      return giveBytes(call, name)
    }
    case key(IPPROTO_TCP, TCP_FASTOPEN_KEY):
      return giveBytes(call, tcp.fastOpen.getKey())
    case key(IPPROTO_TCP, TCP_QUICKACK):
      return s.tcb >= 0 ? giveInt(call, tcp.option(s.tcb, 'quickAck')) : undefined
    case key(IPPROTO_TCP, TCP_LINGER2):
      return giveInt(call, column() || tcp.tuning.finTimeout)
    case key(IPPROTO_TCP, TCP_MAXSEG):
      return giveInt(call, s.tcb >= 0 ? tcp.maxSegment(s.tcb) : s.options[OPT_MAXSEG] || 536)
    case key(IPPROTO_TCP, TCP_TIMESTAMP):
      return giveInt(call, Math.floor(ground.now) | 0)
    // An algorithm that tells nothing, a SYN not saved, no ULP.
    case key(IPPROTO_TCP, TCP_CC_INFO):
    case key(IPPROTO_TCP, TCP_SAVED_SYN):
    case key(IPPROTO_TCP, TCP_ULP):
      return giveBytes(call, new Uint8Array(0))
    case key(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE):
    case key(IPPROTO_TCP, TCP_REPAIR_QUEUE):
    case key(IPPROTO_TCP, TCP_QUEUE_SEQ):
    case key(IPPROTO_TCP, TCP_REPAIR_WINDOW):
      return -EINVAL
    case key(IPPROTO_IP, IP_MSFILTER):
      return giveIpFilter(call, [], address => ground.stack.isLocal(address))
    case key(IPPROTO_IP, MCAST_MSFILTER):
    case key(IPPROTO_IPV6, MCAST_MSFILTER):
      return giveGroupFilter(call, [])
    case key(IPPROTO_IP, IP_MULTICAST_IF):
      return giveBytes(call, int32s(0))
    default:
      return undefined
  }
}

/** What young kernels add, counters of ECN that RFC 9768 makes accurate, is 0 as they have it without. */
function giveInfo(ground: Ground, s: Stream, call: Call): number {
  const { out } = call
  const n = ground.stack.tcp.info(s.tcb, s.state === T.LISTENING, out, ground.now)
  out.fill(0, n, TCP_INFO_SIZE)
  call.outLength = Math.min(roomOf(call), TCP_INFO_SIZE)
  return 0
}
