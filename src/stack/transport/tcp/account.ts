// What has been sent is written down: text that went for the first time, and text that went again.
import { backedOff, stopTiming } from './rtt.ts'
import * as flight from './flight.ts'
import { probeResent } from './mtu-probe.ts'
import { type Seq, add, latest } from './seq.ts'
import { F_PINGPONG, F_TIMED, R_FAST, type Tcb } from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { armProbe } from './tlp.ts'
import { notePending } from './undo.ts'
import { EV_ROOM } from './user.ts'

/** Text sent this soon after text came is an answer to it, ms: Linux's TCP_ATO_MIN. */
const ANSWER_MS = 40

/** `n` bytes of text at SND.NXT, and the FIN behind them. */
export function noteNew(
  tcp: Tcp,
  tcb: Tcb,
  n: number,
  fin: boolean,
  mss: number,
  now: number,
): void {
  const { snd, rcv } = tcb
  snd.nxt = add(snd.nxt, fin ? n + 1 : n)
  snd.max = snd.nxt
  flight.sent(tcb, snd.max, now)
  if (n % mss !== 0) snd.sml = latest(snd.sml, snd.nxt)
  snd.persistAt = Infinity
  snd.corkAt = Infinity
  tcb.dataSegsOut += segments(n, mss)
  snd.bytesSent += n
  if (snd.recovery === R_FAST) snd.prrOut += n
  if (!tcb.has(F_TIMED)) {
    tcb.mark(F_TIMED)
    snd.rttSeq = snd.nxt
    snd.rttAt = now
  }
  if (snd.retransmitAt === Infinity) snd.retransmitAt = now + backedOff(tcb)
  if (snd.stalledAt === 0) snd.stalledAt = now
  snd.lastSent = now
  if (now - rcv.lastText < ANSWER_MS) tcb.mark(F_PINGPONG)
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
    snd.retransmitAt = now + backedOff(tcb)
}

const segments = (n: number, mss: number): number => (n > mss ? Math.ceil(n / mss) : 1)
