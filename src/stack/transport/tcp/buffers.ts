// Where a connection's text lies. The rings of sockets/ are these, and arrays in tests: TCP has no buffer of its own.

/** Text from SND.UNA on. */
export interface SendBuffer {
  /** Bytes that the program has written and the peer has not acknowledged. */
  readonly length: number
  /** Copies `n` bytes that begin `offset` bytes past SND.UNA into `dst` at `at`. */
  copy(offset: number, n: number, dst: Uint8Array, at: number): void
  /** The first `n` bytes are acknowledged. */
  consume(n: number): void
}

/** Text before RCV.NXT that the program has not taken, and room past it. */
export interface ReceiveBuffer {
  /** Bytes that fit past RCV.NXT. May grow at any time; TCP itself never takes back what it promised the peer. */
  readonly window: number
  /** Bytes published and not yet taken by the program. */
  readonly used: number
  /** Writes src[from, from + n) to `offset` bytes past RCV.NXT. It fits: offset + n <= window. */
  writeAt(offset: number, src: Uint8Array, from: number, n: number): void
  /** RCV.NXT moves on by `n`: the program may see that much more. */
  publish(n: number): void
  /** The byte `ahead` bytes past RCV.NXT is urgent: it is out of band, or `inLine`. A newer mark takes the place of an older. */
  mark?(ahead: number, inLine: boolean): void
}
