// Frames that are under way, in the order of the times at which they are due; of two with the same time the one put in first.
// Memory is taken by the megabyte when it is needed and used again; past MOST there is none.

const CHUNK = 1 << 20
const MOST_CHUNKS = 64
const MOST_FRAMES = 1 << 17

interface Chunk {
  readonly bytes: Uint8Array
  used: number
  /** Frames in it. */
  live: number
}

export class FrameStore {
  /** The frame that peek() found. */
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  length = 0
  /** Which row of segments it was cut from (segment-runs.ts), and its place there; 0: none. */
  run = 0
  index = 0
  /** Frames that found no room. */
  overrun = 0
  /** By slot. */
  readonly #due = new Float64Array(MOST_FRAMES)
  readonly #order = new Float64Array(MOST_FRAMES)
  readonly #at = new Int32Array(MOST_FRAMES)
  readonly #length = new Int32Array(MOST_FRAMES)
  readonly #run = new Int32Array(MOST_FRAMES)
  readonly #index = new Int32Array(MOST_FRAMES)
  readonly #chunk: Chunk[] = []
  readonly #freeSlots: number[] = []
  /** A heap of slots. */
  readonly #heap = new Int32Array(MOST_FRAMES)
  #size = 0
  #slots = 0
  #latest = 0
  #count = 0
  #current: Chunk = { bytes: new Uint8Array(0), used: 0, live: 0 }
  readonly #freeChunks: Chunk[] = []
  #chunks = 0

  /** How many are under way. */
  get size(): number {
    return this.#size
  }

  /** When the first is due; Infinity: none is. */
  get next(): number {
    return this.#size === 0 ? Infinity : this.#due[this.#heap[0]]
  }

  /** Copies a frame: its offset in `bytes`, until the next call; -1: no room. */
  put(
    bytes: Uint8Array,
    at: number,
    length: number,
    due: number,
    run: number,
    index: number,
  ): number {
    // Ethernet's 14 bytes end on a word boundary.
    const need = (length + 2 + 15) & ~15
    if (this.#size === MOST_FRAMES || !this.#makeRoom(need)) {
      this.overrun++
      return -1
    }
    const chunk = this.#current
    const slot = this.#freeSlots.pop() ?? this.#slots++
    const offset = chunk.used + 2
    chunk.used += need
    chunk.live++
    this.#due[slot] = due
    this.#order[slot] = this.#count++
    this.#at[slot] = offset
    this.#length[slot] = length
    this.#run[slot] = run
    this.#index[slot] = index
    this.#chunk[slot] = chunk
    chunk.bytes.set(bytes.subarray(at, at + length), offset)
    this.#latest = slot
    this.#rise(this.#size++, slot)
    this.bytes = chunk.bytes
    return offset
  }

  /** The frame put in last is not any more what was cut. */
  disown(): void {
    this.#run[this.#latest] = 0
  }

  /** Is a frame due? Then it stands in `bytes`. */
  peek(now: number): boolean {
    if (this.#size === 0) return false
    const slot = this.#heap[0]
    if (this.#due[slot] > now) return false
    this.bytes = this.#chunk[slot].bytes
    this.at = this.#at[slot]
    this.length = this.#length[slot]
    this.run = this.#run[slot]
    this.index = this.#index[slot]
    return true
  }

  /** Done with the frame that peek() found. */
  release(): void {
    const slot = this.#heap[0]
    const chunk = this.#chunk[slot]
    if (--chunk.live === 0) {
      chunk.used = 0
      if (chunk !== this.#current) this.#freeChunks.push(chunk)
    }
    this.#freeSlots.push(slot)
    const last = this.#heap[--this.#size]
    if (this.#size > 0) this.#sink(0, last)
  }

  #makeRoom(need: number): boolean {
    if (this.#current.used + need <= this.#current.bytes.length) return true
    const free = this.#freeChunks.pop()
    if (free === undefined && this.#chunks === MOST_CHUNKS) return false
    this.#current = free ?? { bytes: new Uint8Array(CHUNK), used: 0, live: 0 }
    if (free === undefined) this.#chunks++
    return true
  }

  #before(a: number, b: number): boolean {
    const earlier = this.#due[a] - this.#due[b]
    return earlier < 0 || (earlier === 0 && this.#order[a] < this.#order[b])
  }

  /** Puts `slot`, for which place `i` is free, there or nearer to the root. */
  #rise(i: number, slot: number): void {
    while (i > 0) {
      const parent = (i - 1) >> 1
      const other = this.#heap[parent]
      if (!this.#before(slot, other)) break
      this.#heap[i] = other
      i = parent
    }
    this.#heap[i] = slot
  }

  /** Puts `slot`, for which place `i` is free, there or nearer to the leaves. */
  #sink(i: number, slot: number): void {
    for (;;) {
      let child = 2 * i + 1
      if (child >= this.#size) break
      if (child + 1 < this.#size && this.#before(this.#heap[child + 1], this.#heap[child])) child++
      const other = this.#heap[child]
      if (!this.#before(other, slot)) break
      this.#heap[i] = other
      i = child
    }
    this.#heap[i] = slot
  }
}
