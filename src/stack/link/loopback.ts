// The loopback interface: what the stack sends to itself (127.0.0.0/8, ::1 and its own addresses). A queue of whole
// datagrams in memory that is taken once; a datagram is written, and read again, where it lies. What was opened is
// never lost: a full queue says so before.

const SIZE = 1 << 20
const MASK = SIZE - 1
/** A slot: the datagram's length, its family, the datagram, up to the next multiple of 8. */
const SLOT_HEADER = 8
const SKIP = -1

/** Largest datagram. */
export const LOOPBACK_MTU = 65535

export class Loopback {
  readonly bytes = new Uint8Array(SIZE)
  private readonly words = new Int32Array(this.bytes.buffer)
  /** Count bytes for ever, modulo 2^32. */
  private head = 0
  private tail = 0
  packets = 0

  get isEmpty(): boolean {
    return this.peek() < 0
  }

  /** Space for a datagram of at most `length` bytes: its offset in `bytes`; -1: the queue is full. */
  open(length: number): number {
    const need = slotSize(length)
    const start = this.tail & MASK
    const toEnd = SIZE - start
    const skip = need > toEnd ? toEnd : 0
    if (((this.tail - this.head) | 0) + skip + need > SIZE) return -1
    if (skip > 0) {
      this.words[start >> 2] = SKIP
      this.tail = (this.tail + skip) | 0
    }
    return (this.tail & MASK) + SLOT_HEADER
  }

  /** Queues the datagram opened last, `length` bytes of it. */
  close(length: number, family: 4 | 6): void {
    const slot = (this.tail & MASK) >> 2
    this.words[slot] = length
    this.words[slot + 1] = family
    this.tail = (this.tail + slotSize(length)) | 0
    this.packets++
  }

  /** The oldest datagram's offset in `bytes`; -1: there is none. It stays until release(). */
  peek(): number {
    // A skip may be all there is: what was opened behind it is not closed yet.
    if (this.head !== this.tail && this.words[(this.head & MASK) >> 2] === SKIP)
      this.head = (this.head + SIZE - (this.head & MASK)) | 0
    return this.head === this.tail ? -1 : (this.head & MASK) + SLOT_HEADER
  }

  /** Length and family of the datagram that peek() showed. */
  get length(): number {
    return this.words[(this.head & MASK) >> 2]
  }
  get family(): 4 | 6 {
    return this.words[((this.head & MASK) >> 2) + 1] as 4 | 6
  }

  /** Gives the memory of the datagram that peek() showed back. */
  release(): void {
    this.head = (this.head + slotSize(this.length)) | 0
  }
}

const slotSize = (length: number): number => (SLOT_HEADER + length + 7) & ~7
