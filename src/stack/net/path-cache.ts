import type { Address } from '../../wire/address.ts'
import type { DatagramPath } from './path.ts'

const SLOTS = 1024

/**
 * Paths by source, destination and protocol, so that connections to one host share one. A slot each, and the newer
 * takes the place of the older: a path that is not found is made again, and lives as long as somebody holds it.
 */
export class PathCache {
  private readonly slots: (DatagramPath | undefined)[] = new Array<undefined>(SLOTS).fill(undefined)
  private readonly protocols = new Uint8Array(SLOTS)
  private generation = 0

  /** Forgets all paths that were kept in another generation of routes and addresses. */
  keepTo(generation: number): void {
    if (generation === this.generation) return
    this.generation = generation
    this.slots.fill(undefined)
  }

  find(src: Address, dst: Address, protocol: number): DatagramPath | undefined {
    const i = slotOf(src, dst, protocol)
    const path = this.slots[i]
    if (path === undefined || this.protocols[i] !== protocol) return
    return path.dst.equals(dst) && path.src.equals(src) ? path : undefined
  }

  keep(path: DatagramPath, protocol: number): void {
    const i = slotOf(path.src, path.dst, protocol)
    this.slots[i] = path
    this.protocols[i] = protocol
  }
}

function slotOf(src: Address, dst: Address, protocol: number): number {
  let hash = protocol
  for (const word of [src.d, dst.a, dst.b, dst.c, dst.d])
    hash = Math.imul(hash ^ word, 0x9e3779b1) ^ (hash >>> 15)
  return (hash >>> 16) % SLOTS
}
