// Everything that moves frames between a stack and the world is a plug, named by a VNL (vnl.ts).
import type { FrameSink } from '../stack/link/sink.ts'
import type { Mac } from '../wire/mac.ts'

/** Who takes what a plug receives: a stack. */
export interface FrameHandler {
  /**
   * A frame of `length` bytes at `bytes[offset]`, valid until this returns. `checksum`: CHECKSUM_* of FrameSink. Whoever
   * sends the frame on wants the rest, too: as for FrameSink.close(), which takes it like that.
   */
  frameArrives(
    bytes: Uint8Array,
    offset: number,
    length: number,
    checksum: number,
    gsoSize: number,
    now: number,
    checksumStart: number,
    checksumOffset: number,
  ): void
  /** The station with this MAC address left the network without taking leave of its peers. */
  stationGone(mac: Mac, now: number): void
}

/** One end of a cable, for a synchronous loop that sleeps in epoll. */
export interface Plug {
  /** Where frames are sent. open() gives -1 while the cable is full; then arm() asks for a doorbell. */
  readonly sink: FrameSink
  /** Readable (level-triggered) when frames or room came while armed. Call wake() then. */
  readonly fd: number
  /** EPOLLHUP or EPOLLRDHUP: the other end is gone; close(). -1: `broken` alone tells. */
  readonly controlFd: number
  /** The other end broke the rules: nothing comes or goes any more; close(). */
  readonly broken: boolean
  /** When receive() is to be called without a doorbell (ms, with fractions); Infinity: not. */
  readonly next: number
  /** Its sink takes rows of UDP datagrams, not only of TCP segments. */
  readonly sendsUdpSegments?: boolean
  /** The handler can cut rows of UDP datagrams: they may come from now on. */
  askUdpSegments?(): void
  /** Hands over up to `budget` frames and rings the other end for what was sent. How many; 0: nothing there. */
  receive(handler: FrameHandler, budget: number, now: number): number
  /** Wakes the other end if it sleeps beside frames sent. arm() and receive() do it too. */
  flush(): void
  /** About to sleep. False: frames wait, or the room that open() did not find is there: do not sleep. */
  arm(): boolean
  /** Awake again; if its descriptor was readable (`rang`), takes the doorbell's bytes. Does nothing unless armed. */
  wake(rang?: boolean): void
  /** Gives everything back. The sink may still be written to; nobody reads it. */
  close(): void
}
