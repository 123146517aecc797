// Options of message sockets (socket(7), ip(7), ipv6(7)): a table of what each holds and whom it concerns, beside what
// common-options.ts has for all sockets. Values live in the socket's row, so that they outlive the stack thread. What
// only some kinds have is theirs (udp.ts, groups.ts).
import { EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP } from '../../base/errno.ts'
import { AF_INET6, SOCK_DGRAM } from '../../ffi/libc.ts'
import { Endpoint, type FamilyOptions } from '../../stack/stack.ts'
import type { Call } from '../calls.ts'
import { COMMON, DEVICE } from '../common-options.ts'
import {
  checkRange,
  checkValue,
  giveInt,
  intOf,
  isUnreadable6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  key,
  keyOf,
  OPT_RCVBUF,
  OPT_REUSEADDR,
  OPT_REUSEPORT,
  OPT_SNDBUF,
  OPT_V6ONLY,
  type Placed,
  refused,
  roomOf,
  type Rule,
  SOL_SOCKET,
  storedOf,
  wrong,
} from '../option-rules.ts'
import {
  defaultStructured,
  getStructured,
  type Owner,
  setStructured,
} from '../structured-options.ts'
import * as T from '../table.ts'
import { sizeEnd } from './deliver.ts'
import type { MessageSocket } from './message-socket.ts'

// Columns of MessageSocket.options that other files look at.
export const RXQ_OVFL = 14
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
export const OLD_PKTINFO = 50
export const OLD_HOPLIMIT = 51
const FIRST_OF_MORE = 52
/** From here on a kind's own. */
export const KIND_COLUMNS = 64

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

interface Option extends Rule, Placed {
  readonly apply?: (target: Target, value: number) => void
  /** May be set before bind(2) only. */
  readonly early?: true
}

const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SO_TXREHASH = 74
const SNDBUF_MIN = 2304
const RCVBUF_MIN = 1152
const BUFFER_MAX = 212_992
const BUFFER_DEFAULT = 212_992

/* prettier-ignore */
const first: Option[] = [
  { level: SOL_SOCKET, name: 2, column: OPT_REUSEADDR, kind: 'flag', apply: (t, v) => void (t.reuse = v !== 0) },   // SO_REUSEADDR
  { level: SOL_SOCKET, name: 5, column: 5, kind: 'flag' },                                     // SO_DONTROUTE
  { level: SOL_SOCKET, name: 6, column: 6, kind: 'flag', apply: (t, v) => void (t.broadcast = v !== 0) },           // SO_BROADCAST
  { level: SOL_SOCKET, name: 9, column: 7, kind: 'flag' },                                     // SO_KEEPALIVE
  { level: SOL_SOCKET, name: 10, column: 8, kind: 'flag' },                                    // SO_OOBINLINE
  { level: SOL_SOCKET, name: 11, column: 15, kind: 'flag', apply: (t, v) => void (t.noCheck = v !== 0) },           // SO_NO_CHECK
  { level: SOL_SOCKET, name: 12, column: 9, kind: 'int' },                                     // SO_PRIORITY
  { level: SOL_SOCKET, name: 15, column: OPT_REUSEPORT, kind: 'flag', apply: (t, v) => void (t.share = v !== 0) },      // SO_REUSEPORT
  { level: SOL_SOCKET, name: 18, column: 11, kind: 'int', initial: 1, adjust: v => (v < 0 ? 0x7fffffff : v || 1) }, // SO_RCVLOWAT
  { level: SOL_SOCKET, name: 40, column: RXQ_OVFL, kind: 'flag' },                             // SO_RXQ_OVFL
  { level: IPPROTO_IP, name: 1, column: 18, kind: 'int', adjust: v => v & 0xff, apply: (t, v) => void (t.v4.tos = v) },  // IP_TOS
  { level: IPPROTO_IP, name: 2, column: TTL, kind: 'int', initial: 64, min: 1, max: 255, adjust: v => (v === -1 ? 64 : v), apply: (t, v) => void (t.v4.ttl = v) }, // IP_TTL
  { level: IPPROTO_IP, name: 6, column: RECVOPTS, kind: 'flag' },                              // IP_RECVOPTS
  { level: IPPROTO_IP, name: 7, column: RETOPTS, kind: 'flag' },                               // IP_RETOPTS
  { level: IPPROTO_IP, name: 8, column: PKTINFO, kind: 'flag' },                               // IP_PKTINFO
  { level: IPPROTO_IP, name: 10, column: 20, kind: 'int', initial: 1, min: 0, max: 5, apply: (t, v) => void (t.v4.discover = v) }, // IP_MTU_DISCOVER
  { level: IPPROTO_IP, name: 11, column: RECVERR, kind: 'flag', apply: (t, v) => void (t.v4.receiveErrors = v !== 0) },  // IP_RECVERR
  { level: IPPROTO_IP, name: 12, column: RECVTTL, kind: 'flag' },                              // IP_RECVTTL
  { level: IPPROTO_IP, name: 13, column: RECVTOS, kind: 'flag' },                              // IP_RECVTOS
  { level: IPPROTO_IP, name: 20, column: RECVORIGDSTADDR, kind: 'flag' },                      // IP_RECVORIGDSTADDR
  { level: IPPROTO_IP, name: 33, column: 28, kind: 'int', initial: 1, min: 0, max: 255, length: 'byte', adjust: v => (v === -1 ? 1 : v), apply: (t, v) => void (t.v4.multicastTtl = v) }, // IP_MULTICAST_TTL
  { level: IPPROTO_IP, name: 34, column: 29, kind: 'flag', initial: 1, length: 'byte', apply: (t, v) => void (t.v4.multicastLoop = v !== 0) }, // IP_MULTICAST_LOOP
  { level: IPPROTO_IP, name: 49, column: 30, kind: 'int', initial: 1, initial6: 0, min: 0, max: 1, length: 'byte', apply: (t, v) => void (t.v4.multicastAll = v !== 0) }, // IP_MULTICAST_ALL
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
  { level: IPPROTO_IPV6, name: 66, column: RECVTCLASS, kind: 'flag' },                         // IPV6_RECVTCLASS
  { level: IPPROTO_IPV6, name: 67, column: 42, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 0 : v), apply: (t, v) => void (t.v6.tos = v) }, // IPV6_TCLASS
  { level: IPPROTO_IPV6, name: 74, column: RECVORIGDSTADDR6, kind: 'flag' },                   // IPV6_RECVORIGDSTADDR
]

/* prettier-ignore */
const more: Rule[] = [
  refused(SOL_SOCKET, SO_TXREHASH, EOPNOTSUPP),
  refused(IPPROTO_IPV6, 22, ENOPROTOOPT), // IPV6_ROUTER_ALERT
  { level: IPPROTO_IP, name: 25, kind: 'flag' },             // IP_RECVFRAGSIZE
]

const own: readonly Option[] = [
  ...first,
  ...more.map((o, i) => ({ ...o, column: FIRST_OF_MORE + i })),
]
const isOwn = new Set(own.map(keyOf))
const TABLE: readonly Option[] = [...own, ...COMMON.filter(o => !isOwn.has(keyOf(o)))]
const byName = new Map(TABLE.map(o => [keyOf(o), o]))

/** A new socket's values. */
export function defaultOptions(m: MessageSocket): void {
  defaultStructured(m)
  const v6 = m.family === AF_INET6
  for (const o of TABLE) m.options[o.column] = (v6 ? (o.initial6 ?? o.initial) : o.initial) ?? 0
}

/** A new endpoint, or a new stack thread's, is told all of them. */
export function applyOptions(m: MessageSocket, target: Target): void {
  for (const o of TABLE) o.apply?.(target, m.options[o.column])
  target.device = m.options[DEVICE]
}

/** setsockopt(2). Undefined: none of these. */
export function setIpOption(m: MessageSocket, target: Target, call: Call): number | undefined {
  const [level, name] = call.arg
  if (level === IPPROTO_IPV6 && m.family !== AF_INET6) return -ENOPROTOOPT
  if (isUnreadable6(call)) return -EFAULT
  const special = setBuffer(m, call) ?? setStructured(owner(m, noPath), call)
  if (special === 0 && level === SOL_SOCKET) target.device = m.options[DEVICE]
  if (special !== undefined) return special
  const o = byName.get(key(level, name))
  if (o === undefined && level !== SOL_SOCKET) return undefined
  const bad = checkValue(o, call)
  if (o === undefined || bad < 0) return bad
  if (o.early && m.get(T.PORT) !== 0) return -EINVAL
  const stored = storedOf(o, intOf(call))
  const outside = checkRange(o, stored)
  if (outside < 0) return outside
  m.options[o.column] = stored
  o.apply?.(target, stored)
  return 0
}

const noPath = () => undefined

/** getsockopt(2). Undefined: none of these. `mtu`: of the path to the peer. */
export function getIpOption(
  m: MessageSocket,
  call: Call,
  mtu: () => number | undefined = noPath,
): number | undefined {
  const [level, name] = call.arg
  if (level === SOL_SOCKET) {
    if (name === SO_SNDBUF) return giveInt(call, 2 * m.options[OPT_SNDBUF] || BUFFER_DEFAULT)
    if (name === SO_RCVBUF) return giveInt(call, 2 * m.options[OPT_RCVBUF] || BUFFER_DEFAULT)
    if (name === SO_TXREHASH) return -EOPNOTSUPP
  } else if (level === IPPROTO_IPV6 && m.family !== AF_INET6) return -EOPNOTSUPP
  if (level !== SOL_SOCKET && level !== IPPROTO_IP && level !== IPPROTO_IPV6)
    return m.family === AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP
  if (roomOf(call) < 0) return -EINVAL
  const special = getStructured(owner(m, mtu), call)
  if (special !== undefined) return special
  const o = byName.get(key(level, name))
  return o === undefined || o.hidden ? undefined : giveInt(call, m.options[o.column])
}

function owner(m: MessageSocket, mtu: () => number | undefined): Owner {
  const { connected, queuedBytes, drops, options } = m
  const room = 2 * options[OPT_RCVBUF] || BUFFER_DEFAULT
  const sendRoom = 2 * options[OPT_SNDBUF] || BUFFER_DEFAULT
  return {
    s: m,
    isStream: false,
    hasForm: m.type === SOCK_DGRAM && [0, IPPROTO_UDP].includes(m.protocol),
    connected,
    mtu,
    memory: [queuedBytes, room, 0, sendRoom, drops],
  }
}

/** SO_SNDBUF, SO_RCVBUF. Undefined: another option. */
function setBuffer(m: MessageSocket, call: Call): number | undefined {
  const [level, name] = call.arg
  if (level !== SOL_SOCKET) return undefined
  const sends = name === SO_SNDBUF || name === SO_SNDBUFFORCE
  if (!sends && name !== SO_RCVBUF && name !== SO_RCVBUFFORCE) return undefined
  const bad = wrong(call, 4)
  if (bad !== undefined) return bad
  const value = intOf(call)
  const asked = Math.min(value < 0 ? BUFFER_MAX : value, BUFFER_MAX)
  if (sends) m.options[OPT_SNDBUF] = Math.max(SNDBUF_MIN, asked)
  else {
    m.options[OPT_RCVBUF] = Math.max(RCVBUF_MIN, asked)
    sizeEnd(m)
  }
  return 0
}
