// SYN cookies (RFC 4987 section 3.6), for SYNs that find the half-open's share of the records full: what a record would
// remember goes into the SYN-ACK and comes back with the handshake's ACK.
//
//   ISS    = F(tuple, SEG.SEQ) + (minute << 24) + (F(tuple, SEG.SEQ, minute) + index of the MSS) mod 2^24
//   TSval  = the time, its low six bits the other options: window shift, or 15 for none; SACK; ECN
//
// Without timestamps such a connection has no option but the MSS. An ACK that is not the answer to such a SYN-ACK is
// taken for one once in two million times; only while cookies are out is any looked at. The keys are those of this
// Tcp: what another thread had sent before is no cookie any more, and its ACK meets a RST.
import { SipHash } from '../../../base/siphash.ts'
import type { Packet } from '../../net/path.ts'
import { E_ECHOES, E_SENDS } from './ecn-bits.ts'
import { tsClock } from './emit.ts'
import type { Segment } from './segment.ts'
import { type Seq, add, seq } from './seq.ts'
import { F_SACK, F_SCALING, F_TIMESTAMPS, type Tcb } from './tcb.ts'

const MINUTE = 60_000
/** Minutes that a cookie is good for, the one in which it was made included. */
const MAX_AGE = 2
/** What peers announce: the largest that is not more is what a cookie tells of it. */
const MSS_V4 = [536, 1300, 1440, 1460]
const MSS_V6 = [1220, 1420, 1440, 8940]
const LOW_24 = 0xffffff

const NO_SHIFT = 15
const SACK_BIT = 16
const ECN_BIT = 32
const OPTION_BITS = 63

export class SynCookies {
  private readonly sip: SipHash
  private readonly message = new Uint8Array(44)
  private sentAt = -Infinity

  constructor(random: (bytes: Uint8Array) => void) {
    const key = new Uint8Array(16)
    random(key)
    this.sip = new SipHash(key)
  }

  /** May an ACK that comes now be the answer to one? */
  areOut(now: number): boolean {
    return now - this.sentAt <= MAX_AGE * MINUTE
  }

  /** The ISS for the SYN `seg`, whose sender takes segments of `mss` bytes. */
  make(packet: Packet, seg: Segment, mss: number, now: number): Seq {
    this.sentAt = now
    const minute = Math.floor(now / MINUTE) | 0
    let index = 3
    while (index > 0 && mssTable(packet)[index] > mss) index--
    const low = (this.hash(packet, seg, seg.seq, minute) + index) & LOW_24
    return seq(this.hash(packet, seg, seg.seq, -1) + (minute << 24) + low)
  }

  /** What the cookie that the ACK `seg` brings back says of the peer's MSS; 0: it is none of ours, or too old. */
  check(packet: Packet, seg: Segment, now: number): number {
    const minute = Math.floor(now / MINUTE) | 0
    const irs = add(seg.seq, -1)
    const inner = (seg.ack - 1 - this.hash(packet, seg, irs, -1)) | 0
    const age = (minute - (inner >>> 24)) & 0xff
    if (age >= MAX_AGE) return 0
    const index = (inner - this.hash(packet, seg, irs, minute - age)) & LOW_24
    return index < 4 ? mssTable(packet)[index] : 0
  }

  private hash(packet: Packet, seg: Segment, irs: Seq, minute: number): number {
    const b = this.message
    for (let i = 0; i < 4; i++) {
      writeWord(b, 4 * i, packet.srcWord(i))
      writeWord(b, 16 + 4 * i, packet.dstWord(i))
    }
    writeWord(b, 32, (seg.srcPort << 16) | seg.dstPort)
    writeWord(b, 36, irs)
    writeWord(b, 40, minute)
    this.sip.hash(b, 0, b.length)
    return this.sip.low
  }
}

const mssTable = (packet: Packet): readonly number[] => (packet.family === 4 ? MSS_V4 : MSS_V6)

/** The options that `tcb` agreed to go into its clock, for a SYN-ACK sent now; those for which there is no place go. */
export function stampOptions(tcb: Tcb, now: number): void {
  if (!tcb.has(F_TIMESTAMPS)) {
    tcb.unmark(F_SACK | F_SCALING)
    tcb.ecn = 0
    return
  }
  const bits =
    (tcb.has(F_SCALING) ? tcb.snd.windShift : NO_SHIFT) |
    (tcb.has(F_SACK) ? SACK_BIT : 0) |
    (tcb.ecn !== 0 ? ECN_BIT : 0)
  const clock = tsClock(tcb, now)
  // Not later than the clock: that would be a step back for what follows.
  const late = (clock & OPTION_BITS) < bits ? OPTION_BITS + 1 : 0
  tcb.snd.tsOffset = (tcb.snd.tsOffset + bits - (clock & OPTION_BITS) - late) | 0
}

/** The other way: what the ACK's TSecr says was agreed. */
export function readOptions(tcb: Tcb, seg: Segment): void {
  if (!seg.options.timestamps) return
  const bits = seg.options.tsEcr
  tcb.mark(F_TIMESTAMPS)
  if ((bits & SACK_BIT) !== 0) tcb.mark(F_SACK)
  if ((bits & ECN_BIT) !== 0) tcb.ecn = E_SENDS | E_ECHOES
  if ((bits & 15) === NO_SHIFT) return
  tcb.mark(F_SCALING)
  tcb.snd.windShift = bits & 15
}

function writeWord(b: Uint8Array, at: number, word: number): void {
  b[at] = word
  b[at + 1] = word >>> 8
  b[at + 2] = word >>> 16
  b[at + 3] = word >>> 24
}
