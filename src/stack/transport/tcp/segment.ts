// The segment that is being processed (RFC 9293 section 3.3.1: SEG.*), parsed once at the door. One object, used again
// for every segment: nothing may keep it.
import { FIN, SYN } from '../../../wire/tcp.ts'
import * as header from '../../../wire/tcp.ts'
import { TcpOptions } from '../../../wire/tcp-options.ts'
import type { Packet } from '../../net/path.ts'
import { type Seq, add, seq } from './seq.ts'

export class Segment {
  seq = seq(0)
  ack = seq(0)
  /** SEG.LEN: text, SYN and FIN. */
  len = 0
  /** As in the header, not scaled. */
  wnd = 0
  /** It came with a SYN: nobody scaled its window (RFC 7323 section 2.2). */
  syn = false
  /** The number of the urgent byte, if URG: the pointer is one past it. */
  urgent = seq(0)
  control = 0
  /** DSCP and ECN of the packet. */
  tos = 0
  bytes: Uint8Array = new Uint8Array(0)
  /** Where the text lies in `bytes`, and how long it is. */
  text = 0
  textLength = 0
  readonly options = new TcpOptions()
  srcPort = 0
  dstPort = 0

  has(bits: number): boolean {
    return (this.control & bits) !== 0
  }

  /** SEG.SEQ + SEG.LEN. */
  get end(): Seq {
    return add(this.seq, this.len)
  }

  /** The segment that a datagram holds; false if its header or options are no header and options. */
  parse(packet: Packet): boolean {
    const { bytes, transport: at, length } = packet
    if (!header.isWhole(bytes, at, length)) return false
    const headerLength = header.dataOffset(bytes, at)
    this.bytes = bytes
    this.srcPort = header.srcPort(bytes, at)
    this.dstPort = header.dstPort(bytes, at)
    this.seq = seq(header.sequence(bytes, at))
    this.ack = seq(header.acknowledgment(bytes, at))
    this.control = header.controlBits(bytes, at)
    this.syn = (this.control & SYN) !== 0
    this.tos = packet.tos
    this.wnd = header.windowField(bytes, at)
    const up = header.urgentPointer(bytes, at)
    this.urgent = up > 0 ? add(this.seq, up - 1) : this.seq
    this.text = at + headerLength
    this.textLength = length - headerLength
    this.len =
      this.textLength + ((this.control & SYN) !== 0 ? 1 : 0) + ((this.control & FIN) !== 0 ? 1 : 0)
    return this.options.parse(
      bytes,
      at + header.TCP_HEADER_LENGTH,
      at + headerLength,
      (this.control & SYN) !== 0,
    )
  }

  /** The SYN was taken; what is left begins behind it. */
  dropSyn(): void {
    this.control &= ~SYN
    this.seq = add(this.seq, 1)
    this.len--
  }

  /** Takes `n` bytes of text off the front, which were received before. */
  trimFront(n: number): void {
    this.seq = add(this.seq, n)
    this.text += n
    this.textLength -= n
    this.len -= n
  }

  /** Leaves the first `n` bytes of text; a FIN behind them goes too. */
  trimBack(n: number): void {
    if (this.has(FIN)) this.len--
    this.control &= ~FIN
    this.len -= this.textLength - n
    this.textLength = n
  }
}
