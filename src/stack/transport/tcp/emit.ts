// One segment onto the path: header, options, text straight from the send buffer. Says false and has changed nothing
// when the link has no room.
import { writeU16, writeU32 } from '../../../base/bytes.ts'
import {
  ACK,
  CWR,
  PSH,
  RST,
  SYN,
  TCP_CHECKSUM_OFFSET,
  TCP_HEADER_LENGTH,
  TCP_URGENT_OFFSET,
  URG,
  writeHeader,
} from '../../../wire/tcp.ts'
import * as options from '../../../wire/tcp-options.ts'
import { mayOpenFast } from './calls.ts'
import * as ecn from './ecn.ts'
import { E_CWR_DUE } from './ecn-bits.ts'
import { HELD } from './layout.ts'
import { MIN_MSS } from './options.ts'
import { chargePace } from './pacing.ts'
import * as ranges from './ranges.ts'
import { type Seq, add, before, diff, latest } from './seq.ts'
import {
  F_ACK_NOW,
  F_GIVE_COOKIE,
  F_SACK,
  F_SCALING,
  F_TIMESTAMPS,
  F_URGENT,
  type Tcb,
} from './tcb.ts'
import { INITIAL_WINDOW, type Tcp, WINDOW_SHIFT } from './tcp.ts'
import { urgentPointer } from './urgent.ts'
import { offered, windowToOffer } from './window.ts'

/** Milliseconds with this connection's offset: what goes into TSval (RFC 7323 section 5.4). */
export const tsClock = (tcb: Tcb, now: number): number => ((now | 0) + tcb.snd.tsOffset) | 0

/** Text that a full segment to the peer carries: Eff.snd.MSS (RFC 9293 section 3.7.1). */
export function effectiveMss(tcb: Tcb): number {
  const { snd } = tcb
  let mss = pathMss(tcb)
  if (snd.peerMss < mss) mss = snd.peerMss
  if (snd.mtuLow > 0) {
    const through = snd.mtuLow - tcb.path!.headerLength - TCP_HEADER_LENGTH
    if (through < mss) mss = through
  }
  if (mss < MIN_MSS) mss = MIN_MSS
  return tcb.has(F_TIMESTAMPS) ? mss - options.TIMESTAMP_OPTION_LENGTH : mss
}

/** The MSS that the path allows, and TCP_MAXSEG: what we announce. */
export function pathMss(tcb: Tcb): number {
  const path = tcb.path!
  const { pmtu } = tcb.snd
  const mtu = pmtu > 0 && pmtu < path.mtu ? pmtu : path.mtu
  const mss = mtu - path.headerLength - TCP_HEADER_LENGTH
  return tcb.maxSeg > 0 && tcb.maxSeg < mss ? tcb.maxSeg : mss
}

/** Text of the largest segment that the path takes from us: a multiple of `mss` where the link cuts it up. */
export function maxText(tcb: Tcb, mss: number): number {
  // The pointer is another in each segment.
  if (tcb.has(F_URGENT)) return mss
  const path = tcb.path!
  const headers = path.headerLength + TCP_HEADER_LENGTH + options.TIMESTAMP_OPTION_LENGTH
  const room = path.maxDatagram - headers
  // A link cuts up only what is longer than its own mtu: not for a peer, or a path further on, that takes less.
  if (room < 2 * mss || path.maxDatagram <= path.mtu || mss + headers < path.mtu) return mss
  return room - (room % mss)
}

/** Sends `n` bytes of text from `from` on (none: n = 0), with the given control bits. */
export function emit(
  tcp: Tcp,
  tcb: Tcb,
  from: Seq,
  control: number,
  n: number,
  mss: number,
  now: number,
): boolean {
  const { snd, rcv, words } = tcb
  const path = tcb.path!
  const stamped = tcb.has(F_TIMESTAMPS)
  const blocks = sackBlocks(tcb, stamped, n, mss)
  const headerLength =
    TCP_HEADER_LENGTH +
    (stamped ? options.TIMESTAMP_OPTION_LENGTH : 0) +
    options.sackOptionLength(blocks)
  const at = path.open(headerLength + n)
  if (at < 0) return false
  const { bytes } = path
  const window = windowToOffer(tcb) >>> rcv.windShift
  const field = window > 65535 ? 65535 : window
  const fresh = n > 0 && !before(from, snd.max)
  if (tcb.ecn !== 0 && (control & RST) === 0) control |= ecn.controlBits(tcb, fresh)
  const up = tcb.has(F_URGENT) ? urgentPointer(tcb, from) : 0
  if (up > 0) control |= URG
  writeHeader(bytes, at, tcb, from, rcv.nxt, headerLength, control, field)
  if (up > 0) writeU16(bytes, at + TCP_URGENT_OFFSET, up)
  let o = at + TCP_HEADER_LENGTH
  if (stamped) o = options.writeTimestamps(bytes, o, tsClock(tcb, now), rcv.tsRecent)
  if (blocks > 0) {
    o = options.writeSackHead(bytes, o, blocks)
    const end = o + 8 * blocks
    // What came twice is the first block (RFC 2883 section 4).
    if (rcv.dupFrom !== rcv.dupTo) {
      writeU32(bytes, o, rcv.dupFrom)
      writeU32(bytes, o + 4, rcv.dupTo)
      o += 8
    }
    for (let i = tcb.at + HELD + 1; o < end; i++, o += 4) writeU32(bytes, o, words[i])
  }
  if (n > 0) tcb.send!.copy(diff(from, snd.una), n, bytes, at + headerLength)
  close(tcb, headerLength + n, n > mss ? mss : 0, ecn.field(tcb, fresh))
  if ((control & CWR) !== 0) tcb.ecn &= ~E_CWR_DUE
  if (n > 0 && snd.paceRate > 0) chargePace(tcb, n, now)
  offered(tcb, add(rcv.nxt, field << rcv.windShift), now)
  if ((control & ACK) !== 0) acknowledged(tcb)
  tcb.segsOut += n > mss ? Math.ceil(n / mss) : 1
  tcp.counters.segsOut++
  return true
}

/** Off it goes, with what the program wants in the IP header. */
function close(tcb: Tcb, length: number, gsoSize: number, field: number): void {
  const path = tcb.path!
  const v4 = path.headerLength === 20
  const tos = (v4 ? tcb.tos : tcb.trafficClass) | field
  path.close(length, gsoSize, TCP_CHECKSUM_OFFSET, tos, v4 ? tcb.ttl : tcb.hops)
}

/** <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> */
export function emitAck(tcp: Tcp, tcb: Tcb, now: number): boolean {
  return emit(tcp, tcb, tcb.snd.max, ACK, 0, effectiveMss(tcb), now)
}

/**
 * SYN, or SYN and ACK, with everything that we can do, or (in the answer) that the peer can too. The bytes of text that
 * went with it (RFC 7413), or -1: the link has no room.
 */
export function emitSyn(tcp: Tcp, tcb: Tcb, now: number): number {
  const { snd, rcv } = tcb
  const path = tcb.path!
  const answer = tcb.state === 'SYN-RECEIVED'
  const { tuning } = tcp
  const stamped = answer ? tcb.has(F_TIMESTAMPS) : tuning.timestamps
  const sack = answer ? tcb.has(F_SACK) : tuning.sack
  const scaling = answer ? tcb.has(F_SCALING) : tuning.windowScaling
  const cookie = answer ? cookieToGive(tcp, tcb) : cookieToShow(tcp, tcb, now)
  const headerLength =
    TCP_HEADER_LENGTH +
    4 +
    (sack && !stamped ? 4 : 0) +
    (stamped ? options.TIMESTAMP_OPTION_LENGTH : 0) +
    (scaling ? 4 : 0) +
    (cookie === undefined ? 0 : options.cookieOptionLength(cookie))
  const n = answer ? 0 : synText(tcp, tcb, cookie, headerLength, now)
  const at = path.open(headerLength + n)
  if (at < 0) return -1
  const { bytes } = path
  const window = Math.min(INITIAL_WINDOW, windowToOffer(tcb))
  const control = (answer ? SYN | ACK : SYN) | (n > 0 ? PSH : 0) | ecn.synBits(tcb, answer)
  writeHeader(bytes, at, tcb, snd.iss, answer ? rcv.nxt : 0, headerLength, control, window)
  let o = options.writeMss(bytes, at + TCP_HEADER_LENGTH, Math.min(65535, pathMss(tcb)))
  if (stamped)
    o = options.writeTimestamps(bytes, o, tsClock(tcb, now), answer ? rcv.tsRecent : 0, sack)
  else if (sack) o = options.writeSackPermitted(bytes, o)
  if (scaling) o = options.writeWindowShift(bytes, o, WINDOW_SHIFT)
  if (cookie !== undefined) options.writeCookie(bytes, o, cookie)
  if (n > 0) tcb.send!.copy(0, n, bytes, at + headerLength)
  close(tcb, headerLength + n, 0, ecn.NOT_ECT)
  if (answer) {
    rcv.edge = latest(rcv.edge, add(rcv.nxt, window))
    acknowledged(tcb)
  }
  tcb.segsOut++
  tcp.counters.segsOut++
  return n
}

const cookieToGive = (tcp: Tcp, tcb: Tcb): Uint8Array | undefined =>
  tcb.has(F_GIVE_COOKIE) ? tcp.fastOpen.cookie(tcb) : undefined

/** Only the first SYN: one that was lost may have been lost for it. */
function cookieToShow(tcp: Tcp, tcb: Tcb, now: number): Uint8Array | undefined {
  if (tcb.fastOpenConnect === 0 || tcb.fastOpenNoCookie !== 0 || tcb.snd.retries > 0) return
  return tcp.fastOpen.cookieFor(tcb.remote, now)
}

/** How much of the text goes with the SYN: a segment's worth, if we have a cookie or need none. */
function synText(
  tcp: Tcp,
  tcb: Tcb,
  cookie: Uint8Array | undefined,
  headerLength: number,
  now: number,
): number {
  const { send } = tcb
  if (tcb.fastOpenConnect === 0 || tcb.snd.retries > 0 || !send) return 0
  if (tcb.fastOpenNoCookie === 0 && (cookie === undefined || cookie.length === 0)) return 0
  if (!mayOpenFast(tcp, tcb, now)) return 0
  const mss = Math.min(pathMss(tcb), tcp.fastOpen.mssOf(tcb.remote))
  return Math.max(0, Math.min(send.length, mss - (headerLength - TCP_HEADER_LENGTH)))
}

/** <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK> */
export function emitReset(tcp: Tcp, tcb: Tcb, now: number): boolean {
  if (!emit(tcp, tcb, tcb.snd.max, RST | ACK, 0, effectiveMss(tcb), now)) return false
  tcp.counters.resetsOut++
  return true
}

/** ACK, and PSH if the send buffer is empty behind these `n` bytes (RFC 9293 section 3.9.1.2). */
export const push = (n: number, atEnd: boolean): number => (n > 0 && atEnd ? ACK | PSH : ACK)

function acknowledged(tcb: Tcb): void {
  tcb.rcv.acked = tcb.rcv.nxt
  tcb.rcv.dupTo = tcb.rcv.dupFrom
  tcb.rcv.delayedAckAt = Infinity
  tcb.unmark(F_ACK_NOW)
}

/** How many SACK blocks fit: on a segment with text only what a full one leaves free. */
function sackBlocks(tcb: Tcb, stamped: boolean, n: number, mss: number): number {
  const twice = tcb.rcv.dupFrom === tcb.rcv.dupTo ? 0 : 1
  const held = ranges.count(tcb.words, tcb.at + HELD) + twice
  if (held === 0 || !tcb.has(F_SACK)) return 0
  const most = stamped ? 3 : 4
  const blocks = held < most ? held : most
  return n > 0 && n + options.sackOptionLength(blocks) > mss ? 0 : blocks
}
