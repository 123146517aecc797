/** A clock that moves when told to, and randomness that comes again: what the core's tests run on. */
export class Clock {
  now: number

  constructor(now = 1000) {
    this.now = now
  }

  advance(ms: number): number {
    this.now += ms
    return this.now
  }
}

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function random(seed: number): () => number {
  let a = seed | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Fills bytes from `next`: stands for the stack's source of randomness. */
export const randomBytes =
  (next: () => number) =>
  (bytes: Uint8Array): void => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next() * 256
  }
