// struct tcp_info (linux/tcp.h), as getsockopt(TCP_INFO) fills it: native byte order, here little-endian.
import { BUFFER, busyFor, NETWORK, WINDOW } from './busy.ts'
import { E_ECHOES, E_REDUCED, E_SEEN, E_SENDS } from './ecn-bits.ts'
import { effectiveMss, pathMss } from './emit.ts'
import { againLength } from './flight.ts'
import { diff } from './seq.ts'
import { pacingRate } from './pacing.ts'
import { RATE_SHORT } from './rate.ts'
import {
  F_SACK,
  F_SCALING,
  F_SYN_DATA,
  F_TIMESTAMPS,
  R_FAST,
  R_LOSS,
  type State,
  type Tcb,
} from './tcb.ts'
import { unsent } from './calls.ts'

export const TCP_INFO_LENGTH = 248
/** In byte 7. */
const TCPI_RATE_APP_LIMITED = 1
const TCPI_OPT_TIMESTAMPS = 1
const TCPI_OPT_SACK = 2
const TCPI_OPT_WSCALE = 4
const TCPI_OPT_ECN = 8
const TCPI_OPT_ECN_SEEN = 16
const TCPI_OPT_SYN_DATA = 32
const CA_OPEN = 0
const CA_DISORDER = 1
const CA_CWR = 2
const CA_RECOVERY = 3
const CA_LOSS = 4
const LISTEN = 10
const CLOSE = 7

/** enum in linux/tcp_states.h */
const NUMBER: Record<State, number> = {
  FREE: CLOSE,
  CLOSED: CLOSE,
  'SYN-SENT': 2,
  'SYN-RECEIVED': 3,
  ESTABLISHED: 1,
  'FIN-WAIT-1': 4,
  'FIN-WAIT-2': 5,
  'TIME-WAIT': 6,
  'CLOSE-WAIT': 8,
  'LAST-ACK': 9,
  CLOSING: 11,
}

/** As sock_diag(7) tells it. */
export const stateNumber = (tcb: Tcb): number => NUMBER[tcb.state]

const scratch = new Uint8Array(TCP_INFO_LENGTH)
const view = new DataView(scratch.buffer)

/** Writes as much as fits; gives the structure's length, or that of `out` if it is shorter. */
export function writeInfo(
  tcb: Tcb | undefined,
  listening: boolean,
  out: Uint8Array,
  now: number,
): number {
  scratch.fill(0)
  const live =
    tcb !== undefined && tcb.state !== 'FREE' && tcb.state !== 'CLOSED' && tcb.path !== undefined
  // In TIME-WAIT Linux has no socket, and the program's is closed.
  const state = live && tcb.state !== 'TIME-WAIT' ? NUMBER[tcb.state] : CLOSE
  scratch[0] = listening && !live ? LISTEN : state
  if (live) fill(tcb, now)
  const n = Math.min(out.length, TCP_INFO_LENGTH)
  for (let i = 0; i < n; i++) out[i] = scratch[i]
  return n
}

function fill(tcb: Tcb, now: number): void {
  const { snd, rcv } = tcb
  const mss = effectiveMss(tcb)
  const u8 = (at: number, n: number) => view.setUint8(at, n)
  const u32 = (at: number, n: number) =>
    view.setUint32(at, Math.min(0xffffffff, Math.max(0, Math.round(n))), true)
  const u64 = (at: number, n: number) =>
    view.setBigInt64(at, n === Infinity ? -1n : BigInt(Math.max(0, Math.round(n))), true)
  const segments = (bytes: number) => Math.ceil(Math.max(0, bytes) / mss)
  // A part of a segment more does not let one more go.
  const whole = (bytes: number) => Math.max(1, Math.floor(bytes / mss))
  const since = (when: number) => (when === 0 ? 0 : now - when)
  const us = (ms: number) => ms * 1000

  u8(1, congestionState(tcb))
  u8(2, snd.retries)
  u8(3, snd.probes)
  u8(4, snd.backoff)
  u8(5, options(tcb))
  u8(6, snd.windShift | (rcv.windShift << 4))
  scratch[7] |= (snd.rateState & RATE_SHORT) !== 0 ? TCPI_RATE_APP_LIMITED : 0
  u32(8, us(snd.rto))
  u32(12, us(40))
  u32(16, mss)
  u32(20, rcv.mss)
  u32(24, segments(diff(snd.max, snd.una)))
  u32(28, segments(snd.sacked))
  u32(32, segments(snd.lost))
  u32(36, segments(againLength(tcb)))
  u32(44, since(snd.lastSent))
  u32(52, since(rcv.lastText))
  u32(56, since(tcb.lastHeard))
  u32(60, snd.pmtu > 0 ? Math.min(snd.pmtu, tcb.path!.mtu) : tcb.path!.mtu)
  u32(64, Math.max(0, diff(rcv.edge, rcv.nxt)))
  u32(68, us(snd.srtt))
  u32(72, us(snd.rttvar))
  u32(76, snd.ssthresh >= 1 << 30 ? 0x7fffffff : whole(snd.ssthresh))
  u32(80, whole(snd.cwnd))
  u32(84, pathMss(tcb))
  u32(88, snd.reordering)
  u32(92, us(rcv.rtt))
  u32(96, rcv.space || rcv.mss * 10)
  u32(100, snd.totalRetrans)
  u64(104, 1000 * pacingRate(tcb))
  view.setBigInt64(112, BigInt(tcb.maxPacingRate > 0 ? tcb.maxPacingRate : -1), true)
  u64(120, snd.bytesAcked)
  u64(128, rcv.bytesReceived)
  u32(136, tcb.segsOut)
  u32(140, tcb.segsIn)
  u32(144, unsent(tcb))
  u32(148, us(snd.minRtt))
  u32(152, tcb.dataSegsIn)
  u32(156, tcb.dataSegsOut)
  u64(160, 1000 * snd.deliveryRate)
  const waited = (what: number) => us(busyFor(tcb, what, now))
  u64(168, waited(NETWORK) + waited(WINDOW) + waited(BUFFER))
  u64(176, waited(WINDOW))
  u64(184, waited(BUFFER))
  u32(192, segments(snd.delivered))
  u32(196, snd.deliveredCe)
  u64(200, snd.bytesSent)
  u64(208, snd.bytesRetrans)
  u32(216, snd.dsackDups)
  u32(220, snd.reordSeen)
  u32(224, rcv.outOfOrder)
  u32(228, snd.wnd)
  u32(232, Math.max(0, diff(rcv.edge, rcv.nxt)))
  view.setUint16(240, Math.min(65535, snd.totalRto), true)
}

function congestionState(tcb: Tcb): number {
  if (tcb.snd.recovery === R_LOSS) return CA_LOSS
  if (tcb.snd.recovery === R_FAST) return CA_RECOVERY
  if ((tcb.ecn & E_REDUCED) !== 0) return CA_CWR
  return tcb.snd.sacked > 0 || tcb.snd.dupAcks > 0 ? CA_DISORDER : CA_OPEN
}

const options = (tcb: Tcb): number =>
  ((tcb.ecn & (E_SENDS | E_ECHOES)) !== 0 ? TCPI_OPT_ECN : 0) |
  ((tcb.ecn & E_SEEN) !== 0 ? TCPI_OPT_ECN_SEEN : 0) |
  (tcb.has(F_TIMESTAMPS) ? TCPI_OPT_TIMESTAMPS : 0) |
  (tcb.has(F_SACK) ? TCPI_OPT_SACK : 0) |
  (tcb.has(F_SCALING) ? TCPI_OPT_WSCALE : 0) |
  (tcb.has(F_SYN_DATA) ? TCPI_OPT_SYN_DATA : 0)
