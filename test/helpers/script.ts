// Packet scripts, in the manner of packetdrill: what the program calls, what the peer's segments say, and which segments
// of ours must come, each with its time. A topic file (test/scripts/TOPIC.pkt) holds scripts; one looks like this:
//
//   == a segment that is not acknowledged is sent again after one RTO
//   established rtt 0.1 win 65535 <mss 1000>    // listen, < S, > S., < . and accept in one
//   write 1000                                  // at once; the program's call
//   > P. 1:1001(1000) ack 1                     // so this must come now
//   +0.3 > P. 1:1001(1000) ack 1                // and this 0.3 s later, and nothing in between
//   +0.1 < . 1:1(0) ack 1001 win 65535          // 0.1 s later the peer says
//   +60 = ESTABLISHED                           // nothing for a minute, and then this is so
//
// A line is [TIME] [PEER:] STEP; // begins a comment. TIME, seconds: `+0.1` after the step before, `0.1` after the
// script's beginning, `+0.1~+0.2` from, to (for `>` only); none: `+0`. Virtual time is exact: to half a millisecond.
// Everything that we send must be expected by a `>`, in order; a segment that is not fails the script. So does one
// whose text is not what was written, wherever it is cut. PEER names another remote port than peer 1's; each peer
// has one connection.
//
//   set NAME VALUE         before the steps. family 4|6: not in both; irs N, iss N: ISNs of the peer's and ours; mtu N;
//                          gso 1: the link cuts up large segments; capacity N: records; tune NAME=VALUE …: the
//                          stack's TcpTuning, pacing off unless told; seed N
//   < SEGMENT              from the peer:   [[ECN]] FLAGS SEQ:END(LENGTH) [ack N] [win N] [urg N] [<OPTIONS>] ["TEXT"]
//   > SEGMENT              from us; win, urg and ECN are compared where given, options with `*` and `<...>` for any
//     FLAGS                of S F R P . (ACK) U E (ECE) W (CWR), or - for none
//     SEQ, ack, sack       relative to the ISNs; win as in the header, the peer's as before if it is not given
//     OPTIONS              mss N, sackOK, wscale N, TS val N ecr N (ours: ms since the script's beginning; the peer's:
//                          as it is; `ecr last`: of our last), sack A:B C:D, FO [HEX] (`last`: ours), nop, eol, raw HEX;
//                          NOPs are not compared
//     ECN                  noecn, ect0, ect1, ce
//   < icmp KIND [mtu N] [seq N]   an error about our segment with that number: net_, host_, proto_, port_unreachable,
//                          frag_needed, admin_prohibited, time_exceeded. (IPv6: mtu + 20, see below.)
//   established [rtt S] [win N] [<OPTIONS>]   a whole handshake that the peer began; `connected …`: that we began
//   CALL [ARGUMENTS] [= RESULT]   result 0 unless told, else an errno's name:
//     listen, unlisten, bind PORT, connect, accept, read N|"TEXT", write N|"TEXT" [more|urgent], shutdown (SHUT_WR),
//     close, abort, oob "C" (recv(MSG_OOB)), setsockopt NAME N (for those to come, if there is no connection yet),
//     rcvbuf N, answer accept|drop|refuse (to SYNs), noroom N (the link has none so often), replace (the stack's thread)
//   = STATE                FREE, SYN-SENT, …, TIME-WAIT
//   = EV_FIN, = !EV_FIN    the event came (since this was last asked), or not
//   = errno NAME           of the last EV_ERROR; `none`
//   = readable N           text the program could read;  = unsent N;  = mark N|none: text before the urgent byte
//   = FIELD [OP] N         of tcp_info, without tcpi_, in its units; OP: == (none), >=, <=
//   = counter NAME N       of the whole Tcp's
//   = records N            in use
//
// A script runs over IPv4 with an MTU of 1500 and over IPv6 with 1520, so that the MSS is 1460 in both.
import { unquoted } from './unquoted.ts'
import assert from 'node:assert/strict'
import { u16, u32 } from '../../src/base/bytes.ts'
import * as errnos from '../../src/base/errno.ts'
import { Address } from '../../src/wire/address.ts'
import { congestionNamed } from '../../src/stack/transport/tcp/congestion.ts'
import { type TcpOption, checkOption, optionNames } from '../../src/stack/transport/tcp/options.ts'
import { seq } from '../../src/stack/transport/tcp/seq.ts'
import { TUNING, type TcpTuning } from '../../src/stack/transport/tcp/tuning.ts'
import * as user from '../../src/stack/transport/tcp/user.ts'
import { Host, Inbox, Outbox } from './tcp-pair.ts'
import { type Bound, type Script, type Step, type What, parseScripts } from './script-parse.ts'
import {
  ECN,
  type Segment,
  decode,
  differences,
  encode,
  formatSegment,
  textOffset,
} from './script-segment.ts'
import { ICMP, TCP_INFO } from './script-tables.ts'

export { type Script, parseScripts }

/** A time is right if it is not further off than this, ms. */
const TOLERANCE = 0.5
const LISTENER = 1
const PORT = 80
const FIRST_PEER_PORT = 40_000
const TRACE_LINES = 25

/** The same script with ISNs of which ours is about to wrap, and the peer's to change its sign. */
export function nearWrap(script: Script): Script {
  const settings = new Map([['iss', '4294966796'], ['irs', '2147483148'], ...script.settings])
  return { ...script, settings }
}

/** Why the script fails, in a readable way; '' if it does not. */
export function runScript(script: Script, family: 4 | 6): string {
  const run = new Run(script, family)
  try {
    run.all()
    return ''
  } catch (error) {
    return run.explain(error as Error)
  }
}

interface Came {
  readonly at: number
  readonly peer: Peer
  readonly segment: Segment
}

/** One remote port, and the connection with it. */
class Peer {
  readonly port: number
  readonly irs: number
  localPort = PORT
  iss = 0
  /** Our next SYN begins a connection, and tells its ISN. */
  fresh = true
  tsBase = 0
  lastTsVal = 0
  win = 65535
  slot = -1
  outbox: Outbox | undefined = undefined
  inbox: Inbox | undefined = undefined
  accepted = false
  written: number[] = []
  /** Offset in the peer's stream of what the program reads next. */
  read: number | undefined = undefined
  events = 0
  errno = 0

  constructor(port: number, irs: number) {
    this.port = port
    this.irs = irs
  }
}

class Run {
  private readonly script: Script
  private readonly family: 4 | 6
  private readonly host: Host
  private readonly here: Address
  private readonly there: Address
  private readonly start: number
  private readonly peers = new Map<number, Peer>()
  private readonly bySlot = new Map<number, Peer>()
  private readonly came: Came[] = []
  private readonly trace: string[] = []
  private readonly settings: Partial<Record<TcpOption, number>> = {}
  private readonly counters: Record<string, number>
  private listening = false
  private step: Step | undefined = undefined
  private last = 0
  /** The Fast Open cookie that we gave last. */
  private lastCookie = ''

  constructor(script: Script, family: 4 | 6) {
    this.script = script
    this.family = family
    this.here = family === 4 ? Address.v4(0x0a000001) : new Address(0xfd000000, 0, 0, 1)
    this.there = family === 4 ? Address.v4(0x0a000002) : new Address(0xfd000000, 0, 0, 2)
    const mtu = this.setting('mtu', 1500) + (family === 4 ? 0 : 20)
    this.host = new Host({
      address: this.here,
      mtu,
      maxDatagram: this.setting('gso', 0) ? 65535 : mtu,
      capacity: this.setting('capacity', 16),
      tuning: { pacing: false, ...tuningFrom(this.script.settings.get('tune') ?? '') },
      seed: this.setting('seed', 1),
    })
    this.start = this.host.now
    this.host.deliver = (bytes, _path, _gsoSize, tos) => this.sent(bytes, tos & 3)
    this.host.user.onEvent = event => this.told(event.tcb, event.events, event.errno)
    this.counters = { ...this.host.tcp.counters }
    this.hook()
  }

  private setting(name: string, otherwise: number): number {
    const value = this.script.settings.get(name)
    return value === undefined ? otherwise : Number(value)
  }

  /** Learns of each new connection, and gives it the ISN that the script wants. */
  private hook(): void {
    const { tcp } = this.host
    tcp.trace = (slot, from) => {
      if (from === 'FREE') this.begins(slot)
    }
    const iss = this.script.settings.get('iss')
    if (iss === undefined) return
    const { secrets } = tcp
    const choose = secrets.choose.bind(secrets)
    secrets.choose = (tcb, now) => {
      choose(tcb, now)
      return seq(Number(iss))
    }
  }

  private peer(n: number): Peer {
    let peer = this.peers.get(n)
    if (!peer) {
      const irs = this.setting('irs', 1_000_000 * n) >>> 0
      this.peers.set(n, (peer = new Peer(FIRST_PEER_PORT + n, irs)))
    }
    return peer
  }

  /** Script time, ms. */
  private get now(): number {
    return this.host.now - this.start
  }

  all(): void {
    for (const step of this.script.steps) {
      this.step = step
      if (step.what.op === 'out') this.expect(step, step.what.segment)
      else {
        this.advance(this.time(step.from))
        this.nothingElse()
        this.last = this.now
        this.note(step.peer === 1 ? step.text : `${step.peer}: ${step.text}`)
        this.perform(step, step.what)
        this.host.turn()
      }
    }
    this.step = undefined
    this.nothingElse()
  }

  private time(bound: Bound): number {
    return bound.relative ? this.last + bound.ms : bound.ms
  }

  /** Lets the clock run until `to`; or, if so wanted, until we send something. */
  private advance(to: number, untilSent = false): void {
    const { host } = this
    const end = this.start + to
    for (;;) {
      host.turn()
      if (untilSent && this.came.length > 0) return
      const next = host.tcp.nextTimer()
      if (next > end) break
      host.clock.now = Math.max(host.now, next)
    }
    host.clock.now = Math.max(host.now, end)
    host.turn()
  }

  private nothingElse(): void {
    const [first] = this.came
    if (first) throw new Error(`not expected: ${this.show(first)}`)
  }

  private expect(step: Step, wanted: Segment): void {
    const from = this.time(step.from)
    const to = this.time(step.to)
    if (this.came.length === 0) this.advance(to + TOLERANCE, true)
    const came = this.came.shift()
    if (!came) throw new Error(`nothing was sent until ${secondsOf(to)}`)
    const wrong = differences(wanted, came.segment)
    if (came.peer !== this.peer(step.peer)) wrong.unshift('it went to another peer')
    if (came.at < from - TOLERANCE || came.at > to + TOLERANCE)
      wrong.unshift(
        `time is ${secondsOf(came.at)}, not ${secondsOf(from)}${to > from ? ` to ${secondsOf(to)}` : ''}`,
      )
    if (wrong.length > 0) throw new Error(`came: ${this.show(came)}\n  ${wrong.join('\n  ')}`)
    this.last = came.at
  }

  // ---- what we send ----------------------------------------------------------------------------

  private sent(bytes: Uint8Array, ecn: number): void {
    const port = u16(bytes, 2)
    const peer = this.peer(port - FIRST_PEER_PORT)
    const syn = (bytes[13] & 2) !== 0
    if (syn && peer.fresh) {
      peer.fresh = false
      peer.iss = u32(bytes, 4)
      peer.tsBase = 0
      peer.localPort = u16(bytes, 0)
    }
    const origin = { ...NOWHERE, from: peer.iss, to: peer.irs, tsVal: peer.tsBase }
    let segment = decode(bytes, origin, ecn)
    const val = optionOf(segment, 'TS val ')
    if (val !== undefined) {
      const stamp = Number(val)
      peer.lastTsVal = (stamp + peer.tsBase) | 0
      if (syn && peer.tsBase === 0) {
        peer.tsBase = (stamp - Math.floor(this.now)) | 0
        segment = decode(bytes, { ...origin, tsVal: peer.tsBase }, ecn)
      }
    }
    const cookie = optionOf(segment, 'FO ')
    if (cookie !== undefined) this.lastCookie = cookie
    this.checkText(peer, segment)
    const came = { at: this.now, peer, segment }
    this.came.push(came)
    this.trace.push(this.show(came))
  }

  /** The text of a segment is what was written there. */
  private checkText(peer: Peer, s: Segment): void {
    const first = textOffset(s)
    const wrong = s.text!.findIndex((byte, i) => byte !== peer.written[first + i])
    if (wrong >= 0)
      throw new Error(`byte ${wrong} of ${formatSegment(s)} is not what was written there`)
  }

  private begins(slot: number): void {
    const { tcp } = this.host
    const peer = this.peer(tcp.remotePort(slot) - FIRST_PEER_PORT)
    peer.slot = slot
    peer.fresh = true
    peer.accepted = false
    peer.written = []
    peer.read = undefined
    peer.events = 0
    peer.errno = 0
    this.bySlot.set(slot, peer)
  }

  private told(slot: number, events: number, errno: number): void {
    const peer = this.bySlot.get(slot)!
    peer.events |= events
    if (events & user.EV_ERROR) peer.errno = errno
    this.note(
      Object.entries(user)
        .filter(([name, bit]) => name.startsWith('EV_') && (events & Number(bit)) !== 0)
        .map(([name]) => name)
        .join(' '),
    )
  }

  // ---- steps -----------------------------------------------------------------------------------

  private perform(step: Step, what: What): void {
    const peer = this.peer(step.peer)
    switch (what.op) {
      case 'in':
        return this.arrive(peer, what.segment)
      case 'icmp':
        return this.unreachable(peer, what)
      case 'call':
        return this.call(peer, what.name, what.args, what.result)
      case 'check':
        return this.check(peer, what.args)
    }
  }

  private arrive(peer: Peer, segment: Segment): void {
    if (segment.win !== undefined) peer.win = segment.win
    const origin = {
      from: peer.irs,
      to: peer.iss,
      tsVal: 0,
      tsEcr: peer.tsBase,
      lastTsVal: peer.lastTsVal,
      lastCookie: this.lastCookie,
    }
    const ports = { src: peer.port, dst: peer.localPort }
    const bytes = encode(segment, origin, ports, peer.win, theirs)
    const { host } = this
    const ecn = Math.max(0, ECN.indexOf(segment.ecn ?? 'noecn'))
    host.tcp.arrives(host.packet.set(bytes, this.there, this.here, true, ecn), host.now)
  }

  private unreachable(peer: Peer, what: What & { op: 'icmp' }): void {
    const kind = ICMP[what.kind]
    if (!kind) throw new Error(`no ICMP message: ${what.kind}`)
    const [errno, hard, v4, v6] = kind
    const [type, code] = this.family === 4 ? v4 : v6
    this.host.tcp.unreachable(
      {
        errno,
        hard,
        type,
        code,
        mtu: what.mtu === 0 ? 0 : what.mtu + (this.family === 4 ? 0 : 20),
        src: this.here,
        dst: this.there,
        ...unquoted(this.there),
        srcPort: peer.localPort,
        dstPort: peer.port,
        seq: (what.seq + peer.iss) | 0,
      },
      this.host.now,
    )
  }

  private call(peer: Peer, name: string, args: string[], result: string): void {
    const call = this.calls[name]
    if (!call) throw new Error(`no call: ${name}`)
    const r = call(peer, args)
    const got = r < 0 ? errnos.errnoName(r) : '0'
    if (got !== result) throw new Error(`${name} gives ${got}, not ${result}`)
  }

  private readonly calls: Record<string, (peer: Peer, args: string[]) => number> = {
    listen: (_peer, [once]) => {
      if (once === 'once' && this.listening) return 0
      this.listening = true
      return this.host.tcp.listen(this.here, PORT, false, LISTENER, this.settings)
    },
    unlisten: () => {
      this.listening = false
      this.host.tcp.unlisten(LISTENER, this.host.now)
      return 0
    },
    bind: (peer, [port]) => {
      peer.localPort = Number(port)
      return 0
    },
    connect: peer => {
      const { host } = this
      const out = new Outbox()
      const inbox = new Inbox(host.user.inboxSize)
      const local = peer.localPort === PORT ? 0 : peer.localPort
      const { here, there } = this
      const { settings } = this
      const slot = host.tcp.open(here, local, there, peer.port, out, inbox, settings, host.now)
      if (slot < 0) return slot
      peer.outbox = out
      peer.inbox = inbox
      peer.localPort = host.tcp.localPort(slot)
      host.user.boxes.set(slot, { out, in: inbox })
      return 0
    },
    accept: peer => {
      const got = this.host.user.accepted.findLast(a => a.tcb === peer.slot)
      if (!got || peer.accepted) return -errnos.EAGAIN
      peer.accepted = true
      peer.outbox = got.out
      peer.inbox = got.in
      return 0
    },
    write: (peer, [what, more]) => {
      const { outbox: out } = peer
      if (!out || !this.live(peer)) return -errnos.EPIPE
      const bytes = what.startsWith('"')
        ? Buffer.from(what.slice(1, -1), 'latin1')
        : Uint8Array.from({ length: Number(what) }, (_, i) => ours(peer.written.length + i))
      for (const byte of bytes) peer.written.push(byte)
      out.write(bytes)
      if (more === 'urgent') this.host.tcp.urgent(peer.slot, this.host.now)
      this.host.tcp.send(peer.slot, this.host.now, more === 'more')
      return 0
    },
    read: (peer, [what]) => {
      const { inbox } = peer
      if (!inbox) return -errnos.ENOTCONN
      const text = what.startsWith('"') ? Buffer.from(what.slice(1, -1), 'latin1') : undefined
      const n = text ? text.length : Number(what)
      if (inbox.used < n) throw new Error(`only ${inbox.used} bytes are readable`)
      const first = peer.read ?? this.firstOffset(peer)
      peer.read = first + n
      const wanted = text ?? Uint8Array.from({ length: n }, (_, i) => theirs(first + i))
      assert.deepEqual(Buffer.from(inbox.take(n)), Buffer.from(wanted), 'not what the peer sent')
      if (this.live(peer)) this.host.tcp.received(peer.slot, this.host.now)
      return 0
    },
    oob: (peer, [what]) => {
      const byte = this.host.tcp.receiveUrgent(this.known(peer), false)
      if (byte < 0) return byte
      assert.equal(String.fromCharCode(byte), what?.slice(1, -1), 'the urgent byte is another')
      return 0
    },
    shutdown: peer => {
      this.host.tcp.close(this.known(peer), this.host.now)
      return 0
    },
    close: peer => {
      this.host.tcp.detach(this.known(peer), this.host.now)
      return 0
    },
    abort: peer => {
      this.host.tcp.abort(this.known(peer), this.host.now)
      return 0
    },
    setsockopt: (peer, [name, value]) => {
      const wanted = name.toLowerCase().replaceAll('_', '')
      const option = optionNames.find(o => o.toLowerCase() === wanted)
      if (!option) throw new Error(`no option: ${name}`)
      const n = option === 'congestion' ? congestionNamed(value) : Number(value)
      if (this.live(peer)) return this.host.tcp.setOption(peer.slot, option, n, this.host.now)
      this.settings[option] = n
      return checkOption(option, n)
    },
    rcvbuf: (_peer, [size]) => {
      this.host.user.inboxSize = Number(size)
      return 0
    },
    answer: (_peer, [answer]) => {
      this.host.user.answer = answer as 'accept' | 'drop' | 'refuse'
      return 0
    },
    noroom: (_peer, [times]) => {
      this.host.path(this.here, this.there).full = Number(times)
      return 0
    },
    replace: () => {
      const held = this.host.replace()
      this.hook()
      if (this.listening) this.host.tcp.listen(this.here, PORT, false, LISTENER, this.settings)
      for (const slot of held) {
        const box = this.host.user.boxes.get(slot)!
        box.out.consume(this.host.tcp.consumed(slot) - box.out.consumed)
        this.host.tcp.attach(slot, box.out, box.in)
      }
      return 0
    },
  }

  private live(peer: Peer): boolean {
    return peer.slot >= 0 && this.host.tcp.state(peer.slot) !== 'FREE'
  }

  private known(peer: Peer): number {
    if (peer.slot < 0) throw new Error('there is no connection')
    return peer.slot
  }

  /** Where the peer's text begins, counted from the script's IRS. */
  private firstOffset(peer: Peer): number {
    const { rcv } = this.host.tcp.tcb(peer.slot)
    return (rcv.irs - peer.irs) | 0
  }

  // ---- what is so ------------------------------------------------------------------------------

  private check(peer: Peer, args: string[]): void {
    const [name, second, third] = args
    const same = (got: unknown, wanted: unknown) => {
      if (got !== wanted) throw new Error(`${name} is ${got}, not ${wanted}`)
    }
    if (/^!?EV_/.test(name)) return this.checkEvent(peer, name)
    const state = peer.slot < 0 ? 'FREE' : this.host.tcp.state(peer.slot)
    if (/^[A-Z][A-Z0-9-]+$/.test(name)) {
      if (state !== name) throw new Error(`the state is ${state}, not ${name}`)
      return
    }
    switch (name) {
      case 'errno':
        return same(peer.errno === 0 ? 'none' : errnos.errnoName(peer.errno), second)
      case 'readable':
        return same(peer.inbox?.used ?? 0, Number(second))
      case 'unsent':
        return same(this.host.tcp.unsent(this.known(peer)), Number(second))
      case 'mark':
        return same(`${this.host.tcp.urgentMark(this.known(peer)) ?? 'none'}`, second)
      case 'records':
        return same(this.host.tcp.size, Number(second))
      case 'counter': {
        const now: Record<string, number> = { ...this.host.tcp.counters }
        if (!(second in now)) throw new Error(`no counter: ${second}`)
        return same(now[second] - this.counters[second], Number(third))
      }
    }
    const got = this.info(peer, name)
    const [op, wanted] = third === undefined ? ['==', Number(second)] : [second, Number(third)]
    const ok = op === '>=' ? got >= wanted : op === '<=' ? got <= wanted : got === wanted
    if (!ok) throw new Error(`${name} is ${got}, not ${op === '==' ? '' : `${op} `}${wanted}`)
  }

  private checkEvent(peer: Peer, name: string): void {
    const not = name.startsWith('!')
    const bit = (user as Record<string, unknown>)[not ? name.slice(1) : name]
    if (typeof bit !== 'number') throw new Error(`no event: ${name}`)
    const is = (peer.events & bit) !== 0
    peer.events &= ~bit
    if (is === not) throw new Error(not ? 'it came' : 'it did not come')
  }

  private info(peer: Peer, name: string): number {
    const field = TCP_INFO[name]
    if (!field) throw new Error(`no field of tcp_info: ${name}`)
    const bytes = new Uint8Array(248)
    this.host.tcp.info(this.known(peer), false, bytes, this.host.now)
    const [at, size] = field
    const view = new DataView(bytes.buffer)
    if (size === 1) return view.getUint8(at)
    if (size === 2) return view.getUint16(at, true)
    if (size === 4) return view.getUint32(at, true)
    return Number(view.getBigUint64(at, true))
  }

  // ---- what to say -----------------------------------------------------------------------------

  private note(text: string): void {
    this.trace.push(`${secondsOf(this.now)}  ${text}`)
  }

  private show(came: Came): string {
    const n = came.peer.port - FIRST_PEER_PORT
    return `${secondsOf(came.at)}  ${n === 1 ? '' : `${n}: `}> ${formatSegment(came.segment)}`
  }

  explain(error: Error): string {
    const { file, line, title } = this.script
    const where = this.step
      ? `${file}:${this.step.line}: ${this.step.source}`
      : `${file}:${line}: at the end`
    return [
      `${title} (IPv${this.family})`,
      where,
      error instanceof assert.AssertionError ? error.message.split('\n')[0] : error.message,
      ...this.trace.slice(-TRACE_LINES).map(t => `    ${t}`),
    ].join('\n')
  }
}

const secondsOf = (ms: number): string => (ms / 1000).toFixed(6).padStart(10)

/** 'sack=0 initCwnd=4': TcpTuning, in its types. */
function tuningFrom(text: string): Partial<TcpTuning> {
  const values: Record<string, string | number | boolean> = {}
  for (const [, name, value] of text.matchAll(/(\w+)=(\S+)/g)) {
    const type = typeof ({ ...TUNING } as Record<string, unknown>)[name]
    if (type === 'undefined') throw new Error(`no tuning: ${name}`)
    values[name] = type === 'number' ? Number(value) : type === 'boolean' ? value === '1' : value
  }
  return values
}

const NOWHERE = { from: 0, to: 0, tsVal: 0, tsEcr: 0, lastTsVal: 0, lastCookie: '' }

/** The word behind `name` in an option. */
const optionOf = (s: Segment, name: string): string | undefined =>
  s.options
    ?.find(o => o.startsWith(name))
    ?.slice(name.length)
    .split(' ')[0]

/** What the program writes at an offset, if nothing else is said; and what the peer does. */
const ours = (offset: number): number =>
  (offset ^ (31 * (offset >>> 8)) ^ (17 * (offset >>> 16))) & 255
const theirs = (offset: number): number => 255 - ours(offset)
