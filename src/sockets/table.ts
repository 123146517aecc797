// What the server knows of each virtual socket, in memory that no program sees and that outlives the stack thread: a
// row of 32-bit words per record. A new thread finds every socket here as the old one left it.
import { ABI_RECORDS } from '../shm/layout.ts'

export const ROW_WORDS = 224
/** What does not fit a row and few sockets have: groups joined. Behind the rows; untouched, it costs nothing. */
export const NOTE_WORDS = 1024
const NOTES = ABI_RECORDS * ROW_WORDS
/** Filters (SO_ATTACH_FILTER), which few sockets have: the length in bytes of each, 0 if it is none; up to 4,096 instructions. */
const FILTERS = NOTES + ABI_RECORDS * NOTE_WORDS
const FILTER_WORDS = 1 + 4096 * 2
const MOST_FILTERS = 1024
export const TABLE_BYTES = (FILTERS + MOST_FILTERS * FILTER_WORDS) * 4

/** Columns. */
export const GENERATION = 0
export const STATE = 1
export const FD = 2
export const TCB = 3
export const FAMILY = 4
export const FLAGS = 5
export const PORT = 6
export const LOCAL = 7 // four words
export const BACKLOG = 11
export const LISTENER = 12
export const RX_GEOM = 13
export const TX_GEOM = 14
/** Native mode: messages (canary, plug) still to be thrown away before text begins. */
export const DISCARD = 15
/** The reader's counter when it was last rung, and the time, ms. */
export const RUNG_HEAD = 16
export const RUNG_AT = 19
/** Native mode: the server's own counters, which a new thread cannot tell from the TCB. */
export const RX_HEAD = 17
export const TX_TAIL = 18
/** What bind() took, to be given back as it was taken: four words; port and flags stand above and below. */
export const BOUND_ADDRESS = 20
/** When the socket was made, s, and by which process. */
export const MADE_AT = 24
export const MADE_BY = 29
/** Message sockets have neither rings nor a backlog: type, protocol, peer's address (four words) and port instead. */
export const TYPE = BACKLOG
export const PROTOCOL = LISTENER
export const REMOTE = RX_GEOM
export const REMOTE_PORT = RX_HEAD
/** Message sockets: four words. */
export const COOKIE = 25
/** Socket options, see options.ts. */
export const OPTIONS = 30
export const OPTION_COLUMNS = ROW_WORDS - OPTIONS - 2
/** 1 + the number of its filter; SO_LOCK_FILTER. */
export const FILTER = OPTIONS + OPTION_COLUMNS
export const FILTER_LOCKED = FILTER + 1

/** STATE */
export const FREE = 0
export const OPEN = 1
export const LISTENING = 2
export const CONNECTING = 3
export const CONNECTED = 4
/** The program has gone, its text is still being sent. */
export const CLOSING = 5
/** A message socket, whatever else it is. */
export const MESSAGES = 6

/** FLAGS */
export const NATIVE = 1
export const BOUND = 2
/** The program bound the record's name: a probe tells whether it lives. Else the server did, to deliver it. */
export const OWN_NAME = 4
/** In a listener's queue, not yet accepted. */
export const DELIVERED = 8
/** Waits for room in the listener's queue. */
export const UNDELIVERED = 16
export const SHUT_WR = 32
export const SHUT_RD = 64
export const EOF = 128
export const DEAD = 256
/** Native mode: the program's end of file was seen. */
export const SAW_EOF = 512
/** Holds its local port in ports.ts, taken with these options. */
export const HOLDS_PORT = 1024
/** A non-blocking connect: the plug is to come, and in native mode nothing else before it. */
export const AWAITS_PLUG = 131072
/** Native mode: the program's end hung up; it left text unread. */
export const HUNG_UP = 32768
export const UNREAD = 65536
/** The server's end is shut down for writing; for both (readiness.ts). */
export const SHOWN_EOF = 8192
export const SHOWN_BOTH = 16384
/** A message socket is connected to a peer. */
export const HAS_PEER = 524288
export const HELD_V6ONLY = 2048
export const HELD_REUSE = 4096
export const HELD_SHARE = 262144

/** Rows handed out and taken back, over shared memory that survives the thread. */
export class SocketTable {
  readonly words: Int32Array
  readonly #free: number[] = []

  constructor(memory: ArrayBufferLike) {
    this.words = new Int32Array(memory)
    // All: a look at each row would touch its page of memory.
    for (let i = ABI_RECORDS - 1; i >= 0; i--) this.#free.push(i)
  }

  /** The memory is another thread's that is gone: finds the rows that are free. */
  recover(): void {
    this.#free.length = 0
    for (let i = ABI_RECORDS - 1; i >= 0; i--) if (this.#isFree(i)) this.#free.push(i)
  }

  #isFree(i: number): boolean {
    return this.words[i * ROW_WORDS + STATE] === FREE
  }

  get inUse(): number {
    return ABI_RECORDS - this.#free.length
  }

  /** The notes of record `i`; whoever takes the record first clears what it uses of them. */
  notes(i: number): Int32Array {
    const at = NOTES + i * NOTE_WORDS
    return this.words.subarray(at, at + NOTE_WORDS)
  }

  /** A free record with a new generation, all else 0; -1 if there is none. */
  alloc(): number {
    const i = this.#free.pop()
    if (i === undefined) return -1
    const row = i * ROW_WORDS
    const generation = (this.words[row + GENERATION] + 1) >>> 0 || 1
    this.words.fill(0, row, row + ROW_WORDS)
    this.words[row + GENERATION] = generation
    this.words[row + FD] = -1
    this.words[row + TCB] = -1
    return i
  }

  /** Keeps the filter of record `i`, none if it is empty. False: there is no room for one more. */
  keepFilter(i: number, program: Uint8Array): boolean {
    const column = i * ROW_WORDS + FILTER
    const at = (n: number) => FILTERS + n * FILTER_WORDS
    const had = this.words[column]
    if (program.length === 0) {
      if (had !== 0) this.words[at(had - 1)] = 0
      this.words[column] = 0
      return true
    }
    let n = had - 1
    if (had === 0) for (n = 0; n < MOST_FILTERS && this.words[at(n)] !== 0;) n++
    if (n === MOST_FILTERS) return false
    this.words[at(n)] = program.length
    this.words[column] = n + 1
    this.bytesOf(n, program.length).set(program)
    return true
  }

  /** A copy of what was kept; undefined: nothing. */
  filter(i: number): Uint8Array | undefined {
    const n = this.words[i * ROW_WORDS + FILTER] - 1
    return n < 0 ? undefined : this.bytesOf(n, this.words[FILTERS + n * FILTER_WORDS]).slice()
  }

  private bytesOf(n: number, length: number): Uint8Array {
    const at = FILTERS + n * FILTER_WORDS + 1
    return new Uint8Array(this.words.buffer, this.words.byteOffset + at * 4, length)
  }

  free(i: number): void {
    if (this.words[i * ROW_WORDS + STATE] === FREE) throw new Error(`record ${i} is free already`)
    this.keepFilter(i, NOTHING)
    this.words[i * ROW_WORDS + STATE] = FREE
    this.#free.push(i)
  }

  /** Records that are not free, in no particular order. */
  *live(): Iterable<number> {
    for (let i = 0; i < ABI_RECORDS; i++) if (!this.#isFree(i)) yield i
  }
}

const NOTHING = new Uint8Array(0)
