// Numbers in network order, by index: no DataView and no subarray per packet. The caller has checked the bounds.

export const u16 = (bytes: Uint8Array, i: number): number => (bytes[i] << 8) | bytes[i + 1]

/** 32 bits, unsigned. */
export const u32 = (bytes: Uint8Array, i: number): number => i32(bytes, i) >>> 0

/** 32 bits, signed: what an Int32Array holds, and cheaper than u32 where only equality matters. */
export const i32 = (bytes: Uint8Array, i: number): number =>
  (bytes[i] << 24) | (bytes[i + 1] << 16) | (bytes[i + 2] << 8) | bytes[i + 3]

export function writeU16(bytes: Uint8Array, i: number, value: number): void {
  bytes[i] = value >>> 8
  bytes[i + 1] = value
}

/** Takes signed and unsigned alike. */
export function writeU32(bytes: Uint8Array, i: number, value: number): void {
  bytes[i] = value >>> 24
  bytes[i + 1] = value >>> 16
  bytes[i + 2] = value >>> 8
  bytes[i + 3] = value
}

/** A view costs more than this many single bytes. */
const SHORT = 32

/** Copies src[from, from + n) to dst[at, at + n). */
export function copy(dst: Uint8Array, at: number, src: Uint8Array, from: number, n: number): void {
  if (n > SHORT) dst.set(src.subarray(from, from + n), at)
  else for (let i = 0; i < n; i++) dst[at + i] = src[from + i]
}
