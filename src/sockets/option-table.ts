// Which socket options there are, and what Linux lets them hold (socket(7), tcp(7), ip(7), ipv6(7), and what 6.18
// answers where those are silent). Options without a meaning here are kept and shown as Linux does.
import { EINVAL, ENOPROTOOPT, EOPNOTSUPP, EPERM } from '../base/errno.ts'
import { type TcpOption, deferSeconds, deferTimeouts } from '../stack/stack.ts'

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
export const OPT_OOBINLINE = 8
export const OPT_REUSEPORT = 10
export const OPT_RCVLOWAT = 11
export const OPT_NOTSENT_LOWAT = 25
export const OPT_MAXSEG = 35
export const OPT_CONGESTION = 37
export const OPT_FASTOPEN = 39
export const OPT_FASTOPEN_CONNECT = 40
/** SO_BINDTODEVICE: an interface's index, 0. */
export const OPT_DEVICE = 42

const SOMAXCONN = 4096
/** Half of Linux's SOCK_MIN_RCVBUF. */
const CLAMP_MIN = 1152
/** Half of tcp_rmem's greatest. */
const LOWAT_MAX = 1 << 24

export interface Option {
  readonly level: number
  readonly name: number
  readonly column: number
  /** 'flag' shows 0 or 1 whatever was set; 'fixed' can be read only. */
  readonly kind: 'flag' | 'int' | 'fixed'
  readonly initial?: number
  /** Where an AF_INET6 socket begins otherwise. */
  readonly initial6?: number
  readonly min?: number
  readonly max?: number
  readonly tcp?: TcpOption
  /** What Linux makes of a value before it looks whether it is in range. */
  readonly adjust?: (value: number) => number
  /** What setting it answers, once the value was read. */
  readonly refuses?: number
  /** In which states it may be set: 'idle': before connect(), 'passive': and while listening. Else -EINVAL. */
  readonly when?: 'idle' | 'passive'
  /** IPPROTO_IP takes a byte, or nothing (0), instead of an int; these not nothing. IPPROTO_IPV6 takes less than an int for these. */
  readonly length?: 'byte' | 'any'
  /** Can be set only. */
  readonly hidden?: true
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
  { level: SOL_SOCKET, name: 19, column: 36, kind: 'fixed', initial: 1 },                 // SO_SNDLOWAT
  { level: SOL_SOCKET, name: 29, column: 12, kind: 'flag' },                              // SO_TIMESTAMP
  { level: SOL_SOCKET, name: 49, column: 13, kind: 'int', initial: -1 },                  // SO_INCOMING_CPU
  { level: SOL_SOCKET, name: 47, column: 38, kind: 'int', tcp: 'maxPacingRate' },         // SO_MAX_PACING_RATE
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
  { level: IPPROTO_IP, name: 15, column: 30, kind: 'flag', length: 'byte' },              // IP_FREEBIND
  { level: IPPROTO_IP, name: 24, column: 31, kind: 'flag' },                              // IP_BIND_ADDRESS_NO_PORT
  { level: IPPROTO_IPV6, name: 16, column: 32, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 64 : v), tcp: 'hops' }, // IPV6_UNICAST_HOPS
  { level: IPPROTO_IPV6, name: 25, column: 33, kind: 'flag' },                            // IPV6_RECVERR
  { level: IPPROTO_IPV6, name: 26, column: OPT_V6ONLY, kind: 'flag' },                    // IPV6_V6ONLY
  { level: IPPROTO_IPV6, name: 67, column: 34, kind: 'int', min: 0, max: 255, adjust: v => (v === -1 ? 0 : v < 0 || v > 255 ? v : v & 0xfc), tcp: 'trafficClass' }, // IPV6_TCLASS
  { level: IPPROTO_TCP, name: 13, column: OPT_CONGESTION, kind: 'int', tcp: 'congestion' },
  { level: IPPROTO_TCP, name: 2, column: OPT_MAXSEG, kind: 'int', min: 88, max: 32767, tcp: 'maxSeg' },
]

type More = Omit<Option, 'column'>
const flags = (level: number, names: number[], more: Partial<More> = {}): More[] =>
  names.map(name => ({ level, name, kind: 'flag', ...more }))
const fixed = (level: number, name: number, initial: number): More => ({ level, name, kind: 'fixed', initial }) // prettier-ignore
/** Linux reads the value, and then says no to all of them. */
const refused = (level: number, name: number, refuses: number, initial = 0): More => ({ level, name, kind: 'int', refuses, initial }) // prettier-ignore

/* prettier-ignore */
const more: More[] = [
  // SO_DEBUG, NO_CHECK, TIMESTAMPNS, RXQ_OVFL, WIFI_STATUS, NOFCS, SELECT_ERR_QUEUE, TIMESTAMP_NEW, TIMESTAMPNS_NEW,
  // PREFER_BUSY_POLL, RCVMARK, RCVPRIORITY
  ...flags(SOL_SOCKET, [1, 11, 35, 40, 41, 43, 45, 63, 64, 69, 75, 82]),
  { level: SOL_SOCKET, name: 14, kind: 'int', adjust: () => 0 },                          // SO_BSDCOMPAT
  { level: SOL_SOCKET, name: 36, kind: 'int' },                                           // SO_MARK
  { level: SOL_SOCKET, name: 42, kind: 'int', initial: -1 },                              // SO_PEEK_OFF
  { level: SOL_SOCKET, name: 46, kind: 'int', min: 0 },                                   // SO_BUSY_POLL
  fixed(SOL_SOCKET, 48, 64),                                                              // SO_BPF_EXTENSIONS
  { level: SOL_SOCKET, name: 53, kind: 'flag', hidden: true },                            // SO_CNX_ADVICE
  fixed(SOL_SOCKET, 56, 0),                                                               // SO_INCOMING_NAPI_ID
  { level: SOL_SOCKET, name: 60, kind: 'int', min: 0, max: 1, refuses: EOPNOTSUPP },      // SO_ZEROCOPY
  { level: SOL_SOCKET, name: 70, kind: 'int', min: 0, max: 65535, hidden: true },         // SO_BUSY_POLL_BUDGET
  { level: SOL_SOCKET, name: 72, kind: 'int', min: 0, max: 3 },                           // SO_BUF_LOCK
  { level: SOL_SOCKET, name: 73, kind: 'int', min: 0, refuses: EOPNOTSUPP },              // SO_RESERVE_MEM
  { level: SOL_SOCKET, name: 74, kind: 'int', initial: 1, min: 0, max: 1, adjust: v => (v === -1 ? 1 : v) }, // SO_TXREHASH
  { level: IPPROTO_TCP, name: 16, kind: 'int', min: 0, max: 1 },                          // TCP_THIN_LINEAR_TIMEOUTS
  { level: IPPROTO_TCP, name: 17, kind: 'int', min: 0, max: 1, adjust: v => (v === 1 ? 0 : v) }, // TCP_THIN_DUPACK
  refused(IPPROTO_TCP, 19, EPERM),                                                        // TCP_REPAIR
  { level: IPPROTO_TCP, name: 27, kind: 'int', min: 0, max: 2 },                          // TCP_SAVE_SYN
  { level: IPPROTO_TCP, name: 36, kind: 'int', min: 0, max: 1 },                          // TCP_INQ
  { level: IPPROTO_TCP, name: 37, kind: 'int', min: 0, max: 0xfffff },                    // TCP_TX_DELAY
  fixed(IPPROTO_TCP, 43, 0),                                                              // TCP_IS_MPTCP
  { level: IPPROTO_TCP, name: 44, kind: 'int', initial: 120_000, min: 1000, max: 120_000 }, // TCP_RTO_MAX_MS
  // IP_RECVOPTS, RETOPTS, PKTINFO, RECVTTL, RECVTOS, PASSSEC, RECVORIGDSTADDR, CHECKSUM
  ...flags(IPPROTO_IP, [6, 7, 8, 12, 13, 18, 20, 23]),
  { level: IPPROTO_IP, name: 19, kind: 'flag', length: 'byte' },                          // IP_TRANSPARENT
  fixed(IPPROTO_IP, 3, 0),                                                                // IP_HDRINCL
  refused(IPPROTO_IP, 5, EINVAL),                                                         // IP_ROUTER_ALERT
  { level: IPPROTO_IP, name: 21, kind: 'int', min: 0, max: 255, length: 'byte' },         // IP_MINTTL
  fixed(IPPROTO_IP, 22, 0),                                                               // IP_NODEFRAG
  refused(IPPROTO_IP, 25, EINVAL),                                                        // IP_RECVFRAGSIZE
  { level: IPPROTO_IP, name: 26, kind: 'int', min: 0, max: 1 },                           // IP_RECVERR_RFC4884
  refused(IPPROTO_IP, 33, EINVAL, 1),                                                     // IP_MULTICAST_TTL
  { level: IPPROTO_IP, name: 34, kind: 'flag', initial: 1, length: 'byte' },              // IP_MULTICAST_LOOP
  { level: IPPROTO_IP, name: 49, kind: 'int', initial: 1, initial6: 0, min: 0, max: 1, length: 'byte' }, // IP_MULTICAST_ALL
  // IPV6_2292PKTINFO, 2292HOPOPTS, 2292DSTOPTS, 2292RTHDR, 2292HOPLIMIT, FLOWINFO, ROUTER_ALERT_ISOLATE,
  // FLOWINFO_SEND, RECVPKTINFO, RECVHOPLIMIT, RECVHOPOPTS, RECVRTHDR, RECVDSTOPTS, RECVPATHMTU, RECVTCLASS,
  // RECVORIGDSTADDR, TRANSPARENT, FREEBIND
  ...flags(IPPROTO_IPV6, [2, 3, 4, 5, 8, 11, 30, 33, 49, 51, 53, 56, 58, 60, 66, 74, 75, 78]),
  ...flags(IPPROTO_IPV6, [62, 77], { length: 'any' }),                                    // IPV6_DONTFRAG, RECVFRAGSIZE
  { level: IPPROTO_IPV6, name: 70, kind: 'flag', initial: 1, length: 'any' },             // IPV6_AUTOFLOWLABEL
  fixed(IPPROTO_IPV6, 17, 0),                                                             // IPV6_MULTICAST_IF
  fixed(IPPROTO_IPV6, 18, 1),                                                             // IPV6_MULTICAST_HOPS
  fixed(IPPROTO_IPV6, 22, 0),                                                             // IPV6_ROUTER_ALERT
  { level: IPPROTO_IPV6, name: 19, kind: 'int', initial: 1, min: 0, max: 1 },             // IPV6_MULTICAST_LOOP
  { level: IPPROTO_IPV6, name: 23, kind: 'int', initial: 1, min: 0, max: 5 },             // IPV6_MTU_DISCOVER
  { level: IPPROTO_IPV6, name: 29, kind: 'flag', initial: 1 },                            // IPV6_MULTICAST_ALL
  { level: IPPROTO_IPV6, name: 31, kind: 'int', min: 0, max: 1 },                         // IPV6_RECVERR_RFC4884
  { level: IPPROTO_IPV6, name: 73, kind: 'int', min: 0, max: 255 },                       // IPV6_MINHOPCOUNT
  fixed(IPPROTO_IPV6, 76, 0),                                                             // IPV6_UNICAST_IF
]

/** What is refused before Linux looks at the value, or always. */
/* prettier-ignore */
export const REFUSED: ReadonlyMap<number, number> = new Map([
  [key(SOL_SOCKET, 17), ENOPROTOOPT], // SO_PEERCRED
  [key(IPPROTO_TCP, 14), EINVAL],     // TCP_MD5SIG
  [key(IPPROTO_TCP, 20), EPERM],      // TCP_REPAIR_QUEUE
  [key(IPPROTO_TCP, 21), EINVAL],     // TCP_QUEUE_SEQ
  [key(IPPROTO_TCP, 22), EINVAL],     // TCP_REPAIR_OPTIONS
  [key(IPPROTO_TCP, 24), EPERM],      // TCP_TIMESTAMP
  [key(IPPROTO_TCP, 29), EPERM],      // TCP_REPAIR_WINDOW
  [key(IPPROTO_TCP, 32), EINVAL],     // TCP_MD5SIG_EXT
])

export function key(level: number, name: number): number {
  return level * 65536 + name
}

export const TABLE: readonly Option[] = [
  ...first,
  ...more.map((o, i) => ({ ...o, column: FIRST_OF_MORE + i })),
]
/** Columns of Stream.options. */
export const COLUMNS = FIRST_OF_MORE + more.length
