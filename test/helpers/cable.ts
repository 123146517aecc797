// A station and its switch port over plain memory: no descriptors, no doorbells but a count.
import {
  FrameReader,
  frameRingBytes,
  FrameWriter,
  MIN_RING,
  RING_FRAME,
  RING_NOTICE,
} from '../../src/ring/frame-ring.ts'
import { SwitchPort } from '../../src/switch/port.ts'
import { Mac } from '../../src/wire/mac.ts'

export const MTU = 1500

export class TestStation {
  readonly mac: Mac
  readonly port: SwitchPort
  readonly memory = new ArrayBuffer(2 * frameRingBytes(MIN_RING))
  readonly sink = new FrameWriter(this.memory, 0, MIN_RING, MTU)
  readonly reader = new FrameReader(this.memory, frameRingBytes(MIN_RING), MIN_RING)
  /** How often the switch rang. */
  rung = 0

  /** `bridge`: it is one, and its address that of a station behind it. */
  constructor(n: number, bridge = false) {
    this.mac = new Mac(0x0200, n)
    const from = new FrameReader(this.memory, 0, MIN_RING)
    const to = new FrameWriter(this.memory, frameRingBytes(MIN_RING), MIN_RING, MTU)
    const station = { mac: bridge ? undefined : this.mac, pid: n, command: `station${n}` }
    this.port = new SwitchPort(station, from, to, () => this.rung++)
  }

  /** Sends a frame; false: no room. */
  send(to: Mac, { from = this.mac, length = 60, tag = 0, gsoSize = 0 } = {}): boolean {
    const at = this.sink.open(length)
    if (at < 0) return false
    const { bytes } = this.sink
    bytes.fill(tag, at, at + length)
    to.write(bytes, at)
    from.write(bytes, at + 6)
    bytes.set([8, 0], at + 12)
    if (gsoSize > 0) {
      bytes[at + 23] = 6
      bytes[at + 46] = 0x80
    }
    this.sink.close(length, gsoSize, gsoSize > 0 ? 34 : 0, gsoSize > 0 ? 16 : 0)
    return true
  }

  /** Takes what came: "source:length:last byte" for a frame, "gone:MAC" for a notice, the low words of the MACs. */
  received(): string[] {
    const got: string[] = []
    for (;;) {
      const found = this.reader.next()
      if (found !== RING_FRAME && found !== RING_NOTICE) break
      const { bytes, at, length } = this.reader
      if (found === RING_NOTICE) got.push(`gone:${Mac.read(bytes, at).low}`)
      else got.push(`${Mac.read(bytes, at + 6).low}:${length}:${bytes[at + length - 1]}`)
      this.reader.release()
    }
    this.reader.commit()
    return got
  }
}
