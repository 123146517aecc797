// The send half of a TCB: RFC 9293 section 3.3.1, and what the RFCs since then have added.
import * as L from './layout.ts'
import type { Seq } from './seq.ts'

export class Snd {
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

  /** ISS. */
  get iss(): Seq {
    return this.words[this.at + L.ISS] as Seq
  }
  set iss(value: Seq) {
    this.words[this.at + L.ISS] = value
  }
  /** SND.UNA. */
  get una(): Seq {
    return this.words[this.at + L.SND_UNA] as Seq
  }
  set una(value: Seq) {
    this.words[this.at + L.SND_UNA] = value
  }
  /** SND.NXT; behind SND.MAX while text is sent again after a timeout. */
  get nxt(): Seq {
    return this.words[this.at + L.SND_NXT] as Seq
  }
  set nxt(value: Seq) {
    this.words[this.at + L.SND_NXT] = value
  }
  /** SND.MAX: one past the highest number ever sent. */
  get max(): Seq {
    return this.words[this.at + L.SND_MAX] as Seq
  }
  set max(value: Seq) {
    this.words[this.at + L.SND_MAX] = value
  }
  /** SND.UP: one past the urgent byte, if F_URGENT. */
  get up(): Seq {
    return this.words[this.at + L.SND_UP] as Seq
  }
  set up(value: Seq) {
    this.words[this.at + L.SND_UP] = value
  }
  /** SND.WND, scaled. */
  get wnd(): number {
    return this.words[this.at + L.SND_WND]
  }
  set wnd(value: number) {
    this.words[this.at + L.SND_WND] = value
  }
  /** SND.WL1, SND.WL2. */
  get wl1(): Seq {
    return this.words[this.at + L.SND_WL1] as Seq
  }
  set wl1(value: Seq) {
    this.words[this.at + L.SND_WL1] = value
  }
  get wl2(): Seq {
    return this.words[this.at + L.SND_WL2] as Seq
  }
  set wl2(value: Seq) {
    this.words[this.at + L.SND_WL2] = value
  }
  /** MAX.SND.WND (RFC 5961): the largest window the peer ever offered. */
  get maxWnd(): number {
    return this.words[this.at + L.SND_MAX_WND]
  }
  set maxWnd(value: number) {
    this.words[this.at + L.SND_MAX_WND] = value
  }
  /** Snd.Wind.Shift (RFC 7323). */
  get windShift(): number {
    return this.words[this.at + L.SND_WIND_SHIFT]
  }
  set windShift(value: number) {
    this.words[this.at + L.SND_WIND_SHIFT] = value
  }
  /** SendMSS (RFC 9293 section 3.7.1): the MSS option of the peer, or the default. */
  get peerMss(): number {
    return this.words[this.at + L.SND_PEER_MSS]
  }
  set peerMss(value: number) {
    this.words[this.at + L.SND_PEER_MSS] = value
  }
  /** What an ICMP message said of the path; 0: nothing. */
  get pmtu(): number {
    return this.words[this.at + L.SND_PMTU]
  }
  set pmtu(value: number) {
    this.words[this.at + L.SND_PMTU] = value
  }
  /** When to forget it and try again (RFC 1191 section 6.3). */
  get pmtuUntil(): number {
    return this.times[this.at64 + L.PMTU_UNTIL]
  }
  set pmtuUntil(value: number) {
    this.times[this.at64 + L.PMTU_UNTIL] = value
  }
  /** The search for a path MTU (mtu-probe.ts), sizes of datagrams: what gets through, what does not, the probe. */
  get mtuLow(): number {
    return this.words[this.at + L.MTU_LOW]
  }
  set mtuLow(value: number) {
    this.words[this.at + L.MTU_LOW] = value
  }
  get mtuHigh(): number {
    return this.words[this.at + L.MTU_HIGH]
  }
  set mtuHigh(value: number) {
    this.words[this.at + L.MTU_HIGH] = value
  }
  get mtuProbe(): number {
    return this.words[this.at + L.MTU_PROBE]
  }
  set mtuProbe(value: number) {
    this.words[this.at + L.MTU_PROBE] = value
  }
  get mtuProbeSeq(): Seq {
    return this.words[this.at + L.MTU_PROBE_SEQ] as Seq
  }
  set mtuProbeSeq(value: Seq) {
    this.words[this.at + L.MTU_PROBE_SEQ] = value
  }
  /** Not before this. */
  get mtuProbeAt(): number {
    return this.times[this.at64 + L.MTU_PROBE_AT]
  }
  set mtuProbeAt(value: number) {
    this.times[this.at64 + L.MTU_PROBE_AT] = value
  }
  /** End of the last segment sent that was not full (Minshall): Nagle waits for its acknowledgment only. */
  get sml(): Seq {
    return this.words[this.at + L.SND_SML] as Seq
  }
  set sml(value: Seq) {
    this.words[this.at + L.SND_SML] = value
  }
  /** cwnd, bytes. */
  get cwnd(): number {
    return this.words[this.at + L.CWND]
  }
  set cwnd(value: number) {
    this.words[this.at + L.CWND] = value
  }
  /** ssthresh, bytes. */
  get ssthresh(): number {
    return this.words[this.at + L.SSTHRESH]
  }
  set ssthresh(value: number) {
    this.words[this.at + L.SSTHRESH] = value
  }
  /** Which congestion control: a number in congestion.ts's table. */
  get congestion(): number {
    return this.words[this.at + L.CONGESTION]
  }
  set congestion(value: number) {
    this.words[this.at + L.CONGESTION] = value
  }
  /** cwnd and ssthresh before congestion was last noticed; cwnd 0: not to be undone any more. */
  get priorCwnd(): number {
    return this.words[this.at + L.PRIOR_CWND]
  }
  set priorCwnd(value: number) {
    this.words[this.at + L.PRIOR_CWND] = value
  }
  get priorSsthresh(): number {
    return this.words[this.at + L.PRIOR_SSTHRESH]
  }
  set priorSsthresh(value: number) {
    this.words[this.at + L.PRIOR_SSTHRESH] = value
  }
  /** Bytes acknowledged in congestion avoidance since cwnd last grew (RFC 5681 section 3.1). */
  get caCount(): number {
    return this.words[this.at + L.CA_COUNT]
  }
  set caCount(value: number) {
    this.words[this.at + L.CA_COUNT] = value
  }
  /** Initial window (RFC 6928), segments. */
  get initCwnd(): number {
    return this.words[this.at + L.INIT_CWND]
  }
  set initCwnd(value: number) {
    this.words[this.at + L.INIT_CWND] = value
  }
  /** A round in which the use of cwnd is watched ends here; the most that was on its way in it. */
  get usageSeq(): Seq {
    return this.words[this.at + L.USAGE_SEQ] as Seq
  }
  set usageSeq(value: Seq) {
    this.words[this.at + L.USAGE_SEQ] = value
  }
  get maxFlight(): number {
    return this.words[this.at + L.MAX_FLIGHT]
  }
  set maxFlight(value: number) {
    this.words[this.at + L.MAX_FLIGHT] = value
  }
  /** The most that was on its way since usedAt, when cwnd was last the limit. */
  get cwndUsed(): number {
    return this.words[this.at + L.CWND_USED]
  }
  set cwndUsed(value: number) {
    this.words[this.at + L.CWND_USED] = value
  }
  get usedAt(): number {
    return this.times[this.at64 + L.USED_AT]
  }
  set usedAt(value: number) {
    this.times[this.at64 + L.USED_AT] = value
  }
  /** SND.MAX when cwnd was last reduced for an ECE. */
  get cwrEnd(): Seq {
    return this.words[this.at + L.CWR_END] as Seq
  }
  set cwrEnd(value: Seq) {
    this.words[this.at + L.CWR_END] = value
  }
  /** Segments acknowledged with ECE. */
  get deliveredCe(): number {
    return this.words[this.at + L.DELIVERED_CE]
  }
  set deliveredCe(value: number) {
    this.words[this.at + L.DELIVERED_CE] = value
  }
  /** Bytes a ms at which text goes; 0: as cwnd lets it. */
  get paceRate(): number {
    return this.times[this.at64 + L.PACE_RATE]
  }
  set paceRate(value: number) {
    this.times[this.at64 + L.PACE_RATE] = value
  }
  /** When the next text may go, if it is paced. */
  get paceAt(): number {
    return this.times[this.at64 + L.PACE_AT]
  }
  set paceAt(value: number) {
    this.times[this.at64 + L.PACE_AT] = value
  }
  /** Deadline: text waits for paceAt. */
  get pacedUntil(): number {
    return this.times[this.at64 + L.PACED_UNTIL]
  }
  set pacedUntil(value: number) {
    this.times[this.at64 + L.PACED_UNTIL] = value
  }
  /** Bytes that arrived at the peer in all, as far as we know; a second time not counted. */
  get delivered(): number {
    return this.times[this.at64 + L.DELIVERED]
  }
  set delivered(value: number) {
    this.times[this.at64 + L.DELIVERED] = value
  }
  /** Delivery rate (rate.ts): a round that ends with this number, since when, with how much delivered before. */
  get rateState(): number {
    return this.words[this.at + L.RATE_STATE]
  }
  set rateState(value: number) {
    this.words[this.at + L.RATE_STATE] = value
  }
  get rateEnd(): Seq {
    return this.words[this.at + L.RATE_END] as Seq
  }
  set rateEnd(value: Seq) {
    this.words[this.at + L.RATE_END] = value
  }
  get rateAt(): number {
    return this.times[this.at64 + L.RATE_AT]
  }
  set rateAt(value: number) {
    this.times[this.at64 + L.RATE_AT] = value
  }
  get rateFrom(): number {
    return this.times[this.at64 + L.RATE_FROM]
  }
  set rateFrom(value: number) {
    this.times[this.at64 + L.RATE_FROM] = value
  }
  /** Bytes a ms. */
  get deliveryRate(): number {
    return this.times[this.at64 + L.DELIVERY_RATE]
  }
  set deliveryRate(value: number) {
    this.times[this.at64 + L.DELIVERY_RATE] = value
  }
  /** HyStart++ (RFC 9406): windowEnd, currentRoundMinRTT, lastRoundMinRTT, rttSampleCount (weighted). */
  get windowEnd(): Seq {
    return this.words[this.at + L.WINDOW_END] as Seq
  }
  set windowEnd(value: Seq) {
    this.words[this.at + L.WINDOW_END] = value
  }
  get roundMinRtt(): number {
    return this.times[this.at64 + L.ROUND_MIN_RTT]
  }
  set roundMinRtt(value: number) {
    this.times[this.at64 + L.ROUND_MIN_RTT] = value
  }
  get lastRoundMinRtt(): number {
    return this.times[this.at64 + L.LAST_ROUND_MIN_RTT]
  }
  set lastRoundMinRtt(value: number) {
    this.times[this.at64 + L.LAST_ROUND_MIN_RTT] = value
  }
  get roundSamples(): number {
    return this.words[this.at + L.ROUND_SAMPLES]
  }
  set roundSamples(value: number) {
    this.words[this.at + L.ROUND_SAMPLES] = value
  }
  /** cssBaselineMinRtt; 0: not in conservative slow start. Rounds that were. */
  get cssBaseline(): number {
    return this.times[this.at64 + L.CSS_BASELINE]
  }
  set cssBaseline(value: number) {
    this.times[this.at64 + L.CSS_BASELINE] = value
  }
  get cssRounds(): number {
    return this.words[this.at + L.CSS_ROUNDS]
  }
  set cssRounds(value: number) {
    this.words[this.at + L.CSS_ROUNDS] = value
  }
  /** CUBIC (RFC 9438): W_max, cwnd_prior, W_est in bytes; K, s; when t began, ms, 0: not yet. */
  get wMax(): number {
    return this.times[this.at64 + L.CUBIC]
  }
  set wMax(value: number) {
    this.times[this.at64 + L.CUBIC] = value
  }
  get cwndPrior(): number {
    return this.times[this.at64 + L.CUBIC + 1]
  }
  set cwndPrior(value: number) {
    this.times[this.at64 + L.CUBIC + 1] = value
  }
  get wEst(): number {
    return this.times[this.at64 + L.CUBIC + 2]
  }
  set wEst(value: number) {
    this.times[this.at64 + L.CUBIC + 2] = value
  }
  get k(): number {
    return this.times[this.at64 + L.CUBIC + 3]
  }
  set k(value: number) {
    this.times[this.at64 + L.CUBIC + 3] = value
  }
  get epoch(): number {
    return this.times[this.at64 + L.CUBIC + 4]
  }
  set epoch(value: number) {
    this.times[this.at64 + L.CUBIC + 4] = value
  }
  /** When cwnd last grew, or was not in use. */
  get growTime(): number {
    return this.times[this.at64 + L.GROW_TIME]
  }
  set growTime(value: number) {
    this.times[this.at64 + L.GROW_TIME] = value
  }
  /** What of cwnd is less than a byte. */
  get fraction(): number {
    return this.times[this.at64 + L.FRACTION]
  }
  set fraction(value: number) {
    this.times[this.at64 + L.FRACTION] = value
  }
  /** Duplicate acknowledgments in a row. */
  get dupAcks(): number {
    return this.words[this.at + L.DUP_ACKS]
  }
  set dupAcks(value: number) {
    this.words[this.at + L.DUP_ACKS] = value
  }
  /** recover (RFC 6582), RecoveryPoint (RFC 6675). */
  get recover(): Seq {
    return this.words[this.at + L.RECOVER] as Seq
  }
  set recover(value: Seq) {
    this.words[this.at + L.RECOVER] = value
  }
  /** R_NONE, R_FAST or R_LOSS. */
  get recovery(): number {
    return this.words[this.at + L.RECOVERY]
  }
  set recovery(value: number) {
    this.words[this.at + L.RECOVERY] = value
  }
  /** Bytes past SND.UNA that the peer holds; without SACK what duplicate acknowledgments stand for. */
  get sacked(): number {
    return this.words[this.at + L.SACKED_BYTES]
  }
  set sacked(value: number) {
    this.words[this.at + L.SACKED_BYTES] = value
  }
  /** Bytes that are taken as lost and were not sent again since. */
  get lost(): number {
    return this.words[this.at + L.LOST_BYTES]
  }
  set lost(value: number) {
    this.words[this.at + L.LOST_BYTES] = value
  }
  /** One past the highest number that is known to have arrived. */
  get fack(): Seq {
    return this.words[this.at + L.FACK] as Seq
  }
  set fack(value: Seq) {
    this.words[this.at + L.FACK] = value
  }
  /** RACK.xmit_ts, RACK.end_seq, RACK.rtt (RFC 8985): of the text sent last of all that has arrived. */
  get rackAt(): number {
    return this.times[this.at64 + L.RACK_AT]
  }
  set rackAt(value: number) {
    this.times[this.at64 + L.RACK_AT] = value
  }
  get rackSeq(): Seq {
    return this.words[this.at + L.RACK_SEQ] as Seq
  }
  set rackSeq(value: Seq) {
    this.words[this.at + L.RACK_SEQ] = value
  }
  get rackRtt(): number {
    return this.times[this.at64 + L.RACK_RTT]
  }
  set rackRtt(value: number) {
    this.times[this.at64 + L.RACK_RTT] = value
  }
  /** RACK.reo_wnd_mult, RACK.reo_wnd_persist, and when the first last grew. */
  get reorderSteps(): number {
    return this.words[this.at + L.REORDER_STEPS]
  }
  set reorderSteps(value: number) {
    this.words[this.at + L.REORDER_STEPS] = value
  }
  get reorderPersist(): number {
    return this.words[this.at + L.REORDER_PERSIST]
  }
  set reorderPersist(value: number) {
    this.words[this.at + L.REORDER_PERSIST] = value
  }
  get widenedAt(): number {
    return this.times[this.at64 + L.WIDENED_AT]
  }
  set widenedAt(value: number) {
    this.times[this.at64 + L.WIDENED_AT] = value
  }
  /** By how many segments text was overtaken, at most; at least dupThresh. */
  get reordering(): number {
    return this.words[this.at + L.REORDERING]
  }
  set reordering(value: number) {
    this.words[this.at + L.REORDERING] = value
  }
  /** How often text came late that was sent only once. */
  get reordSeen(): number {
    return this.words[this.at + L.REORD_SEEN]
  }
  set reordSeen(value: number) {
    this.words[this.at + L.REORD_SEEN] = value
  }
  /** Segments that the peer got twice (RFC 2883). */
  get dsackDups(): number {
    return this.words[this.at + L.DSACK_DUPS]
  }
  set dsackDups(value: number) {
    this.words[this.at + L.DSACK_DUPS] = value
  }
  /** RFC 6937: cwnd when recovery began; bytes that have arrived since, and that were sent. */
  get prrFrom(): number {
    return this.words[this.at + L.PRR_FROM]
  }
  set prrFrom(value: number) {
    this.words[this.at + L.PRR_FROM] = value
  }
  get prrDelivered(): number {
    return this.words[this.at + L.PRR_DELIVERED]
  }
  set prrDelivered(value: number) {
    this.words[this.at + L.PRR_DELIVERED] = value
  }
  get prrOut(): number {
    return this.words[this.at + L.PRR_OUT]
  }
  set prrOut(value: number) {
    this.words[this.at + L.PRR_OUT] = value
  }
  /** 1: the last reduction of cwnd may prove needless (undo.ts). Then undoFrom is where SND.UNA was. */
  get undo(): number {
    return this.words[this.at + L.UNDO]
  }
  set undo(value: number) {
    this.words[this.at + L.UNDO] = value
  }
  get undoFrom(): Seq {
    return this.words[this.at + L.UNDO_FROM] as Seq
  }
  set undoFrom(value: Seq) {
    this.words[this.at + L.UNDO_FROM] = value
  }
  /** Bytes that were sent again since and have not arrived twice yet; undoArmed: whether any were. */
  get undoBytes(): number {
    return this.words[this.at + L.UNDO_BYTES]
  }
  set undoBytes(value: number) {
    this.words[this.at + L.UNDO_BYTES] = value
  }
  get undoArmed(): number {
    return this.words[this.at + L.UNDO_ARMED]
  }
  set undoArmed(value: number) {
    this.words[this.at + L.UNDO_ARMED] = value
  }
  /** When text was first sent again in this recovery; 0: not yet. */
  get resentAt(): number {
    return this.times[this.at64 + L.RESENT_AT]
  }
  set resentAt(value: number) {
    this.times[this.at64 + L.RESENT_AT] = value
  }
  /** FRTO_* of recovery.ts. */
  get frto(): number {
    return this.words[this.at + L.FRTO]
  }
  set frto(value: number) {
    this.words[this.at + L.FRTO] = value
  }
  /** A tail loss probe is outstanding (tlp.ts); an acknowledgment up to probeSeq answers it. */
  get probe(): number {
    return this.words[this.at + L.PROBE]
  }
  set probe(value: number) {
    this.words[this.at + L.PROBE] = value
  }
  get probeSeq(): Seq {
    return this.words[this.at + L.PROBE_SEQ] as Seq
  }
  set probeSeq(value: Seq) {
    this.words[this.at + L.PROBE_SEQ] = value
  }
  /** Deadline: what is late by then is lost. */
  get reorderAt(): number {
    return this.times[this.at64 + L.REORDER_AT]
  }
  set reorderAt(value: number) {
    this.times[this.at64 + L.REORDER_AT] = value
  }
  /** Deadline: tail loss probe. */
  get probeAt(): number {
    return this.times[this.at64 + L.PROBE_AT]
  }
  set probeAt(value: number) {
    this.times[this.at64 + L.PROBE_AT] = value
  }
  /** Retransmission timeouts since SND.UNA last moved. */
  get retries(): number {
    return this.words[this.at + L.RETRIES]
  }
  set retries(value: number) {
    this.words[this.at + L.RETRIES] = value
  }
  /** How often RTO, or the persist interval, is doubled. */
  get backoff(): number {
    return this.words[this.at + L.BACKOFF]
  }
  set backoff(value: number) {
    this.words[this.at + L.BACKOFF] = value
  }
  /** Window or keep-alive probes that were not answered. */
  get probes(): number {
    return this.words[this.at + L.PROBES]
  }
  set probes(value: number) {
    this.words[this.at + L.PROBES] = value
  }
  /** An acknowledgment of this gives a round trip's time, if F_TIMED. */
  get rttSeq(): Seq {
    return this.words[this.at + L.RTT_SEQ] as Seq
  }
  set rttSeq(value: Seq) {
    this.words[this.at + L.RTT_SEQ] = value
  }
  get rttAt(): number {
    return this.times[this.at64 + L.RTT_AT]
  }
  set rttAt(value: number) {
    this.times[this.at64 + L.RTT_AT] = value
  }
  /** RFC 6298, ms; srtt 0: no sample yet. */
  get srtt(): number {
    return this.times[this.at64 + L.SRTT]
  }
  set srtt(value: number) {
    this.times[this.at64 + L.SRTT] = value
  }
  get rttvar(): number {
    return this.times[this.at64 + L.RTTVAR]
  }
  set rttvar(value: number) {
    this.times[this.at64 + L.RTTVAR] = value
  }
  get rto(): number {
    return this.times[this.at64 + L.RTO]
  }
  set rto(value: number) {
    this.times[this.at64 + L.RTO] = value
  }
  /** Of the last minutes (min-rtt.ts). */
  get minRtt(): number {
    return this.times[this.at64 + L.MIN_RTT]
  }
  set minRtt(value: number) {
    this.times[this.at64 + L.MIN_RTT] = value
  }
  /** The least RTO, ms. */
  get rtoMin(): number {
    return this.words[this.at + L.RTO_MIN]
  }
  set rtoMin(value: number) {
    this.words[this.at + L.RTO_MIN] = value
  }
  /** Added to the time in tsVal: another for each connection. */
  get tsOffset(): number {
    return this.words[this.at + L.TS_OFFSET]
  }
  set tsOffset(value: number) {
    this.words[this.at + L.TS_OFFSET] = value
  }
  /** The send buffer last asked for. */
  get wanted(): number {
    return this.words[this.at + L.SND_WANTED]
  }
  set wanted(value: number) {
    this.words[this.at + L.SND_WANTED] = value
  }
  get totalRetrans(): number {
    return this.words[this.at + L.TOTAL_RETRANS]
  }
  set totalRetrans(value: number) {
    this.words[this.at + L.TOTAL_RETRANS] = value
  }
  get totalRto(): number {
    return this.words[this.at + L.TOTAL_RTO]
  }
  set totalRto(value: number) {
    this.words[this.at + L.TOTAL_RTO] = value
  }
  /** Deadline: RTO. */
  get retransmitAt(): number {
    return this.times[this.at64 + L.RETRANSMIT_AT]
  }
  set retransmitAt(value: number) {
    this.times[this.at64 + L.RETRANSMIT_AT] = value
  }
  /** Deadline: probe the window, or send what SWS avoidance held back. */
  get persistAt(): number {
    return this.times[this.at64 + L.PERSIST_AT]
  }
  set persistAt(value: number) {
    this.times[this.at64 + L.PERSIST_AT] = value
  }
  /** Deadline: TCP_CORK and MSG_MORE hold text no longer than this. */
  get corkAt(): number {
    return this.times[this.at64 + L.CORK_AT]
  }
  set corkAt(value: number) {
    this.times[this.at64 + L.CORK_AT] = value
  }
  /** Since when the peer owes us an acknowledgment, or room; 0: it does not. */
  get stalledAt(): number {
    return this.times[this.at64 + L.STALLED_AT]
  }
  set stalledAt(value: number) {
    this.times[this.at64 + L.STALLED_AT] = value
  }
  /** When text was last sent. */
  get lastSent(): number {
    return this.times[this.at64 + L.LAST_SENT]
  }
  set lastSent(value: number) {
    this.times[this.at64 + L.LAST_SENT] = value
  }
  get bytesAcked(): number {
    return this.times[this.at64 + L.BYTES_ACKED]
  }
  set bytesAcked(value: number) {
    this.times[this.at64 + L.BYTES_ACKED] = value
  }
  get bytesSent(): number {
    return this.times[this.at64 + L.BYTES_SENT]
  }
  set bytesSent(value: number) {
    this.times[this.at64 + L.BYTES_SENT] = value
  }
  get bytesRetrans(): number {
    return this.times[this.at64 + L.BYTES_RETRANS]
  }
  set bytesRetrans(value: number) {
    this.times[this.at64 + L.BYTES_RETRANS] = value
  }
}
