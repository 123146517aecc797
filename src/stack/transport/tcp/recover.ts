// After the thread has changed: everything that is not in the records is built from them again. What contradicts itself
// is aborted; what can be done without (scoreboard, timing, recovery from loss) begins anew.
import { ECONNRESET } from '../../../base/errno.ts'
import { E_ECE_DUE, E_ECHOES, E_SEEN, E_SENDS } from './ecn-bits.ts'
import { emitReset } from './emit.ts'
import { finTaken, option } from './calls.ts'
import { checkCongestion } from './congestion.ts'
import * as flight from './flight.ts'
import { checkOption, optionNames, optionWord } from './options.ts'
import { HELD } from './layout.ts'
import * as ranges from './ranges.ts'
import { recoverAnew } from './recovery.ts'
import { RTO_INITIAL, RTO_MAX, stopTiming } from './rtt.ts'
import { add, after, before, diff } from './seq.ts'
import {
  F_ACK_NOW,
  F_FAST_OPEN,
  F_HOLDS_PORT,
  F_LISTED,
  F_ORPHAN,
  F_RESET_DUE,
  F_USER,
  STATES,
  type State,
  type Tcb,
} from './tcb.ts'
import type { Tcp } from './tcp.ts'
import { URGENT_NONE } from './urgent.ts'
import { EV_CLOSED, EV_CONNECTED, EV_ERROR, EV_FIN, EV_ROOM, EV_TEXT, EV_URGENT } from './user.ts'

/** A connection that was being worked on at this many ends of a thread in a row is what ends them. */
const CRASHES = 3
/** In a row: within this time of each other, ms. */
const CRASH_SPAN = 60_000

export function recover(tcp: Tcp, now: number): number[] {
  const held: number[] = []
  const live: Tcb[] = []
  for (let slot = 0; slot < tcp.capacity; slot++) {
    if (tcp.isFree(slot)) continue
    const tcb = tcp.tcb(slot)
    live.push(tcb)
    tcb.unmark(F_LISTED | F_HOLDS_PORT | F_RESET_DUE)
    if (tcb.has(F_ORPHAN)) tcp.orphans++
  }
  // By age, as the lists were: deadlines tell it for TIME-WAIT, and the half-open have theirs soon enough.
  live.sort((a, b) => a.lingerAt - b.lingerAt || a.lastHeard - b.lastHeard)
  for (const tcb of live) {
    if (takeUp(tcp, tcb, now) && tcb.has(F_USER)) held.push(tcb.slot)
  }
  return held
}

/** True: it goes on. */
function takeUp(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const state = STATES[tcb.words[tcb.at]] as State | undefined
  if (state === 'CLOSED') {
    report(tcp, tcb)
    return false
  }
  checkSettings(tcp, tcb)
  const path = tcp.paths.path(tcb.local, tcb.remote)
  if (typeof path !== 'number') tcb.path = path
  const blamed = crashedAgain(tcb, now)
  if (
    !tcb.path ||
    blamed ||
    state === undefined ||
    !isConsistent(tcb, state) ||
    isTaken(tcp, tcb)
  ) {
    giveUp(tcp, tcb, state, now)
    return false
  }
  tcp.counters.recovered++
  tcp.demux.add(tcb.slot)
  tcp.holdPort(tcb)
  const abandoned = state === 'FIN-WAIT-2' && !tcb.has(F_USER)
  if (state === 'TIME-WAIT' || abandoned) tcp.timeWaits.push(tcb)
  else if (tcb.has(F_FAST_OPEN)) tcp.countFastOpen(tcb)
  else if (state === 'SYN-RECEIVED' && tcb.listener >= 0) tcp.halfOpen.push(tcb)
  beginAnew(tcb, state, now)
  tcp.arm(tcb)
  tcp.ready.push(tcb.slot)
  if (state === 'SYN-SENT' || (state === 'SYN-RECEIVED' && !tcb.has(F_FAST_OPEN))) return true
  // Which events were on their way nobody knows: these say what is so.
  tcp.raise(tcb, EV_CONNECTED | EV_TEXT | EV_ROOM | (finTaken(tcb) ? EV_FIN : 0))
  if (tcb.rcv.urgent !== URGENT_NONE) tcp.raise(tcb, EV_URGENT)
  return true
}

/** What no setsockopt() could have set is the default's. */
function checkSettings(tcp: Tcp, tcb: Tcb): void {
  for (const name of optionNames)
    if (checkOption(name, option(tcb, name)) < 0)
      tcb.words[tcb.at + optionWord(name)] = tcp.defaults[name]
}

function crashedAgain(tcb: Tcb, now: number): boolean {
  if (tcb.busy === 0) return false
  tcb.busy = 0
  if (now - tcb.crashedAt > CRASH_SPAN) tcb.crashes = 0
  tcb.crashedAt = now
  return ++tcb.crashes >= CRASHES
}

const isTaken = (tcp: Tcp, tcb: Tcb): boolean => tcp.demux.findLike(tcb.slot) >= 0

/** Does what the record says hold together? */
export function isConsistent(tcb: Tcb, state: State): boolean {
  const { snd, rcv, words } = tcb
  if (!isPort(tcb.localPort) || !isPort(tcb.remotePort)) return false
  if (before(snd.una, snd.iss) && diff(snd.max, snd.una) < 0) return false
  if (before(snd.max, snd.una) || before(snd.nxt, snd.una) || after(snd.nxt, snd.max)) return false
  if (snd.windShift < 0 || snd.windShift > 14 || rcv.windShift < 0 || rcv.windShift > 14)
    return false
  if (snd.wnd < 0 || snd.maxWnd < 0 || snd.peerMss < 0) return false
  if (state === 'SYN-SENT') return snd.una === snd.iss && diff(snd.max, snd.iss) <= 65536
  if (before(rcv.edge, rcv.nxt) || after(rcv.acked, rcv.nxt)) return false
  if (!ranges.valid(words, tcb.at + HELD, add(rcv.nxt, 1), add(rcv.nxt, 1 << 30))) return false
  if (state === 'SYN-RECEIVED' && tcb.has(F_FAST_OPEN)) return snd.una === add(snd.iss, 1)
  if (state === 'SYN-RECEIVED') return snd.una === snd.iss && rcv.nxt === add(rcv.irs, 1)
  const ended =
    state === 'CLOSE-WAIT' || state === 'CLOSING' || state === 'LAST-ACK' || state === 'TIME-WAIT'
  return snd.una !== snd.iss && finTaken(tcb) === ended
}

const isPort = (n: number): boolean => n > 0 && n < 65536

/** What was only an estimate, or may be half an update. */
function beginAnew(tcb: Tcb, state: State, now: number): void {
  const { snd } = tcb
  const opening = state === 'SYN-SENT' || state === 'SYN-RECEIVED'
  if (opening) flight.empty(tcb)
  else flight.rebuild(tcb, now)
  if (!(snd.rto > 0 && snd.rto <= RTO_MAX)) snd.rto = RTO_INITIAL
  if (!(snd.srtt >= 0 && snd.rttvar >= 0)) snd.srtt = 0
  stopTiming(tcb)
  recoverAnew(tcb)
  snd.mtuProbe = 0
  if (!(snd.mtuLow >= 552 && snd.mtuLow < 65536)) snd.mtuLow = 0
  if (!opening) snd.nxt = snd.max
  checkCongestion(tcb)
  snd.paceAt = 0
  snd.rateState = 0
  if (!(snd.deliveryRate >= 0 && snd.delivered >= 0)) {
    snd.deliveryRate = 0
    snd.delivered = 0
  }
  if (!(snd.pacedUntil <= now + 1000)) snd.pacedUntil = Infinity
  tcb.ecn &= E_SENDS | E_ECHOES | E_SEEN | E_ECE_DUE
  if (snd.una !== snd.max && snd.retransmitAt === Infinity) snd.retransmitAt = now
  if (!opening && state !== 'TIME-WAIT') tcb.mark(F_ACK_NOW)
}

/** Aborted, as far as the record can be believed. */
function giveUp(tcp: Tcp, tcb: Tcb, state: State | undefined, now: number): void {
  tcp.counters.recoveryAborts++
  if (tcb.path && state !== undefined && state !== 'SYN-SENT' && state !== 'TIME-WAIT') {
    ranges.clear(tcb.words, tcb.at + HELD)
    emitReset(tcp, tcb, now)
  }
  if (tcb.has(F_ORPHAN)) tcp.adopt(tcb)
  tcb.error = ECONNRESET
  tcb.state = 'CLOSED'
  tcb.clearDeadlines()
  report(tcp, tcb)
}

/** The user of a connection that is over hears of it, and then the record is free. */
function report(tcp: Tcp, tcb: Tcb): void {
  if (tcb.has(F_USER)) tcp.raise(tcb, tcb.error === 0 ? EV_CLOSED : EV_CLOSED | EV_ERROR)
  else tcp.discard(tcb)
}
