// A stack's end of a switch port: two frame rings in memory that the switch made, a pair of sockets on which both sides
// ring, and the control connection whose end is the port's end.
//
// The doorbell is no eventfd: whoever holds one can clear its O_NONBLOCK, which is common to all, fill the counter, and
// leave the other side blocked in write(2). A socket takes MSG_DONTWAIT with each call.
import { fstatSync } from 'node:fs'

import * as libc from '../ffi/libc.ts'
import {
  FrameReader,
  frameRingBytes,
  FrameWriter,
  isRingSize,
  NOTICE_STATION_GONE,
  RING_FRAME,
  RING_NOTICE,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
} from '../ring/frame-ring.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../stack/link/sink.ts'
import { Mac } from '../wire/mac.ts'
import type { FrameHandler, Plug } from './plug.ts'

/** All that another thread needs to build the plug: plain numbers. */
export interface PortNumbers {
  /** The memory: the ring toward the switch, then the one from it. */
  readonly memfd: number
  readonly ringSize: number
  readonly mtu: number
  /** One byte sent rings the switch; readable: the switch rang. */
  readonly doorbell: number
  readonly control: number
}

const F_GET_SEALS = 1034
const F_SEAL_SHRINK = 2

export class PortPlug implements Plug {
  readonly sink: FrameWriter
  readonly fd: number
  readonly controlFd: number
  /** Frames from the switch that were no valid frames. */
  malformed = 0
  readonly #numbers: PortNumbers
  readonly #reader: FrameReader

  /** Between arm() and wake(). Whoever sleeps has armed, so bytes that came late or unasked are taken then. */
  #armed = true

  /** Throws if the memory is not what a switch gives: then nothing is mapped. */
  constructor(numbers: PortNumbers) {
    const { memfd, ringSize, mtu } = numbers
    // Memory that can shrink would be a trap: touching what is no more there is SIGBUS.
    const seals = libc.fcntl(memfd, F_GET_SEALS, 0)
    if (seals < 0 || (seals & F_SEAL_SHRINK) === 0)
      throw new Error('the switch gave memory that is not sealed')
    const size = portBytes(ringSize)
    if (!isRingSize(ringSize) || fstatSync(memfd).size < size)
      throw new Error('the switch gave memory of the wrong size')
    const address = libc.mmap(memfd, size)
    if (address < 0) throw new Error(`Cannot map a switch port: mmap gave errno ${-address}`)
    const memory = libc.view(address, size)
    this.#numbers = numbers
    this.fd = numbers.doorbell
    this.controlFd = numbers.control
    this.sink = new FrameWriter(memory, 0, ringSize, mtu)
    this.#reader = new FrameReader(memory, frameRingBytes(ringSize), ringSize)
  }

  get broken(): boolean {
    return this.sink.broken || this.#reader.broken
  }

  get next(): number {
    return Infinity
  }

  receive(handler: FrameHandler, budget: number, now: number): number {
    const reader = this.#reader
    let n = 0
    try {
      while (n < budget && this.#receiveOne(handler, now)) n++
    } catch (error) {
      // A frame at which the stack fails must not be the first that its successor reads.
      reader.release()
      reader.commit()
      throw error
    }
    if (n > 0) {
      reader.commit()
      if (reader.mustRingWriter()) this.#ring()
    }
    this.flush()
    return n
  }

  flush(): void {
    if (this.sink.mustRing()) this.#ring()
  }

  arm(): boolean {
    this.flush()
    this.#armed = this.#reader.arm() && this.sink.armRoom()
    if (!this.#armed) this.#reader.disarm()
    return this.#armed
  }

  wake(rang = true): void {
    if (!this.#armed) return
    this.#armed = false
    this.#reader.disarm()
    this.sink.disarmRoom()
    if (rang) libc.recv(this.fd, libc.scratch, 64, libc.MSG_DONTWAIT)
  }

  close(): void {
    const { memfd, ringSize, doorbell, control } = this.#numbers
    // The mapping stays, so that a late write of the stack hits memory; its pages go back.
    libc.punchHole(memfd, 0, portBytes(ringSize))
    for (const fd of [memfd, doorbell, control]) libc.close(fd)
  }

  #receiveOne(handler: FrameHandler, now: number): boolean {
    const found = this.#reader.next()
    if (found === RING_FRAME) this.#frame(handler, now)
    else if (found === RING_NOTICE) this.#notice(handler, now)
    else return false
    this.#reader.release()
    return true
  }

  #frame(handler: FrameHandler, now: number): void {
    const reader = this.#reader
    if (reader.malformed(this.sink.mtu)) {
      this.malformed++
      return
    }
    const trusted = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID
    const undone = (reader.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0
    handler.frameArrives(
      reader.bytes,
      reader.at,
      reader.length,
      (reader.flags & trusted) === 0 ? CHECKSUM_UNKNOWN : CHECKSUM_VALID,
      reader.gsoSize,
      now,
      undone ? reader.checksumStart : 0,
      undone ? reader.checksumOffset : 0,
    )
  }

  #notice(handler: FrameHandler, now: number): void {
    const reader = this.#reader
    if (reader.noticeType !== NOTICE_STATION_GONE || reader.length !== 6) return
    handler.stationGone(Mac.read(reader.bytes, reader.at), now)
  }

  /** A socket that takes no more rang already; one that is closed shows on the control connection, too. */
  #ring(): void {
    libc.send(this.fd, libc.scratch, 1, libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL)
  }
}

/** Memory of one port: two rings. */
export const portBytes = (ringSize: number) => 2 * frameRingBytes(ringSize)
