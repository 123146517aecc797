// One direction of a link that is not perfect. Frames as the wire has them go in, and come out when they are due, or not.
// No clock and no chance but the seed's: the same frames at the same times meet the same fate.
//
// In order: the sender's interface takes its time; what is longer than the mtu is lost, then what chance takes. The link sends
// one frame after the other at its rate; whoever finds too many bytes waiting is lost. Then the frame is on its way for the
// delay. Each fault draws from a stream of random numbers of its own: which frames are lost does not depend on how others are
// delayed.
import { SeededRandom } from '../base/seeded-random.ts'
import { ETHER_HEADER_LEN } from '../wire/ethernet.ts'
import type { FaultDirection } from './fault-parameters.ts'
import { FrameStore } from './frame-store.ts'

/** A normal jitter lies within its bounds at three deviations. */
const DEVIATIONS = 3

export class FaultLine {
  /** Frames that are on their way; the first one is the next to arrive. */
  readonly store = new FrameStore()
  /** Frames that went in, and what became of them. */
  entered = 0
  lost = 0
  tooLong = 0
  queueFull = 0
  duplicated = 0
  reordered = 0
  /** Bits turned over. */
  damaged = 0
  readonly #p: FaultDirection
  readonly #loss: SeededRandom
  readonly #dup: SeededRandom
  readonly #jitter: SeededRandom
  readonly #reorder: SeededRandom
  readonly #corrupt: SeededRandom
  readonly #damage: SeededRandom
  /** In a burst of losses. */
  #bad = false
  /** When the link has sent all it was given, and the sender's interface. */
  #linkBusy = 0
  #senderBusy = 0
  /** When the latest frame in order arrives. */
  #lastDue = 0
  /** Bits until the next one that is damaged. */
  #sound: number

  constructor(parameters: FaultDirection, seed: number, stream: number) {
    const random = (n: number) => new SeededRandom(seed, 16 * stream + n)
    this.#p = parameters
    this.#loss = random(1)
    this.#dup = random(2)
    this.#jitter = random(3)
    this.#reorder = random(4)
    this.#corrupt = random(5)
    this.#damage = random(6)
    this.#sound = this.#damage.failures(parameters.damage)
  }

  /** Until when the sender has to wait. */
  get senderBusy(): number {
    return this.#senderBusy
  }

  /** A frame of the wire, sent at `now`. `run`, `index`: of a row of segments that it was cut from (FrameStore). */
  enter(bytes: Uint8Array, at: number, length: number, now: number, run = 0, index = 0): void {
    const p = this.#p
    this.entered++
    if (p.speed !== Infinity) now = this.#senderBusy = this.#busyAfter(now, length)
    if (length > p.mtu + ETHER_HEADER_LEN) {
      this.tooLong++
      return
    }
    if (this.#isLost()) {
      this.lost++
      return
    }
    this.#send(bytes, at, length, now, run, index)
    if (p.dup > 0 && this.#dup.fraction() < p.dup) {
      this.duplicated++
      this.#send(bytes, at, length, now, run, index)
    }
  }

  #busyAfter(now: number, length: number): number {
    return Math.max(now, this.#senderBusy) + (8 * length) / this.#p.speed
  }

  /** Gilbert's model: good and bad times, and all is lost in bad ones. Without bursts every frame has its own luck. */
  #isLost(): boolean {
    const { loss, lostburst } = this.#p
    if (loss === 0) return false
    const luck = this.#loss.fraction()
    if (lostburst === 0 || loss === 1) return luck < loss
    this.#bad = this.#bad ? luck >= 1 / lostburst : luck < loss / (lostburst * (1 - loss))
    return this.#bad
  }

  #send(
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
    run: number,
    index: number,
  ): void {
    const p = this.#p
    let departure = now
    if (p.rate !== Infinity) {
      const start = Math.max(now, this.#linkBusy)
      if (((start - now) * p.rate) / 8 > p.queue) {
        this.queueFull++
        return
      }
      departure = this.#linkBusy = start + (8 * length) / p.rate
    }
    const due = this.#due(departure)
    const offset = this.store.put(bytes, at, length, due, run, index)
    if (offset >= 0) this.#spoil(this.store.bytes, offset, length)
  }

  #due(departure: number): number {
    const p = this.#p
    if (p.reorder > 0 && this.#reorder.fraction() < p.reorder) {
      this.reordered++
      return departure
    }
    let due = departure + p.delay
    if (p.jitter > 0) {
      const swing = p.normal ? this.#jitter.normal() / DEVIATIONS : 2 * this.#jitter.fraction() - 1
      due = Math.max(departure, due + p.jitter * swing)
    }
    if (p.fifo) due = this.#lastDue = Math.max(due, this.#lastDue)
    return due
  }

  #spoil(bytes: Uint8Array, at: number, length: number): void {
    const p = this.#p
    if (p.corrupt > 0 && this.#corrupt.fraction() < p.corrupt)
      this.#turn(bytes, at, Math.floor(this.#corrupt.fraction() * 8 * length))
    if (p.damage === 0) return
    let bit = this.#sound
    for (; bit < 8 * length; bit += 1 + this.#damage.failures(p.damage)) this.#turn(bytes, at, bit)
    this.#sound = bit - 8 * length
  }

  #turn(bytes: Uint8Array, at: number, bit: number): void {
    bytes[at + (bit >> 3)] ^= 1 << (bit & 7)
    this.damaged++
    this.store.disown()
  }
}
