// Deadlines keyed by small integers: a binary heap over typed arrays. `set`, `clear` and `take` are O(log n) and
// allocate nothing; a connection, a neighbor entry has one deadline each, and its number is its key.

/** At most one deadline for each of the ids 0 to capacity - 1. */
export class Timers {
  readonly capacity: number
  /** Deadline by id. */
  private readonly when: Float64Array
  /** Place in the heap by id; -1: not set. */
  private readonly place: Int32Array
  /** Ids, the earliest first. */
  private readonly heap: Int32Array
  private size = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.when = new Float64Array(capacity)
    this.place = new Int32Array(capacity).fill(-1)
    this.heap = new Int32Array(capacity)
  }

  /** How many are set. */
  get length(): number {
    return this.size
  }

  /** The earliest deadline; Infinity: none is set. */
  get next(): number {
    return this.size === 0 ? Infinity : this.when[this.heap[0]]
  }

  /** Sets the deadline of `id` to times[at], unless it has an earlier one. (A number that is passed may be put on the heap.) */
  sooner(id: number, times: Float64Array, at: number): void {
    if (this.place[id] < 0 ? times[at] < Infinity : times[at] < this.when[id])
      this.set(id, times[at])
  }

  /** Sets the deadline of `id`, or moves it. Infinity clears it. */
  set(id: number, when: number): void {
    if (when === Infinity) return this.clear(id)
    if (!(id >= 0 && id < this.capacity) || Number.isNaN(when))
      throw new RangeError(`Cannot set timer ${id} of ${this.capacity} to ${when}`)
    const at = this.place[id]
    const before = this.when[id]
    this.when[id] = when
    if (at < 0) this.rise(this.size++, id)
    else if (when < before) this.rise(at, id)
    else if (when > before) this.sink(at, id)
  }

  clear(id: number): void {
    const at = this.place[id]
    if (at < 0) return
    this.place[id] = -1
    const last = this.heap[--this.size]
    if (last === id) return
    this.sink(at, last)
    this.rise(this.place[last], last)
  }

  /** The deadline of `id`; Infinity: not set. */
  at(id: number): number {
    return this.place[id] < 0 ? Infinity : this.when[id]
  }

  /** Takes out the earliest id whose deadline is `now` or before; -1: there is none. */
  take(now: number): number {
    if (this.size === 0) return -1
    const id = this.heap[0]
    if (this.when[id] > now) return -1
    this.clear(id)
    return id
  }

  /** Puts `id`, for which place `i` is free, there or nearer to the root. */
  private rise(i: number, id: number): void {
    const when = this.when[id]
    while (i > 0) {
      const parent = (i - 1) >> 1
      const other = this.heap[parent]
      if (this.when[other] <= when) break
      this.heap[i] = other
      this.place[other] = i
      i = parent
    }
    this.heap[i] = id
    this.place[id] = i
  }

  /** Puts `id`, for which place `i` is free, there or nearer to the leaves. */
  private sink(i: number, id: number): void {
    const when = this.when[id]
    for (;;) {
      let child = 2 * i + 1
      if (child >= this.size) break
      if (child + 1 < this.size && this.when[this.heap[child + 1]] < this.when[this.heap[child]])
        child++
      const other = this.heap[child]
      if (this.when[other] >= when) break
      this.heap[i] = other
      this.place[other] = i
      i = child
    }
    this.heap[i] = id
    this.place[id] = i
  }
}
