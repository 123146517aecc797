// The loopback interface: what the stack sends to itself (127.0.0.0/8, ::1 and its own addresses). A queue of whole
// datagrams in memory that is taken once; a datagram is written, and read again, where it lies. What was opened is
// never lost: a full queue says so before.
//
// Who watches the interface sees each datagram go out and come in, behind an Ethernet header of zeros, as Linux shows it.
import { copy, i32, u16, writeU16 } from '../../base/bytes.ts'
import { ETHER_HEADER_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.ts'
import type { FrameWatcher } from './watcher.ts'

const SIZE = 1 << 20
const MASK = SIZE - 1
/** A slot: the datagram's length, what it is (two words), room for its link header, the datagram, up to the next multiple of 8. */
const SLOT_HEADER = 24
/** What it is: its family (0: nobody here takes it), and these. */
const FAMILY = 0xff
const RAW = 0x100
/** A copy for ourselves of what went to a group: no frame of this interface. */
const COPY = 0x200
/** Its link header is the sender's. */
const FRAMED = 0x400
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
  octets = 0
  watcher: FrameWatcher | undefined

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

  /**
   * Queues the datagram opened last, `length` bytes of it. `raw`: a program wrote it, and it may lie. `isCopy`: it went to a
   * group, and comes back.
   */
  close(length: number, family: 4 | 6, raw = false, isCopy = false): void {
    this.queue(length, family | (raw ? RAW : 0) | (isCopy ? COPY : 0))
  }

  /** A frame of a program's own, link header and all. */
  sendFrame(bytes: Uint8Array, at: number, length: number): boolean {
    const text = length - ETHER_HEADER_LEN
    const to = this.open(text)
    if (to < 0) return false
    copy(this.bytes, to - ETHER_HEADER_LEN, bytes, at, length)
    this.queue(text, familyOf(bytes, at) | RAW | FRAMED)
    return true
  }

  private queue(length: number, what: number): void {
    const start = this.tail & MASK
    const slot = start >> 2
    this.words[slot] = length
    this.words[slot + 1] = what
    if (this.watcher !== undefined) this.show(start + SLOT_HEADER, length, what, true)
    this.tail = (this.tail + slotSize(length)) | 0
    this.packets++
    this.octets += length
  }

  private show(at: number, length: number, what: number, out: boolean): void {
    const { bytes, watcher } = this
    if (watcher === undefined || (what & COPY) !== 0) return
    const frame = at - ETHER_HEADER_LEN
    if ((what & FRAMED) === 0) {
      bytes.fill(0, frame, at)
      writeU16(bytes, at - 2, (what & FAMILY) === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6)
    }
    if (out) watcher.went(bytes, frame, ETHER_HEADER_LEN + length, 0, 0, 0)
    else watcher.came(bytes, frame, ETHER_HEADER_LEN + length, 0, 0, 0)
  }

  /** The datagram that peek() showed has come: watchers see it. */
  came(): void {
    const at = (this.head & MASK) + SLOT_HEADER
    this.show(at, this.length, this.words[((this.head & MASK) >> 2) + 1], false)
  }

  /** The oldest datagram's offset in `bytes`; -1: there is none. It stays until release(). */
  peek(): number {
    // A skip may be all there is: what was opened behind it is not closed yet.
    if (this.head !== this.tail && this.words[(this.head & MASK) >> 2] === SKIP)
      this.head = (this.head + SIZE - (this.head & MASK)) | 0
    return this.head === this.tail ? -1 : (this.head & MASK) + SLOT_HEADER
  }

  /** What was said of the datagram that peek() showed. */
  get length(): number {
    return this.words[(this.head & MASK) >> 2]
  }
  get family(): 4 | 6 | 0 {
    return (this.words[((this.head & MASK) >> 2) + 1] & FAMILY) as 4 | 6 | 0
  }
  get raw(): boolean {
    return (this.words[((this.head & MASK) >> 2) + 1] & RAW) !== 0
  }

  /** Gives the memory of the datagram that peek() showed back. */
  release(): void {
    this.head = (this.head + slotSize(this.length)) | 0
  }
}

/**
 * Whose a frame is that came to this interface; 0: nobody's. To Linux an IPv4 packet that did not come from itself and names
 * addresses of its own is a martian.
 */
function familyOf(bytes: Uint8Array, at: number): 4 | 6 | 0 {
  const toUs = u16(bytes, at) === 0 && i32(bytes, at + 2) === 0
  if (!toUs && (bytes[at] & 1) === 0) return 0
  const type = u16(bytes, at + ETHER_HEADER_LEN - 2)
  return type === ETHERTYPE_IPV6 ? 6 : 0
}

const slotSize = (length: number): number => (SLOT_HEADER + length + 7) & ~7
