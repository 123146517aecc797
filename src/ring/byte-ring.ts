// A connection's bytes: two rings, and both are TCP's own buffers. The send ring's head is SND.UNA (retransmission
// reads it again), the receive ring's tail is RCV.NXT (text out of order lies past it until the hole fills).
//
// Counters. `head` and `tail` count bytes for ever, modulo 2^32; only the reader moves head, only the writer moves
// tail. The size is a power of two, so a counter masked is an index and empty (head = tail) never looks like full.
// Because they start at 0 when the connection does, they can be told from the TCB: head = SND.UNA - ISS - 1,
// tail = RCV.NXT - IRS - 1. That is how a new stack thread finds its place.
//
// Memory order. A writer copies, then stores tail (release; Atomics.store here, __ATOMIC_RELEASE in preload/ring.c);
// a reader loads tail (acquire), then copies: it never sees a byte before it was written. The same holds for head in
// the other direction: who has seen the new head may overwrite what was read. All loads and stores of counters are
// sequentially consistent on this side, because each is followed by a look at a flag of the other side (`asleep`,
// `rung`, `plugged`): store, then look, on both sides, so that one of the two sees the other.
//
// Several readers. Programs read without a lock: copy, then compare-and-swap the 64-bit rx_head, whose upper half
// holds an epoch. When the server moves a ring (to grow it) it stores the new place and then adds to the epoch: a
// reader that copied from the old place fails its swap and copies again. HEAD_NATIVE, in the same half, stops readers
// for good.
//
// Trust. The program can write anything anywhere in the region. The server reads two of its words here, the
// receive ring's head and the send ring's tail, once each, and accepts only values between what it last saw and what
// can be: 0 <= tail - head <= size. Anything else marks the ring corrupt, and the owner aborts the connection.
import { copy } from '../base/bytes.ts'
import * as libc from '../ffi/libc.ts'
import {
  FLAG_EOF,
  HEAD_EPOCH_HIGH,
  LOCK_SERVER,
  LOCK_WAITERS,
  MARK_IN,
  MARK_NONE,
  MARK_OUT,
  RECORD,
  geom,
} from '../shm/layout.ts'
import { recordWord, type Region } from '../shm/region.ts'

const ALL_WAITERS = 0x7fffffff

/** The receive ring: the stack writes, programs (or, in native mode, the server) read. */
export class ReceiveRing {
  readonly #region: Region
  readonly #record: number
  #offset = 0
  #log2 = 0
  #mask = -1
  #tail = 0
  #head = 0
  #native = false
  /** The program moved its counter where it cannot be. */
  corrupt = false
  /** Bytes that may be in the ring at once: SO_RCVBUF, at most the size. */
  limit = 0
  /** MARK_*: is the byte at #urgentAt urgent? */
  #urgent = MARK_NONE
  #urgentAt = 0

  constructor(region: Region, record: number) {
    this.#region = region
    this.#record = recordWord(record)
  }

  get size(): number {
    return this.#mask + 1
  }
  get offset(): number {
    return this.#offset
  }
  get geom(): number {
    return this.size === 0 ? 0 : geom(this.#offset, this.#log2)
  }
  /** Bytes published in all, modulo 2^32. */
  get tail(): number {
    return this.#tail
  }

  /** Lies at `offset` now, `2^log2` bytes, counters at `tail`: a new connection's (0), or one found again. */
  place(offset: number, log2: number, head: number, tail: number, native: boolean): void {
    const w = this.#region.words
    this.#offset = offset
    this.#log2 = log2
    this.#mask = 2 ** log2 - 1
    this.limit = this.size
    this.#head = head | 0
    this.#tail = tail | 0
    this.#native = native
    Atomics.store(w, this.#record + RECORD.rx_tail / 4, this.#tail)
    Atomics.store(w, this.#record + RECORD.rx_geom / 4, this.geom)
  }

  /** Bytes read in all: the program's word if it is believable, else the last that was. */
  get head(): number {
    if (this.#native) return this.#head
    const seen = Atomics.load(this.#region.words, this.#record + RECORD.rx_head / 4)
    if ((seen - this.#head) >>> 0 > (this.#tail - this.#head) >>> 0) this.corrupt = true
    else this.#head = seen
    return this.#head
  }

  /** Takes the program's counter for true where the last one seen is not known (a new thread). */
  trust(head: number): void {
    this.#head = (this.#tail - head) >>> 0 <= this.size ? head : this.#tail
  }

  /** Bytes published and not yet read. */
  get used(): number {
    return (this.#tail - this.head) >>> 0
  }

  /** Bytes that the program would get: the urgent byte that is next and out of band is none of them. */
  get readable(): number {
    const { used } = this
    return used > 0 && this.#urgent === MARK_OUT && this.#head === this.#urgentAt ? used - 1 : used
  }

  /** The byte `ahead` bytes past the tail is urgent. Before it is published: no reader runs over it. */
  mark(ahead: number, inLine: boolean): void {
    this.#passMark()
    this.#urgentAt = (this.#tail + ahead) | 0
    this.#region.words[this.#record + RECORD.urgent_at / 4] = this.#urgentAt
    this.#share(inLine ? MARK_IN : MARK_OUT)
  }

  /** Before a newer mark takes the place of one that the program stands at, its byte is left out, as Linux does. */
  #passMark(): void {
    const { used } = this
    if (this.#urgent !== MARK_OUT || used === 0 || this.#head !== this.#urgentAt) return
    const next = (this.#head + 1) | 0
    const head = this.#record + RECORD.rx_head / 4
    // The lower half of what readers swap as a whole: one that copied already has gone past it or fails.
    if (
      this.#native ||
      Atomics.compareExchange(this.#region.words, head, this.#head, next) === this.#head
    )
      this.#head = next
  }

  /** SO_OOBINLINE, for the mark there is. */
  markInLine(inLine: boolean): void {
    if (this.#urgent !== MARK_NONE) this.#share(inLine ? MARK_IN : MARK_OUT)
  }

  #share(mark: number): void {
    this.#urgent = mark
    Atomics.store(this.#region.words, this.#record + RECORD.urgent / 4, mark)
  }

  /** How far readers go in one piece: to the mark, if that is ahead. */
  #untilMark(n: number): number {
    if (this.#urgent === MARK_NONE) return n
    const ahead = (this.#urgentAt - this.#head) | 0
    return ahead > 0 && ahead < n ? ahead : n
  }

  /** Room past what is published. */
  get window(): number {
    const room = this.limit - this.used
    return room > 0 ? room : 0
  }

  /** Copies src[from, from + n) to `offset` bytes past the tail. It must fit (offset + n <= window). */
  writeAt(offset: number, src: Uint8Array, from: number, n: number): void {
    const at = (this.#tail + offset) & this.#mask
    const first = Math.min(n, this.size - at)
    const bytes = this.#region.bytes
    copy(bytes, this.#offset + at, src, from, first)
    if (first < n) copy(bytes, this.#offset, src, from + first, n - first)
  }

  /** Lets readers see `n` more bytes. The store pairs with the reader's load of rx_tail. */
  publish(n: number): void {
    // Passed marks are forgotten before the counters come round again.
    if (this.#urgent !== MARK_NONE && ((this.head - this.#urgentAt) | 0) > 0) this.#share(MARK_NONE)
    this.#tail = (this.#tail + n) | 0
    Atomics.store(this.#region.words, this.#record + RECORD.rx_tail / 4, this.#tail)
  }

  /** The memory is someone else's now. */
  remove(): void {
    this.#mask = -1
    this.#native = true
    this.#head = this.#tail
    this.limit = 0
    Atomics.store(this.#region.words, this.#record + RECORD.rx_geom / 4, 0)
    Atomics.add(this.#region.words, this.#record + RECORD.rx_head / 4 + 1, HEAD_EPOCH_HIGH)
  }

  /**
   * The program tells us (`rx_notify`) when it has read `step` more, a quarter unless given: the window may be opened
   * again. It looks at the word after it has moved head (preload/ring-read.c), so one that was passed meanwhile is set
   * anew.
   */
  askForNotice(step = (this.limit >>> 2) + 1): void {
    const word = this.#record + RECORD.rx_notify / 4
    for (let at = this.head; ((at - this.head) | 0) <= 0;) {
      at = (this.head + step) | 0
      Atomics.store(this.#region.words, word, at)
    }
  }

  /** From now on the server is the reader. */
  goNative(): void {
    this.#head = this.head
    this.#native = true
  }

  /**
   * Native mode: moves published bytes into the AF_UNIX socket `fd`, the urgent one as that socket's. Bytes moved, 0 if
   * none were there, or a negative errno.
   */
  drainTo(fd: number): number {
    const n = this.#untilMark((this.#tail - this.#head) >>> 0)
    if (n === 0) return 0
    const at = this.#head & this.#mask
    const first = Math.min(n, this.size - at)
    const base = this.#region.address + this.#offset
    if (this.#urgent !== MARK_NONE && this.#head === this.#urgentAt) {
      const flags = libc.MSG_OOB | libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL
      const sent = libc.send(fd, base + at, 1, flags)
      if (sent > 0) {
        this.#head = (this.#head + 1) | 0
        this.#share(MARK_NONE)
      }
      return sent
    }
    const moved = libc.writev2(fd, base + at, first, base, n - first)
    if (moved > 0) this.#head = (this.#head + moved) | 0
    return moved
  }

  /** Moves to a bigger place: whatever may be read, and whatever waits past the tail, comes along. */
  moveTo(offset: number, log2: number): void {
    const w = this.#region.words
    const size = this.size
    const mask = 2 ** log2 - 1
    const head = this.head
    rehome(this.#region.bytes, this.#offset, this.#mask, offset, mask, head, size)
    if (this.limit === size) this.limit = mask + 1
    this.#offset = offset
    this.#log2 = log2
    this.#mask = mask
    Atomics.store(w, this.#record + RECORD.rx_geom / 4, this.geom)
    // Pairs with the readers' swap of rx_head: whoever copied from the old place fails.
    Atomics.add(w, this.#record + RECORD.rx_head / 4 + 1, HEAD_EPOCH_HIGH)
  }

  /** The peer's FIN: nothing follows. Set after the last publish(). */
  end(): void {
    Atomics.or(this.#region.words, this.#record + RECORD.flags / 4, FLAG_EOF)
  }
}

/** The send ring: programs (or, in native mode, the server) write, the stack reads. */
export class SendRing {
  readonly #region: Region
  readonly #record: number
  #offset = 0
  #log2 = 0
  #mask = -1
  #head = 0
  #tail = 0
  /** The tail is the server's own: native mode, or the program is gone. */
  #own = false
  #frozen = false
  corrupt = false
  #limit = 0
  /** limit without `keepTo`. */
  #whole = 0
  #most = Infinity

  constructor(region: Region, record: number) {
    this.#region = region
    this.#record = recordWord(record)
  }

  get size(): number {
    return this.#mask + 1
  }
  get offset(): number {
    return this.#offset
  }
  get geom(): number {
    return this.size === 0 ? 0 : geom(this.#offset, this.#log2)
  }
  /** Bytes acknowledged in all, modulo 2^32. */
  get head(): number {
    return this.#head
  }
  get limit(): number {
    return this.#limit
  }
  /** Bytes a writer may have in the ring (SO_SNDBUF). */
  set limit(n: number) {
    this.#whole = Math.min(n, this.size)
    this.#apply()
  }
  /** No more than so many for the moment (TCP_NOTSENT_LOWAT); Infinity: as many as there may be. */
  keepTo(n: number): void {
    if (n === this.#most) return
    this.#most = n
    this.#apply()
  }
  #apply(): void {
    this.#limit = Math.min(this.#whole, this.#most)
    this.#region.words[this.#record + RECORD.tx_limit / 4] = this.#limit
  }

  place(offset: number, log2: number, head: number, tail: number, native: boolean): void {
    const w = this.#region.words
    this.#offset = offset
    this.#log2 = log2
    this.#mask = 2 ** log2 - 1
    this.#head = head | 0
    this.#tail = tail | 0
    this.#own = native
    this.#most = Infinity
    this.limit = this.size
    Atomics.store(w, this.#record + RECORD.tx_head / 4, this.#head)
    Atomics.store(w, this.#record + RECORD.tx_geom / 4, this.geom)
  }

  /** Bytes written in all: the program's word if it is believable, else the last that was. */
  get tail(): number {
    if (this.#own) return this.#tail
    const seen = Atomics.load(this.#region.words, this.#record + RECORD.tx_tail / 4)
    const used = (seen - this.#head) >>> 0
    if (used > this.size || used < (this.#tail - this.#head) >>> 0) this.corrupt = true
    else this.#tail = seen
    return this.#tail
  }

  /** Bytes written and not yet acknowledged. */
  get length(): number {
    return (this.tail - this.#head) >>> 0
  }

  /** Adds one byte; there is room. The program's writers are kept out by wlock, which the caller holds. */
  append(byte: number): void {
    const at = this.tail
    this.#region.bytes[this.#offset + (at & this.#mask)] = byte
    this.#tail = (at + 1) | 0
    if (!this.#own) Atomics.store(this.#region.words, this.#record + RECORD.tx_tail / 4, this.#tail)
  }

  get room(): number {
    const n = this.#limit - this.length
    return n > 0 ? n : 0
  }

  /** A third of the ring is free: worth waking a writer who found it full. */
  get roomy(): boolean {
    return (this.#whole - this.length) * 3 >= this.#whole
  }

  /** Copies `n` bytes that begin `offset` past the head into dst at `at`. */
  copy(offset: number, n: number, dst: Uint8Array, at: number): void {
    const from = (this.#head + offset) & this.#mask
    const first = Math.min(n, this.size - from)
    const bytes = this.#region.bytes
    copy(dst, at, bytes, this.#offset + from, first)
    if (first < n) copy(dst, at + first, bytes, this.#offset, n - first)
  }

  /** `n` bytes more are acknowledged: their place is free. The store pairs with the writer's load of tx_head. */
  consume(n: number): void {
    this.#head = (this.#head + n) | 0
    if (!this.#frozen)
      Atomics.store(this.#region.words, this.#record + RECORD.tx_head / 4, this.#head)
  }

  /** The memory is someone else's now; what was in it is no longer wanted. */
  remove(): void {
    this.#mask = -1
    this.#own = true
    this.#tail = this.#head
    this.#limit = 0
    this.#whole = 0
    Atomics.store(this.#region.words, this.#record + RECORD.tx_geom / 4, 0)
  }

  /** From now on the server is the writer; what the program wrote so far stays. */
  goNative(): void {
    this.#tail = this.tail
    this.#own = true
  }

  /** The program is gone and its record may be another's soon: what it wrote is final, its words are let alone. */
  freeze(): void {
    this.goNative()
    this.#frozen = true
  }

  /** Native mode: reads from the AF_UNIX socket `fd` into free room. Bytes, 0 at its end, -EAGAIN, … */
  fillFrom(fd: number): number {
    const room = this.room
    if (room === 0) return -11
    const at = this.#tail & this.#mask
    const first = Math.min(room, this.size - at)
    const base = this.#region.address + this.#offset
    const got = libc.readv2(fd, base + at, first, base, room - first)
    if (got > 0) this.#tail = (this.#tail + got) | 0
    return got
  }

  /**
   * Moves to a bigger place, if no program is writing just now. The writer's lock keeps them out meanwhile: taking it
   * pairs with lock_take() and lock_try() in preload/doorbell.c.
   */
  moveTo(offset: number, log2: number): boolean {
    const w = this.#region.words
    const lock = this.#record + RECORD.wlock / 4
    if (Atomics.compareExchange(w, lock, 0, LOCK_SERVER | 0) !== 0) return false
    const mask = 2 ** log2 - 1
    rehome(this.#region.bytes, this.#offset, this.#mask, offset, mask, this.#head, this.length)
    this.#offset = offset
    this.#log2 = log2
    this.#mask = mask
    this.limit = mask + 1
    Atomics.store(w, this.#record + RECORD.tx_geom / 4, this.geom)
    const held = Atomics.exchange(w, lock, 0)
    if ((held & LOCK_WAITERS) !== 0) libc.futexWake(this.#region.address + lock * 4, ALL_WAITERS)
    return true
  }
}

/** Copies `n` bytes that begin at counter `from` to their places in a ring of another size. */
function rehome(
  bytes: Uint8Array,
  oldBase: number,
  oldMask: number,
  newBase: number,
  newMask: number,
  from: number,
  n: number,
): void {
  for (let done = 0; done < n;) {
    const a = (from + done) & oldMask
    const b = (from + done) & newMask
    const piece = Math.min(n - done, oldMask + 1 - a, newMask + 1 - b)
    bytes.copyWithin(newBase + b, oldBase + a, oldBase + a + piece)
    done += piece
  }
}
