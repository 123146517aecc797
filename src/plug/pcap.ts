// pcap://FILE[snap=BYTES]{VNL}: writes down what crosses the inner plug, both ways, as the wire would have it: rows of
// segments cut, checksums done. For tcpdump, tshark and Wireshark.
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'

import { describeErrno } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import type { FrameSink } from '../stack/link/sink.ts'
import type { Mac } from '../wire/mac.ts'
import { PCAP_RECORD, pcapHeader, writePcapRecord } from '../wire/pcap.ts'
import { Segmenter } from '../wire/segment.ts'
import type { FrameHandler, Plug } from './plug.ts'
import { refuse, type Vnl } from './vnl.ts'

export interface PcapNumbers {
  readonly fd: number
  readonly snap: number
}

/** What tcpdump takes. */
const MAX_SNAP = 262_144
const BUFFER = 1 << 18

/** The file that a VNL names. It stays open: a plug that is opened once more goes on in it. */
export class PcapFile {
  readonly #text: string
  readonly #path: string
  readonly #snap: number
  #numbers: PcapNumbers | undefined

  constructor(vnl: Vnl) {
    if (vnl.address === '') refuse(vnl.text, 'a file is wanted (pcap:///tmp/x.pcap{switch://lab})')
    this.#text = vnl.text
    this.#path = isAbsolute(vnl.address) ? vnl.address : resolve(vnl.address)
    let snap = MAX_SNAP
    for (const [name, value] of vnl.options) {
      if (name !== 'snap') refuse(vnl.text, `no such option "${name}" (snap)`)
      snap = /^\d{1,6}$/.test(value) ? Number(value) : 0
      if (snap < 1 || snap > MAX_SNAP)
        refuse(vnl.text, `"snap=${value}" makes no sense (snap=96, ${MAX_SNAP} at most)`)
    }
    this.#snap = snap
  }

  /** Begins the file. Throws a UserError. */
  open(): PcapNumbers {
    if (this.#numbers !== undefined) return this.#numbers
    try {
      const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND } = constants
      const fd = openSync(this.#path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o644)
      try {
        writeSync(fd, pcapHeader(this.#snap))
      } catch (error) {
        closeSync(fd)
        throw error
      }
      this.#numbers = { fd, snap: this.#snap }
      return this.#numbers
    } catch (error) {
      const { errno = 0 } = error as NodeJS.ErrnoException
      return refuse(this.#text, `cannot write "${this.#path}": ${describeErrno(errno)}`)
    }
  }
}

/** Writes frames to the file, many at a time. */
class Capture {
  /** Frames in the file, or on their way into it. */
  frames = 0
  /** The errno of the write that failed: nothing is written any more. */
  failed = 0
  readonly #fd: number
  readonly #snap: number
  readonly #memory: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #segmenter = new Segmenter()
  #used = 0

  constructor({ fd, snap }: PcapNumbers) {
    this.#fd = fd
    this.#snap = snap
    this.#memory = libc.mmap(-1, BUFFER)
    if (this.#memory < 0) throw new Error(`no memory for a capture (errno ${-this.#memory})`)
    this.#bytes = new Uint8Array(libc.view(this.#memory, BUFFER))
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** The arguments are FrameSink.close()'s. A frame that lies about itself is written as it is. */
  take(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): void {
    if (this.failed !== 0) return
    const time = performance.timeOrigin + performance.now()
    const segmenter = this.#segmenter
    if (!segmenter.start(bytes, at, length, gsoSize, checksumStart, checksumOffset))
      segmenter.start(bytes, at, length, 0, 0, 0)
    for (let i = segmenter.count; i > 0; i--) {
      if (this.#used + PCAP_RECORD + segmenter.longest > BUFFER) this.write()
      const n = segmenter.next(this.#bytes, this.#used + PCAP_RECORD)
      const captured = Math.min(n, this.#snap)
      writePcapRecord(this.#view, this.#used, time, captured, n)
      this.#used += PCAP_RECORD + captured
      this.frames++
    }
  }

  write(): void {
    let done = 0
    while (done < this.#used && this.failed === 0) {
      const n = libc.write(this.#fd, this.#memory + done, this.#used - done)
      if (n < 0) this.failed = -n
      else done += n
    }
    this.#used = 0
  }
}

class PcapSink implements FrameSink {
  readonly mtu: number
  readonly maxFrame: number
  readonly offload: boolean
  readonly #inner: FrameSink
  readonly #capture: Capture
  #at = 0

  constructor(inner: FrameSink, capture: Capture) {
    this.mtu = inner.mtu
    this.maxFrame = inner.maxFrame
    this.offload = inner.offload
    this.#inner = inner
    this.#capture = capture
  }

  get bytes(): Uint8Array {
    return this.#inner.bytes
  }

  open(length: number): number {
    return (this.#at = this.#inner.open(length))
  }

  close(length: number, gsoSize: number, checksumStart: number, checksumOffset: number): void {
    this.#capture.take(this.bytes, this.#at, length, gsoSize, checksumStart, checksumOffset)
    this.#inner.close(length, gsoSize, checksumStart, checksumOffset)
  }
}

export class PcapPlug implements Plug {
  readonly sink: FrameSink
  readonly fd: number
  readonly controlFd: number
  readonly sendsUdpSegments: boolean
  readonly inner: Plug
  readonly capture: Capture
  readonly #handler: FrameHandler
  #outer: FrameHandler | undefined

  constructor(numbers: PcapNumbers, inner: Plug) {
    this.inner = inner
    this.fd = inner.fd
    this.controlFd = inner.controlFd
    this.sendsUdpSegments = inner.sendsUdpSegments ?? false
    const capture = (this.capture = new Capture(numbers))
    this.sink = new PcapSink(inner.sink, capture)
    this.#handler = {
      frameArrives: (bytes, at, length, checksum, gsoSize, now, start, offset) => {
        capture.take(bytes, at, length, gsoSize, start, offset)
        this.#outer?.frameArrives(bytes, at, length, checksum, gsoSize, now, start, offset)
      },
      stationGone: (mac: Mac, now: number) => this.#outer?.stationGone(mac, now),
    }
  }

  get broken(): boolean {
    return this.inner.broken
  }

  get next(): number {
    return this.inner.next
  }

  askUdpSegments(): void {
    this.inner.askUdpSegments?.()
  }

  receive(handler: FrameHandler, budget: number, now: number): number {
    this.#outer = handler
    return this.inner.receive(this.#handler, budget, now)
  }

  flush(): void {
    this.inner.flush()
  }

  /** About to sleep: there is time for the file. */
  arm(): boolean {
    this.capture.write()
    return this.inner.arm()
  }

  wake(rang?: boolean): void {
    this.inner.wake(rang)
  }

  /** The file stays open for the plug that may come after this one. */
  close(): void {
    this.capture.write()
    this.inner.close()
  }
}
