// The memory and the doorbells of one port, made by the switch: see plug/port.ts for the other end.
import * as libc from '../ffi/libc.ts'
import { portBytes } from '../plug/port.ts'
import { FrameReader, frameRingBytes, FrameWriter } from '../ring/frame-ring.ts'

const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
const F_ADD_SEALS = 1033
/** SEAL | SHRINK | GROW: a station that could shrink it could make the switch fault. */
const SEALS = 1 | 2 | 4

export class Cable {
  readonly from: FrameReader
  readonly to: FrameWriter
  /** Readable when the station rings. */
  readonly doorbell: number
  /** For the station: the memory, its end of the doorbell. */
  readonly stationFds: number[]
  readonly #address: number
  readonly #size: number

  private constructor(
    address: number,
    ringSize: number,
    mtu: number,
    doorbell: number,
    stationFds: number[],
  ) {
    this.#address = address
    this.#size = portBytes(ringSize)
    this.doorbell = doorbell
    this.stationFds = stationFds
    const memory = libc.view(address, this.#size)
    this.from = new FrameReader(memory, 0, ringSize)
    this.to = new FrameWriter(memory, frameRingBytes(ringSize), ringSize, mtu)
  }

  /** A new cable; a negative errno when descriptors or memory are used up. */
  static make(ringSize: number, mtu: number): Cable | number {
    const memfd = libc.memfdCreate('ioth port', MFD_CLOEXEC | MFD_ALLOW_SEALING)
    if (memfd < 0) return memfd
    const opened = [memfd]
    const give = (errno: number) => {
      for (const fd of opened) libc.close(fd)
      return errno
    }
    const size = portBytes(ringSize)
    const sized = libc.ftruncate(memfd, size)
    if (sized < 0) return give(sized)
    const sealed = libc.fcntl(memfd, F_ADD_SEALS, SEALS)
    if (sealed < 0) return give(sealed)
    const doorbell = libc.socketpair(libc.SOCK_STREAM)
    if (typeof doorbell === 'number') return give(doorbell)
    opened.push(...doorbell)
    const address = libc.mmap(memfd, size)
    if (address < 0) return give(address)
    return new Cable(address, ringSize, mtu, doorbell[0], [memfd, doorbell[1]])
  }

  /** Wakes the station. A socket that takes no more rang already; one that is closed shows in epoll. */
  ring(): void {
    libc.send(this.doorbell, libc.scratch, 1, libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL)
  }

  /** Takes the doorbell's bytes. */
  answer(): void {
    libc.recv(this.doorbell, libc.scratch, 64, libc.MSG_DONTWAIT)
  }

  /** The station has its ends. */
  closeStationFds(): void {
    for (const fd of this.stationFds.splice(0)) libc.close(fd)
  }

  /** Nothing may touch the rings afterwards. */
  close(): void {
    this.closeStationFds()
    libc.close(this.doorbell)
    libc.munmap(this.#address, this.#size)
  }
}
