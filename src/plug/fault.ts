// fault://WORDS{VNL}: a plug behind a link that is not perfect (fault-line.ts; the words are in fault-parameters.ts).
//
// A row of segments in one frame could be lost only as a whole, and a checksum that nobody computed cannot show damage: so
// frames are cut and summed before they meet their fate, and whoever gets them is told to look at the checksum. What then
// arrives together, whole and in order, is put together again (segment-runs.ts): a frame for each 1,448 bytes would cost
// the receiver five times as much.
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID, type FrameSink } from '../stack/link/sink.ts'
import { MAX_FRAME } from '../ring/frame-ring.ts'
import type { Mac } from '../wire/mac.ts'
import { Segmenter } from '../wire/segment.ts'
import { FaultLine } from './fault-line.ts'
import type { FaultParameters } from './fault-parameters.ts'
import type { FrameStore } from './frame-store.ts'
import type { FrameHandler, Plug } from './plug.ts'
import { SegmentRuns } from './segment-runs.ts'

export type FaultNumbers = FaultParameters

/** Frames taken from the inner plug in one go. */
const BATCH = 64

/** The entrance of a line: cuts what is too long for a wire. */
class Entrance {
  readonly line: FaultLine
  readonly runs = new SegmentRuns()
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
    const run = segmenter.count > 1 ? this.runs.begin(segmenter) : 0
    for (let i = 0; i < segmenter.count; i++)
      this.line.enter(this.#wire, 0, segmenter.next(this.#wire, 0), now, run, i)
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

/** The exit of a line: puts together what belongs together. */
class Exit {
  /** The frame taken last, for whoever it goes to: FrameSink.close()'s arguments. */
  length = 0
  gsoSize = 0
  checksumStart = 0
  checksumOffset = 0
  readonly #line: FaultLine
  readonly #runs: SegmentRuns

  constructor({ line, runs }: Entrance) {
    this.#line = line
    this.#runs = runs
  }

  /** Room for what take() may write: the frame that is due, and those that may be joined to it. */
  get room(): number {
    const { store } = this.#line
    return this.#runs.isKnown(store.run) ? MAX_FRAME : store.length
  }

  /** Writes what is due first to `bytes[at]`. `join`: the other side takes rows of segments. */
  take(bytes: Uint8Array, at: number, now: number, join: boolean): void {
    const { store } = this.#line
    const runs = this.#runs
    const run = join && runs.isKnown(store.run) ? store.run : 0
    copy(store, 0, bytes, at)
    let { length, index } = store
    store.release()
    const header = run === 0 ? 0 : runs.header(run)
    let joined = false
    while (
      run !== 0 &&
      store.peek(now) &&
      store.run === run &&
      store.index === index + 1 &&
      length + store.length - header <= MAX_FRAME
    ) {
      copy(store, header, bytes, at + length)
      length += store.length - header
      index++
      joined = true
      runs.takeFlags(run, store.bytes, store.at, bytes, at)
      store.release()
    }
    this.length = length
    this.gsoSize = joined ? runs.size(run) : 0
    this.checksumStart = joined ? runs.transport(run) : 0
    this.checksumOffset = joined ? runs.checksumOffset(run) : 0
    if (joined) runs.join(run, bytes, at, length)
  }
}

/** Copies the frame that `store` stands at, from byte `from` on. */
function copy(store: FrameStore, from: number, bytes: Uint8Array, at: number): void {
  bytes.set(store.bytes.subarray(store.at + from, store.at + store.length), at)
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
  readonly #outExit: Exit
  readonly #inExit: Exit
  readonly #handler: FrameHandler
  readonly #arrived = new Uint8Array(2 + MAX_FRAME)
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
    const departures = new Entrance(this.out)
    const arrivals = new Entrance(this.in)
    this.sink = new FaultSink(inner.sink.mtu, departures, clock)
    this.#outExit = new Exit(departures)
    this.#inExit = new Exit(arrivals)
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
    for (; n < budget && store.peek(now); n++) this.#deliver(handler, now)
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

  wake(rang?: boolean): void {
    this.inner.wake(rang)
  }

  close(): void {
    this.inner.close()
  }

  #deliver(handler: FrameHandler, now: number): void {
    const exit = this.#inExit
    exit.take(this.#arrived, 2, now, true)
    const { length, gsoSize, checksumStart, checksumOffset } = exit
    // Nobody damaged what could be joined.
    const checksum = checksumStart === 0 ? CHECKSUM_UNKNOWN : CHECKSUM_VALID
    handler.frameArrives(
      this.#arrived,
      2,
      length,
      checksum,
      gsoSize,
      now,
      checksumStart,
      checksumOffset,
    )
  }

  /** Hands what has arrived at the end of the line to the inner plug. */
  #send(now: number): void {
    const { store } = this.out
    const { sink } = this.inner
    const exit = this.#outExit
    this.#stuck = false
    while (store.peek(now)) {
      const at = sink.open(sink.offload ? exit.room : store.length)
      if (at < 0) {
        this.#stuck = true
        return
      }
      exit.take(sink.bytes, at, now, sink.offload)
      sink.close(exit.length, exit.gsoSize, exit.checksumStart, exit.checksumOffset)
    }
  }
}
