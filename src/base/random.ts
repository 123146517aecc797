// Random numbers by the word, from a source of random bytes that is given: the core has none of its own.

/** Fills `bytes` with random bytes that nobody can foretell. */
export type RandomSource = (bytes: Uint8Array) => void

const POOL = 256

/** A function that gives 32 random bits (unsigned) per call, and asks the source once in 256. */
export function randomWords(source: RandomSource): () => number {
  const pool = new Uint32Array(POOL)
  let left = 0
  return () => {
    if (left === 0) {
      source(new Uint8Array(pool.buffer))
      left = POOL
    }
    const word = pool[--left]
    pool[left] = 0
    return word
  }
}
