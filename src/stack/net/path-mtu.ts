// Path MTU discovery (RFC 1191, RFC 8201): what is known of the paths that are narrower than our own link, by destination,
// for all protocols of a family. Whoever calls learn() has made sure that the router spoke of a datagram that was ours
// (RFC 5927); it only ever lowers, never below `floor`, and what it says is forgotten after ten minutes.
import type { Address } from '../../wire/address.ts'

/** Linux's min_pmtu: less is a mistake or an attack. */
export const MIN_PMTU_V4 = 552
/** The least that an IPv6 link may have (RFC 8200 section 5). */
export const MIN_PMTU_V6 = 1280

/** RFC 1191 section 6.3, ms. */
const AGE = 600_000
const CAPACITY = 1024

/** Held by those who send there: `mtu` changes under them. */
export interface PathMtu {
  mtu: number
  expires: number
}

const UNKNOWN: PathMtu = Object.freeze({ mtu: Infinity, expires: Infinity })

export class PathMtus {
  private readonly floor: number
  /** The oldest first. */
  private readonly known = new Map<string, PathMtu>()
  /** Changes when find() may have another answer. */
  generation = 0

  constructor(floor: number) {
    this.floor = floor
  }

  get size(): number {
    return this.known.size
  }

  /** Infinity where nothing is known. */
  find(dst: Address): PathMtu {
    return this.known.get(keyOf(dst)) ?? UNKNOWN
  }

  /** A datagram to `dst` of more than `mtu` bytes did not get through. */
  learn(dst: Address, mtu: number, now: number): void {
    const key = keyOf(dst)
    const entry = this.known.get(key)
    const least = Math.max(mtu, this.floor)
    if (entry !== undefined && entry.mtu < least) return
    if (entry !== undefined) this.known.delete(key)
    else if (this.known.size >= CAPACITY) this.forgetOldest()
    this.known.set(key, { mtu: least, expires: now + AGE })
    this.generation++
  }

  /** When run() has something to do. */
  get next(): number {
    if (this.known.size === 0) return Infinity
    for (const { expires } of this.known.values()) return expires
    return Infinity
  }

  run(now: number): void {
    while (now >= this.next) this.forgetOldest()
  }

  private forgetOldest(): void {
    for (const [key, entry] of this.known) {
      entry.mtu = Infinity
      this.known.delete(key)
      return
    }
  }
}

const keyOf = ({ a, b, c, d }: Address): string => `${a},${b},${c},${d}`
