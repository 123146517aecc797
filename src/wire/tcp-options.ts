// TCP options (RFC 9293 section 3.2, RFC 2018, RFC 7323).
import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'

export const TCPOPT_EOL = 0
export const TCPOPT_NOP = 1
export const TCPOPT_MSS = 2
export const TCPOPT_WINDOW = 3
export const TCPOPT_SACK_PERMITTED = 4
export const TCPOPT_SACK = 5
export const TCPOPT_TIMESTAMP = 8
export const TCPOPT_FASTOPEN = 34

/** Two NOPs before it, so that its words lie on word boundaries: what every segment carries. */
export const TIMESTAMP_OPTION_LENGTH = 12
/** A window shift above this is this (RFC 7323 section 2.3). */
export const MAX_WINDOW_SHIFT = 14
/** What a peer that sends no MSS option takes (RFC 9293 section 3.7.1). */
export const DEFAULT_MSS_V4 = 536
export const DEFAULT_MSS_V6 = 1220
const MAX_SACK_BLOCKS = 4
/** RFC 7413 section 4.1.1. */
const MIN_COOKIE = 4
const MAX_COOKIE = 16
const TIMESTAMP_WORD = (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_TIMESTAMP << 8) | 10
const SACK_TIMESTAMP_WORD = (TCPOPT_SACK_PERMITTED << 24) | (2 << 16) | (TCPOPT_TIMESTAMP << 8) | 10

/** The options of the segment parsed last: one object, used again. */
export class TcpOptions {
  /** 0: none. */
  mss = 0
  /** -1: none. */
  windowShift = -1
  sackPermitted = false
  timestamps = false
  tsVal = 0
  tsEcr = 0
  /** SACK blocks: start and end, in turn. */
  readonly sacks = new Int32Array(2 * MAX_SACK_BLOCKS)
  sackCount = 0
  /** Bytes of a Fast Open cookie; 0: one is asked for; -1: no such option. */
  fastOpen = -1
  readonly cookie = new Uint8Array(MAX_COOKIE)

  /**
   * Parses the options in b[at, end). False: an option's length lies (0, 1, or beyond the end), and nothing behind it
   * can be found. An option of known kind and wrong length, or that has no business in this segment, is no option.
   * The first of two of a kind counts.
   */
  parse(b: Uint8Array, at: number, end: number, syn: boolean): boolean {
    this.mss = 0
    this.windowShift = -1
    this.sackPermitted = false
    this.timestamps = false
    this.sackCount = 0
    this.fastOpen = -1
    if (end - at === TIMESTAMP_OPTION_LENGTH && i32(b, at) === TIMESTAMP_WORD) {
      this.takeTimestamps(b, at + 4)
      return true
    }
    while (at < end) {
      const kind = b[at]
      if (kind === TCPOPT_EOL) return true
      if (kind === TCPOPT_NOP) {
        at++
        continue
      }
      if (at + 1 >= end) return false
      const length = b[at + 1]
      if (length < 2 || at + length > end) return false
      this.take(b, at + 2, kind, length, syn)
      at += length
    }
    return true
  }

  private take(b: Uint8Array, at: number, kind: number, length: number, syn: boolean): void {
    switch (kind) {
      case TCPOPT_MSS:
        if (syn && length === 4 && this.mss === 0) this.mss = u16(b, at)
        break
      case TCPOPT_WINDOW:
        if (syn && length === 3 && this.windowShift < 0)
          this.windowShift = Math.min(b[at], MAX_WINDOW_SHIFT)
        break
      case TCPOPT_SACK_PERMITTED:
        if (syn && length === 2) this.sackPermitted = true
        break
      case TCPOPT_TIMESTAMP:
        if (length === 10 && !this.timestamps) this.takeTimestamps(b, at)
        break
      case TCPOPT_FASTOPEN:
        if (syn && this.fastOpen < 0) this.takeCookie(b, at, length - 2)
        break
      case TCPOPT_SACK:
        if (!syn && this.sackCount === 0) this.takeSacks(b, at, length - 2)
        break
    }
  }

  private takeTimestamps(b: Uint8Array, at: number): void {
    this.timestamps = true
    this.tsVal = i32(b, at)
    this.tsEcr = i32(b, at + 4)
  }

  private takeCookie(b: Uint8Array, at: number, length: number): void {
    if (length !== 0 && (length < MIN_COOKIE || length > MAX_COOKIE || length % 2 !== 0)) return
    this.fastOpen = length
    for (let i = 0; i < length; i++) this.cookie[i] = b[at + i]
  }

  private takeSacks(b: Uint8Array, at: number, length: number): void {
    if (length % 8 !== 0 || length > 8 * MAX_SACK_BLOCKS) return
    this.sackCount = length / 8
    for (let i = 0; i < 2 * this.sackCount; i++) this.sacks[i] = i32(b, at + 4 * i)
  }
}

export function writeMss(b: Uint8Array, at: number, mss: number): number {
  b[at] = TCPOPT_MSS
  b[at + 1] = 4
  writeU16(b, at + 2, mss)
  return at + 4
}

/** Three bytes and a NOP before them. */
export function writeWindowShift(b: Uint8Array, at: number, shift: number): number {
  b[at] = TCPOPT_NOP
  b[at + 1] = TCPOPT_WINDOW
  b[at + 2] = 3
  b[at + 3] = shift
  return at + 4
}

/** Two bytes and two NOPs before them. */
export function writeSackPermitted(b: Uint8Array, at: number): number {
  b[at] = TCPOPT_NOP
  b[at + 1] = TCPOPT_NOP
  b[at + 2] = TCPOPT_SACK_PERMITTED
  b[at + 3] = 2
  return at + 4
}

/** `sack`: SACK permitted stands where the NOPs would, so that a SYN has room for a cookie of 16 bytes. */
export function writeTimestamps(
  b: Uint8Array,
  at: number,
  tsVal: number,
  tsEcr: number,
  sack = false,
): number {
  writeU32(b, at, sack ? SACK_TIMESTAMP_WORD : TIMESTAMP_WORD)
  writeU32(b, at + 4, tsVal)
  writeU32(b, at + 8, tsEcr)
  return at + 12
}

/** A Fast Open cookie, none to ask for one, and NOPs up to a word's end. */
export function writeCookie(b: Uint8Array, at: number, cookie: Uint8Array): number {
  b[at] = TCPOPT_FASTOPEN
  b[at + 1] = 2 + cookie.length
  for (let i = 0; i < cookie.length; i++) b[at + 2 + i] = cookie[i]
  const end = at + cookieOptionLength(cookie)
  for (let i = at + 2 + cookie.length; i < end; i++) b[i] = TCPOPT_NOP
  return end
}

export const cookieOptionLength = (cookie: Uint8Array): number => (2 + cookie.length + 3) & ~3

/** The head of a SACK option of `blocks` blocks; each block is two words that the caller writes behind it. */
export function writeSackHead(b: Uint8Array, at: number, blocks: number): number {
  b[at] = TCPOPT_NOP
  b[at + 1] = TCPOPT_NOP
  b[at + 2] = TCPOPT_SACK
  b[at + 3] = 2 + 8 * blocks
  return at + 4
}

/** Bytes of a SACK option of `blocks` blocks with its NOPs. */
export const sackOptionLength = (blocks: number): number => (blocks === 0 ? 0 : 4 + 8 * blocks)
