/** Who sees an interface's frames beside whom they are for: packet sockets. Frames are to be copied now, if at all. */
export interface FrameWatcher {
  /** One from the link, whoever it is for, before anybody else gets it. Arguments as FrameSink.close() has them. */
  came(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void
  /** One that goes out. */
  went(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void
}
