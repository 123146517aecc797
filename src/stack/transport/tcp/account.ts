// What has been sent is written down: text that went for the first time, and text that went again.
import { startTimer, stopTiming } from './rtt.ts'
import * as flight from './flight.ts'
import * as L from './layout.ts'
import { probeResent } from './mtu-probe.ts'
import { type Seq, add, latest } from './seq.ts'
import { F_PINGPONG, F_TIMED, R_FAST, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { armProbe } from './tlp.ts'
import { notePending } from './undo.ts'
import { EV_ROOM } from './user.ts'

/** Text sent this soon after text came is an answer to it, ms: Linux's TCP_ATO_MIN. */
const ANSWER_MS = 40

/**
 * `n` bytes of text at SND.NXT, and the FIN behind them. For every segment, so times are read and written where they lie: a
 * number that an accessor takes or gives goes over the heap where V8 does not inline it, and here it would be too much.
 */
export function noteNew(
  tcp: Tcp,
  tcb: Tcb,
  n: number,
  fin: boolean,
  mss: number,
  now: number,
): void {
  const { snd, times, at64 } = tcb
  snd.nxt = add(snd.nxt, fin ? n + 1 : n)
  snd.max = snd.nxt
  flight.sent(tcb, snd.max, now)
  if (n % mss !== 0) snd.sml = latest(snd.sml, snd.nxt)
  times[at64 + L.PERSIST_AT] = Infinity
  times[at64 + L.CORK_AT] = Infinity
  tcb.dataSegsOut += segments(n, mss)
  times[at64 + L.BYTES_SENT] += n
  if (snd.recovery === R_FAST) snd.prrOut += n
  if (!tcb.has(F_TIMED)) {
    tcb.mark(F_TIMED)
    snd.rttSeq = snd.nxt
    times[at64 + L.RTT_AT] = now
  }
  if (times[at64 + L.RETRANSMIT_AT] === Infinity) startTimer(tcb, now)
  if (times[at64 + L.STALLED_AT] === 0) times[at64 + L.STALLED_AT] = now
  times[at64 + L.LAST_SENT] = now
  if (now - times[at64 + L.LAST_TEXT] < ANSWER_MS) tcb.mark(F_PINGPONG)
  armProbe(tcb, mss, now)
  if (tcb.notSentLowat > 0) tcp.raise(tcb, EV_ROOM)
}

/** `all` numbers from `from` on, of which `text` are text and one may be the FIN. */
export function noteAgain(
  tcp: Tcp,
  tcb: Tcb,
  from: Seq,
  all: number,
  text: number,
  mss: number,
  now: number,
): void {
  const { snd } = tcb
  if (snd.mtuProbe !== 0) probeResent(tcb, from, all)
  flight.sentAgain(tcb, from, add(from, all), now)
  notePending(tcb, all, now)
  stopTiming(tcb)
  const n = segments(text, mss)
  tcp.counters.retransmitted += n
  tcb.dataSegsOut += n
  snd.totalRetrans += n
  snd.bytesRetrans += text
  snd.bytesSent += text
  if (snd.recovery === R_FAST) snd.prrOut += all
  snd.lastSent = now
  if (snd.retransmitAt === Infinity || (from === snd.una && snd.recovery === R_FAST))
    startTimer(tcb, now)
}

const segments = (n: number, mss: number): number => (n > mss ? Math.ceil(n / mss) : 1)
