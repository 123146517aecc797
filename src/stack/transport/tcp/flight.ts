// What is in the network, as far as we can tell: [SND.UNA, SND.MAX) cut into runs of text that went at the same time and
// has the same fate so far. It is the scoreboard of RFC 6675 and the transmission times of RFC 8985 in one.
//
// A run is where it ends, its state and when it was sent (last, if more than once); it begins where the one before it
// ends, the first at SND.UNA. Text that goes within a 64th of a round trip is one run, with the time of its first byte:
// so a window of any size, in segments of any size, is some 64 runs, and a round trip looks longer by a 64th at most. The runs [RUN_FIRST, RUN_LAST) of a fixed array are in use, so that taking them off the front moves
// nothing; a run is split or joined by moving the shorter side.
//
// A peer decides with its SACK blocks how many runs there are, so the number is bounded and so is every walk. With no
// room left, neighbors of equal state are joined, two by two, under the later time: that is found lost too late rather
// than too early. If this is not enough, a SACK block is not taken, and its text goes again, once too often. The last
// RESERVE runs are not for SACK blocks: text that is sent, new or again, always finds its place.
import * as L from './layout.ts'
import { news } from './news.ts'
import { type Seq, add, after, before, diff } from './seq.ts'
import { R_NONE, type Tcb } from './tcb.ts'

/** The peer holds it. */
export const SACKED = 1
/** It is taken as lost and was not sent again since. */
export const LOST = 2
/** It was sent more than once. */
export const AGAIN = 4

/** Parts of a round trip that are told apart. */
const GRAIN = 64
const RESERVE = 32

export const first = (tcb: Tcb): number => tcb.words[tcb.at + L.RUN_FIRST]
export const last = (tcb: Tcb): number => tcb.words[tcb.at + L.RUN_LAST]
export const end = (tcb: Tcb, i: number): Seq =>
  tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i] as Seq
export const state = (tcb: Tcb, i: number): number =>
  tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i + 1]
export const time = (tcb: Tcb, i: number): number =>
  tcb.times[tcb.at64 + L.RUN_TIMES + (L.RUN_WORDS >> 1) * i]
export const start = (tcb: Tcb, i: number): Seq =>
  i === first(tcb) ? tcb.snd.una : end(tcb, i - 1)

/** Bytes in the network: pipe (RFC 6675 section 4), kept rather than counted. */
export const pipe = (tcb: Tcb): number => {
  const { snd } = tcb
  return diff(snd.max, snd.una) - snd.sacked - snd.lost
}

/** Nothing is in flight. */
export function empty(tcb: Tcb): void {
  const { words, snd } = tcb
  words[tcb.at + L.RUN_FIRST] = 0
  words[tcb.at + L.RUN_LAST] = 0
  snd.sacked = 0
  snd.lost = 0
}

/** New text, up to `to`, has gone. */
export function sent(tcb: Tcb, to: Seq, now: number): void {
  const { words } = tcb
  let n = last(tcb)
  if (n > first(tcb) && state(tcb, n - 1) === 0 && now - time(tcb, n - 1) <= grain(tcb)) {
    words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * (n - 1)] = to
    return
  }
  if (n === L.RUNS) {
    makeRoom(tcb)
    n = last(tcb)
    if (n === L.RUNS) {
      soften(tcb, n - 1)
      put(tcb, n - 1, to, state(tcb, n - 1), now)
      return
    }
  }
  put(tcb, n, to, 0, now)
  words[tcb.at + L.RUN_LAST] = n + 1
}

/** Everything before `una` is acknowledged; SND.UNA has not moved yet. */
export function acknowledge(tcb: Tcb, una: Seq): void {
  const n = last(tcb)
  let i = first(tcb)
  let from = tcb.snd.una
  for (; i < n; i++) {
    const to = end(tcb, i)
    if (after(to, una)) break
    take(tcb, i, from, to)
    from = to
  }
  if (i < n) {
    if (before(from, una)) take(tcb, i, from, una)
    tcb.words[tcb.at + L.RUN_FIRST] = i
  } else {
    tcb.words[tcb.at + L.RUN_FIRST] = 0
    tcb.words[tcb.at + L.RUN_LAST] = 0
  }
}

/** The peer holds [from, to), which lies within (SND.UNA, SND.MAX]. */
export function sack(tcb: Tcb, from: Seq, to: Seq): void {
  const { words, snd } = tcb
  let i = find(tcb, from)
  if ((state(tcb, i) & SACKED) !== 0) {
    from = end(tcb, i)
    if (!after(to, from)) return
    // The most frequent case: more text arrived behind a hole that was reported before.
    if ((state(tcb, i + 1) & SACKED) === 0 && before(to, end(tcb, i + 1))) {
      take(tcb, i + 1, from, to)
      snd.sacked += diff(to, from)
      words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i] = to
      return
    }
  }
  if (last(tcb) - first(tcb) > L.RUNS - RESERVE) {
    squeeze(tcb)
    if (last(tcb) - first(tcb) > L.RUNS - RESERVE) return
  }
  cut(tcb, to)
  cut(tcb, from)
  i = find(tcb, from)
  let k = i
  for (; k < last(tcb) && !after(end(tcb, k), to); k++) {
    if ((state(tcb, k) & SACKED) !== 0) continue
    const begin = start(tcb, k)
    take(tcb, k, begin, end(tcb, k))
    snd.sacked += diff(end(tcb, k), begin)
  }
  if (i > first(tcb) && (state(tcb, i - 1) & SACKED) !== 0) i--
  if (k < last(tcb) && (state(tcb, k) & SACKED) !== 0) k++
  put(tcb, i, end(tcb, k - 1), SACKED, 0)
  takeOut(tcb, i + 1, k)
}

/** Run `i` is taken as lost. */
export function markLost(tcb: Tcb, i: number): void {
  if ((state(tcb, i) & (SACKED | LOST)) !== 0) return
  const n = diff(end(tcb, i), start(tcb, i))
  tcb.snd.lost += n
  news.lost += n
  if ((state(tcb, i) & AGAIN) !== 0) news.lostAgain = true
  tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i + 1] |= LOST
}

/** The first `n` bytes in flight are taken as lost, whatever was thought of them. */
export function markFrontLost(tcb: Tcb, n: number): void {
  const { una, max } = tcb.snd
  if (una === max) return
  const to = add(una, Math.min(n, diff(max, una)))
  cut(tcb, to)
  for (let i = first(tcb); i < last(tcb) && before(start(tcb, i), to); i++) markLost(tcb, i)
}

/** What was taken as lost was not: it is on its way. */
export function unmarkLost(tcb: Tcb): void {
  for (let i = first(tcb); i < last(tcb); i++)
    tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i + 1] &= ~LOST
  tcb.snd.lost = 0
}

/** The peer has thrown away what it said that it holds (RFC 2018 section 8). */
export function forgetSacks(tcb: Tcb): void {
  for (let i = first(tcb); i < last(tcb); i++)
    if ((state(tcb, i) & SACKED) !== 0) put(tcb, i, end(tcb, i), AGAIN, 0)
  tcb.snd.sacked = 0
}

/** The first run at or behind `i` that is to be sent again; -1: there is none. */
export function nextLost(tcb: Tcb, i: number): number {
  for (; i < last(tcb); i++) if ((state(tcb, i) & LOST) !== 0) return i
  return -1
}

/** Bytes in a row that are to be sent again, from run `i` on, at most `most`. */
export function lostLength(tcb: Tcb, i: number, most: number): number {
  const from = start(tcb, i)
  let n = 0
  for (; i < last(tcb) && n < most && (state(tcb, i) & LOST) !== 0; i++) n = diff(end(tcb, i), from)
  return n < most ? n : most
}

/** [from, to), of what is not SACKed, has gone again. */
export function sentAgain(tcb: Tcb, from: Seq, to: Seq, now: number): void {
  cut(tcb, to)
  cut(tcb, from)
  let i = find(tcb, from)
  const joins =
    i > first(tcb) && state(tcb, i - 1) === AGAIN && now - time(tcb, i - 1) <= grain(tcb)
  const begin = i
  for (; i < last(tcb) && before(start(tcb, i), to); i++) soften(tcb, i)
  if (joins) {
    put(tcb, begin - 1, end(tcb, i - 1), AGAIN, time(tcb, begin - 1))
    takeOut(tcb, begin, i)
  } else {
    put(tcb, begin, end(tcb, i - 1), AGAIN, now)
    takeOut(tcb, begin + 1, i)
  }
}

/** Bytes that were sent again and of which nothing has been heard since: retrans_out of Linux. */
export function againLength(tcb: Tcb): number {
  let n = 0
  for (let i = first(tcb); i < last(tcb); i++)
    if (state(tcb, i) === AGAIN) n += diff(end(tcb, i), start(tcb, i))
  return n
}

/** After a change of thread: what is there if it holds together, or one run about which nothing is known. */
export function rebuild(tcb: Tcb, now: number): void {
  const { snd } = tcb
  const i = first(tcb)
  const n = last(tcb)
  let sacked = 0
  let lost = 0
  let sound = i >= 0 && i <= n && n <= L.RUNS && (n > i ? end(tcb, n - 1) : snd.una) === snd.max
  for (let k = i; sound && k < n; k++) {
    const length = diff(end(tcb, k), start(tcb, k))
    const s = state(tcb, k)
    sound = length > 0 && s >= 0 && s <= (LOST | AGAIN) && s !== (SACKED | LOST)
    sound &&= time(tcb, k) <= now
    if ((s & SACKED) !== 0) sacked += length
    else if ((s & LOST) !== 0) lost += length
  }
  if (sound) {
    snd.sacked = sacked
    snd.lost = lost
    return
  }
  empty(tcb)
  if (snd.una !== snd.max) sent(tcb, snd.max, now)
}

/** While text goes again, too, which went first must be known exactly. */
const grain = (tcb: Tcb): number => (tcb.snd.recovery === R_NONE ? tcb.snd.srtt / GRAIN : 0)

/** [from, to) of run `i` has arrived, which was or was not known before. */
function take(tcb: Tcb, i: number, from: Seq, to: Seq): void {
  const { snd } = tcb
  const s = state(tcb, i)
  const n = diff(to, from)
  if ((s & SACKED) !== 0) {
    snd.sacked -= n
    return
  }
  if ((s & LOST) !== 0) snd.lost -= n
  news.arrived(tcb, from, to, time(tcb, i), (s & AGAIN) !== 0)
}

/** Nothing is known of run `i` but that it was sent. */
function soften(tcb: Tcb, i: number): void {
  const { snd, words } = tcb
  const s = state(tcb, i)
  const n = diff(end(tcb, i), start(tcb, i))
  if ((s & SACKED) !== 0) snd.sacked -= n
  if ((s & LOST) !== 0) snd.lost -= n
  words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i + 1] = s & AGAIN
}

function put(tcb: Tcb, i: number, to: Seq, s: number, when: number): void {
  tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i] = to
  tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i + 1] = s
  tcb.times[tcb.at64 + L.RUN_TIMES + (L.RUN_WORDS >> 1) * i] = when
}

/** The run that `at`, within [SND.UNA, SND.MAX), lies in. */
function find(tcb: Tcb, at: Seq): number {
  let low = first(tcb)
  let high = last(tcb) - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (after(end(tcb, middle), at)) high = middle
    else low = middle + 1
  }
  return low
}

/** Makes a run begin at `at`: unless it lies within SACKed text, or there is no room. Moves the runs' numbers. */
function cut(tcb: Tcb, at: Seq): void {
  if (at === tcb.snd.max) return
  const i = find(tcb, at)
  if (start(tcb, i) === at || (state(tcb, i) & SACKED) !== 0) return
  if (last(tcb) - first(tcb) === L.RUNS) return
  const low = first(tcb)
  const high = last(tcb)
  if (high === L.RUNS || (low > 0 && i - low < high - i)) {
    move(tcb, low, i + 1, -1)
    tcb.words[tcb.at + L.RUN_FIRST] = low - 1
    tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * (i - 1)] = at
  } else {
    move(tcb, i, high, 1)
    tcb.words[tcb.at + L.RUN_LAST] = high + 1
    tcb.words[tcb.at + L.RUN_ENDS + L.RUN_WORDS * i] = at
  }
}

/** Takes out the runs [from, to): their text now belongs to the run before, whose end was set so. */
function takeOut(tcb: Tcb, from: number, to: number): void {
  if (from >= to) return
  const low = first(tcb)
  const high = last(tcb)
  if (from - low < high - to) {
    move(tcb, low, from, to - from)
    tcb.words[tcb.at + L.RUN_FIRST] = low + to - from
  } else {
    move(tcb, to, high, from - to)
    tcb.words[tcb.at + L.RUN_LAST] = high + from - to
  }
}

/** Moves the runs [from, to) by `by` places. */
function move(tcb: Tcb, from: number, to: number, by: number): void {
  const runs = tcb.at + 2 * L.RUN_TIMES
  const place = (i: number) => runs + L.RUN_WORDS * i
  tcb.words.copyWithin(place(from + by), place(from), place(to))
}

/** Room behind the last run: the front's, or that of runs which are joined. */
function makeRoom(tcb: Tcb): void {
  if (last(tcb) - first(tcb) > L.RUNS - L.RUNS / 8) squeeze(tcb)
  const low = first(tcb)
  if (low === 0) return
  const n = last(tcb) - low
  move(tcb, low, low + n, -low)
  tcb.words[tcb.at + L.RUN_FIRST] = 0
  tcb.words[tcb.at + L.RUN_LAST] = n
}

/** Joins neighbors of equal state, two by two. */
function squeeze(tcb: Tcb): void {
  const n = last(tcb)
  let kept = first(tcb)
  for (let i = kept; i < n; i++) {
    const pair = i + 1 < n && state(tcb, i) === state(tcb, i + 1)
    const when = pair ? Math.max(time(tcb, i), time(tcb, i + 1)) : time(tcb, i)
    if (pair) i++
    put(tcb, kept++, end(tcb, i), state(tcb, i), when)
  }
  tcb.words[tcb.at + L.RUN_LAST] = kept
}
