// A cable between two plugs: what comes out of one goes into the other. A frame keeps its offload header where the other
// side takes it; else it is cut and summed here. Nothing is read that there is no room for: it waits where it came from.
//
// One synchronous loop, which sleeps in one epoll_wait, like a stack's (server/thread.ts).
import { describeErrno, EINTR } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import type { FrameSink } from '../stack/link/sink.ts'
import { networkOffset, Segmenter, UDP_CHECKSUM_OFFSET } from '../wire/segment.ts'
import { dataOffset } from '../wire/tcp.ts'
import { UDP_HEADER_LEN } from '../wire/udp.ts'
import type { FrameHandler, Plug } from './plug.ts'

/** Frames from one side before the other has its turn. */
const BUDGET = 64
/** A busy cable looks at its descriptors this often, in turns. */
const TURNS_PER_POLL = 16
/** Both ways are full: whoever makes room rings, or not, if it is no switch. */
const FULL_MS = 1

/** One direction. */
class Way implements FrameHandler {
  readonly from: Plug
  readonly to: Plug
  frames = 0
  bytes = 0
  /** Longer than the other side's mtu, and no row of segments. */
  tooLong = 0
  malformed = 0
  /** Segments that found no room: the frame they were cut from was taken already. */
  overrun = 0
  /** There was no room for one more frame. */
  blocked = false
  readonly #segmenter = new Segmenter()
  readonly #udp: boolean

  constructor(from: Plug, to: Plug) {
    this.from = from
    this.to = to
    this.#udp = to.sendsUdpSegments ?? false
    from.askUdpSegments?.()
  }

  /** Takes frames while there are some, and room for them. How many. */
  turn(now: number): number {
    const { from, to } = this
    for (let n = 0; n < BUDGET; n++) {
      this.blocked = to.sink.open(to.sink.maxFrame) < 0
      if (this.blocked || from.receive(this, 1, now) === 0) return n
    }
    return BUDGET
  }

  frameArrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    _checksum: number,
    gsoSize: number,
    _now: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const { sink } = this.to
    this.frames++
    this.bytes += length
    const most = sink.mtu + networkOffset(bytes, at)
    const udp = checksumOffset === UDP_CHECKSUM_OFFSET
    if (gsoSize > 0) {
      const transport = udp ? UDP_HEADER_LEN : dataOffset(bytes, at + checksumStart)
      const room = most - checksumStart - transport
      // Segments may be cut anew; datagrams are what they are.
      if (gsoSize > room && udp) gsoSize = 0
      else gsoSize = Math.min(gsoSize, room)
      if (gsoSize <= 0) {
        this.tooLong++
        return
      }
    } else if (length > most) {
      this.tooLong++
      return
    }
    if (sink.offload && (gsoSize === 0 || this.#udp || !udp))
      this.#put(sink, bytes, at, length, gsoSize, checksumStart, checksumOffset)
    else this.#cut(sink, bytes, at, length, gsoSize, checksumStart, checksumOffset)
  }

  /** Stations of a switch mean nothing to the other side; there they time out. */
  stationGone(): void {}

  #put(
    sink: FrameSink,
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const to = sink.open(length)
    if (to < 0) {
      this.overrun++
      return
    }
    sink.bytes.set(bytes.subarray(at, at + length), to)
    sink.close(length, gsoSize, checksumStart, checksumOffset)
  }

  #cut(
    sink: FrameSink,
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const segmenter = this.#segmenter
    if (!segmenter.start(bytes, at, length, gsoSize, checksumStart, checksumOffset)) {
      this.malformed++
      return
    }
    for (let left = segmenter.count; left > 0; left--) {
      const to = sink.open(segmenter.longest)
      if (to < 0) {
        this.overrun += left
        return
      }
      sink.close(segmenter.next(sink.bytes, to), 0, 0, 0)
    }
  }
}

/** Epoll's numbers: a plug's doorbell and, one more, its control connection. */
const A = 0
const B = 2

export class PatchCable {
  readonly there: Way
  readonly back: Way
  readonly #clock: () => number
  readonly #epoll: number
  readonly #events = new libc.EpollEvents(8)
  readonly #plugs: [Plug, Plug]
  /** Is the doorbell's news wanted? */
  readonly #wanted = [true, true]
  #turns = 0

  constructor(a: Plug, b: Plug, clock: () => number) {
    this.#clock = clock
    this.#plugs = [a, b]
    this.there = new Way(a, b)
    this.back = new Way(b, a)
    this.#epoll = libc.epollCreate()
    if (this.#epoll < 0) throw new Error(`epoll_create1: ${describeErrno(this.#epoll)}`)
    this.#watch(a, A)
    this.#watch(b, B)
  }

  /** Carries frames for `ms`, or until a signal came. The plug whose other end is gone; undefined: none. */
  run(ms: number): Plug | undefined {
    const until = this.#clock() + ms
    const [a, b] = this.#plugs
    for (;;) {
      const now = this.#clock()
      const n = this.there.turn(now) + this.back.turn(now)
      a.flush()
      b.flush()
      if (a.broken) return a
      if (b.broken) return b
      if (n > 0 && ++this.#turns % TURNS_PER_POLL !== 0) continue
      if (now >= until) return undefined
      const events = n > 0 ? this.#poll(0) : this.#sleep(until)
      if (events === -EINTR) return undefined
      for (let i = 0; i < events; i++) {
        const data = this.#events.data(i)
        const hung = libc.EPOLLHUP | libc.EPOLLERR | libc.EPOLLRDHUP
        if ((data & 1) === 1 && (this.#events.events(i) & hung) !== 0) return data < B ? a : b
      }
    }
  }

  /** Closes the cable, not the plugs. */
  close(): void {
    libc.close(this.#epoll)
  }

  #sleep(until: number): number {
    const [a, b] = this.#plugs
    const { there, back } = this
    // A plug that is not read from need not tell that there is something.
    this.#want(0, a, !there.blocked)
    this.#want(1, b, !back.blocked)
    const idleA = there.blocked || a.arm()
    const idleB = back.blocked || b.arm()
    let next = Math.min(until, a.next, b.next)
    const now = this.#clock()
    if (there.blocked && back.blocked) next = Math.min(next, now + FULL_MS)
    const events = this.#poll(idleA && idleB ? Math.max(0, next - now) : 0)
    a.wake()
    b.wake()
    return events
  }

  #poll(ms: number): number {
    const n = this.#events.wait(this.#epoll, ms)
    if (n < 0 && n !== -EINTR) throw new Error(`epoll_wait: ${describeErrno(n)}`)
    return n
  }

  #want(side: 0 | 1, plug: Plug, wanted: boolean): void {
    if (this.#wanted[side] === wanted) return
    this.#wanted[side] = wanted
    const data = side === 0 ? A : B
    libc.epollCtl(this.#epoll, libc.EPOLL_CTL_MOD, plug.fd, wanted ? libc.EPOLLIN : 0, data)
  }

  #watch(plug: Plug, data: number): void {
    const { EPOLL_CTL_ADD, EPOLLIN, EPOLLRDHUP } = libc
    let r = libc.epollCtl(this.#epoll, EPOLL_CTL_ADD, plug.fd, EPOLLIN, data)
    if (r >= 0 && plug.controlFd >= 0)
      r = libc.epollCtl(this.#epoll, EPOLL_CTL_ADD, plug.controlFd, EPOLLRDHUP, data + 1)
    if (r < 0) throw new Error(`epoll_ctl: ${describeErrno(r)}`)
  }
}
