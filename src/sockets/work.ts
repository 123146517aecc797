// The work bits: which records have something for the server. Three levels, so that finding one among 16,384 costs
// three swaps; see preload/abi.h for the order in which they are set.
import { ABI_RECORDS, REGION } from '../shm/layout.ts'
import type { Region } from '../shm/region.ts'

const TOP = REGION.work_top / 4
const SUMMARY = REGION.work_summary / 4
const DIRTY = REGION.work_dirty / 4

/** Calls `serve` for each record posted since the last time. Each swap pairs with post_work() in preload/ctl.c. */
export function takeWork(region: Region, serve: (record: number) => void): number {
  const w = region.words
  let taken = 0
  let top = Atomics.load(w, TOP) === 0 ? 0 : Atomics.exchange(w, TOP, 0)
  while (top !== 0) {
    const t = 31 - Math.clz32(top)
    top &= ~(1 << t)
    let summary = Atomics.exchange(w, SUMMARY + t, 0)
    while (summary !== 0) {
      const s = 31 - Math.clz32(summary)
      summary &= ~(1 << s)
      let dirty = Atomics.exchange(w, DIRTY + t * 32 + s, 0)
      while (dirty !== 0) {
        const d = 31 - Math.clz32(dirty)
        dirty &= ~(1 << d)
        serve(((t * 32 + s) << 5) | d)
        taken++
      }
    }
  }
  return taken
}

/** Has anyone posted a call or work? */
export const isPosted = (region: Region) =>
  (Atomics.load(region.words, TOP) | Atomics.load(region.words, REGION.call_top / 4)) !== 0

/** Sets every level for words whose poster may have been killed between two of them. */
export function repairWork(region: Region): void {
  const w = region.words
  for (let i = 0; i < ABI_RECORDS / 32; i++) {
    if (Atomics.load(w, DIRTY + i) === 0) continue
    Atomics.or(w, SUMMARY + (i >> 5), 1 << (i & 31))
    Atomics.or(w, TOP, 1 << (i >> 5))
  }
  for (let i = 0; i < 32; i++)
    if (Atomics.load(w, REGION.call_dirty / 4 + i) !== 0) Atomics.or(w, REGION.call_top / 4, 1 << i)
}
