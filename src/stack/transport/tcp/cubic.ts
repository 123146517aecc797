// CUBIC (RFC 9438). After a reduction cwnd grows back along a cubic function of time, not of round trips: fast while it is
// far below W_max, where it was when the path was last full, slowly around it (the plateau), ever faster beyond it, to
// look for more. Where Reno would have more by now (short round trips, small windows), it grows as Reno does.
//
// The RFC counts segments and seconds; the record has bytes and ms, and the functions here convert at the door. What an
// acknowledgment of many segments gives is what it would have given in pieces, to first order: growth is by bytes.
//
// t counts from the beginning of congestion avoidance (epoch), without the times in which cwnd was not in use (section
// 4.2): growTime is when cwnd last grew, or was last found to be more than was needed.
import { type Algorithm, CWND_MAX } from './algorithm.ts'
import { CUBIC, CUBIC_PRIOR, CUBIC_TIMES } from './layout.ts'
import type { Snd } from './snd.ts'

/** Sections 4.1.2 and 4.6. */
export const C = 0.4
export const BETA = 0.7
/** Section 4.3: Reno's additive increase that makes the same average with BETA. */
export const ALPHA = (3 * (1 - BETA)) / (1 + BETA)

/** W_cubic(t) (figure 1): segments and seconds. */
export const wCubic = (t: number, k: number, wMax: number): number =>
  C * (t - k) * (t - k) * (t - k) + wMax

/** K (figure 2): when W_cubic reaches W_max, having begun at cwnd. */
export const timeToPlateau = (wMax: number, cwnd: number): number =>
  wMax <= cwnd ? 0 : Math.cbrt((wMax - cwnd) / C)

export const cubic: Algorithm = {
  name: 'cubic',
  start: ({ snd }) => {
    snd.times.fill(0, snd.at64 + CUBIC, snd.at64 + CUBIC + CUBIC_TIMES)
    snd.fraction = 0
  },

  avoid: ({ snd }, acked, mss, now) => {
    if (snd.epoch === 0) beginEpoch(snd, mss, now)
    snd.growTime = now
    const cwnd = snd.cwnd + snd.fraction
    const share = acked < cwnd ? acked / cwnd : 1
    // Figure 4. Reno would be back at the old cwnd: from there on as fast as Reno.
    snd.wEst += (snd.wEst < snd.cwndPrior ? ALPHA : 1) * mss * share
    const t = (now - snd.epoch) / 1000
    const wMax = snd.wMax / mss
    const grown =
      wCubic(t, snd.k, wMax) * mss < snd.wEst
        ? Math.max(cwnd, snd.wEst)
        : cwnd + (target(t + snd.srtt / 1000, snd.k, wMax, cwnd / mss) * mss - cwnd) * share
    if (grown >= CWND_MAX) return
    snd.cwnd = Math.floor(grown)
    snd.fraction = grown - snd.cwnd
  },

  pause: ({ snd }, now) => {
    if (snd.epoch === 0) return
    snd.epoch += now - snd.growTime
    snd.growTime = now
  },

  reduce: ({ snd }, flight, mss) => {
    const at = snd.at64 + CUBIC
    snd.times.copyWithin(snd.at64 + CUBIC_PRIOR, at, at + CUBIC_TIMES)
    snd.cwndPrior = snd.cwnd
    // Fast convergence (section 4.7): the path was full earlier than last time, so others need room.
    snd.wMax = snd.cwnd < snd.wMax ? (snd.cwnd * (1 + BETA)) / 2 : snd.cwnd
    snd.epoch = 0
    snd.fraction = 0
    return Math.max(Math.floor(flight * BETA), 2 * mss)
  },

  // Section 4.8: the next epoch begins at its plateau.
  timeout: ({ snd }) => {
    snd.wMax = 0
  },

  // Section 4.9.
  undo: ({ snd }) => {
    const at = snd.at64 + CUBIC_PRIOR
    snd.times.copyWithin(snd.at64 + CUBIC, at, at + CUBIC_TIMES)
  },

  isSound: ({ snd }) => {
    for (let i = 0; i < CUBIC_TIMES; i++)
      if (!isQuantity(snd.times[snd.at64 + CUBIC + i])) return false
    return isQuantity(snd.growTime) && snd.fraction >= 0 && snd.fraction < 1
  },
}

const isQuantity = (x: number): boolean => x >= 0 && x < Infinity

/** Congestion avoidance begins below W_max, or (slow start ended without a loss, or it was a timeout) at the plateau. */
function beginEpoch(snd: Snd, mss: number, now: number): void {
  snd.epoch = now
  snd.k = timeToPlateau(snd.wMax / mss, snd.cwnd / mss)
  if (snd.wMax < snd.cwnd) snd.wMax = snd.cwnd
  snd.wEst = snd.cwnd
}

/** Where cwnd should be a round trip from now (section 4.2), segments. */
function target(t: number, k: number, wMax: number, cwnd: number): number {
  const w = wCubic(t, k, wMax)
  if (w < cwnd) return cwnd
  return w > 1.5 * cwnd ? 1.5 * cwnd : w
}
