// The switch: an Ethernet bridge between ports in shared memory. No I/O and no clock here: whoever drives it (serve.ts)
// tells it which doorbells rang and what time it is, and learns whether it may sleep.
//
// Each port is two frame rings. The switch is the reader of what a station sends and the writer of what it receives, so
// a frame is copied exactly once, out of the sender's ring and into the receiver's, offload header and all: text of up
// to 64 KB in one frame, no checksum computed. Everybody else's memory stays out of a station's reach.
//
// Nobody waits for anybody. A turn takes from each port that has something at most BUDGET bytes of work, counted in
// bytes written, so that broadcasts cost their sender and not the others. A receiver whose ring is full loses the frame,
// as on any wire; the sender is slowed only by its own ring, which is emptied fairly. Doorbells are rung for readers
// that said they sleep, after the slice that gave them something, so once per batch.
//
// A frame goes where its destination's station is: registered (the address which that port named when it joined) or
// learnt from what a bridge sent. Group addresses and unknown ones go to all other ports. A station sends from its own
// address only. A bridge (a cable to somewhere else) sends from those of the stations behind it, but not from one that a
// port of this switch has registered.
//
// A port that breaks the rules of its rings is put aside and named in `broken`. When a station leaves, its
// address is forgotten and all others are told, so that their connections end at once instead of timing out.
import { NOTICE_STATION_GONE, RING_EMPTY, RING_FRAME } from '../ring/frame-ring.ts'
import { AGEING, MacTable, NOWHERE } from './mac-table.ts'
import type { SwitchPort } from './port.ts'

/** Bytes of work that one port gets done in a turn: four of the largest frames, 20 to 50 µs. */
const BUDGET = 262_144
/** What a frame costs besides its bytes: as much time as copying about so many. */
const FRAME_COST = 512
/** The group bit of an address's upper half: broadcast or multicast (IEEE 802, section 8.2). */
const GROUP = 0x100

export class Switch {
  readonly mtu: number
  readonly macs = new MacTable()
  /** Ports put aside since the last look: the driver removes and disconnects them. */
  readonly broken: SwitchPort[] = []
  readonly #ports: SwitchPort[] = []
  readonly #byNumber: (SwitchPort | undefined)[] = []
  /** Ports that may have sent something. */
  readonly #awake: SwitchPort[] = []
  readonly #touched: SwitchPort[] = []
  /** Which of the awake ports has the first slice of the next turn. */
  #first = 0
  #swept = 0

  constructor(mtu: number) {
    this.mtu = mtu
  }

  get ports(): readonly SwitchPort[] {
    return this.#ports
  }

  /** Joins a port. The caller knows that its station's address is registered to no other. */
  add(port: SwitchPort): void {
    const free = this.#byNumber.indexOf(undefined)
    port.number = free < 0 ? this.#byNumber.length : free
    const { mac } = port.station
    if (mac !== undefined) this.macs.register(mac.high, mac.low, port.number)
    this.#byNumber[port.number] = port
    this.#ports.push(port)
    this.#awake.push(port)
  }

  /** The port is gone: its addresses are forgotten, and the others are told. */
  remove(port: SwitchPort): void {
    this.#byNumber[port.number] = undefined
    this.macs.forget(port.number)
    drop(this.#ports, port)
    drop(this.#awake, port)
    if (port.station.mac === undefined) return
    const mac = new Uint8Array(6)
    port.station.mac.write(mac, 0)
    for (const other of this.#ports) {
      if (!other.to.notice(NOTICE_STATION_GONE, mac)) other.overrun++
      this.#touch(other)
    }
    this.#ringTouched()
  }

  /** The port's doorbell rang. */
  wake(port: SwitchPort): void {
    if (port.awake || port.broken) return
    port.awake = true
    port.from.disarm()
    this.#awake.push(port)
  }

  /** Serves each awake port once, `now` in seconds. Bytes of work done; 0: nothing to do. */
  turn(now: number): number {
    const ports = this.#awake
    let work = 0
    this.#first = this.#first + 1 < ports.length ? this.#first + 1 : 0
    for (let i = this.#first; i < ports.length; i++) work += this.#serve(ports[i], now)
    for (let i = 0; i < this.#first && i < ports.length; i++) work += this.#serve(ports[i], now)
    if (now - this.#swept >= AGEING) {
      this.#swept = now
      this.macs.sweep(now)
    }
    return work
  }

  /** Nothing to do: asks all for a doorbell. False: something came meanwhile, take another turn. */
  arm(): boolean {
    const ports = this.#awake
    let left = 0
    for (const port of ports) {
      port.awake = !port.from.arm()
      if (port.awake) ports[left++] = port
    }
    ports.length = left
    return left === 0
  }

  /** One slice: what the port sent, up to BUDGET. */
  #serve(port: SwitchPort, now: number): number {
    const { from } = port
    let work = 0
    while (work < BUDGET) {
      const found = from.next()
      if (found === RING_EMPTY) break
      if (found !== RING_FRAME) {
        from.broken = true
        this.#putAside(port)
        break
      }
      work += this.#forward(port, now)
      from.release()
    }
    if (work === 0) return 0
    from.commit()
    if (from.mustRingWriter()) port.ring()
    this.#ringTouched()
    return work
  }

  /** Sends the frame that the port's ring stands at where it belongs. Bytes of work done. */
  #forward(port: SwitchPort, now: number): number {
    const { from } = port
    port.received++
    if (from.malformed(this.mtu)) {
      port.malformed++
      return FRAME_COST
    }
    // Twelve bytes in three little-endian words: destination, then source. Here they become a Mac's pairs of numbers.
    const sourceHigh = swap16(from.address1 >>> 16)
    const sourceLow = swap32(from.address2)
    if ((sourceHigh & GROUP) !== 0 || (sourceHigh | sourceLow) === 0) {
      port.malformed++
      return FRAME_COST
    }
    const { mac } = port.station
    const known =
      mac === undefined
        ? this.macs.learn(sourceHigh, sourceLow, port.number, now)
        : sourceLow === mac.low && sourceHigh === mac.high
    if (!known) {
      port.spoofed++
      return FRAME_COST
    }
    const high = swap16(from.address0 & 0xffff)
    const low = swap32((from.address0 >>> 16) | (from.address1 << 16))
    const number = (high & GROUP) !== 0 ? NOWHERE : this.macs.find(high, low, now)
    if (number === NOWHERE) return this.#flood(port)
    const to = this.#byNumber[number]
    if (to !== undefined && to !== port) this.#put(port, to)
    return FRAME_COST + from.length
  }

  #flood(port: SwitchPort): number {
    for (const to of this.#ports) if (to !== port) this.#put(port, to)
    return (FRAME_COST + port.from.length) * this.#ports.length
  }

  #put(port: SwitchPort, to: SwitchPort): void {
    if (to.to.forward(port.from)) this.#touch(to)
    else {
      to.overrun++
      if (to.to.broken) this.#putAside(to)
    }
  }

  #putAside(port: SwitchPort): void {
    if (!this.broken.includes(port)) this.broken.push(port)
  }

  #touch(port: SwitchPort): void {
    if (port.touched) return
    port.touched = true
    this.#touched.push(port)
  }

  #ringTouched(): void {
    for (const port of this.#touched) {
      port.touched = false
      if (port.to.mustRing()) port.ring()
    }
    this.#touched.length = 0
  }
}

const swap16 = (n: number) => ((n & 0xff) << 8) | (n >>> 8)
const swap32 = (n: number) => (n << 24) | ((n & 0xff00) << 8) | ((n >>> 8) & 0xff00) | (n >>> 24)

function drop(ports: SwitchPort[], port: SwitchPort): void {
  const i = ports.indexOf(port)
  if (i >= 0) ports.splice(i, 1)
}
