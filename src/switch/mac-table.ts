// Which port a station is behind. Two kinds of entries: registered ones, the address a port named when it joined, stay
// and are that port's alone; learnt ones follow the station and age (IEEE 802.1Q section 8.8: 300 s).
//
// An address is the pair of numbers that a Mac has. Lookups are two per frame, so this is an open hash table in typed
// arrays. Its hash has a secret
// of its own: nobody can aim at one chain. Removal is rare (a port leaves, entries age) and builds the table anew.
import { randomBytes } from 'node:crypto'

export const AGEING = 300
/** Stations learnt behind one port, and behind all. What does not fit is flooded, as ever. */
export const MAX_LEARNT_PER_PORT = 1024
export const MAX_LEARNT = 8192
/** Registered addresses: one per port. With them the table is three quarters full at most. */
export const MAX_REGISTERED = 4096
const SLOTS = 16384

/** No port: the address is unknown. */
export const NOWHERE = -1

const FREE = -1
/** `seen` of a registered entry. */
const FOREVER = -1

export class MacTable {
  #high = new Int32Array(SLOTS)
  #low = new Int32Array(SLOTS)
  #port = new Int32Array(SLOTS).fill(FREE)
  #seen = new Int32Array(SLOTS)
  readonly #secret = randomBytes(4).readInt32LE(0) | 1
  /** Learnt entries per port number. */
  readonly #learntBehind = new Map<number, number>()
  #learnt = 0
  #registered = 0

  get learnt(): number {
    return this.#learnt
  }

  /** The port that the station is behind; NOWHERE if that is not known (any more). */
  find(high: number, low: number, now: number): number {
    const i = this.#slot(high, low)
    if (this.#port[i] === FREE || this.#aged(i, now)) return NOWHERE
    return this.#port[i]
  }

  /** A frame of the station came through `port`. False: the address is registered to another port. */
  learn(high: number, low: number, port: number, now: number): boolean {
    const i = this.#slot(high, low)
    if (this.#port[i] === port) {
      if (this.#seen[i] !== FOREVER) this.#seen[i] = now
      return true
    }
    const known = this.#port[i] !== FREE
    if (known && this.#seen[i] === FOREVER) return false
    const behind = this.#learntBehind.get(port) ?? 0
    if (behind >= MAX_LEARNT_PER_PORT || (!known && this.#learnt >= MAX_LEARNT)) return true
    if (known) this.#count(this.#port[i], -1)
    this.#count(port, 1)
    this.#set(i, high, low, port, now)
    return true
  }

  /** The address is `port`'s until it leaves. The caller knows that no other port has registered it. */
  register(high: number, low: number, port: number): void {
    if (this.#registered >= MAX_REGISTERED)
      throw new Error(`${MAX_REGISTERED} ports are registered`)
    const i = this.#slot(high, low)
    if (this.#port[i] !== FREE) this.#count(this.#port[i], -1)
    this.#registered++
    this.#set(i, high, low, port, FOREVER)
  }

  /** The port left. */
  forget(port: number): void {
    this.#keep(i => this.#port[i] !== port)
  }

  /** Drops what has aged. Wanted now and then only for the room that it gives. */
  sweep(now: number): void {
    this.#keep(i => !this.#aged(i, now))
  }

  #aged(i: number, now: number): boolean {
    return this.#seen[i] !== FOREVER && now - this.#seen[i] > AGEING
  }

  /** Where the address is, or would be put. */
  #slot(high: number, low: number): number {
    let h = Math.imul(low ^ this.#secret, 0x9e3779b1)
    h = Math.imul(h ^ (h >>> 15) ^ (high << 7) ^ high, 0x85ebca6b)
    let i = (h ^ (h >>> 14)) & (SLOTS - 1)
    while (this.#port[i] !== FREE && (this.#low[i] !== low || this.#high[i] !== high))
      i = (i + 1) & (SLOTS - 1)
    return i
  }

  #set(i: number, high: number, low: number, port: number, seen: number): void {
    this.#high[i] = high
    this.#low[i] = low
    this.#port[i] = port
    this.#seen[i] = seen
  }

  #count(port: number, change: 1 | -1): void {
    const behind = (this.#learntBehind.get(port) ?? 0) + change
    if (behind === 0) this.#learntBehind.delete(port)
    else this.#learntBehind.set(port, behind)
    this.#learnt += change
  }

  #keep(stays: (i: number) => boolean): void {
    const kept: [number, number, number, number][] = []
    for (let i = 0; i < SLOTS; i++)
      if (this.#port[i] !== FREE && stays(i))
        kept.push([this.#high[i], this.#low[i], this.#port[i], this.#seen[i]])
    this.#port.fill(FREE)
    this.#learntBehind.clear()
    this.#learnt = 0
    this.#registered = 0
    for (const [high, low, port, seen] of kept) {
      this.#set(this.#slot(high, low), high, low, port, seen)
      if (seen === FOREVER) this.#registered++
      else this.#count(port, 1)
    }
  }
}
