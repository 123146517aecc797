// The user's calls (RFC 9293 section 3.10.1 to 3.10.6) on a connection. Each is followed by run(), which sends.
import { EADDRNOTAVAIL, ENETUNREACH, ENOBUFS } from '../../../base/errno.ts'
import type { Address } from '../../../wire/address.ts'
import type { Path } from '../../net/path.ts'
import type { ReceiveBuffer, SendBuffer } from './buffers.ts'
import { changeAlgorithm } from './congestion.ts'
import { effectiveMss, emitReset } from './emit.ts'
import {
  checkOption,
  optionNames,
  optionWord,
  type TcpOption,
  type TcpSettings,
} from './options.ts'
import { RTO_INITIAL } from './rtt.ts'
import { type Seq, add, after, diff } from './seq.ts'
import {
  F_ACTIVE,
  F_FIN_ACKED,
  F_FIN_HELD,
  F_FIN_QUEUED,
  F_HOLDS_PORT,
  F_MORE,
  F_ORPHAN,
  F_PINGPONG,
  F_FULL,
  F_PUSH,
  F_SYN_DUE,
  F_SYN_WAITS,
  F_TIMESTAMPS,
  F_TS_RECENT,
  F_RESET_DUE,
  F_USER,
  type Tcb,
} from './tcb.ts'
import { INITIAL_WINDOW, type Tcp, WINDOW_SHIFT } from './tcp.ts'
import { scheduleKeepAlive } from './timers.ts'
import { EV_CLOSED } from './user.ts'
import { offerAll } from './window.ts'

/** How long a RST may wait for room on its link, ms. */
const RESET_PATIENCE = 1000
/** Orphans, as a part of all records: tcp_max_orphans. */
const ORPHAN_SHARE = 4
/** Bits of tcp_fastopen. */
const TFO_CLIENT = 1
const TFO_CLIENT_NO_COOKIE = 4
/** tcp_tw_reuse_delay, ms: so long the peer has sent nothing. */
const TW_REUSE_AFTER = 1000

export function open(
  tcp: Tcp,
  local: Address,
  localPort: number,
  remote: Address,
  remotePort: number,
  send: SendBuffer,
  receive: ReceiveBuffer,
  settings: Readonly<TcpSettings>,
  now: number,
): number {
  if (remotePort === 0) return -EADDRNOTAVAIL
  if (remote.isMulticast || remote.isUnspecified) return -ENETUNREACH
  const source = local.isUnspecified ? tcp.paths.source(remote) : local
  if (typeof source === 'number') return source
  if (source.isV4 !== remote.isV4) return -ENETUNREACH
  const path = tcp.paths.path(source, remote)
  if (typeof path === 'number') return path
  const tcb = tcp.allocate()
  if (!tcb) return -ENOBUFS
  tcb.setAddresses(source, remote)
  tcb.remotePort = remotePort
  tcb.localPort = localPort || ephemeralPort(tcp, tcb, now)
  if (tcb.localPort === 0 || !mayTake(tcp, tcb, now)) {
    tcp.unallocate(tcb)
    return -EADDRNOTAVAIL
  }
  prepare(tcb, path, -1, settings, beginAt(tcp, tcb, now), now)
  tcb.send = send
  tcb.receive = receive
  tcb.mark(F_ACTIVE | F_USER)
  tcb.snd.stalledAt = now
  limitFastOpen(tcp, tcb)
  const waits = tcb.fastOpenConnect !== 0 && send.length === 0 && mayOpenFast(tcp, tcb, now)
  if (waits) tcb.mark(F_SYN_WAITS)
  // Also without room on the link, a connection attempt ends some time.
  else tcb.snd.retransmitAt = now + RTO_INITIAL
  tcp.admit(tcb, 'SYN-SENT')
  tcp.counters.activeOpens++
  tcp.arm(tcb)
  tcp.ready.push(tcb.slot)
  return tcb.slot
}

/** What the stack's tcp_fastopen makes of the program's wish. */
function limitFastOpen(tcp: Tcp, tcb: Tcb): void {
  const { fastOpen } = tcp.tuning
  if ((fastOpen & TFO_CLIENT) === 0) tcb.words[tcb.at + optionWord('fastOpenConnect')] = 0
  if ((fastOpen & TFO_CLIENT_NO_COOKIE) !== 0)
    tcb.words[tcb.at + optionWord('fastOpenNoCookie')] = 1
}

/** Can text go with its SYN? */
export function mayOpenFast(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const cookie = tcp.fastOpen.cookieFor(tcb.remote, now)
  return cookie !== undefined && (cookie.length > 0 || tcb.fastOpenNoCookie !== 0)
}

/** A new record, addresses and ports written, before it gets a state. */
export function prepare(
  tcb: Tcb,
  path: Path,
  listener: number,
  settings: Readonly<TcpSettings>,
  iss: Seq,
  now: number,
): void {
  const { snd, rcv } = tcb
  tcb.path = path
  tcb.listener = listener
  for (const name of optionNames) tcb.words[tcb.at + optionWord(name)] = settings[name]
  if (settings.quickAck === 0) tcb.mark(F_PINGPONG)
  tcb.mark(F_SYN_DUE)
  snd.iss = iss
  snd.una = iss
  snd.nxt = iss
  snd.max = iss
  snd.sml = iss
  snd.rto = RTO_INITIAL
  rcv.windShift = WINDOW_SHIFT
  tcb.lastHeard = now
}

/** The peer's first number is known: the receive half begins. */
export function receiveFrom(tcb: Tcb, irs: Seq, ownMss: number): void {
  const { rcv, receive } = tcb
  rcv.irs = irs
  rcv.nxt = add(irs, 1)
  rcv.edge = add(rcv.nxt, receive ? Math.min(INITIAL_WINDOW, receive.window) : INITIAL_WINDOW)
  rcv.up = rcv.nxt
  rcv.acked = rcv.nxt
  rcv.mss = Math.min(ownMss, 536)
  rcv.quick = 16
}

/** Section 3.10.2. What a full buffer holds is all there can be until some of it is acknowledged: no use to wait for more. */
export function send(tcp: Tcp, tcb: Tcb, more: boolean, full: boolean): void {
  if (more) tcb.mark(F_MORE)
  else tcb.unmark(F_MORE)
  if (full) tcb.mark(F_PUSH | F_FULL)
  if (!more) tcb.snd.corkAt = tcb.cork === 0 ? Infinity : tcb.snd.corkAt
  tcp.ready.push(tcb.slot)
}

/** Section 3.10.4. In SYN-RECEIVED the FIN waits until the connection is established (established.ts). */
export function close(tcp: Tcp, tcb: Tcb, _now: number): void {
  if (tcb.has(F_FIN_QUEUED)) return
  if (tcb.state === 'SYN-SENT') return tcp.finish(tcb, 0)
  tcb.mark(F_FIN_QUEUED)
  tcb.unmark(F_MORE)
  if (tcb.state === 'ESTABLISHED') tcp.enter(tcb, 'FIN-WAIT-1')
  else if (tcb.state === 'CLOSE-WAIT') tcp.enter(tcb, 'LAST-ACK')
  tcp.ready.push(tcb.slot)
}

/** Section 3.10.5. What is reported is tcb.error, if anything is. */
export function abort(tcp: Tcp, tcb: Tcb, now: number): void {
  const due = needsReset(tcb) && !emitReset(tcp, tcb, now)
  if (due) tcb.mark(F_RESET_DUE)
  tcp.finish(tcb, tcb.error)
  if (!due) return
  tcb.lingerAt = now + RESET_PATIENCE
  tcp.arm(tcb)
  tcp.block(tcb)
}

const needsReset = (tcb: Tcb): boolean => {
  switch (tcb.state) {
    case 'SYN-RECEIVED':
    case 'ESTABLISHED':
    case 'FIN-WAIT-1':
    case 'FIN-WAIT-2':
    case 'CLOSE-WAIT':
      return true
    default:
      return false
  }
}

export function detach(tcp: Tcp, tcb: Tcb, now: number): void {
  if (tcb.has(F_ORPHAN)) return
  const unread = tcb.receive !== undefined && tcb.receive.used > 0
  if (tcb.state === 'TIME-WAIT') return letGo(tcp, tcb, now)
  if (unread) return abort(tcp, tcb, now)
  close(tcp, tcb, now)
  if (tcb.state === 'CLOSED') return
  offerAll(tcb)
  tcb.receive = undefined
  tcb.mark(F_ORPHAN)
  tcp.orphans++
  if (tcp.orphans > tcp.capacity / ORPHAN_SHARE) {
    tcp.counters.orphansRefused++
    return abort(tcp, tcb, now)
  }
  if (tcb.state === 'FIN-WAIT-2') letGo(tcp, tcb, now)
}

/** All that an orphan had to say is acknowledged: nobody is needed for what is left. */
export function letGo(tcp: Tcp, tcb: Tcb, now: number): void {
  if (tcb.has(F_ORPHAN)) tcp.adopt(tcb)
  tcb.send = undefined
  tcb.receive = undefined
  tcp.raise(tcb, EV_CLOSED)
  if (tcb.state !== 'FIN-WAIT-2') return
  if (tcb.linger2 < 0) return abort(tcp, tcb, now)
  tcb.lingerAt = now + 1000 * (tcb.linger2 || 60)
  tcp.arm(tcb)
  tcp.retire(tcb)
}

export function setOption(tcp: Tcp, tcb: Tcb, name: TcpOption, value: number, now: number): number {
  const bad = checkOption(name, value)
  if (bad < 0) return bad
  const held = (name === 'reuse' || name === 'share') && tcb.has(F_HOLDS_PORT)
  if (held) tcp.dropPort(tcb)
  tcp.words[tcb.at + optionWord(name)] = value
  if (held) tcp.holdPort(tcb)
  switch (name) {
    case 'noDelay':
    case 'cork':
      // Turning Nagle or the cork off lets go what they held back (tcp(7)).
      if (value === (name === 'noDelay' ? 1 : 0)) tcb.mark(F_PUSH)
      tcb.snd.corkAt = Infinity
      tcp.ready.push(tcb.slot)
      break
    case 'keepAlive':
    case 'keepIdle':
    case 'keepIntvl':
      scheduleKeepAlive(tcb, now)
      tcp.arm(tcb)
      break
    case 'congestion':
      changeAlgorithm(tcb)
      break
    case 'quickAck':
      if (value === 0) tcb.mark(F_PINGPONG)
      else quicken(tcp, tcb)
      break
  }
  return 0
}

/** TCP_QUICKACK is what is so now: it does not last (tcp(7)). */
export const option = (tcb: Tcb, name: TcpOption): number =>
  name === 'quickAck' ? Number(!tcb.has(F_PINGPONG)) : tcb.words[tcb.at + optionWord(name)]

function quicken(tcp: Tcp, tcb: Tcb): void {
  tcb.unmark(F_PINGPONG)
  tcb.rcv.quick = 16
  if (tcb.rcv.delayedAckAt === Infinity) return
  tcb.rcv.delayedAckAt = 0
  tcp.arm(tcb)
}

export const unsent = (tcb: Tcb): number =>
  tcb.send ? Math.max(0, tcb.send.length - inFlight(tcb)) : 0

/** Numbers of text, and of the FIN, that were sent and are not acknowledged. */
export function inFlight({ snd }: Tcb): number {
  return Math.max(0, diff(snd.max, snd.una === snd.iss ? add(snd.iss, 1) : snd.una))
}

/** SND.UNA - ISS, less SYN and FIN. */
export function consumed(tcb: Tcb): number {
  const { snd } = tcb
  if (snd.una === snd.iss) return 0
  return diff(snd.una, add(snd.iss, tcb.has(F_FIN_ACKED) ? 2 : 1))
}

/** RCV.NXT - IRS, less SYN and FIN. */
export function published(tcb: Tcb): number {
  const { rcv } = tcb
  if (tcb.state === 'SYN-SENT') return 0
  return diff(rcv.nxt, add(rcv.irs, finTaken(tcb) ? 2 : 1))
}

/** Has RCV.NXT passed the peer's FIN? */
export const finTaken = (tcb: Tcb): boolean =>
  tcb.has(F_FIN_HELD) && after(tcb.rcv.nxt, tcb.rcv.finSeq)

/** A TIME-WAIT gives way only where there is no other port. */
function ephemeralPort(tcp: Tcp, tcb: Tcb, now: number): number {
  const pick = (fits: (tcp: Tcp, tcb: Tcb, now: number) => boolean): number =>
    tcp.ports.ephemeral(port => {
      tcb.localPort = port
      return fits(tcp, tcb, now)
    })
  return pick(unique) || (tcp.timeWaits.length > 0 ? pick(mayTake) : 0)
}

const unique = (tcp: Tcp, tcb: Tcb): boolean => tcp.demux.findLike(tcb.slot) < 0

/** Nobody has these addresses and ports, or only a TIME-WAIT whose last segments timestamps tell from ours (RFC 6191). */
function mayTake(tcp: Tcp, tcb: Tcb, now: number): boolean {
  const slot = tcp.demux.findLike(tcb.slot)
  if (slot < 0) return true
  const old = tcp.tcb(slot)
  const { twReuse } = tcp.tuning
  if (old.state !== 'TIME-WAIT' || twReuse === 0) return false
  if (twReuse === 2 && !tcb.remote.isLoopback) return false
  if (!old.has(F_TIMESTAMPS) || !old.has(F_TS_RECENT)) return false
  return now - old.rcv.tsRecentAt > TW_REUSE_AFTER
}

/** ISS, past all that a TIME-WAIT in the way has sent, which ends here. */
function beginAt(tcp: Tcp, tcb: Tcb, now: number): Seq {
  const iss = tcp.secrets.choose(tcb, now)
  const slot = tcp.demux.findLike(tcb.slot)
  if (slot < 0) return iss
  const old = tcp.tcb(slot)
  const above = add(old.snd.max, 65537)
  tcp.counters.timeWaitReused++
  tcp.finish(old, 0)
  return after(iss, above) ? iss : above
}

export const maxSegment = (tcb: Tcb): number => (tcb.path ? effectiveMss(tcb) : 536)
