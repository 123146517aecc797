// Memory for rings: a buddy allocator over the region's chunk area. What is allocated is known only here, in the
// server's private memory; the region itself holds no list that a program could damage.
//
// A chunk's pages come into being when they are first written. They are given back by trim(), not by free(): a
// connection that follows finds warm memory, and an idle stack holds none.
import { ABI_CHUNKS_OFFSET, ABI_REGION_SIZE } from './layout.ts'

/** Smallest and largest chunk: 4 KB and 8 MB, as powers of two. */
export const CHUNK_MIN_LOG2 = 12
export const CHUNK_MAX_LOG2 = 23

const FREE = 0x80
const PAGES = ABI_REGION_SIZE / 4096

export class Chunks {
  /** For a page that begins a block: its log2 size, with FREE if it is free. Else 0. */
  readonly #blocks = new Uint8Array(PAGES)
  /** Free blocks of a size, a doubly linked list of page numbers; 0 ends it (page 0 is never a chunk's). */
  readonly #heads = new Int32Array(CHUNK_MAX_LOG2 + 1)
  readonly #next = new Int32Array(PAGES)
  readonly #prev = new Int32Array(PAGES)
  /** Freed since the last trim, each once: offset + log2. */
  readonly #dirty = new Set<number>()
  #used = 0

  constructor() {
    const top = 2 ** CHUNK_MAX_LOG2
    for (let offset = ABI_REGION_SIZE - top; offset >= ABI_CHUNKS_OFFSET; offset -= top)
      this.#release(offset, CHUNK_MAX_LOG2)
  }

  /** Bytes allocated now. */
  get used(): number {
    return this.#used
  }

  /** A chunk of 2^log2 bytes: its region offset, or -1 when there is no room. */
  alloc(log2: number): number {
    let k = log2
    while (this.#heads[k] === 0) if (++k > CHUNK_MAX_LOG2) return -1
    const offset = this.#heads[k] * 4096
    this.#unlink(offset, k)
    while (k > log2) this.#release(offset + 2 ** --k, k)
    this.#blocks[offset / 4096] = log2
    this.#used += 2 ** log2
    return offset
  }

  /** Marks a chunk as allocated that was so before the stack thread was replaced. False if it is not free. */
  claim(offset: number, log2: number): boolean {
    let k = log2
    let start = offset
    while (k <= CHUNK_MAX_LOG2 && this.#blocks[start / 4096] !== (k | FREE))
      start = offset - (offset % 2 ** ++k)
    if (k > CHUNK_MAX_LOG2) return false
    this.#unlink(start, k)
    while (k > log2) {
      const half = 2 ** --k
      if (offset >= start + half) {
        this.#release(start, k)
        start += half
      } else this.#release(start + half, k)
    }
    this.#blocks[offset / 4096] = log2
    this.#used += 2 ** log2
    return true
  }

  free(offset: number): void {
    let k = this.#blocks[offset / 4096]
    if (k === 0 || (k & FREE) !== 0) throw new Error(`chunk ${offset} is not allocated`)
    this.#used -= 2 ** k
    this.#blocks[offset / 4096] = 0
    this.#dirty.add(offset + k)
    for (; k < CHUNK_MAX_LOG2; k++) {
      const buddy = buddyOf(offset, k)
      if (this.#blocks[buddy / 4096] !== (k | FREE)) break
      this.#unlink(buddy, k)
      offset = Math.min(offset, buddy)
    }
    this.#release(offset, k)
  }

  /** Calls `punch(offset, size)` for what was freed since the last trim and is free still. */
  trim(punch: (offset: number, size: number) => void): void {
    for (const chunk of this.#dirty) {
      const log2 = chunk % 4096
      if (this.#isFree(chunk - log2, log2)) punch(chunk - log2, 2 ** log2)
    }
    this.#dirty.clear()
  }

  /** Lies the whole block within a free one? */
  #isFree(offset: number, log2: number): boolean {
    for (let k = log2; k <= CHUNK_MAX_LOG2; k++)
      if (this.#blocks[(offset - (offset % 2 ** k)) / 4096] === (k | FREE)) return true
    return false
  }

  #release(offset: number, k: number): void {
    const page = offset / 4096
    const first = this.#heads[k]
    this.#blocks[page] = k | FREE
    this.#next[page] = first
    this.#prev[page] = 0
    if (first !== 0) this.#prev[first] = page
    this.#heads[k] = page
  }

  #unlink(offset: number, k: number): void {
    const page = offset / 4096
    const next = this.#next[page]
    const prev = this.#prev[page]
    this.#blocks[page] = 0
    if (next !== 0) this.#prev[next] = prev
    if (prev !== 0) this.#next[prev] = next
    else this.#heads[k] = next
  }
}

/** Blocks are aligned to their size, counted from the region's start. */
const buddyOf = (offset: number, k: number) =>
  (offset / 2 ** k) % 2 === 0 ? offset + 2 ** k : offset - 2 ** k
