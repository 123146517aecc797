// Congestion control: how much may be in the network. Here is what all algorithms share: initial window (RFC 6928), slow
// start (RFC 5681), validation of a cwnd that is not used (RFC 7661, as Linux does it). How cwnd grows past ssthresh, and
// how far it falls, is an algorithm's, which the record names by number. Recovery from loss is recovery.ts's.
// Bytes acknowledged count, not acknowledgments (RFC 3465), so neither splitting an acknowledgment nor merging many
// changes what the peer is given.
import { type Algorithm, CWND_MAX } from './algorithm.ts'
import { cubic } from './cubic.ts'
import { E_CWR_DUE, E_REDUCED, E_SENDS } from './ecn-bits.ts'
import { slowStartEnds, slowStartGrowth, startHystart } from './hystart.ts'
import { newReno } from './newreno.ts'
import { before, diff } from './seq.ts'
import type { Snd } from './snd.ts'
import { F_CWND_HELD, F_CWND_LIMITED, R_NONE, type Tcb } from './tcb.ts'

/** By the number in the record. */
const ALGORITHMS: readonly Algorithm[] = [cubic, newReno]

/** The number of an algorithm; -1: there is none of this name. */
export const congestionNamed = (name: string): number => ALGORITHMS.findIndex(a => a.name === name)
export const congestionName = (n: number): string => ALGORITHMS[n].name

const algorithm = (tcb: Tcb): Algorithm => ALGORITHMS[tcb.snd.congestion]

/** IW (RFC 6928) of so many segments. */
export const initialWindow = (segments: number, mss: number): number =>
  Math.min(segments * mss, Math.max(2 * mss, segments * 1460))

/** A connection begins. */
export function startCongestion(tcb: Tcb, mss: number): void {
  const { snd } = tcb
  // RFC 5681 section 3.1: a lost SYN makes it one segment.
  snd.cwnd = snd.retries > 0 ? mss : initialWindow(snd.initCwnd, mss)
  snd.ssthresh = CWND_MAX
  snd.usageSeq = snd.una
  startHystart(snd)
  algorithm(tcb).start(tcb)
}

/** The record has another algorithm's number now. */
export function changeAlgorithm(tcb: Tcb): void {
  tcb.snd.priorCwnd = 0
  algorithm(tcb).start(tcb)
}

/** The thread has changed: what cannot be begins anew, and no reduction is undone any more. */
export function checkCongestion(tcb: Tcb): void {
  const { snd } = tcb
  snd.priorCwnd = 0
  if (snd.cwnd <= 0 || snd.cwnd > CWND_MAX) snd.cwnd = initialWindow(snd.initCwnd, 536)
  if (snd.ssthresh <= 0 || snd.ssthresh > CWND_MAX) snd.ssthresh = snd.cwnd
  snd.usageSeq = snd.max
  snd.usedAt = Math.max(snd.usedAt, 0) || 0
  startHystart(snd)
  if (!algorithm(tcb).isSound(tcb)) algorithm(tcb).start(tcb)
}

/** `acked` bytes are newly acknowledged, and not in fast recovery. */
export function growCwnd(tcb: Tcb, acked: number, mss: number, now: number): void {
  const { snd } = tcb
  // RFC 3168 section 6.1.2: an acknowledgment with ECE does not make cwnd larger.
  if ((tcb.ecn & E_REDUCED) !== 0) return
  if (snd.ssthresh === CWND_MAX && slowStartEnds(snd, acked, mss)) snd.ssthresh = snd.cwnd
  if (!isCwndLimited(tcb)) return algorithm(tcb).pause(tcb, now)
  if (snd.cwnd < snd.ssthresh) {
    // An acknowledgment of much may lead out of slow start: the rest of it counts as in congestion avoidance.
    const most = Math.min(acked, snd.ssthresh - snd.cwnd)
    snd.cwnd += snd.ssthresh === CWND_MAX ? slowStartGrowth(snd, most) : most
    acked -= most
    if (acked === 0) return
  }
  algorithm(tcb).avoid(tcb, acked, mss, now)
}

/** Congestion was noticed, once for each window of text: ssthresh, and what there was before in case it was not so. */
export function reduceSsthresh(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  if ((tcb.ecn & E_SENDS) !== 0) tcb.ecn |= E_CWR_DUE
  // An ECE told us before, in this window.
  if ((tcb.ecn & E_REDUCED) !== 0) return
  snd.priorCwnd = snd.cwnd
  snd.priorSsthresh = snd.ssthresh
  snd.ssthresh = algorithm(tcb).reduce(tcb, flightSize(snd), mss, now)
}

/** FlightSize. What limited transmit lets go beyond cwnd is not counted (RFC 5681 section 3.2, step 2). */
const flightSize = (snd: Snd): number => Math.min(diff(snd.max, snd.una), snd.cwnd)

/** The peer says that a router found its queue long (RFC 3168): as for a loss, but nothing is lost. */
export function reduceOnEcho(tcb: Tcb, mss: number, now: number): void {
  const { snd } = tcb
  snd.ssthresh = algorithm(tcb).reduce(tcb, flightSize(snd), mss, now)
  snd.cwnd = Math.min(snd.cwnd, snd.ssthresh)
}

/** A retransmission timeout: everything on its way is taken as lost (RFC 5681 section 3.1). */
export function collapseCwnd(tcb: Tcb, mss: number): void {
  tcb.snd.cwnd = mss
  algorithm(tcb).timeout(tcb)
}

/** What led to reduceSsthresh() was no congestion: as if it had not been. */
export function undoReduction(tcb: Tcb): void {
  const { snd } = tcb
  if (snd.priorCwnd === 0) return
  snd.cwnd = Math.max(snd.cwnd, snd.priorCwnd)
  snd.ssthresh = Math.max(snd.ssthresh, snd.priorSsthresh)
  snd.priorCwnd = 0
  tcb.ecn &= ~E_CWR_DUE
  algorithm(tcb).undo(tcb)
}

/**
 * Something is sent and nothing was on its way. After an RTO of that, what was learned of the path is old: cwnd is halved
 * for each that went by, down to the initial window (RFC 5681 section 4.1; RFC 2861 and Linux for how fast).
 */
export function afterIdle(tcb: Tcb, mss: number, now: number, restart: boolean): void {
  const { snd } = tcb
  algorithm(tcb).pause(tcb, now)
  const idle = now - Math.max(snd.lastSent, snd.usedAt)
  const least = Math.min(snd.cwnd, initialWindow(snd.initCwnd, mss))
  if (!restart || idle <= snd.rto || snd.cwnd === least) return
  snd.ssthresh = rememberedSsthresh(snd)
  const halvings = Math.min(31, Math.floor(idle / snd.rto))
  snd.cwnd = Math.max(least, snd.cwnd >>> halvings)
  snd.usedAt = now
  snd.cwndUsed = 0
}

/**
 * Text was sent. Was cwnd the limit in this round (F_CWND_LIMITED), and if it has not been for an RTO, how much of it was
 * in use? It falls towards that, since the rest has not been tried for so long.
 */
export function validateCwnd(tcb: Tcb, mss: number, now: number, restart: boolean): void {
  const { snd } = tcb
  const held = tcb.has(F_CWND_HELD)
  const flight = diff(snd.max, snd.una)
  if (
    held ||
    !before(snd.una, snd.usageSeq) ||
    (!tcb.has(F_CWND_LIMITED) && flight > snd.maxFlight)
  ) {
    if (held) tcb.mark(F_CWND_LIMITED)
    else tcb.unmark(F_CWND_LIMITED)
    snd.maxFlight = flight
    snd.usageSeq = snd.max
  }
  if (isCwndLimited(tcb)) {
    snd.cwndUsed = 0
    snd.usedAt = now
    return
  }
  if (flight > snd.cwndUsed) snd.cwndUsed = flight
  if (!restart || now - snd.usedAt < snd.rto) return
  const used = Math.max(snd.cwndUsed, initialWindow(snd.initCwnd, mss))
  if (snd.recovery === R_NONE && used < snd.cwnd) {
    snd.ssthresh = rememberedSsthresh(snd)
    snd.cwnd = (snd.cwnd + used) >>> 1
  }
  snd.cwndUsed = 0
  snd.usedAt = now
}

/** In slow start half of cwnd is enough: the other half is what the last round added. */
function isCwndLimited(tcb: Tcb): boolean {
  const { snd } = tcb
  if (tcb.has(F_CWND_LIMITED)) return true
  return snd.cwnd < snd.ssthresh && snd.cwnd < 2 * snd.maxFlight
}

/** Slow start leads back to near where cwnd was. */
const rememberedSsthresh = (snd: Tcb['snd']): number =>
  Math.max(snd.ssthresh, (snd.cwnd >>> 1) + (snd.cwnd >>> 2))
