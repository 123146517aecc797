// Text held for later: a list of sequence ranges in a TCB, a count, then pairs of start and end (exclusive), the latest
// first (as RFC 2018 section 4 wants it reported). Bounded by RANGES, so that every walk is.
import { RANGES } from './layout.ts'
import { type Seq, after, before } from './seq.ts'

export const count = (words: Int32Array, list: number): number => words[list]
export const start = (words: Int32Array, list: number, i: number): Seq =>
  words[list + 1 + 2 * i] as Seq
export const end = (words: Int32Array, list: number, i: number): Seq =>
  words[list + 2 + 2 * i] as Seq

/** Reading does not make a page of memory real, writing does: most lists were never used. */
export function clear(words: Int32Array, list: number): void {
  if (words[list] !== 0) words[list] = 0
}

/** Takes away everything before `from`. */
export function trim(words: Int32Array, list: number, from: Seq): void {
  const n = words[list]
  let kept = 0
  for (let i = 0; i < n; i++) {
    const e = end(words, list, i)
    if (!after(e, from)) continue
    const s = start(words, list, i)
    put(words, list, kept++, before(s, from) ? from : s, e)
  }
  words[list] = kept
}

/** Adds [from, to), joined with what it touches, at the front. False: there is no place for it. */
export function addFront(words: Int32Array, list: number, from: Seq, to: Seq): boolean {
  const n = words[list]
  let kept = 0
  // What touches the new range goes into it, the rest moves up; ranges that grow may come to touch no others, since
  // ranges of the list never touch each other.
  for (let i = 0; i < n; i++) {
    const s = start(words, list, i)
    const e = end(words, list, i)
    if (after(s, to) || before(e, from)) {
      put(words, list, kept++, s, e)
      continue
    }
    if (before(s, from)) from = s
    if (after(e, to)) to = e
  }
  if (kept === RANGES) return false
  open(words, list, 0, kept)
  put(words, list, 0, from, to)
  words[list] = kept + 1
  return true
}

/** Are the ranges within [low, high], none of them empty, and apart from each other? */
export function valid(words: Int32Array, list: number, low: Seq, high: Seq): boolean {
  const n = words[list]
  if (n < 0 || n > RANGES) return false
  for (let i = 0; i < n; i++) {
    const s = start(words, list, i)
    const e = end(words, list, i)
    if (before(s, low) || after(e, high) || !before(s, e)) return false
    for (let k = 0; k < i; k++)
      if (!after(start(words, list, k), e) && !before(end(words, list, k), s)) return false
  }
  return true
}

function put(words: Int32Array, list: number, i: number, from: Seq, to: Seq): void {
  words[list + 1 + 2 * i] = from
  words[list + 2 + 2 * i] = to
}

/** Makes place `i` free in a list of n. */
function open(words: Int32Array, list: number, i: number, n: number): void {
  words.copyWithin(list + 3 + 2 * i, list + 1 + 2 * i, list + 1 + 2 * n)
}
