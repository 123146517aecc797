// Sequence numbers (RFC 9293 section 3.4): modulo 2^32, kept as signed 32-bit integers, so that equal ones are
// identical. Compared by the functions here, never by < or >.

declare const brand: unique symbol
export type Seq = number & { readonly [brand]: 'Seq' }

/** Any integer as a sequence number. */
export const seq = (n: number): Seq => (n | 0) as Seq

export const add = (a: Seq, n: number): Seq => ((a + n) | 0) as Seq

/** How far `a` is past `b`, negative if before: signed, so the wrap disappears. */
export const diff = (a: Seq, b: Seq): number => (a - b) | 0

export const before = (a: Seq, b: Seq): boolean => ((a - b) | 0) < 0
export const after = (a: Seq, b: Seq): boolean => ((a - b) | 0) > 0

/** The later of the two. */
export const latest = (a: Seq, b: Seq): Seq => (((a - b) | 0) > 0 ? a : b)
