// The receive half of a TCB: RFC 9293 section 3.3.1, and what the RFCs since then have added.
import * as L from './layout.ts'
import type { Seq } from './seq.ts'

export class Rcv {
  readonly words: Int32Array
  readonly times: Float64Array
  readonly at: number
  readonly at64: number

  constructor(words: Int32Array, times: Float64Array, at: number) {
    this.words = words
    this.times = times
    this.at = at
    this.at64 = at / 2
  }

  /** IRS. */
  get irs(): Seq {
    return this.words[this.at + L.IRS] as Seq
  }
  set irs(value: Seq) {
    this.words[this.at + L.IRS] = value
  }
  /** RCV.NXT. */
  get nxt(): Seq {
    return this.words[this.at + L.RCV_NXT] as Seq
  }
  set nxt(value: Seq) {
    this.words[this.at + L.RCV_NXT] = value
  }
  /** RCV.NXT + RCV.WND as the peer last heard it: never moves back. */
  get edge(): Seq {
    return this.words[this.at + L.RCV_EDGE] as Seq
  }
  set edge(value: Seq) {
    this.words[this.at + L.RCV_EDGE] = value
  }
  /** RCV.UP, but the urgent byte's own number; and what there is of it (urgent.ts). */
  get up(): Seq {
    return this.words[this.at + L.RCV_UP] as Seq
  }
  set up(value: Seq) {
    this.words[this.at + L.RCV_UP] = value
  }
  get urgent(): number {
    return this.words[this.at + L.RCV_URGENT]
  }
  set urgent(value: number) {
    this.words[this.at + L.RCV_URGENT] = value
  }
  /** Rcv.Wind.Shift (RFC 7323). */
  get windShift(): number {
    return this.words[this.at + L.RCV_WIND_SHIFT]
  }
  set windShift(value: number) {
    this.words[this.at + L.RCV_WIND_SHIFT] = value
  }
  /** Last.ACK.sent (RFC 7323). */
  get acked(): Seq {
    return this.words[this.at + L.RCV_ACKED] as Seq
  }
  set acked(value: Seq) {
    this.words[this.at + L.RCV_ACKED] = value
  }
  /** Largest segment the peer has sent, up to our own MSS: what a full one is. */
  get mss(): number {
    return this.words[this.at + L.RCV_MSS]
  }
  set mss(value: number) {
    this.words[this.at + L.RCV_MSS] = value
  }
  /** Segments that are still acknowledged at once: the peer's cwnd is small. */
  get quick(): number {
    return this.words[this.at + L.RCV_QUICK]
  }
  set quick(value: number) {
    this.words[this.at + L.RCV_QUICK] = value
  }
  /** Where the peer's FIN lies, if F_FIN_HELD: text before it is missing. */
  get finSeq(): Seq {
    return this.words[this.at + L.FIN_SEQ] as Seq
  }
  set finSeq(value: Seq) {
    this.words[this.at + L.FIN_SEQ] = value
  }
  /** TS.Recent (RFC 7323), if F_TS_RECENT. */
  get tsRecent(): number {
    return this.words[this.at + L.TS_RECENT]
  }
  set tsRecent(value: number) {
    this.words[this.at + L.TS_RECENT] = value
  }
  get tsRecentAt(): number {
    return this.times[this.at64 + L.TS_RECENT_AT]
  }
  set tsRecentAt(value: number) {
    this.times[this.at64 + L.TS_RECENT_AT] = value
  }
  /** TCP_WINDOW_CLAMP; 0: none. */
  get clamp(): number {
    return this.words[this.at + L.WINDOW_CLAMP]
  }
  set clamp(value: number) {
    this.words[this.at + L.WINDOW_CLAMP] = value
  }
  /** Deadline: acknowledge. */
  get delayedAckAt(): number {
    return this.times[this.at64 + L.DELAYED_ACK_AT]
  }
  set delayedAckAt(value: number) {
    this.times[this.at64 + L.DELAYED_ACK_AT] = value
  }
  /** Dynamic right-sizing (window.ts): what the program had taken at the start of this round, its best round so far. */
  get taken(): number {
    return this.words[this.at + L.DRS_TAKEN]
  }
  set taken(value: number) {
    this.words[this.at + L.DRS_TAKEN] = value
  }
  get space(): number {
    return this.words[this.at + L.DRS_SPACE]
  }
  set space(value: number) {
    this.words[this.at + L.DRS_SPACE] = value
  }
  get roundAt(): number {
    return this.times[this.at64 + L.DRS_AT]
  }
  set roundAt(value: number) {
    this.times[this.at64 + L.DRS_AT] = value
  }
  /** When RCV.NXT gets here, a window's worth has come since rttAt. */
  get rttEdge(): Seq {
    return this.words[this.at + L.RCV_RTT_EDGE] as Seq
  }
  set rttEdge(value: Seq) {
    this.words[this.at + L.RCV_RTT_EDGE] = value
  }
  get rttAt(): number {
    return this.times[this.at64 + L.RCV_RTT_AT]
  }
  set rttAt(value: number) {
    this.times[this.at64 + L.RCV_RTT_AT] = value
  }
  /** A round trip as the receiver sees it, ms; 0: unknown. */
  get rtt(): number {
    return this.times[this.at64 + L.RCV_RTT]
  }
  set rtt(value: number) {
    this.times[this.at64 + L.RCV_RTT] = value
  }
  /** When text last came. */
  get lastText(): number {
    return this.times[this.at64 + L.LAST_TEXT]
  }
  set lastText(value: number) {
    this.times[this.at64 + L.LAST_TEXT] = value
  }
  /** Segments that came out of order. */
  get outOfOrder(): number {
    return this.words[this.at + L.OUT_OF_ORDER]
  }
  set outOfOrder(value: number) {
    this.words[this.at + L.OUT_OF_ORDER] = value
  }
  /** What came twice (RFC 2883), until an acknowledgment has said so; both equal: nothing. */
  get dupFrom(): Seq {
    return this.words[this.at + L.DUP_FROM] as Seq
  }
  set dupFrom(value: Seq) {
    this.words[this.at + L.DUP_FROM] = value
  }
  get dupTo(): Seq {
    return this.words[this.at + L.DUP_TO] as Seq
  }
  set dupTo(value: Seq) {
    this.words[this.at + L.DUP_TO] = value
  }
  get bytesReceived(): number {
    return this.times[this.at64 + L.BYTES_RECEIVED]
  }
  set bytesReceived(value: number) {
    this.times[this.at64 + L.BYTES_RECEIVED] = value
  }
}
