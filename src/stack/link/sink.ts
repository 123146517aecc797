/**
 * Where a nic's frames go: a switch port, a test's wire. Implemented outside the core. A frame is built in
 * the sink's own memory (for a switch port that is the shared frame ring), so it is copied once.
 */
export interface FrameSink {
  /** Largest packet (IP header and on) that any station of this link can take: 1500. */
  readonly mtu: number
  /** Largest frame, Ethernet header included, that may be opened. 65,549 where offload is true. */
  readonly maxFrame: number
  /** Frames may be longer than mtu (with a segment size) and leave the transport checksum undone. */
  readonly offload: boolean
  /** The memory of the frame opened last. */
  readonly bytes: Uint8Array
  /**
   * Memory for a frame of at most `length` bytes: its offset in `bytes`; -1: no room now (try later). A frame that
   * is not closed before the next one is opened was never there.
   */
  open(length: number): number
  /**
   * Sends the frame opened last, `length` bytes of it. `gsoSize`: text bytes per segment if it is longer than the
   * mtu, else 0. `checksumStart` (from the frame's first byte) is not 0 when the checksum at checksumStart +
   * checksumOffset holds only the pseudo-header's sum and covers the rest (virtio's NEEDS_CSUM).
   */
  close(length: number, gsoSize: number, checksumStart: number, checksumOffset: number): void
}

/** What is known of an arriving frame's transport checksum. */
export const CHECKSUM_UNKNOWN = 0
/** Verified by someone we trust, or never computed because it crossed only memory. */
export const CHECKSUM_VALID = 1
