// Path MTU without ICMP (RFC 4821), as Linux's tcp_mtu_probing = 1: only where a black hole shows itself, by full
// segments that time out again and again. Then segments become small, and from there larger ones are tried, one at a
// time, each with text behind it that tells whether it came through. That one is lost says nothing of congestion.
//
//   low    datagrams of this size get through, we think: segments are no larger; 0: nothing is wrong
//   high   larger ones do not, or cannot be
//   probe  the size of the one under way; 0: none
import { ACK, TCP_HEADER_LENGTH } from '../../../wire/tcp.ts'
import { TIMESTAMP_OPTION_LENGTH } from '../../../wire/tcp-options.ts'
import { noteNew } from './account.ts'
import { effectiveMss, emit, pathMss } from './emit.ts'
import * as flight from './flight.ts'
import { repairOnly } from './recovery.ts'
import { type Seq, add, after, before, diff } from './seq.ts'
import { F_TIMESTAMPS, F_URGENT, R_NONE, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'

/** Timeouts of one segment that are more than bad luck: tcp_retries1. */
const TIMEOUTS = 3
/** tcp_base_mss, and below what nothing goes: tcp_min_snd_mss is less, but who has less than these has no such path. */
const BASE_MSS = 1024
const FLOOR_V4 = 552
const FLOOR_V6 = 1280
/** A search is over when less than this is unknown, bytes, and begins anew after so long, ms: Linux's. */
const THRESHOLD = 8
const INTERVAL = 600_000
/** A probe needs a cwnd of so many segments, and so many segments of text behind it. */
const PROBE_CWND = 11
const BEHIND = 4

/** The retransmission timer expired. */
export function suspectBlackHole(tcp: Tcp, tcb: Tcb, now: number): void {
  const { snd } = tcb
  if (snd.mtuProbe !== 0) probeFailed(tcb)
  if (snd.retries < TIMEOUTS || tcp.tuning.mtuProbing === 0) return
  const headers = headersOf(tcb)
  const size = headers + effectiveMss(tcb)
  // Who takes no more than that anyway gets it.
  const smaller = headers + (snd.mtuLow !== 0 ? effectiveMss(tcb) >>> 1 : BASE_MSS)
  const low = Math.max(smaller, tcb.path!.headerLength === 20 ? FLOOR_V4 : FLOOR_V6)
  // Not what timed out, if that was no larger.
  if (low >= size || diff(snd.max, snd.una) <= low - headers) return
  snd.mtuLow = low
  snd.mtuHigh = largest(tcb)
  snd.mtuProbeAt = now
  tcp.counters.mtuBlackHoles++
}

/**
 * Sends a larger segment than we know to get through, if it is time. 'wait': nothing else is to go before it, for which
 * cwnd has no room yet; 'full': the link has none.
 */
export function probeMtu(
  tcp: Tcp,
  tcb: Tcb,
  length: number,
  mss: number,
  now: number,
): 'done' | 'wait' | 'full' {
  const { snd } = tcb
  if (snd.mtuProbe !== 0 || now < snd.mtuProbeAt || snd.recovery !== R_NONE || snd.sacked > 0)
    return 'done'
  const size = nextSize(tcb, now)
  if (size === 0) return 'done'
  const n = size - headersOf(tcb)
  const needed = n + BEHIND * mss
  const offset = diff(snd.nxt, snd.una)
  if (length - offset < needed || snd.wnd - offset < needed || tcb.has(F_URGENT)) return 'done'
  if (snd.cwnd < PROBE_CWND * mss) return 'done'
  if (flight.pipe(tcb) + n > snd.cwnd) return 'wait'
  if (!emit(tcp, tcb, snd.nxt, ACK, n, n, now)) return 'full'
  snd.mtuProbe = size
  snd.mtuProbeSeq = snd.nxt
  tcp.counters.mtuProbes++
  noteNew(tcp, tcb, n, false, n, now)
  return 'done'
}

/** SND.UNA has moved: past the probe? Then it came through. */
export function probeArrived(tcb: Tcb, now: number): void {
  const { snd } = tcb
  if (before(snd.una, add(snd.mtuProbeSeq, snd.mtuProbe - headersOf(tcb)))) return
  snd.mtuLow = snd.mtuProbe
  snd.mtuProbe = 0
  if (snd.mtuLow >= largest(tcb)) snd.mtuLow = 0
  else snd.mtuProbeAt = now
}

/** Text was found lost. True: it is the probe, and nothing else: it is sent again in smaller segments, and that is all. */
export function onlyProbeLost(tcb: Tcb): boolean {
  const { snd } = tcb
  const n = snd.mtuProbe - headersOf(tcb)
  if (snd.recovery !== R_NONE || snd.una !== snd.mtuProbeSeq || snd.lost > n) return false
  probeFailed(tcb)
  flight.markFrontLost(tcb, n)
  repairOnly(tcb)
  return true
}

/** Text from `from` on goes again. If it is the probe's, that has failed. */
export function probeResent(tcb: Tcb, from: Seq, n: number): void {
  const end = add(tcb.snd.mtuProbeSeq, tcb.snd.mtuProbe - headersOf(tcb))
  if (before(from, end) && after(add(from, n), tcb.snd.mtuProbeSeq)) probeFailed(tcb)
}

function probeFailed(tcb: Tcb): void {
  tcb.snd.mtuHigh = tcb.snd.mtuProbe - 1
  tcb.snd.mtuProbe = 0
}

/**
 * What to try: first the largest that may be, for mostly it was no black hole but a link that was down; then half-way
 * between what gets through and what does not. 0: nothing now.
 */
function nextSize(tcb: Tcb, now: number): number {
  const { snd } = tcb
  const most = largest(tcb)
  if (snd.mtuLow >= most) {
    snd.mtuLow = 0
    return 0
  }
  if (snd.mtuHigh >= most) return most
  const size = (snd.mtuLow + snd.mtuHigh + 1) >>> 1
  if (snd.mtuHigh - snd.mtuLow >= THRESHOLD) return size
  snd.mtuHigh = most
  snd.mtuProbeAt = now + INTERVAL
  return 0
}

/** The largest datagram that the peer takes and the path is said to. */
const largest = (tcb: Tcb): number =>
  Math.min(pathMss(tcb), tcb.snd.peerMss) + tcb.path!.headerLength + TCP_HEADER_LENGTH

/** What a datagram holds beside text. */
const headersOf = (tcb: Tcb): number =>
  tcb.path!.headerLength + TCP_HEADER_LENGTH + (tcb.has(F_TIMESTAMPS) ? TIMESTAMP_OPTION_LENGTH : 0)
