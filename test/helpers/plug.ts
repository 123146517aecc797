// A plug whose other end is the test.
import type { FrameHandler, Plug } from '../../src/plug/plug.ts'
import { CHECKSUM_VALID, type FrameSink } from '../../src/stack/link/sink.ts'
import type { Mac } from '../../src/wire/mac.ts'

export interface TestFrame {
  bytes: Uint8Array
  gsoSize: number
  checksumStart: number
  checksumOffset: number
}

export const testFrame = (bytes: Uint8Array, gsoSize = 0, start = 0, offset = 0): TestFrame => ({
  bytes,
  gsoSize,
  checksumStart: start,
  checksumOffset: offset,
})

class TestSink implements FrameSink {
  readonly mtu: number
  readonly maxFrame = 65_549
  readonly offload: boolean
  readonly bytes = new Uint8Array(70_000)
  /** Frames that it takes before it is full. */
  room = Infinity
  readonly sent: TestFrame[] = []
  #opened = 0

  constructor(mtu: number, offload: boolean) {
    this.mtu = mtu
    this.offload = offload
  }
  open(length: number): number {
    this.#opened = length
    return this.room > 0 ? 100 : -1
  }
  close(length: number, gsoSize: number, start: number, offset: number): void {
    if (length > this.#opened) throw new Error(`${length} bytes, ${this.#opened} were opened`)
    this.room--
    this.sent.push(testFrame(this.bytes.slice(100, 100 + length), gsoSize, start, offset))
  }
}

export class TestPlug implements Plug {
  readonly sink: TestSink
  readonly fd: number
  readonly controlFd: number
  broken = false
  next = Infinity
  /** What receive() will give. */
  readonly coming: (TestFrame | Mac)[] = []
  flushed = 0
  armed = 0
  woken = 0
  closed = 0
  asked = 0
  sendsUdpSegments = false

  constructor({ mtu = 1500, offload = true, fd = -1, controlFd = -1 } = {}) {
    this.fd = fd
    this.controlFd = controlFd
    this.sink = new TestSink(mtu, offload)
  }
  askUdpSegments(): void {
    this.asked++
  }
  receive(handler: FrameHandler, budget: number, now: number): number {
    let n = 0
    for (; n < budget && this.coming.length > 0; n++) {
      const frame = this.coming.shift()!
      if (!('bytes' in frame)) handler.stationGone(frame, now)
      else {
        const { bytes, gsoSize, checksumStart, checksumOffset } = frame
        handler.frameArrives(
          bytes,
          0,
          bytes.length,
          CHECKSUM_VALID,
          gsoSize,
          now,
          checksumStart,
          checksumOffset,
        )
      }
    }
    return n
  }
  flush(): void {
    this.flushed++
  }
  arm(): boolean {
    this.armed++
    return this.coming.length === 0
  }
  wake(): void {
    this.woken++
  }
  close(): void {
    this.closed++
  }
}

/** Who takes what a plug receives, and writes it down. */
export class Recorder implements FrameHandler {
  readonly frames: (TestFrame & { checksum: number })[] = []
  readonly gone: Mac[] = []
  frameArrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksum: number,
    gsoSize: number,
    _now: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    const copy = bytes.slice(at, at + length)
    this.frames.push({ ...testFrame(copy, gsoSize, checksumStart, checksumOffset), checksum })
  }
  stationGone(mac: Mac): void {
    this.gone.push(mac)
  }
}

/** Sends a frame by a plug's sink; false: no room. */
export function send({ sink }: Plug, frame: TestFrame): boolean {
  const at = sink.open(frame.bytes.length)
  if (at < 0) return false
  sink.bytes.set(frame.bytes, at)
  sink.close(frame.bytes.length, frame.gsoSize, frame.checksumStart, frame.checksumOffset)
  return true
}
