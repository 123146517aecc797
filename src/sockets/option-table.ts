// Which options a stream has, and what Linux lets them hold (socket(7), tcp(7), ip(7), ipv6(7), and what 6.18 answers
// where those are silent): those that TCP or its sockets act on, and those that are otherwise than common-options.ts says.
import { EINVAL, ENOPROTOOPT, EPERM, EPROTO } from '../base/errno.ts'
import { type TcpOption, deferSeconds, deferTimeouts } from '../stack/stack.ts'
import { COMMON } from './common-options.ts'
import {
  fixed,
  flags,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  key,
  keyOf,
  OPT_REUSEADDR,
  OPT_REUSEPORT,
  OPT_V6ONLY,
  type Placed,
  refused,
  type Rule,
  SOL_SOCKET,
} from './option-rules.ts'

// Columns of Stream.options that other files look at.
export const OPT_OOBINLINE = 8
export const OPT_RCVLOWAT = 11
export const OPT_NOTSENT_LOWAT = 25
export const OPT_MAXSEG = 35
export const OPT_CONGESTION = 37
export const OPT_FASTOPEN = 39
export const OPT_FASTOPEN_CONNECT = 40

const SOMAXCONN = 4096
const IPV6_MREQ_LEN = 20
/** Half of Linux's SOCK_MIN_RCVBUF. */
const CLAMP_MIN = 1152
/** Half of tcp_rmem's greatest. */
const LOWAT_MAX = 1 << 24

export interface Option extends Rule, Placed {
  readonly tcp?: TcpOption
  /** In which states it may be set: 'idle': before connect(), 'passive': and while listening. Else -EINVAL. */
  readonly when?: 'idle' | 'passive'
}

/** The columns below are given out by hand, since other files know some; those of `more` count on from here. */
const FIRST_OF_MORE = 43

/* prettier-ignore */
const first: Option[] = [
  { level: SOL_SOCKET, name: 2, column: OPT_REUSEADDR, kind: 'flag', tcp: 'reuse' },      // SO_REUSEADDR
  { level: SOL_SOCKET, name: 5, column: 5, kind: 'flag' },                                // SO_DONTROUTE
  { level: SOL_SOCKET, name: 6, column: 6, kind: 'flag' },                                // SO_BROADCAST
  { level: SOL_SOCKET, name: 9, column: 7, kind: 'flag', tcp: 'keepAlive' },              // SO_KEEPALIVE
  { level: SOL_SOCKET, name: 10, column: OPT_OOBINLINE, kind: 'flag', tcp: 'oobInline' },             // SO_OOBINLINE
  { level: SOL_SOCKET, name: 12, column: 9, kind: 'int' },                                // SO_PRIORITY
  { level: SOL_SOCKET, name: 15, column: OPT_REUSEPORT, kind: 'flag', tcp: 'share' },                  // SO_REUSEPORT
  { level: SOL_SOCKET, name: 18, column: OPT_RCVLOWAT, kind: 'int', initial: 1, adjust: v => (v < 0 ? LOWAT_MAX : Math.min(v || 1, LOWAT_MAX)) }, // SO_RCVLOWAT
  { level: IPPROTO_TCP, name: 1, column: 14, kind: 'flag', tcp: 'noDelay' },              // TCP_NODELAY
  { level: IPPROTO_TCP, name: 3, column: 15, kind: 'flag', tcp: 'cork' },                 // TCP_CORK
  { level: IPPROTO_TCP, name: 4, column: 16, kind: 'int', min: 1, max: 32767, tcp: 'keepIdle' },
  { level: IPPROTO_TCP, name: 5, column: 17, kind: 'int', min: 1, max: 32767, tcp: 'keepIntvl' },
  { level: IPPROTO_TCP, name: 6, column: 18, kind: 'int', min: 1, max: 127, tcp: 'keepCnt' },
  { level: IPPROTO_TCP, name: 7, column: 19, kind: 'int', min: 1, max: 127, tcp: 'synCnt' },
  { level: IPPROTO_TCP, name: 8, column: 20, kind: 'int', adjust: v => (v < 0 ? -1 : Math.min(v, 120)), tcp: 'linger2' },
  { level: IPPROTO_TCP, name: 9, column: 21, kind: 'int', adjust: v => deferSeconds(deferTimeouts(v)), tcp: 'deferAccept' }, // TCP_DEFER_ACCEPT
  { level: IPPROTO_TCP, name: 10, column: 22, kind: 'int', adjust: v => (v === 0 ? 0 : Math.max(v, CLAMP_MIN)), tcp: 'windowClamp' },  // TCP_WINDOW_CLAMP
  { level: IPPROTO_TCP, name: 12, column: 23, kind: 'flag', tcp: 'quickAck' },            // TCP_QUICKACK
  { level: IPPROTO_TCP, name: 18, column: 24, kind: 'int', min: 0, tcp: 'userTimeout' },  // TCP_USER_TIMEOUT
  { level: IPPROTO_TCP, name: 25, column: OPT_NOTSENT_LOWAT, kind: 'int', tcp: 'notSentLowat' }, // TCP_NOTSENT_LOWAT
  { level: IPPROTO_TCP, name: 23, column: OPT_FASTOPEN, kind: 'int', min: 0, adjust: v => Math.min(v, SOMAXCONN), tcp: 'fastOpen', when: 'passive' }, // TCP_FASTOPEN
  { level: IPPROTO_TCP, name: 30, column: OPT_FASTOPEN_CONNECT, kind: 'int', min: 0, max: 1, tcp: 'fastOpenConnect', when: 'idle' }, // TCP_FASTOPEN_CONNECT
  { level: IPPROTO_TCP, name: 34, column: 41, kind: 'int', min: 0, max: 1, tcp: 'fastOpenNoCookie', when: 'passive' }, // TCP_FASTOPEN_NO_COOKIE
  { level: IPPROTO_IP, name: 1, column: 26, kind: 'int', adjust: v => v & 0xfc, tcp: 'tos' }, // IP_TOS
  { level: IPPROTO_IP, name: 2, column: 27, kind: 'int', min: 1, max: 255, adjust: v => (v === -1 ? 64 : v), tcp: 'ttl' }, // IP_TTL
  { level: IPPROTO_IP, name: 10, column: 28, kind: 'int', initial: 1, min: 0, max: 5 },   // IP_MTU_DISCOVER
  { level: IPPROTO_IP, name: 11, column: 29, kind: 'flag' },                              // IP_RECVERR
  { level: IPPROTO_IPV6, name: 16, column: 32, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 64 : v), tcp: 'hops' }, // IPV6_UNICAST_HOPS
  { level: IPPROTO_IPV6, name: 25, column: 33, kind: 'flag' },                            // IPV6_RECVERR
  { level: IPPROTO_IPV6, name: 26, column: OPT_V6ONLY, kind: 'flag' },                    // IPV6_V6ONLY
  { level: IPPROTO_IPV6, name: 67, column: 34, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 0 : v < 0 || v > 255 ? v : v & 0xfc), tcp: 'trafficClass' }, // IPV6_TCLASS
  { level: IPPROTO_TCP, name: 13, column: OPT_CONGESTION, kind: 'int', tcp: 'congestion' },
  { level: IPPROTO_TCP, name: 2, column: OPT_MAXSEG, kind: 'int', min: 88, max: 32767, tcp: 'maxSeg' },
]

/* prettier-ignore */
const more: Rule[] = [
  ...flags(SOL_SOCKET, [11, 40]),                                                         // SO_NO_CHECK, RXQ_OVFL
  { level: SOL_SOCKET, name: 74, kind: 'int', initial: 1, min: 0, max: 1, adjust: v => (v === -1 ? 1 : v) }, // SO_TXREHASH
  { level: IPPROTO_TCP, name: 16, kind: 'int', min: 0, max: 1 },                          // TCP_THIN_LINEAR_TIMEOUTS
  { level: IPPROTO_TCP, name: 17, kind: 'int', min: 0, max: 1, adjust: v => (v === 1 ? 0 : v) }, // TCP_THIN_DUPACK
  refused(IPPROTO_TCP, 19, EPERM),                                                        // TCP_REPAIR
  { level: IPPROTO_TCP, name: 27, kind: 'int', min: 0, max: 2 },                          // TCP_SAVE_SYN
  { level: IPPROTO_TCP, name: 36, kind: 'int', min: 0, max: 1 },                          // TCP_INQ
  { level: IPPROTO_TCP, name: 37, kind: 'int', min: 0, max: 0xfffff },                    // TCP_TX_DELAY
  fixed(IPPROTO_TCP, 43, 0),                                                              // TCP_IS_MPTCP
  { level: IPPROTO_TCP, name: 44, kind: 'int', initial: 120_000, min: 1000, max: 120_000 }, // TCP_RTO_MAX_MS
  refused(IPPROTO_IP, 25, EINVAL),                                                        // IP_RECVFRAGSIZE
  refused(IPPROTO_IP, 33, EINVAL, 1),                                                     // IP_MULTICAST_TTL
  { level: IPPROTO_IP, name: 34, kind: 'flag', initial: 1, length: 'byte' },              // IP_MULTICAST_LOOP
  { level: IPPROTO_IP, name: 49, kind: 'int', initial: 1, initial6: 0, min: 0, max: 1, length: 'byte' }, // IP_MULTICAST_ALL
  fixed(IPPROTO_IPV6, 17, 0),                                                             // IPV6_MULTICAST_IF
  fixed(IPPROTO_IPV6, 18, 1),                                                             // IPV6_MULTICAST_HOPS
  { level: IPPROTO_IPV6, name: 19, kind: 'int', initial: 1, min: 0, max: 1 },             // IPV6_MULTICAST_LOOP
  refused(IPPROTO_IPV6, 22, ENOPROTOOPT),                                                 // IPV6_ROUTER_ALERT
  { level: IPPROTO_IPV6, name: 23, kind: 'int', initial: 1, min: 0, max: 5 },             // IPV6_MTU_DISCOVER
  { level: IPPROTO_IPV6, name: 24, kind: 'int', min: 1280, zero: true },                  // IPV6_MTU, as far as it can be set
  { level: IPPROTO_IPV6, name: 29, kind: 'flag', initial: 1 },                            // IPV6_MULTICAST_ALL
]

/** What is refused before Linux looks at the value, or always. */
/* prettier-ignore */
export const REFUSED: ReadonlyMap<number, number> = new Map([
  [key(IPPROTO_TCP, 14), EINVAL],     // TCP_MD5SIG
  [key(IPPROTO_TCP, 20), EPERM],      // TCP_REPAIR_QUEUE
  [key(IPPROTO_TCP, 21), EINVAL],     // TCP_QUEUE_SEQ
  [key(IPPROTO_TCP, 22), EINVAL],     // TCP_REPAIR_OPTIONS
  [key(IPPROTO_TCP, 24), EPERM],      // TCP_TIMESTAMP
  [key(IPPROTO_TCP, 29), EPERM],      // TCP_REPAIR_WINDOW
  [key(IPPROTO_TCP, 32), EINVAL],     // TCP_MD5SIG_EXT
])

/** Groups are not for streams: IP_ADD_MEMBERSHIP and IP_DROP_MEMBERSHIP, IP_MULTICAST_IF, and those that name sources. */
export function refusesGroups(level: number, name: number, length: number): number {
  if (level === IPPROTO_IP) {
    if (name === 35 || name === 36) return -EPROTO
    return name === 32 || (name >= 37 && name <= 48) ? -EINVAL : 0
  }
  if (level !== IPPROTO_IPV6) return 0
  // IPV6_ADD_MEMBERSHIP and IPV6_DROP_MEMBERSHIP, MCAST_*.
  if (name === 20 || name === 21) return length < IPV6_MREQ_LEN ? -EINVAL : -EPROTO
  return name >= 42 && name <= 48 ? -EINVAL : 0
}

const own: readonly Option[] = [
  ...first,
  ...more.map((o, i) => ({ ...o, column: FIRST_OF_MORE + i })),
]
const isOwn = new Set(own.map(keyOf))
export const TABLE: readonly Option[] = [...own, ...COMMON.filter(o => !isOwn.has(keyOf(o)))]
/** Columns of Stream.options before those of common-options.ts. */
export const COLUMNS = FIRST_OF_MORE + more.length
