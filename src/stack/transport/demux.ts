// From a segment's addresses and ports to the connection: a hash table with open addressing over typed arrays. The hash
// has a secret key, so that nobody can choose ports that collide; every look-up compares the whole tuple.
import { halfSipHash4 } from '../../base/siphash.ts'
import type { Packet } from '../net/path.ts'

/** Where a table finds a connection's tuple: in the records themselves, nothing is kept twice. */
export interface TupleStore {
  readonly words: Int32Array
  /** Words per record, and where in it the tuple's parts lie: four words each for the addresses, one each for the ports. */
  readonly recordWords: number
  readonly local: number
  readonly remote: number
  readonly localPort: number
  readonly remotePort: number
}

/** Source and destination as a segment to us has them. */
export type Tuple = Pick<Packet, 'family' | 'srcWord' | 'dstWord'>

export class Demux {
  private readonly store: TupleStore
  private readonly k0: number
  private readonly k1: number
  private readonly mask: number
  /** Slot + 1 by bucket; 0: empty. */
  private readonly slots: Int32Array
  private readonly hashes: Int32Array
  /** What find() found last: segments come in runs. -1: nothing, or it is gone. */
  private last = -1

  /** For `capacity` connections; the table is never more than half full. */
  constructor(store: TupleStore, capacity: number, k0: number, k1: number) {
    this.store = store
    this.k0 = k0
    this.k1 = k1
    const size = 2 ** Math.ceil(Math.log2(capacity * 2))
    this.mask = size - 1
    this.slots = new Int32Array(size)
    this.hashes = new Int32Array(size)
  }

  /** The connection that this packet belongs to; -1: none. */
  find(packet: Tuple, srcPort: number, dstPort: number): number {
    if (this.last >= 0 && this.holds(this.last, packet, srcPort, dstPort)) return this.last
    const ports = (dstPort << 16) | srcPort
    const hash =
      packet.family === 4
        ? this.hash(packet.dstWord(3), packet.srcWord(3), ports, 4)
        : this.hash(this.hashDst(packet), this.hashSrc(packet), ports, 6)
    for (let i = hash & this.mask; ; i = (i + 1) & this.mask) {
      const slot = this.slots[i] - 1
      if (slot < 0) return -1
      if (this.hashes[i] === hash && this.holds(slot, packet, srcPort, dstPort))
        return (this.last = slot)
    }
  }

  /** The same by the tuple that record `slot` holds: is there another connection with it? -1: none. */
  findLike(slot: number): number {
    const { recordWords } = this.store
    const at = slot * recordWords
    const hash = this.hashOf(slot)
    for (let i = hash & this.mask; this.slots[i] !== 0; i = (i + 1) & this.mask) {
      const other = this.slots[i] - 1
      if (this.hashes[i] === hash && this.sameTuple(at, other * recordWords)) return other
    }
    return -1
  }

  /** Adds record `slot`, whose tuple is written and not in the table. */
  add(slot: number): void {
    const hash = this.hashOf(slot)
    let i = hash & this.mask
    while (this.slots[i] !== 0) i = (i + 1) & this.mask
    this.slots[i] = slot + 1
    this.hashes[i] = hash
  }

  /** Takes record `slot` out, if it is in; its tuple is still written. Entries behind it move up: no tombstones. */
  remove(slot: number): void {
    if (slot === this.last) this.last = -1
    const mask = this.mask
    let i = this.hashOf(slot) & mask
    while (this.slots[i] !== slot + 1) {
      if (this.slots[i] === 0) return
      i = (i + 1) & mask
    }
    for (let k = (i + 1) & mask; this.slots[k] !== 0; k = (k + 1) & mask) {
      // The entry at k may fill the gap at i unless its own bucket lies cyclically in (i, k].
      const own = this.hashes[k] & mask
      if (((k - own) & mask) < ((k - i) & mask)) continue
      this.slots[i] = this.slots[k]
      this.hashes[i] = this.hashes[k]
      i = k
    }
    this.slots[i] = 0
  }

  private hashOf(slot: number): number {
    const { words, recordWords, local, remote, localPort, remotePort } = this.store
    const at = slot * recordWords
    const l = at + local
    const r = at + remote
    const ports = (words[at + localPort] << 16) | words[at + remotePort]
    if (isV4(words, l)) return this.hash(words[l + 3], words[r + 3], ports, 4)
    return this.hash(
      this.hash(words[l], words[l + 1], words[l + 2], words[l + 3]),
      this.hash(words[r], words[r + 1], words[r + 2], words[r + 3]),
      ports,
      6,
    )
  }

  private hash(a: number, b: number, c: number, d: number): number {
    return halfSipHash4(this.k0, this.k1, a, b, c, d)
  }

  private hashDst(p: Tuple): number {
    return this.hash(p.dstWord(0), p.dstWord(1), p.dstWord(2), p.dstWord(3))
  }

  private hashSrc(p: Tuple): number {
    return this.hash(p.srcWord(0), p.srcWord(1), p.srcWord(2), p.srcWord(3))
  }

  /** Is record `slot` the connection of this packet? */
  private holds(slot: number, packet: Tuple, srcPort: number, dstPort: number): boolean {
    const { words, recordWords, local, remote, localPort, remotePort } = this.store
    const at = slot * recordWords
    if (words[at + localPort] !== dstPort || words[at + remotePort] !== srcPort) return false
    if (words[at + local + 3] !== packet.dstWord(3)) return false
    if (words[at + remote + 3] !== packet.srcWord(3)) return false
    const v4 = packet.family === 4
    if (isV4(words, at + local) !== v4) return false
    return v4 || this.sameHigh(packet, at + local, at + remote)
  }

  private sameHigh(packet: Tuple, local: number, remote: number): boolean {
    const words = this.store.words
    for (let i = 0; i < 3; i++)
      if (words[local + i] !== packet.dstWord(i) || words[remote + i] !== packet.srcWord(i))
        return false
    return true
  }

  private sameTuple(a: number, b: number): boolean {
    const { words, local, remote, localPort, remotePort } = this.store
    for (let i = 0; i < 4; i++)
      if (
        words[a + local + i] !== words[b + local + i] ||
        words[a + remote + i] !== words[b + remote + i]
      )
        return false
    return (
      words[a + localPort] === words[b + localPort] &&
      words[a + remotePort] === words[b + remotePort]
    )
  }
}

const isV4 = (words: Int32Array, at: number): boolean =>
  words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff
