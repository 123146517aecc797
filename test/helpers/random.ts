/** Reproducible random numbers for tests (mulberry32): each call gives 32 bits, unsigned. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return (x ^ (x >>> 14)) >>> 0
  }
}

/** The same as a source of bytes: what a stack takes for its `random`. */
export function randomBytes(seed: number): (bytes: Uint8Array) => void {
  const next = random(seed)
  return bytes => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next()
  }
}
