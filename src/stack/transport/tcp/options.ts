// What a program can set on a connection: names, ranges and defaults are Linux's (tcp(7)). A listener's settings go to
// the connections that come to it. Not to be confused with the options in segments (wire/tcp-options.ts).
import { EINVAL } from '../../../base/errno.ts'
import { CONGESTION_LAST } from './algorithm.ts'
import * as L from './layout.ts'

/** Values as setsockopt() takes them. */
export interface TcpSettings {
  /** TCP_NODELAY, TCP_CORK, SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT, TCP_QUICKACK: 0 or 1. */
  noDelay: number
  cork: number
  keepAlive: number
  reuse: number
  share: number
  quickAck: number
  /** SO_OOBINLINE, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE: 0 or 1. */
  oobInline: number
  fastOpenConnect: number
  fastOpenNoCookie: number
  /** TCP_DEFER_ACCEPT: seconds in which the first text is waited for before anybody accepts; 0: not at all. */
  deferAccept: number
  /** TCP_FASTOPEN: how many may have a connection here before their handshake is done. */
  fastOpen: number
  /** TCP_KEEPIDLE, TCP_KEEPINTVL: seconds; TCP_KEEPCNT. */
  keepIdle: number
  keepIntvl: number
  keepCnt: number
  /** TCP_SYNCNT. */
  synCnt: number
  /** TCP_LINGER2: seconds an orphan stays in FIN-WAIT-2; negative: not at all. */
  linger2: number
  /** TCP_USER_TIMEOUT: ms, 0: none. */
  userTimeout: number
  /** TCP_MAXSEG, TCP_WINDOW_CLAMP: 0: none. */
  maxSeg: number
  windowClamp: number
  /** TCP_CONGESTION, as a number (congestion.ts). */
  congestion: number
  /** Initial window in segments, least RTO in ms: a route's in Linux, here the stack's (tuning.ts). */
  initCwnd: number
  rtoMin: number
  /** tcp_ecn (ecn.ts). */
  ecn: number
  /** IP_TOS, IP_TTL; IPV6_TCLASS, IPV6_UNICAST_HOPS. ECN's bits are TCP's own. */
  tos: number
  ttl: number
  trafficClass: number
  hops: number
  /** Is what goes far paced (pacing.ts)? SO_MAX_PACING_RATE: bytes a second; 0 or -1: no limit. */
  pacing: number
  maxPacingRate: number
  /** TCP_NOTSENT_LOWAT: bytes; 0 or negative: no limit. */
  notSentLowat: number
}

export type TcpOption = keyof TcpSettings

/** Linux's. A stack's own are in Tcp.defaults. */
export const DEFAULTS: Readonly<TcpSettings> = {
  noDelay: 0,
  cork: 0,
  keepAlive: 0,
  reuse: 0,
  share: 0,
  quickAck: 1,
  oobInline: 0,
  fastOpenConnect: 0,
  fastOpenNoCookie: 0,
  deferAccept: 0,
  fastOpen: 0,
  keepIdle: 7200,
  keepIntvl: 75,
  keepCnt: 9,
  synCnt: 6,
  linger2: 60,
  userTimeout: 0,
  maxSeg: 0,
  windowClamp: 0,
  congestion: 0,
  initCwnd: 10,
  rtoMin: 200,
  ecn: 2,
  tos: 0,
  ttl: 64,
  trafficClass: 0,
  hops: 64,
  pacing: 1,
  maxPacingRate: -1,
  notSentLowat: 0,
}

/** Word in the TCB, smallest and largest value. */
const RANGE: Record<TcpOption, readonly [number, number, number]> = {
  noDelay: [L.NODELAY, 0, 1],
  cork: [L.CORK, 0, 1],
  keepAlive: [L.KEEPALIVE, 0, 1],
  reuse: [L.REUSE, 0, 1],
  share: [L.SHARE, 0, 1],
  quickAck: [L.QUICKACK, 0, 1],
  oobInline: [L.OOB_INLINE, 0, 1],
  fastOpenConnect: [L.FAST_OPEN_CONNECT, 0, 1],
  fastOpenNoCookie: [L.FAST_OPEN_NO_COOKIE, 0, 1],
  deferAccept: [L.DEFER_ACCEPT, 0, 0x7fffffff],
  fastOpen: [L.FAST_OPEN, 0, 0x7fffffff],
  keepIdle: [L.KEEPIDLE, 1, 32767],
  keepIntvl: [L.KEEPINTVL, 1, 32767],
  keepCnt: [L.KEEPCNT, 1, 127],
  synCnt: [L.SYN_RETRIES, 1, 255],
  linger2: [L.LINGER2, -1, 120],
  userTimeout: [L.USER_TIMEOUT, 0, 0x7fffffff],
  maxSeg: [L.MAXSEG, 0, 32767],
  windowClamp: [L.WINDOW_CLAMP, 0, 0x7fffffff],
  congestion: [L.CONGESTION, 0, CONGESTION_LAST],
  initCwnd: [L.INIT_CWND, 1, 1000],
  rtoMin: [L.RTO_MIN, 1, 120_000],
  ecn: [L.ECN_MODE, 0, 2],
  tos: [L.TOS, 0, 0xfc],
  ttl: [L.TTL, 1, 255],
  trafficClass: [L.TCLASS, 0, 0xfc],
  hops: [L.HOPS, 0, 255],
  pacing: [L.PACING, 0, 1],
  maxPacingRate: [L.MAX_PACING_RATE, -1, 0x7fffffff],
  notSentLowat: [L.NOTSENT_LOWAT, -0x80000000, 0x7fffffff],
}

/** TCP_MIN_MSS: what TCP_MAXSEG may be, and what we believe of a peer's option, at least. */
export const MIN_MSS = 88

export const optionNames = Object.keys(RANGE) as TcpOption[]

/** 0, or -EINVAL if setsockopt() would say so. */
export function checkOption(name: TcpOption, value: number): number {
  const [, min, max] = RANGE[name]
  if (name === 'maxSeg' && value !== 0 && value < MIN_MSS) return -EINVAL
  return value >= min && value <= max ? 0 : -EINVAL
}

/** TCP_DEFER_ACCEPT's seconds as timeouts of a SYN-ACK: RTO 1 s, doubled each time up to 120 s (Linux counts so). */
export function deferTimeouts(seconds: number): number {
  if (seconds <= 0) return 0
  let n = 1
  for (let rto = 1, period = 1; seconds > period && n < 255; n++) {
    rto = Math.min(2 * rto, 120)
    period += rto
  }
  return n
}

/** The seconds that so many timeouts take: what getsockopt() shows. */
export function deferSeconds(timeouts: number): number {
  let period = 0
  for (let rto = 1, n = timeouts; n > 0; n--) {
    period += rto
    rto = Math.min(2 * rto, 120)
  }
  return period
}

/** Where a setting lies in a TCB. */
export const optionWord = (name: TcpOption): number => RANGE[name][0]
