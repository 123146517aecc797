// The transmission control block.
//
// A connection is a fixed record in memory that somebody else owns: an ArrayBuffer in tests, a SharedArrayBuffer held
// by the main thread in a stack server. Nothing that a connection needs to go on lies outside: addresses, ports, both
// sequence spaces, deadlines, options, the scoreboard, the list of text that came early. When the thread that runs the
// stack ends, for whatever reason, another one takes the same memory and recover.ts builds the rest from it again:
// demultiplexing tables, port table, timer heap. So a field changes only when what it says is so:
// - text is written into the receive buffer before RCV.NXT or a range speaks of it;
// - the buffers count from ISS and IRS (consumed = SND.UNA - ISS - 1, published = RCV.NXT - IRS - 1), so a buffer
//   whose thread died between the two is put right by the record;
// - a new record is filled before `state` leaves FREE, and `state` goes back to FREE first of all.
// A record that contradicts itself all the same is aborted, not trusted (recover.ts).
//
// Access is through one Tcb object per record, made when the record is first used and kept. Measured here over 1,024
// connections in turn, ten updates of SND fields: plain objects 6 ns, a single cursor moved from record to record
// 4.5 ns, cached objects over the shared arrays 10 ns, cached objects with a subarray each 11 ns; with one busy
// connection all the same. The cursor's 5 ns do not pay for its trap: a callback that moves it under its caller. And
// a kept object is where the three references live that no record can hold: path, send and receive buffer.
//
// A record is free, or it is
// - the user's: from open() or established() to EV_CLOSED, or abort();
// - an orphan (F_ORPHAN): the program is gone, text and FIN are still to be delivered; the send buffer is in use;
// - nobody's: FIN-WAIT-2 or TIME-WAIT after that, or SYN-RECEIVED before anybody has accepted it. No buffers then.
// Half-open connections and TIME-WAIT are each in a list by age, so that the oldest makes room for a new one.
//
// Numbers: sequence numbers are signed 32-bit everywhere (seq.ts), sizes are bytes, times are ms of the caller's
// clock. An unset deadline is Infinity; the timer heap holds, per connection, a time no later than its first deadline.
import type { Path } from '../../net/path.ts'
import { Address } from '../../../wire/address.ts'
import type { ReceiveBuffer, SendBuffer } from './buffers.ts'
import * as L from './layout.ts'
import * as ranges from './ranges.ts'
import { Rcv } from './rcv.ts'
import { Snd } from './snd.ts'

export const STATES = [
  'FREE',
  'CLOSED',
  'SYN-SENT',
  'SYN-RECEIVED',
  'ESTABLISHED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'CLOSE-WAIT',
  'CLOSING',
  'LAST-ACK',
  'TIME-WAIT',
] as const
/**
 * The states of RFC 9293 section 3.3.2. LISTEN has no TCB here (listener.ts). 'CLOSED' is a record whose end the user
 * has not been told yet; 'FREE' is no connection at all.
 */
export type State = (typeof STATES)[number]

/** close() was called: a FIN follows the text. */
export const F_FIN_QUEUED = 1
/** The peer acknowledged our FIN. */
export const F_FIN_ACKED = 1 << 1
/** The program is gone. */
export const F_ORPHAN = 1 << 2
/** The user holds this record, and buffers are attached. */
export const F_USER = 1 << 3
/** The last send said MSG_MORE. */
export const F_MORE = 1 << 4
/** Text was sent soon after text came: an acknowledgment can wait for the answer. */
export const F_PINGPONG = 1 << 5
/** Acknowledge with the next segment, which goes now. */
export const F_ACK_NOW = 1 << 6
/** Both sides agreed to: SACK (RFC 2018), timestamps, window scaling (RFC 7323). */
export const F_SACK = 1 << 7
export const F_TIMESTAMPS = 1 << 8
export const F_SCALING = 1 << 9
/** tsRecent was set. */
export const F_TS_RECENT = 1 << 10
/** cwnd, not the window or lack of text, was the limit in this round trip; in this turn. */
export const F_CWND_LIMITED = 1 << 11
export const F_CWND_HELD = 1 << 21
/** A segment is being timed (rttSeq, rttAt). */
export const F_TIMED = 1 << 12
/** The peer's FIN came before text that is missing. */
export const F_FIN_HELD = 1 << 13
/** Send what there is, full or not: the persist or cork timer says so, or TCP_NODELAY or TCP_CORK just changed. */
export const F_PUSH = 1 << 14
/** Text before SND.UP is urgent, and not all of it acknowledged. */
export const F_URGENT = 1 << 15
/** Counted among the half-open, TIME-WAIT or orphans. */
export const F_LISTED = 1 << 16
/** Holds its local port (ports.ts). */
export const F_HOLDS_PORT = 1 << 17
/** The program found the send buffer full, and nothing of it was acknowledged since. */
export const F_FULL = 1 << 18
/** CLOSED, and the RST that tells the peer has not found room yet. */
export const F_RESET_DUE = 1 << 19
/** Opened by a call, not by a listener. */
export const F_ACTIVE = 1 << 20

/** Our SYN, or SYN-ACK, is to be sent, for the first time or again. */
export const F_SYN_DUE = 1 << 26
/** It waits for text to go with it (TCP_FASTOPEN_CONNECT). */
export const F_SYN_WAITS = 1 << 27
/** SYN-RECEIVED, and the program has the connection (RFC 7413): SND.UNA is past our SYN, as if it were acknowledged. */
export const F_FAST_OPEN = 1 << 28
/** The SYN-ACK brings a cookie. */
export const F_GIVE_COOKIE = 1 << 29
/** SYN-RECEIVED, the handshake is done, and the listener waits for text (TCP_DEFER_ACCEPT). */
export const F_DEFERRED = 1 << 25
/** Text went with the SYN, and was taken as far as we know. */
export const F_SYN_DATA = 1 << 30

/** snd.recovery: none, fast recovery (RFC 6582, 6675), after a retransmission timeout. */
export const R_NONE = 0
export const R_FAST = 1
export const R_LOSS = 2

export class Tcb {
  readonly slot: number
  readonly words: Int32Array
  readonly times: Float64Array
  readonly at: number
  readonly at64: number
  readonly snd: Snd
  readonly rcv: Rcv
  path: Path | undefined = undefined
  send: SendBuffer | undefined = undefined
  receive: ReceiveBuffer | undefined = undefined

  constructor(words: Int32Array, times: Float64Array, slot: number) {
    this.slot = slot
    this.words = words
    this.times = times
    this.at = slot * L.TCB_WORDS
    this.at64 = this.at / 2
    this.snd = new Snd(words, times, this.at)
    this.rcv = new Rcv(words, times, this.at)
  }

  get state(): State {
    return STATES[this.words[this.at + L.STATE]]
  }
  /** Only Tcp.enter() sets this. */
  set state(state: State) {
    this.words[this.at + L.STATE] = STATES.indexOf(state)
  }

  get local(): Address {
    return this.address(L.LOCAL)
  }
  get remote(): Address {
    return this.address(L.REMOTE)
  }

  /** Bits, F_*. */
  get flags(): number {
    return this.words[this.at + L.FLAGS]
  }
  set flags(value: number) {
    this.words[this.at + L.FLAGS] = value
  }
  get localPort(): number {
    return this.words[this.at + L.LOCAL_PORT]
  }
  set localPort(value: number) {
    this.words[this.at + L.LOCAL_PORT] = value
  }
  get remotePort(): number {
    return this.words[this.at + L.REMOTE_PORT]
  }
  set remotePort(value: number) {
    this.words[this.at + L.REMOTE_PORT] = value
  }
  /** The listener that a passive open came to; -1: an active open. */
  get listener(): number {
    return this.words[this.at + L.LISTENER]
  }
  set listener(value: number) {
    this.words[this.at + L.LISTENER] = value
  }
  /** Why the connection ended: an errno, or 0. */
  get error(): number {
    return this.words[this.at + L.ERROR]
  }
  set error(value: number) {
    this.words[this.at + L.ERROR] = value
  }
  /** What an ICMP message last said (RFC 5927): told to the program only if the connection times out. */
  get softError(): number {
    return this.words[this.at + L.SOFT_ERROR]
  }
  set softError(value: number) {
    this.words[this.at + L.SOFT_ERROR] = value
  }
  /** Neighbors in one of the lists of list.ts; -1: none. */
  get next(): number {
    return this.words[this.at + L.NEXT]
  }
  set next(value: number) {
    this.words[this.at + L.NEXT] = value
  }
  get prev(): number {
    return this.words[this.at + L.PREV]
  }
  set prev(value: number) {
    this.words[this.at + L.PREV] = value
  }
  /** 1 while a segment, call or timer of this connection is worked on. */
  get busy(): number {
    return this.words[this.at + L.BUSY]
  }
  set busy(value: number) {
    this.words[this.at + L.BUSY] = value
  }
  /** How often, of late, the stack thread ended while busy was 1 (recover.ts). */
  get crashes(): number {
    return this.words[this.at + L.CRASHES]
  }
  set crashes(value: number) {
    this.words[this.at + L.CRASHES] = value
  }
  get crashedAt(): number {
    return this.times[this.at64 + L.CRASHED_AT]
  }
  set crashedAt(value: number) {
    this.times[this.at64 + L.CRASHED_AT] = value
  }
  /** How often a SYN is sent again: TCP_SYNCNT, or 5 for a SYN-ACK. */
  get synCnt(): number {
    return this.words[this.at + L.SYN_RETRIES]
  }
  set synCnt(value: number) {
    this.words[this.at + L.SYN_RETRIES] = value
  }
  /** SO_KEEPALIVE. */
  get keepAlive(): number {
    return this.words[this.at + L.KEEPALIVE]
  }
  set keepAlive(value: number) {
    this.words[this.at + L.KEEPALIVE] = value
  }
  /** TCP_KEEPIDLE, TCP_KEEPINTVL: seconds. */
  get keepIdle(): number {
    return this.words[this.at + L.KEEPIDLE]
  }
  set keepIdle(value: number) {
    this.words[this.at + L.KEEPIDLE] = value
  }
  get keepIntvl(): number {
    return this.words[this.at + L.KEEPINTVL]
  }
  set keepIntvl(value: number) {
    this.words[this.at + L.KEEPINTVL] = value
  }
  get keepCnt(): number {
    return this.words[this.at + L.KEEPCNT]
  }
  set keepCnt(value: number) {
    this.words[this.at + L.KEEPCNT] = value
  }
  /** TCP_LINGER2, seconds; negative: no FIN-WAIT-2 for an orphan. */
  get linger2(): number {
    return this.words[this.at + L.LINGER2]
  }
  set linger2(value: number) {
    this.words[this.at + L.LINGER2] = value
  }
  /** TCP_USER_TIMEOUT, ms; 0: none. */
  get userTimeout(): number {
    return this.words[this.at + L.USER_TIMEOUT]
  }
  set userTimeout(value: number) {
    this.words[this.at + L.USER_TIMEOUT] = value
  }
  /** TCP_MAXSEG; 0: none. */
  get maxSeg(): number {
    return this.words[this.at + L.MAXSEG]
  }
  set maxSeg(value: number) {
    this.words[this.at + L.MAXSEG] = value
  }
  /** TCP_NODELAY. */
  get noDelay(): number {
    return this.words[this.at + L.NODELAY]
  }
  set noDelay(value: number) {
    this.words[this.at + L.NODELAY] = value
  }
  /** TCP_CORK. */
  get cork(): number {
    return this.words[this.at + L.CORK]
  }
  set cork(value: number) {
    this.words[this.at + L.CORK] = value
  }
  /** SO_REUSEADDR. */
  get reuse(): number {
    return this.words[this.at + L.REUSE]
  }
  set reuse(value: number) {
    this.words[this.at + L.REUSE] = value
  }
  /** SO_REUSEPORT. */
  get share(): number {
    return this.words[this.at + L.SHARE]
  }
  set share(value: number) {
    this.words[this.at + L.SHARE] = value
  }
  /** SO_OOBINLINE. */
  get oobInline(): number {
    return this.words[this.at + L.OOB_INLINE]
  }
  /** TCP_DEFER_ACCEPT, seconds. */
  get deferAccept(): number {
    return this.words[this.at + L.DEFER_ACCEPT]
  }
  /** TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE. */
  get fastOpenConnect(): number {
    return this.words[this.at + L.FAST_OPEN_CONNECT]
  }
  get fastOpenNoCookie(): number {
    return this.words[this.at + L.FAST_OPEN_NO_COOKIE]
  }
  /** TCP_QUICKACK; 0: delay acknowledgments from now on. */
  get quickAck(): number {
    return this.words[this.at + L.QUICKACK]
  }
  set quickAck(value: number) {
    this.words[this.at + L.QUICKACK] = value
  }
  /** ECN: E_* bits (ecn.ts); and tcp_ecn. */
  get ecn(): number {
    return this.words[this.at + L.ECN]
  }
  set ecn(value: number) {
    this.words[this.at + L.ECN] = value
  }
  get ecnMode(): number {
    return this.words[this.at + L.ECN_MODE]
  }
  /** IP_TOS, IP_TTL; IPV6_TCLASS, IPV6_UNICAST_HOPS. */
  get tos(): number {
    return this.words[this.at + L.TOS]
  }
  get ttl(): number {
    return this.words[this.at + L.TTL]
  }
  get trafficClass(): number {
    return this.words[this.at + L.TCLASS]
  }
  get hops(): number {
    return this.words[this.at + L.HOPS]
  }
  /** 0: no pacing but for maxPacingRate: SO_MAX_PACING_RATE, bytes a second; 0, -1: none. */
  get pacing(): number {
    return this.words[this.at + L.PACING]
  }
  get maxPacingRate(): number {
    return this.words[this.at + L.MAX_PACING_RATE]
  }
  /** TCP_NOTSENT_LOWAT: the user wants to know when text is sent, not only when it is acknowledged. */
  get notSentLowat(): number {
    return this.words[this.at + L.NOTSENT_LOWAT]
  }
  /** Counters for TCP_INFO. */
  get segsIn(): number {
    return this.words[this.at + L.SEGS_IN]
  }
  set segsIn(value: number) {
    this.words[this.at + L.SEGS_IN] = value
  }
  get segsOut(): number {
    return this.words[this.at + L.SEGS_OUT]
  }
  set segsOut(value: number) {
    this.words[this.at + L.SEGS_OUT] = value
  }
  get dataSegsIn(): number {
    return this.words[this.at + L.DATA_SEGS_IN]
  }
  set dataSegsIn(value: number) {
    this.words[this.at + L.DATA_SEGS_IN] = value
  }
  get dataSegsOut(): number {
    return this.words[this.at + L.DATA_SEGS_OUT]
  }
  set dataSegsOut(value: number) {
    this.words[this.at + L.DATA_SEGS_OUT] = value
  }
  /** Deadline: 2MSL in TIME-WAIT, the orphan's in FIN-WAIT-2. Infinity: none, as for all deadlines. */
  get lingerAt(): number {
    return this.times[this.at64 + L.LINGER_AT]
  }
  set lingerAt(value: number) {
    this.times[this.at64 + L.LINGER_AT] = value
  }
  /** Deadline: look whether the peer has been silent for too long. */
  get keepAliveAt(): number {
    return this.times[this.at64 + L.KEEPALIVE_AT]
  }
  set keepAliveAt(value: number) {
    this.times[this.at64 + L.KEEPALIVE_AT] = value
  }
  /** When a segment of the peer's last came. */
  get lastHeard(): number {
    return this.times[this.at64 + L.LAST_HEARD]
  }
  set lastHeard(value: number) {
    this.times[this.at64 + L.LAST_HEARD] = value
  }
  /** When a segment that should not have come was last answered. */
  get lastOutOfWindow(): number {
    return this.times[this.at64 + L.LAST_OOW]
  }
  set lastOutOfWindow(value: number) {
    this.times[this.at64 + L.LAST_OOW] = value
  }

  has(flag: number): boolean {
    return (this.words[this.at + L.FLAGS] & flag) !== 0
  }
  mark(flag: number): void {
    this.words[this.at + L.FLAGS] |= flag
  }
  unmark(flag: number): void {
    this.words[this.at + L.FLAGS] &= ~flag
  }

  setAddresses(local: Address, remote: Address): void {
    for (let i = 0; i < 4; i++) {
      this.words[this.at + L.LOCAL + i] = local.word(i)
      this.words[this.at + L.REMOTE + i] = remote.word(i)
    }
  }

  /** Everything 0, every deadline unset. Of the lists only that they are empty: they are long, and most are short. */
  clear(): void {
    this.words.fill(0, this.at, this.at + 2 * L.RUN_TIMES)
    ranges.clear(this.words, this.at + L.HELD)
    this.clearDeadlines()
    this.next = -1
    this.prev = -1
    this.path = undefined
    this.send = undefined
    this.receive = undefined
  }

  clearDeadlines(): void {
    const { times, at64 } = this
    times.fill(Infinity, at64 + L.DEADLINES, at64 + L.DEADLINES_END)
  }

  /** Where in `times` the earliest deadline stands. */
  get firstDeadline(): number {
    const { times } = this
    const end = this.at64 + L.DEADLINES_END
    let first = this.at64 + L.DEADLINES
    for (let i = first + 1; i < end; i++) if (times[i] < times[first]) first = i
    return first
  }

  private address(field: number): Address {
    const w = this.words
    const at = this.at + field
    return new Address(w[at], w[at + 1], w[at + 2], w[at + 3])
  }
}
