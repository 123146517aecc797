// The paths that datagrams took last, by the words of both addresses: no object is made for a destination that is known.
import { Address } from '../../../wire/address.ts'
import type { DatagramPath } from '../../net/path.ts'

const SLOTS = 1024

/** What UDP asks of IP, of both families. */
export interface Paths {
  /** Another number: path() may answer differently. */
  readonly generation: number
  /** The way between two addresses (source unspecified: chosen), or a negative errno. */
  path(src: Address, dst: Address): DatagramPath | number
}

export class RecentPaths {
  private readonly paths: Paths
  private readonly kept: (DatagramPath | undefined)[] = new Array<undefined>(SLOTS).fill(undefined)
  /** Source as it was asked for, and destination. */
  private readonly keys = new Int32Array(8 * SLOTS)
  private generation = -1

  constructor(paths: Paths) {
    this.paths = paths
  }

  /** `words`: source (maybe unspecified) and destination. */
  find(words: Int32Array): DatagramPath | number {
    if (this.generation !== this.paths.generation) {
      this.generation = this.paths.generation
      this.kept.fill(undefined)
    }
    const slot = slotOf(words)
    const known = this.kept[slot]
    if (known !== undefined && this.isFor(slot, words)) return known
    const src = new Address(words[0], words[1], words[2], words[3])
    const dst = new Address(words[4], words[5], words[6], words[7])
    const path = this.paths.path(src, dst)
    if (typeof path === 'number') return path
    this.kept[slot] = path
    this.keys.set(words, 8 * slot)
    return path
  }

  /** Has a path between these two been given lately? */
  has(words: Int32Array): boolean {
    if (this.generation !== this.paths.generation) return false
    const slot = slotOf(words)
    return this.kept[slot] !== undefined && this.isFor(slot, words)
  }

  private isFor(slot: number, words: Int32Array): boolean {
    const { keys } = this
    for (let i = 7; i >= 0; i--) if (keys[8 * slot + i] !== words[i]) return false
    return true
  }
}

function slotOf(words: Int32Array): number {
  let hash = 0
  for (let i = 0; i < 8; i++) hash = Math.imul(hash ^ words[i], 0x9e3779b1) ^ (hash >>> 15)
  return (hash >>> 16) & (SLOTS - 1)
}
