// Rows of segments that were cut (wire/segment.ts), remembered for as long as some may be put together again: a table of
// the latest. Whoever joins them has seen to it that they are of one row, in order, none missing, none damaged.
import { writeU16 } from '../base/bytes.ts'
import { fold } from '../wire/checksum.ts'
import { IPV6_HEADER_LEN, IPV6_PAYLOAD_LENGTH } from '../wire/ipv6.ts'
import { UDP_CHECKSUM_OFFSET, writeIpv4Length, type Segmenter } from '../wire/segment.ts'
import { FIN, PSH } from '../wire/tcp.ts'

const ROWS = 8192
/** A row's numbers. */
const RUN = 0
const HEADER = 1
const NETWORK = 2
const TRANSPORT = 3
const CHECKSUM = 4
const SIZE = 5
const PSEUDO = 6
const V4 = 7
const FIELDS = 8

const TCP_FLAGS = 13

export class SegmentRuns {
  readonly #rows = new Int32Array(ROWS * FIELDS)
  #last = 0

  /** Remembers a row that is about to be cut: its number, not 0. */
  begin(s: Segmenter): number {
    this.#last = (this.#last + 1) & 0x7fffffff || 1
    // Rows of datagrams are not for every receiver.
    if (s.checksumOffset === UDP_CHECKSUM_OFFSET) return 0
    const row = this.#row(this.#last)
    this.#rows[row + RUN] = this.#last
    this.#rows[row + HEADER] = s.header
    this.#rows[row + NETWORK] = s.network
    this.#rows[row + TRANSPORT] = s.transport
    this.#rows[row + CHECKSUM] = s.checksumOffset
    this.#rows[row + SIZE] = s.size
    this.#rows[row + PSEUDO] = fold(s.pseudo)
    this.#rows[row + V4] = s.v4 ? 1 : 0
    return this.#last
  }

  isKnown(run: number): boolean {
    return run !== 0 && this.#rows[this.#row(run) + RUN] === run
  }

  /** Bytes before each segment's text. */
  header(run: number): number {
    return this.#rows[this.#row(run) + HEADER]
  }
  transport(run: number): number {
    return this.#rows[this.#row(run) + TRANSPORT]
  }
  checksumOffset(run: number): number {
    return this.#rows[this.#row(run) + CHECKSUM]
  }
  /** Text bytes of a segment. */
  size(run: number): number {
    return this.#rows[this.#row(run) + SIZE]
  }

  /** A segment joins the frame at `at`: what its header says of the end of the text holds for all. */
  takeFlags(run: number, from: Uint8Array, segment: number, bytes: Uint8Array, at: number): void {
    const flags = this.transport(run) + TCP_FLAGS
    bytes[at + flags] |= from[segment + flags] & (FIN | PSH)
  }

  /** Makes the first segment's header that of the frame of `length` bytes, the checksum undone. */
  join(run: number, bytes: Uint8Array, at: number, length: number): void {
    const row = this.#row(run)
    const rows = this.#rows
    const ip = at + rows[row + NETWORK]
    if (rows[row + V4] === 1) writeIpv4Length(bytes, ip, length - rows[row + NETWORK])
    else writeU16(bytes, ip + IPV6_PAYLOAD_LENGTH, length - rows[row + NETWORK] - IPV6_HEADER_LEN)
    const transport = rows[row + TRANSPORT]
    const sum = fold(rows[row + PSEUDO] + length - transport)
    writeU16(bytes, at + transport + rows[row + CHECKSUM], sum)
  }

  #row(run: number): number {
    return (run & (ROWS - 1)) * FIELDS
  }
}
