// One direction of a switch port: frames from one writer to one reader through shared memory.
//
// The ring is a control page and a power of two of bytes. `head` and `tail` count bytes for ever, modulo 2^32; only the
// reader moves head, only the writer moves tail, each on a cache line of its own. Between them lie slots, 16-byte
// aligned: a word with kind and length, virtio_net_hdr_v1 without change (12 bytes), then the frame in one piece. A slot
// that would cross the end is put at the start and a skip slot fills the rest. So there is no copy but the one into the
// ring, and what a tap device or another port needs to know of checksums and segments travels with the frame.
//
// The other side may be hostile. Each side keeps its own counter in private and reads the other's as a claim: it must
// lie within the ring. A slot's length and header are copied once, and only the copies are checked and used. A claim that
// does not hold makes the ring broken for good, which hurts nobody but the two.
//
// Memory order. All accesses by Atomics are sequentially consistent.
// - tail: the writer's store publishes the slot's bytes; its partner is the reader's load in next().
// - head: the reader's store gives room back; its partner is the writer's load in #room().
// - asleep: the reader stores 1, then loads tail once more (arm); the writer stores tail, then loads asleep (mustRing).
//   Whatever the order of the four, one of them sees the other: no frame waits beside a sleeping reader. Who swaps 1 to
//   0 rings, so a sleep costs one doorbell.
// - starved: the same with the roles exchanged. The writer stores 1, then loads head once more (armRoom); the reader
//   stores head, then loads starved (mustRingWriter). It rings when half of the ring is free: each live reader gets
//   there, and a writer is not woken for every frame.

import type { FrameSink } from '../stack/link/sink.ts'

/** What precedes the ring's bytes: a page, of which four cache lines are used. */
export const FRAME_RING_DATA = 4096
/** Kind and length, then virtio_net_hdr_v1. */
const SLOT_HEADER = 16
/** Ethernet header and the largest IP datagram (65,535). */
export const MAX_FRAME = 65_549
const ETHERNET_HEADER = 14
const VLAN_TAG = 4
/** Frames leave so much free, so that a few notices ("station gone") fit into a ring full of frames. */
const NOTICE_RESERVE = 4096

/** 32-bit words of the control page. */
const TAIL = 0
const HEAD = 16
const ASLEEP = 32
const STARVED = 48

/** Slot kinds, in the upper byte of a slot's first word; the length is in the lower 24 bits. */
const KIND_FRAME = 0
const KIND_SKIP = 1
const KIND_NOTICE = 2

/** What FrameReader.next() found. */
export const RING_EMPTY = 0
export const RING_FRAME = 1
export const RING_NOTICE = 2
export const RING_BROKEN = 3

/** virtio_net_hdr_v1 (virtio 1.2, section 5.1.6). */
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1
export const VIRTIO_NET_HDR_F_DATA_VALID = 2
export const VIRTIO_NET_HDR_GSO_NONE = 0
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5
export const VIRTIO_NET_HDR_GSO_ECN = 0x80

/** A notice: the station with this MAC address has left the network, and will not answer for itself. */
export const NOTICE_STATION_GONE = 1

/** Up to here a loop over words copies faster than a call of TypedArray.set (measured; it costs 80 ns). */
const LOOP_COPY_MAX = 320

/** Memory for a ring of `size` bytes, `size` a power of two of at least 256 KB (three frames of the largest kind). */
export const frameRingBytes = (size: number) => FRAME_RING_DATA + size
export const MIN_RING = 0x40000
export const MAX_RING = 0x1000000
export const isRingSize = (size: number) =>
  size >= MIN_RING && size <= MAX_RING && (size & (size - 1)) === 0

/** A slot's size: header and content, up to the next multiple of 16. */
const slotSize = (length: number) => SLOT_HEADER + ((length + 15) & ~15)

/** The memory of one ring as both sides see it. */
class FrameRing {
  readonly size: number
  /** The ring's bytes; frames lie in it. */
  readonly bytes: Uint8Array
  /** The same as words of the host's order (little-endian on every machine that we run on). */
  readonly words: Int32Array
  protected readonly control: Int32Array
  /** The other side claimed what cannot be; nothing moves any more. */
  broken = false

  constructor(buffer: ArrayBufferLike, offset: number, size: number) {
    if (!isRingSize(size) || offset % 64 !== 0)
      throw new RangeError(`frame ring of ${size} bytes at ${offset}`)
    this.size = size
    this.control = new Int32Array(buffer, offset, FRAME_RING_DATA / 4)
    this.bytes = new Uint8Array(buffer, offset + FRAME_RING_DATA, size)
    this.words = new Int32Array(buffer, offset + FRAME_RING_DATA, size / 4)
  }

  /** Bytes between the two counters, or -1 (broken from now on) if that cannot be. */
  protected span(tail: number, head: number): number {
    const used = (tail - head) >>> 0
    if (used <= this.size && (used & 15) === 0 && (head & 15) === 0) return used
    this.broken = true
    return -1
  }
}

/** The writing end; a frame is built where it will be read. Takes up where the last writer left. */
export class FrameWriter extends FrameRing implements FrameSink {
  readonly mtu: number
  readonly maxFrame = MAX_FRAME
  readonly offload = true
  /** Frames sent. */
  frames = 0
  #tail: number
  /** The reader's head as last seen. */
  #head: number
  /** Where the slot opened last begins, as an index, and what is skipped in front of it. */
  #slot = 0
  #skip = 0
  /** Bytes that open() found no room for; 0: the last open() succeeded. */
  #wanted = 0
  /** Published since the last look at asleep. */
  #unrung = true

  constructor(buffer: ArrayBufferLike, offset: number, size: number, mtu: number) {
    super(buffer, offset, size)
    this.mtu = mtu
    this.#tail = Atomics.load(this.control, TAIL)
    this.#head = Atomics.load(this.control, HEAD)
    this.span(this.#tail, this.#head)
  }

  /** Memory for a frame of at most `length` bytes: its offset in `bytes`; -1: no room now. */
  open(length: number): number {
    if (length > MAX_FRAME) throw new RangeError(`frame of ${length} bytes`)
    return this.#open(slotSize(length), NOTICE_RESERVE)
  }

  /** See FrameSink: sends the frame opened last, `length` bytes of it. */
  close(length: number, gsoSize: number, checksumStart: number, checksumOffset: number): void {
    const words = this.words
    const w = this.#slot >>> 2
    let flags = 0
    let gsoType = VIRTIO_NET_HDR_GSO_NONE
    let headerLength = 0
    if (checksumStart !== 0) {
      flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
      if (gsoSize !== 0) {
        const at = this.#slot + SLOT_HEADER
        gsoType = this.#gsoType(at)
        headerLength = checksumStart + this.#transportHeader(at + checksumStart, gsoType)
      }
    }
    words[w + 1] = flags | (gsoType << 8) | (headerLength << 16)
    words[w + 2] = (gsoType === VIRTIO_NET_HDR_GSO_NONE ? 0 : gsoSize) | (checksumStart << 16)
    words[w + 3] = checksumOffset
    this.frames++
    this.#publish(KIND_FRAME, length)
  }

  /** Sends on the frame that `from` stands at, not malformed: one copy, its header as checked. False: no room. */
  forward(from: FrameReader): boolean {
    const length = from.length
    const at = this.#open(slotSize(length), NOTICE_RESERVE)
    if (at < 0) return false
    const words = this.words
    const w = this.#slot >>> 2
    const first = at >>> 2
    if (length > LOOP_COPY_MAX) this.bytes.set(from.bytes.subarray(from.at, from.at + length), at)
    else {
      const source = from.words
      const ahead = (from.at >>> 2) - first
      const end = (at + length + 3) >>> 2
      for (let i = first; i < end; i++) words[i] = source[i + ahead]
    }
    // The addresses again, from the copies by which the frame was let through and its way was chosen.
    words[first] = from.address0
    words[first + 1] = from.address1
    words[first + 2] = from.address2
    words[w + 1] = from.header1
    words[w + 2] = from.header2
    words[w + 3] = from.header3
    this.frames++
    this.#publish(KIND_FRAME, length)
    return true
  }

  /** Sends a notice, `type` and what it is about (a MAC address). False: not even the reserve has room. */
  notice(type: number, about: Uint8Array): boolean {
    const at = this.#open(slotSize(about.length), 0)
    if (at < 0) return false
    const w = this.#slot >>> 2
    this.words[w + 1] = type
    this.words[w + 2] = 0
    this.words[w + 3] = 0
    this.bytes.set(about, at)
    this.#publish(KIND_NOTICE, about.length)
    return true
  }

  /** True if the reader sleeps beside something published since the last call: ring its doorbell. */
  mustRing(): boolean {
    if (!this.#unrung) return false
    this.#unrung = false
    return (
      Atomics.load(this.control, ASLEEP) === 1 && Atomics.exchange(this.control, ASLEEP, 0) === 1
    )
  }

  /** About to sleep: asks for a doorbell if open() wants room. False: there is room already, do not sleep. */
  armRoom(): boolean {
    if (this.#wanted === 0 || this.broken) return true
    Atomics.store(this.control, STARVED, 1)
    if (!this.#room(this.#wanted)) return true
    Atomics.store(this.control, STARVED, 0)
    return false
  }

  /** Awake again. */
  disarmRoom(): void {
    if (this.#wanted !== 0) Atomics.store(this.control, STARVED, 0)
  }

  #open(need: number, reserve: number): number {
    const index = this.#tail & (this.size - 1)
    const toEnd = this.size - index
    this.#skip = need <= toEnd ? 0 : toEnd
    if (!this.#room(this.#skip + need + reserve)) return -1
    this.#slot = this.#skip === 0 ? index : 0
    return this.#slot + SLOT_HEADER
  }

  /** Are `need` bytes free? Looks at the reader's head only when what is known does not do. */
  #room(need: number): boolean {
    if (this.broken) return false
    this.#wanted = 0
    if (this.size - ((this.#tail - this.#head) >>> 0) >= need) return true
    const head = Atomics.load(this.control, HEAD)
    const used = this.span(this.#tail, head)
    if (used < 0) return false
    this.#head = head
    if (this.size - used >= need) return true
    this.#wanted = need
    return false
  }

  #publish(kind: number, length: number): void {
    if (this.#skip !== 0) {
      this.words[(this.size - this.#skip) >>> 2] = (KIND_SKIP << 24) | this.#skip
      this.#tail += this.#skip
      this.#skip = 0
    }
    this.words[this.#slot >>> 2] = (kind << 24) | length
    this.#tail = (this.#tail + slotSize(length)) | 0
    this.#unrung = true
    Atomics.store(this.control, TAIL, this.#tail)
  }

  /** The kind of segments that the frame at `at` is to be cut into, by its own headers. */
  #gsoType(at: number): number {
    const v6 = this.bytes[at + 12] === 0x86
    const protocol = this.bytes[at + (v6 ? 20 : 23)]
    if (protocol === 17) return VIRTIO_NET_HDR_GSO_UDP_L4
    return v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4
  }

  #transportHeader(at: number, gsoType: number): number {
    return gsoType === VIRTIO_NET_HDR_GSO_UDP_L4 ? 8 : (this.bytes[at + 12] >>> 4) << 2
  }
}

/** The reading end. Takes up where the last reader left. */
export class FrameReader extends FrameRing {
  /** The slot that next() stands at: where its content lies in `bytes`, how long it is. */
  at = 0
  length = 0
  /** The first twelve bytes, the Ethernet addresses, copied once: destination and source in the wire's order. */
  address0 = 0
  address1 = 0
  address2 = 0
  /** virtio_net_hdr_v1, copied once. */
  header1 = 0
  header2 = 0
  header3 = 0
  #head: number
  #nextHead: number
  /** The writer's tail as last seen. */
  #tail: number

  constructor(buffer: ArrayBufferLike, offset: number, size: number) {
    super(buffer, offset, size)
    this.#head = Atomics.load(this.control, HEAD)
    this.#nextHead = this.#head
    this.#tail = this.#head
    this.span(Atomics.load(this.control, TAIL), this.#head)
  }

  get flags(): number {
    return this.header1 & 0xff
  }
  get gsoType(): number {
    return (this.header1 >>> 8) & 0xff
  }
  get headerLength(): number {
    return this.header1 >>> 16
  }
  get gsoSize(): number {
    return this.header2 & 0xffff
  }
  get checksumStart(): number {
    return this.header2 >>> 16
  }
  get checksumOffset(): number {
    return this.header3 & 0xffff
  }
  /** What a notice tells. */
  get noticeType(): number {
    return this.header1
  }

  /** Goes to the oldest slot not released: RING_FRAME, RING_NOTICE, RING_EMPTY or RING_BROKEN. */
  next(): number {
    if (this.broken) return RING_BROKEN
    if (this.#head === this.#tail && !this.#look()) return this.broken ? RING_BROKEN : RING_EMPTY
    let index = this.#head & (this.size - 1)
    let word = this.words[index >>> 2]
    if (word >>> 24 === KIND_SKIP) {
      if ((word & 0xffffff) !== this.size - index || !this.#advance(this.size - index))
        return this.#break()
      // A skip is published with the slot behind it.
      index = 0
      word = this.words[0]
    }
    const kind = word >>> 24
    const length = word & 0xffffff
    const slot = slotSize(length)
    if (
      kind === KIND_SKIP ||
      length > MAX_FRAME ||
      slot > (this.#tail - this.#head) >>> 0 ||
      slot > this.size - index
    )
      return this.#break()
    this.at = index + SLOT_HEADER
    this.length = length
    this.#nextHead = (this.#head + slot) | 0
    const w = index >>> 2
    this.header1 = this.words[w + 1]
    if (kind === KIND_NOTICE) return RING_NOTICE
    if (kind !== KIND_FRAME) return this.#break()
    this.header2 = this.words[w + 2]
    this.header3 = this.words[w + 3]
    if (length < 12) {
      // Too short for addresses: what lies behind is an older frame's. Ethernet's check of the length drops it.
      this.address0 = this.address1 = this.address2 = 0
      return RING_FRAME
    }
    this.address0 = this.words[w + 4]
    this.address1 = this.words[w + 5]
    this.address2 = this.words[w + 6]
    return RING_FRAME
  }

  /**
   * Can the frame not be what its header says, on a link of `mtu`? Too short, longer than the mtu without being a row of
   * segments, of an unknown kind, or with a checksum that lies outside.
   */
  malformed(mtu: number): boolean {
    const { length, flags } = this
    if (length < ETHERNET_HEADER || this.headerLength > length) return true
    const needsChecksum = (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0
    if (needsChecksum) {
      const start = this.checksumStart
      if (start < ETHERNET_HEADER || start + this.checksumOffset + 2 > length) return true
    }
    const gsoType = this.gsoType & ~VIRTIO_NET_HDR_GSO_ECN
    if (gsoType === VIRTIO_NET_HDR_GSO_NONE)
      return this.gsoSize !== 0 || length > mtu + ETHERNET_HEADER + VLAN_TAG
    const known =
      gsoType === VIRTIO_NET_HDR_GSO_TCPV4 ||
      gsoType === VIRTIO_NET_HDR_GSO_TCPV6 ||
      gsoType === VIRTIO_NET_HDR_GSO_UDP_L4
    // Segments can be made only of a frame whose checksums are made with them (virtio 1.2, section 5.1.6.2).
    return !known || !needsChecksum || this.gsoSize === 0 || this.gsoSize > mtu
  }

  /** Done with the slot; its memory is the writer's from the next commit() on. */
  release(): void {
    this.#head = this.#nextHead
  }

  /** Gives the memory of released slots back. */
  commit(): void {
    Atomics.store(this.control, HEAD, this.#head)
  }

  /** After commit(): true if the writer waits for room and half of the ring is free: ring its doorbell. */
  mustRingWriter(): boolean {
    if (Atomics.load(this.control, STARVED) !== 1) return false
    const used = (Atomics.load(this.control, TAIL) - this.#head) >>> 0
    return used <= this.size >>> 1 && Atomics.exchange(this.control, STARVED, 0) === 1
  }

  /** About to sleep, everything committed: asks for a doorbell. False: something came, do not sleep. */
  arm(): boolean {
    Atomics.store(this.control, ASLEEP, 1)
    if (this.broken || Atomics.load(this.control, TAIL) === this.#head) return true
    Atomics.store(this.control, ASLEEP, 0)
    return false
  }

  /** Awake again: no doorbells, please. */
  disarm(): void {
    Atomics.store(this.control, ASLEEP, 0)
  }

  #look(): boolean {
    const tail = Atomics.load(this.control, TAIL)
    if (this.span(tail, this.#head) <= 0) return false
    this.#tail = tail
    return true
  }

  #advance(n: number): boolean {
    if (n >= (this.#tail - this.#head) >>> 0) return false
    this.#head = (this.#head + n) | 0
    return true
  }

  #break(): number {
    this.broken = true
    return RING_BROKEN
  }
}
