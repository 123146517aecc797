// Everything that moves frames between a stack and the world is a plug, named by a VNL ("virtual network locator", as in
// vdeplug4): `scheme://address`. A path with a slash in it is short for the switch in that directory.
import { isAbsolute, join, resolve } from 'node:path'

import { UserError } from '../base/user-error.ts'
import type { FrameSink } from '../stack/link/sink.ts'
import type { Mac } from '../wire/mac.ts'

/** Who takes what a plug receives: a stack. */
export interface FrameHandler {
  /** A frame of `length` bytes at `bytes[offset]`, valid until this returns. `checksum`: CHECKSUM_* of FrameSink. */
  frameArrives(
    bytes: Uint8Array,
    offset: number,
    length: number,
    checksum: number,
    gsoSize: number,
    now: number,
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
  /** EPOLLHUP or EPOLLRDHUP: the other end is gone; close(). */
  readonly controlFd: number
  /** The other end broke the rules: nothing comes or goes any more; close(). */
  readonly broken: boolean
  /** Hands over up to `budget` frames and rings the other end for what was sent. How many; 0: nothing there. */
  receive(handler: FrameHandler, budget: number, now: number): number
  /** Wakes the other end if it sleeps beside frames sent. arm() and receive() do it too. */
  flush(): void
  /** About to sleep. False: frames wait, or the room that open() did not find is there: do not sleep. */
  arm(): boolean
  /** Awake again: takes the doorbell's bytes. Does nothing unless armed. */
  wake(): void
  /** Gives everything back. The sink may still be written to; nobody reads it. */
  close(): void
}

/** Where a VNL leads: a switch's directory, and what to call the network in messages. */
export interface Network {
  readonly name: string
  readonly directory: string
  /** Below the runtime directory: its parents are ours to make. */
  readonly own: boolean
}

/** Takes a VNL apart. `runtime` gives the user's runtime directory. Throws a UserError that names what is wrong. */
export function parseVnl(vnl: string, runtime: () => string): Network {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(vnl)
  if (scheme === null) {
    if (!vnl.includes('/'))
      throw new UserError(
        `Cannot open network "${vnl}": neither a VNL nor a path (switch://NAME, or a directory with a slash)`,
      )
    return { name: vnl, directory: resolve(vnl), own: false }
  }
  if (scheme[1] !== 'switch')
    throw new UserError(`Cannot open network "${vnl}": no such plug (switch)`)
  const address = scheme[2] === '' ? 'default' : scheme[2]
  if (isAbsolute(address)) return { name: address, directory: resolve(address), own: false }
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/.test(address))
    throw new UserError(
      `Cannot open network "${vnl}": a name has up to 64 letters, digits, ".", "_" and "-", and does not begin with "."`,
    )
  return { name: address, directory: join(runtime(), 'net', address), own: true }
}
