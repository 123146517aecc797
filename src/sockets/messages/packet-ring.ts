// A packet socket's ring (PACKET_RX_RING, packet_mmap of Linux's documentation): frames in memory that the program has
// mapped, each in a slot with a header; a word of it says whose the slot is. TPACKET_V1 and V2. libpcap reads nothing else.
import { EBUSY, EINVAL, ENOMEM } from '../../base/errno.ts'
import { copy } from '../../base/bytes.ts'
import * as libc from '../../ffi/libc.ts'
import { CHUNK_MAX_LOG2, CHUNK_MIN_LOG2 } from '../../shm/chunks.ts'
import { geom, geomOffset, RECORD } from '../../shm/layout.ts'
import type { SeenFrame } from '../../stack/stack.ts'
import type { Ground } from '../ground.ts'
import { QUIET } from './flags.ts'
import * as P from './packet-options.ts'
import type { MessageSocket } from './message-socket.ts'

const PAGE = 4096
const ALIGNMENT = 16
const SOCKADDR_LL_LEN = 20
/** sizeof(struct tpacket_hdr) and (struct tpacket2_hdr), which PACKET_HDRLEN tells. */
const HEADER_LEN = 32

const TP_STATUS_KERNEL = 0
export const TP_STATUS_USER = 1
const TP_STATUS_LOSING = 4

/** Who fills the rest of a slot's header, and the sockaddr_ll behind it. */
export interface SlotFiller {
  status(frame: SeenFrame): number
  name(view: DataView, at: number, frame: SeenFrame): void
}

/** PACKET_HDRLEN of a version; a negative errno: there is none. */
export const headerLength = (version: number): number =>
  version === P.TPACKET_V1 || version === P.TPACKET_V2 ? HEADER_LEN : -EINVAL

export class PacketRing {
  private readonly m: MessageSocket
  private readonly ground: Ground
  private readonly view: DataView
  /** Where it begins in the region. */
  private readonly start: number
  private readonly frames: number
  private readonly frameSize: number
  private readonly blockSize: number
  private readonly version: number
  private readonly reserve: number

  /** The ring that the row tells of. */
  constructor(ground: Ground, m: MessageSocket) {
    const { options } = m
    this.ground = ground
    this.m = m
    this.start = geomOffset(options[P.RING_GEOM])
    this.frames = options[P.RING_FRAMES]
    this.frameSize = options[P.RING_FRAME_SIZE]
    this.blockSize = options[P.RING_BLOCK_SIZE]
    this.version = options[P.VERSION]
    this.reserve = options[P.RESERVE]
    this.view = new DataView(ground.region.bytes.buffer, this.start)
  }

  /** struct tpacket_req, checked as Linux does it. The ring, or a negative errno. */
  static make(ground: Ground, m: MessageSocket, request: Uint32Array): PacketRing | number {
    const [blockSize, blocks, frameSize, frames] = request
    const { options } = m
    if (options[P.RING_GEOM] !== 0) return -EBUSY
    if (blockSize === 0 || blockSize > 0x7fffffff || blockSize % PAGE !== 0) return -EINVAL
    if (frameSize < HEADER_LEN + SOCKADDR_LL_LEN + options[P.RESERVE]) return -EINVAL
    if (frameSize % ALIGNMENT !== 0) return -EINVAL
    const perBlock = Math.floor(blockSize / frameSize)
    if (perBlock === 0 || perBlock * blocks !== frames) return -EINVAL
    const bytes = blockSize * blocks
    const log2 = Math.max(CHUNK_MIN_LOG2, Math.ceil(Math.log2(bytes)))
    const offset = log2 > CHUNK_MAX_LOG2 ? -1 : ground.chunks.alloc(log2)
    if (offset < 0) return -ENOMEM
    ground.region.bytes.fill(0, offset, offset + bytes)
    options[P.RING_GEOM] = geom(offset, log2)
    options[P.RING_BLOCK_SIZE] = blockSize
    options[P.RING_FRAME_SIZE] = frameSize
    options[P.RING_FRAMES] = frames
    options[P.RING_HEAD] = 0
    const ring = new PacketRing(ground, m)
    m.share(RECORD.rung, 1)
    m.share(RECORD.rx_tail, ring.start + ring.slot(frames - 1))
    m.share(RECORD.rx_geom, options[P.RING_GEOM])
    m.share(RECORD.ring_size, bytes)
    // Behind what has come so far: who takes the token takes that with it.
    ring.sendToken()
    return ring
  }

  /** Makes the socket readable, unless it is; packet_settle() in preload/packet.c takes that back. */
  ring(): void {
    const { m } = this
    if (m.fd < 0 || !m.compareSwap(RECORD.rung, 0, 1)) return
    // The slot was given back meanwhile. Who has seen the 1 waits for the token, though.
    if (!this.isReadable && m.compareSwap(RECORD.rung, 1, 0)) return
    this.sendToken()
  }

  /** That `rung` counts already. If the socket is full, what lies there makes it readable. */
  private sendToken(): void {
    const { m, ground } = this
    if (libc.send(m.fd, ground.messages.stage.address, 1, QUIET) < 0)
      m.compareSwap(RECORD.rung, 1, 0)
  }

  /** The program has not given the latest slot back, or is to be told of an error. */
  get isReadable(): boolean {
    if (this.m.peek(RECORD.so_error) !== 0) return true
    const last = (this.m.options[P.RING_HEAD] || this.frames) - 1
    const word = (this.start + this.slot(last)) / 4
    return Atomics.load(this.ground.region.words, word) !== TP_STATUS_KERNEL
  }

  /** Where slot `i` is: none lies across the end of a block. */
  private slot(i: number): number {
    const perBlock = Math.floor(this.blockSize / this.frameSize)
    return Math.floor(i / perBlock) * this.blockSize + (i % perBlock) * this.frameSize
  }

  /** `wanted` bytes of the frame into the next slot. False: the program has it still. */
  write(frame: SeenFrame, wanted: number, now: number, filler: SlotFiller): boolean {
    const { view, m, start, ground } = this
    const { options } = m
    const at = this.slot(options[P.RING_HEAD])
    const word = (start + at) / 4
    if (Atomics.load(ground.region.words, word) !== TP_STATUS_KERNEL) return false
    const link = frame.network - frame.at
    const headers = HEADER_LEN + SOCKADDR_LL_LEN
    const net =
      link === 0
        ? align(headers) + 16 + this.reserve
        : align(headers + Math.max(16, link)) + this.reserve
    const mac = net - link
    const n = Math.max(0, Math.min(wanted, this.frameSize - mac))
    copy(ground.region.bytes, start + at + mac, frame.bytes, frame.at, n)
    // Of V1 the status is a long.
    const field = at + (this.version === P.TPACKET_V1 ? 8 : 4)
    const seconds = Math.floor(now / 1000)
    view.setUint32(field, frame.length, true)
    view.setUint32(field + 4, n, true)
    view.setUint16(field + 8, mac, true)
    view.setUint16(field + 10, net, true)
    view.setUint32(field + 12, seconds, true)
    const rest = now - 1000 * seconds
    if (this.version === P.TPACKET_V1) view.setUint32(field + 16, Math.floor(rest * 1e3), true)
    else {
      view.setUint32(field + 16, Math.floor(rest * 1e6), true)
      view.setUint16(field + 20, Math.max(0, frame.tag), true)
      view.setUint16(field + 22, frame.tagType, true)
      view.setUint32(field + 24, 0, true)
    }
    filler.name(view, at + HEADER_LEN, frame)
    // Until the program has asked how many were lost.
    const losing = options[P.DROPPED] === 0 ? 0 : TP_STATUS_LOSING
    const status = filler.status(frame) | losing
    options[P.RING_HEAD] = (options[P.RING_HEAD] + 1) % this.frames
    // Before the status, by which packet_settle() (preload/packet.c) sees that something is there.
    m.share(RECORD.rx_tail, start + at)
    Atomics.store(ground.region.words, word, status)
    this.ring()
    return true
  }

  /** Gives the memory back; the socket is as it was before. */
  close(): void {
    const { m } = this
    m.share(RECORD.ring_size, 0)
    m.share(RECORD.rx_geom, 0)
    m.options[P.RING_GEOM] = 0
    this.ground.chunks.free(this.start)
  }
}

/** The memory of the ring that the socket had under a stack thread before this one is taken, as it was. */
export function claimRing(ground: Ground, { options, index }: MessageSocket): void {
  const g = options[P.RING_GEOM]
  if (g !== 0 && !ground.chunks.claim(geomOffset(g), g & 31))
    throw new Error(`the ring of record ${index} is in others' memory`)
}

const align = (n: number) => (n + ALIGNMENT - 1) & -ALIGNMENT
