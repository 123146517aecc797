// Connections that wait for something, each at most once, first come first served. No allocation.

export class SlotQueue {
  private readonly ring: Int32Array
  private readonly queued: Uint8Array
  private head = 0
  length = 0

  constructor(capacity: number) {
    this.ring = new Int32Array(capacity)
    this.queued = new Uint8Array(capacity)
  }

  push(slot: number): void {
    if (this.queued[slot] !== 0) return
    this.queued[slot] = 1
    const tail = this.head + this.length++
    this.ring[tail < this.ring.length ? tail : tail - this.ring.length] = slot
  }

  /** The first, or -1. */
  shift(): number {
    if (this.length === 0) return -1
    const slot = this.ring[this.head]
    this.head = this.head + 1 === this.ring.length ? 0 : this.head + 1
    this.length--
    this.queued[slot] = 0
    return slot
  }
}
