// tap://NAME: an Ethernet interface of this machine's kernel. Frames cross with their offload header: the kernel hands over
// rows of segments up to 64 KB, checksums undone, and cuts and sums what we give it like that.
import { setTimeout as delay } from 'node:timers/promises'
import {
  describeErrno,
  EAGAIN,
  EBADFD,
  EBUSY,
  EFAULT,
  EINTR,
  EINVAL,
  EPERM,
} from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import * as tun from '../ffi/tun.ts'
import { MAX_FRAME } from '../ring/frame-ring.ts'
import type { FrameSink } from '../stack/link/sink.ts'
import { ETHER_HEADER_LEN } from '../wire/ethernet.ts'
import type { FrameHandler, Plug } from './plug.ts'
import { VNET_HEADER, VnetHeader, writeVnetHeader } from './vnet-header.ts'
import { refuse, type Vnl } from './vnl.ts'

export interface TapNumbers {
  readonly fd: number
  readonly mtu: number
  /** The kernel cuts rows of UDP datagrams, too (Linux 6.2). */
  readonly udp: boolean
}

const VLAN_TAG = 4
const FEATURES = tun.TUN_F_CSUM | tun.TUN_F_TSO4 | tun.TUN_F_TSO6 | tun.TUN_F_TSO_ECN
const UDP_FEATURES = tun.TUN_F_USO4 | tun.TUN_F_USO6
/** When the kernel took a frame not now: try again so much later, ms. */
const RETRY_MS = 1
/** A stack whose program has just ended sends its last segments, and then lets go of the interface. */
const PREDECESSOR_MS = 3000

/** One frame and its header. The frame begins at FRAME, so that the IP header lies on a word boundary. */
const ROOM = 69_632
const HEADER = 8
const FRAME = HEADER + VNET_HEADER

/** The interface that a VNL names. */
export function tapName(vnl: Vnl): string {
  if (vnl.options.length > 0) refuse(vnl.text, `a tap has no option "${vnl.options[0][0]}"`)
  // To the kernel "%d" means any number.
  if (!/^[^\s/:%]{1,15}$/.test(vnl.address) || vnl.address === '.' || vnl.address === '..')
    refuse(vnl.text, "an interface's name has 1 to 15 characters, none of them a space, /, : or %")
  return vnl.address
}

/** Attaches to the interface, which is made if there is none. Throws a UserError. */
export function openTap(text: string, name: string): TapNumbers {
  return attach(text, name) ?? refuse(text, unattached(name, -EBUSY))
}

/** The same, with patience for whoever has it. */
export async function awaitTap(text: string, name: string): Promise<TapNumbers> {
  const deadline = performance.now() + PREDECESSOR_MS
  while (performance.now() < deadline) {
    const numbers = attach(text, name)
    if (numbers !== undefined) return numbers
    await delay(10)
  }
  return openTap(text, name)
}

/** undefined: another process has it. */
function attach(text: string, name: string): TapNumbers | undefined {
  const fd = openDevice(text)
  try {
    const r = tun.attachTap(fd, name, VNET_HEADER)
    if (r === -EBUSY) {
      libc.close(fd)
      return undefined
    }
    if (r < 0) refuse(text, unattached(name, r))
    // The kernel is not asked for rows of UDP datagrams before somebody wants them.
    const udp = tun.setOffload(fd, FEATURES | UDP_FEATURES) === 0
    const set = tun.setOffload(fd, FEATURES)
    if (set < 0) refuse(text, `the kernel offers no offload on it: ${describeErrno(set)}`)
    const mtu = tun.interfaceMtu(name)
    if (mtu < 0) refuse(text, `its MTU cannot be read: ${describeErrno(mtu)}`)
    return { fd, mtu, udp }
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

function openDevice(text: string): number {
  try {
    return tun.openTun()
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException
    return refuse(text, `cannot open ${tun.TUN_DEVICE}: ${describeErrno(errno)}`)
  }
}

function unattached(name: string, errno: number): string {
  if (errno === -EPERM)
    return `not permitted (an administrator could give it to you: ip tuntap add ${name} mode tap user NAME)`
  if (errno === -EBUSY)
    return `interface ${name} is in use, by a program or by a stack that still sends what its program left`
  if (errno === -EINVAL) return `interface ${name} is no tap`
  return describeErrno(errno)
}

class TapSink implements FrameSink {
  readonly mtu: number
  readonly maxFrame = MAX_FRAME
  readonly offload = true
  readonly bytes: Uint8Array
  sent = 0
  /** The kernel would not have them: the interface is down, or they are no good. */
  refused = 0
  /** Bytes, header and all, that the kernel took not now; 0: none. */
  waiting = 0
  lost = false
  readonly #fd: number
  readonly #address: number

  constructor(fd: number, mtu: number, address: number) {
    this.mtu = mtu
    this.bytes = new Uint8Array(libc.view(address, ROOM))
    this.#fd = fd
    this.#address = address
  }

  open(length: number): number {
    if (length > MAX_FRAME) throw new RangeError(`frame of ${length} bytes`)
    if (this.waiting !== 0) this.#write(this.waiting)
    return this.waiting === 0 ? FRAME : -1
  }

  close(length: number, gsoSize: number, checksumStart: number, checksumOffset: number): void {
    const { bytes } = this
    writeVnetHeader(bytes, HEADER, FRAME, length, gsoSize, checksumStart, checksumOffset)
    this.#write(VNET_HEADER + length)
  }

  #write(length: number): void {
    const n = libc.write(this.#fd, this.#address + HEADER, length)
    this.waiting = n === -EAGAIN || n === -EINTR ? length : 0
    if (n >= 0) this.sent++
    else if (n === -EBADFD) this.lost = true
    else if (this.waiting === 0) this.refused++
  }
}

export class TapPlug implements Plug {
  readonly sink: TapSink
  readonly fd: number
  readonly controlFd = -1
  readonly sendsUdpSegments: boolean
  received = 0
  /** Frames whose header cannot be true, or that are longer than the interface's mtu was. */
  malformed = 0
  readonly #memory: number
  readonly #bytes: Uint8Array
  readonly #clock: () => number
  readonly #header = new VnetHeader()
  #lost = false

  constructor({ fd, mtu, udp }: TapNumbers, clock: () => number) {
    this.fd = fd
    this.#clock = clock
    this.sendsUdpSegments = udp
    this.#memory = libc.mmap(-1, 2 * ROOM)
    if (this.#memory < 0) throw new Error(`no memory for a tap (errno ${-this.#memory})`)
    this.#bytes = new Uint8Array(libc.view(this.#memory, ROOM))
    this.sink = new TapSink(fd, mtu, this.#memory + ROOM)
  }

  /** The interface was deleted. */
  get broken(): boolean {
    return this.#lost || this.sink.lost
  }

  get next(): number {
    return this.sink.waiting === 0 ? Infinity : this.#clock() + RETRY_MS
  }

  askUdpSegments(): void {
    if (this.sendsUdpSegments) tun.setOffload(this.fd, FEATURES | UDP_FEATURES)
  }

  receive(handler: FrameHandler, budget: number, now: number): number {
    for (let n = 0; n < budget; n++) {
      const got = libc.read(this.fd, this.#memory + HEADER, ROOM - HEADER)
      if (got < 0) {
        if (got === -EAGAIN || got === -EINTR) return n
        this.#lost = got === -EBADFD || got === -EFAULT
        if (this.#lost) return n
        this.malformed++ // the kernel had a frame that it could not describe
      } else this.#frame(handler, got - VNET_HEADER, now)
    }
    return budget
  }

  flush(): void {}

  /** The descriptor itself tells, whether or not anybody asked. */
  arm(): boolean {
    return true
  }

  wake(): void {}

  /** The memory stays, so that a late write of the stack hits it. */
  close(): void {
    libc.close(this.fd)
  }

  #frame(handler: FrameHandler, length: number, now: number): void {
    const header = this.#header
    const most = this.sink.mtu + ETHER_HEADER_LEN + VLAN_TAG
    if (
      !header.parse(this.#bytes, HEADER, length) ||
      (header.gsoSize === 0 && length > most) ||
      length > MAX_FRAME
    ) {
      this.malformed++
      return
    }
    this.received++
    const { checksum, gsoSize, checksumStart, checksumOffset } = header
    handler.frameArrives(
      this.#bytes,
      FRAME,
      length,
      checksum,
      gsoSize,
      now,
      checksumStart,
      checksumOffset,
    )
  }
}
