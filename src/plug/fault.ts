// fault://WORDS{VNL}: a plug behind a link that is not perfect (fault-line.ts; the words are in fault-parameters.ts).
//
// A row of segments in one frame could be lost only as a whole, and a checksum that nobody computed cannot show damage: so
// frames are cut and summed before they meet their fate, and whoever gets them is told to look at the checksum.
import { CHECKSUM_UNKNOWN, type FrameSink } from '../stack/link/sink.ts'
import { MAX_FRAME } from '../ring/frame-ring.ts'
import type { Mac } from '../wire/mac.ts'
import { Segmenter } from '../wire/segment.ts'
import { FaultLine } from './fault-line.ts'
import type { FaultParameters } from './fault-parameters.ts'
import type { FrameHandler, Plug } from './plug.ts'

export type FaultNumbers = FaultParameters

/** Frames taken from the inner plug in one go. */
const BATCH = 64

/** The entrance of a line: cuts what is too long for a wire. */
class Entrance {
  readonly line: FaultLine
  malformed = 0
  readonly #segmenter = new Segmenter()
  readonly #wire = new Uint8Array(MAX_FRAME)

  constructor(line: FaultLine) {
    this.line = line
  }

  enter(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
    now: number,
  ): void {
    if (gsoSize === 0 && checksumStart === 0) return this.line.enter(bytes, at, length, now)
    const segmenter = this.#segmenter
    if (!segmenter.start(bytes, at, length, gsoSize, checksumStart, checksumOffset)) {
      this.malformed++
      return
    }
    for (let n = segmenter.next(this.#wire, 0); n > 0; n = segmenter.next(this.#wire, 0))
      this.line.enter(this.#wire, 0, n, now)
  }
}

class FaultSink implements FrameSink {
  readonly mtu: number
  readonly maxFrame = MAX_FRAME
  readonly offload = true
  readonly bytes = new Uint8Array(MAX_FRAME + 2)
  /** open() found the sender's interface busy. */
  wanted = false
  readonly #entrance: Entrance
  readonly #clock: () => number

  constructor(mtu: number, entrance: Entrance, clock: () => number) {
    this.mtu = mtu
    this.#entrance = entrance
    this.#clock = clock
  }

  open(length: number): number {
    if (length > MAX_FRAME) throw new RangeError(`frame of ${length} bytes`)
    const { senderBusy } = this.#entrance.line
    this.wanted = senderBusy > 0 && senderBusy > this.#clock()
    return this.wanted ? -1 : 2
  }

  close(length: number, gsoSize: number, checksumStart: number, checksumOffset: number): void {
    const now = this.#clock()
    this.#entrance.enter(this.bytes, 2, length, gsoSize, checksumStart, checksumOffset, now)
  }
}

export class FaultPlug implements Plug {
  readonly sink: FaultSink
  readonly fd: number
  readonly controlFd: number
  /** Toward the inner plug, and from there. */
  readonly out: FaultLine
  readonly in: FaultLine
  readonly parameters: FaultParameters
  readonly inner: Plug
  readonly #clock: () => number
  readonly #handler: FrameHandler
  /** Who receive() was given: a notice needs no line. */
  #outer: FrameHandler | undefined
  /** A frame is due that the inner plug has no room for. */
  #stuck = false

  constructor(parameters: FaultNumbers, inner: Plug, clock: () => number) {
    this.parameters = parameters
    this.inner = inner
    this.fd = inner.fd
    this.controlFd = inner.controlFd
    this.out = new FaultLine(parameters.out, parameters.seed, 0)
    this.in = new FaultLine(parameters.in, parameters.seed, 1)
    this.sink = new FaultSink(inner.sink.mtu, new Entrance(this.out), clock)
    const arrivals = new Entrance(this.in)
    this.#clock = clock
    this.#handler = {
      frameArrives: (bytes, at, length, _checksum, gsoSize, now, start, offset) =>
        arrivals.enter(bytes, at, length, gsoSize, start, offset, now),
      stationGone: (mac: Mac, now: number) => this.#outer?.stationGone(mac, now),
    }
  }

  get broken(): boolean {
    return this.inner.broken
  }

  get next(): number {
    let next = Math.min(this.inner.next, this.in.store.next)
    if (this.sink.wanted) next = Math.min(next, this.out.senderBusy)
    return this.#stuck ? next : Math.min(next, this.out.store.next)
  }

  receive(handler: FrameHandler, budget: number, now: number): number {
    const { store } = this.in
    this.#outer = handler
    this.inner.receive(this.#handler, BATCH, now)
    this.#send(now)
    let n = 0
    for (; n < budget && store.peek(now); n++) {
      handler.frameArrives(store.bytes, store.at, store.length, CHECKSUM_UNKNOWN, 0, now, 0, 0)
      store.release()
    }
    return n
  }

  flush(): void {
    this.#send(this.#clock())
    this.inner.flush()
  }

  arm(): boolean {
    this.#send(this.#clock())
    return this.inner.arm()
  }

  wake(): void {
    this.inner.wake()
  }

  close(): void {
    this.inner.close()
  }

  /** Hands what has arrived at the end of the line to the inner plug. */
  #send(now: number): void {
    const { store } = this.out
    const { sink } = this.inner
    this.#stuck = false
    while (store.peek(now)) {
      const at = sink.open(store.length)
      if (at < 0) {
        this.#stuck = true
        return
      }
      sink.bytes.set(store.bytes.subarray(store.at, store.at + store.length), at)
      sink.close(store.length, 0, 0, 0)
      store.release()
    }
  }
}
