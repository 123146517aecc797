/** Random numbers that a seed determines (sfc32, Chris Doty-Humphrey's): for experiments, not for secrets. */
export class SeededRandom {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `stream` tells several users of one seed apart. */
  constructor(seed: number, stream = 0) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 2 ** 32) | 0
    this.#c = stream | 0
    for (let i = 0; i < 15; i++) this.word()
  }

  /** 32 bits, unsigned. */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.word() / 2 ** 32
  }

  /** Normal, of mean 0 and deviation 1 (Marsaglia's polar method). */
  normal(): number {
    for (;;) {
      const x = 2 * this.fraction() - 1
      const y = 2 * this.fraction() - 1
      const r = x * x + y * y
      if (r > 0 && r < 1) return y * Math.sqrt((-2 * Math.log(r)) / r)
    }
  }

  /** How many trials of probability `p` fail before one succeeds. */
  failures(p: number): number {
    if (p >= 1) return 0
    if (p <= 0) return Infinity
    return Math.floor(Math.log(1 - this.fraction()) / Math.log1p(-p))
  }
}
