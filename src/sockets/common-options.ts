// The options that Linux has for every socket over IP, and keeps and shows alike (socket(7), ip(7), ipv6(7)): numbers
// without an effect, as what they are about does not happen here. Their columns, and those of structured-options.ts, are
// counted from the end of the socket's row, so that streams and message sockets have the same.
import { EINVAL, EOPNOTSUPP } from '../base/errno.ts'
import {
  fixed,
  flags,
  IPPROTO_IP,
  IPPROTO_IPV6,
  type Placed,
  type Rule,
  SOL_SOCKET,
} from './option-rules.ts'
import * as T from './table.ts'

/* prettier-ignore */
const RULES: Rule[] = [
  // SO_DEBUG, WIFI_STATUS, NOFCS, SELECT_ERR_QUEUE, PREFER_BUSY_POLL, RCVMARK, RCVPRIORITY
  ...flags(SOL_SOCKET, [1, 41, 43, 45, 69, 75, 82]),
  { level: SOL_SOCKET, name: 14, kind: 'int', adjust: () => 0 },                          // SO_BSDCOMPAT
  { level: SOL_SOCKET, name: 36, kind: 'int' },                                           // SO_MARK
  { level: SOL_SOCKET, name: 46, kind: 'int', min: 0 },                                   // SO_BUSY_POLL
  { level: SOL_SOCKET, name: 49, kind: 'int', initial: -1 },                              // SO_INCOMING_CPU
  { level: SOL_SOCKET, name: 53, kind: 'flag', hidden: true },                            // SO_CNX_ADVICE
  fixed(SOL_SOCKET, 19, 1),                                                               // SO_SNDLOWAT
  fixed(SOL_SOCKET, 56, 0),                                                               // SO_INCOMING_NAPI_ID
  { level: SOL_SOCKET, name: 60, kind: 'int', min: 0, max: 1, refuses: EOPNOTSUPP },      // SO_ZEROCOPY
  { level: SOL_SOCKET, name: 70, kind: 'int', min: 0, max: 65535, hidden: true },         // SO_BUSY_POLL_BUDGET
  { level: SOL_SOCKET, name: 72, kind: 'int', min: 0, max: 3 },                           // SO_BUF_LOCK
  { level: SOL_SOCKET, name: 73, kind: 'int', min: 0, refuses: EOPNOTSUPP },              // SO_RESERVE_MEM
  // IP_RECVOPTS, RETOPTS, PKTINFO, RECVTTL, RECVTOS, PASSSEC, RECVORIGDSTADDR, CHECKSUM, BIND_ADDRESS_NO_PORT
  ...flags(IPPROTO_IP, [6, 7, 8, 12, 13, 18, 20, 23, 24]),
  ...flags(IPPROTO_IP, [15, 19], { length: 'byte' }),                                     // IP_FREEBIND, TRANSPARENT
  fixed(IPPROTO_IP, 3, 0),                                                                // IP_HDRINCL
  { level: IPPROTO_IP, name: 5, kind: 'int', refuses: EINVAL },                           // IP_ROUTER_ALERT
  { level: IPPROTO_IP, name: 21, kind: 'int', min: 0, max: 255, length: 'byte' },         // IP_MINTTL
  fixed(IPPROTO_IP, 22, 0),                                                               // IP_NODEFRAG
  { level: IPPROTO_IP, name: 26, kind: 'int', min: 0, max: 1 },                           // IP_RECVERR_RFC4884
  // IPV6_2292PKTINFO, 2292HOPOPTS, 2292DSTOPTS, 2292RTHDR, 2292HOPLIMIT, FLOWINFO, ROUTER_ALERT_ISOLATE,
  // FLOWINFO_SEND, RECVPKTINFO, RECVHOPLIMIT, RECVHOPOPTS, RECVRTHDR, RECVDSTOPTS, RECVPATHMTU, RECVTCLASS,
  // RECVORIGDSTADDR, TRANSPARENT, FREEBIND
  ...flags(IPPROTO_IPV6, [2, 3, 4, 5, 8, 11, 30, 33, 49, 51, 53, 56, 58, 60, 66, 74, 75, 78]),
  ...flags(IPPROTO_IPV6, [62, 77], { length: 'any' }),                                    // IPV6_DONTFRAG, RECVFRAGSIZE
  { level: IPPROTO_IPV6, name: 70, kind: 'flag', initial: 1, length: 'any' },             // IPV6_AUTOFLOWLABEL
  { level: IPPROTO_IPV6, name: 31, kind: 'int', min: 0, max: 1 },                         // IPV6_RECVERR_RFC4884
  { level: IPPROTO_IPV6, name: 73, kind: 'int', min: 0, max: 255 },                       // IPV6_MINHOPCOUNT
]

const END = T.OPTION_COLUMNS
// What is more than one number, in words.
export const TIMESTAMPING = END - 1
/** SO_TIMESTAMPING was set by its younger name. */
export const TIMESTAMPING_NEW = END - 2
export const PACING_RATE = END - 4
export const TXTIME = END - 6
export const PORT_RANGE = END - 7
export const UNICAST_IF = END - 8
export const UNICAST_IF6 = END - 9
export const ADDR_PREFERENCES = END - 10
/** SO_BINDTODEVICE: an interface's index; 0: any. */
export const DEVICE = END - 11
/** 0: off; else 1 + seconds. */
export const LINGER = END - 12
export const TIMESTAMP = END - 13
export const IP_OPTIONS = END - 24 // length, and ten words
const FIRST = IP_OPTIONS - RULES.length

export const COMMON: readonly (Rule & Placed)[] = RULES.map((r, i) => ({ ...r, column: FIRST + i }))

// What column TIMESTAMP holds, for each message that comes; 0: nothing.
export const TIMESTAMP_US = 1
export const TIMESTAMP_NS = 2
export const TIMESTAMP_US_NEW = 3
export const TIMESTAMP_NS_NEW = 4
