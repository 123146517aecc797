import type { FrameReader, FrameWriter } from '../ring/frame-ring.ts'
import type { Mac } from '../wire/mac.ts'

/** Who is behind a port, as it says itself. */
export interface Station {
  /** undefined: a bridge. Stations are behind it, and send from their own addresses. */
  readonly mac: Mac | undefined
  readonly pid: number
  readonly command: string
}

/** The switch's end of one station's cable: two rings, and how to wake the station. */
export class SwitchPort {
  readonly station: Station
  /** What the station sends. */
  readonly from: FrameReader
  /** What it receives. */
  readonly to: FrameWriter
  /** Rings the station's doorbell; must not block, whatever the station does. */
  readonly ring: () => void
  /** Its number in the switch while it is there. */
  number = -1
  /** The switch looks at `from` each turn; otherwise the station's doorbell will tell. */
  awake = true
  /** Something was put into `to` since its doorbell was considered. */
  touched = false
  /** Frames taken from the station; of them dropped because they are no valid frames, or carry another's address. */
  received = 0
  malformed = 0
  spoofed = 0
  /** Frames and notices for the station that found its ring full. */
  overrun = 0

  constructor(station: Station, from: FrameReader, to: FrameWriter, ring: () => void) {
    this.station = station
    this.from = from
    this.to = to
    this.ring = ring
  }

  /** The station wrote what no station of ours writes. */
  get broken(): boolean {
    return this.from.broken || this.to.broken
  }
}
